/*
 * `ip address add`, `change`, `replace`, `delete`. Counterpart of ipaddr_modify in iproute2's ip/ipaddress.c.
 */
import {
  IFA_ADDRESS,
  IFA_ANYCAST,
  IFA_BROADCAST,
  IFA_CACHEINFO,
  IFA_F_HOMEADDRESS,
  IFA_F_MANAGETEMPADDR,
  IFA_F_MCAUTOJOIN,
  IFA_F_NODAD,
  IFA_F_NOPREFIXROUTE,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
  IFA_RT_PRIORITY,
  INFINITY_LIFE_TIME,
  ifaCacheinfo,
  ifaddrmsg,
} from '#uapi/if_addr.ts';
import { RT_SCOPE_HOST, RT_SCOPE_UNIVERSE, RTM_DELADDR } from '#uapi/rtnetlink.ts';
import { AF_INET, AF_UNSPEC } from '#uapi/socket.ts';
import {
  type Address,
  addressNumber,
  formatAddress,
  getAddress,
  getPrefix,
  type Words,
} from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { numberOf, parseUnsigned, SCOPES } from '#user/ip/names.ts';
import { NlBuilder } from '#user/lib/nlmsg.ts';

interface Change {
  family: number;
  device: string | null;
  label: string | null;
  local: Address | null;
  peer: Address | null;
  /** An address, or `+` and `-` for the highest and lowest of the prefix. */
  broadcast: Address | '+' | '-' | null;
  anycast: Address | null;
  scope: number | null;
  metric: number | null;
  flags: number;
  valid: number | null;
  preferred: number | null;
}

const FLAG_WORDS: Readonly<Record<string, number>> = {
  home: IFA_F_HOMEADDRESS,
  nodad: IFA_F_NODAD,
  mngtmpaddr: IFA_F_MANAGETEMPADDR,
  noprefixroute: IFA_F_NOPREFIXROUTE,
  autojoin: IFA_F_MCAUTOJOIN,
};

function lifetime(context: Context, key: string, text: string): number {
  if (text === 'forever') return INFINITY_LIFE_TIME;
  const seconds = parseUnsigned(text);
  if (seconds === null || seconds > INFINITY_LIFE_TIME) throw context.wrong(`${key} value`, text);
  return seconds;
}

function readChange(context: Context, words: Words): Change {
  const change: Change = {
    family: context.options.family,
    device: null,
    label: null,
    local: null,
    peer: null,
    broadcast: null,
    anycast: null,
    scope: null,
    metric: null,
    flags: 0,
    valid: null,
    preferred: null,
  };
  // The first address decides the family of all.
  const settle = (address: Address): Address => {
    if (change.family === AF_UNSPEC) change.family = address.family;
    return address;
  };
  while (!words.done) {
    const word = words.word;
    const flag = Object.hasOwn(FLAG_WORDS, word) ? FLAG_WORDS[word] : undefined;
    if (word === 'peer' || word === 'remote') {
      if (change.peer !== null) throw context.duplicate('peer', words.next());
      change.peer = settle(getPrefix(context, words.next(), change.family));
    } else if (word === 'broadcast' || word === 'brd') {
      const text = words.next();
      if (change.broadcast !== null) throw context.duplicate('broadcast', text);
      if (text === '+' || text === '-') change.broadcast = text;
      else change.broadcast = settle(getAddress(context, text, change.family));
    } else if (word === 'anycast') {
      const text = words.next();
      if (change.anycast !== null) throw context.duplicate('anycast', text);
      change.anycast = settle(getAddress(context, text, change.family));
    } else if (word === 'scope') {
      const text = words.next();
      change.scope = numberOf(SCOPES, text, 255);
      if (change.scope === null) throw context.wrong('invalid scope value.', text);
    } else if (word === 'dev') {
      change.device = words.next();
    } else if (word === 'label') {
      change.label = words.next();
    } else if (word === 'metric' || word === 'priority' || word === 'preference') {
      const text = words.next();
      change.metric = parseUnsigned(text);
      if (change.metric === null || change.metric > 0xffffffff) {
        throw context.wrong('"metric" value is invalid', text);
      }
    } else if (word === 'valid_lft') {
      change.valid = lifetime(context, 'valid_lft', words.next());
    } else if (word === 'preferred_lft') {
      change.preferred = lifetime(context, 'preferred_lft', words.next());
    } else if (flag !== undefined) {
      change.flags |= flag;
    } else {
      if (word === 'local') words.next();
      if (change.local !== null) throw context.duplicateOrGarbage('local', words.word);
      change.local = settle(getPrefix(context, words.word, change.family));
    }
    words.advance();
  }
  return change;
}

/** The highest or lowest address of a prefix of IPv4. */
function edgeOfPrefix(prefix: Address, bits: number, edge: '+' | '-'): number {
  const mask = bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0;
  const addr = addressNumber(prefix.bytes);
  return (edge === '+' ? addr | ~mask : addr & mask) >>> 0;
}

function warnOfWildcard(context: Context, local: Address): void {
  const text = formatAddress(local.family, local.bytes);
  context.p.warn(
    'Warning: Executing wildcard deletion to stay compatible with old scripts.\n' +
      `         Explicitly specify the prefix length (${text}/${local.bytes.length * 8}) to avoid this warning.\n` +
      '         This special behaviour is likely to disappear in further releases,\n' +
      '         fix your scripts!\n',
  );
}

function addAddresses(context: Context, request: NlBuilder, change: Change, type: number): number {
  const { local } = change;
  let { peer } = change;
  if (local !== null) request.attr(IFA_LOCAL, local.bytes);
  if (peer === null && local !== null) {
    const vague = !local.prefixGiven && local.family === AF_INET;
    if (type === RTM_DELADDR && vague) warnOfWildcard(context, local);
    else peer = local;
  }
  if (peer !== null) request.attr(IFA_ADDRESS, peer.bytes);
  const bits = (change.peer ?? local)?.bits ?? 0;
  const { broadcast } = change;
  if (broadcast === '+' || broadcast === '-') {
    if (peer === null || peer.family !== AF_INET) {
      throw context.fail('Broadcast can be set only for IPv4 addresses\n', 1);
    }
    if (bits <= 30) request.be32(IFA_BROADCAST, edgeOfPrefix(peer, bits, broadcast));
  } else if (broadcast !== null) {
    request.attr(IFA_BROADCAST, broadcast.bytes);
  }
  if (change.anycast !== null) request.attr(IFA_ANYCAST, change.anycast.bytes);
  return bits;
}

function defaultScope(local: Address | null): number {
  const loopback = local !== null && local.family === AF_INET && local.bytes[0] === 127;
  return loopback ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
}

function addLifetimes(context: Context, request: NlBuilder, change: Change): void {
  if (change.valid === null && change.preferred === null) return;
  const valid = change.valid ?? INFINITY_LIFE_TIME;
  const preferred = change.preferred ?? INFINITY_LIFE_TIME;
  if (valid === 0) throw context.fail('valid_lft is zero\n', 1);
  if (valid < preferred) throw context.fail('preferred_lft is greater than valid_lft\n', 1);
  const info = new Uint8Array(ifaCacheinfo.LEN);
  const v = new DataView(info.buffer);
  ifaCacheinfo.setValid(v, 0, valid);
  ifaCacheinfo.setPrefered(v, 0, preferred);
  request.attr(IFA_CACHEINFO, info);
}

/** @param type RTM_NEWADDR or RTM_DELADDR @param flags of the request */
export async function changeAddress(
  context: Context,
  words: Words,
  type: number,
  flags: number,
): Promise<void> {
  const change = readChange(context, words);
  const { device, label, local } = change;
  if (device === null) {
    throw context.fail('Not enough information: "dev" argument is required.\n', 1);
  }
  const request = new NlBuilder(type, flags);
  request.header(ifaddrmsg.LEN, (v, o) => ifaddrmsg.setFamily(v, o, change.family));
  if (change.flags > 0xff) request.u32(IFA_FLAGS, change.flags);
  if (label !== null) request.string(IFA_LABEL, label);
  if (change.metric !== null) request.u32(IFA_RT_PRIORITY, change.metric);
  const bits = addAddresses(context, request, change, type);
  const scope = change.scope ?? (type === RTM_DELADDR ? 0 : defaultScope(local));
  const index = await context.linkIndex(device);
  if (index === 0) throw context.noDevice(device);
  request.edit((v, o) => {
    ifaddrmsg.setPrefixlen(v, o, bits);
    ifaddrmsg.setScope(v, o, scope);
    ifaddrmsg.setFlags(v, o, change.flags & 0xff);
    ifaddrmsg.setIndex(v, o, index);
  });
  addLifetimes(context, request, change);
  await context.talk(request);
}
