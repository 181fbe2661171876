/**
 * One queue of a TAP device: a file of /dev/net/tun.
 *
 * Reading follows NAPI: libuv says that there is something, then frames are taken until there are none,
 * the budget is spent or the machine is behind. Writing is in tap_tx.ts.
 */
import { closeSync } from 'node:fs';
import {
  DOOR_FRAME_SIZE,
  type DoorHandlers,
  type DoorQueue,
  READ_BUDGET,
} from '#host/node/door.ts';
import type { WriteRing } from '#host/node/io_uring.ts';
import type { Libc, PollHandle } from '#host/node/libc.ts';
import { TapTx } from '#host/node/tap_tx.ts';
import { EAGAIN, strerror } from '#uapi/errno.ts';
import { ifreq } from '#uapi/if.ts';
import { IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, TUNSETQUEUE } from '#uapi/if_tun.ts';

export class TapQueue implements DoorQueue {
  private readonly libc: Libc;
  private readonly fd: number;
  private readonly rx: Uint8Array;
  private readonly rxAddress: number;
  private readonly tx: TapTx;
  private handle: PollHandle | null;
  private attached: boolean;
  private closed: boolean;

  /** Takes over the descriptor, which does not block, and the ring for its writes, if there is one. */
  constructor(libc: Libc, fd: number, ring: WriteRing | null) {
    this.libc = libc;
    this.fd = fd;
    this.rx = new Uint8Array(DOOR_FRAME_SIZE);
    this.rxAddress = libc.address(this.rx);
    this.tx = new TapTx(libc, fd, ring);
    this.handle = null;
    this.attached = true;
    this.closed = false;
  }

  /** Frames that the kernel refused. */
  get txErrors(): number {
    return this.tx.errors;
  }

  start(handlers: DoorHandlers): void {
    this.handle = this.libc.poll(this.fd, (status) => {
      if (status < 0) handlers.gone(`poll status ${status}`);
      else this.drain(handlers);
    });
  }

  room(): Uint8Array {
    return this.tx.room();
  }

  send(length: number): void {
    this.tx.send(length);
  }

  flush(): void {
    this.tx.flush();
  }

  /** Whether the kernel sends by this queue; false: it refuses. Without a queue frames can still be written. */
  attach(wanted: boolean): boolean {
    if (wanted === this.attached) return true;
    const request = new Uint8Array(ifreq.LEN);
    const flags = wanted ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
    ifreq.setFlags(new DataView(request.buffer), 0, flags);
    if (this.libc.ioctl(this.fd, TUNSETQUEUE, request) < 0) return false;
    this.attached = wanted;
    return true;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.handle?.close();
    this.tx.close();
    closeSync(this.fd);
  }

  private drain(handlers: DoorHandlers): void {
    const { libc, fd, rx, rxAddress } = this;
    for (let i = 0; i < READ_BUDGET && !this.closed && handlers.ready(); i++) {
      const length = libc.read(fd, rxAddress, DOOR_FRAME_SIZE);
      if (length < 0) {
        const errno = libc.errno();
        if (errno !== EAGAIN) handlers.gone(`read: ${strerror(errno)}`);
        break;
      }
      handlers.frame(rx.subarray(0, length));
    }
    if (!this.closed) handlers.idle();
  }
}
