/**
 * Interrupts of the 82576 in MSI-X mode: causes of queues are routed to vectors by IVAR, the causes of
 * old (ICR) to one vector by IVAR_MISC. Datasheet 7.3.
 *
 * A vector's message is sent while its bit stands in EICR and in EIMS, but not sooner than its EITR
 * after the last. With the message the bit leaves EICR (EIAC) and, with GPIE.EIAME, EIMS (EIAM).
 */
import { reg } from '#hardware/e1000/e1000_chip.ts';
import type { IgbChip, IgbVector } from '#hardware/igb/igb_chip.ts';
import {
  E1000_EIAC,
  E1000_EIAM,
  E1000_EITR,
  E1000_EITR_ITR_INT_MASK,
  E1000_GPIE,
  E1000_GPIE_EIAME,
  E1000_GPIE_MSIX_MODE,
  E1000_IVAR_MISC,
  E1000_IVAR_VALID,
  E1000_IVAR0,
  IGB_HW_VECTORS,
} from '#hardware/igb/igb_regs.ts';
import {
  HRTIMER_NORESTART,
  hrtimerActive,
  hrtimerCancel,
  hrtimerStart,
} from '#kernel/time/hrtimer.ts';

/** The unit of EITR's interval, which begins at bit 2. */
const EITR_SHIFT = 2;
const EITR_UNIT_NS = 1000;
/** The part of IVAR for a queue: four octets a register, receive and transmit of two queues. */
const IVAR_RX = 0;
const IVAR_TX = 8;
const IVAR_SECOND = 16;
/** The queues from here on use the upper half of the first eight registers. */
const IVAR_QUEUES = 8;
/** Other causes are in the second octet of IVAR_MISC. */
const IVAR_OTHER = 8;

/** Sends the message of a vector that is due, or has it sent when it may be. */
function deliver(vector: IgbVector): void {
  const { chip, index } = vector;
  const bit = 1 << index;
  if ((chip.eicr & chip.eims & bit) === 0) return;
  const { nowNs } = chip.machine;
  if (nowNs < vector.allowedNs) {
    if (!hrtimerActive(vector.timer)) hrtimerStart(vector.timer, vector.allowedNs);
    return;
  }
  const interval = (reg(chip, E1000_EITR(index)) & E1000_EITR_ITR_INT_MASK) >>> EITR_SHIFT;
  vector.allowedNs = nowNs + interval * EITR_UNIT_NS;
  if ((reg(chip, E1000_EIAC) & bit) !== 0) chip.eicr &= ~bit;
  if ((reg(chip, E1000_GPIE) & E1000_GPIE_EIAME) !== 0) chip.eims &= ~(reg(chip, E1000_EIAM) & bit);
  chip.pci.msix?.signal(index);
}

function deliverAll(chip: IgbChip, mask: number): void {
  for (const vector of chip.vectors) if ((mask & (1 << vector.index)) !== 0) deliver(vector);
}

/** The cause of an octet of IVAR has happened. */
function routed(chip: IgbChip, entry: number): void {
  if ((entry & E1000_IVAR_VALID) === 0) return;
  const index = entry & 0x1f;
  if (index >= IGB_HW_VECTORS) return;
  chip.eicr |= 1 << index;
  deliver(chip.vectors[index] as IgbVector);
}

function queueCause(chip: IgbChip, queue: number, part: number): void {
  if ((reg(chip, E1000_GPIE) & E1000_GPIE_MSIX_MODE) === 0) return;
  const ivar = reg(chip, E1000_IVAR0 + 4 * (queue % IVAR_QUEUES));
  routed(chip, (ivar >>> (part + (queue >= IVAR_QUEUES ? IVAR_SECOND : 0))) & 0xff);
}

/** Frames have been stored in a queue. */
export function rxCause(chip: IgbChip, queue: number): void {
  queueCause(chip, queue, IVAR_RX);
}

/** Descriptors of a queue have been written back. */
export function txCause(chip: IgbChip, queue: number): void {
  queueCause(chip, queue, IVAR_TX);
}

/** Something else has happened: `causes` are E1000_ICR_* bits. */
export function setCauses(chip: IgbChip, causes: number): void {
  chip.icr |= causes;
  if ((chip.icr & chip.ims) === 0) return;
  routed(chip, (reg(chip, E1000_IVAR_MISC) >>> IVAR_OTHER) & 0xff);
}

/** ICR is read, which clears it. */
export function readCauses(chip: IgbChip): number {
  const causes = chip.icr;
  chip.icr = 0;
  return causes;
}

/** IMS is written: bits are set. */
export function unmaskCauses(chip: IgbChip, causes: number): void {
  chip.ims |= causes;
  setCauses(chip, 0);
}

/** IMC is written: bits are cleared. */
export function maskCauses(chip: IgbChip, causes: number): void {
  chip.ims &= ~causes;
}

/** EICS is written: software sets causes of vectors. */
export function setVectorCauses(chip: IgbChip, causes: number): void {
  chip.eicr |= causes;
  deliverAll(chip, causes);
}

/** EIMS is written: bits are set. */
export function unmaskVectors(chip: IgbChip, vectors: number): void {
  chip.eims |= vectors;
  deliverAll(chip, vectors);
}

/** EIMC is written: bits are cleared. */
export function maskVectors(chip: IgbChip, vectors: number): void {
  chip.eims &= ~vectors;
}

/** EICR is read, which clears it. */
export function readVectorCauses(chip: IgbChip): number {
  const causes = chip.eicr;
  chip.eicr = 0;
  return causes;
}

/** The throttling interval of a vector is over. */
export function unthrottled(vector: IgbVector): number {
  deliver(vector);
  return HRTIMER_NORESTART;
}

export function resetInterrupts(chip: IgbChip): void {
  for (const vector of chip.vectors) {
    hrtimerCancel(vector.timer);
    vector.allowedNs = 0;
  }
  chip.icr = 0;
  chip.ims = 0;
  chip.eicr = 0;
  chip.eims = 0;
}
