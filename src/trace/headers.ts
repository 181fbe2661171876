/** What the kept bytes of a packet say: addresses, ports, flags. Reads copies, never packet memory. */
import { inNtop4 } from '#lib/parse_addr.ts';
import type { Snapshot } from '#trace/record.ts';
import { arphdr } from '#uapi/if_arp.ts';
import { ETH_HLEN, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6 } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { tcphdr } from '#uapi/tcp.ts';

/** Headers of a packet, as far as its kept bytes have them. Numbers are in host order. */
export interface Headers {
  /** ETH_P_*; 0: not known. */
  readonly etherType: number;
  /** IPv4; -1 where the packet has none. ARP: the protocol addresses. */
  readonly saddr: number;
  readonly daddr: number;
  /** IPPROTO_*; -1: not IPv4. */
  readonly protocol: number;
  /** Length of the IP packet by its header. */
  readonly totLen: number;
  readonly ttl: number;
  readonly id: number;
  /** Octets, from the fragment's place in its datagram; and whether more follow. */
  readonly fragOffset: number;
  readonly moreFragments: boolean;
  /** -1: not TCP or UDP, or a later fragment. */
  readonly sport: number;
  readonly dport: number;
  /** TCP alone. */
  readonly tcpFlags: number;
  readonly seq: number;
  readonly ackSeq: number;
  readonly window: number;
  readonly payload: number;
  /** ICMP alone; -1. */
  readonly icmpType: number;
  readonly icmpCode: number;
  /** ARP alone: 1 request, 2 reply; 0. */
  readonly arpOp: number;
}

const NONE: Headers = {
  etherType: 0,
  saddr: -1,
  daddr: -1,
  protocol: -1,
  totLen: 0,
  ttl: 0,
  id: 0,
  fragOffset: 0,
  moreFragments: false,
  sport: -1,
  dport: -1,
  tcpFlags: 0,
  seq: 0,
  ackSeq: 0,
  window: 0,
  payload: 0,
  icmpType: -1,
  icmpCode: -1,
  arpOp: 0,
};

/** Where in the kept bytes the network header begins, and its type; null when nothing tells. */
function networkPart(snapshot: Snapshot): { at: number; etherType: number } | null {
  const { bytes, bytesAt, networkHeader, macHeader, protocol, data } = snapshot;
  const inside = (offset: number): boolean => offset >= 0 && offset + 20 <= bytes.length;
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const looksRight = (at: number): boolean =>
    protocol === ETH_P_ARP || (bytes[at] as number) >> 4 === 4;
  if (protocol === ETH_P_IP || protocol === ETH_P_ARP) {
    // On the way in the field may not be set yet: then the data begins with the header.
    for (const from of [networkHeader, data, data + ETH_HLEN]) {
      const at = from - bytesAt;
      if (from >= 0 && inside(at) && looksRight(at)) return { at, etherType: protocol };
    }
  }
  const mac = macHeader >= 0 ? macHeader - bytesAt : data - bytesAt;
  if (protocol === 0 && inside(mac + ETH_HLEN)) {
    const etherType = v.getUint16(mac + 12);
    if (etherType === ETH_P_IP || etherType === ETH_P_ARP) return { at: mac + ETH_HLEN, etherType };
  }
  return null;
}

/** Decodes a snapshot's headers. */
export function headersOf(snapshot: Snapshot): Headers {
  const part = networkPart(snapshot);
  if (part === null) return { ...NONE, etherType: snapshot.protocol };
  const { bytes } = snapshot;
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return part.etherType === ETH_P_ARP ? arpHeaders(v, part.at) : ipHeaders(v, part.at);
}

function arpHeaders(v: DataView, at: number): Headers {
  const addresses = at + arphdr.LEN;
  if (addresses + 20 > v.byteLength) return { ...NONE, etherType: ETH_P_ARP };
  return {
    ...NONE,
    etherType: ETH_P_ARP,
    arpOp: arphdr.op(v, at),
    saddr: v.getUint32(addresses + 6),
    daddr: v.getUint32(addresses + 16),
  };
}

function ipHeaders(v: DataView, at: number): Headers {
  const protocol = iphdr.protocol(v, at);
  const hlen = iphdr.ihl(v, at) * 4;
  const word = iphdr.fragOff(v, at);
  const totLen = iphdr.totLen(v, at);
  const ip: Headers = {
    ...NONE,
    etherType: ETH_P_IP,
    saddr: iphdr.saddr(v, at) >>> 0,
    daddr: iphdr.daddr(v, at) >>> 0,
    protocol,
    totLen,
    ttl: iphdr.ttl(v, at),
    id: iphdr.id(v, at),
    fragOffset: (word & 0x1fff) * 8,
    moreFragments: (word & 0x2000) !== 0,
  };
  const th = at + hlen;
  if (ip.fragOffset !== 0 || th + 8 > v.byteLength) return ip;
  if (protocol === IPPROTO_ICMP) {
    return { ...ip, icmpType: v.getUint8(th), icmpCode: v.getUint8(th + 1) };
  }
  if (protocol === IPPROTO_UDP) {
    return {
      ...ip,
      sport: v.getUint16(th),
      dport: v.getUint16(th + 2),
      payload: v.getUint16(th + 4) - 8,
    };
  }
  if (protocol !== IPPROTO_TCP || th + 20 > v.byteLength) return ip;
  return {
    ...ip,
    sport: v.getUint16(th),
    dport: v.getUint16(th + 2),
    tcpFlags: tcphdr.flags(v, th) & 0xff,
    seq: tcphdr.seq(v, th) >>> 0,
    ackSeq: tcphdr.ackSeq(v, th) >>> 0,
    window: tcphdr.window(v, th),
    payload: totLen === 0 ? 0 : totLen - hlen - tcphdr.doff(v, th) * 4,
  };
}

const FLAG_LETTERS = 'FSRP.UEW';

/** TCP flags as tcpdump writes them: `S.` for SYN and ACK; `none`. */
export function tcpFlagLetters(flags: number): string {
  const letters = [...FLAG_LETTERS].filter((_, bit) => (flags & (1 << bit)) !== 0);
  // tcpdump puts the dot of ACK last but for ECN's letters.
  const ack = letters.includes('.') ? ['.'] : [];
  const text = [...letters.filter((letter) => letter !== '.'), ...ack].join('');
  return text === '' ? 'none' : text;
}

/** `10.0.0.1:80>10.0.0.2:1234(tcp)`, as pwru writes it; empty where there are no addresses. */
export function tupleOf(h: Headers): string {
  if (h.etherType === ETH_P_ARP) return `${text(h.saddr)}>${text(h.daddr)}(arp)`;
  if (h.protocol < 0) return h.etherType === ETH_P_IPV6 ? '(ip6)' : '';
  const port = (n: number): string => (n < 0 ? '' : `:${n}`);
  const ends = `${text(h.saddr)}${port(h.sport)}>${text(h.daddr)}${port(h.dport)}`;
  return `${ends}(${protocolName(h.protocol)})`;
}

function text(addr: number): string {
  return addr < 0 ? '?' : inNtop4(addr);
}

export function protocolName(protocol: number): string {
  if (protocol === IPPROTO_TCP) return 'tcp';
  if (protocol === IPPROTO_UDP) return 'udp';
  if (protocol === IPPROTO_ICMP) return 'icmp';
  return `proto-${protocol}`;
}

const ICMP_NAMES: Readonly<Record<number, string>> = {
  0: 'echo reply',
  3: 'unreachable',
  5: 'redirect',
  8: 'echo request',
  11: 'time exceeded',
  12: 'parameter problem',
};

/** A packet in some words, as tcpdump's: `TCP S. seq 1 ack 2 win 3 len 4`. Empty when nothing is known. */
export function packetWords(snapshot: Snapshot): string {
  const h = headersOf(snapshot);
  if (h.etherType === ETH_P_ARP) {
    if (h.arpOp === 0) return 'ARP';
    return h.arpOp === 1
      ? `ARP who has ${text(h.daddr)}? tell ${text(h.saddr)}`
      : `ARP ${text(h.saddr)} is here, ${text(h.daddr)}`;
  }
  if (h.protocol < 0) return '';
  const more = h.moreFragments ? '+' : '';
  const part = h.fragOffset > 0 || h.moreFragments ? ` frag ${h.fragOffset}${more}` : '';
  if (h.protocol === IPPROTO_TCP && h.sport >= 0) {
    const ack = (h.tcpFlags & 0x10) !== 0 ? ` ack ${h.ackSeq}` : '';
    return `TCP ${tcpFlagLetters(h.tcpFlags)} seq ${h.seq}${ack} win ${h.window} len ${h.payload}${part}`;
  }
  if (h.protocol === IPPROTO_UDP && h.sport >= 0) return `UDP len ${h.payload}${part}`;
  if (h.protocol === IPPROTO_ICMP && h.icmpType >= 0) {
    return `ICMP ${ICMP_NAMES[h.icmpType] ?? `type ${h.icmpType}`} code ${h.icmpCode}${part}`;
  }
  return `${protocolName(h.protocol)}${part}`;
}
