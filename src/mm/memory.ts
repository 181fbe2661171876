/**
 * Packet memory: one arena for all machines of the process. The only state at module level.
 *
 * The arena is a WebAssembly.Memory that never grows (growing would detach it), so a pointer is a
 * plain number, a packet passes from machine to machine by reference, and SIMD code can work on it
 * in place. Bytes are the network's: the debug view refuses little-endian access, which is how a
 * forgotten htonl() shows itself here.
 */
import { KernelBug } from '#kernel/bug.ts';
import { ARENA_BYTES, DEBUG } from '#kernel/config.ts';
import { type MemOps, memOps } from '#lib/wasm/memops.ts';
import { newWasmMemory, type WasmMemory } from '#lib/wasm/webassembly.ts';

/** Size in bytes of the smallest unit: holds a packet of Ethernet's usual MTU. */
export const SLOT_SIZE = 2048;
export const SLOT_SHIFT = 11;

/** The memory itself. Where an engine has no WebAssembly, plain memory does as well, only slower. */
export const memory: WasmMemory = newWasmMemory(ARENA_BYTES) ?? {
  buffer: new ArrayBuffer(ARENA_BYTES),
};

/** Sums and copies in place: SIMD where the engine has it, else JavaScript with the same results. */
export const memops: MemOps = memOps(memory);

/** Packet memory as bytes. */
export const mem: Uint8Array = new Uint8Array(memory.buffer);

/** Debug builds: 1 for each slot that is allocated. Kept by page_alloc.ts. */
export const shadow: Uint8Array = new Uint8Array(DEBUG ? mem.length >> SLOT_SHIFT : 0);

function checkAccess(offset: number, size: number): void {
  if (shadow[offset >> SLOT_SHIFT] !== 1 || shadow[(offset + size - 1) >> SLOT_SHIFT] !== 1) {
    throw new KernelBug(
      'use-after-free',
      `${size} bytes at ${offset} are not allocated: a stale header pointer, or a freed packet`,
    );
  }
}

function checkOrder(littleEndian: boolean | undefined): void {
  if (littleEndian === true) {
    throw new KernelBug(
      'host-byte-order',
      'packet memory holds network order; a little-endian access is a forgotten htonl or ntohl',
    );
  }
}

/** Checks each access as KASAN does, and its byte order. */
class CheckedView extends DataView<ArrayBuffer> {
  override getUint8(offset: number): number {
    checkAccess(offset, 1);
    return super.getUint8(offset);
  }

  override getInt8(offset: number): number {
    checkAccess(offset, 1);
    return super.getInt8(offset);
  }

  override getUint16(offset: number, littleEndian?: boolean): number {
    checkAccess(offset, 2);
    checkOrder(littleEndian);
    return super.getUint16(offset);
  }

  override getUint32(offset: number, littleEndian?: boolean): number {
    checkAccess(offset, 4);
    checkOrder(littleEndian);
    return super.getUint32(offset);
  }

  override getInt32(offset: number, littleEndian?: boolean): number {
    checkAccess(offset, 4);
    checkOrder(littleEndian);
    return super.getInt32(offset);
  }

  override setUint8(offset: number, value: number): void {
    checkAccess(offset, 1);
    super.setUint8(offset, value);
  }

  override setUint16(offset: number, value: number, littleEndian?: boolean): void {
    checkAccess(offset, 2);
    checkOrder(littleEndian);
    super.setUint16(offset, value);
  }

  override setUint32(offset: number, value: number, littleEndian?: boolean): void {
    checkAccess(offset, 4);
    checkOrder(littleEndian);
    super.setUint32(offset, value);
  }

  override setInt32(offset: number, value: number, littleEndian?: boolean): void {
    checkAccess(offset, 4);
    checkOrder(littleEndian);
    super.setInt32(offset, value);
  }
}

/** Packet memory as numbers in network order: what the header accessors of uapi/ take. */
export const view: DataView = DEBUG ? new CheckedView(memory.buffer) : new DataView(memory.buffer);

/**
 * The same memory for what is kept in the machine's own, little-endian order: netlink messages, and
 * the descriptors of hardware.
 */
export const hostView: DataView = new DataView(memory.buffer);

/** What hardware sees of it. */
export const dmaView: DataView = hostView;
