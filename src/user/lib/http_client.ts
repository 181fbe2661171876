/*
 * A small HTTP/1.1 client: one request, one response, its body as a stream. RFC 9110, 9112.
 */
import { ByteReader, ProtocolError } from '#user/lib/byte_reader.ts';
import {
  type BodySource,
  bodyLength,
  type Headers,
  HTTP_LIMITS,
  type HttpLimits,
  headBytes,
  knownLength,
  readBody,
  readHeaders,
  writeBody,
} from '#user/lib/http.ts';
import type { Process } from '#user/lib/process.ts';
import { lookup } from '#user/lib/resolve.ts';
import { parsePort, type SockAddr4 } from '#user/lib/sockaddr.ts';
import { connectTcp, type TcpStream } from '#user/lib/tcp.ts';

export interface Url {
  readonly host: string;
  readonly port: number;
  /** Path and query, at least `/`. */
  readonly target: string;
}

/** Reads `http://host:port/path?query`, with or without the scheme; null for anything else. */
export function parseUrl(text: string): Url | null {
  const match =
    /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):\/\/)?([^/?#:@\s]+)(?::(\d+))?([/?][^#\s]*)?(?:#.*)?$/.exec(
      text,
    );
  if (match === null) return null;
  const [, scheme = 'http', host = '', digits, path = '/'] = match;
  if (scheme.toLowerCase() !== 'http') return null;
  const port = digits === undefined ? 80 : parsePort(digits);
  if (port === null || port === 0) return null;
  return { host, port, target: path.startsWith('/') ? path : `/${path}` };
}

export interface HttpClientRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: BodySource;
  readonly limits?: HttpLimits;
}

export interface HttpClientResponse {
  readonly status: number;
  readonly reason: string;
  readonly version: string;
  readonly headers: Headers;
  /** Length that was announced; null when it was not. */
  readonly length: number | null;
  /** To be read once, to its end or until {@link close}. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly stream: TcpStream;
  /** Ends the connection. */
  close(): void;
}

/** No machine of that name is known. */
export class UnknownHost extends Error {
  readonly host: string;

  constructor(host: string) {
    super(`Could not resolve host: ${host}`);
    this.name = 'UnknownHost';
    this.host = host;
  }
}

/** Where the server of a URL is. @throws UnknownHost */
export function resolveUrl(p: Process, url: Url): SockAddr4 {
  const addr = lookup(p, url.host);
  if (addr === null) throw new UnknownHost(url.host);
  return { addr, port: url.port };
}

/**
 * Connects, asks, and reads the head of the answer. @throws SystemError ProtocolError UnknownHost
 * @rfc 9112#3
 */
export async function httpRequest(
  p: Process,
  url: Url,
  request: HttpClientRequest = {},
): Promise<HttpClientResponse> {
  const stream = await connectTcp(p.libc, resolveUrl(p, url));
  try {
    return await ask(stream, url, request);
  } catch (error) {
    stream.close();
    throw error;
  }
}

/** Asks over a connection that is there. */
async function ask(
  stream: TcpStream,
  url: Url,
  request: HttpClientRequest,
): Promise<HttpClientResponse> {
  const { method = 'GET', body, limits = HTTP_LIMITS } = request;
  const host = url.port === 80 ? url.host : `${url.host}:${url.port}`;
  const headers: [string, string][] = [['Host', host], ...Object.entries(request.headers ?? {})];
  const length = body === undefined ? null : knownLength(body);
  if (length !== null) headers.push(['Content-Length', String(length)]);
  else if (body !== undefined) headers.push(['Transfer-Encoding', 'chunked']);
  await stream.write(headBytes(`${method} ${url.target} HTTP/1.1`, headers));
  if (body !== undefined) await writeBody(stream, body, length === null);
  const reader = new ByteReader(stream, 65536);
  for (;;) {
    const head = await readHead(reader, limits);
    // Something in between, e.g. 100 Continue: the answer still comes.
    if (head.status >= 100 && head.status < 200 && head.status !== 101) continue;
    const none = method === 'HEAD' || head.status === 204 || head.status === 304;
    const how = none ? ({ kind: 'fixed', length: 0 } as const) : bodyLength(head.headers, true);
    return {
      ...head,
      length: how.kind === 'fixed' ? how.length : null,
      body: readBody(reader, how, limits),
      stream,
      close: () => stream.close(),
    };
  }
}

interface Head {
  readonly status: number;
  readonly reason: string;
  readonly version: string;
  readonly headers: Headers;
}

/** @rfc 9112#4 */
async function readHead(reader: ByteReader, limits: HttpLimits): Promise<Head> {
  const line = await reader.line(limits.lineBytes);
  if (line === null) throw new ProtocolError('the server closed the connection without an answer');
  const match = /^HTTP\/(\d\.\d) (\d{3})(?: (.*))?$/.exec(line);
  if (match === null) throw new ProtocolError('the answer is not HTTP');
  const [, version = '', status = '', reason = ''] = match;
  const headers = await readHeaders(reader, limits);
  return { status: Number(status), reason, version, headers };
}
