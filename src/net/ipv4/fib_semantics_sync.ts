/**
 * Routes follow their devices and addresses. Counterpart of fib_sync_* of net/ipv4/fib_semantics.c.
 * Each function returns how many routes have changed their fate; the caller then flushes tables.
 */
import {
  NETDEV_CHANGE,
  NETDEV_DOWN,
  NETDEV_UNREGISTER,
  type NetDevice,
} from '#include/linux/netdevice.ts';
import type { FibInfo, FibNh } from '#include/net/ip_fib.ts';
import { devGetFlags } from '#net/core/dev.ts';
import { fibInfoTables } from '#net/ipv4/fib_semantics.ts';
import { IFF_LOWER_UP, IFF_RUNNING, IFF_UP } from '#uapi/if.ts';
import { RT_SCOPE_NOWHERE, RT_TABLE_MAIN, RTNH_F_DEAD, RTNH_F_LINKDOWN } from '#uapi/rtnetlink.ts';

/** A local address is gone: routes that prefer it as source die. @kernel fib_sync_down_addr net/ipv4/fib_semantics.c */
export function fibSyncDownAddr(dev: NetDevice, local: number): number {
  let ret = 0;
  if (local === 0) return 0;
  for (const fi of fibInfoTables(dev.net).laddrHash.get(local) ?? []) {
    if (fi.fibTbId !== RT_TABLE_MAIN) continue;
    fi.fibFlags |= RTNH_F_DEAD;
    fi.pfsrcRemoved = true;
    ret++;
  }
  return ret;
}

/** The routes that have a hop by this device. */
function infosOf(dev: NetDevice): Set<FibInfo> {
  const infos = new Set<FibInfo>();
  for (const nh of fibInfoTables(dev.net).devHash.get(dev.ifindex) ?? []) {
    if (nh.fibNhDev === dev && nh.nhParent !== null) infos.add(nh.nhParent);
  }
  return infos;
}

/** Flags that an event sets. */
function downFlags(event: number): number {
  if (event === NETDEV_DOWN || event === NETDEV_UNREGISTER) return RTNH_F_DEAD | RTNH_F_LINKDOWN;
  return event === NETDEV_CHANGE ? RTNH_F_LINKDOWN : 0;
}

/** The hops of one route; returns how many are dead now. */
function syncDownInfo(fi: FibInfo, dev: NetDevice, event: number, scope: number): number {
  let dead = 0;
  for (const nh of fi.fibNh) {
    if ((nh.fibNhFlags & RTNH_F_DEAD) !== 0) {
      dead++;
    } else if (nh.fibNhDev === dev && nh.fibNhScope !== scope) {
      nh.fibNhFlags |= downFlags(event);
      dead++;
    }
    if (event === NETDEV_UNREGISTER && nh.fibNhDev === dev) return fi.fibNh.length;
  }
  return dead;
}

/**
 * The device goes down, loses its carrier or goes away. `force`: local routes die too.
 * @kernel fib_sync_down_dev net/ipv4/fib_semantics.c
 */
export function fibSyncDownDev(dev: NetDevice, event: number, force: boolean): number {
  const scope = force ? -1 : RT_SCOPE_NOWHERE;
  let ret = 0;
  for (const fi of infosOf(dev)) {
    if (syncDownInfo(fi, dev, event, scope) === fi.fibNh.length) {
      fi.fibFlags |= downFlags(event);
      ret++;
    }
    fi.net.machine.netGlobals.fibMultipath?.rebalance(fi);
  }
  return ret;
}

/** The device is up, or has its carrier back: `nhFlags` go from its routes. @kernel fib_sync_up net/ipv4/fib_semantics.c */
export function fibSyncUp(dev: NetDevice, nhFlags: number): number {
  if ((dev.flags & IFF_UP) === 0) return 0;
  let clear = nhFlags;
  const live = (devGetFlags(dev) & (IFF_RUNNING | IFF_LOWER_UP)) !== 0;
  if ((nhFlags & RTNH_F_DEAD) !== 0 && live) clear |= RTNH_F_LINKDOWN;
  let ret = 0;
  for (const fi of infosOf(dev)) {
    let alive = 0;
    for (const nh of fi.fibNh) {
      if ((nh.fibNhFlags & clear) === 0) {
        alive++;
        continue;
      }
      if (nh.fibNhDev !== dev || dev.ipPtr === null) continue;
      alive++;
      nh.fibNhFlags &= ~clear;
    }
    if (alive > 0) {
      fi.fibFlags &= ~clear;
      ret++;
    }
    fi.net.machine.netGlobals.fibMultipath?.rebalance(fi);
  }
  return ret;
}

/** Learned path MTUs follow a device whose MTU changed. @kernel nh_update_mtu net/ipv4/fib_semantics.c */
function nhUpdateMtu(nh: FibNh, mtu: number, orig: number): void {
  for (const head of nh.exceptions ?? []) {
    for (let fnhe = head; fnhe !== null; fnhe = fnhe.fnheNext) {
      if (fnhe.fnheMtuLocked) {
        if (mtu <= fnhe.fnhePmtu) {
          fnhe.fnhePmtu = mtu;
          fnhe.fnheMtuLocked = false;
        }
      } else if (mtu < fnhe.fnhePmtu || orig === fnhe.fnhePmtu) {
        fnhe.fnhePmtu = mtu;
      }
    }
  }
}

/** @kernel fib_sync_mtu net/ipv4/fib_semantics.c */
export function fibSyncMtu(dev: NetDevice, origMtu: number): void {
  for (const nh of fibInfoTables(dev.net).devHash.get(dev.ifindex) ?? []) {
    if (nh.fibNhDev === dev) nhUpdateMtu(nh, dev.mtu, origMtu);
  }
}
