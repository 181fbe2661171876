/** Neighbours (ARP, later NDP). Counterpart of include/net/neighbour.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { MAX_ADDR_LEN } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SkBuffHead } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { TimerList } from '#kernel/time/timer.ts';

// Indices into NeighParms.data. @kernel NEIGH_VAR_MCAST_PROBES include/net/neighbour.h
export const NEIGH_VAR_MCAST_PROBES = 0;
export const NEIGH_VAR_UCAST_PROBES = 1;
export const NEIGH_VAR_APP_PROBES = 2;
export const NEIGH_VAR_MCAST_REPROBES = 3;
export const NEIGH_VAR_RETRANS_TIME = 4;
export const NEIGH_VAR_BASE_REACHABLE_TIME = 5;
export const NEIGH_VAR_DELAY_PROBE_TIME = 6;
export const NEIGH_VAR_INTERVAL_PROBE_TIME_MS = 7;
export const NEIGH_VAR_GC_STALETIME = 8;
export const NEIGH_VAR_QUEUE_LEN_BYTES = 9;
export const NEIGH_VAR_PROXY_QLEN = 10;
export const NEIGH_VAR_ANYCAST_DELAY = 11;
export const NEIGH_VAR_PROXY_DELAY = 12;
export const NEIGH_VAR_LOCKTIME = 13;
export const NEIGH_VAR_MAX = 14;

/** Per-device parameters of a table; times in jiffies. @kernel neigh_parms include/net/neighbour.h */
export class NeighParms {
  readonly net: Net;
  readonly dev: NetDevice | null;
  readonly tbl: NeighTable;
  readonly data: Int32Array;
  reachableTime: number;
  dead: boolean;
  qlen: number;

  constructor(net: Net, dev: NetDevice | null, tbl: NeighTable) {
    this.net = net;
    this.dev = dev;
    this.tbl = tbl;
    this.data = new Int32Array(NEIGH_VAR_MAX);
    this.reachableTime = 0;
    this.dead = false;
    this.qlen = 0;
  }
}

/** @kernel neigh_ops include/net/neighbour.h */
export interface NeighOps {
  readonly family: number;
  solicit: ((neigh: Neighbour, skb: SkBuff | null) => void) | null;
  errorReport: ((neigh: Neighbour, skb: SkBuff) => void) | null;
  output: (neigh: Neighbour, skb: SkBuff) => number;
  connectedOutput: (neigh: Neighbour, skb: SkBuff) => number;
}

/** One neighbour. @kernel neighbour include/net/neighbour.h */
export class Neighbour {
  readonly tbl: NeighTable;
  readonly dev: NetDevice;
  parms: NeighParms;
  ops: NeighOps;
  output: (neigh: Neighbour, skb: SkBuff) => number;
  /** IPv4 address (u32), or a number that indexes nothing for IPv6, whose key is `primaryKey`. */
  readonly key: number;
  /** Key bytes in network order. */
  readonly primaryKey: Uint8Array;
  /** NUD_* */
  nudState: number;
  /** RTN_* of the address. */
  type: number;
  flags: number;
  dead: boolean;
  protocol: number;
  readonly ha: Uint8Array;
  /** Cached link header, right-aligned as it goes before the packet; hhLen 0: not cached. */
  readonly hhData: Uint8Array;
  hhLen: number;
  refcnt: number;
  /** Packets that wait for the address. */
  readonly arpQueue: SkBuffHead;
  arpQueueLenBytes: number;
  /** Jiffies. */
  confirmed: number;
  updated: number;
  used: number;
  probes: number;
  timer: TimerList<Neighbour> | null;
  /** Chain of the hash bucket. */
  next: Neighbour | null;
  onGcList: boolean;

  constructor(
    tbl: NeighTable,
    dev: NetDevice,
    parms: NeighParms,
    ops: NeighOps,
    output: (neigh: Neighbour, skb: SkBuff) => number,
    key: number,
    primaryKey: Uint8Array,
  ) {
    this.tbl = tbl;
    this.dev = dev;
    this.parms = parms;
    this.ops = ops;
    this.output = output;
    this.key = key;
    this.primaryKey = primaryKey;
    this.nudState = 0;
    this.type = 0;
    this.flags = 0;
    this.dead = false;
    this.protocol = 0;
    this.ha = new Uint8Array(MAX_ADDR_LEN);
    this.hhData = new Uint8Array(MAX_ADDR_LEN);
    this.hhLen = 0;
    this.refcnt = 1;
    this.arpQueue = new SkBuffHead();
    this.arpQueueLenBytes = 0;
    this.confirmed = 0;
    this.updated = 0;
    this.used = 0;
    this.probes = 0;
    this.timer = null;
    this.next = null;
    this.onGcList = false;
  }
}

/** A proxy entry: answer for this address on that device. @kernel pneigh_entry include/net/neighbour.h */
export interface PneighEntry {
  readonly net: Net;
  readonly dev: NetDevice | null;
  readonly key: number;
  flags: number;
  protocol: number;
}

/** The neighbours of one family in one machine. @kernel neigh_table include/net/neighbour.h */
export interface NeighTable {
  readonly family: number;
  readonly entrySize: number;
  readonly keyLen: number;
  /** ETH_P_* */
  readonly protocol: number;
  readonly id: string;
  hash(key: number, dev: NetDevice): number;
  /** Fills ops, type and state of a new entry; negative errno refuses it. */
  constructor_(neigh: Neighbour): number;
  pconstructor: ((entry: PneighEntry) => number) | null;
  pdestructor: ((entry: PneighEntry) => void) | null;
  proxyRedo: ((skb: SkBuff) => void) | null;
  isMulticast(key: number): boolean;
  readonly parms: NeighParms[];
  gcInterval: number;
  gcThresh1: number;
  gcThresh2: number;
  gcThresh3: number;
  buckets: (Neighbour | null)[];
  entries: number;
  gcEntries: number;
  lastFlush: number;
  lastRand: number;
  readonly proxyQueue: SkBuffHead;
  readonly phash: PneighEntry[];
  /** Counters of /proc/net/stat/arp_cache. */
  readonly stats: NeighStatistics;
  gcTimer: TimerList<NeighTable> | null;
  proxyTimer: TimerList<NeighTable> | null;
}

/** @kernel neigh_statistics include/net/neighbour.h */
export class NeighStatistics {
  allocs = 0;
  destroys = 0;
  hashGrows = 0;
  resFailed = 0;
  lookups = 0;
  hits = 0;
  rcvProbesMcast = 0;
  rcvProbesUcast = 0;
  periodicGcRuns = 0;
  forcedGcRuns = 0;
  unresDiscards = 0;
  tableFulls = 0;
}
