/**
 * UDP's table of sockets: ports, lookup by addresses, disconnection. Counterpart of the table part
 * of net/ipv4/udp.c.
 *
 * A bound socket is on two chains: by port (for conflicts of bind() and for multicast) and by port
 * and own address (for lookup). Among the sockets that a packet fits, the most specific wins.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { sockRpsDeleteFlow } from '#include/net/rps.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_BINDADDR_LOCK, SOCK_BINDPORT_LOCK, SOCK_RCU_FREE } from '#include/net/sock.ts';
import type { UdpSock } from '#include/net/udp.ts';
import { UdpTable } from '#include/net/udp.ts';
import { jhash1word, jhash3words, reciprocalScale } from '#lib/jhash.ts';
import {
  lockSock,
  releaseSock,
  skDstReset,
  sockProtInuseAdd,
  sockSetFlag,
} from '#net/core/sock.ts';
import {
  reuseportAddSock,
  reuseportAlloc,
  reuseportDetachSock,
  reuseportHasConns,
  reuseportSelectSock,
} from '#net/core/sock_reuseport.ts';
import { inetMcAllow } from '#net/ipv4/igmp_check.ts';
import { EADDRINUSE } from '#uapi/errno.ts';
import { TCP_CLOSE, TCP_ESTABLISHED } from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';

/** Ports there are. */
const PORTS = 1 << 16;

/** @kernel udp_hashfn include/linux/udp.h */
export function udpHashfn(net: Net, table: UdpTable, num: number): number {
  return (num + net.hashMix) & table.mask;
}

/** @kernel ipv4_portaddr_hash include/net/ip.h */
function ipv4PortaddrHash(net: Net, saddr: number, port: number): number {
  return jhash1word(saddr, net.hashMix) ^ port;
}

/** @kernel udp_ehashfn net/ipv4/udp.c */
function udpEhashfn(net: Net, laddr: number, lport: number, faddr: number, fport: number): number {
  const secret = net.machine.netGlobals.inetEhashSecret[0] as number;
  return jhash3words(laddr, faddr, (lport << 16) | fport, (secret + net.hashMix) | 0);
}

/** The namespace's table. @kernel udp_get_table_seq net/ipv4/udp.c */
export function udpTableOf(net: Net): UdpTable {
  net.ipv4.udpTable ??= new UdpTable();
  return net.ipv4.udpTable;
}

function addHash2(table: UdpTable, sk: UdpSock): void {
  const slot = sk.udpPortaddrHash & table.mask;
  const head = table.hash2[slot] ?? null;
  sk.portaddrNext = head;
  sk.portaddrPrev = null;
  if (head !== null) head.portaddrPrev = sk;
  table.hash2[slot] = sk;
}

function delHash2(table: UdpTable, sk: UdpSock): void {
  const { portaddrNext: next, portaddrPrev: prev } = sk;
  if (prev === null) table.hash2[sk.udpPortaddrHash & table.mask] = next;
  else prev.portaddrNext = next;
  if (next !== null) next.portaddrPrev = prev;
  sk.portaddrNext = null;
  sk.portaddrPrev = null;
}

function addHash1(table: UdpTable, sk: UdpSock): void {
  const slot = udpHashfn(sk.net, table, sk.udpPortHash);
  const head = table.hash[slot] ?? null;
  sk.skcNext = head;
  sk.skcPrev = null;
  if (head !== null) head.skcPrev = sk;
  table.hash[slot] = sk;
  sk.hashed = true;
}

function delHash1(table: UdpTable, sk: UdpSock): void {
  const next = sk.skcNext as UdpSock | null;
  const prev = sk.skcPrev as UdpSock | null;
  if (prev === null) table.hash[udpHashfn(sk.net, table, sk.udpPortHash)] = next;
  else prev.skcNext = next;
  if (next !== null) next.skcPrev = prev;
  sk.skcNext = null;
  sk.skcPrev = null;
  sk.hashed = false;
}

/** Could both receive the same packet? A wildcard matches all. @kernel inet_rcv_saddr_equal net/ipv4/inet_connection_sock.c */
function rcvSaddrEqual(a: Sock, b: Sock): boolean {
  return a.skcRcvSaddr === 0 || b.skcRcvSaddr === 0 || a.skcRcvSaddr === b.skcRcvSaddr;
}

/** Do the two stand in each other's way, if on the same port? */
function conflicts(sk: UdpSock, sk2: UdpSock): boolean {
  if (sk2 === sk || (sk2.skcReuse !== 0 && sk.skcReuse !== 0)) return false;
  const d = sk.skcBoundDevIf;
  const d2 = sk2.skcBoundDevIf;
  return (d === 0 || d2 === 0 || d === d2) && rcvSaddrEqual(sk, sk2);
}

/** A user may share a port among sockets that all set SO_REUSEPORT. */
function mayShare(sk: UdpSock, sk2: UdpSock): boolean {
  return sk2.skcReuseport && sk.skcReuseport && sk.skReuseportCb === null && sk.skUid === sk2.skUid;
}

/**
 * Is the port taken? @kernel udp_lib_lport_inuse net/ipv4/udp.c
 */
function portInUse(sk: UdpSock, num: number, table: UdpTable): boolean {
  let at = table.hash[udpHashfn(sk.net, table, num)] ?? null;
  for (; at !== null; at = at.skcNext as UdpSock | null) {
    if (at.udpPortHash !== num || !conflicts(sk, at)) continue;
    // One member of a group stands for all.
    return !mayShare(sk, at);
  }
  return false;
}

/** Marks the ports of a bucket that are taken. @kernel udp_lib_lport_inuse net/ipv4/udp.c */
function markPortsInUse(sk: UdpSock, slot: number, table: UdpTable, taken: Uint8Array): void {
  for (let at = table.hash[slot] ?? null; at !== null; at = at.skcNext as UdpSock | null) {
    if (conflicts(sk, at)) taken[at.udpPortHash] = 1;
  }
}

/** @kernel inet_sk_get_local_port_range net/ipv4/inet_connection_sock.c */
function localPortRange(sk: UdpSock): [low: number, high: number] {
  const { sysctlIpLocalPortRangeLo: lo, sysctlIpLocalPortRangeHi: hi } = sk.net.ipv4;
  let low = lo;
  let high = hi;
  if (sk.localPortRangeLo !== 0 || sk.localPortRangeHi !== 0) {
    if (sk.localPortRangeLo !== 0) low = Math.max(low, sk.localPortRangeLo);
    if (sk.localPortRangeHi !== 0) high = Math.min(high, sk.localPortRangeHi);
    if (low > high) return [lo, hi];
  }
  return [low, high];
}

/** A free port by chance; 0 when there is none. */
function ephemeralPort(sk: UdpSock, table: UdpTable): number {
  const { net } = sk;
  const [low, high] = localPortRange(sk);
  const buckets = table.mask + 1;
  const rand = net.machine.random.u32();
  const start = reciprocalScale(rand, high - low + 1) + low;
  // Odd multiples of the table's size walk through every port of one bucket, in an order that nobody
  // can foresee.
  const step = (Math.imul(rand | 1, buckets) >>> 0) & (PORTS - 1);
  const taken = new Uint8Array(PORTS);
  const reserved = net.ipv4.sysctlLocalReservedPorts;
  for (let i = 0; i < buckets; i++) {
    const first = (start + i) & (PORTS - 1);
    markPortsInUse(sk, udpHashfn(net, table, first), table, taken);
    let snum = first;
    do {
      if (snum >= low && snum <= high && taken[snum] === 0 && !reserved.has(snum)) return snum;
      snum = (snum + step) & (PORTS - 1);
    } while (snum !== first);
  }
  return 0;
}

/** Joins or founds the group of a SO_REUSEPORT socket. @kernel udp_reuseport_add_sock net/ipv4/udp.c */
function udpReuseportAddSock(sk: UdpSock, table: UdpTable): void {
  let at = table.hash[udpHashfn(sk.net, table, sk.udpPortHash)] ?? null;
  for (; at !== null; at = at.skcNext as UdpSock | null) {
    if (
      at !== sk &&
      at.udpPortHash === sk.udpPortHash &&
      at.skcReuseport &&
      at.skUid === sk.skUid &&
      at.skcBoundDevIf === sk.skcBoundDevIf &&
      at.skcRcvSaddr === sk.skcRcvSaddr
    ) {
      reuseportAddSock(sk, at, sk.skcRcvSaddr === 0);
      return;
    }
  }
  reuseportAlloc(sk, sk.skcRcvSaddr === 0);
}

/**
 * Binds the socket to a port, any if `snum` is 0. 0 or -EADDRINUSE.
 * @kernel udp_lib_get_port net/ipv4/udp.c
 */
export function udpV4GetPort(sock: Sock, snum: number): number {
  const sk = sock as UdpSock;
  const table = udpTableOf(sk.net);
  const num = snum !== 0 ? snum : ephemeralPort(sk, table);
  if (num === 0 || (snum !== 0 && portInUse(sk, num, table))) return -EADDRINUSE;
  if (sk.hashed) udpLibUnhash(sk);
  sk.skcNum = num;
  sk.udpPortHash = num;
  sk.udpPortaddrHash = ipv4PortaddrHash(sk.net, sk.skcRcvSaddr, num);
  if (sk.skcReuseport) udpReuseportAddSock(sk, table);
  // Packets on their way may still name it.
  sockSetFlag(sk, SOCK_RCU_FREE);
  addHash1(table, sk);
  addHash2(table, sk);
  sockProtInuseAdd(sk.net, sk.skProt, 1);
  return 0;
}

/** @kernel udp_lib_unhash net/ipv4/udp.c */
export function udpLibUnhash(sock: Sock): void {
  sockRpsDeleteFlow(sock);
  if (!sock.hashed) return;
  const sk = sock as UdpSock;
  const table = udpTableOf(sk.net);
  if (sk.skReuseportCb !== null) reuseportDetachSock(sk);
  delHash1(table, sk);
  delHash2(table, sk);
  sk.skcNum = 0;
  sockProtInuseAdd(sk.net, sk.skProt, -1);
}

/** The own address has changed. @kernel udp_v4_rehash net/ipv4/udp.c */
export function udpV4Rehash(sock: Sock): void {
  if (!sock.hashed) return;
  const sk = sock as UdpSock;
  const table = udpTableOf(sk.net);
  delHash2(table, sk);
  sk.udpPortaddrHash = ipv4PortaddrHash(sk.net, sk.skcRcvSaddr, sk.skcNum);
  addHash2(table, sk);
}

/** How well a socket fits a packet; -1: not at all. @kernel compute_score net/ipv4/udp.c */
function computeScore(
  sk: UdpSock,
  saddr: number,
  sport: number,
  daddr: number,
  hnum: number,
  dif: number,
): number {
  if (sk.udpPortHash !== hnum || sk.skcRcvSaddr !== daddr || sk.skcIpv6only) return -1;
  let score = 2;
  if (sk.skcDaddr !== 0) {
    if (sk.skcDaddr !== saddr) return -1;
    score += 4;
  }
  if (sk.skcDport !== 0) {
    if (sk.skcDport !== sport) return -1;
    score += 4;
  }
  if (sk.skcBoundDevIf !== 0) {
    if (sk.skcBoundDevIf !== dif) return -1;
    score += 4;
  }
  if (sk.skIncomingCpu === sk.net.machine.cpu.id) score++;
  return score;
}

/** @kernel udp4_lib_lookup2 net/ipv4/udp.c */
function lookup2(
  net: Net,
  table: UdpTable,
  saddr: number,
  sport: number,
  daddr: number,
  hnum: number,
  dif: number,
  laddr: number,
  skb: SkBuff | null,
): UdpSock | null {
  let result: UdpSock | null = null;
  let badness = 0;
  const hash = ipv4PortaddrHash(net, daddr, hnum);
  for (let sk = table.hash2[hash & table.mask] ?? null; sk !== null; sk = sk.portaddrNext) {
    const score = computeScore(sk, saddr, sport, daddr, hnum, dif);
    if (score <= badness) continue;
    badness = score;
    result = sk;
    if (sk.skcState === TCP_ESTABLISHED || !sk.skcReuseport) continue;
    const phash = udpEhashfn(net, laddr, hnum, saddr, sport);
    const member = reuseportSelectSock(sk, phash, skb, udphdr.LEN) as UdpSock | null;
    if (member === null) continue;
    result = member;
    if (!reuseportHasConns(sk)) return member;
    // A member may be connected: the chosen one counts for what it is itself.
    badness = Math.max(badness, computeScore(member, saddr, sport, daddr, hnum, dif));
  }
  return result;
}

/**
 * The socket that a packet is for. Addresses and ports as in the packet; `skb` for the program of a group.
 * @kernel __udp4_lib_lookup net/ipv4/udp.c
 */
export function __udp4LibLookup(
  net: Net,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
  dif: number,
  skb: SkBuff | null,
): UdpSock | null {
  const table = udpTableOf(net);
  const exact = lookup2(net, table, saddr, sport, daddr, dport, dif, daddr, skb);
  return exact ?? lookup2(net, table, saddr, sport, 0, dport, dif, daddr, skb);
}

/** Only a connected socket of just this flow. @kernel __udp4_lib_demux_lookup net/ipv4/udp.c */
export function __udp4LibDemuxLookup(
  net: Net,
  daddr: number,
  dport: number,
  saddr: number,
  sport: number,
  dif: number,
): UdpSock | null {
  const table = udpTableOf(net);
  const hash = ipv4PortaddrHash(net, daddr, dport);
  const sk = table.hash2[hash & table.mask] ?? null;
  // Only the first of the chain: this is a short cut, not a search.
  if (
    sk !== null &&
    sk.udpPortHash === dport &&
    sk.skcRcvSaddr === daddr &&
    sk.skcDaddr === saddr &&
    sk.skcDport === sport &&
    (sk.skcBoundDevIf === 0 || sk.skcBoundDevIf === dif)
  ) {
    return sk;
  }
  return null;
}

/** Does the socket receive this multicast or broadcast? @kernel __udp_is_mcast_sock net/ipv4/udp.c */
export function udpIsMcastSock(
  sk: UdpSock,
  saddr: number,
  sport: number,
  daddr: number,
  hnum: number,
  dif: number,
): boolean {
  return (
    sk.udpPortHash === hnum &&
    (sk.skcDaddr === 0 || sk.skcDaddr === saddr) &&
    (sk.skcDport === 0 || sk.skcDport === sport) &&
    (sk.skcRcvSaddr === 0 || sk.skcRcvSaddr === daddr) &&
    !sk.skcIpv6only &&
    (sk.skcBoundDevIf === 0 || sk.skcBoundDevIf === dif) &&
    inetMcAllow(sk, daddr, saddr, dif)
  );
}

/** First socket of the chain of a port; go on with `skcNext`. */
export function udpHashChain(net: Net, hnum: number): UdpSock | null {
  const table = udpTableOf(net);
  return table.hash[udpHashfn(net, table, hnum)] ?? null;
}

/** @kernel __udp_disconnect net/ipv4/udp.c */
export function __udpDisconnect(sk: Sock, _flags: number): number {
  const inet = inetSk(sk);
  sk.skcState = TCP_CLOSE;
  inet.skcDaddr = 0;
  inet.skcDport = 0;
  sk.skRxhash = 0;
  if ((sk.skUserlocks & SOCK_BINDADDR_LOCK) === 0) {
    inet.skcRcvSaddr = 0;
    inet.inetSaddr = 0;
    if ((sk.skUserlocks & SOCK_BINDPORT_LOCK) !== 0) sk.skProt.rehash?.(sk);
  }
  if ((sk.skUserlocks & SOCK_BINDPORT_LOCK) === 0) {
    sk.skProt.unhash?.(sk);
    inet.inetSport = 0;
  }
  skDstReset(sk);
  return 0;
}

/** Forgets the peer, and what was not bound by the user. @kernel udp_disconnect net/ipv4/udp.c */
export function udpDisconnect(sk: Sock, flags: number): number {
  lockSock(sk);
  __udpDisconnect(sk, flags);
  releaseSock(sk);
  return 0;
}
