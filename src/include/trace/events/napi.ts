/** Device polling. Counterpart of include/trace/events/napi.h. */
import type { NapiStruct, NetdevQueue } from '#include/linux/netdevice.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class NapiEvents {
  readonly napiPoll: Tracepoint<[napi: NapiStruct, work: number, budget: number]> = new Tracepoint(
    'napi:napi_poll',
  );
  readonly dqlStallDetected: Tracepoint<[txq: NetdevQueue, len: number]> = new Tracepoint(
    'napi:dql_stall_detected',
  );
}
