/*
 * The little of the WebAssembly interface that softnet uses, typed here because the kernel is compiled
 * without the types of any host. WebAssembly JavaScript Interface, 2.0.
 */

/** An unshared linear memory. It is never grown, so its buffer stays attached for good. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** What an exported function of our modules looks like: words in, a word or nothing out. */
export type WasmFunction = (...args: number[]) => number;

interface WasmInstance {
  readonly exports: Readonly<Record<string, WasmFunction>>;
}

interface WasmApi {
  readonly Memory: new (limits: { initial: number; maximum?: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => WasmInstance;
  validate(bytes: Uint8Array): boolean;
}

/** Octets in a page of linear memory. */
export const WASM_PAGE_SIZE = 65536;

/** The engine's WebAssembly, or null where there is none. */
export function webAssembly(): WasmApi | null {
  const scope: { readonly WebAssembly?: WasmApi } = globalThis as never;
  return scope.WebAssembly ?? null;
}

/**
 * Memory of a fixed size, or null when the engine has no WebAssembly or refuses that much.
 * @param octets rounded up to whole pages
 */
export function newWasmMemory(octets: number): WasmMemory | null {
  const api = webAssembly();
  if (api === null) return null;
  const pages = Math.ceil(octets / WASM_PAGE_SIZE);
  try {
    return new api.Memory({ initial: pages, maximum: pages });
  } catch {
    return null;
  }
}
