import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { beginCaptures, cableCaptures, cableFile, closeCaptures } from '#cli/capture.ts';
import { cableName, Lab } from '#cli/lab.ts';
import { type SplitOptions, SplitRun } from '#cli/split.ts';
import { turn } from '#cli/turn.ts';
import { partition } from '#sim/partition.ts';
import type { LinkSpec, TopologySpec } from '#sim/topology.ts';
import { readTopologyYaml } from '#sim/topology_yaml.ts';
import type { Streams } from '#user/lib/process.ts';
import { ThreadModules } from '../support/thread_modules.ts';

/** Two sites behind routers, a line between them that loses, jitters and doubles, and a third way in. */
const SITES = `
name: sites
topology:
  nodes:
    h1:
      exec:
        - ip addr add 10.0.1.10/24 dev eth0
        - ip link set eth0 up
        - ip route add default via 10.0.1.1
      programs:
        - sleep 0.2; iperf3 -c 10.0.2.10 -n 300K -C cubic
        - sleep 0.3; ping -c 5 -i 0.2 10.0.3.10
    h2:
      exec:
        - ip addr add 10.0.4.11/24 dev eth1
        - ip link set eth1 up
        - ip route add default via 10.0.4.1
      programs:
        - sleep 0.2; ping -c 5 -i 0.2 10.0.2.10
    r1:
      sysctls: { net.ipv4.ip_forward: 1 }
      exec:
        - ip addr add 10.0.1.1/24 dev lan1
        - ip addr add 10.0.9.1/24 dev wan
        - ip addr add 10.0.8.1/24 dev side
        - ip link set lan1 up
        - ip link set wan up
        - ip link set side up
        - ip route add 10.0.2.0/24 via 10.0.9.2
        - ip route add 10.0.3.0/24 via 10.0.8.3
        - ip addr add 10.0.4.1/24 dev lan2
        - ip link set lan2 up
    r2:
      sysctls: { net.ipv4.ip_forward: 1 }
      exec:
        - ip addr add 10.0.2.1/24 dev lan
        - ip addr add 10.0.9.2/24 dev wan
        - ip link set lan up
        - ip link set wan up
        - ip route add 10.0.1.0/24 via 10.0.9.1
        - ip route add 10.0.4.0/24 via 10.0.9.1
    h3:
      exec:
        - ip addr add 10.0.2.10/24 dev eth0
        - ip link set eth0 up
        - ip route add default via 10.0.2.1
      programs:
        - iperf3 -s -1
    h4:
      exec:
        - ip addr add 10.0.3.10/24 dev eth0
        - ip link set eth0 up
        - ip addr add 10.0.8.3/24 dev up0
        - ip link set up0 up
        - ip route add default via 10.0.8.1
  links:
    - endpoints: ['h1:eth0', 'r1:lan1']
      impairments: { delay: 1ms }
    - endpoints: ['h2:eth1', 'r1:lan2']
      impairments: { delay: 1ms }
    - endpoints: ['r1:wan', 'r2:wan']
      impairments: { delay: 5ms, jitter: 2ms, loss: 2%, duplicate: 1%, corrupt: 1%, rate: 20mbit, queue: 64kb }
    - endpoints: ['r2:lan', 'h3:eth0']
      impairments: { delay: 1ms }
    - endpoints: ['r1:side', 'h4:up0']
      impairments: { delay: 1ms }
    - endpoints: ['h4:eth0', 'h4:eth9']
`;

interface Outcome {
  readonly fingerprint: string;
  readonly events: number;
  readonly nowNs: number;
  readonly ended: string;
  readonly failed: unknown;
  readonly live: unknown;
  readonly output: string;
  readonly captures: Record<string, string>;
}

/** Everything that the programs print, in order. */
function collector(): { readonly text: () => string; readonly streamsOf: (n: string) => Streams } {
  const lines: string[] = [];
  const output = (label: string) => ({
    write: (bytes: Uint8Array) => {
      lines.push(`${label}: ${new TextDecoder().decode(bytes)}`);
      return true;
    },
    ready: () => null,
    close: () => {},
  });
  return {
    text: () => lines.join(''),
    streamsOf: (node) => ({ stdout: output(node), stderr: output(`${node}!`) }),
  };
}

const FOREVER = SITES.replace('iperf3 -s -1', 'ping -q -i 0.01 10.0.1.10');

describe('a world in several threads', { timeout: 180_000 }, () => {
  let folder = '';
  let modules: ThreadModules;
  let worker: URL;

  beforeAll(async () => {
    modules = await ThreadModules.build('src/cli/split_worker');
    worker = modules.url('split_worker');
  });

  afterAll(() => {
    modules.remove();
  });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'softnet-split-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const captured = (path: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(path).map((name) => [name, readFileSync(join(path, name)).toString('hex')]),
    );

  async function inOne(spec: TopologySpec, untilNs: number): Promise<Outcome> {
    const path = join(folder, 'one');
    const { text, streamsOf } = collector();
    const lab = new Lab(spec, { seed: 's', turn });
    const captures = beginCaptures(cableCaptures(lab.world, lab.cables, path));
    await lab.setUp(streamsOf, { untilNs });
    const ended = await lab.finish({ untilNs });
    closeCaptures(captures);
    const failed = lab.failed();
    const live = lab.world.halt();
    const { nowNs, eventCount: events, fingerprint } = lab.world;
    return {
      fingerprint: fingerprint.digest(),
      events,
      nowNs,
      ended,
      failed,
      live,
      output: text(),
      captures: captured(path),
    };
  }

  async function inThreads(
    spec: TopologySpec,
    workers: number,
    more: Partial<SplitOptions> = {},
  ): Promise<Outcome & { readonly parts: number }> {
    const path = join(folder, `threads${workers}`);
    const { text, streamsOf } = collector();
    const options = { worker, seed: 's', workers, untilNs: 60e9, pcap: path, streamsOf, ...more };
    const { running, ...result } = await new SplitRun(spec, options).result;
    expect(running).toEqual([]);
    return { ...result, output: text(), captures: captured(path) };
  }

  it('is the same in one, two and three: fingerprint, output, captures, and nothing is left', async () => {
    const spec = readTopologyYaml(SITES);
    const one = await inOne(spec, 60e9);
    expect(one).toMatchObject({ ended: 'ended', failed: [], live: {} });
    expect(one.output).toContain('iperf Done');
    expect(Object.keys(one.captures)).toHaveLength(6);
    for (const workers of [1, 2, 3]) {
      const { parts, ...threads } = await inThreads(spec, workers);
      expect(parts).toBe(workers);
      expect(threads).toEqual(one);
    }
  });

  it('is the same when super-packets cross from thread to thread whole', async () => {
    const virtio = SITES.replaceAll(/endpoints: \[.*\]/g, '$&\n      type: virtio').replace(
      'corrupt: 1%, rate: 20mbit, queue: 64kb',
      'rate: 200mbit, queue: 2mb',
    );
    const spec = readTopologyYaml(virtio);
    expect(spec.links.map(({ type }) => type)).toEqual(Array(6).fill('virtio'));
    const one = await inOne(spec, 60e9);
    expect(one).toMatchObject({ ended: 'ended', failed: [], live: {} });
    const { parts, ...threads } = await inThreads(spec, 3);
    expect(parts).toBe(3);
    expect(threads).toEqual(one);
  });

  it('says what failed in a thread, and ends the others', async () => {
    const spec = readTopologyYaml(SITES.replace('ip link set up0 up', 'ip link set up7 up'));
    const run = new SplitRun(spec, { worker, seed: 's', workers: 3, untilNs: 60e9 });
    await expect(run.result).rejects.toMatchObject({
      name: 'ExecError',
      message: expect.stringContaining("h4: 'ip link set up7 up' ended with status 1") as string,
    });
  });

  it('tells which programs failed, and the captures that cannot be', async () => {
    const spec = readTopologyYaml(SITES.replace('iperf3 -s -1', 'exit 3'));
    const pcap = { captures: [{ node: 'h4', ifname: 'eth7', path: join(folder, 'never') }] };
    const failing = new SplitRun(spec, { worker, seed: 's', workers: 2, untilNs: 60e9, ...pcap });
    await expect(failing.result).rejects.toThrow('h4 never had an interface eth7 to capture');
    const result = await new SplitRun(spec, { worker, seed: 's', workers: 2, untilNs: 60e9 })
      .result;
    expect(result.failed.map(({ node, status }) => [node, status])).toEqual([
      ['h1', 1],
      ['h3', 3],
    ]);
    const stray = { captures: [{ node: 'h9', ifname: 'eth0', path: join(folder, 'never') }] };
    expect(
      () => new SplitRun(spec, { worker, seed: 's', workers: 2, untilNs: 1e9, ...stray }),
    ).toThrow("there is no machine 'h9'");
  });

  it('rejects when what it prints cannot be taken, and ends the threads', async () => {
    const spec = readTopologyYaml(FOREVER);
    const stdout = {
      write: () => {
        throw new Error('the paper is out');
      },
      ready: () => null,
      close: () => {},
    };
    const options = { worker, seed: 's', workers: 2, untilNs: 1e15 };
    const run = new SplitRun(spec, { ...options, streamsOf: () => ({ stdout }) });
    await expect(run.result).rejects.toThrow('the paper is out');
  });

  it('begins the captures of all cables between threads, or none', () => {
    const spec = readTopologyYaml(SITES);
    const { home } = partition(spec, 3);
    const homeOf = (node: string) => home[spec.nodes.findIndex(({ name }) => name === node)];
    const cut = spec.links.filter(({ endpoints: [a, b] }) => homeOf(a.node) !== homeOf(b.node));
    expect(cut.length).toBeGreaterThan(1);
    // Where the last one's file should be there is a folder.
    const last = cableFile(folder, cableName(cut.at(-1) as LinkSpec));
    mkdirSync(last);
    const options = { worker, seed: 's', workers: 3, untilNs: 60e9, pcap: folder };
    expect(() => new SplitRun(spec, options)).toThrow(/cannot write the capture/);
    expect(readdirSync(folder)).toEqual([basename(last)]);
  });

  it('begins the captures of all threads, or none', async () => {
    const path = mkdtempSync(join(tmpdir(), 'softnet-none-'));
    const spec = readTopologyYaml(SITES);
    // In one thread a file cannot be written; the others have begun theirs, or will.
    const captures = [{ node: 'h4', ifname: 'eth0', path: join(path, 'nowhere', 'h4.pcapng') }];
    const options = { worker, seed: 's', workers: 3, untilNs: 60e9, pcap: path, captures };
    await expect(new SplitRun(spec, options).result).rejects.toThrow(/cannot write the capture/);
    expect(readdirSync(path)).toEqual([]);
    rmSync(path, { recursive: true });
  });

  it('ends at the same time everywhere: at the time that was given', async () => {
    const spec = readTopologyYaml(FOREVER);
    const one = await inOne(spec, 2e9);
    expect(one).toMatchObject({ ended: 'time', nowNs: 2e9, live: {} });
    const threads = await new SplitRun(spec, { worker, seed: 's', workers: 2, untilNs: 2e9 })
      .result;
    const { fingerprint, events, nowNs, ended, live } = one;
    expect(threads).toMatchObject({ fingerprint, events, nowNs, ended, live });
    expect(threads.running).toEqual([
      { node: 'h3', command: 'ping -q -i 0.01 10.0.1.10', status: null },
    ]);
  });

  it('stops when it is told to, with nothing left, and ends at once when it is aborted', async () => {
    const spec = readTopologyYaml(FOREVER);
    let saidSomething = (): void => {};
    const first = new Promise<void>((resolve) => {
      saidSomething = resolve;
    });
    const stdout = {
      write: () => {
        saidSomething();
        return true;
      },
      ready: () => null,
      close: () => {},
    };
    const options = { worker, seed: 's', workers: 2, untilNs: 1e15 };
    const run = new SplitRun(spec, { ...options, streamsOf: () => ({ stdout }) });
    await first;
    run.stop();
    expect(await run.result).toMatchObject({ ended: 'stopped', live: {} });
    const aborted = new SplitRun(spec, options);
    aborted.abort();
    await expect(aborted.result).rejects.toThrow('the run was ended');
  });

  it('notices a thread that dies, and does not wait for it', async () => {
    const spec = readTopologyYaml(SITES);
    const dies = new URL('data:text/javascript,process.exit(3)');
    const run = new SplitRun(spec, { worker: dies, seed: 's', workers: 2, untilNs: 60e9 });
    await expect(run.result).rejects.toThrow('a thread of the world ended by itself with status 3');
    const throws = new URL('data:text/javascript,throw new Error("oops")');
    const other = new SplitRun(spec, { worker: throws, seed: 's', workers: 2, untilNs: 60e9 });
    await expect(other.result).rejects.toThrow('oops');
  });

  it('waits no longer than one does for what never comes', async () => {
    const spec = readTopologyYaml(SITES.replace('iperf3 -s -1', 'nc -l 9'));
    const one = await inOne(spec, 1e12);
    expect(one.ended).toBe('waiting');
    const threads = await new SplitRun(spec, { worker, seed: 's', workers: 3, untilNs: 1e12 })
      .result;
    const { fingerprint, events, nowNs, ended, live } = one;
    expect(threads).toMatchObject({ fingerprint, events, nowNs, ended, live });
  });
});
