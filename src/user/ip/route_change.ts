/*
 * `ip route add`, `change`, `replace`, `append`, `prepend`, `delete`, `test`. Counterpart of iproute_modify in
 * iproute2's ip/iproute.c.
 */
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_SRC,
  RTA_TABLE,
  RTA_VIA,
  RTAX_ADVMSS,
  RTAX_CC_ALGO,
  RTAX_CWND,
  RTAX_FASTOPEN_NO_COOKIE,
  RTAX_FEATURE_ECN,
  RTAX_FEATURES,
  RTAX_HOPLIMIT,
  RTAX_INITCWND,
  RTAX_INITRWND,
  RTAX_LOCK,
  RTAX_MTU,
  RTAX_QUICKACK,
  RTAX_REORDERING,
  RTAX_RTO_MIN,
  RTAX_RTT,
  RTAX_RTTVAR,
  RTAX_SSTHRESH,
  RTAX_WINDOW,
  RTM_DELROUTE,
  RTN_ANYCAST,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_MULTICAST,
  RTN_NAT,
  RTN_UNICAST,
  RTN_UNSPEC,
  RTNH_F_ONLINK,
  RTPROT_BOOT,
  rtmsg,
  rtnexthop,
} from '#uapi/rtnetlink.ts';
import { AF_INET, AF_INET6, AF_UNSPEC } from '#uapi/socket.ts';
import { type Address, getAddress, getPrefix, type Words } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { numberOf, PROTOCOLS, parseUnsigned, ROUTE_TYPES, SCOPES, TABLES } from '#user/ip/names.ts';
import { NlBuilder } from '#user/lib/nlmsg.ts';
import { concatBytes } from '#user/lib/streams.ts';

/** What a command line says of a route. */
class RouteChange {
  readonly deleting: boolean;
  family: number;
  to: Address | null;
  from: Address | null;
  source: Address | null;
  gateway: Address | null;
  device: string | null;
  table: number | null;
  protocol: number | null;
  scope: number | null;
  type: number | null;
  tos: number;
  metric: number | null;
  flags: number;
  lock: number;
  readonly metrics: ((b: NlBuilder) => void)[];
  /** What stands behind `nexthop`; one entry a way. */
  readonly ways: Uint8Array[];

  constructor(family: number, deleting: boolean) {
    this.deleting = deleting;
    this.family = family;
    this.to = null;
    this.from = null;
    this.source = null;
    this.gateway = null;
    this.device = null;
    this.table = null;
    this.protocol = null;
    this.scope = null;
    this.type = null;
    this.tos = 0;
    this.metric = null;
    this.flags = 0;
    this.lock = 0;
    this.metrics = [];
    this.ways = [];
  }

  /** The first address decides the family of the route. */
  settle(address: Address): Address {
    if (this.family === AF_UNSPEC) this.family = address.family;
    return address;
  }
}

type Handler = (context: Context, words: Words, change: RouteChange) => void;

function unsignedWord(context: Context, text: string, why: string): number {
  const value = parseUnsigned(text);
  if (value === null || value > 0xffffffff) throw context.wrong(why, text);
  return value;
}

/** A metric: `mtu 1400`, or `mtu lock 1400` where it may be locked. */
const metric =
  (number: number, name: string, lockable = false): Handler =>
  (context, words, change) => {
    let text = words.next();
    if (lockable && text === 'lock') {
      change.lock |= 1 << number;
      text = words.next();
    }
    const value = unsignedWord(context, text, `"${name}" value is invalid\n`);
    change.metrics.push((b) => b.u32(number, value));
  };

/** A time: digits alone are in the kernel's unit, `ms` and `s` in theirs. The result is in ms times `unit`. */
const timeMetric =
  (number: number, name: string, unit: number): Handler =>
  (context, words, change) => {
    const text = words.next();
    const match = /^(\d+(?:\.\d+)?)(s|sec|secs|ms|msec|msecs|)$/.exec(text);
    if (match === null) throw context.wrong(`"${name}" value is invalid\n`, text);
    const [, digits = '0', suffix = ''] = match;
    const ms = Number(digits) * (suffix.startsWith('s') ? 1000 : 1);
    const value = Math.ceil(suffix === '' ? Number(digits) : ms * unit);
    if (number === RTAX_RTO_MIN) change.lock |= 1 << RTAX_RTO_MIN;
    change.metrics.push((b) => b.u32(number, value));
  };

const setFeatures: Handler = (context, words, change) => {
  let features = 0;
  // One or more names; the first that is none belongs to the rest of the command.
  for (;;) {
    if (!words.more) break;
    if (words.peek !== 'ecn') break;
    words.next();
    features |= RTAX_FEATURE_ECN;
  }
  if (features === 0) throw context.wrong('"features" value not valid\n', words.next());
  const value = features;
  change.metrics.push((b) => b.u32(RTAX_FEATURES, value));
};

const setCongestion: Handler = (_context, words, change) => {
  let name = words.next();
  if (name === 'lock') {
    change.lock |= 1 << RTAX_CC_ALGO;
    name = words.next();
  }
  change.metrics.push((b) => b.string(RTAX_CC_ALGO, name));
};

const setVia: Handler = (context, words, change) => {
  const address = readVia(context, words, change.family);
  if (change.gateway !== null) throw context.duplicate('via', words.word);
  change.gateway = change.settle(address);
};

/** `via ADDRESS` or `via inet6 ADDRESS` */
function readVia(context: Context, words: Words, family: number): Address {
  const word = words.next();
  if (word === 'inet') return getAddress(context, words.next(), AF_INET);
  if (word === 'inet6') return getAddress(context, words.next(), AF_INET6);
  return getAddress(context, word, family);
}

const setTos: Handler = (context, words, change) => {
  const text = words.next();
  const tos = parseUnsigned(text);
  if (tos === null || tos > 255) throw context.wrong('"tos" value is invalid\n', text);
  change.tos = tos;
};

const setMetric: Handler = (context, words, change) => {
  const text = words.next();
  change.metric = unsignedWord(context, text, '"metric" value is invalid\n');
};

const setScope: Handler = (context, words, change) => {
  const text = words.next();
  change.scope = numberOf(SCOPES, text, 255);
  if (change.scope === null) throw context.wrong('invalid "scope" value\n', text);
};

const setProtocol: Handler = (context, words, change) => {
  const text = words.next();
  change.protocol = numberOf(PROTOCOLS, text, 255);
  if (change.protocol === null) throw context.wrong('"protocol" value is invalid\n', text);
};

const setTable: Handler = (context, words, change) => {
  const text = words.next();
  change.table = numberOf(TABLES, text, 0xffffffff);
  if (change.table === null) throw context.wrong('"table" value is invalid\n', text);
};

const setDevice: Handler = (_context, words, change) => {
  change.device = words.next();
};

const HANDLERS: Readonly<Record<string, Handler>> = {
  src: (context, words, change) => {
    change.source = change.settle(getAddress(context, words.next(), change.family));
  },
  via: setVia,
  from: (context, words, change) => {
    change.from = change.settle(getPrefix(context, words.next(), change.family));
  },
  tos: setTos,
  dsfield: setTos,
  metric: setMetric,
  priority: setMetric,
  preference: setMetric,
  scope: setScope,
  mtu: metric(RTAX_MTU, 'mtu', true),
  hoplimit: metric(RTAX_HOPLIMIT, 'hoplimit', true),
  advmss: metric(RTAX_ADVMSS, 'mss', true),
  reordering: metric(RTAX_REORDERING, 'reordering', true),
  rtt: timeMetric(RTAX_RTT, 'rtt', 8),
  rttvar: timeMetric(RTAX_RTTVAR, 'rttvar', 4),
  rto_min: timeMetric(RTAX_RTO_MIN, 'rto_min', 1),
  window: metric(RTAX_WINDOW, 'window', true),
  cwnd: metric(RTAX_CWND, 'cwnd', true),
  initcwnd: metric(RTAX_INITCWND, 'initcwnd', true),
  initrwnd: metric(RTAX_INITRWND, 'initrwnd', true),
  ssthresh: metric(RTAX_SSTHRESH, 'ssthresh', true),
  quickack: metric(RTAX_QUICKACK, 'quickack'),
  fastopen_no_cookie: metric(RTAX_FASTOPEN_NO_COOKIE, 'fastopen_no_cookie'),
  features: setFeatures,
  congctl: setCongestion,
  onlink: (_context, _words, change) => {
    change.flags |= RTNH_F_ONLINK;
  },
  protocol: setProtocol,
  table: setTable,
  dev: setDevice,
  oif: setDevice,
};

function handlerFor(word: string): Handler | null {
  if (Object.hasOwn(HANDLERS, word)) return HANDLERS[word] ?? null;
  // The one abbreviation that everybody uses.
  return word.startsWith('proto') && 'protocol'.startsWith(word) ? setProtocol : null;
}

/** The options of one way of several, up to the next `nexthop`. */
async function readWay(context: Context, words: Words, change: RouteChange): Promise<Uint8Array> {
  const body = new NlBuilder(0, 0).header(rtnexthop.LEN, () => {});
  let index = 0;
  let hops = 0;
  let flags = 0;
  for (; !words.done; words.advance()) {
    if (words.is('via')) {
      const address = change.settle(readVia(context, words, change.family));
      addGateway(body, address, change.family);
    } else if (words.is('dev')) {
      const name = words.next();
      index = await context.linkIndex(name);
      if (index === 0) throw context.noDevice(name);
    } else if (words.is('weight')) {
      const text = words.next();
      const weight = parseUnsigned(text);
      if (weight === null || weight === 0 || weight > 256) {
        throw context.wrong('"weight" is invalid\n', text);
      }
      hops = weight - 1;
    } else if (words.is('onlink')) flags |= RTNH_F_ONLINK;
    else break;
  }
  const bytes = body.finish().subarray(16);
  const v = new DataView(bytes.buffer, bytes.byteOffset);
  rtnexthop.setLen(v, 0, bytes.length);
  rtnexthop.setFlags(v, 0, flags);
  rtnexthop.setHops(v, 0, hops);
  rtnexthop.setIfindex(v, 0, index);
  return bytes;
}

async function readWays(context: Context, words: Words, change: RouteChange): Promise<void> {
  while (!words.done) {
    if (!words.is('nexthop')) {
      throw context.fail(
        `Error: "nexthop" or end of line is expected instead of "${words.word}"\n`,
      );
    }
    if (!words.more) throw context.fail('Error: unexpected end of line after "nexthop"\n');
    words.advance();
    change.ways.push(await readWay(context, words, change));
  }
}

/** The destination, maybe with the type of the route before it. */
function readDestination(context: Context, words: Words, change: RouteChange): void {
  if (words.is('to')) words.next();
  if (!/^\d/.test(words.word)) {
    const type = numberOf(ROUTE_TYPES, words.word, 0);
    if (type !== null) {
      change.type = type;
      words.next();
    }
  }
  if (change.to !== null) throw context.duplicateOrGarbage('to', words.word);
  change.to = change.settle(getPrefix(context, words.word, change.family));
}

async function readChange(context: Context, words: Words, deleting: boolean): Promise<RouteChange> {
  const change = new RouteChange(context.options.family, deleting);
  while (!words.done) {
    if (words.is('nexthop')) {
      await readWays(context, words, change);
      break;
    }
    const handler = handlerFor(words.word);
    if (handler !== null) handler(context, words, change);
    else readDestination(context, words, change);
    words.advance();
  }
  return change;
}

function addGateway(request: NlBuilder, gateway: Address, family: number): void {
  if (gateway.family === family) request.attr(RTA_GATEWAY, gateway.bytes);
  else {
    const head = Uint8Array.of(gateway.family & 255, gateway.family >> 8);
    request.attr(RTA_VIA, concatBytes([head, gateway.bytes]));
  }
}

function defaultTable(type: number | null): number {
  const local = [RTN_LOCAL, RTN_BROADCAST, RTN_NAT, RTN_ANYCAST];
  return type !== null && local.includes(type) ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
}

function defaultScope(change: RouteChange, type: number): number {
  if (change.family === AF_INET6) return RT_SCOPE_UNIVERSE;
  if (type === RTN_LOCAL || type === RTN_NAT) return RT_SCOPE_HOST;
  if ([RTN_BROADCAST, RTN_MULTICAST, RTN_ANYCAST].includes(type)) return RT_SCOPE_LINK;
  if (type === RTN_UNICAST || type === RTN_UNSPEC) {
    if (change.deleting) return RT_SCOPE_NOWHERE;
    if (change.gateway === null && change.ways.length === 0) return RT_SCOPE_LINK;
  }
  return change.deleting ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE;
}

const USAGE =
  'Usage: ip route { show | flush } SELECTOR\n' +
  '       ip route get ADDRESS [ from ADDRESS ] [ iif STRING ] [ oif STRING ] [ tos TOS ] [ mark NUMBER ]\n' +
  '       ip route { add | del | change | append | replace } ROUTE\n' +
  'ROUTE := [ TYPE ] PREFIX [ via ADDRESS ] [ dev STRING ] [ src ADDRESS ] [ metric NUMBER ]\n' +
  '         [ table TABLE_ID ] [ proto RTPROTO ] [ scope SCOPE ] [ onlink ] [ OPTIONS ] [ nexthop ... ]\n' +
  'OPTIONS := [ mtu NUMBER ] [ advmss NUMBER ] [ initcwnd NUMBER ] [ rtt TIME ] [ rto_min TIME ]\n' +
  '           [ window NUMBER ] [ congctl NAME ] [ features ecn ] [ quickack BOOL ]\n';

export function routeUsage(context: Context): Error {
  return context.fail(USAGE);
}

function addMetrics(request: NlBuilder, change: RouteChange): void {
  if (change.metrics.length === 0) return;
  request.nest(RTA_METRICS, (b) => {
    for (const add of change.metrics) add(b);
    if (change.lock !== 0) b.u32(RTAX_LOCK, change.lock);
  });
}

/** @param type RTM_NEWROUTE or RTM_DELROUTE @param flags of the request */
export async function changeRoute(
  context: Context,
  words: Words,
  type: number,
  flags: number,
): Promise<void> {
  const deleting = type === RTM_DELROUTE;
  const change = await readChange(context, words, deleting);
  const { to, from, source, gateway, device, ways } = change;
  if (to === null) throw routeUsage(context);
  const request = new NlBuilder(type, flags).header(rtmsg.LEN, () => {});
  const routeType = change.type ?? (deleting ? RTN_UNSPEC : RTN_UNICAST);
  const table = change.table ?? defaultTable(change.type);
  if (!to.unspecified) request.attr(RTA_DST, to.bytes);
  if (from !== null && !from.unspecified) request.attr(RTA_SRC, from.bytes);
  if (source !== null) request.attr(RTA_PREFSRC, source.bytes);
  if (gateway !== null) addGateway(request, gateway, change.family);
  if (change.metric !== null) request.u32(RTA_PRIORITY, change.metric);
  if (table > 255) request.u32(RTA_TABLE, table);
  if (device !== null) {
    const index = await context.linkIndex(device);
    if (index === 0) throw context.noDevice(device);
    request.u32(RTA_OIF, index);
  }
  addMetrics(request, change);
  if (ways.length > 0) request.attr(RTA_MULTIPATH, concatBytes(ways));
  request.edit((v, o) => {
    rtmsg.setFamily(v, o, change.family === AF_UNSPEC ? AF_INET : change.family);
    rtmsg.setDstLen(v, o, to.unspecified ? 0 : to.bits);
    rtmsg.setSrcLen(v, o, from === null || from.unspecified ? 0 : from.bits);
    rtmsg.setTos(v, o, change.tos);
    rtmsg.setTable(v, o, table > 255 ? 0 : table);
    rtmsg.setProtocol(v, o, change.protocol ?? (deleting ? 0 : RTPROT_BOOT));
    rtmsg.setScope(v, o, change.scope ?? defaultScope(change, routeType));
    rtmsg.setType(v, o, routeType);
    rtmsg.setFlags(v, o, change.flags);
  });
  await context.talk(request);
}
