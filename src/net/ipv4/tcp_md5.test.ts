/** MD5 signatures against segments that Linux 6.18 has signed with the key "sesame" over its loopback. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { skbReserve } from '#include/linux/skbuff.ts';
import { TcpAuthOptions, TcpMd5sigKey } from '#include/net/tcp_auth.ts';
import { mem } from '#mm/memory.ts';
import { allocSkb, consumeSkb, skbPut } from '#net/core/skbuff.ts';
import { tcpParseAuthOptions } from '#net/ipv4/tcp_auth.ts';
import { tcpV4Md5HashHdr, tcpV4Md5HashSkb } from '#net/ipv4/tcp_md5.ts';
import { EEXIST, EINVAL } from '#uapi/errno.ts';

const LOOPBACK = 0x7f000001;
const KEY = new TcpMd5sigKey(LOOPBACK, 32, 0, new TextEncoder().encode('sesame'));

/** TCP segments as they were on the wire. */
const RECORDED: Readonly<Record<string, string>> = {
  SYN: '9df000b35febdb6800000000d002ffd7fe3c000001011312440851b728dfd63f9c51273b45a5bf0c0204ffd7010104020103030a',
  'SYN-ACK':
    '00b39df08f75e7be5febdb69d012ffd7fe3c0000010113125d4d41ee9a62de32363bf26d242db43b0204ffd7010104020103030a',
  data: '9df000b35febdb698f75e7bfa0180040fe35000001011312f02d5b04a85001a723672ed82272b1fe68656c6c6f',
  FIN: '9df000b35febdb6e8f75e7bfa0110040fe30000001011312e07e67a70cd92c5a70803c1ecb243dc2',
  RST: '00b39df08f75e7bf5febdb6fa0140040fe3000000101131207805b169a7346b946efc952bb30533e',
};

let m: BareMachine;

beforeEach(() => {
  m = new BareMachine();
});

afterEach(() => {
  expect(m.end()).toEqual({});
});

const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');

function segmentOf(octets: Uint8Array): ReturnType<typeof allocSkb> {
  const skb = allocSkb(m.machine, 256);
  if (skb === null) return null;
  skbReserve(skb, 32);
  mem.set(octets, skbPut(skb, octets.length));
  skb.transportHeader = skb.data;
  return skb;
}

describe('the digest', () => {
  it.each(Object.entries(RECORDED))('of a packet is the one recorded: %s', (_name, recorded) => {
    const skb = segmentOf(bytes(recorded))!;
    const digest = tcpV4Md5HashSkb(KEY, LOOPBACK, LOOPBACK, skb);
    expect(hex(digest.subarray(0, 16))).toBe(recorded.slice(48, 80));
    consumeSkb(skb, 'test');
  });

  it('of a bare header is the one recorded', () => {
    const recorded = RECORDED['RST'] as string;
    const digest = tcpV4Md5HashHdr(m.machine, KEY, LOOPBACK, LOOPBACK, bytes(recorded));
    expect(hex(digest.subarray(0, 16))).toBe(recorded.slice(48, 80));
  });
});

describe('tcpParseAuthOptions', () => {
  const header = (options: string): string => {
    const words = 5 + options.length / 8;
    return `${'00'.repeat(12)}${(words << 4).toString(16).padStart(2, '0')}${'00'.repeat(7)}${options}`;
  };
  const md5 = `1312${'aa'.repeat(16)}`;
  const ao = `1d106401${'bb'.repeat(12)}`;

  it.each([
    ['none', '', 0, 0, 0],
    ['timestamps alone', '0101080a0000000100000002', 0, 0, 0],
    ['a signature', `0101${md5}`, 0, 24, 0],
    ['the authentication option', ao, 0, 0, 20],
    ['what lies behind the end', `00000000${ao}`, 0, 0, 0],
    ['a signature of another length', `0101${`1311${'aa'.repeat(15)}`}01`, -EINVAL, 0, 0],
    ['an authentication option without a code', '1d04640101010101', -EINVAL, 0, 0],
    ['an option that runs out of the header', '01010108ff000000', -EINVAL, 0, 0],
    ['two authentication options', `${ao}${ao}`, -EEXIST, 0, 20],
    ['one of each', `${ao}0101${md5}`, -EEXIST, 0, 20],
  ])('finds %s', (_what, options, err, md5At, aoAt) => {
    const skb = segmentOf(bytes(header(options)))!;
    const out = new TcpAuthOptions();
    expect(tcpParseAuthOptions(skb.transportHeader, out)).toBe(err);
    expect(out.md5 === 0 ? 0 : out.md5 - skb.data).toBe(md5At);
    expect(out.ao === 0 ? 0 : out.ao - skb.data).toBe(aoAt);
    consumeSkb(skb, 'test');
  });
});
