/**
 * Build-time switches of the kernel, read once when the module graph loads.
 *
 * Counterpart of Kconfig: an embedder sets `globalThis.softnetConfig` before the first import.
 * `debug` plays the part of CONFIG_KASAN, CONFIG_PROVE_LOCKING and CONFIG_DEBUG_NET together.
 */
interface SoftnetConfig {
  /** Catch double frees, leaks, stale pointers and wrong contexts, at a cost in speed. */
  readonly debug?: boolean;
  /** Size in bytes of the process's packet memory; a multiple of 64 KiB, fixed for its life. */
  readonly arenaBytes?: number;
}

declare global {
  var softnetConfig: SoftnetConfig | undefined;
}

/**
 * True in debug builds. A module constant, so that V8 folds the checks away when it is false; a
 * bundler that is told `define: { 'globalThis.softnetConfig': 'undefined' }` leaves them out.
 */
export const DEBUG: boolean = globalThis.softnetConfig?.debug === true;

/** Bytes of packet memory. Pages are only touched when used, so a large default costs nothing. */
export const ARENA_BYTES: number = globalThis.softnetConfig?.arenaBytes ?? 256 * 1024 * 1024;
