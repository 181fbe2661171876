/**
 * The driver's own structures: rings with their buffers, queue vectors, statistics, the adapter.
 * Counterpart of drivers/net/ethernet/intel/igb/igb.h.
 */
import type { E1000Hw } from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import { HwStats } from '#drivers/net/ethernet/intel/libgbe/hw_stats.ts';
import { IGB_RETA_SIZE } from '#hardware/igb/igb_regs.ts';
import { VLAN_HLEN } from '#include/linux/if_vlan.ts';
import { type NapiStruct, type NetDevice, RtnlLinkStats64 } from '#include/linux/netdevice.ts';
import type { PciDev } from '#include/linux/pci.ts';
import {
  MAX_SKB_FRAGS,
  NET_IP_ALIGN,
  NET_SKB_PAD,
  SIZEOF_SKB_SHARED_INFO,
  type SkBuff,
} from '#include/linux/skbuff.ts';
import { DelayedWork, WorkStruct } from '#kernel/workqueue.ts';
import { TOEPLITZ_KEY_LEN } from '#lib/toeplitz.ts';
import { SLOT_SIZE } from '#mm/memory.ts';
import { ETH_DATA_LEN, ETH_FCS_LEN, ETH_HLEN } from '#uapi/if_ether.ts';

// Ring sizes.
export const IGB_DEFAULT_TXD = 256;
export const IGB_DEFAULT_TX_WORK = 128;
export const IGB_MIN_TXD = 64;
export const IGB_MAX_TXD = 4096;
export const IGB_DEFAULT_RXD = 256;
export const IGB_MIN_RXD = 64;
export const IGB_MAX_RXD = 4096;

// Intervals of interrupts as EITR has them: us, from bit 2 on.
export const IGB_DEFAULT_ITR = 3;
export const IGB_MAX_ITR_USECS = 10000;
export const IGB_MIN_ITR_USECS = 10;
/** About 6000 a second, with which dynamic throttling begins. */
export const IGB_START_ITR = 648;
export const IGB_4K_ITR = 980;
export const IGB_20K_ITR = 196;
export const IGB_70K_ITR = 56;

/** Vectors that serve no queue: link and other causes. */
export const NON_Q_VECTORS = 1;
export const IGB_MAX_RX_QUEUES = 8;
export const IGB_MAX_TX_QUEUES = 8;

/** Bytes of a frame that are copied to the packet's head when it is not built around its buffer. */
export const IGB_RX_HDR_LEN = 256;
export const IGB_RXBUFFER_2048: number = SLOT_SIZE;
/** Bytes before a received frame in its buffer. */
export const IGB_SKB_PAD: number = NET_SKB_PAD + NET_IP_ALIGN;
/** Longest frame that leaves room for a packet's own data in its buffer. */
export const IGB_MAX_FRAME_BUILD_SKB: number =
  IGB_RXBUFFER_2048 - SIZEOF_SKB_SHARED_INFO - IGB_SKB_PAD;
/** Receive buffers given back to the chip at a time. */
export const IGB_RX_BUFFER_WRITE = 16;
/** @kernel MAX_STD_JUMBO_FRAME_SIZE drivers/net/ethernet/intel/igb/e1000_defines.h */
export const MAX_STD_JUMBO_FRAME_SIZE = 9216;

/** Most bytes of one transmit descriptor, log 2. */
export const IGB_MAX_TXD_PWR = 15;
export const IGB_MAX_DATA_PER_TXD: number = 1 << IGB_MAX_TXD_PWR;
/** Descriptors that a packet may need: a head, fragments, a context, two that keep tail from head. */
export const DESC_NEEDED: number = MAX_SKB_FRAGS + 4;
/** Free descriptors with which a stopped queue goes on. */
export const TX_WAKE_THRESHOLD: number = DESC_NEEDED * 2;

// What a packet wants done to it.
export const IGB_TX_FLAGS_VLAN = 0x01;
export const IGB_TX_FLAGS_TSO = 0x02;
export const IGB_TX_FLAGS_IPV4 = 0x10;
export const IGB_TX_FLAGS_CSUM = 0x20;
export const IGB_TX_FLAGS_VLAN_MASK = 0xffff0000;
export const IGB_TX_FLAGS_VLAN_SHIFT = 16;

// Bits of IgbAdapter.state.
export const __IGB_TESTING: number = 1 << 0;
export const __IGB_RESETTING: number = 1 << 1;
export const __IGB_DOWN: number = 1 << 2;

// Bits of IgbAdapter.flags.
export const IGB_FLAG_QUEUE_PAIRS: number = 1 << 3;
export const IGB_FLAG_RSS_FIELD_IPV4_UDP: number = 1 << 6;
export const IGB_FLAG_RSS_FIELD_IPV6_UDP: number = 1 << 7;
export const IGB_FLAG_HAS_MSIX: number = 1 << 13;
export const IGB_FLAG_RX_LEGACY: number = 1 << 16;

/** How busy a queue is, for interrupt throttling. @kernel latency_range drivers/net/ethernet/intel/igb/igb_main.c */
export const LOWEST_LATENCY = 0;
export const LOW_LATENCY = 1;
export const BULK_LATENCY = 2;

/** What a transmit descriptor stands for. @kernel igb_tx_buffer drivers/net/ethernet/intel/igb/igb.h */
export class IgbTxBuffer {
  /** Index of the packet's last descriptor, at its first; -1: none. */
  nextToWatch: number;
  /** Jiffies when it was given to the chip. */
  timeStamp: number;
  skb: SkBuff | null;
  bytecount: number;
  gsoSegs: number;
  dma: number;
  len: number;
  txFlags: number;

  constructor() {
    this.nextToWatch = -1;
    this.timeStamp = 0;
    this.skb = null;
    this.bytecount = 0;
    this.gsoSegs = 0;
    this.dma = 0;
    this.len = 0;
    this.txFlags = 0;
  }
}

/**
 * A receive page: two halves, of which the chip writes one while the other may be with the stack.
 * @kernel igb_rx_buffer drivers/net/ethernet/intel/igb/igb.h
 * @deviation the halves are slots of packet memory, each with its own reference count.
 */
export class IgbRxBuffer {
  /** The half that the chip writes, and the other; 0: none. */
  page: number;
  other: number;

  constructor() {
    this.page = 0;
    this.other = 0;
  }
}

/** @kernel igb_ring drivers/net/ethernet/intel/igb/igb.h */
export class IgbTxRing {
  readonly queueIndex: number;
  /** Address of the descriptors, and their bytes. */
  desc: number;
  size: number;
  count: number;
  nextToUse: number;
  nextToClean: number;
  bufferInfo: IgbTxBuffer[];
  /** The next cleaning shall see whether the chip hangs. @kernel IGB_RING_FLAG_TX_DETECT_HANG drivers/net/ethernet/intel/igb/igb.h */
  detectHang: boolean;
  packets: number;
  bytes: number;
  restartQueue: number;

  constructor(queueIndex: number, count: number) {
    this.queueIndex = queueIndex;
    this.desc = 0;
    this.size = 0;
    this.count = count;
    this.nextToUse = 0;
    this.nextToClean = 0;
    this.bufferInfo = [];
    this.detectHang = false;
    this.packets = 0;
    this.bytes = 0;
    this.restartQueue = 0;
  }
}

/** @kernel igb_ring drivers/net/ethernet/intel/igb/igb.h */
export class IgbRxRing {
  readonly queueIndex: number;
  /** The queue vector that cleans it. */
  qVector: IgbQVector | null;
  desc: number;
  size: number;
  count: number;
  nextToUse: number;
  nextToClean: number;
  /** Where the next page that is used again goes. */
  nextToAlloc: number;
  bufferInfo: IgbRxBuffer[];
  /** A frame of which more descriptors are to come. */
  skb: SkBuff | null;
  /** Packets are built around their buffers. @kernel ring_uses_build_skb drivers/net/ethernet/intel/igb/igb.h */
  usesBuildSkb: boolean;
  packets: number;
  bytes: number;
  drops: number;
  csumErr: number;
  allocFailed: number;
  /** Pages taken from memory, and pages used again. */
  allocPages: number;
  reusedPages: number;

  constructor(queueIndex: number, count: number) {
    this.queueIndex = queueIndex;
    this.qVector = null;
    this.desc = 0;
    this.size = 0;
    this.count = count;
    this.nextToUse = 0;
    this.nextToClean = 0;
    this.nextToAlloc = 0;
    this.bufferInfo = [];
    this.skb = null;
    this.usesBuildSkb = true;
    this.packets = 0;
    this.bytes = 0;
    this.drops = 0;
    this.csumErr = 0;
    this.allocFailed = 0;
    this.allocPages = 0;
    this.reusedPages = 0;
  }
}

/** Descriptors that are free; one always stays empty, so that full and empty differ. @kernel igb_desc_unused drivers/net/ethernet/intel/igb/igb.h */
export function igbDescUnused(ring: IgbTxRing | IgbRxRing): number {
  const { nextToClean, nextToUse, count } = ring;
  return (nextToClean > nextToUse ? 0 : count) + nextToClean - nextToUse - 1;
}

/** A ring as its vector sees it. @kernel igb_ring_container drivers/net/ethernet/intel/igb/igb.h */
export class IgbRingContainer<R> {
  ring: R | null = null;
  totalBytes = 0;
  totalPackets = 0;
  /** Packets cleaned at a time. */
  workLimit: number = IGB_DEFAULT_TX_WORK;
  /** LOWEST_LATENCY to BULK_LATENCY. */
  itr: number = LOWEST_LATENCY;
}

/** An interrupt vector with the queues it serves, and their polling. @kernel igb_q_vector drivers/net/ethernet/intel/igb/igb.h */
export class IgbQVector {
  readonly adapter: IgbAdapter;
  readonly index: number;
  /** Its bit in EIMS. */
  eimsValue: number;
  itrVal: number;
  setItr: boolean;
  /** Offset of its EITR. */
  itrRegister: number;
  readonly rx: IgbRingContainer<IgbRxRing>;
  readonly tx: IgbRingContainer<IgbTxRing>;
  /** Set right after allocation. */
  napi!: NapiStruct;
  name: string;

  constructor(adapter: IgbAdapter, index: number) {
    this.adapter = adapter;
    this.index = index;
    this.eimsValue = 0;
    this.itrVal = IGB_START_ITR;
    this.setItr = false;
    this.itrRegister = 0;
    this.rx = new IgbRingContainer<IgbRxRing>();
    this.tx = new IgbRingContainer<IgbTxRing>();
    this.name = '';
  }
}

/** Sums of the chip's statistics registers, and what the driver counts beside them. @kernel e1000_hw_stats drivers/net/ethernet/intel/igb/e1000_hw.h */
export class E1000HwStats extends HwStats {
  /** Interrupts that told of a DMA engine out of step. */
  doosync = 0;
}

/** Settings of a card before its driver takes it; Linux has them from ethtool afterwards. */
export interface IgbParams {
  /** Queues of each direction; as many as there are CPUs by default. */
  readonly rssQueues: number;
  readonly txDescriptors: number;
  readonly rxDescriptors: number;
}

/** A card under this driver. @kernel igb_adapter drivers/net/ethernet/intel/igb/igb.h */
export class IgbAdapter {
  readonly netdev: NetDevice;
  readonly pdev: PciDev;
  readonly hw: E1000Hw;
  /** __IGB_* bits. */
  state: number;
  /** IGB_FLAG_* bits. */
  flags: number;
  readonly stats: E1000HwStats;
  readonly stats64: RtnlLinkStats64;
  readonly watchdogTask: DelayedWork;
  readonly resetTask: WorkStruct;
  linkSpeed: number;
  linkDuplex: number;
  maxFrameSize: number;

  // Queues and vectors.
  rssQueues: number;
  numTxQueues: number;
  numRxQueues: number;
  txRing: IgbTxRing[];
  rxRing: IgbRxRing[];
  txRingCount: number;
  rxRingCount: number;
  qVector: IgbQVector[];
  eimsEnableMask: number;
  eimsOther: number;
  rxItrSetting: number;
  txItrSetting: number;
  readonly rssIndirTbl: Uint8Array;
  /** Queues for which the table was made; users' tables stay while that does. */
  rssIndirTblInit: number;
  readonly rssKey: Uint8Array;

  // Transmit.
  txTimeoutFactor: number;
  txTimeoutCount: number;
  /** Times a ring was found hanging. */
  txHangCount: number;

  constructor(
    netdev: NetDevice,
    pdev: PciDev,
    hw: E1000Hw,
    watchdog: (adapter: IgbAdapter) => void,
    reset: (adapter: IgbAdapter) => void,
  ) {
    const { machine } = pdev;
    this.netdev = netdev;
    this.pdev = pdev;
    this.hw = hw;
    this.state = __IGB_DOWN;
    this.flags = 0;
    this.stats = new E1000HwStats();
    this.stats64 = new RtnlLinkStats64();
    this.watchdogTask = new DelayedWork(machine, () => watchdog(this));
    this.resetTask = new WorkStruct(machine, () => reset(this));
    this.linkSpeed = 0;
    this.linkDuplex = 0;
    this.maxFrameSize = ETH_DATA_LEN + ETH_HLEN + ETH_FCS_LEN + VLAN_HLEN;
    this.rssQueues = 1;
    this.numTxQueues = 0;
    this.numRxQueues = 0;
    this.txRing = [];
    this.rxRing = [];
    this.txRingCount = IGB_DEFAULT_TXD;
    this.rxRingCount = IGB_DEFAULT_RXD;
    this.qVector = [];
    this.eimsEnableMask = 0;
    this.eimsOther = 0;
    this.rxItrSetting = IGB_DEFAULT_ITR;
    this.txItrSetting = IGB_DEFAULT_ITR;
    this.rssIndirTbl = new Uint8Array(IGB_RETA_SIZE);
    this.rssIndirTblInit = 0;
    this.rssKey = new Uint8Array(TOEPLITZ_KEY_LEN);
    this.txTimeoutFactor = 1;
    this.txTimeoutCount = 0;
    this.txHangCount = 0;
  }
}

/** @kernel netdev_priv include/linux/netdevice.h */
export function igbAdapter(netdev: NetDevice): IgbAdapter {
  return netdev.priv as IgbAdapter;
}
