/**
 * Neighbours (ARP, later NDP). Counterpart of include/net/neighbour.h and include/net/arp.h.
 *
 *            solicit           confirmed                 time passes
 *   NONE ------------> INCOMPLETE ----> REACHABLE <----> STALE --> DELAY --> PROBE --> FAILED
 *                           |  no answer                    used     |  still nothing  ^
 *                           +------------------------------------------- no answer ----+
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { MAX_ADDR_LEN } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SkBuffHead } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkExtAck } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
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

// Flags of neigh_update().
export const NEIGH_UPDATE_F_OVERRIDE: number = 1 << 0;
export const NEIGH_UPDATE_F_WEAK_OVERRIDE: number = 1 << 1;
export const NEIGH_UPDATE_F_OVERRIDE_ISROUTER: number = 1 << 2;
export const NEIGH_UPDATE_F_USE: number = 1 << 3;
export const NEIGH_UPDATE_F_MANAGED: number = 1 << 4;
export const NEIGH_UPDATE_F_EXT_LEARNED: number = 1 << 5;
export const NEIGH_UPDATE_F_ISROUTER: number = 1 << 6;
/** An administrator wants it, whatever state the entry is in. */
export const NEIGH_UPDATE_F_ADMIN: number = 1 << 31;

/** NTF_EXT_* of the wire stand above the eight NTF_* bits. @kernel NTF_EXT_SHIFT include/net/neighbour.h */
export const NTF_EXT_SHIFT = 8;
/** @kernel NTF_MANAGED include/net/neighbour.h */
export const NTF_MANAGED: number = 1 << NTF_EXT_SHIFT;

/** Per-device parameters of a table; times in jiffies. @kernel neigh_parms include/net/neighbour.h */
export class NeighParms {
  readonly net: Net;
  readonly dev: NetDevice | null;
  readonly tbl: NeighTable;
  readonly data: Int32Array;
  /** Element not 0: the value was set here and does not follow `default` any more. */
  readonly dataState: Uint8Array;
  /** The randomised time a confirmation is good for. */
  reachableTime: number;
  dead: boolean;
  /** Packets of this device on the proxy queue. */
  qlen: number;
  refcnt: number;
  /** Takes the sysctls of this device away; null: there are none. */
  sysctlUnregister: (() => void) | null;

  constructor(net: Net, dev: NetDevice | null, tbl: NeighTable) {
    this.net = net;
    this.dev = dev;
    this.tbl = tbl;
    this.data = new Int32Array(NEIGH_VAR_MAX);
    this.dataState = new Uint8Array(NEIGH_VAR_MAX);
    this.reachableTime = 0;
    this.dead = false;
    this.qlen = 0;
    this.refcnt = 1;
    this.sysctlUnregister = null;
  }
}

/** @kernel NEIGH_VAR include/net/neighbour.h */
export function neighVar(p: NeighParms, attr: number): number {
  return p.data[attr] as number;
}

/** @kernel NEIGH_VAR_SET include/net/neighbour.h */
export function neighVarSet(p: NeighParms, attr: number, value: number): void {
  p.dataState[attr] = 1;
  p.data[attr] = value;
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
  /** NTF_* and NTF_EXT_* << NTF_EXT_SHIFT. */
  flags: number;
  dead: boolean;
  protocol: number;
  readonly ha: Uint8Array;
  /** Cached link header in its first `hhLen` bytes; hhLen 0: not cached. */
  readonly hhData: Uint8Array;
  hhLen: number;
  refcnt: number;
  /** Packets that wait for the address. */
  readonly arpQueue: SkBuffHead;
  /** Bytes of truesize on `arpQueue`. */
  arpQueueLenBytes: number;
  /** Jiffies. */
  confirmed: number;
  updated: number;
  used: number;
  probes: number;
  readonly timer: TimerList<Neighbour> | null;
  /** Chain of the hash bucket. */
  next: Neighbour | null;
  /** List of entries that garbage collection may take, the longest unchanged first. */
  gcNext: Neighbour | null;
  gcPrev: Neighbour | null;
  onGcList: boolean;
  /** On the table's list of entries that the kernel keeps alive. */
  managed: boolean;

  constructor(
    tbl: NeighTable,
    dev: NetDevice,
    parms: NeighParms,
    ops: NeighOps,
    output: (neigh: Neighbour, skb: SkBuff) => number,
    key: number,
    primaryKey: Uint8Array,
    makeTimer: ((neigh: Neighbour) => TimerList<Neighbour>) | null,
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
    this.next = null;
    this.gcNext = null;
    this.gcPrev = null;
    this.onGcList = false;
    this.managed = false;
    this.timer = makeTimer === null ? null : makeTimer(this);
  }
}

/** A proxy entry: answer for this address on that device. @kernel pneigh_entry include/net/neighbour.h */
export interface PneighEntry {
  readonly net: Net;
  /** Null: on every device. */
  readonly dev: NetDevice | null;
  readonly key: number;
  flags: number;
  protocol: number;
  permanent: boolean;
}

/** What distinguishes the table of one family. */
export interface NeighTableOps {
  readonly family: number;
  readonly entrySize: number;
  readonly keyLen: number;
  /** ETH_P_* */
  readonly protocol: number;
  /** Name under /proc/net/stat, e.g. `arp_cache`. */
  readonly id: string;
  hash(key: number, dev: NetDevice, rnd: number): number;
  /** Key under which entries of a device stand: where there is but one neighbour, all keys are one. */
  mapKey(key: number, dev: NetDevice): number;
  /** Key in network order, for netlink and for link addresses of groups. */
  keyBytes(key: number): Uint8Array;
  /** The key in netlink's bytes. */
  keyFromBytes(bytes: Uint8Array): number;
  /** Fills ops, type and state of a new entry; negative errno refuses it. */
  constructor_(neigh: Neighbour): number;
  pconstructor: ((entry: PneighEntry) => number) | null;
  pdestructor: ((entry: PneighEntry) => void) | null;
  proxyRedo: ((skb: SkBuff) => void) | null;
  isMulticast(key: number): boolean;
  /** May the user add entries on this device? */
  allowAdd(dev: NetDevice, extack: NetlinkExtAck | null): boolean;
}

/** The neighbours of one family in one machine. @kernel neigh_table include/net/neighbour.h */
export class NeighTable {
  readonly machine: Machine;
  readonly ops: NeighTableOps;
  readonly family: number;
  readonly keyLen: number;
  /** ETH_P_* */
  readonly protocol: number;
  readonly id: string;
  /** Values that new devices start with, one set per namespace; the first belongs to init_net. */
  readonly parmsList: NeighParms[];
  /** Jiffies between the looks of the periodic garbage collection. */
  gcInterval: number;
  gcThresh1: number;
  gcThresh2: number;
  gcThresh3: number;
  /** The hash table; its length is a power of two. */
  buckets: (Neighbour | null)[];
  hashShift: number;
  hashRnd: number;
  entries: number;
  gcEntries: number;
  gcHead: Neighbour | null;
  gcTail: Neighbour | null;
  readonly managedList: Set<Neighbour>;
  lastFlush: number;
  lastRand: number;
  /** Requests for proxied addresses, answered after a random delay. */
  readonly proxyQueue: SkBuffHead;
  readonly phashBuckets: PneighEntry[][];
  readonly stats: NeighStatistics;
  gcTimer: TimerList<NeighTable> | null;
  proxyTimer: TimerList<NeighTable> | null;
  managedTimer: TimerList<NeighTable> | null;

  constructor(machine: Machine, ops: NeighTableOps) {
    this.machine = machine;
    this.ops = ops;
    this.family = ops.family;
    this.keyLen = ops.keyLen;
    this.protocol = ops.protocol;
    this.id = ops.id;
    this.parmsList = [];
    this.gcInterval = 30 * 1000;
    this.gcThresh1 = 128;
    this.gcThresh2 = 512;
    this.gcThresh3 = 1024;
    this.buckets = [];
    this.hashShift = 0;
    this.hashRnd = 0;
    this.entries = 0;
    this.gcEntries = 0;
    this.gcHead = null;
    this.gcTail = null;
    this.managedList = new Set();
    this.lastFlush = 0;
    this.lastRand = 0;
    this.proxyQueue = new SkBuffHead();
    this.phashBuckets = [];
    this.stats = new NeighStatistics();
    this.gcTimer = null;
    this.proxyTimer = null;
    this.managedTimer = null;
  }
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

/** @kernel neigh_hold include/net/neighbour.h */
export function neighHold(neigh: Neighbour): void {
  neigh.refcnt++;
}

/** @kernel neigh_clone include/net/neighbour.h */
export function neighClone(neigh: Neighbour | null): Neighbour | null {
  if (neigh !== null) neigh.refcnt++;
  return neigh;
}

/** Upper layers saw the neighbour answer: put off its next probe. @kernel neigh_confirm include/net/neighbour.h */
export function neighConfirm(neigh: Neighbour | null): void {
  if (neigh === null) return;
  const now = neigh.tbl.machine.jiffies;
  if (neigh.confirmed !== now) neigh.confirmed = now;
}
