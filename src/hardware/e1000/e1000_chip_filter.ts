/**
 * Which frames the receiver lets pass, and what it finds out about their checksums.
 * SDM 3.2.1 (address filtering), 3.2.9 (checksum offloading), 13.5.
 */
import { type E1000Chip, type RegisterFile, reg } from '#hardware/e1000/e1000_chip.ts';
import {
  E1000_MTA,
  E1000_RAH,
  E1000_RAH_AV,
  E1000_RAL,
  E1000_RCTL,
  E1000_RCTL_BAM,
  E1000_RCTL_MO_SHIFT,
  E1000_RCTL_MPE,
  E1000_RCTL_UPE,
  E1000_RCTL_VFE,
  E1000_RXCSUM,
  E1000_RXCSUM_IPOFL,
  E1000_RXCSUM_TUOFL,
  E1000_RXD_ERR_IPE,
  E1000_RXD_ERR_TCPE,
  E1000_RXD_STAT_IPCS,
  E1000_RXD_STAT_IXSM,
  E1000_RXD_STAT_PIF,
  E1000_RXD_STAT_TCPCS,
  E1000_VET,
  E1000_VFTA,
} from '#hardware/e1000/e1000_regs.ts';
import { csumFold16 } from '#lib/checksum.ts';
import { dmaView, memops } from '#mm/memory.ts';

// What the filter found. NOT_FOR_US frames are thrown away.
export const NOT_FOR_US = 0;
export const FOR_UNICAST = 1;
export const FOR_MULTICAST = 2;
export const FOR_BROADCAST = 3;

const RAR_COUNT = 16;

/** The bits of a multicast address that index MTA, by RCTL.MO. */
const MTA_SHIFT: readonly number[] = [4, 3, 2, 0];

/** True when the address passes one of the exact filters. */
function matchesExactly(chip: E1000Chip, low: number, high: number): boolean {
  for (let i = 0; i < RAR_COUNT; i++) {
    const rah = reg(chip, E1000_RAH + 8 * i);
    if (
      (rah & E1000_RAH_AV) !== 0 &&
      (rah & 0xffff) === high &&
      reg(chip, E1000_RAL + 8 * i) === low
    )
      return true;
  }
  return false;
}

/** Index of a multicast address in the table of 4096 bits, from the address's last two octets. */
export function multicastHash(chip: RegisterFile, fifth: number, sixth: number): number {
  const shift = MTA_SHIFT[(reg(chip, E1000_RCTL) >>> E1000_RCTL_MO_SHIFT) & 3] as number;
  return ((fifth | (sixth << 8)) >>> shift) & 0xfff;
}

/** Holds the destination of a frame against the filters. */
export function filterAddress(chip: E1000Chip, addr: number): number {
  const rctl = reg(chip, E1000_RCTL);
  const low = dmaView.getInt32(addr, true);
  const high = dmaView.getUint16(addr + 4, true);
  if ((low & 1) === 0) {
    const ours = (rctl & E1000_RCTL_UPE) !== 0 || matchesExactly(chip, low, high);
    return ours ? FOR_UNICAST : NOT_FOR_US;
  }
  if (low === -1 && high === 0xffff) {
    return (rctl & (E1000_RCTL_BAM | E1000_RCTL_MPE)) !== 0 ? FOR_BROADCAST : NOT_FOR_US;
  }
  if ((rctl & E1000_RCTL_MPE) !== 0 || matchesExactly(chip, low, high)) return FOR_MULTICAST;
  const hash = multicastHash(chip, high & 0xff, high >>> 8);
  const word = reg(chip, E1000_MTA + 4 * (hash >>> 5));
  return ((word >>> (hash & 31)) & 1) !== 0 ? FOR_MULTICAST : NOT_FOR_US;
}

/** True when a frame came through the imperfect filter, and software should look again. */
export function passedInexactly(chip: E1000Chip, addr: number): boolean {
  const low = dmaView.getInt32(addr, true);
  return !matchesExactly(chip, low, dmaView.getUint16(addr + 4, true));
}

/** True when the frame carries a VLAN tag that is not wanted. */
export function filterVlan(chip: RegisterFile, addr: number): boolean {
  if ((reg(chip, E1000_RCTL) & E1000_RCTL_VFE) === 0) return false;
  if (dmaView.getUint16(addr + 12) !== (reg(chip, E1000_VET) & 0xffff)) return false;
  const vid = dmaView.getUint16(addr + 14) & 0xfff;
  return ((reg(chip, E1000_VFTA + 4 * (vid >>> 5)) >>> (vid & 31)) & 1) === 0;
}

const ETHERTYPE_IPV4 = 0x0800;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const IPV4_MIN_HEADER = 20;
const IPV4_FRAGMENT_BITS = 0x3fff;

/**
 * Adds up the checksums of an IPv4 frame. Returns the descriptor's status bits, with its error bits
 * shifted left by 8. What is not checked says so: IXSM, or no TCPCS.
 */
export function checkChecksums(chip: E1000Chip, addr: number, len: number): number {
  const enabled = reg(chip, E1000_RXCSUM);
  const want = E1000_RXCSUM_IPOFL | E1000_RXCSUM_TUOFL;
  if ((enabled & want) === 0) return E1000_RXD_STAT_IXSM;
  const tagged = dmaView.getUint16(addr + 12) === (reg(chip, E1000_VET) & 0xffff);
  const network = addr + (tagged ? 18 : 14);
  const room = addr + len - network;
  if (room < IPV4_MIN_HEADER || dmaView.getUint16(network - 2) !== ETHERTYPE_IPV4) {
    return E1000_RXD_STAT_IXSM;
  }
  const headerLen = (dmaView.getUint8(network) & 0x0f) * 4;
  const totalLen = dmaView.getUint16(network + 2);
  if (headerLen < IPV4_MIN_HEADER || headerLen > totalLen || totalLen > room) {
    return E1000_RXD_STAT_IXSM;
  }
  let result = 0;
  if ((enabled & E1000_RXCSUM_IPOFL) !== 0) {
    result |= E1000_RXD_STAT_IPCS;
    if (memops.csumPartial(network, headerLen, 0) !== 0xffff) result |= E1000_RXD_ERR_IPE << 8;
  }
  if ((enabled & E1000_RXCSUM_TUOFL) !== 0) {
    result |= checkTransport(network, headerLen, totalLen - headerLen);
  }
  return result;
}

/** The same for TCP or UDP inside a packet that is no fragment. */
function checkTransport(network: number, headerLen: number, len: number): number {
  const protocol = dmaView.getUint8(network + 9);
  const isUdp = protocol === PROTO_UDP;
  if ((protocol !== PROTO_TCP && !isUdp) || len < (isUdp ? 8 : 20)) return 0;
  if ((dmaView.getUint16(network + 6) & IPV4_FRAGMENT_BITS) !== 0) return 0;
  const at = network + headerLen;
  if (isUdp && dmaView.getUint16(at + 6) === 0) return 0;
  // The pseudo-header: both addresses, which stand together, protocol and length.
  const pseudo = memops.csumPartial(network + 12, 8, protocol + len);
  const good = csumFold16(memops.csumPartial(at, len, pseudo)) === 0xffff;
  return E1000_RXD_STAT_TCPCS | (good ? 0 : E1000_RXD_ERR_TCPE << 8);
}

/** PIF, when the frame passed by chance. */
export function inexactBit(chip: E1000Chip, addr: number): number {
  return passedInexactly(chip, addr) ? E1000_RXD_STAT_PIF : 0;
}
