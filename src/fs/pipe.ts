/**
 * Pipes. Counterpart of fs/pipe.c: a byte queue of 64 KiB with a reading and a writing end; writes
 * of up to PIPE_BUF bytes go in whole or not at all.
 */
import { File, type FileOperations, type PollTable } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import { WaitQueueHead, wakeUp, wakeUpAll } from '#kernel/wait.ts';
import { EAGAIN, EBADF, EBUSY, EINVAL, EMFILE, ENOTTY, EPIPE } from '#uapi/errno.ts';
import { F_GETPIPE_SZ, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY } from '#uapi/fcntl.ts';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '#uapi/poll.ts';
import { FIONREAD } from '#uapi/sockios.ts';

/** Bytes that are written whole. @kernel PIPE_BUF include/uapi/linux/limits.h */
export const PIPE_BUF = 4096;
/** Room of a new pipe: 16 pages. @kernel PIPE_DEF_BUFFERS include/linux/pipe_fs_i.h */
const PIPE_DEFAULT_SIZE = 65536;
/** Most room that F_SETPIPE_SZ gives. @kernel pipe_max_size fs/pipe.c */
const PIPE_MAX_SIZE = 1048576;

/** @kernel pipe_inode_info include/linux/pipe_fs_i.h */
export class PipeInodeInfo {
  readonly rdWait: WaitQueueHead = new WaitQueueHead();
  readonly wrWait: WaitQueueHead = new WaitQueueHead();
  ring: Uint8Array = new Uint8Array(PIPE_DEFAULT_SIZE);
  /** Where the next byte is read, and how many there are. */
  head = 0;
  used = 0;
  readers = 1;
  writers = 1;
}

/** The pipe of a file that is an end of one; null: it is none. @kernel get_pipe_info fs/splice.c */
export function getPipeInfo(file: File): PipeInodeInfo | null {
  return file.privateData instanceof PipeInodeInfo ? file.privateData : null;
}

/** Bytes that fit in now. */
export function pipeRoom(pipe: PipeInodeInfo): number {
  return pipe.ring.length - pipe.used;
}

/** The first bytes, up to `buf.length`, left where they are. How many. */
export function pipePeek(pipe: PipeInodeInfo, buf: Uint8Array): number {
  const { head, used } = pipe;
  const part = buf.subarray(0, Math.min(buf.length, used));
  ringOut(pipe, part);
  pipe.head = head;
  pipe.used = used;
  return part.length;
}

function pipeOf(file: File): PipeInodeInfo {
  return file.privateData as PipeInodeInfo;
}

function ringOut(pipe: PipeInodeInfo, buf: Uint8Array): void {
  const size = pipe.ring.length;
  const first = Math.min(buf.length, size - pipe.head);
  buf.set(pipe.ring.subarray(pipe.head, pipe.head + first));
  buf.set(pipe.ring.subarray(0, buf.length - first), first);
  pipe.head = (pipe.head + buf.length) % size;
  pipe.used -= buf.length;
}

function ringIn(pipe: PipeInodeInfo, buf: Uint8Array): void {
  const size = pipe.ring.length;
  const tail = (pipe.head + pipe.used) % size;
  const first = Math.min(buf.length, size - tail);
  pipe.ring.set(buf.subarray(0, first), tail);
  pipe.ring.set(buf.subarray(first), 0);
  pipe.used += buf.length;
}

/** @kernel anon_pipe_read fs/pipe.c */
function pipeRead(file: File, buf: Uint8Array): number {
  const pipe = pipeOf(file);
  if (buf.length === 0) return 0;
  if (pipe.used === 0) return pipe.writers === 0 ? 0 : -EAGAIN;
  const n = Math.min(buf.length, pipe.used);
  ringOut(pipe, buf.subarray(0, n));
  wakeUp(pipe.wrWait, POLLOUT | POLLWRNORM);
  return n;
}

/** @kernel anon_pipe_write fs/pipe.c */
function pipeWrite(file: File, buf: Uint8Array): number {
  const pipe = pipeOf(file);
  if (buf.length === 0) return 0;
  if (pipe.readers === 0) return -EPIPE;
  const room = pipe.ring.length - pipe.used;
  if (room === 0 || (buf.length <= PIPE_BUF && room < buf.length)) return -EAGAIN;
  const n = Math.min(buf.length, room);
  ringIn(pipe, buf.subarray(0, n));
  wakeUp(pipe.rdWait, POLLIN | POLLRDNORM);
  return n;
}

/** @kernel pipe_poll fs/pipe.c */
function pipeReadPoll(file: File, pt: PollTable | null): number {
  const pipe = pipeOf(file);
  pt?.queue(pipe.rdWait);
  let mask = pipe.used > 0 ? POLLIN | POLLRDNORM : 0;
  if (pipe.writers === 0) mask |= POLLHUP;
  return mask;
}

function pipeWritePoll(file: File, pt: PollTable | null): number {
  const pipe = pipeOf(file);
  pt?.queue(pipe.wrWait);
  // A page must be free, so that a writer of PIPE_BUF bytes does not spin.
  let mask = pipe.ring.length - pipe.used >= PIPE_BUF ? POLLOUT | POLLWRNORM : 0;
  if (pipe.readers === 0) mask |= POLLERR;
  return mask;
}

/** @kernel pipe_ioctl fs/pipe.c */
function pipeIoctl(file: File, cmd: number, arg: Uint8Array): number {
  if (cmd !== FIONREAD) return -ENOTTY;
  if (arg.length < 4) return -EINVAL;
  new DataView(arg.buffer, arg.byteOffset, 4).setInt32(0, pipeOf(file).used, true);
  return 0;
}

/** One end is gone: the other learns it. @kernel pipe_release fs/pipe.c */
function pipeReadRelease(file: File): void {
  const pipe = pipeOf(file);
  pipe.readers--;
  if (pipe.readers === 0) wakeUpAll(pipe.wrWait, POLLERR | POLLOUT | POLLWRNORM);
}

function pipeWriteRelease(file: File): void {
  const pipe = pipeOf(file);
  pipe.writers--;
  if (pipe.writers === 0) wakeUpAll(pipe.rdWait, POLLHUP | POLLIN | POLLRDNORM);
}

/** The reading end. @kernel pipeanon_fops fs/pipe.c */
const pipeReadFops: FileOperations = {
  read: pipeRead,
  write: () => -EBADF,
  poll: pipeReadPoll,
  ioctl: pipeIoctl,
  release: pipeReadRelease,
  pipeFcntl: fcntlPipeSize,
};

/** The writing end. */
const pipeWriteFops: FileOperations = {
  read: () => -EBADF,
  write: pipeWrite,
  poll: pipeWritePoll,
  ioctl: pipeIoctl,
  release: pipeWriteRelease,
  pipeFcntl: fcntlPipeSize,
};

/** fds[0] reads what fds[1] writes. @kernel do_pipe2 fs/pipe.c */
export function doPipe2(task: Task, fds: Int32Array, flags: number): number {
  if ((flags & ~(O_CLOEXEC | O_NONBLOCK)) !== 0) return -EINVAL;
  const { files, machine } = task;
  if (!files.hasRoom()) return -EMFILE;
  const pipe = new PipeInodeInfo();
  const status = flags & O_NONBLOCK;
  const cloexec = (flags & O_CLOEXEC) !== 0;
  const reader = files.install(new File(machine, pipeReadFops, O_RDONLY | status, pipe), cloexec);
  if (!files.hasRoom()) {
    files.close(reader);
    return -EMFILE;
  }
  fds[1] = files.install(new File(machine, pipeWriteFops, O_WRONLY | status, pipe), cloexec);
  fds[0] = reader;
  return 0;
}

function powerOfTwo(size: number): number {
  let pow = PIPE_BUF;
  while (pow < size) pow *= 2;
  return pow;
}

/** F_GETPIPE_SZ and F_SETPIPE_SZ: the room, rounded up to a power of two. @kernel pipe_fcntl fs/pipe.c */
export function fcntlPipeSize(file: File, cmd: number, arg: number): number {
  const pipe = file.privateData;
  if (!(pipe instanceof PipeInodeInfo)) return -EBADF;
  if (cmd === F_GETPIPE_SZ) return pipe.ring.length;
  if (arg <= 0 || arg > PIPE_MAX_SIZE) return -EINVAL;
  const size = powerOfTwo(arg);
  if (size < pipe.used) return -EBUSY;
  const kept = new Uint8Array(pipe.used);
  ringOut(pipe, kept);
  pipe.ring = new Uint8Array(size);
  pipe.head = 0;
  ringIn(pipe, kept);
  return size;
}
