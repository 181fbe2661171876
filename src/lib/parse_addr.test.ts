import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatHwaddr,
  formatMac,
  formatPrefix4,
  in6Words,
  inetMakeMask,
  inetMaskLen,
  inNtop4,
  inNtop6,
  inPton4,
  inPton6,
  macOctets,
  parseMac,
  parsePrefix4,
  parsePrefix6,
} from '#lib/parse_addr.ts';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const octets16 = fc.oneof(
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  fc
    .array(fc.constantFrom(0, 0, 0, 1, 0xab), { minLength: 16, maxLength: 16 })
    .map((list) => Uint8Array.from(list)),
);

describe('IPv4', () => {
  it('reads what it writes', () => {
    fc.assert(
      fc.property(u32, (addr) => {
        expect(inPton4(inNtop4(addr))).toBe(addr);
        expect(inNtop4(addr | 0)).toBe(inNtop4(addr));
      }),
    );
    expect(inNtop4(0x7f000001)).toBe('127.0.0.1');
  });

  it('accepts what the host accepts and nothing else', () => {
    const soup = fc.string({
      unit: fc.constantFrom('0', '1', '2', '5', '9', '.', ' ', 'x'),
      maxLength: 16,
    });
    fc.assert(
      fc.property(fc.oneof(soup, fc.ipV4(), fc.string()), (text) => {
        expect(inPton4(text) !== null).toBe(isIPv4(text));
      }),
    );
    for (const text of [
      '1.2.3',
      '1.2.3.256',
      '01.2.3.4',
      '0x1.2.3.4',
      '1.2.3.4 ',
      '1.2.3.4\n',
      '',
    ]) {
      expect(inPton4(text)).toBeNull();
    }
  });
});

describe('IPv6', () => {
  it('reads what it writes, in the text that RFC 5952 asks for', () => {
    fc.assert(
      fc.property(octets16, (octets) => {
        const text = inNtop6(octets);
        expect(inPton6(text)).toEqual(octets);
        expect(text).toBe(new SocketAddress({ address: text, family: 'ipv6' }).address);
      }),
    );
  });

  it.each([
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['fe80::0204', 'fe80::204'],
    ['1::', '1::'],
    ['0:0:0:0:0:ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::100:0', '::1.0.0.0'],
    ['::1:2:3', '::1:2:3'],
  ])('writes %s as %s', (from, to) => {
    expect(inNtop6(inPton6(from) as Uint8Array)).toBe(to);
  });

  it('accepts what the host accepts and nothing else', () => {
    const soup = fc.string({
      unit: fc.constantFrom(':', ':', '0', 'f', '1', '.', 'g'),
      maxLength: 20,
    });
    fc.assert(
      fc.property(fc.oneof(soup, fc.ipV6()), (text) => {
        expect(inPton6(text) !== null).toBe(isIPv6(text));
      }),
      { numRuns: 2000 },
    );
    for (const text of [
      '',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '::1%lo',
      '12345::',
    ]) {
      expect(inPton6(text)).toBeNull();
    }
  });

  it('splits into words', () => {
    const octets = Uint8Array.from([9, ...(inPton6('2001:db8::ffff:1') as Uint8Array)]);
    expect(in6Words(octets.subarray(1))).toEqual([0x20010db8, 0, 0, 0xffff0001]);
    expect(inNtop6(octets, 1)).toBe('2001:db8::ffff:1');
  });
});

describe('prefixes', () => {
  it('reads addresses with and without a length', () => {
    expect(parsePrefix4('10.1.2.3/8')).toEqual({ ok: true, value: { addr: 0x0a010203, len: 8 } });
    expect(parsePrefix4('10.1.2.3')).toEqual({ ok: true, value: { addr: 0x0a010203, len: 32 } });
    expect(parsePrefix6('::/0')).toEqual({ ok: true, value: { addr: new Uint8Array(16), len: 0 } });
    expect(parsePrefix6('::').ok && parsePrefix6('::')).toMatchObject({ value: { len: 128 } });
    expect(formatPrefix4({ addr: 0x0a000000, len: 8 })).toBe('10.0.0.0/8');
  });

  it.each([
    ['10.0.0.0/33', '"10.0.0.0/33": the prefix length must be 0 to 32'],
    ['10.0.0.0/08', '"10.0.0.0/08": the prefix length must be 0 to 32'],
    ['10.0.0.0/', '"10.0.0.0/": the prefix length must be 0 to 32'],
    ['10.0.0.0/8/8', '"10.0.0.0/8/8": the prefix length must be 0 to 32'],
    ['eth0', '"eth0": an IPv4 address is expected'],
    ['\u001b[31m', '"?[31m": an IPv4 address is expected'],
    [`1${'0'.repeat(99)}`, `"1${'0'.repeat(63)}...": an IPv4 address is expected`],
  ])('refuses %s and says why', (text, error) => {
    expect(parsePrefix4(text)).toEqual({ ok: false, error });
  });

  it('refuses what is no IPv6 prefix', () => {
    expect(parsePrefix6('::/129')).toMatchObject({ ok: false, error: /0 to 128/ });
    expect(parsePrefix6('10.0.0.0/8')).toMatchObject({ ok: false, error: /IPv6 address/ });
  });

  it('turns lengths into masks and back, and knows a mask with holes', () => {
    for (let len = 0; len <= 32; len++) {
      expect(inetMaskLen(inetMakeMask(len))).toBe(len);
      expect(inetMaskLen(inetMakeMask(len) | 0)).toBe(len);
    }
    expect(inetMakeMask(24)).toBe(0xffffff00);
    expect(inetMaskLen(0xff00ff00)).toBe(-1);
    expect(inetMaskLen(1)).toBe(-1);
  });
});

describe('link-layer addresses', () => {
  it('reads what it writes', () => {
    fc.assert(
      fc.property(u32, fc.nat(0xffff), (hi, lo) => {
        const text = formatMac(hi, lo);
        expect(text).toMatch(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
        expect(parseMac(text)).toEqual({ ok: true, value: { hi, lo } });
        expect(parseMac(text.toUpperCase().replaceAll(':', '-'))).toEqual(parseMac(text));
        expect(formatHwaddr(macOctets({ hi, lo }))).toBe(text);
        expect(formatMac(hi | 0, lo)).toBe(text);
      }),
    );
    expect(formatMac(0x02000000, 1)).toBe('02:00:00:00:00:01');
    expect(parseMac('2:0:0:0:0:1')).toEqual({ ok: true, value: { hi: 0x02000000, lo: 1 } });
  });

  it.each(['', '02:00:00:00:00', '02:00:00:00:00:01:02', '02:00:00:00:00:0g', '02-00:00:00:00:01'])(
    'refuses %s',
    (text) => {
      expect(parseMac(text)).toMatchObject({ ok: false, error: /link-layer address/ });
    },
  );
});
