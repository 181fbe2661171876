import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Cpu } from '#kernel/cpu.ts';
import {
  IpMachine,
  int32,
  ipPacket,
  sin,
  udpBytes,
  type WireDevice,
} from '#net/ipv4/testing/ip_machine.ts';
import { EAGAIN } from '#uapi/errno.ts';
import { AF_INET, SO_INCOMING_CPU, SO_REUSEPORT, SOCK_DGRAM, SOL_SOCKET } from '#uapi/socket.ts';

let m: IpMachine;
let eth0: WireDevice;

beforeEach(() => {
  m = new IpMachine('m', 1, 2);
  eth0 = m.device('eth0', '10.0.0.1', 24);
});

afterEach(() => m.end());

function member(cpu: number | null): number {
  const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(m.sys.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, int32(1))).toBe(0);
  if (cpu !== null) expect(m.sys.setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, int32(cpu))).toBe(0);
  expect(m.sys.bind(fd, sin('0.0.0.0', 9))).toBe(0);
  return fd;
}

/** A datagram of another flow each time, processed on a CPU. */
function arrive(sport: number, cpu: number): void {
  m.machine.cpu = m.machine.cpus[cpu] as Cpu;
  const payload = udpBytes('10.0.0.2', '10.0.0.1', sport, 9, [cpu]);
  m.rx(eth0, ipPacket({ src: '10.0.0.2', dst: '10.0.0.1', payload }));
}

/** The CPU of each datagram that waits. */
function drain(fd: number): number[] {
  const out: number[] = [];
  const buf = new Uint8Array(4);
  while (m.sys.recvfrom(fd, buf, 0, null) !== -EAGAIN) out.push(buf[0] as number);
  return out;
}

describe('SO_INCOMING_CPU in a group of sockets', () => {
  it('gives each member what its CPU has processed', () => {
    const [first, second] = [member(1), member(0)];
    for (let port = 1; port <= 20; port++) arrive(port, port & 1);
    expect(drain(first)).toEqual(new Array(10).fill(1));
    expect(drain(second)).toEqual(new Array(10).fill(0));
  });

  it('is not looked at when no member has asked, nor when those that did are gone', () => {
    const [first, second] = [member(null), member(null)];
    expect(m.sys.setsockopt(first, SOL_SOCKET, SO_INCOMING_CPU, int32(1))).toBe(0);
    for (let port = 1; port <= 20; port++) arrive(port, 1);
    expect([drain(first).length, drain(second).length]).toEqual([20, 0]);
    expect(m.sys.setsockopt(first, SOL_SOCKET, SO_INCOMING_CPU, int32(-1))).toBe(0);
    for (let port = 1; port <= 20; port++) arrive(port, 1);
    const counts = [drain(first).length, drain(second).length];
    expect(Math.min(...counts)).toBeGreaterThan(3);
    const third = member(1);
    m.sys.close(third);
    for (let port = 1; port <= 20; port++) arrive(port, 1);
    expect([drain(first).length, drain(second).length]).toEqual(counts);
  });
});
