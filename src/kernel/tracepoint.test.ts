import { afterEach, describe, expect, it } from 'vitest';
import { Tracepoint, tracepointKey } from '#kernel/tracepoint.ts';

type Listener = (n: number) => void;

const listening: [Tracepoint<[number]>, Listener][] = [];

function listen(to: Tracepoint<[number]>, heard: number[]): Listener {
  const listener: Listener = (n) => heard.push(n);
  to.register(listener);
  listening.push([to, listener]);
  return listener;
}

afterEach(() => {
  for (const [tp, listener] of listening.splice(0)) tp.unregister(listener);
  expect(tracepointKey.enabled).toBe(false);
});

describe('the key of all tracepoints', () => {
  it('is enabled from the first probe of any of them until the last is gone', () => {
    const one = new Tracepoint<[number]>('a:one');
    const other = new Tracepoint<[number]>('a:other');
    expect(tracepointKey.enabled).toBe(false);
    const first = listen(one, []);
    const second = listen(one, []);
    const third = listen(other, []);
    one.unregister(first);
    one.unregister(second);
    expect(tracepointKey.enabled).toBe(true);
    other.unregister(third);
    expect(tracepointKey.enabled).toBe(false);
  });

  it('does not mind the same probe being taken away twice, or one that never was there', () => {
    const one = new Tracepoint<[number]>('a:one');
    const other = new Tracepoint<[number]>('a:other');
    listen(other, []);
    const gone = listen(one, []);
    one.unregister(gone);
    one.unregister(gone);
    one.unregister(() => {});
    expect(tracepointKey.enabled).toBe(true);
  });
});

describe('a tracepoint', () => {
  it('calls its probes in the order in which they came, until they go', () => {
    const tp = new Tracepoint<[number]>('a:b');
    const heard: number[] = [];
    const early = listen(tp, heard);
    const late: Listener = (n) => heard.push(-n);
    tp.register(late);
    tp.probe?.(1);
    tp.unregister(early);
    tp.probe?.(2);
    tp.unregister(late);
    expect(tp.probe).toBe(null);
    expect(heard).toEqual([1, -1, -2]);
  });
});
