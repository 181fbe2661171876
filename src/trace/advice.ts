/**
 * What a drop means for whoever runs the machine: a sentence, what to do about it, and what to type where
 * typing helps. By reason, and by function where one reason has several causes. The reason says what the
 * kernel saw; facts, where somebody has asked the machine for them, say what it was set to.
 */
import {
  WIRE_BAD_CRC,
  WIRE_FILTERED,
  WIRE_LOST,
  WIRE_NO_DESCRIPTOR,
  WIRE_OVERFLOW,
  WIRE_UNPLUGGED,
} from '#include/trace/events/packet.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';

export interface Advice {
  /** What happened. */
  readonly meaning: string;
  /** What to do about it; empty where there is nothing to do. */
  readonly text: string;
  /** A command for the machine; empty where none helps. */
  readonly command: string;
}

/**
 * What was found out at the moment of the drop: `machine`, `forward` (net.ipv4.ip_forward), `device`,
 * `source`, `target`, `ttl`, `protocol`, `port`, as text. Any may be missing.
 */
export type Facts = Readonly<Record<string, string>>;

type Saying = Omit<Advice, 'meaning'>;

interface Entry {
  readonly meaning: string;
  readonly advise: (facts: Facts) => Saying;
}

const say = (text: string, command = ''): Saying => ({ text, command });

const plain = (meaning: string, text = '', command = ''): Entry => ({
  meaning,
  advise: () => say(text, command),
});

function noForwarding(facts: Facts): Saying {
  const target = facts['target'] ?? 'another host';
  const machine = facts['machine'] ?? 'The machine';
  return say(
    `${machine} got a packet for ${target} and is not allowed to pass it on: forwarding is switched off. Switch it on, or correct the sender.`,
    'sysctl -w net.ipv4.ip_forward=1',
  );
}

function noRoute(facts: Facts): Saying {
  const target = facts['target'];
  return say(
    `${facts['machine'] ?? 'The machine'} knows no way to ${target ?? 'the destination'}. Look at its routes: one is missing, or the default route is.`,
    target === undefined ? 'ip route add default via GATEWAY' : `ip route get ${target}`,
  );
}

/** By reason, or `REASON@function` where the function decides. */
const ADVICE: Readonly<Record<string, Entry>> = {
  NOT_SPECIFIED: plain(
    'Linux gives no reason here.',
    'The packet was not for this host, or had nothing more to say to its connection.',
  ),
  NO_SOCKET: {
    meaning: 'No program listens at that port.',
    advise: (facts) =>
      say(
        `Nobody listens on ${facts['port'] === undefined ? 'that port' : `port ${facts['port']}`} here. See what does, and start the server.`,
        'ss -tuln',
      ),
  },
  'NO_SOCKET@ping_rcv': plain(
    'A copy for ping sockets that none of them wanted; the raw socket of ping has its own.',
  ),
  SOCKET_CLOSE: plain(
    'The program closed its socket before this was sent or read.',
    'Let it shut down in order.',
  ),
  SOCKET_FILTER: plain(
    'The filter attached to the socket refused the packet.',
    'Check its BPF program.',
  ),
  SOCKET_RCVBUFF: plain(
    'The program reads too slowly: its receive buffer is full.',
    'Let the program read faster, or give its socket more room.',
    'sysctl -w net.core.rmem_max=8388608',
  ),
  SOCKET_BACKLOG: plain(
    'The program held the socket while too much arrived for it.',
    'A larger receive buffer also lets more wait on the backlog.',
    'sysctl -w net.core.rmem_default=1048576',
  ),
  PKT_TOO_SMALL: plain(
    'Shorter than its headers say.',
    'Look for a faulty sender, or a cut by a device.',
  ),
  TCP_CSUM: plain(
    'The TCP checksum is wrong: the segment was damaged on its way.',
    'A cable damages frames. See its counters.',
    'nstat -az TcpInCsumErrors',
  ),
  UDP_CSUM: plain(
    'The UDP checksum is wrong: the datagram was damaged on its way.',
    'A cable damages frames. See the counters.',
    'nstat -az UdpInCsumErrors',
  ),
  ICMP_CSUM: plain('The ICMP checksum is wrong.', 'The packet was damaged under way.'),
  IP_CSUM: plain(
    'The checksum of the IP header is wrong.',
    'A cable damages frames. See the counters.',
    'ip -s link',
  ),
  SKB_CSUM: plain(
    'The checksum could not be filled in.',
    'A packet from user space had wrong offsets.',
  ),
  NETFILTER_DROP: plain(
    'A firewall rule dropped it.',
    'List the rules and find the one that counts.',
  ),
  OTHERHOST: plain(
    'The frame was for another machine of the link.',
    'Harmless: the card saw what was not meant for it.',
  ),
  IP_INHDR: plain(
    'The IP header makes no sense, or the TTL ran out.',
    'Look for a routing loop, or a sender with a small TTL.',
    'ip route',
  ),
  'IP_INHDR@ip_forward': plain(
    'The packet has passed too many routers: its time to live is used up.',
    'Packets go round in a circle. Compare the routes of the routers: two of them point at each other.',
    'ip route show',
  ),
  IP_RPFILTER: {
    meaning:
      'The way back to the sender leads out of another interface: the address may be forged.',
    advise: (facts) =>
      say(
        'Reverse path filtering refused it. If traffic may take two ways here, loosen the filter.',
        `sysctl -w net.ipv4.conf.${facts['device'] ?? 'all'}.rp_filter=2`,
      ),
  },
  UNICAST_IN_L2_MULTICAST: plain(
    'A packet for one host came as a link-layer broadcast.',
    'A neighbour has a wrong entry for it.',
    'ip neigh',
  ),
  IP_NOPROTO: plain(
    'No protocol of this number is here.',
    'The sender uses one that this host lacks.',
  ),
  IP_INADDRERRORS: {
    meaning:
      'The packet is for an address that is not this machine’s, and the machine does not forward.',
    advise: (facts) => (facts['forward'] === '1' ? noRoute(facts) : noForwarding(facts)),
  },
  IP_INNOROUTES: {
    meaning: 'No route leads to the destination.',
    advise: (facts) => (facts['forward'] === '0' ? noForwarding(facts) : noRoute(facts)),
  },
  IP_OUTNOROUTES: {
    meaning: 'No route leads to the destination.',
    advise: noRoute,
  },
  IP_INVALID_DEST: plain(
    'The destination may not appear on a wire.',
    'The sender is misconfigured.',
  ),
  IP_INVALID_SOURCE: plain('The source may not appear on a wire.', 'The sender is misconfigured.'),
  IP_LOCAL_SOURCE: plain(
    'A packet came in with one of our own addresses as its sender.',
    'Two machines have the same address, or one forges it.',
    'ip addr',
  ),
  IP_LOCALNET: plain(
    'Loopback addresses do not leave a host unless route_localnet says so.',
    '',
    'sysctl -w net.ipv4.conf.all.route_localnet=1',
  ),
  PKT_TOO_BIG: plain(
    'The packet is larger than the next link takes and may not be fragmented.',
    'The sender is told by ICMP and will send smaller ones. If that never reaches it, lower the MTU.',
    'ip link set eth1 mtu 1400',
  ),
  DUP_FRAG: plain('The same fragment came twice, or two overlap.', 'The cable duplicates frames.'),
  FRAG_REASM_TIMEOUT: plain(
    'Not all fragments arrived in time, so none is of use.',
    'A fragment got lost. Better to send packets that fit.',
    'nstat -az IpReasmFails',
  ),
  FRAG_TOO_FAR: plain(
    'Fragments of one sender are too far apart in order.',
    'The network reorders beyond ipfrag_max_dist.',
    'sysctl -w net.ipv4.ipfrag_max_dist=0',
  ),
  NEIGH_FAILED: {
    meaning: 'Nobody answered when the machine asked for the link address of the next hop.',
    advise: (facts) =>
      say(
        `Nobody on ${facts['device'] ?? 'the link'} has the address that was asked for. Is it right, and is that machine up? The neighbour table shows FAILED.`,
        'ip neigh show',
      ),
  },
  NEIGH_QUEUEFULL: plain(
    'Too many packets waited for the link address of the next hop.',
    'The next hop has not answered yet and its queue is full. If it answers late, allow more to wait.',
    'sysctl -w net.ipv4.neigh.default.unres_qlen_bytes=425984',
  ),
  NEIGH_CREATEFAIL: plain(
    'The neighbour table is full.',
    'Raise its limits.',
    'sysctl -w net.ipv4.neigh.default.gc_thresh3=4096',
  ),
  NEIGH_DEAD: plain(
    'The neighbour entry was being removed.',
    'The interface went down or changed.',
  ),
  NEIGH_HH_FILLFAIL: plain(
    'The link header could not be written.',
    'The interface has just changed.',
  ),
  QDISC_DROP: plain(
    'The queue before the card is full, or its discipline chose to drop.',
    'The link is slower than what is sent. See which queue grows.',
    'tc -s qdisc show',
  ),
  QDISC_OVERLIMIT: plain(
    'The queue of the interface was full.',
    'More is sent than the link carries.',
    'tc -s qdisc show',
  ),
  QDISC_CONGESTED: plain(
    'The queue was long for too long, and its discipline dropped to slow the senders down.',
    'It does as it should. Senders that mark with ECN are told without a loss.',
    'tc -s qdisc show',
  ),
  FQ_BAND_LIMIT: plain(
    'The fair queue held as many packets of this priority as it may.',
    '',
    'tc -s qdisc show',
  ),
  FQ_FLOW_LIMIT: plain(
    'One flow had more packets in the fair queue than it may.',
    'It sends more than its share.',
    'tc -s qdisc show',
  ),
  FQ_HORIZON_LIMIT: plain(
    'Its time of departure lies beyond the horizon of the fair queue.',
    'Its sender paces too slowly.',
    'tc -s qdisc show',
  ),
  QUEUE_PURGE: plain(
    'The queue it waited in was emptied.',
    'The interface or socket went down.',
    'ip link show',
  ),
  CPU_BACKLOG: plain(
    'The CPU’s backlog queue is full: packets come faster than soft interrupts take them.',
    'Let more packets wait for the CPU.',
    'sysctl -w net.core.netdev_max_backlog=10000',
  ),
  FULL_RING: plain(
    'The ring between driver and card is full.',
    'Give the ring more descriptors.',
    'ethtool -G eth1 rx 4096',
  ),
  DEV_HDR: plain(
    'The device header made no sense.',
    'A faulty driver or a hostile writer of a tun.',
  ),
  DEV_READY: {
    meaning: 'The interface is down.',
    advise: (facts) =>
      say('Bring the interface up.', `ip link set ${facts['device'] || 'eth1'} up`),
  },
  INVALID_PROTO: plain('Neither IPv4 nor IPv6 came from a tun device.'),
  UNHANDLED_PROTO: plain('Nobody on this host speaks this EtherType.'),
  RECURSION_LIMIT: plain('Devices are stacked in a loop.', 'Undo the last change.', 'ip link show'),
  PACKET_SOCK_ERROR: plain('A packet socket could not take its copy.', 'Its buffer is full.'),
  SKB_UCOPY_FAULT: plain('The program gave memory that cannot be read.'),
  SKB_GSO_SEG: plain('The packet could not be cut for the device.'),
  NOMEM: plain('Out of packet memory.', 'Fewer or smaller buffers, or a larger arena.'),
  PROTO_MEM: plain(
    'The protocol has used its share of memory.',
    'Close what is idle or raise tcp_mem / udp_mem.',
    'sysctl net.ipv4.tcp_mem',
  ),
  TCP_AUTH_HDR: plain(
    'Authentication options that contradict each other.',
    'A faulty or hostile sender.',
  ),
  TCP_MD5NOTFOUND: plain(
    'An MD5 signature was due and is absent.',
    'Set the key at the peer, too.',
  ),
  TCP_MD5UNEXPECTED: plain('An MD5 signature that nobody asked for.', 'Set the key here, too.'),
  TCP_MD5FAILURE: plain('The MD5 signature does not match.', 'The two ends have different keys.'),
  TCP_AONOTFOUND: plain(
    'A TCP-AO signature was due and is absent.',
    'Set the key at the peer, too.',
  ),
  TCP_AOUNEXPECTED: plain('A TCP-AO signature that nobody asked for.', 'Set the key here, too.'),
  TCP_AOKEYNOTFOUND: plain(
    'No TCP-AO key of this number is here.',
    'Compare the keys of both ends.',
  ),
  TCP_AOFAILURE: plain('The TCP-AO signature does not match.', 'The two ends have different keys.'),
  TCP_LISTEN_OVERFLOW: plain(
    'The queue of connections that wait for accept() is full.',
    'The server accepts too slowly, or its queue is too short.',
    'ss -ltn',
  ),
  TCP_FLAGS: plain(
    'The flags make no sense in this state.',
    'Often the answer to a connection that exists no more.',
    'ss -tan',
  ),
  TCP_ZEROWINDOW: plain(
    'Data came although the receiver had said that it has no room.',
    'It is a window probe; the sender finds out when there is room again.',
    'ss -tmi',
  ),
  TCP_OVERWINDOW: plain(
    'The data lies beyond the receive window.',
    'The receiver has no room for it. Let the program read.',
    'ss -tmi',
  ),
  TCP_OLD_DATA: plain(
    'All of the data had arrived before: a retransmission that was not needed.',
    'Harmless. Acknowledgements came late, or got lost.',
    'nstat -az TcpExtTCPDSACKRecv',
  ),
  TCP_OLD_SEQUENCE: plain('Before the window.', 'An old duplicate.'),
  TCP_INVALID_SEQUENCE: plain('Outside the window.', 'An old duplicate, or somebody is guessing.'),
  TCP_INVALID_END_SEQUENCE: plain('It ends beyond the window.', 'The sender overran it.'),
  TCP_INVALID_ACK_SEQUENCE: plain('It acknowledges what was never sent.'),
  TCP_ACK_UNSENT_DATA: plain('It acknowledges what was never sent.'),
  TCP_TOO_OLD_ACK: plain('An acknowledgement far too old.', 'Somebody may be guessing.'),
  TCP_OLD_ACK: plain(
    'The acknowledgement is older than what is known.',
    'Harmless: it came out of order.',
  ),
  TCP_INVALID_SYN: plain('A SYN inside a connection.', 'The peer may have restarted.'),
  TCP_RESET: plain(
    'The other end reset the connection.',
    'Find out why the other end gave up; usually its program was gone.',
    'ss -tan',
  ),
  TCP_CLOSE: plain('The connection is closed.', 'It came too late: nobody waits for it any more.'),
  TCP_ABORT_ON_DATA: plain(
    'Data came for a connection whose program has gone.',
    'The program closed before it had read everything.',
  ),
  TCP_OFOMERGE: plain(
    'The data was already in the queue of what came out of order.',
    'Harmless: a copy of what was there.',
  ),
  TCP_OFO_DROP: plain('Its data had arrived before the hole was filled.'),
  TCP_OFO_QUEUE_PRUNE: plain(
    'Data after a hole was thrown away since the receive buffer was full.',
    '',
    'sysctl net.ipv4.tcp_rmem',
  ),
  TCP_RFC7323_PAWS: plain('Its timestamp is older than the last one.', 'An old duplicate.'),
  TCP_RFC7323_PAWS_ACK: plain('An old duplicate acknowledgement, by its timestamp.'),
  TCP_RFC7323_TW_PAWS: plain('An old duplicate, by its timestamp, for a connection in TIME_WAIT.'),
  TCP_RFC7323_TSECR: plain('It echoes a timestamp that was never sent.'),
  TCP_FASTOPEN: plain('Data with the SYN that Fast Open could not take; it will be sent again.'),
  TCP_MINTTL: plain('Its TTL is below what the socket demands (IP_MINTTL).'),
  TCP_REQQFULLDROP: plain(
    'The queue of half-open connections is full: perhaps a SYN flood.',
    'Let the machine answer with SYN cookies when the queue is full.',
    'sysctl -w net.ipv4.tcp_syncookies=1',
  ),
  ARP_PVLAN_DISABLE: plain('The ARP request was not for us.', 'Harmless.'),
};

/** Frames that did not arrive, by WIRE_*. */
const LOSSES: Readonly<Record<number, Entry>> = {
  [WIRE_LOST]: plain(
    'The cable was told to lose some frames, by chance under the seed.',
    'TCP sends them again. Lower the `loss` of the cable, or find out who else notices.',
  ),
  [WIRE_OVERFLOW]: plain(
    'More came than the line can carry, and the queue before it is full.',
    'Senders must slow down, or the cable needs more rate or a longer queue.',
  ),
  [WIRE_UNPLUGGED]: plain(
    'The frame was sent into a cable that leads nowhere.',
    'Nothing is plugged in at the other end, or the cable is cut: mend it.',
    'ip link show',
  ),
  [WIRE_BAD_CRC]: plain(
    'The frame was damaged on the cable.',
    'Lower the `corrupt` of the cable; the receiving interface counts an error for each.',
    'ip -s link',
  ),
  [WIRE_FILTERED]: plain('The frame was for another card.'),
  [WIRE_NO_DESCRIPTOR]: plain(
    'The card had no room: its driver takes frames too slowly, or its ring is too short.',
    'Give the ring more descriptors.',
    'ethtool -G eth1 rx 4096',
  ),
};

const CUT: Entry = plain('The frame was under way when the cable was cut.', 'Mend the cable.');

function answer(entry: Entry, facts: Facts): Advice {
  const { meaning } = entry;
  return { meaning, ...entry.advise(facts) };
}

/** What to say about a drop. */
export function adviceFor(reason: number, location: string, facts: Facts = {}): Advice {
  const name = dropReasonName(reason);
  const entry = ADVICE[`${name}@${location}`] ?? ADVICE[name];
  if (entry !== undefined) return answer(entry, facts);
  const meaning = `Dropped in ${location} for ${name}.`;
  return { meaning, ...say('The journey shows which step refused it.', 'nstat -az') };
}

/** What to say about a frame that did not arrive; `cut`: its cable was cut while it was under way. */
export function adviceForLoss(why: number, cut = false): Advice {
  const entry = cut ? CUT : (LOSSES[why] ?? plain('The frame did not arrive.'));
  return answer(entry, {});
}

/** Reasons for which there is something to say. */
export function advisedReasons(): readonly string[] {
  return Object.keys(ADVICE).filter((key) => !key.includes('@'));
}
