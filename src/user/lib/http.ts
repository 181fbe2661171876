/*
 * HTTP/1.1 messages: heads and bodies, of both directions, read under limits. Server: http_server.ts, client:
 * http_client.ts. RFC 9110, 9112.
 */
import { type ByteReader, fromLatin1, ProtocolError } from '#user/lib/byte_reader.ts';
import { encodeText } from '#user/lib/streams.ts';
import type { TcpStream } from '#user/lib/tcp.ts';

/** What a peer may send. */
export interface HttpLimits {
  readonly lineBytes: number;
  readonly headerCount: number;
  /** Bytes of all header lines together. */
  readonly headerBytes: number;
}

export const HTTP_LIMITS: HttpLimits = { lineBytes: 8192, headerCount: 100, headerBytes: 65536 };

/** Header fields; names in lower case. Several of one name are joined by commas (RFC 9110#5.3). */
export type Headers = ReadonlyMap<string, string>;

/** Bytes in pieces; the length when it is known. */
export type BodySource = Uint8Array | string | AsyncIterable<Uint8Array>;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// A field's value: visible characters, blanks, and octets above ASCII.
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Reads header lines up to the empty one. @throws ProtocolError
 * @rfc 9112#5
 */
export async function readHeaders(reader: ByteReader, limits: HttpLimits): Promise<Headers> {
  const headers = new Map<string, string>();
  let bytes = 0;
  for (let count = 0; ; count++) {
    const line = await reader.line(limits.lineBytes);
    if (line === null) throw new ProtocolError('the stream ends within the header');
    if (line === '') return headers;
    bytes += line.length;
    if (count >= limits.headerCount || bytes > limits.headerBytes) {
      throw new ProtocolError('too many header fields');
    }
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    // No blank before the colon, and no line that goes on with the next: both have been used to deceive.
    if (!TOKEN.test(name)) throw new ProtocolError('a header line is malformed');
    const value = line.slice(colon + 1).trim();
    if (!VALUE.test(value)) throw new ProtocolError('a header value is malformed');
    const key = name.toLowerCase();
    const before = headers.get(key);
    headers.set(key, before === undefined ? value : `${before}, ${value}`);
  }
}

/** How long a body is. */
export type BodyLength =
  | { readonly kind: 'fixed'; readonly length: number }
  | { readonly kind: 'chunked' | 'close' };

/**
 * How the body of a message ends, from its header. @throws ProtocolError
 * @rfc 9112#6.3
 */
export function bodyLength(headers: Headers, isResponse: boolean): BodyLength {
  const coding = headers.get('transfer-encoding');
  const length = headers.get('content-length');
  if (coding !== undefined) {
    // Both together, or chunked not last: a request that is meant to be read in two ways.
    if (coding.toLowerCase() !== 'chunked' || length !== undefined) {
      throw new ProtocolError('the length of the body is ambiguous');
    }
    return { kind: 'chunked' };
  }
  if (length !== undefined) {
    const [first = '', ...others] = length.split(',').map((text) => text.trim());
    if (!/^\d{1,15}$/.test(first) || others.some((text) => text !== first)) {
      throw new ProtocolError('the Content-Length is malformed');
    }
    return { kind: 'fixed', length: Number(first) };
  }
  return isResponse ? { kind: 'close' } : { kind: 'fixed', length: 0 };
}

const PIECE_BYTES = 65536;

/** The body of a message, piece by piece, up to its end. @throws ProtocolError */
export async function* readBody(
  reader: ByteReader,
  length: BodyLength,
  limits: HttpLimits = HTTP_LIMITS,
): AsyncGenerator<Uint8Array, void, void> {
  if (length.kind === 'fixed') yield* readCounted(reader, length.length);
  else if (length.kind === 'chunked') yield* readChunks(reader, limits);
  else {
    for (;;) {
      const bytes = await reader.some(PIECE_BYTES);
      if (bytes === null) return;
      yield bytes;
    }
  }
}

async function* readCounted(reader: ByteReader, length: number): AsyncGenerator<Uint8Array> {
  for (let left = length; left > 0; ) {
    const bytes = await reader.some(Math.min(left, PIECE_BYTES));
    if (bytes === null) throw new ProtocolError('the stream ends within the body');
    left -= bytes.length;
    yield bytes;
  }
}

/** @rfc 9112#7.1 */
async function* readChunks(reader: ByteReader, limits: HttpLimits): AsyncGenerator<Uint8Array> {
  for (;;) {
    const line = await reader.line(limits.lineBytes);
    const size = /^([0-9a-fA-F]{1,12})[\t ]*(?:;.*)?$/.exec(line ?? '')?.[1];
    if (size === undefined) throw new ProtocolError('a chunk is malformed');
    const length = Number.parseInt(size, 16);
    if (length === 0) {
      await readHeaders(reader, limits);
      return;
    }
    yield* readCounted(reader, length);
    if ((await reader.line(limits.lineBytes)) !== '') {
      throw new ProtocolError('a chunk is longer than it says');
    }
  }
}

/** Sends the start line and the header fields. */
export function headBytes(
  startLine: string,
  headers: Iterable<readonly [string, string]>,
): Uint8Array {
  let text = `${startLine}\r\n`;
  for (const [name, value] of headers) {
    if (!TOKEN.test(name) || !VALUE.test(value)) {
      throw new RangeError(`the header field ${JSON.stringify(name)} cannot be sent`);
    }
    text += `${name}: ${value}\r\n`;
  }
  return fromLatin1(`${text}\r\n`);
}

/** Length of a body that lies in memory; null of one that comes in pieces. */
export function knownLength(body: BodySource): number | null {
  if (typeof body === 'string') return encodeText(body).length;
  return body instanceof Uint8Array ? body.length : null;
}

/** Sends a body, in chunks when its length was not announced. */
export async function writeBody(
  stream: TcpStream,
  body: BodySource,
  chunked: boolean,
): Promise<void> {
  if (typeof body === 'string') {
    await stream.write(encodeText(body));
    return;
  }
  if (body instanceof Uint8Array) {
    await stream.write(body);
    return;
  }
  for await (const piece of body) {
    if (piece.length === 0) continue;
    if (chunked) await stream.write(fromLatin1(`${piece.length.toString(16)}\r\n`));
    await stream.write(piece);
    if (chunked) await stream.write(fromLatin1('\r\n'));
  }
  if (chunked) await stream.write(fromLatin1('0\r\n\r\n'));
}

/** True when the connection may carry another message. @rfc 9112#9.3 */
export function keepsAlive(version: string, headers: Headers): boolean {
  const options = (headers.get('connection') ?? '').toLowerCase().split(/\s*,\s*/);
  if (options.includes('close')) return false;
  return version === '1.1' || options.includes('keep-alive');
}

/** Reason phrases. @rfc 9110#15 */
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  204: 'No Content',
  206: 'Partial Content',
  301: 'Moved Permanently',
  304: 'Not Modified',
  400: 'Bad Request',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  505: 'HTTP Version Not Supported',
};

export function reasonPhrase(status: number): string {
  return REASONS[status] ?? 'Unknown';
}
