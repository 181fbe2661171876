import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  TCP_METRIC_CWND,
  TCP_METRIC_RTT,
  TCP_METRIC_RTTVAR,
  type TcpMetricsBlock,
} from '#include/net/tcp_metrics.ts';
import { tcpMetricsDelete, tcpMetricsFind, tcpMetricsFlushAll } from '#net/ipv4/tcp_metrics.ts';
import { LOCAL, REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

/** A connection whose SYN-ACK takes `rtt` ms to be acknowledged, from open to TIME-WAIT. */
function connection(rtt: number): { firstRto: number } {
  rig.localPort++;
  const lfd = rig.listen();
  rig.inject({ flags: 'S', options: 'mss 1460,sackOK,nop,wscale 7' });
  rig.sent();
  rig.advance(rtt);
  rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
  const fd = rig.accept(lfd);
  const firstRto = rig.sock(fd).icskRto;
  rig.close(lfd);
  rig.close(fd);
  rig.advance(rtt);
  rig.inject({ flags: 'F.', seq: 1, ack: 2, win: 1000 });
  rig.sent();
  return { firstRto };
}

function entry(): TcpMetricsBlock | null {
  return tcpMetricsFind(rig.machine.initNet, LOCAL, REMOTE);
}

function rttMs(): number {
  return (entry()?.vals[TCP_METRIC_RTT] ?? -8000) / 8000;
}

describe('the metrics of a destination', () => {
  it('are kept when a connection ends', () => {
    expect(entry()).toBeNull();
    connection(80);
    expect(rttMs()).toBe(80);
    expect(entry()?.vals[TCP_METRIC_RTTVAR]).toBeGreaterThan(0);
    expect(entry()?.vals[TCP_METRIC_CWND]).toBe(10);
  });

  it('follow a longer round trip time at once, a shorter one slowly', () => {
    connection(80);
    connection(160);
    expect(rttMs()).toBe(160);
    connection(80);
    expect(rttMs()).toBe(150);
  });

  it('give the next connection its first timeout', () => {
    connection(400);
    // The SYN-ACK says 10 ms: the RTO of data is three times what is known.
    expect(connection(10).firstRto).toBe(1200);
  });

  it('are not kept where the settings forbid it', () => {
    rig.machine.initNet.ipv4.sysctlTcpNometricsSave = 1;
    connection(80);
    expect(entry()).toBeNull();
  });

  it('are void after an hour', () => {
    connection(400);
    rig.advance(60 * 60 * 1000 + 1);
    expect(connection(10).firstRto).toBeLessThan(300);
  });

  it('can be forgotten, one by one or all', () => {
    const net = rig.machine.initNet;
    connection(80);
    expect(tcpMetricsDelete(net, LOCAL + 1, REMOTE)).toBe(false);
    expect(tcpMetricsDelete(net, null, REMOTE)).toBe(true);
    expect(entry()).toBeNull();
    connection(80);
    tcpMetricsFlushAll(net);
    expect(entry()).toBeNull();
  });
});
