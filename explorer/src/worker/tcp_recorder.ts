/**
 * Follows every TCP connection: the sender's state at each segment and acknowledgement, and the points of
 * the time/sequence graph. Sequence numbers are told relative to the connection's first.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  TCP_CHRONO_RWND_LIMITED,
  TCP_CHRONO_SNDBUF_LIMITED,
  type TcpSock,
} from '#include/linux/tcp.ts';
import {
  ICSK_TIME_LOSS_PROBE,
  ICSK_TIME_PROBE0,
  ICSK_TIME_REO_TIMEOUT,
  ICSK_TIME_RETRANS,
} from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { STALL_APPLICATION, STALL_CWND } from '#include/trace/events/packet.ts';
import type { Machine } from '#kernel/machine.ts';
import { inNtop4 } from '#lib/parse_addr.ts';
import { hostView as view } from '#mm/memory.ts';
import { STALL_NAMES } from '#trace/record.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { TCP_CLOSE, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN, tcphdr } from '#uapi/tcp.ts';
import type {
  Calls,
  ConnectionList,
  TcpConnectionInfo,
  TcpLimit,
  TcpPoints,
  TcpSample,
  TcpTimer,
  TcpView,
} from '../protocol.ts';
import { float64, int32, uint8 } from './columns.ts';
import type { PacketRecord } from './recording.ts';
import { thin } from './thin.ts';

const SENT = 0;
const SENT_AGAIN = 1;
const ACKED = 2;
const WINDOW = 3;
const SACKED = 4;

/** Samples that a view gets: more than a chart has columns of pixels. */
const DRAWN_SAMPLES = 2000;
/** Samples kept of one connection; older ones are thinned out when there are more. */
const MAX_SAMPLES = 40_000;
const MAX_POINTS = 200_000;
/** Points that a connection has room for at first: a server may see tens of thousands of short ones. */
const FIRST_POINTS = 16;
const TCPOPT_SACK = 5;

/** The recorder's words for what a sender waits for, by STALL_*. */
const TCP_LIMITS = STALL_NAMES as readonly TcpLimit[];

const NS_PER_JIFFY = 1e6;

/** What is known of a connection: the socket itself is not held, since it may be gone long before. */
class Connection {
  readonly id: number;
  readonly machine: string;
  local: string;
  remote: string;
  /** Name of its congestion control. */
  congestion: string;
  readonly firstNs: number;
  lastNs: number;
  /** First sequence numbers of the two directions. */
  sndBase: number;
  rcvBase: number;
  samples: TcpSample[];
  readonly states: { timeNs: number; from: number; to: number }[];
  readonly time = float64(FIRST_POINTS);
  readonly kind = uint8(FIRST_POINTS);
  readonly begin = float64(FIRST_POINTS);
  readonly end = float64(FIRST_POINTS);
  readonly packet = int32(FIRST_POINTS);
  highest: number;
  state: number;
  /** STALL_*: what the sender last said keeps it; 0 since it sent. */
  stall: number;

  constructor(id: number, machine: Machine, sk: TcpSock) {
    this.id = id;
    this.machine = machine.name;
    this.local = '';
    this.remote = '';
    this.congestion = '';
    this.firstNs = machine.nowNs;
    this.lastNs = machine.nowNs;
    this.sndBase = sk.sndUna;
    this.rcvBase = 0;
    this.samples = [];
    this.states = [];
    this.highest = 0;
    this.state = sk.skcState;
    this.stall = 0;
  }

  point(timeNs: number, kind: number, begin: number, end: number, packet: number): void {
    if (this.time.length >= MAX_POINTS) return;
    this.time.push(timeNs);
    this.kind.push(kind);
    this.begin.push(begin);
    this.end.push(end);
    this.packet.push(packet);
  }
}

export class TcpRecorder {
  private readonly connections: Connection[];
  private readonly bySock: WeakMap<Sock, Connection>;

  constructor() {
    this.connections = [];
    this.bySock = new WeakMap();
  }

  follow(machine: Machine): void {
    const { tcp, sock, packet } = machine.trace;
    tcp.tcpProbe.register((sk, skb) => {
      const c = this.of(machine, sk as TcpSock);
      if (c !== null && skb !== null) this.received(machine, c, sk as TcpSock, skb);
    });
    tcp.tcpCongStateSet.register((sk) => {
      const c = this.of(machine, sk as TcpSock);
      if (c !== null) this.sample(machine, c, sk as TcpSock);
    });
    tcp.tcpRetransmitSkb.register((sk) => {
      const c = this.of(machine, sk as TcpSock);
      if (c !== null) this.sample(machine, c, sk as TcpSock);
    });
    packet.tcpSendStall.register((sk, _skb, why) => {
      const c = this.of(machine, sk as TcpSock);
      if (c === null) return;
      c.stall = why;
      this.sample(machine, c, sk as TcpSock);
    });
    sock.inetSockSetState.register((sk, from, to) => {
      if (sk.skProtocol !== IPPROTO_TCP) return;
      const c = this.of(machine, sk as TcpSock);
      if (c === null) return;
      c.states.push({ timeNs: machine.nowNs, from, to });
      c.state = to;
      this.sample(machine, c, sk as TcpSock, to);
    });
  }

  /** A segment of a connection goes to the device. */
  sent(machine: Machine, skb: SkBuff, record: PacketRecord): void {
    const sk = skb.sk as TcpSock | null;
    if (sk === null || sk.kind !== 0 || sk.skProtocol !== IPPROTO_TCP) return;
    const c = this.of(machine, sk);
    if (c === null) return;
    const th = skb.networkHeader + iphdr.hdrlen(view, skb.networkHeader);
    const header = iphdr.hdrlen(view, skb.networkHeader) + tcphdr.hdrlen(view, th);
    const flags = tcphdr.flags(view, th);
    // The link header is in front already.
    const linkBytes = skb.networkHeader - skb.data;
    const length = skb.len - linkBytes - header + ((flags & 3) !== 0 ? 1 : 0);
    if (length > 0) {
      c.stall = 0;
      const begin = (tcphdr.seq(view, th) - c.sndBase) | 0;
      const again = begin < c.highest;
      if (again) record.again = true;
      c.point(machine.nowNs, again ? SENT_AGAIN : SENT, begin, begin + length, record.id);
      c.highest = Math.max(c.highest, begin + length);
    }
    this.sample(machine, c, sk);
  }

  private received(machine: Machine, c: Connection, sk: TcpSock, skb: SkBuff): void {
    const th = skb.transportHeader;
    if (th < skb.head || th + tcphdr.LEN > skb.tail) return;
    const now = machine.nowNs;
    const ack = (tcphdr.ackSeq(view, th) - c.sndBase) | 0;
    c.point(now, ACKED, ack, ack, 0);
    this.sacks(c, th, now);
    this.sample(machine, c, sk);
    const window = ack + sk.sndWnd;
    c.point(now, WINDOW, window, window, 0);
  }

  private sacks(c: Connection, th: number, now: number): void {
    const end = th + tcphdr.hdrlen(view, th);
    let at = th + tcphdr.LEN;
    while (at < end) {
      const kind = view.getUint8(at);
      if (kind === 0) return;
      const length = kind === 1 ? 1 : view.getUint8(at + 1);
      if (length < 1) return;
      if (kind === TCPOPT_SACK) {
        for (let b = at + 2; b + 8 <= at + length; b += 8) {
          const begin = (view.getInt32(b) - c.sndBase) | 0;
          c.point(now, SACKED, begin, (view.getInt32(b + 4) - c.sndBase) | 0, 0);
        }
      }
      at += length;
    }
  }

  private of(machine: Machine, sk: TcpSock): Connection | null {
    const known = this.bySock.get(sk);
    if (known !== undefined) {
      if (known.remote === '' || known.remote.endsWith(':0')) name(known, sk);
      return known;
    }
    if (sk.skcState === TCP_LISTEN || sk.skcState === TCP_CLOSE || sk.kind !== 0) return null;
    const fresh = new Connection(this.connections.length + 1, machine, sk);
    name(fresh, sk);
    this.connections.push(fresh);
    this.bySock.set(sk, fresh);
    return fresh;
  }

  private sample(machine: Machine, c: Connection, sk: TcpSock, state: number = sk.skcState): void {
    c.lastNs = machine.nowNs;
    c.congestion = sk.icskCaOps?.name ?? '';
    if (c.sndBase === 0 && sk.sndUna !== 0) c.sndBase = sk.sndUna;
    if (c.rcvBase === 0 && sk.rcvNxt !== 0) c.rcvBase = sk.rcvNxt;
    const timer = timerOf(machine, sk);
    c.samples.push({
      timeNs: machine.nowNs,
      state,
      caState: sk.icskCaState,
      cwnd: sk.sndCwnd,
      ssthresh: sk.sndSsthresh,
      inFlight: inFlightOf(sk),
      srttUs: sk.srttUs / 8,
      rttvarUs: sk.rttvarUs / 4,
      rtoMs: sk.icskRto,
      sndUna: (sk.sndUna - c.sndBase) | 0,
      sndNxt: (sk.sndNxt - c.sndBase) | 0,
      writeSeq: (sk.writeSeq - c.sndBase) | 0,
      sndWnd: sk.sndWnd,
      rcvNxt: (sk.rcvNxt - c.rcvBase) | 0,
      rcvWnd: sk.rcvWnd,
      mss: sk.mssCache,
      sacked: sk.sackedOut,
      lost: sk.lostOut,
      retrans: sk.retransOut,
      totalRetrans: sk.totalRetrans,
      limit: limitOf(sk, state, c.stall),
      timer: timer.kind,
      timerDueNs: timer.dueNs,
      delackDueNs: delackDue(machine, sk),
      paceBps: Number.isFinite(sk.skPacingRate) ? sk.skPacingRate * 8 : 0,
    });
    if (c.samples.length > MAX_SAMPLES) {
      const recent = c.samples.length - MAX_SAMPLES / 4;
      c.samples = c.samples.filter((_, i) => i >= recent || i % 2 === 0);
    }
  }

  list({ untilNs, text, limit, keep }: Calls['connections']['params']): ConnectionList {
    const there = this.connections.filter(({ firstNs }) => firstNs <= untilNs);
    const words = text
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== '');
    const fit = there.filter((c) => {
      const hay = `${c.machine} ${c.local} ${c.remote}`.toLowerCase();
      return words.every((word) => hay.includes(word));
    });
    const total = fit.length;
    if (total > limit) {
      fit.sort((a, b) => b.highest - a.highest || b.firstNs - a.firstNs || b.id - a.id);
      fit.length = limit;
    }
    const kept = there.find(({ id }) => id === keep);
    if (kept !== undefined && !fit.includes(kept)) fit.push(kept);
    fit.sort((a, b) => a.id - b.id);
    return { list: fit.map(info), total, all: there.length };
  }

  /** @param have points that the asker has already: those behind them are given */
  view(id: number, untilNs: number, have = 0): Calls['tcp']['result'] {
    const c = this.connections[id - 1];
    if (c === undefined) return null;
    const present = c.samples.findLastIndex(({ timeNs }) => timeNs <= untilNs);
    return {
      connection: info(c),
      samples: thin(c.samples, DRAWN_SAMPLES, present),
      points: pointsOf(c, have),
      states: c.states,
      scoreboard: scoreboardOf(c, untilNs),
    };
  }
}

function name(c: Connection, sk: TcpSock): void {
  c.local = `${inNtop4(sk.skcRcvSaddr >>> 0)}:${sk.skcNum}`;
  c.remote = `${inNtop4(sk.skcDaddr >>> 0)}:${sk.skcDport}`;
}

function info(c: Connection): TcpConnectionInfo {
  return {
    id: c.id,
    machine: c.machine,
    local: c.local,
    remote: c.remote,
    congestion: c.congestion,
    firstNs: c.firstNs,
    lastNs: c.lastNs,
    bytesSent: c.highest,
    samples: c.samples.length,
    state: c.state,
  };
}

function pointsOf(c: Connection, from: number): TcpPoints {
  return {
    timeNs: c.time.copy(from),
    kind: c.kind.copy(from),
    begin: c.begin.copy(from),
    end: c.end.copy(from),
    packet: c.packet.copy(from),
  };
}

function inFlightOf(sk: TcpSock): number {
  return sk.packetsOut - sk.sackedOut - sk.lostOut + sk.retransOut;
}

function timerOf(machine: Machine, sk: TcpSock): { kind: TcpTimer; dueNs: number } {
  const pacing = sk.pacingTimer;
  const kinds: Readonly<Record<number, TcpTimer>> = {
    [ICSK_TIME_RETRANS]: 'retransmit',
    [ICSK_TIME_PROBE0]: 'probe',
    [ICSK_TIME_LOSS_PROBE]: 'loss probe',
    [ICSK_TIME_REO_TIMEOUT]: 'reorder',
  };
  const kind = kinds[sk.icskPending] ?? 'none';
  if (kind === 'none') {
    const due = pacing === null ? 0 : pacing.expiresNs;
    return due > machine.nowNs ? { kind: 'pacing', dueNs: due } : { kind, dueNs: 0 };
  }
  return { kind, dueNs: dueAt(machine, sk.icskTimeout) };
}

function dueAt(machine: Machine, jiffies: number): number {
  return machine.nowNs + ((jiffies - machine.jiffies) | 0) * NS_PER_JIFFY;
}

/** ICSK_ACK_TIMER: a delayed acknowledgement is due. */
const ICSK_ACK_TIMER = 2;

function delackDue(machine: Machine, sk: TcpSock): number {
  return (sk.ackPending & ICSK_ACK_TIMER) !== 0 ? dueAt(machine, sk.ackTimeout) : 0;
}

/** TCP_CA_Recovery */
const CA_RECOVERY = 3;

/** What holds the sender: its own word from tcp_write_xmit(), and where it has said none, its state. */
function limitOf(sk: TcpSock, state: number, stall: number): TcpLimit {
  if (state !== TCP_ESTABLISHED && state !== TCP_CLOSE_WAIT && state !== 4 && state !== 9) {
    return 'not connected';
  }
  const unsent = (sk.writeSeq - sk.sndNxt) | 0;
  const cwnd = stall === STALL_CWND || inFlightOf(sk) >= sk.sndCwnd;
  if (sk.icskCaState >= CA_RECOVERY && (unsent <= 0 || cwnd)) return 'recovery';
  if (unsent <= 0) return 'application';
  if (stall !== 0 && stall !== STALL_APPLICATION) return TCP_LIMITS[stall] ?? 'sending';
  const room = (sk.sndUna + sk.sndWnd - sk.sndNxt) | 0;
  if (sk.chronoType === TCP_CHRONO_RWND_LIMITED || room < Math.min(sk.mssCache, unsent)) {
    return 'receive window';
  }
  if (cwnd) return 'congestion window';
  return sk.chronoType === TCP_CHRONO_SNDBUF_LIMITED ? 'send buffer' : 'sending';
}

/** Segments that the scoreboard shows at most. */
const BOARD_SEGMENTS = 400;

/** What is in flight at a moment, told from the points up to it. */
function scoreboardOf(c: Connection, untilNs: number): TcpView['scoreboard'] {
  let una = 0;
  let highestSacked = 0;
  // In the order of their first sending, which is that of their sequence numbers.
  const sent = new Map<number, { end: number; again: boolean }>();
  const sacked: [number, number][] = [];
  for (let i = 0; i < c.time.length && c.time.get(i) <= untilNs; i++) {
    const begin = c.begin.get(i);
    const end = c.end.get(i);
    const kind = c.kind.get(i);
    if (kind === SENT || kind === SENT_AGAIN) sent.set(begin, { end, again: kind === SENT_AGAIN });
    else if (kind === ACKED && begin > una) {
      una = begin;
      for (const [key, segment] of sent) {
        if (segment.end <= una) sent.delete(key);
        else if (key >= una) break;
      }
    } else if (kind === SACKED) {
      sacked.push([begin, end]);
      highestSacked = Math.max(highestSacked, end);
    }
  }
  const islands = joined(sacked.filter(([, end]) => end > una));
  const segments = [...sent]
    .filter(([, { end }]) => end > una)
    .sort((a, b) => a[0] - b[0])
    .slice(0, BOARD_SEGMENTS);
  let island = 0;
  return segments.map(([begin, { end, again }]) => {
    while (island < islands.length && (islands[island]?.[1] ?? 0) <= begin) island++;
    const [from, to] = islands[island] ?? [0, 0];
    const covered = from <= begin && end <= to;
    const lost = !covered && end <= highestSacked;
    const state = covered ? 'sacked' : again ? 'retransmitted' : lost ? 'lost' : 'in flight';
    return { begin, end, state };
  });
}

/** Ranges in order, those that touch made one. */
function joined(ranges: [number, number][]): [number, number][] {
  const list: [number, number][] = [];
  for (const [begin, end] of ranges.sort((a, b) => a[0] - b[0])) {
    const last = list.at(-1);
    if (last !== undefined && begin <= last[1]) last[1] = Math.max(last[1], end);
    else list.push([begin, end]);
  }
  return list;
}
