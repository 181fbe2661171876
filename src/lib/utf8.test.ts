import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cString, latin1Decode, latin1Encode, utf8Decode, utf8Encode } from '#lib/utf8.ts';

describe('utf8Encode', () => {
  it('does what TextEncoder does, lone surrogates included', () => {
    const encoder = new TextEncoder();
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(utf8Encode(text)).toEqual(encoder.encode(text));
      }),
    );
    expect(utf8Encode('a\ud800b')).toEqual(encoder.encode('a\ud800b'));
  });
});

describe('cString', () => {
  it('ends at the first zero or with the field', () => {
    expect(cString(Uint8Array.of(101, 116, 104, 48, 0, 7))).toBe('eth0');
    expect(cString(Uint8Array.of(101, 116))).toBe('et');
    expect(latin1Decode(Uint8Array.of(0xe9))).toBe('é');
  });
});

describe('utf8Decode', () => {
  it('is the way back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(utf8Decode(utf8Encode(text))).toBe(text);
      }),
    );
  });

  it('has a mark for each byte that is part of no character', () => {
    for (const bad of [
      [0xff],
      [0xc3],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
    ]) {
      expect(utf8Decode(Uint8Array.from([0x61, ...bad, 0x62]))).toBe(
        `a${'\ufffd'.repeat(bad.length)}b`,
      );
    }
  });
});

describe('latin1Encode', () => {
  it('gives the bytes back, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(latin1Encode(latin1Decode(bytes))).toEqual(bytes);
      }),
    );
  });

  it('has more bytes for what is none', () => {
    expect([...latin1Encode('ü€😀z')]).toEqual([
      0xfc, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0x7a,
    ]);
  });
});
