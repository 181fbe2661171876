import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, NetdevMachine } from '#drivers/net/testing/netdev_machine.ts';
import {
  __skbHeaderRelease,
  CHECKSUM_PARTIAL,
  MAX_SKB_FRAGS,
  type SkBuff,
  SkBuffHead,
  skbCloned,
  skbFcloneBusy,
  skbFillPageDesc,
  skbGet,
  skbHeadlen,
  skbHeadroom,
  skbReserve,
  skbTailroom,
} from '#include/linux/skbuff.ts';
import {
  __skbDequeue,
  __skbDequeueTail,
  __skbInsert,
  __skbQueueAfter,
  __skbQueueBefore,
  __skbQueueHead,
  __skbQueueTail,
  __skbUnlink,
  skbQueueSpliceInit,
  skbQueueSpliceTailInit,
} from '#include/linux/skbuff_queue.ts';
import type { Sock } from '#include/net/sock.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { csumFold, csumPartial } from '#lib/checksum.ts';
import { mem, view } from '#mm/memory.ts';
import { allocPages } from '#mm/page_alloc.ts';
import {
  allocSkb,
  allocSkbFclone,
  allocSkbWithFrags,
  buildSkb,
  consumeSkb,
  kfreeSkb,
  kfreeSkbList,
  kfreeSkbPartial,
  kmallocSizeRoundup,
  netdevAllocSkb,
  skbClone,
  skbLeakReport,
  skbMorph,
  skbPull,
  skbPush,
  skbPut,
  skbQueuePurge,
  skbSetMachine,
  skbTrim,
} from '#net/core/skbuff.ts';
import {
  __skbChecksumComplete,
  skbChecksumHelp,
  skbChecksumSimpleValidate,
} from '#net/core/skbuff_checksum.ts';
import {
  pskbCopy,
  pskbExpandHead,
  pskbMayPull,
  pskbPull,
  pskbTrim,
  skbCopy,
  skbCow,
  skbEnsureWritable,
  skbLinearize,
  skbPutPadto,
  skbReallocHeadroom,
  skbUnshare,
} from '#net/core/skbuff_copy.ts';
import { skbChecksum, skbCopyBits, skbStoreBits } from '#net/core/skbuff_data.ts';
import { skbAppendPagefrags, skbShift, skbSplit, skbTryCoalesce } from '#net/core/skbuff_frags.ts';
import { SKB_DROP_REASON_NO_SOCKET, SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';

let m: NetdevMachine;

beforeEach(() => {
  m = new NetdevMachine();
});

afterEach(() => m.end());

const DROP = SKB_DROP_REASON_NOT_SPECIFIED;

/** The invariant of a broken rule; fails when none is broken. */
function bug(fn: () => void): string {
  try {
    fn();
  } catch (e) {
    if (e instanceof KernelBug) return e.invariant;
    throw e;
  }
  return 'no bug';
}

/** A packet whose bytes lie in a head, fragments and a frag_list. */
function scattered(head: number[], frags: number[][], list: number[][]): SkBuff {
  const skb = m.packet(head, 32);
  frags.forEach((bytes, i) => {
    const page = allocPages(2048);
    const off = i * 3;
    mem.set(bytes, page + off);
    skbFillPageDesc(skb, i, page, off, bytes.length);
    skb.len += bytes.length;
    skb.dataLen += bytes.length;
    skb.truesize += 2048;
  });
  let last: SkBuff | null = null;
  for (const bytes of list) {
    const f = m.packet(bytes, 8);
    if (last === null) skb.shinfo.fragList = f;
    else last.next = f;
    last = f;
    skb.len += bytes.length;
    skb.dataLen += bytes.length;
    skb.truesize += f.truesize;
  }
  return skb;
}

const octets = (max: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: max });
const layout = fc.record({
  head: octets(40),
  frags: fc.array(octets(30), { maxLength: 4 }),
  list: fc.array(octets(20), { maxLength: 3 }),
});

describe('sizes', () => {
  it("round up as Linux's slabs do", () => {
    const sizes = [
      1, 8, 9, 64, 65, 96, 97, 128, 129, 192, 193, 1024, 1025, 4096, 8192, 8193, 20000,
    ];
    expect(sizes.map(kmallocSizeRoundup)).toEqual([
      8, 8, 16, 64, 96, 96, 128, 128, 192, 192, 256, 1024, 2048, 4096, 8192, 16384, 32768,
    ]);
  });

  it('give the truesize that Linux reports', () => {
    for (const [size, truesize] of [
      [1, 960],
      [384, 960],
      [385, 1280],
      [704, 1280],
      [705, 2304],
      [1728, 2304],
      [1729, 4352],
    ] as const) {
      const skb = allocSkb(m.machine, size) as SkBuff;
      expect([size, skb.truesize]).toEqual([size, truesize]);
      expect(skbTailroom(skb)).toBeGreaterThanOrEqual(size);
      consumeSkb(skb);
    }
  });

  it('leave NET_SKB_PAD in front of receive buffers', () => {
    const dev = m.machine.initNet.loopbackDev;
    if (dev === null) throw new Error('no loopback');
    for (const len of [60, 1522, 9000]) {
      const skb = netdevAllocSkb(dev, len) as SkBuff;
      expect(skbHeadroom(skb)).toBe(64);
      expect(skbTailroom(skb)).toBeGreaterThanOrEqual(len);
      expect(skb.dev).toBe(dev);
      consumeSkb(skb);
    }
    const big = netdevAllocSkb(dev, 1522) as SkBuff;
    expect(big.headFrag).toBe(true);
    expect(big.truesize).toBe(64 * Math.ceil((1522 + 64) / 64) + 320 + 256);
    consumeSkb(big);
  });

  it('end in null when memory does not suffice', () => {
    expect(allocSkb(m.machine, 1 << 20)).toBeNull();
    expect(allocSkbWithFrags(m.machine, 100, (MAX_SKB_FRAGS + 1) * 32768)).toBeNull();
  });
});

describe('the bytes of a packet, against an array', () => {
  type Model = { skb: SkBuff; bytes: number[] };
  type Op = (model: Model) => void;

  const n = fc.integer({ min: 0, max: 120 });
  const ops: fc.Arbitrary<Op> = fc.oneof(
    n.map(
      (len): Op =>
        (t) => {
          const got = pskbPull(t.skb, len);
          if (len > t.bytes.length) expect(got).toBe(0);
          else t.bytes.splice(0, len);
        },
    ),
    n.map(
      (len): Op =>
        (t) => {
          expect(pskbMayPull(t.skb, len)).toBe(len <= t.bytes.length);
          if (len <= t.bytes.length) expect(skbHeadlen(t.skb)).toBeGreaterThanOrEqual(len);
        },
    ),
    n.map(
      (len): Op =>
        (t) => {
          expect(pskbTrim(t.skb, len)).toBe(0);
          t.bytes.length = Math.min(t.bytes.length, len);
        },
    ),
    octets(12).map(
      (front): Op =>
        (t) => {
          expect(skbCow(t.skb, front.length)).toBe(0);
          const at = skbPush(t.skb, front.length);
          mem.set(front, at);
          t.bytes.unshift(...front);
        },
    ),
    octets(12).map(
      (back): Op =>
        (t) => {
          if (skbLinearize(t.skb) !== 0) throw new Error('linearize');
          if (skbCloned(t.skb) || skbTailroom(t.skb) < back.length) {
            expect(pskbExpandHead(t.skb, 0, back.length)).toBe(0);
          }
          mem.set(back, skbPut(t.skb, back.length));
          t.bytes.push(...back);
        },
    ),
    fc.tuple(n, octets(16)).map(
      ([at, data]): Op =>
        (t) => {
          const fits = at + data.length <= t.bytes.length;
          // Fragments may be shared where the head is not: only a whole copy may be written anywhere.
          const copy = skbCopy(t.skb) as SkBuff;
          consumeSkb(t.skb);
          t.skb = copy;
          const err = skbStoreBits(t.skb, at, Uint8Array.from(data), 0, data.length);
          expect(err === 0).toBe(fits);
          if (fits) t.bytes.splice(at, data.length, ...data);
        },
    ),
    fc.constant<Op>((t) => {
      const copy = pskbCopy(t.skb) as SkBuff;
      consumeSkb(t.skb);
      t.skb = copy;
    }),
    fc.constant<Op>((t) => {
      const copy = skbCopy(t.skb) as SkBuff;
      expect(copy.dataLen).toBe(0);
      consumeSkb(t.skb);
      t.skb = copy;
    }),
    n.map(
      (room): Op =>
        (t) => {
          const copy = skbReallocHeadroom(t.skb, room) as SkBuff;
          expect(skbHeadroom(copy)).toBeGreaterThanOrEqual(room);
          consumeSkb(t.skb);
          t.skb = copy;
        },
    ),
    n.map(
      (len): Op =>
        (t) => {
          if (len === 0 || len >= t.bytes.length) return;
          expect(skbEnsureWritable(t.skb, len)).toBe(0);
          mem[t.skb.data] = 7;
          t.bytes[0] = 7;
        },
    ),
    n.map(
      (len): Op =>
        (t) => {
          if (t.bytes.length === 0) return;
          expect(skbPutPadto(t.skb, len)).toBe(0);
          while (t.bytes.length < len) t.bytes.push(0);
        },
    ),
  );

  it('keep their value through every operation, with and without clones', () => {
    fc.assert(
      fc.property(layout, fc.array(fc.tuple(ops, fc.boolean()), { maxLength: 12 }), (l, steps) => {
        const before = m.machine.live.skbs;
        const t: Model = {
          skb: scattered(l.head, l.frags, l.list),
          bytes: [...l.head, ...l.frags.flat(), ...l.list.flat()],
        };
        const witnesses: { skb: SkBuff; bytes: number[] }[] = [];
        for (const [op, cloneFirst] of steps) {
          if (cloneFirst) witnesses.push({ skb: skbClone(t.skb), bytes: [...t.bytes] });
          op(t);
          expect(bytesOf(t.skb)).toEqual(t.bytes);
          expect(t.skb.len).toBe(t.bytes.length);
          expect(skbHeadlen(t.skb)).toBe(t.skb.tail - t.skb.data);
          for (const w of witnesses) expect(bytesOf(w.skb)).toEqual(w.bytes);
        }
        for (const w of witnesses) consumeSkb(w.skb);
        consumeSkb(t.skb);
        expect(m.machine.live.skbs).toBe(before);
      }),
      { numRuns: 300 },
    );
  });

  it('are copied and summed from any offset', () => {
    fc.assert(
      fc.property(layout, fc.nat(200), fc.nat(200), (l, offset, len) => {
        const skb = scattered(l.head, l.frags, l.list);
        const bytes = [...l.head, ...l.frags.flat(), ...l.list.flat()];
        const to = new Uint8Array(len);
        const ok = offset + len <= bytes.length;
        expect(skbCopyBits(skb, offset, to, 0, len) === 0).toBe(ok);
        if (ok) {
          const part = Uint8Array.from(bytes.slice(offset, offset + len));
          expect(to).toEqual(part);
          expect(csumFold(skbChecksum(skb, offset, len, 0x1234))).toBe(
            csumFold(csumPartial(part, 0, len, 0x1234)),
          );
        }
        consumeSkb(skb);
      }),
    );
  });

  it('are split, shifted and joined without a copy of the fragments', () => {
    fc.assert(
      fc.property(
        fc.array(octets(30), { minLength: 1, maxLength: 6 }),
        fc.array(octets(30), { minLength: 1, maxLength: 6 }),
        fc.nat(180),
        fc.boolean(),
        (a, b, cut, clone) => {
          const left = scattered([], a, []);
          const right = scattered([], b, []);
          const all = [...a.flat(), ...b.flat()];
          const keep = clone ? skbClone(right) : null;
          const len = Math.min(cut, b.flat().length - 1);
          if (len > 0) expect(skbShift(left, right, len)).toBe(len);
          expect([...bytesOf(left), ...bytesOf(right)]).toEqual(all);
          expect(left.len).toBe(a.flat().length + Math.max(0, len));
          if (keep !== null) {
            expect(bytesOf(keep)).toEqual(b.flat());
            consumeSkb(keep);
          }
          const at = Math.min(cut, left.len);
          const rest = allocSkb(m.machine, 0) as SkBuff;
          skbSplit(left, rest, at);
          expect(bytesOf(left)).toEqual(all.slice(0, at));
          expect([...bytesOf(left), ...bytesOf(rest), ...bytesOf(right)]).toEqual(all);
          const delta = skbTryCoalesce(rest, right);
          expect(delta).toBeGreaterThanOrEqual(0);
          kfreeSkbPartial(right);
          expect([...bytesOf(left), ...bytesOf(rest)]).toEqual(all);
          consumeSkb(left);
          consumeSkb(rest);
        },
      ),
    );
  });

  it('join with their heads when these are page fragments', () => {
    const to = scattered([1, 2], [[3]], []);
    const page = allocPages(2048);
    const from = buildSkb(m.machine, page, 2048);
    skbReserve(from, 64);
    mem.set([4, 5, 6], skbPut(from, 3));
    to.tail = to.end - 2;
    to.len = to.tail - to.data + 1;
    const before = to.len;
    expect(skbTryCoalesce(to, from)).toBe(from.truesize - 256);
    expect(from.headStolen).toBe(true);
    kfreeSkbPartial(from);
    expect(to.len).toBe(before + 3);
    expect(bytesOf(to).slice(-3)).toEqual([4, 5, 6]);
    consumeSkb(to);
  });

  it('grow by pages that continue the last one', () => {
    const skb = scattered([], [], []);
    const page = allocPages(32768);
    expect(skbAppendPagefrags(skb, page, 0, 100, MAX_SKB_FRAGS)).toBe(0);
    expect(skbAppendPagefrags(skb, page, 100, 50, MAX_SKB_FRAGS)).toBe(0);
    expect(skb.shinfo.nrFrags).toBe(1);
    expect(skbAppendPagefrags(skb, page, 400, 50, 2)).toBe(0);
    expect(skbAppendPagefrags(skb, page, 800, 50, 2)).toBeLessThan(0);
    skb.len = 200;
    skb.dataLen = 200;
    consumeSkb(skb);
    kfreeSkb(buildSkb(m.machine, page, 32768), DROP, 'test');
  });
});

describe('sharing', () => {
  it('frees memory with the last of clone and original, in either order', () => {
    for (const cloneFirst of [true, false]) {
      const skb = scattered([1, 2, 3], [[4, 5]], [[6]]);
      const clone = skbClone(skb);
      expect(skbCloned(skb) && skbCloned(clone)).toBe(true);
      const [first, second] = cloneFirst ? [clone, skb] : [skb, clone];
      consumeSkb(first);
      expect(bytesOf(second)).toEqual([1, 2, 3, 4, 5, 6]);
      expect(skbCloned(second)).toBe(false);
      consumeSkb(second);
    }
  });

  it('counts holders of the struct', () => {
    const skb = m.packet([1]);
    skbGet(skb);
    kfreeSkb(skb, DROP, 'test');
    expect(bytesOf(skb)).toEqual([1]);
    kfreeSkb(skb, DROP, 'test');
    expect(m.machine.live.skbs).toBe(0);
  });

  it('knows whether the fast clone is still on its way', () => {
    const sk = {} as Sock;
    const skb = allocSkbFclone(m.machine, 100) as SkBuff;
    const fast = skbClone(skb);
    const second = skbClone(skb);
    fast.sk = sk;
    expect(skbFcloneBusy(sk, skb)).toBe(true);
    fast.sk = null;
    consumeSkb(fast);
    expect(skbFcloneBusy(sk, skb)).toBe(false);
    consumeSkb(skb);
    consumeSkb(second);
  });

  it('gives a private copy only where it must', () => {
    const skb = m.packet([1, 2]);
    expect(skbUnshare(skb)).toBe(skb);
    const clone = skbClone(skb);
    const own = skbUnshare(skb) as SkBuff;
    expect(own).not.toBe(skb);
    mem[own.data] = 9;
    expect(bytesOf(clone)).toEqual([1, 2]);
    consumeSkb(own);
    consumeSkb(clone);
  });

  it('lets the payload holder give the header away', () => {
    const skb = m.packet([1, 2, 3]);
    __skbHeaderRelease(skb);
    const clone = skbClone(skb);
    expect(skbCow(clone, 0)).toBe(0);
    consumeSkb(clone);
    consumeSkb(skb);
  });

  it('turns one packet into the clone of another', () => {
    const a = m.packet([1]);
    const b = m.packet([2, 3]);
    skbMorph(a, b);
    expect(bytesOf(a)).toEqual([2, 3]);
    consumeSkb(b);
    consumeSkb(a);
  });

  it('runs the destructor once, when the owner loses the packet', () => {
    const skb = m.packet([1]);
    let runs = 0;
    skb.sk = {} as Sock;
    skb.destructor = () => runs++;
    const clone = skbClone(skb);
    expect(clone.destructor).toBeNull();
    consumeSkb(clone);
    consumeSkb(skb);
    expect(runs).toBe(1);
  });

  it('hands a packet to another machine by reference', () => {
    const other = new NetdevMachine('other');
    const skb = scattered([1, 2], [[3]], [[4]]);
    const original = skbClone(skb);
    const { head } = skb;
    skbSetMachine(skb, other.machine);
    // The frag_list, which both share, goes along.
    expect(m.machine.live.skbs).toBe(1);
    expect(other.machine.live.skbs).toBe(2);
    expect(skb.head).toBe(head);
    consumeSkb(original);
    expect(bytesOf(skb)).toEqual([1, 2, 3, 4]);
    consumeSkb(skb);
    expect(m.machine.live.skbs).toBe(0);
    other.end();
  });
});

describe('ends and reasons', () => {
  it('tell the tracepoints why', () => {
    const seen: string[] = [];
    m.machine.trace.skb.kfreeSkb.register((skb, where, reason) =>
      seen.push(`kfree ${skb.len} ${where} ${reason}`),
    );
    m.machine.trace.skb.consumeSkb.register((skb, where) =>
      seen.push(`consume ${skb.len} ${where}`),
    );
    kfreeSkb(m.packet([1]), SKB_DROP_REASON_NO_SOCKET, 'udp_rcv');
    consumeSkb(m.packet([1, 2]), 'ip_rcv');
    const a = m.packet([1, 2, 3]);
    a.next = m.packet([1, 2, 3, 4]);
    kfreeSkbList(a, DROP, 'here');
    expect(seen).toEqual([
      'kfree 1 udp_rcv 3',
      'consume 2 ip_rcv',
      'kfree 3 here 2',
      'kfree 4 here 2',
    ]);
  });
});

describe('checksums', () => {
  it('are filled in where the device should have', () => {
    const skb = scattered([0, 0, 9, 9, 0, 0, 5], [[1, 2, 3], [4]], []);
    const clone = skbClone(skb);
    skb.ipSummed = CHECKSUM_PARTIAL;
    skb.csumStart = skb.data + 2;
    skb.csumOffset = 2;
    expect(skbChecksumHelp(skb)).toBe(0);
    expect(view.getUint16(skb.data + 4)).not.toBe(0);
    const bytes = Uint8Array.from(bytesOf(skb).slice(2));
    expect(csumFold(csumPartial(bytes, 0, bytes.length, 0))).toBe(0);
    expect(bytesOf(clone).slice(4, 6)).toEqual([0, 0]);
    consumeSkb(clone);
    consumeSkb(skb);
  });

  it('are verified once', () => {
    const good = m.packet([0x45, 0, 0xba, 0xff]);
    good.csum = 0;
    expect(__skbChecksumComplete(good)).toBe(0);
    expect(skbChecksumSimpleValidate(good)).toBe(0);
    consumeSkb(good);
    const bad = m.packet([0x45, 0, 0xba, 0xfe]);
    expect(skbChecksumSimpleValidate(bad)).not.toBe(0);
    consumeSkb(bad);
  });
});

describe('queues, against an array', () => {
  it('keep order and length through every operation', () => {
    const cmd = fc.tuple(fc.integer({ min: 0, max: 9 }), fc.nat(20));
    fc.assert(
      fc.property(fc.array(cmd, { maxLength: 40 }), (cmds) => {
        const list = new SkBuffHead();
        const other = new SkBuffHead();
        let a: number[] = [];
        let b: number[] = [];
        const fresh = (): SkBuff => m.packet([1]);
        const at = (i: number): SkBuff => {
          let skb = list.next as SkBuff;
          for (let k = 0; k < i; k++) skb = skb.next as SkBuff;
          return skb;
        };
        for (const [what, arg] of cmds) {
          const skb = what < 5 || what === 8 ? fresh() : null;
          const i = a.length === 0 ? -1 : arg % a.length;
          if (skb !== null && what === 0) {
            __skbQueueTail(list, skb);
            a.push(skb.id);
          } else if (skb !== null && what === 1) {
            __skbQueueHead(list, skb);
            a.unshift(skb.id);
          } else if (skb !== null && what === 2 && i >= 0) {
            __skbQueueAfter(list, at(i), skb);
            a.splice(i + 1, 0, skb.id);
          } else if (skb !== null && what === 3 && i >= 0) {
            __skbQueueBefore(list, at(i), skb);
            a.splice(i, 0, skb.id);
          } else if (skb !== null && what === 8) {
            __skbInsert(skb, other.prev, null, other);
            b.push(skb.id);
          } else if (skb !== null) {
            consumeSkb(skb);
          } else if (what === 5) {
            const got = __skbDequeue(list);
            expect(got?.id).toBe(a.shift());
            consumeSkb(got);
          } else if (what === 6) {
            const fromTail = arg % 2 === 0 || i < 0;
            const got = fromTail ? __skbDequeueTail(list) : at(i);
            if (!fromTail && got !== null) __skbUnlink(got, list);
            if (got !== null) a = a.filter((id) => id !== got.id);
            consumeSkb(got);
          } else if (what === 7) {
            skbQueueSpliceInit(other, list);
            a = [...b, ...a];
            b = [];
          } else {
            skbQueueSpliceTailInit(other, list);
            a = [...a, ...b];
            b = [];
          }
          const ids: number[] = [];
          for (let s = list.next; s !== null; s = s.next) ids.push(s.id);
          const back: number[] = [];
          for (let s = list.prev; s !== null; s = s.prev) back.unshift(s.id);
          expect(ids).toEqual(a);
          expect(back).toEqual(a);
          expect(list.qlen).toBe(a.length);
        }
        skbQueuePurge(list);
        skbQueuePurge(other);
      }),
      { numRuns: 200 },
    );
  });
});

describe.runIf(DEBUG)('programmer errors are named', () => {
  it('double free', () => {
    const skb = m.packet([1]);
    kfreeSkb(skb, DROP, 'test');
    expect(bug(() => kfreeSkb(skb, DROP, 'test'))).toBe('skb-double-free');
    expect(bug(() => skbGet(skb))).toBe('skb-use-after-free');
    expect(bug(() => skbClone(skb))).toBe('skb-use-after-free');
  });

  it('writing past the ends', () => {
    const skb = m.packet([1]);
    expect(bug(() => skbPut(skb, skbTailroom(skb) + 1))).toBe('skb-over-panic');
    skbTrim(skb, 1);
    expect(bug(() => skbPush(skb, skbHeadroom(skb) + 1))).toBe('skb-under-panic');
    skb.data = skb.tail - 1;
    skb.len = 1;
    consumeSkb(skb);
  });

  it('pulling into fragments, putting behind them', () => {
    const skb = scattered([1, 2], [[3, 4]], []);
    expect(bug(() => skbPut(skb, 1))).toBe('skb-put-nonlinear');
    expect(bug(() => skbPull(skb, 3))).toBe('skb-pull-nonlinear');
    skb.len += 3;
    consumeSkb(skb);
  });

  it('queueing twice, freeing while queued', () => {
    const list = new SkBuffHead();
    const other = new SkBuffHead();
    const skb = m.packet([1]);
    __skbQueueTail(list, skb);
    expect(bug(() => __skbQueueTail(other, skb))).toBe('skb-double-queue');
    expect(bug(() => __skbUnlink(skb, other))).toBe('skb-not-queued');
    expect(bug(() => consumeSkb(skb))).toBe('skb-freed-while-queued');
    __skbUnlink(skb, list);
    consumeSkb(skb);
  });

  it('a stale pointer after pskb_may_pull', () => {
    const skb = m.packet([0x12, 0x34, 5, 6]);
    const stale = skb.data;
    expect(pskbMayPull(skb, 4)).toBe(true);
    expect(view.getUint16(skb.data)).toBe(0x1234);
    expect(bug(() => view.getUint16(stale))).toBe('use-after-free');
    consumeSkb(skb);
  });

  it('expanding a shared packet', () => {
    const skb = skbGet(m.packet([1]));
    expect(bug(() => pskbExpandHead(skb, 16, 0))).toBe('skb-expand-shared');
    consumeSkb(skb);
    consumeSkb(skb);
  });

  it('a leak, with the packet it was cloned from', () => {
    const skb = m.packet([1, 2, 3]);
    const leaked = skbClone(skb);
    consumeSkb(skb);
    expect(skbLeakReport(m.machine)).toHaveLength(1);
    expect(skbLeakReport(m.machine)[0]).toMatch(/leaked packet \(clone or copy of \d+\): .*len:3/);
    consumeSkb(leaked);
  });

  it('a drop without a reason', () => {
    const skb = m.packet([1]);
    expect(bug(() => kfreeSkb(skb, 0, 'test'))).toBe('skb-drop-reason');
    consumeSkb(skb);
  });
});
