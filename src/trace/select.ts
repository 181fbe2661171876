/** Which packets and steps of a recording are wanted. */
import type { PacketFilter } from '#trace/filter.ts';
import { headersOf } from '#trace/headers.ts';
import { packetsOf, steps } from '#trace/query.ts';
import type { Step } from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';

/** Packets that pass a filter at some moment of their lives, and their relatives. */
export function packetsMatching(recorder: Recorder, filter: PacketFilter): Set<number> {
  const hits = new Set<number>();
  const seen = new Set<number>();
  const { ring } = recorder;
  for (let seq = ring.first; seq < ring.next; seq++) {
    const packet = ring.packet(seq);
    const snap = ring.snapNumber(seq);
    if (packet === 0 || snap === 0 || hits.has(packet) || seen.has(snap)) continue;
    seen.add(snap);
    const snapshot = ring.readSnapshot(snap);
    if (snapshot !== null && filter(headersOf(snapshot), snapshot.len)) hits.add(packet);
  }
  return withRelatives(recorder, hits);
}

/** Also the ancestors of the packets, what was made of them, and what took in their bytes. */
export function withRelatives(recorder: Recorder, packets: ReadonlySet<number>): Set<number> {
  const children = new Map<number, number[]>();
  for (const { packet, parent } of packetsOf(recorder)) {
    if (parent === 0) continue;
    const list = children.get(parent);
    if (list === undefined) children.set(parent, [packet]);
    else list.push(packet);
  }
  const all = new Set<number>();
  const pending = [...packets];
  for (let packet = pending.pop(); packet !== undefined; packet = pending.pop()) {
    if (all.has(packet)) continue;
    all.add(packet);
    pending.push(...(children.get(packet) ?? []));
    const into = recorder.packet(packet)?.mergedInto ?? 0;
    if (into !== 0) pending.push(into);
  }
  for (const packet of packets) {
    let info = recorder.packet(packet);
    while (info !== null && info.parent !== 0 && !all.has(info.parent)) {
      all.add(info.parent);
      info = recorder.packet(info.parent);
    }
  }
  return all;
}

export interface Selection {
  /** Null: all. */
  readonly packets: ReadonlySet<number> | null;
  /** Empty: all. */
  readonly machines: readonly string[];
  /** Steps that concern no packet, too: interrupts, timers, sockets. */
  readonly rest: boolean;
  readonly limit: number;
}

/** The wanted steps, in order. */
export function* selectSteps(recorder: Recorder, selection: Selection): Generator<Step> {
  const { packets, machines, rest } = selection;
  const wanted = new Set(machines);
  let left = selection.limit;
  for (const step of steps(recorder)) {
    if (left <= 0) return;
    if (wanted.size > 0 && !wanted.has(step.machine)) continue;
    if (
      step.packet === 0 ? !rest || packets !== null : packets !== null && !packets.has(step.packet)
    ) {
      continue;
    }
    left--;
    yield step;
  }
}
