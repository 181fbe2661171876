/**
 * IPv4 state of a device: addresses, settings, groups. Counterpart of include/linux/inetdevice.h.
 *
 * Settings (net.ipv4.conf.*) are Int32Arrays indexed by the IPV4_DEVCONF_* numbers of uapi/ip.ts,
 * which count from 1; index 0 is not used.
 */
import type { IpMcList } from '#include/linux/igmp.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { NeighParms } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { TimerList } from '#kernel/time/timer.ts';
import {
  IPV4_DEVCONF_ACCEPT_LOCAL,
  IPV4_DEVCONF_ACCEPT_REDIRECTS,
  IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE,
  IPV4_DEVCONF_ARP_ACCEPT,
  IPV4_DEVCONF_ARP_ANNOUNCE,
  IPV4_DEVCONF_ARP_EVICT_NOCARRIER,
  IPV4_DEVCONF_ARP_IGNORE,
  IPV4_DEVCONF_ARP_NOTIFY,
  IPV4_DEVCONF_ARPFILTER,
  IPV4_DEVCONF_BC_FORWARDING,
  IPV4_DEVCONF_FORWARDING,
  IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN,
  IPV4_DEVCONF_LOG_MARTIANS,
  IPV4_DEVCONF_MAX,
  IPV4_DEVCONF_MC_FORWARDING,
  IPV4_DEVCONF_MEDIUM_ID,
  IPV4_DEVCONF_NOPOLICY,
  IPV4_DEVCONF_NOXFRM,
  IPV4_DEVCONF_PROMOTE_SECONDARIES,
  IPV4_DEVCONF_PROXY_ARP,
  IPV4_DEVCONF_PROXY_ARP_PVLAN,
  IPV4_DEVCONF_ROUTE_LOCALNET,
  IPV4_DEVCONF_RP_FILTER,
  IPV4_DEVCONF_SECURE_REDIRECTS,
  IPV4_DEVCONF_SEND_REDIRECTS,
  IPV4_DEVCONF_SHARED_MEDIA,
  IPV4_DEVCONF_SRC_VMARK,
} from '#uapi/ip.ts';

/** Elements of a settings array. */
export const IPV4_DEVCONF_SIZE: number = IPV4_DEVCONF_MAX + 1;

/** @kernel in_ifaddr include/linux/inetdevice.h */
export class InIfaddr {
  ifaLocal: number;
  /** The peer on a point-to-point link, else the same as `ifaLocal`. */
  ifaAddress: number;
  ifaMask: number;
  ifaBroadcast: number;
  ifaPrefixlen: number;
  ifaScope: number;
  ifaFlags: number;
  ifaRtPriority: number;
  ifaProto: number;
  ifaLabel: string;
  ifaDev: InDevice | null;
  /** Seconds; 0xffffffff: forever. */
  ifaValidLft: number;
  ifaPreferredLft: number;
  /** Jiffies. */
  ifaCstamp: number;
  ifaTstamp: number;

  constructor() {
    this.ifaLocal = 0;
    this.ifaAddress = 0;
    this.ifaMask = 0;
    this.ifaBroadcast = 0;
    this.ifaPrefixlen = 0;
    this.ifaScope = 0;
    this.ifaFlags = 0;
    this.ifaRtPriority = 0;
    this.ifaProto = 0;
    this.ifaLabel = '';
    this.ifaDev = null;
    this.ifaValidLft = 0xffffffff;
    this.ifaPreferredLft = 0xffffffff;
    this.ifaCstamp = 0;
    this.ifaTstamp = 0;
  }
}

/** What a notifier of inetaddr_validator_chain sees. @kernel in_validator_info include/linux/inetdevice.h */
export interface InValidatorInfo {
  readonly ivAddr: number;
  readonly ivDev: InDevice;
}

/** @kernel in_device include/linux/inetdevice.h */
export class InDevice {
  readonly dev: NetDevice;
  dead: boolean;
  /** Addresses in Linux's order: primaries by scope, then secondaries. */
  ifaList: InIfaddr[];
  /** Groups, the newest first. */
  mcList: IpMcList[];
  /** Groups left, whose last reports are still to be sent. */
  mcTomb: IpMcList[];
  arpParms: NeighParms | null;
  /** net.ipv4.conf.DEV values. */
  readonly cnf: Int32Array;
  /** Bit n set: value n was set here and does not follow `default` any more. */
  readonly cnfState: Uint8Array;
  refcnt: number;
  /** Jiffies until which routers of IGMP version 1, 2 are taken to be present; 0: none. */
  mrV1Seen: number;
  mrV2Seen: number;
  /** Query interval, response interval (jiffies) and robustness that a querier told. */
  mrQi: number;
  mrQri: number;
  mrQrv: number;
  mrGqTimer: TimerList<InDevice> | null;
  mrIfcTimer: TimerList<InDevice> | null;
  mrGqRunning: boolean;
  mrIfcCount: number;
  /** The device's MTU before its last change, for path MTUs that were learned from it. */
  oldMtu: number;
  /** IFF_NOARP as ARP last saw it. */
  noarp: boolean;
  /** Takes the sysctls of this device away; null: there are none. */
  sysctlUnregister: (() => void) | null;

  constructor(dev: NetDevice) {
    this.dev = dev;
    this.dead = false;
    this.ifaList = [];
    this.mcList = [];
    this.mcTomb = [];
    this.arpParms = null;
    this.cnf = new Int32Array(IPV4_DEVCONF_SIZE);
    this.cnfState = new Uint8Array(IPV4_DEVCONF_SIZE);
    this.refcnt = 1;
    this.mrV1Seen = 0;
    this.mrV2Seen = 0;
    this.mrQi = 0;
    this.mrQri = 0;
    this.mrQrv = 0;
    this.mrGqTimer = null;
    this.mrIfcTimer = null;
    this.mrGqRunning = false;
    this.mrIfcCount = 0;
    this.oldMtu = 0;
    this.noarp = false;
    this.sysctlUnregister = null;
  }
}

/** @kernel __in_dev_get_rcu include/linux/inetdevice.h */
export function inDevGet(dev: NetDevice): InDevice | null {
  return dev.ipPtr;
}

/** @kernel IN_DEV_CONF_GET include/linux/inetdevice.h */
export function inDevConfGet(inDev: InDevice, attr: number): number {
  return inDev.cnf[attr] as number;
}

/** @kernel IN_DEV_CONF_SET include/linux/inetdevice.h */
export function inDevConfSet(inDev: InDevice, attr: number, value: number): void {
  inDev.cnfState[attr] = 1;
  inDev.cnf[attr] = value;
}

/** @kernel IPV4_DEVCONF_ALL include/linux/inetdevice.h */
export function ipv4DevconfAll(net: Net, attr: number): number {
  return net.ipv4.devconfAll[attr] as number;
}

/** Set for `all` and for the device. @kernel IN_DEV_ANDCONF include/linux/inetdevice.h */
export function inDevAndconf(inDev: InDevice, attr: number): boolean {
  return ipv4DevconfAll(inDev.dev.net, attr) !== 0 && inDev.cnf[attr] !== 0;
}

/** Set for `all` or for the device. @kernel IN_DEV_ORCONF include/linux/inetdevice.h */
export function inDevOrconf(inDev: InDevice, attr: number): boolean {
  return ipv4DevconfAll(inDev.dev.net, attr) !== 0 || inDev.cnf[attr] !== 0;
}

/** The larger of both. @kernel IN_DEV_MAXCONF include/linux/inetdevice.h */
export function inDevMaxconf(inDev: InDevice, attr: number): number {
  return Math.max(ipv4DevconfAll(inDev.dev.net, attr), inDev.cnf[attr] as number);
}

/** @kernel IN_DEV_FORWARD include/linux/inetdevice.h */
export function inDevForward(inDev: InDevice): boolean {
  return inDev.cnf[IPV4_DEVCONF_FORWARDING] !== 0;
}

/** @kernel IN_DEV_MFORWARD include/linux/inetdevice.h */
export function inDevMforward(inDev: InDevice): boolean {
  return inDevAndconf(inDev, IPV4_DEVCONF_MC_FORWARDING);
}

/** @kernel IN_DEV_BFORWARD include/linux/inetdevice.h */
export function inDevBforward(inDev: InDevice): boolean {
  return inDevAndconf(inDev, IPV4_DEVCONF_BC_FORWARDING);
}

/** 0 off, 1 strict, 2 loose. @kernel IN_DEV_RPFILTER include/linux/inetdevice.h */
export function inDevRpfilter(inDev: InDevice): number {
  return inDevMaxconf(inDev, IPV4_DEVCONF_RP_FILTER);
}

/** @kernel IN_DEV_SRC_VMARK include/linux/inetdevice.h */
export function inDevSrcVmark(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_SRC_VMARK);
}

/** @kernel IN_DEV_SOURCE_ROUTE include/linux/inetdevice.h */
export function inDevSourceRoute(inDev: InDevice): boolean {
  return inDevAndconf(inDev, IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE);
}

/** @kernel IN_DEV_ACCEPT_LOCAL include/linux/inetdevice.h */
export function inDevAcceptLocal(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_ACCEPT_LOCAL);
}

/** @kernel IN_DEV_LOG_MARTIANS include/linux/inetdevice.h */
export function inDevLogMartians(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_LOG_MARTIANS);
}

/** @kernel IN_DEV_PROXY_ARP include/linux/inetdevice.h */
export function inDevProxyArp(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_PROXY_ARP);
}

/** @kernel IN_DEV_PROXY_ARP_PVLAN include/linux/inetdevice.h */
export function inDevProxyArpPvlan(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_PROXY_ARP_PVLAN);
}

/** @kernel IN_DEV_SHARED_MEDIA include/linux/inetdevice.h */
export function inDevSharedMedia(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_SHARED_MEDIA);
}

/** @kernel IN_DEV_TX_REDIRECTS include/linux/inetdevice.h */
export function inDevTxRedirects(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_SEND_REDIRECTS);
}

/** @kernel IN_DEV_SEC_REDIRECTS include/linux/inetdevice.h */
export function inDevSecRedirects(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_SECURE_REDIRECTS);
}

/** Routers need both settings, hosts one. @kernel IN_DEV_RX_REDIRECTS include/linux/inetdevice.h */
export function inDevRxRedirects(inDev: InDevice): boolean {
  return inDevForward(inDev)
    ? inDevAndconf(inDev, IPV4_DEVCONF_ACCEPT_REDIRECTS)
    : inDevOrconf(inDev, IPV4_DEVCONF_ACCEPT_REDIRECTS);
}

/** @kernel IN_DEV_MEDIUM_ID include/linux/inetdevice.h */
export function inDevMediumId(inDev: InDevice): number {
  return inDev.cnf[IPV4_DEVCONF_MEDIUM_ID] as number;
}

/** @kernel IN_DEV_PROMOTE_SECONDARIES include/linux/inetdevice.h */
export function inDevPromoteSecondaries(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_PROMOTE_SECONDARIES);
}

/** @kernel IN_DEV_ROUTE_LOCALNET include/linux/inetdevice.h */
export function inDevRouteLocalnet(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_ROUTE_LOCALNET);
}

/** @kernel IN_DEV_NET_ROUTE_LOCALNET include/linux/inetdevice.h */
export function inDevNetRouteLocalnet(inDev: InDevice, net: Net): boolean {
  return (
    inDev.cnf[IPV4_DEVCONF_ROUTE_LOCALNET] !== 0 ||
    ipv4DevconfAll(net, IPV4_DEVCONF_ROUTE_LOCALNET) !== 0
  );
}

/** @kernel IN_DEV_IGNORE_ROUTES_WITH_LINKDOWN include/linux/inetdevice.h */
export function inDevIgnoreRoutesWithLinkdown(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN);
}

/** @kernel IN_DEV_ARPFILTER include/linux/inetdevice.h */
export function inDevArpfilter(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_ARPFILTER);
}

/** @kernel IN_DEV_ARP_ACCEPT include/linux/inetdevice.h */
export function inDevArpAccept(inDev: InDevice): number {
  return inDevMaxconf(inDev, IPV4_DEVCONF_ARP_ACCEPT);
}

/** @kernel IN_DEV_ARP_ANNOUNCE include/linux/inetdevice.h */
export function inDevArpAnnounce(inDev: InDevice): number {
  return inDevMaxconf(inDev, IPV4_DEVCONF_ARP_ANNOUNCE);
}

/** @kernel IN_DEV_ARP_IGNORE include/linux/inetdevice.h */
export function inDevArpIgnore(inDev: InDevice): number {
  return inDevMaxconf(inDev, IPV4_DEVCONF_ARP_IGNORE);
}

/** @kernel IN_DEV_ARP_NOTIFY include/linux/inetdevice.h */
export function inDevArpNotify(inDev: InDevice): number {
  return inDevMaxconf(inDev, IPV4_DEVCONF_ARP_NOTIFY);
}

/** @kernel IN_DEV_ARP_EVICT_NOCARRIER include/linux/inetdevice.h */
export function inDevArpEvictNocarrier(inDev: InDevice): boolean {
  return inDevAndconf(inDev, IPV4_DEVCONF_ARP_EVICT_NOCARRIER);
}

/** No IPsec policy applies: the seat of XFRM. */
export function inDevNopolicy(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_NOPOLICY);
}

/** No IPsec transformation applies: the seat of XFRM. */
export function inDevNoxfrm(inDev: InDevice): boolean {
  return inDevOrconf(inDev, IPV4_DEVCONF_NOXFRM);
}

/** Mask of a prefix length. @kernel inet_make_mask include/linux/inetdevice.h */
export function inetMakeMask(prefixlen: number): number {
  return prefixlen === 0 ? 0 : (0xffffffff << (32 - prefixlen)) >>> 0;
}

/** Prefix length of a contiguous mask. @kernel inet_mask_len include/linux/inetdevice.h */
export function inetMaskLen(mask: number): number {
  const hostBits = ~mask >>> 0;
  return hostBits === 0 ? 32 : Math.clz32(hostBits);
}

/** True when the set bits of `mask` are not contiguous from the top, or `addr` has bits outside it. @kernel bad_mask include/linux/inetdevice.h */
export function badMask(mask: number, addr: number): boolean {
  const hostBits = ~mask >>> 0;
  if ((addr & hostBits) !== 0) return true;
  return (hostBits & (hostBits + 1)) !== 0;
}

/** Does `addr` lie in the subnet of this address? @kernel inet_ifa_match include/linux/inetdevice.h */
export function inetIfaMatch(addr: number, ifa: InIfaddr): boolean {
  return ((addr ^ ifa.ifaAddress) & ifa.ifaMask) === 0;
}
