/**
 * Finding devices on the bus and giving them what they need. Counterpart of drivers/pci/probe.c,
 * setup-res.c and remove.c. Cards come and go while the machine runs.
 */
import { pciDeviceProbe, pciDeviceRemove } from '#drivers/pci/pci-driver.ts';
import { PCI_MEMORY_BASE, PCI_MEMORY_END, PciBus } from '#hardware/pci/pci_bus.ts';
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import { POSTCORE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { PciDev, PciHost } from '#include/linux/pci.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_MEM_MASK,
  PCI_INTERRUPT_LINE,
  PCI_INTERRUPT_PIN,
  PCI_STD_NUM_BARS,
} from '#uapi/pci_regs.ts';

/** The lowest aligned address at which `size` bytes are free; 0 when there is none. */
function allocateResource(host: PciHost, size: number): number {
  for (let start = PCI_MEMORY_BASE; start + size <= PCI_MEMORY_END; start += size) {
    const taken = host.devices.some((pdev) =>
      pdev.resource.some((r) => r !== null && start < r.start + r.size && r.start < start + size),
    );
    if (!taken) return start;
  }
  return 0;
}

/** Sizes a base address register and gives it an address. @kernel __pci_read_base drivers/pci/probe.c */
function assignBar(host: PciHost, pdev: PciDev, bar: number): void {
  const fn = pdev.function;
  const offset = PCI_BASE_ADDRESS_0 + 4 * bar;
  fn.configWrite(offset, 4, 0xffffffff);
  const mask = (fn.configRead(offset, 4) & PCI_BASE_ADDRESS_MEM_MASK) >>> 0;
  const size = mask === 0 ? 0 : (~mask >>> 0) + 1;
  const start = size === 0 ? 0 : allocateResource(host, size);
  fn.configWrite(offset, 4, start);
  pdev.resource[bar] = start === 0 ? null : { start, size, owner: null };
}

/** Makes the device of a slot known. @kernel pci_scan_single_device drivers/pci/probe.c */
export function pciScanSingleDevice(machine: Machine, fn: PciFunction): PciDev {
  const host = machine.pci;
  const slot = fn.slot.toString(16).padStart(2, '0');
  if (fn.configRead(PCI_INTERRUPT_PIN, 1) !== 0 && fn.configRead(PCI_INTERRUPT_LINE, 1) === 0) {
    fn.configWrite(PCI_INTERRUPT_LINE, 1, machine.irqs.alloc(1));
  }
  const pdev = new PciDev(machine, fn, `0000:00:${slot}.0`);
  host.devices.push(pdev);
  for (let bar = 0; bar < PCI_STD_NUM_BARS; bar++) assignBar(host, pdev, bar);
  return pdev;
}

/** Finds its driver. @kernel pci_bus_add_device drivers/pci/bus.c */
export function pciBusAddDevice(pdev: PciDev): void {
  for (const driver of pdev.machine.pci.drivers) {
    if (pciDeviceProbe(driver, pdev)) return;
  }
}

/** The device is gone: its driver lets go of it. @kernel pci_stop_and_remove_bus_device drivers/pci/remove.c */
export function pciStopAndRemoveBusDevice(pdev: PciDev): void {
  const { devices } = pdev.machine.pci;
  pciDeviceRemove(pdev);
  const index = devices.indexOf(pdev);
  if (index >= 0) devices.splice(index, 1);
}

/** @kernel pci_driver_init drivers/pci/pci-driver.c */
export function pciInit(machine: Machine): number {
  const bus = new PciBus();
  const host = new PciHost(bus);
  machine.pci = host;
  bus.hotplug = {
    added: (fn) => pciBusAddDevice(pciScanSingleDevice(machine, fn)),
    removed: (fn) => {
      const pdev = host.devices.find((candidate) => candidate.function === fn);
      if (pdev !== undefined) pciStopAndRemoveBusDevice(pdev);
    },
  };
  return 0;
}

/**
 * The machine halts: drivers let go of all devices.
 * @kernel device_shutdown drivers/base/core.c
 * @deviation devices are removed, so that what a driver forgets shows; Linux only quiets them.
 */
export function pciShutdown(machine: Machine): void {
  for (const pdev of [...machine.pci.devices].reverse()) pciDeviceRemove(pdev);
}

export const pciModule: KernelModule = {
  name: 'pci',
  config: 'CONFIG_PCI',
  depends: [],
  level: POSTCORE_INITCALL,
  init: pciInit,
  exit: pciShutdown,
};
