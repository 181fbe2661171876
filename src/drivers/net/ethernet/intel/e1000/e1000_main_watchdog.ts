/**
 * The watchdog: follows the link, gathers statistics, looks for a chip that hangs. Counterpart of
 * those parts of drivers/net/ethernet/intel/e1000/e1000_main.c.
 */
import {
  __E1000_DOWN,
  type E1000Adapter,
  e1000DescUnused,
  er32,
  ew32,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import {
  e1000CheckForLink,
  e1000GetSpeedAndDuplex,
} from '#drivers/net/ethernet/intel/e1000/e1000_hw.ts';
import { SPEED_10, SPEED_100 } from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import { readHwStats, reportHwStats } from '#drivers/net/ethernet/intel/libgbe/hw_stats.ts';
import { pciDeviceIsPresent } from '#drivers/pci/pci.ts';
import {
  E1000_ICR_RXDMT0,
  E1000_ICS,
  E1000_TCTL,
  E1000_TCTL_EN,
} from '#hardware/e1000/e1000_regs.ts';
import { netifCarrierOk } from '#include/linux/netdevice.ts';
import { HZ } from '#kernel/param.ts';
import { scheduleDelayedWork, scheduleWork } from '#kernel/workqueue.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';

/** How often the watchdog looks, in jiffies. */
const WATCHDOG_PERIOD: number = 2 * HZ;

/** Adds what the chip has counted since the last time. @kernel e1000_update_stats drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000UpdateStats(adapter: E1000Adapter): void {
  const { hw, netdev, stats } = adapter;
  // While the link is down the chip may be in reset, and counts nothing; without a card there is none.
  if (adapter.linkSpeed === 0 || !pciDeviceIsPresent(adapter.pdev)) return;
  readHwStats(hw, er32, stats);
  reportHwStats(stats, netdev.stats);
}

/** @kernel e1000_has_link drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000HasLink(adapter: E1000Adapter): boolean {
  const { hw } = adapter;
  if (hw.getLinkStatus) e1000CheckForLink(hw);
  return !hw.getLinkStatus;
}

/** The link has come up: learns its speed and lets the stack send. */
function linkIsUp(adapter: E1000Adapter): void {
  const { hw, netdev } = adapter;
  const { speed, duplex } = e1000GetSpeedAndDuplex(hw);
  adapter.linkSpeed = speed;
  adapter.linkDuplex = duplex;
  // A slow line may take longer over a full ring before it counts as hung.
  adapter.txTimeoutFactor = speed === SPEED_10 ? 16 : speed === SPEED_100 ? 4 : 1;
  ew32(hw, E1000_TCTL, er32(hw, E1000_TCTL) | E1000_TCTL_EN);
  netifCarrierOn(netdev);
  if ((adapter.flags & __E1000_DOWN) === 0) scheduleDelayedWork(adapter.phyInfoTask, 2 * HZ);
}

function linkIsDown(adapter: E1000Adapter): void {
  e1000UpdateStats(adapter);
  adapter.linkSpeed = 0;
  adapter.linkDuplex = 0;
  netifCarrierOff(adapter.netdev);
  if ((adapter.flags & __E1000_DOWN) === 0) scheduleDelayedWork(adapter.phyInfoTask, 2 * HZ);
}

/** Runs every two seconds, and when the link changes. @kernel e1000_watchdog drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Watchdog(adapter: E1000Adapter): void {
  const { netdev, hw, txRing } = adapter;
  const link = e1000HasLink(adapter);
  const carrier = netifCarrierOk(netdev);
  if (link && !carrier) linkIsUp(adapter);
  else if (!link && carrier) linkIsDown(adapter);
  e1000UpdateStats(adapter);
  if (!netifCarrierOk(netdev) && e1000DescUnused(txRing) + 1 < txRing.count) {
    // Packets are in the ring that cannot leave any more: only a reset empties it.
    adapter.txTimeoutCount++;
    scheduleWork(adapter.resetTask);
    return;
  }
  // A soft interrupt has the rings looked at, in case one was lost.
  ew32(hw, E1000_ICS, E1000_ICR_RXDMT0);
  adapter.detectTxHung = true;
  if ((adapter.flags & __E1000_DOWN) === 0) {
    scheduleDelayedWork(adapter.watchdogTask, WATCHDOG_PERIOD);
  }
}
