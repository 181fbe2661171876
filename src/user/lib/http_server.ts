/*
 * A small HTTP/1.1 server: requests one after the other on each connection, bodies as streams both ways.
 * RFC 9110, 9112.
 */

import { EAGAIN } from '#uapi/errno.ts';
import { SO_RCVTIMEO, SO_SNDTIMEO } from '#uapi/socket.ts';
import { ByteReader, ProtocolError } from '#user/lib/byte_reader.ts';
import { errnoOf, Killed, SystemError } from '#user/lib/errors.ts';
import {
  type BodySource,
  bodyLength,
  type Headers,
  HTTP_LIMITS,
  type HttpLimits,
  headBytes,
  keepsAlive,
  knownLength,
  readBody,
  readHeaders,
  reasonPhrase,
  writeBody,
} from '#user/lib/http.ts';
import type { TcpListener, TcpStream } from '#user/lib/tcp.ts';

export interface HttpRequest {
  readonly method: string;
  /** Path and query as they were sent. */
  readonly target: string;
  readonly version: string;
  readonly headers: Headers;
  /** The body; what the handler leaves is read and thrown away. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly stream: TcpStream;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: BodySource;
  /** Length of a body that comes in pieces; without it they are sent as chunks. */
  readonly length?: number;
}

export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;

export interface HttpServerOptions extends HttpLimits {
  /** A connection on which nothing moves is closed after so long. */
  readonly idleMs: number;
  /** Bytes of a request's body that are read although nobody wants them. */
  readonly drainBytes: number;
  /** Connections served at one time; one more is closed at once. */
  readonly maxConnections: number;
  /** Said of a handler that threw. */
  readonly onError: (error: unknown) => void;
}

export const HTTP_SERVER_OPTIONS: HttpServerOptions = {
  ...HTTP_LIMITS,
  idleMs: 60_000,
  drainBytes: 1024 * 1024,
  maxConnections: 1024,
  onError: () => {},
};

/** A request that is refused without asking the handler. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number) {
    super(reasonPhrase(status));
    this.name = 'Refusal';
    this.status = status;
  }
}

/** Serves every connection until the listener fails or the program ends. */
export async function serveHttp(
  listener: TcpListener,
  handler: HttpHandler,
  options: Partial<HttpServerOptions> = {},
): Promise<void> {
  const all: HttpServerOptions = { ...HTTP_SERVER_OPTIONS, ...options };
  let connections = 0;
  for await (const stream of listener) {
    if (connections >= all.maxConnections) {
      stream.close();
      continue;
    }
    connections++;
    const done = (): void => {
      connections--;
      stream.close();
    };
    serveConnection(stream, handler, all).then(done, (error: unknown) => {
      done();
      // A peer that goes away is no error of ours.
      if (!(error instanceof SystemError) && !(error instanceof Killed)) all.onError(error);
    });
  }
}

async function serveConnection(
  stream: TcpStream,
  handler: HttpHandler,
  options: HttpServerOptions,
): Promise<void> {
  const { libc, fd } = stream;
  libc.setTimeout(fd, SO_RCVTIMEO, options.idleMs);
  libc.setTimeout(fd, SO_SNDTIMEO, options.idleMs);
  stream.setNoDelay(true);
  const reader = new ByteReader(stream, 16384);
  try {
    while (await serveOne(stream, reader, handler, options)) {
      // The next request of the same connection.
    }
  } catch (error) {
    const status = refusalStatus(error);
    if (status === 0) throw error;
    await respond(stream, 'GET', { status, body: `${reasonPhrase(status)}\n` }, false);
  }
  stream.end();
}

/** Status of what went wrong on the peer's side; 0 for anything else. */
function refusalStatus(error: unknown): number {
  if (error instanceof Refusal) return error.status;
  if (error instanceof ProtocolError) {
    return error.message.includes('too many') ? 431 : 400;
  }
  return errnoOf(error) === EAGAIN ? 408 : 0;
}

/** True when another request may follow. */
async function serveOne(
  stream: TcpStream,
  reader: ByteReader,
  handler: HttpHandler,
  options: HttpServerOptions,
): Promise<boolean> {
  const line = await startLine(reader, options);
  if (line === null) return false;
  const [, method, target, version] = line;
  const headers = await readHeaders(reader, options);
  // Without it a request can be meant for anybody (RFC 9112#3.2).
  if (version === '1.1' && !headers.has('host')) throw new Refusal(400);
  const body = readBody(reader, bodyLength(headers, false), options);
  if (headers.get('expect')?.toLowerCase() === '100-continue') {
    await stream.write(headBytes('HTTP/1.1 100 Continue', []));
  }
  let response: HttpResponse;
  try {
    response = await handler({ method, target, version, headers, body, stream });
  } catch (error) {
    if (error instanceof Killed || error instanceof ProtocolError) throw error;
    options.onError(error);
    response = { status: 500, body: `${reasonPhrase(500)}\n` };
  }
  const drained = await drain(body, options.drainBytes);
  const goesOn = drained && keepsAlive(version, headers);
  return respond(stream, method, response, goesOn, version);
}

type StartLine = [line: string, method: string, target: string, version: string];

/** The request line; null when the peer has nothing to ask any more. @rfc 9112#3 */
async function startLine(
  reader: ByteReader,
  options: HttpServerOptions,
): Promise<StartLine | null> {
  for (let empty = 0; empty < 4; empty++) {
    let line: string | null;
    try {
      line = await reader.line(options.lineBytes);
    } catch (error) {
      // Nothing came on an open connection: that is its end, not an error.
      if (errnoOf(error) === EAGAIN && reader.buffered === 0) return null;
      if (error instanceof ProtocolError && reader.buffered > options.lineBytes) {
        throw new Refusal(414);
      }
      throw error;
    }
    if (line === null) return null;
    // Old clients send an empty line too many.
    if (line === '') continue;
    const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) (\/[\x21-\x7e]*|\*) HTTP\/(\d)\.(\d)$/.exec(
      line,
    );
    if (match === null) throw new Refusal(400);
    const [, method = '', target = '', major = '', minor = ''] = match;
    if (major !== '1') throw new Refusal(505);
    return [line, method, target, `${major}.${minor}`];
  }
  throw new Refusal(400);
}

/** Reads what the handler left of a body; false when that is too much. */
async function drain(body: AsyncIterable<Uint8Array>, limit: number): Promise<boolean> {
  let length = 0;
  for await (const piece of body) {
    length += piece.length;
    if (length > limit) return false;
  }
  return true;
}

/** Sends a response; true when another may follow on the connection. */
async function respond(
  stream: TcpStream,
  method: string,
  response: HttpResponse,
  mayGoOn: boolean,
  version = '1.1',
): Promise<boolean> {
  const { status, body = '' } = response;
  const length = response.length ?? knownLength(body);
  const chunked = length === null && version === '1.1';
  // A body of unknown length to an old client ends with the connection.
  const goesOn = mayGoOn && (length !== null || chunked);
  const headers: [string, string][] = Object.entries(response.headers ?? {});
  if (length !== null) headers.push(['Content-Length', String(length)]);
  else if (chunked) headers.push(['Transfer-Encoding', 'chunked']);
  if (!goesOn) headers.push(['Connection', 'close']);
  else if (version === '1.0') headers.push(['Connection', 'keep-alive']);
  await stream.write(headBytes(`HTTP/1.1 ${status} ${reasonPhrase(status)}`, headers));
  if (method !== 'HEAD' && status !== 204 && status !== 304) await writeBody(stream, body, chunked);
  return goesOn;
}
