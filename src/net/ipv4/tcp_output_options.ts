/**
 * TCP options of outgoing segments: which ones, how long, and their bytes.
 *
 * Counterpart of tcp_syn_options, tcp_synack_options, tcp_established_options and tcp_options_write in
 * net/ipv4/tcp_output.c. RFC 9293#3.2 (MSS), 7323 (timestamps, window scale), 2018 and 2883 (SACK),
 * 7413 (Fast Open). Every option starts on a word: SACK-permitted shares one with the timestamp's
 * first two octets, the rest is padded in front with NOPs.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { dstMetricAdvmss } from '#include/net/dst.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  MAX_TCP_OPTION_SPACE,
  TCP_SYNACK_COOKIE,
  TCP_SYNACK_RETRANS,
  TCPHDR_ACK,
  tcpSk,
} from '#include/net/tcp.ts';
import {
  TCP_KEY_AO,
  TCP_KEY_MD5,
  TCP_KEY_NONE,
  type TcpAoKey,
  tcpAoLen,
  tcpAoLenAligned,
} from '#include/net/tcp_auth.ts';
import { tcpGetCurrentKey } from '#include/net/tcp_auth_ops.ts';
import { tcpEcnModeAccecn } from '#include/net/tcp_ecn.ts';
import type { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';
import { tcpSkbTimestampTs } from '#include/net/tcp_inlines.ts';
import {
  OPTION_ACCECN,
  OPTION_AO,
  OPTION_FAST_OPEN_COOKIE,
  OPTION_MD5,
  OPTION_SACK_ADVERTISE,
  OPTION_TS,
  OPTION_WSCALE,
  type TcpOutOptions,
} from '#include/net/tcp_out_options.ts';
import { mem, view } from '#mm/memory.ts';
import {
  tcpAccecnOptionDue,
  tcpOptionsFitAccecn,
  writeAccecn,
} from '#net/ipv4/tcp_output_accecn.ts';
import {
  TCPOLEN_EXP_FASTOPEN_BASE,
  TCPOLEN_FASTOPEN_BASE,
  TCPOLEN_MD5SIG,
  TCPOLEN_MD5SIG_ALIGNED,
  TCPOLEN_MSS,
  TCPOLEN_MSS_ALIGNED,
  TCPOLEN_SACK_BASE,
  TCPOLEN_SACK_BASE_ALIGNED,
  TCPOLEN_SACK_PERBLOCK,
  TCPOLEN_SACK_PERM,
  TCPOLEN_SACKPERM_ALIGNED,
  TCPOLEN_TIMESTAMP,
  TCPOLEN_TSTAMP_ALIGNED,
  TCPOLEN_WINDOW,
  TCPOLEN_WSCALE_ALIGNED,
  TCPOPT_AO,
  TCPOPT_EXP,
  TCPOPT_FASTOPEN,
  TCPOPT_FASTOPEN_MAGIC,
  TCPOPT_MD5SIG,
  TCPOPT_MSS,
  TCPOPT_NOP,
  TCPOPT_SACK,
  TCPOPT_SACK_PERM,
  TCPOPT_TIMESTAMP,
  TCPOPT_WINDOW,
} from '#uapi/tcp.ts';

const WORD_MSS = (TCPOPT_MSS << 24) | (TCPOLEN_MSS << 16);
const WORD_SACK_PERM_TS =
  (TCPOPT_SACK_PERM << 24) |
  (TCPOLEN_SACK_PERM << 16) |
  (TCPOPT_TIMESTAMP << 8) |
  TCPOLEN_TIMESTAMP;
const NOP_NOP = (TCPOPT_NOP << 8) | TCPOPT_NOP;
const WORD_NOP_NOP = NOP_NOP << 16;
const WORD_TS = WORD_NOP_NOP | (TCPOPT_TIMESTAMP << 8) | TCPOLEN_TIMESTAMP;
const WORD_SACK_PERM = (TCPOPT_SACK_PERM << 8) | TCPOLEN_SACK_PERM;
const WORD_WSCALE = (TCPOPT_WINDOW << 16) | (TCPOLEN_WINDOW << 8);

/** The MSS to announce: the route's, less when the user asked for less. @kernel tcp_advertise_mss net/ipv4/tcp_output.c */
function tcpAdvertiseMss(sk: Sock): number {
  const tp = tcpSk(sk);
  const dst = sk.skDstCache;
  if (dst !== null) {
    const metric = dstMetricAdvmss(dst);
    if (metric < tp.advmss) tp.advmss = metric;
  }
  return tp.advmss;
}

/** Adds the cookie when there is room for it. Octets taken. */
function fastopenCookie(foc: TcpFastopenCookie, remaining: number, opts: TcpOutOptions): number {
  const base = foc.exp ? TCPOLEN_EXP_FASTOPEN_BASE : TCPOLEN_FASTOPEN_BASE;
  const need = (foc.len + base + 3) & ~3;
  if (remaining < need) return 0;
  opts.options |= OPTION_FAST_OPEN_COOKIE;
  opts.fastopenCookie = foc;
  return need;
}

/** Adds the signature that is due; its padded length. */
function authOptions(opts: TcpOutOptions): number {
  if (opts.keyType === TCP_KEY_MD5) {
    opts.options |= OPTION_MD5;
    return TCPOLEN_MD5SIG_ALIGNED;
  }
  if (opts.keyType === TCP_KEY_AO && opts.aoKey !== null) {
    opts.options |= OPTION_AO;
    return tcpAoLenAligned(opts.aoKey);
  }
  return 0;
}

/** Options of a SYN; `opts` names its key. Returns their length in octets. @kernel tcp_syn_options net/ipv4/tcp_output.c */
export function tcpSynOptions(sk: Sock, skb: SkBuff, opts: TcpOutOptions): number {
  const tp = tcpSk(sk);
  const { ipv4 } = sk.net;
  let remaining = MAX_TCP_OPTION_SPACE;
  opts.clear();
  opts.mss = tcpAdvertiseMss(sk);
  remaining -= TCPOLEN_MSS_ALIGNED;
  remaining -= authOptions(opts);
  // With an MD5 signature too, SACK blocks would have no room.
  if (ipv4.sysctlTcpTimestamps !== 0 && opts.keyType !== TCP_KEY_MD5) {
    opts.options |= OPTION_TS;
    opts.tsval = (tcpSkbTimestampTs(tp.usecTs, skb) + tp.tsoffset) | 0;
    opts.tsecr = tp.rxOpt.tsRecent;
    remaining -= TCPOLEN_TSTAMP_ALIGNED;
  }
  if (ipv4.sysctlTcpWindowScaling !== 0) {
    opts.ws = tp.rxOpt.rcvWscale;
    opts.options |= OPTION_WSCALE;
    remaining -= TCPOLEN_WSCALE_ALIGNED;
  }
  if (ipv4.sysctlTcpSack !== 0) {
    opts.options |= OPTION_SACK_ADVERTISE;
    if ((opts.options & OPTION_TS) === 0) remaining -= TCPOLEN_SACKPERM_ALIGNED;
  }
  const fastopen = tp.fastopenReq;
  if (fastopen !== null && fastopen.cookie.len >= 0) {
    const need = fastopenCookie(fastopen.cookie, remaining, opts);
    if (need !== 0) {
      remaining -= need;
      tp.synFastopen = true;
      tp.synFastopenExp = fastopen.cookie.exp;
    }
  }
  // A simultaneous open's SYN-ACK has the AccECN option, a SYN has not.
  if (
    (skb.tcpCb.tcpFlags & TCPHDR_ACK) !== 0 &&
    tcpEcnModeAccecn(tp) &&
    tp.icskRetransmits < 2 &&
    ipv4.sysctlTcpEcnOption !== 0
  ) {
    opts.useSynackEcnBytes = true;
    remaining -= tcpOptionsFitAccecn(opts, 0, remaining);
  }
  return MAX_TCP_OPTION_SPACE - remaining;
}

/** Options of a SYN-ACK of `synackType` (TCP_SYNACK_*); `opts` names its key. Returns their length in octets. @kernel tcp_synack_options net/ipv4/tcp_output.c */
export function tcpSynackOptions(
  req: RequestSock,
  mss: number,
  skb: SkBuff,
  foc: TcpFastopenCookie | null,
  synackType: number,
  opts: TcpOutOptions,
): number {
  const retrans = synackType === TCP_SYNACK_RETRANS;
  const cookie = synackType === TCP_SYNACK_COOKIE;
  let remaining = MAX_TCP_OPTION_SPACE;
  opts.clear();
  opts.mss = mss;
  remaining -= TCPOLEN_MSS_ALIGNED;
  remaining -= authOptions(opts);
  // A signature, timestamps and SACK blocks are too much together.
  if (opts.keyType === TCP_KEY_AO || (opts.keyType === TCP_KEY_MD5 && !cookie)) {
    req.tstampOk = req.tstampOk && !req.sackOk;
  }
  if (req.wscaleOk) {
    opts.ws = req.rcvWscale;
    opts.options |= OPTION_WSCALE;
    remaining -= TCPOLEN_WSCALE_ALIGNED;
  }
  if (req.tstampOk) {
    opts.options |= OPTION_TS;
    opts.tsval = (tcpSkbTimestampTs(req.reqUsecTs, skb) + req.tsOff) | 0;
    if (req.sntTsvalFirst === 0) {
      // Zero means "none sent" there, so the clock never shows it.
      if (opts.tsval === 0) opts.tsval = -1;
      req.sntTsvalFirst = opts.tsval;
    }
    req.sntTsvalLast = opts.tsval;
    opts.tsecr = req.tsRecent;
    remaining -= TCPOLEN_TSTAMP_ALIGNED;
  }
  if (req.sackOk) {
    opts.options |= OPTION_SACK_ADVERTISE;
    if (!req.tstampOk) remaining -= TCPOLEN_SACKPERM_ALIGNED;
  }
  if (foc !== null && foc.len >= 0) remaining -= fastopenCookie(foc, remaining, opts);
  // Once one was lost, the option may be why.
  if (req.accecnOk && req.net.ipv4.sysctlTcpEcnOption !== 0 && !retrans) {
    opts.useSynackEcnBytes = true;
    remaining -= tcpOptionsFitAccecn(opts, 0, remaining);
  }
  return MAX_TCP_OPTION_SPACE - remaining;
}

/**
 * Options of any later segment; `skb` null when only their length is asked for.
 * @kernel tcp_established_options net/ipv4/tcp_output.c
 */
export function tcpEstablishedOptions(sk: Sock, skb: SkBuff | null, opts: TcpOutOptions): number {
  const tp = tcpSk(sk);
  const { rxOpt } = tp;
  let size = 0;
  opts.options = 0;
  opts.mss = 0;
  opts.numSackBlocks = 0;
  tcpGetCurrentKey(sk, opts);
  if (opts.keyType !== TCP_KEY_NONE) size += authOptions(opts);
  if (rxOpt.tstampOk) {
    opts.options |= OPTION_TS;
    opts.tsval = skb !== null ? (tcpSkbTimestampTs(tp.usecTs, skb) + tp.tsoffset) | 0 : 0;
    opts.tsecr = rxOpt.tsRecent;
    size += TCPOLEN_TSTAMP_ALIGNED;
  }
  const effSacks = rxOpt.numSacks + (rxOpt.dsack ? 1 : 0);
  if (effSacks !== 0) {
    const room = MAX_TCP_OPTION_SPACE - size - TCPOLEN_SACK_BASE_ALIGNED;
    if (room >= TCPOLEN_SACK_PERBLOCK) {
      opts.numSackBlocks = Math.min(effSacks, Math.floor(room / TCPOLEN_SACK_PERBLOCK));
      size += TCPOLEN_SACK_BASE_ALIGNED + opts.numSackBlocks * TCPOLEN_SACK_PERBLOCK;
    }
  }
  if (tcpAccecnOptionDue(tp)) {
    opts.useSynackEcnBytes = false;
    size += tcpOptionsFitAccecn(opts, tp.accecnMinlen, MAX_TCP_OPTION_SPACE - size);
  }
  return size;
}

/** A DSACK block, when there is one, goes first (RFC 2883#4). `lead`: the two octets in front. Returns the next free address. */
function writeSackBlocks(ptr: number, tp: TcpSock, count: number, lead: number): number {
  const { rxOpt } = tp;
  let at = ptr;
  const len = TCPOLEN_SACK_BASE + count * TCPOLEN_SACK_PERBLOCK;
  view.setInt32(at, (lead << 16) | (TCPOPT_SACK << 8) | len);
  at += 4;
  const dsack = rxOpt.dsack ? 1 : 0;
  for (let i = 0; i < count; i++) {
    const sp = i < dsack ? tp.duplicateSack[0]! : tp.selectiveAcks[i - dsack]!;
    view.setInt32(at, sp.startSeq);
    view.setInt32(at + 4, sp.endSeq);
    at += 8;
  }
  rxOpt.dsack = false;
  return at;
}

function writeFastopenCookie(ptr: number, foc: TcpFastopenCookie): void {
  let at = ptr;
  let len: number;
  if (foc.exp) {
    len = TCPOLEN_EXP_FASTOPEN_BASE + foc.len;
    view.setInt32(at, (TCPOPT_EXP << 24) | (len << 16) | TCPOPT_FASTOPEN_MAGIC);
    at += TCPOLEN_EXP_FASTOPEN_BASE;
  } else {
    len = TCPOLEN_FASTOPEN_BASE + foc.len;
    mem[at++] = TCPOPT_FASTOPEN;
    mem[at++] = len;
  }
  mem.set(foc.val.subarray(0, foc.len), at);
  at += foc.len;
  while ((len & 3) !== 0) {
    mem[at++] = TCPOPT_NOP;
    len++;
  }
}

/** Leaves room for the code, which comes when all else is written. Returns the next free address. */
function writeAuth(ptr: number, opts: TcpOutOptions): number {
  opts.hashLocation = ptr + 4;
  if ((opts.options & OPTION_MD5) !== 0) {
    view.setInt32(ptr, WORD_NOP_NOP | (TCPOPT_MD5SIG << 8) | TCPOLEN_MD5SIG);
    return ptr + TCPOLEN_MD5SIG_ALIGNED;
  }
  const key = opts.aoKey as TcpAoKey;
  const len = tcpAoLen(key);
  const end = ptr + tcpAoLenAligned(key);
  view.setInt32(ptr, (TCPOPT_AO << 24) | (len << 16) | (opts.aoKeyid << 8) | opts.aoRnext);
  mem.fill(TCPOPT_NOP, ptr + len, end);
  return end;
}

/**
 * Writes the options behind the header at `th`. `tp` is null for a SYN-ACK.
 * @kernel tcp_options_write net/ipv4/tcp_output.c
 */
export function tcpOptionsWrite(th: number, tp: TcpSock | null, opts: TcpOutOptions): void {
  let ptr = th + 20;
  let { options } = opts;
  if ((options & (OPTION_MD5 | OPTION_AO)) !== 0) ptr = writeAuth(ptr, opts);
  if (opts.mss !== 0) {
    view.setInt32(ptr, WORD_MSS | opts.mss);
    ptr += 4;
  }
  if ((options & OPTION_TS) !== 0) {
    view.setInt32(ptr, (options & OPTION_SACK_ADVERTISE) !== 0 ? WORD_SACK_PERM_TS : WORD_TS);
    options &= ~OPTION_SACK_ADVERTISE;
    view.setInt32(ptr + 4, opts.tsval);
    view.setInt32(ptr + 8, opts.tsecr);
    ptr += 12;
  }
  // Octets left over from the option before, in place of the NOPs that pad the next one.
  let lead = NOP_NOP;
  if ((options & OPTION_ACCECN) !== 0) {
    ptr = writeAccecn(ptr, tp, opts);
    lead = (opts.leftoverHigh << 8) | opts.leftoverLow;
  } else if (tp !== null) {
    tp.accecnOptSentWDsack = false;
  }
  if ((options & OPTION_SACK_ADVERTISE) !== 0) {
    view.setInt32(ptr, (lead << 16) | WORD_SACK_PERM);
    lead = NOP_NOP;
    ptr += 4;
  }
  if ((options & OPTION_WSCALE) !== 0) {
    // There is room for a single octet here.
    const one = (lead & 0xff) === TCPOPT_NOP;
    view.setInt32(ptr, ((one ? lead >> 8 : TCPOPT_NOP) << 24) | WORD_WSCALE | opts.ws);
    if (one) lead = NOP_NOP;
    ptr += 4;
  }
  if (opts.numSackBlocks !== 0 && tp !== null) {
    ptr = writeSackBlocks(ptr, tp, opts.numSackBlocks, lead);
  } else if (lead !== NOP_NOP) {
    view.setInt32(ptr, (lead << 16) | NOP_NOP);
    ptr += 4;
  }
  if ((options & OPTION_FAST_OPEN_COOKIE) !== 0 && opts.fastopenCookie !== null) {
    writeFastopenCookie(ptr, opts.fastopenCookie);
  }
}
