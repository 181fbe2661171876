/**
 * IP's per-packet control block, the cookie of a datagram being sent, counters, and the small
 * functions that are inline in Linux. Counterpart of include/net/ip.h, include/net/inet_sock.h.
 */

import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { Flowi4 } from '#include/net/flow.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import { SOCK_LOCALROUTE, skFullsock } from '#include/net/sock.ts';
import { timeBefore } from '#kernel/time/jiffies.ts';
import { ipFastCsum } from '#lib/checksum.ts';
import { view } from '#mm/memory.ts';
import {
  IP_PMTUDISC_DO,
  IP_PMTUDISC_INTERFACE,
  IP_PMTUDISC_OMIT,
  IP_PMTUDISC_PROBE,
  IP_PMTUDISC_WANT,
} from '#uapi/in.ts';
import { IP_MF, IP_OFFSET, iphdr } from '#uapi/ip.ts';
import { RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RTAX_LOCK, RTAX_MTU } from '#uapi/rtnetlink.ts';
import { MSG_DONTROUTE } from '#uapi/socket.ts';

/** Largest MTU IPv4 can use. @kernel IP_MAX_MTU include/net/ip.h */
export const IP_MAX_MTU = 0xffff;

export const IPSKB_FORWARDED = 0x0001;
export const IPSKB_XFRM_TUNNEL_SIZE = 0x0002;
export const IPSKB_FRAG_COMPLETE = 0x0008;
export const IPSKB_REROUTED = 0x0010;
export const IPSKB_DOREDIRECT = 0x0020;
export const IPSKB_FRAG_PMTU = 0x0040;
export const IPSKB_L3SLAVE = 0x0080;
export const IPSKB_NOPOLICY = 0x0100;

/** Parsed IP options of a packet. @kernel ip_options include/net/inet_sock.h */
export class IpOptions {
  /** First hop of a source route. */
  faddr: number;
  nexthop: number;
  /** Bytes of options, a multiple of 4; 0: none. */
  optlen: number;
  /** Offsets of each option from the start of the IP header; 0: absent. */
  srr: number;
  rr: number;
  ts: number;
  routerAlert: number;
  cipso: number;
  isStrictroute: boolean;
  srrIsHit: boolean;
  isChanged: boolean;
  rrNeedaddr: boolean;
  tsNeedtime: boolean;
  tsNeedaddr: boolean;
  /** The options themselves, when they belong to a socket or a reply; null for a packet's own. */
  data: Uint8Array | null;

  constructor() {
    this.faddr = 0;
    this.nexthop = 0;
    this.optlen = 0;
    this.srr = 0;
    this.rr = 0;
    this.ts = 0;
    this.routerAlert = 0;
    this.cipso = 0;
    this.isStrictroute = false;
    this.srrIsHit = false;
    this.isChanged = false;
    this.rrNeedaddr = false;
    this.tsNeedtime = false;
    this.tsNeedaddr = false;
    this.data = null;
  }
}

/** IPCB(skb). @kernel inet_skb_parm include/net/ip.h */
export class InetSkbParm {
  iif: number;
  readonly opt: IpOptions;
  /** IPSKB_* */
  flags: number;
  /** Largest fragment of a reassembled packet; 0: it came whole. */
  fragMaxSize: number;
  // PKTINFO_SKB_CB(skb) of a packet on a socket's queue.
  ipiIfindex: number;
  ipiSpecDst: number;

  constructor() {
    this.iif = 0;
    this.opt = new IpOptions();
    this.flags = 0;
    this.fragMaxSize = 0;
    this.ipiIfindex = 0;
    this.ipiSpecDst = 0;
  }
}

/**
 * What sendmsg knows about one datagram besides its bytes: the socket's settings, overridden by
 * control messages. @kernel ipcm_cookie include/net/ip.h
 */
export class IpcmCookie {
  /** Source address to use, then the destination of a source route. */
  addr: number;
  oif: number;
  opt: IpOptions | null;
  protocol: number;
  /** 0: the socket's. */
  ttl: number;
  /** -1: the socket's. */
  tos: number;
  gsoSize: number;
  // struct sockcm_cookie
  mark: number;
  priority: number;
  /** ns, of SCM_TXTIME; 0: at once. */
  transmitTime: number;
  tsflags: number;
  /** Key of the transmit timestamp, of SCM_TS_OPT_ID. */
  tsOptId: number;

  constructor() {
    this.addr = 0;
    this.oif = 0;
    this.opt = null;
    this.protocol = 0;
    this.ttl = 0;
    this.tos = -1;
    this.gsoSize = 0;
    this.mark = 0;
    this.priority = 0;
    this.transmitTime = 0;
    this.tsflags = 0;
    this.tsOptId = 0;
  }
}

/** @kernel ipcm_init include/net/ip.h */
export function ipcmInit(ipc: IpcmCookie): void {
  ipc.addr = 0;
  ipc.oif = 0;
  ipc.opt = null;
  ipc.protocol = 0;
  ipc.ttl = 0;
  ipc.tos = -1;
  ipc.gsoSize = 0;
  ipc.mark = 0;
  ipc.priority = 0;
  ipc.transmitTime = 0;
  ipc.tsflags = 0;
  ipc.tsOptId = 0;
}

/** @kernel ipcm_init_sk include/net/ip.h */
export function ipcmInitSk(ipc: IpcmCookie, inet: InetSock): void {
  ipcmInit(ipc);
  ipc.mark = inet.skMark;
  ipc.priority = inet.skPriority;
  ipc.tsflags = inet.skTsflags;
  ipc.oif = inet.skcBoundDevIf;
  ipc.addr = inet.inetSaddr;
  ipc.protocol = inet.skcNum;
}

/** The TOS for the route lookup and the header. @kernel get_rttos include/net/ip.h */
export function getRttos(ipc: IpcmCookie, inet: InetSock): number {
  return (ipc.tos !== -1 ? ipc.tos : inet.tos) & 0xfc;
}

/** @kernel ip_sendmsg_scope include/net/ip.h */
export function ipSendmsgScope(inet: InetSock, ipc: IpcmCookie, msgFlags: number): number {
  const local =
    (inet.skFlags & (1 << SOCK_LOCALROUTE)) !== 0 ||
    (msgFlags & MSG_DONTROUTE) !== 0 ||
    (ipc.opt?.isStrictroute ?? false);
  return local ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

/** The source address of a reply need not be ours. @kernel IP_REPLY_ARG_NOSRCCHECK include/net/ip.h */
export const IP_REPLY_ARG_NOSRCCHECK = 1;

/** What ip_send_unicast_reply() sends. @kernel ip_reply_arg include/net/ip.h */
export class IpReplyArg {
  /** The transport header and whatever follows it. */
  iov: Uint8Array;
  /** Sum of the pseudo header. */
  csum: number;
  /** Place of the checksum in units of 16 bits; -1: none. */
  csumoffset: number;
  flags: number;
  boundDevIf: number;
  tos: number;
  uid: number;

  constructor(iov: Uint8Array) {
    this.iov = iov;
    this.csum = 0;
    this.csumoffset = -1;
    this.flags = 0;
    this.boundDevIf = 0;
    this.tos = 0;
    this.uid = 0;
  }
}

/** The numbers that stay the same while __ip_append_data() runs; in Linux its local variables. */
export class IpAppendPlan {
  dev: NetDevice | null = null;
  mtu = 0;
  /** Data go to pages, not to the head. */
  paged = false;
  hhLen = 0;
  fragheaderlen = 0;
  maxfraglen = 0;
  /** MSG_* */
  flags = 0;
}

/** Flow and cookie of one kind of sender, which is never entered twice at a time in a namespace. */
export class IpSendScratch {
  readonly plan: IpAppendPlan = new IpAppendPlan();
  readonly fl4: Flowi4 = new Flowi4();
  readonly ipc: IpcmCookie = new IpcmCookie();
}

// Counters. Linux has a variant of each for contexts that cannot be preempted; here they are one.

/** @kernel IP_INC_STATS include/net/ip.h */
export function ipIncStats(net: Net, field: number): void {
  net.mib.ipStatistics[field]!++;
}

/** @kernel IP_ADD_STATS include/net/ip.h */
export function ipAddStats(net: Net, field: number, val: number): void {
  net.mib.ipStatistics[field]! += val;
}

/** One packet and its octets; the octets' index follows the packets'. @kernel IP_UPD_PO_STATS include/net/ip.h */
export function ipUpdPoStats(net: Net, pktsField: number, octetsField: number, len: number): void {
  net.mib.ipStatistics[pktsField]!++;
  net.mib.ipStatistics[octetsField]! += len;
}

/** @kernel NET_INC_STATS include/net/ip.h */
export function netIncStats(net: Net, field: number): void {
  net.mib.netStatistics[field]!++;
}

/** @kernel NET_ADD_STATS include/net/ip.h */
export function netAddStats(net: Net, field: number, val: number): void {
  net.mib.netStatistics[field]! += val;
}

/** @kernel TCP_INC_STATS include/net/tcp.h */
export function tcpIncStats(net: Net, field: number): void {
  net.mib.tcpStatistics[field]!++;
}

/** @kernel TCP_DEC_STATS include/net/tcp.h */
export function tcpDecStats(net: Net, field: number): void {
  net.mib.tcpStatistics[field]!--;
}

/** @kernel TCP_ADD_STATS include/net/tcp.h */
export function tcpAddStats(net: Net, field: number, val: number): void {
  net.mib.tcpStatistics[field]! += val;
}

/** @kernel UDP_INC_STATS include/net/udp.h */
export function udpIncStats(net: Net, field: number): void {
  net.mib.udpStatistics[field]!++;
}

/** @kernel UDP_ADD_STATS include/net/udp.h */
export function udpAddStats(net: Net, field: number, val: number): void {
  net.mib.udpStatistics[field]! += val;
}

// Header helpers; `skb.networkHeader` points at the IP header.

/** @kernel ip_hdrlen include/net/ip.h */
export function ipHdrlen(skb: SkBuff): number {
  return iphdr.hdrlen(view, skb.networkHeader);
}

/** Octets after the IP header as the header tells. @kernel ip_transport_len include/linux/ip.h */
export function ipTransportLen(skb: SkBuff): number {
  const iph = skb.networkHeader;
  return iphdr.totLen(view, iph) - iphdr.hdrlen(view, iph);
}

/** @kernel ip_is_fragment include/net/ip.h */
export function ipIsFragment(iph: number): boolean {
  return (iphdr.fragOff(view, iph) & (IP_MF | IP_OFFSET)) !== 0;
}

/**
 * Takes one from the TTL and corrects the checksum; returns the new TTL.
 * @kernel ip_decrease_ttl include/net/ip.h
 * @rfc 1141
 */
export function ipDecreaseTtl(iph: number): number {
  let check = iphdr.check(view, iph) + 0x0100;
  check += check >= 0xffff ? 1 : 0;
  iphdr.setCheck(view, iph, check & 0xffff);
  const ttl = iphdr.ttl(view, iph) - 1;
  iphdr.setTtl(view, iph, ttl);
  return ttl;
}

/** Fills in the header checksum. @kernel ip_send_check net/ipv4/ip_output.c */
export function ipSendCheck(iph: number): void {
  iphdr.setCheck(view, iph, 0);
  iphdr.setCheck(view, iph, ipFastCsum(view, iph, iphdr.ihl(view, iph)));
}

/** @kernel ip_sk_accept_pmtu include/net/ip.h */
export function ipSkAcceptPmtu(inet: InetSock): boolean {
  return inet.pmtudisc !== IP_PMTUDISC_INTERFACE && inet.pmtudisc !== IP_PMTUDISC_OMIT;
}

/** @kernel ip_sk_use_pmtu include/net/ip.h */
export function ipSkUsePmtu(inet: InetSock): boolean {
  return inet.pmtudisc < IP_PMTUDISC_PROBE;
}

/** @kernel ip_sk_ignore_df include/net/ip.h */
export function ipSkIgnoreDf(inet: InetSock): boolean {
  return inet.pmtudisc < IP_PMTUDISC_DO || inet.pmtudisc === IP_PMTUDISC_OMIT;
}

/** The MTU metric was locked by the user: no path MTU discovery. @kernel ip_mtu_locked include/net/ip.h */
export function ipMtuLocked(rt: Rtable): boolean {
  return rt.rtMtuLocked || ((rt.metrics[RTAX_LOCK] as number) & (1 << RTAX_MTU)) !== 0;
}

/** Must this socket's packets carry DF on that route? @kernel ip_dont_fragment include/net/ip.h */
export function ipDontFragment(inet: InetSock, rt: Rtable): boolean {
  return (
    inet.pmtudisc === IP_PMTUDISC_DO || (inet.pmtudisc === IP_PMTUDISC_WANT && !ipMtuLocked(rt))
  );
}

/** @kernel ip_dst_mtu_maybe_forward include/net/ip.h */
export function ipDstMtuMaybeForward(rt: Rtable, forwarding: boolean): number {
  const net = rt.net;
  if (net.ipv4.sysctlIpFwdUsePmtu !== 0 || ipMtuLocked(rt) || !forwarding) {
    const mtu = rt.rtPmtu;
    if (mtu !== 0 && timeBefore(net.machine.jiffies, rt.expires)) return mtu;
  }
  // The device's MTU or the route's metric, but not what a peer made us believe.
  const metric = rt.metrics[RTAX_MTU] as number;
  if (metric !== 0) return metric;
  return Math.min(rt.dev?.mtu ?? 0, IP_MAX_MTU);
}

/** Largest datagram that fits, by the rules of its sender. @kernel ip_skb_dst_mtu include/net/ip.h */
export function ipSkbDstMtu(sk: Sock | null, skb: SkBuff): number {
  const rt = skb.dst as Rtable;
  if (sk === null || !skFullsock(sk) || ipSkUsePmtu(sk as InetSock)) {
    return ipDstMtuMaybeForward(rt, (skb.ipCb.flags & IPSKB_FORWARDED) !== 0);
  }
  return Math.min(rt.dev?.mtu ?? 0, IP_MAX_MTU);
}

/** Options a route packet carries; cleared as memset(IPCB(skb)) does. */
export function ipcbClear(skb: SkBuff): void {
  const cb = skb.ipCb;
  cb.iif = 0;
  cb.flags = 0;
  cb.fragMaxSize = 0;
  ipOptionsClear(cb.opt);
}

/** Back to "no options". */
export function ipOptionsClear(opt: IpOptions): void {
  opt.faddr = 0;
  opt.nexthop = 0;
  opt.optlen = 0;
  opt.srr = 0;
  opt.rr = 0;
  opt.ts = 0;
  opt.routerAlert = 0;
  opt.cipso = 0;
  opt.isStrictroute = false;
  opt.srrIsHit = false;
  opt.isChanged = false;
  opt.rrNeedaddr = false;
  opt.tsNeedtime = false;
  opt.tsNeedaddr = false;
  opt.data = null;
}

/** Struct assignment; the octets are shared. */
export function ipOptionsCopy(to: IpOptions, from: IpOptions): void {
  to.faddr = from.faddr;
  to.nexthop = from.nexthop;
  to.optlen = from.optlen;
  to.srr = from.srr;
  to.rr = from.rr;
  to.ts = from.ts;
  to.routerAlert = from.routerAlert;
  to.cipso = from.cipso;
  to.isStrictroute = from.isStrictroute;
  to.srrIsHit = from.srrIsHit;
  to.isChanged = from.isChanged;
  to.rrNeedaddr = from.rrNeedaddr;
  to.tsNeedtime = from.tsNeedtime;
  to.tsNeedaddr = from.tsNeedaddr;
  to.data = from.data;
}
