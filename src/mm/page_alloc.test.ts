import { describe, expect, it } from 'vitest';
import { KernelBug } from '#kernel/bug.ts';
import { Prandom } from '#lib/prandom.ts';
import { mem, view } from '#mm/memory.ts';
import {
  allocPages,
  BLOCK_SIZE,
  CHUNK_SIZE,
  getPage,
  livePages,
  pageCapacity,
  pageRefcount,
  putPage,
} from '#mm/page_alloc.ts';

describe('packet memory', () => {
  it('gives aligned units that do not overlap, and takes all back', () => {
    const random = new Prandom('pages');
    const held = new Map<number, number>();
    const before = livePages().units;
    for (let step = 0; step < 20_000; step++) {
      if (random.below(5) < 3 || held.size === 0) {
        const size = [64, 2048, 2049, 32768, 32769, 131072][random.below(6)] as number;
        const addr = allocPages(size);
        expect(addr).toBeGreaterThan(0);
        const capacity = pageCapacity(size);
        expect(addr % 2048).toBe(0);
        mem.fill(step & 0xff, addr, addr + capacity);
        held.set(addr, (step & 0xff) * 1e6 + capacity);
      } else {
        const [addr, mark] = [...held][random.below(held.size)] as [number, number];
        const capacity = mark % 1e6;
        const byte = Math.floor(mark / 1e6);
        if (mem[addr] !== byte || mem[addr + capacity - 1] !== byte) expect.unreachable('overlap');
        putPage(addr);
        held.delete(addr);
      }
      if (held.size > 500) {
        for (const addr of held.keys()) putPage(addr);
        held.clear();
      }
    }
    for (const addr of held.keys()) putPage(addr);
    expect(livePages().units).toBe(before);
  });

  it('counts holders', () => {
    const addr = allocPages(100);
    getPage(addr);
    expect(pageRefcount(addr)).toBe(2);
    putPage(addr);
    expect(pageRefcount(addr)).toBe(1);
    putPage(addr);
    expect(() => putPage(addr)).toThrow(KernelBug);
  });

  it('says 0 when it is exhausted, and joins small units to large ones when they are free', () => {
    const slots: number[] = [];
    for (let addr = allocPages(2048); addr !== 0; addr = allocPages(2048)) slots.push(addr);
    expect(allocPages(CHUNK_SIZE)).toBe(0);
    expect(allocPages(BLOCK_SIZE)).toBe(0);
    for (const addr of slots) putPage(addr);
    const blocks: number[] = [];
    for (let addr = allocPages(BLOCK_SIZE); addr !== 0; addr = allocPages(BLOCK_SIZE))
      blocks.push(addr);
    expect(blocks.length).toBe(slots.length / 64);
    for (const addr of blocks) putPage(addr);
    expect(allocPages(BLOCK_SIZE + 1)).toBe(0);
  });

  it('names a read of freed memory and a little-endian access', () => {
    const addr = allocPages(2048);
    view.setUint16(addr, 0x0800);
    expect([mem[addr], mem[addr + 1]]).toEqual([8, 0]);
    expect(() => view.getUint16(addr, true)).toThrow(/host-byte-order/);
    putPage(addr);
    expect(() => view.getUint16(addr)).toThrow(/use-after-free/);
  });
});
