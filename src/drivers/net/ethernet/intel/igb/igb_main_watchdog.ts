/**
 * The watchdog: follows the link, gathers statistics, has chips looked at that may hang. Counterpart
 * of those parts of drivers/net/ethernet/intel/igb/igb_main.c.
 */
import {
  igbCheckForCopperLink,
  igbGetSpeedAndDuplexCopper,
  rd32,
  wr32,
} from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  __IGB_DOWN,
  type IgbAdapter,
  igbAdapter,
  igbDescUnused,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import { SPEED_10, SPEED_100 } from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import { readHwStats, reportHwStats } from '#drivers/net/ethernet/intel/libgbe/hw_stats.ts';
import { pciDeviceIsPresent } from '#drivers/pci/pci.ts';
import { E1000_EICS, IGB_Q_RQDPC, rxQueueBase } from '#hardware/igb/igb_regs.ts';
import { type NetDevice, netifCarrierOk, type RtnlLinkStats64 } from '#include/linux/netdevice.ts';
import { HZ } from '#kernel/param.ts';
import { scheduleDelayedWork, scheduleWork } from '#kernel/workqueue.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';

/** How often the watchdog looks, in jiffies. */
const WATCHDOG_PERIOD: number = 2 * HZ;

/** What the rings have counted. */
function ringStats(adapter: IgbAdapter, out: RtnlLinkStats64): void {
  const { hw } = adapter;
  out.rxPackets = 0;
  out.rxBytes = 0;
  for (const ring of adapter.rxRing) {
    // Frames that the queue had no descriptor for; cleared by reading.
    const drops = rd32(hw, rxQueueBase(ring.queueIndex) + IGB_Q_RQDPC) >>> 0;
    ring.drops += drops;
    out.rxFifoErrors += drops;
    out.rxPackets += ring.packets;
    out.rxBytes += ring.bytes;
  }
  out.txPackets = 0;
  out.txBytes = 0;
  for (const ring of adapter.txRing) {
    out.txPackets += ring.packets;
    out.txBytes += ring.bytes;
  }
}

/** Adds what the chip has counted since the last time. @kernel igb_update_stats drivers/net/ethernet/intel/igb/igb_main.c */
export function igbUpdateStats(adapter: IgbAdapter): void {
  const { hw, netdev, stats, stats64: out } = adapter;
  // While the link is down the chip may be in reset, and counts nothing; without a card there is none.
  if (adapter.linkSpeed === 0 || !pciDeviceIsPresent(adapter.pdev)) return;
  ringStats(adapter, out);
  readHwStats(hw, rd32, stats);
  reportHwStats(stats, out);
  out.txDropped = netdev.stats.txDropped;
}

/** @kernel igb_get_stats64 drivers/net/ethernet/intel/igb/igb_main.c */
export function igbGetStats64(netdev: NetDevice, out: RtnlLinkStats64): void {
  const adapter = igbAdapter(netdev);
  igbUpdateStats(adapter);
  Object.assign(out, adapter.stats64);
}

/** @kernel igb_has_link drivers/net/ethernet/intel/igb/igb_main.c */
export function igbHasLink(adapter: IgbAdapter): boolean {
  const { hw } = adapter;
  if (hw.getLinkStatus) igbCheckForCopperLink(hw);
  return !hw.getLinkStatus;
}

/** The link has come up: learns its speed and lets the stack send. */
function linkIsUp(adapter: IgbAdapter): void {
  const { speed, duplex } = igbGetSpeedAndDuplexCopper(adapter.hw);
  adapter.linkSpeed = speed;
  adapter.linkDuplex = duplex;
  // A slow line may take longer over a full ring before it counts as hung.
  adapter.txTimeoutFactor = speed === SPEED_10 ? 14 : speed === SPEED_100 ? 2 : 1;
  netifCarrierOn(adapter.netdev);
}

function linkIsDown(adapter: IgbAdapter): void {
  igbUpdateStats(adapter);
  adapter.linkSpeed = 0;
  adapter.linkDuplex = 0;
  netifCarrierOff(adapter.netdev);
}

/** Runs every two seconds, and when the link changes. @kernel igb_watchdog_task drivers/net/ethernet/intel/igb/igb_main.c */
export function igbWatchdogTask(adapter: IgbAdapter): void {
  const { netdev, hw } = adapter;
  const link = igbHasLink(adapter);
  const carrier = netifCarrierOk(netdev);
  if (link && !carrier) linkIsUp(adapter);
  else if (!link && carrier) linkIsDown(adapter);
  igbUpdateStats(adapter);
  for (const ring of adapter.txRing) {
    if (!netifCarrierOk(netdev) && igbDescUnused(ring) + 1 < ring.count) {
      // Packets are in the ring that cannot leave any more: only a reset empties it.
      adapter.txTimeoutCount++;
      scheduleWork(adapter.resetTask);
      return;
    }
    ring.detectHang = true;
  }
  // Soft interrupts have the rings looked at, in case one was lost.
  let eics = 0;
  for (const vector of adapter.qVector) eics |= vector.eimsValue;
  wr32(hw, E1000_EICS, eics);
  if ((adapter.state & __IGB_DOWN) === 0) {
    scheduleDelayedWork(adapter.watchdogTask, WATCHDOG_PERIOD);
  }
}
