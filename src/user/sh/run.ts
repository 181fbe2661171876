/*
 * Running what the shell has read: expansions, redirections, pipelines.
 */

import { ENOENT } from '#uapi/errno.ts';
import { O_APPEND, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '#uapi/fcntl.ts';
import { reasonOf, SystemError } from '#user/lib/errors.ts';
import type { Main, Process } from '#user/lib/process.ts';
import {
  encodeText,
  type Input,
  NO_INPUT,
  NO_OUTPUT,
  type Output,
  Pipe,
} from '#user/lib/streams.ts';
import { ArithmeticError, evaluateArithmetic } from '#user/sh/arithmetic.ts';
import { BUILTINS, ExitShell, type ShellState } from '#user/sh/builtins.ts';
import type { Command, Piece, Pipeline, Redirection, Statement, Word } from '#user/sh/parse.ts';

/** The three streams of a command. */
interface Three {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
}

/** A file that is written to; what goes wrong is kept, to be told at the end. */
class FileOutput implements Output {
  readonly fd: number;
  private readonly p: Process;
  error: SystemError | null;

  constructor(p: Process, fd: number) {
    this.p = p;
    this.fd = fd;
    this.error = null;
  }

  write(bytes: Uint8Array): boolean {
    for (let sent = 0; sent < bytes.length; ) {
      const result = this.p.sys.write(this.fd, bytes.subarray(sent));
      if (result <= 0) {
        this.error ??= new SystemError(result, 'write');
        return true;
      }
      sent += result;
    }
    return true;
  }

  ready(): Promise<void> | null {
    return null;
  }

  close(): void {
    this.p.sys.close(this.fd);
  }
}

/** A redirection that cannot be made. */
class RedirectionError extends Error {}

export class Shell implements ShellState {
  readonly variables: Map<string, string>;
  readonly exported: Set<string>;
  readonly background: Set<Promise<number>>;
  status: number;
  private readonly p: Process;
  private readonly parameters: readonly string[];

  /** @param parameters `$0`, `$1`, … */
  constructor(p: Process, parameters: readonly string[]) {
    this.p = p;
    this.parameters = parameters;
    this.variables = new Map(Object.entries(p.env));
    this.exported = new Set(this.variables.keys());
    this.background = new Set();
    this.status = 0;
  }

  /** Runs statements one after the other; the status of the last. @throws ExitShell */
  async run(statements: readonly Statement[]): Promise<number> {
    for (const statement of statements) {
      if (statement.background) this.startBeside(statement);
      else await this.runSteps(statement);
    }
    return this.status;
  }

  /** Says something on standard error, as `sh: 1: …`. */
  complain(line: number, text: string, to: Output = this.p.stderr): void {
    to.write(encodeText(`${this.parameters[0] ?? 'sh'}: ${line}: ${text}\n`));
  }

  private startBeside(statement: Statement): void {
    const job = this.runBeside(statement);
    this.background.add(job);
    const forget = (): void => {
      this.background.delete(job);
    };
    job.then(forget, forget);
    this.status = 0;
  }

  private async runBeside(statement: Statement): Promise<number> {
    const beside = new Shell(this.p, this.parameters);
    for (const [name, value] of this.variables) beside.variables.set(name, value);
    try {
      await beside.runSteps(statement);
      return beside.status;
    } catch (error) {
      if (error instanceof ExitShell) return error.status;
      throw error;
    }
  }

  private async runSteps(statement: Statement): Promise<void> {
    for (const { when, pipeline } of statement.steps) {
      if (when === 'and' && this.status !== 0) continue;
      if (when === 'or' && this.status === 0) continue;
      const status = await this.runPipeline(pipeline);
      this.status = pipeline.negated ? (status === 0 ? 1 : 0) : status;
    }
  }

  private async runPipeline({ commands }: Pipeline): Promise<number> {
    const { stdin, stdout, stderr } = this.p;
    const [only] = commands;
    if (only !== undefined && commands.length === 1) {
      return this.runCommand(only, { stdin, stdout, stderr });
    }
    const pipes = commands.slice(1).map(() => new Pipe());
    const parts = commands.map(async (command, i) => {
      const input = pipes[i - 1]?.input ?? stdin;
      const output = pipes[i]?.output ?? stdout;
      try {
        return await this.runCommand(command, { stdin: input, stdout: output, stderr });
      } catch (error) {
        // Each part of a pipeline is a shell of its own.
        if (error instanceof ExitShell) return error.status;
        throw error;
      } finally {
        if (i > 0) input.close();
        if (i < pipes.length) output.close();
      }
    });
    return (await Promise.all(parts)).at(-1) ?? 0;
  }

  private async runCommand(command: Command, given: Three): Promise<number> {
    const files: (FileOutput | Input)[] = [];
    let streams = given;
    try {
      for (const redirection of command.redirections) {
        streams = this.redirect(redirection, streams, files);
      }
    } catch (error) {
      for (const file of files) file.close();
      if (!(error instanceof RedirectionError)) throw error;
      this.complain(command.line, error.message, streams.stderr);
      return 2;
    }
    const argv: string[] = [];
    let status: number;
    try {
      argv.push(...command.words.flatMap((word) => this.expand(word)));
      status = await this.execute(command, argv, streams);
    } catch (error) {
      if (!(error instanceof ArithmeticError)) throw error;
      this.complain(command.line, error.message, streams.stderr);
      status = 2;
    } finally {
      for (const file of files) file.close();
    }
    const failed = files.find((file) => file instanceof FileOutput && file.error !== null);
    if (!(failed instanceof FileOutput)) return status;
    const name = argv[0] ?? '';
    this.complain(command.line, `${name}: write error: ${reasonOf(failed.error)}`, given.stderr);
    return status === 0 ? 1 : status;
  }

  private async execute(
    command: Command,
    argv: readonly string[],
    streams: Three,
  ): Promise<number> {
    const assigned = command.assignments.map(
      ({ name, value }) => [name, this.expandOne(value)] as const,
    );
    const name = argv[0];
    if (name === undefined) {
      for (const [variable, value] of assigned) this.variables.set(variable, value);
      return 0;
    }
    const builtin = Object.hasOwn(BUILTINS, name) ? BUILTINS[name] : undefined;
    if (builtin !== undefined) {
      const complain = (text: string): void => this.complain(command.line, text, streams.stderr);
      return builtin({ shell: this, argv, stdout: streams.stdout, complain });
    }
    const main = this.p.find(name);
    if (main === null) {
      this.complain(command.line, `${name}: not found`, streams.stderr);
      return 127;
    }
    return this.spawn(main, argv, streams, assigned);
  }

  private spawn(
    main: Main,
    argv: readonly string[],
    streams: Three,
    assigned: readonly (readonly [name: string, value: string])[],
  ): Promise<number> {
    const env: Record<string, string> = {};
    for (const name of this.exported) {
      const value = this.variables.get(name);
      if (value !== undefined) env[name] = value;
    }
    for (const [name, value] of assigned) env[name] = value;
    return this.p.spawn(main, argv, { ...streams, env });
  }

  private redirect(
    { fd, how, to }: Redirection,
    streams: Three,
    files: (FileOutput | Input)[],
  ): Three {
    const target = this.expandOne(to);
    if (how === '>&') {
      const copy = target === '1' ? streams.stdout : target === '2' ? streams.stderr : null;
      if (copy === null) throw new RedirectionError('Bad fd number');
      return fd === 2 ? { ...streams, stderr: copy } : { ...streams, stdout: copy };
    }
    if (how === '<') {
      const input = this.openInput(target);
      files.push(input);
      return { ...streams, stdin: input };
    }
    const output = this.openOutput(target, how === '>>', files);
    if (how === '&>') return { ...streams, stdout: output, stderr: output };
    return fd === 2 ? { ...streams, stderr: output } : { ...streams, stdout: output };
  }

  private openInput(path: string): Input {
    if (path === '/dev/null') return NO_INPUT;
    const fd = this.p.sys.open(path, O_RDONLY);
    if (fd < 0) {
      const why = fd === -ENOENT ? 'No such file' : reasonOf(new SystemError(fd, 'open'));
      throw new RedirectionError(`cannot open ${path}: ${why}`);
    }
    const { libc } = this.p;
    return {
      read: async () => {
        const buf = new Uint8Array(65536);
        const length = await libc.read(fd, buf);
        return length === 0 ? null : buf.subarray(0, length);
      },
      close: () => void this.p.sys.close(fd),
    };
  }

  private openOutput(path: string, append: boolean, files: (FileOutput | Input)[]): Output {
    if (path === '/dev/null') return NO_OUTPUT;
    const flags = O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC);
    const fd = this.p.sys.open(path, flags);
    if (fd < 0) {
      const why = fd === -ENOENT ? 'Directory nonexistent' : reasonOf(new SystemError(fd, 'open'));
      throw new RedirectionError(`cannot create ${path}: ${why}`);
    }
    const output = new FileOutput(this.p, fd);
    files.push(output);
    return output;
  }

  /** The value of `$name`. */
  private valueOf(name: string): string {
    if (name === '?') return String(this.status);
    if (name === '#') return String(Math.max(0, this.parameters.length - 1));
    if (name === '$') return String(this.p.sys.getpid());
    if (name === '!') return '';
    if (/^\d$/.test(name)) return this.parameters[Number(name)] ?? '';
    return this.variables.get(name) ?? '';
  }

  /** A word as one text. */
  private expandOne(word: Word): string {
    return word.map((piece) => this.textOf(piece)).join('');
  }

  private textOf({ kind, text }: Piece): string {
    if (kind === 'text') return text;
    if (kind === 'variable') return this.valueOf(text);
    // Variables may stand with a `$` too.
    const plain = text.replaceAll(/\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?/g, '$1');
    return String(evaluateArithmetic(plain, (name) => this.valueOf(name)));
  }

  /** A word as the arguments it becomes: what a variable has is split at blanks unless it is quoted. */
  private expand(word: Word): string[] {
    const fields: string[] = [];
    let open: string | null = null;
    for (const piece of word) {
      const { kind, quoted } = piece;
      const value = this.textOf(piece);
      if (kind === 'text' || quoted) {
        open = (open ?? '') + value;
        continue;
      }
      const parts = value.split(/[ \t\n]+/);
      parts.forEach((part, i) => {
        if (i > 0 && open !== null) {
          fields.push(open);
          open = null;
        }
        if (part !== '') open = (open ?? '') + part;
      });
    }
    if (open !== null) fields.push(open);
    return fields;
  }
}
