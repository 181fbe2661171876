/** What of the explorer needs no page: links, lessons, the gallery, and the world behind the worker's calls. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { readTopologyYaml, TopologyTextError } from '#sim/topology_yaml.ts';
import { functionKey, functionOf } from '#trace/places.ts';
import { GALLERY, worldById } from '../../explorer/src/model/gallery.ts';
import {
  fitsLink,
  formatRoute,
  parseRoute,
  type Route,
  RouteError,
} from '../../explorer/src/model/route.ts';
import type { PacketInfo, Problem } from '../../explorer/src/protocol.ts';
import { LESSONS } from '../../explorer/src/views/lessons/lessons.ts';
import {
  type Inline,
  parseInline,
  parseMarkdown,
} from '../../explorer/src/views/lessons/markdown.ts';
import { Engine, type EngineHost, WorldProblem } from '../../explorer/src/worker/engine.ts';
import { forkRun } from '../../explorer/src/worker/fork.ts';
import {
  cpuViewOf,
  dropsOf,
  journeyOf,
  packetsOf,
  stepDetailOf,
} from '../../explorer/src/worker/queries.ts';
import { thin } from '../../explorer/src/worker/thin.ts';

const S = 1e9;

function host(problems: Problem[] = []): EngineHost {
  return {
    turn,
    terminal: () => {},
    console: () => {},
    halted: (problem) => problems.push(problem),
  };
}

async function started(id: string, seed = '1'): Promise<Engine> {
  const engine = new Engine({ yaml: worldById(id)?.yaml ?? '', seed, host: host() });
  await engine.begin([]);
  return engine;
}

async function ran(id: string, ns: number): Promise<Engine> {
  const engine = await started(id);
  await engine.run(engine.startNs + ns, () => false);
  return engine;
}

describe('links', () => {
  const route: Route = {
    view: 'drops',
    source: { kind: 'yaml', text: 'name: ü — "x"\n' },
    seed: 'a b&c',
    momentNs: 1234567890,
    packet: 7,
    machine: 'router',
    depth: 3,
    lesson: '',
    actions: [
      { event: 5, atNs: 100, body: { kind: 'command', machine: 'router', text: 'sysctl -w a=0' } },
    ],
  };

  it('bring back what they were made from', () => {
    expect(parseRoute(formatRoute(route))).toEqual(route);
  });

  it('say when what was done is too much for them', () => {
    expect(fitsLink(route)).toBe(true);
    const actions = Array.from({ length: 100 }, () => route.actions).flat();
    expect(fitsLink({ ...route, actions })).toBe(false);
    expect(parseRoute(formatRoute({ ...route, actions })).actions).toEqual([]);
  });

  it.each([
    ['#/nowhere', /no view 'nowhere'/],
    ['#/map?t=1e9', /moment t must be a number/],
    ['#/map?packet=-1', /packet must be a number/],
    [`#/map?seed=${'x'.repeat(65)}`, /seed/],
    ['#/map?did=AAAA', /actions/],
    [`#/map?did=${btoa('[{"event":1,"atNs":1e999,"body":{"kind":"command"}}]')}`, /action/],
    ['#/map?yaml=*', /damaged/],
    [`#/map?did=${btoa('[null]')}`, /action/],
    [`#/map?did=${btoa('[{"event":-1,"atNs":1,"body":{"kind":"command"}}]')}`, /action/],
    ...[
      '{"kind":"constructor"}',
      '{"kind":"command","machine":"a"}',
      '{"kind":"input","terminal":"1","machine":"a","text":"x"}',
      '{"kind":"impair","cable":0,"change":{"delayNs":"5"}}',
      '{"kind":"impair","cable":0,"change":{"__proto__":5}}',
      '{"kind":"impair","cable":0.5,"change":{}}',
      '{"kind":"connect","cable":0,"connected":1}',
    ].map((body): [string, RegExp] => [
      `#/map?did=${btoa(`[{"event":1,"atNs":1,"body":${body}}]`)}`,
      /an action of the link is damaged/,
    ]),
  ])('refuse %s with words', (hash, message) => {
    expect(() => parseRoute(hash)).toThrow(RouteError);
    expect(() => parseRoute(hash)).toThrow(message);
  });
});

describe('lessons', () => {
  const links = LESSONS.flatMap(({ id, text }) =>
    [...text.matchAll(/\]\(([^)]*#\/[^)]*)\)/g)].map((match): [string, string] => [
      id,
      match[1] ?? '',
    ]),
  );

  it('have a button for each claim that can be run', () => {
    expect(links.length).toBeGreaterThan(25);
  });

  it.each(links)('%s: %s leads to a world of the gallery', (_lesson, link) => {
    const route = parseRoute(link.slice(link.indexOf('#/')));
    expect(route.source?.kind).toBe('gallery');
    expect(worldById(route.source?.kind === 'gallery' ? route.source.id : '')).not.toBeNull();
    expect(route.momentNs).toBeLessThan(30 * S);
  });

  it('are read piece by piece', () => {
    expect(parseInline('a **b** `c` *d* [e](f#/g)').map(({ kind }: Inline) => kind)).toEqual([
      'text',
      'strong',
      'text',
      'code',
      'text',
      'em',
      'text',
      'link',
    ]);
    expect(
      parseMarkdown('# A\n\nb\nc\n\n1. x\n   y\n2. z\n\n|a|b|\n|---|---|\n|1|2|\n'),
    ).toMatchObject([
      { kind: 'heading', level: 1 },
      { kind: 'paragraph' },
      { kind: 'list', ordered: true, items: [[{ text: 'x y' }], [{ text: 'z' }]] },
      { kind: 'table', rows: [{ length: 2 }, { length: 2 }] },
    ]);
  });
});

describe('the gallery', () => {
  it('has every world of the folder, at least ten', () => {
    const files = readdirSync(new URL('../../explorer/worlds/', import.meta.url));
    expect(GALLERY.map(({ id }) => `${id}.yaml`).sort()).toEqual(files.sort());
    expect(GALLERY.length).toBeGreaterThanOrEqual(10);
  });

  it.each(GALLERY.map(({ id }): [string] => [id]))(
    '%s runs, and no packet is forgotten',
    async (id) => {
      const engine = await ran(id, 3 * S);
      const { packets } = engine.recording;
      expect(packets.length).toBeGreaterThan(2);
      // What no machine, queue or cable holds any more has an end: only data for a program may wait.
      const old = packets.filter(
        (p) =>
          p.fate === 'alive' &&
          p.holder >= 0 &&
          !p.kind.startsWith('tcp-') &&
          engine.lab.world.nowNs - p.endNs > 2 * S,
      );
      expect(old.map((p) => `${p.id} ${p.words}`)).toEqual([]);
      engine.close();
    },
  );
});

describe('a recorded world', () => {
  it('is the same as one that nobody watches', async () => {
    const engine = await ran('loss', 0.6 * S);
    const yaml = readFileSync(new URL('../../explorer/worlds/loss.yaml', import.meta.url), 'utf8');
    const lab = new Lab(readTopologyYaml(yaml), { seed: '1', turn });
    await lab.setUp(() => ({}), { untilNs: 600 * S });
    await lab.world.runPrograms({ untilNs: engine.lab.world.nowNs });
    expect(lab.world.eventCount).toBe(engine.lab.world.eventCount);
    expect(lab.world.fingerprint.digest()).toBe(engine.lab.world.fingerprint.digest());
    expect(engine.recording.steps).toBeGreaterThan(1000);
    lab.world.halt();
    engine.close();
  });

  it('knows a forwarded packet on every machine', async () => {
    const engine = await ran('router', 1 * S);
    const request = packetsOf(engine, { limit: 1, text: 'echo request 1' })[0] as PacketInfo;
    const journey = journeyOf(engine, request.id);
    expect([...new Set(journey?.steps.map(({ machine }) => machine))]).toEqual([
      'client',
      'router',
      'server',
    ]);
    expect(journey?.hops.map(({ fate }) => fate)).toEqual(['arrives', 'arrives']);
    expect(journey?.packet.fate).toBe('delivered');
    const ttls = journey?.steps.map(
      ({ n }) =>
        stepDetailOf(engine, n)
          ?.headers.find(({ name }) => name === 'IPv4')
          ?.fields.find(({ name }) => name === 'time to live')?.value,
    );
    expect(new Set(ttls?.filter((ttl) => ttl !== undefined))).toEqual(new Set(['64', '63']));
    engine.close();
  });

  it('knows what was cut from what: by IP, and by a card', async () => {
    const fragments = await ran('fragments', 1 * S);
    const whole = fragments.recording.packets.find(({ words }) => words === 'echo request 1');
    const parts = whole?.parts.map((id) => fragments.recording.packetOf(id)?.words) ?? [];
    expect(parts.map((words) => words?.slice(0, 8))).toEqual(['fragment', 'fragment', 'fragment']);
    fragments.close();
    const loss = await ran('loss', 0.3 * S);
    const large = loss.recording.packets.find(({ parts: cut }) => cut.length > 0);
    expect(large?.length).toBeGreaterThan(1514);
    for (const id of large?.parts ?? []) {
      expect(loss.recording.packetOf(id)).toMatchObject({ parent: large?.id, kind: 'tcp-data' });
    }
    loss.close();
  });

  it('names the functions of UDP for a datagram, and those of TCP for a segment', async () => {
    const waysOf = async (id: string, ns: number, kind: string): Promise<Set<string>> => {
      const { recording } = await ran(id, ns);
      const arrived = recording.packets.filter(({ fate }) => fate === 'delivered');
      const some = arrived.filter((p) => p.kind.startsWith(kind)).slice(0, 20);
      return new Set(some.flatMap((p) => recording.stepsOf(p).map((n) => recording.fnOf(n))));
    };
    const udp = await waysOf('overload', 0.25 * S, 'udp');
    expect(udp).toContain('__udp4_lib_lookup');
    expect(udp).toContain('__udp_enqueue_schedule_skb');
    expect(udp).not.toContain('__inet_lookup_skb');
    expect(udp).not.toContain('tcp_queue_rcv');
    const tcp = await waysOf('handshake', 1 * S, 'tcp');
    expect(tcp).toContain('__inet_lookup_skb');
    expect(tcp).toContain('tcp_queue_rcv');
    expect(tcp).not.toContain('__udp4_lib_lookup');
  });

  it('counts steps by a number that stands for one function', async () => {
    const { recorder, steps } = (await ran('loss', 0.3 * S)).recording;
    const functions = new Map<number, Set<string>>();
    for (let n = 0; n < steps; n++) {
      const key = functionKey(recorder, n);
      if (key < 0) continue;
      const told = functions.get(key) ?? new Set();
      functions.set(key, told.add(functionOf(recorder, n)));
    }
    expect([...functions.values()].filter(({ size }) => size > 1)).toEqual([]);
    expect(functions.size).toBeGreaterThan(20);
  });

  it('tells the recorder’s decisions in a journey: which route, which socket, and why a segment waits', async () => {
    const notesOf = (engine: Engine, text: string, n = 0): string => {
      const packet = packetsOf(engine, { limit: n + 1, text })[n] as PacketInfo;
      const steps = journeyOf(engine, packet.id)?.steps ?? [];
      const told = steps.filter(({ kind }) => kind === 'decision' || kind === 'queue');
      return told.map(({ machine, fn, note }) => `${machine} ${fn}: ${note}`).join('\n');
    };
    const router = await ran('router', 1 * S);
    const ping = notesOf(router, 'echo request 1');
    expect(ping).toContain('client __neigh_event_send: waits for ARP: 1 in the queue');
    expect(ping).toContain('router ip_route_input_noref: route: forward dev eth2');
    expect(ping).toContain('server ip_route_input_noref: route: local dev lo');
    router.close();
    const loss = await ran('loss', 0.6 * S);
    const { packets } = loss.recording;
    const notes = packets.map(({ words }) => notesOf(loss, words));
    expect(notes.join('\n')).toMatch(/server tcp_write_xmit: waits: congestion window \(cwnd \d+/);
    expect(notes.join('\n')).toMatch(/client __inet_lookup_skb: socket: early demux, tcp 10\.0/);
    // A journey begins where the packet does, and each step is later than the one before.
    for (const { id } of packets.slice(0, 200)) {
      const steps = journeyOf(loss, id)?.steps ?? [];
      expect(['birth', 'derive', 'transmit']).toContain(steps[0]?.kind);
      expect(steps.every((step, i) => i === 0 || step.n > (steps[i - 1]?.n ?? 0))).toBe(true);
    }
    const view = loss.observer.tcp.view(2, Number.POSITIVE_INFINITY);
    const limits = new Set(view?.samples.map(({ limit }) => limit));
    for (const limit of ['congestion window', 'recovery', 'small queue']) {
      expect(limits).toContain(limit);
    }
    // Points that the page has are not sent again.
    const have = view?.points?.timeNs.length ?? 0;
    expect(have).toBeGreaterThan(500);
    const again = loss.observer.tcp.view(2, 0, have);
    expect([again?.connection.id, again?.points.timeNs.length]).toEqual([2, 0]);
    loss.close();
  });

  it('says by which event a card dropped a damaged frame', async () => {
    const yaml = worldById('ping')?.yaml.replace(
      'impairments: {',
      'impairments: { corrupt: 1, crc: true,',
    );
    const engine = new Engine({ yaml: yaml ?? '', seed: '1', host: host() });
    await engine.begin([]);
    await engine.run(engine.startNs + 1 * S, () => false);
    const { recording } = engine;
    const lost = recording.packets.find(({ reason }) => reason === 'bad check sequence');
    expect(lost === undefined ? null : recording.eventOf(lost.lastStep)).toBe('packet:wire_drop');
    engine.close();
  });

  it('says what to type when a router may not forward', async () => {
    const engine = await ran('router', 1 * S);
    engine.act({ kind: 'command', machine: 'router', text: 'sysctl -w net.ipv4.ip_forward=0' });
    await engine.run(engine.lab.world.nowNs + 2 * S, () => false);
    const [line] = dropsOf(engine, Number.POSITIVE_INFINITY);
    expect(line).toMatchObject({
      machine: 'router',
      fn: 'ip_error',
      reason: 'IP_INADDRERRORS',
      advice: { machine: 'router', command: 'sysctl -w net.ipv4.ip_forward=1' },
    });
    engine.close();
  });

  it('is built again from its seed and what people did', async () => {
    const engine = await ran('router', 1 * S);
    engine.act({ kind: 'impair', cable: 0, change: { delayNs: 70e6 } });
    await engine.run(engine.lab.world.nowNs + 0.5 * S, () => false);
    engine.act({ kind: 'input', terminal: 1, machine: 'client', text: 'ip route\n' });
    await engine.run(engine.lab.world.nowNs + 1 * S, () => false);
    const again = new Engine({ yaml: engine.yaml, seed: '1', host: host() });
    await again.begin(engine.actions);
    await again.run(engine.lab.world.nowNs, () => false);
    expect(again.lab.world.fingerprint.digest()).toBe(engine.lab.world.fingerprint.digest());
    again.close();
    engine.close();
  });

  it('finds where a changed run parts from it', async () => {
    const engine = await started('ping');
    const change = { kind: 'impair', cable: 0, change: { delayNs: 5e6 } } as const;
    const atNs = engine.startNs + 1.5 * S;
    const untilNs = engine.startNs + 4 * S;
    const { yaml, seed } = engine;
    const basis = { yaml, seed, actions: [], turn, unwanted: () => false };
    const fork = await forkRun(basis, { atNs, body: change }, untilNs);
    expect(fork.common).toBeGreaterThan(10);
    expect(fork.second?.timeNs).toBeGreaterThan(atNs);
    expect(fork.before.fingerprint).not.toBe(fork.after.fingerprint);
    const same = { kind: 'impair', cable: 0, change: { delayNs: 20e6 } } as const;
    const none = await forkRun(basis, { atNs, body: same }, untilNs);
    expect([none.first, none.second]).toEqual([null, null]);
    let asked = 0;
    const left = { ...basis, unwanted: () => ++asked > 3 };
    await expect(forkRun(left, { atNs, body: change }, untilNs)).rejects.toThrow(/was left/);
    engine.close();
  });

  it('is stopped before it fills the memory, and stays so', async () => {
    const problems: Problem[] = [];
    const yaml = worldById('router')?.yaml ?? '';
    const engine = new Engine({ yaml, seed: '1', host: host(problems), memory: 1 << 20 });
    await engine.begin([]);
    await engine.run(engine.startNs + 60 * S, () => false);
    const { nowNs } = engine.lab.world;
    await engine.run(engine.startNs + 61 * S, () => false);
    expect(engine.lab.world.nowNs).toBe(nowNs);
    expect(problems.map(({ title }) => title)).toEqual(['The recording is full']);
    engine.close();
  });
});

describe('a recording that is full', () => {
  it.each(['router', 'loss'])(
    'has all of %s that it has counted, from the first step on',
    async (id) => {
      const problems: Problem[] = [];
      const yaml = worldById(id)?.yaml ?? '';
      const engine = new Engine({ yaml, seed: '1', host: host(problems), memory: 4 << 20 });
      await engine.begin([]);
      await engine.run(engine.startNs + 300 * S, () => false);
      expect(problems.map(({ title }) => title)).toEqual(['The recording is full']);
      const { recording } = engine;
      const { recorder } = recording;
      const { ring } = recorder;
      const gone: number[] = [];
      for (let n = 0; n < recording.steps; n++) {
        if (recorder.step(n) === null) gone.push(n);
        else if (ring.snapNumber(n) !== 0 && recording.snapshotOf(n) === null) gone.push(n);
      }
      expect(gone).toEqual([]);
      expect(recording.packets.map((p) => journeyOf(engine, p.id)?.steps.length)).toEqual(
        recording.packets.map(({ steps }) => steps),
      );
      engine.close();
    },
  );
});

describe('a world in which nothing moves any more', () => {
  it('ends the search for the next packet', async () => {
    const engine = await ran('handshake', 3 * S);
    const { packets } = engine.recording;
    const seen = packets.length;
    const { nowNs } = engine.lab.world;
    let rests = 0;
    await engine.stepPacket(() => ++rests > 100);
    expect(packets.length).toBe(seen);
    expect(rests).toBeLessThan(100);
    expect(engine.lab.world.nowNs).toBe(nowNs + 130 * S);
    engine.close();
  });

  it('can be left before its end', async () => {
    const engine = await ran('handshake', 3 * S);
    const { nowNs } = engine.lab.world;
    await engine.stepPacket(() => true);
    expect(engine.lab.world.nowNs).toBe(nowNs);
    engine.close();
  });
});

describe('a link that asks for too much', () => {
  it('does not fill the memory while what people did is done again', async () => {
    const problems: Problem[] = [];
    const yaml = worldById('router')?.yaml ?? '';
    const engine = new Engine({ yaml, seed: '1', host: host(problems), memory: 1 << 20 });
    const body = { kind: 'command', machine: 'client', text: 'true' } as const;
    await engine.begin([{ event: 0, atNs: 3600 * S, body }]);
    expect(problems.map(({ title }) => title)).toEqual(['The recording is full']);
    expect(engine.actions).toEqual([]);
    engine.close();
  });

  it('can be left while what people did is done again', async () => {
    const yaml = worldById('router')?.yaml ?? '';
    const engine = new Engine({ yaml, seed: '1', host: host() });
    const body = { kind: 'command', machine: 'client', text: 'true' } as const;
    let asked = 0;
    const again = engine.begin([{ event: 0, atNs: 3600 * S, body }], () => ++asked > 50);
    await expect(again).rejects.toThrow(/This world was left/);
    expect(engine.lab.world.nowNs).toBeLessThan(600 * S);
    engine.close();
  });
});

it('leaves the first and the last of what is too much to draw, and the present one', () => {
  const list = Array.from({ length: 1002 }, (_, i) => i);
  const drawn = thin(list, 100, 503);
  expect(drawn.length).toBeLessThanOrEqual(102);
  expect([drawn[0], drawn.at(-1), drawn.includes(503), drawn.includes(504)]).toEqual([
    0,
    1001,
    true,
    false,
  ]);
});

describe('the levels of a card’s receive rings', () => {
  it.each([
    ['e1000', 1, 256],
    ['igb', 2, 512],
    ['virtio', 2, 512],
  ])('are seen to rise and fall: %s', async (type, queues, size) => {
    const yaml = `
topology:
  nodes:
    sender:
      exec: [ip addr add 10.0.1.1/24 dev eth1, ip link set eth1 up]
      programs: ['hping3 -2 -p 9 -d 400 --flood -c 200 10.0.1.2']
    receiver:
      cpus: 2
      costs: { hardirq: 4us, softirq: 1us, packet: 50us, syscall: 500ns }
      exec: [ip addr add 10.0.1.2/24 dev eth1, ip link set eth1 up]
      programs: [discardd]
  links:
    - endpoints: ['sender:eth1', 'receiver:eth1']
      type: ${type}
      ${queues === 1 ? '' : `queues: ${queues}`}
      impairments: { delay: 200us, rate: 1gbit }
`;
    const engine = new Engine({ yaml, seed: '1', host: host() });
    await engine.begin([]);
    await engine.run(engine.startNs + 2 * S, () => false);
    const toNs = engine.startNs + 2 * S;
    const view = cpuViewOf(engine, { machine: 'receiver', fromNs: 0, toNs, limit: 100 });
    const rings = (view?.levels ?? []).map(({ ring }) => ring);
    expect(Math.max(...rings)).toBeGreaterThan(10);
    expect(Math.max(...rings)).toBeLessThanOrEqual(size);
    // A level holds until the next: also in a time in which nothing changed.
    const later = { machine: 'receiver', fromNs: toNs - 0.1 * S, toNs, limit: 100 };
    const first = { timeNs: later.fromNs, ring: 0, ringSize: size };
    expect(cpuViewOf(engine, later)?.levels[0]).toMatchObject(first);
    const { machine, index } = engine.machineOf('receiver') ?? {};
    expect(machine && engine.observer.cpus.measure(machine, index ?? 0)).toMatchObject({
      ring: 0,
      ringSize: size,
    });
    engine.close();
  });
});

describe('a world that makes no sense', () => {
  const open = (yaml: string): Engine => new Engine({ yaml, seed: '1', host: host() });

  it('is refused with its line', () => {
    expect(() => readTopologyYaml('topology:\n  nodes:\n    a: {cpus: 0}\n')).toThrow(
      TopologyTextError,
    );
    expect(() => open('topology:\n  nodes:\n    a: {cpus: 0}\n')).toThrow(/Line 3: .*whole number/);
    expect(() => open('a: [')).toThrow(WorldProblem);
  });

  it('is refused when its commands never end', async () => {
    const flood = (memory: number): Engine => {
      const yaml = `
topology:
  nodes:
    a: { exec: [ip link set eth1 up, ip addr add 10.0.0.1/24 dev eth1] }
    b:
      exec:
        - ip link set eth1 up
        - ip addr add 10.0.0.2/24 dev eth1
        - hping3 -2 -p 9 --flood -c 3000 10.0.0.1
  links: [{ endpoints: ['a:eth1', 'b:eth1'] }]
`;
      return new Engine({ yaml, seed: '1', host: host(), memory });
    };
    const full = flood(1 << 20);
    await expect(full.begin([])).rejects.toThrow(/recording is full.*belongs into its programs/);
    full.close();
    let turns = 0;
    const left = flood(64 << 20);
    await expect(left.begin([], () => ++turns > 5)).rejects.toThrow(/This world was left/);
    left.close();
  });

  it('is refused when a page cannot hold it', () => {
    const nodes = Array.from({ length: 49 }, (_, i) => `    m${i}: {}`).join('\n');
    expect(() => open(`topology:\n  nodes:\n${nodes}\n`)).toThrow(/49 machines; a page holds 48/);
    expect(() => open(`#${'x'.repeat(300_000)}`)).toThrow(/too long/);
  });
});
