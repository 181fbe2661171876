/**
 * Packets: allocation, sharing, freeing and the moves of their ends.
 *
 * Counterpart of net/core/skbuff.c; copying is in skbuff_copy.ts, access to the bytes and the
 * fragments in skbuff_data.ts, checksums in skbuff_checksum.ts, segmentation in skbuff_segment.ts.
 * Queues and what is inline in Linux are in include/linux/skbuff*.ts.
 *
 * `truesize` follows Linux's slab sizes, whatever the arena really hands out, because the limits of
 * sockets and protocols are tuned to those figures.
 */
import type { NapiStruct, NetDevice } from '#include/linux/netdevice.ts';
import {
  CHECKSUM_NONE,
  HEADER_UNSET,
  NET_IP_ALIGN,
  NET_SKB_PAD,
  SIZEOF_SK_BUFF,
  SIZEOF_SKB_SHARED_INFO,
  SKB_CLOCK_REALTIME,
  SKB_FCLONE_CLONE,
  SKB_FCLONE_ORIG,
  SKB_FCLONE_UNAVAILABLE,
  SkBuff,
  type SkBuffHead,
  SkbSharedInfo,
  skbCheckLive,
  skbFillPageDesc,
  skbGeometry,
  skbHeadroom,
  skbReserve,
  skbZcopyClear,
} from '#include/linux/skbuff.ts';
import { __skbDequeue } from '#include/linux/skbuff_queue.ts';
import { skbDstCopy, skbDstDrop } from '#include/net/dst.ts';
import { NapiGroCb } from '#include/net/gro.ts';
import { InetSkbParm, ipcbClear, ipOptionsCopy } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { TcpSkbCb, tcpSkbCbCopy, tcpSkbCbReset } from '#include/net/tcp.ts';
import { DERIVE_CLONE } from '#include/trace/events/packet.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { inHardirq } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { stackTracePrint, stackTraceSave } from '#kernel/stacktrace.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { mem } from '#mm/memory.ts';
import {
  allocPages,
  getPage,
  kmallocData,
  pageRefcount,
  putPage,
  virtToHeadPage,
} from '#mm/page_alloc.ts';
import { napiPpPutPage } from '#net/core/page_pool.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_MAX,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_QUEUE_PURGE,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';

const SMP_CACHE_BYTES = 64;
const PAGE_SIZE = 4096;
/** Largest request that Linux serves from a kmalloc slab; above it, whole pages. */
const KMALLOC_MAX_CACHE_SIZE = 8192;
/** Size of the slab of small heads, shared info included. @kernel SKB_SMALL_HEAD_CACHE_SIZE net/core/skbuff.c */
const SKB_SMALL_HEAD_CACHE_SIZE = 704;
/** Written over freed packet memory in debug builds. @kernel POISON_FREE include/linux/poison.h */
const POISON_FREE = 0x6b;

/** @kernel SKB_DATA_ALIGN include/linux/skbuff.h */
export function skbDataAlign(size: number): number {
  return (size + (SMP_CACHE_BYTES - 1)) & ~(SMP_CACHE_BYTES - 1);
}

/** Bytes of a head with its shared info. @kernel SKB_HEAD_ALIGN include/linux/skbuff.h */
export function skbHeadAlign(size: number): number {
  return skbDataAlign(size) + SIZEOF_SKB_SHARED_INFO;
}

/** Bytes usable in a buffer of `size`. @kernel SKB_WITH_OVERHEAD include/linux/skbuff.h */
export function skbWithOverhead(size: number): number {
  return size - SIZEOF_SKB_SHARED_INFO;
}

/** Memory that a packet with `size` bytes of data area costs. @kernel SKB_TRUESIZE include/linux/skbuff.h */
export function skbTruesize(size: number): number {
  return size + SIZEOF_SK_BUFF + SIZEOF_SKB_SHARED_INFO;
}

/** What kmalloc really gives for `size` bytes. @kernel kmalloc_size_roundup mm/slab_common.c */
export function kmallocSizeRoundup(size: number): number {
  if (size > KMALLOC_MAX_CACHE_SIZE) {
    let bytes = PAGE_SIZE;
    while (bytes < size) bytes *= 2;
    return bytes;
  }
  if (size <= 64) return size <= 8 ? 8 : size <= 16 ? 16 : size <= 32 ? 32 : 64;
  if (size <= 96) return 96;
  if (size > 128 && size <= 192) return 192;
  return 1 << (32 - Math.clz32(size - 1));
}

/** Bytes of data area that Linux's allocator yields for a request. @kernel kmalloc_reserve net/core/skbuff.c */
export function skbHeadSize(size: number): number {
  const objSize = skbHeadAlign(size);
  if (objSize <= SKB_SMALL_HEAD_CACHE_SIZE) return skbWithOverhead(SKB_SMALL_HEAD_CACHE_SIZE);
  return skbWithOverhead(kmallocSizeRoundup(objSize));
}

/** A shared info from the pool, as for a fresh head with one holder. */
export function allocShinfo(machine: Machine): SkbSharedInfo {
  const cache = machine.netGlobals.skbuffCache;
  const shinfo = cache.freeShinfo;
  if (shinfo === null) {
    const fresh = new SkbSharedInfo();
    fresh.dataref = 1;
    return fresh;
  }
  cache.freeShinfo = shinfo.nextFree;
  shinfo.nextFree = null;
  shinfo.dataref = 1;
  shinfo.payloadRefs = 0;
  shinfo.nrFrags = 0;
  shinfo.gsoSize = 0;
  shinfo.gsoSegs = 0;
  shinfo.gsoType = 0;
  shinfo.fragList = null;
  shinfo.flags = 0;
  shinfo.txFlags = 0;
  shinfo.tskey = 0;
  shinfo.destructorArg = null;
  shinfo.hwtstamp = 0;
  return shinfo;
}

/** Gives a shared info back; what it refers to must have been released. */
export function freeShinfo(machine: Machine, shinfo: SkbSharedInfo): void {
  if (DEBUG) {
    // Never used again: whoever kept it finds a count of 0.
    shinfo.dataref = 0;
    return;
  }
  const cache = machine.netGlobals.skbuffCache;
  shinfo.nextFree = cache.freeShinfo;
  cache.freeShinfo = shinfo;
}

/** A packet struct with every field as after construction but for `users`, which is 1. */
function allocSkbStruct(machine: Machine, shinfo: SkbSharedInfo): SkBuff {
  const cache = machine.netGlobals.skbuffCache;
  let skb = cache.freeSkb;
  if (skb === null) {
    skb = new SkBuff(machine, shinfo, new TcpSkbCb(), new InetSkbParm(), new NapiGroCb());
  } else {
    cache.freeSkb = skb.next;
    resetSkbStruct(skb);
    skb.shinfo = shinfo;
  }
  skb.users = 1;
  skb.id = cache.nextId++;
  skb.origin = skb.id;
  skb.allocCpu = machine.cpu.id;
  machine.live.skbs++;
  if (DEBUG) cache.live.set(skb, stackTraceSave());
  return skb;
}

/** Everything but machine, addresses and identity, which every allocation sets. */
function resetSkbStruct(skb: SkBuff): void {
  skb.next = null;
  skb.prev = null;
  skb.rbParent = null;
  skb.rbLeft = null;
  skb.rbRight = null;
  skb.rbRed = false;
  skb.tsortedNext = null;
  skb.tsortedPrev = null;
  skb.tsorted = false;
  skb.dev = null;
  skb.sk = null;
  skb.macHeader = HEADER_UNSET;
  skb.networkHeader = HEADER_UNSET;
  skb.transportHeader = HEADER_UNSET;
  skb.innerNetworkHeader = HEADER_UNSET;
  skb.innerTransportHeader = HEADER_UNSET;
  skb.len = 0;
  skb.dataLen = 0;
  skb.macLen = 0;
  skb.hdrLen = 0;
  skb.cloned = false;
  skb.nohdr = false;
  skb.peeked = false;
  skb.headFrag = false;
  skb.ppRecycle = false;
  skb.slowGro = false;
  skb.headStolen = false;
  skb.fclone = SKB_FCLONE_UNAVAILABLE;
  skb.ipSummed = CHECKSUM_NONE;
  skb.csum = 0;
  skb.csumStart = 0;
  skb.csumOffset = 0;
  skb.csumValid = false;
  skb.csumLevel = 0;
  skb.csumCompleteSw = false;
  resetSkbMetadata(skb);
  tcpSkbCbReset(skb.tcpCb);
  ipcbClear(skb);
  skb.cb0 = 0;
  skb.cb1 = 0;
  skb.cb2 = 0;
  skb.cbRef = null;
}

function resetSkbMetadata(skb: SkBuff): void {
  skb.protocol = 0;
  skb.pktType = 0;
  skb.priority = 0;
  skb.mark = 0;
  skb.hash = 0;
  skb.l4Hash = false;
  skb.swHash = false;
  skb.queueMapping = 0;
  skb.oooOkay = false;
  skb.napiId = 0;
  skb.vlanPresent = false;
  skb.vlanProto = 0;
  skb.vlanTci = 0;
  skb.skbIif = 0;
  skb.ignoreDf = false;
  skb.nfTrace = false;
  skb.redirected = false;
  skb.dstPendingConfirm = false;
  skb.encapsulation = false;
  skb.decrypted = false;
  skb.offloadFwdMark = false;
  skb.wifiAckedValid = false;
  skb.tstamp = 0;
  skb.tstampType = SKB_CLOCK_REALTIME;
  skb.skbMstampNs = 0;
  skb.pktLen = 0;
}

/** Points a fresh struct at a head of `size` usable bytes. @kernel __finalize_skb_around net/core/skbuff.c */
function finalizeSkbAround(skb: SkBuff, data: number, size: number): void {
  skb.head = data;
  skb.data = data;
  skb.tail = data;
  skb.end = data + size;
  skb.truesize = skbTruesize(size);
}

/**
 * A packet with room for `size` bytes; null when memory is exhausted.
 * @kernel alloc_skb include/linux/skbuff.h
 */
export function allocSkb(machine: Machine, size: number): SkBuff | null {
  const usable = skbHeadSize(size);
  const data = kmallocData(usable);
  if (data === 0) return null;
  const skb = allocSkbStruct(machine, allocShinfo(machine));
  finalizeSkbAround(skb, data, usable);
  if (tracepointKey.enabled) machine.trace.packet.packetBirth.probe?.(skb);
  return skb;
}

/** A packet whose first clone is recognised by skbFcloneBusy(). @kernel alloc_skb_fclone include/linux/skbuff.h */
export function allocSkbFclone(machine: Machine, size: number): SkBuff | null {
  const skb = allocSkb(machine, size);
  if (skb !== null) skb.fclone = SKB_FCLONE_ORIG;
  return skb;
}

/**
 * A packet around memory that the caller got from mm/page_alloc.ts and hands over. `fragSize` is
 * the size of the buffer, space for the shared info included.
 * @kernel build_skb net/core/skbuff.c
 */
export function buildSkb(machine: Machine, data: number, fragSize: number): SkBuff {
  const skb = allocSkbStruct(machine, allocShinfo(machine));
  finalizeSkbAround(skb, data, skbWithOverhead(fragSize));
  skb.headFrag = true;
  if (tracepointKey.enabled) machine.trace.packet.packetBirth.probe?.(skb);
  return skb;
}

/** @kernel __netdev_alloc_skb net/core/skbuff.c */
function allocRxSkb(machine: Machine, len: number, pad: number): SkBuff | null {
  const want = len + pad;
  let skb: SkBuff | null;
  if (want <= skbWithOverhead(SKB_SMALL_HEAD_CACHE_SIZE) || want > skbWithOverhead(PAGE_SIZE)) {
    skb = allocSkb(machine, want);
    if (skb === null) return null;
  } else {
    const fragSize = skbHeadAlign(want);
    const data = kmallocData(skbWithOverhead(fragSize));
    if (data === 0) return null;
    skb = buildSkb(machine, data, fragSize);
  }
  skbReserve(skb, pad);
  return skb;
}

/** A receive buffer for `len` bytes with the usual headroom. @kernel netdev_alloc_skb net/core/skbuff.c */
export function netdevAllocSkb(dev: NetDevice, len: number): SkBuff | null {
  const skb = allocRxSkb(dev.net.machine, len, NET_SKB_PAD);
  if (skb !== null) skb.dev = dev;
  return skb;
}

/** @kernel dev_alloc_skb include/linux/skbuff.h */
export function devAllocSkb(machine: Machine, len: number): SkBuff | null {
  return allocRxSkb(machine, len, NET_SKB_PAD);
}

/** @kernel napi_alloc_skb net/core/skbuff.c */
export function napiAllocSkb(napi: NapiStruct, len: number): SkBuff | null {
  const skb = allocRxSkb(napi.dev.net.machine, len, NET_SKB_PAD + NET_IP_ALIGN);
  if (skb !== null) skb.dev = napi.dev;
  return skb;
}

/**
 * A packet with `headerLen` linear bytes of space and `dataLen` bytes in fragments of at most
 * 32 KiB. Null when memory is exhausted or too many fragments are needed.
 * @kernel alloc_skb_with_frags net/core/skbuff.c
 */
export function allocSkbWithFrags(
  machine: Machine,
  headerLen: number,
  dataLen: number,
): SkBuff | null {
  const maxChunk = 32768;
  const skb = allocSkb(machine, headerLen);
  if (skb === null) return null;
  let left = dataLen;
  let i = 0;
  while (left > 0) {
    const chunk = Math.min(left, maxChunk);
    const page = i < skb.shinfo.fragPage.length ? allocPages(chunk) : 0;
    if (page === 0) {
      kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'alloc_skb_with_frags');
      return null;
    }
    skbFillPageDesc(skb, i, page, 0, chunk);
    skb.truesize += Math.ceil(chunk / PAGE_SIZE) * PAGE_SIZE;
    left -= chunk;
    i++;
  }
  return skb;
}

// Freeing.

/** Gives up one reference to fragment i's page. @kernel __skb_frag_unref include/linux/skbuff_ref.h */
export function skbFragUnref(skb: SkBuff, i: number): void {
  const page = skb.shinfo.fragPage[i] as number;
  if (skb.ppRecycle && napiPpPutPage(skb.machine, page)) return;
  putPage(page);
}

/** @kernel __skb_frag_ref include/linux/skbuff_ref.h */
export function skbFragRef(skb: SkBuff, i: number): void {
  getPage(skb.shinfo.fragPage[i] as number);
}

/** Gives the head's memory back, spoilt in debug builds unless fragments elsewhere refer to it. @kernel skb_free_head net/core/skbuff.c */
export function skbFreeHead(skb: SkBuff): void {
  if (skb.ppRecycle && napiPpPutPage(skb.machine, virtToHeadPage(skb.head))) return;
  if (DEBUG && pageRefcount(skb.head) === 1) mem.fill(POISON_FREE, skb.head, skb.end);
  putPage(skb.head);
}

/** Gives up this packet's share of head and fragments. @kernel skb_release_data net/core/skbuff.c */
export function skbReleaseData(skb: SkBuff, reason: number): void {
  const shinfo = skb.shinfo;
  if (DEBUG && shinfo.dataref <= 0) {
    throw new KernelBug('skb-dataref-underflow', `data released twice: ${skbGeometry(skb)}`);
  }
  if (skb.nohdr) shinfo.payloadRefs--;
  if (--shinfo.dataref > 0) {
    // Pages go back to their pool but once: by the last that holds the data.
    skb.ppRecycle = false;
    return;
  }
  if (skb.ppRecycle) {
    for (let i = 0; i < shinfo.nrFrags; i++) skbFragUnref(skb, i);
  } else {
    for (let i = 0; i < shinfo.nrFrags; i++) putPage(shinfo.fragPage[i] as number);
  }
  if (shinfo.destructorArg !== null) skbZcopyClear(skb, true);
  if (shinfo.fragList !== null) {
    kfreeSkbList(shinfo.fragList, reason, 'skb_release_data');
    shinfo.fragList = null;
  }
  skbFreeHead(skb);
  freeShinfo(skb.machine, shinfo);
}

/** Drops route, owner and other references of the struct. @kernel skb_release_head_state net/core/skbuff.c */
export function skbReleaseHeadState(skb: SkBuff): void {
  if (skb.dst !== null) skbDstDrop(skb);
  const destructor = skb.destructor;
  if (destructor !== null) {
    if (DEBUG && inHardirq(skb.machine.cpu)) {
      throw new KernelBug(
        'skb-destructor-in-hardirq',
        `use dev_kfree_skb_irq: ${skbGeometry(skb)}`,
      );
    }
    skb.destructor = null;
    destructor(skb);
  }
  skb.sk = null;
  skb.dev = null;
  skb.cbRef = null;
}

/** Puts the struct back on its machine's free list. @kernel kfree_skbmem net/core/skbuff.c */
function kfreeSkbmem(skb: SkBuff): void {
  const machine = skb.machine;
  const buddy = skb.fcloneBuddy;
  if (buddy !== null) {
    buddy.fcloneBuddy = null;
    skb.fcloneBuddy = null;
  }
  machine.live.skbs--;
  skb.users = 0;
  if (DEBUG) {
    // Not used again, so that every later access through an old reference is found.
    skb.freed = true;
    machine.netGlobals.skbuffCache.live.delete(skb);
    return;
  }
  const cache = machine.netGlobals.skbuffCache;
  skb.next = cache.freeSkb;
  cache.freeSkb = skb;
}

/** @kernel __kfree_skb net/core/skbuff.c */
export function __kfreeSkb(skb: SkBuff, reason: number): void {
  if (DEBUG && skb.list !== null) {
    throw new KernelBug('skb-freed-while-queued', `skb ${skb.id} is still on a queue`);
  }
  if (tracepointKey.enabled) skb.machine.trace.packet.packetFree.probe?.(skb, reason);
  skbReleaseHeadState(skb);
  skbReleaseData(skb, reason);
  kfreeSkbmem(skb);
}

/** Frees what skbTryCoalesce() has left of a packet. @kernel kfree_skb_partial net/core/skbuff.c */
export function kfreeSkbPartial(skb: SkBuff): void {
  if (!skb.headStolen) {
    __kfreeSkb(skb, SKB_CONSUMED);
    return;
  }
  if (tracepointKey.enabled) skb.machine.trace.packet.packetFree.probe?.(skb, SKB_CONSUMED);
  skbReleaseHeadState(skb);
  freeShinfo(skb.machine, skb.shinfo);
  kfreeSkbmem(skb);
}

/** Gives up one reference to the struct; true: it was the last. @kernel skb_unref include/linux/skbuff.h */
export function skbUnref(skb: SkBuff): boolean {
  if (skb.users <= 0) {
    throw new KernelBug('skb-double-free', `packet freed twice: skb ${skb.id} (of ${skb.origin})`);
  }
  if (skb.users === 1) return true;
  skb.users--;
  return false;
}

/**
 * Drops a packet. `reason` is a SKB_DROP_REASON_*; `location` the kernel name of the caller, and
 * `rxSk` the socket that refused it, for the tracepoint.
 * @kernel sk_skb_reason_drop net/core/skbuff.c
 */
export function skSkbReasonDrop(
  rxSk: Sock | null,
  skb: SkBuff,
  reason: number,
  location: string,
): void {
  if (!skbUnref(skb)) return;
  if (DEBUG && (reason === SKB_NOT_DROPPED_YET || (reason & 0xffff) >= SKB_DROP_REASON_MAX)) {
    throw new KernelBug('skb-drop-reason', `${reason} is no drop reason: ${skbGeometry(skb)}`);
  }
  if (reason === SKB_CONSUMED) {
    if (tracepointKey.enabled) skb.machine.trace.skb.consumeSkb.probe?.(skb, location);
  } else {
    if (tracepointKey.enabled) skb.machine.trace.skb.kfreeSkb.probe?.(skb, location, reason, rxSk);
  }
  __kfreeSkb(skb, reason);
}

/** Drops a packet, saying why. @kernel kfree_skb include/linux/skbuff.h */
export function kfreeSkb(skb: SkBuff | null, reason: number, location: string): void {
  if (skb !== null) skSkbReasonDrop(null, skb, reason, location);
}

/** Drops a packet, saying why; the name it has in Linux. @kernel kfree_skb_reason include/linux/skbuff.h */
export function kfreeSkbReason(skb: SkBuff | null, reason: number, location: string): void {
  if (skb !== null) skSkbReasonDrop(null, skb, reason, location);
}

/** Frees a packet that has reached its goal. @kernel consume_skb net/core/skbuff.c */
export function consumeSkb(skb: SkBuff | null, location = ''): void {
  if (skb === null || !skbUnref(skb)) return;
  if (tracepointKey.enabled) skb.machine.trace.skb.consumeSkb.probe?.(skb, location);
  __kfreeSkb(skb, SKB_CONSUMED);
}

/** The good end for the head of a datagram already charged elsewhere. @kernel __consume_stateless_skb net/core/skbuff.c */
export function __consumeStatelessSkb(skb: SkBuff, location = ''): void {
  if (tracepointKey.enabled) skb.machine.trace.skb.consumeSkb.probe?.(skb, location);
  if (tracepointKey.enabled) skb.machine.trace.packet.packetFree.probe?.(skb, SKB_CONSUMED);
  skbReleaseData(skb, SKB_CONSUMED);
  kfreeSkbmem(skb);
}

/** Drops a chain linked by `next`. @kernel kfree_skb_list_reason net/core/skbuff.c */
export function kfreeSkbList(segs: SkBuff | null, reason: number, location: string): void {
  let skb = segs;
  while (skb !== null) {
    const next: SkBuff | null = skb.next;
    skb.next = null;
    kfreeSkb(skb, reason, location);
    skb = next;
  }
}

/** Empties a queue. @kernel skb_queue_purge_reason net/core/skbuff.c */
export function skbQueuePurgeReason(list: SkBuffHead, reason: number): void {
  for (let skb = __skbDequeue(list); skb !== null; skb = __skbDequeue(list)) {
    kfreeSkb(skb, reason, 'skb_queue_purge_reason');
  }
}

/** @kernel skb_queue_purge include/linux/skbuff.h */
export function skbQueuePurge(list: SkBuffHead): void {
  skbQueuePurgeReason(list, SKB_DROP_REASON_QUEUE_PURGE);
}

/** @kernel __skb_queue_purge include/linux/skbuff.h */
export function __skbQueuePurge(list: SkBuffHead): void {
  skbQueuePurgeReason(list, SKB_DROP_REASON_QUEUE_PURGE);
}

// Sharing.

/** Copies what describes the packet but not its memory. @kernel __copy_skb_header net/core/skbuff.c */
export function __copySkbHeader(n: SkBuff, old: SkBuff): void {
  n.tstamp = old.tstamp;
  n.tstampType = old.tstampType;
  n.skbMstampNs = old.skbMstampNs;
  n.dev = old.dev;
  tcpSkbCbCopy(n.tcpCb, old.tcpCb);
  n.ipCb.iif = old.ipCb.iif;
  n.ipCb.flags = old.ipCb.flags;
  n.ipCb.fragMaxSize = old.ipCb.fragMaxSize;
  ipOptionsCopy(n.ipCb.opt, old.ipCb.opt);
  n.cb0 = old.cb0;
  n.cb1 = old.cb1;
  n.cb2 = old.cb2;
  skbDstCopy(n, old);
  n.macHeader = old.macHeader;
  n.networkHeader = old.networkHeader;
  n.transportHeader = old.transportHeader;
  n.innerNetworkHeader = old.innerNetworkHeader;
  n.innerTransportHeader = old.innerTransportHeader;
  n.ipSummed = old.ipSummed;
  n.csum = old.csum;
  n.csumStart = old.csumStart;
  n.csumOffset = old.csumOffset;
  n.csumValid = old.csumValid;
  n.csumLevel = old.csumLevel;
  n.csumCompleteSw = old.csumCompleteSw;
  n.protocol = old.protocol;
  n.pktType = old.pktType;
  n.priority = old.priority;
  n.mark = old.mark;
  n.hash = old.hash;
  n.l4Hash = old.l4Hash;
  n.swHash = old.swHash;
  n.queueMapping = old.queueMapping;
  n.oooOkay = old.oooOkay;
  n.napiId = old.napiId;
  n.vlanPresent = old.vlanPresent;
  n.vlanProto = old.vlanProto;
  n.vlanTci = old.vlanTci;
  n.skbIif = old.skbIif;
  n.ignoreDf = old.ignoreDf;
  n.nfTrace = old.nfTrace;
  n.redirected = old.redirected;
  n.dstPendingConfirm = old.dstPendingConfirm;
  n.encapsulation = old.encapsulation;
  n.decrypted = old.decrypted;
  n.offloadFwdMark = old.offloadFwdMark;
  n.wifiAckedValid = old.wifiAckedValid;
  n.slowGro = old.slowGro;
  n.pktLen = old.pktLen;
  n.macLen = old.macLen;
  n.origin = old.origin;
}

/** Makes `n` a second view of `skb`'s memory. @kernel __skb_clone net/core/skbuff.c */
function __skbClone(n: SkBuff, skb: SkBuff): SkBuff {
  n.next = null;
  n.prev = null;
  n.sk = null;
  __copySkbHeader(n, skb);
  n.len = skb.len;
  n.dataLen = skb.dataLen;
  n.hdrLen = skb.nohdr ? skbHeadroom(skb) : skb.hdrLen;
  n.cloned = true;
  n.nohdr = false;
  n.peeked = false;
  n.ppRecycle = skb.ppRecycle;
  n.destructor = null;
  n.head = skb.head;
  n.data = skb.data;
  n.tail = skb.tail;
  n.end = skb.end;
  n.headFrag = skb.headFrag;
  n.truesize = skb.truesize;
  n.users = 1;
  n.shinfo = skb.shinfo;
  skb.shinfo.dataref++;
  skb.cloned = true;
  return n;
}

/** A second packet over the same memory. @kernel skb_clone net/core/skbuff.c */
export function skbClone(skb: SkBuff): SkBuff {
  if (DEBUG) skbCheckLive(skb);
  const n = allocSkbStruct(skb.machine, skb.shinfo);
  if (skb.fclone === SKB_FCLONE_ORIG && skb.fcloneBuddy === null) {
    n.fclone = SKB_FCLONE_CLONE;
    n.fcloneBuddy = skb;
    skb.fcloneBuddy = n;
  }
  __skbClone(n, skb);
  if (tracepointKey.enabled) skb.machine.trace.packet.packetDerive.probe?.(n, skb, DERIVE_CLONE);
  return n;
}

/** Turns `dst` into a clone of `src`; what it was is released. @kernel skb_morph net/core/skbuff.c */
export function skbMorph(dst: SkBuff, src: SkBuff): SkBuff {
  skbReleaseHeadState(dst);
  skbReleaseData(dst, SKB_CONSUMED);
  return __skbClone(dst, src);
}

/** An exclusive struct: the packet itself, or a clone when others hold it. @kernel skb_share_check include/linux/skbuff.h */
export function skbShareCheck(skb: SkBuff): SkBuff {
  if (skb.users === 1) return skb;
  const n = skbClone(skb);
  consumeSkb(skb, 'skb_share_check');
  return n;
}

/**
 * Hands a packet over to another machine, by reference: it leaves behind its owner, its route and
 * everything else that belongs to the sender's kernel, and counts for the receiver from now on.
 */
export function skbSetMachine(skb: SkBuff, machine: Machine): void {
  if (DEBUG) skbCheckLive(skb);
  const from = skb.machine;
  if (from === machine) return;
  skbReleaseHeadState(skb);
  const buddy = skb.fcloneBuddy;
  if (buddy !== null) {
    buddy.fcloneBuddy = null;
    skb.fcloneBuddy = null;
  }
  skb.fclone = SKB_FCLONE_UNAVAILABLE;
  from.live.skbs--;
  machine.live.skbs++;
  if (DEBUG) {
    const { live } = from.netGlobals.skbuffCache;
    machine.netGlobals.skbuffCache.live.set(skb, live.get(skb) ?? stackTraceSave());
    live.delete(skb);
  }
  const oldId = skb.id;
  skb.machine = machine;
  skb.id = machine.netGlobals.skbuffCache.nextId++;
  skb.origin = skb.id;
  if (tracepointKey.enabled) machine.trace.packet.packetCross.probe?.(skb, from, oldId);
  for (let f = skb.shinfo.fragList; f !== null; f = f.next) skbSetMachine(f, machine);
}

/** Debug builds: one line for each packet that still lives, with the calls that allocated it. */
export function skbLeakReport(machine: Machine): string[] {
  const lines: string[] = [];
  for (const [skb, trace] of machine.netGlobals.skbuffCache.live) {
    const clone = skb.origin === skb.id ? '' : ` (clone or copy of ${skb.origin})`;
    // Not the two innermost calls: the trace's own and the allocator's.
    const by = stackTracePrint(trace, 2);
    lines.push(`leaked packet${clone}: ${skbGeometry(skb)} users:${skb.users} from ${by}`);
  }
  return lines;
}

/** Throws when packets are left that nobody will free. For the end of machines in debug builds. */
export function skbCheckLeaks(machine: Machine): void {
  const leaks = skbLeakReport(machine);
  if (leaks.length > 0) throw new KernelBug('skb-leak', leaks.join('\n'));
}

// Moving the ends.

function overPanic(skb: SkBuff, len: number): never {
  throw new KernelBug('skb-over-panic', `skb_put of ${len} bytes: ${skbGeometry(skb)}`);
}

function underPanic(skb: SkBuff, len: number): never {
  throw new KernelBug('skb-under-panic', `skb_push of ${len} bytes: ${skbGeometry(skb)}`);
}

/** Makes room for `len` bytes at the end; returns their address. @kernel skb_put net/core/skbuff.c */
export function skbPut(skb: SkBuff, len: number): number {
  const tmp = skb.tail;
  if (DEBUG) {
    skbCheckLive(skb);
    if (skb.dataLen !== 0) {
      throw new KernelBug('skb-put-nonlinear', `skb_put behind fragments: ${skbGeometry(skb)}`);
    }
  }
  skb.tail = tmp + len;
  skb.len += len;
  if (skb.tail > skb.end) overPanic(skb, len);
  return tmp;
}

/** Appends a copy of `src`. @kernel skb_put_data include/linux/skbuff.h */
export function skbPutData(skb: SkBuff, src: Uint8Array): number {
  const tmp = skbPut(skb, src.length);
  mem.set(src, tmp);
  return tmp;
}

/** Appends `len` zero bytes. @kernel skb_put_zero include/linux/skbuff.h */
export function skbPutZero(skb: SkBuff, len: number): number {
  const tmp = skbPut(skb, len);
  mem.fill(0, tmp, tmp + len);
  return tmp;
}

/** Makes room for `len` bytes at the front; returns the new `data`. @kernel skb_push net/core/skbuff.c */
export function skbPush(skb: SkBuff, len: number): number {
  if (DEBUG) skbCheckLive(skb);
  skb.data -= len;
  skb.len += len;
  if (skb.data < skb.head) underPanic(skb, len);
  return skb.data;
}

/** Drops `len` bytes from the front; 0 when the packet is shorter. @kernel skb_pull net/core/skbuff.c */
export function skbPull(skb: SkBuff, len: number): number {
  if (len > skb.len) return 0;
  skb.len -= len;
  if (skb.len < skb.dataLen) {
    throw new KernelBug('skb-pull-nonlinear', `skb_pull of ${len} bytes: ${skbGeometry(skb)}`);
  }
  skb.data += len;
  return skb.data;
}

/** Drops `len` bytes and returns where they began; 0 when the packet is shorter. @kernel skb_pull_data net/core/skbuff.c */
export function skbPullData(skb: SkBuff, len: number): number {
  const data = skb.data;
  return skb.len < len ? 0 : skbPull(skb, len) === 0 ? 0 : data;
}

/** Sets the length of a linear packet. @kernel __skb_set_length include/linux/skbuff.h */
export function __skbTrim(skb: SkBuff, len: number): void {
  if (DEBUG && skb.dataLen !== 0) {
    throw new KernelBug('skb-trim-nonlinear', `__skb_trim to ${len}: ${skbGeometry(skb)}`);
  }
  skb.len = len;
  skb.tail = skb.data + len;
}

/** Cuts a linear packet to `len` bytes. @kernel skb_trim net/core/skbuff.c */
export function skbTrim(skb: SkBuff, len: number): void {
  if (skb.len > len) __skbTrim(skb, len);
}
