/** The ledger of drops: by reason, machine and function, with an example and what to do about it. */
import { inNtop4 } from '#lib/parse_addr.ts';
import { type Advice, adviceFor, adviceForLoss, type Facts } from '#trace/advice.ts';
import { headersOf } from '#trace/headers.ts';
import { WIRE_NAMES } from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';

export interface DropEntry {
  readonly machine: string;
  /** SKB_DROP_REASON_* */
  readonly reason: number;
  readonly name: string;
  /** The function of Linux. */
  readonly location: string;
  readonly count: number;
  /** The latest packet that ended so, and the step in which it did. */
  readonly packet: number;
  readonly seq: number;
  readonly advice: Advice;
}

/** Frames that did not arrive, by cable or card. */
export interface LossEntry {
  /** The cable, or the machine whose card refused them. */
  readonly where: string;
  /** WIRE_* */
  readonly why: number;
  readonly name: string;
  readonly count: number;
  /** The latest packet of the kind, and the step in which it was lost. */
  readonly packet: number;
  readonly seq: number;
  readonly advice: Advice;
}

/** All losses so far, the most frequent first. */
export function lossLedger(recorder: Recorder): LossEntry[] {
  return [...recorder.lossCounts.values()]
    .map((loss) => ({
      ...loss,
      name: WIRE_NAMES[loss.why] ?? '',
      advice: adviceForLoss(loss.why),
    }))
    .sort((a, b) => b.count - a.count || a.seq - b.seq);
}

/** What the example of a drop says of it. */
function factsOf(recorder: Recorder, machine: string, seq: number): Facts {
  const facts: Record<string, string> = { machine };
  const step = recorder.step(seq);
  if (step === null) return facts;
  if (step.dev !== '') facts['device'] = step.dev;
  if (step.snapshot === null) return facts;
  const { saddr, daddr, dport } = headersOf(step.snapshot);
  if (saddr >= 0) facts['source'] = inNtop4(saddr);
  if (daddr >= 0) facts['target'] = inNtop4(daddr);
  if (dport >= 0) facts['port'] = String(dport);
  return facts;
}

/** All drops so far, the most frequent first; those of one machine when it is named. */
export function dropLedger(recorder: Recorder, machine?: string): DropEntry[] {
  const entries: DropEntry[] = [];
  for (const drop of recorder.dropCounts.values()) {
    if (machine !== undefined && drop.machine !== machine) continue;
    entries.push({
      machine: drop.machine,
      reason: drop.reason,
      name: dropReasonName(drop.reason),
      location: drop.location,
      count: drop.count,
      packet: drop.packet,
      seq: drop.seq,
      advice: adviceFor(drop.reason, drop.location, factsOf(recorder, drop.machine, drop.seq)),
    });
  }
  return entries.sort((a, b) => b.count - a.count || a.seq - b.seq);
}
