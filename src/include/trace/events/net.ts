/** Packets entering and leaving devices. Counterpart of include/trace/events/net.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class NetEvents {
  /** The core hands the packet to the driver. */
  readonly netDevStartXmit: Tracepoint<[skb: SkBuff, dev: NetDevice]> = new Tracepoint(
    'net:net_dev_start_xmit',
  );
  /** The driver has answered; the packet may be gone, so its length is given. */
  readonly netDevXmit: Tracepoint<[skb: SkBuff, rc: number, dev: NetDevice, skbLen: number]> =
    new Tracepoint('net:net_dev_xmit');
  readonly netDevXmitTimeout: Tracepoint<[dev: NetDevice, queueIndex: number]> = new Tracepoint(
    'net:net_dev_xmit_timeout',
  );
  readonly netDevQueue: Tracepoint<[skb: SkBuff]> = new Tracepoint('net:net_dev_queue');
  readonly netifReceiveSkb: Tracepoint<[skb: SkBuff]> = new Tracepoint('net:netif_receive_skb');
  readonly netifRx: Tracepoint<[skb: SkBuff]> = new Tracepoint('net:netif_rx');
  readonly napiGroFragsEntry: Tracepoint<[skb: SkBuff]> = new Tracepoint(
    'net:napi_gro_frags_entry',
  );
  readonly napiGroReceiveEntry: Tracepoint<[skb: SkBuff]> = new Tracepoint(
    'net:napi_gro_receive_entry',
  );
  readonly netifReceiveSkbEntry: Tracepoint<[skb: SkBuff]> = new Tracepoint(
    'net:netif_receive_skb_entry',
  );
  readonly netifReceiveSkbListEntry: Tracepoint<[skb: SkBuff]> = new Tracepoint(
    'net:netif_receive_skb_list_entry',
  );
  readonly netifRxEntry: Tracepoint<[skb: SkBuff]> = new Tracepoint('net:netif_rx_entry');
  readonly napiGroFragsExit: Tracepoint<[ret: number]> = new Tracepoint('net:napi_gro_frags_exit');
  readonly napiGroReceiveExit: Tracepoint<[ret: number]> = new Tracepoint(
    'net:napi_gro_receive_exit',
  );
  readonly netifReceiveSkbExit: Tracepoint<[ret: number]> = new Tracepoint(
    'net:netif_receive_skb_exit',
  );
  readonly netifReceiveSkbListExit: Tracepoint<[ret: number]> = new Tracepoint(
    'net:netif_receive_skb_list_exit',
  );
  readonly netifRxExit: Tracepoint<[ret: number]> = new Tracepoint('net:netif_rx_exit');
}
