/** Worlds of the explorer as its worker runs them: with functions that tell of themselves. */
import { expect, it } from 'vitest';
import { turn } from '#cli/turn.ts';
import { ftraceHook } from '#trace/ftrace.ts';
import { worldById } from '../../explorer/src/model/gallery.ts';
import { changeWords, sightBefore } from '../../explorer/src/model/pointer_words.ts';
import type { PacketInfo, StepInfo } from '../../explorer/src/protocol.ts';
import { Engine } from '../../explorer/src/worker/engine.ts';
import { journeyOf, packetsOf, stackOf, stepDetailOf } from '../../explorer/src/worker/queries.ts';

async function ran(id: string, ns: number): Promise<Engine> {
  const host = { turn, terminal: () => {}, console: () => {}, halted: () => {} };
  const engine = new Engine({ yaml: worldById(id)?.yaml ?? '', seed: '1', host });
  await engine.begin([]);
  await engine.run(engine.startNs + ns, () => false);
  return engine;
}

it('sees each header pushed and pulled, and the functions that led there', async () => {
  const engine = await ran('loss', 300e6);
  const [data] = packetsOf(engine, { limit: 1, text: 'tcp-data' }) as [PacketInfo];
  const steps = journeyOf(engine, data.id)?.steps ?? [];
  const told = steps.map((_, i) => changeWords(sightBefore(steps, i), steps[i] as StepInfo));
  const moves = told.flatMap((words) => /skb_(?:push|pull): \d+/.exec(words) ?? []);
  // TCP, IP and Ethernet on the way out; the other way round on the way in.
  expect(moves).toEqual([
    'skb_push: 32',
    'skb_push: 20',
    'skb_push: 14',
    'skb_pull: 14',
    'skb_pull: 20',
    'skb_pull: 32',
  ]);
  const paths = steps.flatMap(({ path }) => path);
  for (const fn of ['tcp_write_xmit', 'ip_queue_xmit', 'ip_rcv', 'tcp_v4_rcv']) {
    expect([...paths, ...steps.map((step) => step.fn)]).toContain(fn);
  }
  engine.close();
});

it('knows each fragment of a packet by its size', async () => {
  const engine = await ran('loss', 400e6);
  const { recording } = engine;
  const large = recording.packets.find(({ parts }) => parts.length > 1);
  const details = (journeyOf(engine, large?.id ?? 0)?.steps ?? []).map(({ n }) =>
    stepDetailOf(engine, n),
  );
  const sized = details.filter((detail) => (detail?.fragmentSizes.length ?? 0) > 0);
  expect(sized.length).toBeGreaterThan(2);
  for (const detail of sized) {
    const sum = detail?.fragmentSizes.reduce((a, b) => a + b, 0);
    expect(sum).toBe(detail?.step.dataLength);
  }
  engine.close();
});

it('counts a packet once in each function that it passes', async () => {
  const engine = await ran('router', 300e6);
  const counts = stackOf(engine, { machine: 'router', atNs: engine.lab.world.nowNs, packet: 0 });
  // One request and one reply; ARP asks for the route as well, before it answers.
  const { passed = {} } = counts ?? {};
  expect(ftraceHook()?.on).toBe(true);
  const two = { ip_rcv: 2, ip_forward: 2, ip_finish_output2: 2 };
  expect(passed).toMatchObject({ ...two, ip_route_input_noref: 3 });
  engine.close();
  // Nobody follows functions any more, so nobody holds on to the recording.
  expect(ftraceHook()?.on).toBe(false);
});
