/**
 * References on devices: a device that was unregistered goes away with the last one.
 *
 * Counterpart of that part of include/linux/netdevice.h. Debug builds know the holders by name, as
 * Linux does with CONFIG_NET_DEV_REFCNT_TRACKER, and can tell who forgot to let go.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';

/** Takes a reference: the device cannot go away before it is given back. @kernel dev_hold include/linux/netdevice.h */
export function devHold(dev: NetDevice | null): void {
  if (dev === null) return;
  dev.refcnt++;
  dev.net.machine.live.devRefs++;
}

/** @kernel dev_put include/linux/netdevice.h */
export function devPut(dev: NetDevice | null): void {
  if (dev === null) return;
  if (dev.refcnt <= 0) throw new KernelBug('dev-put-underflow', `device ${dev.name} has no holder`);
  dev.refcnt--;
  dev.net.machine.live.devRefs--;
}

/** A reference that debug builds know the holder of, e.g. `dst`. @kernel netdev_hold include/linux/netdevice.h */
export function netdevHold(dev: NetDevice | null, holder: string): void {
  devHold(dev);
  if (DEBUG && dev !== null) dev.holders.set(holder, (dev.holders.get(holder) ?? 0) + 1);
}

/** Gives back what netdevHold() took for `holder`. @kernel netdev_put include/linux/netdevice.h */
export function netdevPut(dev: NetDevice | null, holder: string): void {
  if (DEBUG && dev !== null) {
    const held = dev.holders.get(holder) ?? 0;
    if (held === 0) throw new KernelBug('dev-put-unheld', `${holder} does not hold ${dev.name}`);
    dev.holders.set(holder, held - 1);
  }
  devPut(dev);
}

/** Whom a device waits for: `3 (2 dst, 1 not named)`. @kernel ref_tracker_dir_print lib/ref_tracker.c */
export function netdevHoldersText(dev: NetDevice): string {
  const named = [...dev.holders].filter(([, held]) => held > 0);
  // The last reference is the device's own.
  const rest = named.reduce((left, [, held]) => left - held, dev.refcnt - 1);
  const parts = named.map(([holder, held]) => `${held} ${holder}`);
  if (rest > 0) parts.push(`${rest} not named`);
  return `${dev.refcnt} (${parts.join(', ')})`;
}
