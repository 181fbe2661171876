/**
 * Packets without a way, and senders who should know a better one: the ICMP errors that routing
 * itself sends, with their limits.
 *
 * Counterpart of ip_error and ip_rt_send_redirect of net/ipv4/route.c. RFC 1812#5.2.7.
 */
import { inDevForward, inDevTxRedirects } from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { icmpSend } from '#include/net/icmp.ts';
import { ipIncStats } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtNexthop } from '#include/net/route.ts';
import { timeAfter } from '#kernel/time/jiffies.ts';
import { view } from '#mm/memory.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { inetGetpeerV4 } from '#net/ipv4/inetpeer.ts';
import { EACCES, EHOSTUNREACH, ENETUNREACH } from '#uapi/errno.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_HOST_UNREACH,
  ICMP_NET_UNREACH,
  ICMP_PKT_FILTERED,
  ICMP_REDIR_HOST,
  ICMP_REDIRECT,
} from '#uapi/icmp.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_IP_INADDRERRORS,
  SKB_DROP_REASON_IP_INNOROUTES,
  SKB_DROP_REASON_NOT_SPECIFIED,
} from '#uapi/net_dropreason.ts';
import { IPSTATS_MIB_INADDRERRORS, IPSTATS_MIB_INNOROUTES } from '#uapi/snmp.ts';

/** Counts the packet, as the error has it; returns the drop reason. */
function countError(net: Net, error: number): number {
  if (error === -EHOSTUNREACH) {
    ipIncStats(net, IPSTATS_MIB_INADDRERRORS);
    return SKB_DROP_REASON_IP_INADDRERRORS;
  }
  if (error === -ENETUNREACH) {
    ipIncStats(net, IPSTATS_MIB_INNOROUTES);
    return SKB_DROP_REASON_IP_INNOROUTES;
  }
  return SKB_DROP_REASON_NOT_SPECIFIED;
}

/** ICMP code for an error; -1: none is sent. */
function unreachCode(error: number): number {
  switch (error) {
    case -EHOSTUNREACH:
      return ICMP_HOST_UNREACH;
    case -ENETUNREACH:
      return ICMP_NET_UNREACH;
    case -EACCES:
      return ICMP_PKT_FILTERED;
    default:
      return -1;
  }
}

/** Takes a token of the sender's bucket; false: it has had enough errors. */
function mayTell(net: Net, saddr: number): boolean {
  const peer = inetGetpeerV4(net, saddr, 0);
  const now = net.machine.jiffies;
  const { sysctlRtErrorBurst, sysctlRtErrorCost } = net.ipv4;
  peer.rateTokens = Math.min(peer.rateTokens + ((now - peer.rateLast) >>> 0), sysctlRtErrorBurst);
  peer.rateLast = now;
  if (peer.rateTokens < sysctlRtErrorCost) return false;
  peer.rateTokens -= sysctlRtErrorCost;
  return true;
}

/** Input of a route to nowhere: drops the packet and, on a router, says why. @kernel ip_error net/ipv4/route.c */
export function ipError(skb: SkBuff): number {
  const rt = skb.dst as Rtable;
  const inDev = skb.dev?.ipPtr ?? null;
  const net = rt.net;
  if (inDev === null) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'ip_error');
    return 0;
  }
  if (!inDevForward(inDev)) {
    kfreeSkb(skb, countError(net, rt.error), 'ip_error');
    return 0;
  }
  const code = unreachCode(rt.error);
  let reason = SKB_DROP_REASON_NOT_SPECIFIED;
  if (rt.error === -ENETUNREACH) reason = countError(net, rt.error);
  if (code >= 0 && mayTell(net, iphdr.saddr(view, skb.networkHeader))) {
    icmpSend(skb, ICMP_DEST_UNREACH, code, 0);
  }
  kfreeSkb(skb, reason, 'ip_error');
  return 0;
}

/**
 * Tells the sender of a forwarded packet of the better router, ever more rarely if he does not listen.
 * @kernel ip_rt_send_redirect net/ipv4/route.c
 */
export function ipRtSendRedirect(skb: SkBuff): void {
  const rt = skb.dst as Rtable;
  const inDev = (rt.dev as NetDevice).ipPtr;
  if (inDev === null || !inDevTxRedirects(inDev)) return;
  const net = rt.net;
  const iph = skb.networkHeader;
  const { sysctlRtRedirectLoad, sysctlRtRedirectNumber, sysctlRtRedirectSilence } = net.ipv4;
  const now = net.machine.jiffies;
  const peer = inetGetpeerV4(net, iphdr.saddr(view, iph), 0);
  if (timeAfter(now, (peer.rateLast + sysctlRtRedirectSilence) | 0)) {
    peer.rateTokens = 0;
    peer.nRedirects = 0;
  }
  if (peer.nRedirects >= sysctlRtRedirectNumber) {
    peer.rateLast = now;
    return;
  }
  const wait = sysctlRtRedirectLoad << peer.nRedirects;
  if (peer.nRedirects !== 0 && !timeAfter(now, (peer.rateLast + wait) | 0)) return;
  icmpSend(skb, ICMP_REDIRECT, ICMP_REDIR_HOST, rtNexthop(rt, iphdr.daddr(view, iph)));
  peer.rateLast = now;
  peer.nRedirects++;
}
