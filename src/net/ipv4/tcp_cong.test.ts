import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DstEntry } from '#include/net/dst.ts';
import { FibInfo } from '#include/net/ip_fib.ts';
import type { TcpCongestionOps } from '#include/net/tcp.ts';
import { ipFibMetricsInit } from '#net/ipv4/metrics.ts';
import { tcpBbrCongOps } from '#net/ipv4/tcp_bbr.ts';
import {
  tcpCaDstInit,
  tcpGetAllowedCongestionControl,
  tcpGetAvailableCongestionControl,
  tcpRegisterCongestionControl,
  tcpReno,
  tcpSetAllowedCongestionControl,
  tcpSetCongestionControl,
  tcpSetDefaultCongestionControl,
  tcpUnregisterCongestionControl,
} from '#net/ipv4/tcp_cong.ts';
import { cubictcp } from '#net/ipv4/tcp_cubic.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { EEXIST, EINVAL, ENOENT, EPERM } from '#uapi/errno.ts';
import { RTAX_CC_ALGO, RTAX_LOCK } from '#uapi/rtnetlink.ts';
import { AF_INET, SOCK_STREAM, SOL_TCP } from '#uapi/socket.ts';
import { TCP_CONGESTION } from '#uapi/tcp.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

/** An algorithm that halves the window on loss and is not for everyone. */
const restricted: TcpCongestionOps = { ...tcpReno, name: 'mine', flags: 0 };

describe('the registry', () => {
  it('refuses what is twice there, has no rule of growth or too long a name', () => {
    const { machine } = rig;
    expect(tcpRegisterCongestionControl(machine, cubictcp)).toBe(-EEXIST);
    expect(tcpRegisterCongestionControl(machine, { ...restricted, congAvoid: null })).toBe(-EINVAL);
    expect(tcpRegisterCongestionControl(machine, { ...restricted, name: 'x'.repeat(16) })).toBe(
      -EINVAL,
    );
    expect(tcpGetAvailableCongestionControl(machine)).toBe('reno cubic bbr dctcp');
    expect(tcpRegisterCongestionControl(machine, restricted)).toBe(0);
    expect(tcpGetAvailableCongestionControl(machine)).toBe('reno cubic bbr dctcp mine');
    tcpUnregisterCongestionControl(machine, restricted);
    expect(tcpGetAvailableCongestionControl(machine)).toBe('reno cubic bbr dctcp');
  });

  it('lets programs choose what is allowed to them', () => {
    const { machine } = rig;
    tcpRegisterCongestionControl(machine, restricted);
    expect(tcpGetAllowedCongestionControl(machine)).toBe('reno cubic bbr');
    const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    const sk = rig.sock(fd);
    expect(tcpSetCongestionControl(sk, 'mine', false)).toBe(-EPERM);
    expect(tcpSetCongestionControl(sk, 'mine', true)).toBe(0);
    expect(tcpSetCongestionControl(sk, 'nosuch', true)).toBe(-ENOENT);
    expect(tcpSetAllowedCongestionControl(machine, 'mine nosuch')).toBe(-ENOENT);
    expect(tcpSetAllowedCongestionControl(machine, ' mine  cubic ')).toBe(0);
    expect(tcpSetCongestionControl(sk, 'reno', false)).toBe(-EPERM);
    expect(tcpSetCongestionControl(sk, 'cubic', false)).toBe(0);
    rig.close(fd);
  });

  it('lets a socket change over, in both directions of the call', () => {
    const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    const name = new TextEncoder().encode('bbr');
    expect(rig.sys.setsockopt(fd, SOL_TCP, TCP_CONGESTION, name)).toBe(0);
    const out = new Uint8Array(16);
    expect(rig.sys.getsockopt(fd, SOL_TCP, TCP_CONGESTION, out)).toBe(16);
    expect(new TextDecoder().decode(out.subarray(0, 4))).toBe('bbr\0');
    expect(rig.sock(fd).icskCaOps).toBe(tcpBbrCongOps);
    rig.close(fd);
  });

  it('gives new sockets the default of their namespace', () => {
    const net = rig.machine.initNet;
    expect(tcpSetDefaultCongestionControl(net, 'nosuch')).toBe(-ENOENT);
    expect(tcpSetDefaultCongestionControl(net, 'reno')).toBe(0);
    const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    expect(rig.sock(fd).icskCaOps).toBe(tcpReno);
    rig.close(fd);
  });
});

describe('a route', () => {
  /** RTA_METRICS with one RTAX_CC_ALGO. */
  function metrics(name: string): Uint8Array {
    const len = 4 + name.length + 1;
    const nla = new Uint8Array((len + 3) & ~3);
    const v = new DataView(nla.buffer);
    v.setUint16(0, len, true);
    v.setUint16(2, RTAX_CC_ALGO, true);
    nla.set(new TextEncoder().encode(name), 4);
    return nla;
  }

  it('names the algorithm of its connections, and may forbid another', () => {
    const net = rig.machine.initNet;
    for (const ops of [cubictcp, tcpReno, tcpBbrCongOps]) {
      const fi = new FibInfo(net);
      expect(ipFibMetricsInit(fi, metrics(ops.name), null)).toBe(0);
      const dst = { metrics: fi.fibMetrics } as unknown as DstEntry;
      dst.metrics[RTAX_LOCK] = 1 << RTAX_CC_ALGO;
      const fd = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
      const sk = rig.sock(fd);
      tcpCaDstInit(sk, dst);
      expect(sk.icskCaOps).toBe(ops);
      expect(tcpSetCongestionControl(sk, 'cubic', true)).toBe(-EPERM);
      rig.close(fd);
    }
    expect(ipFibMetricsInit(new FibInfo(net), metrics('nosuch'), null)).toBe(-EINVAL);
  });
});
