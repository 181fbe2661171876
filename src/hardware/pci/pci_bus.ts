/**
 * The PCI bus of a machine: 32 slots, one function each, into which cards are plugged before the
 * kernel boots or while it runs, and the memory window through which their registers are reached.
 */
import { PCI_NO_ANSWER, type PciFunction, type PciRegion } from '#hardware/pci/pci_function.ts';
import { PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_MASK } from '#uapi/pci_regs.ts';

export const PCI_SLOTS = 32;

/** Where base addresses may lie. */
export const PCI_MEMORY_BASE = 0xe0000000;
export const PCI_MEMORY_END = 0xfe000000;

/** Who is told that a card was plugged in or pulled out: the kernel's hot-plug driver. */
export interface PciHotplug {
  added(pci: PciFunction): void;
  /** The card is gone already: its registers read as all ones. */
  removed(pci: PciFunction): void;
}

/** A window on a card's registers. All ones are read once the card does not answer. */
export class PciIomem {
  private readonly pci: PciFunction;
  private readonly region: PciRegion;

  constructor(pci: PciFunction, region: PciRegion) {
    this.pci = pci;
    this.region = region;
  }

  /** @kernel readl include/asm-generic/io.h */
  readl(offset: number): number {
    return this.pci.decoding ? this.region.read32(offset) : PCI_NO_ANSWER;
  }

  /** @kernel writel include/asm-generic/io.h */
  writel(value: number, offset: number): void {
    if (this.pci.decoding) this.region.write32(offset, value);
  }

  /** @kernel readb include/asm-generic/io.h */
  readb(offset: number): number {
    return this.narrow(offset, 1);
  }

  /** @kernel readw include/asm-generic/io.h */
  readw(offset: number): number {
    return this.narrow(offset, 2);
  }

  /** @kernel writeb include/asm-generic/io.h */
  writeb(value: number, offset: number): void {
    if (this.pci.decoding) this.region.write?.(offset, 1, value & 0xff);
  }

  /** @kernel writew include/asm-generic/io.h */
  writew(value: number, offset: number): void {
    if (this.pci.decoding) this.region.write?.(offset, 2, value & 0xffff);
  }

  private narrow(offset: number, size: 1 | 2): number {
    const mask = size === 1 ? 0xff : 0xffff;
    if (!this.pci.decoding) return mask;
    const { region } = this;
    if (region.read !== undefined) return region.read(offset, size) & mask;
    return (region.read32(offset & ~3) >>> (8 * (offset & 3))) & mask;
  }
}

export class PciBus {
  readonly slots: (PciFunction | null)[];
  hotplug: PciHotplug | null;

  constructor() {
    this.slots = new Array<PciFunction | null>(PCI_SLOTS).fill(null);
    this.hotplug = null;
  }

  /** Plugs a card into the first free slot, or into `slot`. Throws RangeError when there is none. */
  plug(pci: PciFunction, slot: number = this.slots.indexOf(null)): void {
    if (slot < 0 || slot >= PCI_SLOTS) throw new RangeError('no free PCI slot');
    if (this.slots[slot] !== null) throw new RangeError(`PCI slot ${slot} is taken`);
    this.slots[slot] = pci;
    pci.slot = slot;
    this.hotplug?.added(pci);
  }

  /** Pulls a card out, without asking the kernel first. */
  unplug(pci: PciFunction): void {
    if (pci.slot < 0) return;
    this.slots[pci.slot] = null;
    pci.slot = -1;
    pci.powerOff?.();
    this.hotplug?.removed(pci);
  }

  /** The registers that answer at a bus address. */
  iomap(address: number): PciIomem | null {
    for (const pci of this.slots) {
      if (pci === null) continue;
      for (const [bar, region] of pci.regions.entries()) {
        if (region === null) continue;
        const base = pci.config.getUint32(PCI_BASE_ADDRESS_0 + 4 * bar, true);
        if ((base & PCI_BASE_ADDRESS_MEM_MASK) >>> 0 === address >>> 0) {
          return new PciIomem(pci, region);
        }
      }
    }
    return null;
  }
}
