/** What the outputs say can be read back: text, JSON, Perfetto's protobuf, pcapng. */
import { beforeAll, describe, expect, it } from 'vitest';
import { turn } from '#cli/turn.ts';
import { recordWorld } from '#sim/record_world.ts';
import { TracePcapng } from '#sim/trace_pcapng.ts';
import { dropLedger, lossLedger } from '#trace/drops.ts';
import { compileFilter } from '#trace/filter.ts';
import { jsonStep } from '#trace/format_json.ts';
import { pwruHead, pwruLine, reportLine, snapshotLines } from '#trace/format_text.ts';
import { PerfettoWriter } from '#trace/perfetto.ts';
import { steps } from '#trace/query.ts';
import { KIND_END, KIND_LOST, KIND_QUEUE, type Step } from '#trace/record.ts';
import type { Recorder } from '#trace/recorder.ts';
import { packetsMatching, selectSteps } from '#trace/select.ts';
import { readPcapng } from '../support/pcapng.ts';
import { runScenario } from '../support/scenario.ts';

let recorder: Recorder;
beforeAll(async () => {
  await runScenario({
    seed: 9,
    turn,
    size: 50_000,
    prepare: (lab) => {
      recorder = recordWorld(lab.world, { bytes: 16 << 20 });
    },
  });
}, 120_000);

/** Messages of protobuf as [field, value] pairs; nested ones are bytes. */
function decode(bytes: Uint8Array): [field: number, value: number | Uint8Array][] {
  const fields: [number, number | Uint8Array][] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(64, value));
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) fields.push([key >> 3, varint()]);
    else if (wire === 1) {
      fields.push([key >> 3, new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true)]);
      at += 8;
    } else {
      expect(wire).toBe(2);
      const length = varint();
      fields.push([key >> 3, bytes.subarray(at, at + length)]);
      at += length;
    }
  }
  expect(at).toBe(bytes.length);
  return fields;
}

const all = (fields: [number, number | Uint8Array][], field: number): (number | Uint8Array)[] =>
  fields.filter(([f]) => f === field).map(([, value]) => value);
const textOf = (value: number | Uint8Array | undefined): string =>
  new TextDecoder().decode(value as Uint8Array);

describe('text', () => {
  it('has a line a step in the columns of its head', () => {
    const [step] = steps(recorder, { machine: 'a', name: 'net:net_dev_start_xmit' });
    const line = pwruLine(recorder, step as Step);
    expect(line.slice(0, 7).trim()).toBe(String(step?.packet));
    expect(line.slice(pwruHead().indexOf('FUNC'))).toContain('net:net_dev_start_xmit (len=');
    expect(line).toContain(' eth0 ');
  });

  it('names the connection, the drop and its place', () => {
    const dropped = [...steps(recorder, { kinds: [KIND_END] })].filter(
      (step) => (step.args[0] ?? 0) > 2 && step.name === 'skb:kfree_skb',
    );
    const lines = dropped.map((step) => pwruLine(recorder, step)).join('\n');
    expect(lines).toMatch(
      /10\.0\.\d\.2:\d+>10\.0\.\d\.2:\d+\(tcp\) +tcp_\w+ \(dropped: TCP_\w+\)$/m,
    );
    const reports = dropped.map((step) => reportLine(recorder, step)).join('\n');
    expect(reports).toMatch(
      /^ +[ab]-irq \[000\] \.\.s\. +\d+\.\d{9}: kfree_skb: +.*location=tcp_\w+ reason: TCP_\w+ \[TCP /m,
    );
  });

  it('tells decisions in words', () => {
    const words = [...steps(recorder)].map((step) => pwruLine(recorder, step)).join('\n');
    expect(words).toMatch(/socket: listener, tcp 0\.0\.0\.0:7777/);
    expect(words).toMatch(/route: forward dev eth1/);
    expect(words).toMatch(/waits: \S.* \(cwnd \d+, in flight \d+, receive window \d+\)/);
    expect(words).toMatch(/lost on the cable/);
  });

  it('dumps what was kept of a packet', () => {
    const [step] = steps(recorder, { machine: 'a', name: 'net:net_dev_start_xmit' });
    const lines = snapshotLines(step as Step);
    expect(lines[0]).toMatch(/^head \+0 data \+\d+ tail \+\d+ end \+\d+; mac \d+ network \d+/);
    expect(lines[1]).toMatch(/^[0-9a-f]{8}(?: {1,2}[0-9a-f]{2}){16} {2}\|.{16}\|$/);
  });
});

describe('JSON lines', () => {
  it('are objects that say the same', () => {
    for (const step of steps(recorder, { limit: 500 })) {
      const json = JSON.parse(JSON.stringify(jsonStep(recorder, step))) as Record<string, unknown>;
      expect(json).toMatchObject({ seq: step.seq, timeNs: step.timeNs, name: step.name });
      if (step.kind === KIND_END) expect(json['reason']).toBeTypeOf('string');
    }
  });
});

describe("Perfetto's trace", () => {
  it('decodes: described tracks, rising times, slices that close, flows by journey', () => {
    const parts: Uint8Array[] = [];
    const writer = new PerfettoWriter(recorder, (bytes) => parts.push(bytes));
    const wanted = [...steps(recorder, { limit: 5000 })];
    for (const step of wanted) writer.add(step);
    const packets = decode(Buffer.concat(parts)).map(([field, value]) => {
      expect(field).toBe(1);
      return decode(value as Uint8Array);
    });
    const described = new Set<number>();
    const names: string[] = [];
    const open = new Map<number, number>();
    let events = 0;
    let flows = 0;
    let last = -1;
    for (const packet of packets) {
      const [descriptor] = all(packet, 60);
      if (descriptor !== undefined) {
        const fields = decode(descriptor as Uint8Array);
        described.add(all(fields, 1)[0] as number);
        const [process] = all(fields, 3);
        if (process !== undefined) names.push(textOf(all(decode(process as Uint8Array), 6)[0]));
        continue;
      }
      const [timeNs] = all(packet, 8) as number[];
      expect(timeNs).toBeGreaterThanOrEqual(last);
      last = timeNs as number;
      const event = decode(all(packet, 11)[0] as Uint8Array);
      const [track] = all(event, 11) as number[];
      expect(described).toContain(track);
      const [type] = all(event, 9) as number[];
      if (type !== 4) events++;
      const depth = (open.get(track as number) ?? 0) + (type === 1 ? 1 : type === 2 ? -1 : 0);
      expect(depth).toBeGreaterThanOrEqual(0);
      open.set(track as number, depth);
      flows += all(event, 47).length;
    }
    expect(new Set(names)).toEqual(new Set(['a', 'r', 'b', 'cables']));
    expect(events).toBe(wanted.length);
    expect(flows).toBe(wanted.filter(({ packet }) => packet !== 0).length);
    expect(wanted.some(({ kind }) => kind === KIND_QUEUE)).toBe(true);
  });

  it('writes numbers beyond 32 bits and below zero', () => {
    const parts: Uint8Array[] = [];
    const writer = new PerfettoWriter(recorder, (bytes) => parts.push(bytes));
    const [step] = steps(recorder, { kinds: [KIND_QUEUE] });
    writer.add({ ...(step as Step), timeNs: 2 ** 52 + 3, args: [-2, 0, 0, 0] });
    const packets = decode(Buffer.concat(parts)).map(([, value]) => decode(value as Uint8Array));
    expect(packets.flatMap((packet) => all(packet, 8))).toContain(2 ** 52 + 3);
    const counters = packets
      .flatMap((packet) => all(packet, 11))
      .map((e) => decode(e as Uint8Array));
    expect(counters.flatMap((event) => all(event, 30))).toEqual([-2]);
  });
});

describe('pcapng', () => {
  it('has the packets of devices, and drops and losses with their reasons', () => {
    const parts: Uint8Array[] = [];
    const capture = new TracePcapng(recorder, (bytes) => parts.push(bytes.slice()), 1_700_000_000);
    for (const step of steps(recorder)) capture.add(step);
    const file = readPcapng(Buffer.concat(parts));
    expect(file.packets).toHaveLength(capture.packets);
    expect(capture.packets).toBeGreaterThan(200);
    const comments = file.packets.map(({ comment }) => comment ?? '');
    expect(comments.join('\n')).toMatch(/^dropped: TCP_\w+ in tcp_\w+$/m);
    expect(comments).toContain('lost: lost on the cable');
  });
});

describe('a selection', () => {
  it('keeps the packets that a filter lets pass, with their relatives', () => {
    const syns = packetsMatching(recorder, compileFilter('tcp[tcpflags] == tcp-syn'));
    expect(syns.size).toBeGreaterThan(2);
    const shown = [
      ...selectSteps(recorder, { packets: syns, machines: [], rest: false, limit: 1e9 }),
    ];
    expect(shown.every(({ packet }) => syns.has(packet))).toBe(true);
    expect(new Set(shown.map(({ machine }) => machine))).toEqual(new Set(['a', '', 'r', 'b']));
    const few = { packets: null, machines: ['r'], rest: true, limit: 5 };
    expect([...selectSteps(recorder, few)].map(({ machine }) => machine)).toEqual(
      Array(5).fill('r'),
    );
  });

  it('counts drops and losses as they happened', () => {
    const lost = [...steps(recorder, { kinds: [KIND_LOST] })].filter(({ args }) => args[0] !== 5);
    const counted = lossLedger(recorder).reduce((sum, { count }) => sum + count, 0);
    expect(counted).toBe(lost.length);
    for (const { packet, advice } of dropLedger(recorder)) {
      expect(recorder.packet(packet)?.reason).toBeGreaterThan(1);
      expect(advice.meaning).not.toBe('');
    }
  });
});
