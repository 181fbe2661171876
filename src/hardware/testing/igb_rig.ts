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
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE } from '#hardware/pci/iommu.ts';
import { bench, CardRig, TEST_MAC } from '#hardware/testing/rig.ts';
import { freeFrame, type WireEnd } from '#hardware/wire.ts';
import { IRQ_HANDLED, requestIrq } from '#kernel/irq.ts';
import { dmaView, mem } from '#mm/memory.ts';
import {
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

export class IgbRig extends CardRig<IgbCard> {
  /** Frames that have left, and when. */
  readonly sent: { readonly atNs: number; readonly bytes: Uint8Array }[] = [];
  /** Vectors that have interrupted, and when. */
  readonly interrupts: { readonly vector: number; readonly atNs: number }[] = [];
  private readonly tails: number[] = [];

  constructor(options: Partial<IgbCardOptions> = {}) {
    const on = bench();
    super(on, new IgbCard(on.machine, { mac: TEST_MAC, ...options }));
    const { pci } = this.card;
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
}
