/*
 * CRC-32 as Ethernet uses it: the frame check sequence, and the hash of multicast filters in hardware.
 * Kernel counterparts: lib/crc/crc32-main.c, include/linux/crc32.h. IEEE 802.3 clause 3.2.9.
 */

/** The polynomial, low bit first. @kernel CRC32_POLY_LE include/linux/crc32poly.h */
export const CRC32_POLY_LE = 0xedb88320;
/** The same, high bit first. @kernel CRC32_POLY_BE include/linux/crc32poly.h */
export const CRC32_POLY_BE = 0x04c11db7;

const TABLE: Readonly<Int32Array> = Int32Array.from({ length: 256 }, (_, octet) => {
  let crc = octet;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : CRC32_POLY_LE);
  return crc;
});

/**
 * Runs `len` octets through the register, low bit first; no inversion before or after. int32.
 * @kernel crc32_le lib/crc/crc32-main.c
 */
export function crc32Le(crc: number, u8: Uint8Array, off: number, len: number): number {
  let c = crc;
  for (let i = off; i < off + len; i++) {
    c = (c >>> 8) ^ (TABLE[(c ^ (u8[i] as number)) & 0xff] as number);
  }
  return c | 0;
}

/** The register with its bits in the other order. @kernel bitrev32 include/linux/bitrev.h */
export function bitrev32(x: number): number {
  let v = ((x >>> 1) & 0x55555555) | ((x & 0x55555555) << 1);
  v = ((v >>> 2) & 0x33333333) | ((v & 0x33333333) << 2);
  v = ((v >>> 4) & 0x0f0f0f0f) | ((v & 0x0f0f0f0f) << 4);
  v = ((v >>> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8);
  return (v >>> 16) | (v << 16);
}

/**
 * The hash of an address that network cards compare with their multicast filter, low bit first.
 * @kernel ether_crc_le include/linux/crc32.h
 */
export function etherCrcLe(u8: Uint8Array, off: number, len: number): number {
  return crc32Le(-1, u8, off, len);
}

/** The same, high bit first. @kernel ether_crc include/linux/crc32.h */
export function etherCrc(u8: Uint8Array, off: number, len: number): number {
  return bitrev32(crc32Le(-1, u8, off, len));
}

/** The frame check sequence of a frame, as the number that is sent low octet first; unsigned. */
export function etherFcs(u8: Uint8Array, off: number, len: number): number {
  return ~crc32Le(-1, u8, off, len) >>> 0;
}
