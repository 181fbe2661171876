/**
 * An 82576 on a bench: rings of its queues in memory, vectors with handlers, a wire whose other end is
 * the test. No driver: tests write registers themselves.
 */
import { E1000_CTRL, E1000_CTRL_SLU, E1000_RCTL, E1000_TCTL } from '#hardware/e1000/e1000_regs.ts';
import { IgbCard, type IgbCardOptions } from '#hardware/igb/igb_card.ts';
import {
  E1000_RXDCTL_QUEUE_ENABLE,
  E1000_TXDCTL_QUEUE_ENABLE,
  IGB_DESC_SIZE,
  IGB_HW_VECTORS,
  IGB_Q_DBAL,
  IGB_Q_DCTL,
  IGB_Q_DH,
  IGB_Q_DLEN,
  IGB_Q_DT,
  IGB_Q_SRRCTL,
  IGB_RXD_LENGTH,
  IGB_RXD_PKT_INFO,
  IGB_RXD_RSS,
  IGB_RXD_STATERR,
  IGB_RXD_VLAN,
  IGB_TXD_OLINFO_STATUS,
  rxQueueBase,
  txQueueBase,
} from '#hardware/igb/igb_regs.ts';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '#hardware/pci/iommu.ts';
import { PciBus } from '#hardware/pci/pci_bus.ts';
import { type Bench, type BenchHost, bench, passTo, TEST_MAC } from '#hardware/testing/rig.ts';
import { allocFrame, freeFrame, type WireEnd } from '#hardware/wire.ts';
import { IRQ_HANDLED, requestIrq } from '#kernel/irq.ts';
import type { Machine } from '#kernel/machine.ts';
import { dmaView, mem } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import {
  PCI_COMMAND,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_MSIX_ENTRY_DATA,
  PCI_MSIX_ENTRY_SIZE,
  PCI_MSIX_ENTRY_VECTOR_CTRL,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_ENABLE,
} from '#uapi/pci_regs.ts';

/** Descriptors of a ring, and bytes of a receive buffer. */
export const IGB_RING = 8;
const BUFFER = 2048;
const FIRST_IRQ = 40;
const MSIX_CAPABILITY = 0xa0;

export interface RxDescriptor {
  readonly info: number;
  readonly hash: number;
  readonly staterr: number;
  readonly length: number;
  readonly vlan: number;
}

export class IgbRig implements Bench {
  readonly host: BenchHost;
  readonly machine: Machine;
  readonly card: IgbCard;
  /** Frames that have left, and when. */
  readonly sent: { readonly atNs: number; readonly bytes: Uint8Array }[] = [];
  /** Vectors that have interrupted, and when. */
  readonly interrupts: { readonly vector: number; readonly atNs: number }[] = [];
  private readonly bus: PciBus;
  private readonly maps: [number, number, number][] = [];
  private readonly tails: number[] = [];

  constructor(options: Partial<IgbCardOptions> = {}) {
    const { host, machine } = bench();
    this.host = host;
    this.machine = machine;
    this.bus = new PciBus();
    this.card = new IgbCard(machine, { mac: TEST_MAC, ...options });
    this.bus.plug(this.card.pci);
    const { pci } = this.card;
    pci.configWrite(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
    for (let vector = 0; vector < IGB_HW_VECTORS; vector++) this.listen(vector);
    pci.configWrite(MSIX_CAPABILITY + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    this.card.connect(this.end());
    this.write(E1000_CTRL, this.read(E1000_CTRL) | E1000_CTRL_SLU);
  }

  private listen(vector: number): void {
    const { msix } = this.card.pci;
    msix?.write32(vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_DATA, FIRST_IRQ + vector);
    msix?.write32(vector * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
    const handler = (): number => {
      this.interrupts.push({ vector, atNs: this.host.nowNs });
      return IRQ_HANDLED;
    };
    requestIrq(this.machine, FIRST_IRQ + vector, handler, 'rig', this);
  }

  private end(): WireEnd {
    return {
      up: true,
      light: () => {},
      send: (frame) => {
        const bytes = mem.slice(frame.addr, frame.addr + frame.len);
        this.sent.push({ atNs: this.host.nowNs, bytes });
        freeFrame(frame);
      },
    };
  }

  read(offset: number): number {
    return this.card.read32(offset);
  }

  write(offset: number, value: number): void {
    this.machine.enter(this.host.nowNs);
    this.card.write32(offset, value | 0);
  }

  /** Lets `ns` pass. */
  pass(ns: number): void {
    passTo(this, this.host.nowNs + ns);
  }

  private alloc(size: number, dir: number): number {
    const addr = allocPages(size);
    mem.fill(0, addr, addr + size);
    this.maps.push([addr, size, dir]);
    return this.card.pci.iommu.map(addr, size, dir);
  }

  /** Memory with these bytes, for the card to read. */
  data(bytes: Uint8Array): number {
    const addr = this.alloc(Math.max(bytes.length, 1), DMA_TO_DEVICE);
    mem.set(bytes, addr);
    return addr;
  }

  /** Gives a receive queue a ring and `count` buffers, and switches it on. */
  openRx(queue: number, count: number, srrctl = 0): void {
    const base = rxQueueBase(queue);
    const ring = this.alloc(IGB_RING * IGB_DESC_SIZE, DMA_BIDIRECTIONAL);
    this.write(base + IGB_Q_DBAL, ring);
    this.write(base + IGB_Q_DLEN, IGB_RING * IGB_DESC_SIZE);
    this.write(base + IGB_Q_SRRCTL, (BUFFER >> 10) | srrctl);
    this.write(base + IGB_Q_DCTL, E1000_RXDCTL_QUEUE_ENABLE);
    for (let i = 0; i < count; i++) {
      dmaView.setUint32(ring + i * IGB_DESC_SIZE, this.alloc(BUFFER, DMA_FROM_DEVICE), true);
    }
    this.write(base + IGB_Q_DT, count);
  }

  enableRx(rctl: number): void {
    this.write(E1000_RCTL, rctl);
  }

  /** Gives a transmit queue a ring, and switches it on. */
  openTx(queue: number): void {
    const base = txQueueBase(queue);
    this.write(base + IGB_Q_DBAL, this.alloc(IGB_RING * IGB_DESC_SIZE, DMA_BIDIRECTIONAL));
    this.write(base + IGB_Q_DLEN, IGB_RING * IGB_DESC_SIZE);
    this.write(base + IGB_Q_DCTL, E1000_TXDCTL_QUEUE_ENABLE);
    this.tails[queue] = 0;
  }

  enableTx(tctl: number): void {
    this.write(E1000_TCTL, tctl);
  }

  /** Puts four words into a queue's next descriptor; its index. `commit` moves the tail. */
  descriptor(queue: number, a: number, b: number, c: number, d: number): number {
    const index = this.tails[queue] ?? 0;
    const at = this.read(txQueueBase(queue) + IGB_Q_DBAL) + index * IGB_DESC_SIZE;
    [a, b, c, d].forEach((word, i) => {
      dmaView.setInt32(at + 4 * i, word | 0, true);
    });
    this.tails[queue] = (index + 1) % IGB_RING;
    return index;
  }

  commit(queue: number): void {
    this.write(txQueueBase(queue) + IGB_Q_DT, this.tails[queue] ?? 0);
  }

  txStatus(queue: number, index: number): number {
    const ring = this.read(txQueueBase(queue) + IGB_Q_DBAL);
    return dmaView.getInt32(ring + index * IGB_DESC_SIZE + IGB_TXD_OLINFO_STATUS, true);
  }

  /** A frame comes in from the wire. */
  arrive(bytes: Uint8Array, badCrc = false): void {
    const frame = allocFrame(bytes.length);
    if (frame === null) throw new Error('no memory');
    mem.set(bytes, frame.addr);
    frame.badCrc = badCrc;
    this.card.receive(frame);
  }

  /** Frames that a queue has stored. */
  stored(queue: number): number {
    return this.read(rxQueueBase(queue) + IGB_Q_DH);
  }

  /** A descriptor as it was written back; the buffer is the one it had. */
  rx(queue: number, index: number): RxDescriptor {
    const at = this.read(rxQueueBase(queue) + IGB_Q_DBAL) + index * IGB_DESC_SIZE;
    const length = dmaView.getUint16(at + IGB_RXD_LENGTH, true);
    return {
      info: dmaView.getUint16(at + IGB_RXD_PKT_INFO, true),
      hash: dmaView.getUint32(at + IGB_RXD_RSS, true),
      staterr: dmaView.getInt32(at + IGB_RXD_STATERR, true),
      length,
      vlan: dmaView.getUint16(at + IGB_RXD_VLAN, true),
    };
  }

  /** Pulls the card out and gives all memory back; throws what was left behind. */
  close(): void {
    this.bus.unplug(this.card.pci);
    for (const [addr, size, dir] of this.maps) {
      this.card.pci.iommu.unmap(addr, size, dir);
      putPage(addr);
    }
    this.card.pci.iommu.assertEmpty();
  }
}
