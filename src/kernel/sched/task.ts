/**
 * Tasks: programs that run on a machine. Counterpart of include/linux/sched.h.
 *
 * The kernel knows of a program only its descriptors, its namespace and that it may have to be
 * woken. Waking queues a callback; the host runs the queue as an event of its own, in order.
 */
import type { Net } from '#include/net/net_namespace.ts';
import type { Cpu } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { FilesStruct } from '#kernel/sched/file.ts';
import { EINVAL } from '#uapi/errno.ts';

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
  /** Things to undo when the task exits: pending waits and sleeps. */
  readonly onExit: Set<() => void>;

  constructor(machine: Machine, pid: number, comm: string, net: Net) {
    this.machine = machine;
    this.pid = pid;
    this.comm = comm;
    this.net = net;
    this.files = new FilesStruct();
    this.cpu = machine.cpus[0] as Cpu;
    this.cpusMask = new Uint8Array(machine.cpus.length).fill(1);
    this.exitCode = null;
    this.onExit = new Set();
  }
}

/** The tasks of a machine. */
export class TaskTable {
  private readonly tasks: Map<number, Task>;
  private nextPid: number;
  /** Callbacks of woken tasks, in order. */
  readonly runQueue: (() => void)[];
  /** The task whose system call runs. @kernel current include/asm-generic/current.h */
  current: Task | null;
  /** Callbacks run since boot: the host sees by it whether programs have work to do. */
  wakeUps: number;

  constructor() {
    this.tasks = new Map();
    this.nextPid = 1;
    this.runQueue = [];
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
}

/** A task; it may use the CPUs that `parent` may use, all of them by default. @kernel copy_process kernel/fork.c */
export function createTask(
  machine: Machine,
  comm: string,
  net: Net,
  parent: Task | null = null,
): Task {
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
  task.exitCode = code;
  for (const undo of [...task.onExit]) undo();
  task.onExit.clear();
  task.files.closeAll();
  task.machine.tasks.remove(task);
  task.machine.live.tasks--;
}

/** Has `fn` called when the machine next runs its tasks. @kernel try_to_wake_up kernel/sched/core.c */
export function wakeTask(machine: Machine, fn: () => void): void {
  machine.tasks.runQueue.push(fn);
  machine.host.kick(machine);
}

/** Runs the woken tasks; called by the host in task context. @kernel schedule kernel/sched/core.c */
export function runTasks(machine: Machine): void {
  const { tasks } = machine;
  const { runQueue } = tasks;
  // Most often it is one.
  const only = runQueue.length === 1 ? runQueue.pop() : undefined;
  if (only !== undefined) {
    tasks.wakeUps++;
    only();
    return;
  }
  const ready = runQueue.splice(0);
  for (const fn of ready) {
    tasks.wakeUps++;
    fn();
  }
}
