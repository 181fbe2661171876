/** UDP, raw and ping sockets with options: what they send, what they read, and the control messages of both. */
import { concat, icmp, put32, sockaddr, udp } from './packets.ts';
import {
  BROADCAST,
  GROUP,
  OWN,
  OWN_LO,
  OWN_RIGHT,
  OWN_SECOND,
  PEER,
  PEER_RIGHT,
  PORTS,
  type Scene,
} from './scene.ts';
import { toHex } from './steps.ts';
import { someIcmp, someOptions } from './traffic_ip.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOL_IP = 0;
const SOL_SOCKET = 1;
const MSG_PEEK = 2;
const MSG_DONTROUTE = 4;
const MSG_CTRUNC = 8;
const MSG_TRUNC = 0x20;
const MSG_CONFIRM = 0x800;
const MSG_ERRQUEUE = 0x2000;
const MSG_MORE = 0x8000;

export const int32 = (value: number): Uint8Array => {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setInt32(0, value, true);
  return out;
};

const ipBytes = (value: number): Uint8Array => {
  const out = new Uint8Array(4);
  put32(out, 0, value);
  return out;
};

/** Switches of a socket that change what it reads or sends. */
const SWITCHES: readonly (readonly [level: number, option: number])[] = [
  ...[1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 18, 19, 20, 21, 22, 23, 24, 25, 49, 51].map(
    (option) => [SOL_IP, option] as const,
  ),
  ...[5, 6, 10, 12, 36, 40].map((option) => [SOL_SOCKET, option] as const),
];

function setSwitch(s: Scene, slot: number): void {
  const [level, option] = s.of(SWITCHES);
  let value = s.of([0, 1, 1, 1, 1]);
  if (level === SOL_IP && option === 1) value = s.of([0x10, 0xb8, 3, 255]);
  if (level === SOL_IP && option === 2) value = s.of([1, 64, 255, -1]);
  if (level === SOL_IP && option === 10) value = s.below(6);
  if (level === SOL_IP && option === 21) value = s.of([0, 10, 255, 256]);
  if (level === SOL_SOCKET && option === 12) value = s.below(7);
  if (level === SOL_SOCKET && option === 36) value = s.below(3);
  s.add(['setsockopt', slot, level, option, toHex(int32(value))]);
}

/** Members of groups, and what goes out to groups. */
function setMulticast(s: Scene, slot: number): void {
  const group = s.of([GROUP, GROUP, 0xe0000009, 0xefffff01, OWN]);
  const kind = s.below(6);
  const request = concat(ipBytes(group), ipBytes(s.of([OWN, OWN_RIGHT, 0, PEER])));
  const requestn = concat(request, int32(0));
  if (kind < 2) s.add(['setsockopt', slot, SOL_IP, 35, toHex(s.once(2) ? request : requestn)]);
  else if (kind === 2) s.add(['setsockopt', slot, SOL_IP, 36, toHex(request)]);
  else if (kind === 3) s.add(['setsockopt', slot, SOL_IP, 33, toHex(int32(s.of([0, 1, 5, -1])))]);
  else if (kind === 4) s.add(['setsockopt', slot, SOL_IP, 34, toHex(int32(s.below(3)))]);
  else s.add(['setsockopt', slot, SOL_IP, 32, toHex(requestn)]);
  // Reports come two jiffies later.
  if (kind < 3) s.add(['sleep', 20]);
}

/** Sockets in slots from 0 on. */
export function openSockets(s: Scene, count: number): void {
  for (let slot = 0; slot < count; slot++) openSocket(s, slot);
}

function openSocket(s: Scene, slot: number): void {
  const kind = s.below(8);
  if (kind < 5) s.add(['socket', slot, AF_INET, SOCK_DGRAM, 0]);
  else s.add(['socket', slot, AF_INET, SOCK_RAW, s.of([1, 17, 2, 253, 255, 1])]);
  const options = s.below(5);
  for (let i = 0; i < options; i++) setSwitch(s, slot);
  if (s.once(4)) setMulticast(s, slot);
  if (kind === 5 && s.once(3)) s.add(['setsockopt', slot, 255, 1, toHex(int32(0xfffffff0))]);
  if (s.once(12))
    s.add(['setsockopt', slot, SOL_SOCKET, 25, toHex(new TextEncoder().encode('t0'))]);
  if (s.once(15)) {
    s.add(['setsockopt', slot, SOL_IP, 4, toHex(someOptions(s))]);
  }
  const local = s.of([0, 0, 0, OWN, OWN, OWN_SECOND, OWN_RIGHT, OWN_LO, BROADCAST, GROUP, PEER]);
  if (kind < 5 || s.once(2)) {
    s.add(['bind', slot, toHex(sockaddr(local, s.of(PORTS), s.once(25) ? s.below(12) : AF_INET))]);
  }
  if (s.once(4)) s.add(['connect', slot, toHex(sockaddr(remote(s), s.of(PORTS)))]);
}

function remote(s: Scene): number {
  return s.once(2)
    ? PEER
    : s.of([
        ...[PEER_RIGHT, OWN, OWN_LO, BROADCAST, GROUP, 0, 0xffffffff, 0x7f000001, 0x0a090207],
        ...[0x0a090407, 0x0a090507, 0x0a090607, 0x0a090707, 0x0a0901ff, 0xf0000001, 0xac100101],
      ]);
}

/** One control message, padded. */
function cmsg(
  level: number,
  type: number,
  data: Uint8Array,
  length = 16 + data.length,
): Uint8Array {
  const out = new Uint8Array(16 + Math.ceil(data.length / 8) * 8);
  const view = new DataView(out.buffer);
  view.setUint32(0, length, true);
  view.setInt32(8, level, true);
  view.setInt32(12, type, true);
  out.set(data, 16);
  return out;
}

function sendControl(s: Scene): Uint8Array {
  const kind = s.below(9);
  const wrong = s.once(6) ? s.below(40) : undefined;
  if (kind < 3) {
    const info = concat(
      int32(s.of([0, 0, 1, 2, 3, 99])),
      ipBytes(s.of([0, OWN, OWN_SECOND, OWN_RIGHT, OWN_LO, PEER])),
      ipBytes(0),
    );
    return cmsg(SOL_IP, 8, info, wrong);
  }
  if (kind === 3) return cmsg(SOL_IP, 2, int32(s.of([1, 64, 0, 256, -1])), wrong);
  if (kind === 4) return cmsg(SOL_IP, 1, s.once(2) ? int32(s.below(256)) : s.bytes(1), wrong);
  if (kind === 5) return cmsg(SOL_IP, 7, someOptions(s), wrong);
  if (kind === 6) return cmsg(SOL_SOCKET, 36, int32(s.below(3)), wrong);
  if (kind === 7) return cmsg(17, 103, Uint8Array.of(s.of([0, 8, 100]), 0), wrong);
  return cmsg(s.below(3), s.below(60), int32(s.below(3)), wrong);
}

function send(s: Scene, slot: number): void {
  const size = s.of([0, 1, 8, 20, 100, 600, 1472, 1473, 2000, 5000]);
  let data = s.once(6) ? concat(someIcmp(s, 20)) : s.bytes(size);
  if (s.once(8)) data = udp({ src: OWN, dst: PEER, sport: 7000, dport: 7001, data });
  if (s.once(12)) data = icmp(8, 0, 0x80010001, s.bytes(size));
  const flags = s.once(6) ? s.of([MSG_DONTROUTE, MSG_CONFIRM, MSG_MORE, 1, MSG_TRUNC]) : 0;
  const to = s.once(4)
    ? null
    : sockaddr(remote(s), s.of(PORTS), s.once(25) ? s.below(12) : AF_INET);
  const cut = to !== null && s.once(25) ? to.subarray(0, s.below(16)) : to;
  const control = s.once(3) ? sendControl(s) : null;
  s.add([
    'sendmsg',
    slot,
    toHex(data),
    flags,
    cut === null || cut.length === 0 ? null : toHex(cut),
    control === null ? null : toHex(control),
  ]);
}

function receive(s: Scene, slot: number): void {
  const flags = s.of([0, 0, MSG_PEEK, MSG_TRUNC, MSG_ERRQUEUE, MSG_ERRQUEUE, MSG_CTRUNC]);
  const control = s.of([256, 256, 256, 0, 20, 28, 40]);
  s.add(['recvmsg', slot, s.of([2000, 2000, 10, 0]), s.of([16, 16, 0, 7, 64]), control, flags]);
}

/** Everything that sockets have, from slot 0 on. */
export function readAll(s: Scene): void {
  const slots = new Set(s.steps.flatMap((step) => (step[0] === 'socket' ? [step[1]] : [])));
  for (const slot of slots) {
    for (let i = 0; i < 3; i++) s.add(['recvmsg', slot, 2000, 16, 256, MSG_ERRQUEUE]);
    for (let i = 0; i < 5; i++) s.add(['recvmsg', slot, 2000, 16, 256, 0]);
    s.add(['getsockopt', slot, SOL_SOCKET, 4, 4]);
  }
}

export function socketTraffic(s: Scene): void {
  s.setUp();
  const count = 1 + s.below(4);
  openSockets(s, count);
  const turns = 10 + s.below(30);
  for (let i = 0; i < turns; i++) {
    const slot = s.below(count);
    const kind = s.below(16);
    if (kind < 5) send(s, slot);
    else if (kind < 8) receive(s, slot);
    else if (kind === 8) setSwitch(s, slot);
    else if (kind === 9) setMulticast(s, slot);
    else if (kind === 10 && s.once(2)) other(s, slot);
    else incoming(s);
  }
  readAll(s);
  s.add(['read', '/proc/net/igmp'], ['read', '/proc/net/udp'], ['read', '/proc/net/raw']);
  s.ending();
}

function other(s: Scene, slot: number): void {
  const kind = s.below(5);
  if (kind === 0) s.add(['connect', slot, toHex(sockaddr(remote(s), s.of(PORTS), s.of([2, 0])))]);
  else if (kind === 1) s.add(['shutdown', slot, s.below(4)]);
  else if (kind === 2) s.add(['getsockname', slot, s.of([16, 8, 64])]);
  else if (kind === 3) s.add(['getpeername', slot, 16]);
  else s.add(['ioctl', slot, 0x541b, toHex(int32(7))]);
}

/** Something for the sockets: datagrams, and errors about what they sent. */
function incoming(s: Scene): void {
  const src = s.once(8) ? s.source() : PEER;
  const dst = s.once(3) ? s.target() : OWN;
  const options = s.once(5) ? someOptions(s) : new Uint8Array(0);
  const ttl = s.of([64, 1, 255]);
  const tos = s.of([0, 0x10, 0xb9]);
  const data = s.bytes(s.of([0, 1, 20, 100, 1000]));
  const ports = { sport: s.of(PORTS), dport: s.of(PORTS) };
  const [protocol, payload] = s.once(3)
    ? ([1, someIcmp(s, data.length)] as const)
    : s.once(12)
      ? ([253, data] as const)
      : ([17, udp({ src, dst, ...ports, data, checksumError: s.once(20) ? 1 : 0 })] as const);
  s.receive({ src, dst, protocol, payload, options, ttl, tos });
}
