/**
 * The watchdog: follows the link, gathers statistics, looks for a chip that hangs. Counterpart of
 * those parts of drivers/net/ethernet/intel/e1000/e1000_main.c.
 */
import {
  __E1000_DOWN,
  type E1000Adapter,
  type E1000Hw,
  type E1000HwStats,
  e1000DescUnused,
  er32,
  ew32,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import {
  e1000CheckForLink,
  e1000GetSpeedAndDuplex,
  SPEED_10,
  SPEED_100,
} from '#drivers/net/ethernet/intel/e1000/e1000_hw.ts';
import { pciDeviceIsPresent } from '#drivers/pci/pci.ts';
import {
  E1000_ALGNERRC,
  E1000_BPRC,
  E1000_BPTC,
  E1000_CEXTERR,
  E1000_COLC,
  E1000_CRCERRS,
  E1000_DC,
  E1000_ECOL,
  E1000_GORCH,
  E1000_GORCL,
  E1000_GOTCH,
  E1000_GOTCL,
  E1000_GPRC,
  E1000_GPTC,
  E1000_ICR_RXDMT0,
  E1000_ICS,
  E1000_LATECOL,
  E1000_MCC,
  E1000_MPC,
  E1000_MPRC,
  E1000_MPTC,
  E1000_PRC64,
  E1000_PRC127,
  E1000_PRC255,
  E1000_PRC511,
  E1000_PRC1023,
  E1000_PRC1522,
  E1000_PTC64,
  E1000_PTC127,
  E1000_PTC255,
  E1000_PTC511,
  E1000_PTC1023,
  E1000_PTC1522,
  E1000_RFC,
  E1000_RJC,
  E1000_RLEC,
  E1000_RNBC,
  E1000_ROC,
  E1000_RUC,
  E1000_RXERRC,
  E1000_SCC,
  E1000_SEC,
  E1000_SYMERRS,
  E1000_TCTL,
  E1000_TCTL_EN,
  E1000_TNCRS,
  E1000_TORH,
  E1000_TORL,
  E1000_TOTH,
  E1000_TOTL,
  E1000_TPR,
  E1000_TPT,
  E1000_TSCTC,
  E1000_TSCTFC,
  E1000_XOFFRXC,
  E1000_XOFFTXC,
  E1000_XONRXC,
  E1000_XONTXC,
} from '#hardware/e1000/e1000_regs.ts';
import { netifCarrierOk } from '#include/linux/netdevice.ts';
import { HZ } from '#kernel/param.ts';
import { scheduleDelayedWork, scheduleWork } from '#kernel/workqueue.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';

/** How often the watchdog looks, in jiffies. */
const WATCHDOG_PERIOD: number = 2 * HZ;

const TWO_TO_32 = 4294967296;

/** Where each counter of 32 bits comes from. */
const COUNTERS: readonly (readonly [keyof E1000HwStats, number])[] = [
  ['crcerrs', E1000_CRCERRS],
  ['algnerrc', E1000_ALGNERRC],
  ['symerrs', E1000_SYMERRS],
  ['rxerrc', E1000_RXERRC],
  ['mpc', E1000_MPC],
  ['scc', E1000_SCC],
  ['ecol', E1000_ECOL],
  ['mcc', E1000_MCC],
  ['latecol', E1000_LATECOL],
  ['colc', E1000_COLC],
  ['dc', E1000_DC],
  ['tncrs', E1000_TNCRS],
  ['sec', E1000_SEC],
  ['cexterr', E1000_CEXTERR],
  ['rlec', E1000_RLEC],
  ['xonrxc', E1000_XONRXC],
  ['xontxc', E1000_XONTXC],
  ['xoffrxc', E1000_XOFFRXC],
  ['xofftxc', E1000_XOFFTXC],
  ['prc64', E1000_PRC64],
  ['prc127', E1000_PRC127],
  ['prc255', E1000_PRC255],
  ['prc511', E1000_PRC511],
  ['prc1023', E1000_PRC1023],
  ['prc1522', E1000_PRC1522],
  ['gprc', E1000_GPRC],
  ['bprc', E1000_BPRC],
  ['mprc', E1000_MPRC],
  ['gptc', E1000_GPTC],
  ['rnbc', E1000_RNBC],
  ['ruc', E1000_RUC],
  ['rfc', E1000_RFC],
  ['roc', E1000_ROC],
  ['rjc', E1000_RJC],
  ['tpr', E1000_TPR],
  ['tpt', E1000_TPT],
  ['ptc64', E1000_PTC64],
  ['ptc127', E1000_PTC127],
  ['ptc255', E1000_PTC255],
  ['ptc511', E1000_PTC511],
  ['ptc1023', E1000_PTC1023],
  ['ptc1522', E1000_PTC1522],
  ['mptc', E1000_MPTC],
  ['bptc', E1000_BPTC],
  ['tsctc', E1000_TSCTC],
  ['tsctfc', E1000_TSCTFC],
];

/** A counter of 64 bits; the low half must be read first. */
function readPair(hw: E1000Hw, low: number, high: number): number {
  const octets = er32(hw, low) >>> 0;
  return octets + (er32(hw, high) >>> 0) * TWO_TO_32;
}

/** Adds what the chip has counted since the last time. @kernel e1000_update_stats drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000UpdateStats(adapter: E1000Adapter): void {
  const { hw, netdev, stats } = adapter;
  // While the link is down the chip may be in reset, and counts nothing; without a card there is none.
  if (adapter.linkSpeed === 0 || !pciDeviceIsPresent(adapter.pdev)) return;
  for (const [name, register] of COUNTERS) stats[name] += er32(hw, register) >>> 0;
  stats.gorc += readPair(hw, E1000_GORCL, E1000_GORCH);
  stats.gotc += readPair(hw, E1000_GOTCL, E1000_GOTCH);
  stats.tor += readPair(hw, E1000_TORL, E1000_TORH);
  stats.tot += readPair(hw, E1000_TOTL, E1000_TOTH);
  const out = netdev.stats;
  out.multicast = stats.mprc;
  out.collisions = stats.colc;
  out.rxErrors =
    stats.rxerrc + stats.crcerrs + stats.algnerrc + stats.ruc + stats.roc + stats.cexterr;
  out.rxLengthErrors = stats.ruc + stats.roc;
  out.rxCrcErrors = stats.crcerrs;
  out.rxFrameErrors = stats.algnerrc;
  out.rxMissedErrors = stats.mpc;
  out.txErrors = stats.ecol + stats.latecol;
  out.txAbortedErrors = stats.ecol;
  out.txWindowErrors = stats.latecol;
  out.txCarrierErrors = stats.tncrs;
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
