/**
 * Which of several stacks a frame belongs to, when they share an address but nothing else: receive side
 * scaling where queues are whole machines. Counterpart of what a network card does by RSS (Toeplitz hash
 * and indirection table), by its flow director (exact filters for connections that began here) and, for
 * listeners, of SO_REUSEPORT.
 *
 * - TCP and UDP over IPv4: by the hash of addresses and ports, unless a filter knows the flow.
 * - Fragments follow the first of their packet, which alone has ports; one that comes before it, or
 *   of another protocol, goes by the hash of the addresses.
 * - ICMP errors go where the packet that they are about came from.
 * - ARP replies go to all, since any stack may have asked. All else goes to stack 0: ARP requests, which
 *   only one may answer, pings, IPv6.
 */
import { ToeplitzKey } from '#lib/toeplitz.ts';
import { ETH_HLEN, ETH_P_ARP, ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';

/** The frame belongs to every stack. */
export const STEER_TO_ALL = -1;

/** Key of Microsoft's specification, which most drivers use as long as nobody sets another. */
const RSS_DEFAULT_KEY: readonly number[] = [
  0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
  0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
  0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/** Entries of the indirection table, as most cards have them. */
const INDIRECTION = 128;

/** Places for exact filters, and how many of them a flow may have: a power of two each. */
const FILTERS = 8192;
const WAYS = 8;
/** Words of a place: source, destination, ports, protocol and stack + 1 (0: free), when it was last used. */
const WORDS = 5;
/** The fourth word: the stack + 1 in the low octet, the protocol above. */
const PROTOCOL_SHIFT = 8;
const STACK_MASK = 0xff;

/** Packets in fragments of which the first is remembered. */
const FRAGMENTED = 256;

const ARP_REPLY = 2;
const IP_MF_OFFSET = 0x3fff;
const IP_OFFSET = 0x1fff;
const ICMP_DEST_UNREACH = 3;
const ICMP_SOURCE_QUENCH = 4;
const ICMP_TIME_EXCEEDED = 11;
const ICMP_PARAMETERPROB = 12;

function word(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

function half(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** One spreader of flows over `stacks` stacks. */
export class FlowSteering {
  readonly stacks: number;
  /** Which stack gets flows of a hash: by its low bits. */
  readonly indirection: Uint8Array;
  private readonly key: ToeplitzKey;
  private readonly filters: Int32Array;
  private readonly fragmented: Int32Array;
  /** Input of the hash when it does not lie in the frame in that order. */
  private readonly tuple: Uint8Array;
  /** Counts uses of filters; wraps. */
  private clock: number;

  /** Throws RangeError for no stacks or more than 128, or a key that has not 40 octets. */
  constructor(stacks: number, key: ArrayLike<number> = RSS_DEFAULT_KEY) {
    if (!Number.isInteger(stacks) || stacks < 1 || stacks > INDIRECTION) {
      throw new RangeError(`flows are spread over 1 to ${INDIRECTION} stacks, not ${stacks}`);
    }
    this.stacks = stacks;
    this.indirection = Uint8Array.from({ length: INDIRECTION }, (_, i) => i % stacks);
    this.key = new ToeplitzKey(Uint8Array.from(key));
    this.filters = new Int32Array(FILTERS * WORDS);
    this.fragmented = new Int32Array(FRAGMENTED * 4);
    this.tuple = new Uint8Array(12);
    this.clock = 0;
  }

  /** The stack that a received frame of `len` bytes at `at` belongs to, or STEER_TO_ALL. */
  steer(bytes: Uint8Array, at: number, len: number): number {
    if (len < ETH_HLEN + 20) return 0;
    const type = half(bytes, at + 12);
    const ip = at + ETH_HLEN;
    if (type === ETH_P_ARP) return half(bytes, ip + 6) === ARP_REPLY ? STEER_TO_ALL : 0;
    if (type !== ETH_P_IP) return 0;
    const ihl = ((bytes[ip] as number) & 15) * 4;
    const end = at + len;
    const l4 = ip + ihl;
    if (ihl < 20 || l4 > end) return 0;
    const protocol = bytes[ip + 9] as number;
    const ports = (protocol === IPPROTO_TCP || protocol === IPPROTO_UDP) && l4 + 4 <= end;
    const frag = half(bytes, ip + 6) & IP_MF_OFFSET;
    if (frag !== 0) return this.steerFragment(bytes, ip, l4, ports && (frag & IP_OFFSET) === 0);
    if (ports) return this.stackOf(bytes, ip + 12, l4, protocol);
    if (protocol === IPPROTO_ICMP) return this.steerIcmp(bytes, l4, end);
    return 0;
  }

  /**
   * A stack sends a frame: when it begins a flow, or goes on with one, that its answers would not find
   * the way back by, a filter for them is set.
   */
  sent(stack: number, bytes: Uint8Array, at: number, len: number): void {
    if (len < ETH_HLEN + 28 || half(bytes, at + 12) !== ETH_P_IP) return;
    const ip = at + ETH_HLEN;
    const l4 = ip + ((bytes[ip] as number) & 15) * 4;
    const protocol = bytes[ip + 9] as number;
    if ((half(bytes, ip + 6) & IP_OFFSET) !== 0 || l4 + 14 > at + len) return;
    // Of TCP, SYN without ACK: what answers has come here by the hash. UDP tells nothing of who began.
    const begins = protocol === IPPROTO_TCP && ((bytes[l4 + 13] as number) & 0x12) === 0x02;
    if (!begins && protocol !== IPPROTO_UDP) return;
    this.turn(bytes, ip, l4);
    // A filter may be there from one that had the port before, also where the hash would lead here.
    if (this.stackOf(this.tuple, 0, 8, protocol) === stack) return;
    this.setFilter(this.tuple, 0, 8, protocol, stack);
  }

  /** Puts the tuple of the packets that answer the one at `ip` into `tuple`. */
  private turn(bytes: Uint8Array, ip: number, l4: number): void {
    const { tuple } = this;
    for (let i = 0; i < 4; i++) {
      tuple[i] = bytes[ip + 16 + i] as number;
      tuple[4 + i] = bytes[ip + 12 + i] as number;
    }
    for (let i = 0; i < 2; i++) {
      tuple[8 + i] = bytes[l4 + 2 + i] as number;
      tuple[10 + i] = bytes[l4 + i] as number;
    }
  }

  /** By addresses at `addrs` and ports at `ports`. */
  private stackOf(bytes: Uint8Array, addrs: number, ports: number, protocol: number): number {
    const place = this.findFilter(bytes, addrs, ports, protocol);
    if (place < 0) return this.byHash(bytes, addrs, ports);
    this.filters[place + 4] = this.tick();
    return ((this.filters[place + 3] as number) & STACK_MASK) - 1;
  }

  private byHash(bytes: Uint8Array, addrs: number, ports: number): number {
    const hash = this.key.hash(bytes, addrs, 8) ^ this.key.hash(bytes, ports, 4, 8);
    return this.indirection[hash & (INDIRECTION - 1)] as number;
  }

  private steerFragment(bytes: Uint8Array, ip: number, l4: number, first: boolean): number {
    const { fragmented } = this;
    const id = (half(bytes, ip + 4) << 8) | (bytes[ip + 9] as number);
    const src = word(bytes, ip + 12);
    const dst = word(bytes, ip + 16);
    const at = ((Math.imul(src ^ id, 0x9e3779b1) >>> 16) & (FRAGMENTED - 1)) * 4;
    if (first) {
      const stack = this.stackOf(bytes, ip + 12, l4, bytes[ip + 9] as number);
      fragmented[at] = src;
      fragmented[at + 1] = dst;
      fragmented[at + 2] = id;
      fragmented[at + 3] = stack + 1;
      return stack;
    }
    const known = fragmented[at] === src && fragmented[at + 1] === dst && fragmented[at + 2] === id;
    const stack = fragmented[at + 3] as number;
    if (known && stack !== 0) return stack - 1;
    const hash = this.key.hash(bytes, ip + 12, 8);
    return this.indirection[hash & (INDIRECTION - 1)] as number;
  }

  /** Errors quote the packet that they are about, which a stack here has sent. */
  private steerIcmp(bytes: Uint8Array, icmp: number, end: number): number {
    const inner = icmp + 8;
    if (inner + 28 > end) return 0;
    switch (bytes[icmp]) {
      case ICMP_DEST_UNREACH:
      case ICMP_SOURCE_QUENCH:
      case ICMP_TIME_EXCEEDED:
      case ICMP_PARAMETERPROB:
        break;
      default:
        return 0;
    }
    const l4 = inner + ((bytes[inner] as number) & 15) * 4;
    const protocol = bytes[inner + 9];
    if ((protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) || l4 + 4 > end) return 0;
    this.turn(bytes, inner, l4);
    return this.stackOf(this.tuple, 0, 8, protocol);
  }

  private tick(): number {
    this.clock = (this.clock + 1) | 0;
    return this.clock;
  }

  private firstPlace(src: number, dst: number, ports: number): number {
    const mixed = Math.imul(src ^ Math.imul(dst, 0x85ebca6b) ^ ports, 0x9e3779b1) >>> 8;
    return (mixed & (FILTERS - 1) & ~(WAYS - 1)) * WORDS;
  }

  /** Index of the filter of a flow, or -1. */
  private findFilter(bytes: Uint8Array, addrs: number, ports: number, protocol: number): number {
    const { filters } = this;
    const src = word(bytes, addrs);
    const dst = word(bytes, addrs + 4);
    const both = word(bytes, ports);
    const first = this.firstPlace(src, dst, both);
    for (let at = first; at < first + WAYS * WORDS; at += WORDS) {
      if (
        filters[at + 2] === both &&
        filters[at] === src &&
        filters[at + 1] === dst &&
        (filters[at + 3] as number) >>> PROTOCOL_SHIFT === protocol
      ) {
        return at;
      }
    }
    return -1;
  }

  /** Sets the filter of a flow, in the place of the one that was idle for longest. */
  private setFilter(
    bytes: Uint8Array,
    addrs: number,
    ports: number,
    protocol: number,
    stack: number,
  ): void {
    const { filters } = this;
    let place = this.findFilter(bytes, addrs, ports, protocol);
    const src = word(bytes, addrs);
    const dst = word(bytes, addrs + 4);
    const both = word(bytes, ports);
    if (place < 0) {
      const first = this.firstPlace(src, dst, both);
      place = first;
      for (let at = first; at < first + WAYS * WORDS; at += WORDS) {
        if (filters[at + 3] === 0) {
          place = at;
          break;
        }
        if ((((filters[at + 4] as number) - (filters[place + 4] as number)) | 0) < 0) place = at;
      }
    }
    filters[place] = src;
    filters[place + 1] = dst;
    filters[place + 2] = both;
    filters[place + 3] = (protocol << PROTOCOL_SHIFT) | (stack + 1);
    filters[place + 4] = this.tick();
  }
}
