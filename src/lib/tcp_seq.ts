/*
 * Sequence arithmetic modulo 2^32 on signed numbers: a is before b when the step from b to a is negative.
 * Kernel counterpart: include/net/tcp.h. RFC 9293#3.4.
 *
 * Sequence numbers are kept as int32. Any result that is stored goes through `| 0`.
 */

/** @kernel before include/net/tcp.h */
export function before(seq1: number, seq2: number): boolean {
  return ((seq1 - seq2) | 0) < 0;
}

/** @kernel after include/net/tcp.h */
export function after(seq1: number, seq2: number): boolean {
  return ((seq2 - seq1) | 0) < 0;
}

/**
 * Is seq2 <= seq1 <= seq3, going up from seq2?
 * @kernel between include/net/tcp.h
 */
export function between(seq1: number, seq2: number, seq3: number): boolean {
  return (seq3 - seq2) >>> 0 >= (seq1 - seq2) >>> 0;
}

/** The later of two. */
export function seqMax(seq1: number, seq2: number): number {
  return ((seq1 - seq2) | 0) < 0 ? seq2 : seq1;
}

/** The earlier of two. */
export function seqMin(seq1: number, seq2: number): number {
  return ((seq1 - seq2) | 0) < 0 ? seq1 : seq2;
}
