/**
 * Calls from one CPU to another. Counterpart of kernel/smp.c.
 *
 * A call waits on the other CPU's queue until the inter-processor interrupt arrives there, which is an
 * event of its own: the host is kicked, and the functions run in hard interrupt context, followed by
 * the soft interrupts that they raised. Nothing runs on the other CPU inside the caller.
 */
import type { Cpu } from '#kernel/cpu.ts';
import type { Machine } from '#kernel/machine.ts';
import { irqEnter, irqExit } from '#kernel/softirq.ts';
import { EBUSY, ENXIO } from '#uapi/errno.ts';

/** One call that can be on its way at a time. @kernel call_single_data include/linux/smp_types.h */
export class CallSingleData {
  readonly func: (machine: Machine, info: unknown) => void;
  readonly info: unknown;
  /** On its way: CSD_FLAG_LOCK. */
  locked: boolean;
  next: CallSingleData | null;

  constructor(func: (machine: Machine, info: unknown) => void, info: unknown) {
    this.func = func;
    this.info = info;
    this.locked = false;
    this.next = null;
  }
}

/**
 * Has another CPU call the function; does not wait. 0, -EBUSY while the last call is on its way, or
 * -ENXIO: no such CPU. @kernel smp_call_function_single_async kernel/smp.c
 */
export function smpCallFunctionSingleAsync(
  machine: Machine,
  cpu: number,
  csd: CallSingleData,
): number {
  const target = machine.cpus[cpu];
  if (target === undefined) return -ENXIO;
  if (csd.locked) return -EBUSY;
  csd.locked = true;
  csd.next = null;
  if (target.callTail === null) target.callHead = csd;
  else target.callTail.next = csd;
  target.callTail = csd;
  machine.host.kick(machine);
  return 0;
}

/**
 * The inter-processor interrupt on `machine.cpu`. @kernel generic_smp_call_function_single_interrupt kernel/smp.c
 * @kernel flush_smp_call_function_queue kernel/smp.c
 */
export function flushSmpCallFunctionQueue(machine: Machine, cpu: Cpu): void {
  let csd = cpu.callHead;
  if (csd === null) return;
  cpu.callHead = null;
  cpu.callTail = null;
  cpu.callInterrupts++;
  irqEnter(machine);
  while (csd !== null) {
    const { next, func, info }: CallSingleData = csd;
    csd.next = null;
    // Unlocked before it runs, so that it may be sent again from there.
    csd.locked = false;
    func(machine, info);
    csd = next;
  }
  irqExit(machine);
}
