/*
 * Packets as scripts write them: `P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 1 ecr 0>`.
 */

import {
  type EchoedSpec,
  type EcnField,
  type IcmpSpec,
  type IpSpec,
  type PacketSpec,
  type Place,
  type Ports,
  ScriptError,
  type TcpOption,
  type TcpSpec,
} from '#packetdrill/ast.ts';
import type { Defines } from '#packetdrill/expr.ts';
import type { Lexer } from '#packetdrill/lexer.ts';
import { tcpOptionsLength } from '#packetdrill/wire.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_FRAG_NEEDED,
  ICMP_HOST_ANO,
  ICMP_HOST_ISOLATED,
  ICMP_HOST_UNKNOWN,
  ICMP_HOST_UNR_TOS,
  ICMP_HOST_UNREACH,
  ICMP_NET_ANO,
  ICMP_NET_UNKNOWN,
  ICMP_NET_UNR_TOS,
  ICMP_NET_UNREACH,
  ICMP_PARAMETERPROB,
  ICMP_PKT_FILTERED,
  ICMP_PORT_UNREACH,
  ICMP_PREC_CUTOFF,
  ICMP_PREC_VIOLATION,
  ICMP_PROT_UNREACH,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_SR_FAILED,
  ICMP_TIME_EXCEEDED,
} from '#uapi/icmp.ts';
import { INET_ECN_CE, INET_ECN_ECT_0, INET_ECN_ECT_1, INET_ECN_NOT_ECT } from '#uapi/ip.ts';
import {
  TCPHDR_ACK,
  TCPHDR_AE,
  TCPHDR_CWR,
  TCPHDR_ECE,
  TCPHDR_FIN,
  TCPHDR_PSH,
  TCPHDR_RST,
  TCPHDR_SYN,
  TCPHDR_URG,
} from '#uapi/tcp.ts';

/** Letters of the flags, in the order in which they are printed. */
export const FLAG_LETTERS: readonly (readonly [letter: string, bit: number])[] = [
  ['F', TCPHDR_FIN],
  ['S', TCPHDR_SYN],
  ['R', TCPHDR_RST],
  ['P', TCPHDR_PSH],
  ['E', TCPHDR_ECE],
  ['W', TCPHDR_CWR],
  ['A', TCPHDR_AE],
  ['.', TCPHDR_ACK],
  ['U', TCPHDR_URG],
];

const ECN_NAMES: Readonly<Record<string, number>> = {
  noecn: INET_ECN_NOT_ECT,
  ect0: INET_ECN_ECT_0,
  ect1: INET_ECN_ECT_1,
  ce: INET_ECN_CE,
};

/** Names of ICMP types. */
export const ICMP_TYPES: Readonly<Record<string, number>> = {
  echo_reply: ICMP_ECHOREPLY,
  unreachable: ICMP_DEST_UNREACH,
  source_quench: ICMP_SOURCE_QUENCH,
  redirect: ICMP_REDIRECT,
  echo_request: ICMP_ECHO,
  time_exceeded: ICMP_TIME_EXCEEDED,
  parameter_problem: ICMP_PARAMETERPROB,
};

/** Names of the codes of `unreachable`. */
export const ICMP_CODES: Readonly<Record<string, number>> = {
  net_unreachable: ICMP_NET_UNREACH,
  host_unreachable: ICMP_HOST_UNREACH,
  protocol_unreachable: ICMP_PROT_UNREACH,
  port_unreachable: ICMP_PORT_UNREACH,
  frag_needed: ICMP_FRAG_NEEDED,
  source_route_failed: ICMP_SR_FAILED,
  net_unknown: ICMP_NET_UNKNOWN,
  host_unknown: ICMP_HOST_UNKNOWN,
  source_host_isolated: ICMP_HOST_ISOLATED,
  net_prohibited: ICMP_NET_ANO,
  host_prohibited: ICMP_HOST_ANO,
  net_unreachable_for_tos: ICMP_NET_UNR_TOS,
  host_unreachable_for_tos: ICMP_HOST_UNR_TOS,
  packet_filtered: ICMP_PKT_FILTERED,
  precedence_violation: ICMP_PREC_VIOLATION,
  precedence_cutoff: ICMP_PREC_CUTOFF,
};

const TCP_FLAGS = /[FSRPEWAU.0-9-]+(?=\s)/y;
const PORTS = /([0-9]+)\s*>\s*([0-9]+)\s*:/y;

/** Reads the packet after the sign of its direction. */
export function parsePacket(lexer: Lexer, defines: Defines): PacketSpec {
  const place = lexer.skip();
  const ip = lexer.accept('[') ? parseIp(lexer) : { ecn: null, tos: null, ttl: null };
  lexer.skip();
  const ports = parsePorts(lexer);
  if (lexer.acceptWord('udp')) {
    return { kind: 'udp', ip, ports, length: parenthesized(lexer), place };
  }
  if (lexer.acceptWord('icmp')) return parseIcmp(lexer, ip, place, defines);
  return parseTcp(lexer, ip, ports, place, defines);
}

/** `[ect0]`, `[tos 0x10, ttl 3]`. */
function parseIp(lexer: Lexer): IpSpec {
  let ecn: number | null = null;
  let tos: number | null = null;
  let ttl: number | null = null;
  do {
    const place = lexer.skip();
    const word = lexer.word("'ect0', 'ect1', 'ce', 'noecn', 'tos' or 'ttl'");
    if (word === 'tos') tos = lexer.integer('a TOS octet', 0xff);
    else if (word === 'ttl') ttl = lexer.integer('a TTL', 0xff);
    else if (Object.hasOwn(ECN_NAMES, word)) ecn = ECN_NAMES[word] as number;
    else {
      throw new ScriptError(
        place,
        `expected 'ect0', 'ect1', 'ce', 'noecn', 'tos' or 'ttl', found '${word}'`,
      );
    }
  } while (lexer.accept(','));
  lexer.expect(']');
  return { ecn, tos, ttl };
}

/** `40000 > 8080:` */
function parsePorts(lexer: Lexer): Ports | null {
  const place = lexer.skip();
  const text = lexer.take(PORTS);
  if (text === null) return null;
  const [source, destination] = text.slice(0, -1).split('>').map(Number) as [number, number];
  if (source > 65535 || destination > 65535) throw new ScriptError(place, 'no such port');
  return { source, destination };
}

function parenthesized(lexer: Lexer): number {
  lexer.expect('(');
  const length = lexer.integer('a length', 65535);
  lexer.expect(')');
  return length;
}

/** `1:1001(1000)` */
function parseSequence(lexer: Lexer): { seq: number; length: number } {
  const seq = lexer.integer('a sequence number');
  lexer.expect(':');
  const place = lexer.skip();
  const end = lexer.integer('a sequence number');
  lexer.expect('(');
  const length = lexer.integer('a length', 65535);
  lexer.expect(')');
  if ((end - seq) >>> 0 !== length) {
    throw new ScriptError(place, `${seq}:${end} are ${(end - seq) >>> 0} bytes, not ${length}`);
  }
  return { seq, length };
}

function parseTcp(
  lexer: Lexer,
  ip: IpSpec,
  ports: Ports | null,
  place: Place,
  defines: Defines,
): TcpSpec {
  const flags = parseFlags(lexer);
  const { seq, length } = parseSequence(lexer);
  let ack: number | null = null;
  let window: number | null = null;
  let urgent = 0;
  for (;;) {
    if (lexer.acceptWord('ack')) ack = lexer.integer('an acknowledgement number');
    else if (lexer.acceptWord('win')) window = lexer.integer('a window', 65535);
    else if (lexer.acceptWord('urg')) urgent = lexer.integer('an urgent pointer', 65535);
    else break;
  }
  const options = lexer.accept('<') ? parseOptions(lexer, defines) : [];
  if (ack !== null && (flags & TCPHDR_ACK) === 0) {
    throw new ScriptError(place, "'ack' needs the flag '.'");
  }
  return { kind: 'tcp', ip, ports, flags, seq, length, ack, window, urgent, options, place };
}

function parseFlags(lexer: Lexer): number {
  const place = lexer.skip();
  const text = lexer.take(TCP_FLAGS) ?? lexer.fail("TCP flags, 'udp' or 'icmp'");
  if (text === '-') return 0;
  let flags = 0;
  for (const letter of text) {
    if (/[0-7]/.test(letter)) {
      // The accurate ECN counter: AE, CWR and ECE.
      flags |= Number(letter) << 6;
      continue;
    }
    const bit = FLAG_LETTERS.find(([name]) => name === letter)?.[1];
    if (bit === undefined || (flags & bit) !== 0) {
      throw new ScriptError(place, `'${text}' are no TCP flags: '${letter}'`);
    }
    flags |= bit;
  }
  return flags;
}

/** Options up to `>`; null for `...`. */
function parseOptions(lexer: Lexer, defines: Defines): TcpOption[] | null {
  const place = lexer.skip();
  if (lexer.accept('...')) {
    lexer.expect('>');
    return null;
  }
  const options: TcpOption[] = [];
  if (!lexer.accept('>')) {
    do options.push(parseOption(lexer, defines));
    while (lexer.accept(','));
    if (!lexer.accept('>')) lexer.fail("',' or '>' after an option");
  }
  const length = tcpOptionsLength(options);
  if (length % 4 !== 0) {
    throw new ScriptError(place, `the options take ${length} bytes, which 4 does not divide`);
  }
  if (length > 40) throw new ScriptError(place, `the options take ${length} bytes, more than 40`);
  return options;
}

const OPTION_NAMES =
  "an option: 'mss', 'wscale', 'sackOK', 'sack', 'TS', 'nop', 'eol', 'FO', 'FOEXP', 'md5' or 'ECN'";

function parseOption(lexer: Lexer, defines: Defines): TcpOption {
  const place = lexer.skip();
  const name = lexer.word(OPTION_NAMES);
  switch (name) {
    case 'mss':
      return { kind: 'mss', value: lexer.integer('a segment size', 65535) };
    case 'wscale':
      return { kind: 'wscale', value: lexer.integer('a window shift', 255) };
    case 'sackOK':
    case 'nop':
    case 'eol':
      return { kind: name };
    case 'sack':
      return { kind: 'sack', blocks: parseBlocks(lexer) };
    case 'TS':
      return parseTimestamps(lexer);
    case 'FO':
    case 'FOEXP':
      return { kind: name, cookie: parseHex(lexer, defines, 38) };
    case 'md5':
      return { kind: 'md5', digest: parseHex(lexer, defines, 16) };
    case 'ECN':
      return parseEcn(lexer);
    default:
      throw new ScriptError(place, `expected ${OPTION_NAMES}, found '${name}'`);
  }
}

function parseTimestamps(lexer: Lexer): TcpOption {
  if (!lexer.acceptWord('val')) lexer.fail("'val'");
  const val = lexer.integer('a time stamp');
  if (!lexer.acceptWord('ecr')) lexer.fail("'ecr'");
  return { kind: 'TS', val, ecr: lexer.integer('a time stamp') };
}

function parseBlocks(lexer: Lexer): [number, number][] {
  const blocks: [number, number][] = [];
  do {
    const start = lexer.integer('the start of a block');
    lexer.expect(':');
    blocks.push([start, lexer.integer('the end of a block')]);
  } while (lexer.seesDigit());
  return blocks;
}

/** Octets as hexadecimal digits, or a symbol that stands for them; empty when there are none. */
function parseHex(lexer: Lexer, defines: Defines, maxOctets: number): string {
  const place = lexer.skip();
  const word = lexer.peekHexWord();
  if (word === '') return '';
  lexer.hexWord('octets');
  const text = (defines.get(word) ?? word).toLowerCase();
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) {
    throw new ScriptError(place, `expected octets in hexadecimal or a symbol, found '${word}'`);
  }
  if (text.length > maxOctets * 2) throw new ScriptError(place, `more than ${maxOctets} octets`);
  return text;
}

function parseEcn(lexer: Lexer): TcpOption {
  const fields: [EcnField, number][] = [];
  for (;;) {
    const name = lexer.peekWord();
    if (name !== 'e0b' && name !== 'e1b' && name !== 'ceb') break;
    lexer.word('a counter');
    fields.push([name, lexer.integer('a number of bytes', 0xffffff)]);
  }
  return { kind: 'ECN', fields };
}

/** `unreachable frag_needed mtu 840 [0:1000(1000)]` */
function parseIcmp(lexer: Lexer, ip: IpSpec, place: Place, defines: Defines): IcmpSpec {
  const typePlace = lexer.skip();
  const typeName = lexer.word('the type of an ICMP message');
  const type = ICMP_TYPES[typeName];
  if (type === undefined) {
    throw new ScriptError(
      typePlace,
      `expected the type of an ICMP message (${Object.keys(ICMP_TYPES).join(', ')}), found '${typeName}'`,
    );
  }
  const code = type === ICMP_DEST_UNREACH ? parseIcmpCode(lexer, defines) : 0;
  const mtu = lexer.acceptWord('mtu') ? lexer.integer('an MTU', 65535) : -1;
  let echoed: EchoedSpec | null = null;
  if (lexer.sees('[')) {
    lexer.expect('[');
    echoed = lexer.acceptWord('udp')
      ? { kind: 'udp', length: parenthesized(lexer) }
      : { kind: 'tcp', ...parseSequence(lexer) };
    lexer.expect(']');
  }
  return { kind: 'icmp', ip, type, code, mtu, echoed, place };
}

function parseIcmpCode(lexer: Lexer, defines: Defines): number {
  const place = lexer.skip();
  const word = lexer.peekWord();
  const name = defines.get(word) ?? word;
  if (name === '' || name === 'mtu' || !/^[a-z]/.test(name)) {
    if (word !== '' && word !== 'mtu' && /^[A-Z]/.test(word)) {
      throw new ScriptError(place, `unknown symbol '${word}'`);
    }
    return ICMP_NET_UNREACH;
  }
  const code = ICMP_CODES[name];
  if (code === undefined) {
    throw new ScriptError(
      place,
      `expected the code of an ICMP message (${Object.keys(ICMP_CODES).join(', ')}), found '${name}'`,
    );
  }
  lexer.word('a code');
  return code;
}
