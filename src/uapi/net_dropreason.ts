/*
 * Why a packet was dropped: every reason of the core, numbered as in Linux 6.18.
 * Kernel counterpart: include/net/dropreason-core.h. kfreeSkb() takes one of these and nothing less; a
 * new place of loss that Linux has a reason for uses that reason.
 */

/** The packet is alive: the verdict of a check that passed. */
export const SKB_NOT_DROPPED_YET = 0;
/** Delivered or otherwise used up: the good end, consumeSkb(). */
export const SKB_CONSUMED = 1;
/** Nobody said why. */
export const SKB_DROP_REASON_NOT_SPECIFIED = 2;
/** No socket is bound to the destination. */
export const SKB_DROP_REASON_NO_SOCKET = 3;
/** The socket was closed with data in its queue. */
export const SKB_DROP_REASON_SOCKET_CLOSE = 4;
/** The filter attached to the socket refused it. */
export const SKB_DROP_REASON_SOCKET_FILTER = 5;
/** The receive buffer of the socket is full. */
export const SKB_DROP_REASON_SOCKET_RCVBUFF = 6;
/** A unix datagram socket went away or changed its peer. */
export const SKB_DROP_REASON_UNIX_DISCONNECT = 7;
/** An out-of-band byte of a unix stream was passed over. */
export const SKB_DROP_REASON_UNIX_SKIP_OOB = 8;
/** Shorter than its own headers say. */
export const SKB_DROP_REASON_PKT_TOO_SMALL = 9;
/** TCP checksum is wrong. */
export const SKB_DROP_REASON_TCP_CSUM = 10;
/** UDP checksum is wrong. */
export const SKB_DROP_REASON_UDP_CSUM = 11;
/** A netfilter hook dropped it. */
export const SKB_DROP_REASON_NETFILTER_DROP = 12;
/** Addressed to another host on the link; seen because of promiscuous mode. */
export const SKB_DROP_REASON_OTHERHOST = 13;
/** IPv4 header checksum is wrong. */
export const SKB_DROP_REASON_IP_CSUM = 14;
/** The IP header makes no sense (InHdrErrors). */
export const SKB_DROP_REASON_IP_INHDR = 15;
/** The way back does not leave by the interface it came in on. */
export const SKB_DROP_REASON_IP_RPFILTER = 16;
/** Link-layer multicast or broadcast around a unicast IP packet. */
export const SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST = 17;
/** An IPsec policy refused it. */
export const SKB_DROP_REASON_XFRM_POLICY = 18;
/** No handler for the IP protocol. */
export const SKB_DROP_REASON_IP_NOPROTO = 19;
/** The protocol is out of its memory share (tcp_mem, udp_mem). */
export const SKB_DROP_REASON_PROTO_MEM = 20;
/** Authentication options twice, both kinds, or malformed. */
export const SKB_DROP_REASON_TCP_AUTH_HDR = 21;
/** An MD5 signature was due and is absent. */
export const SKB_DROP_REASON_TCP_MD5NOTFOUND = 22;
/** An MD5 signature that nobody asked for. */
export const SKB_DROP_REASON_TCP_MD5UNEXPECTED = 23;
/** The MD5 signature does not match. */
export const SKB_DROP_REASON_TCP_MD5FAILURE = 24;
/** A TCP-AO signature was due and is absent. */
export const SKB_DROP_REASON_TCP_AONOTFOUND = 25;
/** A TCP-AO signature that nobody asked for. */
export const SKB_DROP_REASON_TCP_AOUNEXPECTED = 26;
/** TCP-AO key id is unknown. */
export const SKB_DROP_REASON_TCP_AOKEYNOTFOUND = 27;
/** The TCP-AO signature does not match. */
export const SKB_DROP_REASON_TCP_AOFAILURE = 28;
/** The backlog of a socket that a task holds is full. */
export const SKB_DROP_REASON_SOCKET_BACKLOG = 29;
/** A combination of TCP flags that has no meaning in this state. */
export const SKB_DROP_REASON_TCP_FLAGS = 30;
/** Data for a socket that was shut down or closed: answered with a reset. */
export const SKB_DROP_REASON_TCP_ABORT_ON_DATA = 31;
/** Data came while the advertised window was zero. */
export const SKB_DROP_REASON_TCP_ZEROWINDOW = 32;
/** Everything in it was received before. */
export const SKB_DROP_REASON_TCP_OLD_DATA = 33;
/** Beyond the right edge of the receive window. */
export const SKB_DROP_REASON_TCP_OVERWINDOW = 34;
/** Already in the out-of-order queue. */
export const SKB_DROP_REASON_TCP_OFOMERGE = 35;
/** Time stamp too old (RFC 7323#5.3). */
export const SKB_DROP_REASON_TCP_RFC7323_PAWS = 36;
/** Time stamp too old on a pure acknowledgement; dropped silently. */
export const SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK = 37;
/** Time stamp too old for a socket in TIME-WAIT. */
export const SKB_DROP_REASON_TCP_RFC7323_TW_PAWS = 38;
/** The echoed time stamp was never sent. */
export const SKB_DROP_REASON_TCP_RFC7323_TSECR = 39;
/** The accept queue of the listener is full. */
export const SKB_DROP_REASON_TCP_LISTEN_OVERFLOW = 40;
/** Ends before the receive window. */
export const SKB_DROP_REASON_TCP_OLD_SEQUENCE = 41;
/** Outside the receive window. */
export const SKB_DROP_REASON_TCP_INVALID_SEQUENCE = 42;
/** Starts in the window and ends beyond it. */
export const SKB_DROP_REASON_TCP_INVALID_END_SEQUENCE = 43;
/** Acknowledges what a half-open connection never sent. */
export const SKB_DROP_REASON_TCP_INVALID_ACK_SEQUENCE = 44;
/** A reset segment has done its work. */
export const SKB_DROP_REASON_TCP_RESET = 45;
/** SYN inside an established connection. */
export const SKB_DROP_REASON_TCP_INVALID_SYN = 46;
/** The socket is in state CLOSE. */
export const SKB_DROP_REASON_TCP_CLOSE = 47;
/** Arrived while a fast-open child waits for the handshake. */
export const SKB_DROP_REASON_TCP_FASTOPEN = 48;
/** Acknowledges nothing new. */
export const SKB_DROP_REASON_TCP_OLD_ACK = 49;
/** Acknowledges less than any window ago (RFC 5961#5.2). */
export const SKB_DROP_REASON_TCP_TOO_OLD_ACK = 50;
/** Acknowledges what was not sent. */
export const SKB_DROP_REASON_TCP_ACK_UNSENT_DATA = 51;
/** Pruned from the out-of-order queue for memory. */
export const SKB_DROP_REASON_TCP_OFO_QUEUE_PRUNE = 52;
/** No memory to hold it out of order. */
export const SKB_DROP_REASON_TCP_OFO_DROP = 53;
/** No route to send it by. */
export const SKB_DROP_REASON_IP_OUTNOROUTES = 54;
/** A control group's program refused it on the way out. */
export const SKB_DROP_REASON_BPF_CGROUP_EGRESS = 55;
/** IPv6 is off on the device. */
export const SKB_DROP_REASON_IPV6DISABLED = 56;
/** The neighbour entry could not be created. */
export const SKB_DROP_REASON_NEIGH_CREATEFAIL = 57;
/** The neighbour did not answer. */
export const SKB_DROP_REASON_NEIGH_FAILED = 58;
/** Too many packets already wait for the neighbour. */
export const SKB_DROP_REASON_NEIGH_QUEUEFULL = 59;
/** The neighbour entry is being removed. */
export const SKB_DROP_REASON_NEIGH_DEAD = 60;
/** The link-layer header could not be written. */
export const SKB_DROP_REASON_NEIGH_HH_FILLFAIL = 61;
/** A traffic-control action dropped it on the way out. */
export const SKB_DROP_REASON_TC_EGRESS = 62;
/** A security module refused it. */
export const SKB_DROP_REASON_SECURITY_HOOK = 63;
/** The queueing discipline dropped it. */
export const SKB_DROP_REASON_QDISC_DROP = 64;
/** The queue is at its limit. */
export const SKB_DROP_REASON_QDISC_OVERLIMIT = 65;
/** Active queue management dropped it (CoDel, RED, PIE). */
export const SKB_DROP_REASON_QDISC_CONGESTED = 66;
/** CAKE saw an unresponsive flow (BLUE). */
export const SKB_DROP_REASON_CAKE_FLOOD = 67;
/** A band of fq is at its limit. */
export const SKB_DROP_REASON_FQ_BAND_LIMIT = 68;
/** Its time to leave is beyond the horizon of fq. */
export const SKB_DROP_REASON_FQ_HORIZON_LIMIT = 69;
/** Its flow has too many packets in fq. */
export const SKB_DROP_REASON_FQ_FLOW_LIMIT = 70;
/** The backlog queue of the CPU is full. */
export const SKB_DROP_REASON_CPU_BACKLOG = 71;
/** An XDP program dropped it. */
export const SKB_DROP_REASON_XDP = 72;
/** A traffic-control action dropped it on the way in. */
export const SKB_DROP_REASON_TC_INGRESS = 73;
/** No handler for the EtherType. */
export const SKB_DROP_REASON_UNHANDLED_PROTO = 74;
/** The checksum could not be computed or filled in. */
export const SKB_DROP_REASON_SKB_CSUM = 75;
/** Segmentation failed. */
export const SKB_DROP_REASON_SKB_GSO_SEG = 76;
/** Copying from or to the user failed. */
export const SKB_DROP_REASON_SKB_UCOPY_FAULT = 77;
/** The header in front of the frame, private to the driver, is invalid. */
export const SKB_DROP_REASON_DEV_HDR = 78;
/** The device is not up, or not ready. */
export const SKB_DROP_REASON_DEV_READY = 79;
/** The ring of the device is full. */
export const SKB_DROP_REASON_FULL_RING = 80;
/** Out of memory. */
export const SKB_DROP_REASON_NOMEM = 81;
/** A header ends beyond the packet. */
export const SKB_DROP_REASON_HDR_TRUNC = 82;
/** The filter on a tun/tap device refused it. */
export const SKB_DROP_REASON_TAP_FILTER = 83;
/** The address filter of a tap device refused it. */
export const SKB_DROP_REASON_TAP_TXFILTER = 84;
/** ICMP checksum is wrong. */
export const SKB_DROP_REASON_ICMP_CSUM = 85;
/** The protocol forbids this packet. */
export const SKB_DROP_REASON_INVALID_PROTO = 86;
/** Host unreachable from here (InAddrErrors). */
export const SKB_DROP_REASON_IP_INADDRERRORS = 87;
/** Network unreachable from here (InNoRoutes). */
export const SKB_DROP_REASON_IP_INNOROUTES = 88;
/** Came from outside with one of our own addresses as source. */
export const SKB_DROP_REASON_IP_LOCAL_SOURCE = 89;
/** Source is multicast, broadcast or zero where it must not be. */
export const SKB_DROP_REASON_IP_INVALID_SOURCE = 90;
/** A loopback network address from outside. */
export const SKB_DROP_REASON_IP_LOCALNET = 91;
/** Destination is zero or otherwise impossible. */
export const SKB_DROP_REASON_IP_INVALID_DEST = 92;
/** Larger than the path allows. */
export const SKB_DROP_REASON_PKT_TOO_BIG = 93;
/** The fragment was received before, or overlaps. */
export const SKB_DROP_REASON_DUP_FRAG = 94;
/** Fragments of it are still missing after the time allowed. */
export const SKB_DROP_REASON_FRAG_REASM_TIMEOUT = 95;
/** Too many other fragments in between (ipfrag_max_dist). */
export const SKB_DROP_REASON_FRAG_TOO_FAR = 96;
/** TTL or hop limit below what the socket demands (RFC 5082). */
export const SKB_DROP_REASON_TCP_MINTTL = 97;
/** An IPv6 extension header is malformed. */
export const SKB_DROP_REASON_IPV6_BAD_EXTHDR = 98;
/** Fragmented neighbour discovery (RFC 6980). */
export const SKB_DROP_REASON_IPV6_NDISC_FRAG = 99;
/** Neighbour discovery from beyond the link. */
export const SKB_DROP_REASON_IPV6_NDISC_HOP_LIMIT = 100;
/** Neighbour discovery with a code other than 0. */
export const SKB_DROP_REASON_IPV6_NDISC_BAD_CODE = 101;
/** Neighbour discovery with malformed options. */
export const SKB_DROP_REASON_IPV6_NDISC_BAD_OPTIONS = 102;
/** Neighbour solicitation for somebody else. */
export const SKB_DROP_REASON_IPV6_NDISC_NS_OTHERHOST = 103;
/** A whole queue was emptied. */
export const SKB_DROP_REASON_QUEUE_PURGE = 104;
/** A cookie of the tc extension could not be handled. */
export const SKB_DROP_REASON_TC_COOKIE_ERROR = 105;
/** A packet socket failed after its filter had accepted. */
export const SKB_DROP_REASON_PACKET_SOCK_ERROR = 106;
/** tc was sent to a chain that does not exist. */
export const SKB_DROP_REASON_TC_CHAIN_NOTFOUND = 107;
/** tc classified it round and round. */
export const SKB_DROP_REASON_TC_RECLASSIFY_LOOP = 108;
/** VXLAN header with unknown flags. */
export const SKB_DROP_REASON_VXLAN_INVALID_HDR = 109;
/** No VXLAN device has this network id. */
export const SKB_DROP_REASON_VXLAN_VNI_NOT_FOUND = 110;
/** Source MAC address is multicast or our own. */
export const SKB_DROP_REASON_MAC_INVALID_SOURCE = 111;
/** The VXLAN forwarding entry is static and lives elsewhere. */
export const SKB_DROP_REASON_VXLAN_ENTRY_EXISTS = 112;
/** No port, slave or tunnel end to send it to. */
export const SKB_DROP_REASON_NO_TX_TARGET = 113;
/** Outer and inner ECN contradict each other (RFC 6040). */
export const SKB_DROP_REASON_IP_TUNNEL_ECN = 114;
/** No tunnel metadata on a packet that needs it. */
export const SKB_DROP_REASON_TUNNEL_TXINFO = 115;
/** Its source MAC is one of this device. */
export const SKB_DROP_REASON_LOCAL_MAC = 116;
/** Port isolation without proxy ARP. */
export const SKB_DROP_REASON_ARP_PVLAN_DISABLE = 117;
/** Sent to the MAC control address, which bridges must not forward. */
export const SKB_DROP_REASON_MAC_IEEE_MAC_CONTROL = 118;
/** The bridge port is not in a state that forwards. */
export const SKB_DROP_REASON_BRIDGE_INGRESS_STP_STATE = 119;
/** Malformed CAN frame. */
export const SKB_DROP_REASON_CAN_RX_INVALID_FRAME = 120;
/** Malformed CAN FD frame. */
export const SKB_DROP_REASON_CANFD_RX_INVALID_FRAME = 121;
/** Malformed CAN XL frame. */
export const SKB_DROP_REASON_CANXL_RX_INVALID_FRAME = 122;
/** Built from emergency memory and of no use to reclaim. */
export const SKB_DROP_REASON_PFMEMALLOC = 123;
/** The step threshold of dualpi2's low-latency queue. */
export const SKB_DROP_REASON_DUALPI2_STEP_DROP = 124;
/** PSP refused it on the way in. */
export const SKB_DROP_REASON_PSP_INPUT = 125;
/** PSP refused it on the way out. */
export const SKB_DROP_REASON_PSP_OUTPUT = 126;
/** Devices stacked too deep, or in a loop. */
export const SKB_DROP_REASON_RECURSION_LIMIT = 127;
/** How many there are; not itself a reason. */
export const SKB_DROP_REASON_MAX = 128;

/** Upper half of a reason: the subsystem that owns its lower half, 0 for the core. */
export const SKB_DROP_REASON_SUBSYS_MASK = 0xffff0000;
export const SKB_DROP_REASON_SUBSYS_SHIFT = 16;

/** Names by number, as the skb:kfree_skb tracepoint and dropwatch print them. */
const DROP_REASONS: readonly string[] = Object.freeze([
  'NOT_DROPPED_YET',
  'CONSUMED',
  'NOT_SPECIFIED',
  'NO_SOCKET',
  'SOCKET_CLOSE',
  'SOCKET_FILTER',
  'SOCKET_RCVBUFF',
  'UNIX_DISCONNECT',
  'UNIX_SKIP_OOB',
  'PKT_TOO_SMALL',
  'TCP_CSUM',
  'UDP_CSUM',
  'NETFILTER_DROP',
  'OTHERHOST',
  'IP_CSUM',
  'IP_INHDR',
  'IP_RPFILTER',
  'UNICAST_IN_L2_MULTICAST',
  'XFRM_POLICY',
  'IP_NOPROTO',
  'PROTO_MEM',
  'TCP_AUTH_HDR',
  'TCP_MD5NOTFOUND',
  'TCP_MD5UNEXPECTED',
  'TCP_MD5FAILURE',
  'TCP_AONOTFOUND',
  'TCP_AOUNEXPECTED',
  'TCP_AOKEYNOTFOUND',
  'TCP_AOFAILURE',
  'SOCKET_BACKLOG',
  'TCP_FLAGS',
  'TCP_ABORT_ON_DATA',
  'TCP_ZEROWINDOW',
  'TCP_OLD_DATA',
  'TCP_OVERWINDOW',
  'TCP_OFOMERGE',
  'TCP_RFC7323_PAWS',
  'TCP_RFC7323_PAWS_ACK',
  'TCP_RFC7323_TW_PAWS',
  'TCP_RFC7323_TSECR',
  'TCP_LISTEN_OVERFLOW',
  'TCP_OLD_SEQUENCE',
  'TCP_INVALID_SEQUENCE',
  'TCP_INVALID_END_SEQUENCE',
  'TCP_INVALID_ACK_SEQUENCE',
  'TCP_RESET',
  'TCP_INVALID_SYN',
  'TCP_CLOSE',
  'TCP_FASTOPEN',
  'TCP_OLD_ACK',
  'TCP_TOO_OLD_ACK',
  'TCP_ACK_UNSENT_DATA',
  'TCP_OFO_QUEUE_PRUNE',
  'TCP_OFO_DROP',
  'IP_OUTNOROUTES',
  'BPF_CGROUP_EGRESS',
  'IPV6DISABLED',
  'NEIGH_CREATEFAIL',
  'NEIGH_FAILED',
  'NEIGH_QUEUEFULL',
  'NEIGH_DEAD',
  'NEIGH_HH_FILLFAIL',
  'TC_EGRESS',
  'SECURITY_HOOK',
  'QDISC_DROP',
  'QDISC_OVERLIMIT',
  'QDISC_CONGESTED',
  'CAKE_FLOOD',
  'FQ_BAND_LIMIT',
  'FQ_HORIZON_LIMIT',
  'FQ_FLOW_LIMIT',
  'CPU_BACKLOG',
  'XDP',
  'TC_INGRESS',
  'UNHANDLED_PROTO',
  'SKB_CSUM',
  'SKB_GSO_SEG',
  'SKB_UCOPY_FAULT',
  'DEV_HDR',
  'DEV_READY',
  'FULL_RING',
  'NOMEM',
  'HDR_TRUNC',
  'TAP_FILTER',
  'TAP_TXFILTER',
  'ICMP_CSUM',
  'INVALID_PROTO',
  'IP_INADDRERRORS',
  'IP_INNOROUTES',
  'IP_LOCAL_SOURCE',
  'IP_INVALID_SOURCE',
  'IP_LOCALNET',
  'IP_INVALID_DEST',
  'PKT_TOO_BIG',
  'DUP_FRAG',
  'FRAG_REASM_TIMEOUT',
  'FRAG_TOO_FAR',
  'TCP_MINTTL',
  'IPV6_BAD_EXTHDR',
  'IPV6_NDISC_FRAG',
  'IPV6_NDISC_HOP_LIMIT',
  'IPV6_NDISC_BAD_CODE',
  'IPV6_NDISC_BAD_OPTIONS',
  'IPV6_NDISC_NS_OTHERHOST',
  'QUEUE_PURGE',
  'TC_COOKIE_ERROR',
  'PACKET_SOCK_ERROR',
  'TC_CHAIN_NOTFOUND',
  'TC_RECLASSIFY_LOOP',
  'VXLAN_INVALID_HDR',
  'VXLAN_VNI_NOT_FOUND',
  'MAC_INVALID_SOURCE',
  'VXLAN_ENTRY_EXISTS',
  'NO_TX_TARGET',
  'IP_TUNNEL_ECN',
  'TUNNEL_TXINFO',
  'LOCAL_MAC',
  'ARP_PVLAN_DISABLE',
  'MAC_IEEE_MAC_CONTROL',
  'BRIDGE_INGRESS_STP_STATE',
  'CAN_RX_INVALID_FRAME',
  'CANFD_RX_INVALID_FRAME',
  'CANXL_RX_INVALID_FRAME',
  'PFMEMALLOC',
  'DUALPI2_STEP_DROP',
  'PSP_INPUT',
  'PSP_OUTPUT',
  'RECURSION_LIMIT',
]);

/**
 * `NO_SOCKET` for SKB_DROP_REASON_NO_SOCKET, the text that Linux prints; the number itself in hex for
 * one that it does not know.
 */
export function dropReasonName(reason: number): string {
  return DROP_REASONS[reason] ?? `0x${(reason >>> 0).toString(16)}`;
}

/** Whether there is a reason of that name, as {@link dropReasonName} gives it. */
export function isDropReasonName(name: string): boolean {
  return DROP_REASONS.includes(name);
}
