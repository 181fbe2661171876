/** A machine without net/, for tests of files: its clock stands still unless the test moves it. */

import { devtmpfsModule } from '#fs/devtmpfs.ts';
import { eventpollModule } from '#fs/eventpoll.ts';
import { nsfsModule } from '#fs/nsfs.ts';
import { procModule } from '#fs/proc/proc.ts';
import { tmpfsModule } from '#fs/shmem.ts';
import { pipefsModule } from '#fs/splice.ts';
import { sysfsModule } from '#fs/sysfs/net_sysfs.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { NetGlobals } from '#include/net/net_globals.ts';
import { TraceEvents } from '#include/trace/events/events.ts';
import { liveReport } from '#kernel/live.ts';
import { Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { doInitcalls } from '#kernel/module.ts';
import { NotifierChain } from '#kernel/notifier.ts';
import { createTask, exitTask, type Task } from '#kernel/sched/task.ts';
import { bpfModule } from '#net/core/filter.ts';
import { netNsInit } from '#net/core/net_namespace.ts';
import { netProcModule } from '#net/core/net_procfs.ts';
import { sysctlCoreModule } from '#net/core/sysctl_net_core.ts';

export class BareHost implements MachineHost {
  clock = 0;
  kicks = 0;
  readClock(): number {
    return this.clock;
  }
  kick(): void {
    this.kicks++;
  }
  timerChanged(): void {}
}

/** All that lies at `/`, the calls about files, and filters. */
const FILE_SYSTEMS: readonly KernelModule[] = [
  bpfModule,
  devtmpfsModule,
  eventpollModule,
  nsfsModule,
  pipefsModule,
  netProcModule,
  procModule,
  sysctlCoreModule,
  sysfsModule,
  tmpfsModule,
];

export class BareMachine {
  readonly host: BareHost = new BareHost();
  readonly machine: Machine;
  readonly task: Task;

  constructor() {
    this.machine = new Machine({
      name: 'm',
      host: this.host,
      seed: 1,
      bootEpochSec: 1_000_000_000,
      trace: new TraceEvents(),
    });
    this.machine.netGlobals = new NetGlobals(
      new NotifierChain(),
      new NotifierChain(),
      new NotifierChain(),
      new NotifierChain(),
    );
    this.machine.initNet = netNsInit(this.machine);
    doInitcalls(this.machine, FILE_SYSTEMS);
    this.task = createTask(this.machine, 'test', this.machine.initNet);
  }

  /** Lets woken tasks run, as the host does after a kick. */
  settle(): void {
    runPending(this.machine);
  }

  /** Moves the clock and lets timers and tasks run. */
  advance(ns: number): void {
    this.host.clock += ns;
    this.machine.enter(this.host.clock);
    runTimers(this.machine);
    this.settle();
  }

  /** Ends the task; what is still alive then, by kind. */
  end(): Record<string, number> {
    exitTask(this.task, 0);
    this.settle();
    return liveReport(this.machine);
  }
}
