/**
 * The system calls on sockets. Counterpart of the __sys_* half of net/socket.c.
 *
 * Addresses, options and control messages are Linux's binary structs in buffers of the program;
 * a buffer's length takes the place of the length argument.
 */
import { Msghdr, type Socket } from '#include/linux/net.ts';
import { fput } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import { iovIterInit } from '#net/core/iov_iter.ts';
import { sockSetsockopt } from '#net/core/sock_options.ts';
import { sockGetsockopt } from '#net/core/sock_options_get.ts';
import {
  sockAlloc,
  sockAllocFile,
  sockCreate,
  sockfdLookup,
  sockMapFd,
  sockMessage,
  sockRecvmsg,
  sockRelease,
  sockSendmsg,
} from '#net/socket.ts';
import { ECONNABORTED, EINVAL, EMFILE, EMSGSIZE } from '#uapi/errno.ts';
import { O_CLOEXEC, O_NONBLOCK } from '#uapi/fcntl.ts';
import {
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_TYPE_MASK,
  SOL_SOCKET,
  UIO_MAXIOV,
} from '#uapi/socket.ts';
import type { UserMsghdr } from '#uapi/unistd.ts';

/** sizeof(struct sockaddr_storage): no address is longer. */
export const SOCKADDR_STORAGE_LEN = 128;

/** Flags of a message that only the kernel may set. @kernel MSG_INTERNAL_SENDMSG_FLAGS include/linux/socket.h */
const MSG_INTERNAL_SENDMSG_FLAGS = 0x80000 | 0x100000 | 0x8000000;

const SOCKET_FLAGS = SOCK_CLOEXEC | SOCK_NONBLOCK;

/** Copies a name out, as much as there is room for. @kernel move_addr_to_user net/socket.c */
function moveAddrToUser(name: Uint8Array, len: number, addr: Uint8Array): void {
  addr.set(name.subarray(0, Math.min(len, addr.length)));
}

/** A socket of a program. */
function sockCreateFor(
  task: Task,
  family: number,
  type: number,
  protocol: number,
): Socket | number {
  const sock = sockCreate(task.net, family, type, protocol, false);
  if (typeof sock !== 'number' && sock.sk !== null) sock.sk.skPid = task.pid;
  return sock;
}

/** socket(): SOCK_CLOEXEC and SOCK_NONBLOCK may be or-ed to the type. @kernel __sys_socket net/socket.c */
export function sysSocket(task: Task, family: number, type: number, protocol: number): number {
  const flags = type & ~SOCK_TYPE_MASK;
  if ((flags & ~SOCKET_FLAGS) !== 0) return -EINVAL;
  const sock = sockCreateFor(task, family, type & SOCK_TYPE_MASK, protocol);
  if (typeof sock === 'number') return sock;
  return sockMapFd(task, sock, flags & (O_CLOEXEC | O_NONBLOCK));
}

function pairOf(task: Task, family: number, type: number, protocol: number): Socket[] | number {
  const sock1 = sockCreateFor(task, family, type, protocol);
  if (typeof sock1 === 'number') return sock1;
  const sock2 = sockCreateFor(task, family, type, protocol);
  if (typeof sock2 === 'number') {
    sockRelease(sock1);
    return sock2;
  }
  const err = sock1.ops.socketpair(sock1, sock2);
  if (err < 0) {
    sockRelease(sock1);
    sockRelease(sock2);
    return err;
  }
  return [sock1, sock2];
}

/** @kernel __sys_socketpair net/socket.c */
export function sysSocketpair(
  task: Task,
  family: number,
  type: number,
  protocol: number,
  fds: Int32Array,
): number {
  const flags = type & ~SOCK_TYPE_MASK;
  if ((flags & ~SOCKET_FLAGS) !== 0) return -EINVAL;
  const pair = pairOf(task, family, type & SOCK_TYPE_MASK, protocol);
  if (typeof pair === 'number') return pair;
  const [sock1, sock2] = pair as [Socket, Socket];
  const fd1 = sockMapFd(task, sock1, flags);
  if (fd1 < 0) {
    sockRelease(sock2);
    return fd1;
  }
  const fd2 = sockMapFd(task, sock2, flags);
  if (fd2 < 0) {
    task.files.close(fd1);
    return fd2;
  }
  fds[0] = fd1;
  fds[1] = fd2;
  return 0;
}

/** @kernel __sys_bind net/socket.c */
export function sysBind(task: Task, fd: number, addr: Uint8Array): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  if (addr.length > SOCKADDR_STORAGE_LEN) return -EINVAL;
  return sock.ops.bind(sock, addr);
}

/** The backlog is unsigned, so -1 asks for the most: net.core.somaxconn. @kernel __sys_listen net/socket.c */
export function sysListen(task: Task, fd: number, backlog: number): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  const max = sock.sk?.net.sysctlSomaxconn ?? 0;
  return sock.ops.listen(sock, Math.min(backlog >>> 0, max));
}

/** Takes the next connection: its descriptor, -EAGAIN while there is none. @kernel __sys_accept4 net/socket.c */
export function sysAccept4(task: Task, fd: number, addr: Uint8Array | null, flags: number): number {
  if ((flags & ~SOCKET_FLAGS) !== 0) return -EINVAL;
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  // Before the connection leaves the queue: it would be lost without a descriptor.
  if (!task.files.hasRoom()) return -EMFILE;
  const newsock = sockAlloc(task.machine, sock.type);
  newsock.ops = sock.ops;
  const file = sockAllocFile(task.machine, newsock, flags);
  const err = sock.ops.accept(sock, newsock, O_NONBLOCK);
  if (err < 0) {
    fput(file);
    return err;
  }
  if (addr !== null) {
    const name = new Uint8Array(SOCKADDR_STORAGE_LEN);
    const len = newsock.ops.getname(newsock, name, 2);
    if (len < 0) {
      fput(file);
      return -ECONNABORTED;
    }
    moveAddrToUser(name, len, addr);
  }
  return task.files.install(file, (flags & SOCK_CLOEXEC) !== 0);
}

/** @kernel __sys_connect net/socket.c */
export function sysConnect(task: Task, fd: number, addr: Uint8Array): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  if (addr.length > SOCKADDR_STORAGE_LEN) return -EINVAL;
  return sock.ops.connect(sock, addr, (sock.file?.fFlags ?? 0) | O_NONBLOCK);
}

function getname(task: Task, fd: number, addr: Uint8Array, peer: number): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  const name = new Uint8Array(SOCKADDR_STORAGE_LEN);
  const len = sock.ops.getname(sock, name, peer);
  if (len >= 0) moveAddrToUser(name, len, addr);
  return len;
}

/** @kernel __sys_getsockname net/socket.c */
export function sysGetsockname(task: Task, fd: number, addr: Uint8Array): number {
  return getname(task, fd, addr, 0);
}

/** @kernel __sys_getpeername net/socket.c */
export function sysGetpeername(task: Task, fd: number, addr: Uint8Array): number {
  return getname(task, fd, addr, 1);
}

/** @kernel __sys_sendto net/socket.c */
export function sysSendto(
  task: Task,
  fd: number,
  buf: Uint8Array,
  flags: number,
  addr: Uint8Array | null,
): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  const msg = sockMessage(task.machine, buf);
  if (addr !== null) {
    if (addr.length > SOCKADDR_STORAGE_LEN) return -EINVAL;
    msg.msgName = addr;
    msg.msgNamelen = addr.length;
  }
  msg.msgFlags = (flags & ~MSG_INTERNAL_SENDMSG_FLAGS) | MSG_DONTWAIT;
  msg.msgNowait = (flags & MSG_DONTWAIT) !== 0;
  return sockSendmsg(sock, msg);
}

/** Fills the sender's address when asked; a family of zero means that there is none. @kernel __sys_recvfrom net/socket.c */
export function sysRecvfrom(
  task: Task,
  fd: number,
  buf: Uint8Array,
  flags: number,
  addr: Uint8Array | null,
): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  const msg = sockMessage(task.machine, buf);
  if (addr === null) return sockRecvmsg(sock, msg, flags | MSG_DONTWAIT);
  const name = task.machine.netGlobals.sockName;
  name.fill(0);
  msg.msgName = name;
  const err = sockRecvmsg(sock, msg, flags | MSG_DONTWAIT);
  if (err >= 0) {
    addr.fill(0);
    moveAddrToUser(name, msg.msgNamelen, addr);
  }
  return err;
}

/** Bytes of all buffers; negative when there are too many buffers. @kernel import_iovec lib/iov_iter.c */
function iovLength(iov: readonly Uint8Array[]): number {
  if (iov.length > UIO_MAXIOV) return -EMSGSIZE;
  let count = 0;
  for (const buf of iov) count += buf.length;
  return count;
}

/** @kernel __sys_sendmsg net/socket.c */
export function sysSendmsg(task: Task, fd: number, umsg: UserMsghdr, flags: number): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  if (umsg.namelen < 0 || umsg.controllen < 0) return -EINVAL;
  const count = iovLength(umsg.iov);
  if (count < 0) return count;
  const msg = new Msghdr();
  if (umsg.name !== null && umsg.namelen > 0) {
    msg.msgNamelen = Math.min(umsg.namelen, umsg.name.length, SOCKADDR_STORAGE_LEN);
    msg.msgName = umsg.name.subarray(0, msg.msgNamelen);
  }
  if (umsg.control !== null && umsg.controllen > 0) {
    msg.msgControllen = Math.min(umsg.controllen, umsg.control.length);
    msg.msgControl = umsg.control.subarray(0, msg.msgControllen);
  }
  msg.msgFlags = (flags & ~MSG_INTERNAL_SENDMSG_FLAGS) | MSG_DONTWAIT;
  msg.msgNowait = (flags & MSG_DONTWAIT) !== 0;
  iovIterInit(msg.msgIter, umsg.iov, count);
  return sockSendmsg(sock, msg);
}

/** @kernel __sys_recvmsg net/socket.c */
export function sysRecvmsg(task: Task, fd: number, umsg: UserMsghdr, flags: number): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  const count = iovLength(umsg.iov);
  if (count < 0) return count;
  const msg = new Msghdr();
  const name = umsg.name === null ? null : new Uint8Array(SOCKADDR_STORAGE_LEN);
  msg.msgName = name;
  msg.msgControl = umsg.control;
  msg.msgFlags = flags & MSG_CMSG_CLOEXEC;
  iovIterInit(msg.msgIter, umsg.iov, count);
  const err = sockRecvmsg(sock, msg, flags | MSG_DONTWAIT);
  if (err < 0) return err;
  if (name !== null && umsg.name !== null) moveAddrToUser(name, msg.msgNamelen, umsg.name);
  umsg.namelen = umsg.name === null ? 0 : msg.msgNamelen;
  umsg.controllen = msg.msgControllen;
  umsg.flags = msg.msgFlags & ~MSG_CMSG_CLOEXEC;
  return err;
}

/** @kernel __sys_shutdown net/socket.c */
export function sysShutdown(task: Task, fd: number, how: number): number {
  const sock = sockfdLookup(task, fd);
  return typeof sock === 'number' ? sock : sock.ops.shutdown(sock, how);
}

/** @kernel __sys_setsockopt net/socket.c */
export function sysSetsockopt(
  task: Task,
  fd: number,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  return level === SOL_SOCKET
    ? sockSetsockopt(sock, level, optname, optval)
    : sock.ops.setsockopt(sock, level, optname, optval);
}

/** @kernel __sys_getsockopt net/socket.c */
export function sysGetsockopt(
  task: Task,
  fd: number,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  return level === SOL_SOCKET
    ? sockGetsockopt(sock, level, optname, optval)
    : sock.ops.getsockopt(sock, level, optname, optval);
}
