/**
 * Worlds of machines with several CPUs and igb cards: flows spread over queues and CPUs by the hash that
 * the card computes, users move them, TCP loses nothing, and one seed gives one run.
 */
import { describe, expect, it } from 'vitest';
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import { ToeplitzKey } from '#lib/toeplitz.ts';
import { parseTopology } from '#sim/topology.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '#uapi/socket.ts';
import { encodeSockaddr4 } from '#user/lib/sockaddr.ts';
import { Collector } from '#user/lib/streams.ts';

const A = 0x0a000001;
const B = 0x0a000002;
const PORT = 5001;

interface Options {
  readonly seed?: number;
  readonly cpus?: number;
  readonly queues?: number;
  readonly impairments?: Readonly<Record<string, string>>;
  readonly mtu?: number;
}

async function makeLab(options: Options): Promise<Lab> {
  const { seed = 1, cpus = 4, queues, impairments = {}, mtu } = options;
  const node = (host: number): object => ({
    cpus,
    exec: [`ip addr add 10.0.0.${host}/24 dev eth0`, 'ip link set eth0 up'],
  });
  const link = {
    endpoints: ['a:eth0', 'b:eth0'],
    type: 'igb',
    impairments,
    ...(queues === undefined ? {} : { queues }),
    ...(mtu === undefined ? {} : { mtu }),
  };
  const spec = parseTopology({ topology: { nodes: { a: node(1), b: node(2) }, links: [link] } });
  const lab = new Lab(spec, { seed, turn });
  await lab.setUp();
  expect(await lab.command('a', ['ping', '-c', '1', '10.0.0.2'])).toBe(0);
  return lab;
}

/** What a command prints on a machine. */
async function output(lab: Lab, node: string, command: string): Promise<string> {
  const stdout = new Collector();
  const stderr = new Collector();
  const status = await lab.command(node, ['sh', '-c', command], { stdout, stderr });
  expect({ command, status, stderr: stderr.text() }).toMatchObject({ status: 0 });
  return stdout.text();
}

/** The counters of `ethtool -S` whose names match, by the number in the name. */
async function queueCounters(lab: Lab, node: string, pattern: RegExp): Promise<number[]> {
  const counters: number[] = [];
  for (const line of (await output(lab, node, 'ethtool -S eth0')).split('\n')) {
    const [name = '', value = ''] = line.trim().split(': ');
    const match = pattern.exec(name);
    if (match !== null) counters[Number(match[1])] = Number(value);
  }
  return counters;
}

const RX_PACKETS = /^rx_queue_(\d+)_packets$/;

/** Sends one datagram from each of these ports to b. */
async function sendDatagrams(lab: Lab, ports: readonly number[]): Promise<void> {
  const status = await lab.run(
    'a',
    async (p) => {
      for (const port of ports) {
        const fd = p.libc.socket(AF_INET, SOCK_DGRAM);
        p.libc.bind(fd, encodeSockaddr4(A, port));
        await p.libc.sendto(fd, new Uint8Array(100), { addr: B, port: PORT });
        await p.libc.close(fd);
      }
      await p.libc.sleep(10);
      return 0;
    },
    ['senders'],
  );
  expect(status).toBe(0);
}

/** Has b take datagrams in without a word. */
function openSink(lab: Lab): void {
  lab.start(
    'b',
    async (p) => {
      const fd = p.libc.socket(AF_INET, SOCK_DGRAM);
      p.libc.bind(fd, encodeSockaddr4(0, PORT));
      const buffer = new Uint8Array(2048);
      for (;;) await p.libc.recv(fd, buffer);
    },
    ['sink'],
  );
}

/** Table and key as `ethtool -x` shows them. */
async function spreading(lab: Lab): Promise<{ table: number[]; key: ToeplitzKey }> {
  const text = await output(lab, 'b', 'ethtool -x eth0');
  const table = [...text.matchAll(/^ +\d+: +(.*)$/gm)].flatMap(([, row = '']) =>
    row.trim().split(/ +/).map(Number),
  );
  const octets = /^RSS hash key:\n(.*)$/m.exec(text)?.[1] ?? '';
  const key = Uint8Array.from(octets.split(':'), (octet) => Number.parseInt(octet, 16));
  return { table, key: new ToeplitzKey(key) };
}

/** How many of the flows a queue gets, by hash and table. */
function expectedCounts(
  { table, key }: { table: number[]; key: ToeplitzKey },
  ports: readonly number[],
  queues: number,
): number[] {
  const counts = new Array<number>(queues).fill(0);
  for (const port of ports) {
    const input = new Uint8Array(12);
    const v = new DataView(input.buffer);
    v.setUint32(0, A);
    v.setUint32(4, B);
    v.setUint16(8, port);
    v.setUint16(10, PORT);
    const queue = table[key.hash(input, 0, 12) & 127] as number;
    counts[queue] = (counts[queue] as number) + 1;
  }
  return counts;
}

const PORTS: readonly number[] = Array.from({ length: 200 }, (_, i) => 20_000 + 7 * i);

function minus(after: readonly number[], before: readonly number[]): number[] {
  return after.map((count, i) => count - (before[i] ?? 0));
}

describe('flows over igb', () => {
  it('go to the queue that hash and table name, and to its CPU', async () => {
    const lab = await makeLab({ queues: 8 });
    openSink(lab);
    await output(lab, 'b', 'ethtool -N eth0 rx-flow-hash udp4 sdfn');
    const before = await queueCounters(lab, 'b', RX_PACKETS);
    await sendDatagrams(lab, PORTS);
    const spread = await spreading(lab);
    const got = minus(await queueCounters(lab, 'b', RX_PACKETS), before);
    const expected = expectedCounts(spread, PORTS, 8);
    expect(got).toEqual(expected);
    expect(Math.min(...expected)).toBeGreaterThan(0);
    // Vectors 1 to 8 lie on CPUs 1, 2, 3, 0 and again: so do the packets.
    const busy = (await output(lab, 'b', 'cat /proc/net/softnet_stat')).trim().split('\n');
    const processed = busy.map((row) => Number.parseInt(row.split(' ')[0] as string, 16));
    const byCpu = [0, 1, 2, 3].map(
      (cpu) => (expected[(cpu + 3) % 4] as number) + (expected[((cpu + 3) % 4) + 4] as number),
    );
    processed.forEach((count, cpu) => {
      expect(count).toBeGreaterThanOrEqual(byCpu[cpu] as number);
    });
    const softirqs = await output(lab, 'b', 'cat /proc/softirqs');
    const runs = /NET_RX: +(\d+) +(\d+) +(\d+) +(\d+)/.exec(softirqs)?.slice(1).map(Number) ?? [];
    expect(runs).toHaveLength(4);
    expect(Math.min(...runs)).toBeGreaterThan(0);
    expect(lab.world.halt()).toEqual({});
  });

  it('move when the table is another, and come back with the default', async () => {
    const lab = await makeLab({ queues: 4 });
    openSink(lab);
    await output(lab, 'b', 'ethtool -N eth0 rx-flow-hash udp4 sdfn');
    for (const [command, queues] of [
      ['ethtool -X eth0 equal 2', [0, 1]],
      ['ethtool -X eth0 equal 2 start 2', [2, 3]],
      ['ethtool -X eth0 weight 0 0 1 3', [2, 3]],
      [`ethtool -X eth0 hkey ${new Array(40).fill('6d').join(':')}`, [2, 3]],
      ['ethtool -X eth0 default', [0, 1, 2, 3]],
    ] as const) {
      await output(lab, 'b', command);
      const before = await queueCounters(lab, 'b', RX_PACKETS);
      await sendDatagrams(lab, PORTS);
      const got = minus(await queueCounters(lab, 'b', RX_PACKETS), before);
      expect(got, command).toEqual(expectedCounts(await spreading(lab), PORTS, 4));
      const used = [...got.keys()].filter((queue) => got[queue] !== 0);
      // A key of one repeated octet has the same hash for many flows.
      if (command.includes('hkey')) expect(queues).toContain(used[0]);
      else expect(used, command).toEqual(queues);
    }
    expect(lab.world.halt()).toEqual({});
  });

  it('change their CPU with smp_affinity', async () => {
    const lab = await makeLab({ queues: 1, cpus: 4 });
    openSink(lab);
    const interrupts = async (): Promise<readonly [number: number, counts: number[]]> => {
      const text = await output(lab, 'b', 'cat /proc/interrupts');
      const row = /^ *(\d+):((?: +\d+){4}) PCI-MSIX.*eth0-rx-0$/m.exec(text);
      return [Number(row?.[1]), (row?.[2] ?? '').trim().split(/ +/).map(Number)];
    };
    const [irq, before] = await interrupts();
    expect((await output(lab, 'b', `cat /proc/irq/${irq}/effective_affinity`)).trim()).toBe('2');
    await output(lab, 'b', `echo 8 > /proc/irq/${irq}/smp_affinity`);
    await sendDatagrams(lab, PORTS);
    const after = minus((await interrupts())[1], before);
    expect(after[3]).toBeGreaterThan(0);
    expect([after[0], after[1], after[2]]).toEqual([0, 0, 0]);
    expect(lab.world.halt()).toEqual({});
  });

  it('keep queues that a table of the user names', async () => {
    const lab = await makeLab({ queues: 4 });
    await output(lab, 'b', 'ethtool -X eth0 equal 4');
    const stderr = new Collector();
    const refused = ['ethtool', '-L', 'eth0', 'combined', '2'];
    expect(await lab.command('b', refused, { stderr })).toBe(1);
    expect(stderr.text()).toBe('Cannot set device channel parameters: Invalid argument\n');
    await output(lab, 'b', 'ethtool -X eth0 default; ethtool -L eth0 combined 2');
    expect(await output(lab, 'b', 'ethtool -l eth0')).toContain('Combined:\t2\n');
    await lab.world.runPrograms({ untilNs: lab.world.nowNs + 3e9 });
    expect(await lab.command('a', ['ping', '-c', '1', '10.0.0.2'])).toBe(0);
    expect(lab.world.halt()).toEqual({});
  });
});

interface Transfer {
  readonly statuses: readonly (number | null)[];
  readonly wrong: number;
  readonly received: number;
  readonly fingerprint: string;
  readonly live: object;
}

/** Carries `size` bytes over `flows` connections from a to b. */
async function transfer(options: Options, size: number, flows: number): Promise<Transfer> {
  const lab = await makeLab(options);
  const byte = (i: number): number => (i * 7) ^ (i >> 8);
  let received = 0;
  let wrong = 0;
  const server = lab.start(
    'b',
    async (p) => {
      const listener = p.libc.socket(AF_INET, SOCK_STREAM);
      p.libc.bind(listener, encodeSockaddr4(0, PORT));
      p.libc.listen(listener);
      const serve = async (fd: number): Promise<void> => {
        const buffer = new Uint8Array(1 << 16);
        for (let at = 0; ; ) {
          const n = await p.libc.recv(fd, buffer);
          if (n === 0) break;
          for (let i = 0; i < n; i++) if (buffer[i] !== (byte(at + i) & 0xff)) wrong++;
          at += n;
          received += n;
        }
        await p.libc.close(fd);
      };
      const all: Promise<void>[] = [];
      for (let n = 0; n < flows; n++) all.push(serve((await p.libc.accept(listener)).fd));
      await Promise.all(all);
      await p.libc.close(listener);
      return 0;
    },
    ['server'],
  );
  const client = lab.start(
    'a',
    async (p) => {
      await p.libc.sleep(100);
      const data = Uint8Array.from({ length: size }, (_, i) => byte(i));
      const send = async (): Promise<void> => {
        const fd = p.libc.socket(AF_INET, SOCK_STREAM);
        await p.libc.connect(fd, encodeSockaddr4(B, PORT));
        for (let at = 0; at < size; ) at += await p.libc.send(fd, data.subarray(at, at + 65536));
        await p.libc.close(fd);
      };
      await Promise.all(Array.from({ length: flows }, send));
      return 0;
    },
    ['client'],
  );
  const { world } = lab;
  const programs = [server.program, client.program];
  const until = (): boolean => programs.every(({ status }) => status !== null);
  await world.runPrograms({ untilNs: world.nowNs + 600e9, until });
  await world.runPrograms({ untilNs: world.nowNs + 130e9 });
  const statuses = programs.map(({ status }) => status);
  const fingerprint = world.fingerprint.digest();
  return { statuses, wrong, received, fingerprint, live: world.halt() };
}

const MIB = 1 << 20;
const DELIVERED = { statuses: [0, 0], wrong: 0, live: {} };

describe('TCP over igb', () => {
  it('carries 8 MiB through loss at both ends of several queues', {
    timeout: 120_000,
  }, async () => {
    const impairments = { loss: '1%', delay: '1ms' };
    const result = await transfer({ impairments, queues: 4 }, 8 * MIB, 1);
    expect(result).toMatchObject({ ...DELIVERED, received: 8 * MIB });
  });

  it('carries jumbo frames, and many flows beside each other', { timeout: 120_000 }, async () => {
    const impairments = { loss: '0.5%', reorder: '1%', delay: '200us', jitter: '50us' };
    const result = await transfer({ impairments, queues: 8, mtu: 9000 }, MIB, 8);
    expect(result).toMatchObject({ ...DELIVERED, received: 8 * MIB });
  });

  it('gives the same run for the same seed', { timeout: 120_000 }, async () => {
    const options = { impairments: { loss: '1%' }, queues: 8, seed: 5 };
    const first = await transfer(options, MIB, 4);
    expect(first).toMatchObject({ ...DELIVERED, received: 4 * MIB });
    expect(await transfer(options, MIB, 4)).toEqual(first);
    expect((await transfer({ ...options, seed: 6 }, MIB, 4)).fingerprint).not.toBe(
      first.fingerprint,
    );
  });
});
