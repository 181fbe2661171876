/*
 * Options of the discipline fq_codel. Counterpart: iproute2's tc/q_fq_codel.c.
 */
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  TCA_FQ_CODEL_CE_THRESHOLD,
  TCA_FQ_CODEL_CE_THRESHOLD_MASK,
  TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR,
  TCA_FQ_CODEL_DROP_BATCH_SIZE,
  TCA_FQ_CODEL_ECN,
  TCA_FQ_CODEL_FLOWS,
  TCA_FQ_CODEL_INTERVAL,
  TCA_FQ_CODEL_LIMIT,
  TCA_FQ_CODEL_MEMORY_LIMIT,
  TCA_FQ_CODEL_QUANTUM,
  TCA_FQ_CODEL_TARGET,
  TCA_FQ_CODEL_XSTATS_QDISC,
  tcFqCodelXstats,
} from '#uapi/pkt_sched.ts';
import { NlAttrs, NlBuilder } from '#user/lib/nlmsg.ts';
import {
  type Kind,
  OptionError,
  printSize,
  printTime,
  sizeOf,
  timeOf,
  unsigned,
} from '#user/tc/kinds.ts';

const USAGE =
  'Usage: ... fq_codel\t[ limit PACKETS ] [ flows NUMBER ]\n' +
  '[ memory_limit BYTES ]\n' +
  '[ target TIME ] [ interval TIME ]\n' +
  '[ quantum BYTES ] [ [no]ecn ]\n' +
  '[ ce_threshold TIME ]\n' +
  '[ ce_threshold_selector VALUE/MASK ]\n' +
  '[ drop_batch SIZE ]';

const VALUES: Readonly<Record<string, readonly [type: number, read: typeof timeOf]>> = {
  limit: [TCA_FQ_CODEL_LIMIT, unsigned],
  flows: [TCA_FQ_CODEL_FLOWS, unsigned],
  quantum: [TCA_FQ_CODEL_QUANTUM, unsigned],
  target: [TCA_FQ_CODEL_TARGET, timeOf],
  ce_threshold: [TCA_FQ_CODEL_CE_THRESHOLD, timeOf],
  interval: [TCA_FQ_CODEL_INTERVAL, timeOf],
  memory_limit: [TCA_FQ_CODEL_MEMORY_LIMIT, sizeOf],
  drop_batch: [TCA_FQ_CODEL_DROP_BATCH_SIZE, unsigned],
};

/** `0x1/0x3`: value and mask. */
function selector(builder: NlBuilder, text: string | undefined): void {
  const [value, mask, more] = (text ?? '').split('/').map(unsigned);
  const byte = (n: number | null | undefined): n is number => typeof n === 'number' && n <= 0xff;
  if (!byte(value) || !byte(mask) || more !== undefined) {
    throw new OptionError('Illegal "ce_threshold_selector"');
  }
  builder.u8(TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR, value);
  builder.u8(TCA_FQ_CODEL_CE_THRESHOLD_MASK, mask);
}

function parse(words: readonly string[]): Uint8Array {
  const builder = new NlBuilder(0, 0);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === 'ecn' || word === 'noecn') {
      builder.u32(TCA_FQ_CODEL_ECN, word === 'ecn' ? 1 : 0);
      continue;
    }
    if (word === 'ce_threshold_selector') {
      selector(builder, words[++i]);
      continue;
    }
    if (word === 'help') throw new OptionError(USAGE);
    const option = Object.hasOwn(VALUES, word) ? VALUES[word] : undefined;
    if (option === undefined) throw new OptionError(`What is "${word}"?\n${USAGE}`);
    const value = option[1](words[++i]);
    if (value === null) throw new OptionError(`Illegal "${word}"`);
    builder.u32(option[0], value);
  }
  return builder.finish().slice(NLMSG_HDRLEN);
}

/** C's `%#x`. */
const hex = (n: number): string => (n === 0 ? '0' : `0x${n.toString(16)}`);

function print(options: Uint8Array): string {
  const view = new DataView(options.buffer, options.byteOffset, options.byteLength);
  const attrs = new NlAttrs(view, 0, options.length);
  let text = '';
  const put = (type: number, write: (value: number) => string): void => {
    const value = attrs.u32(type);
    if (value !== null) text += write(value);
  };
  put(TCA_FQ_CODEL_LIMIT, (v) => `limit ${v}p `);
  put(TCA_FQ_CODEL_FLOWS, (v) => `flows ${v} `);
  put(TCA_FQ_CODEL_QUANTUM, (v) => `quantum ${v} `);
  put(TCA_FQ_CODEL_TARGET, (v) => `target ${printTime(v)} `);
  put(TCA_FQ_CODEL_CE_THRESHOLD, (v) => `ce_threshold ${printTime(v)} `);
  const value = attrs.u8(TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR) ?? 0;
  const mask = attrs.u8(TCA_FQ_CODEL_CE_THRESHOLD_MASK) ?? 0;
  if (value !== 0 || mask !== 0) text += `ce_threshold_selector ${hex(value)}/${hex(mask)} `;
  put(TCA_FQ_CODEL_INTERVAL, (v) => `interval ${printTime(v)} `);
  put(TCA_FQ_CODEL_MEMORY_LIMIT, (v) => `memory_limit ${printSize(v)} `);
  put(TCA_FQ_CODEL_ECN, (v) => (v === 0 ? '' : 'ecn '));
  put(TCA_FQ_CODEL_DROP_BATCH_SIZE, (v) => (v === 0 ? '' : `drop_batch ${v} `));
  return text;
}

function printQdisc(v: DataView): string {
  const at = (offset: number): number => v.getUint32(offset, true);
  const some = (name: string, offset: number): string =>
    at(offset) === 0 ? '' : ` ${name} ${at(offset)}`;
  return (
    `  maxpacket ${at(tcFqCodelXstats.MAXPACKET)}` +
    ` drop_overlimit ${at(tcFqCodelXstats.DROP_OVERLIMIT)}` +
    ` new_flow_count ${at(tcFqCodelXstats.NEW_FLOW_COUNT)}` +
    ` ecn_mark ${at(tcFqCodelXstats.ECN_MARK)}` +
    some('ce_mark', tcFqCodelXstats.CE_MARK) +
    some('memory_used', tcFqCodelXstats.MEMORY_USAGE) +
    some('drop_overmemory', tcFqCodelXstats.DROP_OVERMEMORY) +
    `\n  new_flows_len ${at(tcFqCodelXstats.NEW_FLOWS_LEN)}` +
    ` old_flows_len ${at(tcFqCodelXstats.OLD_FLOWS_LEN)}\n`
  );
}

function printFlow(v: DataView): string {
  const at = (offset: number): number => v.getUint32(offset, true);
  const next = v.getInt32(tcFqCodelXstats.DROP_NEXT, true);
  const when = next < 0 ? `-${printTime(-next)}` : printTime(next);
  return (
    `  deficit ${v.getInt32(tcFqCodelXstats.DEFICIT, true)} count ${at(tcFqCodelXstats.COUNT)}` +
    ` lastcount ${at(tcFqCodelXstats.LASTCOUNT)} ldelay ${printTime(at(tcFqCodelXstats.LDELAY))}` +
    `${at(tcFqCodelXstats.DROPPING) === 0 ? '' : ` dropping drop_next ${when}`}\n`
  );
}

export const fqCodel: Kind = {
  parse,
  print,
  printStats: (stats) => {
    if (stats.length < tcFqCodelXstats.LEN) return '';
    const v = new DataView(stats.buffer, stats.byteOffset, stats.byteLength);
    return v.getUint32(tcFqCodelXstats.TYPE, true) === TCA_FQ_CODEL_XSTATS_QDISC
      ? printQdisc(v)
      : printFlow(v);
  },
};
