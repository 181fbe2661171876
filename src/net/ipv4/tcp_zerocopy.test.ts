import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type NetDevice, netDeviceOps } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { RPS_NO_CPU } from '#include/net/rps.ts';
import { TFO_CLIENT_ENABLE, TFO_CLIENT_NO_COOKIE } from '#include/net/tcp_fastopen.ts';
import { tcpRtxQueueHead } from '#include/net/tcp_queue.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { createTask } from '#kernel/sched/task.ts';
import { BLOCK_SIZE, CHUNK_SIZE, livePages, virtToHeadPage } from '#mm/page_alloc.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import {
  EAGAIN,
  EBADF,
  EFAULT,
  EINVAL,
  ENOBUFS,
  ENOMEM,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
} from '#uapi/errno.ts';
import {
  SO_EE_CODE_ZEROCOPY_COPIED,
  SO_EE_ORIGIN_ZEROCOPY,
  sockExtendedErr,
} from '#uapi/errqueue.ts';
import { F_SETFL, O_NONBLOCK } from '#uapi/fcntl.ts';
import { IP_RECVERR } from '#uapi/in.ts';
import { POLLERR } from '#uapi/poll.ts';
import {
  AF_INET,
  MSG_ERRQUEUE,
  MSG_FASTOPEN,
  MSG_ZEROCOPY,
  SHUT_WR,
  SO_SNDBUF,
  SO_ZEROCOPY,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOL_IP,
  SOL_SOCKET,
  SOL_TCP,
} from '#uapi/socket.ts';
import { TCP_CORK, TCP_NODELAY, TCP_ZEROCOPY_RECEIVE } from '#uapi/tcp.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

function connected(win = 1000): number {
  const lfd = rig.listen();
  rig.setInt(lfd, SOL_SOCKET, SO_ZEROCOPY, 1);
  rig.inject({ flags: 'S', options: 'mss 1000,sackOK,nop,wscale 7' });
  rig.sent();
  rig.inject({ flags: '.', seq: 1, ack: 1, win });
  const fd = rig.accept(lfd);
  rig.close(lfd);
  rig.sent();
  return fd;
}

/** `lo-hi` with the code, of every notice; the last is the negative errno. */
function notices(fd: number): (string | number)[] {
  const out: (string | number)[] = [];
  for (;;) {
    const control = new Uint8Array(128);
    const msg = { name: null, namelen: 0, iov: [], control, controllen: 128, flags: 0 };
    const n = rig.sys.recvmsg(fd, msg, MSG_ERRQUEUE);
    if (n !== 0) return [...out, n];
    const v = new DataView(control.buffer);
    expect([v.getInt32(8, true), v.getInt32(12, true)]).toEqual([SOL_IP, IP_RECVERR]);
    expect(sockExtendedErr.origin(v, 16)).toBe(SO_EE_ORIGIN_ZEROCOPY);
    expect(sockExtendedErr.errno(v, 16)).toBe(0);
    const copied = sockExtendedErr.code(v, 16) === SO_EE_CODE_ZEROCOPY_COPIED;
    const range = `${sockExtendedErr.info(v, 16)}-${sockExtendedErr.data(v, 16)}`;
    out.push(copied ? `${range} copied` : range);
  }
}

function send(fd: number, size: number, flags = MSG_ZEROCOPY): number {
  const n = rig.sys.sendto(fd, new Uint8Array(size).fill(0x62), flags, null);
  rig.settle();
  return n;
}

function map(length: number): Uint8Array {
  const memory = rig.sys.mmap(length);
  if (typeof memory === 'number') throw new Error(`mmap: ${memory}`);
  return memory;
}

function sendv(fd: number, iov: readonly Uint8Array[], flags: number): number {
  const msg = { name: null, namelen: 0, iov, control: null, controllen: 0, flags: 0 };
  const n = rig.sys.sendmsg(fd, msg, flags);
  rig.settle();
  return n;
}

function ack(to: number, win = 1000): void {
  rig.inject({ flags: '.', seq: 1, ack: to, win });
}

function reset(fd: number): void {
  rig.inject({ flags: 'R', seq: 1 });
  rig.close(fd);
}

function poll(fd: number): number {
  const revents = new Int16Array(1);
  rig.sys.poll(Int32Array.of(fd), Int16Array.of(-1), revents);
  return revents[0] as number;
}

/** Makes the device one that reads packets and lets them go, as hardware does; returns what it saw. */
function hardware(): { frames: Uint8Array[]; fragments: number[] } {
  const dev = rig.tun.dev as NetDevice;
  const seen = { frames: [] as Uint8Array[], fragments: [] as number[] };
  Object.assign(dev, {
    netdevOps: netDeviceOps({
      ...dev.netdevOps,
      ndoStartXmit: (skb: SkBuff) => {
        const frame = new Uint8Array(skb.len);
        skbCopyBits(skb, 0, frame, 0, skb.len);
        seen.frames.push(frame);
        seen.fragments.push(skb.shinfo.nrFrags);
        consumeSkb(skb, 'test');
        return 0;
      },
    }),
  });
  return seen;
}

describe('MSG_ZEROCOPY', () => {
  it('needs SO_ZEROCOPY, or copies in silence', () => {
    const fd = connected();
    rig.setInt(fd, SOL_SOCKET, SO_ZEROCOPY, 0);
    expect(send(fd, 100)).toBe(100);
    ack(101);
    expect(notices(fd)).toEqual([-EAGAIN]);
    rig.sent();
    reset(fd);
  });

  it('tells of each call when its bytes are acknowledged', () => {
    const fd = connected();
    expect(send(fd, 4000)).toBe(4000);
    expect(rig.sent().reduce((sum, s) => sum + s.len, 0)).toBe(4000);
    expect(notices(fd)).toEqual([-EAGAIN]);
    ack(4001);
    expect(poll(fd) & POLLERR).toBe(POLLERR);
    // A program reads the packets of a tun device: they had to be copied.
    expect(notices(fd)).toEqual(['0-0 copied', -EAGAIN]);
    expect(poll(fd) & POLLERR).toBe(0);
    send(fd, 4000);
    ack(8001);
    expect(notices(fd)).toEqual(['1-1 copied', -EAGAIN]);
    rig.sent();
    reset(fd);
  });

  it('copies nothing for hardware', () => {
    const fd = connected();
    const seen = hardware();
    const iov = [new Uint8Array(3000).fill(1), new Uint8Array(0), new Uint8Array(500).fill(2)];
    expect(sendv(fd, iov, MSG_ZEROCOPY)).toBe(3500);
    const bytes = seen.frames.flatMap((f) => [...f.subarray(40)]);
    expect(bytes.slice(0, 3000).every((b) => b === 1)).toBe(true);
    expect(bytes.slice(-500).every((b) => b === 2)).toBe(true);
    ack(3501);
    expect(notices(fd)).toEqual(['0-0', -EAGAIN]);
    reset(fd);
  });

  it('has one fragment a buffer, seventeen a packet', () => {
    const fd = connected();
    rig.setInt(fd, SOL_SOCKET, SO_SNDBUF, 2_000_000);
    const iov = Array.from({ length: 18 }, (_, i) => Uint8Array.of(i));
    expect(sendv(fd, iov, 0)).toBe(18);
    expect(rig.sent().map((s) => [s.flags, s.len])).toEqual([['P.', 18]]);
    ack(19);
    rig.setInt(fd, SOL_TCP, TCP_NODELAY, 1);
    expect(sendv(fd, iov, MSG_ZEROCOPY)).toBe(18);
    expect(rig.sent().map((s) => [s.flags, s.len])).toEqual([
      ['P.', 17],
      ['P.', 1],
    ]);
    ack(37);
    expect(notices(fd)).toEqual(['0-0 copied', -EAGAIN]);
    reset(fd);
  });

  it('joins notices of calls in a row', () => {
    const fd = connected();
    for (let i = 0; i < 5; i++) {
      send(fd, 1000);
      if (i === 2) send(fd, 1000, 0);
    }
    ack(6001);
    expect(notices(fd)).toEqual(['0-4 copied', -EAGAIN]);
    rig.sent();
    reset(fd);
  });

  it('shares a notice between calls that share a packet', () => {
    const fd = connected();
    hardware();
    rig.setInt(fd, SOL_TCP, TCP_CORK, 1);
    send(fd, 100);
    send(fd, 100);
    send(fd, 100, 0);
    send(fd, 100);
    rig.setInt(fd, SOL_TCP, TCP_CORK, 0);
    rig.settle();
    ack(401);
    expect(notices(fd)).toEqual(['0-2', -EAGAIN]);
    reset(fd);
  });

  it('tells of what a reset threw away', () => {
    const fd = connected();
    send(fd, 1000);
    rig.sent();
    rig.inject({ flags: 'R', seq: 1 });
    expect(notices(fd)).toEqual(['0-0 copied', -EAGAIN]);
    rig.close(fd);
  });

  it('takes no number for a call that fails', () => {
    const fd = connected();
    send(fd, 100);
    expect(rig.sys.shutdown(fd, SHUT_WR)).toBe(0);
    expect(send(fd, 100)).toBe(-EPIPE);
    rig.settle();
    rig.sent();
    rig.inject({ flags: '.', seq: 1, ack: 102, win: 1000 });
    expect(notices(fd)).toEqual(['0-0 copied', -EAGAIN]);
    reset(fd);
  });

  it('is bounded by the memory for notices', () => {
    rig.machine.initNet.sysctlOptmemMax = 2000;
    const fd = connected();
    let sent = 0;
    // Each call in a packet of its own: the window is shut.
    for (;;) {
      const n = sendv(fd, [new Uint8Array(1000)], MSG_ZEROCOPY);
      rig.sent();
      if (n < 0) {
        expect(n).toBe(-ENOBUFS);
        break;
      }
      sent += n;
      expect(sent).toBeLessThan(100_000);
    }
    ack(1 + sent);
    expect(send(fd, 10)).toBe(10);
    rig.sent();
    reset(fd);
  });

  it('survives loss, cutting and selective acknowledgement', () => {
    const fd = connected(4);
    expect(send(fd, 3000)).toBe(3000);
    rig.sent();
    ack(301, 30);
    rig.advance(1000);
    rig.inject({ flags: '.', seq: 1, ack: 301, win: 30, options: 'nop,nop,sack 1001:2001' });
    rig.advance(2000);
    ack(3001);
    expect(notices(fd)).toEqual(['0-0 copied', -EAGAIN]);
    rig.sent();
    reset(fd);
  });

  it('is not told to a socket that is closed', () => {
    const fd = connected();
    send(fd, 1000);
    rig.sent();
    rig.close(fd);
    ack(1001);
    rig.inject({ flags: 'R', seq: 1, ack: 1001 });
    rig.sent();
  });

  it('tells of what went with a SYN', () => {
    rig.machine.initNet.ipv4.sysctlTcpFastopen = TFO_CLIENT_ENABLE | TFO_CLIENT_NO_COOKIE;
    const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    rig.setInt(fd, SOL_SOCKET, SO_ZEROCOPY, 1);
    expect(rig.sys.fcntl(fd, F_SETFL, O_NONBLOCK)).toBe(0);
    const to = rig.sockaddr(REMOTE, rig.remotePort);
    const flags = MSG_FASTOPEN | MSG_ZEROCOPY;
    expect(rig.sys.sendto(fd, new Uint8Array(500), flags, to)).toBe(500);
    rig.settle();
    const name = new Uint8Array(16);
    rig.sys.getsockname(fd, name);
    rig.localPort = new DataView(name.buffer).getUint16(2);
    expect(rig.sent().map((s) => [s.flags, s.len])).toEqual([['S', 500]]);
    expect(notices(fd)).toEqual([-EAGAIN]);
    rig.inject({ flags: 'S.', ack: 501, options: 'mss 1000' });
    rig.sent();
    expect(notices(fd)).toEqual(['0-0 copied', -EAGAIN]);
    reset(fd);
  });

  it('refers to what the program has mapped, where it lies', () => {
    const fd = connected();
    const seen = hardware();
    const memory = map(3000);
    memory.fill(0x63, 0, 1000).fill(0x64, 1000);
    const before = livePages().units;
    expect(sendv(fd, [memory.subarray(0, 1000), memory.subarray(2000)], MSG_ZEROCOPY)).toBe(2000);
    const skb = tcpRtxQueueHead(rig.sock(fd)) as SkBuff;
    expect(skb.shinfo.fragPage[0]).toBe(virtToHeadPage(memory.byteOffset));
    expect(skb.shinfo.fragOffset[1]).toBe(
      memory.byteOffset + 2000 - virtToHeadPage(memory.byteOffset),
    );
    expect(seen.frames.map((frame) => frame.at(-1))).toEqual([0x63, 0x64]);
    // The program may let go of it before the peer has acknowledged it.
    expect(rig.sys.munmap(memory)).toBe(0);
    expect(livePages().units).toBeGreaterThanOrEqual(before);
    ack(2001);
    expect(notices(fd)).toEqual(['0-0', -EAGAIN]);
    reset(fd);
  });

  it('refuses mapped memory that was given back', () => {
    const fd = connected();
    const memory = map(CHUNK_SIZE + 1);
    expect(rig.sys.munmap(memory)).toBe(0);
    expect(sendv(fd, [memory], MSG_ZEROCOPY)).toBe(-EFAULT);
    reset(fd);
  });

  it('has no receiving side in getsockopt', () => {
    const fd = connected();
    const val = new Uint8Array(64);
    expect(rig.sys.getsockopt(fd, SOL_TCP, TCP_ZEROCOPY_RECEIVE, val)).toBe(-ENOPROTOOPT);
    reset(fd);
  });
});

describe('mapped memory', () => {
  it('is zeroed, of the length asked for, and goes back once', () => {
    const before = livePages().bytes;
    const memory = map(100_000);
    expect([memory.length, memory.every((byte) => byte === 0)]).toEqual([100_000, true]);
    expect(livePages().bytes).toBe(before + BLOCK_SIZE);
    expect(rig.sys.munmap(memory)).toBe(0);
    expect(livePages().bytes).toBe(before);
    expect(rig.sys.munmap(memory)).toBe(-EINVAL);
    expect(rig.sys.munmap(new Uint8Array(10))).toBe(-EINVAL);
  });

  it.each([
    [0, -EINVAL],
    [-1, -EINVAL],
    [1.5, -EINVAL],
    [BLOCK_SIZE + 1, -ENOMEM],
  ])('is not to be had of %d bytes', (length, errno) => {
    expect(rig.sys.mmap(length)).toBe(errno);
  });

  it('goes back when the program exits', () => {
    const before = livePages().bytes;
    const task = createTask(rig.machine, 'short', rig.machine.initNet);
    const sys = makeSyscalls(task);
    sys.mmap(10_000);
    sys.mmap(10);
    expect(livePages().bytes).toBeGreaterThan(before);
    sys.exit(0);
    expect(livePages().bytes).toBe(before);
  });
});

describe('receiving pages', () => {
  function text(pages: readonly Uint8Array[]): string {
    return pages.map((page) => String.fromCharCode(...page)).join('');
  }

  function take(fd: number, max = 1 << 20): { n: number; text: string; pages: Uint8Array[] } {
    const pages: Uint8Array[] = [];
    const n = rig.sys.recvPages(fd, max, pages);
    return { n, text: text(pages), pages };
  }

  function giveBack(pages: readonly Uint8Array[]): void {
    for (const page of pages) expect(rig.sys.munmap(page)).toBe(0);
  }

  const data = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0));

  it('gives the bytes in order, as far as they are wanted, and the end', () => {
    const fd = connected();
    expect(take(fd).n).toBe(-EAGAIN);
    rig.inject({ flags: 'P.', seq: 1, ack: 1, data: data('hello ') });
    rig.inject({ flags: 'P.', seq: 7, ack: 1, data: data('world') });
    const first = take(fd, 8);
    expect([first.n, first.text]).toEqual([8, 'hello wo']);
    const second = take(fd);
    expect([second.n, second.text]).toEqual([3, 'rld']);
    // What was taken stays where it is, whatever comes after it.
    rig.inject({ flags: 'P.', seq: 12, ack: 1, data: data('!') });
    expect(first.text).toBe(text(first.pages));
    const third = take(fd);
    rig.inject({ flags: 'F.', seq: 13, ack: 1 });
    expect(take(fd).n).toBe(0);
    giveBack([...first.pages, ...second.pages, ...third.pages]);
    rig.sent();
    reset(fd);
  });

  it('opens the window again, as reading does', () => {
    const fd = connected();
    const sk = rig.sock(fd);
    rig.inject({ flags: 'P.', seq: 1, ack: 1, data: 1000 });
    expect(sk.skRmemAlloc).toBeGreaterThan(0);
    const { pages } = take(fd);
    expect(sk.skRmemAlloc).toBe(0);
    expect((sk.rcvNxt - sk.copiedSeq) | 0).toBe(0);
    giveBack(pages);
    rig.sent();
    reset(fd);
  });

  it('says on which CPU the flow is read, as reading does', () => {
    const { initNet, netGlobals } = rig.machine;
    expect(initNet.sysctl.write('net.core.rps_sock_flow_entries', '64')).toBe(0);
    const fd = connected();
    rig.sock(fd).skRxhash = 5;
    expect(netGlobals.rpsSockFlowTable?.ents[5]).toBe(RPS_NO_CPU);
    take(fd);
    expect(netGlobals.rpsSockFlowTable?.ents[5]).not.toBe(RPS_NO_CPU);
    expect(initNet.sysctl.write('net.core.rps_sock_flow_entries', '0')).toBe(0);
    reset(fd);
  });

  it('passes them on to another connection without a copy', () => {
    const fd = connected();
    rig.inject({ flags: 'P.', seq: 1, ack: 1, data: data('through') });
    const { pages } = take(fd);
    const [page] = pages as [Uint8Array];
    expect(sendv(fd, pages, MSG_ZEROCOPY)).toBe(7);
    giveBack(pages);
    const skb = tcpRtxQueueHead(rig.sock(fd)) as SkBuff;
    expect((skb.shinfo.fragPage[0] as number) + (skb.shinfo.fragOffset[0] as number)).toBe(
      page.byteOffset,
    );
    expect(rig.texts()).toContainEqual(expect.stringMatching(/^P\. 1:8\(7\)/));
    rig.inject({ flags: '.', seq: 8, ack: 8 });
    expect(notices(fd)).toEqual(['0-0 copied', -EAGAIN]);
    reset(fd);
  });

  it('is for connections only, and for so many bytes', () => {
    expect(take(99).n).toBe(-EBADF);
    const fd = connected();
    rig.inject({ flags: 'P.', seq: 1, ack: 1, data: 10 });
    for (const max of [-1, 1.5, Number.NaN]) expect(take(fd, max).n).toBe(-EINVAL);
    expect(take(fd, 0).n).toBe(0);
    reset(fd);
    const udp = rig.sys.socket(AF_INET, SOCK_DGRAM, 0);
    expect(take(udp).n).toBe(-EOPNOTSUPP);
    const closed = rig.open();
    expect(take(closed).n).toBe(-ENOTCONN);
    const listening = rig.listen();
    expect(take(listening).n).toBe(-ENOTCONN);
  });
});
