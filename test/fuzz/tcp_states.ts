/**
 * Random segments that look valid into each state of TCP. A connection is led to the state, gets
 * segments until it leaves, and is made anew; only those count that found it there.
 */
import { Prandom } from '#lib/prandom.ts';
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_TIME_WAIT,
} from '#uapi/tcp.ts';
import { ACK, CWR, type Door, ECE, FIN, PSH, RST, type Segment, SYN, URG } from './tcp_door.ts';
import { after } from './tcp_model.ts';
import { fuzzClosed, fuzzListen, fuzzSynSent } from './tcp_opening.ts';
import { flavourOf, lead, listener, Peer } from './tcp_peer.ts';
import { fuzzSynReceived } from './tcp_requests.ts';
import { fuzzSmall } from './tcp_waiting.ts';

export interface FuzzReport {
  /** Segments that met the state. */
  segments: number;
  /** Times that the state was set up. */
  setups: number;
}

/** Segments that one connection gets at most. */
const LIFE = 3000;

const WILD = 0x40000000;
const TIGHT_PORT = 8081;

/** A sequence number that means something to the receiver, or one near it. */
export function pickSeq(p: Peer): number {
  const { model: m, random } = p;
  const edge = m.limit;
  switch (random.below(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      return m.rcvNxt;
    case 6:
      return (m.rcvNxt - 1 - random.below(40)) | 0;
    case 7:
      return (m.rcvNxt + 1 + random.below(40)) | 0;
    case 8:
    case 9:
      return (m.rcvNxt + random.below(4000)) | 0;
    case 10:
      return (edge - 2 + random.below(5)) | 0;
    case 11:
      return (edge + random.below(3000) - 1000) | 0;
    case 12:
      return (m.rcvNxt + random.below(Math.max(m.window, 1))) | 0;
    case 13:
      return (m.rcvNxt - random.below(3000)) | 0;
    case 14:
      return random.below(4) === 0 ? m.irs : (m.lastAck - 1 + random.below(3)) | 0;
    default:
      return (m.rcvNxt + WILD + random.below(WILD)) | 0;
  }
}

function pickLen(random: Prandom): number {
  const r = random.below(20);
  if (r < 8) return 0;
  if (r < 14) return 1 + random.below(32);
  if (r < 19) return 1 + random.below(300);
  return 1 + random.below(1400);
}

/** Has a segment begin or end at, or next to, the edge of something that is held. */
function alignToHeld(p: Peer, s: Segment): void {
  const { random } = p;
  const { from, to } = p.model.held;
  if (from.length === 0 || random.below(4) !== 0) return;
  const i = random.below(from.length);
  const edge = ((random.below(2) === 0 ? from[i] : to[i]) ?? 0) + random.below(3) - 1;
  if (random.below(2) === 0) s.seq = edge | 0;
  const len = (edge - s.seq) | 0;
  if (len > 0 && len <= 1400) s.len = len;
}

function pickAck(p: Peer): number {
  const { model: m, random } = p;
  // Without the last number, which often ends the state.
  const sent = (m.nxt - m.una) | 0;
  switch (random.below(16)) {
    case 0:
      return (m.nxt + 1 + random.below(2000)) | 0;
    case 1:
    case 2:
      return (m.una - random.below(3000)) | 0;
    case 3:
      return (m.una - random.below(70000)) | 0;
    case 4:
      return random.i32();
    case 5:
    case 6:
    case 7:
      if (sent > 1) return (m.una + random.below(sent)) | 0;
      return m.una;
    case 8:
      if (!m.finSent || random.below(12) === 0) return m.nxt;
      return m.una;
    default:
      return m.una;
  }
}

function pickFlags(random: Prandom): number {
  const r = random.below(100);
  if (r < 70) return ACK;
  if (r < 84) return ACK | PSH;
  if (r < 86) return random.below(2) === 0 ? 0 : PSH;
  if (r < 89) return SYN;
  if (r < 91) return SYN | ACK;
  if (r < 95) return RST;
  if (r < 97) return RST | ACK;
  return ACK | (random.below(2) === 0 ? ECE : CWR);
}

function pickWindow(p: Peer): number {
  const { random } = p;
  const scale = p.model.sndScale;
  switch (random.below(10)) {
    case 0:
      return 0;
    case 1:
      return random.below(3);
    case 2:
      return random.below(65536);
    case 3:
    case 4:
      return (random.below(20000) >> scale) & 0xffff;
    default:
      return (30000 >> scale) & 0xffff;
  }
}

function putSacks(p: Peer, s: Segment): void {
  const { model: m, random } = p;
  if (!m.sack || !s.has(ACK) || random.below(5) !== 0) return;
  s.sacks = 1 + random.below(s.hasTs ? 3 : 4);
  for (let i = 0; i < s.sacks; i++) {
    const sent = Math.max((m.nxt - m.una) | 0, 1);
    const left = (m.una + random.below(sent + 200) - random.below(200)) | 0;
    s.sack[2 * i] = left;
    s.sack[2 * i + 1] = (left + 1 + random.below(3000)) | 0;
  }
}

function putStamp(p: Peer, s: Segment): void {
  const { model: m, random } = p;
  if (!m.ts || random.below(30) === 0) return;
  s.hasTs = true;
  s.tsval = p.now;
  if (random.below(12) === 0) s.tsval = (p.now - random.below(2000)) | 0;
  else if (random.below(200) === 0) s.tsval = (p.now + random.below(50)) | 0;
  else if (random.below(40) === 0) s.tsval = random.i32();
  // A stamp far ahead that was taken would make all that follow old.
  if (((s.tsval - p.now) | 0) > 50) s.tsval = (p.now - 100_000) | 0;
  s.tsecr = random.below(20) === 0 ? random.i32() : m.lastTsval;
}

/** Whether the peer may end its stream in this state. */
function mayFinish(p: Peer): boolean {
  return p.model.state === TCP_ESTABLISHED || p.model.state === TCP_FIN_WAIT1;
}

/** A segment of a peer that keeps to its own stream, whatever its numbers. */
export function randomSegment(p: Peer): Segment {
  const { model: m, random, seg } = p;
  const s = seg.reset();
  s.flags = pickFlags(random);
  s.seq = pickSeq(p);
  s.len = pickLen(random);
  s.win = pickWindow(p);
  if (random.below(40) === 0) {
    s.flags |= URG;
    s.urg = random.below(3) === 0 ? random.below(65536) : random.below(1500);
  }
  alignToHeld(p, s);
  if (s.has(RST | SYN) && random.below(4) !== 0) s.len = 0;
  // A RST that is believed ends the state: rarely.
  if (s.has(RST) && s.seq === m.rcvNxt && random.below(15) !== 0) s.seq = (s.seq + 1) | 0;
  if (s.has(ACK)) s.ack = pickAck(p);
  putStamp(p, s);
  putSacks(p, s);
  if (!m.finKnown && mayFinish(p) && random.below(600) === 0) {
    const { to } = m.ever;
    const held = to.length === 0 ? m.rcvNxt : (to[to.length - 1] ?? 0);
    p.plan(after(held, m.rcvNxt) ? held : m.rcvNxt);
  }
  keepToStream(p, s);
  return s;
}

/** Cuts a segment at the FIN of the peer's stream, and has it say so. */
function keepToStream(p: Peer, s: Segment): void {
  const { model: m, random } = p;
  const reach = (s.seq + s.len) | 0;
  if (m.finKnown) {
    const open = !after(m.rcvNxt, m.finAt);
    if (!open && random.below(20) === 0) return;
    if (after(s.seq, m.finAt) && open && after(reach, m.finAt)) s.len = 0;
    else if (after(reach, m.finAt)) s.len = Math.max((m.finAt - s.seq) | 0, 0);
    if (((s.seq + s.len) | 0) === m.finAt && random.below(3) !== 0) s.flags |= FIN;
    return;
  }
  // Beyond the window it does no harm.
  if (random.below(50) === 0 && after(s.seq, (m.limit + 10) | 0)) s.flags |= FIN;
}

/** What happens between segments: programs read and write, time passes. */
function between(p: Peer): void {
  const { random, model: m } = p;
  const r = random.below(64);
  if (r < 5 && p.fd >= 0) p.read(1 + random.below(6000));
  else if (r < 7 && p.fd >= 0 && !m.finSent && ((m.writeEnd - m.una) | 0) < 20000) {
    p.write(1 + random.below(2500));
  } else if (r === 7) p.advance(1 + random.below(40));
  else if (r === 8 && random.below(4) === 0) p.advance(500 + random.below(200));
}

function fuzzFull(door: Door, state: number, count: number, random: Prandom): FuzzReport {
  const report = { segments: 0, setups: 0 };
  const port = door.rig.localPort;
  const wide = listener(door, false);
  door.rig.localPort = TIGHT_PORT;
  const tight = listener(door, true);
  door.rig.localPort = port;
  while (report.segments < count) {
    report.setups++;
    door.remotePort = 1024 + (report.setups % 60000);
    const p = new Peer(door, random, flavourOf(random));
    door.localPort = p.flavour.tight ? TIGHT_PORT : port;
    p.accept(p.flavour.tight ? tight : wide);
    lead(p, state, random.below(2) === 0 && state !== TCP_FIN_WAIT2);
    const end = Math.min(count, report.segments + LIFE);
    while (p.model.state === state && report.segments < end) {
      report.segments++;
      p.step(randomSegment(p));
      if (p.model.state === state) between(p);
    }
    p.end();
  }
  door.localPort = port;
  door.rig.close(wide);
  door.rig.close(tight);
  return report;
}

/** `count` segments into `state`. Throws a ModelError at the first one that is dealt with wrongly. */
export function fuzzState(door: Door, state: number, count: number, seed: number): FuzzReport {
  const random = new Prandom(seed);
  switch (state) {
    case TCP_CLOSE:
      return fuzzClosed(door, count, random);
    case TCP_LISTEN:
      return fuzzListen(door, count, random);
    case TCP_SYN_SENT:
      return fuzzSynSent(door, count, random);
    case TCP_SYN_RECV:
      return fuzzSynReceived(door, count, random);
    case TCP_TIME_WAIT:
      return fuzzSmall(door, state, count, random);
    case TCP_FIN_WAIT2: {
      const full = fuzzFull(door, state, count >> 1, random);
      const small = fuzzSmall(door, state, count - (count >> 1), random);
      return {
        segments: full.segments + small.segments,
        setups: full.setups + small.setups,
      };
    }
    default:
      return fuzzFull(door, state, count, random);
  }
}

export const STATES: readonly number[] = [
  TCP_CLOSE,
  TCP_LISTEN,
  TCP_SYN_SENT,
  TCP_SYN_RECV,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_LAST_ACK,
  TCP_TIME_WAIT,
];
