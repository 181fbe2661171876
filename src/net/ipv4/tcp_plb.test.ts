import { afterEach, beforeEach, expect, it } from 'vitest';
import type { TcpSock } from '#include/linux/tcp.ts';
import { CA_EVENT_LOSS, CA_EVENT_TX_START } from '#include/net/tcp.ts';
import { tcpSetDefaultCongestionControl } from '#net/ipv4/tcp_cong.ts';
import { dctcpOps } from '#net/ipv4/tcp_dctcp.ts';
import { tcpGetInfo } from '#net/ipv4/tcp_info.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { LINUX_MIB_TCPPLBREHASH } from '#uapi/snmp.ts';
import { newTcpInfo } from '#uapi/tcp_info.ts';

let rig: TcpRig;
let fds: readonly number[];
let sk: TcpSock;
let paths: Set<number>;

beforeEach(() => {
  rig = new TcpRig();
  const { ipv4 } = rig.machine.initNet;
  expect(tcpSetDefaultCongestionControl(rig.machine.initNet, 'dctcp')).toBe(0);
  ipv4.sysctlTcpPlbEnabled = 1;
  ipv4.sysctlTcpPlbIdleRehashRounds = 0;
  const lfd = rig.listen();
  rig.inject({ flags: 'SEW', options: 'mss 1000,sackOK', win: 65535 });
  rig.sent();
  rig.inject({ flags: '.', seq: 1, ack: 1, win: 1000 });
  const fd = rig.accept(lfd);
  fds = [fd, lfd];
  sk = rig.sock(fd);
  paths = new Set([sk.skTxhash]);
});

afterEach(() => {
  for (const fd of fds) rig.close(fd);
  expect(rig.end()).toEqual({});
});

/** Round trips of 100 packets; how often the path was changed in all. */
function rounds(count: number, marked: number): number {
  for (let i = 0; i < count; i++) {
    sk.delivered += 100;
    sk.deliveredCe += marked;
    dctcpOps.inAckEvent?.(sk, 0);
    paths.add(sk.skTxhash);
  }
  const info = newTcpInfo();
  tcpGetInfo(sk, info);
  expect(info.rehash).toBe(paths.size - 1);
  expect(rig.mib(LINUX_MIB_TCPPLBREHASH)).toBe(paths.size - 1);
  return paths.size - 1;
}

it('changes the path after twelve rounds of congestion in a row', () => {
  expect(rounds(11, 50)).toBe(0);
  expect(rounds(1, 49)).toBe(0);
  expect(rounds(11, 50)).toBe(0);
  expect(rounds(1, 50)).toBe(1);
  expect(rounds(11, 100)).toBe(1);
  expect(rounds(1, 100)).toBe(2);
});

it('does so after three when nothing is on its way', () => {
  rig.machine.initNet.ipv4.sysctlTcpPlbIdleRehashRounds = 3;
  sk.packetsOut = 1;
  expect(rounds(5, 80)).toBe(0);
  sk.packetsOut = 0;
  dctcpOps.cwndEvent?.(sk, CA_EVENT_TX_START);
  paths.add(sk.skTxhash);
  expect(rounds(0, 0)).toBe(1);
});

it('leaves it alone for one to two minutes after a timeout', () => {
  dctcpOps.cwndEvent?.(sk, CA_EVENT_LOSS);
  expect(rounds(30, 100)).toBe(0);
  rig.advance(59_000);
  expect(rounds(30, 100)).toBe(0);
  rig.advance(61_000);
  expect(rounds(1, 100)).toBe(1);
});

it('counts afresh on a socket that is disconnected', () => {
  expect(rounds(12, 100)).toBe(1);
  expect(rig.sys.connect(fds[0] as number, new Uint8Array(16))).toBe(0);
  const info = newTcpInfo();
  tcpGetInfo(sk, info);
  expect(info.rehash).toBe(0);
});

it('does nothing unless it is wanted', () => {
  rig.machine.initNet.ipv4.sysctlTcpPlbEnabled = 0;
  expect(rounds(100, 100)).toBe(0);
});
