/**
 * Signatures of arriving segments, of either kind, and the choice of the key for the next one we send.
 *
 * Counterpart: tcp_inbound_hash, tcp_parse_auth_options, tcp_get_current_key of include/net/tcp.h and
 * net/ipv4/tcp.c. RFC 2385, RFC 5925. A peer with a key is heard only with a right signature, one
 * without only unsigned, and nobody gets an answer to a wrong one.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import {
  TCP_KEY_AO,
  TCP_KEY_MD5,
  TCP_KEY_NONE,
  type TcpAuthOptions,
} from '#include/net/tcp_auth.ts';
import type { TcpOutOptions } from '#include/net/tcp_out_options.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { view } from '#mm/memory.ts';
import { tcpAoRequired } from '#net/ipv4/tcp_ao.ts';
import { tcpInboundAoHash } from '#net/ipv4/tcp_ao_rcv.ts';
import { tcpMd5DoLookup, tcpV4Md5HashSkb } from '#net/ipv4/tcp_md5.ts';
import { digestMatches } from '#net/ipv4/tcp_sigpool.ts';
import { EEXIST, EINVAL } from '#uapi/errno.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_TCP_AOFAILURE,
  SKB_DROP_REASON_TCP_AONOTFOUND,
  SKB_DROP_REASON_TCP_AUTH_HDR,
  SKB_DROP_REASON_TCP_MD5FAILURE,
  SKB_DROP_REASON_TCP_MD5NOTFOUND,
  SKB_DROP_REASON_TCP_MD5UNEXPECTED,
} from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_TCPAOBAD,
  LINUX_MIB_TCPMD5FAILURE,
  LINUX_MIB_TCPMD5NOTFOUND,
  LINUX_MIB_TCPMD5UNEXPECTED,
} from '#uapi/snmp.ts';
import {
  TCPOLEN_MD5SIG,
  TCPOLEN_TSTAMP_ALIGNED,
  TCPOPT_AO,
  TCPOPT_EOL,
  TCPOPT_MD5SIG,
  TCPOPT_NOP,
  tcphdr,
} from '#uapi/tcp.ts';
import { TCP_AO_HDR_LEN } from '#uapi/tcp_auth.ts';

const MD5_DIGEST_LEN = 16;
/** NOP, NOP, timestamps: the options of almost every segment. */
const WORD_TSTAMP = 0x0101080a;
/** The shortest option that counts here: the authentication option with one octet of code. */
const MIN_LEN: number = TCP_AO_HDR_LEN + 1;

/**
 * Looks for signatures in the options of the segment at `th`. 0, or a negative errno: one is
 * malformed, or there is more than one.
 * @kernel tcp_parse_auth_options include/net/tcp.h
 */
export function tcpParseAuthOptions(th: number, out: TcpAuthOptions): number {
  out.md5 = 0;
  out.ao = 0;
  const hdrlen = tcphdr.hdrlen(view, th);
  if (hdrlen === tcphdr.LEN) return 0;
  if (
    hdrlen === tcphdr.LEN + TCPOLEN_TSTAMP_ALIGNED &&
    view.getInt32(th + tcphdr.LEN) === WORD_TSTAMP
  ) {
    return 0;
  }
  const end = th + hdrlen;
  let ptr = th + tcphdr.LEN;
  while (end - ptr >= MIN_LEN) {
    const opcode = view.getUint8(ptr);
    if (opcode === TCPOPT_EOL) return 0;
    if (opcode === TCPOPT_NOP) {
      ptr++;
      continue;
    }
    const opsize = view.getUint8(ptr + 1);
    if (opsize < 2 || opsize > end - ptr) return -EINVAL;
    if (opcode === TCPOPT_MD5SIG || opcode === TCPOPT_AO) {
      const wrong = opcode === TCPOPT_MD5SIG ? opsize !== TCPOLEN_MD5SIG : opsize < MIN_LEN;
      if (wrong) return -EINVAL;
      if (out.md5 !== 0 || out.ao !== 0) return -EEXIST;
      if (opcode === TCPOPT_MD5SIG) out.md5 = ptr + 2;
      else out.ao = ptr;
    }
    ptr += opsize;
  }
  return 0;
}

/** @kernel tcp_inbound_md5_hash net/ipv4/tcp.c */
function tcpInboundMd5Hash(
  sk: Sock,
  skb: SkBuff,
  saddr: number,
  daddr: number,
  at: number,
): number {
  const { tcp } = sk.net.machine.trace;
  const key = tcpMd5DoLookup(sk, saddr);
  if (key === null) {
    netIncStats(sk.net, LINUX_MIB_TCPMD5UNEXPECTED);
    if (tracepointKey.enabled) tcp.tcpHashMd5Unexpected.probe?.(sk, skb);
    return SKB_DROP_REASON_TCP_MD5UNEXPECTED;
  }
  if (digestMatches(at, tcpV4Md5HashSkb(key, saddr, daddr, skb), MD5_DIGEST_LEN)) return 0;
  netIncStats(sk.net, LINUX_MIB_TCPMD5FAILURE);
  if (tracepointKey.enabled) tcp.tcpHashMd5Mismatch.probe?.(sk, skb);
  return SKB_DROP_REASON_TCP_MD5FAILURE;
}

/** An unsigned segment is for a peer without keys. */
function inboundUnsigned(sk: Sock, skb: SkBuff, saddr: number): number {
  const { tcp } = sk.net.machine.trace;
  if (tcpAoRequired(sk, saddr, true)) {
    if (tracepointKey.enabled) tcp.tcpHashAoRequired.probe?.(sk, skb);
    return SKB_DROP_REASON_TCP_AONOTFOUND;
  }
  if (tcpMd5DoLookup(sk, saddr) === null) return 0;
  netIncStats(sk.net, LINUX_MIB_TCPMD5NOTFOUND);
  if (tracepointKey.enabled) tcp.tcpHashMd5Required.probe?.(sk, skb);
  return SKB_DROP_REASON_TCP_MD5NOTFOUND;
}

/**
 * Checks the signature of a segment, whose data is at its header; `req` when it is for a request of
 * the listener `sk`. 0 or the reason to drop it in silence.
 * @kernel tcp_inbound_hash net/ipv4/tcp.c
 */
export function tcpV4InboundHash(sk: Sock, req: RequestSock | null, skb: SkBuff): number {
  const { machine } = sk.net;
  const auth = machine.netGlobals.tcpAuthOptions;
  const { tcp } = machine.trace;
  if (tcpParseAuthOptions(skb.transportHeader, auth) !== 0) {
    if (tracepointKey.enabled) tcp.tcpHashBadHeader.probe?.(sk, skb);
    return SKB_DROP_REASON_TCP_AUTH_HDR;
  }
  const { md5, ao } = auth;
  if (req !== null && req.usedTcpAo !== (ao !== 0)) {
    netIncStats(sk.net, LINUX_MIB_TCPAOBAD);
    if (tracepointKey.enabled)
      tcp.tcpAoHandshakeFailure.probe?.(sk, skb, req.aoKeyid, req.aoRcvNext, req.aoMaclen);
    return SKB_DROP_REASON_TCP_AOFAILURE;
  }
  const tp = tcpSk(sk);
  if (md5 === 0 && ao === 0 && tp.md5sigInfo === null && tp.aoInfo === null) return 0;
  const iph = skb.networkHeader;
  const saddr = iphdr.saddr(view, iph);
  if (ao !== 0) return tcpInboundAoHash(sk, skb, req, ao);
  if (md5 !== 0) return tcpInboundMd5Hash(sk, skb, saddr, iphdr.daddr(view, iph), md5);
  return inboundUnsigned(sk, skb, saddr);
}

/** Notes in `opts` what the next segment of `sk` is signed with. @kernel tcp_get_current_key include/net/tcp.h */
export function tcpV4CurrentKey(sk: Sock, opts: TcpOutOptions): void {
  const tp = tcpSk(sk);
  opts.keyType = TCP_KEY_NONE;
  if (tp.aoInfo !== null && tp.aoInfo.currentKey !== null) {
    opts.keyType = TCP_KEY_AO;
    opts.aoKey = tp.aoInfo.currentKey;
    opts.aoRnext = tp.aoInfo.rnextKey?.rcvid ?? 0;
    opts.aoKeyid = opts.aoKey.sndid;
  } else if (tp.md5sigInfo !== null) {
    opts.md5Key = tcpMd5DoLookup(sk, sk.skcDaddr);
    if (opts.md5Key !== null) opts.keyType = TCP_KEY_MD5;
  }
}
