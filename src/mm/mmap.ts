/**
 * Memory that programs share with packets. A program's own memory is its JavaScript heap, which no
 * packet can refer to; what it has mapped lies in the arena. Sent with MSG_ZEROCOPY it is not copied,
 * and what is received into it never was.
 *
 * Counterpart of mm/mmap.c for anonymous memory, and of what TCP_ZEROCOPY_RECEIVE maps.
 */
import type { Task } from '#kernel/sched/task.ts';
import { mem } from '#mm/memory.ts';
import { allocPages, BLOCK_SIZE, getPage, putPage, virtToHeadPage } from '#mm/page_alloc.ts';
import { EINVAL, ENOMEM } from '#uapi/errno.ts';

/** Everything goes back when the task exits. @kernel exit_mmap mm/mmap.c */
function exitMmap(mapped: Set<Uint8Array>): void {
  for (const memory of mapped) putPage(virtToHeadPage(memory.byteOffset));
  mapped.clear();
}

/** What the task has mapped; each has a reference to the unit that it lies in. @kernel mm_struct include/linux/mm_types.h */
function mappedOf(task: Task): Set<Uint8Array> {
  if (task.mapped === null) {
    const mapped = new Set<Uint8Array>();
    task.mapped = mapped;
    task.onExit.push(() => exitMmap(mapped));
  }
  return task.mapped;
}

/**
 * Zeroed memory of `length` bytes, at most 128 KiB; or -EINVAL, -ENOMEM.
 * @kernel do_mmap mm/mmap.c
 */
export function doMmap(task: Task, length: number): Uint8Array | number {
  if (!Number.isInteger(length) || length <= 0) return -EINVAL;
  if (length > BLOCK_SIZE) return -ENOMEM;
  const page = allocPages(length);
  if (page === 0) return -ENOMEM;
  const memory = mem.subarray(page, page + length);
  memory.fill(0);
  mappedOf(task).add(memory);
  return memory;
}

/** Lets a task see memory in use, with a reference of its own. @kernel vm_insert_pages mm/memory.c */
export function vmInsertPages(task: Task, addr: number, length: number): Uint8Array {
  getPage(virtToHeadPage(addr));
  const memory = mem.subarray(addr, addr + length);
  mappedOf(task).add(memory);
  return memory;
}

/** Gives memory back: 0, or -EINVAL when the task has not mapped it. @kernel do_munmap mm/vma.c */
export function doMunmap(task: Task, memory: Uint8Array): number {
  if (task.mapped === null || !task.mapped.delete(memory)) return -EINVAL;
  putPage(virtToHeadPage(memory.byteOffset));
  return 0;
}

/** Whether bytes lie in packet memory: of what a program has, only what it has mapped does. */
export function isMapped(bytes: Uint8Array): boolean {
  return bytes.buffer === mem.buffer;
}
