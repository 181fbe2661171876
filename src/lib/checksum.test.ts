import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  csumAdd,
  csumBlockAdd,
  csumBlockSub,
  csumFold,
  csumFold16,
  csumIpv6Magic,
  csumPartial,
  csumPartialCopy,
  csumPartialWords,
  csumReplace2,
  csumReplace4,
  csumReplaceByDiff,
  csumShift,
  csumSub,
  csumTcpudpMagic,
  csumTcpudpNofold,
  csumUnfold,
  ipComputeCsum,
  ipFastCsum,
} from '#lib/checksum.ts';

/** RFC 1071#4.1 word for word, in exact arithmetic. */
function slowSum(bytes: Uint8Array): number {
  let sum = 0n;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += BigInt(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  }
  while (sum >> 16n !== 0n) sum = (sum & 0xffffn) + (sum >> 16n);
  return Number(sum);
}

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const bytes = fc.uint8Array({ maxLength: 1200 });

describe('csumPartial', () => {
  it('sums the example of RFC 1071', () => {
    const data = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    expect(csumPartial(data, 0, 8, 0)).toBe(0xddf2);
    expect(ipComputeCsum(data, 0, 8)).toBe(0x220d);
  });

  it('equals the exact sum at every alignment, length and start', () => {
    fc.assert(
      fc.property(bytes, fc.nat(7), u32, (data, shift, sum) => {
        const room = new Uint8Array(data.length + shift + 9).fill(0xa5);
        room.set(data, shift);
        const want = csumAdd(slowSum(data), sum);
        expect(csumPartial(room, shift, data.length, sum)).toBe(want);
        const inner = room.subarray(1);
        if (shift > 0) expect(csumPartial(inner, shift - 1, data.length, sum)).toBe(want);
      }),
    );
  });

  it('equals the exact sum over views of the same memory', () => {
    fc.assert(
      fc.property(bytes, fc.nat(7), u32, (data, shift, sum) => {
        const buffer = new ArrayBuffer(2048);
        const u8 = new Uint8Array(buffer).fill(0x5a);
        u8.set(data, shift);
        const got = csumPartialWords(u8, new Int32Array(buffer), shift, data.length, sum);
        expect(got).toBe(csumAdd(slowSum(data), sum));
      }),
    );
  });

  it('keeps every carry of a megabyte of ones', () => {
    for (const length of [65535, 65536, 65537, (1 << 20) + 3]) {
      const data = new Uint8Array(length).fill(0xff);
      expect(csumPartial(data, 0, length, 0)).toBe(slowSum(data));
      const even = new Uint8Array((length + 7) & ~3).fill(0xff);
      const words = new Int32Array(even.buffer);
      expect(csumPartialWords(even, words, 1, length, 0)).toBe(slowSum(data));
    }
  });

  it('takes the sum of a part for the part, split anywhere', () => {
    fc.assert(
      fc.property(bytes, fc.nat(1200), (data, at) => {
        const cut = Math.min(at, data.length);
        const first = csumPartial(data, 0, cut, 0);
        const second = csumPartial(data, cut, data.length - cut, 0);
        const whole = csumPartial(data, 0, data.length, 0);
        expect(csumBlockAdd(first, second, cut)).toBe(whole);
        if (whole !== 0xffff && first !== 0) {
          expect(csumFold(csumBlockSub(whole, second, cut))).toBe(csumFold(first));
        }
      }),
    );
  });

  it('copies what it sums', () => {
    fc.assert(
      fc.property(bytes, fc.nat(5), (data, at) => {
        const dst = new Uint8Array(data.length + at + 3).fill(0xee);
        expect(csumPartialCopy(data, 0, dst, at, data.length, 0)).toBe(slowSum(data));
        expect(dst.subarray(at, at + data.length)).toEqual(data);
        expect(dst.subarray(at + data.length)).toEqual(Uint8Array.of(0xee, 0xee, 0xee));
      }),
    );
  });
});

describe('sums', () => {
  it('folds any 32-bit number, signed or not, to 16 bits', () => {
    fc.assert(
      fc.property(u32, (x) => {
        const want = x === 0 ? 0 : ((x - 1) % 0xffff) + 1;
        expect(csumFold16(x)).toBe(want);
        expect(csumFold16(x | 0)).toBe(want);
        expect(csumFold(x)).toBe(~want & 0xffff);
        expect(csumUnfold(csumFold(x))).toBe(~want & 0xffff);
      }),
    );
  });

  it('subtracts what it added', () => {
    fc.assert(
      fc.property(u32, u32, (a, b) => {
        const back = csumSub(csumAdd(a, b), b);
        expect(back % 0xffff).toBe(csumFold16(a) % 0xffff);
      }),
    );
  });

  it('exchanges octets for an odd offset and not for an even one', () => {
    expect(csumShift(0x1234, 1)).toBe(0x3412);
    expect(csumShift(0x1234, 2)).toBe(0x1234);
    expect(csumShift(0x00011233, 3)).toBe(0x3412);
  });
});

describe('incremental update', () => {
  it('matches the example of RFC 1624', () => {
    expect(csumReplace2(0xdd2f, 0x5555, 0x3285)).toBe(0x0000);
  });

  it('matches a fresh checksum after a 16-bit and a 32-bit word changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 60 }), u16, u32, (data, w16, w32) => {
        data[0] = 0x45; // never all zero, as a real header
        const even = data.length & ~1;
        const v = new DataView(data.buffer, data.byteOffset, data.length);
        const before = ipComputeCsum(data, 0, even);
        const from16 = v.getUint16(2);
        const from32 = v.getUint32(4);
        const sum32 = csumPartial(data, 4, 4, 0);
        v.setUint16(2, w16);
        const after16 = ipComputeCsum(data, 0, even);
        expect(csumReplace2(before, from16, w16)).toBe(after16);
        v.setUint32(4, w32);
        const after32 = ipComputeCsum(data, 0, even);
        expect(csumReplace4(after16, from32, w32)).toBe(after32);
        expect(csumReplace4(after16, from32 | 0, w32 | 0)).toBe(after32);
        const diff = csumSub(csumPartial(data, 4, 4, 0), sum32);
        expect(csumReplaceByDiff(after16, diff)).toBe(after32);
      }),
    );
  });
});

describe('pseudo headers', () => {
  it('sums the IPv4 pseudo header like the octets it stands for', () => {
    fc.assert(
      fc.property(u32, u32, u16, fc.nat(255), u32, (saddr, daddr, len, proto, sum) => {
        const pseudo = new Uint8Array(12);
        const v = new DataView(pseudo.buffer);
        v.setUint32(0, saddr);
        v.setUint32(4, daddr);
        v.setUint8(9, proto);
        v.setUint16(10, len);
        const want = csumPartial(pseudo, 0, 12, sum);
        expect(csumTcpudpNofold(saddr, daddr, len, proto, sum)).toBe(want);
        expect(csumTcpudpNofold(saddr | 0, daddr | 0, len, proto, sum | 0)).toBe(want);
        expect(csumTcpudpMagic(saddr, daddr, len, proto, sum)).toBe(~want & 0xffff);
      }),
    );
  });

  it('sums the IPv6 pseudo header like the octets it stands for', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), u32, u32, (addrs, len, sum) => {
        const pseudo = new Uint8Array(40);
        pseudo.set(addrs);
        const v = new DataView(pseudo.buffer);
        v.setUint32(32, len);
        v.setUint8(39, 58);
        expect(csumIpv6Magic(v, 0, 16, len, 58, sum)).toBe(
          csumFold(csumPartial(pseudo, 0, 40, sum)),
        );
      }),
    );
  });

  it('gives the checksum of a header of RFC 791 form', () => {
    // The header that Wikipedia's article on the IPv4 header checksum works through.
    const header = Uint8Array.from(Buffer.from('450000730000400040110000c0a80001c0a800c7', 'hex'));
    const v = new DataView(header.buffer);
    expect(ipFastCsum(v, 0, 5)).toBe(0xb861);
    v.setUint16(10, 0xb861);
    expect(ipFastCsum(v, 0, 5)).toBe(0);
    v.setUint8(8, 0x3f);
    expect(ipFastCsum(v, 0, 5)).not.toBe(0);
  });
});
