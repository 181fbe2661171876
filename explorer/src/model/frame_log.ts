/** All frames that were on cables, in columns that grow, and which of them are under way at a moment. */
import type { DropMark, FrameBatch } from '../protocol.ts';

const FIRST = 4096;

export class FrameLog {
  length = 0;
  cable: Uint16Array = new Uint16Array(FIRST);
  direction: Uint8Array = new Uint8Array(FIRST);
  depart: Float64Array = new Float64Array(FIRST);
  arrive: Float64Array = new Float64Array(FIRST);
  packet: Int32Array = new Int32Array(FIRST);
  kind: Uint8Array = new Uint8Array(FIRST);
  fate: Uint8Array = new Uint8Array(FIRST);
  size: Uint16Array = new Uint16Array(FIRST);
  readonly drops: DropMark[] = [];
  /** The longest that a frame was under way: how far back to look. */
  private longest = 0;

  add(batch: FrameBatch): void {
    const count = batch.cable.length;
    while (this.length + count > this.cable.length) this.grow();
    const at = this.length;
    this.cable.set(batch.cable, at);
    this.direction.set(batch.direction, at);
    this.depart.set(batch.departNs, at);
    this.arrive.set(batch.arriveNs, at);
    this.packet.set(batch.packet, at);
    this.kind.set(batch.kind, at);
    this.fate.set(batch.fate, at);
    this.size.set(batch.length, at);
    this.length += count;
    for (let i = 0; i < count; i++) {
      const flight = (batch.arriveNs[i] ?? 0) - (batch.departNs[i] ?? 0);
      if (flight > this.longest) this.longest = flight;
    }
  }

  private grow(): void {
    const size = this.cable.length * 2;
    const larger = <T extends { set(from: T): void }>(make: T, from: T): T => {
      make.set(from);
      return make;
    };
    this.cable = larger(new Uint16Array(size), this.cable);
    this.direction = larger(new Uint8Array(size), this.direction);
    this.depart = larger(new Float64Array(size), this.depart);
    this.arrive = larger(new Float64Array(size), this.arrive);
    this.packet = larger(new Int32Array(size), this.packet);
    this.kind = larger(new Uint8Array(size), this.kind);
    this.fate = larger(new Uint8Array(size), this.fate);
    this.size = larger(new Uint16Array(size), this.size);
  }

  clear(): void {
    this.length = 0;
    this.longest = 0;
    this.drops.length = 0;
  }

  /** The first frame that departs after a time. */
  after(timeNs: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.depart[middle] ?? 0) <= timeNs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Calls `visit` with each frame under way at a moment. */
  underWay(timeNs: number, lingerNs: number, visit: (index: number) => void): void {
    const end = this.after(timeNs);
    for (let i = this.after(timeNs - this.longest - lingerNs); i < end; i++) {
      if ((this.arrive[i] ?? 0) + lingerNs >= timeNs) visit(i);
    }
  }

  /** Is a frame under way? */
  busy(timeNs: number): boolean {
    const end = this.after(timeNs);
    for (let i = this.after(timeNs - this.longest); i < end; i++) {
      if ((this.arrive[i] ?? 0) >= timeNs) return true;
    }
    return false;
  }

  /** How many frames depart in each of `slots` equal parts of a time. */
  histogram(fromNs: number, toNs: number, slots: number): Uint32Array {
    const counts = new Uint32Array(slots);
    const width = (toNs - fromNs) / slots;
    if (!(width > 0)) return counts;
    const end = this.after(toNs);
    for (let i = this.after(fromNs - 1); i < end; i++) {
      const slot = Math.min(slots - 1, Math.floor(((this.depart[i] ?? 0) - fromNs) / width));
      counts[slot] = (counts[slot] ?? 0) + 1;
    }
    return counts;
  }
}
