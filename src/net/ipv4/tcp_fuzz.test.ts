import { describe, expect, it } from 'vitest';
import { Prandom } from '#lib/prandom.ts';
import { TcpRig } from '#net/ipv4/testing/tcp_rig.ts';

/** The peer's stream: what stands at each place of it. */
const byteAt = (seq: number): number => (Math.imul(seq, 0x9e3779b1) >>> 24) & 0xff;

function payload(seq: number, len: number): Uint8Array {
  return new Uint8Array(len).map((_, i) => byteAt(seq + i));
}

const FLAGS = ['.', '.', '.', 'P.', 'P.', 'F.', 'S', 'S.', 'R', 'R.', 'U.', '.E', '.W', '', 'SF'];

/**
 * One connection under random segments near its window. Whatever comes: nothing throws, what is read
 * is the peer's stream without hole or repetition, and no ACK covers what was never sent to us.
 */
class Attack {
  readonly r: TcpRig;
  readonly random: Prandom;
  fd = -1;
  lfd: number;
  read = 1;
  /** One past the highest byte, or FIN, that the peer ever sent. */
  highest = 1;
  ts: number;

  constructor(seed: number) {
    this.random = new Prandom(seed);
    this.r = new TcpRig({ seed, peerIsn: this.random.i32() });
    this.ts = this.random.u32() % 2;
    this.lfd = this.r.listen();
  }

  below(n: number): number {
    return this.random.u32() % n;
  }

  options(): string {
    const out: string[] = [];
    if (this.ts !== 0 && this.below(10) !== 0) {
      out.push(`nop,nop,TS ${this.r.nowMs + this.below(20) - 10}:${Math.floor(this.r.nowMs)}`);
    }
    if (this.below(4) === 0) {
      const blocks = Array.from({ length: 1 + this.below(ts(this)) }, () => {
        const left = 1 + this.below(12000);
        return `${left}:${left + 1 + this.below(3000)}`;
      });
      out.push(`nop,nop,sack ${blocks.join(' ')}`);
    }
    return out.join(',');
  }

  segment(): void {
    const flags = FLAGS[this.below(FLAGS.length)] ?? '.';
    // A SYN far off would begin a stream of its own.
    const wild = this.below(20) === 0 && !flags.includes('S');
    const seq = wild ? this.random.i32() : Math.max(0, this.read + this.below(6000) - 2000);
    const len = this.below(3) === 0 ? 0 : this.below(1400);
    // Urgent bytes are taken out of the stream, so the model of it would not hold.
    const urgent = flags.includes('U');
    this.r.inject({
      flags: urgent ? '.' : flags,
      seq,
      ack: this.below(20) === 0 ? this.random.i32() : this.below(12000),
      win: this.below(5) === 0 ? this.below(5) : this.below(3000),
      data: payload(seq, len),
      options: this.options(),
      tos: this.below(4),
    });
    const end = seq + len + (flags.includes('F') ? 1 : 0);
    if (!wild && end > this.highest) this.highest = end;
  }

  drain(): void {
    for (const s of this.r.sent()) {
      const covered = s.flags.includes('.') && !s.flags.includes('R') && !s.flags.includes('S');
      if (covered && s.ack < 0x40000000) expect(s.ack).toBeLessThanOrEqual(this.highest + 1);
    }
    if (this.fd < 0) return;
    const got = this.r.read(this.fd, 1 + this.below(5000));
    if (typeof got === 'number') return;
    expect(got).toEqual(payload(this.read, got.length));
    this.read += got.length;
  }

  step(): void {
    switch (this.below(12)) {
      case 0:
        this.r.advance(this.below(300));
        break;
      case 1:
        if (this.fd >= 0) this.r.write(this.fd, 1 + this.below(4000));
        break;
      case 2:
        if (this.fd < 0) this.open();
        else if (this.below(10) === 0) this.shut();
        break;
      default:
        this.segment();
    }
    this.drain();
  }

  open(): void {
    this.r.inject({
      flags: 'S',
      options: this.ts !== 0 ? 'mss 1000,sackOK,TS 1:0' : 'mss 1000,sackOK',
    });
    const synack = this.r.sent().at(-1);
    const options =
      this.ts !== 0 ? `nop,nop,TS ${Math.floor(this.r.nowMs)}:${synack?.tsval ?? 0}` : '';
    this.r.inject({ flags: '.', seq: 1, ack: 1, win: 1000, options });
    const fd = this.r.sys.accept4(this.lfd, null, 0);
    if (fd >= 0) {
      this.fd = fd;
      this.read = 1;
    }
  }

  shut(): void {
    this.r.close(this.fd);
    this.fd = -1;
    // A new connection will use another port: the old one may wait.
    this.r.remotePort++;
    this.read = 1;
  }
}

const ts = (a: Attack): number => (a.ts !== 0 ? 2 : 3);

describe('random segments', () => {
  for (let seed = 1; seed <= 25; seed++) {
    it(`do no harm, seed ${seed}`, () => {
      const attack = new Attack(seed);
      for (let i = 0; i < 400; i++) attack.step();
      expect(attack.r.end()).toEqual({});
    });
  }
});
