/** IPv4 state of a device. Counterpart of include/linux/inetdevice.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { NeighParms } from '#include/net/neighbour.ts';

// Indices of net.ipv4.conf.*; the order is ours, the names Linux's.
export const IPV4_DEVCONF_FORWARDING = 0;
export const IPV4_DEVCONF_MC_FORWARDING = 1;
export const IPV4_DEVCONF_PROXY_ARP = 2;
export const IPV4_DEVCONF_ACCEPT_REDIRECTS = 3;
export const IPV4_DEVCONF_SECURE_REDIRECTS = 4;
export const IPV4_DEVCONF_SEND_REDIRECTS = 5;
export const IPV4_DEVCONF_SHARED_MEDIA = 6;
export const IPV4_DEVCONF_RP_FILTER = 7;
export const IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE = 8;
export const IPV4_DEVCONF_BOOTP_RELAY = 9;
export const IPV4_DEVCONF_LOG_MARTIANS = 10;
export const IPV4_DEVCONF_TAG = 11;
export const IPV4_DEVCONF_ARPFILTER = 12;
export const IPV4_DEVCONF_MEDIUM_ID = 13;
export const IPV4_DEVCONF_NOXFRM = 14;
export const IPV4_DEVCONF_NOPOLICY = 15;
export const IPV4_DEVCONF_FORCE_IGMP_VERSION = 16;
export const IPV4_DEVCONF_ARP_ANNOUNCE = 17;
export const IPV4_DEVCONF_ARP_IGNORE = 18;
export const IPV4_DEVCONF_PROMOTE_SECONDARIES = 19;
export const IPV4_DEVCONF_ARP_ACCEPT = 20;
export const IPV4_DEVCONF_ARP_NOTIFY = 21;
export const IPV4_DEVCONF_ACCEPT_LOCAL = 22;
export const IPV4_DEVCONF_SRC_VMARK = 23;
export const IPV4_DEVCONF_PROXY_ARP_PVLAN = 24;
export const IPV4_DEVCONF_ROUTE_LOCALNET = 25;
export const IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN = 26;
export const IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST = 27;
export const IPV4_DEVCONF_DROP_GRATUITOUS_ARP = 28;
export const IPV4_DEVCONF_BC_FORWARDING = 29;
export const IPV4_DEVCONF_ARP_EVICT_NOCARRIER = 30;
export const IPV4_DEVCONF_MAX = 31;

/** @kernel in_ifaddr include/linux/inetdevice.h */
export class InIfaddr {
  ifaLocal: number;
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

/** A group that the device has joined. @kernel ip_mc_list include/linux/igmp.h */
export interface IpMcList {
  readonly multiaddr: number;
  users: number;
}

/** @kernel in_device include/linux/inetdevice.h */
export class InDevice {
  readonly dev: NetDevice;
  dead: boolean;
  /** Addresses, primaries first within their subnet, in Linux's order. */
  ifaList: InIfaddr[];
  mcList: IpMcList[];
  arpParms: NeighParms | null;
  /** net.ipv4.conf.DEV values. */
  readonly cnf: Int32Array;
  refcnt: number;

  constructor(dev: NetDevice) {
    this.dev = dev;
    this.dead = false;
    this.ifaList = [];
    this.mcList = [];
    this.arpParms = null;
    this.cnf = new Int32Array(IPV4_DEVCONF_MAX);
    this.refcnt = 1;
  }
}
