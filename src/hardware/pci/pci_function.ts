/**
 * A function of a PCI card as the bus sees it: configuration space, memory behind base address
 * registers, an interrupt pin, MSI-X vectors. A card's model holds one and answers its registers.
 *
 * Configuration registers are little-endian; what software may write is told by a mask per bit, so
 * that sizing a base address register (write all ones, read back) works as on a real bus.
 */
import { Iommu } from '#hardware/pci/iommu.ts';
import type { MsixTable } from '#hardware/pci/msix.ts';
import { raiseIrq } from '#kernel/irq.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_MEM_MASK,
  PCI_CFG_SPACE_SIZE,
  PCI_CLASS_REVISION,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_DEVICE_ID,
  PCI_INTERRUPT_LINE,
  PCI_INTERRUPT_PIN,
  PCI_STATUS,
  PCI_STATUS_INTERRUPT,
  PCI_STD_NUM_BARS,
  PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_VENDOR_ID,
} from '#uapi/pci_regs.ts';

/** What a read of a register returns when nobody answers: all ones, as an int32. */
export const PCI_NO_ANSWER = -1;

/** Registers behind a base address register. Values are int32, offsets multiples of 4. */
export interface PciRegion {
  /** A power of two, at least 16. */
  readonly size: number;
  read32(offset: number): number;
  write32(offset: number, value: number): void;
  /**
   * Accesses of 1 or 2 bytes, for cards whose registers are that narrow. Without them such reads get
   * a part of the 32 bits around, and such writes are lost.
   */
  read?(offset: number, size: 1 | 2): number;
  write?(offset: number, size: 1 | 2, value: number): void;
}

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly subVendor: number;
  readonly subDevice: number;
  /** Class and subclass, e.g. PCI_CLASS_NETWORK_ETHERNET. */
  readonly classCode: number;
  readonly revision: number;
}

export class PciFunction {
  readonly machine: Machine;
  readonly config: DataView;
  private readonly writable: Uint8Array;
  readonly regions: (PciRegion | null)[];
  readonly iommu: Iommu;
  msix: MsixTable | null;
  /** Slot on the bus; -1 while it is not plugged in. */
  slot: number;
  /** Level of the interrupt pin. */
  intx: boolean;
  /** The card loses its power: called as soon as it is pulled out. */
  powerOff: (() => void) | null;

  constructor(machine: Machine, name: string, id: PciIdentity) {
    this.machine = machine;
    this.config = new DataView(new ArrayBuffer(PCI_CFG_SPACE_SIZE));
    this.writable = new Uint8Array(PCI_CFG_SPACE_SIZE);
    this.regions = new Array<PciRegion | null>(PCI_STD_NUM_BARS).fill(null);
    this.iommu = new Iommu(name);
    this.msix = null;
    this.slot = -1;
    this.intx = false;
    this.powerOff = null;
    const { config } = this;
    config.setUint16(PCI_VENDOR_ID, id.vendor, true);
    config.setUint16(PCI_DEVICE_ID, id.device, true);
    config.setUint32(PCI_CLASS_REVISION, (id.classCode << 16) | id.revision, true);
    config.setUint16(PCI_SUBSYSTEM_VENDOR_ID, id.subVendor, true);
    config.setUint16(PCI_SUBSYSTEM_ID, id.subDevice, true);
    config.setUint8(PCI_INTERRUPT_PIN, 1);
    this.allowWrites(
      PCI_COMMAND,
      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE,
    );
    this.allowWrites(PCI_INTERRUPT_LINE, 0xff);
  }

  /** Puts registers behind base address register `bar`. */
  addRegion(bar: number, region: PciRegion): void {
    this.regions[bar] = region;
    this.allowWrites(PCI_BASE_ADDRESS_0 + 4 * bar, -region.size & PCI_BASE_ADDRESS_MEM_MASK);
  }

  /** Lets software write the bits of `mask` at `offset`. */
  allowWrites(offset: number, mask: number): void {
    for (let i = 0; i < 4; i++) {
      const at = offset + i;
      this.writable[at] = (this.writable[at] ?? 0) | ((mask >>> (8 * i)) & 0xff);
    }
  }

  /** True while the function answers at its base addresses. */
  get decoding(): boolean {
    return this.slot >= 0 && (this.config.getUint16(PCI_COMMAND, true) & PCI_COMMAND_MEMORY) !== 0;
  }

  /** True while the function may access memory. */
  get mastering(): boolean {
    return this.slot >= 0 && (this.config.getUint16(PCI_COMMAND, true) & PCI_COMMAND_MASTER) !== 0;
  }

  /** Reads 1, 2 or 4 bytes of configuration space. */
  configRead(offset: number, size: 1 | 2 | 4): number {
    if (this.slot < 0) return size === 4 ? 0xffffffff : 2 ** (8 * size) - 1;
    if (size === 1) return this.config.getUint8(offset);
    return size === 2 ? this.config.getUint16(offset, true) : this.config.getUint32(offset, true);
  }

  configWrite(offset: number, size: 1 | 2 | 4, value: number): void {
    if (this.slot < 0) return;
    for (let i = 0; i < size; i++) {
      const at = offset + i;
      const mask = this.writable[at] ?? 0;
      const old = this.config.getUint8(at);
      this.config.setUint8(at, (old & ~mask) | ((value >>> (8 * i)) & mask));
    }
    this.msix?.configChanged();
  }

  /** Sets the interrupt pin. The line is level-triggered, so only a rising edge asks for service. */
  setIntx(level: boolean): void {
    if (level === this.intx) return;
    this.intx = level;
    const { config } = this;
    const status = config.getUint16(PCI_STATUS, true) & ~PCI_STATUS_INTERRUPT;
    config.setUint16(PCI_STATUS, level ? status | PCI_STATUS_INTERRUPT : status, true);
    if (!level || this.slot < 0) return;
    if ((config.getUint16(PCI_COMMAND, true) & PCI_COMMAND_INTX_DISABLE) !== 0) return;
    raiseIrq(this.machine, config.getUint8(PCI_INTERRUPT_LINE));
  }
}
