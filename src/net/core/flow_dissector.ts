/**
 * The flow of a packet: addresses, protocol and ports, and a keyed hash of them. Counterpart of
 * net/core/flow_dissector.c, of which it knows Ethernet types IPv4 and IPv6 (with its fixed header),
 * VLAN tags, and the ports of TCP, UDP, SCTP and DCCP. What is not linear is not looked at.
 */
import { type SkBuff, skbHeadlen } from '#include/linux/skbuff.ts';
import type { FlowKeys } from '#include/net/flow_dissector.ts';
import type { Machine } from '#kernel/machine.ts';
import { hsiphash4u32 } from '#lib/siphash.ts';
import { view } from '#mm/memory.ts';
import { ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, vlanhdr } from '#uapi/if_ether.ts';
import { IPPROTO_DCCP, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { IP_MF, IP_OFFSET, iphdr } from '#uapi/ip.ts';

const IPV6_HDR_LEN = 40;

function hasPorts(proto: number): boolean {
  return (
    proto === IPPROTO_TCP ||
    proto === IPPROTO_UDP ||
    proto === IPPROTO_SCTP ||
    proto === IPPROTO_DCCP
  );
}

function foldIpv6(addr: number): number {
  return (
    view.getInt32(addr) ^
    view.getInt32(addr + 4) ^
    view.getInt32(addr + 8) ^
    view.getInt32(addr + 12)
  );
}

/** Dissects `len` bytes at address `nh`, the network header of type `proto`. @kernel __skb_flow_dissect net/core/flow_dissector.c */
export function flowDissect(keys: FlowKeys, proto: number, nh: number, len: number): boolean {
  let type = proto;
  let at = nh;
  const end = nh + len;
  while (type === ETH_P_8021Q || type === ETH_P_8021AD) {
    if (at + vlanhdr.LEN > end) return false;
    type = vlanhdr.encapsulatedProto(view, at);
    at += vlanhdr.LEN;
  }
  keys.nProto = type;
  keys.ports = 0;
  keys.isFragment = false;
  if (type === ETH_P_IP) {
    if (at + iphdr.LEN > end) return false;
    const hlen = iphdr.hdrlen(view, at);
    if (hlen < iphdr.LEN || at + hlen > end) return false;
    keys.ipProto = iphdr.protocol(view, at);
    keys.src = iphdr.saddr(view, at);
    keys.dst = iphdr.daddr(view, at);
    keys.isFragment = (iphdr.fragOff(view, at) & (IP_MF | IP_OFFSET)) !== 0;
    at += hlen;
  } else if (type === ETH_P_IPV6) {
    if (at + IPV6_HDR_LEN > end) return false;
    keys.ipProto = view.getUint8(at + 6);
    keys.src = foldIpv6(at + 8);
    keys.dst = foldIpv6(at + 24);
    at += IPV6_HDR_LEN;
  } else {
    return false;
  }
  keys.thoff = at - nh;
  if (!keys.isFragment && hasPorts(keys.ipProto) && at + 4 <= end) {
    keys.ports = view.getUint32(at);
  }
  return true;
}

/** @kernel skb_flow_dissect_flow_keys include/linux/skbuff.h */
export function skbFlowDissectFlowKeys(skb: SkBuff, keys: FlowKeys): boolean {
  const start = skb.networkHeader >= skb.data ? skb.networkHeader : skb.data;
  return flowDissect(keys, skb.protocol, start, skbHeadlen(skb) - (start - skb.data));
}

/**
 * The lesser address and the lesser port first: both directions of a conversation are one flow.
 * @kernel __flow_hash_consistentify net/core/flow_dissector.c
 */
function flowHashConsistentify(keys: FlowKeys): void {
  const { src, dst, ports } = keys;
  if (dst >>> 0 < src >>> 0) {
    keys.src = dst;
    keys.dst = src;
  }
  const source = ports >>> 16;
  const dest = ports & 0xffff;
  if (dest < source) keys.ports = ((dest << 16) | source) >>> 0;
}

/** Hash of the flow whose keys are in `keys`, the same for both directions; they are changed. */
function flowHashFromKeys(machine: Machine, keys: FlowKeys): number {
  flowHashConsistentify(keys);
  const { netSecret } = machine.netGlobals;
  // 0 says that there is no hash.
  return hsiphash4u32(keys.src, keys.dst, keys.ports, keys.ipProto, netSecret) || 1;
}

/** Hash of what has no addresses that we know, one flow a protocol: ARP, for one. */
function protocolHash(machine: Machine, protocol: number): number {
  return hsiphash4u32(0, 0, 0, protocol, machine.netGlobals.netSecret) || 1;
}

/** Computes and stores the hash of the flow, the same for both directions of a conversation. @kernel __skb_get_hash_net net/core/flow_dissector.c */
export function __skbGetHash(skb: SkBuff): void {
  const { machine } = skb;
  const keys = machine.netGlobals.flowKeys;
  if (skbFlowDissectFlowKeys(skb, keys)) {
    skb.l4Hash = keys.ports !== 0;
    skb.hash = flowHashFromKeys(machine, keys);
  } else {
    skb.l4Hash = false;
    skb.hash = protocolHash(machine, skb.protocol);
  }
  skb.swHash = true;
}

/**
 * A hash of the flow that does not depend on the direction and is the same whoever hashed the packet
 * before: it is not stored. Never 0. @kernel __skb_get_hash_symmetric_net net/core/flow_dissector.c
 */
export function __skbGetHashSymmetric(skb: SkBuff): number {
  const { machine } = skb;
  const keys = machine.netGlobals.flowKeys;
  if (!skbFlowDissectFlowKeys(skb, keys)) return protocolHash(machine, skb.protocol);
  return flowHashFromKeys(machine, keys);
}

/** The packet's flow hash, computed once. @kernel skb_get_hash include/linux/skbuff.h */
export function skbGetHash(skb: SkBuff): number {
  if (!skb.l4Hash && !skb.swHash) __skbGetHash(skb);
  return skb.hash;
}

/** Finds the transport header of a packet that came without; false: unknown protocol. @kernel skb_probe_transport_header include/linux/skbuff.h */
export function skbProbeTransportHeader(skb: SkBuff): boolean {
  const keys = skb.machine.netGlobals.flowKeys;
  if (!skbFlowDissectFlowKeys(skb, keys)) return false;
  const start = skb.networkHeader >= skb.data ? skb.networkHeader : skb.data;
  skb.transportHeader = start + keys.thoff;
  return true;
}
