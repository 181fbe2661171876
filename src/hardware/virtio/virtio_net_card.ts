/**
 * A virtio network device on the PCI bus with a port for a cable. This file puts the engines together:
 * features, configuration, start and reset. Virtio 1.2 section 5.1.
 */
import { checkCardAddress } from '#hardware/card_address.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import { control, offloadsOf, setMac } from '#hardware/virtio/virtio_net_ctrl.ts';
import { VirtioNetDevice } from '#hardware/virtio/virtio_net_device.ts';
import { receive, receiveBurst, replenished, resetRx } from '#hardware/virtio/virtio_net_rx.ts';
import { kickTx, resetTx, transmitted } from '#hardware/virtio/virtio_net_tx.ts';
import {
  VIRTIO_TRANSPORT_FEATURES,
  type VirtioBackend,
  VirtioPciTransport,
} from '#hardware/virtio/virtio_pci_transport.ts';
import type { VirtioQueue } from '#hardware/virtio/virtio_queue.ts';
import {
  freeFrame,
  freeFrames,
  WIRE_CSUM,
  WIRE_ECN,
  WIRE_TSO4,
  WIRE_TSO6,
  WIRE_USO,
  type WireEnd,
  type WireFrame,
  type WirePort,
} from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { DUPLEX_FULL } from '#uapi/ethtool.ts';
import { PCI_CLASS_NETWORK_ETHERNET } from '#uapi/pci_regs.ts';
import {
  VIRTIO_ID_NET,
  VIRTIO_NET_CONFIG_DUPLEX,
  VIRTIO_NET_CONFIG_MAC,
  VIRTIO_NET_CONFIG_MAX_VIRTQUEUE_PAIRS,
  VIRTIO_NET_CONFIG_MTU,
  VIRTIO_NET_CONFIG_SPEED,
  VIRTIO_NET_CONFIG_STATUS,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_HOST_USO,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_SPEED_DUPLEX,
  VIRTIO_NET_F_STATUS,
  VIRTIO_NET_S_LINK_UP,
} from '#uapi/virtio_net.ts';

/** What a device offers unless told otherwise; MQ and MTU by its options. */
const FEATURES: readonly number[] = [
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_STATUS,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
  VIRTIO_NET_F_HOST_USO,
  VIRTIO_NET_F_SPEED_DUPLEX,
];

/** Features that are worth nothing without another. Virtio 1.2 section 5.1.3.1. */
const NEEDS: readonly (readonly [feature: number, needed: number])[] = [
  [VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM],
  [VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM],
  [VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_CSUM],
  [VIRTIO_NET_F_GUEST_USO6, VIRTIO_NET_F_GUEST_CSUM],
  [VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM],
  [VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM],
  [VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_CSUM],
  [VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ],
  [VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ],
  [VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ],
  [VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_VQ],
  [VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ],
];

const DEFAULT_QUEUE_SIZE = 256;
const MAX_QUEUE_SIZE = 1024;
/** Pairs whose doorbells and vectors there is room for. */
export const VIRTIO_NET_MAX_PAIRS = 64;
const SPEED_UNKNOWN = 0xffffffff;

export interface VirtioNetCardOptions {
  /** The six octets of the device's address. */
  readonly mac: Uint8Array;
  /** Bits a second that the device sends; 0, the default: frames take no time. */
  readonly rateBps?: number;
  /** Pairs of queues; 1 by default. */
  readonly queuePairs?: number;
  /** Entries of each ring, a power of two from 32 to 1024; 256 by default. */
  readonly queueSize?: number;
  /** Largest MTU that the device advises; not advised by default. */
  readonly mtu?: number;
  /** False: interrupts by the pin only. */
  readonly msix?: boolean;
  /** Numbers of feature bits that are not offered. */
  readonly without?: readonly number[];
}

function checkOptions(options: VirtioNetCardOptions): Required<VirtioNetCardOptions> {
  const { mac, rateBps = 0, queuePairs = 1, mtu = 0, msix = true, without = [] } = options;
  const { queueSize = DEFAULT_QUEUE_SIZE } = options;
  checkCardAddress(mac);
  if (!Number.isInteger(queuePairs) || queuePairs < 1 || queuePairs > VIRTIO_NET_MAX_PAIRS) {
    throw new RangeError(
      `a card has 1 to ${VIRTIO_NET_MAX_PAIRS} pairs of queues, not ${queuePairs}`,
    );
  }
  if (queueSize < 32 || queueSize > MAX_QUEUE_SIZE || (queueSize & (queueSize - 1)) !== 0) {
    throw new RangeError(`a ring has a power of two from 32 to 1024 entries, not ${queueSize}`);
  }
  return { mac, rateBps, queuePairs, queueSize, mtu, msix, without };
}

export class VirtioNetCard implements WirePort, VirtioBackend {
  /** The other end may leave frames unfinished: what the driver does not take so is finished here. */
  readonly offloads: number = WIRE_CSUM | WIRE_TSO4 | WIRE_TSO6 | WIRE_USO | WIRE_ECN;
  readonly virtioId: number = VIRTIO_ID_NET;
  readonly classCode: number = PCI_CLASS_NETWORK_ETHERNET;
  readonly machine: Machine;
  readonly queues: readonly VirtioQueue[];
  readonly config: DataView;
  readonly pci: PciFunction;
  readonly transport: VirtioPciTransport;
  readonly device: VirtioNetDevice;

  /** A card with power, in no slot and with no cable. Throws RangeError for impossible options. */
  constructor(machine: Machine, options: VirtioNetCardOptions) {
    const { mac, rateBps, queuePairs, queueSize, mtu, msix, without } = checkOptions(options);
    this.machine = machine;
    this.device = new VirtioNetDevice(machine, mac, queuePairs, queueSize, rateBps, transmitted);
    this.queues = this.device.queues;
    this.config = this.device.config;
    const features = [...FEATURES, ...VIRTIO_TRANSPORT_FEATURES];
    if (queuePairs > 1) features.push(VIRTIO_NET_F_MQ);
    if (mtu > 0) features.push(VIRTIO_NET_F_MTU);
    this.transport = new VirtioPciTransport(
      machine,
      `${machine.name}: virtio-net`,
      this,
      features.filter((feature) => !without.includes(feature)),
      msix ? this.queues.length + 1 : 0,
    );
    this.pci = this.transport.pci;
    this.device.transport = this.transport;
    this.device.iommu = this.pci.iommu;
    for (const [i, octet] of mac.entries()) this.config.setUint8(VIRTIO_NET_CONFIG_MAC + i, octet);
    this.config.setUint16(VIRTIO_NET_CONFIG_MAX_VIRTQUEUE_PAIRS, queuePairs, true);
    this.config.setUint16(VIRTIO_NET_CONFIG_MTU, mtu, true);
    const speed = rateBps === 0 ? SPEED_UNKNOWN : Math.floor(rateBps / 1e6);
    this.config.setUint32(VIRTIO_NET_CONFIG_SPEED, speed, true);
    this.config.setUint8(VIRTIO_NET_CONFIG_DUPLEX, DUPLEX_FULL);
    this.reset();
  }

  /** Connects what the port sends through, e.g. `card.connect(cable.plug(0, card))`. */
  connect(end: WireEnd): void {
    this.machine.enter(this.machine.host.readClock());
    this.device.end = end;
    this.setLink(end.up);
  }

  /** The cable has been pulled out. */
  disconnect(): void {
    this.machine.enter(this.machine.host.readClock());
    this.device.end = null;
    this.setLink(false);
  }

  receive(frame: WireFrame): void {
    const { machine, device } = this;
    if (!device.linkUp) {
      freeFrame(frame);
      return;
    }
    machine.enter(machine.host.readClock());
    receive(device, frame);
  }

  receiveBurst(first: WireFrame): void {
    const { machine, device } = this;
    if (!device.linkUp) {
      freeFrames(first);
      return;
    }
    machine.enter(machine.host.readClock());
    receiveBurst(device, first);
  }

  linkChanged(up: boolean): void {
    this.machine.enter(this.machine.host.readClock());
    this.setLink(up);
  }

  acceptFeatures(transport: VirtioPciTransport): boolean {
    return NEEDS.every(([feature, needed]) => !transport.has(feature) || transport.has(needed));
  }

  started(): void {
    const { device, transport } = this;
    device.offloads = offloadsOf((feature) => transport.has(feature));
    device.mergeable = transport.has(VIRTIO_NET_F_MRG_RXBUF);
    device.filterVlans = transport.has(VIRTIO_NET_F_CTRL_VLAN);
    for (let pair = 0; pair < device.pairs; pair++) replenished(device, pair);
    kickTx(device);
  }

  notified(index: number): void {
    const { device } = this;
    device.counters.notifications++;
    if (index === this.controlIndex) control(device, this.queues[index] as VirtioQueue);
    else if ((index & 1) === 0) replenished(device, index >> 1);
    else kickTx(device);
  }

  reset(): void {
    const { device } = this;
    resetTx(device);
    resetRx(device);
    device.pairs = 1;
    device.promisc = true;
    device.allmulti = false;
    device.unicast = new Set();
    device.multicast = new Set();
    device.vlans.fill(0);
    device.offloads = 0;
    device.mergeable = false;
    device.filterVlans = false;
    const { permanentMac } = device;
    setMac(device, new DataView(permanentMac.buffer, permanentMac.byteOffset), 0);
  }

  powerOff(): void {
    const { device } = this;
    device.end?.light(false);
    device.end = null;
    this.setLink(false);
  }

  /** The control queue stands behind the queues of as many pairs as the driver knows of. */
  private get controlIndex(): number {
    return this.transport.has(VIRTIO_NET_F_MQ) ? 2 * this.device.pairsMax : 2;
  }

  private setLink(up: boolean): void {
    const { device } = this;
    if (device.linkUp === up) return;
    device.linkUp = up;
    this.config.setUint16(VIRTIO_NET_CONFIG_STATUS, up ? VIRTIO_NET_S_LINK_UP : 0, true);
    this.transport.configChanged();
  }
}
