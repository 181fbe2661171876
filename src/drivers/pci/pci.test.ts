import { expect, test } from 'vitest';
import { dmaAllocCoherent, dmaFreeCoherent, dmaMapSingle } from '#drivers/pci/dma.ts';
import {
  pciAllocIrqVectors,
  pciEnableMsixRange,
  pciFreeIrqVectors,
  pciIrqVector,
  pciMsixVecCount,
} from '#drivers/pci/msi.ts';
import {
  pciDisableDevice,
  pciEnableDeviceMem,
  pciFindCapability,
  pciIomap,
  pciReleaseRegions,
  pciRequestRegions,
} from '#drivers/pci/pci.ts';
import { pciRegisterDriver, pciUnregisterDriver } from '#drivers/pci/pci-driver.ts';
import { pciInit, pciShutdown } from '#drivers/pci/probe.ts';
import { DMA_FROM_DEVICE } from '#hardware/pci/iommu.ts';
import { MsixTable } from '#hardware/pci/msix.ts';
import { PciFunction, type PciRegion } from '#hardware/pci/pci_function.ts';
import { bench } from '#hardware/testing/rig.ts';
import { PCI_ANY_ID, type PciDev, type PciDriver } from '#include/linux/pci.ts';
import { TraceEvents } from '#include/trace/events/events.ts';
import { DEBUG } from '#kernel/config.ts';
import { freeIrq, IRQ_HANDLED, irqSetAffinity, requestIrq } from '#kernel/irq.ts';
import { Machine } from '#kernel/machine.ts';
import { EBUSY, EINVAL, ENODEV, ENOSPC } from '#uapi/errno.ts';
import { PCI_CAP_ID_MSIX } from '#uapi/pci_regs.ts';

class Registers implements PciRegion {
  readonly size: number;
  private value = 0;

  constructor(size: number) {
    this.size = size;
  }

  read32(): number {
    return this.value;
  }

  write32(_offset: number, value: number): void {
    this.value = value;
  }
}

const VENDOR = 0x1234;

function card(machine: Machine, device = 1, size = 4096): PciFunction {
  const pci = new PciFunction(machine, 'test card', {
    vendor: VENDOR,
    device,
    subVendor: 0,
    subDevice: 0,
    classCode: 0x0280,
    revision: 3,
  });
  pci.addRegion(0, new Registers(size));
  return pci;
}

function boot(): Machine {
  const { machine } = bench();
  expect(pciInit(machine)).toBe(0);
  return machine;
}

/** A driver that keeps a record of what it is told. */
class TestDriver implements PciDriver {
  readonly name: string = 'test';
  readonly idTable: readonly { vendor: number; device: number; driverData: number }[];
  readonly log: string[] = [];
  private readonly answer: number;

  constructor(device: number = PCI_ANY_ID, answer = 0) {
    this.idTable = [{ vendor: VENDOR, device, driverData: 0 }];
    this.answer = answer;
  }

  probe(pdev: PciDev): number {
    this.log.push(`probe ${pdev.name}`);
    return this.answer;
  }

  remove(pdev: PciDev): void {
    this.log.push(`remove ${pdev.name}`);
  }
}

function onlyDevice(machine: Machine): PciDev {
  const [pdev] = machine.pci.devices;
  if (pdev === undefined) throw new Error('no device');
  return pdev;
}

test('a card gets addresses that do not overlap, a line and a name', () => {
  const machine = boot();
  machine.pci.bus.plug(card(machine, 1, 4096));
  machine.pci.bus.plug(card(machine, 2, 0x20000));
  machine.pci.bus.plug(card(machine, 3, 4096));
  const { devices } = machine.pci;
  expect(devices.map(({ name }) => name)).toEqual(['0000:00:00.0', '0000:00:01.0', '0000:00:02.0']);
  expect(devices.map(({ device, revision }) => [device, revision])).toEqual([
    [1, 3],
    [2, 3],
    [3, 3],
  ]);
  const ranges = devices.map(({ resource }) => resource[0]);
  for (const [i, range] of ranges.entries()) {
    expect((range?.start ?? 1) % (range?.size ?? 2)).toBe(0);
    for (const other of ranges.slice(i + 1)) {
      const apart =
        (range?.start ?? 0) + (range?.size ?? 0) <= (other?.start ?? 0) ||
        (other?.start ?? 0) + (other?.size ?? 0) <= (range?.start ?? 0);
      expect(apart).toBe(true);
    }
  }
  expect(new Set(devices.map(({ irq }) => irq)).size).toBe(3);
});

test('drivers get the devices they know, whichever comes first', () => {
  const machine = boot();
  const one = new TestDriver(1);
  pciRegisterDriver(machine, one);
  machine.pci.bus.plug(card(machine, 2));
  machine.pci.bus.plug(card(machine, 1));
  expect(one.log).toEqual(['probe 0000:00:01.0']);
  const any = new TestDriver();
  pciRegisterDriver(machine, any);
  expect(any.log, 'the other is taken').toEqual(['probe 0000:00:00.0']);
  pciUnregisterDriver(machine, one);
  expect(one.log).toEqual(['probe 0000:00:01.0', 'remove 0000:00:01.0']);
});

test('a driver that refuses leaves the device to others', () => {
  const machine = boot();
  pciRegisterDriver(machine, new TestDriver(PCI_ANY_ID, -ENODEV));
  machine.pci.bus.plug(card(machine));
  expect(onlyDevice(machine).driver).toBeNull();
  const second = new TestDriver();
  pciRegisterDriver(machine, second);
  expect(second.log).toHaveLength(1);
});

test('a card that is pulled out is removed, and its place can be taken again', () => {
  const machine = boot();
  const driver = new TestDriver();
  pciRegisterDriver(machine, driver);
  const first = card(machine);
  machine.pci.bus.plug(first);
  const start = onlyDevice(machine).resource[0]?.start;
  machine.pci.bus.unplug(first);
  expect(machine.pci.devices).toEqual([]);
  machine.pci.bus.plug(card(machine));
  expect(onlyDevice(machine).resource[0]?.start).toBe(start);
  pciShutdown(machine);
  expect(driver.log.map((line) => line.split(' ')[0])).toEqual([
    'probe',
    'remove',
    'probe',
    'remove',
  ]);
});

test('registers answer while the device is enabled', () => {
  const machine = boot();
  machine.pci.bus.plug(card(machine));
  const pdev = onlyDevice(machine);
  const regs = pciIomap(pdev, 0);
  expect(pciIomap(pdev, 1)).toBeNull();
  expect(regs?.readl(0)).toBe(-1);
  expect(pciEnableDeviceMem(pdev)).toBe(0);
  pciEnableDeviceMem(pdev);
  regs?.writel(5, 0);
  pciDisableDevice(pdev);
  expect(regs?.readl(0)).toBe(5);
  pciDisableDevice(pdev);
  expect(regs?.readl(0)).toBe(-1);
  expect(pciRequestRegions(pdev, 'x')).toBe(0);
  expect(pciRequestRegions(pdev, 'y')).toBe(-EBUSY);
  pciReleaseRegions(pdev);
  expect(pciRequestRegions(pdev, 'y')).toBe(0);
});

test('MSI-X vectors: as many as there are, each with its handler', () => {
  const machine = boot();
  const pci = card(machine);
  const msix = new MsixTable(pci, 3, 4);
  machine.pci.bus.plug(pci);
  const pdev = onlyDevice(machine);
  pciEnableDeviceMem(pdev);
  expect(pciFindCapability(pdev, PCI_CAP_ID_MSIX)).not.toBe(0);
  expect(pciFindCapability(pdev, 0x05)).toBe(0);
  expect(pciAllocIrqVectors(pdev, 5, 8)).toBe(-ENOSPC);
  expect(pciAllocIrqVectors(pdev, 1, 8)).toBe(4);
  const got: number[] = [];
  for (let n = 0; n < 4; n++) {
    const handler = (): number => {
      got.push(n);
      return IRQ_HANDLED;
    };
    expect(requestIrq(machine, pciIrqVector(pdev, n), handler, 'test', pdev)).toBe(0);
  }
  msix.signal(2);
  msix.signal(0);
  expect(got).toEqual([2, 0]);
  expect(pciIrqVector(pdev, 4)).toBe(-EINVAL);
  for (const irq of pdev.msixIrqs) freeIrq(machine, irq, pdev);
  pciFreeIrqVectors(pdev);
  msix.signal(1);
  expect(got).toEqual([2, 0]);
  expect(pciIrqVector(pdev, 0)).toBe(pdev.irq);
});

test('a device without MSI-X has its pin', () => {
  const machine = boot();
  machine.pci.bus.plug(card(machine));
  const pdev = onlyDevice(machine);
  expect(pciAllocIrqVectors(pdev, 1, 4)).toBe(-EINVAL);
  expect(pciIrqVector(pdev, 0)).toBe(pdev.irq);
});

test.runIf(DEBUG)('a driver that leaves memory mapped is named', () => {
  const machine = boot();
  let ring = 0;
  class Leaky extends TestDriver {
    override probe(pdev: PciDev): number {
      ring = dmaAllocCoherent(pdev, 4096);
      dmaMapSingle(pdev, 0x100000, 100, DMA_FROM_DEVICE);
      return 0;
    }

    override remove(pdev: PciDev): void {
      dmaFreeCoherent(pdev, 4096, ring);
    }
  }
  pciRegisterDriver(machine, new Leaky());
  machine.pci.bus.plug(card(machine));
  expect(() => pciShutdown(machine)).toThrow(/dma-leak.*1 DMA mappings.*100 bytes/);
});

test('messages spread over the CPUs when their handlers come, and move when users say so', () => {
  const machine = new Machine({
    name: 'four',
    host: bench().host,
    seed: 1,
    bootEpochSec: 0,
    cpus: 4,
    trace: new TraceEvents(),
  });
  pciInit(machine);
  const pci = card(machine);
  const msix = new MsixTable(pci, 3, 6);
  machine.pci.bus.plug(pci);
  const pdev = onlyDevice(machine);
  pciEnableDeviceMem(pdev);
  expect(pciMsixVecCount(pdev)).toBe(6);
  expect(pciEnableMsixRange(pdev, 6, 6)).toBe(6);
  const served: number[] = [];
  const handler = (): number => {
    served.push(machine.cpu.id);
    return IRQ_HANDLED;
  };
  for (const irq of pdev.msixIrqs) requestIrq(machine, irq, handler, 'test', pdev);
  for (let n = 0; n < 6; n++) msix.signal(n);
  expect(served).toEqual([0, 1, 2, 3, 0, 1]);
  expect(machine.cpu.id, 'the interrupted CPU goes on').toBe(0);
  const second = pciIrqVector(pdev, 1);
  expect(irqSetAffinity(machine, second, [9])).toBe(-EINVAL);
  expect(irqSetAffinity(machine, second, [1, 3])).toBe(0);
  msix.signal(1);
  expect(served.at(-1), 'stays where it may').toBe(1);
  expect(irqSetAffinity(machine, second, [0, 3])).toBe(0);
  msix.signal(1);
  expect(served.at(-1), 'goes to the one with fewer').toBe(3);
  expect(() => pciFreeIrqVectors(pdev)).toThrow('msi-in-use');
  for (const irq of pdev.msixIrqs) freeIrq(machine, irq, pdev);
  pciFreeIrqVectors(pdev);
  expect(machine.irqs.descs.has(second)).toBe(false);
});
