/**
 * What a drop means for whoever runs the machine: a sentence, and what to type where typing helps. By
 * reason, and by function where one reason has several causes.
 */
import { dropReasonName } from '#uapi/net_dropreason.ts';

export interface Advice {
  /** What happened and what to do about it. */
  readonly text: string;
  /** A command for the machine; null where none helps. */
  readonly command: string | null;
}

const say = (text: string, command: string | null = null): Advice => ({ text, command });

/** By reason, or `REASON@function` where the function decides. */
const ADVICE: Readonly<Record<string, Advice>> = {
  NOT_SPECIFIED: say(
    'Linux gives no reason here: the packet was not for this host, or had nothing more to say to its connection.',
  ),
  NO_SOCKET: say(
    'Nobody listens on the destination port: start the server, or see which ports are open.',
    'ss -tuln',
  ),
  'NO_SOCKET@ping_rcv': say(
    'A copy for ping sockets that none of them wanted; the raw socket of ping has its own.',
  ),
  SOCKET_CLOSE: say(
    'The program closed its socket before this was sent or read: let it shut down in order.',
  ),
  SOCKET_FILTER: say(
    'The filter attached to the socket refused the packet: check its BPF program.',
  ),
  SOCKET_RCVBUFF: say(
    'The receive buffer is full: the program reads too slowly, or needs a larger buffer.',
    'sysctl -w net.core.rmem_max=4194304',
  ),
  SOCKET_BACKLOG: say(
    'The owner was busy inside a system call while packets kept coming: a larger receive buffer raises the limit.',
    'sysctl -w net.core.rmem_max=4194304',
  ),
  PKT_TOO_SMALL: say(
    'Shorter than its headers say: look for a faulty sender, or a cut by a device.',
  ),
  TCP_CSUM: say(
    'The TCP checksum is wrong: the packet was damaged under way, or checksum offload misbehaves.',
    'ethtool -K eth0 rx off',
  ),
  UDP_CSUM: say(
    'The UDP checksum is wrong: the packet was damaged under way, or checksum offload misbehaves.',
    'ethtool -K eth0 rx off',
  ),
  ICMP_CSUM: say('The ICMP checksum is wrong: the packet was damaged under way.'),
  IP_CSUM: say('The checksum of the IP header is wrong: the packet was damaged under way.'),
  SKB_CSUM: say('The checksum could not be filled in: a packet from user space had wrong offsets.'),
  NETFILTER_DROP: say('A firewall rule dropped it: list the rules and find the one that counts.'),
  OTHERHOST: say(
    'Addressed to another host on the link: seen only since the interface is promiscuous.',
    'ip link set eth0 promisc off',
  ),
  IP_INHDR: say(
    'The IP header makes no sense, or the TTL ran out: look for a routing loop, or a sender with a small TTL.',
    'ip route',
  ),
  'IP_INHDR@ip_forward': say(
    'The TTL ran out on the way: packets go round between routers. Compare the routes on both.',
    'ip route',
  ),
  IP_RPFILTER: say(
    'The way back to the sender does not leave by the interface that it came in on: fix the route, or relax the filter.',
    'sysctl -w net.ipv4.conf.all.rp_filter=2',
  ),
  UNICAST_IN_L2_MULTICAST: say(
    'A packet for one host came as a link-layer broadcast: a neighbour has a wrong entry for it.',
    'ip neigh',
  ),
  IP_NOPROTO: say('No protocol of this number is here: the sender uses one that this host lacks.'),
  IP_INADDRERRORS: say(
    'The packet is for another host, and this one does not forward: let it be a router, or correct the sender.',
    'sysctl -w net.ipv4.ip_forward=1',
  ),
  IP_INNOROUTES: say(
    'There is no route to the destination: add one.',
    'ip route add default via GATEWAY',
  ),
  IP_OUTNOROUTES: say(
    'There is no route to the destination: add one.',
    'ip route add default via GATEWAY',
  ),
  IP_INVALID_DEST: say('The destination may not appear on a wire: the sender is misconfigured.'),
  IP_INVALID_SOURCE: say('The source may not appear on a wire: the sender is misconfigured.'),
  IP_LOCAL_SOURCE: say(
    'It claims to come from an address of this very host: a duplicate address or a spoofed packet.',
    'ip addr',
  ),
  IP_LOCALNET: say(
    'Loopback addresses do not leave a host unless route_localnet says so.',
    'sysctl -w net.ipv4.conf.all.route_localnet=1',
  ),
  PKT_TOO_BIG: say(
    'Longer than the MTU of the next link, and not to be fragmented; the sender has been told. Let the ICMP message through to it.',
    'ip link show',
  ),
  DUP_FRAG: say('A fragment came twice: the network duplicates packets.'),
  FRAG_REASM_TIMEOUT: say(
    'Some fragments of the datagram never came: look for loss, or avoid fragments with smaller datagrams.',
    'nstat -az IpReasmFails',
  ),
  FRAG_TOO_FAR: say(
    'Fragments of one sender are too far apart in order: the network reorders beyond ipfrag_max_dist.',
    'sysctl -w net.ipv4.ipfrag_max_dist=0',
  ),
  NEIGH_FAILED: say(
    'The next hop does not answer ARP: is it up, on this link, and is the address right?',
    'ip neigh',
  ),
  NEIGH_QUEUEFULL: say(
    'Too many packets waited for the next hop to answer ARP: it is not there, or slow.',
    'ip neigh',
  ),
  NEIGH_CREATEFAIL: say(
    'The neighbour table is full: raise its limits.',
    'sysctl -w net.ipv4.neigh.default.gc_thresh3=4096',
  ),
  NEIGH_DEAD: say('The neighbour entry was being removed: the interface went down or changed.'),
  NEIGH_HH_FILLFAIL: say('The link header could not be written: the interface has just changed.'),
  QDISC_DROP: say(
    'The queue of the interface threw it away: the link is down, or the qdisc limits the rate.',
    'tc -s qdisc show',
  ),
  QDISC_OVERLIMIT: say(
    'The queue of the interface was full: more is sent than the link carries.',
    'tc -s qdisc show',
  ),
  QDISC_CONGESTED: say(
    'The queue was long for too long, and its discipline dropped to slow the senders down: as it should.',
    'tc -s qdisc show',
  ),
  FQ_BAND_LIMIT: say(
    'The fair queue held as many packets of this priority as it may.',
    'tc -s qdisc show',
  ),
  FQ_FLOW_LIMIT: say(
    'One flow had more packets in the fair queue than it may: it sends more than its share.',
    'tc -s qdisc show',
  ),
  FQ_HORIZON_LIMIT: say(
    'Its time of departure lies beyond the horizon of the fair queue: its sender paces too slowly.',
    'tc -s qdisc show',
  ),
  QUEUE_PURGE: say(
    'The queue it waited in was emptied: the interface or socket went down.',
    'ip link show',
  ),
  CPU_BACKLOG: say(
    'Packets came faster than the CPU takes them from its backlog.',
    'sysctl -w net.core.netdev_max_backlog=10000',
  ),
  FULL_RING: say('The ring of the device was full: its reader is too slow.'),
  DEV_HDR: say('The device header made no sense: a faulty driver or a hostile writer of a tun.'),
  DEV_READY: say('The interface was down.', 'ip link set eth0 up'),
  INVALID_PROTO: say('Neither IPv4 nor IPv6 came from a tun device.'),
  UNHANDLED_PROTO: say('Nobody on this host speaks this EtherType.'),
  RECURSION_LIMIT: say('Devices are stacked in a loop: undo the last change.', 'ip link show'),
  PACKET_SOCK_ERROR: say('A packet socket could not take its copy: its buffer is full.'),
  SKB_UCOPY_FAULT: say('The program gave memory that cannot be read.'),
  SKB_GSO_SEG: say('The packet could not be cut for the device.'),
  NOMEM: say('Out of packet memory: fewer or smaller buffers, or a larger arena.'),
  PROTO_MEM: say(
    'The protocol has used its share of memory: close what is idle or raise tcp_mem / udp_mem.',
    'sysctl net.ipv4.tcp_mem',
  ),
  TCP_AUTH_HDR: say(
    'Authentication options that contradict each other: a faulty or hostile sender.',
  ),
  TCP_MD5NOTFOUND: say('An MD5 signature was due and is absent: set the key at the peer, too.'),
  TCP_MD5UNEXPECTED: say('An MD5 signature that nobody asked for: set the key here, too.'),
  TCP_MD5FAILURE: say('The MD5 signature does not match: the two ends have different keys.'),
  TCP_AONOTFOUND: say('A TCP-AO signature was due and is absent: set the key at the peer, too.'),
  TCP_AOUNEXPECTED: say('A TCP-AO signature that nobody asked for: set the key here, too.'),
  TCP_AOKEYNOTFOUND: say('No TCP-AO key of this number is here: compare the keys of both ends.'),
  TCP_AOFAILURE: say('The TCP-AO signature does not match: the two ends have different keys.'),
  TCP_LISTEN_OVERFLOW: say(
    'The accept queue is full: the server accepts too slowly, or its backlog is too small.',
    'ss -tln',
  ),
  TCP_FLAGS: say('TCP flags that do not fit the state of the connection.'),
  TCP_ZEROWINDOW: say(
    'The receiver has closed its window, and this is no probe: its program does not read.',
    'ss -tm',
  ),
  TCP_OVERWINDOW: say('Data beyond the window that was offered: the sender overran it.'),
  TCP_OLD_DATA: say(
    'All of it had been received before: a retransmission that was not needed, or a duplicate.',
    'nstat -az TcpExtTCPDSACKRecv',
  ),
  TCP_OLD_SEQUENCE: say('Before the window: an old duplicate.'),
  TCP_INVALID_SEQUENCE: say('Outside the window: an old duplicate, or somebody is guessing.'),
  TCP_INVALID_END_SEQUENCE: say('It ends beyond the window: the sender overran it.'),
  TCP_INVALID_ACK_SEQUENCE: say('It acknowledges what was never sent.'),
  TCP_ACK_UNSENT_DATA: say('It acknowledges what was never sent.'),
  TCP_TOO_OLD_ACK: say('An acknowledgement far too old: somebody may be guessing.'),
  TCP_OLD_ACK: say('An acknowledgement that says nothing new.'),
  TCP_INVALID_SYN: say('A SYN inside a connection: the peer may have restarted.'),
  TCP_RESET: say('The peer reset the connection: see why its side did.'),
  TCP_CLOSE: say('For a connection that is closed already.'),
  TCP_ABORT_ON_DATA: say(
    'Data came for a socket that its program has closed: the peer is told by RST.',
  ),
  TCP_OFOMERGE: say('Its data is covered by what waits out of order already.'),
  TCP_OFO_DROP: say('Its data had arrived before the hole was filled.'),
  TCP_OFO_QUEUE_PRUNE: say(
    'Data after a hole was thrown away since the receive buffer was full.',
    'sysctl net.ipv4.tcp_rmem',
  ),
  TCP_RFC7323_PAWS: say('Its timestamp is older than the last one: an old duplicate.'),
  TCP_RFC7323_PAWS_ACK: say('An old duplicate acknowledgement, by its timestamp.'),
  TCP_RFC7323_TW_PAWS: say('An old duplicate, by its timestamp, for a connection in TIME_WAIT.'),
  TCP_RFC7323_TSECR: say('It echoes a timestamp that was never sent.'),
  TCP_FASTOPEN: say('Data with the SYN that Fast Open could not take; it will be sent again.'),
  TCP_MINTTL: say('Its TTL is below what the socket demands (IP_MINTTL).'),
};

/** What to say about a drop. */
export function adviceFor(reason: number, location: string): Advice {
  const name = dropReasonName(reason);
  return (
    ADVICE[`${name}@${location}`] ?? ADVICE[name] ?? say(`Dropped in ${location} for ${name}.`)
  );
}

/** Reasons for which there is something to say. */
export function advisedReasons(): readonly string[] {
  return Object.keys(ADVICE).filter((key) => !key.includes('@'));
}
