/** Network namespaces of the real kernel for interop tests. Everything made here is removed again. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';

export const ROOT: string = new URL('../../', import.meta.url).pathname;

/** Why interop tests cannot run here; null when they can. */
export function whyNoInterop(...tools: readonly string[]): string | null {
  if (process.platform !== 'linux') return 'not Linux';
  if (process.getuid?.() !== 0) return 'not root';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun';
  for (const tool of ['ip', ...tools]) {
    if (!hasTool(tool)) return `no ${tool}`;
  }
  try {
    execFileSync('ip', ['netns', 'add', `softnet-probe-${process.pid}`], { stdio: 'ignore' });
    execFileSync('ip', ['netns', 'del', `softnet-probe-${process.pid}`], { stdio: 'ignore' });
  } catch {
    return 'network namespaces cannot be made';
  }
  return null;
}

function hasTool(tool: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A namespace; `ip netns del` and the processes' end are in {@link Netns.remove}. */
export class Netns {
  readonly name: string;
  private readonly children: ChildProcess[];

  constructor(label: string) {
    this.name = `softnet-${label}-${process.pid}`;
    this.children = [];
    execFileSync('ip', ['netns', 'add', this.name]);
    this.must('ip', 'link', 'set', 'lo', 'up');
  }

  /** Runs a command to its end. */
  run(command: string, ...args: readonly string[]): Promise<Outcome> {
    return new Promise((resolve) => {
      execFile(
        'ip',
        ['netns', 'exec', this.name, command, ...args],
        { maxBuffer: 64 * 1024 * 1024, encoding: 'utf8' },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
          resolve({ status: code, stdout, stderr });
        },
      );
    });
  }

  /** Runs a command that must succeed; its output. */
  must(command: string, ...args: readonly string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.name, command, ...args], { encoding: 'utf8' });
  }

  /** Starts a command that goes on. */
  start(command: string, ...args: readonly string[]): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.name, command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: ROOT,
    });
    this.children.push(child);
    return child;
  }

  /** Starts `softnet` with these arguments; resolves when it says `ready`. */
  async softnet(...args: readonly string[]): Promise<ChildProcess> {
    const child = this.start(
      process.execPath,
      '--import',
      'tsx',
      '--conditions=softnet-source',
      'src/cli/main.ts',
      ...args,
    );
    await said(child, 'ready');
    return child;
  }

  async remove(): Promise<void> {
    await Promise.all(this.children.map((child) => ended(child, 'SIGTERM')));
    execFileSync('ip', ['netns', 'del', this.name]);
  }
}

/** Resolves when a child has printed `word`; rejects when it ends before. */
export function said(child: ChildProcess, word: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const look = (chunk: Buffer): void => {
      text += chunk.toString();
      if (text.includes(word)) resolve();
    };
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    child.once('exit', (code) => reject(new Error(`ended with ${code} before '${word}': ${text}`)));
  });
}

/** Sends a signal to a child, unless it has ended, and resolves with its exit status. */
export function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code));
    child.kill(signal);
  });
}
