/** The page's side of the worker, without a page: what the store makes of answers and news. */
import { expect, it } from 'vitest';
import { Client } from '../../explorer/src/model/client.ts';
import { Store } from '../../explorer/src/model/store.ts';
import type {
  CallMessage,
  News,
  Progress,
  WorkerMessage,
  WorldInfo,
} from '../../explorer/src/protocol.ts';

/** A worker that answers when it is told to. */
class Script {
  readonly calls: CallMessage[] = [];
  onmessage: ((event: { readonly data: WorkerMessage }) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;

  postMessage(message: CallMessage): void {
    this.calls.push(message);
  }

  /** Answers the oldest call of a name that has had no answer. */
  async answer(call: string, value: unknown): Promise<void> {
    const at = this.calls.findIndex((message) => message.call === call);
    const [message] = this.calls.splice(at, 1);
    expect(message?.call).toBe(call);
    this.onmessage?.({ data: { type: 'result', id: message?.id ?? 0, value } });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  tell(world: number, news: News): void {
    this.onmessage?.({ data: { type: 'news', world, news } });
  }
}

const WORLD: WorldInfo = {
  name: 'w',
  seed: '1',
  machines: [],
  cables: [],
  startNs: 0,
  yaml: '',
};

function progressAt(headNs: number): Progress {
  return {
    headNs,
    events: 0,
    steps: 0,
    packets: 0,
    fingerprint: '',
    frames: {
      cable: Uint16Array.of(0),
      direction: Uint8Array.of(0),
      departNs: Float64Array.of(headNs),
      arriveNs: Float64Array.of(headNs + 1),
      packet: Int32Array.of(1),
      kind: Uint8Array.of(0),
      fate: Uint8Array.of(0),
      length: Uint16Array.of(60),
    },
    drops: [],
    idle: false,
    nextNs: 0,
    cables: null,
  };
}

function started(): { worker: Script; store: Store } {
  const worker = new Script();
  return { worker, store: new Store(new Client(worker as unknown as Worker)) };
}

/** Number of the world that is being loaded. */
function numberOf({ calls }: Script): number {
  const { params } = calls.at(-1) as CallMessage<'load'>;
  return params.world;
}

async function loaded(): Promise<{ worker: Script; store: Store; number: number }> {
  const { worker, store } = started();
  void store.load({ kind: 'gallery', id: 'ping' }, '1');
  const number = numberOf(worker);
  await worker.answer('load', WORLD);
  await worker.answer('run', progressAt(5e9));
  expect(store.state.phase).toBe('ready');
  return { worker, store, number };
}

it('has nothing of a world that was left in the one that is loaded', async () => {
  const { worker, store, number: left } = await loaded();
  void store.step('packet');
  void store.load({ kind: 'gallery', id: 'loss' }, '1');
  const fresh = numberOf(worker);
  worker.tell(left, { type: 'progress', progress: progressAt(6e9) });
  worker.tell(left, { type: 'console', machine: 'a', text: 'old' });
  worker.tell(left, { type: 'halted', problem: { title: 'old', detail: '' } });
  await worker.answer('step', progressAt(7e9));
  expect(store.frames.length).toBe(0);
  worker.tell(fresh, { type: 'console', machine: 'b', text: 'new' });
  await worker.answer('load', WORLD);
  await worker.answer('run', progressAt(1e9));
  expect(store.state.halted).toBeNull();
  expect(store.state.console.map(({ text }) => text)).toEqual(['new']);
  expect([...store.frames.depart.subarray(0, store.frames.length)]).toEqual([1e9]);
  expect(store.moment()).toBe(1e9);
});

it('asks nothing of a world that was not loaded', async () => {
  const { worker, store } = started();
  await store.follow('#/nowhere');
  expect(store.state.phase).toBe('problem');
  await store.step('event');
  await store.stepBack();
  await store.runTo(1e9);
  expect(worker.calls).toEqual([]);
});

it('ends a long way to a moment when somebody pauses, or seeks another', async () => {
  const { worker, store } = await loaded();
  const far = store.seek(500e9);
  expect(store.state.seeking).toBe(true);
  store.toggle();
  expect(worker.calls.map(({ call }) => call)).toEqual(['run', 'pause']);
  await worker.answer('run', progressAt(9e9));
  await worker.answer('pause', undefined);
  await far;
  expect([store.state.seeking, store.state.playing, store.moment()]).toEqual([false, false, 9e9]);
  void store.seek(600e9);
  const near = store.seek(7e9);
  await near;
  expect([store.state.seeking, store.moment()]).toEqual([false, 7e9]);
  await worker.answer('run', progressAt(20e9));
  expect([store.state.headNs, store.moment()]).toEqual([20e9, 7e9]);
  // At rest it plays, and asks nothing of the worker.
  await worker.answer('pause', undefined);
  store.toggle();
  expect([store.state.playing, worker.calls]).toEqual([true, []]);
});
