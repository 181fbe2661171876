import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { type InetBindBucket, inetCsk } from '#include/net/inet_connection_sock.ts';
import { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import { SOCK_KIND_TIMEWAIT } from '#include/net/sock_common.ts';
import { skAlloc, sockInitData, sockPut } from '#net/core/sock.ts';
import {
  inetBindBucketCreate,
  inetBindBucketFind,
  inetBindHash,
  inetHashinfoInit,
  inetPutPort,
  tcpGetHashinfo,
} from '#net/ipv4/inet_hashtables_bind.ts';
import {
  inetTwskAlloc,
  inetTwskDeschedulePut,
  inetTwskHashdanceSchedule,
  inetTwskReschedule,
} from '#net/ipv4/inet_timewait_sock.ts';
import { tcpProt } from '#net/ipv4/tcp_ipv4.ts';
import { AF_INET } from '#uapi/socket.ts';
import { TCP_FIN_WAIT2, TCP_TIME_WAIT } from '#uapi/tcp.ts';

const MS = 1e6;

let m: BareMachine;

beforeEach(() => {
  m = new BareMachine();
  m.machine.netGlobals.tcpHashinfo = inetHashinfoInit(m.machine);
});

afterEach(() => {
  expect(m.end()).toEqual({});
});

/** An entry that waits `timeo` ms in place of a connection to `port`, which was bound to that of `tb`. */
function wait(port: number, timeo: number, tb: InetBindBucket | null = null): InetTimewaitSock {
  const sk = skAlloc(m.machine.initNet, AF_INET, tcpProt, true);
  sockInitData(null, sk);
  sk.skcDport = port;
  if (tb !== null) inetBindHash(sk, tb, tb.port);
  sk.skcHash = Math.imul(port, 0x9e3779b1);
  const tw = inetTwskAlloc(inetCsk(sk), TCP_TIME_WAIT);
  if (tw === null) throw new Error('too many');
  inetTwskHashdanceSchedule(tw, inetCsk(sk), timeo);
  inetPutPort(sk);
  sk.skDestruct = (): void => {};
  sockPut(sk);
  return tw;
}

function waiting(): number {
  return m.machine.initNet.ipv4.tcpDeathRowTwCount;
}

/** One timer for each row that is not empty. */
function timers(): number {
  return m.machine.initNet.ipv4.tcpDeathRows.size;
}

describe('time-wait entries', () => {
  it('keep their small fields apart', () => {
    const fields = fc.record({
      twSubstate: fc.constantFrom(TCP_FIN_WAIT2, TCP_TIME_WAIT),
      twTos: fc.nat(255),
      twRcvWscale: fc.nat(14),
      twTransparent: fc.boolean(),
      twUsecTs: fc.boolean(),
      skcReuse: fc.nat(15),
      skcReuseport: fc.boolean(),
      skcIpv6only: fc.boolean(),
      hashed: fc.boolean(),
      skcDport: fc.nat(0xffff),
      skcNum: fc.nat(0xffff),
      skcDaddr: fc.nat(0xffffffff),
      skcRcvSaddr: fc.nat(0xffffffff),
      twMark: fc.nat(9),
      twPriority: fc.nat(9),
      twTxDelay: fc.nat(9),
    });
    fc.assert(
      fc.property(fields, fields, (first, second) => {
        const tw = new InetTimewaitSock(m.machine.initNet, AF_INET);
        for (const values of [first, second]) {
          Object.assign(tw, values);
          expect(tw).toMatchObject(values);
          expect([tw.skcFamily, tw.kind]).toEqual([AF_INET, SOCK_KIND_TIMEWAIT]);
        }
      }),
    );
  });

  it('end when their time is over, however they were put off or cut short', () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant('begin' as const), timeo: fc.constantFrom(5, 20, 21, 60) }),
      fc.record({ what: fc.constant('again' as const), nth: fc.nat(20), timeo: fc.constant(20) }),
      fc.record({ what: fc.constant('end' as const), nth: fc.nat(20) }),
      fc.record({ what: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 30 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let now = 0;
        const ends = new Map<InetTimewaitSock, number>();
        const nth = (n: number): InetTimewaitSock | undefined => [...ends.keys()][n % ends.size];
        for (const [i, s] of [...steps, { what: 'pass' as const, ms: 60 }].entries()) {
          if (s.what === 'begin') {
            ends.set(wait(i + 1, s.timeo), now + s.timeo);
          } else if (s.what === 'again') {
            const tw = nth(s.nth);
            if (tw === undefined) continue;
            inetTwskReschedule(tw, s.timeo);
            ends.set(tw, now + s.timeo);
          } else if (s.what === 'end') {
            const tw = nth(s.nth);
            if (tw === undefined) continue;
            tw.refcnt++;
            inetTwskDeschedulePut(tw);
            ends.delete(tw);
          } else {
            for (let ms = 0; ms < s.ms; ms++) {
              m.advance(MS);
              now++;
              for (const [tw, end] of [...ends]) {
                expect(tw.hashed).toBe(end > now);
                if (end <= now) ends.delete(tw);
              }
            }
          }
          expect(waiting()).toBe(ends.size);
        }
        expect([waiting(), timers()]).toEqual([0, 0]);
      }),
      { numRuns: 100 },
    );
  });

  it('leave the port they share in any order, and free it with the last', () => {
    const net = m.machine.initNet;
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }), (order) => {
        const tb = inetBindBucketCreate(net, 80, 0);
        const entries = order.map((_, i) => wait(i + 1, 60, tb));
        const left = new Set(entries);
        for (const i of order) {
          const tw = entries[i] as InetTimewaitSock;
          tw.refcnt++;
          inetTwskDeschedulePut(tw);
          expect(tw.refcnt).toBe(0);
          left.delete(tw);
          const owners: InetTimewaitSock[] = [];
          for (let at = tb.twOwners; at !== null; at = at.twBindNext) owners.push(at);
          expect(new Set(owners)).toEqual(left);
          expect(inetBindBucketFind(net, 80, 0)).toBe(left.size === 0 ? null : tb);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('share one timer, and the table of connections shrinks when they are gone', () => {
    const hinfo = tcpGetHashinfo(m.machine.initNet);
    const { length } = hinfo.ehash;
    const before = m.machine.live.timers;
    for (let port = 1; port <= 5000; port++) wait(port, 60);
    expect([timers(), m.machine.live.timers - before]).toEqual([1, 1]);
    expect(hinfo.ehash.length).toBeGreaterThan(length);
    m.advance(60 * MS);
    expect([waiting(), timers(), m.machine.live.timers - before]).toEqual([0, 0, 0]);
    expect(hinfo.ehash.length).toBe(length);
  });
});
