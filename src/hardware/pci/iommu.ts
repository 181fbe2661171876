/**
 * What a card may read and write: the mappings that its driver has made. In debug builds every access
 * of a card is held against them, as an IOMMU does, and every unmapping against its mapping, as
 * Linux's CONFIG_DMA_API_DEBUG does (kernel/dma/debug.c). Other builds keep no books.
 */
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';

export const DMA_BIDIRECTIONAL = 0;
/** The card reads. */
export const DMA_TO_DEVICE = 1;
/** The card writes. */
export const DMA_FROM_DEVICE = 2;

const DIRECTIONS: readonly string[] = ['both ways', 'to the device', 'from the device'];

interface Mapping {
  readonly addr: number;
  readonly len: number;
  readonly dir: number;
}

/** Memory is looked up by blocks of this many bytes, log 2. */
const BLOCK_SHIFT = 11;

function show(addr: number, len: number, dir: number): string {
  return `${len} bytes at ${addr.toString(16)} ${DIRECTIONS[dir] ?? '?'}`;
}

export class Iommu {
  private readonly owner: string;
  /** Debug builds: the mappings that touch a block of memory. */
  private readonly blocks: Map<number, Mapping[]>;
  /** Mappings alive. */
  live: number;

  /** @param owner what to call the card in messages */
  constructor(owner: string) {
    this.owner = owner;
    this.blocks = new Map();
    this.live = 0;
  }

  /** Opens memory to the card; returns the address the card is to use. */
  map(addr: number, len: number, dir: number): number {
    this.live++;
    if (!DEBUG) return addr;
    const mapping = { addr, len, dir };
    for (let block = addr >> BLOCK_SHIFT; block <= (addr + len - 1) >> BLOCK_SHIFT; block++) {
      const list = this.blocks.get(block);
      if (list === undefined) this.blocks.set(block, [mapping]);
      else list.push(mapping);
    }
    return addr;
  }

  /** Closes it again. All three must be what they were when it was mapped. */
  unmap(addr: number, len: number, dir: number): void {
    if (!DEBUG) {
      this.live--;
      return;
    }
    const found = this.at(addr).find((m) => m.addr === addr && m.len === len && m.dir === dir);
    if (found === undefined) {
      throw new KernelBug(
        'dma-unmap-mismatch',
        `${this.owner} unmaps what it has not mapped: ${show(addr, len, dir)}`,
      );
    }
    this.live--;
    for (let block = addr >> BLOCK_SHIFT; block <= (addr + len - 1) >> BLOCK_SHIFT; block++) {
      const list = this.at(block << BLOCK_SHIFT);
      list.splice(list.indexOf(found), 1);
      if (list.length === 0) this.blocks.delete(block);
    }
  }

  /** The card accesses memory. Debug builds throw when no mapping allows it. */
  check(addr: number, len: number, dir: number): void {
    if (!DEBUG) return;
    for (const m of this.at(addr)) {
      const covers = addr >= m.addr && addr + len <= m.addr + m.len;
      if (covers && (m.dir === DMA_BIDIRECTIONAL || m.dir === dir)) return;
    }
    throw new KernelBug(
      'dma-fault',
      `${this.owner} accesses memory that is not mapped for it: ${show(addr, len, dir)}`,
    );
  }

  /** Debug builds: throws when mappings are left, since the card would write into freed memory. */
  assertEmpty(): void {
    if (!DEBUG || this.live === 0) return;
    const [first] = [...this.blocks.values()].flat();
    const example = first === undefined ? '' : `, e.g. ${show(first.addr, first.len, first.dir)}`;
    throw new KernelBug('dma-leak', `${this.owner} left ${this.live} DMA mappings${example}`);
  }

  private at(addr: number): Mapping[] {
    return this.blocks.get(addr >> BLOCK_SHIFT) ?? [];
  }
}
