/**
 * The command as people and scripts meet it: helps, statuses, and what it says about every kind of bad
 * input. Each complaint names what was wrong and where, ends non-zero, and leaves nothing behind.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readPcapng } from '../support/pcapng.ts';
import { type Ended, ROOT, type RunOptions, Softnet } from '../support/softnet.ts';

const EXAMPLES = readdirSync(join(ROOT, 'examples')).filter((name) => /\.(yaml|ts)$/.test(name));

let softnet: Softnet;
/** Where a test's files are, and where its commands run. */
let folder: string;

beforeAll(async () => {
  softnet = await Softnet.build();
}, 60_000);

afterAll(() => softnet.remove());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'softnet-command-'));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const run = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  softnet.run(args, { cwd: folder, ...options });

function file(name: string, text: string | Uint8Array): string {
  writeFileSync(join(folder, name), text);
  return name;
}

/** One machine that runs these lines. */
const alone = (...exec: readonly string[]): string =>
  JSON.stringify({ name: 'alone', topology: { nodes: { a: { exec } } } });

/** Two machines on a cable, up and addressed. */
const PAIR = `name: pair
topology:
  nodes:
    a:
      exec: [ip addr add 10.0.0.1/24 dev eth0, ip link set eth0 up]
    b:
      exec: [ip addr add 10.0.0.2/24 dev eth0, ip link set eth0 up]
  links:
    - endpoints: ["a:eth0", "b:eth0"]
`;

/** Faults of softnet's own come with a stack; mistakes of others must not. */
function expectClean(ended: Ended): void {
  expect(ended.stderr).not.toMatch(/fault of softnet|\n\s+at /);
}

describe('help', () => {
  it.each(['demo', 'run', 'exec', 'tap', 'packetdrill'])('%s --help has examples', async (name) => {
    const { status, stdout, stderr } = await run([name, '--help']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^Usage: softnet ${name} `));
    const [, below = ''] = stdout.split('Examples:\n');
    const examples = below.split('\n').filter((line) => line.includes('softnet '));
    expect(examples.length).toBeGreaterThan(1);
    // What the examples use is there.
    for (const line of examples) {
      for (const [option] of line.split(' -- ')[0]?.matchAll(/ --?[a-z][a-z-]*/g) ?? []) {
        expect(stdout, `${option} of '${line.trim()}'`).toContain(option.trim());
      }
    }
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
  });

  it('tells of all commands, and of the statuses', async () => {
    const { status, stdout } = await run(['--help']);
    expect(status).toBe(0);
    for (const text of ['demo', 'run', 'exec', 'tap', 'Examples:', 'Status: 0 ']) {
      expect(stdout).toContain(text);
    }
  });

  it('comes to standard error, with a bad status, when nothing was asked', async () => {
    const { status, stdout, stderr } = await run([]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: softnet');
  });

  it('knows its version, and no colour where nobody watches', async () => {
    const text = readFileSync(join(ROOT, 'package.json'), 'utf8');
    const { version } = JSON.parse(text) as { version: string };
    expect((await run(['--version'])).stdout).toBe(`${version}\n`);
    const plain = await run(['--help'], { env: { NO_COLOR: '' } });
    expect(plain.stdout).not.toContain('\u001b');
  });
});

describe('a command line that makes no sense', () => {
  const table: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['an unknown command', ['dmeo'], /unknown command 'dmeo'\n\(Did you mean demo\?\)/],
    [
      'an unknown option',
      ['demo', '--sed', '3'],
      /unknown option '--sed'\n\(Did you mean --seed\?\)/,
    ],
    ['an option without its value', ['demo', '--seed'], /'--seed <text>' argument missing/],
    ['too many arguments', ['demo', 'x'], /too many arguments for 'demo'/],
    ['a missing argument', ['run'], /missing required argument 'topology'/],
    ['a probability that is none', ['demo', '--loss', '30'], /'30' is no probability/],
    ['a size that is none', ['demo', '--size', 'big'], /'big' is not understood/],
    ['a size beyond all measure', ['demo', '--size', '999999999999'], /too much: at most 4gb/],
    ['a time that is none', ['run', 'x', '--until', 'noon'], /'noon' is not understood/],
    ['a time beyond all measure', ['run', 'x', '--until', `${'9'.repeat(400)}h`], /is too much/],
    ['a capture of nothing', ['run', 'x', '--capture', 'a.pcapng'], /write it like client:eth0=/],
    [
      'an address that is none',
      ['tap', '--address', '10.77.0.300/24'],
      /an IPv4 address is expected/,
    ],
    [
      'a prefix that is none',
      ['tap', '--address', '10.77.0.2/33'],
      /prefix length must be 0 to 32/,
    ],
    [
      'two ends with one address',
      ['tap', '--address', '10.77.0.1/24'],
      /cannot both be 10\.77\.0\.1/,
    ],
    [
      'two ends apart',
      ['tap', '--address', '10.78.0.2/24'],
      /10\.78\.0\.2\/24 and .* same network/,
    ],
    ['an interface name that is none', ['tap', '--name', 'a b'], /An interface name is 1 to 15/],
    ['a topology that is not there', ['run', 'no.yaml'], /no\.yaml: no such file or directory/],
    ['a folder for a topology', ['run', '.'], /\.: is a folder/],
  ];

  it.each(table)('%s', async (_what, args, says) => {
    const ended = await run(args);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(says);
    expect(ended.stderr).toMatch(/^softnet: /);
    expect(ended.stdout).toBe('');
    expectClean(ended);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a topology file that makes no sense', () => {
  const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 12; i++) bomb.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}]`);
  const nodes = 'topology:\n  nodes:\n    a: {}\n    b: {}\n  links:\n    - ';
  const link = `${nodes}endpoints: ["a:eth0", "b:eth0"]\n`;

  const table: readonly (readonly [string, string | Uint8Array, RegExp])[] = [
    ['broken YAML', 'topology:\n  nodes:\n    a: [1, 2\n', /t\.yaml:4: .* at line 4/],
    ['bad indentation', 'topology:\n  nodes:\n   a: {}\n  b: {}\n x: 1\n', /t\.yaml:5: /],
    ['a key twice', 'name: x\nname: y\n', /t\.yaml:2: Map keys must be unique/],
    ['an empty file', '', /t\.yaml: file: must be a mapping, not nothing/],
    ['a list', '- a\n- b\n', /must be a mapping, not a list/],
    ['no YAML at all', Uint8Array.from({ length: 999 }, (_, i) => (i * 89) & 0xff), /t\.yaml/],
    ['a bomb of aliases', `${bomb.join('\n')}\n`, /t\.yaml: Excessive alias count/],
    ['brackets without end', '['.repeat(200_000), /t\.yaml.*(nested too deeply|at line 1)/],
    ['a file too large', `# ${'x'.repeat(2_000_000)}\n`, /t\.yaml: 200\d+ bytes are too many/],
    [
      'an unknown key',
      'topology:\n  nodes:\n    a:\n      exce: []\n',
      /t\.yaml:4: .*exce: unknown key/,
    ],
    ['no machine', 'topology:\n  nodes: {}\n', /t\.yaml:2: .*at least one machine/],
    ['a machine name that is none', 'topology:\n  nodes:\n    "a b": {}\n', /'a b' is no name/],
    [
      'too many CPUs',
      'topology:\n  nodes:\n    a:\n      cpus: 65\n',
      /t\.yaml:4: .*1 to 64, not '65'/,
    ],
    [
      'an unknown machine',
      `${nodes}endpoints: ["a:eth0", "c:eth0"]\n`,
      /:6: .*no machine named 'c'/,
    ],
    [
      'an interface twice',
      `${link}    - endpoints: ["a:eth0", "b:eth1"]\n`,
      /:7: .*plugged in already/,
    ],
    ['a cable in lo', `${nodes}endpoints: ["a:lo", "b:eth0"]\n`, /:6: .*'lo' is no name/],
    ['one end', `${nodes}endpoints: ["a:eth0"]\n`, /:6: .*must name two ends/],
    ['a delay that is none', `${link}      impairments: { delay: slow }\n`, /:7: .*'slow' is not/],
    ['a loss beyond all', `${link}      impairments: { loss: 150% }\n`, /:7: .*'150%' is no prob/],
    [
      'a rate beyond all',
      `${link}      impairments: { rate: ${'9'.repeat(400)}bit }\n`,
      /too much/,
    ],
    ['an unknown impairment', `${link}      impairments: { lag: 1ms }\n`, /:7: .*lag: unknown key/],
    ['an MTU that is none', `${link}      mtu: 20\n`, /:7: .*68 to 16110, not '20'/],
  ];

  it.each(table)('%s', async (_what, text, says) => {
    file('t.yaml', text);
    const ended = await run(['run', 't.yaml', '--pcap', 'captures', '--json']);
    expect(ended.stderr).toMatch(says);
    expect(ended.status).toBe(2);
    expect(ended.stdout).toBe('');
    expectClean(ended);
    expect(readdirSync(folder)).toEqual(['t.yaml']);
  });

  it.each([
    ['no topology in a module', 'm.mjs', 'export const x = 1;', /m\.mjs: exports no `topology`/],
    ['a module that throws', 'm.mjs', 'throw new Error("not today");', /m\.mjs: not today/],
    ['a module that is none', 'm.mjs', 'export const = 1;', /m\.mjs: /],
    ['TypeScript that is none', 'm.ts', 'export const topology: = 1;', /m\.ts: /],
  ])('%s', async (_what, name, text, says) => {
    file(name, text);
    const ended = await run(['run', name]);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(says);
  });
});

describe('a world in which something goes wrong', () => {
  const table: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['an exec that fails', ['false'], /a: 'false' ended with status 1$/m],
    ['an unknown tool', ['frobnicate -x'], /'frobnicate -x' ended with status 127\n.*not found/],
    ['an address that is none', ['ip addr add 10.0.0.300/24 dev lo'], /status 1\n.*10\.0\.0\.300/],
    ['a device that is none', ['ip link set eth7 up'], /status 1\nCannot find device "eth7"/],
    [
      'a device that exists already',
      ['ip link add d0 type dummy', 'ip link add d0 type dummy'],
      /'ip link add d0 type dummy' ended with status 2\n.*File exists/,
    ],
    ['a port in use', ['nc -l -p 99 & nc -l -p 99'], /Address already in use/],
    ['a descriptor that is none', ['echo x >&9'], /status 2\n.*Bad fd number/],
    ['a script that is none', ['echo "x'], /status 2\n.*[Ss]yntax error/],
    ['what waits for ever', ['nc -l -p 99'], /waits for what never comes|had not ended after/],
    ['what never ends', ['ping -q 127.0.0.1'], /'ping -q 127\.0\.0\.1' had not ended after 3600/],
  ];

  it.each(table)('%s', async (_what, exec, says) => {
    file('t.json.yaml', alone(...exec));
    const ended = await run(['run', 't.json.yaml']);
    expect(ended.stderr).toMatch(says);
    expect(ended.stderr).toMatch(/^softnet: a: '/);
    expect(ended.status).toBe(1);
    expectClean(ended);
  });

  it('an unknown setting', async () => {
    file('t.yaml', 'topology:\n  nodes:\n    a:\n      sysctls: { net.ipv4.nosuch: 1 }\n');
    const ended = await run(['run', 't.yaml']);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toContain(
      "a: 'sysctl -w net.ipv4.nosuch=1' failed\nNo such file or directory",
    );
  });

  it('more cards than a machine has slots for', async () => {
    const links = Array.from(
      { length: 40 },
      (_, i) => `    - endpoints: ["a:eth${i}", "b:eth${i}"]`,
    );
    file('t.yaml', `topology:\n  nodes: { a: {}, b: {} }\n  links:\n${links.join('\n')}\n`);
    const ended = await run(['run', 't.yaml']);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/a: no card for the interface eth\d+: .*slot/);
    expectClean(ended);
  });

  it('a server whose port is taken, beside one that goes on', async () => {
    const node = { programs: ['httpd', 'sleep 1; httpd'] };
    file('t.yaml', JSON.stringify({ name: 'web', topology: { nodes: { a: node } } }));
    const ended = await run(['run', 't.yaml', '--json']);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(/a \| httpd: .*[Aa]ddress already in use/);
    expect(ended.stderr).toMatch(/softnet: a: 'sleep 1; httpd' ended with status 1/);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      name: 'web',
      failed: [{ node: 'a', command: 'sleep 1; httpd', status: 1 }],
      running: [{ node: 'a', command: 'httpd', status: null }],
      live: {},
    });
  });

  it('a program that never ends, unless --until says that it need not', async () => {
    const node = { programs: ['ping -q -i 10 127.0.0.1'] };
    file('t.yaml', JSON.stringify({ topology: { nodes: { a: node } } }));
    const endless = await run(['run', 't.yaml']);
    expect(endless.status).toBe(1);
    expect(endless.stderr).toMatch(
      /not at rest after 3600\.000 s.*--until.*\n {2}a: ping -q -i 10/,
    );
    const told = await run(['run', 't.yaml', '--until', '1m']);
    expect([told.status, told.stderr]).toEqual([0, '']);
    expect(told.stdout).toMatch(/^lab: 60\.000 s of virtual time/m);
  });

  it('an end before the beginning is over', async () => {
    file('t.yaml', alone('sleep 5'));
    const ended = await run(['run', 't.yaml', '--until', '2s']);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toBe(
      "softnet: a: 'sleep 5' had not ended after 2.000 s of virtual time\n",
    );
    const never = await run(['run', 't.yaml', '--until', '0']);
    expect(never.status).toBe(1);
    expect(never.stderr).toMatch(/^softnet: a: .* had not ended after 0 ns/);
  });
});

describe('run', () => {
  it.each(EXAMPLES)('examples/%s runs, the same each time', { timeout: 120_000 }, async (name) => {
    const args = ['run', join(ROOT, 'examples', name), '--json'];
    const first = await run(args);
    expect(first.status, first.stderr).toBe(0);
    const lines = first.stdout.split('\n');
    expect(lines).toHaveLength(2);
    const summary = JSON.parse(first.stdout) as Record<string, unknown>;
    expect(summary).toMatchObject({ seed: '1', failed: [], live: {} });
    expect(summary['fingerprint']).toMatch(/^[0-9a-f]{16}$/);
    const { fingerprint, events, virtualSeconds } = summary;
    const again = JSON.parse((await run([...args, '--pcap', 'captures'])).stdout) as object;
    expect(again).toMatchObject({ fingerprint, events, virtualSeconds });
    const other = JSON.parse((await run([...args, '--seed', '2'])).stdout) as typeof summary;
    expect(other['fingerprint']).not.toBe(fingerprint);
    expect(readdirSync(join(folder, 'captures')).every((f) => f.endsWith('.pcapng'))).toBe(true);
  });

  it('says which machine speaks, line by line', async () => {
    file('t.yaml', alone('echo one', 'seq 2', 'hostname'));
    const { stdout } = await run(['run', 't.yaml']);
    expect(stdout).toMatch(/^a \| one\na \| 1\na \| 2\na \| a\nalone: /);
  });

  it('captures devices where it is told to', async () => {
    file('t.yaml', PAIR);
    const args = [
      '--capture',
      'a:eth0=a.pcapng',
      '--capture',
      'b:lo=lo.pcapng',
      '--pcap',
      'cables',
    ];
    const ended = await run(['run', 't.yaml', ...args]);
    expect([ended.status, ended.stderr]).toEqual([0, '']);
    expect(readdirSync(folder).sort()).toEqual(['a.pcapng', 'cables', 'lo.pcapng', 't.yaml']);
    expect(readPcapng(readFileSync(join(folder, 'a.pcapng'))).interfaces).toHaveLength(1);
    expect(readdirSync(join(folder, 'cables'))).toEqual(['a_eth0--b_eth0.pcapng']);
  });

  const bad: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    [
      'an unknown machine',
      ['--capture', 'c:eth0=c.pcapng'],
      2,
      /no machine 'c' in pair; there are a, b/,
    ],
    [
      'an interface that never is',
      ['--capture', 'a:eth9=a.pcapng'],
      1,
      /a never had an interface eth9/,
    ],
    ['a place that is none', ['--capture', 'a:eth0=no/a.pcapng'], 2, /no\/a\.pcapng: no such file/],
    [
      'a folder that is a file',
      ['--pcap', 't.yaml'],
      2,
      /cannot make the folder t\.yaml: file already/,
    ],
    [
      'one good file, one bad',
      ['--capture', 'a:eth0=a.pcapng', '--capture', 'b:eth0=no/b.pcapng'],
      2,
      /no\/b\.pcapng/,
    ],
  ];
  it.each(bad)('refuses to capture %s, and leaves no file', async (_what, args, status, says) => {
    file('t.yaml', PAIR);
    const ended = await run(['run', 't.yaml', ...args]);
    expect(ended.status).toBe(status);
    expect(ended.stderr).toMatch(says);
    expectClean(ended);
    expect(readdirSync(folder)).toEqual(['t.yaml']);
  });

  it('completes its captures when it is told to stop', async () => {
    const text = PAIR.replace(
      'dev eth0, ip link set eth0 up]\n  links',
      'dev eth0, ip link set eth0 up]\n      programs: [ping -i 0.001 10.0.0.1]\n  links',
    );
    file('t.yaml', text);
    const ended = await run(['run', 't.yaml', '--capture', 'a:eth0=a.pcapng', '--json'], {
      signalAfter: ['icmp_seq=50 ', 'SIGINT'],
    });
    expect(ended.status).toBe(130);
    expect(JSON.parse(ended.stdout)).toMatchObject({ ended: 'stopped', live: {} });
    const { packets } = readPcapng(readFileSync(join(folder, 'a.pcapng')));
    expect(packets.length).toBeGreaterThan(50);
  });

  it('ends quietly when nobody reads on', async () => {
    file('t.yaml', alone('seq 100000'));
    const ended = await run(['run', 't.yaml'], {
      under: ['sh', '-c', '"$@" 2>errors | head -n 1', 'sh'],
    });
    expect(ended.stdout).toBe('a | 1\n');
    expectClean({ ...ended, stderr: readFileSync(join(folder, 'errors'), 'utf8') });
  });
});

describe('exec', () => {
  beforeEach(() => {
    file('t.yaml', PAIR);
    file('slow.yaml', alone('sleep 2'));
  });

  it.each([
    [['true'], 0],
    [['false'], 1],
    [['sh', '-c', 'exit 42'], 42],
    [['nosuch'], 127],
    [['ping', '-q', '-c', '1', '-W', '0.1', '10.0.0.99'], 1],
    [['ping', '-q', '-c', '2', '10.0.0.2'], 0],
    [['ip', 'link', 'show', 'eth9'], 1],
    [['curl', '-s', 'http://10.0.0.2/'], 7],
  ])('passes the status of %j on: %i', async (command, status) => {
    const ended = await run(['exec', 't.yaml', 'a', '--', ...command]);
    expect(ended.status, ended.stderr).toBe(status);
    expectClean(ended);
    // Without the dashes as well.
    if (command.length === 1) {
      expect((await run(['exec', 't.yaml', 'a', ...command])).status).toBe(status);
    }
  });

  it('keeps output and complaints apart, as they are', async () => {
    const ended = await run([
      'exec',
      't.yaml',
      'b',
      '--',
      'sh',
      '-c',
      'printf x 2>&1; echo oops >&2',
    ]);
    const plain = await run(['exec', 't.yaml', 'b', 'ip', '-br', 'addr', 'show', 'eth0']);
    expect(ended.stderr).toContain('oops\n');
    expect(plain.stdout).toMatch(/^eth0 +UP +10\.0\.0\.2\/24 \n$/);
  });

  it('reads standard input', async () => {
    const input = 'ping -q -c 1 10.0.0.2 > /dev/null && echo there\nexit 5\n';
    const ended = await run(['exec', 't.yaml', 'a', '--', 'sh'], { input });
    expect(ended).toMatchObject({ status: 5, stdout: 'there\n' });
    const count = await run(['exec', 't.yaml', 'a', '--', 'wc', '-l'], { input: 'a\nb\nc\n' });
    expect(count.stdout.trim()).toBe('3');
  });

  it('captures what the command did', async () => {
    const args = ['--pcap', 'cables', '--capture', 'a:lo=lo.pcapng', 't.yaml', 'a', '--'];
    const ended = await run(['exec', ...args, 'ping', '-c', '1', '127.0.0.1']);
    expect(ended.status).toBe(0);
    expect(readdirSync(join(folder, 'cables'))).toEqual(['a_eth0--b_eth0.pcapng']);
    // Echo and its reply, 98 octets each with their headers, and the blocks before them.
    expect(readFileSync(join(folder, 'lo.pcapng')).length).toBeGreaterThan(2 * 98);
  });

  const own: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    [
      'a capture that cannot be',
      ['--capture', 'c:eth0=c.pcapng', 't.yaml', 'a', '--', 'true'],
      125,
      /no machine 'c' in pair; there are a, b/,
    ],
    [
      'an unknown machine',
      ['t.yaml', 'c', '--', 'true'],
      125,
      /no machine 'c' in pair; there are a, b/,
    ],
    ['a missing file', ['no.yaml', 'a', '--', 'true'], 125, /no\.yaml: no such file/],
    ['no command', ['t.yaml', 'a'], 125, /missing required argument 'command'/],
    [
      'a command too long',
      ['--until', '2s', 't.yaml', 'a', 'sleep', '9'],
      124,
      /'sleep 9' had not ended/,
    ],
    [
      'an end in the past',
      ['--until', '1s', 'slow.yaml', 'a', 'true'],
      125,
      /not ended after 1\.000 s/,
    ],
  ];
  it.each(own)('has statuses of its own: %s', async (_what, args, status, says) => {
    const ended = await run(['exec', ...args]);
    expect(ended.stderr).toMatch(says);
    expect(ended.status).toBe(status);
    expectClean(ended);
  });
});

describe('demo', () => {
  const small = ['demo', '--size', '300kb', '--json'];

  it('prints one object, the same for the same seed, with and without a capture', async () => {
    const first = await run([...small, '--pcap', 'd.pcapng']);
    expect([first.status, first.stderr]).toEqual([0, '']);
    const summary = JSON.parse(first.stdout) as Record<string, unknown>;
    expect(summary).toMatchObject({ seed: '1', bytes: 307_200, live: {}, pcap: 'd.pcapng' });
    for (const key of ['fingerprint', 'sha256', 'retransmits', 'drops']) {
      expect(summary).toHaveProperty(key);
    }
    const packets = readPcapng(readFileSync(join(folder, 'd.pcapng'))).packets.length;
    expect(packets).toBeGreaterThan(200);
    const again = JSON.parse((await run([...small, '--no-pcap'])).stdout) as typeof summary;
    expect(again['fingerprint']).toBe(summary['fingerprint']);
    const other = JSON.parse((await run([...small, '--seed', 'x', '--no-pcap'])).stdout) as object;
    expect(other).not.toMatchObject({ fingerprint: summary['fingerprint'] });
    expect(readdirSync(folder)).toEqual(['d.pcapng']);
  });

  it('tells the story, and sums up', async () => {
    const { status, stdout } = await run(['demo', '--size', '100kb', '--no-pcap']);
    expect(status).toBe(0);
    for (const text of ['ARP', 'SYN', 'FIN', 'SHA-256', 'fingerprint', 'still alive', 'nothing']) {
      expect(stdout).toContain(text);
    }
    expect(stdout).not.toContain('\u001b');
  });

  it('says that nothing arrived when the cables lose everything', async () => {
    const ended = await run([...small, '--loss', '100%', '--no-pcap']);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(/softnet: the download ended with status 1/);
    expect(JSON.parse(ended.stdout)).toMatchObject({ bytes: 0, live: {} });
    expectClean(ended);
  });

  it('cannot write its capture where there is no folder', async () => {
    const ended = await run([...small, '--pcap', 'no/d.pcapng']);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/cannot write the capture no\/d\.pcapng: no such file/);
    expectClean(ended);
  });
});

const root = process.getuid?.() === 0;
const works = (command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0;
const NOBODY = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];
const canDrop = !root || works('setpriv', ...NOBODY.slice(1), 'true');
const HIDDEN = [
  'unshare',
  '--mount',
  'sh',
  '-c',
  'mount -t tmpfs none /dev/net && exec "$@"',
  'sh',
];
const canHide = root && existsSync('/dev/net') && works('unshare', ...HIDDEN.slice(1), 'true');

describe('tap', () => {
  const skipped = (can: boolean, why: string): string => (can ? '' : ` (skipped: ${why})`);

  it.skipIf(!canDrop || !existsSync('/dev/net/tun'))(
    `needs root, and says so${skipped(canDrop, 'setpriv cannot drop capabilities')}`,
    async () => {
      const ended = await run(['tap', '--name', 'softnetx'], root ? { under: NOBODY } : {});
      expect(ended.status).toBe(1);
      expect(ended.stderr).toMatch(/^softnet: .*needs root/);
      expectClean(ended);
      expect(existsSync('/sys/class/net/softnetx')).toBe(false);
    },
  );

  it.skipIf(!canHide)(
    `needs /dev/net/tun, and says so${skipped(canHide, 'no root, or no mount namespaces')}`,
    async () => {
      const ended = await run(['tap', '--name', 'softnetx'], { under: HIDDEN });
      expect(ended.status).toBe(1);
      expect(ended.stderr).toMatch(/^softnet: \/dev\/net\/tun does not exist: .*modprobe tun/);
      expectClean(ended);
    },
  );

  it.skipIf(!root || !existsSync('/dev/net/tun'))(
    `refuses the name of an interface that exists${skipped(root, 'not root')}`,
    async () => {
      const ended = await run(['tap', '--name', 'lo']);
      expect(ended.status).toBe(1);
      expect(ended.stderr).toMatch(/the interface lo exists already and is no TAP device/);
      expectClean(ended);
    },
  );
});

it.each([
  ['attach', 'stream:vm.sock=10.0.2.2'],
  ['tap', '--address', '10.0.2.2'],
])('%s wants to know the network of an address', async (...args) => {
  const ended = await run(args);
  expect(ended.status).toBe(2);
  expect(ended.stderr).toMatch(
    /"10\.0\.2\.2": the length of its network is missing, e\.g\. 10\.0\.2\.2\/24/,
  );
  expectClean(ended);
});

it('a packet script that is not there', async () => {
  const ended = await run(['packetdrill', 'no.pkt']);
  expect(ended.status).toBe(2);
  expect(ended.stderr).toBe('softnet: no.pkt: no such file or directory\n');
  expectClean(ended);
});

it('a packet script that cannot be run says where once', async () => {
  file('call.pkt', '0 frobnicate(1) = 0\n');
  file('syntax.pkt', '0 socket(\n');
  const { stdout } = await run(['packetdrill', 'call.pkt', 'syntax.pkt']);
  expect(stdout.split('\n')).toContain(
    'error: call.pkt:1: the system call frobnicate() is not implemented',
  );
  expect(stdout.match(/syntax\.pkt/g)).toHaveLength(1);
});

it('a trace for a reason that does not exist', async () => {
  const ended = await run(['trace', 't.yaml', '--reason', 'NO_SUCH']);
  expect(ended.status).toBe(2);
  expect(ended.stderr).toMatch(/--reason: there is no drop reason 'NO_SUCH'/);
  expectClean(ended);
});

it('the ledger of drops names the port at which nobody listens', async () => {
  const programs = ['nc -z 127.0.0.1 99; true'];
  file('refused.yaml', JSON.stringify({ topology: { nodes: { a: { programs } } } }));
  const { stdout } = await run(['trace', 'refused.yaml', '--drops']);
  expect(stdout).toMatch(/Nobody listens on port 99 here/);
});

it('a folder without a packet script is no success', async () => {
  mkdirSync(join(folder, 'empty'));
  const ended = await run(['packetdrill', 'empty']);
  expect(ended.status).not.toBe(0);
  expect(ended.stderr).toBe('softnet: empty: no packet script to run\n');
  expectClean(ended);
});

it('says which scripts of a folder it leaves out', async () => {
  mkdirSync(join(folder, 'scripts'));
  file('scripts/one.pkt', '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n');
  file('scripts/one-v6.pkt', 'not for this version');
  const ended = await run(['packetdrill', 'scripts']);
  expect([ended.status, ended.stdout]).toEqual([0, '1 passed, 0 failed\n']);
  expect(ended.stderr).toBe('softnet: scripts/one-v6.pkt: left out, it is for IPv6\n');
});
