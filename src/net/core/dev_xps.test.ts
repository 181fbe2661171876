import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine } from '#drivers/net/testing/netdev_machine.ts';
import {
  NETDEV_TX_OK,
  type NetDevice,
  type NetdevQueue,
  netDeviceOps,
  netifTxStopQueue,
} from '#include/linux/netdevice.ts';
import { XPS_CPUS, XPS_RXQS } from '#include/linux/netdevice_xps.ts';
import { type SkBuff, skbSetHash } from '#include/linux/skbuff.ts';
import { skbRecordRxQueue } from '#include/linux/skbuff_rx_queue.ts';
import { TcpSock } from '#include/linux/tcp.ts';
import { skMarkNapiId } from '#include/net/busy_poll.ts';
import type { DstEntry } from '#include/net/dst.ts';
import type { Proto, Sock } from '#include/net/sock.ts';
import type { Cpu } from '#kernel/cpu.ts';
import {
  netifSetRealNumTxQueues,
  registerNetdev,
  unregisterNetdev,
} from '#net/core/dev_register.ts';
import { devQueueXmit, netifTxWakeQueue } from '#net/core/dev_tx.ts';
import { __netifSetXpsQueue, netifSetXpsQueue, xpsQueuesOf } from '#net/core/dev_xps.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { sockDefCallbacks } from '#net/core/sock.ts';
import { protoNothing } from '#net/core/sock_proto.ts';
import { allocEtherdevMqs, ethHwAddrRandom } from '#net/ethernet/eth.ts';
import { EINVAL } from '#uapi/errno.ts';
import { SKB_DROP_REASON_QUEUE_PURGE } from '#uapi/net_dropreason.ts';
import { AF_INET } from '#uapi/socket.ts';

const QUEUES = 4;

let m: NetdevMachine;
let dev: NetDevice;
/** Transmit queue of each packet. */
let used: number[];

beforeEach(() => {
  m = new NetdevMachine('m', 4);
  used = [];
  const ops = netDeviceOps({
    ndoStartXmit: (skb) => {
      used.push(skb.queueMapping);
      consumeSkb(skb, 'test_xmit');
      return NETDEV_TX_OK;
    },
  });
  dev = allocEtherdevMqs(m.machine.initNet, ops, null, QUEUES, QUEUES);
  ethHwAddrRandom(dev);
  expect(registerNetdev(dev)).toBe(0);
  m.setUp(dev);
});

afterEach(() => {
  unregisterNetdev(dev);
  m.settle();
  const { xpsNeeded, xpsRxqsNeeded } = m.machine.netGlobals;
  expect([xpsNeeded, xpsRxqsNeeded]).toEqual([0, 0]);
  m.end();
});

/** A packet of the flow with this hash, sent on a CPU. The queue that it took. */
function send(hash: number, cpu = 0, prepare: (skb: SkBuff) => void = () => {}): number {
  m.machine.cpu = m.machine.cpus[cpu] as Cpu;
  const skb = m.packet(new Array<number>(60).fill(0));
  skb.dev = dev;
  skbSetHash(skb, hash, true);
  prepare(skb);
  devQueueXmit(skb);
  m.settle();
  return used[used.length - 1] as number;
}

function mask(...ids: number[]): Uint8Array {
  return Uint8Array.from({ length: 4 }, (_, id) => (ids.includes(id) ? 1 : 0));
}

/** A sock with a route, as far as the choice of a queue looks. */
function sock(): Sock {
  const prot: Proto = { ...protoNothing, name: 'TEST', alloc: () => sock() };
  const sk = new TcpSock(m.machine.initNet, AF_INET, prot, sockDefCallbacks);
  sk.skDstCache = { refcnt: 1 } as DstEntry;
  return sk;
}

const owned =
  (sk: Sock, oooOkay = false) =>
  (skb: SkBuff): void => {
    skb.sk = sk;
    skb.destructor = () => {};
    skb.oooOkay = oooOkay;
  };

const HASH = [0x10000000, 0x50000000, 0x90000000, 0xd0000000];

describe('the transmit queue without maps', () => {
  it('is the flow hash scaled to the queues in use', () => {
    expect(HASH.map((hash) => send(hash))).toEqual([0, 1, 2, 3]);
    m.rtnl(() => expect(netifSetRealNumTxQueues(dev, 2)).toBe(0));
    expect(HASH.map((hash) => send(hash))).toEqual([0, 0, 1, 1]);
  });

  it('is that of the receive queue for what is forwarded', () => {
    const from = (queue: number) => (skb: SkBuff) => skbRecordRxQueue(skb, queue);
    expect([3, 1, 5].map((queue) => send(0, 0, from(queue)))).toEqual([3, 1, 1]);
  });

  it('stays while packets of a connection may be under way', () => {
    const sk = sock();
    expect(send(HASH[1] as number, 0, owned(sk))).toBe(1);
    expect(sk.skcTxQueueMapping).toBe(1);
    expect(send(HASH[3] as number, 0, owned(sk))).toBe(1);
    // Nothing is: the new hash counts.
    expect(send(HASH[3] as number, 0, owned(sk, true))).toBe(3);
    expect(send(HASH[0] as number, 0, owned(sk))).toBe(3);
  });

  it('is chosen anew when it is not in use any more', () => {
    const sk = sock();
    send(HASH[3] as number, 0, owned(sk));
    m.rtnl(() => expect(netifSetRealNumTxQueues(dev, 2)).toBe(0));
    expect(send(HASH[0] as number, 0, owned(sk))).toBe(0);
  });

  it('does not keep what waits before it when it goes out of use', () => {
    const last = dev.tx[3] as NetdevQueue;
    netifTxStopQueue(last);
    expect(send(HASH[3] as number)).toBeUndefined();
    expect(last.qdisc.qlen).toBe(1);
    const reasons: number[] = [];
    m.machine.trace.skb.kfreeSkb.register((_skb, _location, reason) => reasons.push(reason));
    m.rtnl(() => expect(netifSetRealNumTxQueues(dev, 2)).toBe(0));
    expect([last.qdisc.qlen, reasons]).toEqual([0, [SKB_DROP_REASON_QUEUE_PURGE]]);
    netifTxWakeQueue(last);
    m.settle();
    expect(used).toEqual([]);
  });

  it('is not remembered for a socket without a route', () => {
    const sk = sock();
    sk.skDstCache = null;
    send(HASH[2] as number, 0, owned(sk));
    expect(sk.skcTxQueueMapping).toBe(-1);
  });
});

describe('the transmit queue with maps', () => {
  it('is one of those of the CPU that sends', () => {
    expect(netifSetXpsQueue(dev, mask(0, 1), 2)).toBe(0);
    expect(netifSetXpsQueue(dev, mask(1), 0)).toBe(0);
    expect(xpsQueuesOf(dev, XPS_CPUS, 1)).toEqual([2, 0]);
    expect(HASH.map((hash) => send(hash, 0))).toEqual([2, 2, 2, 2]);
    expect(HASH.map((hash) => send(hash, 1))).toEqual([2, 2, 0, 0]);
    // A CPU without a word on it: the hash.
    expect(HASH.map((hash) => send(hash, 3))).toEqual([0, 1, 2, 3]);
  });

  it('is among them in the order in which they came; the last takes the place of one that goes', () => {
    for (const queue of [3, 0, 2, 1]) netifSetXpsQueue(dev, mask(0), queue);
    netifSetXpsQueue(dev, mask(0, 1), 3);
    expect([0, 1].map((cpu) => xpsQueuesOf(dev, XPS_CPUS, cpu))).toEqual([[3, 0, 2, 1], [3]]);
    netifSetXpsQueue(dev, mask(1), 3);
    expect([0, 1].map((cpu) => xpsQueuesOf(dev, XPS_CPUS, cpu))).toEqual([[1, 0, 2], [3]]);
    netifSetXpsQueue(dev, mask(), 0);
    expect(xpsQueuesOf(dev, XPS_CPUS, 0)).toEqual([1, 2]);
    for (const queue of [1, 2, 3]) netifSetXpsQueue(dev, mask(), queue);
  });

  it('follows the receive queue of the flow first', () => {
    netifSetXpsQueue(dev, mask(0, 1, 2, 3), 0);
    expect(__netifSetXpsQueue(dev, mask(3), 1, XPS_RXQS)).toBe(0);
    const sk = sock();
    const got = m.packet([0]);
    skbRecordRxQueue(got, 3);
    skMarkNapiId(sk, got);
    consumeSkb(got, 'test');
    expect(send(HASH[2] as number, 0, owned(sk))).toBe(1);
    const other = sock();
    expect(send(HASH[2] as number, 0, owned(other))).toBe(0);
  });

  it('forgets queues that go out of use', () => {
    netifSetXpsQueue(dev, mask(0), 1);
    netifSetXpsQueue(dev, mask(0), 3);
    m.rtnl(() => expect(netifSetRealNumTxQueues(dev, 2)).toBe(0));
    expect(xpsQueuesOf(dev, XPS_CPUS, 0)).toEqual([1]);
    expect(netifSetXpsQueue(dev, mask(), 1)).toBe(0);
    expect([dev.xpsMaps[XPS_CPUS], m.machine.netGlobals.xpsNeeded]).toEqual([null, 0]);
    expect(netifSetXpsQueue(dev, mask(0), QUEUES)).toBe(-EINVAL);
  });
});
