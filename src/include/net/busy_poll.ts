/**
 * What a socket remembers of where its packets come from: the polling instance, for busy polling, and
 * the receive queue, for the choice of the transmit queue. Counterpart of include/net/busy_poll.h.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbGetRxQueue, skbRxQueueRecorded } from '#include/linux/skbuff_rx_queue.ts';
import type { Sock } from '#include/net/sock.ts';

/** Packets of one poll, where nothing else is said. @kernel BUSY_POLL_BUDGET include/net/busy_poll.h */
export const BUSY_POLL_BUDGET = 8;

/** @kernel sk_rx_queue_update include/net/sock.h */
function skRxQueueUpdate(sk: Sock, skb: SkBuff): void {
  if (skbRxQueueRecorded(skb)) sk.skRxQueueMapping = skbGetRxQueue(skb);
}

/** @kernel sk_mark_napi_id include/net/busy_poll.h */
export function skMarkNapiId(sk: Sock, skb: SkBuff): void {
  if (skb.napiId !== 0) sk.skNapiId = skb.napiId;
  skRxQueueUpdate(sk, skb);
}

/** Only the first: a socket of many senders stays with one instance. @kernel sk_mark_napi_id_once include/net/busy_poll.h */
export function skMarkNapiIdOnce(sk: Sock, skb: SkBuff): void {
  if (sk.skNapiId === 0) sk.skNapiId = skb.napiId;
}

/** @kernel sock_rps_save_rxhash include/net/sock.h */
export function sockRpsSaveRxhash(sk: Sock, skb: SkBuff): void {
  if (sk.skRxhash !== skb.hash) sk.skRxhash = skb.hash;
}

/** @kernel sk_incoming_cpu_update include/net/sock.h */
export function skIncomingCpuUpdate(sk: Sock, cpu: number): void {
  if (sk.skIncomingCpu !== cpu) sk.skIncomingCpu = cpu;
}
