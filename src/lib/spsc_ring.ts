/**
 * A ring of records in shared memory, from one producer to one consumer: how frames cross from thread
 * to thread. Counterpart in spirit of include/linux/circ_buf.h and of ivshmem's rings.
 *
 * Each side keeps its own position and a copy of the other's, which it only reads anew when the copy
 * says full or empty: so a batch costs one shared read and one shared write. Positions count bytes and
 * wrap at 2^32. A record lies in one piece; where it does not fit before the end of the memory, a pad
 * record fills the rest. What a producer has written is not seen before {@link publish}, so no record
 * is ever seen half written: the atomic store of the position comes after all writes of the bytes.
 *
 * A side that has nothing to do sets its word that it waits, looks once more, and sleeps on that very word
 * while it is set; who has news clears it before it wakes. So a wake-up that comes before the sleep is
 * found in the word, whatever became of the news meanwhile.
 *
 *     | header words, each side's on cache lines of its own | data: capacity bytes, a power of two     |
 *       record: [length: int32][kind: int32][payload, padded to 8 bytes]
 */

/** Words of the header: lines of 64 bytes, so that the two sides do not fight for one. */
const HEAD = 0;
const CONSUMER_WAITS = 16;
const TAIL = 32;
const PRODUCER_WAITS = 48;
const STATE = 64;
const HEADER_BYTES = 512;

/** Length that says: nothing more before the end of the memory. */
const PAD = -1;

const RECORD_HEADER = 8;

/** Smallest and largest ring. */
const MIN_CAPACITY = 256;
const MAX_CAPACITY = 1 << 30;

/** Memory for a ring of at least `capacity` bytes. Throws RangeError. */
export function spscRingMemory(capacity: number): SharedArrayBuffer {
  if (!(capacity >= MIN_CAPACITY && capacity <= MAX_CAPACITY)) {
    throw new RangeError(`a ring has ${MIN_CAPACITY} to ${MAX_CAPACITY} bytes, not ${capacity}`);
  }
  let size = MIN_CAPACITY;
  while (size < capacity) size *= 2;
  return new SharedArrayBuffer(HEADER_BYTES + size);
}

/** The value of a word that says that a side waits. */
const WAITING = 1;

/** What to give to Atomics.waitAsync(), for threads that may not block. */
export interface RingSignal {
  readonly words: Int32Array;
  readonly index: number;
  readonly value: number;
}

/** The memory of a ring, as both sides see it. */
class RingMemory {
  readonly memory: SharedArrayBuffer;
  protected readonly words: Int32Array;
  /** The whole memory as bytes: payload positions index it. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacity: number;
  protected readonly mask: number;

  constructor(memory: SharedArrayBuffer) {
    const capacity = memory.byteLength - HEADER_BYTES;
    if (capacity < MIN_CAPACITY || (capacity & (capacity - 1)) !== 0) {
      throw new RangeError('this is no memory of a ring');
    }
    this.memory = memory;
    this.words = new Int32Array(memory);
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
    this.capacity = capacity;
    this.mask = capacity - 1;
  }

  /** The longest payload that always fits once the ring is empty, wherever its positions stand. */
  get maxPayload(): number {
    return this.capacity / 2 - RECORD_HEADER;
  }

  /** What the producer says of itself: a number that means nothing to the ring. */
  get state(): number {
    return Atomics.load(this.words, STATE);
  }
}

function paddedLength(length: number): number {
  return RECORD_HEADER + ((length + 7) & ~7);
}

/** The side that writes. */
export class SpscProducer extends RingMemory {
  /** Where the next record goes; ahead of the published position within a batch. */
  private head: number;
  private published: number;
  /** The consumer's position as last read. */
  private tail: number;
  private reserved: number;
  /** What to sleep on after {@link armRoom}. */
  readonly roomSignal: RingSignal;

  constructor(memory: SharedArrayBuffer) {
    super(memory);
    this.roomSignal = { words: this.words, index: PRODUCER_WAITS, value: WAITING };
    this.head = Atomics.load(this.words, HEAD);
    this.published = this.head;
    this.tail = Atomics.load(this.words, TAIL);
    this.reserved = -1;
  }

  /** Bytes free by the last reading; a fresh one when those are fewer than `wanted`. */
  room(wanted: number): number {
    let free = this.capacity - ((this.head - this.tail) >>> 0);
    if (free < wanted) {
      this.tail = Atomics.load(this.words, TAIL);
      free = this.capacity - ((this.head - this.tail) >>> 0);
    }
    return free;
  }

  /** Whether a record of `length` bytes fits now, wherever the end of the memory is. */
  fits(length: number): boolean {
    const needed = paddedLength(length);
    return this.room(2 * needed) >= 2 * needed || this.place(needed) >= 0;
  }

  /** Position in {@link bytes} where a payload of `length` bytes may be written, or -1: no room. */
  reserve(length: number): number {
    const needed = paddedLength(length);
    const at = this.place(needed);
    if (at < 0) return -1;
    const offset = at & this.mask;
    if ((at | 0) !== this.head) {
      this.words[(HEADER_BYTES + (this.head & this.mask)) >> 2] = PAD;
      this.head = at | 0;
    }
    this.reserved = HEADER_BYTES + offset;
    return this.reserved + RECORD_HEADER;
  }

  /** The reserved record is complete: `length` bytes, no more than were reserved. */
  commit(length: number, kind: number): void {
    const at = this.reserved >> 2;
    this.words[at] = length;
    this.words[at + 1] = kind;
    this.head = (this.head + paddedLength(length)) | 0;
    this.reserved = -1;
  }

  /** Copies a whole record in; false: no room. */
  push(payload: Uint8Array, kind: number): boolean {
    const at = this.reserve(payload.length);
    if (at < 0) return false;
    this.bytes.set(payload, at);
    this.commit(payload.length, kind);
    return true;
  }

  /** Lets the consumer see what was committed. True: it waits, and was woken where it sleeps in {@link SpscConsumer.wait}. */
  publish(): boolean {
    if (this.published === this.head) return false;
    this.published = this.head;
    Atomics.store(this.words, HEAD, this.head);
    if (Atomics.load(this.words, CONSUMER_WAITS) === 0) return false;
    Atomics.store(this.words, CONSUMER_WAITS, 0);
    Atomics.notify(this.words, CONSUMER_WAITS);
    return true;
  }

  /** Says something of itself, and wakes the consumer where it waits. */
  setState(state: number): void {
    Atomics.store(this.words, STATE, state);
    Atomics.store(this.words, CONSUMER_WAITS, 0);
    Atomics.notify(this.words, CONSUMER_WAITS);
  }

  /** Asks to be told when there is room for `length` bytes. False: there is now, and nobody will tell. */
  armRoom(length: number): boolean {
    Atomics.store(this.words, PRODUCER_WAITS, WAITING);
    if (!this.fits(length)) return true;
    Atomics.store(this.words, PRODUCER_WAITS, 0);
    return false;
  }

  /** Sleeps until the consumer has moved on, at most `timeoutMs`. Not on a thread that may not block. */
  wait(length: number, timeoutMs: number): void {
    if (this.armRoom(length)) Atomics.wait(this.words, PRODUCER_WAITS, WAITING, timeoutMs);
  }

  /** Position for a record of `needed` bytes with its header, past a pad if need be; -1: no room. */
  private place(needed: number): number {
    const toEnd = this.capacity - (this.head & this.mask);
    const skip = toEnd < needed ? toEnd : 0;
    if (this.room(skip + needed) < skip + needed) return -1;
    return (this.head + skip) >>> 0;
  }
}

/** The side that reads. */
export class SpscConsumer extends RingMemory {
  private tail: number;
  private released: number;
  /** The producer's position as last read. */
  private head: number;
  /** Of the record that {@link peek} found. */
  length: number;
  kind: number;
  /** What to sleep on after {@link arm}. */
  readonly recordSignal: RingSignal;

  constructor(memory: SharedArrayBuffer) {
    super(memory);
    this.recordSignal = { words: this.words, index: CONSUMER_WAITS, value: WAITING };
    this.tail = Atomics.load(this.words, TAIL);
    this.released = this.tail;
    this.head = Atomics.load(this.words, HEAD);
    this.length = 0;
    this.kind = 0;
  }

  /** Position of the next record's payload in {@link bytes}, with `length` and `kind` set; -1: none. */
  peek(): number {
    for (;;) {
      if (this.tail === this.head) {
        this.head = Atomics.load(this.words, HEAD);
        if (this.tail === this.head) return -1;
      }
      const offset = this.tail & this.mask;
      const at = (HEADER_BYTES + offset) >> 2;
      const length = this.words[at] as number;
      if (length !== PAD) {
        this.length = length;
        this.kind = this.words[at + 1] as number;
        return HEADER_BYTES + offset + RECORD_HEADER;
      }
      this.tail = (this.tail + this.capacity - offset) | 0;
    }
  }

  /** Done with the record that {@link peek} found. */
  next(): void {
    this.tail = (this.tail + paddedLength(this.length)) | 0;
  }

  /** Gives the room of what was read back. True: the producer waits for it, and was woken. */
  release(): boolean {
    if (this.released === this.tail) return false;
    this.released = this.tail;
    Atomics.store(this.words, TAIL, this.tail);
    if (Atomics.load(this.words, PRODUCER_WAITS) === 0) return false;
    Atomics.store(this.words, PRODUCER_WAITS, 0);
    Atomics.notify(this.words, PRODUCER_WAITS);
    return true;
  }

  /** Asks to be told of the next record. False: there is one already, and nobody will tell. */
  arm(): boolean {
    Atomics.store(this.words, CONSUMER_WAITS, WAITING);
    if (this.peek() < 0) return true;
    Atomics.store(this.words, CONSUMER_WAITS, 0);
    return false;
  }

  /** Sleeps until there is a record, at most `timeoutMs`. Not on a thread that may not block. */
  wait(timeoutMs: number): void {
    if (this.arm()) Atomics.wait(this.words, CONSUMER_WAITS, WAITING, timeoutMs);
  }
}
