import { expect, it } from 'vitest';
import { DOOR_FRAME_SIZE, type Door, type DoorHandlers, type DoorQueue } from '#host/node/door.ts';
import { DoorLink } from '#host/node/door_link.ts';
import { bootReal, forkReal, haltReal, type RealHost } from '#host/node/real_host.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { defconfig } from '#init/defconfig.ts';
import type { Machine } from '#kernel/machine.ts';
import { __devGetByName } from '#net/core/dev.ts';
import { Process, runProcess } from '#user/lib/process.ts';
import { Collector } from '#user/lib/streams.ts';
import { main as sh } from '#user/sh/sh.ts';

const MAC = [2, 0, 0, 0, 0, 1];

/** A queue whose other side is the test. */
class FakeQueue implements DoorQueue {
  readonly sent: number[][];
  open: boolean;
  flushes: number;
  private readonly buffer: Uint8Array;
  handlers!: DoorHandlers;

  constructor() {
    this.sent = [];
    this.open = true;
    this.flushes = 0;
    this.buffer = new Uint8Array(DOOR_FRAME_SIZE);
  }
  start(handlers: DoorHandlers): void {
    this.handlers = handlers;
  }
  room(): Uint8Array | null {
    return this.open ? this.buffer : null;
  }
  send(length: number): void {
    this.sent.push([...this.buffer.subarray(0, length)]);
  }
  flush(): void {
    this.flushes++;
  }
}

class FakeDoor implements Door {
  readonly vnetHdrSize = 0;
  readonly offloads = 0;
  readonly mac = null;
  readonly txErrors = 0;
  readonly queues: readonly FakeQueue[];
  asked: number[];
  closed: number;

  constructor(count: number) {
    this.queues = Array.from({ length: count }, () => new FakeQueue());
    this.asked = [];
    this.closed = 0;
  }
  setQueues(count: number): boolean {
    this.asked.push(count);
    return true;
  }
  close(): void {
    this.closed++;
  }
}

async function run(machine: Machine, host: RealHost, line: string): Promise<string> {
  const sys = forkReal(machine, host, 'sh');
  const [stdout, stderr] = [new Collector(), new Collector()];
  const fork = (name: string): ReturnType<typeof forkReal> => forkReal(machine, host, name);
  const status = await runProcess(
    sh,
    new Process({ sys, argv: ['sh', '-c', line], stdout, stderr, fork }),
  );
  sys.exit(status);
  expect({ line, stderr: stderr.text() }).toEqual({ line, stderr: '' });
  return stdout.text();
}

/** Adds the 16-bit words of a part, and folds. */
function checksum(v: DataView, at: number, end: number, start: number): number {
  let sum = start;
  for (let i = at; i < end; i += 2) sum += v.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** A SYN to a closed port of the machine, which answers with a reset. */
function syn(dev: NetDevice, port: number): Uint8Array {
  const frame = new Uint8Array(14 + 40);
  frame.set(dev.devAddr.subarray(0, 6));
  frame.set(MAC, 6);
  frame.set([8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1], 12);
  const v = new DataView(frame.buffer);
  v.setUint16(24, checksum(v, 14, 34, 0));
  v.setUint16(34, port);
  v.setUint16(36, 81);
  v.setUint16(46, 0x5002);
  // With the addresses, protocol and length.
  v.setUint16(50, checksum(v, 26, 54, 6 + 20));
  return frame;
}

interface Rig {
  readonly machine: Machine;
  readonly host: RealHost;
  readonly door: FakeDoor;
  readonly link: DoorLink;
  readonly dev: NetDevice;
  readonly gone: string[];
}

async function rig(queues: number): Promise<Rig> {
  const { machine, host } = bootReal({ name: 'm', modules: defconfig, seed: 1, cpus: queues });
  const door = new FakeDoor(queues);
  const gone: string[] = [];
  const onGone = (reason: string): void => void gone.push(reason);
  const link = new DoorLink(host, machine.initNet, door, { ifname: 'eth0', onGone });
  await run(machine, host, 'ip addr add 10.0.0.1/24 dev eth0');
  await run(machine, host, 'ip link set eth0 up');
  await run(machine, host, 'ip neigh add 10.0.0.9 lladdr 02:00:00:00:00:01 dev eth0');
  const dev = __devGetByName(machine.initNet, 'eth0') as NetDevice;
  for (const queue of door.queues) queue.sent.length = 0;
  return { machine, host, door, link, dev, gone };
}

/** Nothing is alive when the link is closed and the machine halted. */
function end({ machine, host, door, link }: Rig): void {
  link.close();
  link.close();
  expect(door.closed).toBe(1);
  expect(host.afterEntry).toEqual([]);
  expect(machine.irqs.descs.size).toBe(0);
  expect(haltReal(machine, host)).toEqual({});
}

/** Resets that went out: of which ports. */
const resets = (queue: FakeQueue): number[] =>
  queue.sent.filter((f) => f[23] === 6 && f[47] === 0x14).map((f) => f[37] as number);
const count = (n: number, from = 0): number[] => Array.from({ length: n }, (_, i) => from + i);

it('hands over a batch with one interrupt a queue, each on its own CPU', async () => {
  const r = await rig(3);
  const { machine, door, dev } = r;
  for (const [i, queue] of door.queues.entries()) {
    queue.flushes = 0;
    for (let port = 0; port < 5; port++) queue.handlers.frame(syn(dev, 10 * i + port));
    expect(resets(queue)).toEqual([]);
    queue.handlers.idle();
    // Its interrupt again: nothing has come.
    queue.handlers.idle();
    expect([resets(queue), queue.flushes]).toEqual([count(5, 10 * i), 1]);
  }
  const counts = [...machine.irqs.descs.values()].map(({ counts: c }) => c);
  expect(counts).toEqual([
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ]);
  end(r);
});

it('keeps what one queue has no room for, while the others go on', async () => {
  const r = await rig(2);
  const { door, dev } = r;
  const [a, b] = door.queues as [FakeQueue, FakeQueue];
  a.open = false;
  for (const queue of door.queues) {
    for (let port = 0; port < 40; port++) queue.handlers.frame(syn(dev, port));
    queue.handlers.idle();
  }
  expect([resets(a), resets(b)]).toEqual([[], count(40)]);
  a.open = true;
  a.handlers.drain();
  expect([resets(a), resets(b)]).toEqual([count(40), count(40)]);
  end(r);
});

it('says that the machine is behind before it has too much, and is ready again', async () => {
  const r = await rig(1);
  const { machine, door, dev } = r;
  const [queue] = door.queues as [FakeQueue];
  // The machine cannot serve its interrupts now.
  for (const cpu of machine.cpus) cpu.bhDisableCount++;
  let taken = 0;
  for (; queue.handlers.ready() && taken < 1000; taken++) queue.handlers.frame(syn(dev, 1));
  expect(taken).toBe(256);
  for (const cpu of machine.cpus) cpu.bhDisableCount--;
  queue.handlers.idle();
  for (let i = 0; i < 20 && resets(queue).length < 256; i++)
    await new Promise((r2) => setImmediate(r2));
  expect([queue.handlers.ready(), resets(queue).length]).toEqual([true, 256]);
  end(r);
});

it('takes queues away on both sides by ethtool, and tells once that the other side is gone', async () => {
  const r = await rig(4);
  const { machine, host, door, dev, gone } = r;
  await run(machine, host, 'ethtool -L eth0 combined 1');
  expect([door.asked, dev.realNumTxQueues]).toEqual([[1], 1]);
  await run(machine, host, 'ethtool -L eth0 combined 3');
  expect([door.asked, dev.realNumTxQueues]).toEqual([[1, 3], 3]);
  for (const queue of door.queues) queue.handlers.gone('it is over');
  expect(gone).toEqual(['it is over']);
  end(r);
  // Too late.
  door.queues[0]?.handlers.frame(syn(dev, 1));
  door.queues[0]?.handlers.idle();
  expect(machine.irqs.descs.size).toBe(0);
});

it('tells the host of what the machine throws at a frame, as at any other work', async () => {
  const { host, machine, door, link, dev } = await rig(1);
  const [queue] = door.queues as [FakeQueue];
  const errors: unknown[] = [];
  host.onError = (error) => errors.push(error);
  const wrong = new Error('a probe is wrong');
  const probe = (): never => {
    throw wrong;
  };
  machine.trace.skb.kfreeSkb.register(probe);
  // A device that is down drops a frame at once.
  await run(machine, host, 'ip link set eth0 down');
  queue.handlers.frame(syn(dev, 1));
  expect(errors).toEqual([wrong]);
  machine.trace.skb.kfreeSkb.unregister(probe);
  queue.handlers.idle();
  link.close();
  // The packet is lost with its machine, which cannot be halted in good order.
  host.stop();
});
