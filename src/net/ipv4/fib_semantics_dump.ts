/**
 * Routes as rtnetlink messages, and the news of their changes.
 *
 * Counterpart of fib_dump_info and rtmsg_fib of net/ipv4/fib_semantics.c.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbTailroom } from '#include/linux/skbuff.ts';
import type { FibAlias, FibInfo, FibNh, NlInfo } from '#include/net/ip_fib.ts';
import { hostView } from '#mm/memory.ts';
import { rtnlHasListeners, rtnlNotify } from '#net/core/rtnetlink.ts';
import { consumeSkb, skbPut } from '#net/core/skbuff.ts';
import { ipIgnoreLinkdown } from '#net/ipv4/fib_lookup.ts';
import {
  nlaNestCancel,
  nlaNestEnd,
  nlaNestStart,
  nlaPutInAddr,
  nlaPutString,
  nlaPutU32,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgNew,
  nlmsgPut,
} from '#net/netlink/nlattr.ts';
import { EMSGSIZE } from '#uapi/errno.ts';
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  RT_TABLE_COMPAT,
  RTA_DST,
  RTA_FLOW,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTAX_CC_ALGO,
  RTAX_FEATURE_MASK,
  RTAX_FEATURES,
  RTAX_MAX,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
  RTNH_F_OFFLOAD,
  RTNH_F_ONLINK,
  RTNH_F_TRAP,
  RTNLGRP_IPV4_ROUTE,
  rtmsg,
  rtnexthop,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

/** A nest of metrics, left out when none is set; true: the packet is full. @kernel rtnetlink_put_metrics net/core/rtnetlink.c */
export function rtnetlinkPutMetrics(skb: SkBuff, metrics: Uint32Array, congctl: string): boolean {
  const nest = nlaNestStart(skb, RTA_METRICS);
  if (nest < 0) return true;
  let count = 0;
  for (let type = 1; type <= RTAX_MAX; type++) {
    let value = metrics[type] as number;
    // What the kernel notes there for itself is not shown.
    if (type === RTAX_FEATURES) value &= RTAX_FEATURE_MASK;
    if (value === 0) continue;
    let err = 0;
    if (type === RTAX_CC_ALGO) {
      if (congctl === '') continue;
      err = nlaPutString(skb, type, congctl);
    } else {
      err = nlaPutU32(skb, type, value);
    }
    if (err < 0) return true;
    count++;
  }
  if (count === 0) nlaNestCancel(skb, nest);
  else nlaNestEnd(skb, nest);
  return false;
}

/** RTNH_F_* as users see them. */
export function nexthopFlags(nh: FibNh): number {
  let flags = nh.fibNhFlags & (RTNH_F_DEAD | RTNH_F_ONLINK | RTNH_F_OFFLOAD | RTNH_F_TRAP);
  if ((nh.fibNhFlags & RTNH_F_LINKDOWN) !== 0) {
    flags |= RTNH_F_LINKDOWN;
    if (ipIgnoreLinkdown(nh.fibNhDev)) flags |= RTNH_F_DEAD;
  }
  return flags;
}

/** @kernel fib_nexthop_info net/ipv4/fib_semantics.c */
function fibNexthopInfo(skb: SkBuff, nh: FibNh, skipOif: boolean): boolean {
  if (nh.fibNhGwFamily === AF_INET && nlaPutInAddr(skb, RTA_GATEWAY, nh.fibNhGw4) < 0) return true;
  if (skipOif || nh.fibNhDev === null) return false;
  return nlaPutU32(skb, RTA_OIF, nh.fibNhDev.ifindex) < 0;
}

/** One struct rtnexthop with its attributes. @kernel fib_add_nexthop net/ipv4/fib_semantics.c */
function fibAddNexthop(skb: SkBuff, nh: FibNh): boolean {
  if (skbTailroom(skb) < rtnexthop.LEN) return true;
  const at = skbPut(skb, rtnexthop.LEN);
  rtnexthop.setHops(hostView, at, nh.fibNhWeight - 1);
  rtnexthop.setIfindex(hostView, at, nh.fibNhDev?.ifindex ?? 0);
  rtnexthop.setFlags(hostView, at, nexthopFlags(nh) & 0xff);
  if (fibNexthopInfo(skb, nh, true)) return true;
  if (nh.nhTclassid !== 0 && nlaPutU32(skb, RTA_FLOW, nh.nhTclassid) < 0) return true;
  rtnexthop.setLen(hostView, at, skb.tail - at);
  return false;
}

/** @kernel fib_add_multipath net/ipv4/fib_semantics.c */
function fibAddMultipath(skb: SkBuff, fi: FibInfo): boolean {
  const nest = nlaNestStart(skb, RTA_MULTIPATH, false);
  if (nest < 0) return true;
  for (const nh of fi.fibNh) if (fibAddNexthop(skb, nh)) return true;
  nlaNestEnd(skb, nest);
  return false;
}

/** Attributes of a route after its header; true: the packet is full. */
function putRoute(skb: SkBuff, rtm: number, fa: FibAlias, dst: number, dstLen: number): boolean {
  const fi = fa.faInfo;
  if (nlaPutU32(skb, RTA_TABLE, fa.tbId) < 0) return true;
  if (dstLen !== 0 && nlaPutInAddr(skb, RTA_DST, dst) < 0) return true;
  if (fi.fibPriority !== 0 && nlaPutU32(skb, RTA_PRIORITY, fi.fibPriority) < 0) return true;
  if (rtnetlinkPutMetrics(skb, fi.fibMetrics, fi.fibCongctl)) return true;
  if (fi.fibPrefsrc !== 0 && nlaPutInAddr(skb, RTA_PREFSRC, fi.fibPrefsrc) < 0) return true;
  if (fi.fibNh.length > 1) return fibAddMultipath(skb, fi);
  const nh = fi.fibNh[0] as FibNh;
  if (fibNexthopInfo(skb, nh, false)) return true;
  rtmsg.setFlags(hostView, rtm, nexthopFlags(nh));
  return nh.nhTclassid !== 0 && nlaPutU32(skb, RTA_FLOW, nh.nhTclassid) < 0;
}

/** Appends one route; 0 or -EMSGSIZE with nothing appended. @kernel fib_dump_info net/ipv4/fib_semantics.c */
export function fibDumpInfo(
  skb: SkBuff,
  portid: number,
  seq: number,
  event: number,
  fa: FibAlias,
  dst: number,
  flags: number,
): number {
  const nlh = nlmsgPut(skb, portid, seq, event, rtmsg.LEN, flags);
  if (nlh < 0) return nlh;
  const fi = fa.faInfo;
  const rtm = nlh + NLMSG_HDRLEN;
  const dstLen = 32 - fa.faSlen;
  rtmsg.setFamily(hostView, rtm, AF_INET);
  rtmsg.setDstLen(hostView, rtm, dstLen);
  rtmsg.setTos(hostView, rtm, fa.faDscp);
  rtmsg.setTable(hostView, rtm, fa.tbId < 256 ? fa.tbId : RT_TABLE_COMPAT);
  rtmsg.setType(hostView, rtm, fa.faType);
  rtmsg.setFlags(hostView, rtm, fi.fibFlags);
  rtmsg.setScope(hostView, rtm, fi.fibScope);
  rtmsg.setProtocol(hostView, rtm, fi.fibProtocol);
  if (putRoute(skb, rtm, fa, dst, dstLen)) {
    nlmsgCancel(skb, nlh);
    return -EMSGSIZE;
  }
  nlmsgEnd(skb, nlh);
  return 0;
}

/** Room that the message of a route takes. @kernel fib_nlmsg_size net/ipv4/fib_semantics.c */
export function fibNlmsgSize(fi: FibInfo): number {
  const metrics = fi.fibHasMetrics ? 8 * (RTAX_MAX + 1) + 20 : 0;
  return rtmsg.LEN + 6 * 8 + metrics + fi.fibNh.length * (rtnexthop.LEN + 24) + 16;
}

/** Tells RTNLGRP_IPV4_ROUTE of a route that came or went. @kernel rtmsg_fib net/ipv4/fib_semantics.c */
export function rtmsgFib(
  event: number,
  key: number,
  fa: FibAlias,
  info: NlInfo,
  nlmFlags: number,
): void {
  const net = info.nlNet;
  if (info.skipNotify || !rtnlHasListeners(net, RTNLGRP_IPV4_ROUTE)) return;
  const skb = nlmsgNew(net.machine, fibNlmsgSize(fa.faInfo));
  if (skb === null) return;
  if (fibDumpInfo(skb, info.portid, info.seq, event, fa, key, nlmFlags) < 0)
    consumeSkb(skb, 'rtmsg_fib');
  else rtnlNotify(skb, net, RTNLGRP_IPV4_ROUTE);
}
