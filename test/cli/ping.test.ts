/**
 * `ping` of softnet beside the real one, on one and the same kernel: equal text but for the times.
 */
import { describe, expect, test } from 'vitest';
import { main } from '#user/ping/ping.ts';
import {
  inNamespace,
  type NativeKernel,
  type Outcome,
  runReal,
  runTool,
  whyNotNative,
} from './native.ts';

const why = whyNotNative('ping', 'ip');
const golden = describe.skipIf(why !== null);
const reason = why === null ? '' : ` (skipped: ${why})`;

const SETUP = `
link set lo up
link add v0 type veth peer name v1
addr add 10.0.0.1/24 dev v0
link set v0 up
link set v1 up
route add blackhole 10.4.0.0/16
route add unreachable 10.5.0.0/16
`;

/** Each is one command line; none takes longer than a second. */
const LINES = [
  '-c2 -i0.05 127.0.0.1',
  '-c1 -s 0 127.0.0.1',
  '-c1 -s 15 127.0.0.1',
  '-c1 -s 16 127.0.0.1',
  '-q -c1 127.0.0.1',
  '-D -c1 127.0.0.1',
  '-c1 -W0.2 10.0.0.9',
  '-c1 10.4.0.1',
  '-c1 10.5.0.1',
  '-c1 8.8.8.8',
  '',
  '-c 0 127.0.0.1',
  '-c foo 127.0.0.1',
  '-c1 -t 300 127.0.0.1',
  '-M foo 127.0.0.1',
  '-c1 -W foo 127.0.0.1',
  '-c1 -M do -s 60000 127.0.0.1',
  '-c1 -W0.2 -M do -s 2000 10.0.0.99',
  '-c1 -t 1 127.0.0.1',
  '-c1 -I lo 127.0.0.1',
  '-c1 -I 127.0.0.5 127.0.0.1',
  '-c1 -I nosuch 127.0.0.1',
  '-c1 -I 1.2.3.4 127.0.0.1',
  '-c1 10.0.0.255',
  '-c1 -W0.1 -b 10.0.0.255',
  '-c 3 -f 127.0.0.1',
  '-i 0 -c 2 127.0.0.1',
  '-c1 0',
  '-c1 127.1',
  '-c2 -i0.1 -A 127.0.0.1',
  '-c2 -l2 127.0.0.1',
  '-c1 -p ff 127.0.0.1',
  '-c1 -p fx 127.0.0.1',
  '-c1 -Q 16 127.0.0.1',
  '-c1 -e 5 127.0.0.1',
  '-c2 -i0.1 -O -W0.1 10.0.0.77',
  '-c1 -w 1 127.0.0.1',
  '-c1 -n localhost',
  '-c1 localhost',
];

/** What a clock decides. */
function timeless({ status, stdout, stderr }: Outcome): Outcome {
  const text = stdout
    .replace(/time=[\d.]+ ms/g, 'time=T ms')
    .replace(/time \d+ms/g, 'time Tms')
    .replace(/\[\d+\.\d{6}\]/g, '[T]')
    .replace(/(mdev|ewma|mdev =|ewma) [\d./]+ ms/g, '$1 T ms')
    .replace(/= [\d./]+ ms/g, '= T ms');
  return { status, stdout: text, stderr };
}

const split = (line: string): string[] => line.split(' ').filter((word) => word !== '');
const ours = (kernel: NativeKernel, line: string): Promise<Outcome> =>
  runTool(kernel, main, ['ping', ...split(line)]);

golden(`ping prints what the real ping prints${reason}`, () => {
  for (const [kind, range] of [
    ['raw', '1 0'],
    ['ping', '0 2147483647'],
  ] as const) {
    test(`over ${kind} sockets`, async () => {
      await inNamespace(async (kernel) => {
        expect(runReal(['ip', '-batch', '-'], SETUP).stderr).toBe('');
        runReal(['sysctl', '-w', `net.ipv4.ping_group_range=${range}`]);
        for (const line of LINES) {
          const real = timeless(runReal(['ping', ...split(line)]));
          const own = timeless(await ours(kernel, line));
          expect.soft({ line, ...own }).toEqual({ line, ...real });
        }
      });
    });
  }

  test('an unreachable gateway is reported by its error, as the real one reports it', async () => {
    await inNamespace(async (kernel) => {
      runReal(['ip', '-batch', '-'], SETUP);
      runReal(['ip', 'route', 'add', '10.7.0.0/16', 'via', '10.0.0.7']);
      // Fewer probes, so that the kernel gives up sooner.
      runReal(['sysctl', '-w', 'net.ipv4.neigh.v0.mcast_solicit=1']);
      const real = timeless(runReal(['ping', '-c1', '10.7.0.1']));
      expect(real.stdout).toContain('Destination Host Unreachable');
      expect(timeless(await ours(kernel, '-c1 10.7.0.1'))).toEqual(real);
    });
  });
});
