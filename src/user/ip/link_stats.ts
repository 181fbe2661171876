/*
 * The counters of a link in columns. Counterpart of print_stats64 in iproute2's ip/ipaddress.c.
 */
import { getU64 } from '#lib/int64.ts';
import {
  IFLA_CARRIER_CHANGES,
  IFLA_STATS,
  IFLA_STATS64,
  RTNL_LINK_STATS64,
} from '#uapi/if_link.ts';
import type { Context } from '#user/ip/context.ts';
import type { NlAttrs } from '#user/lib/nlmsg.ts';

type Stats = ReadonlyMap<string, number>;

/** The counters by name; older kernels leave out the last ones. */
function readStats(attrs: NlAttrs): { stats: Stats; wide: boolean } | null {
  const wide = attrs.lengthOf(IFLA_STATS64) >= 8;
  const type = wide ? IFLA_STATS64 : IFLA_STATS;
  const width = wide ? 8 : 4;
  const length = attrs.lengthOf(type);
  if (length < width) return null;
  const at = attrs.at(type, width);
  const stats = new Map<string, number>();
  RTNL_LINK_STATS64.forEach((name, i) => {
    if ((i + 1) * width > length) return;
    const o = at + i * width;
    stats.set(name, wide ? getU64(attrs.view, o, true) : attrs.view.getUint32(o, true));
  });
  return { stats, wide };
}

interface Column {
  readonly label: string;
  /** Counter; null leaves the place empty. */
  readonly counter: string | null;
  /** Shown only when it is not zero. */
  readonly optional?: boolean;
}

const RX: readonly Column[] = [
  { label: 'bytes', counter: 'rxBytes' },
  { label: 'packets', counter: 'rxPackets' },
  { label: 'errors', counter: 'rxErrors' },
  { label: 'dropped', counter: 'rxDropped' },
  { label: 'missed', counter: 'rxMissedErrors' },
  { label: 'mcast', counter: 'multicast' },
  { label: 'compressed', counter: 'rxCompressed', optional: true },
];

const RX_ERRORS: readonly Column[] = [
  { label: '', counter: null },
  { label: 'length', counter: 'rxLengthErrors' },
  { label: 'crc', counter: 'rxCrcErrors' },
  { label: 'frame', counter: 'rxFrameErrors' },
  { label: 'fifo', counter: 'rxFifoErrors' },
  { label: 'overrun', counter: 'rxOverErrors' },
  { label: 'nohandler', counter: 'rxNohandler', optional: true },
];

const TX: readonly Column[] = [
  { label: 'bytes', counter: 'txBytes' },
  { label: 'packets', counter: 'txPackets' },
  { label: 'errors', counter: 'txErrors' },
  { label: 'dropped', counter: 'txDropped' },
  { label: 'carrier', counter: 'txCarrierErrors' },
  { label: 'collsns', counter: 'collisions' },
  { label: 'compressed', counter: 'txCompressed', optional: true },
];

const TX_ERRORS: readonly Column[] = [
  { label: '', counter: null },
  { label: 'aborted', counter: 'txAbortedErrors' },
  { label: 'fifo', counter: 'txFifoErrors' },
  { label: 'window', counter: 'txWindowErrors' },
  { label: 'heartbt', counter: 'txHeartbeatErrors' },
  { label: 'transns', counter: 'carrierChanges' },
];

/** Least widths of the seven columns: of `RX errors:` and of the longest labels. */
const WIDTHS: readonly number[] = [10, 7, 6, 7, 7, 7, 10];

/** Counter in JSON and its key there; the second list only with -s -s. */
type JsonCell = readonly [key: string, counter: string, optional?: boolean];

const JSON_RX: readonly JsonCell[] = [
  ['bytes', 'rxBytes'],
  ['packets', 'rxPackets'],
  ['errors', 'rxErrors'],
  ['dropped', 'rxDropped'],
  ['over_errors', 'rxOverErrors'],
  ['multicast', 'multicast'],
  ['compressed', 'rxCompressed', true],
];

const JSON_RX_ERRORS: readonly JsonCell[] = [
  ['length_errors', 'rxLengthErrors'],
  ['crc_errors', 'rxCrcErrors'],
  ['frame_errors', 'rxFrameErrors'],
  ['fifo_errors', 'rxFifoErrors'],
  ['missed_errors', 'rxMissedErrors'],
  ['nohandler', 'rxNohandler', true],
];

const JSON_TX: readonly JsonCell[] = [
  ['bytes', 'txBytes'],
  ['packets', 'txPackets'],
  ['errors', 'txErrors'],
  ['dropped', 'txDropped'],
  ['carrier_errors', 'txCarrierErrors'],
  ['collisions', 'collisions'],
  ['compressed', 'txCompressed', true],
];

const JSON_TX_ERRORS: readonly JsonCell[] = [
  ['aborted_errors', 'txAbortedErrors'],
  ['fifo_errors', 'txFifoErrors'],
  ['window_errors', 'txWindowErrors'],
  ['heartbeat_errors', 'txHeartbeatErrors'],
  ['carrier_changes', 'carrierChanges'],
];

/** A counter as text; with -human in powers of 1000 or 1024. */
function formatCount(context: Context, count: number): string {
  const { human, iec } = context.options;
  const base = iec ? 1024 : 1000;
  if (!human || count < base) return String(count);
  const prefixes = 'kMGTPE';
  let power = base;
  let prefix = 0;
  while (count / base >= power && prefix < prefixes.length - 1) {
    power *= base;
    prefix++;
  }
  const value = count / power;
  // As many decimals as leave three digits or so.
  let precision = 2;
  for (let ten = 10; precision > 0 && Math.floor(value) >= ten; ten *= 10) precision--;
  return `${value.toFixed(precision)}${prefixes[prefix]}${iec ? 'i' : ''}`;
}

function printJson(context: Context, stats: Stats, wide: boolean): void {
  const { out, options } = context;
  const row = (rows: readonly JsonCell[]): void => {
    for (const [key, counter, optional] of rows) {
      const value = stats.get(counter) ?? 0;
      if (optional !== true || value !== 0) out.number(key, value, '');
    }
  };
  out.openObject(wide ? 'stats64' : 'stats');
  out.openObject('rx');
  row(JSON_RX);
  if (options.stats > 1) row(JSON_RX_ERRORS);
  out.closeObject();
  out.openObject('tx');
  row(JSON_TX);
  if (options.stats > 1) row(JSON_TX_ERRORS);
  out.closeObject();
  out.closeObject();
}

const INDENT = '    ';

function headLine(
  title: string,
  columns: readonly Column[],
  widths: readonly number[],
  stats: Stats,
): string {
  const cells = columns.flatMap(({ label, counter, optional }, i) => {
    const width = (widths[i] as number) - (i === 0 ? title.length : 0);
    const hidden = optional === true && (stats.get(counter ?? '') ?? 0) === 0;
    // The place of `compressed` is kept, that of `nohandler` is not.
    if (hidden && label === 'nohandler') return [];
    return [(hidden ? '' : label).padStart(width)];
  });
  return `${INDENT}${title}${cells.join(' ')}`;
}

function valueLine(
  context: Context,
  columns: readonly Column[],
  widths: readonly number[],
  stats: Stats,
): string {
  let text = INDENT;
  columns.forEach(({ counter, optional }, i) => {
    const width = widths[i] as number;
    const value = counter === null ? 0 : (stats.get(counter) ?? 0);
    if (counter === null) text += `${''.padStart(width)} `;
    else if (optional !== true || value !== 0)
      text += `${formatCount(context, value).padStart(width)} `;
  });
  return text;
}

/** The counters; nothing when the kernel sent none. */
export function printLinkStats(context: Context, attrs: NlAttrs): void {
  const found = readStats(attrs);
  if (found === null) return;
  const { out, options } = context;
  const stats = new Map(found.stats);
  stats.set('carrierChanges', attrs.u32(IFLA_CARRIER_CHANGES) ?? 0);
  if (out.json !== null) {
    printJson(context, stats, found.wide);
    return;
  }
  const more = options.stats > 1;
  const tables = more ? [RX, RX_ERRORS, TX, TX_ERRORS] : [RX, TX];
  const widths = WIDTHS.map((least, i) => {
    const lengths = tables.map((table) => {
      const counter = table[i]?.counter ?? null;
      return counter === null ? 0 : formatCount(context, stats.get(counter) ?? 0).length;
    });
    return Math.max(least, ...lengths);
  });
  const block = (title: string, columns: readonly Column[]): void => {
    out.words(headLine(title, columns, widths, stats));
    out.line();
    out.words(valueLine(context, columns, widths, stats));
  };
  block('RX: ', RX);
  if (more) {
    out.line();
    block('RX errors:', RX_ERRORS);
  }
  out.line();
  block('TX: ', TX);
  if (more) {
    out.line();
    block('TX errors:', TX_ERRORS);
  }
}
