/*
 * Names of numbers: scopes, protocols, tables, types. What iproute2 reads from /etc/iproute2 stands here.
 * Counterparts: iproute2's lib/rt_names.c, lib/rtm_map.c, lib/ll_types.c.
 */
import {
  ARPHRD_ETHER,
  ARPHRD_INFINIBAND,
  ARPHRD_IPGRE,
  ARPHRD_LOOPBACK,
  ARPHRD_NONE,
  ARPHRD_PPP,
  ARPHRD_SIT,
  ARPHRD_TUNNEL,
  ARPHRD_TUNNEL6,
  ARPHRD_VOID,
} from '#uapi/if_arp.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_SITE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_DEFAULT,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTN_ANYCAST,
  RTN_BLACKHOLE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_NAT,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTN_UNSPEC,
  RTN_XRESOLVE,
} from '#uapi/rtnetlink.ts';
import { AF_BRIDGE, AF_INET, AF_INET6, AF_MPLS, AF_PACKET, AF_UNSPEC } from '#uapi/socket.ts';

/** A number and its name. */
export type Name = readonly [number: number, name: string];

export type Names = readonly Name[];

export const SCOPES: readonly Name[] = [
  [RT_SCOPE_UNIVERSE, 'global'],
  [RT_SCOPE_NOWHERE, 'nowhere'],
  [RT_SCOPE_HOST, 'host'],
  [RT_SCOPE_LINK, 'link'],
  [RT_SCOPE_SITE, 'site'],
];

export const PROTOCOLS: readonly Name[] = [
  [0, 'unspec'],
  [1, 'redirect'],
  [2, 'kernel'],
  [3, 'boot'],
  [4, 'static'],
  [8, 'gated'],
  [9, 'ra'],
  [10, 'mrt'],
  [11, 'zebra'],
  [12, 'bird'],
  [13, 'dnrouted'],
  [14, 'xorp'],
  [15, 'ntk'],
  [16, 'dhcp'],
  [18, 'keepalived'],
  [42, 'babel'],
  [99, 'openr'],
  [186, 'bgp'],
  [187, 'isis'],
  [188, 'ospf'],
  [189, 'rip'],
  [192, 'eigrp'],
];

export const TABLES: readonly Name[] = [
  [RT_TABLE_LOCAL, 'local'],
  [RT_TABLE_MAIN, 'main'],
  [RT_TABLE_DEFAULT, 'default'],
  [0, 'unspec'],
];

export const GROUPS: readonly Name[] = [[0, 'default']];

export const ROUTE_TYPES: readonly Name[] = [
  [RTN_UNSPEC, 'none'],
  [RTN_UNICAST, 'unicast'],
  [RTN_LOCAL, 'local'],
  [RTN_BROADCAST, 'broadcast'],
  [RTN_ANYCAST, 'anycast'],
  [RTN_MULTICAST, 'multicast'],
  [RTN_BLACKHOLE, 'blackhole'],
  [RTN_UNREACHABLE, 'unreachable'],
  [RTN_PROHIBIT, 'prohibit'],
  [RTN_THROW, 'throw'],
  [RTN_NAT, 'nat'],
  [RTN_XRESOLVE, 'xresolve'],
];

const LINK_TYPES: readonly Name[] = [
  [ARPHRD_ETHER, 'ether'],
  [ARPHRD_INFINIBAND, 'infiniband'],
  [ARPHRD_PPP, 'ppp'],
  [ARPHRD_TUNNEL, 'ipip'],
  [ARPHRD_TUNNEL6, 'tunnel6'],
  [ARPHRD_LOOPBACK, 'loopback'],
  [ARPHRD_SIT, 'sit'],
  [ARPHRD_IPGRE, 'gre'],
  [ARPHRD_NONE, 'none'],
  [ARPHRD_VOID, 'void'],
];

const FAMILIES: readonly Name[] = [
  [AF_INET, 'inet'],
  [AF_INET6, 'inet6'],
  [AF_PACKET, 'link'],
  [AF_MPLS, 'mpls'],
  [AF_BRIDGE, 'bridge'],
];

/** The name of a number, or its digits. */
export function nameOf(names: Names, number: number): string {
  return names.find(([n]) => n === number)?.[1] ?? String(number);
}

/** The number of a name or of digits, at most `max`; null for anything else. */
export function numberOf(names: Names, text: string, max: number): number | null {
  const named = names.find(([, name]) => name === text);
  if (named !== undefined) return named[0];
  const number = parseUnsigned(text);
  return number === null || number > max ? null : number;
}

/** An unsigned integer as strtoul(3) reads it with base 0; null for anything else. */
export function parseUnsigned(text: string): number | null {
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return Number.parseInt(text.slice(2), 16);
  if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8);
  return /^\d+$/.test(text) ? Number(text) : null;
}

/** An integer with a sign; null for anything else. */
export function parseSigned(text: string): number | null {
  const negative = text.startsWith('-');
  const number = parseUnsigned(negative ? text.slice(1) : text);
  if (number === null) return null;
  return negative ? -number : number;
}

export function familyName(family: number): string {
  if (family === AF_UNSPEC) return 'none';
  return FAMILIES.find(([n]) => n === family)?.[1] ?? '???';
}

export function linkTypeName(type: number): string {
  return LINK_TYPES.find(([n]) => n === type)?.[1] ?? `[${type}]`;
}

/** Link types whose addresses are IPv4 addresses: tunnels. */
export function isTunnelType(type: number): boolean {
  return type === ARPHRD_TUNNEL || type === ARPHRD_SIT || type === ARPHRD_IPGRE;
}

/** True when `word` is the beginning of `full`. */
export function abbreviates(word: string, full: string): boolean {
  return word.length > 0 && full.startsWith(word);
}
