import { afterEach, describe, expect, it } from 'vitest';
import { TcpRig, type TcpRigOptions } from '#net/ipv4/testing/tcp_rig.ts';
import {
  LINUX_MIB_TCPDSACKRECV,
  LINUX_MIB_TCPDSACKUNDO,
  LINUX_MIB_TCPFASTRETRANS,
  LINUX_MIB_TCPFULLUNDO,
  LINUX_MIB_TCPLOSSPROBES,
  LINUX_MIB_TCPLOSSUNDO,
  LINUX_MIB_TCPPARTIALUNDO,
  LINUX_MIB_TCPRENORECOVERY,
  LINUX_MIB_TCPSACKRECOVERY,
  LINUX_MIB_TCPSACKRENEGING,
  LINUX_MIB_TCPSACKREORDER,
  LINUX_MIB_TCPSPURIOUSRTOS,
  LINUX_MIB_TCPTIMEOUTS,
} from '#uapi/snmp.ts';
import { SOL_TCP } from '#uapi/socket.ts';
import { TCP_CA_CWR, TCP_CA_Loss, TCP_CA_Open, TCP_CA_Recovery, TCP_NODELAY } from '#uapi/tcp.ts';

const rigs: TcpRig[] = [];

afterEach(() => {
  for (const r of rigs.splice(0)) expect(r.end()).toEqual({});
});

const MSS = 1000;
const RTT = 100;

/** A connection with an RTT of 100 ms that was measured on the handshake. */
function sender(options: TcpRigOptions & { readonly syn?: string } = {}): {
  r: TcpRig;
  fd: number;
} {
  const r = new TcpRig(options);
  rigs.push(r);
  const lfd = r.listen();
  r.inject({ flags: 'S', options: options.syn ?? 'mss 1000,sackOK,nop,nop,nop,wscale 7' });
  r.sent();
  r.advance(RTT);
  const ts = options.syn?.includes('TS') ? 'nop,nop,TS 200:0' : '';
  r.inject({ flags: '.', seq: 1, ack: 1, win: 2000, options: ts });
  const fd = r.accept(lfd);
  r.setInt(fd, SOL_TCP, TCP_NODELAY, 1);
  return { r, fd };
}

/** Sent data as `segment index` from 0, `x2` and so on for super-packets. */
function data(r: TcpRig): string[] {
  return r
    .sent()
    .filter((s) => s.len > 0)
    .map((s) => `${s.seq}:${s.seq + s.len}`);
}

/** The same cut to segments. */
function segments(r: TcpRig): number[] {
  return r
    .sent()
    .filter((s) => s.len > 0)
    .flatMap((s) =>
      Array.from({ length: Math.ceil(s.len / MSS) }, (_, i) => (s.seq - 1) / MSS + i),
    );
}

const ack = (n: number, sacks: readonly (readonly [number, number])[] = []) => ({
  flags: '.',
  seq: 1,
  ack: 1 + n * MSS,
  win: 2000,
  options:
    sacks.length === 0
      ? ''
      : `nop,nop,sack ${sacks.map(([a, b]) => `${1 + a * MSS}:${1 + b * MSS}`).join(' ')}`,
});

describe('fast recovery with SACK', () => {
  it('retransmits the hole after three SACKed segments, and keeps to PRR', () => {
    const { r, fd } = sender();
    r.write(fd, 10 * MSS);
    expect(segments(r)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    r.write(fd, 10 * MSS);
    r.advance(RTT);
    r.inject(ack(0, [[1, 2]]));
    r.inject(ack(0, [[1, 3]]));
    const sk = r.sock(fd);
    expect(sk.icskCaState).not.toBe(TCP_CA_Recovery);
    segments(r); // limited transmit
    r.inject(ack(0, [[1, 4]]));
    expect(sk.icskCaState).toBe(TCP_CA_Recovery);
    expect(segments(r)).toEqual([0]);
    expect(r.mib(LINUX_MIB_TCPSACKRECOVERY)).toBe(1);
    expect(r.mib(LINUX_MIB_TCPFASTRETRANS)).toBe(1);
    expect(sk.sndSsthresh).toBe(7); // cubic: 0.7 of 10
    for (let i = 5; i <= 10; i++) r.inject(ack(0, [[1, i]]));
    r.advance(RTT);
    r.inject(ack(12));
    expect(sk.icskCaState).toBe(TCP_CA_Open);
    expect(sk.sndCwnd).toBe(7);
  });

  it('marks what was sent before a delivered segment, and nothing sent later', () => {
    const { r, fd } = sender();
    r.write(fd, 10 * MSS);
    segments(r);
    r.advance(RTT);
    // 0, 2 and 4 are lost.
    r.inject(ack(0, [[1, 2]]));
    r.inject(
      ack(0, [
        [3, 4],
        [1, 2],
      ]),
    );
    r.inject(
      ack(0, [
        [5, 6],
        [3, 4],
        [1, 2],
      ]),
    );
    const sk = r.sock(fd);
    expect(sk.icskCaState).toBe(TCP_CA_Recovery);
    expect(sk.lostOut).toBe(3);
    expect(sk.sackedOut).toBe(3);
    const first = segments(r);
    expect(first[0]).toBe(0);
    r.inject(
      ack(0, [
        [5, 10],
        [3, 4],
        [1, 2],
      ]),
    );
    expect([...first, ...segments(r)].slice(0, 3)).toEqual([0, 2, 4]);
    r.advance(RTT);
    r.inject(ack(10));
    expect(sk.icskCaState).toBe(TCP_CA_Open);
  });

  it('waits a quarter of the RTT once reordering has been seen', () => {
    const { r, fd } = sender();
    r.write(fd, 10 * MSS);
    segments(r);
    r.advance(RTT);
    r.inject(ack(0, [[1, 2]]));
    r.inject(ack(2)); // the first was only late
    expect(r.mib(LINUX_MIB_TCPSACKREORDER)).toBe(1);
    const sk = r.sock(fd);
    expect(sk.reordSeen).toBe(1);
    segments(r);
    r.inject(ack(2, [[3, 4]]));
    r.inject(ack(2, [[3, 6]]));
    r.inject(ack(2, [[3, 8]]));
    expect(segments(r).filter((s) => s < 10)).toEqual([]);
    r.advance(30);
    expect(segments(r)).toContain(2);
    expect(sk.icskCaState).toBe(TCP_CA_Recovery);
    r.advance(RTT);
    r.inject(ack(20));
    r.inject(ack(10));
  });

  it('finds a lost retransmission by a later one', () => {
    const { r, fd } = sender();
    r.write(fd, 10 * MSS);
    segments(r);
    r.advance(RTT);
    r.inject(ack(0, [[1, 5]]));
    expect(segments(r)).toContain(0);
    r.write(fd, 4 * MSS);
    r.inject(ack(0, [[1, 10]]));
    const later = segments(r);
    expect(later).toContain(10);
    r.advance(RTT);
    // New data arrives, the retransmission of 0 does not.
    r.inject(ack(0, [[1, 11]]));
    r.advance(RTT);
    expect(segments(r)).toContain(0);
    r.inject(ack(14));
  });

  it('undoes a reduction when DSACK says it was needless', () => {
    const { r, fd } = sender();
    r.write(fd, 10 * MSS);
    segments(r);
    r.advance(RTT);
    r.inject(ack(0, [[1, 4]]));
    const sk = r.sock(fd);
    expect(sk.icskCaState).toBe(TCP_CA_Recovery);
    segments(r);
    r.inject(ack(4)); // the original arrived after all
    r.advance(RTT);
    r.inject(ack(4, [[0, 1]])); // and so did the retransmission
    expect(r.mib(LINUX_MIB_TCPDSACKRECV)).toBe(1);
    expect(r.mib(LINUX_MIB_TCPDSACKUNDO)).toBe(1);
    expect(sk.sndCwnd).toBeGreaterThanOrEqual(10);
    r.inject(ack(10));
    expect(sk.icskCaState).toBe(TCP_CA_Open);
  });

  it('undoes it by timestamps', () => {
    const { r, fd } = sender({ syn: 'mss 1012,sackOK,TS 100:0,nop,wscale 7' });
    r.write(fd, 10 * MSS);
    const out = r.sent().filter((s) => s.len > 0);
    const original = out[0]?.tsval ?? 0;
    r.advance(RTT);
    const opt = (o: string): string => `nop,nop,TS 300:${original}${o === '' ? '' : `,${o}`}`;
    r.inject({ ...ack(0), options: opt('nop,nop,sack 1001:4001') });
    const sk = r.sock(fd);
    expect(sk.icskCaState).toBe(TCP_CA_Recovery);
    expect(segments(r)).toContain(0);
    // Everything is acknowledged with the timestamp of the originals.
    r.inject({ ...ack(10), options: opt('') });
    expect(r.mib(LINUX_MIB_TCPFULLUNDO)).toBe(1);
    expect(sk.sndCwnd).toBeGreaterThanOrEqual(10);
    expect(sk.icskCaState).toBe(TCP_CA_Open);
  });
});

describe('undo in the middle of recovery', () => {
  it('by a partial ACK that echoes the original', () => {
    const { r, fd } = sender({ syn: 'mss 1012,sackOK,TS 100:0,nop,wscale 7' });
    r.write(fd, 10 * MSS);
    const original = r.sent().find((s) => s.len > 0)?.tsval ?? 0;
    r.advance(RTT);
    const opt = `nop,nop,TS 300:${original}`;
    r.inject({ ...ack(0), options: `${opt},nop,nop,sack 1001:4001` });
    const sk = r.sock(fd);
    expect(sk.icskCaState).toBe(TCP_CA_Recovery);
    expect(segments(r)).toContain(0);
    // 0 arrived late, as its timestamp shows; 4 to 9 are still out.
    r.inject({ ...ack(4), options: opt });
    expect(r.mib(LINUX_MIB_TCPPARTIALUNDO)).toBe(1);
    expect([sk.lostOut, sk.undoMarker, sk.icskCaState]).toEqual([0, 0, TCP_CA_Open]);
    expect(sk.sndCwnd).toBeGreaterThanOrEqual(10);
    r.inject({ ...ack(10), options: opt });
  });
});

describe('acknowledgments inside a segment', () => {
  it('keep the segment until all of it is acknowledged', () => {
    const { r, fd } = sender();
    r.write(fd, 500);
    r.write(fd, MSS);
    r.sent();
    const sk = r.sock(fd);
    r.inject({ ...ack(0), ack: 1 + 700 });
    expect([sk.packetsOut, (sk.sndUna - r.isn) | 0]).toEqual([1, 701]);
    r.advance(2000);
    // Only what is missing goes out again.
    expect(r.sent().map((s) => [s.seq, s.len])[0]).toEqual([701, 800]);
    r.inject({ ...ack(0), ack: 1 + 1500 });
    expect(sk.packetsOut).toBe(0);
  });
});

describe('fast recovery without SACK', () => {
  it('retransmits at the third duplicate, and one more for each partial ACK', () => {
    const { r, fd } = sender({ syn: 'mss 1000,nop,wscale 7' });
    r.write(fd, 10 * MSS);
    segments(r);
    r.advance(RTT);
    r.inject(ack(0));
    r.inject(ack(0));
    expect(segments(r)).toEqual([]);
    r.inject(ack(0));
    expect(segments(r)).toEqual([0]);
    const sk = r.sock(fd);
    expect(sk.icskCaState).toBe(TCP_CA_Recovery);
    expect(r.mib(LINUX_MIB_TCPRENORECOVERY)).toBe(1);
    r.inject(ack(4)); // partial: 4 is missing too
    expect(segments(r)).toContain(4);
    r.inject(ack(10));
    expect(sk.icskCaState).toBe(TCP_CA_Recovery); // until something beyond is acknowledged
    r.write(fd, MSS);
    r.inject(ack(11));
    expect(sk.icskCaState).toBe(TCP_CA_Open);
  });
});

describe('timeouts', () => {
  it('probes the tail before the timeout', () => {
    const { r, fd } = sender();
    r.write(fd, 3 * MSS);
    segments(r);
    r.advance(2 * RTT + 10);
    expect(segments(r)).toEqual([2]);
    expect(r.mib(LINUX_MIB_TCPLOSSPROBES)).toBe(1);
    // Too soon to be the probe's answer: RACK learns nothing from it.
    r.inject(ack(0, [[2, 3]]));
    expect(segments(r)).toEqual([]);
    r.advance(500);
    expect(segments(r)).toContain(0);
    r.inject(ack(3));
  });

  it('starts again from one segment after the RTO', () => {
    const { r, fd } = sender();
    r.write(fd, 10 * MSS);
    segments(r);
    r.advance(RTT);
    r.inject(ack(2));
    segments(r);
    const sk = r.sock(fd);
    r.advance(1000);
    expect(r.mib(LINUX_MIB_TCPTIMEOUTS)).toBeGreaterThanOrEqual(1);
    expect(sk.icskCaState).toBe(TCP_CA_Loss);
    const out = segments(r);
    expect(out).toContain(2);
    expect(sk.sndCwnd).toBe(1);
    r.inject(ack(3));
    r.inject(ack(20));
    r.inject(ack(10));
  });

  it('recognises a spurious timeout by F-RTO', () => {
    const { r, fd } = sender();
    r.write(fd, 4 * MSS);
    segments(r);
    r.write(fd, 10 * MSS); // beyond the window of ten: four wait
    segments(r);
    const sk = r.sock(fd);
    r.advance(700);
    expect(sk.icskCaState).toBe(TCP_CA_Loss);
    segments(r);
    // The delayed originals come through: their ACK covers what was never sent again.
    r.inject(ack(5));
    r.inject(ack(6));
    expect(r.mib(LINUX_MIB_TCPSPURIOUSRTOS) + r.mib(LINUX_MIB_TCPLOSSUNDO)).toBeGreaterThan(0);
    expect(sk.icskCaState).toBe(TCP_CA_Open);
    expect(sk.sndCwnd).toBeGreaterThanOrEqual(10);
    r.inject(ack(14));
  });

  it('sends new data to tell, and recovers when duplicates come back', () => {
    const { r, fd } = sender();
    r.write(fd, 10 * MSS);
    r.write(fd, 4 * MSS);
    segments(r);
    const sk = r.sock(fd);
    r.advance(700);
    expect(sk.icskCaState).toBe(TCP_CA_Loss);
    segments(r);
    // The retransmitted head arrives: two new segments go out instead of further old ones.
    r.inject(ack(1));
    expect(sk.frto).toBe(true);
    expect(segments(r)).toEqual([11, 12]); // 10 was the loss probe
    r.advance(RTT);
    // They arrive and 1 to 9 are still missing: the loss was real.
    r.inject(ack(1, [[11, 12]]));
    expect(sk.frto).toBe(false);
    expect(sk.icskCaState).toBe(TCP_CA_Loss);
    expect(segments(r)).toContain(1);
    expect(r.mib(LINUX_MIB_TCPSPURIOUSRTOS)).toBe(0);
    r.inject(ack(13));
  });

  it('forgets SACKs of a peer that reneges', () => {
    const { r, fd } = sender();
    r.write(fd, 10 * MSS);
    segments(r);
    r.advance(RTT);
    r.inject(ack(0, [[1, 4]]));
    segments(r);
    r.inject(ack(1)); // 1 to 3 are no longer SACKed though nothing else came
    r.advance(1000);
    expect(r.mib(LINUX_MIB_TCPSACKRENEGING)).toBeGreaterThanOrEqual(1);
    expect(segments(r)).toContain(1);
    r.inject(ack(10));
  });
});

describe('windows and marks', () => {
  it('probes a closed window and goes on when it opens', () => {
    const { r, fd } = sender();
    r.write(fd, 2 * MSS);
    segments(r);
    r.inject({ ...ack(2), win: 0 });
    r.write(fd, MSS);
    expect(data(r)).toEqual([]);
    r.advance(400);
    const probes = r.sent();
    expect(probes.length).toBeGreaterThanOrEqual(1);
    expect(probes[0]?.len).toBe(0);
    expect(probes[0]?.seq).toBe(2 * MSS); // one below what was acknowledged
    r.inject(ack(2));
    expect(data(r)).toEqual([`${2 * MSS + 1}:${3 * MSS + 1}`]);
    r.inject(ack(3));
  });

  it('reduces the window for an ECN echo, once, and says so', () => {
    const r = new TcpRig();
    rigs.push(r);
    const lfd = r.listen();
    r.inject({ flags: 'SEW', options: 'mss 1000,sackOK,nop,nop,nop,wscale 7' });
    expect(r.sent()[0]?.flags).toBe('SE.');
    r.advance(RTT);
    r.inject({ flags: '.', seq: 1, ack: 1, win: 2000 });
    const fd = r.accept(lfd);
    r.write(fd, 10 * MSS);
    expect(r.sent()[0]?.tos).toBe(2);
    r.advance(RTT);
    r.inject({ ...ack(1), flags: '.E' });
    const sk = r.sock(fd);
    expect(sk.icskCaState).toBe(TCP_CA_CWR);
    expect(sk.sndSsthresh).toBe(7);
    r.inject({ ...ack(2), flags: '.E' });
    expect(sk.sndSsthresh).toBe(7);
    r.inject(ack(10));
    r.write(fd, 2 * MSS);
    expect(r.sent().some((s) => s.flags.includes('W'))).toBe(true);
    r.inject(ack(12));
    expect(sk.icskCaState).toBe(TCP_CA_Open);
  });

  it('echoes congestion marks until the sender reduces', () => {
    const r = new TcpRig();
    rigs.push(r);
    const lfd = r.listen();
    r.inject({ flags: 'SEW', options: 'mss 1000' });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 2000 });
    r.accept(lfd);
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 1, win: 2000, data: 10, tos: 3 });
    expect(r.sent().at(-1)?.flags).toBe('E.');
    r.inject({ flags: '.', seq: 11, ack: 1, win: 2000, data: 10, tos: 2 });
    expect(r.sent().at(-1)?.flags).toBe('E.');
    r.inject({ flags: '.W', seq: 21, ack: 1, win: 2000, data: 10, tos: 2 });
    expect(r.sent().at(-1)?.flags).toBe('.');
  });
});

describe('the sender across wrapped sequence numbers', () => {
  it('recovers wherever the numbers stand', () => {
    // The machine's number is drawn from its seed; these put it on all sides of both wraps.
    const signs = new Set<boolean>();
    for (let seed = 1; seed <= 12; seed++) {
      const { r, fd } = sender({ seed });
      signs.add(r.isn < 0);
      const sk = r.sock(fd);
      r.write(fd, 10 * MSS);
      segments(r);
      r.advance(RTT);
      r.inject(ack(0, [[1, 4]]));
      expect(segments(r)).toContain(0);
      r.inject(ack(10));
      expect(sk.icskCaState).toBe(TCP_CA_Open);
    }
    expect(signs.size).toBe(2);
  });
});
