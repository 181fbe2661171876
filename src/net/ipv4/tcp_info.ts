/**
 * What a connection tells about itself. Counterpart of tcp_get_info in net/ipv4/tcp.c.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import {
  TCP_CHRONO_BUSY,
  TCP_CHRONO_RWND_LIMITED,
  TCP_CHRONO_SNDBUF_LIMITED,
  type TcpSock,
} from '#include/linux/tcp.ts';
import {
  ICSK_TIME_LOSS_PROBE,
  ICSK_TIME_PROBE0,
  ICSK_TIME_REO_TIMEOUT,
  ICSK_TIME_RETRANS,
} from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_ECN_SEEN, tcpSk } from '#include/net/tcp.ts';
import {
  tcpEcnModeAccecn,
  tcpEcnModeAny,
  tcpEcnModePending,
  tcpEcnModeRfc3168,
} from '#include/net/tcp_ecn.ts';
import { tcpClockMs, tcpIsSack, tcpMinRtt, tcpSndCwnd } from '#include/net/tcp_inlines.ts';
import type { Machine } from '#kernel/machine.ts';
import { timerPending } from '#kernel/time/timer.ts';
import { lockSock, releaseSock } from '#net/core/sock.ts';
import { tcpDelackMax } from '#net/ipv4/tcp_output_ctl.ts';
import { TIMER_KEEPALIVE, TIMER_NONE, TIMER_PROBE0, TIMER_RETRANS } from '#uapi/inet_diag.ts';
import { SOCK_STREAM } from '#uapi/socket.ts';
import {
  TCP_LISTEN,
  TCPI_ECN_MODE_ACCECN,
  TCPI_ECN_MODE_DISABLED,
  TCPI_ECN_MODE_PENDING,
  TCPI_ECN_MODE_RFC3168,
  TCPI_OPT_ECN,
  TCPI_OPT_ECN_SEEN,
  TCPI_OPT_SACK,
  TCPI_OPT_SYN_DATA,
  TCPI_OPT_TFO_CHILD,
  TCPI_OPT_TIMESTAMPS,
  TCPI_OPT_USEC_TS,
  TCPI_OPT_WSCALE,
} from '#uapi/tcp.ts';
import type { TcpInfo } from '#uapi/tcp_info.ts';
import { newTcpInfo, putTcpInfo } from '#uapi/tcp_info.ts';

const US_PER_JIFFY = 1000;

/** A rate of the socket, where the largest safe integer and more mean "no limit". */
function rateOf(rate: number): number {
  return rate >= Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : rate;
}

/** Bytes a second that were delivered of late; 0: not known. @kernel tcp_compute_delivery_rate net/ipv4/tcp.c */
export function tcpComputeDeliveryRate(tp: TcpSock): number {
  if (tp.rateDelivered === 0 || tp.rateIntervalUs === 0) return 0;
  return Math.floor((tp.rateDelivered * tp.mssCache * 1e6) / tp.rateIntervalUs);
}

/** TCPI_ECN_MODE_* */
function ecnModeInfo(tp: TcpSock): number {
  if (tcpEcnModePending(tp)) return TCPI_ECN_MODE_PENDING;
  if (tcpEcnModeAccecn(tp)) return TCPI_ECN_MODE_ACCECN;
  return tcpEcnModeRfc3168(tp) ? TCPI_ECN_MODE_RFC3168 : TCPI_ECN_MODE_DISABLED;
}

function optionBits(tp: TcpSock): number {
  let options = 0;
  if (tp.rxOpt.tstampOk) options |= TCPI_OPT_TIMESTAMPS;
  if (tcpIsSack(tp)) options |= TCPI_OPT_SACK;
  if (tp.rxOpt.wscaleOk) options |= TCPI_OPT_WSCALE;
  if (tcpEcnModeAny(tp)) options |= TCPI_OPT_ECN;
  if ((tp.ecnFlags & TCP_ECN_SEEN) !== 0) options |= TCPI_OPT_ECN_SEEN;
  if (tp.synDataAcked) options |= TCPI_OPT_SYN_DATA;
  if (tp.synFastopenChild) options |= TCPI_OPT_TFO_CHILD;
  if (tp.usecTs) options |= TCPI_OPT_USEC_TS;
  return options;
}

/** @kernel tcp_get_info_chrono_stats net/ipv4/tcp.c */
function chronoStats(tp: TcpSock, info: TcpInfo): void {
  const now = tp.net.machine.jiffies;
  const stats = [tp.chronoBusy, tp.chronoRwndLimited, tp.chronoSndbufLimited];
  let total = 0;
  for (let i = TCP_CHRONO_BUSY; i <= TCP_CHRONO_SNDBUF_LIMITED; i++) {
    let us = stats[i - 1] as number;
    if (i === tp.chronoType) us += (now - tp.chronoStart) >>> 0;
    us *= US_PER_JIFFY;
    total += us;
    if (i === TCP_CHRONO_RWND_LIMITED) info.rwndLimited = us;
    else if (i === TCP_CHRONO_SNDBUF_LIMITED) info.sndbufLimited = us;
  }
  info.busyTime = total;
}

function connectionState(tp: TcpSock, info: TcpInfo): void {
  const now = tp.net.machine.jiffies;
  info.caState = tp.icskCaState;
  info.retransmits = tp.icskRetransmits;
  info.probes = tp.icskProbesOut;
  info.backoff = tp.icskBackoff;
  info.options = optionBits(tp);
  if (tp.rxOpt.wscaleOk) {
    info.sndWscale = tp.rxOpt.sndWscale;
    info.rcvWscale = tp.rxOpt.rcvWscale;
  }
  info.rto = tp.icskRto * US_PER_JIFFY;
  info.ato = Math.min(tp.ackAto, tcpDelackMax(tp)) * US_PER_JIFFY;
  info.sndMss = tp.mssCache;
  info.rcvMss = tp.ackRcvMss;
  info.unacked = tp.packetsOut;
  info.sacked = tp.sackedOut;
  info.lost = tp.lostOut;
  info.retrans = tp.retransOut;
  info.lastDataSent = (now - tp.lsndtime) >>> 0;
  info.lastDataRecv = (now - tp.ackLrcvtime) >>> 0;
  info.lastAckRecv = (now - tp.rcvTstamp) >>> 0;
  info.pmtu = tp.icskPmtuCookie;
  info.rcvSsthresh = tp.rcvSsthresh;
  info.rtt = tp.srttUs >>> 3;
  info.rttvar = tp.mdevUs >>> 2;
  info.sndSsthresh = tp.sndSsthresh;
  info.advmss = tp.advmss;
  info.rcvRtt = tp.rcvRttEstRttUs >>> 3;
  info.rcvSpace = tp.rcvqSpaceSpace;
}

function traffic(tp: TcpSock, info: TcpInfo): void {
  info.totalRetrans = tp.totalRetrans;
  info.bytesAcked = tp.bytesAcked;
  info.bytesReceived = tp.bytesReceived;
  info.notsentBytes = Math.max(0, (tp.writeSeq - tp.sndNxt) | 0);
  info.segsOut = tp.segsOut;
  info.segsIn = tp.segsIn;
  info.minRtt = tcpMinRtt(tp);
  info.dataSegsIn = tp.dataSegsIn;
  info.dataSegsOut = tp.dataSegsOut;
  info.deliveryRateAppLimited = tp.rateAppLimited ? 1 : 0;
  info.deliveryRate = tcpComputeDeliveryRate(tp);
  info.delivered = tp.delivered;
  info.deliveredCe = tp.deliveredCe;
  info.bytesSent = tp.bytesSent;
  info.bytesRetrans = tp.bytesRetrans;
  info.dsackDups = tp.dsackDups;
  info.reordSeen = tp.reordSeen;
  info.rcvOoopack = tp.rcvOoopack;
  info.sndWnd = tp.sndWnd;
  info.rcvWnd = tp.rcvWnd;
  info.rehash = tp.timeoutRehash + tp.plbRehash;
  info.fastopenClientFail = tp.fastopenClientFail;
  info.receivedCe = tp.receivedCe;
  info.deliveredE1Bytes = tp.deliveredEct1Bytes;
  info.deliveredE0Bytes = tp.deliveredEct0Bytes;
  info.deliveredCeBytes = tp.deliveredCeBytes;
  info.receivedE1Bytes = tp.receivedEct1Bytes;
  info.receivedE0Bytes = tp.receivedEct0Bytes;
  info.receivedCeBytes = tp.receivedCeBytes;
  info.ecnMode = ecnModeInfo(tp);
  info.accecnFailMode = tp.accecnFailMode;
  info.accecnOptSeen = tp.sawAccecnOpt;
  info.totalRto = tp.totalRto;
  info.totalRtoRecoveries = tp.totalRtoRecoveries;
  info.totalRtoTime = tp.totalRtoTime;
  if (tp.rtoStamp !== 0) {
    info.totalRtoTime += (tcpClockMs(tp.net.machine) - tp.rtoStamp) >>> 0;
  }
}

/** Fills an all-zero record. @kernel tcp_get_info net/ipv4/tcp.c */
export function tcpGetInfo(sk: Sock, info: TcpInfo): void {
  if (sk.skType !== SOCK_STREAM) return;
  const tp = tcpSk(sk);
  info.state = sk.skcState;
  info.pacingRate = rateOf(sk.skPacingRate);
  info.maxPacingRate = rateOf(sk.skMaxPacingRate);
  info.reordering = tp.reordering;
  info.sndCwnd = tcpSndCwnd(tp);
  if (info.state === TCP_LISTEN) {
    // Listeners show their accept queue and its limit here.
    info.unacked = sk.skAckBacklog;
    info.sacked = sk.skMaxAckBacklog;
    return;
  }
  connectionState(tp, info);
  chronoStats(tp, info);
  traffic(tp, info);
}

/** TCP_INFO: how much was written. @kernel do_tcp_getsockopt net/ipv4/tcp.c */
function getInfo(sk: Sock, optval: Uint8Array): number {
  const info = newTcpInfo();
  lockSock(sk);
  tcpGetInfo(sk, info);
  releaseSock(sk);
  const v = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
  return putTcpInfo(v, 0, optval.byteLength, info);
}

/** @kernel tcp_get_info net/ipv4/tcp.c */
function tcpInfoInit(machine: Machine): number {
  machine.netGlobals.tcpInfo = getInfo;
  return 0;
}

export const tcpInfoModule: KernelModule = {
  name: 'tcp_info',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: tcpInfoInit,
  exit: null,
};

/** The timer that runs, as /proc/net/tcp and inet_diag have it. */
export interface PendingTimer {
  /** TIMER_* */
  readonly active: number;
  /** How often it has fired. */
  readonly retrans: number;
  /** Jiffies until it fires. */
  readonly delta: number;
}

/** @kernel get_tcp4_sock net/ipv4/tcp_ipv4.c */
export function tcpPendingTimer(tp: TcpSock): PendingTimer {
  const now = tp.net.machine.jiffies;
  const delta = (tp.icskTimeout - now) | 0;
  switch (tp.icskPending) {
    case ICSK_TIME_RETRANS:
    case ICSK_TIME_REO_TIMEOUT:
    case ICSK_TIME_LOSS_PROBE:
      return { active: TIMER_RETRANS, retrans: tp.icskRetransmits, delta };
    case ICSK_TIME_PROBE0:
      return { active: TIMER_PROBE0, retrans: tp.icskProbesOut, delta };
  }
  const timer = tp.skTimer;
  if (timer === null || !timerPending(timer)) return { active: TIMER_NONE, retrans: 0, delta: 0 };
  const left = (timer.expires - now) | 0;
  return { active: TIMER_KEEPALIVE, retrans: tp.icskProbesOut, delta: left };
}
