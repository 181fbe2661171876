/*
 * `tc qdisc` and `tc class show`. Counterparts: iproute2's tc/tc.c, tc/tc_qdisc.c, tc/tc_class.c.
 */
import { EINVAL, strerror } from '#uapi/errno.ts';
import { NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '#uapi/netlink.ts';
import {
  gnetStatsQueue,
  TC_H_MAJ_MASK,
  TC_H_MIN_MASK,
  TC_H_ROOT,
  TCA_STATS_APP,
  TCA_STATS_BASIC,
  TCA_STATS_QUEUE,
} from '#uapi/pkt_sched.ts';
import {
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_GETTCLASS,
  RTM_NEWQDISC,
  TCA_KIND,
  TCA_OPTIONS,
  TCA_STATS2,
  tcmsg,
} from '#uapi/rtnetlink.ts';
import { getifaddrs } from '#user/lib/ifaddrs.ts';
import { NetlinkClient, NetlinkError } from '#user/lib/netlink.ts';
import { NlBuilder, type NlMessage } from '#user/lib/nlmsg.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { codel } from '#user/tc/codel.ts';
import { fqCodel } from '#user/tc/fq_codel.ts';
import { type Kind, OptionError, PLAIN_KINDS, printSize } from '#user/tc/kinds.ts';
import { tbf } from '#user/tc/tbf.ts';

const USAGE =
  'Usage: tc [ -s ] qdisc [ add | del | replace | change | show ] dev STRING\n' +
  '       [ root | parent CLASSID ] [ handle QHANDLE ]\n' +
  '       [ [ QDISC_KIND ] [ help | OPTIONS ] ]\n' +
  '       tc [ -s ] class show dev STRING [ parent CLASSID ]\n' +
  'QDISC_KIND := { [p|b]fifo | pfifo_fast | tbf | codel | fq | fq_codel }\n';

const KINDS: Readonly<Record<string, Kind>> = { ...PLAIN_KINDS, codel, fq_codel: fqCodel, tbf };

/** Ends the command with a message and status 1, as iproute2 does. */
class Failure extends Error {}

interface Target {
  device: string;
  parent: number;
  handle: number;
  kind: string;
  options: Uint8Array | null;
}

/** `8001:` as a number. */
function handleOf(text: string): number {
  const match = /^([0-9a-fA-F]{1,4}):?$/.exec(text);
  if (match === null) throw new Failure(`Error: argument "${text}" is wrong: invalid qdisc ID\n`);
  return (Number.parseInt(match[1] as string, 16) << 16) >>> 0;
}

function classidOf(text: string): number {
  if (text === 'root') return TC_H_ROOT;
  const match = /^([0-9a-fA-F]{1,4}):([0-9a-fA-F]{0,4})$/.exec(text);
  if (match === null) throw new Failure(`Error: argument "${text}" is wrong: invalid parent ID\n`);
  return (
    ((Number.parseInt(match[1] as string, 16) << 16) | Number.parseInt(match[2] || '0', 16)) >>> 0
  );
}

/** The words of add, change, replace and del. */
function parseTarget(words: readonly string[]): Target {
  const target: Target = { device: '', parent: 0, handle: 0, kind: '', options: null };
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const value = (): string => {
      const next = words[++i];
      if (next === undefined)
        throw new Failure('Command line is not complete. Try option "help"\n');
      return next;
    };
    if (word === 'dev') target.device = value();
    else if (word === 'root') target.parent = TC_H_ROOT;
    else if (word === 'parent') target.parent = classidOf(value());
    else if (word === 'handle') target.handle = handleOf(value());
    else {
      target.kind = word;
      const kind = Object.hasOwn(KINDS, word) ? KINDS[word] : undefined;
      const rest = words.slice(i + 1);
      if (kind !== undefined) target.options = kind.parse(rest);
      else if (rest.length > 0) {
        throw new Failure(`Unknown qdisc "${word}", hence option "${rest[0]}" is unparsable\n`);
      }
      break;
    }
  }
  return target;
}

async function indexOf(p: Process, device: string): Promise<number> {
  const found = (await getifaddrs(p.libc)).find(({ name }) => name === device);
  if (found === undefined) throw new Failure(`Cannot find device "${device}"\n`);
  return found.index;
}

async function modify(
  p: Process,
  type: number,
  flags: number,
  words: readonly string[],
): Promise<number> {
  const { device, parent, handle, kind, options } = parseTarget(words);
  const ifindex = device === '' ? 0 : await indexOf(p, device);
  const builder = new NlBuilder(type, flags).header(tcmsg.LEN, (v, o) => {
    tcmsg.setIfindex(v, o, ifindex);
    tcmsg.setParent(v, o, parent);
    tcmsg.setHandle(v, o, handle);
  });
  if (kind !== '') builder.string(TCA_KIND, kind);
  if (options !== null) builder.attr(TCA_OPTIONS, options);
  const client = new NetlinkClient(p.libc, NETLINK_ROUTE);
  try {
    await client.request(builder);
  } finally {
    client.close();
  }
  return 0;
}

/** `8001:`, `root`, `8001:3`. */
function formatClassid(id: number): string {
  if (id === TC_H_ROOT) return 'root';
  if (id === 0) return 'none';
  const major = ((id & TC_H_MAJ_MASK) >>> 16).toString(16);
  const minor = id & TC_H_MIN_MASK;
  return minor === 0
    ? `${major}:`
    : `${(id & TC_H_MAJ_MASK) === 0 ? '' : major}:${minor.toString(16)}`;
}

/** Figures of the discipline's own. */
function formatXstats(message: NlMessage, kind: string): string {
  const bytes = message.attrs(tcmsg.LEN).nested(TCA_STATS2)?.bytes(TCA_STATS_APP) ?? null;
  const print = Object.hasOwn(KINDS, kind) ? KINDS[kind]?.printStats : undefined;
  return bytes === null || print === undefined ? '' : print(bytes);
}

function formatStats(message: NlMessage): string {
  const stats = message.attrs(tcmsg.LEN).nested(TCA_STATS2);
  if (stats === null) return '';
  const { view } = stats;
  const basic = stats.at(TCA_STATS_BASIC, 12);
  const queue = stats.at(TCA_STATS_QUEUE, gnetStatsQueue.LEN);
  let text = '';
  if (basic >= 0) {
    const bytes = view.getUint32(basic, true) + view.getUint32(basic + 4, true) * 2 ** 32;
    text += ` Sent ${bytes} bytes ${view.getUint32(basic + 8, true)} pkt`;
  }
  if (queue >= 0) {
    const drops = gnetStatsQueue.drops(view, queue);
    const overlimits = gnetStatsQueue.overlimits(view, queue);
    const requeues = gnetStatsQueue.requeues(view, queue);
    const backlog = gnetStatsQueue.backlog(view, queue);
    text +=
      ` (dropped ${drops}, overlimits ${overlimits} requeues ${requeues}) \n` +
      ` backlog ${printSize(backlog)} ${gnetStatsQueue.qlen(view, queue)}p requeues ${requeues}`;
  }
  return `${text}\n`;
}

async function show(p: Process, words: readonly string[], stats: boolean): Promise<number> {
  const { device, parent } = parseTarget(words.filter((word) => word !== 'invisible'));
  const ifindex = device === '' ? 0 : await indexOf(p, device);
  const names = new Map((await getifaddrs(p.libc)).map(({ index, name }) => [index, name]));
  const client = new NetlinkClient(p.libc, NETLINK_ROUTE);
  let text = '';
  try {
    const request = new NlBuilder(RTM_GETQDISC, 0).header(tcmsg.LEN, (v, o) => {
      tcmsg.setIfindex(v, o, ifindex);
    });
    await client.dump(request, (message) => {
      const { view, payload } = message;
      const index = tcmsg.ifindex(view, payload);
      const above = tcmsg.parent(view, payload);
      if ((ifindex !== 0 && index !== ifindex) || (parent !== 0 && above !== parent)) return;
      const attrs = message.attrs(tcmsg.LEN);
      const kind = attrs.string(TCA_KIND) ?? '';
      const id = (tcmsg.handle(view, payload) >>> 16).toString(16);
      text += `qdisc ${kind} ${id}: `;
      if (ifindex === 0) text += `dev ${names.get(index) ?? `if${index}`} `;
      text += above === TC_H_ROOT ? 'root ' : above === 0 ? '' : `parent ${formatClassid(above)} `;
      const refcnt = tcmsg.info(view, payload);
      if (refcnt !== 1) text += `refcnt ${refcnt} `;
      const options = attrs.bytes(TCA_OPTIONS);
      if (options !== null && Object.hasOwn(KINDS, kind)) text += KINDS[kind]?.print(options) ?? '';
      text += '\n';
      if (stats) text += formatStats(message) + formatXstats(message, kind);
    });
  } finally {
    client.close();
  }
  p.print(text);
  return 0;
}

/** The classes of a device, of one discipline where `parent` names it. */
async function showClasses(p: Process, words: readonly string[], stats: boolean): Promise<number> {
  const { device, parent } = parseTarget(words);
  const ifindex = device === '' ? 0 : await indexOf(p, device);
  const client = new NetlinkClient(p.libc, NETLINK_ROUTE);
  let text = '';
  try {
    const request = new NlBuilder(RTM_GETTCLASS, 0).header(tcmsg.LEN, (v, o) => {
      tcmsg.setIfindex(v, o, ifindex);
      tcmsg.setParent(v, o, parent);
    });
    await client.dump(request, (message) => {
      const { view, payload } = message;
      const kind = message.attrs(tcmsg.LEN).string(TCA_KIND) ?? '';
      text +=
        `class ${kind} ${formatClassid(tcmsg.handle(view, payload))}` +
        ` parent ${formatClassid(tcmsg.parent(view, payload))} `;
      const leaf = tcmsg.info(view, payload);
      if (leaf !== 0) text += `leaf ${(leaf >>> 16).toString(16)}: `;
      text += '\n';
      if (stats) {
        const own = formatXstats(message, kind);
        text += formatStats(message) + own;
      }
    });
  } finally {
    client.close();
  }
  p.print(text);
  return 0;
}

async function tclass(p: Process, words: readonly string[], stats: boolean): Promise<number> {
  const [command = 'show', ...rest] = words;
  if (['show', 'list'].some((name) => name.startsWith(command))) return showClasses(p, rest, stats);
  throw new Failure(`Command "${command}" is unknown, try "tc class help".\n`);
}

async function qdisc(p: Process, words: readonly string[], stats: boolean): Promise<number> {
  const [command = 'show', ...rest] = words;
  const begins = (...names: string[]): boolean => names.some((name) => name.startsWith(command));
  if (begins('show', 'list')) return show(p, rest, stats);
  if (begins('add')) return modify(p, RTM_NEWQDISC, NLM_F_EXCL | NLM_F_CREATE, rest);
  if (begins('change')) return modify(p, RTM_NEWQDISC, 0, rest);
  if (begins('replace')) return modify(p, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, rest);
  if (begins('delete')) return modify(p, RTM_DELQDISC, 0, rest);
  if (begins('help')) {
    p.warn(USAGE);
    return 0;
  }
  throw new Failure(`Command "${command}" is unknown, try "tc qdisc help".\n`);
}

export const main: Main = async (p) => {
  let stats = false;
  let [word, ...rest] = p.args;
  while (word?.startsWith('-')) {
    if (!/^-(?:s|stats|statistics)$/.test(word)) {
      p.warn(`Option "${word}" is unknown, try "tc -help".\n`);
      return 255;
    }
    stats = true;
    [word, ...rest] = rest;
  }
  try {
    if (word !== undefined && word !== '' && 'qdisc'.startsWith(word))
      return await qdisc(p, rest, stats);
    if (word !== undefined && word !== '' && 'class'.startsWith(word))
      return await tclass(p, rest, stats);
    if (word === undefined || word === 'help') {
      p.warn(USAGE);
      return 0;
    }
    p.warn(`Object "${word}" is unknown, try "tc help".\n`);
    return 1;
  } catch (error) {
    if (error instanceof OptionError) {
      p.warn(`${error.message}\n`);
      return 1;
    }
    if (error instanceof Failure) {
      p.warn(error.message);
      return 1;
    }
    if (!(error instanceof NetlinkError)) throw error;
    const said = error.extack === '' ? '' : `Error: ${error.extack}.\n`;
    p.warn(said === '' ? `RTNETLINK answers: ${strerror(error.errno ?? EINVAL)}\n` : said);
    return 2;
  }
};
