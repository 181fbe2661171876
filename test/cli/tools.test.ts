/**
 * The smaller tools of softnet beside the real ones, on one and the same kernel.
 */
import { describe, expect, test } from 'vitest';
import { cat, grep, head, tail, wc } from '#user/coreutils/text.ts';
import { main as curl } from '#user/http/curl.ts';
import type { Main } from '#user/lib/process.ts';
import { main as nc } from '#user/nc/nc.ts';
import { main as nstat } from '#user/nstat/nstat.ts';
import { main as sysctl } from '#user/sysctl/sysctl.ts';
import { main as traceroute } from '#user/traceroute/traceroute.ts';
import {
  inNamespace,
  type Outcome,
  runReal,
  runTool,
  whileSteady,
  whyNotNative,
} from './native.ts';

interface Golden {
  readonly tool: string;
  readonly main: Main;
  /** Command lines, `|` before what standard input has. */
  readonly lines: readonly string[];
  /** Takes out what a clock or the number of a run decides. */
  readonly steady?: (outcome: Outcome) => Outcome;
  /** What the real one is given besides. */
  readonly extra?: readonly string[];
}

const SETUP = `
link set lo up
link add v0 type veth peer name v1
addr add 10.0.0.1/24 dev v0
link set v0 up
link set v1 up
`;

const GOLDEN: readonly Golden[] = [
  {
    tool: 'sysctl',
    main: sysctl,
    lines: [
      'net.ipv4.ip_forward',
      '-n net.ipv4.ip_forward',
      'net/ipv4/ip_forward',
      '-w net.ipv4.ip_forward=1',
      'net.ipv4.ip_forward=0',
      '-w net.ipv4.nosuch=1',
      'net.ipv4.nosuch',
      '-w net.ipv4.ip_forward',
      'net.ipv4.tcp_rmem',
      '-w net.ipv4.tcp_rmem=foo',
      '-q -w net.ipv4.ip_forward=1',
      '-N net.ipv4.ip_forward',
      '-b net.ipv4.ip_forward',
      '-e net.nosuch',
      'net.ipv4.conf.lo',
      '-w =1',
      '-a -r ip_forward',
      '-p -|net.ipv4.ip_forward = 1\n# foo\n\n; bar\nfoo\n-net.nosuch = 1\nnet.nosuch = 2\n',
      '-p /nosuch',
      '-n net.ipv4.ip_forward net.ipv4.nosuch net.ipv4.ip_default_ttl',
      '-w net.ipv4.route.flush=1',
      'net.ipv4.route.flush',
      '-w net.ipv4.tcp_available_congestion_control=x',
      '-w net.ipv4.tcp_congestion_control=x',
      'foo=1',
    ],
  },
  {
    tool: 'nstat',
    main: nstat,
    // Ours has no history, so the real one is told to look at none.
    extra: ['-a', '-s'],
    lines: ['', 'Ip*', '-z', '-z Tcp*', '-j', '-j -p', '-z IpInReceives TcpOutSegs', 'nosuch'],
  },
  {
    tool: 'traceroute',
    main: traceroute,
    steady: ({ status, stdout, stderr }) => ({
      status,
      stdout: stdout.replace(/\d+\.\d{3} ms/g, 'T ms').replace('localhost (127', '127.0.0.1 (127'),
      stderr,
    }),
    lines: [
      '-n 127.0.0.1',
      '127.0.0.1',
      '-I -n 127.0.0.1',
      '-n -q 1 127.0.0.1',
      '-n -w 0.2 -m 2 10.0.0.9',
      '-m 300 127.0.0.1',
      '-m foo 127.0.0.1',
      '-f 5 -m 2 127.0.0.1',
      '-q 20 127.0.0.1',
      '-n 8.8.8.8',
      '-n 127.0.0.1 100',
      '-F -n -q1 127.0.0.1 40000',
    ],
  },
  {
    tool: 'nc',
    main: nc,
    lines: [
      '-z 127.0.0.1 81',
      '-zv 127.0.0.1 81',
      '-zvn 127.0.0.1 81-83',
      '-uzv 127.0.0.1 81',
      '',
      '127.0.0.1',
      '-l',
      '127.0.0.1 foo',
      '127.0.0.1 99999',
      '127.0.0.1 0',
      '-q',
      '-w 1 -v 10.0.0.9 80',
      '-w x 10.0.0.9 80',
    ],
  },
  {
    tool: 'curl',
    main: curl,
    extra: ['-sS'],
    steady: ({ status, stdout, stderr }) => ({
      status,
      stdout,
      stderr: stderr.replace(/after \d+ (ms|milliseconds)/, 'after N $1'),
    }),
    lines: [
      'http://127.0.0.1:81/',
      '-w %{http_code} http://127.0.0.1:81/',
      'http://nosuch.invalid/',
      '--nosuch',
      '-m',
    ],
  },
];

const split = (line: string): string[] => line.split(' ').filter((word) => word !== '');

for (const { tool, main, lines, steady = (outcome: Outcome) => outcome, extra = [] } of GOLDEN) {
  const why = whyNotNative(tool, 'ip');
  const reason = why === null ? '' : ` (skipped: ${why})`;
  describe.skipIf(why !== null)(`${tool} prints what the real one prints${reason}`, () => {
    test('every line', async () => {
      await inNamespace(async (kernel) => {
        runReal(['ip', '-batch', '-'], SETUP);
        for (const line of lines) {
          const [command = '', stdin = ''] = line.split('|');
          const { real, own } = await whileSteady(
            () => steady(runReal([tool, ...extra, ...split(command)], stdin)),
            async () => steady(await runTool(kernel, main, [tool, ...split(command)], stdin)),
          );
          expect.soft({ line, ...own }).toEqual({ line, ...real });
        }
      });
    });
  });
}

const TEXT = 'one\ntwo three\n\nfour\nfive\nsix\nseven\neight\nnine\nten\neleven\ntwelve';

describe.skipIf(whyNotNative('cat') !== null)('commands over text do what the real ones do', () => {
  const mains: Readonly<Record<string, Main>> = { cat, grep, head, tail, wc };
  test.each([
    'cat',
    'cat -n',
    'cat -',
    'head',
    'head -n 3',
    'head -2',
    'head -n x',
    'tail',
    'tail -n 3',
    'tail -n +11',
    'tail -1',
    'wc',
    'wc -l',
    'wc -w',
    'wc -c',
    'grep e',
    'grep -c e',
    'grep -n t',
    'grep -v e',
    'grep -i TWO',
    'grep -o e',
    'grep nosuch',
    'grep -q one',
    'grep -F .',
    'cat /nosuch',
    'wc /proc/sys/net/ipv4/ip_forward',
    'cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_default_ttl',
    'head -n 1 /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_default_ttl',
  ])('%s', async (line) => {
    const [name = ''] = split(line);
    await inNamespace(async (kernel) => {
      const own = await runTool(kernel, mains[name] as Main, split(line), TEXT);
      const real = runReal(split(line), TEXT);
      // The hint at --help, which is no part of the error.
      const stderr = real.stderr.replace(/Try '.*\n/, '').replace(/[‘’']/g, "'");
      expect({ ...own, stderr: own.stderr.replace(/[‘’']/g, "'") }).toEqual({ ...real, stderr });
    });
  });
});
