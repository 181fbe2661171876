/*
 * Altered copies of a script, one expectation each, every one of which has to fail: the proof that
 * the interpreter looks at what it is told to look at.
 */

import type {
  CodeEvent,
  IntExpr,
  PacketEvent,
  Place,
  Script,
  ScriptEvent,
  SyscallEvent,
  TcpOption,
  TcpSpec,
} from '#packetdrill/ast.ts';
import { DEFAULT_CONFIG, withScriptOptions } from '#packetdrill/config.ts';
import { TCPHDR_ACK, TCPHDR_FIN, TCPHDR_PSH, TCPHDR_SYN } from '#uapi/tcp.ts';

export interface Mutant {
  readonly script: Script;
  readonly place: Place;
  /** What was altered. */
  readonly what: string;
}

/** Altered copies of one event. */
type Altered = readonly (readonly [what: string, event: ScriptEvent])[];

/** How far a time is moved, beyond what the script itself tolerates. */
const SHIFT_NS = 5e6;

function alterOption(option: TcpOption): TcpOption | null {
  switch (option.kind) {
    case 'mss':
    case 'wscale':
      return { ...option, value: option.value ^ 1 };
    case 'sack': {
      const [first, ...rest] = option.blocks;
      return first === undefined
        ? null
        : { kind: 'sack', blocks: [[first[0], first[1] + 1], ...rest] };
    }
    case 'TS':
      return { ...option, ecr: option.ecr + 1 };
    case 'FO':
    case 'FOEXP':
      if (option.cookie === '') return null;
      return {
        ...option,
        cookie: `${option.cookie.startsWith('0') ? '1' : '0'}${option.cookie.slice(1)}`,
      };
    default:
      return null;
  }
}

function* alterOptions(
  options: readonly TcpOption[],
): Generator<readonly [string, readonly TcpOption[]]> {
  for (const [i, option] of options.entries()) {
    const altered = alterOption(option);
    if (altered === null) continue;
    yield [`option ${option.kind}`, options.map((other, j) => (j === i ? altered : other))];
  }
  // Options are counted in words: a word more, or one less of padding alone, is another packet.
  const more: TcpOption[] = [{ kind: 'nop' }, { kind: 'nop' }, { kind: 'nop' }, { kind: 'nop' }];
  yield ['four more nop', [...options, ...more]];
}

function* alterTcp(spec: TcpSpec): Generator<readonly [string, TcpSpec]> {
  // A SYN's number is the script's own name for what the machine chose.
  if ((spec.flags & TCPHDR_SYN) === 0) yield ['sequence number', { ...spec, seq: spec.seq + 1 }];
  yield ['length', { ...spec, length: spec.length + 1 }];
  yield ['flag PSH', { ...spec, flags: spec.flags ^ TCPHDR_PSH }];
  yield ['flag FIN', { ...spec, flags: spec.flags ^ TCPHDR_FIN }];
  if ((spec.flags & TCPHDR_ACK) !== 0) {
    yield ['acknowledgement', { ...spec, ack: (spec.ack ?? 0) + 1 }];
  }
  if (spec.window !== null) yield ['window', { ...spec, window: spec.window ^ 1 }];
  if (spec.options === null) return;
  for (const [what, options] of alterOptions(spec.options)) yield [what, { ...spec, options }];
}

function alterPacket(event: PacketEvent, toleranceNs: number): Altered {
  const { packet, time } = event;
  if (event.inbound) return [];
  const out: (readonly [string, ScriptEvent])[] = [];
  if (packet.kind === 'tcp') {
    for (const [what, altered] of alterTcp(packet)) out.push([what, { ...event, packet: altered }]);
  } else if (packet.kind === 'udp') {
    out.push(['length', { ...event, packet: { ...packet, length: packet.length + 1 } }]);
  } else {
    out.push(['code', { ...event, packet: { ...packet, code: packet.code + 1 } }]);
  }
  if (time.kind !== 'any') {
    // A range is moved until it no longer holds what it held.
    const shift = SHIFT_NS + toleranceNs + time.toNs - time.fromNs;
    const moved = { ...time, fromNs: time.fromNs + shift, toNs: time.toNs + shift };
    out.push(['time', { ...event, time: moved }]);
  }
  return out;
}

/** Calls whose result is a descriptor, for which the script has numbers of its own. */
const MAKES_DESCRIPTOR: ReadonlySet<string> = new Set([
  'socket',
  'accept',
  'accept4',
  'open',
  'dup',
  'epoll_create',
  'epoll_create1',
]);

function alterCall(event: SyscallEvent, toleranceNs: number): Altered {
  const { result, place } = event;
  const out: (readonly [string, ScriptEvent])[] = [];
  if (result.errno !== '') {
    const errno = result.errno === 'EXDEV' ? 'ENOANO' : 'EXDEV';
    out.push(['errno', { ...event, result: { ...result, errno } }]);
  } else if (result.value?.kind === 'int' && !MAKES_DESCRIPTOR.has(event.name)) {
    const value: IntExpr = { kind: 'int', value: result.value.value + 1, place };
    out.push(['result', { ...event, result: { ...result, value } }]);
  }
  if (event.endNs !== null) {
    out.push(['end time', { ...event, endNs: event.endNs + SHIFT_NS + toleranceNs }]);
  }
  return out;
}

/** Each number that a field of tcp_info is said to be equal to. */
function alterCode(event: CodeEvent): Altered {
  const out: (readonly [string, ScriptEvent])[] = [];
  for (const match of event.code.matchAll(/(tcpi_\w+\s*==\s*)(\d+)/g)) {
    const [all, before = '', number = '0'] = match;
    const at = match.index;
    const code =
      event.code.slice(0, at) + before + (Number(number) + 1) + event.code.slice(at + all.length);
    out.push([before.replace(/\s*==.*$/s, ''), { ...event, code }]);
  }
  return out;
}

function alter(event: ScriptEvent, toleranceNs: number): Altered {
  if (event.kind === 'packet') return alterPacket(event, toleranceNs);
  if (event.kind === 'syscall') return alterCall(event, toleranceNs);
  return event.kind === 'code' ? alterCode(event) : [];
}

/** All altered copies of a script. */
export function* mutantsOf(script: Script): Generator<Mutant> {
  const { toleranceNs } = withScriptOptions(DEFAULT_CONFIG, script.options);
  for (const [i, event] of script.events.entries()) {
    for (const [what, altered] of alter(event, toleranceNs)) {
      const events = script.events.map((other, j) => (j === i ? altered : other));
      yield { script: { ...script, events }, place: event.place, what };
    }
  }
}
