/*
 * The code between %{ and }%: as much of Python as scripts use. assert, print, assignment, numbers,
 * texts, comparison chains, and/or/not, arithmetic, `%` formatting, min, max, abs, len, and
 * conditions; no loops and no definitions.
 *
 * Not Linux's: packetdrill hands the code to Python. Integers here are exact up to 2^53.
 */

import type { Place } from '#packetdrill/ast.ts';

export type PyValue = number | string | boolean | null | readonly PyValue[];

/** The code makes no sense. */
export class PythonSyntaxError extends Error {
  override readonly name = 'PythonSyntaxError';
  readonly line: number;

  constructor(line: number, problem: string) {
    super(problem);
    this.line = line;
  }
}

/** An assertion does not hold, or an operation cannot be done. */
export class PythonError extends Error {
  override readonly name = 'PythonError';
  /** Counted from 1 within the code. */
  readonly line: number;

  constructor(line: number, problem: string) {
    super(problem);
    this.line = line;
  }
}

/** Words of Python that begin what is not taken. */
const NOT_TAKEN: ReadonlySet<string> = new Set(
  'while for def class import from return lambda try with del global raise yield'.split(' '),
);

/** Where names come from and prints go. */
export interface PythonScope {
  /** Undefined: there is no such name. */
  lookup(name: string): PyValue | undefined;
  assign(name: string, value: PyValue): void;
  print(text: string): void;
}

interface Token {
  readonly kind: 'number' | 'string' | 'name' | 'sign' | 'newline' | 'end';
  readonly text: string;
  readonly value: PyValue;
  readonly line: number;
}

const TOKEN =
  /(?<space>[ \t\r]+|\\\n|#[^\n]*)|(?<newline>\n|;)|(?<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)|(?<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<sign>\*\*|\/\/|<<|>>|==|!=|<=|>=|[-+*/%&|^]=|[-+*/%&|^~<>=(),[\]:])/y;

function tokenize(code: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let depth = 0;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < code.length) {
    const at = TOKEN.lastIndex;
    const groups = TOKEN.exec(code)?.groups;
    if (groups === undefined) throw new PythonSyntaxError(line, `unexpected '${code[at]}'`);
    const { newline, number, string, name, sign, space } = groups;
    const push = (kind: Token['kind'], text: string, value: PyValue): void => {
      tokens.push({ kind, text, value, line });
    };
    if (newline !== undefined && depth === 0) push('newline', newline, null);
    if (number !== undefined) push('number', number, Number(number));
    if (string !== undefined) push('string', string, unquote(string));
    if (name !== undefined) push('name', name, null);
    if (sign !== undefined) {
      if (sign === '(' || sign === '[') depth++;
      if (sign === ')' || sign === ']') depth--;
      push('sign', sign, null);
    }
    if (newline === '\n' || space === '\\\n') line++;
  }
  tokens.push({ kind: 'end', text: 'the end of the code', value: null, line });
  return tokens;
}

function unquote(quoted: string): string {
  return quoted
    .slice(1, -1)
    .replaceAll(/\\(.)/g, (_all, c: string) => ({ n: '\n', t: '\t' })[c] ?? c);
}

function truth(value: PyValue): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== null && value !== 0 && value !== '' && value !== false;
}

/** A value as str() gives it. */
export function pyText(value: PyValue, quoted = false): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return quoted ? `'${value}'` : value;
  if (typeof value === 'number') return String(value);
  const items = value.map((item) => pyText(item, true));
  return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
}

/** Recursive descent that computes as it reads; `live` is false in branches not taken. */
class Interpreter {
  private readonly tokens: readonly Token[];
  private readonly scope: PythonScope;
  private at: number;
  private live: boolean;

  constructor(tokens: readonly Token[], scope: PythonScope) {
    this.tokens = tokens;
    this.scope = scope;
    this.at = 0;
    this.live = true;
  }

  run(): void {
    for (;;) {
      while (this.is('newline')) this.at++;
      if (this.is('end')) return;
      this.statement();
      if (!this.is('newline') && !this.is('end')) {
        throw this.unexpected('the end of the statement');
      }
    }
  }

  private is(kind: Token['kind']): boolean {
    return this.token.kind === kind;
  }

  private get token(): Token {
    return this.tokens[this.at] as Token;
  }

  private sees(text: string): boolean {
    return (this.token.kind === 'sign' || this.token.kind === 'name') && this.token.text === text;
  }

  private accept(text: string): boolean {
    if (!this.sees(text)) return false;
    this.at++;
    return true;
  }

  private expect(text: string): void {
    if (!this.accept(text)) throw this.unexpected(`'${text}'`);
  }

  private unexpected(expected: string): PythonSyntaxError {
    const { token } = this;
    const found = token.kind === 'newline' ? 'the end of the line' : `'${token.text}'`;
    return new PythonSyntaxError(token.line, `expected ${expected}, found ${found}`);
  }

  private statement(): void {
    const { line } = this.token;
    if (this.accept('pass')) return;
    if (this.accept('assert')) {
      this.assertion(line);
      return;
    }
    const next = this.tokens[this.at + 1];
    const name = this.token.text;
    if (this.token.kind === 'name' && next?.kind === 'sign' && /^[-+*/%&|^]?=$/.test(next.text)) {
      this.at += 2;
      const value = this.expression();
      if (next.text === '=') this.scope.assign(name, value);
      else this.scope.assign(name, this.binary(next.text[0] as string, this.name(name), value));
      return;
    }
    this.expression();
  }

  private assertion(line: number): void {
    const begin = this.at;
    const holds = this.expression();
    const condition = this.tokens
      .slice(begin, this.at)
      .map(({ text }) => text)
      .join(' ');
    let message: PyValue | undefined;
    if (this.accept(',')) message = this.expression();
    if (truth(holds)) return;
    const said = message === undefined ? '' : `: ${pyText(message)}`;
    throw new PythonError(line, `assert ${condition}${said}`);
  }

  /** `a if b else c` */
  private expression(): PyValue {
    // The condition stands behind: try it first, then come back.
    const value = this.or();
    if (!this.accept('if')) return value;
    const condition = this.or();
    this.expect('else');
    const other = this.expression();
    return truth(condition) ? value : other;
  }

  /** Reads without computing when `dead`. */
  private guarded(dead: boolean, read: () => PyValue): PyValue {
    const before = this.live;
    this.live = before && !dead;
    const value = read();
    this.live = before;
    return value;
  }

  private or(): PyValue {
    let value = this.and();
    while (this.accept('or')) {
      const stop = truth(value);
      const right = this.guarded(stop, () => this.and());
      if (!stop) value = right;
    }
    return value;
  }

  private and(): PyValue {
    let value = this.not();
    while (this.accept('and')) {
      const stop = !truth(value);
      const right = this.guarded(stop, () => this.not());
      if (!stop) value = right;
    }
    return value;
  }

  private not(): PyValue {
    if (this.accept('not')) return !truth(this.not());
    return this.comparison();
  }

  /** `a < b <= c` holds when each pair does. */
  private comparison(): PyValue {
    let left = this.level(0);
    let result: PyValue | null = null;
    for (;;) {
      const op = this.comparator();
      if (op === null) return result ?? left;
      const right = this.level(0);
      const holds = compare(op, left, right);
      result = result === null ? holds : truth(result) && holds;
      left = right;
    }
  }

  private comparator(): string | null {
    for (const op of ['==', '!=', '<=', '>=', '<', '>', 'in']) if (this.accept(op)) return op;
    if (this.sees('not') && this.tokens[this.at + 1]?.text === 'in') {
      this.at += 2;
      return 'not in';
    }
    return null;
  }

  private level(depth: number): PyValue {
    const operators = LEVELS[depth];
    if (operators === undefined) return this.unary();
    let left = this.level(depth + 1);
    for (;;) {
      const op = this.token.kind === 'sign' ? this.token.text : '';
      if (!operators.includes(op)) return left;
      this.at++;
      left = this.binary(op, left, this.level(depth + 1));
    }
  }

  private unary(): PyValue {
    const { line } = this.token;
    if (this.accept('+')) return this.number(this.unary(), line);
    if (this.accept('-')) return -this.number(this.unary(), line);
    if (this.accept('~')) return -this.number(this.unary(), line) - 1;
    const base = this.primary();
    if (!this.accept('**')) return base;
    const exponent = this.number(this.unary(), line);
    let value = 1;
    for (let i = 0; i < exponent; i++) value *= this.number(base, line);
    return value;
  }

  private primary(): PyValue {
    const { token } = this;
    if (token.kind === 'number' || token.kind === 'string') {
      this.at++;
      let { value } = token;
      // Texts side by side are one.
      while (token.kind === 'string' && this.token.kind === 'string') {
        value = `${String(value)}${String(this.token.value)}`;
        this.at++;
      }
      return value;
    }
    if (this.accept('(')) return this.tuple(')');
    if (this.accept('[')) return this.items(']');
    if (token.kind !== 'name') throw this.unexpected('a value');
    this.at++;
    if (this.accept('(')) return this.call(token, this.items(')'));
    if (token.text === 'True') return true;
    if (token.text === 'False') return false;
    if (token.text === 'None') return null;
    return this.name(token.text, token.line);
  }

  /** What stands in parentheses: one value, or with a comma a tuple. */
  private tuple(close: string): PyValue {
    const items: PyValue[] = [];
    let comma = false;
    while (!this.accept(close)) {
      items.push(this.expression());
      if (this.accept(',')) comma = true;
      else if (!this.sees(close)) throw this.unexpected(`',' or '${close}'`);
    }
    return items.length === 1 && !comma ? (items[0] as PyValue) : items;
  }

  private items(close: string): PyValue[] {
    const items: PyValue[] = [];
    while (!this.accept(close)) {
      items.push(this.expression());
      if (!this.accept(',') && !this.sees(close)) throw this.unexpected(`',' or '${close}'`);
    }
    return items;
  }

  private call({ text, line }: Token, args: readonly PyValue[]): PyValue {
    if (!this.live) return 0;
    const numbers = (): number[] => args.map((arg) => this.number(arg, line));
    switch (text) {
      case 'print':
        this.scope.print(args.map((arg) => pyText(arg)).join(' '));
        return null;
      case 'min':
        return Math.min(...numbers());
      case 'max':
        return Math.max(...numbers());
      case 'abs':
        return Math.abs(this.number(args[0] ?? null, line));
      case 'int':
        return Math.trunc(this.number(args[0] ?? null, line));
      case 'str':
        return pyText(args[0] ?? null);
      default:
        throw new PythonError(line, `there is no function '${text}'`);
    }
  }

  private name(name: string, line: number = this.token.line): PyValue {
    if (NOT_TAKEN.has(name)) throw new PythonSyntaxError(line, `'${name}' is not understood here`);
    const value = this.scope.lookup(name);
    if (value === undefined) {
      if (!this.live) return 0;
      throw new PythonError(line, `name '${name}' is not defined`);
    }
    return value;
  }

  private number(value: PyValue, line: number): number {
    if (typeof value === 'number') return value;
    if (typeof value === 'boolean') return value ? 1 : 0;
    throw new PythonError(line, `${pyText(value, true)} is no number`);
  }

  private binary(op: string, left: PyValue, right: PyValue): PyValue {
    if (!this.live) return 0;
    const { line } = this.token;
    if (op === '%' && typeof left === 'string') return formatPercent(left, right, line);
    if (op === '+' && typeof left === 'string' && typeof right === 'string') return left + right;
    return arithmetic(op, this.number(left, line), this.number(right, line), line);
  }
}

const LEVELS: readonly (readonly string[])[] = [
  ['|'],
  ['^'],
  ['&'],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '//', '%'],
];

/** Bits of two whole numbers of up to 53 bits. */
function bitwise(op: string, a: number, b: number): number {
  const high = (x: number): number => Math.floor(x / 2 ** 32);
  const apply = (x: number, y: number): number => (op === '&' ? x & y : op === '|' ? x | y : x ^ y);
  return apply(high(a), high(b)) * 2 ** 32 + (apply(a | 0, b | 0) >>> 0);
}

function arithmetic(op: string, a: number, b: number, line: number): number {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '<<':
      return a * 2 ** b;
    case '>>':
      return Math.floor(a / 2 ** b);
    case '&':
    case '|':
    case '^':
      return bitwise(op, a, b);
    default:
      if (b === 0) throw new PythonError(line, 'division by zero');
      if (op === '/') return a / b;
      return op === '//' ? Math.floor(a / b) : a - Math.floor(a / b) * b;
  }
}

function compare(op: string, left: PyValue, right: PyValue): boolean {
  if (op === 'in' || op === 'not in') {
    const found = Array.isArray(right)
      ? right.some((item) => same(item, left))
      : typeof right === 'string' && typeof left === 'string' && right.includes(left);
    return found === (op === 'in');
  }
  if (op === '==') return same(left, right);
  if (op === '!=') return !same(left, right);
  const a = typeof left === 'boolean' ? Number(left) : left;
  const b = typeof right === 'boolean' ? Number(right) : right;
  if (typeof a !== typeof b || a === null || b === null) return false;
  if (op === '<') return a < b;
  if (op === '<=') return a <= b;
  return op === '>' ? a > b : a >= b;
}

function same(a: PyValue, b: PyValue): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => same(item, b[i] as PyValue));
  }
  const plain = (x: PyValue): PyValue => (typeof x === 'boolean' ? Number(x) : x);
  return plain(a) === plain(b);
}

/** `'cwnd=%d' % x`, `'%d %s' % (x, y)` */
function formatPercent(format: string, right: PyValue, line: number): string {
  const values = Array.isArray(right) ? [...right] : [right];
  const text = format.replaceAll(
    /%(?:%|([-+ 0#]*)([0-9]*)(?:\.([0-9]+))?([diuxXsrf]))/g,
    (all: string, flags: string, width: string, precision: string, kind: string) => {
      if (all === '%%') return '%';
      if (values.length === 0) throw new PythonError(line, 'too few values for the format');
      const body = formatOne(values.shift() as PyValue, kind, precision, line);
      const fill = flags.includes('0') && kind !== 's' ? '0' : ' ';
      return flags.includes('-') ? body.padEnd(Number(width)) : body.padStart(Number(width), fill);
    },
  );
  if (values.length > 0) throw new PythonError(line, 'too many values for the format');
  return text;
}

function formatOne(
  value: PyValue,
  kind: string,
  precision: string | undefined,
  line: number,
): string {
  if (kind === 's') return pyText(value);
  if (kind === 'r') return pyText(value, true);
  const number = typeof value === 'boolean' ? Number(value) : value;
  if (typeof number !== 'number') {
    throw new PythonError(line, `${pyText(value, true)} is no number`);
  }
  if (kind === 'f') return number.toFixed(precision === undefined ? 6 : Number(precision));
  const whole = Math.trunc(number);
  if (kind === 'x') return whole.toString(16);
  return kind === 'X' ? whole.toString(16).toUpperCase() : String(whole);
}

/** Runs the code of a script. Throws PythonSyntaxError, PythonError. */
export function runPython(code: string, scope: PythonScope): void {
  new Interpreter(tokenize(code), scope).run();
}

/** The line of a script on which a line of its code stands. */
export function codeLine(place: Place, line: number): number {
  return place.line + line - 1;
}
