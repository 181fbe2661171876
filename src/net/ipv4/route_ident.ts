/**
 * Identifications of datagrams: unique enough per pair of hosts, and not to be guessed.
 *
 * Counterpart of ip_idents_reserve and __ip_select_ident of net/ipv4/route.c. RFC 6864.
 */
import type { Net } from '#include/net/net_namespace.ts';
import { IpIdents } from '#include/net/route.ts';
import { siphash1u32, siphash3u32 } from '#lib/siphash.ts';
import { view } from '#mm/memory.ts';
import { iphdr } from '#uapi/ip.ts';

/** Counters; a power of two. @kernel IP_IDENTS_SZ net/ipv4/route.c */
const IP_IDENTS_SZ = 2048;

function identsOf(net: Net): IpIdents {
  if (net.ipv4.ipIdents === null) {
    const { random } = net.machine;
    const key = new Int32Array([random.u32(), random.u32(), random.u32(), random.u32()]);
    net.ipv4.ipIdents = new IpIdents(IP_IDENTS_SZ, key);
  }
  return net.ipv4.ipIdents;
}

/** The first of `segs` idents in a row. A counter that rested jumps by up to its rest in jiffies. @kernel ip_idents_reserve net/ipv4/route.c */
export function ipIdentsReserve(net: Net, hash: number, segs: number): number {
  const idents = identsOf(net);
  const bucket = hash & (IP_IDENTS_SZ - 1);
  const now = net.machine.jiffies;
  const old = idents.tstamps[bucket] as number;
  let id = idents.ids[bucket] as number;
  if (old === 0 && id === 0) {
    id = siphash1u32(bucket, idents.key);
  } else if (old !== now) {
    const rested = (now - old) >>> 0;
    id += net.machine.random.u32() % rested;
  }
  idents.tstamps[bucket] = now;
  idents.ids[bucket] = id + segs;
  return id & 0xffff;
}

/** Writes an ident into the header at `iph`, reserving `segs` of them. @kernel __ip_select_ident net/ipv4/route.c */
export function __ipSelectIdent(net: Net, iph: number, segs: number): void {
  const { key } = identsOf(net);
  const daddr = iphdr.daddr(view, iph);
  const hash = siphash3u32(daddr, iphdr.saddr(view, iph), iphdr.protocol(view, iph), key);
  iphdr.setId(view, iph, ipIdentsReserve(net, hash, segs));
}
