/**
 * PCI devices and drivers as the kernel keeps them. Counterpart of include/linux/pci.h; functions are
 * in drivers/pci/.
 */
import type { PciBus, PciIomem } from '#hardware/pci/pci_bus.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  PCI_DEVICE_ID,
  PCI_INTERRUPT_LINE,
  PCI_REVISION_ID,
  PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID,
  PCI_VENDOR_ID,
} from '#uapi/pci_regs.ts';

/** Matches any id. @kernel PCI_ANY_ID include/linux/mod_devicetable.h */
export const PCI_ANY_ID = 0xffffffff;

/** @kernel pci_device_id include/linux/mod_devicetable.h */
export interface PciDeviceId {
  readonly vendor: number;
  readonly device: number;
  readonly driverData: number;
}

/** @kernel pci_driver include/linux/pci.h */
export interface PciDriver {
  readonly name: string;
  readonly idTable: readonly PciDeviceId[];
  /** Takes the device: 0, or a negative errno. */
  probe(pdev: PciDev, id: PciDeviceId): number;
  /** The device goes away, or the driver; it may not answer any more. */
  remove(pdev: PciDev): void;
}

/** Memory behind a base address register. @kernel resource include/linux/ioport.h */
export interface PciResource {
  readonly start: number;
  readonly size: number;
  /** Driver that has requested it; null: free. */
  owner: string | null;
}

/** A device on the bus. @kernel pci_dev include/linux/pci.h */
export class PciDev {
  readonly machine: Machine;
  /** The card's side: what configuration cycles reach. */
  readonly function: PciFunction;
  readonly vendor: number;
  readonly device: number;
  readonly subsystemVendor: number;
  readonly subsystemDevice: number;
  readonly revision: number;
  /** `0000:00:03.0` */
  readonly name: string;
  irq: number;
  readonly resource: (PciResource | null)[];
  driver: PciDriver | null;
  /** The driver's own. @kernel pci_get_drvdata include/linux/pci.h */
  drvdata: unknown;
  /** Depth of pci_enable_device(). */
  enableCnt: number;
  /** Interrupt numbers of MSI-X vectors; empty when not in use. */
  msixIrqs: readonly number[];
  msixTable: PciIomem | null;

  constructor(machine: Machine, fn: PciFunction, name: string) {
    this.machine = machine;
    this.function = fn;
    this.vendor = fn.configRead(PCI_VENDOR_ID, 2);
    this.device = fn.configRead(PCI_DEVICE_ID, 2);
    this.subsystemVendor = fn.configRead(PCI_SUBSYSTEM_VENDOR_ID, 2);
    this.subsystemDevice = fn.configRead(PCI_SUBSYSTEM_ID, 2);
    this.revision = fn.configRead(PCI_REVISION_ID, 1);
    this.name = name;
    this.irq = fn.configRead(PCI_INTERRUPT_LINE, 1);
    this.resource = [];
    this.driver = null;
    this.drvdata = null;
    this.enableCnt = 0;
    this.msixIrqs = [];
    this.msixTable = null;
  }
}

/** What a machine keeps about PCI. */
export class PciHost {
  readonly bus: PciBus;
  readonly devices: PciDev[];
  readonly drivers: PciDriver[];

  constructor(bus: PciBus) {
    this.bus = bus;
    this.devices = [];
    this.drivers = [];
  }
}
