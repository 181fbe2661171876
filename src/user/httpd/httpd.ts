/*
 * `httpd`: the machine's own page at `/`, N bytes with their SHA-256 at `/bytes/N`, files of /proc/net.
 */
import { hexDigest, Sha256 } from '#lib/sha256.ts';
import { INADDR_ANY } from '#uapi/in.ts';
import { makeBytes } from '#user/httpd/bytes.ts';
import { statePage } from '#user/httpd/page.ts';
import { reasonOf } from '#user/lib/errors.ts';
import { readFile } from '#user/lib/files.ts';
import type { HttpRequest, HttpResponse } from '#user/lib/http_server.ts';
import { serveHttp } from '#user/lib/http_server.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { parsePort } from '#user/lib/sockaddr.ts';
import { listenTcp } from '#user/lib/tcp.ts';

const HTTP_PORT = 80;

/** The most that is sent at once: 4 GiB. */
const MAX_BYTES = 2 ** 32;

/** Hashes that are remembered. */
const MAX_HASHES = 64;

/** Bytes that are hashed before others get their turn. */
const TURN_BYTES = 1024 * 1024;

/** SHA-256 of the first N bytes, by N. */
class Hashes {
  private readonly p: Process;
  private readonly known: Map<number, string>;

  constructor(p: Process) {
    this.p = p;
    this.known = new Map();
  }

  async get(length: number): Promise<string> {
    const before = this.known.get(length);
    if (before !== undefined) return before;
    const hash = new Sha256();
    let hashed = 0;
    for (const block of makeBytes(length)) {
      hash.update(block);
      hashed += block.length;
      if (hashed % TURN_BYTES === 0) await this.p.libc.sleep(0);
    }
    const digest = hexDigest(hash.digest());
    if (this.known.size >= MAX_HASHES) {
      for (const oldest of this.known.keys()) {
        this.known.delete(oldest);
        break;
      }
    }
    this.known.set(length, digest);
    return digest;
  }
}

const text = (status: number, body: string): HttpResponse => ({
  status,
  headers: { 'Content-Type': 'text/plain; charset=utf-8' },
  body,
});

async function sendBytes(hashes: Hashes, digits: string): Promise<HttpResponse> {
  const length = Number(digits);
  if (length > MAX_BYTES) return text(400, `at most ${MAX_BYTES} bytes\n`);
  const sha256 = await hashes.get(length);
  return {
    status: 200,
    headers: { 'Content-Type': 'application/octet-stream', 'X-SHA256': sha256 },
    length,
    body: pieces(length),
  };
}

async function* pieces(length: number): AsyncGenerator<Uint8Array, void, void> {
  yield* makeBytes(length);
}

/** A file of /proc/net or /proc/sys/net. */
async function sendFile(p: Process, path: string): Promise<HttpResponse> {
  try {
    return {
      status: 200,
      headers: { 'Content-Type': 'text/plain; charset=utf-8' },
      body: await readFile(p.libc, path),
    };
  } catch (error) {
    return text(404, `${path}: ${reasonOf(error)}\n`);
  }
}

/** Counts what a client sends. */
async function take(request: HttpRequest): Promise<HttpResponse> {
  const hash = new Sha256();
  let bytes = 0;
  for await (const piece of request.body) {
    hash.update(piece);
    bytes += piece.length;
  }
  const sha256 = hexDigest(hash.digest());
  return { ...text(200, `${bytes} bytes\n`), headers: { 'X-SHA256': sha256 } };
}

async function answer(p: Process, hashes: Hashes, request: HttpRequest): Promise<HttpResponse> {
  const [path = '/'] = request.target.split('?');
  if (request.method === 'POST' || request.method === 'PUT') return take(request);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...text(405, 'GET, HEAD, POST or PUT\n'), headers: { Allow: 'GET, HEAD, POST, PUT' } };
  }
  if (path === '/') {
    return {
      status: 200,
      headers: { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' },
      body: await statePage(p),
    };
  }
  const digits = /^\/bytes\/(\d{1,12})$/.exec(path)?.[1];
  if (digits !== undefined) return sendBytes(hashes, digits);
  if (/^\/proc\/(?:net|sys\/net)\/[\w./-]+$/.test(path) && !path.includes('..')) {
    return sendFile(p, path);
  }
  return text(404, `${path}: not here; try / or /bytes/N\n`);
}

const USAGE = 'usage: httpd [-p PORT]\n';

/** The port of `-p`, or the given one; null for words that are not understood. */
export function portOf(args: readonly string[], usual: number): number | null {
  if (args.length === 0) return usual;
  const [option, value = ''] = args;
  return option === '-p' && args.length === 2 ? parsePort(value) : null;
}

export const main: Main = async (p) => {
  const port = portOf(p.args, HTTP_PORT);
  if (port === null) {
    p.warn(USAGE);
    return 2;
  }
  const listener = listenTcp(p.libc, { addr: INADDR_ANY, port });
  const hashes = new Hashes(p);
  try {
    await serveHttp(listener, (request) => answer(p, hashes, request), {
      onError: (error) => p.warn(`httpd: ${reasonOf(error)}\n`),
    });
    return 0;
  } finally {
    listener.close();
  }
};
