/** Route lookups. Counterpart of include/trace/events/fib.h. */
import type { Flowi4 } from '#include/net/flow.ts';
import type { FibNh } from '#include/net/ip_fib.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class FibEvents {
  readonly fibTableLookup: Tracepoint<[tbId: number, flp: Flowi4, nhc: FibNh | null, err: number]> =
    new Tracepoint('fib:fib_table_lookup');
}
