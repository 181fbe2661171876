/** The digests and message codes that TCP signs with, against the vectors of their RFCs and Node's own. */
import { createCipheriv, createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Aes128, AesCmac } from '#lib/aes_cmac.ts';
import { HmacSha1 } from '#lib/hmac_sha1.ts';
import { Md5 } from '#lib/md5.ts';
import { Sha1 } from '#lib/sha1.ts';

interface Code {
  readonly digestSize: number;
  reset(): void;
  update(bytes: Uint8Array, at: number, len: number): void;
  final(out: Uint8Array, at: number): void;
}

const text = (s: string): Uint8Array => new TextEncoder().encode(s);
const bytes = (s: string): Uint8Array => new Uint8Array(Buffer.from(s, 'hex'));

function codeOf(code: Code, ...pieces: Uint8Array[]): string {
  code.reset();
  // Off the start, so that an offset that is not honoured shows.
  for (const piece of pieces) code.update(Uint8Array.of(9, 9, ...piece), 2, piece.length);
  const out = new Uint8Array(code.digestSize + 1);
  code.final(out, 1);
  return Buffer.from(out.subarray(1)).toString('hex');
}

describe('MD5', () => {
  it.each([
    ['', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['a', '0cc175b9c0f1b6a831c399e269772661'],
    ['abc', '900150983cd24fb0d6963f7d28e17f72'],
    ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
    ['abcdefghijklmnopqrstuvwxyz', 'c3fcd3d76192e4007dfb496cca67e13b'],
    ['1234567890'.repeat(8), '57edf4a22be3c955ac49da2e2107b67a'],
  ])('gives the vector of RFC 1321 for "%s"', (message, digest) => {
    expect(codeOf(new Md5(), text(message))).toBe(digest);
  });
});

describe('SHA-1', () => {
  it.each([
    ['abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '84983e441c3bd26ebaae4aa1f95129e5e54670f1',
    ],
    [
      '0123456701234567012345670123456701234567012345670123456701234567'.repeat(10),
      'dea356a2cddd90c7a7ecedc5ebb563934f460452',
    ],
  ])('gives the vector of RFC 3174 for %.16s', (message, digest) => {
    expect(codeOf(new Sha1(), text(message))).toBe(digest);
  });
});

describe('HMAC-SHA-1', () => {
  it.each([
    ['0b'.repeat(20), '4869205468657265', 'b617318655057264e28bc0b6fb378c8ef146be00'],
    [
      '4a656665',
      '7768617420646f2079612077616e7420666f72206e6f7468696e673f',
      'effcdf6ae5eb2fa2d27416d5f184df9c259a7c79',
    ],
    [
      'aa'.repeat(80),
      '54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374',
      'aa4ae5e15272d00e95705637ce8a3b55ed402112',
    ],
  ])('gives the vector of RFC 2202 for the key %.16s', (key, message, digest) => {
    const hmac = new HmacSha1();
    hmac.setKey(bytes(key));
    expect(codeOf(hmac, bytes(message))).toBe(digest);
    expect(codeOf(hmac, bytes(message))).toBe(digest);
  });
});

describe('AES-CMAC', () => {
  const key = '2b7e151628aed2a6abf7158809cf4f3c';
  const message =
    '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710';

  it.each([
    [0, 'bb1d6929e95937287fa37d129b756746'],
    [16, '070a16b46b4d4144f79bdd9dd04a287c'],
    [40, 'dfa66747de9ae63030ca32611497c827'],
    [64, '51f0bebf7e3b9d92fc49741779363cfe'],
  ])('gives the vector of RFC 4493 for %i octets', (length, digest) => {
    const cmac = new AesCmac();
    cmac.setKey(bytes(key));
    expect(codeOf(cmac, bytes(message).subarray(0, length))).toBe(digest);
  });

  it('encrypts as others do', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        (k, block) => {
          const cipher = createCipheriv('aes-128-ecb', k, null).update(block).toString('hex');
          const aes = new Aes128();
          aes.setKey(k);
          aes.encrypt(block);
          expect(Buffer.from(block).toString('hex')).toBe(cipher);
        },
      ),
    );
  });
});

describe('all of them', () => {
  it('do not care where their input is cut', () => {
    const hmac = new HmacSha1();
    hmac.setKey(text('key'));
    const cmac = new AesCmac();
    cmac.setKey(text('sixteen octets!!'));
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 150 }), { maxLength: 8 }), (pieces) => {
        const whole = new Uint8Array(Buffer.concat(pieces));
        expect(codeOf(new Md5(), ...pieces)).toBe(createHash('md5').update(whole).digest('hex'));
        expect(codeOf(new Sha1(), ...pieces)).toBe(createHash('sha1').update(whole).digest('hex'));
        expect(codeOf(hmac, ...pieces)).toBe(createHmac('sha1', 'key').update(whole).digest('hex'));
        expect(codeOf(cmac, ...pieces)).toBe(codeOf(cmac, whole));
      }),
    );
  });
});
