/** The kernel thread of a polling instance. Counterpart of napi_struct.thread of include/linux/netdevice.h. */
import type { Task, Wait } from '#kernel/sched/task.ts';

/** Sleeps between polls: it is its own entry in the run queue. */
export class NapiThread implements Wait {
  nextWait: Wait | null;
  prevWait: Wait | null;
  nextRun: Wait | null;
  queued: boolean;
  /** Shown as napi/DEV-ID; it polls on the CPU that this task may use. */
  readonly task: Task;
  private readonly poll: (thread: NapiThread) => void;

  constructor(task: Task, poll: (thread: NapiThread) => void) {
    this.nextWait = null;
    this.prevWait = null;
    this.nextRun = null;
    this.queued = false;
    this.task = task;
    this.poll = poll;
  }

  /** One turn of the thread. */
  run(): void {
    this.poll(this);
  }

  cancel(): void {}
}
