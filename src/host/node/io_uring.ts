/**
 * Writes in batches: one system call for many frames, by an io_uring of the kernel's.
 *
 * Each write is a submission of its own, marked RWF_NOWAIT: it is carried out where it stands in the
 * batch, inside io_uring_enter(), or fails with EAGAIN there; none is ever put off to a thread of the
 * kernel or to a later poll. So frames keep their order without links between them, and when submit()
 * returns, all buffers are free again. Kernel documentation: io_uring(7), io_uring_enter(2).
 */
import { closeSync } from 'node:fs';
import type { Libc } from '#host/node/libc.ts';
import { EINTR, EINVAL } from '#uapi/errno.ts';

// struct io_uring_params, with struct io_sqring_offsets and struct io_cqring_offsets in it.
const PARAMS_SIZE = 120;
const PARAMS_FLAGS = 8;
const PARAMS_FEATURES = 20;
const SQ_OFF = 40;
const CQ_OFF = 80;
const OFF_HEAD = 0;
const OFF_TAIL = 4;
const OFF_MASK = 8;
const OFF_ENTRIES = 12;
const SQ_OFF_ARRAY = 24;
const CQ_OFF_CQES = 20;

const IORING_SETUP_COOP_TASKRUN = 1 << 8;
const IORING_SETUP_SINGLE_ISSUER = 1 << 12;
const IORING_FEAT_SINGLE_MMAP = 1;
const IORING_OFF_SQ_RING = 0;
const IORING_OFF_CQ_RING = 0x8000000;
const IORING_OFF_SQES = 0x10000000;
const IORING_ENTER_GETEVENTS = 1;
const IORING_OP_WRITE = 23;
const RWF_NOWAIT = 8;

const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;

const CQE_SIZE = 16;
/** Words of struct io_uring_sqe. */
const SQE_WORDS = 16;
const SQE_FD = 1;
const SQE_ADDR = 4;
const SQE_LEN = 6;
const SQE_RW_FLAGS = 7;
const SQE_USER_DATA = 8;

interface Mapping {
  readonly address: number;
  readonly length: number;
}

/** The rings of an io_uring, and where they lie. */
interface Rings {
  readonly fd: number;
  readonly mappings: readonly Mapping[];
  readonly sq: Uint32Array;
  readonly cq: Int32Array;
  readonly sqes: Uint32Array;
  /** Words into `sq` and `cq`. */
  readonly sqHead: number;
  readonly sqTail: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cqes: number;
  readonly sqMask: number;
  readonly cqMask: number;
}

function setup(libc: Libc, entries: number, flags: number, params: DataView): number {
  new Uint8Array(params.buffer).fill(0);
  params.setUint32(PARAMS_FLAGS, flags, true);
  return libc.ioUringSetup(entries, new Uint8Array(params.buffer));
}

/** The rings, or a negative errno. */
function openRings(libc: Libc, entries: number): Rings | number {
  const params = new DataView(new ArrayBuffer(PARAMS_SIZE));
  // Kernels before 6.0 do not know these.
  let fd = setup(libc, entries, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER, params);
  if (fd < 0 && libc.errno() === EINVAL) fd = setup(libc, entries, 0, params);
  if (fd < 0) return -libc.errno();
  const word = (at: number): number => params.getUint32(at, true);
  const mappings: Mapping[] = [];
  const map = (length: number, offset: number): ArrayBuffer | null => {
    const address = libc.mmap(0, length, PROT_READ_WRITE, MAP_SHARED_POPULATE, fd, offset);
    if (address === -1) return null;
    mappings.push({ address, length });
    return libc.view(address, length);
  };
  const sqLength = word(SQ_OFF + SQ_OFF_ARRAY) + word(0) * 4;
  const cqLength = word(CQ_OFF + CQ_OFF_CQES) + word(4) * CQE_SIZE;
  const single = (word(PARAMS_FEATURES) & IORING_FEAT_SINGLE_MMAP) !== 0;
  const sq = map(single ? Math.max(sqLength, cqLength) : sqLength, IORING_OFF_SQ_RING);
  const cq = single ? sq : map(cqLength, IORING_OFF_CQ_RING);
  const sqes = map(word(0) * SQE_WORDS * 4, IORING_OFF_SQES);
  if (sq === null || cq === null || sqes === null) {
    const errno = libc.errno();
    for (const { address, length } of mappings) libc.munmap(address, length);
    closeSync(fd);
    return -errno;
  }
  const sqWords = new Uint32Array(sq);
  const cqWords = new Int32Array(cq);
  // Submissions are taken in the order in which they lie.
  const array = word(SQ_OFF + SQ_OFF_ARRAY) >> 2;
  const sqEntries = sqWords[word(SQ_OFF + OFF_ENTRIES) >> 2] as number;
  for (let i = 0; i < sqEntries; i++) sqWords[array + i] = i;
  return {
    fd,
    mappings,
    sq: sqWords,
    cq: cqWords,
    sqes: new Uint32Array(sqes),
    sqHead: word(SQ_OFF + OFF_HEAD) >> 2,
    sqTail: word(SQ_OFF + OFF_TAIL) >> 2,
    cqHead: word(CQ_OFF + OFF_HEAD) >> 2,
    cqTail: word(CQ_OFF + OFF_TAIL) >> 2,
    cqes: word(CQ_OFF + CQ_OFF_CQES) >> 2,
    sqMask: sqWords[word(SQ_OFF + OFF_MASK) >> 2] as number,
    cqMask: cqWords[word(CQ_OFF + OFF_MASK) >> 2] as number,
  };
}

/** An io_uring for writes of one thread. */
export class WriteRing {
  private readonly libc: Libc;
  private readonly rings: Rings;
  /** Writes that were prepared since the last submit(). */
  private count: number;
  private closed: boolean;

  private constructor(libc: Libc, rings: Rings) {
    this.libc = libc;
    this.rings = rings;
    this.count = 0;
    this.closed = false;
  }

  /**
   * A ring for up to `entries` writes at once, a power of two, or a negative errno: -ENOSYS and -EPERM
   * where the kernel has none or allows none.
   */
  static open(libc: Libc, entries: number): WriteRing | number {
    const rings = openRings(libc, entries);
    return typeof rings === 'number' ? rings : new WriteRing(libc, rings);
  }

  /** Prepares the next write of a batch. The memory must stay as it is until submit() returns. */
  prepare(fd: number, address: number, length: number): void {
    const { sq, sqes, sqTail, sqMask } = this.rings;
    const at = (((sq[sqTail] as number) + this.count) & sqMask) * SQE_WORDS;
    sqes.fill(0, at, at + SQE_WORDS);
    sqes[at] = IORING_OP_WRITE;
    sqes[at + SQE_FD] = fd;
    sqes[at + SQE_ADDR] = address >>> 0;
    sqes[at + SQE_ADDR + 1] = address / 0x100000000;
    sqes[at + SQE_LEN] = length;
    sqes[at + SQE_RW_FLAGS] = RWF_NOWAIT;
    sqes[at + SQE_USER_DATA] = this.count++;
  }

  /**
   * Carries out what was prepared, in order. `results` gets what each write returned, bytes or a
   * negative errno; the number of writes that were carried out, the first so many: the kernel can
   * refuse the rest, which are forgotten.
   */
  submit(results: Int32Array): number {
    const { sq, sqHead, sqTail } = this.rings;
    const { count } = this;
    this.count = 0;
    sq[sqTail] = (sq[sqTail] as number) + count;
    let done = 0;
    while (done < count) {
      const n = this.enter(count - done);
      if (n <= 0) break;
      done += n;
    }
    // What has not been taken never will be.
    if (done < count) sq[sqTail] = sq[sqHead] as number;
    let reaped = this.reap(results);
    while (reaped < done) {
      if (this.enter(0, done - reaped) < 0) return reaped;
      reaped += this.reap(results);
    }
    return done;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const { address, length } of this.rings.mappings) this.libc.munmap(address, length);
    closeSync(this.rings.fd);
  }

  /** Submissions that the kernel took; negative: it refuses. */
  private enter(submissions: number, completions: number = submissions): number {
    const { libc, rings } = this;
    for (;;) {
      const n = libc.ioUringEnter(rings.fd, submissions, completions, IORING_ENTER_GETEVENTS);
      if (n >= 0 || libc.errno() !== EINTR) return n;
    }
  }

  /** Takes what is complete: how many. */
  private reap(results: Int32Array): number {
    const { cq, cqHead, cqTail, cqes, cqMask } = this.rings;
    const first = cq[cqHead] as number;
    const end = cq[cqTail] as number;
    for (let head = first; head !== end; head = (head + 1) | 0) {
      const at = cqes + (head & cqMask) * (CQE_SIZE >> 2);
      results[cq[at] as number] = cq[at + 2] as number;
    }
    cq[cqHead] = end;
    return (end - first) | 0;
  }
}
