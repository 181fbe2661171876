/*
 * How `ip address` shows an address. Counterpart of print_addrinfo in iproute2's ip/ipaddress.c.
 */
import {
  IFA_ADDRESS,
  IFA_ANYCAST,
  IFA_BROADCAST,
  IFA_CACHEINFO,
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_HOMEADDRESS,
  IFA_F_MANAGETEMPADDR,
  IFA_F_MCAUTOJOIN,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_F_OPTIMISTIC,
  IFA_F_PERMANENT,
  IFA_F_SECONDARY,
  IFA_F_STABLE_PRIVACY,
  IFA_F_TENTATIVE,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
  IFA_RT_PRIORITY,
  INFINITY_LIFE_TIME,
  ifaCacheinfo,
  ifaddrmsg,
} from '#uapi/if_addr.ts';
import { AF_INET6 } from '#uapi/socket.ts';
import { formatAddress } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { familyName, type Name, nameOf, SCOPES } from '#user/ip/names.ts';
import type { NlMessage } from '#user/lib/nlmsg.ts';

/** Flags in the order in which they are shown; `secondary` of IPv6 is called `temporary`. */
export const ADDRESS_FLAGS: readonly Name[] = [
  [IFA_F_SECONDARY, 'secondary'],
  [IFA_F_NODAD, 'nodad'],
  [IFA_F_OPTIMISTIC, 'optimistic'],
  [IFA_F_DADFAILED, 'dadfailed'],
  [IFA_F_HOMEADDRESS, 'home'],
  [IFA_F_DEPRECATED, 'deprecated'],
  [IFA_F_TENTATIVE, 'tentative'],
  [IFA_F_PERMANENT, 'permanent'],
  [IFA_F_MANAGETEMPADDR, 'mngtmpaddr'],
  [IFA_F_NOPREFIXROUTE, 'noprefixroute'],
  [IFA_F_MCAUTOJOIN, 'autojoin'],
  [IFA_F_STABLE_PRIVACY, 'stable-privacy'],
];

/** An address as the kernel describes it. */
export interface AddressInfo {
  readonly index: number;
  readonly family: number;
  readonly prefixlen: number;
  readonly scope: number;
  readonly flags: number;
  /** The interface's own address. */
  readonly local: Uint8Array;
  /** The address of the other end, or of the prefix; the same as `local` on a broadcast link. */
  readonly address: Uint8Array;
  readonly label: string | null;
  readonly message: NlMessage;
}

export function readAddress(message: NlMessage): AddressInfo | null {
  const { view, payload } = message;
  const attrs = message.attrs(ifaddrmsg.LEN);
  const local = attrs.bytes(IFA_LOCAL) ?? attrs.bytes(IFA_ADDRESS);
  const address = attrs.bytes(IFA_ADDRESS) ?? local;
  if (local === null || address === null) return null;
  return {
    index: ifaddrmsg.index(view, payload),
    family: ifaddrmsg.family(view, payload),
    prefixlen: ifaddrmsg.prefixlen(view, payload),
    scope: ifaddrmsg.scope(view, payload),
    flags: attrs.u32(IFA_FLAGS) ?? ifaddrmsg.flags(view, payload),
    local,
    address,
    label: attrs.string(IFA_LABEL),
    message,
  };
}

function printFlags(context: Context, info: AddressInfo): void {
  const { out } = context;
  let rest = info.flags;
  for (const [flag, name] of ADDRESS_FLAGS) {
    const set = (rest & flag) !== 0;
    rest &= ~flag;
    if (flag === IFA_F_PERMANENT) {
      // What is not permanent was given for a time.
      if (!set) out.bool('dynamic', true, 'dynamic ');
    } else if (set && flag === IFA_F_SECONDARY && info.family === AF_INET6) {
      out.bool('temporary', true, 'temporary ');
    } else if (set) {
      out.bool(name, true, `${name} `);
    }
  }
  if (rest !== 0) {
    const text = (rest >>> 0).toString(16).padStart(2, '0');
    if (out.json !== null) out.string('ifa_flags', text);
    else out.words(`flags ${text} `);
  }
}

function printLifetimes(context: Context, info: AddressInfo): void {
  const { out } = context;
  const attrs = info.message.attrs(ifaddrmsg.LEN);
  const at = attrs.at(IFA_CACHEINFO, ifaCacheinfo.LEN);
  if (at < 0) return;
  const valid = ifaCacheinfo.valid(attrs.view, at);
  const preferred = ifaCacheinfo.prefered(attrs.view, at);
  const words = (seconds: number): string =>
    seconds === INFINITY_LIFE_TIME ? 'forever' : `${seconds}sec`;
  out.line();
  out.number('valid_life_time', valid, `       valid_lft ${words(valid)}`);
  // A deprecated address counts on below zero.
  const deprecated = (info.flags & IFA_F_DEPRECATED) !== 0 && preferred !== INFINITY_LIFE_TIME;
  const left = deprecated ? preferred | 0 : preferred;
  out.number('preferred_life_time', left, ` preferred_lft ${words(left)}`);
}

/** One address. @param alone it stands without its link: name that first */
export function printAddress(context: Context, info: AddressInfo, alone: boolean): void {
  const { out, options } = context;
  const attrs = info.message.attrs(ifaddrmsg.LEN);
  out.openObject();
  if (!options.brief) {
    if (alone) out.words(`${info.index}: ${context.linkName(info.index)}`);
    const family = familyName(info.family);
    out.string('family', family, `    ${family} `);
  }
  const local = formatAddress(info.family, info.local);
  const address = formatAddress(info.family, info.address);
  out.string('local', local);
  if (address !== local) out.string('address', address, ` peer ${address}`);
  out.number('prefixlen', info.prefixlen, `/${info.prefixlen} `);
  const metric = attrs.u32(IFA_RT_PRIORITY);
  if (metric !== null) out.number('metric', metric, `metric ${metric} `);
  if (options.brief) {
    out.closeObject();
    return;
  }
  const named = (attr: number, key: string, label: string): void => {
    const bytes = attrs.bytes(attr);
    if (bytes === null) return;
    const text = formatAddress(info.family, bytes);
    out.string(key, text, `${label} ${text} `);
  };
  named(IFA_BROADCAST, 'broadcast', 'brd');
  named(IFA_ANYCAST, 'anycast', 'any');
  const scope = nameOf(SCOPES, info.scope);
  out.string('scope', scope, `scope ${scope} `);
  printFlags(context, info);
  if (info.label !== null) out.string('label', info.label);
  printLifetimes(context, info);
  out.words('\n');
  out.closeObject();
}
