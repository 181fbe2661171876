/** The command `softnet` as a process of its own, built once for a test file. */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

/** Where tsx is, so that it is found from any folder. */
const TSX = import.meta.resolve('tsx');

export interface Ended {
  /** Exit status; null when a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Folder it runs in; the clone by default. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads; by default standard input is empty. */
  readonly input?: string;
  /** Commands in front, e.g. setpriv with its options. */
  readonly under?: readonly string[];
  /** Run from the sources rather than from the bundle: slower, but each function knows its file. */
  readonly source?: boolean;
  /** Sent once standard output or standard error contains the text. */
  readonly signalAfter?: readonly [text: string, signal: NodeJS.Signals];
}

const FROM_SOURCE = ['--import', TSX, '--conditions=softnet-source', join(ROOT, 'src/cli/main.ts')];

/** A command that goes on longer has hung; it is ended and the test told. */
const HANG_MS = 120_000;

export class Softnet {
  private readonly folder: string;
  private readonly main: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.main = join(folder, 'main.js');
  }

  /** Bundles the command, two folders below the clone like dist/cli, so that it finds its package. */
  static async build(): Promise<Softnet> {
    const softnet = new Softnet(join(ROOT, 'out', `command-${process.pid}`));
    mkdirSync(softnet.folder, { recursive: true });
    await build({
      // Threads begin with a module of their own.
      entryPoints: ['main', 'split_worker', 'stack_worker'].map((name) =>
        join(ROOT, `src/cli/${name}.ts`),
      ),
      outdir: softnet.folder,
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      packages: 'external',
      conditions: ['softnet-source'],
      logLevel: 'silent',
    });
    return softnet;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs it to its end. */
  run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const [command = '', ...rest] = [
      ...(options.under ?? []),
      process.execPath,
      ...(options.source === true ? FROM_SOURCE : [this.main]),
      ...args,
    ];
    return new Promise((resolve, reject) => {
      const child = spawn(command, rest, {
        cwd: options.cwd ?? ROOT,
        env: { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', ...options.env },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      let stdout = '';
      let stderr = '';
      let told = false;
      const heard = (): void => {
        const [text, signal] = options.signalAfter ?? ['', 'SIGTERM'];
        if (told || text === '' || !(stdout + stderr).includes(text)) return;
        told = true;
        child.kill(signal);
      };
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        stdout += chunk;
        heard();
      });
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        stderr += chunk;
        heard();
      });
      const hung = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`softnet ${args.join(' ')} hangs\n${stdout}${stderr}`));
      }, HANG_MS);
      child.on('error', reject);
      child.on('close', (status, signal) => {
        clearTimeout(hung);
        resolve({ status, signal, stdout, stderr });
      });
      // Whoever does not read what it is given closes early.
      child.stdin.on('error', () => {});
      child.stdin.end(options.input ?? '');
    });
  }
}
