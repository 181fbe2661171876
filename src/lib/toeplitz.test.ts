/** Microsoft's "Verifying the RSS Hash Calculation": its key, its addresses, its results. */
import { expect, test } from 'vitest';
import { TOEPLITZ_KEY_LEN, ToeplitzKey } from '#lib/toeplitz.ts';

const KEY: Uint8Array = Uint8Array.from(
  Buffer.from(
    '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa',
    'hex',
  ),
);

/** Source and destination with their ports; the hash of the addresses, and with the ports. */
const IPV4: readonly (readonly [string, number, string, number, number, number])[] = [
  ['66.9.149.187', 2794, '161.142.100.80', 1766, 0x323e8fc2, 0x51ccc178],
  ['199.92.111.2', 14230, '65.69.140.83', 4739, 0xd718262a, 0xc626b0ea],
  ['24.19.198.95', 12898, '12.22.207.184', 38024, 0xd2d0a5de, 0x5c2b394a],
  ['38.27.205.30', 48228, '209.142.163.6', 2217, 0x82989176, 0xafc7327f],
  ['153.39.163.191', 44251, '202.188.127.2', 1303, 0x5d1809c5, 0x10e828a2],
];

const IPV6: readonly (readonly [string, number, string, number, number, number])[] = [
  ['3ffe:2501:200:1fff::7', 2794, '3ffe:2501:200:3::1', 1766, 0x2cc18cd5, 0x40207d3d],
  ['3ffe:501:8::260:97ff:fe40:efab', 14230, 'ff02::1', 4739, 0x0f0c461c, 0xdde51bbf],
  [
    '3ffe:1900:4545:3:200:f8ff:fe21:67cf',
    44251,
    'fe80::200:f8ff:fe21:67cf',
    38024,
    0x4b61e985,
    0x02d1feef,
  ],
];

function octets4(address: string): number[] {
  return address.split('.').map(Number);
}

function octets6(address: string): number[] {
  const [head = '', tail = ''] = address.split('::');
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const before = words(head);
  const after = words(tail);
  const gap = new Array<number>(8 - before.length - after.length).fill(0);
  return [...before, ...gap, ...after].flatMap((word) => [word >> 8, word & 0xff]);
}

function port(number: number): number[] {
  return [number >> 8, number & 0xff];
}

const key = new ToeplitzKey(KEY);

test.each(IPV4)('IPv4 from %s:%i to %s:%i', (source, sport, dest, dport, addresses, withPorts) => {
  const input = Uint8Array.from([
    ...octets4(source),
    ...octets4(dest),
    ...port(sport),
    ...port(dport),
  ]);
  expect(key.hash(input, 0, 8) >>> 0).toBe(addresses);
  expect(key.hash(input, 0, 12) >>> 0).toBe(withPorts);
  const joined = key.hash(input, 0, 8) ^ key.hash(input, 8, 4, 8);
  expect(joined >>> 0, 'in two parts').toBe(withPorts);
});

test.each(IPV6)('IPv6 from %s:%i to %s:%i', (source, sport, dest, dport, addresses, withPorts) => {
  const input = Uint8Array.from([
    ...octets6(source),
    ...octets6(dest),
    ...port(sport),
    ...port(dport),
  ]);
  expect(key.hash(input, 0, 32) >>> 0).toBe(addresses);
  expect(key.hash(input, 0, 36) >>> 0).toBe(withPorts);
});

test('a key of another length is none', () => {
  expect(() => new ToeplitzKey(KEY.subarray(1))).toThrow(RangeError);
  expect(KEY).toHaveLength(TOEPLITZ_KEY_LEN);
});
