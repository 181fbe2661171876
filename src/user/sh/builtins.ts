/*
 * Commands that the shell does itself, because they are about the shell or too small to be programs.
 */
import { encodeText, type Output } from '#user/lib/streams.ts';

/** What a builtin may touch of the shell. */
export interface ShellState {
  readonly variables: Map<string, string>;
  readonly exported: Set<string>;
  status: number;
  /** Programs that run beside the shell. */
  readonly background: Set<Promise<number>>;
}

export interface BuiltinCall {
  readonly shell: ShellState;
  readonly argv: readonly string[];
  readonly stdout: Output;
  /** Writes to standard error with the shell's name before it. */
  complain(text: string): void;
}

export type Builtin = (call: BuiltinCall) => Promise<number> | number;

/** Ends the shell. */
export class ExitShell extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit ${status}`);
    this.name = 'ExitShell';
    this.status = status;
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
};

/** The text with its escapes replaced; `\c` ends it, and says so. */
export function unescapeEcho(text: string): { text: string; cut: boolean } {
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    const next = text[i + 1];
    if (c !== '\\' || next === undefined) {
      out += c;
      continue;
    }
    i++;
    if (next === 'c') return { text: out, cut: true };
    const octal = /^0[0-7]{0,3}/.exec(text.slice(i));
    if (octal !== null) {
      out += String.fromCharCode(Number.parseInt(octal[0], 8) & 255);
      i += octal[0].length - 1;
    } else out += ESCAPES[next] ?? `\\${next}`;
  }
  return { text: out, cut: false };
}

const echo: Builtin = ({ argv, stdout }) => {
  const quiet = argv[1] === '-n';
  const { text, cut } = unescapeEcho(argv.slice(quiet ? 2 : 1).join(' '));
  stdout.write(encodeText(quiet || cut ? text : `${text}\n`));
  return 0;
};

const exit: Builtin = ({ shell, argv, complain }) => {
  const text = argv[1];
  if (text === undefined) throw new ExitShell(shell.status);
  if (!/^\d+$/.test(text)) {
    complain(`exit: Illegal number: ${text}`);
    throw new ExitShell(2);
  }
  throw new ExitShell(Number(text) & 0xff);
};

const exportVariable: Builtin = ({ shell, argv, complain }) => {
  for (const word of argv.slice(1)) {
    const match = /^([A-Za-z_][A-Za-z0-9_]*)(?:=(.*))?$/s.exec(word);
    if (match === null) {
      complain(`export: ${word}: bad variable name`);
      return 2;
    }
    const [, name = '', value] = match;
    shell.exported.add(name);
    if (value !== undefined) shell.variables.set(name, value);
  }
  return 0;
};

const unset: Builtin = ({ shell, argv }) => {
  for (const name of argv.slice(1)) {
    shell.variables.delete(name);
    shell.exported.delete(name);
  }
  return 0;
};

const wait: Builtin = async ({ shell }) => {
  while (shell.background.size > 0) await Promise.all(shell.background);
  return 0;
};

/** `test` with the comparisons that need no file. */
const test: Builtin = ({ argv, complain }) => {
  let words = argv.slice(1);
  if (argv[0] === '[') {
    if (words.at(-1) !== ']') {
      complain('[: missing ]');
      return 2;
    }
    words = words.slice(0, -1);
  }
  const negated = words.length > 1 && words[0] === '!';
  const result = testWords(negated ? words.slice(1) : words);
  if (result === null) {
    const odd = words.length === 2 ? words[0] : words[1];
    complain(`${argv[0]}: ${odd ?? ''}: unexpected operator`);
    return 2;
  }
  return result !== negated ? 0 : 1;
};

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '-eq': (a, b) => a === b,
  '-ne': (a, b) => a !== b,
  '-lt': (a, b) => a < b,
  '-le': (a, b) => a <= b,
  '-gt': (a, b) => a > b,
  '-ge': (a, b) => a >= b,
};

function testWords(words: readonly string[]): boolean | null {
  const [a = '', b = '', c = ''] = words;
  if (words.length === 0) return false;
  if (words.length === 1) return a !== '';
  if (words.length === 2) {
    if (a === '-n') return b !== '';
    return a === '-z' ? b === '' : null;
  }
  if (words.length !== 3) return null;
  if (b === '=') return a === c;
  if (b === '!=') return a !== c;
  const compare = Object.hasOwn(COMPARISONS, b) ? COMPARISONS[b] : undefined;
  const numbers = [a, c].every((text) => /^\s*-?\d+\s*$/.test(text));
  return compare === undefined || !numbers ? null : compare(Number(a), Number(c));
}

export const BUILTINS: Readonly<Record<string, Builtin>> = {
  ':': () => 0,
  '[': test,
  cd: () => 0,
  echo,
  exit,
  export: exportVariable,
  false: () => 1,
  test,
  true: () => 0,
  unset,
  wait,
};
