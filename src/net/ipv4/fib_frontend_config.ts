/**
 * Changes of the routing tables from outside: rtnetlink, the old ioctls, and the events of devices
 * and addresses.
 *
 * Counterpart of the request and notifier parts of net/ipv4/fib_frontend.c.
 */
import type { InIfaddr } from '#include/linux/inetdevice.ts';
import { badMask, inetMaskLen } from '#include/linux/inetdevice.ts';
import {
  NETDEV_CHANGE,
  NETDEV_CHANGEMTU,
  NETDEV_CHANGEUPPER,
  NETDEV_DOWN,
  NETDEV_PRECHANGEMTU,
  NETDEV_UNREGISTER,
  NETDEV_UP,
  type NetDevice,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { FibConfig, type FibTable, NlInfo } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import type { NetlinkCallback, NetlinkExtAck, NlattrTable } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { NOTIFY_DONE } from '#kernel/notifier.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { devGetFlags, registerNetdeviceNotifier } from '#net/core/dev.ts';
import { fibRulesInit } from '#net/core/fib_rules.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { rtnlRegister, rtnlRequestNet, rtnlRequestPortid } from '#net/core/rtnetlink.ts';
import { arpIfdown } from '#net/ipv4/arp_table.ts';
import { inetAddrTypeTable } from '#net/ipv4/fib_frontend.ts';
import { fibAddIfaddr, fibDelIfaddr, fibFlush } from '#net/ipv4/fib_frontend_ifaddr.ts';
import { fib4RulesExit, fib4RulesInit, fibGetTable, fibNewTable } from '#net/ipv4/fib_rules.ts';
import { fibSyncDownDev, fibSyncMtu, fibSyncUp } from '#net/ipv4/fib_semantics_sync.ts';
import { fibRouteSeqShow, fibTrieSeqShow, fibTriestatSeqShow } from '#net/ipv4/fib_trie_proc.ts';
import {
  type FibDumpFilter,
  fibTableDelete,
  fibTableDump,
  fibTableEmpty,
  fibTableInsert,
  fibTrieUnmerge,
} from '#net/ipv4/fib_trie_table.ts';
import { fibGwFromVia } from '#net/ipv4/metrics.ts';
import { rtFlushDev } from '#net/ipv4/route_cache.ts';
import {
  type NlaPolicy,
  nlaGetInAddr,
  nlaGetU32,
  nlmsgFlags,
  nlmsgParse,
  nlmsgSeq,
} from '#net/netlink/nlattr.ts';
import { EAFNOSUPPORT, EFAULT, EINVAL, ENODEV, ENOENT, ENOMEM, ESRCH } from '#uapi/errno.ts';
import { IFF_LOWER_UP, IFF_RUNNING } from '#uapi/if.ts';
import { sockaddrIn } from '#uapi/in.ts';
import { NLM_F_CREATE, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  RTF_GATEWAY,
  RTF_HOST,
  RTF_IRTT,
  RTF_MTU,
  RTF_REJECT,
  RTF_WINDOW,
  rtentry,
} from '#uapi/route.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
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
  RTAX_ADVMSS,
  RTAX_RTT,
  RTAX_WINDOW,
  RTM_DELROUTE,
  RTM_F_PREFIX,
  RTM_NEWROUTE,
  RTN_LOCAL,
  RTN_MAX,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
  RTPROT_BOOT,
  rtmsg,
} from '#uapi/rtnetlink.ts';
import { AF_INET, PF_INET } from '#uapi/socket.ts';
import { SIOCDELRT } from '#uapi/sockios.ts';

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
function inetRtmNewroute(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const net = rtnlRequestNet(skb);
  const cfg = rtmToFibConfig(skb, msg, extack);
  if (typeof cfg === 'number') return cfg;
  const err = fibTableInsert(net, fibNewTable(net, cfg.fcTable), cfg, extack);
  if (err === 0 && cfg.fcType === RTN_LOCAL) net.ipv4.fibHasCustomLocalRoutes = true;
  return err;
}

/** RTM_DELROUTE. @kernel inet_rtm_delroute net/ipv4/fib_frontend.c */
function inetRtmDelroute(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
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

// The old ioctls.

/** Address of the sockaddr_in at `at`; 0 when it is of no family. */
function sockaddrAt(v: DataView, at: number): number {
  return sockaddrIn.addr(v, at);
}

function readName(arg: Uint8Array, at: number): string {
  let text = '';
  for (let i = at; i < arg.length && i < at + 16; i++) {
    const byte = arg[i] as number;
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** RTA_METRICS from the three metrics that the old structure has. */
function oldMetrics(v: DataView, flags: number): Uint8Array | null {
  const pairs: [number, number][] = [];
  if ((flags & RTF_MTU) !== 0) pairs.push([RTAX_ADVMSS, rtentry.mtu(v, 0) - 40]);
  if ((flags & RTF_WINDOW) !== 0) pairs.push([RTAX_WINDOW, rtentry.window(v, 0)]);
  if ((flags & RTF_IRTT) !== 0) pairs.push([RTAX_RTT, rtentry.irtt(v, 0) << 3]);
  if (pairs.length === 0) return null;
  const mx = new Uint8Array(8 * pairs.length);
  const out = new DataView(mx.buffer);
  for (const [i, [type, value]] of pairs.entries()) {
    out.setUint16(8 * i, 8, true);
    out.setUint16(8 * i + 2, type, true);
    out.setUint32(8 * i + 4, value >>> 0, true);
  }
  return mx;
}

/** Destination and mask; a negative errno when they do not make a prefix. */
function readPrefix(cfg: FibConfig, v: DataView, flags: number): number {
  const addr = sockaddrAt(v, rtentry.DST);
  if (sockaddrIn.family(v, rtentry.DST) !== AF_INET) return -EAFNOSUPPORT;
  let plen = 32;
  if ((flags & RTF_HOST) === 0) {
    const mask = sockaddrAt(v, rtentry.GENMASK);
    const family = sockaddrIn.family(v, rtentry.GENMASK);
    if (family !== AF_INET && (mask !== 0 || family !== 0)) return -EAFNOSUPPORT;
    if (badMask(mask, addr)) return -EINVAL;
    plen = inetMaskLen(mask);
  }
  cfg.fcDst = addr;
  cfg.fcDstLen = plen;
  return 0;
}

/** @kernel rtentry_to_fib_config net/ipv4/fib_frontend.c */
function rtentryToFibConfig(net: Net, cmd: number, arg: Uint8Array): FibConfig | number {
  if (arg.length < rtentry.LEN) return -EFAULT;
  const v = new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
  const flags = rtentry.flags(v, 0);
  const metric = rtentry.metric(v, 0);
  const cfg = new FibConfig(new NlInfo(net));
  const err = readPrefix(cfg, v, flags);
  if (err < 0) return err;
  cfg.fcTable = RT_TABLE_MAIN;
  if (cmd !== SIOCDELRT) {
    cfg.fcNlflags = NLM_F_CREATE;
    cfg.fcProtocol = RTPROT_BOOT;
  }
  if (metric !== 0) cfg.fcPriority = (metric - 1) >>> 0;
  if ((flags & RTF_REJECT) !== 0) {
    cfg.fcScope = RT_SCOPE_HOST;
    cfg.fcType = RTN_UNREACHABLE;
    return cfg;
  }
  cfg.fcScope = RT_SCOPE_NOWHERE;
  cfg.fcType = RTN_UNICAST;
  const name = readName(arg, rtentry.DEV);
  if (name !== '') {
    const dev = net.devNameHead.get(name.split(':')[0] ?? '') ?? null;
    if (dev === null) return -ENODEV;
    cfg.fcOif = dev.ifindex;
    if (name.includes(':')) {
      const ifa = dev.ipPtr?.ifaList.find((a) => a.ifaLabel === name);
      if (ifa === undefined) return -ENODEV;
      cfg.fcPrefsrc = ifa.ifaLocal;
    }
  }
  const gw = sockaddrAt(v, rtentry.GATEWAY);
  if (sockaddrIn.family(v, rtentry.GATEWAY) === AF_INET && gw !== 0) {
    cfg.fcGw4 = gw;
    cfg.fcGwFamily = AF_INET;
    const unicast = inetAddrTypeTable(net, gw, cfg.fcTable) === RTN_UNICAST;
    if ((flags & RTF_GATEWAY) !== 0 && unicast) cfg.fcScope = RT_SCOPE_UNIVERSE;
  }
  if (cmd === SIOCDELRT) return cfg;
  if ((flags & RTF_GATEWAY) !== 0 && cfg.fcGwFamily === 0) return -EINVAL;
  if (cfg.fcScope === RT_SCOPE_NOWHERE) cfg.fcScope = RT_SCOPE_LINK;
  cfg.fcMx = oldMetrics(v, flags);
  return cfg;
}

/** SIOCADDRT and SIOCDELRT. @kernel ip_rt_ioctl net/ipv4/fib_frontend.c */
export function ipRtIoctl(net: Net, cmd: number, arg: Uint8Array): number {
  rtnlLock(net.machine);
  const cfg = rtentryToFibConfig(net, cmd, arg);
  let err: number;
  if (typeof cfg === 'number') {
    err = cfg;
  } else if (cmd === SIOCDELRT) {
    const tb = fibGetTable(net, cfg.fcTable);
    err = tb === null ? -ESRCH : fibTableDelete(net, tb, cfg, null);
  } else {
    err = fibTableInsert(net, fibNewTable(net, cfg.fcTable), cfg, null);
  }
  rtnlUnlock(net.machine);
  return err;
}

// Events.

/** The device's routes die; so does what is known of its neighbours. @kernel fib_disable_ip net/ipv4/fib_frontend.c */
function fibDisableIp(dev: NetDevice, event: number, force: boolean): void {
  if (fibSyncDownDev(dev, event, force) > 0) fibFlush(dev.net);
  else rtCacheFlush(dev.net);
  arpIfdown(dev);
}

/** @kernel fib_inetaddr_event net/ipv4/fib_frontend.c */
function fibInetaddrEvent(event: number, ifa: InIfaddr): number {
  const inDev = ifa.ifaDev;
  if (inDev === null) return NOTIFY_DONE;
  const { dev } = inDev;
  const { net } = dev;
  if (event === NETDEV_UP) {
    fibAddIfaddr(ifa);
    fibSyncUp(dev, RTNH_F_DEAD);
    net.ipv4.devAddrGenid++;
    rtCacheFlush(net);
  } else if (event === NETDEV_DOWN) {
    fibDelIfaddr(ifa, null);
    net.ipv4.devAddrGenid++;
    // Without an address there is no IP on the device.
    if (inDev.ifaList.length === 0) fibDisableIp(dev, event, true);
    else rtCacheFlush(net);
  }
  return NOTIFY_DONE;
}

/** @kernel fib_netdev_event net/ipv4/fib_frontend.c */
function fibNetdevEvent(event: number, dev: NetDevice): number {
  const { net } = dev;
  if (event === NETDEV_UNREGISTER) {
    fibDisableIp(dev, event, true);
    rtFlushDev(dev);
    return NOTIFY_DONE;
  }
  const inDev = dev.ipPtr;
  if (inDev === null) return NOTIFY_DONE;
  switch (event) {
    case NETDEV_UP:
      for (const ifa of inDev.ifaList) fibAddIfaddr(ifa);
      fibSyncUp(dev, RTNH_F_DEAD);
      net.ipv4.devAddrGenid++;
      rtCacheFlush(net);
      break;
    case NETDEV_DOWN:
      fibDisableIp(dev, event, false);
      break;
    case NETDEV_CHANGE:
      if ((devGetFlags(dev) & (IFF_RUNNING | IFF_LOWER_UP)) !== 0) fibSyncUp(dev, RTNH_F_LINKDOWN);
      else fibSyncDownDev(dev, event, false);
      rtCacheFlush(net);
      break;
    case NETDEV_PRECHANGEMTU:
      inDev.oldMtu = dev.mtu;
      break;
    case NETDEV_CHANGEMTU:
      fibSyncMtu(dev, inDev.oldMtu);
      rtCacheFlush(net);
      break;
    case NETDEV_CHANGEUPPER:
      rtCacheFlush(net);
      break;
    default:
      break;
  }
  return NOTIFY_DONE;
}

/** Gives the local table its own trie, before a rule can come between it and main. @kernel fib_unmerge net/ipv4/fib_frontend.c */
function fibUnmerge(net: Net): number {
  const old = fibGetTable(net, RT_TABLE_LOCAL);
  if (old === null || !old.alias) return 0;
  const main = fibGetTable(net, RT_TABLE_MAIN);
  if (main === null) return -ENOMEM;
  net.ipv4.fibTables.set(RT_TABLE_LOCAL, fibTrieUnmerge(old, main));
  return 0;
}

/** @kernel fib_net_init net/ipv4/fib_frontend.c */
function fibNetInit(net: Net): number {
  const err = fib4RulesInit(net);
  if (err < 0) return err;
  net.procNet.set('route', fibRouteSeqShow);
  net.procNet.set('fib_trie', fibTrieSeqShow);
  net.procNet.set('fib_triestat', fibTriestatSeqShow);
  return 0;
}

/** @kernel ip_fib_net_exit net/ipv4/fib_frontend.c */
function fibNetExit(net: Net): void {
  for (const tb of net.ipv4.fibTables.values()) fibTableEmpty(tb);
  net.ipv4.fibTables.clear();
  net.ipv4.fibMain = null;
  net.ipv4.fibDefault = null;
  fib4RulesExit(net);
}

/** @kernel ip_fib_init net/ipv4/fib_frontend.c */
export function ipFibInit(machine: Machine): number {
  const err = registerPernetSubsys(machine, { name: 'fib', init: fibNetInit, exit: fibNetExit });
  if (err < 0) return err;
  registerNetdeviceNotifier(machine, { call: fibNetdevEvent, priority: 0 });
  machine.netGlobals.inetaddrChain.register({
    call: (event, ifa) => fibInetaddrEvent(event, ifa as InIfaddr),
    priority: 0,
  });
  fibRulesInit(machine, { unmerge: fibUnmerge });
  rtnlRegister(machine, PF_INET, RTM_NEWROUTE, inetRtmNewroute, null);
  rtnlRegister(machine, PF_INET, RTM_DELROUTE, inetRtmDelroute, null);
  return 0;
}
