/*
 * The language of the shell: a line into words, words into pipelines, pipelines into lists. A subset of the
 * shell command language of POSIX.1.
 */

/** A piece of a word: text as it stands, a variable, or `$((...))`. Quoted pieces are not split. */
export interface Piece {
  readonly kind: 'text' | 'variable' | 'arithmetic';
  readonly text: string;
  readonly quoted: boolean;
}

export type Word = readonly Piece[];

export interface Redirection {
  readonly fd: 0 | 1 | 2;
  /** `&>` sends standard output and standard error to one file, as in bash. */
  readonly how: '<' | '>' | '>>' | '>&' | '&>';
  readonly to: Word;
}

export interface Command {
  /** `NAME=value` before the command's name. */
  readonly assignments: readonly { readonly name: string; readonly value: Word }[];
  readonly words: readonly Word[];
  readonly redirections: readonly Redirection[];
  /** Where it stands in the script, counted from 1. */
  readonly line: number;
}

/** Commands joined by `|`. */
export interface Pipeline {
  readonly commands: readonly Command[];
  /** `!` before it turns its status round. */
  readonly negated: boolean;
}

/** A pipeline, and on what it depends: the status of the one before. */
export interface Step {
  readonly when: 'always' | 'and' | 'or';
  readonly pipeline: Pipeline;
}

/** Steps that are run one after the other; with `&`, beside the rest. */
export interface Statement {
  readonly steps: readonly Step[];
  readonly background: boolean;
}

export class ShellSyntaxError extends Error {
  readonly line: number;
  /** More text could still make it right. */
  readonly unfinished: boolean;

  constructor(message: string, line: number, unfinished: boolean) {
    super(message);
    this.name = 'ShellSyntaxError';
    this.line = line;
    this.unfinished = unfinished;
  }
}

type Token =
  | {
      readonly kind: 'word';
      readonly word: Word;
      readonly raw: string;
      /** `<` or `>` follows without a blank. */
      readonly glued: boolean;
      readonly line: number;
    }
  | { readonly kind: 'operator'; readonly text: string; readonly line: number };

/** Longest first, so that `&&` is not two `&`. */
const OPERATORS: readonly string[] = [
  '&&',
  '||',
  ';;',
  '>>',
  '>&',
  '&>',
  '<',
  '>',
  '|',
  '&',
  ';',
  '(',
  ')',
  '\n',
];
const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;
const SPECIAL = /^[?$!#0-9]/;

/** Reads one line or script after the other, character by character. */
class Lexer {
  private readonly source: string;
  private at: number;
  private line: number;

  constructor(source: string) {
    this.source = source;
    this.at = 0;
    this.line = 1;
  }

  tokens(): Token[] {
    const out: Token[] = [];
    for (;;) {
      this.skipBlanks();
      if (this.at >= this.source.length) return out;
      const operator = OPERATORS.find((text) => this.source.startsWith(text, this.at));
      if (operator !== undefined) {
        this.at += operator.length;
        out.push({ kind: 'operator', text: operator, line: this.line });
        if (operator === '\n') this.line++;
      } else {
        const begin = this.at;
        const word = this.word();
        const raw = this.source.slice(begin, this.at);
        const glued = /[<>]/.test(this.source[this.at] ?? '');
        out.push({ kind: 'word', word, raw, glued, line: this.line });
        this.line += raw.split('\n').length - 1;
      }
    }
  }

  private skipBlanks(): void {
    for (;;) {
      const rest = this.source.slice(this.at, this.at + 2);
      if (rest.startsWith(' ') || rest.startsWith('\t')) this.at++;
      else if (rest === '\\\n') {
        this.at += 2;
        this.line++;
      } else if (rest.startsWith('#')) {
        const end = this.source.indexOf('\n', this.at);
        this.at = end < 0 ? this.source.length : end;
      } else return;
    }
  }

  private word(): Word {
    const pieces: Piece[] = [];
    const text = (value: string, quoted: boolean): void => {
      pieces.push({ kind: 'text', text: value, quoted });
    };
    while (this.at < this.source.length) {
      const c = this.source[this.at] as string;
      if (/[ \t\n;|&<>()]/.test(c)) break;
      if (c === "'") text(this.until("'"), true);
      else if (c === '"') this.doubleQuoted(pieces);
      else if (c === '$') pieces.push(this.variable(false));
      else if (c === '\\') {
        text(this.source[this.at + 1] ?? '\\', true);
        this.at += 2;
      } else {
        const plain = /^[^ \t\n;|&<>()'"$\\]+/.exec(this.source.slice(this.at)) as RegExpExecArray;
        this.at += plain[0].length;
        text(plain[0], false);
      }
    }
    return pieces;
  }

  private unterminated(): ShellSyntaxError {
    return new ShellSyntaxError('Unterminated quoted string', this.line, true);
  }

  /** What stands up to the next `quote`, of which one is at hand. */
  private until(quote: string): string {
    const end = this.source.indexOf(quote, this.at + 1);
    if (end < 0) throw this.unterminated();
    const inside = this.source.slice(this.at + 1, end);
    this.at = end + 1;
    return inside;
  }

  private doubleQuoted(pieces: Piece[]): void {
    this.at++;
    // An empty pair of quotes is a word too.
    let plain = '';
    pieces.push({ kind: 'text', text: '', quoted: true });
    const flush = (): void => {
      pieces.push({ kind: 'text', text: plain, quoted: true });
      plain = '';
    };
    for (;;) {
      const c = this.source[this.at];
      if (c === undefined) throw this.unterminated();
      if (c === '"') break;
      if (c === '$') {
        flush();
        pieces.push(this.variable(true));
      } else if (c === '\\' && /["$\\`\n]/.test(this.source[this.at + 1] ?? '')) {
        if (this.source[this.at + 1] !== '\n') plain += this.source[this.at + 1];
        this.at += 2;
      } else {
        plain += c;
        this.at++;
      }
    }
    this.at++;
    flush();
  }

  private variable(quoted: boolean): Piece {
    this.at++;
    const rest = this.source.slice(this.at);
    const braced = /^\{([A-Za-z_][A-Za-z0-9_]*|[?$!#0-9])\}/.exec(rest);
    if (braced !== null) {
      this.at += braced[0].length;
      return { kind: 'variable', text: braced[1] as string, quoted };
    }
    if (rest.startsWith('((')) return this.arithmetic(quoted);
    if (rest.startsWith('{') || rest.startsWith('(')) {
      throw new ShellSyntaxError('Bad substitution', this.line, false);
    }
    const name = NAME.exec(rest) ?? SPECIAL.exec(rest);
    if (name === null) return { kind: 'text', text: '$', quoted };
    this.at += name[0].length;
    return { kind: 'variable', text: name[0], quoted };
  }

  /** `((...))`, of which the `$` has been taken. */
  private arithmetic(quoted: boolean): Piece {
    let depth = 0;
    for (let i = this.at; i < this.source.length; i++) {
      const c = this.source[i];
      if (c === '(') depth++;
      if (c !== ')' || --depth > 0) continue;
      const inside = this.source.slice(this.at + 2, i - 1);
      const closed = this.source[i - 1] === ')';
      this.at = i + 1;
      if (closed) return { kind: 'arithmetic', text: inside, quoted };
      break;
    }
    throw new ShellSyntaxError("Missing '))'", this.line, depth > 0);
  }
}

class Parser {
  private readonly tokens: readonly Token[];
  private at: number;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
    this.at = 0;
  }

  script(): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      while (this.operator('\n')) this.at++;
      if (this.at >= this.tokens.length) return statements;
      const steps = this.steps();
      const background = this.operator('&');
      if (background || this.operator(';') || this.operator('\n')) this.at++;
      else if (this.at < this.tokens.length) throw this.unexpected();
      statements.push({ steps, background });
    }
  }

  private steps(): Step[] {
    const steps: Step[] = [{ when: 'always', pipeline: this.pipeline() }];
    for (;;) {
      const when = this.operator('&&') ? 'and' : this.operator('||') ? 'or' : null;
      if (when === null) return steps;
      this.at++;
      while (this.operator('\n')) this.at++;
      steps.push({ when, pipeline: this.pipeline() });
    }
  }

  private pipeline(): Pipeline {
    let negated = false;
    for (let token = this.tokens[this.at]; token?.kind === 'word' && token.raw === '!'; ) {
      negated = !negated;
      this.at++;
      token = this.tokens[this.at];
    }
    const commands = [this.command()];
    while (this.operator('|')) {
      this.at++;
      while (this.operator('\n')) this.at++;
      commands.push(this.command());
    }
    return { commands, negated };
  }

  private command(): Command {
    const line = this.tokens[this.at]?.line ?? 1;
    const assignments: { name: string; value: Word }[] = [];
    const words: Word[] = [];
    const redirections: Redirection[] = [];
    for (;;) {
      const token = this.tokens[this.at];
      if (token === undefined) break;
      const redirection = this.redirection(token);
      if (redirection !== null) redirections.push(redirection);
      else if (token.kind === 'operator') break;
      else {
        const assignment = words.length === 0 ? asAssignment(token.word) : null;
        if (assignment === null) words.push(token.word);
        else assignments.push(assignment);
        this.at++;
      }
    }
    if (words.length + assignments.length + redirections.length === 0) throw this.unexpected();
    return { assignments, words, redirections, line };
  }

  /** `> file`, `2>> file`, `2>&1`, `< file`; null when there is none here. */
  private redirection(token: Token): Redirection | null {
    let fd: number | null = null;
    let operator = token;
    const next = this.tokens[this.at + 1];
    if (token.kind === 'word') {
      const isOperator = next?.kind === 'operator' && /^[<>]/.test(next.text);
      if (!token.glued || !/^[012]$/.test(token.raw) || !isOperator) return null;
      fd = Number(token.raw);
      operator = next;
    }
    if (operator.kind !== 'operator' || !/^(?:<|>|>>|>&|&>)$/.test(operator.text)) return null;
    this.at += fd === null ? 1 : 2;
    const target = this.tokens[this.at];
    if (target?.kind !== 'word') throw this.unexpected();
    this.at++;
    const how = operator.text as Redirection['how'];
    return { fd: (fd ?? (how === '<' ? 0 : 1)) as 0 | 1 | 2, how, to: target.word };
  }

  private operator(text: string): boolean {
    const token = this.tokens[this.at];
    return token?.kind === 'operator' && token.text === text;
  }

  private unexpected(): ShellSyntaxError {
    const token = this.tokens[this.at];
    if (token === undefined) {
      const line = this.tokens.at(-1)?.line ?? 1;
      return new ShellSyntaxError('end of file unexpected', line, true);
    }
    if (token.kind === 'word') {
      return new ShellSyntaxError('word unexpected', token.line, false);
    }
    const text = token.text === '\n' ? 'newline' : `"${token.text}"`;
    return new ShellSyntaxError(`${text} unexpected`, token.line, false);
  }
}

/** `NAME=value`, if a word is one. */
function asAssignment(word: Word): { name: string; value: Word } | null {
  const [first, ...rest] = word;
  if (first === undefined || first.kind !== 'text' || first.quoted) return null;
  const match = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(first.text);
  if (match === null) return null;
  return { name: match[1] as string, value: [{ ...first, text: match[2] as string }, ...rest] };
}

/** The statements of a script. @throws ShellSyntaxError */
export function parseScript(source: string): Statement[] {
  return new Parser(new Lexer(source).tokens()).script();
}
