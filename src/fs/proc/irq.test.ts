import { expect, test } from 'vitest';
import type { DirectoryNode, RegularNode } from '#fs/namei.ts';
import { procIrq, showInterrupts } from '#fs/proc/irq.ts';
import { TraceEvents } from '#include/trace/events/events.ts';
import type { Cpu } from '#kernel/cpu.ts';
import { allocIrqVectors, IRQ_HANDLED, raiseIrq, requestIrq } from '#kernel/irq.ts';
import { Machine } from '#kernel/machine.ts';
import {
  CallSingleData,
  flushSmpCallFunctionQueue,
  smpCallFunctionSingleAsync,
} from '#kernel/smp.ts';
import { EINVAL, EOVERFLOW, ERANGE } from '#uapi/errno.ts';

function boot(): Machine {
  const host = { readClock: (): number => 0, kick: (): void => {}, timerChanged: (): void => {} };
  const machine = new Machine({
    name: 'm',
    host,
    seed: 1,
    bootEpochSec: 0,
    cpus: 2,
    trace: new TraceEvents(),
  });
  const handler = (): number => IRQ_HANDLED;
  requestIrq(machine, 11, handler, 'eth9', 'pin');
  const irqs = allocIrqVectors(machine, 2, '0000:00:01.0');
  if (typeof irqs === 'number') throw new Error('no vectors');
  for (const irq of irqs) requestIrq(machine, irq, handler, `eth0-TxRx-${irq - 16}`, 'card');
  return machine;
}

function file(machine: Machine, irq: string, name: string): RegularNode {
  const dir = procIrq(machine).lookup(irq) as DirectoryNode;
  return dir.lookup(name) as RegularNode;
}

test('/proc/interrupts counts by CPU, and tells chip, number and name', () => {
  const machine = boot();
  raiseIrq(machine, 17);
  raiseIrq(machine, 17);
  raiseIrq(machine, 11);
  expect(showInterrupts(machine)).toBe(
    '           CPU0       CPU1       \n' +
      ' 11:          1          0  IO-APIC  11-fasteoi   eth9\n' +
      ' 16:          0          0 PCI-MSIX-0000:00:01.0   0-edge      eth0-TxRx-0\n' +
      ' 17:          0          2 PCI-MSIX-0000:00:01.0   1-edge      eth0-TxRx-1\n' +
      'CAL:          0          0   Function call interrupts\n',
  );
  const call = new CallSingleData(() => {}, null);
  for (const cpu of [1, 1, 0, 1]) {
    expect(smpCallFunctionSingleAsync(machine, cpu, call)).toBe(0);
    machine.cpu = machine.cpus[cpu] as Cpu;
    flushSmpCallFunctionQueue(machine, machine.cpu);
  }
  expect(showInterrupts(machine)).toContain(
    '\nCAL:          1          3   Function call interrupts\n',
  );
});

test('/proc/irq/N/smp_affinity moves an interrupt', () => {
  const machine = boot();
  expect(procIrq(machine).list()).toEqual(['11', '16', '17']);
  const mask = file(machine, '17', 'smp_affinity');
  expect(mask.show()).toBe('3\n');
  expect(file(machine, '17', 'effective_affinity').show()).toBe('2\n');
  expect(mask.store?.('4')).toBe(-EOVERFLOW);
  expect(file(machine, '17', 'smp_affinity_list').store?.('1-4')).toBe(-ERANGE);
  expect(file(machine, '17', 'smp_affinity_list').store?.('')).toBe(-EINVAL);
  expect(mask.store?.('0')).toBe(-EINVAL);
  expect(mask.store?.('nonsense')).toBe(-EINVAL);
  expect(mask.store?.('1')).toBe(0);
  raiseIrq(machine, 17);
  expect(machine.irqs.desc(17).counts).toEqual([1, 0]);
  expect(file(machine, '17', 'smp_affinity_list').store?.('1')).toBe(0);
  expect(file(machine, '17', 'effective_affinity_list').show()).toBe('1\n');
  expect(file(machine, '17', 'spurious').show()).toContain('count 1\n');
  expect(procIrq(machine).lookup('12')).toBeNull();
});
