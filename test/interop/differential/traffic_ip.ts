/** IPv4 packets of all kinds, right and wrong: headers, options, fragments, ICMP, UDP, TCP, routes. */
import { concat, get16, type Ipv4Fields, icmp, ipv4, put16, put32, tcp, udp } from './packets.ts';
import { GROUP, OWN, OWN_RIGHT, PEER, PEER_RIGHT, PEER_THREE, PORTS, type Scene } from './scene.ts';
import { addRules } from './traffic_rules.ts';
import { openSockets, readAll } from './traffic_sockets.ts';

/** Some options, one after the other, often wrong. */
export function someOptions(s: Scene): Uint8Array {
  const parts: number[] = [];
  const count = 1 + s.below(3);
  for (let i = 0; i < count && parts.length < 36; i++) parts.push(...someOption(s));
  return Uint8Array.from(parts.slice(0, 40));
}

function ipBytes(value: number): number[] {
  const out = new Uint8Array(4);
  put32(out, 0, value);
  return [...out];
}

function someOption(s: Scene): number[] {
  const wrong = s.once(5);
  const kind = s.below(9);
  if (kind === 0) return [1];
  if (kind === 1) return [0];
  if (kind === 2) return [148, wrong ? s.below(8) : 4, 0, wrong ? 1 : 0];
  if (kind === 3 || kind === 4) return routeOption(s, s.of([131, 137]), wrong);
  if (kind === 5) return routeOption(s, 7, wrong);
  if (kind === 6 || kind === 7) return stampOption(s, wrong);
  return [s.of([130, 134, 136, 20, 94, s.below(256)]), wrong ? s.below(4) : 4, 0x81, 0x82];
}

function routeOption(s: Scene, kind: number, wrong: boolean): number[] {
  const slots = 1 + s.below(3);
  const length = 3 + 4 * slots;
  const hops = Array.from({ length: slots }, () =>
    s.of([PEER, PEER_RIGHT, OWN, OWN_RIGHT, PEER_THREE, 0x0a090207, 0xac100101, 0]),
  );
  const pointer = wrong ? s.below(48) : 4 + 4 * s.below(slots + 1);
  return [kind, wrong && s.once(2) ? s.below(20) : length, pointer, ...hops.flatMap(ipBytes)];
}

function stampOption(s: Scene, wrong: boolean): number[] {
  const flag = wrong && s.once(2) ? s.below(16) : s.of([0, 1, 3]);
  const slots = 1 + s.below(3);
  const size = flag === 0 ? 4 : 8;
  const length = Math.min(36, 4 + size * slots);
  const data: number[] = [];
  for (let i = 0; i < slots; i++) {
    if (flag !== 0) data.push(...ipBytes(flag === 3 ? s.of([OWN, PEER, OWN_RIGHT, 0]) : 0));
    data.push(0, 0, 0, 0);
  }
  const pointer = wrong ? s.below(40) : 5 + size * s.below(slots + 1);
  const overflow = s.once(4) ? s.of([1, 14, 15]) : 0;
  const lengthByte = wrong && s.once(2) ? s.below(40) : length;
  return [68, lengthByte, pointer, (overflow << 4) | flag, ...data].slice(0, length);
}

/** The transport's part of a packet. */
function someBody(s: Scene, src: number, dst: number): { protocol: number; payload: Uint8Array } {
  const size = s.of([0, 1, 8, 20, 32, 100, 560, 1200]);
  switch (s.below(8)) {
    case 0:
    case 1:
      return { protocol: 1, payload: someIcmp(s, size) };
    case 2:
    case 3:
    case 4: {
      const length = s.once(12) ? s.below(40) : 8 + size;
      const checksumError = s.once(10) ? null : s.once(15) ? 1 + s.below(9) : 0;
      const ports = { sport: s.of([...PORTS, 0]), dport: s.of([...PORTS, ...PORTS, 0, 9]) };
      const payload = udp({ src, dst, ...ports, data: s.bytes(size), length, checksumError });
      return { protocol: 17, payload: s.once(30) ? payload.subarray(0, s.below(8)) : payload };
    }
    case 5: {
      const payload = tcp({
        src,
        dst,
        sport: s.of(PORTS),
        dport: s.of(PORTS),
        seq: 0x80000000 + s.below(10),
        ack: 0x90000000 + s.below(10),
        flags: s.of([2, 16, 17, 4, 18, 0, 20, 0x12, 0x3f, 0x10]),
        data: s.bytes(s.once(2) ? 0 : size),
        checksumError: s.once(12) ? 5 : 0,
        ...(s.once(15) ? { offset: s.below(16) } : {}),
      });
      return { protocol: 6, payload };
    }
    case 6:
      return {
        protocol: s.of([0, 2, 3, 4, 41, 47, 50, 89, 132, 253, 255]),
        payload: s.bytes(size),
      };
    default:
      return { protocol: 1, payload: icmp(8, 0, 0x80010001, s.bytes(size)) };
  }
}

export function someIcmp(s: Scene, size: number): Uint8Array {
  const error = s.once(15) ? 1 : 0;
  const kind = s.below(12);
  if (kind < 5) return icmpError(s, error);
  if (kind === 5) return icmp(8, s.once(6) ? 1 : 0, 0x80010000 + s.below(5), s.bytes(size), error);
  if (kind === 6) return icmp(s.of([13, 14]), 0, 0x80010001, stamps(s), error);
  if (kind === 7) return icmp(s.of([17, 18]), 0, 0x80010001, s.bytes(4), error);
  if (kind === 8)
    return icmp(s.below(48), s.below(4), 0x80000000 + s.below(9), s.bytes(size), error);
  if (kind === 9) return icmp(42, 0, 0x80010001, probe(s), error);
  if (kind === 10) return icmp(s.of([0, 9, 10, 15, 16]), 0, 0x80010001, s.bytes(size), error);
  return icmp(8, 0, 0x80010001, s.bytes(size)).subarray(0, s.below(9));
}

/** The body of an ICMP timestamp, whole or not. */
function stamps(s: Scene): Uint8Array {
  return s.bytes(s.once(5) ? s.below(12) : 12);
}

/** The extension object of an extended echo request (RFC 8335). */
function probe(s: Scene): Uint8Array {
  const name = s.of(['t0', 't1', 'lo', 'nope']);
  const kind = s.below(4);
  const value =
    kind === 1
      ? Uint8Array.from(
          [...name]
            .map((c) => c.charCodeAt(0))
            .concat([0, 0, 0, 0])
            .slice(0, 4),
        )
      : kind === 2
        ? Uint8Array.of(0, 0, 0, 1 + s.below(4))
        : concat([0, 1, 4, 0], ipBytes(s.of([OWN, OWN_RIGHT, PEER, 0x7f000001])));
  const object = concat([0, 4 + value.length, 3, kind], value);
  const out = concat([0x20, 0, 0, 0], object);
  if (s.once(4)) return out.subarray(0, s.below(out.length));
  if (s.once(4)) put16(out, 4, s.below(30));
  return out;
}

/** An error that quotes a packet of ours, more or less. */
function icmpError(s: Scene, checksumError: number): Uint8Array {
  const type = s.of([3, 3, 3, 5, 5, 11, 12, 4]);
  const code = type === 3 ? s.below(17) : s.below(5);
  const protocol = s.of([17, 17, 17, 6, 1, 2, 200]);
  const src = s.once(6) ? s.target() : OWN;
  const dst = s.once(6) ? s.source() : PEER;
  const sport = s.of(PORTS);
  const dport = s.of(PORTS);
  let inner: Uint8Array;
  if (protocol === 17) inner = udp({ src, dst, sport, dport, data: s.bytes(20) });
  else if (protocol === 1) inner = icmp(s.of([8, 0, 3]), 0, 0x80010001, s.bytes(8));
  else inner = s.bytes(28);
  const quoted = ipv4({
    src,
    dst,
    protocol,
    payload: inner,
    id: s.nextId(),
    ...(s.once(8) ? { version: s.below(16) } : {}),
    ...(s.once(8) ? { ihl: s.below(16) } : {}),
    ...(s.once(8) ? { fragment: s.of([0x2000, 0x4000, 5]) } : {}),
    ...(s.once(8) ? { totalLength: s.below(2000) } : {}),
    ...(s.once(8) ? { options: someOptions(s) } : {}),
  });
  const cut = s.once(4) ? s.below(quoted.length) : quoted.length;
  const mtu = s.of([0, 68, 300, 552, 576, 1000, 1499, 1500, 9000]);
  const gateway = s.of([PEER_THREE, PEER, OWN, PEER_RIGHT, 0, 0xe0000001, 0x0a090077]);
  const rest = type === 5 ? gateway : type === 12 ? s.below(40) << 24 : mtu;
  return icmp(type, code, rest >>> 0, quoted.subarray(0, cut), checksumError);
}

function onePacket(s: Scene): void {
  const src = s.source();
  const dst = s.target();
  const fields: Ipv4Fields = {
    src,
    dst,
    ...someBody(s, src, dst),
    ttl: s.of([64, 64, 64, 64, 1, 2, 0]),
    tos: s.of([0, 0, 0, 0x10, 0x2e << 2, 3]),
    ...(s.once(3) ? { options: someOptions(s) } : {}),
    ...(s.once(4) ? { fragment: 0x4000 } : {}),
    ...(s.once(30) ? { version: s.below(16) } : {}),
    ...(s.once(30) ? { ihl: s.below(16) } : {}),
    ...(s.once(30) ? { checksumError: 1 } : {}),
    ...(s.once(30) ? { totalLength: s.below(100) } : {}),
    ...(s.once(30) ? { fragment: s.of([0x8000, 0x2000, 0x1fff, 0x6000, 3]) } : {}),
  };
  s.receive(fields, {
    ...(s.once(8) ? { padding: s.below(40) } : {}),
    ...(s.once(30) ? { cut: s.below(60) } : {}),
  });
}

/** A datagram in pieces: in any order, twice, overlapping, too long, with a piece missing. */
function fragments(s: Scene): void {
  const src = s.once(5) ? s.source() : PEER;
  const dst = s.once(4) ? s.target() : OWN;
  const size = s.of([16, 40, 100, 400, 1000, 3000]);
  const whole = s.once(2)
    ? icmp(8, 0, 0x80010001, s.bytes(size))
    : udp({ src, dst, sport: s.of(PORTS), dport: s.of(PORTS), data: s.bytes(size) });
  const protocol = whole.length === size + 8 && whole[0] === 8 ? 1 : 17;
  const id = s.nextId();
  const step = 8 * (1 + s.below(Math.max(1, Math.ceil(whole.length / 16))));
  const pieces: { at: number; data: Uint8Array; more: boolean }[] = [];
  for (let at = 0; at < whole.length; at += step) {
    const end = Math.min(whole.length, at + step);
    pieces.push({ at, data: whole.subarray(at, end), more: end < whole.length });
    if (pieces.length > 12) break;
  }
  const order = s.below(4);
  if (order < 2) pieces.reverse();
  else if (order === 2) pieces.push(...pieces.splice(0, s.below(pieces.length)));
  if (s.once(4)) pieces.splice(s.below(pieces.length), 1);
  for (let i = s.below(3); i > 0 && pieces.length > 0; i--) {
    const { at, data, more } = s.of(pieces);
    const twice = [
      { at, data, more },
      { at: at + 8, data, more },
      { at: Math.max(0, at - 8), data, more },
      { at, data: concat(data, s.bytes(8)), more },
      { at, data, more: !more },
      { at, data: data.subarray(0, data.length - 1), more: true },
      { at, data: new Uint8Array(0), more: true },
      { at: 65528, data, more },
      { at: 65496, data: s.bytes(64), more: false },
    ];
    if (s.once(2)) pieces.splice(s.below(pieces.length + 1), 0, s.of(twice));
  }
  const options = s.once(6) ? someOptions(s) : new Uint8Array(0);
  const tos = s.of([0, 0, 1, 2, 3]);
  for (const { at, data, more } of pieces) {
    s.receive({
      src,
      dst,
      protocol,
      payload: data,
      id,
      options,
      tos: s.once(6) ? s.below(4) : tos,
      fragment: (more ? 0x2000 : 0) | (at / 8) | (s.once(15) ? 0x4000 : 0),
      ttl: s.of([64, 64, 64, 1, 2]),
    });
    if (s.once(30)) s.add(['sleep', s.of([100, 1300])]);
  }
}

function igmpPacket(s: Scene): void {
  const kind = s.of([0x12, 0x16, 0x17, 0x22, 0x13, s.below(256)]);
  const group = s.of([0, 0, GROUP, 0xe0000001, 0xe0000016, OWN]);
  const size = s.of([8, 8, 12, 12, 16, s.below(20)]);
  const p = new Uint8Array(Math.max(8, size));
  p[0] = kind;
  p[1] = s.of([0, 1, 5, 100, 0x85]);
  put32(p, 4, group);
  if (size >= 12) {
    p[8] = s.of([0, 2, 8, 0xf]);
    p[9] = 10;
    put16(p, 10, size >= 16 ? s.of([1, 1, 2]) : 0);
  }
  if (size >= 16) put32(p, 12, PEER);
  let total = 0;
  for (let i = 0; i < p.length; i += 2) total += get16(p, i);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  put16(p, 2, (~total & 0xffff) + (s.once(10) ? 1 : 0));
  const dst = s.of([0xe0000001, 0xe0000001, GROUP, OWN]);
  s.receive({
    src: s.source(),
    dst,
    protocol: 2,
    payload: p.subarray(0, s.once(10) ? size : p.length),
    ttl: s.of([1, 1, 64]),
    options: s.once(2) ? Uint8Array.of(148, 4, 0, 0) : new Uint8Array(0),
  });
}

const ROUTE_CHANGES: readonly string[] = [
  'route del 10.9.2.0/24',
  'route replace 10.9.2.0/24 via 10.9.0.3',
  'route replace blackhole 10.9.2.0/24',
  'route flush cache',
  'addr del 10.9.0.1/24 dev t0',
  'addr add 10.9.0.1/24 brd + dev t0',
  'link set t1 down',
  'link set t1 up',
  'neigh del 10.9.1.2 dev t1',
  'route replace 10.9.2.7/32 via 10.9.1.2 mtu 500',
  'route replace local 10.9.2.7/32 dev lo',
  'route replace broadcast 10.9.2.9/32 dev t1',
  'link set t0 mtu 700',
  'route add default via 10.9.0.2 metric 9',
];

const LOOK_UPS: readonly string[] = [
  'route get 10.9.2.7 from 10.9.0.2 iif t0',
  'route get 10.9.3.7 from 10.9.0.2 iif t0',
  'route get 10.9.0.1 from 10.9.0.2 iif t0',
  'route get 10.9.0.255 from 10.9.0.2 iif t0',
  'route get 10.9.0.255',
  'route get 239.1.2.3',
  'route get 10.9.4.7',
  'route get 10.9.5.7',
  'route get 10.9.6.7',
  'route get 10.9.7.7',
  'route get 10.9.2.7 from 10.9.0.9',
  'route get 10.9.2.7 oif t0',
  'route get 127.0.0.1 from 10.9.0.2 iif t0',
  'route get 172.16.1.1 from 10.9.1.2 iif t1',
  'route get 0.0.0.0',
  'route get 255.255.255.255',
];

export function ipTraffic(s: Scene): void {
  s.setUp({ neighbours: !s.once(5) });
  if (s.once(3)) addRules(s);
  openSockets(s, s.below(5));
  const count = 10 + s.below(30);
  for (let i = 0; i < count; i++) {
    const kind = s.below(24);
    if (kind < 3) fragments(s);
    else if (kind < 5) igmpPacket(s);
    else if (kind === 5) s.add(['ip', s.of(LOOK_UPS)]);
    else if (kind === 6 && s.once(3)) s.add(['ip', s.of(ROUTE_CHANGES)], ['sleep', 20]);
    else onePacket(s);
  }
  if (s.once(12)) s.add(['sleep', 1500]);
  readAll(s);
  s.ending();
  s.add(['ip', 'route get 10.9.2.7 from 10.9.0.2 iif t0']);
}
