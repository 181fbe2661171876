/**
 * A gigabit card of Intel's as a thing to plug: its options, and what happens when its cable or the card
 * itself is put in or pulled out. How it takes a frame, and its registers, are each card's own.
 */
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import type { WireEnd } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { type Hrtimer, hrtimerCancel } from '#kernel/time/hrtimer.ts';

/** Line rate of the real chips. */
export const GBE_LINE_RATE_BPS = 1_000_000_000;

export interface GbeCardOptions {
  /** The six octets of the address in the EEPROM. */
  readonly mac: Uint8Array;
  /** Bits a second; 1e9 by default. 0: frames take no time. */
  readonly rateBps?: number;
  /** How long auto-negotiation takes in ns; a real one needs about two seconds. 0 by default. */
  readonly autonegNs?: number;
}

/** The parts of a chip that a card's plugs have to do with. */
export interface CardChip<C> {
  /** What the card sends through; null while no cable is plugged in. */
  end: WireEnd | null;
  /** Light on the line. */
  carrier: boolean;
  readonly linkTimer: Hrtimer<C>;
}

/** What a chip does about its card's plugs. */
export interface CardKind<C> {
  /** Light has come or gone. */
  readonly updateLink: (chip: C) => void;
  /** The reset that comes with power. */
  readonly reset: (chip: C) => void;
}

/** Throws RangeError when this is not the address of a card: six octets, of one station, not zero. */
export function checkCardAddress(mac: Uint8Array): void {
  if (mac.length !== 6 || ((mac[0] as number) & 1) !== 0 || mac.every((octet) => octet === 0)) {
    throw new RangeError(`not the address of a network card: ${[...mac].join(' ')}`);
  }
}

export abstract class GbeCard<C extends CardChip<C>> {
  readonly machine: Machine;
  readonly pci: PciFunction;
  readonly chip: C;
  private readonly kind: CardKind<C>;

  /** A card with power, in no slot and with no cable. */
  constructor(machine: Machine, pci: PciFunction, chip: C, kind: CardKind<C>) {
    this.machine = machine;
    this.pci = pci;
    this.chip = chip;
    this.kind = kind;
    pci.powerOff = () => this.powerOff();
  }

  /** Connects what the port sends through, e.g. `card.connect(cable.plug(0, card))`. */
  connect(end: WireEnd): void {
    this.machine.enter(this.machine.host.readClock());
    this.chip.end = end;
    this.chip.carrier = end.up;
    this.kind.updateLink(this.chip);
  }

  /** The cable has been pulled out. */
  disconnect(): void {
    this.machine.enter(this.machine.host.readClock());
    this.chip.end = null;
    this.chip.carrier = false;
    this.kind.updateLink(this.chip);
  }

  linkChanged(up: boolean): void {
    this.machine.enter(this.machine.host.readClock());
    this.chip.carrier = up;
    this.kind.updateLink(this.chip);
  }

  /** The card has been pulled out of its slot: nothing of it goes on. */
  private powerOff(): void {
    const { chip, kind } = this;
    chip.end?.light(false);
    chip.end = null;
    chip.carrier = false;
    hrtimerCancel(chip.linkTimer);
    kind.reset(chip);
    kind.updateLink(chip);
  }
}
