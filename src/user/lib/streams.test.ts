import { describe, expect, test } from 'vitest';
import { Collector, encodeText, inputFrom, Pipe, readAll } from '#user/lib/streams.ts';

describe('Pipe', () => {
  test('gives bytes in order, then the end', async () => {
    const { input, output } = new Pipe();
    output.write(encodeText('one '));
    output.write(encodeText('two'));
    output.close();
    expect(new TextDecoder().decode(await readAll(input))).toBe('one two');
    expect(await input.read()).toBeNull();
  });

  test('a reader waits for its writer', async () => {
    const { input, output } = new Pipe();
    const reading = input.read();
    output.write(encodeText('late'));
    expect(await reading).toEqual(encodeText('late'));
  });

  test('a writer is told to wait when much is held, and goes on when it was read', async () => {
    const { input, output } = new Pipe();
    expect(output.ready()).toBeNull();
    output.write(new Uint8Array(100_000));
    const ready = output.ready();
    expect(ready).not.toBeNull();
    let resolved = false;
    const waiting = ready?.then(() => {
      resolved = true;
    });
    await Promise.resolve();
    expect(resolved).toBe(false);
    await input.read();
    await waiting;
    expect(resolved).toBe(true);
  });

  test('without a reader a write fails, and nobody waits', async () => {
    const { input, output } = new Pipe();
    output.write(new Uint8Array(100_000));
    const ready = output.ready();
    input.close();
    await ready;
    expect(output.write(encodeText('x'))).toBe(false);
    expect(output.ready()).toBeNull();
  });
});

describe('Collector', () => {
  test('refuses what is too much', () => {
    const collector = new Collector(4);
    expect(collector.write(encodeText('abc'))).toBe(true);
    expect(collector.write(encodeText('de'))).toBe(false);
    expect(collector.text()).toBe('abc');
  });
});

test('readAll bounds what it takes', async () => {
  await expect(readAll(inputFrom(new Uint8Array(10)), 5)).rejects.toThrow(RangeError);
});
