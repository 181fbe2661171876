/** Multicast membership of devices and sockets. Counterpart of include/linux/igmp.h. RFC 2236, 3376. */
import type { InDevice } from '#include/linux/inetdevice.ts';
import type { TimerList } from '#kernel/time/timer.ts';

/** A source filter of a group on a device. @kernel ip_sf_list include/linux/igmp.h */
export class IpSfList {
  readonly sfInaddr: number;
  /** Sockets that include, and that exclude, this source; index MCAST_EXCLUDE or MCAST_INCLUDE. */
  readonly sfCount: [number, number];
  /** Retransmissions left of a state change about this source. */
  sfCrcount: number;
  /** The source was in the last report's filter. */
  sfOldin: boolean;
  sfGsresp: boolean;

  constructor(inaddr: number) {
    this.sfInaddr = inaddr;
    this.sfCount = [0, 0];
    this.sfCrcount = 0;
    this.sfOldin = false;
    this.sfGsresp = false;
  }
}

/** A group that the device has joined. @kernel ip_mc_list include/linux/igmp.h */
export class IpMcList {
  readonly interface: InDevice;
  readonly multiaddr: number;
  /** How many sockets and kernel users joined. */
  users: number;
  /** MCAST_INCLUDE or MCAST_EXCLUDE: the filter all users together amount to. */
  sfmode: number;
  /** Sockets in each mode. */
  readonly sfcount: [number, number];
  sources: IpSfList[];
  /** Sources whose removal has still to be reported. */
  tomb: IpSfList[];
  timer: TimerList<IpMcList> | null;
  /** A report is due when the timer fires. */
  tmRunning: boolean;
  /** We were the last to report this group (version 2 leave). */
  reporter: boolean;
  unsolicitCount: number;
  /** The hardware filter holds the group's link-layer address. */
  loaded: boolean;
  gsquery: boolean;
  crcount: number;

  constructor(inDev: InDevice, multiaddr: number, sfmode: number) {
    this.interface = inDev;
    this.multiaddr = multiaddr;
    this.users = 1;
    this.sfmode = sfmode;
    this.sfcount = [0, 0];
    this.sources = [];
    this.tomb = [];
    this.timer = null;
    this.tmRunning = false;
    this.reporter = false;
    this.unsolicitCount = 0;
    this.loaded = false;
    this.gsquery = false;
    this.crcount = 0;
  }
}

/** One membership of a socket. @kernel ip_mc_socklist include/linux/igmp.h */
export class IpMcSocklist {
  next: IpMcSocklist | null;
  readonly multiaddr: number;
  /** Device through which the group was joined. */
  readonly ifindex: number;
  /** Local address the user named, for leaving by the same name. */
  readonly address: number;
  sfmode: number;
  /** Sources, as the user gave them. */
  sflist: number[];

  constructor(multiaddr: number, ifindex: number, address: number, sfmode: number) {
    this.next = null;
    this.multiaddr = multiaddr;
    this.ifindex = ifindex;
    this.address = address;
    this.sfmode = sfmode;
    this.sflist = [];
  }
}
