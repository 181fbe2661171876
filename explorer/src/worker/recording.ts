/**
 * The recording of a run: the stack's own recorder writes the steps, and what the page needs beside them
 * is kept here, by the number of the step: whose step it is over all machines, what led there; and the
 * frames on the cables and the drops. Columns of numbers, so that a run of a million steps fits and any
 * moment is found by a binary search. Why there are two kinds of packets: docs/decisions/0017.
 */
import { recordWorld } from '#sim/record_world.ts';
import type { World } from '#sim/world.ts';
import { argumentWords, stepWords } from '#trace/describe.ts';
import { Names } from '#trace/names.ts';
import { functionOf } from '#trace/places.ts';
import { KIND_END, KIND_NAMES, KIND_TRANSMIT, type Snapshot, type Step } from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { SKB_CONSUMED } from '#uapi/net_dropreason.ts';
import {
  type Context,
  type DropMark,
  FRAME_FATES,
  type FrameBatch,
  type FrameFateName,
  PACKET_KINDS,
  type PacketInfo,
  type PacketKind,
  type StepInfo,
} from '../protocol.ts';
import { type Column, float64, int32, uint8, uint16 } from './columns.ts';
import { Counts, type FunctionCounts } from './counts.ts';
import { DropGroups } from './drop_groups.ts';

/** Packets kept at most: what a tab can hold without trouble. */
export const MAX_PACKETS = 400_000;
/** Memory that the recorder may take: four million steps, with the packets' bytes at each. */
const MAX_BYTES = 640 * 1024 * 1024;
const FIRST_BYTES = 4 * 1024 * 1024;
/** First bytes kept of a packet. */
const HEADER_BYTES = 112;

export const CONTEXTS: readonly Context[] = ['task', 'softirq', 'hardirq'];

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
  /** Structures of it that live, on the machine that holds it and those before. */
  structures: number;
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
    this.structures = 0;
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
  /** SKB_DROP_REASON_*; of a frame that did not arrive, WIRE_*. */
  readonly code: number;
  readonly wire: boolean;
  /** What was found out at that moment, for the advice. */
  readonly facts: Readonly<Record<string, string>>;
}

export class Recording {
  readonly recorder: Recorder;
  readonly packets: PacketRecord[] = [];
  readonly drops: DropRecord[] = [];
  /** The same by reason, machine and function. */
  readonly dropGroups: DropGroups = new DropGroups();
  /** Functions that tell of their entry: those of the woven build, and none elsewhere. */
  readonly followed: Set<string> = new Set();

  // By step: the packet that it is of (0: none), that packet's next step, and the functions that led there.
  private readonly packet = int32();
  private readonly nextOfPacket = int32();
  private readonly path = int32();
  private readonly paths = new Names();
  private readonly counts: Counts = new Counts(this);

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

  /** Follows a world from now on: the machines that it has, and its cables. */
  constructor(world: World, bytes: number = MAX_BYTES) {
    this.recorder = recordWorld(world, {
      bytes,
      firstBytes: Math.min(bytes, FIRST_BYTES),
      headerBytes: HEADER_BYTES,
    });
  }

  /** It is full, and the world must stop: nothing that was shown is ever overwritten. */
  get full(): boolean {
    return this.recorder.full || this.packets.length >= MAX_PACKETS;
  }

  get steps(): number {
    return this.packet.length;
  }

  /** Number of a machine, as steps have it; -1: no such machine. */
  machineIndex(name: string): number {
    return this.recorder.tracks.findIndex((track) => track.machine?.name === name);
  }

  newPacket(timeNs: number, machine: number): PacketRecord {
    const name = this.recorder.tracks[machine]?.name ?? '';
    const record = new PacketRecord(this.packets.length + 1, timeNs, name);
    record.holder = machine;
    this.packets.push(record);
    return record;
  }

  packetOf(id: number): PacketRecord | null {
    return this.packets[id - 1] ?? null;
  }

  /** A step has been recorded; `path`: functions that led there, with blanks between. */
  stepped(path: string): void {
    this.packet.push(0);
    this.nextOfPacket.push(-1);
    this.path.push(this.paths.number(path));
  }

  /** Step `n` turns out to be of a packet. Its steps are told in order. */
  belongs(n: number, record: PacketRecord): void {
    if (n <= record.lastStep) return;
    this.counts.changed(n);
    this.packet.set(n, record.id);
    if (record.lastStep >= 0) this.nextOfPacket.set(record.lastStep, n);
    else {
      record.firstStep = n;
      record.bornNs = Math.min(record.bornNs, this.timeOf(n));
    }
    record.lastStep = n;
    record.steps++;
    record.endNs = Math.max(record.endNs, this.timeOf(n));
  }

  timeOf(n: number): number {
    return this.recorder.ring.timeNs(n);
  }

  stepInfo(n: number): StepInfo {
    const { recorder } = this;
    const step = recorder.step(n) as Step;
    const { snapshot } = step;
    const packet = this.packet.get(n);
    const { ring, packets } = recorder;
    const own = packets.has(step.packet) ? (packets.id[packets.slot(step.packet)] as number) : 0;
    const cable = recorder.tracks[ring.where(n) >>> 16]?.machine === null;
    return {
      n,
      timeNs: step.timeNs,
      machine: cable ? step.dev : step.machine,
      cpu: step.cpu,
      context: CONTEXTS[step.context] ?? 'task',
      kind: KIND_NAMES[step.kind] ?? '',
      bad: step.kind === KIND_END && step.args[0] !== SKB_CONSUMED,
      fn: this.fnOf(n),
      path: this.pathOf(n),
      event: step.name,
      note: this.noteOf(step),
      packet,
      skb: snapshot === null ? 0 : own,
      length: snapshot?.len ?? 0,
      dataLength: snapshot?.dataLen ?? 0,
      fragments: snapshot?.nrFrags ?? 0,
      users: snapshot?.users ?? 0,
      dataref: snapshot?.dataref ?? 0,
      pointers: {
        head: 0,
        data: snapshot?.data ?? 0,
        tail: snapshot?.tail ?? 0,
        end: snapshot?.end ?? 0,
        mac: snapshot?.macHeader ?? -1,
        network: snapshot?.networkHeader ?? -1,
        transport: snapshot?.transportHeader ?? -1,
      },
    };
  }

  /** What a step says, with packets called by the numbers that the page knows. */
  private noteOf(step: Step): string {
    const { dev, kind, seq, args } = step;
    const record = this.packetOf(this.packet.get(seq));
    if (kind === KIND_END && args[0] === SKB_CONSUMED && record !== null) {
      if (seq === record.lastStep) return 'consumed: it has done its work';
      return 'consumed: this structure is done with, the packet goes on';
    }
    const words = stepWords(this.recorder, step, (skb) => this.packetName(skb));
    if (kind === KIND_TRANSMIT && record !== null && record.parent !== 0) {
      return `${words}: the card cut it from packet ${record.parent}`;
    }
    return words !== '' && dev !== '' && words === argumentWords(step) ? `${dev} ${words}` : words;
  }

  /** The packet whose structure has a number in the recorder. */
  private packetName(skb: number): string {
    const info = this.recorder.packet(skb);
    const n = info === null ? -1 : info.endSeq >= 0 ? info.endSeq : info.bornSeq;
    const packet = n < 0 ? 0 : this.packet.get(n);
    return packet === 0 ? `structure ${info?.id ?? skb}` : `packet ${packet}`;
  }

  fnOf(n: number): string {
    return functionOf(this.recorder, n);
  }

  /** Number of the packet that a step is of; 0: none. */
  packetAt(n: number): number {
    return this.packet.get(n);
  }

  /** Number of the path that led to a step, and its functions with blanks between. */
  pathAt(n: number): number {
    return this.path.get(n);
  }

  pathText(path: number): string {
    return this.paths.text(path);
  }

  /** Functions that led to a step, outermost first, without its own. */
  pathOf(n: number): string[] {
    const own = this.fnOf(n);
    const text = this.paths.text(this.path.get(n));
    return text === '' ? [] : text.split(' ').filter((name) => name !== own);
  }

  eventOf(n: number): string {
    return this.recorder.names.text(this.recorder.ring.name(n));
  }

  machineOf(n: number): number {
    return this.recorder.ring.where(n) >>> 16;
  }

  /** How often packets passed each function on a machine, and were dropped in it, up to a step. */
  countFunctions(machine: number, last: number): FunctionCounts {
    return this.counts.upTo(machine, last);
  }

  /** How the packet's structure looked in a step. */
  snapshotOf(n: number): Snapshot | null {
    const { ring } = this.recorder;
    return ring.readSnapshot(ring.snapNumber(n));
  }

  /** Steps of a packet, in order. */
  stepsOf(record: PacketRecord): number[] {
    const list: number[] = [];
    for (let n = record.firstStep; n >= 0; n = this.nextOfPacket.get(n)) list.push(n);
    return list;
  }

  /** The last step at or before a time; -1: none. */
  stepAt(timeNs: number): number {
    const { ring } = this.recorder;
    let low = 0;
    let high = this.steps;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ring.timeNs(middle) <= timeNs) low = middle + 1;
      else high = middle;
    }
    return low - 1;
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
    this.dropGroups.add(record);
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
