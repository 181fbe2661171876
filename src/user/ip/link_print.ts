/*
 * How `ip` shows a link. Counterpart of the printing half of iproute2's ip/ipaddress.c and ip/iplink.c.
 */
import {
  IFF_ALLMULTI,
  IFF_AUTOMEDIA,
  IFF_BROADCAST,
  IFF_DEBUG,
  IFF_DORMANT,
  IFF_DYNAMIC,
  IFF_ECHO,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_MASTER,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_NOTRAILERS,
  IFF_POINTOPOINT,
  IFF_PORTSEL,
  IFF_PROMISC,
  IFF_RUNNING,
  IFF_SLAVE,
  IFF_UP,
} from '#uapi/if.ts';
import {
  IFLA_ADDRESS,
  IFLA_AF_SPEC,
  IFLA_ALLMULTI,
  IFLA_BROADCAST,
  IFLA_GRO_MAX_SIZE,
  IFLA_GROUP,
  IFLA_GSO_MAX_SEGS,
  IFLA_GSO_MAX_SIZE,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INET6_ADDR_GEN_MODE,
  IFLA_INFO_KIND,
  IFLA_INFO_SLAVE_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  IFLA_LINKMODE,
  IFLA_MASTER,
  IFLA_MAX_MTU,
  IFLA_MIN_MTU,
  IFLA_MTU,
  IFLA_NUM_RX_QUEUES,
  IFLA_NUM_TX_QUEUES,
  IFLA_OPERSTATE,
  IFLA_PARENT_DEV_BUS_NAME,
  IFLA_PARENT_DEV_NAME,
  IFLA_PHYS_PORT_NAME,
  IFLA_PROMISCUITY,
  IFLA_PROTO_DOWN,
  IFLA_QDISC,
  IFLA_TSO_MAX_SEGS,
  IFLA_TSO_MAX_SIZE,
  IFLA_TXQLEN,
} from '#uapi/if_link.ts';
import { ifinfomsg } from '#uapi/rtnetlink.ts';
import { AF_INET6, AF_PACKET, AF_UNSPEC } from '#uapi/socket.ts';
import { formatLladdr } from '#user/ip/args.ts';
import { altNamesOf, type Context } from '#user/ip/context.ts';
import { printLinkStats } from '#user/ip/link_stats.ts';
import { GROUPS, isTunnelType, linkTypeName, type Name, nameOf } from '#user/ip/names.ts';
import type { NlAttrs, NlMessage } from '#user/lib/nlmsg.ts';

const FLAG_NAMES: readonly Name[] = [
  [IFF_LOOPBACK, 'LOOPBACK'],
  [IFF_BROADCAST, 'BROADCAST'],
  [IFF_POINTOPOINT, 'POINTOPOINT'],
  [IFF_MULTICAST, 'MULTICAST'],
  [IFF_NOARP, 'NOARP'],
  [IFF_ALLMULTI, 'ALLMULTI'],
  [IFF_PROMISC, 'PROMISC'],
  [IFF_MASTER, 'MASTER'],
  [IFF_SLAVE, 'SLAVE'],
  [IFF_DEBUG, 'DEBUG'],
  [IFF_DYNAMIC, 'DYNAMIC'],
  [IFF_AUTOMEDIA, 'AUTOMEDIA'],
  [IFF_PORTSEL, 'PORTSEL'],
  [IFF_NOTRAILERS, 'NOTRAILERS'],
  [IFF_UP, 'UP'],
  [IFF_LOWER_UP, 'LOWER_UP'],
  [IFF_DORMANT, 'DORMANT'],
  [IFF_ECHO, 'ECHO'],
];

/** RFC 2863, with Linux's spelling. */
const OPER_STATES: readonly string[] = [
  'UNKNOWN',
  'NOTPRESENT',
  'DOWN',
  'LOWERLAYERDOWN',
  'TESTING',
  'DORMANT',
  'UP',
];

const LINK_MODES: readonly string[] = ['DEFAULT', 'DORMANT'];
const ADDR_GEN_MODES: readonly string[] = ['eui64', 'none', 'stable_secret', 'random'];

/** What `ip link` and `ip address` show differently. */
export interface LinkView {
  /** `ip link`: link mode, alias, statistics are shown with the link. */
  readonly linkOnly: boolean;
  /** Addresses of one family are asked for: no link-layer part. */
  readonly family: number;
}

/** `<BROADCAST,UP>`, or the array of JSON. */
function printFlags(context: Context, flags: number, masterDown: boolean): void {
  const names: string[] = [];
  let rest = flags & ~IFF_RUNNING;
  if ((flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) === 0) names.push('NO-CARRIER');
  for (const [flag, name] of FLAG_NAMES) {
    if ((rest & flag) === 0) continue;
    rest &= ~flag;
    names.push(name);
  }
  if (rest !== 0) names.push((rest >>> 0).toString(16));
  if (masterDown) names.push('M-DOWN');
  const { out } = context;
  if (out.json === null) {
    out.words(`<${names.join(',')}> `);
    return;
  }
  out.openArray('flags');
  for (const name of names) out.json.string(name);
  out.closeArray();
}

/** The name with what the link is tied to: `v0@v1`. The result says if that one is down. */
function printName(
  context: Context,
  attrs: NlAttrs,
  format: (name: string) => string,
): { masterDown: boolean } {
  const { out } = context;
  const name = attrs.string(IFLA_IFNAME) ?? '<nil>';
  const tied = attrs.s32(IFLA_LINK);
  if (tied === null) {
    out.string('ifname', name, format(name));
    return { masterDown: false };
  }
  let other: string;
  let masterDown = false;
  if (tied === 0) {
    other = 'NONE';
    if (out.json !== null) out.nothing('link', '');
  } else if (attrs.has(IFLA_LINK_NETNSID)) {
    other = `if${tied}`;
    out.json?.name('link_index');
    out.json?.number(tied);
  } else {
    other = context.linkName(tied);
    if (out.json !== null) out.string('link', other);
    const flags = context.link(tied)?.flags ?? IFF_UP;
    masterDown = (flags & IFF_UP) === 0;
  }
  out.string('ifname', name, format(`${name}@${other}`));
  return { masterDown };
}

function printOperState(context: Context, state: number, format: (name: string) => string): void {
  const name = OPER_STATES[state];
  if (name !== undefined) context.out.string('operstate', name, format(name));
  else context.out.number('operstate_index', state, `state ${state.toString(16)} `);
}

/** One line: name, state, address, flags. */
export function printLinkBrief(context: Context, message: NlMessage, view: LinkView): void {
  const { out } = context;
  const { view: v, payload } = message;
  const attrs = message.attrs(ifinfomsg.LEN);
  const flags = ifinfomsg.flags(v, payload);
  const { masterDown } = printName(context, attrs, (name) => `${name.padEnd(16)} `);
  const state = attrs.u8(IFLA_OPERSTATE);
  if (state !== null) printOperState(context, state, (name) => `${name.padEnd(14)} `);
  if (view.family !== AF_PACKET) return;
  const address = attrs.bytes(IFLA_ADDRESS);
  if (address !== null && address.length > 0) {
    const text = formatLladdr(address, isTunnelType(ifinfomsg.type(v, payload)));
    out.string('address', text, `${text} `);
  }
  printFlags(context, flags, masterDown);
  out.words('\n');
}

function printHead(context: Context, message: NlMessage, attrs: NlAttrs, view: LinkView): void {
  const { out } = context;
  const index = ifinfomsg.index(message.view, message.payload);
  out.number('ifindex', index, `${index}: `);
  const { masterDown } = printName(context, attrs, (name) => `${name}: `);
  printFlags(context, ifinfomsg.flags(message.view, message.payload), masterDown);
  const mtu = attrs.u32(IFLA_MTU);
  if (mtu !== null) out.number('mtu', mtu, `mtu ${mtu} `);
  const qdisc = attrs.string(IFLA_QDISC);
  if (qdisc !== null) out.string('qdisc', qdisc, `qdisc ${qdisc} `);
  const master = attrs.s32(IFLA_MASTER);
  if (master !== null) {
    const name = context.linkName(master);
    out.string('master', name, `master ${name} `);
  }
  const state = attrs.u8(IFLA_OPERSTATE);
  if (state !== null) printOperState(context, state, (name) => `state ${name} `);
  const mode = attrs.u8(IFLA_LINKMODE);
  if (view.linkOnly && mode !== null) {
    const name = LINK_MODES[mode];
    if (name === undefined) out.number('linkmode_index', mode, `mode ${mode} `);
    else out.string('linkmode', name, `mode ${name} `);
  }
  const group = attrs.u32(IFLA_GROUP);
  if (group !== null) {
    const name = nameOf(GROUPS, group);
    out.string('group', name, `group ${name} `);
  }
  const qlen = attrs.s32(IFLA_TXQLEN) ?? 0;
  if (qlen !== 0) out.number('txqlen', qlen, `qlen ${qlen}`);
}

function printLinkLayer(context: Context, message: NlMessage, attrs: NlAttrs): void {
  const { out } = context;
  const type = ifinfomsg.type(message.view, message.payload);
  const flags = ifinfomsg.flags(message.view, message.payload);
  const tunnel = isTunnelType(type);
  out.line();
  const typeName = linkTypeName(type);
  out.string('link_type', typeName, `    link/${typeName} `);
  const address = attrs.bytes(IFLA_ADDRESS);
  if (address !== null) out.string('address', formatLladdr(address, tunnel));
  const broadcast = attrs.bytes(IFLA_BROADCAST);
  if (broadcast !== null) {
    if ((flags & IFF_POINTOPOINT) !== 0) out.bool('link_pointtopoint', true, ' peer ');
    else out.words(' brd ');
    out.string('broadcast', formatLladdr(broadcast, tunnel));
  }
  const netnsid = attrs.s32(IFLA_LINK_NETNSID);
  if (netnsid !== null) {
    if (netnsid >= 0) out.number('link_netnsid', netnsid, ` link-netnsid ${netnsid}`);
    else out.nothing('link_netnsid', ' link-netnsid unknown');
  }
  if ((attrs.u8(IFLA_PROTO_DOWN) ?? 0) !== 0) out.bool('proto_down', true, ' protodown on ');
}

/** Attributes that are one number each, in their order. */
const QUEUES: readonly (readonly [attr: number, key: string, label: string])[] = [
  [IFLA_NUM_TX_QUEUES, 'num_tx_queues', 'numtxqueues'],
  [IFLA_NUM_RX_QUEUES, 'num_rx_queues', 'numrxqueues'],
  [IFLA_GSO_MAX_SIZE, 'gso_max_size', 'gso_max_size'],
  [IFLA_GSO_MAX_SEGS, 'gso_max_segs', 'gso_max_segs'],
  [IFLA_TSO_MAX_SIZE, 'tso_max_size', 'tso_max_size'],
  [IFLA_TSO_MAX_SEGS, 'tso_max_segs', 'tso_max_segs'],
  [IFLA_GRO_MAX_SIZE, 'gro_max_size', 'gro_max_size'],
];

function printDetails(context: Context, attrs: NlAttrs, view: LinkView): void {
  const { out } = context;
  const number = (attr: number, key: string, label: string): void => {
    const value = attrs.u32(attr);
    if (value !== null) out.number(key, value, `${label} ${value} `);
  };
  number(IFLA_PROMISCUITY, 'promiscuity', ' promiscuity');
  number(IFLA_ALLMULTI, 'allmulti', ' allmulti');
  number(IFLA_MIN_MTU, 'min_mtu', 'minmtu');
  number(IFLA_MAX_MTU, 'max_mtu', 'maxmtu');
  printLinkInfo(context, attrs);
  const mode = attrs.nested(IFLA_AF_SPEC)?.nested(AF_INET6)?.u8(IFLA_INET6_ADDR_GEN_MODE) ?? null;
  if (view.linkOnly && mode !== null) {
    const name = ADDR_GEN_MODES[mode] ?? mode.toString(16);
    out.string('inet6_addr_gen_mode', name, `addrgenmode ${name} `);
  }
  for (const [attr, key, label] of QUEUES) number(attr, key, label);
  const text = (attr: number, key: string, label: string): void => {
    const value = attrs.string(attr);
    if (value !== null) out.string(key, value, `${label} ${value} `);
  };
  text(IFLA_PHYS_PORT_NAME, 'phys_port_name', 'portname');
  text(IFLA_PARENT_DEV_BUS_NAME, 'parentbus', 'parentbus');
  text(IFLA_PARENT_DEV_NAME, 'parentdev', 'parentdev');
}

function printLinkInfo(context: Context, attrs: NlAttrs): void {
  const info = attrs.nested(IFLA_LINKINFO);
  if (info === null) return;
  const { out } = context;
  out.openObject('linkinfo');
  const kind = info.string(IFLA_INFO_KIND);
  if (kind !== null) {
    out.line();
    out.string('info_kind', kind, `    ${kind} `);
  }
  const slave = info.string(IFLA_INFO_SLAVE_KIND);
  if (slave !== null) {
    out.line();
    out.string('info_slave_kind', slave, `    ${slave}_slave `);
  }
  out.closeObject();
}

/** The whole link; without the object around it. */
export function printLink(context: Context, message: NlMessage, view: LinkView): void {
  const { out, options } = context;
  const attrs = message.attrs(ifinfomsg.LEN);
  printHead(context, message, attrs, view);
  if (view.family === AF_UNSPEC || view.family === AF_PACKET || options.details > 0) {
    printLinkLayer(context, message, attrs);
    if (options.details > 0) printDetails(context, attrs, view);
  }
  const alias = attrs.string(IFLA_IFALIAS);
  if ((view.linkOnly || options.details > 0) && alias !== null) {
    out.line();
    out.string('ifalias', alias, `    alias ${alias}`);
  }
  if (view.linkOnly && options.stats > 0) {
    out.line();
    printLinkStats(context, attrs);
  }
  const altNames = altNamesOf(attrs);
  if (altNames.length > 0) {
    out.openArray('altnames');
    for (const name of altNames) {
      out.line();
      out.itemString(name, `    altname ${name}`);
    }
    out.closeArray();
  }
  out.words('\n');
}
