/*
 * Commands over text: cat, head, tail, wc, grep. Counterparts of GNU coreutils and grep.
 */
import { reasonOf } from '#user/lib/errors.ts';
import { readFile } from '#user/lib/files.ts';
import { getopt } from '#user/lib/getopt.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { decodeText, readAll } from '#user/lib/streams.ts';

/** What a file has, or standard input for `-`; null when it cannot be read, which is said. */
async function readNamed(p: Process, name: string): Promise<Uint8Array | null> {
  try {
    return name === '-' ? await readAll(p.stdin) : await readFile(p.libc, name);
  } catch (error) {
    p.warn(`${p.name}: ${name}: ${reasonOf(error)}\n`);
    return null;
  }
}

const usage = (p: Process, error: string): number => {
  p.warn(`${p.name}: ${error}\n`);
  return p.name === 'grep' ? 2 : 1;
};

export const cat: Main = async (p) => {
  const { options, words, error } = getopt(p.args, 'nu', { number: 'n' });
  if (error !== null) return usage(p, error);
  const numbered = options.some(({ letter }) => letter === 'n');
  let status = 0;
  let line = 0;
  for (const name of words.length === 0 ? ['-'] : words) {
    // Without options the bytes go through as they come.
    if (name === '-' && !numbered) {
      for (;;) {
        const bytes = await p.stdin.read();
        if (bytes === null) break;
        await p.pour(bytes);
      }
      continue;
    }
    const bytes = await readNamed(p, name);
    if (bytes === null) status = 1;
    else if (!numbered) await p.pour(bytes);
    else {
      for (const text of splitLines(decodeText(bytes))) {
        p.print(`${String(++line).padStart(6)}\t${text}`);
      }
    }
  }
  return status;
};

/** Lines with their ends; the last may lack one. */
function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** The first lines of standard input, without waiting for more than them. */
async function headOfInput(p: Process, count: number): Promise<void> {
  let left = count;
  while (left > 0) {
    const bytes = await p.stdin.read();
    if (bytes === null) return;
    let end = 0;
    while (left > 0 && end < bytes.length) {
      const at = bytes.indexOf(10, end);
      end = at < 0 ? bytes.length : at + 1;
      if (at >= 0) left--;
    }
    await p.pour(bytes.subarray(0, end));
  }
  p.stdin.close();
}

function firstLines(lines: readonly string[], count: number): readonly string[] {
  return lines.slice(0, count);
}

/** `head` and `tail`: the first or last lines. */
const slicer =
  (take: (lines: readonly string[], count: number, from: boolean) => readonly string[]): Main =>
  async (p) => {
    // The old way of saying how many: -5.
    const args = p.args.flatMap((word) => (/^-\d+$/.test(word) ? ['-n', word.slice(1)] : [word]));
    const { options, words, error } = getopt(args, 'n:q', { lines: 'n', quiet: 'q' });
    if (error !== null) return usage(p, error);
    const text = options.find(({ letter }) => letter === 'n')?.value ?? '10';
    if (!/^\+?\d+$/.test(text)) return usage(p, `invalid number of lines: ‘${text}’`);
    const names = words.length === 0 ? ['-'] : words;
    let status = 0;
    for (const [i, name] of names.entries()) {
      if (name === '-' && names.length === 1 && take === firstLines) {
        await headOfInput(p, Number(text));
        continue;
      }
      const bytes = await readNamed(p, name);
      if (bytes === null) {
        status = 1;
        continue;
      }
      if (names.length > 1) p.print(`${i > 0 ? '\n' : ''}==> ${name} <==\n`);
      const lines = take(splitLines(decodeText(bytes)), Number(text), text.startsWith('+'));
      p.print(lines.join(''));
    }
    return status;
  };

export const head: Main = slicer(firstLines);

export const tail: Main = slicer((lines, count, from) => {
  if (from) return lines.slice(Math.max(0, count - 1));
  return count === 0 ? [] : lines.slice(-count);
});

export const wc: Main = async (p) => {
  const { options, words, error } = getopt(p.args, 'clw', { bytes: 'c', lines: 'l', words: 'w' });
  if (error !== null) return usage(p, error);
  const has = (letter: string): boolean =>
    options.length === 0 || options.some((option) => option.letter === letter);
  const rows: { counts: number[]; name: string }[] = [];
  let status = 0;
  for (const name of words.length === 0 ? ['-'] : words) {
    const bytes = await readNamed(p, name);
    if (bytes === null) {
      status = 1;
      continue;
    }
    const text = decodeText(bytes);
    const counts: number[] = [];
    if (has('l')) counts.push(text.split('\n').length - 1);
    if (has('w')) counts.push(text.split(/\s+/).filter((word) => word !== '').length);
    if (has('c')) counts.push(bytes.length);
    rows.push({ counts, name: words.length === 0 ? '' : name });
  }
  // One number alone needs no column.
  const single = rows.length === 1 && (rows[0]?.counts.length ?? 0) === 1;
  const width = single ? 0 : words.length === 0 ? 7 : widest(rows);
  for (const { counts, name } of rows) {
    const cells = counts.map((count) => String(count).padStart(width)).join(' ');
    p.print(`${cells}${name === '' ? '' : ` ${name}`}\n`);
  }
  return status;
};

const widest = (rows: readonly { counts: number[] }[]): number =>
  Math.max(...rows.flatMap(({ counts }) => counts.map((count) => String(count).length)));

export const grep: Main = async (p) => {
  const { options, words, error } = getopt(p.args, 'ce:EFihnqvo');
  if (error !== null) return usage(p, error);
  const has = (letter: string): boolean => options.some((option) => option.letter === letter);
  const given = options.find(({ letter }) => letter === 'e')?.value;
  const pattern = given ?? words[0];
  if (pattern === undefined) return usage(p, 'a pattern is required');
  const names = given === undefined ? words.slice(1) : words;
  const source = has('F') ? pattern.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') : pattern;
  const expression = new RegExp(source, has('i') ? 'gi' : 'g');
  let selected = 0;
  let status = 0;
  for (const name of names.length === 0 ? ['-'] : names) {
    const bytes = await readNamed(p, name);
    if (bytes === null) {
      status = 2;
      continue;
    }
    const lines = splitLines(decodeText(bytes)).map((text, i) => ({
      line: text.replace(/\n$/, ''),
      number: i + 1,
    }));
    const kept = lines.filter(({ line }) => line.search(expression) >= 0 !== has('v'));
    selected += kept.length;
    if (has('q')) continue;
    const prefix = names.length > 1 && !has('h') ? `${name}:` : '';
    if (has('c')) p.print(`${prefix}${kept.length}\n`);
    else {
      for (const { line, number } of kept) {
        const shown = has('o') ? (line.match(expression) ?? []) : [line];
        const label = has('n') ? `${prefix}${number}:` : prefix;
        p.print(shown.map((text) => `${label}${text}\n`).join(''));
      }
    }
  }
  if (status !== 0 && !(has('q') && selected > 0)) return status;
  return selected > 0 ? 0 : 1;
};
