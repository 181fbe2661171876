/**
 * An 82576 network card: its chip, its place on the PCI bus and its port for a cable. This file puts
 * the engines together and answers register accesses. Datasheet 8 (registers), 4.2 (reset).
 */
import { checkCardAddress } from '#hardware/card_address.ts';
import { setReg } from '#hardware/e1000/e1000_chip.ts';
import { isStatistic, readStatistic } from '#hardware/e1000/e1000_chip_stats.ts';
import {
  E1000_CTRL,
  E1000_EERD,
  E1000_MDIC,
  E1000_RXCSUM,
  E1000_RXCSUM_IPOFL,
  E1000_RXCSUM_TUOFL,
  E1000_STATUS,
  E1000_TCTL,
  PCI_VENDOR_ID_INTEL,
} from '#hardware/e1000/e1000_regs.ts';
import { IgbChip, type IgbHooks, type IgbTxQueue } from '#hardware/igb/igb_chip.ts';
import {
  maskCauses,
  maskVectors,
  readCauses,
  readVectorCauses,
  resetInterrupts,
  setCauses,
  setVectorCauses,
  unmaskCauses,
  unmaskVectors,
  unthrottled,
} from '#hardware/igb/igb_chip_irq.ts';
import {
  accessPhy,
  negotiated,
  programNvm,
  readNvm,
  resetPhy,
  updateLink,
} from '#hardware/igb/igb_chip_phy.ts';
import { receive, replenished, resetRx } from '#hardware/igb/igb_chip_rx.ts';
import { enableTxQueue, kickTx, resetTx, transmitted } from '#hardware/igb/igb_chip_tx.ts';
import {
  canonicalOffset,
  E1000_DEV_ID_82576,
  E1000_EICR,
  E1000_EICS,
  E1000_EIMC,
  E1000_EIMS,
  E1000_ICR,
  E1000_ICS,
  E1000_IMC,
  E1000_IMS,
  E1000_RLPML,
  E1000_RSSRK,
  E1000_RXPBS,
  IGB_BAR_SIZE,
  IGB_HW_VECTORS,
  IGB_MMIO_BAR,
  IGB_MSIX_BAR,
  IGB_Q_DCTL,
  IGB_Q_DH,
  IGB_Q_DT,
  IGB_Q_RQDPC,
  IGB_RSS_KEY_REGS,
  rxQueueBase,
  rxQueueOf,
  txQueueOf,
} from '#hardware/igb/igb_regs.ts';
import {
  type CardKind,
  GBE_LINE_RATE_BPS,
  GbeCard,
  type GbeCardOptions,
  resetGbeRegisters,
  writeGbeCtrl,
} from '#hardware/intel/gbe_card.ts';
import { MsixTable } from '#hardware/pci/msix.ts';
import { PciFunction, type PciRegion } from '#hardware/pci/pci_function.ts';
import { freeFrame, type WireFrame, type WirePort } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { PCI_CLASS_NETWORK_ETHERNET } from '#uapi/pci_regs.ts';

/** Revision in configuration space. */
const REVISION = 1;
/** RXPBS after reset: 64 KiB of packet buffer are the receiver's. */
const DEFAULT_RXPBS = 0x40;
/** RLPML after reset: the longest frame with its check sequence. */
const DEFAULT_RLPML = 0x2600;

export type IgbCardOptions = GbeCardOptions;

/** The engines as the chip's timers call them. */
const HOOKS: IgbHooks = { transmitted, unthrottled, negotiated, looped: receive };

/** The reset that CTRL.RST and power bring: all but the PHY, the NVM and the cable. */
function resetChip(chip: IgbChip): void {
  resetInterrupts(chip);
  resetTx(chip);
  resetRx(chip);
  resetGbeRegisters(chip, chip.nvm);
  chip.rssKey = null;
  setReg(chip, E1000_RXPBS, DEFAULT_RXPBS);
  setReg(chip, E1000_RLPML, DEFAULT_RLPML);
  setReg(chip, E1000_RXCSUM, E1000_RXCSUM_IPOFL | E1000_RXCSUM_TUOFL);
}

const KIND: CardKind<IgbChip> = { updateLink, reset: resetChip, resetPhy };

/** Registers of which reading does something. */
function readRegister(chip: IgbChip, offset: number): number {
  switch (offset) {
    case E1000_ICR:
      return readCauses(chip);
    case E1000_EICR:
      return readVectorCauses(chip);
    case E1000_IMS:
      return chip.ims;
    case E1000_EIMS:
      return chip.eims;
    default:
  }
  if (isStatistic(offset)) return readStatistic(chip, offset);
  const value = chip.regs[offset >> 2] ?? 0;
  const queue = rxQueueOf(offset);
  // Cleared by reading, as statistics are.
  if (queue >= 0 && offset === rxQueueBase(queue) + IGB_Q_RQDPC) setReg(chip, offset, 0);
  return value;
}

/** Registers of a queue; false when there is nothing special about this one. */
function writeQueue(chip: IgbChip, offset: number, value: number): boolean {
  const register = offset & 0x3f;
  const tx = txQueueOf(offset);
  if (tx < 0 && rxQueueOf(offset) < 0) return false;
  if (register === IGB_Q_DT) {
    setReg(chip, offset, value & 0xffff);
    if (tx >= 0) kickTx(chip);
    else replenished(chip);
    return true;
  }
  if (register === IGB_Q_DCTL && tx >= 0) enableTxQueue(chip, tx, value);
  if (register === IGB_Q_DH && tx >= 0) {
    (chip.txQueues[tx] as IgbTxQueue).fetch = value & 0xffff;
    setReg(chip, offset, value & 0xffff);
    return true;
  }
  return false;
}

/** Registers of which writing does something. */
function writeRegister(chip: IgbChip, offset: number, value: number): void {
  switch (offset) {
    case E1000_EIMS:
      unmaskVectors(chip, value);
      return;
    case E1000_EIMC:
      maskVectors(chip, value);
      return;
    case E1000_EICS:
      setVectorCauses(chip, value);
      return;
    case E1000_EICR:
      chip.eicr &= ~value;
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
    case E1000_EERD:
      setReg(chip, E1000_EERD, readNvm(chip, value));
      return;
    case E1000_MDIC:
      setReg(chip, E1000_MDIC, accessPhy(chip, value));
      return;
    case E1000_ICR:
    case E1000_STATUS:
      return; // read-only here
    default:
  }
  if (isStatistic(offset) || offset >> 2 >= chip.regs.length) return;
  if (writeQueue(chip, offset, value)) return;
  setReg(chip, offset, value);
  if (offset >= E1000_RSSRK(0) && offset < E1000_RSSRK(IGB_RSS_KEY_REGS)) chip.rssKey = null;
}

export class IgbCard extends GbeCard<IgbChip> implements WirePort, PciRegion {
  readonly size: number = IGB_BAR_SIZE;

  /** A card with power, in no slot and with no cable. Throws RangeError when the address is none. */
  constructor(machine: Machine, options: IgbCardOptions) {
    const { mac, rateBps = GBE_LINE_RATE_BPS, autonegNs = 0 } = options;
    checkCardAddress(mac);
    const pci = new PciFunction(machine, `${machine.name}: 82576`, {
      vendor: PCI_VENDOR_ID_INTEL,
      device: E1000_DEV_ID_82576,
      subVendor: PCI_VENDOR_ID_INTEL,
      subDevice: 0xa03c,
      classCode: PCI_CLASS_NETWORK_ETHERNET,
      revision: REVISION,
    });
    const chip = new IgbChip(machine, pci, HOOKS, rateBps, autonegNs);
    super(machine, pci, chip, KIND);
    pci.addRegion(IGB_MMIO_BAR, this);
    // It puts itself behind its base address register.
    new MsixTable(pci, IGB_MSIX_BAR, IGB_HW_VECTORS);
    programNvm(chip, mac);
    resetChip(chip);
    resetPhy(chip);
  }

  read32(offset: number): number {
    return readRegister(this.chip, canonicalOffset(offset));
  }

  write32(offset: number, value: number): void {
    writeRegister(this.chip, canonicalOffset(offset), value);
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
