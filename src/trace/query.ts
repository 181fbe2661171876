/**
 * Questions to a recording: the steps of a packet, of a flow, of a function; a packet's whole journey
 * over all machines, with its relatives.
 */
import {
  KIND_DERIVE,
  KIND_MERGE,
  KIND_RECEIVE,
  type PacketInfo,
  type Step,
} from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';

export interface StepQuery {
  /** From this step on, and before that one. */
  readonly from?: number;
  readonly to?: number;
  readonly machine?: string;
  readonly packet?: number;
  readonly journey?: number;
  readonly sock?: number;
  /** KIND_* */
  readonly kinds?: readonly number[];
  /** Name of a function or `system:event`, or its first part up to the colon. */
  readonly name?: string;
  /** Further condition, asked last. */
  readonly where?: (step: Step) => boolean;
  /** Most steps; all by default. */
  readonly limit?: number;
}

/** Steps in order of time. */
export function* steps(recorder: Recorder, query: StepQuery = {}): Generator<Step> {
  const { ring, names } = recorder;
  const end = Math.min(query.to ?? ring.next, ring.next);
  const kinds = query.kinds === undefined ? null : new Set(query.kinds);
  const wanted = query.name === undefined ? null : namesLike(recorder, query.name);
  const machine =
    query.machine === undefined
      ? null
      : new Set(recorder.tracks.filter(({ name }) => name === query.machine).map((t) => t.index));
  let left = query.limit ?? Number.POSITIVE_INFINITY;
  for (let seq = Math.max(query.from ?? 0, ring.first); seq < end && left > 0; seq++) {
    if (query.packet !== undefined && ring.packet(seq) !== query.packet) continue;
    if (query.sock !== undefined && ring.sock(seq) !== query.sock) continue;
    if (kinds !== null && !kinds.has(ring.kind(seq))) continue;
    if (wanted !== null && !wanted.has(ring.name(seq))) continue;
    if (machine !== null && !machine.has(ring.where(seq) >>> 16)) continue;
    const step = recorder.step(seq);
    if (step === null) continue;
    if (query.journey !== undefined && step.journey !== query.journey) continue;
    if (query.where !== undefined && !query.where(step)) continue;
    left--;
    yield step;
  }

  function namesLike({ names: all }: Recorder, name: string): Set<number> {
    const system = `${name}:`;
    const like = all.all().filter((text) => text === name || text.startsWith(system));
    return new Set(like.map((text) => names.find(text)));
  }
}

/** Packets of the recording, oldest first. */
export function* packetsOf(
  recorder: Recorder,
  where: (info: PacketInfo) => boolean = () => true,
): Generator<PacketInfo> {
  const { packets } = recorder;
  for (let packet = packets.first; packet < packets.next; packet++) {
    const info = recorder.packet(packet);
    if (info !== null && where(info)) yield info;
  }
}

/** A packet within a journey: from `fromSeq` up to `toSeq` its steps belong to it. */
export interface JourneyPart {
  readonly packet: number;
  readonly fromSeq: number;
  /** Number of the step that ends the part, included; Infinity: to the packet's end. */
  readonly toSeq: number;
}

/**
 * Who belongs to a packet's journey. Its ancestors up to the moment it was made from them; itself; all
 * that was made from it; and packets into which its bytes went, from then on.
 */
export function journeyParts(recorder: Recorder, packet: number): JourneyPart[] {
  const parts = new Map<number, JourneyPart>();
  const put = (part: JourneyPart): boolean => {
    const there = parts.get(part.packet);
    if (there !== undefined && there.fromSeq <= part.fromSeq && there.toSeq >= part.toSeq) {
      return false;
    }
    parts.set(part.packet, part);
    return true;
  };
  const children = childrenByParent(recorder);
  const down = (from: number, fromSeq: number): void => {
    const pending: [number, number][] = [[from, fromSeq]];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const [at, since] = next;
      const info = recorder.packet(at);
      if (info === null) continue;
      if (!put({ packet: at, fromSeq: since, toSeq: Number.POSITIVE_INFINITY })) continue;
      for (const child of children.get(at) ?? []) {
        const { bornSeq } = child;
        if (bornSeq >= since) pending.push([child.packet, bornSeq]);
      }
      if (info.mergedInto !== 0) pending.push([info.mergedInto, mergeSeq(recorder, info)]);
    }
  };
  down(packet, 0);
  // Upwards: of an ancestor only what was before.
  let child = recorder.packet(packet);
  while (child !== null && child.parent !== 0) {
    put({ packet: child.parent, fromSeq: 0, toSeq: derivedSeq(recorder, child) });
    child = recorder.packet(child.parent);
  }
  return [...parts.values()];
}

/**
 * The journey of a packet: its steps and those of its relatives over all machines, in order. Empty for
 * one that is not known.
 */
export function journey(recorder: Recorder, packet: number): Step[] {
  const parts = new Map(journeyParts(recorder, packet).map((part) => [part.packet, part]));
  const { ring } = recorder;
  const found: Step[] = [];
  let first = ring.next;
  for (const part of parts.values()) {
    const info = recorder.packet(part.packet);
    if (info !== null) first = Math.min(first, Math.max(part.fromSeq, info.bornSeq));
  }
  for (let seq = Math.max(ring.first, first); seq < ring.next; seq++) {
    const part = parts.get(ring.packet(seq));
    if (part === undefined || seq < part.fromSeq || seq > part.toSeq) continue;
    const step = recorder.step(seq);
    if (step !== null) found.push(step);
  }
  return found;
}

function childrenByParent(recorder: Recorder): Map<number, PacketInfo[]> {
  const children = new Map<number, PacketInfo[]>();
  for (const info of packetsOf(recorder, ({ parent }) => parent !== 0)) {
    const list = children.get(info.parent);
    if (list === undefined) children.set(info.parent, [info]);
    else list.push(info);
  }
  return children;
}

/** The step in which a packet's bytes went into another. */
function mergeSeq(recorder: Recorder, info: PacketInfo): number {
  return findStep(recorder, info, KIND_MERGE, info.mergedInto) ?? info.endSeq;
}

/** The step in which a packet was made from its parent. */
function derivedSeq(recorder: Recorder, info: PacketInfo): number {
  const derived = findStep(recorder, info, KIND_DERIVE, info.parent);
  if (derived !== null) return derived;
  // By a wire: what the sender's packet did up to then belongs to it.
  return findStep(recorder, info, KIND_RECEIVE, info.parent) ?? Number.POSITIVE_INFINITY;
}

function findStep(
  recorder: Recorder,
  info: PacketInfo,
  kind: number,
  other: number,
): number | null {
  const { ring } = recorder;
  const end = info.endSeq < 0 ? ring.next : info.endSeq + 1;
  for (let seq = Math.max(ring.first, info.bornSeq); seq < end; seq++) {
    if (ring.packet(seq) === info.packet && ring.kind(seq) === kind && ring.other(seq) === other) {
      return seq;
    }
  }
  return null;
}
