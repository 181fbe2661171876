/**
 * Plugging modelled cards into a running machine, for worlds: what the plugs of the drivers share. No
 * Linux counterpart: there a hand puts the card in, and udev names the interface.
 */
import type { PciFunction } from '#hardware/pci/pci_function.ts';
import type { WireEnd, WirePort } from '#hardware/wire.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { PciDev } from '#include/linux/pci.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { devChangeName } from '#net/core/dev.ts';
import { devChangeNetNamespace } from '#net/core/dev_register.ts';

/** A card of a model: its place on the bus and its port for a cable. */
export interface PluggableCard extends WirePort {
  readonly pci: PciFunction;
  /** Connects what the port sends through. */
  connect(end: WireEnd): void;
}

export interface PlugOptions {
  /** Plugs the card's port into a medium, e.g. `(port) => cable.plug(0, port)`. */
  readonly end?: (port: WirePort) => WireEnd;
  /** Name of the interface; `eth0` and so on by default. */
  readonly name?: string;
}

/** A card in a machine. */
export interface PluggedNic<Card> {
  readonly card: Card;
  readonly dev: NetDevice;
  /** Pulls the card out of its slot. The cable stays, with nothing at this end. */
  unplug(): void;
}

function check(driver: string, err: number, what: string): void {
  if (err < 0) throw new Error(`${driver}: ${what}: errno ${-err}`);
}

/** Moves and names the new interface, as udev would. */
function settle(driver: string, dev: NetDevice, net: Net, name: string | undefined): void {
  const { machine } = net;
  rtnlLock(machine);
  try {
    if (dev.net !== net) check(driver, devChangeNetNamespace(dev, net, null), 'namespace');
    if (name !== undefined && name !== dev.name) {
      check(driver, devChangeName(dev, name), `name ${name}`);
    }
  } finally {
    rtnlUnlock(machine);
  }
}

/**
 * Plugs a card into a running machine, whose driver takes it; the interface is down. `interfaceOf` tells
 * the interface of the device, null when no driver has taken it. Throws when there is no free slot, no
 * driver, or the name is taken.
 */
export function plugCard<Card extends PluggableCard>(
  machine: Machine,
  net: Net,
  driver: string,
  card: Card,
  options: PlugOptions,
  interfaceOf: (pdev: PciDev) => NetDevice | null,
): PluggedNic<Card> {
  machine.enter(machine.host.readClock());
  const { bus, devices } = machine.pci;
  bus.plug(card.pci);
  const unplug = (): void => {
    machine.enter(machine.host.readClock());
    bus.unplug(card.pci);
  };
  const pdev = devices.find((candidate) => candidate.function === card.pci);
  const dev = pdev === undefined || pdev.driver === null ? null : interfaceOf(pdev);
  if (dev === null) {
    unplug();
    throw new Error(`${driver}: no driver of ${machine.name} took the card`);
  }
  try {
    settle(driver, dev, net, options.name);
  } catch (error) {
    unplug();
    throw error;
  }
  if (options.end !== undefined) card.connect(options.end(card));
  return { card, dev, unplug };
}
