/** In which function of Linux a step happened: where its tracepoint lies. */
import {
  DERIVE_CLONE,
  DERIVE_COPY,
  DERIVE_FRAGMENT,
  DERIVE_SEGMENT,
  DERIVE_SPLIT,
  MERGE_COALESCE,
  MERGE_COLLAPSE,
  MERGE_GRO,
  MERGE_REASSEMBLE,
  MERGE_SHIFT,
  STALL_APPLICATION,
} from '#include/trace/events/packet.ts';
import { headersOf } from '#trace/headers.ts';
import {
  KIND_BIRTH,
  KIND_DERIVE,
  KIND_END,
  KIND_LOST,
  KIND_MERGE,
  KIND_RECEIVE,
  KIND_TRANSMIT,
} from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';

/** By tracepoint. What is not here lies in a function of the same name, as those of the TCP system do. */
const PLACES: Readonly<Record<string, string>> = {
  'net:net_dev_queue': '__dev_queue_xmit',
  'net:net_dev_start_xmit': 'xmit_one',
  'net:net_dev_xmit': 'xmit_one',
  'net:net_dev_xmit_timeout': 'dev_watchdog',
  'net:netif_receive_skb': '__netif_receive_skb_core',
  'net:netif_rx': 'netif_rx_internal',
  'net:napi_gro_receive_entry': 'napi_gro_receive',
  'net:napi_gro_receive_exit': 'napi_gro_receive',
  'net:napi_gro_frags_entry': 'napi_gro_frags',
  'net:netif_receive_skb_entry': 'netif_receive_skb',
  'net:netif_receive_skb_list_entry': 'netif_receive_skb_list',
  'net:netif_rx_entry': 'netif_rx',
  'skb:skb_copy_datagram_iovec': 'skb_copy_datagram_iter',
  'napi:napi_poll': '__napi_poll',
  'irq:irq_handler_entry': '__handle_irq_event_percpu',
  'irq:irq_handler_exit': '__handle_irq_event_percpu',
  'irq:softirq_entry': 'handle_softirqs',
  'irq:softirq_exit': 'handle_softirqs',
  'irq:softirq_raise': '__raise_softirq_irqoff',
  'sock:inet_sock_set_state': 'inet_sk_state_store',
  'sock:inet_sk_error_report': 'sk_error_report',
  'sock:sock_rcvqueue_full': '__sock_queue_rcv_skb',
  'sock:sock_exceed_buf_limit': '__sk_mem_raise_allocated',
  'sock:sk_data_ready': 'sock_def_readable',
  'sock:sock_send_length': 'sock_sendmsg',
  'sock:sock_recv_length': 'sock_recvmsg',
  'tcp:tcp_sendmsg_locked': 'tcp_sendmsg_locked',
  'tcp:tcp_retransmit_skb': '__tcp_retransmit_skb',
  'tcp:tcp_retransmit_synack': 'tcp_rtx_synack',
  'tcp:tcp_send_reset': 'tcp_v4_send_reset',
  'tcp:tcp_receive_reset': 'tcp_reset',
  'tcp:tcp_destroy_sock': 'tcp_v4_destroy_sock',
  'tcp:tcp_cong_state_set': 'tcp_set_ca_state',
  'tcp:tcp_cwnd_reduction_tp': 'tcp_cwnd_reduction',
  'tcp:tcp_bad_csum': 'tcp_v4_rcv',
  'tcp:tcp_probe': 'tcp_rcv_established',
  'qdisc:qdisc_enqueue': 'dev_qdisc_enqueue',
  'qdisc:qdisc_dequeue': 'dequeue_skb',
  'fib:fib_table_lookup': 'fib_table_lookup',
  'icmp:icmp_send': '__icmp_send',
  'udp:udp_fail_queue_rcv_skb': '__udp_queue_rcv_skb',
  'neigh:neigh_create': '___neigh_create',
  'neigh:neigh_update': '__neigh_update',
  'neigh:neigh_update_done': '__neigh_update',
  'neigh:neigh_event_send_done': '__neigh_event_send',
  'neigh:neigh_event_send_dead': '__neigh_event_send',
  'packet:hook_verdict': 'nf_hook_slow',
  'packet:route_input': 'ip_route_input_noref',
  'packet:neigh_queue': '__neigh_event_send',
};

/** Tracepoints that lie in several functions: which one, the record tells. */
const SEVERAL: ReadonlySet<string> = new Set([
  'packet:socket_lookup',
  'packet:socket_queue',
  'packet:tcp_send_stall',
]);

const DERIVERS: Readonly<Record<number, string>> = {
  [DERIVE_CLONE]: 'skb_clone',
  [DERIVE_COPY]: 'skb_copy',
  [DERIVE_SEGMENT]: 'skb_segment',
  [DERIVE_FRAGMENT]: 'ip_do_fragment',
  [DERIVE_SPLIT]: 'tso_fragment',
};

const MERGERS: Readonly<Record<number, string>> = {
  [MERGE_GRO]: 'skb_gro_receive',
  [MERGE_COALESCE]: 'skb_try_coalesce',
  [MERGE_REASSEMBLE]: 'inet_frag_reasm_finish',
  [MERGE_COLLAPSE]: 'tcp_collapse',
  [MERGE_SHIFT]: 'tcp_skb_shift',
};

/** What a step that happened in a card is said to have happened in: no function of the kernel. */
export const IN_CARD = 'the card';

/**
 * The function in which a step of the recording happened; a traced function's own name. Reads numbers
 * only, so that a million steps can be asked.
 */
export function functionOf(recorder: Recorder, seq: number): string {
  const { ring, names } = recorder;
  const how = ring.arg(seq, 0);
  switch (ring.kind(seq)) {
    case KIND_END: {
      const location = names.text(ring.arg(seq, 1));
      return location === '' ? '__kfree_skb' : location;
    }
    case KIND_BIRTH:
      return '__alloc_skb';
    case KIND_DERIVE:
      return DERIVERS[how] ?? 'skb_clone';
    case KIND_MERGE:
      return MERGERS[how] ?? 'skb_try_coalesce';
    case KIND_TRANSMIT:
    case KIND_LOST:
      return IN_CARD;
    case KIND_RECEIVE:
      return 'dma_unmap_single';
    default:
      return ofTracepoint(recorder, seq, names.text(ring.name(seq)));
  }
}

function ofTracepoint(recorder: Recorder, seq: number, name: string): string {
  const known = PLACES[name];
  if (known !== undefined) return known;
  const { ring } = recorder;
  if (name === 'packet:socket_lookup') {
    // What was found early is taken from the packet here, too.
    const udp = protocolOf(recorder, seq) === IPPROTO_UDP;
    return udp ? '__udp4_lib_lookup' : '__inet_lookup_skb';
  }
  if (name === 'packet:socket_queue') {
    if (ring.arg(seq, 2) !== 0) return 'sk_add_backlog';
    const protocol = protocolOf(recorder, seq);
    if (protocol === IPPROTO_TCP) return 'tcp_queue_rcv';
    return protocol === IPPROTO_UDP ? '__udp_enqueue_schedule_skb' : '__sock_queue_rcv_skb';
  }
  if (name === 'packet:tcp_send_stall') {
    return ring.arg(seq, 0) === STALL_APPLICATION ? 'tcp_rate_check_app_limited' : 'tcp_write_xmit';
  }
  return name.slice(name.indexOf(':') + 1);
}

/**
 * A number that steps in one function share, for whoever counts them; -1 where only functionOf() tells.
 */
export function functionKey({ ring, names }: Recorder, seq: number): number {
  const kind = ring.kind(seq);
  if (kind === KIND_END) return 0x1000000 + ring.arg(seq, 1);
  if (kind >= KIND_BIRTH) return 0x2000000 + kind * 16 + (ring.arg(seq, 0) & 15);
  const name = ring.name(seq);
  return SEVERAL.has(names.text(name)) ? -1 : name;
}

/** IPPROTO_* of a step: of its socket, else of its bytes. */
function protocolOf(recorder: Recorder, seq: number): number {
  const { ring } = recorder;
  const sock = recorder.sock(ring.sock(seq));
  if (sock !== null) return sock.protocol;
  const snapshot = ring.readSnapshot(ring.snapNumber(seq));
  return snapshot === null ? -1 : headersOf(snapshot).protocol;
}
