/**
 * IPv4's part of the neighbour table: what an entry is on each kind of device, and how to ask.
 *
 * Counterpart of arp_constructor and arp_solicit of net/ipv4/arp.c.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import { inDevArpAnnounce } from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { dstLinkFailure } from '#include/net/dst.ts';
import {
  NEIGH_VAR_APP_PROBES,
  NEIGH_VAR_UCAST_PROBES,
  type Neighbour,
  type NeighOps,
  type NeighTableOps,
  neighVar,
} from '#include/net/neighbour.ts';
import type { NetlinkExtAck } from '#include/net/rtnetlink.ts';
import { view } from '#mm/memory.ts';
import { neighAppNs } from '#net/core/neighbour_nud.ts';
import {
  neighConnectedOutput,
  neighDirectOutput,
  neighResolveOutput,
} from '#net/core/neighbour_output.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { arpSend } from '#net/ipv4/arp_xmit.ts';
import { inetAddrOnlink, inetSelectAddr } from '#net/ipv4/devinet.ts';
import { inetAddrTypeDevTable } from '#net/ipv4/fib_frontend.ts';
import { EINVAL } from '#uapi/errno.ts';
import { IFF_LOOPBACK, IFF_NOARP, IFF_POINTOPOINT } from '#uapi/if.ts';
import { ARPHRD_ETHER, ARPHRD_FDDI, ARPHRD_IEEE802, ARPOP_REQUEST } from '#uapi/if_arp.ts';
import { ETH_P_ARP, ETH_P_IP } from '#uapi/if_ether.ts';
import { INADDR_ANY, ipv4IsMulticast } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { NUD_NOARP, NUD_VALID } from '#uapi/neighbour.ts';
import { SKB_DROP_REASON_NEIGH_FAILED } from '#uapi/net_dropreason.ts';
import { RT_SCOPE_LINK, RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

/** Values that new devices start with, by NEIGH_VAR_*; times in jiffies. @kernel arp_tbl net/ipv4/arp.c */
export const ARP_DEFAULTS: readonly number[] = [
  3, // mcast_solicit
  3, // ucast_solicit
  0, // app_solicit
  0, // mcast_resolicit
  1000, // retrans_time
  30000, // base_reachable_time
  5000, // delay_first_probe_time
  5000, // interval_probe_time
  60000, // gc_stale_time
  212992, // unres_qlen_bytes
  64, // proxy_qlen
  1000, // anycast_delay
  800, // proxy_delay
  1000, // locktime
];

/** Source address of a question, as arp_announce has it. */
function announcedSource(
  inDev: InDevice,
  dev: NetDevice,
  target: number,
  skb: SkBuff | null,
): number {
  const mode = inDevArpAnnounce(inDev);
  let saddr = 0;
  if (skb !== null && mode !== 2) {
    const own = iphdr.saddr(view, skb.networkHeader);
    const local = inetAddrTypeDevTable(dev.net, dev, own) === RTN_LOCAL;
    if (local && (mode !== 1 || inetAddrOnlink(inDev, target, own))) saddr = own;
  }
  return saddr !== 0 ? saddr : inetSelectAddr(dev, target, RT_SCOPE_LINK);
}

/** Asks: first the known address, then a program, then everybody. @kernel arp_solicit net/ipv4/arp.c */
function arpSolicit(neigh: Neighbour, skb: SkBuff | null): void {
  const { dev, parms } = neigh;
  const inDev = dev.ipPtr;
  if (inDev === null) return;
  const target = neigh.key;
  const saddr = announcedSource(inDev, dev, target, skb);
  let probes = neigh.probes - neighVar(parms, NEIGH_VAR_UCAST_PROBES);
  let destHw: Uint8Array | null = null;
  if (probes < 0) {
    destHw = neigh.ha;
  } else {
    probes -= neighVar(parms, NEIGH_VAR_APP_PROBES);
    if (probes < 0) {
      neighAppNs(neigh);
      return;
    }
  }
  arpSend(ARPOP_REQUEST, ETH_P_ARP, target, dev, saddr, destHw, dev.devAddr, null);
}

/** @kernel arp_error_report net/ipv4/arp.c */
function arpErrorReport(_neigh: Neighbour, skb: SkBuff): void {
  dstLinkFailure(skb);
  kfreeSkb(skb, SKB_DROP_REASON_NEIGH_FAILED, 'arp_error_report');
}

/** @kernel arp_generic_ops net/ipv4/arp.c */
const arpGenericOps: NeighOps = {
  family: AF_INET,
  solicit: arpSolicit,
  errorReport: arpErrorReport,
  output: neighResolveOutput,
  connectedOutput: neighConnectedOutput,
};

/** Devices that can prepare their header. @kernel arp_hh_ops net/ipv4/arp.c */
const arpHhOps: NeighOps = {
  family: AF_INET,
  solicit: arpSolicit,
  errorReport: arpErrorReport,
  output: neighResolveOutput,
  connectedOutput: neighResolveOutput,
};

/** Devices without a link header. @kernel arp_direct_ops net/ipv4/arp.c */
const arpDirectOps: NeighOps = {
  family: AF_INET,
  solicit: null,
  errorReport: null,
  output: neighDirectOutput,
  connectedOutput: neighDirectOutput,
};

/** Link address of a group (RFC 1112#6.4), or the broadcast address. @kernel arp_mc_map net/ipv4/arp.c */
export function arpMcMap(addr: number, haddr: Uint8Array, dev: NetDevice): void {
  if (dev.type === ARPHRD_ETHER || dev.type === ARPHRD_FDDI || dev.type === ARPHRD_IEEE802) {
    haddr[0] = 0x01;
    haddr[1] = 0x00;
    haddr[2] = 0x5e;
    haddr[3] = (addr >>> 16) & 0x7f;
    haddr[4] = (addr >>> 8) & 0xff;
    haddr[5] = addr & 0xff;
    return;
  }
  haddr.set(dev.broadcast.subarray(0, dev.addrLen));
}

/** Entries that need no question: groups, broadcasts, the other end of a wire. */
function presetAddress(neigh: Neighbour): void {
  const { dev, type, ha } = neigh;
  if (type === RTN_MULTICAST) {
    arpMcMap(neigh.key, ha, dev);
  } else if ((dev.flags & (IFF_NOARP | IFF_LOOPBACK)) !== 0) {
    ha.set(dev.devAddr.subarray(0, dev.addrLen));
  } else if (type === RTN_BROADCAST || (dev.flags & IFF_POINTOPOINT) !== 0) {
    ha.set(dev.broadcast.subarray(0, dev.addrLen));
  } else {
    return;
  }
  neigh.nudState = NUD_NOARP;
}

/** @kernel arp_constructor net/ipv4/arp.c */
function arpConstructor(neigh: Neighbour): number {
  const { dev } = neigh;
  const inDev = dev.ipPtr;
  if (inDev === null || inDev.arpParms === null) return -EINVAL;
  neigh.type = inetAddrTypeDevTable(dev.net, dev, neigh.key);
  neigh.parms.refcnt--;
  neigh.parms = inDev.arpParms;
  neigh.parms.refcnt++;
  if (dev.headerOps === null) {
    neigh.nudState = NUD_NOARP;
    neigh.ops = arpDirectOps;
    neigh.output = neighDirectOutput;
    return 0;
  }
  presetAddress(neigh);
  neigh.ops = dev.headerOps.cache === null ? arpGenericOps : arpHhOps;
  const valid = (neigh.nudState & NUD_VALID) !== 0;
  neigh.output = valid ? neigh.ops.connectedOutput : neigh.ops.output;
  return 0;
}

/** @kernel arp_hashfn include/net/arp.h */
function arpHash(key: number, dev: NetDevice, rnd: number): number {
  return Math.imul(key ^ Math.imul(dev.ifindex, 0x61c88647), rnd);
}

/** Where there is but one neighbour, he has one entry. @kernel __ipv4_neigh_lookup_noref include/net/arp.h */
function arpMapKey(key: number, dev: NetDevice): number {
  return (dev.flags & (IFF_LOOPBACK | IFF_POINTOPOINT)) !== 0 ? INADDR_ANY : key;
}

function arpKeyBytes(key: number): Uint8Array {
  return new Uint8Array([key >>> 24, (key >>> 16) & 0xff, (key >>> 8) & 0xff, key & 0xff]);
}

function arpKeyFromBytes(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
}

/** @kernel arp_allow_add net/ipv4/arp.c */
function arpAllowAdd(dev: NetDevice, extack: NetlinkExtAck | null): boolean {
  if (dev.ipPtr !== null) return true;
  if (extack !== null) extack.msg = 'IPv4 is disabled on this device';
  return false;
}

/** The operations of the ARP table; `proxyRedo` takes requests that have waited. */
export function arpTableOps(proxyRedo: (skb: SkBuff) => void): NeighTableOps {
  return {
    family: AF_INET,
    entrySize: 328,
    keyLen: 4,
    protocol: ETH_P_IP,
    id: 'arp_cache',
    hash: arpHash,
    mapKey: arpMapKey,
    keyBytes: arpKeyBytes,
    keyFromBytes: arpKeyFromBytes,
    constructor_: arpConstructor,
    pconstructor: null,
    pdestructor: null,
    proxyRedo,
    isMulticast: ipv4IsMulticast,
    allowAdd: arpAllowAdd,
  };
}
