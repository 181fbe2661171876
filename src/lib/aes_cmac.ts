/*
 * AES-128, forwards only, and the message code AES-CMAC on it: for AES-128-CMAC-96 of the TCP
 * authentication option. Kernel counterparts: lib/crypto/aes.c, crypto/cmac.c. FIPS 197, RFC 4493.
 */

const BLOCK = 16;
const ROUNDS = 10;

const SBOX: Readonly<Uint8Array> = Uint8Array.of(
  0x63,
  0x7c,
  0x77,
  0x7b,
  0xf2,
  0x6b,
  0x6f,
  0xc5,
  0x30,
  0x01,
  0x67,
  0x2b,
  0xfe,
  0xd7,
  0xab,
  0x76,
  0xca,
  0x82,
  0xc9,
  0x7d,
  0xfa,
  0x59,
  0x47,
  0xf0,
  0xad,
  0xd4,
  0xa2,
  0xaf,
  0x9c,
  0xa4,
  0x72,
  0xc0,
  0xb7,
  0xfd,
  0x93,
  0x26,
  0x36,
  0x3f,
  0xf7,
  0xcc,
  0x34,
  0xa5,
  0xe5,
  0xf1,
  0x71,
  0xd8,
  0x31,
  0x15,
  0x04,
  0xc7,
  0x23,
  0xc3,
  0x18,
  0x96,
  0x05,
  0x9a,
  0x07,
  0x12,
  0x80,
  0xe2,
  0xeb,
  0x27,
  0xb2,
  0x75,
  0x09,
  0x83,
  0x2c,
  0x1a,
  0x1b,
  0x6e,
  0x5a,
  0xa0,
  0x52,
  0x3b,
  0xd6,
  0xb3,
  0x29,
  0xe3,
  0x2f,
  0x84,
  0x53,
  0xd1,
  0x00,
  0xed,
  0x20,
  0xfc,
  0xb1,
  0x5b,
  0x6a,
  0xcb,
  0xbe,
  0x39,
  0x4a,
  0x4c,
  0x58,
  0xcf,
  0xd0,
  0xef,
  0xaa,
  0xfb,
  0x43,
  0x4d,
  0x33,
  0x85,
  0x45,
  0xf9,
  0x02,
  0x7f,
  0x50,
  0x3c,
  0x9f,
  0xa8,
  0x51,
  0xa3,
  0x40,
  0x8f,
  0x92,
  0x9d,
  0x38,
  0xf5,
  0xbc,
  0xb6,
  0xda,
  0x21,
  0x10,
  0xff,
  0xf3,
  0xd2,
  0xcd,
  0x0c,
  0x13,
  0xec,
  0x5f,
  0x97,
  0x44,
  0x17,
  0xc4,
  0xa7,
  0x7e,
  0x3d,
  0x64,
  0x5d,
  0x19,
  0x73,
  0x60,
  0x81,
  0x4f,
  0xdc,
  0x22,
  0x2a,
  0x90,
  0x88,
  0x46,
  0xee,
  0xb8,
  0x14,
  0xde,
  0x5e,
  0x0b,
  0xdb,
  0xe0,
  0x32,
  0x3a,
  0x0a,
  0x49,
  0x06,
  0x24,
  0x5c,
  0xc2,
  0xd3,
  0xac,
  0x62,
  0x91,
  0x95,
  0xe4,
  0x79,
  0xe7,
  0xc8,
  0x37,
  0x6d,
  0x8d,
  0xd5,
  0x4e,
  0xa9,
  0x6c,
  0x56,
  0xf4,
  0xea,
  0x65,
  0x7a,
  0xae,
  0x08,
  0xba,
  0x78,
  0x25,
  0x2e,
  0x1c,
  0xa6,
  0xb4,
  0xc6,
  0xe8,
  0xdd,
  0x74,
  0x1f,
  0x4b,
  0xbd,
  0x8b,
  0x8a,
  0x70,
  0x3e,
  0xb5,
  0x66,
  0x48,
  0x03,
  0xf6,
  0x0e,
  0x61,
  0x35,
  0x57,
  0xb9,
  0x86,
  0xc1,
  0x1d,
  0x9e,
  0xe1,
  0xf8,
  0x98,
  0x11,
  0x69,
  0xd9,
  0x8e,
  0x94,
  0x9b,
  0x1e,
  0x87,
  0xe9,
  0xce,
  0x55,
  0x28,
  0xdf,
  0x8c,
  0xa1,
  0x89,
  0x0d,
  0xbf,
  0xe6,
  0x42,
  0x68,
  0x41,
  0x99,
  0x2d,
  0x0f,
  0xb0,
  0x54,
  0xbb,
  0x16,
);

/** Times x in GF(2^8). */
const xtime = (x: number): number => ((x << 1) ^ ((x >> 7) * 0x1b)) & 0xff;

/** One key, expanded. */
export class Aes128 {
  private readonly roundKeys: Uint8Array = new Uint8Array(BLOCK * (ROUNDS + 1));
  private readonly state: Uint8Array = new Uint8Array(BLOCK);

  /** Of `key` 16 octets. */
  setKey(key: Uint8Array): void {
    const k = this.roundKeys;
    k.set(key.subarray(0, BLOCK));
    let rcon = 1;
    for (let i = BLOCK; i < k.length; i += 4) {
      let a = k[i - 4]!;
      let b = k[i - 3]!;
      let c = k[i - 2]!;
      let d = k[i - 1]!;
      if (i % BLOCK === 0) {
        const first = a;
        a = SBOX[b]! ^ rcon;
        b = SBOX[c]!;
        c = SBOX[d]!;
        d = SBOX[first]!;
        rcon = xtime(rcon);
      }
      k[i] = k[i - 16]! ^ a;
      k[i + 1] = k[i - 15]! ^ b;
      k[i + 2] = k[i - 14]! ^ c;
      k[i + 3] = k[i - 13]! ^ d;
    }
  }

  private addRoundKey(data: Uint8Array, round: number): void {
    for (let i = 0; i < BLOCK; i++) data[i] = data[i]! ^ this.roundKeys[round * BLOCK + i]!;
  }

  /** Encrypts the 16 octets of `data` in place. */
  encrypt(data: Uint8Array): void {
    const s = this.state;
    this.addRoundKey(data, 0);
    for (let round = 1; round <= ROUNDS; round++) {
      // SubBytes and ShiftRows.
      for (let i = 0; i < BLOCK; i++) s[i] = SBOX[data[(i + 4 * (i & 3)) & 15]!]!;
      if (round < ROUNDS) mixColumns(s, data);
      else data.set(s);
      this.addRoundKey(data, round);
    }
  }
}

function mixColumns(from: Uint8Array, to: Uint8Array): void {
  for (let i = 0; i < BLOCK; i += 4) {
    const a = from[i]!;
    const b = from[i + 1]!;
    const c = from[i + 2]!;
    const d = from[i + 3]!;
    const all = a ^ b ^ c ^ d;
    to[i] = a ^ all ^ xtime(a ^ b);
    to[i + 1] = b ^ all ^ xtime(b ^ c);
    to[i + 2] = c ^ all ^ xtime(c ^ d);
    to[i + 3] = d ^ all ^ xtime(d ^ a);
  }
}

/** Doubles a block in GF(2^128). @rfc 4493#2.3 */
function double(from: Uint8Array, to: Uint8Array): void {
  const high = from[0]! >> 7;
  for (let i = 0; i < BLOCK - 1; i++) to[i] = ((from[i]! << 1) | (from[i + 1]! >> 7)) & 0xff;
  to[BLOCK - 1] = ((from[BLOCK - 1]! << 1) & 0xff) ^ (high * 0x87);
}

/** A code in the making; the key stays until another is set. */
export class AesCmac {
  readonly digestSize: number = BLOCK;
  private readonly aes: Aes128 = new Aes128();
  private readonly k1: Uint8Array = new Uint8Array(BLOCK);
  private readonly k2: Uint8Array = new Uint8Array(BLOCK);
  private readonly chain: Uint8Array = new Uint8Array(BLOCK);
  private readonly buffer: Uint8Array = new Uint8Array(BLOCK);
  private held = 0;

  /** Of `key` 16 octets. */
  setKey(key: Uint8Array): void {
    this.aes.setKey(key);
    const zero = this.buffer.fill(0);
    this.aes.encrypt(zero);
    double(zero, this.k1);
    double(this.k1, this.k2);
    this.reset();
  }

  /** Back to the empty message, under the same key. */
  reset(): void {
    this.chain.fill(0);
    this.held = 0;
  }

  /** The last block stays in the buffer, since only the end tells how it is masked. */
  update(bytes: Uint8Array, at: number, len: number): void {
    for (let i = 0; i < len; i++) {
      if (this.held === BLOCK) {
        this.mix(this.buffer);
        this.held = 0;
      }
      this.buffer[this.held++] = bytes[at + i]!;
    }
  }

  private mix(data: Uint8Array): void {
    const { chain } = this;
    for (let i = 0; i < BLOCK; i++) chain[i] = chain[i]! ^ data[i]!;
    this.aes.encrypt(chain);
  }

  /** Ends the message and writes the code. The next one begins with reset(). @rfc 4493#2.4 */
  final(out: Uint8Array, at: number): void {
    const { buffer, held } = this;
    let mask = this.k1;
    if (held < BLOCK) {
      buffer[held] = 0x80;
      buffer.fill(0, held + 1);
      mask = this.k2;
    }
    for (let i = 0; i < BLOCK; i++) buffer[i] = buffer[i]! ^ mask[i]!;
    this.mix(buffer);
    out.set(this.chain, at);
  }
}
