/** Machines of several CPUs: what spreads packets over them loses none, keeps their order and the seed's promise. */
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import type { SoftnetData } from '#include/linux/netdevice.ts';
import { parseTopology } from '#sim/topology.ts';
import { runScenario, type ScenarioOptions, type ScenarioResult } from '../support/scenario.ts';

interface Spread {
  readonly result: ScenarioResult;
  /** By CPU of the server: packets processed, and interrupts from other CPUs that brought some. */
  readonly processed: number[];
  readonly receivedRps: number[];
}

async function run(options: Partial<ScenarioOptions>): Promise<Spread> {
  let server: readonly SoftnetData[] = [];
  const result = await runScenario({
    seed: 5,
    turn,
    cpus: 4,
    prepare: (lab: Lab) => {
      server = lab.machine('b').netGlobals.softnetData;
    },
    ...options,
  });
  expect({ statuses: result.statuses, errors: result.errors, live: result.live }).toEqual({
    statuses: [0, 0],
    errors: [],
    live: {},
  });
  return {
    result,
    processed: server.map((sd) => sd.processed),
    receivedRps: server.map((sd) => sd.receivedRps),
  };
}

const write = (file: string, value: string): string =>
  `sh -c "echo ${value} > /sys/class/net/eth0/${file}"`;

describe('a world of machines with four CPUs', () => {
  it('does all its work on the first without being told otherwise', async () => {
    const { processed, receivedRps } = await run({});
    expect(processed.slice(1)).toEqual([0, 0, 0]);
    expect(receivedRps).toEqual([0, 0, 0, 0]);
  });

  it('spreads flows by rps_cpus, the same way under the same seed', async () => {
    const exec = [write('queues/rx-0/rps_cpus', 'e')];
    const first = await run({ exec });
    // One flow is on one CPU, and what is not TCP on another, perhaps.
    expect(first.receivedRps[0]).toBe(0);
    expect(first.receivedRps.reduce((a, b) => a + b)).toBeGreaterThan(20);
    expect(first.processed[0]).toBe(0);
    const second = await run({ exec });
    expect(second).toEqual(first);
    const other = await run({ exec, seed: 6 });
    expect(other.result.fingerprint).not.toBe(first.result.fingerprint);
  });

  it('brings a flow to the CPU of its reader with rps_flow_cnt', async () => {
    const exec = [
      'sysctl -w net.core.rps_sock_flow_entries=1024',
      write('queues/rx-0/rps_flow_cnt', '1024'),
    ];
    const { receivedRps } = await run({ exec, serverCpu: 2 });
    expect([receivedRps[0], receivedRps[1], receivedRps[3]]).toEqual([0, 0, 0]);
    expect(receivedRps[2]).toBeGreaterThan(20);
  });

  it('polls in threads, with interrupts held back, and still delivers every byte', async () => {
    const exec = [
      write('threaded', '1'),
      write('napi_defer_hard_irqs', '2'),
      write('gro_flush_timeout', '20000'),
      write('queues/rx-0/rps_cpus', 'f'),
    ];
    const first = await run({ exec });
    expect(await run({ exec })).toEqual(first);
  });

  it('polls from the reader with busy_read and busy_poll, and comes to an end', async () => {
    const exec = ['sysctl -w net.core.busy_read=50', 'sysctl -w net.core.busy_poll=50'];
    const first = await run({ exec, serverCpu: 1 });
    expect(await run({ exec, serverCpu: 1 })).toEqual(first);
  });
});

describe('a machine whose CPUs are too slow for what comes', () => {
  /** Packets that each CPU carried up the stack in the first 10 ms of a flood. */
  async function flood(exec: readonly string[]): Promise<number[]> {
    const hping = 'sleep 0.1; hping3 -2 -p 9 -d 400 --flood -c 800 10.0.0.2';
    const up = (addr: string): string[] => [
      `ip addr add ${addr}/24 dev eth0`,
      'ip link set eth0 up',
    ];
    const spec = parseTopology({
      topology: {
        nodes: {
          a: { exec: up('10.0.0.1'), programs: ['ping -c 1 10.0.0.2', hping, hping, hping, hping] },
          b: {
            cpus: 4,
            // A card of 1 Gbit/s brings 280 such frames a millisecond; a CPU takes 50.
            costs: { hardirq: '2us', softirq: '1us', packet: '20us' },
            exec: [...up('10.0.0.2'), 'ethtool -C eth0 rx-usecs 0', ...exec],
          },
        },
        links: [
          { endpoints: ['a:eth0', 'b:eth0'], impairments: { delay: '200us', rate: '1gbit' } },
        ],
      },
    });
    const lab = new Lab(spec, { seed: 1, turn });
    const { netGlobals } = lab.machine('b');
    await lab.setUp(() => ({}), { untilNs: 60e9 });
    const { world } = lab;
    await world.runPrograms({ untilNs: world.nowNs + 110e6 });
    expect(world.halt()).toEqual({});
    return netGlobals.softnetData.map((sd) => sd.processed);
  }

  it('takes more with four CPUs than with one, once packets are spread', async () => {
    const alone = await flood([]);
    const spread = await flood([write('queues/rx-0/rps_cpus', 'e')]);
    expect(alone.slice(1)).toEqual([0, 0, 0]);
    const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b);
    expect(sum(spread)).toBeGreaterThan(2 * sum(alone));
    // The three share the flows about evenly.
    for (const count of spread.slice(1)) {
      expect(count).toBeGreaterThan(sum(alone) / 2);
    }
  });
});
