/**
 * The client's SYN with data. Counterpart of tcp_send_syn_data of net/ipv4/tcp_output.c. RFC 7413.
 */

import {
  SKB_CLOCK_MONOTONIC,
  type SkBuff,
  skbFillPageDesc,
  skbSetDeliveryTime,
  skbZcopySet,
} from '#include/linux/skbuff.ts';
import { __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { TCP_CHRONO_BUSY } from '#include/linux/tcp.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import { MAX_TCP_OPTION_SPACE, tcpSk, tcpSkbCbCopy } from '#include/net/tcp.ts';
import type { TcpFastopenRequest } from '#include/net/tcp_fastopen.ts';
import { tcpMssClamp } from '#include/net/tcp_inlines.ts';
import { tcpRbtreeInsert, tcpSkbPcount } from '#include/net/tcp_queue.ts';
import { getPage } from '#mm/page_alloc.ts';
import { copyFromIter } from '#net/core/iov_iter.ts';
import { __kfreeSkb } from '#net/core/skbuff.ts';
import { skPageFragRefill } from '#net/core/sock_mem.ts';
import { tcpFastopenCookieCheck } from '#net/ipv4/tcp_fastopen_active.ts';
import { tcpTransmitSkb } from '#net/ipv4/tcp_output.ts';
import { tcpChronoStart } from '#net/ipv4/tcp_output_chrono.ts';
import { tcpConnectQueueSkb } from '#net/ipv4/tcp_output_connect.ts';
import { __tcpMtuToMss, tcpSyncMss } from '#net/ipv4/tcp_output_mss.ts';
import { tcpStreamAllocSkb, tcpWmemSchedule } from '#net/ipv4/tcp_state.ts';
import { SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import { LINUX_MIB_TCPORIGDATASENT } from '#uapi/snmp.ts';
import { TCPHDR_ACK, TCPHDR_PSH } from '#uapi/tcp.ts';

/** Fills the packet that goes with the SYN; false: there is data and no memory for it. */
function fillSynData(sk: Sock, synData: SkBuff, fo: TcpFastopenRequest, room: number): boolean {
  const iter = fo.data?.msgIter ?? null;
  if (room === 0) return true;
  const pfrag = iter === null ? null : skPageFragRefill(sk);
  if (iter === null || pfrag === null) return false;
  const space = tcpWmemSchedule(sk, Math.min(room, pfrag.size - pfrag.offset));
  if (space === 0) return true;
  if (copyFromIter(pfrag.page + pfrag.offset, space, iter) !== space) return false;
  skbFillPageDesc(synData, 0, pfrag.page, pfrag.offset, space);
  getPage(pfrag.page);
  pfrag.offset += space;
  synData.len += space;
  synData.dataLen += space;
  synData.truesize += space;
  fo.copied = space;
  if (fo.uarg !== null) skbZcopySet(synData, fo.uarg);
  return true;
}

/** Data that may go with the SYN, as a packet that looks like it; null: none may. */
function makeSynData(sk: Sock, syn: SkBuff, fo: TcpFastopenRequest): SkBuff | null {
  const tp = tcpSk(sk);
  // Our own MSS, where the peer's is not known from before.
  const cached = { mss: tp.advmss };
  const allowed = tcpFastopenCookieCheck(sk, fo.cookie, cached);
  tp.rxOpt.mssClamp = cached.mss;
  if (!allowed) return null;
  tp.rxOpt.mssClamp = tcpMssClamp(tp, cached.mss);
  tcpSyncMss(sk, tp.icskPmtuCookie);
  // Middleboxes may add options of their own.
  const room = __tcpMtuToMss(sk, tp.icskPmtuCookie) - MAX_TCP_OPTION_SPACE;
  const synData = tcpStreamAllocSkb(sk, false);
  if (synData === null) return null;
  tcpSkbCbCopy(synData.tcpCb, syn.tcpCb);
  if (!fillSynData(sk, synData, fo, Math.min(Math.max(room, 0), fo.size))) {
    __kfreeSkb(synData, SKB_CONSUMED);
    return null;
  }
  return synData;
}

/**
 * Sends the SYN with data, when a cookie (or the settings) allow it; else a plain one that asks for a
 * cookie. Both packets stay on the retransmit queue, so that the SYN can be repeated without data.
 * @kernel tcp_send_syn_data net/ipv4/tcp_output.c
 * @rfc 7413#4.2.1
 */
export function sendSynData(sk: Sock, syn: SkBuff, fo: TcpFastopenRequest): number {
  const tp = tcpSk(sk);
  const synData = makeSynData(sk, syn, fo);
  if (synData !== null) {
    if (fo.copied === fo.size) fo.data = null;
    tcpConnectQueueSkb(sk, synData);
    if (synData.len !== 0) tcpChronoStart(sk, TCP_CHRONO_BUSY);
    const err = tcpTransmitSkb(sk, synData, true);
    // One transmission of both: the SYN's time is that of its data.
    syn.skbMstampNs = synData.skbMstampNs;
    skbSetDeliveryTime(syn, synData.skbMstampNs, SKB_CLOCK_MONOTONIC);
    // From now on it is the data alone; the SYN has its own packet.
    const cb = synData.tcpCb;
    cb.seq = (cb.seq + 1) | 0;
    cb.tcpFlags = TCPHDR_ACK | TCPHDR_PSH;
    if (err === 0) {
      tp.synData = fo.copied > 0;
      tcpRbtreeInsert(tp.rtxQueue, synData);
      netIncStats(sk.net, LINUX_MIB_TCPORIGDATASENT);
      fo.cookie.len = -1;
      return 0;
    }
    __skbQueueTail(sk.skWriteQueue, synData);
    tp.packetsOut -= tcpSkbPcount(synData);
  }
  if (fo.cookie.len > 0) fo.cookie.len = 0;
  const err = tcpTransmitSkb(sk, syn, true);
  if (err !== 0) tp.synFastopen = false;
  // A repeated SYN asks for nothing.
  fo.cookie.len = -1;
  return err;
}
