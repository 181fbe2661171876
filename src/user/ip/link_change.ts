/*
 * `ip link add`, `set`, `delete`, `property`. Counterpart of iproute2's ip/iplink.c and ip/link_veth.c.
 */

import { O_RDONLY } from '#uapi/fcntl.ts';
import {
  IFF_ALLMULTI,
  IFF_DYNAMIC,
  IFF_MULTICAST,
  IFF_NOARP,
  IFF_NOTRAILERS,
  IFF_PROMISC,
  IFF_UP,
  IFNAMSIZ,
} from '#uapi/if.ts';
import {
  IFLA_ADDRESS,
  IFLA_ALT_IFNAME,
  IFLA_BROADCAST,
  IFLA_CARRIER,
  IFLA_GRO_MAX_SIZE,
  IFLA_GROUP,
  IFLA_GSO_MAX_SEGS,
  IFLA_GSO_MAX_SIZE,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINKINFO,
  IFLA_LINKMODE,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_NET_NS_PID,
  IFLA_NUM_RX_QUEUES,
  IFLA_NUM_TX_QUEUES,
  IFLA_OPERSTATE,
  IFLA_PROP_LIST,
  IFLA_PROTO_DOWN,
  IFLA_TXQLEN,
  VETH_INFO_PEER,
} from '#uapi/if_link.ts';
import { NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from '#uapi/netlink.ts';
import {
  ifinfomsg,
  RTM_DELLINK,
  RTM_DELLINKPROP,
  RTM_NEWLINK,
  RTM_NEWLINKPROP,
} from '#uapi/rtnetlink.ts';
import { getLladdr, type Words } from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import { GROUPS, numberOf, parseSigned, parseUnsigned } from '#user/ip/names.ts';
import { NlBuilder } from '#user/lib/nlmsg.ts';
import { encodeText } from '#user/lib/streams.ts';

/** What a command line says of a link. */
class LinkChange {
  device: string | null;
  name: string | null;
  link: string | null;
  kind: string | null;
  group: number | null;
  index: number;
  flags: number;
  change: number;
  address: Uint8Array | null;
  /** Descriptors to close when the request is done. */
  readonly descriptors: number[];
  /** Attributes that need nothing but their value. */
  readonly attrs: ((b: NlBuilder) => void)[];

  constructor() {
    this.device = null;
    this.name = null;
    this.link = null;
    this.kind = null;
    this.group = null;
    this.index = 0;
    this.flags = 0;
    this.change = 0;
    this.address = null;
    this.descriptors = [];
    this.attrs = [];
  }

  /** Sets or clears a flag of the device. */
  flag(flag: number, on: boolean): void {
    this.change |= flag;
    this.flags = on ? this.flags | flag : this.flags & ~flag;
  }
}

/** A name that a device can have. @kernel dev_valid_name net/core/dev.c */
function validName(name: string): boolean {
  const length = encodeText(name).length;
  return length > 0 && length < IFNAMSIZ && !/[/\s]/.test(name);
}

type Handler = (context: Context, words: Words, change: LinkChange) => Promise<void> | void;

function onOff(context: Context, key: string, text: string): boolean {
  if (text === 'on') return true;
  if (text === 'off') return false;
  throw context.fail(`Error: argument of "${key}" must be "on" or "off", not "${text}"\n`, 1);
}

/** A word with on or off that is a flag of the device, or its opposite. */
const flagSwitch =
  (key: string, flag: number, opposite = false): Handler =>
  (context, words, change) => {
    change.flag(flag, onOff(context, key, words.next()) !== opposite);
  };

/** A word with a number that is an attribute. */
const numberAttr =
  (attr: number, key: string, signed = false): Handler =>
  (context, words, change) => {
    const text = words.next();
    const value = signed ? parseSigned(text) : parseUnsigned(text);
    const max = signed ? 0x7fffffff : 0xffffffff;
    if (value === null || value > max) throw context.wrong(`Invalid "${key}" value\n`, text);
    change.attrs.push((b) => b.u32(attr, value));
  };

const setName: Handler = (context, words, change) => {
  const name = words.next();
  if (change.name !== null) throw context.duplicate('name', name);
  if (!validName(name)) throw context.wrong('"name" not a valid ifname', name);
  change.name = name;
  change.device ??= name;
};

const setAddress: Handler = (context, words, change) => {
  const bytes = getLladdr(context, words.next());
  change.address = bytes;
  change.attrs.push((b) => b.attr(IFLA_ADDRESS, bytes));
};

const setBroadcast: Handler = (context, words, change) => {
  const bytes = getLladdr(context, words.next());
  change.attrs.push((b) => b.attr(IFLA_BROADCAST, bytes));
};

const setMaster: Handler = async (context, words, change) => {
  const name = words.next();
  const index = await context.linkIndex(name);
  if (index === 0) throw context.wrong('Device does not exist\n', name);
  change.attrs.push((b) => b.u32(IFLA_MASTER, index));
};

const setNetns: Handler = (context, words, change) => {
  const name = words.next();
  const path = name.startsWith('/') ? name : `/var/run/netns/${name}`;
  const fd = context.p.sys.open(path, O_RDONLY);
  if (fd >= 0) {
    change.descriptors.push(fd);
    change.attrs.push((b) => b.u32(IFLA_NET_NS_FD, fd));
    return;
  }
  const pid = parseSigned(name);
  if (pid === null) throw context.wrong('Invalid "netns" value\n', name);
  change.attrs.push((b) => b.u32(IFLA_NET_NS_PID, pid));
};

const setGroup: Handler = (context, words, change) => {
  const text = words.next();
  if (change.group !== null) throw context.duplicate('group', text);
  const group = numberOf(GROUPS, text, 0xffffffff);
  if (group === null) throw context.wrong('Invalid "group" value\n', text);
  change.group = group;
  change.attrs.push((b) => b.u32(IFLA_GROUP, group));
};

const setMode: Handler = (context, words, change) => {
  const text = words.next();
  const mode = ['default', 'dormant'].indexOf(text.toLowerCase());
  if (mode < 0) throw context.wrong('Invalid link mode\n', text);
  change.attrs.push((b) => b.u8(IFLA_LINKMODE, mode));
};

const STATES: readonly string[] = [
  'unknown',
  'notpresent',
  'down',
  'lowerlayerdown',
  'testing',
  'dormant',
  'up',
];

const setState: Handler = (context, words, change) => {
  const text = words.next();
  const state = STATES.indexOf(text.toLowerCase());
  if (state < 0) throw context.wrong('Invalid operstate\n', text);
  change.attrs.push((b) => b.u8(IFLA_OPERSTATE, state));
};

const setAlias: Handler = (context, words, change) => {
  const text = words.next();
  if (encodeText(text).length >= 256) throw context.wrong('alias too long\n', text);
  change.attrs.push((b) => b.attr(IFLA_IFALIAS, encodeText(text)));
};

const setIndex: Handler = (context, words, change) => {
  const text = words.next();
  const index = parseSigned(text);
  if (change.index !== 0) throw context.duplicate('index', text);
  if (index === null || index <= 0) throw context.wrong('Invalid "index" value', text);
  change.index = index;
};

const setQlen = numberAttr(IFLA_TXQLEN, 'txqueuelen', true);

const HANDLERS: Readonly<Record<string, Handler>> = {
  up: (_context, _words, change) => change.flag(IFF_UP, true),
  down: (_context, _words, change) => change.flag(IFF_UP, false),
  name: setName,
  index: setIndex,
  link: (_context, words, change) => {
    change.link = words.next();
  },
  address: setAddress,
  addr: setAddress,
  lladdr: setAddress,
  broadcast: setBroadcast,
  brd: setBroadcast,
  txqueuelen: setQlen,
  txqlen: setQlen,
  qlen: setQlen,
  mtu: numberAttr(IFLA_MTU, 'mtu', true),
  netns: setNetns,
  multicast: flagSwitch('multicast', IFF_MULTICAST),
  allmulticast: flagSwitch('allmulticast', IFF_ALLMULTI),
  promisc: flagSwitch('promisc', IFF_PROMISC),
  trailers: flagSwitch('trailers', IFF_NOTRAILERS, true),
  arp: flagSwitch('arp', IFF_NOARP, true),
  dynamic: flagSwitch('dynamic', IFF_DYNAMIC),
  carrier: (context, words, change) => {
    const on = onOff(context, 'carrier', words.next());
    change.attrs.push((b) => b.u8(IFLA_CARRIER, on ? 1 : 0));
  },
  protodown: (context, words, change) => {
    const on = onOff(context, 'protodown', words.next());
    change.attrs.push((b) => b.u8(IFLA_PROTO_DOWN, on ? 1 : 0));
  },
  master: setMaster,
  vrf: setMaster,
  nomaster: (_context, _words, change) => {
    change.attrs.push((b) => b.u32(IFLA_MASTER, 0));
  },
  group: setGroup,
  mode: setMode,
  state: setState,
  alias: setAlias,
  numtxqueues: numberAttr(IFLA_NUM_TX_QUEUES, 'numtxqueues'),
  numrxqueues: numberAttr(IFLA_NUM_RX_QUEUES, 'numrxqueues'),
  gso_max_size: numberAttr(IFLA_GSO_MAX_SIZE, 'gso_max_size'),
  gso_max_segs: numberAttr(IFLA_GSO_MAX_SEGS, 'gso_max_segs'),
  gro_max_size: numberAttr(IFLA_GRO_MAX_SIZE, 'gro_max_size'),
};

/** Reads up to the kind, behind which its own options stand. */
async function readLink(context: Context, words: Words, change: LinkChange): Promise<void> {
  while (!words.done) {
    const word = words.word;
    const handler = Object.hasOwn(HANDLERS, word) ? HANDLERS[word] : undefined;
    if (word === 'type') {
      change.kind = words.next();
      words.advance();
      return;
    }
    if (handler !== undefined) {
      await handler(context, words, change);
    } else {
      if (word === 'dev') words.next();
      if (change.device !== change.name) throw context.duplicateOrGarbage('dev', words.word);
      if (words.word.length >= 128 || /[/\s]/.test(words.word)) {
        throw context.wrong('"dev" not a valid ifname', words.word);
      }
      change.device = words.word;
    }
    words.advance();
  }
}

/** An address must be as long as the device's own. */
function checkAddressLength(context: Context, change: LinkChange, index: number): void {
  const own = context.link(index)?.address ?? null;
  if (change.address === null || own === null || own.length === change.address.length) return;
  throw context.fail(
    `Invalid address length ${change.address.length} - must be ${own.length} bytes\n`,
    1,
  );
}

/** Appends what a link is to be: its header must stand in the message already. */
async function fillLink(
  context: Context,
  request: NlBuilder,
  change: LinkChange,
  creating: boolean,
): Promise<number> {
  let index = change.index;
  let name = change.name;
  if (!creating) {
    if (change.device === null && change.group === null) {
      throw context.fail('Not enough information: "dev" argument is required.\n');
    }
    if (index !== 0) throw context.fail('index can be used only when creating devices.\n');
    if (change.device !== null) {
      index = await context.linkIndex(change.device);
      if (index === 0) throw context.noDevice(change.device);
      checkAddressLength(context, change, index);
    }
    if (name === change.device) name = null;
  } else {
    if (name !== null && name !== change.device) {
      throw context.fail('both "name" and "dev" cannot be used when creating devices.\n');
    }
    name = change.device;
    if (change.link !== null) {
      const tied = await context.linkIndex(change.link);
      if (tied === 0) throw context.noDevice(change.link);
      request.u32(IFLA_LINK, tied);
    }
  }
  for (const add of change.attrs) add(request);
  if (name !== null) request.string(IFLA_IFNAME, name);
  return index;
}

/** Kinds without options of their own; what stands behind them is not looked at. */
const PLAIN_KINDS: readonly string[] = ['dummy', 'ifb', 'nlmon', 'team', 'vcan'];

const VETH_USAGE =
  'Usage: ip link <options> type veth [peer <options>]\n' +
  "To get <options> type 'ip link add help'\n";

/** What stands behind `type veth`: the other end. */
async function addVethPeer(
  context: Context,
  request: NlBuilder,
  words: Words,
  descriptors: number[],
): Promise<void> {
  if (!words.is('peer')) {
    context.p.print(VETH_USAGE);
    throw context.fail('', 1);
  }
  words.advance();
  const peer = new LinkChange();
  await readLink(context, words, peer);
  const inner = new NlBuilder(0, 0);
  inner.header(ifinfomsg.LEN, () => {});
  const index = await fillLink(context, inner, peer, true);
  inner.edit((v, o) => {
    ifinfomsg.setIndex(v, o, index);
    ifinfomsg.setFlags(v, o, peer.flags);
    ifinfomsg.setChange(v, o, peer.change);
  });
  descriptors.push(...peer.descriptors);
  request.attr(VETH_INFO_PEER, inner.finish().subarray(16));
}

async function addKind(
  context: Context,
  request: NlBuilder,
  words: Words,
  change: LinkChange,
): Promise<void> {
  const kind = change.kind as string;
  const data = new NlBuilder(0, 0);
  if (!words.done && kind === 'veth') {
    await addVethPeer(context, data, words, change.descriptors);
  } else if (!words.done && !PLAIN_KINDS.includes(kind)) {
    const garbage = `Garbage instead of arguments "${words.word} ...". Try "ip link help".\n`;
    throw context.fail(garbage, 1);
  }
  const inside = data.finish().subarray(16);
  request.nest(IFLA_LINKINFO, (b) => {
    b.attr(IFLA_INFO_KIND, encodeText(kind));
    if (inside.length > 0) b.attr(IFLA_INFO_DATA, inside);
  });
}

/** @param type RTM_NEWLINK or RTM_DELLINK @param flags of the request */
export async function changeLink(
  context: Context,
  words: Words,
  type: number,
  flags: number,
): Promise<void> {
  const creating = (flags & NLM_F_CREATE) !== 0;
  const change = new LinkChange();
  try {
    await readLink(context, words, change);
    const request = new NlBuilder(type, flags).header(ifinfomsg.LEN, () => {});
    const index = await fillLink(context, request, change, creating);
    request.edit((v, o) => {
      ifinfomsg.setIndex(v, o, index);
      ifinfomsg.setFlags(v, o, change.flags);
      ifinfomsg.setChange(v, o, change.change);
    });
    if (change.kind !== null) await addKind(context, request, words, change);
    else if (creating) {
      throw context.fail('Not enough information: "type" argument is required\n', 1);
    }
    await context.talk(request);
  } finally {
    for (const fd of change.descriptors) context.p.sys.close(fd);
    context.forgetLinks();
  }
}

export const addLink = (context: Context, words: Words): Promise<void> =>
  changeLink(context, words, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);

export const setLink = (context: Context, words: Words): Promise<void> =>
  changeLink(context, words, RTM_NEWLINK, 0);

export const deleteLink = (context: Context, words: Words): Promise<void> =>
  changeLink(context, words, RTM_DELLINK, 0);

/** `ip link property add|del dev X altname Y` */
export async function changeProperty(context: Context, words: Words): Promise<void> {
  const adding = words.abbreviates('add');
  if (!adding && !words.abbreviates('delete')) {
    throw context.fail('Operator required\n', 255);
  }
  words.advance();
  let device: string | null = null;
  const names: string[] = [];
  while (!words.done) {
    if (words.is('altname')) names.push(words.next());
    else {
      if (words.is('dev')) words.next();
      device = words.word;
    }
    words.advance();
  }
  if (device === null) throw context.required('dev');
  const index = await context.linkIndex(device);
  if (index === 0) throw context.noDevice(device);
  const flags = adding ? NLM_F_EXCL | NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK : NLM_F_EXCL;
  const request = new NlBuilder(adding ? RTM_NEWLINKPROP : RTM_DELLINKPROP, flags)
    .header(ifinfomsg.LEN, (v, o) => ifinfomsg.setIndex(v, o, index))
    .nest(
      IFLA_PROP_LIST,
      (b) => {
        for (const name of names) b.string(IFLA_ALT_IFNAME, name);
      },
      true,
    );
  await context.talk(request);
  context.forgetLinks();
}
