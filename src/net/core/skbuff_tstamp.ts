/**
 * Transmit timestamps: the moments a packet passed the queueing discipline, left through the driver
 * or was acknowledged come back to its sender on the error queue.
 *
 * Counterpart of the time stamping part of net/core/skbuff.c, and of sock_tx_timestamp() of
 * include/net/sock.h. See Documentation/networking/timestamping.rst.
 */
import { SockExterrSkb, skbSetExtErr } from '#include/linux/errqueue.ts';
import {
  SKBTX_ANY_TSTAMP,
  SKBTX_COMPLETION_TSTAMP,
  SKBTX_HW_TSTAMP,
  SKBTX_IN_PROGRESS,
  SKBTX_SCHED_TSTAMP,
  SKBTX_SW_TSTAMP,
  type SkBuff,
} from '#include/linux/skbuff.ts';
import { type Sock, skIsTcp } from '#include/net/sock.ts';
import { __netTimestamp } from '#net/core/dev_rx.ts';
import { allocSkb, kfreeSkb, skbClone } from '#net/core/skbuff.ts';
import { skbOrphanFragsRx } from '#net/core/skbuff_zerocopy.ts';
import { sockQueueErrSkb } from '#net/core/sock.ts';
import {
  SOCKCM_FLAG_TS_OPT_ID,
  SOF_TIMESTAMPING_TX_RECORD_MASK,
  type SockcmCookie,
} from '#net/core/sock_alloc.ts';
import { ENOMSG } from '#uapi/errno.ts';
import {
  SCM_TSTAMP_ACK,
  SCM_TSTAMP_COMPLETION,
  SCM_TSTAMP_SCHED,
  SCM_TSTAMP_SND,
  SO_EE_ORIGIN_TIMESTAMPING,
} from '#uapi/errqueue.ts';
import { SKB_DROP_REASON_NOMEM, SKB_DROP_REASON_SOCKET_RCVBUFF } from '#uapi/net_dropreason.ts';
import {
  SOF_TIMESTAMPING_OPT_ID,
  SOF_TIMESTAMPING_OPT_TSONLY,
  SOF_TIMESTAMPING_OPT_TX_SWHW,
  SOF_TIMESTAMPING_TX_COMPLETION,
  SOF_TIMESTAMPING_TX_HARDWARE,
  SOF_TIMESTAMPING_TX_SCHED,
  SOF_TIMESTAMPING_TX_SOFTWARE,
} from '#uapi/net_tstamp.ts';

/** SKBTX_* for what a sender asks by SOF_TIMESTAMPING_TX_*. @kernel __sock_tx_timestamp net/socket.c */
export function sockTxTimestamp(tsflags: number): number {
  let flags = 0;
  if ((tsflags & SOF_TIMESTAMPING_TX_HARDWARE) !== 0) flags |= SKBTX_HW_TSTAMP;
  if ((tsflags & SOF_TIMESTAMPING_TX_SOFTWARE) !== 0) flags |= SKBTX_SW_TSTAMP;
  if ((tsflags & SOF_TIMESTAMPING_TX_SCHED) !== 0) flags |= SKBTX_SCHED_TSTAMP;
  if ((tsflags & SOF_TIMESTAMPING_TX_COMPLETION) !== 0) flags |= SKBTX_COMPLETION_TSTAMP;
  return flags;
}

/** For a packet that is a datagram by itself. @kernel skb_setup_tx_timestamp include/net/sock.h */
export function skbSetupTxTimestamp(skb: SkBuff, sk: Sock, sockc: SockcmCookie): void {
  const { tsflags } = sockc;
  if (tsflags === 0) return;
  const { shinfo } = skb;
  shinfo.txFlags |= sockTxTimestamp(tsflags);
  if ((tsflags & SOF_TIMESTAMPING_OPT_ID) === 0) return;
  if ((tsflags & SOF_TIMESTAMPING_TX_RECORD_MASK) === 0) return;
  if ((tsflags & SOCKCM_FLAG_TS_OPT_ID) !== 0) {
    shinfo.tskey = sockc.tsOptId;
    return;
  }
  shinfo.tskey = sk.skTskey;
  sk.skTskey = (sk.skTskey + 1) | 0;
}

/** Did the sender of this packet ask for a stamp of this kind? @kernel skb_tstamp_tx_report_so_timestamping net/core/skbuff.c */
function wanted(skb: SkBuff, hwNs: number, tstype: number): boolean {
  const { txFlags } = skb.shinfo;
  switch (tstype) {
    case SCM_TSTAMP_SCHED:
      return (txFlags & SKBTX_SCHED_TSTAMP) !== 0;
    case SCM_TSTAMP_SND:
      return (txFlags & (hwNs === 0 ? SKBTX_SW_TSTAMP : SKBTX_HW_TSTAMP)) !== 0;
    case SCM_TSTAMP_ACK:
      return skb.tcpCb.txstampAck;
    case SCM_TSTAMP_COMPLETION:
      return (txFlags & SKBTX_COMPLETION_TSTAMP) !== 0;
    default:
      return false;
  }
}

/** Puts a stamp that is ready on the error queue. @kernel __skb_complete_tx_timestamp net/core/skbuff.c */
function complete(skb: SkBuff, sk: Sock, tstype: number): void {
  const ext = new SockExterrSkb();
  ext.eeErrno = ENOMSG;
  ext.eeOrigin = SO_EE_ORIGIN_TIMESTAMPING;
  ext.eeInfo = tstype;
  skb.ipCb.ipiIfindex = skb.dev !== null ? skb.dev.ifindex : 0;
  if ((sk.skTsflags & SOF_TIMESTAMPING_OPT_ID) !== 0) {
    const { tskey } = skb.shinfo;
    ext.eeData = (skIsTcp(sk) ? tskey - sk.skTskey : tskey) >>> 0;
  }
  skbSetExtErr(skb, ext);
  if (sockQueueErrSkb(sk, skb) !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_SOCKET_RCVBUFF, '__skb_complete_tx_timestamp');
  }
}

/** What goes to the error queue: the packet again, or an empty one that stands for it. */
function carrierOf(orig: SkBuff, tsonly: boolean): SkBuff | null {
  if (!tsonly) {
    const skb = skbClone(orig);
    // It may lie there for long: a user's pages must not.
    if (skbOrphanFragsRx(skb) === 0) return skb;
    kfreeSkb(skb, SKB_DROP_REASON_NOMEM, '__skb_tstamp_tx');
    return null;
  }
  const skb = allocSkb(orig.machine, 0);
  if (skb === null) return null;
  skb.shinfo.txFlags |= orig.shinfo.txFlags & SKBTX_ANY_TSTAMP;
  skb.shinfo.tskey = orig.shinfo.tskey;
  return skb;
}

/**
 * Reports to `sk` that its packet has come to the point `tstype` now; `hwNs` is the time of the
 * device's clock, 0: there is none.
 * @kernel __skb_tstamp_tx net/core/skbuff.c
 * @deviation SOF_TIMESTAMPING_OPT_STATS adds no statistics.
 */
export function __skbTstampTx(orig: SkBuff, hwNs: number, sk: Sock | null, tstype: number): void {
  if (sk === null || !wanted(orig, hwNs, tstype)) return;
  const tsflags = sk.skTsflags;
  if (
    hwNs === 0 &&
    (tsflags & SOF_TIMESTAMPING_OPT_TX_SWHW) === 0 &&
    (orig.shinfo.txFlags & SKBTX_IN_PROGRESS) !== 0
  ) {
    return;
  }
  const skb = carrierOf(orig, (tsflags & SOF_TIMESTAMPING_OPT_TSONLY) !== 0);
  if (skb === null) return;
  if (hwNs !== 0) skb.shinfo.hwtstamp = hwNs;
  else __netTimestamp(skb);
  complete(skb, sk, tstype);
}

/** Drivers call this when the packet is about to go to the wire. @kernel skb_tx_timestamp include/linux/skbuff.h */
export function skbTxTimestamp(skb: SkBuff): void {
  if ((skb.shinfo.txFlags & SKBTX_SW_TSTAMP) === 0) return;
  __skbTstampTx(skb, 0, skb.sk, SCM_TSTAMP_SND);
}
