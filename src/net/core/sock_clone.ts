/**
 * Copies of a listener's socket for its connections, and what a route lets a socket do.
 * Counterpart of sk_clone_lock and sk_setup_caps in net/core/sock.c.
 */

import {
  NETIF_F_ALL_TSO,
  NETIF_F_GSO,
  NETIF_F_GSO_MASK,
  NETIF_F_GSO_SOFTWARE,
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HW_CSUM,
  NETIF_F_SG,
} from '#include/linux/netdev_features.ts';
import { GSO_LEGACY_MAX_SIZE } from '#include/linux/netdevice.ts';
import { TcpSock } from '#include/linux/tcp.ts';
import type { DstEntry } from '#include/net/dst.ts';
import { InetConnectionSock } from '#include/net/inet_connection_sock.ts';
import {
  SOCK_BINDPORT_LOCK,
  SOCK_DONE,
  SOCK_TIMESTAMP,
  SOCK_TIMESTAMPING_RX_SOFTWARE,
  type Sock,
  skIsTcp,
} from '#include/net/sock.ts';
import { netGsoOk } from '#net/core/gso.ts';
import { skAlloc, skDstSet, sockResetFlag } from '#net/core/sock.ts';
import { COPIED_FIELDS, copyTcpSock } from '#net/core/sock_copy_fields.ts';
import { AF_INET6 } from '#uapi/socket.ts';

/** Room that a GSO packet needs for its headers. @kernel MAX_TCP_HEADER include/net/tcp.h */
const MAX_TCP_HEADER = 320;

/** What a copy starts afresh: identity, chains, lock, queues' sums. @kernel sk_dontcopy_begin include/net/sock.h */
export const DONTCOPY: ReadonlySet<string> = new Set([
  'refcnt',
  'skcTxQueueMapping',
  'skNetRefcnt',
  'skCookie',
  'skIno',
  'skLockOwned',
  'skBacklogLen',
  'skRmemAlloc',
  'skDrops',
  'skWmemAlloc',
  'skWmemQueued',
  'skForwardAlloc',
  'skOmemAlloc',
  'skFrag',
  'skErr',
  'skErrSoft',
  'skWritePending',
]);

/**
 * Copies every plain value of `osk`: numbers, flags, callbacks. In Linux this is a memcpy of the
 * protocol's whole struct; embedded structs and pointers to them stay those of the copy.
 * @kernel sock_copy net/core/sock.c
 */
function sockCopy(nsk: Sock, osk: Sock): void {
  // What few change is shared, until either writes to it.
  osk.sockRare.owner = null;
  nsk.sockRare = osk.sockRare;
  nsk.skReservedMem = 0;
  nsk.skZckey = 0;
  nsk.skPriority = 0;
  if (nsk instanceof TcpSock && osk instanceof TcpSock) {
    osk.tcpRare.owner = null;
    nsk.tcpRare = osk.tcpRare;
    copyTcpSock(nsk, osk);
  }
  const from = osk as unknown as Readonly<Record<string, unknown>>;
  const to = nsk as unknown as Record<string, unknown>;
  for (const key of copiedKeys(osk)) to[key] = from[key];
  if (nsk instanceof InetConnectionSock && osk instanceof InetConnectionSock) {
    nsk.icskAfOps = osk.icskAfOps;
    nsk.icskCaOps = osk.icskCaOps;
  }
  nsk.hashed = false;
}

/**
 * Names of the plain fields that a copy of such a socket takes over, worked out once a protocol: of
 * TCP's, those that copyTcpSock() does not know. What may be an object, or null in its place, belongs
 * to one socket.
 */
function copiedKeys(sk: Sock): readonly string[] {
  const known = sk.net.machine.netGlobals.sockCopyKeys;
  let keys = known.get(sk.skProt);
  if (keys === undefined) {
    const fields = sk as unknown as Readonly<Record<string, unknown>>;
    const copied = new Set(sk instanceof TcpSock ? COPIED_FIELDS : []);
    keys = Object.keys(sk).filter(
      (key) => !DONTCOPY.has(key) && !copied.has(key) && typeof fields[key] !== 'object',
    );
    known.set(sk.skProt, keys);
  }
  return keys;
}

/**
 * A child of a listener with its settings and nothing of its state. Two references: the caller's
 * and that of the table it will be hashed into. Null: no memory for its filter.
 * @kernel sk_clone_lock net/core/sock.c
 */
export function skCloneLock(sk: Sock): Sock | null {
  const filter = sk.skFilter;
  if (filter !== null && filter.size > sk.net.sysctlOptmemMax) return null;
  const newsk = skAlloc(sk.net, sk.skcFamily, sk.skProt, !sk.skNetRefcnt);
  sockCopy(newsk, sk);
  newsk.refcnt = 2;
  newsk.skUserlocks = sk.skUserlocks & ~SOCK_BINDPORT_LOCK;
  sockResetFlag(newsk, SOCK_DONE);
  newsk.skFilter = filter;
  if (filter !== null) newsk.skOmemAlloc = filter.size;
  newsk.skIncomingCpu = sk.net.machine.cpu.id;
  if (newsk.skMemory !== null) newsk.skMemory.socketsAllocated++;
  const stamps = (1 << SOCK_TIMESTAMP) | (1 << SOCK_TIMESTAMPING_RX_SOFTWARE);
  if ((newsk.skFlags & stamps) !== 0) newsk.net.machine.netGlobals.netstampNeeded++;
  return newsk;
}

/** @kernel sk_can_gso include/net/sock.h */
export function skCanGso(sk: Sock): boolean {
  return netGsoOk(sk.skRouteCaps, sk.skGsoType);
}

/** No packet of the socket is left to others to cut. @kernel sk_gso_disable include/net/sock.h */
export function skGsoDisable(sk: Sock): void {
  sk.skGsoDisabled = true;
  sk.skRouteCaps &= ~NETIF_F_GSO_MASK;
  sk.skGsoMaxSegs = 1;
}

/**
 * Stores a new route (taking over the reference) and works out what its device can do for us.
 * @kernel sk_setup_caps net/core/sock.c
 */
export function skSetupCaps(sk: Sock, dst: DstEntry): void {
  skDstSet(sk, dst);
  const dev = dst.dev;
  let maxSegs = 1;
  sk.skRouteCaps = dev?.features ?? 0;
  // TCP always builds super-packets: what the device cannot, is cut up right before it.
  if (skIsTcp(sk)) sk.skRouteCaps |= NETIF_F_GSO;
  if ((sk.skRouteCaps & NETIF_F_GSO) !== 0) sk.skRouteCaps |= NETIF_F_GSO_SOFTWARE;
  if (sk.skGsoDisabled) sk.skRouteCaps &= ~NETIF_F_GSO_MASK;
  if (skCanGso(sk)) {
    if (dst.headerLen !== 0) {
      sk.skRouteCaps &= ~(NETIF_F_GSO | NETIF_F_ALL_TSO | NETIF_F_GSO_UDP_L4);
    } else {
      sk.skRouteCaps |= NETIF_F_SG | NETIF_F_HW_CSUM;
      const devMax = dev?.gsoMaxSize ?? GSO_LEGACY_MAX_SIZE;
      const max = sk.skcFamily === AF_INET6 ? devMax : Math.min(devMax, GSO_LEGACY_MAX_SIZE);
      sk.skGsoMaxSize = max - (MAX_TCP_HEADER + 1);
      maxSegs = Math.max(dev?.gsoMaxSegs ?? 1, 1);
    }
  }
  sk.skGsoMaxSegs = maxSegs;
}
