/**
 * What drivers call to use a device. Counterpart of drivers/pci/pci.c and iomap.c. Numbers returned
 * are 0 or negative errnos.
 */
import type { PciIomem } from '#hardware/pci/pci_bus.ts';
import type { PciDev } from '#include/linux/pci.ts';
import { EBUSY, ENODEV } from '#uapi/errno.ts';
import {
  PCI_CAP_LIST_ID,
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_COMMAND,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
} from '#uapi/pci_regs.ts';

function setCommand(pdev: PciDev, set: number, clear: number): void {
  const fn = pdev.function;
  fn.configWrite(PCI_COMMAND, 2, (fn.configRead(PCI_COMMAND, 2) & ~clear) | set);
}

/** Lets the device answer at its addresses. @kernel pci_enable_device_mem drivers/pci/pci.c */
export function pciEnableDeviceMem(pdev: PciDev): number {
  if (pdev.function.slot < 0) return -ENODEV;
  if (pdev.enableCnt++ === 0) setCommand(pdev, PCI_COMMAND_MEMORY, 0);
  return 0;
}

/** @kernel pci_disable_device drivers/pci/pci.c */
export function pciDisableDevice(pdev: PciDev): void {
  if (--pdev.enableCnt === 0) setCommand(pdev, 0, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
}

/** Lets the device access memory. @kernel pci_set_master drivers/pci/pci.c */
export function pciSetMaster(pdev: PciDev): void {
  setCommand(pdev, PCI_COMMAND_MASTER, 0);
}

/** @kernel pci_clear_master drivers/pci/pci.c */
export function pciClearMaster(pdev: PciDev): void {
  setCommand(pdev, 0, PCI_COMMAND_MASTER);
}

/** Takes all memory regions of the device. 0 or -EBUSY. @kernel pci_request_regions drivers/pci/pci.c */
export function pciRequestRegions(pdev: PciDev, name: string): number {
  if (pdev.resource.some((resource) => resource !== null && resource.owner !== null)) {
    return -EBUSY;
  }
  for (const resource of pdev.resource) if (resource !== null) resource.owner = name;
  return 0;
}

/** @kernel pci_release_regions drivers/pci/pci.c */
export function pciReleaseRegions(pdev: PciDev): void {
  for (const resource of pdev.resource) if (resource !== null) resource.owner = null;
}

/** The registers behind a base address register; null when there are none. @kernel pci_iomap lib/pci_iomap.c */
export function pciIomap(pdev: PciDev, bar: number): PciIomem | null {
  const resource = pdev.resource[bar] ?? null;
  return resource === null ? null : pdev.machine.pci.bus.iomap(resource.start);
}

/** Offset of a capability in configuration space; 0 when the device lacks it. @kernel pci_find_capability drivers/pci/pci.c */
export function pciFindCapability(pdev: PciDev, cap: number): number {
  const fn = pdev.function;
  if ((fn.configRead(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) === 0) return 0;
  let pos = fn.configRead(PCI_CAPABILITY_LIST, 1) & ~3;
  // No more capabilities fit, so a list that is longer goes in a circle.
  for (let ttl = 48; pos >= 0x40 && pos < 0xff && ttl > 0; ttl--) {
    if (fn.configRead(pos + PCI_CAP_LIST_ID, 1) === cap) return pos;
    pos = fn.configRead(pos + PCI_CAP_LIST_NEXT, 1) & ~3;
  }
  return 0;
}

/** `0000:00:03.0` @kernel pci_name include/linux/pci.h */
export function pciName(pdev: PciDev): string {
  return pdev.name;
}

/** True when the card has been pulled out. @kernel pci_device_is_present drivers/pci/pci.c */
export function pciDeviceIsPresent(pdev: PciDev): boolean {
  return pdev.function.slot >= 0;
}
