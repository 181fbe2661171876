/** What the worker keeps and answers has bounds, and says where they are. */
import { expect, it, vi } from 'vitest';
import type { Sock } from '#include/net/sock.ts';
import { worldById } from '../../explorer/src/model/gallery.ts';
import { joinPoints } from '../../explorer/src/model/tcp_points.ts';
import { Engine } from '../../explorer/src/worker/engine.ts';
import { forkRun } from '../../explorer/src/worker/fork.ts';
import { cpuViewOf, dropsOf } from '../../explorer/src/worker/queries.ts';

const S = 1e9;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function ran(id: string, ns: number, yaml = worldById(id)?.yaml ?? ''): Promise<Engine> {
  const host = { turn, terminal: () => {}, console: () => {}, halted: () => {} };
  const engine = new Engine({ yaml, seed: '1', host });
  await engine.begin([]);
  await engine.run(engine.startNs + ns, () => false);
  return engine;
}

it('says how far two runs were compared, and about where they part behind that', async () => {
  const { yaml, seed, startNs, ...engine } = await ran('ping', 0);
  engine.lab.world.halt();
  const basis = { yaml, seed, actions: [], turn, unwanted: () => false };
  const atNs = startNs + 1.5 * S;
  const untilNs = startNs + 4 * S;
  const body = { kind: 'impair', cable: 0, change: { delayNs: 5e6 } } as const;
  const whole = await forkRun(basis, { atNs, body }, untilNs);
  expect(whole.partLater).toBeNull();
  const short = await forkRun({ ...basis, maxEvents: 10 }, { atNs, body }, untilNs);
  expect([short.common, short.first, short.second]).toEqual([10, null, null]);
  expect(short.partLater?.after).toBeLessThanOrEqual(whole.common);
  expect(short.partLater?.by).toBeGreaterThan(whole.common);
  const same = { kind: 'impair', cable: 0, change: { delayNs: 20e6 } } as const;
  const none = await forkRun({ ...basis, maxEvents: 10 }, { atNs, body: same }, untilNs);
  expect([none.first, none.second, none.partLater]).toEqual([null, null, null]);
});

it('narrows down where runs part behind the events that were compared', async () => {
  const engine = await ran('loss', 0);
  const { yaml, seed, startNs } = engine;
  engine.close();
  const basis = { yaml, seed, actions: [], turn, unwanted: () => false };
  const atNs = startNs + 0.3 * S;
  const untilNs = startNs + 1.5 * S;
  const body = { kind: 'impair', cable: 0, change: { delayNs: 5e6 } } as const;
  const whole = await forkRun(basis, { atNs, body }, untilNs);
  const short = await forkRun({ ...basis, maxEvents: 10, stride: 50 }, { atNs, body }, untilNs);
  const { after = -1, by = -1 } = short.partLater ?? {};
  expect(by - after).toBe(50);
  expect(after).toBeLessThanOrEqual(whole.common);
  expect(by).toBeGreaterThan(whole.common);
});

it('sends the points of a connection that the page has not', async () => {
  const engine = await ran('loss', 0.5 * S);
  const { tcp } = engine.observer;
  const first = tcp.view(1, Number.POSITIVE_INFINITY, 0)?.points;
  const had = first?.timeNs.length ?? 0;
  expect(had).toBeGreaterThan(10);
  expect(tcp.view(1, Number.POSITIVE_INFINITY, had)?.points.timeNs.length).toBe(0);
  await engine.run(engine.lab.world.nowNs + 0.5 * S, () => false);
  const more = tcp.view(1, Number.POSITIVE_INFINITY, had)?.points;
  const all = tcp.view(1, Number.POSITIVE_INFINITY, 0)?.points;
  expect(more?.timeNs.length).toBe((all?.timeNs.length ?? 0) - had);
  expect(more?.timeNs.length).toBeGreaterThan(0);
  if (first === undefined || more === undefined) return expect.unreachable();
  expect(joinPoints(first, more)).toEqual(all);
  expect(joinPoints(first, tcp.view(1, 0, had)?.points ?? more).kind).not.toBe(all?.kind);
  engine.close();
});

/** Many connections, one after the other. */
const VISITS = `
topology:
  nodes:
    a:
      exec: [ip link set eth1 up, ip addr add 10.0.0.1/24 dev eth1]
      programs: ['sleep 0.1; ${Array.from({ length: 12 }, () => 'curl -s http://10.0.0.2/').join('; ')}']
    b:
      exec: [ip link set eth1 up, ip addr add 10.0.0.2/24 dev eth1]
      programs: [httpd]
  links: [{ endpoints: ['a:eth1', 'b:eth1'], impairments: { delay: 1ms } }]
`;

it('lists the connections that count, says how many there are, and finds others', async () => {
  const engine = await ran('', 5 * S, VISITS);
  const { tcp } = engine.observer;
  const untilNs = Number.POSITIVE_INFINITY;
  const whole = tcp.list({ untilNs, text: '', limit: 1000, keep: 0 });
  expect(whole.total).toBe(24);
  expect([whole.list.length, whole.all]).toEqual([24, 24]);
  const short = tcp.list({ untilNs, text: '', limit: 5, keep: 1 });
  expect([short.list.length, short.total, short.all]).toEqual([6, 24, 24]);
  // The one that is kept, and of those that sent alike the latest, in their order.
  const ids = short.list.map(({ id }) => id);
  expect(ids).toEqual([...ids].sort((x, y) => x - y));
  expect(ids[0]).toBe(1);
  const rank = [...whole.list].sort((x, y) => y.bytesSent - x.bytesSent || y.firstNs - x.firstNs);
  expect(new Set(ids.slice(1))).toEqual(new Set(rank.slice(0, 5).map(({ id }) => id)));
  const wanted = whole.list.filter(({ machine }) => machine === 'a')[3];
  const text = `A ${wanted?.local.slice(-6)}`;
  const found = tcp.list({ untilNs, text, limit: 5, keep: 0 });
  expect(found.list.map(({ id }) => id)).toEqual([wanted?.id]);
  expect([found.total, found.all]).toEqual([1, 24]);
  expect(tcp.list({ untilNs: 0, text: '', limit: 5, keep: 1 })).toEqual({
    list: [],
    total: 0,
    all: 0,
  });
  engine.close();
});

it('does not hold the sockets of connections', async () => {
  const engine = await ran('', 5 * S, VISITS);
  const { tcp } = engine.observer;
  const seen = new Set<unknown>();
  const sockets: unknown[] = [];
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    if ('skcState' in value) {
      sockets.push((value as Sock).skProtocol);
      return;
    }
    if (value instanceof WeakMap || ArrayBuffer.isView(value)) return;
    for (const part of value instanceof Map ? value.values() : Object.values(value)) walk(part);
  };
  walk(tcp);
  expect(seen.size).toBeGreaterThan(24);
  expect(sockets).toEqual([]);
  expect(tcp.list({ untilNs: 1e15, text: '', limit: 1, keep: 0 }).list[0]?.congestion).toBe(
    'cubic',
  );
  engine.close();
});

it('does not go over all drops for each question about them', async () => {
  const engine = await ran('loss', 3 * S);
  const { drops } = engine.recording;
  expect(drops.length).toBeGreaterThan(10);
  let read = 0;
  const iterator = drops[Symbol.iterator].bind(drops);
  drops[Symbol.iterator] = () => {
    read++;
    return iterator();
  };
  const middleNs = drops[drops.length >> 1]?.timeNs ?? 0;
  for (const untilNs of [0, middleNs, Number.POSITIVE_INFINITY]) {
    const lines = dropsOf(engine, untilNs);
    const there = drops.filter(({ timeNs }) => timeNs <= untilNs);
    expect(lines.reduce((sum, { count }) => sum + count, 0)).toBe(there.length);
    for (const { machine, fn, reason, ...line } of lines) {
      const own = there.filter((d) => d.machine === machine && d.fn === fn && d.reason === reason);
      expect(line.count).toBe(own.length);
      expect([line.firstNs, line.lastNs]).toEqual([own[0]?.timeNs, own.at(-1)?.timeNs]);
      expect(line.examples).toEqual(own.slice(-8).map(({ packet }) => packet));
    }
  }
  expect(read).toBe(0);
  engine.close();
});

it('looks up more often where events take long', async () => {
  const engine = await ran('router', 0.1 * S);
  const { world } = engine.lab;
  let nowMs = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  /** Events between looks at what the page wants, the last of them. */
  const lastSlice = async (): Promise<number> => {
    const untilNs = world.nowNs + 60 * S;
    let [before, slice, looks] = [world.eventCount, 0, 0];
    await engine.run(untilNs, () => {
      slice = world.eventCount - before;
      before = world.eventCount;
      return looks++ === 12;
    });
    return slice;
  };
  const step = world.step.bind(world);
  let costMs = 1;
  vi.spyOn(world, 'step').mockImplementation(() => {
    nowMs += costMs;
    return step();
  });
  expect(await lastSlice()).toBe(16);
  costMs = 0.125;
  expect(await lastSlice()).toBe(96);
  costMs = 0;
  expect(await lastSlice()).toBeGreaterThan(500);
  clock.mockRestore();
  engine.close();
});

it('tells what the machine’s card is set to', async () => {
  const engine = await ran('ping', 0.1 * S);
  const machine = engine.lab.world.machines[0]?.name ?? '';
  const view = () => cpuViewOf(engine, { machine, fromNs: 0, toNs: 1e12, limit: 10 });
  const before = view();
  expect(before?.card).toBe('eth1');
  for (const rxUsecs of [50, 250]) {
    const text = `ethtool -C ${before?.card} rx-usecs ${rxUsecs}`;
    engine.act({ kind: 'command', machine, text });
    await engine.run(engine.lab.world.nowNs + 0.1 * S, () => false);
    expect(view()).toMatchObject({ card: 'eth1', rxUsecs });
  }
  engine.close();
});
