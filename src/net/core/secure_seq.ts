/**
 * Sequence numbers, timestamp offsets and port offsets that cannot be guessed from outside.
 *
 * Counterpart: net/core/secure_seq.c. RFC 6528 (initial sequence numbers: a keyed hash of the four
 * tuple plus a clock), RFC 7323#5.4 (timestamp offsets), RFC 6056#3.3.4 (ports).
 */

import type { Net } from '#include/net/net_namespace.ts';
import { HZ, type Machine } from '#kernel/machine.ts';
import { siphash3u32, siphash4u32 } from '#lib/siphash.ts';

const EPHEMERAL_PORT_SHUFFLE_PERIOD = 10 * HZ;

/**
 * Advances by one each 64 ns of wall time, so that a later connection of the same four-tuple starts
 * behind an earlier one; wraps in 274 s.
 * @kernel seq_scale net/core/secure_seq.c
 */
function seqScale(machine: Machine, seq: number): number {
  // 1e9 / 64 ticks a second; the product is wanted modulo 2^32 only.
  const ticks = Math.imul(machine.bootEpochSec | 0, 15625000) + Math.floor(machine.nowNs / 64);
  return (seq + ticks) | 0;
}

/**
 * Initial sequence number, int32. Addresses and ports in host order.
 * @kernel secure_tcp_seq net/core/secure_seq.c
 * @rfc 6528#3
 */
export function secureTcpSeq(
  machine: Machine,
  saddr: number,
  daddr: number,
  sport: number,
  dport: number,
): number {
  const { netSecret } = machine.netGlobals;
  return seqScale(machine, siphash3u32(saddr, daddr, (sport << 16) | dport, netSecret));
}

/**
 * What a connection's timestamps are off from the machine's clock, int32: its own for each four-tuple, so
 * that neither the uptime nor what else a host is connected to shows. 0 with tcp_timestamps 0 or 2.
 * Linux takes this and the sequence number from the halves of one hash; here each has its own key.
 * @kernel secure_tcp_seq_and_ts_off net/core/secure_seq.c
 * @rfc 7323#5.4
 */
export function secureTcpTsOff(
  net: Net,
  saddr: number,
  daddr: number,
  sport: number,
  dport: number,
): number {
  if (net.ipv4.sysctlTcpTimestamps !== 1) return 0;
  return siphash3u32(saddr, daddr, (sport << 16) | dport, net.machine.netGlobals.tsSecret) | 0;
}

/** Where the search for a local port begins, u32. @kernel secure_ipv4_port_ephemeral net/core/secure_seq.c */
export function secureIpv4PortEphemeral(
  machine: Machine,
  saddr: number,
  daddr: number,
  dport: number,
): number {
  const period = Math.trunc(machine.jiffies / EPHEMERAL_PORT_SHUFFLE_PERIOD);
  return siphash4u32(saddr, daddr, dport, period, machine.netGlobals.netSecret) >>> 0;
}
