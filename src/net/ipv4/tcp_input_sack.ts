/**
 * The SACK scoreboard: tags packets of the retransmit queue with what the peer says it holds, joins
 * neighbours that are both SACKed, recognises duplicate SACKs and measures reordering.
 *
 * Counterpart: the SACK parts of net/ipv4/tcp_input.c. RFC 2018, 2883 (DSACK), 6675 (scoreboard).
 *
 * A packet bears any of the tags S (SACKED_ACKED), R (SACKED_RETRANS: sent again and in flight) and
 * L (LOST); counts of each are sackedOut, retransOut and lostOut, in segments. Reachable states:
 *
 *   tag      in flight   meaning
 *   -           1        sent, unknown
 *   S           0        arrived
 *   L           0        believed lost
 *   R           2        sent again though not marked lost
 *   L|R         1        lost, retransmission in flight
 *   S|R         1        arrived, retransmission still in flight
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  TCP_DSACK_SEEN,
  type TcpSackBlock,
  type TcpSacktagState,
  type TcpSock,
} from '#include/linux/tcp.ts';
import { netAddStats, netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  TCPCB_EVER_RETRANS,
  TCPCB_LOST,
  TCPCB_RETRANS,
  TCPCB_SACKED_ACKED,
  TCPCB_SACKED_RETRANS,
  TCPCB_TAGBITS,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpSkbTimestampUs } from '#include/net/tcp_inlines.ts';
import {
  skbRbNext,
  skbRbPrev,
  tcpAdvanceHighestSack,
  tcpHighestSack,
  tcpHighestSackReset,
  tcpHighestSackSeq,
  tcpSkbCanCollapse,
  tcpSkbMss,
  tcpSkbPcount,
  tcpSkbPcountAdd,
  tcpTsortedUnlink,
} from '#include/net/tcp_queue.ts';
import { after, before } from '#lib/tcp_seq.ts';
import { view } from '#mm/memory.ts';
import { skbShift } from '#net/core/skbuff_frags.ts';
import { tcpCheckSackReordering, tcpVerifyLeftOut } from '#net/ipv4/tcp_input_cwnd.ts';
import {
  FLAG_DATA_SACKED,
  FLAG_DSACK_TLP,
  FLAG_DSACKING_ACK,
  FLAG_ORIG_SACK_ACKED,
} from '#net/ipv4/tcp_input_flags.ts';
import { TCP_FRAG_IN_RTX_QUEUE, tcpFragment } from '#net/ipv4/tcp_output_frag.ts';
import { tcpCurrentMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpSkbCollapseTstamp } from '#net/ipv4/tcp_output_tstamp.ts';
import { tcpRateSkbDelivered } from '#net/ipv4/tcp_rate.ts';
import { tcpRackAdvance } from '#net/ipv4/tcp_recovery.ts';
import { tcpRtxQueueUnlinkAndFree } from '#net/ipv4/tcp_state.ts';
import { EINVAL } from '#uapi/errno.ts';
import {
  LINUX_MIB_SACKMERGED,
  LINUX_MIB_SACKSHIFTED,
  LINUX_MIB_SACKSHIFTFALLBACK,
  LINUX_MIB_TCPDSACKIGNOREDDUBIOUS,
  LINUX_MIB_TCPDSACKIGNOREDNOUNDO,
  LINUX_MIB_TCPDSACKIGNOREDOLD,
  LINUX_MIB_TCPDSACKOFORECV,
  LINUX_MIB_TCPDSACKRECV,
  LINUX_MIB_TCPDSACKRECVSEGS,
  LINUX_MIB_TCPSACKDISCARD,
} from '#uapi/snmp.ts';
import { TCP_CA_Loss, TCP_MIN_GSO_SIZE, TCPHDR_FIN, TCPOLEN_SACK_BASE } from '#uapi/tcp.ts';

const TCP_NUM_SACKS = 4;

/**
 * Is this block possible? Above snd_una and below snd_nxt; a duplicate SACK may also lie below, as
 * far back as undo looks.
 * @kernel tcp_is_sackblock_valid net/ipv4/tcp_input.c
 */
export function tcpIsSackblockValid(
  tp: TcpSock,
  isDsack: boolean,
  startSeq: number,
  endSeq: number,
): boolean {
  if (after(endSeq, tp.sndNxt) || !before(startSeq, endSeq)) return false;
  // Start beyond what was sent, though the end is not: it wrapped.
  if (!before(startSeq, tp.sndNxt)) return false;
  if (after(startSeq, tp.sndUna)) return true;

  if (!isDsack || tp.undoMarker === 0) return false;
  if (after(endSeq, tp.sndUna)) return false;
  if (!before(startSeq, tp.undoMarker)) return true;
  if (!after(endSeq, tp.undoMarker)) return false;
  // It reaches across the undo marker; how far back is bounded by the largest window ever.
  return !before(startSeq, (endSeq - tp.maxWindow) | 0);
}

/**
 * How many segments a duplicate SACK reports; 0 when it is not to be believed.
 * @kernel tcp_dsack_seen net/ipv4/tcp_input.c
 */
function tcpDsackSeen(
  tp: TcpSock,
  startSeq: number,
  endSeq: number,
  state: TcpSacktagState,
): number {
  if (!before(startSeq, endSeq)) return 0;
  const seqLen = (endSeq - startSeq) >>> 0;
  if (seqLen > tp.maxWindow) return 0;
  let dupSegs = 1;
  if (seqLen > tp.mssCache) dupSegs = Math.ceil(seqLen / tp.mssCache);
  else if (tp.tlpHighSeq !== 0 && tp.tlpHighSeq === endSeq) state.flag |= FLAG_DSACK_TLP;

  tp.dsackDups += dupSegs;
  // More duplicates than retransmissions: the network makes them, or the peer lies.
  if (tp.dsackDups > tp.totalRetrans) return 0;

  tp.rxOpt.sackOk |= TCP_DSACK_SEEN;
  // RACK widens its window only for what it may have caused itself: not for probes, and not before
  // any reordering.
  if (tp.reordSeen !== 0 && (state.flag & FLAG_DSACK_TLP) === 0) tp.rackDsackSeen = true;
  state.flag |= FLAG_DSACKING_ACK;
  state.sackDelivered += dupSegs;
  return dupSegs;
}

/**
 * Is the first block a duplicate SACK? It is when it lies below the cumulative ACK or inside the
 * second block.
 * @kernel tcp_check_dsack net/ipv4/tcp_input.c
 * @rfc 2883#4
 */
function tcpCheckDsack(
  sk: Sock,
  ackSkb: SkBuff,
  wire: number,
  numSacks: number,
  priorSndUna: number,
  state: TcpSacktagState,
): boolean {
  const tp = tcpSk(sk);
  const start0 = view.getInt32(wire);
  const end0 = view.getInt32(wire + 4);
  if (before(start0, ackSkb.tcpCb.ackSeq)) {
    netIncStats(sk.net, LINUX_MIB_TCPDSACKRECV);
  } else if (numSacks > 1) {
    if (after(end0, view.getInt32(wire + 12)) || before(start0, view.getInt32(wire + 8))) {
      return false;
    }
    netIncStats(sk.net, LINUX_MIB_TCPDSACKOFORECV);
  } else {
    return false;
  }

  const dupSegs = tcpDsackSeen(tp, start0, end0, state);
  if (dupSegs === 0) {
    netIncStats(sk.net, LINUX_MIB_TCPDSACKIGNOREDDUBIOUS);
    return false;
  }
  netAddStats(sk.net, LINUX_MIB_TCPDSACKRECVSEGS, dupSegs);
  // Data that is already forgotten: no packet left to look at, so count.
  if (
    tp.undoMarker !== 0 &&
    tp.undoRetrans > 0 &&
    !after(end0, priorSndUna) &&
    after(end0, tp.undoMarker)
  ) {
    tp.undoRetrans = Math.max(0, tp.undoRetrans - dupSegs);
  }
  return true;
}

/**
 * Does the block cover the packet? A super-packet that is covered in part is cut at a segment
 * boundary first. 1 yes, 0 no, negative errno when it could not be cut.
 * @kernel tcp_match_skb_to_sack net/ipv4/tcp_input.c
 */
function tcpMatchSkbToSack(sk: Sock, skb: SkBuff, startSeq: number, endSeq: number): number {
  const { seq, endSeq: skbEnd } = skb.tcpCb;
  let inSack = !after(startSeq, seq) && !before(endSeq, skbEnd);
  if (tcpSkbPcount(skb) > 1 && !inSack && after(skbEnd, startSeq)) {
    const mss = tcpSkbMss(skb);
    inSack = !after(startSeq, seq);
    let pktLen: number;
    if (!inSack) {
      pktLen = Math.max((startSeq - seq) >>> 0, mss);
    } else {
      pktLen = (endSeq - seq) >>> 0;
      if (pktLen < mss) return -EINVAL;
    }
    if (pktLen > mss) {
      let newLen = Math.floor(pktLen / mss) * mss;
      if (!inSack && newLen < pktLen) newLen += mss;
      pktLen = newLen;
    }
    if (pktLen >= skb.len && !inSack) return 0;
    const err = tcpFragment(sk, TCP_FRAG_IN_RTX_QUEUE, skb, pktLen, mss);
    if (err < 0) return err;
  }
  return inSack ? 1 : 0;
}

/**
 * Segments [startSeq, endSeq) with tags `sacked` were SACKed: moves the counts. Returns the new tags.
 * @kernel tcp_sacktag_one net/ipv4/tcp_input.c
 */
function tcpSacktagOne(
  sk: Sock,
  state: TcpSacktagState,
  oldSacked: number,
  startSeq: number,
  endSeq: number,
  dupSack: boolean,
  pcount: number,
  xmitTime: number,
): number {
  const tp = tcpSk(sk);
  let sacked = oldSacked;
  if (dupSack && (sacked & TCPCB_RETRANS) !== 0) {
    if (tp.undoMarker !== 0 && tp.undoRetrans > 0 && after(endSeq, tp.undoMarker)) {
      tp.undoRetrans = Math.max(0, tp.undoRetrans - pcount);
    }
    if ((sacked & TCPCB_SACKED_ACKED) !== 0 && before(startSeq, state.reord)) {
      state.reord = startSeq;
    }
  }
  // The cumulative ACK covers it; it is about to go.
  if (!after(endSeq, tp.sndUna)) return sacked;

  if ((sacked & TCPCB_SACKED_ACKED) === 0) {
    tcpRackAdvance(tp, sacked, endSeq, xmitTime);
    if ((sacked & TCPCB_SACKED_RETRANS) !== 0) {
      // Only when it was marked lost do we think the retransmission arrived; otherwise that one is
      // still in flight.
      if ((sacked & TCPCB_LOST) !== 0) {
        sacked &= ~(TCPCB_LOST | TCPCB_SACKED_RETRANS);
        tp.lostOut -= pcount;
        tp.retransOut -= pcount;
      }
    } else {
      if ((sacked & TCPCB_RETRANS) === 0) tcpSacktagOriginal(tp, state, startSeq, endSeq, xmitTime);
      if ((sacked & TCPCB_LOST) !== 0) {
        sacked &= ~TCPCB_LOST;
        tp.lostOut -= pcount;
      }
    }
    sacked |= TCPCB_SACKED_ACKED;
    state.flag |= FLAG_DATA_SACKED;
    tp.sackedOut += pcount;
    state.sackDelivered += pcount;
    state.deliveredBytes += (endSeq - startSeq) >>> 0;
  }
  // The duplicate answers the retransmission that was still thought in flight.
  if (dupSack && (sacked & TCPCB_SACKED_RETRANS) !== 0) {
    sacked &= ~TCPCB_SACKED_RETRANS;
    tp.retransOut -= pcount;
  }
  return sacked;
}

/** A segment that was sent once has arrived: it tells of reordering and of the RTT. */
function tcpSacktagOriginal(
  tp: TcpSock,
  state: TcpSacktagState,
  startSeq: number,
  endSeq: number,
  xmitTime: number,
): void {
  if (before(startSeq, tcpHighestSackSeq(tp)) && before(startSeq, state.reord)) {
    state.reord = startSeq;
  }
  if (!after(endSeq, tp.highSeq)) state.flag |= FLAG_ORIG_SACK_ACKED;
  if (state.firstSackt === 0) state.firstSackt = xmitTime;
  state.lastSackt = xmitTime;
}

/**
 * `shifted` bytes were moved from `skb` to its SACKed predecessor: moves their sequence numbers and
 * counts along. True when nothing of `skb` is left and it was freed.
 * @kernel tcp_shifted_skb net/ipv4/tcp_input.c
 */
function tcpShiftedSkb(
  sk: Sock,
  prev: SkBuff,
  skb: SkBuff,
  state: TcpSacktagState,
  pcount: number,
  shifted: number,
  mss: number,
  dupSack: boolean,
): boolean {
  const tp = tcpSk(sk);
  const scb = skb.tcpCb;
  const pcb = prev.tcpCb;
  const startSeq = scb.seq;
  // Tags stay those of `skb`: what was shifted takes on its predecessor's.
  tcpSacktagOne(
    sk,
    state,
    scb.sacked,
    startSeq,
    (startSeq + shifted) | 0,
    dupSack,
    pcount,
    tcpSkbTimestampUs(skb),
  );
  tcpRateSkbDelivered(sk, skb, state.rate);

  pcb.endSeq = (pcb.endSeq + shifted) | 0;
  scb.seq = (scb.seq + shifted) | 0;
  tcpSkbPcountAdd(prev, pcount);
  tcpSkbPcountAdd(skb, -pcount);
  if (pcb.tcpGsoSize === 0) pcb.tcpGsoSize = mss;
  if (tcpSkbPcount(skb) <= 1) scb.tcpGsoSize = 0;
  pcb.sacked |= scb.sacked & TCPCB_EVER_RETRANS;

  if (skb.len > 0) {
    netIncStats(sk.net, LINUX_MIB_SACKSHIFTED);
    return false;
  }

  if (skb === tp.retransmitSkbHint) tp.retransmitSkbHint = prev;
  pcb.tcpFlags |= scb.tcpFlags;
  pcb.eor = scb.eor;
  if ((scb.tcpFlags & TCPHDR_FIN) !== 0) pcb.endSeq = (pcb.endSeq + 1) | 0;
  if (skb === tcpHighestSack(sk)) tcpAdvanceHighestSack(sk, skb);
  tcpSkbCollapseTstamp(prev, skb);
  pcb.deliveredMstamp = 0;
  tcpRtxQueueUnlinkAndFree(skb, sk);
  netIncStats(sk.net, LINUX_MIB_SACKMERGED);
  return true;
}

/** @kernel tcp_skb_seglen net/ipv4/tcp_input.c */
export function tcpSkbSeglen(skb: SkBuff): number {
  return tcpSkbPcount(skb) === 1 ? skb.len : tcpSkbMss(skb);
}

/** Only payload in fragments can change packets. @kernel skb_can_shift net/ipv4/tcp_input.c */
function skbCanShift(skb: SkBuff): boolean {
  return skb.dataLen !== 0 && skb.len === skb.dataLen;
}

/** Bytes moved; 0 when the joined packet would be too large. @kernel tcp_skb_shift net/ipv4/tcp_input.c */
function tcpSkbShift(to: SkBuff, from: SkBuff, pcount: number, shiftlen: number): number {
  if (to.len + shiftlen >= 65535 * TCP_MIN_GSO_SIZE) return 0;
  if (tcpSkbPcount(to) + pcount > 65535) return 0;
  return skbShift(to, from, shiftlen);
}

/** @kernel tcp_sacktag_one net/ipv4/tcp_input.c */
const isPlainSacked = (skb: SkBuff): boolean =>
  (skb.tcpCb.sacked & TCPCB_TAGBITS) === TCPCB_SACKED_ACKED;

/**
 * Joins the SACKed part of `skb` to its SACKed predecessor, so that the scoreboard of a long flight
 * stays short. Returns the packet to go on with: the predecessor when bytes were moved, `skb` when
 * there was nothing to do, null to tag in the ordinary way.
 * @kernel tcp_shift_skb_data net/ipv4/tcp_input.c
 */
function tcpShiftSkbData(
  sk: Sock,
  skb: SkBuff,
  state: TcpSacktagState,
  startSeq: number,
  endSeq: number,
  dupSack: boolean,
): SkBuff | null {
  const tp = tcpSk(sk);
  const scb = skb.tcpCb;
  const prev = tcpShiftTarget(tp, skb, dupSack);
  if (prev === null) return tcpShiftFallback(sk);

  let len = skb.len;
  let pcount = tcpSkbPcount(skb);
  let mss: number;
  if (!after(startSeq, scb.seq) && !before(endSeq, scb.endSeq)) {
    mss = tcpSkbSeglen(skb);
    if (mss !== tcpSkbSeglen(prev)) return tcpShiftFallback(sk);
  } else {
    if (!after(scb.endSeq, startSeq)) return skb;
    if (pcount <= 1) return skb;
    if (after(startSeq, scb.seq)) return tcpShiftFallback(sk);
    len = (endSeq - scb.seq) | 0;
    // Whole segments only, or the counts would no longer be those on the wire.
    mss = tcpSkbMss(skb);
    if (mss !== tcpSkbSeglen(prev)) return tcpShiftFallback(sk);
    if (len < mss) return skb;
    pcount = Math.floor(len / mss);
    len = pcount * mss;
  }
  if (!after((scb.seq + len) | 0, tp.sndUna)) return tcpShiftFallback(sk);
  if (tcpSkbShift(prev, skb, pcount, len) === 0) return tcpShiftFallback(sk);
  if (!tcpShiftedSkb(sk, prev, skb, state, pcount, len, mss, dupSack)) return prev;

  // The hole between two SACKed packets is gone: join the one behind as well.
  const next = skbRbNext(prev);
  if (
    next !== null &&
    skbCanShift(next) &&
    isPlainSacked(next) &&
    mss === tcpSkbSeglen(next) &&
    tcpSkbCanCollapse(prev, next)
  ) {
    const nextPcount = tcpSkbPcount(next);
    const nextLen = next.len;
    if (tcpSkbShift(prev, next, nextPcount, nextLen) !== 0) {
      tcpShiftedSkb(sk, prev, next, state, nextPcount, nextLen, mss, false);
    }
  }
  return prev;
}

/** The SACKed packet before `skb` that could take its bytes; null: none. */
function tcpShiftTarget(tp: TcpSock, skb: SkBuff, dupSack: boolean): SkBuff | null {
  const scb = skb.tcpCb;
  // R without L does not become plain S, since the retransmission is still in flight.
  if (!dupSack && (scb.sacked & (TCPCB_LOST | TCPCB_SACKED_RETRANS)) === TCPCB_SACKED_RETRANS) {
    return null;
  }
  if (!skbCanShift(skb) || !after(scb.endSeq, tp.sndUna)) return null;
  const prev = skbRbPrev(skb);
  if (prev === null || !isPlainSacked(prev) || !tcpSkbCanCollapse(prev, skb)) return null;
  return prev;
}

function tcpShiftFallback(sk: Sock): null {
  netIncStats(sk.net, LINUX_MIB_SACKSHIFTFALLBACK);
  return null;
}

/**
 * Tags the packets from `first` on that [startSeq, endSeq) covers. Returns where it stopped.
 * @kernel tcp_sacktag_walk net/ipv4/tcp_input.c
 */
function tcpSacktagWalk(
  first: SkBuff | null,
  sk: Sock,
  nextDup: TcpSackBlock | null,
  state: TcpSacktagState,
  startSeq: number,
  endSeq: number,
  dupSackIn: boolean,
): SkBuff | null {
  const tp = tcpSk(sk);
  let skb = first;
  for (; skb !== null; skb = skbRbNext(skb)) {
    const scb = skb.tcpCb;
    let inSack = 0;
    let dupSack = dupSackIn;
    if (!before(scb.seq, endSeq)) break;
    if (nextDup !== null && before(scb.seq, nextDup.endSeq)) {
      inSack = tcpMatchSkbToSack(sk, skb, nextDup.startSeq, nextDup.endSeq);
      if (inSack > 0) dupSack = true;
    }
    if (inSack <= 0) {
      const tmp = tcpShiftSkbData(sk, skb, state, startSeq, endSeq, dupSack);
      if (tmp !== null) {
        if (tmp !== skb) {
          // `skb`, and maybe the one behind it, were eaten: go on behind the eater.
          skb = tmp;
          continue;
        }
        inSack = 0;
      } else {
        inSack = tcpMatchSkbToSack(sk, skb, startSeq, endSeq);
      }
    }
    if (inSack < 0) break;
    if (inSack > 0) {
      scb.sacked = tcpSacktagOne(
        sk,
        state,
        scb.sacked,
        scb.seq,
        scb.endSeq,
        dupSack,
        tcpSkbPcount(skb),
        tcpSkbTimestampUs(skb),
      );
      tcpRateSkbDelivered(sk, skb, state.rate);
      if ((scb.sacked & TCPCB_SACKED_ACKED) !== 0) tcpTsortedUnlink(tp, skb);
      if (!before(scb.seq, tcpHighestSackSeq(tp))) tcpAdvanceHighestSack(sk, skb);
    }
  }
  return skb;
}

/** The packet that holds `seq`, or null. @kernel tcp_sacktag_bsearch net/ipv4/tcp_input.c */
function tcpSacktagBsearch(sk: Sock, seq: number): SkBuff | null {
  let skb = tcpSk(sk).rtxQueue.node;
  while (skb !== null) {
    if (before(seq, skb.tcpCb.seq)) skb = skb.rbLeft;
    else if (!before(seq, skb.tcpCb.endSeq)) skb = skb.rbRight;
    else return skb;
  }
  return null;
}

/** @kernel tcp_sacktag_skip net/ipv4/tcp_input.c */
function tcpSacktagSkip(skb: SkBuff | null, sk: Sock, skipToSeq: number): SkBuff | null {
  if (skb !== null && after(skb.tcpCb.seq, skipToSeq)) return skb;
  return tcpSacktagBsearch(sk, skipToSeq);
}

/** Does not skip over a duplicate SACK that lies in the part to be skipped. @kernel tcp_maybe_skipping_dsack net/ipv4/tcp_input.c */
function tcpMaybeSkippingDsack(
  skb: SkBuff | null,
  sk: Sock,
  nextDup: TcpSackBlock | null,
  state: TcpSacktagState,
  skipToSeq: number,
): SkBuff | null {
  if (nextDup === null || !before(nextDup.startSeq, skipToSeq)) return skb;
  const from = tcpSacktagSkip(skb, sk, nextDup.startSeq);
  return tcpSacktagWalk(from, sk, null, state, nextDup.startSeq, nextDup.endSeq, true);
}

/**
 * Reads the blocks of an ACK into `state.sp`, without those that are invalid or old, in order of
 * sequence. Returns their number times 8 plus the index of what was the first block on the wire,
 * plus 1 (0: it was left out).
 */
function tcpSacktagReadBlocks(
  sk: Sock,
  ackSkb: SkBuff,
  wire: number,
  numSacks: number,
  priorSndUna: number,
  foundDupSack: boolean,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  const sp = state.sp;
  let used = 0;
  let first = 0;
  for (let i = 0; i < numSacks; i++) {
    const dupSack = i === 0 && foundDupSack;
    const startSeq = view.getInt32(wire + 8 * i);
    const endSeq = view.getInt32(wire + 8 * i + 4);
    if (!tcpIsSackblockValid(tp, dupSack, startSeq, endSeq)) {
      let mib = LINUX_MIB_TCPSACKDISCARD;
      if (dupSack) {
        mib = tp.undoMarker === 0 ? LINUX_MIB_TCPDSACKIGNOREDNOUNDO : LINUX_MIB_TCPDSACKIGNOREDOLD;
      } else if (ackSkb.tcpCb.ackSeq !== tp.sndUna && !after(endSeq, tp.sndUna)) {
        // Old blocks in an ACK that was overtaken are no fault of the peer.
        continue;
      }
      netIncStats(sk.net, mib);
      if (i === 0) first = -1;
      continue;
    }
    if (!after(endSeq, priorSndUna)) {
      if (i === 0) first = -1;
      continue;
    }
    // Insertion keeps the blocks sorted; equal starts keep the order of the wire.
    let at = used;
    while (at > 0 && after(sp[at - 1]!.startSeq, startSeq)) {
      sp[at]!.startSeq = sp[at - 1]!.startSeq;
      sp[at]!.endSeq = sp[at - 1]!.endSeq;
      if (first === at - 1) first = at;
      at--;
    }
    sp[at]!.startSeq = startSeq;
    sp[at]!.endSeq = endSeq;
    if (i === 0) first = at;
    used++;
  }
  return used * 8 + first + 1;
}

/**
 * Tags what the blocks cover, skipping what the previous ACK's blocks covered already.
 * @kernel tcp_sacktag_write_queue net/ipv4/tcp_input.c
 */
function tcpSacktagBlocks(
  sk: Sock,
  used: number,
  firstSackIndex: number,
  foundDupSack: boolean,
  state: TcpSacktagState,
): void {
  const tp = tcpSk(sk);
  const sp = state.sp;
  const cache = tp.recvSackCache;
  let skb: SkBuff | null = null;
  let c = cache.length;
  if (tp.sackedOut !== 0) {
    c = 0;
    while (c < cache.length && cache[c]!.startSeq === 0 && cache[c]!.endSeq === 0) c++;
  }

  for (let i = 0; i < used; ) {
    const { startSeq, endSeq } = sp[i]!;
    const dupSack = foundDupSack && i === firstSackIndex;
    const nextDup = foundDupSack && i + 1 === firstSackIndex ? sp[i + 1]! : null;
    while (c < cache.length && !before(startSeq, cache[c]!.endSeq)) c++;

    if (c < cache.length && !dupSack && after(endSeq, cache[c]!.startSeq)) {
      const known = cache[c]!;
      if (before(startSeq, known.startSeq)) {
        skb = tcpSacktagSkip(skb, sk, startSeq);
        skb = tcpSacktagWalk(skb, sk, nextDup, state, startSeq, known.startSeq, dupSack);
      }
      if (!after(endSeq, known.endSeq)) {
        i++;
        continue;
      }
      skb = tcpMaybeSkippingDsack(skb, sk, nextDup, state, known.endSeq);
      c++;
      if (tcpHighestSackSeq(tp) !== known.endSeq) {
        skb = tcpSacktagSkip(skb, sk, known.endSeq);
        continue;
      }
      // The known part ends where all SACKs end: enter there.
      skb = tcpHighestSack(sk);
      if (skb === null) break;
    } else {
      if (!before(startSeq, tcpHighestSackSeq(tp))) {
        skb = tcpHighestSack(sk);
        if (skb === null) break;
      }
      skb = tcpSacktagSkip(skb, sk, startSeq);
    }
    skb = tcpSacktagWalk(skb, sk, nextDup, state, startSeq, endSeq, dupSack);
    i++;
  }

  // Remember the blocks, right-aligned, for the next ACK.
  const empty = cache.length - used;
  for (let i = 0; i < cache.length; i++) {
    const from = i < empty ? null : sp[i - empty]!;
    cache[i]!.startSeq = from === null ? 0 : from.startSeq;
    cache[i]!.endSeq = from === null ? 0 : from.endSeq;
  }
}

/**
 * Applies the SACK option of `ackSkb` to the retransmit queue. Returns FLAG_*.
 * @kernel tcp_sacktag_write_queue net/ipv4/tcp_input.c
 */
export function tcpSacktagWriteQueue(
  sk: Sock,
  ackSkb: SkBuff,
  priorSndUna: number,
  state: TcpSacktagState,
): number {
  const tp = tcpSk(sk);
  const option = ackSkb.transportHeader + ackSkb.tcpCb.sacked;
  const wire = option + TCPOLEN_SACK_BASE;
  const numSacks = Math.min(TCP_NUM_SACKS, (view.getUint8(option + 1) - TCPOLEN_SACK_BASE) >> 3);
  state.flag = 0;
  state.reord = tp.sndNxt;
  if (tp.sackedOut === 0) tcpHighestSackReset(sk);

  const foundDupSack = tcpCheckDsack(sk, ackSkb, wire, numSacks, priorSndUna, state);
  // Blocks of an ACK that is older than any window cannot be told from a wrapped sequence.
  if (before(ackSkb.tcpCb.ackSeq, (priorSndUna - tp.maxWindow) | 0)) return 0;
  if (tp.packetsOut === 0) return state.flag;

  const blocks = tcpSacktagReadBlocks(sk, ackSkb, wire, numSacks, priorSndUna, foundDupSack, state);
  state.mssNow = tcpCurrentMss(sk);
  tcpSacktagBlocks(sk, blocks >> 3, (blocks & 7) - 1, foundDupSack, state);

  if (tp.icskCaState !== TCP_CA_Loss || tp.undoMarker !== 0) {
    tcpCheckSackReordering(sk, state.reord, false);
  }
  tcpVerifyLeftOut(tp);
  return state.flag;
}
