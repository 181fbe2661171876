/** Recordings as text: in the manner of pwru, and of `trace-cmd report` with its function graph. */
import { argumentWords, placeOf, stepWords } from '#trace/describe.ts';
import { headersOf, packetWords, tupleOf } from '#trace/headers.ts';
import {
  CONTEXT_HARDIRQ,
  CONTEXT_NAMES,
  CONTEXT_SOFTIRQ,
  KIND_END,
  KIND_FUNCTION_ENTRY,
  KIND_FUNCTION_EXIT,
  KIND_LOST,
  type Step,
} from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { dropReasonName, SKB_CONSUMED } from '#uapi/net_dropreason.ts';

/** Seconds with nanoseconds, as a number of fixed width. */
function seconds(timeNs: number): string {
  const whole = Math.floor(timeNs / 1e9);
  const rest = Math.round(timeNs - whole * 1e9);
  return `${whole}.${String(rest).padStart(9, '0')}`;
}

/** The heads of the columns. */
export function pwruHead(): string {
  return [
    'PACKET'.padStart(7),
    'JOURNEY'.padStart(7),
    'MACHINE'.padEnd(10),
    'CPU',
    'CONTEXT'.padEnd(7),
    'TIME'.padStart(14),
    'IFACE'.padEnd(8),
    'LEN'.padStart(5),
    'TUPLE'.padEnd(44),
    'FUNC',
  ].join(' ');
}

/** One line as pwru prints it: who, where, which connection, which function. */
export function pwruLine(recorder: Recorder, step: Step): string {
  const { snapshot } = step;
  const tuple = snapshot === null ? '' : tupleOf(headersOf(snapshot));
  const words = stepWords(recorder, step);
  const mark = step.kind === KIND_FUNCTION_EXIT ? '<- ' : '';
  const place = `${mark}${placeOf(recorder, step)}`;
  return [
    String(step.packet === 0 ? '-' : step.packet).padStart(7),
    String(step.journey === 0 ? '-' : step.journey).padStart(7),
    (step.machine === '' ? '(cable)' : step.machine).padEnd(10),
    String(step.cpu).padStart(3),
    (CONTEXT_NAMES[step.context] ?? '').padEnd(7),
    seconds(step.timeNs).padStart(14),
    step.dev.slice(0, 8).padEnd(8),
    String(snapshot === null ? '' : snapshot.len).padStart(5),
    tuple.padEnd(44),
    words === '' ? place : `${place} (${words})`,
  ]
    .join(' ')
    .trimEnd();
}

/** The flags that trace-cmd prints for a context: interrupts off, soft or hard interrupt. */
function contextFlags(context: number): string {
  if (context === CONTEXT_HARDIRQ) return 'd.h.';
  return context === CONTEXT_SOFTIRQ ? '..s.' : '....';
}

/** One line as `trace-cmd report` prints it; functions as its function graph. */
export function reportLine(recorder: Recorder, step: Step): string {
  const task = `${step.machine === '' ? 'cable' : step.machine}-${step.context === 0 ? 'task' : 'irq'}`;
  const head =
    `${task.padStart(20)} [${String(step.cpu).padStart(3, '0')}] ` +
    `${contextFlags(step.context)} ${seconds(step.timeNs).padStart(15)}: `;
  return `${head}${reportEvent(recorder, step)}`.trimEnd();
}

function reportEvent(recorder: Recorder, step: Step): string {
  const indent = '  '.repeat(step.depth);
  if (step.kind === KIND_FUNCTION_ENTRY) return `funcgraph_entry:     ${indent}${step.name}() {`;
  if (step.kind === KIND_FUNCTION_EXIT) {
    const ret = step.args[0] ?? 0;
    return `funcgraph_exit:      ${indent}} /* ${step.name}${ret === 0 ? '' : ` = ${ret}`} */`;
  }
  const [, name = step.name] = step.name.split(':');
  const fields: string[] = [];
  if (step.dev !== '') fields.push(`dev=${step.dev}`);
  if (step.packet !== 0) fields.push(`packet=${step.packet}`);
  fields.push(endFields(recorder, step));
  const words = step.snapshot === null ? '' : packetWords(step.snapshot);
  if (words !== '') fields.push(`[${words}]`);
  return `${`${name}:`.padEnd(21)}${indent}${fields.filter((field) => field !== '').join(' ')}`;
}

function endFields(recorder: Recorder, step: Step): string {
  if (step.kind !== KIND_END) {
    const plain = argumentWords(step);
    const words = stepWords(recorder, step);
    if (words === plain || words === '') return plain;
    return plain === '' ? `(${words})` : `${plain} (${words})`;
  }
  const [reason = 0] = step.args;
  const why = reason === SKB_CONSUMED ? '' : ` reason: ${dropReasonName(reason)}`;
  return `location=${placeOf(recorder, step)}${why}`;
}

/** Is the step a loss? Those are painted. */
export function isLoss(step: Step): boolean {
  return step.kind === KIND_LOST || (step.kind === KIND_END && step.args[0] !== SKB_CONSUMED);
}

/** A snapshot as `hexdump -C` shows it, with the pointers above. */
export function snapshotLines(step: Step): string[] {
  const { snapshot: s } = step;
  if (s === null) return [];
  const lines = [
    `head +0 data +${s.data} tail +${s.tail} end +${s.end}; mac ${s.macHeader} network ${s.networkHeader} ` +
      `transport ${s.transportHeader}; len ${s.len} data_len ${s.dataLen} users ${s.users} dataref ${s.dataref}`,
  ];
  for (let at = 0; at < s.bytes.length; at += 16) {
    const row = [...s.bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.'));
    lines.push(
      `${(s.bytesAt + at).toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  |${text.join('')}|`,
    );
  }
  return lines;
}
