/**
 * What the parts of the FIB share: properties of the route types. Counterpart of
 * net/ipv4/fib_lookup.h; struct fib_alias is in include/net/ip_fib.ts.
 */

import { inDevIgnoreRoutesWithLinkdown } from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { FIB_LOOKUP_IGNORE_LINKSTATE, type FibNh } from '#include/net/ip_fib.ts';
import { EACCES, EAGAIN, EHOSTUNREACH, EINVAL } from '#uapi/errno.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
} from '#uapi/rtnetlink.ts';

/** The alias has been used since it was made: caches may hold it. @kernel FA_S_ACCESSED net/ipv4/fib_lookup.h */
export const FA_S_ACCESSED = 0x01;

/** @kernel fib_prop net/ipv4/fib_lookup.h */
export interface FibProp {
  /** What a lookup that ends here returns; 0: a route. */
  readonly error: number;
  /** The widest scope that the type may have. */
  readonly scope: number;
}

/** By RTN_*. @kernel fib_props net/ipv4/fib_semantics.c */
export const fibProps: readonly FibProp[] = [
  { error: 0, scope: RT_SCOPE_NOWHERE }, // RTN_UNSPEC
  { error: 0, scope: RT_SCOPE_UNIVERSE }, // RTN_UNICAST
  { error: 0, scope: RT_SCOPE_HOST }, // RTN_LOCAL
  { error: 0, scope: RT_SCOPE_LINK }, // RTN_BROADCAST
  { error: 0, scope: RT_SCOPE_LINK }, // RTN_ANYCAST
  { error: 0, scope: RT_SCOPE_UNIVERSE }, // RTN_MULTICAST
  { error: -EINVAL, scope: RT_SCOPE_UNIVERSE }, // RTN_BLACKHOLE
  { error: -EHOSTUNREACH, scope: RT_SCOPE_UNIVERSE }, // RTN_UNREACHABLE
  { error: -EACCES, scope: RT_SCOPE_UNIVERSE }, // RTN_PROHIBIT
  { error: -EAGAIN, scope: RT_SCOPE_UNIVERSE }, // RTN_THROW
  { error: -EINVAL, scope: RT_SCOPE_NOWHERE }, // RTN_NAT
  { error: -EINVAL, scope: RT_SCOPE_NOWHERE }, // RTN_XRESOLVE
];

/** Bits of the TOS that a route's own TOS is compared with. @kernel INET_DSCP_LEGACY_TOS_MASK include/net/ip_fib.h */
const LEGACY_TOS_MASK = 0x1c;

/** @kernel fib_dscp_masked_match include/net/ip_fib.h */
export function fibDscpMaskedMatch(dscp: number, flp: Flowi4): boolean {
  return dscp === (flp.flowi4Tos & LEGACY_TOS_MASK);
}

/** @kernel ip_ignore_linkdown include/linux/inetdevice.h */
export function ipIgnoreLinkdown(dev: NetDevice | null): boolean {
  const inDev = dev?.ipPtr ?? null;
  return inDev !== null && inDevIgnoreRoutesWithLinkdown(inDev);
}

/** May this hop be used for the flow? @kernel fib_lookup_good_nhc net/ipv4/fib_trie.c */
export function fibLookupGoodNhc(nhc: FibNh, fibFlags: number, flp: Flowi4): boolean {
  const flags = nhc.fibNhFlags;
  if ((flags & RTNH_F_DEAD) !== 0) return false;
  if (
    (flags & RTNH_F_LINKDOWN) !== 0 &&
    (fibFlags & FIB_LOOKUP_IGNORE_LINKSTATE) === 0 &&
    ipIgnoreLinkdown(nhc.fibNhDev)
  ) {
    return false;
  }
  return flp.flowi4Oif === 0 || flp.flowi4Oif === nhc.fibNhOif;
}
