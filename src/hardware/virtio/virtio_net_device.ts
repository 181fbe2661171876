/**
 * State of a virtio network device: what its engines (tx, rx, control) share. Virtio 1.2 section 5.1.
 */
import type { Iommu } from '#hardware/pci/iommu.ts';
import type { VirtioPciTransport } from '#hardware/virtio/virtio_pci_transport.ts';
import { VirtioChains, VirtioQueue } from '#hardware/virtio/virtio_queue.ts';
import type { WireEnd, WireFrame } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import { Hrtimer } from '#kernel/time/hrtimer.ts';
import { VIRTIO_NET_CONFIG_SIZEOF } from '#uapi/virtio_net.ts';

/** Frames that wait for buffers of the driver, for each queue; what a TAP keeps of them. */
export const RX_BACKLOG = 256;
/** Chains that are worked off together, at most: as many as vhost reads before it tells the guest. */
export const TX_BURST = 64;
/** Flows whose queue is remembered. */
export const FLOW_TABLE = 1024;

/** Frames in order, for one receive queue. */
export class FrameFifo {
  head: WireFrame | null = null;
  tail: WireFrame | null = null;
  length = 0;
}

/** What the device has done to frames, beside passing them on. */
export class VirtioNetCounters {
  txPackets = 0;
  /** Super-packets that were cut here, for want of a peer that takes them. */
  txCut = 0;
  /** The guest's headers made no sense, or memory was short. */
  txDropped = 0;
  rxPackets = 0;
  /** Super-packets that were cut here, since the driver does not take them. */
  rxCut = 0;
  rxFiltered = 0;
  /** No buffers, and the backlog full. */
  rxNoBuffer = 0;
  rxTooLong = 0;
  /** Doorbells. */
  notifications = 0;
}

export class VirtioNetDevice {
  readonly machine: Machine;
  readonly pairsMax: number;
  /** rx0, tx0, rx1, tx1, ..., control. */
  readonly queues: readonly VirtioQueue[];
  readonly config: DataView;
  /** Address in the device's ROM. */
  readonly permanentMac: Uint8Array;
  transport!: VirtioPciTransport;
  iommu!: Iommu;
  readonly counters: VirtioNetCounters;

  // Line.
  end: WireEnd | null;
  linkUp: boolean;
  readonly rateBps: number;

  // Transmitter: one for all queues, since there is one line.
  readonly txChains: VirtioChains;
  readonly txTimer: Hrtimer<VirtioNetDevice>;
  /** When the line has sent what it took so far. */
  txDoneNs: number;
  /** It is at work, or waits for the line. */
  txBusy: boolean;
  /** Frames of the present burst, linked by `next`: they have not left yet. */
  txFrames: WireFrame | null;
  /** Its chains: how many, and of each the pair and the head. */
  txCount: number;
  readonly txPairs: Uint8Array;
  readonly txHeads: Uint16Array;
  /** Pair to be looked at next. */
  txRound: number;

  // Receiver.
  readonly rxChains: VirtioChains;
  readonly backlog: readonly FrameFifo[];
  /** By hash of a flow: pair that it was last sent from, plus 1. */
  readonly flows: Uint16Array;

  // What the control queue sets.
  readonly ctrlChains: VirtioChains;
  pairs: number;
  promisc: boolean;
  allmulti: boolean;
  /** First four octets and last two of the present address. */
  macHigh: number;
  macLow: number;
  /** Further addresses, as numbers of 48 bits; null: too many, all pass. */
  unicast: ReadonlySet<number> | null;
  multicast: ReadonlySet<number> | null;
  /** A bit for each VLAN that passes. */
  readonly vlans: Uint32Array;
  /** WIRE_*: what the driver takes unfinished. */
  offloads: number;
  /** Features in force: buffers may be merged; there is a control queue that filters VLANs. */
  mergeable: boolean;
  filterVlans: boolean;

  constructor(
    machine: Machine,
    mac: Uint8Array,
    pairs: number,
    queueSize: number,
    rateBps: number,
    transmitted: (dev: VirtioNetDevice) => number,
  ) {
    this.machine = machine;
    this.pairsMax = pairs;
    this.queues = Array.from(
      { length: 2 * pairs + 1 },
      (_, i) => new VirtioQueue(i, i === 2 * pairs ? 64 : queueSize),
    );
    this.config = new DataView(new ArrayBuffer(VIRTIO_NET_CONFIG_SIZEOF));
    this.permanentMac = mac.slice(0, 6);
    this.counters = new VirtioNetCounters();
    this.end = null;
    this.linkUp = false;
    this.rateBps = rateBps;
    this.txChains = new VirtioChains();
    this.txTimer = new Hrtimer(machine, this as VirtioNetDevice, transmitted);
    this.txDoneNs = 0.5;
    this.txDoneNs = 0;
    this.txBusy = false;
    this.txFrames = null;
    this.txCount = 0;
    this.txPairs = new Uint8Array(TX_BURST);
    this.txHeads = new Uint16Array(TX_BURST);
    this.txRound = 0;
    this.rxChains = new VirtioChains();
    this.backlog = Array.from({ length: pairs }, () => new FrameFifo());
    this.flows = new Uint16Array(FLOW_TABLE);
    this.ctrlChains = new VirtioChains();
    this.pairs = 1;
    this.promisc = true;
    this.allmulti = false;
    this.macHigh = 0;
    this.macLow = 0;
    this.unicast = new Set();
    this.multicast = new Set();
    this.vlans = new Uint32Array(128);
    this.offloads = 0;
    this.mergeable = false;
    this.filterVlans = false;
  }
}

export function rxQueue(dev: VirtioNetDevice, pair: number): VirtioQueue {
  return dev.queues[2 * pair] as VirtioQueue;
}

export function txQueue(dev: VirtioNetDevice, pair: number): VirtioQueue {
  return dev.queues[2 * pair + 1] as VirtioQueue;
}
