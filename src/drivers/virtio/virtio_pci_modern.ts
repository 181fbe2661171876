/**
 * virtio devices on PCI. Counterpart of drivers/virtio/virtio_pci_modern.c, virtio_pci_modern_dev.c
 * and virtio_pci_common.c. Virtio 1.2 section 4.1; legacy devices are not supported.
 *
 * A capability of the card says for each kind of register in which bar and where it lies. Interrupts
 * are, by what there is: a vector for each queue, one for all queues, or the pin.
 */
import { pciAllocIrqVectors, pciFreeIrqVectors, pciIrqVector } from '#drivers/pci/msi.ts';
import {
  pciDeviceIsPresent,
  pciDisableDevice,
  pciEnableDeviceMem,
  pciIomap,
  pciName,
  pciReleaseRegions,
  pciRequestRegions,
  pciSetMaster,
} from '#drivers/pci/pci.ts';
import { pciRegisterDriver } from '#drivers/pci/pci-driver.ts';
import {
  registerVirtioDevice,
  unregisterVirtioDevice,
  virtioConfigChanged,
} from '#drivers/virtio/virtio.ts';
import {
  virtioBreakDevice,
  vringCreateVirtqueue,
  vringDelVirtqueue,
  vringInterrupt,
} from '#drivers/virtio/virtio_ring.ts';
import type { PciIomem } from '#hardware/pci/pci_bus.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { PCI_ANY_ID, type PciDev, type PciDeviceId, type PciDriver } from '#include/linux/pci.ts';
import {
  type VirtioConfigOps,
  VirtioDevice,
  type Virtqueue,
  type VirtqueueInfo,
  virtioHasFeature,
} from '#include/linux/virtio.ts';
import { freeIrq, IRQ_HANDLED, IRQ_NONE, irqSetAffinity, requestIrq } from '#kernel/irq.ts';
import type { Machine } from '#kernel/machine.ts';
import { EBUSY, EINVAL, ENODEV, ENOENT, ENOMEM } from '#uapi/errno.ts';
import {
  PCI_CAP_LIST_ID,
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
} from '#uapi/pci_regs.ts';
import {
  PCI_VENDOR_ID_REDHAT_QUMRANET,
  VIRTIO_F_VERSION_1,
  VIRTIO_PCI_MODERN_DEVICE_BASE,
} from '#uapi/virtio_config.ts';
import {
  PCI_CAP_ID_VNDR,
  VIRTIO_MSI_NO_VECTOR,
  VIRTIO_PCI_CAP_BAR,
  VIRTIO_PCI_CAP_CFG_TYPE,
  VIRTIO_PCI_CAP_COMMON_CFG,
  VIRTIO_PCI_CAP_DEVICE_CFG,
  VIRTIO_PCI_CAP_ISR_CFG,
  VIRTIO_PCI_CAP_LENGTH,
  VIRTIO_PCI_CAP_NOTIFY_CFG,
  VIRTIO_PCI_CAP_OFFSET,
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
} from '#uapi/virtio_pci.ts';

const VIRTIO_PCI_DRIVER_NAME = 'virtio-pci';
/** Device ids of modern devices end here. */
const LAST_MODERN_DEVICE = 0x107f;
/** A reset that has not ended after so many looks never will. */
const RESET_LOOKS = 1000;
/** Largest ring whose number of entries is believed. */
const MAX_QUEUE_SIZE = 32768;

/** Registers somewhere in a bar. */
interface Window {
  readonly regs: PciIomem;
  readonly offset: number;
  readonly length: number;
  /** Notify registers: bytes from one queue's to the next. */
  readonly multiplier: number;
}

/** How the interrupts of a device come. */
const IRQ_NONE_YET = 0;
const IRQ_PER_VQ = 1;
const IRQ_SHARED_VECTOR = 2;
const IRQ_INTX = 3;

/** @kernel virtio_pci_device drivers/virtio/virtio_pci_common.h */
class VirtioPciDevice {
  readonly pdev: PciDev;
  readonly common: Window;
  readonly notify: Window;
  readonly isr: Window;
  readonly device: Window | null;
  vdev: VirtioDevice | null;
  /** IRQ_* above. */
  irqMode: number;
  /** What was requested, to be given back. */
  readonly handlers: { irq: number; devId: unknown }[];

  constructor(pdev: PciDev, common: Window, notify: Window, isr: Window, device: Window | null) {
    this.pdev = pdev;
    this.common = common;
    this.notify = notify;
    this.isr = isr;
    this.device = device;
    this.vdev = null;
    this.irqMode = IRQ_NONE_YET;
    this.handlers = [];
  }
}

function vpDev(vdev: VirtioDevice): VirtioPciDevice {
  return vdev.transport as VirtioPciDevice;
}

// Finding the registers.

/** The registers of one type; null when no capability names them, or it names nonsense. @kernel virtio_pci_find_capability drivers/virtio/virtio_pci_modern_dev.c */
function findWindow(pdev: PciDev, type: number, minLength: number): Window | null {
  const fn = pdev.function;
  if ((fn.configRead(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) === 0) return null;
  let pos = fn.configRead(PCI_CAPABILITY_LIST, 1) & ~3;
  for (let ttl = 48; pos >= 0x40 && pos < 0xf0 && ttl > 0; ttl--) {
    const isVendor = fn.configRead(pos + PCI_CAP_LIST_ID, 1) === PCI_CAP_ID_VNDR;
    if (isVendor && fn.configRead(pos + VIRTIO_PCI_CAP_CFG_TYPE, 1) === type) {
      const window = windowAt(pdev, pos, type);
      if (window !== null && window.length >= minLength) return window;
    }
    pos = fn.configRead(pos + PCI_CAP_LIST_NEXT, 1) & ~3;
  }
  return null;
}

/** @kernel vp_modern_map_capability drivers/virtio/virtio_pci_modern_dev.c */
function windowAt(pdev: PciDev, pos: number, type: number): Window | null {
  const fn = pdev.function;
  const bar = fn.configRead(pos + VIRTIO_PCI_CAP_BAR, 1);
  const resource = bar < 6 ? (pdev.resource[bar] ?? null) : null;
  if (resource === null) return null;
  const offset = fn.configRead(pos + VIRTIO_PCI_CAP_OFFSET, 4);
  const length = fn.configRead(pos + VIRTIO_PCI_CAP_LENGTH, 4);
  if (offset + length > resource.size) return null;
  const regs = pciIomap(pdev, bar);
  if (regs === null) return null;
  const isNotify = type === VIRTIO_PCI_CAP_NOTIFY_CFG;
  const multiplier = isNotify ? fn.configRead(pos + VIRTIO_PCI_NOTIFY_CAP_MULT, 4) : 0;
  return { regs, offset, length, multiplier };
}

// Access to the common configuration.

function cread(vp: VirtioPciDevice, field: number): number {
  return vp.common.regs.readl(vp.common.offset + field) >>> 0;
}

function creadw(vp: VirtioPciDevice, field: number): number {
  return vp.common.regs.readw(vp.common.offset + field);
}

function cwrite(vp: VirtioPciDevice, field: number, value: number): void {
  vp.common.regs.writel(value | 0, vp.common.offset + field);
}

function cwritew(vp: VirtioPciDevice, field: number, value: number): void {
  vp.common.regs.writew(value, vp.common.offset + field);
}

/** @kernel vp_get_status drivers/virtio/virtio_pci_modern.c */
function vpGetStatus(vdev: VirtioDevice): number {
  const { common } = vpDev(vdev);
  return common.regs.readb(common.offset + VIRTIO_PCI_COMMON_STATUS);
}

/** @kernel vp_set_status drivers/virtio/virtio_pci_modern.c */
function vpSetStatus(vdev: VirtioDevice, status: number): void {
  const { common } = vpDev(vdev);
  common.regs.writeb(status, common.offset + VIRTIO_PCI_COMMON_STATUS);
}

/** @kernel vp_reset drivers/virtio/virtio_pci_modern.c */
function vpReset(vdev: VirtioDevice): void {
  vpSetStatus(vdev, 0);
  // A card that is gone reads as all ones.
  for (let look = 0; look < RESET_LOOKS && pciDeviceIsPresent(vdev.pdev); look++) {
    if (vpGetStatus(vdev) === 0) return;
  }
}

/** @kernel vp_get_features drivers/virtio/virtio_pci_modern.c */
function vpGetFeatures(vdev: VirtioDevice, features: Uint32Array): void {
  const vp = vpDev(vdev);
  for (let word = 0; word < 2; word++) {
    cwrite(vp, VIRTIO_PCI_COMMON_DFSELECT, word);
    features[word] = cread(vp, VIRTIO_PCI_COMMON_DF);
  }
}

/** @kernel vp_finalize_features drivers/virtio/virtio_pci_modern.c */
function vpFinalizeFeatures(vdev: VirtioDevice): number {
  if (!virtioHasFeature(vdev, VIRTIO_F_VERSION_1)) return -EINVAL;
  const vp = vpDev(vdev);
  for (let word = 0; word < 2; word++) {
    cwrite(vp, VIRTIO_PCI_COMMON_GFSELECT, word);
    cwrite(vp, VIRTIO_PCI_COMMON_GF, vdev.features[word] as number);
  }
  return 0;
}

// The device's own configuration.

function inDevice(vdev: VirtioDevice, offset: number, size: number): Window | null {
  const { device } = vpDev(vdev);
  return device === null || offset + size > device.length ? null : device;
}

/** @kernel vp_get drivers/virtio/virtio_pci_modern.c */
function vpGet8(vdev: VirtioDevice, offset: number): number {
  const device = inDevice(vdev, offset, 1);
  return device === null ? 0 : device.regs.readb(device.offset + offset);
}

function vpGet16(vdev: VirtioDevice, offset: number): number {
  const device = inDevice(vdev, offset, 2);
  return device === null ? 0 : device.regs.readw(device.offset + offset);
}

function vpGet32(vdev: VirtioDevice, offset: number): number {
  const device = inDevice(vdev, offset, 4);
  return device === null ? 0 : device.regs.readl(device.offset + offset) >>> 0;
}

/** @kernel vp_generation drivers/virtio/virtio_pci_modern.c */
function vpGeneration(vdev: VirtioDevice): number {
  const { common } = vpDev(vdev);
  return common.regs.readb(common.offset + VIRTIO_PCI_COMMON_CFGGENERATION);
}

// Queues.

/** Makes queue `index`: or a negative errno. @kernel setup_vq drivers/virtio/virtio_pci_modern.c */
function setupVq(
  vdev: VirtioDevice,
  index: number,
  info: VirtqueueInfo,
  vector: number,
): Virtqueue | number {
  const vp = vpDev(vdev);
  if (index >= creadw(vp, VIRTIO_PCI_COMMON_NUMQ)) return -EINVAL;
  cwritew(vp, VIRTIO_PCI_COMMON_Q_SELECT, index);
  const num = creadw(vp, VIRTIO_PCI_COMMON_Q_SIZE);
  if (num === 0 || creadw(vp, VIRTIO_PCI_COMMON_Q_ENABLE) !== 0) return -ENOENT;
  if ((num & (num - 1)) !== 0 || num > MAX_QUEUE_SIZE) return -EINVAL;
  const at = creadw(vp, VIRTIO_PCI_COMMON_Q_NOFF) * vp.notify.multiplier;
  if (at + 2 > vp.notify.length) return -EINVAL;
  const { regs } = vp.notify;
  const doorbell = vp.notify.offset + at;
  const vq = vringCreateVirtqueue(vdev, index, num, info.name, info.callback, () => {
    regs.writew(index, doorbell);
    return true;
  });
  if (vq === null) return -ENOMEM;
  cwritew(vp, VIRTIO_PCI_COMMON_Q_SIZE, num);
  cwrite(vp, VIRTIO_PCI_COMMON_Q_DESCLO, vq.desc);
  cwrite(vp, VIRTIO_PCI_COMMON_Q_DESCHI, 0);
  cwrite(vp, VIRTIO_PCI_COMMON_Q_AVAILLO, vq.avail);
  cwrite(vp, VIRTIO_PCI_COMMON_Q_AVAILHI, 0);
  cwrite(vp, VIRTIO_PCI_COMMON_Q_USEDLO, vq.used);
  cwrite(vp, VIRTIO_PCI_COMMON_Q_USEDHI, 0);
  vq.msixVector = vector;
  if (vector !== VIRTIO_MSI_NO_VECTOR) {
    cwritew(vp, VIRTIO_PCI_COMMON_Q_MSIX, vector);
    // The device says so when it has no room for the vector.
    if (creadw(vp, VIRTIO_PCI_COMMON_Q_MSIX) !== vector) {
      vringDelVirtqueue(vq);
      return -EBUSY;
    }
  }
  return vq;
}

function addHandler(
  vp: VirtioPciDevice,
  irq: number,
  handler: (irq: number, devId: unknown) => number,
  name: string,
  devId: unknown,
): number {
  const err = requestIrq(vp.pdev.machine, irq, handler, name, devId);
  if (err === 0) vp.handlers.push({ irq, devId });
  return err;
}

/** The vector of changes of the configuration. @kernel vp_config_changed drivers/virtio/virtio_pci_common.c */
function vpConfigChanged(_irq: number, devId: unknown): number {
  const { vdev } = devId as VirtioPciDevice;
  if (vdev !== null) virtioConfigChanged(vdev);
  return IRQ_HANDLED;
}

/** One vector for all queues. @kernel vp_vring_interrupt drivers/virtio/virtio_pci_common.c */
function vpVringInterrupt(irq: number, devId: unknown): number {
  const { vdev } = devId as VirtioPciDevice;
  let ret = IRQ_NONE;
  if (vdev === null) return ret;
  for (const vq of vdev.vqs) if (vringInterrupt(irq, vq) === IRQ_HANDLED) ret = IRQ_HANDLED;
  return ret;
}

/** The pin: reading why also lowers it. @kernel vp_interrupt drivers/virtio/virtio_pci_common.c */
function vpInterrupt(irq: number, devId: unknown): number {
  const vp = devId as VirtioPciDevice;
  const isr = vp.isr.regs.readb(vp.isr.offset);
  if (isr === 0 || !pciDeviceIsPresent(vp.pdev)) return IRQ_NONE;
  if ((isr & VIRTIO_PCI_ISR_CONFIG) !== 0) vpConfigChanged(irq, vp);
  if ((isr & VIRTIO_PCI_ISR_QUEUE) !== 0) vpVringInterrupt(irq, vp);
  return IRQ_HANDLED;
}

/** Vectors for the configuration and the queues, or for all of these together. @kernel vp_request_msix_vectors drivers/virtio/virtio_pci_common.c */
function requestVectors(vdev: VirtioDevice, count: number, perVq: boolean): number {
  const vp = vpDev(vdev);
  const got = pciAllocIrqVectors(vp.pdev, count, count);
  if (got < 0) return got;
  vp.irqMode = perVq ? IRQ_PER_VQ : IRQ_SHARED_VECTOR;
  const name = `virtio${vdev.index}`;
  let err = addHandler(vp, pciIrqVector(vp.pdev, 0), vpConfigChanged, `${name}-config`, vp);
  if (err === 0) {
    cwritew(vp, VIRTIO_PCI_COMMON_MSIX, 0);
    if (creadw(vp, VIRTIO_PCI_COMMON_MSIX) === VIRTIO_MSI_NO_VECTOR) err = -EBUSY;
  }
  if (err === 0 && !perVq) {
    err = addHandler(vp, pciIrqVector(vp.pdev, 1), vpVringInterrupt, `${name}-virtqueues`, vp);
  }
  return err;
}

/** With MSI-X. @kernel vp_find_vqs_msix drivers/virtio/virtio_pci_common.c */
function findVqsMsix(vdev: VirtioDevice, infos: readonly VirtqueueInfo[], perVq: boolean): number {
  const vp = vpDev(vdev);
  const called = infos.filter(({ callback }) => callback !== null).length;
  let err = requestVectors(vdev, perVq ? 1 + called : 2, perVq);
  const name = `virtio${vdev.index}`;
  let next = 1;
  for (let i = 0; i < infos.length && err === 0; i++) {
    const info = infos[i] as VirtqueueInfo;
    let vector = VIRTIO_MSI_NO_VECTOR;
    if (info.callback !== null) vector = perVq ? next++ : 1;
    const vq = setupVq(vdev, i, info, vector);
    if (typeof vq === 'number') {
      err = vq;
      break;
    }
    vdev.vqs.push(vq);
    if (perVq && info.callback !== null) {
      const irq = pciIrqVector(vp.pdev, vector);
      err = addHandler(vp, irq, vringInterrupt, `${name}-${info.name}`, vq);
    }
  }
  if (err !== 0) vpDelVqs(vdev);
  return err;
}

/** With the pin. @kernel vp_find_vqs_intx drivers/virtio/virtio_pci_common.c */
function findVqsIntx(vdev: VirtioDevice, infos: readonly VirtqueueInfo[]): number {
  const vp = vpDev(vdev);
  vp.irqMode = IRQ_INTX;
  const name = `virtio${vdev.index}`;
  let err = addHandler(vp, vp.pdev.irq, vpInterrupt, name, vp);
  for (let i = 0; i < infos.length && err === 0; i++) {
    const vq = setupVq(vdev, i, infos[i] as VirtqueueInfo, VIRTIO_MSI_NO_VECTOR);
    if (typeof vq === 'number') err = vq;
    else vdev.vqs.push(vq);
  }
  if (err !== 0) vpDelVqs(vdev);
  return err;
}

/** Makes the queues and switches them on. @kernel vp_modern_find_vqs drivers/virtio/virtio_pci_modern.c */
function vpFindVqs(vdev: VirtioDevice, infos: readonly VirtqueueInfo[]): number {
  let err = findVqsMsix(vdev, infos, true);
  if (err !== 0) err = findVqsMsix(vdev, infos, false);
  if (err !== 0) err = findVqsIntx(vdev, infos);
  if (err !== 0) return err;
  const vp = vpDev(vdev);
  // Not before all are set up: otherwise the device might use a part of them.
  for (const vq of vdev.vqs) {
    cwritew(vp, VIRTIO_PCI_COMMON_Q_SELECT, vq.index);
    cwritew(vp, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
  }
  return 0;
}

/** Gives interrupts and queues back; the device has been reset. @kernel vp_del_vqs drivers/virtio/virtio_pci_common.c */
function vpDelVqs(vdev: VirtioDevice): void {
  const vp = vpDev(vdev);
  for (const { irq, devId } of vp.handlers.splice(0)) freeIrq(vdev.machine, irq, devId);
  for (const vq of vdev.vqs) {
    if (vq.msixVector !== VIRTIO_MSI_NO_VECTOR) {
      cwritew(vp, VIRTIO_PCI_COMMON_Q_SELECT, vq.index);
      cwritew(vp, VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_MSI_NO_VECTOR);
    }
    vringDelVirtqueue(vq);
  }
  vdev.vqs = [];
  if (vp.irqMode === IRQ_PER_VQ || vp.irqMode === IRQ_SHARED_VECTOR) {
    cwritew(vp, VIRTIO_PCI_COMMON_MSIX, VIRTIO_MSI_NO_VECTOR);
    pciFreeIrqVectors(vp.pdev);
  }
  vp.irqMode = IRQ_NONE_YET;
}

/** @kernel vp_set_vq_affinity drivers/virtio/virtio_pci_common.c */
function vpSetVqAffinity(vq: Virtqueue, cpus: readonly number[]): number {
  const vp = vpDev(vq.vdev);
  if (vp.irqMode !== IRQ_PER_VQ || vq.msixVector === VIRTIO_MSI_NO_VECTOR) return -EINVAL;
  return irqSetAffinity(vq.machine, pciIrqVector(vp.pdev, vq.msixVector), cpus);
}

/** @kernel virtio_pci_config_ops drivers/virtio/virtio_pci_modern.c */
const virtioPciConfigOps: VirtioConfigOps = {
  get8: vpGet8,
  get16: vpGet16,
  get32: vpGet32,
  generation: vpGeneration,
  getStatus: vpGetStatus,
  setStatus: vpSetStatus,
  reset: vpReset,
  findVqs: vpFindVqs,
  delVqs: vpDelVqs,
  getFeatures: vpGetFeatures,
  finalizeFeatures: vpFinalizeFeatures,
  busName: (vdev) => pciName(vdev.pdev),
  setVqAffinity: vpSetVqAffinity,
};

// The driver of the card.

/** The device behind a card, or -ENODEV. @kernel vp_modern_probe drivers/virtio/virtio_pci_modern_dev.c */
function modernProbe(pdev: PciDev): VirtioPciDevice | number {
  if (pdev.device < VIRTIO_PCI_MODERN_DEVICE_BASE || pdev.device > LAST_MODERN_DEVICE) {
    return -ENODEV;
  }
  const common = findWindow(pdev, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_COMMON_CFG_SIZEOF);
  const notify = findWindow(pdev, VIRTIO_PCI_CAP_NOTIFY_CFG, 2);
  const isr = findWindow(pdev, VIRTIO_PCI_CAP_ISR_CFG, 1);
  if (common === null || notify === null || isr === null) return -ENODEV;
  const device = findWindow(pdev, VIRTIO_PCI_CAP_DEVICE_CFG, 1);
  return new VirtioPciDevice(pdev, common, notify, isr, device);
}

/** @kernel virtio_pci_probe drivers/virtio/virtio_pci_common.c */
function virtioPciProbe(pdev: PciDev): number {
  let err = pciEnableDeviceMem(pdev);
  if (err < 0) return err;
  err = pciRequestRegions(pdev, VIRTIO_PCI_DRIVER_NAME);
  if (err === 0) {
    err = addDevice(pdev);
    if (err !== 0) pciReleaseRegions(pdev);
  }
  if (err !== 0) pciDisableDevice(pdev);
  return err;
}

function addDevice(pdev: PciDev): number {
  const vp = modernProbe(pdev);
  if (typeof vp === 'number') return vp;
  pciSetMaster(pdev);
  const id = pdev.device - VIRTIO_PCI_MODERN_DEVICE_BASE;
  const vdev = new VirtioDevice(pdev.machine, pdev, id, pdev.subsystemVendor, virtioPciConfigOps);
  vdev.transport = vp;
  vp.vdev = vdev;
  pdev.drvdata = vdev;
  // A device without a driver of its kind stays on the bus and waits for one.
  registerVirtioDevice(vdev);
  return 0;
}

/** @kernel virtio_pci_remove drivers/virtio/virtio_pci_common.c */
function virtioPciRemove(pdev: PciDev): void {
  const vdev = pdev.drvdata as VirtioDevice;
  // Pulled out without a word: nothing may wait for it.
  if (!pciDeviceIsPresent(pdev)) virtioBreakDevice(vdev);
  unregisterVirtioDevice(vdev);
  pciReleaseRegions(pdev);
  pciDisableDevice(pdev);
}

/** @kernel virtio_pci_driver drivers/virtio/virtio_pci_common.c */
export function virtioPciInit(machine: Machine): number {
  const idTable: readonly PciDeviceId[] = [
    { vendor: PCI_VENDOR_ID_REDHAT_QUMRANET, device: PCI_ANY_ID, driverData: 0 },
  ];
  const driver: PciDriver = {
    name: VIRTIO_PCI_DRIVER_NAME,
    idTable,
    probe: virtioPciProbe,
    remove: virtioPciRemove,
  };
  return pciRegisterDriver(machine, driver);
}

export const virtioPciModule: KernelModule = {
  name: 'virtio_pci',
  config: 'CONFIG_VIRTIO_PCI',
  depends: ['pci', 'virtio'],
  level: DEVICE_INITCALL,
  init: virtioPciInit,
  exit: null,
};
