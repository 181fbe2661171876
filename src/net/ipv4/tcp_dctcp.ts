/**
 * DCTCP: reduces the window by the share of marked packets, for networks that mark early.
 *
 * Counterpart of net/ipv4/tcp_dctcp.c and tcp_dctcp.h. RFC 8257. The receiver echoes each packet's
 * mark exactly, by an ACK at each change; the sender averages the share once a round trip: alpha, in
 * 1/1024, with weight 1/16. Without ECN on the connection it is Reno.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import { ICSK_ACK_NOW, ICSK_ACK_TIMER } from '#include/net/inet_connection_sock.ts';
import {
  CA_EVENT_ECN_IS_CE,
  CA_EVENT_ECN_NO_CE,
  CA_EVENT_LOSS,
  CA_EVENT_TX_START,
  TCP_CONG_NEEDS_ECN,
  TCP_ECN_DEMAND_CWR,
  type TcpCcInfo,
  type TcpCongestionOps,
} from '#include/net/tcp.ts';
import { inetEcnDontxmit, tcpEcnModeAny } from '#include/net/tcp_ecn.ts';
import { tcpSndCwnd } from '#include/net/tcp_inlines.ts';
import type { Machine } from '#kernel/machine.ts';
import { before } from '#lib/tcp_seq.ts';
import {
  tcpRegisterCongestionControl,
  tcpRenoCongAvoid,
  tcpRenoSsthresh,
  tcpRenoUndoCwnd,
} from '#net/ipv4/tcp_cong.ts';
import { __tcpSendAck } from '#net/ipv4/tcp_output_ctl.ts';
import {
  TCP_PLB_SCALE,
  TcpPlbState,
  tcpPlbCheckRehash,
  tcpPlbUpdateState,
  tcpPlbUpdateStateUponRto,
} from '#net/ipv4/tcp_plb.ts';
import { INET_DIAG_DCTCPINFO, INET_DIAG_VEGASINFO } from '#uapi/inet_diag.ts';
import { TCP_CA_Recovery, TCP_CLOSE, TCP_LISTEN } from '#uapi/tcp.ts';

const DCTCP_MAX_ALPHA = 1024;
/** log2 of the inverse weight of a new sample. @rfc 8257#4.2 */
const DCTCP_SHIFT_G = 4;
/** Bits of inet_diag's extensions that ask for it: INET_DIAG_DCTCPINFO, INET_DIAG_VEGASINFO. */
const INFO_EXTENSIONS: number = (1 << (INET_DIAG_DCTCPINFO - 1)) | (1 << (INET_DIAG_VEGASINFO - 1));

/** @kernel dctcp net/ipv4/tcp_dctcp.c */
class Dctcp {
  oldDelivered = 0;
  oldDeliveredCe = 0;
  /** rcv_nxt before the last data packet: what an ACK of the former state covers. */
  priorRcvNxt = 0;
  alpha: number = DCTCP_MAX_ALPHA;
  /** End of the observation window. */
  nextSeq = 0;
  /** Was the last data packet marked? */
  ceState = false;
  lossCwnd = 0;
  readonly plb: TcpPlbState = new TcpPlbState();
}

/** @kernel inet_csk_ca include/net/inet_connection_sock.h */
function dctcp(sk: TcpSock): Dctcp {
  // A SYN that is lost meets us before the connection is up.
  if (sk.icskCaPriv === null) sk.icskCaPriv = new Dctcp();
  return sk.icskCaPriv as Dctcp;
}

/** A new observation window. @kernel dctcp_reset net/ipv4/tcp_dctcp.c */
function dctcpReset(sk: TcpSock, ca: Dctcp): void {
  ca.nextSeq = sk.sndNxt;
  ca.oldDelivered = sk.delivered;
  ca.oldDeliveredCe = sk.deliveredCe;
}

/** @kernel dctcp_init net/ipv4/tcp_dctcp.c */
function dctcpInit(sk: TcpSock): void {
  const ca = new Dctcp();
  sk.icskCaPriv = ca;
  const state = sk.skcState;
  if (tcpEcnModeAny(sk) || state === TCP_LISTEN || state === TCP_CLOSE) {
    ca.priorRcvNxt = sk.rcvNxt;
    dctcpReset(sk, ca);
    return;
  }
  // The peer knows nothing of ECN.
  sk.icskCaOps = dctcpReno;
  inetEcnDontxmit(sk);
}

/** cwnd * (1 - alpha / 2). @kernel dctcp_ssthresh net/ipv4/tcp_dctcp.c @rfc 8257#3.3 */
function dctcpSsthresh(sk: TcpSock): number {
  const ca = dctcp(sk);
  const cwnd = tcpSndCwnd(sk);
  ca.lossCwnd = cwnd;
  return Math.max(cwnd - Math.floor((cwnd * ca.alpha) / 2048), 2);
}

/** Once a round trip: alpha += (share of marked - alpha) / 16. @kernel dctcp_update_alpha net/ipv4/tcp_dctcp.c @rfc 8257#3.3 */
function dctcpUpdateAlpha(sk: TcpSock, _flags: number): void {
  const ca = dctcp(sk);
  if (before(sk.sndUna, ca.nextSeq)) return;
  const delivered = (sk.delivered - ca.oldDelivered) >>> 0;
  const marked = (sk.deliveredCe - ca.oldDeliveredCe) >>> 0;
  const ratio = delivered === 0 ? 0 : Math.floor((marked * (1 << TCP_PLB_SCALE)) / delivered);
  tcpPlbUpdateState(sk, ca.plb, ratio);
  tcpPlbCheckRehash(sk, ca.plb);
  let { alpha } = ca;
  // The last few go at once: the shift alone would never reach 0.
  const decay = alpha >> DCTCP_SHIFT_G;
  alpha -= decay !== 0 ? decay : alpha;
  if (marked !== 0) {
    const share = Math.floor((marked * (1 << (10 - DCTCP_SHIFT_G))) / Math.max(1, delivered));
    alpha = Math.min(alpha + share, DCTCP_MAX_ALPHA);
  }
  ca.alpha = alpha;
  dctcpReset(sk, ca);
}

/** A real loss halves. @kernel dctcp_react_to_loss net/ipv4/tcp_dctcp.c @rfc 8257#3.5 */
function dctcpReactToLoss(sk: TcpSock): void {
  const cwnd = tcpSndCwnd(sk);
  dctcp(sk).lossCwnd = cwnd;
  sk.sndSsthresh = Math.max(cwnd >> 1, 2);
}

/** @kernel dctcp_state net/ipv4/tcp_dctcp.c */
function dctcpState(sk: TcpSock, newState: number): void {
  if (newState === TCP_CA_Recovery && newState !== sk.icskCaState) dctcpReactToLoss(sk);
  // Timeouts come as CA_EVENT_LOSS, so that there is one reduction a round trip.
}

/** ECE says what the last packet was, not until CWR. @kernel dctcp_ece_ack_cwr net/ipv4/tcp_dctcp.h */
function dctcpEceAckCwr(sk: TcpSock, ceState: boolean): void {
  if (ceState) sk.ecnFlags |= TCP_ECN_DEMAND_CWR;
  else sk.ecnFlags &= ~TCP_ECN_DEMAND_CWR;
}

/** A change of the mark is told at once; a delayed ACK leaves before with the old one. @kernel dctcp_ece_ack_update net/ipv4/tcp_dctcp.h @rfc 8257#3.2 */
function dctcpEceAckUpdate(sk: TcpSock, ceState: boolean): void {
  const ca = dctcp(sk);
  if (ca.ceState !== ceState) {
    if ((sk.ackPending & ICSK_ACK_TIMER) !== 0) {
      dctcpEceAckCwr(sk, ca.ceState);
      __tcpSendAck(sk, ca.priorRcvNxt, 0);
    }
    sk.ackPending |= ICSK_ACK_NOW;
  }
  ca.priorRcvNxt = sk.rcvNxt;
  ca.ceState = ceState;
  dctcpEceAckCwr(sk, ceState);
}

/** @kernel dctcp_cwnd_event net/ipv4/tcp_dctcp.c */
function dctcpCwndEvent(sk: TcpSock, event: number): void {
  if (event === CA_EVENT_ECN_IS_CE) dctcpEceAckUpdate(sk, true);
  else if (event === CA_EVENT_ECN_NO_CE) dctcpEceAckUpdate(sk, false);
  else if (event === CA_EVENT_LOSS) {
    tcpPlbUpdateStateUponRto(sk, dctcp(sk).plb);
    dctcpReactToLoss(sk);
  } else if (event === CA_EVENT_TX_START) tcpPlbCheckRehash(sk, dctcp(sk).plb);
}

/** @kernel dctcp_cwnd_undo net/ipv4/tcp_dctcp.c */
function dctcpCwndUndo(sk: TcpSock): number {
  return Math.max(tcpSndCwnd(sk), dctcp(sk).lossCwnd);
}

/** struct tcp_dctcp_info: enabled, ce_state, alpha, marked and all bytes. @kernel dctcp_get_info net/ipv4/tcp_dctcp.c */
function dctcpGetInfo(sk: TcpSock, ext: number): TcpCcInfo | null {
  if ((ext & INFO_EXTENSIONS) === 0) return null;
  const info = new Uint8Array(16);
  if (sk.icskCaOps === dctcpReno) return { attr: INET_DIAG_DCTCPINFO, info };
  const ca = dctcp(sk);
  const v = new DataView(info.buffer);
  v.setUint16(0, 1, true);
  v.setUint16(2, ca.ceState ? 1 : 0, true);
  v.setUint32(4, ca.alpha, true);
  v.setUint32(8, sk.mssCache * (sk.deliveredCe - ca.oldDeliveredCe), true);
  v.setUint32(12, sk.mssCache * (sk.delivered - ca.oldDelivered), true);
  return { attr: INET_DIAG_DCTCPINFO, info };
}

/** Restricted: it takes more than its share next to others. @kernel dctcp net/ipv4/tcp_dctcp.c */
export const dctcpOps: TcpCongestionOps = {
  name: 'dctcp',
  flags: TCP_CONG_NEEDS_ECN,
  ssthresh: dctcpSsthresh,
  congAvoid: tcpRenoCongAvoid,
  setState: dctcpState,
  cwndEvent: dctcpCwndEvent,
  inAckEvent: dctcpUpdateAlpha,
  pktsAcked: null,
  minTsoSegs: null,
  congControl: null,
  undoCwnd: dctcpCwndUndo,
  sndbufExpand: null,
  getInfo: dctcpGetInfo,
  init: dctcpInit,
  release: null,
};

/** What a connection without ECN falls back to; not for choosing. @kernel dctcp_reno net/ipv4/tcp_dctcp.c */
const dctcpReno: TcpCongestionOps = {
  name: 'dctcp-reno',
  flags: 0,
  ssthresh: tcpRenoSsthresh,
  congAvoid: tcpRenoCongAvoid,
  setState: null,
  cwndEvent: null,
  inAckEvent: null,
  pktsAcked: null,
  minTsoSegs: null,
  congControl: null,
  undoCwnd: tcpRenoUndoCwnd,
  sndbufExpand: null,
  getInfo: dctcpGetInfo,
  init: null,
  release: null,
};

/** @kernel dctcp_register net/ipv4/tcp_dctcp.c */
function dctcpRegister(machine: Machine): number {
  return tcpRegisterCongestionControl(machine, dctcpOps);
}

export const dctcpModule: KernelModule = {
  name: 'tcp_dctcp',
  config: 'CONFIG_TCP_CONG_DCTCP',
  depends: [],
  level: FS_INITCALL,
  init: dctcpRegister,
  exit: null,
};
