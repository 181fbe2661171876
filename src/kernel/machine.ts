/**
 * A machine: everything that one running kernel owns. There is no other global state.
 *
 * The machine is closed and synchronous. It learns the time and receives interrupts from its host
 * (`sim/` in virtual time, `host/` in real time) and asks the host to call back through
 * {@link MachineHost}. Every entry from the host first sets `nowNs`.
 */
import type { DirectoryNode } from '#fs/namei.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { PciHost } from '#include/linux/pci.ts';
import type { ShmemMount } from '#include/linux/shmem_fs.ts';
import type { VirtioBus } from '#include/linux/virtio.ts';
import type { NetGlobals } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { TraceEvents } from '#include/trace/events/events.ts';
import { KernelBug } from '#kernel/bug.ts';
import { Cpu } from '#kernel/cpu.ts';
import { deliverPendingIrqs, IrqTable } from '#kernel/irq.ts';
import { LiveCounters } from '#kernel/live.ts';
import { HZ, INITIAL_JIFFIES } from '#kernel/param.ts';
import { ModuleParams } from '#kernel/params.ts';
import { Rcu, rcuCore } from '#kernel/rcu.ts';
import { Rtnl } from '#kernel/rtnl.ts';
import { type CpuCosts, nextResume } from '#kernel/sched/cpu_cost.ts';
import { runCpus } from '#kernel/sched/cpu_run.ts';
import { runTasks, type Task, TaskTable } from '#kernel/sched/task.ts';
import { flushSmpCallFunctionQueue } from '#kernel/smp.ts';
import {
  HRTIMER_SOFTIRQ,
  irqEnter,
  irqExit,
  NR_SOFTIRQS,
  openSoftirq,
  RCU_SOFTIRQ,
  runKsoftirqd,
  type SoftirqAction,
  TASKLET_SOFTIRQ,
  TIMER_SOFTIRQ,
  taskletAction,
} from '#kernel/softirq.ts';
import { CondSyscalls } from '#kernel/sys_ni.ts';
import { SysctlTable } from '#kernel/sysctl.ts';
import { HrtimerBase, hrtimerRunQueues, hrtimerRunSoftirq } from '#kernel/time/hrtimer.ts';
import { NS_PER_TICK, runLocalTimers, runTimerSoftirq, TimerBase } from '#kernel/time/timer.ts';
import { runWorks, WorkQueue } from '#kernel/workqueue.ts';
import { Prandom } from '#lib/prandom.ts';

export { HZ };

/** What a machine may ask of the world that runs it. */
export interface MachineHost {
  /** Precise time in ns since the host's epoch; `machine.nowNs` is the value cached at entry. */
  readClock(): number;
  /** The machine has work to do now outside an interrupt: soft interrupts, woken tasks, works. */
  kick(machine: Machine): void;
  /** The earliest timer of the machine has changed; `machine.nextExpiry()` tells it. */
  timerChanged(machine: Machine): void;
}

export interface MachineOptions {
  readonly name: string;
  readonly host: MachineHost;
  /** Seed of the machine's random numbers. */
  readonly seed: number | string;
  /** CPUs; 1 by default. */
  readonly cpus?: number;
  /** Wall time at boot, in seconds since the Unix epoch. */
  readonly bootEpochSec: number;
  readonly trace: TraceEvents;
  /** What work costs its CPUs in virtual time; null, the default: nothing. */
  readonly costs?: CpuCosts | null;
}

/** A running kernel. Made by `bootMachine` of init/main.ts, which also sets up net/. */
export class Machine {
  readonly name: string;
  readonly host: MachineHost;
  /** Seeded random numbers of this machine; the only source of randomness in its kernel. */
  readonly random: Prandom;
  /** Monotonic time in ns since boot, as of the last entry. Doubles are exact for 104 days. */
  nowNs: number;
  /** Seconds since the Unix epoch at boot, so that wall time is `bootEpochSec + nowNs / 1e9`. */
  readonly bootEpochSec: number;
  /** Whole ticks since boot: does not wrap. */
  tick: number;
  /** Ticks since boot plus INITIAL_JIFFIES, int32, always in step with `nowNs`. */
  jiffies: number;
  /** When the next tick strikes: until then nothing is to be divided. */
  private nextTickNs: number;
  /** Tracepoints of this machine. */
  readonly trace: TraceEvents;
  readonly cpus: Cpu[];
  /** What work costs its CPUs; null: nothing, all work of an instant is done in it. */
  readonly costs: CpuCosts | null;
  /** The CPU on which the present code runs. @kernel smp_processor_id include/linux/smp.h */
  cpu: Cpu;
  readonly live: LiveCounters;
  readonly softirqVec: SoftirqAction[];
  readonly irqs: IrqTable;
  readonly timers: TimerBase;
  readonly hrtimers: HrtimerBase;
  /** Those whose functions run in a soft interrupt. */
  readonly hrtimersSoft: HrtimerBase;
  readonly rcu: Rcu;
  readonly works: WorkQueue;
  readonly rtnl: Rtnl;
  readonly tasks: TaskTable;
  /** Settings of the machine as a whole; those of a namespace are in `Net.sysctl`. */
  readonly sysctl: SysctlTable;
  /** Parameters of modules: /sys/module. */
  readonly params: ModuleParams;
  /** What the kernel is made of, in the order in which it came up. */
  readonly modules: KernelModule[];
  /** System calls that modules provide. */
  readonly syscalls: CondSyscalls;
  /** What stands at `/`: the trees of file systems by their names there. @kernel mount include/linux/fs_struct.h */
  readonly mounts: Map<string, (task: Task) => DirectoryNode>;
  /** It has been halted, and nothing can be started on it any more. */
  halted: boolean;
  /** Name in uname and the prompt. @kernel init_uts_ns init/version.c */
  hostname: string;
  private pciHost: PciHost | null;
  /** virtio devices and their drivers: set by virtioInit(). */
  virtio!: VirtioBus;
  /** What net/ keeps once per kernel: set at boot, before anything can ask for it. */
  netGlobals!: NetGlobals;
  /** /tmp: set by shmemInit(). @kernel shm_mnt mm/shmem.c */
  shmMnt!: ShmemMount;
  /** @kernel init_net net/core/net_namespace.c */
  initNet!: Net;

  /** @kernel softirq_init kernel/softirq.c */
  constructor(options: MachineOptions) {
    const { cpus = 1 } = options;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64) {
      throw new RangeError(`a machine has 1 to 64 CPUs, not ${cpus}`);
    }
    this.name = options.name;
    this.host = options.host;
    this.random = new Prandom(options.seed);
    this.nowNs = 0.5;
    this.nowNs = 0;
    this.bootEpochSec = options.bootEpochSec;
    this.tick = 0;
    this.jiffies = INITIAL_JIFFIES;
    this.nextTickNs = 0.5;
    this.nextTickNs = NS_PER_TICK;
    this.trace = options.trace;
    this.cpus = [];
    this.costs = options.costs ?? null;
    for (let id = 0; id < cpus; id++) this.cpus.push(new Cpu(this, id));
    this.cpu = this.cpus[0] as Cpu;
    this.live = new LiveCounters();
    this.softirqVec = new Array<SoftirqAction>(NR_SOFTIRQS).fill(noSoftirq);
    this.irqs = new IrqTable(cpus);
    this.timers = new TimerBase();
    this.hrtimers = new HrtimerBase();
    this.hrtimersSoft = new HrtimerBase();
    this.rcu = new Rcu();
    this.works = new WorkQueue();
    this.rtnl = new Rtnl();
    this.tasks = new TaskTable();
    this.sysctl = new SysctlTable();
    this.params = new ModuleParams();
    this.pciHost = null;
    this.modules = [];
    this.syscalls = new CondSyscalls();
    this.mounts = new Map();
    this.halted = false;
    this.hostname = options.name;
    openSoftirq(this, TIMER_SOFTIRQ, runTimerSoftirq);
    openSoftirq(this, TASKLET_SOFTIRQ, taskletAction);
    openSoftirq(this, HRTIMER_SOFTIRQ, hrtimerRunSoftirq);
    openSoftirq(this, RCU_SOFTIRQ, rcuCore);
  }

  /** The PCI bus, its devices and their drivers. Throws KernelBug without the module `pci`. */
  get pci(): PciHost {
    if (this.pciHost === null) throw new KernelBug('no-pci', 'this kernel has no module pci');
    return this.pciHost;
  }
  set pci(host: PciHost) {
    this.pciHost = host;
  }

  /** The host enters the machine: time is now `nowNs` since boot. Time never goes back. */
  enter(nowNs: number): void {
    if (nowNs <= this.nowNs) return;
    this.nowNs = nowNs;
    if (nowNs < this.nextTickNs) return;
    const tick = Math.floor(nowNs / NS_PER_TICK);
    this.tick = tick;
    this.nextTickNs = (tick + 1) * NS_PER_TICK;
    this.jiffies = (tick + INITIAL_JIFFIES) | 0;
  }

  /** When the machine next has something to do by itself, in ns since boot; Infinity: never. */
  nextExpiry(): number {
    const next = this.nextTimer();
    return this.costs === null ? next : Math.min(next, nextResume(this));
  }

  /** When the next timer expires, in ns since boot; Infinity: there is none. */
  nextTimer(): number {
    const tickNs = this.timers.next() * NS_PER_TICK;
    const { first } = this.hrtimers;
    let next = first !== null && first.expiresNs < tickNs ? first.expiresNs : tickNs;
    const soft = this.hrtimersSoft;
    if (!soft.softirqActivated && soft.first !== null) next = Math.min(next, soft.first.expiresNs);
    return next;
  }
}

function noSoftirq(): void {}

/** The timer interrupt, on the first CPU: called by the host when `nextExpiry()` has come. @kernel hrtimer_interrupt kernel/time/hrtimer.c */
export function runTimers(machine: Machine): void {
  const { costs, nowNs } = machine;
  if (costs === null || machine.nextTimer() <= nowNs) timerInterrupt(machine);
  // Or the time has come for what a busy CPU put off.
  if (costs !== null) runCpus(machine);
}

function timerInterrupt(machine: Machine): void {
  machine.cpu = machine.cpus[0] as Cpu;
  irqEnter(machine);
  hrtimerRunQueues(machine);
  runLocalTimers(machine);
  irqExit(machine);
  deliverPendingIrqs(machine);
}

/**
 * What a machine does when it is kicked: inter-processor interrupts and ksoftirqd of each CPU, then
 * works and woken tasks.
 */
export function runPending(machine: Machine): void {
  if (machine.costs !== null) {
    runWorks(machine);
    runCpus(machine);
    return;
  }
  const { cpus } = machine;
  for (let i = 0; i < cpus.length; i++) {
    const cpu = cpus[i] as Cpu;
    machine.cpu = cpu;
    if (cpu.callHead !== null) flushSmpCallFunctionQueue(machine, cpu);
    runKsoftirqd(machine, cpu);
  }
  machine.cpu = cpus[0] as Cpu;
  runWorks(machine);
  runTasks(machine);
}
