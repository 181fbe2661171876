/** Plays cases on the real kernel, by a Python process whose sockets are the kernel's. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Case, StepResult } from './steps.ts';

interface Waiting {
  resolve(results: StepResult[]): void;
  reject(error: Error): void;
}

export class KernelPlayer {
  private readonly child: ChildProcess;
  private readonly waiting: Waiting[];
  private stderr: string;
  private ended: boolean;

  constructor() {
    this.waiting = [];
    this.stderr = '';
    this.ended = false;
    this.child = spawn('python3', [join(import.meta.dirname, 'kernel_worker.py')], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    if (this.child.stdout === null) throw new Error('no pipe');
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.waiting.shift()?.resolve(JSON.parse(line));
    });
    // Writing to a process that has ended: `close` tells why it has.
    this.child.stdin?.on('error', () => {});
    this.child.once('close', () => {
      this.ended = true;
      for (const { reject } of this.waiting.splice(0)) {
        reject(new Error(`kernel_worker.py ended: ${this.stderr}`));
      }
    });
  }

  /** @param settleMs how long to wait for frames after each step; 0: those of the same moment */
  play({ steps }: Case, settleMs: number): Promise<StepResult[]> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(new Error(`kernel_worker.py has ended: ${this.stderr}`));
      this.waiting.push({ resolve, reject });
      this.child.stdin?.write(`${JSON.stringify({ steps, settle: settleMs })}\n`);
    });
  }

  /** Ends the process, and with it its namespace. */
  close(): void {
    this.child.stdin?.end();
  }
}
