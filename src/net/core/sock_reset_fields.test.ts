import { describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { TcpSock } from '#include/linux/tcp.ts';
import { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { Proto } from '#include/net/sock.ts';
import { sockDefCallbacks } from '#net/core/sock.ts';
import { protoNothing } from '#net/core/sock_proto.ts';
import {
  resetRequestSock,
  resetTcpSock,
  reviveRequestSock,
  reviveTcpSock,
} from '#net/core/sock_reset_fields.ts';
import { tcpRequestSockOps } from '#net/ipv4/tcp_ipv4_conn.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { AF_INET, SOCK_STREAM } from '#uapi/socket.ts';

type Fields = Record<string, unknown>;

/** Timers that stay with the socket. */
const KEPT: readonly string[] = ['icskRetransmitTimer', 'icskDelackTimer'];

/** Puts into every field what no constructor puts there. */
function soil(target: object, shared: readonly string[]): void {
  const fields = target as Fields;
  for (const [i, key] of Object.keys(target).entries()) {
    const value = fields[key];
    if (shared.includes(key)) continue;
    if (typeof value === 'number') fields[key] = 1000 + i;
    else if (typeof value === 'boolean') fields[key] = !value;
    else if (typeof value === 'function') fields[key] = () => i;
    else if (value === null) fields[key] = { soiled: i };
    else soil(value as object, []);
  }
}

describe('a TCP socket that is used again', () => {
  it('has in each field what the constructor puts there', () => {
    const m = new BareMachine();
    const sock = (): TcpSock => new TcpSock(m.machine.initNet, AF_INET, prot, sockDefCallbacks);
    const prot: Proto = { ...protoNothing, name: 'TEST', alloc: sock };
    const [fresh, used] = [sock(), sock()];
    soil(used, ['net', 'skProt', 'sockRare', 'tcpRare']);
    used.sockRare = { ...used.sockRare } as typeof used.sockRare;
    used.tcpRare = { ...used.tcpRare } as typeof used.tcpRare;
    const timers = KEPT.map((key) => (used as unknown as Fields)[key]);
    resetTcpSock(used, m.machine.initNet, AF_INET, prot, sockDefCallbacks);
    expect(used.refcnt).toBe(0);
    reviveTcpSock(used, m.machine.initNet, AF_INET, prot);
    const [want, got] = [fresh, used] as unknown as [Fields, Fields];
    for (const key of Object.keys(fresh).filter((name) => !KEPT.includes(name))) {
      expect([key, got[key]]).toEqual([key, want[key]]);
    }
    expect([used.sockRare, used.tcpRare]).toEqual([fresh.sockRare, fresh.tcpRare]);
    expect(KEPT.map((key) => got[key])).toEqual(timers);
    expect(m.end()).toEqual({});
  });

  it('leaves requests as new as sockets', () => {
    const m = new BareMachine();
    const { initNet } = m.machine;
    const make = (): RequestSock => new RequestSock(initNet, AF_INET, tcpRequestSockOps, null);
    const [fresh, used] = [make(), make()];
    soil(used, ['net', 'rskOps', 'rskTimer']);
    resetRequestSock(used, initNet, 0, tcpRequestSockOps);
    reviveRequestSock(used, initNet, AF_INET, tcpRequestSockOps);
    expect({ ...used }).toEqual({ ...fresh });
    expect(m.end()).toEqual({});
  });

  it('is the one that was closed last, and knows nothing of what it was', () => {
    const rig = new TcpRig();
    const plain = (sk: TcpSock): [string, unknown][] =>
      Object.entries(sk).filter(([key, value]) => typeof value !== 'object' && key !== 'skIno');
    const first = rig.sys.socket(AF_INET, SOCK_STREAM, 0);
    const sk = rig.sock(first);
    const before = plain(sk);
    rig.sys.close(first);
    const { fd, lfd } = rig.accepted();
    rig.sys.sendto(fd, new Uint8Array(5000), 0, null);
    rig.close(fd);
    rig.close(lfd);
    rig.advance(200_000);
    const { tcpSlab } = rig.machine.netGlobals;
    const { free } = tcpSlab;
    expect(free).toBeGreaterThan(0);
    const again = rig.sock(rig.sys.socket(AF_INET, SOCK_STREAM, 0));
    expect(plain(again)).toEqual(before);
    expect(tcpSlab.free).toBe(free - 1);
    expect(rig.end()).toEqual({});
  });
});
