/*
 * Reads a script piece by piece, as the parser asks for it: what `0123` is depends on where it
 * stands, so there is no list of tokens beforehand.
 */

import { type Place, ScriptError } from '#packetdrill/ast.ts';

/** What stands at a place, for messages: the next word or sign. */
const NEXT = /[A-Za-z0-9_.]+|[^\s]/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const HEX_WORD = /[0-9A-Za-z_]+/y;
const INTEGER = /0[xX][0-9a-fA-F]+|[0-9]+/y;
const DECIMAL = /[0-9]+(?:\.(?!\.)[0-9]*)?|\.(?!\.)[0-9]+/y;

export class Lexer {
  readonly file: string;
  readonly source: string;
  at: number;
  /** Offsets at which lines begin. */
  private readonly lines: number[];

  constructor(file: string, source: string) {
    this.file = file;
    this.source = source;
    this.at = 0;
    this.lines = [0];
    for (let i = source.indexOf('\n'); i >= 0; i = source.indexOf('\n', i + 1)) {
      this.lines.push(i + 1);
    }
  }

  /** The place of an offset. */
  place(offset: number = this.at): Place {
    let low = 0;
    let high = this.lines.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.lines[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return { file: this.file, line: low + 1, column: offset - (this.lines[low] as number) + 1 };
  }

  /** Skips blanks and comments; where the next thing begins. */
  skip(): Place {
    for (;;) {
      const c = this.source[this.at];
      if (c === undefined) break;
      if (/\s/.test(c)) this.at++;
      else if (this.source.startsWith('//', this.at)) this.skipTo('\n');
      else if (this.source.startsWith('/*', this.at)) this.skipComment();
      else break;
    }
    return this.place();
  }

  private skipTo(end: string): void {
    const found = this.source.indexOf(end, this.at);
    this.at = found < 0 ? this.source.length : found + end.length;
  }

  private skipComment(): void {
    const end = this.source.indexOf('*/', this.at + 2);
    if (end < 0) this.fail('the end of the comment, */');
    this.at = end + 2;
  }

  get atEnd(): boolean {
    this.skip();
    return this.at >= this.source.length;
  }

  /** True when `text` comes next. */
  sees(text: string): boolean {
    this.skip();
    return this.source.startsWith(text, this.at);
  }

  /** Takes `text` if it comes next. */
  accept(text: string): boolean {
    if (!this.sees(text)) return false;
    this.at += text.length;
    return true;
  }

  /** Takes a word if just that one comes next. */
  acceptWord(word: string): boolean {
    this.skip();
    if (this.match(WORD) !== word) return false;
    this.at += word.length;
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) this.fail(`'${text}'`);
  }

  /** The word that comes next, without taking it; empty when there is none. */
  peekWord(): string {
    this.skip();
    return this.match(WORD) ?? '';
  }

  word(expected: string): string {
    this.skip();
    return this.take(WORD) ?? this.fail(expected);
  }

  /** Letters and digits in any order, e.g. a cookie. */
  hexWord(expected: string): string {
    this.skip();
    return this.take(HEX_WORD) ?? this.fail(expected);
  }

  peekHexWord(): string {
    this.skip();
    return this.match(HEX_WORD) ?? '';
  }

  seesDigit(): boolean {
    this.skip();
    return /[0-9]/.test(this.source[this.at] ?? '');
  }

  /** A whole number, decimal or hexadecimal, 0 to `max`. */
  integer(expected: string, max = 0xffffffff): number {
    const place = this.skip();
    const text = this.take(INTEGER) ?? this.fail(expected);
    const value = Number(text);
    if (value > max) throw new ScriptError(place, `${text} is too large for ${expected}`);
    return value;
  }

  /** Seconds, as ns; digits beyond a microsecond make no sense to anybody. */
  seconds(): number {
    const place = this.skip();
    const text = this.take(DECIMAL) ?? this.fail('a time in seconds');
    const ns = Math.round(Number(text) * 1e6) * 1e3;
    if (!Number.isSafeInteger(ns)) throw new ScriptError(place, `${text} seconds are too long`);
    return ns;
  }

  /** What stands up to `end`, which is taken too. */
  until(end: string, expected: string): string {
    const found = this.source.indexOf(end, this.at);
    if (found < 0) this.fail(expected);
    const text = this.source.slice(this.at, found);
    this.at = found + end.length;
    return text;
  }

  /** Takes what a sticky pattern matches just here. */
  take(pattern: RegExp): string | null {
    const text = this.match(pattern);
    if (text !== null) this.at += text.length;
    return text;
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    return pattern.exec(this.source)?.[0] ?? null;
  }

  /** Says what was expected here, and what there is. */
  fail(expected: string): never {
    const place = this.skip();
    const found = this.match(NEXT);
    const there = found === null ? 'the end of the script' : `'${found}'`;
    throw new ScriptError(place, `expected ${expected}, found ${there}`);
  }
}
