/**
 * Pluggable congestion control: the registry, the choice of each socket, and Reno.
 *
 * Counterpart of net/ipv4/tcp_cong.c. RFC 5681 (slow start, congestion avoidance). A machine has its
 * own list of algorithms, a namespace its default, a socket or route its choice.
 */

import type { TcpSock } from '#include/linux/tcp.ts';
import type { DstEntry } from '#include/net/dst.ts';
import { dstMetric, dstMetricLocked } from '#include/net/dst.ts';
import { inetCsk } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_CONG_NON_RESTRICTED, type TcpCongestionOps, tcpSk } from '#include/net/tcp.ts';
import { inetEcnDontxmit, inetEcnXmit } from '#include/net/tcp_ecn.ts';
import {
  tcpCaNeedsEcn,
  tcpInSlowStart,
  tcpIsCwndLimited,
  tcpSndCwnd,
  tcpSndCwndSet,
} from '#include/net/tcp_inlines.ts';
import type { Machine } from '#kernel/machine.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { EEXIST, EINVAL, ENOENT, EPERM } from '#uapi/errno.ts';
import { RTAX_CC_ALGO } from '#uapi/rtnetlink.ts';
import { TCPF_CLOSE, TCPF_LISTEN } from '#uapi/tcp.ts';

/** Longest name with its terminating zero. @kernel TCP_CA_NAME_MAX include/net/tcp.h */
export const TCP_CA_NAME_MAX = 16;

// ---- Registry ----------------------------------------------------------------------------------

/** @kernel tcp_ca_find net/ipv4/tcp_cong.c */
export function tcpCaFind(machine: Machine, name: string): TcpCongestionOps | null {
  return machine.netGlobals.tcpCongList.find((ca) => ca.name === name) ?? null;
}

/** Number of an algorithm in routes; 0: none of that name. @kernel tcp_ca_get_key_by_name net/ipv4/tcp_cong.c */
export function tcpCaGetKeyByName(machine: Machine, name: string): number {
  return machine.netGlobals.tcpCongList.findIndex((ca) => ca.name === name) + 1;
}

/** 0, -EEXIST or -EINVAL. @kernel tcp_register_congestion_control net/ipv4/tcp_cong.c */
export function tcpRegisterCongestionControl(machine: Machine, ca: TcpCongestionOps): number {
  if (ca.congAvoid === null && ca.congControl === null) return -EINVAL;
  if (ca.name.length >= TCP_CA_NAME_MAX) return -EINVAL;
  if (tcpCaFind(machine, ca.name) !== null) return -EEXIST;
  machine.netGlobals.tcpCongList.push(ca);
  return 0;
}

/** @kernel tcp_unregister_congestion_control net/ipv4/tcp_cong.c */
export function tcpUnregisterCongestionControl(machine: Machine, ca: TcpCongestionOps): void {
  const list = machine.netGlobals.tcpCongList;
  const at = list.indexOf(ca);
  if (at >= 0) list.splice(at, 1);
}

// ---- Namespace ---------------------------------------------------------------------------------

/** Default of a namespace. 0 or -ENOENT. @kernel tcp_set_default_congestion_control net/ipv4/tcp_cong.c */
export function tcpSetDefaultCongestionControl(net: Net, name: string): number {
  const ca = tcpCaFind(net.machine, name);
  if (ca === null) return -ENOENT;
  if (net !== net.machine.initNet && !nonRestricted(net.machine, ca)) return -EPERM;
  net.ipv4.tcpCongestionControl = ca;
  return 0;
}

/** @kernel tcp_get_default_congestion_control net/ipv4/tcp_cong.c */
export function tcpGetDefaultCongestionControl(net: Net): string {
  return defaultOps(net).name;
}

/** net.ipv4.tcp_available_congestion_control. @kernel tcp_get_available_congestion_control net/ipv4/tcp_cong.c */
export function tcpGetAvailableCongestionControl(machine: Machine): string {
  return machine.netGlobals.tcpCongList.map((ca) => ca.name).join(' ');
}

/** @kernel tcp_get_allowed_congestion_control net/ipv4/tcp_cong.c */
export function tcpGetAllowedCongestionControl(machine: Machine): string {
  return machine.netGlobals.tcpCongList
    .filter((ca) => nonRestricted(machine, ca))
    .map((ca) => ca.name)
    .join(' ');
}

/** Names that programs without privilege may choose. 0 or -ENOENT. @kernel tcp_set_allowed_congestion_control net/ipv4/tcp_cong.c */
export function tcpSetAllowedCongestionControl(machine: Machine, text: string): number {
  const names = text.split(/\s+/).filter((name) => name !== '');
  if (names.some((name) => tcpCaFind(machine, name) === null)) return -ENOENT;
  machine.netGlobals.tcpCongAllowed = names;
  return 0;
}

/** May everyone choose it? Algorithms are shared by all machines, this setting is not. */
function nonRestricted(machine: Machine, ca: TcpCongestionOps): boolean {
  const allowed = machine.netGlobals.tcpCongAllowed;
  return allowed !== null ? allowed.includes(ca.name) : (ca.flags & TCP_CONG_NON_RESTRICTED) !== 0;
}

function defaultOps(net: Net): TcpCongestionOps {
  return net.ipv4.tcpCongestionControl ?? tcpCaFind(net.machine, 'cubic') ?? tcpReno;
}

// ---- Sockets -----------------------------------------------------------------------------------

/** @kernel tcp_set_ca_state include/net/tcp.h */
export function tcpSetCaState(sk: Sock, caState: number): void {
  const icsk = inetCsk(sk);
  if (tracepointKey.enabled) sk.net.machine.trace.tcp.tcpCongStateSet.probe?.(tcpSk(sk), caState);
  if (icsk.icskCaOps?.setState != null) icsk.icskCaOps.setState(tcpSk(sk), caState);
  icsk.icskCaState = caState;
}

/** A new socket takes its namespace's default. @kernel tcp_assign_congestion_control net/ipv4/tcp_cong.c */
export function tcpAssignCongestionControl(sk: Sock): void {
  const icsk = inetCsk(sk);
  icsk.icskCaOps = defaultOps(sk.net);
  icsk.icskCaPriv = null;
  setEcn(sk);
}

function setEcn(sk: Sock): void {
  if (tcpCaNeedsEcn(sk)) inetEcnXmit(sk);
  else inetEcnDontxmit(sk);
}

/** Starts the algorithm, once the connection is up. @kernel tcp_init_congestion_control net/ipv4/tcp_cong.c */
export function tcpInitCongestionControl(sk: Sock): void {
  const tp = tcpSk(sk);
  tp.priorSsthresh = 0;
  tp.icskCaOps?.init?.(tp);
  setEcn(sk);
  tp.icskCaInitialized = true;
}

/** @kernel tcp_cleanup_congestion_control net/ipv4/tcp_cong.c */
export function tcpCleanupCongestionControl(sk: Sock): void {
  const tp = tcpSk(sk);
  if (tp.icskCaInitialized && tp.icskCaOps !== null) tp.icskCaOps.release?.(tp);
  tp.icskCaInitialized = false;
}

/** @kernel tcp_reinit_congestion_control net/ipv4/tcp_cong.c */
function tcpReinitCongestionControl(sk: Sock, ca: TcpCongestionOps): void {
  const tp = tcpSk(sk);
  tcpCleanupCongestionControl(sk);
  tp.icskCaOps = ca;
  tp.icskCaSetsockopt = true;
  tp.icskCaPriv = null;
  if (((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) tcpInitCongestionControl(sk);
  else setEcn(sk);
}

/**
 * TCP_CONGESTION. `capNetAdmin`: may choose a restricted one. 0, -ENOENT, -EPERM.
 * @kernel tcp_set_congestion_control net/ipv4/tcp_cong.c
 */
export function tcpSetCongestionControl(sk: Sock, name: string, capNetAdmin: boolean): number {
  const icsk = inetCsk(sk);
  if (icsk.icskCaDstLocked) return -EPERM;
  const ca = tcpCaFind(sk.net.machine, name);
  if (ca === null) return -ENOENT;
  if (ca === icsk.icskCaOps) {
    icsk.icskCaSetsockopt = true;
    return 0;
  }
  if (!capNetAdmin && !nonRestricted(sk.net.machine, ca)) return -EPERM;
  tcpReinitCongestionControl(sk, ca);
  return 0;
}

/** A route that names an algorithm. @kernel tcp_ca_dst_init net/ipv4/tcp_output.c */
export function tcpCaDstInit(sk: Sock, dst: DstEntry): void {
  const key = dstMetric(dst, RTAX_CC_ALGO);
  if (key === 0) return;
  const ca = sk.net.machine.netGlobals.tcpCongList[key - 1];
  if (ca === undefined) return;
  const icsk = inetCsk(sk);
  icsk.icskCaDstLocked = dstMetricLocked(dst, RTAX_CC_ALGO);
  icsk.icskCaOps = ca;
}

// ---- Reno --------------------------------------------------------------------------------------

/** Doubles the window each round trip, up to ssthresh. Returns the ACKed segments left over. @kernel tcp_slow_start net/ipv4/tcp_cong.c @rfc 5681#3.1 */
export function tcpSlowStart(tp: TcpSock, acked: number): number {
  const was = tcpSndCwnd(tp);
  const cwnd = Math.min(was + acked, tp.sndSsthresh);
  tcpSndCwndSet(tp, Math.min(cwnd, tp.sndCwndClamp));
  return acked - (cwnd - was);
}

/** One segment more for each `w` acknowledged. @kernel tcp_cong_avoid_ai net/ipv4/tcp_cong.c @rfc 5681#3.1 */
export function tcpCongAvoidAi(tp: TcpSock, w: number, acked: number): void {
  // The last window was larger than w: credit is applied at once.
  if (tp.sndCwndCnt >= w) {
    tp.sndCwndCnt = 0;
    tcpSndCwndSet(tp, tcpSndCwnd(tp) + 1);
  }
  tp.sndCwndCnt += acked;
  if (tp.sndCwndCnt >= w) {
    const delta = Math.floor(tp.sndCwndCnt / w);
    tp.sndCwndCnt -= delta * w;
    tcpSndCwndSet(tp, tcpSndCwnd(tp) + delta);
  }
  tcpSndCwndSet(tp, Math.min(tcpSndCwnd(tp), tp.sndCwndClamp));
}

/** @kernel tcp_reno_cong_avoid net/ipv4/tcp_cong.c */
export function tcpRenoCongAvoid(tp: TcpSock, _ack: number, acked: number): void {
  if (!tcpIsCwndLimited(tp)) return;
  let left = acked;
  if (tcpInSlowStart(tp)) {
    left = tcpSlowStart(tp, left);
    if (left === 0) return;
  }
  tcpCongAvoidAi(tp, tcpSndCwnd(tp), left);
}

/** Half the window. @kernel tcp_reno_ssthresh net/ipv4/tcp_cong.c @rfc 5681#3.1 */
export function tcpRenoSsthresh(tp: TcpSock): number {
  return Math.max(tcpSndCwnd(tp) >> 1, 2);
}

/** @kernel tcp_reno_undo_cwnd net/ipv4/tcp_cong.c */
export function tcpRenoUndoCwnd(tp: TcpSock): number {
  return Math.max(tcpSndCwnd(tp), tp.priorCwnd);
}

/** @kernel tcp_reno net/ipv4/tcp_cong.c */
export const tcpReno: TcpCongestionOps = {
  name: 'reno',
  flags: TCP_CONG_NON_RESTRICTED,
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
  getInfo: null,
  init: null,
  release: null,
};
