/*
 * How `ip route` shows a route. Counterpart of print_route in iproute2's ip/iproute.c.
 */
import {
  RTCF_BROADCAST,
  RTCF_DOREDIRECT,
  RTCF_LOCAL,
  RTCF_MULTICAST,
  RTCF_REDIRECTED,
  RTCF_REJECT,
} from '#uapi/in_route.ts';
import {
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTA_CACHEINFO,
  RTA_DST,
  RTA_GATEWAY,
  RTA_IIF,
  RTA_MARK,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PREF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_SRC,
  RTA_TABLE,
  RTA_UID,
  RTA_VIA,
  RTAX_CC_ALGO,
  RTAX_FEATURE_ECN,
  RTAX_FEATURES,
  RTAX_HOPLIMIT,
  RTAX_LOCK,
  RTAX_MAX,
  RTAX_RTO_MIN,
  RTAX_RTT,
  RTAX_RTTVAR,
  RTM_DELROUTE,
  RTM_F_CLONED,
  RTM_F_NOTIFY,
  RTM_F_OFFLOAD,
  RTM_F_OFFLOAD_FAILED,
  RTM_F_TRAP,
  RTN_UNICAST,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
  RTNH_F_OFFLOAD,
  RTNH_F_ONLINK,
  RTNH_F_PERVASIVE,
  RTNH_F_TRAP,
  RTNH_F_UNRESOLVED,
  RTPROT_BOOT,
  rtaCacheinfo,
  rtmsg,
  rtnexthop,
} from '#uapi/rtnetlink.ts';
import { USER_HZ } from '#uapi/time.ts';
import { familyBits, formatAddress } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import {
  familyName,
  type Name,
  nameOf,
  PROTOCOLS,
  ROUTE_TYPES,
  SCOPES,
  TABLES,
} from '#user/ip/names.ts';
import { NlAttrs, type NlMessage } from '#user/lib/nlmsg.ts';

/** What was asked for needs no repeating. */
export interface Omissions {
  readonly table: boolean;
  readonly protocol: boolean;
  readonly scope: boolean;
  readonly tos: boolean;
  readonly metric: boolean;
  readonly via: boolean;
  readonly oif: boolean;
  readonly iif: boolean;
  readonly src: boolean;
}

export const OMIT_NOTHING: Omissions = {
  table: false,
  protocol: false,
  scope: false,
  tos: false,
  metric: false,
  via: false,
  oif: false,
  iif: false,
  src: false,
};

/** Metrics by number, in the words of iproute2. */
export const METRICS: readonly Name[] = [
  [2, 'mtu'],
  [3, 'window'],
  [4, 'rtt'],
  [5, 'rttvar'],
  [6, 'ssthresh'],
  [7, 'cwnd'],
  [8, 'advmss'],
  [9, 'reordering'],
  [10, 'hoplimit'],
  [11, 'initcwnd'],
  [12, 'features'],
  [13, 'rto_min'],
  [14, 'initrwnd'],
  [15, 'quickack'],
  [16, 'congctl'],
  [17, 'fastopen_no_cookie'],
];

const ROUTE_FLAGS: readonly Name[] = [
  [RTNH_F_DEAD, 'dead'],
  [RTNH_F_ONLINK, 'onlink'],
  [RTNH_F_PERVASIVE, 'pervasive'],
  [RTNH_F_OFFLOAD, 'offload'],
  [RTNH_F_TRAP, 'trap'],
  [RTM_F_NOTIFY, 'notify'],
  [RTNH_F_LINKDOWN, 'linkdown'],
  [RTNH_F_UNRESOLVED, 'unresolved'],
  [RTM_F_OFFLOAD, 'rt_offload'],
  [RTM_F_TRAP, 'rt_trap'],
  [RTM_F_OFFLOAD_FAILED, 'rt_offload_failed'],
];

const CACHE_FLAGS: readonly Name[] = [
  [RTCF_LOCAL, 'local'],
  [RTCF_REJECT, 'reject'],
  [RTCF_MULTICAST, 'mc'],
  [RTCF_BROADCAST, 'brd'],
  [RTCF_REDIRECTED, 'redirected'],
  [RTCF_DOREDIRECT, 'redirect'],
];

const PREFERENCES: readonly string[] = ['medium', 'high', '', 'low'];

/** The table of a route, which stands in an attribute when it is above 255. */
export function tableOf(message: NlMessage, attrs: NlAttrs): number {
  return attrs.u32(RTA_TABLE) ?? rtmsg.table(message.view, message.payload);
}

function printFlags(context: Context, flags: number): void {
  const { out } = context;
  out.openArray('flags');
  for (const [flag, name] of ROUTE_FLAGS) {
    if ((flags & flag) !== 0) out.itemString(name, `${name} `);
  }
  out.closeArray();
}

/** A destination or source: `default`, `0/8`, `10.0.0.0/8`, `10.0.0.1`. */
function prefixText(family: number, bytes: Uint8Array | null, bits: number): string | null {
  if (bytes === null) return bits === 0 ? null : `0/${bits}`;
  const text = formatAddress(family, bytes);
  return bits === familyBits(family) ? text : `${text}/${bits}`;
}

function printFeatures(context: Context, features: number): void {
  const { out } = context;
  if ((features & RTAX_FEATURE_ECN) !== 0) out.nothing('ecn', 'ecn ');
  const rest = features & ~RTAX_FEATURE_ECN;
  if (rest !== 0) out.number('features', rest, `0x${rest.toString(16)} `);
}

function printMetrics(context: Context, metrics: NlAttrs): void {
  const { out } = context;
  const lock = metrics.u32(RTAX_LOCK) ?? 0;
  out.openArray('metrics');
  out.openObject();
  for (let i = 2; i <= RTAX_MAX; i++) {
    if (!metrics.has(i)) continue;
    const name = nameOf(METRICS, i);
    const key = i === RTAX_CC_ALGO ? 'congestion' : name;
    const locked = (lock & (1 << i)) !== 0 ? 'lock ' : '';
    out.words(`${name} ${locked}`);
    let value = metrics.u32(i) ?? 0;
    if (i === RTAX_CC_ALGO) {
      const text = metrics.string(i) ?? '';
      out.string(key, text, `${text} `);
    } else if (i === RTAX_FEATURES) {
      printFeatures(context, value);
    } else if (i === RTAX_RTT || i === RTAX_RTTVAR || i === RTAX_RTO_MIN) {
      // Kept in eighths and quarters of a millisecond.
      if (i === RTAX_RTT) value = Math.floor(value / 8);
      else if (i === RTAX_RTTVAR) value = Math.floor(value / 4);
      out.number(key, value, value >= 1000 ? `${value / 1000}s ` : `${value}ms `);
    } else {
      if (i === RTAX_HOPLIMIT && value === 0xffffffff) value = 0;
      out.number(key, value, `${value} `);
    }
  }
  out.closeObject();
  out.closeArray();
}

/** A gateway of another family than the route's. */
function printVia(context: Context, bytes: Uint8Array): void {
  if (bytes.length < 3) return;
  const { out } = context;
  const family = (bytes[0] as number) | ((bytes[1] as number) << 8);
  const name = familyName(family);
  const host = formatAddress(family, bytes.subarray(2));
  out.openObject('via');
  out.string('family', name, `via ${name} `);
  out.string('host', host, `${host} `);
  out.closeObject();
}

function printMultipath(context: Context, message: NlMessage, bytes: Uint8Array): void {
  const { out } = context;
  const family = rtmsg.family(message.view, message.payload);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  out.openArray('nexthops');
  for (let o = 0; o + rtnexthop.LEN <= bytes.length; ) {
    const length = rtnexthop.len(view, o);
    if (length < rtnexthop.LEN || o + length > bytes.length) break;
    const attrs = new NlAttrs(view, o + rtnexthop.LEN, o + length);
    out.openObject();
    out.line();
    out.words('\tnexthop ');
    const gateway = attrs.bytes(RTA_GATEWAY);
    if (gateway !== null) {
      const text = formatAddress(family, gateway);
      out.string('gateway', text, `via ${text} `);
    }
    const via = attrs.bytes(RTA_VIA);
    if (via !== null) printVia(context, via);
    const device = context.linkName(rtnexthop.ifindex(view, o));
    out.string('dev', device, `dev ${device} `);
    const weight = rtnexthop.hops(view, o) + 1;
    out.number('weight', weight, `weight ${weight} `);
    printFlags(context, rtnexthop.flags(view, o));
    out.closeObject();
    o += (length + 3) & ~3;
  }
  out.closeArray();
}

function printCache(context: Context, flags: number): void {
  const { out } = context;
  out.line();
  out.words('    cache ');
  // The low half is flags of the route itself.
  let rest = flags & ~0xffff & ~RTM_F_CLONED;
  const names: string[] = [];
  for (const [flag, name] of CACHE_FLAGS) {
    if ((rest & flag) === 0) continue;
    rest &= ~flag;
    names.push(name);
  }
  if (rest !== 0) names.push((rest >>> 0).toString(16));
  out.openArray('cache');
  for (const name of names) out.json?.string(name);
  out.closeArray();
  if (names.length > 0) out.words(`<${names.join(',')}> `);
}

function printCacheinfo(context: Context, attrs: NlAttrs): void {
  const at = attrs.at(RTA_CACHEINFO, rtaCacheinfo.LEN);
  if (at < 0) return;
  const { out, options } = context;
  const { view } = attrs;
  const expires = rtaCacheinfo.expires(view, at);
  if (expires !== 0) {
    const seconds = Math.trunc(expires / USER_HZ);
    out.number('expires', seconds, `expires ${seconds}sec `);
  }
  const error = rtaCacheinfo.error(view, at);
  if (error !== 0) out.number('error', error, `error ${error} `);
  if (options.stats === 0) return;
  const users = rtaCacheinfo.clntref(view, at);
  if (users !== 0) out.number('users', users, `users ${users} `);
  const used = rtaCacheinfo.used(view, at);
  if (used !== 0) out.number('used', used, `used ${used} `);
  const age = Math.floor(rtaCacheinfo.lastuse(view, at) / USER_HZ);
  if (age !== 0) out.number('age', age, `age ${age}sec `);
}

function printDestination(context: Context, message: NlMessage, attrs: NlAttrs): void {
  const { out, options } = context;
  const { view, payload } = message;
  const family = rtmsg.family(view, payload);
  const type = rtmsg.type(view, payload);
  if (message.type === RTM_DELROUTE) out.bool('deleted', true, 'Deleted ');
  if (type !== RTN_UNICAST || options.details > 0) {
    const name = nameOf(ROUTE_TYPES, type);
    out.string('type', name, `${name} `);
  }
  const to = prefixText(family, attrs.bytes(RTA_DST), rtmsg.dstLen(view, payload)) ?? 'default';
  out.string('dst', to, `${to} `);
  const from = prefixText(family, attrs.bytes(RTA_SRC), rtmsg.srcLen(view, payload));
  if (from !== null) out.string('from', from, `from ${from} `);
}

function printWay(context: Context, message: NlMessage, attrs: NlAttrs, omit: Omissions): void {
  const { out } = context;
  const family = rtmsg.family(message.view, message.payload);
  const tos = rtmsg.tos(message.view, message.payload);
  if (tos !== 0 && !omit.tos) {
    const text = `0x${tos.toString(16).padStart(2, '0')}`;
    out.string('tos', text, `tos ${text} `);
  }
  const gateway = attrs.bytes(RTA_GATEWAY);
  if (gateway !== null && !omit.via) {
    const text = formatAddress(family, gateway);
    out.string('gateway', text, `via ${text} `);
  }
  const via = attrs.bytes(RTA_VIA);
  if (via !== null) printVia(context, via);
  const oif = attrs.s32(RTA_OIF);
  if (oif !== null && !omit.oif) {
    const name = context.linkName(oif);
    out.string('dev', name, `dev ${name} `);
  }
}

function printOrigin(context: Context, message: NlMessage, attrs: NlAttrs, omit: Omissions): void {
  const { out, options } = context;
  const { view, payload } = message;
  const details = options.details > 0;
  const table = tableOf(message, attrs);
  if ((table !== RT_TABLE_MAIN || details) && table !== 0 && !omit.table) {
    const name = nameOf(TABLES, table);
    out.string('table', name, `table ${name} `);
  }
  if ((rtmsg.flags(view, payload) & RTM_F_CLONED) === 0) {
    const protocol = rtmsg.protocol(view, payload);
    if ((protocol !== RTPROT_BOOT || details) && !omit.protocol) {
      const name = nameOf(PROTOCOLS, protocol);
      out.string('protocol', name, `proto ${name} `);
    }
    const scope = rtmsg.scope(view, payload);
    if ((scope !== RT_SCOPE_UNIVERSE || details) && !omit.scope) {
      const name = nameOf(SCOPES, scope);
      out.string('scope', name, `scope ${name} `);
    }
  }
  const source = attrs.bytes(RTA_PREFSRC);
  if (source !== null && !omit.src) {
    const text = formatAddress(rtmsg.family(view, payload), source);
    out.string('prefsrc', text, `src ${text} `);
  }
  const metric = attrs.u32(RTA_PRIORITY);
  if (metric !== null && !omit.metric) out.number('metric', metric, `metric ${metric} `);
}

/** One route with its line end. */
export function printRoute(context: Context, message: NlMessage, omit: Omissions): void {
  const { out } = context;
  const attrs = message.attrs(rtmsg.LEN);
  const flags = rtmsg.flags(message.view, message.payload);
  out.openObject();
  printDestination(context, message, attrs);
  printWay(context, message, attrs, omit);
  printOrigin(context, message, attrs, omit);
  printFlags(context, flags);
  const mark = attrs.u32(RTA_MARK) ?? 0;
  if (mark !== 0) {
    const text = mark >= 16 ? `0x${mark.toString(16)}` : String(mark);
    out.number('mark', mark, `mark ${text} `);
  }
  const uid = attrs.u32(RTA_UID);
  if (uid !== null) out.number('uid', uid, `uid ${uid} `);
  if ((flags & RTM_F_CLONED) !== 0) printCache(context, flags);
  printCacheinfo(context, attrs);
  const metrics = attrs.nested(RTA_METRICS);
  if (metrics !== null) printMetrics(context, metrics);
  const iif = attrs.s32(RTA_IIF);
  if (iif !== null && !omit.iif) {
    const name = context.linkName(iif);
    out.string('iif', name, `iif ${name} `);
  }
  const paths = attrs.bytes(RTA_MULTIPATH);
  if (paths !== null) printMultipath(context, message, paths);
  const preference = attrs.u8(RTA_PREF);
  if (preference !== null) {
    const name = PREFERENCES[preference] ?? String(preference);
    out.string('pref', name, `pref ${name}`);
  }
  out.words('\n');
  out.closeObject();
}
