import { expect, test } from 'vitest';
import { DMA_FROM_DEVICE, DMA_TO_DEVICE, Iommu } from '#hardware/pci/iommu.ts';
import { MsixTable } from '#hardware/pci/msix.ts';
import { PciBus } from '#hardware/pci/pci_bus.ts';
import { PciFunction, type PciRegion } from '#hardware/pci/pci_function.ts';
import { bench } from '#hardware/testing/rig.ts';
import { DEBUG } from '#kernel/config.ts';
import { IRQ_HANDLED, requestIrq } from '#kernel/irq.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  PCI_BASE_ADDRESS_0,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_MEMORY,
  PCI_DEVICE_ID,
  PCI_INTERRUPT_LINE,
  PCI_VENDOR_ID,
} from '#uapi/pci_regs.ts';

class Memory implements PciRegion {
  readonly size: number = 4096;
  readonly words: Int32Array = new Int32Array(1024);

  read32(offset: number): number {
    return this.words[offset >> 2] ?? 0;
  }

  write32(offset: number, value: number): void {
    this.words[offset >> 2] = value;
  }
}

function card(machine: Machine): PciFunction {
  const pci = new PciFunction(machine, 'test card', {
    vendor: 0x1234,
    device: 0x5678,
    subVendor: 0,
    subDevice: 0,
    classCode: 0x0280,
    revision: 1,
  });
  pci.addRegion(0, new Memory());
  return pci;
}

test('a card answers while it is in a slot, and reads as all ones when it is not', () => {
  const { machine } = bench();
  const bus = new PciBus();
  const pci = card(machine);
  expect(pci.configRead(PCI_VENDOR_ID, 2)).toBe(0xffff);
  bus.plug(pci);
  expect(pci.configRead(PCI_VENDOR_ID, 2)).toBe(0x1234);
  expect(pci.configRead(PCI_VENDOR_ID, 4)).toBe(0x56781234);
  expect(pci.configRead(PCI_DEVICE_ID + 1, 1)).toBe(0x56);
  bus.unplug(pci);
  expect(pci.configRead(PCI_VENDOR_ID, 4)).toBe(0xffffffff);
});

test('a base address register tells its size, and where the registers are', () => {
  const { machine } = bench();
  const bus = new PciBus();
  const pci = card(machine);
  bus.plug(pci);
  pci.configWrite(PCI_BASE_ADDRESS_0, 4, 0xffffffff);
  expect(pci.configRead(PCI_BASE_ADDRESS_0, 4)).toBe(0xfffff000);
  pci.configWrite(PCI_BASE_ADDRESS_0, 4, 0xe0001000);
  const mmio = bus.iomap(0xe0001000);
  expect(bus.iomap(0xe0002000)).toBeNull();
  mmio?.writel(7, 8);
  expect(mmio?.readl(8), 'not decoding yet').toBe(-1);
  pci.configWrite(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
  expect(mmio?.readl(8)).toBe(0);
  mmio?.writel(7, 8);
  expect(mmio?.readl(8)).toBe(7);
  bus.unplug(pci);
  expect(mmio?.readl(8)).toBe(-1);
});

test('read-only configuration stays as it is', () => {
  const { machine } = bench();
  const bus = new PciBus();
  const pci = card(machine);
  bus.plug(pci);
  pci.configWrite(PCI_VENDOR_ID, 2, 0);
  expect(pci.configRead(PCI_VENDOR_ID, 2)).toBe(0x1234);
});

test('the interrupt pin interrupts when it rises, unless that is disabled', () => {
  const { machine } = bench();
  const bus = new PciBus();
  const pci = card(machine);
  bus.plug(pci);
  pci.configWrite(PCI_INTERRUPT_LINE, 1, 20);
  let count = 0;
  requestIrq(
    machine,
    20,
    () => {
      count++;
      return IRQ_HANDLED;
    },
    'test',
    pci,
  );
  pci.setIntx(true);
  pci.setIntx(true);
  expect(count).toBe(1);
  pci.setIntx(false);
  pci.configWrite(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
  pci.setIntx(true);
  expect(count).toBe(1);
});

test('slots are found, taken and refused', () => {
  const { machine } = bench();
  const bus = new PciBus();
  bus.plug(card(machine), 3);
  expect(() => bus.plug(card(machine), 3)).toThrow('PCI slot 3 is taken');
  for (let n = 0; n < 31; n++) bus.plug(card(machine));
  expect(() => bus.plug(card(machine))).toThrow('no free PCI slot');
});

test('an MSI-X vector is signalled, masked, and comes when it is unmasked', () => {
  const { machine } = bench();
  const bus = new PciBus();
  const pci = card(machine);
  const msix = new MsixTable(pci, 3, 4);
  bus.plug(pci);
  const got: number[] = [];
  for (const irq of [40, 41, 42, 43]) {
    requestIrq(
      machine,
      irq,
      () => {
        got.push(irq);
        return IRQ_HANDLED;
      },
      'test',
      pci,
    );
    msix.write32((irq - 40) * 16 + 8, irq);
  }
  const cap = pci.configRead(0x34, 1);
  msix.signal(0);
  expect(got, 'not enabled').toEqual([]);
  pci.configWrite(cap + 2, 2, 0x8000);
  msix.signal(1);
  expect(got, 'masked').toEqual([]);
  msix.write32(16 + 12, 0);
  expect(got).toEqual([41]);
  msix.signal(1);
  expect(got).toEqual([41, 41]);
  pci.configWrite(cap + 2, 2, 0xc000);
  msix.signal(1);
  expect(got, 'all masked').toEqual([41, 41]);
  expect(msix.read32(0x2000)).toBe(2);
  pci.configWrite(cap + 2, 2, 0x8000);
  expect(got).toEqual([41, 41, 41]);
});

test.runIf(DEBUG)(
  'memory is open to a card only where, how and while its driver has mapped it',
  () => {
    const iommu = new Iommu('test card');
    iommu.map(0x10000, 3000, DMA_TO_DEVICE);
    iommu.check(0x10000, 3000, DMA_TO_DEVICE);
    iommu.check(0x10900, 100, DMA_TO_DEVICE);
    expect(() => iommu.check(0x10000, 10, DMA_FROM_DEVICE)).toThrow('dma-fault');
    expect(() => iommu.check(0x10b00, 1000, DMA_TO_DEVICE)).toThrow('dma-fault');
    expect(() => iommu.unmap(0x10000, 2999, DMA_TO_DEVICE)).toThrow('dma-unmap-mismatch');
    expect(() => iommu.assertEmpty()).toThrow('dma-leak');
  },
);

test.runIf(DEBUG)('what is unmapped is closed', () => {
  const iommu = new Iommu('test card');
  iommu.map(0x10000, 3000, DMA_TO_DEVICE);
  iommu.map(0x10000, 3000, DMA_TO_DEVICE);
  iommu.unmap(0x10000, 3000, DMA_TO_DEVICE);
  iommu.check(0x10000, 1, DMA_TO_DEVICE);
  iommu.unmap(0x10000, 3000, DMA_TO_DEVICE);
  expect(() => iommu.check(0x10000, 1, DMA_TO_DEVICE)).toThrow('dma-fault');
  expect(() => iommu.unmap(0x10000, 3000, DMA_TO_DEVICE)).toThrow('dma-unmap-mismatch');
});
