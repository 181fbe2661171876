/**
 * Segments into CLOSED, LISTEN and SYN-SENT, with what RFC 9293#3.10.7.1 to #3.10.7.3 make of them.
 */
import type { Prandom } from '#lib/prandom.ts';
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_SYN_RECV, TCP_SYN_SENT } from '#uapi/tcp.ts';
import { ACK, type Door, ECE, FIN, PSH, RST, type Segment, SYN, URG } from './tcp_door.ts';
import { ModelError, QUIET } from './tcp_model.ts';
import { flavourOf, listener, lookup, Peer } from './tcp_peer.ts';
import type { FuzzReport } from './tcp_states.ts';

const CLOSED_PORT = 9;
const CONNECT_PORT = 9000;

function fail(what: string, sent: Segment, got?: Segment): never {
  throw new ModelError(`${what}: after ${sent}${got === undefined ? '' : `, answer ${got}`}`);
}

/** Exactly one answer, which must be this. */
function one(door: Door, sent: Segment): Segment {
  const o = door.out[0];
  if (door.outs !== 1 || o === undefined) fail(`${door.outs} answers instead of one`, sent, o);
  return o;
}

function none(door: Door, sent: Segment): void {
  if (door.outs !== 0) fail('an answer where none is due', sent, door.out[0]);
}

/** The reset of RFC 9293#3.10.7.1, which a RST never gets. */
export function expectReset(door: Door, sent: Segment): void {
  if (sent.has(RST)) {
    none(door, sent);
    return;
  }
  const o = one(door, sent);
  if (sent.has(ACK)) {
    if (o.flags !== RST || o.seq !== sent.ack) fail('another reset is due', sent, o);
  } else if (o.flags !== (RST | ACK) || o.seq !== 0 || o.ack !== sent.end) {
    fail('another reset is due', sent, o);
  }
}

/** Flags in every combination, numbers anywhere. */
function anySegment(s: Segment, random: Prandom): Segment {
  s.reset();
  const r = random.below(10);
  if (r < 4) s.flags = SYN;
  else if (r < 6) s.flags = ACK | (random.below(2) === 0 ? PSH : 0);
  else s.flags = random.below(256);
  if (s.has(URG)) s.urg = random.below(65536);
  s.seq = random.i32();
  if (s.has(ACK)) s.ack = random.i32();
  s.win = random.below(65536);
  s.len = random.below(3) === 0 ? 1 + random.below(200) : 0;
  if (s.has(SYN)) {
    s.mss = random.below(3) === 0 ? 0 : random.below(1500);
    s.sackOk = random.below(2) === 0;
    s.wscale = random.below(3) === 0 ? -1 : random.below(256);
  }
  s.hasTs = random.below(3) === 0;
  s.tsval = random.i32();
  s.tsecr = random.i32();
  return s;
}

/** A port where nobody is. */
export function fuzzClosed(door: Door, count: number, random: Prandom): FuzzReport {
  const p = new Peer(door, random, flavourOf(random));
  door.localPort = CLOSED_PORT;
  for (let i = 0; i < count; i++) {
    door.remotePort = 1024 + (i % 60000);
    door.put(anySegment(p.seg, random), 0);
    expectReset(door, p.seg);
  }
  door.localPort = door.rig.localPort;
  return { segments: count, setups: 1 };
}

/** The SYN-ACK of a request; then the peer takes its SYN back. */
function expectSynAck(door: Door, p: Peer, sent: Segment): void {
  const o = one(door, sent);
  // ECE grants ECN.
  const flags = o.flags & ~ECE;
  if (flags !== (SYN | ACK) || o.ack !== ((sent.seq + 1) | 0)) fail('no SYN-ACK', sent, o);
  if (o.hasTs !== sent.hasTs || o.sackOk !== sent.sackOk) fail('other options', sent, o);
  if (o.wscale >= 0 !== sent.wscale >= 0) fail('another window scale', sent, o);
  if (o.hasTs && o.tsecr !== sent.tsval) fail('another echo', sent, o);
  if (lookup(door)?.skcState !== 12) fail('no request', sent, o);
  const { seq } = sent;
  const s = p.seg.reset();
  s.flags = RST;
  s.seq = (seq + 1) | 0;
  door.put(s, 0);
  none(door, s);
  if (lookup(door) !== null) fail('the request stays', s);
}

export function fuzzListen(door: Door, count: number, random: Prandom): FuzzReport {
  const p = new Peer(door, random, flavourOf(random));
  const lfd = listener(door, false);
  for (let i = 0; i < count; i++) {
    door.remotePort = 1024 + (i % 60000);
    const s = anySegment(p.seg, random);
    door.put(s, 0);
    if (s.has(RST)) none(door, s);
    else if (s.has(ACK)) expectReset(door, s);
    else if ((s.flags & (SYN | FIN)) === SYN) expectSynAck(door, p, s);
    else none(door, s);
    if (lookup(door) !== null) fail('something was left', s);
    if (random.below(256) === 0) door.advance(random.below(300));
  }
  door.rig.close(lfd);
  return { segments: count, setups: 1 };
}

/** A segment for a socket that waits for a SYN-ACK. */
function synSentSegment(p: Peer): Segment {
  const { seg, random, model: m } = p;
  const s = anySegment(seg, random);
  // What leads out of the state is rare.
  const out = random.below(100) === 0;
  if (s.has(ACK)) {
    const r = random.below(6);
    if (r === 0) s.ack = m.iss;
    else if (r === 1) s.ack = (m.iss + 2 + random.below(100)) | 0;
    else if (r < 5) s.ack = (m.iss + 1) | 0;
    if (!out && s.ack === ((m.iss + 1) | 0)) s.flags &= ~(SYN | RST);
  } else if (!out && s.has(SYN) && !s.has(RST)) {
    s.flags = (s.flags & ~SYN) | RST;
  }
  if (random.below(4) !== 0) s.tsecr = m.lastTsval;
  return s;
}

/** RFC 9293#3.10.7.3. The state that follows. */
function synSentExpect(p: Peer, s: Segment, firstTsval: number, startMs: number): number {
  const { door, model: m } = p;
  if (s.has(ACK)) {
    const good = s.ack === ((m.iss + 1) | 0);
    const now = (firstTsval + door.nowMs - startMs) | 0;
    const echo = !s.hasTs || s.tsecr === 0 || ((s.tsecr - firstTsval) | 0) >= 0;
    const early = !s.hasTs || s.tsecr === 0 || ((now - s.tsecr) | 0) >= 0;
    if (!good || !echo || !early) {
      expectReset(door, s);
      return TCP_SYN_SENT;
    }
    if (s.has(RST)) {
      none(door, s);
      return TCP_CLOSE;
    }
    if (!s.has(SYN)) {
      none(door, s);
      return TCP_SYN_SENT;
    }
    const o = one(door, s);
    if (o.flags !== ACK || o.ack !== ((s.seq + 1) | 0))
      fail('the SYN-ACK is not acknowledged', s, o);
    return TCP_ESTABLISHED;
  }
  if (s.has(RST) || !s.has(SYN)) {
    none(door, s);
    return TCP_SYN_SENT;
  }
  const o = one(door, s);
  if (o.flags !== (SYN | ACK) || o.seq !== m.iss || o.ack !== ((s.seq + 1) | 0)) {
    fail('crossed SYNs want a SYN-ACK', s, o);
  }
  return TCP_SYN_RECV;
}

/** Starts to connect; the machine's SYN is learned. */
export function connect(p: Peer): void {
  const { door, model: m } = p;
  const { rig } = door;
  const port = rig.localPort;
  rig.localPort = CONNECT_PORT;
  rig.remotePort = door.remotePort;
  p.fd = rig.connect();
  rig.localPort = port;
  door.localPort = CONNECT_PORT;
  p.sk = rig.sock(p.fd);
  door.drain();
  const o = door.out[0];
  if (door.outs !== 1 || o === undefined || o.flags !== SYN) {
    m.fail('no SYN', o);
    return;
  }
  p.learn(o);
  m.state = TCP_SYN_SENT;
}

/** While nothing arrives only the SYN is sent, again and again the same. */
function synSentPause(p: Peer, ms: number): void {
  const { door, model: m } = p;
  door.advance(ms);
  for (let i = 0; i < door.outs; i++) {
    const o = door.out[i] as Segment;
    if (o.flags !== SYN || o.seq !== m.iss) m.fail('not the SYN again', o);
    m.lastTsval = o.tsval;
  }
}

export function fuzzSynSent(door: Door, count: number, random: Prandom): FuzzReport {
  const report = { segments: 0, setups: 0 };
  while (report.segments < count) {
    report.setups++;
    door.remotePort = 1024 + (report.setups % 60000);
    const p = new Peer(door, random, flavourOf(random));
    connect(p);
    const firstTsval = p.model.lastTsval;
    const startMs = door.nowMs;
    let state = TCP_SYN_SENT;
    let pauses = 0;
    while (state === TCP_SYN_SENT && report.segments < count && pauses < 40) {
      report.segments++;
      const s = synSentSegment(p);
      door.put(s, 0);
      state = synSentExpect(p, s, firstTsval, startMs);
      if (p.sk.skcState !== state) fail(`the machine is in state ${p.sk.skcState}`, s);
      if (state === TCP_SYN_SENT && random.below(100) === 0) {
        synSentPause(p, random.below(200));
        pauses++;
      }
    }
    p.model.rcvNxt = p.sk.rcvNxt;
    p.model.want = QUIET;
    p.end();
  }
  door.localPort = door.rig.localPort;
  return report;
}
