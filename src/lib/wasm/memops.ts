/*
 * Sums and copies in place over one memory, chosen once: WebAssembly with SIMD, or plain JavaScript where that
 * is missing or forbidden (a content security policy may do so). Both give the same results.
 * Kernel counterparts: arch/x86/lib/csum-partial_64.c, csum-copy_64.S, memmove_64.S.
 *
 * A sum is the wsum of lib/checksum.ts. Addresses are octets from the start of the memory; a run that leaves
 * the memory throws a RangeError or a trap, it never wraps.
 */
import { csumPartialWords } from '#lib/checksum.ts';
import { MEMOPS_WASM } from '#lib/wasm/memops_wasm.ts';
import { type WasmFunction, type WasmMemory, webAssembly } from '#lib/wasm/webassembly.ts';

export interface MemOps {
  /** What does the work, for reports. */
  readonly kind: 'wasm-simd' | 'js';
  /** Adds `len` octets at `addr` to the wsum `sum`. @kernel csum_partial lib/checksum.c */
  readonly csumPartial: (addr: number, len: number, sum: number) => number;
  /** Copies `len` octets and adds them to `sum`; the runs must not overlap. @kernel csum_partial_copy_nocheck include/net/checksum.h */
  readonly csumAndCopy: (src: number, dst: number, len: number, sum: number) => number;
  /** Copies `len` octets; the runs may overlap. @kernel memmove lib/string.c */
  readonly copy: (dst: number, src: number, len: number) => void;
}

/** Below this length the call into WebAssembly and its bulk instruction cost more than a loop, octets. */
const COPY_LOOP_MAX = 32;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Octets of a base64 text; there is no decoder that every host has. */
function decodeBase64(text: string): Uint8Array {
  const digits = text.replace(/=+$/, '');
  const out = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const digit of digits) {
    bits = ((bits << 6) | ALPHABET.indexOf(digit)) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[at++] = bits >>> held;
    }
  }
  return out;
}

/** The WebAssembly operations on a memory; null when the engine cannot or must not run them. */
export function wasmMemOps(memory: WasmMemory): MemOps | null {
  const api = webAssembly();
  if (api === null) return null;
  const bytes = decodeBase64(MEMOPS_WASM);
  try {
    if (!api.validate(bytes)) return null;
    const { exports } = new api.Instance(new api.Module(bytes), { env: { memory } });
    const fn = (name: string): WasmFunction => exports[name] as WasmFunction;
    const bulk = fn('copy');
    const u8 = new Uint8Array(memory.buffer);
    const copy = (dst: number, src: number, len: number): void => {
      if (len > COPY_LOOP_MAX) bulk(dst, src, len);
      else copyShort(u8, dst, src, len);
    };
    return {
      kind: 'wasm-simd',
      csumPartial: fn('csum_partial'),
      csumAndCopy: fn('csum_and_copy'),
      copy,
    };
  } catch {
    return null;
  }
}

/** memmove of a few octets. Throws a RangeError outside the memory, as the long way does. */
function copyShort(u8: Uint8Array, dst: number, src: number, len: number): void {
  checkRun(u8, dst, len);
  checkRun(u8, src, len);
  if (dst <= src) {
    for (let i = 0; i < len; i++) u8[dst + i] = u8[src + i] as number;
  } else {
    for (let i = len - 1; i >= 0; i--) u8[dst + i] = u8[src + i] as number;
  }
}

function checkRun(u8: Uint8Array, addr: number, len: number): void {
  if (addr < 0 || len < 0 || addr + len > u8.length) {
    throw new RangeError(`run of ${len} at ${addr} leaves the memory of ${u8.length}`);
  }
}

/** The JavaScript operations on a buffer whose length is a multiple of 4. */
export function jsMemOps(buffer: ArrayBufferLike): MemOps {
  const u8 = new Uint8Array(buffer);
  const i32 = new Int32Array(buffer);
  const csumPartial = (addr: number, len: number, sum: number): number => {
    checkRun(u8, addr, len);
    return csumPartialWords(u8, i32, addr, len, sum);
  };
  const copy = (dst: number, src: number, len: number): void => {
    checkRun(u8, dst, len);
    checkRun(u8, src, len);
    u8.copyWithin(dst, src, src + len);
  };
  const csumAndCopy = (src: number, dst: number, len: number, sum: number): number => {
    copy(dst, src, len);
    return csumPartial(dst, len, sum);
  };
  return { kind: 'js', csumPartial, csumAndCopy, copy };
}

/** The best operations that this engine has for a memory. */
export function memOps(memory: WasmMemory): MemOps {
  return wasmMemOps(memory) ?? jsMemOps(memory.buffer);
}
