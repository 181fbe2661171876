/**
 * Filters in the language of tcpdump (pcap-filter(7)), for the headers of a snapshot. What is understood:
 *
 *     [src|dst|src or dst] host ADDR | net ADDR/LEN | port N | portrange N-M
 *     [tcp|udp] [src|dst] port N       ip, arp, tcp, udp, icmp, ip proto N
 *     tcp[tcpflags] & MASK ==|!= VALUE with tcp-syn, tcp-ack, tcp-fin, tcp-rst, tcp-push, tcp-urg
 *     icmp[icmptype] == N              less N, greater N
 *     and or not && || ! ( )           an address or number alone repeats the words before it
 */
import { inPton4 } from '#lib/parse_addr.ts';
import type { Headers } from '#trace/headers.ts';
import { ETH_P_ARP, ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';

/** Does a packet of these headers and this length pass? */
export type PacketFilter = (headers: Headers, len: number) => boolean;

/** A filter makes no sense; the message says where. */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

const TOKEN = /\s*(&&|\|\||[!=<>]=|[()[\]!&|<>=]|[A-Za-z0-9][A-Za-z0-9._/:-]*)/y;

const DIRECTIONS: ReadonlySet<string> = new Set(['src', 'dst']);
const KINDS: ReadonlySet<string> = new Set(['host', 'net', 'port', 'portrange']);
const FLAGS: Readonly<Record<string, number>> = {
  'tcp-fin': 0x01,
  'tcp-syn': 0x02,
  'tcp-rst': 0x04,
  'tcp-push': 0x08,
  'tcp-ack': 0x10,
  'tcp-urg': 0x20,
  'tcp-ece': 0x40,
  'tcp-cwr': 0x80,
};
const PROTOCOLS: Readonly<Record<string, PacketFilter>> = {
  ip: (h) => h.etherType === ETH_P_IP,
  arp: (h) => h.etherType === ETH_P_ARP,
  tcp: (h) => h.protocol === IPPROTO_TCP,
  udp: (h) => h.protocol === IPPROTO_UDP,
  icmp: (h) => h.protocol === IPPROTO_ICMP,
};

/** What a table has under a word of the user's. */
function entryOf<T>(table: Readonly<Record<string, T>>, word: string): T | undefined {
  return Object.hasOwn(table, word) ? table[word] : undefined;
}

/** What stands before a value: `tcp src port`. */
interface Qualifiers {
  readonly proto: string | null;
  readonly direction: string;
  readonly kind: string;
}

class Parser {
  private readonly tokens: string[];
  private at: number;
  private last: Qualifiers | null;
  private depth: number;

  constructor(text: string) {
    this.tokens = [];
    this.at = 0;
    this.last = null;
    this.depth = 0;
    TOKEN.lastIndex = 0;
    while (text.slice(TOKEN.lastIndex).trim() !== '') {
      const from = TOKEN.lastIndex;
      const token = TOKEN.exec(text)?.[1];
      if (token === undefined)
        throw new FilterError(`'${text.slice(from).trim()}' is not understood`);
      this.tokens.push(token);
    }
  }

  parse(): PacketFilter {
    if (this.tokens.length === 0) return () => true;
    const filter = this.or();
    if (this.peek() !== null) throw new FilterError(`'${this.peek()}' is not expected there`);
    return filter;
  }

  private peek(): string | null {
    return this.tokens[this.at] ?? null;
  }

  private take(...wanted: readonly string[]): boolean {
    const token = this.peek();
    if (token === null || !wanted.includes(token)) return false;
    this.at++;
    return true;
  }

  private next(what: string): string {
    const token = this.tokens[this.at++];
    if (token === undefined) throw new FilterError(`${what} is missing at the end`);
    return token;
  }

  private or(): PacketFilter {
    let left = this.and();
    while (this.take('or', '||')) {
      const [a, b] = [left, this.and()];
      left = (h, len) => a(h, len) || b(h, len);
    }
    return left;
  }

  private and(): PacketFilter {
    let left = this.not();
    while (this.take('and', '&&')) {
      const [a, b] = [left, this.not()];
      left = (h, len) => a(h, len) && b(h, len);
    }
    return left;
  }

  private not(): PacketFilter {
    const negated = this.take('not', '!');
    if (!negated && !this.take('(')) return this.primitive();
    if (++this.depth > 100) throw new FilterError('too many parentheses and negations');
    const inner = negated ? this.not() : this.or();
    this.depth--;
    if (negated) return (h, len) => !inner(h, len);
    if (!this.take(')')) throw new FilterError("')' is missing");
    return inner;
  }

  private primitive(): PacketFilter {
    const token = this.peek();
    if (token === 'less' || token === 'greater') {
      this.at++;
      const bound = number(this.next('a length'), 0xffffff);
      return token === 'less' ? (_h, len) => len <= bound : (_h, len) => len >= bound;
    }
    const proto = token !== null && Object.hasOwn(PROTOCOLS, token) ? this.next('') : null;
    if (proto !== null && this.peek() === '[') return this.field(proto);
    if (proto === 'ip' && this.take('proto')) return this.ipProto();
    const direction = this.direction();
    const word = this.peek();
    const kind = word !== null && KINDS.has(word) ? this.next('') : null;
    if (proto !== null && direction === '' && kind === null)
      return PROTOCOLS[proto] as PacketFilter;
    if (kind === null && direction === '' && proto === null) {
      if (this.last === null || word === null || !/^[0-9]/.test(word)) {
        throw new FilterError(
          word === null ? 'something is missing' : `'${word}' is not understood`,
        );
      }
      return this.value(this.last);
    }
    // `src 10.0.0.1` means the host.
    this.last = { proto, direction, kind: kind ?? 'host' };
    return this.value(this.last);
  }

  private direction(): string {
    const token = this.peek();
    if (token === null || !DIRECTIONS.has(token)) return '';
    this.at++;
    // `src or dst` and `src and dst`.
    const [joint, other] = [this.peek(), this.tokens[this.at + 1]];
    if ((joint === 'or' || joint === 'and') && other !== undefined && DIRECTIONS.has(other)) {
      this.at += 2;
      return joint === 'or' ? '' : 'both';
    }
    return token;
  }

  private ipProto(): PacketFilter {
    const token = this.next('a protocol');
    const known = entryOf(PROTOCOLS, token);
    if (known !== undefined) return known;
    const protocol = number(token, 255);
    return (h) => h.protocol === protocol;
  }

  private value(q: Qualifiers): PacketFilter {
    const token = this.next(`what belongs to '${q.kind}'`);
    const test = q.kind === 'host' || q.kind === 'net' ? addresses(q, token) : ports(q, token);
    const proto = q.proto === null ? null : (PROTOCOLS[q.proto] as PacketFilter);
    return proto === null ? test : (h, len) => proto(h, len) && test(h, len);
  }

  /** `tcp[tcpflags] & (tcp-syn|tcp-fin) != 0`, `icmp[icmptype] == 8`. */
  private field(proto: string): PacketFilter {
    this.next('[');
    const name = this.next('a field');
    if (!this.take(']')) throw new FilterError("']' is missing");
    const read = FIELDS[`${proto}[${name}]`];
    if (read === undefined) throw new FilterError(`${proto}[${name}] is not known here`);
    const mask = this.take('&') ? this.constant() : -1;
    const operator = this.next('a comparison');
    const against = this.constant();
    const is = PROTOCOLS[proto] as PacketFilter;
    const compare = entryOf(COMPARISONS, operator);
    if (compare === undefined) throw new FilterError(`'${operator}' does not compare`);
    return (h, len) => is(h, len) && compare(read(h) & mask, against);
  }

  /** A number or names of flags, joined by |, in parentheses or not. */
  private constant(): number {
    const enclosed = this.take('(');
    let value = 0;
    do {
      const token = this.next('a value');
      value |= entryOf(FLAGS, token) ?? number(token, 0xffff);
    } while (this.take('|'));
    if (enclosed && !this.take(')')) throw new FilterError("')' is missing");
    return value;
  }
}

const FIELDS: Readonly<Record<string, (h: Headers) => number>> = {
  'tcp[tcpflags]': (h) => h.tcpFlags,
  'tcp[13]': (h) => h.tcpFlags,
  'icmp[icmptype]': (h) => h.icmpType,
  'icmp[icmpcode]': (h) => h.icmpCode,
  'icmp[0]': (h) => h.icmpType,
  'icmp[1]': (h) => h.icmpCode,
};

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '=': (a, b) => a === b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
};

function number(text: string, max: number): number {
  const value = /^(?:0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max)) throw new FilterError(`'${text}' is no number up to ${max}`);
  return value;
}

/** Applies a test to one end or to both, as the direction says. */
function ends(
  direction: string,
  test: (value: number) => boolean,
  source: (h: Headers) => number,
  destination: (h: Headers) => number,
): PacketFilter {
  if (direction === 'src') return (h) => test(source(h));
  if (direction === 'dst') return (h) => test(destination(h));
  if (direction === 'both') return (h) => test(source(h)) && test(destination(h));
  return (h) => test(source(h)) || test(destination(h));
}

function addresses({ direction, kind }: Qualifiers, token: string): PacketFilter {
  const [text = '', length] = token.split('/');
  const addr = inPton4(text);
  if (addr === null) throw new FilterError(`'${token}' is no IPv4 address`);
  if (kind === 'host' && length !== undefined) {
    throw new FilterError(`'${token}' is a net, not a host`);
  }
  const bits = length === undefined ? 32 : number(length, 32);
  const mask = bits === 0 ? 0 : (-1 << (32 - bits)) | 0;
  const wanted = addr & mask;
  return ends(
    direction,
    (value) => value >= 0 && (value & mask) === wanted,
    (h) => h.saddr,
    (h) => h.daddr,
  );
}

function ports({ direction, kind }: Qualifiers, token: string): PacketFilter {
  const [from = '', to] = token.split('-');
  if ((to !== undefined) !== (kind === 'portrange')) {
    throw new FilterError(`'${token}' does not belong to '${kind}'`);
  }
  const low = number(from, 65535);
  const high = to === undefined ? low : number(to, 65535);
  return ends(
    direction,
    (value) => value >= low && value <= high,
    (h) => h.sport,
    (h) => h.dport,
  );
}

/** Compiles a filter; an empty one lets everything pass. Throws FilterError. */
export function compileFilter(text: string): PacketFilter {
  return new Parser(text).parse();
}
