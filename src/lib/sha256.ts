/*
 * SHA-256, piece by piece: for capture digests and fast open cookies, on every host and synchronously.
 * Kernel counterpart: lib/crypto/sha256.c. RFC 6234, FIPS 180-4.
 */

/** First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const K: Readonly<Int32Array> = Int32Array.of(
  0x428a2f98,
  0x71374491,
  0xb5c0fbcf,
  0xe9b5dba5,
  0x3956c25b,
  0x59f111f1,
  0x923f82a4,
  0xab1c5ed5,
  0xd807aa98,
  0x12835b01,
  0x243185be,
  0x550c7dc3,
  0x72be5d74,
  0x80deb1fe,
  0x9bdc06a7,
  0xc19bf174,
  0xe49b69c1,
  0xefbe4786,
  0x0fc19dc6,
  0x240ca1cc,
  0x2de92c6f,
  0x4a7484aa,
  0x5cb0a9dc,
  0x76f988da,
  0x983e5152,
  0xa831c66d,
  0xb00327c8,
  0xbf597fc7,
  0xc6e00bf3,
  0xd5a79147,
  0x06ca6351,
  0x14292967,
  0x27b70a85,
  0x2e1b2138,
  0x4d2c6dfc,
  0x53380d13,
  0x650a7354,
  0x766a0abb,
  0x81c2c92e,
  0x92722c85,
  0xa2bfe8a1,
  0xa81a664b,
  0xc24b8b70,
  0xc76c51a3,
  0xd192e819,
  0xd6990624,
  0xf40e3585,
  0x106aa070,
  0x19a4c116,
  0x1e376c08,
  0x2748774c,
  0x34b0bcb5,
  0x391c0cb3,
  0x4ed8aa4a,
  0x5b9cca4f,
  0x682e6ff3,
  0x748f82ee,
  0x78a5636f,
  0x84c87814,
  0x8cc70208,
  0x90befffa,
  0xa4506ceb,
  0xbef9a3f7,
  0xc67178f2,
);

export const SHA256_DIGEST_SIZE = 32;
export const SHA256_BLOCK_SIZE = 64;

const rotr = (x: number, n: number): number => (x >>> n) | (x << (32 - n));

/** A hash under way: update() as often as wanted, then digest() once. */
export class Sha256 {
  private readonly state = Int32Array.of(
    0x6a09e667,
    0xbb67ae85,
    0x3c6ef372,
    0xa54ff53a,
    0x510e527f,
    0x9b05688c,
    0x1f83d9ab,
    0x5be0cd19,
  );
  private readonly block = new Uint8Array(SHA256_BLOCK_SIZE);
  private readonly schedule = new Int32Array(64);
  /** Octets taken in so far; its remainder by 64 of them wait in `block`. */
  private length = 0;

  update(data: Uint8Array): this {
    let at = 0;
    const held = this.length & 63;
    this.length += data.length;
    if (held !== 0) {
      at = Math.min(64 - held, data.length);
      this.block.set(data.subarray(0, at), held);
      if (held + at < 64) return this;
      this.compress(this.block, 0);
    }
    for (; at + 64 <= data.length; at += 64) this.compress(data, at);
    this.block.set(data.subarray(at));
    return this;
  }

  /** The digest of everything taken in. The object is spent. */
  digest(): Uint8Array {
    const held = this.length & 63;
    const bits = this.length * 8;
    this.block[held] = 0x80;
    this.block.fill(0, held + 1);
    if (held >= 56) {
      this.compress(this.block, 0);
      this.block.fill(0);
    }
    const v = new DataView(this.block.buffer);
    v.setUint32(56, Math.floor(bits / 0x100000000));
    v.setUint32(60, bits % 0x100000000);
    this.compress(this.block, 0);
    const out = new Uint8Array(SHA256_DIGEST_SIZE);
    const words = new DataView(out.buffer);
    this.state.forEach((word, i) => {
      words.setInt32(i * 4, word);
    });
    return out;
  }

  private compress(data: Uint8Array, at: number): void {
    const w = this.schedule;
    for (let i = 0, o = at; i < 16; i++, o += 4) {
      w[i] =
        ((data[o] as number) << 24) |
        ((data[o + 1] as number) << 16) |
        ((data[o + 2] as number) << 8) |
        (data[o + 3] as number);
    }
    // Every sum is cut to 32 bits at once: a sum of several would be a double's work.
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15] as number;
      const y = w[i - 2] as number;
      const s0 = rotr(x, 7) ^ rotr(x, 18) ^ (x >>> 3);
      const s1 = rotr(y, 17) ^ rotr(y, 19) ^ (y >>> 10);
      w[i] = (((w[i - 16] as number) + s0) | 0) + (((w[i - 7] as number) + s1) | 0);
    }
    const s = this.state;
    let a = s[0] as number;
    let b = s[1] as number;
    let c = s[2] as number;
    let d = s[3] as number;
    let e = s[4] as number;
    let f = s[5] as number;
    let g = s[6] as number;
    let h = s[7] as number;
    for (let i = 0; i < 64; i++) {
      const s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
      const choice = g ^ (e & (f ^ g));
      const input = ((K[i] as number) + (w[i] as number)) | 0;
      const t1 = (((((h + s1) | 0) + choice) | 0) + input) | 0;
      const s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
      const majority = (a & b) ^ (c & (a ^ b));
      h = g;
      g = f;
      f = e;
      e = (d + t1) | 0;
      d = c;
      c = b;
      b = a;
      a = (t1 + ((s0 + majority) | 0)) | 0;
    }
    s[0] = (s[0] as number) + a;
    s[1] = (s[1] as number) + b;
    s[2] = (s[2] as number) + c;
    s[3] = (s[3] as number) + d;
    s[4] = (s[4] as number) + e;
    s[5] = (s[5] as number) + f;
    s[6] = (s[6] as number) + g;
    s[7] = (s[7] as number) + h;
  }
}

/** The digest of one run of octets. @kernel sha256 include/crypto/sha2.h */
export function sha256(data: Uint8Array): Uint8Array {
  return new Sha256().update(data).digest();
}

/** A digest in hexadecimal. */
export function hexDigest(digest: Uint8Array): string {
  return Array.from(digest, (b) => b.toString(16).padStart(2, '0')).join('');
}
