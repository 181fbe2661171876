/**
 * A gigabit card of Intel's as a thing to plug: its options, what happens when its cable or the card
 * itself is put in or pulled out, and its resets. How it takes a frame, and its other registers, are each
 * card's own.
 */
import { type RegisterFile, reg, setReg } from '#hardware/e1000/e1000_chip.ts';
import {
  E1000_CTRL,
  E1000_CTRL_FD,
  E1000_CTRL_PHY_RST,
  E1000_CTRL_RST,
  E1000_CTRL_SLU,
  E1000_EECD,
  E1000_EECD_PRES,
  E1000_MDIC,
  E1000_MDIC_READY,
  E1000_RAH,
  E1000_RAH_AV,
  E1000_RAL,
  E1000_STATUS,
  E1000_STATUS_LU,
  E1000_VET,
} from '#hardware/e1000/e1000_regs.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import type { WireEnd } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { type Hrtimer, hrtimerCancel } from '#kernel/time/hrtimer.ts';

/** Line rate of the real chips. */
export const GBE_LINE_RATE_BPS = 1_000_000_000;
/** VET after reset: what says that a frame has a tag. */
const DEFAULT_VET = 0x8100;

export interface GbeCardOptions {
  /** The six octets of the address in the EEPROM. */
  readonly mac: Uint8Array;
  /** Bits a second; 1e9 by default. 0: frames take no time. */
  readonly rateBps?: number;
  /** How long auto-negotiation takes in ns; a real one needs about two seconds. 0 by default. */
  readonly autonegNs?: number;
}

/** The parts of a chip that its card has to do with. */
export interface CardChip<C> extends RegisterFile {
  /** What the card sends through; null while no cable is plugged in. */
  end: WireEnd | null;
  /** Light on the line. */
  carrier: boolean;
  /** The link is up: STATUS.LU. */
  readonly linkUp: boolean;
  readonly linkTimer: Hrtimer<C>;
}

/** What one card has otherwise than another. */
export interface CardKind<C> {
  /** Light has come or gone. */
  readonly updateLink: (chip: C) => void;
  /** The reset that CTRL.RST and power bring: all but the PHY, the NVM and the cable. */
  readonly reset: (chip: C) => void;
  readonly resetPhy: (chip: C) => void;
}

/** The registers that the reset of CTRL.RST and of power sets; all others become 0. */
export function resetGbeRegisters<C extends CardChip<C>>(chip: C, nvm: Uint16Array): void {
  const status = reg(chip, E1000_STATUS);
  chip.regs.fill(0);
  setReg(chip, E1000_CTRL, E1000_CTRL_FD | E1000_CTRL_SLU);
  setReg(chip, E1000_STATUS, chip.linkUp ? status : status & ~E1000_STATUS_LU);
  setReg(chip, E1000_EECD, E1000_EECD_PRES);
  setReg(chip, E1000_VET, DEFAULT_VET);
  setReg(chip, E1000_MDIC, E1000_MDIC_READY);
  setReg(chip, E1000_RAL, (nvm[0] as number) | ((nvm[1] as number) << 16));
  setReg(chip, E1000_RAH, (nvm[2] as number) | E1000_RAH_AV);
}

/** CTRL is written: resets of chip and PHY, or settings that the link may depend on. */
export function writeGbeCtrl<C extends CardChip<C>>(
  chip: C,
  kind: CardKind<C>,
  value: number,
): void {
  if ((value & E1000_CTRL_RST) !== 0) {
    kind.reset(chip);
    kind.updateLink(chip);
    return;
  }
  setReg(chip, E1000_CTRL, value & ~E1000_CTRL_PHY_RST);
  if ((value & E1000_CTRL_PHY_RST) !== 0) kind.resetPhy(chip);
  else kind.updateLink(chip);
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
