import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ManyStacks, type ManyStacksOptions } from '#cli/many_stacks.ts';
import { serveFromWorkers } from '#cli/tap_workers.ts';
import type { Door } from '#host/node/door.ts';
import { ShmemUplink } from '#host/node/flow_switch.ts';
import { shmemCable } from '#host/node/shmem_link.ts';
import { Netns, whyNoInterop } from '../support/netns.ts';
import { echoClient, RealMachine } from '../support/real_machine.ts';
import { ThreadModules } from '../support/thread_modules.ts';

const missing = whyNoInterop('ping', 'curl');

const STACKS = {
  workers: 3,
  ifname: 'eth0',
  mac: Uint8Array.of(2, 0, 0, 0, 9, 2),
  configure: ['ip link set lo up', 'ip addr add 10.9.0.2/24 dev eth0', 'ip link set eth0 up'],
  programs: [['echod'], ['httpd']],
} as const;

function stacksBehind(more: Partial<ManyStacksOptions> = {}): {
  client: RealMachine;
  problems: string[];
  stacks: Promise<ManyStacks>;
} {
  const cable = shmemCable();
  const client = new RealMachine('client');
  client.plug(cable, 0, 'eth0');
  const problems: string[] = [];
  const onProblem = (text: string): void => {
    problems.push(text);
  };
  const uplink = new ShmemUplink(cable, 1);
  return { client, problems, stacks: ManyStacks.start({ ...STACKS, uplink, onProblem, ...more }) };
}

describe('one address, many machines', { timeout: 180_000 }, () => {
  let modules: ThreadModules;
  let worker: URL;

  beforeAll(async () => {
    modules = await ThreadModules.build('src/cli/stack_worker');
    worker = modules.url('stack_worker');
  });

  afterAll(() => {
    modules.remove();
  });

  it('spreads connections to one port over all, and every byte comes back', async () => {
    const { client, problems, stacks } = stacksBehind({ worker });
    const { flowSwitch } = await stacks;
    await client.sh('ip addr add 10.9.0.1/24 dev eth0', 'ip link set eth0 up');
    const connections = Array.from({ length: 40 }, (_, i) =>
      client.run(echoClient(0x0a090002, 1000 + i * 7000), ['client']),
    );
    await Promise.all(connections);
    expect(Math.min(...flowSwitch.delivered)).toBeGreaterThan(40);
    expect(flowSwitch.missed).toEqual([0, 0, 0]);
    // One answers, and only one; in fragments too.
    for (const size of [56, 8000]) {
      const said = await client.sh(`ping -c 3 -i 0.01 -s ${size} 10.9.0.2`);
      expect(said).toContain('3 received, 0% packet loss');
      expect(said).not.toContain('DUP');
    }
    expect(await client.sh('curl -s http://10.9.0.2/bytes/10')).toHaveLength(10);
    expect(problems).toEqual([]);
    expect(await (await stacks).stop()).toEqual([{}, {}, {}]);
    expect(client.end()).toEqual({});
  });

  it('says what is wrong in a thread, and leaves none behind', async () => {
    const { client, stacks, problems } = stacksBehind({
      worker,
      workers: 2,
      configure: ['ip link set eth7 up'],
    });
    await expect(stacks).rejects.toThrow("'ip link set eth7 up' ended with status 1");
    expect(problems.length).toBeGreaterThan(0);
    expect(client.end()).toEqual({});
  });

  it('terminates a thread that does not end, and says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'softnet-stuck-'));
    const stuck = join(folder, 'stuck.mjs');
    writeFileSync(
      stuck,
      "import { parentPort } from 'node:worker_threads';\n" +
        "parentPort.on('message', () => { for (;;); });\n" +
        "parentPort.postMessage({ type: 'ready' });\n",
    );
    const { client, problems, stacks } = stacksBehind({
      worker: pathToFileURL(stuck),
      workers: 1,
      stopMs: 50,
    });
    const [left] = await (await stacks).stop();
    expect(left).toMatchObject({ 'the thread had to be terminated': 1 });
    expect(problems).toEqual(['softnet-0: the thread did not end within 50 ms and was terminated']);
    expect(client.end()).toEqual({});
    rmSync(folder, { recursive: true });
  });

  it('closes the way outside when it cannot begin at all', async () => {
    let closed = 0;
    const uplink = {
      start: () => {},
      poll: () => false,
      send: () => true,
      flush: () => {},
      close: () => {
        closed++;
      },
    };
    const start = ManyStacks.start({ ...STACKS, workers: 0, uplink, onProblem: () => {} });
    await expect(start).rejects.toThrow(RangeError);
    expect(closed).toBe(1);
  });

  it('ends all when one of them serves no more', { timeout: 60_000 }, async () => {
    const { exitCode } = process;
    const said: string[] = [];
    const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      said.push(String(text));
      return true;
    });
    try {
      const closed = new Promise<void>((resolve) => {
        const door: Door = {
          vnetHdrSize: 12,
          offloads: 0,
          mac: null,
          txErrors: 0,
          queues: [{ start: () => {}, room: () => null, send: () => {}, flush: () => {} }],
          close: resolve,
        };
        const options = { workers: 2, door, text: 'a door', ifname: 'eth0' };
        void serveFromWorkers({ ...options, configure: [], servers: ['false'] });
      });
      await closed;
    } finally {
      stderr.mockRestore();
      process.exitCode = exitCode;
    }
    expect(said).toContain('softnet: softnet-0: false ended with status 1\n');
  });

  it('says that a thread has died', async () => {
    const dies = `import { parentPort } from 'node:worker_threads';
      parentPort.postMessage({ type: 'ready' });
      parentPort.once('message', () => process.exit());
      setTimeout(() => process.exit(3), 50);`;
    const heard: unknown[] = [];
    let tell = (): void => {};
    const told = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const { client, stacks } = stacksBehind({
      worker: new URL(`data:text/javascript,${encodeURIComponent(dies)}`),
      workers: 1,
      onProblem: (...problem) => {
        heard.push(problem);
        tell();
      },
    });
    await told;
    expect(heard).toEqual([['softnet-0: the thread of softnet-0 ended with status 3', true]]);
    expect(await (await stacks).stop()).toEqual([{ 'the thread ended without a word': 1 }]);
    expect(client.end()).toEqual({});
  });

  it.skipIf(missing !== null)(
    `serves the real kernel from two threads (skipped: ${missing})`,
    async () => {
      const ns = new Netns('many');
      try {
        const softnet = await ns.softnet('tap', '--serve', '--workers', '2');
        const urls = 'http://10.77.0.2/bytes/[200000-200019]';
        const { status, stdout } = await ns.run(
          'curl',
          '-sS',
          '-w',
          '%{size_download}\n',
          '-o',
          '/dev/null',
          '--no-keepalive',
          urls,
        );
        expect(status).toBe(0);
        const sizes = stdout.trim().split('\n').map(Number);
        expect(sizes).toEqual(Array.from({ length: 20 }, (_, i) => 200_000 + i));
        const { stdout: pings } = await ns.run('ping', '-q', '-c', '20', '-i', '0.01', '10.77.0.2');
        expect(pings).toContain('20 received, 0% packet loss');
        softnet.kill('SIGTERM');
        const ended = await new Promise((resolve) => softnet.once('exit', resolve));
        expect(ended).toBe(0);
      } finally {
        await ns.remove();
      }
    },
  );
});
