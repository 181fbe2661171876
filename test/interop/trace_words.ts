/**
 * One text for an event of either side, so that the two can be compared line by line: the event and those of
 * its arguments that do not depend on addresses in memory, clocks or build.
 */

import { inNtop4 } from '#lib/parse_addr.ts';
import { KIND_END } from '#trace/record.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';
import { TCP_STATE_NAMES } from '#uapi/tcp_states.ts';
import type { KernelEvent, KernelRun } from './trace_kernel.ts';
import type { OwnEvent, OwnRun } from './trace_softnet.ts';

const NUD: Readonly<Record<number, string>> = {
  0: 'none',
  1: 'incomplete',
  2: 'reachable',
  4: 'stale',
  8: 'delay',
  16: 'probe',
  32: 'failed',
  64: 'noarp',
  128: 'permanent',
};

/** Soft interrupts that are compared: NET_TX and NET_RX. */
const VECTORS: readonly number[] = [2, 3];

function pick(args: string, pattern: RegExp): string {
  return pattern.exec(args)?.[1] ?? '?';
}

/** Functions that GCC made of one: `tcp_v4_rcv.part.0` is tcp_v4_rcv. */
function place(args: string): string {
  return pick(args, /location=(\w+)/);
}

/** The kernel's line for an event; null for one that is not compared. */
export function kernelWords({ event, args }: KernelEvent): string | null {
  const [system = '', name = ''] = event.split(':');
  const dev = (): string => pick(args, /\bdev[=: ]\s*(\w+)/);
  const len = (): string => pick(args, /\blen=(\d+)/);
  if (system === 'net') {
    if (name.endsWith('_exit')) return `${name} ${pick(args, /ret=(-?\d+)/)}`;
    if (name === 'net_dev_xmit') return `${name} ${dev()} ${len()} rc=${pick(args, /rc=(\d+)/)}`;
    return `${name} ${dev()} ${len()}`;
  }
  switch (name) {
    case 'kfree_skb':
      return `${name} ${place(args)} ${pick(args, /reason: (\w+)/)}`;
    case 'consume_skb':
      // What other CPUs have left to free comes in at any time.
      return place(args) === 'skb_defer_free_flush' ? null : `${name} ${place(args)}`;
    case 'skb_copy_datagram_iovec':
      return `${name} ${len()}`;
    case 'napi_poll':
      return `${name} ${pick(args, /work (\d+)/)}/${pick(args, /budget (\d+)/)}`;
    case 'softirq_raise':
    case 'softirq_entry':
    case 'softirq_exit': {
      const vec = pick(args, /vec=(\d+)/);
      return VECTORS.includes(Number(vec)) ? `${name} ${vec}` : null;
    }
    case 'inet_sock_set_state':
      return `${name} ${pick(args, /oldstate=TCP_(\w+)/)} ${pick(args, /newstate=TCP_(\w+)/)}`;
    case 'sock_send_length':
    case 'sock_recv_length': {
      const error = pick(args, /error = (-?\d+)/);
      return `${name} ${error === '0' ? pick(args, /length = (\d+)/) : error}`;
    }
    case 'inet_sk_error_report':
      return `${name} ${pick(args, /error=(\d+)/)}`;
    case 'tcp_cong_state_set':
      return `${name} ${pick(args, /cong_state=(\d+)/)}`;
    case 'fib_table_lookup': {
      const err = pick(args, /err (-?\d+)/);
      const to = pick(args, /-> ([\d.]+)\//);
      return `${name} ${to} ${err === '0' ? pick(args, /dev (\S+) gw/) : err}`;
    }
    case 'icmp_send':
      return `${name} ${pick(args, /type=(\d+)/)}/${pick(args, /code=(\d+)/)}`;
    case 'udp_fail_queue_rcv_skb':
      return `${name} ${pick(args, /rc=(-?\d+)/)}`;
    case 'neigh_create':
      return `${name} ${pick(args, /primary_key4 ([\d.]+)/)}`;
    default:
      if (system !== 'neigh') return name;
      return `${name} ${dev()} ${pick(args, /primary_key4 ([\d.]+)/)} ${pick(args, /nud_state (\w+)/)}`;
  }
}

/**
 * Where the kernel's compiler puts what is a function of its own here: inlined into its caller, or left by a
 * jump, so that the caller's caller is the place.
 */
const PLACES: Readonly<Record<string, string>> = {
  __dev_xmit_skb: '__dev_queue_xmit',
  neigh_probe: '__neigh_event_send',
  arp_error_report: 'neigh_invalidate',
  __udp_queue_rcv_skb: 'udp_queue_rcv_one_skb',
  skb_queue_purge_reason: 'sk_stream_kill_queues',
};

/** Our line for an event; null for one that Linux does not have, or that is not compared. */
export function ownWords(event: OwnEvent): string | null {
  const [system = '', name = ''] = event.name.split(':');
  const { args, dev, kind, inCall } = event;
  const [a = 0, b = 0, c = 0] = args;
  if (system === 'packet' || system === 'cable' || system === 'timer') return null;
  if (kind === KIND_END) {
    const where = PLACES[event.location] ?? event.location;
    return name === 'kfree_skb' ? `${name} ${where} ${dropReasonName(a)}` : `${name} ${where}`;
  }
  if (system === 'net') {
    if (name.endsWith('_exit')) return inCall ? `${name} ${a}` : null;
    return name === 'net_dev_xmit' ? `${name} ${dev} ${b} rc=${a}` : `${name} ${dev} ${a}`;
  }
  const key = (): string => inNtop4(a >>> 0);
  switch (name) {
    case 'skb_copy_datagram_iovec':
    case 'tcp_cong_state_set':
    case 'inet_sk_error_report':
    case 'udp_fail_queue_rcv_skb':
      return `${name} ${a}`;
    case 'napi_poll':
      return inCall ? `${name} ${a}/${b}` : null;
    case 'softirq_raise':
    case 'softirq_entry':
    case 'softirq_exit':
      return inCall && VECTORS.includes(a) ? `${name} ${a}` : null;
    case 'inet_sock_set_state':
      return `${name} ${TCP_STATE_NAMES[a]} ${TCP_STATE_NAMES[b]}`;
    case 'sock_send_length':
    case 'sock_recv_length':
      return `${name} ${a}`;
    case 'fib_table_lookup':
      return `${name} ${inNtop4(c >>> 0)} ${a === 0 ? dev : a}`;
    case 'icmp_send':
      return `${name} ${a}/${b}`;
    case 'neigh_create':
      return `${name} ${key()}`;
    default:
      if (system !== 'neigh') return name;
      return `${name} ${dev} ${key()} ${NUD[c] ?? c}`;
  }
}

export function kernelLines(run: KernelRun): string[] {
  return run.events.map(kernelWords).filter((line) => line !== null);
}

export function ownLines(run: OwnRun): string[] {
  // On the kernel's side the loopback devices of everybody's namespaces look alike.
  const onDevices = run.events.filter(({ name }) => name.startsWith('net:'));
  const packetsOn = (events: readonly OwnEvent[]): Set<number> =>
    new Set(events.map(({ packet }) => packet));
  const looped = packetsOn(onDevices.filter(({ dev, packet }) => dev === 'lo' && packet !== 0));
  // In timers, the kernel's packets are known by their devices, or by an event that names addresses.
  const known = packetsOn([
    ...onDevices,
    ...run.events.filter(({ name }) => name.startsWith('icmp:')),
  ]);
  return run.events
    .filter(
      ({ packet, name, dev }) =>
        !looped.has(packet) && !(/^(?:net|neigh):/.test(name) && dev === 'lo'),
    )
    .filter(({ inCall, kind, packet }) => inCall || kind !== KIND_END || known.has(packet))
    .map(ownWords)
    .filter((line) => line !== null);
}

/** How two lists differ: ` ` both, `-` the kernel alone, `+` softnet alone. By longest common subsequence. */
export function differences(kernel: readonly string[], own: readonly string[]): string[] {
  const rows = kernel.length + 1;
  const columns = own.length + 1;
  const common = new Int32Array(rows * columns);
  for (let i = kernel.length - 1; i >= 0; i--) {
    for (let j = own.length - 1; j >= 0; j--) {
      common[i * columns + j] =
        kernel[i] === own[j]
          ? (common[(i + 1) * columns + j + 1] as number) + 1
          : Math.max(
              common[(i + 1) * columns + j] as number,
              common[i * columns + j + 1] as number,
            );
    }
  }
  const out: string[] = [];
  let [i, j] = [0, 0];
  while (i < kernel.length || j < own.length) {
    if (i < kernel.length && j < own.length && kernel[i] === own[j]) {
      out.push(`  ${kernel[i]}`);
      i++;
      j++;
    } else if (
      j >= own.length ||
      (i < kernel.length &&
        (common[(i + 1) * columns + j] as number) >= (common[i * columns + j + 1] as number))
    ) {
      out.push(`- ${kernel[i++]}`);
    } else {
      out.push(`+ ${own[j++]}`);
    }
  }
  return out;
}
