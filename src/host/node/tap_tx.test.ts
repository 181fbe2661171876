/** Writing in batches, with a kernel that refuses, takes part of a batch, or is interrupted. */
import { openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DoorUnavailable } from '#host/node/door.ts';
import type { Libc } from '#host/node/libc.ts';
import { ringFor, type TapIo, TapTx } from '#host/node/tap_tx.ts';
import { EAGAIN, EINTR, EINVAL, EIO, ENOSYS, EOPNOTSUPP, EPERM } from '#uapi/errno.ts';

const FD = 77;
const ENTRIES = 32;
const SQ_ARRAY = 64;
const CQES = 64;

/** A kernel's io_uring in memory, as far as writes go. What is written is the first byte of a frame. */
class FakeKernel {
  /** How the next calls of io_uring_enter go: how many submissions it takes, or a negative errno. */
  readonly enters: number[] = [];
  /** Frames by how they were written. */
  readonly written: string[] = [];
  /** What a write of a frame with that first byte returns. */
  refuse: (first: number) => number = () => 0;
  setupErrno = 0;
  /** Of the byte that is no frame. */
  probe = -EINVAL;
  flags: number[] = [];
  mapped = 0;
  private readonly frames = new Map<number, Uint8Array>();
  private readonly sq = new ArrayBuffer(4096);
  private readonly cq = new ArrayBuffer(4096);
  private readonly sqes = new ArrayBuffer(64 * ENTRIES);
  private lastErrno = 0;

  private fail(errno: number): number {
    this.lastErrno = errno;
    return -1;
  }

  private setup(params: Uint8Array): number {
    const v = new DataView(params.buffer, params.byteOffset);
    this.flags.push(v.getUint32(8, true));
    if (this.setupErrno !== 0) return this.fail(this.setupErrno);
    v.setUint32(0, ENTRIES, true);
    v.setUint32(4, 2 * ENTRIES, true);
    for (const [base, last] of [
      [40, SQ_ARRAY],
      [80, CQES],
    ] as const) {
      for (const [i, at] of [0, 4, 8, 12].entries()) v.setUint32(base + 4 * i, at, true);
      v.setUint32(base + (base === 40 ? 24 : 20), last, true);
    }
    new Uint32Array(this.sq).set([0, 0, ENTRIES - 1, ENTRIES]);
    new Uint32Array(this.cq).set([0, 0, 2 * ENTRIES - 1, 2 * ENTRIES]);
    return openSync('/dev/null', 'r');
  }

  private write(how: string, address: number, length: number): number {
    const first = this.at(address);
    if (length === 1) return this.probe;
    const errno = this.refuse(first);
    if (errno !== 0) return -errno;
    this.written.push(`${how}${first}`);
    return length;
  }

  private at(address: number): number {
    for (const [start, bytes] of this.frames) {
      const at = address - start;
      if (at >= 0 && at < bytes.length) return bytes[at] as number;
    }
    throw new Error(`${address} is no address`);
  }

  private enter(submissions: number): number {
    const planned = this.enters.shift() ?? submissions;
    if (planned < 0) return this.fail(-planned);
    const sq = new Uint32Array(this.sq);
    const cq = new Int32Array(this.cq);
    const sqes = new DataView(this.sqes);
    const count = Math.min(planned, submissions);
    for (let i = 0; i < count; i++) {
      const head = sq[0] as number;
      expect(head).not.toBe(sq[1]);
      const sqe = 64 * (sq[SQ_ARRAY / 4 + (head & (ENTRIES - 1))] as number);
      expect([sqes.getUint8(sqe), sqes.getInt32(sqe + 4, true)]).toEqual([23, FD]);
      // RWF_NOWAIT.
      expect(sqes.getUint32(sqe + 28, true)).toBe(8);
      const address = sqes.getUint32(sqe + 16, true) + sqes.getUint32(sqe + 20, true) * 0x100000000;
      const tail = cq[1] as number;
      const cqe = CQES / 4 + 4 * (tail & (2 * ENTRIES - 1));
      cq[cqe] = sqes.getUint32(sqe + 32, true);
      cq[cqe + 2] = this.write('u', address, sqes.getUint32(sqe + 24, true));
      cq[1] = tail + 1;
      sq[0] = head + 1;
    }
    return count;
  }

  /** The C library of that kernel. */
  libc(): Libc {
    const never = (): never => {
      throw new Error('nobody should call this');
    };
    let next = 0x7f0000000000;
    const maps: Record<number, ArrayBuffer> = { 0: this.sq, 134217728: this.cq };
    const views = new Map<number, ArrayBuffer>();
    return {
      ioctl: never,
      ioctlValue: never,
      socket: never,
      bind: never,
      setsockopt: never,
      getsockopt: never,
      read: never,
      poll: never,
      ioUringSetup: (_entries, params) => this.setup(params),
      ioUringEnter: (_fd, submissions) => this.enter(submissions),
      write: (_fd, address, length) => {
        const result = this.write('w', address, length);
        return result < 0 ? this.fail(-result) : result;
      },
      mmap: (_address, _length, _protection, _flags, _fd, offset) => {
        this.mapped++;
        views.set(offset + 4096, maps[offset] ?? this.sqes);
        return offset + 4096;
      },
      munmap: () => {
        this.mapped--;
        return 0;
      },
      errno: () => this.lastErrno,
      address: (view) => {
        next += 0x10000000;
        this.frames.set(next, new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
        return next;
      },
      view: (address) => views.get(address) as ArrayBuffer,
    };
  }
}

function open(kernel: FakeKernel, io: TapIo = 'io_uring'): TapTx {
  const libc = kernel.libc();
  return new TapTx(libc, FD, ringFor(libc, FD, io));
}

/** Sends frames whose first bytes are `from` and on, as one batch. */
function send(tx: TapTx, from: number, count: number, length = 60): void {
  for (let i = 0; i < count; i++) {
    tx.room()[0] = from + i;
    tx.send(length);
  }
  tx.flush();
}

const all = (how: string, from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${how}${from + i}`);

describe('frames in batches', () => {
  it('go through the ring from four on, and in order', () => {
    const kernel = new FakeKernel();
    const tx = open(kernel);
    send(tx, 0, 3);
    send(tx, 3, 4);
    send(tx, 7, 1);
    // More than a batch: 32 and 8.
    send(tx, 8, 40);
    expect(kernel.written).toEqual([
      ...all('w', 0, 3),
      ...all('u', 3, 4),
      ...all('w', 7, 1),
      ...all('u', 8, 40),
    ]);
    kernel.written.length = 0;
    // Large ones go by four.
    send(tx, 0, 6, 65000);
    expect(kernel.written).toEqual(
      [...all('u', 0, 5), ...all('w', 5, 1)].sort(
        (a, b) => Number(a.slice(1)) - Number(b.slice(1)),
      ),
    );
    tx.close();
    expect([tx.errors, kernel.mapped]).toEqual([0, 0]);
  });

  it('are counted when they are refused, one by one, in both ways alike', () => {
    for (const io of ['write', 'io_uring'] as const) {
      const kernel = new FakeKernel();
      const tx = open(kernel, io);
      kernel.refuse = (first) =>
        first === 2 ? EINVAL : first === 3 ? EAGAIN : first > 8 ? EIO : 0;
      send(tx, 0, 12);
      const how = io === 'write' ? 'w' : 'u';
      expect(kernel.written).toEqual([...all(how, 0, 2), ...all(how, 4, 5)]);
      expect(tx.errors).toBe(5);
      tx.close();
    }
  });

  it('are all written when the kernel takes only some at a time, or is interrupted', () => {
    const kernel = new FakeKernel();
    const tx = open(kernel);
    kernel.enters.push(2, -EINTR, 3);
    send(tx, 0, 8);
    expect(kernel.written).toEqual(all('u', 0, 8));
    tx.close();
  });

  it('go one by one, in order, where the ring takes no more', () => {
    const kernel = new FakeKernel();
    const tx = open(kernel);
    kernel.enters.push(5, -EAGAIN);
    send(tx, 0, 8);
    kernel.enters.push(0);
    send(tx, 8, 4);
    // And again through the ring, from where it stands.
    send(tx, 12, 40);
    expect(kernel.written).toEqual([...all('u', 0, 5), ...all('w', 5, 7), ...all('u', 12, 40)]);
    expect(tx.errors).toBe(0);
    tx.close();
  });

  it('go one by one where the kernel has no io_uring or allows none, and who insists is told', () => {
    for (const errno of [ENOSYS, EPERM]) {
      const kernel = new FakeKernel();
      kernel.setupErrno = errno;
      const tx = open(kernel, 'auto');
      send(tx, 0, 8);
      expect(kernel.written).toEqual(all('w', 0, 8));
      tx.close();
      expect(() => open(kernel)).toThrow(DoorUnavailable);
      expect(() => open(kernel)).toThrow('does not let us use io_uring');
    }
  });

  it('tries an older kernel without the newer flags, and notices one that would have to wait', () => {
    const kernel = new FakeKernel();
    kernel.probe = -EOPNOTSUPP;
    expect(() => open(kernel)).toThrow(DoorUnavailable);
    expect(kernel.mapped).toBe(0);
    const tx = open(kernel, 'auto');
    send(tx, 0, 4);
    expect(kernel.written).toEqual(all('w', 0, 4));
    tx.close();
    const old = new FakeKernel();
    old.setupErrno = EINVAL;
    expect(() => open(old)).toThrow(DoorUnavailable);
    expect(old.flags).toEqual([0x1100, 0]);
  });
});
