/**
 * The state of an 82540EM: registers, FIFOs, engines and hooks. No logic: that is in its siblings,
 * one file an engine (irq, tx, rx, phy, stats), put together in e1000_card.ts.
 *
 *   driver --TDT--> [descriptors] --DMA--> frame --line rate--> WireEnd
 *   driver <--RXT0- [descriptors] <--DMA-- rx FIFO <-- filters <-- WirePort
 */
import {
  E1000_BAR_SIZE,
  E1000_ICR_RXT0,
  E1000_ICR_TXDW,
  E1000_RADV,
  E1000_RDTR,
  E1000_TADV,
  E1000_TIDV,
} from '#hardware/e1000/e1000_regs.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import type { WireEnd, WireFrame } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { Hrtimer } from '#kernel/time/hrtimer.ts';

/** Things that may be wrong with a card. For tests, and for those who want to see a driver cope. */
export interface E1000Faults {
  /** The transmitter does not take descriptors any more, until the chip is reset. */
  txHang: boolean;
  /** The transmitter hangs again after each reset. */
  txDead: boolean;
  /** The receiver throws everything away. */
  rxDead: boolean;
}

/** What the engines do when their timer fires: HRTIMER_NORESTART or HRTIMER_RESTART. */
export interface E1000Hooks {
  /** The last bit of a frame has left. */
  readonly transmitted: (chip: E1000Chip) => number;
  /** Interrupt throttling allows the next interrupt. */
  readonly unthrottled: (chip: E1000Chip) => number;
  /** The wait before a report is over: RDTR or RADV, TIDV or TADV. */
  readonly reportDelayed: (delay: E1000Delay) => number;
  /** Auto-negotiation has finished. */
  readonly negotiated: (chip: E1000Chip) => number;
  /** Not a timer: a frame comes back from the transmitter in loopback. */
  readonly looped: (chip: E1000Chip, frame: WireFrame) => void;
}

/** The offsets that a context descriptor sets, for checksums and segmentation; in bytes. */
export class TxContext {
  ipcss = 0;
  ipcso = 0;
  ipcse = 0;
  tucss = 0;
  tucso = 0;
  tucse = 0;
  hdrLen = 0;
  mss = 0;
  /** E1000_TXD_CMD_TCP, E1000_TXD_CMD_IP. */
  cmd = 0;
}

/** A report that is held back until it has been quiet for a while, but not beyond a limit. */
export class E1000Delay {
  readonly chip: E1000Chip;
  /** Registers of the two times: RDTR and RADV, TIDV and TADV. */
  readonly quietReg: number;
  readonly limitReg: number;
  /** What is reported, as a bit of ICR. */
  readonly cause: number;
  quietNs: number;
  limitNs: number;
  readonly timer: Hrtimer<E1000Delay>;

  constructor(
    chip: E1000Chip,
    hooks: E1000Hooks,
    quietReg: number,
    limitReg: number,
    cause: number,
  ) {
    this.chip = chip;
    this.quietReg = quietReg;
    this.limitReg = limitReg;
    this.cause = cause;
    this.quietNs = 0;
    this.limitNs = 0;
    this.timer = new Hrtimer<E1000Delay>(chip.machine, this, hooks.reportDelayed);
  }
}

/** Most pieces of one packet, and its length in bytes: the segmentation engine's limits. */
export const TX_MAX_PIECES = 256;
export const TX_MAX_PACKET = 0x40000;

export class E1000Chip {
  readonly machine: Machine;
  readonly pci: PciFunction;
  /** Registers that only store, by offset / 4. */
  readonly regs: Int32Array;
  readonly eeprom: Uint16Array;
  readonly phy: Uint16Array;
  readonly faults: E1000Faults;
  private readonly hooks: E1000Hooks;

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

  // Interrupts.
  icr: number;
  ims: number;
  /** Time of the last interrupt in ns, for throttling. */
  lastInterruptNs: number;
  readonly throttleTimer: Hrtimer<E1000Chip>;

  // Transmit.
  readonly txContext: TxContext;
  /** Pieces of the packet being gathered. */
  readonly txPieceAddr: Int32Array;
  readonly txPieceLen: Int32Array;
  txPieces: number;
  txPacketLen: number;
  /** Lower and upper words of the packet's first data descriptor: commands and options. */
  txFirstLower: number;
  txFirstUpper: number;
  /** Index of the next descriptor to read; TDH follows when the packet has left. */
  txFetch: number;
  /** A whole packet is gathered and not all of it has left. */
  txReady: boolean;
  /** Segmentation: payload bytes made into frames so far, and frames made. */
  txSent: number;
  txSegments: number;
  /** How far the pieces have been read. */
  txCursorPiece: number;
  txCursorOffset: number;
  /** The frame that is leaving, or waits for the link. */
  txFrame: WireFrame | null;
  /** The transmitter runs, and will look for more descriptors by itself. */
  txBusy: boolean;
  /** When its last bit leaves. */
  txDoneNs: number;
  readonly txTimer: Hrtimer<E1000Chip>;
  readonly txDelay: E1000Delay;

  // Receive.
  /** Frames that wait for descriptors, and their bytes. */
  rxFifoHead: WireFrame | null;
  rxFifoTail: WireFrame | null;
  rxFifoBytes: number;
  readonly rxDelay: E1000Delay;

  readonly linkTimer: Hrtimer<E1000Chip>;

  /** Frames that were not made since packet memory was exhausted. */
  outOfMemory: number;

  constructor(
    machine: Machine,
    pci: PciFunction,
    hooks: E1000Hooks,
    rateBps: number,
    autonegNs: number,
  ) {
    this.machine = machine;
    this.pci = pci;
    this.regs = new Int32Array(E1000_BAR_SIZE >> 4);
    this.eeprom = new Uint16Array(64);
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
    this.lastInterruptNs = Number.NEGATIVE_INFINITY;
    this.throttleTimer = new Hrtimer<E1000Chip>(machine, this, hooks.unthrottled);
    this.txContext = new TxContext();
    this.txPieceAddr = new Int32Array(TX_MAX_PIECES);
    this.txPieceLen = new Int32Array(TX_MAX_PIECES);
    this.txPieces = 0;
    this.txPacketLen = 0;
    this.txFirstLower = 0;
    this.txFirstUpper = 0;
    this.txFetch = 0;
    this.txReady = false;
    this.txSent = 0;
    this.txSegments = 0;
    this.txCursorPiece = 0;
    this.txCursorOffset = 0;
    this.txFrame = null;
    this.txBusy = false;
    this.txDoneNs = 0;
    this.txTimer = new Hrtimer<E1000Chip>(machine, this, hooks.transmitted);
    this.txDelay = new E1000Delay(this, hooks, E1000_TIDV, E1000_TADV, E1000_ICR_TXDW);
    this.rxFifoHead = null;
    this.rxFifoTail = null;
    this.rxFifoBytes = 0;
    this.rxDelay = new E1000Delay(this, hooks, E1000_RDTR, E1000_RADV, E1000_ICR_RXT0);
    this.linkTimer = new Hrtimer<E1000Chip>(machine, this, hooks.negotiated);
    this.outOfMemory = 0;
  }

  /** The transmitter gives a frame to the receiver. */
  loopback(frame: WireFrame): void {
    this.hooks.looped(this, frame);
  }
}

/** What the chips of the family have in common: registers by offset / 4. */
export interface RegisterFile {
  readonly regs: Int32Array;
}

/** A register that only stores, or that the chip itself keeps. */
export function reg(chip: RegisterFile, offset: number): number {
  return chip.regs[offset >> 2] as number;
}

export function setReg(chip: RegisterFile, offset: number, value: number): void {
  chip.regs[offset >> 2] = value;
}

/** Descriptors in a ring. */
export function ringSize(chip: E1000Chip, lenRegister: number): number {
  return (reg(chip, lenRegister) & 0xfff80) >> 4;
}
