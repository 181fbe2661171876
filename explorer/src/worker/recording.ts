/**
 * The recording of a run: every step of every packet, the frames on the cables, the drops. Columns of
 * numbers, so that a run of a million steps fits and any moment is found by a binary search.
 */
import { mem } from '#mm/memory.ts';
import {
  type Context,
  type DropMark,
  FRAME_FATES,
  type FrameBatch,
  type FrameFateName,
  PACKET_KINDS,
  type PacketInfo,
  type PacketKind,
  type Pointers,
  type StepInfo,
} from '../protocol.ts';
import { type Column, float64, int32, Names, uint8, uint16, upperBound } from './columns.ts';

/** Steps and packets kept at most: what a tab can hold without trouble. */
export const MAX_STEPS = 4_000_000;
export const MAX_PACKETS = 400_000;
/** First bytes kept of a packet at each step, and of all together. */
const SNAP_BYTES = 112;
const MAX_SNAPS = 96 * 1024 * 1024;

export const CONTEXTS: readonly Context[] = ['task', 'softirq', 'hardirq'];

/** Pointers of a packet as a step saw them, or of none. */
export interface SkbSight {
  readonly id: number;
  readonly head: number;
  readonly data: number;
  readonly tail: number;
  readonly end: number;
  readonly macHeader: number;
  readonly networkHeader: number;
  readonly transportHeader: number;
  readonly len: number;
  readonly dataLen: number;
  readonly users: number;
  readonly protocol: number;
  readonly shinfo: {
    readonly dataref: number;
    readonly nrFrags: number;
    readonly fragSize: Int32Array;
  };
}

export interface StepInput {
  readonly timeNs: number;
  readonly machine: number;
  readonly cpu: number;
  /** Index into CONTEXTS. */
  readonly context: number;
  readonly fn: string;
  readonly event: string;
  readonly note: string;
  /** Functions that led there, with blanks between. */
  readonly path: string;
  readonly packet: number;
  readonly skb: SkbSight | null;
}

/** A packet, over all machines that it passes. */
export class PacketRecord {
  readonly id: number;
  kind: PacketKind;
  flow: string;
  words: string;
  key: string;
  again: boolean;
  length: number;
  bornNs: number;
  endNs: number;
  machine: string;
  fate: PacketInfo['fate'];
  reason: string;
  where: string;
  endMachine: string;
  steps: number;
  firstStep: number;
  lastStep: number;
  /** Machine that holds it now; -1: on a cable. */
  holder: number;
  /** Frames of it, by index. */
  readonly frames: number[];
  /** The packet it was cut from; 0: none. */
  parent: number;
  readonly parts: number[];

  constructor(id: number, bornNs: number, machine: string) {
    this.id = id;
    this.kind = 'other';
    this.flow = '';
    this.words = '';
    this.key = '';
    this.again = false;
    this.length = 0;
    this.bornNs = bornNs;
    this.endNs = bornNs;
    this.machine = machine;
    this.fate = 'alive';
    this.reason = '';
    this.where = '';
    this.endMachine = '';
    this.steps = 0;
    this.firstStep = -1;
    this.lastStep = -1;
    this.holder = 0;
    this.frames = [];
    this.parent = 0;
    this.parts = [];
  }

  info(): PacketInfo {
    return {
      id: this.id,
      kind: this.kind,
      flow: this.flow,
      words: this.words,
      length: this.length,
      bornNs: this.bornNs,
      endNs: this.endNs,
      machine: this.machine,
      again: this.again,
      fate: this.fate,
      reason: this.reason,
      where: this.where,
      endMachine: this.endMachine,
      steps: this.steps,
      parent: this.parent,
      parts: [...this.parts],
    };
  }
}

export interface DropRecord {
  readonly timeNs: number;
  readonly machine: string;
  readonly fn: string;
  readonly reason: string;
  readonly packet: number;
  readonly expected: boolean;
  /** What was found out at that moment, for the advice. */
  readonly facts: Readonly<Record<string, string>>;
}

export class Recording {
  readonly names: Names = new Names();
  readonly machines: string[] = [];
  readonly packets: PacketRecord[] = [];
  readonly drops: DropRecord[] = [];
  /** True when it is full: the world must stop. */
  full = false;

  // Steps.
  readonly time: Column<Float64Array> = float64();
  private readonly machine = uint8();
  private readonly cpu = uint8();
  private readonly context = uint8();
  private readonly fn = uint16();
  private readonly event = uint16();
  private readonly note = int32();
  private readonly path = int32();
  readonly packet: Column<Int32Array> = int32();
  private readonly skb = int32();
  private readonly nextOfPacket = int32();
  private readonly len = int32();
  private readonly dataLen = int32();
  private readonly data = int32();
  private readonly tail = int32();
  private readonly end = int32();
  private readonly mac = int32();
  private readonly network = int32();
  private readonly transport = int32();
  private readonly protocol = uint16();
  private readonly users = uint8();
  private readonly dataref = uint8();
  private readonly fragments = uint8();
  private readonly snapAt = int32();
  private readonly snapFrom = int32();
  private readonly snapLength = uint8();
  private snaps = new Uint8Array(64 * 1024);
  private snapsUsed = 0;

  // Frames.
  private readonly frameCable = uint16();
  private readonly frameDirection = uint8();
  readonly frameDepart: Column<Float64Array> = float64();
  private readonly frameArrive = float64();
  private readonly framePacket = int32();
  private readonly frameKind = uint8();
  private readonly frameFate = uint8();
  private readonly frameLength = uint16();
  /** How much of frames and drops has been told. */
  private toldFrames = 0;
  private toldDrops = 0;

  get steps(): number {
    return this.time.length;
  }

  newPacket(timeNs: number, machine: number): PacketRecord {
    const record = new PacketRecord(this.packets.length + 1, timeNs, this.machines[machine] ?? '');
    record.holder = machine;
    this.packets.push(record);
    if (this.packets.length >= MAX_PACKETS) this.full = true;
    return record;
  }

  packetOf(id: number): PacketRecord | null {
    return this.packets[id - 1] ?? null;
  }

  step(input: StepInput): number {
    const n = this.time.length;
    if (n >= MAX_STEPS) {
      this.full = true;
      return n - 1;
    }
    this.time.push(input.timeNs);
    this.machine.push(input.machine);
    this.cpu.push(input.cpu);
    this.context.push(input.context);
    this.fn.push(this.names.number(input.fn));
    this.event.push(this.names.number(input.event));
    this.note.push(this.names.number(input.note));
    this.path.push(this.names.number(input.path));
    this.packet.push(input.packet);
    this.nextOfPacket.push(-1);
    this.pushSkb(input.skb);
    const record = input.packet === 0 ? null : this.packetOf(input.packet);
    if (record !== null) {
      if (record.lastStep >= 0) this.nextOfPacket.set(record.lastStep, n);
      else record.firstStep = n;
      record.lastStep = n;
      record.steps++;
      record.endNs = Math.max(record.endNs, input.timeNs);
    }
    return n;
  }

  private pushSkb(skb: SkbSight | null): void {
    const offset = (address: number): number =>
      skb === null || address < skb.head || address > skb.end ? -1 : address - skb.head;
    this.skb.push(skb?.id ?? 0);
    this.len.push(skb?.len ?? 0);
    this.dataLen.push(skb?.dataLen ?? 0);
    this.data.push(skb === null ? 0 : skb.data - skb.head);
    this.tail.push(skb === null ? 0 : skb.tail - skb.head);
    this.end.push(skb === null ? 0 : skb.end - skb.head);
    this.mac.push(offset(skb?.macHeader ?? -1));
    this.network.push(offset(skb?.networkHeader ?? -1));
    this.transport.push(offset(skb?.transportHeader ?? -1));
    this.protocol.push(skb?.protocol ?? 0);
    this.users.push(Math.min(skb?.users ?? 0, 255));
    this.dataref.push(Math.min(skb?.shinfo.dataref ?? 0, 255));
    this.fragments.push(skb?.shinfo.nrFrags ?? 0);
    this.pushSnap(skb);
  }

  private pushSnap(skb: SkbSight | null): void {
    if (skb === null || this.snapsUsed + SNAP_BYTES > MAX_SNAPS) {
      this.snapAt.push(-1);
      this.snapFrom.push(0);
      this.snapLength.push(0);
      return;
    }
    let from = skb.data;
    for (const header of [skb.macHeader, skb.networkHeader, skb.transportHeader]) {
      if (header >= skb.head && header < from) from = header;
    }
    const length = Math.max(0, Math.min(SNAP_BYTES, skb.tail - from));
    if (this.snapsUsed + length > this.snaps.length) {
      const larger = new Uint8Array(this.snaps.length * 2);
      larger.set(this.snaps);
      this.snaps = larger;
    }
    this.snaps.set(mem.subarray(from, from + length), this.snapsUsed);
    this.snapAt.push(this.snapsUsed);
    this.snapFrom.push(from - skb.head);
    this.snapLength.push(length);
    this.snapsUsed += length;
  }

  stepInfo(n: number): StepInfo {
    const pointers: Pointers = {
      head: 0,
      data: this.data.get(n),
      tail: this.tail.get(n),
      end: this.end.get(n),
      mac: this.mac.get(n),
      network: this.network.get(n),
      transport: this.transport.get(n),
    };
    return {
      n,
      timeNs: this.time.get(n),
      machine: this.machines[this.machine.get(n)] ?? '',
      cpu: this.cpu.get(n),
      context: CONTEXTS[this.context.get(n)] ?? 'task',
      fn: this.fnOf(n),
      path: this.pathOf(n),
      event: this.eventOf(n),
      note: this.names.text(this.note.get(n)),
      packet: this.packet.get(n),
      skb: this.skb.get(n),
      length: this.len.get(n),
      dataLength: this.dataLen.get(n),
      fragments: this.fragments.get(n),
      users: this.users.get(n),
      dataref: this.dataref.get(n),
      pointers,
    };
  }

  fnOf(n: number): string {
    return this.names.text(this.fn.get(n));
  }

  /** Functions that led to a step, outermost first, without its own. */
  pathOf(n: number): string[] {
    const own = this.fnOf(n);
    const text = this.names.text(this.path.get(n));
    return text === '' ? [] : text.split(' ').filter((name) => name !== own);
  }

  eventOf(n: number): string {
    return this.names.text(this.event.get(n));
  }

  noteOf(n: number): string {
    return this.names.text(this.note.get(n));
  }

  machineOf(n: number): number {
    return this.machine.get(n);
  }

  cpuOf(n: number): number {
    return this.cpu.get(n);
  }

  contextOf(n: number): number {
    return this.context.get(n);
  }

  /** How often packets passed each function on a machine, and were dropped in it, up to a step. */
  countFunctions(
    machine: number,
    last: number,
  ): { readonly passed: Record<string, number>; readonly dropped: Record<string, number> } {
    // By the numbers of the texts first: a million steps have few different ones.
    const table = new Map<number, number>();
    const drop = this.names.number('skb:kfree_skb');
    const dropped: Record<string, number> = {};
    for (let n = 0; n <= last; n++) {
      if (this.machine.get(n) !== machine || this.packet.get(n) === 0) continue;
      const fn = this.fn.get(n);
      const key = this.path.get(n) * 0x10000 + fn;
      table.set(key, (table.get(key) ?? 0) + 1);
      if (this.event.get(n) !== drop) continue;
      const name = this.names.text(fn);
      dropped[name] = (dropped[name] ?? 0) + 1;
    }
    const passed: Record<string, number> = {};
    for (const [key, count] of table) {
      const path = this.names.text(Math.floor(key / 0x10000));
      // What a step names itself may end its path as well: it is one passage.
      for (const name of new Set([...path.split(' '), this.names.text(key % 0x10000)])) {
        if (name !== '') passed[name] = (passed[name] ?? 0) + count;
      }
    }
    return { passed, dropped };
  }

  protocolOf(n: number): number {
    return this.protocol.get(n);
  }

  /** The bytes kept with a step, and the offset from `head` of the first. */
  snapOf(n: number): { readonly from: number; readonly bytes: Uint8Array } {
    const at = this.snapAt.get(n);
    if (at < 0 || n >= this.steps) return { from: 0, bytes: new Uint8Array(0) };
    const bytes = this.snaps.slice(at, at + this.snapLength.get(n));
    return { from: this.snapFrom.get(n), bytes };
  }

  /** Steps of a packet, in order. */
  stepsOf(record: PacketRecord): number[] {
    const list: number[] = [];
    for (let n = record.firstStep; n >= 0; n = this.nextOfPacket.get(n)) list.push(n);
    return list;
  }

  /** The last step at or before a time; -1: none. */
  stepAt(timeNs: number): number {
    return upperBound(this.time, timeNs) - 1;
  }

  frame(
    cable: number,
    direction: number,
    departNs: number,
    arriveNs: number,
    packet: PacketRecord | null,
    fate: FrameFateName,
    length: number,
  ): void {
    if (packet !== null) packet.frames.push(this.frameCable.length);
    this.frameCable.push(cable);
    this.frameDirection.push(direction);
    this.frameDepart.push(departNs);
    this.frameArrive.push(arriveNs);
    this.framePacket.push(packet?.id ?? 0);
    this.frameKind.push(PACKET_KINDS.indexOf(packet?.kind ?? 'other'));
    this.frameFate.push(FRAME_FATES.indexOf(fate));
    this.frameLength.push(Math.min(length, 65535));
  }

  frameInfo(index: number): {
    cable: number;
    departNs: number;
    arriveNs: number;
    fate: FrameFateName;
  } {
    return {
      cable: this.frameCable.get(index),
      departNs: this.frameDepart.get(index),
      arriveNs: this.frameArrive.get(index),
      fate: FRAME_FATES[this.frameFate.get(index)] ?? 'arrives',
    };
  }

  /** Frames that have not been told yet. */
  takeFrames(): FrameBatch | null {
    const from = this.toldFrames;
    const to = this.frameCable.length;
    if (from === to) return null;
    this.toldFrames = to;
    return {
      cable: this.frameCable.copy(from),
      direction: this.frameDirection.copy(from),
      departNs: this.frameDepart.copy(from),
      arriveNs: this.frameArrive.copy(from),
      packet: this.framePacket.copy(from),
      kind: this.frameKind.copy(from),
      fate: this.frameFate.copy(from),
      length: this.frameLength.copy(from),
    };
  }

  drop(record: DropRecord): void {
    this.drops.push(record);
  }

  takeDrops(): DropMark[] {
    const marks = this.drops.slice(this.toldDrops).map(
      ({ timeNs, machine, packet, reason, expected }): DropMark => ({
        timeNs,
        machine,
        packet,
        reason,
        expected,
      }),
    );
    this.toldDrops = this.drops.length;
    return marks;
  }
}
