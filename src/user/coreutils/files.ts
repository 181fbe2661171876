/*
 * Commands that make and take away files: dd, rm. Counterparts of GNU coreutils.
 */
import { EAGAIN, ENOENT } from '#uapi/errno.ts';
import { O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '#uapi/fcntl.ts';
import { reasonOf, SystemError } from '#user/lib/errors.ts';
import { getopt } from '#user/lib/getopt.ts';
import type { Main, Process } from '#user/lib/process.ts';

const fail = (p: Process, what: string, errno: number): number => {
  p.warn(`${p.name}: ${what}: ${reasonOf(new SystemError(errno, p.name))}\n`);
  return 1;
};

export const rm: Main = async (p) => {
  const { options, words, error } = getopt(p.args, 'f', { force: 'f' });
  const force = options.length > 0;
  if (error !== null || (words.length === 0 && !force)) {
    p.warn(`rm: ${error ?? 'missing operand'}\nTry 'rm --help' for more information.\n`);
    return 1;
  }
  let status = 0;
  for (const path of words) {
    const err = p.sys.unlink(path);
    if (err < 0 && !(force && err === -ENOENT)) status = fail(p, `cannot remove '${path}'`, err);
  }
  return status;
};

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  c: 1,
  w: 2,
  b: 512,
  k: 1024,
  K: 1024,
  kB: 1000,
  M: 1024 ** 2,
  MB: 1e6,
  G: 1024 ** 3,
  GB: 1e9,
};

/** A number with a unit; NaN when it is none. */
function amount(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([A-Za-z]*)$/.exec(text) ?? [];
  return digits === '' ? Number.NaN : Number(digits) * (FACTORS[unit] ?? Number.NaN);
}

interface DdOptions {
  readonly input: string;
  readonly output: string;
  readonly blockSize: number;
  /** Infinity: to the end. */
  readonly count: number;
  readonly quiet: boolean;
}

/** The operands; a text says what is wrong. */
function parseDd(args: readonly string[]): DdOptions | string {
  const given: Record<string, string> = {};
  for (const word of args) {
    const equals = word.indexOf('=');
    const name = word.slice(0, Math.max(0, equals));
    if (!['bs', 'count', 'if', 'of', 'status'].includes(name)) {
      return `unrecognized operand '${word}'`;
    }
    given[name] = word.slice(equals + 1);
  }
  const blockSize = amount(given['bs'] ?? '512');
  const count = given['count'] === undefined ? Number.POSITIVE_INFINITY : amount(given['count']);
  if (!(blockSize > 0)) return `invalid number: '${given['bs']}'`;
  if (Number.isNaN(count)) return `invalid number: '${given['count']}'`;
  if (given['if'] === undefined || given['of'] === undefined) return 'if= and of= are needed';
  const quiet = given['status'] === 'none';
  return { input: given['if'], output: given['of'], blockSize, count, quiet };
}

/** Copies blocks until the end or `count`; how many were whole, how many not, or a negative errno. */
async function copyBlocks(
  p: Process,
  from: number,
  to: number,
  { blockSize, count }: DdOptions,
): Promise<{ whole: number; partial: number; bytes: number } | number> {
  const buf = new Uint8Array(blockSize);
  const done = { whole: 0, partial: 0, bytes: 0 };
  while (done.whole + done.partial < count) {
    const got = p.sys.read(from, buf);
    if (got < 0) return got;
    if (got === 0) break;
    const put = p.sys.write(to, buf.subarray(0, got));
    if (put < 0) return put;
    if (put < got) return -EAGAIN;
    if (got === blockSize) done.whole++;
    else done.partial++;
    done.bytes += got;
    await p.stdout.ready();
  }
  return done;
}

export const dd: Main = async (p) => {
  const options = parseDd(p.args);
  if (typeof options === 'string') {
    p.warn(`dd: ${options}\nTry 'dd --help' for more information.\n`);
    return 1;
  }
  const from = p.sys.open(options.input, O_RDONLY);
  if (from < 0) return fail(p, `failed to open '${options.input}'`, from);
  const to = p.sys.open(options.output, O_WRONLY | O_CREAT | O_TRUNC);
  if (to < 0) {
    p.sys.close(from);
    return fail(p, `failed to open '${options.output}'`, to);
  }
  const done = await copyBlocks(p, from, to, options);
  p.sys.close(from);
  p.sys.close(to);
  if (typeof done === 'number') return fail(p, `error copying to '${options.output}'`, done);
  if (!options.quiet) {
    const blocks = `${done.whole}+${done.partial}`;
    p.warn(`${blocks} records in\n${blocks} records out\n${done.bytes} bytes copied\n`);
  }
  return 0;
};
