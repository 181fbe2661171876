import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { splitMessages } from '#user/lib/netlink.ts';
import { NlAttrs, NlBuilder, NlMessage } from '#user/lib/nlmsg.ts';

const parse = (bytes: Uint8Array): NlMessage => new NlMessage(new DataView(bytes.buffer), 0);

describe('netlink messages', () => {
  test('what is built is read back', () => {
    const bytes = new NlBuilder(16, 0x405)
      .header(4, (v, o) => v.setUint8(o, 7))
      .u8(1, 200)
      .u16(2, 60000)
      .u32(3, 4000000000)
      .be32(4, 0x0a000001)
      .u64(5, 2 ** 40 + 3)
      .string(6, 'eth0')
      .nest(7, (b) => b.u32(1, 9).string(2, 'veth'), true)
      .flag(8)
      .finish();
    const message = parse(bytes);
    expect(message.length).toBe(bytes.length);
    expect([message.type, message.flags]).toEqual([16, 0x405]);
    expect(message.view.getUint8(message.payload)).toBe(7);
    const attrs = message.attrs(4);
    expect([attrs.u8(1), attrs.u16(2), attrs.u32(3), attrs.be32(4)]).toEqual([
      200, 60000, 4000000000, 0x0a000001,
    ]);
    expect(attrs.u64(5)).toBe(2 ** 40 + 3);
    expect(attrs.string(6)).toBe('eth0');
    expect(attrs.nested(7)?.string(2)).toBe('veth');
    expect(attrs.has(8)).toBe(true);
    expect(attrs.has(9)).toBe(false);
  });

  test('large messages grow', () => {
    const value = new Uint8Array(5000).fill(3);
    const message = parse(new NlBuilder(1, 0).attr(1, value).finish());
    expect(message.attrs(0).bytes(1)).toEqual(value);
  });

  test('values that are too short are not there', () => {
    const attrs = parse(new NlBuilder(1, 0).attr(1, Uint8Array.of(1, 2)).finish()).attrs(0);
    expect(attrs.u32(1)).toBeNull();
    expect(attrs.u64(1)).toBeNull();
    expect(attrs.u16(1)).toBe(0x0201);
  });

  test('any bytes can be looked at: no throw, and nothing beyond their end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        for (const { at, length } of new NlAttrs(view, 0, bytes.length).list) {
          expect(at + length).toBeLessThanOrEqual(bytes.length);
        }
        for (const message of splitMessages(bytes)) {
          expect(message.end).toBeLessThanOrEqual(bytes.length);
          message.attrs(16);
        }
      }),
    );
  });
});
