/*
 * The Internet checksum: 16-bit words added with end-around carry.
 * Kernel counterparts: include/net/checksum.h, lib/checksum.c. RFC 1071, 1141, 1624.
 *
 * A partial sum ("wsum") is what Linux calls __wsum, in network order: adding the big-endian words of a
 * packet as they are read. As an argument any 32-bit number will do, signed or not, since 2^16 counts as 1;
 * as a result it is always folded to 0..0xffff, which no engine has to box. A checksum ("sum16", __sum16)
 * is the complement of a folded sum and ready for `setUint16(o, x)`.
 */

/** True when typed arrays of this process store the low octet first. */
const LITTLE_ENDIAN: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** From this length on a word-wise view pays for its own creation, octets. */
const WORDWISE_MIN = 256;

/** Octets that may be added up in halves of 32-bit words before an accumulator could lose a carry. */
const BLOCK = 1 << 16;

/** Folds a wsum to 16 bits. The argument may be any 32-bit number. */
export function csumFold16(sum: number): number {
  let s = (sum & 0xffff) + (sum >>> 16);
  s = (s & 0xffff) + (s >>> 16);
  return s;
}

/**
 * The checksum of a wsum: folded and complemented.
 * @kernel csum_fold include/asm-generic/checksum.h
 */
export function csumFold(sum: number): number {
  return ~csumFold16(sum) & 0xffff;
}

/**
 * A checksum taken back into a sum.
 * @kernel csum_unfold include/net/checksum.h
 */
export function csumUnfold(n: number): number {
  return n & 0xffff;
}

/** @kernel csum_add include/net/checksum.h */
export function csumAdd(sum: number, addend: number): number {
  return csumFold16((sum & 0xffff) + (sum >>> 16) + (addend & 0xffff) + (addend >>> 16));
}

/** @kernel csum_sub include/net/checksum.h */
export function csumSub(sum: number, addend: number): number {
  return csumAdd(sum, ~addend);
}

/** Exchanges the octets of a folded sum: its value if the data began at an odd offset instead. */
function swap16(sum: number): number {
  return ((sum & 0xff) << 8) | (sum >>> 8);
}

/**
 * The wsum of a block as it counts when the block stands `offset` octets into the data.
 * @kernel csum_shift include/net/checksum.h
 */
export function csumShift(sum: number, offset: number): number {
  const s = csumFold16(sum);
  return (offset & 1) === 0 ? s : swap16(s);
}

/**
 * Adds the wsum of a block that stands `offset` octets into the data.
 * @kernel csum_block_add include/net/checksum.h
 */
export function csumBlockAdd(sum: number, sum2: number, offset: number): number {
  return csumAdd(sum, csumShift(sum2, offset));
}

/** @kernel csum_block_sub include/net/checksum.h */
export function csumBlockSub(sum: number, sum2: number, offset: number): number {
  return csumBlockAdd(sum, ~csumFold16(sum2) & 0xffff, offset);
}

/**
 * The checksum after the 16-bit word `from` became `to` in the data.
 * @kernel csum_replace2 include/net/checksum.h
 * @rfc 1624#3
 */
export function csumReplace2(check: number, from: number, to: number): number {
  return csumFold((~check & 0xffff) + (~from & 0xffff) + (to & 0xffff));
}

/**
 * The checksum after the 32-bit word `from` became `to` in the data.
 * @kernel csum_replace4 include/net/checksum.h
 */
export function csumReplace4(check: number, from: number, to: number): number {
  return csumFold(
    (~check & 0xffff) + (~from & 0xffff) + (~from >>> 16) + (to & 0xffff) + (to >>> 16),
  );
}

/**
 * The checksum after a block whose wsum was `diff` less than that of its replacement changed.
 * @kernel csum_replace_by_diff include/net/checksum.h
 */
export function csumReplaceByDiff(check: number, diff: number): number {
  return csumFold(csumAdd(diff, ~check & 0xffff));
}

/**
 * Adds the pseudo header of TCP and UDP over IPv4 to a wsum.
 * @kernel csum_tcpudp_nofold include/asm-generic/checksum.h
 * @rfc 9293#3.1
 */
export function csumTcpudpNofold(
  saddr: number,
  daddr: number,
  len: number,
  proto: number,
  sum: number,
): number {
  return csumFold16(
    (saddr & 0xffff) +
      (saddr >>> 16) +
      (daddr & 0xffff) +
      (daddr >>> 16) +
      (len & 0xffff) +
      (len >>> 16) +
      proto +
      (sum & 0xffff) +
      (sum >>> 16),
  );
}

/**
 * The checksum of a TCP or UDP segment over IPv4, from the wsum of its octets.
 * @kernel csum_tcpudp_magic include/asm-generic/checksum.h
 */
export function csumTcpudpMagic(
  saddr: number,
  daddr: number,
  len: number,
  proto: number,
  sum: number,
): number {
  return ~csumTcpudpNofold(saddr, daddr, len, proto, sum) & 0xffff;
}

/**
 * The same over IPv6; the addresses are the 16 octets at `saddr` and `daddr` of the view.
 * @kernel csum_ipv6_magic net/ipv6/ip6_checksum.c
 * @rfc 8200#8.1
 */
export function csumIpv6Magic(
  v: DataView,
  saddr: number,
  daddr: number,
  len: number,
  proto: number,
  sum: number,
): number {
  let s = (sum & 0xffff) + (sum >>> 16) + (len & 0xffff) + (len >>> 16) + proto;
  for (let i = 0; i < 16; i += 2) s += v.getUint16(saddr + i) + v.getUint16(daddr + i);
  return csumFold(s);
}

/**
 * The checksum of an IPv4 header of `ihl` words: 0 over a valid header, the value to store when the
 * field itself is 0.
 * @kernel ip_fast_csum lib/checksum.c
 */
export function ipFastCsum(v: DataView, o: number, ihl: number): number {
  let s = 0;
  const end = o + (ihl << 2);
  for (let i = o; i < end; i += 4) {
    const w = v.getInt32(i);
    s += (w & 0xffff) + (w >>> 16);
  }
  return csumFold(s);
}

/**
 * Adds octets to a wsum, one at a time: for short runs and for the ends of long ones.
 * The first octet is the high half of a word.
 */
function sumBytes(u8: Uint8Array, start: number, len: number): number {
  let hi = 0;
  let lo = 0;
  const end = start + len;
  const even = start + (len & ~1);
  for (let i = start; i < even; i += 2) {
    hi += u8[i] as number;
    lo += u8[i + 1] as number;
  }
  if (even !== end) hi += u8[even] as number;
  return foldWide(hi * 256 + lo);
}

/** Folds a non-negative integer below 2^53. */
function foldWide(x: number): number {
  const high = Math.floor(x / 0x100000000);
  const s = csumFold16(x | 0) + (high & 0xffff) + (high >>> 16);
  return csumFold16(s);
}

/**
 * The sum of whole 32-bit words in the order of this process, folded; `words` times 4 is at most BLOCK.
 * Two halves are kept apart, each far below the width of a small integer.
 */
function sumWords(i32: Int32Array, start: number, words: number): number {
  let lo = 0;
  let hi = 0;
  let i = start;
  const unrolled = start + (words & ~3);
  for (; i < unrolled; i += 4) {
    const a = i32[i] as number;
    const b = i32[i + 1] as number;
    const c = i32[i + 2] as number;
    const d = i32[i + 3] as number;
    lo += (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff);
    hi += (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16);
  }
  for (const end = start + words; i < end; i++) {
    const a = i32[i] as number;
    lo += a & 0xffff;
    hi += a >>> 16;
  }
  return csumFold16(csumFold16(lo) + csumFold16(hi));
}

/**
 * The wsum of `len` octets at octet `addr` of the memory that `u8` and `i32` both show from its start.
 * What the arena uses when WebAssembly is missing.
 */
export function csumPartialWords(
  u8: Uint8Array,
  i32: Int32Array,
  addr: number,
  len: number,
  sum: number,
): number {
  if (len < 16) return csumAdd(sum, sumBytes(u8, addr, len));
  const head = -addr & 3;
  const words = (len - head) >> 2;
  const tail = (len - head) & 3;
  let native = 0;
  for (let done = 0; done < words; done += BLOCK >> 2) {
    const n = Math.min(words - done, BLOCK >> 2);
    native = csumFold16(native + sumWords(i32, ((addr + head) >> 2) + done, n));
  }
  // In a word read low octet first the halves have their octets exchanged: exchange them once, at the end.
  let s = LITTLE_ENDIAN ? swap16(native) : native;
  if (tail !== 0) s = csumFold16(s + sumBytes(u8, addr + len - tail, tail));
  if ((head & 1) !== 0) s = swap16(s);
  if (head !== 0) s += sumBytes(u8, addr, head);
  return csumAdd(sum, s);
}

/**
 * Adds `len` octets at `off` of `u8` to a wsum; the first octet is the high half of a word, wherever it
 * lies in memory.
 * @kernel csum_partial lib/checksum.c
 */
export function csumPartial(u8: Uint8Array, off: number, len: number, sum: number): number {
  if (len < WORDWISE_MIN) {
    return csumAdd(sum, sumBytes(u8, off, len));
  }
  const pad = -(u8.byteOffset + off) & 3;
  const words = (len - pad) >> 2;
  const i32 = new Int32Array(u8.buffer, u8.byteOffset + off + pad, words);
  let native = 0;
  for (let done = 0; done < words; done += BLOCK >> 2) {
    native = csumFold16(native + sumWords(i32, done, Math.min(words - done, BLOCK >> 2)));
  }
  let s = LITTLE_ENDIAN ? swap16(native) : native;
  const tail = (len - pad) & 3;
  if (tail !== 0) s = csumFold16(s + sumBytes(u8, off + len - tail, tail));
  if ((pad & 1) !== 0) s = swap16(s);
  if (pad !== 0) s += sumBytes(u8, off, pad);
  return csumAdd(sum, s);
}

/**
 * Copies and sums in one go; the runs must not overlap.
 * @kernel csum_partial_copy_nocheck include/net/checksum.h
 */
export function csumPartialCopy(
  src: Uint8Array,
  srcOff: number,
  dst: Uint8Array,
  dstOff: number,
  len: number,
  sum: number,
): number {
  dst.set(src.subarray(srcOff, srcOff + len), dstOff);
  return csumPartial(dst, dstOff, len, sum);
}

/**
 * The checksum of `len` octets: 0 over data that contains its own valid checksum.
 * @kernel ip_compute_csum lib/checksum.c
 */
export function ipComputeCsum(u8: Uint8Array, off: number, len: number): number {
  return csumFold(csumPartial(u8, off, len, 0));
}
