import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { parseTopology, TopologyError, type TopologySpec } from '#sim/topology.ts';
import { Collector } from '#user/lib/streams.ts';

const COSTS = { hardirq: '4us', softirq: '1us', packet: '5us', syscall: '500ns' };
const MS = 1e6;

/** A sender whose cable is faster than what the receiver's CPU can carry up the stack. */
function flood(receiver: Record<string, unknown>): TopologySpec {
  const hping = 'sleep 0.1; hping3 -2 -p 9 -d 400 --flood -c 800 10.0.0.2';
  return parseTopology({
    topology: {
      nodes: {
        sender: {
          exec: ['ip addr add 10.0.0.1/24 dev eth1', 'ip link set eth1 up'],
          programs: ['ping -c 1 10.0.0.2', hping, hping, hping, hping],
        },
        receiver: {
          ...receiver,
          sysctls: {
            'net.core.rmem_default': 8388608,
            'net.core.netdev_budget': 64,
            'net.core.dev_weight': 16,
          },
          exec: [
            'ip addr add 10.0.0.2/24 dev eth1',
            'ip link set eth1 up',
            'ethtool -C eth1 rx-usecs 0',
          ],
          programs: ['discardd'],
        },
      },
      links: [
        {
          endpoints: ['sender:eth1', 'receiver:eth1'],
          impairments: { delay: '200us', rate: '1gbit' },
        },
      ],
    },
  });
}

interface Told {
  readonly read: number;
  readonly interrupts: number;
  readonly ksoftirqd: number;
  readonly backlogDrops: number;
  readonly squeezed: number;
  readonly fingerprint: string;
  readonly left: Record<string, unknown>;
}

/** What the receiver has done in the first 10 ms of the storm. */
async function storm(receiver: Record<string, unknown>): Promise<Told> {
  const lab = new Lab(flood(receiver), { seed: 1, turn });
  const machine = lab.machine('receiver');
  const told = { read: 0, interrupts: 0, ksoftirqd: 0 };
  const { sock, irq } = machine.trace;
  sock.sockRecvLength.register((_sk, ret) => {
    if (ret > 0) told.read++;
  });
  irq.irqHandlerEntry.register(() => told.interrupts++);
  irq.softirqEntry.register(() => {
    if (machine.cpu.inKsoftirqd) told.ksoftirqd++;
  });
  await lab.setUp(() => ({}), { untilNs: 60e9 });
  const { world } = lab;
  await world.runPrograms({ untilNs: world.nowNs + 110 * MS });
  const [sd] = machine.netGlobals.softnetData;
  return {
    ...told,
    backlogDrops: sd?.dropped ?? 0,
    squeezed: sd?.timeSqueeze ?? 0,
    fingerprint: world.fingerprint.digest(),
    left: world.halt(),
  };
}

describe('a CPU whose work has a price', () => {
  it('lives in interrupts alone when each frame makes one, and serves its program when it polls', async () => {
    const interrupted = await storm({ costs: COSTS, napi: false });
    const polling = await storm({ costs: COSTS });
    const free = await storm({});
    // All that interrupts leave to the backlog is in vain: nobody is left to carry it up.
    expect(interrupted.read).toBeLessThan(20);
    expect(interrupted.interrupts).toBeGreaterThan(2000);
    expect(interrupted.backlogDrops).toBeGreaterThan(1000);
    // Masked while it polls; ksoftirqd takes turns with the reader.
    expect(polling.interrupts).toBeLessThan(100);
    expect(polling.ksoftirqd).toBeGreaterThan(3);
    expect(polling.squeezed).toBeGreaterThan(3);
    expect(polling.read).toBeGreaterThan(1000);
    expect(polling.backlogDrops).toBe(0);
    // Without a price it keeps up with whatever comes.
    expect(free.read).toBeGreaterThan(polling.read);
    expect([interrupted.left, polling.left, free.left]).toEqual([{}, {}, {}]);
  });

  it('gives the same run for the same seed', async () => {
    const [first, second] = [await storm({ costs: COSTS }), await storm({ costs: COSTS })];
    expect(second).toEqual(first);
  });

  it('takes its time for a reply', async () => {
    const roundTrip = async (costs: Record<string, unknown>): Promise<number> => {
      const lab = new Lab(flood(costs), { seed: 1, turn });
      await lab.setUp(() => ({}), { untilNs: 60e9 });
      const stdout = new Collector();
      await lab.command('sender', ['ping', '-c', '3', '-i', '0.2', '10.0.0.2'], { stdout });
      const best = /= ([\d.]+)\//.exec(stdout.text())?.[1];
      expect(lab.world.halt()).toEqual({});
      return Number(best);
    };
    const free = await roundTrip({});
    const priced = await roundTrip({
      costs: { hardirq: '100us', softirq: '50us', packet: '200us' },
    });
    // Its soft interrupt waits for the hard one to end.
    expect(priced - free).toBeCloseTo(0.1, 2);
  });

  it('carries TCP to its end', async () => {
    const lab = new Lab(
      parseTopology({
        topology: {
          nodes: {
            a: {
              costs: COSTS,
              exec: ['ip addr add 10.0.0.1/24 dev eth1', 'ip link set eth1 up'],
            },
            b: {
              costs: COSTS,
              cpus: 2,
              exec: ['ip addr add 10.0.0.2/24 dev eth1', 'ip link set eth1 up'],
              programs: ['httpd'],
            },
          },
          links: [
            { endpoints: ['a:eth1', 'b:eth1'], impairments: { delay: '1ms', rate: '100mbit' } },
          ],
        },
      }),
      { seed: 3, turn },
    );
    await lab.setUp(() => ({}), { untilNs: 60e9 });
    const status = await lab.command('a', [
      'curl',
      '-s',
      '-o',
      '/dev/null',
      'http://10.0.0.2/bytes/500000',
    ]);
    expect(status).toBe(0);
    expect(lab.world.halt()).toEqual({});
  });
});

describe('prices in a description', () => {
  const node = (given: unknown): (() => TopologySpec) => {
    return () => parseTopology({ topology: { nodes: { a: given } } });
  };

  it('are times; what is missing costs nothing, but a soft interrupt takes its moment', () => {
    expect(node({ costs: { hardirq: '2us' } })().nodes[0]?.costs).toEqual({
      hardirqNs: 2000,
      softirqNs: 1,
      packetNs: 0,
      syscallNs: 0,
    });
    expect(node({})().nodes[0]?.costs).toBeNull();
  });

  it.each([
    [{ costs: { hardirq: 'much' } }, /nodes\.a\.costs\.hardirq/],
    [{ costs: { coffee: '1us' } }, /costs\.coffee: unknown key/],
    [{ costs: 3 }, /costs: must be a mapping/],
    [{ napi: 'no' }, /napi: must be true or false/],
  ])('%j is refused', (given, message) => {
    expect(node(given)).toThrow(TopologyError);
    expect(node(given)).toThrow(message);
  });
});
