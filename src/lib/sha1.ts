/*
 * SHA-1, piece by piece and reusable: for HMAC-SHA-1-96 of the TCP authentication option. Kernel
 * counterpart: lib/crypto/sha1.c. RFC 3174.
 */

import { BlockHash } from '#lib/block_hash.ts';

export const SHA1_DIGEST_SIZE = 20;

/** A digest in the making. */
export class Sha1 extends BlockHash {
  override readonly digestSize: number = SHA1_DIGEST_SIZE;
  private readonly h: Int32Array = new Int32Array(5);
  private readonly words: Int32Array = new Int32Array(80);

  constructor() {
    super();
    this.reset();
  }

  /** Back to the empty message. */
  override reset(): void {
    const { h } = this;
    h[0] = 0x67452301;
    h[1] = 0xefcdab89;
    h[2] = 0x98badcfe;
    h[3] = 0x10325476;
    h[4] = 0xc3d2e1f0;
    super.reset();
  }

  /** Ends the message and writes the digest. The next one begins with reset(). */
  final(out: Uint8Array, at: number): void {
    this.end(false);
    for (let i = 0; i < SHA1_DIGEST_SIZE; i++) {
      out[at + i] = (this.h[i >> 2]! >>> (24 - 8 * (i & 3))) & 0xff;
    }
  }

  private expand(bytes: Uint8Array, at: number): Int32Array {
    const w = this.words;
    for (let i = 0, o = at; i < 16; i++, o += 4) {
      w[i] = (bytes[o]! << 24) | (bytes[o + 1]! << 16) | (bytes[o + 2]! << 8) | bytes[o + 3]!;
    }
    for (let i = 16; i < 80; i++) {
      const x = w[i - 3]! ^ w[i - 8]! ^ w[i - 14]! ^ w[i - 16]!;
      w[i] = (x << 1) | (x >>> 31);
    }
    return w;
  }

  protected override block(bytes: Uint8Array, at: number): void {
    const w = this.expand(bytes, at);
    const { h } = this;
    let a = h[0]!;
    let b = h[1]!;
    let c = h[2]!;
    let d = h[3]!;
    let e = h[4]!;
    for (let i = 0; i < 80; i++) {
      let f: number;
      if (i < 20) f = ((b & c) | (~b & d)) + 0x5a827999;
      else if (i < 40) f = (b ^ c ^ d) + 0x6ed9eba1;
      else if (i < 60) f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
      else f = (b ^ c ^ d) + 0xca62c1d6;
      const t = (((a << 5) | (a >>> 27)) + f + e + w[i]!) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = t;
    }
    h[0] = h[0]! + a;
    h[1] = h[1]! + b;
    h[2] = h[2]! + c;
    h[3] = h[3]! + d;
    h[4] = h[4]! + e;
  }
}
