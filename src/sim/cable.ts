/**
 * A cable between two ports, with the impairments that tc-netem(8) knows. No Linux counterpart.
 *
 * Each direction is its own line: frames queue for a line of `rateBps`, at most `queueBytes` of
 * them, and arrive `delayNs` (plus jitter) after the last bit has left. All chance comes from the
 * world's seed and the cable's name, so cables do not disturb each other.
 */
import {
  copyFrame,
  freeFrame,
  type WireEnd,
  type WireFrame,
  type WirePort,
  wireBytes,
} from '#hardware/wire.ts';
import { WIRE_LOST, WIRE_OVERFLOW, WIRE_UNPLUGGED } from '#include/trace/events/packet.ts';
import type { Machine } from '#kernel/machine.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import type { Prandom } from '#lib/prandom.ts';
import { mem } from '#mm/memory.ts';
import { markCe } from '#sim/ecn.ts';
import { checkImpairments, type Impairments } from '#sim/impairments.ts';
import type { Place } from '#sim/place.ts';
import { EVENT_FRAME, type OrderKey, type World } from '#sim/world.ts';

/** What became of the frames of one direction. */
export interface LineCounters {
  sent: number;
  delivered: number;
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  /** Got congestion experienced on the way. */
  marked: number;
  overflowed: number;
  /** Thrown away since nothing was plugged in, or the cable was cut. */
  unplugged: number;
}

/** The far half of a cable whose other end is in another thread. */
export interface CableElsewhere {
  /**
   * A frame arrives there at `key.timeNs`; if it `joins`, together with the one before, which has the
   * same key. It is freed here.
   */
  frame(frame: WireFrame, key: OrderKey, joins: boolean): void;
  /** The light of this end is seen there, or no longer, from `key.timeNs` on. */
  light(on: boolean, key: OrderKey): void;
}

/** Chances that a frame takes: of loss, doubling, overtaking, damage and delay. */
const CHANCES = 5;

function isCalm(i: Impairments): boolean {
  const whole = i.loss === 0 && i.lossPeriod === 0 && i.duplicate === 0 && i.corrupt === 0;
  return whole && i.reorder === 0 && i.jitterNs === 0;
}

/** One direction of a cable. */
class Line implements WireEnd {
  private readonly world: World;
  private random: Prandom;
  /** Where damage falls: drawn apart, since not every frame is damaged. */
  private damageRandom: Prandom;
  readonly cable: Cable;
  /** The end that this line leads to. */
  private readonly far: 0 | 1;
  private impairmentsNow: Impairments;
  /** All frames arrive, as they are, one after the other; and how many have not drawn chances for it. */
  private calm: boolean;
  private undrawn: number;
  readonly counters: LineCounters;
  /** Port at the far end. */
  peer: WirePort | null;
  /** What takes frames to the far end where that is in another thread; `peer` is null then. */
  elsewhere: CableElsewhere | null;
  /** Where the near end is, and the far one. */
  from: Place;
  to: Place;
  /** When the line has sent what it took so far. */
  private freeAtNs: number;
  /** Latest arrival so far: a later frame does not come before it by jitter alone. */
  private lastArrivalNs: number;
  private queuedBytes: number;
  /** Frames that have not arrived yet. */
  private underWay: WireFrame | null;
  /** A burst is being put on the line: frames that arrive in one instant are one event. */
  private bursting: boolean;
  /** The last frame of those that a further one of the burst may join, and where they stand. */
  private train: WireFrame | null;
  private trainNs: number;
  private trainKey: OrderKey | null;
  /** Called with each frame as it is put on the line; for captures. */
  tap: ((frame: WireFrame) => void) | null;

  constructor(world: World, cable: Cable, far: 0 | 1, impairments: Impairments) {
    const name = `${cable.name}/${1 - far}`;
    this.world = world;
    this.cable = cable;
    this.far = far;
    this.random = world.fork(name);
    this.damageRandom = world.fork(`${name}/damage`);
    this.impairmentsNow = impairments;
    this.calm = isCalm(impairments);
    this.undrawn = 0;
    this.counters = {
      sent: 0,
      delivered: 0,
      lost: 0,
      duplicated: 0,
      reordered: 0,
      corrupted: 0,
      marked: 0,
      overflowed: 0,
      unplugged: 0,
    };
    this.peer = null;
    this.elsewhere = null;
    this.from = world.ground;
    this.to = world.ground;
    this.freeAtNs = 0;
    this.lastArrivalNs = 0;
    this.queuedBytes = 0;
    this.underWay = null;
    this.bursting = false;
    this.train = null;
    this.trainNs = 0.5;
    this.trainNs = 0;
    this.trainKey = null;
    this.tap = null;
  }

  get impairments(): Impairments {
    return this.impairmentsNow;
  }
  set impairments(impairments: Impairments) {
    this.impairmentsNow = impairments;
    this.calm = isCalm(impairments);
  }

  get up(): boolean {
    return this.cable.connected && this.leads && this.cable.seesLight(this.far);
  }

  /** Something is plugged in at the far end. */
  private get leads(): boolean {
    return this.peer !== null || this.elsewhere !== null;
  }

  /** Damage must be found by a checksum, so a cable that does any takes finished frames only. */
  get peerOffloads(): number {
    if (this.impairments.corrupt > 0) return 0;
    // In another thread: a cable has the same kind of card at both ends.
    const port = this.elsewhere === null ? this.peer : this.cable.portAt((1 - this.far) as 0 | 1);
    return port?.offloads ?? 0;
  }

  light(on: boolean): void {
    this.cable.setLight((1 - this.far) as 0 | 1, on);
  }

  send(frame: WireFrame): void {
    const { counters } = this;
    counters.sent++;
    this.from.print.frame(frame.addr, frame.len);
    if (this.tap !== null) this.tap(frame);
    if (!this.cable.connected || !this.leads) {
      counters.unplugged++;
      this.gone(frame, WIRE_UNPLUGGED);
      return;
    }
    if (!this.calm) {
      this.sendByChance(frame);
      return;
    }
    this.undrawn++;
    if (!this.occupy(frame)) return;
    const arrivalNs = this.freeAtNs + this.impairmentsNow.delayNs;
    if (arrivalNs > this.lastArrivalNs) this.lastArrivalNs = arrivalNs;
    this.travel(frame, this.lastArrivalNs);
  }

  /** Draws what was left undrawn while it would not have mattered. */
  private catchUp(): void {
    for (; this.undrawn > 0; this.undrawn--) {
      for (let chance = 0; chance < CHANCES; chance++) this.random.float();
    }
  }

  private sendByChance(frame: WireFrame): void {
    const { random, counters, impairmentsNow: i } = this;
    if (this.undrawn > 0) this.catchUp();
    // Each chance is drawn for each frame, so that changing one impairment leaves the others' draws.
    const byChance = random.float() < i.loss;
    const lost = byChance || (i.lossPeriod > 0 && counters.sent % i.lossPeriod === 0);
    const twice = random.float() < i.duplicate;
    const overtakes = random.float() < i.reorder;
    const damaged = random.float() < i.corrupt;
    const jitterNs = Math.floor(random.float() * i.jitterNs);
    if (lost) {
      counters.lost++;
      this.gone(frame, WIRE_LOST);
      return;
    }
    if (damaged) this.damage(frame);
    if (!this.occupy(frame)) return;
    const arrivalNs = overtakes
      ? this.overtake(frame)
      : Math.max(this.freeAtNs + i.delayNs + jitterNs, this.lastArrivalNs);
    if (!overtakes) this.lastArrivalNs = arrivalNs;
    if (twice) this.duplicate(frame, arrivalNs);
    this.travel(frame, arrivalNs);
  }

  /**
   * Nothing comes between the frames of a burst, in whatever thread it is sent: those that arrive in one
   * instant are neighbours in the order of events, and one event does for them.
   */
  sendBurst(first: WireFrame): void {
    this.bursting = true;
    for (let frame: WireFrame | null = first; frame !== null; ) {
      const { next }: WireFrame = frame;
      frame.next = null;
      this.send(frame);
      frame = next;
    }
    this.bursting = false;
    this.train = null;
    this.trainKey = null;
  }

  /** Takes up the chances of another name. */
  reseed(name: string): void {
    this.random = this.world.fork(name);
    this.undrawn = 0;
    this.damageRandom = this.world.fork(`${name}/damage`);
  }

  private travel(frame: WireFrame, arrivalNs: number): void {
    const { world, from } = this;
    const { cableSend } = world.trace;
    if (tracepointKey.enabled) {
      cableSend.probe?.(frame, this.cable.name, (1 - this.far) as 0 | 1, arrivalNs);
    }
    const { train } = this;
    const joins = train !== null && arrivalNs === this.trainNs;
    if (this.bursting) {
      this.train = frame;
      this.trainNs = arrivalNs;
    }
    if (this.elsewhere !== null) {
      const key = joins && this.trainKey !== null ? this.trainKey : this.keyAt(arrivalNs);
      if (this.bursting) this.trainKey = key;
      this.elsewhere.frame(frame, key, joins);
      freeFrame(frame);
      return;
    }
    this.join(frame);
    if (joins) train.follower = frame;
    else world.at(arrivalNs, EVENT_FRAME, deliver, this, frame, from, this.to);
  }

  /** Takes a frame that comes from the near end, in another thread. */
  land(frame: WireFrame, key: OrderKey, joins: boolean): void {
    this.join(frame);
    if (joins && this.train !== null) this.train.follower = frame;
    else this.world.atFromElsewhere(key, EVENT_FRAME, deliver, this, frame, this.to);
    this.train = frame;
  }

  /** Lets the far end see the light of this one, when it gets there. */
  shine(on: boolean): void {
    const { world, from } = this;
    const seenNs = world.nowNs + this.impairments.delayNs;
    if (this.elsewhere !== null) this.elsewhere.light(on, this.keyAt(seenNs));
    else world.at(seenNs, EVENT_FRAME, on ? lit : dark, this, this.plugNumber, from, this.to);
  }

  /** Light from the near end, in another thread. */
  landLight(on: boolean, key: OrderKey): void {
    this.world.atFromElsewhere(key, EVENT_FRAME, on ? lit : dark, this, this.plugNumber, this.to);
  }

  /** Which of the plugs that the near end has had is in it. */
  private get plugNumber(): number {
    return this.cable.plugNumber((1 - this.far) as 0 | 1);
  }

  /** The far end sees the light of the near one, or no longer; not what is left of a plug before. */
  shown(on: boolean, plug: number): void {
    if (plug === this.plugNumber) this.cable.setSeen((1 - this.far) as 0 | 1, on);
  }

  /** Key of what this end does to the other, at a later time. */
  private keyAt(timeNs: number): OrderKey {
    const { world, from } = this;
    const { rank } = from;
    return { timeNs, generation: 0, bornNs: world.nowNs, rank, rootSeq: world.takeSeq() };
  }

  private join(frame: WireFrame): void {
    frame.prev = null;
    frame.next = this.underWay;
    if (this.underWay !== null) this.underWay.prev = frame;
    this.underWay = frame;
  }

  /** The frame will not arrive; `why` is a WIRE_*. */
  private gone(frame: WireFrame, why: number): void {
    const { cableDrop } = this.world.trace;
    if (tracepointKey.enabled) {
      cableDrop.probe?.(frame, this.cable.name, (1 - this.far) as 0 | 1, why);
    }
    freeFrame(frame);
  }

  /** Everything under way is lost. */
  cut(): void {
    for (let frame = this.underWay; frame !== null; ) {
      const { next } = frame;
      this.counters.unplugged++;
      this.gone(frame, WIRE_UNPLUGGED);
      frame = next;
    }
    this.underWay = null;
  }

  /** Takes the time on the line that the frame needs. False: the queue is full, the frame is gone. */
  private occupy(frame: WireFrame): boolean {
    const { world, impairmentsNow: i } = this;
    if (this.freeAtNs < world.nowNs) this.freeAtNs = world.nowNs;
    if (i.rateBps === 0) return true;
    if (
      i.queueBytes > 0 &&
      this.freeAtNs > world.nowNs &&
      this.queuedBytes + frame.len > i.queueBytes
    ) {
      this.counters.overflowed++;
      this.gone(frame, WIRE_OVERFLOW);
      return false;
    }
    this.queuedBytes += frame.len;
    if (i.ecnMarkBytes > 0 && this.queuedBytes > i.ecnMarkBytes && markCe(frame)) {
      this.counters.marked++;
    }
    this.freeAtNs += Math.ceil((wireBytes(frame) * 8e9) / i.rateBps);
    world.at(this.freeAtNs, EVENT_FRAME, leave, this, frame.len, this.from);
    return true;
  }

  /** A reordered frame does not wait for the propagation delay: it comes before those under way. */
  private overtake(_frame: WireFrame): number {
    this.counters.reordered++;
    return this.freeAtNs;
  }

  private duplicate(frame: WireFrame, arrivalNs: number): void {
    const copy = copyFrame(frame);
    if (copy === null) return;
    this.counters.duplicated++;
    this.travel(copy, arrivalNs);
  }

  private damage(frame: WireFrame): void {
    const bit = this.damageRandom.below(frame.len * 8);
    const at = frame.addr + (bit >> 3);
    mem[at] = (mem[at] ?? 0) ^ (1 << (bit & 7));
    if (!this.impairments.corruptSilently) frame.badCrc = true;
    this.counters.corrupted++;
  }

  /** The frame has left the queue for the line. */
  left(bytes: number): void {
    this.queuedBytes -= bytes;
  }

  /** A frame arrives, and those that follow it in the same instant. */
  arrived(first: WireFrame): void {
    let head: WireFrame | null = null;
    let tail: WireFrame | null = null;
    for (let frame: WireFrame | null = first; frame !== null; ) {
      const { follower }: WireFrame = frame;
      frame.follower = null;
      const port = this.landed(frame);
      if (port !== null) {
        if (port.receiveBurst === undefined || (follower === null && head === null)) {
          port.receive(frame);
        } else {
          if (tail === null) head = frame;
          else tail.next = frame;
          tail = frame;
        }
      }
      frame = follower;
    }
    if (head !== null) this.peer?.receiveBurst?.(head);
  }

  /** Takes a frame off the line: the port that it reaches; null: none. */
  private landed(frame: WireFrame): WirePort | null {
    // Lost when the cable was cut meanwhile.
    if (frame.addr === 0) return null;
    if (frame.prev === null) this.underWay = frame.next;
    else frame.prev.next = frame.next;
    if (frame.next !== null) frame.next.prev = frame.prev;
    frame.prev = null;
    frame.next = null;
    if (this.peer === null) {
      this.counters.unplugged++;
      this.gone(frame, WIRE_UNPLUGGED);
      return null;
    }
    this.counters.delivered++;
    const { cableArrive } = this.world.trace;
    if (tracepointKey.enabled) cableArrive.probe?.(frame, this.cable.name, (1 - this.far) as 0 | 1);
    return this.peer;
  }
}

function deliver(subject: unknown, detail: unknown): void {
  (subject as Line).arrived(detail as WireFrame);
}

function lit(subject: unknown, detail: unknown): void {
  (subject as Line).shown(true, detail as number);
}

function dark(subject: unknown, detail: unknown): void {
  (subject as Line).shown(false, detail as number);
}

function leave(subject: unknown, detail: unknown): void {
  (subject as Line).left(detail as number);
}

/** A cable. Plug a port into each end with {@link Cable.plug}. */
export class Cable {
  readonly name: string;
  /** False while the cable is cut. */
  private whole: boolean;
  private readonly world: World;
  private readonly lines: readonly [Line, Line];
  private readonly ports: [WirePort | null, WirePort | null];
  /** How many plugs each end has had. */
  private readonly plugs: [number, number];
  /** Ports that are switched on. */
  private readonly lit: [boolean, boolean];
  /** The same as the other ends see it: light takes its time too. */
  private readonly seen: [boolean, boolean];
  /** What the ports were told last. */
  private readonly told: [boolean, boolean];

  constructor(world: World, name: string, impairments: Partial<Impairments> = {}) {
    const checked = checkImpairments(impairments);
    this.world = world;
    this.name = name;
    this.whole = true;
    this.ports = [null, null];
    this.plugs = [0, 0];
    this.lit = [true, true];
    this.seen = [true, true];
    this.told = [false, false];
    this.lines = [new Line(world, this, 1, checked), new Line(world, this, 0, checked)];
    world.onHalt(() => this.cut());
    world.nameSubject(this, name);
    for (const line of this.lines) world.nameSubject(line, name);
  }

  /**
   * Plugs a port into end 0 or 1; returns what it sends through. `machine` is the one that the port is
   * in, so that what the cable does is reckoned among what that machine does.
   */
  plug(end: 0 | 1, port: WirePort, machine: Machine | null = null): WireEnd {
    const { world } = this;
    this.ports[end] = port;
    this.place(end, machine === null ? world.ground : world.placeOf(machine));
    this.lines[(1 - end) as 0 | 1].peer = port;
    this.announce();
    return this.lines[end];
  }

  /** How many plugs an end has had: which of them is in it. */
  plugNumber(end: 0 | 1): number {
    return this.plugs[end];
  }

  /** What is plugged in at an end, in this thread. */
  portAt(end: 0 | 1): WirePort | null {
    return this.ports[end];
  }

  /** Joins an end to its half in another thread, where it is in `place`. */
  plugElsewhere(end: 0 | 1, place: Place, elsewhere: CableElsewhere): void {
    this.place(end, place);
    this.lines[(1 - end) as 0 | 1].elsewhere = elsewhere;
    this.announce();
  }

  private place(end: 0 | 1, place: Place): void {
    this.plugs[end]++;
    this.lit[end] = true;
    this.seen[end] = true;
    this.lines[end].from = place;
    this.lines[(1 - end) as 0 | 1].to = place;
  }

  /** A frame that end `end` sent in another thread; if it `joins`, it arrives with the one before. */
  land(end: 0 | 1, frame: WireFrame, key: OrderKey, joins = false): void {
    this.lines[end].land(frame, key, joins);
  }

  /** Light that end `end` switched in another thread. */
  landLight(end: 0 | 1, on: boolean, key: OrderKey): void {
    this.lines[end].landLight(on, key);
  }

  /** Pulls the plug of an end. Frames under way to it are lost. */
  unplug(end: 0 | 1): void {
    this.ports[end]?.linkChanged(false);
    this.ports[end] = null;
    this.told[end] = false;
    this.lines[(1 - end) as 0 | 1].peer = null;
    this.announce();
  }

  /** What is under way, in both directions, is lost. */
  private cut(): void {
    for (const line of this.lines) line.cut();
  }

  /** False while it is cut. */
  get connected(): boolean {
    return this.whole;
  }

  /** Cuts the cable, or mends it: frames under way are lost, and both ends see that the light goes out. */
  setConnected(connected: boolean): void {
    if (this.connected === connected) return;
    if (this.lines.some((line) => line.elsewhere !== null)) {
      throw new RangeError(`the cable ${this.name} joins two threads and cannot be cut`);
    }
    this.whole = connected;
    if (!connected) this.cut();
    this.announce();
  }

  /** Changes what the line from `end` does to frames sent from now on; both when not given. */
  impair(change: Partial<Impairments>, end?: 0 | 1): void {
    this.lines.forEach((line, index) => {
      if (end === undefined || end === index) {
        const changed = checkImpairments({ ...line.impairments, ...change });
        if (line.elsewhere !== null) this.refuseShorter(line.impairments, changed);
        line.impairments = changed;
      }
    });
  }

  /** The threads that a cable joins go ahead of each other by its delay, so it must stay. */
  private refuseShorter(before: Impairments, after: Impairments): void {
    if (after.delayNs >= before.delayNs && after.reorder === 0) return;
    throw new RangeError(`the cable ${this.name} joins two threads and cannot get faster`);
  }

  /**
   * From now on chance falls as on a new cable of that name, whatever has passed: so that what is
   * compared meets the same losses.
   */
  reseed(name: string): void {
    this.lines.forEach((line, index) => {
      line.reseed(`${name}/${index}`);
    });
  }

  /** Counters of the line that starts at `end`. */
  counters(end: 0 | 1): Readonly<LineCounters> {
    return this.lines[end].counters;
  }

  /** Watches the frames that are put on the line at `end`. */
  tap(end: 0 | 1, listener: ((frame: WireFrame) => void) | null): void {
    this.lines[end].tap = listener;
  }

  /** What the line that starts at `end` does to frames. */
  impairmentsOf(end: 0 | 1): Impairments {
    return this.lines[end].impairments;
  }

  /** True when the other end sees the light of the port at `end`. */
  seesLight(end: 0 | 1): boolean {
    return this.seen[end];
  }

  /** The port at an end switches its light; the other hears of it when the light gets there. */
  setLight(end: 0 | 1, on: boolean): void {
    if (this.lit[end] === on) return;
    this.lit[end] = on;
    this.lines[end].shine(on);
  }

  /** The other end sees the light of `end`, or no longer. */
  setSeen(end: 0 | 1, on: boolean): void {
    this.seen[end] = on;
    this.announce();
  }

  /** Tells each port whether there is light from the other, if that is news to it. */
  announce(): void {
    for (const end of [0, 1] as const) {
      const { up } = this.lines[end];
      const port = this.ports[end];
      if (port === null || this.told[end] === up) continue;
      this.told[end] = up;
      port.linkChanged(up);
    }
  }
}
