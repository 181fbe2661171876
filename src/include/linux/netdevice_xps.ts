/**
 * Which transmit queues a CPU, or the reader of a receive queue, shall use. Counterpart of the XPS part
 * of include/linux/netdevice.h.
 */

/** By CPU. @kernel xps_map_type include/linux/netdevice.h */
export const XPS_CPUS = 0;
/** By receive queue. */
export const XPS_RXQS = 1;

/** @kernel xps_dev_maps include/linux/netdevice.h */
export class XpsDevMaps {
  /** CPUs of the machine or receive queues of the device. */
  readonly nrIds: number;
  /** By number: the queues to choose from, ascending; null: no word on this one. @kernel xps_map include/linux/netdevice.h */
  readonly attrMap: (Uint16Array | null)[];

  constructor(nrIds: number) {
    this.nrIds = nrIds;
    this.attrMap = new Array<Uint16Array | null>(nrIds).fill(null);
  }
}
