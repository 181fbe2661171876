/**
 * ethtool on softnet's own devices: features, drivers, rings, counters.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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
