import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NET_XMIT_DROP } from '#include/linux/netdevice.ts';
import type { InetConnectionSockAfOps } from '#include/net/inet_connection_sock.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { ECONNRESET, ETIMEDOUT } from '#uapi/errno.ts';
import { SKB_DROP_REASON_QDISC_DROP } from '#uapi/net_dropreason.ts';
import {
  LINUX_MIB_DELAYEDACKS,
  LINUX_MIB_TCPKEEPALIVE,
  LINUX_MIB_TCPWINPROBE,
} from '#uapi/snmp.ts';
import { SO_KEEPALIVE, SOL_SOCKET, SOL_TCP } from '#uapi/socket.ts';
import {
  TCP_ESTABLISHED,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_NODELAY,
  TCP_RTO_MAX_MS,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
} from '#uapi/tcp.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

/** A connection whose handshake took `rttMs`. */
function established(rttMs: number, options = 'mss 1460,sackOK,nop,wscale 7'): number {
  const lfd = rig.listen();
  rig.inject({ flags: 'S', options });
  rig.sent();
  rig.advance(rttMs);
  rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
  const fd = rig.accept(lfd);
  rig.close(lfd);
  return fd;
}

/** The error that the socket has pending. */
function errorOf(fd: number): number {
  const val = new Uint8Array(4);
  rig.sys.getsockopt(fd, SOL_SOCKET, 4, val);
  return val[0] ?? 0;
}

/** Steps through time, and notes when each segment leaves. */
function departures(totalMs: number, stepMs: number): number[] {
  const start = rig.nowMs;
  const out: number[] = [];
  while (rig.nowMs - start < totalMs) {
    rig.advance(stepMs);
    const n = rig.sent().length;
    for (let i = 0; i < n; i++) out.push(Math.round(rig.nowMs - start));
  }
  return out;
}

describe('the SYN', () => {
  it('is sent at a steady pace first, then backed off, for 131 s', () => {
    const fd = rig.connect();
    expect(rig.sent()).toHaveLength(1);
    expect(departures(132_000, 100)).toEqual([
      1000, 2000, 3000, 4000, 5000, 7000, 11000, 19000, 35000, 67000,
    ]);
    expect(errorOf(fd)).toBe(ETIMEDOUT);
    rig.close(fd);
  });

  it('is sent as often as TCP_SYNCNT says', () => {
    const fd = rig.connect();
    rig.sent();
    rig.setInt(fd, SOL_TCP, TCP_SYNCNT, 1);
    rig.machine.initNet.ipv4.sysctlTcpSynLinearTimeouts = 0;
    expect(departures(8000, 100)).toEqual([1000]);
    expect(errorOf(fd)).toBe(ETIMEDOUT);
    rig.close(fd);
  });
});

describe('retransmission', () => {
  it('probes the tail, then backs off from the RTO', () => {
    const fd = established(50);
    rig.setInt(fd, SOL_TCP, TCP_NODELAY, 1);
    rig.write(fd, 1000);
    rig.sent();
    // srtt 50 ms, rttvar 200 ms at the least. TLP after 2 srtt + 200 ms; its RTO is 250 ms.
    const times = departures(10_000, 10);
    expect(times.slice(0, 5)).toEqual([250, 500, 1000, 2000, 4000]);
    rig.inject({ flags: '.', seq: 1, ack: 1001, win: 1000 });
    rig.close(fd);
  });

  it('gives up after tcp_retries2, about 924 s, with ETIMEDOUT', () => {
    const fd = established(50);
    rig.write(fd, 1000);
    rig.advance(900_000);
    expect(rig.sock(fd).skcState).toBe(TCP_ESTABLISHED);
    rig.advance(200_000);
    expect(errorOf(fd)).toBe(ETIMEDOUT);
    rig.close(fd);
  });

  it('gives up at TCP_USER_TIMEOUT', () => {
    const fd = established(50);
    rig.setInt(fd, SOL_TCP, TCP_USER_TIMEOUT, 3000);
    rig.write(fd, 1000);
    rig.advance(3200);
    expect(errorOf(fd)).toBe(0);
    rig.advance(400);
    expect(errorOf(fd)).toBe(ETIMEDOUT);
    rig.close(fd);
  });

  it('never waits longer than TCP_RTO_MAX_MS', () => {
    const fd = established(50);
    rig.setInt(fd, SOL_TCP, TCP_RTO_MAX_MS, 1000);
    rig.write(fd, 1000);
    rig.sent();
    const times = departures(10_000, 10);
    const gaps = times.slice(1).map((t, i) => t - (times[i] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(1010);
    rig.inject({ flags: 'R.', seq: 1, ack: 1 });
    expect(errorOf(fd)).toBe(ECONNRESET);
    rig.close(fd);
  });
});

describe('a closed window', () => {
  it('is probed with an old byte, backed off, as long as the peer answers', () => {
    const fd = established(50);
    // The peer closes its window, then there is something to send.
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 0, data: 0 });
    rig.write(fd, 500);
    expect(rig.sent()).toEqual([]);
    const start = rig.nowMs;
    const at: number[] = [];
    for (let i = 0; i < 400; i++) {
      rig.advance(50);
      for (const s of rig.sent()) {
        at.push(Math.round(rig.nowMs - start));
        expect(s.text).toBe('. 0:0(0) ack 1 win 63');
        rig.inject({ flags: '.', seq: 1, ack: 1, win: 0 });
      }
    }
    const gaps = at.map((t, i) => t - (at[i - 1] ?? 0));
    expect(gaps.slice(0, 5)).toEqual([250, 500, 1000, 2000, 4000]);
    expect(rig.mib(LINUX_MIB_TCPWINPROBE)).toBe(at.length);
    // It opens: the data goes.
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
    expect(rig.texts()).toEqual(['P. 1:501(500) ack 1 win 63']);
    rig.inject({ flags: 'R', seq: 1 });
    rig.close(fd);
  });

  it('is probed each half second, without backing off, while our own queue drops the probes', () => {
    const fd = established(50);
    rig.inject({ flags: '.', seq: 1, ack: 1, win: 0, data: 0 });
    rig.write(fd, 500);
    const sk = rig.sock(fd);
    const ops = sk.icskAfOps as InetConnectionSockAfOps;
    const drops: number[] = [];
    const start = rig.nowMs;
    sk.icskAfOps = {
      ...ops,
      queueXmit: (_sk, skb) => {
        drops.push(Math.round(rig.nowMs - start));
        kfreeSkb(skb, SKB_DROP_REASON_QDISC_DROP, 'test');
        return NET_XMIT_DROP;
      },
    };
    for (let i = 0; i < 40; i++) rig.advance(50);
    const gaps = drops.map((t, i) => t - (drops[i - 1] ?? 0));
    expect(gaps).toEqual([250, 500, 500, 500]);
    expect(sk.icskBackoff).toBe(0);
    // The queue has room again: now it backs off.
    sk.icskAfOps = ops;
    rig.advance(500);
    expect(rig.texts()).toEqual(['. 0:0(0) ack 1 win 63']);
    expect(sk.icskBackoff).toBe(1);
    rig.inject({ flags: 'R', seq: 1 });
    rig.close(fd);
  });
});

describe('keepalive', () => {
  it('probes an idle connection and resets it when nobody answers', () => {
    const fd = established(50);
    rig.setInt(fd, SOL_TCP, TCP_KEEPIDLE, 10);
    rig.setInt(fd, SOL_TCP, TCP_KEEPINTVL, 3);
    rig.setInt(fd, SOL_TCP, TCP_KEEPCNT, 2);
    rig.setInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    rig.sent();
    const start = rig.nowMs;
    const log: string[] = [];
    for (let i = 0; i < 200; i++) {
      rig.advance(100);
      for (const s of rig.sent())
        log.push(`${Math.round((rig.nowMs - start) / 100)} ${s.flags} ${s.seq}`);
    }
    expect(log).toEqual(['100 . 0', '130 . 0', '160 R. 1']);
    expect(rig.mib(LINUX_MIB_TCPKEEPALIVE)).toBe(2);
    expect(errorOf(fd)).toBe(ETIMEDOUT);
    rig.close(fd);
  });

  it('goes on quietly while the peer answers', () => {
    const fd = established(50);
    rig.setInt(fd, SOL_TCP, TCP_KEEPIDLE, 10);
    rig.setInt(fd, SOL_TCP, TCP_KEEPINTVL, 3);
    rig.setInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    rig.sent();
    let probes = 0;
    for (let i = 0; i < 1000; i++) {
      rig.advance(100);
      for (const _ of rig.sent()) {
        probes++;
        rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
      }
    }
    expect(probes).toBe(10);
    expect(rig.sock(fd).skcState).toBe(TCP_ESTABLISHED);
    rig.inject({ flags: 'R', seq: 1 });
    rig.close(fd);
  });
});

describe('a delayed ACK', () => {
  it('waits 40 ms when the exchange is interactive', () => {
    const fd = established(50);
    // The first data of a connection is acknowledged at once.
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 100 });
    rig.read(fd);
    expect(rig.sent().map((s) => s.ack)).toEqual([101]);
    // An answer makes it a conversation: from here on ACKs wait to ride on data.
    rig.write(fd, 100);
    rig.sent();
    rig.inject({ flags: 'P.', seq: 101, ack: 101, win: 1000, data: 100 });
    rig.read(fd);
    expect(rig.sent()).toEqual([]);
    expect(departures(100, 1)).toEqual([40]);
    expect(rig.mib(LINUX_MIB_DELAYEDACKS)).toBe(1);
    rig.inject({ flags: 'R', seq: 201 });
    rig.close(fd);
  });

  it('rides on an answer that comes in time', () => {
    const fd = established(50);
    rig.inject({ flags: 'P.', seq: 1, ack: 1, win: 1000, data: 100 });
    rig.read(fd);
    rig.write(fd, 100);
    rig.sent();
    rig.inject({ flags: 'P.', seq: 101, ack: 101, win: 1000, data: 100 });
    rig.read(fd);
    rig.advance(20);
    rig.write(fd, 100);
    expect(rig.sent().map((s) => [s.len, s.ack])).toEqual([[100, 201]]);
    rig.advance(30);
    expect(rig.sent()).toEqual([]);
    rig.inject({ flags: 'R', seq: 201 });
    rig.close(fd);
  });
});
