/**
 * The control queue of a virtio network device. Virtio 1.2 section 5.1.6.5.
 *
 * A command is a chain: class, number and data for the device to read, one octet for its answer.
 */
import type { VirtioNetDevice } from '#hardware/virtio/virtio_net_device.ts';
import {
  CHAIN_BAD,
  CHAIN_NONE,
  disableNotify,
  enableNotify,
  flushUsed,
  popChain,
  putUsed,
  resetChains,
  type VirtioChains,
  type VirtioQueue,
} from '#hardware/virtio/virtio_queue.ts';
import { WIRE_CSUM, WIRE_ECN, WIRE_TSO4, WIRE_TSO6, WIRE_USO } from '#hardware/wire.ts';
import { dmaView, mem } from '#mm/memory.ts';
import {
  VIRTIO_NET_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
  VIRTIO_NET_CTRL_MAC,
  VIRTIO_NET_CTRL_MAC_ADDR_SET,
  VIRTIO_NET_CTRL_MAC_TABLE_SET,
  VIRTIO_NET_CTRL_MQ,
  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
  VIRTIO_NET_CTRL_RX,
  VIRTIO_NET_CTRL_RX_ALLMULTI,
  VIRTIO_NET_CTRL_RX_PROMISC,
  VIRTIO_NET_CTRL_VLAN,
  VIRTIO_NET_CTRL_VLAN_ADD,
  VIRTIO_NET_CTRL_VLAN_DEL,
  VIRTIO_NET_ERR,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_OK,
} from '#uapi/virtio_net.ts';

/** Longest command that is read. */
const MAX_COMMAND = 4096;
/** Addresses of one kind that the filter holds; with more, all pass. */
const MAC_TABLE = 64;
const MAC_LEN = 6;

/** Offloads of the receiver: a feature that stands for each. */
const OFFLOADS: readonly (readonly [feature: number, wire: number])[] = [
  [VIRTIO_NET_F_GUEST_CSUM, WIRE_CSUM],
  [VIRTIO_NET_F_GUEST_TSO4, WIRE_TSO4],
  [VIRTIO_NET_F_GUEST_TSO6, WIRE_TSO6],
  [VIRTIO_NET_F_GUEST_ECN, WIRE_ECN],
];

/** WIRE_* of the features for which `has` is true. */
export function offloadsOf(has: (feature: number) => boolean): number {
  let offloads = 0;
  for (const [feature, wire] of OFFLOADS) if (has(feature)) offloads |= wire;
  // Segments of UDP do not say of which IP they are, so both or none.
  if (has(VIRTIO_NET_F_GUEST_USO4) && has(VIRTIO_NET_F_GUEST_USO6)) offloads |= WIRE_USO;
  // Without the checksum nothing may be left unfinished.
  return (offloads & WIRE_CSUM) === 0 ? 0 : offloads;
}

/** Takes an address as the device's own. */
export function setMac(dev: VirtioNetDevice, v: DataView, at: number): void {
  dev.macHigh = v.getUint32(at);
  dev.macLow = v.getUint16(at + 4);
}

/** Does what is in the control queue. */
export function control(dev: VirtioNetDevice, q: VirtioQueue): void {
  const { ctrlChains: chains } = dev;
  do {
    disableNotify(q);
    for (;;) {
      resetChains(chains);
      const found = popChain(q, chains, dev.iommu);
      if (found === CHAIN_NONE) break;
      if (found === CHAIN_BAD || chains.inBytes < 1 || chains.outBytes < 2) {
        dev.transport.fail();
        return;
      }
      const status = command(dev, readCommand(chains));
      answer(chains, status);
      putUsed(q, chains.head[0] as number, 1, 0);
      flushUsed(q, 1);
    }
  } while (enableNotify(q));
  dev.transport.signal(q);
}

/** The answer goes into the first octet that the device may write. */
function answer(chains: VirtioChains, status: number): void {
  for (let i = 0; i < chains.inCount; i++) {
    if ((chains.inLen[i] as number) === 0) continue;
    dmaView.setUint8(chains.inAddr[i] as number, status);
    return;
  }
}

function readCommand(chains: VirtioChains): DataView {
  const bytes = new Uint8Array(Math.min(chains.outBytes, MAX_COMMAND));
  let at = 0;
  for (let i = 0; i < chains.outCount && at < bytes.length; i++) {
    const addr = chains.outAddr[i] as number;
    const n = Math.min(chains.outLen[i] as number, bytes.length - at);
    bytes.set(mem.subarray(addr, addr + n), at);
    at += n;
  }
  return new DataView(bytes.buffer);
}

/** Carries a command out: VIRTIO_NET_OK or VIRTIO_NET_ERR. */
function command(dev: VirtioNetDevice, v: DataView): number {
  const { transport } = dev;
  const kind = v.getUint8(0);
  const cmd = v.getUint8(1);
  const length = v.byteLength - 2;
  let done = false;
  if (kind === VIRTIO_NET_CTRL_RX && transport.has(VIRTIO_NET_F_CTRL_RX)) {
    done = length >= 1 && setRxMode(dev, cmd, v.getUint8(2) !== 0);
  } else if (kind === VIRTIO_NET_CTRL_MAC) {
    done = setAddresses(dev, cmd, v, length);
  } else if (kind === VIRTIO_NET_CTRL_VLAN && transport.has(VIRTIO_NET_F_CTRL_VLAN)) {
    done = length >= 2 && setVlan(dev, cmd, v.getUint16(2, true));
  } else if (kind === VIRTIO_NET_CTRL_MQ && transport.has(VIRTIO_NET_F_MQ)) {
    done =
      length >= 2 && cmd === VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET && setPairs(dev, v.getUint16(2, true));
  } else if (
    kind === VIRTIO_NET_CTRL_GUEST_OFFLOADS &&
    transport.has(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)
  ) {
    const known = cmd === VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET && length >= 8;
    done = known && setOffloads(dev, v.getUint32(2, true), v.getUint32(6, true));
  }
  return done ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}

function setRxMode(dev: VirtioNetDevice, cmd: number, on: boolean): boolean {
  if (cmd === VIRTIO_NET_CTRL_RX_PROMISC) dev.promisc = on;
  else if (cmd === VIRTIO_NET_CTRL_RX_ALLMULTI) dev.allmulti = on;
  else return false;
  return true;
}

function setAddresses(dev: VirtioNetDevice, cmd: number, v: DataView, length: number): boolean {
  if (cmd === VIRTIO_NET_CTRL_MAC_ADDR_SET && dev.transport.has(VIRTIO_NET_F_CTRL_MAC_ADDR)) {
    if (length < MAC_LEN) return false;
    setMac(dev, v, 2);
    return true;
  }
  if (cmd !== VIRTIO_NET_CTRL_MAC_TABLE_SET || !dev.transport.has(VIRTIO_NET_F_CTRL_RX)) {
    return false;
  }
  const unicast = readTable(v, 2);
  if (unicast === null) return false;
  const multicast = readTable(v, unicast.end);
  if (multicast === null) return false;
  dev.unicast = unicast.macs;
  dev.multicast = multicast.macs;
  return true;
}

interface MacTable {
  /** Null: too many. */
  readonly macs: ReadonlySet<number> | null;
  readonly end: number;
}

/** A count and as many addresses; null: the command ends before they do. */
function readTable(v: DataView, at: number): MacTable | null {
  if (at + 4 > v.byteLength) return null;
  const entries = v.getUint32(at, true);
  const end = at + 4 + entries * MAC_LEN;
  if (end > v.byteLength) return null;
  if (entries > MAC_TABLE) return { macs: null, end };
  const macs = new Set<number>();
  for (let i = at + 4; i < end; i += MAC_LEN) {
    macs.add(v.getUint32(i) * 0x10000 + v.getUint16(i + 4));
  }
  return { macs, end };
}

function setVlan(dev: VirtioNetDevice, cmd: number, vid: number): boolean {
  if (vid >= 4096) return false;
  const word = vid >> 5;
  const bit = 1 << (vid & 31);
  const old = dev.vlans[word] as number;
  if (cmd === VIRTIO_NET_CTRL_VLAN_ADD) dev.vlans[word] = old | bit;
  else if (cmd === VIRTIO_NET_CTRL_VLAN_DEL) dev.vlans[word] = old & ~bit;
  else return false;
  return true;
}

function setPairs(dev: VirtioNetDevice, pairs: number): boolean {
  if (pairs < 1 || pairs > dev.pairsMax) return false;
  dev.pairs = pairs;
  dev.txRound = 0;
  return true;
}

/** The driver takes less unfinished than it could, or all again. */
function setOffloads(dev: VirtioNetDevice, low: number, high: number): boolean {
  const wanted = (feature: number): boolean =>
    (((feature < 32 ? low : high) >>> (feature & 31)) & 1) !== 0;
  const { transport } = dev;
  dev.offloads = offloadsOf((feature) => wanted(feature) && transport.has(feature));
  return true;
}
