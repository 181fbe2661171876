/*
 * `traceroute`: shows the routers on the way to a machine. Counterpart of the traceroute of Linux
 * distributions (traceroute.sourceforge.net).
 */
import { inNtop4, inPton4 } from '#lib/parse_addr.ts';
import { EMSGSIZE, strerror } from '#uapi/errno.ts';
import { POLLERR, POLLIN } from '#uapi/poll.ts';
import { Killed } from '#user/lib/errors.ts';
import { getopt } from '#user/lib/getopt.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { lookup } from '#user/lib/resolve.ts';
import { type Finding, Probe, type ProbeOptions } from '#user/traceroute/probe.ts';

interface Options {
  host: string;
  icmp: boolean;
  numeric: boolean;
  dontFragment: boolean;
  firstHop: number;
  maxHops: number;
  queries: number;
  /** Probes on the way at one time. */
  simultaneous: number;
  /** Seconds to wait for an answer. */
  wait: number;
  port: number;
  size: number;
  source: number;
}

/** The first port that probes are sent to; each goes to one higher. */
const FIRST_PORT = 33434;
const DEFAULT_SIZE = 60;
/** How many times longer than an answer of the same hop, and of a later one, a probe may take. */
const HERE = 3;
const NEAR = 10;

class UsageError extends Error {}

/** What was asked for is help. */
class Help extends Error {}

const USAGE =
  'Usage:\n' +
  '  traceroute [ -FIn ] [ -f first_ttl ] [ -m max_ttl ] [ -N squeries ] [ -p port ] [ -s src_addr ] [ -q nqueries ] [ -w waittime ] host [ packetlen ]\n';

function integer(text: string, letter: string, min: number, max: number): number {
  if (!/^\d+$/.test(text)) {
    throw new UsageError(`Cannot handle \`-${letter}' option with arg \`${text}' (argc 2)\n`);
  }
  const value = Number(text);
  if (value >= min && value <= max) return value;
  const problems: Readonly<Record<string, string>> = {
    f: 'first hop out of range',
    m: 'max hops cannot be more than 255',
    q: 'no more than 10 probes per hop',
    N: 'no more than 255 probes at once',
  };
  throw new UsageError(`${problems[letter] ?? `bad value of -${letter}: ${text}`}\n`);
}

function readOptions(p: Process): Options {
  const options: Options = {
    host: '',
    icmp: false,
    numeric: false,
    dontFragment: false,
    firstHop: 1,
    maxHops: 30,
    queries: 3,
    simultaneous: 16,
    wait: 5,
    port: FIRST_PORT,
    size: DEFAULT_SIZE,
    source: 0,
  };
  const {
    options: given,
    words,
    error,
  } = getopt(p.args, '4FIUnf:m:N:p:q:s:w:', {
    icmp: 'I',
    udp: 'U',
    'dont-fragment': 'F',
    'first-hop': 'f',
    'max-hops': 'm',
    queries: 'q',
    port: 'p',
    wait: 'w',
  });
  if (error !== null) throw new UsageError(`${error}\n${USAGE}`);
  const setters: Readonly<Record<string, (value: string) => Partial<Options>>> = {
    F: () => ({ dontFragment: true }),
    I: () => ({ icmp: true }),
    n: () => ({ numeric: true }),
    f: (value) => ({ firstHop: integer(value, 'f', 1, 255) }),
    m: (value) => ({ maxHops: integer(value, 'm', 1, 255) }),
    N: (value) => ({ simultaneous: integer(value, 'N', 1, 255) }),
    p: (value) => ({ port: integer(value, 'p', 1, 65535) }),
    q: (value) => ({ queries: integer(value, 'q', 1, 10) }),
    s: (value) => ({ source: sourceOf(value) }),
    w: (value) => ({ wait: waitOf(value) }),
  };
  for (const { letter, value } of given) Object.assign(options, setters[letter]?.(value) ?? {});
  const [host, size] = words;
  if (host === undefined) {
    throw new Help(USAGE);
  }
  options.host = host;
  if (size !== undefined) options.size = integer(size, 'packetlen', 28, 65000);
  if (options.firstHop > options.maxHops) throw new UsageError('first hop out of range\n');
  return options;
}

function sourceOf(text: string): number {
  const addr = inPton4(text);
  if (addr === null)
    throw new UsageError(`Cannot handle \`-s' option with arg \`${text}' (argc 2)\n`);
  return addr;
}

function waitOf(text: string): number {
  // The real one takes three numbers; the first is how long at most.
  const value = Number(text.split(',')[0]);
  if (!(value > 0)) throw new UsageError(`bad wait specifications \`${text}' used\n`);
  return value;
}

/** A probe's place in the order of printing. */
interface Place {
  readonly ttl: number;
  probe: Probe | null;
  finding: Finding | null;
  over: boolean;
}

class Trace {
  private readonly p: Process;
  private readonly options: Options;
  private readonly to: number;
  private readonly places: Place[];
  /** Places that were printed. */
  private printed: number;
  /** The address that stands last on the present line. */
  private lastShown: number;
  private finalTtl: number;

  constructor(p: Process, options: Options, to: number) {
    this.p = p;
    this.options = options;
    this.to = to;
    this.places = [];
    for (let ttl = options.firstHop; ttl <= options.maxHops; ttl++) {
      for (let i = 0; i < options.queries; i++) {
        this.places.push({ ttl, probe: null, finding: null, over: false });
      }
    }
    this.printed = 0;
    this.lastShown = -1;
    this.finalTtl = options.maxHops;
  }

  async run(): Promise<void> {
    try {
      for (;;) {
        this.sendMore();
        this.lookAround();
        this.print();
        if (this.finished()) return;
        await this.wait();
      }
    } finally {
      for (const { probe } of this.places) probe?.close();
    }
  }

  private finished(): boolean {
    const next = this.places[this.printed];
    return next === undefined || next.ttl > this.finalTtl;
  }

  private sendMore(): void {
    let flying = this.places.filter(({ probe, over }) => probe !== null && !over).length;
    for (const [i, place] of this.places.entries()) {
      if (flying >= this.options.simultaneous) return;
      if (place.probe !== null || place.over || place.ttl > this.finalTtl) continue;
      this.send(place, i);
      flying++;
    }
  }

  private send(place: Place, index: number): void {
    const { options, to } = this;
    const probeOptions: ProbeOptions = {
      to,
      icmp: options.icmp,
      size: options.size,
      dontFragment: options.dontFragment,
      port: (options.port + index) & 0xffff,
      source: options.source,
    };
    const probe = Probe.open(this.p.libc, probeOptions, place.ttl, index + 1);
    place.probe = probe;
    const result = probe.send();
    // A message that is too long is told by the error queue.
    if (result >= 0 || result === -EMSGSIZE) return;
    throw new UsageError(`\nconnect: ${strerror(result)}\n`);
  }

  private lookAround(): void {
    const now = this.p.sys.monotonic();
    for (const place of this.places) {
      if (place.probe === null || place.over) continue;
      place.finding = place.probe.look();
      if (place.finding !== null) {
        place.over = true;
        if (place.finding.final) this.finalTtl = Math.min(this.finalTtl, place.ttl);
      } else if (now - place.probe.sentNs >= this.patience(place.ttl)) place.over = true;
    }
  }

  /** Nanoseconds to wait for a probe: less where the same hop, or one behind it, has answered. */
  private patience(ttl: number): number {
    const longest = this.options.wait * 1e9;
    const answers = this.places.flatMap((place) =>
      place.finding === null ? [] : [{ ttl: place.ttl, rtt: place.finding.rtt }],
    );
    const here = answers.filter((answer) => answer.ttl === ttl);
    if (here.length > 0) return Math.min(longest, HERE * Math.max(...here.map(({ rtt }) => rtt)));
    const near = answers.find((answer) => answer.ttl > ttl);
    return near === undefined ? longest : Math.min(longest, NEAR * near.rtt);
  }

  /** Prints what is known without gaps. */
  private print(): void {
    const { queries } = this.options;
    for (;;) {
      const place = this.places[this.printed];
      if (place === undefined || !place.over || place.ttl > this.finalTtl) return;
      const first = this.printed % queries === 0;
      if (first) {
        this.p.print(`\n${String(place.ttl).padStart(2)} `);
        this.lastShown = -1;
      }
      this.printOne(place);
      this.printed++;
    }
  }

  private printOne({ finding }: Place): void {
    if (finding === null) {
      this.p.print(' *');
      return;
    }
    if (finding.from !== this.lastShown) {
      this.p.print(` ${this.nameOf(finding.from)}`);
      this.lastShown = finding.from;
    }
    this.p.print(`  ${(finding.rtt / 1e6).toFixed(3)} ms`);
    if (finding.mark !== '') this.p.print(` ${finding.mark}`);
  }

  private nameOf(addr: number): string {
    const text = inNtop4(addr);
    if (this.options.numeric) return text;
    const known = Object.entries(this.p.hosts).find(([, address]) => address === text);
    return `${known === undefined ? text : known[0]} (${text})`;
  }

  /** Until something comes back or the oldest probe is given up. */
  private async wait(): Promise<void> {
    const flying = this.places.flatMap(({ probe, over }) =>
      probe === null || over ? [] : [probe],
    );
    if (flying.length === 0) return;
    const end = Math.min(...flying.map(({ sentNs, ttl }) => sentNs + this.patience(ttl)));
    const leftNs = end - this.p.sys.monotonic();
    await this.p.libc.poll(
      flying.map(({ fd }) => ({ fd, events: POLLIN | POLLERR, revents: 0 })),
      Math.max(0, leftNs / 1e6),
    );
  }
}

export const main: Main = async (p) => {
  try {
    const options = readOptions(p);
    const to = lookup(p, options.host);
    if (to === null) {
      throw new UsageError(
        `${options.host}: Name or service not known\n` +
          `Cannot handle "host" cmdline arg \`${options.host}' on position 1 (argc 1)\n`,
      );
    }
    const { host, maxHops, size } = options;
    p.print(`traceroute to ${host} (${inNtop4(to)}), ${maxHops} hops max, ${size} byte packets`);
    await new Trace(p, options, to).run();
    p.print('\n');
    return 0;
  } catch (error) {
    if (error instanceof Help) {
      p.print(error.message);
      return 0;
    }
    if (error instanceof Killed || !(error instanceof UsageError)) throw error;
    p.warn(error.message);
    return error.message.startsWith('\nconnect:') ? 1 : 2;
  }
};
