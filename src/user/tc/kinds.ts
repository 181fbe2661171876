/*
 * The options of each queueing discipline: from words to TCA_OPTIONS, and back to words.
 * Counterparts: iproute2's tc/q_fifo.c, tc/q_fq.c.
 */

import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  TCA_FQ_BUCKETS_LOG,
  TCA_FQ_CE_THRESHOLD,
  TCA_FQ_FLOW_DEFAULT_RATE,
  TCA_FQ_FLOW_MAX_RATE,
  TCA_FQ_FLOW_PLIMIT,
  TCA_FQ_FLOW_REFILL_DELAY,
  TCA_FQ_HORIZON,
  TCA_FQ_HORIZON_DROP,
  TCA_FQ_INITIAL_QUANTUM,
  TCA_FQ_LOW_RATE_THRESHOLD,
  TCA_FQ_ORPHAN_MASK,
  TCA_FQ_PLIMIT,
  TCA_FQ_QUANTUM,
  TCA_FQ_RATE_ENABLE,
  TCA_FQ_TIMER_SLACK,
  tcFqQdStats,
} from '#uapi/pkt_sched.ts';
import { NlAttrs, NlBuilder } from '#user/lib/nlmsg.ts';

/** Words of options that make no sense; the message is iproute2's. */
export class OptionError extends Error {}

export interface Kind {
  /** TCA_OPTIONS of the words; null: none. @throws OptionError */
  parse(words: readonly string[]): Uint8Array | null;
  /** The words of TCA_OPTIONS, with a blank behind each. */
  print(options: Uint8Array): string;
  /** The lines of TCA_STATS_APP, for `tc -s`. */
  printStats?(stats: Uint8Array): string;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function unsigned(text: string | undefined): number | null {
  if (text === undefined || !/^(?:0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text)) return null;
  const value = Number(text);
  return value <= 0xffffffff ? value : null;
}

/** A size such as `64k`, in bytes; null when it is none. */
export function sizeOf(text: string | undefined): number | null {
  const match = /^([0-9]+(?:\.[0-9]+)?)(b|k|kb|m|mb|g|gb|kbit|mbit|gbit)?$/i.exec(text ?? '');
  if (match === null) return null;
  const scale = {
    b: 1,
    k: 1024,
    kb: 1024,
    m: 1024 ** 2,
    mb: 1024 ** 2,
    g: 1024 ** 3,
    gb: 1024 ** 3,
    kbit: 128,
    mbit: 131072,
    gbit: 134217728,
  }[(match[2] ?? 'b').toLowerCase()] as number;
  const bytes = Math.round(Number(match[1]) * scale);
  return bytes <= 0xffffffff ? bytes : null;
}

/** A rate such as `1mbit`, in bytes a second; null when it is none. */
export function rateOf(text: string | undefined): number | null {
  const match = /^([0-9]+(?:\.[0-9]+)?)([kmgt]?)(bit|bps)?$/i.exec(text ?? '');
  if (match === null) return null;
  const letters = ['', 'k', 'm', 'g', 't'];
  const scale = 1000 ** letters.indexOf((match[2] ?? '').toLowerCase());
  const bits = (match[3] ?? 'bit').toLowerCase() === 'bps' ? 8 : 1;
  return Math.floor((Number(match[1]) * scale * bits) / 8);
}

/** A time such as `10ms`, in us; null when it is none. */
export function timeOf(text: string | undefined): number | null {
  const match = /^([0-9]+(?:\.[0-9]+)?)(s|sec|secs|ms|msec|msecs|us|usec|usecs)?$/.exec(text ?? '');
  if (match === null) return null;
  const unit = match[2] ?? 'us';
  const scale = unit.startsWith('s') ? 1e6 : unit.startsWith('m') ? 1e3 : 1;
  return Math.round(Number(match[1]) * scale);
}

// pfifo, bfifo

function fifo(unit: 'p' | 'b'): Kind {
  return {
    parse: (words) => {
      if (words.length === 0) return null;
      const [option, value, more] = words;
      if (option !== 'limit') {
        throw new OptionError(
          `${unit}fifo: unknown parameter "${option}"\nUsage: ... <[p|b]fifo> [ limit NUMBER ]`,
        );
      }
      const limit = unit === 'p' ? unsigned(value) : sizeOf(value);
      if (limit === null)
        throw new OptionError(`${unit}fifo: Illegal value for "limit": "${value}"`);
      if (more !== undefined) throw new OptionError(`${unit}fifo: unknown parameter "${more}"`);
      const out = new Uint8Array(4);
      viewOf(out).setUint32(0, limit, true);
      return out;
    },
    print: (options) => {
      if (options.length < 4) return '';
      const limit = viewOf(options).getUint32(0, true);
      return unit === 'p' ? `limit ${limit}p ` : `limit ${printSize(limit)} `;
    },
  };
}

/** A size as iproute2 writes it. */
export function printSize(bytes: number): string {
  if (bytes >= 1024 ** 2 && Math.abs(1024 ** 2 * Math.round(bytes / 1024 ** 2) - bytes) < 1024) {
    return `${Math.round(bytes / 1024 ** 2)}Mb`;
  }
  if (bytes >= 1024 && Math.abs(1024 * Math.round(bytes / 1024) - bytes) < 16) {
    return `${Math.round(bytes / 1024)}Kb`;
  }
  return `${bytes}b`;
}

// pfifo_fast

const pfifoFast: Kind = {
  parse: (words) => {
    if (words.length === 0) return null;
    throw new OptionError('pfifo_fast: has no options');
  },
  print: (options) => {
    if (options.length < 20) return '';
    const bands = viewOf(options).getInt32(0, true);
    return `bands ${bands} priomap ${Array.from(options.subarray(4, 20)).join(' ')}`;
  },
};

// fq

interface FqOption {
  readonly type: number;
  readonly read: (text: string | undefined) => number | null;
  /** The words of a value. */
  readonly write: (value: number) => string;
}

const count =
  (name: string, unit = '') =>
  (value: number): string =>
    `${name} ${value}${unit}`;

const rate =
  (name: string) =>
  (value: number): string =>
    value === 0xffffffff ? '' : `${name} ${printRate(value)}`;

const FQ_OPTIONS: Readonly<Record<string, FqOption>> = {
  limit: { type: TCA_FQ_PLIMIT, read: unsigned, write: count('limit', 'p') },
  flow_limit: { type: TCA_FQ_FLOW_PLIMIT, read: unsigned, write: count('flow_limit', 'p') },
  buckets: { type: TCA_FQ_BUCKETS_LOG, read: bucketsLog, write: (log) => `buckets ${2 ** log}` },
  orphan_mask: { type: TCA_FQ_ORPHAN_MASK, read: unsigned, write: count('orphan_mask') },
  quantum: { type: TCA_FQ_QUANTUM, read: sizeOf, write: (v) => `quantum ${printSize(v)}` },
  initial_quantum: {
    type: TCA_FQ_INITIAL_QUANTUM,
    read: sizeOf,
    write: (v) => `initial_quantum ${printSize(v)}`,
  },
  maxrate: { type: TCA_FQ_FLOW_MAX_RATE, read: rateOf, write: rate('maxrate') },
  defrate: {
    type: TCA_FQ_FLOW_DEFAULT_RATE,
    read: rateOf,
    write: (v) => (v === 0 ? '' : `defrate ${printRate(v)}`),
  },
  low_rate_threshold: {
    type: TCA_FQ_LOW_RATE_THRESHOLD,
    read: rateOf,
    write: (v) => (v === 0 ? '' : `low_rate_threshold ${printRate(v)}`),
  },
  refill_delay: {
    type: TCA_FQ_FLOW_REFILL_DELAY,
    read: timeOf,
    write: (v) => `refill_delay ${printTime(v)}`,
  },
  timer_slack: {
    type: TCA_FQ_TIMER_SLACK,
    read: timeOfNs,
    write: (v) => `timer_slack ${printTime(v / 1000)}`,
  },
  ce_threshold: {
    type: TCA_FQ_CE_THRESHOLD,
    read: timeOf,
    write: (v) => (v === 0xffffffff ? '' : `ce_threshold ${printTime(v)}`),
  },
  horizon: { type: TCA_FQ_HORIZON, read: timeOf, write: (v) => `horizon ${printTime(v)}` },
};

const FQ_FLAGS: Readonly<Record<string, readonly [type: number, value: number]>> = {
  pacing: [TCA_FQ_RATE_ENABLE, 1],
  nopacing: [TCA_FQ_RATE_ENABLE, 0],
  horizon_cap: [TCA_FQ_HORIZON_DROP, 0],
  horizon_drop: [TCA_FQ_HORIZON_DROP, 1],
};

function bucketsLog(text: string | undefined): number | null {
  const buckets = unsigned(text);
  if (buckets === null || buckets === 0) return null;
  return 31 - Math.clz32(buckets);
}

function timeOfNs(text: string | undefined): number | null {
  const us = timeOf(text);
  return us === null ? null : us * 1000;
}

/** A rate in bytes a second as tc prints it. */
export function printRate(bytes: number): string {
  const units = ['bit', 'Kbit', 'Mbit', 'Gbit', 'Tbit'];
  let value = bytes * 8;
  let i = 0;
  while (i < units.length - 1 && value >= 1000 && (value % 1000 === 0 || value >= 1e6)) {
    value /= 1000;
    i++;
  }
  return `${Math.trunc(value)}${units[i]}`;
}

/** A time in us as tc prints it. */
export function printTime(us: number): string {
  const short = (value: number): string => String(Number(value.toPrecision(3)));
  if (us >= 1e6) return `${short(us / 1e6)}s`;
  return us >= 1e3 ? `${short(us / 1e3)}ms` : `${Math.trunc(us)}us`;
}

const fq: Kind = {
  parse: (words) => {
    const builder = new NlBuilder(0, 0);
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as string;
      const flag = Object.hasOwn(FQ_FLAGS, word) ? FQ_FLAGS[word] : undefined;
      if (flag !== undefined) {
        if (flag[0] === TCA_FQ_HORIZON_DROP) builder.u8(flag[0], flag[1]);
        else builder.u32(flag[0], flag[1]);
        continue;
      }
      const option = Object.hasOwn(FQ_OPTIONS, word) ? FQ_OPTIONS[word] : undefined;
      if (option === undefined) throw new OptionError(`What is "${word}"?`);
      const value = option.read(words[++i]);
      if (value === null) throw new OptionError(`Illegal "${word}"`);
      builder.u32(option.type, value);
    }
    return builder.finish().slice(NLMSG_HDRLEN);
  },
  print: (options) => {
    const attrs = new NlAttrs(viewOf(options), 0, options.length);
    const parts: string[] = [];
    for (const { type, write } of Object.values(FQ_OPTIONS)) {
      const value = attrs.u32(type);
      const text = value === null ? '' : write(value);
      if (text !== '') parts.push(text);
    }
    if (attrs.u32(TCA_FQ_RATE_ENABLE) === 0) parts.push('nopacing');
    const drop = attrs.u8(TCA_FQ_HORIZON_DROP);
    if (drop !== null) parts.push(drop === 0 ? 'horizon_cap' : 'horizon_drop');
    return `${parts.join(' ')} `;
  },
  printStats: (stats) => {
    if (stats.length < tcFqQdStats.LEN) return '';
    const v = viewOf(stats);
    const small = (at: number): number => v.getUint32(at, true);
    const large = (at: number): bigint => v.getBigUint64(at, true);
    const notZero = (name: string, at: number): string =>
      large(at) === 0n ? '' : ` ${name} ${large(at)}`;
    const latency = small(tcFqQdStats.UNTHROTTLE_LATENCY_NS);
    return (
      `  flows ${small(tcFqQdStats.FLOWS)} (inactive ${small(tcFqQdStats.INACTIVE_FLOWS)}` +
      ` throttled ${small(tcFqQdStats.THROTTLED_FLOWS)})\n` +
      `  gc ${large(tcFqQdStats.GC_FLOWS)} highprio ${large(tcFqQdStats.HIGHPRIO_PACKETS)}` +
      ` throttled ${large(tcFqQdStats.THROTTLED)}` +
      `${latency === 0 ? '' : ` latency ${printTime(latency / 1000)}`}` +
      notZero('ce_mark', tcFqQdStats.CE_MARK) +
      notZero('fastpath', tcFqQdStats.FASTPATH_PACKETS) +
      notZero('flows_plimit', tcFqQdStats.FLOWS_PLIMIT) +
      notZero('too_long_pkts', tcFqQdStats.PKTS_TOO_LONG) +
      notZero('horizon_drops', tcFqQdStats.HORIZON_DROPS) +
      notZero('horizon_caps', tcFqQdStats.HORIZON_CAPS) +
      '\n'
    );
  },
};

/** Those that have no file of their own. */
export const PLAIN_KINDS: Readonly<Record<string, Kind>> = {
  bfifo: fifo('b'),
  fq,
  pfifo: fifo('p'),
  pfifo_fast: pfifoFast,
};
