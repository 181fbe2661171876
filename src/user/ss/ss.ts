/*
 * `ss`: the sockets of the machine. Counterpart of iproute2's misc/ss.c.
 */
import { inNtop4, inNtop6 } from '#lib/parse_addr.ts';
import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX } from '#uapi/socket.ts';
import { TCP_BOUND_INACTIVE, TCP_CLOSE, TCP_ESTABLISHED } from '#uapi/tcp.ts';
import { getopt } from '#user/lib/getopt.ts';
import { indexToName } from '#user/lib/ifaddrs.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { serviceName } from '#user/lib/services.ts';
import { encodeText } from '#user/lib/streams.ts';
import { NETID, type Row, renderRows, STATE } from '#user/ss/columns.ts';
import { extendedText, infoText, memoryText, timerText } from '#user/ss/details.ts';
import { destroySocket, readDiagSockets, watchDestroyed } from '#user/ss/diag.ts';
import { type OtherFamily, otherRows } from '#user/ss/families.ts';
import { FilterError, type Predicate, parseFilter } from '#user/ss/filter.ts';
import { readProcSockets } from '#user/ss/proc.ts';
import {
  ALL_STATES,
  CONNECTED_STATES,
  type Endpoint,
  LISTENING_STATES,
  type Netid,
  type SocketRecord,
  STATE_NAMES,
  STATE_WORDS,
} from '#user/ss/record.ts';
import { summaryText } from '#user/ss/summary.ts';

const USAGE =
  'Usage: ss [ OPTIONS ]\n' +
  '       ss [ OPTIONS ] [ FILTER ]\n' +
  '   -h, --help          this message\n' +
  '   -V, --version       output version information\n' +
  "   -n, --numeric       don't resolve service names\n" +
  '   -a, --all           display all sockets\n' +
  '   -l, --listening     display listening sockets\n' +
  '   -B, --bound-inactive display only TCP bound but inactive sockets\n' +
  '   -o, --options       show timer information\n' +
  '   -e, --extended      show detailed socket information\n' +
  '   -m, --memory        show socket memory usage\n' +
  '   -i, --info          show internal TCP information\n' +
  '   -E, --events        continually display sockets as they are destroyed\n' +
  '   -K, --kill          forcibly close sockets, display what was closed\n' +
  '   -s, --summary       show socket usage summary\n' +
  '   -4, --ipv4          display only IP version 4 sockets\n' +
  '   -6, --ipv6          display only IP version 6 sockets\n' +
  '   -t, --tcp           display only TCP sockets\n' +
  '   -u, --udp           display only UDP sockets\n' +
  '   -w, --raw           display only RAW sockets\n' +
  '   -x, --unix          display only Unix domain sockets\n' +
  '   -0, --packet        display PACKET sockets\n' +
  '   -f, --family=FAMILY display sockets of type FAMILY\n' +
  '       FAMILY := {inet|inet6|link|unix|netlink|help}\n' +
  '   -H, --no-header     Suppress header line\n' +
  "   -O, --oneline       socket's data printed on a single line\n" +
  '       FILTER := [ state STATE-FILTER ] [ EXPRESSION ]\n' +
  '       STATE-FILTER := {all|connected|synchronized|bucket|big|TCP-STATES}\n' +
  '         TCP-STATES := {established|syn-sent|syn-recv|fin-wait-{1,2}|time-wait|closed|close-wait|' +
  'last-ack|listening|closing}\n';

const LONG: Readonly<Record<string, string>> = {
  help: 'h',
  version: 'V',
  numeric: 'n',
  resolve: 'r',
  all: 'a',
  listening: 'l',
  options: 'o',
  extended: 'e',
  memory: 'm',
  info: 'i',
  events: 'E',
  kill: 'K',
  summary: 's',
  processes: 'p',
  ipv4: '4',
  ipv6: '6',
  tcp: 't',
  udp: 'u',
  raw: 'w',
  unix: 'x',
  packet: '0',
  family: 'f',
  'bound-inactive': 'B',
  'no-header': 'H',
  oneline: 'O',
};

/** What is listed apart. */
type Table = Netid | OtherFamily;

/** The order in which tables are listed. */
const ORDER: readonly Table[] = ['netlink', 'packet', 'unix', 'raw', 'udp', 'tcp'];

const TABLE_FAMILIES: Readonly<Record<Table, readonly number[]>> = {
  netlink: [AF_NETLINK],
  packet: [AF_PACKET],
  unix: [AF_UNIX],
  raw: [AF_INET, AF_INET6],
  udp: [AF_INET, AF_INET6],
  tcp: [AF_INET, AF_INET6],
};

/** What a family shows unless states are named: sockets of links and of netlink are never connected. */
const FAMILY_STATES: Readonly<Record<number, number>> = {
  [AF_INET]: CONNECTED_STATES,
  [AF_INET6]: CONNECTED_STATES,
  [AF_UNIX]: CONNECTED_STATES,
  [AF_PACKET]: 1 << TCP_CLOSE,
  [AF_NETLINK]: 1 << TCP_CLOSE,
};

interface Options {
  readonly tables: Set<Table>;
  readonly families: Set<number>;
  /** Of the family named last: its addresses are those of the filter. Null: none was named. */
  preferred: number | null;
  /** What the tables and families named show when no states are. */
  usual: number;
  /** Null: the usual ones. */
  states: number | null;
  numeric: boolean;
  timers: boolean;
  extended: boolean;
  memory: boolean;
  info: boolean;
  events: boolean;
  kill: boolean;
  summary: boolean;
  header: boolean;
  oneline: boolean;
  matches: Predicate;
}

class Usage extends Error {
  readonly status: number;
  readonly toStdout: boolean;

  constructor(text: string, status: number, toStdout = false) {
    super(text);
    this.name = 'Usage';
    this.status = status;
    this.toStdout = toStdout;
  }
}

const SWITCHES: Readonly<Record<string, (options: Options) => void>> = {
  n: (options) => Object.assign(options, { numeric: true }),
  a: (options) => Object.assign(options, { states: ALL_STATES }),
  B: (options) =>
    Object.assign(options, { states: (options.states ?? 0) | (1 << TCP_BOUND_INACTIVE) }),
  l: (options) => Object.assign(options, { states: LISTENING_STATES }),
  o: (options) => Object.assign(options, { timers: true }),
  e: (options) => Object.assign(options, { timers: true, extended: true }),
  m: (options) => Object.assign(options, { memory: true }),
  i: (options) => Object.assign(options, { info: true }),
  E: (options) => Object.assign(options, { events: true }),
  K: (options) => Object.assign(options, { kill: true }),
  s: (options) => Object.assign(options, { summary: true }),
  4: (options) => addFamily(options, AF_INET),
  6: (options) => addFamily(options, AF_INET6),
  t: (options) => addTable(options, 'tcp'),
  u: (options) => addTable(options, 'udp'),
  w: (options) => addTable(options, 'raw'),
  x: (options) => addFamily(options, AF_UNIX),
  0: (options) => addFamily(options, AF_PACKET),
  H: (options) => Object.assign(options, { header: false }),
  O: (options) => Object.assign(options, { oneline: true }),
};

/** Families by their names after -f. */
const FAMILIES: Readonly<Record<string, number>> = {
  inet: AF_INET,
  inet6: AF_INET6,
  unix: AF_UNIX,
  link: AF_PACKET,
  netlink: AF_NETLINK,
};

function addFamily(options: Options, family: number): void {
  // Of the Internet's two the last counts.
  if (family === AF_INET) options.families.delete(AF_INET6);
  if (family === AF_INET6) options.families.delete(AF_INET);
  options.families.add(family);
  options.preferred = family;
  options.usual |= FAMILY_STATES[family] ?? 0;
}

function addTable(options: Options, table: Netid): void {
  options.tables.add(table);
  options.usual |= table === 'tcp' ? CONNECTED_STATES : 1 << TCP_ESTABLISHED;
}

function familyOf(name: string): number {
  if (name === 'help') throw new Usage(USAGE, 0, true);
  const family = Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined;
  if (family === undefined) throw new Usage(`ss: "${name}" is invalid family\n${USAGE}`, 255);
  return family;
}

/** `state X` and `exclude X` before the expression, instead of -a and -l; what is left of the words. */
function readStates(options: Options, words: readonly string[]): readonly string[] {
  let rest = words;
  let seen: number | null = null;
  while (rest[0] === 'state' || rest[0] === 'exclude' || rest[0] === 'excl') {
    const [verb, name = ''] = rest;
    const states = Object.hasOwn(STATE_WORDS, name) ? STATE_WORDS[name] : undefined;
    if (states === undefined) throw new Usage(`ss: wrong state name: ${name}\n`, 255);
    seen = verb === 'state' ? (seen ?? 0) | states : (seen ?? ALL_STATES) & ~states;
    rest = rest.slice(2);
  }
  if (seen !== null) options.states = seen;
  return rest;
}

/** What was not said: tables have their families, families their tables. @see filter_merge_defaults of iproute2's misc/ss.c */
function fillIn({ tables, families }: Options): void {
  if (tables.size === 0 && families.size === 0) for (const table of ORDER) tables.add(table);
  for (const table of tables) {
    const own = TABLE_FAMILIES[table];
    if (!own.some((family) => families.has(family))) for (const family of own) families.add(family);
  }
  for (const family of families) {
    const own = ORDER.filter((table) => TABLE_FAMILIES[table].includes(family));
    if (!own.some((table) => tables.has(table))) for (const table of own) tables.add(table);
  }
}

async function readOptions({ args, libc }: Process): Promise<Options> {
  const options: Options = {
    tables: new Set(),
    families: new Set(),
    preferred: null,
    usual: 0,
    states: null,
    numeric: false,
    timers: false,
    extended: false,
    memory: false,
    info: false,
    events: false,
    kill: false,
    summary: false,
    header: true,
    oneline: false,
    matches: () => true,
  };
  const { options: given, words, error } = getopt(args, '+hVnralopemiEKs460tuwxf:HOB', LONG);
  for (const { letter, value } of given) {
    if (letter === 'h') throw new Usage(USAGE, 0, true);
    if (letter === 'V') throw new Usage('ss utility, softnet, after iproute2-6.1.0\n', 0, true);
    if (letter === 'f') addFamily(options, familyOf(value));
    else SWITCHES[letter]?.(options);
  }
  if (error !== null) throw new Usage(`ss: ${error}\n${USAGE}`, 255);
  const expression = readStates(options, words);
  if (options.summary && options.tables.size === 0) return options;
  // Only TCP has sockets that are bound and inactive.
  const inactive = options.states === 1 << TCP_BOUND_INACTIVE;
  if (inactive && options.tables.size === 0) addTable(options, 'tcp');
  fillIn(options);
  const ofLinks =
    options.preferred === AF_PACKET || expression.some((word) => word.startsWith('link:'));
  const interfaces = ofLinks ? await indexToName(libc) : new Map<number, string>();
  const { matches, family } = parseFilter(expression, options.preferred, interfaces);
  options.matches = matches;
  if (family !== null) {
    options.families.clear();
    options.families.add(family);
  }
  return options;
}

function addressText({ family, bytes }: Endpoint): string {
  if (family === AF_INET) {
    return inNtop4(new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0));
  }
  const text = inNtop6(bytes);
  return bytes.every((octet) => octet === 0) ? '[::]' : `[${text}]`;
}

function portText(options: Options, netid: Netid, port: number): string {
  if (port === 0) return '*';
  return (options.numeric ? null : serviceName(netid, port)) ?? String(port);
}

/** The last cell: everything beside the addresses, on lines of its own where it is long. */
function restText(options: Options, record: SocketRecord): string {
  let text = '';
  if (options.timers) text += timerText(record);
  if (options.extended) text += extendedText(record);
  // Of /proc nothing more is known.
  if ((!options.memory && !options.info) || record.id === null) return text;
  if (!options.oneline) text += '\n\t';
  if (options.memory) text += memoryText(record);
  if (options.info) text += infoText(record, options.extended);
  return text;
}

function rowOf(options: Options, record: SocketRecord): Row {
  const { netid, local, peer, device } = record;
  return [
    netid,
    STATE_NAMES[record.state] ?? 'UNKNOWN',
    String(record.recvQ).padEnd(6),
    String(record.sendQ).padEnd(6),
    `${addressText(local)}${device === '' ? '' : `%${device}`}:`,
    portText(options, netid, local.port),
    `${addressText(peer)}:`,
    portText(options, netid, peer.port),
    restText(options, record),
  ];
}

/** What there is of one kind and family. */
async function readSockets(
  p: Process,
  options: Options,
  netid: Netid,
  family: number,
  states: number,
): Promise<SocketRecord[]> {
  const wanted = { info: options.info, memory: options.memory, states };
  const found = await readDiagSockets(p.libc, netid, family, wanted);
  return found ?? readProcSockets(p.libc, netid, family);
}

/** The states that are shown. */
function statesOf({ states, usual }: Options): number {
  return states ?? (usual === 0 ? CONNECTED_STATES : usual);
}

async function collect(p: Process, options: Options): Promise<SocketRecord[]> {
  const states = statesOf(options);
  // What is bound and waits is told as closed, by the kernel that was asked for it.
  const told = states | ((states & (1 << TCP_BOUND_INACTIVE)) !== 0 ? 1 << TCP_CLOSE : 0);
  const all: SocketRecord[] = [];
  for (const netid of ['raw', 'udp', 'tcp'] as const) {
    if (!options.tables.has(netid)) continue;
    for (const family of [AF_INET, AF_INET6]) {
      if (!options.families.has(family)) continue;
      for (const record of await readSockets(p, options, netid, family, states)) {
        if ((told & (1 << record.state)) !== 0 && options.matches(record)) all.push(record);
      }
    }
  }
  return all;
}

/** Rows of the families that are not of the Internet, which come first. */
async function collectOthers(p: Process, options: Options): Promise<Row[]> {
  const rows: Row[] = [];
  const wanted = { ...options, states: statesOf(options) };
  for (const table of ['netlink', 'packet', 'unix'] as const) {
    const shown = TABLE_FAMILIES[table].some((family) => options.families.has(family));
    if (shown && options.tables.has(table)) rows.push(...(await otherRows(p.libc, table, wanted)));
  }
  return rows;
}

/** Ends sockets; those that were ended. */
async function destroyAll(p: Process, records: readonly SocketRecord[]): Promise<SocketRecord[]> {
  const ended: SocketRecord[] = [];
  for (const record of records) if (await destroySocket(p.libc, record)) ended.push(record);
  return ended;
}

/** Prints sockets as they end, each a line of its own. */
async function showEvents(p: Process, options: Options): Promise<never> {
  return watchDestroyed(p.libc, (record) => {
    if (!options.tables.has(record.netid)) return;
    if (options.families.has(record.local.family) && options.matches(record)) {
      p.print(renderRows([rowOf(options, record)], hiddenColumns(options), false));
    }
  });
}

/** Columns that would say the same in each row. */
function hiddenColumns(options: Options): number[] {
  const hidden: number[] = [];
  const [table, ...more] = options.tables;
  // Unix and packet sockets are of several kinds.
  if (table !== 'unix' && table !== 'packet' && more.length === 0) hidden.push(NETID);
  const states = statesOf(options);
  if ((states & (states - 1)) === 0) hidden.push(STATE);
  return hidden;
}

export const main: Main = async (p) => {
  try {
    const options = await readOptions(p);
    if (options.summary) p.print(await summaryText(p.libc));
    if (options.summary && options.tables.size === 0) return 0;
    if (options.events) return await showEvents(p, options);
    const others = await collectOthers(p, options);
    const found = await collect(p, options);
    const records = options.kill ? await destroyAll(p, found) : found;
    const rows = [...others, ...records.map((record) => rowOf(options, record))];
    await p.pour(encodeText(renderRows(rows, hiddenColumns(options), options.header)));
    return 0;
  } catch (error) {
    if (error instanceof Usage) {
      if (error.toStdout) p.print(error.message);
      else p.warn(error.message);
      return error.status;
    }
    if (!(error instanceof FilterError)) throw error;
    p.warn(error.message);
    return error.status;
  }
};
