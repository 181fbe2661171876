import { describe, expect, it } from 'vitest';
import type { TcpOption } from '#packetdrill/ast.ts';
import {
  buildIcmp,
  buildTcp,
  buildUdp,
  decodeFrame,
  type IpFields,
  type TcpFields,
  tcpOptionsLength,
  VNET_HDR_LEN,
} from '#packetdrill/wire.ts';

const ip: IpFields = { saddr: 0xc0000201, daddr: 0xc0a80001, tos: 2, ttl: 64, id: 7 };
const tcp: TcpFields = {
  source: 40000,
  dest: 8080,
  seq: 0xfffffff0,
  ack: 77,
  flags: 0x18,
  window: 1234,
  urgent: 0,
  options: [],
  length: 100,
  gsoSize: 0,
};

const OPTIONS: readonly TcpOption[] = [
  { kind: 'mss', value: 1460 },
  { kind: 'wscale', value: 7 },
  { kind: 'sackOK' },
  { kind: 'nop' },
  {
    kind: 'sack',
    blocks: [
      [1, 2],
      [0xfffffffe, 3],
    ],
  },
  { kind: 'TS', val: 0xffffffff, ecr: 5 },
  { kind: 'FO', cookie: '0102030405060708' },
  { kind: 'FO', cookie: '' },
  { kind: 'FOEXP', cookie: '01020304' },
  { kind: 'md5', digest: '00112233445566778899aabbccddeeff' },
];

describe('options come out as they went in', () => {
  it.each(OPTIONS)('$kind', (option) => {
    const pad = (4 - (tcpOptionsLength([option]) % 4)) % 4;
    const options = [option, ...Array<TcpOption>(pad).fill({ kind: 'nop' })];
    const packet = decodeFrame(buildTcp(ip, { ...tcp, options }), 5);
    expect(packet?.tcp?.options).toEqual(options);
    expect(packet?.fault).toBe('');
  });
});

it('builds TCP with right checksums', () => {
  const frame = buildTcp(ip, tcp);
  expect(decodeFrame(frame, 5)).toMatchObject({
    timeNs: 5,
    saddr: ip.saddr,
    tos: 2,
    ttl: 64,
    fault: '',
    gsoSize: 0,
    tcp: { source: 40000, dest: 8080, seq: 0xfffffff0, ack: 77, window: 1234, length: 100 },
  });
});

it('sees a wrong checksum and a wrong length', () => {
  const frame = buildTcp(ip, tcp);
  const last = frame.length - 1;
  frame[last] = (frame[last] as number) ^ 1;
  expect(decodeFrame(frame, 0)?.fault).toBe('the checksum is wrong');
  const udp = buildUdp(ip, 1, 2, 10);
  expect(decodeFrame(udp, 0)).toMatchObject({ fault: '', udp: { source: 1, dest: 2, length: 10 } });
  expect(decodeFrame(udp.subarray(0, udp.length - 2), 0)?.fault).toMatch(/says 38 bytes of 36/);
});

it('marks super-packets, with half a checksum', () => {
  const packet = decodeFrame(buildTcp(ip, { ...tcp, length: 3000, gsoSize: 1000 }), 0);
  expect(packet).toMatchObject({ gsoSize: 1000, fault: '' });
});

it('builds ICMP', () => {
  const packet = decodeFrame(
    buildIcmp(ip, { type: 3, code: 4, rest: 1000, payload: new Uint8Array(28) }),
    0,
  );
  expect(packet).toMatchObject({ icmp: { type: 3, code: 4, rest: 1000 }, tcp: null, fault: '' });
});

it('takes nothing that is no whole IPv4 packet', () => {
  const frame = buildTcp(ip, tcp);
  expect(decodeFrame(frame.subarray(0, VNET_HDR_LEN + 19), 0)).toBeNull();
  frame[VNET_HDR_LEN] = 0x65;
  expect(decodeFrame(frame, 0)).toBeNull();
  const short = buildTcp(ip, tcp);
  expect(decodeFrame(short.subarray(0, VNET_HDR_LEN + 30), 0)?.tcp).toBeNull();
});
