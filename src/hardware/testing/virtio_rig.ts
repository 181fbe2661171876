/**
 * A virtio network device on a bench, and a driver by hand: registers are written by the test, rings lie
 * in memory that it fills, the far end of the wire is the test's.
 */
import { DMA_BIDIRECTIONAL } from '#hardware/pci/iommu.ts';
import { PciBus, PciIomem } from '#hardware/pci/pci_bus.ts';
import { type Bench, type BenchHost, bench, passTo } from '#hardware/testing/rig.ts';
import { VirtioNetCard, type VirtioNetCardOptions } from '#hardware/virtio/virtio_net_card.ts';
import { allocFrame, freeFrame, type WireEnd, type WireFrame } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { dmaView, mem } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import { PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY } from '#uapi/pci_regs.ts';
import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE,
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_CONFIG_S_NEEDS_RESET,
} from '#uapi/virtio_config.ts';
import {
  VIRTIO_PCI_COMMON_DF,
  VIRTIO_PCI_COMMON_DFSELECT,
  VIRTIO_PCI_COMMON_GF,
  VIRTIO_PCI_COMMON_GFSELECT,
  VIRTIO_PCI_COMMON_Q_AVAILLO,
  VIRTIO_PCI_COMMON_Q_DESCLO,
  VIRTIO_PCI_COMMON_Q_ENABLE,
  VIRTIO_PCI_COMMON_Q_SELECT,
  VIRTIO_PCI_COMMON_Q_SIZE,
  VIRTIO_PCI_COMMON_Q_USEDLO,
  VIRTIO_PCI_COMMON_STATUS,
} from '#uapi/virtio_pci.ts';
import { vringAvail, vringDesc, vringSize, vringUsed, vringUsedOffset } from '#uapi/virtio_ring.ts';

export const REGION = 131072;
export const RING_SIZE = 32;
const NOTIFY = 0x3000;

/** A frame that was sent, and what was left to do to it. */
export interface Sent {
  readonly bytes: Uint8Array;
  readonly csumStart: number;
  readonly gsoSize: number;
}

/** The three parts of a queue of the test's. */
export interface HandQueue {
  readonly index: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}

export class VirtioRig implements Bench {
  readonly host: BenchHost;
  readonly machine: Machine;
  readonly bus: PciBus;
  readonly card: VirtioNetCard;
  readonly sent: Sent[] = [];
  /** Of how many frames at a time. */
  readonly bursts: number[] = [];
  /** WIRE_* of the far end. */
  peerOffloads = 0;
  /** Memory that the device may use. */
  readonly region: number;
  private readonly regs: PciIomem;
  private next: number;

  constructor(options: Partial<VirtioNetCardOptions> = {}) {
    const { host, machine } = bench();
    this.host = host;
    this.machine = machine;
    this.bus = new PciBus();
    const mac = Uint8Array.of(2, 0, 0, 0, 0, 1);
    this.card = new VirtioNetCard(machine, { mac, queueSize: RING_SIZE, ...options });
    this.bus.plug(this.card.pci);
    this.card.pci.configWrite(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
    this.regs = new PciIomem(this.card.pci, this.card.transport);
    this.region = allocPages(REGION);
    mem.fill(0, this.region, this.region + REGION);
    this.card.pci.iommu.map(this.region, REGION, DMA_BIDIRECTIONAL);
    this.next = this.region;
    const { sent } = this;
    const rig = this;
    const send = (frame: WireFrame): void => {
      sent.push({
        bytes: mem.slice(frame.addr, frame.addr + frame.len),
        csumStart: frame.offload?.csumStart ?? -1,
        gsoSize: frame.offload?.gsoSize ?? 0,
      });
      freeFrame(frame);
    };
    const end: WireEnd = {
      up: true,
      light: () => {},
      send: (frame) => {
        this.bursts.push(1);
        send(frame);
      },
      sendBurst: (first) => {
        let count = 0;
        for (let frame: WireFrame | null = first; frame !== null; count++) {
          const { next }: WireFrame = frame;
          send(frame);
          frame = next;
        }
        this.bursts.push(count);
      },
      get peerOffloads(): number {
        return rig.peerOffloads;
      },
    };
    this.card.connect(end);
  }

  /** A part of the device's memory; it is not given back before the end. */
  alloc(size: number): number {
    const at = (this.next + 63) & ~63;
    this.next = at + size;
    if (this.next > this.region + REGION) throw new Error('the region is used up');
    return at;
  }

  get status(): number {
    return this.regs.readb(VIRTIO_PCI_COMMON_STATUS);
  }

  get needsReset(): boolean {
    return (this.status & VIRTIO_CONFIG_S_NEEDS_RESET) !== 0;
  }

  setStatus(status: number): void {
    this.regs.writeb(status, VIRTIO_PCI_COMMON_STATUS);
  }

  /** Resets the device, takes all that it offers but `without`, and makes its queues ready. */
  start(without: readonly number[] = []): HandQueue[] {
    this.setStatus(0);
    this.next = this.region;
    mem.fill(0, this.region, this.region + REGION);
    const steps = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
    this.setStatus(steps);
    for (const word of [0, 1]) {
      this.regs.writel(word, VIRTIO_PCI_COMMON_DFSELECT);
      let features = this.regs.readl(VIRTIO_PCI_COMMON_DF);
      for (const bit of without) if (bit >> 5 === word) features &= ~(1 << (bit & 31));
      this.regs.writel(word, VIRTIO_PCI_COMMON_GFSELECT);
      this.regs.writel(features, VIRTIO_PCI_COMMON_GF);
    }
    this.setStatus(steps | VIRTIO_CONFIG_S_FEATURES_OK);
    const queues = [0, 1, 2].map((index) => this.queue(index));
    this.setStatus(steps | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
    return queues;
  }

  queue(index: number, size: number = RING_SIZE): HandQueue {
    const desc = this.alloc(vringSize(size, 64));
    const avail = desc + vringDesc.LEN * size;
    const used = desc + vringUsedOffset(size, 64);
    this.regs.writew(index, VIRTIO_PCI_COMMON_Q_SELECT);
    this.regs.writew(size, VIRTIO_PCI_COMMON_Q_SIZE);
    this.regs.writel(desc, VIRTIO_PCI_COMMON_Q_DESCLO);
    this.regs.writel(avail, VIRTIO_PCI_COMMON_Q_AVAILLO);
    this.regs.writel(used, VIRTIO_PCI_COMMON_Q_USEDLO);
    this.regs.writew(1, VIRTIO_PCI_COMMON_Q_ENABLE);
    return { index, desc, avail, used };
  }

  /** Points a queue's registers elsewhere before it is enabled. */
  enableAt(index: number, desc: number, avail: number, used: number): void {
    this.regs.writew(index, VIRTIO_PCI_COMMON_Q_SELECT);
    this.regs.writel(desc | 0, VIRTIO_PCI_COMMON_Q_DESCLO);
    this.regs.writel(avail | 0, VIRTIO_PCI_COMMON_Q_AVAILLO);
    this.regs.writel(used | 0, VIRTIO_PCI_COMMON_Q_USEDLO);
    this.regs.writew(1, VIRTIO_PCI_COMMON_Q_ENABLE);
  }

  descriptor(q: HandQueue, i: number, addr: number, len: number, flags: number, next = 0): void {
    const at = q.desc + i * vringDesc.LEN;
    vringDesc.setAddr(dmaView, at, addr);
    vringDesc.setAddrHigh(dmaView, at, 0);
    vringDesc.setLen(dmaView, at, len);
    vringDesc.setFlags(dmaView, at, flags);
    vringDesc.setNext(dmaView, at, next);
  }

  /** Makes a chain available. */
  offer(q: HandQueue, head: number, size: number = RING_SIZE): void {
    const idx = vringAvail.idx(dmaView, q.avail);
    vringAvail.setRing(dmaView, q.avail, idx & (size - 1), head);
    vringAvail.setIdx(dmaView, q.avail, (idx + 1) & 0xffff);
  }

  kick(q: HandQueue): void {
    this.machine.enter(this.host.nowNs);
    this.regs.writew(q.index, NOTIFY + 4 * q.index);
  }

  usedIdx(q: HandQueue): number {
    return vringUsed.idx(dmaView, q.used);
  }

  /** Memory with these bytes. */
  data(bytes: Uint8Array): number {
    const at = this.alloc(Math.max(bytes.length, 1));
    mem.set(bytes, at);
    return at;
  }

  /** A frame comes in from the wire. */
  arrive(bytes: Uint8Array, edit: (frame: WireFrame) => void = () => {}): void {
    const frame = allocFrame(bytes.length);
    if (frame === null) throw new Error('no memory');
    mem.set(bytes, frame.addr);
    edit(frame);
    this.card.receive(frame);
  }

  /** Several frames come in from the wire in one instant. */
  arriveTogether(all: readonly Uint8Array[]): void {
    let first: WireFrame | null = null;
    for (const bytes of [...all].reverse()) {
      const frame = allocFrame(bytes.length);
      if (frame === null) throw new Error('no memory');
      mem.set(bytes, frame.addr);
      frame.next = first;
      first = frame;
    }
    if (first !== null) this.card.receiveBurst(first);
  }

  pass(ns: number): void {
    passTo(this, this.host.nowNs + ns);
  }

  /** Pulls the card out and gives all memory back; throws what was left behind. */
  close(): void {
    this.bus.unplug(this.card.pci);
    this.card.pci.iommu.unmap(this.region, REGION, DMA_BIDIRECTIONAL);
    putPage(this.region);
    this.card.pci.iommu.assertEmpty();
  }
}
