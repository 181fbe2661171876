/**
 * Cases in which softnet once answered otherwise than Linux, each as short as it can be. What Linux 6.18
 * answers is in recorded.json, so that they are compared wherever tests run. It is recorded anew, as root, by
 * `npx tsx --conditions=softnet-source test/interop/differential/main.ts record`.
 */
import { concat, ether, icmp, ipv4, sockaddr, udp } from './packets.ts';
import { BROADCAST, EVERYONE, GROUP, MAC, OWN, PEER, PEER_MAC, PORTS } from './scene.ts';
import { type Case, type Step, toHex } from './steps.ts';
import { int32 } from './traffic_sockets.ts';

/** How long a recording waits for frames after each step: far more than the two jiffies of 4 ms that some take. */
export const RECORD_SETTLE_MS = 50;

const [PORT = 0, OTHER_PORT = 0] = PORTS;

const HOST: readonly Step[] = [
  ['sysctl', 'net.ipv4.igmp_qrv', '1'],
  ['sysctl', 'net.ipv4.ping_group_range', '0 1000'],
  ['tap', 't0'],
  [
    'ip',
    'link set lo up',
    'link set t0 address 02:00:00:00:00:01',
    'addr add 10.9.0.1/24 brd + dev t0',
    'link set t0 up',
    'neigh add 10.9.0.2 lladdr 02:00:00:00:01:02 nud permanent dev t0',
  ],
];
const SNMP: Step = ['read', '/proc/net/snmp'];

const frame = (packet: Uint8Array, to: readonly number[] = MAC): Step => [
  'frame',
  't0',
  toHex(ether(to, PEER_MAC, 0x0800, packet)),
];
const hex = (...parts: readonly (Uint8Array | readonly number[])[]): string =>
  toHex(concat(...parts));
const setInt = (slot: number, level: number, option: number, value: number): Step => [
  'setsockopt',
  slot,
  level,
  option,
  hex(int32(value)),
];
const get = (slot: number, level: number, option: number, size = 4): Step => [
  'getsockopt',
  slot,
  level,
  option,
  size,
];
const data = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => 0x80 + i);
const toOwn = { src: PEER, dst: OWN };
const udpSocket: readonly Step[] = [
  ['socket', 0, 2, 2, 0],
  ['bind', 0, hex(sockaddr(0, PORT))],
];
const datagram = (length: number): Step =>
  frame(
    ipv4({
      ...toOwn,
      protocol: 17,
      payload: udp({ ...toOwn, sport: OTHER_PORT, dport: PORT, data: data(length) }),
    }),
  );
const ioctl = (request: number, name: string, rest: readonly number[] = []): Step => {
  const room = new Uint8Array(40);
  room.set(new TextEncoder().encode(name));
  room.set(rest, 16);
  return ['ioctl', 0, request, toHex(room)];
};

function broadcastIcmp(type: number): readonly Step[] {
  const payload = icmp(type, 0, 0x80010001, data(12));
  const packet = ipv4({ src: PEER, dst: BROADCAST, protocol: 1, payload });
  return [frame(packet, EVERYONE)];
}

const CASES: Readonly<Record<string, readonly Step[]>> = {
  'ICMP to a broadcast address: which types count as errors, and which are answered': [
    ['sysctl', 'net.ipv4.icmp_echo_ignore_broadcasts', '0'],
    ['sysctl', 'net.ipv4.icmp_echo_enable_probe', '1'],
    ...[0, 3, 8, 13, 17, 42, 43, 50].flatMap(broadcastIcmp),
    SNMP,
  ],
  'no redirect about an ICMP message of a type that nobody uses': [
    ['sysctl', 'net.ipv4.ip_forward', '1'],
    ['ip', 'neigh add 10.9.0.77 lladdr 02:00:00:00:01:77 nud permanent dev t0'],
    ...[9, 10, 1, 7, 8].flatMap((type): Step[] => {
      const payload = icmp(type, 0, 0x80010001, data(8));
      // Redirects to one host become rarer.
      return [frame(ipv4({ src: PEER, dst: OWN + 76, protocol: 1, payload })), ['sleep', 1000]];
    }),
  ],
  'a raw ICMP socket gets no message that is shorter than its header': [
    ['socket', 0, 2, 3, 1],
    ...[4, 7, 8].map((length) => {
      const payload = icmp(0, 0, 0x80010001, new Uint8Array(0)).subarray(0, length);
      return frame(ipv4({ ...toOwn, protocol: 1, payload }));
    }),
    ['recvmsg', 0, 100, 16, 0, 0],
    ['recvmsg', 0, 100, 16, 0, 0],
  ],
  'CIPSO options are refused, as no domain is configured': [
    ...[
      [134, 4, 0x81, 0x82],
      [134, 8, 0, 0, 0, 0, 1, 2],
      [134, 8, 0, 0, 0, 1, 1, 0],
      [134, 8, 0, 0, 0, 1, 1, 3],
    ].map((options) =>
      frame(
        ipv4({
          ...toOwn,
          protocol: 1,
          payload: icmp(8, 0, 0x80010001, data(4)),
          options: Uint8Array.from(options),
        }),
      ),
    ),
    ['socket', 0, 2, 2, 0],
    ['setsockopt', 0, 0, 4, hex([134, 4, 0x81, 0x82])],
  ],
  'a raw socket is bound whatever the family of the address, and shows no port': [
    ['socket', 0, 2, 3, 253],
    ['bind', 0, hex(sockaddr(OWN, PORT, 5))],
    ['connect', 0, hex(sockaddr(PEER, OTHER_PORT))],
    ['read', '/proc/net/raw'],
    ['ioctl', 0, 0x8938, hex(new Uint8Array(40))],
    ['ioctl', 0, 0x891d, hex(new Uint8Array(40))],
  ],
  'reports of IGMPv3 have no identification': [
    ['socket', 0, 2, 2, 0],
    [
      'setsockopt',
      0,
      0,
      35,
      hex(sockaddr(GROUP, 0).subarray(4, 8), sockaddr(OWN, 0).subarray(4, 8)),
    ],
    ['sleep', 50],
    ['close', 0],
    ['sleep', 50],
  ],
  'IP_CHECKSUM is a sum of words as they lie in memory': [
    ...udpSocket,
    setInt(0, 0, 23, 1),
    ...[0, 1, 2, 3, 9].flatMap((length): Step[] => [
      datagram(length),
      ['recvmsg', 0, 100, 16, 64, 0],
    ]),
  ],
  'getsockopt says which levels and options it does not know': [
    ['socket', 0, 2, 3, 1],
    ['socket', 1, 2, 2, 0],
    ['socket', 2, 2, 1, 0],
    ...[0, 1, 2].flatMap((slot) => [get(slot, 17, 99), get(slot, 270, 9), get(slot, 255, 9)]),
    ...[16, 34, 76, 77, 83].flatMap((option) => [get(0, 1, option), get(1, 1, option)]),
    ...[10, 11, 12].map((option) => get(1, 17, option)),
    ...[0, 1].flatMap((slot) => [get(slot, 1, 74), setInt(slot, 1, 74, 2)]),
    ...[1, 3, 4].map((size) => get(1, 0, 32, size)),
  ],
  'ioctls on interfaces: names keep what follows them, unknown requests are ENOTTY': [
    ['socket', 0, 2, 2, 0],
    ioctl(0x8910, 'something', [2]),
    ...[0x8938, 0x891f, 0x8911, 0x8929, 0x891d].flatMap((request) => [
      ioctl(request, 't0'),
      ioctl(request, 'nope'),
    ]),
  ],
  'ioctls of ARP: what finds a device without a name, and which type it must have': [
    ['socket', 0, 2, 2, 0],
    ['ioctl', 0, 0x8954, hex(sockaddr(PEER, 0), new Uint8Array(52))],
    ...[OWN, 0x7f000001, PEER].flatMap((of) =>
      [0, 1].flatMap((type) =>
        [0, 2, 8, 10].flatMap((flags) =>
          [0x8955, 0x8953].map((request): Step => {
            const hardware = [type & 255, type >>> 8, ...MAC, ...new Uint8Array(8)];
            const rest = concat(hardware, int32(flags), new Uint8Array(32));
            return ['ioctl', 0, request, hex(sockaddr(of, 0), rest)];
          }),
        ),
      ),
    ),
  ],
  'a route for a packet that comes in belongs to no user': [
    ['ip', 'route get 10.9.0.1 from 10.9.0.2 iif t0', 'route get 10.9.0.2'],
  ],
  'where no rule has an answer there is no network': [
    ['socket', 1, 16, 3, 0],
    // A rule for sources of 10.9.1.0/24: from then on rules are asked one by one.
    [
      'sendmsg',
      1,
      '2c0000002000010401000000000000000200180064000001000000000800060014000000080002000a090100',
      0,
      null,
      null,
    ],
    ['socket', 0, 2, 2, 0],
    ['connect', 0, hex(sockaddr(0xac100101, PORT))],
  ],
  'a rule whose ports run backwards is none': [
    ['socket', 1, 16, 3, 0],
    // Blackhole for all but source ports 7003 to 6939.
    [
      'sendmsg',
      1,
      '2c0000002000010401000000000000000200000000000006020000000800060014000000080017005b1b1b1b',
      0,
      null,
      null,
    ],
    ['socket', 0, 2, 2, 0],
    ['bind', 0, hex(sockaddr(0, 7000))],
    ['connect', 0, hex(sockaddr(PEER, PORT))],
  ],
  'rules by protocol apply to what comes in, too': [
    ['sysctl', 'net.ipv4.ip_forward', '1'],
    ['ip', 'neigh add 10.9.0.3 lladdr 02:00:00:00:01:03 nud permanent dev t0'],
    ['ip', 'route add default via 10.9.0.3 table 100'],
    ['socket', 1, 16, 3, 0],
    // UDP: table 100.
    [
      'sendmsg',
      1,
      '2c00000020000104010000000000000002000000640000010000000008000600140000000500160011000000',
      0,
      null,
      null,
    ],
    ...[1, 17].map((protocol) => {
      const fields = { src: PEER, dst: 0xac100101 };
      const payload =
        protocol === 1
          ? icmp(8, 0, 0x80010001, data(8))
          : udp({ ...fields, sport: PORT, dport: OTHER_PORT, data: data(8) });
      return frame(ipv4({ ...fields, protocol, payload }));
    }),
  ],
  'the older version of IGMP that is forced counts, of all devices or of one': [
    ['sysctl', 'net.ipv4.conf.all.force_igmp_version', '2'],
    ['sysctl', 'net.ipv4.conf.t0.force_igmp_version', '1'],
    ['socket', 0, 2, 2, 0],
    [
      'setsockopt',
      0,
      0,
      35,
      hex(sockaddr(GROUP, 0).subarray(4, 8), sockaddr(OWN, 0).subarray(4, 8)),
    ],
    ['sleep', 50],
  ],
  'ip route get says that a redirect would be sent': [
    ['sysctl', 'net.ipv4.ip_forward', '1'],
    ['ip', 'route get 10.9.0.3 from 10.9.0.2 iif t0'],
  ],
  'a ping socket that has an identifier looks at the address first': [
    ['socket', 0, 2, 2, 1],
    ['bind', 0, hex(sockaddr(OWN, PORT))],
    ...[
      sockaddr(BROADCAST, 0),
      sockaddr(PEER, 0),
      sockaddr(OWN, 0, 99),
      sockaddr(OWN, 0),
      sockaddr(OWN, 0).subarray(0, 8),
    ].map((addr): Step => ['bind', 0, hex(addr)]),
  ],
  "a header that is the user's is one": [
    ['socket', 0, 2, 3, 255],
    ...[0x42, 0x44, 0x45, 0x4f].map(
      (first): Step => ['sendmsg', 0, hex([first], data(39)), 0, hex(sockaddr(PEER, 0)), null],
    ),
  ],
  'what a socket of a device sends to its own host it gets itself': [
    ['socket', 0, 2, 3, 253],
    ['socket', 1, 2, 2, 0],
    ['socket', 2, 2, 2, 0],
    ['bind', 1, hex(sockaddr(0, PORT))],
    ...[0, 1, 2].map((slot): Step => ['setsockopt', slot, 1, 25, hex([0x74, 0x30])]),
    ['sendmsg', 0, hex(data(8)), 0, hex(sockaddr(OWN, 0)), null],
    ['recvmsg', 0, 10, 16, 0, 0x20],
    ['sendmsg', 2, hex(data(8)), 0, hex(sockaddr(OWN, PORT)), null],
    ['recvmsg', 1, 100, 0, 0, 0],
  ],
  'a datagram whose checksum proves wrong at reading counts as dropped by the socket': [
    ...udpSocket,
    frame(
      ipv4({
        ...toOwn,
        protocol: 17,
        payload: udp({ ...toOwn, sport: 1, dport: PORT, data: data(900), checksumError: 1 }),
      }),
    ),
    ['recvmsg', 0, 2000, 16, 0, 0],
    ['read', '/proc/net/udp'],
  ],
  'an interface that is up can be renamed': [
    ['socket', 0, 2, 2, 0],
    ioctl(0x8923, 't0'),
    ioctl(0x8923, 't0', [0x74, 0x39]),
    ['ip', '-o link show t9'],
  ],
  'a managed neighbour that is deleted leaves no timer': [
    ['ip', 'neigh replace 10.9.0.3 dev t0 managed', 'neigh del 10.9.0.3 dev t0'],
  ],
};

export const MENDED: readonly Case[] = Object.entries(CASES).map(([name, steps]) => ({
  name,
  steps: [...HOST, ...steps],
}));
