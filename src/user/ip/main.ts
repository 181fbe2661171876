/*
 * `ip`: options, objects, commands, batches. Counterpart of iproute2's ip/ip.c.
 */
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '#uapi/netlink.ts';
import {
  RTM_DELADDR,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_NEWADDR,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
} from '#uapi/rtnetlink.ts';
import { AF_BRIDGE, AF_INET, AF_INET6, AF_MPLS, AF_PACKET } from '#uapi/socket.ts';
import { flushAddresses, showAddresses } from '#user/ip/addr.ts';
import { changeAddress } from '#user/ip/addr_change.ts';
import { Words } from '#user/ip/args.ts';
import { Context, DEFAULT_OPTIONS, Failure, type Options } from '#user/ip/context.ts';
import { addLink, changeProperty, deleteLink, setLink } from '#user/ip/link_change.ts';
import { abbreviates } from '#user/ip/names.ts';
import { changeNeighbour, flushNeighbours, getNeighbour, showNeighbours } from '#user/ip/neigh.ts';
import { doNetns, enterNetns } from '#user/ip/netns.ts';
import { flushRoutes, getRoute, showRoutes } from '#user/ip/route.ts';
import { changeRoute, routeUsage } from '#user/ip/route_change.ts';
import {
  deleteTcpMetrics,
  flushTcpMetrics,
  showTcpMetrics,
  TCP_METRICS_USAGE,
} from '#user/ip/tcp_metrics.ts';
import { reasonOf } from '#user/lib/errors.ts';
import { readText } from '#user/lib/files.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { decodeText, readAll } from '#user/lib/streams.ts';

const VERSION = 'ip utility, softnet, after iproute2-6.1.0\n';

const USAGE =
  'Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }\n' +
  '       ip [ -force ] -batch filename\n' +
  'where  OBJECT := { address | help | link | neighbor | neighbour | netns | route |\n' +
  '                   tcp_metrics }\n' +
  '       OPTIONS := { -V[ersion] | -s[tatistics] | -d[etails] | -r[esolve] |\n' +
  '                    -h[uman-readable] | -iec | -j[son] | -p[retty] |\n' +
  '                    -f[amily] { inet | inet6 | mpls | bridge | link } |\n' +
  '                    -4 | -6 | -M | -B | -0 |\n' +
  '                    -br[ief] | -o[neline] | -t[imestamp] | -ts[hort] |\n' +
  '                    -b[atch] [filename] | -n[etns] name | -N[umeric] | -a[ll] |\n' +
  '                    -c[olor]}\n';

const ADDRESS_USAGE =
  'Usage: ip address {add|change|replace} IFADDR dev IFNAME [ LIFETIME ]\n' +
  '                                                      [ CONFFLAG-LIST ]\n' +
  '       ip address del IFADDR dev IFNAME\n' +
  '       ip address {flush|show} [ dev IFNAME ] [ scope SCOPE-ID ] [ to PREFIX ]\n' +
  '                            [ FLAG-LIST ] [ label LABEL ] [up]\n' +
  'IFADDR := PREFIX | ADDR peer PREFIX\n' +
  '          [ broadcast ADDR ] [ anycast ADDR ]\n' +
  '          [ label IFNAME ] [ scope SCOPE-ID ] [ metric METRIC ]\n';

const LINK_USAGE =
  'Usage: ip link add [link DEV | parentdev NAME] [ name ] NAME\n' +
  '\t\t    [ txqueuelen PACKETS ] [ address LLADDR ] [ broadcast LLADDR ]\n' +
  '\t\t    [ mtu MTU ] [index IDX ] [ numtxqueues QUEUE_COUNT ]\n' +
  '\t\t    [ numrxqueues QUEUE_COUNT ] type TYPE [ ARGS ]\n' +
  '\tip link delete { DEVICE | dev DEVICE } type TYPE [ ARGS ]\n' +
  '\tip link set { DEVICE | dev DEVICE } { up | down } [ arp { on | off } ]\n' +
  '\t\t[ dynamic { on | off } ] [ multicast { on | off } ] [ promisc { on | off } ]\n' +
  '\t\t[ txqueuelen PACKETS ] [ name NEWNAME ] [ address LLADDR ] [ mtu MTU ]\n' +
  '\t\t[ netns { PID | NAME } ] [ alias NAME ] [ master DEVICE ] [ nomaster ]\n' +
  '\tip link show [ DEVICE | group GROUP ] [up] [master DEV] [type TYPE] [nomaster]\n' +
  '\tip link property add dev DEVICE [ altname NAME .. ]\n' +
  'TYPE := { dummy | ifb | veth | ... }\n';

const NEIGHBOUR_USAGE =
  'Usage: ip neigh { add | del | change | replace }\n' +
  '                { ADDR [ lladdr LLADDR ] [ nud STATE ] proxy ADDR }\n' +
  '                [ dev DEV ] [ router ] [ use ] [ managed ] [ extern_learn ]\n' +
  '                [ protocol PROTO ]\n' +
  '       ip neigh { show | flush } [ proxy ] [ to PREFIX ] [ dev DEV ] [ nud STATE ]\n' +
  '       ip neigh get { ADDR | proxy ADDR } dev DEV\n';

type Command = (context: Context, words: Words) => Promise<void>;

/** A command and its name; their order is that in which abbreviations are tried. */
type Named = readonly [name: string, command: Command];

const CREATE_NEW = NLM_F_CREATE | NLM_F_EXCL;
const CREATE_OR_REPLACE = NLM_F_CREATE | NLM_F_REPLACE;

const address =
  (type: number, flags: number): Command =>
  (context, words) =>
    changeAddress(context, words, type, flags);

const route =
  (type: number, flags: number): Command =>
  (context, words) =>
    changeRoute(context, words, type, flags);

const neighbour =
  (type: number, flags: number): Command =>
  (context, words) =>
    changeNeighbour(context, words, type, flags);

const usage =
  (text: string): Command =>
  (context) => {
    throw context.fail(text);
  };

const showAddress: Command = (context, words) => showAddresses(context, words, false);
const showLink: Command = (context, words) => showAddresses(context, words, true);

const ADDRESS_COMMANDS: readonly Named[] = [
  ['add', address(RTM_NEWADDR, CREATE_NEW)],
  ['change', address(RTM_NEWADDR, NLM_F_REPLACE)],
  ['chg', address(RTM_NEWADDR, NLM_F_REPLACE)],
  ['replace', address(RTM_NEWADDR, CREATE_OR_REPLACE)],
  ['delete', address(RTM_DELADDR, 0)],
  ['list', showAddress],
  ['show', showAddress],
  ['lst', showAddress],
  ['flush', flushAddresses],
  ['help', usage(ADDRESS_USAGE)],
];

const LINK_COMMANDS: readonly Named[] = [
  ['add', addLink],
  ['set', setLink],
  ['change', setLink],
  ['delete', deleteLink],
  ['show', showLink],
  ['lst', showLink],
  ['list', showLink],
  ['property', changeProperty],
  ['help', usage(LINK_USAGE)],
];

const ROUTE_COMMANDS: readonly Named[] = [
  ['list', showRoutes],
  ['show', showRoutes],
  ['lst', showRoutes],
  ['get', getRoute],
  ['add', route(RTM_NEWROUTE, CREATE_NEW)],
  ['change', route(RTM_NEWROUTE, NLM_F_REPLACE)],
  ['chg', route(RTM_NEWROUTE, NLM_F_REPLACE)],
  ['replace', route(RTM_NEWROUTE, CREATE_OR_REPLACE)],
  ['prepend', route(RTM_NEWROUTE, NLM_F_CREATE)],
  ['append', route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND)],
  ['test', route(RTM_NEWROUTE, NLM_F_EXCL)],
  ['delete', route(RTM_DELROUTE, 0)],
  ['flush', flushRoutes],
  [
    'help',
    (context) => {
      throw routeUsage(context);
    },
  ],
];

const NEIGHBOUR_COMMANDS: readonly Named[] = [
  ['add', neighbour(RTM_NEWNEIGH, CREATE_NEW)],
  ['change', neighbour(RTM_NEWNEIGH, NLM_F_REPLACE)],
  ['chg', neighbour(RTM_NEWNEIGH, NLM_F_REPLACE)],
  ['replace', neighbour(RTM_NEWNEIGH, CREATE_OR_REPLACE)],
  ['delete', neighbour(RTM_DELNEIGH, 0)],
  ['get', getNeighbour],
  ['show', showNeighbours],
  ['lst', showNeighbours],
  ['list', showNeighbours],
  ['flush', flushNeighbours],
  ['help', usage(NEIGHBOUR_USAGE)],
];

const TCP_METRICS_COMMANDS: readonly Named[] = [
  ['show', showTcpMetrics],
  ['list', showTcpMetrics],
  ['lst', showTcpMetrics],
  ['flush', flushTcpMetrics],
  ['delete', deleteTcpMetrics],
  ['help', usage(TCP_METRICS_USAGE)],
];

/** Runs one command of an object; without a word it is `show`. */
async function dispatch(
  context: Context,
  words: Words,
  object: string,
  commands: readonly Named[],
  fallback: Command,
): Promise<number> {
  if (words.done) {
    await fallback(context, words);
    return 0;
  }
  const found = commands.find(([name]) => words.abbreviates(name));
  if (found === undefined) {
    throw context.fail(`Command "${words.word}" is unknown, try "ip ${object} help".\n`);
  }
  words.advance();
  await found[1](context, words);
  return 0;
}

type ObjectRunner = (context: Context, words: Words) => Promise<number>;

/** Objects in the order in which abbreviations are tried. */
const OBJECTS: readonly (readonly [name: string, run: ObjectRunner])[] = [
  ['address', (c, w) => dispatch(c, w, 'address', ADDRESS_COMMANDS, showAddress)],
  ['route', (c, w) => dispatch(c, w, 'route', ROUTE_COMMANDS, showRoutes)],
  ['neighbor', (c, w) => dispatch(c, w, 'neigh', NEIGHBOUR_COMMANDS, showNeighbours)],
  ['neighbour', (c, w) => dispatch(c, w, 'neigh', NEIGHBOUR_COMMANDS, showNeighbours)],
  ['link', (c, w) => dispatch(c, w, 'link', LINK_COMMANDS, showLink)],
  ['tcp_metrics', (c, w) => dispatch(c, w, 'tcp_metrics', TCP_METRICS_COMMANDS, showTcpMetrics)],
  ['tcpmetrics', (c, w) => dispatch(c, w, 'tcp_metrics', TCP_METRICS_COMMANDS, showTcpMetrics)],
  ['netns', doNetns],
  [
    'help',
    (context) => {
      throw context.fail(USAGE);
    },
  ],
];

/** Runs one command; its status. */
async function runCommand(p: Process, options: Options, args: readonly string[]): Promise<number> {
  const context = new Context(p, options);
  try {
    const object = args[0] ?? '';
    const found = OBJECTS.find(([name]) => abbreviates(object, name));
    if (found === undefined) {
      throw context.fail(`Object "${object}" is unknown, try "ip help".\n`, 1);
    }
    return await found[1](context, new Words(context, args.slice(1)));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // What was found before the failure is shown, as a stream would have done.
    if (context.out.json === null) await context.flush();
    return error.status;
  } finally {
    context.close();
  }
}

/** The words of a line: quotes keep blanks, `#` ends it. */
function splitLine(line: string): string[] {
  const words: string[] = [];
  for (const match of line.matchAll(/"([^"]*)"|'([^']*)'|(#)|([^\s"']+)/g)) {
    const [, double, single, comment, bare] = match;
    if (comment !== undefined) break;
    const hash = bare?.indexOf('#') ?? -1;
    words.push(double ?? single ?? (hash < 0 ? (bare as string) : (bare as string).slice(0, hash)));
    if (hash >= 0) break;
  }
  return words;
}

async function runBatch(p: Process, options: Options, file: string): Promise<number> {
  let text: string;
  try {
    text = file === '-' ? decodeText(await readAll(p.stdin)) : await readText(p.libc, file);
  } catch (error) {
    p.warn(`Cannot open file "${file}" for reading: ${reasonOf(error)}\n`);
    return 1;
  }
  let status = 0;
  let joined = '';
  for (const [i, line] of text.split('\n').entries()) {
    // A backslash at its end joins a line with the next.
    if (line.endsWith('\\')) {
      joined += `${line.slice(0, -1)} `;
      continue;
    }
    const words = splitLine(joined + line);
    joined = '';
    if (words.length === 0) continue;
    const result = await runCommand(p, { ...options }, words);
    if (result === 0) continue;
    p.warn(`Command failed ${file}:${i + 1}\n`);
    status = 1;
    // A word that cannot be understood ends a batch in any case.
    if (result === 255) return 255;
    if (!options.force) break;
  }
  return status;
}

const FAMILIES: Readonly<Record<string, number>> = {
  inet: AF_INET,
  inet6: AF_INET6,
  link: AF_PACKET,
  mpls: AF_MPLS,
  bridge: AF_BRIDGE,
};

/** Options without an argument, in the order in which abbreviations are tried. */
const SWITCHES: readonly (readonly [name: string, set: (options: Options) => Partial<Options>])[] =
  [
    ['-4', () => ({ family: AF_INET })],
    ['-6', () => ({ family: AF_INET6 })],
    ['-0', () => ({ family: AF_PACKET })],
    ['-M', () => ({ family: AF_MPLS })],
    ['-B', () => ({ family: AF_BRIDGE })],
    ['-human', () => ({ human: true })],
    ['-human-readable', () => ({ human: true })],
    ['-iec', () => ({ iec: true })],
    ['-stats', (options) => ({ stats: options.stats + 1 })],
    ['-statistics', (options) => ({ stats: options.stats + 1 })],
    ['-details', (options) => ({ details: options.details + 1 })],
    ['-resolve', () => ({ resolve: true })],
    ['-oneline', () => ({ oneline: true })],
    ['-timestamp', (options) => ({ timestamp: options.timestamp + 1 })],
    ['-tshort', (options) => ({ timestamp: options.timestamp + 2 })],
    ['-force', () => ({ force: true })],
    ['-brief', () => ({ brief: true })],
    ['-json', () => ({ json: true })],
    ['-pretty', () => ({ pretty: true })],
    ['-Numeric', () => ({ numeric: true })],
    ['-all', () => ({ all: true })],
  ];

interface Invocation {
  readonly options: Options;
  readonly args: readonly string[];
  readonly batch: string | null;
}

/** Reads what stands before the object; an exit status when that is all there is to do. */
function readOptions(p: Process): Invocation | number {
  const options = { ...DEFAULT_OPTIONS };
  let batch: string | null = null;
  const { args } = p;
  const context = new Context(p, options);
  let i = 0;
  const argument = (): string => {
    i++;
    const value = args[i];
    if (value === undefined) throw context.fail(USAGE);
    return value;
  };
  for (; i < args.length && (args[i] as string).startsWith('-'); i++) {
    const word = args[i] as string;
    if (word === '--') {
      i++;
      break;
    }
    const option = word.startsWith('--') ? word.slice(1) : word;
    const known = SWITCHES.find(([name]) => option.length > 1 && abbreviates(option, name));
    if (abbreviates(option, '-loops')) argument();
    else if (abbreviates(option, '-family')) {
      const name = argument();
      if (name === 'help') throw context.fail(USAGE);
      const family = Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined;
      if (family === undefined) throw context.wrong('invalid protocol family', name);
      options.family = family;
    } else if (abbreviates(option, '-Version')) {
      p.print(VERSION);
      return 0;
    } else if (abbreviates(option, '-batch')) batch = argument();
    else if (known !== undefined) Object.assign(options, known[1](options));
    else if (abbreviates(option, '-rcvbuf')) argument();
    else if (/^-c(olor)?(=\w+)?$/.test(option)) continue;
    else if (abbreviates(option, '-help')) throw context.fail(USAGE);
    else if (abbreviates(option, '-netns')) enterNetns(context, argument(), p.sys);
    else throw context.fail(`Option "${option}" is unknown, try "ip -help".\n`);
  }
  return { options, args: args.slice(i), batch };
}

export const main: Main = async (p) => {
  try {
    const invocation = readOptions(p);
    if (typeof invocation === 'number') return invocation;
    const { options, args, batch } = invocation;
    if (batch !== null) return await runBatch(p, options, batch);
    if (args.length === 0) {
      p.warn(USAGE);
      return 255;
    }
    return await runCommand(p, options, args);
  } catch (error) {
    if (error instanceof Failure) return error.status;
    throw error;
  }
};
