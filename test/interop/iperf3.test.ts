/** ESnet's iperf3 on the real kernel against softnet's, over TAP: either is client and server. */
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Netns, whyNoInterop } from '../support/netns.ts';

const missing = whyNoInterop('iperf3');

interface Report {
  readonly end: {
    readonly sum_sent?: { readonly bytes: number };
    readonly sum_received?: { readonly bytes: number };
    readonly sum?: { readonly packets: number; readonly lost_packets: number };
    readonly sender_tcp_congestion?: string;
    readonly receiver_tcp_congestion?: string;
  };
}

describe.skipIf(missing !== null)(`the real iperf3 (skipped: ${missing})`, () => {
  let ns: Netns;

  beforeAll(async () => {
    ns = new Netns('iperf3');
    await ns.softnet('tap', '--exec', 'iperf3 -s');
  }, 60_000);

  afterAll(async () => {
    await ns.remove();
  }, 60_000);

  async function client(...args: readonly string[]): Promise<Report['end']> {
    const { status, stdout } = await ns.run('iperf3', '-J', '-c', '10.77.0.2', ...args);
    expect(status, stdout).toBe(0);
    return (JSON.parse(stdout) as Report).end;
  }

  it.each([[], ['-R'], ['-P', '2']])(
    'a megabyte and more each way: %s %s',
    async (...args) => {
      const end = await client('-C', 'cubic', '-n', '4M', ...args);
      expect(end.sum_received?.bytes).toBeGreaterThan(1024 * 1024);
      expect(end.sum_sent?.bytes).toBeGreaterThanOrEqual(4 * 1024 * 1024);
      expect([end.sender_tcp_congestion, end.receiver_tcp_congestion]).toEqual(['cubic', 'cubic']);
    },
    60_000,
  );

  it('datagrams', async () => {
    const end = await client('-u', '-b', '2M', '-t', '1');
    expect(end.sum?.packets).toBeGreaterThan(100);
  }, 60_000);

  it('datagrams without end, which nothing holds back, until the time is over', async () => {
    const end = await client('-u', '-b', '0', '-l', '64', '-t', '1', '-R');
    expect(end.sum?.packets).toBeGreaterThan(1000);
  }, 60_000);
});

describe.skipIf(missing !== null)(`against the real iperf3's server (skipped: ${missing})`, () => {
  let ns: Netns;
  let server: ChildProcess;

  beforeAll(() => {
    ns = new Netns('iperf3s');
    server = ns.start('iperf3', '-s', '--forceflush');
  });

  afterAll(async () => {
    await ns.remove();
  }, 60_000);

  it.each(['', '-R', '-u -b 2M'])(
    'softnet is the client: %s',
    async (args) => {
      // Its clock is real, its output JSON on standard output behind the line that says it is ready.
      const line = `iperf3 -J -c 10.77.0.1 ${args.includes('-u') ? '-t 1' : '-n 4M'} ${args}`;
      const child = ns.start(
        process.execPath,
        '--import',
        'tsx',
        '--conditions=softnet-source',
        'src/cli/main.ts',
        'tap',
        '--exec',
        line,
      );
      let text = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      const status = await new Promise((resolve) => {
        child.once('close', resolve);
      });
      expect(status, text).toBe(0);
      const report = JSON.parse(text.slice(text.indexOf('\n') + 1)) as Report;
      expect(report.end.sum_received?.bytes).toBeGreaterThan(100_000);
      expect(server.exitCode).toBeNull();
    },
    60_000,
  );
});
