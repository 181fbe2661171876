import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bitrev32, crc32Le, etherCrc, etherCrcLe, etherFcs } from '#lib/crc32.ts';

describe('CRC-32', () => {
  it('gives the check value of the polynomial', () => {
    const digits = new TextEncoder().encode('123456789');
    expect(etherFcs(digits, 0, 9)).toBe(0xcbf43926);
    expect(etherCrcLe(digits, 0, 9) >>> 0).toBe(~0xcbf43926 >>> 0);
    expect(bitrev32(etherCrc(digits, 0, 9))).toBe(etherCrcLe(digits, 0, 9));
  });

  it('leaves a constant over any frame with its check sequence', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(5), (data, at) => {
        const frame = new Uint8Array(at + data.length + 4);
        frame.set(data, at);
        const fcs = etherFcs(frame, at, data.length);
        if (typeof crc32 === 'function') expect(fcs).toBe(crc32(data));
        new DataView(frame.buffer).setUint32(at + data.length, fcs, true);
        expect(crc32Le(-1, frame, at, data.length + 4) >>> 0).toBe(0xdebb20e3);
      }),
    );
  });

  it('hashes the all-hosts group as the tables of filters expect', () => {
    // 01:00:5e:00:00:01: 0x3c in the upper six bits of the big-endian register (802.3 multicast hash).
    const mac = Uint8Array.of(0x01, 0x00, 0x5e, 0x00, 0x00, 0x01);
    let crc = -1;
    for (const octet of mac) {
      for (let bit = 0; bit < 8; bit++) {
        const feed = (crc < 0 ? 1 : 0) ^ ((octet >> bit) & 1);
        crc = (crc << 1) ^ (feed === 1 ? 0x04c11db7 : 0);
      }
    }
    expect(etherCrc(mac, 0, 6)).toBe(crc);
  });
});
