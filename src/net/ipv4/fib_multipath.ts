/**
 * Which of several paths a flow takes: a hash of its addresses, so that it always takes the same.
 *
 * Counterpart of fib_multipath_hash of net/ipv4/route.c. RFC 2992.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { icmpIsErr } from '#include/net/icmp.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { siphash4u32 } from '#lib/siphash.ts';
import { view } from '#mm/memory.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { IP_OFFSET, iphdr } from '#uapi/ip.ts';

/** Hash of the five parts of a flow, 31 bits. @kernel fib_multipath_hash_from_keys include/net/ip_fib.h */
function hashFromKeys(
  net: Net,
  saddr: number,
  daddr: number,
  proto: number,
  ports: number,
): number {
  return siphash4u32(saddr, daddr, ports, proto, net.machine.netGlobals.inetEhashSecret) >>> 1;
}

/** True when octets [at, at + len) lie in the linear part. */
function within(skb: SkBuff, at: number, len: number): boolean {
  return at + len <= skb.tail;
}

/** For an ICMP error, the addresses of the packet it is about, turned round. @kernel ip_multipath_l3_keys net/ipv4/route.c */
function l3Hash(net: Net, skb: SkBuff): number {
  const outer = skb.networkHeader;
  let iph = outer;
  const isIcmp = iphdr.protocol(view, outer) === IPPROTO_ICMP;
  const isFragment = (iphdr.fragOff(view, outer) & IP_OFFSET) !== 0;
  const icmp = outer + iphdr.hdrlen(view, outer);
  const inner = icmp + 8;
  if (isIcmp && !isFragment && within(skb, icmp, 8 + iphdr.LEN) && icmpIsErr(view.getUint8(icmp))) {
    iph = inner;
  }
  const saddr = iphdr.saddr(view, iph);
  const daddr = iphdr.daddr(view, iph);
  return iph === outer
    ? hashFromKeys(net, saddr, daddr, 0, 0)
    : hashFromKeys(net, daddr, saddr, 0, 0);
}

function l4Hash(net: Net, skb: SkBuff): number {
  const iph = skb.networkHeader;
  const proto = iphdr.protocol(view, iph);
  const l4 = iph + iphdr.hdrlen(view, iph);
  const isFragment = (iphdr.fragOff(view, iph) & IP_OFFSET) !== 0;
  const hasPorts = (proto === IPPROTO_TCP || proto === IPPROTO_UDP) && !isFragment;
  const ports = hasPorts && within(skb, l4, 4) ? view.getUint32(l4) : 0;
  return hashFromKeys(net, iphdr.saddr(view, iph), iphdr.daddr(view, iph), proto, ports);
}

/**
 * A number below 2^31 that decides on the path: by net.ipv4.fib_multipath_hash_policy from the
 * addresses (0), or with protocol and ports (1).
 * @kernel fib_multipath_hash net/ipv4/route.c
 */
export function fibMultipathHash(net: Net, fl4: Flowi4 | null, skb: SkBuff | null): number {
  const policy = net.ipv4.sysctlFibMultipathHashPolicy;
  let hash = 0;
  if (skb !== null) {
    hash = policy === 1 ? l4Hash(net, skb) : l3Hash(net, skb);
  } else if (fl4 !== null) {
    const ports = policy === 1 ? ((fl4.fl4Sport << 16) | fl4.fl4Dport) >>> 0 : 0;
    hash = hashFromKeys(net, fl4.saddr, fl4.daddr, policy === 1 ? fl4.flowi4Proto : 0, ports);
  }
  const extra = fl4 === null ? 0 : fl4.flowi4MultipathHash;
  return extra === 0 ? hash : ((hash ^ extra) >>> 0) & 0x7fffffff;
}
