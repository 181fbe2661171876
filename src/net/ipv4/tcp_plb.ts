/**
 * Protective load balancing: a connection that meets congestion round after round asks for another
 * path, by a new flow hash. Where hashes choose paths (tunnels' source ports, IPv6's flow labels) that
 * moves it.
 *
 * Counterpart: net/ipv4/tcp_plb.c, used by DCTCP. Qureshi et al., "PLB: Congestion signals are simple
 * and effective for network load balancing", SIGCOMM 2022.
 */
import type { TcpSock } from '#include/linux/tcp.ts';
import { netIncStats } from '#include/net/ip.ts';
import { HZ } from '#kernel/param.ts';
import { before } from '#lib/tcp_seq.ts';
import { skRethinkTxhash } from '#net/core/sock.ts';
import { LINUX_MIB_TCPPLBREHASH } from '#uapi/snmp.ts';

/** Shares of marked packets are in 1/256. @kernel TCP_PLB_SCALE include/net/tcp.h */
export const TCP_PLB_SCALE = 8;

/** @kernel tcp_plb_state include/net/tcp.h */
export class TcpPlbState {
  consecCongRounds = 0;
  /** Jiffies until which the path is left alone; 0: it is not. */
  pauseUntil = 0;
}

/** A round trip is over: `congRatio` of its packets were marked, -1: unknown. @kernel tcp_plb_update_state net/ipv4/tcp_plb.c */
export function tcpPlbUpdateState(sk: TcpSock, plb: TcpPlbState, congRatio: number): void {
  const { sysctlTcpPlbEnabled, sysctlTcpPlbCongThresh, sysctlTcpPlbRehashRounds } = sk.net.ipv4;
  if (sysctlTcpPlbEnabled === 0 || congRatio < 0) return;
  if (congRatio < sysctlTcpPlbCongThresh) plb.consecCongRounds = 0;
  else if (plb.consecCongRounds < sysctlTcpPlbRehashRounds) plb.consecCongRounds++;
}

/** Asks for another path when the rounds of congestion were enough: fewer are when nothing is on its way. @kernel tcp_plb_check_rehash net/ipv4/tcp_plb.c */
export function tcpPlbCheckRehash(sk: TcpSock, plb: TcpPlbState): void {
  const { ipv4, machine } = sk.net;
  if (ipv4.sysctlTcpPlbEnabled === 0) return;
  const rounds = plb.consecCongRounds;
  const idleRounds = ipv4.sysctlTcpPlbIdleRehashRounds;
  const forced = rounds >= ipv4.sysctlTcpPlbRehashRounds;
  const idle = idleRounds !== 0 && sk.packetsOut === 0 && rounds >= idleRounds;
  if (!forced && !idle) return;
  // A pause that seems to end later than any can has been over for long: the clock has wrapped.
  const now = machine.jiffies;
  const longest = 2 * ipv4.sysctlTcpPlbSuspendRtoSec * HZ;
  const over = !before(now, plb.pauseUntil) || before((now + longest) | 0, plb.pauseUntil);
  if (plb.pauseUntil !== 0 && over) plb.pauseUntil = 0;
  if (plb.pauseUntil !== 0) return;
  skRethinkTxhash(sk);
  plb.consecCongRounds = 0;
  sk.plbRehash++;
  netIncStats(sk.net, LINUX_MIB_TCPPLBREHASH);
}

/** A timeout has changed the path already: it is left alone for one to two times the setting. @kernel tcp_plb_update_state_upon_rto net/ipv4/tcp_plb.c */
export function tcpPlbUpdateStateUponRto(sk: TcpSock, plb: TcpPlbState): void {
  const { ipv4, machine } = sk.net;
  if (ipv4.sysctlTcpPlbEnabled === 0) return;
  const pause = ipv4.sysctlTcpPlbSuspendRtoSec * HZ;
  plb.pauseUntil = (machine.jiffies + pause + (pause === 0 ? 0 : machine.random.u32() % pause)) | 0;
  plb.consecCongRounds = 0;
}
