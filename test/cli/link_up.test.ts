/** Sending right after a link came up, as scripts do. */
import { expect, test } from 'vitest';
import { Box } from './machine.ts';

test('a program that sends at once finds the other end of a veth in use', async () => {
  const box = new Box();
  const { stdout } = await box.sh(`
    ip netns add a; ip netns add b
    ip link add v0 netns a type veth peer name v1 netns b
    ip -n a addr add 10.0.0.1/24 dev v0; ip -n b addr add 10.0.0.2/24 dev v1
    ip -n a link set v0 up; ip -n b link set v1 up
    ip netns exec a ping -c 1 10.0.0.2
    ip -n a -s link show v0`);
  // Only linkwatch_event() puts the queueing discipline of v0 to work, when v1 has come up.
  expect(stdout).toContain('time=0.000 ms');
  expect(stdout).toMatch(/TX: .*\n +140 +2 +0 +0 /);
  expect(box.halt()).toEqual({});
});
