/*
 * `nstat`: the counters of the stack by name. Counterpart of iproute2's misc/nstat.c.
 */
import { readText } from '#user/lib/files.ts';
import { getopt } from '#user/lib/getopt.ts';
import { JsonWriter } from '#user/lib/json_writer.ts';
import type { Main, Process } from '#user/lib/process.ts';

const USAGE =
  'Usage: nstat [OPTION] [ PATTERN [ PATTERN ] ]\n' +
  '   -h, --help          this message\n' +
  '   -a, --ignore        ignore history\n' +
  '   -j, --json          format output in JSON\n' +
  '   -n, --nooutput      do history only\n' +
  '   -p, --pretty        pretty print\n' +
  '   -r, --reset         reset history\n' +
  "   -s, --noupdate      don't update history\n" +
  '   -V, --version       output version information\n' +
  '   -z, --zeros         show entries with zero activity\n';

const LONG: Readonly<Record<string, string>> = {
  help: 'h',
  ignore: 'a',
  json: 'j',
  nooutput: 'n',
  pretty: 'p',
  reset: 'r',
  noupdate: 's',
  version: 'V',
  zeros: 'z',
};

interface Counter {
  readonly name: string;
  /** In digits, since counters may not fit a double. */
  readonly value: string;
}

async function readLines(p: Process, path: string): Promise<string[]> {
  try {
    return (await readText(p.libc, path)).split('\n').filter((line) => line !== '');
  } catch {
    // A family that this machine does not have.
    return [];
  }
}

/** Pairs of lines, of which one has the names and the next the numbers. */
function pairs(lines: readonly string[]): Counter[] {
  const found: Counter[] = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const names = (lines[i] as string).split(/\s+/);
    const values = (lines[i + 1] as string).split(/\s+/);
    const group = (names[0] ?? '').replace(':', '');
    names.slice(1).forEach((name, n) => {
      const value = values[n + 1];
      if (name !== '' && value !== undefined) found.push({ name: group + name, value });
    });
  }
  return found;
}

/** A name and a number a line. */
function single(lines: readonly string[]): Counter[] {
  return lines.flatMap((line) => {
    const [name, value] = line.split(/\s+/);
    return name === undefined || value === undefined ? [] : [{ name, value }];
  });
}

/** Numbers that do not count: settings, and how many there are now. */
const SETTINGS: readonly string[] = [
  'IpForwarding',
  'IpDefaultTTL',
  'TcpRtoAlgorithm',
  'TcpRtoMin',
  'TcpRtoMax',
  'TcpMaxConn',
  'TcpCurrEstab',
];

async function readCounters(p: Process): Promise<Counter[]> {
  const snmp = pairs(await readLines(p, '/proc/net/snmp'));
  const snmp6 = single(await readLines(p, '/proc/net/snmp6'));
  const netstat = pairs(await readLines(p, '/proc/net/netstat'));
  return [...snmp.filter(({ name }) => !SETTINGS.includes(name)), ...snmp6, ...netstat];
}

/** A shell pattern as a regular expression. */
function globOf(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${source}$`);
}

function printJson(p: Process, counters: readonly Counter[], pretty: boolean): void {
  const json = new JsonWriter(pretty);
  json.startObject();
  json.name('kernel');
  json.startObject();
  for (const { name, value } of counters) {
    json.name(name);
    json.raw(value);
  }
  json.endObject();
  json.endObject();
  p.print(`${json.text()}\n`);
}

export const main: Main = async (p) => {
  const { options, words, error } = getopt(p.args, 'hajnprsVz', LONG);
  const has = (letter: string): boolean => options.some((option) => option.letter === letter);
  if (error !== null) {
    p.warn(`nstat: ${error}\n${USAGE}`);
    return 255;
  }
  if (has('h')) {
    p.print(USAGE);
    return 0;
  }
  if (has('V')) {
    p.print('nstat utility, softnet, after iproute2-6.1.0\n');
    return 0;
  }
  const patterns = words.map(globOf);
  const counters = (await readCounters(p)).filter(({ name, value }) => {
    if (value === '0' && !has('z')) return false;
    return patterns.length === 0 || patterns.some((pattern) => pattern.test(name));
  });
  if (has('n')) return 0;
  if (has('j')) printJson(p, counters, has('p'));
  else {
    const lines = counters.map(({ name, value }) => {
      return `${name.padEnd(32)}${value.padEnd(16)}   0.0\n`;
    });
    p.print(`#kernel\n${lines.join('')}`);
  }
  return 0;
};
