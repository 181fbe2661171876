/**
 * MSI-X: interrupts as memory writes, one vector for each queue of a card.
 *
 * The capability and its table, as PCI Local Bus Specification 3.0, 6.8.2 has them. A vector's data is
 * the interrupt number. A vector that is masked stays pending until it is unmasked.
 */
import type { PciFunction, PciRegion } from '#hardware/pci/pci_function.ts';
import { raiseIrq } from '#kernel/irq.ts';
import {
  PCI_CAP_ID_MSIX,
  PCI_CAP_LIST_ID,
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_MSIX_ENTRY_CTRL_MASKBIT,
  PCI_MSIX_ENTRY_DATA,
  PCI_MSIX_ENTRY_SIZE,
  PCI_MSIX_ENTRY_VECTOR_CTRL,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_ENABLE,
  PCI_MSIX_FLAGS_MASKALL,
  PCI_MSIX_PBA,
  PCI_MSIX_TABLE,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
} from '#uapi/pci_regs.ts';

/** Where the capability lies in configuration space, and the pending bits behind the table. */
const CAPABILITY = 0xa0;
const PENDING_OFFSET = 0x2000;

/** Where messages go on a PC. */
export const MSI_ADDR_BASE = 0xfee00000;

export class MsixTable implements PciRegion {
  readonly size: number = 0x4000;
  private readonly pci: PciFunction;
  private readonly count: number;
  private readonly words: Int32Array;
  private readonly pending: Int32Array;

  /** Gives `pci` a capability with `count` vectors, its table behind base address register `bar`. */
  constructor(pci: PciFunction, bar: number, count: number) {
    this.pci = pci;
    this.count = count;
    this.words = new Int32Array((count * PCI_MSIX_ENTRY_SIZE) / 4);
    this.pending = new Int32Array((count + 31) >> 5);
    for (let n = 0; n < count; n++) {
      this.words[this.at(n, PCI_MSIX_ENTRY_VECTOR_CTRL)] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
    }
    const { config } = pci;
    config.setUint8(CAPABILITY + PCI_CAP_LIST_ID, PCI_CAP_ID_MSIX);
    config.setUint8(CAPABILITY + PCI_CAP_LIST_NEXT, config.getUint8(PCI_CAPABILITY_LIST));
    config.setUint8(PCI_CAPABILITY_LIST, CAPABILITY);
    config.setUint16(PCI_STATUS, config.getUint16(PCI_STATUS, true) | PCI_STATUS_CAP_LIST, true);
    config.setUint16(CAPABILITY + PCI_MSIX_FLAGS, count - 1, true);
    config.setUint32(CAPABILITY + PCI_MSIX_TABLE, bar, true);
    config.setUint32(CAPABILITY + PCI_MSIX_PBA, PENDING_OFFSET | bar, true);
    pci.allowWrites(CAPABILITY + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    pci.addRegion(bar, this);
    pci.msix = this;
  }

  get enabled(): boolean {
    return (this.flags & PCI_MSIX_FLAGS_ENABLE) !== 0;
  }

  /** The card signals a vector: an interrupt now, or when the vector is unmasked. */
  signal(vector: number): void {
    if (!this.enabled) return;
    this.pending[vector >> 5] = (this.pending[vector >> 5] ?? 0) | (1 << (vector & 31));
    this.deliver(vector);
  }

  read32(offset: number): number {
    if (offset >= PENDING_OFFSET) return this.pending[(offset - PENDING_OFFSET) >> 2] ?? 0;
    return this.words[offset >> 2] ?? 0;
  }

  write32(offset: number, value: number): void {
    if (offset >= this.count * PCI_MSIX_ENTRY_SIZE) return;
    this.words[offset >> 2] = value;
    this.deliver(Math.floor(offset / PCI_MSIX_ENTRY_SIZE));
  }

  /** The mask of the whole function may have gone. */
  configChanged(): void {
    for (let n = 0; n < this.count; n++) this.deliver(n);
  }

  private get flags(): number {
    return this.pci.config.getUint16(CAPABILITY + PCI_MSIX_FLAGS, true);
  }

  private at(vector: number, part: number): number {
    return (vector * PCI_MSIX_ENTRY_SIZE + part) >> 2;
  }

  private deliver(vector: number): void {
    const bit = 1 << (vector & 31);
    const waiting = this.pending[vector >> 5] ?? 0;
    if ((waiting & bit) === 0) return;
    const { flags } = this;
    if ((flags & PCI_MSIX_FLAGS_ENABLE) === 0 || (flags & PCI_MSIX_FLAGS_MASKALL) !== 0) return;
    const control = this.words[this.at(vector, PCI_MSIX_ENTRY_VECTOR_CTRL)] ?? 0;
    if ((control & PCI_MSIX_ENTRY_CTRL_MASKBIT) !== 0) return;
    this.pending[vector >> 5] = waiting & ~bit;
    raiseIrq(this.pci.machine, this.words[this.at(vector, PCI_MSIX_ENTRY_DATA)] ?? 0);
  }
}
