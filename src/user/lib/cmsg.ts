/*
 * Control messages of sendmsg and recvmsg. Counterpart of the CMSG_* macros of include/linux/socket.h; on a
 * machine of 64 bits the head is 16 octets and everything is aligned to 8.
 */

const HEAD = 16;
const align = (length: number): number => (length + 7) & ~7;

export interface ControlMessage {
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** The messages in a buffer of which `length` octets are used. */
export function readControl(control: Uint8Array, length: number): ControlMessage[] {
  const v = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const end = Math.min(length, control.length);
  const found: ControlMessage[] = [];
  for (let o = 0; o + HEAD <= end; ) {
    const size = v.getUint32(o, true);
    if (size < HEAD || o + size > end) break;
    found.push({
      level: v.getInt32(o + 8, true),
      type: v.getInt32(o + 12, true),
      data: control.subarray(o + HEAD, o + size),
    });
    o += align(size);
  }
  return found;
}

/** One message as octets. */
export function makeControl(level: number, type: number, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(align(HEAD + data.length));
  const v = new DataView(out.buffer);
  v.setUint32(0, HEAD + data.length, true);
  v.setInt32(8, level, true);
  v.setInt32(12, type, true);
  out.set(data, HEAD);
  return out;
}
