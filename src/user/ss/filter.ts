/*
 * The filters of ss: `sport = :22 and ( dst 10.0.0.0/8 or not dev eth0 )`. Counterpart of iproute2's
 * misc/ssfilter.y.
 */
import { inPton4, inPton6 } from '#lib/parse_addr.ts';
import { latin1Decode } from '#lib/utf8.ts';
import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX } from '#uapi/socket.ts';
import { servicePort } from '#user/lib/services.ts';
import { ethertype, netlinkProtocol } from '#user/ss/names.ts';
import type { Endpoint, SocketRecord } from '#user/ss/record.ts';

/**
 * What conditions are about. Of a Unix socket the octets are its name (none: it has none) and the port its inode;
 * of a packet or netlink socket they are the number of the protocol, and the port is the interface or the port id.
 */
export type Subject = Pick<SocketRecord, 'local' | 'peer' | 'device'>;

export type Predicate = (subject: Subject) => boolean;

/** A condition, and the one family that its addresses belong to (null: any). */
export interface Filter {
  readonly matches: Predicate;
  readonly family: number | null;
}

export class FilterError extends Error {
  readonly status: number;

  constructor(text: string, status: number) {
    super(text);
    this.name = 'FilterError';
    this.status = status;
  }
}

type Comparison = (a: number, b: number) => boolean;

const equal: Comparison = (a, b) => a === b;
const unequal: Comparison = (a, b) => a !== b;
const less: Comparison = (a, b) => a < b;
const greater: Comparison = (a, b) => a > b;
const atMost: Comparison = (a, b) => a <= b;
const atLeast: Comparison = (a, b) => a >= b;

const OPERATORS: Readonly<Record<string, Comparison>> = {
  '=': equal,
  '==': equal,
  eq: equal,
  '!=': unequal,
  ne: unequal,
  neq: unequal,
  '<': less,
  lt: less,
  '>': greater,
  gt: greater,
  '<=': atMost,
  le: atMost,
  leq: atMost,
  '>=': atLeast,
  ge: atLeast,
  geq: atLeast,
};

const isInet = (family: number): boolean => family === AF_INET || family === AF_INET6;

const isOperator = (word: string | undefined): boolean =>
  word !== undefined && Object.hasOwn(OPERATORS, word);

function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const left = bits - bit;
    const mask = left >= 8 ? 0xff : (0xff00 >> left) & 0xff;
    const i = bit >> 3;
    if (((a[i] ?? 0) & mask) !== ((b[i] ?? 0) & mask)) return false;
  }
  return true;
}

/** An address, a prefix, a port, or an address and a port. */
interface HostCondition {
  readonly bytes: Uint8Array | null;
  readonly bits: number;
  readonly port: number | null;
  /** For names of Unix sockets. */
  readonly pattern: RegExp | null;
}

/** Matches a whole name against a pattern of the shell's; case does not count, and `*` passes over slashes too. */
function globOf(pattern: string): RegExp {
  const source = pattern.replace(
    /\\([\s\S])|\*|\?|\[([!^]?)(\]?[^\]]*)\]|[\s\S]/g,
    (text: string, quoted?: string, negation?: string, set?: string) => {
      if (quoted !== undefined) return quoted.replace(/\W/g, '\\$&');
      if (text === '*') return '[\\s\\S]*';
      if (text === '?') return '[\\s\\S]';
      if (set === undefined) return text.replace(/\W/g, '\\$&');
      // A range that runs backwards has nothing in it.
      const known = set.replace(/([\s\S])-([\s\S])/g, (range: string, from: string, to: string) =>
        from <= to ? range : '',
      );
      return `[${negation === '' ? '' : '^'}${known.replace(/[\\\]^[]/g, '\\$&')}]`;
    },
  );
  return new RegExp(`^${source}$`, 'i');
}

/** Families whose addresses may be marked, by their marks. */
const MARKS: readonly (readonly [mark: string, family: number])[] = [
  ['unix:', AF_UNIX],
  ['link:', AF_PACKET],
  ['netlink:', AF_NETLINK],
];

const unparsable = (): FilterError => new FilterError('Cannot parse dst/src address.\n', 1);

/** `protocol:port` of a packet or netlink socket, either `*`. @param indexOf the number of a port by its name, null: none */
function protocolAndPort(
  text: string,
  protocols: (name: string) => number | null,
  indexOf: (name: string) => number | null,
): HostCondition {
  const colon = text.indexOf(':');
  const host = colon < 0 ? text : text.slice(0, colon);
  const end = colon < 0 ? '' : text.slice(colon + 1);
  let port: number | null = null;
  if (end !== '' && end !== '*') {
    port = integerOf(end) ?? indexOf(end);
    if (port === null) throw unparsable();
  }
  if (host === '' || host === '*') return { bytes: null, bits: 0, port, pattern: null };
  const protocol = protocols(host);
  if (protocol === null) throw unparsable();
  return { bytes: numberBytes(protocol), bits: 32, port, pattern: null };
}

function integerOf(text: string): number | null {
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : null;
}

/** A number as the address of a socket that has a protocol for one. */
export function numberBytes(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

function portOf(text: string): number | null {
  if (text === '' || text === '*') return null;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65535) return Number(text);
  const port = servicePort(text);
  if (port === null) throw new FilterError(`Error: "${text}" does not look like a port.\n`, 1);
  return port;
}

function hostOf(text: string): HostCondition {
  const bad = (): FilterError =>
    new FilterError(
      `Error: an inet prefix is expected rather than "${text}".\nCannot parse dst/src address.\n`,
      1,
    );
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  const plain = /^([^:]*)(?::([^:]*))?$/.exec(text);
  const isIpv6 = bracketed === null && plain === null;
  const [, host = text, port = ''] = bracketed ?? (isIpv6 ? [text, text] : (plain ?? []));
  if (host === '' || host === '*')
    return { bytes: null, bits: 0, port: portOf(port), pattern: null };
  const [address = '', length] = host.split('/');
  const v4 = inPton4(address);
  const bytes = v4 === null ? inPton6(address) : Uint8Array.of(v4 >>> 24, v4 >>> 16, v4 >>> 8, v4);
  if (bytes === null) throw bad();
  const width = bytes.length * 8;
  if (length !== undefined && (!/^\d{1,3}$/.test(length) || Number(length) > width)) throw bad();
  const bits = length === undefined ? width : Number(length);
  return { bytes, bits, port: portOf(port), pattern: null };
}

function matchesHost(end: Endpoint, { bytes, bits, port, pattern }: HostCondition): boolean {
  if (pattern !== null) {
    return end.family === AF_UNIX && pattern.test(latin1Decode(end.bytes).replaceAll('\0', '@'));
  }
  if (port !== null && end.port !== port) return false;
  if (bytes === null) return true;
  // A name is not compared with an address; where there is none, 0.0.0.0 is it.
  if (end.family === AF_UNIX && end.bytes.length > 0) return false;
  return (bytes.length === 16) === (end.family === AF_INET6) && samePrefix(bytes, end.bytes, bits);
}

class Parser {
  private readonly words: readonly string[];
  private readonly interfaces: ReadonlyMap<number, string>;
  private at: number;
  /** The family that addresses are of; null: the Internet's. */
  private family: number | null;
  /** The family that an address has settled on. */
  only: number | null;

  constructor(
    words: readonly string[],
    family: number | null,
    interfaces: ReadonlyMap<number, string>,
  ) {
    this.words = words;
    this.interfaces = interfaces;
    this.at = 0;
    this.family = family;
    this.only = null;
  }

  parse(): Predicate {
    const predicate = this.or();
    if (this.at < this.words.length) throw this.syntax();
    return predicate;
  }

  private syntax(): FilterError {
    return new FilterError(
      'ss: bison bellows (while parsing filter): "syntax error!" Sorry.\n',
      255,
    );
  }

  private or(): Predicate {
    let left = this.and();
    while (this.takes('or', '|', '||')) {
      const a = left;
      const b = this.and();
      left = (record) => a(record) || b(record);
    }
    return left;
  }

  private and(): Predicate {
    let left = this.not();
    for (;;) {
      const joined = this.takes('and', '&', '&&');
      const next = this.words[this.at];
      // Conditions side by side must all hold.
      if (!joined && (next === undefined || [')', 'or', '|', '||'].includes(next))) return left;
      const a = left;
      const b = this.not();
      left = (record) => a(record) && b(record);
    }
  }

  private not(): Predicate {
    if (this.takes('not', '!')) {
      const inner = this.not();
      return (record) => !inner(record);
    }
    if (this.takes('(')) {
      const inner = this.or();
      if (!this.takes(')')) throw this.syntax();
      return inner;
    }
    return this.condition();
  }

  private condition(): Predicate {
    const word = this.words[this.at++];
    if (word === undefined) throw this.syntax();
    if (word === 'sport' || word === 'dport') return this.portCondition(word === 'sport');
    if (word === 'src' || word === 'dst') return this.hostCondition(word === 'src');
    if (word === 'dev') {
      const negated = this.equality();
      const name = this.value();
      return (record) => (record.device === name) !== negated;
    }
    // A bare address is that of the other end.
    if (this.family !== null && !isInet(this.family)) throw this.syntax();
    const host = hostOf(word);
    return (record) => matchesHost(record.peer, host);
  }

  /** An address, of the family that was named or that it is marked with. */
  private host(word: string): HostCondition {
    const mark = MARKS.find(([text]) => word.startsWith(text));
    const family = mark?.[1] ?? this.family;
    if (family === null || isInet(family)) return hostOf(word);
    const text = mark === undefined ? word : word.slice(mark[0].length);
    this.only = family;
    this.family = family;
    if (family === AF_UNIX) return { bytes: null, bits: 0, port: null, pattern: globOf(text) };
    if (family === AF_NETLINK) {
      const kernel = (name: string): number | null => (name === 'kernel' ? 0 : null);
      return protocolAndPort(text, netlinkProtocol, kernel);
    }
    const index = (name: string): number | null =>
      [...this.interfaces].find(([, other]) => other === name)?.[0] ?? null;
    return protocolAndPort(text, ethertype, index);
  }

  private portCondition(local: boolean): Predicate {
    const operator = isOperator(this.words[this.at]) ? (this.words[this.at++] as string) : '=';
    const text = this.value();
    const end = (record: Subject): Endpoint => (local ? record.local : record.peer);
    const compare = OPERATORS[operator] as Comparison;
    if (this.family !== null && !isInet(this.family)) {
      // Of a Unix socket it is the name that is compared, unless by size.
      const isName = this.family === AF_UNIX || text.startsWith(':');
      const host = this.host(isName ? text : `:${text}`);
      if (compare === equal) return (record) => matchesHost(end(record), host);
      if (compare === unequal) return (record) => !matchesHost(end(record), host);
      return (record) => compare(end(record).port, host.port ?? -1);
    }
    const port = portOf(text.startsWith(':') ? text.slice(1) : text);
    if (port === null) throw this.syntax();
    return (record) => compare(end(record).port, port);
  }

  private hostCondition(local: boolean): Predicate {
    // What is not to be is said by `not`.
    this.takes('=', '==', 'eq');
    if (isOperator(this.words[this.at])) throw this.syntax();
    const host = this.host(this.value());
    return (record) => matchesHost(local ? record.local : record.peer, host);
  }

  /** `=` or `!=`, or neither; true for the latter. */
  private equality(): boolean {
    if (this.takes('!=', 'ne', 'neq')) return true;
    this.takes('=', '==', 'eq');
    return false;
  }

  private value(): string {
    const word = this.words[this.at++];
    if (word === undefined) throw this.syntax();
    return word;
  }

  private takes(...words: string[]): boolean {
    if (!words.includes(this.words[this.at] ?? '')) return false;
    this.at++;
    return true;
  }
}

/**
 * The condition that some words of the command line state.
 * @param family that addresses belong to; null: the Internet's
 * @param interfaces names by index, for addresses of packet sockets
 * @throws FilterError
 */
export function parseFilter(
  words: readonly string[],
  family: number | null,
  interfaces: ReadonlyMap<number, string>,
): Filter {
  if (words.length === 0) return { matches: () => true, family: null };
  const parser = new Parser(words, family, interfaces);
  return { matches: parser.parse(), family: parser.only };
}
