/**
 * Reading of TCP options and the timestamp rules built on them.
 *
 * Counterpart: the option and PAWS parts of net/ipv4/tcp_input.c. RFC 9293#3.1 (options), RFC 7323
 * (window scale, timestamps, PAWS), RFC 2018 (SACK). Timestamps are int32 and compared by their
 * signed difference, like sequence numbers.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { TCP_SACK_SEEN, type TcpOptionsReceived, type TcpSock } from '#include/linux/tcp.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';
import { ktimeGetSeconds, tcpPawsCheck } from '#include/net/tcp_inlines.ts';
import { HZ } from '#kernel/param.ts';
import { after, before } from '#lib/tcp_seq.ts';
import { mem, view } from '#mm/memory.ts';
import { FLAG_TS_PROGRESS } from '#net/ipv4/tcp_input_flags.ts';
import {
  SKB_DROP_REASON_TCP_RFC7323_PAWS,
  SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK,
} from '#uapi/net_dropreason.ts';
import {
  TCP_FASTOPEN_COOKIE_MAX,
  TCP_FASTOPEN_COOKIE_MIN,
  TCP_MAX_WSCALE,
  TCPOLEN_EXP_FASTOPEN_BASE,
  TCPOLEN_FASTOPEN_BASE,
  TCPOLEN_MSS,
  TCPOLEN_SACK_BASE,
  TCPOLEN_SACK_PERBLOCK,
  TCPOLEN_SACK_PERM,
  TCPOLEN_TIMESTAMP,
  TCPOLEN_TSTAMP_ALIGNED,
  TCPOLEN_WINDOW,
  TCPOPT_ACCECN0,
  TCPOPT_ACCECN1,
  TCPOPT_EOL,
  TCPOPT_EXP,
  TCPOPT_FASTOPEN,
  TCPOPT_FASTOPEN_MAGIC,
  TCPOPT_MSS,
  TCPOPT_NOP,
  TCPOPT_SACK,
  TCPOPT_SACK_PERM,
  TCPOPT_TIMESTAMP,
  TCPOPT_WINDOW,
  tcphdr,
} from '#uapi/tcp.ts';

const TCPOPT_TIMESTAMP_ALIGNED =
  (TCPOPT_NOP << 24) | (TCPOPT_NOP << 16) | (TCPOPT_TIMESTAMP << 8) | TCPOLEN_TIMESTAMP;

/**
 * The MSS option of a SYN, lowered to the user's limit; 0 when there is none.
 * @kernel tcp_parse_mss_option net/ipv4/tcp_input.c
 */
export function tcpParseMssOption(th: number, userMss: number): number {
  const end = th + tcphdr.hdrlen(view, th);
  let mss = 0;
  let ptr = th + tcphdr.LEN;
  while (ptr < end) {
    const opcode = view.getUint8(ptr);
    if (opcode === TCPOPT_EOL) return mss;
    if (opcode === TCPOPT_NOP) {
      ptr++;
      continue;
    }
    if (end - ptr < 2) return mss;
    const opsize = view.getUint8(ptr + 1);
    if (opsize < 2 || opsize > end - ptr) return mss;
    if (opcode === TCPOPT_MSS && opsize === TCPOLEN_MSS) {
      const inMss = view.getUint16(ptr + 2);
      if (inMss !== 0) mss = userMss !== 0 && userMss < inMss ? userMss : inMss;
    }
    ptr += opsize;
  }
  return mss;
}

/** MSS, window scale and SACK-permitted: meaningful in a SYN only. */
function tcpParseSynOption(
  net: Net,
  opcode: number,
  opsize: number,
  ptr: number,
  optRx: TcpOptionsReceived,
): void {
  if (opcode === TCPOPT_MSS) {
    if (opsize !== TCPOLEN_MSS) return;
    let inMss = view.getUint16(ptr + 2);
    if (inMss === 0) return;
    if (optRx.userMss !== 0 && optRx.userMss < inMss) inMss = optRx.userMss;
    optRx.mssClamp = inMss;
  } else if (opcode === TCPOPT_WINDOW) {
    if (opsize !== TCPOLEN_WINDOW || net.ipv4.sysctlTcpWindowScaling === 0) return;
    const wscale = view.getUint8(ptr + 2);
    optRx.wscaleOk = true;
    optRx.sndWscale = wscale > TCP_MAX_WSCALE ? TCP_MAX_WSCALE : wscale;
  } else if (opcode === TCPOPT_SACK_PERM) {
    if (opsize !== TCPOLEN_SACK_PERM || net.ipv4.sysctlTcpSack === 0) return;
    optRx.sackOk = TCP_SACK_SEEN;
    tcpSackReset(optRx);
  }
}

/**
 * A cookie counts only in a SYN or SYN-ACK, and with an even length.
 * @kernel tcp_parse_fastopen_option net/ipv4/tcp_input.c
 * @rfc 7413#4.1.1
 */
function tcpParseFastopenOption(
  len: number,
  ptr: number,
  foc: TcpFastopenCookie,
  exp: boolean,
): void {
  if ((len & 1) !== 0) return;
  if (len >= TCP_FASTOPEN_COOKIE_MIN && len <= TCP_FASTOPEN_COOKIE_MAX) {
    foc.val.set(mem.subarray(ptr, ptr + len));
    foc.len = len;
  } else {
    foc.len = len === 0 ? 0 : -1;
  }
  foc.exp = exp;
}

/** Fast Open by its own kind or by that of experiments. */
function tcpParseFastopen(
  opcode: number,
  opsize: number,
  ptr: number,
  foc: TcpFastopenCookie,
): void {
  if (opcode === TCPOPT_FASTOPEN) {
    tcpParseFastopenOption(opsize - TCPOLEN_FASTOPEN_BASE, ptr + 2, foc, false);
  } else if (
    opcode === TCPOPT_EXP &&
    opsize >= TCPOLEN_EXP_FASTOPEN_BASE &&
    view.getUint16(ptr + 2) === TCPOPT_FASTOPEN_MAGIC
  ) {
    tcpParseFastopenOption(opsize - TCPOLEN_EXP_FASTOPEN_BASE, ptr + 4, foc, true);
  }
}

/**
 * Reads all options of a segment. `estab`: the connection is past its SYNs, so only timestamps and
 * SACK blocks count. `foc` gets the Fast Open cookie. The offset of a SACK option from the header goes to `TcpSkbCb.sacked`.
 * @kernel tcp_parse_options net/ipv4/tcp_input.c
 */
export function tcpParseOptions(
  net: Net,
  skb: SkBuff,
  optRx: TcpOptionsReceived,
  estab: boolean,
  foc: TcpFastopenCookie | null = null,
): void {
  const th = skb.transportHeader;
  const end = th + tcphdr.hdrlen(view, th);
  const syn = tcphdr.syn(view, th) !== 0 && !estab;
  let ptr = th + tcphdr.LEN;
  optRx.sawTstamp = false;
  optRx.accecn = 0;

  while (ptr < end) {
    const opcode = view.getUint8(ptr);
    if (opcode === TCPOPT_EOL) return;
    if (opcode === TCPOPT_NOP) {
      ptr++;
      continue;
    }
    if (end - ptr < 2) return;
    const opsize = view.getUint8(ptr + 1);
    // A silly option, or one that runs past the header: the rest cannot be trusted.
    if (opsize < 2 || opsize > end - ptr) return;
    if (opcode === TCPOPT_TIMESTAMP) {
      if (
        opsize === TCPOLEN_TIMESTAMP &&
        (estab ? optRx.tstampOk : net.ipv4.sysctlTcpTimestamps !== 0)
      ) {
        optRx.sawTstamp = true;
        optRx.rcvTsval = view.getInt32(ptr + 2);
        optRx.rcvTsecr = view.getInt32(ptr + 6);
      }
    } else if (opcode === TCPOPT_SACK) {
      if (
        opsize >= TCPOLEN_SACK_BASE + TCPOLEN_SACK_PERBLOCK &&
        (opsize - TCPOLEN_SACK_BASE) % TCPOLEN_SACK_PERBLOCK === 0 &&
        optRx.sackOk !== 0
      ) {
        skb.tcpCb.sacked = ptr - th;
      }
    } else if (opcode === TCPOPT_ACCECN0 || opcode === TCPOPT_ACCECN1) {
      optRx.accecn = ptr - th;
    } else if (syn) {
      tcpParseSynOption(net, opcode, opsize, ptr, optRx);
      if (foc !== null) tcpParseFastopen(opcode, opsize, ptr, foc);
    }
    ptr += opsize;
  }
}

/** @kernel tcp_sack_reset include/net/tcp.h */
function tcpSackReset(rxOpt: TcpOptionsReceived): void {
  rxOpt.dsack = false;
  rxOpt.numSacks = 0;
}

/**
 * The layout that every modern sender uses: NOP, NOP, timestamps and nothing else.
 * @kernel tcp_parse_aligned_timestamp net/ipv4/tcp_input.c
 */
export function tcpParseAlignedTimestamp(tp: TcpSock, th: number): boolean {
  if (view.getInt32(th + tcphdr.LEN) !== TCPOPT_TIMESTAMP_ALIGNED) return false;
  const rxOpt = tp.rxOpt;
  const tsecr = view.getInt32(th + tcphdr.LEN + 8);
  rxOpt.sawTstamp = true;
  rxOpt.rcvTsval = view.getInt32(th + tcphdr.LEN + 4);
  rxOpt.rcvTsecr = tsecr !== 0 ? (tsecr - tp.tsoffset) | 0 : 0;
  return true;
}

/**
 * Options of a segment of an open connection. False when there are none.
 * @kernel tcp_fast_parse_options net/ipv4/tcp_input.c
 */
export function tcpFastParseOptions(net: Net, skb: SkBuff, th: number, tp: TcpSock): boolean {
  const hdrlen = tcphdr.hdrlen(view, th);
  const rxOpt = tp.rxOpt;
  if (hdrlen === tcphdr.LEN) {
    rxOpt.sawTstamp = false;
    rxOpt.accecn = 0;
    return false;
  }
  if (rxOpt.tstampOk && hdrlen === tcphdr.LEN + TCPOLEN_TSTAMP_ALIGNED) {
    if (tcpParseAlignedTimestamp(tp, th)) {
      rxOpt.accecn = 0;
      return true;
    }
  }
  tcpParseOptions(net, skb, rxOpt, true);
  if (rxOpt.sawTstamp && rxOpt.rcvTsecr !== 0) rxOpt.rcvTsecr = (rxOpt.rcvTsecr - tp.tsoffset) | 0;
  return true;
}

/** @kernel tcp_store_ts_recent net/ipv4/tcp_input.c */
export function tcpStoreTsRecent(tp: TcpSock): void {
  tp.rxOpt.tsRecent = tp.rxOpt.rcvTsval;
  tp.rxOpt.tsRecentStamp = ktimeGetSeconds(tp.net.machine);
}

/**
 * Takes over the peer's timestamp when the segment covers our last acknowledgment. Returns
 * FLAG_TS_PROGRESS when it moved forward, else 0.
 * @kernel tcp_replace_ts_recent net/ipv4/tcp_input.c
 * @rfc 7323#4.3
 */
export function tcpReplaceTsRecent(tp: TcpSock, seq: number): number {
  const rxOpt = tp.rxOpt;
  if (!rxOpt.sawTstamp || after(seq, tp.rcvWup)) return 0;
  // Pure ACKs pass through here with a timestamp that PAWS let by; an old one must not be kept.
  if (!tcpPawsCheck(tp.net.machine, rxOpt, 0)) return 0;
  const delta = (rxOpt.rcvTsval - rxOpt.tsRecent) | 0;
  tcpStoreTsRecent(tp);
  return delta > 0 ? FLAG_TS_PROGRESS : 0;
}

/**
 * How far back, in units of the peer's timestamp clock, a reordered ACK may lie. Peers are known to
 * tick at up to 1200 Hz; with microsecond stamps we expect the peer to use them too.
 * @kernel tcp_tsval_replay net/ipv4/tcp_input.c
 */
function tcpTsvalReplay(sk: TcpSock): number {
  if (sk.usecTs) return sk.icskRto * (1000000 / HZ);
  return Math.trunc((sk.icskRto * 1200) / HZ);
}

/**
 * A pure ACK that fails PAWS may only have been overtaken. Returns 0 when it is such a harmless
 * latecomer, else the reason to drop it.
 * @kernel tcp_disordered_ack_check net/ipv4/tcp_input.c
 */
export function tcpDisorderedAckCheck(sk: TcpSock, skb: SkBuff): number {
  const th = skb.transportHeader;
  const { seq, endSeq, ackSeq } = skb.tcpCb;
  const reason = SKB_DROP_REASON_TCP_RFC7323_PAWS;
  if (tcphdr.ack(view, th) === 0 || seq !== endSeq) return reason;
  if (seq !== sk.rcvNxt) {
    return before(seq, sk.rcvNxt) ? SKB_DROP_REASON_TCP_RFC7323_PAWS_ACK : reason;
  }
  if (ackSeq !== sk.sndUna) return reason;
  const nwin = tcphdr.window(view, th) * 2 ** sk.rxOpt.sndWscale;
  if (tcpMayUpdateWindow(sk, ackSeq, seq, nwin)) return reason;
  if (((sk.rxOpt.tsRecent - sk.rxOpt.rcvTsval) | 0) > tcpTsvalReplay(sk)) return reason;
  return 0;
}

/**
 * Does this segment's window replace the one we know? An ACK of new data, or a later segment, or one
 * that opens the window.
 * @kernel tcp_may_update_window net/ipv4/tcp_input.c
 * @rfc 9293#3.10.7.4
 */
export function tcpMayUpdateWindow(
  tp: TcpSock,
  ack: number,
  ackSeq: number,
  nwin: number,
): boolean {
  return (
    after(ack, tp.sndUna) ||
    after(ackSeq, tp.sndWl1) ||
    (ackSeq === tp.sndWl1 && (nwin > tp.sndWnd || nwin === 0))
  );
}
