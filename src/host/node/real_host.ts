/**
 * A machine in real time on Node's event loop.
 *
 * The clock is Node's monotonic one (nanosecond resolution, some 40 ns a read). A kick runs in the
 * next turn of the loop, so that a machine under load hands the loop back after each softirq budget.
 * Timers have the resolution of setTimeout, one millisecond, which is the machine's jiffy too.
 */
import { performance } from 'node:perf_hooks';
import { type BootOptions, bootMachine, haltMachine } from '#init/main.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { liveReport } from '#kernel/live.ts';
import { type Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { createTask } from '#kernel/sched/task.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

/** What a real machine needs beyond its name; the rest has good defaults. */
export type RealBootOptions = Omit<BootOptions, 'host' | 'bootEpochSec' | 'seed'> & {
  readonly seed?: number | string;
};

export class RealHost implements MachineHost {
  private readonly startMs: number;
  private kicked: NodeJS.Immediate | null;
  private timer: NodeJS.Timeout | null;
  private timerNs: number;
  private stopped: boolean;
  /** Called after each entry into the machine: doors flush what it has sent. */
  readonly afterEntry: (() => void)[];
  /** Called when the machine throws; by default the error ends the process. */
  onError: (error: unknown) => void;

  constructor() {
    this.startMs = performance.now();
    this.kicked = null;
    this.timer = null;
    this.timerNs = Number.POSITIVE_INFINITY;
    this.stopped = false;
    this.afterEntry = [];
    this.onError = (error) => {
      throw error;
    };
  }

  readClock(): number {
    return Math.round((performance.now() - this.startMs) * 1e6);
  }

  kick(machine: Machine): void {
    if (this.kicked !== null || this.stopped) return;
    this.kicked = setImmediate(() => {
      this.kicked = null;
      this.enter(machine, runPending);
    });
  }

  timerChanged(machine: Machine): void {
    if (this.stopped) return;
    const expiry = machine.nextExpiry();
    if (this.timer !== null && this.timerNs <= expiry) return;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (expiry === Number.POSITIVE_INFINITY) return;
    this.timerNs = expiry;
    // setTimeout takes at most 2^31 - 1 ms; an early call only finds nothing to do.
    const delayMs = Math.min(Math.max((expiry - this.readClock()) / 1e6, 0), 0x7fffffff);
    this.timer = setTimeout(() => {
      this.timer = null;
      this.enter(machine, (m) => {
        if (m.nextExpiry() <= m.nowNs) runTimers(m);
      });
      if (this.timer === null) this.timerChanged(machine);
    }, Math.ceil(delayMs));
  }

  /**
   * Tells a machine the present time, for what is only put down in it and looked at later; false: stopped.
   * Who then enters it hands what it throws to `onError`.
   */
  tellTime(machine: Machine): boolean {
    if (this.stopped) return false;
    machine.enter(this.readClock());
    return true;
  }

  /** Enters the machine at the present time: the way in for doors and for programs' system calls. */
  enter(machine: Machine, work: (machine: Machine) => void): void {
    if (this.stopped) return;
    machine.enter(this.readClock());
    try {
      work(machine);
    } catch (error) {
      this.onError(error);
    }
    this.left();
  }

  /** The machine has been left: what it sent goes out. */
  left(): void {
    // From the end, so that a door that closes takes nobody else's turn.
    for (let i = this.afterEntry.length - 1; i >= 0; i--) this.afterEntry[i]?.();
  }

  /** Stops all calls into the machine. */
  stop(): void {
    this.stopped = true;
    if (this.kicked !== null) clearImmediate(this.kicked);
    if (this.timer !== null) clearTimeout(this.timer);
    this.kicked = null;
    this.timer = null;
  }
}

/** Boots a machine in real time. Its seed is drawn from the clock unless given. */
export function bootReal(options: RealBootOptions): { machine: Machine; host: RealHost } {
  const host = new RealHost();
  const machine = bootMachine({
    ...options,
    host,
    seed: options.seed ?? `${Date.now()}/${process.pid}/${performance.now()}`,
    bootEpochSec: Date.now() / 1000,
  });
  host.timerChanged(machine);
  return { machine, host };
}

/** Halts a machine in real time and stops its host. What is still alive then, by name: nothing. */
export function haltReal(machine: Machine, host: RealHost): Record<string, number> {
  machine.enter(host.readClock());
  haltMachine(machine);
  host.stop();
  return liveReport(machine);
}

/** The system calls of a new task on a machine in real time. */
export function forkReal(machine: Machine, host: RealHost, name: string): SyscallTable {
  return realSyscalls(host, makeSyscalls(createTask(machine, name, machine.initNet)));
}

/** The system calls of a task for programs in real time: what a call sends leaves at once. */
function realSyscalls(host: RealHost, sys: SyscallTable): SyscallTable {
  const wrapped: Record<string, unknown> = {};
  for (const [name, call] of Object.entries(sys) as [string, (...args: unknown[]) => unknown][]) {
    wrapped[name] = (...args: unknown[]): unknown => {
      const result = call.apply(sys, args);
      host.left();
      return result;
    };
  }
  return wrapped as unknown as SyscallTable;
}
