/** read(), write(), ioctl() on any descriptor. Counterpart of fs/read_write.c and fs/ioctl.c. */
import type { File } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import { EBADF } from '#uapi/errno.ts';
import { O_ACCMODE, O_NONBLOCK, O_RDONLY, O_WRONLY } from '#uapi/fcntl.ts';
import { FIOASYNC, FIONBIO } from '#uapi/sockios.ts';

/** ioctl numbers of close-on-exec. @kernel FIOCLEX include/uapi/asm-generic/ioctls.h */
const FIOCLEX = 0x5451;
const FIONCLEX = 0x5450;

/** @kernel ksys_read fs/read_write.c */
export function ksysRead(task: Task, fd: number, buf: Uint8Array): number {
  const file = task.files.get(fd);
  if (file === null || (file.fFlags & O_ACCMODE) === O_WRONLY) return -EBADF;
  return file.fOp.read(file, buf);
}

/** @kernel ksys_write fs/read_write.c */
export function ksysWrite(task: Task, fd: number, buf: Uint8Array): number {
  const file = task.files.get(fd);
  if (file === null || (file.fFlags & O_ACCMODE) === O_RDONLY) return -EBADF;
  return file.fOp.write(file, buf);
}

/** FIONBIO: an int that is not zero sets O_NONBLOCK. @kernel ioctl_fionbio fs/ioctl.c */
function ioctlFionbio(file: File, arg: Uint8Array): number {
  const on = arg.some((byte) => byte !== 0);
  file.fFlags = on ? file.fFlags | O_NONBLOCK : file.fFlags & ~O_NONBLOCK;
  return 0;
}

/** What every file answers, then the file itself. @kernel do_vfs_ioctl fs/ioctl.c */
export function sysIoctl(task: Task, fd: number, cmd: number, arg: Uint8Array): number {
  const file = task.files.get(fd);
  if (file === null) return -EBADF;
  switch (cmd) {
    case FIOCLEX:
      task.files.setCloexec(fd, true);
      return 0;
    case FIONCLEX:
      task.files.setCloexec(fd, false);
      return 0;
    case FIONBIO:
      return ioctlFionbio(file, arg);
    case FIOASYNC:
      // Signals are not delivered: asking for none is all that can be done.
      return 0;
    default:
      return file.fOp.ioctl(file, cmd, arg);
  }
}
