/**
 * Finding the socket of a segment, and a local port for a connection.
 *
 * Counterpart of net/ipv4/inet_hashtables.c. RFC 6056#3.3.4 (double-hash port selection): ports are
 * tried from an offset that depends on a secret and the destination.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  type InetBindBucket,
  inetSk,
  type RequestSock,
} from '#include/net/inet_connection_sock.ts';
import { INET_TABLE_PERTURB_SIZE, type InetHashinfo } from '#include/net/inet_hashtables.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { sockRpsDeleteFlow } from '#include/net/rps.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_DEAD } from '#include/net/sock.ts';
import {
  inetCombinedPorts,
  SOCK_KIND_FULL,
  SOCK_KIND_TIMEWAIT,
  type SockCommon,
} from '#include/net/sock_common.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { reqskPut } from '#net/core/request_sock.ts';
import { secureIpv4PortEphemeral } from '#net/core/secure_seq.ts';
import { sockHold, sockProtInuseAdd, sockPut, sockSetFlag } from '#net/core/sock.ts';
import {
  reuseportAddSock,
  reuseportAlloc,
  reuseportSelectSock,
  reuseportStopListenSock,
} from '#net/core/sock_reuseport.ts';
import { inetCskDestroySock, tcpOrphanCountAdd } from '#net/ipv4/inet_connection_sock_destroy.ts';
import {
  ehashAdd,
  ehashDel,
  inetBindBucketCreate,
  inetBindBucketFind,
  inetBindHash,
  inetEhashfn,
  ipv4PortaddrHash,
  lhash2Add,
  lhash2Del,
  skEhashfn,
  tcpGetHashinfo,
} from '#net/ipv4/inet_hashtables_bind.ts';
import { inetTwskDeschedulePut, inetTwskPut } from '#net/ipv4/inet_timewait_sock.ts';
import { inetSkStateStore } from '#net/ipv4/tcp_state.ts';
import { EADDRNOTAVAIL } from '#uapi/errno.ts';
import { LINUX_MIB_TIMEWAITRECYCLED } from '#uapi/snmp.ts';
import { TCP_CLOSE, TCP_LISTEN, TCP_TIME_WAIT } from '#uapi/tcp.ts';

/** May this time-wait entry give way to `sk`? `twp`: the caller will take it over. @kernel tcp_twsk_unique net/ipv4/tcp_ipv4.c */
export type TwskUnique = (sk: Sock, tw: InetTimewaitSock, twp: boolean) => boolean;

// ---- References to entries of any kind ---------------------------------------------------------

/** @kernel sock_gen_put net/ipv4/inet_hashtables.c */
export function sockGenPut(sk: SockCommon): void {
  if (sk.kind === SOCK_KIND_FULL) sockPut(sk as Sock);
  else if (sk.kind === SOCK_KIND_TIMEWAIT) inetTwskPut(sk as InetTimewaitSock);
  else reqskPut(sk as RequestSock);
}

/** Destructor of packets that early demux gave a socket. @kernel sock_edemux net/ipv4/inet_hashtables.c */
export function sockEdemux(skb: SkBuff): void {
  sockGenPut(skb.sk as SockCommon);
}

// ---- Lookup ------------------------------------------------------------------------------------

/** Addresses as signed numbers. @kernel inet_match include/net/inet_hashtables.h */
function inetMatch(
  net: Net,
  sk: SockCommon,
  saddr: number,
  daddr: number,
  ports: number,
  dif: number,
): boolean {
  return (
    sk.skcPortpair === ports &&
    sk.skcDaddr32 === saddr &&
    sk.skcRcvSaddr32 === daddr &&
    sk.net === net &&
    (sk.skcBoundDevIf === 0 || sk.skcBoundDevIf === dif)
  );
}

/**
 * The connection, request or time-wait entry of a segment from (saddr, sport) to (daddr, hnum), with
 * a reference for the caller; or null.
 * @kernel __inet_lookup_established net/ipv4/inet_hashtables.c
 */
export function __inetLookupEstablished(
  net: Net,
  saddr: number,
  sport: number,
  daddr: number,
  hnum: number,
  dif: number,
): SockCommon | null {
  const hinfo = tcpGetHashinfo(net);
  const hash = inetEhashfn(net, daddr, hnum, saddr, sport);
  const ports = inetCombinedPorts(sport, hnum);
  let sk = hinfo.ehash[hash & hinfo.ehashMask] as SockCommon | null;
  while (sk !== null) {
    if (sk.skcHash === hash && inetMatch(net, sk, saddr | 0, daddr | 0, ports, dif)) {
      sk.refcnt++;
      return sk;
    }
    sk = sk.skcNext;
  }
  return null;
}

/** How well a listener fits; -1: not at all. @kernel compute_score net/ipv4/inet_hashtables.c */
function computeScore(sk: Sock, net: Net, hnum: number, daddr: number, dif: number): number {
  if (sk.net !== net || sk.skcNum !== hnum || sk.skcIpv6only || sk.skcRcvSaddr !== daddr) return -1;
  if (sk.skcBoundDevIf !== 0 && sk.skcBoundDevIf !== dif) return -1;
  let score = sk.skcBoundDevIf !== 0 ? 2 : 1;
  if (sk.skcFamily === 2) score++;
  if (sk.skIncomingCpu === net.machine.cpu.id) score++;
  return score;
}

/** @kernel inet_lhash2_lookup net/ipv4/inet_hashtables.c */
function inetLhash2Lookup(
  net: Net,
  saddr: number,
  sport: number,
  laddr: number,
  daddr: number,
  hnum: number,
  dif: number,
  skb: SkBuff | null,
  doff: number,
): Sock | null {
  const hinfo = tcpGetHashinfo(net);
  let result: Sock | null = null;
  let hiscore = 0;
  let at = hinfo.lhash2[ipv4PortaddrHash(net, laddr, hnum) & hinfo.lhash2Mask] as SockCommon | null;
  for (; at !== null; at = at.skcNext) {
    const sk = at as Sock;
    const score = computeScore(sk, net, hnum, laddr, dif);
    if (score <= hiscore) continue;
    if (sk.skcReuseport) {
      const phash = inetEhashfn(net, daddr, hnum, saddr, sport);
      const chosen = reuseportSelectSock(sk, phash, skb, doff);
      if (chosen !== null) return chosen;
    }
    result = sk;
    hiscore = score;
  }
  return result;
}

/**
 * The listener for a segment, without a reference: of the address, else of any. `skb`, with a header of `doff`
 * bytes, is for the program of a group; null if there is none.
 * @kernel __inet_lookup_listener net/ipv4/inet_hashtables.c
 */
export function __inetLookupListener(
  net: Net,
  saddr: number,
  sport: number,
  daddr: number,
  hnum: number,
  dif: number,
  skb: SkBuff | null,
  doff: number,
): Sock | null {
  return (
    inetLhash2Lookup(net, saddr, sport, daddr, daddr, hnum, dif, skb, doff) ??
    inetLhash2Lookup(net, saddr, sport, 0, daddr, hnum, dif, skb, doff)
  );
}

/** Whether a looked-up entry came with a reference. */
export function lookupIsRefcounted(sk: SockCommon): boolean {
  return sk.kind !== SOCK_KIND_FULL || sk.skcState !== TCP_LISTEN;
}

/** Connection first, then listener. @kernel __inet_lookup include/net/inet_hashtables.h */
export function __inetLookup(
  net: Net,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
  dif: number,
  skb: SkBuff | null,
  doff: number,
): SockCommon | null {
  return (
    __inetLookupEstablished(net, saddr, sport, daddr, dport, dif) ??
    __inetLookupListener(net, saddr, sport, daddr, dport, dif, skb, doff)
  );
}

/** For callers that keep it: always with a reference. @kernel inet_lookup include/net/inet_hashtables.h */
export function inetLookup(
  net: Net,
  saddr: number,
  sport: number,
  daddr: number,
  dport: number,
  dif: number,
): SockCommon | null {
  const sk = __inetLookup(net, saddr, sport, daddr, dport, dif, null, 0);
  if (sk !== null && !lookupIsRefcounted(sk)) sockHold(sk as Sock);
  return sk;
}

// ---- Entering and leaving the tables -----------------------------------------------------------

/** Is there an equal entry already? Its twin of `sk` otherwise. @kernel inet_ehash_lookup_by_sk net/ipv4/inet_hashtables.c */
function ehashFindTwin(hinfo: InetHashinfo, sk: SockCommon): SockCommon | null {
  let at = hinfo.ehash[sk.skcHash & hinfo.ehashMask] as SockCommon | null;
  while (at !== null) {
    if (
      at !== sk &&
      at.skcHash === sk.skcHash &&
      inetMatch(sk.net, at, sk.skcDaddr32, sk.skcRcvSaddr32, sk.skcPortpair, sk.skcBoundDevIf)
    ) {
      return at;
    }
    at = at.skcNext;
  }
  return null;
}

/**
 * Adds `sk`: null, or what stands in the way. With `osk` it takes the place of that entry; when that is gone, there is
 * no place, and the answer is `sk` itself. Without, an equal entry is in the way if `lookForDup`: it comes with
 * a reference.
 * @kernel inet_ehash_insert net/ipv4/inet_hashtables.c
 */
export function inetEhashInsert(
  sk: SockCommon,
  osk: SockCommon | null,
  lookForDup: boolean,
): SockCommon | null {
  const hinfo = tcpGetHashinfo(sk.net);
  sk.skcHash = skEhashfn(sk);
  if (osk !== null) {
    if (!ehashDel(hinfo, osk)) return sk;
    // The table's reference; the caller has one of its own.
    osk.refcnt--;
  } else if (lookForDup) {
    const twin = ehashFindTwin(hinfo, sk);
    if (twin !== null) {
      twin.refcnt++;
      return twin;
    }
  }
  ehashAdd(hinfo, sk);
  return null;
}

/**
 * The same for a full socket; one that cannot be added is closed.
 * @kernel inet_ehash_nolisten net/ipv4/inet_hashtables.c
 */
export function inetEhashNolisten(
  sk: Sock,
  osk: SockCommon | null,
  lookForDup: boolean,
): SockCommon | null {
  const found = inetEhashInsert(sk, osk, lookForDup);
  if (found === null) {
    sockProtInuseAdd(sk.net, sk.skProt, 1);
  } else {
    tcpOrphanCountAdd(sk, 1);
    inetSkStateStore(sk, TCP_CLOSE);
    sockSetFlag(sk, SOCK_DEAD);
    inetCskDestroySock(sk);
  }
  return found;
}

/** Listeners of one port and address with SO_REUSEPORT form a group. @kernel inet_reuseport_add_sock net/ipv4/inet_hashtables.c */
function inetReuseportAddSock(sk: Sock, hinfo: InetHashinfo): number {
  const slot = ipv4PortaddrHash(sk.net, sk.skcRcvSaddr, sk.skcNum) & hinfo.lhash2Mask;
  let at = hinfo.lhash2[slot] as SockCommon | null;
  for (; at !== null; at = at.skcNext) {
    const sk2 = at as Sock;
    if (
      sk2 !== sk &&
      sk2.net === sk.net &&
      sk2.skcFamily === sk.skcFamily &&
      sk2.skcNum === sk.skcNum &&
      sk2.skcBoundDevIf === sk.skcBoundDevIf &&
      sk2.skcReuseport &&
      sk2.skUid === sk.skUid &&
      sk2.skcRcvSaddr === sk.skcRcvSaddr
    ) {
      return reuseportAddSock(sk, sk2, sk.skcRcvSaddr === 0);
    }
  }
  return reuseportAlloc(sk, sk.skcRcvSaddr === 0);
}

/** Makes a socket findable: listeners by port, others by their four numbers. 0 or a negative errno. @kernel inet_hash net/ipv4/inet_hashtables.c */
export function inetHash(sk: Sock): number {
  if (sk.skcState === TCP_CLOSE) return 0;
  if (sk.skcState !== TCP_LISTEN) {
    localBhDisable(sk.net.machine);
    inetEhashNolisten(sk, null, false);
    localBhEnable(sk.net.machine);
    return 0;
  }
  const hinfo = tcpGetHashinfo(sk.net);
  if (sk.skcReuseport) {
    const err = inetReuseportAddSock(sk, hinfo);
    if (err !== 0) return err;
  }
  lhash2Add(hinfo, sk);
  sockProtInuseAdd(sk.net, sk.skProt, 1);
  return 0;
}

/** @kernel inet_unhash net/ipv4/inet_hashtables.c */
export function inetUnhash(sk: Sock): void {
  sockRpsDeleteFlow(sk);
  if (!sk.hashed) return;
  const hinfo = tcpGetHashinfo(sk.net);
  if (sk.skcState === TCP_LISTEN) {
    if (sk.skReuseportCb !== null) reuseportStopListenSock(sk);
    lhash2Del(hinfo, sk);
  } else {
    ehashDel(hinfo, sk);
  }
  sockProtInuseAdd(sk.net, sk.skProt, -1);
}

// ---- Local ports -------------------------------------------------------------------------------

/** The range of ephemeral ports for `sk`. @kernel inet_sk_get_local_port_range net/ipv4/inet_connection_sock.c */
export function inetSkLocalPortLow(sk: Sock): number {
  const lo = sk.net.ipv4.sysctlIpLocalPortRangeLo;
  const own = inetSk(sk).localPortRangeLo;
  return own !== 0 && own > lo && own <= sk.net.ipv4.sysctlIpLocalPortRangeHi ? own : lo;
}

export function inetSkLocalPortHigh(sk: Sock): number {
  const hi = sk.net.ipv4.sysctlIpLocalPortRangeHi;
  const own = inetSk(sk).localPortRangeHi;
  return own !== 0 && own < hi && own >= sk.net.ipv4.sysctlIpLocalPortRangeLo ? own : hi;
}

/** @kernel inet_is_local_reserved_port include/net/ip.h */
export function inetIsLocalReservedPort(net: Net, port: number): boolean {
  const reserved = net.ipv4.sysctlLocalReservedPorts;
  return reserved.size !== 0 && reserved.has(port);
}

/**
 * Enters (sk, lport) into the table unless a connection of these four numbers exists. A time-wait
 * entry that may be reused gives way. `tb`: the port's bucket, which sk joins before the entry leaves
 * it, perhaps as its last owner; null: sk is bound already. 0 or -EADDRNOTAVAIL.
 * @kernel __inet_check_established net/ipv4/inet_hashtables.c
 */
function inetCheckEstablished(
  sk: Sock,
  lport: number,
  hash: number,
  twskUnique: TwskUnique,
  tb: InetBindBucket | null,
): number {
  const { net } = sk;
  const inet = inetSk(sk);
  const hinfo = tcpGetHashinfo(net);
  const dif = sk.skcBoundDevIf;
  const ports = inetCombinedPorts(sk.skcDport, lport);
  let tw: InetTimewaitSock | null = null;
  let sk2 = hinfo.ehash[hash & hinfo.ehashMask] as SockCommon | null;
  for (; sk2 !== null; sk2 = sk2.skcNext) {
    if (sk2.skcHash !== hash) continue;
    if (!inetMatch(net, sk2, sk.skcDaddr32, sk.skcRcvSaddr32, ports, dif)) continue;
    if (sk2.skcState !== TCP_TIME_WAIT) return -EADDRNOTAVAIL;
    if (!twskUnique(sk, sk2 as InetTimewaitSock, tb !== null)) return -EADDRNOTAVAIL;
    tw = sk2 as InetTimewaitSock;
    break;
  }
  // Before the entry can be found, it must be whole.
  inet.skcNum = lport;
  inet.inetSport = lport;
  sk.skcHash = hash;
  if (tw !== null) {
    // The chain's reference ends; the timer's and the bucket's go below.
    if (ehashDel(hinfo, tw)) tw.refcnt--;
    netIncStats(net, LINUX_MIB_TIMEWAITRECYCLED);
  }
  ehashAdd(hinfo, sk);
  sockProtInuseAdd(net, sk.skProt, 1);
  if (tb !== null) inetBindHash(sk, tb, lport);
  if (tw !== null) inetTwskDeschedulePut(tw);
  return 0;
}

/** Tries one ephemeral port. True when `sk` now has it. */
function tryPort(sk: Sock, port: number, hashPort0: number, twskUnique: TwskUnique): boolean {
  const { net } = sk;
  const tb = inetBindBucketFind(net, port, 0);
  if (tb !== null) {
    // Somebody bound it explicitly: connect() stays away. Else the four numbers decide.
    if (tb.fastreuse >= 0 || tb.fastreuseport >= 0) return false;
    return inetCheckEstablished(sk, port, (hashPort0 + port) | 0, twskUnique, tb) === 0;
  }
  const fresh = inetBindBucketCreate(net, port, 0);
  fresh.fastreuse = -1;
  fresh.fastreuseport = -1;
  inetBindHash(sk, fresh, port);
  inetSk(sk).inetSport = port;
  inetEhashNolisten(sk, null, false);
  return true;
}

/**
 * Finds a port from an offset given by the destination. Steps by two, connect() taking the ports of
 * the range's parity and bind() the others, so that they seldom meet.
 * @kernel __inet_hash_connect net/ipv4/inet_hashtables.c
 * @rfc 6056#3.3.4
 */
function hashConnectAnyPort(
  sk: Sock,
  portOffset: number,
  hashPort0: number,
  twskUnique: TwskUnique,
): number {
  const { net } = sk;
  const hinfo = tcpGetHashinfo(net);
  const low = inetSkLocalPortLow(sk);
  const high = inetSkLocalPortHigh(sk) + 1;
  const own = inetSk(sk).localPortRangeLo !== 0 || inetSk(sk).localPortRangeHi !== 0;
  const step = own ? 1 : 2;
  let remaining = high - low;
  if (remaining > 1 && !own) remaining &= ~1;
  const index = portOffset & (INET_TABLE_PERTURB_SIZE - 1);
  let offset = ((hinfo.tablePerturb[index]! + (portOffset >>> 8)) >>> 0) % remaining;
  if (!own) offset &= ~1;
  const passes = own || remaining <= 1 ? 1 : 2;
  for (let pass = 0; pass < passes; pass++) {
    let port = low + offset + pass;
    for (let i = 0; i < remaining; i += step, port += step) {
      if (port >= high) port -= remaining;
      if (inetIsLocalReservedPort(net, port) || !tryPort(sk, port, hashPort0, twskUnique)) continue;
      // Some randomness for the next choice, without shrinking the distance already covered.
      const advance = Math.max(i, net.machine.random.below(8) * step);
      hinfo.tablePerturb[index]! += advance + step;
      return 0;
    }
  }
  return -EADDRNOTAVAIL;
}

/**
 * Binds a connecting socket to a port where needed and makes it findable. 0 or -EADDRNOTAVAIL.
 * @kernel inet_hash_connect net/ipv4/inet_hashtables.c
 */
export function inetHashConnect(sk: Sock, twskUnique: TwskUnique): number {
  const { net } = sk;
  const { machine } = net;
  const inet = inetSk(sk);
  const hashPort0 = inetEhashfn(net, inet.skcRcvSaddr, 0, inet.skcDaddr, inet.skcDport);
  localBhDisable(machine);
  let err: number;
  if (inet.skcNum !== 0) {
    err = inetCheckEstablished(sk, inet.skcNum, (hashPort0 + inet.skcNum) | 0, twskUnique, null);
  } else {
    const offset = secureIpv4PortEphemeral(machine, inet.skcRcvSaddr, inet.skcDaddr, inet.skcDport);
    err = hashConnectAnyPort(sk, offset, hashPort0, twskUnique);
  }
  localBhEnable(machine);
  return err;
}
