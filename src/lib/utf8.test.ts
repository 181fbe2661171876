import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cString, latin1Decode, utf8Encode } from '#lib/utf8.ts';

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
