/**
 * Plugging a virtio network device into a machine, for worlds. No Linux counterpart: there a
 * hypervisor does it.
 */
import { type VirtnetInfo, virtnetInfo } from '#drivers/net/virtio_net_queue.ts';
import { VirtioNetCard, type VirtioNetCardOptions } from '#hardware/virtio/virtio_net_card.ts';
import type { WireEnd, WirePort } from '#hardware/wire.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { VirtioDevice } from '#include/linux/virtio.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { devChangeName } from '#net/core/dev.ts';
import { devChangeNetNamespace } from '#net/core/dev_register.ts';

export interface VirtioNetPlugOptions extends VirtioNetCardOptions {
  /** Plugs the card's port into a medium, e.g. `(port) => cable.plug(0, port)`. */
  readonly end?: (port: WirePort) => WireEnd;
  /** Name of the interface; `eth0` and so on by default. */
  readonly name?: string;
}

/** A device in a machine. */
export interface VirtioNetNic {
  readonly card: VirtioNetCard;
  readonly dev: NetDevice;
  readonly vi: VirtnetInfo;
  /** Pulls the card out of its slot. The cable stays, with nothing at this end. */
  unplug(): void;
}

function check(err: number, what: string): void {
  if (err < 0) throw new Error(`virtio_net: ${what}: errno ${-err}`);
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

/** The interface of a device that a driver has taken; null: none has. */
function interfaceOf(machine: Machine, card: VirtioNetCard): NetDevice | null {
  const pdev = machine.pci.devices.find((candidate) => candidate.function === card.pci);
  const vdev = pdev?.drvdata as VirtioDevice | null | undefined;
  if (vdev === null || vdev === undefined || vdev.driver === null) return null;
  return (vdev.priv as VirtnetInfo).dev;
}

/**
 * Plugs a device into a running machine and has its driver probe it; the interface is down. Throws when
 * there is no free slot, an option is impossible, or the name is taken.
 */
export function virtioNetPlug(
  machine: Machine,
  net: Net,
  options: VirtioNetPlugOptions,
): VirtioNetNic {
  machine.enter(machine.host.readClock());
  const { bus } = machine.pci;
  const card = new VirtioNetCard(machine, options);
  bus.plug(card.pci);
  const unplug = (): void => {
    machine.enter(machine.host.readClock());
    bus.unplug(card.pci);
  };
  const dev = interfaceOf(machine, card);
  if (dev === null) {
    unplug();
    throw new Error(`virtio_net: no driver of ${machine.name} took the device`);
  }
  try {
    settle(dev, net, options.name);
  } catch (error) {
    unplug();
    throw error;
  }
  if (options.end !== undefined) card.connect(options.end(card));
  return { card, dev, vi: virtnetInfo(dev), unplug };
}
