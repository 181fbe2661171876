/**
 * Plugging a modelled card into a machine, for worlds. No Linux counterpart: there a hand does it.
 */
import type { IgbAdapter, IgbParams } from '#drivers/net/ethernet/intel/igb/igb.ts';
import { IgbDriver } from '#drivers/net/ethernet/intel/igb/igb_main.ts';
import { IgbCard, type IgbCardOptions } from '#hardware/igb/igb_card.ts';
import type { WireEnd, WirePort } from '#hardware/wire.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { devChangeName } from '#net/core/dev.ts';
import { devChangeNetNamespace } from '#net/core/dev_register.ts';

export interface IgbPlugOptions extends IgbCardOptions {
  /** Plugs the card's port into a medium, e.g. `(port) => cable.plug(0, port)`. */
  readonly end?: (port: WirePort) => WireEnd;
  /** Name of the interface; `eth0` and so on by default. */
  readonly name?: string;
  /** What the driver is to do with this card: queues, descriptors. */
  readonly params?: Partial<IgbParams>;
}

/** A card in a machine. */
export interface IgbNic {
  readonly card: IgbCard;
  readonly dev: NetDevice;
  /** Pulls the card out of its slot. The cable stays, with nothing at this end. */
  unplug(): void;
}

function check(err: number, what: string): void {
  if (err < 0) throw new Error(`igb: ${what}: errno ${-err}`);
}

/** Moves and names the new interface, as udev would. */
function settle(dev: NetDevice, net: Net, name: string | undefined): void {
  const { machine } = net;
  rtnlLock(machine);
  try {
    if (dev.net !== net) check(devChangeNetNamespace(dev, net, null), 'namespace');
    if (name !== undefined && name !== dev.name) check(devChangeName(dev, name), `name ${name}`);
  } finally {
    rtnlUnlock(machine);
  }
}

/**
 * Plugs a card into a running machine and has its driver probe it; the interface is down. Throws when
 * there is no free slot, the address is none, or the name is taken.
 */
export function igbPlug(machine: Machine, net: Net, options: IgbPlugOptions): IgbNic {
  machine.enter(machine.host.readClock());
  const { bus, drivers, devices } = machine.pci;
  const card = new IgbCard(machine, options);
  const driver = drivers.find((candidate) => candidate instanceof IgbDriver);
  if (driver === undefined) throw new Error(`igb: ${machine.name} lacks the driver`);
  driver.params.set(card.pci, options.params ?? {});
  bus.plug(card.pci);
  const pdev = devices.find((candidate) => candidate.function === card.pci);
  if (pdev === undefined || pdev.driver === null) {
    bus.unplug(card.pci);
    throw new Error('igb: the driver did not take the card');
  }
  const dev = (pdev.drvdata as IgbAdapter).netdev;
  const unplug = (): void => {
    machine.enter(machine.host.readClock());
    bus.unplug(card.pci);
  };
  try {
    settle(dev, net, options.name);
  } catch (error) {
    unplug();
    throw error;
  }
  if (options.end !== undefined) card.connect(options.end(card));
  return { card, dev, unplug };
}
