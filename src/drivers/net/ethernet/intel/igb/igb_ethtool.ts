/**
 * What ethtool asks of the driver. Counterpart of drivers/net/ethernet/intel/igb/igb_ethtool.c. Names
 * and order of the statistics are Linux's, without those of units that are not modelled.
 */

import { rd32 } from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  __IGB_RESETTING,
  IGB_FLAG_QUEUE_PAIRS,
  IGB_FLAG_RX_LEGACY,
  IGB_MAX_ITR_USECS,
  IGB_MAX_RXD,
  IGB_MAX_TXD,
  IGB_MIN_ITR_USECS,
  IGB_MIN_RXD,
  IGB_MIN_TXD,
  IGB_START_ITR,
  type IgbAdapter,
  IgbRxRing,
  IgbTxRing,
  igbAdapter,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import {
  igbGetChannels,
  igbGetRxfh,
  igbGetRxfhFields,
  igbSetChannels,
  igbSetRxfh,
  igbSetRxfhFields,
} from '#drivers/net/ethernet/intel/igb/igb_ethtool_rss.ts';
import {
  igbFreeRing,
  igbSetupRxResources,
  igbSetupTxResources,
} from '#drivers/net/ethernet/intel/igb/igb_main_config.ts';
import { igbDown, igbReinitLocked, igbUp } from '#drivers/net/ethernet/intel/igb/igb_main_open.ts';
import { igbUpdateStats } from '#drivers/net/ethernet/intel/igb/igb_main_watchdog.ts';
import { FULL_DUPLEX } from '#drivers/net/ethernet/intel/libgbe/hw.ts';
import { clampDescriptors } from '#drivers/net/ethernet/intel/libgbe/ring.ts';
import { pciName } from '#drivers/pci/pci.ts';
import { E1000_STATUS, E1000_STATUS_LU } from '#hardware/e1000/e1000_regs.ts';
import { IGB_RETA_SIZE } from '#hardware/igb/igb_regs.ts';
import type { EthtoolOps } from '#include/linux/ethtool.ts';
import { type NetDevice, netifCarrierOk, netifRunning } from '#include/linux/netdevice.ts';
import { TOEPLITZ_KEY_LEN } from '#lib/toeplitz.ts';
import { ethtoolOps } from '#net/core/ethtool.ts';
import { EINVAL } from '#uapi/errno.ts';
import { SPEED_UNKNOWN } from '#uapi/ethtool.ts';

type Statistic = readonly [string, (adapter: IgbAdapter) => number];

/** @kernel igb_gstrings_stats drivers/net/ethernet/intel/igb/igb_ethtool.c */
const STATISTICS: readonly Statistic[] = [
  ['rx_packets', (a) => a.stats.gprc],
  ['tx_packets', (a) => a.stats.gptc],
  ['rx_bytes', (a) => a.stats.gorc],
  ['tx_bytes', (a) => a.stats.gotc],
  ['rx_broadcast', (a) => a.stats.bprc],
  ['tx_broadcast', (a) => a.stats.bptc],
  ['rx_multicast', (a) => a.stats.mprc],
  ['tx_multicast', (a) => a.stats.mptc],
  ['multicast', (a) => a.stats.mprc],
  ['collisions', (a) => a.stats.colc],
  ['rx_crc_errors', (a) => a.stats.crcerrs],
  ['rx_no_buffer_count', (a) => a.stats.rnbc],
  ['rx_missed_errors', (a) => a.stats.mpc],
  ['tx_aborted_errors', (a) => a.stats.ecol],
  ['tx_carrier_errors', (a) => a.stats.tncrs],
  ['tx_window_errors', (a) => a.stats.latecol],
  ['tx_abort_late_coll', (a) => a.stats.latecol],
  ['tx_deferred_ok', (a) => a.stats.dc],
  ['tx_single_coll_ok', (a) => a.stats.scc],
  ['tx_multi_coll_ok', (a) => a.stats.mcc],
  ['tx_timeout_count', (a) => a.txTimeoutCount],
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
  ['tx_dma_out_of_sync', (a) => a.stats.doosync],
  // @kernel igb_gstrings_net_stats
  ['rx_errors', (a) => a.stats64.rxErrors],
  ['tx_errors', (a) => a.stats64.txErrors],
  ['tx_dropped', (a) => a.stats64.txDropped],
  ['rx_length_errors', (a) => a.stats64.rxLengthErrors],
  ['rx_over_errors', (a) => a.stats64.rxOverErrors],
  ['rx_frame_errors', (a) => a.stats64.rxFrameErrors],
  ['rx_fifo_errors', (a) => a.stats64.rxFifoErrors],
  ['tx_fifo_errors', (a) => a.stats64.txFifoErrors],
  ['tx_heartbeat_errors', (a) => a.stats64.txHeartbeatErrors],
];

/** @kernel igb_priv_flags_strings drivers/net/ethernet/intel/igb/igb_ethtool.c */
const PRIV_FLAGS: readonly string[] = ['legacy-rx'];
const IGB_PRIV_FLAGS_LEGACY_RX = 1;

/** @kernel igb_get_strings drivers/net/ethernet/intel/igb/igb_ethtool.c */
function igbGetStrings(dev: NetDevice): string[] {
  const { txRing, rxRing } = igbAdapter(dev);
  const names = STATISTICS.map(([name]) => name);
  for (const { queueIndex: n } of txRing) {
    names.push(`tx_queue_${n}_packets`, `tx_queue_${n}_bytes`, `tx_queue_${n}_restart`);
  }
  for (const { queueIndex: n } of rxRing) {
    names.push(`rx_queue_${n}_packets`, `rx_queue_${n}_bytes`, `rx_queue_${n}_drops`);
    names.push(`rx_queue_${n}_csum_err`, `rx_queue_${n}_alloc_failed`);
  }
  return names;
}

/** @kernel igb_get_ethtool_stats drivers/net/ethernet/intel/igb/igb_ethtool.c */
function igbGetEthtoolStats(dev: NetDevice): number[] {
  const adapter = igbAdapter(dev);
  igbUpdateStats(adapter);
  const values = STATISTICS.map(([, read]) => read(adapter));
  for (const ring of adapter.txRing) values.push(ring.packets, ring.bytes, ring.restartQueue);
  for (const ring of adapter.rxRing) {
    values.push(ring.packets, ring.bytes, ring.drops, ring.csumErr, ring.allocFailed);
  }
  return values;
}

/** Gives rings memory for `count` descriptors each: 0, or -ENOMEM with what they had. */
function resize<R extends IgbTxRing | IgbRxRing>(
  adapter: IgbAdapter,
  rings: readonly R[],
  fresh: readonly R[],
  setup: (adapter: IgbAdapter, ring: R) => number,
): number {
  for (const ring of fresh) {
    const err = setup(adapter, ring);
    if (err === 0) continue;
    for (const other of fresh) igbFreeRing(adapter, other);
    return err;
  }
  for (const [i, { desc, size, count, bufferInfo }] of fresh.entries()) {
    const ring = rings[i] as R;
    igbFreeRing(adapter, ring);
    Object.assign(ring, { desc, size, count, bufferInfo });
  }
  return 0;
}

/** The rings of a device that has been stopped. 0 or -ENOMEM. */
function resizeRings(adapter: IgbAdapter, rx: number, tx: number): number {
  const { txRing, rxRing } = adapter;
  if (tx !== adapter.txRingCount) {
    const fresh = txRing.map(({ queueIndex }) => new IgbTxRing(queueIndex, tx));
    const err = resize(adapter, txRing, fresh, igbSetupTxResources);
    if (err !== 0) return err;
    adapter.txRingCount = tx;
  }
  if (rx !== adapter.rxRingCount) {
    const fresh = rxRing.map(({ queueIndex }) => new IgbRxRing(queueIndex, rx));
    const err = resize(adapter, rxRing, fresh, igbSetupRxResources);
    if (err !== 0) return err;
    adapter.rxRingCount = rx;
  }
  return 0;
}

/**
 * Changes the rings; a running device is stopped meanwhile, and goes on with those it had when memory
 * is short. 0 or a negative errno.
 * @kernel igb_set_ringparam drivers/net/ethernet/intel/igb/igb_ethtool.c
 */
function igbSetRingparam(dev: NetDevice, rxPending: number, txPending: number): number {
  const adapter = igbAdapter(dev);
  const rx = clampDescriptors(rxPending, IGB_MIN_RXD, IGB_MAX_RXD);
  const tx = clampDescriptors(txPending, IGB_MIN_TXD, IGB_MAX_TXD);
  if (rx === adapter.rxRingCount && tx === adapter.txRingCount) return 0;
  if (!netifRunning(dev)) {
    for (const ring of adapter.txRing) ring.count = tx;
    for (const ring of adapter.rxRing) ring.count = rx;
    adapter.txRingCount = tx;
    adapter.rxRingCount = rx;
    return 0;
  }
  adapter.state |= __IGB_RESETTING;
  igbDown(adapter);
  const err = resizeRings(adapter, rx, tx);
  igbUp(adapter);
  adapter.state &= ~__IGB_RESETTING;
  return err;
}

/** An interval as ethtool has it: a mode, or us. */
function usecsOf(setting: number): number {
  return setting <= 3 ? setting : setting >> 2;
}

function settingOf(usecs: number): number {
  return usecs > 3 ? usecs << 2 : usecs;
}

function badUsecs(usecs: number): boolean {
  return usecs > IGB_MAX_ITR_USECS || (usecs > 3 && usecs < IGB_MIN_ITR_USECS) || usecs === 2;
}

/** @kernel igb_get_coalesce drivers/net/ethernet/intel/igb/igb_ethtool.c */
function igbGetCoalesce(dev: NetDevice): { rxUsecs: number; txUsecs: number } {
  const { rxItrSetting, txItrSetting, flags } = igbAdapter(dev);
  const pairs = (flags & IGB_FLAG_QUEUE_PAIRS) !== 0;
  return { rxUsecs: usecsOf(rxItrSetting), txUsecs: pairs ? 0 : usecsOf(txItrSetting) };
}

/** Interval of interrupts in us; 0: off; 1, 3: dynamic. @kernel igb_set_coalesce drivers/net/ethernet/intel/igb/igb_ethtool.c */
function igbSetCoalesce(dev: NetDevice, rxUsecs: number, txUsecs: number): number {
  const adapter = igbAdapter(dev);
  const pairs = (adapter.flags & IGB_FLAG_QUEUE_PAIRS) !== 0;
  if (badUsecs(rxUsecs) || badUsecs(txUsecs)) return -EINVAL;
  if (pairs && txUsecs !== 0) return -EINVAL;
  adapter.rxItrSetting = settingOf(rxUsecs);
  adapter.txItrSetting = pairs ? adapter.rxItrSetting : settingOf(txUsecs);
  for (const vector of adapter.qVector) {
    const setting = vector.rx.ring !== null ? adapter.rxItrSetting : adapter.txItrSetting;
    vector.itrVal = setting !== 0 && setting <= 3 ? IGB_START_ITR : setting;
    vector.setItr = true;
  }
  return 0;
}

/** @kernel igb_get_priv_flags drivers/net/ethernet/intel/igb/igb_ethtool.c */
function igbGetPrivFlags(dev: NetDevice): number {
  return (igbAdapter(dev).flags & IGB_FLAG_RX_LEGACY) !== 0 ? IGB_PRIV_FLAGS_LEGACY_RX : 0;
}

/** @kernel igb_set_priv_flags drivers/net/ethernet/intel/igb/igb_ethtool.c */
function igbSetPrivFlags(dev: NetDevice, privFlags: number): number {
  const adapter = igbAdapter(dev);
  const legacy = (privFlags & IGB_PRIV_FLAGS_LEGACY_RX) !== 0 ? IGB_FLAG_RX_LEGACY : 0;
  const flags = (adapter.flags & ~IGB_FLAG_RX_LEGACY) | legacy;
  if (flags === adapter.flags) return 0;
  adapter.flags = flags;
  if (netifRunning(dev)) igbReinitLocked(adapter);
  return 0;
}

/** @kernel igb_ethtool_ops drivers/net/ethernet/intel/igb/igb_ethtool.c */
export const igbEthtoolOps: EthtoolOps = ethtoolOps({
  getDrvinfo: (dev) => ({
    driver: 'igb',
    version: '',
    busInfo: pciName(igbAdapter(dev).pdev),
  }),
  getLink: (dev) => netifCarrierOk(dev),
  getLinkKsettings: (dev) => {
    const adapter = igbAdapter(dev);
    if ((rd32(adapter.hw, E1000_STATUS) & E1000_STATUS_LU) === 0) {
      return { speedMbps: SPEED_UNKNOWN, duplexFull: null, autoneg: true };
    }
    const { linkSpeed, linkDuplex } = adapter;
    return { speedMbps: linkSpeed, duplexFull: linkDuplex === FULL_DUPLEX, autoneg: true };
  },
  getRingparam: (dev) => {
    const { rxRingCount, txRingCount } = igbAdapter(dev);
    return {
      rxMaxPending: IGB_MAX_RXD,
      txMaxPending: IGB_MAX_TXD,
      rxPending: rxRingCount,
      txPending: txRingCount,
    };
  },
  setRingparam: igbSetRingparam,
  getCoalesce: igbGetCoalesce,
  setCoalesce: igbSetCoalesce,
  getStrings: igbGetStrings,
  getEthtoolStats: igbGetEthtoolStats,
  getChannels: igbGetChannels,
  setChannels: igbSetChannels,
  getRxRingCount: (dev) => igbAdapter(dev).numRxQueues,
  getRxfhIndirSize: () => IGB_RETA_SIZE,
  getRxfhKeySize: () => TOEPLITZ_KEY_LEN,
  getRxfh: igbGetRxfh,
  setRxfh: igbSetRxfh,
  getRxfhFields: igbGetRxfhFields,
  setRxfhFields: igbSetRxfhFields,
  getPrivFlagStrings: () => PRIV_FLAGS,
  getPrivFlags: igbGetPrivFlags,
  setPrivFlags: igbSetPrivFlags,
});
