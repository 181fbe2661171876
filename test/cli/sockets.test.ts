/** TCP as web streams, between two programs of a machine. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect, listen } from '#user/api/sockets.ts';
import { readText } from '#user/lib/files.ts';
import type { Process } from '#user/lib/process.ts';
import { Box } from './machine.ts';

describe('sockets as web streams', () => {
  let box = new Box();

  beforeEach(async () => {
    box = new Box();
    await box.sh('ip link set lo up');
  });

  afterEach(() => {
    expect(box.halt()).toEqual({});
  });

  /** Runs an echo server, and beside it a program. */
  async function withEcho(body: (p: Process) => Promise<void>): Promise<void> {
    const { stderr, status } = await box.runMain(
      async (p) => {
        const server = listen(p, '127.0.0.1:7000', { allowHalfOpen: true });
        expect(server.localAddress).toBe('127.0.0.1:7000');
        const serving = (async (): Promise<void> => {
          for await (const socket of server.connections) {
            socket.readable.pipeTo(socket.writable).catch(() => {});
          }
        })();
        await body(p);
        server.close();
        server.close();
        // Who waits for the next connection is told.
        await serving;
        return 0;
      },
      ['test'],
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
  }

  test('bytes go through a pipe of streams and come back', async () => {
    await withEcho(async (p) => {
      const socket = connect(p, { hostname: 'localhost', port: 7000 }, { allowHalfOpen: true });
      const { remoteAddress, localAddress } = await socket.opened;
      expect(remoteAddress).toBe('127.0.0.1:7000');
      expect(localAddress).toMatch(/^127\.0\.0\.1:\d+$/);
      const size = 300_000;
      const writing = (async (): Promise<void> => {
        const writer = socket.writable.getWriter();
        for (let sent = 0; sent < size; sent += 50_000) {
          await writer.write(new Uint8Array(50_000).fill(sent / 50_000));
        }
        await writer.close();
      })();
      let received = 0;
      let wrong = 0;
      for await (const bytes of socket.readable) {
        for (let i = 0; i < bytes.length; i += 1000) {
          if (bytes[i] !== Math.floor((received + i) / 50_000)) wrong++;
        }
        received += bytes.length;
      }
      await writing;
      await socket.closed;
      expect([received, wrong]).toEqual([size, 0]);
    });
  });

  test('a refused connection is told by everything that waits for it', async () => {
    await withEcho(async (p) => {
      const socket = connect(p, '127.0.0.1:7001');
      await expect(socket.opened).rejects.toMatchObject({ code: 'ECONNREFUSED', port: 7001 });
      await expect(socket.closed).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      await expect(socket.readable.getReader().read()).rejects.toMatchObject({
        code: 'ECONNREFUSED',
      });
      await expect(socket.writable.getWriter().write(new Uint8Array(1))).rejects.toBeInstanceOf(
        Error,
      );
    });
  });

  test('close ends a read that waits', async () => {
    await withEcho(async (p) => {
      const socket = connect(p, '127.0.0.1:7000', { allowHalfOpen: true });
      await socket.opened;
      const reader = socket.readable.getReader();
      const read = reader.read();
      await p.libc.sleep(10);
      await socket.close();
      await socket.closed;
      expect(await read).toEqual({ done: true, value: undefined });
    });
  });

  test('a reader that is cancelled ends its read, and keeps no connection', async () => {
    await withEcho(async (p) => {
      // Takes connections and says nothing.
      const silent = listen(p, '127.0.0.1:7001');
      const taking = silent.connections[Symbol.asyncIterator]().next();
      const socket = connect(p, '127.0.0.1:7001');
      const { localAddress } = await socket.opened;
      const reader = socket.readable.getReader();
      const read = reader.read();
      await p.libc.sleep(10);
      await reader.cancel();
      expect(await read).toEqual({ done: true, value: undefined });
      await socket.closed;
      // The peer never closes: FIN-WAIT-2 of a socket that nobody holds lasts a minute.
      await p.libc.sleep(61_000);
      const port = Number(localAddress.split(':')[1]).toString(16).toUpperCase().padStart(4, '0');
      const table = await readText(p.libc, '/proc/net/tcp');
      expect(table).not.toContain(` 0100007F:${port} 0100007F:1B59`);
      const { value: peer } = await taking;
      await peer?.close();
      silent.close();
    });
  });

  test('a reader that is cancelled leaves the other direction open', async () => {
    await withEcho(async (p) => {
      const socket = connect(p, '127.0.0.1:7000', { allowHalfOpen: true });
      await socket.opened;
      const reader = socket.readable.getReader();
      const read = reader.read();
      await p.libc.sleep(10);
      await reader.cancel();
      expect(await read).toEqual({ done: true, value: undefined });
      const writer = socket.writable.getWriter();
      await writer.write(new Uint8Array(100));
      await writer.close();
      await socket.closed;
    });
  });

  test('close ends both directions', async () => {
    await withEcho(async (p) => {
      const socket = connect(p, '127.0.0.1:7000');
      await socket.opened;
      await socket.close();
      await socket.closed;
      await expect(socket.writable.getWriter().write(new Uint8Array(1))).rejects.toMatchObject({
        code: 'EPIPE',
      });
    });
  });

  test.each(['', 'host', ':80', '127.0.0.1:x', '127.0.0.1:70000'])(
    '%j is no address',
    async (address) => {
      await withEcho(async (p) => {
        expect(() => connect(p, address)).toThrow(/not an address|unknown host/);
      });
    },
  );
});
