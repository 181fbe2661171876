import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IovIter } from '#include/linux/net.ts';
import { csumFold, csumPartial } from '#lib/checksum.ts';
import { mem } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import {
  copyBytesFromIter,
  copyBytesToIter,
  copyFromIter,
  copyFromIterFull,
  copyToIter,
  csumAndCopyFromIter,
  iovIterAdvance,
  iovIterInit,
  iovIterRevert,
  iovIterTruncate,
} from '#net/core/iov_iter.ts';
import { EFAULT } from '#uapi/errno.ts';

const bytes = (n: number, from = 0): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (from + i * 7) & 0xff);

function iterOver(...bufs: Uint8Array[]): IovIter {
  const iter = new IovIter();
  iovIterInit(
    iter,
    bufs,
    bufs.reduce((sum, b) => sum + b.length, 0),
  );
  return iter;
}

function withPage(fn: (page: number) => void): void {
  const page = allocPages(32768);
  expect(page).not.toBe(0);
  fn(page);
  putPage(page);
}

/** Splits `data` at the given cut points, empty pieces included. */
function split(data: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [0, ...[...cuts].sort((a, b) => a - b).map((c) => c % (data.length + 1))].sort(
    (a, b) => a - b,
  );
  return at.map((start, i) => data.subarray(start, at[i + 1] ?? data.length));
}

describe('iov_iter', () => {
  it('copies across segments of any size, empty ones too, both ways', () => {
    withPage((page) => {
      fc.assert(
        fc.property(
          fc.uint8Array({ maxLength: 600 }),
          fc.array(fc.nat(600), { maxLength: 5 }),
          fc.array(fc.nat(600), { maxLength: 5 }),
          (data, cutsIn, cutsOut) => {
            const from = iterOver(...split(data, cutsIn));
            expect(copyFromIter(page, data.length + 5, from)).toBe(data.length);
            expect(from.count).toBe(0);
            expect([...mem.subarray(page, page + data.length)]).toEqual([...data]);
            const out = new Uint8Array(data.length);
            const to = iterOver(...split(out, cutsOut));
            expect(copyToIter(page, data.length + 5, to)).toBe(data.length);
            expect([...out]).toEqual([...data]);
          },
        ),
      );
    });
  });

  it('copies inside the arena when the user gave arena memory', () => {
    withPage((page) => {
      const user = mem.subarray(page + 4096, page + 4096 + 1000);
      user.set(bytes(1000));
      expect(copyFromIter(page, 1000, iterOver(user))).toBe(1000);
      expect([...mem.subarray(page, page + 1000)]).toEqual([...bytes(1000)]);
      mem.fill(0, page + 4096, page + 4096 + 1000);
      expect(copyToIter(page, 1000, iterOver(user))).toBe(1000);
      expect([...user]).toEqual([...bytes(1000)]);
    });
  });

  it('goes back over segment borders to where it was', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 8 }), fc.nat(160), (sizes, n) => {
        const total = sizes.reduce((a, b) => a + b, 0);
        const step = Math.min(n, total);
        const iter = iterOver(...sizes.map((size, i) => bytes(size, i * 31)));
        const whole = new Uint8Array(total);
        copyBytesFromIter(whole, total, iter);
        iovIterRevert(iter, total);
        expect(iter.count).toBe(total);
        iovIterAdvance(iter, step);
        iovIterRevert(iter, step);
        const again = new Uint8Array(total);
        expect(copyBytesFromIter(again, total, iter)).toBe(total);
        expect(again).toEqual(whole);
      }),
    );
  });

  it('takes all or nothing when told to, and sums what it takes', () => {
    withPage((page) => {
      const data = bytes(333, 3);
      const iter = iterOver(data.subarray(0, 100), data.subarray(100));
      expect(copyFromIterFull(page, 334, iter)).toBe(false);
      expect(iter.count).toBe(333);
      expect(csumAndCopyFromIter(page, 334, 0, iter)).toBe(-EFAULT);
      const sum = csumAndCopyFromIter(page, 333, 0, iter);
      expect(csumFold(sum)).toBe(csumFold(csumPartial(data, 0, 333, 0)));
      expect([...mem.subarray(page, page + 333)]).toEqual([...data]);
    });
  });

  it('stops at a truncated count, however much room there is', () => {
    const iter = iterOver(new Uint8Array(8), new Uint8Array(8));
    iovIterTruncate(iter, 10);
    expect(copyBytesToIter(bytes(16), 16, iter)).toBe(10);
    expect(iter.count).toBe(0);
    expect([...(iter.iov[1] as Uint8Array)]).toEqual([
      ...bytes(16).subarray(8, 10),
      ...Array(6).fill(0),
    ]);
  });
});
