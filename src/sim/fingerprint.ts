/**
 * A rolling fingerprint of what happens in one place: every event and every frame goes in, in order.
 *
 * Two 32-bit lanes with different multipliers, mixed as in MurmurHash3's finaliser. It tells runs
 * apart; it is no defence against an adversary.
 */
import { view } from '#mm/memory.ts';

export class Fingerprint {
  private a: number;
  private b: number;
  /** Values mixed in so far. */
  count: number;
  private readonly frames: boolean;

  /** `frames`: whether the bytes of frames go in, or only their lengths. */
  constructor(frames = true) {
    this.frames = frames;
    this.a = 0x9e3779b9 | 0;
    this.b = 0x85ebca6b | 0;
    this.count = 0;
  }

  /** Mixes a 32-bit value in. */
  word(value: number): void {
    let a = Math.imul(this.a ^ value, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    this.a = (Math.imul(a, 5) + 0xe6546b64) | 0;
    let b = Math.imul(this.b ^ value, 0x1b873593);
    b = (b << 13) | (b >>> 19);
    this.b = (Math.imul(b, 9) + (this.a | 1)) | 0;
    this.count++;
  }

  /** Mixes the time of an event in ns, low word first, and its kind: as word() does, with both lanes held in registers. */
  event(ns: number, kind: number): void {
    let { a, b } = this;
    let value = ns | 0;
    for (let n = 0; n < 3; n++) {
      a = Math.imul(a ^ value, 0xcc9e2d51);
      a = (Math.imul((a << 15) | (a >>> 17), 5) + 0xe6546b64) | 0;
      b = Math.imul(b ^ value, 0x1b873593);
      b = (Math.imul((b << 13) | (b >>> 19), 9) + (a | 1)) | 0;
      value = n === 0 ? Math.floor(ns / 0x100000000) : kind;
    }
    this.a = a;
    this.b = b;
    this.count += 3;
  }

  /** Mixes bytes of packet memory. */
  frame(addr: number, len: number): void {
    this.word(len);
    if (!this.frames) return;
    // As word() does, with both lanes held in registers: frames are most of what goes in.
    let { a, b } = this;
    const words = addr + (len & ~3);
    for (let at = addr; at < words; at += 4) {
      const value = view.getInt32(at);
      a = Math.imul(a ^ value, 0xcc9e2d51);
      a = (Math.imul((a << 15) | (a >>> 17), 5) + 0xe6546b64) | 0;
      b = Math.imul(b ^ value, 0x1b873593);
      b = (Math.imul((b << 13) | (b >>> 19), 9) + (a | 1)) | 0;
    }
    this.a = a;
    this.b = b;
    this.count += len >> 2;
    for (let at = words; at < addr + len; at++) this.word(view.getUint8(at));
  }

  /** Mixes the characters of a text. */
  text(value: string): void {
    for (let i = 0; i < value.length; i++) this.word(value.charCodeAt(i));
  }

  /** The fingerprint of everything so far: 16 hexadecimal digits. */
  digest(): string {
    const hex = (n: number): string => (n >>> 0).toString(16).padStart(8, '0');
    return hex(finish(this.a ^ this.count)) + hex(finish(this.b ^ this.count));
  }
}

function finish(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
