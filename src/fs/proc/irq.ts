/**
 * /proc/interrupts and /proc/irq: who listens to which interrupt, how often each CPU has served it,
 * and which CPUs may. Counterpart of kernel/irq/proc.c.
 */
import { type DirectoryNode, directory, type RegularNode, readOnly } from '#fs/namei.ts';
import { type IrqDesc, irqSetAffinity } from '#kernel/irq.ts';
import type { Machine } from '#kernel/machine.ts';
import { bitmapListString, bitmapParse, bitmapParselist, bitmapString } from '#lib/bitmap_str.ts';

/** Columns of an interrupt's number, and of a count. */
const NUMBER_WIDTH = 3;
const COUNT_WIDTH = 10;

/** `0-edge`: its number at the chip, and what makes it. */
function flow(desc: IrqDesc): string {
  const number = String(desc.hwirq).padStart(NUMBER_WIDTH);
  return `${number}-${(desc.spreads ? 'edge' : 'fasteoi').padEnd(8)}`;
}

/** @kernel show_interrupts kernel/irq/proc.c */
export function showInterrupts(machine: Machine): string {
  const header = machine.cpus.map((cpu) => `CPU${cpu.id}`.padEnd(COUNT_WIDTH + 1)).join('');
  const rows = inUse(machine).map((desc) => {
    const counts = desc.counts.map((n) => ` ${String(n).padStart(COUNT_WIDTH)}`).join('');
    const names = desc.actions.map((action) => action.name).join(', ');
    const number = String(desc.irq).padStart(NUMBER_WIDTH);
    return `${number}:${counts} ${desc.chipName.padStart(8)} ${flow(desc)}  ${names}\n`;
  });
  return `${' '.repeat(NUMBER_WIDTH + 8)}${header}\n${rows.join('')}${callInterrupts(machine)}`;
}

/** The row of what CPUs send to each other. @kernel arch_show_interrupts arch/x86/kernel/irq.c */
function callInterrupts(machine: Machine): string {
  const counts = machine.cpus.map((cpu) => ` ${String(cpu.callInterrupts).padStart(COUNT_WIDTH)}`);
  return `CAL:${counts.join('')}   Function call interrupts\n`;
}

function inUse(machine: Machine): IrqDesc[] {
  return [...machine.irqs.descs.values()]
    .filter((desc) => desc.actions.length > 0)
    .sort((a, b) => a.irq - b.irq);
}

/** The mask of one CPU. */
function only(machine: Machine, cpu: number): Uint8Array {
  const set = new Uint8Array(machine.cpus.length);
  set[cpu] = 1;
  return set;
}

/** @kernel write_irq_affinity kernel/irq/proc.c */
function writeAffinity(machine: Machine, desc: IrqDesc, set: Uint8Array | number): number {
  if (typeof set === 'number') return set;
  const cpus = [...set.keys()].filter((cpu) => set[cpu] !== 0);
  return irqSetAffinity(machine, desc.irq, cpus);
}

/** One of the two files, mask or list, through which the CPUs are chosen. */
function affinityFile(
  machine: Machine,
  desc: IrqDesc,
  show: (set: Uint8Array) => string,
  parse: (text: string, size: number) => Uint8Array | number,
): RegularNode {
  return {
    kind: 'file',
    show: () => `${show(desc.smpAffinity)}\n`,
    store: (text) => writeAffinity(machine, desc, parse(text, machine.cpus.length)),
  };
}

/** /proc/irq/N. @kernel register_irq_proc kernel/irq/proc.c */
function irqDirectory(machine: Machine, desc: IrqDesc): DirectoryNode {
  const names = Object.fromEntries(desc.actions.map(({ name }) => [name, directory({})]));
  return directory({
    effective_affinity: readOnly(() => `${bitmapString(only(machine, desc.affinity))}\n`),
    effective_affinity_list: readOnly(() => `${desc.affinity}\n`),
    smp_affinity: affinityFile(machine, desc, bitmapString, bitmapParse),
    smp_affinity_list: affinityFile(machine, desc, bitmapListString, bitmapParselist),
    spurious: readOnly(() => {
      const count = desc.counts.reduce((sum, n) => sum + n, 0);
      return `count ${count}\nunhandled ${desc.unhandled}\nlast_unhandled 0 ms\n`;
    }),
    ...names,
  });
}

/** /proc/irq. @kernel init_irq_proc kernel/irq/proc.c */
export function procIrq(machine: Machine): DirectoryNode {
  return {
    kind: 'dir',
    list: () => inUse(machine).map(({ irq }) => String(irq)),
    lookup: (name) => {
      const desc = inUse(machine).find(({ irq }) => String(irq) === name);
      return desc === undefined ? null : irqDirectory(machine, desc);
    },
  };
}
