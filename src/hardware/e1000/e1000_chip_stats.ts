/**
 * Statistics registers of the 8254x: counters that stick at their largest value and are cleared when
 * they are read. SDM 13.7.
 */
import { type RegisterFile, reg, setReg } from '#hardware/e1000/e1000_chip.ts';
import {
  E1000_CRCERRS,
  E1000_GORCH,
  E1000_GORCL,
  E1000_GOTCH,
  E1000_GOTCL,
  E1000_PRC64,
  E1000_PTC64,
  E1000_TORH,
  E1000_TORL,
  E1000_TOTH,
  E1000_TOTL,
  E1000_TSCTFC,
} from '#hardware/e1000/e1000_regs.ts';

/** True when `offset` is a statistics register. */
export function isStatistic(offset: number): boolean {
  return offset >= E1000_CRCERRS && offset <= E1000_TSCTFC;
}

/** Counts one event. */
export function count(chip: RegisterFile, offset: number): void {
  const value = reg(chip, offset);
  if (value !== -1) setReg(chip, offset, (value + 1) | 0);
}

/** Adds octets to a pair of registers. */
export function countOctets(chip: RegisterFile, low: number, octets: number): void {
  const sum = (reg(chip, low) >>> 0) + octets;
  setReg(chip, low, sum | 0);
  if (sum > 0xffffffff) setReg(chip, low + 4, (reg(chip, low + 4) + 1) | 0);
}

/**
 * Reads a register and clears it. The halves of an octet count must be read low half first: the high
 * half clears both.
 */
export function readStatistic(chip: RegisterFile, offset: number): number {
  const value = reg(chip, offset);
  switch (offset) {
    case E1000_GORCL:
    case E1000_GOTCL:
    case E1000_TORL:
    case E1000_TOTL:
      return value;
    case E1000_GORCH:
    case E1000_GOTCH:
    case E1000_TORH:
    case E1000_TOTH:
      setReg(chip, offset - 4, 0);
  }
  setReg(chip, offset, 0);
  return value;
}

/** Counts a frame by its size, check sequence included; `first` is PRC64 or PTC64. */
function countSize(chip: RegisterFile, first: number, size: number): void {
  let step = 0;
  if (size > 64) step = size <= 127 ? 1 : size <= 255 ? 2 : size <= 511 ? 3 : size <= 1023 ? 4 : 5;
  count(chip, first + 4 * step);
}

export function countRxSize(chip: RegisterFile, size: number): void {
  countSize(chip, E1000_PRC64, size);
}

export function countTxSize(chip: RegisterFile, size: number): void {
  countSize(chip, E1000_PTC64, size);
}
