/**
 * What ethtool asks of the virtio-net driver. Counterpart of that part of drivers/net/virtio_net.c.
 */
import { virtnetSetChannels } from '#drivers/net/virtio_net_ctrl.ts';
import { type VirtnetInfo, virtnetInfo } from '#drivers/net/virtio_net_queue.ts';
import type { EthtoolChannels, EthtoolOps } from '#include/linux/ethtool.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { virtqueueGetVringSize } from '#include/linux/virtio.ts';
import { ethtoolOpGetLink, ethtoolOps } from '#net/core/ethtool.ts';
import { PP_STATS, pagePoolEthtoolStats } from '#net/core/page_pool.ts';
import { EOPNOTSUPP } from '#uapi/errno.ts';
import { DUPLEX_FULL, DUPLEX_UNKNOWN } from '#uapi/ethtool.ts';

/** Names of a queue's statistics; `rx0_packets` and so on. @kernel virtnet_rq_stats_desc drivers/net/virtio_net.c */
const RQ_STATS: readonly string[] = ['packets', 'bytes', 'drops', 'kicks'];
/** @kernel virtnet_sq_stats_desc drivers/net/virtio_net.c */
const SQ_STATS: readonly string[] = ['packets', 'bytes', 'kicks', 'tx_timeouts', 'stop', 'wake'];

/** @kernel virtnet_get_strings drivers/net/virtio_net.c */
function virtnetGetStrings(dev: NetDevice): string[] {
  const pairs = virtnetInfo(dev).currQueuePairs;
  const names: string[] = [];
  for (let i = 0; i < pairs; i++) names.push(...RQ_STATS.map((name) => `rx${i}_${name}`));
  for (let i = 0; i < pairs; i++) names.push(...SQ_STATS.map((name) => `tx${i}_${name}`));
  return [...names, ...PP_STATS];
}

function poolStats(vi: VirtnetInfo): number[] {
  return pagePoolEthtoolStats(vi.rq.slice(0, vi.currQueuePairs).map(({ pool }) => pool));
}

/** @kernel virtnet_get_ethtool_stats drivers/net/virtio_net.c */
function virtnetGetEthtoolStats(dev: NetDevice): number[] {
  const vi = virtnetInfo(dev);
  const values: number[] = [];
  for (const { stats: s } of vi.rq.slice(0, vi.currQueuePairs)) {
    values.push(s.packets, s.bytes, s.drops, s.kicks);
  }
  for (const { stats: s } of vi.sq.slice(0, vi.currQueuePairs)) {
    values.push(s.packets, s.bytes, s.kicks, s.txTimeouts, s.stop, s.wake);
  }
  return [...values, ...poolStats(vi)];
}

/** @kernel virtnet_get_ringparam drivers/net/virtio_net.c */
function virtnetGetRingparam(dev: NetDevice): ReturnType<NonNullable<EthtoolOps['getRingparam']>> {
  const { rq, sq } = virtnetInfo(dev);
  const rx = rq[0]?.vq;
  const tx = sq[0]?.vq;
  return {
    rxMaxPending: rx?.numMax ?? 0,
    txMaxPending: tx?.numMax ?? 0,
    rxPending: rx === undefined ? 0 : virtqueueGetVringSize(rx),
    txPending: tx === undefined ? 0 : virtqueueGetVringSize(tx),
  };
}

/** Rings of such a device cannot be resized without VIRTIO_F_RING_RESET. @kernel virtnet_set_ringparam drivers/net/virtio_net.c */
function virtnetSetRingparam(dev: NetDevice, rx: number, tx: number): number {
  const now = virtnetGetRingparam(dev);
  return rx === now.rxPending && tx === now.txPending ? 0 : -EOPNOTSUPP;
}

/** Pairs in use, and most there can be. @kernel virtnet_get_channels drivers/net/virtio_net.c */
function virtnetGetChannels(dev: NetDevice): EthtoolChannels {
  const { currQueuePairs, maxQueuePairs } = virtnetInfo(dev);
  return {
    maxRx: 0,
    maxTx: 0,
    maxOther: 0,
    maxCombined: maxQueuePairs,
    rxCount: 0,
    txCount: 0,
    otherCount: 0,
    combinedCount: currQueuePairs,
  };
}

/** @kernel virtnet_ethtool_ops drivers/net/virtio_net.c */
export const virtnetEthtoolOps: EthtoolOps = ethtoolOps({
  getDrvinfo: (dev) => {
    const { vdev } = virtnetInfo(dev);
    return { driver: 'virtio_net', version: '1.0.0', busInfo: vdev.config.busName(vdev) };
  },
  getLink: ethtoolOpGetLink,
  getLinkKsettings: (dev) => {
    const { speed, duplex } = virtnetInfo(dev);
    return {
      speedMbps: speed,
      duplexFull: duplex === DUPLEX_UNKNOWN ? null : duplex === DUPLEX_FULL,
      autoneg: false,
    };
  },
  getRingparam: virtnetGetRingparam,
  setRingparam: virtnetSetRingparam,
  getStrings: virtnetGetStrings,
  getEthtoolStats: virtnetGetEthtoolStats,
  getChannels: virtnetGetChannels,
  setChannels: virtnetSetChannels,
  getRxRingCount: (dev) => virtnetInfo(dev).currQueuePairs,
});
