/**
 * A recording as a trace of Perfetto, for ui.perfetto.dev: a process a machine, a thread a CPU and
 * context, slices for functions and interrupts, an arrow from step to step of a packet's journey, counters
 * for queues. Written in protobuf's wire format by hand; the numbers are those of
 * protos/perfetto/trace/trace_packet.proto and track_event/track_event.proto.
 *
 * Perfetto orders by time alone, and in virtual time much happens at one moment. So each step is put at
 * least one ns behind the one before.
 */
import { argumentWords, placeOf, stepWords } from '#trace/describe.ts';
import { packetWords } from '#trace/headers.ts';
import {
  CONTEXT_NAMES,
  KIND_END,
  KIND_FUNCTION_ENTRY,
  KIND_FUNCTION_EXIT,
  KIND_QUEUE,
  type Step,
} from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;

// Trace, TracePacket
const TRACE_PACKET = 1;
const PACKET_TIMESTAMP = 8;
const PACKET_SEQUENCE = 10;
const PACKET_EVENT = 11;
const PACKET_DESCRIPTOR = 60;
// TrackDescriptor, ProcessDescriptor, ThreadDescriptor
const TRACK_UUID = 1;
const TRACK_NAME = 2;
const TRACK_PROCESS = 3;
const TRACK_THREAD = 4;
const TRACK_PARENT = 5;
const TRACK_COUNTER = 8;
const PROCESS_PID = 1;
const PROCESS_NAME = 6;
const THREAD_PID = 1;
const THREAD_TID = 2;
const THREAD_NAME = 5;
// TrackEvent, DebugAnnotation
const EVENT_ANNOTATION = 4;
const EVENT_TYPE = 9;
const EVENT_TRACK = 11;
const EVENT_CATEGORY = 22;
const EVENT_NAME = 23;
const EVENT_COUNTER = 30;
const EVENT_FLOW = 47;
const ANNOTATION_INT = 4;
const ANNOTATION_STRING = 6;
const ANNOTATION_NAME = 10;

const TYPE_BEGIN = 1;
const TYPE_END = 2;
const TYPE_INSTANT = 3;
const TYPE_COUNTER = 4;

/** A message under construction. */
class Message {
  private bytes: Uint8Array;
  length: number;

  constructor() {
    this.bytes = new Uint8Array(64);
    this.length = 0;
  }

  private room(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  /** A whole number from 0 up to 2^53. */
  private varint(value: number): void {
    this.room(10);
    let left = value;
    while (left >= 0x80) {
      this.bytes[this.length++] = (left % 0x80) | 0x80;
      left = Math.floor(left / 0x80);
    }
    this.bytes[this.length++] = left;
  }

  uint(field: number, value: number): void {
    this.varint(field * 8 + WIRE_VARINT);
    this.varint(value);
  }

  /** An int64: negative ones take ten bytes in two's complement. */
  int(field: number, value: number): void {
    if (value >= 0) {
      this.uint(field, value);
      return;
    }
    this.varint(field * 8 + WIRE_VARINT);
    this.room(10);
    let low = value;
    for (let i = 0; i < 9; i++) {
      this.bytes[this.length++] = (low & 0x7f) | 0x80;
      low >>= 7;
    }
    this.bytes[this.length++] = 1;
  }

  /** A fixed64 of a value below 2^32. */
  fixed64(field: number, value: number): void {
    this.varint(field * 8 + WIRE_FIXED64);
    this.room(8);
    for (let i = 0; i < 8; i++) this.bytes[this.length++] = i < 4 ? (value >>> (8 * i)) & 0xff : 0;
  }

  put(field: number, content: Uint8Array): void {
    this.varint(field * 8 + WIRE_BYTES);
    this.varint(content.length);
    this.room(content.length);
    this.bytes.set(content, this.length);
    this.length += content.length;
  }

  text(field: number, text: string): void {
    this.put(field, latin(text));
  }

  message(field: number, fill: (inner: Message) => void): void {
    const inner = new Message();
    fill(inner);
    this.put(field, inner.done());
  }

  done(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

/** Names are plain; what is not becomes a question mark. */
function latin(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => (c.charCodeAt(0) < 0x80 ? c.charCodeAt(0) : 0x3f));
}

/** Events that begin or end a slice of the context they run in. */
const BEGINS: Readonly<Record<string, string>> = {
  'irq:softirq_entry': 'softirq',
  'irq:irq_handler_entry': 'irq',
};
const ENDS: ReadonlySet<string> = new Set(['irq:softirq_exit', 'irq:irq_handler_exit']);

const SEQUENCE = 1;

/** Writes a trace, piece by piece, to a sink. */
export class PerfettoWriter {
  private readonly recorder: Recorder;
  private readonly sink: (bytes: Uint8Array) => void;
  /** Ids of tracks by name. */
  private readonly tracks: Map<string, number>;
  private readonly machines: Map<string, number>;
  private lastNs: number;
  /** Of each machine, the tracks on which the functions that run began, by depth. */
  private readonly open: Map<string, number[]>;

  constructor(recorder: Recorder, sink: (bytes: Uint8Array) => void) {
    this.recorder = recorder;
    this.sink = sink;
    this.tracks = new Map();
    this.machines = new Map();
    this.lastNs = -1;
    this.open = new Map();
  }

  /** Adds a step; in order of time. */
  add(step: Step): void {
    const timeNs = Math.max(Math.round(step.timeNs), this.lastNs + 1);
    this.lastNs = timeNs;
    const track = this.trackOf(step);
    if (step.kind === KIND_QUEUE) this.counter(step, timeNs);
    this.packet(timeNs, (event) => {
      event.uint(EVENT_TRACK, track);
      if (step.kind === KIND_FUNCTION_EXIT || ENDS.has(step.name)) {
        event.uint(EVENT_TYPE, TYPE_END);
        return;
      }
      this.begin(event, step);
    });
  }

  /** A function ends on the track where it began, though the context may have changed within. */
  private trackOf(step: Step): number {
    const track = this.thread(step);
    if (step.kind !== KIND_FUNCTION_ENTRY && step.kind !== KIND_FUNCTION_EXIT) return track;
    const open = this.open.get(step.machine) ?? [];
    this.open.set(step.machine, open);
    if (step.kind === KIND_FUNCTION_ENTRY) open[step.depth] = track;
    return open[step.depth] ?? track;
  }

  private begin(event: Message, step: Step): void {
    const { recorder } = this;
    const slice = step.kind === KIND_FUNCTION_ENTRY || BEGINS[step.name] !== undefined;
    const words = stepWords(recorder, step);
    event.uint(EVENT_TYPE, slice ? TYPE_BEGIN : TYPE_INSTANT);
    const [system = '', short = step.name] = step.name.split(':');
    const name =
      BEGINS[step.name] !== undefined
        ? `${BEGINS[step.name]} ${words === argumentWords(step) ? step.dev : words}`
        : step.kind === KIND_END
          ? `${placeOf(recorder, step)}: ${words}`
          : short;
    event.text(EVENT_CATEGORY, step.kind === KIND_FUNCTION_ENTRY ? 'function' : system);
    event.text(EVENT_NAME, name);
    if (step.packet !== 0) {
      // One flow a journey: the arrows lead from step to step.
      event.fixed64(EVENT_FLOW, step.journey);
      annotate(event, 'packet', step.packet);
      annotate(event, 'journey', step.journey);
    }
    if (step.dev !== '') annotateText(event, 'dev', step.dev);
    if (words !== '') annotateText(event, 'what', words);
    const headers = step.snapshot === null ? '' : packetWords(step.snapshot);
    if (headers !== '') annotateText(event, 'headers', headers);
    if (step.snapshot !== null) annotate(event, 'len', step.snapshot.len);
  }

  private counter(step: Step, timeNs: number): void {
    const name = `${step.dev === '' ? step.machine : step.dev} ${step.name.split(':')[1]}`;
    const track = this.track(`${step.machine}/${name}`, (descriptor) => {
      descriptor.text(TRACK_NAME, name);
      descriptor.uint(TRACK_PARENT, this.process(step.machine));
      descriptor.put(TRACK_COUNTER, new Uint8Array(0));
    });
    this.packet(timeNs, (event) => {
      event.uint(EVENT_TYPE, TYPE_COUNTER);
      event.uint(EVENT_TRACK, track);
      event.int(EVENT_COUNTER, step.args[0] ?? 0);
    });
  }

  private packet(timeNs: number, fill: (event: Message) => void): void {
    this.emit((packet) => {
      packet.uint(PACKET_TIMESTAMP, timeNs);
      packet.uint(PACKET_SEQUENCE, SEQUENCE);
      packet.message(PACKET_EVENT, fill);
    });
  }

  private emit(fill: (packet: Message) => void): void {
    const trace = new Message();
    trace.message(TRACE_PACKET, fill);
    this.sink(trace.done().slice());
  }

  /** The track of that name; described when it is new. */
  private track(name: string, describe: (descriptor: Message) => void): number {
    const known = this.tracks.get(name);
    if (known !== undefined) return known;
    const uuid = this.tracks.size + 1;
    this.tracks.set(name, uuid);
    // Those that it names come first.
    const descriptor = new Message();
    descriptor.uint(TRACK_UUID, uuid);
    describe(descriptor);
    this.emit((packet) => {
      packet.uint(PACKET_SEQUENCE, SEQUENCE);
      packet.put(PACKET_DESCRIPTOR, descriptor.done());
    });
    return uuid;
  }

  private pid(machine: string): number {
    const known = this.machines.get(machine);
    if (known !== undefined) return known;
    const pid = this.machines.size + 1;
    this.machines.set(machine, pid);
    return pid;
  }

  private process(machine: string): number {
    return this.track(machine, (descriptor) => {
      descriptor.message(TRACK_PROCESS, (process) => {
        process.uint(PROCESS_PID, this.pid(machine));
        process.text(PROCESS_NAME, machine === '' ? 'cables' : machine);
      });
    });
  }

  private thread({ machine, cpu, context }: Step): number {
    this.process(machine);
    const name = machine === '' ? 'frames' : `cpu${cpu} ${CONTEXT_NAMES[context] ?? ''}`;
    return this.track(`${machine}/${name}`, (descriptor) => {
      descriptor.message(TRACK_THREAD, (thread) => {
        const pid = this.pid(machine);
        thread.uint(THREAD_PID, pid);
        thread.uint(THREAD_TID, pid * 1000 + cpu * 10 + context + 1);
        thread.text(THREAD_NAME, name);
      });
    });
  }
}

function annotate(event: Message, name: string, value: number): void {
  event.message(EVENT_ANNOTATION, (annotation) => {
    annotation.text(ANNOTATION_NAME, name);
    annotation.int(ANNOTATION_INT, value);
  });
}

function annotateText(event: Message, name: string, value: string): void {
  event.message(EVENT_ANNOTATION, (annotation) => {
    annotation.text(ANNOTATION_NAME, name);
    annotation.text(ANNOTATION_STRING, value);
  });
}
