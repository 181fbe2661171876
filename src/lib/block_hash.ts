/*
 * What hashes of 64-octet blocks share: gathering octets into blocks, and the end of the message with its
 * length in bits (Merkle and Damgård). Kernel counterpart: the common part of lib/crypto/md5.c and sha1.c.
 */

/** Octets of a block. */
export const HASH_BLOCK_SIZE = 64;

/** A digest in the making. */
export abstract class BlockHash {
  abstract readonly digestSize: number;
  readonly blockSize: number = HASH_BLOCK_SIZE;
  /** Octets taken in so far. */
  private length = 0;
  private readonly buffer: Uint8Array = new Uint8Array(HASH_BLOCK_SIZE);

  /** Takes in one block. */
  protected abstract block(bytes: Uint8Array, at: number): void;

  /** Back to the empty message. */
  reset(): void {
    this.length = 0;
  }

  /** Takes in `len` octets from `at`. */
  update(bytes: Uint8Array, at: number, len: number): void {
    let from = at;
    let left = len;
    const held = this.length & (HASH_BLOCK_SIZE - 1);
    this.length += len;
    if (held !== 0) {
      const n = Math.min(left, HASH_BLOCK_SIZE - held);
      for (let i = 0; i < n; i++) this.buffer[held + i] = bytes[from + i]!;
      from += n;
      left -= n;
      if (held + n < HASH_BLOCK_SIZE) return;
      this.block(this.buffer, 0);
    }
    for (; left >= HASH_BLOCK_SIZE; left -= HASH_BLOCK_SIZE, from += HASH_BLOCK_SIZE) {
      this.block(bytes, from);
    }
    for (let i = 0; i < left; i++) this.buffer[i] = bytes[from + i]!;
  }

  /** Ends the message: a one bit, zeros, and the number of bits in eight octets. */
  protected end(littleEndian: boolean): void {
    const { buffer, length } = this;
    let held = length & (HASH_BLOCK_SIZE - 1);
    buffer[held++] = 0x80;
    if (held > HASH_BLOCK_SIZE - 8) {
      buffer.fill(0, held);
      this.block(buffer, 0);
      held = 0;
    }
    buffer.fill(0, held);
    for (let i = 0, bits = length * 8; i < 8; i++, bits = Math.floor(bits / 256)) {
      buffer[HASH_BLOCK_SIZE - 8 + (littleEndian ? i : 7 - i)] = bits % 256;
    }
    this.block(buffer, 0);
  }
}
