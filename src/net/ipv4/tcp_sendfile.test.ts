import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EAGAIN, EBADF, EINVAL, ESPIPE } from '#uapi/errno.ts';
import { O_RDONLY } from '#uapi/fcntl.ts';
import { SO_SNDBUF, SOL_SOCKET } from '#uapi/socket.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

function connected(win = 20000): number {
  const lfd = rig.listen();
  rig.inject({ flags: 'S', options: 'mss 1000,sackOK,nop,wscale 7' });
  rig.sent();
  rig.inject({ flags: '.', seq: 1, ack: 1, win });
  const fd = rig.accept(lfd);
  rig.close(lfd);
  rig.sent();
  return fd;
}

/** An open /proc/net/`name` that reads as `text`. */
function file(text: string): number {
  rig.machine.initNet.procNet.set('sendme', () => text);
  const fd = rig.sys.open('/proc/net/sendme', O_RDONLY);
  expect(fd).toBeGreaterThanOrEqual(0);
  return fd;
}

function sendfile(out: number, from: number, offset: Float64Array | null, count: number): number {
  const n = rig.sys.sendfile(out, from, offset, count);
  rig.settle();
  return n;
}

function reset(...fds: number[]): void {
  rig.inject({ flags: 'R', seq: 1 });
  for (const fd of fds) rig.close(fd);
}

/** Total length sent, and the flags of the last segment. */
function sent(): [number, string] {
  const all = rig.sent();
  return [all.reduce((sum, s) => sum + s.len, 0), all.at(-1)?.flags ?? ''];
}

describe('sendfile()', () => {
  it('sends a file from its position', () => {
    const fd = connected();
    const from = file('0123456789');
    expect(sendfile(fd, from, null, 4)).toBe(4);
    expect(sent()).toEqual([4, 'P.']);
    const rest = new Uint8Array(20);
    expect(rig.sys.read(from, rest)).toBe(6);
    expect(sendfile(fd, from, null, 4)).toBe(0);
    reset(fd, from);
  });

  it('goes by the offset and leaves the position alone', () => {
    const fd = connected();
    const from = file('0123456789');
    const offset = Float64Array.of(7);
    expect(sendfile(fd, from, offset, 100)).toBe(3);
    expect(offset[0]).toBe(10);
    expect(sent()).toEqual([3, 'P.']);
    const rest = new Uint8Array(20);
    expect(rig.sys.read(from, rest)).toBe(10);
    reset(fd, from);
  });

  it('pushes the last byte, however the rounds fall', () => {
    for (const size of [65536, 65537, 70000]) {
      const fd = connected();
      rig.setInt(fd, SOL_SOCKET, SO_SNDBUF, 1_000_000);
      const from = file('x'.repeat(size));
      // More is asked for than there is.
      expect(sendfile(fd, from, null, 100_000)).toBe(size);
      let total = 0;
      let last = '';
      for (let i = 0; total < size && i < 20; i++) {
        const [n, flags] = sent();
        total += n;
        if (n > 0) last = flags;
        rig.inject({ flags: '.', seq: 1, ack: 1 + total, win: 20000 });
      }
      expect([total, last]).toEqual([size, 'P.']);
      reset(fd, from);
      rig.remotePort++;
    }
  });

  it('stops when the buffer is full, and goes on where it stopped', () => {
    const fd = connected(10);
    rig.setInt(fd, SOL_SOCKET, SO_SNDBUF, 20_000);
    const from = file('y'.repeat(300_000));
    const offset = Float64Array.of(0);
    const first = sendfile(fd, from, offset, 300_000);
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(300_000);
    expect(offset[0]).toBe(first);
    expect(sendfile(fd, from, offset, 300_000)).toBe(-EAGAIN);
    expect(offset[0]).toBe(first);
    rig.sent();
    reset(fd, from);
  });

  it('writes to a pipe, and reads from none', () => {
    const fds = new Int32Array(2);
    expect(rig.sys.pipe2(fds, 0)).toBe(0);
    const [rd, wr] = fds as unknown as [number, number];
    const from = file('through a pipe');
    expect(sendfile(wr, from, null, 7)).toBe(7);
    const buf = new Uint8Array(20);
    expect(rig.sys.read(rd, buf)).toBe(7);
    expect(new TextDecoder().decode(buf.subarray(0, 7))).toBe('through');
    expect(sendfile(wr, rd, null, 7)).toBe(-EINVAL);
    expect(sendfile(wr, rd, new Float64Array(1), 7)).toBe(-ESPIPE);
    expect(sendfile(rd, from, null, 7)).toBe(-EBADF);
    expect(sendfile(wr, 99, null, 7)).toBe(-EBADF);
    expect(sendfile(wr, from, Float64Array.of(-1), 7)).toBe(-EINVAL);
    for (const fd of [rd, wr, from]) rig.close(fd);
  });
});
