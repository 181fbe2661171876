/**
 * The memory of a recording: three rings of fixed size over typed arrays. Records have one size; the
 * pointers of a packet are kept once as long as they do not change, and so are its bytes, so that most
 * records of a packet share one snapshot. What is oldest is overwritten. Counterpart in spirit of
 * kernel/trace/ring_buffer.c.
 */
import { type SkBuff, skbMacHeaderWasSet } from '#include/linux/skbuff.ts';
// The plain view: packets of every age are looked at.
import { hostView, mem } from '#mm/memory.ts';
import type { Snapshot } from '#trace/record.ts';

/** 32-bit words of a record, and of a snapshot. */
const RECORD_WORDS = 16;
const SNAP_WORDS = 16;

// Words of a record; the time takes the first two.
const R_WHERE = 2;
const R_KIND = 3;
const R_NAME = 4;
const R_PACKET = 5;
const R_JOURNEY = 6;
const R_OTHER = 7;
const R_SOCK = 8;
const R_ARG = 9;
const R_SNAP = 13;
const R_DEPTH = 14;

// Words of a snapshot.
const S_HEAD = 0;
const S_DATA = 1;
const S_TAIL = 2;
const S_END = 3;
const S_MAC = 4;
const S_NET = 5;
const S_TRANS = 6;
const S_LEN = 7;
const S_DATALEN = 8;
const S_COUNTS = 9;
const S_STATE = 10;
const S_GSO = 11;
const S_PROTO = 12;
const S_BYTES_AT = 13;
const S_BYTES_LEN = 14;
const S_BYTES_OFF = 15;

/** Largest power of two that is not above `n`. */
function powerOfTwo(n: number): number {
  return n < 2 ? 1 : 2 ** (31 - Math.clz32(n));
}

/** What may be filled before a ring counts as full: one busy event may still write thousands of records. */
export function allButSpare(size: number): number {
  return size - (size >> 5);
}

/** Sizes of the three rings. */
interface RingSizes {
  readonly records: number;
  readonly snaps: number;
  readonly bytes: number;
}

function sizesFor(size: number, headerBytes: number): RingSizes {
  const records = powerOfTwo(Math.max(256, Math.floor((size * 0.5) / (RECORD_WORDS * 4))));
  return {
    records,
    snaps: Math.max(128, records >> 1),
    bytes: powerOfTwo(Math.max(Math.floor(size / 4), 64 * headerBytes)),
  };
}

export class TraceRing {
  /** Number of the next record; those from `first` up to it are there. */
  next: number;
  capacity: number;
  /** Up to where the rings grow before what is oldest is overwritten. */
  private readonly most: RingSizes;
  private words: Int32Array;
  private times: Float64Array;
  private mask: number;

  private snaps: Int32Array;
  private snapMask: number;
  private snapCapacity: number;
  /** Number of the next snapshot, from 1. */
  private nextSnap: number;

  private bytes: Uint8Array;
  private bytesView: DataView;
  private nextByte: number;
  /** Total of bytes written so far when a snapshot was made, by its slot: tells what is overwritten. */
  private snapBytesEnd: Float64Array;
  private bytesWritten: number;
  private readonly headerBytes: number;

  /**
   * @param size memory in bytes for everything
   * @param headerBytes most bytes of a packet kept
   * @param firstSize memory to begin with: the rings double when they are full, up to `size`
   */
  constructor(size: number, headerBytes: number, firstSize: number = size) {
    this.most = sizesFor(size, headerBytes);
    const { records, snaps, bytes } = sizesFor(Math.min(size, firstSize), headerBytes);
    this.capacity = records;
    this.mask = this.capacity - 1;
    const buffer = new ArrayBuffer(this.capacity * RECORD_WORDS * 4);
    this.words = new Int32Array(buffer);
    this.times = new Float64Array(buffer);
    this.next = 0;
    this.snapCapacity = snaps;
    this.snapMask = this.snapCapacity - 1;
    this.snaps = new Int32Array(this.snapCapacity * SNAP_WORDS);
    this.snapBytesEnd = new Float64Array(this.snapCapacity);
    this.nextSnap = 1;
    this.headerBytes = headerBytes;
    this.bytes = new Uint8Array(bytes);
    this.bytesView = new DataView(this.bytes.buffer);
    this.nextByte = 0;
    this.bytesWritten = 0;
  }

  /** True when little is left, of records, snapshots or bytes, before the oldest are overwritten. */
  get full(): boolean {
    const { records, snaps, bytes } = this.most;
    return (
      this.next >= allButSpare(records) ||
      this.nextSnap >= allButSpare(snaps) ||
      this.bytesWritten >= allButSpare(bytes)
    );
  }

  private growRecords(): void {
    this.capacity *= 2;
    this.mask = this.capacity - 1;
    const buffer = new ArrayBuffer(this.capacity * RECORD_WORDS * 4);
    const words = new Int32Array(buffer);
    words.set(this.words);
    this.words = words;
    this.times = new Float64Array(buffer);
  }

  private growSnaps(): void {
    this.snapCapacity *= 2;
    this.snapMask = this.snapCapacity - 1;
    const snaps = new Int32Array(this.snapCapacity * SNAP_WORDS);
    snaps.set(this.snaps);
    this.snaps = snaps;
    const ends = new Float64Array(this.snapCapacity);
    ends.set(this.snapBytesEnd);
    this.snapBytesEnd = ends;
  }

  private growBytes(): void {
    const bytes = new Uint8Array(this.bytes.length * 2);
    bytes.set(this.bytes);
    this.bytes = bytes;
    this.bytesView = new DataView(bytes.buffer);
  }

  /** Number of the oldest record that is still there. */
  get first(): number {
    return Math.max(0, this.next - this.capacity);
  }

  /** Memory that the rings take, in bytes. */
  get memoryBytes(): number {
    return (
      this.words.byteLength +
      this.snaps.byteLength +
      this.snapBytesEnd.byteLength +
      this.bytes.byteLength
    );
  }

  clear(): void {
    this.next = 0;
    this.nextSnap = 1;
    this.nextByte = 0;
    this.bytesWritten = 0;
  }

  /** Writes a record; returns its number. */
  push(
    timeNs: number,
    where: number,
    kindDev: number,
    name: number,
    packet: number,
    journey: number,
    other: number,
    sock: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    snap: number,
    depth: number,
  ): number {
    const seq = this.next++;
    if (seq === this.capacity && seq < this.most.records) this.growRecords();
    const slot = seq & this.mask;
    const { words } = this;
    const at = slot * RECORD_WORDS;
    this.times[slot * (RECORD_WORDS / 2)] = timeNs;
    words[at + R_WHERE] = where;
    words[at + R_KIND] = kindDev;
    words[at + R_NAME] = name;
    words[at + R_PACKET] = packet;
    words[at + R_JOURNEY] = journey;
    words[at + R_OTHER] = other;
    words[at + R_SOCK] = sock;
    words[at + R_ARG] = a0;
    words[at + R_ARG + 1] = a1;
    words[at + R_ARG + 2] = a2;
    words[at + R_ARG + 3] = a3;
    words[at + R_SNAP] = snap;
    words[at + R_DEPTH] = depth;
    return seq;
  }

  // Readers: `seq` must be one that is there.

  timeNs(seq: number): number {
    return this.times[(seq & this.mask) * (RECORD_WORDS / 2)] as number;
  }

  private word(seq: number, word: number): number {
    return this.words[(seq & this.mask) * RECORD_WORDS + word] as number;
  }

  where(seq: number): number {
    return this.word(seq, R_WHERE);
  }

  kind(seq: number): number {
    return this.word(seq, R_KIND) & 0xff;
  }

  dev(seq: number): number {
    return this.word(seq, R_KIND) >>> 16;
  }

  name(seq: number): number {
    return this.word(seq, R_NAME);
  }

  packet(seq: number): number {
    return this.word(seq, R_PACKET);
  }

  journey(seq: number): number {
    return this.word(seq, R_JOURNEY);
  }

  other(seq: number): number {
    return this.word(seq, R_OTHER);
  }

  sock(seq: number): number {
    return this.word(seq, R_SOCK);
  }

  arg(seq: number, i: number): number {
    return this.word(seq, R_ARG + i);
  }

  depth(seq: number): number {
    return this.word(seq, R_DEPTH);
  }

  snapNumber(seq: number): number {
    return this.word(seq, R_SNAP);
  }

  // Snapshots.

  /**
   * The number of a snapshot of the packet as it is: `last` when nothing has changed since that one,
   * else a new one.
   */
  snapshot(skb: SkBuff, last: number): number {
    if (this.nextSnap === this.snapCapacity && this.nextSnap < this.most.snaps) this.growSnaps();
    const { snaps } = this;
    const { head, shinfo } = skb;
    const { fragList } = shinfo;
    const counts = (skb.users & 0xffff) | (shinfo.dataref << 16);
    const listed = fragList === null ? 0 : listLength(fragList);
    const state = skb.ipSummed | (skb.cloned ? 4 : 0) | (shinfo.nrFrags << 8) | (listed << 16);
    const gso = (shinfo.gsoSize & 0xffff) | (shinfo.gsoSegs << 16);
    const start = firstByte(skb);
    const length = Math.min(Math.max(skb.tail - start, 0), this.headerBytes);
    // Bytes that were kept before are not kept again.
    let kept = -1;
    let keptEnd = 0;
    // One that is soon overwritten would be lost to the records that still refer to it.
    if (last > 0 && this.nextSnap - last < this.snapCapacity >> 1) {
      const slot = last & this.snapMask;
      const old = slot * SNAP_WORDS;
      keptEnd = this.snapBytesEnd[slot] as number;
      if (
        snaps[old + S_BYTES_LEN] === length &&
        snaps[old + S_BYTES_AT] === start - head &&
        (snaps[old + S_STATE] as number) >>> 8 === state >>> 8 &&
        this.bytesWritten - keptEnd < this.bytes.length >> 1 &&
        this.sameBytes(snaps[old + S_BYTES_OFF] as number, start, length) &&
        (state >>> 8 === 0 ||
          this.sameSizes((snaps[old + S_BYTES_OFF] as number) + length, skb, listed))
      ) {
        kept = snaps[old + S_BYTES_OFF] as number;
        if (
          snaps[old + S_HEAD] === head &&
          snaps[old + S_DATA] === skb.data &&
          snaps[old + S_TAIL] === skb.tail &&
          snaps[old + S_MAC] === skb.macHeader &&
          snaps[old + S_NET] === skb.networkHeader &&
          snaps[old + S_TRANS] === skb.transportHeader &&
          snaps[old + S_LEN] === skb.len &&
          snaps[old + S_COUNTS] === counts &&
          snaps[old + S_STATE] === state &&
          snaps[old + S_GSO] === gso &&
          snaps[old + S_PROTO] === skb.protocol
        ) {
          return last;
        }
      }
    }
    const number = this.nextSnap++;
    const slot = number & this.snapMask;
    const at = slot * SNAP_WORDS;
    snaps[at + S_HEAD] = head;
    snaps[at + S_DATA] = skb.data;
    snaps[at + S_TAIL] = skb.tail;
    snaps[at + S_END] = skb.end;
    snaps[at + S_MAC] = skb.macHeader;
    snaps[at + S_NET] = skb.networkHeader;
    snaps[at + S_TRANS] = skb.transportHeader;
    snaps[at + S_LEN] = skb.len;
    snaps[at + S_DATALEN] = skb.dataLen;
    snaps[at + S_COUNTS] = counts;
    snaps[at + S_STATE] = state;
    snaps[at + S_GSO] = gso;
    snaps[at + S_PROTO] = skb.protocol;
    snaps[at + S_BYTES_AT] = start - head;
    snaps[at + S_BYTES_LEN] = length;
    if (kept < 0) {
      kept = this.storeBytes(start, length, skb, listed);
      keptEnd = this.bytesWritten;
    }
    snaps[at + S_BYTES_OFF] = kept;
    this.snapBytesEnd[slot] = keptEnd;
    return number;
  }

  /** Have the packet's head, data or tail moved since a snapshot? False where that is gone. */
  moved(skb: SkBuff, last: number): boolean {
    if (last <= 0 || this.nextSnap - last > this.snapCapacity) return false;
    const at = (last & this.snapMask) * SNAP_WORDS;
    const { snaps } = this;
    return (
      snaps[at + S_HEAD] !== skb.head ||
      snaps[at + S_DATA] !== skb.data ||
      snaps[at + S_TAIL] !== skb.tail
    );
  }

  private sameBytes(offset: number, addr: number, length: number): boolean {
    const { bytesView } = this;
    let i = 0;
    for (; i + 4 <= length; i += 4) {
      if (bytesView.getInt32(offset + i) !== hostView.getInt32(addr + i)) return false;
    }
    for (; i < length; i++) if (this.bytes[offset + i] !== mem[addr + i]) return false;
    return true;
  }

  /** Are the sizes of the fragments still what lies at `offset`? */
  private sameSizes(offset: number, skb: SkBuff, listed: number): boolean {
    const { bytesView } = this;
    const { nrFrags, fragSize, fragList } = skb.shinfo;
    let at = offset;
    for (let i = 0; i < nrFrags; i++, at += 4) {
      if (bytesView.getInt32(at) !== fragSize[i]) return false;
    }
    let part = fragList;
    for (let i = 0; i < listed && part !== null; i++, at += 4, part = part.next) {
      if (bytesView.getInt32(at) !== part.len) return false;
    }
    return true;
  }

  /** Keeps bytes, and after them the sizes of the fragments; where they lie. */
  private storeBytes(addr: number, length: number, skb: SkBuff, listed: number): number {
    const { nrFrags, fragSize, fragList } = skb.shinfo;
    const total = length + 4 * (nrFrags + listed);
    while (this.bytesWritten === this.nextByte && this.nextByte + total > this.bytes.length) {
      if (this.bytes.length >= this.most.bytes) break;
      this.growBytes();
    }
    let at = this.nextByte;
    if (at + total > this.bytes.length) {
      this.bytesWritten += this.bytes.length - at;
      at = 0;
    }
    const { bytesView } = this;
    let i = 0;
    for (; i + 4 <= length; i += 4) bytesView.setInt32(at + i, hostView.getInt32(addr + i));
    for (; i < length; i++) this.bytes[at + i] = mem[addr + i] as number;
    let to = at + length;
    for (i = 0; i < nrFrags; i++, to += 4) bytesView.setInt32(to, fragSize[i] as number);
    let part = fragList;
    for (i = 0; i < listed && part !== null; i++, to += 4, part = part.next) {
      bytesView.setInt32(to, part.len);
    }
    this.nextByte = at + total;
    this.bytesWritten += total;
    return at;
  }

  /** A snapshot by its number, or null when it has been overwritten. */
  readSnapshot(number: number): Snapshot | null {
    if (number <= 0 || number >= this.nextSnap || this.nextSnap - number > this.snapCapacity) {
      return null;
    }
    const slot = number & this.snapMask;
    const at = slot * SNAP_WORDS;
    const w = (word: number): number => this.snaps[at + word] as number;
    const head = w(S_HEAD);
    const end = this.snapBytesEnd[slot] as number;
    const offset = w(S_BYTES_OFF);
    const counts = w(S_COUNTS);
    const state = w(S_STATE);
    const nrFrags = (state >>> 8) & 0xff;
    const listed = state >>> 16;
    const length = w(S_BYTES_LEN);
    const total = length + 4 * (nrFrags + listed);
    const kept = this.bytesWritten - end <= this.bytes.length - total;
    const sizes = (first: number, count: number): number[] =>
      Array.from({ length: kept ? count : 0 }, (_, i) =>
        this.bytesView.getInt32(offset + length + 4 * (first + i)),
      );
    const from = (address: number): number => (address < 0 ? -1 : address - head);
    return {
      head,
      data: w(S_DATA) - head,
      tail: w(S_TAIL) - head,
      end: w(S_END) - head,
      macHeader: from(w(S_MAC)),
      networkHeader: from(w(S_NET)),
      transportHeader: from(w(S_TRANS)),
      len: w(S_LEN),
      dataLen: w(S_DATALEN),
      users: counts & 0xffff,
      dataref: counts >>> 16,
      ipSummed: state & 3,
      cloned: (state & 4) !== 0,
      nrFrags,
      fragSizes: sizes(0, nrFrags),
      fragListSizes: sizes(nrFrags, listed),
      gsoSize: w(S_GSO) & 0xffff,
      gsoSegs: w(S_GSO) >>> 16,
      protocol: w(S_PROTO),
      bytesAt: w(S_BYTES_AT),
      bytes: kept ? this.bytes.slice(offset, offset + length) : new Uint8Array(0),
    };
  }
}

/** Most packets of a frag_list whose sizes are kept. */
const MAX_LISTED = 64;

/** Packets of a frag_list, as far as their sizes are kept. */
function listLength(first: SkBuff): number {
  let n = 1;
  let at = first.next;
  for (; at !== null && n < MAX_LISTED; at = at.next) n++;
  return n;
}

/** Address of the first header that is set and lies in the head, else of the data. */
function firstByte(skb: SkBuff): number {
  const { head, data } = skb;
  let start = data;
  const { networkHeader } = skb;
  if (networkHeader >= head && networkHeader < start) start = networkHeader;
  const { macHeader } = skb;
  if (skbMacHeaderWasSet(skb) && macHeader >= head && macHeader < start) start = macHeader;
  return start;
}
