import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hexDigest, Sha256, sha256 } from '#lib/sha256.ts';

const text = (s: string): Uint8Array => new TextEncoder().encode(s);

describe('SHA-256', () => {
  it.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
    ['a'.repeat(1000000), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
  ])('gives the vector of RFC 6234 for %.20s', (message, digest) => {
    expect(hexDigest(sha256(text(message)))).toBe(digest);
  });

  it('does not care where its input is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (pieces) => {
        const hash = new Sha256();
        const reference = createHash('sha256');
        for (const piece of pieces) {
          hash.update(piece);
          reference.update(piece);
        }
        expect(hexDigest(hash.digest())).toBe(reference.digest('hex'));
      }),
    );
  });
});
