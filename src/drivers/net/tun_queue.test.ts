import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, NetdevMachine } from '#drivers/net/testing/netdev_machine.ts';
import { tunAddQueue, tunChrOpen, tunCreate, tunDetach, tunSetChannels } from '#drivers/net/tun.ts';
import {
  type TunFile,
  tunDoRead,
  tunGetUser,
  tunNapiSchedule,
  tunOf,
} from '#drivers/net/tun_io.ts';
import { MAX_TAP_QUEUES, tunSetQueue } from '#drivers/net/tun_queue.ts';
import {
  NET_RX_SUCCESS,
  type NetDevice,
  netdevGetTxQueue,
  netifTxQueueStopped,
  PacketType,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbGetRxQueue } from '#include/linux/skbuff_rx_queue.ts';
import { fput } from '#kernel/sched/file.ts';
import { __devGetByName } from '#net/core/dev.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { E2BIG, EAGAIN, EBUSY, EEXIST, EINVAL } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import {
  IFF_ATTACH_QUEUE,
  IFF_DETACH_QUEUE,
  IFF_MULTI_QUEUE,
  IFF_NAPI,
  IFF_NO_PI,
  IFF_TAP,
  TUNGETFEATURES,
  TUNSETIFF,
  TUNSETQUEUE,
} from '#uapi/if_tun.ts';

let m: NetdevMachine;
let got: SkBuff[];
let pt: PacketType;
const buf = new Uint8Array(2000);

beforeEach(() => {
  m = new NetdevMachine();
  got = [];
  pt = new PacketType(ETH_P_IP, (skb) => {
    got.push(skb);
    return NET_RX_SUCCESS;
  });
  devAddPack(m.machine, pt);
});

afterEach(() => {
  for (const skb of got) consumeSkb(skb);
  devRemovePack(m.machine, pt);
  m.end();
});

/** A tap device with that many queues. */
function taps(queues: number, flags = 0): TunFile[] {
  const all = IFF_TAP | IFF_MULTI_QUEUE | flags;
  const first = tunCreate(m.machine.initNet, { name: 'tap%d', flags: all });
  if (typeof first === 'number') throw new Error(`tun: ${first}`);
  const made = [first];
  while (made.length < queues) {
    const next = tunAddQueue(first);
    if (typeof next === 'number') throw new Error(`tun: ${next}`);
    made.push(next);
  }
  m.setUp(first.dev as NetDevice);
  m.settle();
  return made;
}

/** An IPv4 and UDP header; of the two ends `port` is at the machine's. */
function datagram(port: number, sent: boolean): number[] {
  const peer = [10, 0, 0, 9];
  const here = [10, 0, 0, 1];
  const ports = [port >> 8, port & 255];
  const [src, dst] = sent ? [here, peer] : [peer, here];
  return [
    ...[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, ...src, ...dst],
    ...(sent ? [...ports, 0, 7] : [0, 7, ...ports]),
    ...[0, 8, 0, 0],
  ];
}

function frameTo(dev: NetDevice, payload: number[]): Uint8Array {
  return Uint8Array.from([...dev.devAddr.subarray(0, 6), 2, 0, 0, 0, 0, 9, 8, 0, ...payload]);
}

function send(dev: NetDevice, port: number): number {
  const skb = m.packet([...frameTo(dev, datagram(port, true))]);
  skb.dev = dev;
  skb.protocol = ETH_P_IP;
  skb.networkHeader = skb.data + 14;
  return devQueueXmit(skb);
}

/** Packets that wait, by queue. */
const waiting = (files: readonly TunFile[]): number[] => files.map(({ txRing }) => txRing.qlen);

function leave(files: readonly TunFile[]): void {
  for (const tfile of files) tunDetach(tfile);
}

describe('several queues of a tap device', () => {
  it('answers a flow on the queue by which it comes, and follows it', () => {
    const files = taps(4);
    const dev = (files[0] as TunFile).dev as NetDevice;
    expect([dev.realNumTxQueues, dev.realNumRxQueues]).toEqual([4, 4]);
    for (let port = 1000; port < 1016; port++) {
      const queue = port & 3;
      tunGetUser(files[queue] as TunFile, frameTo(dev, datagram(port, false)));
      expect(skbGetRxQueue(got.at(-1) as SkBuff)).toBe(queue);
      for (const tfile of files) while (tunDoRead(tfile, buf) > 0);
      send(dev, port);
      expect(waiting(files)).toEqual([0, 1, 2, 3].map((q) => (q === queue ? 1 : 0)));
    }
    // The program has moved it.
    tunGetUser(files[3] as TunFile, frameTo(dev, datagram(1000, false)));
    for (const tfile of files) while (tunDoRead(tfile, buf) > 0);
    send(dev, 1000);
    expect(waiting(files)).toEqual([0, 0, 0, 1]);
    leave(files);
    expect(__devGetByName(m.machine.initNet, 'tap0')).toBeNull();
  });

  it('spreads what it has not heard of by its hash, each flow on one queue', () => {
    const files = taps(4);
    const dev = (files[0] as TunFile).dev as NetDevice;
    for (let port = 1000; port < 1200; port++) send(dev, port);
    const once = waiting(files);
    expect(Math.min(...once)).toBeGreaterThan(20);
    for (let port = 1000; port < 1200; port++) send(dev, port);
    expect(waiting(files)).toEqual(once.map((n) => 2 * n));
    leave(files);
  });

  it('forgets a flow that was silent for three seconds', () => {
    const files = taps(2);
    const dev = (files[0] as TunFile).dev as NetDevice;
    const { flows } = tunOf(dev);
    for (let port = 1; port <= 20; port++) {
      tunGetUser(files[0] as TunFile, frameTo(dev, datagram(port, false)));
    }
    expect(flows?.count).toBe(20);
    m.advance(2e9);
    tunGetUser(files[0] as TunFile, frameTo(dev, datagram(5, false)));
    m.advance(1.5e9);
    expect(flows?.count).toBe(1);
    m.advance(2e9);
    expect(flows?.count).toBe(0);
    leave(files);
  });

  it('stops one queue while its program does not read; the others go on', () => {
    const files = taps(2);
    const [a, b] = files as [TunFile, TunFile];
    const dev = a.dev as NetDevice;
    tunGetUser(a, frameTo(dev, datagram(1, false)));
    tunGetUser(b, frameTo(dev, datagram(2, false)));
    for (let i = 0; i < 600; i++) send(dev, 1);
    send(dev, 2);
    const stopped = (): boolean[] =>
      [0, 1].map((queue) => netifTxQueueStopped(netdevGetTxQueue(dev, queue)));
    expect([waiting(files), stopped()]).toEqual([
      [500, 1],
      [true, false],
    ]);
    let read = 0;
    while (tunDoRead(a, buf) > 0) read++;
    expect([read, stopped()]).toEqual([600, [false, false]]);
    leave(files);
  });

  it('takes queues away and gives them back', () => {
    const files = taps(3);
    const [a, b, c] = files as [TunFile, TunFile, TunFile];
    const dev = a.dev as NetDevice;
    const flow = (tfile: TunFile): number => {
      tunGetUser(tfile, frameTo(dev, datagram(9, false)));
      for (const each of files) while (tunDoRead(each, buf) > 0);
      send(dev, 9);
      return waiting(files).indexOf(1);
    };
    expect(tunSetQueue(a, IFF_ATTACH_QUEUE)).toBe(-EINVAL);
    expect(tunSetQueue(a, 0)).toBe(-EINVAL);
    // A queue that is stopped when it goes does not stay so for the next.
    tunGetUser(a, frameTo(dev, datagram(9, false)));
    for (let i = 0; i < 600; i++) send(dev, 9);
    expect(tunSetQueue(a, IFF_DETACH_QUEUE)).toBe(0);
    expect(tunSetQueue(a, IFF_DETACH_QUEUE)).toBe(-EINVAL);
    // The last has its number now.
    expect([b.queueIndex, c.queueIndex, dev.realNumTxQueues]).toEqual([1, 0, 2]);
    expect(netifTxQueueStopped(netdevGetTxQueue(dev, 0))).toBe(false);
    expect(tunDoRead(a, buf)).toBe(-EAGAIN);
    while (tunDoRead(c, buf) > 0);
    expect(flow(c)).toBe(2);
    expect(flow(b)).toBe(1);
    // What it writes still comes, and moves no flow.
    tunGetUser(a, frameTo(dev, datagram(9, false)));
    expect(flow(b)).toBe(1);
    expect(tunSetQueue(a, IFF_ATTACH_QUEUE)).toBe(0);
    expect([a.queueIndex, dev.realNumTxQueues, dev.realNumRxQueues]).toEqual([2, 3, 3]);
    expect(flow(a)).toBe(0);
    tunSetQueue(b, IFF_DETACH_QUEUE);
    leave(files);
    expect(__devGetByName(m.machine.initNet, 'tap0')).toBeNull();
  });

  it('forgets the flows of a queue that is gone', () => {
    const files = taps(2);
    const [a, b] = files as [TunFile, TunFile];
    const dev = a.dev as NetDevice;
    for (let port = 1; port <= 20; port++) {
      tunGetUser(port > 15 ? b : a, frameTo(dev, datagram(port, false)));
    }
    tunDetach(b);
    expect(tunOf(dev).flows?.count).toBe(15);
    tunDetach(a);
  });

  it('polls what was written, a batch at a time, with IFF_NAPI', () => {
    const files = taps(2, IFF_NAPI);
    const [a, b] = files as [TunFile, TunFile];
    const dev = a.dev as NetDevice;
    expect(dev.napiList).toHaveLength(2);
    for (let port = 1; port <= 10; port++) {
      expect(tunGetUser(a, frameTo(dev, datagram(port, false)), true)).toBe(42);
    }
    expect(got).toHaveLength(0);
    tunNapiSchedule(a);
    m.settle();
    expect(got.map((skb) => bytesOf(skb)[23])).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(got.every((skb) => skb.napiId === a.napi?.napiId)).toBe(true);
    // Without more to come at once.
    tunGetUser(b, frameTo(dev, datagram(11, false)));
    m.settle();
    expect(got).toHaveLength(11);
    // What waits when the program leaves is lost, and counted nowhere as alive.
    tunGetUser(b, frameTo(dev, datagram(12, false)), true);
    tunSetQueue(b, IFF_DETACH_QUEUE);
    expect(b.writeQueue.qlen).toBe(0);
    // Nobody would poll it, neither now nor when the program leaves.
    expect(tunGetUser(b, frameTo(dev, datagram(14, false)))).toBe(-EBUSY);
    expect(b.writeQueue.qlen).toBe(0);
    tunSetQueue(b, IFF_ATTACH_QUEUE);
    tunGetUser(b, frameTo(dev, datagram(13, false)));
    m.settle();
    expect(got.map((skb) => bytesOf(skb)[23])).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]);
    tunDetach(b);
    expect(dev.napiList).toHaveLength(1);
    tunDetach(a);
  });

  it('refuses too many, and files of another kind', () => {
    const files = taps(MAX_TAP_QUEUES);
    expect(tunAddQueue(files[0] as TunFile)).toBe(-E2BIG);
    expect((files[0] as TunFile).dev?.tx).toHaveLength(MAX_TAP_QUEUES);
    leave(files);
  });

  it('is there for programs in the machine', () => {
    const open = (): ReturnType<typeof tunChrOpen> => tunChrOpen(m.machine.initNet, 2);
    const ifr = (flags: number): Uint8Array => {
      const bytes = new Uint8Array(40);
      bytes.set([0x74, 0x37]);
      new DataView(bytes.buffer).setUint16(16, flags, true);
      return bytes;
    };
    const flags = IFF_TAP | IFF_NO_PI;
    const [a, b, c] = [open(), open(), open()];
    const features = new Uint8Array(4);
    a.fOp.ioctl(a, TUNGETFEATURES, features);
    const bits = new DataView(features.buffer).getUint32(0, true);
    expect(bits & (IFF_MULTI_QUEUE | IFF_NAPI)).toBe(IFF_MULTI_QUEUE | IFF_NAPI);
    expect(a.fOp.ioctl(a, TUNSETIFF, ifr(flags | IFF_MULTI_QUEUE))).toBe(0);
    expect(b.fOp.ioctl(b, TUNSETIFF, ifr(flags))).toBe(-EINVAL);
    expect(b.fOp.ioctl(b, TUNSETIFF, ifr(flags | IFF_MULTI_QUEUE))).toBe(0);
    const dev = __devGetByName(m.machine.initNet, 't7') as NetDevice;
    expect(dev.realNumTxQueues).toBe(2);
    expect(a.fOp.ioctl(a, TUNSETIFF, ifr(flags | IFF_MULTI_QUEUE))).toBe(-EEXIST);
    expect(b.fOp.ioctl(b, TUNSETQUEUE, ifr(IFF_DETACH_QUEUE))).toBe(0);
    // It is still of the device.
    expect(b.fOp.ioctl(b, TUNSETIFF, ifr(flags | IFF_MULTI_QUEUE))).toBe(-EEXIST);
    expect(dev.realNumTxQueues).toBe(1);
    fput(a);
    // The other is still of the device.
    expect(__devGetByName(m.machine.initNet, 't7')).toBe(dev);
    expect(b.fOp.ioctl(b, TUNSETQUEUE, ifr(IFF_ATTACH_QUEUE))).toBe(0);
    fput(b);
    expect(__devGetByName(m.machine.initNet, 't7')).toBeNull();
    // With one queue a second file is one too many.
    expect(c.fOp.ioctl(c, TUNSETIFF, ifr(flags))).toBe(0);
    const d = open();
    expect(d.fOp.ioctl(d, TUNSETIFF, ifr(flags))).toBe(-EBUSY);
    expect(c.fOp.ioctl(c, TUNSETQUEUE, ifr(IFF_DETACH_QUEUE))).toBe(-EINVAL);
    fput(d);
    fput(c);
  });

  it("leaves the number of queues to the embedder's word", () => {
    const files = taps(3);
    const dev = (files[0] as TunFile).dev as NetDevice;
    expect(dev.ethtoolOps?.getChannels).toBeNull();
    const asked: number[] = [];
    tunSetChannels(files[0] as TunFile, { max: 3, set: (count) => asked.push(count) * 0 });
    const now = dev.ethtoolOps?.getChannels?.(dev);
    expect(now).toMatchObject({ maxCombined: 3, combinedCount: 3 });
    if (now === undefined) return;
    expect(dev.ethtoolOps?.setChannels?.(dev, { ...now, combinedCount: 2 })).toBe(0);
    expect(dev.ethtoolOps?.setChannels?.(dev, { ...now, rxCount: 1 })).toBe(-EINVAL);
    expect(asked).toEqual([2]);
    leave(files);
  });
});
