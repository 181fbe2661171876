/*
 * `ip neighbour`. Counterpart of iproute2's ip/ipneigh.c.
 */
import { EEXIST, ENOENT } from '#uapi/errno.ts';
import {
  NDA_CACHEINFO,
  NDA_DST,
  NDA_FLAGS_EXT,
  NDA_LLADDR,
  NDA_MASTER,
  NDA_PROBES,
  NDA_PROTOCOL,
  NTF_EXT_LEARNED,
  NTF_EXT_MANAGED,
  NTF_OFFLOADED,
  NTF_PROXY,
  NTF_ROUTER,
  NTF_USE,
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_NONE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  ndaCacheinfo,
  ndmsg,
} from '#uapi/neighbour.ts';
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import { RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH } from '#uapi/rtnetlink.ts';
import { AF_UNSPEC } from '#uapi/socket.ts';
import { USER_HZ } from '#uapi/time.ts';
import {
  type Address,
  formatAddress,
  formatLladdr,
  getAddress,
  getLladdr,
  getPrefix,
  samePrefix,
  type Words,
} from '#user/ip/args.ts';
import type { Context } from '#user/ip/context.ts';
import {
  isTunnelType,
  type Name,
  nameOf,
  numberOf,
  PROTOCOLS,
  parseUnsigned,
} from '#user/ip/names.ts';
import { errnoOf } from '#user/lib/errors.ts';
import { type NlAttrs, NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';

const STATES: readonly Name[] = [
  [NUD_INCOMPLETE, 'INCOMPLETE'],
  [NUD_REACHABLE, 'REACHABLE'],
  [NUD_STALE, 'STALE'],
  [NUD_DELAY, 'DELAY'],
  [NUD_PROBE, 'PROBE'],
  [NUD_FAILED, 'FAILED'],
  [NUD_NOARP, 'NOARP'],
  [NUD_PERMANENT, 'PERMANENT'],
];

const FLAGS: readonly Name[] = [
  [NTF_ROUTER, 'router'],
  [NTF_PROXY, 'proxy'],
  [NTF_EXT_LEARNED, 'extern_learn'],
  [NTF_OFFLOADED, 'offload'],
];

/** Bit of a filter for entries in no state at all. */
const ASK_FOR_NONE = 0x100;

/** A state by name or number; null for what is none. */
function stateOf(text: string): number | null {
  if (text === 'none') return NUD_NONE;
  const named = STATES.find(([, name]) => name.toLowerCase() === text);
  if (named !== undefined) return named[0];
  const number = parseUnsigned(text);
  return number === null || number >= 0x100 ? null : number;
}

interface Filter {
  family: number;
  index: number;
  master: number;
  states: number;
  prefix: Address | null;
  protocol: number | null;
  unused: boolean;
  proxy: boolean;
}

async function readFilter(context: Context, words: Words, states: number): Promise<Filter> {
  const filter: Filter = {
    family: context.options.family,
    index: 0,
    master: 0,
    states,
    prefix: null,
    protocol: null,
    unused: false,
    proxy: false,
  };
  let asked = false;
  while (!words.done) {
    const word = words.word;
    if (word === 'dev') {
      const name = words.next();
      filter.index = await context.linkIndex(name);
      if (filter.index === 0) throw context.noDevice(name);
    } else if (word === 'master' || word === 'vrf') {
      const name = words.next();
      filter.master = await context.linkIndex(name);
      if (filter.master === 0) throw context.wrong('Device does not exist\n', name);
    } else if (word === 'unused') filter.unused = true;
    else if (word === 'proxy') filter.proxy = true;
    else if (word === 'protocol' || word === 'proto') {
      const text = words.next();
      filter.protocol = numberOf(PROTOCOLS, text, 255);
      if (filter.protocol === null) throw context.wrong('invalid "protocol"\n', text);
    } else if (word === 'nud' || word === 'state') {
      const text = words.next();
      const state = text === 'all' ? ~0 : stateOf(text);
      if (state === null) throw context.wrong('nud state is bad', text);
      if (!asked) filter.states = 0;
      asked = true;
      filter.states |= state === NUD_NONE ? ASK_FOR_NONE : state;
    } else {
      if (word === 'to') words.next();
      filter.prefix = getPrefix(context, words.word, filter.family);
      if (filter.family === AF_UNSPEC) filter.family = filter.prefix.family;
    }
    words.advance();
  }
  return filter;
}

function matches(filter: Filter, message: NlMessage): boolean {
  const { view, payload } = message;
  const attrs = message.attrs(ndmsg.LEN);
  const state = ndmsg.state(view, payload);
  const flags = ndmsg.flags(view, payload);
  const family = ndmsg.family(view, payload);
  if (filter.family !== AF_UNSPEC && family !== filter.family) return false;
  if (filter.index !== 0 && ndmsg.ifindex(view, payload) !== filter.index) return false;
  if (filter.master !== 0 && attrs.s32(NDA_MASTER) !== filter.master) return false;
  const always = (flags & (NTF_PROXY | NTF_EXT_LEARNED)) !== 0;
  const asked = state === 0 ? (filter.states & ASK_FOR_NONE) !== 0 : (filter.states & state) !== 0;
  if (!always && !asked) return false;
  if (filter.protocol !== null && (attrs.u8(NDA_PROTOCOL) ?? 0) !== filter.protocol) return false;
  const { prefix } = filter;
  if (prefix !== null) {
    const bytes = attrs.bytes(NDA_DST);
    if (bytes === null || !samePrefix(prefix.bytes, bytes, prefix.bits)) return false;
  }
  if (!filter.unused) return true;
  const at = attrs.at(NDA_CACHEINFO, ndaCacheinfo.LEN);
  return at < 0 || ndaCacheinfo.refcnt(view, at) === 0;
}

function printStats(context: Context, attrs: NlAttrs): void {
  const { out } = context;
  const { view } = attrs;
  const at = attrs.at(NDA_CACHEINFO, ndaCacheinfo.LEN);
  if (at >= 0) {
    const refcnt = ndaCacheinfo.refcnt(view, at);
    if (refcnt !== 0) out.number('refcnt', refcnt, ` ref ${refcnt}`);
    const seconds = (ticks: number): number => Math.floor(ticks / USER_HZ);
    const used = seconds(ndaCacheinfo.used(view, at));
    const confirmed = seconds(ndaCacheinfo.confirmed(view, at));
    const updated = seconds(ndaCacheinfo.updated(view, at));
    out.number('used', used, ` used ${used}`);
    out.number('confirmed', confirmed, `/${confirmed}`);
    out.number('updated', updated, `/${updated}`);
  }
  const probes = attrs.u32(NDA_PROBES);
  if (probes !== null) out.number('probes', probes, `probes ${probes} `);
}

function printState(context: Context, state: number): void {
  const { out } = context;
  const names = STATES.filter(([bit]) => (state & bit) !== 0).map(([, name]) => name);
  out.openArray('state');
  for (const name of names) out.json?.string(name);
  out.closeArray();
  out.words(`${names.join(',')} `);
}

function printNeighbour(context: Context, message: NlMessage, withDevice: boolean): void {
  const { out, options } = context;
  const { view, payload } = message;
  const attrs = message.attrs(ndmsg.LEN);
  const index = ndmsg.ifindex(view, payload);
  const device = context.linkName(index);
  const to = attrs.bytes(NDA_DST);
  const lladdr = attrs.bytes(NDA_LLADDR);
  const tunnel = isTunnelType(context.link(index)?.type ?? 0);
  out.openObject();
  if (to !== null) {
    const text = formatAddress(ndmsg.family(view, payload), to);
    out.string('dst', text, options.brief ? `${text.padEnd(39)} ` : `${text} `);
  }
  if (options.brief) {
    out.string('dev', device, `${device.padEnd(16)} `);
    if (lladdr !== null) out.string('lladdr', formatLladdr(lladdr, tunnel));
    out.words('\n');
    out.closeObject();
    return;
  }
  if (withDevice) out.string('dev', device, `dev ${device} `);
  if (lladdr !== null) {
    const text = formatLladdr(lladdr, tunnel);
    out.string('lladdr', text, `lladdr ${text} `);
  }
  for (const [flag, name] of FLAGS) {
    if ((ndmsg.flags(view, payload) & flag) !== 0) out.nothing(name, `${name} `);
  }
  if (((attrs.u32(NDA_FLAGS_EXT) ?? 0) & NTF_EXT_MANAGED) !== 0) out.nothing('managed', 'managed ');
  if (options.stats > 0) printStats(context, attrs);
  const state = ndmsg.state(view, payload);
  if (state !== 0) printState(context, state);
  const protocol = attrs.u8(NDA_PROTOCOL) ?? 0;
  if (protocol !== 0) {
    const name = nameOf(PROTOCOLS, protocol);
    out.string('protocol', name, `proto ${name} `);
  }
  out.words('\n');
  out.closeObject();
}

async function collect(context: Context, filter: Filter): Promise<NlMessage[]> {
  await context.loadLinks();
  const request = new NlBuilder(RTM_GETNEIGH, 0).header(ndmsg.LEN, (v, o) => {
    ndmsg.setFamily(v, o, filter.family);
    if (filter.proxy) ndmsg.setFlags(v, o, NTF_PROXY);
  });
  const found: NlMessage[] = [];
  await context.dump(request, (message) => {
    if (matches(filter, message)) found.push(message);
  });
  return found;
}

/** `ip neighbour show` */
export async function showNeighbours(context: Context, words: Words): Promise<void> {
  const filter = await readFilter(context, words, 0xff & ~NUD_NOARP);
  context.out.openArray();
  for (const message of await collect(context, filter)) {
    printNeighbour(context, message, filter.index === 0);
  }
  context.out.closeArray();
  await context.flush();
}

const MAX_ROUNDS = 10;

/** `ip neighbour flush` */
export async function flushNeighbours(context: Context, words: Words): Promise<void> {
  if (words.done) throw context.fail('Flush requires arguments.\n', 1);
  const filter = await readFilter(context, words, ~(NUD_PERMANENT | NUD_NOARP));
  const { stats } = context.options;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = await collect(context, filter);
    if (found.length === 0) {
      if (stats > 0) context.p.print(flushedWords(round));
      return;
    }
    if (stats > 1) {
      for (const message of found) printNeighbour(context, message, filter.index === 0);
      await context.flush();
    }
    for (const message of found) await deleteEntry(context, message);
    if (stats > 0) {
      context.p.print(`\n*** Round ${round + 1}, deleting ${found.length} entries ***\n`);
    }
  }
  throw context.fail(`*** Flush not complete bailing out after ${MAX_ROUNDS} rounds\n`, 1);
}

function flushedWords(round: number): string {
  if (round === 0) return 'Nothing to flush.\n';
  return `*** Flush is complete after ${round} round${round > 1 ? 's' : ''} ***\n`;
}

async function deleteEntry(context: Context, message: NlMessage): Promise<void> {
  const { view, offset, length } = message;
  const body = new Uint8Array(
    view.buffer,
    view.byteOffset + offset + NLMSG_HDRLEN,
    length - NLMSG_HDRLEN,
  );
  const request = new NlBuilder(RTM_DELNEIGH, 0).header(body.length, (v, o) => {
    new Uint8Array(v.buffer, o, body.length).set(body);
  });
  try {
    await context.nl.request(request);
  } catch (error) {
    // It went in the meantime.
    if (![ENOENT, EEXIST].includes(errnoOf(error))) throw context.refusal(error, 1);
  }
}

interface Entry {
  address: Address | null;
  device: string | null;
  lladdr: string | null;
  state: number;
  flags: number;
  extFlags: number;
  protocol: number | null;
}

function readEntry(context: Context, words: Words, adding: boolean): Entry {
  const entry: Entry = {
    address: null,
    device: null,
    lladdr: null,
    state: adding ? NUD_PERMANENT : NUD_NONE,
    flags: 0,
    extFlags: 0,
    protocol: null,
  };
  while (!words.done) {
    const word = words.word;
    if (word === 'lladdr') {
      const text = words.next();
      if (entry.lladdr !== null) throw context.duplicate('lladdr', text);
      entry.lladdr = text;
    } else if (word === 'nud') {
      const text = words.next();
      const state = stateOf(text);
      if (state === null) throw context.wrong('nud state is bad', text);
      entry.state = state;
    } else if (word === 'proxy') {
      words.next();
      if (entry.address !== null) throw context.duplicateOrGarbage('to', words.word);
      entry.address = getAddress(context, words.word, context.options.family);
      entry.flags |= NTF_PROXY;
    } else if (word === 'router') entry.flags |= NTF_ROUTER;
    else if (word === 'use') entry.flags |= NTF_USE;
    else if (word === 'extern_learn') entry.flags |= NTF_EXT_LEARNED;
    else if (word === 'managed') {
      entry.extFlags |= NTF_EXT_MANAGED;
      entry.state = NUD_NONE;
    } else if (word === 'dev') entry.device = words.next();
    else if (word === 'protocol' || word === 'proto') {
      const text = words.next();
      entry.protocol = numberOf(PROTOCOLS, text, 255);
      if (entry.protocol === null) throw context.wrong('"protocol" value is invalid\n', text);
    } else {
      if (word === 'to') words.next();
      if (entry.address !== null) throw context.duplicateOrGarbage('to', words.word);
      entry.address = getAddress(context, words.word, context.options.family);
    }
    words.advance();
  }
  return entry;
}

/** @param type RTM_NEWNEIGH or RTM_DELNEIGH @param flags of the request */
export async function changeNeighbour(
  context: Context,
  words: Words,
  type: number,
  flags: number,
): Promise<void> {
  const entry = readEntry(context, words, type === RTM_NEWNEIGH);
  const { address, device } = entry;
  if (address === null || address.unspecified || device === null) {
    throw context.fail('Device and destination are required arguments.\n');
  }
  const request = new NlBuilder(type, flags).header(ndmsg.LEN, (v, o) => {
    ndmsg.setFamily(v, o, address.family);
    ndmsg.setState(v, o, entry.state);
    ndmsg.setFlags(v, o, entry.flags);
  });
  request.attr(NDA_DST, address.bytes);
  if (entry.lladdr !== null && entry.lladdr !== 'null') {
    request.attr(NDA_LLADDR, getLladdr(context, entry.lladdr));
  }
  if (entry.extFlags !== 0) request.u32(NDA_FLAGS_EXT, entry.extFlags);
  if (entry.protocol !== null) request.u8(NDA_PROTOCOL, entry.protocol);
  const index = await context.linkIndex(device);
  if (index === 0) throw context.noDevice(device);
  request.edit((v, o) => ndmsg.setIfindex(v, o, index));
  await context.talk(request);
}

/** `ip neighbour get` */
export async function getNeighbour(context: Context, words: Words): Promise<void> {
  const { address, device, flags } = readEntry(context, words, false);
  if (address === null || address.unspecified || device === null) {
    throw context.fail('Device and address are required arguments.\n', 1);
  }
  const index = await context.linkIndex(device);
  if (index === 0) throw context.noDevice(device);
  const request = new NlBuilder(RTM_GETNEIGH, 0).header(ndmsg.LEN, (v, o) => {
    ndmsg.setFamily(v, o, address.family);
    ndmsg.setFlags(v, o, flags & NTF_PROXY);
    ndmsg.setIfindex(v, o, index);
  });
  request.attr(NDA_DST, address.bytes);
  const answer = await context.ask(request);
  context.out.openArray();
  printNeighbour(context, answer, true);
  context.out.closeArray();
  await context.flush();
}
