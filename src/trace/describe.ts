/** What happened in a step, in words. */
import { SOFTIRQ_NAMES } from '#kernel/softirq.ts';
import { inNtop4 } from '#lib/parse_addr.ts';
import { protocolName } from '#trace/headers.ts';
import {
  ARGUMENTS,
  DERIVE_NAMES,
  KIND_BIRTH,
  KIND_DERIVE,
  KIND_END,
  KIND_FUNCTION_ENTRY,
  KIND_FUNCTION_EXIT,
  KIND_LOST,
  KIND_MERGE,
  KIND_RECEIVE,
  MERGE_NAMES,
  SOCKET_NAMES,
  STALL_NAMES,
  type Step,
  WIRE_NAMES,
} from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { dropReasonName, SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import { TCP_CA_STATE_NAMES, TCP_STATE_NAMES } from '#uapi/tcp_states.ts';

const ROUTE_TYPES: readonly string[] = [
  'no route',
  'forward',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
];
const HOOKS: readonly string[] = [
  'PRE_ROUTING',
  'LOCAL_IN',
  'FORWARD',
  'LOCAL_OUT',
  'POST_ROUTING',
  'INGRESS',
];
const VERDICTS: readonly string[] = ['drop', 'accept', 'stolen', 'queue', 'repeat', 'stop'];
const addr = (value: number): string => inNtop4(value >>> 0);

/** A socket as `tcp 10.0.0.1:80 - 10.0.0.2:1234`; empty for none. */
export function sockWords(recorder: Recorder, sock: number): string {
  const info = recorder.sock(sock);
  if (info === null) return '';
  const peer = info.dport === 0 ? '' : ` - ${addr(info.daddr)}:${info.dport}`;
  return `${protocolName(info.protocol)} ${addr(info.saddr)}:${info.sport}${peer}`;
}

/** By name: words for what the arguments alone would not tell. */
const WORDS: Readonly<Record<string, (recorder: Recorder, step: Step) => string>> = {
  'packet:socket_lookup': (recorder, { args, sock }) => {
    const [why = 0] = args;
    return sock === 0
      ? 'socket: nobody listens'
      : `socket: ${SOCKET_NAMES[why]}, ${sockWords(recorder, sock)}`;
  },
  'packet:tcp_send_stall': (recorder, { args, sock }) => {
    const [why = 0, cwnd = 0, flight = 0, window = 0] = args;
    const limits = `cwnd ${cwnd}, in flight ${flight}, receive window ${window}`;
    return `waits: ${STALL_NAMES[why]} (${limits}), ${sockWords(recorder, sock)}`;
  },
  'packet:route_input': (_recorder, { args, dev }) => {
    const [err = 0, type = 0, , gateway = 0] = args;
    if (err !== 0) return `route: refused, ${dropReasonName(err)}`;
    const via = gateway === 0 ? '' : ` via ${addr(gateway)}`;
    return `route: ${ROUTE_TYPES[type] ?? type}${via} dev ${dev}`;
  },
  'fib:fib_table_lookup': (_recorder, { args, dev }) => {
    const [err = 0, table = 0, to = 0, gateway = 0] = args;
    const via = gateway === 0 ? '' : ` via ${addr(gateway)}`;
    const found = err === 0 ? `dev ${dev}${via}` : `error ${err}`;
    return `lookup: ${addr(to)} in table ${table}: ${found}`;
  },
  'packet:hook_verdict': (_recorder, { args }) => {
    const [verdict = 0, hook = 0, index = 0] = args;
    return `hook: ${HOOKS[hook] ?? hook} #${index} says ${VERDICTS[verdict] ?? verdict}`;
  },
  'packet:socket_queue': (recorder, { args, sock }) => {
    const [used = 0, limit = 0, backlog = 0] = args;
    const queue = backlog === 0 ? 'receive queue' : 'backlog';
    return `${queue}: ${used} of ${limit} bytes, ${sockWords(recorder, sock)}`;
  },
  'packet:neigh_queue': (_recorder, { args }) => `waits for ARP: ${args[0]} in the queue`,
  'qdisc:qdisc_enqueue': (_recorder, { args }) => `qdisc: ${args[0]} in the queue`,
  'qdisc:qdisc_dequeue': (_recorder, { args }) => `qdisc: ${args[0]} left in the queue`,
  'sock:inet_sock_set_state': (recorder, { args, sock }) => {
    const [from = 0, to = 0] = args;
    return `${TCP_STATE_NAMES[from]} -> ${TCP_STATE_NAMES[to]}, ${sockWords(recorder, sock)}`;
  },
  'tcp:tcp_cong_state_set': (recorder, { args, sock }) =>
    `${TCP_CA_STATE_NAMES[args[0] ?? 0]}, ${sockWords(recorder, sock)}`,
  'irq:softirq_entry': (_recorder, { args }) => SOFTIRQ_NAMES[args[0] ?? 0] ?? '',
  'irq:softirq_exit': (_recorder, { args }) => SOFTIRQ_NAMES[args[0] ?? 0] ?? '',
  'irq:softirq_raise': (_recorder, { args }) => SOFTIRQ_NAMES[args[0] ?? 0] ?? '',
  'napi:napi_poll': (_recorder, { args }) => `work ${args[0]} of ${args[1]}`,
  'packet:wire_transmit': (_recorder, { args }) => `a frame of ${args[0]} bytes goes on the line`,
  'cable:cable_send': (_recorder, { args, dev }) => `on ${dev}, ${args[2]} us to go`,
  'cable:cable_arrive': (_recorder, { dev }) => `from ${dev}`,
};

/** How a packet is called by its number in the recording. */
export type PacketName = (packet: number) => string;

const byNumber: PacketName = (packet) => `packet ${packet}`;

/** What the step means, beyond its name; empty when the name says it all. */
export function stepWords(recorder: Recorder, step: Step, nameOf: PacketName = byNumber): string {
  const [a = 0] = step.args;
  switch (step.kind) {
    case KIND_END:
      return a === SKB_CONSUMED ? 'consumed' : `dropped: ${dropReasonName(a)}`;
    case KIND_BIRTH:
      return step.other === 0 ? 'born' : `born, because of ${nameOf(step.other)}`;
    case KIND_DERIVE:
      return `${DERIVE_NAMES[a]} of ${nameOf(step.other)}`;
    case KIND_MERGE:
      return `goes into ${nameOf(step.other)} (${MERGE_NAMES[a]})`;
    case KIND_RECEIVE:
      return step.other === 0 ? 'received' : `received; it was ${nameOf(step.other)}`;
    case KIND_LOST:
      return `lost: ${WIRE_NAMES[a]}`;
    case KIND_FUNCTION_ENTRY:
    case KIND_FUNCTION_EXIT:
      return '';
    default: {
      const words = WORDS[step.name];
      if (words !== undefined) return words(recorder, step);
      return argumentWords(step);
    }
  }
}

/** Arguments as `len=60 queue=0`. */
export function argumentWords(step: Step): string {
  const names = ARGUMENTS[step.name] ?? [];
  return names.map((name, i) => `${name}=${step.args[i] ?? 0}`).join(' ');
}

/** The function in which a step happened, as far as it is known: of an end, the place. */
export function placeOf(recorder: Recorder, step: Step): string {
  if (step.kind === KIND_END) {
    const location = recorder.names.text(step.args[1] ?? 0);
    return location === '' ? step.name : location;
  }
  return step.name;
}
