/**
 * Plugging a modelled 82540EM into a machine, for worlds. No Linux counterpart: there a hand does it.
 */
import type { E1000Adapter, E1000Params } from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import { E1000Driver } from '#drivers/net/ethernet/intel/e1000/e1000_main.ts';
import { type PluggedNic, type PlugOptions, plugCard } from '#drivers/net/plug.ts';
import { E1000Card, type E1000CardOptions } from '#hardware/e1000/e1000_card.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';

export interface E1000PlugOptions extends E1000CardOptions, PlugOptions {
  /** Module parameters of the driver for this card. */
  readonly params?: Partial<E1000Params>;
}

/** A card in a machine. */
export type E1000Nic = PluggedNic<E1000Card>;

/**
 * Plugs a card into a running machine and has its driver probe it; the interface is down. Throws when
 * there is no free slot, the address is none, or the name is taken.
 */
export function e1000Plug(machine: Machine, net: Net, options: E1000PlugOptions): E1000Nic {
  const card = new E1000Card(machine, options);
  const driver = machine.pci.drivers.find((candidate) => candidate instanceof E1000Driver);
  if (driver === undefined) throw new Error(`e1000: ${machine.name} lacks the driver`);
  driver.params.set(card.pci, options.params ?? {});
  return plugCard(machine, net, 'e1000', card, options, ({ drvdata }) => {
    return (drvdata as E1000Adapter).netdev;
  });
}
