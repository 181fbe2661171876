/*
 * The system calls of scripts on a machine of softnet: the C library of its programs, and the calls
 * with a callback that only scripts need.
 */

import type { ScriptCalls } from '#packetdrill/backend.ts';
import { POLLIN, POLLOUT } from '#uapi/poll.ts';
import {
  MSG_DONTWAIT,
  MSG_ERRQUEUE,
  MSG_PEEK,
  MSG_WAITALL,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
} from '#uapi/socket.ts';
import type { EpollEvent, UserMsghdr } from '#uapi/unistd.ts';
import { Libc } from '#user/lib/libc.ts';
import { type Done, FOREVER } from '#user/lib/wait.ts';

const NS_PER_MS = 1e6;

export class MachineCalls extends Libc implements ScriptCalls {
  /** As in Linux, MSG_WAITALL sleeps until all is there, or the stream has ended. */
  override onRecv(
    fd: number,
    buf: Uint8Array,
    flags: number,
    addr: Uint8Array | null,
    done: Done,
  ): void {
    const all =
      (flags & MSG_WAITALL) !== 0 && (flags & (MSG_PEEK | MSG_DONTWAIT | MSG_ERRQUEUE)) === 0;
    let got = 0;
    const more = (result: number): void => {
      if (result > 0) got += result;
      if (!all || result <= 0 || got >= buf.length) done(got > 0 ? got : result);
      else super.onRecv(fd, buf.subarray(got), flags, addr, more);
    };
    super.onRecv(fd, buf, flags, addr, more);
  }

  onClose(fd: number, done: Done): void {
    this.waits.close(fd, done);
  }

  onRecvmsg(fd: number, msg: UserMsghdr, flags: number, done: Done): void {
    // A try that fails leaves its marks: each begins with all the room.
    const { namelen, controllen } = msg;
    const attempt = (): number => {
      msg.namelen = namelen;
      msg.controllen = controllen;
      return this.sys.recvmsg(fd, msg, flags);
    };
    if ((flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) !== 0) done(attempt());
    else this.waits.retry(fd, POLLIN, SO_RCVTIMEO, attempt, done);
  }

  onSendmsg(fd: number, msg: UserMsghdr, flags: number, done: Done): void {
    const attempt = (): number => this.sys.sendmsg(fd, msg, flags);
    if ((flags & MSG_DONTWAIT) !== 0) done(attempt());
    else this.waits.retry(fd, POLLOUT, SO_SNDTIMEO, attempt, done);
  }

  onSendfile(
    outfd: number,
    infd: number,
    offset: Float64Array | null,
    count: number,
    done: Done,
  ): void {
    const attempt = (): number => this.sys.sendfile(outfd, infd, offset, count);
    this.waits.retry(outfd, POLLOUT, SO_SNDTIMEO, attempt, done);
  }

  onSplice(
    fdIn: number,
    offIn: Float64Array | null,
    fdOut: number,
    offOut: Float64Array | null,
    len: number,
    flags: number,
    done: Done,
  ): void {
    const attempt = (): number => this.sys.splice(fdIn, offIn, fdOut, offOut, len, flags);
    this.waits.retry(fdIn, POLLIN, SO_RCVTIMEO, attempt, done);
  }

  onPoll(
    fds: Int32Array,
    events: Int16Array,
    revents: Int16Array,
    timeoutMs: number,
    done: Done,
  ): void {
    const wanted = Array.from(fds, (fd, i) => ({ fd, events: events[i] as number }));
    this.look(
      timeoutMs,
      () => this.sys.poll(fds, events, revents),
      (leftNs, again) => this.waits.any(wanted, leftNs, again),
      done,
    );
  }

  onEpollWait(epfd: number, events: EpollEvent[], timeoutMs: number, done: Done): void {
    this.look(
      timeoutMs,
      () => this.sys.epollWait(epfd, events),
      (leftNs, again) => this.waits.fd(epfd, POLLIN, leftNs, again),
      done,
    );
  }

  /** Asks until something is ready or the time is over, and sleeps in between. */
  private look(
    timeoutMs: number,
    ask: () => number,
    sleep: (leftNs: number, again: Done) => void,
    done: Done,
  ): void {
    const deadline = this.sys.monotonic() + timeoutMs * NS_PER_MS;
    const again = (): void => {
      const count = ask();
      const left = timeoutMs < 0 ? FOREVER : deadline - this.sys.monotonic();
      if (count !== 0 || (timeoutMs >= 0 && left <= 0)) done(count);
      else sleep(left, again);
    };
    again();
  }
}
