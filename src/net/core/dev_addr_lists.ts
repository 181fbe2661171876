/**
 * Multicast and secondary unicast addresses that a device listens to. Counterpart of
 * net/core/dev_addr_lists.c. Addresses are counted; the driver is told through ndo_set_rx_mode.
 */
import type { NetDevice, NetdevHwAddr } from '#include/linux/netdevice.ts';
import { assertRtnl } from '#kernel/rtnl.ts';
import { devSetRxMode } from '#net/core/dev.ts';
import { EINVAL, ENOENT } from '#uapi/errno.ts';

function find(list: readonly NetdevHwAddr[], addr: Uint8Array): number {
  return list.findIndex((ha) => ha.addr.every((octet, i) => octet === addr[i]));
}

function add(dev: NetDevice, list: NetdevHwAddr[], addr: Uint8Array): number {
  assertRtnl(dev.net.machine);
  if (addr.length < dev.addrLen) return -EINVAL;
  const own = addr.slice(0, dev.addrLen);
  const at = find(list, own);
  const known = list[at];
  if (known !== undefined) {
    known.refcount++;
    return 0;
  }
  list.push({ addr: own, refcount: 1 });
  devSetRxMode(dev);
  return 0;
}

function del(dev: NetDevice, list: NetdevHwAddr[], addr: Uint8Array): number {
  assertRtnl(dev.net.machine);
  const at = find(list, addr.slice(0, dev.addrLen));
  const known = list[at];
  if (known === undefined) return -ENOENT;
  if (--known.refcount > 0) return 0;
  list.splice(at, 1);
  devSetRxMode(dev);
  return 0;
}

/** Listens to one more unicast address. 0 or a negative errno. @kernel dev_uc_add net/core/dev_addr_lists.c */
export function devUcAdd(dev: NetDevice, addr: Uint8Array): number {
  return add(dev, dev.uc, addr);
}

/** @kernel dev_uc_del net/core/dev_addr_lists.c */
export function devUcDel(dev: NetDevice, addr: Uint8Array): number {
  return del(dev, dev.uc, addr);
}

/** @kernel dev_uc_flush net/core/dev_addr_lists.c */
export function devUcFlush(dev: NetDevice): void {
  dev.uc.length = 0;
}

/** Listens to one more group. 0 or a negative errno. @kernel dev_mc_add net/core/dev_addr_lists.c */
export function devMcAdd(dev: NetDevice, addr: Uint8Array): number {
  return add(dev, dev.mc, addr);
}

/** @kernel dev_mc_del net/core/dev_addr_lists.c */
export function devMcDel(dev: NetDevice, addr: Uint8Array): number {
  return del(dev, dev.mc, addr);
}

/** @kernel dev_mc_flush net/core/dev_addr_lists.c */
export function devMcFlush(dev: NetDevice): void {
  dev.mc.length = 0;
}

/** Sets the device's own address while it is not registered, or from its driver. @kernel dev_addr_set include/linux/netdevice.h */
export function devAddrSet(dev: NetDevice, addr: Uint8Array): void {
  dev.devAddr.set(addr.subarray(0, dev.addrLen));
}
