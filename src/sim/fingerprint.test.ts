import { describe, expect, it } from 'vitest';
import { mem, view } from '#mm/memory.ts';
import { allocPages } from '#mm/page_alloc.ts';
import { Fingerprint } from '#sim/fingerprint.ts';

describe('the fingerprint of a run', () => {
  const page = allocPages(2048);

  it('takes a frame as its length, its words and what is left', () => {
    for (let i = 0; i < 64; i++) mem[page + i] = i * 37;
    for (const len of [0, 3, 4, 61, 64]) {
      const whole = new Fingerprint();
      whole.frame(page, len);
      const parts = new Fingerprint();
      parts.word(len);
      for (let at = 0; at + 4 <= len; at += 4) parts.word(view.getInt32(page + at));
      for (let at = len & ~3; at < len; at++) parts.word(view.getUint8(page + at));
      expect(whole.digest()).toBe(parts.digest());
      expect(whole.count).toBe(parts.count);
    }
  });

  it('takes an event as the two words of its time and its kind', () => {
    for (const ns of [0, 1, 2 ** 31 + 5, 2 ** 32, 7 * 2 ** 32 + 3_000_000_001, 2 ** 52]) {
      const whole = new Fingerprint();
      whole.event(ns, 3);
      const parts = new Fingerprint();
      for (const word of [ns % 2 ** 32, Math.floor(ns / 2 ** 32), 3]) parts.word(word);
      expect(whole.digest()).toBe(parts.digest());
      expect(whole.count).toBe(parts.count);
    }
  });

  it('leaves the bytes of frames out where asked', () => {
    const digests = [0, 1].map((byte) => {
      mem[page] = byte;
      return [true, false].map((frames) => {
        const print = new Fingerprint(frames);
        print.frame(page, 60);
        return print.digest();
      });
    });
    expect(digests[0]?.[0]).not.toBe(digests[1]?.[0]);
    expect(digests[0]?.[1]).toBe(digests[1]?.[1]);
  });
});
