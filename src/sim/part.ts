/**
 * A world in several threads: what one of them knows of the others. Conservative parallel simulation
 * with windows (Chandy, Misra, Bryant; Nicol).
 *
 * Each thread has some of the machines. Between windows all meet: each says when its next event is due
 * and what it has sent; from that and the delay of the cables between them follows up to when no frame
 * of another can arrive, and so far each goes on alone. Frames, with their place in the order of events,
 * cross in rings of shared memory. Nothing is guessed and nothing is taken back.
 *
 *     control words: [abort][stop][flush][arrived][round] and two sets of slots, one for each parity
 *     slot of a part: next, done, woke, now, flags, then the earliest arrival that it sent each part
 */
import { allocFrame, type WireFrame } from '#hardware/wire.ts';
import { SpscConsumer, SpscProducer, spscRingMemory } from '#lib/spsc_ring.ts';
import { mem } from '#mm/memory.ts';
import type { Cable } from '#sim/cable.ts';
import type { Partition } from '#sim/partition.ts';
import type { Meeting, PartState } from '#sim/phase.ts';
import type { TopologySpec } from '#sim/topology.ts';
import type { OrderKey, World } from '#sim/world.ts';

const ABORT = 0;
const STOP = 1;
const FLUSH = 2;
const ARRIVED = 3;
/** On a cache line of its own: the others look at it again and again. */
const ROUND = 16;
const CONTROL_BYTES = 128;

const SLOT_NEXT = 0;
const SLOT_DONE = 1;
const SLOT_WOKE = 2;
const SLOT_NOW = 3;
const SLOT_FLAGS = 4;
const SLOT_SENT = 5;

const FLAG_SLEEPERS = 1;
const FLAG_STOP = 2;

// Of a frame.
const FRAME_BAD_CRC = 1;
const FRAME_JOINS = 2;

/** Looks at the round before a thread lies down to sleep. */
const SPINS = 2000;
/** A sleeper gets up now and then to take frames, so that nobody waits for room in a ring for good. */
const NAP_MS = 1;

const RING_BYTES = 1 << 20;

// A record: what stands before the bytes of a frame.
const AT_TIME = 0;
const AT_BORN = 8;
const AT_SEQ = 16;
const AT_RANK = 24;
const AT_ORIGIN = 28;
const AT_FLAG = 32;
/** What is left to do to an unfinished frame. */
const AT_CSUM_START = 36;
const AT_CSUM_OFFSET = 40;
const AT_GSO_TYPE = 42;
const AT_GSO_SIZE = 44;
const AT_HDR_LEN = 48;
const RECORD_HEADER = 56;

/** What the threads of a world share: can be sent to them. */
export interface SplitPlan {
  readonly partition: Partition;
  /** Machines in the order of the description. */
  readonly names: readonly string[];
  readonly control: SharedArrayBuffer;
  readonly rings: readonly {
    readonly from: number;
    readonly to: number;
    readonly memory: SharedArrayBuffer;
  }[];
}

/** Another thread of the world has failed, or somebody has ended it. */
export class PartAborted extends Error {
  override readonly name = 'PartAborted';
}

function slotLength(parts: number): number {
  return SLOT_SENT + parts;
}

/** Makes what the threads of a world share. */
export function planSplit(spec: TopologySpec, partition: Partition): SplitPlan {
  const { parts, home } = partition;
  const names = spec.nodes.map(({ name }) => name);
  const pairs = new Set<number>();
  for (const { endpoints } of spec.links) {
    const [a, b] = endpoints.map(({ node }) => home[names.indexOf(node)] as number) as [
      number,
      number,
    ];
    if (a !== b) pairs.add(a * parts + b).add(b * parts + a);
  }
  return {
    partition,
    names,
    control: new SharedArrayBuffer(CONTROL_BYTES + 2 * parts * slotLength(parts) * 8),
    rings: [...pairs].map((pair) => ({
      from: Math.floor(pair / parts),
      to: pair % parts,
      memory: spscRingMemory(RING_BYTES),
    })),
  };
}

/** Values of the word ABORT: all must end; and why, where a thread could not even begin. */
const ABORTED = 1;
const UNBEGUN = 2;

/** Ends all threads of a world, wherever they are: each throws PartAborted. */
export function abortSplit(plan: SplitPlan, why: number = ABORTED): void {
  const words = new Int32Array(plan.control, 0, CONTROL_BYTES / 4);
  // The first reason is the one.
  Atomics.compareExchange(words, ABORT, 0, why);
  Atomics.add(words, ROUND, 1);
  Atomics.notify(words, ROUND);
}

/** Has the world stop at its next meeting, in all threads at the same. */
export function stopSplit(plan: SplitPlan): void {
  Atomics.store(new Int32Array(plan.control, 0, CONTROL_BYTES / 4), STOP, 1);
}

/** A cable with one end here: what arrives by it. */
interface Joined {
  readonly cable: Cable;
  /** The end that is in the other thread. */
  readonly end: 0 | 1;
}

/** One thread of a world. */
export class WorldPart implements Meeting {
  readonly index: number;
  /** Phases begun so far: the same in all threads. */
  phases: number;
  /** Called at each meeting; for passing on what has gathered. True: the others shall do so too. */
  onMeeting: (asked: boolean) => boolean;
  private readonly plan: SplitPlan;
  private readonly words: Int32Array;
  private readonly slots: Float64Array;
  private readonly producers: (SpscProducer | null)[];
  private readonly consumers: SpscConsumer[];
  private readonly joined: Map<number, Joined>;
  /** Earliest arrival at each part of what was sent there since the last meeting. */
  private readonly sent: Float64Array;
  /** What is sent from now on is lost. */
  private ended: boolean;
  private flushes: number;
  private rounds: number;

  constructor(plan: SplitPlan, index: number) {
    const { parts } = plan.partition;
    this.index = index;
    this.phases = 0;
    this.onMeeting = () => false;
    this.plan = plan;
    this.words = new Int32Array(plan.control, 0, CONTROL_BYTES / 4);
    this.slots = new Float64Array(plan.control, CONTROL_BYTES);
    this.producers = new Array<SpscProducer | null>(parts).fill(null);
    this.consumers = [];
    for (const { from, to, memory } of plan.rings) {
      if (from === index) this.producers[to] = new SpscProducer(memory);
      if (to === index) this.consumers.push(new SpscConsumer(memory));
    }
    this.joined = new Map();
    this.sent = new Float64Array(parts).fill(Number.POSITIVE_INFINITY);
    this.ended = false;
    this.flushes = 0;
    this.rounds = 0;
  }

  private homeOf(node: string): number {
    return this.plan.partition.home[this.plan.names.indexOf(node)] as number;
  }

  /** Is a machine in this thread? */
  has(node: string): boolean {
    return this.homeOf(node) === this.index;
  }

  /** Joins a cable to its end in another thread, which is in the machine `node`. */
  join(world: World, cable: Cable, link: number, end: 0 | 1, node: string): void {
    const place = world.places.find(({ name }) => name === node);
    const to = this.homeOf(node);
    const ring = this.producers[to] ?? null;
    if (place === undefined || ring === null) throw new Error(`${node} is in no other thread`);
    this.joined.set(link, { cable, end });
    // Sent from the end that is here.
    const kind = (link << 2) | ((1 - end) << 1);
    cable.plugElsewhere(end, place, {
      frame: (frame, key, joins) => {
        if (this.ended) return;
        const at = this.reserve(ring, RECORD_HEADER + frame.len);
        this.putKey(ring, at, key, to);
        ring.view.setInt32(at + AT_ORIGIN, frame.origin, true);
        const flags = (frame.badCrc ? FRAME_BAD_CRC : 0) | (joins ? FRAME_JOINS : 0);
        ring.view.setInt32(at + AT_FLAG, flags, true);
        putOffloads(ring.view, at, frame);
        ring.bytes.set(mem.subarray(frame.addr, frame.addr + frame.len), at + RECORD_HEADER);
        ring.commit(RECORD_HEADER + frame.len, kind);
      },
      light: (on, key) => {
        if (this.ended) return;
        const at = this.reserve(ring, RECORD_HEADER);
        this.putKey(ring, at, key, to);
        ring.view.setInt32(at + AT_FLAG, on ? 1 : 0, true);
        ring.commit(RECORD_HEADER, kind | 1);
      },
    });
  }

  begin(): void {
    this.phases++;
  }

  meet(state: PartState): number {
    this.say(state);
    this.sent.fill(Number.POSITIVE_INFINITY);
    for (const producer of this.producers) producer?.publish();
    this.barrier();
    const flushes = Atomics.load(this.words, FLUSH);
    const asked = flushes !== this.flushes;
    this.flushes = flushes;
    if (this.onMeeting(asked)) this.flushes = Atomics.add(this.words, FLUSH, 1) + 1;
    const before = this.hear(state);
    // All that the others sent is there now, since they published before they came.
    this.drain();
    this.rounds++;
    return before;
  }

  /** The run is over: nothing is taken to the other threads any more. */
  end(): void {
    this.ended = true;
  }

  /** Ends the other threads: this one has failed. */
  abort(): void {
    abortSplit(this.plan);
  }

  /** The same for one that cannot begin, so that the world never has: the others leave nothing behind. */
  refuse(): void {
    abortSplit(this.plan, UNBEGUN);
  }

  /** The world was ended before it began, as one of its threads could not. */
  get unbegun(): boolean {
    return Atomics.load(this.words, ABORT) === UNBEGUN;
  }

  private slotOf(part: number): number {
    const { parts } = this.plan.partition;
    return ((this.rounds & 1) * parts + part) * slotLength(parts);
  }

  private say(state: PartState): void {
    const { slots } = this;
    const slot = this.slotOf(this.index);
    // One thread hears of a stop, so that all hear of it at the same meeting.
    const stop = state.stop || (this.index === 0 && Atomics.load(this.words, STOP) !== 0);
    slots[slot + SLOT_NEXT] = state.nextNs;
    slots[slot + SLOT_DONE] = state.doneNs;
    slots[slot + SLOT_WOKE] = state.wokeNs;
    slots[slot + SLOT_NOW] = state.nowNs;
    slots[slot + SLOT_FLAGS] = (state.sleepers ? FLAG_SLEEPERS : 0) | (stop ? FLAG_STOP : 0);
    slots.set(this.sent, slot + SLOT_SENT);
  }

  /** Takes in what all have said; the time before which nothing from another part arrives here. */
  private hear(state: PartState): number {
    const { slots, plan, index } = this;
    const { parts, distances } = plan.partition;
    let before = Number.POSITIVE_INFINITY;
    state.nextNs = Number.POSITIVE_INFINITY;
    state.doneNs = 0;
    let flags = 0;
    for (let part = 0; part < parts; part++) {
      const slot = this.slotOf(part);
      // Its own next event, or a frame that is on its way to it.
      let next = slots[slot + SLOT_NEXT] as number;
      for (let from = 0; from < parts; from++) {
        next = Math.min(next, slots[this.slotOf(from) + SLOT_SENT + part] as number);
      }
      state.nextNs = Math.min(state.nextNs, next);
      state.doneNs = Math.max(state.doneNs, slots[slot + SLOT_DONE] as number);
      state.wokeNs = Math.max(state.wokeNs, slots[slot + SLOT_WOKE] as number);
      state.nowNs = Math.max(state.nowNs, slots[slot + SLOT_NOW] as number);
      flags |= slots[slot + SLOT_FLAGS] as number;
      before = Math.min(before, next + (distances[part * parts + index] as number));
    }
    state.sleepers = (flags & FLAG_SLEEPERS) !== 0;
    state.stop = (flags & FLAG_STOP) !== 0;
    return before;
  }

  private check(): void {
    if (Atomics.load(this.words, ABORT) !== 0) {
      throw new PartAborted('another thread of the world has ended it');
    }
  }

  /** Returns when all have come. */
  private barrier(): void {
    const { words, plan } = this;
    const round = Atomics.load(words, ROUND);
    this.check();
    if (Atomics.add(words, ARRIVED, 1) + 1 === plan.partition.parts) {
      Atomics.store(words, ARRIVED, 0);
      Atomics.add(words, ROUND, 1);
      Atomics.notify(words, ROUND);
      return;
    }
    for (let spin = 0; spin < SPINS; spin++) if (Atomics.load(words, ROUND) !== round) break;
    while (Atomics.load(words, ROUND) === round) {
      Atomics.wait(words, ROUND, round, NAP_MS);
      this.drain();
    }
    this.check();
  }

  /** Room for a record; while there is none, what others send is taken in, so that they can go on. */
  private reserve(ring: SpscProducer, length: number): number {
    let at = ring.reserve(length);
    while (at < 0) {
      ring.publish();
      this.check();
      this.drain();
      ring.wait(length, NAP_MS);
      at = ring.reserve(length);
    }
    return at;
  }

  private putKey({ view }: SpscProducer, at: number, key: OrderKey, to: number): void {
    view.setFloat64(at + AT_TIME, key.timeNs, true);
    view.setFloat64(at + AT_BORN, key.bornNs, true);
    view.setFloat64(at + AT_SEQ, key.rootSeq, true);
    view.setInt32(at + AT_RANK, key.rank, true);
    if (key.timeNs < (this.sent[to] as number)) this.sent[to] = key.timeNs;
  }

  private drain(): void {
    for (const ring of this.consumers) {
      for (let at = ring.peek(); at >= 0; at = ring.peek()) {
        this.take(ring, at);
        ring.next();
      }
      ring.release();
    }
  }

  private take(ring: SpscConsumer, at: number): void {
    const { view, kind } = ring;
    const joined = this.joined.get(kind >> 2);
    if (joined === undefined) throw new Error('a frame came by a cable that does not end here');
    const { cable } = joined;
    const end = ((kind >> 1) & 1) as 0 | 1;
    const key: OrderKey = {
      timeNs: view.getFloat64(at + AT_TIME, true),
      generation: 0,
      bornNs: view.getFloat64(at + AT_BORN, true),
      rank: view.getInt32(at + AT_RANK, true),
      rootSeq: view.getFloat64(at + AT_SEQ, true),
    };
    const flags = view.getInt32(at + AT_FLAG, true);
    if ((kind & 1) !== 0) {
      cable.landLight(end, flags !== 0, key);
      return;
    }
    const frame = allocFrame(ring.length - RECORD_HEADER);
    if (frame === null) throw new Error('packet memory is exhausted by frames on cables');
    copyIn(frame, ring, at + RECORD_HEADER);
    frame.badCrc = (flags & FRAME_BAD_CRC) !== 0;
    frame.origin = view.getInt32(at + AT_ORIGIN, true);
    takeOffloads(view, at, frame);
    cable.land(end, frame, key, (flags & FRAME_JOINS) !== 0);
  }
}

function copyIn(frame: WireFrame, ring: SpscConsumer, at: number): void {
  mem.set(ring.bytes.subarray(at, at + frame.len), frame.addr);
}

function putOffloads(view: DataView, at: number, { offload }: WireFrame): void {
  view.setInt32(at + AT_CSUM_START, offload === null ? -1 : offload.csumStart, true);
  if (offload === null) return;
  view.setUint16(at + AT_CSUM_OFFSET, offload.csumOffset, true);
  view.setUint16(at + AT_GSO_TYPE, offload.gsoType, true);
  view.setInt32(at + AT_GSO_SIZE, offload.gsoSize, true);
  view.setInt32(at + AT_HDR_LEN, offload.hdrLen, true);
}

function takeOffloads(view: DataView, at: number, frame: WireFrame): void {
  const csumStart = view.getInt32(at + AT_CSUM_START, true);
  if (csumStart < 0) return;
  frame.offload = {
    csumStart,
    csumOffset: view.getUint16(at + AT_CSUM_OFFSET, true),
    gsoType: view.getUint16(at + AT_GSO_TYPE, true),
    gsoSize: view.getInt32(at + AT_GSO_SIZE, true),
    hdrLen: view.getInt32(at + AT_HDR_LEN, true),
  };
}
