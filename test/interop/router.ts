/** A softnet machine that forwards between two TAP devices, for the routing test. */

import { DoorLink } from '#host/node/door_link.ts';
import { bootReal, forkReal, haltReal } from '#host/node/real_host.ts';
import { Tap } from '#host/node/tap.ts';
import { defconfig } from '#init/defconfig.ts';
import { Process, runProcess } from '#user/lib/process.ts';
import { Collector } from '#user/lib/streams.ts';
import { main as sh } from '#user/sh/sh.ts';

const { machine, host } = bootReal({ name: 'router', modules: defconfig });
const onGone = (): void => {};
const hostAddress = { address: [10, 77, 0, 1], prefix: 24 };
const join = (door: Tap, ifname: string): DoorLink =>
  new DoorLink(host, machine.initNet, door, { ifname, onGone });
const left = join(new Tap({ name: 'softnetl', hostAddress }), 'eth0');
const right = join(new Tap({ name: 'softnetr' }), 'eth1');

const fork = (name: string): ReturnType<typeof forkReal> => forkReal(machine, host, name);
const sys = fork('setup');
for (const line of [
  'ip link set lo up',
  'ip addr add 10.77.0.2/24 dev eth0',
  'ip addr add 10.79.0.2/24 dev eth1',
  'ip link set eth0 up',
  'ip link set eth1 up',
  'sysctl -q -w net.ipv4.ip_forward=1',
]) {
  const stderr = new Collector();
  const status = await runProcess(sh, new Process({ sys, argv: ['sh', '-c', line], stderr, fork }));
  if (status !== 0) throw new Error(`${line}: ${stderr.text()}`);
}
sys.exit(0);

process.once('SIGTERM', () => {
  left.close();
  right.close();
  haltReal(machine, host);
});
process.stdout.write('ready\n');
