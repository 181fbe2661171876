/**
 * A machine: everything that one running kernel owns. There is no other global state.
 *
 * The machine is closed and synchronous. It learns the time and receives interrupts from its host
 * (`sim/` in virtual time, `host/` in real time) and asks the host to call back through
 * {@link MachineHost}. Every entry from the host first sets `nowNs`.
 */
import type { Cpu } from '#kernel/cpu.ts';
import type { IrqTable } from '#kernel/irq.ts';
import type { LiveCounters } from '#kernel/live.ts';
import type { Rcu } from '#kernel/rcu.ts';
import type { Rtnl } from '#kernel/rtnl.ts';
import type { TaskTable } from '#kernel/sched/task.ts';
import type { SoftirqAction } from '#kernel/softirq.ts';
import type { SysctlTable } from '#kernel/sysctl.ts';
import type { HrtimerBase } from '#kernel/time/hrtimer.ts';
import type { TimerBase } from '#kernel/time/timer.ts';
import type { WorkQueue } from '#kernel/workqueue.ts';
import type { Prandom } from '#lib/prandom.ts';
import type { NetGlobals } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { TraceEvents } from '#include/trace/events/events.ts';

/** Timer ticks a second. One jiffy is one millisecond, as in a kernel built with CONFIG_HZ_1000. */
export const HZ = 1000;

/** Jiffies at boot: five minutes before the 32-bit wrap. @kernel INITIAL_JIFFIES include/linux/jiffies.h */
export const INITIAL_JIFFIES: number = (-300 * HZ) | 0;

/** What a machine may ask of the world that runs it. */
export interface MachineHost {
  /** Precise time in ns since the host's epoch; `machine.nowNs` is the value cached at entry. */
  readClock(): number;
  /** The machine has work to do now outside an interrupt: soft interrupts, woken tasks, works. */
  kick(machine: Machine): void;
  /** The earliest timer of the machine has changed; `machine.nextExpiry()` tells it. */
  timerChanged(machine: Machine): void;
}

export class Machine {
  readonly name: string;
  readonly host: MachineHost;
  /** Seeded random numbers of this machine; the only source of randomness in its kernel. */
  readonly random: Prandom;
  /** Monotonic time in ns since boot, as of the last entry. Doubles are exact for 104 days. */
  nowNs: number;
  /** Seconds since the Unix epoch at boot, so that wall time is `bootEpochSec + nowNs / 1e9`. */
  readonly bootEpochSec: number;
  /** Ticks since boot plus INITIAL_JIFFIES, int32, always in step with `nowNs`. */
  jiffies: number;
  /** Tracepoints of this machine. */
  readonly trace: TraceEvents;
  readonly cpus: Cpu[];
  /** The CPU on which the present code runs. @kernel smp_processor_id include/linux/smp.h */
  cpu: Cpu;
  readonly live: LiveCounters;
  readonly softirqVec: SoftirqAction[];
  readonly irqs: IrqTable;
  readonly timers: TimerBase;
  readonly hrtimers: HrtimerBase;
  readonly rcu: Rcu;
  readonly works: WorkQueue;
  readonly rtnl: Rtnl;
  readonly tasks: TaskTable;
  readonly sysctl: SysctlTable;
  /** What net/ keeps once per kernel: families, packet types, qdiscs, per-CPU softnet_data. */
  readonly netGlobals: NetGlobals;
  /** @kernel init_net net/core/net_namespace.c */
  readonly initNet: Net;
  // The constructor lives with its parts: see the rest of this file.
  constructor() {
    throw new Error('replaced by the owner of kernel/');
  }
}
