/**
 * The driver's own structures: rings with their buffers, statistics, the adapter. Counterpart of
 * drivers/net/ethernet/intel/e1000/e1000.h and the structures of e1000_hw.h.
 */
import { HwStats } from '#drivers/net/ethernet/intel/libgbe/hw_stats.ts';
import type { PciIomem } from '#hardware/pci/pci_bus.ts';
import type { NapiStruct, NetDevice } from '#include/linux/netdevice.ts';
import type { PciDev } from '#include/linux/pci.ts';
import { NET_IP_ALIGN, NET_SKB_PAD, type SkBuff } from '#include/linux/skbuff.ts';
import { DelayedWork, WorkStruct } from '#kernel/workqueue.ts';

// Ring sizes.
export const E1000_DEFAULT_TXD = 256;
export const E1000_MAX_TXD = 4096;
export const E1000_MIN_TXD = 48;
export const E1000_DEFAULT_RXD = 256;
export const E1000_MAX_RXD = 4096;
export const E1000_MIN_RXD = 48;

/** Longest frame with its check sequence, as the chip is told. */
export const MAX_JUMBO_FRAME_SIZE = 0x3f00;
export const MAXIMUM_ETHERNET_VLAN_SIZE = 1522;
export const E1000_RXBUFFER_2048 = 2048;
export const E1000_RXBUFFER_8192 = 8192;
/** Bytes before a received frame. @kernel E1000_HEADROOM drivers/net/ethernet/intel/e1000/e1000_main.c */
export const E1000_HEADROOM: number = NET_SKB_PAD + NET_IP_ALIGN;

/** Most bytes of one transmit descriptor, log 2. */
export const E1000_MAX_TXD_PWR = 12;
export const E1000_MAX_DATA_PER_TXD: number = 1 << E1000_MAX_TXD_PWR;
/** Receive buffers given back to the chip at a time. */
export const E1000_RX_BUFFER_WRITE = 16;

// Bits of E1000Adapter.flags.
export const __E1000_TESTING: number = 1 << 0;
export const __E1000_RESETTING: number = 1 << 1;
export const __E1000_DOWN: number = 1 << 2;
export const __E1000_DISABLED: number = 1 << 3;

/** How busy the link is, for interrupt throttling. @kernel latency_range drivers/net/ethernet/intel/e1000/e1000_main.c */
export const LOWEST_LATENCY = 0;
export const LOW_LATENCY = 1;
export const BULK_LATENCY = 2;

/** Interrupts a second with which dynamic throttling begins. */
export const START_ITR = 20000;

/** What a transmit descriptor stands for. @kernel e1000_tx_buffer drivers/net/ethernet/intel/e1000/e1000.h */
export class E1000TxBuffer {
  /** The packet, at its last descriptor only. */
  skb: SkBuff | null;
  dma: number;
  length: number;
  /** Jiffies when it was given to the chip; 0 when the entry is free. */
  timeStamp: number;
  /** Index of the packet's last descriptor, at its first. */
  nextToWatch: number;
  /** Frames and bytes that the packet makes on the line. */
  segs: number;
  bytecount: number;

  constructor() {
    this.skb = null;
    this.dma = 0;
    this.length = 0;
    this.timeStamp = 0;
    this.nextToWatch = 0;
    this.segs = 0;
    this.bytecount = 0;
  }
}

/** A receive buffer. @kernel e1000_rx_buffer drivers/net/ethernet/intel/e1000/e1000.h */
export class E1000RxBuffer {
  /** Address of the unit of packet memory; 0: none. */
  page: number;
  dma: number;

  constructor() {
    this.page = 0;
    this.dma = 0;
  }
}

/** @kernel e1000_tx_ring drivers/net/ethernet/intel/e1000/e1000.h */
export class E1000TxRing {
  /** Address of the descriptors, and their bytes. */
  desc: number;
  size: number;
  count: number;
  nextToUse: number;
  nextToClean: number;
  bufferInfo: E1000TxBuffer[];

  constructor(count: number) {
    this.desc = 0;
    this.size = 0;
    this.count = count;
    this.nextToUse = 0;
    this.nextToClean = 0;
    this.bufferInfo = [];
  }
}

/** @kernel e1000_rx_ring drivers/net/ethernet/intel/e1000/e1000.h */
export class E1000RxRing {
  desc: number;
  size: number;
  count: number;
  nextToUse: number;
  nextToClean: number;
  bufferInfo: E1000RxBuffer[];
  /** A jumbo frame of which more descriptors are to come. */
  rxSkbTop: SkBuff | null;

  constructor(count: number) {
    this.desc = 0;
    this.size = 0;
    this.count = count;
    this.nextToUse = 0;
    this.nextToClean = 0;
    this.bufferInfo = [];
    this.rxSkbTop = null;
  }
}

/** Descriptors that are free; one always stays empty, so that full and empty differ. @kernel E1000_DESC_UNUSED drivers/net/ethernet/intel/e1000/e1000.h */
export function e1000DescUnused(ring: E1000TxRing | E1000RxRing): number {
  const { nextToClean, nextToUse, count } = ring;
  return (nextToClean > nextToUse ? 0 : count) + nextToClean - nextToUse - 1;
}

/** What is known about the chip. @kernel e1000_hw drivers/net/ethernet/intel/e1000/e1000_hw.h */
export class E1000Hw {
  readonly hwAddr: PciIomem;
  readonly macAddr: Uint8Array;
  readonly permMacAddr: Uint8Array;
  readonly mcarray: Int32Array;
  phyId: number;
  phyRevision: number;
  phyAddr: number;
  maxFrameSize: number;
  /** The link may have changed: ask the PHY. */
  getLinkStatus: boolean;

  constructor(hwAddr: PciIomem) {
    this.hwAddr = hwAddr;
    this.macAddr = new Uint8Array(6);
    this.permMacAddr = new Uint8Array(6);
    this.mcarray = new Int32Array(128);
    this.phyId = 0;
    this.phyRevision = 0;
    this.phyAddr = 1;
    this.maxFrameSize = 0;
    this.getLinkStatus = true;
  }
}

/** Settings of a card; module parameters in Linux. */
export interface E1000Params {
  readonly txDescriptors: number;
  readonly rxDescriptors: number;
  /** Delays of interrupts in units of 1.024 us. */
  readonly txIntDelay: number;
  readonly txAbsIntDelay: number;
  readonly rxIntDelay: number;
  readonly rxAbsIntDelay: number;
  /** 0: off; 1: dynamic; 3: dynamic, conservative; else interrupts a second. */
  readonly interruptThrottleRate: number;
  /** Frames up to this length are copied, so that the buffer can stay. */
  readonly copybreak: number;
  /**
   * False: frames are taken in the interrupt itself, as drivers did before NAPI and this one could until
   * Linux 2.6.25 (CONFIG_E1000_NAPI off).
   */
  readonly napi: boolean;
}

/** A card under this driver. @kernel e1000_adapter drivers/net/ethernet/intel/e1000/e1000.h */
export class E1000Adapter {
  readonly netdev: NetDevice;
  readonly pdev: PciDev;
  readonly hw: E1000Hw;
  /** Set in e1000_probe(), right after allocation. */
  napi!: NapiStruct;
  txRing: E1000TxRing;
  rxRing: E1000RxRing;
  readonly stats: HwStats;
  readonly watchdogTask: DelayedWork;
  readonly phyInfoTask: DelayedWork;
  readonly resetTask: WorkStruct;
  /** __E1000_* bits. */
  flags: number;
  linkSpeed: number;
  linkDuplex: number;

  // Transmit.
  txdCmd: number;
  txIntDelay: number;
  txAbsIntDelay: number;
  txTimeoutFactor: number;
  detectTxHung: boolean;
  restartQueue: number;
  txTimeoutCount: number;
  txHangCount: number;

  // Receive.
  rxBufferLen: number;
  rxIntDelay: number;
  rxAbsIntDelay: number;
  copybreak: number;
  /** Frames are polled for; false: the interrupt takes them itself. */
  readonly polls: boolean;
  jumbo: boolean;
  discarding: boolean;
  allocRxBuffFailed: number;
  hwCsumErr: number;
  hwCsumGood: number;

  // Interrupt throttling.
  itr: number;
  itrSetting: number;
  txItr: number;
  rxItr: number;
  totalTxBytes: number;
  totalTxPackets: number;
  totalRxBytes: number;
  totalRxPackets: number;

  constructor(
    netdev: NetDevice,
    pdev: PciDev,
    hw: E1000Hw,
    params: E1000Params,
    watchdog: (adapter: E1000Adapter) => void,
    phyInfo: (adapter: E1000Adapter) => void,
    reset: (adapter: E1000Adapter) => void,
  ) {
    const { machine } = pdev;
    this.netdev = netdev;
    this.pdev = pdev;
    this.hw = hw;
    this.txRing = new E1000TxRing(params.txDescriptors);
    this.rxRing = new E1000RxRing(params.rxDescriptors);
    this.stats = new HwStats();
    this.watchdogTask = new DelayedWork(machine, () => watchdog(this));
    this.phyInfoTask = new DelayedWork(machine, () => phyInfo(this));
    this.resetTask = new WorkStruct(machine, () => reset(this));
    this.flags = __E1000_DOWN;
    this.linkSpeed = 0;
    this.linkDuplex = 0;
    this.txdCmd = 0;
    this.txIntDelay = params.txIntDelay;
    this.txAbsIntDelay = params.txAbsIntDelay;
    this.txTimeoutFactor = 1;
    this.detectTxHung = false;
    this.restartQueue = 0;
    this.txTimeoutCount = 0;
    this.txHangCount = 0;
    this.rxBufferLen = MAXIMUM_ETHERNET_VLAN_SIZE;
    this.rxIntDelay = params.rxIntDelay;
    this.rxAbsIntDelay = params.rxAbsIntDelay;
    this.copybreak = params.copybreak;
    this.polls = params.napi;
    this.jumbo = false;
    this.discarding = false;
    this.allocRxBuffFailed = 0;
    this.hwCsumErr = 0;
    this.hwCsumGood = 0;
    const rate = params.interruptThrottleRate;
    this.itr = rate === 1 || rate === 3 ? START_ITR : rate;
    this.itrSetting = rate;
    this.txItr = LOWEST_LATENCY;
    this.rxItr = LOWEST_LATENCY;
    this.totalTxBytes = 0;
    this.totalTxPackets = 0;
    this.totalRxBytes = 0;
    this.totalRxPackets = 0;
  }
}

/** @kernel netdev_priv include/linux/netdevice.h */
export function e1000Adapter(netdev: NetDevice): E1000Adapter {
  return netdev.priv as E1000Adapter;
}

/** Reads a register. @kernel er32 drivers/net/ethernet/intel/e1000/e1000_osdep.h */
export function er32(hw: E1000Hw, register: number): number {
  return hw.hwAddr.readl(register);
}

/** Writes a register. @kernel ew32 drivers/net/ethernet/intel/e1000/e1000_osdep.h */
export function ew32(hw: E1000Hw, register: number, value: number): void {
  hw.hwAddr.writel(value | 0, register);
}
