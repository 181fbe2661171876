/**
 * What may differ between two runs of the same case is taken out: IP identifications that a stack draws at
 * random, times of day in options and ICMP, initial sequence numbers. A checksum over such fields is
 * compared as being right or wrong.
 */
import { checksum, get16, get32, pseudo, put16, put32 } from './packets.ts';
import { type Case, fromHex, type StepResult, toHex } from './steps.ts';

/** Identifications of the frames that cases send in; others are the stack's own. */
export const isCaseId = (id: number): boolean => id >>> 4 === 0x400;

/** Ports that cases bind, and the one that they let stacks choose. */
const CASE_PORTS: ReadonlySet<number> = new Set([0, 80, 7000, 7001, 7002, 7003, 7777]);

const MS_PER_DAY = 86_400_000;
const RIGHT = 0;
const WRONG = 0xbad;

/** A time of day that a stack has filled in; cases fill in larger numbers, or 0. */
const isTimeOfDay = (value: number): boolean => value < MS_PER_DAY;

function maskOptions(p: Uint8Array, from: number, to: number): void {
  for (let at = from; at < to; ) {
    const kind = p[at] ?? 0;
    if (kind === 0) return;
    const length = kind === 1 ? 1 : (p[at + 1] ?? 0);
    if (length === 0 || at + length > to) return;
    if (kind === 68 && length > 4) {
      const stride = ((p[at + 3] ?? 0) & 15) === 0 ? 4 : 8;
      for (let slot = at + 4 + stride - 4; slot + 4 <= at + length; slot += stride) {
        const isFilled = slot - at < (p[at + 2] ?? 0) - 1;
        if (isFilled && isTimeOfDay(get32(p, slot))) put32(p, slot, 1);
      }
    }
    at += length;
  }
}

/** Masks a packet in place, from its IP header on. Packets in ICMP errors may have been cut. */
function maskIp(p: Uint8Array, quoted: boolean): void {
  if (p.length >= 6 && p.length < 20 && p[0] === 0x45 && !isCaseId(get16(p, 4))) put16(p, 4, 1);
  if (p.length < 20 || (p[0] ?? 0) >>> 4 !== 4) return;
  const ihl = ((p[0] ?? 0) & 15) * 4;
  if (ihl < 20 || ihl > p.length) return;
  const right = checksum(p, 0, ihl) === 0;
  const id = get16(p, 4);
  const end = quoted ? p.length : Math.min(p.length, get16(p, 2));
  const body = p.subarray(ihl, end);
  const isWhole = (get16(p, 6) & 0x3fff) === 0;
  if (id !== 0 && !isCaseId(id)) put16(p, 4, 1);
  maskOptions(p, 20, ihl);
  if (!quoted || isCaseId(id)) put16(p, 10, right ? RIGHT : WRONG);
  else put16(p, 10, RIGHT);
  if (!isWhole) return;
  if (p[9] === 1) maskIcmp(body, quoted);
  if (p[9] === 6 && !quoted) maskTcp(p, body);
}

function maskIcmp(p: Uint8Array, quoted: boolean): void {
  if (p.length < 8) return;
  if (!quoted) put16(p, 2, checksum(p, 0, p.length) === 0 ? RIGHT : WRONG);
  const type = p[0] ?? 0;
  if (type === 14) {
    for (const at of [12, 16]) if (isTimeOfDay(get32(p, at))) put32(p, at, 1);
  }
  if (!quoted && (type === 3 || type === 5 || type === 11 || type === 12)) {
    maskIp(p.subarray(8), true);
  }
}

/** Segments that open or continue a connection have a sequence number of the stack's own. */
function maskTcp(ip: Uint8Array, p: Uint8Array): void {
  if (p.length < 20) return;
  const start = pseudo(get32(ip, 12), get32(ip, 16), 6, p.length);
  put16(p, 16, checksum(p, 0, p.length, start) === 0 ? RIGHT : WRONG);
  if (((p[13] ?? 0) & 4) === 0) put32(p, 4, 1);
  const end = Math.min(p.length, ((p[12] ?? 0) >>> 4) * 4);
  for (let at = 20; at < end; at += p[at] === 1 ? 1 : (p[at + 1] ?? 2)) {
    if (p[at] === 8 && at + 6 <= end) put32(p, at + 2, 1);
    if (p[at] === 0) break;
  }
}

/** A frame with what may differ taken out. */
export function normalFrame(text: string): string {
  const frame = fromHex(text);
  if (get16(frame, 12) === 0x0800) maskIp(frame.subarray(14), false);
  return toHex(frame);
}

/** Counters that count time or the work of other parts. */
const PASSING = /^(Tcp|TcpExt|MPTcpExt|UdpLite|Icmp6|Ip6)\b/;

function normalText(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(/used \d+\/\d+\/\d+/, 'used').trimEnd())
    .filter((line) => line !== '' && !PASSING.test(line))
    .join('\n');
}

/** What recvmsg gave, with the same taken out. */
function normalResult(op: string, result: unknown): unknown {
  if (op === 'ip' && Array.isArray(result)) {
    const [status, text] = result as [number, string];
    return [status === 0 ? 0 : 1, normalText(text).split('\n').sort()];
  }
  if (op === 'read') return fileText(result as string);
  if (op === 'getsockname' && Array.isArray(result) && typeof result[1] === 'string') {
    const bytes = fromHex(result[1]);
    // Identifiers that ping sockets choose count on from one to the next.
    if (bytes.length >= 4 && !CASE_PORTS.has(get16(bytes, 2))) put16(bytes, 2, 1);
    return [result[0], toHex(bytes)];
  }
  if (op === 'recvmsg' && Array.isArray(result) && typeof result[1] === 'string') {
    const data = fromHex(result[1]);
    maskIp(data, false);
    const [got, , namelen, name, control, flags] = result as [number, ...string[]];
    return [got, toHex(data), namelen, name, normalControl(control ?? ''), flags];
  }
  return result;
}

/** Control messages without the times of day in IP options. */
function normalControl(text: string): string {
  const bytes = fromHex(text);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = view.getUint32(at, true);
    if (length < 16) break;
    const isOptions = view.getUint32(at + 8, true) === 0 && [6, 7].includes(bytes[at + 12] ?? 0);
    if (isOptions) maskOptions(bytes, at + 16, Math.min(at + length, bytes.length));
    at += Math.ceil(length / 8) * 8;
  }
  return toHex(bytes);
}

/** Lines of a file of /proc/net in an order of their own, without slots, inodes and pointers. */
function fileText(text: string): readonly string[] {
  if (/^(Ip|TcpExt):/.test(text)) return tables(text);
  return text
    .split('\n')
    .map((line) => {
      // In tables of sockets: `sl: local remote st queues tr:when retrnsmt uid timeout inode ref pointer drops`.
      const columns = /^ *\d+: (.{67,}?) +\d+ +\d+ +\d+ +\d+ +[0-9a-f]+ +(\d+) *$/.exec(line);
      if (columns === null) return line.trimEnd();
      // Memory of packets in queues depends on their structures.
      return `${columns[1]?.replace(/[0-9A-F]{8}:[0-9A-F]{8} 00:/, '00:')} ${columns[2]}`;
    })
    .filter((line) => !/^ *sl /.test(line))
    .sort();
}

/** The tables of /proc/net/snmp and netstat as `Ip.InReceives=3`, without the zeros. */
function tables(text: string): readonly string[] {
  const lines = normalText(text).split('\n');
  const out: string[] = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const [title = '', ...names] = (lines[i] ?? '').split(/\s+/);
    const [again = '', ...values] = (lines[i + 1] ?? '').split(/\s+/);
    if (title !== again) return lines;
    names.forEach((name, at) => {
      if (values[at] !== '0') out.push(`${title}${name}=${values[at]}`);
    });
  }
  return out;
}

export interface Difference {
  readonly step: number;
  readonly kernel: unknown;
  readonly softnet: unknown;
}

/** What a run of a case gave, with what may differ taken out. */
export function normalRun({ steps }: Case, run: readonly StepResult[]): unknown[] {
  const sent = steps.map((_, i) =>
    (run[i]?.[1] ?? []).map(([device, frame]) => `${device} ${normalFrame(frame)}`),
  );
  // What timers send in a pause, or just before it, is sent at times of their own.
  steps.forEach(([op], i) => {
    if (op === 'sleep') sent[i] = [...(sent[i - 1]?.splice(0) ?? []), ...(sent[i] ?? [])].sort();
  });
  return steps.map(([op], i) => [normalResult(op, run[i]?.[0] ?? null), sent[i]]);
}

/** Where two runs of a case differ. */
export function compare(
  one: Case,
  kernel: readonly StepResult[],
  softnet: readonly StepResult[],
): Difference[] {
  const theirs = normalRun(one, kernel);
  const ours = normalRun(one, softnet);
  return theirs.flatMap((result, step) =>
    JSON.stringify(result) === JSON.stringify(ours[step])
      ? []
      : [{ step, kernel: result, softnet: ours[step] }],
  );
}
