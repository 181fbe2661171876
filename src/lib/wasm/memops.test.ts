import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { csumPartial } from '#lib/checksum.ts';
import { jsMemOps, type MemOps, memOps, wasmMemOps } from '#lib/wasm/memops.ts';
import { newWasmMemory, WASM_PAGE_SIZE } from '#lib/wasm/webassembly.ts';

const SIZE = 12 * WASM_PAGE_SIZE;

function twins(): { a: Uint8Array; b: Uint8Array; wasm: MemOps; js: MemOps } {
  const memory = newWasmMemory(SIZE);
  if (memory === null) throw new Error('this engine has no WebAssembly');
  const wasm = wasmMemOps(memory);
  if (wasm === null) throw new Error('this engine has no SIMD');
  const a = new Uint8Array(memory.buffer);
  const b = new Uint8Array(SIZE);
  return { a, b, wasm, js: jsMemOps(b.buffer) };
}

/** The same octets in both memories, none of them 0 so that a lost one shows. */
function fill(a: Uint8Array, b: Uint8Array, seed: number): void {
  let x = seed | 1;
  for (let i = 0; i < a.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    a[i] = (x >>> 24) | 1;
  }
  b.set(a);
}

const u32 = fc.integer({ min: 0, max: 0xffffffff });
/** Lengths around the widths of the loops, and any other. */
const length = fc.oneof(fc.nat(140), fc.nat(4096), fc.constantFrom(65535, 65536, 262143, 262208));

afterEach(() => vi.unstubAllGlobals());

describe('WebAssembly and JavaScript', () => {
  const { a, b, wasm, js } = twins();

  it('sum alike, and like the sum over a plain array', () => {
    fill(a, b, 1);
    fc.assert(
      fc.property(fc.nat(300), length, u32, (addr, len, sum) => {
        const want = csumPartial(b, addr, len, sum);
        expect(wasm.csumPartial(addr, len, sum)).toBe(want);
        expect(js.csumPartial(addr, len, sum)).toBe(want);
        expect(wasm.csumPartial(addr, len, sum | 0)).toBe(want);
      }),
    );
  });

  it('sum and copy alike, and leave the rest alone', () => {
    fc.assert(
      fc.property(fc.nat(99), fc.nat(99), length, u32, (src, to, len, sum) => {
        fill(a, b, len + 7);
        const dst = 6 * WASM_PAGE_SIZE + to;
        const want = csumPartial(b, src, len, sum);
        expect(wasm.csumAndCopy(src, dst, len, sum)).toBe(want);
        expect(js.csumAndCopy(src, dst, len, sum)).toBe(want);
        expect(Buffer.compare(a, b)).toBe(0);
        expect(Buffer.compare(a.subarray(dst, dst + len), a.subarray(src, src + len))).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('copy alike, overlapping or not', () => {
    fc.assert(
      fc.property(fc.nat(400), fc.nat(400), fc.oneof(fc.nat(80), fc.nat(3000)), (src, dst, len) => {
        fill(a, b, src);
        const want = b.slice(src, src + len);
        wasm.copy(dst, src, len);
        js.copy(dst, src, len);
        expect(Buffer.compare(a, b)).toBe(0);
        expect(Buffer.compare(a.subarray(dst, dst + len), want)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('lose no carry over the whole memory', () => {
    a.fill(0xff);
    b.fill(0xff);
    expect(wasm.csumPartial(0, SIZE, 0)).toBe(0xffff);
    expect(js.csumPartial(0, SIZE, 0)).toBe(0xffff);
    expect(wasm.csumPartial(1, SIZE - 2, 0)).toBe(0xffff);
    a.fill(0);
    expect(wasm.csumPartial(0, SIZE, 0)).toBe(0);
  });

  it('refuse to leave the memory', () => {
    for (const ops of [wasm, js]) {
      expect(() => ops.copy(SIZE - 4, 0, 5)).toThrow();
      expect(() => ops.copy(0, SIZE - 100, 101)).toThrow();
      expect(() => ops.csumPartial(SIZE - 64, 65, 0)).toThrow();
      expect(() => ops.csumAndCopy(0, SIZE - 1, 2, 0)).toThrow();
    }
  });
});

describe('memOps', () => {
  it('takes WebAssembly where it can', () => {
    const memory = newWasmMemory(1);
    expect(memory?.buffer.byteLength).toBe(WASM_PAGE_SIZE);
    expect(memory !== null && memOps(memory).kind).toBe('wasm-simd');
  });

  it('falls back where there is none, where SIMD is unknown, and where it is forbidden', () => {
    const memory = { buffer: new ArrayBuffer(WASM_PAGE_SIZE) };
    vi.stubGlobal('WebAssembly', undefined);
    expect(memOps(memory).kind).toBe('js');
    expect(newWasmMemory(1)).toBeNull();
    vi.stubGlobal('WebAssembly', { validate: () => false });
    expect(memOps(memory).kind).toBe('js');
    const Module = function refuse(): void {
      throw new Error('blocked by content security policy');
    };
    vi.stubGlobal('WebAssembly', { validate: () => true, Module });
    expect(memOps(memory).kind).toBe('js');
  });
});
