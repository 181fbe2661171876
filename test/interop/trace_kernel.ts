/** Plays a scenario on the real kernel and reads its tracefs: an instance of its own, on one CPU. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEVICES, type Scenario, SETUP, type Step } from './trace_scenarios.ts';

const SYSTEMS: readonly string[] = ['net', 'napi', 'skb', 'sock', 'tcp', 'fib', 'neigh', 'qdisc'];
const MORE: readonly string[] = [
  'udp/udp_fail_queue_rcv_skb',
  'icmp/icmp_send',
  'irq/softirq_raise',
  'irq/softirq_entry',
  'irq/softirq_exit',
];

/** One line of the trace: an event and its arguments, and in whose context. */
export interface KernelEvent {
  readonly pid: number;
  /** `system:event`; the kernel's text has the event alone. */
  readonly event: string;
  readonly args: string;
}

export interface KernelRun {
  readonly events: readonly KernelEvent[];
  readonly results: readonly number[];
  readonly pid: number;
}

/** A mounted tracefs with an instance; everything is undone by {@link close}. */
export class Tracefs {
  private readonly mount: string;
  readonly instance: string;

  constructor() {
    this.mount = join(tmpdir(), `softnet-tracefs-${process.pid}`);
    mkdirSync(this.mount, { recursive: true });
    execFileSync('mount', ['-t', 'tracefs', 'nodev', this.mount]);
    this.instance = join(this.mount, 'instances', `softnet-${process.pid}`);
    mkdirSync(this.instance);
    this.put('buffer_size_kb', '32768');
    for (const event of [...SYSTEMS, ...MORE]) {
      if (existsSync(join(this.instance, 'events', event))) this.put(`events/${event}/enable`, '1');
    }
    this.put('tracing_on', '0');
  }

  put(file: string, value: string): void {
    writeFileSync(join(this.instance, file), value);
  }

  read(): string {
    return readFileSync(join(this.instance, 'trace'), 'utf8');
  }

  close(): void {
    rmdirSync(this.instance);
    execFileSync('umount', [this.mount]);
    rmdirSync(this.mount);
  }
}

const PREFIX = `tp${process.pid}`;
const named = (text: string): string => text.replaceAll('@', PREFIX);

function shell(line: string): void {
  execFileSync('sh', ['-c', named(line)], { stdio: ['ignore', 'ignore', 'pipe'] });
}

function nameSteps(steps: readonly Step[]): Step[] {
  return steps.map((step) =>
    step.do === 'socket' ? { ...step, netns: named(step.netns) } : { ...step },
  );
}

/** Plays a scenario in new namespaces, which are gone afterwards. */
export function runOnKernel(tracefs: Tracefs, scenario: Scenario): KernelRun {
  const file = join(tmpdir(), `${PREFIX}-steps.json`);
  const steps: Step[] = [
    ...(scenario.before ?? []),
    { do: 'mark', text: 'begin' },
    ...scenario.steps,
    { do: 'mark', text: 'end' },
    ...(scenario.after ?? []),
  ];
  try {
    for (const line of SETUP) {
      shell(line);
      // Router solicitations and the like are no part of it.
      const made = /^ip netns add (\S+)$/.exec(line)?.[1];
      if (made !== undefined) {
        shell(`ip netns exec ${made} sysctl -q -w net.ipv6.conf.all.disable_ipv6=1`);
        shell(`ip netns exec ${made} sysctl -q -w net.ipv6.conf.default.disable_ipv6=1`);
      }
    }
    for (const line of scenario.setup ?? []) shell(line);
    writeFileSync(file, JSON.stringify(nameSteps(steps)));
    tracefs.put('trace', '');
    tracefs.put('tracing_on', '1');
    const driver = join(import.meta.dirname, 'trace_driver.py');
    const out = execFileSync(
      'chrt',
      ['-f', '50', 'taskset', '-c', '1', 'python3', driver, tracefs.instance, file],
      { encoding: 'utf8' },
    );
    tracefs.put('tracing_on', '0');
    const { pid, results } = JSON.parse(out) as { pid: number; results: number[] };
    return { events: parse(tracefs.read(), pid), results, pid };
  } finally {
    rmSync(file, { force: true });
    for (const name of ['@a', '@r', '@b']) {
      try {
        shell(`ip netns del ${name}`);
      } catch {}
    }
  }
}

const LINE = /^\s*.*-(\d+)\s+\[\d+\]\s+\S+\s+[\d.]+:\s+(\w+):\s?(.*)$/;

/** The lines between the marks that are about the scenario. */
function parse(text: string, pid: number): KernelEvent[] {
  const systems = systemsByEvent();
  const found: KernelEvent[] = [];
  const ours = new Set<string>();
  const foreign = new Set<string>();
  let inside = false;
  for (const line of text.split('\n')) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, owner = '', event = '', args = ''] = match;
    if (event === 'tracing_mark_write') {
      inside = args.includes('begin') ? true : args.includes('end') ? false : inside;
      continue;
    }
    if (!inside) continue;
    const system = systems.get(event);
    if (system === undefined) continue;
    if (!concerns(Number(owner) === pid, event, args, ours, foreign)) continue;
    found.push({ pid: Number(owner), event: `${system}:${event}`, args });
  }
  return found;
}

/** Is a line about the scenario? Others work on the machine at the same time. */
function concerns(
  mine: boolean,
  event: string,
  args: string,
  ours: Set<string>,
  foreign: Set<string>,
): boolean {
  const skb = /skbaddr=(\w+)/.exec(args)?.[1];
  const dev = /\bdev[=: ]\s*([\w.@-]+)/.exec(args)?.[1];
  const isEnd = event === 'kfree_skb' || event === 'consume_skb';
  let verdict = mine || /\b10\.201\.\d/.test(args);
  if (dev !== undefined && !event.startsWith('fib_')) verdict = DEVICES.includes(dev);
  else if (skb !== undefined && ours.has(skb)) verdict = true;
  else if (skb !== undefined && foreign.has(skb)) verdict = false;
  if (skb !== undefined) {
    (verdict ? ours : foreign).add(skb);
    if (isEnd) {
      ours.delete(skb);
      foreign.delete(skb);
    }
  }
  return verdict;
}

function systemsByEvent(): Map<string, string> {
  const systems: [string, string][] = [
    ['net', 'net_dev_queue net_dev_start_xmit net_dev_xmit netif_receive_skb netif_rx'],
    ['net', 'netif_rx_entry netif_rx_exit napi_gro_receive_entry napi_gro_receive_exit'],
    ['net', 'netif_receive_skb_entry netif_receive_skb_exit netif_receive_skb_list_entry'],
    ['net', 'netif_receive_skb_list_exit'],
    ['napi', 'napi_poll'],
    ['skb', 'kfree_skb consume_skb skb_copy_datagram_iovec'],
    ['sock', 'sock_rcvqueue_full sock_exceed_buf_limit inet_sock_set_state sk_data_ready'],
    ['sock', 'inet_sk_error_report sock_send_length sock_recv_length'],
    ['tcp', 'tcp_retransmit_skb tcp_send_reset tcp_receive_reset tcp_destroy_sock'],
    ['tcp', 'tcp_rcv_space_adjust tcp_rcvbuf_grow tcp_retransmit_synack tcp_probe'],
    ['tcp', 'tcp_bad_csum tcp_cong_state_set tcp_sendmsg_locked'],
    ['fib', 'fib_table_lookup'],
    ['neigh', 'neigh_create neigh_update neigh_update_done neigh_timer_handler'],
    ['neigh', 'neigh_event_send_done neigh_event_send_dead neigh_cleanup_and_release'],
    ['qdisc', 'qdisc_enqueue qdisc_dequeue'],
    ['udp', 'udp_fail_queue_rcv_skb'],
    ['icmp', 'icmp_send'],
    ['irq', 'softirq_raise softirq_entry softirq_exit'],
  ];
  return new Map(
    systems.flatMap(([system, names]) => names.split(' ').map((name) => [name, system] as const)),
  );
}
