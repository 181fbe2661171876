/**
 * One connection of the TCP fuzzer: the machine's socket and programs on one side, a peer that sends
 * what it is told on the other, and the model that watches both.
 */

import type { TcpSock } from '#include/linux/tcp.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import { HZ } from '#kernel/param.ts';
import type { Prandom } from '#lib/prandom.ts';
import { __inetLookupEstablished, sockGenPut } from '#net/ipv4/inet_hashtables.ts';
import { LOCAL, REMOTE } from '#net/ipv4/testing/tcp_rig.ts';
import { SHUT_WR, SO_OOBINLINE, SO_RCVBUF, SO_RCVBUFFORCE, SOL_SOCKET } from '#uapi/socket.ts';
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
import { ACK, type Door, FIN, PSH, RST, Segment, SYN } from './tcp_door.ts';
import { after, MAY, Model, QUIET } from './tcp_model.ts';

const EAGAIN = 11;
const READ_MAX = 8192;

/** How a connection is made. */
export interface Flavour {
  readonly ts: boolean;
  readonly sack: boolean;
  readonly wscale: number;
  /** A receive buffer that overflows. */
  readonly tight: boolean;
}

export function flavourOf(random: Prandom): Flavour {
  return {
    ts: random.below(2) === 0,
    sack: random.below(3) !== 0,
    wscale: random.below(3) === 0 ? -1 : random.below(15),
    tight: random.below(4) === 0,
  };
}

/** What stands in the machine's table for the connection, if anything. */
export function lookup(door: Door): SockCommon | null {
  const { initNet } = door.rig.machine;
  const entry = __inetLookupEstablished(
    initNet,
    REMOTE,
    door.remotePort,
    LOCAL,
    door.localPort,
    door.rig.tun.dev?.ifindex ?? 0,
  );
  if (entry !== null) sockGenPut(entry);
  return entry;
}

/** Makes listeners' buffers large, or small. */
export function listener(door: Door, tight: boolean): number {
  const { rig } = door;
  const lfd = rig.listen(16);
  rig.setInt(lfd, SOL_SOCKET, SO_OOBINLINE, 1);
  if (tight) rig.setInt(lfd, SOL_SOCKET, SO_RCVBUF, 8000);
  else rig.setInt(lfd, SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20);
  return lfd;
}

export class Peer {
  readonly door: Door;
  readonly random: Prandom;
  readonly model: Model;
  readonly seg: Segment = new Segment();
  readonly flavour: Flavour;
  fd = -1;
  sk!: TcpSock;
  /** The peer's clock: its first timestamp. */
  tsBase = 0;
  private readonly buffer = new Uint8Array(READ_MAX);
  private lastPeek = TCP_ESTABLISHED;

  constructor(door: Door, random: Prandom, flavour: Flavour) {
    this.door = door;
    this.random = random;
    this.flavour = flavour;
    this.model = new Model(door);
  }

  get now(): number {
    return (this.tsBase + this.door.nowMs) | 0;
  }

  synOptions(s: Segment): Segment {
    const { flavour } = this;
    s.mss = 1000;
    s.sackOk = flavour.sack;
    s.wscale = flavour.wscale;
    return this.stamp(s, 0);
  }

  stamp(s: Segment, tsecr: number): Segment {
    s.hasTs = this.flavour.ts;
    s.tsval = this.now;
    s.tsecr = tsecr;
    return s;
  }

  /** What the machine's SYN or SYN-ACK says. */
  learn(o: Segment): void {
    const m = this.model;
    m.iss = o.seq;
    m.una = o.seq;
    m.nxt = (o.seq + 1) | 0;
    m.writeEnd = m.nxt;
    m.ackedFrom = m.iss;
    m.rcvScale = Math.max(o.wscale, 0);
    m.ts = o.hasTs;
    m.sack = o.sackOk;
    m.lastTsval = o.tsval;
    m.tsvalKnown = true;
  }

  /** The peer's side from its SYN on. */
  begin(irs: number): void {
    const m = this.model;
    m.irs = irs;
    m.rcvNxt = (irs + 1) | 0;
    m.copied = m.rcvNxt;
    m.wl1 = irs;
    m.sndScale = this.flavour.wscale < 0 ? 0 : this.flavour.wscale;
    m.ownWindow = () => this.sk.rcvWnd;
    m.replay = () => Math.trunc((this.sk.icskRto * 1200) / HZ);
  }

  /** The window of the SYN-ACK. */
  offered(o: Segment): void {
    const m = this.model;
    m.lastAck = o.ack;
    m.lastEdge = m.edgeOf(o);
    m.maxEdge = m.lastEdge;
  }

  /** A passive open through the listener. */
  accept(lfd: number): void {
    const { door, random, seg, model: m } = this;
    this.tsBase = random.i32();
    this.begin(random.i32());
    m.tight = this.flavour.tight;
    const syn = this.synOptions(seg.reset());
    syn.flags = SYN;
    syn.seq = m.irs;
    syn.win = 30000;
    door.put(syn, 0);
    const o = door.out[0];
    if (door.outs !== 1 || o === undefined || o.flags !== (SYN | ACK)) {
      m.fail('no SYN-ACK', o);
      return;
    }
    this.learn(o);
    m.tsRecent = syn.tsval;
    m.una = m.nxt;
    m.ackedFrom = m.una;
    this.handshakeAck(30000);
    this.fd = door.rig.accept(lfd);
    this.sk = door.rig.sock(this.fd);
    this.offered(o);
    this.check();
  }

  private handshakeAck(win: number): void {
    const { seg, model: m } = this;
    const ack = this.stamp(seg.reset(), m.lastTsval);
    ack.flags = ACK;
    ack.seq = m.rcvNxt;
    ack.ack = m.nxt;
    ack.win = win >> m.sndScale;
    this.door.put(ack, 0);
    m.sndWnd = ack.win * (1 << m.sndScale);
    m.maxWnd = m.sndWnd;
    m.wl1 = ack.seq;
    if (ack.hasTs) m.tsRecent = ack.tsval;
  }

  /** A segment of the peer, checked; the model's state is the machine's afterwards. */
  step(s: Segment): void {
    const m = this.model;
    m.expect(s);
    const { rcvOoopack } = this.sk;
    this.door.put(s, (s.seq - m.irs - 1 + (s.has(SYN) ? 1 : 0)) | 0);
    this.settle();
    if (m.maybeHeld && this.sk.rcvOoopack !== rcvOoopack) m.putBy(s);
    if (m.want === QUIET && this.door.outs === 0) {
      this.check();
      return;
    }
    m.observe();
    this.check();
  }

  private settle(): void {
    const m = this.model;
    const { sk } = this;
    if (!this.live) {
      // The FIN was reached, as only the state still shows.
      if (m.tight && m.finKnown && this.actual() === TCP_TIME_WAIT) m.adopt((m.finAt + 1) | 0);
      return;
    }
    if (m.tsEither) {
      const { tsRecent } = sk.rxOpt;
      if (tsRecent === m.tsOther) m.tsRecent = tsRecent;
      m.tsEither = false;
    }
    if (m.maybeWl1 !== null && sk.sndWl1 === m.maybeWl1) m.wl1 = m.maybeWl1;
    if (m.maybeEnd !== null && sk.rcvNxt === m.maybeEnd) m.took(m.maybeEnd);
    if (m.tight) m.adopt(sk.rcvNxt);
  }

  /** The full socket still stands for the connection. */
  get live(): boolean {
    return this.sk.skcState !== TCP_CLOSE;
  }

  /** Something other than a segment happens: `fn`, in which the machine may send. */
  event(note: string, fn: () => void): void {
    const m = this.model;
    m.want = MAY;
    m.note = note;
    m.ackFloor = m.lastAck;
    m.tsBefore = m.tsRecent;
    fn();
    m.observe();
    this.check();
  }

  write(len: number): void {
    const m = this.model;
    this.event('write', () => {
      const offset = (m.writeEnd - m.iss - 1) | 0;
      const n = this.door.rig.sys.write(this.fd, this.door.ours.at(offset, len));
      if (n > 0) m.writeEnd = (m.writeEnd + n) | 0;
      this.door.rig.settle();
      this.door.drain();
    });
  }

  /** Reads up to `len` bytes, each of which must be the next of the peer's stream. */
  read(len: number): void {
    this.event('read', () => {
      const buf = this.buffer.subarray(0, Math.min(len, READ_MAX));
      const n = this.door.rig.sys.read(this.fd, buf);
      this.door.rig.settle();
      this.door.drain();
      this.checkRead(n, buf);
    });
  }

  private checkRead(n: number, buf: Uint8Array): void {
    const m = this.model;
    if (n > 0) this.door.tamperRead?.(buf, n);
    const fin = m.finKnown && after(m.rcvNxt, m.finAt);
    const waiting = ((m.rcvNxt - m.copied) | 0) - (fin && m.copied !== m.rcvNxt ? 1 : 0);
    if (n < 0) {
      if (n !== -EAGAIN || waiting !== 0 || fin) m.fail(`read: ${n} with ${waiting} bytes waiting`);
      return;
    }
    const whole = Math.min(waiting, buf.length);
    // RFC 6093#3: inline, and a read ends before it.
    if (n !== whole && !(m.urgent && n > 0 && n < whole)) m.fail(`read ${n} of ${waiting} bytes`);
    if (n === 0 && !fin) m.fail('the end of the stream before the FIN');
    if (!this.door.theirs.matches((m.copied - m.irs - 1) | 0, buf, 0, n)) {
      m.fail(`${n} bytes read are not the peer's next`);
    }
    m.copied = (m.copied + n) | 0;
    // The FIN goes with the last byte, or with a read of nothing.
    if (fin && n === waiting && (n < buf.length || this.sk.copiedSeq === m.rcvNxt))
      m.copied = m.rcvNxt;
  }

  readAll(): void {
    const m = this.model;
    while (m.copied !== m.rcvNxt && this.fd >= 0) this.read(READ_MAX);
  }

  advance(ms: number): void {
    this.event('time', () => this.door.advance(ms));
  }

  // ---- Ways through the diagram ------------------------------------------------------------------

  private plain(flags: number): Segment {
    const { seg, model: m } = this;
    const s = this.stamp(seg.reset(), m.lastTsval);
    s.flags = flags;
    s.seq = m.rcvNxt;
    s.ack = m.una;
    s.win = m.sndWnd >> m.sndScale;
    return s;
  }

  ackAll(): void {
    const s = this.plain(ACK);
    s.ack = this.model.nxt;
    this.step(s);
  }

  /** Acknowledges until all is acknowledged that the program wrote. */
  ackEverything(): void {
    const m = this.model;
    for (let i = 0; m.una !== m.writeEnd; i++) {
      if (i > 20) m.fail('what was written does not go out');
      this.ackAll();
    }
  }

  /** The peer's FIN, after everything of it that is held. */
  sendFin(): void {
    this.plan(this.model.rcvNxt);
    this.step(this.plain(FIN | ACK | PSH));
  }

  /** The peer will end its stream at `seq`. */
  plan(seq: number): void {
    this.model.finAt = seq;
    this.model.finKnown = true;
  }

  shutdown(): void {
    const m = this.model;
    this.event('shutdown', () => {
      m.finSent = true;
      m.writeEnd = (m.writeEnd + 1) | 0;
      m.state = m.state === TCP_CLOSE_WAIT ? TCP_LAST_ACK : TCP_FIN_WAIT1;
      this.door.rig.sys.shutdown(this.fd, SHUT_WR);
      this.door.rig.settle();
      this.door.drain();
    });
  }

  close(): void {
    const m = this.model;
    this.readAll();
    this.event('close', () => {
      if (!m.finSent) {
        m.finSent = true;
        m.writeEnd = (m.writeEnd + 1) | 0;
        m.state = m.state === TCP_CLOSE_WAIT ? TCP_LAST_ACK : TCP_FIN_WAIT1;
      }
      m.orphan = true;
      m.finQueued = false;
      this.door.rig.close(this.fd);
      this.fd = -1;
      this.door.drain();
    });
  }

  /** Ends whatever is there, by a reset that must be believed. */
  end(): void {
    const { door, seg } = this;
    const m = this.model;
    if (lookup(door) !== null) {
      const s = seg.reset();
      s.flags = RST;
      s.seq = m.rcvNxt;
      door.put(s, 0);
    }
    if (this.fd >= 0) door.rig.close(this.fd);
    this.fd = -1;
    door.drain();
    if (lookup(door) !== null) m.fail('a reset did not end the connection');
  }

  /** The state that the machine is in. */
  actual(): number {
    const { skcState } = this.sk;
    if (skcState !== TCP_CLOSE) return skcState;
    // It may live on as a small socket.
    const small = lookup(this.door) as (SockCommon & { twSubstate?: number }) | null;
    return small?.twSubstate ?? TCP_CLOSE;
  }

  /** The machine and the model must agree. */
  check(): void {
    const m = this.model;
    const { sk } = this;
    const state = this.actual();
    if (m.eitherClosed) {
      m.eitherClosed = false;
      // If it was not believed, it was challenged.
      if (state === m.state && this.door.outs !== 0) m.lastOow = this.door.nowMs;
      m.state = state;
    }
    if (state !== m.state) {
      m.fail(
        `the machine is in ${TCP_STATE_RFC_NAMES[state] ?? state} after ${TCP_STATE_RFC_NAMES[this.lastPeek]}`,
      );
    }
    this.lastPeek = state;
    if (sk.skcState === TCP_CLOSE || sk.skcState === TCP_SYN_RECV) return;
    if (sk.rcvNxt !== m.rcvNxt) m.fail(`rcv_nxt is ${sk.rcvNxt}`);
    if (sk.sndUna !== m.una) m.fail(`snd_una is ${sk.sndUna}`);
    if (sk.sndWnd !== m.sndWnd) m.fail(`snd_wnd is ${sk.sndWnd}`);
  }
}

/** Leads a fresh connection to `state`. `orphan`: the program has closed its descriptor. */
export function lead(p: Peer, state: number, orphan: boolean): void {
  const { random } = p;
  if (random.below(2) === 0) p.write(1 + random.below(3000));
  switch (state) {
    case TCP_ESTABLISHED:
      return;
    case TCP_CLOSE_WAIT:
      p.sendFin();
      return;
    case TCP_LAST_ACK:
      p.sendFin();
      p.close();
      return;
  }
  if (orphan) p.close();
  else p.shutdown();
  switch (state) {
    case TCP_FIN_WAIT1:
      return;
    case TCP_CLOSING:
      p.sendFin();
      return;
    case TCP_FIN_WAIT2:
      p.ackEverything();
      return;
    case TCP_TIME_WAIT:
      p.ackEverything();
      p.sendFin();
      return;
  }
}
