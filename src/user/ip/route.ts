/*
 * `ip route show`, `flush` and `get`. Counterpart of iproute2's ip/iproute.c.
 */
import { EEXIST, ENOENT, ESRCH } from '#uapi/errno.ts';
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  RT_TABLE_MAIN,
  RTA_DPORT,
  RTA_DST,
  RTA_GATEWAY,
  RTA_IIF,
  RTA_IP_PROTO,
  RTA_MARK,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_SPORT,
  RTA_SRC,
  RTA_UID,
  RTM_DELROUTE,
  RTM_F_CLONED,
  RTM_F_FIB_MATCH,
  RTM_F_LOOKUP_TABLE,
  RTM_F_NOTIFY,
  RTM_GETROUTE,
  rtmsg,
} from '#uapi/rtnetlink.ts';
import { AF_INET, AF_UNSPEC } from '#uapi/socket.ts';
import { type Address, familyBits, getPrefix, samePrefix, type Words } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { numberOf, PROTOCOLS, parseUnsigned, ROUTE_TYPES, SCOPES, TABLES } from '#user/ip/names.ts';
import { OMIT_NOTHING, type Omissions, printRoute, tableOf } from '#user/ip/route_print.ts';
import { errnoOf, reasonOf } from '#user/lib/errors.ts';
import { writeText } from '#user/lib/files.ts';
import { NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';

const NO_TABLE = 0;

/** What to show or to flush; null asks for nothing. */
interface Filter {
  family: number;
  table: number;
  cache: boolean;
  protocol: number | null;
  scope: number | null;
  type: number | null;
  tos: number | null;
  metric: number | null;
  mark: number | null;
  oif: number;
  iif: number;
  via: Address | null;
  prefsrc: Address | null;
  /** Destinations inside this prefix, and around that one. */
  root: Address | null;
  match: Address | null;
  fromRoot: Address | null;
  fromMatch: Address | null;
}

function newFilter(family: number): Filter {
  return {
    family,
    table: RT_TABLE_MAIN,
    cache: false,
    protocol: null,
    scope: null,
    type: null,
    tos: null,
    metric: null,
    mark: null,
    oif: 0,
    iif: 0,
    via: null,
    prefsrc: null,
    root: null,
    match: null,
    fromRoot: null,
    fromMatch: null,
  };
}

async function indexOf(context: Context, name: string): Promise<number> {
  const index = await context.linkIndex(name);
  if (index === 0) throw context.noDevice(name);
  return index;
}

function tableNumber(context: Context, text: string): number {
  const table = numberOf(TABLES, text, 0xffffffff);
  if (table === null) throw context.wrong('table id value is invalid\n', text);
  return table;
}

/** A word with a name or number out of a list; null for `all`. */
function named(
  context: Context,
  names: typeof SCOPES,
  text: string,
  max: number,
  why: string,
): number | null {
  const number = numberOf(names, text, max);
  if (number !== null) return number;
  if (text === 'all') return null;
  throw context.wrong(why, text);
}

/** Reads what stands behind `to` and `from`: `root P`, `match P`, `exact P` or `P`. */
function prefixPair(
  context: Context,
  words: Words,
  family: number,
): { root: Address | null; match: Address | null } {
  if (words.is('root')) return { root: getPrefix(context, words.next(), family), match: null };
  if (words.is('match')) return { root: null, match: getPrefix(context, words.next(), family) };
  if (words.is('exact')) words.next();
  const prefix = getPrefix(context, words.word, family);
  return { root: prefix, match: prefix };
}

type Reader = (context: Context, words: Words, filter: Filter) => Promise<void> | void;

const readTable: Reader = (context, words, filter) => {
  const text = words.next();
  if (text === 'cache') filter.cache = true;
  else if (text === 'all' || text === '0') filter.table = NO_TABLE;
  else filter.table = tableNumber(context, text);
};

const readMetric: Reader = (context, words, filter) => {
  const text = words.next();
  filter.metric = parseUnsigned(text);
  if (filter.metric === null) throw context.wrong('"metric" value is invalid\n', text);
};

const readTos: Reader = (context, words, filter) => {
  const text = words.next();
  filter.tos = parseUnsigned(text);
  if (filter.tos === null || filter.tos > 255) throw context.wrong('TOS value is invalid\n', text);
};

const readOif: Reader = async (context, words, filter) => {
  filter.oif = await indexOf(context, words.next());
};

const READERS: Readonly<Record<string, Reader>> = {
  table: readTable,
  cached: (_context, _words, filter) => {
    filter.cache = true;
  },
  cloned: (_context, _words, filter) => {
    filter.cache = true;
  },
  tos: readTos,
  dsfield: readTos,
  metric: readMetric,
  priority: readMetric,
  preference: readMetric,
  protocol: (context, words, filter) => {
    filter.protocol = named(context, PROTOCOLS, words.next(), 255, 'invalid "protocol"\n');
  },
  scope: (context, words, filter) => {
    filter.scope = named(context, SCOPES, words.next(), 255, 'invalid "scope"\n');
  },
  type: (context, words, filter) => {
    const text = words.next();
    filter.type = numberOf(ROUTE_TYPES, text, 255);
    if (filter.type === null) throw context.wrong('node type value is invalid\n', text);
  },
  dev: readOif,
  oif: readOif,
  iif: async (context, words, filter) => {
    filter.iif = await indexOf(context, words.next());
  },
  mark: (context, words, filter) => {
    const text = words.next();
    filter.mark = parseUnsigned(text);
    if (filter.mark === null) throw context.wrong('"mark" value is invalid\n', text);
  },
  via: (context, words, filter) => {
    filter.via = getPrefix(context, words.next(), filter.family);
  },
  src: (context, words, filter) => {
    filter.prefsrc = getPrefix(context, words.next(), filter.family);
  },
  from: (context, words, filter) => {
    words.next();
    const { root, match } = prefixPair(context, words, filter.family);
    filter.fromRoot = root;
    filter.fromMatch = match;
  },
};

/** Words that may be abbreviated, and to how much. */
function readerFor(word: string): Reader | null {
  if (Object.hasOwn(READERS, word)) return READERS[word] ?? null;
  if (word.startsWith('proto') && 'protocol'.startsWith(word)) return READERS['protocol'] ?? null;
  return null;
}

async function readFilter(context: Context, words: Words): Promise<Filter> {
  const filter = newFilter(context.options.family);
  while (!words.done) {
    const reader = readerFor(words.word);
    if (reader !== null) {
      await reader(context, words, filter);
    } else {
      if (words.is('to')) words.next();
      const { root, match } = prefixPair(context, words, filter.family);
      filter.root = root;
      filter.match = match;
      if (filter.family === AF_UNSPEC) filter.family = (root ?? match)?.family ?? AF_UNSPEC;
    }
    words.advance();
  }
  if (filter.family === AF_UNSPEC && filter.table !== NO_TABLE) filter.family = AF_INET;
  return filter;
}

/** Is a prefix inside `root` and around `match`? */
function prefixFits(
  root: Address | null,
  match: Address | null,
  family: number,
  bytes: Uint8Array,
  bits: number,
): boolean {
  if (root !== null) {
    if (root.family !== family || root.bits > bits) return false;
    if (!samePrefix(root.bytes, bytes, root.bits)) return false;
  }
  if (match !== null) {
    if (match.family !== family || match.bits < bits) return false;
    if (!samePrefix(match.bytes, bytes, bits)) return false;
  }
  return true;
}

function addressFits(wanted: Address | null, family: number, bytes: Uint8Array | null): boolean {
  if (wanted === null) return true;
  if (wanted.family !== family || bytes === null) return false;
  return samePrefix(wanted.bytes, bytes, wanted.bits);
}

function matches(filter: Filter, message: NlMessage): boolean {
  const { view, payload } = message;
  const attrs = message.attrs(rtmsg.LEN);
  const family = rtmsg.family(view, payload);
  const cloned = (rtmsg.flags(view, payload) & RTM_F_CLONED) !== 0;
  if (filter.family !== AF_UNSPEC && family !== filter.family) return false;
  if (filter.cache !== cloned) return false;
  if (filter.table !== NO_TABLE && tableOf(message, attrs) !== filter.table) return false;
  const equal = (wanted: number | null, value: number): boolean =>
    wanted === null || wanted === value;
  if (!equal(filter.protocol, rtmsg.protocol(view, payload))) return false;
  if (!equal(filter.scope, rtmsg.scope(view, payload))) return false;
  if (!equal(filter.type, rtmsg.type(view, payload))) return false;
  if (!equal(filter.tos, rtmsg.tos(view, payload))) return false;
  if (!equal(filter.metric, attrs.u32(RTA_PRIORITY) ?? 0)) return false;
  if (!equal(filter.mark, attrs.u32(RTA_MARK) ?? 0)) return false;
  if (filter.oif !== 0 && attrs.s32(RTA_OIF) !== filter.oif) return false;
  if (filter.iif !== 0 && attrs.s32(RTA_IIF) !== filter.iif) return false;
  if (!addressFits(filter.via, family, attrs.bytes(RTA_GATEWAY))) return false;
  if (!addressFits(filter.prefsrc, family, attrs.bytes(RTA_PREFSRC))) return false;
  const none = new Uint8Array(familyBits(family) / 8);
  const to = attrs.bytes(RTA_DST) ?? none;
  const toBits = rtmsg.dstLen(view, payload);
  if (!prefixFits(filter.root, filter.match, family, to, toBits)) return false;
  const from = attrs.bytes(RTA_SRC) ?? none;
  const fromBits = rtmsg.srcLen(view, payload);
  return prefixFits(filter.fromRoot, filter.fromMatch, family, from, fromBits);
}

/** What was asked for exactly is not repeated in each line. */
function omissions(filter: Filter): Omissions {
  const exact = (address: Address | null): boolean =>
    address !== null && address.bits === familyBits(address.family);
  return {
    table: filter.table !== NO_TABLE,
    protocol: filter.protocol !== null,
    scope: filter.scope !== null,
    tos: filter.tos !== null,
    metric: filter.metric !== null,
    via: exact(filter.via),
    oif: filter.oif !== 0,
    iif: filter.iif !== 0,
    src: exact(filter.prefsrc),
  };
}

async function collect(context: Context, filter: Filter): Promise<NlMessage[]> {
  await context.loadLinks();
  const request = new NlBuilder(RTM_GETROUTE, 0).header(rtmsg.LEN, (v, o) =>
    rtmsg.setFamily(v, o, filter.family),
  );
  const found: NlMessage[] = [];
  await context.dump(request, (message) => {
    if (matches(filter, message)) found.push(message);
  });
  return found;
}

/** `ip route show` */
export async function showRoutes(context: Context, words: Words): Promise<void> {
  const filter = await readFilter(context, words);
  const { out } = context;
  const omit = omissions(filter);
  out.openArray();
  for (const message of await collect(context, filter)) printRoute(context, message, omit);
  out.closeArray();
  await context.flush();
}

const MAX_ROUNDS = 10;

/** `ip route flush` */
export async function flushRoutes(context: Context, words: Words): Promise<void> {
  if (words.done) throw context.fail('"ip route flush" requires arguments.\n', 1);
  // The cache is asked for by its own name only here.
  if (words.is('cache') || (words.is('table') && words.peek === 'cache')) {
    await flushCache(context);
    return;
  }
  const filter = await readFilter(context, words);
  const { stats } = context.options;
  const omit = omissions(filter);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = await collect(context, filter);
    if (found.length === 0) {
      if (stats > 0) context.p.print(flushedWords(round));
      return;
    }
    if (stats > 1) {
      for (const message of found) printRoute(context, message, omit);
      await context.flush();
    }
    for (const message of found) await deleteRoute(context, message);
    if (stats > 0) {
      context.p.print(`\n*** Round ${round + 1}, deleting ${found.length} entries ***\n`);
    }
  }
  throw context.fail(`*** Flush remains incomplete after ${MAX_ROUNDS} rounds. ***\n`, 1);
}

function flushedWords(round: number): string {
  if (round === 0) return 'Nothing to flush.\n';
  return `*** Flush is complete after ${round} round${round > 1 ? 's' : ''} ***\n`;
}

async function flushCache(context: Context): Promise<void> {
  const path = '/proc/sys/net/ipv4/route/flush';
  try {
    await writeText(context.p.libc, path, '-1\n');
  } catch (error) {
    throw context.fail(`Cannot open "${path}": ${reasonOf(error)}\n`, 1);
  }
  if (context.options.stats > 0) context.p.print('*** IPv4 routing cache is flushed.\n');
}

/** Sends a route back to have it deleted. */
async function deleteRoute(context: Context, message: NlMessage): Promise<void> {
  const { view, offset, length } = message;
  const body = new Uint8Array(
    view.buffer,
    view.byteOffset + offset + NLMSG_HDRLEN,
    length - NLMSG_HDRLEN,
  );
  const request = new NlBuilder(RTM_DELROUTE, 0).header(body.length, (v, o) => {
    new Uint8Array(v.buffer, o, body.length).set(body);
  });
  try {
    await context.nl.request(request);
  } catch (error) {
    // Routes go with the address or the link they hang on.
    if (![ESRCH, ENOENT, EEXIST].includes(errnoOf(error))) throw context.refusal(error, 1);
  }
}

interface Query {
  family: number;
  to: Address | null;
  from: Address | null;
  iif: string | null;
  oif: string | null;
  numbers: (readonly [attr: number, value: number, bytes: number])[];
  tos: number;
  flags: number;
}

const NUMBER_WORDS: Readonly<Record<string, readonly [attr: number, bytes: number, why: string]>> =
  {
    mark: [RTA_MARK, 4, 'invalid mark'],
    uid: [RTA_UID, 4, 'invalid UID\n'],
    sport: [RTA_SPORT, 2, 'invalid port\n'],
    dport: [RTA_DPORT, 2, 'invalid port\n'],
  };

function protocolNumber(context: Context, text: string): number {
  const known: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17 };
  const number = Object.hasOwn(known, text) ? known[text] : parseUnsigned(text);
  if (number === undefined || number === null || number > 255) {
    throw context.wrong('invalid protocol', text);
  }
  return number;
}

function readQuery(context: Context, words: Words): Query {
  const query: Query = {
    family: context.options.family,
    to: null,
    from: null,
    iif: null,
    oif: null,
    numbers: [],
    tos: 0,
    flags: RTM_F_LOOKUP_TABLE,
  };
  while (!words.done) {
    const word = words.word;
    const number = Object.hasOwn(NUMBER_WORDS, word) ? NUMBER_WORDS[word] : undefined;
    if (word === 'from') {
      query.from = getPrefix(context, words.next(), query.family);
      query.family = query.from.family;
    } else if (word === 'tos' || word === 'dsfield') {
      const text = words.next();
      const tos = parseUnsigned(text);
      if (tos === null || tos > 255) throw context.wrong('TOS value is invalid\n', text);
      query.tos = tos;
    } else if (word === 'iif') query.iif = words.next();
    else if (word === 'oif' || word === 'dev') query.oif = words.next();
    else if (word === 'ipproto') {
      query.numbers.push([RTA_IP_PROTO, protocolNumber(context, words.next()), 1]);
    } else if (number !== undefined) {
      const [attr, bytes, why] = number;
      const text = words.next();
      const value = parseUnsigned(text);
      if (value === null || value >= 2 ** (8 * bytes)) throw context.wrong(why, text);
      query.numbers.push([attr, value, bytes]);
    } else if (word === 'notify') query.flags |= RTM_F_NOTIFY;
    else if (word === 'fibmatch') query.flags |= RTM_F_FIB_MATCH;
    else {
      if (word === 'to') words.next();
      query.to = getPrefix(context, words.word, query.family);
      query.family = query.to.family;
    }
    words.advance();
  }
  return query;
}

function addNumber(request: NlBuilder, attr: number, value: number, bytes: number): void {
  if (bytes === 1) request.u8(attr, value);
  else if (bytes === 2) request.attr(attr, Uint8Array.of(value >> 8, value & 255));
  else request.u32(attr, value);
}

/** `ip route get` */
export async function getRoute(context: Context, words: Words): Promise<void> {
  const query = readQuery(context, words);
  const { to, from, iif, oif } = query;
  if (to === null || to.unspecified) {
    throw context.fail('need at least a destination address\n', 1);
  }
  const request = new NlBuilder(RTM_GETROUTE, 0).header(rtmsg.LEN, (v, o) => {
    rtmsg.setFamily(v, o, query.family === AF_UNSPEC ? AF_INET : query.family);
    rtmsg.setDstLen(v, o, to.bits);
    rtmsg.setSrcLen(v, o, from?.bits ?? 0);
    rtmsg.setTos(v, o, query.tos);
    rtmsg.setFlags(v, o, query.flags);
  });
  if (from !== null && !from.unspecified) request.attr(RTA_SRC, from.bytes);
  request.attr(RTA_DST, to.bytes);
  if (iif !== null) request.u32(RTA_IIF, await indexOf(context, iif));
  if (oif !== null) request.u32(RTA_OIF, await indexOf(context, oif));
  for (const [attr, value, bytes] of query.numbers) addNumber(request, attr, value, bytes);
  await context.loadLinks();
  const answer = await context.ask(request);
  context.out.openArray();
  printRoute(context, answer, OMIT_NOTHING);
  context.out.closeArray();
  await context.flush();
}
