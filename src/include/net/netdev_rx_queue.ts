/** A device's receive queue. Counterpart of include/net/netdev_rx_queue.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { RpsDevFlowTable, RpsMap } from '#include/net/rps.ts';

/** @kernel netdev_rx_queue include/net/netdev_rx_queue.h */
export class NetdevRxQueue {
  readonly dev: NetDevice;
  readonly index: number;
  /** CPUs among which packets of this queue are spread; null: none, they stay where they came. */
  rpsMap: RpsMap | null;
  /** Where the flows of this queue went last; null: flows do not follow their readers. */
  rpsFlowTable: RpsDevFlowTable | null;

  constructor(dev: NetDevice, index: number) {
    this.dev = dev;
    this.index = index;
    this.rpsMap = null;
    this.rpsFlowTable = null;
  }
}
