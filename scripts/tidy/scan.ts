/**
 * A plain scanner for TypeScript source: enough of the grammar to tell code from comments and strings, to
 * find imports, top-level statements and functions with their lengths. TypeScript 7 ships no JavaScript
 * compiler API, and the rules in rules.ts need no types.
 */

export type TokenKind = 'name' | 'number' | 'string' | 'template' | 'regex' | 'punctuator';

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** 1-based. */
  readonly line: number;
  readonly endLine: number;
}

export interface Comment {
  readonly text: string;
  readonly line: number;
  readonly endLine: number;
}

export interface Source {
  /** Relative to the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly lineCount: number;
  readonly tokens: readonly Token[];
  readonly comments: readonly Comment[];
}

export interface Import {
  readonly specifier: string;
  /** `import type` or `export type`: gone at run time. An inline `type` modifier does not count. */
  readonly typeOnly: boolean;
  /** `export … from`. */
  readonly reExport: boolean;
  readonly line: number;
}

export interface Statement {
  readonly tokens: readonly Token[];
  readonly line: number;
}

export interface FunctionSpan {
  readonly name: string;
  readonly line: number;
  /** Lines of the body, braces included. */
  readonly lineCount: number;
}

const KEYWORDS_BEFORE_REGEX = new Set(
  'return typeof case do else in instanceof new of void delete throw yield await'.split(' '),
);
const NOT_A_METHOD = new Set(
  'if for while switch catch with function return await super'.split(' '),
);
const OPENERS = new Set(['(', '[', '{']);
const CLOSERS = new Set([')', ']', '}']);
const LONG_PUNCTUATORS = ['>>>=', '...', '===', '!==', '**=', '<<=', '>>=', '&&=', '||=', '??='];
const SHORT_PUNCTUATORS = [
  '=>',
  '==',
  '!=',
  '<=',
  '>=',
  '&&',
  '||',
  '??',
  '?.',
  '++',
  '--',
  '+=',
  '-=',
];

class Scanner {
  readonly tokens: Token[] = [];
  readonly comments: Comment[] = [];
  private at = 0;
  private line = 1;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  run(): void {
    if (this.text.startsWith('#!')) this.skipTo(this.text.indexOf('\n'));
    while (this.at < this.text.length) this.step();
  }

  private step(): void {
    const c = this.text[this.at] as string;
    if (c === '\n') this.line++;
    if (/\s/.test(c)) {
      this.at++;
    } else if (this.text.startsWith('//', this.at)) {
      const end = this.text.indexOf('\n', this.at);
      this.comment(end === -1 ? this.text.length : end);
    } else if (this.text.startsWith('/*', this.at)) {
      this.comment(this.text.indexOf('*/', this.at) + 2);
    } else if (c === "'" || c === '"') {
      this.token('string', this.endOfQuoted(c));
    } else if (c === '`') {
      this.token('template', this.endOfTemplate(this.at + 1));
    } else if (c === '/' && this.regexMayStart()) {
      this.token('regex', this.endOfRegex());
    } else {
      this.wordOrPunctuator();
    }
  }

  private wordOrPunctuator(): void {
    const rest = this.text.slice(this.at, this.at + 128);
    const name = /^[#$_\p{L}][$\w\p{L}]*/u.exec(rest)?.[0];
    const number = /^(?:0[xob][\da-f_]+|\d[\d_]*\.?[\d_]*(?:e[+-]?\d+)?)n?/i.exec(rest)?.[0];
    if (name !== undefined) {
      this.token('name', this.at + name.length);
    } else if (number !== undefined) {
      this.token('number', this.at + number.length);
    } else {
      const long = [...LONG_PUNCTUATORS, ...SHORT_PUNCTUATORS].find((p) => rest.startsWith(p));
      this.token('punctuator', this.at + (long?.length ?? 1));
    }
  }

  private token(kind: TokenKind, end: number): void {
    const line = this.line;
    const text = this.skipTo(end);
    this.tokens.push({ kind, text, line, endLine: this.line });
  }

  private comment(end: number): void {
    const line = this.line;
    const text = this.skipTo(end);
    this.comments.push({ text, line, endLine: this.line });
  }

  private skipTo(end: number): string {
    const text = this.text.slice(this.at, end);
    for (const c of text) if (c === '\n') this.line++;
    this.at = end;
    return text;
  }

  private endOfQuoted(quote: string): number {
    let i = this.at + 1;
    while (i < this.text.length && this.text[i] !== quote && this.text[i] !== '\n') {
      i += this.text[i] === '\\' ? 2 : 1;
    }
    return i + 1;
  }

  /** From behind the opening backtick to behind the closing one; `${…}` may nest templates. */
  private endOfTemplate(start: number): number {
    let i = start;
    while (i < this.text.length && this.text[i] !== '`') {
      if (this.text[i] === '\\') i += 2;
      else if (this.text.startsWith('${', i)) i = this.endOfSubstitution(i + 2);
      else i++;
    }
    return i + 1;
  }

  private endOfSubstitution(start: number): number {
    let depth = 1;
    let i = start;
    while (i < this.text.length && depth > 0) {
      const c = this.text[i];
      if (c === '`') {
        i = this.endOfTemplate(i + 1);
        continue;
      }
      if (c === '{') depth++;
      if (c === '}') depth--;
      i++;
    }
    return i;
  }

  private endOfRegex(): number {
    let inClass = false;
    let i = this.at + 1;
    while (i < this.text.length && (inClass || this.text[i] !== '/')) {
      if (this.text[i] === '[') inClass = true;
      if (this.text[i] === ']') inClass = false;
      i += this.text[i] === '\\' ? 2 : 1;
    }
    i++;
    while (/[a-z]/.test(this.text[i] ?? '')) i++;
    return i;
  }

  private regexMayStart(): boolean {
    const last = this.tokens.at(-1);
    if (last === undefined) return true;
    if (last.kind === 'name') return KEYWORDS_BEFORE_REGEX.has(last.text);
    return last.kind === 'punctuator' && ![')', ']', '}'].includes(last.text);
  }
}

/** Splits a file into tokens and comments. */
export function scan(path: string, text: string): Source {
  const scanner = new Scanner(text);
  scanner.run();
  const { tokens, comments } = scanner;
  const lineCount = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  return { path, text, lineCount, tokens, comments };
}

/** Index of the token that closes the bracket at `open`, or of the last token. */
export function matching(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let i = open; i < tokens.length; i++) {
    const { kind, text } = tokens[i] as Token;
    if (kind !== 'punctuator') continue;
    if (OPENERS.has(text)) depth++;
    if (CLOSERS.has(text) && --depth === 0) return i;
  }
  return tokens.length - 1;
}

/** Every static and dynamic import and re-export of a file. */
export function importsOf(source: Source): Import[] {
  const found: Import[] = [];
  for (const { tokens, line } of topLevelStatements(source)) {
    const head = tokens[0]?.text;
    if (head !== 'import' && head !== 'export') continue;
    const from = tokens.findIndex((token) => token.text === 'from');
    const target = tokens[head === 'import' && from === -1 ? 1 : from + 1];
    if (target?.kind !== 'string' || (head === 'export' && from === -1)) continue;
    const typeOnly = tokens[1]?.text === 'type' && tokens[2]?.text !== 'from';
    found.push({
      specifier: target.text.slice(1, -1),
      typeOnly,
      reExport: head === 'export',
      line,
    });
  }
  return [...found, ...dynamicImportsOf(source)];
}

function dynamicImportsOf({ tokens }: Source): Import[] {
  const found: Import[] = [];
  for (let i = 0; i + 2 < tokens.length; i++) {
    const target = tokens[i + 2] as Token;
    if (tokens[i]?.text !== 'import' || tokens[i + 1]?.text !== '(') continue;
    if (target.kind !== 'string') continue;
    // `typeof import('x')` and `import('x').Type` in type position cannot be told apart from a value without
    // types, so each counts as a value: write `import type` instead.
    found.push({
      specifier: target.text.slice(1, -1),
      typeOnly: false,
      reExport: false,
      line: target.line,
    });
  }
  return found;
}

const STATEMENT_HEADS = new Set(
  'import export const let var function class interface type declare abstract async if for while'.split(
    ' ',
  ),
);

/**
 * The statements at the outermost level. One ends at a `;`, or behind a block when the next token starts
 * another. Relies on the formatter: every statement that needs a semicolon has one.
 */
export function topLevelStatements({ tokens }: Source): Statement[] {
  const statements: Statement[] = [];
  let start = 0;
  for (let i = 0; i < tokens.length; i++) {
    const { kind, text } = tokens[i] as Token;
    if (kind !== 'punctuator') continue;
    if (OPENERS.has(text)) i = matching(tokens, i);
    const ends = text === ';' || (text === '{' && startsStatement(tokens, i + 1));
    if (!ends) continue;
    const body = tokens.slice(start, i + 1);
    if (body.length > 0) statements.push({ tokens: body, line: (body[0] as Token).line });
    start = i + 1;
  }
  const rest = tokens.slice(start);
  if (rest.length > 0) statements.push({ tokens: rest, line: (rest[0] as Token).line });
  return statements;
}

function startsStatement(tokens: readonly Token[], index: number): boolean {
  const next = tokens[index];
  const closed = tokens[index - 1];
  if (next === undefined || closed === undefined || next.line === closed.endLine) return false;
  if (STATEMENT_HEADS.has(next.text)) return true;
  return next.kind === 'name' && next.text !== 'from' && next.text !== 'as';
}

/** Every function, method and arrow function with a block body. */
export function functionsOf({ tokens }: Source): FunctionSpan[] {
  const spans: FunctionSpan[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const body = bodyOf(tokens, i);
    if (body === -1) continue;
    const close = matching(tokens, body);
    const first = tokens[body] as Token;
    const last = tokens[close] as Token;
    spans.push({
      name: nameOf(tokens, i),
      line: (tokens[i] as Token).line,
      lineCount: last.endLine - first.line + 1,
    });
  }
  return spans;
}

/** Index of the `{` of the function that starts at token `i`, or -1 if none starts there. */
function bodyOf(tokens: readonly Token[], i: number): number {
  const token = tokens[i] as Token;
  if (token.text === '=>' && tokens[i + 1]?.text === '{') return i + 1;
  if (token.text === 'function') return bodyBehindParameters(tokens, i + 1);
  const before = tokens[i - 1]?.text;
  const isMethod =
    token.kind === 'name' &&
    !NOT_A_METHOD.has(token.text) &&
    before !== 'function' &&
    before !== '.';
  if (!isMethod || !['(', '<'].includes(tokens[i + 1]?.text ?? '')) return -1;
  return bodyBehindParameters(tokens, i + 1);
}

function bodyBehindParameters(tokens: readonly Token[], from: number): number {
  let i = from;
  while (i < tokens.length && tokens[i]?.text !== '(') {
    if ([';', '{', '}', ')', '=', '=>'].includes(tokens[i]?.text ?? '')) return -1;
    i++;
  }
  i = matching(tokens, i) + 1;
  if (tokens[i]?.text === '{') return i;
  if (tokens[i]?.text !== ':') return -1;
  return endOfReturnType(tokens, i);
}

/** The `{` behind a return type; a `{` directly behind one of `: | & < , ( =>` belongs to the type. */
function endOfReturnType(tokens: readonly Token[], colon: number): number {
  for (let i = colon + 1; i < tokens.length; i++) {
    const text = tokens[i]?.text ?? '';
    const before = tokens[i - 1]?.text ?? '';
    if (text === '{' && ![':', '|', '&', '<', ',', '(', '=>', 'is'].includes(before)) return i;
    if (OPENERS.has(text)) i = matching(tokens, i);
    else if ([';', ')', '}', ']', '=', '?'].includes(text)) return -1;
  }
  return -1;
}

function nameOf(tokens: readonly Token[], i: number): string {
  const token = tokens[i] as Token;
  if (token.text === 'function') {
    const next = tokens[i + 1]?.text === '*' ? tokens[i + 2] : tokens[i + 1];
    return next?.kind === 'name' ? next.text : '(anonymous)';
  }
  if (token.text !== '=>') return token.text;
  for (let back = i; back > Math.max(0, i - 40); back--) {
    const word = tokens[back]?.text;
    if (word === 'const') return tokens[back + 1]?.text ?? '(arrow)';
    if (word === ';') break;
  }
  return '(arrow)';
}
