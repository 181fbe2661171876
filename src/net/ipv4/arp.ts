/**
 * The address resolution protocol: who on this link has that address?
 *
 * Counterpart of net/ipv4/arp.c; its table is a neighbour table (net/core/neighbour.ts), messages
 * are built in arp_xmit.ts, the ioctls and /proc/net/arp in arp_user.ts. RFC 826, RFC 5227.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import {
  inDevArpAccept,
  inDevArpEvictNocarrier,
  inDevArpfilter,
  inDevArpIgnore,
  inDevForward,
  inDevMediumId,
  inDevOrconf,
  inDevProxyArp,
  inDevProxyArpPvlan,
  inDevRouteLocalnet,
} from '#include/linux/inetdevice.ts';
import {
  NET_RX_DROP,
  NET_RX_SUCCESS,
  NETDEV_CHANGE,
  NETDEV_CHANGEADDR,
  type NetDevice,
  netifCarrierOk,
  PacketType,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { Flowi4 } from '#include/net/flow.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import {
  NEIGH_UPDATE_F_OVERRIDE,
  NEIGH_VAR_LOCKTIME,
  NEIGH_VAR_PROXY_DELAY,
  type Neighbour,
  type NeighParms,
  type NeighTable,
  neighVar,
} from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { NOTIFY_DONE } from '#kernel/notifier.ts';
import { timeAfter } from '#kernel/time/jiffies.ts';
import { mem, view } from '#mm/memory.ts';
import { registerNetdeviceNotifier } from '#net/core/dev.ts';
import { devAddPack } from '#net/core/dev_rx.ts';
import {
  __neighLookup,
  neighCarrierDown,
  neighChangeaddr,
  neighEventNs,
  neighTableInit,
} from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { neighUpdate } from '#net/core/neighbour_nud.ts';
import { LOCALLY_ENQUEUED, pneighEnqueue, pneighLookup } from '#net/core/neighbour_proxy.ts';
import { consumeSkb, kfreeSkb, skbShareCheck } from '#net/core/skbuff.ts';
import { pskbMayPullReason } from '#net/core/skbuff_copy.ts';
import { ARP_DEFAULTS, arpTableOps } from '#net/ipv4/arp_neigh.ts';
import { arpHdrLen, arpSend } from '#net/ipv4/arp_xmit.ts';
import { inetConfirmAddr } from '#net/ipv4/devinet.ts';
import { inetAddrTypeDevTable } from '#net/ipv4/fib_frontend.ts';
import { ipRouteInputNoref, ipRouteOutputKey, ipRtPut } from '#net/ipv4/route.ts';
import { NF_HOOK } from '#net/netfilter/core.ts';
import { IFF_NOARP } from '#uapi/if.ts';
import {
  ARPHRD_ETHER,
  ARPHRD_FDDI,
  ARPHRD_IEEE802,
  ARPOP_REPLY,
  ARPOP_REQUEST,
  arphdr,
} from '#uapi/if_arp.ts';
import { ETH_P_ARP, ETH_P_IP } from '#uapi/if_ether.ts';
import { PACKET_HOST, PACKET_LOOPBACK, PACKET_OTHERHOST } from '#uapi/if_packet.ts';
import { ipv4IsLoopback, ipv4IsMulticast } from '#uapi/in.ts';
import { IPV4_DEVCONF_DROP_GRATUITOUS_ARP } from '#uapi/ip.ts';
import { NUD_REACHABLE, NUD_STALE } from '#uapi/neighbour.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED, SKB_NOT_DROPPED_YET } from '#uapi/net_dropreason.ts';
import { NF_ARP_IN, NFPROTO_ARP } from '#uapi/netfilter.ts';
import { RT_SCOPE_HOST, RT_SCOPE_LINK, RTN_LOCAL, RTN_UNICAST } from '#uapi/rtnetlink.ts';
import { LINUX_MIB_ARPFILTER } from '#uapi/snmp.ts';

/** Must a request for `tip` from `sip` go unanswered? @kernel arp_ignore net/ipv4/arp.c */
function arpIgnore(inDev: InDevice, sip: number, tip: number): boolean {
  const { net } = inDev.dev;
  switch (inDevArpIgnore(inDev)) {
    case 1:
      // Only addresses of the device it came in by.
      return inetConfirmAddr(net, inDev, 0, tip, RT_SCOPE_HOST) === 0;
    case 2:
      // And only to askers of the same subnet.
      return inetConfirmAddr(net, inDev, sip, tip, RT_SCOPE_HOST) === 0;
    case 3:
      // No addresses of scope host.
      return inetConfirmAddr(net, null, 0, tip, RT_SCOPE_LINK) === 0;
    case 8:
      return true;
    default:
      return false;
  }
}

/** Would we answer packets of `sip` by another device? @kernel arp_filter net/ipv4/arp.c */
function arpFilter(sip: number, tip: number, dev: NetDevice): boolean {
  const fl4 = new Flowi4();
  fl4.daddr = sip;
  fl4.saddr = tip;
  const rt = ipRouteOutputKey(dev.net, fl4);
  if (typeof rt === 'number') return true;
  const other = rt.dev !== dev;
  if (other) netIncStats(dev.net, LINUX_MIB_ARPFILTER);
  ipRtPut(rt);
  return other;
}

/** May an unasked message make a new entry? @kernel arp_accept net/ipv4/arp.c */
function arpAccept(inDev: InDevice, sip: number): boolean {
  switch (inDevArpAccept(inDev)) {
    case 1:
      return true;
    case 2:
      return inetConfirmAddr(inDev.dev.net, inDev, sip, 0, RT_SCOPE_LINK) !== 0;
    default:
      return false;
  }
}

/** Do we answer for what lies behind another of our devices? @kernel arp_fwd_proxy net/ipv4/arp.c */
function arpFwdProxy(inDev: InDevice, dev: NetDevice, rt: Rtable): boolean {
  if (rt.dev === dev || !inDevProxyArp(inDev)) return false;
  const imi = inDevMediumId(inDev);
  if (imi === 0) return true;
  if (imi === -1) return false;
  const outDev = rt.dev?.ipPtr ?? null;
  const omi = outDev === null ? -1 : inDevMediumId(outDev);
  return omi !== imi && omi !== -1;
}

/** Private VLAN: hosts of one link that hear only the router. @kernel arp_fwd_pvlan net/ipv4/arp.c */
function arpFwdPvlan(
  inDev: InDevice,
  dev: NetDevice,
  rt: Rtable,
  sip: number,
  tip: number,
): boolean {
  return rt.dev === dev && sip !== tip && inDevProxyArpPvlan(inDev);
}

/** One message, read once. */
interface ArpMessage {
  readonly op: number;
  readonly sha: Uint8Array;
  readonly sip: number;
  readonly tha: Uint8Array;
  readonly tip: number;
}

function readMessage(at: number, dev: NetDevice): ArpMessage {
  const { addrLen } = dev;
  const sha = at + arphdr.LEN;
  const tha = sha + addrLen + 4;
  return {
    op: arphdr.op(view, at),
    sha: mem.slice(sha, sha + addrLen),
    sip: view.getUint32(sha + addrLen),
    tha: mem.slice(tha, tha + addrLen),
    tip: view.getUint32(tha + addrLen),
  };
}

/** Does the message speak of IPv4 over the device's kind of link? */
function headerFits(at: number, dev: NetDevice): boolean {
  const hrd = arphdr.hrd(view, at);
  if (arphdr.pro(view, at) !== ETH_P_IP) return false;
  if (dev.type === ARPHRD_ETHER || dev.type === ARPHRD_FDDI || dev.type === ARPHRD_IEEE802) {
    return hrd === ARPHRD_ETHER || hrd === ARPHRD_IEEE802;
  }
  return hrd === dev.type;
}

function reply(dev: NetDevice, m: ArpMessage): void {
  arpSend(ARPOP_REPLY, ETH_P_ARP, m.sip, dev, m.tip, m.sha, dev.devAddr, m.sha);
}

/** Somebody announces himself to all. @kernel arp_is_garp net/ipv4/arp.c */
function arpIsGarp(net: Net, dev: NetDevice, m: ArpMessage): boolean {
  if (m.tip !== m.sip) return false;
  if (m.op === ARPOP_REPLY && !m.tha.every((byte, i) => byte === m.sha[i])) return false;
  return inetAddrTypeDevTable(net, dev, m.sip) === RTN_UNICAST;
}

const ANSWER_NO = 0;
const ANSWER_DONE = 1;
const ANSWER_TAKEN = 2;

/** A request for an address that is ours, or that we answer for: what became of the packet. */
function answerRequest(net: Net, skb: SkBuff, inDev: InDevice, m: ArpMessage): number {
  const { dev } = inDev;
  const tbl = net.machine.netGlobals.arpTbl as NeighTable;
  if (ipRouteInputNoref(skb, m.tip, m.sip, 0, dev) !== SKB_NOT_DROPPED_YET) return ANSWER_NO;
  const rt = skb.dst as Rtable;
  if (rt.rtType === RTN_LOCAL) {
    const silent =
      arpIgnore(inDev, m.sip, m.tip) || (inDevArpfilter(inDev) && arpFilter(m.sip, m.tip, dev));
    const n = silent ? null : neighEventNs(tbl, m.sha, m.sip, dev);
    if (n !== null) {
      reply(dev, m);
      neighRelease(n);
    }
    return ANSWER_DONE;
  }
  if (!inDevForward(inDev) || rt.rtType !== RTN_UNICAST) return ANSWER_NO;
  const proxied =
    arpFwdProxy(inDev, dev, rt) ||
    arpFwdPvlan(inDev, dev, rt, m.sip, m.tip) ||
    (rt.dev !== dev && pneighLookup(tbl, net, m.tip, dev) !== null);
  if (!proxied) return ANSWER_NO;
  const n = neighEventNs(tbl, m.sha, m.sip, dev);
  if (n !== null) neighRelease(n);
  const parms = inDev.arpParms as NeighParms;
  if (
    (skb.cb1 & LOCALLY_ENQUEUED) !== 0 ||
    skb.pktType === PACKET_HOST ||
    neighVar(parms, NEIGH_VAR_PROXY_DELAY) === 0
  ) {
    reply(dev, m);
    return ANSWER_DONE;
  }
  pneighEnqueue(tbl, parms, skb);
  return ANSWER_TAKEN;
}

/** Learns from a message that was not for us to answer. */
function learn(net: Net, skb: SkBuff, inDev: InDevice, m: ArpMessage): void {
  const { dev } = inDev;
  const tbl = net.machine.netGlobals.arpTbl as NeighTable;
  const accept = arpAccept(inDev, m.sip);
  let n: Neighbour | null = __neighLookup(tbl, m.sip, dev, false);
  const garp = (n !== null || accept) && arpIsGarp(net, dev, m);
  if (n === null && accept) {
    const unicast = m.op === ARPOP_REPLY && inetAddrTypeDevTable(net, dev, m.sip) === RTN_UNICAST;
    if (garp || unicast) n = __neighLookup(tbl, m.sip, dev, true);
  }
  if (n === null) return;
  // Of several answers to one question the first counts: it is from the nearest.
  const locktime = neighVar(n.parms, NEIGH_VAR_LOCKTIME);
  const override = garp || timeAfter(net.machine.jiffies, (n.updated + locktime) | 0);
  const toUs = m.op === ARPOP_REPLY && skb.pktType === PACKET_HOST;
  const flags = override ? NEIGH_UPDATE_F_OVERRIDE : 0;
  neighUpdate(n, m.sha, toUs ? NUD_REACHABLE : NUD_STALE, flags, 0);
  neighRelease(n);
}

/** Messages that are not to be believed. */
function refuses(inDev: InDevice, m: ArpMessage): boolean {
  if (m.op !== ARPOP_REPLY && m.op !== ARPOP_REQUEST) return true;
  if (ipv4IsMulticast(m.tip)) return true;
  if (ipv4IsLoopback(m.tip) && !inDevRouteLocalnet(inDev)) return true;
  return m.sip === m.tip && inDevOrconf(inDev, IPV4_DEVCONF_DROP_GRATUITOUS_ARP);
}

/** @kernel arp_process net/ipv4/arp.c */
function arpProcess(net: Net, _sk: Sock | null, skb: SkBuff): number {
  const dev = skb.dev as NetDevice;
  const inDev = dev.ipPtr;
  const at = skb.networkHeader;
  const m = inDev !== null && headerFits(at, dev) ? readMessage(at, dev) : null;
  if (inDev === null || m === null || refuses(inDev, m)) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'arp_process');
    return NET_RX_DROP;
  }
  if (m.sip === 0) {
    // Duplicate address detection (RFC 5227): say that the address is taken, learn nothing.
    const ours =
      m.op === ARPOP_REQUEST &&
      inetAddrTypeDevTable(net, dev, m.tip) === RTN_LOCAL &&
      !arpIgnore(inDev, m.sip, m.tip);
    if (ours) reply(dev, m);
    consumeSkb(skb, 'arp_process');
    return NET_RX_SUCCESS;
  }
  const answer = m.op === ARPOP_REQUEST ? answerRequest(net, skb, inDev, m) : ANSWER_NO;
  if (answer === ANSWER_TAKEN) return NET_RX_SUCCESS;
  if (answer === ANSWER_NO) learn(net, skb, inDev, m);
  consumeSkb(skb, 'arp_process');
  return NET_RX_SUCCESS;
}

/** A proxied request has waited long enough. @kernel parp_redo net/ipv4/arp.c */
function parpRedo(skb: SkBuff): void {
  arpProcess((skb.dev as NetDevice).net, null, skb);
}

/** @kernel arp_rcv net/ipv4/arp.c */
function arpRcv(shared: SkBuff, dev: NetDevice): number {
  if (
    (dev.flags & IFF_NOARP) !== 0 ||
    shared.pktType === PACKET_OTHERHOST ||
    shared.pktType === PACKET_LOOPBACK
  ) {
    consumeSkb(shared, 'arp_rcv');
    return NET_RX_SUCCESS;
  }
  const skb = skbShareCheck(shared);
  const reason = pskbMayPullReason(skb, arpHdrLen(dev));
  if (reason !== SKB_NOT_DROPPED_YET) {
    kfreeSkb(skb, reason, 'arp_rcv');
    return NET_RX_DROP;
  }
  const at = skb.networkHeader;
  if (arphdr.hln(view, at) !== dev.addrLen || arphdr.pln(view, at) !== 4) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'arp_rcv');
    return NET_RX_DROP;
  }
  skb.cb0 = 0;
  skb.cb1 = 0;
  return NF_HOOK(NFPROTO_ARP, NF_ARP_IN, dev.net, null, skb, dev, null, arpProcess);
}

/** @kernel arp_netdev_event net/ipv4/arp.c */
function arpNetdevEvent(tbl: NeighTable, event: number, dev: NetDevice): number {
  if (event === NETDEV_CHANGEADDR) {
    neighChangeaddr(tbl, dev);
    rtCacheFlush(dev.net);
  } else if (event === NETDEV_CHANGE) {
    const noarp = (dev.flags & IFF_NOARP) !== 0;
    if (dev.ipPtr !== null && dev.ipPtr.noarp !== noarp) {
      dev.ipPtr.noarp = noarp;
      neighChangeaddr(tbl, dev);
    }
    const evict = dev.ipPtr === null || inDevArpEvictNocarrier(dev.ipPtr);
    if (evict && !netifCarrierOk(dev)) neighCarrierDown(tbl, dev);
  }
  return NOTIFY_DONE;
}

/** The table and the receiver, once per machine. @kernel arp_init net/ipv4/arp.c */
export function arpInit(machine: Machine): number {
  const tbl = neighTableInit(machine, arpTableOps(parpRedo), ARP_DEFAULTS);
  machine.netGlobals.arpTbl = tbl;
  devAddPack(machine, new PacketType(ETH_P_ARP, arpRcv));
  registerNetdeviceNotifier(machine, {
    call: (event, dev) => arpNetdevEvent(tbl, event, dev),
    priority: 0,
  });
  return 0;
}
