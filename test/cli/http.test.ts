/**
 * The HTTP server and client against peers that are slow, wrong or hostile, over a machine's loopback.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { latin1 } from '#user/lib/byte_reader.ts';
import { httpRequest, parseUrl } from '#user/lib/http_client.ts';
import { type HttpServerOptions, serveHttp } from '#user/lib/http_server.ts';
import type { Process } from '#user/lib/process.ts';
import { concatBytes, encodeText } from '#user/lib/streams.ts';
import { connectTcp, listenTcp, type TcpStream } from '#user/lib/tcp.ts';
import { Box } from './machine.ts';

const LOOPBACK = 0x7f000001;
const PORT = 8080;

async function* pieces(count: number): AsyncGenerator<Uint8Array, void, void> {
  for (let i = 0; i < count; i++) yield encodeText(`piece ${i}\n`);
}

describe('the HTTP server', () => {
  let box = new Box();

  beforeEach(async () => {
    box = new Box();
    await box.sh('ip link set lo up');
  });

  afterEach(() => {
    expect(box.halt()).toEqual({});
  });

  /** Runs a server, and beside it a program whose result is returned. */
  async function withServer<T>(
    body: (p: Process) => Promise<T>,
    options: Partial<HttpServerOptions> = {},
  ): Promise<T> {
    box.world.spawn(box.machine, 'server', async (sys) => {
      const { Process: ProcessClass } = await import('#user/lib/process.ts');
      const p = new ProcessClass({ sys, argv: ['server'] });
      const listener = listenTcp(p.libc, { addr: LOOPBACK, port: PORT });
      await serveHttp(
        listener,
        async ({ method, target, headers, body: content }) => {
          if (target === '/throw') throw new Error('on purpose');
          if (target === '/pieces') return { status: 200, body: pieces(3) };
          if (target === '/ignore') return { status: 200, body: 'ignored\n' };
          const parts: Uint8Array[] = [];
          for await (const part of content) parts.push(part);
          const text = latin1(concatBytes(parts));
          return { status: 200, body: `${method} ${target} ${headers.get('x') ?? ''} [${text}]\n` };
        },
        options,
      );
      return 0;
    });
    const results: T[] = [];
    const { stderr } = await box.runMain(
      async (p) => {
        await p.libc.sleep(1);
        results.push(await body(p));
        return 0;
      },
      ['client'],
    );
    expect(stderr).toBe('');
    return results[0] as T;
  }

  async function readAll(stream: TcpStream): Promise<string> {
    const parts: Uint8Array[] = [];
    for await (const bytes of stream) parts.push(bytes);
    return latin1(concatBytes(parts));
  }

  /** Sends bytes, half-closes, and reads everything that comes back. */
  async function raw(p: Process, text: string | Uint8Array, halfClose = true): Promise<string> {
    const stream = await connectTcp(p.libc, { addr: LOOPBACK, port: PORT });
    try {
      await stream.write(typeof text === 'string' ? encodeText(text) : text);
      if (halfClose) stream.end();
      return await readAll(stream);
    } finally {
      stream.close();
    }
  }

  const statusOf = (answer: string): string => answer.split(' ')[1] ?? answer;

  test('requests follow each other on a connection, also when sent at once', async () => {
    const answer = await withServer((p) =>
      raw(
        p,
        'GET /a HTTP/1.1\r\nHost: h\r\nX: 1\r\nX: 2\r\n\r\n' +
          'POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc' +
          '\r\nHEAD /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n' +
          'GET /never HTTP/1.1\r\nHost: h\r\n\r\n',
      ),
    );
    expect(answer).toContain('GET /a 1, 2 []\n');
    expect(answer).toContain('POST /b  [abc]\n');
    expect(answer.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
    // The answer to HEAD has a length and no body.
    expect(answer).toMatch(/Content-Length: 12\r\nConnection: close\r\n\r\n$/);
  });

  test('bodies in chunks are read, and answers of unknown length sent so', async () => {
    await withServer(async (p) => {
      const chunked = await raw(
        p,
        'POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n',
      );
      expect(chunked).toContain('[abcde]');
      const sent = await raw(p, 'GET /pieces HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
      expect(sent).toContain('Transfer-Encoding: chunked');
      expect(sent).toContain('\r\n8\r\npiece 0\n\r\n');
      expect(sent).toMatch(/0\r\n\r\n$/);
      // A client of old gets it up to the end of the connection.
      const old = await raw(p, 'GET /pieces HTTP/1.0\r\n\r\n');
      expect(old).toMatch(/Connection: close\r\n\r\npiece 0\npiece 1\npiece 2\n$/);
    });
  });

  test.each([
    ['nonsense\r\n\r\n', '400'],
    ['GET\r\n\r\n', '400'],
    ['GET / HTTP/2.0\r\nHost: h\r\n\r\n', '505'],
    ['GET / HTTP/1.1\r\n\r\n', '400'],
    ['GET http://x/ HTTP/1.1\r\nHost: h\r\n\r\n', '400'],
    ['G@T / HTTP/1.1\r\nHost: h\r\n\r\n', '400'],
    ['GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n', '400'],
    ['GET / HTTP/1.1\r\nHost : h\r\n\r\n', '400'],
    ['GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n folded\r\n\r\n', '400'],
    ['GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n', '400'],
    ['POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', '400'],
    ['POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n', '400'],
    ['POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1e3\r\n\r\n', '400'],
    [
      'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      '400',
    ],
    ['POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', '400'],
    ['POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', '400'],
    [
      'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n',
      '400',
    ],
    ['POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc', '400'],
    [`GET /${'a'.repeat(10_000)} HTTP/1.1\r\nHost: h\r\n\r\n`, '414'],
    [`GET / HTTP/1.1\r\nHost: h\r\n${'A: b\r\n'.repeat(200)}\r\n`, '431'],
    [`GET / HTTP/1.1\r\nHost: h\r\nA: ${'b'.repeat(10_000)}\r\n\r\n`, '400'],
    ['\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n', '400'],
    ['GET /throw HTTP/1.1\r\nHost: h\r\n\r\n', '500'],
  ])('request %# of those that are wrong, or whose handler is', async (request, status) => {
    const problems: unknown[] = [];
    await withServer(
      async (p) => {
        expect(statusOf(await raw(p, request))).toBe(status);
        // And the next one is served.
        const next = await raw(p, 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
        expect(statusOf(next)).toBe('200');
      },
      { onError: (error) => problems.push(error) },
    );
    expect(problems).toHaveLength(status === '500' ? 1 : 0);
  });

  test('who says nothing is closed without a word, who stops in the middle is told', async () => {
    await withServer(
      async (p) => {
        expect(await raw(p, '', false)).toBe('');
        expect(p.sys.monotonic()).toBeGreaterThanOrEqual(5e9);
        expect(statusOf(await raw(p, 'GET / HT', false))).toBe('408');
      },
      { idleMs: 5000 },
    );
  });

  test('a body that nobody wants is read up to a limit, and then the connection ends', async () => {
    await withServer(
      async (p) => {
        const small = await raw(
          p,
          `POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n${'x'.repeat(50)}GET /a HTTP/1.1\r\nHost: h\r\n\r\n`,
        );
        expect(small).toContain('ignored');
        expect(small).toContain('GET /a');
        const large = await raw(
          p,
          `POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n${'x'.repeat(500)}GET /a HTTP/1.1\r\nHost: h\r\n\r\n`,
        );
        expect(large).toContain('ignored');
        expect(large).toContain('Connection: close');
        expect(large).not.toContain('GET /a');
      },
      { drainBytes: 100 },
    );
  });

  test('one connection too many is closed at once', async () => {
    await withServer(
      async (p) => {
        const first = await connectTcp(p.libc, { addr: LOOPBACK, port: PORT });
        await p.libc.sleep(10);
        const second = await connectTcp(p.libc, { addr: LOOPBACK, port: PORT });
        expect(await second.read()).toBeNull();
        second.close();
        first.close();
        await p.libc.sleep(10);
        const third = await raw(p, 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
        expect(statusOf(third)).toBe('200');
      },
      { maxConnections: 1 },
    );
  });

  test('any bytes at all: an answer or a close, and the server goes on', async () => {
    const samples = fc.sample(fc.uint8Array({ minLength: 1, maxLength: 400 }), {
      numRuns: 60,
      seed: 5,
    });
    await withServer(async (p) => {
      for (const bytes of samples) {
        const answer = await raw(p, bytes);
        expect(answer === '' || answer.startsWith('HTTP/1.1 ')).toBe(true);
      }
      expect(statusOf(await raw(p, 'GET / HTTP/1.0\r\n\r\n'))).toBe('200');
    });
  });
});

describe('the HTTP client', () => {
  let box = new Box();

  beforeEach(async () => {
    box = new Box();
    await box.sh('ip link set lo up');
  });

  afterEach(() => {
    expect(box.halt()).toEqual({});
  });

  /** What the client makes of an answer, word for word. */
  async function answered(answer: string): Promise<string> {
    let result = '';
    await box.runMain(
      async (p) => {
        const listener = listenTcp(p.libc, { addr: LOOPBACK, port: PORT });
        const serve = async (): Promise<void> => {
          const stream = await listener.accept();
          await stream.read();
          await stream.write(encodeText(answer));
          stream.end();
          stream.close();
        };
        const url = parseUrl(`127.0.0.1:${PORT}/`);
        if (url === null) throw new Error('no URL');
        try {
          const [response] = await Promise.all([httpRequest(p, url), serve()]);
          const parts: Uint8Array[] = [];
          for await (const part of response.body) parts.push(part);
          response.close();
          result = `${response.status} ${latin1(concatBytes(parts))}`;
        } catch (error) {
          result = String(error);
        } finally {
          listener.close();
        }
        return 0;
      },
      ['client'],
    );
    return result;
  }

  test.each([
    ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabIGNORED', '200 ab'],
    ['HTTP/1.1 200 OK\r\n\r\nto the end', '200 to the end'],
    ['HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n', '200 ab'],
    ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n', '204 '],
    [
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab',
      'ProtocolError: the stream ends within the body',
    ],
    ['', 'ProtocolError: the server closed the connection without an answer'],
    ['SSH-2.0-x\r\n\r\n', 'ProtocolError: the answer is not HTTP'],
    [
      'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n',
      'ProtocolError: the Content-Length is malformed',
    ],
    [`HTTP/1.1 200 ${'x'.repeat(9000)}\r\n\r\n`, 'ProtocolError: a line is too long'],
  ])('answer %#', async (answer, result) => {
    expect(await answered(answer)).toBe(result);
  });
});

describe('parseUrl', () => {
  test.each([
    ['http://10.0.0.1/', { host: '10.0.0.1', port: 80, target: '/' }],
    ['10.0.0.1', { host: '10.0.0.1', port: 80, target: '/' }],
    ['HTTP://web:8080/a?b#c', { host: 'web', port: 8080, target: '/a?b' }],
    ['web?x=1', { host: 'web', port: 80, target: '/?x=1' }],
  ])('%s', (text, url) => {
    expect(parseUrl(text)).toEqual(url);
  });

  test.each([
    '',
    'ftp://x/',
    'http://',
    'http://x:0/',
    'http://x:99999/',
    'http://u@x/',
    'http://x /',
    'http://x/ y',
  ])('%j is none', (text) => {
    expect(parseUrl(text)).toBeNull();
  });
});
