/** Reads captures back: just enough of pcapng to check what was written. */

export interface ReadInterface {
  readonly name: string;
  readonly linktype: number;
  readonly snaplen: number;
}

export interface ReadPacket {
  readonly interface: ReadInterface;
  /** ns since the epoch. */
  readonly timeNs: bigint;
  /** 1: in, 2: out, 0: not said. */
  readonly direction: number;
  readonly bytes: Uint8Array;
  readonly originalLength: number;
  readonly comment: string | null;
}

export interface ReadCapture {
  readonly interfaces: readonly ReadInterface[];
  readonly packets: readonly ReadPacket[];
}

interface Options {
  readonly [code: number]: Uint8Array;
}

function options(v: DataView, from: number, end: number): Options {
  const found: Record<number, Uint8Array> = {};
  let at = from;
  while (at + 4 <= end) {
    const code = v.getUint16(at, true);
    const length = v.getUint16(at + 2, true);
    if (code === 0) break;
    found[code] = new Uint8Array(v.buffer, v.byteOffset + at + 4, length);
    at += 4 + ((length + 3) & ~3);
  }
  return found;
}

const text = (bytes: Uint8Array | undefined): string | null =>
  bytes === undefined ? null : new TextDecoder().decode(bytes);

/** Throws RangeError where a block's two lengths differ or it ends beyond the file. */
export function readPcapng(file: Uint8Array): ReadCapture {
  const v = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const interfaces: ReadInterface[] = [];
  const packets: ReadPacket[] = [];
  for (let at = 0; at < file.length; ) {
    const type = v.getUint32(at, true);
    const length = v.getUint32(at + 4, true);
    const end = at + length - 4;
    if (length % 4 !== 0 || v.getUint32(end, true) !== length) {
      throw new RangeError(`the block at ${at} is broken`);
    }
    if (type === 1) {
      interfaces.push({
        name: text(options(v, at + 16, end)[2]) ?? '',
        linktype: v.getUint16(at + 8, true),
        snaplen: v.getUint32(at + 12, true),
      });
    } else if (type === 6) {
      packets.push(packet(v, at, end, interfaces));
    }
    at += length;
  }
  return { interfaces, packets };
}

function packet(
  v: DataView,
  at: number,
  end: number,
  interfaces: readonly ReadInterface[],
): ReadPacket {
  const id = v.getUint32(at + 8, true);
  const on = interfaces[id];
  if (on === undefined) throw new RangeError(`the block at ${at} names interface ${id}`);
  const kept = v.getUint32(at + 20, true);
  const data = at + 28;
  const said = options(v, data + ((kept + 3) & ~3), end);
  const flags = said[2];
  return {
    interface: on,
    timeNs: (BigInt(v.getUint32(at + 12, true)) << 32n) | BigInt(v.getUint32(at + 16, true)),
    direction: flags === undefined ? 0 : (flags[0] ?? 0) & 3,
    bytes: new Uint8Array(v.buffer, v.byteOffset + data, kept),
    originalLength: v.getUint32(at + 24, true),
    comment: text(said[1]),
  };
}

/** Gathers what a capture writes. */
export class CaptureBuffer {
  private readonly parts: Uint8Array[] = [];

  readonly sink = (bytes: Uint8Array): void => {
    this.parts.push(bytes.slice());
  };

  bytes(): Uint8Array {
    const all = new Uint8Array(this.parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  read(): ReadCapture {
    return readPcapng(this.bytes());
  }
}
