/**
 * A machine on a bench: a virtual clock, a card in a slot, rings in memory, and a wire whose other end
 * is the test. No driver and no network stack: tests write registers themselves.
 */
import { E1000Card, type E1000CardOptions } from '#hardware/e1000/e1000_card.ts';
import {
  E1000_CTRL,
  E1000_CTRL_SLU,
  E1000_DESC_SIZE,
  E1000_RCTL,
  E1000_RDBAL,
  E1000_RDH,
  E1000_RDLEN,
  E1000_RDT,
  E1000_RXD_ERRORS,
  E1000_RXD_LENGTH,
  E1000_RXD_STATUS,
  E1000_TCTL,
  E1000_TCTL_EN,
  E1000_TCTL_PSP,
  E1000_TDBAL,
  E1000_TDH,
  E1000_TDLEN,
  E1000_TDT,
  E1000_TXD_LOWER,
  E1000_TXD_UPPER,
} from '#hardware/e1000/e1000_regs.ts';
import { DMA_BIDIRECTIONAL, DMA_FROM_DEVICE, DMA_TO_DEVICE } from '#hardware/pci/iommu.ts';
import { PciBus } from '#hardware/pci/pci_bus.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import {
  allocFrame,
  freeFrame,
  type WireEnd,
  type WireFrame,
  type WirePort,
} from '#hardware/wire.ts';
import { TraceEvents } from '#include/trace/events/events.ts';
import { IRQ_HANDLED, requestIrq } from '#kernel/irq.ts';
import { Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { dmaView, mem } from '#mm/memory.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import {
  PCI_COMMAND,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_INTERRUPT_LINE,
} from '#uapi/pci_regs.ts';

/** A clock that moves only when told. */
export class BenchHost implements MachineHost {
  nowNs = 0;
  kicked = false;

  readClock(): number {
    return this.nowNs;
  }

  kick(): void {
    this.kicked = true;
  }

  timerChanged(): void {}
}

export interface Bench {
  readonly host: BenchHost;
  readonly machine: Machine;
}

/** A machine that has just got power. */
export function bench(): Bench {
  const host = new BenchHost();
  const trace = new TraceEvents();
  return { host, machine: new Machine({ name: 'bench', host, seed: 1, bootEpochSec: 0, trace }) };
}

/** Lets time pass: everything that is due happens at its own time. */
export function passTo({ host, machine }: Bench, ns: number): void {
  for (;;) {
    if (host.kicked) {
      host.kicked = false;
      runPending(machine);
      continue;
    }
    const next = machine.nextExpiry();
    if (next > ns) break;
    host.nowNs = Math.max(host.nowNs, next);
    machine.enter(host.nowNs);
    runTimers(machine);
  }
  host.nowNs = ns;
  machine.enter(ns);
}

export interface SentFrame {
  readonly atNs: number;
  readonly bytes: Uint8Array;
}

export const IRQ_LINE = 17;
export const RING = 8;
export const TEST_MAC: Uint8Array = Uint8Array.of(0x02, 0, 0, 0, 0, 0x01);

/** The far end of the wire: keeps what arrives. */
class RecordingEnd implements WireEnd {
  readonly up: boolean = true;
  readonly sent: SentFrame[] = [];
  private readonly host: BenchHost;

  constructor(host: BenchHost) {
    this.host = host;
  }

  light(): void {}

  send(frame: WireFrame): void {
    this.sent.push({
      atNs: this.host.nowNs,
      bytes: mem.slice(frame.addr, frame.addr + frame.len),
    });
    freeFrame(frame);
  }
}

/** A card as a bench needs it. */
interface BenchCard extends WirePort {
  readonly pci: PciFunction;
  read32(offset: number): number;
  write32(offset: number, value: number): void;
}

/** A card in its slot on a bench: its registers, memory that it may reach, frames for it. */
export class CardRig<C extends BenchCard> implements Bench {
  readonly host: BenchHost;
  readonly machine: Machine;
  readonly bus: PciBus;
  readonly card: C;
  private readonly maps: [number, number, number][] = [];

  constructor({ host, machine }: Bench, card: C) {
    this.host = host;
    this.machine = machine;
    this.bus = new PciBus();
    this.card = card;
    this.bus.plug(card.pci);
    card.pci.configWrite(PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
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

  /** Mapped memory for the card. */
  alloc(size: number, dir: number): number {
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

  /** A frame comes in from the wire. */
  arrive(bytes: Uint8Array, badCrc = false): void {
    const frame = allocFrame(bytes.length);
    if (frame === null) throw new Error('no memory');
    mem.set(bytes, frame.addr);
    frame.badCrc = badCrc;
    this.card.receive(frame);
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

/** A card on a bench with rings of eight descriptors, ready to send and to receive. */
export class Rig extends CardRig<E1000Card> {
  readonly sent: SentFrame[];
  /** Times of interrupts; the handler reads nothing. */
  readonly interrupts: number[] = [];
  /** Called in the interrupt. */
  onInterrupt: () => void = () => {};
  readonly txRing: number;
  readonly rxRing: number;
  private txTail = 0;

  constructor(options: Partial<E1000CardOptions> = {}) {
    const on = bench();
    super(on, new E1000Card(on.machine, { mac: TEST_MAC, ...options }));
    const { host, machine } = on;
    this.card.pci.configWrite(PCI_INTERRUPT_LINE, 1, IRQ_LINE);
    requestIrq(
      machine,
      IRQ_LINE,
      () => {
        this.interrupts.push(host.nowNs);
        this.onInterrupt();
        return IRQ_HANDLED;
      },
      'rig',
      this,
    );
    const end = new RecordingEnd(host);
    this.sent = end.sent;
    this.card.connect(end);
    this.write(E1000_CTRL, this.read(E1000_CTRL) | E1000_CTRL_SLU);
    this.txRing = this.alloc(RING * E1000_DESC_SIZE, DMA_BIDIRECTIONAL);
    this.rxRing = this.alloc(RING * E1000_DESC_SIZE, DMA_BIDIRECTIONAL);
    this.write(E1000_TDBAL, this.txRing);
    this.write(E1000_TDLEN, RING * E1000_DESC_SIZE);
    this.write(E1000_RDBAL, this.rxRing);
    this.write(E1000_RDLEN, RING * E1000_DESC_SIZE);
    this.write(E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP);
  }

  /** Puts a transmit descriptor into the ring; `commit` moves TDT. */
  descriptor(low: number, high: number, lower: number, upper: number): number {
    const index = this.txTail;
    const at = this.txRing + index * E1000_DESC_SIZE;
    dmaView.setInt32(at, low, true);
    dmaView.setInt32(at + 4, high, true);
    dmaView.setInt32(at + E1000_TXD_LOWER, lower, true);
    dmaView.setInt32(at + E1000_TXD_UPPER, upper, true);
    this.txTail = (index + 1) % RING;
    return index;
  }

  commit(): void {
    this.write(E1000_TDT, this.txTail);
  }

  /** Queues a packet in the legacy format: one descriptor for each piece. */
  transmit(pieces: readonly Uint8Array[], command: number): void {
    const last = pieces.length - 1;
    for (const [i, piece] of pieces.entries()) {
      this.descriptor(this.data(piece), 0, piece.length | (i === last ? command : 0), 0);
    }
    this.commit();
  }

  txStatus(index: number): number {
    return dmaView.getUint8(this.txRing + index * E1000_DESC_SIZE + E1000_TXD_UPPER);
  }

  /** Gives the receiver buffers of `size` bytes for descriptors 0 to `count` - 1. */
  giveBuffers(count: number, rctl: number, size = 2048): number[] {
    const buffers: number[] = [];
    for (let i = 0; i < count; i++) {
      const addr = this.alloc(size, DMA_FROM_DEVICE);
      dmaView.setUint32(this.rxRing + i * E1000_DESC_SIZE, addr, true);
      buffers.push(addr);
    }
    this.write(E1000_RDH, 0);
    this.write(E1000_RCTL, rctl);
    this.write(E1000_RDT, count % RING);
    return buffers;
  }

  rxDescriptor(index: number): { length: number; status: number; errors: number } {
    const at = this.rxRing + index * E1000_DESC_SIZE;
    return {
      length: dmaView.getUint16(at + E1000_RXD_LENGTH, true),
      status: dmaView.getUint8(at + E1000_RXD_STATUS),
      errors: dmaView.getUint8(at + E1000_RXD_ERRORS),
    };
  }

  /** Where the transmitter is in its ring. */
  get txHead(): number {
    return this.read(E1000_TDH);
  }
}
