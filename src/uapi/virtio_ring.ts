/*
 * The split virtqueue as it lies in memory. Kernel counterpart: include/uapi/linux/virtio_ring.h.
 * Virtio 1.2 section 2.7. Little-endian; `v` is a view of the machine's memory, `num` a power of 2.
 *
 * descriptor table (16 octets each)   available ring            used ring
 * +-------------------+-----+         +---------+---------+     +---------+---------+
 * |       addr        | len |         |  flags  |   idx   |     |  flags  |   idx   |
 * +-------------------+-----+         +---------+---------+     +---------+---------+
 *                | flags | next |     |  ring[num] (u16)  |     | ring[num] {id,len}|
 *                                     +---------+---------+     +---------+---------+
 *                                     |used_event|              |avail_event|
 */

// Descriptor flags.
export const VRING_DESC_F_NEXT = 1;
export const VRING_DESC_F_WRITE = 2;
export const VRING_DESC_F_INDIRECT = 4;

// The device asks not to be told of new buffers; the driver, not to be interrupted. Hints only.
export const VRING_USED_F_NO_NOTIFY = 1;
export const VRING_AVAIL_F_NO_INTERRUPT = 1;

export const VRING_AVAIL_ALIGN_SIZE = 2;
export const VRING_USED_ALIGN_SIZE = 4;
export const VRING_DESC_ALIGN_SIZE = 16;

/** struct vring_desc, 16 octets. An address above 4 GiB has a high word that is not 0. */
export const vringDesc = {
  LEN: 16,
  addr: (v: DataView, o: number): number => v.getUint32(o, true),
  addrHigh: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  len: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  flags: (v: DataView, o: number): number => v.getUint16(o + 12, true),
  next: (v: DataView, o: number): number => v.getUint16(o + 14, true),
  setAddr: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setAddrHigh: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setLen: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint16(o + 12, x, true),
  setNext: (v: DataView, o: number, x: number): void => v.setUint16(o + 14, x, true),
} as const;

/** struct vring_avail. `i` is a place in the ring; usedEvent lies behind the last. */
export const vringAvail = {
  flags: (v: DataView, o: number): number => v.getUint16(o, true),
  idx: (v: DataView, o: number): number => v.getUint16(o + 2, true),
  ring: (v: DataView, o: number, i: number): number => v.getUint16(o + 4 + 2 * i, true),
  usedEvent: (v: DataView, o: number, num: number): number => v.getUint16(o + 4 + 2 * num, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setIdx: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x, true),
  setRing: (v: DataView, o: number, i: number, x: number): void =>
    v.setUint16(o + 4 + 2 * i, x, true),
  setUsedEvent: (v: DataView, o: number, num: number, x: number): void =>
    v.setUint16(o + 4 + 2 * num, x, true),
} as const;

/** struct vring_used, its elements of 8 octets. availEvent lies behind the last. */
export const vringUsed = {
  ELEM_LEN: 8,
  flags: (v: DataView, o: number): number => v.getUint16(o, true),
  idx: (v: DataView, o: number): number => v.getUint16(o + 2, true),
  id: (v: DataView, o: number, i: number): number => v.getUint32(o + 4 + 8 * i, true),
  len: (v: DataView, o: number, i: number): number => v.getUint32(o + 8 + 8 * i, true),
  availEvent: (v: DataView, o: number, num: number): number => v.getUint16(o + 4 + 8 * num, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setIdx: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x, true),
  setId: (v: DataView, o: number, i: number, x: number): void =>
    v.setUint32(o + 4 + 8 * i, x, true),
  setLen: (v: DataView, o: number, i: number, x: number): void =>
    v.setUint32(o + 8 + 8 * i, x, true),
  setAvailEvent: (v: DataView, o: number, num: number, x: number): void =>
    v.setUint16(o + 4 + 8 * num, x, true),
} as const;

/** Octets of the available ring, its event field included. */
export function vringAvailSize(num: number): number {
  return 6 + 2 * num;
}

/** Octets of the used ring, its event field included. */
export function vringUsedSize(num: number): number {
  return 6 + vringUsed.ELEM_LEN * num;
}

/** Offset of the used ring when the three parts lie one behind the other. */
export function vringUsedOffset(num: number, align: number): number {
  return (vringDesc.LEN * num + vringAvailSize(num) + align - 1) & ~(align - 1);
}

/** @kernel vring_size include/uapi/linux/virtio_ring.h */
export function vringSize(num: number, align: number): number {
  return vringUsedOffset(num, align) + vringUsedSize(num);
}

/**
 * Has the index that the other side waits for been passed, when ours went from `old` to `newIdx`?
 * @kernel vring_need_event include/uapi/linux/virtio_ring.h
 */
export function vringNeedEvent(event: number, newIdx: number, old: number): boolean {
  return ((newIdx - event - 1) & 0xffff) < ((newIdx - old) & 0xffff);
}
