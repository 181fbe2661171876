/** A step as one object of a JSON lines file: numbers by name, headers decoded. */
import { placeOf, sockWords, stepWords } from '#trace/describe.ts';
import { headersOf, packetWords, tupleOf } from '#trace/headers.ts';
import { ARGUMENTS, CONTEXT_NAMES, KIND_END, KIND_NAMES, type Step } from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';

export interface JsonStep {
  readonly seq: number;
  readonly timeNs: number;
  readonly machine: string;
  readonly cpu: number;
  readonly context: string;
  readonly kind: string;
  readonly name: string;
  readonly function?: string;
  readonly reason?: string;
  readonly packet?: number;
  readonly journey?: number;
  readonly other?: number;
  readonly socket?: string;
  readonly dev?: string;
  readonly depth?: number;
  readonly args?: Readonly<Record<string, number>>;
  readonly words?: string;
  readonly tuple?: string;
  readonly headers?: string;
  readonly len?: number;
  /** Kept bytes, in hexadecimal, and where they begin, from `head`. */
  readonly bytes?: string;
  readonly bytesAt?: number;
}

/** What is zero or empty is left out. */
export function jsonStep(recorder: Recorder, step: Step): JsonStep {
  const { snapshot } = step;
  const names = ARGUMENTS[step.name] ?? [];
  const words = stepWords(recorder, step);
  return {
    seq: step.seq,
    timeNs: step.timeNs,
    machine: step.machine,
    cpu: step.cpu,
    context: CONTEXT_NAMES[step.context] ?? '',
    kind: KIND_NAMES[step.kind] ?? '',
    name: step.name,
    ...(step.kind === KIND_END
      ? { function: placeOf(recorder, step), reason: dropReasonName(step.args[0] ?? 0) }
      : {}),
    ...(step.packet === 0 ? {} : { packet: step.packet, journey: step.journey }),
    ...(step.other === 0 ? {} : { other: step.other }),
    ...(step.sock === 0 ? {} : { socket: sockWords(recorder, step.sock) }),
    ...(step.dev === '' ? {} : { dev: step.dev }),
    ...(step.depth === 0 ? {} : { depth: step.depth }),
    ...(names.length === 0 || step.kind === KIND_END
      ? {}
      : { args: Object.fromEntries(names.map((name, i) => [name, step.args[i] ?? 0])) }),
    ...(words === '' ? {} : { words }),
    ...(snapshot === null
      ? {}
      : {
          tuple: tupleOf(headersOf(snapshot)),
          headers: packetWords(snapshot),
          len: snapshot.len,
          bytes: hex(snapshot.bytes),
          bytesAt: snapshot.bytesAt,
        }),
  };
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
