/**
 * Hard interrupts. Counterpart of kernel/irq/manage.c, chip.c and handle.c.
 *
 * A device model raises an interrupt line or message; the handlers registered for it run at once on
 * the CPU it is routed to, unless interrupts are off there: then it waits. Handlers do not nest.
 */
import { KernelBug } from '#kernel/bug.ts';
import type { Cpu } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { chargeIrq } from '#kernel/sched/cpu_cost.ts';
import { irqEnter, irqExit } from '#kernel/softirq.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { EBUSY, EINVAL, ENOSPC } from '#uapi/errno.ts';

export const IRQ_NONE = 0;
export const IRQ_HANDLED = 1;

/** As on a PC: the numbers below are the legacy lines. */
const FIRST_DYNAMIC_IRQ = 16;

/** Unhandled interrupts of one line in a row after which it is shut off. */
const SPURIOUS_LIMIT = 100_000;

export type IrqHandler = (irq: number, devId: unknown) => number;

/** @kernel irqaction include/linux/interrupt.h */
interface IrqAction {
  readonly handler: IrqHandler;
  readonly devId: unknown;
  readonly name: string;
}

/** @kernel irq_desc include/linux/irqdesc.h */
export class IrqDesc {
  readonly irq: number;
  actions: readonly IrqAction[];
  /** Depth of disable_irq(). */
  depth: number;
  /** Raised while disabled. */
  pending: boolean;
  /** Number of the CPU that serves it. @kernel irq_data_get_effective_affinity_mask include/linux/irq.h */
  affinity: number;
  /** By CPU, 1: users let it serve. @kernel irq_common_data include/linux/irq.h */
  readonly smpAffinity: Uint8Array;
  /** A message, which may go to any CPU; false: a line, which stays where it is routed. */
  readonly spreads: boolean;
  /** What delivers it, as /proc/interrupts says: `PCI-MSIX-0000:00:03.0`. @kernel irq_chip include/linux/irq.h */
  readonly chipName: string;
  /** Its number there. @kernel irq_data include/linux/irq.h */
  readonly hwirq: number;
  /** Handled interrupts by CPU, as in /proc/interrupts. */
  readonly counts: number[];
  unhandled: number;

  constructor(irq: number, cpus: number, chipName: string, hwirq: number, spreads: boolean) {
    this.irq = irq;
    this.actions = [];
    this.depth = 0;
    this.pending = false;
    this.affinity = 0;
    this.smpAffinity = new Uint8Array(cpus).fill(1);
    this.spreads = spreads;
    this.chipName = chipName;
    this.hwirq = hwirq;
    this.counts = new Array<number>(cpus).fill(0);
    this.unhandled = 0;
  }
}

export class IrqTable {
  readonly descs: Map<number, IrqDesc>;
  /** Numbers that are given out. @kernel allocated_irqs kernel/irq/irqdesc.c */
  private readonly taken: Set<number>;
  private readonly cpus: number;

  constructor(cpus: number) {
    this.descs = new Map();
    this.taken = new Set();
    this.cpus = cpus;
  }

  /** The line's descriptor, made on first use. @kernel irq_to_desc kernel/irq/irqdesc.c */
  desc(irq: number): IrqDesc {
    let desc = this.descs.get(irq);
    if (desc === undefined) {
      desc = new IrqDesc(irq, this.cpus, 'IO-APIC', irq, false);
      this.descs.set(irq, desc);
    }
    return desc;
  }

  /** Makes the descriptor of message `hwirq` of a device. @kernel msi_domain_alloc_irqs_range kernel/irq/msi.c */
  addMessage(irq: number, chipName: string, hwirq: number): void {
    this.descs.set(irq, new IrqDesc(irq, this.cpus, chipName, hwirq, true));
  }

  /** Forgets messages that nobody listens to. @kernel irq_free_descs kernel/irq/irqdesc.c */
  free(irq: number): void {
    this.taken.delete(irq);
    this.descs.delete(irq);
  }

  /** Takes the first `count` free numbers in a row. @kernel irq_alloc_descs kernel/irq/irqdesc.c */
  alloc(count: number): number {
    let first = FIRST_DYNAMIC_IRQ;
    for (let irq = first; irq < first + count; irq++) if (this.taken.has(irq)) first = irq + 1;
    for (let irq = first; irq < first + count; irq++) this.taken.add(irq);
    return first;
  }
}

/**
 * Allocates `count` message-signalled vectors of a device called `name`; returns their numbers, or
 * -ENOSPC. @kernel msi_domain_alloc_irqs_range kernel/irq/msi.c
 */
export function allocIrqVectors(machine: Machine, count: number, name = ''): number[] | number {
  if (count < 1 || count > 2048) return -ENOSPC;
  const first = machine.irqs.alloc(count);
  const irqs = Array.from({ length: count }, (_, i) => first + i);
  for (const [hwirq, irq] of irqs.entries()) {
    machine.irqs.addMessage(irq, `PCI-MSIX-${name}`, hwirq);
  }
  return irqs;
}

/** Gives vectors back; their handlers are gone. @kernel msi_domain_free_irqs_range kernel/irq/msi.c */
export function freeIrqVectors(machine: Machine, irqs: readonly number[]): void {
  for (const irq of irqs) {
    if (machine.irqs.desc(irq).actions.length > 0) {
      throw new KernelBug('msi-in-use', `vector ${irq} is freed with a handler`);
    }
    machine.irqs.free(irq);
  }
}

/** Messages in use that a CPU serves. @kernel cpumap kernel/irq/matrix.c */
function vectorsOf(machine: Machine, cpu: number): number {
  let count = 0;
  for (const desc of machine.irqs.descs.values()) {
    if (desc.spreads && desc.actions.length > 0 && desc.affinity === cpu) count++;
  }
  return count;
}

/** Of the CPUs allowed to it, the one that serves fewest messages. @kernel matrix_find_best_cpu kernel/irq/matrix.c */
function matrixFindBestCpu(machine: Machine, desc: IrqDesc): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let cpu = 0; cpu < desc.smpAffinity.length; cpu++) {
    if (desc.smpAffinity[cpu] === 0) continue;
    const count = vectorsOf(machine, cpu);
    if (count >= least) continue;
    best = cpu;
    least = count;
  }
  return best;
}

/**
 * Registers a handler; several may share a line if their devId differs.
 * 0, -EINVAL or -EBUSY. @kernel request_irq include/linux/interrupt.h
 */
export function requestIrq(
  machine: Machine,
  irq: number,
  handler: IrqHandler,
  name: string,
  devId: unknown,
): number {
  if (irq < 0) return -EINVAL;
  const desc = machine.irqs.desc(irq);
  if (desc.actions.some((action) => action.devId === devId)) return -EBUSY;
  // The first handler brings the message to life, and with that to a CPU. @kernel irq_activate
  if (desc.spreads && desc.actions.length === 0) desc.affinity = matrixFindBestCpu(machine, desc);
  desc.actions = [...desc.actions, { handler, devId, name }];
  return 0;
}

/** @kernel free_irq kernel/irq/manage.c */
export function freeIrq(machine: Machine, irq: number, devId: unknown): void {
  const desc = machine.irqs.desc(irq);
  const left = desc.actions.filter((action) => action.devId !== devId);
  if (left.length === desc.actions.length) {
    throw new KernelBug('free-irq', `free_irq: no handler of that device on ${irq}`);
  }
  desc.actions = left;
  if (left.length === 0) desc.pending = false;
}

/** @kernel disable_irq kernel/irq/manage.c */
export function disableIrq(machine: Machine, irq: number): void {
  machine.irqs.desc(irq).depth++;
}

/** What arrived meanwhile is delivered. @kernel enable_irq kernel/irq/manage.c */
export function enableIrq(machine: Machine, irq: number): void {
  const desc = machine.irqs.desc(irq);
  if (desc.depth === 0)
    throw new KernelBug('irq-balance', `enable_irq(${irq}) without disable_irq`);
  desc.depth--;
  if (desc.depth === 0 && desc.pending) {
    desc.pending = false;
    raiseIrq(machine, irq);
  }
}

/**
 * Lets the CPUs of a list serve an interrupt: 0, or -EINVAL when none of them exists.
 * @kernel irq_set_affinity kernel/irq/manage.c
 */
export function irqSetAffinity(machine: Machine, irq: number, cpus: readonly number[]): number {
  const there = cpus.filter((cpu) => machine.cpus[cpu] !== undefined);
  if (there.length === 0) return -EINVAL;
  const desc = machine.irqs.desc(irq);
  desc.smpAffinity.fill(0);
  for (const cpu of there) desc.smpAffinity[cpu] = 1;
  // It stays where it is when it may.
  if (desc.smpAffinity[desc.affinity] === 0) desc.affinity = matrixFindBestCpu(machine, desc);
  return 0;
}

/** @kernel local_irq_save include/linux/irqflags.h */
export function localIrqSave(machine: Machine): void {
  machine.cpu.irqDisableCount++;
}

/** @kernel local_irq_restore include/linux/irqflags.h */
export function localIrqRestore(machine: Machine): void {
  const { cpu } = machine;
  if (cpu.irqDisableCount === 0) {
    throw new KernelBug('irq-balance', 'local_irq_restore without local_irq_save');
  }
  cpu.irqDisableCount--;
  deliverPending(machine, cpu);
}

/** A device signals. @kernel handle_irq_event kernel/irq/handle.c */
export function raiseIrq(machine: Machine, irq: number): void {
  const desc = machine.irqs.desc(irq);
  if (desc.depth > 0) {
    desc.pending = true;
    return;
  }
  const cpu = machine.cpus[desc.affinity] as Cpu;
  if (cpu.irqDisableCount > 0 || cpu.hardirqCount > 0) {
    if (!cpu.irqPending.includes(irq)) cpu.irqPending.push(irq);
    return;
  }
  runOn(machine, cpu, irq);
  deliverPending(machine, cpu);
}

/** Delivers what arrived on the present CPU during an interrupt that has ended. */
export function deliverPendingIrqs(machine: Machine): void {
  deliverPending(machine, machine.cpu);
}

function deliverPending(machine: Machine, cpu: Cpu): void {
  while (cpu.irqPending.length > 0 && cpu.irqDisableCount === 0 && cpu.hardirqCount === 0) {
    runOn(machine, cpu, cpu.irqPending.shift() as number);
  }
}

function runOn(machine: Machine, cpu: Cpu, irq: number): void {
  const interrupted = machine.cpu;
  machine.cpu = cpu;
  irqEnter(machine);
  handleIrqEvent(machine, cpu, irq);
  irqExit(machine);
  machine.cpu = interrupted;
}

/** @kernel __handle_irq_event_percpu kernel/irq/handle.c */
function handleIrqEvent(machine: Machine, cpu: Cpu, irq: number): void {
  const desc = machine.irqs.desc(irq);
  desc.counts[cpu.id] = (desc.counts[cpu.id] as number) + 1;
  let handled = IRQ_NONE;
  for (const action of desc.actions) {
    if (tracepointKey.enabled) machine.trace.irq.irqHandlerEntry.probe?.(irq, action.name);
    const ret = action.handler(irq, action.devId);
    if (machine.costs !== null) chargeIrq(machine, machine.costs.hardirqNs);
    if (tracepointKey.enabled) machine.trace.irq.irqHandlerExit.probe?.(irq, action.name, ret);
    handled |= ret;
  }
  if (handled !== IRQ_NONE) {
    desc.unhandled = 0;
  } else if (++desc.unhandled >= SPURIOUS_LIMIT) {
    // "nobody cared": a line that screams would stop the machine. @kernel note_interrupt
    desc.depth++;
    desc.unhandled = 0;
  }
}
