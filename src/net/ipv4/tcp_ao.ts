/**
 * The TCP authentication option: keys, traffic keys, and the codes of outgoing segments.
 *
 * Counterpart: net/ipv4/tcp_ao.c; receiving is in tcp_ao_rcv.ts, the socket options in
 * tcp_ao_sockopt.ts. RFC 5925, RFC 5926 (HMAC-SHA-1-96, AES-128-CMAC-96). A connection has its own
 * traffic keys, made of the master key, the addresses and both initial sequence numbers; each code
 * covers the sequence number's extension, so that an old segment does not fit after 4 GiB.
 */
import { inetMakeMask } from '#include/linux/inetdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCPHDR_ACK, TCPHDR_SYN, tcpSk } from '#include/net/tcp.ts';
import {
  TCP_AO_HMAC_SHA1,
  TcpAoInfo,
  TcpAoKey,
  type TcpSigpool,
  tcpAoLenAligned,
} from '#include/net/tcp_auth.ts';
import type { Machine } from '#kernel/machine.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { before } from '#lib/tcp_seq.ts';
import { mem, view } from '#mm/memory.ts';
import { skGsoDisable } from '#net/core/sock_clone.ts';
import { sockKfreeS, sockKmalloc } from '#net/core/sock_mem.ts';
import {
  copyHeader,
  hashPseudoheader,
  type SigHash,
  tcpSigpoolHashSkbData,
  tcpSigpoolStart,
} from '#net/ipv4/tcp_sigpool.ts';
import { EKEYREJECTED, ENOMEM } from '#uapi/errno.ts';
import { iphdr } from '#uapi/ip.ts';
import { LINUX_MIB_TCPAOREQUIRED } from '#uapi/snmp.ts';
import { tcphdr } from '#uapi/tcp.ts';
import { TCP_AO_HDR_LEN, TCP_AO_KEYF_EXCLUDE_OPT } from '#uapi/tcp_auth.ts';

/** sizeof(struct tcp_ao_key) and its two traffic keys, what a key is charged with. */
export const TCP_AO_KEY_SIZE = 256;

// ---- Keys --------------------------------------------------------------------------------------

/** Does the key differ? -1 for an id: any. @kernel tcp_ao_key_cmp net/ipv4/tcp_ao.c */
function tcpAoKeyMatches(
  key: TcpAoKey,
  addr: number,
  prefixlen: number,
  sndid: number,
  rcvid: number,
): boolean {
  if (sndid >= 0 && key.sndid !== sndid) return false;
  if (rcvid >= 0 && key.rcvid !== rcvid) return false;
  const mask = inetMakeMask(Math.min(prefixlen, key.prefixlen));
  return ((key.addr ^ addr) & mask) === 0;
}

/** The first key that would overlap with `addr`/`prefixlen`. @kernel __tcp_ao_do_lookup net/ipv4/tcp_ao.c */
export function __tcpAoDoLookup(
  sk: Sock,
  addr: number,
  prefixlen: number,
  sndid: number,
  rcvid: number,
): TcpAoKey | null {
  let key = tcpSk(sk).aoInfo?.head ?? null;
  while (key !== null && !tcpAoKeyMatches(key, addr, prefixlen, sndid, rcvid)) key = key.next;
  return key;
}

/** A key for the peer `addr`. @kernel tcp_ao_do_lookup net/ipv4/tcp_ao.c */
export function tcpAoDoLookup(
  sk: Sock,
  addr: number,
  sndid: number,
  rcvid: number,
): TcpAoKey | null {
  return __tcpAoDoLookup(sk, addr, 32, sndid, rcvid);
}

/** A key of an open connection, whose keys all are for its peer. @kernel tcp_ao_established_key net/ipv4/tcp_ao.c */
export function tcpAoEstablishedKey(ao: TcpAoInfo, sndid: number, rcvid: number): TcpAoKey | null {
  let key = ao.head;
  while (key !== null) {
    if ((sndid < 0 || key.sndid === sndid) && (rcvid < 0 || key.rcvid === rcvid)) return key;
    key = key.next;
  }
  return null;
}

/** Must segments of the peer be signed? @kernel tcp_ao_required include/net/tcp.h */
export function tcpAoRequired(sk: Sock, saddr: number, statInc: boolean): boolean {
  const ao = tcpSk(sk).aoInfo;
  if (ao === null) return false;
  if (!ao.aoRequired && tcpAoDoLookup(sk, saddr, -1, -1) === null) return false;
  if (statInc) {
    netIncStats(sk.net, LINUX_MIB_TCPAOREQUIRED);
    ao.aoRequiredCount++;
  }
  return true;
}

/** @kernel tcp_ao_link_mkt net/ipv4/tcp_ao.c */
export function tcpAoLinkMkt(ao: TcpAoInfo, key: TcpAoKey): void {
  key.next = ao.head;
  ao.head = key;
}

/** Takes a key off the list. */
export function tcpAoUnlink(ao: TcpAoInfo, key: TcpAoKey): void {
  if (ao.head === key) {
    ao.head = key.next;
  } else {
    let prev = ao.head;
    while (prev !== null && prev.next !== key) prev = prev.next;
    if (prev !== null) prev.next = key.next;
  }
}

/** @kernel tcp_ao_destroy_sock net/ipv4/tcp_ao.c */
export function tcpAoDestroySock(sk: Sock): void {
  const tp = tcpSk(sk);
  for (let key = tp.aoInfo?.head ?? null; key !== null; key = key.next) {
    sockKfreeS(sk, TCP_AO_KEY_SIZE);
  }
  tp.aoInfo = null;
}

// ---- Sequence number extension -----------------------------------------------------------------

/**
 * The extension of `seq`, given that of `nextSeq` near it.
 * @kernel tcp_ao_compute_sne net/ipv4/tcp_ao.c
 * @rfc 5925#6.2
 */
export function tcpAoComputeSne(nextSne: number, nextSeq: number, seq: number): number {
  const above = seq >>> 0 > nextSeq >>> 0;
  if (before(seq, nextSeq)) return above ? (nextSne - 1) >>> 0 : nextSne;
  return seq >>> 0 < nextSeq >>> 0 ? (nextSne + 1) >>> 0 : nextSne;
}

/** snd_una moves to `ack`. @kernel tcp_snd_sne_update net/ipv4/tcp_input.c */
export function aoSndSneUpdate(tp: TcpSock, ao: TcpAoInfo, ack: number): void {
  if (ack >>> 0 >= tp.sndUna >>> 0) return;
  ao.sndSne = (ao.sndSne + 1) >>> 0;
  if (tracepointKey.enabled) tp.net.machine.trace.tcp.tcpAoSndSneUpdate.probe?.(tp, ao.sndSne);
}

/** rcv_nxt moves to `seq`. @kernel tcp_rcv_sne_update net/ipv4/tcp_input.c */
export function aoRcvSneUpdate(tp: TcpSock, ao: TcpAoInfo, seq: number): void {
  if (seq >>> 0 >= tp.rcvNxt >>> 0) return;
  ao.rcvSne = (ao.rcvSne + 1) >>> 0;
  if (tracepointKey.enabled) tp.net.machine.trace.tcp.tcpAoRcvSneUpdate.probe?.(tp, ao.rcvSne);
}

// ---- Traffic keys ------------------------------------------------------------------------------

/** The algorithm of a key, under `key`. */
function startCode(hp: TcpSigpool, mkt: TcpAoKey, key: Uint8Array): SigHash {
  const code = mkt.algorithm === TCP_AO_HMAC_SHA1 ? hp.hmac : hp.cmac;
  code.setKey(key);
  return code;
}

/**
 * A traffic key into `out`: KDF_HMAC_SHA1 or KDF_AES_128_CMAC over the identity of one direction.
 * @kernel tcp_v4_ao_calc_key net/ipv4/tcp_ipv4.c
 * @rfc 5926#3.1.1
 */
export function tcpV4AoCalcKey(
  machine: Machine,
  mkt: TcpAoKey,
  out: Uint8Array,
  saddr: number,
  daddr: number,
  sport: number,
  dport: number,
  sisn: number,
  disn: number,
): void {
  const hp = tcpSigpoolStart(machine);
  const v = hp.scratchView;
  v.setUint8(0, 1);
  // "TCP-AO"
  v.setUint32(1, 0x5443502d);
  v.setUint16(5, 0x414f);
  v.setUint32(7, saddr);
  v.setUint32(11, daddr);
  v.setUint16(15, sport);
  v.setUint16(17, dport);
  v.setInt32(19, sisn);
  v.setInt32(23, disn);
  v.setUint16(27, out.length * 8);
  const code = startCode(hp, mkt, mkt.key);
  code.update(hp.scratch, 0, 29);
  code.final(out, 0);
}

/** @kernel tcp_v4_ao_calc_key_sk net/ipv4/tcp_ipv4.c */
export function tcpV4AoCalcKeySk(
  mkt: TcpAoKey,
  out: Uint8Array,
  sk: Sock,
  sisn: number,
  disn: number,
  send: boolean,
): void {
  const { machine } = sk.net;
  const local = sk.skcRcvSaddr;
  const remote = sk.skcDaddr;
  if (send) {
    tcpV4AoCalcKey(machine, mkt, out, local, remote, sk.skcNum, sk.skcDport, sisn, disn);
  } else {
    tcpV4AoCalcKey(machine, mkt, out, remote, local, sk.skcDport, sk.skcNum, sisn, disn);
  }
}

/** Of our SYN-ACK. @kernel tcp_v4_ao_calc_key_rsk net/ipv4/tcp_ipv4.c */
export function tcpV4AoCalcKeyRsk(mkt: TcpAoKey, out: Uint8Array, req: RequestSock): void {
  const { irLocAddr, irRmtAddr, irNum, irRmtPort, sntIsn, rcvIsn } = req;
  const { machine } = req.net;
  tcpV4AoCalcKey(machine, mkt, out, irLocAddr, irRmtAddr, irNum, irRmtPort, sntIsn, rcvIsn);
}

/** Of the segment `skb` that has come. @kernel tcp_v4_ao_calc_key_skb net/ipv4/tcp_ipv4.c */
export function tcpV4AoCalcKeySkb(
  mkt: TcpAoKey,
  out: Uint8Array,
  skb: SkBuff,
  sisn: number,
  disn: number,
): void {
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  tcpV4AoCalcKey(
    skb.machine,
    mkt,
    out,
    iphdr.saddr(view, iph),
    iphdr.daddr(view, iph),
    tcphdr.source(view, th),
    tcphdr.dest(view, th),
    sisn,
    disn,
  );
}

/** Scratch for a traffic key that is used once. */
export function scratchTrafficKey(machine: Machine, mkt: TcpAoKey): Uint8Array {
  const hp = tcpSigpoolStart(machine);
  return mkt.algorithm === TCP_AO_HMAC_SHA1 ? hp.trafficKey20 : hp.trafficKey16;
}

/** Both traffic keys of an open connection. @kernel tcp_ao_cache_traffic_keys net/ipv4/tcp_ao.c */
export function tcpAoCacheTrafficKeys(sk: Sock, ao: TcpAoInfo, key: TcpAoKey): void {
  tcpV4AoCalcKeySk(key, key.sndOtherKey, sk, ao.lisn, ao.risn, true);
  tcpV4AoCalcKeySk(key, key.rcvOtherKey, sk, ao.risn, ao.lisn, false);
}

/** @kernel tcp_ao_established net/ipv4/tcp_ao.c */
export function aoEstablished(sk: Sock): void {
  const ao = tcpSk(sk).aoInfo;
  if (ao === null) return;
  for (let key = ao.head; key !== null; key = key.next) tcpAoCacheTrafficKeys(sk, ao, key);
}

/** @kernel tcp_ao_finish_connect net/ipv4/tcp_ao.c */
export function aoFinishConnect(sk: Sock, skb: SkBuff): void {
  const ao = tcpSk(sk).aoInfo;
  if (ao === null) return;
  ao.risn = tcphdr.seq(view, skb.transportHeader);
  ao.rcvSne = 0;
  aoEstablished(sk);
}

// ---- Codes -------------------------------------------------------------------------------------

/**
 * The header with code and checksum zero; of its options only this one, when the key says so.
 * @kernel tcp_ao_hash_header net/ipv4/tcp_ao.c
 * @rfc 5925#5.1
 */
function hashHeader(
  hp: TcpSigpool,
  hash: SigHash,
  bytes: Uint8Array,
  th: number,
  mkt: TcpAoKey,
  hashOffset: number,
): void {
  let len = (bytes[th + 12]! >> 4) << 2;
  copyHeader(hp, bytes, th, len);
  let at = hashOffset;
  if ((mkt.keyflags & TCP_AO_KEYF_EXCLUDE_OPT) !== 0) {
    hp.scratch.copyWithin(tcphdr.LEN, hashOffset - TCP_AO_HDR_LEN, hashOffset);
    at = tcphdr.LEN + TCP_AO_HDR_LEN;
    len = at + mkt.maclen;
  }
  hp.scratch.fill(0, at, at + mkt.maclen);
  hash.update(hp.scratch, 0, len);
}

/** The extension, and the pseudo header. */
function startMessage(
  hp: TcpSigpool,
  mkt: TcpAoKey,
  trafficKey: Uint8Array,
  sne: number,
  saddr: number,
  daddr: number,
  len: number,
): SigHash {
  const code = startCode(hp, mkt, trafficKey);
  hp.scratchView.setUint32(0, sne);
  code.update(hp.scratch, 0, 4);
  hashPseudoheader(hp, code, saddr, daddr, len);
  return code;
}

/**
 * Code of the segment `skb`, whose data is at its header; `hashOffset` from there to the code in it.
 * It lies in the machine's scratch.
 * @kernel tcp_ao_hash_skb net/ipv4/tcp_ao.c
 */
export function tcpAoHashSkb(
  mkt: TcpAoKey,
  trafficKey: Uint8Array,
  saddr: number,
  daddr: number,
  skb: SkBuff,
  hashOffset: number,
  sne: number,
): Uint8Array {
  const hp = tcpSigpoolStart(skb.machine);
  const th = skb.transportHeader;
  const code = startMessage(hp, mkt, trafficKey, sne, saddr, daddr, skb.len);
  hashHeader(hp, code, mem, th, mkt, hashOffset);
  tcpSigpoolHashSkbData(code, skb, tcphdr.hdrlen(view, th));
  code.final(hp.digest, 0);
  return hp.digest;
}

/** Code of a segment without data, built in `header`. @kernel tcp_ao_hash_hdr net/ipv4/tcp_ao.c */
export function tcpAoHashHdr(
  machine: Machine,
  mkt: TcpAoKey,
  trafficKey: Uint8Array,
  saddr: number,
  daddr: number,
  header: Uint8Array,
  hashOffset: number,
  sne: number,
): Uint8Array {
  const hp = tcpSigpoolStart(machine);
  const code = startMessage(hp, mkt, trafficKey, sne, saddr, daddr, header.length);
  hashHeader(hp, code, header, 0, mkt, hashOffset);
  code.final(hp.digest, 0);
  return hp.digest;
}

/** Signs an outgoing segment. @kernel tcp_ao_transmit_skb net/ipv4/tcp_ao.c */
export function tcpAoTransmitSkb(sk: Sock, skb: SkBuff, key: TcpAoKey, hashLocation: number): void {
  const tp = tcpSk(sk);
  const ao = tp.aoInfo;
  if (ao === null) return;
  const th = skb.transportHeader;
  const flags = skb.tcpCb.tcpFlags;
  let trafficKey = key.sndOtherKey;
  if ((flags & TCPHDR_SYN) !== 0) {
    // The peer's number is not known before it has answered.
    const disn = (flags & TCPHDR_ACK) !== 0 ? ao.risn : 0;
    if (disn === 0) trafficKey = scratchTrafficKey(sk.net.machine, key);
    tcpV4AoCalcKeySk(key, trafficKey, sk, ao.lisn, disn, true);
  }
  const sne = tcpAoComputeSne(ao.sndSne, tp.sndUna, tcphdr.seq(view, th));
  const { skcRcvSaddr: saddr, skcDaddr: daddr } = sk;
  const code = tcpAoHashSkb(key, trafficKey, saddr, daddr, skb, hashLocation - th, sne);
  mem.set(code.subarray(0, key.maclen), hashLocation);
}

/** Signs a SYN-ACK. @kernel tcp_v4_ao_synack_hash net/ipv4/tcp_ipv4.c */
export function tcpV4AoSynackHash(
  key: TcpAoKey,
  req: RequestSock,
  skb: SkBuff,
  hashLocation: number,
): void {
  const trafficKey = scratchTrafficKey(req.net.machine, key);
  tcpV4AoCalcKeyRsk(key, trafficKey, req);
  const offset = hashLocation - skb.transportHeader;
  const { irLocAddr, irRmtAddr } = req;
  const code = tcpAoHashSkb(key, trafficKey, irLocAddr, irRmtAddr, skb, offset, 0);
  mem.set(code.subarray(0, key.maclen), hashLocation);
}

// ---- Connections -------------------------------------------------------------------------------

/** The keys that a connection begins with: those for its peer. @kernel tcp_ao_connect_init net/ipv4/tcp_ao.c */
export function aoConnectInit(sk: Sock): void {
  const tp = tcpSk(sk);
  const ao = tp.aoInfo;
  if (ao === null) return;
  for (let key = ao.head; key !== null; key = key.next) {
    if (tcpAoKeyMatches(key, sk.skcDaddr, key.prefixlen, -1, -1)) continue;
    if (ao.currentKey === key) ao.currentKey = null;
    if (ao.rnextKey === key) ao.rnextKey = null;
    tcpAoUnlink(ao, key);
    sockKfreeS(sk, TCP_AO_KEY_SIZE);
  }
  const key = tcpAoDoLookup(sk, sk.skcDaddr, -1, -1);
  if (key === null) {
    tp.aoInfo = null;
    return;
  }
  ao.currentKey ??= key;
  ao.rnextKey ??= key;
  tp.tcpHeaderLen += tcpAoLenAligned(key);
  ao.lisn = tp.writeSeq;
  ao.sndSne = 0;
}

function copyKey(key: TcpAoKey): TcpAoKey {
  return new TcpAoKey(key, key.algorithm, key.maclen, key.key);
}

/**
 * The child of a listener gets its keys for the peer. 0, -ENOMEM, or -EKEYREJECTED: they have been
 * removed since the SYN came, which must not turn into an unsigned connection.
 * @kernel tcp_ao_copy_all_matching net/ipv4/tcp_ao.c
 * @rfc 5925#7.4.1
 */
export function tcpAoCopyAllMatching(sk: Sock, newsk: Sock, req: RequestSock): number {
  const ao = tcpSk(sk).aoInfo;
  if (ao === null || !req.usedTcpAo) return 0;
  const newAo = new TcpAoInfo();
  newAo.lisn = req.sntIsn;
  newAo.risn = req.rcvIsn;
  newAo.aoRequired = ao.aoRequired;
  newAo.acceptIcmps = ao.acceptIcmps;
  tcpSk(newsk).aoInfo = newAo;
  for (let key = ao.head; key !== null; key = key.next) {
    if (!tcpAoKeyMatches(key, newsk.skcDaddr, key.prefixlen, -1, -1)) continue;
    if (!sockKmalloc(newsk, TCP_AO_KEY_SIZE)) return -ENOMEM;
    const copy = copyKey(key);
    tcpAoCacheTrafficKeys(newsk, newAo, copy);
    tcpAoLinkMkt(newAo, copy);
  }
  if (newAo.head === null) return -EKEYREJECTED;
  newAo.currentKey = tcpAoEstablishedKey(newAo, req.aoKeyid, -1) ?? newAo.head;
  newAo.rnextKey = tcpAoEstablishedKey(newAo, -1, req.aoRcvNext) ?? newAo.head;
  skGsoDisable(newsk);
  return 0;
}
