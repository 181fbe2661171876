/**
 * Which frames the receiver of the 82576 lets pass. Datasheet 7.1.1. The tables are those of the
 * 8254x, with more exact addresses.
 */
import { reg } from '#hardware/e1000/e1000_chip.ts';
import {
  FOR_BROADCAST,
  FOR_MULTICAST,
  FOR_UNICAST,
  multicastHash,
  NOT_FOR_US,
} from '#hardware/e1000/e1000_chip_filter.ts';
import {
  E1000_MTA,
  E1000_RAH,
  E1000_RAH_AV,
  E1000_RAL,
  E1000_RCTL,
  E1000_RCTL_BAM,
  E1000_RCTL_MPE,
  E1000_RCTL_UPE,
} from '#hardware/e1000/e1000_regs.ts';
import type { IgbChip } from '#hardware/igb/igb_chip.ts';
import { E1000_RA2, E1000_RAR_ENTRIES_82576 } from '#hardware/igb/igb_regs.ts';
import { dmaView } from '#mm/memory.ts';

/** Exact addresses at the old place; the others follow at RA2. */
const RAR_FIRST = 16;

/** True when the address passes one of the exact filters. */
function matchesExactly(chip: IgbChip, low: number, high: number): boolean {
  for (let i = 0; i < E1000_RAR_ENTRIES_82576; i++) {
    const at = i < RAR_FIRST ? E1000_RAL + 8 * i : E1000_RA2 + 8 * (i - RAR_FIRST);
    const rah = reg(chip, at + (E1000_RAH - E1000_RAL));
    if ((rah & E1000_RAH_AV) !== 0 && (rah & 0xffff) === high && reg(chip, at) === low) return true;
  }
  return false;
}

/** Holds the destination of a frame against the filters. */
export function filterAddress(chip: IgbChip, addr: number): number {
  const rctl = reg(chip, E1000_RCTL);
  const low = dmaView.getInt32(addr, true);
  const high = dmaView.getUint16(addr + 4, true);
  if ((low & 1) === 0) {
    const ours = (rctl & E1000_RCTL_UPE) !== 0 || matchesExactly(chip, low, high);
    return ours ? FOR_UNICAST : NOT_FOR_US;
  }
  if (low === -1 && high === 0xffff) {
    return (rctl & (E1000_RCTL_BAM | E1000_RCTL_MPE)) !== 0 ? FOR_BROADCAST : NOT_FOR_US;
  }
  if ((rctl & E1000_RCTL_MPE) !== 0 || matchesExactly(chip, low, high)) return FOR_MULTICAST;
  const hash = multicastHash(chip, high & 0xff, high >>> 8);
  const word = reg(chip, E1000_MTA + 4 * (hash >>> 5));
  return ((word >>> (hash & 31)) & 1) !== 0 ? FOR_MULTICAST : NOT_FOR_US;
}
