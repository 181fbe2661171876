/**
 * The state of an 82576: registers, queues, vectors and hooks. No logic: that is in its siblings, one
 * file an engine (irq, tx, rx, rss, phy), put together in igb_card.ts.
 *
 *   driver --TDT[q]--> [descriptors q] --+                     +-- round robin --> line --> WireEnd
 *                                        +-- DMA --> frames ---+
 *   driver <--vector-- [descriptors q] <-- DMA <-- RSS <-- filters <-- WirePort
 */
import type { E1000Faults } from '#hardware/e1000/e1000_chip.ts';
import {
  E1000_RSSRK,
  IGB_DESC_SIZE,
  IGB_HW_QUEUES,
  IGB_HW_VECTORS,
  IGB_Q_DLEN,
  IGB_REGS_END,
  IGB_RSS_KEY_REGS,
  txQueueBase,
} from '#hardware/igb/igb_regs.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import type { WireEnd, WireFrame } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { Hrtimer } from '#kernel/time/hrtimer.ts';
import { TOEPLITZ_KEY_LEN, ToeplitzKey } from '#lib/toeplitz.ts';

/** What the engines do when their timer fires: HRTIMER_NORESTART or HRTIMER_RESTART. */
export interface IgbHooks {
  /** The last bit of a frame has left. */
  readonly transmitted: (chip: IgbChip) => number;
  /** Throttling allows a vector's next interrupt. */
  readonly unthrottled: (vector: IgbVector) => number;
  /** Auto-negotiation has finished. */
  readonly negotiated: (chip: IgbChip) => number;
  /** Not a timer: a frame comes back from the transmitter in loopback. */
  readonly looped: (chip: IgbChip, frame: WireFrame) => void;
}

/** An MSI-X vector as the chip sees it: its cause in EICR, and its throttle. */
export class IgbVector {
  readonly chip: IgbChip;
  readonly index: number;
  /** No interrupt before this time, in ns. */
  allowedNs: number;
  readonly timer: Hrtimer<IgbVector>;

  constructor(chip: IgbChip, hooks: IgbHooks, index: number) {
    this.chip = chip;
    this.index = index;
    this.allowedNs = 0;
    this.timer = new Hrtimer<IgbVector>(chip.machine, this, hooks.unthrottled);
  }
}

/** What a context descriptor says about the packets after it. Lengths in bytes. */
export class IgbTxContext {
  macLen = 0;
  ipLen = 0;
  l4Len = 0;
  mss = 0;
  vlan = 0;
  ipv4 = false;
  tcp = false;
}

/** Most pieces of one packet, and its length in bytes. */
export const TX_MAX_PIECES = 256;
export const TX_MAX_PACKET = 0x40000;
/** Contexts that a queue keeps. */
export const TX_CONTEXTS = 2;

/** A transmit queue: where it is in its ring, and the packet it has gathered. */
export class IgbTxQueue {
  readonly index: number;
  /** Offset of its registers. */
  readonly base: number;
  readonly contexts: readonly IgbTxContext[];
  readonly pieceAddr: Int32Array;
  readonly pieceLen: Int32Array;
  pieces: number;
  packetLen: number;
  /** Command and options of the packet's first data descriptor, and its context. */
  command: number;
  olinfo: number;
  context: IgbTxContext;
  /** Index of the next descriptor to read; TDH follows when the packet has left. */
  fetch: number;
  /** Segmentation: payload bytes made into frames so far, and frames made. */
  sent: number;
  segments: number;
  /** How far the pieces have been read. */
  cursorPiece: number;
  cursorOffset: number;

  constructor(index: number) {
    this.index = index;
    this.base = txQueueBase(index);
    this.contexts = Array.from({ length: TX_CONTEXTS }, () => new IgbTxContext());
    this.pieceAddr = new Int32Array(TX_MAX_PIECES);
    this.pieceLen = new Int32Array(TX_MAX_PIECES);
    this.pieces = 0;
    this.packetLen = 0;
    this.command = 0;
    this.olinfo = 0;
    this.context = this.contexts[0] as IgbTxContext;
    this.fetch = 0;
    this.sent = 0;
    this.segments = 0;
    this.cursorPiece = 0;
    this.cursorOffset = 0;
  }
}

/** A frame that waits in the packet buffer, and where it goes. */
export interface IgbWaiting {
  readonly frame: WireFrame;
  readonly queue: number;
}

/** What the receiver has found out about the frame in hand. */
export class IgbRxParse {
  /** E1000_RXDADV_PKTTYPE_*, E1000_RXDADV_RSSTYPE_*. */
  packetType = 0;
  rssType = 0;
  hash = 0;
  /** Status and errors of the checksums, as the descriptor has them. */
  checksums = 0;
  /** Addresses of the network and transport headers; 0: none that the chip understands. */
  network = 0;
  transport = 0;
  /** Bytes of the packet from the transport header on. */
  transportLen = 0;
  /** Next protocol; -1: not known, or a fragment. */
  protocol = 0;
}

export class IgbChip {
  readonly machine: Machine;
  readonly pci: PciFunction;
  /** Registers that only store, by offset / 4. */
  readonly regs: Int32Array;
  readonly nvm: Uint16Array;
  readonly phy: Uint16Array;
  readonly faults: E1000Faults;
  private readonly hooks: IgbHooks;

  /** Bits a second while the link runs at its full speed; 0: frames take no time. */
  readonly rateBps: number;
  /** How long auto-negotiation takes, in ns. */
  readonly autonegNs: number;
  /** What the card sends through; null while no cable is plugged in. */
  end: WireEnd | null;
  /** Light on the line. */
  carrier: boolean;
  /** The link is up: STATUS.LU. */
  linkUp: boolean;

  // Interrupts: causes of old with their mask, and vectors with theirs.
  icr: number;
  ims: number;
  eicr: number;
  eims: number;
  readonly vectors: readonly IgbVector[];

  // Transmit.
  readonly txQueues: readonly IgbTxQueue[];
  /** Queue whose turn is next. */
  txNext: number;
  /** A bit for each queue that its TXDCTL has switched on. */
  txEnabled: number;
  /** Queue of the frame that is leaving. */
  txCurrent: IgbTxQueue | null;
  txFrame: WireFrame | null;
  /** The transmitter runs, and will look for more descriptors by itself. */
  txBusy: boolean;
  /** When its last bit leaves. */
  txDoneNs: number;
  readonly txTimer: Hrtimer<IgbChip>;

  // Receive.
  /** Frames that wait for descriptors, and their bytes. */
  readonly rxFifo: IgbWaiting[];
  rxFifoBytes: number;
  readonly rxParse: IgbRxParse;
  /** Of RSSRK; null: to be made anew. */
  rssKey: ToeplitzKey | null;

  readonly linkTimer: Hrtimer<IgbChip>;

  /** Frames that were not made since packet memory was exhausted. */
  outOfMemory: number;

  constructor(
    machine: Machine,
    pci: PciFunction,
    hooks: IgbHooks,
    rateBps: number,
    autonegNs: number,
  ) {
    this.machine = machine;
    this.pci = pci;
    this.regs = new Int32Array(IGB_REGS_END >> 2);
    this.nvm = new Uint16Array(64);
    this.phy = new Uint16Array(32);
    this.hooks = hooks;
    this.faults = { txHang: false, txDead: false, rxDead: false };
    this.rateBps = rateBps;
    this.autonegNs = autonegNs;
    this.end = null;
    this.carrier = false;
    this.linkUp = false;
    this.icr = 0;
    this.ims = 0;
    this.eicr = 0;
    this.eims = 0;
    this.vectors = Array.from({ length: IGB_HW_VECTORS }, (_, n) => new IgbVector(this, hooks, n));
    this.txQueues = Array.from({ length: IGB_HW_QUEUES }, (_, n) => new IgbTxQueue(n));
    this.txNext = 0;
    this.txEnabled = 0;
    this.txCurrent = null;
    this.txFrame = null;
    this.txBusy = false;
    this.txDoneNs = 0;
    this.txTimer = new Hrtimer<IgbChip>(machine, this, hooks.transmitted);
    this.rxFifo = [];
    this.rxFifoBytes = 0;
    this.rxParse = new IgbRxParse();
    this.rssKey = null;
    this.linkTimer = new Hrtimer<IgbChip>(machine, this, hooks.negotiated);
    this.outOfMemory = 0;
  }

  /** The transmitter gives a frame to the receiver. */
  loopback(frame: WireFrame): void {
    this.hooks.looped(this, frame);
  }
}

/** Descriptors in the ring of the queue whose registers begin at `base`. */
export function ringSize(chip: IgbChip, base: number): number {
  return ((chip.regs[(base + IGB_Q_DLEN) >> 2] as number) & 0xfff80) / IGB_DESC_SIZE;
}

/** The key in RSSRK, made ready for hashing. */
export function rssKey(chip: IgbChip): ToeplitzKey {
  if (chip.rssKey !== null) return chip.rssKey;
  const key = new Uint8Array(TOEPLITZ_KEY_LEN);
  const view = new DataView(key.buffer);
  for (let i = 0; i < IGB_RSS_KEY_REGS; i++) {
    view.setInt32(4 * i, chip.regs[E1000_RSSRK(i) >> 2] as number, true);
  }
  chip.rssKey = new ToeplitzKey(key);
  return chip.rssKey;
}
