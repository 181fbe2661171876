/*
 * Packets as bytes: building the inbound ones, taking the outbound ones apart.
 */

import { csumFold, csumPartial, csumTcpudpMagic, ipFastCsum } from '#lib/checksum.ts';
import type { EcnField, TcpOption } from '#packetdrill/ast.ts';
import { icmphdr } from '#uapi/icmp.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { IP_DF, iphdr } from '#uapi/ip.ts';
import {
  TCPOLEN_MD5SIG,
  TCPOLEN_MSS,
  TCPOLEN_SACK_PERM,
  TCPOLEN_TIMESTAMP,
  TCPOLEN_WINDOW,
  TCPOPT_ACCECN0,
  TCPOPT_ACCECN1,
  TCPOPT_EOL,
  TCPOPT_EXP,
  TCPOPT_FASTOPEN,
  TCPOPT_FASTOPEN_MAGIC,
  TCPOPT_MD5SIG,
  TCPOPT_MSS,
  TCPOPT_NOP,
  TCPOPT_SACK,
  TCPOPT_SACK_PERM,
  TCPOPT_TIMESTAMP,
  TCPOPT_WINDOW,
  tcphdr,
} from '#uapi/tcp.ts';
import { udphdr } from '#uapi/udp.ts';
import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  virtioNetHdr,
} from '#uapi/virtio_net.ts';

/** Bytes of the virtio_net_hdr in front of each packet at the tun device. */
export const VNET_HDR_LEN: number = virtioNetHdr.V1_LEN;

// Options.

const toHex = (octets: Uint8Array): string =>
  Array.from(octets, (octet) => octet.toString(16).padStart(2, '0')).join('');

function fromHex(text: string): number[] {
  const octets: number[] = [];
  for (let i = 0; i < text.length; i += 2) octets.push(Number.parseInt(text.slice(i, i + 2), 16));
  return octets;
}

const word32 = (value: number): number[] => [
  (value >>> 24) & 0xff,
  (value >>> 16) & 0xff,
  (value >>> 8) & 0xff,
  value & 0xff,
];

/** Order of the counters of each of the two options of accurate ECN (RFC 9768, section 3.2.3). */
const ACCECN_ORDER: Readonly<Record<number, readonly EcnField[]>> = {
  [TCPOPT_ACCECN0]: ['e0b', 'ceb', 'e1b'],
  [TCPOPT_ACCECN1]: ['e1b', 'ceb', 'e0b'],
};

function encodeOption(option: TcpOption): number[] {
  switch (option.kind) {
    case 'mss':
      return [TCPOPT_MSS, TCPOLEN_MSS, option.value >> 8, option.value & 0xff];
    case 'wscale':
      return [TCPOPT_WINDOW, TCPOLEN_WINDOW, option.value];
    case 'sackOK':
      return [TCPOPT_SACK_PERM, TCPOLEN_SACK_PERM];
    case 'nop':
      return [TCPOPT_NOP];
    case 'eol':
      return [TCPOPT_EOL];
    case 'sack':
      return [
        TCPOPT_SACK,
        2 + 8 * option.blocks.length,
        ...option.blocks.flatMap(([start, end]) => [...word32(start), ...word32(end)]),
      ];
    case 'TS':
      return [TCPOPT_TIMESTAMP, TCPOLEN_TIMESTAMP, ...word32(option.val), ...word32(option.ecr)];
    case 'FO':
      return [TCPOPT_FASTOPEN, 2 + option.cookie.length / 2, ...fromHex(option.cookie)];
    case 'FOEXP':
      return [
        TCPOPT_EXP,
        4 + option.cookie.length / 2,
        TCPOPT_FASTOPEN_MAGIC >> 8,
        TCPOPT_FASTOPEN_MAGIC & 0xff,
        ...fromHex(option.cookie),
      ];
    case 'md5':
      return [TCPOPT_MD5SIG, TCPOLEN_MD5SIG, ...fromHex(option.digest.padEnd(32, '0'))];
    case 'ECN':
      return [
        option.fields[0]?.[0] === 'e1b' ? TCPOPT_ACCECN1 : TCPOPT_ACCECN0,
        2 + 3 * option.fields.length,
        ...option.fields.flatMap(([, bytes]) => word32(bytes).slice(1)),
      ];
    case 'unknown':
      return [option.number, 2 + option.data.length / 2, ...fromHex(option.data)];
  }
}

/** Bytes that options take, without padding. */
export function tcpOptionsLength(options: readonly TcpOption[]): number {
  return options.reduce((sum, option) => sum + encodeOption(option).length, 0);
}

function encodeOptions(options: readonly TcpOption[]): Uint8Array {
  return Uint8Array.from(options.flatMap(encodeOption));
}

/** One option of more than one octet; `data` is what follows kind and length. */
function decodeOption(number: number, data: Uint8Array): TcpOption {
  const v = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const unknown: TcpOption = { kind: 'unknown', number, data: toHex(data) };
  switch (number) {
    case TCPOPT_MSS:
      return data.length === 2 ? { kind: 'mss', value: v.getUint16(0) } : unknown;
    case TCPOPT_WINDOW:
      return data.length === 1 ? { kind: 'wscale', value: v.getUint8(0) } : unknown;
    case TCPOPT_SACK_PERM:
      return data.length === 0 ? { kind: 'sackOK' } : unknown;
    case TCPOPT_SACK: {
      if (data.length % 8 !== 0) return unknown;
      const blocks: [number, number][] = [];
      for (let o = 0; o < data.length; o += 8) blocks.push([v.getUint32(o), v.getUint32(o + 4)]);
      return { kind: 'sack', blocks };
    }
    case TCPOPT_TIMESTAMP:
      if (data.length !== 8) return unknown;
      return { kind: 'TS', val: v.getUint32(0), ecr: v.getUint32(4) };
    case TCPOPT_MD5SIG:
      return data.length === 16 ? { kind: 'md5', digest: toHex(data) } : unknown;
    case TCPOPT_FASTOPEN:
      return { kind: 'FO', cookie: toHex(data) };
    case TCPOPT_EXP:
      if (data.length < 2 || v.getUint16(0) !== TCPOPT_FASTOPEN_MAGIC) return unknown;
      return { kind: 'FOEXP', cookie: toHex(data.subarray(2)) };
    case TCPOPT_ACCECN0:
    case TCPOPT_ACCECN1: {
      if (data.length % 3 !== 0 || data.length > 9) return unknown;
      const names = ACCECN_ORDER[number] as readonly EcnField[];
      const fields: [EcnField, number][] = [];
      for (let i = 0; i < data.length / 3; i++) {
        fields.push([names[i] as EcnField, (v.getUint16(3 * i) << 8) | v.getUint8(3 * i + 2)]);
      }
      return { kind: 'ECN', fields };
    }
    default:
      return unknown;
  }
}

function decodeOptions(bytes: Uint8Array): TcpOption[] {
  const options: TcpOption[] = [];
  for (let at = 0; at < bytes.length; ) {
    const kind = bytes[at] as number;
    if (kind === TCPOPT_NOP || kind === TCPOPT_EOL) {
      options.push({ kind: kind === TCPOPT_NOP ? 'nop' : 'eol' });
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    if (length < 2 || at + length > bytes.length) {
      options.push({ kind: 'unknown', number: kind, data: toHex(bytes.subarray(at + 1)) });
      break;
    }
    options.push(decodeOption(kind, bytes.subarray(at + 2, at + length)));
    at += length;
  }
  return options;
}

// Inbound.

/** The IP header's part of a packet. Addresses are numbers in host order. */
export interface IpFields {
  readonly saddr: number;
  readonly daddr: number;
  readonly tos: number;
  readonly ttl: number;
  readonly id: number;
}

export interface TcpFields {
  readonly source: number;
  readonly dest: number;
  readonly seq: number;
  readonly ack: number;
  /** Nine flags and, above them, three reserved bits. */
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  readonly options: readonly TcpOption[];
  readonly length: number;
  /** Payload of a segment when the packet is a super-packet; 0: it is none. */
  readonly gsoSize: number;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Room for a virtio_net_hdr, an IP header, and `length` bytes. */
function newFrame(ip: IpFields, protocol: number, length: number): Uint8Array {
  const frame = new Uint8Array(VNET_HDR_LEN + iphdr.LEN + length);
  const v = viewOf(frame);
  const o = VNET_HDR_LEN;
  iphdr.setVersion(v, o, 4);
  iphdr.setIhl(v, o, iphdr.LEN >> 2);
  iphdr.setTos(v, o, ip.tos);
  iphdr.setTotLen(v, o, iphdr.LEN + length);
  iphdr.setId(v, o, ip.id);
  iphdr.setFragOff(v, o, IP_DF);
  iphdr.setTtl(v, o, ip.ttl);
  iphdr.setProtocol(v, o, protocol);
  iphdr.setSaddr(v, o, ip.saddr);
  iphdr.setDaddr(v, o, ip.daddr);
  iphdr.setCheck(v, o, ipFastCsum(v, o, iphdr.LEN >> 2));
  return frame;
}

function putTcp(v: DataView, o: number, tcp: TcpFields, options: Uint8Array): void {
  tcphdr.setSource(v, o, tcp.source);
  tcphdr.setDest(v, o, tcp.dest);
  tcphdr.setSeq(v, o, tcp.seq | 0);
  tcphdr.setAckSeq(v, o, tcp.ack | 0);
  v.setUint16(o + 12, (((tcphdr.LEN + options.length) >> 2) << 12) | (tcp.flags & 0xfff));
  v.setUint16(o + 14, tcp.window);
  v.setUint16(o + 18, tcp.urgent);
  new Uint8Array(v.buffer, v.byteOffset + o + tcphdr.LEN, options.length).set(options);
}

/** A TCP packet for the tun device. */
export function buildTcp(ip: IpFields, tcp: TcpFields): Uint8Array {
  const options = encodeOptions(tcp.options);
  const header = tcphdr.LEN + options.length;
  const frame = newFrame(ip, IPPROTO_TCP, header + tcp.length);
  const v = viewOf(frame);
  const o = VNET_HDR_LEN + iphdr.LEN;
  putTcp(v, o, tcp, options);
  for (let i = 0; i < tcp.length; i++) frame[o + header + i] = (tcp.seq + i) & 0xff;
  const sum = csumPartial(frame, o, header + tcp.length, 0);
  const check = csumTcpudpMagic(ip.saddr, ip.daddr, header + tcp.length, IPPROTO_TCP, sum);
  v.setUint16(o + 16, check);
  if (tcp.gsoSize > 0 && tcp.length > tcp.gsoSize) {
    virtioNetHdr.setFlags(v, 0, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    virtioNetHdr.setGsoType(v, 0, VIRTIO_NET_HDR_GSO_TCPV4);
    virtioNetHdr.setHdrLen(v, 0, iphdr.LEN + header);
    virtioNetHdr.setGsoSize(v, 0, tcp.gsoSize);
    virtioNetHdr.setCsumStart(v, 0, iphdr.LEN);
    virtioNetHdr.setCsumOffset(v, 0, 16);
    // Half a checksum: the pseudo header's, as a sender with checksum offload leaves it.
    const pseudo = csumTcpudpMagic(ip.saddr, ip.daddr, header + tcp.length, IPPROTO_TCP, 0);
    v.setUint16(o + 16, ~pseudo & 0xffff);
  }
  return frame;
}

export function buildUdp(ip: IpFields, source: number, dest: number, length: number): Uint8Array {
  const frame = newFrame(ip, IPPROTO_UDP, udphdr.LEN + length);
  const v = viewOf(frame);
  const o = VNET_HDR_LEN + iphdr.LEN;
  udphdr.setSource(v, o, source);
  udphdr.setDest(v, o, dest);
  udphdr.setLen(v, o, udphdr.LEN + length);
  const sum = csumPartial(frame, o, udphdr.LEN + length, 0);
  const check = csumTcpudpMagic(ip.saddr, ip.daddr, udphdr.LEN + length, IPPROTO_UDP, sum);
  udphdr.setCheck(v, o, check === 0 ? 0xffff : check);
  return frame;
}

export interface IcmpFields {
  readonly type: number;
  readonly code: number;
  /** The second word of the header. */
  readonly rest: number;
  /** What follows the header. */
  readonly payload: Uint8Array;
}

export function buildIcmp(ip: IpFields, icmp: IcmpFields): Uint8Array {
  const frame = newFrame(ip, IPPROTO_ICMP, icmphdr.LEN + icmp.payload.length);
  const v = viewOf(frame);
  const o = VNET_HDR_LEN + iphdr.LEN;
  icmphdr.setType(v, o, icmp.type);
  icmphdr.setCode(v, o, icmp.code);
  icmphdr.setRest(v, o, icmp.rest);
  frame.set(icmp.payload, o + icmphdr.LEN);
  const sum = csumPartial(frame, o, icmphdr.LEN + icmp.payload.length, 0);
  icmphdr.setChecksum(v, o, csumFold(sum));
  return frame;
}

/** The front of a packet that an ICMP error quotes: IP header and 8 octets; `total` is its length. */
export function quotePacket(
  ip: IpFields,
  protocol: number,
  total: number,
  source: number,
  dest: number,
  second: number,
): Uint8Array {
  const frame = newFrame(ip, protocol, 8);
  const v = viewOf(frame);
  const o = VNET_HDR_LEN;
  iphdr.setTotLen(v, o, total);
  iphdr.setCheck(v, o, 0);
  iphdr.setCheck(v, o, ipFastCsum(v, o, iphdr.LEN >> 2));
  v.setUint16(o + iphdr.LEN, source);
  v.setUint16(o + iphdr.LEN + 2, dest);
  v.setUint32(o + iphdr.LEN + 4, second >>> 0);
  return frame.subarray(VNET_HDR_LEN);
}

// Outbound.

export interface LiveTcp {
  readonly source: number;
  readonly dest: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  readonly options: readonly TcpOption[];
  readonly length: number;
}

/** A packet that came out of the machine. */
export interface LivePacket {
  /** ns since the world began. */
  readonly timeNs: number;
  readonly bytes: Uint8Array;
  readonly saddr: number;
  readonly daddr: number;
  readonly tos: number;
  readonly ttl: number;
  readonly protocol: number;
  readonly tcp: LiveTcp | null;
  readonly udp: { readonly source: number; readonly dest: number; readonly length: number } | null;
  readonly icmp: { readonly type: number; readonly code: number; readonly rest: number } | null;
  /** Payload of a segment of a super-packet; 0: it is none. */
  readonly gsoSize: number;
  /** What is wrong with it by itself, e.g. a checksum; empty when nothing is. */
  readonly fault: string;
}

function liveTcp(v: DataView, o: number, length: number): LiveTcp | null {
  if (length < tcphdr.LEN) return null;
  const header = tcphdr.hdrlen(v, o);
  if (header < tcphdr.LEN || header > length) return null;
  const options = new Uint8Array(v.buffer, v.byteOffset + o + tcphdr.LEN, header - tcphdr.LEN);
  return {
    source: tcphdr.source(v, o),
    dest: tcphdr.dest(v, o),
    seq: tcphdr.seq(v, o) >>> 0,
    ack: tcphdr.ackSeq(v, o) >>> 0,
    flags: v.getUint16(o + 12) & 0xfff,
    window: tcphdr.window(v, o),
    urgent: tcphdr.urgPtr(v, o),
    options: decodeOptions(options),
    length: length - header,
  };
}

/** What is wrong with a packet's lengths and checksums. */
function findFault(v: DataView, frame: Uint8Array, protocol: number): string {
  const o = VNET_HDR_LEN;
  const header = iphdr.hdrlen(v, o);
  if (iphdr.totLen(v, o) !== frame.length - o) {
    return `the IP header says ${iphdr.totLen(v, o)} bytes of ${frame.length - o}`;
  }
  if (ipFastCsum(v, o, header >> 2) !== 0) return 'the checksum of the IP header is wrong';
  const offloaded = (virtioNetHdr.flags(v, 0) & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0;
  const length = frame.length - o - header;
  const at = o + header;
  if (offloaded || (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP)) return '';
  if (protocol === IPPROTO_UDP && udphdr.check(v, at) === 0) return '';
  const sum = csumPartial(frame, at, length, 0);
  const check = csumTcpudpMagic(iphdr.saddr(v, o), iphdr.daddr(v, o), length, protocol, sum);
  return check === 0 ? '' : 'the checksum is wrong';
}

/** Takes a frame of the tun device apart; null when it is no IPv4 packet. The bytes are kept. */
export function decodeFrame(frame: Uint8Array, timeNs: number): LivePacket | null {
  const v = viewOf(frame);
  const o = VNET_HDR_LEN;
  if (frame.length < o + iphdr.LEN || iphdr.version(v, o) !== 4) return null;
  const header = iphdr.hdrlen(v, o);
  const protocol = iphdr.protocol(v, o);
  const at = o + header;
  const length = frame.length - at;
  if (header < iphdr.LEN || length < 0) return null;
  const gso = virtioNetHdr.gsoType(v, 0) !== VIRTIO_NET_HDR_GSO_NONE;
  return {
    timeNs,
    bytes: frame.subarray(o),
    saddr: iphdr.saddr(v, o),
    daddr: iphdr.daddr(v, o),
    tos: iphdr.tos(v, o),
    ttl: iphdr.ttl(v, o),
    protocol,
    tcp: protocol === IPPROTO_TCP ? liveTcp(v, at, length) : null,
    udp:
      protocol === IPPROTO_UDP && length >= udphdr.LEN
        ? { source: udphdr.source(v, at), dest: udphdr.dest(v, at), length: length - udphdr.LEN }
        : null,
    icmp:
      protocol === IPPROTO_ICMP && length >= icmphdr.LEN
        ? { type: icmphdr.type(v, at), code: icmphdr.code(v, at), rest: icmphdr.rest(v, at) }
        : null,
    gsoSize: gso ? virtioNetHdr.gsoSize(v, 0) : 0,
    fault: findFault(v, frame, protocol),
  };
}
