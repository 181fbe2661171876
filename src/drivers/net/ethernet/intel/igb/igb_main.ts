/**
 * The driver of the 82576: probe and remove, what the stack calls. Counterpart of
 * drivers/net/ethernet/intel/igb/igb_main.c; open and close, transmit, receive, vectors,
 * configuration and the watchdog are in the files beside.
 */
import {
  E1000Hw,
  igbPowerDownPhyCopper,
  igbRarSet,
  igbReadMacAddr,
  igbResetHw82575,
  igbValidateNvmChecksum,
  wr32,
} from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  __IGB_DOWN,
  __IGB_RESETTING,
  IGB_DEFAULT_RXD,
  IGB_DEFAULT_TXD,
  IGB_MAX_RXD,
  IGB_MAX_TX_QUEUES,
  IGB_MAX_TXD,
  IGB_MIN_RXD,
  IGB_MIN_TXD,
  IgbAdapter,
  type IgbParams,
  igbAdapter,
  MAX_STD_JUMBO_FRAME_SIZE,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import { igbEthtoolOps } from '#drivers/net/ethernet/intel/igb/igb_ethtool.ts';
import { igbSetRxMode, igbVlanMode } from '#drivers/net/ethernet/intel/igb/igb_main_config.ts';
import {
  igbClose,
  igbDown,
  igbOpen,
  igbReinitLocked,
  igbReset,
  igbUp,
} from '#drivers/net/ethernet/intel/igb/igb_main_open.ts';
import { igbFeaturesCheck, igbXmitFrame } from '#drivers/net/ethernet/intel/igb/igb_main_tx.ts';
import {
  igbClearInterruptScheme,
  igbGetMaxRssQueues,
  igbInitInterruptScheme,
  igbSetFlagQueuePairs,
} from '#drivers/net/ethernet/intel/igb/igb_main_vectors.ts';
import {
  igbGetStats64,
  igbWatchdogTask,
} from '#drivers/net/ethernet/intel/igb/igb_main_watchdog.ts';
import { clampDescriptors } from '#drivers/net/ethernet/intel/libgbe/ring.ts';
import {
  pciDisableDevice,
  pciEnableDeviceMem,
  pciIomap,
  pciReleaseRegions,
  pciRequestRegions,
  pciSetMaster,
} from '#drivers/pci/pci.ts';
import { pciRegisterDriver } from '#drivers/pci/pci-driver.ts';
import { PCI_VENDOR_ID_INTEL } from '#hardware/e1000/e1000_regs.ts';
import { E1000_DEV_ID_82576, E1000_EICS } from '#hardware/igb/igb_regs.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import { VLAN_HLEN } from '#include/linux/if_vlan.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import {
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_HW_VLAN_CTAG_RX,
  NETIF_F_HW_VLAN_CTAG_TX,
  NETIF_F_RXCSUM,
  NETIF_F_RXHASH,
  NETIF_F_SG,
  NETIF_F_TSO,
  NETIF_F_TSO6,
} from '#include/linux/netdev_features.ts';
import {
  IFF_UNICAST_FLT,
  type NetDevice,
  type NetDeviceOps,
  netDeviceOps,
  netifRunning,
} from '#include/linux/netdevice.ts';
import type { PciDev, PciDeviceId, PciDriver } from '#include/linux/pci.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { cancelWorkSync, scheduleWork } from '#kernel/workqueue.ts';
import {
  freeNetdev,
  netifSetRealNumRxQueues,
  netifSetRealNumTxQueues,
  registerNetdev,
  unregisterNetdev,
} from '#net/core/dev_register.ts';
import { netdevRssKeyFill } from '#net/core/ethtool.ts';
import { netifCarrierOff } from '#net/core/link_watch.ts';
import {
  allocEtherdevMqs,
  ethHwAddrSet,
  ethValidateAddr,
  isValidEtherAddr,
} from '#net/ethernet/eth.ts';
import { EADDRNOTAVAIL, EIO } from '#uapi/errno.ts';
import { ETH_FCS_LEN, ETH_HLEN, ETH_ZLEN } from '#uapi/if_ether.ts';

export const IGB_DRIVER_NAME = 'igb';

/** The driver of a machine. Settings of single cards may be left before they are plugged in. */
export class IgbDriver implements PciDriver {
  readonly name: string = IGB_DRIVER_NAME;
  readonly idTable: readonly PciDeviceId[] = [
    { vendor: PCI_VENDOR_ID_INTEL, device: E1000_DEV_ID_82576, driverData: 0 },
  ];
  readonly params: Map<PciFunction, Partial<IgbParams>>;

  constructor() {
    this.params = new Map();
  }

  probe(pdev: PciDev): number {
    return igbProbe(pdev, this.params.get(pdev.function) ?? {});
  }

  remove(pdev: PciDev): void {
    igbRemove(pdev);
    this.params.delete(pdev.function);
  }
}

/** @kernel igb_init_module drivers/net/ethernet/intel/igb/igb_main.c */
export function igbInit(machine: Machine): number {
  return pciRegisterDriver(machine, new IgbDriver());
}

/** @kernel igb_reset_task drivers/net/ethernet/intel/igb/igb_main.c */
function igbResetTask(adapter: IgbAdapter): void {
  const { machine } = adapter.pdev;
  rtnlLock(machine);
  // Somebody else has reset it meanwhile, or taken it down.
  if ((adapter.state & (__IGB_DOWN | __IGB_RESETTING)) === 0) igbReinitLocked(adapter);
  rtnlUnlock(machine);
}

/** The stack has waited too long for a packet to leave. @kernel igb_tx_timeout drivers/net/ethernet/intel/igb/igb_main.c */
function igbTxTimeout(netdev: NetDevice, _txqueue: number): void {
  const adapter = igbAdapter(netdev);
  adapter.txTimeoutCount++;
  scheduleWork(adapter.resetTask);
  wr32(adapter.hw, E1000_EICS, adapter.eimsEnableMask & ~adapter.eimsOther);
}

/** @kernel igb_set_mac drivers/net/ethernet/intel/igb/igb_main.c */
function igbSetMac(netdev: NetDevice, addr: Uint8Array): number {
  if (!isValidEtherAddr(addr)) return -EADDRNOTAVAIL;
  const { hw } = igbAdapter(netdev);
  ethHwAddrSet(netdev, addr);
  hw.macAddr.set(addr.subarray(0, 6));
  igbRarSet(hw, hw.macAddr, 0);
  return 0;
}

/** @kernel igb_change_mtu drivers/net/ethernet/intel/igb/igb_main.c */
function igbChangeMtu(netdev: NetDevice, newMtu: number): number {
  const adapter = igbAdapter(netdev);
  const running = netifRunning(netdev) && (adapter.state & __IGB_DOWN) === 0;
  adapter.state |= __IGB_RESETTING;
  if (running) igbDown(adapter);
  adapter.maxFrameSize = newMtu + ETH_HLEN + ETH_FCS_LEN + VLAN_HLEN;
  netdev.mtu = newMtu;
  if (running) igbUp(adapter);
  else igbReset(adapter);
  adapter.state &= ~__IGB_RESETTING;
  return 0;
}

/** Tags are put in where they are taken out. @kernel igb_fix_features drivers/net/ethernet/intel/igb/igb_main.c */
function igbFixFeatures(_netdev: NetDevice, features: number): number {
  return (features & NETIF_F_HW_VLAN_CTAG_RX) !== 0
    ? features | NETIF_F_HW_VLAN_CTAG_TX
    : features & ~NETIF_F_HW_VLAN_CTAG_TX;
}

/** @kernel igb_set_features drivers/net/ethernet/intel/igb/igb_main.c */
function igbSetFeatures(netdev: NetDevice, features: number): number {
  const changed = netdev.features ^ features;
  if ((changed & NETIF_F_HW_VLAN_CTAG_RX) !== 0) igbVlanMode(igbAdapter(netdev), features);
  return 0;
}

/** @kernel igb_netdev_ops drivers/net/ethernet/intel/igb/igb_main.c */
const igbNetdevOps: NetDeviceOps = netDeviceOps({
  ndoOpen: igbOpen,
  ndoStop: igbClose,
  ndoStartXmit: igbXmitFrame,
  ndoFeaturesCheck: igbFeaturesCheck,
  ndoSetRxMode: igbSetRxMode,
  ndoSetMacAddress: igbSetMac,
  ndoTxTimeout: igbTxTimeout,
  ndoChangeMtu: igbChangeMtu,
  ndoValidateAddr: ethValidateAddr,
  ndoGetStats64: igbGetStats64,
  ndoFixFeatures: igbFixFeatures,
  ndoSetFeatures: igbSetFeatures,
});

/** What the device can do. */
function setFeatures(netdev: NetDevice): void {
  netdev.features =
    NETIF_F_SG |
    NETIF_F_TSO |
    NETIF_F_TSO6 |
    NETIF_F_RXHASH |
    NETIF_F_RXCSUM |
    NETIF_F_HW_CSUM |
    NETIF_F_GSO_UDP_L4;
  netdev.hwFeatures = netdev.features | NETIF_F_HW_VLAN_CTAG_RX | NETIF_F_HW_VLAN_CTAG_TX;
  netdev.features |= NETIF_F_HW_VLAN_CTAG_RX | NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HIGHDMA;
  netdev.privFlags |= IFF_UNICAST_FLT;
  netdev.minMtu = ETH_ZLEN - ETH_HLEN;
  netdev.maxMtu = MAX_STD_JUMBO_FRAME_SIZE;
}

/** The driver's own settings: 0 or a negative errno. @kernel igb_sw_init drivers/net/ethernet/intel/igb/igb_main.c */
function igbSwInit(adapter: IgbAdapter, params: Partial<IgbParams>): number {
  const { machine } = adapter.pdev;
  const { txDescriptors = IGB_DEFAULT_TXD, rxDescriptors = IGB_DEFAULT_RXD } = params;
  adapter.txRingCount = clampDescriptors(txDescriptors, IGB_MIN_TXD, IGB_MAX_TXD);
  adapter.rxRingCount = clampDescriptors(rxDescriptors, IGB_MIN_RXD, IGB_MAX_RXD);
  // @kernel igb_init_queue_configuration
  const most = igbGetMaxRssQueues();
  const wanted = params.rssQueues ?? machine.cpus.length;
  adapter.rssQueues = Math.max(1, Math.min(most, wanted));
  igbSetFlagQueuePairs(adapter, most);
  netdevRssKeyFill(machine, adapter.rssKey);
  return igbInitInterruptScheme(adapter);
}

/** Takes a card: 0 or a negative errno. @kernel igb_probe drivers/net/ethernet/intel/igb/igb_main.c */
function igbProbe(pdev: PciDev, params: Partial<IgbParams>): number {
  let err = pciEnableDeviceMem(pdev);
  if (err < 0) return err;
  err = pciRequestRegions(pdev, IGB_DRIVER_NAME);
  if (err === 0) {
    pciSetMaster(pdev);
    err = setupDevice(pdev, params);
    if (err < 0) pciReleaseRegions(pdev);
  }
  if (err < 0) pciDisableDevice(pdev);
  return err;
}

/** Makes and registers the network device of a card. */
function setupDevice(pdev: PciDev, params: Partial<IgbParams>): number {
  const { machine } = pdev;
  const regs = pciIomap(pdev, 0);
  if (regs === null) return -EIO;
  const hw = new E1000Hw(regs);
  igbResetHw82575(hw);
  if (igbValidateNvmChecksum(hw) < 0 || igbReadMacAddr(hw) < 0) return -EIO;
  if (!isValidEtherAddr(hw.macAddr)) return -EIO;
  const { initNet } = machine;
  const netdev = allocEtherdevMqs(
    initNet,
    igbNetdevOps,
    null,
    IGB_MAX_TX_QUEUES,
    IGB_MAX_TX_QUEUES,
  );
  const adapter = new IgbAdapter(netdev, pdev, hw, igbWatchdogTask, igbResetTask);
  netdev.priv = adapter;
  pdev.drvdata = adapter;
  netdev.ethtoolOps = igbEthtoolOps;
  netdev.watchdogTimeo = 5 * HZ;
  netdev.memStart = pdev.resource[0]?.start ?? 0;
  ethHwAddrSet(netdev, hw.macAddr);
  netdev.permAddr.set(hw.permMacAddr);
  setFeatures(netdev);
  let err = igbSwInit(adapter, params);
  if (err < 0) {
    freeNetdev(netdev);
    return err;
  }
  netifSetRealNumTxQueues(netdev, adapter.numTxQueues);
  netifSetRealNumRxQueues(netdev, adapter.numRxQueues);
  igbReset(adapter);
  err = registerNetdev(netdev);
  if (err < 0) {
    igbClearInterruptScheme(adapter);
    freeNetdev(netdev);
    return err;
  }
  // Until the watchdog has seen a link.
  netifCarrierOff(netdev);
  return 0;
}

/** @kernel igb_remove drivers/net/ethernet/intel/igb/igb_main.c */
function igbRemove(pdev: PciDev): void {
  const adapter = pdev.drvdata as IgbAdapter;
  // Work that has not begun must not find a device that is gone.
  cancelWorkSync(adapter.resetTask);
  unregisterNetdev(adapter.netdev);
  igbPowerDownPhyCopper(adapter.hw);
  igbClearInterruptScheme(adapter);
  freeNetdev(adapter.netdev);
  pciReleaseRegions(pdev);
  pciDisableDevice(pdev);
}

export const igbModule: KernelModule = {
  name: 'igb',
  config: 'CONFIG_IGB',
  depends: ['pci'],
  level: DEVICE_INITCALL,
  init: igbInit,
  exit: null,
};
