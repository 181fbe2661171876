/**
 * SIOCETHTOOL: one ioctl for all that a driver tells of itself and lets change. Counterpart of
 * net/ethtool/ioctl.c.
 *
 * Every request is a structure whose first word is its command, read and overwritten in place.
 */
import { SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { NETIF_F_NEVER_CHANGE } from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Machine } from '#kernel/machine.ts';
import { setU64 } from '#lib/int64.ts';
import { latin1Encode } from '#lib/utf8.ts';
import { netdevUpdateFeatures } from '#net/core/dev_register.ts';
import { netdevFeaturesStrings, rssHashFuncStrings } from '#net/core/ethtool.ts';
import type { EthtoolCommand, EthtoolHandler } from '#net/core/ethtool_command.ts';
import { RXFH_COMMANDS } from '#net/core/ethtool_ioctl_rxfh.ts';
import { EFAULT, EINVAL, EOPNOTSUPP } from '#uapi/errno.ts';
import {
  ETH_GSTRING_LEN,
  ETH_SS_FEATURES,
  ETH_SS_PRIV_FLAGS,
  ETH_SS_RSS_HASH_FUNCS,
  ETH_SS_STATS,
  ETHTOOL_BUSINFO_LEN,
  ETHTOOL_F_UNSUPPORTED,
  ETHTOOL_F_WISH,
  ETHTOOL_GCOALESCE,
  ETHTOOL_GDRVINFO,
  ETHTOOL_GFEATURES,
  ETHTOOL_GLINK,
  ETHTOOL_GPFLAGS,
  ETHTOOL_GRINGPARAM,
  ETHTOOL_GSSET_INFO,
  ETHTOOL_GSTATS,
  ETHTOOL_GSTRINGS,
  ETHTOOL_SCOALESCE,
  ETHTOOL_SFEATURES,
  ETHTOOL_SPFLAGS,
  ETHTOOL_SRINGPARAM,
  ethtoolCoalesce,
  ethtoolDrvinfo,
  ethtoolFeatures,
  ethtoolRingparam,
  ethtoolSsetInfo,
  ethtoolStrings,
  ethtoolValue,
} from '#uapi/ethtool.ts';

/** Names of the features by their bit numbers. */
function featureNames(): string[] {
  const names: string[] = [];
  for (const [feature, name] of netdevFeaturesStrings) names[31 - Math.clz32(feature)] = name;
  return Array.from(names, (name) => name ?? '');
}

/** @kernel __ethtool_get_strings net/ethtool/ioctl.c */
function strings(dev: NetDevice, set: number): readonly string[] | null {
  if (set === ETH_SS_FEATURES) return featureNames();
  if (set === ETH_SS_STATS) return dev.ethtoolOps?.getStrings?.(dev) ?? null;
  if (set === ETH_SS_RSS_HASH_FUNCS) return rssHashFuncStrings;
  if (set === ETH_SS_PRIV_FLAGS) return dev.ethtoolOps?.getPrivFlagStrings?.(dev) ?? null;
  return null;
}

function putString(arg: Uint8Array, at: number, text: string, room: number): void {
  arg.fill(0, at, at + room);
  arg.set(latin1Encode(text).subarray(0, room - 1), at);
}

/** @kernel ethtool_get_drvinfo net/ethtool/ioctl.c */
const getDrvinfo: EthtoolHandler = (dev, ops, v, arg) => {
  const info = ops?.getDrvinfo?.(dev);
  if (info === undefined) return -EOPNOTSUPP;
  arg.fill(0, 4, ethtoolDrvinfo.LEN);
  putString(arg, ethtoolDrvinfo.DRIVER, info.driver, ETHTOOL_BUSINFO_LEN);
  putString(arg, ethtoolDrvinfo.VERSION, info.version, ETHTOOL_BUSINFO_LEN);
  putString(arg, ethtoolDrvinfo.BUS_INFO, info.busInfo, ETHTOOL_BUSINFO_LEN);
  ethtoolDrvinfo.setNStats(v, 0, ops?.getStrings?.(dev).length ?? 0);
  ethtoolDrvinfo.setNPrivFlags(v, 0, ops?.getPrivFlagStrings?.(dev).length ?? 0);
  return 0;
};

/** @kernel ethtool_get_link net/ethtool/ioctl.c */
const getLink: EthtoolHandler = (dev, ops, v) => {
  const link = ops?.getLink?.(dev);
  if (link === undefined) return -EOPNOTSUPP;
  v.setUint32(4, link ? 1 : 0, true);
  return 0;
};

/** @kernel ethtool_get_ringparam net/ethtool/ioctl.c */
const getRingparam: EthtoolHandler = (dev, ops, v, arg) => {
  const ring = ops?.getRingparam?.(dev);
  if (ring === undefined) return -EOPNOTSUPP;
  arg.fill(0, 4, ethtoolRingparam.LEN);
  ethtoolRingparam.setRxMaxPending(v, 0, ring.rxMaxPending);
  ethtoolRingparam.setTxMaxPending(v, 0, ring.txMaxPending);
  ethtoolRingparam.setRxPending(v, 0, ring.rxPending);
  ethtoolRingparam.setTxPending(v, 0, ring.txPending);
  return 0;
};

/** @kernel ethtool_set_ringparam net/ethtool/ioctl.c */
const setRingparam: EthtoolHandler = (dev, ops, v) => {
  const now = ops?.getRingparam?.(dev);
  if (now === undefined || !ops?.setRingparam) return -EOPNOTSUPP;
  const rx = ethtoolRingparam.rxPending(v, 0);
  const tx = ethtoolRingparam.txPending(v, 0);
  const others = ethtoolRingparam.rxMiniPending(v, 0) + ethtoolRingparam.rxJumboPending(v, 0) !== 0;
  if (others || rx > now.rxMaxPending || tx > now.txMaxPending) return -EINVAL;
  return ops.setRingparam(dev, rx, tx);
};

/** @kernel ethtool_get_coalesce net/ethtool/ioctl.c */
const getCoalesce: EthtoolHandler = (dev, ops, v, arg) => {
  const coalesce = ops?.getCoalesce?.(dev);
  if (coalesce === undefined) return -EOPNOTSUPP;
  arg.fill(0, 4, ethtoolCoalesce.LEN);
  ethtoolCoalesce.setRxUsecs(v, 0, coalesce.rxUsecs);
  ethtoolCoalesce.setTxUsecs(v, 0, coalesce.txUsecs);
  return 0;
};

/** @kernel ethtool_set_coalesce net/ethtool/ioctl.c */
const setCoalesce: EthtoolHandler = (dev, ops, v) =>
  ops?.setCoalesce?.(dev, ethtoolCoalesce.rxUsecs(v, 0), ethtoolCoalesce.txUsecs(v, 0)) ??
  -EOPNOTSUPP;

/** How many strings each of the sets in the mask has, those without left out. @kernel ethtool_get_sset_info net/ethtool/ioctl.c */
const getSsetInfo: EthtoolHandler = (dev, _ops, v, arg) => {
  const mask = ethtoolSsetInfo.mask(v, 0);
  let found = 0;
  let at = ethtoolSsetInfo.LEN;
  for (let set = 0; set < 32; set++) {
    const names = (mask & (1 << set)) === 0 ? null : strings(dev, set);
    if (names === null) continue;
    if (at + 4 > arg.length) return -EFAULT;
    v.setUint32(at, names.length, true);
    found |= 1 << set;
    at += 4;
  }
  ethtoolSsetInfo.setMask(v, 0, found >>> 0);
  return 0;
};

/** @kernel ethtool_get_strings net/ethtool/ioctl.c */
const getStrings: EthtoolHandler = (dev, _ops, v, arg) => {
  const names = strings(dev, ethtoolStrings.set(v, 0));
  if (names === null) return -EOPNOTSUPP;
  if (ethtoolStrings.LEN + names.length * ETH_GSTRING_LEN > arg.length) return -EFAULT;
  ethtoolStrings.setLength(v, 0, names.length);
  names.forEach((name, i) => {
    putString(arg, ethtoolStrings.LEN + i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN);
  });
  return 0;
};

/** @kernel ethtool_get_stats net/ethtool/ioctl.c */
const getStats: EthtoolHandler = (dev, ops, v, arg) => {
  const values = ops?.getEthtoolStats?.(dev);
  if (values === undefined) return -EOPNOTSUPP;
  if (8 + values.length * 8 > arg.length) return -EFAULT;
  v.setUint32(4, values.length, true);
  values.forEach((value, i) => {
    setU64(v, 8 + i * 8, value, true);
  });
  return 0;
};

/** All features fit one block of 32. @kernel ethtool_get_features net/ethtool/ioctl.c */
const getFeatures: EthtoolHandler = (dev, _ops, v, arg) => {
  const room = ethtoolFeatures.size(v, 0);
  ethtoolFeatures.setSize(v, 0, 1);
  if (room === 0) return 0;
  if (arg.length < ethtoolFeatures.LEN + ethtoolFeatures.GET_BLOCK) return -EFAULT;
  const at = ethtoolFeatures.LEN;
  v.setUint32(at, dev.hwFeatures >>> 0, true);
  v.setUint32(at + 4, dev.wantedFeatures >>> 0, true);
  v.setUint32(at + 8, dev.features >>> 0, true);
  v.setUint32(at + 12, NETIF_F_NEVER_CHANGE >>> 0, true);
  return 0;
};

/**
 * Asks for features: 0, or bits that say what became of the wish.
 * @kernel ethtool_set_features net/ethtool/ioctl.c
 */
const setFeatures: EthtoolHandler = (dev, _ops, v, arg) => {
  if (ethtoolFeatures.size(v, 0) !== 1) return -EINVAL;
  if (arg.length < ethtoolFeatures.LEN + ethtoolFeatures.SET_BLOCK) return -EFAULT;
  let valid = v.getUint32(ethtoolFeatures.LEN, true);
  const requested = v.getUint32(ethtoolFeatures.LEN + 4, true);
  let ret = 0;
  if ((valid & ~dev.hwFeatures) !== 0) {
    valid &= dev.hwFeatures;
    ret |= ETHTOOL_F_UNSUPPORTED;
  }
  dev.wantedFeatures = (dev.wantedFeatures & ~valid) | (requested & valid);
  netdevUpdateFeatures(dev);
  if (((dev.wantedFeatures ^ dev.features) & valid) !== 0) ret |= ETHTOOL_F_WISH;
  return ret;
};

/** @kernel ethtool_get_value net/ethtool/ioctl.c */
const getPrivFlags: EthtoolHandler = (dev, ops, v) => {
  const flags = ops?.getPrivFlags?.(dev);
  if (flags === undefined) return -EOPNOTSUPP;
  ethtoolValue.setData(v, 0, flags);
  return 0;
};

/** @kernel ethtool_set_value net/ethtool/ioctl.c */
const setPrivFlags: EthtoolHandler = (dev, ops, v) =>
  ops?.setPrivFlags?.(dev, ethtoolValue.data(v, 0)) ?? -EOPNOTSUPP;

const COMMANDS: ReadonlyMap<number, EthtoolCommand> = new Map<number, EthtoolCommand>([
  ...RXFH_COMMANDS,
  [ETHTOOL_GDRVINFO, { length: ethtoolDrvinfo.LEN, run: getDrvinfo }],
  [ETHTOOL_GLINK, { length: 8, run: getLink }],
  [ETHTOOL_GRINGPARAM, { length: ethtoolRingparam.LEN, run: getRingparam }],
  [ETHTOOL_SRINGPARAM, { length: ethtoolRingparam.LEN, run: setRingparam }],
  [ETHTOOL_GCOALESCE, { length: ethtoolCoalesce.LEN, run: getCoalesce }],
  [ETHTOOL_SCOALESCE, { length: ethtoolCoalesce.LEN, run: setCoalesce }],
  [ETHTOOL_GSSET_INFO, { length: ethtoolSsetInfo.LEN, run: getSsetInfo }],
  [ETHTOOL_GSTRINGS, { length: ethtoolStrings.LEN, run: getStrings }],
  [ETHTOOL_GSTATS, { length: 8, run: getStats }],
  [ETHTOOL_GPFLAGS, { length: ethtoolValue.LEN, run: getPrivFlags }],
  [ETHTOOL_SPFLAGS, { length: ethtoolValue.LEN, run: setPrivFlags }],
  [ETHTOOL_GFEATURES, { length: ethtoolFeatures.LEN, run: getFeatures }],
  [ETHTOOL_SFEATURES, { length: ethtoolFeatures.LEN, run: setFeatures }],
]);

/**
 * Carries out the request in `arg`, under rtnl. 0 or more, or a negative errno: -EOPNOTSUPP when the
 * driver or this kernel does not know the command.
 * @kernel dev_ethtool net/ethtool/ioctl.c
 */
export function devEthtool(dev: NetDevice, arg: Uint8Array): number {
  if (arg.length < 4) return -EFAULT;
  const v = new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
  const command = COMMANDS.get(v.getUint32(0, true));
  if (command === undefined) return -EOPNOTSUPP;
  if (arg.length < command.length) return -EFAULT;
  return command.run(dev, dev.ethtoolOps, v, arg);
}

/** @kernel dev_ethtool net/ethtool/ioctl.c */
function ethtoolInit(machine: Machine): number {
  machine.netGlobals.devEthtool = devEthtool;
  return 0;
}

export const ethtoolModule: KernelModule = {
  name: 'ethtool',
  config: null,
  depends: [],
  level: SUBSYS_INITCALL,
  init: ethtoolInit,
  exit: null,
};
