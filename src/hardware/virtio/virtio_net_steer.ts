/**
 * Which receive queue a frame goes to: that of the pair from which the flow was last sent, as a TAP
 * with several queues does. Virtio 1.2 section 5.1.6.5.6 (automatic receive steering).
 */
import { FLOW_TABLE, type VirtioNetDevice } from '#hardware/virtio/virtio_net_device.ts';
import { etherType, networkOffset } from '#hardware/virtio/virtio_net_offload.ts';
import type { WireFrame } from '#hardware/wire.ts';
import { dmaView } from '#mm/memory.ts';

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const IPV4_FRAGMENT_BITS = 0x3fff;
const IPV6_HEADER = 40;

/** Ports of a flow, the same for both directions. */
function portsAt(addr: number, end: number): number {
  return addr + 4 > end ? 0 : dmaView.getUint16(addr) ^ dmaView.getUint16(addr + 2);
}

/** A hash of the frame's flow, the same for both directions; 0: no IP. */
function flowHash(frame: WireFrame): number {
  const { addr, len } = frame;
  const end = addr + len;
  const ip = addr + networkOffset(addr);
  const type = etherType(addr);
  let hash = 0;
  if (type === ETHERTYPE_IPV4 && ip + 20 <= end) {
    hash = dmaView.getInt32(ip + 12) ^ dmaView.getInt32(ip + 16);
    const protocol = dmaView.getUint8(ip + 9);
    const whole = (dmaView.getUint16(ip + 6) & IPV4_FRAGMENT_BITS) === 0;
    if (whole && (protocol === PROTO_TCP || protocol === PROTO_UDP)) {
      hash = Math.imul(hash, 31) ^ portsAt(ip + (dmaView.getUint8(ip) & 0x0f) * 4, end);
    }
  } else if (type === ETHERTYPE_IPV6 && ip + IPV6_HEADER <= end) {
    for (let word = 8; word < IPV6_HEADER; word += 4) hash ^= dmaView.getInt32(ip + word);
    const protocol = dmaView.getUint8(ip + 6);
    if (protocol === PROTO_TCP || protocol === PROTO_UDP) {
      hash = Math.imul(hash, 31) ^ portsAt(ip + IPV6_HEADER, end);
    }
  }
  // Finalizer of murmur3: the low bits must depend on all.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The driver sends this flow from `pair`. */
export function rememberFlow(dev: VirtioNetDevice, frame: WireFrame, pair: number): void {
  const hash = flowHash(frame);
  if (hash !== 0) dev.flows[hash & (FLOW_TABLE - 1)] = pair + 1;
}

/** The pair that is to receive a frame. */
export function steer(dev: VirtioNetDevice, frame: WireFrame): number {
  if (dev.pairs === 1) return 0;
  const hash = flowHash(frame);
  const known = dev.flows[hash & (FLOW_TABLE - 1)] as number;
  if (known > 0 && known <= dev.pairs) return known - 1;
  return hash % dev.pairs;
}
