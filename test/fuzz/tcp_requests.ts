/**
 * Segments into SYN-RECEIVED: as a request below its listener, and as a full socket whose SYN crossed
 * the peer's. RFC 9293#3.10.7.4, RFC 5961#3.2 and #4.2.
 */
import type { Prandom } from '#lib/prandom.ts';
import { TCP_NEW_SYN_RECV, TCP_SYN_RECV } from '#uapi/tcp.ts';
import { ACK, type Door, RST, type Segment, SYN } from './tcp_door.ts';
import { before, ModelError } from './tcp_model.ts';
import { connect, expectReset } from './tcp_opening.ts';
import { flavourOf, listener, lookup, Peer } from './tcp_peer.ts';
import { type FuzzReport, randomSegment } from './tcp_states.ts';

/** Virtual time after which a request is made anew, before it times out. */
const LIFE_MS = 20_000;

/** A request: what it knows of the peer. */
class Request {
  readonly p: Peer;
  window = 0;
  firstTsval = 0;
  lastTsval = 0;
  /** ms; -1 never. */
  lastOow = -1;
  /** A socket must stand in its place. */
  established = false;

  constructor(p: Peer) {
    this.p = p;
  }

  fail(what: string, s: Segment): never {
    const { door } = this.p;
    const answers = door.out.slice(0, door.outs).join(', ');
    throw new ModelError(`${what}: after ${s}, answers ${answers}; ${this.p.model.describe()}`);
  }

  open(): void {
    const { door, random, model: m, seg } = this.p;
    this.p.tsBase = random.i32();
    this.p.begin(random.i32());
    const syn = this.p.synOptions(seg.reset());
    syn.flags = SYN;
    syn.seq = m.irs;
    syn.win = 30000;
    door.put(syn, 0);
    const o = door.out[0];
    if (door.outs !== 1 || o === undefined || o.flags !== (SYN | ACK)) this.fail('no SYN-ACK', syn);
    this.p.learn(o);
    m.state = TCP_SYN_RECV;
    m.tsRecent = syn.tsval;
    this.window = o.win;
    this.firstTsval = o.tsval;
    this.lastTsval = o.tsval;
  }

  private limited(s: Segment): boolean {
    if (s.space !== 0 && !s.has(SYN)) return false;
    return this.lately();
  }

  /** Answers of this kind come twice a second at most; this is one, unless it comes too early. */
  private lately(): boolean {
    const now = this.p.door.nowMs;
    if (this.lastOow >= 0 && now - this.lastOow < 500) return true;
    this.lastOow = now;
    return false;
  }

  private silent(s: Segment): boolean {
    if (this.p.door.outs !== 0) this.fail('an answer where none is due', s);
    return true;
  }

  /** The SYN-ACK, sent again. */
  synAck(o: Segment, s: Segment): void {
    const m = this.p.model;
    if (o.flags !== (SYN | ACK) || o.seq !== m.iss || o.ack !== m.rcvNxt)
      this.fail('no SYN-ACK', s);
    this.lastTsval = o.tsval;
  }

  private inWindow(s: Segment): boolean {
    const { rcvNxt } = this.p.model;
    const end = (rcvNxt + this.window) | 0;
    if (s.seq === rcvNxt) return true;
    if (before(rcvNxt, s.end) && before(s.seq, end)) return true;
    return s.seq === end && s.space === 0;
  }

  /** A segment that cannot be: an ACK that says where we are. */
  private outOfWindow(s: Segment): boolean {
    if (s.has(RST) || this.limited(s)) return this.silent(s);
    return this.acked(s);
  }

  /** The answer is an ACK that says where we are. */
  private acked(s: Segment): boolean {
    const { door, model: m } = this.p;
    const o = door.out[0];
    if (door.outs !== 1 || o === undefined || o.flags !== ACK) this.fail('no ACK', s);
    if (o.seq !== m.nxt || o.ack !== m.rcvNxt) this.fail('an ACK with other numbers', s);
    return true;
  }

  /** Was the segment dealt with rightly? False: and the request is gone by it. */
  expect(s: Segment): boolean {
    const { door, model: m } = this.p;
    const stamped = m.ts && s.hasTs;
    const old = stamped && before(s.tsval, m.tsRecent);
    const echo =
      !stamped ||
      s.tsecr === 0 ||
      (!before(s.tsecr, this.firstTsval) && !before(this.lastTsval, s.tsecr));
    if (s.seq === m.irs && (s.flags & (SYN | RST | ACK)) === SYN && !old) {
      if (this.limited(s)) return this.silent(s);
      const o = door.out[0];
      if (door.outs !== 1 || o === undefined) this.fail('the SYN came again', s);
      this.synAck(o, s);
      return true;
    }
    if (s.has(ACK) && !s.has(RST) && s.ack !== m.nxt) {
      expectReset(door, s);
      return true;
    }
    if (old || !echo || !this.inWindow(s)) return this.outOfWindow(s);
    // At the exact number it ends the request; elsewhere the peer is asked for that (RFC 5961, section 3.2).
    if (s.has(RST) && s.seq !== m.rcvNxt) return this.lately() ? this.silent(s) : this.acked(s);
    if (s.has(RST)) return !this.silent(s);
    if (s.has(SYN) && s.seq !== m.irs) {
      expectReset(door, s);
      return false;
    }
    if (!s.has(ACK)) return this.silent(s);
    this.established = true;
    return false;
  }
}

function requestSegment(p: Peer): Segment {
  const { model: m, random } = p;
  const s = randomSegment(p);
  const out = random.below(100) === 0;
  if (random.below(8) === 0) {
    s.flags = SYN;
    s.seq = m.irs;
    s.len = random.below(2) * 10;
  }
  // A SYN at its old place, with the ACK and data: its SYN lies before the window.
  if (random.below(400) === 0) {
    s.flags = SYN | ACK;
    s.seq = m.irs;
    s.ack = m.nxt;
    s.len = 20;
    s.sacks = 0;
    return s;
  }
  if (s.has(ACK)) {
    const r = random.below(4);
    if (r < 2) s.ack = m.nxt;
    else if (r === 2) s.ack = m.iss;
    // An ACK that completes the handshake is rare: an old one instead.
    if (!out && s.ack === m.nxt && !s.has(RST | SYN)) s.seq = (m.rcvNxt - 1 - random.below(9)) | 0;
    if (!out && s.ack === m.nxt && !s.has(RST | SYN)) s.len = 0;
  }
  if (!out && s.has(RST | SYN) && s.seq !== m.irs) s.seq = (m.irs - 5000 - random.below(9)) | 0;
  s.sacks = 0;
  return s;
}

/** Ends what became of a request. */
function clear(p: Peer, lfd: number): void {
  const { door, model: m } = p;
  const sk = lookup(door) as { rcvNxt?: number; skcState: number } | null;
  if (sk !== null && sk.skcState !== TCP_NEW_SYN_RECV && sk.rcvNxt !== undefined) {
    m.rcvNxt = sk.rcvNxt;
  }
  p.end();
  const fd = door.rig.sys.accept4(lfd, null, 0);
  if (fd >= 0) door.rig.close(fd);
}

function fuzzRequests(door: Door, count: number, random: Prandom): FuzzReport {
  const report = { segments: 0, setups: 0 };
  const lfd = listener(door, false);
  while (report.segments < count) {
    report.setups++;
    door.remotePort = 1024 + (report.setups % 60000);
    const p = new Peer(door, random, flavourOf(random));
    const req = new Request(p);
    req.open();
    const start = door.nowMs;
    let stays = true;
    while (stays && report.segments < count && door.nowMs - start < LIFE_MS) {
      report.segments++;
      const s = requestSegment(p);
      door.put(s, 0);
      stays = req.expect(s);
      const there = lookup(door)?.skcState === TCP_NEW_SYN_RECV;
      if (req.established && lookup(door) === null) req.fail('no socket came of it', s);
      if (there !== stays) req.fail(stays ? 'the request is gone' : 'the request stays', s);
      if (stays && random.below(60) === 0) {
        door.advance(random.below(600));
        for (let i = 0; i < door.outs; i++) req.synAck(door.out[i] as Segment, s);
      }
    }
    clear(p, lfd);
  }
  door.rig.close(lfd);
  return report;
}

/**
 * Both SYNs on the way at once. Choice: our window stays scaled though the peer's SYN did not offer it.
 */
function cross(p: Peer): void {
  const { door, random, model: m, seg } = p;
  connect(p);
  p.tsBase = random.i32();
  p.begin(random.i32());
  const syn = p.synOptions(seg.reset());
  syn.flags = SYN;
  syn.seq = m.irs;
  syn.win = 30000;
  door.put(syn, 0);
  const o = door.out[0];
  if (door.outs !== 1 || o === undefined || o.flags !== (SYN | ACK)) {
    m.fail('no SYN-ACK', o);
    return;
  }
  m.state = TCP_SYN_RECV;
  m.ts = syn.hasTs;
  m.sack = syn.sackOk;
  m.tsRecent = syn.tsval;
  m.tsvalKnown = m.ts;
  m.sndWnd = syn.win;
  m.maxWnd = syn.win;
  m.wl1 = m.irs;
  p.offered(o);
}

function crossedSegment(p: Peer): Segment {
  const s = randomSegment(p);
  const m = p.model;
  // Any ACK in the window establishes.
  if (p.random.below(50) !== 0 && s.has(ACK) && !before(s.ack, m.una) && !before(m.nxt, s.ack)) {
    s.ack = (m.nxt + 1 + p.random.below(100)) | 0;
  }
  return s;
}

function fuzzCrossed(door: Door, count: number, random: Prandom): FuzzReport {
  const report = { segments: 0, setups: 0 };
  while (report.segments < count) {
    report.setups++;
    door.remotePort = 1024 + (report.setups % 60000);
    const p = new Peer(door, random, flavourOf(random));
    cross(p);
    const start = door.nowMs;
    while (p.model.state === TCP_SYN_RECV && report.segments < count) {
      report.segments++;
      p.step(crossedSegment(p));
      if (door.nowMs - start > LIFE_MS) break;
      if (p.model.state === TCP_SYN_RECV && random.below(60) === 0) p.advance(random.below(600));
    }
    p.end();
  }
  door.localPort = door.rig.localPort;
  return report;
}

export function fuzzSynReceived(door: Door, count: number, random: Prandom): FuzzReport {
  const requests = fuzzRequests(door, count - (count >> 2), random);
  const crossed = fuzzCrossed(door, count >> 2, random);
  return {
    segments: requests.segments + crossed.segments,
    setups: requests.setups + crossed.setups,
  };
}
