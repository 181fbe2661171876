/** The worker's side of the page, without a page: how it answers, what it tells, and what it leaves. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type {
  CallMessage,
  CallName,
  Calls,
  Progress,
  WorkerMessage,
} from '../../explorer/src/protocol.ts';
import { Printed } from '../../explorer/src/worker/printed.ts';

const told: WorkerMessage[] = [];
let next = 1;

/** What a worker has in its global scope. */
const scope = globalThis as unknown as {
  onmessage: ((event: { readonly data: CallMessage }) => void) | null;
};

beforeAll(async () => {
  vi.stubGlobal('postMessage', (message: WorkerMessage) => told.push(message));
  await import('../../explorer/src/worker/main.ts');
}, 60_000);

afterAll(() => {
  scope.onmessage = null;
  vi.unstubAllGlobals();
});

function send<K extends CallName>(call: K, params: Calls[K]['params']): number {
  const id = next++;
  scope.onmessage?.({ data: { id, call, params } });
  return id;
}

async function answerTo(id: number): Promise<WorkerMessage> {
  const find = (): WorkerMessage | undefined =>
    told.find((message) => message.type !== 'news' && message.id === id);
  await vi.waitUntil(() => find() !== undefined, { timeout: 20_000 });
  return find() as WorkerMessage;
}

/** Two machines that ping each other for ever. */
function pings(program = 'ping -i 0.01 10.0.0.2'): string {
  return `
topology:
  nodes:
    a:
      exec: [ip link set eth1 up, ip addr add 10.0.0.1/24 dev eth1]
      programs: ['${program}']
    b: { exec: [ip link set eth1 up, ip addr add 10.0.0.2/24 dev eth1] }
  links: [{ endpoints: ['a:eth1', 'b:eth1'], impairments: { delay: 1ms } }]
`;
}

it('leaves what it does when another world is asked for', async () => {
  const text = pings();
  const body = { kind: 'command', machine: 'a', text: 'true' } as const;
  const actions = [{ event: 0, atNs: 1e15, body }];
  const first = send('load', { world: 1, source: { kind: 'yaml', text }, seed: '1', actions });
  // Once it has begun.
  await vi.waitUntil(() => told.some((message) => message.type === 'news'), { timeout: 20_000 });
  const second = send('load', { world: 2, source: { kind: 'yaml', text }, seed: '1', actions: [] });
  expect(await answerTo(first)).toMatchObject({ problem: { title: 'This world was left' } });
  expect(await answerTo(second)).toMatchObject({ value: { startNs: expect.any(Number) } });
  const long = [send('run', { untilNs: 1e15 }), send('run', { untilNs: 2e15 })];
  const third = send('load', { world: 3, source: { kind: 'yaml', text }, seed: '1', actions: [] });
  for (const id of long) expect(await answerTo(id)).toMatchObject({ type: 'result' });
  expect(await answerTo(third)).toMatchObject({ type: 'result' });
});

it('tells what is printed in few messages', async () => {
  const line = 'a line that is printed again and again';
  const text = pings(Array.from({ length: 600 }, () => `echo ${line}`).join('; '));
  const from = told.length;
  send('load', { world: 7, source: { kind: 'yaml', text }, seed: '1', actions: [] });
  await answerTo(send('run', { untilNs: 5e9 }));
  const printed = told.slice(from).filter((message) => message.type === 'news');
  expect(printed.length).toBeLessThan(100);
  expect(new Set(printed.map(({ world }) => world))).toEqual(new Set([7]));
  const words = printed.map(({ news }) => (news.type === 'console' ? news.text : '')).join('');
  expect(words).toBe(`${line}\n`.repeat(600));
});

it('keeps the latest of what nobody could read', () => {
  const printed = new Printed<string>();
  for (let i = 0; i < 100_000; i++) printed.add('a', 'place a', 'x');
  printed.add('a', 'place a', 'the end');
  printed.add('b', 'place b', 'little');
  const texts: Record<string, string> = {};
  printed.take((place, text) => Object.assign(texts, { [place]: text }));
  expect(texts['place a']).toMatch(/^\[67239 characters left out\]\nx+the end$/);
  expect(texts['place a']?.length).toBe(32_768 + '[67239 characters left out]\n'.length);
  expect(texts['place b']).toBe('little');
  printed.take(() => expect.unreachable());
});

it('hears a pause while it runs, and runs again when it is asked to', async () => {
  const source = { kind: 'yaml', text: pings() } as const;
  await answerTo(send('load', { world: 8, source, seed: '1', actions: [] }));
  const long = [send('run', { untilNs: 1e15 }), send('run', { untilNs: 2e15 })];
  const pause = send('pause', {});
  for (const id of [...long, pause]) expect(await answerTo(id)).toMatchObject({ type: 'result' });
  const reached = (message: WorkerMessage): number =>
    message.type === 'result' ? (message.value as Progress).headNs : -1;
  const pausedNs = reached(await answerTo(long[1] ?? 0));
  expect(pausedNs).toBeLessThan(1e15);
  const again = await answerTo(send('run', { untilNs: pausedNs + 1e9 }));
  expect(reached(again)).toBe(pausedNs + 1e9);
});
