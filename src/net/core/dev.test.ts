import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine, TestDevice } from '#drivers/net/testing/netdev_machine.ts';
import {
  NET_RX_DROP,
  NET_RX_SUCCESS,
  NET_XMIT_DROP,
  NET_XMIT_SUCCESS,
  NETDEV_CHANGE,
  NETDEV_CHANGEADDR,
  NETDEV_CHANGEMTU,
  NETDEV_CHANGENAME,
  NETDEV_DOWN,
  NETDEV_GOING_DOWN,
  NETDEV_POST_INIT,
  NETDEV_PRE_CHANGEADDR,
  NETDEV_PRE_UNINIT,
  NETDEV_PRE_UP,
  NETDEV_PRECHANGEMTU,
  NETDEV_REGISTER,
  NETDEV_UNREGISTER,
  NETDEV_UP,
  NETREG_REGISTERED,
  NETREG_UNREGISTERED,
  NETREG_UNREGISTERING,
  type NetDevice,
  netdevGetTxQueue,
  netifCarrierOk,
  netifQueueStopped,
  PacketType,
} from '#include/linux/netdevice.ts';
import { devHold, devPut } from '#include/linux/netdevice_ref.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { HZ } from '#kernel/machine.ts';
import { NOTIFY_BAD, NOTIFY_DONE, notifierFromErrno } from '#kernel/notifier.ts';
import { irqEnter, irqExit, localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import {
  __devGetByIndex,
  __devGetByName,
  devChangeFlags,
  devChangeName,
  devGetFlags,
  devGetStats,
  devSetMacAddress,
  devSetMtu,
  devSetPromiscuity,
  registerNetdeviceNotifier,
} from '#net/core/dev.ts';
import { netifRx } from '#net/core/dev_backlog.ts';
import {
  devChangeNetNamespace,
  registerNetdevice,
  unregisterNetdevice,
} from '#net/core/dev_register.ts';
import { devAddPack, devRemovePack, netifReceiveSkb } from '#net/core/dev_rx.ts';
import { devKfreeSkbAny, devQueueXmit, netifWakeQueue } from '#net/core/dev_tx.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';
import { copyNetNs, putNet } from '#net/core/net_namespace.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { EBUSY, EEXIST, EINVAL } from '#uapi/errno.ts';
import {
  IF_OPER_DOWN,
  IF_OPER_UP,
  IFF_LOWER_UP,
  IFF_PROMISC,
  IFF_RUNNING,
  IFF_UP,
} from '#uapi/if.ts';
import { ETH_P_ALL, ETH_P_IP } from '#uapi/if_ether.ts';
import {
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_OTHERHOST,
  PACKET_OUTGOING,
} from '#uapi/if_packet.ts';
import {
  SKB_DROP_REASON_CPU_BACKLOG,
  SKB_DROP_REASON_DEV_READY,
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_QDISC_DROP,
  SKB_DROP_REASON_QUEUE_PURGE,
  SKB_DROP_REASON_RECURSION_LIMIT,
  SKB_DROP_REASON_UNHANDLED_PROTO,
} from '#uapi/net_dropreason.ts';

let m: NetdevMachine;

beforeEach(() => {
  m = new NetdevMachine();
});

afterEach(() => m.end());

function bug(fn: () => void): string {
  try {
    fn();
  } catch (e) {
    if (e instanceof KernelBug) return e.invariant;
    throw e;
  }
  return 'no bug';
}

const EVENT_NAMES: Readonly<Record<number, string>> = {
  [NETDEV_POST_INIT]: 'POST_INIT',
  [NETDEV_REGISTER]: 'REGISTER',
  [NETDEV_PRE_UP]: 'PRE_UP',
  [NETDEV_UP]: 'UP',
  [NETDEV_GOING_DOWN]: 'GOING_DOWN',
  [NETDEV_DOWN]: 'DOWN',
  [NETDEV_CHANGE]: 'CHANGE',
  [NETDEV_CHANGENAME]: 'CHANGENAME',
  [NETDEV_PRECHANGEMTU]: 'PRECHANGEMTU',
  [NETDEV_CHANGEMTU]: 'CHANGEMTU',
  [NETDEV_PRE_CHANGEADDR]: 'PRE_CHANGEADDR',
  [NETDEV_CHANGEADDR]: 'CHANGEADDR',
  [NETDEV_UNREGISTER]: 'UNREGISTER',
  [NETDEV_PRE_UNINIT]: 'PRE_UNINIT',
};

/** Records the events of a device; `answer` may refuse some. */
function listen(answer: (event: number) => number = () => NOTIFY_DONE): string[] {
  const seen: string[] = [];
  registerNetdeviceNotifier(m.machine, {
    priority: 0,
    call: (event: number, dev: NetDevice) => {
      if (dev.name !== 'lo') seen.push(`${EVENT_NAMES[event] ?? event} ${dev.name}`);
      return dev.name === 'lo' ? NOTIFY_DONE : answer(event);
    },
  });
  return seen;
}

/** Drop reasons in the order of the drops. */
function drops(): number[] {
  const seen: number[] = [];
  m.machine.trace.skb.kfreeSkb.register((_skb, _where, reason) => seen.push(reason));
  return seen;
}

function receiver(type = ETH_P_IP): { got: SkBuff[]; pt: PacketType } {
  const got: SkBuff[] = [];
  const pt = new PacketType(type, (skb) => {
    got.push(skb);
    return NET_RX_SUCCESS;
  });
  devAddPack(m.machine, pt);
  return { got, pt };
}

/** A frame for (by default) the device itself. */
function frame(
  dev: NetDevice,
  dest: ArrayLike<number> = dev.devAddr.subarray(0, 6),
  type = ETH_P_IP,
): number[] {
  return [...Array.from(dest), 2, 0, 0, 0, 0, 9, type >> 8, type & 255, 0x45, 1, 2, 3];
}

/** As a driver in its poll receives it. */
function received(dev: NetDevice, bytes: number[]): SkBuff {
  const skb = m.packet(bytes);
  skb.protocol = ethTypeTrans(skb, dev);
  return skb;
}

function rx(skb: SkBuff): number {
  localBhDisable(m.machine);
  const ret = netifReceiveSkb(skb);
  localBhEnable(m.machine);
  return ret;
}

function send(dev: NetDevice, bytes: ArrayLike<number>, priority = 0): number {
  const skb = m.packet(bytes);
  skb.dev = dev;
  skb.protocol = ETH_P_IP;
  skb.priority = priority;
  return devQueueXmit(skb);
}

describe('registration', () => {
  it('names, numbers and finds devices', () => {
    const a = new TestDevice(m);
    const b = new TestDevice(m);
    expect([a.dev.name, b.dev.name]).toEqual(['eth0', 'eth1']);
    expect([a.dev.ifindex, b.dev.ifindex]).toEqual([2, 3]);
    expect(__devGetByName(m.machine.initNet, 'eth1')).toBe(b.dev);
    expect(__devGetByIndex(m.machine.initNet, 2)).toBe(a.dev);
    a.remove();
    const c = new TestDevice(m);
    expect([c.dev.name, c.dev.ifindex]).toEqual(['eth0', 4]);
    expect(m.rtnl(() => devChangeName(c.dev, 'eth1'))).toBe(-EEXIST);
    for (const bad of ['', '.', '..', 'a/b', 'a b', 'a:b', 'sixteen-letters!', 'x%sy', '%d%d']) {
      expect([bad, m.rtnl(() => devChangeName(c.dev, bad))]).toEqual([bad, -EINVAL]);
    }
    expect(m.rtnl(() => devChangeName(c.dev, 'wan%d'))).toBe(0);
    expect(__devGetByName(m.machine.initNet, 'wan0')).toBe(c.dev);
    expect(__devGetByName(m.machine.initNet, 'eth0')).toBeNull();
  });

  it("tells the chain in Linux's order", () => {
    const seen = listen();
    const t = new TestDevice(m);
    m.setUp(t.dev);
    m.rtnl(() => devSetMtu(t.dev, 1400));
    m.rtnl(() => devSetMacAddress(t.dev, new Uint8Array([2, 0, 0, 0, 0, 1])));
    m.rtnl(() => devChangeName(t.dev, 'lan'));
    t.remove();
    expect(seen).toEqual([
      'POST_INIT eth0',
      'REGISTER eth0',
      'PRE_UP eth0',
      'UP eth0',
      'PRECHANGEMTU eth0',
      'CHANGEMTU eth0',
      ...(t.dev.netdevOps.ndoSetMacAddress === null
        ? []
        : ['PRE_CHANGEADDR eth0', 'CHANGEADDR eth0']),
      'CHANGENAME lan',
      'GOING_DOWN lan',
      'DOWN lan',
      'UNREGISTER lan',
      'PRE_UNINIT lan',
    ]);
  });

  it('replays what exists to a late listener', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    expect(listen()).toEqual(['REGISTER eth0', 'UP eth0']);
  });

  it('undoes what a listener refuses', () => {
    const t = new TestDevice(m);
    listen((event) =>
      event === NETDEV_PRE_UP || event === NETDEV_CHANGEMTU || event === NETDEV_CHANGENAME
        ? notifierFromErrno(-EBUSY)
        : NOTIFY_DONE,
    );
    expect(m.setUp(t.dev)).toBe(-EBUSY);
    expect(t.dev.flags & IFF_UP).toBe(0);
    expect(m.rtnl(() => devSetMtu(t.dev, 1400))).toBe(-EBUSY);
    expect(t.dev.mtu).toBe(1500);
    expect(m.rtnl(() => devChangeName(t.dev, 'other'))).toBe(-EBUSY);
    expect(t.dev.name).toBe('eth0');
    expect(__devGetByName(m.machine.initNet, 'eth0')).toBe(t.dev);
  });

  it('fails whole when REGISTER is refused', () => {
    listen((event) => (event === NETDEV_REGISTER ? NOTIFY_BAD : NOTIFY_DONE));
    const t = { dev: null as NetDevice | null };
    expect(() => {
      t.dev = new TestDevice(m).dev;
    }).toThrow();
    expect(__devGetByName(m.machine.initNet, 'eth0')).toBeNull();
  });

  it('waits for those who hold the device', () => {
    const t = new TestDevice(m);
    devHold(t.dev);
    const seen = listen();
    t.remove();
    expect(t.dev.regState).toBe(NETREG_UNREGISTERING);
    seen.length = 0;
    m.advance(250e6);
    expect(seen).toEqual(['UNREGISTER eth0']);
    expect(t.dev.regState).toBe(NETREG_UNREGISTERING);
    devPut(t.dev);
    m.advance(250e6);
    expect(t.dev.regState).toBe(NETREG_UNREGISTERED);
  });

  it('checks the MTU against the limits of the device', () => {
    const t = new TestDevice(m);
    expect(m.rtnl(() => devSetMtu(t.dev, 67))).toBe(-EINVAL);
    expect(m.rtnl(() => devSetMtu(t.dev, 1501))).toBe(-EINVAL);
    expect(m.rtnl(() => devSetMtu(t.dev, 68))).toBe(0);
  });

  it('counts promiscuity from users and from within', () => {
    const t = new TestDevice(m);
    m.rtnl(() => devSetPromiscuity(t.dev, 1));
    expect(t.dev.flags & IFF_PROMISC).toBe(IFF_PROMISC);
    // Users only see what users asked for.
    expect(devGetFlags(t.dev) & IFF_PROMISC).toBe(0);
    m.rtnl(() => devChangeFlags(t.dev, t.dev.flags | IFF_PROMISC));
    expect(t.dev.promiscuity).toBe(2);
    m.rtnl(() => devSetPromiscuity(t.dev, -1));
    expect(devGetFlags(t.dev) & IFF_PROMISC).toBe(IFF_PROMISC);
    m.rtnl(() => devChangeFlags(t.dev, t.dev.flags & ~IFF_PROMISC));
    expect(t.dev.flags & IFF_PROMISC).toBe(0);
    expect(m.rtnl(() => devSetPromiscuity(t.dev, -1))).toBeLessThan(0);
  });

  it('moves a device to another namespace', () => {
    const net = copyNetNs(m.machine, 'blue');
    if (typeof net === 'number') throw new Error('copyNetNs');
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const seen = listen();
    seen.length = 0;
    expect(m.rtnl(() => devChangeNetNamespace(t.dev, net, null))).toBe(0);
    expect(seen).toEqual(['GOING_DOWN eth0', 'DOWN eth0', 'UNREGISTER eth0', 'REGISTER eth0']);
    expect(__devGetByName(net, 'eth0')).toBe(t.dev);
    expect(__devGetByName(m.machine.initNet, 'eth0')).toBeNull();
    expect(net.loopbackDev).not.toBeNull();
    putNet(net);
    m.settle();
    // What cannot be made again goes home.
    expect(t.dev.net).toBe(m.machine.initNet);
  });

  it.runIf(DEBUG)('needs rtnl', () => {
    const t = new TestDevice(m);
    expect(bug(() => unregisterNetdevice(t.dev))).toBe('rtnl-not-held');
    expect(bug(() => registerNetdevice(t.dev))).toBe('rtnl-not-held');
    expect(bug(() => m.rtnl(() => registerNetdevice(t.dev)))).toBe('netdev-register-twice');
    expect(t.dev.regState).toBe(NETREG_REGISTERED);
  });
});

describe('carrier', () => {
  it('is told to the stack by a work, with the operational state', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    expect(devGetFlags(t.dev) & (IFF_RUNNING | IFF_LOWER_UP)).toBe(IFF_RUNNING | IFF_LOWER_UP);
    const seen = listen();
    seen.length = 0;
    netifCarrierOff(t.dev);
    expect(seen).toEqual([]);
    m.advance(1e9);
    expect(seen).toEqual(['CHANGE eth0']);
    expect(t.dev.operstate).toBe(IF_OPER_DOWN);
    expect(devGetFlags(t.dev) & (IFF_RUNNING | IFF_LOWER_UP)).toBe(0);
    const lost = drops();
    // Without a carrier the noop qdisc swallows everything.
    expect(send(t.dev, frame(t.dev))).not.toBe(NET_XMIT_SUCCESS);
    expect(lost).toEqual([SKB_DROP_REASON_QDISC_DROP]);
    netifCarrierOn(t.dev);
    m.settle();
    expect(t.dev.operstate).toBe(IF_OPER_UP);
    expect([t.dev.carrierDownCount, t.dev.carrierUpCount]).toEqual([1, 1]);
    expect(send(t.dev, frame(t.dev))).toBe(NET_XMIT_SUCCESS);
    expect(t.sent).toHaveLength(1);
  });

  it('news that are not urgent come once a second', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    netifCarrierOff(t.dev);
    m.advance(1e9);
    const seen = listen();
    seen.length = 0;
    netifCarrierOn(t.dev);
    m.settle();
    netifCarrierOff(t.dev);
    m.advance(100e6);
    expect(seen).toEqual(['CHANGE eth0']);
    m.advance(1e9);
    expect(seen).toEqual(['CHANGE eth0', 'CHANGE eth0']);
    expect(netifCarrierOk(t.dev)).toBe(false);
  });
});

describe('reception', () => {
  it('goes by EtherType and address', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const { got, pt } = receiver();
    for (const dest of [
      t.dev.devAddr.subarray(0, 6),
      [255, 255, 255, 255, 255, 255],
      [2, 9, 9, 9, 9, 9],
    ]) {
      rx(received(t.dev, frame(t.dev, dest)));
    }
    expect(got.map((skb) => skb.pktType)).toEqual([
      PACKET_HOST,
      PACKET_BROADCAST,
      PACKET_OTHERHOST,
    ]);
    expect(got[0]?.skbIif).toBe(t.dev.ifindex);
    expect(got[0]?.networkHeader).toBe(got[0]?.data);
    expect(got[0]?.macLen).toBe(14);
    for (const skb of got) consumeSkb(skb);
    devRemovePack(m.machine, pt);
    const lost = drops();
    expect(rx(received(t.dev, frame(t.dev)))).toBe(NET_RX_DROP);
    expect(lost).toEqual([SKB_DROP_REASON_UNHANDLED_PROTO]);
    expect(devGetStats(t.dev).rxDropped).toBe(1);
  });

  it('gives every tap a reference and the last receiver the packet', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const all = receiver(ETH_P_ALL);
    const other = new PacketType(ETH_P_IP, (skb) => {
      consumeSkb(skb);
      return 0;
    });
    devAddPack(m.machine, other);
    const ip = receiver();
    rx(received(t.dev, frame(t.dev)));
    expect([all.got.length, ip.got.length]).toEqual([1, 1]);
    expect(all.got[0]).toBe(ip.got[0]);
    for (const skb of [...all.got, ...ip.got]) consumeSkb(skb);
    expect(m.machine.live.skbs).toBe(0);
  });

  it('sees what this host sends, but not its own', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const tap = receiver(ETH_P_ALL);
    send(t.dev, frame(t.dev));
    expect(tap.got.map((skb) => skb.pktType)).toEqual([PACKET_OUTGOING]);
    expect(tap.got[0]?.tstamp).toBeGreaterThan(0);
    tap.pt.ignoreOutgoing = true;
    send(t.dev, frame(t.dev));
    expect(tap.got).toHaveLength(1);
    for (const skb of tap.got) consumeSkb(skb);
  });

  it('asks the rx_handler first', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const { got } = receiver();
    const results: number[] = [];
    t.dev.rxHandler = (skb) => {
      results.push(skb.len);
      consumeSkb(skb);
      return { skb: null, result: 0 };
    };
    rx(received(t.dev, frame(t.dev)));
    expect([results.length, got.length]).toEqual([1, 0]);
    t.dev.rxHandler = null;
  });

  it('strips the tag of a VLAN that nobody has', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const { got } = receiver();
    const bytes = frame(t.dev);
    bytes.splice(12, 0, 0x81, 0, 0, 5);
    rx(received(t.dev, bytes));
    const prio = frame(t.dev);
    prio.splice(12, 0, 0x81, 0, 0xe0, 0);
    rx(received(t.dev, prio));
    expect(got.map((skb) => [skb.pktType, skb.protocol, skb.len])).toEqual([
      [PACKET_OTHERHOST, ETH_P_IP, 4],
      [PACKET_HOST, ETH_P_IP, 4],
    ]);
    for (const skb of got) consumeSkb(skb);
  });

  it('queues in the backlog, in order, and drops beyond its limit', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const { got } = receiver();
    const lost = drops();
    m.machine.netGlobals.netdevMaxBacklog = 10;
    localBhDisable(m.machine);
    const answers: number[] = [];
    for (let i = 0; i < 15; i++) answers.push(netifRx(received(t.dev, [...frame(t.dev), i])));
    expect(got).toHaveLength(0);
    localBhEnable(m.machine);
    // One more than the limit fits, as in Linux.
    expect(answers.filter((a) => a === NET_RX_DROP)).toHaveLength(4);
    expect(lost).toEqual(Array.from({ length: 4 }, () => SKB_DROP_REASON_CPU_BACKLOG));
    expect(got).toHaveLength(11);
    const sd = m.machine.netGlobals.softnetData[0];
    expect([sd?.dropped, sd?.processed]).toEqual([4, 11]);
    expect(devGetStats(t.dev).rxDropped).toBe(4);
    for (const skb of got) consumeSkb(skb);
    m.setUp(t.dev, false);
    expect(netifRx(received(t.dev, frame(t.dev)))).toBe(NET_RX_DROP);
    expect(lost.at(-1)).toBe(SKB_DROP_REASON_DEV_READY);
  });

  it('forgets the backlog of a device that goes', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const { got } = receiver();
    const lost = drops();
    irqEnter(m.machine);
    netifRx(received(t.dev, frame(t.dev)));
    m.machine.cpu.hardirqCount--;
    t.remove();
    expect([got.length, lost]).toEqual([0, [SKB_DROP_REASON_DEV_READY]]);
  });
});

describe('transmission', () => {
  it('reaches the driver at once through an empty queue', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const bytes = frame(t.dev);
    expect(send(t.dev, bytes)).toBe(NET_XMIT_SUCCESS);
    expect(t.sent).toEqual([bytes]);
  });

  it('puts back what the driver refuses and sends it first when it is woken', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    t.room = 1;
    for (let i = 0; i < 4; i++) expect(send(t.dev, [...frame(t.dev), i])).toBe(NET_XMIT_SUCCESS);
    expect(t.sent.map((b) => b.at(-1))).toEqual([0]);
    const q = netdevGetTxQueue(t.dev, 0).qdisc;
    expect([q.qlen, q.requeues, netifQueueStopped(t.dev)]).toEqual([3, 1, true]);
    // A stopped queue is not even asked.
    const { calls } = t;
    send(t.dev, [...frame(t.dev), 4]);
    expect(t.calls).toBe(calls);
    t.room = 100;
    netifWakeQueue(t.dev);
    m.settle();
    localBhDisable(m.machine);
    localBhEnable(m.machine);
    expect(t.sent.map((b) => b.at(-1))).toEqual([0, 1, 2, 3, 4]);
    expect([q.qlen, q.backlog]).toEqual([0, 0]);
  });

  it.runIf(DEBUG)('names a driver that is busy without stopping its queue', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    t.broken = true;
    expect(bug(() => send(t.dev, frame(t.dev)))).toBe('queue-not-stopped');
    // The machine is as a kernel after a BUG: put together by hand.
    m.machine.cpu.bhDisableCount = 0;
    const txq = netdevGetTxQueue(t.dev, 0);
    txq.xmitLockOwner = -1;
    txq.qdisc.running = false;
    for (const skb of m.machine.netGlobals.skbuffCache.live.keys()) {
      kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'test');
    }
  });

  it('drops beyond the length of the queue', () => {
    const t = new TestDevice(m, {}, (dev) => {
      dev.txQueueLen = 2;
    });
    m.setUp(t.dev);
    t.room = 0;
    const lost = drops();
    const answers = [0, 1, 2, 3].map((i) => send(t.dev, [...frame(t.dev), i]));
    expect(answers).toEqual([NET_XMIT_SUCCESS, NET_XMIT_SUCCESS, NET_XMIT_SUCCESS, NET_XMIT_DROP]);
    expect(lost).toHaveLength(1);
    m.setUp(t.dev, false);
    expect(lost.slice(1)).toEqual(Array.from({ length: 3 }, () => SKB_DROP_REASON_QUEUE_PURGE));
  });

  it('drops what is sent to a device that is down', () => {
    const t = new TestDevice(m);
    const lost = drops();
    send(t.dev, frame(t.dev));
    const lo = m.machine.initNet.loopbackDev as NetDevice;
    send(lo, frame(lo));
    expect(lost).toEqual([SKB_DROP_REASON_QDISC_DROP, SKB_DROP_REASON_QDISC_DROP]);
  });

  it('ends a loop of devices that send through each other', () => {
    const lost = drops();
    const t: { dev: NetDevice | null } = { dev: null };
    const loop = new TestDevice(
      m,
      {
        ndoStartXmit: (skb) => {
          skb.dev = t.dev;
          devQueueXmit(skb);
          return 0;
        },
      },
      (dev) => {
        dev.txQueueLen = 0;
        dev.privFlags |= 1 << 21;
        dev.features |= 1 << 22;
      },
    );
    t.dev = loop.dev;
    m.setUp(loop.dev);
    send(loop.dev, frame(loop.dev));
    expect(lost).toEqual([SKB_DROP_REASON_RECURSION_LIMIT]);
  });

  it('frees what was sent in NET_TX when it is said in a hard interrupt', () => {
    const skb = m.packet([1]);
    irqEnter(m.machine);
    devKfreeSkbAny(skb, SKB_DROP_REASON_NOT_SPECIFIED);
    expect(m.machine.live.skbs).toBe(1);
    irqExit(m.machine);
    expect(m.machine.live.skbs).toBe(0);
  });

  it('tells the driver of a queue that makes no progress', () => {
    const timeouts: number[] = [];
    const t = new TestDevice(m, { ndoTxTimeout: (_dev, q) => timeouts.push(q) }, (dev) => {
      dev.watchdogTimeo = 2 * HZ;
    });
    m.setUp(t.dev);
    t.room = 0;
    send(t.dev, frame(t.dev));
    m.advance(1.9e9);
    expect(timeouts).toEqual([]);
    m.advance(2.1e9);
    expect(timeouts).toEqual([0]);
    m.setUp(t.dev, false);
    m.advance(60e9);
    expect(timeouts).toEqual([0]);
  });

  it('is traced step by step', () => {
    const t = new TestDevice(m);
    m.setUp(t.dev);
    const seen: string[] = [];
    const { net, qdisc } = m.machine.trace;
    net.netDevQueue.register(() => seen.push('net_dev_queue'));
    net.netDevStartXmit.register(() => seen.push('net_dev_start_xmit'));
    net.netDevXmit.register((_skb, rc) => seen.push(`net_dev_xmit ${rc}`));
    qdisc.qdiscEnqueue.register(() => seen.push('qdisc_enqueue'));
    qdisc.qdiscDequeue.register((_q, _txq, n) => seen.push(`qdisc_dequeue ${n}`));
    t.room = 1;
    send(t.dev, frame(t.dev));
    send(t.dev, frame(t.dev));
    send(t.dev, frame(t.dev));
    expect(seen).toEqual([
      'net_dev_queue',
      'net_dev_start_xmit',
      'net_dev_xmit 0',
      'net_dev_queue',
      'net_dev_start_xmit',
      'net_dev_xmit 16',
      'qdisc_dequeue 0',
      'net_dev_queue',
      'qdisc_enqueue',
      'qdisc_dequeue 0',
    ]);
  });
});
