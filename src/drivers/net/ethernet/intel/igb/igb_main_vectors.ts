/**
 * Queues and their interrupt vectors, polling, interrupt throttling. Counterpart of those parts of
 * drivers/net/ethernet/intel/igb/igb_main.c.
 *
 * Vector 0 tells of the link. With few queues each ring has a vector of its own; with more than half
 * of what the chip has, a receive and a transmit ring share one (IGB_FLAG_QUEUE_PAIRS).
 */
import { rd32, wr32 } from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  __IGB_DOWN,
  BULK_LATENCY,
  IGB_4K_ITR,
  IGB_20K_ITR,
  IGB_70K_ITR,
  IGB_FLAG_HAS_MSIX,
  IGB_FLAG_QUEUE_PAIRS,
  IGB_MAX_RX_QUEUES,
  type IgbAdapter,
  IgbQVector,
  type IgbRingContainer,
  IgbRxRing,
  IgbTxRing,
  LOW_LATENCY,
  LOWEST_LATENCY,
  NON_Q_VECTORS,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import { igbCleanRxIrq } from '#drivers/net/ethernet/intel/igb/igb_main_rx.ts';
import { igbCleanTxIrq } from '#drivers/net/ethernet/intel/igb/igb_main_tx.ts';
import { SPEED_1000 } from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import { pciEnableMsixRange, pciFreeIrqVectors, pciIrqVector } from '#drivers/pci/msi.ts';
import { E1000_ICR_LSC } from '#hardware/e1000/e1000_regs.ts';
import {
  E1000_EIAC,
  E1000_EIAM,
  E1000_EIMC,
  E1000_EIMS,
  E1000_EITR,
  E1000_EITR_CNT_IGNR,
  E1000_EITR_ITR_INT_MASK,
  E1000_GPIE,
  E1000_GPIE_EIAME,
  E1000_GPIE_MSIX_MODE,
  E1000_GPIE_NSICR,
  E1000_GPIE_PBA,
  E1000_IAM,
  E1000_ICR,
  E1000_ICR_DOUTSYNC,
  E1000_ICR_DRSTA,
  E1000_IMC,
  E1000_IMS,
  E1000_IVAR_MISC,
  E1000_IVAR_VALID,
  E1000_IVAR0,
} from '#hardware/igb/igb_regs.ts';
import type { NapiStruct } from '#include/linux/netdevice.ts';
import { freeIrq, IRQ_HANDLED, requestIrq } from '#kernel/irq.ts';
import { modDelayedWork, scheduleWork } from '#kernel/workqueue.ts';
import { napiCompleteDone, napiSchedule, netifNapiAdd, netifNapiDel } from '#net/core/dev_napi.ts';

/** Bytes added to a frame's average size: check sequence, preamble and gap. */
const WIRE_EXTRA = 24;
/** The average size beyond which throttling does not grow. */
const MAX_WIRE_SIZE = 3000;
/** The least interval: one unit. */
const MIN_EITR = 0x4;

/** The most queues that may be used, of the 82576. @kernel igb_get_max_rss_queues drivers/net/ethernet/intel/igb/igb_main.c */
export function igbGetMaxRssQueues(): number {
  return IGB_MAX_RX_QUEUES;
}

/** Queues share vectors when there would not be enough of those. @kernel igb_set_flag_queue_pairs drivers/net/ethernet/intel/igb/igb_main.c */
export function igbSetFlagQueuePairs(adapter: IgbAdapter, maxRssQueues: number): void {
  if (adapter.rssQueues > maxRssQueues / 2) adapter.flags |= IGB_FLAG_QUEUE_PAIRS;
  else adapter.flags &= ~IGB_FLAG_QUEUE_PAIRS;
}

/** Decides on queues and asks for vectors: 0 or a negative errno. @kernel igb_set_interrupt_capability drivers/net/ethernet/intel/igb/igb_main.c */
function igbSetInterruptCapability(adapter: IgbAdapter): number {
  adapter.flags |= IGB_FLAG_HAS_MSIX;
  adapter.numRxQueues = adapter.rssQueues;
  adapter.numTxQueues = adapter.rssQueues;
  let vectors = adapter.numRxQueues;
  if ((adapter.flags & IGB_FLAG_QUEUE_PAIRS) === 0) vectors += adapter.numTxQueues;
  vectors += NON_Q_VECTORS;
  const got = pciEnableMsixRange(adapter.pdev, vectors, vectors);
  return got < 0 ? got : 0;
}

/** Makes a vector for at most one ring of each direction; -1: none. @kernel igb_alloc_q_vector drivers/net/ethernet/intel/igb/igb_main.c */
function igbAllocQVector(adapter: IgbAdapter, tx: number, rx: number): void {
  const vector = new IgbQVector(adapter, adapter.qVector.length);
  vector.itrRegister = E1000_EITR(0);
  const setting = rx >= 0 ? adapter.rxItrSetting : adapter.txItrSetting;
  // Anything but a mode is an interval.
  if (setting === 0 || setting > 3) vector.itrVal = setting;
  vector.napi = netifNapiAdd(adapter.netdev, (napi, budget) => igbPoll(vector, napi, budget));
  if (tx >= 0) {
    const ring = new IgbTxRing(tx, adapter.txRingCount);
    vector.tx.ring = ring;
    adapter.txRing[tx] = ring;
  }
  if (rx >= 0) {
    const ring = new IgbRxRing(rx, adapter.rxRingCount);
    ring.qVector = vector;
    vector.rx.ring = ring;
    adapter.rxRing[rx] = ring;
  }
  adapter.qVector.push(vector);
}

/** @kernel igb_alloc_q_vectors drivers/net/ethernet/intel/igb/igb_main.c */
function igbAllocQVectors(adapter: IgbAdapter): void {
  const pairs = (adapter.flags & IGB_FLAG_QUEUE_PAIRS) !== 0;
  for (let rx = 0; rx < adapter.numRxQueues; rx++) igbAllocQVector(adapter, pairs ? rx : -1, rx);
  if (pairs) return;
  for (let tx = 0; tx < adapter.numTxQueues; tx++) igbAllocQVector(adapter, tx, -1);
}

/** Queues, rings without memory, vectors: 0 or a negative errno. @kernel igb_init_interrupt_scheme drivers/net/ethernet/intel/igb/igb_main.c */
export function igbInitInterruptScheme(adapter: IgbAdapter): number {
  const err = igbSetInterruptCapability(adapter);
  if (err < 0) return err;
  igbAllocQVectors(adapter);
  return 0;
}

/** @kernel igb_clear_interrupt_scheme drivers/net/ethernet/intel/igb/igb_main.c */
export function igbClearInterruptScheme(adapter: IgbAdapter): void {
  for (const vector of adapter.qVector) netifNapiDel(vector.napi);
  adapter.qVector = [];
  adapter.txRing = [];
  adapter.rxRing = [];
  pciFreeIrqVectors(adapter.pdev);
  adapter.flags &= ~IGB_FLAG_HAS_MSIX;
}

/** @kernel igb_write_ivar drivers/net/ethernet/intel/igb/igb_main.c */
function igbWriteIvar(adapter: IgbAdapter, msix: number, index: number, offset: number): void {
  const { hw } = adapter;
  const register = E1000_IVAR0 + 4 * index;
  const ivar = rd32(hw, register) & ~(0xff << offset);
  wr32(hw, register, ivar | ((msix | E1000_IVAR_VALID) << offset));
}

/** Routes the causes of a vector's rings to it. @kernel igb_assign_vector drivers/net/ethernet/intel/igb/igb_main.c */
function igbAssignVector(vector: IgbQVector, msix: number): void {
  const { adapter } = vector;
  const rx = vector.rx.ring?.queueIndex ?? -1;
  const tx = vector.tx.ring?.queueIndex ?? -1;
  if (rx >= 0) igbWriteIvar(adapter, msix, rx & 0x7, (rx & 0x8) << 1);
  if (tx >= 0) igbWriteIvar(adapter, msix, tx & 0x7, ((tx & 0x8) << 1) + 8);
  vector.eimsValue = 1 << msix;
  adapter.eimsEnableMask |= vector.eimsValue;
  // What the reset has forgotten.
  vector.setItr = true;
}

/** Tells the chip which vector serves what. @kernel igb_configure_msix drivers/net/ethernet/intel/igb/igb_main.c */
export function igbConfigureMsix(adapter: IgbAdapter): void {
  const { hw } = adapter;
  let msix = 0;
  adapter.eimsEnableMask = 0;
  wr32(hw, E1000_GPIE, E1000_GPIE_MSIX_MODE | E1000_GPIE_PBA | E1000_GPIE_EIAME | E1000_GPIE_NSICR);
  adapter.eimsOther = 1 << msix;
  wr32(hw, E1000_IVAR_MISC, (msix++ | E1000_IVAR_VALID) << 8);
  adapter.eimsEnableMask |= adapter.eimsOther;
  for (const vector of adapter.qVector) igbAssignVector(vector, msix++);
}

/** Asks for the vectors' interrupts: 0 or a negative errno. @kernel igb_request_irq drivers/net/ethernet/intel/igb/igb_main.c */
export function igbRequestIrq(adapter: IgbAdapter): number {
  const { pdev, netdev } = adapter;
  const { machine } = pdev;
  const other = pciIrqVector(pdev, 0);
  let err = requestIrq(machine, other, igbMsixOther, netdev.name, adapter);
  if (err < 0) return err;
  for (const vector of adapter.qVector) {
    const msix = vector.index + NON_Q_VECTORS;
    vector.itrRegister = E1000_EITR(msix);
    vector.name = `${netdev.name}-${vectorName(vector)}`;
    err = requestIrq(machine, pciIrqVector(pdev, msix), igbMsixRing, vector.name, vector);
    if (err < 0) {
      for (const earlier of adapter.qVector.slice(0, vector.index)) freeVector(earlier);
      freeIrq(machine, other, adapter);
      return err;
    }
  }
  igbConfigureMsix(adapter);
  return 0;
}

/** `TxRx-0`, `rx-0`, `tx-0`. */
function vectorName(vector: IgbQVector): string {
  const rx = vector.rx.ring;
  const tx = vector.tx.ring;
  if (rx !== null && tx !== null) return `TxRx-${rx.queueIndex}`;
  return rx !== null ? `rx-${rx.queueIndex}` : `tx-${tx?.queueIndex ?? 0}`;
}

function freeVector(vector: IgbQVector): void {
  const { pdev } = vector.adapter;
  freeIrq(pdev.machine, pciIrqVector(pdev, vector.index + NON_Q_VECTORS), vector);
}

/** @kernel igb_free_irq drivers/net/ethernet/intel/igb/igb_main.c */
export function igbFreeIrq(adapter: IgbAdapter): void {
  freeIrq(adapter.pdev.machine, pciIrqVector(adapter.pdev, 0), adapter);
  for (const vector of adapter.qVector) freeVector(vector);
}

/** @kernel igb_irq_disable drivers/net/ethernet/intel/igb/igb_main.c */
export function igbIrqDisable(adapter: IgbAdapter): void {
  const { hw, eimsEnableMask } = adapter;
  wr32(hw, E1000_EIAM, rd32(hw, E1000_EIAM) & ~eimsEnableMask);
  wr32(hw, E1000_EIMC, eimsEnableMask);
  wr32(hw, E1000_EIAC, rd32(hw, E1000_EIAC) & ~eimsEnableMask);
  wr32(hw, E1000_IAM, 0);
  wr32(hw, E1000_IMC, 0xffffffff);
}

/** @kernel igb_irq_enable drivers/net/ethernet/intel/igb/igb_main.c */
export function igbIrqEnable(adapter: IgbAdapter): void {
  const { hw, eimsEnableMask } = adapter;
  wr32(hw, E1000_EIAC, rd32(hw, E1000_EIAC) | eimsEnableMask);
  wr32(hw, E1000_EIAM, rd32(hw, E1000_EIAM) | eimsEnableMask);
  wr32(hw, E1000_EIMS, eimsEnableMask);
  wr32(hw, E1000_IMS, E1000_ICR_LSC | E1000_ICR_DOUTSYNC | E1000_ICR_DRSTA);
}

/** The link, or something rare. @kernel igb_msix_other drivers/net/ethernet/intel/igb/igb_main.c */
function igbMsixOther(_irq: number, devId: unknown): number {
  const adapter = devId as IgbAdapter;
  const { hw } = adapter;
  const icr = rd32(hw, E1000_ICR);
  if ((icr & E1000_ICR_DRSTA) !== 0) scheduleWork(adapter.resetTask);
  if ((icr & E1000_ICR_DOUTSYNC) !== 0) adapter.stats.doosync++;
  if ((icr & E1000_ICR_LSC) !== 0) {
    hw.getLinkStatus = true;
    if ((adapter.state & __IGB_DOWN) === 0) modDelayedWork(adapter.watchdogTask, 1);
  }
  wr32(hw, E1000_EIMS, adapter.eimsOther);
  return IRQ_HANDLED;
}

/** Tells the chip a vector's interval, when it is new. @kernel igb_write_itr drivers/net/ethernet/intel/igb/igb_main.c */
function igbWriteItr(vector: IgbQVector): void {
  if (!vector.setItr) return;
  const interval = vector.itrVal & E1000_EITR_ITR_INT_MASK;
  const value = (interval === 0 ? MIN_EITR : interval) | E1000_EITR_CNT_IGNR;
  wr32(vector.adapter.hw, vector.itrRegister, value);
  vector.setItr = false;
}

/** A queue has something. @kernel igb_msix_ring drivers/net/ethernet/intel/igb/igb_main.c */
function igbMsixRing(_irq: number, devId: unknown): number {
  const vector = devId as IgbQVector;
  // The interval that the last poll has found right.
  igbWriteItr(vector);
  napiSchedule(vector.napi);
  return IRQ_HANDLED;
}

/** Polls a vector's rings. @kernel igb_poll drivers/net/ethernet/intel/igb/igb_main.c */
function igbPoll(vector: IgbQVector, napi: NapiStruct, budget: number): number {
  const tx = vector.tx.ring;
  const rx = vector.rx.ring;
  let clean = true;
  let work = 0;
  if (tx !== null) clean = igbCleanTxIrq(vector, tx, budget);
  if (rx !== null) {
    work = igbCleanRxIrq(vector, rx, budget);
    if (work >= budget) clean = false;
  }
  if (!clean) return budget;
  if (napiCompleteDone(napi, work)) igbRingIrqEnable(vector);
  return work;
}

/** Lets the vector interrupt again. @kernel igb_ring_irq_enable drivers/net/ethernet/intel/igb/igb_main.c */
function igbRingIrqEnable(vector: IgbQVector): void {
  const { adapter } = vector;
  const setting = vector.rx.ring !== null ? adapter.rxItrSetting : adapter.txItrSetting;
  if ((setting & 3) !== 0) {
    if (adapter.qVector.length === 1) igbSetItr(vector);
    else igbUpdateRingItr(vector);
  }
  if ((adapter.state & __IGB_DOWN) === 0) wr32(adapter.hw, E1000_EIMS, vector.eimsValue);
}

/** The interval by the average size of frames, for vectors with few rings. @kernel igb_update_ring_itr drivers/net/ethernet/intel/igb/igb_main.c */
function igbUpdateRingItr(vector: IgbQVector): void {
  const { adapter, rx, tx } = vector;
  let value = vector.itrVal;
  if (adapter.linkSpeed !== SPEED_1000) {
    value = IGB_4K_ITR;
  } else {
    let size = rx.totalPackets === 0 ? 0 : Math.floor(rx.totalBytes / rx.totalPackets);
    if (tx.totalPackets !== 0) {
      size = Math.max(size, Math.floor(tx.totalBytes / tx.totalPackets));
    }
    if (size !== 0) {
      size = Math.min(size + WIRE_EXTRA, MAX_WIRE_SIZE);
      // Frames of middle size get a little boost.
      value = Math.floor(size > 300 && size < 1200 ? size / 3 : size / 2);
      if (value < IGB_20K_ITR && conservative(vector)) value = IGB_20K_ITR;
    }
  }
  if (value !== vector.itrVal) {
    vector.itrVal = value;
    vector.setItr = true;
  }
  clearCounts(vector);
}

/** Mode 3: the lowest latency is not for it. */
function conservative(vector: IgbQVector): boolean {
  const { adapter } = vector;
  return (vector.rx.ring !== null ? adapter.rxItrSetting : adapter.txItrSetting) === 3;
}

function clearCounts(vector: IgbQVector): void {
  vector.rx.totalBytes = 0;
  vector.rx.totalPackets = 0;
  vector.tx.totalBytes = 0;
  vector.tx.totalPackets = 0;
}

/** The class of traffic that a poll has seen, coming from the class before. */
function latencyClass(range: number, packets: number, bytes: number): number {
  const size = bytes / packets;
  switch (range) {
    case LOWEST_LATENCY:
      if (size > 8000) return BULK_LATENCY;
      return packets < 5 && bytes > 512 ? LOW_LATENCY : range;
    case LOW_LATENCY:
      if (bytes > 10000) {
        if (size > 8000 || packets < 10 || size > 1200) return BULK_LATENCY;
        return packets > 35 ? LOWEST_LATENCY : range;
      }
      if (size > 2000) return BULK_LATENCY;
      return packets <= 2 && bytes < 512 ? LOWEST_LATENCY : range;
    default:
      if (bytes > 25000) return packets > 35 ? LOW_LATENCY : range;
      return bytes < 1500 ? LOW_LATENCY : range;
  }
}

/** @kernel igb_update_itr drivers/net/ethernet/intel/igb/igb_main.c */
export function igbUpdateItr<R>(container: IgbRingContainer<R>): void {
  const { totalPackets, totalBytes } = container;
  if (totalPackets === 0) return;
  container.itr = latencyClass(container.itr, totalPackets, totalBytes);
  container.totalBytes = 0;
  container.totalPackets = 0;
}

/** Interval of a class of traffic. */
function itrOf(range: number): number {
  if (range === LOWEST_LATENCY) return IGB_70K_ITR;
  return range === LOW_LATENCY ? IGB_20K_ITR : IGB_4K_ITR;
}

/** The interval by the class of traffic, when one vector serves all. @kernel igb_set_itr drivers/net/ethernet/intel/igb/igb_main.c */
export function igbSetItr(vector: IgbQVector): void {
  const { adapter, rx, tx } = vector;
  let value = IGB_4K_ITR;
  if (adapter.linkSpeed === SPEED_1000) {
    igbUpdateItr(tx);
    igbUpdateItr(rx);
    let range = Math.max(rx.itr, tx.itr);
    if (range === LOWEST_LATENCY && conservative(vector)) range = LOW_LATENCY;
    value = itrOf(range);
  }
  if (value === vector.itrVal) return;
  // Fewer interrupts by steps, more at once.
  const { itrVal } = vector;
  const step = Math.floor((value * itrVal) / (value + (itrVal >> 2)));
  vector.itrVal = value > itrVal ? Math.max(step, value) : value;
  vector.setItr = true;
}
