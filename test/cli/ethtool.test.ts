/**
 * ethtool on softnet's own devices: features, drivers, rings, counters.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { igbPlug } from '#drivers/net/ethernet/intel/igb/igb_plug.ts';
import { Box } from './machine.ts';

let box: Box;

beforeEach(async () => {
  box = new Box();
  await box.sh('ip link add v0 type veth peer name v1');
});

afterEach(() => {
  expect(box.halt()).toEqual({});
});

async function feature(name: string): Promise<string> {
  const { stdout } = await box.run(['ethtool', '-k', 'v0']);
  return stdout.split('\n').find((line) => line.trim().startsWith(`${name}:`)) ?? '';
}

describe('ethtool', () => {
  it('shows features singly and in groups, and which are fixed', async () => {
    const { stdout, status } = await box.run(['ethtool', '-k', 'v0']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Features for v0:\n/);
    expect(stdout).toContain('tcp-segmentation-offload: on\n\ttx-tcp-segmentation: on\n');
    expect(await feature('large-receive-offload')).toBe('large-receive-offload: off [fixed]');
  });

  it('changes what can be changed, and says what else that changed', async () => {
    expect(await box.sh('ethtool -K v0 tso off gro off')).toMatchObject({ status: 0, stdout: '' });
    expect(await feature('tx-tcp-segmentation')).toBe('\ttx-tcp-segmentation: off');
    expect(await feature('generic-segmentation-offload')).toBe('generic-segmentation-offload: on');
    // Without gathering nothing can be segmented either.
    const { stdout } = await box.sh('ethtool -K v0 tx-scatter-gather off');
    expect(stdout).toContain('Actual changes:\n');
    expect(stdout).toContain('generic-segmentation-offload: off');
    expect(await feature('tx-scatter-gather')).toBe('\ttx-scatter-gather: off');
  });

  it('tells speed and duplex as the driver has them, with or without carrier', async () => {
    await box.sh('ip link add d0 type dummy');
    const of = async (dev: string, name: string): Promise<string> => {
      const { stdout, stderr } = await box.sh(`cat /sys/class/net/${dev}/${name}`);
      return stdout === '' ? (stderr.split(': ').pop() as string) : stdout;
    };
    const devices = ['lo', 'v0', 'v1', 'd0'];
    const all = async (name: string): Promise<string[]> =>
      (await Promise.all(devices.map((dev) => of(dev, name)))).map((text) => text.trim());
    const none = 'Invalid argument';
    expect(await all('speed')).toEqual(devices.map(() => none));
    for (const dev of devices) if (dev !== 'v1') await box.sh(`ip link set ${dev} up`);
    // A device that tells no settings has no speed; one that is down has none now.
    expect(await all('carrier')).toEqual(['1', '0', none, '1']);
    expect(await all('speed')).toEqual([none, '10000', none, none]);
    expect(await all('duplex')).toEqual([none, 'full', none, none]);
    await box.sh('ip link set v1 up');
    expect([await of('v1', 'carrier'), await of('v1', 'speed')]).toEqual(['1\n', '10000\n']);
  });

  it('refuses what cannot be, with the words of the real one', async () => {
    expect(await box.sh('ethtool -K v0 lro on')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'Could not change any device features\n',
    });
    expect((await box.sh('ethtool -K v0 nosuch on')).stderr).toContain('bad command line');
    expect((await box.sh('ethtool -K v0 tso')).stderr).toContain('bad command line');
    expect((await box.sh('ethtool -i nosuch')).stderr).toBe(
      'Cannot get driver information: No such device\n',
    );
    expect((await box.sh('ethtool')).status).toBe(1);
    expect((await box.sh('ethtool -g v0')).stderr).toBe(
      'Cannot get device ring settings: Operation not supported\n',
    );
  });

  it('names the driver and tells of the link', async () => {
    expect((await box.sh('ethtool -i v0')).stdout).toMatch(/^driver: veth\nversion: 1.0\n/);
    expect((await box.sh('ethtool v0')).stdout).toContain('Link detected: no');
    await box.sh('ip link set v0 up; ip link set v1 up');
    expect((await box.sh('ethtool v0')).stdout).toContain('Link detected: yes');
  });
});

describe('ethtool on a card with queues', () => {
  beforeEach(() => {
    igbPlug(box.machine, box.machine.initNet, {
      mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
      name: 'eth0',
      params: { rssQueues: 4 },
    });
  });

  it('shows and changes channels', async () => {
    expect(await box.sh('ethtool -l eth0')).toEqual({
      status: 0,
      stderr: '',
      stdout:
        'Channel parameters for eth0:\n' +
        'Pre-set maximums:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t1\nCombined:\t8\n' +
        'Current hardware settings:\nRX:\t\tn/a\nTX:\t\tn/a\nOther:\t\t1\nCombined:\t4\n',
    });
    expect(await box.sh('ethtool -L eth0 combined 2')).toMatchObject({ status: 0, stderr: '' });
    expect((await box.sh('ethtool -l eth0')).stdout).toMatch(/Combined:\t2\n$/);
    expect((await box.sh('ethtool -L eth0 combined 2')).stderr).toMatch(
      /^no channel parameters changed\.\ncurrent values: rx 0 tx 0 other 1 combined 2\n/,
    );
    expect((await box.sh('ethtool -L eth0 combined 9')).stderr).toContain('Invalid argument');
    expect((await box.sh('ethtool -L eth0 nonsense 1')).stderr).toContain('bad command line');
    expect((await box.sh('ethtool -l v0')).stderr).toContain('Operation not supported');
  });

  it('leaves a discipline for each queue in use', async () => {
    await box.sh('ethtool -L eth0 combined 2; ip link set eth0 up');
    const bands = 'bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1';
    expect((await box.sh('tc qdisc show dev eth0')).stdout).toBe(
      `qdisc mq 0: root \nqdisc pfifo_fast 0: parent :2 ${bands}\nqdisc pfifo_fast 0: parent :1 ${bands}\n`,
    );
  });

  it('shows the indirection table, key and function of the hash', async () => {
    const row = (first: number, queue: number): string =>
      `${String(first).padStart(5)}: ${`     ${queue}`.repeat(8)}\n`;
    const rows = Array.from({ length: 16 }, (_, i) => row(8 * i, i >> 2)).join('');
    await box.sh('ip link set eth0 up');
    const { stdout } = await box.sh('ethtool -x eth0');
    expect(stdout).toMatch(
      /^RX flow hash indirection table for eth0 with 4 RX ring\(s\):\n(.*\n){16}RSS hash key:\n([0-9a-f]{2}:){39}[0-9a-f]{2}\nRSS hash function:\n {4}toeplitz: on\n {4}xor: off\n {4}crc32: off\n$/,
    );
    expect(stdout).toContain(rows);
    const key = new Array(40).fill('0f').join(':');
    expect((await box.sh(`ethtool -X eth0 hkey ${key} weight 3 1`)).stderr).toBe('');
    const changed = (await box.sh('ethtool -x eth0')).stdout;
    expect(changed).toContain(`RSS hash key:\n${key}\n`);
    expect(changed).toContain(row(88, 0) + row(96, 1));
    for (const [wrong, why] of [
      ['equal 5', 'Cannot set RX flow hash configuration: Invalid argument'],
      ['weight 0 0', 'At least one weight must be non-zero'],
      ['weight 100 100', 'Total weight exceeds the size of the indirection table'],
      ['equal 2 default', 'bad command line'],
      ['equal 0', 'bad command line'],
      ['hkey 0f:0f', 'Cannot set RX flow hash configuration: Invalid argument'],
      ['hfunc crc32', 'Cannot set RX flow hash configuration: Operation not supported'],
      ['hfunc nonsense', 'Unknown hash function: nonsense'],
      ['', 'bad command line'],
    ] as const) {
      const outcome = await box.sh(`ethtool -X eth0 ${wrong}`);
      expect(outcome.status, wrong).toBe(1);
      expect(outcome.stderr, wrong).toContain(why);
    }
  });

  it('keeps an indirection table over down and up, but not one set before the first up', async () => {
    const queues = async (): Promise<string> => {
      const { stdout } = await box.sh('ethtool -x eth0');
      return [...stdout.matchAll(/^ +\d+: +(\d)/gm)].map(([, queue]) => queue).join('');
    };
    const spread = '0000111122223333';
    // igb_setup_mrqc() knows a table only since it has made one itself.
    await box.sh('ethtool -X eth0 equal 2');
    expect(await queues()).toBe('0'.repeat(16));
    await box.sh('ethtool -X eth0 weight 0 0 0 1');
    expect(await queues()).toBe('3'.repeat(16));
    await box.sh('ip link set eth0 up');
    expect(await queues()).toBe(spread);
    await box.sh('ethtool -X eth0 weight 0 0 0 1; ip link set eth0 down; ip link set eth0 up');
    expect(await queues()).toBe('3'.repeat(16));
    await box.sh('ethtool -X eth0 default; ethtool -L eth0 combined 2');
    expect(await queues()).toBe('0000000011111111');
  });

  it('shows and changes what is hashed', async () => {
    const title =
      'UDP over IPV4 flows use these fields for computing Hash flow key:\nIP SA\nIP DA\n';
    const ports = 'L4 bytes 0 & 1 [TCP/UDP src port]\nL4 bytes 2 & 3 [TCP/UDP dst port]\n';
    expect((await box.sh('ethtool -n eth0 rx-flow-hash udp4')).stdout).toBe(`${title}\n`);
    expect((await box.sh('ethtool -N eth0 rx-flow-hash udp4 sdfn')).status).toBe(0);
    expect((await box.sh('ethtool -n eth0 rx-flow-hash udp4')).stdout).toBe(`${title}${ports}\n`);
    expect((await box.sh('ethtool -n eth0 rx-flow-hash tcp4')).stdout).toContain(ports);
    expect((await box.sh('ethtool -N eth0 rx-flow-hash tcp4 sd')).stderr).toBe(
      'Cannot change RX network flow hashing options: Invalid argument\n',
    );
    expect((await box.sh('ethtool -N eth0 rx-flow-hash tcp4 sdz')).stderr).toContain('bad command');
    expect((await box.sh('ethtool -n eth0 rx-flow-hash arp')).stderr).toContain('bad command line');
  });

  it('shows and changes private flags', async () => {
    const flags = 'Private flags for eth0:\nlegacy-rx: ';
    expect((await box.sh('ethtool --show-priv-flags eth0')).stdout).toBe(`${flags}off\n`);
    expect((await box.sh('ethtool --set-priv-flags eth0 legacy-rx on')).status).toBe(0);
    expect((await box.sh('ethtool --show-priv-flags eth0')).stdout).toBe(`${flags}on\n`);
    expect((await box.sh('ethtool --set-priv-flags eth0 other on')).status).toBe(1);
    expect((await box.sh('ethtool -i eth0')).stdout).toMatch(
      /^driver: igb\n(.*\n)*supports-priv-flags: yes\n$/,
    );
  });

  it('bounds rings and intervals', async () => {
    expect((await box.sh('ethtool -G eth0 rx 1000 tx 20')).status).toBe(0);
    expect((await box.sh('ethtool -g eth0')).stdout).toMatch(/RX:\t\t1000\n(.*\n)*TX:\t\t64\n$/);
    expect((await box.sh('ethtool -G eth0 rx 5000')).stderr).toContain('Invalid argument');
    expect((await box.sh('ethtool -C eth0 rx-usecs 50 tx-usecs 60')).status).toBe(0);
    expect((await box.sh('ethtool -c eth0')).stdout).toContain('rx-usecs:\t50\ntx-usecs:\t60\n');
    expect((await box.sh('ethtool -C eth0 rx-usecs 2')).stderr).toContain('Invalid argument');
  });
});
