/*
 * What a machine did in a scenario, in the scenario's numbers.
 */

import type { TcpOption } from '#packetdrill/ast.ts';
import type { TcpInfo } from '#uapi/tcp_info.ts';

/** A packet that left. */
export interface Sent {
  /** ms since the scenario began. */
  readonly timeMs: number;
  readonly flags: number;
  readonly seq: number;
  readonly length: number;
  readonly ack: number;
  readonly window: number;
  readonly urgent: number;
  readonly tos: number;
  readonly ttl: number;
  /** Time stamps count from the first that was sent. */
  readonly options: readonly TcpOption[];
  readonly fault: string;
}

/** What one event gave. */
export interface Outcome {
  readonly timeMs: number;
  /** Result of the call, or of giving the packet to the device. */
  readonly result: number;
  /** What was read, or an option's value. */
  readonly data: string;
  /** What poll(2), SIOCINQ and SIOCOUTQ say of the socket after the event. */
  readonly poll: number;
  readonly inq: number;
  readonly outq: number;
  /** SO_MEMINFO: what the socket's buffers hold and may hold. */
  readonly memory: readonly number[];
  /** Null without a socket. */
  readonly info: TcpInfo | null;
  /** Octets of struct tcp_info that the machine knows. */
  readonly infoLength: number;
}

export interface Recording {
  readonly outcomes: readonly Outcome[];
  readonly sent: readonly Sent[];
  /** Of /proc/net/netstat and /proc/net/snmp, by `group:name`. */
  readonly counters: ReadonlyMap<string, number>;
  /** How late the worst event was, in ms. */
  readonly lateMs: number;
}
