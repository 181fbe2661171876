/**
 * The system call layer of sockets: families, socket files, and the calls themselves.
 *
 * Counterpart of net/socket.c. Every call checks in Linux's order (descriptor, then address
 * lengths, then the family), and none sleeps: MSG_DONTWAIT goes to the protocols whatever the
 * file's O_NONBLOCK says.
 */

import { type Msghdr, type NetProtoFamily, type ProtoOps, Socket } from '#include/linux/net.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { File, type FileOperations, type PollTable } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { skBusyLoop, skCanBusyLoop } from '#net/core/dev_busy_poll.ts';
import { devIoctl } from '#net/core/dev_ioctl.ts';
import { iovIterInit } from '#net/core/iov_iter.ts';
import { sockGettstamp } from '#net/core/sock_proto.ts';
import {
  EAFNOSUPPORT,
  EBADF,
  EEXIST,
  EINVAL,
  EMFILE,
  ENOBUFS,
  ENOIOCTLCMD,
  ENOTSOCK,
  EOPNOTSUPP,
} from '#uapi/errno.ts';
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from '#uapi/fcntl.ts';
import {
  AF_INET,
  AF_MAX,
  AF_PACKET,
  MSG_DONTWAIT,
  MSG_EOR,
  MSG_MORE,
  SOCK_PACKET,
  SOCK_SEQPACKET,
  SS_UNCONNECTED,
} from '#uapi/socket.ts';
import { SIOCGSTAMP, SIOCGSTAMP_NEW, SIOCGSTAMPNS, SIOCGSTAMPNS_NEW } from '#uapi/sockios.ts';

/** Socket types there are, one above the highest. @kernel SOCK_MAX include/linux/net.h */
const SOCK_MAX = SOCK_PACKET + 1;

function refuse(): number {
  return -EOPNOTSUPP;
}

/** What a socket answers before its family has taken it on, and after its release. */
const noSocketOps: ProtoOps = {
  family: 0,
  release: () => 0,
  bind: refuse,
  connect: refuse,
  socketpair: refuse,
  accept: refuse,
  getname: refuse,
  poll: () => 0,
  ioctl: refuse,
  listen: refuse,
  shutdown: refuse,
  setsockopt: refuse,
  getsockopt: refuse,
  spliceRead: null,
  setPeekOff: null,
  setRcvlowat: null,
  sendmsg: refuse,
  recvmsg: refuse,
};

/** Registers a family with the machine. @kernel sock_register net/socket.c */
export function sockRegister(machine: Machine, ops: NetProtoFamily): number {
  if (ops.family < 0 || ops.family >= AF_MAX) return -ENOBUFS;
  const families = machine.netGlobals.netFamilies;
  if ((families[ops.family] ?? null) !== null) return -EEXIST;
  families[ops.family] = ops;
  return 0;
}

/** @kernel sock_unregister net/socket.c */
export function sockUnregister(machine: Machine, family: number): void {
  machine.netGlobals.netFamilies[family] = null;
}

/** @kernel sock_alloc net/socket.c */
export function sockAlloc(machine: Machine, type: number): Socket {
  const sock = new Socket(type, noSocketOps, machine.netGlobals.sockInodeNext++);
  sock.state = SS_UNCONNECTED;
  return sock;
}

/**
 * Closes a socket and gives back what it holds.
 * @kernel sock_release net/socket.c
 * @kernel __sock_release net/socket.c
 */
export function sockRelease(sock: Socket): void {
  const { ops } = sock;
  sock.ops = noSocketOps;
  ops.release(sock);
  sock.sk = null;
  sock.file = null;
}

/**
 * A socket of a family, for a task; a negative errno when there is none such.
 * @kernel sock_create net/socket.c
 * @kernel __sock_create net/socket.c
 */
export function sockCreate(
  net: Net,
  family: number,
  type: number,
  protocol: number,
  kern: boolean,
): Socket | number {
  if (family < 0 || family >= AF_MAX) return -EAFNOSUPPORT;
  if (type < 0 || type >= SOCK_MAX) return -EINVAL;
  // The way to packet sockets of old.
  const wanted = family === AF_INET && type === SOCK_PACKET ? AF_PACKET : family;
  const pf = net.machine.netGlobals.netFamilies[wanted] ?? null;
  if (pf === null) return -EAFNOSUPPORT;
  const sock = sockAlloc(net.machine, type);
  const err = pf.create(net, sock, protocol, kern);
  if (err < 0) {
    sockRelease(sock);
    return err;
  }
  return sock;
}

/** A socket of the kernel itself. @kernel sock_create_kern net/socket.c */
export function sockCreateKern(
  net: Net,
  family: number,
  type: number,
  protocol: number,
): Socket | number {
  return sockCreate(net, family, type, protocol, true);
}

// The socket as a file.

/** The machine's message for a call on one buffer. */
export function sockMessage(machine: Machine, buf: Uint8Array): Msghdr {
  const { sockMsg: msg, sockIov } = machine.netGlobals;
  msg.msgName = null;
  msg.msgNamelen = 0;
  msg.msgControl = null;
  msg.msgControllen = 0;
  msg.msgFlags = 0;
  msg.msgNowait = false;
  msg.msgUbuf = null;
  sockIov[0] = buf;
  iovIterInit(msg.msgIter, sockIov, buf.length);
  return msg;
}

/** Hands a message to the socket's type. @kernel sock_sendmsg net/socket.c */
export function sockSendmsg(sock: Socket, msg: Msghdr): number {
  const ret = sock.ops.sendmsg(sock, msg, msg.msgIter.count);
  const { sk } = sock;
  if (sk !== null) {
    if (tracepointKey.enabled) sk.net.machine.trace.sock.sockSendLength.probe?.(sk, ret, 0);
  }
  return ret;
}

/** @kernel sock_recvmsg net/socket.c */
export function sockRecvmsg(sock: Socket, msg: Msghdr, flags: number): number {
  const ret = sock.ops.recvmsg(sock, msg, msg.msgIter.count, flags);
  const { sk } = sock;
  if (sk !== null) {
    if (tracepointKey.enabled) sk.net.machine.trace.sock.sockRecvLength.probe?.(sk, ret, flags);
  }
  return ret;
}

/** @kernel sock_read_iter net/socket.c */
function sockReadIter(file: File, buf: Uint8Array): number {
  const sock = file.privateData as Socket;
  if (buf.length === 0) return 0;
  return sockRecvmsg(sock, sockMessage(file.machine, buf), MSG_DONTWAIT);
}

/** @kernel sock_write_iter net/socket.c */
function sockWriteIter(file: File, buf: Uint8Array): number {
  const sock = file.privateData as Socket;
  const msg = sockMessage(file.machine, buf);
  msg.msgFlags = sock.type === SOCK_SEQPACKET ? MSG_DONTWAIT | MSG_EOR : MSG_DONTWAIT;
  return sockSendmsg(sock, msg);
}

/** A round of sendfile(): a stream waits to fill its packets while more follows. @kernel splice_to_socket fs/splice.c */
function sockSpliceWrite(file: File, buf: Uint8Array, more: boolean): number {
  const sock = file.privateData as Socket;
  const msg = sockMessage(file.machine, buf);
  msg.msgFlags = more ? MSG_DONTWAIT | MSG_MORE : MSG_DONTWAIT;
  return sockSendmsg(sock, msg);
}

/** @kernel sock_splice_read net/socket.c */
function sockSpliceRead(file: File, buf: Uint8Array, nonblock: boolean): number {
  const sock = file.privateData as Socket;
  return sock.ops.spliceRead?.(sock, buf, nonblock) ?? sockReadIter(file, buf);
}

/** @kernel sock_poll net/socket.c */
function sockPoll(file: File, pt: PollTable | null): number {
  const sock = file.privateData as Socket;
  const { sk } = sock;
  if (sk !== null && sk.net.machine.netGlobals.sysctlNetBusyPoll !== 0 && skCanBusyLoop(sk)) {
    if (sk.skReceiveQueue.next === null) skBusyLoop(sk);
  }
  return sock.ops.poll(file, sock, pt);
}

/** Time stamps and the namespace first, then the type, then the devices. @kernel sock_ioctl net/socket.c */
function sockIoctl(file: File, cmd: number, arg: Uint8Array): number {
  const sock = file.privateData as Socket;
  const { sk } = sock;
  if (sk === null) return -EINVAL;
  switch (cmd) {
    case SIOCGSTAMP:
    case SIOCGSTAMPNS:
    case SIOCGSTAMP_NEW:
    case SIOCGSTAMPNS_NEW:
      return sockGettstamp(sock, cmd, arg);
    default:
      break;
  }
  const err = sock.ops.ioctl(sock, cmd, arg);
  return err === -ENOIOCTLCMD ? devIoctl(sk.net, cmd, arg) : err;
}

/** @kernel sock_close net/socket.c */
function sockClose(file: File): void {
  sockRelease(file.privateData as Socket);
}

/** @kernel socket_file_ops net/socket.c */
export const socketFileOps: FileOperations = {
  read: sockReadIter,
  write: sockWriteIter,
  spliceWrite: sockSpliceWrite,
  spliceRead: sockSpliceRead,
  poll: sockPoll,
  ioctl: sockIoctl,
  release: sockClose,
};

/** Gives the socket a file. @kernel sock_alloc_file net/socket.c */
export function sockAllocFile(machine: Machine, sock: Socket, flags: number): File {
  const file = new File(machine, socketFileOps, O_RDWR | (flags & O_NONBLOCK), sock);
  sock.file = file;
  return file;
}

/** Descriptor for a fresh socket, which is released when there is none. @kernel sock_map_fd net/socket.c */
export function sockMapFd(task: Task, sock: Socket, flags: number): number {
  if (!task.files.hasRoom()) {
    sockRelease(sock);
    return -EMFILE;
  }
  const file = sockAllocFile(task.machine, sock, flags);
  return task.files.install(file, (flags & O_CLOEXEC) !== 0);
}

/** The socket behind a file, or -ENOTSOCK. @kernel sock_from_file net/socket.c */
export function sockFromFile(file: File): Socket | number {
  return file.fOp === socketFileOps ? (file.privateData as Socket) : -ENOTSOCK;
}

/** The socket behind a descriptor: -EBADF, -ENOTSOCK. @kernel sockfd_lookup_light net/socket.c */
export function sockfdLookup(task: Task, fd: number): Socket | number {
  const file = task.files.get(fd);
  return file === null ? -EBADF : sockFromFile(file);
}
