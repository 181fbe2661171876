/**
 * Interrupts, polling and interrupt throttling. Counterpart of those parts of
 * drivers/net/ethernet/intel/e1000/e1000_main.c.
 */
import {
  __E1000_DOWN,
  BULK_LATENCY,
  type E1000Adapter,
  e1000Adapter,
  er32,
  ew32,
  LOW_LATENCY,
  LOWEST_LATENCY,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import {
  e1000CleanJumboRxIrq,
  e1000CleanRxIrq,
} from '#drivers/net/ethernet/intel/e1000/e1000_main_rx.ts';
import { e1000CleanTxIrq } from '#drivers/net/ethernet/intel/e1000/e1000_main_tx.ts';
import { SPEED_1000 } from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import {
  E1000_ICR,
  E1000_ICR_LSC,
  E1000_ICR_RXSEQ,
  E1000_IMC,
  E1000_IMS,
  E1000_ITR,
  IMS_ENABLE_MASK,
} from '#hardware/e1000/e1000_regs.ts';
import type { NapiStruct } from '#include/linux/netdevice.ts';
import { freeIrq, IRQ_HANDLED, IRQ_NONE, requestIrq } from '#kernel/irq.ts';
import { scheduleDelayedWork } from '#kernel/workqueue.ts';
import { __napiSchedule, napiCompleteDone, napiSchedulePrep } from '#net/core/dev_napi.ts';

/** The chip's throttling register counts units of 256 ns. */
const ITR_UNITS_PER_SECOND: number = 1_000_000_000 / 256;

/** @kernel e1000_irq_enable drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000IrqEnable(adapter: E1000Adapter): void {
  ew32(adapter.hw, E1000_IMS, IMS_ENABLE_MASK);
}

/** @kernel e1000_irq_disable drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000IrqDisable(adapter: E1000Adapter): void {
  ew32(adapter.hw, E1000_IMC, 0xffffffff);
}

/** The interrupt: finds out why, and leaves the work to polling. @kernel e1000_intr drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000Intr(_irq: number, devId: unknown): number {
  const adapter = devId as E1000Adapter;
  const { hw } = adapter;
  const icr = er32(hw, E1000_ICR);
  if (icr === 0) return IRQ_NONE;
  // Nothing may be scheduled while the device goes down; the mask follows soon.
  if ((adapter.flags & __E1000_DOWN) !== 0) return IRQ_HANDLED;
  if ((icr & (E1000_ICR_RXSEQ | E1000_ICR_LSC)) !== 0) {
    hw.getLinkStatus = true;
    scheduleDelayedWork(adapter.watchdogTask, 1);
  }
  if (!adapter.polls) {
    takeInInterrupt(adapter);
    return IRQ_HANDLED;
  }
  // Masked until the poll has done what there is to do.
  ew32(hw, E1000_IMC, 0xffffffff);
  if (napiSchedulePrep(adapter.napi)) {
    adapter.totalTxBytes = 0;
    adapter.totalTxPackets = 0;
    adapter.totalRxBytes = 0;
    adapter.totalRxPackets = 0;
    __napiSchedule(adapter.napi);
  } else if ((adapter.flags & __E1000_DOWN) === 0) {
    // Somebody polls already, and will look at everything.
    e1000IrqEnable(adapter);
  }
  return IRQ_HANDLED;
}

/** Rounds of one interrupt that takes frames itself. */
const E1000_MAX_INTR = 10;

/** What the interrupt does without NAPI: the backlog of the CPU gets the frames, at once, however many they are. */
function takeInInterrupt(adapter: E1000Adapter): void {
  for (let i = 0; i < E1000_MAX_INTR; i++) {
    const { count } = adapter.rxRing;
    const taken = adapter.jumbo
      ? e1000CleanJumboRxIrq(adapter, count)
      : e1000CleanRxIrq(adapter, count);
    const sent = e1000CleanTxIrq(adapter, 0);
    if (taken === 0 && sent) break;
  }
}

/** @kernel e1000_request_irq drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000RequestIrq(adapter: E1000Adapter): number {
  const { pdev, netdev } = adapter;
  return requestIrq(pdev.machine, pdev.irq, e1000Intr, netdev.name, adapter);
}

/** @kernel e1000_free_irq drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000FreeIrq(adapter: E1000Adapter): void {
  freeIrq(adapter.pdev.machine, adapter.pdev.irq, adapter);
}

/** Polls both rings. @kernel e1000_clean drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Clean(napi: NapiStruct, budget: number): number {
  const adapter = e1000Adapter(napi.dev);
  const txClean = e1000CleanTxIrq(adapter, budget);
  const work = adapter.jumbo
    ? e1000CleanJumboRxIrq(adapter, budget)
    : e1000CleanRxIrq(adapter, budget);
  if (!txClean || work === budget) return budget;
  if (napiCompleteDone(napi, work)) {
    if ((adapter.itrSetting & 3) !== 0) e1000SetItr(adapter);
    if ((adapter.flags & __E1000_DOWN) === 0) e1000IrqEnable(adapter);
  }
  return work;
}

/**
 * The class of traffic that a poll has seen, coming from the class before.
 * @kernel e1000_update_itr drivers/net/ethernet/intel/e1000/e1000_main.c
 */
function e1000UpdateItr(range: number, packets: number, bytes: number): number {
  if (packets === 0) return range;
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
      return bytes < 6000 ? LOW_LATENCY : range;
  }
}

/** Interrupts a second for a class of traffic. */
function itrOf(range: number): number {
  if (range === LOWEST_LATENCY) return 70000;
  return range === LOW_LATENCY ? 20000 : 4000;
}

/** The interrupt rate, by what the last poll has seen. @kernel e1000_set_itr drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000SetItr(adapter: E1000Adapter): void {
  let wanted = 4000;
  if (adapter.linkSpeed === SPEED_1000) {
    const conservative = adapter.itrSetting === 3;
    let tx = e1000UpdateItr(adapter.txItr, adapter.totalTxPackets, adapter.totalTxBytes);
    let rx = e1000UpdateItr(adapter.rxItr, adapter.totalRxPackets, adapter.totalRxBytes);
    if (conservative && tx === LOWEST_LATENCY) tx = LOW_LATENCY;
    if (conservative && rx === LOWEST_LATENCY) rx = LOW_LATENCY;
    adapter.txItr = tx;
    adapter.rxItr = rx;
    wanted = itrOf(Math.max(tx, rx));
  }
  if (wanted === adapter.itr) return;
  // Up by steps, so that a single quiet poll does not change much; down at once.
  const step = adapter.itr + (wanted >> 2);
  adapter.itr = wanted > adapter.itr ? Math.min(step, wanted) : wanted;
  e1000WriteItr(adapter);
}

/** Tells the chip the interrupt rate. @kernel e1000_set_itr drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000WriteItr(adapter: E1000Adapter): void {
  const { itr } = adapter;
  ew32(adapter.hw, E1000_ITR, itr === 0 ? 0 : Math.floor(ITR_UNITS_PER_SECOND / itr));
}
