/*
 * The command line of ping. Counterpart of main() in iputils' ping.c.
 */
import { inPton4 } from '#lib/parse_addr.ts';
import { IP_PMTUDISC_DO, IP_PMTUDISC_DONT, IP_PMTUDISC_PROBE, IP_PMTUDISC_WANT } from '#uapi/in.ts';
import { getopt } from '#user/lib/getopt.ts';
import type { Process } from '#user/lib/process.ts';

export interface PingOptions {
  host: string;
  /** Requests to send; 0: no end. */
  count: number;
  /** Milliseconds between requests. */
  interval: number;
  size: number;
  /** Milliseconds to wait for the last answers. */
  linger: number;
  /** Seconds until all ends; 0: no bound. */
  deadline: number;
  ttl: number | null;
  tos: number | null;
  mark: number | null;
  sndbuf: number | null;
  pmtudisc: number | null;
  device: string | null;
  source: number | null;
  preload: number;
  pattern: readonly number[] | null;
  ident: number | null;
  broadcast: boolean;
  quiet: boolean;
  numeric: boolean;
  verbose: boolean;
  flood: boolean;
  adaptive: boolean;
  timestamp: boolean;
  outstanding: boolean;
  audible: boolean;
  dontRoute: boolean;
  noLoop: boolean;
}

/** What is wrong with the command line, and the status to end with. */
export class PingUsage extends Error {
  readonly status: number;

  constructor(text: string, status: number) {
    super(text);
    this.name = 'PingUsage';
    this.status = status;
  }
}

export const USAGE: string =
  '\nUsage\n  ping [options] <destination>\n\nOptions:\n' +
  '  <destination>      name or ip address\n' +
  '  -a                 use audible ping\n' +
  '  -A                 use adaptive ping\n' +
  '  -c <count>         stop after <count> replies\n' +
  '  -D                 print timestamps\n' +
  '  -e <identifier>    define identifier for ping session\n' +
  '  -f                 flood ping\n' +
  '  -h                 print help and exit\n' +
  '  -I <interface>     either interface name or address\n' +
  '  -i <interval>      seconds between sending each packet\n' +
  '  -L                 suppress loopback of multicast packets\n' +
  '  -l <preload>       send <preload> number of packages while waiting replies\n' +
  '  -m <mark>          tag the packets going out\n' +
  '  -M <pmtud opt>     define mtu discovery, can be one of <do|dont|want|probe>\n' +
  '  -n                 no name resolution\n' +
  '  -O                 report outstanding replies\n' +
  '  -p <pattern>       contents of padding byte\n' +
  '  -q                 quiet output\n' +
  '  -Q <tclass>        use quality of service <tclass> bits\n' +
  '  -r                 bypass the routing table\n' +
  '  -s <size>          use <size> as number of data bytes to be sent\n' +
  '  -S <size>          use <size> as SO_SNDBUF socket option value\n' +
  '  -t <ttl>           define time to live\n' +
  '  -v                 verbose output\n' +
  '  -V                 print version and exit\n' +
  '  -w <deadline>      reply wait <deadline> in seconds\n' +
  '  -W <timeout>       time to wait for response\n' +
  '  -b                 allow pinging broadcast\n';

const INT_MAX = 2147483647;
/** Largest count: LONG_MAX, which a double does not have. */
const LONG_MAX_TEXT = '9223372036854775807';

/** An integer within bounds; says in iputils' words why it is none. */
function integer(text: string, min: number, max: number, maxText = String(max)): number {
  const value = /^0[xX][0-9a-fA-F]+$/.test(text) || /^[+-]?\d+$/.test(text) ? Number(text) : null;
  if (value === null) throw new PingUsage(`ping: invalid argument: '${text}'\n`, 1);
  if (value < min || value > max) {
    throw new PingUsage(
      `ping: invalid argument: '${text}': out of range: ${min} <= value <= ${maxText}\n`,
      1,
    );
  }
  return value;
}

/** Seconds with decimals; garbage behind them is complained of and left out. */
function seconds(p: Process, text: string): number {
  const match = /^\s*(\d+(?:\.\d*)?|\.\d+)/.exec(text);
  if ((match?.[0] ?? '') !== text) {
    p.warn(`ping: option argument contains garbage: ${text.slice(match?.[0].length ?? 0)}\n`);
    p.warn('ping: this will become fatal error in the future\n');
  }
  return match === null ? 0 : Number(match[1]);
}

const PMTUDISC: Readonly<Record<string, number>> = {
  do: IP_PMTUDISC_DO,
  dont: IP_PMTUDISC_DONT,
  want: IP_PMTUDISC_WANT,
  probe: IP_PMTUDISC_PROBE,
};

/** Octets in hexadecimal, of which at most 16 count. */
function patternOf(text: string): number[] {
  const bad = /[^0-9a-fA-F]/.exec(text);
  if (bad !== null) {
    const rest = text.slice(bad.index);
    throw new PingUsage(`ping: patterns must be specified as hex digits: ${rest}\n`, 2);
  }
  const digits = text.slice(0, 32);
  const octets: number[] = [];
  for (let i = 0; i < digits.length; i += 2) {
    octets.push(Number.parseInt(digits.slice(i, i + 2), 16));
  }
  return octets;
}

type Setter = (options: PingOptions, value: string, p: Process) => void;

const SETTERS: Readonly<Record<string, Setter>> = {
  '4': () => {},
  a: (options) => Object.assign(options, { audible: true }),
  A: (options) => Object.assign(options, { adaptive: true }),
  b: (options) => Object.assign(options, { broadcast: true }),
  c: (options, value) => {
    options.count = integer(value, 1, Number.MAX_SAFE_INTEGER, LONG_MAX_TEXT);
  },
  D: (options) => Object.assign(options, { timestamp: true }),
  e: (options, value) => {
    options.ident = integer(value, 0, 65535);
  },
  f: (options) => Object.assign(options, { flood: true, interval: 0 }),
  i: (options, value, p) => {
    const interval = seconds(p, value);
    if (interval > INT_MAX / 1000) {
      throw new PingUsage(`ping: bad timing interval: ${value}\n`, 2);
    }
    options.interval = Math.trunc(interval * 1000);
  },
  I: (options, value) => {
    const address = inPton4(value);
    if (address === null) options.device = value;
    else options.source = address;
  },
  l: (options, value) => {
    options.preload = integer(value, 1, 65536);
  },
  L: (options) => Object.assign(options, { noLoop: true }),
  m: (options, value) => {
    options.mark = integer(value, 0, 0xffffffff);
  },
  M: (options, value) => {
    const how = Object.hasOwn(PMTUDISC, value) ? PMTUDISC[value] : undefined;
    if (how === undefined) throw new PingUsage(`ping: invalid -M argument: ${value}\n`, 2);
    options.pmtudisc = how;
  },
  n: (options) => Object.assign(options, { numeric: true }),
  O: (options) => Object.assign(options, { outstanding: true }),
  p: (options, value) => {
    options.pattern = patternOf(value);
  },
  q: (options) => Object.assign(options, { quiet: true }),
  Q: (options, value) => {
    options.tos = integer(value, 0, 255);
  },
  r: (options) => Object.assign(options, { dontRoute: true }),
  s: (options, value) => {
    options.size = integer(value, 0, INT_MAX);
  },
  S: (options, value) => {
    options.sndbuf = integer(value, 1, INT_MAX);
  },
  t: (options, value) => {
    options.ttl = integer(value, 0, 255);
  },
  U: () => {},
  v: (options) => Object.assign(options, { verbose: true }),
  w: (options, value) => {
    options.deadline = integer(value, 0, INT_MAX);
  },
  W: (options, value, p) => {
    options.linger = Math.trunc(seconds(p, value) * 1000);
  },
};

const SPEC = '4aAbc:De:fhi:I:l:Lm:M:nOp:qQ:rs:S:t:UvVw:W:';

/** Reads the command line. Help and version end it with status 0. @throws PingUsage */
export function readOptions(p: Process): PingOptions {
  const options: PingOptions = {
    host: '',
    count: 0,
    interval: 1000,
    size: 56,
    linger: 10_000,
    deadline: 0,
    ttl: null,
    tos: null,
    mark: null,
    sndbuf: null,
    pmtudisc: null,
    device: null,
    source: null,
    preload: 1,
    pattern: null,
    ident: null,
    broadcast: false,
    quiet: false,
    numeric: false,
    verbose: false,
    flood: false,
    adaptive: false,
    timestamp: false,
    outstanding: false,
    audible: false,
    dontRoute: false,
    noLoop: false,
  };
  const { options: given, words, error } = getopt(p.args, SPEC);
  for (const { letter, value } of given) {
    if (letter === 'h') throw new PingUsage(USAGE, 2);
    if (letter === 'V') {
      p.print('ping from softnet, after iputils 20221126\n');
      throw new PingUsage('', 0);
    }
    SETTERS[letter]?.(options, value, p);
  }
  if (error !== null) throw new PingUsage(`ping: ${error}\n${USAGE}`, 2);
  const host = words.at(-1);
  if (host === undefined) {
    throw new PingUsage('ping: usage error: Destination address required\n', 1);
  }
  options.host = host;
  return options;
}
