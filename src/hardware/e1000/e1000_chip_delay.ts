/**
 * Reports that are held back, so that one interrupt tells of many descriptors: RDTR and RADV for
 * received ones, TIDV and TADV for transmitted ones. SDM 3.2.7.1, 3.4.3.1.
 */
import { type E1000Chip, type E1000Delay, reg, setReg } from '#hardware/e1000/e1000_chip.ts';
import { setCauses } from '#hardware/e1000/e1000_chip_irq.ts';
import { E1000_DELAY_FLUSH } from '#hardware/e1000/e1000_regs.ts';
import {
  HRTIMER_NORESTART,
  HRTIMER_RESTART,
  hrtimerActive,
  hrtimerCancel,
  hrtimerStart,
} from '#kernel/time/hrtimer.ts';

/** The unit of the registers in ns. */
const DELAY_UNIT_NS = 1024;

/** Starts or prolongs the wait before the cause is reported; false when there is to be none. */
export function delayReport(chip: E1000Chip, delay: E1000Delay): boolean {
  const quiet = reg(chip, delay.quietReg) & 0xffff;
  if (quiet === 0) return false;
  const { nowNs } = chip.machine;
  delay.quietNs = nowNs + quiet * DELAY_UNIT_NS;
  if (!hrtimerActive(delay.timer)) {
    const limit = reg(chip, delay.limitReg) & 0xffff;
    delay.limitNs = limit === 0 ? Number.POSITIVE_INFINITY : nowNs + limit * DELAY_UNIT_NS;
    hrtimerStart(delay.timer, Math.min(delay.quietNs, delay.limitNs));
  }
  return true;
}

/** It has been quiet long enough, or it has taken too long; unless a later packet prolonged the wait. */
export function reportDelayed(delay: E1000Delay): number {
  const due = Math.min(delay.quietNs, delay.limitNs);
  if (due > delay.chip.machine.nowNs) {
    delay.timer.expiresNs = due;
    return HRTIMER_RESTART;
  }
  setCauses(delay.chip, delay.cause);
  return HRTIMER_NORESTART;
}

/** RDTR or TIDV is written; the top bit reports at once what waits. */
export function writeDelay(chip: E1000Chip, delay: E1000Delay, value: number): void {
  setReg(chip, delay.quietReg, value & 0xffff);
  if ((value & E1000_DELAY_FLUSH) !== 0 && hrtimerCancel(delay.timer)) setCauses(chip, delay.cause);
}
