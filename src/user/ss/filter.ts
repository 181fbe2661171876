/*
 * The filters of ss: `sport = :22 and ( dst 10.0.0.0/8 or not dev eth0 )`. Counterpart of iproute2's
 * misc/ssfilter.y.
 */
import { inPton4, inPton6 } from '#lib/parse_addr.ts';
import { AF_INET } from '#uapi/socket.ts';
import { servicePort } from '#user/lib/services.ts';
import type { Endpoint, SocketRecord } from '#user/ss/record.ts';

export type Predicate = (record: SocketRecord) => boolean;

export class FilterError extends Error {
  readonly status: number;

  constructor(text: string, status: number) {
    super(text);
    this.name = 'FilterError';
    this.status = status;
  }
}

const OPERATORS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '=': (a, b) => a === b,
  '==': (a, b) => a === b,
  eq: (a, b) => a === b,
  '!=': (a, b) => a !== b,
  ne: (a, b) => a !== b,
  neq: (a, b) => a !== b,
  '<': (a, b) => a < b,
  lt: (a, b) => a < b,
  '>': (a, b) => a > b,
  gt: (a, b) => a > b,
  '<=': (a, b) => a <= b,
  le: (a, b) => a <= b,
  leq: (a, b) => a <= b,
  '>=': (a, b) => a >= b,
  ge: (a, b) => a >= b,
  geq: (a, b) => a >= b,
};

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
  if (host === '' || host === '*') return { bytes: null, bits: 0, port: portOf(port) };
  const [address = '', length] = host.split('/');
  const v4 = inPton4(address);
  const bytes = v4 === null ? inPton6(address) : Uint8Array.of(v4 >>> 24, v4 >>> 16, v4 >>> 8, v4);
  if (bytes === null) throw bad();
  const width = bytes.length * 8;
  if (length !== undefined && (!/^\d{1,3}$/.test(length) || Number(length) > width)) throw bad();
  return { bytes, bits: length === undefined ? width : Number(length), port: portOf(port) };
}

function matchesHost(end: Endpoint, { bytes, bits, port }: HostCondition): boolean {
  if (port !== null && end.port !== port) return false;
  if (bytes === null) return true;
  return (bytes.length === 4) === (end.family === AF_INET) && samePrefix(bytes, end.bytes, bits);
}

class Parser {
  private readonly words: readonly string[];
  private at: number;

  constructor(words: readonly string[]) {
    this.words = words;
    this.at = 0;
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
    const host = hostOf(word);
    return (record) => matchesHost(record.peer, host);
  }

  private portCondition(local: boolean): Predicate {
    const operator = isOperator(this.words[this.at]) ? (this.words[this.at++] as string) : '=';
    const text = this.value();
    const port = portOf(text.startsWith(':') ? text.slice(1) : text);
    if (port === null) throw this.syntax();
    const compare = OPERATORS[operator] as (a: number, b: number) => boolean;
    return (record) => compare((local ? record.local : record.peer).port, port);
  }

  private hostCondition(local: boolean): Predicate {
    const negated = this.equality();
    const host = hostOf(this.value());
    return (record) => matchesHost(local ? record.local : record.peer, host) !== negated;
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

/** The condition that some words of the command line state. @throws FilterError */
export function parseFilter(words: readonly string[]): Predicate {
  if (words.length === 0) return () => true;
  return new Parser(words).parse();
}
