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

/**
 * Captures what is put on a cable, at both ends, seen from end 0: out is what end 0 sends. `sink`
 * gets the bytes of the file, block by block.
 */
export function captureCable(
  world: World,
  cable: Cable,
  sink: (bytes: Uint8Array) => void,
): CableCapture {
  const writer = new PcapngWriter(sink);
  const interfaceId = writer.addInterface({ name: cable.name, linktype: LINKTYPE_ETHERNET });
  let packets = 0;
  for (const end of [0, 1] as const) {
    cable.tap(end, (frame) => {
      packets++;
      writer.packet({
        interfaceId,
        sec: Math.floor(world.epochSec + world.nowNs / 1e9),
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
    stop: () => {
      for (const end of [0, 1] as const) cable.tap(end, null);
    },
  };
}
