/** Neighbours. Counterpart of include/trace/events/neigh.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Neighbour, NeighTable } from '#include/net/neighbour.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class NeighEvents {
  readonly neighCreate: Tracepoint<
    [
      tbl: NeighTable,
      dev: NetDevice,
      pkey: Uint8Array,
      neigh: Neighbour | null,
      exemptFromGc: boolean,
    ]
  > = new Tracepoint('neigh:neigh_create');
  readonly neighUpdate: Tracepoint<
    [neigh: Neighbour, lladdr: Uint8Array | null, newState: number, flags: number, nlmsgPid: number]
  > = new Tracepoint('neigh:neigh_update');
  readonly neighUpdateDone: Tracepoint<[neigh: Neighbour, err: number]> = new Tracepoint(
    'neigh:neigh_update_done',
  );
  readonly neighTimerHandler: Tracepoint<[neigh: Neighbour, err: number]> = new Tracepoint(
    'neigh:neigh_timer_handler',
  );
  readonly neighEventSendDone: Tracepoint<[neigh: Neighbour, err: number]> = new Tracepoint(
    'neigh:neigh_event_send_done',
  );
  readonly neighEventSendDead: Tracepoint<[neigh: Neighbour, err: number]> = new Tracepoint(
    'neigh:neigh_event_send_dead',
  );
  readonly neighCleanupAndRelease: Tracepoint<[neigh: Neighbour, err: number]> = new Tracepoint(
    'neigh:neigh_cleanup_and_release',
  );
}
