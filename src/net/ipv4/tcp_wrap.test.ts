/**
 * Whole transfers where 32-bit numbers turn over: sequence numbers that start just below 2^32 and 2^31,
 * timestamps and jiffies that wrap, and windows of 0, 1 and 2^30, over lines that lose, double and
 * reorder. Each byte must arrive, and nothing may stay behind.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { secureTcpSeq, secureTcpTsOff } from '#net/core/secure_seq.ts';
import { LOCAL, REMOTE, TcpRig } from '#net/ipv4/testing/tcp_rig.ts';
import {
  CLIENT_PORT,
  type LineOptions,
  TcpWire,
  type TransferOptions,
} from '#net/ipv4/testing/tcp_wire.ts';
import {
  LINUX_MIB_PAWSESTABREJECTED,
  LINUX_MIB_TCPFROMZEROWINDOWADV,
  LINUX_MIB_TCPTIMEOUTS,
  LINUX_MIB_TCPTOZEROWINDOWADV,
} from '#uapi/snmp.ts';
import { SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUFFORCE, SOL_SOCKET } from '#uapi/socket.ts';

const MS = 1e6;
const SIZE = 60_000;
/** More than the stack's own work may take on a busy machine. */
const PATIENCE = { timeout: 300_000 };
/** The handshake passes unharmed, so that the numbers are the ones looked for. */
const HANDSHAKE = 3;

const HALF = 0x80000000;
const FULL = 0x100000000;

const faults = fc.record({
  seed: fc.integer({ min: 1, max: 1 << 20 }),
  delayMs: fc.integer({ min: 1, max: 20 }),
  loss: fc.constantFrom(0, 0.01, 0.05),
  reorder: fc.constantFrom(0, 0.02, 0.1),
  duplicate: fc.constantFrom(0, 0.02, 0.1),
});

/** The same runs each time; a failure names its own seed and path. */
const RUNS = { seed: 9293, numRuns: 6 } as const;

/** Programs that read little, through small buffers: a transfer of many seconds. */
const SLOWLY = {
  prepare: (rig: TcpRig, fd: number) => rig.setInt(fd, SOL_SOCKET, SO_RCVBUF, 4000),
  readBytes: 4000,
  readEveryMs: 600,
};

/** Sets a secret word so that what depends on it becomes what `good` wants. */
function search(secret: Int32Array, good: () => boolean): void {
  for (let i = 0; i < 1 << 22; i++) {
    secret[0] = i;
    if (good()) return;
  }
  throw new Error('no secret gives the wanted number');
}

/** How far `value` lies below `turn`, 2^31 or 2^32. */
function below(turn: number, value: number): number {
  return (turn - (value >>> 0)) >>> 0;
}

/** Has both machines choose initial numbers less than `reach` below `turn`. */
function chooseIsns(wire: TcpWire, options: LineOptions, turn: number, reach: number): void {
  const { a, b } = wire;
  const near = (isn: number): boolean => below(turn, isn) > 1000 && below(turn, isn) < reach;
  search(b.machine.netGlobals.netSecret, () =>
    near(secureTcpSeq(b.machine, REMOTE, LOCAL, CLIENT_PORT, a.localPort)),
  );
  // The SYN-ACK comes later by the time of the SYN.
  const later = (options.delayMs * MS) / 64;
  search(a.machine.netGlobals.netSecret, () =>
    near((secureTcpSeq(a.machine, LOCAL, REMOTE, a.localPort, CLIENT_PORT) + later) | 0),
  );
}

/** Has both machines' timestamps stand `ms` to `ms` + 8000 below `turn`. */
function chooseStamps(wire: TcpWire, turn: number, ms: number): void {
  const sides = [
    [wire.a, LOCAL, REMOTE, wire.a.localPort, CLIENT_PORT],
    [wire.b, REMOTE, LOCAL, CLIENT_PORT, wire.a.localPort],
  ] as const;
  for (const [rig, saddr, daddr, sport, dport] of sides) {
    search(rig.machine.netGlobals.tsSecret, () => {
      const offset = secureTcpTsOff(rig.machine.initNet, saddr, daddr, sport, dport);
      const stamp = Math.floor(rig.nowMs) + offset;
      const left = below(turn, stamp | 0);
      return left >= ms && left < ms + 8000;
    });
  }
}

/** What crossed the line: by machine, each sequence number and each timestamp. */
class Witness {
  readonly seqs: number[][] = [[], []];
  readonly stamps: number[][] = [[], []];

  constructor(wire: TcpWire) {
    wire.tap = (packet, from) => {
      const v = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
      const side = from === wire.a ? 0 : 1;
      this.seqs[side]?.push(v.getUint32(24));
      // Timestamps stand first in the options of all but SYNs.
      if ((v.getUint8(33) & 2) === 0 && v.getUint8(42) === 8) {
        this.stamps[side]?.push(v.getUint32(44));
      }
    };
  }
}

/** Both below and above the turn within a narrow band: the numbers went over it. */
function crossed(values: readonly number[] | undefined, turn: number, band: number): boolean {
  const near = (values ?? []).map((value) => (value - turn) | 0);
  return (
    near.some((d) => d < 0 && d > -band) &&
    near.some((d) => d >= 0 && d < band) &&
    near.every((d) => Math.abs(d) < band)
  );
}

function run(wire: TcpWire, options: TransferOptions = {}, size = SIZE): void {
  wire.transfer(size, 3_600_000, options);
  expect(wire.a.end()).toEqual({});
  expect(wire.b.end()).toEqual({});
}

describe('sequence numbers', () => {
  for (const [name, turn] of [
    ['2^32', FULL],
    ['2^31', HALF],
  ] as const) {
    it(`that start just below ${name} go over it in both directions`, () => {
      fc.assert(
        fc.property(faults, (line) => {
          const options = { ...line, spared: HANDSHAKE };
          const wire = new TcpWire(options);
          chooseIsns(wire, options, turn, SIZE - 5000);
          const witness = new Witness(wire);
          run(wire);
          for (const seqs of witness.seqs) expect(crossed(seqs, turn, 2 * SIZE)).toBe(true);
        }),
        RUNS,
      );
    });
  }
});

describe('timestamps', PATIENCE, () => {
  for (const [name, turn] of [
    ['2^32', FULL],
    ['2^31', HALF],
  ] as const) {
    it(`that wrap at ${name} in the middle of a transfer cost nothing`, () => {
      fc.assert(
        fc.property(faults, (line) => {
          const wire = new TcpWire({ ...line, spared: HANDSHAKE });
          // The connection stands still for a while, so that both turn in the middle.
          chooseStamps(wire, turn, 5000);
          const witness = new Witness(wire);
          run(wire, { ...SLOWLY, opened: () => wire.idle(4900) });
          for (const stamps of witness.stamps) {
            expect(crossed(stamps, turn, 3_600_000)).toBe(true);
          }
        }),
        { ...RUNS, numRuns: 3 },
      );
    });
  }

  it('do not make segments old when they wrap', () => {
    const wire = new TcpWire({ seed: 5, delayMs: 5 });
    chooseStamps(wire, FULL, 5000);
    wire.transfer(SIZE, 60_000, { ...SLOWLY, opened: () => wire.idle(4900) });
    for (const rig of [wire.a, wire.b]) {
      expect(rig.mib(LINUX_MIB_PAWSESTABREJECTED)).toBe(0);
      expect(rig.mib(LINUX_MIB_TCPTIMEOUTS)).toBe(0);
      expect(rig.end()).toEqual({});
    }
  });

  it('of a connection that slept for 25 days are not held against it', () => {
    const wire = new TcpWire({ seed: 6, delayMs: 5 });
    const days = 24 * 3600 * 1000;
    // RFC 7323#5.5: half the range has gone by, so a new stamp looks older than the last.
    run(wire, { opened: () => wire.idle(25 * days) });
  });
});

describe('jiffies', PATIENCE, () => {
  it('wrap five minutes after boot, as timers and delayed ACKs wait', () => {
    fc.assert(
      fc.property(faults, (line) => {
        const wire = new TcpWire({ ...line, loss: 0.05 });
        const start = wire.a.machine.jiffies;
        expect(start).toBeLessThan(0);
        // So that it takes place while segments are lost and sent again.
        wire.idle(-start - 200);
        run(wire, { readBytes: 4000, readEveryMs: 50 });
        expect(wire.a.machine.jiffies).toBeGreaterThan(0);
      }),
      RUNS,
    );
  });

  it('turn negative after 24.8 days', () => {
    fc.assert(
      fc.property(faults, (line) => {
        const wire = new TcpWire({ ...line, loss: 0.05 });
        wire.idle(HALF - wire.a.machine.jiffies - 200);
        run(wire, { readBytes: 4000, readEveryMs: 50 });
        expect(wire.a.machine.jiffies).toBeLessThan(0);
      }),
      { ...RUNS, numRuns: 4 },
    );
  });
});

describe('windows', PATIENCE, () => {
  it('that close again and again let every byte through', () => {
    fc.assert(
      fc.property(faults, (line) => {
        const wire = new TcpWire(line);
        run(wire, SLOWLY);
        for (const rig of [wire.a, wire.b]) {
          expect(rig.mib(LINUX_MIB_TCPTOZEROWINDOWADV)).toBeGreaterThan(0);
          expect(rig.mib(LINUX_MIB_TCPFROMZEROWINDOWADV)).toBeGreaterThan(0);
        }
      }),
      RUNS,
    );
  });

  it('of 2^30 bytes are offered, scaled by 14, and used', () => {
    fc.assert(
      fc.property(faults, (line) => {
        const wire = new TcpWire(line);
        for (const rig of [wire.a, wire.b]) {
          expect(
            rig.machine.initNet.sysctl.write('net/ipv4/tcp_rmem', '8000 131072 2147483647'),
          ).toBe(0);
        }
        let widest = 0;
        wire.tap = (packet) => {
          const v = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
          if ((v.getUint8(33) & 2) === 0) widest = Math.max(widest, v.getUint16(34));
        };
        run(wire, {
          prepare: (rig, fd) => rig.setInt(fd, SOL_SOCKET, SO_RCVBUFFORCE, 0x3fffffff),
          opened: (server, client) => {
            expect(wire.a.sock(server).rxOpt.rcvWscale).toBe(14);
            expect(wire.b.sock(client).rxOpt.sndWscale).toBe(14);
          },
        });
        expect(widest * (1 << 14)).toBeLessThanOrEqual(2 ** 30);
        expect(widest).toBeGreaterThan(0);
      }),
      { ...RUNS, numRuns: 3 },
    );
  });

  /** A peer that takes `win` bytes at a time, and says so in each ACK. Returns what it got. */
  function sip(isn: number, win: number, wscale: number, size: number): Uint8Array {
    const r = new TcpRig({ peerIsn: isn });
    const lfd = r.listen();
    r.inject({ flags: 'S', options: `mss 1000,sackOK,nop,wscale ${wscale}`, win });
    r.sent();
    r.inject({ flags: '.', seq: 1, ack: 1, win });
    const fd = r.accept(lfd);
    const got = new Uint8Array(size);
    r.setInt(fd, SOL_SOCKET, SO_SNDBUFFORCE, 4 * size + 100_000);
    const out = new Uint8Array(size).map((_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
    expect(r.write(fd, out)).toBe(size);
    let next = 1;
    for (let i = 0; next <= size; i++) {
      if (i > 20 * size) throw new Error(`stuck at ${next}`);
      for (const s of r.sent()) {
        if (s.len === 0) continue;
        // Never more than was offered.
        expect(s.seq + s.len).toBeLessThanOrEqual(next + win * 2 ** wscale);
        got.set(s.data, s.seq - 1);
        if (s.seq === next) next += s.len;
      }
      r.inject({ flags: '.', seq: 1, ack: next, win });
      if (r.sock(fd).packetsOut === 0 && next <= size) r.advance(20_000);
    }
    r.close(fd);
    r.sent();
    r.inject({ flags: 'R', seq: 1 });
    expect(got).toEqual(out);
    expect(r.end()).toEqual({});
    return got;
  }

  it('of one byte are filled byte by byte', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 60 }), (isn, size) => {
        sip(isn | 0, 1, 0, size);
      }),
      { ...RUNS, numRuns: 20 },
    );
  });

  it('of any size and scale are never overrun', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 65535 }),
        fc.integer({ min: 0, max: 14 }),
        fc.integer({ min: 1, max: 30_000 }),
        (isn, win, wscale, size) => {
          sip(isn | 0, Math.max(win, (size >> wscale) >> 5, 1), wscale, size);
        },
      ),
      { ...RUNS, numRuns: 30 },
    );
  });
});
