import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine, TestDevice } from '#drivers/net/testing/netdev_machine.ts';
import {
  NET_RX_SUCCESS,
  type NetDevice,
  netDeviceOps,
  PacketType,
  type SoftnetData,
} from '#include/linux/netdevice.ts';
import { type SkBuff, skbSetHash } from '#include/linux/skbuff.ts';
import { skbRecordRxQueue } from '#include/linux/skbuff_rx_queue.ts';
import type { NetdevRxQueue } from '#include/net/netdev_rx_queue.ts';
import { RPS_NO_CPU } from '#include/net/rps.ts';
import { inHardirq } from '#kernel/cpu.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { netifRx } from '#net/core/dev_backlog.ts';
import { registerNetdev, unregisterNetdev } from '#net/core/dev_register.ts';
import { devAddPack, devRemovePack, netifReceiveSkb } from '#net/core/dev_rx.ts';
import { skbGetHash } from '#net/core/flow_dissector.ts';
import { softnetSeqShow } from '#net/core/net_procfs.ts';
import { netdevRxQueueSetFlowCnt, netdevRxQueueSetRpsMask } from '#net/core/net_sysfs.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { sysctlCoreModule } from '#net/core/sysctl_net_core.ts';
import { allocEtherdevMqs, ethHwAddrRandom, ethTypeTrans } from '#net/ethernet/eth.ts';
import { EINVAL, ENOMEM } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_CPU_BACKLOG } from '#uapi/net_dropreason.ts';

const CPUS = 4;

let m: NetdevMachine;
let dev: NetDevice;
let device: TestDevice;
/** CPU and number of each packet that the protocol got. */
let seen: [number, number][];
let pt: PacketType;

beforeEach(() => {
  m = new NetdevMachine('m', CPUS);
  expect(sysctlCoreModule.init(m.machine)).toBe(0);
  device = new TestDevice(m);
  ({ dev } = device);
  m.setUp(dev);
  seen = [];
  pt = new PacketType(ETH_P_IP, (skb) => {
    seen.push([m.machine.cpu.id, skb.mark]);
    consumeSkb(skb, 'test');
    return NET_RX_SUCCESS;
  });
  devAddPack(m.machine, pt);
});

afterEach(() => {
  devRemovePack(m.machine, pt);
  device.remove();
  m.end();
});

/** A datagram from port `sport` of 10.0.0.1 to port 9 of 10.0.0.2; `turned`: the way back. */
function datagram(sport: number, mark = 0, to: NetDevice = dev, turned = false): SkBuff {
  const [a, b] = turned ? [2, 1] : [1, 2];
  const ports = [sport >> 8, sport & 255, 0, 9];
  const skb = m.packet([
    ...to.devAddr.subarray(0, 6),
    ...[2, 0, 0, 0, 0, 9, 8, 0],
    ...[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, a, 10, 0, 0, b],
    ...(turned ? [...ports.slice(2), ...ports.slice(0, 2)] : ports),
    ...[0, 8, 0, 0],
  ]);
  skb.mark = mark;
  skb.dev = to;
  skb.protocol = ethTypeTrans(skb, to);
  return skb;
}

/** As a driver's poll does, on `cpu`. */
function receive(cpu: number, ...packets: SkBuff[]): void {
  const { machine } = m;
  machine.cpu = machine.cpus[cpu] as (typeof machine.cpus)[0];
  localBhDisable(machine);
  for (const skb of packets) netifReceiveSkb(skb);
  localBhEnable(machine);
}

function queue(n = 0): NetdevRxQueue {
  return dev.rx[n] as NetdevRxQueue;
}

function mask(...cpus: number[]): Uint8Array {
  const set = new Uint8Array(CPUS);
  for (const cpu of cpus) set[cpu] = 1;
  return set;
}

function softnet(cpu: number): SoftnetData {
  return m.machine.netGlobals.softnetData[cpu] as SoftnetData;
}

function sysctl(name: string, value: string): number {
  return m.machine.initNet.sysctl.write(`net.core.${name}`, value);
}

describe('the hash of a flow', () => {
  it('is the same both ways, and another for another flow', () => {
    const packets = [datagram(1000), datagram(1000, 0, dev, true), datagram(1001)];
    const [there, back, other] = packets.map(skbGetHash);
    expect(there).toBe(back);
    expect(there).not.toBe(other);
    for (const skb of packets) consumeSkb(skb, 'test');
  });

  it('is not computed where the device has', () => {
    const skb = datagram(1000);
    skbSetHash(skb, 77, true);
    expect(skbGetHash(skb)).toBe(77);
    consumeSkb(skb, 'test');
  });
});

describe('receive packet steering', () => {
  it('without a map leaves packets where they came', () => {
    receive(2, datagram(1000, 1));
    expect(seen).toEqual([[2, 1]]);
    expect(m.machine.netGlobals.rpsNeeded).toBe(0);
  });

  it('sends packets to another CPU by an interrupt of their own', () => {
    netdevRxQueueSetRpsMask(queue(), mask(3));
    const kicks = m.host.kicks;
    receive(0, datagram(1000, 1), datagram(2000, 2));
    // Nothing runs over there inside the sender's poll.
    expect([seen, softnet(3).inputPktQueue.qlen, m.host.kicks - kicks]).toEqual([[], 2, 1]);
    let hard = false;
    m.machine.trace.irq.softirqRaise.register(() => {
      hard ||= m.machine.cpu.id === 3 && inHardirq(m.machine.cpu);
    });
    m.settle();
    expect(seen).toEqual([
      [3, 1],
      [3, 2],
    ]);
    expect(hard).toBe(true);
    expect([softnet(3).receivedRps, m.machine.cpus[3]?.callInterrupts]).toEqual([1, 1]);
    // Column 10 of the CPU's line.
    const line = softnetSeqShow(m.machine.initNet).split('\n')[3] as string;
    expect(line.split(' ')[9]).toBe('00000001');
  });

  it('keeps a flow on one CPU and spreads flows over all of the map', () => {
    netdevRxQueueSetRpsMask(queue(), mask(1, 2, 3));
    for (let port = 1; port <= 60; port++) {
      receive(0, datagram(port, port), datagram(port, port));
    }
    m.settle();
    const cpuOf = new Map<number, number>();
    for (const [cpu, port] of seen) {
      expect(cpuOf.get(port) ?? cpu).toBe(cpu);
      cpuOf.set(port, cpu);
    }
    expect(seen).toHaveLength(120);
    for (const cpu of [1, 2, 3]) {
      const flows = [...cpuOf.values()].filter((id) => id === cpu).length;
      expect(flows).toBeGreaterThan(8);
    }
  });

  it('goes through the own backlog when the map says so, without an interrupt', () => {
    netdevRxQueueSetRpsMask(queue(), mask(1));
    receive(1, datagram(1000, 1));
    expect(seen).toEqual([[1, 1]]);
    expect([softnet(1).receivedRps, m.machine.cpus[1]?.callInterrupts]).toEqual([0, 0]);
  });

  it('steers what netif_rx takes too', () => {
    netdevRxQueueSetRpsMask(queue(), mask(2));
    m.machine.cpu = m.machine.cpus[0] as (typeof m.machine.cpus)[0];
    expect(netifRx(datagram(1000, 1))).toBe(NET_RX_SUCCESS);
    expect(seen).toEqual([]);
    m.settle();
    expect(seen).toEqual([[2, 1]]);
  });

  it('follows the map of the queue by which the packet came', () => {
    const ops = netDeviceOps({ ndoStartXmit: () => 0 });
    const two = allocEtherdevMqs(m.machine.initNet, ops, null, 1, 2);
    ethHwAddrRandom(two);
    expect(registerNetdev(two)).toBe(0);
    m.setUp(two);
    netdevRxQueueSetRpsMask(two.rx[0] as NetdevRxQueue, mask(1));
    netdevRxQueueSetRpsMask(two.rx[1] as NetdevRxQueue, mask(3));
    const packets = [0, 1, 2].map((q) => {
      const skb = datagram(1000, q, two);
      skbRecordRxQueue(skb, q);
      return skb;
    });
    receive(0, ...packets);
    m.settle();
    // A queue that is not there steers nothing.
    expect(seen.sort((a, b) => a[1] - b[1])).toEqual([
      [1, 0],
      [3, 1],
      [0, 2],
    ]);
    unregisterNetdev(two);
    m.settle();
    expect(m.machine.netGlobals.rpsNeeded).toBe(0);
  });

  it('drops beyond netdev_max_backlog, counted on the CPU that was full', () => {
    netdevRxQueueSetRpsMask(queue(), mask(1));
    expect(sysctl('netdev_max_backlog', '3')).toBe(0);
    const reasons: number[] = [];
    m.machine.trace.skb.kfreeSkb.register((_skb, _where, reason) => reasons.push(reason));
    receive(0, ...[1, 2, 3, 4, 5, 6].map((mark) => datagram(1000, mark)));
    m.settle();
    expect(seen.map(([, mark]) => mark)).toEqual([1, 2, 3, 4]);
    expect([softnet(1).dropped, softnet(0).dropped, dev.coreRxDropped]).toEqual([2, 0, 2]);
    expect(reasons).toEqual([SKB_DROP_REASON_CPU_BACKLOG, SKB_DROP_REASON_CPU_BACKLOG]);
  });

  it('drops the flow that floods before the others, where flow_limit is on', () => {
    netdevRxQueueSetRpsMask(queue(), mask(1));
    expect(sysctl('flow_limit_table_len', '100')).toBe(-EINVAL);
    expect(sysctl('flow_limit_table_len', '8192')).toBe(0);
    expect(sysctl('flow_limit_cpu_bitmap', '1')).toBe(0);
    expect(softnet(0).flowLimit?.buckets.length).toBe(8192);
    expect(sysctl('netdev_max_backlog', '400')).toBe(0);
    const flood = Array.from({ length: 350 }, () => datagram(1000, 1));
    const small = Array.from({ length: 20 }, (_, i) => datagram(2000 + i, 2));
    receive(0, ...flood, ...small);
    m.settle();
    const got = (mark: number): number => seen.filter(([, other]) => other === mark).length;
    expect(got(2)).toBe(20);
    // Half of the backlog, and then half of the history.
    expect(got(1)).toBe(200 + 64);
    expect(softnet(0).flowLimit?.count).toBe(350 - 264);
    expect(softnetSeqShow(m.machine.initNet).split('\n')[0]?.split(' ')[10]).toBe('00000056');
    expect(sysctl('flow_limit_cpu_bitmap', '0')).toBe(0);
    expect(softnet(0).flowLimit).toBe(null);
  });

  it('starts new devices with rps_default_mask', () => {
    expect(sysctl('rps_default_mask', 'a')).toBe(0);
    expect(m.machine.initNet.sysctl.read('net.core.rps_default_mask')).toBe('a');
    const other = new TestDevice(m);
    expect([...(other.dev.rx[0]?.rpsMap?.cpus ?? [])]).toEqual([1, 3]);
    expect(queue().rpsMap).toBe(null);
    other.remove();
    expect(m.machine.netGlobals.rpsNeeded).toBe(0);
  });

  it('loses what waits for a device that goes', () => {
    const other = new TestDevice(m);
    m.setUp(other.dev);
    netdevRxQueueSetRpsMask(other.dev.rx[0] as NetdevRxQueue, mask(1));
    receive(0, datagram(1000, 1, other.dev));
    other.remove();
    expect(seen).toEqual([]);
    expect([softnet(1).inputQueueHead, softnet(1).inputQueueTail]).toEqual([1, 1]);
  });
});

describe('receive flow steering', () => {
  /** The flow's reader runs on `cpu`. */
  function readerOn(cpu: number, port: number): void {
    const probe = datagram(port);
    const hash = skbGetHash(probe);
    consumeSkb(probe, 'test');
    const globals = m.machine.netGlobals;
    const table = globals.rpsSockFlowTable;
    if (table === null) throw new Error('no table');
    table.ents[hash & table.mask] = (hash & ~globals.rpsCpuMask) | cpu;
  }

  beforeEach(() => {
    expect(sysctl('rps_sock_flow_entries', '1000')).toBe(0);
    expect(netdevRxQueueSetFlowCnt(queue(), 100)).toBe(0);
  });

  afterEach(() => {
    expect(sysctl('rps_sock_flow_entries', '0')).toBe(0);
    expect([m.machine.netGlobals.rpsNeeded, m.machine.netGlobals.rfsNeeded]).toEqual([0, 0]);
  });

  it('has tables of powers of two, of sizes that there is memory for', () => {
    expect(m.machine.initNet.sysctl.read('net.core.rps_sock_flow_entries')).toBe('1024');
    expect(queue().rpsFlowTable?.cpu.length).toBe(128);
    expect(sysctl('rps_sock_flow_entries', '536870913')).toBe(-EINVAL);
    expect(sysctl('rps_sock_flow_entries', '500000000')).toBe(-ENOMEM);
    expect(sysctl('rps_sock_flow_entries', '-1')).toBe(-EINVAL);
    expect(netdevRxQueueSetFlowCnt(queue(), 2 ** 30)).toBe(-ENOMEM);
    expect(m.machine.netGlobals.rfsNeeded).toBe(1);
  });

  it('brings a flow to its reader', () => {
    readerOn(2, 1000);
    receive(0, datagram(1000, 1), datagram(1001, 2));
    m.settle();
    // The other flow has no reader, and there is no map.
    expect(seen).toEqual([
      [0, 2],
      [2, 1],
    ]);
  });

  it('falls back to the map for a flow without a reader', () => {
    netdevRxQueueSetRpsMask(queue(), mask(3));
    receive(0, datagram(1001, 2));
    m.settle();
    expect(seen).toEqual([[3, 2]]);
    netdevRxQueueSetRpsMask(queue(), mask());
  });

  it('does not move a flow while packets of it wait on the old CPU', () => {
    readerOn(1, 1000);
    receive(0, datagram(1000, 1));
    readerOn(2, 1000);
    // CPU 1 has not yet looked: the second packet must stay behind the first.
    receive(0, datagram(1000, 2));
    expect([softnet(1).inputPktQueue.qlen, softnet(2).inputPktQueue.qlen]).toEqual([2, 0]);
    m.settle();
    receive(0, datagram(1000, 3));
    m.settle();
    expect(seen).toEqual([
      [1, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  it('does not wait for packets of others', () => {
    readerOn(1, 1000);
    receive(0, datagram(1000, 1));
    m.settle();
    // Somebody else's packet waits on CPU 1 now, behind our last one.
    readerOn(1, 3000);
    receive(0, datagram(3000, 2));
    readerOn(2, 1000);
    receive(0, datagram(1000, 3));
    expect([softnet(1).inputPktQueue.qlen, softnet(2).inputPktQueue.qlen]).toEqual([1, 1]);
    m.settle();
  });

  it('takes an entry for nobody when its reader has gone', () => {
    readerOn(2, 1000);
    const table = m.machine.netGlobals.rpsSockFlowTable;
    table?.ents.fill(RPS_NO_CPU);
    receive(0, datagram(1000, 1));
    expect(seen).toEqual([[0, 1]]);
  });
});
