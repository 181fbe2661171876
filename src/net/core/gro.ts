/**
 * Generic receive offload: packets of one flow that follow each other become one, before the
 * protocols see them. Counterpart of net/core/gro.c.
 *
 * A NAPI instance holds packets by flow hash until the flow is interrupted, its poll ends or they
 * are a tick old. What must not be merged (`flush`) passes at once, in order.
 */
import { NETIF_F_GRO } from '#include/linux/netdev_features.ts';
import {
  GRO_HASH_BUCKETS,
  GSO_LEGACY_MAX_SIZE,
  type NapiStruct,
  type NetDevice,
} from '#include/linux/netdevice.ts';
import {
  __skbHeaderRelease,
  CHECKSUM_COMPLETE,
  CHECKSUM_UNNECESSARY,
  MAX_SKB_FRAGS,
  SIZEOF_SK_BUFF,
  SKB_GSO_DODGY,
  type SkBuff,
  type SkBuffHead,
  skbEndOffset,
  skbFillPageDesc,
  skbHeadlen,
  skbIsGso,
  skbIsGsoTcp,
  skbResetMacLen,
  skbSetNetworkHeader,
} from '#include/linux/skbuff.ts';
import { __skbQueueHead, __skbQueueTail, __skbUnlink } from '#include/linux/skbuff_queue.ts';
import {
  GRO_HELD,
  GRO_MERGED,
  GRO_MERGED_FREE,
  GRO_NORMAL,
  NAPI_GRO_FREE,
  NAPI_GRO_FREE_STOLEN_HEAD,
  napiGroCbReset,
  type PacketOffload,
} from '#include/net/gro.ts';
import { MERGE_GRO } from '#include/trace/events/packet.ts';
import type { Machine } from '#kernel/machine.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { view } from '#mm/memory.ts';
import { virtToHeadPage } from '#mm/page_alloc.ts';
import { netifReceiveSkbListInternal } from '#net/core/dev_rx.ts';
import { __kfreeSkb, kfreeSkb, kfreeSkbPartial, skbPull, skbTruesize } from '#net/core/skbuff.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { E2BIG, ENOMEM, ETOOMANYREFS } from '#uapi/errno.ts';
import { ETH_HLEN } from '#uapi/if_ether.ts';
import {
  SKB_CONSUMED,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_QUEUE_PURGE,
} from '#uapi/net_dropreason.ts';

/** Flows held in one bucket. @kernel MAX_GRO_SKBS net/core/gro.c */
const MAX_GRO_SKBS = 8;

// Registration.

/** @kernel dev_add_offload net/core/gro.c */
export function devAddOffload(machine: Machine, po: PacketOffload): void {
  const list = machine.netGlobals.offloadBase;
  const at = list.findIndex((other) => other.priority > po.priority);
  if (at < 0) list.push(po);
  else list.splice(at, 0, po);
}

/** @kernel dev_remove_offload net/core/gro.c */
export function devRemoveOffload(machine: Machine, po: PacketOffload): void {
  const list = machine.netGlobals.offloadBase;
  const at = list.indexOf(po);
  if (at >= 0) list.splice(at, 1);
}

// What protocols use to look at a packet that may not be linear yet.

/** @kernel skb_gro_offset include/net/gro.h */
export function skbGroOffset(skb: SkBuff): number {
  return skb.groCb.dataOffset;
}

/** Bytes from the present header on. @kernel skb_gro_len include/net/gro.h */
export function skbGroLen(skb: SkBuff): number {
  return skb.len - skb.groCb.dataOffset;
}

/** The next header begins `len` bytes further. @kernel skb_gro_pull include/net/gro.h */
export function skbGroPull(skb: SkBuff, len: number): void {
  skb.groCb.dataOffset += len;
}

/** Address of a header of which `hlen` bytes from the packet's start are needed; 0: shorter. @kernel skb_gro_header include/net/gro.h */
export function skbGroHeader(skb: SkBuff, hlen: number, offset: number): number {
  if (skbHeadlen(skb) >= hlen) return skb.data + offset;
  return pskbMayPull(skb, hlen) ? skb.data + offset : 0;
}

// Delivery.

/** Passes up what is finished. @kernel gro_normal_list include/net/gro.h */
export function groNormalList(napi: NapiStruct): void {
  if (napi.rxCount === 0) return;
  napi.rxCount = 0;
  netifReceiveSkbListInternal(napi.rxList);
}

/** @kernel gro_normal_one include/net/gro.h */
function groNormalOne(napi: NapiStruct, skb: SkBuff, segs: number): void {
  __skbQueueTail(napi.rxList, skb);
  napi.rxCount += segs;
  if (napi.rxCount >= napi.dev.net.machine.netGlobals.groNormalBatch) groNormalList(napi);
}

/** Finishes a packet that was held. @kernel gro_complete net/core/gro.c */
function napiGroComplete(napi: NapiStruct, skb: SkBuff): void {
  const segs = skb.groCb.count;
  if (segs === 1) {
    skb.shinfo.gsoSize = 0;
  } else {
    const offload = findOffload(skb);
    const err = offload?.callbacks.groComplete?.(skb, 0) ?? -1;
    if (err !== 0) {
      kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'gro_complete');
      return;
    }
  }
  groNormalOne(napi, skb, segs);
}

function findOffload(skb: SkBuff): PacketOffload | null {
  for (const offload of skb.machine.netGlobals.offloadBase) {
    if (offload.type === skb.protocol && offload.callbacks.groReceive !== null) return offload;
  }
  return null;
}

function flushChain(napi: NapiStruct, index: number, flushOld: boolean): void {
  const list = napi.groHash[index] as SkBuffHead;
  const now = napi.dev.net.machine.jiffies;
  // The oldest is last.
  for (let skb = list.prev; skb !== null; skb = list.prev) {
    if (flushOld && skb.groCb.age === now) return;
    __skbUnlink(skb, list);
    napiGroComplete(napi, skb);
  }
  napi.groBitmask &= ~(1 << index);
}

/** Finishes what is held; with `flushOld` only what came before this tick. @kernel gro_flush net/core/gro.c */
export function napiGroFlush(napi: NapiStruct, flushOld: boolean): void {
  for (let i = 0; i < GRO_HASH_BUCKETS; i++) {
    if ((napi.groBitmask & (1 << i)) !== 0) flushChain(napi, i, flushOld);
  }
}

/** At the end of a poll. @kernel gro_flush_normal include/net/gro.h */
export function groFlushNormal(napi: NapiStruct, flushOld: boolean): void {
  if (napi.groBitmask !== 0) napiGroFlush(napi, flushOld);
  groNormalList(napi);
}

/** Drops what an instance holds, on its way out. @kernel flush_gro_hash net/core/dev.c */
export function groPurge(napi: NapiStruct): void {
  for (const list of [...napi.groHash, napi.rxList]) {
    for (let skb = list.next; skb !== null; skb = list.next) {
      __skbUnlink(skb, list);
      kfreeSkb(skb, SKB_DROP_REASON_QUEUE_PURGE, 'flush_gro_hash');
    }
  }
  napi.groBitmask = 0;
  napi.rxCount = 0;
}

// Reception.

/** Marks the held packets that may be of the same flow. @kernel gro_list_prepare net/core/gro.c */
function groListPrepare(list: SkBuffHead, skb: SkBuff): void {
  const maclen = (skb.dev as NetDevice).hardHeaderLen;
  for (let p = list.next; p !== null; p = p.next) {
    p.groCb.flush = 0;
    p.groCb.sameFlow =
      p.hash === skb.hash &&
      p.dev === skb.dev &&
      p.vlanPresent === skb.vlanPresent &&
      (!p.vlanPresent || (p.vlanTci === skb.vlanTci && p.vlanProto === skb.vlanProto)) &&
      sameMacHeader(p, skb, maclen);
  }
}

function sameMacHeader(p: SkBuff, skb: SkBuff, maclen: number): boolean {
  const a = p.macHeader;
  const b = skb.macHeader;
  if (maclen === ETH_HLEN) {
    return (
      view.getInt32(a) === view.getInt32(b) &&
      view.getInt32(a + 4) === view.getInt32(b + 4) &&
      view.getInt32(a + 8) === view.getInt32(b + 8) &&
      view.getUint16(a + 12) === view.getUint16(b + 12)
    );
  }
  for (let i = 0; i < maclen; i++) if (view.getUint8(a + i) !== view.getUint8(b + i)) return false;
  return true;
}

/** State of a packet that enters. */
function groCbStart(skb: SkBuff): void {
  const cb = skb.groCb;
  napiGroCbReset(cb);
  cb.flush = skb.shinfo.fragList !== null ? 1 : 0;
  cb.count = 1;
  if (skbIsGso(skb)) {
    cb.count = skb.shinfo.gsoSegs;
    if (!skbIsGsoTcp(skb) || (skb.shinfo.gsoType & SKB_GSO_DODGY) !== 0) cb.flush = 1;
  }
  if (skb.ipSummed === CHECKSUM_COMPLETE) {
    cb.csum = skb.csum;
    cb.csumValid = true;
  } else if (skb.ipSummed === CHECKSUM_UNNECESSARY) {
    cb.csumCnt = skb.csumLevel + 1;
  }
}

/** Merges, holds, or says that the packet is to pass. GRO_*. @kernel dev_gro_receive net/core/gro.c */
export function devGroReceive(napi: NapiStruct, skb: SkBuff): number {
  if (((skb.dev as NetDevice).features & NETIF_F_GRO) === 0) return GRO_NORMAL;
  const offload = findOffload(skb);
  const receive = offload === null ? null : offload.callbacks.groReceive;
  if (receive === null) return GRO_NORMAL;
  const index = skb.hash & (GRO_HASH_BUCKETS - 1);
  const list = napi.groHash[index] as SkBuffHead;
  groListPrepare(list, skb);
  skbSetNetworkHeader(skb, 0);
  skbResetMacLen(skb);
  groCbStart(skb);
  const finished = receive(list, skb);
  const cb = skb.groCb;
  const ret = cb.free !== 0 ? GRO_MERGED_FREE : GRO_MERGED;
  const { sameFlow } = cb;
  if (finished !== null) {
    __skbUnlink(finished, list);
    napiGroComplete(napi, finished);
  }
  if (sameFlow) return updateBitmask(napi, index, list, ret);
  if (cb.flush !== 0) return updateBitmask(napi, index, list, GRO_NORMAL);
  if (list.qlen >= MAX_GRO_SKBS) {
    const oldest = list.prev as SkBuff;
    __skbUnlink(oldest, list);
    napiGroComplete(napi, oldest);
  }
  cb.age = skb.machine.jiffies;
  cb.last = skb;
  if (!skbIsGso(skb)) skb.shinfo.gsoSize = skbGroLen(skb);
  __skbQueueHead(list, skb);
  return updateBitmask(napi, index, list, GRO_HELD);
}

function updateBitmask(napi: NapiStruct, index: number, list: SkBuffHead, ret: number): number {
  if (list.next !== null) napi.groBitmask |= 1 << index;
  else napi.groBitmask &= ~(1 << index);
  return ret;
}

/** @kernel gro_skb_finish net/core/gro.c */
function napiSkbFinish(napi: NapiStruct, skb: SkBuff, ret: number): number {
  if (ret === GRO_NORMAL) {
    groNormalOne(napi, skb, 1);
  } else if (ret === GRO_MERGED_FREE) {
    if (skb.groCb.free === NAPI_GRO_FREE_STOLEN_HEAD) kfreeSkbPartial(skb);
    else __kfreeSkb(skb, SKB_CONSUMED);
  }
  return ret;
}

/**
 * Takes a packet from a driver's poll: as netif_receive_skb(), but it may be merged with others.
 * GRO_*.
 * @kernel napi_gro_receive include/linux/netdevice.h
 */
export function napiGroReceive(napi: NapiStruct, skb: SkBuff): number {
  const { net } = skb.machine.trace;
  skb.napiId = napi.napiId;
  if (tracepointKey.enabled) net.napiGroReceiveEntry.probe?.(skb);
  const ret = napiSkbFinish(napi, skb, devGroReceive(napi, skb));
  if (tracepointKey.enabled) net.napiGroReceiveExit.probe?.(ret);
  return ret;
}

// Merging.

/**
 * Appends the payload of `skb` to the held packet `p`, by reference. 0, -E2BIG or -ETOOMANYREFS.
 * @kernel skb_gro_receive net/core/gro.c
 */
export function skbGroReceive(p: SkBuff, skb: SkBuff): number {
  const len = skbGroLen(skb);
  const { groMaxSize } = p.dev as NetDevice;
  // Pages of a pool and others are given back differently.
  if (p.ppRecycle !== skb.ppRecycle) return -ETOOMANYREFS;
  if (p.len + len >= groMaxSize || skb.groCb.flush !== 0) return -E2BIG;
  let delta = mergeFrags(p, skb, len);
  if (delta < 0) delta = mergeList(p, skb);
  p.groCb.count += skb.groCb.count;
  p.dataLen += len;
  p.truesize += delta;
  p.len += len;
  skb.groCb.sameFlow = true;
  if (tracepointKey.enabled) p.machine.trace.packet.packetMerge.probe?.(p, skb, MERGE_GRO);
  return 0;
}

/** Moves the payload to p's fragments; the growth of truesize, or -1 when there is no room. */
function mergeFrags(p: SkBuff, skb: SkBuff, len: number): number {
  const ps = p.shinfo;
  const ss = skb.shinfo;
  if (ps.fragList !== null) return -1;
  const offset = skbGroOffset(skb);
  const headlen = skbHeadlen(skb);
  const small = skbTruesize(skbEndOffset(skb));
  if (headlen <= offset) {
    if (ps.nrFrags + ss.nrFrags > MAX_SKB_FRAGS) return -1;
    const skip = offset - headlen;
    moveFrags(p, skb, skip);
    const delta = skb.truesize - small;
    skb.truesize = small;
    skb.len -= skb.dataLen;
    skb.dataLen = 0;
    skb.groCb.free = NAPI_GRO_FREE;
    return delta;
  }
  if (!skb.headFrag || skb.cloned) return -1;
  if (ps.nrFrags + 1 + ss.nrFrags > MAX_SKB_FRAGS) return -1;
  const first = Math.min(headlen - offset, len);
  const page = skb.ppRecycle ? virtToHeadPage(skb.head) : skb.head;
  skbFillPageDesc(p, ps.nrFrags, page, skb.data - page + offset, first);
  moveFrags(p, skb, 0);
  const delta = skb.truesize - SIZEOF_SK_BUFF;
  skb.truesize = SIZEOF_SK_BUFF;
  skb.headStolen = true;
  skb.groCb.free = NAPI_GRO_FREE_STOLEN_HEAD;
  return delta;
}

/** All fragments of `skb`, without its first `skip` bytes of them, to the end of p's. */
function moveFrags(p: SkBuff, skb: SkBuff, skip: number): void {
  const ps = p.shinfo;
  const ss = skb.shinfo;
  for (let i = 0; i < ss.nrFrags; i++) {
    const cut = i === 0 ? skip : 0;
    const off = (ss.fragOffset[i] as number) + cut;
    const size = (ss.fragSize[i] as number) - cut;
    skbFillPageDesc(p, ps.nrFrags, ss.fragPage[i] as number, off, size);
  }
  ss.nrFrags = 0;
}

/** Hangs the packet on p's frag_list; the growth of truesize. */
function mergeList(p: SkBuff, skb: SkBuff): number {
  const last = p.groCb.last ?? p;
  skbPull(skb, skbGroOffset(skb));
  skb.destructor = null;
  skb.sk = null;
  if (last === p) p.shinfo.fragList = skb;
  else last.next = skb;
  p.groCb.last = skb;
  __skbHeaderRelease(skb);
  return skb.truesize;
}

/**
 * Hangs a whole packet, from its payload on, on the held packet `p`: its headers stay before its data,
 * so that it can go on by itself again. 0, -E2BIG or -ENOMEM.
 * @kernel skb_gro_receive_list net/core/gro.c
 */
export function skbGroReceiveList(p: SkBuff, skb: SkBuff): number {
  const offset = skbGroOffset(skb);
  if (p.len + skb.len >= GSO_LEGACY_MAX_SIZE) return -E2BIG;
  if (!pskbMayPull(skb, offset)) return -ENOMEM;
  const last = p.groCb.last ?? p;
  skbPull(skb, offset);
  skb.destructor = null;
  skb.sk = null;
  if (last === p) p.shinfo.fragList = skb;
  else last.next = skb;
  p.groCb.last = skb;
  p.groCb.count++;
  p.dataLen += skb.len;
  p.truesize += skb.truesize;
  p.len += skb.len;
  skb.groCb.sameFlow = true;
  if (tracepointKey.enabled) p.machine.trace.packet.packetMerge.probe?.(p, skb, MERGE_GRO);
  return 0;
}
