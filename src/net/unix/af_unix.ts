/**
 * Unix sockets: streams, datagrams and packets in sequence between the programs of one machine.
 *
 * Counterpart of net/unix/af_unix.c. Names are in unix_name.ts, messages in unix_msg.ts.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetProtoFamily, ProtoOps, Socket } from '#include/linux/net.ts';
import { SUN_PATH, UnixSock, unixSk } from '#include/net/af_unix.ts';
import type { Net, PernetOperations } from '#include/net/net_namespace.ts';
import {
  type Proto,
  RCV_SHUTDOWN,
  SEND_SHUTDOWN,
  SHUTDOWN_MASK,
  SOCK_DEAD,
  type Sock,
  type SockCallbacks,
} from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import type { File, PollTable } from '#kernel/sched/file.ts';
import { wakeUp, wakeUpAll } from '#kernel/wait.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import {
  skAlloc,
  skWmemAllocGet,
  sockDefCallbacks,
  sockFlag,
  sockGraft,
  sockHold,
  sockInitData,
  sockOrphan,
  sockProtInuseAdd,
  sockPut,
} from '#net/core/sock.ts';
import { skSetPeekOff } from '#net/core/sock_options.ts';
import {
  protoNothing,
  protoRegister,
  sockNoAccept,
  sockNoListen,
  sockNoSetsockopt,
} from '#net/core/sock_proto.ts';
import { sockRegister } from '#net/socket.ts';
import { procCreateNet, removeProcEntry } from '#net/sysctl_net.ts';
import {
  UNIX_MAX_DGRAM_QLEN,
  unixDgramRecvmsg,
  unixDgramSendmsg,
  unixInqLen,
  unixPurgeQueue,
  unixRecvqFull,
  unixSeqpacketSendmsg,
  unixStreamRecvmsg,
  unixStreamSendmsg,
  unixWritable,
  unixWriteSpace,
} from '#net/unix/unix_msg.ts';
import {
  unixAutobind,
  unixDropName,
  unixFillName,
  unixFindOther,
  unixNameOf,
  unixTakeName,
} from '#net/unix/unix_name.ts';
import {
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EISCONN,
  ENOIOCTLCMD,
  ENOTCONN,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '#uapi/errno.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from '#uapi/poll.ts';
import {
  AF_UNIX,
  AF_UNSPEC,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SS_CONNECTED,
  SS_UNCONNECTED,
} from '#uapi/socket.ts';
import { SIOCINQ, SIOCOUTQ } from '#uapi/sockios.ts';
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN } from '#uapi/tcp.ts';

function unixOf(sock: Socket): UnixSock {
  return unixSk(sock.sk as Sock);
}

const unixCallbacks: SockCallbacks = { ...sockDefCallbacks, writeSpace: unixWriteSpace };

function isDgram(u: UnixSock): boolean {
  return u.skType === SOCK_DGRAM;
}

/** Everything from the socket's state to its pollers. @kernel unix_create1 net/unix/af_unix.c */
function unixCreate1(net: Net, sock: Socket | null, type: number, kern: boolean): UnixSock {
  const prot = type === SOCK_STREAM ? unixStreamProto : unixDgramProto;
  const u = unixSk(skAlloc(net, AF_UNIX, prot, kern));
  sockInitData(sock, u);
  u.skType = type;
  u.skMaxAckBacklog = UNIX_MAX_DGRAM_QLEN;
  net.unixSocks.add(u);
  sockProtInuseAdd(net, prot, 1);
  return u;
}

/** @kernel unix_create net/unix/af_unix.c */
function unixCreate(net: Net, sock: Socket, protocol: number, kern: boolean): number {
  if (protocol !== 0 && protocol !== AF_UNIX) return -EPROTONOSUPPORT;
  sock.state = SS_UNCONNECTED;
  switch (sock.type) {
    case SOCK_STREAM:
      sock.ops = unixStreamOps;
      break;
    case SOCK_RAW:
      sock.type = SOCK_DGRAM;
      sock.ops = unixDgramOps;
      break;
    case SOCK_DGRAM:
      sock.ops = unixDgramOps;
      break;
    case SOCK_SEQPACKET:
      sock.ops = unixSeqpacketOps;
      break;
    default:
      return -ESOCKTNOSUPPORT;
  }
  unixCreate1(net, sock, sock.type, kern);
  return 0;
}

/** The other end of a connection learns that this one is gone. */
function partFromPeer(u: UnixSock, peer: UnixSock, unread: boolean): void {
  u.peer = null;
  if (!isDgram(u)) {
    peer.skShutdown = SHUTDOWN_MASK;
    // What we had not read yet is lost: the peer must know that.
    if (unread) peer.skErr = ECONNRESET;
    peer.skStateChange(peer);
  }
  sockPut(peer);
}

/** Ends a socket, and with a listener the connections that nobody has accepted. @kernel unix_release_sock net/unix/af_unix.c */
function unixReleaseSock(u: UnixSock, embryo: boolean): void {
  u.net.unixSocks.delete(u);
  unixDropName(u);
  sockOrphan(u);
  const state = u.skcState;
  u.skShutdown = SHUTDOWN_MASK;
  u.skcState = TCP_CLOSE;
  wakeUpAll(u.peerWait, POLLOUT | POLLWRNORM | POLLWRBAND);
  if (u.peer !== null) partFromPeer(u, u.peer, embryo || u.skReceiveQueue.qlen !== 0);
  if (state === TCP_LISTEN)
    for (const child of u.acceptQueue.splice(0)) unixReleaseSock(child, true);
  unixPurgeQueue(u);
  sockProtInuseAdd(u.net, u.skProt, -1);
  sockPut(u);
}

/** @kernel unix_release net/unix/af_unix.c */
function unixRelease(sock: Socket): number {
  const { sk } = sock;
  if (sk === null) return 0;
  sock.sk = null;
  unixReleaseSock(unixSk(sk), false);
  return 0;
}

/** @kernel unix_bind net/unix/af_unix.c */
function unixBind(sock: Socket, addr: Uint8Array): number {
  const u = unixOf(sock);
  if (addr.length === SUN_PATH && addr[0] === AF_UNIX && addr[1] === 0) return unixAutobind(u);
  const name = unixNameOf(addr);
  if (typeof name === 'number') return name;
  return u.addr !== null ? -EINVAL : unixTakeName(u, name);
}

/** Joins two sockets; each holds the other. */
function marry(a: UnixSock, b: UnixSock): void {
  sockHold(a);
  sockHold(b);
  a.peer = b;
  b.peer = a;
  a.skPeerPid = b.skPid;
  b.skPeerPid = a.skPid;
  a.skPeerUid = b.skUid;
  b.skPeerUid = a.skUid;
}

/** @kernel unix_dgram_connect net/unix/af_unix.c */
function unixDgramConnect(sock: Socket, addr: Uint8Array): number {
  const u = unixOf(sock);
  let other: UnixSock | null = null;
  if (addr.length < SUN_PATH) return -EINVAL;
  if (((addr[0] ?? 0) | ((addr[1] ?? 0) << 8)) !== AF_UNSPEC) {
    const name = unixNameOf(addr);
    if (typeof name === 'number') return name;
    const found = unixFindOther(u.net, name, u.skType);
    if (typeof found === 'number') return found;
    other = found;
    sockHold(other);
  }
  const old = u.peer;
  u.peer = other;
  sock.state = other === null ? SS_UNCONNECTED : SS_CONNECTED;
  u.skcState = other === null ? TCP_CLOSE : TCP_ESTABLISHED;
  if (old !== null) sockPut(old);
  return 0;
}

/** Connects at once, or not at all: the listener need not be there yet to accept. @kernel unix_stream_connect net/unix/af_unix.c */
function unixStreamConnect(sock: Socket, addr: Uint8Array): number {
  const u = unixOf(sock);
  const name = unixNameOf(addr);
  if (typeof name === 'number') return name;
  const other = unixFindOther(u.net, name, u.skType);
  if (typeof other === 'number') return other;
  if (other.skcState !== TCP_LISTEN || (other.skShutdown & RCV_SHUTDOWN) !== 0) {
    return -ECONNREFUSED;
  }
  if (other.acceptQueue.length > other.skMaxAckBacklog) return -EAGAIN;
  if (u.skcState === TCP_ESTABLISHED) return -EISCONN;
  if (u.skcState !== TCP_CLOSE) return -EINVAL;
  const child = unixCreate1(u.net, null, u.skType, !u.skNetRefcnt);
  child.addr = other.addr;
  child.skPid = other.skPid;
  child.skcState = TCP_ESTABLISHED;
  marry(u, child);
  sock.state = SS_CONNECTED;
  u.skcState = TCP_ESTABLISHED;
  other.acceptQueue.push(child);
  other.skDataReady(other);
  return 0;
}

/** @kernel unix_socketpair net/unix/af_unix.c */
function unixSocketpair(socka: Socket, sockb: Socket): number {
  const a = unixOf(socka);
  const b = unixOf(sockb);
  marry(a, b);
  a.skcState = TCP_ESTABLISHED;
  b.skcState = TCP_ESTABLISHED;
  socka.state = SS_CONNECTED;
  sockb.state = SS_CONNECTED;
  return 0;
}

/** @kernel unix_listen net/unix/af_unix.c */
function unixListen(sock: Socket, backlog: number): number {
  const u = unixOf(sock);
  if (u.addr === null) return -EINVAL;
  if (u.skcState !== TCP_CLOSE && u.skcState !== TCP_LISTEN) return -EINVAL;
  if (backlog > u.skMaxAckBacklog) wakeUp(u.peerWait, POLLOUT | POLLWRNORM);
  u.skMaxAckBacklog = backlog;
  u.skcState = TCP_LISTEN;
  return 0;
}

/** @kernel unix_accept net/unix/af_unix.c */
function unixAccept(sock: Socket, newsock: Socket): number {
  const u = unixOf(sock);
  if (u.skcState !== TCP_LISTEN) return -EINVAL;
  const child = u.acceptQueue.shift();
  if (child === undefined) return (u.skShutdown & RCV_SHUTDOWN) !== 0 ? -EINVAL : -EAGAIN;
  wakeUp(u.peerWait, POLLOUT | POLLWRNORM);
  newsock.state = SS_CONNECTED;
  sockGraft(child, newsock);
  return 0;
}

/** @kernel unix_getname net/unix/af_unix.c */
function unixGetname(sock: Socket, addr: Uint8Array, peer: number): number {
  const u = unixOf(sock);
  if (peer === 0) return unixFillName(u, addr);
  return u.peer === null ? -ENOTCONN : unixFillName(u.peer, addr);
}

/** What one end will not send any more the other will not receive. @kernel unix_shutdown net/unix/af_unix.c */
function unixShutdown(sock: Socket, how: number): number {
  if (how < 0 || how > 2) return -EINVAL;
  const u = unixOf(sock);
  const mode = how + 1;
  u.skShutdown |= mode;
  const { peer } = u;
  if (peer !== null && !isDgram(u)) {
    if ((mode & RCV_SHUTDOWN) !== 0) peer.skShutdown |= SEND_SHUTDOWN;
    if ((mode & SEND_SHUTDOWN) !== 0) peer.skShutdown |= RCV_SHUTDOWN;
    peer.skStateChange(peer);
  }
  u.skStateChange(u);
  return 0;
}

/** @kernel unix_poll net/unix/af_unix.c */
function pollMask(u: UnixSock): number {
  let mask = u.skErr !== 0 ? POLLERR : 0;
  if (u.skShutdown === SHUTDOWN_MASK) mask |= POLLHUP;
  if ((u.skShutdown & RCV_SHUTDOWN) !== 0) mask |= POLLRDHUP | POLLIN | POLLRDNORM;
  if (u.skReceiveQueue.qlen !== 0 || u.acceptQueue.length !== 0) mask |= POLLIN | POLLRDNORM;
  if (!isDgram(u) && u.skcState === TCP_CLOSE) mask |= POLLHUP;
  return mask;
}

function unixPoll(_file: File | null, sock: Socket, wait: PollTable | null): number {
  const u = unixOf(sock);
  wait?.queue(sock.wq);
  let mask = pollMask(u);
  if (u.skcState !== TCP_LISTEN && unixWritable(u)) mask |= POLLOUT | POLLWRNORM | POLLWRBAND;
  return mask;
}

/** Writable also depends on the room at the peer. @kernel unix_dgram_poll net/unix/af_unix.c */
function unixDgramPoll(_file: File | null, sock: Socket, wait: PollTable | null): number {
  const u = unixOf(sock);
  wait?.queue(sock.wq);
  const mask = pollMask(u);
  const other = u.peer;
  if (other !== null && other.peer !== u) wait?.queue(other.peerWait);
  const room =
    other === null || other.peer === u || sockFlag(other, SOCK_DEAD) || !unixRecvqFull(other);
  return room && unixWritable(u) ? mask | POLLOUT | POLLWRNORM | POLLWRBAND : mask;
}

/** @kernel unix_ioctl net/unix/af_unix.c */
function unixIoctl(sock: Socket, cmd: number, arg: Uint8Array): number {
  const u = unixOf(sock);
  let value = 0;
  if (cmd === SIOCOUTQ) value = skWmemAllocGet(u);
  else if (cmd === SIOCINQ) {
    if (u.skcState === TCP_LISTEN) return -EINVAL;
    value = unixInqLen(u);
  } else return -ENOIOCTLCMD;
  if (arg.length < 4) return -EINVAL;
  new DataView(arg.buffer, arg.byteOffset, 4).setInt32(0, value, true);
  return 0;
}

const common = {
  family: AF_UNIX,
  release: unixRelease,
  bind: unixBind,
  socketpair: unixSocketpair,
  getname: unixGetname,
  ioctl: unixIoctl,
  shutdown: unixShutdown,
  setsockopt: sockNoSetsockopt,
  getsockopt: sockNoSetsockopt,
  spliceRead: null,
  setPeekOff: skSetPeekOff,
  setRcvlowat: null,
} as const;

/** @kernel unix_stream_ops net/unix/af_unix.c */
const unixStreamOps: ProtoOps = {
  ...common,
  connect: unixStreamConnect,
  accept: unixAccept,
  poll: unixPoll,
  listen: unixListen,
  sendmsg: unixStreamSendmsg,
  recvmsg: unixStreamRecvmsg,
};

/** @kernel unix_dgram_ops net/unix/af_unix.c */
const unixDgramOps: ProtoOps = {
  ...common,
  connect: unixDgramConnect,
  accept: sockNoAccept,
  poll: unixDgramPoll,
  listen: sockNoListen,
  sendmsg: unixDgramSendmsg,
  recvmsg: unixDgramRecvmsg,
};

/** @kernel unix_seqpacket_ops net/unix/af_unix.c */
const unixSeqpacketOps: ProtoOps = {
  ...common,
  connect: unixStreamConnect,
  accept: unixAccept,
  poll: unixDgramPoll,
  listen: unixListen,
  sendmsg: unixSeqpacketSendmsg,
  recvmsg: unixDgramRecvmsg,
};

/** @kernel unix_stream_proto net/unix/af_unix.c */
const unixStreamProto: Proto = {
  ...protoNothing,
  name: 'UNIX-STREAM',
  alloc: (net, family, prot) => new UnixSock(net, family, prot, unixCallbacks),
};

/** @kernel unix_dgram_proto net/unix/af_unix.c */
const unixDgramProto: Proto = {
  ...protoNothing,
  name: 'UNIX',
  alloc: (net, family, prot) => new UnixSock(net, family, prot, unixCallbacks),
};

/** @kernel unix_family_ops net/unix/af_unix.c */
const unixFamilyOps: NetProtoFamily = { family: AF_UNIX, create: unixCreate };

function hex(value: number, width: number): string {
  return value.toString(16).toUpperCase().padStart(width, '0');
}

/** Bound sockets in /proc/net/unix. @kernel unix_seq_show net/unix/af_unix.c */
function unixSeqShow(net: Net): string {
  let text = 'Num       RefCount Protocol Flags    Type St Inode Path\n';
  for (const sk of net.machine.netGlobals.unixNames.values()) {
    if (sk.net !== net) continue;
    const u = unixSk(sk);
    const flags = u.skcState === TCP_LISTEN ? 0x10000 : 0;
    const st = u.skcState === TCP_ESTABLISHED ? SS_CONNECTED : SS_UNCONNECTED;
    const bytes = Array.from(u.addr ?? [], (b) => (b === 0 ? '@' : String.fromCharCode(b)));
    text +=
      `${'0'.repeat(16)}: ${hex(u.refcnt, 8)} ${hex(0, 8)} ${hex(flags, 8)} ` +
      `${hex(u.skType, 4)} ${hex(st, 2)} ${String(u.skIno).padStart(5)} ${bytes.join('')}\n`;
  }
  return text;
}

const unixNetOps: PernetOperations = {
  name: 'unix',
  init(net: Net): number {
    procCreateNet(net, 'unix', unixSeqShow);
    return 0;
  },
  exit: (net) => removeProcEntry(net, 'unix'),
};

/** @kernel af_unix_init net/unix/af_unix.c */
export function unixInit(machine: Machine): number {
  const err =
    protoRegister(machine, unixDgramProto) ||
    protoRegister(machine, unixStreamProto) ||
    registerPernetSubsys(machine, unixNetOps);
  return err !== 0 ? err : sockRegister(machine, unixFamilyOps);
}

export const unixModule: KernelModule = {
  name: 'unix',
  config: 'CONFIG_UNIX',
  depends: [],
  level: FS_INITCALL,
  init: unixInit,
  exit: null,
};
