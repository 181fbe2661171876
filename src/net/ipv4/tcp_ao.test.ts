/** The authentication option's arithmetic against the vectors of RFC 9235, and its extension of sequence numbers. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { TCP_AO_CMAC_AES, TCP_AO_HMAC_SHA1, TcpAoKey } from '#include/net/tcp_auth.ts';
import { AesCmac } from '#lib/aes_cmac.ts';
import { tcpAoComputeSne, tcpAoHashHdr, tcpV4AoCalcKey } from '#net/ipv4/tcp_ao.ts';
import { TCP_AO_KEYF_EXCLUDE_OPT } from '#uapi/tcp_auth.ts';

let m: BareMachine;

beforeEach(() => {
  m = new BareMachine();
});

afterEach(() => {
  expect(m.end()).toEqual({});
});

const bytes = (hex: string): Uint8Array =>
  new Uint8Array(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');

/** The master key of the vectors, as the algorithm takes it. */
function masterKey(algorithm: string): Uint8Array {
  const text = new TextEncoder().encode('testvector');
  if (algorithm === TCP_AO_HMAC_SHA1) return text;
  const out = new Uint8Array(16);
  const cmac = new AesCmac();
  cmac.setKey(out);
  cmac.update(text, 0, text.length);
  cmac.final(out, 0);
  return out;
}

interface Vector {
  readonly algorithm: string;
  readonly keyflags: number;
  readonly packet: string;
  /** Of the sender and of the other side, where it is known. */
  readonly sisn: number;
  readonly disn: number;
  readonly trafficKey: string | null;
  readonly mac: string;
}

const VECTORS: Readonly<Record<string, Vector>> = {
  'HMAC-SHA-1-96, SYN': {
    algorithm: TCP_AO_HMAC_SHA1,
    keyflags: 0,
    packet: `45e0004cdd0f4000ff06bf6b0a0b0c0dac1b1c1de9d700b3fbfbab5a00000000
      e002ffffcac40000020405b4010303080402080a00155ab7000000001d103d54
      2ee437c6f8ede6d7c4d602e7`,
    sisn: 0xfbfbab5a,
    disn: 0,
    trafficKey: '6d63ef1b02fe1509d4b1402707fd7b0416abb74f',
    mac: '2ee437c6f8ede6d7c4d602e7',
  },
  'HMAC-SHA-1-96, SYN-ACK': {
    algorithm: TCP_AO_HMAC_SHA1,
    keyflags: 0,
    packet: `45e0004c65064000ff063775ac1b1c1d0a0b0c0d00b3e9d711c14261fbfbab5b
      e012ffff37760000020405b4010303080402080a84a50beb00155ab71d10543d
      eeab0fe24c3010815116b3be`,
    sisn: 0x11c14261,
    disn: 0xfbfbab5a,
    trafficKey: 'd9e217e4834a80ca2f3fd8de2e41b8e6797fea96',
    mac: 'eeab0fe24c3010815116b3be',
  },
  'HMAC-SHA-1-96 without other options, SYN': {
    algorithm: TCP_AO_HMAC_SHA1,
    keyflags: TCP_AO_KEYF_EXCLUDE_OPT,
    packet: `45e0004c53994000ff0648e20a0b0c0dac1b1c1dff1200b3cb0efbee00000000
      e002ffff541f0000020405b4010303080402080a00024cce000000001d103d54
      80af3cfeb85368937b8f9ec2`,
    sisn: 0xcb0efbee,
    disn: 0,
    trafficKey: null,
    mac: '80af3cfeb85368937b8f9ec2',
  },
  'AES-128-CMAC-96, SYN': {
    algorithm: TCP_AO_CMAC_AES,
    keyflags: 0,
    packet: `45e0004c7b9f4000ff0620dc0a0b0c0dac1b1c1dc4fa00b3787a1ddf00000000
      e002ffff5a0f0000020405b4010303080402080a00017ed0000000001d103d54
      e477e99c8040765498e55091`,
    sisn: 0x787a1ddf,
    disn: 0,
    trafficKey: 'f5b8b3d5f34fdbb6eb8d4ab9660e60e3',
    mac: 'e477e99c8040765498e55091',
  },
};

describe('codes', () => {
  it.each(Object.entries(VECTORS))('are those of RFC 9235: %s', (_name, vector) => {
    const packet = bytes(vector.packet);
    const v = new DataView(packet.buffer);
    const { machine } = m;
    const ids = { addr: 0, prefixlen: 0, keyflags: vector.keyflags, sndid: 61, rcvid: 84 };
    const mkt = new TcpAoKey(ids, vector.algorithm, 12, masterKey(vector.algorithm));
    const saddr = v.getUint32(12);
    const daddr = v.getUint32(16);
    const trafficKey = new Uint8Array(vector.algorithm === TCP_AO_HMAC_SHA1 ? 20 : 16);
    const sport = v.getUint16(20);
    const dport = v.getUint16(22);
    const { sisn, disn } = vector;
    tcpV4AoCalcKey(machine, mkt, trafficKey, saddr, daddr, sport, dport, sisn, disn);
    if (vector.trafficKey !== null) expect(hex(trafficKey)).toBe(vector.trafficKey);
    const header = packet.slice(20);
    const at = header.length - 12;
    const code = tcpAoHashHdr(machine, mkt, trafficKey, saddr, daddr, header, at, 0);
    expect(hex(code.subarray(0, 12))).toBe(vector.mac);
  });
});

describe('tcpAoComputeSne', () => {
  it('counts the turns of the sequence number on both sides of one', () => {
    expect(tcpAoComputeSne(5, 0x10, 0xfffffff0)).toBe(4);
    expect(tcpAoComputeSne(5, 0xfffffff0, 0x10)).toBe(6);
    expect(tcpAoComputeSne(5, 0x10, 0x20)).toBe(5);
    expect(tcpAoComputeSne(0, 0x10, -16)).toBe(0xffffffff);
  });

  it('is the upper half of a 64-bit number, within half a turn', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2 ** 32, max: 2 ** 40 }),
        fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }),
        (next, distance) => {
          const seq = next + distance;
          const low = (x: number): number => (x % 2 ** 32) | 0;
          expect(tcpAoComputeSne(Math.floor(next / 2 ** 32), low(next), low(seq))).toBe(
            Math.floor(seq / 2 ** 32),
          );
        },
      ),
    );
  });
});
