/**
 * Who a packet is: its number in the recording, where it came from, what became of it. Bounded: what is
 * known of the oldest packets is overwritten.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';

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
  readonly capacity: number;
  private readonly mask: number;
  readonly machine: Int32Array;
  readonly id: Float64Array;
  readonly journey: Int32Array;
  readonly parent: Int32Array;
  readonly how: Int32Array;
  readonly cause: Int32Array;
  readonly mergedInto: Int32Array;
  readonly bornSeq: Float64Array;
  readonly bornNs: Float64Array;
  readonly endSeq: Float64Array;
  readonly endNs: Float64Array;
  readonly reason: Int32Array;
  readonly location: Int32Array;
  readonly lastSnap: Int32Array;

  /** @param capacity a power of two */
  constructor(capacity: number) {
    this.next = 1;
    this.capacity = capacity;
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
