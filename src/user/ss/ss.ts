/*
 * `ss`: the sockets of the machine. Counterpart of iproute2's misc/ss.c.
 */
import { inNtop4, inNtop6 } from '#lib/parse_addr.ts';
import { AF_INET, AF_INET6 } from '#uapi/socket.ts';
import { TCP_BOUND_INACTIVE, TCP_CLOSE, TCP_SYN_RECV, TCP_TIME_WAIT } from '#uapi/tcp.ts';
import { getopt } from '#user/lib/getopt.ts';
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

interface Options {
  readonly netids: Set<Netid>;
  families: readonly number[];
  /** Of other families than inet. */
  readonly others: Set<OtherFamily>;
  states: number | null;
  all: boolean;
  listening: boolean;
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
  a: (options) => Object.assign(options, { all: true }),
  B: (options) =>
    Object.assign(options, { states: (options.states ?? 0) | (1 << TCP_BOUND_INACTIVE) }),
  l: (options) => Object.assign(options, { listening: true }),
  o: (options) => Object.assign(options, { timers: true }),
  e: (options) => Object.assign(options, { timers: true, extended: true }),
  m: (options) => Object.assign(options, { memory: true }),
  i: (options) => Object.assign(options, { info: true }),
  E: (options) => Object.assign(options, { events: true }),
  K: (options) => Object.assign(options, { kill: true }),
  s: (options) => Object.assign(options, { summary: true }),
  4: (options) => Object.assign(options, { families: [AF_INET] }),
  6: (options) => Object.assign(options, { families: [AF_INET6] }),
  t: (options) => void options.netids.add('tcp'),
  u: (options) => void options.netids.add('udp'),
  w: (options) => void options.netids.add('raw'),
  x: (options) => void options.others.add('unix'),
  0: (options) => void options.others.add('packet'),
  H: (options) => Object.assign(options, { header: false }),
  O: (options) => Object.assign(options, { oneline: true }),
};

/** Families that have tables of their own, by their names after -f. */
const OTHERS: Readonly<Record<string, OtherFamily>> = {
  unix: 'unix',
  link: 'packet',
  netlink: 'netlink',
};

function familiesOf(name: string): readonly number[] {
  if (name === 'inet') return [AF_INET];
  if (name === 'inet6') return [AF_INET6];
  if (name === 'help') throw new Usage(USAGE, 0, true);
  throw new Usage(`ss: "${name}" is invalid family\n${USAGE}`, 255);
}

/** `state X` and `exclude X` before the expression; what is left of the words. */
function readStates(options: Options, words: readonly string[]): readonly string[] {
  let rest = words;
  while (rest[0] === 'state' || rest[0] === 'exclude' || rest[0] === 'excl') {
    const [verb, name = ''] = rest;
    const states = Object.hasOwn(STATE_WORDS, name) ? STATE_WORDS[name] : undefined;
    if (states === undefined) throw new Usage(`ss: wrong state name: ${name}\n`, 255);
    if (verb === 'state') options.states = (options.states ?? 0) | states;
    else options.states = (options.states ?? defaultStates(options)) & ~states;
    rest = rest.slice(2);
  }
  return rest;
}

function defaultStates(options: Options): number {
  if (options.all) return ALL_STATES;
  return options.listening ? LISTENING_STATES : CONNECTED_STATES;
}

function readOptions(args: readonly string[]): Options {
  const options: Options = {
    netids: new Set(),
    families: [AF_INET, AF_INET6],
    others: new Set(),
    states: null,
    all: false,
    listening: false,
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
    if (letter === 'f' && Object.hasOwn(OTHERS, value))
      options.others.add(OTHERS[value] as OtherFamily);
    else if (letter === 'f') options.families = familiesOf(value);
    else SWITCHES[letter]?.(options);
  }
  if (error !== null) throw new Usage(`ss: ${error}\n${USAGE}`, 255);
  options.matches = parseFilter(readStates(options, words));
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
  if (!options.memory && !options.info) return text;
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

/** The order in which kinds are listed. */
const ORDER: readonly Netid[] = ['raw', 'udp', 'tcp'];

async function collect(p: Process, options: Options): Promise<SocketRecord[]> {
  const states = options.states ?? defaultStates(options);
  // What is bound and waits is told as closed, by the kernel that was asked for it.
  const told = states | ((states & (1 << TCP_BOUND_INACTIVE)) !== 0 ? 1 << TCP_CLOSE : 0);
  const netids = options.netids.size === 0 ? ORDER : ORDER.filter((id) => options.netids.has(id));
  const all: SocketRecord[] = [];
  for (const netid of netids) {
    for (const family of options.families) {
      for (const record of await readSockets(p, options, netid, family, states)) {
        if ((told & (1 << record.state)) !== 0 && options.matches(record)) all.push(record);
      }
    }
  }
  return all;
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
    if (options.netids.size > 0 && !options.netids.has(record.netid)) return;
    if (options.families.includes(record.local.family) && options.matches(record)) {
      p.print(renderRows([rowOf(options, record)], hiddenColumns(options), false));
    }
  });
}

/** Columns that would say the same in each row. */
function hiddenColumns(options: Options): number[] {
  const hidden: number[] = [];
  if (options.netids.size === 1) hidden.push(NETID);
  const states = options.states ?? 0;
  if (states !== 0 && (states & (states - 1)) === 0) hidden.push(STATE);
  return hidden;
}

/** Sockets of other families: what stands in every row is said by no column. */
async function showOthers(p: Process, options: Options): Promise<number> {
  const rows: Row[] = [];
  const given =
    options.states ?? (options.all || options.listening ? defaultStates(options) : null);
  for (const family of ['netlink', 'packet', 'unix'] as const) {
    if (options.others.has(family))
      rows.push(...(await otherRows(p.libc, family, { ...options, states: given })));
  }
  const hidden: number[] = [];
  const [first, ...more] = options.others;
  if (first === 'netlink' && more.length === 0) hidden.push(NETID);
  // Packet and netlink sockets have one state only.
  const one = given !== null && (given & (given - 1)) === 0;
  if (one || (given === null && !options.others.has('unix'))) hidden.push(STATE);
  await p.pour(encodeText(renderRows(rows, hidden, options.header)));
  return 0;
}

/** States that only TCP has are asked of it alone. */
const TCP_ONLY: number = (1 << TCP_TIME_WAIT) | (1 << TCP_SYN_RECV) | (1 << TCP_BOUND_INACTIVE);

export const main: Main = async (p) => {
  try {
    const options = readOptions(p.args);
    if (options.summary) p.print(await summaryText(p.libc));
    if (options.summary && options.netids.size === 0) return 0;
    if (
      options.states !== null &&
      (options.states & ~TCP_ONLY) === 0 &&
      options.netids.size === 0
    ) {
      options.netids.add('tcp');
    }
    if (options.events) return await showEvents(p, options);
    if (options.others.size > 0) return await showOthers(p, options);
    const found = await collect(p, options);
    const records = options.kill ? await destroyAll(p, found) : found;
    const rows = records.map((record) => rowOf(options, record));
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
