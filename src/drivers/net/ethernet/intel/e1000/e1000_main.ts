/**
 * The driver of the 8254x: probe and remove, open and stop, reset. Counterpart of
 * drivers/net/ethernet/intel/e1000/e1000_main.c; transmit, receive, interrupts, configuration and the
 * watchdog are in the files beside.
 */

import {
  __E1000_DOWN,
  __E1000_RESETTING,
  __E1000_TESTING,
  E1000_RXBUFFER_8192,
  E1000Adapter,
  E1000Hw,
  type E1000Params,
  e1000Adapter,
  er32,
  ew32,
  MAX_JUMBO_FRAME_SIZE,
} from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import { e1000EthtoolOps } from '#drivers/net/ethernet/intel/e1000/e1000_ethtool.ts';
import {
  e1000InitHw,
  e1000PowerDownPhy,
  e1000PowerUpPhy,
  e1000RarSet,
  e1000ReadMacAddr,
  e1000ResetHw,
  e1000ValidateEepromChecksum,
} from '#drivers/net/ethernet/intel/e1000/e1000_hw.ts';
import {
  e1000Configure,
  e1000FreeRing,
  e1000RxBufferLen,
  e1000SetRxCsum,
  e1000SetRxMode,
  e1000SetupRxResources,
  e1000SetupTxResources,
  e1000VlanMode,
} from '#drivers/net/ethernet/intel/e1000/e1000_main_config.ts';
import {
  e1000Clean,
  e1000FreeIrq,
  e1000IrqDisable,
  e1000IrqEnable,
  e1000RequestIrq,
} from '#drivers/net/ethernet/intel/e1000/e1000_main_irq.ts';
import { e1000CleanRxRing } from '#drivers/net/ethernet/intel/e1000/e1000_main_rx.ts';
import {
  e1000CleanTxRing,
  e1000XmitFrame,
} from '#drivers/net/ethernet/intel/e1000/e1000_main_tx.ts';
import {
  e1000HasLink,
  e1000UpdateStats,
  e1000Watchdog,
} from '#drivers/net/ethernet/intel/e1000/e1000_main_watchdog.ts';
import { e1000CheckOptions } from '#drivers/net/ethernet/intel/e1000/e1000_param.ts';
import {
  pciDisableDevice,
  pciEnableDeviceMem,
  pciIomap,
  pciReleaseRegions,
  pciRequestRegions,
  pciSetMaster,
} from '#drivers/pci/pci.ts';
import { pciRegisterDriver } from '#drivers/pci/pci-driver.ts';
import {
  E1000_DEV_ID_82540EM,
  E1000_ICR_LSC,
  E1000_ICS,
  E1000_PBA,
  E1000_RCTL,
  E1000_RCTL_EN,
  E1000_TCTL,
  E1000_TCTL_EN,
  E1000_VET,
  E1000_WUC,
  PCI_VENDOR_ID_INTEL,
} from '#hardware/e1000/e1000_regs.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import {
  NETIF_F_HIGHDMA,
  NETIF_F_HW_CSUM,
  NETIF_F_HW_VLAN_CTAG_RX,
  NETIF_F_HW_VLAN_CTAG_TX,
  NETIF_F_RXCSUM,
  NETIF_F_SG,
  NETIF_F_TSO,
} from '#include/linux/netdev_features.ts';
import {
  IFF_UNICAST_FLT,
  type NetDevice,
  type NetDeviceOps,
  netDeviceOps,
  netifRunning,
  netifStartQueue,
  netifTxDisable,
} from '#include/linux/netdevice.ts';
import type { PciDev, PciDeviceId, PciDriver } from '#include/linux/pci.ts';
import { KernelBug } from '#kernel/bug.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { cancelDelayedWorkSync, cancelWorkSync, scheduleWork } from '#kernel/workqueue.ts';
import { napiDisable, napiEnable, netifNapiAdd } from '#net/core/dev_napi.ts';
import { freeNetdev, registerNetdev, unregisterNetdev } from '#net/core/dev_register.ts';
import { netifWakeQueue } from '#net/core/dev_tx.ts';
import { netifCarrierOff } from '#net/core/link_watch.ts';
import {
  allocEtherdev,
  ethHwAddrSet,
  ethValidateAddr,
  isValidEtherAddr,
} from '#net/ethernet/eth.ts';
import { EADDRNOTAVAIL, EBUSY, EIO } from '#uapi/errno.ts';
import { ETH_FCS_LEN, ETH_HLEN, ETH_P_8021Q, ETH_ZLEN } from '#uapi/if_ether.ts';

export const E1000_DRIVER_NAME = 'e1000';

/** KiB of the packet buffer that are the receiver's; the transmitter has the rest of 64. */
const PBA_48K = 0x0030;
const PBA_JUMBO_TX = 8;

/** The driver of a machine. Settings of single cards may be left before they are plugged in. */
export class E1000Driver implements PciDriver {
  readonly name: string = E1000_DRIVER_NAME;
  readonly idTable: readonly PciDeviceId[] = [
    { vendor: PCI_VENDOR_ID_INTEL, device: E1000_DEV_ID_82540EM, driverData: 0 },
  ];
  /** Module parameters, by card. */
  readonly params: Map<PciFunction, Partial<E1000Params>>;

  constructor() {
    this.params = new Map();
  }

  probe(pdev: PciDev): number {
    return e1000Probe(pdev, this.params.get(pdev.function) ?? {});
  }

  remove(pdev: PciDev): void {
    e1000Remove(pdev);
    this.params.delete(pdev.function);
  }
}

/** @kernel e1000_init_module drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Init(machine: Machine): number {
  return pciRegisterDriver(machine, new E1000Driver());
}

/** Resets the chip and prepares it, without starting it. @kernel e1000_reset drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Reset(adapter: E1000Adapter): void {
  const { hw } = adapter;
  let pba = PBA_48K;
  if (hw.maxFrameSize > E1000_RXBUFFER_8192) pba -= PBA_JUMBO_TX;
  e1000ResetHw(hw);
  ew32(hw, E1000_PBA, pba);
  ew32(hw, E1000_WUC, 0);
  e1000InitHw(hw);
  ew32(hw, E1000_VET, ETH_P_8021Q);
  hw.getLinkStatus = true;
}

/** Starts a configured device. @kernel e1000_up drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Up(adapter: E1000Adapter): void {
  e1000Configure(adapter);
  adapter.flags &= ~__E1000_DOWN;
  napiEnable(adapter.napi);
  e1000IrqEnable(adapter);
  netifWakeQueue(adapter.netdev);
  // Has the watchdog look at the link.
  ew32(adapter.hw, E1000_ICS, E1000_ICR_LSC);
}

/** Stops tasks that would go on by themselves. @kernel e1000_down_and_stop drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000DownAndStop(adapter: E1000Adapter): void {
  adapter.flags |= __E1000_DOWN;
  cancelDelayedWorkSync(adapter.watchdogTask);
  cancelDelayedWorkSync(adapter.phyInfoTask);
  if ((adapter.flags & __E1000_RESETTING) === 0) cancelWorkSync(adapter.resetTask);
}

/** Stops the device and empties its rings. @kernel e1000_down drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Down(adapter: E1000Adapter): void {
  const { hw, netdev } = adapter;
  ew32(hw, E1000_RCTL, er32(hw, E1000_RCTL) & ~E1000_RCTL_EN);
  netifTxDisable(netdev);
  ew32(hw, E1000_TCTL, er32(hw, E1000_TCTL) & ~E1000_TCTL_EN);
  e1000UpdateStats(adapter);
  netifCarrierOff(netdev);
  napiDisable(adapter.napi);
  e1000IrqDisable(adapter);
  e1000DownAndStop(adapter);
  adapter.linkSpeed = 0;
  adapter.linkDuplex = 0;
  e1000Reset(adapter);
  e1000CleanTxRing(adapter);
  e1000CleanRxRing(adapter);
}

/** Down and up again, if it is up. @kernel e1000_reinit_locked drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000ReinitLocked(adapter: E1000Adapter): void {
  if ((adapter.flags & __E1000_RESETTING) !== 0) {
    throw new KernelBug('e1000-reset', `${adapter.netdev.name}: a reset inside a reset`);
  }
  adapter.flags |= __E1000_RESETTING;
  if ((adapter.flags & __E1000_DOWN) === 0) {
    e1000Down(adapter);
    e1000Up(adapter);
  }
  adapter.flags &= ~__E1000_RESETTING;
}

/** @kernel e1000_reset_task drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000ResetTask(adapter: E1000Adapter): void {
  const { machine } = adapter.pdev;
  rtnlLock(machine);
  e1000ReinitLocked(adapter);
  rtnlUnlock(machine);
}

/** Reads the PHY's state, which also clears what it has latched. @kernel e1000_update_phy_info_task drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000UpdatePhyInfoTask(adapter: E1000Adapter): void {
  e1000HasLink(adapter);
}

/** @kernel e1000_open drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Open(netdev: NetDevice): number {
  const adapter = e1000Adapter(netdev);
  if ((adapter.flags & __E1000_TESTING) !== 0) return -EBUSY;
  netifCarrierOff(netdev);
  let err = e1000SetupTxResources(adapter, adapter.txRing);
  if (err === 0) err = e1000SetupRxResources(adapter, adapter.rxRing);
  if (err === 0) {
    e1000PowerUpPhy(adapter.hw);
    e1000Configure(adapter);
    err = e1000RequestIrq(adapter);
  }
  if (err !== 0) {
    e1000PowerDownPhy(adapter.hw);
    freeAll(adapter);
    e1000Reset(adapter);
    return err;
  }
  adapter.flags &= ~__E1000_DOWN;
  napiEnable(adapter.napi);
  e1000IrqEnable(adapter);
  netifStartQueue(netdev);
  ew32(adapter.hw, E1000_ICS, E1000_ICR_LSC);
  return 0;
}

function freeAll(adapter: E1000Adapter): void {
  if (adapter.txRing.desc !== 0) e1000CleanTxRing(adapter);
  if (adapter.rxRing.desc !== 0) e1000CleanRxRing(adapter);
  e1000FreeRing(adapter, adapter.txRing);
  e1000FreeRing(adapter, adapter.rxRing);
}

/** @kernel e1000_close drivers/net/ethernet/intel/e1000/e1000_main.c */
export function e1000Close(netdev: NetDevice): number {
  const adapter = e1000Adapter(netdev);
  if ((adapter.flags & __E1000_DOWN) === 0) {
    e1000Down(adapter);
    e1000PowerDownPhy(adapter.hw);
    e1000FreeIrq(adapter);
  }
  freeAll(adapter);
  return 0;
}

/** The stack has waited too long for a packet to leave. @kernel e1000_tx_timeout drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000TxTimeout(netdev: NetDevice, _txqueue: number): void {
  const adapter = e1000Adapter(netdev);
  adapter.txTimeoutCount++;
  scheduleWork(adapter.resetTask);
}

/** @kernel e1000_set_mac drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000SetMac(netdev: NetDevice, addr: Uint8Array): number {
  if (!isValidEtherAddr(addr)) return -EADDRNOTAVAIL;
  const { hw } = e1000Adapter(netdev);
  ethHwAddrSet(netdev, addr);
  hw.macAddr.set(addr.subarray(0, 6));
  e1000RarSet(hw, hw.macAddr, 0);
  return 0;
}

/** @kernel e1000_change_mtu drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000ChangeMtu(netdev: NetDevice, newMtu: number): number {
  const adapter = e1000Adapter(netdev);
  const running = netifRunning(netdev) && (adapter.flags & __E1000_DOWN) === 0;
  adapter.flags |= __E1000_RESETTING;
  if (running) e1000Down(adapter);
  adapter.hw.maxFrameSize = newMtu + ETH_HLEN + ETH_FCS_LEN;
  adapter.rxBufferLen = e1000RxBufferLen(newMtu);
  netdev.mtu = newMtu;
  if (running) e1000Up(adapter);
  else e1000Reset(adapter);
  adapter.flags &= ~__E1000_RESETTING;
  return 0;
}

/** Tags are put in where they are taken out. @kernel e1000_fix_features drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000FixFeatures(_netdev: NetDevice, features: number): number {
  return (features & NETIF_F_HW_VLAN_CTAG_RX) !== 0
    ? features | NETIF_F_HW_VLAN_CTAG_TX
    : features & ~NETIF_F_HW_VLAN_CTAG_TX;
}

/** @kernel e1000_set_features drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000SetFeatures(netdev: NetDevice, features: number): number {
  const adapter = e1000Adapter(netdev);
  const changed = netdev.features ^ features;
  if ((changed & NETIF_F_HW_VLAN_CTAG_RX) !== 0) e1000VlanMode(adapter, features);
  if ((changed & NETIF_F_RXCSUM) !== 0) e1000SetRxCsum(adapter, features);
  return 0;
}

/** @kernel e1000_netdev_ops drivers/net/ethernet/intel/e1000/e1000_main.c */
const e1000NetdevOps: NetDeviceOps = netDeviceOps({
  ndoOpen: e1000Open,
  ndoStop: e1000Close,
  ndoStartXmit: e1000XmitFrame,
  ndoSetRxMode: e1000SetRxMode,
  ndoSetMacAddress: e1000SetMac,
  ndoTxTimeout: e1000TxTimeout,
  ndoChangeMtu: e1000ChangeMtu,
  ndoValidateAddr: ethValidateAddr,
  ndoFixFeatures: e1000FixFeatures,
  ndoSetFeatures: e1000SetFeatures,
});

/** What the device can do. */
function setFeatures(netdev: NetDevice): void {
  netdev.hwFeatures = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_HW_VLAN_CTAG_RX | NETIF_F_TSO;
  netdev.features = NETIF_F_HW_VLAN_CTAG_TX | netdev.hwFeatures | NETIF_F_HIGHDMA;
  // Off unless asked for, as in Linux.
  netdev.hwFeatures |= NETIF_F_RXCSUM;
  netdev.privFlags |= IFF_UNICAST_FLT;
  netdev.minMtu = ETH_ZLEN - ETH_HLEN;
  netdev.maxMtu = MAX_JUMBO_FRAME_SIZE - (ETH_HLEN + ETH_FCS_LEN);
}

/** Takes a card: 0 or a negative errno. @kernel e1000_probe drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000Probe(pdev: PciDev, params: Partial<E1000Params>): number {
  let err = pciEnableDeviceMem(pdev);
  if (err < 0) return err;
  err = pciRequestRegions(pdev, E1000_DRIVER_NAME);
  if (err === 0) {
    pciSetMaster(pdev);
    err = setupDevice(pdev, params);
    if (err < 0) pciReleaseRegions(pdev);
  }
  if (err < 0) pciDisableDevice(pdev);
  return err;
}

/** Makes and registers the network device of a card. */
function setupDevice(pdev: PciDev, params: Partial<E1000Params>): number {
  const { machine } = pdev;
  const regs = pciIomap(pdev, 0);
  if (regs === null) return -EIO;
  const hw = new E1000Hw(regs);
  e1000ResetHw(hw);
  if (e1000ValidateEepromChecksum(hw) < 0 || e1000ReadMacAddr(hw) < 0) return -EIO;
  if (!isValidEtherAddr(hw.macAddr)) return -EIO;
  const netdev = allocEtherdev(machine.initNet, e1000NetdevOps, null);
  const adapter = new E1000Adapter(
    netdev,
    pdev,
    hw,
    e1000CheckOptions(params),
    e1000Watchdog,
    e1000UpdatePhyInfoTask,
    e1000ResetTask,
  );
  netdev.priv = adapter;
  pdev.drvdata = adapter;
  adapter.napi = netifNapiAdd(netdev, e1000Clean);
  netdev.ethtoolOps = e1000EthtoolOps;
  netdev.watchdogTimeo = 5 * HZ;
  netdev.irq = pdev.irq;
  netdev.memStart = pdev.resource[0]?.start ?? 0;
  ethHwAddrSet(netdev, hw.macAddr);
  netdev.permAddr.set(hw.permMacAddr);
  setFeatures(netdev);
  hw.maxFrameSize = netdev.mtu + ETH_HLEN + ETH_FCS_LEN;
  e1000Reset(adapter);
  const err = registerNetdev(netdev);
  if (err < 0) {
    freeNetdev(netdev);
    return err;
  }
  // Until the watchdog has seen a link.
  netifCarrierOff(netdev);
  return 0;
}

/** @kernel e1000_remove drivers/net/ethernet/intel/e1000/e1000_main.c */
function e1000Remove(pdev: PciDev): void {
  const adapter = pdev.drvdata as E1000Adapter;
  // Work that has not begun must not find a device that is gone.
  cancelWorkSync(adapter.resetTask);
  unregisterNetdev(adapter.netdev);
  e1000PowerDownPhy(adapter.hw);
  freeNetdev(adapter.netdev);
  pciReleaseRegions(pdev);
  pciDisableDevice(pdev);
}

export const e1000Module: KernelModule = {
  name: 'e1000',
  config: 'CONFIG_E1000',
  depends: ['pci'],
  level: DEVICE_INITCALL,
  init: e1000Init,
  exit: null,
};
