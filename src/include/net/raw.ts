/** The raw socket. Counterpart of include/net/raw.h. */
import type { Net } from '#include/net/net_namespace.ts';
import type { Proto, SockCallbacks } from '#include/net/sock.ts';
import { InetSock } from '#include/net/sock.ts';

/** @kernel raw_sock include/net/raw.h */
export class RawSock extends InetSock {
  /** ICMP_FILTER: bit n set: messages of type n are not wanted. */
  filter: number;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.filter = 0;
  }
}
