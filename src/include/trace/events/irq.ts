/** Hard and soft interrupts. Counterpart of include/trace/events/irq.h. */
import { Tracepoint } from '#kernel/tracepoint.ts';

export class IrqEvents {
  readonly irqHandlerEntry: Tracepoint<[irq: number, name: string]> = new Tracepoint(
    'irq:irq_handler_entry',
  );
  readonly irqHandlerExit: Tracepoint<[irq: number, name: string, ret: number]> = new Tracepoint(
    'irq:irq_handler_exit',
  );
  readonly softirqEntry: Tracepoint<[vec: number]> = new Tracepoint('irq:softirq_entry');
  readonly softirqExit: Tracepoint<[vec: number]> = new Tracepoint('irq:softirq_exit');
  readonly softirqRaise: Tracepoint<[vec: number]> = new Tracepoint('irq:softirq_raise');
  readonly taskletEntry: Tracepoint<[tasklet: object, func: string]> = new Tracepoint(
    'irq:tasklet_entry',
  );
  readonly taskletExit: Tracepoint<[tasklet: object, func: string]> = new Tracepoint(
    'irq:tasklet_exit',
  );
}
