/** Duplicating descriptors and their flags. Counterpart of fs/fcntl.c and the dup calls of fs/file.c. */

import { type File, getFile } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import { EBADF, EINVAL } from '#uapi/errno.ts';
import {
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  F_DUPFD_QUERY,
  F_GETFD,
  F_GETFL,
  F_GETOWN,
  F_GETPIPE_SZ,
  F_SETFD,
  F_SETFL,
  F_SETOWN,
  F_SETPIPE_SZ,
  FASYNC,
  FD_CLOEXEC,
  O_APPEND,
  O_CLOEXEC,
  O_NONBLOCK,
} from '#uapi/fcntl.ts';

/** Flags that F_SETFL may change. @kernel SETFL_MASK fs/fcntl.c */
const SETFL_MASK = O_APPEND | O_NONBLOCK | FASYNC;

/** One more descriptor, the lowest free from `from` up, for a file. */
function dupFrom(task: Task, file: File, from: number, cloexec: boolean): number {
  const fd = task.files.install(file, cloexec, from);
  if (fd >= 0) getFile(file);
  return fd;
}

/** @kernel ksys_dup fs/file.c */
export function ksysDup(task: Task, fd: number): number {
  const file = task.files.get(fd);
  return file === null ? -EBADF : dupFrom(task, file, 0, false);
}

/** Makes `newfd` name what `oldfd` names. @kernel ksys_dup3 fs/file.c */
export function ksysDup3(task: Task, oldfd: number, newfd: number, flags: number): number {
  if ((flags & ~O_CLOEXEC) !== 0 || oldfd === newfd) return -EINVAL;
  if (newfd < 0 || newfd >= task.files.rlimit) return -EBADF;
  const file = task.files.get(oldfd);
  if (file === null) return -EBADF;
  return task.files.replace(newfd, getFile(file), (flags & O_CLOEXEC) !== 0);
}

/** @kernel do_fcntl fs/fcntl.c */
export function doFcntl(task: Task, fd: number, cmd: number, arg: number): number {
  const file = task.files.get(fd);
  if (file === null) return -EBADF;
  switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      if (arg < 0) return -EINVAL;
      return dupFrom(task, file, arg, cmd === F_DUPFD_CLOEXEC);
    case F_DUPFD_QUERY:
      return task.files.get(arg) === file ? 1 : task.files.get(arg) === null ? -EBADF : 0;
    case F_GETFD:
      return task.files.getCloexec(fd) ? FD_CLOEXEC : 0;
    case F_SETFD:
      task.files.setCloexec(fd, (arg & FD_CLOEXEC) !== 0);
      return 0;
    case F_GETFL:
      return file.fFlags;
    case F_SETFL:
      file.fFlags = (file.fFlags & ~SETFL_MASK) | (arg & SETFL_MASK);
      return 0;
    case F_GETOWN:
    case F_SETOWN:
      // There are no signals to be told by.
      return 0;
    case F_GETPIPE_SZ:
    case F_SETPIPE_SZ:
      return file.fOp.pipeFcntl?.(file, cmd, arg) ?? -EBADF;
    default:
      return -EINVAL;
  }
}
