/** What drivers tell and take through ethtool. Counterpart of include/linux/ethtool.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';

/** @kernel ethtool_ops include/linux/ethtool.h */
export interface EthtoolOps {
  getDrvinfo: ((dev: NetDevice) => { driver: string; version: string; busInfo: string }) | null;
  getLink: ((dev: NetDevice) => boolean) | null;
  getLinkKsettings:
    | ((dev: NetDevice) => { speedMbps: number; duplexFull: boolean; autoneg: boolean })
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
}
