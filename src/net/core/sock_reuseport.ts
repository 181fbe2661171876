/**
 * Groups of sockets that share an address and port: SO_REUSEPORT.
 *
 * Counterpart of net/core/sock_reuseport.c. A packet's hash picks the member, so that a flow stays
 * with one socket while the group does not change, or a program of the group's does.
 */
import { __skbPush, type SkBuff, skbShared } from '#include/linux/skbuff.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { SkFilter, Sock } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import { reciprocalScale } from '#lib/jhash.ts';
import { consumeSkb, skbClone } from '#net/core/skbuff.ts';
import { pskbPull } from '#net/core/skbuff_copy.ts';
import { EINVAL, ENOENT } from '#uapi/errno.ts';
import { LINUX_MIB_TCPMIGRATEREQFAILURE } from '#uapi/snmp.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';

/** @kernel sock_reuseport include/net/sock_reuseport.h */
export class SockReuseport {
  /** Members in order of joining. */
  readonly socks: Sock[] = [];
  /** Listeners that have closed while requests of theirs are under way, to be moved to members. */
  readonly closed: Sock[] = [];
  /** Members that have set SO_INCOMING_CPU. */
  incomingCpu = 0;
  bindInany: boolean;
  /** Says which member gets a packet; null, or its answer no member: the hash does. */
  prog: SkFilter | null = null;
  /** A member was connected: the hash alone no longer tells who receives. */
  hasConns = false;

  constructor(bindInany: boolean) {
    this.bindInany = bindInany;
  }
}

function joinGroup(group: SockReuseport, sk: Sock): void {
  group.socks.push(sk);
  sk.skReuseportCb = group;
  if (sk.skIncomingCpu >= 0) group.incomingCpu++;
}

/** SO_INCOMING_CPU: the member wants the packets of a CPU; -1: of any. @kernel reuseport_update_incoming_cpu net/core/sock_reuseport.c */
export function reuseportUpdateIncomingCpu(sk: Sock, val: number): void {
  const old = sk.skIncomingCpu;
  sk.skIncomingCpu = val;
  const group = sk.skReuseportCb;
  if (!(group instanceof SockReuseport)) return;
  if (old < 0 && val >= 0) group.incomingCpu++;
  else if (old >= 0 && val < 0) group.incomingCpu--;
}

/** @kernel reuseport_alloc net/core/sock_reuseport.c */
export function reuseportAlloc(sk: Sock, bindInany: boolean): number {
  const group = sk.skReuseportCb;
  if (group instanceof SockReuseport) {
    if (group.closed.includes(sk)) {
      reuseportResurrect(sk, null, bindInany);
      return 0;
    }
    // listen() after shutdown(): the socket is in its group still.
    if (bindInany) group.bindInany = true;
    return 0;
  }
  const fresh = new SockReuseport(bindInany);
  joinGroup(fresh, sk);
  return 0;
}

/** A closed listener listens again: in the group that it joins now, or alone. @kernel reuseport_resurrect net/core/sock_reuseport.c */
function reuseportResurrect(sk: Sock, group: SockReuseport | null, bindInany: boolean): void {
  reuseportDetachSock(sk);
  joinGroup(group ?? new SockReuseport(bindInany), sk);
}

/** Joins the group of `sk2`. 0 or a negative errno. @kernel reuseport_add_sock net/core/sock_reuseport.c */
export function reuseportAddSock(sk: Sock, sk2: Sock, bindInany: boolean): number {
  if (!(sk2.skReuseportCb instanceof SockReuseport)) reuseportAlloc(sk2, bindInany);
  const group = sk2.skReuseportCb as SockReuseport;
  const old = sk.skReuseportCb;
  if (old === group && !group.closed.includes(sk)) return 0;
  if (old !== null) reuseportDetachSock(sk);
  joinGroup(group, sk);
  return 0;
}

/** The last member takes the place of the one that goes, as in Linux: the fewest flows change their socket. */
function takeOut(socks: Sock[], sk: Sock): boolean {
  const at = socks.indexOf(sk);
  if (at < 0) return false;
  const last = socks.pop() as Sock;
  if (last !== sk) socks[at] = last;
  return true;
}

/** @kernel __reuseport_detach_sock net/core/sock_reuseport.c */
function __reuseportDetachSock(group: SockReuseport, sk: Sock): void {
  if (takeOut(group.socks, sk) && sk.skIncomingCpu >= 0 && group.incomingCpu > 0) {
    group.incomingCpu--;
  }
}

/** @kernel reuseport_detach_sock net/core/sock_reuseport.c */
export function reuseportDetachSock(sk: Sock): void {
  const group = sk.skReuseportCb;
  if (!(group instanceof SockReuseport)) return;
  if (!takeOut(group.closed, sk)) __reuseportDetachSock(group, sk);
  sk.skReuseportCb = null;
}

/**
 * A listener of TCP closes. Where requests may be moved it stays known to its group until the last of
 * them is gone. @kernel reuseport_stop_listen_sock net/core/sock_reuseport.c
 */
export function reuseportStopListenSock(sk: Sock): void {
  const group = sk.skReuseportCb;
  if (!(group instanceof SockReuseport)) return;
  if (sk.net.ipv4.sysctlTcpMigrateReq === 0) {
    reuseportDetachSock(sk);
    return;
  }
  __reuseportDetachSock(group, sk);
  group.closed.push(sk);
}

/** What the program says of a packet, seen behind its header. @kernel run_bpf_filter net/core/sock_reuseport.c */
function runBpfFilter(
  { socks }: SockReuseport,
  prog: SkFilter,
  skb: SkBuff,
  hdrLen: number,
): Sock | null {
  const own = skbShared(skb) ? skbClone(skb) : skb;
  let index = socks.length;
  if (pskbPull(own, hdrLen) !== 0) {
    index = prog.run(own) >>> 0;
    __skbPush(own, hdrLen);
  }
  if (own !== skb) consumeSkb(own);
  return socks[index] ?? null;
}

/**
 * The member for a packet; null: `sk` is in no group. A program of the group's decides, else the flow's hash;
 * then members that are connected get none but their own packets. Without a packet only the hash counts.
 * @kernel reuseport_select_sock net/core/sock_reuseport.c
 */
export function reuseportSelectSock(
  sk: Sock,
  hash: number,
  skb: SkBuff | null,
  hdrLen: number,
): Sock | null {
  const group = sk.skReuseportCb;
  if (!(group instanceof SockReuseport)) return null;
  const { socks, prog } = group;
  const n = socks.length;
  if (n === 0) return null;
  if (prog !== null && skb !== null) {
    const chosen = runBpfFilter(group, prog, skb, hdrLen);
    if (chosen !== null) return chosen;
  }
  return reuseportSelectSockByHash(group, hash);
}

/** @kernel reuseport_select_sock_by_hash net/core/sock_reuseport.c */
function reuseportSelectSockByHash(group: SockReuseport, hash: number): Sock | null {
  const { socks } = group;
  const n = socks.length;
  if (n === 0) return null;
  const start = reciprocalScale(hash, n);
  let first: Sock | null = null;
  for (let k = 0; k < n; k++) {
    const candidate = socks[(start + k) % n] as Sock;
    if (candidate.skcState === TCP_ESTABLISHED) continue;
    const { machine } = candidate.net;
    if (group.incomingCpu === 0 || candidate.skIncomingCpu === machine.cpu.id) return candidate;
    first ??= candidate;
  }
  return first;
}

/**
 * Who takes over a request, or a child that was not accepted, of the listener `sk` that has closed; the
 * caller gets a reference. Null: nobody, and then it ends with its listener. Only eBPF programs may choose
 * where to; without them the hash does. `migrating` is the request or child.
 * @kernel reuseport_migrate_sock net/core/sock_reuseport.c
 */
export function reuseportMigrateSock(sk: Sock, migrating: SockCommon): Sock | null {
  const group = sk.skReuseportCb;
  if (!(group instanceof SockReuseport)) return null;
  const allowed = sk.net.ipv4.sysctlTcpMigrateReq !== 0;
  const nsk = allowed ? reuseportSelectSockByHash(group, migrating.skcHash) : null;
  if (nsk !== null) nsk.refcnt++;
  else netIncStats(sk.net, LINUX_MIB_TCPMIGRATEREQFAILURE);
  return nsk;
}

/** 0, or -EINVAL for a socket without SO_REUSEPORT. @kernel reuseport_attach_prog net/core/sock_reuseport.c */
export function reuseportAttachProg(sk: Sock, prog: SkFilter): number {
  if (!sk.hashed) {
    if (!sk.skcReuseport) return -EINVAL;
    reuseportAlloc(sk, false);
  }
  const group = sk.skReuseportCb;
  // It was bound without SO_REUSEPORT.
  if (!(group instanceof SockReuseport)) return -EINVAL;
  group.prog = prog;
  return 0;
}

/** @kernel reuseport_detach_prog net/core/sock_reuseport.c */
export function reuseportDetachProg(sk: Sock): number {
  const group = sk.skReuseportCb;
  if (!(group instanceof SockReuseport)) return sk.skcReuseport ? -ENOENT : -EINVAL;
  if (group.prog === null) return -ENOENT;
  group.prog = null;
  return 0;
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
