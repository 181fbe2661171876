/** Message-signalled interrupts for drivers. Counterpart of drivers/pci/msi/. */
import { pciFindCapability, pciIomap } from '#drivers/pci/pci.ts';
import { MSI_ADDR_BASE } from '#hardware/pci/msix.ts';
import type { PciDev } from '#include/linux/pci.ts';
import { allocIrqVectors, freeIrqVectors } from '#kernel/irq.ts';
import { EINVAL, ENOSPC } from '#uapi/errno.ts';
import {
  PCI_CAP_ID_MSIX,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_MSIX_ENTRY_CTRL_MASKBIT,
  PCI_MSIX_ENTRY_DATA,
  PCI_MSIX_ENTRY_LOWER_ADDR,
  PCI_MSIX_ENTRY_SIZE,
  PCI_MSIX_ENTRY_UPPER_ADDR,
  PCI_MSIX_ENTRY_VECTOR_CTRL,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_ENABLE,
  PCI_MSIX_FLAGS_QSIZE,
  PCI_MSIX_TABLE,
  PCI_MSIX_TABLE_BIR,
} from '#uapi/pci_regs.ts';

function setIntx(pdev: PciDev, on: boolean): void {
  const fn = pdev.function;
  const command = fn.configRead(PCI_COMMAND, 2) & ~PCI_COMMAND_INTX_DISABLE;
  fn.configWrite(PCI_COMMAND, 2, on ? command : command | PCI_COMMAND_INTX_DISABLE);
}

/** Vectors that the device's table has; -EINVAL without the capability. @kernel pci_msix_vec_count drivers/pci/msi/api.c */
export function pciMsixVecCount(pdev: PciDev): number {
  const cap = pciFindCapability(pdev, PCI_CAP_ID_MSIX);
  if (cap === 0) return -EINVAL;
  return (pdev.function.configRead(cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
}

/**
 * Gives the device between `min` and `max` vectors; their interrupt numbers are `pdev.msixIrqs`.
 * Returns how many, or -EINVAL without the capability, or -ENOSPC with fewer than `min`.
 * @kernel pci_enable_msix_range drivers/pci/msi/api.c
 */
export function pciEnableMsixRange(pdev: PciDev, min: number, max: number): number {
  const fn = pdev.function;
  const cap = pciFindCapability(pdev, PCI_CAP_ID_MSIX);
  if (cap === 0 || pdev.msixIrqs.length > 0) return -EINVAL;
  const count = Math.min(pciMsixVecCount(pdev), max);
  if (count < min) return -ENOSPC;
  const table = pciIomap(pdev, fn.configRead(cap + PCI_MSIX_TABLE, 4) & PCI_MSIX_TABLE_BIR);
  if (table === null) return -EINVAL;
  const irqs = allocIrqVectors(pdev.machine, count, pdev.name);
  if (typeof irqs === 'number') return irqs;
  for (const [n, irq] of irqs.entries()) {
    const entry = n * PCI_MSIX_ENTRY_SIZE;
    table.writel(MSI_ADDR_BASE | 0, entry + PCI_MSIX_ENTRY_LOWER_ADDR);
    table.writel(0, entry + PCI_MSIX_ENTRY_UPPER_ADDR);
    table.writel(irq, entry + PCI_MSIX_ENTRY_DATA);
    table.writel(0, entry + PCI_MSIX_ENTRY_VECTOR_CTRL);
  }
  pdev.msixIrqs = irqs;
  pdev.msixTable = table;
  setIntx(pdev, false);
  fn.configWrite(cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
  return count;
}

/**
 * The same by Linux's newer name, for MSI-X alone: devices here have no plain MSI.
 * @kernel pci_alloc_irq_vectors drivers/pci/msi/api.c
 */
export function pciAllocIrqVectors(pdev: PciDev, min: number, max: number): number {
  return pciEnableMsixRange(pdev, min, max);
}

/** @kernel pci_free_irq_vectors drivers/pci/msi/api.c */
export function pciFreeIrqVectors(pdev: PciDev): void {
  const cap = pciFindCapability(pdev, PCI_CAP_ID_MSIX);
  for (const n of pdev.msixIrqs.keys()) {
    pdev.msixTable?.writel(
      PCI_MSIX_ENTRY_CTRL_MASKBIT,
      n * PCI_MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL,
    );
  }
  freeIrqVectors(pdev.machine, pdev.msixIrqs);
  pdev.msixIrqs = [];
  pdev.msixTable = null;
  if (cap !== 0) pdev.function.configWrite(cap + PCI_MSIX_FLAGS, 2, 0);
  setIntx(pdev, true);
}

/** Interrupt number of a vector; without MSI-X that of the pin. @kernel pci_irq_vector drivers/pci/msi/api.c */
export function pciIrqVector(pdev: PciDev, nr: number): number {
  if (pdev.msixIrqs.length === 0) return nr === 0 ? pdev.irq : -EINVAL;
  return pdev.msixIrqs[nr] ?? -EINVAL;
}
