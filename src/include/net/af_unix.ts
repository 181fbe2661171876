/** The Unix socket. Counterpart of include/net/af_unix.h. */
import type { Net } from '#include/net/net_namespace.ts';
import { type Proto, Sock, type SockCallbacks } from '#include/net/sock.ts';
import { WaitQueueHead } from '#kernel/wait.ts';

/** struct sockaddr_un: the family, then up to 108 bytes of name. */
export const SOCKADDR_UN_LEN = 110;
export const SUN_PATH = 2;

/** @kernel unix_sock include/net/af_unix.h */
export class UnixSock extends Sock {
  /** Bytes of the name: a path, or a zero and an abstract name; null: unbound. */
  addr: Uint8Array | null;
  /** Key in the table of names; empty: unbound. */
  nameKey: string;
  /** The other end; each end holds a reference on the other. */
  peer: UnixSock | null;
  /** Connections that wait for accept(). */
  readonly acceptQueue: UnixSock[];
  /** Senders that wait for room in our receive queue. */
  readonly peerWait: WaitQueueHead;
  /** Bytes on the receive queue that have not been read. */
  inq: number;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.addr = null;
    this.nameKey = '';
    this.peer = null;
    this.acceptQueue = [];
    this.peerWait = new WaitQueueHead();
    this.inq = 0;
  }
}

/** @kernel unix_sk include/net/af_unix.h */
export function unixSk(sk: Sock): UnixSock {
  return sk as UnixSock;
}
