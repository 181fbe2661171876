/**
 * Moving bytes from a file to another without their passing through the program: sendfile(), splice().
 * Counterpart of fs/splice.c and of do_sendfile() in fs/read_write.c.
 *
 * Files here are generated texts that lie on no pages, so the bytes are copied to what is sent; what
 * a program can see is as in Linux: rounds of the size of a pipe, MSG_MORE between them, and a
 * position that moves by what was taken.
 */
import { doPipe2, getPipeInfo, type PipeInodeInfo, pipePeek, pipeRoom } from '#fs/pipe.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Machine } from '#kernel/machine.ts';
import type { File } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import { EAGAIN, EBADF, EINVAL, EPIPE, ESPIPE } from '#uapi/errno.ts';
import {
  O_ACCMODE,
  O_APPEND,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
  SPLICE_F_ALL,
  SPLICE_F_MORE,
} from '#uapi/fcntl.ts';

/** Bytes of one round: the room of the pipe in between. */
const ROUND = 65536;

/** Writes one round; `more` says that another follows. */
function spliceTo(out: File, buf: Uint8Array, more: boolean): number {
  const { spliceWrite } = out.fOp;
  return spliceWrite !== undefined ? spliceWrite(out, buf, more) : out.fOp.write(out, buf);
}

/** Is there another byte? At the end of a file nothing must wait for more. */
function hasMore(from: File): boolean {
  const at = from.fPos;
  const got = from.fOp.read(from, new Uint8Array(1));
  from.fPos = at;
  return got > 0;
}

/**
 * Copies up to `count` bytes from `from`'s position on. Returns how many, fewer when the file ends or
 * the receiver takes no more, or a negative errno when there are none.
 * @kernel splice_direct_to_actor fs/splice.c
 */
function spliceDirect(from: File, out: File, count: number): number {
  const buf = new Uint8Array(Math.min(count, ROUND));
  let done = 0;
  while (done < count) {
    const at = from.fPos;
    const want = Math.min(buf.length, count - done);
    const got = from.fOp.read(from, buf.subarray(0, want));
    if (got <= 0) return done > 0 ? done : got;
    const more = done + got < count && hasMore(from);
    const sent = spliceTo(out, buf.subarray(0, got), more);
    from.fPos = at + Math.max(sent, 0);
    if (sent <= 0) return done > 0 ? done : sent;
    done += sent;
    if (sent < got) break;
  }
  return done;
}

/**
 * Sends `count` bytes of the file `infd` to `outfd`, from the position in offset[0], which is moved
 * and the file's own left alone, or without one from the file's own. Bytes sent, or a negative errno:
 * -EINVAL when the source is no file with positions.
 * @kernel do_sendfile fs/read_write.c
 */
export function doSendfile(
  task: Task,
  outfd: number,
  infd: number,
  offset: Float64Array | null,
  count: number,
): number {
  const from = task.files.get(infd);
  if (from === null || (from.fFlags & O_ACCMODE) === O_WRONLY) return -EBADF;
  const seekable = from.fOp.seekable === true;
  if (offset !== null && !seekable) return -ESPIPE;
  const start = offset?.[0] ?? 0;
  if (count < 0 || start < 0) return -EINVAL;
  const out = task.files.get(outfd);
  if (out === null || (out.fFlags & O_ACCMODE) === O_RDONLY) return -EBADF;
  if (!seekable || (out.fFlags & O_APPEND) !== 0) return -EINVAL;
  if (offset === null) return spliceDirect(from, out, count);
  const own = from.fPos;
  from.fPos = start;
  const ret = spliceDirect(from, out, count);
  offset[0] = from.fPos;
  from.fPos = own;
  return ret;
}

// splice()

/** One call of splice(), with its files and pipes found. */
interface Splice {
  readonly from: File;
  readonly out: File;
  readonly len: number;
  readonly flags: number;
}

/** Runs `move` with the position of a file that `offset` gives, if it does; that moves instead. */
function atOffset(file: File, offset: Float64Array | null, move: () => number): number {
  if (offset === null) return move();
  const own = file.fPos;
  file.fPos = offset[0] ?? 0;
  const ret = move();
  offset[0] = file.fPos;
  file.fPos = own;
  return ret;
}

/** From a pipe to a file. @kernel do_splice_from fs/splice.c */
function spliceFromPipe(pipe: PipeInodeInfo, { from, out, len, flags }: Splice): number {
  if (pipe.used === 0) return pipe.writers === 0 ? 0 : -EAGAIN;
  const buf = new Uint8Array(Math.min(len, pipe.used));
  pipePeek(pipe, buf);
  const sent = spliceTo(out, buf, (flags & SPLICE_F_MORE) !== 0 || buf.length < len);
  if (sent > 0) from.fOp.read(from, buf.subarray(0, sent));
  return sent;
}

/** From a file to a pipe. @kernel splice_file_to_pipe fs/splice.c */
function spliceToPipe(pipe: PipeInodeInfo, { from, out, len }: Splice): number {
  if (pipe.readers === 0) return -EPIPE;
  const room = pipeRoom(pipe);
  if (room === 0) return -EAGAIN;
  const buf = new Uint8Array(Math.min(len, room));
  // A source heeds its own flag only; SPLICE_F_NONBLOCK is about room in the pipe.
  const nonblock = (from.fFlags & O_NONBLOCK) !== 0;
  const got = from.fOp.spliceRead?.(from, buf, nonblock) ?? from.fOp.read(from, buf);
  if (got > 0) pushAll(out, buf.subarray(0, got));
  return got;
}

/** Writes to a pipe what is known to have room, in parts that it never refuses. */
function pushAll(out: File, buf: Uint8Array): void {
  for (let done = 0; done < buf.length; )
    done += Math.max(0, out.fOp.write(out, buf.subarray(done)));
}

/** @kernel splice_pipe_to_pipe fs/splice.c */
function splicePipeToPipe(ipipe: PipeInodeInfo, opipe: PipeInodeInfo, call: Splice): number {
  if (opipe.readers === 0) return -EPIPE;
  if (ipipe.used === 0) return ipipe.writers === 0 ? 0 : -EAGAIN;
  const room = pipeRoom(opipe);
  if (room === 0) return -EAGAIN;
  const buf = new Uint8Array(Math.min(call.len, room, ipipe.used));
  call.from.fOp.read(call.from, buf);
  pushAll(call.out, buf);
  return buf.length;
}

/**
 * Moves up to `len` bytes between two files of which one is a pipe. Offsets as in sendfile(), never
 * for the pipe. How many, 0 at the end, or a negative errno: -EAGAIN when nothing is there or the
 * pipe is full.
 * @kernel do_splice fs/splice.c
 */
export function doSplice(
  task: Task,
  fdIn: number,
  offIn: Float64Array | null,
  fdOut: number,
  offOut: Float64Array | null,
  len: number,
  flags: number,
): number {
  if (len === 0) return 0;
  if ((flags & ~SPLICE_F_ALL) !== 0 || len < 0) return -EINVAL;
  const from = task.files.get(fdIn);
  const out = task.files.get(fdOut);
  if (from === null || out === null) return -EBADF;
  if ((from.fFlags & O_ACCMODE) === O_WRONLY || (out.fFlags & O_ACCMODE) === O_RDONLY)
    return -EBADF;
  const ipipe = getPipeInfo(from);
  const opipe = getPipeInfo(out);
  if ((ipipe !== null && offIn !== null) || (opipe !== null && offOut !== null)) return -ESPIPE;
  const call: Splice = { from, out, len, flags };
  if (ipipe !== null && opipe !== null) {
    return ipipe === opipe ? -EINVAL : splicePipeToPipe(ipipe, opipe, call);
  }
  if (ipipe !== null) {
    if ((offOut !== null && out.fOp.seekable !== true) || (out.fFlags & O_APPEND) !== 0)
      return -EINVAL;
    return atOffset(out, offOut, () => spliceFromPipe(ipipe, call));
  }
  if (opipe === null || (offIn !== null && from.fOp.seekable !== true)) return -EINVAL;
  return atOffset(from, offIn, () => spliceToPipe(opipe, call));
}

/** Pipes, and what goes through them. @kernel init_pipe_fs fs/pipe.c */
function initPipeFs({ syscalls }: Machine): number {
  syscalls.pipe2 = doPipe2;
  syscalls.sendfile = doSendfile;
  syscalls.splice = doSplice;
  return 0;
}

export const pipefsModule: KernelModule = {
  name: 'pipefs',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: initPipeFs,
  exit: null,
};
