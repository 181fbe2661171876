/**
 * The virtio bus: matching devices with drivers, agreeing on features, passing on changes of the
 * configuration. Counterpart of drivers/virtio/virtio.c. Virtio 1.2 sections 3.1 and 6.
 */
import { CORE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import {
  __virtioSetBit,
  VIRTIO_DEV_ANY_ID,
  VirtioBus,
  type VirtioDevice,
  type VirtioDriver,
  virtioHasFeature,
} from '#include/linux/virtio.ts';
import type { Machine } from '#kernel/machine.ts';
import { ENODEV } from '#uapi/errno.ts';
import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE,
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '#uapi/virtio_config.ts';

/** Bits of the transport that are understood here. @kernel vring_transport_features drivers/virtio/virtio_ring.c */
const TRANSPORT_FEATURES: readonly number[] = [
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ACCESS_PLATFORM,
];

/** @kernel virtio_init drivers/virtio/virtio.c */
export function virtioInit(machine: Machine): number {
  machine.virtio = new VirtioBus();
  return 0;
}

/** Adds bits to the device's status. @kernel virtio_add_status drivers/virtio/virtio.c */
export function virtioAddStatus(vdev: VirtioDevice, status: number): void {
  vdev.config.setStatus(vdev, vdev.config.getStatus(vdev) | status);
}

/** @kernel virtio_reset_device drivers/virtio/virtio.c */
export function virtioResetDevice(vdev: VirtioDevice): void {
  vdev.config.reset(vdev);
}

/** The device may be used from now on, inside probe() already. @kernel virtio_device_ready include/linux/virtio_config.h */
export function virtioDeviceReady(vdev: VirtioDevice): void {
  if ((vdev.config.getStatus(vdev) & VIRTIO_CONFIG_S_DRIVER_OK) !== 0) return;
  virtioAddStatus(vdev, VIRTIO_CONFIG_S_DRIVER_OK);
}

/** Asks whether the device has taken the features. @kernel virtio_features_ok drivers/virtio/virtio.c */
function virtioFeaturesOk(vdev: VirtioDevice): number {
  if (!virtioHasFeature(vdev, VIRTIO_F_VERSION_1)) return -ENODEV;
  virtioAddStatus(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
  const status = vdev.config.getStatus(vdev);
  return (status & VIRTIO_CONFIG_S_FEATURES_OK) !== 0 ? 0 : -ENODEV;
}

/** What both sides can do. */
function agreeOnFeatures(vdev: VirtioDevice, driver: VirtioDriver): number {
  const offered = new Uint32Array(2);
  vdev.config.getFeatures(vdev, offered);
  vdev.features.fill(0);
  for (const bit of [...driver.featureTable, ...TRANSPORT_FEATURES]) {
    if ((((offered[bit >> 5] as number) >>> (bit & 31)) & 1) !== 0) __virtioSetBit(vdev, bit);
  }
  const refused = driver.validate?.(vdev) ?? 0;
  if (refused !== 0) return refused;
  const err = vdev.config.finalizeFeatures(vdev);
  return err !== 0 ? err : virtioFeaturesOk(vdev);
}

/** Gives a device to a driver. 0 or a negative errno. @kernel virtio_dev_probe drivers/virtio/virtio.c */
function virtioDevProbe(vdev: VirtioDevice, driver: VirtioDriver): number {
  virtioAddStatus(vdev, VIRTIO_CONFIG_S_DRIVER);
  let err = agreeOnFeatures(vdev, driver);
  if (err === 0) {
    vdev.driver = driver;
    err = driver.probe(vdev);
  }
  if (err !== 0) {
    vdev.driver = null;
    virtioAddStatus(vdev, VIRTIO_CONFIG_S_FAILED);
    return err;
  }
  virtioDeviceReady(vdev);
  virtioConfigEnable(vdev);
  return 0;
}

/** @kernel virtio_dev_match drivers/virtio/virtio.c */
function virtioDevMatch(vdev: VirtioDevice, driver: VirtioDriver): boolean {
  return driver.idTable.some((id) => id === vdev.deviceId || id === VIRTIO_DEV_ANY_ID);
}

/** Takes a device from its driver. @kernel virtio_dev_remove drivers/virtio/virtio.c */
function virtioDevRemove(vdev: VirtioDevice): void {
  const { driver } = vdev;
  if (driver === null) return;
  virtioConfigDisable(vdev);
  driver.remove(vdev);
  vdev.driver = null;
  virtioAddStatus(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

/** Makes a device known, and finds its driver. 0 or a negative errno. @kernel register_virtio_device drivers/virtio/virtio.c */
export function registerVirtioDevice(vdev: VirtioDevice): number {
  const { devices, drivers } = vdev.machine.virtio;
  const taken = new Set(devices.map(({ index }) => index));
  vdev.index = 0;
  while (taken.has(vdev.index)) vdev.index++;
  devices.push(vdev);
  // Whatever a driver before has left behind.
  virtioResetDevice(vdev);
  virtioAddStatus(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
  for (const driver of drivers) {
    if (virtioDevMatch(vdev, driver)) return virtioDevProbe(vdev, driver);
  }
  return 0;
}

/** @kernel unregister_virtio_device drivers/virtio/virtio.c */
export function unregisterVirtioDevice(vdev: VirtioDevice): void {
  const { devices } = vdev.machine.virtio;
  virtioDevRemove(vdev);
  const at = devices.indexOf(vdev);
  if (at >= 0) devices.splice(at, 1);
}

/** @kernel register_virtio_driver drivers/virtio/virtio.c */
export function registerVirtioDriver(machine: Machine, driver: VirtioDriver): number {
  const { devices, drivers } = machine.virtio;
  drivers.push(driver);
  for (const vdev of devices) {
    if (vdev.driver === null && virtioDevMatch(vdev, driver)) virtioDevProbe(vdev, driver);
  }
  return 0;
}

// Changes of the configuration.

/** The transport says that the configuration has changed. @kernel virtio_config_changed drivers/virtio/virtio.c */
export function virtioConfigChanged(vdev: VirtioDevice): void {
  const { driver } = vdev;
  const wanted = vdev.configEnabled && !vdev.configDriverDisabled;
  if (!wanted || driver === null) vdev.configChangePending = true;
  else driver.configChanged(vdev);
}

function passOn(vdev: VirtioDevice): void {
  const pending = vdev.configChangePending;
  vdev.configChangePending = false;
  if (pending) virtioConfigChanged(vdev);
}

/** The driver does not want to hear of changes for a while. @kernel virtio_config_driver_disable drivers/virtio/virtio.c */
export function virtioConfigDriverDisable(vdev: VirtioDevice): void {
  vdev.configDriverDisabled = true;
}

/** It does again, and of those that came meanwhile. @kernel virtio_config_driver_enable drivers/virtio/virtio.c */
export function virtioConfigDriverEnable(vdev: VirtioDevice): void {
  vdev.configDriverDisabled = false;
  passOn(vdev);
}

/** @kernel virtio_config_core_enable drivers/virtio/virtio.c */
function virtioConfigEnable(vdev: VirtioDevice): void {
  vdev.configEnabled = true;
  passOn(vdev);
}

/** @kernel virtio_config_core_disable drivers/virtio/virtio.c */
function virtioConfigDisable(vdev: VirtioDevice): void {
  vdev.configEnabled = false;
}

export const virtioModule: KernelModule = {
  name: 'virtio',
  config: 'CONFIG_VIRTIO',
  depends: [],
  level: CORE_INITCALL,
  init: virtioInit,
  exit: null,
};
