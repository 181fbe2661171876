/**
 * Interrupts of the 8254x: causes, mask and throttling. SDM 13.4.17 to 13.4.21, AP-450.
 *
 * The pin is raised while a cause that is not masked stands in ICR, but not sooner than ITR after the
 * last interrupt. Reading ICR clears the causes and with them the pin.
 */
import { type E1000Chip, reg } from '#hardware/e1000/e1000_chip.ts';
import { E1000_ITR } from '#hardware/e1000/e1000_regs.ts';
import {
  HRTIMER_NORESTART,
  hrtimerActive,
  hrtimerCancel,
  hrtimerStart,
} from '#kernel/time/hrtimer.ts';

/** The unit of ITR in ns. */
const ITR_UNIT_NS = 256;

/** Sets the pin by what is pending. */
function updatePin(chip: E1000Chip): void {
  if ((chip.icr & chip.ims) === 0) {
    chip.pci.setIntx(false);
    return;
  }
  if (chip.pci.intx) return;
  const now = chip.machine.nowNs;
  const allowed = chip.lastInterruptNs + (reg(chip, E1000_ITR) & 0xffff) * ITR_UNIT_NS;
  if (now < allowed) {
    if (!hrtimerActive(chip.throttleTimer)) hrtimerStart(chip.throttleTimer, allowed);
    return;
  }
  chip.lastInterruptNs = now;
  chip.pci.setIntx(true);
}

/** Something has happened: `causes` are E1000_ICR_* bits. */
export function setCauses(chip: E1000Chip, causes: number): void {
  chip.icr |= causes;
  updatePin(chip);
}

/** ICR is read. */
export function readCauses(chip: E1000Chip): number {
  const causes = chip.icr;
  chip.icr = 0;
  updatePin(chip);
  return causes;
}

/** IMS is written: bits are set. */
export function unmaskCauses(chip: E1000Chip, causes: number): void {
  chip.ims |= causes;
  updatePin(chip);
}

/** IMC is written: bits are cleared. */
export function maskCauses(chip: E1000Chip, causes: number): void {
  chip.ims &= ~causes;
  updatePin(chip);
}

/** The throttling interval is over. */
export function unthrottled(chip: E1000Chip): number {
  updatePin(chip);
  return HRTIMER_NORESTART;
}

export function resetInterrupts(chip: E1000Chip): void {
  hrtimerCancel(chip.throttleTimer);
  chip.icr = 0;
  chip.ims = 0;
  chip.lastInterruptNs = Number.NEGATIVE_INFINITY;
  updatePin(chip);
}
