/**
 * Plugging a modelled 82576 into a machine, for worlds. No Linux counterpart: there a hand does it.
 */
import type { IgbAdapter, IgbParams } from '#drivers/net/ethernet/intel/igb/igb.ts';
import { IgbDriver } from '#drivers/net/ethernet/intel/igb/igb_main.ts';
import { type PluggedNic, type PlugOptions, plugCard } from '#drivers/net/plug.ts';
import { IgbCard, type IgbCardOptions } from '#hardware/igb/igb_card.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';

export interface IgbPlugOptions extends IgbCardOptions, PlugOptions {
  /** What the driver is to do with this card: queues, descriptors. */
  readonly params?: Partial<IgbParams>;
}

/** A card in a machine. */
export type IgbNic = PluggedNic<IgbCard>;

/**
 * Plugs a card into a running machine and has its driver probe it; the interface is down. Throws when
 * there is no free slot, the address is none, or the name is taken.
 */
export function igbPlug(machine: Machine, net: Net, options: IgbPlugOptions): IgbNic {
  const card = new IgbCard(machine, options);
  const driver = machine.pci.drivers.find((candidate) => candidate instanceof IgbDriver);
  if (driver === undefined) throw new Error(`igb: ${machine.name} lacks the driver`);
  driver.params.set(card.pci, options.params ?? {});
  return plugCard(
    machine,
    net,
    'igb',
    card,
    options,
    ({ drvdata }) => (drvdata as IgbAdapter).netdev,
  );
}
