/**
 * Changes of the routing tables from outside: the old ioctls, and the events of devices and
 * addresses. Requests by netlink are in fib_frontend_netlink.ts.
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
import { FibConfig, NlInfo } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import type { Machine } from '#kernel/machine.ts';
import { NOTIFY_DONE } from '#kernel/notifier.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { devGetFlags, registerNetdeviceNotifier } from '#net/core/dev.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { arpIfdown } from '#net/ipv4/arp_table.ts';
import { inetAddrTypeTable } from '#net/ipv4/fib_frontend.ts';
import { fibAddIfaddr, fibDelIfaddr, fibFlush } from '#net/ipv4/fib_frontend_ifaddr.ts';
import { fibGetTable, fibNewTable } from '#net/ipv4/fib_frontend_table.ts';
import { fibSyncDownDev, fibSyncMtu, fibSyncUp } from '#net/ipv4/fib_semantics_sync.ts';
import {
  fibTableDelete,
  fibTableEmpty,
  fibTableInsert,
  fibTrieUnmerge,
} from '#net/ipv4/fib_trie_table.ts';
import { rtFlushDev } from '#net/ipv4/route_cache.ts';
import { EAFNOSUPPORT, EFAULT, EINVAL, ENODEV, ENOMEM, ESRCH } from '#uapi/errno.ts';
import { IFF_LOWER_UP, IFF_RUNNING } from '#uapi/if.ts';
import { sockaddrIn } from '#uapi/in.ts';
import { NLM_F_CREATE } from '#uapi/netlink.ts';
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
  RTAX_ADVMSS,
  RTAX_RTT,
  RTAX_WINDOW,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
  RTPROT_BOOT,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';
import { SIOCDELRT } from '#uapi/sockios.ts';

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
export function fibUnmerge(net: Net): number {
  const old = fibGetTable(net, RT_TABLE_LOCAL);
  if (old === null || !old.alias) return 0;
  const main = fibGetTable(net, RT_TABLE_MAIN);
  if (main === null) return -ENOMEM;
  net.ipv4.fibTables.set(RT_TABLE_LOCAL, fibTrieUnmerge(old, main));
  return 0;
}

/** @kernel ip_fib_net_exit net/ipv4/fib_frontend.c */
function fibNetExit(net: Net): void {
  for (const tb of net.ipv4.fibTables.values()) fibTableEmpty(tb);
  net.ipv4.fibTables.clear();
  net.ipv4.fibMain = null;
  net.ipv4.fibDefault = null;
}

/** @kernel ip_fib_init net/ipv4/fib_frontend.c */
export function ipFibInit(machine: Machine): number {
  const err = registerPernetSubsys(machine, { name: 'fib', init: () => 0, exit: fibNetExit });
  if (err < 0) return err;
  registerNetdeviceNotifier(machine, { call: fibNetdevEvent, priority: 0 });
  machine.netGlobals.inetaddrChain.register({
    call: (event, ifa) => fibInetaddrEvent(event, ifa as InIfaddr),
    priority: 0,
  });
  return 0;
}
