/*
 * Expressions of system calls: reading them, and their value as a number.
 */

import {
  type BinaryOp,
  type Expr,
  type FieldExpr,
  type Place,
  ScriptError,
  type SymbolExpr,
} from '#packetdrill/ast.ts';
import type { Lexer } from '#packetdrill/lexer.ts';
import { CONSTANTS } from '#packetdrill/symbols.ts';

/** Binary operators by how tightly they bind, loosest first. */
const LEVELS: readonly (readonly BinaryOp[])[] = [
  ['|'],
  ['^'],
  ['&'],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/'],
];

export function parseExpr(lexer: Lexer, level = 0): Expr {
  const operators = LEVELS[level];
  if (operators === undefined) return parseUnary(lexer);
  let left = parseExpr(lexer, level + 1);
  for (;;) {
    const place = lexer.skip();
    const op = operators.find((text) => lexer.accept(text));
    if (op === undefined) return left;
    left = { kind: 'binary', op, left, right: parseExpr(lexer, level + 1), place };
  }
}

/** A value without operators between: what follows may be the time of the next event. */
export function parseUnary(lexer: Lexer): Expr {
  const place = lexer.skip();
  for (const op of ['-', '~', '!'] as const) {
    if (lexer.accept(op)) return { kind: 'unary', op, operand: parseUnary(lexer), place };
  }
  return parsePrimary(lexer);
}

const STRING = /"(?:[^"\\\n]|\\.)*"/y;

function parsePrimary(lexer: Lexer): Expr {
  const place = lexer.skip();
  if (lexer.accept('...')) return { kind: 'ellipsis', place };
  if (lexer.accept('[')) return { kind: 'list', items: parseItems(lexer, ']'), place };
  if (lexer.accept('{')) return parseStruct(lexer, place);
  if (lexer.accept('(')) {
    const inner = parseExpr(lexer);
    lexer.expect(')');
    return inner;
  }
  if (lexer.seesDigit()) return { kind: 'int', value: lexer.integer('a number', 2 ** 53), place };
  const string = lexer.take(STRING);
  if (string !== null) return { kind: 'string', value: unescapeString(string), place };
  const name = lexer.word('a value');
  if (!lexer.accept('(')) return { kind: 'symbol', name, place };
  return { kind: 'call', name, args: parseItems(lexer, ')'), place };
}

function unescapeString(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replaceAll(/\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)/g, (_all, c: string) => {
      if (c.startsWith('x')) return String.fromCharCode(Number.parseInt(c.slice(1), 16));
      if (/^[0-7]/.test(c)) return String.fromCharCode(Number.parseInt(c, 8) & 0xff);
      return ({ n: '\n', r: '\r', t: '\t' } as Record<string, string>)[c] ?? c;
    });
}

/** Expressions between commas, up to a closing sign, which is taken. */
export function parseItems(lexer: Lexer, close: string): Expr[] {
  const items: Expr[] = [];
  if (lexer.accept(close)) return items;
  for (;;) {
    items.push(parseExpr(lexer));
    if (lexer.accept(close)) return items;
    if (!lexer.accept(',')) lexer.fail(`',' or '${close}'`);
  }
}

function parseStruct(lexer: Lexer, place: Place): Expr {
  const fields: FieldExpr[] = [];
  if (lexer.accept('}')) return { kind: 'struct', fields, place };
  for (;;) {
    fields.push(parseField(lexer));
    if (lexer.accept('}')) return { kind: 'struct', fields, place };
    if (!lexer.accept(',')) lexer.fail(`',' or '}'`);
  }
}

function parseField(lexer: Lexer): FieldExpr {
  const place = lexer.skip();
  const first = parseExpr(lexer);
  if (!lexer.accept('=')) return { name: '', count: null, value: first, place };
  if (first.kind === 'symbol') {
    return { name: first.name, count: null, value: parseExpr(lexer), place };
  }
  const [count, ...rest] = first.kind === 'call' ? first.args : [];
  if (first.kind !== 'call' || count === undefined || rest.length > 0) {
    throw new ScriptError(place, "expected the name of a field before '='");
  }
  return { name: first.name, count, value: parseExpr(lexer), place };
}

/** Symbols that the command line defines, with their texts. */
export type Defines = ReadonlyMap<string, string>;

/** The value of a symbol: a constant of Linux, or what the command line says it stands for. */
function symbolValue({ name, place }: SymbolExpr, defines: Defines): number {
  let text = name;
  for (let depth = 0; depth < 8; depth++) {
    const defined = defines.get(text);
    if (defined === undefined) break;
    text = defined.trim();
  }
  if (/^(?:0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text)) return Number(text);
  const value = CONSTANTS.get(text);
  if (value === undefined) throw new ScriptError(place, `unknown symbol '${text}'`);
  return value;
}

/** The value of an expression as a number. Throws ScriptError. */
export function evaluate(expr: Expr, defines: Defines): number {
  switch (expr.kind) {
    case 'int':
      return expr.value;
    case 'symbol':
      return symbolValue(expr, defines);
    case 'unary':
      return unary(expr.op, evaluate(expr.operand, defines));
    case 'binary':
      return binary(
        expr.op,
        evaluate(expr.left, defines),
        evaluate(expr.right, defines),
        expr.place,
      );
    case 'call':
      return call(expr.name, expr.args, expr.place, defines);
    default:
      throw new ScriptError(expr.place, `expected a number, found ${NOUNS[expr.kind]}`);
  }
}

const NOUNS: Readonly<Record<'string' | 'ellipsis' | 'list' | 'struct', string>> = {
  string: 'a text',
  ellipsis: "'...'",
  list: 'a list',
  struct: 'a structure',
};

function unary(op: '-' | '~' | '!', value: number): number {
  if (op === '-') return -value;
  if (op === '~') return ~value;
  return value === 0 ? 1 : 0;
}

function binary(op: BinaryOp, a: number, b: number, place: Place): number {
  switch (op) {
    case '|':
      return a | b;
    case '&':
      return a & b;
    case '^':
      return a ^ b;
    case '<<':
      return a << b;
    case '>>':
      return a >> b;
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    default:
      if (b === 0) throw new ScriptError(place, 'division by zero');
      return Math.trunc(a / b);
  }
}

function call(name: string, args: readonly Expr[], place: Place, defines: Defines): number {
  const [arg] = args;
  // Ports and addresses of structures are in host order here, so these change nothing.
  if (/^(?:htons|htonl|ntohs|ntohl)$/.test(name) && arg !== undefined && args.length === 1) {
    return evaluate(arg, defines);
  }
  throw new ScriptError(place, `unknown function '${name}'`);
}
