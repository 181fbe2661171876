/*
 * `sysctl`: reads and writes the kernel's settings by name. Counterpart of procps' sysctl.
 */
import { EACCES, EISDIR, ENOENT, EPERM } from '#uapi/errno.ts';
import { O_RDONLY } from '#uapi/fcntl.ts';
import { errnoOf, reasonOf } from '#user/lib/errors.ts';
import { listDirectory, readText, writeText } from '#user/lib/files.ts';
import type { Main, Process } from '#user/lib/process.ts';
import { decodeText, readAll } from '#user/lib/streams.ts';

const ROOT = '/proc/sys/';

interface Options {
  all: boolean;
  write: boolean;
  /** Values only. */
  values: boolean;
  /** Names only. */
  names: boolean;
  /** No line end after a value. */
  binary: boolean;
  quiet: boolean;
  /** Unknown names are no error. */
  ignore: boolean;
  /** Settings are read from this file. */
  load: string | null;
  pattern: RegExp | null;
  dryRun: boolean;
}

/**
 * `net.ipv4.ip_forward` as `net/ipv4/ip_forward`. The first separator says which one is used: in a name of
 * dots a slash stands for a dot within a component, as in `net.ipv4.conf.eth0/5.forwarding`.
 */
export function nameToPath(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  if (first !== '.') return name;
  return name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
}

/** The other way round. */
export function pathToName(path: string): string {
  return path.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/'));
}

/** Complains about a setting; its exit status. */
function complain(
  p: Process,
  options: Options,
  name: string,
  error: unknown,
  verb: 'reading' | 'setting',
): number {
  const errno = errnoOf(error);
  const path = nameToPath(name);
  if (errno === ENOENT) {
    // Some settings say so too, e.g. of a congestion control that nobody knows.
    const known = listDirectory(p.libc, ROOT + path.replace(/\/?[^/]*$/, '')) ?? [];
    if (!known.includes(path.replace(/^.*\//, ''))) {
      if (options.ignore) return 0;
      p.warn(`sysctl: cannot stat ${ROOT}${path}: No such file or directory\n`);
      return 1;
    }
  }
  if (errno === EACCES || errno === EPERM || errno === EISDIR) {
    // What can only be written is passed over when all is read.
    if (verb === 'setting') p.warn(`sysctl: setting key "${name}": Invalid argument\n`);
    return 0;
  }
  p.warn(`sysctl: ${verb} key "${name}": ${reasonOf(error)}\n`);
  return 1;
}

/** The lines of a setting, as they are printed. */
function format(options: Options, name: string, value: string): string {
  if (options.names) return `${name}\n`;
  const lines = value.endsWith('\n') ? value.slice(0, -1) : value;
  if (options.binary) return lines;
  return lines
    .split('\n')
    .map((line) => (options.values ? `${line}\n` : `${name} = ${line}\n`))
    .join('');
}

async function show(p: Process, options: Options, name: string): Promise<number> {
  const path = nameToPath(name);
  const names = p.sys.readdir(ROOT + path);
  if (typeof names !== 'number') return showBelow(p, options, `${path}/`);
  try {
    const text = await readText(p.libc, ROOT + path);
    p.print(format(options, pathToName(path), text));
    return 0;
  } catch (error) {
    return complain(p, options, pathToName(path), error, 'reading');
  }
}

/** Everything below a directory, in order. */
async function showBelow(p: Process, options: Options, prefix: string): Promise<number> {
  const names = p.sys.readdir(ROOT + prefix);
  if (typeof names === 'number') return 0;
  let status = 0;
  for (const entry of [...names].sort()) {
    const path = prefix + entry;
    if (typeof p.sys.readdir(ROOT + path) !== 'number') {
      status = (await showBelow(p, options, `${path}/`)) || status;
      continue;
    }
    const name = pathToName(path);
    if (options.pattern !== null && !options.pattern.test(name)) continue;
    status = (await showFound(p, options, path, name)) || status;
  }
  return status;
}

/** A setting that was found by looking; what can only be written is passed over. */
async function showFound(
  p: Process,
  options: Options,
  path: string,
  name: string,
): Promise<number> {
  if (options.names) {
    p.print(`${name}\n`);
    return 0;
  }
  const fd = p.sys.open(ROOT + path, O_RDONLY);
  if (fd < 0) return 0;
  p.sys.close(fd);
  try {
    p.print(format(options, name, await readText(p.libc, ROOT + path)));
    return 0;
  } catch (error) {
    return complain(p, options, name, error, 'reading');
  }
}

async function set(p: Process, options: Options, text: string, where: string): Promise<number> {
  const equals = text.indexOf('=');
  if (equals < 0) {
    p.warn(`sysctl: ${where}: invalid syntax, continuing...\n`);
    return 1;
  }
  const ignore = text.startsWith('-');
  const path = nameToPath(text.slice(ignore ? 1 : 0, equals).trim());
  const value = text.slice(equals + 1).trim();
  const name = pathToName(path);
  if (path === '' || path.split('/').includes('..')) {
    p.warn(`sysctl: Path is not under ${ROOT}: ${ROOT}${path}\n`);
    return 1;
  }
  try {
    if (!options.dryRun) await writeText(p.libc, ROOT + path, `${value}\n`);
  } catch (error) {
    const status = complain(p, options, name, error, 'setting');
    // A line that starts with `-` may fail.
    return ignore ? 0 : status;
  }
  if (!options.quiet) p.print(format(options, name, `${value}\n`));
  return 0;
}

/** The settings of a file: `name = value` a line. */
async function load(p: Process, options: Options, file: string): Promise<number> {
  let text: string;
  try {
    text = file === '-' ? decodeText(await readAll(p.stdin)) : await readText(p.libc, file);
  } catch (error) {
    p.warn(`sysctl: cannot open "${file}": ${reasonOf(error)}\n`);
    return 1;
  }
  let status = 0;
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || /^[#;]/.test(line)) continue;
    const result = await set(p, options, line, `${file}(${i + 1})`);
    if (line.includes('=')) status = result || status;
  }
  return status;
}

const USAGE =
  '\nUsage:\n sysctl [options] [variable[=value] ...]\n\nOptions:\n' +
  '  -a, --all            display all variables\n' +
  '  -A                   alias of -a\n' +
  '  -X                   alias of -a\n' +
  '      --deprecated     include deprecated parameters to listing\n' +
  '  -b, --binary         print value without new line\n' +
  '  -e, --ignore         ignore unknown variables errors\n' +
  '  -N, --names          print variable names without values\n' +
  '  -n, --values         print only values of the given variable(s)\n' +
  '  -p, --load[=<file>]  read values from file\n' +
  '  -r, --pattern <expression>\n' +
  '                       select setting that match expression\n' +
  '  -q, --quiet          do not echo variable set\n' +
  '  -w, --write          enable writing a value to variable\n';

const LETTERS: Readonly<Record<string, Partial<Options>>> = {
  a: { all: true },
  A: { all: true },
  X: { all: true },
  b: { binary: true, values: true },
  e: { ignore: true },
  N: { names: true },
  n: { values: true },
  q: { quiet: true },
  w: { write: true },
};

const LONG: Readonly<Record<string, Partial<Options>>> = {
  '--all': { all: true },
  '--binary': { binary: true, values: true },
  '--deprecated': {},
  '--ignore': { ignore: true },
  '--names': { names: true },
  '--values': { values: true },
  '--quiet': { quiet: true },
  '--write': { write: true },
  '--dry-run': { dryRun: true },
};

/** Reads the command line: the words that are no options, or what is wrong with one. */
function readOptions(args: readonly string[], options: Options): string[] | string {
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const word = args[i] as string;
    if (word === '-r' || word === '--pattern') {
      options.pattern = new RegExp(args[++i] ?? '');
      options.all = true;
    } else if (word === '-p' || word.startsWith('--load')) {
      options.load = word.split('=')[1] ?? args[i + 1] ?? '/etc/sysctl.conf';
      if (!word.includes('=')) i++;
    } else if (word.startsWith('--')) {
      const change = Object.hasOwn(LONG, word) ? LONG[word] : undefined;
      if (change === undefined) return `unrecognized option '${word}'`;
      Object.assign(options, change);
    } else if (word.startsWith('-') && word.length > 1) {
      for (const letter of word.slice(1)) {
        const change = Object.hasOwn(LETTERS, letter) ? LETTERS[letter] : undefined;
        if (change === undefined) return `invalid option -- '${letter}'`;
        Object.assign(options, change);
      }
    } else rest.push(word);
  }
  return rest;
}

export const main: Main = async (p) => {
  const options: Options = {
    all: false,
    write: false,
    values: false,
    names: false,
    binary: false,
    quiet: false,
    ignore: false,
    load: null,
    pattern: null,
    dryRun: false,
  };
  const words = readOptions(p.args, options);
  if (typeof words === 'string') {
    p.warn(`sysctl: ${words}\n${USAGE}`);
    return 0;
  }
  if (options.load !== null) return load(p, options, options.load);
  if (options.all) return showBelow(p, options, '');
  if (words.length === 0) {
    p.print(USAGE);
    return 1;
  }
  let status = 0;
  for (const word of words) {
    const result =
      options.write || word.includes('=')
        ? await set(p, options, word, 'command line(0)')
        : await show(p, options, word);
    status = result || status;
  }
  return status;
};
