/**
 * Answers to segments that should not have come, and their rate limits.
 *
 * Counterpart: parts of net/ipv4/tcp_input.c. RFC 5961 (challenge ACKs). Without the limits two
 * hosts that disagree would acknowledge each other's acknowledgments for ever.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpAccecnReflectorFlags } from '#include/net/tcp_ecn.ts';
import { HZ } from '#kernel/param.ts';
import { view } from '#mm/memory.ts';
import { __tcpSendAck } from '#net/ipv4/tcp_output_ctl.ts';
import { LINUX_MIB_TCPACKSKIPPEDCHALLENGE, LINUX_MIB_TCPCHALLENGEACK } from '#uapi/snmp.ts';
import { tcphdr } from '#uapi/tcp.ts';

/** What remembers when it last answered an out-of-window segment: full, request and time-wait socks. */
export interface OowHolder {
  /** Jiffies; 0: never. */
  lastOowAckTime: number;
}

/** @kernel __tcp_oow_rate_limited net/ipv4/tcp_input.c */
function __tcpOowRateLimited(net: Net, mibIdx: number, holder: OowHolder): boolean {
  const now = net.machine.jiffies;
  if (holder.lastOowAckTime !== 0) {
    const elapsed = (now - holder.lastOowAckTime) | 0;
    if (elapsed >= 0 && elapsed < net.ipv4.sysctlTcpInvalidRatelimit) {
      netIncStats(net, mibIdx);
      return true;
    }
  }
  holder.lastOowAckTime = now;
  return false;
}

/**
 * Must the answer to this out-of-window segment be held back? Segments with data are answered: they
 * are no part of a loop of ACKs.
 * @kernel tcp_oow_rate_limited net/ipv4/tcp_input.c
 */
export function tcpOowRateLimited(
  net: Net,
  skb: SkBuff,
  mibIdx: number,
  holder: OowHolder,
): boolean {
  const isData = skb.tcpCb.seq !== skb.tcpCb.endSeq;
  if (isData && tcphdr.syn(view, skb.transportHeader) === 0) return false;
  return __tcpOowRateLimited(net, mibIdx, holder);
}

/**
 * May a challenge ACK be sent now, and counts it. Limited for each socket or request, and for the
 * namespace with a count that cannot be guessed.
 * @kernel tcp_send_challenge_ack net/ipv4/tcp_input.c
 * @rfc 5961#7
 */
export function tcpChallengeAllowed(net: Net, holder: OowHolder): boolean {
  if (__tcpOowRateLimited(net, LINUX_MIB_TCPACKSKIPPEDCHALLENGE, holder)) return false;
  const limit = net.ipv4.sysctlTcpChallengeAckLimit;
  if (limit !== 0x7fffffff) {
    const now = Math.trunc(net.machine.jiffies / HZ);
    if (now !== net.ipv4.tcpChallengeTimestamp) {
      const half = (limit + 1) >> 1;
      net.ipv4.tcpChallengeTimestamp = now;
      net.ipv4.tcpChallengeCount = half + (net.machine.random.u32() % Math.max(limit, 1));
    }
    if (net.ipv4.tcpChallengeCount <= 0) return false;
    net.ipv4.tcpChallengeCount--;
  }
  netIncStats(net, LINUX_MIB_TCPCHALLENGEACK);
  return true;
}

/**
 * Asks the peer to prove that it sent what we got. `accecnReflector`: the ACK tells how the peer's
 * SYN arrived.
 * @kernel tcp_send_challenge_ack net/ipv4/tcp_input.c
 * @rfc 5961#7
 */
export function tcpSendChallengeAck(sk: Sock, accecnReflector: boolean): void {
  const tp = tcpSk(sk);
  if (!tcpChallengeAllowed(sk.net, tp)) return;
  __tcpSendAck(sk, tp.rcvNxt, accecnReflector ? tcpAccecnReflectorFlags(tp.synEctRcv) : 0);
}
