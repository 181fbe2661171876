/*
 * HMAC-SHA-1: a digest with a key. Kernel counterpart: hmac_sha1 of lib/crypto/sha1.c. RFC 2104.
 */
import { SHA1_DIGEST_SIZE, Sha1 } from '#lib/sha1.ts';

/** A code in the making; the key stays until another is set. */
export class HmacSha1 {
  readonly digestSize: number = SHA1_DIGEST_SIZE;
  private readonly hash: Sha1 = new Sha1();
  private readonly inner: Uint8Array = new Uint8Array(64);
  private readonly outer: Uint8Array = new Uint8Array(64);
  private readonly digest: Uint8Array = new Uint8Array(SHA1_DIGEST_SIZE);

  /** A key longer than a block is replaced by its digest. */
  setKey(key: Uint8Array): void {
    const { hash, inner, outer } = this;
    inner.fill(0);
    if (key.length > inner.length) {
      hash.reset();
      hash.update(key, 0, key.length);
      hash.final(inner, 0);
    } else {
      inner.set(key);
    }
    for (let i = 0; i < inner.length; i++) {
      outer[i] = inner[i]! ^ 0x5c;
      inner[i] = inner[i]! ^ 0x36;
    }
    this.reset();
  }

  /** Back to the empty message, under the same key. */
  reset(): void {
    this.hash.reset();
    this.hash.update(this.inner, 0, this.inner.length);
  }

  update(bytes: Uint8Array, at: number, len: number): void {
    this.hash.update(bytes, at, len);
  }

  /** Ends the message and writes the code. The next one begins with reset(). */
  final(out: Uint8Array, at: number): void {
    const { hash, digest } = this;
    hash.final(digest, 0);
    hash.reset();
    hash.update(this.outer, 0, this.outer.length);
    hash.update(digest, 0, digest.length);
    hash.final(out, at);
  }
}
