/**
 * The route of one destination by rtnetlink: `ip route get`.
 *
 * Counterpart of inet_rtm_getroute and rt_fill_info of net/ipv4/route.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  __skbPut,
  skbResetMacHeader,
  skbResetNetworkHeader,
  skbSetTransportHeader,
} from '#include/linux/skbuff.ts';
import { skbDstSet } from '#include/net/dst.ts';
import { Flowi4, LOOPBACK_IFINDEX } from '#include/net/flow.ts';
import { IPSKB_DOREDIRECT } from '#include/net/ip.ts';
import { FibAlias, FibResult, type Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { INET_DSCP_MASK } from '#include/net/route.ts';
import type { NetlinkExtAck, NlattrTable } from '#include/net/rtnetlink.ts';
import { jiffiesToClockT } from '#kernel/time/jiffies.ts';
import { hostView, mem } from '#mm/memory.ts';
import { rtnlRequestNet, rtnlRequestPortid, rtnlUnicast } from '#net/core/rtnetlink.ts';
import { allocSkb, consumeSkb } from '#net/core/skbuff.ts';
import { fibProps } from '#net/ipv4/fib_lookup.ts';
import { fibDumpInfo, rtnetlinkPutMetrics } from '#net/ipv4/fib_semantics_dump.ts';
import { ipRouteInputRcu, ipRouteOutputKeyHashRcu } from '#net/ipv4/route.ts';
import {
  NLMSG_GOODSIZE,
  type NlaPolicy,
  nlaGetInAddr,
  nlaGetU8,
  nlaGetU32,
  nlaPutInAddr,
  nlaPutU32,
  nlaReserve,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgNew,
  nlmsgParse,
  nlmsgPut,
  nlmsgSeq,
} from '#net/netlink/nlattr.ts';
import { EHOSTUNREACH, EINVAL, EMSGSIZE, ENOBUFS, ENODEV, EOPNOTSUPP } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { RTCF_DOREDIRECT, RTCF_NOTIFY } from '#uapi/in_route.ts';
import { iphdr } from '#uapi/ip.ts';
import { SKB_NOT_DROPPED_YET } from '#uapi/net_dropreason.ts';
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  RT_SCOPE_UNIVERSE,
  RT_TABLE_COMPAT,
  RT_TABLE_MAIN,
  RTA_CACHEINFO,
  RTA_DPORT,
  RTA_DST,
  RTA_GATEWAY,
  RTA_IIF,
  RTA_IP_PROTO,
  RTA_MARK,
  RTA_MAX,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_SPORT,
  RTA_SRC,
  RTA_TABLE,
  RTA_UID,
  RTAX_LOCK,
  RTAX_MTU,
  RTM_F_CLONED,
  RTM_F_FIB_MATCH,
  RTM_F_LOOKUP_TABLE,
  RTM_F_NOTIFY,
  RTM_NEWROUTE,
  RTPROT_UNSPEC,
  rtaCacheinfo,
  rtmsg,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

/** A user that is none. @kernel INVALID_UID include/linux/uidgid.h */
const INVALID_UID = 0xffffffff;

function fail(extack: NetlinkExtAck, err: number, msg: string): number {
  extack.msg = msg;
  return err;
}

function routePolicy(): (NlaPolicy | undefined)[] {
  const policy: (NlaPolicy | undefined)[] = [];
  policy[RTA_DST] = { kind: 'inAddr' };
  policy[RTA_SRC] = { kind: 'inAddr' };
  policy[RTA_IIF] = { kind: 'u32' };
  policy[RTA_OIF] = { kind: 'u32' };
  policy[RTA_MARK] = { kind: 'u32' };
  policy[RTA_UID] = { kind: 'u32' };
  policy[RTA_IP_PROTO] = { kind: 'u8' };
  policy[RTA_SPORT] = { kind: 'u16' };
  policy[RTA_DPORT] = { kind: 'u16' };
  return policy;
}

/** What is asked for. */
interface GetRequest {
  readonly dst: number;
  readonly src: number;
  readonly iif: number;
  readonly oif: number;
  readonly mark: number;
  readonly uid: number;
  readonly tos: number;
  readonly proto: number;
  readonly sport: number;
  readonly dport: number;
  readonly rtmFlags: number;
}

function u32Of(nla: Uint8Array | undefined): number {
  return nla === undefined ? 0 : nlaGetU32(nla);
}

function addrOf(nla: Uint8Array | undefined): number {
  return nla === undefined ? 0 : nlaGetInAddr(nla);
}

/** A port, in network order on the wire. */
function portOf(nla: Uint8Array | undefined): number {
  return nla === undefined ? 0 : ((nla[0] as number) << 8) | (nla[1] as number);
}

/** @kernel rtm_getroute_parse_ip_proto net/ipv4/netlink.c */
function parseProto(tb: NlattrTable, extack: NetlinkExtAck): number {
  const nla = tb[RTA_IP_PROTO];
  if (nla === undefined) return IPPROTO_UDP;
  const proto = nlaGetU8(nla);
  if (proto === IPPROTO_TCP || proto === IPPROTO_UDP || proto === IPPROTO_ICMP) return proto;
  return fail(extack, -EOPNOTSUPP, 'Unsupported ip proto');
}

function parseRequest(msg: Uint8Array, extack: NetlinkExtAck): GetRequest | number {
  const tb = nlmsgParse(msg, rtmsg.LEN, RTA_MAX, routePolicy(), extack);
  if (typeof tb === 'number') return tb;
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const proto = parseProto(tb, extack);
  if (proto < 0) return proto;
  const srcLen = rtmsg.srcLen(v, NLMSG_HDRLEN);
  const dstLen = rtmsg.dstLen(v, NLMSG_HDRLEN);
  if ((srcLen !== 0 && srcLen !== 32) || (dstLen !== 0 && dstLen !== 32)) {
    return fail(extack, -EINVAL, 'ipv4: Invalid values in header for route get request');
  }
  return {
    dst: addrOf(tb[RTA_DST]),
    src: addrOf(tb[RTA_SRC]),
    iif: u32Of(tb[RTA_IIF]),
    oif: u32Of(tb[RTA_OIF]),
    mark: u32Of(tb[RTA_MARK]),
    // A packet that comes in is nobody's.
    uid: tb[RTA_UID] === undefined && tb[RTA_IIF] !== undefined ? INVALID_UID : u32Of(tb[RTA_UID]),
    tos: rtmsg.tos(v, NLMSG_HDRLEN) & INET_DSCP_MASK,
    proto,
    sport: portOf(tb[RTA_SPORT]),
    dport: portOf(tb[RTA_DPORT]),
    rtmFlags: rtmsg.flags(v, NLMSG_HDRLEN),
  };
}

/** A packet such as the one asked about. @kernel inet_rtm_getroute_build_skb net/ipv4/route.c */
function buildSkb(net: Net, req: GetRequest): SkBuff | null {
  const skb = allocSkb(net.machine, NLMSG_GOODSIZE);
  if (skb === null) return null;
  const size = iphdr.LEN + 8;
  skbResetMacHeader(skb);
  skbResetNetworkHeader(skb);
  skb.protocol = ETH_P_IP;
  const iph = __skbPut(skb, size);
  mem.fill(0, iph, iph + size);
  skbSetTransportHeader(skb, iphdr.LEN);
  iphdr.setVersion(hostView, iph, 4);
  iphdr.setIhl(hostView, iph, 5);
  iphdr.setTos(hostView, iph, req.tos);
  iphdr.setTotLen(hostView, iph, size);
  iphdr.setProtocol(hostView, iph, req.proto);
  iphdr.setSaddr(hostView, iph, req.src);
  iphdr.setDaddr(hostView, iph, req.dst);
  hostView.setUint16(iph + iphdr.LEN, req.sport);
  hostView.setUint16(iph + iphdr.LEN + 2, req.dport);
  return skb;
}

/** Finds the route, which stays with the packet. 0 or a negative errno. */
function findRoute(net: Net, req: GetRequest, fl4: Flowi4, res: FibResult, skb: SkBuff): number {
  skb.mark = req.mark;
  fl4.daddr = req.dst;
  fl4.saddr = req.src;
  fl4.flowi4Tos = req.tos;
  fl4.flowi4Oif = req.oif;
  fl4.flowi4Mark = req.mark;
  fl4.flowi4Uid = req.uid;
  fl4.fl4Sport = req.sport;
  fl4.fl4Dport = req.dport;
  fl4.flowi4Proto = req.proto;
  if (req.iif !== 0) {
    const dev: NetDevice | null = net.devIndexHead.get(req.iif) ?? null;
    if (dev === null) return -ENODEV;
    fl4.flowi4Iif = req.iif;
    skb.dev = dev;
    const reason = ipRouteInputRcu(skb, req.dst, req.src, req.tos, dev, res);
    if (reason !== SKB_NOT_DROPPED_YET) return -EINVAL;
    return (skb.dst as Rtable).error;
  }
  fl4.flowi4Iif = LOOPBACK_IFINDEX;
  skb.dev = net.loopbackDev;
  const rt = ipRouteOutputKeyHashRcu(net, fl4, res, skb);
  if (typeof rt === 'number') return rt;
  skbDstSet(skb, rt);
  return 0;
}

/** @kernel rtnl_put_cacheinfo net/core/rtnetlink.c */
function putCacheinfo(skb: SkBuff, rt: Rtable, expires: number): number {
  const at = nlaReserve(skb, RTA_CACHEINFO, rtaCacheinfo.LEN);
  if (at < 0) return at;
  const now = rt.net.machine.jiffies;
  rtaCacheinfo.setLastuse(hostView, at, jiffiesToClockT((now - rt.lastuse) >>> 0));
  rtaCacheinfo.setUsed(hostView, at, rt.use);
  rtaCacheinfo.setClntref(hostView, at, rt.refcnt);
  rtaCacheinfo.setExpires(hostView, at, jiffiesToClockT(expires));
  rtaCacheinfo.setError(hostView, at, -rt.error);
  return 0;
}

/** Metrics of the route with what was learned since. */
function currentMetrics(rt: Rtable, expires: number): Uint32Array {
  const metrics = new Uint32Array(rt.metrics);
  if (expires === 0) return metrics;
  if (rt.rtPmtu !== 0) metrics[RTAX_MTU] = rt.rtPmtu;
  if (rt.rtMtuLocked) metrics[RTAX_LOCK] = (metrics[RTAX_LOCK] as number) | (1 << RTAX_MTU);
  return metrics;
}

/** @kernel rt_fill_info net/ipv4/route.c */
function rtFillInfo(
  skb: SkBuff,
  req: GetRequest,
  rt: Rtable,
  tableId: number,
  fl4: Flowi4,
  portid: number,
  seq: number,
): number {
  const nlh = nlmsgPut(skb, portid, seq, RTM_NEWROUTE, rtmsg.LEN, 0);
  if (nlh < 0) return nlh;
  const rtm = nlh + NLMSG_HDRLEN;
  const notify = (rt.rtFlags & RTCF_NOTIFY) !== 0 ? RTM_F_NOTIFY : 0;
  const redirect = (skb.ipCb.flags & IPSKB_DOREDIRECT) !== 0 ? RTCF_DOREDIRECT : 0;
  rtmsg.setFamily(hostView, rtm, AF_INET);
  rtmsg.setDstLen(hostView, rtm, 32);
  rtmsg.setSrcLen(hostView, rtm, req.src !== 0 ? 32 : 0);
  rtmsg.setTos(hostView, rtm, req.tos);
  rtmsg.setTable(hostView, rtm, tableId < 256 ? tableId : RT_TABLE_COMPAT);
  rtmsg.setProtocol(hostView, rtm, RTPROT_UNSPEC);
  rtmsg.setScope(hostView, rtm, RT_SCOPE_UNIVERSE);
  rtmsg.setType(hostView, rtm, rt.rtType);
  rtmsg.setFlags(hostView, rtm, ((rt.rtFlags & ~0xffff) | RTM_F_CLONED | notify | redirect) >>> 0);
  const left = rt.expires === 0 ? 0 : Math.max((rt.expires - rt.net.machine.jiffies) | 0, 0);
  const chosen = !rt.rtIsInput && fl4.saddr !== req.src;
  const full =
    nlaPutU32(skb, RTA_TABLE, tableId) < 0 ||
    nlaPutInAddr(skb, RTA_DST, req.dst) < 0 ||
    (req.src !== 0 && nlaPutInAddr(skb, RTA_SRC, req.src) < 0) ||
    (rt.dev !== null && nlaPutU32(skb, RTA_OIF, rt.dev.ifindex) < 0) ||
    (chosen && nlaPutInAddr(skb, RTA_PREFSRC, fl4.saddr) < 0) ||
    (rt.rtUsesGateway && nlaPutInAddr(skb, RTA_GATEWAY, rt.rtGw4) < 0) ||
    rtnetlinkPutMetrics(skb, currentMetrics(rt, left), '') ||
    (fl4.flowi4Mark !== 0 && nlaPutU32(skb, RTA_MARK, fl4.flowi4Mark) < 0) ||
    (fl4.flowi4Uid !== INVALID_UID && nlaPutU32(skb, RTA_UID, fl4.flowi4Uid) < 0) ||
    (rt.rtIsInput && nlaPutU32(skb, RTA_IIF, fl4.flowi4Iif) < 0) ||
    putCacheinfo(skb, rt, left) < 0;
  if (full) {
    nlmsgCancel(skb, nlh);
    return -EMSGSIZE;
  }
  nlmsgEnd(skb, nlh);
  return 0;
}

/** The answer: the route itself, or the entry of the table that it comes from. */
function fillAnswer(
  answer: SkBuff,
  req: GetRequest,
  rt: Rtable,
  res: FibResult,
  fl4: Flowi4,
  portid: number,
  seq: number,
): number {
  const byTable = (req.rtmFlags & RTM_F_LOOKUP_TABLE) !== 0;
  const tableId = byTable ? (res.table?.tbId ?? 0) : RT_TABLE_MAIN;
  if ((req.rtmFlags & RTM_F_FIB_MATCH) === 0) {
    return rtFillInfo(answer, req, rt, tableId, fl4, portid, seq);
  }
  if (res.fi === null) {
    const error = fibProps[res.type]?.error ?? 0;
    return error !== 0 ? error : -EHOSTUNREACH;
  }
  const fa = new FibAlias(res.fi, res.dscp, rt.rtType, 32 - res.prefixlen, tableId);
  return fibDumpInfo(answer, portid, seq, RTM_NEWROUTE, fa, res.prefix, 0);
}

/** RTM_GETROUTE of one destination. @kernel inet_rtm_getroute net/ipv4/route.c */
export function inetRtmGetroute(inSkb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const net = rtnlRequestNet(inSkb);
  const req = parseRequest(msg, extack);
  if (typeof req === 'number') return req;
  const skb = buildSkb(net, req);
  const answer = nlmsgNew(net.machine, NLMSG_GOODSIZE);
  if (skb === null || answer === null) {
    consumeSkb(skb, 'inet_rtm_getroute');
    consumeSkb(answer, 'inet_rtm_getroute');
    return -ENOBUFS;
  }
  const fl4 = new Flowi4();
  const res = new FibResult();
  const portid = rtnlRequestPortid(inSkb);
  let err = findRoute(net, req, fl4, res, skb);
  if (err === 0) {
    const rt = skb.dst as Rtable;
    if ((req.rtmFlags & RTM_F_NOTIFY) !== 0) rt.rtFlags = (rt.rtFlags | RTCF_NOTIFY) >>> 0;
    // Would the sender be told of a better way?
    answer.ipCb.flags = skb.ipCb.flags;
    err = fillAnswer(answer, req, rt, res, fl4, portid, nlmsgSeq(msg));
  }
  consumeSkb(skb, 'inet_rtm_getroute');
  if (err < 0) {
    consumeSkb(answer, 'inet_rtm_getroute');
    return err;
  }
  return rtnlUnicast(answer, net, portid);
}
