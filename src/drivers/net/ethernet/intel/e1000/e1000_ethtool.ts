/**
 * What ethtool asks of the driver. Counterpart of
 * drivers/net/ethernet/intel/e1000/e1000_ethtool.c. Names and order of the statistics are Linux's.
 */

import {
  __E1000_DOWN,
  E1000_MAX_RXD,
  E1000_MAX_TXD,
  E1000_MIN_RXD,
  E1000_MIN_TXD,
  type E1000Adapter,
  E1000RxRing,
  E1000TxRing,
  e1000Adapter,
  er32,
  START_ITR,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import { e1000WriteItr } from '#drivers/net/ethernet/intel/e1000/e1000_main_irq.ts';
import { e1000UpdateStats } from '#drivers/net/ethernet/intel/e1000/e1000_main_watchdog.ts';
import { FULL_DUPLEX } from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import { clampDescriptors } from '#drivers/net/ethernet/intel/libgbe/ring.ts';
import { pciName } from '#drivers/pci/pci.ts';
import { E1000_STATUS, E1000_STATUS_LU } from '#hardware/e1000/e1000_regs.ts';
import type { EthtoolOps } from '#include/linux/ethtool.ts';
import { type NetDevice, netifCarrierOk, netifRunning } from '#include/linux/netdevice.ts';
import { devClose, devOpen } from '#net/core/dev.ts';
import { ethtoolOps } from '#net/core/ethtool.ts';
import { EINVAL } from '#uapi/errno.ts';
import { SPEED_UNKNOWN } from '#uapi/ethtool.ts';

/** Interval of interrupts in us that ethtool may set, beside 0 (off), 1 and 3 (dynamic). */
const MIN_ITR_USECS = 10;
const MAX_ITR_USECS = 10000;

type Statistic = readonly [string, (adapter: E1000Adapter) => number];

/** @kernel e1000_gstrings_stats drivers/net/ethernet/intel/e1000/e1000_ethtool.c */
const STATISTICS: readonly Statistic[] = [
  ['rx_packets', (a) => a.stats.gprc],
  ['tx_packets', (a) => a.stats.gptc],
  ['rx_bytes', (a) => a.stats.gorc],
  ['tx_bytes', (a) => a.stats.gotc],
  ['rx_broadcast', (a) => a.stats.bprc],
  ['tx_broadcast', (a) => a.stats.bptc],
  ['rx_multicast', (a) => a.stats.mprc],
  ['tx_multicast', (a) => a.stats.mptc],
  ['rx_errors', (a) => a.netdev.stats.rxErrors],
  ['tx_errors', (a) => a.netdev.stats.txErrors],
  ['tx_dropped', (a) => a.netdev.stats.txDropped],
  ['multicast', (a) => a.stats.mprc],
  ['collisions', (a) => a.stats.colc],
  ['rx_length_errors', (a) => a.netdev.stats.rxLengthErrors],
  ['rx_over_errors', (a) => a.netdev.stats.rxOverErrors],
  ['rx_crc_errors', (a) => a.stats.crcerrs],
  ['rx_frame_errors', (a) => a.netdev.stats.rxFrameErrors],
  ['rx_no_buffer_count', (a) => a.stats.rnbc],
  ['rx_missed_errors', (a) => a.stats.mpc],
  ['tx_aborted_errors', (a) => a.stats.ecol],
  ['tx_carrier_errors', (a) => a.stats.tncrs],
  ['tx_fifo_errors', (a) => a.netdev.stats.txFifoErrors],
  ['tx_heartbeat_errors', (a) => a.netdev.stats.txHeartbeatErrors],
  ['tx_window_errors', (a) => a.stats.latecol],
  ['tx_abort_late_coll', (a) => a.stats.latecol],
  ['tx_deferred_ok', (a) => a.stats.dc],
  ['tx_single_coll_ok', (a) => a.stats.scc],
  ['tx_multi_coll_ok', (a) => a.stats.mcc],
  ['tx_timeout_count', (a) => a.txTimeoutCount],
  ['tx_restart_queue', (a) => a.restartQueue],
  ['rx_long_length_errors', (a) => a.stats.roc],
  ['rx_short_length_errors', (a) => a.stats.ruc],
  ['rx_align_errors', (a) => a.stats.algnerrc],
  ['tx_tcp_seg_good', (a) => a.stats.tsctc],
  ['tx_tcp_seg_failed', (a) => a.stats.tsctfc],
  ['rx_flow_control_xon', (a) => a.stats.xonrxc],
  ['rx_flow_control_xoff', (a) => a.stats.xoffrxc],
  ['tx_flow_control_xon', (a) => a.stats.xontxc],
  ['tx_flow_control_xoff', (a) => a.stats.xofftxc],
  ['rx_long_byte_count', (a) => a.stats.gorc],
  ['rx_csum_offload_good', (a) => a.hwCsumGood],
  ['rx_csum_offload_errors', (a) => a.hwCsumErr],
  ['alloc_rx_buff_failed', (a) => a.allocRxBuffFailed],
];

/** Changes the rings; a running device is stopped meanwhile. 0 or a negative errno. @kernel e1000_set_ringparam drivers/net/ethernet/intel/e1000/e1000_ethtool.c */
function e1000SetRingparam(dev: NetDevice, rxPending: number, txPending: number): number {
  const adapter = e1000Adapter(dev);
  const rx = clampDescriptors(rxPending, E1000_MIN_RXD, E1000_MAX_RXD);
  const tx = clampDescriptors(txPending, E1000_MIN_TXD, E1000_MAX_TXD);
  if (rx === adapter.rxRing.count && tx === adapter.txRing.count) return 0;
  const running = netifRunning(dev);
  if (running) devClose(dev);
  adapter.rxRing = new E1000RxRing(rx);
  adapter.txRing = new E1000TxRing(tx);
  return running ? devOpen(dev) : 0;
}

/** @kernel e1000_get_coalesce drivers/net/ethernet/intel/e1000/e1000_ethtool.c */
function e1000GetCoalesce(dev: NetDevice): { rxUsecs: number; txUsecs: number } {
  const { itrSetting } = e1000Adapter(dev);
  const usecs = itrSetting <= 4 ? itrSetting : Math.floor(1_000_000 / itrSetting);
  return { rxUsecs: usecs, txUsecs: 0 };
}

/** `rxUsecs` is the interval of interrupts; 0: off; 1, 3: dynamic. @kernel e1000_set_coalesce drivers/net/ethernet/intel/e1000/e1000_ethtool.c */
function e1000SetCoalesce(dev: NetDevice, rxUsecs: number, _txUsecs: number): number {
  const adapter = e1000Adapter(dev);
  const mode = rxUsecs === 0 || rxUsecs === 1 || rxUsecs === 3;
  if (!mode && (rxUsecs < MIN_ITR_USECS || rxUsecs > MAX_ITR_USECS)) return -EINVAL;
  if (mode) {
    adapter.itr = rxUsecs === 0 ? 0 : START_ITR;
    adapter.itrSetting = rxUsecs;
  } else {
    adapter.itr = Math.floor(1_000_000 / rxUsecs);
    // The low bits would be taken for a mode.
    adapter.itrSetting = adapter.itr & ~3;
  }
  if ((adapter.flags & __E1000_DOWN) === 0) e1000WriteItr(adapter);
  return 0;
}

/** @kernel e1000_ethtool_ops drivers/net/ethernet/intel/e1000/e1000_ethtool.c */
export const e1000EthtoolOps: EthtoolOps = ethtoolOps({
  getDrvinfo: (dev) => ({
    driver: 'e1000',
    version: '',
    busInfo: pciName(e1000Adapter(dev).pdev),
  }),
  getLink: (dev) => netifCarrierOk(dev),
  getLinkKsettings: (dev) => {
    const adapter = e1000Adapter(dev);
    if ((er32(adapter.hw, E1000_STATUS) & E1000_STATUS_LU) === 0) {
      return { speedMbps: SPEED_UNKNOWN, duplexFull: null, autoneg: true };
    }
    const { linkSpeed, linkDuplex } = adapter;
    return { speedMbps: linkSpeed, duplexFull: linkDuplex === FULL_DUPLEX, autoneg: true };
  },
  getRingparam: (dev) => {
    const { rxRing, txRing } = e1000Adapter(dev);
    return {
      rxMaxPending: E1000_MAX_RXD,
      txMaxPending: E1000_MAX_TXD,
      rxPending: rxRing.count,
      txPending: txRing.count,
    };
  },
  setRingparam: e1000SetRingparam,
  getCoalesce: e1000GetCoalesce,
  setCoalesce: e1000SetCoalesce,
  getStrings: () => STATISTICS.map(([name]) => name),
  getEthtoolStats: (dev) => {
    const adapter = e1000Adapter(dev);
    e1000UpdateStats(adapter);
    return STATISTICS.map(([, read]) => read(adapter));
  },
});
