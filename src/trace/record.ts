/**
 * What a recording consists of: the kinds of records, and how readers see them. Counterpart in spirit of
 * include/linux/trace_events.h; the binary form is in ring.ts, who writes it in recorder.ts, who asks it
 * in query.ts.
 *
 * All times are ns of the machine's clock. In virtual time a whole soft interrupt may pass in no time at
 * all, so the order of steps is that of `seq`.
 */

export const KIND_FUNCTION_ENTRY = 1;
export const KIND_FUNCTION_EXIT = 2;
/** One of Linux's tracepoints. */
export const KIND_TRACEPOINT = 3;
/** A choice, and what decided it: a route, a hook, a socket, why a segment waits. */
export const KIND_DECISION = 4;
/** A queue got or lost a packet; the first argument is its length afterwards. */
export const KIND_QUEUE = 5;
/** A packet was allocated; `other` is the packet whose handling caused it, 0 for none. */
export const KIND_BIRTH = 6;
/** A packet was made from `other`; the first argument is a DERIVE_*. */
export const KIND_DERIVE = 7;
/** The packet's bytes went into `other`; the first argument is a MERGE_*. */
export const KIND_MERGE = 8;
/** A frame of the packet was put on the line. */
export const KIND_TRANSMIT = 9;
/** A frame has arrived; `other` is the packet it was at the sender. */
export const KIND_RECEIVE = 10;
/** The packet itself went over to another machine, by reference. */
export const KIND_CROSS = 11;
/** A frame of the packet was lost between the machines; the first argument is a WIRE_*. */
export const KIND_LOST = 12;
/** The end: arguments are the reason (SKB_CONSUMED or a SKB_DROP_REASON_*) and the name of the place. */
export const KIND_END = 13;

/** Names of the kinds, by number. */
export const KIND_NAMES: readonly string[] = [
  '',
  'entry',
  'exit',
  'tracepoint',
  'decision',
  'queue',
  'birth',
  'derive',
  'merge',
  'transmit',
  'receive',
  'cross',
  'lost',
  'end',
];

export const CONTEXT_TASK = 0;
export const CONTEXT_SOFTIRQ = 1;
export const CONTEXT_HARDIRQ = 2;

export const CONTEXT_NAMES: readonly string[] = ['task', 'softirq', 'hardirq'];

export const DERIVE_NAMES: readonly string[] = [
  '',
  'clone',
  'copy',
  'segment',
  'fragment',
  'split',
];
export const MERGE_NAMES: readonly string[] = [
  '',
  'gro',
  'coalesce',
  'reassemble',
  'collapse',
  'shift',
];
export const WIRE_NAMES: readonly string[] = [
  '',
  'lost on the cable',
  'queue of the cable full',
  'cable unplugged',
  'bad check sequence',
  'not for this card',
  'card out of descriptors',
];
export const SOCKET_NAMES: readonly string[] = [
  '',
  'established',
  'listener',
  'bound',
  'early demux',
  'none',
];
export const STALL_NAMES: readonly string[] = [
  '',
  'congestion window',
  'receive window',
  'Nagle',
  'pacing',
  'small queue',
  'waits for a larger burst',
  'application',
  'device',
];

/** A packet's pointers and first bytes at a moment. Offsets are from `head`; -1: not set. */
export interface Snapshot {
  /** Address of the head in packet memory. */
  readonly head: number;
  readonly data: number;
  readonly tail: number;
  readonly end: number;
  readonly macHeader: number;
  readonly networkHeader: number;
  readonly transportHeader: number;
  readonly len: number;
  readonly dataLen: number;
  readonly users: number;
  readonly dataref: number;
  /** CHECKSUM_* */
  readonly ipSummed: number;
  readonly cloned: boolean;
  readonly nrFrags: number;
  /** Octets of each fragment; empty when they have been overwritten. */
  readonly fragSizes: readonly number[];
  /** Octets of each packet that hangs on its frag_list. */
  readonly fragListSizes: readonly number[];
  readonly gsoSize: number;
  readonly gsoSegs: number;
  /** ETH_P_* */
  readonly protocol: number;
  /** Offset from `head` of the first of `bytes`. */
  readonly bytesAt: number;
  /** From the first header that is set, as far as it is linear and was kept. */
  readonly bytes: Uint8Array;
}

/** One record, decoded. */
export interface Step {
  /** Position in the recording; grows by one from record to record. */
  readonly seq: number;
  readonly timeNs: number;
  readonly machine: string;
  readonly cpu: number;
  /** CONTEXT_* */
  readonly context: number;
  /** KIND_* */
  readonly kind: number;
  /** `system:event` of a tracepoint, or a function's name in Linux. */
  readonly name: string;
  /** Number of the packet in the recording; 0 where none is concerned. */
  readonly packet: number;
  /** The packet from which this one descends, over all machines: itself for a first. */
  readonly journey: number;
  /** Another packet, by kind; 0 for none. */
  readonly other: number;
  /** Number of the socket in the recording; 0 for none. */
  readonly sock: number;
  /** Interface; empty for none. */
  readonly dev: string;
  /** Four numbers; ARGUMENTS says what they are. */
  readonly args: readonly number[];
  /** Depth of the call, where functions are traced. */
  readonly depth: number;
  /** Null where no packet is concerned or it has been overwritten. */
  readonly snapshot: Snapshot | null;
}

/** What is known of a packet. */
export interface PacketInfo {
  readonly packet: number;
  readonly machine: string;
  /** `skb.id` on that machine. */
  readonly id: number;
  readonly journey: number;
  /** The packet it was made from; 0 for none. */
  readonly parent: number;
  /** How: DERIVE_*, or 0 for one that came over a wire or was allocated. */
  readonly how: number;
  /** The packet whose handling caused this one: a request for a reply; 0 for none. */
  readonly cause: number;
  /** The packet that has its bytes now; 0 for none. */
  readonly mergedInto: number;
  readonly bornSeq: number;
  readonly bornNs: number;
  /** -1 while it lives. */
  readonly endSeq: number;
  readonly endNs: number;
  /** SKB_CONSUMED or a SKB_DROP_REASON_*; 0 while it lives. */
  readonly reason: number;
  /** Function in which it ended. */
  readonly location: string;
}

/** A socket that appears in the recording. */
export interface SockInfo {
  readonly sock: number;
  readonly machine: string;
  readonly family: number;
  readonly protocol: number;
  readonly saddr: number;
  readonly sport: number;
  readonly daddr: number;
  readonly dport: number;
}

/** What the arguments of a record are, by name of the tracepoint. */
export const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  'net:net_dev_queue': ['len', 'queue', 'gso_size', 'ip_summed'],
  'net:net_dev_start_xmit': ['len', 'queue', 'gso_size', 'ip_summed'],
  'net:net_dev_xmit': ['rc', 'len'],
  'net:net_dev_xmit_timeout': ['queue'],
  'net:netif_receive_skb': ['len', 'protocol'],
  'net:netif_rx': ['len', 'protocol'],
  'net:napi_gro_receive_entry': ['len', 'protocol'],
  'net:napi_gro_frags_entry': ['len', 'protocol'],
  'net:netif_receive_skb_entry': ['len', 'protocol'],
  'net:netif_receive_skb_list_entry': ['len', 'protocol'],
  'net:netif_rx_entry': ['len', 'protocol'],
  'net:napi_gro_receive_exit': ['ret'],
  'net:napi_gro_frags_exit': ['ret'],
  'net:netif_receive_skb_exit': ['ret'],
  'net:netif_receive_skb_list_exit': ['ret'],
  'net:netif_rx_exit': ['ret'],
  'skb:kfree_skb': ['reason', 'location'],
  'skb:consume_skb': ['reason', 'location'],
  'skb:skb_copy_datagram_iovec': ['len'],
  'packet:packet_free': ['reason', 'location'],
  'napi:napi_poll': ['work', 'budget'],
  'irq:irq_handler_entry': ['irq'],
  'irq:irq_handler_exit': ['irq', 'ret'],
  'irq:softirq_entry': ['vec'],
  'irq:softirq_exit': ['vec'],
  'irq:softirq_raise': ['vec'],
  'sock:inet_sock_set_state': ['oldstate', 'newstate'],
  'sock:sock_rcvqueue_full': ['rmem_alloc', 'rcvbuf'],
  'sock:sock_exceed_buf_limit': ['allocated', 'kind'],
  'sock:sock_send_length': ['ret', 'flags'],
  'sock:sock_recv_length': ['ret', 'flags'],
  'sock:sk_data_ready': ['rmem_alloc', 'rcvbuf'],
  'tcp:tcp_sendmsg_locked': ['len', 'size_goal'],
  'tcp:tcp_retransmit_skb': ['seq', 'err'],
  'tcp:tcp_send_reset': ['reason'],
  'tcp:tcp_probe': ['snd_cwnd', 'ssthresh', 'packets_out', 'snd_wnd'],
  'tcp:tcp_cong_state_set': ['cong_state'],
  'tcp:tcp_cwnd_reduction_tp': ['newly_acked_sacked', 'newly_lost', 'flag'],
  'tcp:tcp_rcv_space_adjust': ['rcvq_space'],
  'tcp:tcp_rcvbuf_grow': ['time'],
  'qdisc:qdisc_enqueue': ['qlen', 'handle', 'parent', 'txq'],
  'qdisc:qdisc_dequeue': ['qlen', 'packets', 'handle', 'txq'],
  'qdisc:qdisc_create': ['parent'],
  'fib:fib_table_lookup': ['err', 'table', 'daddr', 'gateway'],
  'icmp:icmp_send': ['type', 'code'],
  'udp:udp_fail_queue_rcv_skb': ['rc', 'port'],
  'neigh:neigh_create': ['primary_key', 'nud_state'],
  'neigh:neigh_update': ['primary_key', 'new_state', 'nud_state'],
  'neigh:neigh_update_done': ['primary_key', 'err', 'nud_state'],
  'neigh:neigh_timer_handler': ['primary_key', 'err', 'nud_state'],
  'neigh:neigh_event_send_done': ['primary_key', 'err', 'nud_state'],
  'neigh:neigh_event_send_dead': ['primary_key', 'err', 'nud_state'],
  'neigh:neigh_cleanup_and_release': ['primary_key', 'err', 'nud_state'],
  'packet:packet_derive': ['how'],
  'packet:packet_merge': ['how'],
  'packet:packet_cross': ['id'],
  'packet:wire_transmit': ['len'],
  'packet:wire_receive': ['len'],
  'packet:wire_drop': ['why', 'len'],
  'packet:hook_verdict': ['verdict', 'hook', 'index', 'pf'],
  'packet:route_input': ['err', 'type', 'daddr', 'gateway'],
  'packet:socket_lookup': ['why', 'state'],
  'packet:tcp_send_stall': ['why', 'cwnd', 'in_flight', 'snd_wnd'],
  'packet:socket_queue': ['rmem_alloc', 'rcvbuf', 'backlog'],
  'packet:neigh_queue': ['qlen'],
  'cable:cable_send': ['len', 'end', 'travel_us'],
  'cable:cable_arrive': ['len', 'end'],
  'cable:cable_drop': ['why', 'end', 'len'],
};
