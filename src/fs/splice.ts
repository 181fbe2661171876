/**
 * Moving bytes from a file to another without their passing through the program: sendfile().
 * Counterpart of fs/splice.c and of do_sendfile() in fs/read_write.c.
 *
 * Files here are generated texts that lie on no pages, so the bytes are copied to what is sent; what
 * a program can see is as in Linux: rounds of the size of a pipe, MSG_MORE between them, and a
 * position that moves by what was taken.
 */
import type { File } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import { EBADF, EINVAL, ESPIPE } from '#uapi/errno.ts';
import { O_ACCMODE, O_APPEND, O_RDONLY, O_WRONLY } from '#uapi/fcntl.ts';

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
