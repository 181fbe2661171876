/**
 * What protocols share: registration, the common option and receive entry points, the refusals of
 * calls that a socket type does not have, SIOCGSTAMP, /proc/net/protocols.
 *
 * Counterpart of the sock_common_* and sock_no_* functions and of proto_register in
 * net/core/sock.c.
 */
import type { Msghdr, Socket } from '#include/linux/net.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { type Proto, SK_DEFAULT_STAMP, SOCK_TIMESTAMP, type Sock } from '#include/net/sock.ts';
import { KernelBug } from '#kernel/bug.ts';
import type { Machine } from '#kernel/machine.ts';
import { putTime, wallTime } from '#net/core/scm.ts';
import { sockEnableTimestamp, sockProtInuseGet } from '#net/core/sock.ts';
import { EINVAL, ENOENT, EOPNOTSUPP } from '#uapi/errno.ts';
import { SIOCGSTAMP, SIOCGSTAMP_NEW } from '#uapi/sockios.ts';

/** Registers a protocol with the machine: it shows in /proc/net/protocols. @kernel proto_register net/core/sock.c */
export function protoRegister(machine: Machine, prot: Proto): number {
  const list = machine.netGlobals.protoList;
  if (list.includes(prot)) return -EINVAL;
  list.push(prot);
  return 0;
}

/** @kernel proto_unregister net/core/sock.c */
export function protoUnregister(machine: Machine, prot: Proto): void {
  const list = machine.netGlobals.protoList;
  const at = list.indexOf(prot);
  if (at >= 0) list.splice(at, 1);
}

/** Options above SOL_SOCKET go to the protocol. @kernel sock_common_setsockopt net/core/sock.c */
export function sockCommonSetsockopt(
  sock: Socket,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const sk = sock.sk as Sock;
  return sk.skProt.setsockopt?.(sk, level, optname, optval) ?? -EOPNOTSUPP;
}

/** @kernel sock_common_getsockopt net/core/sock.c */
export function sockCommonGetsockopt(
  sock: Socket,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const sk = sock.sk as Sock;
  return sk.skProt.getsockopt?.(sk, level, optname, optval) ?? -EOPNOTSUPP;
}

/** @kernel sock_common_recvmsg net/core/sock.c */
export function sockCommonRecvmsg(sock: Socket, msg: Msghdr, len: number, flags: number): number {
  const sk = sock.sk as Sock;
  return sk.skProt.recvmsg?.(sk, msg, len, flags) ?? -EOPNOTSUPP;
}

/** Slots of a protocol that lives in its proto_ops alone (packet, unix): all empty. */
export const protoNothing: Omit<Proto, 'name' | 'alloc'> = {
  free: null,
  close: () => {},
  preConnect: null,
  connect: null,
  disconnect: null,
  accept: null,
  ioctl: null,
  init: null,
  destroy: null,
  shutdown: null,
  setsockopt: null,
  getsockopt: null,
  keepalive: null,
  sendmsg: null,
  recvmsg: null,
  bind: null,
  backlogRcv: (sk) => {
    throw new KernelBug('sock-no-backlog', `${sk.skProt.name} sockets have no backlog`);
  },
  releaseCb: null,
  hash: null,
  unhash: null,
  rehash: null,
  getPort: null,
  putPort: null,
  streamMemoryFree: null,
  enterMemoryPressure: null,
  leaveMemoryPressure: null,
  diagDestroy: null,
  maxHeader: 0,
  noAutobind: false,
  memory: () => null,
  memoryMin: () => 0,
};

// Calls that a socket type does not have.

/** @kernel sock_no_bind net/core/sock.c */
export function sockNoBind(_sock: Socket, _addr: Uint8Array): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_connect net/core/sock.c */
export function sockNoConnect(_sock: Socket, _addr: Uint8Array, _flags: number): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_socketpair net/core/sock.c */
export function sockNoSocketpair(_sock1: Socket, _sock2: Socket): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_accept net/core/sock.c */
export function sockNoAccept(_sock: Socket, _newsock: Socket, _flags: number): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_getname net/core/sock.c */
export function sockNoGetname(_sock: Socket, _addr: Uint8Array, _peer: number): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_ioctl net/core/sock.c */
export function sockNoIoctl(_sock: Socket, _cmd: number, _arg: Uint8Array): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_listen net/core/sock.c */
export function sockNoListen(_sock: Socket, _backlog: number): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_shutdown net/core/sock.c */
export function sockNoShutdown(_sock: Socket, _how: number): number {
  return -EOPNOTSUPP;
}

/** Options of families that have none of their own. @kernel sock_setsockopt net/socket.c */
export function sockNoSetsockopt(): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_sendmsg net/core/sock.c */
export function sockNoSendmsg(_sock: Socket, _msg: Msghdr, _len: number): number {
  return -EOPNOTSUPP;
}

/** @kernel sock_no_recvmsg net/core/sock.c */
export function sockNoRecvmsg(_sock: Socket, _msg: Msghdr, _len: number, _flags: number): number {
  return -EOPNOTSUPP;
}

/**
 * SIOCGSTAMP and SIOCGSTAMPNS: when the last packet that was read had come. -ENOENT before the
 * first; asking turns stamping on.
 * @kernel sock_gettstamp net/core/sock.c
 */
export function sockGettstamp(sock: Socket, cmd: number, arg: Uint8Array): number {
  const sk = sock.sk as Sock;
  if (arg.length < 16) return -EINVAL;
  sockEnableTimestamp(sk, SOCK_TIMESTAMP);
  if (sk.skStamp === SK_DEFAULT_STAMP) return -ENOENT;
  const machine = sk.net.machine;
  if (sk.skStamp === 0) sk.skStamp = machine.nowNs;
  const t = wallTime(machine, sk.skStamp);
  const micro = cmd === SIOCGSTAMP || cmd === SIOCGSTAMP_NEW;
  const v = new DataView(arg.buffer, arg.byteOffset, arg.length);
  putTime(v, 0, t.sec, micro ? Math.floor(t.nsec / 1000) : t.nsec);
  return 0;
}

const METHODS: readonly (keyof Proto)[] = [
  'close',
  'connect',
  'disconnect',
  'accept',
  'ioctl',
  'init',
  'destroy',
  'shutdown',
  'setsockopt',
  'getsockopt',
  'sendmsg',
  'recvmsg',
];

function protoRow(net: Net, prot: Proto): string {
  const memory = prot.memory(net);
  const pressure = memory === null ? 'NI' : memory.memoryPressure !== 0 ? 'yes' : 'no';
  const pages = memory === null ? -1 : memory.memoryAllocated;
  const inuse = sockProtInuseGet(net, prot.name);
  const head =
    `${prot.name.padEnd(9)} ${'0'.padStart(4)} ${String(inuse).padStart(6)}` +
    `  ${String(pages).padStart(6)}   ${pressure.padEnd(3)}  ${String(prot.maxHeader).padStart(6)}` +
    `   no     ${'kernel'.padEnd(10)}`;
  const has = METHODS.map((m) => (prot[m] === null ? 'n' : 'y'));
  // splice_eof, sendpage-less bind, backlog_rcv, hash, unhash, get_port, enter_pressure follow.
  const tail = [
    prot.bind,
    prot.backlogRcv,
    prot.hash,
    prot.unhash,
    prot.getPort,
    prot.enterMemoryPressure,
  ].map((m) => (m === null ? 'n' : 'y'));
  return `${head} ${[...has, 'n', ...tail].join('  ')}`;
}

/** Text of /proc/net/protocols. @kernel proto_seq_show net/core/sock.c */
export function protoSeqShow(net: Net): string {
  const head =
    'protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em';
  const rows = [...net.machine.netGlobals.protoList].reverse().map((p) => protoRow(net, p));
  return `${[head, ...rows].join('\n')}\n`;
}
