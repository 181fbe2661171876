/**
 * A virtio device on the PCI bus: capabilities, the common configuration, doorbells, interrupts.
 * Virtio 1.2 section 4.1. What kind of device it is, is the business of the {@link VirtioBackend}.
 *
 * Left out: the capability that gives access to registers through configuration space (4.1.4.9),
 * which exists for firmware.
 */
import { MsixTable } from '#hardware/pci/msix.ts';
import { PciFunction, type PciRegion } from '#hardware/pci/pci_function.ts';
import {
  resetQueue,
  ringsInMemory,
  type VirtioQueue,
  wantsInterrupt,
} from '#hardware/virtio/virtio_queue.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  PCI_CAP_LIST_ID,
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
} from '#uapi/pci_regs.ts';
import {
  PCI_VENDOR_ID_REDHAT_QUMRANET,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_CONFIG_S_NEEDS_RESET,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
  VIRTIO_PCI_MODERN_DEVICE_BASE,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '#uapi/virtio_config.ts';
import {
  PCI_CAP_ID_VNDR,
  VIRTIO_MSI_NO_VECTOR,
  VIRTIO_PCI_CAP_BAR,
  VIRTIO_PCI_CAP_CFG_TYPE,
  VIRTIO_PCI_CAP_COMMON_CFG,
  VIRTIO_PCI_CAP_DEVICE_CFG,
  VIRTIO_PCI_CAP_ISR_CFG,
  VIRTIO_PCI_CAP_LEN,
  VIRTIO_PCI_CAP_LENGTH,
  VIRTIO_PCI_CAP_NOTIFY_CFG,
  VIRTIO_PCI_CAP_OFFSET,
  VIRTIO_PCI_CAP_SIZEOF,
  VIRTIO_PCI_COMMON_CFG_SIZEOF,
  VIRTIO_PCI_COMMON_CFGGENERATION,
  VIRTIO_PCI_COMMON_DF,
  VIRTIO_PCI_COMMON_DFSELECT,
  VIRTIO_PCI_COMMON_GF,
  VIRTIO_PCI_COMMON_GFSELECT,
  VIRTIO_PCI_COMMON_MSIX,
  VIRTIO_PCI_COMMON_NUMQ,
  VIRTIO_PCI_COMMON_Q_AVAILHI,
  VIRTIO_PCI_COMMON_Q_AVAILLO,
  VIRTIO_PCI_COMMON_Q_DESCHI,
  VIRTIO_PCI_COMMON_Q_DESCLO,
  VIRTIO_PCI_COMMON_Q_ENABLE,
  VIRTIO_PCI_COMMON_Q_MSIX,
  VIRTIO_PCI_COMMON_Q_NOFF,
  VIRTIO_PCI_COMMON_Q_SELECT,
  VIRTIO_PCI_COMMON_Q_SIZE,
  VIRTIO_PCI_COMMON_Q_USEDHI,
  VIRTIO_PCI_COMMON_Q_USEDLO,
  VIRTIO_PCI_COMMON_STATUS,
  VIRTIO_PCI_ISR_CONFIG,
  VIRTIO_PCI_ISR_QUEUE,
  VIRTIO_PCI_NOTIFY_CAP_MULT,
  VIRTIO_PCI_NOTIFY_CAP_SIZEOF,
} from '#uapi/virtio_pci.ts';

// Where in the bar what lies.
const MSIX_BAR = 1;
const REGISTERS_BAR = 4;
const REGION_SIZE = 0x4000;
const COMMON_AT = 0;
const ISR_AT = 0x1000;
const DEVICE_AT = 0x2000;
const NOTIFY_AT = 0x3000;
const NOTIFY_MULTIPLIER = 4;
/** Where the first capability lies in configuration space. */
const FIRST_CAPABILITY = 0x40;

/** Bits of the transport that a device may offer beside its own; VERSION_1 it must. */
export const VIRTIO_TRANSPORT_FEATURES: readonly number[] = [
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ACCESS_PLATFORM,
];

/** What kind of device it is. */
export interface VirtioBackend {
  readonly virtioId: number;
  readonly classCode: number;
  readonly queues: readonly VirtioQueue[];
  /** Its own configuration, as the driver sees it; the driver may not write there. */
  readonly config: DataView;
  /** Features that do not fit together are refused. */
  acceptFeatures(transport: VirtioPciTransport): boolean;
  /** The driver is ready: queues may be used. */
  started(): void;
  /** All as after power-on. */
  reset(): void;
  /** The driver has put something into queue `index`, which is enabled. */
  notified(index: number): void;
  powerOff(): void;
}

function bit(words: Uint32Array, n: number): boolean {
  return (((words[n >> 5] as number) >>> (n & 31)) & 1) !== 0;
}

export class VirtioPciTransport implements PciRegion {
  readonly size: number = REGION_SIZE;
  readonly pci: PciFunction;
  readonly backend: VirtioBackend;
  /** What the device offers, and what the driver has taken. */
  readonly offered: Uint32Array;
  readonly accepted: Uint32Array;
  private readonly vectors: number;
  private readonly msix: MsixTable | null;
  private status: number;
  private isr: number;
  private generation: number;
  private configVector: number;
  private deviceSelect: number;
  private driverSelect: number;
  private queueSelect: number;

  /**
   * @param features numbers of the feature bits on offer
   * @param vectors MSI-X vectors; 0: the device has the pin only
   */
  constructor(
    machine: Machine,
    name: string,
    backend: VirtioBackend,
    features: readonly number[],
    vectors: number,
  ) {
    this.backend = backend;
    this.pci = new PciFunction(machine, name, {
      vendor: PCI_VENDOR_ID_REDHAT_QUMRANET,
      device: VIRTIO_PCI_MODERN_DEVICE_BASE + backend.virtioId,
      subVendor: PCI_VENDOR_ID_REDHAT_QUMRANET,
      subDevice: 0x1100,
      classCode: backend.classCode,
      revision: 1,
    });
    this.offered = new Uint32Array(2);
    this.accepted = new Uint32Array(2);
    for (const n of features) {
      this.offered[n >> 5] = (this.offered[n >> 5] as number) | (1 << (n & 31));
    }
    this.vectors = vectors;
    this.status = 0;
    this.isr = 0;
    this.generation = 0;
    this.configVector = VIRTIO_MSI_NO_VECTOR;
    this.deviceSelect = 0;
    this.driverSelect = 0;
    this.queueSelect = 0;
    this.pci.addRegion(REGISTERS_BAR, this);
    this.pci.powerOff = () => {
      this.reset();
      backend.powerOff();
    };
    this.addCapabilities(backend.queues.length, backend.config.byteLength);
    this.msix = vectors > 0 ? new MsixTable(this.pci, MSIX_BAR, vectors) : null;
  }

  /** Has the driver taken this feature? */
  has(feature: number): boolean {
    return bit(this.accepted, feature);
  }

  /** True between DRIVER_OK and a reset, and while nothing is wrong. */
  get running(): boolean {
    const { status } = this;
    return (
      (status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0 &&
      (status & VIRTIO_CONFIG_S_NEEDS_RESET) === 0 &&
      this.pci.mastering
    );
  }

  /** The driver has broken the rules: nothing goes on before a reset. */
  fail(): void {
    this.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    this.configChanged();
  }

  /** Interrupts for what a queue has used, if the driver wants that. */
  signal(q: VirtioQueue): void {
    if (!wantsInterrupt(q)) return;
    if (this.msix?.enabled === true) {
      if (q.vector !== VIRTIO_MSI_NO_VECTOR) this.msix.signal(q.vector);
      return;
    }
    this.isr |= VIRTIO_PCI_ISR_QUEUE;
    this.pci.setIntx(true);
  }

  /** The device's configuration has changed. */
  configChanged(): void {
    this.generation = (this.generation + 1) & 0xff;
    if ((this.status & VIRTIO_CONFIG_S_DRIVER_OK) === 0) return;
    if (this.msix?.enabled === true) {
      if (this.configVector !== VIRTIO_MSI_NO_VECTOR) this.msix.signal(this.configVector);
      return;
    }
    this.isr |= VIRTIO_PCI_ISR_CONFIG;
    this.pci.setIntx(true);
  }

  read32(offset: number): number {
    return this.read(offset, 2) | (this.read(offset + 2, 2) << 16) | 0;
  }

  write32(offset: number, value: number): void {
    if (this.writeWide(offset, value)) return;
    this.write(offset, 2, value & 0xffff);
    this.write(offset + 2, 2, value >>> 16);
  }

  read(offset: number, size: 1 | 2): number {
    if (offset >= NOTIFY_AT) return 0;
    if (offset >= DEVICE_AT) return this.readConfig(offset - DEVICE_AT, size);
    if (offset >= ISR_AT) return offset === ISR_AT ? this.readIsr() : 0;
    return this.readCommon(offset - COMMON_AT);
  }

  write(offset: number, _size: 1 | 2, value: number): void {
    if (offset >= NOTIFY_AT) {
      const index = (offset - NOTIFY_AT) / NOTIFY_MULTIPLIER;
      // Rings of a queue that is not enabled lie nowhere.
      if (this.running && this.backend.queues[index]?.enabled === true) {
        this.backend.notified(index);
      }
    } else if (offset < ISR_AT) {
      this.writeCommon(offset - COMMON_AT, value);
    }
  }

  private addCapabilities(queues: number, configLength: number): void {
    let at = FIRST_CAPABILITY;
    at = this.addCapability(at, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_AT, VIRTIO_PCI_COMMON_CFG_SIZEOF);
    at = this.addCapability(at, VIRTIO_PCI_CAP_ISR_CFG, ISR_AT, 4);
    at = this.addCapability(at, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_AT, configLength);
    this.addCapability(at, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_AT, queues * NOTIFY_MULTIPLIER);
    this.pci.config.setUint32(at + VIRTIO_PCI_NOTIFY_CAP_MULT, NOTIFY_MULTIPLIER, true);
    this.pci.config.setUint8(at + VIRTIO_PCI_CAP_LEN, VIRTIO_PCI_NOTIFY_CAP_SIZEOF);
  }

  /** Writes a capability and puts it first in the list; returns where the next may lie. */
  private addCapability(at: number, type: number, offset: number, length: number): number {
    const { config } = this.pci;
    config.setUint8(at + PCI_CAP_LIST_ID, PCI_CAP_ID_VNDR);
    config.setUint8(at + PCI_CAP_LIST_NEXT, config.getUint8(PCI_CAPABILITY_LIST));
    config.setUint8(at + VIRTIO_PCI_CAP_LEN, VIRTIO_PCI_CAP_SIZEOF);
    config.setUint8(at + VIRTIO_PCI_CAP_CFG_TYPE, type);
    config.setUint8(at + VIRTIO_PCI_CAP_BAR, REGISTERS_BAR);
    config.setUint32(at + VIRTIO_PCI_CAP_OFFSET, offset, true);
    config.setUint32(at + VIRTIO_PCI_CAP_LENGTH, length, true);
    config.setUint8(PCI_CAPABILITY_LIST, at);
    config.setUint16(PCI_STATUS, config.getUint16(PCI_STATUS, true) | PCI_STATUS_CAP_LIST, true);
    return at + VIRTIO_PCI_CAP_SIZEOF;
  }

  private reset(): void {
    this.status = 0;
    this.isr = 0;
    this.configVector = VIRTIO_MSI_NO_VECTOR;
    this.queueSelect = 0;
    this.accepted.fill(0);
    this.pci.setIntx(false);
    for (const q of this.backend.queues) resetQueue(q);
    this.backend.reset();
  }

  private readIsr(): number {
    const { isr } = this;
    this.isr = 0;
    this.pci.setIntx(false);
    return isr;
  }

  private get queue(): VirtioQueue | null {
    return this.backend.queues[this.queueSelect] ?? null;
  }

  /** 16 bits of the common configuration; a byte is the lower half of them. */
  private readCommon(field: number): number {
    const low = (value: number): number => value & 0xffff;
    switch (field) {
      case VIRTIO_PCI_COMMON_DF:
        return low(this.offeredWord());
      case VIRTIO_PCI_COMMON_DF + 2:
        return this.offeredWord() >>> 16;
      case VIRTIO_PCI_COMMON_GF:
        return low(this.accepted[this.driverSelect] ?? 0);
      case VIRTIO_PCI_COMMON_GF + 2:
        return (this.accepted[this.driverSelect] ?? 0) >>> 16;
      case VIRTIO_PCI_COMMON_DFSELECT:
        return low(this.deviceSelect);
      case VIRTIO_PCI_COMMON_GFSELECT:
        return low(this.driverSelect);
      case VIRTIO_PCI_COMMON_MSIX:
        return this.configVector;
      case VIRTIO_PCI_COMMON_NUMQ:
        return this.backend.queues.length;
      case VIRTIO_PCI_COMMON_STATUS:
        return this.status | (this.generation << 8);
      case VIRTIO_PCI_COMMON_CFGGENERATION:
        return this.generation;
      case VIRTIO_PCI_COMMON_Q_SELECT:
        return this.queueSelect;
      default:
        return this.readQueue(field);
    }
  }

  private offeredWord(): number {
    return this.offered[this.deviceSelect] ?? 0;
  }

  private readQueue(field: number): number {
    const q = this.queue;
    if (q === null) return 0;
    switch (field) {
      case VIRTIO_PCI_COMMON_Q_SIZE:
        return q.size;
      case VIRTIO_PCI_COMMON_Q_MSIX:
        return q.vector;
      case VIRTIO_PCI_COMMON_Q_ENABLE:
        return q.enabled ? 1 : 0;
      case VIRTIO_PCI_COMMON_Q_NOFF:
        return q.index;
      case VIRTIO_PCI_COMMON_Q_DESCLO:
        return q.desc & 0xffff;
      case VIRTIO_PCI_COMMON_Q_DESCLO + 2:
        return q.desc >>> 16;
      case VIRTIO_PCI_COMMON_Q_AVAILLO:
        return q.avail & 0xffff;
      case VIRTIO_PCI_COMMON_Q_AVAILLO + 2:
        return q.avail >>> 16;
      case VIRTIO_PCI_COMMON_Q_USEDLO:
        return q.used & 0xffff;
      case VIRTIO_PCI_COMMON_Q_USEDLO + 2:
        return q.used >>> 16;
      default:
        return 0;
    }
  }

  /** Fields of 32 bits; false: not one of them. */
  private writeWide(offset: number, value: number): boolean {
    const q = this.queue;
    switch (offset - COMMON_AT) {
      case VIRTIO_PCI_COMMON_DFSELECT:
        this.deviceSelect = value >>> 0;
        return true;
      case VIRTIO_PCI_COMMON_GFSELECT:
        this.driverSelect = value >>> 0;
        return true;
      case VIRTIO_PCI_COMMON_GF:
        if (this.driverSelect < 2 && (this.status & VIRTIO_CONFIG_S_FEATURES_OK) === 0) {
          this.accepted[this.driverSelect] = value;
        }
        return true;
      case VIRTIO_PCI_COMMON_DF:
        return true;
      case VIRTIO_PCI_COMMON_Q_DESCLO:
        if (q !== null && !q.enabled) q.desc = value >>> 0;
        return true;
      case VIRTIO_PCI_COMMON_Q_AVAILLO:
        if (q !== null && !q.enabled) q.avail = value >>> 0;
        return true;
      case VIRTIO_PCI_COMMON_Q_USEDLO:
        if (q !== null && !q.enabled) q.used = value >>> 0;
        return true;
      case VIRTIO_PCI_COMMON_Q_DESCHI:
      case VIRTIO_PCI_COMMON_Q_AVAILHI:
      case VIRTIO_PCI_COMMON_Q_USEDHI:
        if (q !== null && !q.enabled) q.high |= value;
        return true;
      default:
        return false;
    }
  }

  private writeCommon(field: number, value: number): void {
    const q = this.queue;
    switch (field) {
      case VIRTIO_PCI_COMMON_STATUS:
        this.writeStatus(value & 0xff);
        return;
      case VIRTIO_PCI_COMMON_MSIX:
        this.configVector = this.vector(value);
        return;
      case VIRTIO_PCI_COMMON_Q_SELECT:
        this.queueSelect = value;
        return;
      case VIRTIO_PCI_COMMON_Q_SIZE:
        if (q !== null && !q.enabled) this.resize(q, value);
        return;
      case VIRTIO_PCI_COMMON_Q_MSIX:
        if (q !== null) q.vector = this.vector(value);
        return;
      case VIRTIO_PCI_COMMON_Q_ENABLE:
        if (q !== null && value === 1 && !q.enabled) this.enable(q);
        return;
      default:
    }
  }

  private vector(value: number): number {
    return value < this.vectors ? value : VIRTIO_MSI_NO_VECTOR;
  }

  private resize(q: VirtioQueue, size: number): void {
    if (size > 0 && size <= q.sizeMax && (size & (size - 1)) === 0) q.size = size;
  }

  private enable(q: VirtioQueue): void {
    if (!ringsInMemory(q)) {
      this.fail();
      return;
    }
    q.event = this.has(VIRTIO_RING_F_EVENT_IDX);
    q.enabled = true;
  }

  private writeStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    const before = this.status;
    // Only the device sets NEEDS_RESET, and only a reset clears anything.
    this.status = before | (value & ~VIRTIO_CONFIG_S_NEEDS_RESET);
    const news = this.status & ~before;
    if ((news & VIRTIO_CONFIG_S_FEATURES_OK) !== 0 && !this.featuresFit()) {
      this.status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
    }
    if ((news & VIRTIO_CONFIG_S_DRIVER_OK) !== 0) this.backend.started();
  }

  private featuresFit(): boolean {
    for (let word = 0; word < 2; word++) {
      if (((this.accepted[word] as number) & ~(this.offered[word] as number)) !== 0) return false;
    }
    return this.has(VIRTIO_F_VERSION_1) && this.backend.acceptFeatures(this);
  }

  private readConfig(offset: number, size: 1 | 2): number {
    const { config } = this.backend;
    if (offset + size > config.byteLength) return 0;
    return size === 1 ? config.getUint8(offset) : config.getUint16(offset, true);
  }
}
