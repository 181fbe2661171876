/** Network cards in the machines of a world. */
import { e1000Plug } from '#drivers/net/ethernet/intel/e1000/e1000_plug.ts';
import { igbPlug } from '#drivers/net/ethernet/intel/igb/igb_plug.ts';
import { virtioNetPlug } from '#drivers/net/virtio_net_plug.ts';
import type { WireEnd, WirePort } from '#hardware/wire.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Cable } from '#sim/cable.ts';
import type { NicType } from '#sim/nic_types.ts';

/** Bits a second of a virtio device, which has no line of its own, where nothing is said. */
const VIRTIO_RATE_BPS = 10_000_000_000;

export interface NicOptions {
  /** Name of the interface. */
  readonly name: string;
  /** Link address: six octets. */
  readonly mac: Uint8Array;
  /** Bits a second that the card sends; a gigabit by default, ten of virtio. */
  readonly rateBps?: number;
  /** `e1000` by default. */
  readonly type?: NicType;
  /** Queues of each direction, for cards that have several; 0, the default: one for each CPU. */
  readonly queues?: number;
  /** False: its driver takes frames in the interrupt, as drivers did before NAPI. */
  readonly napi?: boolean;
}

/** Puts a card into a machine and a cable into the card. Throws when the name is taken. */
export function plugNic(machine: Machine, cable: Cable, end: 0 | 1, options: NicOptions): void {
  const { name, mac, rateBps, type = 'e1000', queues = 0, napi = true } = options;
  const common = {
    name,
    mac,
    ...(rateBps === undefined ? {} : { rateBps }),
    end: (port: WirePort): WireEnd => cable.plug(end, port, machine),
  };
  if (type === 'e1000') {
    e1000Plug(machine, machine.initNet, { ...common, params: { napi } });
  } else if (type === 'virtio') {
    virtioNetPlug(machine, machine.initNet, {
      ...common,
      rateBps: rateBps ?? VIRTIO_RATE_BPS,
      queuePairs: queues === 0 ? machine.cpus.length : queues,
    });
  } else {
    const params = queues === 0 ? {} : { rssQueues: queues };
    igbPlug(machine, machine.initNet, { ...common, params });
  }
}
