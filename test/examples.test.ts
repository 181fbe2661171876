/** The programs in examples/ do what the documents say of them, as a user of the package writes them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { connect, listen } from '#user/api/sockets.ts';
import * as journey from '../examples/programs/journey.ts';
import * as partition from '../examples/programs/partition.ts';
import * as script from '../examples/programs/script.ts';
import { openEnd, openSocket } from '../examples/programs/tunnel.ts';
import * as window from '../examples/programs/window.ts';

const FOLDER = fileURLToPath(new URL('../examples/', import.meta.url));

describe('a partition', () => {
  it('delays what is echoed, and loses nothing', async () => {
    const whole = await partition.run(1);
    expect(whole).toMatchObject({ ended: 'ended', echoed: 100_000, left: {} });
    const cut = await partition.run(1, { from: 0.5, to: 10.5 });
    expect(cut).toMatchObject({ ended: 'ended', echoed: 100_000, left: {} });
    expect(cut.seconds).toBeGreaterThan(10);
    expect(whole.seconds).toBeLessThan(10);
  });

  it('is the same under the same seed', async () => {
    const cut = { from: 0.5, to: 10.5 };
    const first = await partition.run(5, cut);
    expect(await partition.run(5, cut)).toEqual(first);
    expect((await partition.run(6, cut)).fingerprint).not.toBe(first.fingerprint);
  });
});

describe("a tunnel through a door of one's own", () => {
  it('carries pings and bulk data, and goes without a trace', async () => {
    const [here, there] = [await openSocket(), await openSocket()];
    const a = await openEnd('a', here, there.address().port, '10.5.0.1/24');
    const b = await openEnd('b', there, here.address().port, '10.5.0.2/24');
    expect(await a.sh('ping -c 1 10.5.0.2')).toContain('1 received, 0% packet loss');
    expect(await b.sh('ip link show tun0')).toContain('mtu 1400');
    const server = listen(b.process('sink'), '10.5.0.2:99');
    const sink = async (): Promise<number> => {
      let received = 0;
      for await (const { readable } of server.connections) {
        for await (const chunk of readable) received += chunk.length;
        break;
      }
      server.close();
      return received;
    };
    const received = sink();
    const writer = connect(a.process('source'), '10.5.0.2:99').writable.getWriter();
    for (let n = 0; n < 30; n++) await writer.write(new Uint8Array(100_000));
    await writer.close();
    expect(await received).toBe(3_000_000);
    await expect(a.sh('ping -c')).rejects.toThrow('ping: option requires an argument');
    expect([a.close(), b.close()]).toEqual([{}, {}]);
  });
});

describe('a journey', () => {
  it('tells the way of a packet over the router, and why it was dropped', async () => {
    const refused = await journey.run(['nc', '-z', '10.0.2.2', '99'], 'dst port 99');
    expect(refused.status).toBe(1);
    const all = refused.steps.join('\n');
    for (const step of ['client', 'router', 'server', 'tcp_v4_rcv', 'NO_SOCKET']) {
      expect(all).toContain(step);
    }
    expect(refused.drops).toContain('server NO_SOCKET tcp_v4_rcv');
  });

  it.skipIf(spawnSync('tshark', ['-v']).status !== 0)(
    'is a capture that tshark reads',
    async () => {
      const { status, capture } = await journey.run(['ping', '-c', '1', '10.0.2.2'], 'icmp');
      expect(status).toBe(0);
      const folder = mkdtempSync(join(tmpdir(), 'softnet-examples-'));
      try {
        writeFileSync(join(folder, 'ping.pcapng'), capture);
        const args = [
          '-r',
          join(folder, 'ping.pcapng'),
          '-Y',
          'icmp',
          '-T',
          'fields',
          '-e',
          'icmp.type',
        ];
        expect(spawnSync('tshark', args, { encoding: 'utf8' }).stdout).toBe('8\n0\n');
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});

describe('a window', () => {
  it('of the algorithm from outside grows, falls and fills the line, under each seed', async () => {
    const rates: number[] = [];
    const runs = new Set<string>();
    for (const seed of [1, 2]) {
      const { mbps, samples, retransmits } = await window.run('aimd', seed, 1);
      const windows = samples.map((sample) => sample.window);
      expect(Math.max(...windows)).toBeGreaterThan(50);
      expect(retransmits).toBeGreaterThan(0);
      rates.push(mbps);
      runs.add(windows.join());
    }
    expect(Math.min(...rates)).toBeGreaterThan(6);
    expect(runs.size).toBe(2);
  }, 120_000);
});

describe('a packet script', () => {
  it('passes, and fails with the way of the packet', async () => {
    const passed = await script.run(script.NAGLE, ['SECOND=100'], 1);
    expect(passed).toMatchObject({ outcome: 'passed', reason: '' });
    const failed = await script.run(script.NAGLE, ['SECOND=90'], 1);
    expect(failed).toMatchObject({ outcome: 'failed', line: 13 });
    expect(failed.journey.join('\n')).toContain('Nagle');
  });
});

it('none of them names what is not published', () => {
  const { stdout } = spawnSync('git', ['ls-files', '-co', '*.ts'], {
    cwd: FOLDER,
    encoding: 'utf8',
  });
  const files = stdout.split('\n').filter((file) => file !== '');
  expect(files.length).toBeGreaterThan(5);
  for (const file of files)
    expect(readFileSync(join(FOLDER, file), 'utf8')).not.toMatch(/from '#|\/src\//);
});
