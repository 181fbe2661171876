/** Sockets as the system calls see them. Counterpart of include/linux/net.h and include/linux/socket.h. */
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import type { File, PollTable } from '#kernel/sched/file.ts';
import { WaitQueueHead } from '#kernel/wait.ts';

// Bits of socket.flags.
export const SOCKWQ_ASYNC_NOSPACE = 0;
export const SOCKWQ_ASYNC_WAITDATA = 1;
export const SOCK_NOSPACE = 2;
export const SOCK_PASSCRED = 3;

/**
 * The user's buffers and what has been done of them. @kernel iov_iter include/linux/uio.h
 */
export class IovIter {
  iov: readonly Uint8Array[];
  /** Index of the present buffer, and the offset into it. */
  segment: number;
  offset: number;
  /** Bytes left. */
  count: number;

  constructor() {
    this.iov = [];
    this.segment = 0;
    this.offset = 0;
    this.count = 0;
  }
}

/** @kernel msghdr include/linux/socket.h */
export class Msghdr {
  /** Peer address: given on send; on receive a buffer to fill, its used length in `msgNamelen`. */
  msgName: Uint8Array | null;
  msgNamelen: number;
  readonly msgIter: IovIter;
  /** Ancillary data: given on send; on receive a buffer to fill, the used length in `msgControllen`. */
  msgControl: Uint8Array | null;
  msgControllen: number;
  /** Flags of the call; on return of a receive MSG_TRUNC and friends. */
  msgFlags: number;
  /** The caller asked for MSG_DONTWAIT, which every call gets: none may sleep in the kernel. */
  msgNowait: boolean;
  /** Zero-copy state given by in-kernel senders. */
  msgUbuf: object | null;

  constructor() {
    this.msgName = null;
    this.msgNamelen = 0;
    this.msgIter = new IovIter();
    this.msgControl = null;
    this.msgControllen = 0;
    this.msgFlags = 0;
    this.msgNowait = false;
    this.msgUbuf = null;
  }
}

/**
 * A socket is its own wait queue, as Linux's has the head of it in itself.
 * @kernel socket include/linux/net.h
 */
export class Socket extends WaitQueueHead {
  /** SS_* */
  state: number;
  /** SOCK_STREAM... */
  type: number;
  flags: number;
  file: File | null;
  sk: Sock | null;
  /** Set by the family's create; until then the calls are refused. */
  ops: ProtoOps;
  /** Inode number, as in /proc/net/tcp. */
  readonly ino: number;

  constructor(type: number, ops: ProtoOps, ino: number) {
    super();
    this.state = 1;
    this.type = type;
    this.flags = 0;
    this.file = null;
    this.sk = null;
    this.ops = ops;
    this.ino = ino;
  }

  get wq(): WaitQueueHead {
    return this;
  }
}

/**
 * Operations of a socket type. Every call returns at once: a result >= 0 or a negative errno;
 * -EAGAIN and -EINPROGRESS where Linux would sleep. `flags` carries O_NONBLOCK for accept, connect.
 * @kernel proto_ops include/linux/net.h
 */
export interface ProtoOps {
  readonly family: number;
  release(sock: Socket): number;
  bind(sock: Socket, addr: Uint8Array): number;
  connect(sock: Socket, addr: Uint8Array, flags: number): number;
  socketpair(sock1: Socket, sock2: Socket): number;
  accept(sock: Socket, newsock: Socket, flags: number): number;
  /** Fills `addr`, returns the length. peer: 0 own name, 1 the peer's, 2 the peer's even if unconnected. */
  getname(sock: Socket, addr: Uint8Array, peer: number): number;
  /** Poll mask now; registers `wait` on the wait queue when not null. */
  poll(file: File | null, sock: Socket, wait: PollTable | null): number;
  ioctl(sock: Socket, cmd: number, arg: Uint8Array): number;
  listen(sock: Socket, backlog: number): number;
  shutdown(sock: Socket, how: number): number;
  setsockopt(sock: Socket, level: number, optname: number, optval: Uint8Array): number;
  /** Writes the value to `optval`, returns its length or a negative errno. */
  getsockopt(sock: Socket, level: number, optname: number, optval: Uint8Array): number;
  /** Fills `buf` for splice(); null: by reading. `nonblock`: the caller does not wait. */
  spliceRead: ((sock: Socket, buf: Uint8Array, nonblock: boolean) => number) | null;
  /** SO_PEEK_OFF and SO_RCVLOWAT; null: the type has no peek offset, or no say in the mark. */
  setPeekOff: ((sk: Sock, val: number) => number) | null;
  setRcvlowat: ((sk: Sock, val: number) => number) | null;
  sendmsg(sock: Socket, msg: Msghdr, len: number): number;
  recvmsg(sock: Socket, msg: Msghdr, len: number, flags: number): number;
}

/** @kernel net_proto_family include/linux/net.h */
export interface NetProtoFamily {
  readonly family: number;
  create(net: Net, sock: Socket, protocol: number, kern: boolean): number;
}
