/** The worlds that are ready to be watched, and what each of them is for. */
import arpFailure from '../../worlds/arp-failure.yaml?raw';
import bufferbloat from '../../worlds/bufferbloat.yaml?raw';
import closedPort from '../../worlds/closed-port.yaml?raw';
import fragments from '../../worlds/fragments.yaml?raw';
import handshake from '../../worlds/handshake.yaml?raw';
import loss from '../../worlds/loss.yaml?raw';
import overload from '../../worlds/overload.yaml?raw';
import ping from '../../worlds/ping.yaml?raw';
import router from '../../worlds/router.yaml?raw';
import slowReceiver from '../../worlds/slow-receiver.yaml?raw';
import synFlood from '../../worlds/syn-flood.yaml?raw';
import ttlLoop from '../../worlds/ttl-loop.yaml?raw';

export interface GalleryWorld {
  readonly id: string;
  readonly title: string;
  /** What happens, in a sentence or two. */
  readonly story: string;
  /** What to do with it. */
  readonly tries: readonly string[];
  readonly yaml: string;
  /** Virtual ns for each second of watching. */
  readonly pace: number;
  /** Where playing stops by itself, in ns after the beginning. */
  readonly horizonNs: number;
  /** The view that shows it best, beside the map. */
  readonly view: string;
}

const MS = 1e6;
const S = 1e9;

export const GALLERY: readonly GalleryWorld[] = [
  {
    id: 'ping',
    title: 'Ping',
    story:
      'Alice asks whether Bob is there. Before the first question she has to find out where he is: that is ARP.',
    tries: [
      'Open a packet’s journey and walk it with the arrow keys.',
      'Cut the cable between two questions.',
    ],
    yaml: ping,
    pace: 25 * MS,
    horizonNs: 4.6 * S,
    view: 'journey',
  },
  {
    id: 'handshake',
    title: 'TCP handshake',
    story:
      'Three packets open a connection, one carries a greeting and one its echo, and both ends say goodbye.',
    tries: [
      'Watch the states in the TCP view.',
      'Type nc 10.0.0.2 7 on the client and say something.',
    ],
    yaml: handshake,
    pace: 25 * MS,
    horizonNs: 1.2 * S,
    view: 'tcp',
  },
  {
    id: 'router',
    title: 'A router between two networks',
    story:
      'A client pings a server behind a router. The router passes packets on because one setting says it may.',
    tries: [
      'On the router, type sysctl -w net.ipv4.ip_forward=0 and open Drops.',
      'Traceroute from the client to 10.0.2.2.',
    ],
    yaml: router,
    pace: 40 * MS,
    horizonNs: 30 * S,
    view: 'drops',
  },
  {
    id: 'loss',
    title: 'Loss and recovery',
    story:
      'A download over a cable that loses one frame in forty. TCP notices the holes and sends again.',
    tries: [
      'See the holes fill in the time/sequence graph.',
      'Raise the loss to 10 % while it runs.',
    ],
    yaml: loss,
    pace: 60 * MS,
    horizonNs: 2.5 * S,
    view: 'tcp',
  },
  {
    id: 'slow-receiver',
    title: 'A slow receiver',
    story:
      'The program does not read. Its buffer fills, the window closes, and the sender has to wait and ask.',
    tries: [
      'Find the moment at which the window is zero.',
      'The ribbon says what limits the sender.',
    ],
    yaml: slowReceiver,
    pace: 120 * MS,
    horizonNs: 6 * S,
    view: 'tcp',
  },
  {
    id: 'fragments',
    title: 'Fragments and path MTU',
    story:
      'The second link takes 600 bytes. What may be cut is cut into three; what may not is sent back with the size that fits.',
    tries: ['Follow the answer “fragmentation needed”.', 'See how TCP makes its segments smaller.'],
    yaml: fragments,
    pace: 40 * MS,
    horizonNs: 8 * S,
    view: 'microscope',
  },
  {
    id: 'arp-failure',
    title: 'Nobody answers',
    story:
      'Alice asks for a machine that does not exist. The question is repeated; then what waited is dropped.',
    tries: [
      'Open Drops: the reason is NEIGH_FAILED.',
      'Give Bob the address 10.0.0.77 and try again.',
    ],
    yaml: arpFailure,
    pace: 200 * MS,
    horizonNs: 4.5 * S,
    view: 'drops',
  },
  {
    id: 'ttl-loop',
    title: 'A routing loop',
    story:
      'Two routers each believe that the other knows the way. The packet goes round until its time is used up.',
    tries: ['Watch the time to live fall in the microscope.', 'Mend it with a route on east.'],
    yaml: ttlLoop,
    pace: 50 * MS,
    horizonNs: 6 * S,
    view: 'drops',
  },
  {
    id: 'syn-flood',
    title: 'SYN flood',
    story:
      'Hundreds ask for a connection under names that do not exist. One honest client wants to get through.',
    tries: [
      'The server’s answers find no way back: Drops says so.',
      'On the server: nstat -az TcpExtListenDrops, then switch cookies on.',
      'Compare both runs in the time machine.',
    ],
    yaml: synFlood,
    pace: 50 * MS,
    horizonNs: 3 * S,
    view: 'drops',
  },
  {
    id: 'overload',
    title: 'Receive overload: interrupts against NAPI',
    story:
      'More datagrams come to two machines than their CPUs can carry. One takes each frame in an interrupt and does nothing else any more; the other polls, and its program still gets its share.',
    tries: [
      'Compare the machines “polls” and “interrupts” in the CPU view, by time.',
      'See where each drops: at the card, which is free, or after the work was done.',
      'Move the budget and watch time_squeeze and ksoftirqd.',
    ],
    yaml: overload,
    pace: 1 * MS,
    horizonNs: 0.6 * S,
    view: 'cpu',
  },
  {
    id: 'bufferbloat',
    title: 'Bufferbloat',
    story:
      'A long download fills a queue that is far too large, and every ping waits half a second behind it.',
    tries: ['Make the queue of the first cable 16 kB.', 'See round-trip times in the TCP view.'],
    yaml: bufferbloat,
    pace: 150 * MS,
    horizonNs: 11 * S,
    view: 'tcp',
  },
  {
    id: 'closed-port',
    title: 'Doors that are not open',
    story:
      'A TCP port without a server, a UDP port without one, a network without a route: three kinds of refusal.',
    tries: [
      'Compare the answers: RST, port unreachable, network unreachable.',
      'Start httpd on the server.',
    ],
    yaml: closedPort,
    pace: 60 * MS,
    horizonNs: 3.2 * S,
    view: 'drops',
  },
];

export function worldById(id: string): GalleryWorld | null {
  return GALLERY.find((world) => world.id === id) ?? null;
}

export function worldYaml(id: string): string | null {
  return worldById(id)?.yaml ?? null;
}
