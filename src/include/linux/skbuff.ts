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

export const SKB_GSO_TCPV4: number = 1 << 0;
export const SKB_GSO_DODGY: number = 1 << 1;
export const SKB_GSO_TCP_ECN: number = 1 << 2;
export const SKB_GSO_TCP_FIXEDID: number = 1 << 3;
export const SKB_GSO_TCPV6: number = 1 << 4;
export const SKB_GSO_PARTIAL: number = 1 << 13;
export const SKB_GSO_UDP: number = 1 << 16;
export const SKB_GSO_UDP_L4: number = 1 << 17;
export const SKB_GSO_FRAGLIST: number = 1 << 18;

/** What follows a packet's linear data; shared by all clones. @kernel skb_shared_info include/linux/skbuff.h */
export class SkbSharedInfo {
  /** Packets (clones) that share this head. @kernel skb_shared_info.dataref */
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
  /** SKBTX_* flags. */
  txFlags: number;
  /** Key of the transmit timestamp. */
  tskey: number;
  /** Completion notice of a zero-copy send; null otherwise. */
  destructorArg: UbufInfo | null;
  /** Hardware receive or transmit timestamp in ns; 0 when unset. */
  hwtstamp: number;

  constructor() {
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
    this.txFlags = 0;
    this.tskey = 0;
    this.destructorArg = null;
    this.hwtstamp = 0;
  }
}

/** @kernel ubuf_info include/linux/skbuff.h */
export interface UbufInfo {
  refcnt: number;
  /** Called when the last packet that refers to the user's memory is gone. */
  complete(info: UbufInfo, success: boolean): void;
}

/**
 * A packet. One fixed shape, pooled, shared by every layer.
 *
 * Invariants: head <= data <= tail <= end; len >= dataLen; skbHeadlen() = len - dataLen =
 * tail - data; `users` counts holders of this struct, `shinfo.dataref` holders of the memory.
 */
export class SkBuff {
  /** Queue links: a packet is on at most one queue, or in one frag_list (`next` only). */
  next: SkBuff | null;
  prev: SkBuff | null;
  /** The queue this packet is on. Not in Linux; catches double queueing. */
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
  /** 0 none, 1 original with a clone companion, 2 that companion. */
  fclone: number;
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
  /** Receive time (wall, ns since boot plus the machine's epoch) or TCP's earliest departure, in ns. */
  tstamp: number;
  /** SKB_CLOCK_*: what `tstamp` means. */
  tstampType: number;
  /** Time of the last transmission in ns (monotonic), TCP only. @kernel skb_mstamp_ns include/linux/skbuff.h */
  skbMstampNs: number;
  /** Length on the wire with the headers of all segments. @kernel qdisc_skb_cb.pkt_len include/net/sch_generic.h */
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

  /** Number of this packet since the process began, kept by its clones' `origin`. For tracing. */
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
    this.fclone = 0;
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
