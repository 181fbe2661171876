/**
 * Says whose each recorded step is: the recorder knows structures and their kinship, the page shows
 * packets, each one thing from the machine that makes it to the one that uses it up. Told of every record
 * as it is written, and of the frames on the cables. It only looks; a run is the same with and without.
 */
import type { WireFrame } from '#hardware/wire.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  DERIVE_CLONE,
  DERIVE_COPY,
  DERIVE_FRAGMENT,
  DERIVE_SEGMENT,
  WIRE_FILTERED,
  WIRE_LOST,
  WIRE_OVERFLOW,
} from '#include/trace/events/packet.ts';
import type { Machine } from '#kernel/machine.ts';
import { hostView as view } from '#mm/memory.ts';
import type { World } from '#sim/world.ts';
import { functionOf, IN_CARD } from '#trace/places.ts';
import {
  KIND_DERIVE,
  KIND_END,
  KIND_LOST,
  KIND_MERGE,
  KIND_QUEUE,
  KIND_TRACEPOINT,
  KIND_TRANSMIT,
  WIRE_NAMES,
} from '#trace/record.ts';
import type { MachineTrack } from '#trace/recorder.ts';
import { dropReasonName, SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import type { FrameFateName } from '../protocol.ts';
import { CpuRecorder } from './cpu_recorder.ts';
import { factsOf } from './facts.ts';
import type { FunctionPath } from './function_path.ts';
import { type Look, lookAt, lookAtFrame } from './look.ts';
import type { DropRecord, PacketRecord, Recording } from './recording.ts';
import { TcpRecorder } from './tcp_recorder.ts';

/** Ends that are housekeeping: the packet has done its work and its owner goes. */
const QUIET_REASONS: ReadonlySet<string> = new Set(['SOCKET_CLOSE', 'QUEUE_PURGE']);

/** Where a packet on its way out is complete enough to be known. */
const OUTWARDS: readonly string[] = [
  'net:net_dev_queue',
  'net:net_dev_start_xmit',
  'packet:neigh_queue',
];
/** Where a packet on its way in is looked at first. */
const INWARDS: readonly string[] = [
  'net:napi_gro_receive_entry',
  'net:napi_gro_frags_entry',
  'net:netif_rx',
  'net:netif_receive_skb',
];
/** What changes how full queues are. */
const FILLING: readonly string[] = [
  'net:netif_rx',
  'irq:irq_handler_entry',
  'napi:napi_poll',
  'sock:sk_data_ready',
];

const OUT = 1;
const IN = 2;
const LEVELS = 4;

/** Keys of frames remembered, to know the packet again where it arrives. */
const MAX_KEYS = 50_000;
/** Steps remembered of a structure that is not known yet. */
const MAX_WAITING = 32;

/** A cable as the recording knows it. */
export interface CableEnds {
  readonly index: number;
  /** Machines at its ends, by number. */
  readonly machines: readonly [number, number];
  delayNs(): number;
}

export class Observer {
  readonly recording: Recording;
  readonly tcp: TcpRecorder;
  readonly cpus: CpuRecorder;
  private readonly world: World;
  private readonly functions: FunctionPath;
  /** OUT, IN and LEVELS, by the number of a record's name. */
  private readonly flags: number[];
  private readonly queued: number;
  /** Packets by the recorder's numbers of their structures. */
  private readonly byStructure: (PacketRecord | undefined)[];
  /** Steps of structures that are not known yet. */
  private readonly waiting: Map<number, number[]>;
  /** The packets that last carried what TCP keeps to send again. */
  private readonly carriers: Map<number, PacketRecord>;
  private readonly byOrigin: Map<number, PacketRecord>[];
  private readonly byKey: Map<string, PacketRecord>;
  private readonly sent: Map<string, number>;
  /** Segments and fragments that have just been cut, and from what. */
  private readonly wholes: Map<number, PacketRecord>;
  /** Frames on cables, and whose they are. */
  private readonly underWay: Map<WireFrame, PacketRecord | null>;
  /** Steps in which a card put a frame on the line, or threw one away, just now. */
  private transmitted: number;
  private refused: number;

  constructor(world: World, recording: Recording, functions: FunctionPath) {
    this.functions = functions;
    this.world = world;
    this.recording = recording;
    this.tcp = new TcpRecorder();
    this.cpus = new CpuRecorder(recording);
    this.flags = [];
    const { names } = recording.recorder;
    const mark = (list: readonly string[], flag: number): void => {
      for (const name of list) {
        const number = names.number(name);
        this.flags[number] = (this.flags[number] ?? 0) | flag;
      }
    };
    mark(OUTWARDS, OUT);
    mark(INWARDS, IN);
    mark(FILLING, LEVELS);
    this.queued = names.number('net:net_dev_queue');
    this.byStructure = [];
    this.waiting = new Map();
    this.carriers = new Map();
    this.byOrigin = [];
    this.byKey = new Map();
    this.sent = new Map();
    this.wholes = new Map();
    this.underWay = new Map();
    this.transmitted = -1;
    this.refused = -1;
    recording.recorder.listener = (seq, track, kind, name, packet, skb, other) =>
      this.recorded(seq, track, kind, name, packet, skb, other);
  }

  /** Also listens where the recorder does not look closely enough. */
  followMachine(machine: Machine): void {
    const index = this.recording.machineIndex(machine.name);
    const { sock, packet } = machine.trace;
    sock.skDataReady.register((sk) => this.cpus.reader(index, sk));
    packet.wireDrop.register((frame, why) => this.refusedByCard(machine, index, frame, why));
    this.tcp.follow(machine);
  }

  // Records.

  private recorded(
    seq: number,
    track: MachineTrack,
    kind: number,
    name: number,
    packet: number,
    skb: SkBuff | null,
    other: number,
  ): void {
    const { recording } = this;
    const { machine, index } = track;
    recording.stepped(packet === 0 ? '' : this.functions.take());
    if (machine === null) return;
    const flags = this.flags[name] ?? 0;
    if ((flags & LEVELS) !== 0 || kind === KIND_QUEUE) this.cpus.levels(machine, index);
    if (packet === 0) return;
    // Whose these are, the frame tells.
    if (kind === KIND_TRANSMIT) this.transmitted = seq;
    else if (kind === KIND_LOST) this.refused = seq;
    else this.stepOf(seq, machine, index, kind, name, flags, packet, skb, other);
  }

  private stepOf(
    seq: number,
    machine: Machine,
    index: number,
    kind: number,
    name: number,
    flags: number,
    packet: number,
    skb: SkBuff | null,
    other: number,
  ): void {
    if (kind === KIND_DERIVE && skb !== null) this.derived(packet, skb, other, index);
    const record = this.ownerOf(seq, index, kind, flags, packet, skb);
    if (record === null) {
      this.stepOfData(seq, kind, packet);
      return;
    }
    this.recording.belongs(seq, record);
    if (kind === KIND_END) this.ended(seq, machine, index, record, packet, skb);
    else if (kind === KIND_MERGE) this.merged(seq, machine, index, record, other);
    else if (name === this.queued && skb !== null) this.tcp.sent(machine, skb, record);
  }

  /** The packet of a step's structure; null: it cannot be known yet. */
  private ownerOf(
    seq: number,
    index: number,
    kind: number,
    flags: number,
    packet: number,
    skb: SkBuff | null,
  ): PacketRecord | null {
    if (skb !== null) {
      if ((flags & OUT) !== 0) return this.outgoing(index, packet, skb);
      if ((flags & IN) !== 0) return this.incoming(index, packet, skb);
    }
    const known = this.known(packet);
    if (known !== null || skb === null) return known;
    // One that is refused before it got to its device is known by its bytes.
    const refused = kind === KIND_END && this.recording.recorder.ring.arg(seq, 0) !== SKB_CONSUMED;
    return refused ? this.outgoing(index, packet, skb) : null;
  }

  /**
   * A step of a structure that is no packet yet: it waits for the packet. What happens to data that TCP
   * keeps is told with its latest sending, but for why it waits, which belongs to the next.
   */
  private stepOfData(seq: number, kind: number, packet: number): void {
    if (kind === KIND_END) {
      this.waiting.delete(packet);
      this.carriers.delete(packet);
      return;
    }
    const carrier = this.carriers.get(packet);
    if (carrier !== undefined && kind === KIND_TRACEPOINT) {
      this.recording.belongs(seq, carrier);
      return;
    }
    const list = this.waiting.get(packet);
    if (list === undefined) this.waiting.set(packet, [seq]);
    else if (list.length < MAX_WAITING) list.push(seq);
  }

  /** A structure was made from another. */
  private derived(packet: number, child: SkBuff, parent: number, index: number): void {
    const { recorder } = this.recording;
    const how = recorder.packet(packet)?.how ?? 0;
    const whole = this.known(parent);
    if (how === DERIVE_CLONE || how === DERIVE_COPY) {
      // Data that TCP keeps to send again is no packet yet, and neither is a clone of it.
      if (whole !== null && this.known(packet) === null) this.bind(index, packet, child, whole);
      return;
    }
    if (how !== DERIVE_SEGMENT && how !== DERIVE_FRAGMENT) return;
    if (whole === null) return;
    if (this.wholes.size > MAX_KEYS) forgetOldest(this.wholes);
    this.wholes.set(packet, whole);
  }

  private merged(
    seq: number,
    machine: Machine,
    index: number,
    record: PacketRecord,
    into: number,
  ): void {
    if (record.holder !== index || this.known(into) === record) return;
    deliver(record, machine.name, functionOf(this.recording.recorder, seq));
  }

  private ended(
    seq: number,
    machine: Machine,
    index: number,
    record: PacketRecord,
    packet: number,
    skb: SkBuff | null,
  ): void {
    const { recorder } = this.recording;
    const fn = functionOf(recorder, seq);
    const reason = recorder.ring.arg(seq, 0);
    record.structures--;
    // What the card has put on the cable goes on there; only the sender's structure ends.
    if (record.holder !== index) return;
    if (reason === SKB_CONSUMED) {
      // A clone, e.g. for a packet socket, is done with before the packet is.
      if (record.fate === 'alive' && record.structures <= 0) deliver(record, machine.name, fn);
      return;
    }
    const name = dropReasonName(reason);
    if (QUIET_REASONS.has(name)) return;
    const facts = skb === null ? {} : factsOf(machine, skb);
    this.endBadly(record, machine, fn, { reason: name, code: reason, wire: false, facts });
    this.waiting.delete(packet);
  }

  private endBadly(
    record: PacketRecord,
    machine: Machine,
    fn: string,
    why: Pick<DropRecord, 'reason' | 'code' | 'wire' | 'facts'>,
  ): void {
    record.fate = 'dropped';
    record.reason = why.reason;
    record.where = fn;
    record.endMachine = machine.name;
    const { nowNs: timeNs, name } = machine;
    const packet = record.id;
    this.recording.drop({ ...why, timeNs, machine: name, fn, packet, expected: false });
  }

  // Frames.

  /** Follows the cables; `ends` gives the two machines of each, by the cable's name. */
  followCables(cables: ReadonlyMap<string, CableEnds>): void {
    const { cableSend, cableArrive, cableDrop } = this.world.trace;
    cableSend.register((frame, name, end, arrivalNs) => {
      const cable = cables.get(name);
      if (cable === undefined) return;
      const record = this.seeFrame(cable, frame, end, 'arrives', arrivalNs);
      this.underWay.set(frame, record);
    });
    cableArrive.register((frame) => {
      this.underWay.delete(frame);
    });
    cableDrop.register((frame, name, end, why) => {
      const cable = cables.get(name);
      if (cable === undefined) return;
      const before = this.underWay.get(frame);
      this.underWay.delete(frame);
      const { nowNs } = this.world;
      if (before !== undefined) {
        this.lostOnCable(before, name, 'cut', why);
        return;
      }
      const fate = why === WIRE_LOST ? 'lost' : why === WIRE_OVERFLOW ? 'overflowed' : 'unplugged';
      const lostNs = fate === 'lost' ? nowNs + cable.delayNs() : nowNs;
      this.lostOnCable(this.seeFrame(cable, frame, end, fate, lostNs), name, fate, why);
    });
  }

  private seeFrame(
    cable: CableEnds,
    frame: WireFrame,
    end: 0 | 1,
    fate: FrameFateName,
    arrivalNs: number,
  ): PacketRecord | null {
    const look = lookAtFrame(view, frame.addr, frame.len);
    const record = look === null ? null : this.frameOwner(look, cable.machines[end], frame);
    const { nowNs } = this.world;
    const until = Math.max(arrivalNs, nowNs);
    this.recording.frame(cable.index, end, nowNs, until, record, fate, frame.len);
    if (record !== null) {
      if (this.transmitted >= 0) this.recording.belongs(this.transmitted, record);
      record.holder = -1;
      // Merged by GRO on a router, and cut again.
      if (record.fate === 'delivered') record.fate = 'alive';
      record.endNs = Math.max(record.endNs, nowNs);
    }
    this.transmitted = -1;
    return record;
  }

  private lostOnCable(
    record: PacketRecord | null,
    cable: string,
    fate: FrameFateName,
    why: number,
  ): void {
    if (record === null) return;
    const { nowNs } = this.world;
    const reason = fate === 'cut' ? 'the cable was cut' : (WIRE_NAMES[why] ?? '');
    record.fate = 'lost';
    record.reason = reason;
    record.where = 'cable';
    record.endMachine = cable;
    this.recording.drop({
      timeNs: nowNs,
      machine: cable,
      fn: 'cable',
      reason,
      packet: record.id,
      expected: fate === 'lost',
      code: fate === 'cut' ? 0 : why,
      wire: true,
      facts: {},
    });
  }

  /** The packet that a frame is of: that of the structure which the card sent, or one that it cut from it. */
  private frameOwner(look: Look, machine: number, frame: WireFrame): PacketRecord {
    const whole = this.known(frame.origin);
    if (whole !== null && whole.key === look.key && whole.length <= frame.len) {
      whole.length = frame.len;
      return whole;
    }
    const known = this.byKey.get(look.key);
    if (known !== undefined && known !== whole) {
      if (known.holder === machine || known.holder === -1) {
        known.length = Math.max(known.length, frame.len);
        return known;
      }
    }
    const record = this.birth(look, machine, frame.len);
    if (whole !== null && whole.flow === look.flow) {
      cutFrom(record, whole);
      deliver(whole, whole.machine, IN_CARD);
    }
    return record;
  }

  private refusedByCard(machine: Machine, index: number, frame: WireFrame, why: number): void {
    const seq = this.refused;
    this.refused = -1;
    if (why === WIRE_FILTERED) return;
    const look = lookAtFrame(view, frame.addr, frame.len);
    const record = look === null ? undefined : this.byKey.get(look.key);
    if (record === undefined) return;
    record.holder = index;
    if (seq >= 0) this.recording.belongs(seq, record);
    const reason = WIRE_NAMES[why] ?? '';
    this.endBadly(record, machine, IN_CARD, { reason, code: why, wire: true, facts: {} });
  }

  // Who is who.

  private birth(look: Look, machine: number, length: number): PacketRecord {
    const record = this.recording.newPacket(this.world.nowNs, machine);
    record.kind = look.kind;
    record.flow = look.flow;
    record.words = look.words;
    record.key = look.key;
    record.length = length;
    if (look.again !== '') {
      record.again = this.sent.has(look.again);
      this.sent.set(look.again, record.id);
    }
    if (this.byKey.size > MAX_KEYS) forgetOldest(this.byKey);
    this.byKey.delete(look.key);
    this.byKey.set(look.key, record);
    return record;
  }

  private lookOf(skb: SkBuff, nh: number): Look | null {
    if (nh < skb.head || nh > skb.tail) return null;
    return lookAt(view, skb.protocol, nh, skb.tail);
  }

  /** A structure is of a packet; what it went through before, too. */
  private bind(index: number, packet: number, skb: SkBuff, record: PacketRecord): PacketRecord {
    if (this.byStructure[packet] !== record) {
      this.byStructure[packet] = record;
      record.structures++;
      this.takeWaiting(packet, record);
    }
    let origins = this.byOrigin[index];
    if (origins === undefined) {
      origins = new Map();
      this.byOrigin[index] = origins;
    }
    if (origins.size > MAX_KEYS) forgetOldest(origins);
    origins.set(skb.origin, record);
    record.holder = index;
    return record;
  }

  /** Steps of a structure before it was known, and those of the data that it is a clone of. */
  private takeWaiting(packet: number, record: PacketRecord): void {
    const { packets } = this.recording.recorder;
    const steps: number[] = [];
    const take = (number: number): void => {
      const list = this.waiting.get(number);
      if (list === undefined) return;
      this.waiting.delete(number);
      steps.push(...list);
    };
    take(packet);
    const slot = packets.slot(packet);
    const how = packets.how[slot];
    const parent = packets.parent[slot] ?? 0;
    if (parent !== 0 && (how === DERIVE_CLONE || how === DERIVE_COPY)) {
      take(parent);
      if (this.known(parent) === null) this.carriers.set(parent, record);
    }
    for (const n of steps.sort((a, b) => a - b)) this.recording.belongs(n, record);
  }

  private known(packet: number): PacketRecord | null {
    return this.byStructure[packet] ?? null;
  }

  /** The packet of a structure on its way out; one not seen before is born here. */
  private outgoing(index: number, packet: number, skb: SkBuff): PacketRecord | null {
    const look = this.lookOf(skb, skb.networkHeader);
    const mine = this.known(packet);
    if (look === null) return mine;
    if (mine !== null && mine.key === look.key) return mine;
    const record = this.byOrigin[index]?.get(skb.origin);
    // A segment that is sent again is another packet, and so is what a fragment was cut from.
    if (record !== undefined && record.key === look.key && record.holder === index) {
      return this.bind(index, packet, skb, record);
    }
    const fresh = this.birth(look, index, skb.len);
    const whole = this.wholes.get(packet);
    if (whole !== undefined) {
      cutFrom(fresh, whole);
      this.wholes.delete(packet);
    }
    return this.bind(index, packet, skb, fresh);
  }

  /** The packet of a structure on its way in: the one whose frame has just arrived. */
  private incoming(index: number, packet: number, skb: SkBuff): PacketRecord | null {
    const mine = this.known(packet);
    if (mine !== null) {
      mine.holder = index;
      return mine;
    }
    const look = this.lookOf(skb, skb.data);
    if (look === null) return null;
    const record = this.byKey.get(look.key) ?? this.birth(look, index, skb.len);
    return this.bind(index, packet, skb, record);
  }
}

function cutFrom(part: PacketRecord, whole: PacketRecord): void {
  part.parent = whole.id;
  whole.parts.push(part.id);
}

/** The packet has done its work in a function. */
function deliver(record: PacketRecord, machine: string, fn: string): void {
  record.fate = 'delivered';
  record.where = fn;
  record.endMachine = machine;
}

function forgetOldest<K>(map: Map<K, unknown>): void {
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
