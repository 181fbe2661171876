/**
 * The structures of the virtio-net driver: its queues, their statistics, the device. Counterpart of
 * those at the head of drivers/net/virtio_net.c.
 */
import { VLAN_HLEN } from '#include/linux/if_vlan.ts';
import type { NapiStruct, NetDevice } from '#include/linux/netdevice.ts';
import { MAX_SKB_FRAGS } from '#include/linux/skbuff.ts';
import { Scatterlist, type VirtioDevice, type Virtqueue } from '#include/linux/virtio.ts';
import type { PagePool } from '#include/net/page_pool/types.ts';
import { DelayedWork, WorkStruct } from '#kernel/workqueue.ts';
import { ETH_DATA_LEN, ETH_HLEN } from '#uapi/if_ether.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

/** A frame of the usual size, with a tag. @kernel GOOD_PACKET_LEN drivers/net/virtio_net.c */
export const GOOD_PACKET_LEN: number = ETH_HLEN + VLAN_HLEN + ETH_DATA_LEN;
/** Frames up to this are copied into the packet's head. @kernel GOOD_COPY_LEN drivers/net/virtio_net.c */
export const GOOD_COPY_LEN = 128;
/** Free descriptors without which the queue is stopped: the longest packet and its header. */
export const STOP_THRESHOLD: number = MAX_SKB_FRAGS + 2;

/** Weight of a new packet in the average of lengths, log 2. @kernel ewma_pkt_len drivers/net/virtio_net.c */
const EWMA_WEIGHT_LOG = 6;

/** An average that forgets slowly; 0: nothing seen. @kernel ewma_pkt_len_add drivers/net/virtio_net.c */
export function ewmaPktLenAdd(average: number, len: number): number {
  if (average === 0) return len;
  return ((average << EWMA_WEIGHT_LOG) - average + len) >> EWMA_WEIGHT_LOG;
}

/** @kernel virtnet_sq_stats drivers/net/virtio_net.c */
export class VirtnetSqStats {
  packets = 0;
  bytes = 0;
  kicks = 0;
  txTimeouts = 0;
  stop = 0;
  wake = 0;
}

/** @kernel virtnet_rq_stats drivers/net/virtio_net.c */
export class VirtnetRqStats {
  packets = 0;
  bytes = 0;
  drops = 0;
  kicks = 0;
}

/** @kernel send_queue drivers/net/virtio_net.c */
export class SendQueue {
  readonly index: number;
  readonly vi: VirtnetInfo;
  vq!: Virtqueue;
  napi!: NapiStruct;
  readonly sg: Scatterlist;
  readonly stats: VirtnetSqStats;
  /** Headers of packets that have no room for one, by the head of their chain. 0: none. */
  headers: number;

  constructor(vi: VirtnetInfo, index: number) {
    this.vi = vi;
    this.index = index;
    this.sg = new Scatterlist();
    this.stats = new VirtnetSqStats();
    this.headers = 0;
  }
}

/** @kernel receive_queue drivers/net/virtio_net.c */
export class ReceiveQueue {
  readonly index: number;
  readonly vi: VirtnetInfo;
  vq!: Virtqueue;
  napi!: NapiStruct;
  pool!: PagePool;
  readonly sg: Scatterlist;
  readonly stats: VirtnetRqStats;
  /** Mean length of packets, by which buffers are sized. */
  mrgAvgPktLen: number;
  minBufLen: number;
  /** The header of the packet under work: its buffer may be gone when it is read. */
  readonly hdr: DataView;
  /** Lists of pages of big packets, to be used again. */
  readonly bigFree: Int32Array[];

  constructor(vi: VirtnetInfo, index: number) {
    this.vi = vi;
    this.index = index;
    this.sg = new Scatterlist();
    this.stats = new VirtnetRqStats();
    this.mrgAvgPktLen = 0;
    this.minBufLen = GOOD_PACKET_LEN;
    this.hdr = new DataView(new ArrayBuffer(virtioNetHdr.V1_LEN));
    this.bigFree = [];
  }
}

/** What the works of a device do. */
export interface VirtnetWorks {
  refill(vi: VirtnetInfo): void;
  configChanged(vi: VirtnetInfo): void;
  rxMode(vi: VirtnetInfo): void;
}

/** @kernel virtnet_info drivers/net/virtio_net.c */
export class VirtnetInfo {
  readonly vdev: VirtioDevice;
  readonly dev: NetDevice;
  cvq: Virtqueue | null;
  readonly sq: SendQueue[];
  readonly rq: ReceiveQueue[];
  readonly maxQueuePairs: number;
  currQueuePairs: number;
  readonly mergeableRxBufs: boolean;
  readonly hasCvq: boolean;
  /** One buffer for a whole super-packet: several pages each. */
  bigPackets: boolean;
  bigPacketsNumSkbfrags: number;
  readonly hdrLen: number;
  /** Packets that have left are freed by a NAPI instance; else by the next to be sent. */
  napiTx: boolean;
  readonly refill: DelayedWork;
  refillEnabled: boolean;
  readonly configWork: WorkStruct;
  readonly rxModeWork: WorkStruct;
  rxModeWorkEnabled: boolean;
  /** Command and answer of the control queue. */
  ctrlBuf: number;
  readonly ctrlSg: Scatterlist;
  /** VIRTIO_NET_S_* */
  status: number;
  /** Mbit/s, -1: unknown; DUPLEX_*. */
  speed: number;
  duplex: number;
  /** Features of the receiver that are on, and that could be: bit n of word n >> 5. */
  readonly guestOffloads: Uint32Array;
  readonly guestOffloadsCapable: Uint32Array;

  constructor(
    vdev: VirtioDevice,
    dev: NetDevice,
    pairs: number,
    mergeable: boolean,
    hasCvq: boolean,
    works: VirtnetWorks,
  ) {
    const { machine } = vdev;
    this.vdev = vdev;
    this.dev = dev;
    this.cvq = null;
    this.maxQueuePairs = pairs;
    this.currQueuePairs = 1;
    this.mergeableRxBufs = mergeable;
    this.hasCvq = hasCvq;
    this.bigPackets = false;
    this.bigPacketsNumSkbfrags = 0;
    // With VERSION_1 the header always has room for the number of buffers.
    this.hdrLen = virtioNetHdr.V1_LEN;
    this.napiTx = true;
    this.refill = new DelayedWork(machine, () => works.refill(this));
    this.refillEnabled = false;
    this.configWork = new WorkStruct(machine, () => works.configChanged(this));
    this.rxModeWork = new WorkStruct(machine, () => works.rxMode(this));
    this.rxModeWorkEnabled = false;
    this.ctrlBuf = 0;
    this.ctrlSg = new Scatterlist();
    this.status = 0;
    this.speed = -1;
    this.duplex = 0;
    this.guestOffloads = new Uint32Array(2);
    this.guestOffloadsCapable = new Uint32Array(2);
    this.sq = [];
    this.rq = [];
    for (let i = 0; i < pairs; i++) {
      this.sq.push(new SendQueue(this, i));
      this.rq.push(new ReceiveQueue(this, i));
    }
  }
}

/** @kernel netdev_priv include/linux/netdevice.h */
export function virtnetInfo(dev: NetDevice): VirtnetInfo {
  return dev.priv as VirtnetInfo;
}
