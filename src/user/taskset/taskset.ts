/*
 * `taskset`: the CPUs that a program may use. Counterpart: util-linux, schedutils/taskset.c.
 */
import { bitmapListString, bitmapParse, bitmapParselist, bitmapString } from '#lib/bitmap_str.ts';
import { reasonOf, SystemError } from '#user/lib/errors.ts';
import { getopt } from '#user/lib/getopt.ts';
import type { Main, Process } from '#user/lib/process.ts';

/** Most CPUs of a mask. @kernel CPU_SETSIZE include/uapi/linux/sched.h */
const CPU_SETSIZE = 1024;

const USAGE =
  'Usage: taskset [options] [mask | cpu-list] [pid|cmd [args...]]\n' +
  '\n' +
  'Show or change the CPU affinity of a process.\n' +
  '\n' +
  'Options:\n' +
  ' -p, --pid               operate on existing given pid\n' +
  ' -c, --cpu-list          display and specify cpus in list format\n' +
  ' -h, --help              display this help\n';

/** One octet for every eight CPUs, as the system call takes them. */
function pack(set: Uint8Array): Uint8Array {
  const mask = new Uint8Array(CPU_SETSIZE / 8);
  set.forEach((on, id) => {
    mask[id >> 3] = (mask[id >> 3] as number) | (on << (id & 7));
  });
  return mask;
}

function parse(text: string, isList: boolean): Uint8Array | null {
  const set = isList
    ? bitmapParselist(text, CPU_SETSIZE)
    : bitmapParse(text.replace(/^0[xX]/, ''), CPU_SETSIZE);
  return typeof set === 'number' || text === '' ? null : set;
}

function show(set: Uint8Array, isList: boolean): string {
  return isList ? bitmapListString(set) : bitmapString(set).replace(/^[0,]*(?=.)/, '');
}

/** Prints what a task may use now; false: there is no such task. */
function printAffinity(p: Process, pid: number, isList: boolean, word: string): boolean {
  const mask = new Uint8Array(CPU_SETSIZE / 8);
  const err = p.sys.schedGetaffinity(pid, mask);
  if (err < 0) {
    p.warn(`taskset: failed to get pid ${pid}'s affinity: ${reasonOf(new SystemError(err, ''))}\n`);
    return false;
  }
  const set = Uint8Array.from(
    { length: CPU_SETSIZE },
    (_, id) => ((mask[id >> 3] as number) >> (id & 7)) & 1,
  );
  const kind = isList ? 'list' : 'mask';
  p.print(`pid ${pid}'s ${word} affinity ${kind}: ${show(set, isList)}\n`);
  return true;
}

/** `taskset -p [mask] pid`. */
function ofTask(p: Process, words: readonly string[], isList: boolean): number {
  const pid = words[words.length - 1] ?? '';
  if (!/^\d{1,9}$/.test(pid) || words.length > 2) {
    p.warn(`taskset: invalid PID argument: '${pid}'\n`);
    return 1;
  }
  if (!printAffinity(p, Number(pid), isList, 'current')) return 1;
  if (words.length === 1) return 0;
  const set = parse(words[0] as string, isList);
  if (set === null) return wrong(p, words[0] as string, isList);
  const err = p.sys.schedSetaffinity(Number(pid), pack(set));
  if (err < 0) {
    p.warn(`taskset: failed to set pid ${pid}'s affinity: ${reasonOf(new SystemError(err, ''))}\n`);
    return 1;
  }
  return printAffinity(p, Number(pid), isList, 'new') ? 0 : 1;
}

function wrong(p: Process, word: string, isList: boolean): number {
  p.warn(`taskset: failed to parse CPU ${isList ? 'list' : 'mask'}: ${word}\n`);
  return 1;
}

export const main: Main = async (p) => {
  const { options, words, error } = getopt(p.args, '+pch', {
    pid: 'p',
    'cpu-list': 'c',
    help: 'h',
  });
  const has = (letter: string): boolean => options.some((option) => option.letter === letter);
  if (error !== null) {
    p.warn(`taskset: ${error}\nTry 'taskset --help' for more information.\n`);
    return 1;
  }
  if (has('h')) {
    p.print(USAGE);
    return 0;
  }
  const isList = has('c');
  if (words.length < (has('p') ? 1 : 2)) {
    p.warn(`taskset: bad usage\nTry 'taskset --help' for more information.\n`);
    return 1;
  }
  if (has('p')) return ofTask(p, words, isList);
  const [list, command] = words as [string, string];
  const set = parse(list, isList);
  if (set === null) return wrong(p, list, isList);
  const program = p.find(command);
  if (program === null) {
    p.warn(`taskset: failed to execute ${command}: No such file or directory\n`);
    return 127;
  }
  let err = 0;
  const run: Main = async (child) => (err < 0 ? 1 : program(child));
  const status = await p.spawn(run, words.slice(1), {}, (sys) => {
    err = sys.schedSetaffinity(0, pack(set));
  });
  if (err < 0) {
    p.warn(`taskset: failed to set pid 0's affinity: ${reasonOf(new SystemError(err, ''))}\n`);
  }
  return status;
};
