/**
 * What to do about a drop, in a sentence, and what to type. The reason says what the kernel saw; the facts
 * say what the machine was set to at that moment.
 */
import type { Advice } from '../protocol.ts';
import type { DropRecord } from './recording.ts';

type Facts = Readonly<Record<string, string>>;

interface Entry {
  readonly meaning: string;
  readonly advise: (facts: Facts, machine: string) => Omit<Advice, 'machine'>;
}

const say = (text: string, command = ''): Omit<Advice, 'machine'> => ({ text, command });

function noForwarding(facts: Facts, machine: string): Omit<Advice, 'machine'> {
  if (facts['forward'] === '0') {
    return say(
      `${machine} got a packet for ${facts['target'] ?? 'another machine'} and is not allowed to pass it on: forwarding is switched off. Switch it on.`,
      'sysctl -w net.ipv4.ip_forward=1',
    );
  }
  return say(
    `${machine} knows no way to ${facts['target'] ?? 'the destination'}. Look at its routes; one is missing.`,
    `ip route get ${facts['target'] ?? ''}`,
  );
}

const ENTRIES: Readonly<Record<string, Entry>> = {
  IP_INADDRERRORS: {
    meaning:
      'The packet is for an address that is not this machine’s, and the machine does not forward.',
    advise: noForwarding,
  },
  IP_INNOROUTES: {
    meaning: 'No route leads to the destination.',
    advise: noForwarding,
  },
  IP_OUTNOROUTES: {
    meaning: 'No route leads to the destination.',
    advise: (facts) =>
      say(
        'Add a route to the destination, or a default route.',
        `ip route get ${facts['target'] ?? ''}`,
      ),
  },
  NEIGH_FAILED: {
    meaning: 'Nobody answered when the machine asked for the link address of the next hop.',
    advise: (facts) =>
      say(
        `Nobody on ${facts['device'] ?? 'the link'} has the address that was asked for. Is it right, and is that machine up? The neighbour table shows FAILED.`,
        'ip neigh show',
      ),
  },
  NEIGH_QUEUEFULL: {
    meaning: 'Too many packets waited for the link address of the next hop.',
    advise: () =>
      say(
        'The next hop has not answered yet and its queue is full. If it answers late, allow more to wait.',
        'sysctl -w net.ipv4.neigh.default.unres_qlen_bytes=425984',
      ),
  },
  IP_RPFILTER: {
    meaning:
      'The way back to the sender leads out of another interface: the address may be forged.',
    advise: (facts) =>
      say(
        'Reverse path filtering refused it. If traffic may take two ways here, loosen the filter.',
        `sysctl -w net.ipv4.conf.${facts['device'] ?? 'all'}.rp_filter=2`,
      ),
  },
  NO_SOCKET: {
    meaning: 'No program listens at that port.',
    advise: (facts) =>
      say(
        `Nobody listens on port ${facts['port'] ?? '?'} here. See what does, and start the server.`,
        'ss -tuln',
      ),
  },
  SOCKET_RCVBUFF: {
    meaning: 'The program reads too slowly: its receive buffer is full.',
    advise: () =>
      say(
        'Let the program read faster, or give its socket more room.',
        'sysctl -w net.core.rmem_max=8388608',
      ),
  },
  SOCKET_BACKLOG: {
    meaning: 'The program held the socket while too much arrived for it.',
    advise: () =>
      say(
        'A larger receive buffer also lets more wait on the backlog.',
        'sysctl -w net.core.rmem_default=1048576',
      ),
  },
  CPU_BACKLOG: {
    meaning: 'The CPU’s backlog queue is full: packets come faster than soft interrupts take them.',
    advise: () =>
      say('Let more packets wait for the CPU.', 'sysctl -w net.core.netdev_max_backlog=10000'),
  },
  QDISC_DROP: {
    meaning: 'The queue before the card is full, or its discipline chose to drop.',
    advise: () =>
      say('The link is slower than what is sent. See which queue grows.', 'tc -s qdisc show'),
  },
  FULL_RING: {
    meaning: 'The ring between driver and card is full.',
    advise: () => say('Give the ring more descriptors.', 'ethtool -G eth1 rx 4096'),
  },
  TCP_LISTEN_OVERFLOW: {
    meaning: 'The queue of connections that wait for accept() is full.',
    advise: () => say('The server accepts too slowly, or its queue is too short.', 'ss -ltn'),
  },
  TCP_REQQFULLDROP: {
    meaning: 'The queue of half-open connections is full: perhaps a SYN flood.',
    advise: () =>
      say(
        'Let the machine answer with SYN cookies when the queue is full.',
        'sysctl -w net.ipv4.tcp_syncookies=1',
      ),
  },
  TCP_CSUM: {
    meaning: 'The TCP checksum is wrong: the segment was damaged on its way.',
    advise: () => say('A cable damages frames. See its counters.', 'nstat -az TcpInCsumErrors'),
  },
  UDP_CSUM: {
    meaning: 'The UDP checksum is wrong: the datagram was damaged on its way.',
    advise: () => say('A cable damages frames. See the counters.', 'nstat -az UdpInCsumErrors'),
  },
  IP_CSUM: {
    meaning: 'The checksum of the IP header is wrong.',
    advise: () => say('A cable damages frames. See the counters.', 'ip -s link'),
  },
  TCP_ZEROWINDOW: {
    meaning: 'Data came although the receiver had said that it has no room.',
    advise: () =>
      say('It is a window probe; the sender finds out when there is room again.', 'ss -tmi'),
  },
  TCP_OVERWINDOW: {
    meaning: 'The data lies beyond the receive window.',
    advise: () => say('The receiver has no room for it. Let the program read.', 'ss -tmi'),
  },
  TCP_OLD_DATA: {
    meaning: 'All of the data had arrived before: a retransmission that was not needed.',
    advise: () =>
      say('Harmless. Acknowledgements came late, or got lost.', 'nstat -az TcpExtTCPDSACKRecv'),
  },
  TCP_OFOMERGE: {
    meaning: 'The data was already in the queue of what came out of order.',
    advise: () => say('Harmless: a copy of what was there.', ''),
  },
  TCP_OLD_ACK: {
    meaning: 'The acknowledgement is older than what is known.',
    advise: () => say('Harmless: it came out of order.', ''),
  },
  TCP_RESET: {
    meaning: 'The other end reset the connection.',
    advise: () =>
      say('Find out why the other end gave up; usually its program was gone.', 'ss -tan'),
  },
  TCP_ABORT_ON_DATA: {
    meaning: 'Data came for a connection whose program has gone.',
    advise: () => say('The program closed before it had read everything.', ''),
  },
  TCP_CLOSE: {
    meaning: 'The connection is closed.',
    advise: () => say('It came too late: nobody waits for it any more.', ''),
  },
  TCP_FLAGS: {
    meaning: 'The flags make no sense in this state.',
    advise: () => say('Often the answer to a connection that exists no more.', 'ss -tan'),
  },
  PKT_TOO_BIG: {
    meaning: 'The packet is larger than the next link takes and may not be fragmented.',
    advise: () =>
      say(
        'The sender is told by ICMP and will send smaller ones. If that never reaches it, lower the MTU.',
        'ip link set eth1 mtu 1400',
      ),
  },
  OTHERHOST: {
    meaning: 'The frame was for another machine of the link.',
    advise: () => say('Harmless: the card saw what was not meant for it.', ''),
  },
  DEV_READY: {
    meaning: 'The interface is down.',
    advise: (facts) =>
      say('Bring the interface up.', `ip link set ${facts['device'] || 'eth1'} up`),
  },
  FRAG_REASM_TIMEOUT: {
    meaning: 'Not all fragments arrived in time, so none is of use.',
    advise: () =>
      say('A fragment got lost. Better to send packets that fit.', 'ip route get 10.0.0.1'),
  },
  DUP_FRAG: {
    meaning: 'The same fragment came twice, or two overlap.',
    advise: () => say('The cable duplicates frames.', ''),
  },
  IP_LOCAL_SOURCE: {
    meaning: 'A packet came in with one of our own addresses as its sender.',
    advise: () => say('Two machines have the same address, or one forges it.', 'ip addr'),
  },
  ARP_PVLAN_DISABLE: {
    meaning: 'The ARP request was not for us.',
    advise: () => say('Harmless.', ''),
  },
};

const CABLE: Readonly<Record<string, Entry>> = {
  'lost on the cable': {
    meaning: 'The cable was told to lose some frames, by chance under the seed.',
    advise: () => say('Click the cable on the map and lower its loss.'),
  },
  "the cable's queue is full": {
    meaning: 'More came than the line can carry, and the queue before it is full.',
    advise: () => say('Click the cable on the map: raise its rate or its queue.'),
  },
  'nothing is plugged in': {
    meaning: 'The frame was sent into a cable that leads nowhere.',
    advise: () => say('Click the cable on the map and mend it.'),
  },
  'the cable was cut': {
    meaning: 'The frame was under way when the cable was cut.',
    advise: () => say('Click the cable on the map and mend it.'),
  },
};

const TTL: Entry = {
  meaning: 'The packet has passed too many routers: its time to live is used up.',
  advise: () =>
    say(
      'Packets go round in a circle. Compare the routes of the routers: two of them point at each other.',
      'ip route show',
    ),
};

function entryOf(record: DropRecord): Entry {
  if (record.fn === 'cable') {
    return CABLE[record.reason] ?? { meaning: record.reason, advise: () => say('') };
  }
  if (record.facts['ttl'] === '1' && record.fn === 'ip_forward') return TTL;
  const entry = ENTRIES[record.reason];
  if (entry !== undefined) return entry;
  const words = record.reason.toLowerCase().replaceAll('_', ' ');
  return {
    meaning: `The kernel’s own word for it: ${words}.`,
    advise: () =>
      say(
        'Open the journey to see which step refused it, and the counters of the machine.',
        'nstat -az',
      ),
  };
}

export function meaningOf(record: DropRecord): string {
  return entryOf(record).meaning;
}

export function adviceFor(record: DropRecord): Advice {
  const advice = entryOf(record).advise(record.facts, record.machine);
  return { ...advice, machine: record.fn === 'cable' ? '' : record.machine };
}
