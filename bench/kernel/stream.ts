/** The bytes that cross in a case: the same on both sides of the comparison, and checked by hash. */
import { type Cipher, createCipheriv, createHash, type Hash } from 'node:crypto';

const CHUNK = 65536;
const ZEROS: Uint8Array = new Uint8Array(CHUNK);

/** Bytes that no compression and no luck can guess, from a number. */
export class ByteSource {
  readonly total: number;
  private readonly cipher: Cipher;
  private made: number;
  private readonly hash: Hash;

  constructor(total: number, seed: number) {
    const key = new Uint8Array(16);
    new DataView(key.buffer).setUint32(0, seed);
    this.cipher = createCipheriv('aes-128-ctr', key, new Uint8Array(16));
    this.total = total;
    this.made = 0;
    this.hash = createHash('sha256');
  }

  /** The next bytes; null at the end. */
  next(): Uint8Array | null {
    const size = Math.min(CHUNK, this.total - this.made);
    if (size === 0) return null;
    const chunk = this.cipher.update(ZEROS.subarray(0, size));
    this.made += size;
    this.hash.update(chunk);
    return chunk;
  }

  digest(): string {
    return this.hash.digest('hex');
  }
}

/** Takes in what arrives and notes how. */
export class ByteSink {
  got: number;
  /** Longest time without a byte, ns. */
  longestGapNs: number;
  private lastNs: number;
  private readonly hash: Hash;

  constructor(nowNs: number) {
    this.got = 0;
    this.longestGapNs = 0;
    this.lastNs = nowNs;
    this.hash = createHash('sha256');
  }

  take(bytes: Uint8Array, nowNs: number): void {
    this.got += bytes.length;
    this.longestGapNs = Math.max(this.longestGapNs, nowNs - this.lastNs);
    this.lastNs = nowNs;
    this.hash.update(bytes);
  }

  digest(): string {
    return this.hash.digest('hex');
  }
}
