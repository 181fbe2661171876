/**
 * System calls that a kernel may be built without. Counterpart of kernel/sys_ni.c: what no module
 * provides says ENOSYS.
 */
import type { Task } from '#kernel/sched/task.ts';
import { ENOSYS } from '#uapi/errno.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

type OfTask<K extends keyof SyscallTable> = (
  task: Task,
  ...args: Parameters<SyscallTable[K]>
) => ReturnType<SyscallTable[K]>;

/** Those of a machine. A module writes its own into it when it comes up. */
export class CondSyscalls {
  epollCreate1: OfTask<'epollCreate1'> = sysNiSyscall;
  epollCtl: OfTask<'epollCtl'> = sysNiSyscall;
  epollWait: OfTask<'epollWait'> = sysNiSyscall;
  pipe2: OfTask<'pipe2'> = sysNiSyscall;
  sendfile: OfTask<'sendfile'> = sysNiSyscall;
  splice: OfTask<'splice'> = sysNiSyscall;
  mmap: OfTask<'mmap'> = sysNiSyscall;
  munmap: OfTask<'munmap'> = sysNiSyscall;
  recvPages: OfTask<'recvPages'> = sysNiSyscall;
  setns: OfTask<'setns'> = sysNiSyscall;
  unshare: OfTask<'unshare'> = sysNiSyscall;
  mount: OfTask<'mount'> = sysNiSyscall;
  umount2: OfTask<'umount2'> = sysNiSyscall;
}

/** @kernel sys_ni_syscall kernel/sys_ni.c */
function sysNiSyscall(): number {
  return -ENOSYS;
}
