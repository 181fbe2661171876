/*
 * Seeded random numbers: xoshiro128** 1.1, seeded through splitmix32. Not for secrets that must hold against
 * anyone outside the simulation; within it, everything that Linux draws from get_random_u32() comes from here.
 * Kernel counterpart: lib/random32.c. Blackman and Vigna, "Scrambled linear pseudorandom number generators".
 *
 * The same seed gives the same numbers on every engine: integer arithmetic only.
 */

/** One step of splitmix32: spreads neighbouring seeds far apart. */
function mix32(x: number): number {
  let z = x | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}

/** FNV-1a over the UTF-16 units of a text, 32 bits. */
function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    h = Math.imul(h ^ (c & 0xff), 0x01000193);
    h = Math.imul(h ^ (c >>> 8), 0x01000193);
  }
  return h | 0;
}

export class Prandom {
  private s0 = 0;
  private s1 = 0;
  private s2 = 0;
  private s3 = 0;

  /** @param seed a number (all 53 bits count) or any text */
  constructor(seed: number | string) {
    let x: number;
    let y: number;
    if (typeof seed === 'string') {
      x = hashText(seed);
      y = hashText(`${seed}\u0000`);
    } else {
      x = seed | 0;
      y = Math.floor(seed / 0x100000000) | 0;
    }
    this.seedWords(x, y);
  }

  private seedWords(x: number, y: number): void {
    // Every word depends on both: the first number drawn shows only one of the four.
    this.s0 = mix32(mix32(x + 0x9e3779b9) ^ y);
    this.s1 = mix32(mix32(x + 0x3c6ef372) ^ y);
    this.s2 = mix32(mix32(x + 0xdaa66d2b) ^ y);
    this.s3 = mix32(mix32(x + 0x78dde6e4) ^ y);
    // The all-zero state would stay there.
    if ((this.s0 | this.s1 | this.s2 | this.s3) === 0) this.s0 = 1;
  }

  /** A signed 32-bit number: what hot paths want, since it is never boxed. */
  i32(): number {
    const { s1 } = this;
    const scrambled = Math.imul(s1, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9);
    this.s2 ^= this.s0;
    this.s3 ^= s1;
    this.s1 = s1 ^ this.s2;
    this.s0 ^= this.s3;
    this.s2 ^= s1 << 9;
    this.s3 = (this.s3 << 11) | (this.s3 >>> 21);
    return result;
  }

  /** An unsigned 32-bit number. @kernel get_random_u32 drivers/char/random.c */
  u32(): number {
    return this.i32() >>> 0;
  }

  /** An unsigned 16-bit number. @kernel get_random_u16 drivers/char/random.c */
  u16(): number {
    return this.i32() >>> 16;
  }

  /**
   * A whole number from 0 to n - 1, each equally likely; n from 1 to 2^32.
   * @kernel get_random_u32_below drivers/char/random.c
   */
  below(n: number): number {
    // Numbers beyond the last whole multiple of n would favour the small ones.
    const limit = 0x100000000 - (0x100000000 % n);
    let x = this.u32();
    while (x >= limit) x = this.u32();
    return x % n;
  }

  /** A whole number from min to max, both included. @kernel get_random_u32_inclusive include/linux/random.h */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** A number from 0 (included) to 1 (not), 53 random bits. */
  float(): number {
    const high = this.i32() >>> 5;
    const low = this.i32() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  /** True with probability p. */
  chance(p: number): boolean {
    return this.float() < p;
  }

  /** Fills an array. @kernel get_random_bytes drivers/char/random.c */
  bytes(out: Uint8Array): void {
    for (let i = 0; i < out.length; i += 4) {
      const x = this.i32();
      const n = Math.min(4, out.length - i);
      for (let j = 0; j < n; j++) out[i + j] = x >>> (j << 3);
    }
  }

  /**
   * An independent generator that depends on this one's state and a label, and leaves this one as it
   * was: adding a consumer under its own label does not change what the others draw.
   */
  fork(label: string): Prandom {
    const child = new Prandom(0);
    const h = hashText(label);
    child.seedWords(mix32(this.s0 ^ h) ^ this.s2, mix32(this.s1 + h) ^ this.s3);
    return child;
  }
}
