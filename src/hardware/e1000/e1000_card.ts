/**
 * An 82540EM network card: its chip, its place on the PCI bus and its port for a cable. This file puts
 * the engines together and answers register accesses. SDM 13.3 (register map), 14 (reset).
 */
import { checkCardAddress } from '#hardware/card_address.ts';
import { E1000Chip, type E1000Hooks, setReg } from '#hardware/e1000/e1000_chip.ts';
import { reportDelayed, writeDelay } from '#hardware/e1000/e1000_chip_delay.ts';
import {
  maskCauses,
  readCauses,
  resetInterrupts,
  setCauses,
  unmaskCauses,
  unthrottled,
} from '#hardware/e1000/e1000_chip_irq.ts';
import {
  accessPhy,
  negotiated,
  programEeprom,
  readEeprom,
  resetPhy,
  updateLink,
} from '#hardware/e1000/e1000_chip_phy.ts';
import { receive, replenished, resetRx } from '#hardware/e1000/e1000_chip_rx.ts';
import { isStatistic, readStatistic } from '#hardware/e1000/e1000_chip_stats.ts';
import { kickTx, resetTx, transmitted } from '#hardware/e1000/e1000_chip_tx.ts';
import {
  E1000_BAR_SIZE,
  E1000_CTRL,
  E1000_DEV_ID_82540EM,
  E1000_EERD,
  E1000_ICR,
  E1000_ICS,
  E1000_IMC,
  E1000_IMS,
  E1000_MDIC,
  E1000_PBA,
  E1000_RDT,
  E1000_RDTR,
  E1000_STATUS,
  E1000_TCTL,
  E1000_TDH,
  E1000_TDT,
  E1000_TIDV,
  PCI_VENDOR_ID_INTEL,
} from '#hardware/e1000/e1000_regs.ts';
import {
  type CardKind,
  GBE_LINE_RATE_BPS,
  GbeCard,
  type GbeCardOptions,
  resetGbeRegisters,
  writeGbeCtrl,
} from '#hardware/intel/gbe_card.ts';
import { PciFunction, type PciRegion } from '#hardware/pci/pci_function.ts';
import { freeFrame, type WireFrame, type WirePort } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { PCI_CLASS_NETWORK_ETHERNET } from '#uapi/pci_regs.ts';

/** Revision in configuration space. */
const REVISION = 2;
/** PBA after reset: 48 KiB of the 64 KiB packet buffer are the receiver's. */
const DEFAULT_PBA = 0x0010_0030;

export type E1000CardOptions = GbeCardOptions;

/** The engines as the chip's timers call them. */
const HOOKS: E1000Hooks = {
  transmitted,
  unthrottled,
  reportDelayed,
  negotiated,
  looped: receive,
};

/** The reset that CTRL.RST and power bring: all but the PHY, the EEPROM and the cable. */
function resetChip(chip: E1000Chip): void {
  resetInterrupts(chip);
  resetTx(chip);
  resetRx(chip);
  resetGbeRegisters(chip, chip.eeprom);
  setReg(chip, E1000_PBA, DEFAULT_PBA);
}

const KIND: CardKind<E1000Chip> = { updateLink, reset: resetChip, resetPhy };

/** Registers of which reading does something. */
function readRegister(chip: E1000Chip, offset: number): number {
  if (offset === E1000_ICR) return readCauses(chip);
  if (offset === E1000_IMS) return chip.ims;
  if (isStatistic(offset)) return readStatistic(chip, offset);
  return chip.regs[offset >> 2] ?? 0;
}

/** Registers of which writing does something. */
function writeRegister(chip: E1000Chip, offset: number, value: number): void {
  switch (offset) {
    case E1000_TDT:
      setReg(chip, E1000_TDT, value & 0xffff);
      kickTx(chip);
      return;
    case E1000_RDT:
      setReg(chip, E1000_RDT, value & 0xffff);
      replenished(chip);
      return;
    case E1000_IMS:
      unmaskCauses(chip, value);
      return;
    case E1000_IMC:
      maskCauses(chip, value);
      return;
    case E1000_ICS:
      setCauses(chip, value);
      return;
    case E1000_CTRL:
      writeGbeCtrl(chip, KIND, value);
      return;
    case E1000_TCTL:
      setReg(chip, E1000_TCTL, value);
      kickTx(chip);
      return;
    case E1000_TDH:
      setReg(chip, E1000_TDH, value & 0xffff);
      chip.txFetch = value & 0xffff;
      return;
    case E1000_TIDV:
      writeDelay(chip, chip.txDelay, value);
      return;
    case E1000_RDTR:
      writeDelay(chip, chip.rxDelay, value);
      return;
    case E1000_EERD:
      setReg(chip, E1000_EERD, readEeprom(chip, value));
      return;
    case E1000_MDIC:
      setReg(chip, E1000_MDIC, accessPhy(chip, value));
      return;
    case E1000_ICR:
    case E1000_STATUS:
      return; // read-only here
    default:
      if (!isStatistic(offset) && offset >> 2 < chip.regs.length) setReg(chip, offset, value);
  }
}

export class E1000Card extends GbeCard<E1000Chip> implements WirePort, PciRegion {
  readonly size: number = E1000_BAR_SIZE;

  /** A card with power, in no slot and with no cable. Throws RangeError when the address is none. */
  constructor(machine: Machine, options: E1000CardOptions) {
    const { mac, rateBps = GBE_LINE_RATE_BPS, autonegNs = 0 } = options;
    checkCardAddress(mac);
    const pci = new PciFunction(machine, `${machine.name}: 82540EM`, {
      vendor: PCI_VENDOR_ID_INTEL,
      device: E1000_DEV_ID_82540EM,
      subVendor: PCI_VENDOR_ID_INTEL,
      subDevice: 0x001e,
      classCode: PCI_CLASS_NETWORK_ETHERNET,
      revision: REVISION,
    });
    const chip = new E1000Chip(machine, pci, HOOKS, rateBps, autonegNs);
    super(machine, pci, chip, KIND);
    pci.addRegion(0, this);
    programEeprom(chip, mac);
    resetChip(chip);
    resetPhy(chip);
  }

  read32(offset: number): number {
    return readRegister(this.chip, offset);
  }

  write32(offset: number, value: number): void {
    writeRegister(this.chip, offset, value);
  }

  receive(frame: WireFrame): void {
    const { machine, chip } = this;
    if (!chip.linkUp) {
      freeFrame(frame);
      return;
    }
    machine.enter(machine.host.readClock());
    receive(chip, frame);
  }
}
