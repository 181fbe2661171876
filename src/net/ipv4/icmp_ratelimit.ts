/**
 * How many ICMP messages this host sends. Counterpart of the rate limiting part of net/ipv4/icmp.c.
 * RFC 1812#4.3.2.8.
 *
 * Two limits for the types in icmp_ratemask: one for all of them together (icmp_msgs_per_sec with
 * bursts of icmp_msgs_burst, jittered so that it cannot be used to probe us), and one for each peer
 * (icmp_ratelimit).
 */
import { icmpIncStats } from '#include/net/icmp.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { HZ } from '#kernel/machine.ts';
import { inetGetpeerV4, inetPeerXrlimAllow } from '#net/ipv4/inetpeer.ts';
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, NR_ICMP_TYPES } from '#uapi/icmp.ts';
import { IFF_LOOPBACK } from '#uapi/if.ts';
import { ICMP_MIB_RATELIMITGLOBAL, ICMP_MIB_RATELIMITHOST } from '#uapi/snmp.ts';

/** The bucket is filled this often at most, in jiffies. */
const REFILL_MIN: number = HZ / 50;

/**
 * May another message of any kind be sent? Fills the bucket by the time that has passed.
 * @kernel icmp_global_allow net/ipv4/icmp.c
 */
export function icmpGlobalAllow(net: Net): boolean {
  const { ipv4 } = net;
  if (ipv4.icmpGlobalCredit > 0) return true;
  const now = net.machine.jiffies;
  const delta = Math.min((now - ipv4.icmpGlobalStamp) >>> 0, HZ);
  if (delta < REFILL_MIN) return false;
  const incr = Math.floor((ipv4.sysctlIcmpMsgsPerSec * delta) / HZ);
  if (incr === 0) return false;
  ipv4.icmpGlobalStamp = now;
  ipv4.icmpGlobalCredit = Math.min(ipv4.icmpGlobalCredit + incr, ipv4.sysctlIcmpMsgsBurst);
  return true;
}

/** Takes 0 to 2 credits; the bucket may go below 0. @kernel icmp_global_consume net/ipv4/icmp.c */
export function icmpGlobalConsume(net: Net): void {
  net.ipv4.icmpGlobalCredit -= net.machine.random.u32() % 3;
}

/** Types that no limit applies to. @kernel icmpv4_mask_allow net/ipv4/icmp.c */
function icmpv4MaskAllow(net: Net, type: number, code: number): boolean {
  if (type > NR_ICMP_TYPES) return true;
  // Path MTU discovery must work under load.
  if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED) return true;
  return ((1 << type) & net.ipv4.sysctlIcmpRatemask) === 0;
}

/** -1: not now. 0: unlimited. 1: allowed, and the peer's own limit applies. @kernel icmpv4_global_allow net/ipv4/icmp.c */
export function icmpv4GlobalAllow(net: Net, type: number, code: number): number {
  if (icmpv4MaskAllow(net, type, code)) return 0;
  if (icmpGlobalAllow(net)) return 1;
  icmpIncStats(net, ICMP_MIB_RATELIMITGLOBAL);
  return -1;
}

/** May a message go to this peer now? @kernel icmpv4_xrlim_allow net/ipv4/icmp.c */
export function icmpv4XrlimAllow(net: Net, rt: Rtable, daddr: number, limited: boolean): boolean {
  if (!limited) return true;
  let allow = true;
  const loopback = rt.dev !== null && (rt.dev.flags & IFF_LOOPBACK) !== 0;
  if (!loopback) {
    const peer = inetGetpeerV4(net, daddr, 0);
    allow = inetPeerXrlimAllow(peer, net.ipv4.sysctlIcmpRatelimit);
  }
  if (allow) icmpGlobalConsume(net);
  else icmpIncStats(net, ICMP_MIB_RATELIMITHOST);
  return allow;
}
