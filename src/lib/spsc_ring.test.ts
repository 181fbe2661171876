import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { type RingSignal, SpscConsumer, SpscProducer, spscRingMemory } from '#lib/spsc_ring.ts';

function pair(capacity: number): { producer: SpscProducer; consumer: SpscConsumer } {
  const memory = spscRingMemory(capacity);
  return { producer: new SpscProducer(memory), consumer: new SpscConsumer(memory) };
}

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 0xff);
}

/** Takes the next record, or null. */
function take(consumer: SpscConsumer): { bytes: Uint8Array; kind: number } | null {
  const at = consumer.peek();
  if (at < 0) return null;
  const record = { bytes: consumer.bytes.slice(at, at + consumer.length), kind: consumer.kind };
  consumer.next();
  return record;
}

/** Lets `meanwhile` happen right after the next store of a word, as the other thread may. */
function afterStoreOf(index: number, meanwhile: () => void): void {
  const store = Atomics.store.bind(Atomics) as typeof Atomics.store;
  const spy = vi.spyOn(Atomics, 'store');
  spy.mockImplementation(((words: Int32Array, at: number, value: number) => {
    store(words, at, value);
    if (at !== index) return value;
    spy.mockRestore();
    meanwhile();
    return value;
  }) as typeof Atomics.store);
}

/** Whether somebody who goes to sleep now would, and would not find that it is woken already. */
function wouldSleep({ words, index, value }: RingSignal): boolean {
  return Atomics.wait(words, index, value, 0) === 'timed-out';
}

const HEAD = 0;
const TAIL = 32;

describe('a ring between two threads', () => {
  it('shows records only when they are published, whole and in order', () => {
    const { producer, consumer } = pair(1024);
    expect(producer.push(pattern(10, 1), 5)).toBe(true);
    expect(producer.push(pattern(0, 2), 6)).toBe(true);
    expect(consumer.peek()).toBe(-1);
    producer.publish();
    expect(take(consumer)).toEqual({ bytes: pattern(10, 1), kind: 5 });
    expect(take(consumer)).toEqual({ bytes: pattern(0, 2), kind: 6 });
    expect(take(consumer)).toBeNull();
  });

  it('says full, and has room again only when what was read is given back', () => {
    const { producer, consumer } = pair(256);
    const payload = pattern(56, 3);
    for (let i = 0; i < 4; i++) expect(producer.push(payload, i)).toBe(true);
    expect(producer.push(payload, 4)).toBe(false);
    expect(producer.fits(56)).toBe(false);
    producer.publish();
    expect(take(consumer)?.kind).toBe(0);
    expect(producer.fits(56)).toBe(false);
    consumer.release();
    expect(producer.fits(56)).toBe(true);
    expect(producer.push(payload, 4)).toBe(true);
  });

  it('tells each side whether the other waits, once', () => {
    const { producer, consumer } = pair(256);
    expect(consumer.arm()).toBe(true);
    producer.push(pattern(8, 1), 1);
    expect(producer.publish()).toBe(true);
    producer.push(pattern(8, 1), 2);
    expect(producer.publish()).toBe(false);
    expect(consumer.arm(), 'a record is there already').toBe(false);
    while (producer.push(pattern(8, 1), 3));
    producer.publish();
    expect(producer.armRoom(8)).toBe(true);
    expect(consumer.release()).toBe(false);
    take(consumer);
    expect(consumer.release()).toBe(true);
    expect(producer.armRoom(8), 'there is room already').toBe(false);
  });

  it('wakes who has said that it waits and does not sleep yet', () => {
    const { producer, consumer } = pair(256);
    // The consumer takes the record before the producer looks whether it waits, and waits then.
    producer.push(pattern(8, 1), 1);
    afterStoreOf(HEAD, () => {
      expect(take(consumer)).not.toBeNull();
      expect(consumer.arm()).toBe(true);
    });
    expect(producer.publish()).toBe(true);
    expect(wouldSleep(consumer.recordSignal)).toBe(false);
    expect(consumer.arm()).toBe(true);
    expect(wouldSleep(consumer.recordSignal)).toBe(true);
    producer.setState(1);
    expect(wouldSleep(consumer.recordSignal), 'there is a new state').toBe(false);

    consumer.release();
    producer.push(pattern(producer.maxPayload, 1), 1);
    producer.publish();
    take(consumer);
    afterStoreOf(TAIL, () => {
      expect(producer.push(pattern(producer.maxPayload, 2), 2)).toBe(true);
      expect(producer.armRoom(producer.maxPayload)).toBe(true);
    });
    expect(consumer.release()).toBe(true);
    expect(wouldSleep(producer.roomSignal)).toBe(false);
    expect(producer.armRoom(producer.maxPayload)).toBe(true);
    expect(wouldSleep(producer.roomSignal)).toBe(true);
  });

  it('always takes the longest payload once it is empty, wherever the end of the memory is', () => {
    const { producer, consumer } = pair(256);
    for (let i = 0; i < 50; i++) {
      expect(producer.push(pattern(producer.maxPayload, i), i)).toBe(true);
      producer.publish();
      expect(take(consumer)?.bytes).toEqual(pattern(producer.maxPayload, i));
      consumer.release();
      expect(producer.push(pattern(i % 40, i), 0)).toBe(true);
      producer.publish();
      take(consumer);
      consumer.release();
    }
  });

  it('goes on where positions pass 2^32', () => {
    const memory = spscRingMemory(256);
    const words = new Int32Array(memory);
    // Both positions just below the wrap of a signed and of an unsigned number.
    for (const start of [0x7fffff80, -128]) {
      words[0] = start;
      words[32] = start;
      const producer = new SpscProducer(memory);
      const consumer = new SpscConsumer(memory);
      for (let i = 0; i < 40; i++) {
        expect(producer.push(pattern(20 + i, i), i)).toBe(true);
        producer.publish();
        expect(take(consumer)).toEqual({ bytes: pattern(20 + i, i), kind: i });
        consumer.release();
      }
    }
  });

  it('behaves as a queue of bounded bytes does, whatever the order of calls', () => {
    const op = fc.oneof(
      fc.record({ op: fc.constant('push' as const), length: fc.nat(130) }),
      fc.record({ op: fc.constantFrom('publish', 'take', 'release') }),
    );
    fc.assert(
      fc.property(fc.array(op, { maxLength: 300 }), (ops) => {
        const { producer, consumer } = pair(512);
        const committed: number[] = [];
        const visible: number[] = [];
        let serial = 0;
        for (const step of ops) {
          if ('length' in step) {
            const fits = producer.fits(step.length);
            const pushed = producer.push(pattern(step.length, serial), serial);
            expect(pushed).toBe(fits);
            if (pushed) committed.push(serial, step.length);
            serial++;
          } else if (step.op === 'publish') {
            producer.publish();
            visible.push(...committed.splice(0));
          } else if (step.op === 'take') {
            const record = take(consumer);
            const [kind, length] = visible.splice(0, 2);
            if (kind === undefined || length === undefined) expect(record).toBeNull();
            else expect(record).toEqual({ bytes: pattern(length, kind), kind });
          } else consumer.release();
        }
      }),
      { numRuns: 300 },
    );
  });

  it('refuses memory that is none, and sizes out of range', () => {
    expect(() => spscRingMemory(10)).toThrow(RangeError);
    expect(() => new SpscProducer(new SharedArrayBuffer(700))).toThrow(RangeError);
    expect(spscRingMemory(3000).byteLength - spscRingMemory(256).byteLength).toBe(4096 - 256);
  });
});

/** Runs in a thread of its own, from its text: sends `count` records through a ring of `lib/spsc_ring`. */
const PRODUCER = `
const { workerData } = require('node:worker_threads');
import(workerData.tsx).then(async (tsx) => {
  tsx.register();
  const { SpscProducer } = await import(workerData.module);
  const ring = new SpscProducer(workerData.memory);
  let x = 1;
  for (let n = 0; n < workerData.count; ) {
    for (let batch = 1 + (n % 16); batch > 0 && n < workerData.count; batch--, n++) {
      x = (Math.imul(x, 1103515245) + 12345) >>> 0;
      const length = x % 2000;
      let at = ring.reserve(length);
      while (at < 0) {
        ring.publish();
        ring.wait(length, 1000);
        at = ring.reserve(length);
      }
      ring.bytes.fill(n & 0xff, at, at + length);
      ring.commit(length, n);
    }
    ring.publish();
  }
});
`;

it('carries a million bytes and more between two threads without tearing one record', async () => {
  const memory = spscRingMemory(8192);
  const count = 20_000;
  const worker = new Worker(PRODUCER, {
    eval: true,
    execArgv: ['--conditions=softnet-source'],
    workerData: {
      memory,
      count,
      tsx: import.meta.resolve('tsx/esm/api'),
      module: new URL('./spsc_ring.ts', import.meta.url).href,
    },
  });
  let problem: unknown = null;
  worker.on('error', (error) => {
    problem = error;
  });
  const exited = new Promise((resolve) => worker.once('exit', resolve));
  const ring = new SpscConsumer(memory);
  let x = 1;
  let torn = 0;
  for (let n = 0; n < count && problem === null; ) {
    const at = ring.peek();
    if (at < 0) {
      ring.release();
      ring.wait(20);
      // An error of the worker arrives as a message.
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    if (ring.kind !== n || ring.length !== x % 2000) torn++;
    for (let i = 0; i < ring.length; i++) if (ring.bytes[at + i] !== (n & 0xff)) torn++;
    ring.next();
    if (n % 7 === 0) ring.release();
    n++;
  }
  ring.release();
  await exited;
  expect(problem).toBeNull();
  expect(torn).toBe(0);
  expect(ring.peek()).toBe(-1);
});
