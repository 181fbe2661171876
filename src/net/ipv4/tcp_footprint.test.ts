import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TcpOptionsReceived, type TcpSock } from '#include/linux/tcp.ts';
import { tcpMinRtt } from '#include/net/tcp_inlines.ts';
import {
  inetBindBucketCreate,
  inetBindBucketDestroy,
  inetBindBucketFind,
  tcpGetHashinfo,
} from '#net/ipv4/inet_hashtables_bind.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';

let rig: TcpRig;

beforeEach(() => {
  rig = new TcpRig();
  // No clock at zero: what is set to the time must not look as if it had not been.
  rig.advance(5000);
});

afterEach(() => {
  expect(rig.end()).toEqual({});
});

/** Objects that the socket has besides those that it always has, and those that it shares. */
function owned(sk: TcpSock): string[] {
  return [
    sk.sockRare.owner === sk ? 'sockRare' : '',
    sk.tcpRare.owner === sk ? 'tcpRare' : '',
    sk.icskCaPriv === null ? '' : 'icskCaPriv',
    sk.icskDelackTimer === null ? '' : 'icskDelackTimer',
    sk.outOfOrderQueueEmpty ? '' : 'outOfOrderQueue',
    ...Object.entries(sk)
      .filter(([, value]) => Array.isArray(value) || ArrayBuffer.isView(value))
      .map(([name]) => name),
  ].filter((name) => name !== '');
}

describe('what an idle connection owns', () => {
  it('is no record of rare things, nor a state of its congestion control, where it connected', () => {
    const sk = rig.sock(rig.connect());
    rig.sent();
    const options = 'mss 1460,sackOK,nop,nop,nop,wscale 7';
    rig.inject({ flags: 'S.', ack: 1, win: 1000, options });
    expect(sk.skcState).toBe(TCP_ESTABLISHED);
    expect(owned(sk)).toEqual([]);
  });

  it('nor where it was accepted, where there is no timer either', () => {
    const { fd, lfd } = rig.accepted();
    const passive = rig.sock(fd);
    expect(passive.icskRetransmitTimer).toBeNull();
    expect(owned(passive)).toEqual([]);
    rig.close(lfd);
  });

  it('is no double in place of a small integer', () => {
    const { fd, lfd } = rig.accepted();
    for (const sk of [rig.sock(fd), rig.sock(lfd)]) {
      const { t0, v0, t1, v1, t2, v2 } = sk.rttMin;
      for (const n of [sk.sndCwndClamp, sk.appLimited, t0, v0, t1, v1, t2, v2]) {
        expect(n).toBe(n | 0);
      }
    }
    // As tcp_info shows it before the first measurement.
    expect(tcpMinRtt(rig.sock(lfd))).toBe(0xffffffff);
  });
});

describe('the options of a connection', () => {
  it('lie in one word without touching each other', () => {
    const nibble = fc.nat(15);
    const options = fc.record({
      sawTstamp: fc.boolean(),
      tstampOk: fc.boolean(),
      dsack: fc.boolean(),
      wscaleOk: fc.boolean(),
      sackOk: nibble,
      sndWscale: nibble,
      rcvWscale: nibble,
      numSacks: nibble,
      userMss: fc.nat(0xffff),
      mssClamp: fc.nat(0xffff),
    });
    fc.assert(
      fc.property(options, options, (first, second) => {
        const opt = new TcpOptionsReceived();
        for (const values of [first, second]) {
          Object.assign(opt, values);
          expect(opt).toMatchObject(values);
        }
      }),
    );
  });
});

describe('the table of ports', () => {
  it('grows with the ports that are taken, finds each of them, and shrinks again', () => {
    const net = rig.machine.initNet;
    const hinfo = tcpGetHashinfo(net);
    const before = hinfo.bhash.length;
    const ports = Array.from({ length: 5000 }, (_, i) => 10_000 + i);
    const buckets = ports.map((port) => inetBindBucketCreate(net, port, 0));
    expect(hinfo.bhash.length).toBe(8 * before);
    expect(ports.map((port) => inetBindBucketFind(net, port, 0))).toEqual(buckets);
    expect(inetBindBucketFind(net, 9_999, 0)).toBeNull();
    for (const tb of buckets) inetBindBucketDestroy(tb);
    expect(hinfo.bhashCount).toBe(0);
    expect(hinfo.bhash.length).toBe(before);
  });
});
