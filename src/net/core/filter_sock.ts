/**
 * Filters of sockets: putting them on, taking them off, running them. Counterpart of the socket's
 * part of net/core/filter.c; the programs are in filter.ts, a module.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { SOCK_FILTER_LOCKED, type Sock } from '#include/net/sock.ts';
import { pskbTrim } from '#net/core/skbuff_copy.ts';
import { reuseportAttachProg } from '#net/core/sock_reuseport.ts';
import { EINVAL, ENOENT, ENOMEM, EOPNOTSUPP, EPERM } from '#uapi/errno.ts';
import { SKB_DROP_REASON_SOCKET_FILTER, SKB_NOT_DROPPED_YET } from '#uapi/net_dropreason.ts';

/** Puts a filter on the socket, in place of the present one. @kernel sk_attach_filter net/core/filter.c */
export function skAttachFilter(sk: Sock, prog: Uint8Array): number {
  if ((sk.skFlags & (1 << SOCK_FILTER_LOCKED)) !== 0) return -EPERM;
  const { bpf } = sk.net.machine.netGlobals;
  if (bpf === null) return -EOPNOTSUPP;
  const filter = bpf.prepare(prog);
  if (filter === null) return -EINVAL;
  const old = sk.skFilter;
  const charged = sk.skOmemAlloc - (old?.size ?? 0);
  if (filter.size > sk.net.sysctlOptmemMax || charged + filter.size >= sk.net.sysctlOptmemMax) {
    return -ENOMEM;
  }
  sk.skOmemAlloc = charged + filter.size;
  sk.skFilter = filter;
  return 0;
}

/** Lets a program choose in the socket's group. @kernel sk_reuseport_attach_filter net/core/filter.c */
export function skReuseportAttachFilter(sk: Sock, prog: Uint8Array): number {
  if ((sk.skFlags & (1 << SOCK_FILTER_LOCKED)) !== 0) return -EPERM;
  const { bpf } = sk.net.machine.netGlobals;
  if (bpf === null) return -EOPNOTSUPP;
  const filter = bpf.prepare(prog);
  if (filter === null) return -EINVAL;
  if (filter.size > sk.net.sysctlOptmemMax) return -ENOMEM;
  return reuseportAttachProg(sk, filter);
}

/** @kernel sk_detach_filter net/core/filter.c */
export function skDetachFilter(sk: Sock): number {
  if ((sk.skFlags & (1 << SOCK_FILTER_LOCKED)) !== 0) return -EPERM;
  const filter = sk.skFilter;
  if (filter === null) return -ENOENT;
  sk.skOmemAlloc -= filter.size;
  sk.skFilter = null;
  return 0;
}

/** @kernel sk_get_filter net/core/filter.c */
export function skGetFilter(sk: Sock, optval: Uint8Array): number {
  const filter = sk.skFilter;
  return filter === null ? 0 : (sk.net.machine.netGlobals.bpf?.get(filter, optval) ?? -EINVAL);
}

/**
 * Runs the socket's filter and trims the packet to what it says, but not below `cap` bytes.
 * SKB_NOT_DROPPED_YET or the reason to drop; the caller frees.
 * @kernel sk_filter_trim_cap net/core/filter.c
 */
export function skFilterTrimCap(sk: Sock, skb: SkBuff, cap: number): number {
  const filter = sk.skFilter;
  if (filter === null) return SKB_NOT_DROPPED_YET;
  const save = skb.sk;
  skb.sk = sk;
  const keep = filter.run(skb);
  skb.sk = save;
  if (keep === 0 || pskbTrim(skb, Math.max(cap, keep)) !== 0) return SKB_DROP_REASON_SOCKET_FILTER;
  return SKB_NOT_DROPPED_YET;
}

/** @kernel sk_filter_reason include/linux/filter.h */
export function skFilterReason(sk: Sock, skb: SkBuff): number {
  return skFilterTrimCap(sk, skb, 1);
}
