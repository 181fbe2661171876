/**
 * The TCP authentication option of arriving segments: which key, whether the code is right, what it asks
 * for. And what is signed without a full socket: resets and acknowledgments.
 *
 * Counterpart: the receiving part of net/ipv4/tcp_ao.c. RFC 5925#7.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  SOCK_KIND_REQUEST,
  SOCK_KIND_TIMEWAIT,
  type SockCommon,
} from '#include/net/sock_common.ts';
import { tcpSk } from '#include/net/tcp.ts';
import type { TcpAoInfo, TcpAoKey } from '#include/net/tcp_auth.ts';
import type { AoEvent } from '#include/trace/events/tcp.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { view } from '#mm/memory.ts';
import {
  scratchTrafficKey,
  tcpAoComputeSne,
  tcpAoDoLookup,
  tcpAoEstablishedKey,
  tcpAoHashSkb,
  tcpV4AoCalcKeySkb,
} from '#net/ipv4/tcp_ao.ts';
import { digestMatches } from '#net/ipv4/tcp_sigpool.ts';
import { ENOENT, ENOTCONN } from '#uapi/errno.ts';
import { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP_PROT_UNREACH } from '#uapi/icmp.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_TCP_AOFAILURE,
  SKB_DROP_REASON_TCP_AOKEYNOTFOUND,
  SKB_DROP_REASON_TCP_AOUNEXPECTED,
  SKB_DROP_REASON_TCP_CLOSE,
  SKB_DROP_REASON_TCP_FLAGS,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_TCPAOBAD,
  LINUX_MIB_TCPAODROPPEDICMPS,
  LINUX_MIB_TCPAOGOOD,
  LINUX_MIB_TCPAOKEYNOTFOUND,
} from '#uapi/snmp.ts';
import {
  TCP_CLOSE,
  TCP_NEW_SYN_RECV,
  TCPF_CLOSE_WAIT,
  TCPF_CLOSING,
  TCPF_ESTABLISHED,
  TCPF_FIN_WAIT1,
  TCPF_FIN_WAIT2,
  TCPF_LAST_ACK,
  TCPF_LISTEN,
  TCPF_NEW_SYN_RECV,
  TCPF_SYN_RECV,
  TCPF_SYN_SENT,
  TCPF_TIME_WAIT,
  TCPHDR_ACK,
  TCPHDR_RST,
  TCPHDR_SYN,
  tcphdr,
} from '#uapi/tcp.ts';
import { TCP_AO_HDR_LEN } from '#uapi/tcp_auth.ts';

const TCP_AO_ESTABLISHED: number =
  TCPF_ESTABLISHED |
  TCPF_FIN_WAIT1 |
  TCPF_FIN_WAIT2 |
  TCPF_CLOSE_WAIT |
  TCPF_LAST_ACK |
  TCPF_CLOSING;

// The option at `ao`: kind, length, KeyID, RNextKeyID, code.
export const aoKeyid = (ao: number): number => view.getUint8(ao + 2);
export const aoRnext = (ao: number): number => view.getUint8(ao + 3);
const aoMaclen = (ao: number): number => view.getUint8(ao + 1) - TCP_AO_HDR_LEN;

function traceAo(trace: AoEvent, sk: Sock, skb: SkBuff, ao: number): void {
  if (tracepointKey.enabled) trace.probe?.(sk, skb, aoKeyid(ao), aoRnext(ao), aoMaclen(ao));
}

/** @kernel tcp_ao_verify_hash net/ipv4/tcp_ao.c */
function tcpAoVerifyHash(
  sk: Sock,
  skb: SkBuff,
  info: TcpAoInfo,
  ao: number,
  key: TcpAoKey,
  trafficKey: Uint8Array,
  sne: number,
): number {
  const iph = skb.networkHeader;
  const { tcp } = sk.net.machine.trace;
  const phash = ao + TCP_AO_HDR_LEN;
  let trace = tcp.tcpAoWrongMaclen;
  let good = aoMaclen(ao) === key.maclen;
  if (good) {
    trace = tcp.tcpAoMismatch;
    const saddr = iphdr.saddr(view, iph);
    const daddr = iphdr.daddr(view, iph);
    const offset = phash - skb.transportHeader;
    const code = tcpAoHashSkb(key, trafficKey, saddr, daddr, skb, offset, sne);
    good = digestMatches(phash, code, key.maclen);
  }
  if (!good) {
    netIncStats(sk.net, LINUX_MIB_TCPAOBAD);
    info.pktBad++;
    key.pktBad++;
    traceAo(trace, sk, skb, ao);
    return SKB_DROP_REASON_TCP_AOFAILURE;
  }
  netIncStats(sk.net, LINUX_MIB_TCPAOGOOD);
  info.pktGood++;
  key.pktGood++;
  return 0;
}

function keyNotFound(sk: Sock, skb: SkBuff, info: TcpAoInfo, ao: number): number {
  netIncStats(sk.net, LINUX_MIB_TCPAOKEYNOTFOUND);
  info.keyNotFound++;
  traceAo(sk.net.machine.trace.tcp.tcpAoKeyNotFound, sk, skb, ao);
  return SKB_DROP_REASON_TCP_AOKEYNOTFOUND;
}

/** Checks under the traffic key of one-time use that the initial numbers make. */
function verifyWithIsns(
  sk: Sock,
  skb: SkBuff,
  info: TcpAoInfo,
  ao: number,
  key: TcpAoKey,
  sisn: number,
  disn: number,
  sne: number,
): number {
  const trafficKey = scratchTrafficKey(sk.net.machine, key);
  tcpV4AoCalcKeySkb(key, trafficKey, skb, sisn, disn);
  return tcpAoVerifyHash(sk, skb, info, ao, key, trafficKey, sne);
}

/**
 * A segment for an open connection. The peer may ask for another key with it.
 * @kernel tcp_inbound_ao_hash net/ipv4/tcp_ao.c
 * @rfc 5925#7.5.2
 */
function inboundEstablished(sk: Sock, skb: SkBuff, info: TcpAoInfo, ao: number): number {
  const th = skb.transportHeader;
  const keyid = aoKeyid(ao);
  let key = info.rnextKey;
  if (key === null || key.rcvid !== keyid) key = tcpAoEstablishedKey(info, -1, keyid);
  if (key === null) return keyNotFound(sk, skb, info, ao);
  const seq = tcphdr.seq(view, th);
  if ((tcphdr.flags(view, th) & (TCPHDR_SYN | TCPHDR_ACK)) === TCPHDR_SYN) {
    // The SYN again.
    return verifyWithIsns(sk, skb, info, ao, key, seq, 0, 0);
  }
  const sne = tcpAoComputeSne(info.rcvSne, tcpSk(sk).rcvNxt, seq);
  const err = tcpAoVerifyHash(sk, skb, info, ao, key, key.rcvOtherKey, sne);
  if (err !== 0) return err;
  const current = info.currentKey;
  const wanted = aoRnext(ao);
  if (current !== null && wanted !== current.sndid) {
    if (tracepointKey.enabled)
      sk.net.machine.trace.tcp.tcpAoRnextRequest.probe?.(
        sk,
        skb,
        current.sndid,
        wanted,
        aoMaclen(ao),
      );
    info.currentKey = tcpAoEstablishedKey(info, wanted, -1) ?? current;
  }
  return 0;
}

/**
 * A signed segment; `ao`: address of its option. 0 or the reason to drop it.
 * @kernel tcp_inbound_ao_hash net/ipv4/tcp_ao.c
 */
export function tcpInboundAoHash(
  sk: Sock,
  skb: SkBuff,
  req: RequestSock | null,
  ao: number,
): number {
  const info = tcpSk(sk).aoInfo;
  if (info === null) {
    netIncStats(sk.net, LINUX_MIB_TCPAOKEYNOTFOUND);
    traceAo(sk.net.machine.trace.tcp.tcpAoKeyNotFound, sk, skb, ao);
    return SKB_DROP_REASON_TCP_AOUNEXPECTED;
  }
  const state = 1 << sk.skcState;
  if ((state & TCP_AO_ESTABLISHED) !== 0) return inboundEstablished(sk, skb, info, ao);
  if (sk.skcState === TCP_CLOSE) return SKB_DROP_REASON_TCP_CLOSE;

  const th = skb.transportHeader;
  const key = tcpAoDoLookup(sk, iphdr.saddr(view, skb.networkHeader), -1, aoKeyid(ao));
  if (key === null) return keyNotFound(sk, skb, info, ao);
  const flags = tcphdr.flags(view, th) & (TCPHDR_SYN | TCPHDR_ACK);
  const seq = tcphdr.seq(view, th);
  if (flags === TCPHDR_SYN) return verifyWithIsns(sk, skb, info, ao, key, seq, 0, 0);
  let sisn = seq;
  let disn = 0;
  let sne = 0;
  if ((state & TCPF_LISTEN) !== 0) {
    if (req !== null) {
      sisn = req.rcvIsn;
      disn = req.sntIsn;
    } else if (flags === TCPHDR_ACK) {
      // Perhaps the ACK of a SYN cookie.
      sisn = (seq - 1) | 0;
      disn = (tcphdr.ackSeq(view, th) - 1) | 0;
    } else if ((flags & TCPHDR_SYN) === 0) {
      return SKB_DROP_REASON_TCP_FLAGS;
    }
    sne = tcpAoComputeSne(0, sisn, seq);
  } else if ((state & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) {
    disn = info.lisn;
    const opens = (tcphdr.flags(view, th) & (TCPHDR_SYN | TCPHDR_RST)) !== 0;
    if (!opens) sisn = info.risn;
  } else {
    return SKB_DROP_REASON_TCP_AOFAILURE;
  }
  return verifyWithIsns(sk, skb, info, ao, key, sisn, disn, sne);
}

// ---- ICMP --------------------------------------------------------------------------------------

/**
 * Hard errors are not believed on signed connections: anybody can send them.
 * @kernel tcp_ao_ignore_icmp net/ipv4/tcp_ao.c
 * @rfc 5925#7.8
 */
export function aoIgnoreIcmp(sk: SockCommon, type: number, code: number): boolean {
  if (type !== ICMP_DEST_UNREACH || code < ICMP_PROT_UNREACH || code > ICMP_FRAG_NEEDED) {
    return false;
  }
  const open = TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_LISTEN | TCPF_NEW_SYN_RECV;
  if (((1 << sk.skcState) & open) !== 0) return false;
  const info =
    sk.kind === SOCK_KIND_TIMEWAIT ? (sk as InetTimewaitSock).aoInfo : tcpSk(sk as Sock).aoInfo;
  if (info === null || info.acceptIcmps) return false;
  netIncStats(sk.net, LINUX_MIB_TCPAODROPPEDICMPS);
  info.droppedIcmp++;
  return true;
}

// ---- Resets ------------------------------------------------------------------------------------

/** What a segment of a small socket is signed with. */
export interface AoReplyKey {
  readonly key: TcpAoKey;
  readonly trafficKey: Uint8Array;
  /** KeyID to ask for. */
  readonly rnext: number;
  readonly sne: number;
}

/** A reset of a listener or request: the initial numbers come from the segment. */
function resetKeyOpening(
  sk: SockCommon,
  skb: SkBuff,
  ao: number,
  seq: number,
): AoReplyKey | number {
  const th = skb.transportHeader;
  let sisn = tcphdr.seq(view, th);
  let disn = 0;
  let sne = 0;
  let owner: Sock | null = null;
  if (sk.kind === SOCK_KIND_REQUEST) {
    const req = sk as RequestSock;
    sisn = req.rcvIsn;
    disn = req.sntIsn;
    sne = tcpAoComputeSne(0, req.sntIsn, seq);
    owner = req.rskListener;
  } else {
    owner = sk as Sock;
  }
  if (owner === null) return -ENOENT;
  const saddr = iphdr.saddr(view, skb.networkHeader);
  const key = tcpAoDoLookup(owner, saddr, -1, aoRnext(ao));
  if (key === null) return -ENOENT;
  const trafficKey = scratchTrafficKey(sk.net.machine, key);
  tcpV4AoCalcKeySkb(key, trafficKey, skb, sisn, disn);
  return { key, trafficKey, rnext: key.rcvid, sne };
}

/**
 * The key for a reset in answer to `skb` with number `seq`. A negative errno: none, and none may be
 * sent.
 * @kernel tcp_ao_prepare_reset net/ipv4/tcp_ao.c
 * @rfc 5925#7.7
 */
export function tcpAoPrepareReset(
  sk: SockCommon | null,
  skb: SkBuff,
  ao: number,
  seq: number,
): AoReplyKey | number {
  if (sk === null) return -ENOTCONN;
  if (sk.skcState === TCP_NEW_SYN_RECV || ((1 << sk.skcState) & TCPF_LISTEN) !== 0) {
    return resetKeyOpening(sk, skb, ao, seq);
  }
  const timeWait = ((1 << sk.skcState) & TCPF_TIME_WAIT) !== 0;
  const info = timeWait ? (sk as InetTimewaitSock).aoInfo : tcpSk(sk as Sock).aoInfo;
  const basis = timeWait ? (sk as InetTimewaitSock).twSndNxt : tcpSk(sk as Sock).sndUna;
  if (info === null) return -ENOENT;
  const key = tcpAoEstablishedKey(info, aoRnext(ao), -1);
  if (key === null || info.rnextKey === null) return -ENOENT;
  const sne = tcpAoComputeSne(info.sndSne, basis, seq);
  return { key, trafficKey: key.sndOtherKey, rnext: info.rnextKey.rcvid, sne };
}

/** The key for an ACK of a time-wait socket in answer to a signed segment, or null. @kernel tcp_v4_timewait_ack net/ipv4/tcp_ipv4.c */
export function tcpAoTimewaitKey(tw: InetTimewaitSock, ao: number): AoReplyKey | null {
  const info = tw.aoInfo;
  if (info === null || ao === 0 || info.rnextKey === null) return null;
  const key = tcpAoEstablishedKey(info, aoRnext(ao), -1);
  if (key === null) return null;
  return { key, trafficKey: key.sndOtherKey, rnext: info.rnextKey.rcvid, sne: info.sndSne };
}
