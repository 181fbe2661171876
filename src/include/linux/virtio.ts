/**
 * virtio devices, their queues and drivers as the kernel keeps them. Counterpart of
 * include/linux/virtio.h, virtio_config.h, and of the structures of drivers/virtio/virtio_ring.c.
 * Functions are in drivers/virtio/.
 */
import type { PciDev } from '#include/linux/pci.ts';
import type { Machine } from '#kernel/machine.ts';

/** Matches any device. @kernel VIRTIO_DEV_ANY_ID include/linux/mod_devicetable.h */
export const VIRTIO_DEV_ANY_ID = 0xffffffff;

/** Most entries of one list of buffers. */
const SG_MAX = 64;

/**
 * Buffers that are to be handed to a device: addresses and lengths, those it reads first. One is
 * kept and used again, so that no packet makes a list of its own.
 * @kernel scatterlist include/linux/scatterlist.h
 */
export class Scatterlist {
  readonly addr: Int32Array;
  readonly len: Int32Array;
  nents: number;

  constructor(size: number = SG_MAX) {
    this.addr = new Int32Array(size);
    this.len = new Int32Array(size);
    this.nents = 0;
  }
}

/** Empties a list. @kernel sg_init_table lib/scatterlist.c */
export function sgInitTable(sg: Scatterlist): void {
  sg.nents = 0;
}

/** Adds a buffer to a list. @kernel sg_set_buf include/linux/scatterlist.h */
export function sgSetBuf(sg: Scatterlist, addr: number, len: number): void {
  const i = sg.nents++;
  sg.addr[i] = addr;
  sg.len[i] = len;
}

/** @kernel vq_callback_t include/linux/virtio_config.h */
export type VqCallback = (vq: Virtqueue) => void;

/**
 * A split virtqueue, as its driver sees it. What belongs to a buffer is kept by the index of its
 * first descriptor, its head.
 *
 * Invariants: free descriptors are chained from `freeHead` through `descNext`, `numFree` of them;
 * `data[head]` is not null exactly while the device may use that buffer.
 * @kernel virtqueue include/linux/virtio.h
 * @kernel vring_virtqueue drivers/virtio/virtio_ring.c
 */
export class Virtqueue {
  readonly vdev: VirtioDevice;
  readonly machine: Machine;
  readonly index: number;
  readonly name: string;
  callback: VqCallback | null;
  /** The driver's own. */
  priv: unknown;
  /** Entries of the ring, and most the device allows. */
  num: number;
  numMax: number;
  numFree: number;
  /** Addresses of the three parts, and of the memory they lie in with its size; 0: none. */
  desc: number;
  avail: number;
  used: number;
  ringAddr: number;
  ringSize: number;
  /** Features that were negotiated. */
  readonly indirect: boolean;
  readonly event: boolean;
  /** The device or its driver has broken the rules: the queue is not used any more. */
  broken: boolean;
  freeHead: number;
  /** Buffers added since the device was last told. */
  numAdded: number;
  lastUsedIdx: number;
  /** What the available ring holds, so that it need not be read. */
  availFlagsShadow: number;
  availIdxShadow: number;
  /** By head: what the driver gave with the buffer; a context; the indirect table and its size. */
  readonly data: unknown[];
  readonly ctx: Int32Array;
  readonly indirAddr: Int32Array;
  readonly indirLen: Int32Array;
  /** By head: the driver has mapped the buffers itself. */
  readonly premapped: Uint8Array;
  /** By descriptor: what was written there, which the device could have changed since. */
  readonly descAddr: Int32Array;
  readonly descLen: Int32Array;
  readonly descFlags: Uint16Array;
  readonly descNext: Uint16Array;
  /** Second and third result of virtqueueGetBuf(): bytes the device has written; the context. */
  lastLen: number;
  lastCtx: number;
  /** Tells the device of new buffers; false: it is gone. */
  notify: (vq: Virtqueue) => boolean;
  /** MSI-X vector; VIRTIO_MSI_NO_VECTOR: none. */
  msixVector: number;

  constructor(
    vdev: VirtioDevice,
    index: number,
    name: string,
    callback: VqCallback | null,
    num: number,
    indirect: boolean,
    event: boolean,
    notify: (vq: Virtqueue) => boolean,
  ) {
    this.vdev = vdev;
    this.machine = vdev.machine;
    this.index = index;
    this.name = name;
    this.callback = callback;
    this.priv = null;
    this.num = num;
    this.numMax = num;
    this.numFree = num;
    this.desc = 0;
    this.avail = 0;
    this.used = 0;
    this.ringAddr = 0;
    this.ringSize = 0;
    this.indirect = indirect;
    this.event = event;
    this.broken = false;
    this.freeHead = 0;
    this.numAdded = 0;
    this.lastUsedIdx = 0;
    this.availFlagsShadow = 0;
    this.availIdxShadow = 0;
    this.data = new Array<unknown>(num).fill(null);
    this.ctx = new Int32Array(num);
    this.indirAddr = new Int32Array(num);
    this.indirLen = new Int32Array(num);
    this.premapped = new Uint8Array(num);
    this.descAddr = new Int32Array(num);
    this.descLen = new Int32Array(num);
    this.descFlags = new Uint16Array(num);
    this.descNext = new Uint16Array(num);
    this.lastLen = 0;
    this.lastCtx = 0;
    this.notify = notify;
    this.msixVector = 0;
  }
}

/** What a driver asks of a queue it wants. @kernel virtqueue_info include/linux/virtio_config.h */
export interface VirtqueueInfo {
  readonly name: string;
  /** Null: no interrupts. */
  readonly callback: VqCallback | null;
}

/** How the transport reaches a device. @kernel virtio_config_ops include/linux/virtio_config.h */
export interface VirtioConfigOps {
  /** Reads of the device's own configuration. */
  get8(vdev: VirtioDevice, offset: number): number;
  get16(vdev: VirtioDevice, offset: number): number;
  get32(vdev: VirtioDevice, offset: number): number;
  /** Changes whenever several reads of the configuration may not fit together. */
  generation(vdev: VirtioDevice): number;
  getStatus(vdev: VirtioDevice): number;
  setStatus(vdev: VirtioDevice, status: number): void;
  reset(vdev: VirtioDevice): void;
  /** Makes `vdev.vqs`: 0 or a negative errno. */
  findVqs(vdev: VirtioDevice, infos: readonly VirtqueueInfo[]): number;
  delVqs(vdev: VirtioDevice): void;
  /** What the device offers, into `features`. */
  getFeatures(vdev: VirtioDevice, features: Uint32Array): void;
  finalizeFeatures(vdev: VirtioDevice): number;
  /** `0000:00:03.0` */
  busName(vdev: VirtioDevice): string;
  /** Has the queue's interrupts go to some CPUs. */
  setVqAffinity(vq: Virtqueue, cpus: readonly number[]): number;
}

/** A device. @kernel virtio_device include/linux/virtio.h */
export class VirtioDevice {
  readonly machine: Machine;
  /** The n of `virtio<n>`; -1: not registered. */
  index: number;
  readonly deviceId: number;
  readonly vendorId: number;
  readonly config: VirtioConfigOps;
  /** The card. */
  readonly pdev: PciDev;
  /** Negotiated features, bit n in word n >> 5. */
  readonly features: Uint32Array;
  vqs: Virtqueue[];
  driver: VirtioDriver | null;
  /** The driver's own. */
  priv: unknown;
  /** The transport's own. */
  transport: unknown;
  /** The core passes changes of the configuration on; `configChangePending`: one came while it did not. */
  configEnabled: boolean;
  /** The driver does not want to hear of them. */
  configDriverDisabled: boolean;
  configChangePending: boolean;

  constructor(
    machine: Machine,
    pdev: PciDev,
    deviceId: number,
    vendorId: number,
    config: VirtioConfigOps,
  ) {
    this.machine = machine;
    this.index = -1;
    this.pdev = pdev;
    this.deviceId = deviceId;
    this.vendorId = vendorId;
    this.config = config;
    this.features = new Uint32Array(2);
    this.vqs = [];
    this.driver = null;
    this.priv = null;
    this.transport = null;
    this.configEnabled = false;
    this.configDriverDisabled = false;
    this.configChangePending = false;
  }
}

/** @kernel virtio_driver include/linux/virtio.h */
export interface VirtioDriver {
  readonly name: string;
  readonly idTable: readonly number[];
  /** Numbers of the feature bits that the driver knows. */
  readonly featureTable: readonly number[];
  /** Takes back features that do not fit together, or makes the device be refused. */
  validate: ((vdev: VirtioDevice) => number) | null;
  probe(vdev: VirtioDevice): number;
  remove(vdev: VirtioDevice): void;
  configChanged(vdev: VirtioDevice): void;
}

/** What a machine keeps about virtio. @kernel virtio_bus drivers/virtio/virtio.c */
export class VirtioBus {
  readonly devices: VirtioDevice[] = [];
  readonly drivers: VirtioDriver[] = [];
}

/** Was the feature negotiated? @kernel virtio_has_feature include/linux/virtio_config.h */
export function virtioHasFeature(vdev: VirtioDevice, fbit: number): boolean {
  return (((vdev.features[fbit >> 5] as number) >>> (fbit & 31)) & 1) !== 0;
}

/** @kernel __virtio_set_bit include/linux/virtio_config.h */
export function __virtioSetBit(vdev: VirtioDevice, fbit: number): void {
  vdev.features[fbit >> 5] = (vdev.features[fbit >> 5] as number) | (1 << (fbit & 31));
}

/** @kernel __virtio_clear_bit include/linux/virtio_config.h */
export function __virtioClearBit(vdev: VirtioDevice, fbit: number): void {
  vdev.features[fbit >> 5] = (vdev.features[fbit >> 5] as number) & ~(1 << (fbit & 31));
}

/** Reads bytes of the configuration that belong together. @kernel virtio_cread_bytes include/linux/virtio_config.h */
export function virtioCreadBytes(vdev: VirtioDevice, offset: number, bytes: Uint8Array): void {
  const { config } = vdev;
  let generation = config.generation(vdev);
  for (;;) {
    for (let i = 0; i < bytes.length; i++) bytes[i] = config.get8(vdev, offset + i);
    const now = config.generation(vdev);
    if (now === generation) return;
    generation = now;
  }
}

/** @kernel virtqueue_get_vring_size drivers/virtio/virtio_ring.c */
export function virtqueueGetVringSize(vq: Virtqueue): number {
  return vq.num;
}
