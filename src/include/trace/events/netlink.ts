/** Netlink. Counterpart of include/trace/events/netlink.h. */
import { Tracepoint } from '#kernel/tracepoint.ts';

export class NetlinkEvents {
  readonly netlinkExtack: Tracepoint<[msg: string]> = new Tracepoint('netlink:netlink_extack');
}
