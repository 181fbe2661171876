/** Captures of worlds, written to files. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { mem } from '#mm/memory.ts';
import type { Cable } from '#sim/cable.ts';
import {
  DIRECTION_INBOUND,
  DIRECTION_OUTBOUND,
  LINKTYPE_ETHERNET,
  PcapngWriter,
} from '#sim/pcapng.ts';
import type { World } from '#sim/world.ts';

export interface Capture {
  /** Packets written so far. */
  readonly packets: number;
  close(): void;
}

/** Buffers the bytes of a capture, so that each packet is not a system call. */
class FileSink {
  private readonly fd: number;
  private readonly buffer: Uint8Array;
  private used: number;

  constructor(path: string) {
    this.fd = openSync(path, 'w');
    this.buffer = new Uint8Array(1 << 20);
    this.used = 0;
  }

  write(bytes: Uint8Array): void {
    if (this.used + bytes.length > this.buffer.length) this.flush();
    if (bytes.length > this.buffer.length) {
      writeSync(this.fd, bytes);
      return;
    }
    this.buffer.set(bytes, this.used);
    this.used += bytes.length;
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }

  private flush(): void {
    let at = 0;
    while (at < this.used) at += writeSync(this.fd, this.buffer, at, this.used - at);
    this.used = 0;
  }
}

/** Captures what is put on a cable, at both ends, seen from end 0: out is what end 0 sends. */
export function captureCable(world: World, cable: Cable, path: string): Capture {
  const sink = new FileSink(path);
  const writer = new PcapngWriter((bytes) => sink.write(bytes));
  const interfaceId = writer.addInterface({ name: cable.name, linktype: LINKTYPE_ETHERNET });
  let packets = 0;
  for (const end of [0, 1] as const) {
    cable.tap(end, (frame) => {
      packets++;
      const epochSec = Math.floor(world.epochSec + world.nowNs / 1e9);
      writer.packet({
        interfaceId,
        sec: epochSec,
        nsec: world.nowNs % 1e9,
        bytes: mem.subarray(frame.addr, frame.addr + frame.len),
        direction: end === 0 ? DIRECTION_OUTBOUND : DIRECTION_INBOUND,
      });
    });
  }
  return {
    get packets(): number {
      return packets;
    },
    close: () => {
      for (const end of [0, 1] as const) cable.tap(end, null);
      sink.close();
    },
  };
}
