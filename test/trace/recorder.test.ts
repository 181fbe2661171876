import { expect, it } from 'vitest';
import { turn } from '#cli/turn.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SOCK_KIND_FULL, type SockCommon } from '#include/net/sock_common.ts';
import { allocSkb, consumeSkb } from '#net/core/skbuff.ts';
import { recordWorld } from '#sim/record_world.ts';
import { World } from '#sim/world.ts';
import { journey, packetsOf, steps } from '#trace/query.ts';
import { KIND_END, KIND_LOST, KIND_MERGE, KIND_RECEIVE } from '#trace/record.ts';
import { MAX_SOCKS, Recorder, type RecorderOptions } from '#trace/recorder.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { runScenario } from '../support/scenario.ts';

/** The rough world of the determinism tests, recorded. */
async function recorded(options: RecorderOptions = {}): Promise<{
  recorder: Recorder;
  fingerprint: string;
}> {
  let recorder: Recorder | null = null;
  const result = await runScenario({
    seed: 9,
    turn,
    size: 50_000,
    prepare: (lab) => {
      recorder = recordWorld(lab.world, options);
    },
  });
  if (recorder === null) throw new Error('nothing was recorded');
  return { recorder, fingerprint: result.fingerprint };
}

it('does not change the run', async () => {
  const plain = await runScenario({ seed: 9, turn, size: 50_000 });
  const { recorder, fingerprint } = await recorded({ verbose: true });
  expect(recorder.nextSeq).toBeGreaterThan(5000);
  expect(fingerprint).toBe(plain.fingerprint);
});

it('sees each packet end with consume or a reason', async () => {
  const { recorder } = await recorded();
  expect(recorder.checkEnds()).toEqual([]);
  for (const info of packetsOf(recorder)) {
    expect(info.endSeq).toBeGreaterThanOrEqual(info.bornSeq);
    expect(recorder.step(info.endSeq)).toMatchObject({ kind: KIND_END, packet: info.packet });
    expect(info.reason).toBeGreaterThan(0);
  }
});

it('follows data from the writer over two cables to the reader', async () => {
  const { recorder } = await recorded();
  const sent = [...steps(recorder, { name: 'tcp:tcp_sendmsg_locked', machine: 'a' })].find(
    (step) => step.packet !== 0,
  );
  const path = journey(recorder, sent?.packet ?? 0);
  const machines = new Set(path.map(({ machine }) => machine));
  expect(machines).toEqual(new Set(['a', '', 'r', 'b']));
  const received = path.filter(({ kind }) => kind === KIND_RECEIVE).map(({ machine }) => machine);
  // The router takes all segments before the last machine has the first.
  expect(received[0]).toBe('r');
  expect(received).toContain('b');
  // Every packet that arrives was sent by one that is known.
  for (const step of steps(recorder, { kinds: [KIND_RECEIVE] })) expect(step.other).not.toBe(0);
});

it('tells of frames that cables lose, and of packets that become one', async () => {
  const { recorder } = await recorded();
  const lost = [...steps(recorder, { kinds: [KIND_LOST] })];
  expect(lost.length).toBeGreaterThan(0);
  for (const step of lost) expect(recorder.packet(step.packet)).not.toBeNull();
  for (const step of steps(recorder, { kinds: [KIND_MERGE] })) {
    expect(step.other).not.toBe(step.packet);
  }
});

it('stays within its memory and forgets the oldest', async () => {
  const bytes = 256 * 1024;
  const { recorder } = await recorded({ bytes });
  expect(recorder.ring.memoryBytes).toBeLessThanOrEqual(bytes);
  expect(recorder.firstSeq).toBeGreaterThan(0);
  expect(recorder.step(recorder.firstSeq - 1)).toBeNull();
  expect(recorder.step(recorder.nextSeq)).toBeNull();
  for (const step of steps(recorder)) {
    if (step.snapshot === null) continue;
    expect(step.snapshot.data).toBeLessThanOrEqual(step.snapshot.tail);
    expect(step.snapshot.tail).toBeLessThanOrEqual(step.snapshot.end);
  }
  expect(recorder.checkEnds()).toEqual([]);
});

it('does not take a new packet for one so old that it is forgotten', () => {
  const world = new World({ seed: 1 });
  const machine = world.boot('m');
  const recorder = new Recorder({ bytes: 64 * 1024 });
  recorder.attach(machine);
  const old = allocSkb(machine, 64) as SkBuff;
  const { capacity } = recorder.packets;
  const young: SkBuff[] = [];
  for (let i = 0; i < capacity; i++) young.push(allocSkb(machine, 64) as SkBuff);
  consumeSkb(old);
  // None of those that live has ended with it.
  expect([...packetsOf(recorder)].filter(({ endSeq }) => endSeq >= 0).map(({ id }) => id)).toEqual([
    old.id,
  ]);
  const [last] = [...steps(recorder, { kinds: [KIND_END] })].slice(-1);
  expect(recorder.packet(last?.packet ?? 0)?.id).toBe(old.id);
  for (const skb of young) consumeSkb(skb);
  expect([...packetsOf(recorder)].filter(({ endSeq }) => endSeq < 0)).toEqual([]);
  expect(recorder.checkEnds()).toEqual([]);
  recorder.detach();
  expect(world.halt()).toEqual({});
});

it('refuses a memory that holds nothing', () => {
  expect(() => new Recorder({ bytes: 100 })).toThrow('64 KiB');
});

it('begins small and grows, and nothing of what it grew from is lost', async () => {
  const fixed = await recorded({ bytes: 64 << 20 });
  const { recorder } = await recorded({ bytes: 64 << 20, firstBytes: 64 << 10 });
  expect(recorder.ring.memoryBytes).toBeLessThan(fixed.recorder.ring.memoryBytes / 2);
  expect(recorder.full).toBe(false);
  expect(recorder.firstSeq).toBe(0);
  expect(recorder.nextSeq).toBe(fixed.recorder.nextSeq);
  for (let seq = 0; seq < recorder.nextSeq; seq += 7) {
    const step = recorder.step(seq);
    // Addresses of heads are the only thing that two runs in one process do not share.
    expect(step?.snapshot?.bytes).toEqual(fixed.recorder.step(seq)?.snapshot?.bytes);
    expect([step?.name, step?.packet]).toEqual([
      fixed.recorder.step(seq)?.name,
      fixed.recorder.step(seq)?.packet,
    ]);
  }
  expect([...packetsOf(recorder)].length).toBe([...packetsOf(fixed.recorder)].length);
});

it('keeps the sizes of fragments, and of what hangs on a frag_list', async () => {
  const { recorder } = await recorded();
  const told = [...steps(recorder)].map(({ snapshot }) => snapshot);
  const inFrags = told.filter((snapshot) => (snapshot?.nrFrags ?? 0) > 0);
  expect(inFrags.length).toBeGreaterThan(10);
  for (const snapshot of inFrags) {
    const { fragSizes, fragListSizes, dataLen, nrFrags } = snapshot as NonNullable<typeof snapshot>;
    expect(fragSizes.length).toBe(nrFrags);
    const sum = [...fragSizes, ...fragListSizes].reduce((a, b) => a + b, 0);
    expect(sum).toBe(dataLen);
  }
});

it('knows the latest sockets, and gives one that it has forgotten a new number', () => {
  const recorder = new Recorder({ bytes: 64 << 10 });
  const track = recorder.track(null, 'a');
  const socks = Array.from({ length: MAX_SOCKS + 10 }, (_, i) => ({
    kind: SOCK_KIND_FULL,
    skcFamily: 2,
    skProtocol: IPPROTO_TCP,
    skcRcvSaddr: 0,
    skcNum: i,
    skcDaddr: 0,
    skcDport: 0,
  })) as unknown as SockCommon[];
  const numbers = socks.map((sk) => recorder.sockOf(track, sk));
  expect(new Set(numbers).size).toBe(socks.length);
  expect(recorder.sock(1)).toBeNull();
  expect(recorder.sock(11)).toMatchObject({ sock: 11, sport: 10 });
  expect(recorder.sockOf(track, socks[10] as SockCommon)).toBe(11);
  const again = recorder.sockOf(track, socks[0] as SockCommon);
  expect(again).toBe(MAX_SOCKS + 11);
  expect(recorder.sock(again)).toMatchObject({ sport: 0 });
  expect(recorder.sock(0)).toBeNull();
});
