/** Decodes the headers of a packet field by field, for the microscope: where each lies and what it says. */
import { inNtop4 } from '#lib/parse_addr.ts';
import type { HeaderInfo } from '../protocol.ts';

type Field = HeaderInfo['fields'][number];

const hex = (value: number, digits: number): string =>
  `0x${value.toString(16).padStart(digits, '0')}`;

class Fields {
  readonly list: Field[];
  private readonly v: DataView;
  private readonly base: number;

  constructor(v: DataView, base: number) {
    this.v = v;
    this.base = base;
    this.list = [];
  }

  add(name: string, offset: number, length: number, value: string, hint = ''): this {
    if (this.base + offset + length <= this.v.byteLength) {
      this.list.push({ name, value, start: this.base + offset, length, hint });
    }
    return this;
  }

  u8(offset: number): number {
    return this.has(offset, 1) ? this.v.getUint8(this.base + offset) : 0;
  }

  u16(offset: number): number {
    return this.has(offset, 2) ? this.v.getUint16(this.base + offset) : 0;
  }

  u32(offset: number): number {
    return this.has(offset, 4) ? this.v.getUint32(this.base + offset) : 0;
  }

  mac(offset: number): string {
    const octets: string[] = [];
    for (let i = 0; i < 6; i++)
      octets.push(
        this.u8(offset + i)
          .toString(16)
          .padStart(2, '0'),
      );
    return octets.join(':');
  }

  private has(offset: number, length: number): boolean {
    return this.base + offset + length <= this.v.byteLength;
  }
}

const ETHERTYPES: Readonly<Record<number, string>> = {
  2048: 'IPv4',
  2054: 'ARP',
  33024: 'VLAN tag',
  34525: 'IPv6',
};
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  6: 'TCP',
  17: 'UDP',
};

function ethernet(v: DataView, at: number): HeaderInfo {
  const f = new Fields(v, at);
  const type = f.u16(12);
  f.add('destination', 0, 6, f.mac(0), 'link address of the next hop')
    .add('source', 6, 6, f.mac(6), 'link address of the card that sends')
    .add('type', 12, 2, `${ETHERTYPES[type] ?? hex(type, 4)}`, 'who gets the rest');
  return {
    name: 'Ethernet',
    layer: 'link',
    writer: 'eth_header()',
    start: at,
    length: 14,
    fields: f.list,
  };
}

function ipv4(v: DataView, at: number): HeaderInfo {
  const f = new Fields(v, at);
  const length = (f.u8(0) & 15) * 4;
  const fragment = f.u16(6);
  const bits: string[] = [];
  if ((fragment & 0x4000) !== 0) bits.push('do not fragment');
  if ((fragment & 0x2000) !== 0) bits.push('more fragments');
  if ((fragment & 0x1fff) !== 0) bits.push(`from byte ${(fragment & 0x1fff) * 8}`);
  f.add('version, header length', 0, 1, `4, ${length} bytes`)
    .add('type of service', 1, 1, hex(f.u8(1), 2), 'priority, and congestion marks')
    .add('total length', 2, 2, `${f.u16(2)}`)
    .add('identification', 4, 2, `${f.u16(4)}`, 'the same in all fragments of a packet')
    .add('fragment', 6, 2, bits.join(', ') || 'whole')
    .add('time to live', 8, 1, `${f.u8(8)}`, 'one less at each router; at 0 the packet ends')
    .add('protocol', 9, 1, PROTOCOLS[f.u8(9)] ?? `${f.u8(9)}`)
    .add('header checksum', 10, 2, hex(f.u16(10), 4))
    .add('source', 12, 4, inNtop4(f.u32(12)))
    .add('destination', 16, 4, inNtop4(f.u32(16)));
  if (length > 20) f.add('options', 20, length - 20, `${length - 20} bytes`);
  return {
    name: 'IPv4',
    layer: 'network',
    writer: '__ip_queue_xmit()',
    start: at,
    length,
    fields: f.list,
  };
}

const OPTION_NAMES: Readonly<Record<number, string>> = {
  0: 'end',
  1: 'padding',
  2: 'maximum segment size',
  3: 'window scale',
  4: 'SACK permitted',
  5: 'SACK blocks',
  8: 'timestamps',
  34: 'fast open cookie',
};

function tcpOptions(f: Fields, from: number, to: number): void {
  let at = from;
  while (at < to) {
    const kind = f.u8(at);
    const length = kind <= 1 ? 1 : f.u8(at + 1);
    if (length < 1 || at + length > to) break;
    let value = `${length} bytes`;
    if (kind === 2) value = `${f.u16(at + 2)}`;
    else if (kind === 3) value = `x ${2 ** f.u8(at + 2)}`;
    else if (kind === 8) value = `${f.u32(at + 2)}, echo ${f.u32(at + 6)}`;
    else if (kind === 5) {
      const blocks: string[] = [];
      for (let b = at + 2; b + 8 <= at + length; b += 8)
        blocks.push(`${f.u32(b)}..${f.u32(b + 4)}`);
      value = blocks.join(' ');
    } else if (kind <= 1) value = '';
    f.add(OPTION_NAMES[kind] ?? `option ${kind}`, at, length, value);
    if (kind === 0) break;
    at += length;
  }
}

function tcp(v: DataView, at: number): HeaderInfo {
  const f = new Fields(v, at);
  const length = (f.u8(12) >> 4) * 4;
  const flags = f.u8(13);
  const names = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR'];
  const set = names.filter((_, bit) => (flags & (1 << bit)) !== 0).join(' ');
  f.add('source port', 0, 2, `${f.u16(0)}`)
    .add('destination port', 2, 2, `${f.u16(2)}`)
    .add('sequence number', 4, 4, `${f.u32(4)}`, 'number of the first byte')
    .add('acknowledgement', 8, 4, `${f.u32(8)}`, 'the next byte that is expected')
    .add('header length', 12, 1, `${length} bytes`)
    .add('flags', 13, 1, set || 'none')
    .add('window', 14, 2, `${f.u16(14)}`, 'room at the receiver, scaled')
    .add('checksum', 16, 2, hex(f.u16(16), 4))
    .add('urgent pointer', 18, 2, `${f.u16(18)}`);
  tcpOptions(f, 20, length);
  return {
    name: 'TCP',
    layer: 'transport',
    writer: '__tcp_transmit_skb()',
    start: at,
    length,
    fields: f.list,
  };
}

function udp(v: DataView, at: number): HeaderInfo {
  const f = new Fields(v, at);
  f.add('source port', 0, 2, `${f.u16(0)}`)
    .add('destination port', 2, 2, `${f.u16(2)}`)
    .add('length', 4, 2, `${f.u16(4)}`)
    .add('checksum', 6, 2, hex(f.u16(6), 4));
  return {
    name: 'UDP',
    layer: 'transport',
    writer: 'udp_send_skb()',
    start: at,
    length: 8,
    fields: f.list,
  };
}

function icmp(v: DataView, at: number): HeaderInfo {
  const f = new Fields(v, at);
  const echo = f.u8(0) === 0 || f.u8(0) === 8;
  f.add('type', 0, 1, `${f.u8(0)}`)
    .add('code', 1, 1, `${f.u8(1)}`)
    .add('checksum', 2, 2, hex(f.u16(2), 4));
  if (echo) {
    f.add('identifier', 4, 2, `${f.u16(4)}`).add('sequence', 6, 2, `${f.u16(6)}`);
  } else f.add('rest', 4, 4, hex(f.u32(4), 8));
  return {
    name: 'ICMP',
    layer: 'transport',
    writer: 'icmp_push_reply()',
    start: at,
    length: 8,
    fields: f.list,
  };
}

function arp(v: DataView, at: number): HeaderInfo {
  const f = new Fields(v, at);
  const op = f.u16(6);
  f.add('hardware', 0, 2, f.u16(0) === 1 ? 'Ethernet' : `${f.u16(0)}`)
    .add('protocol', 2, 2, ETHERTYPES[f.u16(2)] ?? hex(f.u16(2), 4))
    .add('address lengths', 4, 2, `${f.u8(4)}, ${f.u8(5)}`)
    .add('operation', 6, 2, op === 1 ? 'request' : op === 2 ? 'reply' : `${op}`)
    .add('sender, link', 8, 6, f.mac(8))
    .add('sender, IP', 14, 4, inNtop4(f.u32(14)))
    .add('target, link', 18, 6, f.mac(18))
    .add('target, IP', 24, 4, inNtop4(f.u32(24)));
  return {
    name: 'ARP',
    layer: 'network',
    writer: 'arp_create()',
    start: at,
    length: 28,
    fields: f.list,
  };
}

/** Where the headers lie, as offsets into `bytes`; -1: not there. */
export interface HeaderOffsets {
  readonly mac: number;
  readonly network: number;
  readonly transport: number;
  /** ETH_P_*, where no link header says it. */
  readonly protocol: number;
}

export function decodeHeaders(bytes: Uint8Array, at: HeaderOffsets): HeaderInfo[] {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const list: HeaderInfo[] = [];
  const fits = (offset: number, length: number): boolean =>
    offset >= 0 && offset + length <= bytes.length;
  let network = at.network;
  if (fits(at.mac, 14) && (network < 0 || network >= at.mac + 14)) {
    list.push(ethernet(v, at.mac));
    if (network < 0) network = at.mac + 14;
  }
  if (at.protocol === 0x0806 && fits(network, 28)) {
    list.push(arp(v, network));
    return list;
  }
  let transport = at.transport;
  let protocol = 0;
  let total = 0;
  if (at.protocol === 0x0800 && fits(network, 20) && v.getUint8(network) >> 4 === 4) {
    const header = ipv4(v, network);
    list.push(header);
    protocol = v.getUint8(network + 9);
    total = network + v.getUint16(network + 2);
    const fragment = v.getUint16(network + 6) & 0x1fff;
    transport = fragment === 0 ? network + header.length : -1;
    if (fragment !== 0) list.push(rest(network + header.length, Math.min(total, bytes.length)));
  } else if (transport >= 0 && network < 0) {
    protocol = 6;
  }
  const decoded = decodeTransport(v, protocol, transport, fits);
  if (decoded !== null) {
    list.push(decoded);
    const from = decoded.start + decoded.length;
    const to = total === 0 ? bytes.length : Math.min(total, bytes.length);
    if (to > from) list.push(rest(from, to));
  }
  return list;
}

function decodeTransport(
  v: DataView,
  protocol: number,
  at: number,
  fits: (offset: number, length: number) => boolean,
): HeaderInfo | null {
  if (protocol === 6 && fits(at, 20)) return tcp(v, at);
  if (protocol === 17 && fits(at, 8)) return udp(v, at);
  if (protocol === 1 && fits(at, 8)) return icmp(v, at);
  return null;
}

function rest(from: number, to: number): HeaderInfo {
  return {
    name: 'payload',
    layer: 'payload',
    writer: 'the program',
    start: from,
    length: Math.max(0, to - from),
    fields: [],
  };
}
