/**
 * Options at level SOL_TCP. Counterpart of do_tcp_setsockopt and do_tcp_getsockopt in net/ipv4/tcp.c.
 * Values are ints in the machine's order unless said; times in seconds unless the name has a unit.
 */

import type { TcpSock } from '#include/linux/tcp.ts';
import { ICSK_ACK_PUSHED } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_KEEPOPEN, SOCK_MIN_RCVBUF } from '#include/net/sock.ts';
import {
  MAX_TCP_KEEPCNT,
  MAX_TCP_KEEPIDLE,
  MAX_TCP_KEEPINTVL,
  MAX_TCP_SYNCNT,
  MAX_TCP_WINDOW,
  TCP_DELACK_MAX,
  TCP_FIN_TIMEOUT_MAX,
  TCP_MIN_MSS,
  TCP_NAGLE_CORK,
  TCP_NAGLE_OFF,
  TCP_NAGLE_PUSH,
  TCP_RTO_MAX_SEC,
  TCP_RTO_MIN,
  TCP_TIMEOUT_INIT,
  TCP_TIMEOUT_MIN,
  tcpSk,
} from '#include/net/tcp.ts';
import { tcpAuthGetsockopt, tcpAuthSetsockopt } from '#include/net/tcp_auth_ops.ts';
import {
  tcpFastopenGetKey,
  tcpFastopenSetKey,
  tcpFastopenSetsockopt,
} from '#include/net/tcp_fastopen_ops.ts';
import {
  __tcpAdjustRcvSsthresh,
  keepaliveIntvlWhen,
  keepaliveProbes,
  keepaliveTimeElapsed,
  keepaliveTimeWhen,
  tcpClockTs,
} from '#include/net/tcp_inlines.ts';
import { HZ } from '#kernel/param.ts';
import { msecsToJiffies, usecsToJiffies } from '#kernel/time/jiffies.ts';
import { lockSock, releaseSock, sockFlag } from '#net/core/sock.ts';
import {
  inetCskAckScheduled,
  inetCskEnterPingpongMode,
  inetCskExitPingpongMode,
  inetCskInPingpongMode,
} from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpSetCongestionControl } from '#net/ipv4/tcp_cong.ts';
import { tcpPushPendingFrames } from '#net/ipv4/tcp_output_xmit.ts';
import { tcpCleanupRbuf } from '#net/ipv4/tcp_recvmsg.ts';
import {
  tcpRepairGet,
  tcpRepairGetWindow,
  tcpRepairOptionsEst,
  tcpRepairSet,
  tcpRepairSetWindow,
} from '#net/ipv4/tcp_repair.ts';
import { tcpResetKeepaliveTimer } from '#net/ipv4/tcp_timer.ts';
import { EINVAL, ENOENT, ENOPROTOOPT } from '#uapi/errno.ts';
import { SOL_TCP } from '#uapi/socket.ts';
import {
  TCP_AO_ADD_KEY,
  TCP_AO_GET_KEYS,
  TCP_AO_INFO,
  TCP_AO_REPAIR,
  TCP_CC_INFO,
  TCP_CLOSE,
  TCP_CONGESTION,
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_DELACK_MAX_US,
  TCP_FASTOPEN,
  TCP_FASTOPEN_CONNECT,
  TCP_FASTOPEN_KEY,
  TCP_FASTOPEN_NO_COOKIE,
  TCP_INFO,
  TCP_INQ,
  TCP_IS_MPTCP,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_LINGER2,
  TCP_MAXSEG,
  TCP_MD5SIG,
  TCP_MD5SIG_EXT,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
  TCP_QUEUE_SEQ,
  TCP_QUICKACK,
  TCP_REPAIR,
  TCP_REPAIR_OPTIONS,
  TCP_REPAIR_QUEUE,
  TCP_REPAIR_WINDOW,
  TCP_RTO_MAX_MS,
  TCP_RTO_MIN_US,
  TCP_SAVE_SYN,
  TCP_SAVED_SYN,
  TCP_SYNCNT,
  TCP_THIN_DUPACK,
  TCP_THIN_LINEAR_TIMEOUTS,
  TCP_TIMESTAMP,
  TCP_TX_DELAY,
  TCP_ULP,
  TCP_USER_TIMEOUT,
  TCP_WINDOW_CLAMP,
  TCPF_CLOSE,
  TCPF_CLOSE_WAIT,
  TCPF_ESTABLISHED,
  TCPF_LISTEN,
} from '#uapi/tcp.ts';

const TCP_CA_NAME_MAX = 16;

// ---- Conversions -------------------------------------------------------------------------------

/** Timeouts that take at least `seconds`, each twice the one before. @kernel secs_to_retrans net/ipv4/tcp.c */
export function secsToRetrans(seconds: number, first: number, max: number): number {
  if (seconds <= 0) return 0;
  let timeout = first;
  let period = first;
  let retrans = 1;
  while (seconds > period && retrans < 255) {
    retrans++;
    timeout = Math.min(timeout << 1, max);
    period += timeout;
  }
  return retrans;
}

/** @kernel retrans_to_secs net/ipv4/tcp.c */
export function retransToSecs(retrans: number, first: number, max: number): number {
  let period = 0;
  let timeout = first;
  for (let i = 0; i < retrans; i++) {
    period += timeout;
    timeout = Math.min(timeout << 1, max);
  }
  return period;
}

function inRange(val: number, lo: number, hi: number): boolean {
  return val >= lo && val <= hi;
}

// ---- Setting -----------------------------------------------------------------------------------

/** Disables Nagle, and sends at once what it held back. @kernel __tcp_sock_set_nodelay net/ipv4/tcp.c */
function setNodelay(sk: Sock, on: boolean): void {
  const tp = tcpSk(sk);
  if (on) {
    tp.nonagle |= TCP_NAGLE_OFF | TCP_NAGLE_PUSH;
    tcpPushPendingFrames(sk);
  } else {
    tp.nonagle &= ~TCP_NAGLE_OFF;
  }
}

/** While corked only full segments leave. @kernel __tcp_sock_set_cork net/ipv4/tcp.c */
function setCork(sk: Sock, on: boolean): void {
  const tp = tcpSk(sk);
  if (on) {
    tp.nonagle |= TCP_NAGLE_CORK;
    return;
  }
  tp.nonagle &= ~TCP_NAGLE_CORK;
  if ((tp.nonagle & TCP_NAGLE_OFF) !== 0) tp.nonagle |= TCP_NAGLE_PUSH;
  tcpPushPendingFrames(sk);
}

/** @kernel tcp_sock_set_keepidle_locked net/ipv4/tcp.c */
function setKeepidle(sk: Sock, val: number): number {
  if (!inRange(val, 1, MAX_TCP_KEEPIDLE)) return -EINVAL;
  const tp = tcpSk(sk);
  tp.keepaliveTime = val * HZ;
  if (sockFlag(sk, SOCK_KEEPOPEN) && ((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) {
    const left = tp.keepaliveTime - keepaliveTimeElapsed(tp);
    tcpResetKeepaliveTimer(sk, Math.max(left, 0));
  }
  return 0;
}

/** @kernel __tcp_sock_set_quickack net/ipv4/tcp.c */
function setQuickack(sk: Sock, val: number): void {
  if (val === 0) {
    inetCskEnterPingpongMode(sk);
    return;
  }
  inetCskExitPingpongMode(sk);
  if (
    ((1 << sk.skcState) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) !== 0 &&
    inetCskAckScheduled(sk)
  ) {
    tcpSk(sk).ackPending |= ICSK_ACK_PUSHED;
    tcpCleanupRbuf(sk, 1);
    if ((val & 1) === 0) inetCskEnterPingpongMode(sk);
  }
}

/** @kernel tcp_set_window_clamp net/ipv4/tcp.c */
function setWindowClamp(sk: Sock, val: number): number {
  const tp = tcpSk(sk);
  if (val === 0) {
    if (sk.skcState !== TCP_CLOSE) return -EINVAL;
    tp.windowClamp = 0;
    return 0;
  }
  const old = tp.windowClamp;
  const clamp = Math.max(SOCK_MIN_RCVBUF / 2, val);
  if (clamp === old) return 0;
  tp.windowClamp = clamp;
  if (clamp < old) __tcpAdjustRcvSsthresh(sk, clamp);
  else tp.rcvSsthresh = Math.max(Math.min(tp.rcvWnd, clamp), tp.rcvSsthresh);
  return 0;
}

/** TCP_CONGESTION: a name, with or without a final zero. */
function setCongestion(sk: Sock, optval: Uint8Array): number {
  if (optval.length < 1) return -EINVAL;
  let name = '';
  for (const byte of optval.subarray(0, TCP_CA_NAME_MAX - 1)) {
    if (byte === 0) break;
    name += String.fromCharCode(byte);
  }
  lockSock(sk);
  const err = tcpSetCongestionControl(sk, name, true);
  releaseSock(sk);
  return err;
}

/** Options that need no lock. Null: not one of them. */
function setUnlocked(sk: Sock, optname: number, val: number): number | null {
  const tp = tcpSk(sk);
  switch (optname) {
    case TCP_SYNCNT:
      if (!inRange(val, 1, MAX_TCP_SYNCNT)) return -EINVAL;
      tp.icskSynRetries = val;
      return 0;
    case TCP_USER_TIMEOUT:
      if (val < 0) return -EINVAL;
      tp.icskUserTimeout = val;
      return 0;
    case TCP_KEEPINTVL:
      if (!inRange(val, 1, MAX_TCP_KEEPINTVL)) return -EINVAL;
      tp.keepaliveIntvl = val * HZ;
      return 0;
    case TCP_KEEPCNT:
      if (!inRange(val, 1, MAX_TCP_KEEPCNT)) return -EINVAL;
      tp.keepaliveProbes = val;
      return 0;
    case TCP_LINGER2:
      if (val < 0) tp.linger2 = -1;
      else tp.linger2 = val > TCP_FIN_TIMEOUT_MAX / HZ ? TCP_FIN_TIMEOUT_MAX : val * HZ;
      return 0;
    case TCP_DEFER_ACCEPT:
      tp.icskAcceptQueue.rskqDeferAccept = secsToRetrans(
        val,
        TCP_TIMEOUT_INIT / HZ,
        TCP_RTO_MAX_SEC,
      );
      return 0;
    case TCP_MAXSEG:
      if (val !== 0 && !inRange(val, TCP_MIN_MSS, MAX_TCP_WINDOW)) return -EINVAL;
      tp.rxOpt.userMss = val;
      return 0;
    default:
      return setTimes(tp, optname, val);
  }
}

/** Bounds of timeouts, in ms and us. */
function setTimes(tp: TcpSock, optname: number, val: number): number | null {
  switch (optname) {
    case TCP_RTO_MAX_MS:
      if (!inRange(val, 1000, TCP_RTO_MAX_SEC * 1000)) return -EINVAL;
      tp.icskRtoMax = msecsToJiffies(val);
      return 0;
    case TCP_RTO_MIN_US: {
      const rtoMin = usecsToJiffies(val);
      if (val < 0 || !inRange(rtoMin, TCP_TIMEOUT_MIN, TCP_RTO_MIN)) return -EINVAL;
      tp.icskRtoMin = rtoMin;
      return 0;
    }
    case TCP_DELACK_MAX_US: {
      const delackMax = usecsToJiffies(val);
      if (val < 0 || !inRange(delackMax, TCP_TIMEOUT_MIN, TCP_DELACK_MAX)) return -EINVAL;
      tp.icskDelackMax = delackMax;
      return 0;
    }
    default:
      return null;
  }
}

/** Flags: 0 or 1, else -EINVAL. Null: not one of them. */
function setFlag(tp: TcpSock, optname: number, val: number): number | null {
  switch (optname) {
    case TCP_THIN_LINEAR_TIMEOUTS:
      if (!inRange(val, 0, 1)) return -EINVAL;
      tp.thinLto = val !== 0;
      return 0;
    case TCP_THIN_DUPACK:
      return inRange(val, 0, 1) ? 0 : -EINVAL;
    case TCP_INQ:
      if (!inRange(val, 0, 1)) return -EINVAL;
      tp.recvmsgInq = val !== 0;
      return 0;
    case TCP_SAVE_SYN:
      // 2 saves the link header as well.
      if (!inRange(val, 0, 2)) return -EINVAL;
      tp.saveSyn = val;
      return 0;
    default:
      return null;
  }
}

/** Options under the socket's lock. */
function setLocked(sk: Sock, optname: number, val: number): number {
  const tp = tcpSk(sk);
  const flag = setFlag(tp, optname, val);
  if (flag !== null) return flag;
  switch (optname) {
    case TCP_NODELAY:
      setNodelay(sk, val !== 0);
      return 0;
    case TCP_CORK:
      setCork(sk, val !== 0);
      return 0;
    case TCP_KEEPIDLE:
      return setKeepidle(sk, val);
    case TCP_WINDOW_CLAMP:
      return setWindowClamp(sk, val);
    case TCP_QUICKACK:
      setQuickack(sk, val);
      return 0;
    case TCP_FASTOPEN:
    case TCP_FASTOPEN_CONNECT:
    case TCP_FASTOPEN_NO_COOKIE:
      return tcpFastopenSetsockopt(sk, optname, val);
    case TCP_NOTSENT_LOWAT:
      tp.notsentLowat = val >>> 0;
      sk.skWriteSpace(sk);
      return 0;
    case TCP_TX_DELAY:
      if (val < 0) return -EINVAL;
      tp.tcpTxDelay = val;
      return 0;
    default:
      return tcpRepairSet(sk, optname, val);
  }
}

const isKeyOption = (optname: number): boolean =>
  optname === TCP_MD5SIG ||
  optname === TCP_MD5SIG_EXT ||
  (optname >= TCP_AO_ADD_KEY && optname <= TCP_AO_REPAIR && optname !== TCP_AO_GET_KEYS);

/** Keys of MD5 signatures and of the authentication option. */
function setKeys(sk: Sock, optname: number, optval: Uint8Array): number {
  lockSock(sk);
  const err = tcpAuthSetsockopt(sk, optname, optval);
  releaseSock(sk);
  return err;
}

/** Those that take structures; the int before them is not looked at. */
function setRepairStruct(sk: Sock, optname: number, optval: Uint8Array): number {
  lockSock(sk);
  const err =
    optname === TCP_REPAIR_WINDOW
      ? tcpRepairSetWindow(sk, optval)
      : tcpRepairOptionsEst(sk, optval);
  releaseSock(sk);
  return err;
}

/** @kernel do_tcp_setsockopt net/ipv4/tcp.c */
function doTcpSetsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  if (optname === TCP_CONGESTION) return setCongestion(sk, optval);
  // No upper protocol can be stacked on TCP here.
  if (optname === TCP_FASTOPEN_KEY) return tcpFastopenSetKey(sk, optval);
  if (isKeyOption(optname)) return setKeys(sk, optname, optval);
  if (optname === TCP_ULP) return optval.length < 1 ? -EINVAL : -ENOENT;
  if (optval.length < 4) return -EINVAL;
  if (optname === TCP_REPAIR_WINDOW || optname === TCP_REPAIR_OPTIONS) {
    return setRepairStruct(sk, optname, optval);
  }
  const val = new DataView(optval.buffer, optval.byteOffset, 4).getInt32(0, true);
  const err = setUnlocked(sk, optname, val);
  if (err !== null) return err;
  lockSock(sk);
  const ret = setLocked(sk, optname, val);
  releaseSock(sk);
  return ret;
}

/** @kernel tcp_setsockopt net/ipv4/tcp.c */
export function tcpSetsockopt(
  sk: Sock,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  if (level !== SOL_TCP) return tcpSk(sk).icskAfOps!.setsockopt(sk, level, optname, optval);
  return doTcpSetsockopt(sk, optname, optval);
}

// ---- Getting -----------------------------------------------------------------------------------

/** Before the connection is up, what the user asked for. */
function getMaxseg(sk: Sock, tp: TcpSock): number {
  const asked = tp.rxOpt.userMss;
  const fresh = ((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0;
  return asked !== 0 && fresh ? asked : tp.mssCache;
}

function getLinger2(sk: Sock, tp: TcpSock): number {
  if (tp.linger2 < 0) return tp.linger2;
  return Math.floor((tp.linger2 !== 0 ? tp.linger2 : sk.net.ipv4.sysctlTcpFinTimeout) / HZ);
}

function getTimestamp(sk: Sock, tp: TcpSock): number {
  const val = (tcpClockTs(sk.net.machine, tp.usecTs) + tp.tsoffset) | 0;
  return tp.usecTs ? val | 1 : val & ~1;
}

/** Options that are one int. Null: not one of them. */
function getInt(sk: Sock, optname: number): number | null {
  const tp = tcpSk(sk);
  switch (optname) {
    case TCP_MAXSEG:
      return getMaxseg(sk, tp);
    case TCP_NODELAY:
      return (tp.nonagle & TCP_NAGLE_OFF) !== 0 ? 1 : 0;
    case TCP_CORK:
      return (tp.nonagle & TCP_NAGLE_CORK) !== 0 ? 1 : 0;
    case TCP_KEEPIDLE:
      return Math.floor(keepaliveTimeWhen(tp) / HZ);
    case TCP_KEEPINTVL:
      return Math.floor(keepaliveIntvlWhen(tp) / HZ);
    case TCP_KEEPCNT:
      return keepaliveProbes(tp);
    case TCP_SYNCNT:
      return tp.icskSynRetries !== 0 ? tp.icskSynRetries : sk.net.ipv4.sysctlTcpSynRetries;
    case TCP_LINGER2:
      return getLinger2(sk, tp);
    case TCP_DEFER_ACCEPT:
      return retransToSecs(
        tp.icskAcceptQueue.rskqDeferAccept,
        TCP_TIMEOUT_INIT / HZ,
        TCP_RTO_MAX_SEC,
      );
    case TCP_WINDOW_CLAMP:
      return tp.windowClamp;
    case TCP_QUICKACK:
      return inetCskInPingpongMode(sk) ? 0 : 1;
    case TCP_THIN_LINEAR_TIMEOUTS:
      return tp.thinLto ? 1 : 0;
    case TCP_REPAIR:
      return tp.repair ? 1 : 0;
    case TCP_REPAIR_QUEUE:
    case TCP_QUEUE_SEQ:
      return tcpRepairGet(tp, optname);
    case TCP_THIN_DUPACK:
    case TCP_IS_MPTCP:
      return 0;
    case TCP_USER_TIMEOUT:
      return tp.icskUserTimeout;
    case TCP_NOTSENT_LOWAT:
      return tp.notsentLowat | 0;
    case TCP_INQ:
      return tp.recvmsgInq ? 1 : 0;
    default:
      return getRareInt(sk, tp, optname);
  }
}

function getRareInt(sk: Sock, tp: TcpSock, optname: number): number | null {
  switch (optname) {
    case TCP_FASTOPEN:
      return tp.icskAcceptQueue.fastopenqMaxQlen;
    case TCP_FASTOPEN_CONNECT:
      return tp.fastopenConnect ? 1 : 0;
    case TCP_FASTOPEN_NO_COOKIE:
      return tp.fastopenNoCookie ? 1 : 0;
    case TCP_TX_DELAY:
      return tp.tcpTxDelay;
    case TCP_TIMESTAMP:
      return getTimestamp(sk, tp);
    case TCP_SAVE_SYN:
      return tp.saveSyn;
    case TCP_RTO_MAX_MS:
      return tp.icskRtoMax;
    case TCP_RTO_MIN_US:
      return tp.icskRtoMin * 1000;
    case TCP_DELACK_MAX_US:
      return tp.icskDelackMax * 1000;
    default:
      return null;
  }
}

/** The name, padded with zeros to the room given, at most 16. */
function getCongestion(sk: Sock, optval: Uint8Array): number {
  const len = Math.min(optval.length, TCP_CA_NAME_MAX);
  const name = tcpSk(sk).icskCaOps?.name ?? '';
  for (let i = 0; i < len; i++) optval[i] = i < name.length ? name.charCodeAt(i) : 0;
  return len;
}

/** The SYN's headers, once. @kernel do_tcp_getsockopt net/ipv4/tcp.c */
function getSavedSyn(sk: Sock, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  const syn = tp.savedSyn;
  if (syn === null) return 0;
  if (optval.length < syn.length) return -EINVAL;
  optval.set(syn);
  tp.savedSyn = null;
  return syn.length;
}

/** Writes the value, returns its length. @kernel do_tcp_getsockopt net/ipv4/tcp.c */
function doTcpGetsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  const val = getInt(sk, optname);
  if (val !== null) {
    const buf = new Uint8Array(4);
    new DataView(buf.buffer).setInt32(0, val, true);
    const len = Math.min(4, optval.length);
    optval.set(buf.subarray(0, len));
    return len;
  }
  switch (optname) {
    case TCP_INFO:
      return sk.net.machine.netGlobals.tcpInfo?.(sk, optval) ?? -ENOPROTOOPT;
    case TCP_CONGESTION:
      return getCongestion(sk, optval);
    case TCP_CC_INFO: {
      const found = tcpSk(sk).icskCaOps?.getInfo?.(tcpSk(sk), -1) ?? null;
      if (found === null) return 0;
      const { info } = found;
      const len = Math.min(info.length, optval.length);
      optval.set(info.subarray(0, len));
      return len;
    }
    case TCP_SAVED_SYN:
      return getSavedSyn(sk, optval);
    case TCP_FASTOPEN_KEY: {
      const key = tcpFastopenGetKey(sk).subarray(0, optval.length);
      optval.set(key);
      return key.length;
    }
    case TCP_ULP:
      return 0;
    case TCP_AO_GET_KEYS:
    case TCP_AO_INFO:
    case TCP_AO_REPAIR:
      return tcpAuthGetsockopt(sk, optname, optval);
    case TCP_REPAIR_QUEUE:
    case TCP_QUEUE_SEQ:
      return -EINVAL;
    case TCP_REPAIR_WINDOW:
      return tcpRepairGetWindow(sk, optval);
    default:
      return -ENOPROTOOPT;
  }
}

/** @kernel tcp_getsockopt net/ipv4/tcp.c */
export function tcpGetsockopt(
  sk: Sock,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  if (level !== SOL_TCP) return tcpSk(sk).icskAfOps!.getsockopt(sk, level, optname, optval);
  return doTcpGetsockopt(sk, optname, optval);
}
