/**
 * Tasks: programs that run on a machine. Counterpart of include/linux/sched.h.
 *
 * The kernel knows of a program only its descriptors, its namespace and what it waits in. Waking
 * queues such a wait; the host runs the queue as an event of its own, in order.
 */

import type { PageFrag } from '#include/linux/mm_types_task.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { KernelBug } from '#kernel/bug.ts';
import type { Cpu } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { FilesStruct } from '#kernel/sched/file.ts';
import { EINVAL } from '#uapi/errno.ts';

/**
 * One sleep of a program. It stands among those of its task, whose exit ends it, and in the run
 * queue of the machine once it was woken.
 */
export interface Wait {
  nextWait: Wait | null;
  prevWait: Wait | null;
  nextRun: Wait | null;
  /** Stands in the run queue. */
  queued: boolean;
  /** The program's turn. */
  run(): void;
  /** Ends the sleep without a word to the program. */
  cancel(): void;
}

/**
 * A sleep in the middle of a system call that the kernel ends by itself: whoever made the call may go on
 * meanwhile, or wait until it has returned.
 */
export interface CallWait extends Wait {
  /** Told when the call has returned after its sleep; null: nobody waits for it. */
  returned: (() => void) | null;
}

/** @kernel task_struct include/linux/sched.h */
export class Task {
  readonly machine: Machine;
  readonly pid: number;
  /** Name of the program. */
  readonly comm: string;
  net: Net;
  readonly files: FilesStruct;
  /** Where its system calls run: the first CPU that it may use. @kernel task_cpu include/linux/sched.h */
  cpu: Cpu;
  /** By CPU, 1: it may use it. @kernel task_struct include/linux/sched.h */
  readonly cpusMask: Uint8Array;
  /** Null while the task lives. */
  exitCode: number | null;
  /** What the program waits in, the newest first. */
  waits: Wait | null;
  /** Where the latest system call still sleeps; null: it has returned. */
  callWait: CallWait | null;
  /** Packet memory that the program has mapped; null: none yet. */
  mapped: Set<Uint8Array> | null;
  /** The page that what it sends is copied to, whatever the socket. @kernel task_frag include/linux/sched.h */
  taskFrag: PageFrag | null;
  /** Things to undo when the task exits. */
  readonly onExit: (() => void)[];

  constructor(machine: Machine, pid: number, comm: string, net: Net) {
    this.machine = machine;
    this.pid = pid;
    this.comm = comm;
    this.net = net;
    this.files = new FilesStruct();
    this.cpu = machine.cpus[0] as Cpu;
    this.cpusMask = new Uint8Array(machine.cpus.length).fill(1);
    this.exitCode = null;
    this.waits = null;
    this.callWait = null;
    this.taskFrag = null;
    this.mapped = null;
    this.onExit = [];
  }
}

/** The tasks of a machine. */
export class TaskTable {
  private readonly tasks: Map<number, Task>;
  private nextPid: number;
  /** Waits that were woken, in order. */
  runFirst: Wait | null;
  private runLast: Wait | null;
  /** Waits for descriptors that are over, for the next ones. */
  readonly freeWaits: Wait[];
  /** The task whose system call runs. @kernel current include/asm-generic/current.h */
  current: Task | null;
  /** Turns of programs since boot: the host sees by it whether they have work to do. */
  wakeUps: number;

  constructor() {
    this.tasks = new Map();
    this.nextPid = 1;
    this.runFirst = null;
    this.runLast = null;
    this.freeWaits = [];
    this.current = null;
    this.wakeUps = 0;
  }

  find(pid: number): Task | null {
    return this.tasks.get(pid) ?? null;
  }

  list(): Task[] {
    return [...this.tasks.values()];
  }

  add(machine: Machine, comm: string, net: Net): Task {
    const task = new Task(machine, this.nextPid++, comm, net);
    this.tasks.set(task.pid, task);
    return task;
  }

  remove(task: Task): void {
    this.tasks.delete(task.pid);
  }

  enqueue(wait: Wait): void {
    if (this.runLast === null) this.runFirst = wait;
    else this.runLast.nextRun = wait;
    this.runLast = wait;
  }

  /** Empties the run queue; what was in it hangs together by `nextRun`. */
  takeRunQueue(): Wait | null {
    const first = this.runFirst;
    this.runFirst = null;
    this.runLast = null;
    return first;
  }
}

/** A task; it may use the CPUs that `parent` may use, all of them by default. @kernel copy_process kernel/fork.c */
export function createTask(
  machine: Machine,
  comm: string,
  net: Net,
  parent: Task | null = null,
): Task {
  if (machine.halted) {
    throw new KernelBug('halted', `no program can start: ${machine.name} has been halted`);
  }
  machine.live.tasks++;
  const task = machine.tasks.add(machine, comm, net);
  if (parent !== null) setCpusAllowed(task, parent.cpusMask);
  return task;
}

/**
 * Says which CPUs a task may use. 0, or -EINVAL when the machine has none of them.
 * @kernel __sched_setaffinity kernel/sched/syscalls.c
 */
export function setCpusAllowed(task: Task, set: Uint8Array): number {
  const first = task.machine.cpus.find(({ id }) => (set[id] ?? 0) !== 0);
  if (first === undefined) return -EINVAL;
  task.cpusMask.forEach((_, id) => {
    task.cpusMask[id] = (set[id] ?? 0) !== 0 ? 1 : 0;
  });
  // It stays where it is when it may.
  if (task.cpusMask[task.cpu.id] === 0) task.cpu = first;
  return 0;
}

/** Ends a task: its waits are cancelled and its descriptors closed. @kernel do_exit kernel/exit.c */
export function exitTask(task: Task, code: number): void {
  if (task.exitCode !== null) return;
  const { tasks, live } = task.machine;
  const caller = tasks.current;
  // What it closes must see that it is the one that goes.
  tasks.current = task;
  task.exitCode = code;
  while (task.waits !== null) task.waits.cancel();
  for (const undo of task.onExit.splice(0)) undo();
  task.files.closeAll();
  tasks.current = caller;
  tasks.remove(task);
  live.tasks--;
}

/** The task on whose behalf the kernel works, unless it is about to end (PF_EXITING) or there is none. */
export function livingCurrent(machine: Machine): Task | null {
  const { current } = machine.tasks;
  return current !== null && current.exitCode === null ? current : null;
}

/** What the latest system call of a task still sleeps in; it is forgotten here. */
export function takeCallWait(task: Task): CallWait | null {
  const wait = task.callWait;
  task.callWait = null;
  return wait;
}

/** The task waits in this from now on. @kernel prepare_to_wait kernel/sched/wait.c */
export function addWait(task: Task, wait: Wait): void {
  const next = task.waits;
  wait.nextWait = next;
  wait.prevWait = null;
  if (next !== null) next.prevWait = wait;
  task.waits = wait;
}

/** @kernel finish_wait kernel/sched/wait.c */
export function removeWait(task: Task, wait: Wait): void {
  const { nextWait, prevWait } = wait;
  if (prevWait === null) task.waits = nextWait;
  else prevWait.nextWait = nextWait;
  if (nextWait !== null) nextWait.prevWait = prevWait;
  wait.nextWait = null;
  wait.prevWait = null;
}

/** Has the wait get its turn when the machine next runs its tasks. @kernel try_to_wake_up kernel/sched/core.c */
export function wakeTask(machine: Machine, wait: Wait): void {
  if (wait.queued) return;
  wait.queued = true;
  machine.tasks.enqueue(wait);
  machine.host.kick(machine);
}

/** Runs the woken tasks; called by the host in task context. @kernel schedule kernel/sched/core.c */
export function runTasks(machine: Machine): void {
  const { tasks } = machine;
  // Who is woken meanwhile has his turn with the next event.
  let wait = tasks.takeRunQueue();
  while (wait !== null) {
    const { nextRun }: Wait = wait;
    wait.nextRun = null;
    wait.queued = false;
    tasks.wakeUps++;
    wait.run();
    wait = nextRun;
  }
}
