/*
 * Commands about the machine: hostname, uname, sleep, seq, ls, date. Counterparts of GNU coreutils and hostname.
 */

import { inNtop4, inNtop6 } from '#lib/parse_addr.ts';
import { IFF_LOOPBACK } from '#uapi/if.ts';
import { AF_INET, AF_INET6 } from '#uapi/socket.ts';
import { reasonOf, SystemError } from '#user/lib/errors.ts';
import { exists } from '#user/lib/files.ts';
import { getopt } from '#user/lib/getopt.ts';
import { getifaddrs } from '#user/lib/ifaddrs.ts';
import type { Main, Process } from '#user/lib/process.ts';

const usage = (p: Process, error: string): number => {
  p.warn(`${p.name}: ${error}\nTry '${p.name} --help' for more information.\n`);
  return 1;
};

/** All addresses but those of the loopback and of one link. */
async function allAddresses(p: Process): Promise<string> {
  const texts: string[] = [];
  for (const { flags, addresses } of await getifaddrs(p.libc)) {
    if ((flags & IFF_LOOPBACK) !== 0) continue;
    for (const { family, bytes } of addresses) {
      if (family === AF_INET) {
        texts.push(inNtop4(new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)));
      } else if (family === AF_INET6 && bytes[0] !== 0xfe) texts.push(inNtop6(bytes));
    }
  }
  return texts.map((text) => `${text} `).join('');
}

export const hostname: Main = async (p) => {
  const { options, words, error } = getopt(p.args, 'Isf', {
    'all-ip-addresses': 'I',
    short: 's',
    fqdn: 'f',
  });
  if (error !== null) return usage(p, error);
  if (options.some(({ letter }) => letter === 'I')) {
    p.print(`${await allAddresses(p)}\n`);
    return 0;
  }
  const [name] = words;
  if (name !== undefined) {
    const result = p.sys.sethostname(name);
    if (result >= 0) return 0;
    p.warn(`hostname: ${reasonOf(new SystemError(result, 'sethostname'))}\n`);
    return 1;
  }
  const { nodename } = p.sys.uname();
  const short = options.some(({ letter }) => letter === 's');
  p.print(`${short ? nodename.replace(/\..*/, '') : nodename}\n`);
  return 0;
};

export const uname: Main = async (p) => {
  const { options, words, error } = getopt(p.args, 'asnrvmpio', {
    all: 'a',
    'kernel-name': 's',
    nodename: 'n',
    'kernel-release': 'r',
    machine: 'm',
    'operating-system': 'o',
  });
  if (error !== null) return usage(p, error);
  if (words.length > 0) return usage(p, `extra operand ‘${words[0]}’`);
  const { sysname, nodename, release } = p.sys.uname();
  const letters = options.map(({ letter }) => letter);
  const all = letters.includes('a');
  const parts: readonly (readonly [letter: string, text: string])[] = [
    ['s', sysname],
    ['n', nodename],
    ['r', release],
    ['m', 'x86_64'],
    ['o', 'GNU/Linux'],
  ];
  const shown = parts.filter(([letter]) => {
    return all || letters.includes(letter) || (letters.length === 0 && letter === 's');
  });
  p.print(`${shown.map(([, text]) => text).join(' ')}\n`);
  return 0;
};

const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86400 };

export const sleep: Main = async (p) => {
  if (p.args.length === 0) return usage(p, 'missing operand');
  let seconds = 0;
  for (const word of p.args) {
    const match = /^(\d+(?:\.\d*)?|\.\d+)([smhd]?)$/.exec(word);
    if (match === null && word !== 'infinity' && word !== 'inf') {
      return usage(p, `invalid time interval ‘${word}’`);
    }
    // A machine that sleeps for ever is woken by a signal only.
    seconds += match === null ? 1e9 : Number(match[1]) * (UNITS[match[2] ?? ''] ?? 1);
  }
  await p.libc.sleep(seconds * 1000);
  return 0;
};

export const seq: Main = async (p) => {
  const numbers = p.args.map(Number);
  const bad = p.args.find((_, i) => !Number.isFinite(numbers[i]));
  if (bad !== undefined) return usage(p, `invalid floating point argument: ‘${bad}’`);
  if (numbers.length < 1 || numbers.length > 3) {
    return usage(p, numbers.length === 0 ? 'missing operand' : `extra operand ‘${p.args[3]}’`);
  }
  const first = numbers.length > 1 ? (numbers[0] as number) : 1;
  const step = numbers.length > 2 ? (numbers[1] as number) : 1;
  const last = numbers.at(-1) as number;
  if (step === 0) return usage(p, `invalid Zero increment value: ‘${p.args[1]}’`);
  let text = '';
  for (let i = 0; ; i++) {
    const value = first + i * step;
    if (step > 0 ? value > last : value < last) break;
    text += `${value}\n`;
    if (text.length > 65536) {
      await p.pour(new TextEncoder().encode(text));
      text = '';
    }
  }
  p.print(text);
  return 0;
};

export const ls: Main = async (p) => {
  const { words, error } = getopt(p.args, '1aA', { all: 'a' });
  if (error !== null) return usage(p, error);
  let status = 0;
  for (const path of words.length === 0 ? ['/'] : words) {
    const names = p.sys.readdir(path);
    if (typeof names !== 'number') {
      p.print(
        [...names]
          .sort()
          .map((name) => `${name}\n`)
          .join(''),
      );
    } else if (exists(p.libc, path)) p.print(`${path}\n`);
    else {
      const why = reasonOf(new SystemError(names, 'open'));
      p.warn(`ls: cannot access '${path}': ${why}\n`);
      status = 2;
    }
  }
  return status;
};

export const yes: Main = async (p) => {
  const line = `${p.args.length === 0 ? 'y' : p.args.join(' ')}\n`;
  const block = new TextEncoder().encode(line.repeat(1024));
  for (;;) {
    // Nothing here waits on the machine, so others must get their turn.
    await p.pour(block);
    await p.libc.sleep(0);
  }
};

/** `echo` of the file system; the shell has its own. */
export const echo: Main = (p) => {
  const quiet = p.args[0] === '-n';
  p.print(`${p.args.slice(quiet ? 1 : 0).join(' ')}${quiet ? '' : '\n'}`);
  return Promise.resolve(0);
};

export const success: Main = () => Promise.resolve(0);
export const failure: Main = () => Promise.resolve(1);
