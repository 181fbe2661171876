/** Matching devices with drivers. Counterpart of drivers/pci/pci-driver.c. */
import { PCI_ANY_ID, type PciDev, type PciDeviceId, type PciDriver } from '#include/linux/pci.ts';
import type { Machine } from '#kernel/machine.ts';

/** @kernel pci_match_one_device drivers/pci/pci.h */
function pciMatchOneDevice(id: PciDeviceId, pdev: PciDev): boolean {
  return (
    (id.vendor === PCI_ANY_ID || id.vendor === pdev.vendor) &&
    (id.device === PCI_ANY_ID || id.device === pdev.device)
  );
}

/** @kernel pci_match_id drivers/pci/pci-driver.c */
export function pciMatchId(ids: readonly PciDeviceId[], pdev: PciDev): PciDeviceId | null {
  return ids.find((id) => pciMatchOneDevice(id, pdev)) ?? null;
}

/** Offers a device to a driver; true when it takes it. @kernel pci_device_probe drivers/pci/pci-driver.c */
export function pciDeviceProbe(driver: PciDriver, pdev: PciDev): boolean {
  if (pdev.driver !== null) return false;
  const id = pciMatchId(driver.idTable, pdev);
  if (id === null) return false;
  pdev.driver = driver;
  if (driver.probe(pdev, id) >= 0) return true;
  pdev.driver = null;
  pdev.drvdata = null;
  return false;
}

/** Takes a device from its driver. @kernel pci_device_remove drivers/pci/pci-driver.c */
export function pciDeviceRemove(pdev: PciDev): void {
  const { driver } = pdev;
  if (driver === null) return;
  driver.remove(pdev);
  pdev.driver = null;
  pdev.drvdata = null;
  pdev.function.iommu.assertEmpty();
}

/** The driver is offered all devices that have none. @kernel __pci_register_driver drivers/pci/pci-driver.c */
export function pciRegisterDriver(machine: Machine, driver: PciDriver): number {
  machine.pci.drivers.push(driver);
  for (const pdev of machine.pci.devices) pciDeviceProbe(driver, pdev);
  return 0;
}

/** @kernel pci_unregister_driver drivers/pci/pci-driver.c */
export function pciUnregisterDriver(machine: Machine, driver: PciDriver): void {
  const { drivers, devices } = machine.pci;
  drivers.splice(drivers.indexOf(driver), 1);
  for (const pdev of devices) if (pdev.driver === driver) pciDeviceRemove(pdev);
}
