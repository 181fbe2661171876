/**
 * Changes of the ARP table that addresses and routes ask for. Counterpart of arp_invalidate and
 * arp_ifdown of net/ipv4/arp.c; they stand apart since arp.ts itself needs routes.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { NEIGH_UPDATE_F_ADMIN, NEIGH_UPDATE_F_OVERRIDE } from '#include/net/neighbour.ts';
import { neighIfdown, neighLookup, neighRemoveOne } from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { neighUpdate } from '#net/core/neighbour_nud.ts';
import { ENXIO } from '#uapi/errno.ts';
import { NUD_FAILED, NUD_NOARP, NUD_VALID } from '#uapi/neighbour.ts';

/** Forgets an address, if it is not known; with `force` even then. 0 or -ENXIO. @kernel arp_invalidate net/ipv4/arp.c */
export function arpInvalidate(dev: NetDevice, ip: number, force: boolean): number {
  const tbl = dev.net.machine.netGlobals.arpTbl;
  const neigh = tbl === null ? null : neighLookup(tbl, ip, dev);
  if (neigh === null) return -ENXIO;
  if ((neigh.nudState & NUD_VALID) !== 0 && !force) {
    neighRelease(neigh);
    return 0;
  }
  let err = -ENXIO;
  if ((neigh.nudState & ~NUD_NOARP) !== 0) {
    const flags = NEIGH_UPDATE_F_OVERRIDE | NEIGH_UPDATE_F_ADMIN;
    err = neighUpdate(neigh, null, NUD_FAILED, flags, 0);
  }
  const alone = neigh.refcnt === 2;
  neighRelease(neigh);
  if (alone) neighRemoveOne(neigh);
  return err;
}

/** @kernel arp_ifdown net/ipv4/arp.c */
export function arpIfdown(dev: NetDevice): void {
  const tbl = dev.net.machine.netGlobals.arpTbl;
  if (tbl !== null) neighIfdown(tbl, dev);
}
