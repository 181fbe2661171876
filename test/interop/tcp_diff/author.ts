/*
 * Makes a scenario up as it goes: a remote side that has seen what the machine sent and mostly
 * behaves, and now and then does not. The machine that it is made up against is softnet's; what
 * comes of it are plain numbers, which any machine can be given.
 */

import type { Prandom } from '#lib/prandom.ts';
import type { TcpOption } from '#packetdrill/ast.ts';
import { ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED } from '#uapi/icmp.ts';
import {
  MSG_EOR,
  MSG_FASTOPEN,
  MSG_MORE,
  MSG_NOSIGNAL,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
} from '#uapi/socket.ts';
import {
  TCPHDR_ACK,
  TCPHDR_AE,
  TCPHDR_CWR,
  TCPHDR_ECE,
  TCPHDR_FIN,
  TCPHDR_PSH,
  TCPHDR_RST,
  TCPHDR_SYN,
  TCPHDR_URG,
} from '#uapi/tcp.ts';
import type { Action, Call, Event, Scenario, Segment } from './events.ts';
import { randomSocketOption, randomSysctls } from './options.ts';
import type { Sent } from './record.ts';
import type { Trial } from './trial.ts';

/** What a scenario is mostly about. */
type Mood = 'sender' | 'receiver' | 'closing' | 'options' | 'mixed' | 'hostile';
const MOODS: readonly Mood[] = [
  'sender',
  'sender',
  'receiver',
  'closing',
  'options',
  'mixed',
  'hostile',
];

const WRITES = [1, 10, 100, 536, 1000, 1460, 1461, 2920, 4000, 5000, 10000, 14600, 20000, 60000];
const READS = [1, 100, 1000, 1460, 5000, 20000, 100000];
const LENGTHS = [1, 10, 100, 500, 536, 1000, 1200, 1448, 1460];
const WINDOWS = [0, 1, 100, 500, 1000, 1460, 2920, 4096, 8192, 20000, 32792, 65535];
const NO_ECN = 0;
const ECT1 = 1;
const ECT0 = 2;
const CE = 3;

/** ms that the remote side's clock of time stamps shows at the beginning. */
const STAMP_BASE = 100_000;

interface Choice {
  readonly weight: number;
  readonly make: () => Action | null;
}

export class Author {
  private readonly rng: Prandom;
  private readonly trial: Trial;
  private readonly mood: Mood;
  /** Send buffers never fill. */
  private readonly roomy: boolean;
  /** What the SYN of the remote side offers. */
  private readonly offer: readonly TcpOption[];
  private stamps: boolean;
  private sacks: boolean;
  private accepted: boolean;
  private closed: boolean;
  /** The remote side's next number, and what it has acknowledged. */
  private next: number;
  private acked: number;
  private window: number;
  private finSent: boolean;
  /** Segments that the remote side has not sent yet though it sent what comes behind. */
  private readonly holes: { seq: number; length: number }[];
  /** Events of a burst that is under way. */
  private readonly planned: Action[];

  constructor(rng: Prandom, trial: Trial, offer: readonly TcpOption[], roomy: boolean) {
    this.roomy = roomy;
    this.rng = rng;
    this.trial = trial;
    this.offer = offer;
    this.mood = this.pick(MOODS);
    this.stamps = false;
    this.sacks = false;
    this.accepted = !trial.scenario.passive;
    this.closed = false;
    this.next = 1;
    this.acked = 1;
    this.window = this.pick([2000, 8192, 20000, 32792, 65535]);
    this.finSent = false;
    this.holes = [];
    this.planned = [];
  }

  private pick<T>(of: readonly T[]): T {
    return of[this.rng.below(of.length)] as T;
  }

  private chance(p: number): boolean {
    return this.rng.chance(p);
  }

  // What the remote side has seen.

  private get sent(): readonly Sent[] {
    return this.trial.sent;
  }

  /** One beyond the highest number that the machine has sent. */
  private get highest(): number {
    return this.sent.reduce((top, { seq, length, flags }) => {
      const end = seq + length + ((flags & (TCPHDR_SYN | TCPHDR_FIN)) === 0 ? 0 : 1);
      return (flags & TCPHDR_RST) === 0 && seq < 0x7fffffff ? Math.max(top, end) : top;
    }, 0);
  }

  /** Where segments begin that the machine has sent and that are not acknowledged. */
  private outstanding(): { readonly seq: number; readonly end: number }[] {
    const found = new Map<number, number>();
    for (const { seq, length } of this.sent) {
      if (length > 0 && seq >= this.acked) {
        found.set(seq, Math.max(found.get(seq) ?? 0, seq + length));
      }
    }
    return [...found].map(([seq, end]) => ({ seq, end })).sort((a, b) => a.seq - b.seq);
  }

  // Opening.

  private *openPassive(): Generator<Action> {
    yield call({ name: 'socket', which: 'listener' });
    yield call({ name: 'bind', which: 'listener', port: 8080 });
    for (let n = this.rng.below(3); n > 0; n--)
      yield call(randomSocketOption(this.rng, 'listener', this.roomy));
    yield call({ name: 'listen', backlog: this.pick([0, 1, 5]) });
    const ecn = this.chance(0.3);
    const accurate = ecn && this.chance(0.3);
    const flags = TCPHDR_SYN | (ecn ? TCPHDR_ECE | TCPHDR_CWR : 0) | (accurate ? TCPHDR_AE : 0);
    const early = this.chance(0.1) ? this.pick([1, 100, 1000]) : 0;
    const options = this.withStamp(this.offer);
    const syn = this.make({ flags, seq: 0, length: early, ack: 0, options });
    yield segment(syn);
    if (this.chance(0.1)) yield segment(syn);
    if (this.chance(0.07)) yield this.strange() ?? pause();
    if (this.chance(0.07)) yield pause();
    const answer = this.sent.find(({ flags: f }) => (f & TCPHDR_SYN) !== 0);
    this.agree(answer);
    if (answer !== undefined && answer.ack > 1) this.next = answer.ack;
    if (this.chance(0.85)) {
      yield segment(this.make({ flags: TCPHDR_ACK, seq: this.next, length: 0 }));
    } else {
      // Data in place of the third packet.
      yield this.dataInOrder();
    }
    if (this.chance(0.9)) yield call({ name: 'accept' });
  }

  private *openActive(): Generator<Action> {
    yield call({ name: 'socket', which: 'socket' });
    yield call({ name: 'bind', which: 'socket', port: 49152 });
    for (let n = this.rng.below(3); n > 0; n--)
      yield call(randomSocketOption(this.rng, 'socket', this.roomy));
    if (this.chance(0.15)) {
      const length = this.pick([0, 1, 100, 1000, 3000]);
      yield call({ name: 'send', length, flags: MSG_FASTOPEN | MSG_NOSIGNAL, addressed: true });
      if (this.sent.length === 0) yield call({ name: 'connect' });
    } else yield call({ name: 'connect' });
    if (this.chance(0.07)) yield this.strange() ?? pause();
    if (this.chance(0.07)) yield pause();
    const syn = this.sent.find(({ flags }) => (flags & TCPHDR_SYN) !== 0);
    const answers = this.offer.filter(({ kind }) => kind !== 'nop' && this.offered(syn, kind));
    const options = this.withStamp(padded(answers));
    const ecn = (syn?.flags ?? 0) & TCPHDR_ECE && this.chance(0.7);
    const flags =
      TCPHDR_SYN |
      TCPHDR_ACK |
      (ecn
        ? this.pick([TCPHDR_ECE, TCPHDR_ECE, TCPHDR_CWR, TCPHDR_AE, TCPHDR_AE | TCPHDR_CWR])
        : 0);
    if (this.chance(0.06)) {
      // Both open at once.
      yield segment(this.make({ flags: TCPHDR_SYN, seq: 0, length: 0, ack: 0, options }));
      if (this.chance(0.5)) {
        this.agree(syn, options);
        yield segment(this.make({ flags: TCPHDR_ACK, seq: 1, length: 0, ack: 1 }));
        return;
      }
    }
    const ack = this.chance(0.05) ? this.pick([0, 2, 5000]) : this.chance(0.7) ? this.highest : 1;
    const early = this.chance(0.05) ? 100 : 0;
    yield segment(this.make({ flags, seq: 0, length: early, ack, options }));
    this.acked = Math.max(1, ack);
    this.agree(syn, options);
  }

  private offered(syn: Sent | undefined, kind: TcpOption['kind']): boolean {
    if (kind === 'mss') return true;
    return syn === undefined || syn.options.some((option) => option.kind === kind);
  }

  /** What both sides have said in their SYNs holds. */
  private agree(answer: Sent | undefined, mine: readonly TcpOption[] = this.offer): void {
    const both = (kind: TcpOption['kind']): boolean =>
      mine.some((o) => o.kind === kind) && (answer?.options.some((o) => o.kind === kind) ?? false);
    this.stamps = both('TS');
    this.sacks = both('sackOK');
  }

  private withStamp(options: readonly TcpOption[]): TcpOption[] {
    return options.map((o) => (o.kind === 'TS' ? this.stamp(0) : o));
  }

  private stamp(ago: number): TcpOption {
    return { kind: 'TS', val: (STAMP_BASE + Math.round(this.trial.nowMs) - ago) >>> 0, ecr: 0 };
  }

  // Segments.

  private make(given: {
    readonly flags: number;
    readonly seq: number;
    readonly length: number;
    readonly ack?: number;
    readonly window?: number;
    readonly urgent?: number;
    readonly ecn?: number;
    readonly options?: readonly TcpOption[];
    readonly sack?: readonly (readonly [number, number])[];
  }): Segment {
    const { flags, seq, length, sack = [] } = given;
    let { options } = given;
    if (options === undefined) {
      const list: TcpOption[] = [];
      if (this.stamps && !this.chance(0.03)) {
        const ago = this.chance(0.04) ? this.pick([1, 500, 5000, -5000]) : 0;
        const stamp = this.stamp(ago);
        const late = this.chance(0.03) ? this.pick([-300, -1, 1, 1000]) : 0;
        list.push({ kind: 'nop' }, { kind: 'nop' }, { ...stamp, ecr: late } as TcpOption);
      }
      if (sack.length > 0) {
        const room = this.stamps ? 3 : 4;
        list.push({ kind: 'nop' }, { kind: 'nop' }, { kind: 'sack', blocks: sack.slice(0, room) });
      }
      options = list;
    }
    return {
      flags: flags | (this.chance(0.02) ? this.pick([TCPHDR_ECE, TCPHDR_CWR, TCPHDR_AE]) : 0),
      seq,
      length,
      ack: given.ack ?? this.acked,
      window: given.window ?? this.window,
      urgent: given.urgent ?? 0,
      ecn:
        given.ecn ??
        this.pick([NO_ECN, NO_ECN, NO_ECN, NO_ECN, NO_ECN, NO_ECN, NO_ECN, ECT0, ECT1, CE]),
      options,
    };
  }

  /** An ACK of a part of what is outstanding, or of all. */
  private goodAck(): Action {
    const edges = this.outstanding();
    if (this.highest > this.acked) {
      const all = this.chance(0.6) || edges.length === 0;
      const cut = all ? this.highest : (this.pick(edges).end as number);
      this.acked = Math.max(this.acked, cut);
    }
    if (this.chance(0.15)) this.window = this.pick(WINDOWS);
    return segment(this.make({ flags: TCPHDR_ACK, seq: this.next, length: 0 }));
  }

  /** Duplicate ACKs with growing SACK blocks, a burst of them. */
  private loss(): Action | null {
    const edges = this.outstanding();
    if (edges.length < 2) return null;
    const from = this.rng.between(this.chance(0.2) ? 0 : 1, edges.length - 1);
    const lost = this.chance(0.25) ? this.rng.below(edges.length) : -1;
    const blocks: [number, number][] = [];
    const count = this.rng.between(1, Math.min(6, edges.length - from));
    for (let i = from; i < from + count; i++) {
      const edge = edges[i];
      if (edge === undefined || i === lost) continue;
      const last = blocks.find((block) => block[1] === edge.seq);
      if (last !== undefined) last[1] = edge.end;
      else blocks.unshift([edge.seq, edge.end]);
      const sack = this.sacks ? blocks.map(([a, b]) => [a, b] as const) : [];
      this.planned.push(segment(this.make({ flags: TCPHDR_ACK, seq: this.next, length: 0, sack })));
    }
    return this.planned.shift() ?? null;
  }

  /** SACK blocks that may mean nothing, or that what came had come before. */
  private oddSack(): Action {
    const near = (): number =>
      this.pick([
        this.acked,
        this.highest,
        this.acked - 1000,
        this.rng.between(1, this.highest + 3000),
      ]);
    const blocks: [number, number][] = [];
    for (let n = this.rng.between(1, 3); n > 0; n--) {
      const start = Math.max(1, near());
      const length = this.pick([0, 1, 100, 1000, 1448, 1460, -500, 5000]);
      blocks.push([start, Math.max(0, start + length)]);
    }
    const edges = this.outstanding();
    const first = edges[0];
    if (this.chance(0.4) && this.acked > 200) {
      const end = this.acked - this.pick([0, 0, 100]);
      blocks.unshift([Math.max(1, end - this.pick([1, 100, 1000, 1448, 1460])), end]);
      if (this.chance(0.5)) blocks.length = 1;
    } else if (first !== undefined && this.chance(0.3)) {
      blocks.length = 0;
      blocks.push([first.seq, first.end]);
    }
    return segment(this.make({ flags: TCPHDR_ACK, seq: this.next, length: 0, sack: blocks }));
  }

  private dataInOrder(): Action {
    const hole = this.chance(0.6) ? this.holes.shift() : undefined;
    const length = hole?.length ?? this.pick(LENGTHS);
    const seq = hole?.seq ?? this.next;
    const fin = hole === undefined && this.finSent;
    if (fin) return segment(this.make({ flags: TCPHDR_ACK, seq: this.next, length: 0 }));
    if (hole === undefined) this.next += length;
    const push = this.chance(0.5) ? TCPHDR_PSH : 0;
    if (this.chance(0.3)) this.acked = Math.max(this.acked, this.highest);
    return segment(this.make({ flags: TCPHDR_ACK | push, seq, length }));
  }

  /** Data behind a hole. */
  private dataAhead(): Action {
    const hole = this.pick(LENGTHS);
    this.holes.push({ seq: this.next, length: hole });
    this.next += hole;
    const length = this.pick(LENGTHS);
    const seq = this.next;
    this.next += length;
    return segment(this.make({ flags: TCPHDR_ACK, seq, length }));
  }

  /** Data that was there before, in whole or in part, or that cannot be taken. */
  private dataOdd(): Action {
    const length = this.pick(LENGTHS);
    const seq = this.pick([
      this.next - length,
      this.next - length - 100,
      this.next - (length >> 1),
      1,
      this.next + 60000,
      this.next + 2_000_000,
      this.next - 100_000,
      this.next - 1,
      this.rng.between(1, this.next + 2000),
    ]);
    const end = seq + length;
    if (seq <= this.next && end > this.next && !this.finSent) this.next = end;
    return segment(this.make({ flags: TCPHDR_ACK, seq: seq >>> 0, length }));
  }

  private fin(): Action {
    const length = this.chance(0.4) ? this.pick(LENGTHS) : 0;
    const ahead = this.chance(0.1) ? 1000 : 0;
    const seq = this.next + ahead;
    if (this.chance(0.4)) this.acked = Math.max(this.acked, this.highest);
    const made = this.make({ flags: TCPHDR_FIN | TCPHDR_ACK, seq, length });
    if (!this.finSent && ahead === 0) {
      this.next = seq + length + 1;
      this.finSent = true;
    }
    return segment(made);
  }

  private reset(): Action {
    const last = this.sent.findLast(({ flags }) => (flags & TCPHDR_ACK) !== 0);
    const expected = last?.ack ?? this.next;
    const seq = this.pick([
      expected,
      this.next,
      expected + 1,
      expected + 1000,
      expected - 1,
      expected + 3_000_000,
      0,
    ]);
    const flags = TCPHDR_RST | (this.chance(0.5) ? TCPHDR_ACK : 0);
    return segment(this.make({ flags, seq: seq >>> 0, length: this.chance(0.1) ? 10 : 0 }));
  }

  private badAck(): Action {
    const ack = this.pick([
      this.acked - 1,
      this.acked - 100_000,
      this.highest + 1,
      this.highest + 100_000,
      1,
      0,
      this.acked - 2_000_000,
    ]);
    const length = this.chance(0.3) ? this.pick(LENGTHS) : 0;
    const seq = this.pick([this.next, this.next, this.next - 1, this.next + 100]);
    return segment(this.make({ flags: TCPHDR_ACK, seq, length, ack: ack >>> 0 }));
  }

  private windowAck(): Action {
    this.window = this.pick(WINDOWS);
    return segment(this.make({ flags: TCPHDR_ACK, seq: this.next, length: 0 }));
  }

  private urgent(): Action {
    const length = this.pick([1, 10, 100]);
    const seq = this.next;
    if (!this.finSent) this.next += length;
    const urgent = this.pick([0, 1, length, length + 1, 500, 65535]);
    const made = this.make({ flags: TCPHDR_ACK | TCPHDR_URG, seq, length, urgent });
    return segment(made);
  }

  /** What nobody in his right mind sends. */
  private strange(): Action {
    const { rng } = this;
    const flags = this.pick([
      0,
      TCPHDR_SYN,
      TCPHDR_SYN,
      TCPHDR_SYN | TCPHDR_ACK,
      TCPHDR_SYN | TCPHDR_FIN,
      TCPHDR_FIN,
      TCPHDR_FIN | TCPHDR_PSH | TCPHDR_URG,
      TCPHDR_PSH,
      TCPHDR_SYN | TCPHDR_RST,
      TCPHDR_URG | TCPHDR_ACK,
      TCPHDR_ACK,
    ]);
    const seq = this.pick([
      0,
      this.next,
      this.next - 1,
      this.next + 1,
      this.next + 500,
      rng.below(100_000),
    ]);
    const length = this.chance(0.3) ? this.pick([1, 100]) : 0;
    return segment(
      this.make({
        flags,
        seq: seq >>> 0,
        length,
        ack: this.pick([this.acked, this.highest, 0, 1]),
      }),
    );
  }

  /** A probe of whether the machine is there. */
  private probe(): Action {
    return segment(
      this.make({ flags: TCPHDR_ACK, seq: (this.next - 1) >>> 0, length: this.rng.below(2) }),
    );
  }

  private icmp(): Action {
    const [type, code, mtu] = this.pick([
      [ICMP_DEST_UNREACH, 0, 0],
      [ICMP_DEST_UNREACH, 1, 0],
      [ICMP_DEST_UNREACH, 2, 0],
      [ICMP_DEST_UNREACH, 3, 0],
      [ICMP_DEST_UNREACH, 4, this.pick([1400, 1000, 576, 552, 300, 68, 0, 1500])],
      [ICMP_DEST_UNREACH, 4, this.pick([1400, 1200])],
      [ICMP_DEST_UNREACH, 13, 0],
      [ICMP_TIME_EXCEEDED, 0, 0],
    ] as const);
    const seq = this.pick([
      this.acked,
      this.acked,
      this.highest,
      this.acked - 1,
      this.highest + 10,
      0,
    ]);
    return { kind: 'icmp', icmp: { type, code, mtu, seq: seq >>> 0 } };
  }

  private ecnEcho(): Action {
    this.acked = Math.max(this.acked, this.chance(0.7) ? this.highest : this.acked);
    const flags = this.pick([
      TCPHDR_ECE,
      TCPHDR_CWR,
      TCPHDR_ECE | TCPHDR_CWR,
      TCPHDR_AE,
      TCPHDR_AE | TCPHDR_CWR,
    ]);
    return segment(
      this.make({
        flags: TCPHDR_ACK | flags,
        seq: this.next,
        length: 0,
        ecn: this.pick([NO_ECN, ECT0, CE]),
      }),
    );
  }

  // Calls.

  private write(): Action {
    const extra = this.chance(0.1)
      ? MSG_MORE
      : this.chance(0.05)
        ? MSG_EOR
        : this.chance(0.04)
          ? MSG_OOB
          : 0;
    return call({
      name: 'send',
      length: this.pick(WRITES),
      flags: MSG_NOSIGNAL | extra,
      addressed: false,
    });
  }

  private read(): Action {
    const flags = this.chance(0.1)
      ? MSG_PEEK
      : this.chance(0.05)
        ? MSG_OOB
        : this.chance(0.05)
          ? MSG_TRUNC
          : 0;
    return call({ name: 'recv', length: this.pick(READS), flags });
  }

  private close(): Action {
    this.closed = true;
    return call({ name: 'close', which: 'socket' });
  }

  /** With a socket in hand. */
  private calls(heavy: (mood: Mood, weight: number) => number): Choice[] {
    if (!this.accepted) return [{ weight: 4, make: () => this.accept() }];
    if (this.closed) return [];
    return [
      { weight: heavy('sender', 14), make: () => this.write() },
      { weight: heavy('receiver', 8), make: () => this.read() },
      {
        weight: heavy('options', 4),
        make: () => call(randomSocketOption(this.rng, 'socket', this.roomy)),
      },
      {
        weight: heavy('closing', 0.7),
        make: () =>
          call({ name: 'shutdown', how: this.pick([SHUT_WR, SHUT_WR, SHUT_RD, SHUT_RDWR]) }),
      },
      { weight: heavy('closing', 0.5), make: () => this.close() },
      { weight: 0.15, make: () => call({ name: 'connect' }) },
    ];
  }

  private accept(): Action {
    this.accepted = true;
    return call({ name: 'accept' });
  }

  private choices(): Choice[] {
    const heavy = (mood: Mood, weight: number): number =>
      this.mood === mood ? 3 * weight : weight;
    return [
      ...this.calls(heavy),
      { weight: heavy('sender', 8), make: () => this.goodAck() },
      { weight: heavy('sender', 4), make: () => this.loss() },
      { weight: heavy('sender', 1.2), make: () => this.oddSack() },
      { weight: heavy('receiver', 6), make: () => this.dataInOrder() },
      { weight: heavy('receiver', 3), make: () => this.dataAhead() },
      { weight: heavy('receiver', 2), make: () => this.dataOdd() },
      { weight: heavy('closing', 0.8), make: () => this.fin() },
      { weight: heavy('hostile', 0.5), make: () => this.reset() },
      { weight: heavy('hostile', 1.2), make: () => this.badAck() },
      { weight: heavy('sender', 1.5), make: () => this.windowAck() },
      { weight: heavy('receiver', 0.6), make: () => this.urgent() },
      { weight: heavy('hostile', 0.8), make: () => this.strange() },
      { weight: heavy('hostile', 0.8), make: () => this.probe() },
      { weight: heavy('hostile', 0.8), make: () => this.icmp() },
      { weight: heavy('options', 1), make: () => this.ecnEcho() },
      { weight: 1.5, make: () => pause() },
    ];
  }

  private choose(): Action {
    const planned = this.planned.shift();
    if (planned !== undefined) return planned;
    const choices = this.choices();
    for (;;) {
      let at = this.rng.float() * choices.reduce((sum, { weight }) => sum + weight, 0);
      const choice = choices.find(({ weight }) => {
        at -= weight;
        return at < 0;
      });
      const action = choice?.make() ?? null;
      if (action !== null) return action;
    }
  }

  /** What happens next; the machine has to be told of it before more is asked for. */
  *actions(count: number): Generator<Action> {
    yield* this.trial.scenario.passive ? this.openPassive() : this.openActive();
    for (let i = 0; i < count; i++) yield this.choose();
  }

  /** ms until the next event. A burst only goes on while nothing is sent for it: RTTs of 0 are noise. */
  gap(quiet: boolean): number {
    if (quiet && (this.planned.length > 0 || this.chance(0.15))) return 0;
    if (this.chance(0.05)) return this.rng.between(1000, 1600);
    return this.rng.between(50, 400);
  }
}

function call(made: Call): Action {
  return { kind: 'call', call: made };
}

function segment(made: Segment): Action {
  return { kind: 'segment', segment: made };
}

function pause(): Action {
  return { kind: 'pause' };
}

/** What a SYN of the remote side may carry. */
function randomOffer(rng: Prandom): TcpOption[] {
  const offer: TcpOption[] = [];
  const odd = [1, 47, 48, 88, 100, 500, 536, 1000, 1200, 8000, 65535];
  if (rng.chance(0.95)) {
    const value = rng.chance(0.7) ? 1460 : (odd[rng.below(odd.length)] as number);
    offer.push({ kind: 'mss', value });
  }
  if (rng.chance(0.7)) offer.push({ kind: 'sackOK' });
  if (rng.chance(0.5)) offer.push({ kind: 'TS', val: STAMP_BASE, ecr: 0 });
  if (rng.chance(0.7)) {
    offer.push(
      { kind: 'nop' },
      { kind: 'wscale', value: rng.chance(0.8) ? rng.below(9) : rng.between(9, 16) },
    );
  }
  if (rng.chance(0.1))
    offer.push({ kind: 'FO', cookie: rng.chance(0.6) ? '' : '0123456789abcdef' });
  return padded(offer);
}

/** Options fill whole words. */
function padded(options: TcpOption[]): TcpOption[] {
  const lengths: Partial<Record<TcpOption['kind'], number>> = {
    mss: 4,
    sackOK: 2,
    TS: 10,
    wscale: 3,
    nop: 1,
  };
  const length = options.reduce((sum, o) => {
    return sum + (o.kind === 'FO' ? 2 + o.cookie.length / 2 : (lengths[o.kind] ?? 0));
  }, 0);
  for (let n = length; n % 4 !== 0; n++) options.push({ kind: 'nop' });
  return options;
}

const REMOTE_ISNS = [0, 1000, 0x7fffff00, 0xffffff00, 0xfffffffe];

/** A scenario without its events, and what the remote side offers. */
export function beginScenario(
  name: string,
  rng: Prandom,
  roomy: boolean,
): { readonly scenario: Scenario; readonly offer: TcpOption[] } {
  const remoteIsn = REMOTE_ISNS[rng.below(REMOTE_ISNS.length)] as number;
  const scenario = {
    name,
    sysctls: randomSysctls(rng, roomy),
    remoteIsn,
    passive: rng.chance(0.6),
    events: [] as Event[],
  };
  return { scenario, offer: randomOffer(rng) };
}
