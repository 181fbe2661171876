/** What drivers tell and take through ethtool. Counterpart of include/linux/ethtool.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';

/** Numbers of queues, and the most there can be. @kernel ethtool_channels include/uapi/linux/ethtool.h */
export interface EthtoolChannels {
  readonly maxRx: number;
  readonly maxTx: number;
  readonly maxOther: number;
  readonly maxCombined: number;
  readonly rxCount: number;
  readonly txCount: number;
  readonly otherCount: number;
  readonly combinedCount: number;
}

/** How flows are spread; null and 0: leave it, or there is none. @kernel ethtool_rxfh_param include/linux/ethtool.h */
export interface EthtoolRxfhParam {
  /** Queue by the low bits of the hash. */
  readonly indir: ArrayLike<number> | null;
  readonly key: Uint8Array | null;
  /** ETH_RSS_HASH_* */
  readonly hfunc: number;
}

/** @kernel ethtool_ops include/linux/ethtool.h */
export interface EthtoolOps {
  getDrvinfo: ((dev: NetDevice) => { driver: string; version: string; busInfo: string }) | null;
  getLink: ((dev: NetDevice) => boolean) | null;
  /** Null and -1: nobody knows. */
  getLinkKsettings:
    | ((dev: NetDevice) => { speedMbps: number; duplexFull: boolean | null; autoneg: boolean })
    | null;
  getRingparam:
    | ((dev: NetDevice) => {
        rxMaxPending: number;
        txMaxPending: number;
        rxPending: number;
        txPending: number;
      })
    | null;
  setRingparam: ((dev: NetDevice, rxPending: number, txPending: number) => number) | null;
  getCoalesce: ((dev: NetDevice) => { rxUsecs: number; txUsecs: number }) | null;
  setCoalesce: ((dev: NetDevice, rxUsecs: number, txUsecs: number) => number) | null;
  getStrings: ((dev: NetDevice) => readonly string[]) | null;
  getEthtoolStats: ((dev: NetDevice) => readonly number[]) | null;
  getChannels: ((dev: NetDevice) => EthtoolChannels) | null;
  setChannels: ((dev: NetDevice, channels: EthtoolChannels) => number) | null;
  /** Receive queues that flows may be spread over. */
  getRxRingCount: ((dev: NetDevice) => number) | null;
  getRxfhIndirSize: ((dev: NetDevice) => number) | null;
  getRxfhKeySize: ((dev: NetDevice) => number) | null;
  getRxfh: ((dev: NetDevice) => EthtoolRxfhParam) | null;
  setRxfh: ((dev: NetDevice, rxfh: EthtoolRxfhParam) => number) | null;
  /** RXH_* bits of a kind of flow, or a negative errno. */
  getRxfhFields: ((dev: NetDevice, flowType: number) => number) | null;
  setRxfhFields: ((dev: NetDevice, flowType: number, data: number) => number) | null;
  /** Names of the driver's own flags. */
  getPrivFlagStrings: ((dev: NetDevice) => readonly string[]) | null;
  getPrivFlags: ((dev: NetDevice) => number) | null;
  setPrivFlags: ((dev: NetDevice, flags: number) => number) | null;
}
