/**
 * Ethernet devices: header, address, defaults. Counterpart of net/ethernet/eth.c and
 * include/linux/etherdevice.h. IEEE 802.3 clause 3.
 */
import {
  IFF_LIVE_ADDR_CHANGE,
  IFF_TX_SKB_SHARING,
  NET_ADDR_RANDOM,
  type NetDevice,
  type NetDeviceOps,
  netifRunning,
} from '#include/linux/netdevice.ts';
import type { HeaderOps } from '#include/linux/netdevice_header.ts';
import { type SkBuff, skbHeadlen, skbResetMacHeader } from '#include/linux/skbuff.ts';
import type { Neighbour } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem, view } from '#mm/memory.ts';
import { allocNetdevMqs } from '#net/core/dev_register.ts';
import { flowDissect } from '#net/core/flow_dissector.ts';
import { skbPush } from '#net/core/skbuff.ts';
import { skbPutPadto } from '#net/core/skbuff_copy.ts';
import { EADDRNOTAVAIL, EBUSY } from '#uapi/errno.ts';
import { IFF_BROADCAST, IFF_LOOPBACK, IFF_MULTICAST, IFF_NOARP } from '#uapi/if.ts';
import { ARPHRD_ETHER } from '#uapi/if_arp.ts';
import {
  ETH_ALEN,
  ETH_DATA_LEN,
  ETH_HLEN,
  ETH_MIN_MTU,
  ETH_P_802_2,
  ETH_P_802_3,
  ETH_P_802_3_MIN,
  ETH_ZLEN,
  ethhdr,
} from '#uapi/if_ether.ts';
import {
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_MULTICAST,
  PACKET_OTHERHOST,
} from '#uapi/if_packet.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { tcphdr } from '#uapi/tcp.ts';

// Addresses.

/** @kernel is_multicast_ether_addr include/linux/etherdevice.h */
export function isMulticastEtherAddr(addr: Uint8Array): boolean {
  return ((addr[0] as number) & 1) !== 0;
}

/** @kernel is_zero_ether_addr include/linux/etherdevice.h */
export function isZeroEtherAddr(addr: Uint8Array): boolean {
  for (let i = 0; i < ETH_ALEN; i++) if (addr[i] !== 0) return false;
  return true;
}

/** @kernel is_broadcast_ether_addr include/linux/etherdevice.h */
export function isBroadcastEtherAddr(addr: Uint8Array): boolean {
  for (let i = 0; i < ETH_ALEN; i++) if (addr[i] !== 0xff) return false;
  return true;
}

/** May a station have this address? @kernel is_valid_ether_addr include/linux/etherdevice.h */
export function isValidEtherAddr(addr: Uint8Array): boolean {
  return !isMulticastEtherAddr(addr) && !isZeroEtherAddr(addr);
}

/** @kernel ether_addr_equal include/linux/etherdevice.h */
export function etherAddrEqual(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < ETH_ALEN; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A random unicast address, locally administered. @kernel eth_random_addr include/linux/etherdevice.h */
export function ethRandomAddr(machine: Machine): Uint8Array {
  const addr = new Uint8Array(ETH_ALEN);
  for (let i = 0; i < ETH_ALEN; i++) addr[i] = machine.random.u32() & 0xff;
  addr[0] = ((addr[0] as number) & 0xfe) | 0x02;
  return addr;
}

/** Sets the address of a device that is not registered yet, or from its driver. @kernel eth_hw_addr_set include/linux/etherdevice.h */
export function ethHwAddrSet(dev: NetDevice, addr: Uint8Array): void {
  dev.devAddr.set(addr.subarray(0, ETH_ALEN));
}

/** @kernel eth_hw_addr_random include/linux/etherdevice.h */
export function ethHwAddrRandom(dev: NetDevice): void {
  dev.addrAssignType = NET_ADDR_RANDOM;
  ethHwAddrSet(dev, ethRandomAddr(dev.net.machine));
}

// Headers.

/** Pushes the header; the negative length says that the destination is still missing. @kernel eth_header net/ethernet/eth.c */
export function ethHeader(
  skb: SkBuff,
  dev: NetDevice,
  type: number,
  daddr: Uint8Array | null,
  saddr: Uint8Array | null,
  len: number,
): number {
  const eth = skbPush(skb, ETH_HLEN);
  ethhdr.setProto(view, eth, type === ETH_P_802_3 || type === ETH_P_802_2 ? len : type);
  const source = saddr ?? dev.devAddr;
  for (let i = 0; i < ETH_ALEN; i++) mem[eth + ETH_ALEN + i] = source[i] as number;
  if (daddr !== null) {
    for (let i = 0; i < ETH_ALEN; i++) mem[eth + i] = daddr[i] as number;
    return ETH_HLEN;
  }
  // Where there is no ARP, the destination does not matter.
  if ((dev.flags & (IFF_LOOPBACK | IFF_NOARP)) !== 0) {
    mem.fill(0, eth, eth + ETH_ALEN);
    return ETH_HLEN;
  }
  return -ETH_HLEN;
}

/** Copies the sender's address to `haddr`. @kernel eth_header_parse net/ethernet/eth.c */
export function ethHeaderParse(skb: SkBuff, haddr: Uint8Array): number {
  const source = skb.macHeader + ETH_ALEN;
  for (let i = 0; i < ETH_ALEN; i++) haddr[i] = mem[source + i] as number;
  return ETH_ALEN;
}

/** Keeps a neighbour's ready-made header. 0, or -1 where there can be none. @kernel eth_header_cache net/ethernet/eth.c */
function ethHeaderCache(neigh: Neighbour, type: number): number {
  if (type === ETH_P_802_3) return -1;
  const hh = neigh.hhData;
  hh.set(neigh.ha.subarray(0, ETH_ALEN));
  hh.set(neigh.dev.devAddr.subarray(0, ETH_ALEN), ETH_ALEN);
  hh[2 * ETH_ALEN] = type >>> 8;
  hh[2 * ETH_ALEN + 1] = type & 0xff;
  neigh.hhLen = ETH_HLEN;
  return 0;
}

/** The neighbour's address has changed. @kernel eth_header_cache_update net/ethernet/eth.c */
function ethHeaderCacheUpdate(neigh: Neighbour, _dev: NetDevice, haddr: Uint8Array): void {
  neigh.hhData.set(haddr.subarray(0, ETH_ALEN));
}

/** @kernel eth_header_parse_protocol net/ethernet/eth.c */
function ethHeaderParseProtocol(skb: SkBuff): number {
  return ethhdr.proto(view, skb.macHeader);
}

/** @kernel eth_header_ops net/ethernet/eth.c */
export const ethHeaderOps: HeaderOps = {
  create: ethHeader,
  parse: ethHeaderParse,
  cache: ethHeaderCache,
  cacheUpdate: ethHeaderCacheUpdate,
  parseProtocol: ethHeaderParseProtocol,
};

/** Whom is the frame for? @kernel eth_skb_pkt_type include/linux/etherdevice.h */
export function ethSkbPktType(skb: SkBuff, dev: NetDevice): void {
  const eth = skb.macHeader;
  const own = dev.devAddr;
  if (((mem[eth] as number) & 1) !== 0) {
    skb.pktType =
      ethhdr.destHi(view, eth) === 0xffffffff && ethhdr.destLo(view, eth) === 0xffff
        ? PACKET_BROADCAST
        : PACKET_MULTICAST;
    return;
  }
  skb.pktType = PACKET_HOST;
  for (let i = 0; i < ETH_ALEN; i++) {
    if (mem[eth + i] !== own[i]) {
      skb.pktType = PACKET_OTHERHOST;
      return;
    }
  }
}

/**
 * Takes the header off a received frame (at least 14 linear bytes): sets `dev`, `macHeader`,
 * `pktType`, and returns the protocol.
 * @kernel eth_type_trans net/ethernet/eth.c
 */
export function ethTypeTrans(skb: SkBuff, dev: NetDevice): number {
  skb.dev = dev;
  skbResetMacHeader(skb);
  const eth = skb.data;
  skb.data += ETH_HLEN;
  skb.len -= ETH_HLEN;
  ethSkbPktType(skb, dev);
  const proto = ethhdr.proto(view, eth);
  if (proto >= ETH_P_802_3_MIN) return proto;
  // A length. Raw IPX starts with 0xffff, everything else with 802.2.
  if (skbHeadlen(skb) >= 2 && view.getUint16(skb.data) === 0xffff) return ETH_P_802_3;
  return ETH_P_802_2;
}

/** Length in bytes of the headers that should be linear. @kernel eth_get_headlen net/ethernet/eth.c */
export function ethGetHeadlen(dev: NetDevice, data: number, len: number): number {
  if (len < ETH_HLEN) return len;
  const keys = dev.net.machine.netGlobals.flowKeys;
  const known = flowDissect(keys, ethhdr.proto(view, data), data + ETH_HLEN, len - ETH_HLEN);
  if (!known) return ETH_HLEN;
  const transport = ETH_HLEN + keys.thoff;
  const thlen = keys.ipProto === IPPROTO_TCP ? tcphdrLen(data + transport, len - transport) : 8;
  return Math.min(len, transport + (keys.isFragment ? 0 : thlen));
}

function tcphdrLen(th: number, room: number): number {
  return room < tcphdr.LEN ? room : Math.max(tcphdr.hdrlen(view, th), tcphdr.LEN);
}

// Devices.

/** @kernel eth_prepare_mac_addr_change net/ethernet/eth.c */
export function ethPrepareMacAddrChange(dev: NetDevice, addr: Uint8Array): number {
  if ((dev.privFlags & IFF_LIVE_ADDR_CHANGE) === 0 && netifRunning(dev)) return -EBUSY;
  return isValidEtherAddr(addr) ? 0 : -EADDRNOTAVAIL;
}

/** ndo_set_mac_address of most drivers. @kernel eth_mac_addr net/ethernet/eth.c */
export function ethMacAddr(dev: NetDevice, addr: Uint8Array): number {
  const err = ethPrepareMacAddrChange(dev, addr);
  if (err < 0) return err;
  ethHwAddrSet(dev, addr);
  return 0;
}

/** ndo_validate_addr of most drivers. @kernel eth_validate_addr net/ethernet/eth.c */
export function ethValidateAddr(dev: NetDevice): number {
  return isValidEtherAddr(dev.devAddr) ? 0 : -EADDRNOTAVAIL;
}

/** What all Ethernet devices have in common. @kernel ether_setup net/ethernet/eth.c */
export function etherSetup(dev: NetDevice): void {
  dev.headerOps = ethHeaderOps;
  dev.type = ARPHRD_ETHER;
  dev.hardHeaderLen = ETH_HLEN;
  dev.mtu = ETH_DATA_LEN;
  dev.minMtu = ETH_MIN_MTU;
  dev.maxMtu = ETH_DATA_LEN;
  dev.addrLen = ETH_ALEN;
  dev.txQueueLen = 1000;
  dev.flags = IFF_BROADCAST | IFF_MULTICAST;
  dev.privFlags |= IFF_TX_SKB_SHARING;
  dev.broadcast.fill(0xff, 0, ETH_ALEN);
}

/** An Ethernet device, not registered, called `eth%d`. @kernel alloc_etherdev_mqs net/ethernet/eth.c */
export function allocEtherdevMqs(
  net: Net,
  ops: NetDeviceOps,
  priv: unknown,
  txqs: number,
  rxqs: number,
): NetDevice {
  return allocNetdevMqs(net, 'eth%d', ops, priv, etherSetup, txqs, rxqs);
}

/** @kernel alloc_etherdev include/linux/etherdevice.h */
export function allocEtherdev(net: Net, ops: NetDeviceOps, priv: unknown): NetDevice {
  return allocEtherdevMqs(net, ops, priv, 1, 1);
}

/**
 * Fills a short frame with zeros up to what Ethernet carries at least, without its checksum. 0, or a
 * negative errno and the packet is freed. @kernel eth_skb_pad include/linux/etherdevice.h
 */
export function ethSkbPad(skb: SkBuff): number {
  return skbPutPadto(skb, ETH_ZLEN);
}
