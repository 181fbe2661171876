/**
 * Groups of sockets that share an address and port: SO_REUSEPORT.
 *
 * Counterpart of net/core/sock_reuseport.c. A packet's hash picks the member, so that a flow stays
 * with one socket while the group does not change.
 */
import type { Sock } from '#include/net/sock.ts';
import { reciprocalScale } from '#lib/jhash.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';

/** @kernel sock_reuseport include/net/sock_reuseport.h */
export class SockReuseport {
  /** Members in order of joining. */
  readonly socks: Sock[] = [];
  /** One member set SO_INCOMING_CPU. */
  incomingCpu = false;
  bindInany: boolean;
  /** A member was connected: the hash alone no longer tells who receives. */
  hasConns = false;

  constructor(bindInany: boolean) {
    this.bindInany = bindInany;
  }
}

/** @kernel reuseport_alloc net/core/sock_reuseport.c */
export function reuseportAlloc(sk: Sock, bindInany: boolean): number {
  const group = sk.skReuseportCb;
  if (group instanceof SockReuseport) {
    // listen() after shutdown(): the socket is in its group still.
    if (bindInany) group.bindInany = true;
    return 0;
  }
  const fresh = new SockReuseport(bindInany);
  fresh.socks.push(sk);
  sk.skReuseportCb = fresh;
  return 0;
}

/** Joins the group of `sk2`. 0 or a negative errno. @kernel reuseport_add_sock net/core/sock_reuseport.c */
export function reuseportAddSock(sk: Sock, sk2: Sock, bindInany: boolean): number {
  if (!(sk2.skReuseportCb instanceof SockReuseport)) reuseportAlloc(sk2, bindInany);
  const group = sk2.skReuseportCb as SockReuseport;
  const old = sk.skReuseportCb;
  if (old === group) return 0;
  if (old !== null) reuseportDetachSock(sk);
  group.socks.push(sk);
  sk.skReuseportCb = group;
  return 0;
}

/** @kernel reuseport_detach_sock net/core/sock_reuseport.c */
export function reuseportDetachSock(sk: Sock): void {
  const group = sk.skReuseportCb;
  if (!(group instanceof SockReuseport)) return;
  const at = group.socks.indexOf(sk);
  // The last one takes its place, as in Linux: the fewest flows change their socket.
  const last = group.socks.pop();
  if (last !== undefined && last !== sk && at >= 0) group.socks[at] = last;
  sk.skReuseportCb = null;
}

/**
 * The member for a flow hash; null: `sk` is in no group. Members that are connected get none but
 * their own packets.
 * @kernel reuseport_select_sock net/core/sock_reuseport.c
 */
export function reuseportSelectSock(sk: Sock, hash: number): Sock | null {
  const group = sk.skReuseportCb;
  if (!(group instanceof SockReuseport)) return null;
  const { socks } = group;
  const n = socks.length;
  if (n === 0) return null;
  const start = reciprocalScale(hash, n);
  const cpu = sk.net.machine.cpu.id;
  let first: Sock | null = null;
  for (let k = 0; k < n; k++) {
    const candidate = socks[(start + k) % n] as Sock;
    if (candidate.skcState === TCP_ESTABLISHED) continue;
    if (!group.incomingCpu || candidate.skIncomingCpu === cpu) return candidate;
    first ??= candidate;
  }
  return first;
}

/** @kernel reuseport_has_conns include/net/sock_reuseport.h */
export function reuseportHasConns(sk: Sock): boolean {
  const group = sk.skReuseportCb;
  return group instanceof SockReuseport && group.hasConns;
}

/** @kernel reuseport_has_conns_set net/core/sock_reuseport.c */
export function reuseportHasConnsSet(sk: Sock): void {
  const group = sk.skReuseportCb;
  if (group instanceof SockReuseport) group.hasConns = true;
}
