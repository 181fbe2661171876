/**
 * The scenarios of the trace parity test, played step by step on the real kernel and on a machine: three
 * namespaces a, r, b; a cable between each two; the same commands set both up.
 */
import { IP_TTL, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { SO_RCVBUF, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_SOCKET } from '#uapi/socket.ts';
import { TCP_CONGESTION, TCP_NODELAY } from '#uapi/tcp.ts';

export type Step =
  | {
      readonly do: 'socket';
      readonly id: string;
      readonly netns: string;
      readonly type: number;
      readonly protocol: number;
    }
  | { readonly do: 'bind'; readonly id: string; readonly addr: string; readonly port: number }
  | { readonly do: 'connect'; readonly id: string; readonly addr: string; readonly port: number }
  | { readonly do: 'listen'; readonly id: string }
  | { readonly do: 'accept'; readonly id: string; readonly as: string }
  | { readonly do: 'send'; readonly id: string; readonly hex: string }
  | {
      readonly do: 'sendto';
      readonly id: string;
      readonly hex: string;
      readonly addr: string;
      readonly port: number;
    }
  | { readonly do: 'recv'; readonly id: string }
  | {
      readonly do: 'setsockopt';
      readonly id: string;
      readonly level: number;
      readonly name: number;
      readonly value: number | string;
    }
  | { readonly do: 'abort'; readonly id: string }
  | { readonly do: 'close'; readonly id: string }
  | { readonly do: 'sleep'; readonly ms: number }
  | { readonly do: 'mark'; readonly text: 'begin' | 'end' };

export interface Scenario {
  readonly name: string;
  /** Further commands, after the usual ones. */
  readonly setup?: readonly string[];
  readonly before?: readonly Step[];
  readonly steps: readonly Step[];
  readonly after?: readonly Step[];
}

/** Interfaces, by cable: a-b, a-r, r-b. */
export const DEVICES: readonly string[] = ['tpab', 'tpba', 'tpar', 'tpra', 'tprb', 'tpbr'];

const MACS: Readonly<Record<string, string>> = Object.fromEntries(
  DEVICES.map((name, i) => [name, `02:00:00:00:00:0${i + 1}`]),
);

function cable(left: string, right: string, one: string, other: string, net: string): string[] {
  const up = (ns: string, dev: string, host: number, peer: string, peerHost: number): string[] => [
    `ip -n ${ns} link set ${dev} address ${MACS[dev]}`,
    `ip -n ${ns} addr add 10.201.${net}.${host}/24 dev ${dev}`,
    `ip -n ${ns} link set ${dev} up`,
    `ip -n ${ns} neigh add 10.201.${net}.${peerHost} lladdr ${MACS[peer]} nud permanent dev ${dev}`,
  ];
  return [
    `ip link add ${one} type veth peer name ${other}`,
    `ip link set ${one} netns ${left}`,
    `ip link set ${other} netns ${right}`,
    ...up(left, one, 1, other, 2),
    ...up(right, other, 2, one, 1),
  ];
}

/** Commands that set up both sides; @ stands before the names of namespaces. */
export const SETUP: readonly string[] = [
  'ip netns add @a',
  'ip netns add @r',
  'ip netns add @b',
  ...['@a', '@r', '@b'].map((ns) => `ip -n ${ns} link set lo up`),
  ...cable('@a', '@b', 'tpab', 'tpba', '1'),
  ...cable('@a', '@r', 'tpar', 'tpra', '2'),
  ...cable('@r', '@b', 'tprb', 'tpbr', '3'),
  'ip netns exec @r sysctl -q -w net.ipv4.ip_forward=1',
  'ip -n @a route add 10.201.3.0/24 via 10.201.2.2',
  'ip -n @b route add 10.201.2.0/24 via 10.201.3.1',
];

const A = '10.201.1.1';
const B = '10.201.1.2';
/** Address of b behind the router. */
const FAR = '10.201.3.2';

const udp = (id: string, netns: string): Step => ({
  do: 'socket',
  id,
  netns,
  type: SOCK_DGRAM,
  protocol: IPPROTO_UDP,
});
const tcp = (id: string, netns: string): readonly Step[] => [
  { do: 'socket', id, netns, type: SOCK_STREAM, protocol: IPPROTO_TCP },
  { do: 'setsockopt', id, level: IPPROTO_TCP, name: TCP_CONGESTION, value: 'cubic' },
  { do: 'setsockopt', id, level: IPPROTO_TCP, name: TCP_NODELAY, value: 1 },
];
const bind = (id: string, addr: string, port: number): Step => ({ do: 'bind', id, addr, port });
const connect = (id: string, addr: string, port: number): Step => ({
  do: 'connect',
  id,
  addr,
  port,
});
const bytes = (count: number): string => '61'.repeat(count);
const send = (id: string, count: number): Step => ({ do: 'send', id, hex: bytes(count) });
const sendto = (id: string, count: number, addr: string, port: number): Step => ({
  do: 'sendto',
  id,
  hex: bytes(count),
  addr,
  port,
});
const recv = (id: string): Step => ({ do: 'recv', id });
const close = (...ids: readonly string[]): Step[] => ids.map((id) => ({ do: 'close', id }));

/** An echo request of 8 bytes payload: type 8, checksum filled in. */
const ECHO = '08005435123400016162636465666768';

/** A UDP header from port 7000 to 7001 with 8 bytes and a checksum that is wrong. */
const BAD_UDP = '1b581b590010dead6161616161616161';

const listener: readonly Step[] = [
  ...tcp('l', '@b'),
  bind('l', B, 7001),
  { do: 'listen', id: 'l' },
  ...tcp('c', '@a'),
  bind('c', A, 7000),
];
const connected: readonly Step[] = [
  ...listener,
  connect('c', B, 7001),
  { do: 'accept', id: 'l', as: 's' },
];
const pair: readonly Step[] = [
  udp('s', '@b'),
  bind('s', B, 7001),
  udp('c', '@a'),
  bind('c', A, 7000),
];

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'ping',
    before: [{ do: 'socket', id: 'c', netns: '@a', type: SOCK_RAW, protocol: IPPROTO_ICMP }],
    steps: [{ do: 'sendto', id: 'c', hex: ECHO, addr: B, port: 0 }, recv('c')],
    after: close('c'),
  },
  {
    name: 'UDP request and response',
    before: pair,
    steps: [sendto('c', 32, B, 7001), recv('s'), sendto('s', 64, A, 7000), recv('c')],
    after: close('c', 's'),
  },
  {
    name: 'TCP connect',
    before: listener,
    steps: [connect('c', B, 7001), { do: 'accept', id: 'l', as: 's' }],
    after: close('c', 's', 'l'),
  },
  {
    name: 'TCP request',
    before: connected,
    steps: [send('c', 100), recv('s'), send('s', 200), recv('c')],
    after: close('c', 's', 'l'),
  },
  {
    name: 'TCP close',
    before: connected,
    steps: [...close('c'), recv('s'), ...close('s')],
    after: close('l'),
  },
  {
    name: 'TCP reset',
    before: connected,
    steps: [{ do: 'abort', id: 'c' }, recv('s'), ...close('s')],
    after: close('l'),
  },
  {
    name: 'TCP to a closed port',
    before: [...tcp('c', '@a'), bind('c', A, 7000)],
    steps: [connect('c', B, 7009), ...close('c')],
  },
  {
    name: 'closed UDP port',
    before: [udp('c', '@a'), bind('c', A, 7000), connect('c', B, 7009)],
    steps: [send('c', 10), recv('c')],
    after: close('c'),
  },
  {
    name: 'fragments',
    before: pair,
    steps: [sendto('c', 3000, B, 7001), recv('s')],
    after: close('c', 's'),
  },
  {
    name: 'forwarding',
    before: [udp('s', '@b'), bind('s', FAR, 7001), udp('c', '@a')],
    steps: [sendto('c', 32, FAR, 7001), recv('s')],
    after: close('c', 's'),
  },
  {
    name: 'TTL expiry',
    before: [
      udp('c', '@a'),
      { do: 'setsockopt', id: 'c', level: 0, name: IP_TTL, value: 1 },
      connect('c', FAR, 7001),
    ],
    steps: [send('c', 32), recv('c')],
    after: close('c'),
  },
  {
    name: 'qdisc drop',
    setup: ['ip netns exec @a tc qdisc add dev tpab root pfifo limit 0'],
    before: pair,
    steps: [sendto('c', 32, B, 7001)],
    after: close('c', 's'),
  },
  {
    name: 'socket buffer full',
    before: [
      ...pair,
      { do: 'setsockopt', id: 's', level: SOL_SOCKET, name: SO_RCVBUF, value: 1024 },
    ],
    steps: Array.from({ length: 4 }, () => sendto('c', 600, B, 7001)),
    after: close('c', 's'),
  },
  {
    name: 'bad checksum',
    before: [
      udp('s', '@b'),
      bind('s', B, 7001),
      { do: 'socket', id: 'c', netns: '@a', type: SOCK_RAW, protocol: IPPROTO_UDP },
    ],
    steps: [{ do: 'sendto', id: 'c', hex: BAD_UDP, addr: B, port: 0 }, recv('s')],
    after: close('c', 's'),
  },
  {
    name: 'ARP failure',
    setup: ['ip netns exec @a sysctl -q -w net.ipv4.neigh.tpab.retrans_time_ms=100'],
    before: [udp('c', '@a'), bind('c', A, 7000)],
    steps: [sendto('c', 32, '10.201.1.99', 7001), { do: 'sleep', ms: 600 }, recv('c')],
    after: close('c'),
  },
];
