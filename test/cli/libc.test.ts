/**
 * What blocks and what does not: the programs' library over the system calls of a machine, in virtual time.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EPOLL_CTL_ADD, EPOLLET, EPOLLIN } from '#uapi/eventpoll.ts';
import { POLLIN, POLLNVAL, POLLOUT } from '#uapi/poll.ts';
import {
  AF_INET,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_WAITALL,
  SHUT_WR,
  SO_LINGER,
  SO_RCVTIMEO,
  SO_SNDBUF,
  SO_SNDTIMEO,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { Killed, SystemError } from '#user/lib/errors.ts';
import type { Libc } from '#user/lib/libc.ts';
import { type Process, SIGTERM } from '#user/lib/process.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { connectTcp, listenTcp } from '#user/lib/tcp.ts';
import { Box } from './machine.ts';

const LOOPBACK = 0x7f000001;
const PORT = 5000;

describe('the library of programs', () => {
  let box = new Box();

  beforeEach(async () => {
    box = new Box();
    await box.sh('ip link set lo up');
  });

  afterEach(() => {
    expect(box.halt()).toEqual({});
  });

  /** Runs a program that returns a value. */
  async function run<T>(body: (p: Process) => Promise<T>): Promise<T> {
    const results: T[] = [];
    const { status, stderr } = await box.runMain(
      async (p) => {
        results.push(await body(p));
        return 0;
      },
      ['test'],
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    return results[0] as T;
  }

  async function code(promise: Promise<unknown>): Promise<string> {
    try {
      await promise;
      return 'no error';
    } catch (error) {
      if (error instanceof SystemError) return error.code;
      throw error;
    }
  }

  async function pair(libc: Libc): Promise<readonly [client: number, server: number]> {
    const listener = listenTcp(libc, { addr: LOOPBACK, port: PORT });
    const [client, server] = await Promise.all([
      connectTcp(libc, { addr: LOOPBACK, port: PORT }),
      listener.accept(),
    ]);
    listener.close();
    return [client.fd, server.fd];
  }

  test('a blocking read waits, one that may not says EAGAIN', async () => {
    await run(async ({ libc }) => {
      const [a, b] = await pair(libc);
      const buf = new Uint8Array(10);
      expect(await code(libc.recv(a, buf, MSG_DONTWAIT))).toBe('EAGAIN');
      libc.setNonblocking(a, true);
      expect(await code(libc.recv(a, buf))).toBe('EAGAIN');
      libc.setNonblocking(a, false);
      const reading = libc.recv(a, buf);
      await libc.sleep(100);
      await libc.send(b, Uint8Array.of(1, 2, 3));
      expect(await reading).toBe(3);
    });
  });

  test('SO_RCVTIMEO ends a read with EAGAIN, at its time', async () => {
    await run(async ({ libc, sys }) => {
      const [a] = await pair(libc);
      libc.setTimeout(a, SO_RCVTIMEO, 250);
      const start = sys.monotonic();
      expect(await code(libc.recv(a, new Uint8Array(1)))).toBe('EAGAIN');
      expect(sys.monotonic() - start).toBe(250e6);
    });
  });

  test('a blocking send hands over everything, another one what fits', async () => {
    await run(async ({ libc }) => {
      const [a, b] = await pair(libc);
      libc.setsockopt(a, SOL_SOCKET, SO_SNDBUF, 20_000);
      const data = new Uint8Array(1_000_000);
      libc.setNonblocking(a, true);
      const part = await libc.send(a, data);
      expect(part).toBeGreaterThan(0);
      expect(part).toBeLessThan(data.length);
      libc.setNonblocking(a, false);
      let received = 0;
      const buf = new Uint8Array(65536);
      const reading = (async (): Promise<void> => {
        while (received < part + data.length) received += await libc.recv(b, buf);
      })();
      expect(await libc.send(a, data)).toBe(data.length);
      await reading;
    });
  });

  test('SO_SNDTIMEO ends a send that nobody takes, with what went out', async () => {
    await run(async ({ libc, sys }) => {
      const [a] = await pair(libc);
      libc.setTimeout(a, SO_SNDTIMEO, 500);
      const start = sys.monotonic();
      const sent = await libc.send(a, new Uint8Array(50_000_000));
      expect(sent).toBeGreaterThan(0);
      expect(sent).toBeLessThan(50_000_000);
      expect(sys.monotonic() - start).toBeGreaterThanOrEqual(500e6);
    });
  });

  test('MSG_WAITALL fills the buffer, unless the stream ends; MSG_PEEK leaves the bytes', async () => {
    await run(async ({ libc }) => {
      const [a, b] = await pair(libc);
      const buf = new Uint8Array(6);
      const reading = libc.recv(a, buf, MSG_WAITALL);
      for (const byte of [1, 2, 3, 4, 5, 6]) {
        await libc.sleep(10);
        await libc.send(b, Uint8Array.of(byte));
      }
      expect(await reading).toBe(6);
      expect([...buf]).toEqual([1, 2, 3, 4, 5, 6]);
      await libc.send(b, Uint8Array.of(7));
      expect(await libc.recv(a, buf, MSG_PEEK)).toBe(1);
      const last = libc.recv(a, buf, MSG_WAITALL);
      libc.shutdown(b, SHUT_WR);
      expect(await last).toBe(1);
      expect(await libc.recv(a, buf)).toBe(0);
    });
  });

  test('pages are waited for, hold the bytes, and go back', async () => {
    const got = await run(async ({ libc }) => {
      const [near, far] = await pair(libc);
      const text: string[] = [];
      const sender = (async () => {
        await libc.sleep(5);
        const memory = libc.mmap(100);
        memory.fill(0x61);
        await libc.send(near, memory);
        libc.munmap(memory);
        libc.shutdown(near, SHUT_WR);
      })();
      for (;;) {
        const pages = await libc.recvPages(far, 60);
        if (pages.length === 0) break;
        text.push(pages.map((page) => String.fromCharCode(...page)).join(''));
        libc.munmap(...pages);
        expect(() => libc.munmap(...pages)).toThrow('EINVAL');
      }
      await sender;
      return text;
    });
    expect(got).toEqual(['a'.repeat(60), 'a'.repeat(40)]);
  });

  test('connect waits for its end; its errors have address and port', async () => {
    await run(async ({ libc }) => {
      const refused = connectTcp(libc, { addr: LOOPBACK, port: 81 });
      await expect(refused).rejects.toMatchObject({
        code: 'ECONNREFUSED',
        errno: -111,
        syscall: 'connect',
        address: '127.0.0.1',
        port: 81,
        message: 'connect ECONNREFUSED 127.0.0.1:81',
      });
      const unreachable = connectTcp(libc, { addr: 0x08080808, port: 80 });
      await expect(unreachable).rejects.toMatchObject({ code: 'ENETUNREACH' });
      const fd = libc.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
      expect(await code(libc.connect(fd, { addr: LOOPBACK, port: 81 }))).toMatch(
        /ECONNREFUSED|EINPROGRESS/,
      );
      await libc.close(fd);
    });
  });

  test('a connect without an answer ends after SO_SNDTIMEO', async () => {
    await run(async ({ libc, sys }) => {
      const fd = libc.socket(AF_INET, SOCK_STREAM);
      libc.setTimeout(fd, SO_SNDTIMEO, 2000);
      const start = sys.monotonic();
      // Without a route there is nothing to wait for.
      expect(await code(libc.connect(fd, { addr: 0x0a000009, port: 80 }))).toBe('ENETUNREACH');
      expect(sys.monotonic() - start).toBe(0);
      await libc.close(fd);
    });
    await box.sh('ip link add d0 type dummy; ip addr add 10.0.0.1/24 dev d0; ip link set d0 up');
    await box.sh('ip neigh add 10.0.0.9 lladdr 2:0:0:0:0:9 dev d0');
    await run(async ({ libc, sys }) => {
      const fd = libc.socket(AF_INET, SOCK_STREAM);
      libc.setTimeout(fd, SO_SNDTIMEO, 2000);
      const start = sys.monotonic();
      expect(await code(libc.connect(fd, { addr: 0x0a000009, port: 80 }))).toBe('EINPROGRESS');
      expect(sys.monotonic() - start).toBe(2000e6);
      await libc.close(fd);
    });
  });

  test('bind says who and where in its error', async () => {
    await run(async ({ libc }) => {
      const listener = listenTcp(libc, { addr: LOOPBACK, port: PORT });
      expect(() => listenTcp(libc, { addr: LOOPBACK, port: PORT })).toThrow(
        'bind EADDRINUSE: address already in use 127.0.0.1:5000',
      );
      listener.close();
      expect(() => listenTcp(libc, { addr: 0x01020304, port: PORT })).toThrow('EADDRNOTAVAIL');
    });
  });

  test('poll waits for any of several descriptors, or for its time', async () => {
    await run(async ({ libc, sys }) => {
      const [a, b] = await pair(libc);
      const udp = libc.socket(AF_INET, SOCK_DGRAM);
      libc.bind(udp, encodeSockaddr4(LOOPBACK, 6000));
      const fds = [
        { fd: a, events: POLLIN, revents: 0 },
        { fd: udp, events: POLLIN, revents: 0 },
      ];
      const start = sys.monotonic();
      expect(await libc.poll(fds, 300)).toBe(0);
      expect(sys.monotonic() - start).toBe(300e6);
      const polling = libc.poll(fds, -1);
      await libc.sleep(50);
      await libc.sendto(udp, Uint8Array.of(1), { addr: LOOPBACK, port: 6000 });
      expect(await polling).toBe(1);
      expect(fds.map(({ revents }) => revents & POLLIN)).toEqual([0, POLLIN]);
      await libc.send(b, Uint8Array.of(1));
      expect(await libc.poll(fds, 0)).toBe(2);
      const bad = [{ fd: 999, events: POLLOUT, revents: 0 }];
      expect(await libc.poll(bad, -1)).toBe(1);
      expect(bad[0]?.revents).toBe(POLLNVAL);
    });
  });

  test('epoll tells of an edge once', async () => {
    await run(async ({ libc }) => {
      const [a, b] = await pair(libc);
      const epfd = libc.epollCreate();
      libc.epollCtl(epfd, EPOLL_CTL_ADD, a, { events: EPOLLIN | EPOLLET, data: 42 });
      expect(await libc.epollWait(epfd, 8, 100)).toEqual([]);
      const waiting = libc.epollWait(epfd, 8, -1);
      await libc.send(b, Uint8Array.of(1));
      expect(await waiting).toMatchObject([{ data: 42 }]);
      expect(await libc.epollWait(epfd, 8, 100)).toEqual([]);
    });
  });

  test('a datagram comes with its sender, and an error of the network with the next call', async () => {
    await run(async ({ libc }) => {
      const a = libc.socket(AF_INET, SOCK_DGRAM);
      const b = libc.socket(AF_INET, SOCK_DGRAM);
      libc.bind(a, encodeSockaddr4(LOOPBACK, 7001));
      libc.bind(b, encodeSockaddr4(LOOPBACK, 7002));
      const receiving = libc.recvfrom(b, new Uint8Array(10));
      await libc.sendto(a, Uint8Array.of(1, 2), { addr: LOOPBACK, port: 7002 });
      expect(await receiving).toEqual({ length: 2, from: { addr: LOOPBACK, port: 7001 } });
      await libc.close(b);
      await libc.connect(a, { addr: LOOPBACK, port: 7002 });
      await libc.send(a, Uint8Array.of(1));
      expect(await code(libc.recv(a, new Uint8Array(1)))).toBe('ECONNREFUSED');
    });
  });

  test('callbacks give results without a promise', async () => {
    const seen = await run(async ({ libc }) => {
      const [a, b] = await pair(libc);
      const results: number[] = [];
      const buf = new Uint8Array(4);
      libc.onRecv(a, buf, 0, null, (result) => results.push(result));
      libc.onSend(b, Uint8Array.of(1, 2, 3), 0, null, (result) => results.push(result));
      expect(results).toContain(3);
      await libc.sleep(1);
      return results;
    });
    expect(seen).toEqual([3, 3]);
  });

  const LINGER_MINUTE = Uint8Array.of(1, 0, 0, 0, 60, 0, 0, 0);

  /** A socket that lingers, with more on its way than its peer has room for, and the peer. */
  async function lingering(libc: Libc): Promise<readonly [fd: number, peer: number, sent: number]> {
    const [fd, peer] = await pair(libc);
    libc.setNonblocking(fd, true);
    const sent = await libc.send(fd, new Uint8Array(8_000_000));
    libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, LINGER_MINUTE);
    return [fd, peer, sent];
  }

  test('close waits for what lingers, though the socket may not block', async () => {
    await run(async ({ libc, sys }) => {
      const [fd, peer, sent] = await lingering(libc);
      const start = sys.monotonic();
      const closed = libc.close(fd).then(() => sys.monotonic());
      expect(() => libc.close(fd)).toThrow('close EBADF');
      await libc.sleep(500);
      const buf = new Uint8Array(65536);
      for (let got = 0; got < sent; ) got += await libc.recv(peer, buf);
      const seconds = ((await closed) - start) / 1e9;
      expect(seconds).toBeGreaterThanOrEqual(0.5);
      expect(seconds).toBeLessThan(60);
      // A close that is not waited for, or has nothing to wait for, holds up nobody.
      const later = sys.monotonic();
      await libc.close(peer);
      expect(sys.monotonic()).toBe(later);
    });
  });

  test('a signal ends a close that lingers', async () => {
    const { status } = await box.runMain(
      async (p) => {
        const [fd] = await lingering(p.libc);
        p.kill(SIGTERM);
        await expect(p.libc.close(fd)).rejects.toBeInstanceOf(Killed);
        return 3;
      },
      ['victim'],
    );
    expect(status).toBe(3);
  });

  test('a signal ends what a program waits for, and the program', async () => {
    let caught: unknown = null;
    const { status } = await box.runMain(
      async (p) => {
        const fd = p.libc.socket(AF_INET, SOCK_DGRAM);
        p.kill(SIGTERM);
        try {
          await p.libc.recv(fd, new Uint8Array(1));
        } catch (error) {
          caught = error;
          // Nothing that blocks works any more.
          await expect(p.libc.sleep(1)).rejects.toBeInstanceOf(Killed);
          await expect(p.libc.recvPages(fd, 1)).rejects.toBeInstanceOf(Killed);
          throw error;
        }
        return 0;
      },
      ['victim'],
    );
    expect(caught).toBeInstanceOf(Killed);
    expect(status).toBe(128 + SIGTERM);
  });

  test('descriptors that are none are refused', async () => {
    await run(async ({ libc }) => {
      const buf = new Uint8Array(1);
      expect(await code(libc.recv(99, buf))).toBe('EBADF');
      expect(await code(libc.send(-1, buf))).toBe('EBADF');
      expect(await code(libc.accept(99))).toBe('EBADF');
      expect(await code(libc.connect(99, { addr: LOOPBACK, port: 1 }))).toBe('EBADF');
      expect(await code(libc.read(99, buf))).toBe('EBADF');
      expect(await code(libc.pollFd(99, POLLIN, 10))).toBe('EBADF');
    });
  });
});
