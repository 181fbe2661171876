/*
 * What a script says, before anything runs: options, commands, and events with their times.
 */

/** Where something stands in a script; lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A script that makes no sense. The message says where, and what was expected. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError';
  readonly place: Place;

  constructor(place: Place, problem: string) {
    super(`${place.file}:${place.line}:${place.column}: ${problem}`);
    this.place = place;
  }
}

// Expressions: C's, as far as arguments of system calls need them.

export interface IntExpr {
  readonly kind: 'int';
  readonly value: number;
  readonly place: Place;
}

export interface StringExpr {
  readonly kind: 'string';
  readonly value: string;
  readonly place: Place;
}

/** A constant by its name, or a symbol of the command line. */
export interface SymbolExpr {
  readonly kind: 'symbol';
  readonly name: string;
  readonly place: Place;
}

/** `...`: what the interpreter finds right, or whatever comes. */
export interface EllipsisExpr {
  readonly kind: 'ellipsis';
  readonly place: Place;
}

export type BinaryOp = '|' | '&' | '^' | '+' | '-' | '*' | '/' | '<<' | '>>';

export interface BinaryExpr {
  readonly kind: 'binary';
  readonly op: BinaryOp;
  readonly left: Expr;
  readonly right: Expr;
  readonly place: Place;
}

export interface UnaryExpr {
  readonly kind: 'unary';
  readonly op: '-' | '~' | '!';
  readonly operand: Expr;
  readonly place: Place;
}

/** `htons(8080)`, `inet_addr("192.0.2.1")`. */
export interface CallExpr {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly Expr[];
  readonly place: Place;
}

/** `[1, 2]`: an array, or what a pointer points at. */
export interface ListExpr {
  readonly kind: 'list';
  readonly items: readonly Expr[];
  readonly place: Place;
}

/** `name=value`, `name(count)=value`, or a value alone. */
export interface FieldExpr {
  /** Empty when the field has no name. */
  readonly name: string;
  readonly count: Expr | null;
  readonly value: Expr;
  readonly place: Place;
}

export interface StructExpr {
  readonly kind: 'struct';
  readonly fields: readonly FieldExpr[];
  readonly place: Place;
}

export type Expr =
  | IntExpr
  | StringExpr
  | SymbolExpr
  | EllipsisExpr
  | BinaryExpr
  | UnaryExpr
  | CallExpr
  | ListExpr
  | StructExpr;

// Packets.

export type TcpOption =
  | { readonly kind: 'mss'; readonly value: number }
  | { readonly kind: 'wscale'; readonly value: number }
  | { readonly kind: 'sackOK' }
  | { readonly kind: 'nop' }
  | { readonly kind: 'eol' }
  | { readonly kind: 'sack'; readonly blocks: readonly (readonly [start: number, end: number])[] }
  | { readonly kind: 'TS'; readonly val: number; readonly ecr: number }
  /** Cookies and digests are hexadecimal text. */
  | { readonly kind: 'FO'; readonly cookie: string }
  | { readonly kind: 'FOEXP'; readonly cookie: string }
  | { readonly kind: 'md5'; readonly digest: string }
  /** Accurate ECN: counters of bytes in the order of their field names. */
  | {
      readonly kind: 'ECN';
      readonly fields: readonly (readonly [name: EcnField, bytes: number])[];
    }
  | { readonly kind: 'unknown'; readonly number: number; readonly data: string };

export type EcnField = 'e0b' | 'e1b' | 'ceb';

/** Fields of the IP header that a script names; null: not named. */
export interface IpSpec {
  /** The two ECN bits. */
  readonly ecn: number | null;
  /** The upper six bits with the ECN bits: the whole octet. */
  readonly tos: number | null;
  readonly ttl: number | null;
}

export interface Ports {
  readonly source: number;
  readonly destination: number;
}

export interface TcpSpec {
  readonly kind: 'tcp';
  readonly ip: IpSpec;
  readonly ports: Ports | null;
  /** TCPHDR_* bits, the three reserved bits at 0xe00. */
  readonly flags: number;
  /** In the script's numbers. */
  readonly seq: number;
  readonly length: number;
  readonly ack: number | null;
  readonly window: number | null;
  readonly urgent: number;
  /** Null: `<...>`, any. */
  readonly options: readonly TcpOption[] | null;
  readonly place: Place;
}

export interface UdpSpec {
  readonly kind: 'udp';
  readonly ip: IpSpec;
  readonly ports: Ports | null;
  readonly length: number;
  readonly place: Place;
}

/** The packet that an ICMP error is about, as far as the script tells. */
export type EchoedSpec =
  | { readonly kind: 'tcp'; readonly seq: number; readonly length: number }
  | { readonly kind: 'udp'; readonly length: number };

export interface IcmpSpec {
  readonly kind: 'icmp';
  readonly ip: IpSpec;
  readonly type: number;
  readonly code: number;
  /** -1: none. */
  readonly mtu: number;
  readonly echoed: EchoedSpec | null;
  readonly place: Place;
}

export type PacketSpec = TcpSpec | UdpSpec | IcmpSpec;

// Events.

/** When an event happens. Times are ns since the script began, or since the event before. */
export interface EventTime {
  readonly kind: 'absolute' | 'relative' | 'any';
  readonly fromNs: number;
  /** End of a range `a~b`; otherwise as `fromNs`. */
  readonly toNs: number;
  readonly ranged: boolean;
}

export interface CallResult {
  /** Null: `...`, any result. */
  readonly value: Expr | null;
  /** Errno's name; empty when none is named. */
  readonly errno: string;
}

export interface PacketEvent {
  readonly kind: 'packet';
  readonly time: EventTime;
  readonly inbound: boolean;
  readonly packet: PacketSpec;
  readonly place: Place;
}

export interface SyscallEvent {
  readonly kind: 'syscall';
  readonly time: EventTime;
  /** End of a blocking call, from where its beginning counts; null: it does not block. */
  readonly endNs: number | null;
  readonly name: string;
  readonly args: readonly Expr[];
  readonly result: CallResult;
  /** The call as it is written. */
  readonly text: string;
  readonly place: Place;
}

export interface CommandEvent {
  readonly kind: 'command';
  readonly time: EventTime;
  readonly command: string;
  readonly place: Place;
}

export interface CodeEvent {
  readonly kind: 'code';
  readonly time: EventTime;
  readonly code: string;
  readonly place: Place;
}

export type ScriptEvent = PacketEvent | SyscallEvent | CommandEvent | CodeEvent;

export interface OptionSpec {
  readonly name: string;
  /** Empty for an option without a value. */
  readonly value: string;
  readonly place: Place;
}

export interface ShellSpec {
  readonly command: string;
  readonly place: Place;
}

export interface Script {
  readonly file: string;
  readonly options: readonly OptionSpec[];
  /** Run before time begins. */
  readonly init: ShellSpec | null;
  readonly events: readonly ScriptEvent[];
  /** Run when all is over, pass or fail. */
  readonly cleanup: ShellSpec | null;
}
