import { expect, it } from 'vitest';
import { shmemCable } from '#host/node/shmem_link.ts';
import { startThread } from '#host/node/thread.ts';
import { echoClient, echoServer, RealMachine } from '../support/real_machine.ts';

const SERVER = 0x0a090002;
const CLIENT_SETUP = [
  'ip link set lo up',
  'ip addr add 10.9.0.1/24 dev shm0',
  'ip link set shm0 up',
] as const;

it('joins machines in two threads: pings, and every byte there and back', {
  timeout: 180_000,
}, async () => {
  const cable = shmemCable(1 << 18);
  const url = new URL('../support/shmem_thread', import.meta.url);
  const worker = startThread(url, { cable, connections: 4 });
  const messages: unknown[] = [];
  let heard = (): void => {};
  worker.on('message', (message) => {
    messages.push(message);
    heard();
  });
  const failed = new Promise<never>((_, reject) => {
    worker.on('error', reject);
  });
  const exited = new Promise((resolve) => {
    worker.on('exit', resolve);
  });
  const ready = new Promise<void>((resolve) => {
    heard = resolve;
  });
  await Promise.race([ready, failed]);
  const client = new RealMachine('client');
  client.plug(cable, 0, 'shm0');
  await client.sh(...CLIENT_SETUP);
  expect(await client.sh('ping -c 3 -i 0.01 10.9.0.2')).toContain('3 received, 0% packet loss');
  await Promise.all(
    [1, 100_000, 2_000_000, 5_000_000].map((size) =>
      client.run(echoClient(SERVER, size), ['client']),
    ),
  );
  // Super-packets crossed whole.
  expect(await client.sh('cat /proc/interrupts')).toMatch(/PCI-MSIX-shmem/);
  const stats = client.machine.initNet.devNameHead.get('shm0')?.stats;
  expect(stats?.txBytes).toBeGreaterThan(7_000_000);
  expect((stats?.txBytes ?? 0) / (stats?.txPackets ?? 1)).toBeGreaterThan(2000);
  worker.postMessage('end');
  await Promise.race([exited, failed]);
  expect(client.end()).toEqual({});
  expect(messages).toEqual(['ready', {}]);
});

it('joins two machines of one thread as well', async () => {
  const cable = shmemCable();
  const server = new RealMachine('server');
  const client = new RealMachine('client');
  server.plug(cable, 1, 'shm0');
  client.plug(cable, 0, 'shm0');
  await server.sh('ip addr add 10.9.0.2/24 dev shm0', 'ip link set shm0 up');
  const done = server.run(echoServer(1), ['echo']);
  await client.sh(...CLIENT_SETUP);
  await client.run(echoClient(SERVER, 300_000), ['client']);
  await done;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([client.end(), server.end()]).toEqual([{}, {}]);
});
