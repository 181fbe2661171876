/**
 * Routes by rtnetlink: `ip route add|del|show`.
 *
 * Counterpart of the request part of net/ipv4/fib_frontend.c.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { FibConfig, type FibTable, NlInfo } from '#include/net/ip_fib.ts';
import type { NetlinkCallback, NetlinkExtAck, NlattrTable } from '#include/net/rtnetlink.ts';
import { rtnlRequestNet, rtnlRequestPortid } from '#net/core/rtnetlink.ts';
import { fibGetTable, fibNewTable } from '#net/ipv4/fib_frontend_table.ts';
import type { FibDumpFilter } from '#net/ipv4/fib_trie_dump.ts';
import { fibTableDump } from '#net/ipv4/fib_trie_dump.ts';
import { fibTableDelete, fibTableInsert } from '#net/ipv4/fib_trie_table.ts';
import { fibGwFromVia } from '#net/ipv4/metrics.ts';
import type { NlaPolicy } from '#net/netlink/nlattr.ts';
import { nlaGetInAddr, nlaGetU32, nlmsgFlags, nlmsgParse, nlmsgSeq } from '#net/netlink/nlattr.ts';
import { EINVAL, ENOENT, ESRCH } from '#uapi/errno.ts';
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_ENCAP,
  RTA_FLOW,
  RTA_GATEWAY,
  RTA_MAX,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_NH_ID,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTA_VIA,
  RTM_F_PREFIX,
  RTN_LOCAL,
  RTN_MAX,
  rtmsg,
} from '#uapi/rtnetlink.ts';
import { AF_INET, PF_INET } from '#uapi/socket.ts';

function fail(extack: NetlinkExtAck, err: number, msg: string): number {
  if (extack.msg === '') extack.msg = msg;
  return err;
}

/** @kernel rtm_ipv4_policy net/ipv4/fib_frontend.c */
function rtmPolicy(): (NlaPolicy | undefined)[] {
  const policy: (NlaPolicy | undefined)[] = [];
  for (const type of [RTA_DST, RTA_GATEWAY, RTA_PREFSRC]) policy[type] = { kind: 'inAddr' };
  for (const type of [RTA_OIF, RTA_PRIORITY, RTA_FLOW, RTA_TABLE, RTA_NH_ID]) {
    policy[type] = { kind: 'u32' };
  }
  policy[RTA_METRICS] = { kind: 'nested' };
  policy[RTA_MULTIPATH] = { kind: 'binary', len: 8 };
  return policy;
}

/** Gateway attributes of a request. */
function readGateway(cfg: FibConfig, tb: NlattrTable, extack: NetlinkExtAck): number {
  const gateway = tb[RTA_GATEWAY];
  const via = tb[RTA_VIA];
  if (gateway !== undefined && via !== undefined) {
    const text = 'Nexthop configuration can not contain both GATEWAY and VIA';
    return fail(extack, -EINVAL, text);
  }
  if (gateway !== undefined) {
    cfg.fcGw4 = nlaGetInAddr(gateway);
    if (cfg.fcGw4 !== 0) cfg.fcGwFamily = AF_INET;
  }
  return via === undefined ? 0 : fibGwFromVia(cfg, via, extack);
}

function u32Of(nla: Uint8Array | undefined, otherwise: number): number {
  return nla === undefined ? otherwise : nlaGetU32(nla);
}

/** The attributes of a request. */
function readAttrs(cfg: FibConfig, tb: NlattrTable, extack: NetlinkExtAck): number {
  const dst = tb[RTA_DST];
  const prefsrc = tb[RTA_PREFSRC];
  if (dst !== undefined) cfg.fcDst = nlaGetInAddr(dst);
  if (prefsrc !== undefined) cfg.fcPrefsrc = nlaGetInAddr(prefsrc);
  cfg.fcOif = u32Of(tb[RTA_OIF], 0);
  cfg.fcPriority = u32Of(tb[RTA_PRIORITY], 0);
  cfg.fcFlow = u32Of(tb[RTA_FLOW], 0);
  cfg.fcTable = u32Of(tb[RTA_TABLE], cfg.fcTable);
  cfg.fcNhId = u32Of(tb[RTA_NH_ID], 0);
  cfg.fcMx = tb[RTA_METRICS] ?? null;
  cfg.fcMp = tb[RTA_MULTIPATH] ?? null;
  if (tb[RTA_ENCAP] !== undefined) {
    return fail(extack, -EINVAL, 'LWT encapsulation type not supported');
  }
  return readGateway(cfg, tb, extack);
}

/** @kernel rtm_to_fib_config net/ipv4/fib_frontend.c */
function rtmToFibConfig(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): FibConfig | number {
  const net = rtnlRequestNet(skb);
  const tb = nlmsgParse(msg, rtmsg.LEN, RTA_MAX, rtmPolicy(), extack);
  if (typeof tb === 'number') return tb;
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const at = NLMSG_HDRLEN;
  const flags = nlmsgFlags(msg);
  const cfg = new FibConfig(new NlInfo(net, rtnlRequestPortid(skb), nlmsgSeq(msg), flags));
  cfg.fcDscp = rtmsg.tos(v, at);
  if ((cfg.fcDscp & 3) !== 0) {
    return fail(extack, -EINVAL, 'Invalid dsfield (tos): ECN bits must be 0');
  }
  cfg.fcDstLen = rtmsg.dstLen(v, at);
  cfg.fcTable = rtmsg.table(v, at);
  cfg.fcProtocol = rtmsg.protocol(v, at);
  cfg.fcScope = rtmsg.scope(v, at);
  cfg.fcType = rtmsg.type(v, at);
  cfg.fcFlags = rtmsg.flags(v, at);
  cfg.fcNlflags = flags;
  if (cfg.fcType > RTN_MAX) return fail(extack, -EINVAL, 'Invalid route type');
  const err = readAttrs(cfg, tb, extack);
  if (err < 0) return err;
  if (cfg.fcDstLen > 32) return fail(extack, -EINVAL, 'Invalid prefix length');
  if (cfg.fcDstLen < 32 && ((cfg.fcDst << cfg.fcDstLen) | 0) !== 0) {
    return fail(extack, -EINVAL, 'Invalid prefix for given prefix length');
  }
  if (cfg.fcNhId !== 0 && (cfg.fcOif !== 0 || cfg.fcGwFamily !== 0 || cfg.fcMp !== null)) {
    const text = 'Nexthop specification and nexthop id are mutually exclusive';
    return fail(extack, -EINVAL, text);
  }
  if (cfg.fcTable === 0) cfg.fcTable = RT_TABLE_MAIN;
  return cfg;
}

/** RTM_NEWROUTE. @kernel inet_rtm_newroute net/ipv4/fib_frontend.c */
export function inetRtmNewroute(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const net = rtnlRequestNet(skb);
  const cfg = rtmToFibConfig(skb, msg, extack);
  if (typeof cfg === 'number') return cfg;
  const err = fibTableInsert(net, fibNewTable(net, cfg.fcTable), cfg, extack);
  if (err === 0 && cfg.fcType === RTN_LOCAL) net.ipv4.fibHasCustomLocalRoutes = true;
  return err;
}

/** RTM_DELROUTE. @kernel inet_rtm_delroute net/ipv4/fib_frontend.c */
export function inetRtmDelroute(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const net = rtnlRequestNet(skb);
  const cfg = rtmToFibConfig(skb, msg, extack);
  if (typeof cfg === 'number') return cfg;
  if (cfg.fcNhId !== 0) return fail(extack, -EINVAL, 'Nexthop id does not exist');
  const tb = fibGetTable(net, cfg.fcTable);
  if (tb === null) return fail(extack, -ESRCH, 'FIB table does not exist');
  return fibTableDelete(net, tb, cfg, extack);
}

/** @kernel ip_valid_fib_dump_req net/ipv4/fib_frontend.c */
function dumpFilter(cb: NetlinkCallback): FibDumpFilter | null {
  const { msg } = cb;
  const nothing = { tableId: 0, protocol: 0, rtType: 0, ifindex: 0, filterSet: false };
  if (msg.length < NLMSG_HDRLEN + rtmsg.LEN) return nothing;
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  if ((rtmsg.flags(v, NLMSG_HDRLEN) & RTM_F_PREFIX) !== 0) return null;
  const tb = nlmsgParse(msg, rtmsg.LEN, RTA_MAX, rtmPolicy(), null);
  if (typeof tb === 'number') return nothing;
  const protocol = rtmsg.protocol(v, NLMSG_HDRLEN);
  const rtType = rtmsg.type(v, NLMSG_HDRLEN);
  const ifindex = u32Of(tb[RTA_OIF], 0);
  return {
    tableId: u32Of(tb[RTA_TABLE], rtmsg.table(v, NLMSG_HDRLEN)),
    protocol,
    rtType,
    ifindex,
    filterSet: protocol !== 0 || rtType !== 0 || ifindex !== 0,
  };
}

/**
 * RTM_GETROUTE of all routes, or of one table. args[0]: tables done; the rest is fibTableDump's.
 * @kernel inet_dump_fib net/ipv4/fib_frontend.c
 */
export function inetDumpFib(skb: SkBuff, cb: NetlinkCallback): number {
  const { net } = cb;
  const filter = dumpFilter(cb);
  if (filter === null) return 0;
  let tables: FibTable[];
  if (filter.tableId !== 0) {
    const tb = fibGetTable(net, filter.tableId);
    if (tb === null) {
      if ((cb.msg[NLMSG_HDRLEN] ?? 0) !== PF_INET) return 0;
      return fail(cb.extack, -ENOENT, 'ipv4: FIB table does not exist');
    }
    tables = [tb];
  } else {
    // In the order of Linux's hash table.
    tables = [...net.ipv4.fibTables.values()].sort((a, b) => (a.tbId & 255) - (b.tbId & 255));
  }
  for (let t = cb.args[0] as number; t < tables.length; t++) {
    cb.args[0] = t;
    if (fibTableDump(tables[t] as FibTable, skb, cb, filter) < 0) return skb.len;
    cb.args.fill(0, 2, 5);
  }
  cb.args[0] = tables.length;
  return 0;
}
