/** Captures of cables in pcapng. They only look; a run is the same with and without. */
import { mem } from '#mm/memory.ts';
import type { Cable } from '#sim/cable.ts';
import {
  DIRECTION_INBOUND,
  DIRECTION_OUTBOUND,
  LINKTYPE_ETHERNET,
  PcapngWriter,
} from '#sim/pcapng.ts';
import type { World } from '#sim/world.ts';

export interface CableCapture {
  /** Packets written so far. */
  readonly packets: number;
  /** Takes the taps off the cable. */
  stop(): void;
}

/** Writes a capture of a cable from what is put on it at either end. */
export class CableCaptureWriter {
  packets: number;
  private readonly writer: PcapngWriter;
  private readonly interfaceId: number;
  private readonly epochSec: number;

  constructor(name: string, epochSec: number, sink: (bytes: Uint8Array) => void) {
    this.packets = 0;
    this.writer = new PcapngWriter(sink);
    this.interfaceId = this.writer.addInterface({ name, linktype: LINKTYPE_ETHERNET });
    this.epochSec = epochSec;
  }

  /** A frame put on the line at `end`, `nowNs` after the world began. Out is what end 0 sends. */
  frame(end: 0 | 1, nowNs: number, bytes: Uint8Array): void {
    this.packets++;
    this.writer.packet({
      interfaceId: this.interfaceId,
      sec: Math.floor(this.epochSec + nowNs / 1e9),
      nsec: nowNs % 1e9,
      bytes,
      direction: end === 0 ? DIRECTION_OUTBOUND : DIRECTION_INBOUND,
    });
  }
}

/** Calls `listener` with the bytes of each frame put on a cable at `end`; valid during the call. */
export function tapBytes(cable: Cable, end: 0 | 1, listener: (bytes: Uint8Array) => void): void {
  cable.tap(end, ({ addr, len }) => listener(mem.subarray(addr, addr + len)));
}

/**
 * Captures what is put on a cable, at both ends, seen from end 0: out is what end 0 sends. `sink`
 * gets the bytes of the file, block by block.
 */
export function captureCable(
  world: World,
  cable: Cable,
  sink: (bytes: Uint8Array) => void,
): CableCapture {
  const writer = new CableCaptureWriter(cable.name, world.epochSec, sink);
  for (const end of [0, 1] as const) {
    tapBytes(cable, end, (bytes) => writer.frame(end, world.nowNs, bytes));
  }
  return {
    get packets(): number {
      return writer.packets;
    },
    stop: () => {
      for (const end of [0, 1] as const) cable.tap(end, null);
    },
  };
}
