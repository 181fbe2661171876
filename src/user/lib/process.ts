/*
 * A program that runs on a machine: its arguments, environment, standard streams and way out. Counterpart of
 * what exec(2) hands to main().
 */

import type { SyscallTable } from '#uapi/unistd.ts';
import { Killed, reasonOf } from '#user/lib/errors.ts';
import { Libc } from '#user/lib/libc.ts';
import { encodeText, type Input, NO_INPUT, NO_OUTPUT, type Output } from '#user/lib/streams.ts';

/** A program: its result is the exit status. */
export type Main = (p: Process) => Promise<number>;

export interface ProcessOptions {
  readonly sys: SyscallTable;
  /** The program's name, then its arguments. */
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Input;
  readonly stdout?: Output;
  readonly stderr?: Output;
  /** Names of machines and their IPv4 addresses: /etc/hosts. */
  readonly hosts?: Readonly<Record<string, string>>;
  /**
   * The system calls of a new task on the same machine, for programs that this one starts. Without it they
   * share the descriptors of this one.
   */
  readonly fork?: (name: string) => SyscallTable;
  /** Finds a program by name, for those that start others. */
  readonly programs?: (name: string) => Main | null;
}

export const SIGINT = 2;
export const SIGKILL = 9;
export const SIGPIPE = 13;
export const SIGTERM = 15;

/** Thrown by {@link Process.exit}. */
class Exit extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit ${status}`);
    this.name = 'Exit';
    this.status = status;
  }
}

export class Process {
  readonly sys: SyscallTable;
  readonly libc: Libc;
  /** argv[0] is the program's name. */
  readonly argv: readonly string[];
  readonly env: Record<string, string>;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly hosts: Readonly<Record<string, string>>;
  readonly fork: ((name: string) => SyscallTable) | null;
  /** Finds programs by name; whoever starts others may set it. */
  programs: ((name: string) => Main | null) | null;
  /** What the program threw that was no way to exit; null while all is well. */
  error: unknown;
  private readonly children: Set<Process>;
  private readonly handlers: Map<number, () => void>;

  constructor(options: ProcessOptions) {
    this.sys = options.sys;
    this.libc = new Libc(options.sys);
    this.argv = options.argv;
    this.env = { ...options.env };
    this.stdin = options.stdin ?? NO_INPUT;
    this.stdout = options.stdout ?? NO_OUTPUT;
    this.stderr = options.stderr ?? NO_OUTPUT;
    this.hosts = options.hosts ?? {};
    this.fork = options.fork ?? null;
    this.programs = options.programs ?? null;
    this.error = null;
    this.children = new Set();
    this.handlers = new Map();
  }

  /** The program's name without its path. */
  get name(): string {
    return (this.argv[0] ?? '').replace(/^.*\//, '');
  }

  get args(): readonly string[] {
    return this.argv.slice(1);
  }

  /** Writes to standard output. */
  print(text: string): void {
    this.put(encodeText(text));
  }

  put(bytes: Uint8Array): void {
    if (bytes.length > 0 && !this.stdout.write(bytes)) throw new Killed(SIGPIPE);
  }

  /** Writes much to standard output, at the pace of whoever reads it. */
  async pour(bytes: Uint8Array): Promise<void> {
    this.put(bytes);
    await this.stdout.ready();
  }

  /** Writes to standard error. */
  warn(text: string): void {
    this.stderr.write(encodeText(text));
  }

  /** Ends the program. */
  exit(status: number): never {
    throw new Exit(status);
  }

  /** Has `handler` called instead of ending the program. What it waits for then ends with EINTR. */
  onSignal(signal: number, handler: () => void): void {
    this.handlers.set(signal, handler);
  }

  /** Sends a signal to the program and what it started. It arrives as an event of the machine. */
  kill(signal: number): void {
    this.sys.nanosleep(0, () => this.deliver(signal));
  }

  private deliver(signal: number): void {
    for (const child of this.children) child.deliver(signal);
    const handler = this.handlers.get(signal);
    if (handler === undefined || signal === SIGKILL) {
      this.libc.interrupt(signal);
      return;
    }
    handler();
    this.libc.interrupt(0);
  }

  /** A program by its path or, wherever that leads, its name; null when there is none. */
  find(name: string): Main | null {
    return this.programs?.(name) ?? this.programs?.(name.replace(/^.*\//, '')) ?? null;
  }

  /**
   * Runs another program as a task of its own, where the machine can make one; its status.
   * @param before what the new task does before it becomes the program
   */
  async spawn(
    main: Main,
    argv: readonly string[],
    streams: Streams = {},
    before: (sys: SyscallTable) => void = () => {},
  ): Promise<number> {
    const sys = this.fork?.(argv[0] ?? '') ?? this.sys;
    let status = 1;
    try {
      before(sys);
      status = await this.start(main, argv, sys, streams);
      return status;
    } finally {
      if (sys !== this.sys) sys.exit(status);
    }
  }

  private async start(
    main: Main,
    argv: readonly string[],
    sys: SyscallTable,
    streams: Streams,
  ): Promise<number> {
    const child = new Process({
      sys,
      argv,
      env: streams.env ?? this.env,
      stdin: streams.stdin ?? this.stdin,
      stdout: streams.stdout ?? this.stdout,
      stderr: streams.stderr ?? this.stderr,
      hosts: this.hosts,
      ...(this.fork === null ? {} : { fork: this.fork }),
      ...(this.programs === null ? {} : { programs: this.programs }),
    });
    this.children.add(child);
    try {
      return await runProcess(main, child);
    } finally {
      this.children.delete(child);
    }
  }
}

export interface Streams {
  readonly stdin?: Input;
  readonly stdout?: Output;
  readonly stderr?: Output;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Runs a program to its end; its exit status. A signal that ended it counts 128 and its number. What the
 * program threw goes to its standard error, with status 1, and is `p.error`.
 */
export async function runProcess(main: Main, p: Process): Promise<number> {
  try {
    return (await main(p)) & 0xff;
  } catch (error) {
    if (error instanceof Exit) return error.status & 0xff;
    if (error instanceof Killed) return 128 + error.signal;
    p.error = error;
    p.warn(`${p.name}: ${reasonOf(error)}\n`);
    return 1;
  }
}
