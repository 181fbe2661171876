/*
 * What happens in a scenario, as data: settings, system calls, packets from the remote side. A
 * scenario is the same for every machine it runs on; what a machine answers is not part of it.
 *
 * Sequence numbers count from each side's SYN, as in packet scripts.
 */

import type { TcpOption } from '#packetdrill/ast.ts';

/** Which socket a call is made on. */
export type Which = 'listener' | 'socket';

export type Call =
  | { readonly name: 'socket'; readonly which: Which }
  | { readonly name: 'bind'; readonly which: Which; readonly port: number }
  | { readonly name: 'listen'; readonly backlog: number }
  | { readonly name: 'accept' }
  | { readonly name: 'connect' }
  /** To the remote side where `addressed`: Fast Open. */
  | {
      readonly name: 'send';
      readonly length: number;
      readonly flags: number;
      readonly addressed: boolean;
    }
  | { readonly name: 'recv'; readonly length: number; readonly flags: number }
  | { readonly name: 'shutdown'; readonly how: number }
  | { readonly name: 'close'; readonly which: Which }
  | {
      readonly name: 'setsockopt';
      readonly which: Which;
      readonly level: number;
      readonly optname: number;
      /** Numbers of 32 bits, or a text. */
      readonly value: readonly number[] | string;
    }
  | { readonly name: 'getsockopt'; readonly level: number; readonly optname: number };

/** A segment from the remote side. */
export interface Segment {
  readonly flags: number;
  readonly seq: number;
  readonly length: number;
  readonly ack: number;
  readonly window: number;
  readonly urgent: number;
  readonly ecn: number;
  /** The echo of a time stamp is what is added to the last that the machine has sent. */
  readonly options: readonly TcpOption[];
}

/** An ICMP error about a segment of the machine. */
export interface Icmp {
  readonly type: number;
  readonly code: number;
  readonly mtu: number;
  readonly seq: number;
}

export type Action =
  | { readonly kind: 'call'; readonly call: Call }
  | { readonly kind: 'segment'; readonly segment: Segment }
  | { readonly kind: 'icmp'; readonly icmp: Icmp }
  /** Time passes. */
  | { readonly kind: 'pause' };

export interface Event {
  /** ms since the event before. */
  readonly gapMs: number;
  readonly action: Action;
}

export interface Scenario {
  readonly name: string;
  /** Names below net.ipv4. */
  readonly sysctls: readonly (readonly [name: string, value: string])[];
  /** The remote side's initial sequence number. */
  readonly remoteIsn: number;
  /** The remote side opens the connection. */
  readonly passive: boolean;
  readonly events: readonly Event[];
}
