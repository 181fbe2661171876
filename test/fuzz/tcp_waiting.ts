/**
 * Segments into the small sockets that stand for TIME-WAIT, and for FIN-WAIT-2 when no program holds
 * the connection any more. RFC 9293#3.10.7.4 and #3.6.1, RFC 6191, RFC 1337.
 */
import type { Prandom } from '#lib/prandom.ts';
import { TCP_FIN_WAIT2, TCP_NEW_SYN_RECV, TCP_TIME_WAIT } from '#uapi/tcp.ts';
import { ACK, type Door, FIN, RST, type Segment, SYN } from './tcp_door.ts';
import { after, before, type Model, ModelError } from './tcp_model.ts';
import { expectReset } from './tcp_opening.ts';
import { flavourOf, lead, listener, lookup, Peer } from './tcp_peer.ts';
import { type FuzzReport, randomSegment } from './tcp_states.ts';

const LIFE_MS = 30_000;
/** What a segment leads to. */
const STAYS = 0;
const GONE = 1;
const TO_TIME_WAIT = 2;
const REOPENED = 3;

class Small {
  readonly p: Peer;
  readonly m: Model;
  state: number;
  lastOow = -1;
  readonly window: number;

  constructor(p: Peer) {
    this.p = p;
    this.m = p.model;
    this.state = p.model.state;
    this.window = p.model.window;
  }

  fail(what: string, s: Segment): never {
    const { door } = this.p;
    const answers = door.out.slice(0, door.outs).join(', ');
    throw new ModelError(`${what}: after ${s}, answers ${answers}; ${this.m.describe()}`);
  }

  private silent(s: Segment): void {
    if (this.p.door.outs !== 0) this.fail('an answer where none is due', s);
  }

  private ack(s: Segment): void {
    const { door } = this.p;
    const o = door.out[0];
    if (door.outs !== 1 || o === undefined || o.flags !== ACK) this.fail('no ACK', s);
    if (o.seq !== this.m.nxt || o.ack !== this.m.rcvNxt) this.fail('an ACK with other numbers', s);
    if (o.hasTs !== this.m.ts) this.fail('timestamps come and go', s);
    if (o.hasTs && o.tsecr !== this.m.tsRecent) this.fail('a wrong echo', s);
  }

  /** An ACK, unless one like it was just sent. */
  private limitedAck(s: Segment): void {
    const now = this.p.door.nowMs;
    const data = s.space !== 0 && !s.has(SYN);
    if (!data && this.lastOow >= 0 && now - this.lastOow < 500) {
      this.silent(s);
      return;
    }
    if (!data) this.lastOow = now;
    this.ack(s);
  }

  private inWindow(s: Segment): boolean {
    const { rcvNxt } = this.m;
    const end = (rcvNxt + this.window) | 0;
    if (s.seq === rcvNxt) return true;
    if (after(s.end, rcvNxt) && before(s.seq, end)) return true;
    return s.seq === end && s.space === 0;
  }

  private old(s: Segment): boolean {
    return this.m.ts && s.hasTs && before(s.tsval, this.m.tsRecent);
  }

  private reset(s: Segment): number {
    expectReset(this.p.door, s);
    return GONE;
  }

  expect(s: Segment): number {
    return this.state === TCP_FIN_WAIT2 ? this.finWait2(s) : this.timeWait(s);
  }

  private finWait2(s: Segment): number {
    const { m } = this;
    if (this.old(s) || !this.inWindow(s)) {
      this.limitedAck(s);
      return STAYS;
    }
    if (s.has(RST)) {
      this.silent(s);
      return GONE;
    }
    if (s.has(SYN) && !before(s.seq, m.rcvNxt)) return this.reset(s);
    if (!s.has(ACK) || !after(s.end, m.rcvNxt) || s.space === 0) {
      this.silent(s);
      return STAYS;
    }
    if (!s.has(FIN) || s.end !== ((m.rcvNxt + 1) | 0)) return this.reset(s);
    m.rcvNxt = s.end;
    if (m.ts && s.hasTs) m.tsRecent = s.tsval;
    this.ack(s);
    return TO_TIME_WAIT;
  }

  private timeWait(s: Segment): number {
    const { m } = this;
    const old = this.old(s);
    if (!old && s.seq === m.rcvNxt && (s.space === 0 || s.has(RST))) {
      this.silent(s);
      if (s.has(RST)) return GONE;
      if (m.ts && s.hasTs) m.tsRecent = s.tsval;
      return STAYS;
    }
    const newer = after(s.seq, m.rcvNxt) || (m.ts && s.hasTs && after(s.tsval, m.tsRecent));
    if ((s.flags & (SYN | RST | ACK)) === SYN && !old && newer) {
      // RFC 9293#3.10.7.4: "may accept a new SYN". Choice: a SYN with FIN is not one.
      if (s.has(FIN)) {
        this.silent(s);
        return GONE;
      }
      return this.reopened(s);
    }
    if (s.has(RST)) this.silent(s);
    else this.limitedAck(s);
    return STAYS;
  }

  /** RFC 6191: beyond every number of the connection before. */
  private reopened(s: Segment): number {
    const { door } = this.p;
    const o = door.out[0];
    if (door.outs !== 1 || o === undefined || o.flags !== (SYN | ACK)) this.fail('no SYN-ACK', s);
    if (o.ack !== ((s.seq + 1) | 0)) this.fail('a SYN-ACK of something else', s);
    if (!after(o.seq, (this.m.nxt + 65535) | 0)) this.fail('numbers of the old connection', s);
    this.m.rcvNxt = o.ack;
    return REOPENED;
  }
}

function smallSegment(small: Small): Segment {
  const { p, m } = small;
  const { random } = p;
  const s = randomSegment(p);
  s.sacks = 0;
  const out = random.below(60) === 0;
  if (out) {
    if (small.state === TCP_FIN_WAIT2 && random.below(2) === 0) {
      s.flags = FIN | ACK;
      s.seq = m.rcvNxt;
      s.len = 0;
    }
    return s;
  }
  if (small.state === TCP_FIN_WAIT2) {
    // In the window only what it bears: ACKs without data.
    if (s.has(SYN | RST) || s.space !== 0) s.seq = (m.rcvNxt - 4000 - random.below(3000)) | 0;
  } else {
    if (s.has(RST) && s.seq === m.rcvNxt) s.seq = (s.seq + 1) | 0;
    if (s.has(SYN) && !s.has(ACK)) {
      s.seq = (m.rcvNxt - random.below(4000)) | 0;
      if (s.hasTs) s.tsval = m.tsRecent;
    }
  }
  return s;
}

/** What the machine's table says. */
function found(door: Door): number {
  const entry = lookup(door) as { skcState: number; twSubstate?: number } | null;
  if (entry === null) return GONE;
  if (entry.skcState === TCP_NEW_SYN_RECV) return REOPENED;
  return entry.twSubstate === TCP_TIME_WAIT ? TO_TIME_WAIT : STAYS;
}

function agree(small: Small, fate: number, s: Segment): void {
  const there = found(small.p.door);
  let want = fate;
  if (fate === STAYS && small.state === TCP_TIME_WAIT) want = TO_TIME_WAIT;
  if (there !== want) small.fail(`the table says ${there}, not ${want}`, s);
}

export function fuzzSmall(door: Door, state: number, count: number, random: Prandom): FuzzReport {
  const report = { segments: 0, setups: 0 };
  const lfd = listener(door, false);
  while (report.segments < count) {
    report.setups++;
    door.remotePort = 1024 + (report.setups % 60000);
    const p = new Peer(door, random, { ...flavourOf(random), tight: false });
    p.accept(lfd);
    lead(p, state, true);
    const small = new Small(p);
    const start = door.nowMs;
    let fate = STAYS;
    while (fate === STAYS && report.segments < count && door.nowMs - start < LIFE_MS) {
      report.segments++;
      const s = smallSegment(small);
      door.put(s, 0);
      fate = small.expect(s);
      agree(small, fate, s);
      if (fate === STAYS && random.below(60) === 0) {
        door.advance(random.below(600));
        if (door.outs !== 0) small.fail('it speaks of itself', s);
      }
    }
    p.end();
  }
  door.rig.close(lfd);
  return report;
}
