/**
 * The tables themselves: bound ports with their owners, and the chains of connections.
 *
 * Counterpart of the bucket part of net/ipv4/inet_hashtables.c. Lookup and the choice of ports are in
 * inet_hashtables.ts; time-wait sockets stand between the two.
 */

import {
  InetBindBucket,
  type InetConnectionSock,
  inetCsk,
  inetSk,
} from '#include/net/inet_connection_sock.ts';
import { InetHashinfo } from '#include/net/inet_hashtables.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import { jhash3words } from '#lib/jhash.ts';

const EHASH_SIZE = 256;
const BHASH_SIZE = 1024;
const LHASH2_SIZE = 64;
/** Entries for each chain before the table doubles. */
const EHASH_LOAD = 1;

/** @kernel inet_hashinfo2_init net/ipv4/inet_hashtables.c */
export function inetHashinfoInit(machine: Machine): InetHashinfo {
  const hinfo = new InetHashinfo(EHASH_SIZE, BHASH_SIZE, LHASH2_SIZE);
  const { tablePerturb } = hinfo;
  for (let i = 0; i < tablePerturb.length; i++) tablePerturb[i] = machine.random.u32();
  return hinfo;
}

/** All TCP sockets of the machine; each entry knows its namespace. @kernel tcp_get_hashinfo include/net/inet_hashtables.h */
export function tcpGetHashinfo(net: Net): InetHashinfo {
  return net.machine.netGlobals.tcpHashinfo!;
}

/**
 * Hash of a connection. The local port is added in clear, so that ports tried one after the other
 * for the same peer need one hash only.
 * @kernel inet_ehashfn net/ipv4/inet_hashtables.c
 */
export function inetEhashfn(
  net: Net,
  laddr: number,
  lport: number,
  faddr: number,
  fport: number,
): number {
  const secret = net.machine.netGlobals.inetEhashSecret[0]!;
  return (lport + jhash3words(laddr, faddr, fport, (secret + net.hashMix) | 0)) | 0;
}

/** @kernel sk_ehashfn net/ipv4/inet_hashtables.c */
export function skEhashfn(sk: SockCommon): number {
  return inetEhashfn(sk.net, sk.skcRcvSaddr, sk.skcNum, sk.skcDaddr, sk.skcDport);
}

/** Hash of a listener. @kernel ipv4_portaddr_hash include/net/ip.h */
export function ipv4PortaddrHash(net: Net, saddr: number, port: number): number {
  return jhash3words(saddr, 0, 0, net.hashMix | 0) ^ port;
}

// ---- Chains ------------------------------------------------------------------------------------

/** Puts `sk` at the front of a chain. */
function chainAdd(table: (SockCommon | null)[], slot: number, sk: SockCommon): void {
  const first = table[slot] as SockCommon | null;
  sk.skcPrev = null;
  sk.skcNext = first;
  if (first !== null) first.skcPrev = sk;
  table[slot] = sk;
  sk.hashed = true;
}

function chainDel(table: (SockCommon | null)[], slot: number, sk: SockCommon): void {
  const { skcPrev: prev, skcNext: next } = sk;
  if (prev === null) {
    if (DEBUG && table[slot] !== sk) throw new KernelBug('inet-hash', 'socket is on another chain');
    table[slot] = next;
  } else {
    prev.skcNext = next;
  }
  if (next !== null) next.skcPrev = prev;
  sk.skcNext = null;
  sk.skcPrev = null;
  sk.hashed = false;
}

function ehashResize(hinfo: InetHashinfo, size: number): void {
  const old = hinfo.ehash;
  hinfo.ehash = new Array<SockCommon | null>(size).fill(null);
  hinfo.ehashMask = size - 1;
  for (const head of old) {
    let sk = head;
    while (sk !== null) {
      const next: SockCommon | null = sk.skcNext;
      chainAdd(hinfo.ehash, sk.skcHash & hinfo.ehashMask, sk);
      sk = next;
    }
  }
}

/** Gives memory back when the table has become far too large. Nobody may be walking over it. */
export function ehashShrink(hinfo: InetHashinfo): void {
  let size = hinfo.ehash.length;
  while (size > EHASH_SIZE && hinfo.ehashCount * 4 < size * EHASH_LOAD) size /= 2;
  if (size !== hinfo.ehash.length) ehashResize(hinfo, size);
}

/** Adds an entry whose `skcHash` is set. @kernel __sk_nulls_add_node_rcu include/net/sock.h */
export function ehashAdd(hinfo: InetHashinfo, sk: SockCommon): void {
  if (DEBUG && sk.hashed) throw new KernelBug('inet-hash', 'socket is hashed already');
  if (++hinfo.ehashCount > hinfo.ehash.length * EHASH_LOAD) {
    ehashResize(hinfo, hinfo.ehash.length * 2);
  }
  chainAdd(hinfo.ehash, sk.skcHash & hinfo.ehashMask, sk);
}

/** False when it was in no chain. @kernel sk_nulls_del_node_init_rcu include/net/sock.h */
export function ehashDel(hinfo: InetHashinfo, sk: SockCommon): boolean {
  if (!sk.hashed) return false;
  hinfo.ehashCount--;
  chainDel(hinfo.ehash, sk.skcHash & hinfo.ehashMask, sk);
  return true;
}

/** @kernel inet_lhash2_bucket_sk net/ipv4/inet_hashtables.c */
export function lhash2Slot(hinfo: InetHashinfo, sk: SockCommon): number {
  return ipv4PortaddrHash(sk.net, sk.skcRcvSaddr, sk.skcNum) & hinfo.lhash2Mask;
}

export function lhash2Add(hinfo: InetHashinfo, sk: SockCommon): void {
  chainAdd(hinfo.lhash2, lhash2Slot(hinfo, sk), sk);
}

export function lhash2Del(hinfo: InetHashinfo, sk: SockCommon): void {
  chainDel(hinfo.lhash2, lhash2Slot(hinfo, sk), sk);
}

// ---- Bound ports -------------------------------------------------------------------------------

/** @kernel inet_bhashfn include/net/inet_hashtables.h */
function bhashSlot(net: Net, hinfo: InetHashinfo, port: number): number {
  return (port + net.hashMix) & hinfo.bhashMask;
}

/** The bucket of a port, or null: nobody is bound to it. @kernel inet_bind_bucket_match net/ipv4/inet_hashtables.c */
export function inetBindBucketFind(net: Net, port: number, l3mdev: number): InetBindBucket | null {
  const hinfo = tcpGetHashinfo(net);
  let tb = hinfo.bhash[bhashSlot(net, hinfo, port)] as InetBindBucket | null;
  while (tb !== null) {
    if (tb.net === net && tb.port === port && tb.l3mdev === l3mdev) return tb;
    tb = tb.next;
  }
  return null;
}

function bhashResize(hinfo: InetHashinfo, size: number): void {
  const old = hinfo.bhash;
  hinfo.bhash = new Array<InetBindBucket | null>(size).fill(null);
  hinfo.bhashMask = size - 1;
  for (const head of old) {
    let tb = head;
    while (tb !== null) {
      const { next }: InetBindBucket = tb;
      const slot = bhashSlot(tb.net, hinfo, tb.port);
      tb.next = hinfo.bhash[slot] as InetBindBucket | null;
      hinfo.bhash[slot] = tb;
      tb = next;
    }
  }
}

/** @kernel inet_bind_bucket_create net/ipv4/inet_hashtables.c */
export function inetBindBucketCreate(net: Net, port: number, l3mdev: number): InetBindBucket {
  const hinfo = tcpGetHashinfo(net);
  if (++hinfo.bhashCount > hinfo.bhash.length) bhashResize(hinfo, hinfo.bhash.length * 2);
  const slot = bhashSlot(net, hinfo, port);
  const tb = new InetBindBucket(net, port, l3mdev);
  tb.next = hinfo.bhash[slot] as InetBindBucket | null;
  hinfo.bhash[slot] = tb;
  return tb;
}

/** Frees the port when nobody owns it any more. @kernel inet_bind_bucket_destroy net/ipv4/inet_hashtables.c */
export function inetBindBucketDestroy(tb: InetBindBucket): void {
  if (tb.owners !== null || tb.twOwners !== null) return;
  const hinfo = tcpGetHashinfo(tb.net);
  const slot = bhashSlot(tb.net, hinfo, tb.port);
  let at = hinfo.bhash[slot] as InetBindBucket | null;
  if (at === tb) {
    hinfo.bhash[slot] = tb.next;
  } else {
    while (at !== null && at.next !== tb) at = at.next;
    if (at !== null) at.next = tb.next;
  }
  const { length } = hinfo.bhash;
  if (--hinfo.bhashCount * 8 < length && length > BHASH_SIZE) bhashResize(hinfo, length / 2);
}

/** @kernel inet_bind_hash net/ipv4/inet_hashtables.c */
export function inetBindHash(sk: Sock, tb: InetBindBucket, port: number): void {
  const icsk = inetCsk(sk);
  inetSk(sk).skcNum = port;
  icsk.bindPrev = null;
  icsk.bindNext = tb.owners;
  if (tb.owners !== null) tb.owners.bindPrev = icsk;
  tb.owners = icsk;
  icsk.icskBindHash = tb;
}

/** Gives the port back. @kernel inet_put_port net/ipv4/inet_hashtables.c */
export function inetPutPort(sk: Sock): void {
  const icsk: InetConnectionSock = inetCsk(sk);
  const tb = icsk.icskBindHash;
  if (tb === null) return;
  const { bindPrev, bindNext } = icsk;
  if (bindPrev === null) tb.owners = bindNext;
  else bindPrev.bindNext = bindNext;
  if (bindNext !== null) bindNext.bindPrev = bindPrev;
  icsk.bindNext = null;
  icsk.bindPrev = null;
  icsk.icskBindHash = null;
  icsk.skcNum = 0;
  inetBindBucketDestroy(tb);
}

/** The child of a listener is bound to the port it was reached at. 0 or -ENOMEM, -ENOENT. @kernel __inet_inherit_port net/ipv4/inet_hashtables.c */
export function __inetInheritPort(sk: Sock, child: Sock): number {
  const parent = inetCsk(sk).icskBindHash;
  if (parent === null) return -2;
  const port = child.skcNum;
  // With transparent proxying the child's port may differ from the listener's.
  let tb: InetBindBucket = parent;
  if (parent.port !== port) {
    tb =
      inetBindBucketFind(sk.net, port, parent.l3mdev) ??
      inetBindBucketCreate(sk.net, port, parent.l3mdev);
  }
  inetBindHash(child, tb, port);
  return 0;
}
