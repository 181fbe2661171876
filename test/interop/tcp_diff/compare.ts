/*
 * What differs between two recordings of the same scenario: the first thing that does, since all
 * that follows may come of it.
 */

import { timerLatenessNs } from '#packetdrill/kernel/backend.ts';
import { formatFlags, formatOption, formatOptions } from '#packetdrill/packet_format.ts';
import { errnoName } from '#packetdrill/symbols.ts';
import { TCP_INFO_FIELDS, type TcpInfo } from '#uapi/tcp_info.ts';
import type { Outcome, Recording, Sent } from './record.ts';

/** A difference. */
export interface Difference {
  /** What differs, in a word or two, the same for the same kind of difference. */
  readonly kind: string;
  /** When, in ms of the first recording. */
  readonly timeMs: number;
  readonly text: string;
}

/** How far times may be off beyond the lateness of timers: two ticks of a kernel of 250 Hz. */
const SLACK_MS = 12;
const EARLY_MS = 64;
/** Timers that set each other are late by the sum. */
const CHAIN = 3;

/** Fields that hold times or what is made of them, with the ms or the share by which they may be off. */
const LOOSE: Partial<
  Record<keyof TcpInfo, { readonly us?: number; readonly ms?: number; readonly share?: number }>
> = {
  rto: { us: 200_000, share: 0.1 },
  ato: { us: 8_000, share: 0.1 },
  rtt: { us: 100_000, share: 0.1 },
  rttvar: { us: 40_000, share: 0.1 },
  minRtt: { us: 100_000, share: 0.1 },
  rcvRtt: { us: 40_000, share: 0.15 },
  lastDataSent: { ms: 150, share: 0.2 },
  lastAckSent: { ms: 1e9 },
  lastDataRecv: { ms: 16 },
  lastAckRecv: { ms: 16 },
  pacingRate: { share: 1e9 },
  deliveryRate: { share: 1e9 },
  busyTime: { us: 60_000, share: 0.13 },
  rwndLimited: { us: 60_000, share: 0.13 },
  sndbufLimited: { us: 60_000, share: 0.13 },
  totalRtoTime: { ms: 60, share: 0.13 },
  // Chance: the hash of a flow.
  rehash: { ms: 1e9 },
  // Their layout changed after 6.18.
  ecnMode: { ms: 1e9 },
  accecnOptSeen: { ms: 1e9 },
  accecnFailMode: { ms: 1e9 },
  options2: { ms: 1e9 },
};

/** Counters that say nothing, or that depend on moments. */
const IGNORED =
  /^(?:TcpExt:TCPAutoCorking|TcpExt:TCPOrigDataSent|Ip:.*|IpExt:.*|Udp.*|MPTcpExt:.*|TcpExt:DelayedACKLocked|Icmp.*)$/;

const NEVER_MS = 1e6;

function loosely(name: keyof TcpInfo, a: number, b: number): boolean {
  const rule = LOOSE[name];
  if (a === b) return true;
  if (rule === undefined) return false;
  // It has not happened: ms since the machine's clock was 0.
  if (/^last/.test(name) && Math.min(a, b) > NEVER_MS) return true;
  const { us = 0, ms = 0, share = 0 } = rule;
  return Math.abs(a - b) <= us + ms + share * Math.max(a, b);
}

function compareInfo(a: Outcome, b: Outcome): string[] {
  const { info: x, infoLength } = a;
  const { info: y } = b;
  if (x === null || y === null) return x === y ? [] : ['info'];
  const length = Math.min(infoLength, b.infoLength);
  return TCP_INFO_FIELDS.filter(({ name, offset, bits }) => {
    return offset + Math.ceil(bits / 8) <= length && !loosely(name, x[name], y[name]);
  }).map(({ name }) => name);
}

/**
 * A send buffer that never fills: chosen where the sizes of small packets differ, and with them what
 * has been put by, whether the fast path may go on, and how windows grow.
 */
const ROOMY = 4 << 20;
const BY_SIZES = /mem|^lastAckRecv$|^rcvSsthresh$|TCPHPHits|TCPHPAcks|TCPPureAcks/;
const SNDBUF = 3;
/**
 * Fields of SO_MEMINFO that are compared: what is on its way to the wire and what a socket has put
 * by are a matter of moments.
 */
const MEMORY = ['rmem', 'rcvbuf', '', 'sndbuf', '', 'wmem queued', '', 'backlog', 'drops'];

function isRoomy({ memory }: Outcome): boolean {
  return (memory[SNDBUF] ?? 0) >= ROOMY;
}

function shown(result: number): string {
  return result < 0 ? `-${errnoName(-result)}` : String(result);
}

/** What differs between the outcomes of one event. */
function compareOutcome(index: number, a: Outcome, b: Outcome): Difference | null {
  const found: [kind: string, text: string][] = [];
  if (a.result !== b.result) found.push(['result', `${shown(a.result)} / ${shown(b.result)}`]);
  else if (a.data !== b.data) found.push(['data', `${a.data} / ${b.data}`]);
  if (a.poll !== b.poll)
    found.push(['poll', `0x${a.poll.toString(16)} / 0x${b.poll.toString(16)}`]);
  if (a.inq !== b.inq) found.push(['inq', `${shown(a.inq)} / ${shown(b.inq)}`]);
  if (a.outq !== b.outq) found.push(['outq', `${shown(a.outq)} / ${shown(b.outq)}`]);
  for (const [i, name] of MEMORY.entries()) {
    if (isRoomy(a) && BY_SIZES.test(name)) continue;
    if (name !== '' && a.memory[i] !== b.memory[i]) {
      found.push([name, `${a.memory[i]} / ${b.memory[i]}`]);
    }
  }
  for (const name of compareInfo(a, b)) {
    if (isRoomy(a) && BY_SIZES.test(name)) continue;
    const key = name as keyof TcpInfo;
    found.push([name, `${a.info?.[key]} / ${b.info?.[key]}`]);
  }
  const [first] = found;
  if (first === undefined) return null;
  const text = found.map(([kind, what]) => `${kind} ${what}`).join(', ');
  return { kind: first[0], timeMs: a.timeMs, text: `after event ${index}: ${text}` };
}

export function formatSent({
  flags,
  seq,
  length,
  ack,
  window,
  urgent,
  tos,
  options,
}: Sent): string {
  const marks = (tos & 3) === 0 ? '' : `[${['', 'ect1', 'ect0', 'ce'][tos & 3]}] `;
  const urg = urgent === 0 ? '' : ` urg ${urgent}`;
  const data = `${seq}:${(seq + length) >>> 0}(${length})`;
  return `${marks}${formatFlags(flags)} ${data} ack ${ack} win ${window}${urg} ${formatOptions(options)}`;
}

/** What differs between two packets. */
function comparePacket(a: Sent, b: Sent): string[] {
  const kinds: string[] = [];
  const fields = [
    'flags',
    'seq',
    'length',
    'ack',
    'window',
    'urgent',
    'tos',
    'ttl',
    'fault',
  ] as const;
  for (const field of fields) if (a[field] !== b[field]) kinds.push(`packet ${field}`);
  const strip = (sent: Sent): string =>
    sent.options.map((o) => (o.kind === 'TS' ? `TS ecr ${o.ecr}` : formatOption(o))).join();
  if (strip(a) !== strip(b)) kinds.push('packet options');
  return kinds;
}

/** May `b` come at its time, where `a` came at its own, `delay` ms after the last thing that happened? */
function inTime(a: Sent, b: Sent, delay: number): boolean {
  const late = timerLatenessNs(delay * 1e6) / 1e6;
  const off = b.timeMs - a.timeMs;
  // Timeouts come of round trips, and those of when an earlier timer expired.
  const early = delay === 0 ? SLACK_MS : SLACK_MS + EARLY_MS;
  return off >= -early && off <= SLACK_MS + CHAIN * late;
}

function comparePackets(a: Recording, b: Recording): Difference | null {
  const endMs = a.outcomes.at(-1)?.timeMs ?? 0;
  const count = Math.max(a.sent.length, b.sent.length);
  for (let i = 0; i < count; i++) {
    const x = a.sent[i];
    const y = b.sent[i];
    const timeMs = x?.timeMs ?? y?.timeMs ?? 0;
    // A timer at the very end may come too late to be seen.
    if (timeMs > endMs - 2 * SLACK_MS) break;
    const text = `packet ${i}: ${x === undefined ? 'none' : formatSent(x)}\n        / ${y === undefined ? 'none' : formatSent(y)}`;
    if (x === undefined || y === undefined)
      return { kind: x === undefined ? 'packet more' : 'packet missing', timeMs, text };
    const [kind] = comparePacket(x, y);
    if (kind !== undefined) return { kind, timeMs: Math.min(x.timeMs, y.timeMs), text };
    // Timers may have been set as long ago as the scenario began.
    const event = a.outcomes.findLast((o) => o.timeMs <= x.timeMs)?.timeMs ?? 0;
    const prompt = x.timeMs - event < 1;
    if (!inTime(x, y, prompt ? 0 : x.timeMs)) {
      return { kind: 'packet time', timeMs, text: `${text}\n        at ${x.timeMs} / ${y.timeMs}` };
    }
  }
  return null;
}

function compareCounters(a: Recording, b: Recording): Difference | null {
  const roomy = a.outcomes.some(isRoomy);
  const found: string[] = [];
  for (const [name, value] of b.counters) {
    const own = a.counters.get(name);
    if (own === value || IGNORED.test(name) || (roomy && BY_SIZES.test(name))) continue;
    found.push(`${name} ${own ?? 'none'} / ${value}`);
  }
  if (found.length === 0) return null;
  const kind = `counter ${(found[0] as string).split(' ')[0]}`;
  return { kind, timeMs: Number.POSITIVE_INFINITY, text: found.join(', ') };
}

/** The first difference; null when there is none. */
export function compare(a: Recording, b: Recording): Difference | null {
  const found: Difference[] = [];
  for (const [i, outcome] of a.outcomes.entries()) {
    const other = b.outcomes[i];
    const difference = other === undefined ? null : compareOutcome(i, outcome, other);
    if (difference === null) continue;
    found.push(difference);
    break;
  }
  const packets = comparePackets(a, b);
  if (packets !== null) found.push(packets);
  found.sort((x, y) => x.timeMs - y.timeMs);
  return found[0] ?? compareCounters(a, b);
}
