/**
 * Who a packet is: its number in the recording, where it came from, what became of it. Bounded: what is
 * known of the oldest packets is overwritten.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { allButSpare } from '#trace/ring.ts';

/** Numbers of packets by `skb.id` that are found at once; older ones that still live go to a map. */
const ID_SLOTS = 1 << 14;

/** The numbers of one machine's packets. `skb.id` grows with every packet and is never used again. */
export class PacketIds {
  private readonly ids: Float64Array = new Float64Array(ID_SLOTS);
  private readonly packets: Int32Array = new Int32Array(ID_SLOTS);
  private readonly spilled: Map<number, number> = new Map();

  /** 0: not known. */
  find(id: number): number {
    const slot = id & (ID_SLOTS - 1);
    if (this.ids[slot] === id) return this.packets[slot] as number;
    return this.spilled.size === 0 ? 0 : (this.spilled.get(id) ?? 0);
  }

  set(id: number, packet: number): void {
    const slot = id & (ID_SLOTS - 1);
    const there = this.ids[slot] as number;
    if (there !== 0 && there !== id) this.spilled.set(there, this.packets[slot] as number);
    if (this.spilled.size > 0) this.spilled.delete(id);
    this.ids[slot] = id;
    this.packets[slot] = packet;
  }

  remove(id: number): void {
    const slot = id & (ID_SLOTS - 1);
    if (this.ids[slot] === id) {
      this.ids[slot] = 0;
      this.packets[slot] = 0;
    } else {
      this.spilled.delete(id);
    }
  }

  /** Packets that live, as far as is known. */
  live(): number[] {
    const list: number[] = [];
    for (let i = 0; i < ID_SLOTS; i++) if (this.ids[i] !== 0) list.push(this.packets[i] as number);
    list.push(...this.spilled.values());
    return list;
  }
}

/** Packets by number, from 1; of each the last `capacity`. */
export class PacketTable {
  /** Number of the next packet. */
  next: number;
  capacity: number;
  private readonly most: number;
  private mask: number;
  machine: Int32Array;
  id: Float64Array;
  journey: Int32Array;
  parent: Int32Array;
  how: Int32Array;
  cause: Int32Array;
  mergedInto: Int32Array;
  bornSeq: Float64Array;
  bornNs: Float64Array;
  endSeq: Float64Array;
  endNs: Float64Array;
  reason: Int32Array;
  location: Int32Array;
  lastSnap: Int32Array;

  /**
   * @param capacity a power of two
   * @param most up to where the table doubles when it is full; a power of two
   */
  constructor(capacity: number, most: number = capacity) {
    this.next = 1;
    this.capacity = capacity;
    this.most = Math.max(capacity, most);
    this.mask = capacity - 1;
    this.machine = new Int32Array(capacity);
    this.id = new Float64Array(capacity);
    this.journey = new Int32Array(capacity);
    this.parent = new Int32Array(capacity);
    this.how = new Int32Array(capacity);
    this.cause = new Int32Array(capacity);
    this.mergedInto = new Int32Array(capacity);
    this.bornSeq = new Float64Array(capacity);
    this.bornNs = new Float64Array(capacity);
    this.endSeq = new Float64Array(capacity);
    this.endNs = new Float64Array(capacity);
    this.reason = new Int32Array(capacity);
    this.location = new Int32Array(capacity);
    this.lastSnap = new Int32Array(capacity);
  }

  /** True when little is left before the oldest packets are overwritten. */
  get full(): boolean {
    return this.next >= allButSpare(this.most);
  }

  private grow(): void {
    this.capacity *= 2;
    this.mask = this.capacity - 1;
    this.machine = twice(this.machine);
    this.id = twice(this.id);
    this.journey = twice(this.journey);
    this.parent = twice(this.parent);
    this.how = twice(this.how);
    this.cause = twice(this.cause);
    this.mergedInto = twice(this.mergedInto);
    this.bornSeq = twice(this.bornSeq);
    this.bornNs = twice(this.bornNs);
    this.endSeq = twice(this.endSeq);
    this.endNs = twice(this.endNs);
    this.reason = twice(this.reason);
    this.location = twice(this.location);
    this.lastSnap = twice(this.lastSnap);
  }

  /** Number of the oldest packet that is still known. */
  get first(): number {
    return Math.max(1, this.next - this.capacity);
  }

  has(packet: number): boolean {
    return packet >= this.first && packet < this.next;
  }

  slot(packet: number): number {
    return packet & this.mask;
  }

  /** A new packet; `parent` 0 for one that begins a journey. */
  add(
    skb: SkBuff,
    machine: number,
    parent: number,
    how: number,
    cause: number,
    seq: number,
    timeNs: number,
  ): number {
    const packet = this.next++;
    if (packet === this.capacity && packet < this.most) this.grow();
    const i = packet & this.mask;
    this.machine[i] = machine;
    this.id[i] = skb.id;
    this.parent[i] = parent;
    this.journey[i] = this.has(parent) ? (this.journey[this.slot(parent)] as number) : packet;
    this.how[i] = how;
    this.cause[i] = cause;
    this.mergedInto[i] = 0;
    this.bornSeq[i] = seq;
    this.bornNs[i] = timeNs;
    this.endSeq[i] = -1;
    this.endNs[i] = 0;
    this.reason[i] = 0;
    this.location[i] = 0;
    this.lastSnap[i] = 0;
    return packet;
  }

  /** `child` turns out to come from `parent`: it joins its journey. */
  adopt(child: number, parent: number, how: number): void {
    if (!this.has(child) || !this.has(parent) || child === parent) return;
    const i = child & this.mask;
    this.parent[i] = parent;
    this.how[i] = how;
    this.journey[i] = this.journey[this.slot(parent)] as number;
  }
}

/** The same numbers in an array of twice the length. */
function twice<T extends Int32Array | Float64Array>(array: T): T {
  const larger = new (array.constructor as new (length: number) => T)(array.length * 2);
  larger.set(array);
  return larger;
}
