/**
 * Worlds with virtio devices: TCP through loss, super-packets whole across a cable, cut at its end or at
 * a router's other side, several queues; and nothing left in the end.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { livePages } from '#mm/page_alloc.ts';
import { parseTopology } from '#sim/topology.ts';
import { runScenario, type ScenarioOptions, type ScenarioResult } from '../support/scenario.ts';

const MIB = 1 << 20;
const turnOnce = async (): Promise<void> => {
  await turn();
};

async function run(options: Partial<ScenarioOptions>): Promise<ScenarioResult> {
  const before = livePages().units;
  const result = await runScenario({ seed: 1, turn: turnOnce, ...options });
  expect(result.errors).toEqual([]);
  expect(result.statuses).toEqual([0, 0]);
  expect(result.live).toEqual({});
  expect(livePages().units).toBe(before);
  return result;
}

/** A line without damage takes super-packets whole. */
const WHOLE = { corrupt: '0', rate: '1gbit', queue: '4mb', delay: '500us', jitter: '0ms' };

test('8 MiB each way between virtio devices over cables that lose and swap super-packets', async () => {
  const lengths = new Map<string, number>();
  await run({
    size: 8 * MIB,
    loss: 0.01,
    types: ['virtio', 'virtio'],
    impairments: WHOLE,
    prepare: ({ world }) => {
      world.trace.cableSend.register((frame, cable) => {
        lengths.set(cable, Math.max(lengths.get(cable) ?? 0, frame.len));
      });
    },
  });
  expect(lengths.size).toBe(2);
  for (const longest of lengths.values()) expect(longest).toBeGreaterThan(16_000);
});

test('a cable that damages frames takes finished ones only, so that TCP finds the damage', async () => {
  let longest = 0;
  await run({
    types: ['virtio', 'virtio'],
    prepare: ({ world }) => {
      world.trace.cableSend.register((frame) => {
        longest = Math.max(longest, frame.len);
      });
    },
  });
  expect(longest).toBeLessThanOrEqual(1514);
});

test('towards another card the router cuts what came whole', async () => {
  const lengths = new Map<string, number>();
  await run({
    size: MIB / 2,
    loss: 0.01,
    types: ['virtio', 'e1000'],
    impairments: WHOLE,
    prepare: ({ world }) => {
      world.trace.cableSend.register((frame, cable) => {
        lengths.set(cable, Math.max(lengths.get(cable) ?? 0, frame.len));
      });
    },
  });
  const [first, second] = [...lengths.values()];
  expect(first).toBeGreaterThan(4_000);
  expect(second).toBeLessThanOrEqual(1514);
});

test('the same seed gives the same run', async () => {
  const options = { size: MIB, loss: 0.02, impairments: WHOLE } as const;
  const types = ['virtio', 'virtio'] as const;
  const first = await run({ ...options, types });
  expect((await run({ ...options, types })).fingerprint).toBe(first.fingerprint);
  expect((await run({ ...options, types, seed: 2 })).fingerprint).not.toBe(first.fingerprint);
});

test('a description asks for virtio devices with several queues, and the tools see them', async () => {
  const end = (node: string): string => `${node}:eth0`;
  const lab = new Lab(
    parseTopology({
      name: 'two',
      topology: {
        nodes: {
          a: { cpus: 4, exec: ['ip addr add 10.0.0.1/24 dev eth0', 'ip link set eth0 up'] },
          b: { cpus: 2, exec: ['ip addr add 10.0.0.2/24 dev eth0', 'ip link set eth0 up'] },
        },
        links: [{ endpoints: [end('a'), end('b')], type: 'virtio', queues: 2 }],
      },
    }),
    { seed: 1, turn: turnOnce },
  );
  await lab.setUp();
  const a = lab.machine('a');
  const dev = a.initNet.devNameHead.get('eth0');
  expect(dev?.ethtoolOps?.getDrvinfo?.(dev)).toMatchObject({ driver: 'virtio_net' });
  expect(dev?.realNumTxQueues).toBe(2);
  expect(lab.world.halt()).toEqual({});
});
