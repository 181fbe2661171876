/** Reassembly queues. Counterpart of include/net/inet_frag.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { TimerList } from '#kernel/time/timer.ts';

/** All queues of a namespace, and their memory in bytes of truesize. @kernel fqdir include/net/inet_frag.h */
export class InetFragsNs {
  mem = 0;
  readonly queues: Map<string, IpFragQueue> = new Map();
}

/** A datagram being put together. @kernel ipq net/ipv4/ip_fragment.c */
export class IpFragQueue {
  readonly net: Net;
  /** Identity: addresses, id, protocol, user. */
  readonly key: string;
  timer: TimerList<IpFragQueue> | null = null;
  refcnt = 1;
  /** Fragments by offset. */
  fragments: SkBuff | null = null;
  lastFrag: SkBuff | null = null;
  stamp = 0;
  /** Length of the whole datagram, known with the last fragment. */
  len = 0;
  /** Bytes received so far. */
  meat = 0;
  /** INET_FRAG_* */
  flags = 0;
  maxSize = 0;
  maxDfSize = 0;
  ecn = 0;
  iif = 0;
  vif = 0;
  rid = 0;

  constructor(net: Net, key: string) {
    this.net = net;
    this.key = key;
  }
}
