/*
 * MD5, for the signatures of RFC 2385 alone: it protects nothing else any more. Reusable, piece by
 * piece. Kernel counterpart: lib/crypto/md5.c. RFC 1321.
 */

import { BlockHash } from '#lib/block_hash.ts';

/** 2^32 * |sin(i + 1)|. */
const K: Readonly<Int32Array> = Int32Array.of(
  0xd76aa478,
  0xe8c7b756,
  0x242070db,
  0xc1bdceee,
  0xf57c0faf,
  0x4787c62a,
  0xa8304613,
  0xfd469501,
  0x698098d8,
  0x8b44f7af,
  0xffff5bb1,
  0x895cd7be,
  0x6b901122,
  0xfd987193,
  0xa679438e,
  0x49b40821,
  0xf61e2562,
  0xc040b340,
  0x265e5a51,
  0xe9b6c7aa,
  0xd62f105d,
  0x02441453,
  0xd8a1e681,
  0xe7d3fbc8,
  0x21e1cde6,
  0xc33707d6,
  0xf4d50d87,
  0x455a14ed,
  0xa9e3e905,
  0xfcefa3f8,
  0x676f02d9,
  0x8d2a4c8a,
  0xfffa3942,
  0x8771f681,
  0x6d9d6122,
  0xfde5380c,
  0xa4beea44,
  0x4bdecfa9,
  0xf6bb4b60,
  0xbebfbc70,
  0x289b7ec6,
  0xeaa127fa,
  0xd4ef3085,
  0x04881d05,
  0xd9d4d039,
  0xe6db99e5,
  0x1fa27cf8,
  0xc4ac5665,
  0xf4292244,
  0x432aff97,
  0xab9423a7,
  0xfc93a039,
  0x655b59c3,
  0x8f0ccc92,
  0xffeff47d,
  0x85845dd1,
  0x6fa87e4f,
  0xfe2ce6e0,
  0xa3014314,
  0x4e0811a1,
  0xf7537e82,
  0xbd3af235,
  0x2ad7d2bb,
  0xeb86d391,
);

/** Rotations of the four rounds, each used in turn. */
const S: Readonly<Uint8Array> = Uint8Array.of(
  7,
  12,
  17,
  22,
  5,
  9,
  14,
  20,
  4,
  11,
  16,
  23,
  6,
  10,
  15,
  21,
);

export const MD5_DIGEST_SIZE = 16;

/** A digest in the making. */
export class Md5 extends BlockHash {
  override readonly digestSize: number = MD5_DIGEST_SIZE;
  private a = 0x67452301;
  private b = 0xefcdab89 | 0;
  private c = 0x98badcfe | 0;
  private d = 0x10325476;
  private readonly words: Int32Array = new Int32Array(16);

  /** Back to the empty message. */
  override reset(): void {
    this.a = 0x67452301;
    this.b = 0xefcdab89 | 0;
    this.c = 0x98badcfe | 0;
    this.d = 0x10325476;
    super.reset();
  }

  /** Ends the message and writes the digest. The next one begins with reset(). */
  final(out: Uint8Array, at: number): void {
    this.end(true);
    putLe32(out, at, this.a);
    putLe32(out, at + 4, this.b);
    putLe32(out, at + 8, this.c);
    putLe32(out, at + 12, this.d);
  }

  protected override block(bytes: Uint8Array, at: number): void {
    const w = this.words;
    for (let i = 0, o = at; i < 16; i++, o += 4) {
      w[i] = bytes[o]! | (bytes[o + 1]! << 8) | (bytes[o + 2]! << 16) | (bytes[o + 3]! << 24);
    }
    let { a, b, c, d } = this;
    for (let i = 0; i < 64; i++) {
      let f: number;
      let g: number;
      if (i < 16) {
        f = (b & c) | (~b & d);
        g = i;
      } else if (i < 32) {
        f = (d & b) | (~d & c);
        g = (5 * i + 1) & 15;
      } else if (i < 48) {
        f = b ^ c ^ d;
        g = (3 * i + 5) & 15;
      } else {
        f = c ^ (b | ~d);
        g = (7 * i) & 15;
      }
      const x = (a + f + K[i]! + w[g]!) | 0;
      const s = S[((i >> 4) << 2) | (i & 3)]!;
      a = d;
      d = c;
      c = b;
      b = (b + ((x << s) | (x >>> (32 - s)))) | 0;
    }
    this.a = (this.a + a) | 0;
    this.b = (this.b + b) | 0;
    this.c = (this.c + c) | 0;
    this.d = (this.d + d) | 0;
  }
}

function putLe32(out: Uint8Array, at: number, x: number): void {
  for (let i = 0; i < 4; i++) out[at + i] = (x >>> (8 * i)) & 0xff;
}
