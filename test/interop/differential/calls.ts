/** System calls with odd arguments: what they refuse, and with which errno. */
import { sockaddr } from './packets.ts';
import { GROUP, OWN, OWN_RIGHT, PEER, PORTS, type Scene } from './scene.ts';
import { type Step, toHex } from './steps.ts';
import { int32 } from './traffic_sockets.ts';

/** Options whose value is the machine's own affair: times, memory, filters, what the deviations name. */
const UNCOMPARED: ReadonlySet<string> = new Set([
  '1/7',
  '1/8',
  '1/17',
  '1/32',
  '1/33',
  '1/57',
  '1/26',
  '1/50',
  '1/51',
  '1/52',
  '6/35',
  '6/26',
  '6/13',
  '1/71',
  '1/80',
  '6/24',
  '0/16',
  '0/52',
  '0/17',
  '0/41',
  '0/43',
  '0/44',
  '0/46',
  '0/47',
  '0/48',
]);

/** Of iptables and of multicast routing. */
const isForeign = (level: number, option: number): boolean =>
  (level === 0 && ((option >= 64 && option < 128) || option >= 200)) ||
  // Of configurations, and signatures, which this kernel may lack.
  (level === 6 && option >= 38 && option <= 42);

const LEVELS: readonly number[] = [0, 0, 0, 1, 1, 1, 6, 6, 6, 17, 17, 255, 1, 2, 41, 99, 270];

function open(s: Scene, slot: number): void {
  const plain: readonly (readonly [number, number, number])[] = [
    [2, 1, 0],
    [2, 2, 0],
    [2, 3, 1],
    [2, 3, 255],
    [2, 2, 1],
    [2, 1, 6],
    [2, 2, 17],
  ];
  if (s.once(4)) {
    const family = s.of([2, 2, 2, 0, 99, -1]);
    s.add([
      'socket',
      slot,
      family,
      s.of([1, 2, 3, 4, 5, 0, 7, 11]),
      s.of([0, 1, 2, 6, 17, 33, 132, 255, 256, -1]),
    ]);
  } else s.add(['socket', slot, ...s.of(plain)]);
}

function value(s: Scene): Uint8Array {
  const kind = s.below(8);
  if (kind < 4)
    return int32(s.of([0, 1, -1, 2, 3, 5, 64, 255, 256, 1000, 65535, 65536, 0x7fffffff]));
  if (kind === 4) return s.bytes(s.below(20));
  if (kind === 5) return new Uint8Array(s.below(24));
  if (kind === 6) return Uint8Array.of(s.below(256));
  return new Uint8Array(0);
}

function someAddress(s: Scene): Uint8Array {
  const where = s.of([0, OWN, OWN, OWN_RIGHT, PEER, GROUP, 0x7f000001, 0xffffffff, 0x0a0900ff]);
  const family = s.once(4) ? s.of([0, 1, 10, 16, 99]) : 2;
  const full = sockaddr(where, s.of([...PORTS, 0, 80]), family);
  return s.once(4) ? full.subarray(0, s.below(17)) : full;
}

const REQUESTS: readonly number[] = [
  ...[0x541b, 0x5411, 0x8906, 0x8907, 0x8905, 0x8910, 0x8911, 0x8912, 0x8913, 0x8914, 0x8915],
  ...[0x8917, 0x8919, 0x891b, 0x891d, 0x891f, 0x8921, 0x8923, 0x8927, 0x8933, 0x8938, 0x8942],
  ...[0x8970, 0x8954, 0x8955, 0x5421, 0x5401, 0x8946, 0x8929, 0x892f, 0x8949],
];

function ioctl(s: Scene, slot: number): readonly Step[] {
  const request = new Uint8Array(120);
  const name = s.of(['t0', 't1', 'lo', 'nope', '', 't0:1']);
  request.set(new TextEncoder().encode(name));
  const kind = s.of(REQUESTS);
  // SIOCSIFFLAGS and SIOCETHTOOL take a pointer or flags: not with these octets.
  if (kind === 0x8946 || kind === 0x8912 || kind === 0x8942) return [];
  if (kind === 0x8914) request[16] = s.of([0x03, 0x43]);
  if (kind === 0x5421) return [['ioctl', slot, kind, toHex(int32(1))]];
  if (kind === 0x8910) new DataView(request.buffer).setInt32(16, s.below(5), true);
  if (kind === 0x8954 || kind === 0x8955) {
    request.fill(0);
    request.set(sockaddr(s.of([PEER, OWN, 0]), 0));
    request[16] = s.below(2);
  }
  return [['ioctl', slot, kind, toHex(request)]];
}

/** One call, and what can be asked about it. */
function oneCall(s: Scene, slot: number): readonly Step[] {
  const level = s.of(LEVELS);
  const option = s.once(10) ? s.below(300) - 5 : s.below(90);
  switch (s.below(16)) {
    case 0:
      return [['bind', slot, toHex(someAddress(s))]];
    case 1:
      return [['connect', slot, toHex(someAddress(s))]];
    case 2:
      return [['listen', slot, s.of([0, 1, 5, -1])]];
    case 3:
      return [['accept', slot, 9, 16]];
    case 4:
      return [[s.of(['getsockname', 'getpeername'] as const), slot, s.of([0, 2, 8, 16, 32])]];
    case 5:
    case 6:
    case 7:
    case 8:
      if (UNCOMPARED.has(`${level}/${option}`) || isForeign(level, option)) return [];
      return [['getsockopt', slot, level, option, s.of([4, 4, 4, 0, 1, 2, 3, 8, 16, 64])]];
    case 9:
    case 10:
    case 11: {
      if (UNCOMPARED.has(`${level}/${option}`) || isForeign(level, option)) return [];
      return [
        ['setsockopt', slot, level, option, toHex(value(s))],
        ['getsockopt', slot, level, option, s.of([4, 4, 4, 8])],
      ];
    }
    case 12:
      return [['shutdown', slot, s.of([0, 1, 2, 3, -1])]];
    case 13:
      return ioctl(s, slot);
    case 14:
      return [['recvmsg', slot, 100, s.of([0, 16]), s.of([0, 64]), s.of([0, 1, 2, 0x2000, 0x40])]];
    default:
      return [
        [
          'sendmsg',
          slot,
          toHex(s.bytes(s.of([0, 1, 8, 30]))),
          s.of([0, 0x4000, 1, 4, 0x8000, 0x20000000]),
          s.once(2) ? null : toHex(someAddress(s)),
          null,
        ],
      ];
  }
}

export function optionCalls(s: Scene): void {
  s.setUp();
  const count = 1 + s.below(4);
  for (let slot = 0; slot < count; slot++) open(s, slot);
  const turns = 20 + s.below(60);
  for (let i = 0; i < turns; i++) {
    if (s.once(30)) open(s, s.below(count));
    else s.add(...oneCall(s, s.once(30) ? 8 : s.below(count)));
  }
}
