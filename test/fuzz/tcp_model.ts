/**
 * A model of one TCP connection past its handshake, written from RFC 9293 (#3.4, #3.10.7), RFC 5961 and
 * RFC 7323, that sees what goes over the wire and what the programs read and write. It says of each
 * segment what must come of it, and holds what the machine did against that.
 *
 * Where the texts leave a choice, or Linux is known to choose otherwise, a comment with "Choice" says
 * so. Sequence numbers are int32 and absolute.
 */

import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_SYN_RECV,
  TCP_TIME_WAIT,
} from '#uapi/tcp.ts';
import { TCP_STATE_RFC_NAMES } from '#uapi/tcp_states.ts';
import { ACK, type Door, FIN, RST, type Segment, SYN, URG } from './tcp_door.ts';

export const before = (a: number, b: number): boolean => ((a - b) | 0) < 0;
export const after = (a: number, b: number): boolean => ((a - b) | 0) > 0;

/** The machine did what the model forbids. */
export class ModelError extends Error {}

/** What must be answered. */
export const QUIET = 0;
export const MAY = 1;
export const MUST_ACK = 2;
export const MUST_RST = 3;

const RATE_LIMIT_MS = 500;

/** Which states may follow which: RFC 9293, figure 5, and resets and time-outs to CLOSED. */
const DIAGRAM: ReadonlyMap<number, readonly number[]> = new Map([
  [TCP_SYN_RECV, [TCP_ESTABLISHED, TCP_CLOSE_WAIT, TCP_CLOSE]],
  [TCP_ESTABLISHED, [TCP_CLOSE_WAIT, TCP_FIN_WAIT1, TCP_CLOSE]],
  [TCP_FIN_WAIT1, [TCP_FIN_WAIT2, TCP_CLOSING, TCP_TIME_WAIT, TCP_CLOSE]],
  [TCP_FIN_WAIT2, [TCP_TIME_WAIT, TCP_CLOSE]],
  [TCP_CLOSE_WAIT, [TCP_LAST_ACK, TCP_CLOSE]],
  [TCP_CLOSING, [TCP_TIME_WAIT, TCP_CLOSE]],
  [TCP_LAST_ACK, [TCP_CLOSE]],
  [TCP_TIME_WAIT, [TCP_CLOSE]],
  [TCP_CLOSE, []],
]);

/** Ranges of sequence numbers, apart from each other and in order. */
export class Ranges {
  readonly from: number[] = [];
  readonly to: number[] = [];

  add(a: number, b: number): void {
    let i = 0;
    while (i < this.from.length && before(this.to[i] ?? 0, a)) i++;
    let from = a;
    let to = b;
    let gone = 0;
    for (let j = i; j < this.from.length && !after(this.from[j] ?? 0, b); j++, gone++) {
      if (before(this.from[j] ?? 0, from)) from = this.from[j] ?? 0;
      if (after(this.to[j] ?? 0, to)) to = this.to[j] ?? 0;
    }
    this.from.splice(i, gone, from);
    this.to.splice(i, gone, to);
  }

  /** Takes out what lies before `seq`; returns how far the range reaches that holds it. */
  advance(seq: number): number {
    let at = seq;
    while (this.from.length !== 0 && !after(this.from[0] ?? 0, at)) {
      const to = this.to[0] ?? 0;
      if (after(to, at)) at = to;
      this.from.shift();
      this.to.shift();
    }
    return at;
  }

  holds(a: number, b: number): boolean {
    for (let i = 0; i < this.from.length; i++) {
      if (!before(a, this.from[i] ?? 0) && !after(b, this.to[i] ?? 0)) return true;
    }
    return false;
  }
}

export class Model {
  readonly door: Door;
  state: number = TCP_ESTABLISHED;
  /** No program holds the socket any more. */
  orphan = false;
  /** Memory may run out: segments may be lost after they were accepted. */
  tight = false;
  sack = false;
  ts = false;

  // What we send.
  iss = 0;
  una = 0;
  /** One past the highest number on the wire. */
  nxt = 0;
  /** One past what the program wrote, with the FIN. */
  writeEnd = 0;
  finSent = false;
  sndWnd = 0;
  maxWnd = 0;
  wl1 = 0;
  sndScale = 0;
  /** Where counting of acknowledged numbers began. */
  ackedFrom = 0;
  mss = 536;

  // What we receive.
  irs = 0;
  rcvNxt = 0;
  /** Of the last segment with ACK: its acknowledgment, and the window's right edge. */
  lastAck = 0;
  lastEdge = 0;
  /** The right edge never moves back. */
  maxEdge = 0;
  rcvScale = 0;
  copied = 0;
  readonly held: Ranges = new Ranges();
  /** Everything that was ever accepted beyond rcvNxt. */
  readonly ever: Ranges = new Ranges();
  /** The number of the peer's FIN. */
  finAt = 0;
  finKnown = false;
  /** The segment at hand brought us to the FIN. */
  finNow = false;
  /** Urgent data may divide what is read. */
  urgent = false;
  /** A FIN waits unread at the end of the receive queue of an orphan. */
  finQueued = false;
  tsRecent = 0;
  tsBefore = 0;
  /** WL1 may be this, where the machine has the choice; null: it has none. */
  maybeWl1: number | null = null;
  /** The segment at hand may have been put by. */
  maybeHeld = false;
  /** The segment at hand may have been taken up to here. */
  maybeEnd: number | null = null;
  /** The machine may have kept this timestamp instead. */
  tsOther = 0;
  tsEither = false;
  lastTsval = 0;
  tsvalKnown = false;
  /** ms; -1 never. */
  lastOow = -1;

  // What the present event allows.
  want: number = MAY;
  ackFloor = 0;
  note = '';

  constructor(door: Door) {
    this.door = door;
  }

  fail(what: string, s?: Segment): never {
    const state = TCP_STATE_RFC_NAMES[this.state] ?? this.state;
    throw new ModelError(`${what}: ${s ?? ''} [${state} ${this.note}] ${this.describe()}`);
  }

  describe(): string {
    return (
      `una ${this.una} nxt ${this.nxt} end ${this.writeEnd} wnd ${this.sndWnd} ` +
      `wl1 ${this.wl1} rcv_nxt ${this.rcvNxt} last ack ${this.lastAck} edge ${this.lastEdge} copied ${this.copied} ` +
      `ts ${this.tsRecent} orphan ${this.orphan} tight ${this.tight}`
    );
  }

  get limit(): number {
    return after(this.lastEdge, this.rcvNxt) ? this.lastEdge : this.rcvNxt;
  }

  get window(): number {
    return (this.limit - this.rcvNxt) | 0;
  }

  /** Something waits to be read. */
  private get unread(): boolean {
    return this.orphan ? this.finQueued : this.copied !== this.rcvNxt;
  }

  private become(state: number): void {
    if (state === this.state) return;
    if (!(DIAGRAM.get(this.state) ?? []).includes(state)) {
      this.fail(`the diagram has no way to ${TCP_STATE_RFC_NAMES[state] ?? state}`);
    }
    this.state = state;
  }

  /** RFC 5961#7: one answer to senseless segments without data in half a second. */
  private limited(): boolean {
    const now = this.door.nowMs;
    if (this.lastOow >= 0 && now - this.lastOow < RATE_LIMIT_MS) return true;
    this.lastOow = now;
    return false;
  }

  private drop(want: number, note: string): void {
    this.want = want;
    this.note = note;
  }

  private challenge(note: string): void {
    this.drop(this.limited() ? QUIET : MUST_ACK, note);
  }

  /** Repeats our state for a segment out of the window. Choice: with data it is always answered. */
  private dupAck(s: Segment, note: string): void {
    const data = s.space !== 0 && !s.has(SYN);
    this.drop(!data && this.limited() ? QUIET : MUST_ACK, note);
  }

  private reset(note: string): void {
    this.drop(QUIET, note);
    this.become(TCP_CLOSE);
  }

  /** Reset by us. */
  private abort(note: string): void {
    this.drop(MUST_RST, note);
    this.become(TCP_CLOSE);
  }

  /** A segment arrives: what must become of it? */
  expect(s: Segment): void {
    this.want = MAY;
    this.note = 'accepted';
    this.urgent ||= s.has(URG);
    this.maybeHeld = false;
    this.maybeEnd = null;
    this.maybeWl1 = null;
    this.finNow = false;
    this.ackFloor = this.lastAck;
    this.tsBefore = this.tsRecent;
    // Choice: without any of these bits it is dropped before anything else.
    if (!s.has(ACK | RST | SYN)) {
      this.drop(QUIET, 'no flags');
      return;
    }
    if (!this.paws(s) || !this.acceptable(s)) return;
    if (s.has(RST)) {
      this.rst(s);
      return;
    }
    if (s.has(SYN) && !this.crossedAgain(s)) {
      this.challenge('SYN in a synchronised state');
      return;
    }
    if (!s.has(ACK)) {
      this.noAck(s);
      return;
    }
    if (this.acknowledge(s)) this.afterAck(s);
  }

  /** Choice: a SYN-ACK that completes crossed SYNs is an ACK. */
  private crossedAgain(s: Segment): boolean {
    return (
      this.state === TCP_SYN_RECV &&
      s.has(ACK) &&
      s.len === 0 &&
      !s.has(FIN) &&
      s.end === this.rcvNxt &&
      s.ack === this.nxt
    );
  }

  /** RFC 9293#3.10.7.4, fifth: without ACK it is dropped. Overridden by nothing. */
  private noAck(s: Segment): void {
    this.fail('a segment without ACK got past the RST and SYN checks', s);
  }

  /** RFC 7323#5.3 R1. False: dealt with. */
  private paws(s: Segment): boolean {
    if (!this.ts || !s.hasTs) return true;
    const behind = (this.tsRecent - s.tsval) | 0;
    // Choice: one tick back is still taken.
    if (behind <= 1 || s.has(RST)) return true;
    if (s.has(SYN)) {
      this.challenge('SYN with an old timestamp');
      return false;
    }
    // Choice: an ACK without data that was overtaken is no offence, RFC 7323 appendix D.
    if (s.has(ACK) && s.space === 0) {
      if (before(s.seq, this.rcvNxt)) {
        this.drop(QUIET, 'overtaken ACK');
        return false;
      }
      if (s.seq === this.rcvNxt && s.ack === this.una && !this.updatesWindow(s)) {
        if (behind <= this.replay()) return true;
      }
    }
    this.dupAck(s, 'PAWS');
    return false;
  }

  /** How old an overtaken ACK may be; the round trip's timeout is the machine's own business. */
  replay: () => number = () => 0;

  /** RFC 9293#3.4, four cases. False: dealt with. */
  private acceptable(s: Segment): boolean {
    const { limit } = this;
    // Choice: from the last number acknowledged on, not from RCV.NXT on.
    let ok = !before(s.end, this.lastAck);
    if (ok && after((s.end - (s.flags & FIN)) | 0, limit)) {
      // Choice: what reaches beyond the window is taken whole by a reader that waits, else refused.
      ok = !after(s.seq, limit) && !this.unread;
    }
    if (ok) return true;
    if (s.has(RST)) {
      if (this.finResets(s)) this.reset('RST before our count of the FIN');
      else this.drop(QUIET, 'RST out of the window');
    } else if (s.has(SYN)) {
      this.challenge('SYN out of the window');
    } else {
      this.dupAck(s, 'out of the window');
    }
    return false;
  }

  /** Choice: some stacks do not count their FIN. */
  private finResets(s: Segment): boolean {
    const { state } = this;
    const closed = state === TCP_CLOSE_WAIT || state === TCP_LAST_ACK || state === TCP_CLOSING;
    return closed && s.seq === ((this.rcvNxt - 1) | 0);
  }

  /** RFC 5961#3.2. */
  private rst(s: Segment): void {
    if (s.seq === this.rcvNxt || this.finResets(s)) {
      this.reset('RST');
      return;
    }
    // Choice: at the end of what SACK reports it is believed too; the model leaves that to the machine.
    const { ever } = this;
    const end = ever.to.includes(s.seq) || (this.tight && ever.holds((s.seq - 1) | 0, s.seq));
    if (this.sack && end) {
      this.want = MAY;
      this.note = 'RST at the end of held data';
      this.eitherClosed = true;
      return;
    }
    this.challenge('RST in the window');
  }

  /** Whether the machine closes is up to it. */
  eitherClosed = false;

  /** RFC 7323#4.3 (2). */
  private freshStamp(s: Segment): boolean {
    const newer = ((this.tsRecent - s.tsval) | 0) <= 0;
    return this.ts && s.hasTs && newer && !after(s.seq, this.lastAck);
  }

  private updatesWindow(s: Segment): boolean {
    const wnd = s.win * (1 << this.sndScale);
    return (
      after(s.ack, this.una) ||
      after(s.seq, this.wl1) ||
      (s.seq === this.wl1 && (wnd > this.sndWnd || wnd === 0))
    );
  }

  /** RFC 9293#3.10.7.4, fifth; RFC 5961#5.2. False: dealt with. */
  private acknowledge(s: Segment): boolean {
    const { ack } = s;
    if (this.state === TCP_SYN_RECV) return this.synRecvAck(s);
    if (after(ack, this.nxt)) {
      this.challenge('ACK of what was not sent');
      return false;
    }
    if (before(ack, this.una)) {
      const acked = (this.una - this.ackedFrom) >>> 0;
      if (!before(ack, (this.una - Math.min(this.maxWnd, acked)) | 0)) {
        // Choice: whether an old ACK's timestamp is kept depends on the path it took.
        if (this.freshStamp(s)) {
          this.tsOther = s.tsval;
          this.tsEither = true;
        }
        return true;
      }
      this.challenge('ACK too old');
      // Choice: on the fast path data in order is taken before its ACK is looked at.
      if (this.state === TCP_ESTABLISHED && s.seq === this.rcvNxt) this.maybeEnd = s.end;
      if (this.freshStamp(s)) {
        this.tsOther = s.tsval;
        this.tsEither = true;
      }
      return false;
    }
    if (this.freshStamp(s)) this.tsRecent = s.tsval;
    if (this.updatesWindow(s)) {
      this.sndWnd = s.win * (1 << this.sndScale);
      this.maxWnd = Math.max(this.maxWnd, this.sndWnd);
      this.wl1 = s.seq;
    } else if (s.seq === this.rcvNxt && s.len !== 0 && s.ack === this.una) {
      // Choice: on the fast path WL1 follows data in order even when it lay further on.
      this.maybeWl1 = s.seq;
    }
    this.una = ack;
    return true;
  }

  /** Choice: an ACK of nothing (of our initial number itself) is taken too. */
  private synRecvAck(s: Segment): boolean {
    if (before(s.ack, this.una) || after(s.ack, this.nxt)) {
      this.drop(MUST_RST, 'wrong ACK of crossed SYNs');
      return false;
    }
    if (this.freshStamp(s)) this.tsRecent = s.tsval;
    this.become(TCP_ESTABLISHED);
    this.una = s.ack;
    this.sndWnd = s.win * (1 << this.sndScale);
    this.maxWnd = Math.max(this.maxWnd, this.sndWnd);
    this.wl1 = s.seq;
    return true;
  }

  /** Data that nobody will read. */
  private beyond(s: Segment): boolean {
    return s.space !== 0 && after((s.end - (s.flags & FIN)) | 0, this.rcvNxt);
  }

  private get finAcked(): boolean {
    return this.finSent && this.una === this.writeEnd;
  }

  private afterAck(s: Segment): void {
    switch (this.state) {
      case TCP_FIN_WAIT1:
        if (this.finAcked) {
          this.become(TCP_FIN_WAIT2);
          if (this.orphan) {
            if (this.beyond(s)) {
              this.abort('data after close');
              return;
            }
            // Choice: kept in a small socket from now on, this segment's bytes are not looked at.
            if (!s.has(FIN)) return;
          }
        }
        break;
      case TCP_CLOSING:
        if (this.finAcked) {
          this.become(TCP_TIME_WAIT);
          return;
        }
        break;
      case TCP_LAST_ACK:
        if (this.finAcked) {
          this.become(TCP_CLOSE);
          return;
        }
        break;
    }
    this.data(s);
  }

  private data(s: Segment): void {
    switch (this.state) {
      case TCP_CLOSE_WAIT:
      case TCP_CLOSING:
      case TCP_LAST_ACK:
        // RFC 9293: "should not occur", ignore. Choice: what overlaps the FIN is an offence.
        if (!before(s.seq, this.rcvNxt)) return;
        if (this.beyond(s)) {
          this.abort('data over the FIN');
          return;
        }
        break;
      case TCP_FIN_WAIT1:
      case TCP_FIN_WAIT2:
        if (this.orphan && this.beyond(s)) {
          this.abort('data after close');
          return;
        }
        break;
    }
    if (s.space === 0) return;
    this.text(s);
  }

  /** Choice: short of memory the ACK may wait like others. */
  private refuse(note: string): void {
    this.drop(this.tight ? MAY : MUST_ACK, note);
  }

  /** RFC 9293#3.10.7.4, seventh. */
  private text(s: Segment): void {
    const { rcvNxt, limit } = this;
    const end = s.end;
    if (!after(end, rcvNxt)) {
      this.refuse('old data');
      return;
    }
    if (!before(s.seq, limit) && s.seq !== rcvNxt) {
      this.refuse('beyond the window');
      // Choice: an ACK that let us send has by that opened our own window further.
      this.maybeHeld = true;
      return;
    }
    // Choice: a bare FIN needs no room.
    const bareFin = s.seq === rcvNxt && s.len === 0;
    if (!after(s.seq, rcvNxt) && limit === rcvNxt && !bareFin) {
      this.refuse('window closed');
      return;
    }
    this.ever.add(s.seq, end);
    this.held.add(s.seq, end);
    if (after(s.seq, rcvNxt)) {
      this.note = 'out of order';
      // RFC 5681#4.2. Choice: with SACK it may wait a millisecond for others.
      if (!this.sack && !this.tight) this.want = MUST_ACK;
      return;
    }
    this.rcvNxt = this.held.advance(rcvNxt);
    if (this.tight) return;
    this.ever.advance(this.rcvNxt);
    this.finReached();
  }

  private finReached(): void {
    if (!this.finKnown || !after(this.rcvNxt, this.finAt)) return;
    this.finNow = true;
    switch (this.state) {
      case TCP_ESTABLISHED:
        this.become(TCP_CLOSE_WAIT);
        break;
      case TCP_FIN_WAIT1:
        this.finQueued = this.orphan;
        this.want = MUST_ACK;
        this.become(TCP_CLOSING);
        break;
      case TCP_FIN_WAIT2:
        this.want = MUST_ACK;
        this.become(TCP_TIME_WAIT);
        break;
    }
  }

  /** The machine put a segment by where it had the choice. */
  putBy(s: Segment): void {
    this.want = MAY;
    this.held.add(s.seq, s.end);
    this.ever.add(s.seq, s.end);
  }

  /** The machine took the text of a segment where it had the choice. */
  took(end: number): void {
    this.want = MAY;
    this.held.add(this.rcvNxt, end);
    this.ever.add(this.rcvNxt, end);
    this.rcvNxt = this.held.advance(this.rcvNxt);
    if (!this.tight) this.ever.advance(this.rcvNxt);
  }

  /** Memory is short: the machine says how far it came, which must lie within what was received. */
  adopt(rcvNxt: number): void {
    let reach = this.lastAck;
    const { from, to } = this.ever;
    for (let i = 0; i < from.length; i++) {
      if (!after(from[i] ?? 0, reach) && after(to[i] ?? 0, reach)) reach = to[i] ?? 0;
    }
    if (after(rcvNxt, reach) || before(rcvNxt, this.lastAck)) {
      this.fail(`received up to ${rcvNxt}, but only ${reach} can be`);
    }
    this.rcvNxt = rcvNxt;
    this.finReached();
  }

  /** Holds what the machine sent against what it may. */
  observe(): void {
    const { door } = this;
    let acks = 0;
    let resets = 0;
    for (let i = 0; i < door.outs; i++) {
      const o = door.out[i] as Segment;
      if (o.has(RST)) {
        resets++;
        if (this.want !== MUST_RST) this.fail('an unexpected RST', o);
        continue;
      }
      if (o.has(SYN)) this.checkSyn(o);
      else if (!o.has(ACK)) this.fail('sent without ACK', o);
      this.checkAck(o);
      this.checkText(o);
      acks++;
    }
    if (this.want === QUIET && door.outs !== 0)
      this.fail('an answer where none is due', door.out[0]);
    if (this.want === MUST_ACK && acks === 0) this.fail('no ACK where one is due');
    if (this.want === MUST_RST && resets !== 1) this.fail(`${resets} RSTs instead of one`);
  }

  /** Only a SYN-ACK of crossed SYNs, sent again. */
  private checkSyn(o: Segment): void {
    if (this.state !== TCP_SYN_RECV && this.una !== this.iss) this.fail('an unexpected SYN', o);
    if (o.seq !== this.iss) this.fail('a SYN with another number', o);
  }

  private checkAck(o: Segment): void {
    if (before(o.ack, this.ackFloor)) this.fail('an ACK went back', o);
    if (after(o.ack, this.rcvNxt)) this.fail('an ACK of what was not received', o);
    this.ackFloor = o.ack;
    const edge = this.edgeOf(o);
    this.checkEdge(o, edge);
    this.lastAck = o.ack;
    this.lastEdge = edge;
    // Choice: the SYN-ACK of crossed SYNs offers again what the SYN offered.
    if (o.has(SYN)) return;
    if (this.ts !== o.hasTs) this.fail('timestamps come and go', o);
    if (o.hasTs) this.checkTimestamp(o);
    this.checkSack(o);
  }

  /** RFC 9293#3.8.6: the right edge does not go back. */
  private checkEdge(o: Segment, edge: number): void {
    // What the machine takes for its window is not all that such a segment can say.
    const full = this.rcvScale === 0 && o.win === 0xffff;
    // Choice: a TIME-WAIT without scaling says its window modulo 2^16.
    const small = this.state === TCP_TIME_WAIT && this.rcvScale === 0;
    // Choice: when memory is gone the window closes at once.
    const closed = this.tight && o.win === 0;
    if (before(edge, this.maxEdge) && !full && !small && !closed) {
      this.fail(`the window shrank by ${this.maxEdge - edge}`, o);
    }
    if (full || after(edge, this.maxEdge)) this.maxEdge = edge;
  }

  /** Choice: what 16 bits cannot say counts too, before scaling began or without it. */
  edgeOf(o: Segment): number {
    const scale = o.has(SYN) ? 0 : this.rcvScale;
    let wnd = o.win * (1 << scale);
    if (scale === 0 && o.win === 0xffff) wnd = Math.max(wnd, this.ownWindow());
    return (o.ack + wnd) | 0;
  }

  /** What the machine itself takes for its window. */
  ownWindow: () => number = () => 0;

  /** RFC 7323#3.2 and #5.4. */
  private checkTimestamp(o: Segment): void {
    if (o.tsecr !== this.tsRecent && o.tsecr !== this.tsBefore) this.fail('a wrong echo', o);
    if (this.tsvalKnown && before(o.tsval, this.lastTsval)) this.fail('our clock went back', o);
    this.lastTsval = o.tsval;
    this.tsvalKnown = true;
  }

  /** RFC 2018#3 and RFC 2883#4: what is reported has come. */
  private checkSack(o: Segment): void {
    if (o.sacks !== 0 && !this.sack) this.fail('SACK that was not agreed on', o);
    // Choice: the ACK of a FIN that waited behind a hole still tells of what waited with it.
    if (this.finNow) return;
    for (let i = 0; i < o.sacks; i++) {
      const left = o.sack[2 * i] ?? 0;
      const right = o.sack[2 * i + 1] ?? 0;
      if (!before(left, right)) this.fail('an empty SACK block', o);
      // The first may be a duplicate: its data came twice, and may lie anywhere.
      if (i === 0 && before(left, o.ack)) {
        if (after(right, this.rcvNxt)) this.fail('DSACK of what was not received', o);
        continue;
      }
      if (i === 0 && this.within(o, left, right)) continue;
      if (!after(left, o.ack)) this.fail('a SACK block within the ACK', o);
      if (!this.everHeld(left, right)) this.fail('SACK of what was not received', o);
    }
  }

  private within(o: Segment, left: number, right: number): boolean {
    if (o.sacks < 2) return false;
    return !before(left, o.sack[2] ?? 0) && !after(right, o.sack[3] ?? 0);
  }

  /** Blocks of an ACK in the middle of a segment may end at what has been taken since. */
  private everHeld(left: number, right: number): boolean {
    return (
      this.ever.holds(left, right) || (!before(left, this.lastAck) && !after(right, this.rcvNxt))
    );
  }

  /** Our own sequence numbers and bytes: RFC 9293#3.8. */
  private checkText(o: Segment): void {
    const { una } = this;
    if (o.space === 0) {
      // Also a probe, which repeats an old number.
      if (after(o.seq, this.nxt) || before(o.seq, (una - 1) | 0)) {
        if (this.state !== TCP_CLOSE) this.fail('an ACK from a number of another place', o);
      }
      return;
    }
    if (o.has(SYN)) return;
    const end = (o.seq + o.len) | 0;
    const dataEnd = (this.writeEnd - (this.finSent ? 1 : 0)) | 0;
    if (before(o.seq, (this.iss + 1) | 0) || after(end, dataEnd))
      this.fail('bytes nobody wrote', o);
    if (after(o.seq, this.nxt)) this.fail('a hole in what was sent', o);
    if (o.has(FIN) && (!this.finSent || end !== dataEnd)) this.fail('a FIN before the end', o);
    const offset = (o.seq - this.iss - 1) | 0;
    if (!this.door.ours.matches(offset, o.packet, o.payloadAt, o.len)) {
      this.fail('other bytes than the program wrote', o);
    }
    this.checkWindow(o, (end + (o.flags & FIN)) | 0);
  }

  private checkWindow(o: Segment, end: number): void {
    const edge = (this.una + this.sndWnd) | 0;
    if (after(end, this.nxt)) {
      if (after(end, edge)) this.fail(`beyond the peer's window, ${edge}`, o);
      this.nxt = end;
      return;
    }
    // Choice: the first segment may be repeated into a window that has closed.
    if (after(end, edge) && o.seq !== this.una && !before(o.seq, edge)) {
      this.fail(`repeated beyond the peer's window, ${edge}`, o);
    }
  }
}
