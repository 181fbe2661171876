/**
 * Queues and how flows are spread over them, by ioctl: channels, the indirection table and key of the
 * receive hash, the fields that feed it. Counterpart of those parts of net/ethtool/ioctl.c.
 */
import type { EthtoolChannels, EthtoolOps, EthtoolRxfhParam } from '#include/linux/ethtool.ts';
import { IFF_RXFH_CONFIGURED, type NetDevice } from '#include/linux/netdevice.ts';
import { ethtoolRxfhIndirDefault } from '#net/core/ethtool.ts';
import type { EthtoolCommand, EthtoolHandler } from '#net/core/ethtool_command.ts';
import { EFAULT, EINVAL, EOPNOTSUPP } from '#uapi/errno.ts';
import {
  ETH_RSS_HASH_NO_CHANGE,
  ETH_RXFH_INDIR_NO_CHANGE,
  ETHTOOL_GCHANNELS,
  ETHTOOL_GRSSH,
  ETHTOOL_GRXFH,
  ETHTOOL_GRXRINGS,
  ETHTOOL_SCHANNELS,
  ETHTOOL_SRSSH,
  ETHTOOL_SRXFH,
  ethtoolChannels,
  ethtoolRxfh,
  ethtoolRxnfc,
} from '#uapi/ethtool.ts';

/** @kernel ethtool_get_channels net/ethtool/ioctl.c */
const getChannels: EthtoolHandler = (dev, ops, v, arg) => {
  const channels = ops?.getChannels?.(dev);
  if (channels === undefined) return -EOPNOTSUPP;
  arg.fill(0, 4, ethtoolChannels.LEN);
  ethtoolChannels.setMaxRx(v, 0, channels.maxRx);
  ethtoolChannels.setMaxTx(v, 0, channels.maxTx);
  ethtoolChannels.setMaxOther(v, 0, channels.maxOther);
  ethtoolChannels.setMaxCombined(v, 0, channels.maxCombined);
  ethtoolChannels.setRxCount(v, 0, channels.rxCount);
  ethtoolChannels.setTxCount(v, 0, channels.txCount);
  ethtoolChannels.setOtherCount(v, 0, channels.otherCount);
  ethtoolChannels.setCombinedCount(v, 0, channels.combinedCount);
  return 0;
};

/** Would the table that a user has set name a queue that is gone? @kernel ethtool_check_max_channel net/ethtool/common.c */
function losesQueue(dev: NetDevice, ops: EthtoolOps, queues: number): boolean {
  if ((dev.privFlags & IFF_RXFH_CONFIGURED) === 0) return false;
  const indir = ops.getRxfh?.(dev).indir ?? null;
  return indir !== null && Array.from(indir).some((queue) => queue >= queues);
}

/** @kernel ethtool_set_channels net/ethtool/ioctl.c */
const setChannels: EthtoolHandler = (dev, ops, v) => {
  const now = ops?.getChannels?.(dev);
  if (ops === null || now === undefined || ops.setChannels === null) return -EOPNOTSUPP;
  const wanted: EthtoolChannels = {
    ...now,
    rxCount: ethtoolChannels.rxCount(v, 0),
    txCount: ethtoolChannels.txCount(v, 0),
    otherCount: ethtoolChannels.otherCount(v, 0),
    combinedCount: ethtoolChannels.combinedCount(v, 0),
  };
  const same =
    wanted.rxCount === now.rxCount &&
    wanted.txCount === now.txCount &&
    wanted.otherCount === now.otherCount &&
    wanted.combinedCount === now.combinedCount;
  if (same) return 0;
  const tooMany =
    wanted.rxCount > now.maxRx ||
    wanted.txCount > now.maxTx ||
    wanted.otherCount > now.maxOther ||
    wanted.combinedCount > now.maxCombined;
  // Both directions need at least one.
  const none = wanted.combinedCount === 0 && (wanted.rxCount === 0 || wanted.txCount === 0);
  if (tooMany || none) return -EINVAL;
  if (losesQueue(dev, ops, wanted.combinedCount + wanted.rxCount)) return -EINVAL;
  return ops.setChannels(dev, wanted);
};

/** @kernel ethtool_get_rxrings net/ethtool/ioctl.c */
const getRxRings: EthtoolHandler = (dev, ops, v) => {
  const count = ops?.getRxRingCount?.(dev);
  if (count === undefined) return -EOPNOTSUPP;
  ethtoolRxnfc.setData(v, 0, count);
  return 0;
};

/** @kernel ethtool_get_rxfh_fields net/ethtool/ioctl.c */
const getRxfhFields: EthtoolHandler = (dev, ops, v) => {
  const fields = ops?.getRxfhFields?.(dev, ethtoolRxnfc.flowType(v, 0)) ?? -EOPNOTSUPP;
  if (fields < 0) return fields;
  ethtoolRxnfc.setData(v, 0, fields);
  return 0;
};

/** @kernel ethtool_set_rxfh_fields net/ethtool/ioctl.c */
const setRxfhFields: EthtoolHandler = (dev, ops, v) =>
  ops?.setRxfhFields?.(dev, ethtoolRxnfc.flowType(v, 0), ethtoolRxnfc.data(v, 0)) ?? -EOPNOTSUPP;

/** Sizes of the device's table and key; 0: it has none. */
function sizes(dev: NetDevice, ops: EthtoolOps | null): { indir: number; key: number } {
  return { indir: ops?.getRxfhIndirSize?.(dev) ?? 0, key: ops?.getRxfhKeySize?.(dev) ?? 0 };
}

/** Table, key and function; with sizes of 0 only those are told. @kernel ethtool_get_rxfh net/ethtool/ioctl.c */
const getRxfh: EthtoolHandler = (dev, ops, v, arg) => {
  const have = sizes(dev, ops);
  const rxfh = ops?.getRxfh?.(dev);
  if (rxfh === undefined || have.indir + have.key === 0) return -EOPNOTSUPP;
  const indirSize = ethtoolRxfh.indirSize(v, 0);
  const keySize = ethtoolRxfh.keySize(v, 0);
  if (ethtoolRxfh.rssContext(v, 0) !== 0) return -EOPNOTSUPP;
  ethtoolRxfh.setIndirSize(v, 0, have.indir);
  ethtoolRxfh.setKeySize(v, 0, have.key);
  ethtoolRxfh.setHfunc(v, 0, rxfh.hfunc);
  if ((indirSize !== 0 && indirSize !== have.indir) || (keySize !== 0 && keySize !== have.key)) {
    return -EINVAL;
  }
  if (ethtoolRxfh.LEN + 4 * indirSize + keySize > arg.length) return -EFAULT;
  for (let i = 0; i < indirSize; i++) {
    v.setUint32(ethtoolRxfh.LEN + 4 * i, rxfh.indir?.[i] ?? 0, true);
  }
  if (keySize !== 0 && rxfh.key !== null) arg.set(rxfh.key, ethtoolRxfh.LEN + 4 * indirSize);
  return 0;
};

/** The table that a request carries; null: none; a negative errno. */
function wantedTable(
  dev: NetDevice,
  ops: EthtoolOps,
  v: DataView,
  size: number,
): Uint32Array | null | number {
  const given = ethtoolRxfh.indirSize(v, 0);
  if (given === ETH_RXFH_INDIR_NO_CHANGE) return null;
  const rings = ops.getRxRingCount?.(dev) ?? 0;
  if (rings === 0) return -EOPNOTSUPP;
  // Nothing given: back to the default.
  if (given === 0)
    return Uint32Array.from({ length: size }, (_, i) => ethtoolRxfhIndirDefault(i, rings));
  if (given !== size) return -EINVAL;
  if (ethtoolRxfh.LEN + 4 * size > v.byteLength) return -EFAULT;
  const table = new Uint32Array(size);
  for (let i = 0; i < size; i++) {
    const queue = v.getUint32(ethtoolRxfh.LEN + 4 * i, true);
    if (queue >= rings) return -EINVAL;
    table[i] = queue;
  }
  return table;
}

/** @kernel ethtool_set_rxfh net/ethtool/ioctl.c */
const setRxfh: EthtoolHandler = (dev, ops, v, arg) => {
  if (ops === null || ops.getRxfh === null || ops.setRxfh === null) return -EOPNOTSUPP;
  const have = sizes(dev, ops);
  const indirSize = ethtoolRxfh.indirSize(v, 0);
  const keySize = ethtoolRxfh.keySize(v, 0);
  const hfunc = ethtoolRxfh.hfunc(v, 0);
  if (ethtoolRxfh.rssContext(v, 0) !== 0) return -EOPNOTSUPP;
  if (keySize !== 0 && keySize !== have.key) return -EINVAL;
  const nothing = indirSize === ETH_RXFH_INDIR_NO_CHANGE && keySize === 0;
  if (nothing && hfunc === ETH_RSS_HASH_NO_CHANGE) return -EINVAL;
  const indir = wantedTable(dev, ops, v, have.indir);
  if (typeof indir === 'number') return indir;
  const words = indirSize === ETH_RXFH_INDIR_NO_CHANGE ? 0 : indirSize;
  const at = ethtoolRxfh.LEN + 4 * words;
  if (at + keySize > arg.length) return -EFAULT;
  const key = keySize === 0 ? null : arg.slice(at, at + keySize);
  const rxfh: EthtoolRxfhParam = { indir, key, hfunc };
  const err = ops.setRxfh(dev, rxfh);
  if (err < 0) return err;
  if (indirSize === 0) dev.privFlags &= ~IFF_RXFH_CONFIGURED;
  else if (indir !== null) dev.privFlags |= IFF_RXFH_CONFIGURED;
  return 0;
};

export const RXFH_COMMANDS: readonly (readonly [number, EthtoolCommand])[] = [
  [ETHTOOL_GCHANNELS, { length: ethtoolChannels.LEN, run: getChannels }],
  [ETHTOOL_SCHANNELS, { length: ethtoolChannels.LEN, run: setChannels }],
  [ETHTOOL_GRXRINGS, { length: ethtoolRxnfc.LEN, run: getRxRings }],
  [ETHTOOL_GRXFH, { length: ethtoolRxnfc.LEN, run: getRxfhFields }],
  [ETHTOOL_SRXFH, { length: ethtoolRxnfc.LEN, run: setRxfhFields }],
  [ETHTOOL_GRSSH, { length: ethtoolRxfh.LEN, run: getRxfh }],
  [ETHTOOL_SRSSH, { length: ethtoolRxfh.LEN, run: setRxfh }],
];
