/** Network cards in the machines of a world. */
import { e1000Plug } from '#drivers/net/ethernet/intel/e1000/e1000_plug.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Cable } from '#sim/cable.ts';

export interface NicOptions {
  /** Name of the interface. */
  readonly name: string;
  /** Link address: six octets. */
  readonly mac: Uint8Array;
  /** Bits a second that the card sends; a gigabit by default. */
  readonly rateBps?: number;
}

/** Puts an e1000 into a machine and a cable into the e1000. Throws when the name is taken. */
export function plugNic(machine: Machine, cable: Cable, end: 0 | 1, options: NicOptions): void {
  e1000Plug(machine, machine.initNet, {
    ...options,
    end: (port) => cable.plug(end, port, machine),
  });
}
