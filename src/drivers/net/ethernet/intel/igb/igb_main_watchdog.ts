/**
 * The watchdog: follows the link, gathers statistics, has chips looked at that may hang. Counterpart
 * of those parts of drivers/net/ethernet/intel/igb/igb_main.c.
 */
import {
  type E1000Hw,
  igbCheckForCopperLink,
  igbGetSpeedAndDuplexCopper,
  rd32,
  SPEED_10,
  SPEED_100,
  wr32,
} from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  __IGB_DOWN,
  type E1000HwStats,
  type IgbAdapter,
  igbAdapter,
  igbDescUnused,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
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
import { E1000_EICS, IGB_Q_RQDPC, rxQueueBase } from '#hardware/igb/igb_regs.ts';
import { type NetDevice, netifCarrierOk, type RtnlLinkStats64 } from '#include/linux/netdevice.ts';
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
  const octets = rd32(hw, low) >>> 0;
  return octets + (rd32(hw, high) >>> 0) * TWO_TO_32;
}

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
  for (const [name, register] of COUNTERS) stats[name] += rd32(hw, register) >>> 0;
  stats.gorc += readPair(hw, E1000_GORCL, E1000_GORCH);
  stats.gotc += readPair(hw, E1000_GOTCL, E1000_GOTCH);
  stats.tor += readPair(hw, E1000_TORL, E1000_TORH);
  stats.tot += readPair(hw, E1000_TOTL, E1000_TOTH);
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
