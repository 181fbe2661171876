import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { mem } from '#mm/memory.ts';
import { allocSkb, consumeSkb, skbPut } from '#net/core/skbuff.ts';
import { fibMultipathHash } from '#net/ipv4/fib_multipath.ts';
import { IpMachine, ipPacket, udpBytes } from '#net/ipv4/testing/ip_machine.ts';
import { EINVAL } from '#uapi/errno.ts';
import { IPPROTO_IPIP, IPPROTO_TCP } from '#uapi/in.ts';

let m: IpMachine;

beforeEach(() => {
  m = new IpMachine();
});

afterEach(() => m.end());

function sysctl(name: string, value: number | string): number {
  return m.machine.initNet.sysctl.write(`net/ipv4/${name}`, String(value));
}

interface Flow {
  readonly src?: string;
  readonly dst?: string;
  readonly sport?: number;
  readonly dport?: number;
  readonly proto?: number;
}

function bytesOf({
  src = '10.1.0.1',
  dst = '10.2.0.2',
  sport = 5,
  dport = 6,
  proto,
}: Flow): Uint8Array {
  const payload = udpBytes(src, dst, sport, dport, [1]);
  return Uint8Array.from(
    ipPacket({ src, dst, payload, ...(proto === undefined ? {} : { proto }) }),
  );
}

/** The hash of a packet, inside a tunnel where `outer` is given. */
function hashOf(flow: Flow, outer?: Flow): number {
  const inner = bytesOf(flow);
  const { src = '10.8.0.1', dst = '10.9.0.1' } = outer ?? {};
  const bytes =
    outer === undefined
      ? inner
      : Uint8Array.from(ipPacket({ src, dst, proto: IPPROTO_IPIP, payload: [...inner] }));
  const skb = allocSkb(m.machine, bytes.length) as SkBuff;
  skb.networkHeader = skb.data;
  mem.set(bytes, skbPut(skb, bytes.length));
  const hash = fibMultipathHash(m.machine.initNet, null, skb);
  consumeSkb(skb, 'test');
  return hash;
}

/** Which changes of a flow the hash notices. */
function noticed(): string[] {
  const base = hashOf({});
  const changes: Record<string, Flow> = {
    src: { src: '10.1.0.9' },
    dst: { dst: '10.2.0.9' },
    proto: { proto: IPPROTO_TCP },
    sport: { sport: 77 },
    dport: { dport: 77 },
  };
  return Object.keys(changes).filter((name) => hashOf(changes[name] as Flow) !== base);
}

describe('fib_multipath_hash_policy', () => {
  it('is the addresses, or with protocol and ports', () => {
    expect(noticed()).toEqual(['src', 'dst']);
    expect(sysctl('fib_multipath_hash_policy', 1)).toBe(0);
    expect(noticed()).toEqual(['src', 'dst', 'proto', 'sport', 'dport']);
  });

  it('2 is the addresses inside a tunnel', () => {
    sysctl('fib_multipath_hash_policy', 2);
    expect(noticed()).toEqual(['src', 'dst']);
    const base = hashOf({}, {});
    expect(hashOf({}, { src: '10.8.0.7' })).toBe(base);
    expect(hashOf({ dst: '10.2.0.7' }, {})).not.toBe(base);
    expect(hashOf({ sport: 9 }, {})).toBe(base);
  });

  it('3 is what fib_multipath_hash_fields names', () => {
    sysctl('fib_multipath_hash_policy', 3);
    expect(noticed()).toEqual(['src', 'dst', 'proto']);
    const fields: readonly [number, string[]][] = [
      [0x1, ['src']],
      [0x2, ['dst']],
      [0x4, ['proto']],
      [0x10, ['sport']],
      [0x20, ['dport']],
      [0x31, ['src', 'sport', 'dport']],
      [0x40, []],
    ];
    for (const [mask, seen] of fields) {
      expect(sysctl('fib_multipath_hash_fields', mask)).toBe(0);
      expect(noticed()).toEqual(seen);
    }
    // The inner source port, and no other of the inside.
    expect(sysctl('fib_multipath_hash_fields', 0x400)).toBe(0);
    const base = hashOf({}, {});
    expect(hashOf({ sport: 9 }, {})).not.toBe(base);
    expect(hashOf({ dport: 9, src: '10.1.0.9' }, { src: '10.8.0.7' })).toBe(base);
    for (const wrong of [0, -1, 4096]) {
      expect(sysctl('fib_multipath_hash_fields', wrong)).toBe(-EINVAL);
    }
  });
});
