/*
 * iperf3's control connection: one octet a state, parameters and results as JSON behind their length. Both sides
 * follow the state that the server sets.
 */
import { MSG_WAITALL } from '#uapi/socket.ts';
import { decodeText, encodeText } from '#user/lib/streams.ts';
import type { TcpStream } from '#user/lib/tcp.ts';

export const DEFAULT_PORT = 5201;

/** What each connection begins with: 36 characters and a null octet. */
export const COOKIE_SIZE = 37;
const COOKIE_LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';

export const TEST_START = 1;
export const TEST_RUNNING = 2;
export const TEST_END = 4;
export const PARAM_EXCHANGE = 9;
export const CREATE_STREAMS = 10;
export const SERVER_TERMINATE = 11;
export const CLIENT_TERMINATE = 12;
export const EXCHANGE_RESULTS = 13;
export const DISPLAY_RESULTS = 14;
export const IPERF_DONE = 16;
/** As the octets that they are sent as, of -1 and -2. */
export const ACCESS_DENIED = 255;
export const SERVER_ERROR = 254;

/** First datagrams of a stream, as little-endian words: the request and its answer. */
export const UDP_CONNECT_MSG = 0x36373839;
export const UDP_CONNECT_REPLY = 0x39383736;

/** JSON that is longer is refused. */
const MAX_JSON = 65536;

export class IperfError extends Error {
  override readonly name = 'IperfError';
}

/** What the client wants measured. */
export interface TestParams {
  readonly udp: boolean;
  /** Seconds; 0 where `bytes` or `blocks` bounds the test. */
  readonly time: number;
  readonly bytes: number;
  readonly blocks: number;
  readonly parallel: number;
  /** The server sends. */
  readonly reverse: boolean;
  /** Octets of a write. */
  readonly length: number;
  /** Bits a second for each stream; 0: no bound. */
  readonly bitrate: number;
  /** SO_SNDBUF and SO_RCVBUF; 0: the system's. */
  readonly window: number;
  /** TCP_MAXSEG; 0: the system's. */
  readonly mss: number;
  readonly noDelay: boolean;
  /** Congestion control; empty: the system's. */
  readonly congestion: string;
}

/** What one side saw of one stream. */
export interface StreamResult {
  readonly id: number;
  readonly bytes: number;
  /** -1 where it is not known. */
  readonly retransmits: number;
  /** Seconds. */
  readonly jitter: number;
  /** Datagrams lost. */
  readonly errors: number;
  readonly packets: number;
  /** Seconds since the start of the test. */
  readonly endTime: number;
}

export interface TestResults {
  readonly congestion: string;
  readonly streams: readonly StreamResult[];
}

/** Streams are numbered 1, 3, 4, 5, as iperf3 does. */
export function streamId(index: number): number {
  return index === 0 ? 1 : index + 2;
}

/** A new cookie out of `random`, 36 octets of it. */
export function makeCookie(random: Uint8Array): Uint8Array {
  const cookie = new Uint8Array(COOKIE_SIZE);
  for (let i = 0; i < COOKIE_SIZE - 1; i++) {
    cookie[i] = COOKIE_LETTERS.charCodeAt((random[i] as number) & 31);
  }
  return cookie;
}

/** Reads exactly `buf`; false when the stream ends before. */
export async function readAll(stream: TcpStream, buf: Uint8Array): Promise<boolean> {
  return (await stream.libc.recv(stream.fd, buf, MSG_WAITALL)) === buf.length;
}

/** The next state. @throws IperfError when the peer has gone */
export async function readState(control: TcpStream): Promise<number> {
  const octet = new Uint8Array(1);
  if (!(await readAll(control, octet)))
    throw new IperfError('control socket has closed unexpectedly');
  return octet[0] as number;
}

export function writeState(control: TcpStream, state: number): Promise<void> {
  return control.write(Uint8Array.of(state));
}

/** What the peer sent as JSON. @throws IperfError when that is none */
export async function readJson(control: TcpStream): Promise<JsonObject> {
  const head = new Uint8Array(4);
  if (!(await readAll(control, head)))
    throw new IperfError('control socket has closed unexpectedly');
  const length = new DataView(head.buffer).getUint32(0);
  if (length > MAX_JSON) throw new IperfError(`the peer's JSON is too long: ${length} octets`);
  const text = new Uint8Array(length);
  if (!(await readAll(control, text)))
    throw new IperfError('control socket has closed unexpectedly');
  try {
    return new JsonObject(JSON.parse(decodeText(text)));
  } catch {
    throw new IperfError('the peer sent what is no JSON');
  }
}

export function writeJson(control: TcpStream, value: unknown): Promise<void> {
  const text = encodeText(JSON.stringify(value));
  const message = new Uint8Array(4 + text.length);
  new DataView(message.buffer).setUint32(0, text.length);
  message.set(text, 4);
  return control.write(message);
}

/** JSON of somebody else: whatever has another type than is wanted counts as absent. */
export class JsonObject {
  private readonly fields: ReadonlyMap<string, unknown>;

  constructor(value: unknown) {
    this.fields = new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
  }

  number(name: string, fallback: number, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.fields.get(name);
    if (typeof value !== 'number' || !Number.isFinite(value)) return fallback;
    return Math.min(Math.max(value, fallback < 0 ? fallback : 0), max);
  }

  flag(name: string): boolean {
    const value = this.fields.get(name);
    return value === true || (typeof value === 'number' && value !== 0);
  }

  text(name: string): string {
    const value = this.fields.get(name);
    return typeof value === 'string' ? value : '';
  }

  list(name: string): readonly JsonObject[] {
    const value = this.fields.get(name);
    return Array.isArray(value) ? value.map((item) => new JsonObject(item)) : [];
  }
}

/** The client's parameters as they travel: what is not set stays away. */
export function encodeParams(params: TestParams): object {
  const { udp, window, mss, noDelay, congestion, bitrate, reverse } = params;
  return {
    [udp ? 'udp' : 'tcp']: true,
    omit: 0,
    time: params.time,
    num: params.bytes,
    blockcount: params.blocks,
    ...(mss > 0 ? { MSS: mss } : {}),
    ...(noDelay ? { nodelay: true } : {}),
    parallel: params.parallel,
    ...(reverse ? { reverse: true } : {}),
    ...(window > 0 ? { window } : {}),
    len: params.length,
    ...(bitrate > 0 ? { bandwidth: bitrate } : {}),
    ...(congestion === '' ? {} : { congestion }),
    pacing_timer: 1000,
    client_version: '3.12',
  };
}

const MAX_STREAMS = 128;
const MAX_LENGTH = 1024 * 1024;

/** @throws IperfError for what this server cannot do */
export function decodeParams(json: JsonObject): TestParams {
  if (json.flag('bidirectional')) throw new IperfError('both directions at once are not supported');
  if (json.flag('sctp')) throw new IperfError('SCTP is not supported');
  const udp = json.flag('udp');
  return {
    udp,
    time: json.number('time', 0),
    bytes: json.number('num', 0),
    blocks: json.number('blockcount', 0),
    parallel: Math.max(1, Math.floor(json.number('parallel', 1, MAX_STREAMS))),
    reverse: json.flag('reverse'),
    length: Math.max(1, Math.floor(json.number('len', udp ? 1448 : 131072, MAX_LENGTH))),
    bitrate: json.number('bandwidth', 0),
    window: json.number('window', 0),
    mss: json.number('MSS', 0),
    noDelay: json.flag('nodelay'),
    congestion: json.text('congestion'),
  };
}

export function encodeResults(results: TestResults, sender: boolean): object {
  return {
    cpu_util_total: 0,
    cpu_util_user: 0,
    cpu_util_system: 0,
    // -1: this side does not send.
    sender_has_retransmits: sender ? 1 : -1,
    ...(results.congestion === '' ? {} : { congestion_used: results.congestion }),
    streams: results.streams.map((stream) => ({
      id: stream.id,
      bytes: stream.bytes,
      retransmits: stream.retransmits,
      jitter: stream.jitter,
      errors: stream.errors,
      packets: stream.packets,
      start_time: 0,
      end_time: stream.endTime,
    })),
  };
}

export function decodeResults(json: JsonObject): TestResults {
  return {
    congestion: json.text('congestion_used'),
    streams: json.list('streams').map((stream) => ({
      id: stream.number('id', 0),
      bytes: stream.number('bytes', 0),
      retransmits: stream.number('retransmits', -1),
      jitter: stream.number('jitter', 0),
      errors: stream.number('errors', 0),
      packets: stream.number('packets', 0),
      endTime: stream.number('end_time', 0),
    })),
  };
}
