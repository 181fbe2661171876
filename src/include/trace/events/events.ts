/**
 * All tracepoints of a machine, by the system they belong to in tracefs. The counterpart of the
 * `__tracepoints` section that Linux's linker gathers.
 */
import { FibEvents } from '#include/trace/events/fib.ts';
import { IcmpEvents } from '#include/trace/events/icmp.ts';
import { IrqEvents } from '#include/trace/events/irq.ts';
import { NapiEvents } from '#include/trace/events/napi.ts';
import { NeighEvents } from '#include/trace/events/neigh.ts';
import { NetEvents } from '#include/trace/events/net.ts';
import { NetlinkEvents } from '#include/trace/events/netlink.ts';
import { PacketEvents } from '#include/trace/events/packet.ts';
import { QdiscEvents } from '#include/trace/events/qdisc.ts';
import { SkbEvents } from '#include/trace/events/skb.ts';
import { SockEvents } from '#include/trace/events/sock.ts';
import { TcpEvents } from '#include/trace/events/tcp.ts';
import { TimerEvents } from '#include/trace/events/timer.ts';
import { UdpEvents } from '#include/trace/events/udp.ts';
import { Tracepoint } from '#kernel/tracepoint.ts';

export class TraceEvents {
  readonly fib: FibEvents = new FibEvents();
  readonly icmp: IcmpEvents = new IcmpEvents();
  readonly irq: IrqEvents = new IrqEvents();
  readonly napi: NapiEvents = new NapiEvents();
  readonly neigh: NeighEvents = new NeighEvents();
  readonly net: NetEvents = new NetEvents();
  readonly netlink: NetlinkEvents = new NetlinkEvents();
  readonly packet: PacketEvents = new PacketEvents();
  readonly qdisc: QdiscEvents = new QdiscEvents();
  readonly skb: SkbEvents = new SkbEvents();
  readonly sock: SockEvents = new SockEvents();
  readonly tcp: TcpEvents = new TcpEvents();
  readonly timer: TimerEvents = new TimerEvents();
  readonly udp: UdpEvents = new UdpEvents();
}

/** Every tracepoint in a fixed order: what `available_events` lists. @kernel for_each_kernel_tracepoint kernel/tracepoint.c */
export function kernelTracepoints(events: TraceEvents): Tracepoint<unknown[]>[] {
  const list: Tracepoint<unknown[]>[] = [];
  for (const group of Object.values(events)) {
    for (const tp of Object.values(group as object)) {
      if (tp instanceof Tracepoint) list.push(tp);
    }
  }
  return list;
}
