/**
 * Sizes of descriptor rings. Counterpart of what drivers/net/ethernet/intel/e1000/e1000_ethtool.c and
 * drivers/net/ethernet/intel/igb/igb_ethtool.c do with the sizes they are asked for.
 */

/** A ring takes whole cache lines of the chip: so many descriptors at a time. */
const REQ_DESCRIPTOR_MULTIPLE = 8;

/** The next number of descriptors that a ring may have. */
export function roundDescriptors(count: number): number {
  return Math.ceil(count / REQ_DESCRIPTOR_MULTIPLE) * REQ_DESCRIPTOR_MULTIPLE;
}

/** The same, held to limits. */
export function clampDescriptors(count: number, min: number, max: number): number {
  return roundDescriptors(Math.min(Math.max(count, min), max));
}
