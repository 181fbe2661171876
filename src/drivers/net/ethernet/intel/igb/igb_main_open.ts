/**
 * Starting and stopping the device: open and close, up and down, reset, other numbers of queues.
 * Counterpart of those parts of drivers/net/ethernet/intel/igb/igb_main.c.
 */
import {
  igbInitHw82575,
  igbPowerDownPhyCopper,
  igbPowerUpPhyCopper,
  igbResetHw82575,
  rd32,
  wr32,
} from '#drivers/net/ethernet/intel/igb/e1000_hw.ts';
import {
  __IGB_DOWN,
  __IGB_RESETTING,
  __IGB_TESTING,
  type IgbAdapter,
  igbAdapter,
} from '#drivers/net/ethernet/intel/igb/igb.ts';
import {
  igbConfigure,
  igbFreeRing,
  igbSetupRxResources,
  igbSetupTxResources,
} from '#drivers/net/ethernet/intel/igb/igb_main_config.ts';
import { igbCleanRxRing } from '#drivers/net/ethernet/intel/igb/igb_main_rx.ts';
import { igbCleanTxRing } from '#drivers/net/ethernet/intel/igb/igb_main_tx.ts';
import {
  igbClearInterruptScheme,
  igbConfigureMsix,
  igbFreeIrq,
  igbInitInterruptScheme,
  igbIrqDisable,
  igbIrqEnable,
  igbRequestIrq,
} from '#drivers/net/ethernet/intel/igb/igb_main_vectors.ts';
import { igbUpdateStats } from '#drivers/net/ethernet/intel/igb/igb_main_watchdog.ts';
import {
  E1000_RCTL,
  E1000_RCTL_EN,
  E1000_TCTL,
  E1000_TCTL_EN,
  E1000_VET,
  E1000_WUC,
} from '#hardware/e1000/e1000_regs.ts';
import { E1000_ICR } from '#hardware/igb/igb_regs.ts';
import {
  type NetDevice,
  netifRunning,
  netifTxStartAllQueues,
  netifTxStopAllQueues,
} from '#include/linux/netdevice.ts';
import { KernelBug } from '#kernel/bug.ts';
import { cancelDelayedWorkSync, cancelWorkSync, scheduleDelayedWork } from '#kernel/workqueue.ts';
import { napiDisable, napiEnable } from '#net/core/dev_napi.ts';
import { netifSetRealNumRxQueues, netifSetRealNumTxQueues } from '#net/core/dev_register.ts';
import { netifTxWakeAllQueues } from '#net/core/dev_tx.ts';
import { netifCarrierOff } from '#net/core/link_watch.ts';
import { EBUSY } from '#uapi/errno.ts';
import { ETH_P_8021Q } from '#uapi/if_ether.ts';

/** Resets the chip and prepares it, without starting it. @kernel igb_reset drivers/net/ethernet/intel/igb/igb_main.c */
export function igbReset(adapter: IgbAdapter): void {
  const { hw } = adapter;
  igbResetHw82575(hw);
  wr32(hw, E1000_WUC, 0);
  igbInitHw82575(hw);
  // Without light while nobody uses it.
  if (!netifRunning(adapter.netdev)) igbPowerDownPhyCopper(hw);
  wr32(hw, E1000_VET, ETH_P_8021Q);
  hw.getLinkStatus = true;
}

/** Starts a configured device. @kernel igb_up drivers/net/ethernet/intel/igb/igb_main.c */
export function igbUp(adapter: IgbAdapter): void {
  igbConfigure(adapter);
  adapter.state &= ~__IGB_DOWN;
  for (const vector of adapter.qVector) napiEnable(vector.napi);
  igbConfigureMsix(adapter);
  start(adapter);
  netifTxWakeAllQueues(adapter.netdev);
}

/** The last of starting: interrupts on, the watchdog looks at the link. */
function start(adapter: IgbAdapter): void {
  rd32(adapter.hw, E1000_ICR);
  igbIrqEnable(adapter);
  adapter.hw.getLinkStatus = true;
  scheduleDelayedWork(adapter.watchdogTask, 1);
}

/** Stops the device and empties its rings. @kernel igb_down drivers/net/ethernet/intel/igb/igb_main.c */
export function igbDown(adapter: IgbAdapter): void {
  const { hw, netdev } = adapter;
  adapter.state |= __IGB_DOWN;
  wr32(hw, E1000_RCTL, rd32(hw, E1000_RCTL) & ~E1000_RCTL_EN);
  netifTxStopAllQueues(netdev);
  wr32(hw, E1000_TCTL, rd32(hw, E1000_TCTL) & ~E1000_TCTL_EN);
  igbUpdateStats(adapter);
  netifCarrierOff(netdev);
  igbIrqDisable(adapter);
  for (const vector of adapter.qVector) napiDisable(vector.napi);
  cancelDelayedWorkSync(adapter.watchdogTask);
  if ((adapter.state & __IGB_RESETTING) === 0) cancelWorkSync(adapter.resetTask);
  adapter.linkSpeed = 0;
  adapter.linkDuplex = 0;
  igbReset(adapter);
  for (const ring of adapter.txRing) igbCleanTxRing(adapter, ring);
  for (const ring of adapter.rxRing) igbCleanRxRing(adapter.pdev, ring);
}

/** Down and up again. @kernel igb_reinit_locked drivers/net/ethernet/intel/igb/igb_main.c */
export function igbReinitLocked(adapter: IgbAdapter): void {
  if ((adapter.state & __IGB_RESETTING) !== 0) {
    throw new KernelBug('igb-reset', `${adapter.netdev.name}: a reset inside a reset`);
  }
  adapter.state |= __IGB_RESETTING;
  igbDown(adapter);
  igbUp(adapter);
  adapter.state &= ~__IGB_RESETTING;
}

/** Memory for all rings: 0 or -ENOMEM. @kernel igb_setup_all_tx_resources drivers/net/ethernet/intel/igb/igb_main.c */
function setupAllResources(adapter: IgbAdapter): number {
  for (const ring of adapter.txRing) {
    const err = igbSetupTxResources(adapter, ring);
    if (err !== 0) return err;
  }
  for (const ring of adapter.rxRing) {
    const err = igbSetupRxResources(adapter, ring);
    if (err !== 0) return err;
  }
  return 0;
}

function freeAllResources(adapter: IgbAdapter): void {
  for (const ring of adapter.txRing) {
    if (ring.desc !== 0) igbCleanTxRing(adapter, ring);
    igbFreeRing(adapter, ring);
  }
  for (const ring of adapter.rxRing) {
    if (ring.desc !== 0) igbCleanRxRing(adapter.pdev, ring);
    igbFreeRing(adapter, ring);
  }
}

/** @kernel igb_open drivers/net/ethernet/intel/igb/igb_main.c */
export function igbOpen(netdev: NetDevice): number {
  const adapter = igbAdapter(netdev);
  if ((adapter.state & __IGB_TESTING) !== 0) return -EBUSY;
  netifCarrierOff(netdev);
  let err = setupAllResources(adapter);
  if (err === 0) {
    igbPowerUpPhyCopper(adapter.hw);
    igbConfigure(adapter);
    err = igbRequestIrq(adapter);
  }
  if (err !== 0) {
    igbPowerDownPhyCopper(adapter.hw);
    igbReset(adapter);
    freeAllResources(adapter);
    return err;
  }
  netifSetRealNumTxQueues(netdev, adapter.numTxQueues);
  netifSetRealNumRxQueues(netdev, adapter.numRxQueues);
  adapter.state &= ~__IGB_DOWN;
  for (const vector of adapter.qVector) napiEnable(vector.napi);
  start(adapter);
  netifTxStartAllQueues(netdev);
  return 0;
}

/** @kernel igb_close drivers/net/ethernet/intel/igb/igb_main.c */
export function igbClose(netdev: NetDevice): number {
  const adapter = igbAdapter(netdev);
  if ((adapter.state & __IGB_DOWN) === 0) {
    igbDown(adapter);
    igbPowerDownPhyCopper(adapter.hw);
    igbFreeIrq(adapter);
  }
  freeAllResources(adapter);
  return 0;
}

/** Uses another number of queues: 0 or a negative errno. @kernel igb_reinit_queues drivers/net/ethernet/intel/igb/igb_main.c */
export function igbReinitQueues(adapter: IgbAdapter): number {
  const { netdev } = adapter;
  const running = netifRunning(netdev);
  if (running) igbClose(netdev);
  igbClearInterruptScheme(adapter);
  const err = igbInitInterruptScheme(adapter);
  if (err < 0) return err;
  return running ? igbOpen(netdev) : 0;
}
