/**
 * The Toeplitz hash by which network cards spread flows over their receive queues, with the key that
 * the cards' drivers set. Linux computes it in hardware or in drivers; the definition is Microsoft's
 * "RSS Hashing Functions", whose verification suite is this file's test.
 *
 * The hash of an input is the exclusive or, over its set bits n, of the 32 bits of the key from bit n
 * on. Tables by octet make that one look-up an octet.
 */

/** Octets of a key, and the most octets of an input that it serves: two IPv6 addresses and two ports. */
export const TOEPLITZ_KEY_LEN = 40;
const TOEPLITZ_INPUT_MAX: number = TOEPLITZ_KEY_LEN - 4;

/** The 32 bits of the key from bit `n` on. */
function window(key: Uint8Array, n: number): number {
  const at = n >> 3;
  const shift = n & 7;
  const high =
    ((key[at] as number) << 24) |
    ((key[at + 1] as number) << 16) |
    ((key[at + 2] as number) << 8) |
    (key[at + 3] as number);
  if (shift === 0) return high;
  return (high << shift) | ((key[at + 4] as number) >>> (8 - shift));
}

/** A key, made ready for hashing. */
export class ToeplitzKey {
  /** What the octet of value v at place p contributes: entry 256 p + v. */
  private readonly table: Int32Array;

  /** Throws RangeError unless the key has 40 octets. */
  constructor(key: Uint8Array) {
    if (key.length !== TOEPLITZ_KEY_LEN) throw new RangeError(`a key of ${key.length} octets`);
    this.table = new Int32Array(TOEPLITZ_INPUT_MAX * 256);
    const { table } = this;
    for (let place = 0; place < TOEPLITZ_INPUT_MAX; place++) {
      for (let bit = 0; bit < 8; bit++) {
        table[place * 256 + (0x80 >> bit)] = window(key, place * 8 + bit);
      }
      // A value of several bits is its lowest bit and a smaller value, which is known by then.
      for (let value = 1; value < 256; value++) {
        const low = value & -value;
        if (low === value) continue;
        table[place * 256 + value] =
          (table[place * 256 + low] as number) ^ (table[place * 256 + (value ^ low)] as number);
      }
    }
  }

  /** The hash of `len` octets from `at` on as input from octet `place`, to be joined with others by ^. */
  hash(bytes: Uint8Array, at: number, len: number, place = 0): number {
    const { table } = this;
    let result = 0;
    for (let i = 0; i < len; i++) {
      result ^= table[(place + i) * 256 + (bytes[at + i] as number)] as number;
    }
    return result;
  }
}
