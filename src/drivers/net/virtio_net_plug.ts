/**
 * Plugging a virtio network device into a machine, for worlds. No Linux counterpart: there a
 * hypervisor does it.
 */
import { type PluggedNic, type PlugOptions, plugCard } from '#drivers/net/plug.ts';
import { type VirtnetInfo, virtnetInfo } from '#drivers/net/virtio_net_queue.ts';
import { VirtioNetCard, type VirtioNetCardOptions } from '#hardware/virtio/virtio_net_card.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { PciDev } from '#include/linux/pci.ts';
import type { VirtioDevice } from '#include/linux/virtio.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';

export interface VirtioNetPlugOptions extends VirtioNetCardOptions, PlugOptions {}

/** A device in a machine. */
export interface VirtioNetNic extends PluggedNic<VirtioNetCard> {
  readonly vi: VirtnetInfo;
}

/** The interface of a device that a driver has taken; null: none has. */
function interfaceOf(pdev: PciDev): NetDevice | null {
  const vdev = pdev.drvdata as VirtioDevice | null;
  return vdev === null || vdev.driver === null ? null : (vdev.priv as VirtnetInfo).dev;
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
  const card = new VirtioNetCard(machine, options);
  const nic = plugCard(machine, net, 'virtio_net', card, options, interfaceOf);
  return { ...nic, vi: virtnetInfo(nic.dev) };
}
