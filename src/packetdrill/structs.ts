/*
 * Structures of system calls: from the script's words to Linux's bytes, and back to compare.
 */

import { inPton4 } from '#lib/parse_addr.ts';
import { type Expr, type FieldExpr, ScriptError, type StructExpr } from '#packetdrill/ast.ts';
import { type Defines, evaluate } from '#packetdrill/expr.ts';
import { sockExtendedErr } from '#uapi/errqueue.ts';
import { IP_RECVERR, sockaddrIn } from '#uapi/in.ts';
import { AF_INET, SCM_TIMESTAMPING, SOL_IP, SOL_SOCKET } from '#uapi/socket.ts';

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function isEllipsis(expr: Expr | undefined): boolean {
  return expr?.kind === 'ellipsis';
}

/** NULL, or a plain 0 where a pointer stands. */
export function isNull(expr: Expr | undefined): boolean {
  return (
    (expr?.kind === 'symbol' && expr.name === 'NULL') || (expr?.kind === 'int' && expr.value === 0)
  );
}

export function asStruct(expr: Expr, what: string): StructExpr {
  if (expr.kind === 'struct') return expr;
  throw new ScriptError(expr.place, `expected ${what} as '{...}'`);
}

export function asList(expr: Expr, what: string): readonly Expr[] {
  if (expr.kind === 'list') return expr.items;
  throw new ScriptError(expr.place, `expected ${what} as '[...]'`);
}

/** A field by name, or by its place among the fields without names. */
export function fieldOf(struct: StructExpr, name: string, index = -1): FieldExpr | null {
  const named = struct.fields.find((field) => field.name === name);
  if (named !== undefined) return named;
  const plain = struct.fields[index];
  return plain !== undefined && plain.name === '' ? plain : null;
}

/** Refuses fields that the structure does not have. */
export function checkFields(struct: StructExpr, known: readonly string[]): void {
  for (const { name, place } of struct.fields) {
    if (name !== '' && !known.includes(name)) {
      throw new ScriptError(place, `unknown field '${name}'; known are ${known.join(', ')}`);
    }
  }
}

function fieldNumber(struct: StructExpr, name: string, index: number, defines: Defines): number {
  const field = fieldOf(struct, name, index);
  return field === null || isEllipsis(field.value) ? 0 : evaluate(field.value, defines);
}

// Addresses.

/** An address as a number: `inet_addr("192.0.2.1")`, or a number. */
function addressOf(expr: Expr, defines: Defines): number {
  const [text] = expr.kind === 'call' ? expr.args : [expr];
  const named = expr.kind === 'call' && /^inet_(?:addr|aton)$/.test(expr.name);
  if (text?.kind === 'string' && (named || expr.kind === 'string')) {
    const addr = inPton4(text.value);
    if (addr === null) throw new ScriptError(text.place, `'${text.value}' is no IPv4 address`);
    return addr;
  }
  return evaluate(expr, defines);
}

/** struct sockaddr_in from a structure, a family alone, or for `...` from the endpoint given. */
export function encodeSockaddr(
  expr: Expr,
  endpoint: { readonly addr: number; readonly port: number },
  defines: Defines,
): Uint8Array {
  const out = new Uint8Array(sockaddrIn.LEN);
  const v = viewOf(out);
  let { addr, port } = endpoint;
  let family = AF_INET;
  if (expr.kind === 'struct') {
    checkFields(expr, ['sa_family', 'sin_family', 'sin_port', 'sin_addr']);
    const familyField = fieldOf(expr, 'sa_family') ?? fieldOf(expr, 'sin_family');
    const portField = fieldOf(expr, 'sin_port');
    const addrField = fieldOf(expr, 'sin_addr');
    if (familyField !== null) family = evaluate(familyField.value, defines);
    if (portField !== null) port = evaluate(portField.value, defines);
    if (addrField !== null) addr = addressOf(addrField.value, defines);
  } else if (!isEllipsis(expr)) {
    family = evaluate(expr, defines);
  }
  sockaddrIn.setFamily(v, 0, family);
  sockaddrIn.setPort(v, 0, port);
  sockaddrIn.setAddr(v, 0, addr);
  return out;
}

// Values of options.

interface IntField {
  readonly name: string;
  readonly bytes: 4 | 8;
}

const i32 = (name: string): IntField => ({ name, bytes: 4 });
const i64 = (name: string): IntField => ({ name, bytes: 8 });

/** Structures of numbers alone, known by the names of their fields. */
const PLAIN_STRUCTS: readonly (readonly IntField[])[] = [
  [i32('onoff'), i32('linger')],
  [i32('l_onoff'), i32('l_linger')],
  [i64('tv_sec'), i64('tv_usec')],
  [i64('tv_sec'), i64('tv_nsec')],
];

function plainStruct(struct: StructExpr): readonly IntField[] {
  const names = struct.fields.map(({ name }) => name);
  const found = PLAIN_STRUCTS.find((fields) =>
    names.every((name) => fields.some((field) => field.name === name)),
  );
  if (found !== undefined && names.length > 0) return found;
  const known = PLAIN_STRUCTS.map((fields) => `{${fields.map(({ name }) => name).join(', ')}}`);
  throw new ScriptError(struct.place, `unknown structure; known are ${known.join(', ')}`);
}

function encodePlainStruct(struct: StructExpr, defines: Defines): Uint8Array {
  const fields = plainStruct(struct);
  const out = new Uint8Array(fields.reduce((sum, { bytes }) => sum + bytes, 0));
  const v = viewOf(out);
  let at = 0;
  for (const { name, bytes } of fields) {
    v.setInt32(at, fieldNumber(struct, name, -1, defines), true);
    at += bytes;
  }
  return out;
}

/** A text as octets: `\xff` is one. */
function textBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0) & 0xff);
}

/** The value of setsockopt(): numbers are ints, texts their characters. */
export function encodeValue(expr: Expr, defines: Defines): Uint8Array {
  if (expr.kind === 'string') return textBytes(expr.value);
  if (expr.kind === 'struct') return encodePlainStruct(expr, defines);
  const items = expr.kind === 'list' ? expr.items : [expr];
  const [first] = items;
  if (items.length === 1 && first !== undefined && first.kind === 'string') {
    return textBytes(first.value);
  }
  if (items.length === 1 && first?.kind === 'struct') return encodePlainStruct(first, defines);
  const out = new Uint8Array(items.length * 4);
  const v = viewOf(out);
  for (const [i, item] of items.entries()) v.setInt32(i * 4, evaluate(item, defines), true);
  return out;
}

/** Compares the value of getsockopt() with the script's; what differs, or empty. */
export function compareValue(expr: Expr, actual: Uint8Array, defines: Defines): string {
  if (isEllipsis(expr)) return '';
  const wanted = encodeValue(expr, defines);
  if (expr.kind === 'string') {
    const text = String.fromCharCode(...actual).replace(/\0.*$/s, '');
    return text === expr.value ? '' : `expected "${expr.value}", got "${text}"`;
  }
  const a = viewOf(actual);
  const w = viewOf(wanted);
  for (let at = 0; at < wanted.length; at += 4) {
    const got = at + 4 <= actual.length ? a.getInt32(at, true) : (actual[at] ?? 0);
    const want = w.getInt32(at, true);
    if (got !== want) return `expected the value ${want}, got ${got}`;
  }
  return '';
}

// Vectors and messages.

/** One piece of an I/O vector. Null stands for a pointer that points nowhere. */
export interface IovPiece {
  readonly base: Uint8Array | null;
  readonly length: number;
}

/** Bytes for `...`, a text, or null for NULL. */
export function bufferOf(expr: Expr, length: number): Uint8Array | null {
  if (isNull(expr)) return null;
  const buf = new Uint8Array(length);
  if (expr.kind === 'string') buf.set(textBytes(expr.value).subarray(0, length));
  else if (!isEllipsis(expr)) {
    throw new ScriptError(expr.place, `expected a buffer: '...', a text or NULL`);
  }
  return buf;
}

export function parseIov(expr: Expr, defines: Defines): IovPiece[] {
  return asList(expr, 'an I/O vector').map((item) => {
    const piece = asStruct(item, 'a piece of an I/O vector');
    checkFields(piece, ['iov_base', 'iov_len']);
    const base = fieldOf(piece, 'iov_base', 0);
    const length = fieldNumber(piece, 'iov_len', 1, defines);
    if (base === null) throw new ScriptError(piece.place, 'a piece of an I/O vector has a buffer');
    return { base: bufferOf(base.value, length), length };
  });
}

export interface MsghdrSpec {
  readonly name: Expr | null;
  readonly iov: readonly IovPiece[];
  /** What the script says of flags and control; null: nothing. */
  readonly flags: Expr | null;
  readonly control: readonly Expr[] | null;
}

export function parseMsghdr(expr: Expr, defines: Defines): MsghdrSpec {
  const struct = asStruct(expr, 'a struct msghdr');
  checkFields(struct, ['msg_name', 'msg_iov', 'msg_flags', 'msg_control']);
  const iov = fieldOf(struct, 'msg_iov');
  const control = fieldOf(struct, 'msg_control');
  return {
    name: fieldOf(struct, 'msg_name')?.value ?? null,
    iov: iov === null ? [] : parseIov(iov.value, defines),
    flags: fieldOf(struct, 'msg_flags')?.value ?? null,
    control: control === null ? null : asList(control.value, 'control messages'),
  };
}

// Control messages.

const CMSG_HDR = 16;
const cmsgAlign = (length: number): number => (length + 7) & ~7;

export interface Cmsg {
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** The control messages in a buffer that recvmsg() has filled. */
export function decodeControl(control: Uint8Array): Cmsg[] {
  const out: Cmsg[] = [];
  const v = viewOf(control);
  for (let at = 0; at + CMSG_HDR <= control.length; ) {
    const length = v.getUint32(at, true);
    if (length < CMSG_HDR || at + length > control.length) break;
    out.push({
      level: v.getInt32(at + 8, true),
      type: v.getInt32(at + 12, true),
      data: control.subarray(at + CMSG_HDR, at + length),
    });
    at += cmsgAlign(length);
  }
  return out;
}

/** The control messages of a sendmsg(): their data are ints. */
export function encodeControl(items: readonly Expr[], defines: Defines): Uint8Array {
  const parts = items.map((item) => {
    const struct = asStruct(item, 'a control message');
    checkFields(struct, ['cmsg_level', 'cmsg_type', 'cmsg_data']);
    const value = fieldOf(struct, 'cmsg_data')?.value;
    const data = value === undefined ? new Uint8Array(0) : encodeValue(value, defines);
    const out = new Uint8Array(cmsgAlign(CMSG_HDR + data.length));
    const v = viewOf(out);
    v.setUint32(0, CMSG_HDR + data.length, true);
    v.setInt32(8, fieldNumber(struct, 'cmsg_level', -1, defines), true);
    v.setInt32(12, fieldNumber(struct, 'cmsg_type', -1, defines), true);
    out.set(data, CMSG_HDR);
    return out;
  });
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const ERR_FIELDS = [
  ['ee_errno', sockExtendedErr.errno],
  ['ee_origin', sockExtendedErr.origin],
  ['ee_type', sockExtendedErr.type],
  ['ee_code', sockExtendedErr.code],
  ['ee_info', sockExtendedErr.info],
  ['ee_data', sockExtendedErr.data],
] as const;

function compareExtendedErr(struct: StructExpr, v: DataView, defines: Defines): string {
  checkFields(
    struct,
    ERR_FIELDS.map(([name]) => name),
  );
  for (const [name, read] of ERR_FIELDS) {
    const field = fieldOf(struct, name);
    if (field === null || isEllipsis(field.value)) continue;
    const want = evaluate(field.value, defines) >>> 0;
    const got = read(v, 0) >>> 0;
    if (got !== want) return `expected ${name} ${want}, got ${got}`;
  }
  return '';
}

/** How times in control messages are compared: as ns since the script began. */
export interface ScriptClock {
  /** ns since the script began of a wall time. */
  fromWall(sec: number, nsec: number): number;
  readonly toleranceNs: number;
}

function compareTimestamping(
  struct: StructExpr,
  v: DataView,
  clock: ScriptClock,
  defines: Defines,
): string {
  checkFields(struct, ['scm_sec', 'scm_nsec']);
  const want =
    fieldNumber(struct, 'scm_sec', 0, defines) * 1e9 + fieldNumber(struct, 'scm_nsec', 1, defines);
  const sec = v.getUint32(0, true) + v.getUint32(4, true) * 2 ** 32;
  const got = clock.fromWall(sec, v.getUint32(8, true));
  if (Math.abs(got - want) <= clock.toleranceNs) return '';
  return `expected the time stamp ${want / 1e9} s, got ${got / 1e9} s`;
}

function compareCmsg(expr: Expr, actual: Cmsg, clock: ScriptClock, defines: Defines): string {
  const struct = asStruct(expr, 'a control message');
  checkFields(struct, ['cmsg_level', 'cmsg_type', 'cmsg_data']);
  const level = fieldNumber(struct, 'cmsg_level', -1, defines);
  const type = fieldNumber(struct, 'cmsg_type', -1, defines);
  if (level !== actual.level || type !== actual.type) {
    return `expected level ${level} type ${type}, got level ${actual.level} type ${actual.type}`;
  }
  const data = fieldOf(struct, 'cmsg_data')?.value;
  if (data === undefined || isEllipsis(data)) return '';
  const v = viewOf(actual.data);
  if (level === SOL_SOCKET && type === SCM_TIMESTAMPING && data.kind === 'struct') {
    if (actual.data.length < 16) return 'the time stamps are too short';
    return compareTimestamping(data, v, clock, defines);
  }
  if (level === SOL_IP && type === IP_RECVERR && data.kind === 'struct') {
    if (actual.data.length < sockExtendedErr.LEN) return 'the extended error is too short';
    return compareExtendedErr(data, v, defines);
  }
  return compareValue(data, actual.data, defines);
}

/** Compares control messages in order; what differs, or empty. */
export function compareControl(
  wanted: readonly Expr[],
  actual: readonly Cmsg[],
  clock: ScriptClock,
  defines: Defines,
): string {
  if (wanted.length !== actual.length) {
    return `expected ${wanted.length} control messages, got ${actual.length}`;
  }
  for (const [i, expr] of wanted.entries()) {
    const problem = compareCmsg(expr, actual[i] as Cmsg, clock, defines);
    if (problem !== '') return `control message ${i + 1}: ${problem}`;
  }
  return '';
}
