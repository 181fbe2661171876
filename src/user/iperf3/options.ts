/*
 * iperf3's command line.
 */

import { DEFAULT_PORT, IperfError, type TestParams } from '#user/iperf3/protocol.ts';
import { getopt } from '#user/lib/getopt.ts';
import { parsePort } from '#user/lib/sockaddr.ts';

export interface Options {
  /** Null: the server. */
  readonly host: string | null;
  readonly port: number;
  /** The server ends after one test. */
  readonly once: boolean;
  readonly json: boolean;
  /** Seconds between reports; 0: only at the end. */
  readonly interval: number;
  readonly params: TestParams;
}

export const USAGE: string = `Usage: iperf3 [-s|-c host] [options]
  -p, --port n          port to listen on or to connect to (${DEFAULT_PORT})
  -i, --interval n      seconds between reports (1)
  -J, --json            output in JSON
  -s, --server          run as server
  -1, --one-off         one test, then the server ends
  -c, --client host     run as client
  -u, --udp             datagrams rather than a connection
  -b, --bitrate n[KMG]  bits a second (1 Mbit/s for UDP, no bound for TCP)
  -t, --time n          seconds to send (10)
  -n, --bytes n[KMG]    octets to send, instead of -t
  -k, --blockcount n    writes to send, instead of -t or -n
  -l, --length n[KMG]   octets of a write (128 KB for TCP, 1448 for UDP)
  -P, --parallel n      streams
  -R, --reverse         the server sends
  -w, --window n[KMG]   size of the socket's buffers
  -C, --congestion name congestion control
  -M, --set-mss n       largest segment
  -N, --no-delay        no Nagle
`;

const LONG: Readonly<Record<string, string>> = {
  port: 'p',
  interval: 'i',
  json: 'J',
  server: 's',
  'one-off': '1',
  client: 'c',
  udp: 'u',
  bitrate: 'b',
  bandwidth: 'b',
  time: 't',
  bytes: 'n',
  blockcount: 'k',
  length: 'l',
  parallel: 'P',
  reverse: 'R',
  window: 'w',
  congestion: 'C',
  'set-mss': 'M',
  'no-delay': 'N',
  help: 'h',
};

const SPEC = 'p:i:Js1c:ub:t:n:k:l:P:Rw:C:M:Nh';

const MAX_LENGTH = 1024 * 1024;
const MAX_UDP_LENGTH = 65507;
const MAX_TIME = 86400;
const MAX_PARALLEL = 128;

/** `10M` in units of `base`. @throws IperfError */
function amount(text: string, base: 1000 | 1024, what: string): number {
  const match = /^(\d+(?:\.\d+)?)([kKmMgGtT]?)$/.exec(text);
  if (match === null) throw new IperfError(`invalid ${what}: ${text}`);
  return Math.floor(Number(match[1]) * base ** ' kmgt'.indexOf((match[2] || ' ').toLowerCase()));
}

function within(value: number, low: number, high: number, what: string): number {
  if (value < low || value > high) throw new IperfError(`${what} is not in ${low} to ${high}`);
  return value;
}

/** What the command line says; null when help is asked for. @throws IperfError */
export function readOptions(args: readonly string[]): Options | null {
  const { options, words, error } = getopt(args, SPEC, LONG);
  if (error !== null) throw new IperfError(error);
  if (words[0] !== undefined) throw new IperfError(`unknown argument: ${words[0]}`);
  const given = new Map(options.map(({ letter, value }) => [letter, value]));
  if (given.has('h')) return null;
  if (given.has('s') === given.has('c')) {
    throw new IperfError('must either be a client (-c) or server (-s)');
  }
  const port = parsePort(given.get('p') ?? String(DEFAULT_PORT));
  if (port === null || port === 0) throw new IperfError(`invalid port: ${given.get('p')}`);
  const seconds = given.get('i') ?? '1';
  const interval = Number(seconds);
  if (!(interval === 0 || (interval >= 0.1 && interval <= 60))) {
    throw new IperfError(`invalid report interval: ${seconds}`);
  }
  return {
    host: given.get('c') ?? null,
    port,
    once: given.has('1'),
    json: given.has('J'),
    interval,
    params: readParams(given),
  };
}

function readParams(given: ReadonlyMap<string, string>): TestParams {
  const udp = given.has('u');
  const bound = ['n', 'k', 't'].filter((letter) => given.has(letter));
  if (bound.length > 1) throw new IperfError('only one of -t, -n and -k bounds a test');
  const timed = bound[0] === undefined || bound[0] === 't';
  const number = (letter: string, base: 1000 | 1024, what: string, fallback: number): number => {
    const text = given.get(letter);
    return text === undefined ? fallback : amount(text, base, what);
  };
  return {
    udp,
    time: timed ? within(number('t', 1000, 'test time', 10), 1, MAX_TIME, 'test time') : 0,
    bytes: number('n', 1024, 'number of bytes', 0),
    blocks: number('k', 1024, 'number of blocks', 0),
    parallel: within(number('P', 1000, 'number of streams', 1), 1, MAX_PARALLEL, 'streams'),
    reverse: given.has('R'),
    length: within(
      number('l', 1024, 'block size', udp ? 1448 : 128 * 1024),
      udp ? 16 : 1,
      udp ? MAX_UDP_LENGTH : MAX_LENGTH,
      'block size',
    ),
    bitrate: number('b', 1000, 'bitrate', udp ? 1_000_000 : 0),
    window: number('w', 1024, 'window', 0),
    mss: number('M', 1024, 'MSS', 0),
    noDelay: given.has('N'),
    congestion: given.get('C') ?? '',
  };
}
