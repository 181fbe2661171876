/**
 * The lives of packets: what Linux's tracepoints leave unsaid, for whoever follows a packet from its
 * birth to its end. Linux has no counterpart; the system `packet` is softnet's own. Like all
 * tracepoints these observe, and change nothing.
 */

import type { WireFrame } from '#hardware/wire.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import type { Machine } from '#kernel/machine.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

// How a packet came from another: the `how` of packet:packet_derive.
export const DERIVE_CLONE = 1;
export const DERIVE_COPY = 2;
export const DERIVE_SEGMENT = 3;
export const DERIVE_FRAGMENT = 4;
export const DERIVE_SPLIT = 5;

// How a packet went into another: the `how` of packet:packet_merge.
export const MERGE_GRO = 1;
export const MERGE_COALESCE = 2;
export const MERGE_REASSEMBLE = 3;
export const MERGE_COLLAPSE = 4;
export const MERGE_SHIFT = 5;

// What became of a frame that will not arrive: the `why` of packet:wire_drop.
export const WIRE_LOST = 1;
export const WIRE_OVERFLOW = 2;
export const WIRE_UNPLUGGED = 3;
export const WIRE_BAD_CRC = 4;
export const WIRE_FILTERED = 5;
export const WIRE_NO_DESCRIPTOR = 6;

// Which socket a packet found: the `why` of packet:socket_lookup.
export const SOCKET_ESTABLISHED = 1;
export const SOCKET_LISTENER = 2;
export const SOCKET_BOUND = 3;
export const SOCKET_EARLY_DEMUX = 4;
export const SOCKET_NONE = 5;

// What keeps a sender from sending: the `why` of packet:tcp_send_stall.
export const STALL_CWND = 1;
export const STALL_RWND = 2;
export const STALL_NAGLE = 3;
export const STALL_PACING = 4;
export const STALL_SMALL_QUEUE = 5;
export const STALL_TSO_DEFER = 6;
export const STALL_APPLICATION = 7;
export const STALL_DEVICE = 8;

export class PacketEvents {
  /** A packet was allocated; it has room but no data yet. */
  readonly packetBirth: Tracepoint<[skb: SkBuff]> = new Tracepoint('packet:packet_birth');
  /** `child` was made from `parent`; `how` is a DERIVE_*. */
  readonly packetDerive: Tracepoint<[child: SkBuff, parent: SkBuff, how: number]> = new Tracepoint(
    'packet:packet_derive',
  );
  /** Bytes of `from` are now in `into`; `how` is a MERGE_*. */
  readonly packetMerge: Tracepoint<[into: SkBuff, from: SkBuff, how: number]> = new Tracepoint(
    'packet:packet_merge',
  );
  /** The packet has moved here from another machine, where it had the number `oldId`. */
  readonly packetCross: Tracepoint<[skb: SkBuff, from: Machine, oldId: number]> = new Tracepoint(
    'packet:packet_cross',
  );
  /** The last reference is gone; `reason` is a SKB_DROP_REASON_*, SKB_CONSUMED for the good end. */
  readonly packetFree: Tracepoint<[skb: SkBuff, reason: number]> = new Tracepoint(
    'packet:packet_free',
  );

  /** A driver gave the card the packet's bytes at `addr`. */
  readonly dmaMap: Tracepoint<[skb: SkBuff, addr: number]> = new Tracepoint('packet:dma_map');
  /** A driver made the packet from what the card put at `addr`. */
  readonly dmaUnmap: Tracepoint<[skb: SkBuff, addr: number]> = new Tracepoint('packet:dma_unmap');
  /** A card puts a frame on the line; the packet's first byte was fetched from `addr`. */
  readonly wireTransmit: Tracepoint<[frame: WireFrame, addr: number]> = new Tracepoint(
    'packet:wire_transmit',
  );
  /** A card has stored a frame at `addr`. */
  readonly wireReceive: Tracepoint<[frame: WireFrame, addr: number]> = new Tracepoint(
    'packet:wire_receive',
  );
  /** A card does not take a frame; `why` is a WIRE_*. */
  readonly wireDrop: Tracepoint<[frame: WireFrame, why: number]> = new Tracepoint(
    'packet:wire_drop',
  );

  /** A netfilter hook has decided; `verdict` is a NF_*. */
  readonly hookVerdict: Tracepoint<
    [skb: SkBuff, pf: number, hook: number, index: number, verdict: number]
  > = new Tracepoint('packet:hook_verdict');
  /** A received packet has a route, its `dst`; or has none: `err` is why, a SKB_DROP_REASON_*. */
  readonly routeInput: Tracepoint<[skb: SkBuff, net: Net, err: number]> = new Tracepoint(
    'packet:route_input',
  );
  /** A received packet looked for its socket; `why` is a SOCKET_*. */
  readonly socketLookup: Tracepoint<[skb: SkBuff, sk: SockCommon | null, why: number]> =
    new Tracepoint('packet:socket_lookup');
  /** The head of the write queue does not go; `why` is a STALL_*. */
  readonly tcpSendStall: Tracepoint<[sk: Sock, skb: SkBuff | null, why: number]> = new Tracepoint(
    'packet:tcp_send_stall',
  );
  /** A packet waits on a socket's queue: received data, or the backlog while the owner is busy. */
  readonly socketQueue: Tracepoint<[skb: SkBuff, sk: Sock, backlog: boolean]> = new Tracepoint(
    'packet:socket_queue',
  );
  /** A packet waits for its neighbour's link address. */
  readonly neighQueue: Tracepoint<[skb: SkBuff, qlen: number]> = new Tracepoint(
    'packet:neigh_queue',
  );
}

/** What happens to frames between machines: tracepoints of a world, not of a machine. */
export class CableEvents {
  /** A frame is on its way from `end` and will arrive at `arrivalNs` of the world's time. */
  readonly cableSend: Tracepoint<[frame: WireFrame, cable: string, end: 0 | 1, arrivalNs: number]> =
    new Tracepoint('cable:cable_send');
  /** A frame from `end` is at the other end. */
  readonly cableArrive: Tracepoint<[frame: WireFrame, cable: string, end: 0 | 1]> = new Tracepoint(
    'cable:cable_arrive',
  );
  /** A frame from `end` will not arrive; `why` is a WIRE_*. */
  readonly cableDrop: Tracepoint<[frame: WireFrame, cable: string, end: 0 | 1, why: number]> =
    new Tracepoint('cable:cable_drop');
}
