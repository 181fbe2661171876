/**
 * Memory accounting of sockets. Counterpart of the memory part of net/core/sock.c.
 *
 * A socket takes memory from its protocol in pages of 4 KiB (`skForwardAlloc` is what it has and
 * has not used), and the protocol watches the sum against net.ipv4.tcp_mem: below `pressure` all is
 * granted, above `high` nothing but the guaranteed minimum of each socket.
 */
import { PageFrag } from '#include/linux/mm_types_task.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { ProtoMemory, Sock } from '#include/net/sock.ts';
import { SOCK_SNDBUF_LOCK } from '#include/net/sock.ts';
import { inTask } from '#kernel/cpu.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { allocPages, pageRefcount, putPage } from '#mm/page_alloc.ts';
import { SOCK_STREAM } from '#uapi/socket.ts';

/** Size of an accounting page. */
export const PAGE_SIZE = 4096;
const PAGE_SHIFT = 12;

export const SK_MEM_SEND = 0;
export const SK_MEM_RECV = 1;

/** Bytes of the pages that senders fill. @kernel SKB_FRAG_PAGE_ORDER net/core/sock.c */
export const SK_FRAG_PAGE_SIZE = 32768;

/** @kernel sk_mem_pages include/net/sock.h */
export function skMemPages(amt: number): number {
  return (amt + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/** @kernel sk_has_account include/net/sock.h */
export function skHasAccount(sk: Sock): boolean {
  return sk.skMemory !== null;
}

/** @kernel sk_under_memory_pressure include/net/sock.h */
export function skUnderMemoryPressure(sk: Sock): boolean {
  return sk.skMemory !== null && sk.skMemory.memoryPressure !== 0;
}

/** Has the socket less than every socket may have, whatever the state of the protocol? */
function belowMinimum(sk: Sock, kind: number): boolean {
  const minimum = sk.skProt.memoryMin(sk.net, kind);
  if (kind === SK_MEM_RECV) return sk.skRmemAlloc < minimum;
  return (sk.skType === SOCK_STREAM ? sk.skWmemQueued : sk.skWmemAlloc) < minimum;
}

/** Under pressure a socket may have its even share. Protocols that know no pressure have none. */
function belowShare(sk: Sock, memory: ProtoMemory): boolean {
  if (sk.skProt.enterMemoryPressure === null) return false;
  if (memory.memoryPressure === 0) return true;
  const used = skMemPages(sk.skWmemQueued + sk.skRmemAlloc + sk.skForwardAlloc);
  return memory.sysctlMem[2] > memory.socketsAllocated * used;
}

/** @kernel __sk_mem_raise_allocated net/core/sock.c */
function skMemRaiseAllocated(
  sk: Sock,
  memory: ProtoMemory,
  size: number,
  amt: number,
  kind: number,
): boolean {
  const prot = sk.skProt;
  memory.memoryAllocated += amt;
  const allocated = memory.memoryAllocated;
  const [low, pressure, high] = memory.sysctlMem;
  if (allocated <= low) {
    if (memory.memoryPressure !== 0) prot.leaveMemoryPressure?.(sk);
    return true;
  }
  if (allocated > pressure) prot.enterMemoryPressure?.(sk);
  if (allocated <= high && (belowMinimum(sk, kind) || belowShare(sk, memory))) return true;
  if (kind === SK_MEM_SEND && sk.skType === SOCK_STREAM) {
    skStreamModerateSndbuf(sk);
    // A stream that is over its buffer already must be allowed to finish the packet at hand.
    if (sk.skWmemQueued + size >= sk.skSndbuf) return true;
  }
  if (tracepointKey.enabled)
    sk.net.machine.trace.sock.sockExceedBufLimit.probe?.(sk, prot, allocated, kind);
  memory.memoryAllocated -= amt;
  return false;
}

/** @kernel __sk_mem_schedule net/core/sock.c */
export function __skMemSchedule(sk: Sock, size: number, kind: number): boolean {
  const memory = sk.skMemory;
  if (memory === null) return true;
  const amt = skMemPages(size);
  sk.skForwardAlloc += amt << PAGE_SHIFT;
  if (skMemRaiseAllocated(sk, memory, size, amt, kind)) return true;
  sk.skForwardAlloc -= amt << PAGE_SHIFT;
  return false;
}

/** @kernel sk_wmem_schedule include/net/sock.h */
export function skWmemSchedule(sk: Sock, size: number): boolean {
  const delta = size - sk.skForwardAlloc;
  return delta <= 0 || __skMemSchedule(sk, delta, SK_MEM_SEND);
}

/** @kernel sk_rmem_schedule include/net/sock.h */
export function skRmemSchedule(sk: Sock, _skb: SkBuff | null, size: number): boolean {
  const delta = size - sk.skForwardAlloc;
  return delta <= 0 || __skMemSchedule(sk, delta, SK_MEM_RECV);
}

/** Takes the memory whatever the limits say: for what must not fail. @kernel sk_forced_mem_schedule net/ipv4/tcp_output.c */
export function skForcedMemSchedule(sk: Sock, size: number): void {
  const delta = size - sk.skForwardAlloc;
  const memory = sk.skMemory;
  if (delta <= 0 || memory === null) return;
  const amt = skMemPages(delta);
  sk.skForwardAlloc += amt << PAGE_SHIFT;
  memory.memoryAllocated += amt;
}

/** @kernel __sk_mem_reclaim net/core/sock.c */
function __skMemReclaim(sk: Sock, memory: ProtoMemory, amount: number): void {
  const pages = amount >> PAGE_SHIFT;
  sk.skForwardAlloc -= pages << PAGE_SHIFT;
  memory.memoryAllocated -= pages;
  if (memory.memoryPressure !== 0 && memory.memoryAllocated < memory.sysctlMem[0]) {
    sk.skProt.leaveMemoryPressure?.(sk);
  }
}

/** Gives whole unused pages back to the protocol. @kernel sk_mem_reclaim include/net/sock.h */
export function skMemReclaim(sk: Sock): void {
  const memory = sk.skMemory;
  if (memory === null) return;
  const reclaimable = sk.skForwardAlloc - sk.skReservedMem;
  if (reclaimable >= PAGE_SIZE) __skMemReclaim(sk, memory, reclaimable);
}

/** At the end of a socket: everything goes back. @kernel sk_mem_reclaim_final include/net/sock.h */
export function skMemReclaimFinal(sk: Sock): void {
  sk.skReservedMem = 0;
  skMemReclaim(sk);
}

/** @kernel sk_mem_charge include/net/sock.h */
export function skMemCharge(sk: Sock, size: number): void {
  if (sk.skMemory !== null) sk.skForwardAlloc -= size;
}

/** @kernel sk_mem_uncharge include/net/sock.h */
export function skMemUncharge(sk: Sock, size: number): void {
  if (sk.skMemory === null) return;
  sk.skForwardAlloc += size;
  skMemReclaim(sk);
}

/** Memory of a read packet goes back. @kernel sk_mem_uncharge include/net/sock.h */
export function skbRmemUncharge(sk: Sock, size: number): void {
  skMemUncharge(sk, size);
}

/** @kernel sk_wmem_queued_add include/net/sock.h */
export function skWmemQueuedAdd(sk: Sock, val: number): void {
  sk.skWmemQueued += val;
}

/** Shrinks the send buffer to what is in it when memory is scarce. @kernel sk_stream_moderate_sndbuf include/net/sock.h */
export function skStreamModerateSndbuf(sk: Sock): void {
  if ((sk.skUserlocks & SOCK_SNDBUF_LOCK) !== 0) return;
  const val = Math.min(sk.skSndbuf, sk.skWmemQueued >> 1);
  sk.skSndbuf = Math.max(val, 4608);
}

/** Gives the page back. @kernel page_frag_cache_drain mm/page_frag_cache.c */
export function pageFragDrain(pfrag: PageFrag): void {
  if (pfrag.page !== 0) putPage(pfrag.page);
  pfrag.page = 0;
  pfrag.offset = 0;
}

/**
 * The page to fill. What a task writes to all its sockets goes to one, so that a thousand
 * connections of a few bytes touch one page, not a thousand.
 * @kernel sk_page_frag include/net/sock.h
 */
function skPageFrag(sk: Sock): PageFrag {
  const { machine } = sk.net;
  const { current } = machine.tasks;
  const sends = current !== null && current.exitCode === null && inTask(machine.cpu);
  if (!sends || !sk.skNetRefcnt) {
    sk.skFrag ??= new PageFrag();
    return sk.skFrag;
  }
  if (current.taskFrag === null) {
    const pfrag = new PageFrag();
    current.taskFrag = pfrag;
    current.onExit.push(() => pageFragDrain(pfrag));
  }
  return current.taskFrag;
}

/** Makes sure that at least one byte of the page is free. False: no memory. @kernel skb_page_frag_refill net/core/sock.c */
function skbPageFragRefill(pfrag: PageFrag): boolean {
  if (pfrag.page !== 0) {
    if (pageRefcount(pfrag.page) === 1) pfrag.offset = 0;
    if (pfrag.offset < pfrag.size) return true;
    pageFragDrain(pfrag);
  }
  pfrag.page = allocPages(SK_FRAG_PAGE_SIZE);
  pfrag.offset = 0;
  pfrag.size = SK_FRAG_PAGE_SIZE;
  return pfrag.page !== 0;
}

/**
 * The page that the socket's sender fills, with at least one byte free; null: no memory.
 * @kernel sk_page_frag_refill net/core/sock.c
 */
export function skPageFragRefill(sk: Sock): PageFrag | null {
  const pfrag = skPageFrag(sk);
  if (skbPageFragRefill(pfrag)) return pfrag;
  sk.skProt.enterMemoryPressure?.(sk);
  skStreamModerateSndbuf(sk);
  return null;
}

/** Allocates option memory; false when over net.core.optmem_max. @kernel sock_kmalloc net/core/sock.c */
export function sockKmalloc(sk: Sock, size: number): boolean {
  if (size > sk.net.sysctlOptmemMax || sk.skOmemAlloc + size > sk.net.sysctlOptmemMax) return false;
  sk.skOmemAlloc += size;
  return true;
}

/** @kernel sock_kfree_s net/core/sock.c */
export function sockKfreeS(sk: Sock, size: number): void {
  sk.skOmemAlloc -= size;
}
