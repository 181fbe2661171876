/**
 * How frames are written to a queue of a TAP device: the ones of a batch together through an io_uring,
 * where the kernel admits that and there are enough of them, else one by one.
 *
 * A frame is built where it is written from; nothing is copied and nothing gathered, so each is one
 * plain WRITE. What the kernel refuses is counted, and the next goes on, in both ways alike.
 */
import { DOOR_FRAME_SIZE, DoorUnavailable } from '#host/node/door.ts';
import { WriteRing } from '#host/node/io_uring.ts';
import type { Libc } from '#host/node/libc.ts';
import { EINVAL, strerror } from '#uapi/errno.ts';

/** By write(2), by io_uring, or by io_uring where that can be had. */
export type TapIo = 'auto' | 'write' | 'io_uring';

export const TAP_IO: readonly TapIo[] = ['auto', 'write', 'io_uring'];

/** With the stack in front of them batches are too short to pay: docs/performance.md. */
export const DEFAULT_TAP_IO: TapIo = 'write';

/** Frames of a batch, a power of two. */
const BATCH = 32;
/** Bytes after which a batch goes out: super-packets do not push each other out of the cache. */
const BATCH_BYTES: number = 256 * 1024;
/** With fewer frames a call for each costs less than one for all. */
const WORTH_A_RING = 4;

/** A ring that can write to `fd`, or a negative errno. */
function openRing(libc: Libc, fd: number): WriteRing | number {
  const ring = WriteRing.open(libc, BATCH);
  if (typeof ring === 'number') return ring;
  // One byte is no frame: a kernel that can write to the device without waiting says so.
  const results = new Int32Array(1);
  const byte = new Uint8Array(1);
  ring.prepare(fd, libc.address(byte), byte.length);
  const done = ring.submit(results);
  const result = results[0] as number;
  if (done === 1 && result === -EINVAL) return ring;
  ring.close();
  return done === 1 && result < 0 ? result : -EINVAL;
}

/** The ring to use, or null: plain writes. Throws DoorUnavailable where io_uring is asked for and refused. */
export function ringFor(libc: Libc, fd: number, io: TapIo): WriteRing | null {
  if (io === 'write') return null;
  const ring = openRing(libc, fd);
  if (typeof ring !== 'number') return ring;
  if (io === 'auto') return null;
  throw new DoorUnavailable(`the kernel does not let us use io_uring: ${strerror(-ring)}`);
}

export class TapTx {
  /** Frames that the kernel refused. */
  errors: number;
  private readonly libc: Libc;
  private readonly fd: number;
  private readonly ring: WriteRing | null;
  /** Where frames are built, and where that is. */
  private readonly slots: readonly Uint8Array[];
  private readonly addresses: Float64Array;
  private readonly lengths: Int32Array;
  private readonly results: Int32Array;
  private count: number;
  private bytes: number;

  /** Takes over the ring. */
  constructor(libc: Libc, fd: number, ring: WriteRing | null) {
    const slots = ring === null ? 1 : BATCH;
    const slab = new Uint8Array(slots * DOOR_FRAME_SIZE);
    const address = libc.address(slab);
    this.errors = 0;
    this.libc = libc;
    this.fd = fd;
    this.ring = ring;
    this.slots = Array.from({ length: slots }, (_, i) =>
      slab.subarray(i * DOOR_FRAME_SIZE, (i + 1) * DOOR_FRAME_SIZE),
    );
    this.addresses = Float64Array.from(this.slots, (_, i) => address + i * DOOR_FRAME_SIZE);
    this.lengths = new Int32Array(slots);
    this.results = new Int32Array(slots);
    this.count = 0;
    this.bytes = 0;
  }

  room(): Uint8Array {
    return this.slots[this.count] as Uint8Array;
  }

  /** The frame in room() is complete. Without a ring the kernel takes it within the call. */
  send(length: number): void {
    this.lengths[this.count++] = length;
    this.bytes += length;
    const full = this.count === this.slots.length || this.bytes >= BATCH_BYTES;
    if (full) this.flush();
  }

  /** What was sent goes out. */
  flush(): void {
    const { count, ring } = this;
    this.count = 0;
    this.bytes = 0;
    const done = ring !== null && count >= WORTH_A_RING ? this.submit(ring, count) : 0;
    for (let i = done; i < count; i++) {
      const length = this.lengths[i] as number;
      if (this.libc.write(this.fd, this.addresses[i] as number, length) < 0) this.errors++;
    }
  }

  close(): void {
    this.ring?.close();
  }

  /** Writes a batch through the ring: how many frames of it the kernel has looked at, from the first. */
  private submit(ring: WriteRing, count: number): number {
    const { fd, addresses, lengths, results } = this;
    for (let i = 0; i < count; i++) {
      ring.prepare(fd, addresses[i] as number, lengths[i] as number);
    }
    const done = ring.submit(results);
    for (let i = 0; i < done; i++) if ((results[i] as number) < 0) this.errors++;
    return done;
  }
}
