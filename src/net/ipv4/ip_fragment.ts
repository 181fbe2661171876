/**
 * Reassembly of IPv4 datagrams. Counterpart of net/ipv4/ip_fragment.c. RFC 791#3.2, 815,
 * 1122#3.3.2, 3168#5.3 (ECN of fragments).
 *
 * Limits against abuse: memory of a namespace (ipfrag_high_thresh), age (ipfrag_time), and how many
 * fragments of other datagrams of the same source may come in between (ipfrag_max_dist).
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_UNNECESSARY,
  skbNetworkOffset,
  skbOrphan,
} from '#include/linux/skbuff.ts';
import { skbDstDrop } from '#include/net/dst.ts';
import { icmpSend } from '#include/net/icmp.ts';
import {
  INET_FRAG_COMPLETE,
  INET_FRAG_DROP,
  INET_FRAG_FIRST_IN,
  INET_FRAG_LAST_IN,
  InetFragsNs,
  IpFragQueue,
} from '#include/net/inet_frag.ts';
import { IPSKB_FRAG_COMPLETE, IPSKB_FRAG_PMTU, ipIncStats, ipSendCheck } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { modTimer } from '#kernel/time/timer.ts';
import { view } from '#mm/memory.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { kfreeSkb, skbPush } from '#net/core/skbuff.ts';
import { pskbTrimRcsum } from '#net/core/skbuff_checksum.ts';
import { pskbPull } from '#net/core/skbuff_copy.ts';
import {
  addFragMemLimit,
  fqdirExit,
  IPFRAG_DUP,
  IPFRAG_OK,
  inetFragCreate,
  inetFragHash,
  inetFragKill,
  inetFragPullHead,
  inetFragPut,
  inetFragQueueInsert,
  inetFragRbtreePurge,
  inetFragReasmFinish,
  inetFragReasmPrepare,
  subFragMemLimit,
} from '#net/ipv4/inet_fragment.ts';
import { inetGetpeerV4 } from '#net/ipv4/inetpeer.ts';
import { ipRouteInputNoref } from '#net/ipv4/route.ts';
import { ICMP_EXC_FRAGTIME, ICMP_TIME_EXCEEDED } from '#uapi/icmp.ts';
import { INET_ECN_CE, INET_ECN_MASK, IP_DF, IP_MF, IP_OFFSET, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_DUP_FRAG,
  SKB_DROP_REASON_FRAG_REASM_TIMEOUT,
  SKB_DROP_REASON_FRAG_TOO_FAR,
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';
import { RTN_LOCAL } from '#uapi/rtnetlink.ts';
import {
  IPSTATS_MIB_REASM_OVERLAPS,
  IPSTATS_MIB_REASMFAILS,
  IPSTATS_MIB_REASMOKS,
  IPSTATS_MIB_REASMREQDS,
  IPSTATS_MIB_REASMTIMEOUT,
} from '#uapi/snmp.ts';

// Who reassembles: fragments given to one do not complete those given to another.
// @kernel ip_defrag_users include/net/ip.h
export const IP_DEFRAG_LOCAL_DELIVER = 0;
export const IP_DEFRAG_CALL_RA_CHAIN = 1;
export const IP_DEFRAG_CONNTRACK_IN = 2;
export const IP_DEFRAG_AF_PACKET = 0x30005;
export const IP_DEFRAG_MACVLAN = 0x30006;

/** ECN field no datagram may have: its fragments contradict each other. */
const ECN_INVALID = 0xff;

// Bits of a queue's set of ECN fields.
const IPFRAG_ECN_NOT_ECT: number = 1 << 0;
const IPFRAG_ECN_CE: number = 1 << INET_ECN_CE;

/**
 * ECN field of the whole from those of its parts: congestion anywhere marks it, a mixture of capable
 * and incapable is invalid.
 * @kernel ip_frag_ecn_table net/ipv4/inet_fragment.c
 * @rfc 3168#5.3
 */
function ipFragEcn(seen: number): number {
  if ((seen & IPFRAG_ECN_NOT_ECT) !== 0 && seen !== IPFRAG_ECN_NOT_ECT) return ECN_INVALID;
  return (seen & IPFRAG_ECN_CE) !== 0 && seen !== IPFRAG_ECN_CE ? INET_ECN_CE : 0;
}

/** Users who only listen must not cause ICMP errors. @kernel frag_expire_skip_icmp net/ipv4/ip_fragment.c */
function fragExpireSkipIcmp(user: number): boolean {
  return user !== IP_DEFRAG_LOCAL_DELIVER && user !== IP_DEFRAG_CALL_RA_CHAIN;
}

/**
 * Tells the source that its datagram did not arrive in time. The reason to drop the head with.
 * @rfc 792
 */
function ipExpireAnswer(q: IpFragQueue, head: SkBuff): number {
  const { net } = q.fqdir;
  const dev = net.devIndexHead.get(q.iif) ?? null;
  if (dev === null) return SKB_DROP_REASON_FRAG_REASM_TIMEOUT;
  head.dev = dev;
  const iph = head.networkHeader;
  const reason = ipRouteInputNoref(
    head,
    iphdr.daddr(view, iph),
    iphdr.saddr(view, iph),
    iphdr.tos(view, iph),
    dev,
  );
  if (reason !== SKB_NOT_DROPPED_YET) return reason;
  // Only the host that the datagram was for sends this message.
  if (!fragExpireSkipIcmp(q.user) || (head.dst as Rtable).rtType === RTN_LOCAL) {
    icmpSend(head, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, 0);
  }
  return SKB_DROP_REASON_FRAG_REASM_TIMEOUT;
}

/** The timer of a queue: it took too long. @kernel ip_expire net/ipv4/ip_fragment.c */
function ipExpire(q: IpFragQueue): void {
  const { net } = q.fqdir;
  if ((q.flags & INET_FRAG_COMPLETE) === 0) {
    q.flags |= INET_FRAG_DROP;
    inetFragKill(q);
    ipIncStats(net, IPSTATS_MIB_REASMFAILS);
    ipIncStats(net, IPSTATS_MIB_REASMTIMEOUT);
    const head = (q.flags & INET_FRAG_FIRST_IN) !== 0 ? inetFragPullHead(q) : null;
    if (head !== null) kfreeSkb(head, ipExpireAnswer(q, head), 'ip_expire');
  }
  inetFragPut(q);
}

/** The queue of this fragment's datagram, a new one if need be; null: the limit is reached. @kernel ip_find net/ipv4/ip_fragment.c */
function ipFind(net: Net, iph: number, user: number, vif: number): IpFragQueue | null {
  const fqdir = net.ipv4.frags;
  if (fqdir === null || fqdir.dead) return null;
  const saddr = iphdr.saddr(view, iph);
  const daddr = iphdr.daddr(view, iph);
  const id = iphdr.id(view, iph);
  const protocol = iphdr.protocol(view, iph);
  const high = net.ipv4.sysctlIpfragHighThresh;
  if (high === 0 || fqdir.mem > high) return null;
  const hash = inetFragHash(net, saddr, daddr, id, protocol, user, vif);
  for (let q = fqdir.buckets[hash] ?? null; q !== null; q = q.hashNext) {
    if (
      q.id === id &&
      q.saddr === saddr &&
      q.daddr === daddr &&
      q.protocol === protocol &&
      q.user === user &&
      q.vif === vif
    ) {
      return q;
    }
  }
  const q = new IpFragQueue(fqdir, saddr, daddr, id, protocol, user, vif);
  inetFragCreate(q, hash, net.ipv4.sysctlIpfragTime, ipExpire);
  return q;
}

/**
 * Has the source sent so much else meanwhile that its ident may have come round? Counts this
 * fragment.
 * @kernel ip_frag_too_far net/ipv4/ip_fragment.c
 */
function ipFragTooFar(q: IpFragQueue): boolean {
  const { net } = q.fqdir;
  const max = net.ipv4.sysctlIpfragMaxDist;
  if (max === 0) return false;
  const peer = inetGetpeerV4(net, q.saddr, q.vif);
  if (peer === null) return false;
  const start = q.rid;
  peer.rid = (peer.rid + 1) | 0;
  q.rid = peer.rid;
  const tooFar = q.fragmentsTail !== null && (q.rid - start) >>> 0 > max;
  if (tooFar) ipIncStats(net, IPSTATS_MIB_REASMFAILS);
  return tooFar;
}

/** Throws away what has come and begins anew. False: the timer had fired. @kernel ip_frag_reinit net/ipv4/ip_fragment.c */
function ipFragReinit(q: IpFragQueue): boolean {
  const { net } = q.fqdir;
  if (q.timer === null) return false;
  if (!modTimer(q.timer, (net.machine.jiffies + net.ipv4.sysctlIpfragTime) | 0)) {
    // It was not pending: restarting it needs a reference of its own.
    q.refcnt++;
    return false;
  }
  subFragMemLimit(q.fqdir, inetFragRbtreePurge(q, SKB_DROP_REASON_FRAG_TOO_FAR));
  q.flags = 0;
  q.len = 0;
  q.meat = 0;
  q.fragmentsTail = null;
  q.lastRunHead = null;
  q.maxSize = 0;
  q.maxDfSize = 0;
  q.iif = 0;
  q.ecn = 0;
  return true;
}

/**
 * Learns from a fragment where the datagram ends. The end of its octets, or -1: it contradicts what
 * came before.
 */
function ipFragEnd(q: IpFragQueue, skb: SkBuff, offset: number, more: boolean): number {
  const ihl = iphdr.hdrlen(view, skb.networkHeader);
  let end = offset + skb.len - skbNetworkOffset(skb) - ihl;
  if (!more) {
    if (end < q.len || ((q.flags & INET_FRAG_LAST_IN) !== 0 && end !== q.len)) return -1;
    q.flags |= INET_FRAG_LAST_IN;
    q.len = end;
  } else {
    if ((end & 7) !== 0) {
      end &= ~7;
      if (skb.ipSummed !== CHECKSUM_UNNECESSARY) skb.ipSummed = CHECKSUM_NONE;
    }
    if (end > q.len) {
      if ((q.flags & INET_FRAG_LAST_IN) !== 0) return -1;
      q.len = end;
    }
  }
  return end === offset ? -1 : end;
}

/** Gives the queue up together with the fragment that spoilt it. */
function discardQueue(q: IpFragQueue, skb: SkBuff, reason: number): null {
  inetFragKill(q);
  ipIncStats(q.fqdir.net, IPSTATS_MIB_REASMFAILS);
  kfreeSkb(skb, reason, 'ip_frag_queue');
  return null;
}

/** Notes what an accepted fragment brings. */
function ipFragAccount(q: IpFragQueue, skb: SkBuff, offset: number): void {
  const iph = skb.networkHeader;
  if (skb.dev !== null) q.iif = skb.dev.ifindex;
  q.stamp = skb.tstamp;
  q.stampType = skb.tstampType;
  q.meat += skb.len;
  q.ecn |= 1 << (iphdr.tos(view, iph) & INET_ECN_MASK);
  addFragMemLimit(q.fqdir, skb.truesize);
  if (offset === 0) q.flags |= INET_FRAG_FIRST_IN;
  const fragsize = skb.len + iphdr.hdrlen(view, iph);
  if (fragsize > q.maxSize) q.maxSize = fragsize;
  if ((iphdr.fragOff(view, iph) & IP_DF) !== 0 && fragsize > q.maxDfSize) q.maxDfSize = fragsize;
}

/**
 * Adds a fragment to its queue. The whole datagram when this was the last missing piece, else null;
 * the packet is taken in any case.
 * @kernel ip_frag_queue net/ipv4/ip_fragment.c
 */
function ipFragQueue(q: IpFragQueue, skb: SkBuff): SkBuff | null {
  if ((q.flags & INET_FRAG_COMPLETE) !== 0) {
    // Put together already: a late duplicate.
    kfreeSkb(skb, SKB_DROP_REASON_DUP_FRAG, 'ip_frag_queue');
    return null;
  }
  if ((skb.ipCb.flags & IPSKB_FRAG_COMPLETE) === 0 && ipFragTooFar(q) && !ipFragReinit(q)) {
    inetFragKill(q);
    kfreeSkb(skb, SKB_DROP_REASON_FRAG_TOO_FAR, 'ip_frag_queue');
    return null;
  }
  const word = iphdr.fragOff(view, skb.networkHeader);
  const offset = (word & IP_OFFSET) << 3;
  const end = ipFragEnd(q, skb, offset, (word & IP_MF) !== 0);
  if (end < 0) return discardQueue(q, skb, SKB_DROP_REASON_NOT_SPECIFIED);
  const ihl = iphdr.hdrlen(view, skb.networkHeader);
  if (pskbPull(skb, skbNetworkOffset(skb) + ihl) === 0) {
    return discardQueue(q, skb, SKB_DROP_REASON_NOMEM);
  }
  if (pskbTrimRcsum(skb, end - offset) !== 0) return discardQueue(q, skb, SKB_DROP_REASON_NOMEM);
  const { dev } = skb;
  const err = inetFragQueueInsert(q, skb, offset, end);
  if (err === IPFRAG_DUP) {
    kfreeSkb(skb, SKB_DROP_REASON_DUP_FRAG, 'ip_frag_queue');
    return null;
  }
  if (err !== IPFRAG_OK) {
    ipIncStats(q.fqdir.net, IPSTATS_MIB_REASM_OVERLAPS);
    return discardQueue(q, skb, SKB_DROP_REASON_NOT_SPECIFIED);
  }
  ipFragAccount(q, skb, offset);
  if (q.flags === (INET_FRAG_FIRST_IN | INET_FRAG_LAST_IN) && q.meat === q.len) {
    return ipFragReasm(q, skb, dev);
  }
  // Devices may go away while it waits here; the route is looked up again.
  skb.dev = null;
  skbDstDrop(skb);
  skbOrphan(skb);
  return null;
}

/**
 * All has arrived: builds the datagram, which takes over the route and device of the fragment that
 * completed it. Null: it cannot be, and the fragments go with their queue.
 * @kernel ip_frag_reasm net/ipv4/ip_fragment.c
 */
function ipFragReasm(q: IpFragQueue, last: SkBuff, dev: NetDevice | null): SkBuff | null {
  const { net } = q.fqdir;
  const { dst, dstNoref } = last;
  inetFragKill(q);
  const ecn = ipFragEcn(q.ecn);
  const head = ecn === ECN_INVALID ? null : inetFragReasmPrepare(q);
  const len = head === null ? 0 : iphdr.hdrlen(view, head.networkHeader) + q.len;
  if (head === null || len > 65535) {
    ipIncStats(net, IPSTATS_MIB_REASMFAILS);
    last.dev = null;
    return null;
  }
  last.dst = null;
  last.dstNoref = false;
  skbOrphan(last);
  last.dev = null;
  head.dst = dst;
  head.dstNoref = dstNoref;
  head.dev = dev;
  skbPush(head, head.data - head.networkHeader);
  inetFragReasmFinish(q, head);
  const iph = head.networkHeader;
  head.ipCb.fragMaxSize = Math.max(q.maxDfSize, q.maxSize);
  iphdr.setTotLen(view, iph, len);
  iphdr.setTos(view, iph, iphdr.tos(view, iph) | ecn);
  // If the largest fragment carried DF, the whole does again when it is forwarded, cut to the same
  // size: a path MTU discovery through us must learn of smaller links beyond.
  if (q.maxDfSize === q.maxSize) {
    head.ipCb.flags |= IPSKB_FRAG_PMTU;
    iphdr.setFragOff(view, iph, IP_DF);
  } else {
    iphdr.setFragOff(view, iph, 0);
  }
  ipSendCheck(iph);
  ipIncStats(net, IPSTATS_MIB_REASMOKS);
  return head;
}

/**
 * Takes a fragment. The whole datagram if it is complete now (another packet than `skb`, as a rule),
 * null if it is not or cannot be; `skb` is taken either way.
 * @kernel ip_defrag net/ipv4/ip_fragment.c
 */
export function ipDefrag(net: Net, skb: SkBuff, user: number): SkBuff | null {
  ipIncStats(net, IPSTATS_MIB_REASMREQDS);
  const q = ipFind(net, skb.networkHeader, user, 0);
  if (q === null) {
    ipIncStats(net, IPSTATS_MIB_REASMFAILS);
    kfreeSkb(skb, SKB_DROP_REASON_NOMEM, 'ip_defrag');
    return null;
  }
  q.refcnt++;
  const whole = ipFragQueue(q, skb);
  inetFragPut(q);
  return whole;
}

/** @kernel ipfrag_init net/ipv4/ip_fragment.c */
export function ipfragInit(machine: Machine): number {
  return registerPernetSubsys(machine, {
    name: 'ipv4_frags',
    init(net) {
      net.ipv4.frags = new InetFragsNs(net);
      return 0;
    },
    exit(net) {
      if (net.ipv4.frags !== null) fqdirExit(net.ipv4.frags);
      net.ipv4.frags = null;
    },
  });
}
