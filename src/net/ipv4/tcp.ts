/**
 * TCP's sockets: initial state, poll, ioctl, memory pressure; start-up of the protocol.
 *
 * Counterpart of net/ipv4/tcp.c, which is cut by suffix: tcp_sendmsg, tcp_recvmsg, tcp_close,
 * tcp_sockopt, tcp_info and tcp_state (what the rest stands on).
 */
import { SOCK_NOSPACE, SOCKWQ_ASYNC_NOSPACE, type Socket } from '#include/linux/net.ts';
import { RTT_MIN_NONE, type TcpSock } from '#include/linux/tcp.ts';
import { netAddStats, netIncStats } from '#include/net/ip.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  RCV_SHUTDOWN,
  SEND_SHUTDOWN,
  SHUTDOWN_MASK,
  SOCK_RCVBUF_LOCK,
  SOCK_URGINLINE,
  SOCK_USE_WRITE_QUEUE,
} from '#include/net/sock.ts';
import {
  TCP_DELACK_MAX,
  TCP_INFINITE_SSTHRESH,
  TCP_INIT_CWND,
  TCP_TIMEOUT_INIT,
  TCP_URG_VALID,
  tcpSk,
} from '#include/net/tcp.ts';
import {
  tcpEpollinReady,
  tcpInq,
  tcpJiffies32,
  tcpNotsentLowat,
  tcpScalingRatioInit,
  tcpSndCwndSet,
  tcpSpaceFromWin,
} from '#include/net/tcp_inlines.ts';
import { ARENA_BYTES } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import type { File, PollTable } from '#kernel/sched/file.ts';
import { msecsToJiffies, usecsToJiffies } from '#kernel/time/jiffies.ts';
import { minmaxReset } from '#lib/win_minmax.ts';
import { lockSock, releaseSock, sockFlag, sockRcvlowat, sockSetFlag } from '#net/core/sock.ts';
import { PAGE_SIZE } from '#net/core/sock_mem.ts';
import { __skStreamIsWriteable, skStreamWriteSpace } from '#net/core/stream.ts';
import { inetCskListenPoll } from '#net/ipv4/inet_connection_sock.ts';
import { inetHashinfoInit } from '#net/ipv4/inet_hashtables_bind.ts';
import {
  tcpAssignCongestionControl,
  tcpRegisterCongestionControl,
  tcpReno,
} from '#net/ipv4/tcp_cong.ts';
import { cubictcpRegister } from '#net/ipv4/tcp_cubic_params.ts';
import { tcpDataReady } from '#net/ipv4/tcp_input_data.ts';
import { tcpTsqWorkInit } from '#net/ipv4/tcp_output_tsq.ts';
import { tcpInitXmitTimers } from '#net/ipv4/tcp_timer.ts';
import { EINVAL, ENOIOCTLCMD } from '#uapi/errno.ts';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
} from '#uapi/poll.ts';
import { LINUX_MIB_TCPMEMORYPRESSURES, LINUX_MIB_TCPMEMORYPRESSURESCHRONO } from '#uapi/snmp.ts';
import { SIOCATMARK, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD } from '#uapi/sockios.ts';
import {
  TCP_CLOSE,
  TCP_LISTEN,
  TCP_MSS_DEFAULT,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCPF_SYN_RECV,
  TCPF_SYN_SENT,
} from '#uapi/tcp.ts';

const INT_MAX = 0x7fffffff;

// ---- Memory ------------------------------------------------------------------------------------

/** @kernel tcp_enter_memory_pressure net/ipv4/tcp.c */
export function tcpEnterMemoryPressure(sk: Sock): void {
  const memory = sk.net.machine.netGlobals.tcpMemory;
  if (memory.memoryPressure !== 0) return;
  // The time it began, never 0.
  memory.memoryPressure = tcpJiffies32(sk) | 1;
  netIncStats(sk.net, LINUX_MIB_TCPMEMORYPRESSURES);
}

/** @kernel tcp_leave_memory_pressure net/ipv4/tcp.c */
export function tcpLeaveMemoryPressure(sk: Sock): void {
  const memory = sk.net.machine.netGlobals.tcpMemory;
  const since = memory.memoryPressure;
  if (since === 0) return;
  memory.memoryPressure = 0;
  const lasted = Math.max((tcpJiffies32(sk) - since) | 0, 0);
  netAddStats(sk.net, LINUX_MIB_TCPMEMORYPRESSURESCHRONO, lasted);
}

/** May more be written, as far as the unsent bytes are concerned? @kernel tcp_stream_memory_free net/ipv4/tcp.c */
export function tcpStreamMemoryFree(sk: Sock, wake: number): boolean {
  const tp = tcpSk(sk);
  const notsent = (tp.writeSeq - tp.sndNxt) >>> 0;
  return notsent * (1 << wake) < tcpNotsentLowat(tp);
}

/**
 * Limits of net.ipv4.tcp_mem, in pages: pressure at a quarter of the packet memory of the process.
 * @kernel tcp_init_mem net/ipv4/tcp.c
 */
function tcpInitMem(machine: Machine): void {
  const limit = Math.max(Math.floor(ARENA_BYTES / PAGE_SIZE / 4), 128);
  const { sysctlMem } = machine.netGlobals.tcpMemory;
  sysctlMem[0] = Math.floor(limit / 4) * 3;
  sysctlMem[1] = limit;
  sysctlMem[2] = sysctlMem[0] * 2;
}

// ---- Start -------------------------------------------------------------------------------------

/** Brings up TCP in a machine, before the first namespace uses it. @kernel tcp_init net/ipv4/tcp.c */
export function tcpInit(machine: Machine): number {
  const globals = machine.netGlobals;
  globals.tcpHashinfo = inetHashinfoInit(machine);
  globals.protoMemory.set('TCP', globals.tcpMemory);
  tcpInitMem(machine);
  tcpTsqWorkInit(machine);
  // The default comes first in the list of what is available.
  return tcpRegisterCongestionControl(machine, tcpReno) || cubictcpRegister(machine);
}

/** A new socket, before bind, connect or listen. @kernel tcp_init_sock net/ipv4/tcp.c */
export function tcpInitSock(sk: Sock): void {
  const tp = tcpSk(sk);
  const { ipv4 } = sk.net;
  tcpInitXmitTimers(sk);
  tp.icskRto = TCP_TIMEOUT_INIT;
  tp.icskRtoMax = msecsToJiffies(ipv4.sysctlTcpRtoMaxMs);
  tp.icskRtoMin = usecsToJiffies(ipv4.sysctlTcpRtoMinUs);
  tp.icskDelackMax = TCP_DELACK_MAX;
  tp.mdevUs = TCP_TIMEOUT_INIT * 1000;
  minmaxReset(tp.rttMin, tcpJiffies32(sk), RTT_MIN_NONE);
  tcpSndCwndSet(tp, TCP_INIT_CWND);
  // Nothing sent means limited by the application.
  tp.appLimited = ~0;
  tp.rateAppLimited = true;
  tp.sndSsthresh = TCP_INFINITE_SSTHRESH;
  tp.sndCwndClamp = INT_MAX;
  tp.mssCache = TCP_MSS_DEFAULT;
  tp.reordering = ipv4.sysctlTcpReordering;
  tcpAssignCongestionControl(sk);
  tp.tsoffset = 0;
  tp.rackReoWndSteps = 1;
  sk.skWriteSpace = skStreamWriteSpace;
  sockSetFlag(sk, SOCK_USE_WRITE_QUEUE);
  sk.skSndbuf = ipv4.sysctlTcpWmem[1];
  sk.skRcvbuf = ipv4.sysctlTcpRmem[1];
  tcpScalingRatioInit(sk);
  sk.net.machine.netGlobals.tcpMemory.socketsAllocated++;
}

// ---- Readiness ---------------------------------------------------------------------------------

/** Enough to read for a poller. @kernel tcp_stream_is_readable net/ipv4/tcp.c */
function tcpStreamIsReadable(sk: Sock, target: number): boolean {
  return tcpEpollinReady(sk, target);
}

/** Room to write; where there is none, write_space is asked to tell. */
function pollOut(sk: Sock, sock: Socket): number {
  if (__skStreamIsWriteable(sk, 1)) return POLLOUT | POLLWRNORM;
  sock.flags |= (1 << SOCK_NOSPACE) | (1 << SOCKWQ_ASYNC_NOSPACE);
  return 0;
}

/** Readiness of a connection past its handshake. */
function pollConnected(sk: Sock, sock: Socket, tp: TcpSock): number {
  let mask = 0;
  let target = sockRcvlowat(sk, false, INT_MAX);
  // The urgent byte is not for normal reads.
  if (tp.urgData !== 0 && tp.urgSeq === tp.copiedSeq && !sockFlag(sk, SOCK_URGINLINE)) target++;
  if (tcpStreamIsReadable(sk, target)) mask |= POLLIN | POLLRDNORM;
  if ((sk.skShutdown & SEND_SHUTDOWN) !== 0) mask |= POLLOUT | POLLWRNORM;
  else mask |= pollOut(sk, sock);
  if ((tp.urgData & TCP_URG_VALID) !== 0) mask |= POLLPRI;
  return mask;
}

/**
 * Readiness. POLLHUP means that both directions are over: with one of them only, a program could not
 * wait for the other any more.
 * @kernel tcp_poll net/ipv4/tcp.c
 */
export function tcpPoll(_file: File | null, sock: Socket, wait: PollTable | null): number {
  const sk = sock.sk!;
  const tp = tcpSk(sk);
  const state = sk.skcState;
  if (wait !== null) wait.queue(sock.wq);
  if (state === TCP_LISTEN) return inetCskListenPoll(sk);
  const shutdown = sk.skShutdown;
  let mask = 0;
  if (shutdown === SHUTDOWN_MASK || state === TCP_CLOSE) mask |= POLLHUP;
  if ((shutdown & RCV_SHUTDOWN) !== 0) mask |= POLLIN | POLLRDNORM | POLLRDHUP;
  if (state !== TCP_SYN_SENT && (state !== TCP_SYN_RECV || tp.fastopenRsk !== null)) {
    mask |= pollConnected(sk, sock, tp);
  } else if (state === TCP_SYN_SENT && tp.deferConnect) {
    mask |= POLLOUT | POLLWRNORM;
  }
  if (sk.skErr !== 0 || !sk.skErrorQueueEmpty) mask |= POLLERR;
  return mask;
}

/** SO_RCVLOWAT: makes sure that the window can hold as much. @kernel tcp_set_rcvlowat net/ipv4/tcp.c */
export function tcpSetRcvlowat(sk: Sock, val: number): number {
  const tp = tcpSk(sk);
  const locked = (sk.skUserlocks & SOCK_RCVBUF_LOCK) !== 0;
  const cap = (locked ? sk.skRcvbuf : sk.net.ipv4.sysctlTcpRmem[2]) >> 1;
  const mark = Math.min(val, cap);
  sk.skRcvlowat = mark !== 0 ? mark : 1;
  // With a lower mark there may be enough already.
  tcpDataReady(sk);
  if (locked) return 0;
  const space = tcpSpaceFromWin(sk, mark);
  if (space > sk.skRcvbuf) {
    sk.skRcvbuf = space;
    if (tp.windowClamp !== 0 && tp.windowClamp < mark) tp.windowClamp = mark;
  }
  return 0;
}

// ---- ioctl -------------------------------------------------------------------------------------

function inqOf(sk: Sock): number {
  lockSock(sk);
  const answer = tcpInq(sk);
  releaseSock(sk);
  return answer;
}

/** Bytes not yet acknowledged (from `base`), none before the connection is up. */
function outqOf(sk: Sock, base: number): number {
  if (((1 << sk.skcState) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) return 0;
  return (tcpSk(sk).writeSeq - base) | 0;
}

/** @kernel tcp_ioctl net/ipv4/tcp.c */
export function tcpIoctl(sk: Sock, cmd: number, arg: Uint8Array): number {
  const tp = tcpSk(sk);
  let answer: number;
  switch (cmd) {
    case SIOCINQ:
      if (sk.skcState === TCP_LISTEN) return -EINVAL;
      answer = inqOf(sk);
      break;
    case SIOCATMARK:
      answer = tp.urgData !== 0 && tp.urgSeq === tp.copiedSeq ? 1 : 0;
      break;
    case SIOCOUTQ:
      if (sk.skcState === TCP_LISTEN) return -EINVAL;
      answer = outqOf(sk, tp.sndUna);
      break;
    case SIOCOUTQNSD:
      if (sk.skcState === TCP_LISTEN) return -EINVAL;
      answer = outqOf(sk, tp.sndNxt);
      break;
    default:
      return -ENOIOCTLCMD;
  }
  if (arg.length < 4) return -EINVAL;
  new DataView(arg.buffer, arg.byteOffset, 4).setInt32(0, answer, true);
  return 0;
}
