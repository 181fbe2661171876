/**
 * What the receiver finds out about a frame: its headers, whether its checksums are right, its hash,
 * and with that its queue. Datasheet 7.1.10 (checksums), 7.1.2.8 (RSS).
 */
import { reg } from '#hardware/e1000/e1000_chip.ts';
import {
  E1000_RXCSUM,
  E1000_RXCSUM_IPOFL,
  E1000_RXCSUM_TUOFL,
  E1000_RXD_STAT_IPCS,
  E1000_RXD_STAT_TCPCS,
  E1000_RXD_STAT_UDPCS,
  E1000_VET,
} from '#hardware/e1000/e1000_regs.ts';
import { type IgbChip, type IgbRxParse, rssKey } from '#hardware/igb/igb_chip.ts';
import {
  E1000_MRQC,
  E1000_MRQC_ENABLE_MASK,
  E1000_MRQC_ENABLE_RSS_MQ,
  E1000_MRQC_RSS_FIELD_IPV4,
  E1000_MRQC_RSS_FIELD_IPV4_TCP,
  E1000_MRQC_RSS_FIELD_IPV4_UDP,
  E1000_MRQC_RSS_FIELD_IPV6,
  E1000_MRQC_RSS_FIELD_IPV6_TCP,
  E1000_MRQC_RSS_FIELD_IPV6_UDP,
  E1000_RETA,
  E1000_RXDADV_PKTTYPE_IPV4,
  E1000_RXDADV_PKTTYPE_IPV6,
  E1000_RXDADV_PKTTYPE_TCP,
  E1000_RXDADV_PKTTYPE_UDP,
  E1000_RXDADV_RSSTYPE_IPV4,
  E1000_RXDADV_RSSTYPE_IPV4_TCP,
  E1000_RXDADV_RSSTYPE_IPV4_UDP,
  E1000_RXDADV_RSSTYPE_IPV6,
  E1000_RXDADV_RSSTYPE_IPV6_TCP,
  E1000_RXDADV_RSSTYPE_IPV6_UDP,
  E1000_RXDADV_RSSTYPE_NONE,
  E1000_RXDEXT_STATERR_IPE,
  E1000_RXDEXT_STATERR_TCPE,
  IGB_RETA_SIZE,
} from '#hardware/igb/igb_regs.ts';
import { csumFold16 } from '#lib/checksum.ts';
import { dmaView, mem, memops } from '#mm/memory.ts';

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETH_HEADER = 14;
const VLAN_TAG = 4;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const TCP_HEADER = 20;
const UDP_HEADER = 8;
const IPV4_MIN_HEADER = 20;
const IPV4_FRAGMENT_BITS = 0x3fff;
const IPV4_SOURCE = 12;
const IPV4_ADDRESSES = 8;
const IPV6_HEADER = 40;
const IPV6_SOURCE = 8;
const IPV6_ADDRESSES = 32;
const PORTS = 4;

/** Checksums of which nothing is known set neither status nor error bits. */
function parseIpv4(parse: IgbRxParse, at: number, room: number): boolean {
  const headerLen = (dmaView.getUint8(at) & 0x0f) * 4;
  const totalLen = dmaView.getUint16(at + 2);
  if (room < IPV4_MIN_HEADER || headerLen < IPV4_MIN_HEADER) return false;
  if (headerLen > totalLen || totalLen > room) return false;
  parse.packetType = E1000_RXDADV_PKTTYPE_IPV4;
  parse.network = at;
  const fragment = (dmaView.getUint16(at + 6) & IPV4_FRAGMENT_BITS) !== 0;
  parse.protocol = fragment ? -1 : dmaView.getUint8(at + 9);
  parse.transport = at + headerLen;
  parse.transportLen = totalLen - headerLen;
  return true;
}

/** The chip looks behind extension headers; the model takes those packets for plain IPv6. */
function parseIpv6(parse: IgbRxParse, at: number, room: number): boolean {
  if (room < IPV6_HEADER) return false;
  const payload = dmaView.getUint16(at + 4);
  if (IPV6_HEADER + payload > room) return false;
  parse.packetType = E1000_RXDADV_PKTTYPE_IPV6;
  parse.network = at;
  parse.protocol = dmaView.getUint8(at + 6);
  parse.transport = at + IPV6_HEADER;
  parse.transportLen = payload;
  return true;
}

/** Finds the headers of a frame. */
export function parseFrame(chip: IgbChip, addr: number, len: number): void {
  const parse = chip.rxParse;
  parse.packetType = 0;
  parse.rssType = E1000_RXDADV_RSSTYPE_NONE;
  parse.hash = 0;
  parse.checksums = 0;
  parse.network = 0;
  parse.transport = 0;
  parse.transportLen = 0;
  parse.protocol = -1;
  const tagged = dmaView.getUint16(addr + ETH_HEADER - 2) === (reg(chip, E1000_VET) & 0xffff);
  const at = addr + ETH_HEADER + (tagged ? VLAN_TAG : 0);
  const room = addr + len - at;
  const type = dmaView.getUint16(at - 2);
  if (type === ETHERTYPE_IPV4) {
    if (!parseIpv4(parse, at, room)) return;
  } else if (type !== ETHERTYPE_IPV6 || !parseIpv6(parse, at, room)) {
    return;
  }
  if (parse.protocol === PROTO_TCP && parse.transportLen >= TCP_HEADER) {
    parse.packetType |= E1000_RXDADV_PKTTYPE_TCP;
  } else if (parse.protocol === PROTO_UDP && parse.transportLen >= UDP_HEADER) {
    parse.packetType |= E1000_RXDADV_PKTTYPE_UDP;
  }
}

/** Adds up the checksums of the parsed frame, as RXCSUM asks. */
export function checkChecksums(chip: IgbChip): void {
  const parse = chip.rxParse;
  const enabled = reg(chip, E1000_RXCSUM);
  if (parse.network === 0) return;
  const ipv4 = (parse.packetType & E1000_RXDADV_PKTTYPE_IPV4) !== 0;
  if ((enabled & E1000_RXCSUM_IPOFL) !== 0 && ipv4) {
    parse.checksums |= E1000_RXD_STAT_IPCS;
    const sum = memops.csumPartial(parse.network, parse.transport - parse.network, 0);
    if (sum !== 0xffff) parse.checksums |= E1000_RXDEXT_STATERR_IPE;
  }
  if ((enabled & E1000_RXCSUM_TUOFL) !== 0) checkTransport(parse, ipv4);
}

function checkTransport(parse: IgbRxParse, ipv4: boolean): void {
  const udp = (parse.packetType & E1000_RXDADV_PKTTYPE_UDP) !== 0;
  if (!udp && (parse.packetType & E1000_RXDADV_PKTTYPE_TCP) === 0) return;
  const { network, transport, transportLen, protocol } = parse;
  // A datagram without a checksum says so.
  if (udp && ipv4 && dmaView.getUint16(transport + 6) === 0) return;
  const addresses = ipv4
    ? memops.csumPartial(network + IPV4_SOURCE, IPV4_ADDRESSES, protocol + transportLen)
    : memops.csumPartial(network + IPV6_SOURCE, IPV6_ADDRESSES, protocol + transportLen);
  const good = csumFold16(memops.csumPartial(transport, transportLen, addresses)) === 0xffff;
  parse.checksums |= E1000_RXD_STAT_TCPCS;
  if (udp) parse.checksums |= E1000_RXD_STAT_UDPCS;
  if (!good) parse.checksums |= E1000_RXDEXT_STATERR_TCPE;
}

/** The kind of hash that MRQC lets this packet have. */
function rssType(parse: IgbRxParse, mrqc: number): number {
  const { packetType } = parse;
  const tcp = (packetType & E1000_RXDADV_PKTTYPE_TCP) !== 0;
  const udp = (packetType & E1000_RXDADV_PKTTYPE_UDP) !== 0;
  if ((packetType & E1000_RXDADV_PKTTYPE_IPV4) !== 0) {
    if (tcp && (mrqc & E1000_MRQC_RSS_FIELD_IPV4_TCP) !== 0) return E1000_RXDADV_RSSTYPE_IPV4_TCP;
    if (udp && (mrqc & E1000_MRQC_RSS_FIELD_IPV4_UDP) !== 0) return E1000_RXDADV_RSSTYPE_IPV4_UDP;
    if ((mrqc & E1000_MRQC_RSS_FIELD_IPV4) !== 0) return E1000_RXDADV_RSSTYPE_IPV4;
  } else if ((packetType & E1000_RXDADV_PKTTYPE_IPV6) !== 0) {
    if (tcp && (mrqc & E1000_MRQC_RSS_FIELD_IPV6_TCP) !== 0) return E1000_RXDADV_RSSTYPE_IPV6_TCP;
    if (udp && (mrqc & E1000_MRQC_RSS_FIELD_IPV6_UDP) !== 0) return E1000_RXDADV_RSSTYPE_IPV6_UDP;
    if ((mrqc & E1000_MRQC_RSS_FIELD_IPV6) !== 0) return E1000_RXDADV_RSSTYPE_IPV6;
  }
  return E1000_RXDADV_RSSTYPE_NONE;
}

/**
 * The queue of the parsed frame. Without RSS, and for what has no hash, it is the first.
 */
export function chooseQueue(chip: IgbChip): number {
  const parse = chip.rxParse;
  const mrqc = reg(chip, E1000_MRQC);
  if ((mrqc & E1000_MRQC_ENABLE_MASK) !== E1000_MRQC_ENABLE_RSS_MQ) return 0;
  const type = rssType(parse, mrqc);
  parse.rssType = type;
  if (type === E1000_RXDADV_RSSTYPE_NONE) return 0;
  const key = rssKey(chip);
  const ipv4 = (parse.packetType & E1000_RXDADV_PKTTYPE_IPV4) !== 0;
  const len = ipv4 ? IPV4_ADDRESSES : IPV6_ADDRESSES;
  parse.hash = key.hash(mem, parse.network + (ipv4 ? IPV4_SOURCE : IPV6_SOURCE), len);
  if (type !== E1000_RXDADV_RSSTYPE_IPV4 && type !== E1000_RXDADV_RSSTYPE_IPV6) {
    parse.hash ^= key.hash(mem, parse.transport, PORTS, len);
  }
  const index = parse.hash & (IGB_RETA_SIZE - 1);
  return (reg(chip, E1000_RETA(index >> 2)) >>> (8 * (index & 3))) & 0x0f;
}
