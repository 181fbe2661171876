/*
 * `curl`: fetches by HTTP, with the options that scripts use. Errors have curl's numbers and words.
 */

import { inNtop4 } from '#lib/parse_addr.ts';
import { ECONNRESET, EINTR, ETIMEDOUT } from '#uapi/errno.ts';
import { ProtocolError } from '#user/lib/byte_reader.ts';
import { Killed, SystemError } from '#user/lib/errors.ts';
import { getopt } from '#user/lib/getopt.ts';
import {
  type HttpClientResponse,
  httpRequest,
  parseUrl,
  resolveUrl,
  UnknownHost,
  type Url,
} from '#user/lib/http_client.ts';
import type { Main, Process } from '#user/lib/process.ts';

interface Options {
  silent: boolean;
  showError: boolean;
  include: boolean;
  headOnly: boolean;
  follow: boolean;
  fail: boolean;
  verbose: boolean;
  discard: boolean;
  method: string | null;
  data: string | null;
  format: string | null;
  /** Seconds; 0: no bound. */
  maxTime: number;
  readonly headers: Record<string, string>;
}

/** curl's own error numbers. */
const CURLE_URL_MALFORMAT = 3;
const CURLE_COULDNT_RESOLVE_HOST = 6;
const CURLE_COULDNT_CONNECT = 7;
const CURLE_PARTIAL_FILE = 18;
const CURLE_HTTP_RETURNED_ERROR = 22;
const CURLE_WRITE_ERROR = 23;
const CURLE_OPERATION_TIMEDOUT = 28;
const CURLE_TOO_MANY_REDIRECTS = 47;
const CURLE_GOT_NOTHING = 52;
const CURLE_RECV_ERROR = 56;
const CURLE_WEIRD_SERVER_REPLY = 8;

const MAX_REDIRECTS = 50;

/** A transfer that failed. */
class CurlError extends Error {
  readonly number: number;

  constructor(number: number, text: string) {
    super(text);
    this.name = 'CurlError';
    this.number = number;
  }
}

/** What `-w` can tell. */
interface Facts {
  url: string;
  status: number;
  size: number;
  headerSize: number;
  redirects: number;
  contentType: string;
  remote: string;
  remotePort: number;
  local: string;
  localPort: number;
  version: string;
  startNs: number;
  firstNs: number;
}

const LONG: Readonly<Record<string, string>> = {
  silent: 's',
  'show-error': 'S',
  include: 'i',
  head: 'I',
  location: 'L',
  fail: 'f',
  verbose: 'v',
  output: 'o',
  request: 'X',
  data: 'd',
  'data-binary': 'd',
  'write-out': 'w',
  'max-time': 'm',
  header: 'H',
  'user-agent': 'A',
  'no-buffer': 'N',
  globoff: 'g',
  insecure: 'k',
  ipv4: '4',
};

class UsageError extends Error {}

/** getopt's complaint in curl's words. */
function curlWords(error: string): string {
  const argument = /argument -- '(.)'/.exec(error) ?? /'(--\w[\w-]*)' requires/.exec(error);
  const dashed = (name: string): string => (name.startsWith('-') ? name : `-${name}`);
  if (argument !== null) return `curl: option ${dashed(argument[1] as string)}: requires parameter`;
  const name = /'([^']*)'/.exec(error)?.[1] ?? '';
  return `curl: option ${dashed(name)}: is unknown`;
}

function readOptions(args: readonly string[]): { options: Options; urls: readonly string[] } {
  const options: Options = {
    silent: false,
    showError: false,
    include: false,
    headOnly: false,
    follow: false,
    fail: false,
    verbose: false,
    discard: false,
    method: null,
    data: null,
    format: null,
    maxTime: 0,
    headers: { 'User-Agent': 'curl/7.88.1', Accept: '*/*' },
  };
  const { options: given, words, error } = getopt(args, 'sSiILfvo:X:d:w:m:H:A:Ngk4', LONG);
  if (error !== null) throw new UsageError(curlWords(error));
  for (const { letter, value } of given) applyOption(options, letter, value);
  return { options, urls: words };
}

function applyOption(options: Options, letter: string, value: string): void {
  const switches: Readonly<Record<string, Partial<Options>>> = {
    s: { silent: true },
    S: { showError: true },
    i: { include: true },
    I: { headOnly: true, include: true },
    L: { follow: true },
    f: { fail: true },
    v: { verbose: true },
  };
  const change = Object.hasOwn(switches, letter) ? switches[letter] : undefined;
  if (change !== undefined) Object.assign(options, change);
  else if (letter === 'X') options.method = value;
  else if (letter === 'w') options.format = value;
  else if (letter === 'd')
    options.data = options.data === null ? value : `${options.data}&${value}`;
  else if (letter === 'A') options.headers['User-Agent'] = value;
  else if (letter === 'm') {
    options.maxTime = Number(value);
    if (!(options.maxTime >= 0)) {
      throw new UsageError('curl: option -m: expected a proper numerical parameter');
    }
  } else if (letter === 'H') {
    const colon = value.indexOf(':');
    if (colon > 0) options.headers[value.slice(0, colon)] = value.slice(colon + 1).trim();
  } else if (letter === 'o') {
    // Machines have no disk to write to.
    if (value !== '/dev/null' && value !== '-') {
      throw new UsageError(
        `curl: (${CURLE_WRITE_ERROR}) Failed to open the file ${value}: Read-only file system`,
      );
    }
    options.discard = value === '/dev/null';
  }
}

const milliseconds = (ns: number): number => Math.floor(ns / 1e6);

/** The failure in curl's terms. */
function curlError(p: Process, error: unknown, url: Url, facts: Facts): unknown {
  if (error instanceof UnknownHost) return new CurlError(CURLE_COULDNT_RESOLVE_HOST, error.message);
  if (error instanceof SystemError && error.syscall === 'connect') {
    const after = milliseconds(p.sys.monotonic() - facts.startNs);
    const why = -error.errno === ETIMEDOUT ? 'Connection timed out' : "Couldn't connect to server";
    const text = `Failed to connect to ${url.host} port ${url.port} after ${after} ms: ${why}`;
    return new CurlError(
      -error.errno === ETIMEDOUT ? CURLE_OPERATION_TIMEDOUT : CURLE_COULDNT_CONNECT,
      text,
    );
  }
  if (error instanceof SystemError && -error.errno === ECONNRESET) {
    return new CurlError(CURLE_RECV_ERROR, 'Recv failure: Connection reset by peer');
  }
  if (error instanceof ProtocolError) {
    if (error.message.includes('without an answer')) {
      return new CurlError(CURLE_GOT_NOTHING, 'Empty reply from server');
    }
    if (error.message.includes('not HTTP')) {
      return new CurlError(CURLE_WEIRD_SERVER_REPLY, 'Received HTTP/0.9 when not allowed');
    }
    return new CurlError(CURLE_PARTIAL_FILE, error.message);
  }
  return error;
}

function recordFacts(response: HttpClientResponse, facts: Facts): void {
  const { peer, local } = response.stream;
  facts.status = response.status;
  facts.contentType = response.headers.get('content-type') ?? '';
  facts.version = response.version;
  facts.remote = peer === null ? '' : inNtop4(peer.addr);
  facts.remotePort = peer?.port ?? 0;
  facts.local = local === null ? '' : inNtop4(local.addr);
  facts.localPort = local?.port ?? 0;
}

/** The head of an answer as it came. */
function headText(response: HttpClientResponse): string {
  const lines = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/${response.version} ${response.status} ${response.reason}\r\n${lines.join('')}\r\n`;
}

/** Where a redirection leads; null when the answer is none. */
function redirection(response: HttpClientResponse, from: Url): string | null {
  const location = response.headers.get('location');
  if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return null;
  if (!location.startsWith('/')) return location;
  return `http://${from.host}:${from.port}${location}`;
}

async function takeBody(
  p: Process,
  options: Options,
  response: HttpClientResponse,
  facts: Facts,
): Promise<void> {
  for await (const piece of response.body) {
    facts.size += piece.length;
    if (!options.discard) await p.pour(piece);
  }
}

/** One answer; the URL to go on with, or null. */
async function exchange(
  p: Process,
  options: Options,
  text: string,
  facts: Facts,
): Promise<string | null> {
  const url = parseUrl(text);
  if (url === null)
    throw new CurlError(CURLE_URL_MALFORMAT, 'URL using bad/illegal format or missing URL');
  facts.url = text.includes('://') ? text : `http://${text}`;
  try {
    if (options.verbose) {
      p.warn(`*   Trying ${inNtop4(resolveUrl(p, url).addr)}:${url.port}...\n`);
    }
    const method =
      options.method ?? (options.headOnly ? 'HEAD' : options.data === null ? 'GET' : 'POST');
    const response = await httpRequest(p, url, {
      method,
      headers: options.headers,
      ...(options.data === null ? {} : { body: options.data }),
    });
    try {
      facts.firstNs = p.sys.monotonic();
      recordFacts(response, facts);
      const head = headText(response);
      facts.headerSize += head.length;
      if (options.verbose) p.warn(head.replace(/^/gm, '< ').replace(/< $/, ''));
      const next = options.follow ? redirection(response, url) : null;
      if (options.include) p.print(head);
      if (options.fail && response.status >= 400) {
        throw new CurlError(
          CURLE_HTTP_RETURNED_ERROR,
          `The requested URL returned error: ${response.status}`,
        );
      }
      if (next === null) await takeBody(p, options, response, facts);
      return next;
    } finally {
      response.close();
    }
  } catch (error) {
    if (error instanceof Killed || error instanceof CurlError) throw error;
    throw curlError(p, error, url, facts);
  }
}

const seconds = (ns: number): string => (ns / 1e9).toFixed(6);

/** The text of `-w` with its variables and escapes. */
function writeOut(p: Process, format: string, facts: Facts): string {
  const total = p.sys.monotonic() - facts.startNs;
  const values: Readonly<Record<string, string>> = {
    content_type: facts.contentType,
    http_code: String(facts.status).padStart(3, '0'),
    response_code: String(facts.status).padStart(3, '0'),
    http_version: facts.version,
    local_ip: facts.local,
    local_port: String(facts.localPort),
    num_connects: '1',
    num_redirects: String(facts.redirects),
    remote_ip: facts.remote,
    remote_port: String(facts.remotePort),
    scheme: 'HTTP',
    size_download: String(facts.size),
    size_header: String(facts.headerSize),
    speed_download: String(total > 0 ? Math.floor((facts.size * 1e9) / total) : 0),
    time_starttransfer: seconds(facts.firstNs === 0 ? 0 : facts.firstNs - facts.startNs),
    time_total: seconds(total),
    url_effective: facts.url,
  };
  return format
    .replace(/%\{(\w+)\}/g, (_, name: string) =>
      Object.hasOwn(values, name) ? (values[name] ?? '') : '',
    )
    .replace(/\\([nrt])/g, (_, letter: string) => ({ n: '\n', r: '\r', t: '\t' })[letter] ?? '')
    .replace(/%%/g, '%');
}

/** Fetches one URL; curl's error number. */
async function transfer(p: Process, options: Options, text: string): Promise<number> {
  const facts: Facts = {
    url: text,
    status: 0,
    size: 0,
    headerSize: 0,
    redirects: 0,
    contentType: '',
    remote: '',
    remotePort: 0,
    local: '',
    localPort: 0,
    version: '0',
    startNs: p.sys.monotonic(),
    firstNs: 0,
  };
  let number = 0;
  try {
    for (let next: string | null = text; next !== null; ) {
      next = await exchange(p, options, next, facts);
      if (next !== null && ++facts.redirects > MAX_REDIRECTS) {
        throw new CurlError(
          CURLE_TOO_MANY_REDIRECTS,
          `Maximum (${MAX_REDIRECTS}) redirects followed`,
        );
      }
    }
  } catch (error) {
    const told = timedOut(p, options, error, facts);
    if (!(told instanceof CurlError)) throw told;
    number = told.number;
    if (!options.silent || options.showError) p.warn(`curl: (${number}) ${told.message}\n`);
  }
  if (options.format !== null) p.print(writeOut(p, options.format, facts));
  return number;
}

/** Turns the end of a transfer's time into curl's words for it. */
function timedOut(p: Process, options: Options, error: unknown, facts: Facts): unknown {
  const passed = p.sys.monotonic() - facts.startNs;
  const late = options.maxTime > 0 && passed >= options.maxTime * 1e9;
  if (!late || !(error instanceof CurlError || error instanceof SystemError)) return error;
  if (error instanceof SystemError && -error.errno !== EINTR) return error;
  return new CurlError(
    CURLE_OPERATION_TIMEDOUT,
    `Operation timed out after ${milliseconds(passed)} milliseconds with ${facts.size} bytes received`,
  );
}

export const main: Main = async (p) => {
  let options: Options;
  let urls: readonly string[];
  try {
    ({ options, urls } = readOptions(p.args));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    p.warn(`${error.message}\ncurl: try 'curl --help' or 'curl --manual' for more information\n`);
    return 2;
  }
  if (urls.length === 0) {
    p.warn("curl: try 'curl --help' or 'curl --manual' for more information\n");
    return 2;
  }
  // After its time a transfer is interrupted like by a signal.
  const cancel =
    options.maxTime > 0
      ? p.sys.nanosleep(options.maxTime * 1e9, () => p.libc.interrupt(0))
      : () => {};
  let status = 0;
  try {
    for (const url of urls) status = (await transfer(p, options, url)) || status;
  } finally {
    cancel();
  }
  return status;
};
