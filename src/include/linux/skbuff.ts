/**
 * struct sk_buff, its shared info and its queues, with the operations that are inline in Linux.
 *
 * Counterpart of include/linux/skbuff.h; the rest is in net/core/skbuff.ts. All addresses
 * (`head`, `data`, `tail`, `end`, the header fields) are absolute offsets into the packet memory of
 * `mm/memory.ts`, so `iphdr.ttl(view, skb.networkHeader)` reads a header in place.
 *
 *        head            data                     tail           end
 *         |  headroom     |   linear data          |   tailroom    |  shared info (an object)
 *         v               v                        v               v
 *         +---------------+------------------------+---------------+
 *                         |<-- skbHeadlen() ------>|
 *                         |<-- len = skbHeadlen() + dataLen (fragments, frag_list) -->
 */

import type { NetDevice } from '#include/linux/netdevice.ts';
import type { DstEntry } from '#include/net/dst.ts';
import type { NapiGroCb } from '#include/net/gro.ts';
import type { InetSkbParm } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import type { TcpSkbCb } from '#include/net/tcp.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';

/** No checksum known: on receive, software must verify; on transmit, nothing is left to do. */
export const CHECKSUM_NONE = 0;
/** Receive: the device has verified the checksum. */
export const CHECKSUM_UNNECESSARY = 1;
/** Receive: `csum` holds the sum of everything from `data` on. */
export const CHECKSUM_COMPLETE = 2;
/** Transmit: the device must sum from `csumStart` and store at `csumStart + csumOffset`. */
export const CHECKSUM_PARTIAL = 3;

/** Most fragments of one packet. @kernel MAX_SKB_FRAGS include/linux/skbuff.h */
export const MAX_SKB_FRAGS = 17;

/** Value of a header field that has not been set. Linux uses ~0; an address is never negative. */
export const HEADER_UNSET = -1;

/** sizeof(struct sk_buff) and sizeof(struct skb_shared_info) of Linux on 64 bits, for truesize. */
export const SIZEOF_SK_BUFF = 256;
export const SIZEOF_SKB_SHARED_INFO = 320;

/** Bytes that receive paths keep free before the frame. @kernel NET_SKB_PAD include/linux/skbuff.h */
export const NET_SKB_PAD = 64;
/** @kernel NET_IP_ALIGN include/linux/skbuff.h */
export const NET_IP_ALIGN = 0;

/** Not allocated for fast cloning. */
export const SKB_FCLONE_UNAVAILABLE = 0;
/** An original that may have a fast clone. */
export const SKB_FCLONE_ORIG = 1;
/** The fast clone of an original. */
export const SKB_FCLONE_CLONE = 2;

export const SKB_CLOCK_REALTIME = 0;
export const SKB_CLOCK_MONOTONIC = 1;
export const SKB_CLOCK_TAI = 2;

// skb_shared_info.tx_flags
export const SKBTX_HW_TSTAMP: number = 1 << 0;
export const SKBTX_SW_TSTAMP: number = 1 << 1;
export const SKBTX_IN_PROGRESS: number = 1 << 2;
export const SKBTX_COMPLETION_TSTAMP: number = 1 << 3;
export const SKBTX_SCHED_TSTAMP: number = 1 << 6;
export const SKBTX_ANY_SW_TSTAMP: number =
  SKBTX_SW_TSTAMP | SKBTX_SCHED_TSTAMP | SKBTX_COMPLETION_TSTAMP;
export const SKBTX_ANY_TSTAMP: number = SKBTX_HW_TSTAMP | SKBTX_ANY_SW_TSTAMP;

// skb_shared_info.flags
/** Fragments belong to a user; destructorArg tells whom to notify. */
export const SKBFL_ZEROCOPY_ENABLE: number = 1 << 0;
/** Fragments may be written to by somebody else. */
export const SKBFL_SHARED_FRAG: number = 1 << 1;
/** All data is the user's and not charged to the socket. */
export const SKBFL_PURE_ZEROCOPY: number = 1 << 2;
/** Need not be copied merely to be queued. */
export const SKBFL_DONT_ORPHAN: number = 1 << 3;
export const SKBFL_ZEROCOPY_FRAG: number = SKBFL_ZEROCOPY_ENABLE | SKBFL_SHARED_FRAG;
export const SKBFL_ALL_ZEROCOPY: number =
  SKBFL_ZEROCOPY_FRAG | SKBFL_PURE_ZEROCOPY | SKBFL_DONT_ORPHAN;

export const SKB_GSO_TCPV4: number = 1 << 0;
export const SKB_GSO_DODGY: number = 1 << 1;
export const SKB_GSO_TCP_ECN: number = 1 << 2;
export const SKB_GSO_TCP_FIXEDID: number = 1 << 3;
export const SKB_GSO_TCPV6: number = 1 << 4;
export const SKB_GSO_PARTIAL: number = 1 << 13;
export const SKB_GSO_UDP: number = 1 << 16;
export const SKB_GSO_UDP_L4: number = 1 << 17;
export const SKB_GSO_FRAGLIST: number = 1 << 18;
/** The header's counter is the same in all segments. */
export const SKB_GSO_TCP_ACCECN: number = 1 << 19;

/** What follows a packet's linear data; shared by all clones. @kernel skb_shared_info include/linux/skbuff.h */
export class SkbSharedInfo {
  /** Packets (clones) that share this head. */
  dataref: number;
  /** Clones that only hold the payload: the upper half of Linux's dataref. */
  payloadRefs: number;
  nrFrags: number;
  /** Address of the page (a unit of mm/page_alloc.ts, counted) that holds fragment i. */
  readonly fragPage: Int32Array;
  /** Offset in bytes of fragment i from its page. */
  readonly fragOffset: Int32Array;
  /** Length in bytes of fragment i. */
  readonly fragSize: Int32Array;
  /** Payload bytes of each segment; 0 when this is not a GSO packet. */
  gsoSize: number;
  gsoSegs: number;
  gsoType: number;
  /** First of the packets that continue this one, linked by `next`. */
  fragList: SkBuff | null;
  /** SKBFL_* */
  flags: number;
  /** SKBTX_* flags. */
  txFlags: number;
  /** Key of the transmit timestamp. */
  tskey: number;
  /** Completion notice of a zero-copy send; null otherwise. */
  destructorArg: UbufInfo | null;
  /** Hardware receive or transmit timestamp in ns; 0 when unset. */
  hwtstamp: number;
  /** Link of the pool's free list. */
  nextFree: SkbSharedInfo | null;

  constructor() {
    this.nextFree = null;
    this.dataref = 0;
    this.payloadRefs = 0;
    this.nrFrags = 0;
    this.fragPage = new Int32Array(MAX_SKB_FRAGS);
    this.fragOffset = new Int32Array(MAX_SKB_FRAGS);
    this.fragSize = new Int32Array(MAX_SKB_FRAGS);
    this.gsoSize = 0;
    this.gsoSegs = 0;
    this.gsoType = 0;
    this.fragList = null;
    this.flags = 0;
    this.txFlags = 0;
    this.tskey = 0;
    this.destructorArg = null;
    this.hwtstamp = 0;
  }
}

/** @kernel ubuf_info include/linux/skbuff.h */
export interface UbufInfo {
  refcnt: number;
  /** SKBFL_* of the packets that refer to this. */
  readonly flags: number;
  /** One reference goes; `success` is false when the data had to be copied. */
  complete(success: boolean): void;
}

/**
 * A packet. One fixed shape, pooled, shared by every layer.
 *
 * Invariants: head <= data <= tail <= end; len >= dataLen; skbHeadlen() = len - dataLen =
 * tail - data; `users` counts holders of this struct, `shinfo.dataref` holders of the memory.
 * @kernel sk_buff include/linux/skbuff.h
 */
export class SkBuff {
  /** Queue links: a packet is on at most one queue, or in one frag_list (`next` only). */
  next: SkBuff | null;
  prev: SkBuff | null;
  /** The queue this packet is on; kept in debug builds only, to catch double queueing. Not in Linux. */
  list: SkBuffHead | null;
  /** Links of a tree node: TCP's retransmit and out-of-order queues. */
  rbParent: SkBuff | null;
  rbLeft: SkBuff | null;
  rbRight: SkBuff | null;
  rbRed: boolean;
  /** Time-ordered list of sent, unacknowledged packets. @kernel tcp_tsorted_anchor include/linux/skbuff.h */
  tsortedNext: SkBuff | null;
  tsortedPrev: SkBuff | null;
  /** True while on TCP's time-ordered list. */
  tsorted: boolean;

  /** The machine that holds this packet now, for accounting and tracepoints. */
  machine: Machine;
  dev: NetDevice | null;
  sk: Sock | null;
  /** Runs when the packet leaves its owner: gives back socket memory. */
  destructor: ((skb: SkBuff) => void) | null;
  dst: DstEntry | null;
  /** True when `dst` is held only for the duration of the present receive path. */
  dstNoref: boolean;

  head: number;
  data: number;
  tail: number;
  end: number;
  macHeader: number;
  networkHeader: number;
  transportHeader: number;
  innerNetworkHeader: number;
  innerTransportHeader: number;

  /** Bytes in the packet, fragments included. */
  len: number;
  /** Bytes in fragments and frag_list. */
  dataLen: number;
  macLen: number;
  hdrLen: number;
  /** Memory charged for this packet, by Linux's sizes. */
  truesize: number;
  /** Holders of this struct. */
  users: number;
  cloned: boolean;
  nohdr: boolean;
  peeked: boolean;
  /** Head is page fragment memory. */
  headFrag: boolean;
  /** Pages of this packet come from a page_pool. */
  ppRecycle: boolean;
  slowGro: boolean;
  /** skbTryCoalesce() has given the head away: free with kfreeSkbPartial(). Linux's fragstolen. */
  headStolen: boolean;
  /** SKB_FCLONE_* */
  fclone: number;
  /** The fast clone of this original, or the original of this fast clone, while both live. */
  fcloneBuddy: SkBuff | null;
  /** Shared info of `head`; never null while the packet lives. */
  shinfo: SkbSharedInfo;

  /** CHECKSUM_* */
  ipSummed: number;
  /** CHECKSUM_COMPLETE or partial sums of senders: an unfolded sum. */
  csum: number;
  /** CHECKSUM_PARTIAL: address (absolute, like the header fields) where to start. */
  csumStart: number;
  /** CHECKSUM_PARTIAL: offset from csumStart of the checksum field. */
  csumOffset: number;
  csumValid: boolean;
  csumLevel: number;
  csumCompleteSw: boolean;

  /** ETH_P_*, host order. */
  protocol: number;
  /** PACKET_HOST and its siblings. */
  pktType: number;
  priority: number;
  mark: number;
  hash: number;
  l4Hash: boolean;
  swHash: boolean;
  queueMapping: number;
  /** No packet of the flow is in any queue: it may change to another. */
  oooOkay: boolean;
  allocCpu: number;
  napiId: number;
  vlanPresent: boolean;
  vlanProto: number;
  vlanTci: number;
  /** Ingress interface index. */
  skbIif: number;
  ignoreDf: boolean;
  nfTrace: boolean;
  redirected: boolean;
  dstPendingConfirm: boolean;
  encapsulation: boolean;
  decrypted: boolean;
  offloadFwdMark: boolean;
  wifiAckedValid: boolean;
  /**
   * Receive time or TCP's earliest departure, in ns since boot; 0: none. A double could not hold ns
   * since 1970 exactly, so the machine's epoch is added where users see the time.
   */
  tstamp: number;
  /** SKB_CLOCK_*: what `tstamp` means. */
  tstampType: number;
  /** Time of the last transmission in ns (monotonic), TCP only. @kernel skb_mstamp_ns include/linux/skbuff.h */
  skbMstampNs: number;
  /** Length on the wire with the headers of all segments. Linux's qdisc_skb_cb.pkt_len. */
  pktLen: number;

  /** The control blocks that share cb[48] in Linux; each layer only uses its own. */
  readonly tcpCb: TcpSkbCb;
  readonly ipCb: InetSkbParm;
  readonly groCb: NapiGroCb;
  /** Free for the queue that holds the packet (errqueue, reassembly, netlink). */
  cb0: number;
  cb1: number;
  cb2: number;
  cbRef: object | null;

  /** Number of this packet since its machine booted, kept by its clones' `origin`. For tracing. */
  id: number;
  origin: number;
  /** Debug builds: the packet lies on the free list. */
  freed: boolean;

  constructor(
    machine: Machine,
    shinfo: SkbSharedInfo,
    tcpCb: TcpSkbCb,
    ipCb: InetSkbParm,
    groCb: NapiGroCb,
  ) {
    this.next = null;
    this.prev = null;
    this.list = null;
    this.rbParent = null;
    this.rbLeft = null;
    this.rbRight = null;
    this.rbRed = false;
    this.tsortedNext = null;
    this.tsortedPrev = null;
    this.tsorted = false;
    this.machine = machine;
    this.dev = null;
    this.sk = null;
    this.destructor = null;
    this.dst = null;
    this.dstNoref = false;
    this.head = 0;
    this.data = 0;
    this.tail = 0;
    this.end = 0;
    this.macHeader = HEADER_UNSET;
    this.networkHeader = HEADER_UNSET;
    this.transportHeader = HEADER_UNSET;
    this.innerNetworkHeader = HEADER_UNSET;
    this.innerTransportHeader = HEADER_UNSET;
    this.len = 0;
    this.dataLen = 0;
    this.macLen = 0;
    this.hdrLen = 0;
    this.truesize = 0;
    this.users = 0;
    this.cloned = false;
    this.nohdr = false;
    this.peeked = false;
    this.headFrag = false;
    this.ppRecycle = false;
    this.slowGro = false;
    this.headStolen = false;
    this.fclone = SKB_FCLONE_UNAVAILABLE;
    this.fcloneBuddy = null;
    this.shinfo = shinfo;
    this.ipSummed = CHECKSUM_NONE;
    this.csum = 0;
    this.csumStart = 0;
    this.csumOffset = 0;
    this.csumValid = false;
    this.csumLevel = 0;
    this.csumCompleteSw = false;
    this.protocol = 0;
    this.pktType = 0;
    this.priority = 0;
    this.mark = 0;
    this.hash = 0;
    this.l4Hash = false;
    this.swHash = false;
    this.queueMapping = 0;
    this.oooOkay = false;
    this.allocCpu = 0;
    this.napiId = 0;
    this.vlanPresent = false;
    this.vlanProto = 0;
    this.vlanTci = 0;
    this.skbIif = 0;
    this.ignoreDf = false;
    this.nfTrace = false;
    this.redirected = false;
    this.dstPendingConfirm = false;
    this.encapsulation = false;
    this.decrypted = false;
    this.offloadFwdMark = false;
    this.wifiAckedValid = false;
    this.tstamp = 0;
    this.tstampType = 0;
    this.skbMstampNs = 0;
    this.pktLen = 0;
    this.tcpCb = tcpCb;
    this.ipCb = ipCb;
    this.groCb = groCb;
    this.cb0 = 0;
    this.cb1 = 0;
    this.cb2 = 0;
    this.cbRef = null;
    this.id = 0;
    this.origin = 0;
    this.freed = false;
  }
}

/** A doubly linked queue of packets. @kernel sk_buff_head include/linux/skbuff.h */
export class SkBuffHead {
  /** First and last packet; null when empty. */
  next: SkBuff | null;
  prev: SkBuff | null;
  qlen: number;

  constructor() {
    this.next = null;
    this.prev = null;
    this.qlen = 0;
  }
}

/** Free packets and shared infos of a machine, used last-in first-out. @kernel skbuff_cache net/core/skbuff.c */
export class SkbuffCache {
  freeSkb: SkBuff | null = null;
  freeShinfo: SkbSharedInfo | null = null;
  /** The next packet's `id`. */
  nextId = 1;
  /** Debug builds: every packet in use and who allocated it, so that a leak can be described. */
  readonly live: Map<SkBuff, Error> = new Map();
}

// Geometry.

/** Bytes of linear data. @kernel skb_headlen include/linux/skbuff.h */
export function skbHeadlen(skb: SkBuff): number {
  return skb.len - skb.dataLen;
}

/** @kernel skb_is_nonlinear include/linux/skbuff.h */
export function skbIsNonlinear(skb: SkBuff): boolean {
  return skb.dataLen !== 0;
}

/** Bytes free before `data`. @kernel skb_headroom include/linux/skbuff.h */
export function skbHeadroom(skb: SkBuff): number {
  return skb.data - skb.head;
}

/** Bytes free after the linear data; 0 when fragments follow. @kernel skb_tailroom include/linux/skbuff.h */
export function skbTailroom(skb: SkBuff): number {
  return skb.dataLen !== 0 ? 0 : skb.end - skb.tail;
}

/** @kernel skb_end_offset include/linux/skbuff.h */
export function skbEndOffset(skb: SkBuff): number {
  return skb.end - skb.head;
}

/** Tail room up to `availroom` bytes of the data area. @kernel skb_availroom include/linux/skbuff.h */
export function skbAvailroom(skb: SkBuff): number {
  return skb.dataLen !== 0 ? 0 : skb.end - skb.tail;
}

/** Moves `data` and `tail` of an empty packet by `len` bytes. @kernel skb_reserve include/linux/skbuff.h */
export function skbReserve(skb: SkBuff, len: number): void {
  if (DEBUG && (skb.len !== 0 || skb.tail + len > skb.end)) {
    throw new KernelBug('skb-over-panic', `skb_reserve of ${len} bytes: ${skbGeometry(skb)}`);
  }
  skb.data += len;
  skb.tail += len;
}

/** One line that shows where a packet's pointers are, relative to its head. */
export function skbGeometry(skb: SkBuff): string {
  const dev = skb.dev === null ? '<NULL>' : skb.dev.name;
  return (
    `skb ${skb.id} len:${skb.len} data_len:${skb.dataLen} data:+${skb.data - skb.head} ` +
    `tail:+${skb.tail - skb.head} end:+${skb.end - skb.head} dev:${dev}`
  );
}

/** Appends room without a check of the space. @kernel __skb_put include/linux/skbuff.h */
export function __skbPut(skb: SkBuff, len: number): number {
  const tmp = skb.tail;
  skb.tail += len;
  skb.len += len;
  return tmp;
}

/** @kernel __skb_push include/linux/skbuff.h */
export function __skbPush(skb: SkBuff, len: number): number {
  skb.data -= len;
  skb.len += len;
  return skb.data;
}

/** Drops `len` bytes from the front, which must be linear. @kernel __skb_pull include/linux/skbuff.h */
export function __skbPull(skb: SkBuff, len: number): number {
  skb.len -= len;
  if (skb.len < skb.dataLen) {
    throw new KernelBug('skb-pull-nonlinear', `__skb_pull of ${len} bytes: ${skbGeometry(skb)}`);
  }
  skb.data += len;
  return skb.data;
}

// Headers.

/** @kernel skb_reset_mac_header include/linux/skbuff.h */
export function skbResetMacHeader(skb: SkBuff): void {
  skb.macHeader = skb.data;
}

/** @kernel skb_set_mac_header include/linux/skbuff.h */
export function skbSetMacHeader(skb: SkBuff, offset: number): void {
  skb.macHeader = skb.data + offset;
}

/** @kernel skb_mac_header_was_set include/linux/skbuff.h */
export function skbMacHeaderWasSet(skb: SkBuff): boolean {
  return skb.macHeader !== HEADER_UNSET;
}

/** @kernel skb_unset_mac_header include/linux/skbuff.h */
export function skbUnsetMacHeader(skb: SkBuff): void {
  skb.macHeader = HEADER_UNSET;
}

/** @kernel skb_reset_mac_len include/linux/skbuff.h */
export function skbResetMacLen(skb: SkBuff): void {
  skb.macLen = skb.networkHeader - skb.macHeader;
}

/** @kernel skb_mac_header_len include/linux/skbuff.h */
export function skbMacHeaderLen(skb: SkBuff): number {
  return skb.networkHeader - skb.macHeader;
}

/** @kernel skb_mac_offset include/linux/skbuff.h */
export function skbMacOffset(skb: SkBuff): number {
  return skb.macHeader - skb.data;
}

/** @kernel skb_reset_network_header include/linux/skbuff.h */
export function skbResetNetworkHeader(skb: SkBuff): void {
  skb.networkHeader = skb.data;
}

/** @kernel skb_set_network_header include/linux/skbuff.h */
export function skbSetNetworkHeader(skb: SkBuff, offset: number): void {
  skb.networkHeader = skb.data + offset;
}

/** @kernel skb_network_offset include/linux/skbuff.h */
export function skbNetworkOffset(skb: SkBuff): number {
  return skb.networkHeader - skb.data;
}

/** @kernel skb_network_header_len include/linux/skbuff.h */
export function skbNetworkHeaderLen(skb: SkBuff): number {
  return skb.transportHeader - skb.networkHeader;
}

/** @kernel skb_reset_transport_header include/linux/skbuff.h */
export function skbResetTransportHeader(skb: SkBuff): void {
  skb.transportHeader = skb.data;
}

/** @kernel skb_set_transport_header include/linux/skbuff.h */
export function skbSetTransportHeader(skb: SkBuff, offset: number): void {
  skb.transportHeader = skb.data + offset;
}

/** @kernel skb_transport_offset include/linux/skbuff.h */
export function skbTransportOffset(skb: SkBuff): number {
  return skb.transportHeader - skb.data;
}

/** @kernel skb_transport_header_was_set include/linux/skbuff.h */
export function skbTransportHeaderWasSet(skb: SkBuff): boolean {
  return skb.transportHeader !== HEADER_UNSET;
}

/** Offset from `data` where a partial checksum starts. @kernel skb_checksum_start_offset include/linux/skbuff.h */
export function skbChecksumStartOffset(skb: SkBuff): number {
  return skb.csumStart - skb.data;
}

// Sharing.

/** True when the head is shared with a clone. @kernel skb_cloned include/linux/skbuff.h */
export function skbCloned(skb: SkBuff): boolean {
  return skb.cloned && skb.shinfo.dataref !== 1;
}

/** @kernel skb_header_cloned include/linux/skbuff.h */
export function skbHeaderCloned(skb: SkBuff): boolean {
  if (!skb.cloned) return false;
  return skb.shinfo.dataref - skb.shinfo.payloadRefs !== 1;
}

/** Gives up the right to the header: others may write it. @kernel __skb_header_release include/linux/skbuff.h */
export function __skbHeaderRelease(skb: SkBuff): void {
  skb.nohdr = true;
  skb.shinfo.dataref = 1;
  skb.shinfo.payloadRefs = 1;
}

/** True when the struct itself has more than one holder. @kernel skb_shared include/linux/skbuff.h */
export function skbShared(skb: SkBuff): boolean {
  return skb.users !== 1;
}

/** Takes a reference to the struct. @kernel skb_get include/linux/skbuff.h */
export function skbGet(skb: SkBuff): SkBuff {
  if (DEBUG) skbCheckLive(skb);
  skb.users++;
  return skb;
}

/** True when the first `len` bytes may be written in place. @kernel skb_clone_writable include/linux/skbuff.h */
export function skbCloneWritable(skb: SkBuff, len: number): boolean {
  return !skbHeaderCloned(skb) && skb.data - skb.head + len <= skb.hdrLen;
}

/** True while the fast clone of `skb` is still held below `sk`. @kernel skb_fclone_busy include/linux/skbuff.h */
export function skbFcloneBusy(sk: Sock, skb: SkBuff): boolean {
  const buddy = skb.fcloneBuddy;
  return skb.fclone === SKB_FCLONE_ORIG && buddy !== null && buddy.sk === sk;
}

/** Takes the packet from its owner: runs and clears the destructor. @kernel skb_orphan include/linux/skbuff.h */
export function skbOrphan(skb: SkBuff): void {
  const destructor = skb.destructor;
  if (destructor !== null) {
    destructor(skb);
    skb.destructor = null;
    skb.sk = null;
  } else if (DEBUG && skb.sk !== null) {
    throw new KernelBug('skb-orphan-owned', `no destructor but a socket: ${skbGeometry(skb)}`);
  }
}

/** Throws when the packet has been freed. */
export function skbCheckLive(skb: SkBuff): void {
  if (skb.freed) throw new KernelBug('skb-use-after-free', `freed packet used: skb ${skb.id}`);
}

// Fragments.

/** Address of fragment i's bytes. @kernel skb_frag_address include/linux/skbuff.h */
export function skbFragAddress(shinfo: SkbSharedInfo, i: number): number {
  return (shinfo.fragPage[i] as number) + (shinfo.fragOffset[i] as number);
}

/** @kernel skb_frag_size include/linux/skbuff.h */
export function skbFragSize(shinfo: SkbSharedInfo, i: number): number {
  return shinfo.fragSize[i] as number;
}

/** @kernel skb_frag_size_add include/linux/skbuff.h */
export function skbFragSizeAdd(shinfo: SkbSharedInfo, i: number, delta: number): void {
  shinfo.fragSize[i] = (shinfo.fragSize[i] as number) + delta;
}

/** @kernel skb_frag_size_sub include/linux/skbuff.h */
export function skbFragSizeSub(shinfo: SkbSharedInfo, i: number, delta: number): void {
  shinfo.fragSize[i] = (shinfo.fragSize[i] as number) - delta;
}

/** Sets fragment i without touching lengths. @kernel __skb_fill_page_desc_noacc include/linux/skbuff.h */
export function __skbFillPageDesc(
  skb: SkBuff,
  i: number,
  page: number,
  off: number,
  size: number,
): void {
  const shinfo = skb.shinfo;
  shinfo.fragPage[i] = page;
  shinfo.fragOffset[i] = off;
  shinfo.fragSize[i] = size;
}

/** Sets fragment i as the last; takes over the page's reference. @kernel skb_fill_page_desc include/linux/skbuff.h */
export function skbFillPageDesc(
  skb: SkBuff,
  i: number,
  page: number,
  off: number,
  size: number,
): void {
  __skbFillPageDesc(skb, i, page, off, size);
  skb.shinfo.nrFrags = i + 1;
}

/** @kernel skb_has_frag_list include/linux/skbuff.h */
export function skbHasFragList(skb: SkBuff): boolean {
  return skb.shinfo.fragList !== null;
}

/** True when [page, off) continues the last fragment. @kernel skb_can_coalesce include/linux/skbuff.h */
export function skbCanCoalesce(skb: SkBuff, i: number, page: number, off: number): boolean {
  if (i === 0) return false;
  const shinfo = skb.shinfo;
  if (shinfo.destructorArg !== null) return false;
  const last = i - 1;
  return (
    page === shinfo.fragPage[last] &&
    off === (shinfo.fragOffset[last] as number) + (shinfo.fragSize[last] as number)
  );
}

/** Is all data of the packet a user's? @kernel skb_zcopy_pure include/linux/skbuff.h */
export function skbZcopyPure(skb: SkBuff): boolean {
  return (skb.shinfo.flags & SKBFL_PURE_ZEROCOPY) !== 0;
}

/** The packet refers to `uarg`, counted, if it does not do so already. @kernel skb_zcopy_set include/linux/skbuff.h */
export function skbZcopySet(skb: SkBuff, uarg: UbufInfo): void {
  const { shinfo } = skb;
  if (shinfo.destructorArg !== null) return;
  uarg.refcnt++;
  shinfo.destructorArg = uarg;
  shinfo.flags |= uarg.flags;
}

/** `nskb` refers to fragments of `orig`. @kernel skb_zerocopy_clone net/core/skbuff.c */
export function skbZerocopyClone(nskb: SkBuff, orig: SkBuff): void {
  const uarg = orig.shinfo.destructorArg;
  if (uarg !== null) skbZcopySet(nskb, uarg);
}

/** The packet refers to no user's memory any more. @kernel skb_zcopy_clear include/linux/skbuff.h */
export function skbZcopyClear(skb: SkBuff, success: boolean): void {
  const { shinfo } = skb;
  const uarg = shinfo.destructorArg;
  if (uarg === null) return;
  shinfo.destructorArg = null;
  shinfo.flags &= ~SKBFL_ALL_ZEROCOPY;
  uarg.complete(success);
}

/** @kernel skb_len_add include/linux/skbuff.h */
export function skbLenAdd(skb: SkBuff, delta: number): void {
  skb.len += delta;
  skb.dataLen += delta;
  skb.truesize += delta;
}

// GSO.

/** @kernel skb_is_gso include/linux/skbuff.h */
export function skbIsGso(skb: SkBuff): boolean {
  return skb.shinfo.gsoSize !== 0;
}

/** @kernel skb_is_gso_tcp include/linux/skbuff.h */
export function skbIsGsoTcp(skb: SkBuff): boolean {
  return (skb.shinfo.gsoType & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6)) !== 0;
}

/** @kernel skb_gso_reset include/linux/skbuff.h */
export function skbGsoReset(skb: SkBuff): void {
  skb.shinfo.gsoSize = 0;
  skb.shinfo.gsoSegs = 0;
  skb.shinfo.gsoType = 0;
}

// Metadata.

/** @kernel skb_clear_hash include/linux/skbuff.h */
export function skbClearHash(skb: SkBuff): void {
  skb.hash = 0;
  skb.swHash = false;
  skb.l4Hash = false;
}

/** @kernel skb_set_hash include/linux/skbuff.h */
export function skbSetHash(skb: SkBuff, hash: number, isL4: boolean): void {
  skb.l4Hash = isL4;
  skb.swHash = false;
  skb.hash = hash;
}

/** @kernel skb_clear_tstamp include/linux/skbuff.h */
export function skbClearTstamp(skb: SkBuff): void {
  skb.tstamp = 0;
  skb.tstampType = SKB_CLOCK_REALTIME;
}

/** @kernel skb_clear_delivery_time include/linux/skbuff.h */
export function skbClearDeliveryTime(skb: SkBuff): void {
  if (skb.tstampType !== SKB_CLOCK_REALTIME) {
    skb.tstampType = SKB_CLOCK_REALTIME;
    skb.tstamp = 0;
  }
}

/** @kernel skb_set_delivery_time include/linux/skbuff.h */
export function skbSetDeliveryTime(skb: SkBuff, ns: number, tstampType: number): void {
  skb.tstamp = ns;
  skb.tstampType = ns !== 0 ? tstampType : SKB_CLOCK_REALTIME;
}

/** @kernel nf_reset_ct include/linux/skbuff.h */
export function nfReset(skb: SkBuff): void {
  skb.nfTrace = false;
}
