/*
 * `ip address show` and `ip link show`, which are one command with two views, and `ip address flush`.
 * Counterpart of iproute2's ip/ipaddress.c.
 */
import { EADDRNOTAVAIL } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import {
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_HOMEADDRESS,
  IFA_F_MANAGETEMPADDR,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_F_PERMANENT,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
  ifaddrmsg,
} from '#uapi/if_addr.ts';
import {
  IFLA_EXT_MASK,
  IFLA_GROUP,
  IFLA_INFO_KIND,
  IFLA_INFO_SLAVE_KIND,
  IFLA_LINKINFO,
  IFLA_MASTER,
} from '#uapi/if_link.ts';
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  ifinfomsg,
  RTEXT_FILTER_SKIP_STATS,
  RTEXT_FILTER_VF,
  RTM_DELADDR,
  RTM_GETADDR,
  RTM_GETLINK,
} from '#uapi/rtnetlink.ts';
import { AF_PACKET, AF_UNSPEC } from '#uapi/socket.ts';
import { type AddressInfo, printAddress, readAddress } from '#user/ip/addr_print.ts';
import { type Address, getPrefix, samePrefix, type Words } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { printLink, printLinkBrief } from '#user/ip/link_print.ts';
import { printLinkStats } from '#user/ip/link_stats.ts';
import { GROUPS, type Name, type Names, numberOf, SCOPES } from '#user/ip/names.ts';
import { errnoOf } from '#user/lib/errors.ts';
import { type NlAttrs, NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';

/** What to show or to flush. */
interface Filter {
  family: number;
  device: string | null;
  index: number;
  prefix: Address | null;
  scope: number | null;
  label: string | null;
  up: boolean;
  flags: number;
  flagMask: number;
  kind: string | null;
  slaveKind: string | null;
  master: number | null;
  group: number | null;
}

const FLAG_WORDS: readonly Name[] = [
  [IFA_F_SECONDARY, 'secondary'],
  [IFA_F_SECONDARY, 'temporary'],
  [IFA_F_NODAD, 'nodad'],
  [IFA_F_DADFAILED, 'dadfailed'],
  [IFA_F_HOMEADDRESS, 'home'],
  [IFA_F_DEPRECATED, 'deprecated'],
  [IFA_F_TENTATIVE, 'tentative'],
  [IFA_F_PERMANENT, 'permanent'],
  [IFA_F_MANAGETEMPADDR, 'mngtmpaddr'],
  [IFA_F_NOPREFIXROUTE, 'noprefixroute'],
];

function newFilter(family: number): Filter {
  return {
    family,
    device: null,
    index: 0,
    prefix: null,
    scope: null,
    label: null,
    up: false,
    flags: 0,
    flagMask: 0,
    kind: null,
    slaveKind: null,
    master: null,
    group: null,
  };
}

async function readMaster(context: Context, name: string, kind: string): Promise<number> {
  const index = await context.linkIndex(name);
  if (index === 0) throw context.wrong(`Invalid "${kind}" value`, name);
  return index;
}

/** A word about flags: `tentative`, `-tentative`, `primary`, `dynamic`. */
function flagWord(filter: Filter, word: string): boolean {
  const opposite: Names = [
    [IFA_F_SECONDARY, 'primary'],
    [IFA_F_PERMANENT, 'dynamic'],
  ];
  const set = (flag: number, on: boolean): boolean => {
    filter.flagMask |= flag;
    filter.flags = on ? filter.flags | flag : filter.flags & ~flag;
    return true;
  };
  const unset = opposite.find(([, name]) => name === word);
  if (unset !== undefined) return set(unset[0], false);
  const negative = word.startsWith('-');
  const found = FLAG_WORDS.find(([, name]) => name === (negative ? word.slice(1) : word));
  return found !== undefined && set(found[0], !negative);
}

async function readFilter(context: Context, words: Words, family: number): Promise<Filter> {
  const filter = newFilter(family);
  while (!words.done) {
    if (words.is('to')) {
      filter.prefix = getPrefix(context, words.next(), filter.family);
      if (filter.family === AF_UNSPEC) filter.family = filter.prefix.family;
    } else if (words.is('scope')) {
      const text = words.next();
      const scope = text === 'all' ? null : numberOf(SCOPES, text, 255);
      if (scope === null && text !== 'all') throw context.wrong('invalid "scope"\n', text);
      filter.scope = scope;
    } else if (words.is('up')) {
      filter.up = true;
    } else if (words.is('label')) {
      filter.label = words.next();
    } else if (words.is('group')) {
      const text = words.next();
      filter.group = numberOf(GROUPS, text, 0xffffffff);
      if (filter.group === null) throw context.wrong('Invalid "group" value\n', text);
    } else if (words.is('master')) {
      const name = words.next();
      filter.master = await context.linkIndex(name);
      if (filter.master === 0) throw context.wrong('Device does not exist\n', name);
    } else if (words.is('nomaster')) {
      filter.master = 0;
    } else if (words.is('vrf')) {
      filter.master = await readMaster(context, words.next(), 'vrf');
    } else if (words.is('type')) {
      const kind = words.next();
      if (kind.endsWith('_slave')) filter.slaveKind = kind.slice(0, -6);
      else filter.kind = kind;
    } else if (!flagWord(filter, words.word)) {
      if (words.is('dev')) words.next();
      if (filter.device !== null) throw context.duplicateOrGarbage('dev', words.word);
      filter.device = words.word;
    }
    words.advance();
  }
  if (filter.device !== null) {
    filter.index = await context.linkIndex(filter.device);
    if (filter.index === 0) {
      throw context.fail(`Device "${filter.device}" does not exist.\n`, 1);
    }
  }
  return filter;
}

function linkMatches(filter: Filter, message: NlMessage, attrs: NlAttrs): boolean {
  const { view, payload } = message;
  if (filter.index !== 0 && ifinfomsg.index(view, payload) !== filter.index) return false;
  if (filter.up && (ifinfomsg.flags(view, payload) & IFF_UP) === 0) return false;
  if (filter.group !== null && attrs.u32(IFLA_GROUP) !== filter.group) return false;
  if (filter.master !== null && (attrs.s32(IFLA_MASTER) ?? 0) !== filter.master) return false;
  const info = attrs.nested(IFLA_LINKINFO);
  if (filter.kind !== null && info?.string(IFLA_INFO_KIND) !== filter.kind) return false;
  if (filter.slaveKind !== null) {
    return info?.string(IFLA_INFO_SLAVE_KIND) === filter.slaveKind;
  }
  return true;
}

/** A shell pattern of `*` and `?`, as labels are matched with. */
function globMatches(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${source}$`).test(text);
}

function addressMatches(context: Context, filter: Filter, info: AddressInfo): boolean {
  if (filter.index !== 0 && info.index !== filter.index) return false;
  if (filter.family !== AF_UNSPEC && info.family !== filter.family) return false;
  if (filter.scope !== null && info.scope !== filter.scope) return false;
  if (((filter.flags ^ info.flags) & filter.flagMask) !== 0) return false;
  if (filter.label !== null) {
    if (!globMatches(filter.label, info.label ?? context.linkName(info.index))) return false;
  }
  const { prefix } = filter;
  if (prefix === null) return true;
  return prefix.family === info.family && samePrefix(prefix.bytes, info.local, prefix.bits);
}

async function readLinks(context: Context, filter: Filter): Promise<NlMessage[]> {
  const mask =
    context.options.stats > 0 ? RTEXT_FILTER_VF : RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS;
  const request = new NlBuilder(RTM_GETLINK, 0)
    .header(ifinfomsg.LEN, (v, o) => ifinfomsg.setFamily(v, o, AF_UNSPEC))
    .u32(IFLA_EXT_MASK, mask);
  const messages: NlMessage[] = [];
  context.forgetLinks();
  await context.dump(request, (message) => {
    context.remember(message);
    messages.push(message);
  });
  return messages.filter((message) => linkMatches(filter, message, message.attrs(ifinfomsg.LEN)));
}

async function readAddresses(context: Context, family: number): Promise<AddressInfo[]> {
  const request = new NlBuilder(RTM_GETADDR, 0).header(ifaddrmsg.LEN, (v, o) =>
    ifaddrmsg.setFamily(v, o, family),
  );
  const found: AddressInfo[] = [];
  await context.dump(request, (message) => {
    const info = readAddress(message);
    if (info !== null) found.push(info);
  });
  return found;
}

/** A link stays when it has an address that is asked for, or none at all and no family is. */
function keepLink(
  filter: Filter,
  message: NlMessage,
  all: readonly AddressInfo[],
  matching: readonly AddressInfo[],
): boolean {
  const index = ifinfomsg.index(message.view, message.payload);
  if (matching.some((info) => info.index === index)) return true;
  const none = !all.some((info) => info.index === index);
  return none && (filter.family === AF_UNSPEC || filter.family === AF_PACKET);
}

/** `ip address show`, and with AF_PACKET `ip link show`. */
export async function showAddresses(
  context: Context,
  words: Words,
  linkOnly: boolean,
): Promise<void> {
  const { out, options } = context;
  const family = linkOnly ? AF_PACKET : options.family;
  const filter = await readFilter(context, words, family);
  const links = await readLinks(context, filter);
  const view = { linkOnly, family: filter.family };
  const all = filter.family === AF_PACKET ? [] : await readAddresses(context, filter.family);
  const matching = all.filter((info) => addressMatches(context, filter, info));
  const shown =
    filter.family === AF_PACKET
      ? links
      : links.filter((message) => keepLink(filter, message, all, matching));
  // On one line each address stands alone.
  const alone = (options.oneline || filter.label !== null) && !linkOnly && !options.brief;
  out.openArray();
  for (const message of shown) {
    const index = ifinfomsg.index(message.view, message.payload);
    out.openObject();
    if (options.brief) printLinkBrief(context, message, view);
    else if (!alone || filter.family === AF_PACKET) printLink(context, message, view);
    if (filter.family !== AF_PACKET) {
      out.openArray('addr_info');
      for (const info of matching) {
        if (info.index === index) printAddress(context, info, options.oneline);
      }
      out.closeArray();
      if (options.brief) out.words('\n');
      else if (!alone && options.stats > 0) {
        printLinkStats(context, message.attrs(ifinfomsg.LEN));
        out.words('\n');
      }
    }
    out.closeObject();
  }
  out.closeArray();
  await context.flush();
}

/** How often a flush starts anew when addresses keep appearing. */
const MAX_ROUNDS = 10;

/** `ip address flush` */
export async function flushAddresses(context: Context, words: Words): Promise<void> {
  if (words.done) throw context.fail('Flush requires arguments.\n', 1);
  const filter = await readFilter(context, words, context.options.family);
  await context.loadLinks();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const all = await readAddresses(context, filter.family);
    const matching = all.filter((info) => addressMatches(context, filter, info));
    if (matching.length === 0) {
      if (context.options.stats > 0) {
        context.p.print(
          round === 0
            ? 'Nothing to flush.\n'
            : `*** Flush is complete after ${round} round${round > 1 ? 's' : ''} ***\n`,
        );
      }
      return;
    }
    if (context.options.stats > 0) {
      const count = matching.length;
      context.p.print(`\n*** Round ${round + 1}, deleting ${count} addresses ***\n`);
    }
    for (const info of matching) await deleteAddress(context, info);
  }
  throw context.fail(`*** Flush remains incomplete after ${MAX_ROUNDS} rounds. ***\n`, 1);
}

async function deleteAddress(context: Context, info: AddressInfo): Promise<void> {
  const request = new NlBuilder(RTM_DELADDR, 0);
  const { message } = info;
  const body = new Uint8Array(
    message.view.buffer,
    message.view.byteOffset + message.offset + NLMSG_HDRLEN,
    message.length - NLMSG_HDRLEN,
  );
  request.header(body.length, (v, o) => {
    new Uint8Array(v.buffer, o, body.length).set(body);
  });
  try {
    await context.nl.request(request);
  } catch (error) {
    // A secondary address goes with its primary one.
    if (errnoOf(error) !== EADDRNOTAVAIL) throw context.refusal(error, 1);
  }
}
