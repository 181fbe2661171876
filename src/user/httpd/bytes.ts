/*
 * Bytes that anybody can make again: the same number gives the same bytes, on every machine. Made in blocks, so
 * that any part of them can be had without the ones before.
 */

/** Bytes of a block. */
export const BLOCK_BYTES = 65536;

/** Block `number` of the stream, the last one shorter. A generator of Marsaglia's fills each block. */
export function makeBlock(number: number, length: number = BLOCK_BYTES): Uint8Array {
  const words = new Uint32Array(BLOCK_BYTES / 4);
  // Any seed but zero will do; neighbouring blocks must not start alike.
  let x = (Math.imul(number + 1, 0x9e3779b1) | 1) >>> 0;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** Blocks of `length` bytes in all. */
export function* makeBytes(length: number): Generator<Uint8Array, void, void> {
  for (let offset = 0; offset < length; offset += BLOCK_BYTES) {
    yield makeBlock(offset / BLOCK_BYTES, Math.min(BLOCK_BYTES, length - offset));
  }
}
