/**
 * A softnet machine on which the tests of the tools run programs one after the other.
 */
import { setImmediate } from 'node:timers';
import type { Machine } from '#kernel/machine.ts';
import { World } from '#sim/world.ts';
import { type Main, Process, runProcess } from '#user/lib/process.ts';
import { Collector, encodeText, inputFrom } from '#user/lib/streams.ts';
import { findProgram } from '#user/sh/sh.ts';
import type { Outcome } from './native.ts';

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

/** Virtual time that one command may take. */
const PATIENCE_NS = 120e9;

export class Box {
  readonly world: World;
  readonly machine: Machine;

  constructor(seed: number | string = 1, name = 'box') {
    this.world = new World({ seed, turn });
    this.machine = this.world.boot(name);
  }

  /** Runs a program to its end, in virtual time. */
  async run(
    argv: readonly string[],
    stdin = '',
    machine: Machine = this.machine,
  ): Promise<Outcome> {
    const [name = ''] = argv;
    const main = findProgram(name);
    if (main === null) return { status: 127, stdout: '', stderr: `${name}: not found\n` };
    return this.runMain(main, argv, stdin, machine);
  }

  async runMain(
    main: Main,
    argv: readonly string[],
    stdin = '',
    machine: Machine = this.machine,
  ): Promise<Outcome> {
    const stdout = new Collector();
    const stderr = new Collector();
    const program = this.world.spawn(machine, argv[0] ?? '', (sys, fork) => {
      const p = new Process({
        sys,
        argv,
        stdin: inputFrom(encodeText(stdin)),
        stdout,
        stderr,
        fork,
        programs: findProgram,
      });
      return runProcess(main, p);
    });
    await this.world.runPrograms({
      untilNs: this.world.nowNs + PATIENCE_NS,
      until: () => program.status !== null,
    });
    if (program.error !== null) throw program.error;
    return { status: program.status ?? -1, stdout: stdout.text(), stderr: stderr.text() };
  }

  /** Runs a shell script. */
  sh(script: string): Promise<Outcome> {
    return this.run(['sh', '-c', script]);
  }

  /** Halts everything; what is still alive, empty when all is well. */
  halt(): Record<string, Record<string, number>> {
    return this.world.halt();
  }
}
