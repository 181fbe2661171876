/**
 * The receive queue by which a packet came. Counterpart of a part of include/linux/skbuff.h: it shares
 * `queueMapping` with the transmit queue, and is kept plus one, so that 0 is none.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';

/** @kernel skb_record_rx_queue include/linux/skbuff.h */
export function skbRecordRxQueue(skb: SkBuff, rxQueue: number): void {
  skb.queueMapping = rxQueue + 1;
}

/** @kernel skb_get_rx_queue include/linux/skbuff.h */
export function skbGetRxQueue(skb: SkBuff): number {
  return skb.queueMapping - 1;
}

/** @kernel skb_rx_queue_recorded include/linux/skbuff.h */
export function skbRxQueueRecorded(skb: SkBuff): boolean {
  return skb.queueMapping !== 0;
}
