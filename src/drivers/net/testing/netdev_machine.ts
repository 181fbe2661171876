/** A machine with the device layer and its virtual drivers, but without protocols. */
import { expect } from 'vitest';
import { dummyInit } from '#drivers/net/dummy.ts';
import { loopbackInit } from '#drivers/net/loopback.ts';
import { tunInit } from '#drivers/net/tun.ts';
import { vethInit } from '#drivers/net/veth.ts';
import {
  NETDEV_TX_BUSY,
  NETDEV_TX_OK,
  type NetDevice,
  type NetDeviceOps,
  netDeviceOps,
  netifStopQueue,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { NetGlobals } from '#include/net/net_globals.ts';
import { TraceEvents } from '#include/trace/events/events.ts';
import { liveReport } from '#kernel/live.ts';
import { Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { doInitcalls } from '#kernel/module.ts';
import { NotifierChain } from '#kernel/notifier.ts';
import { rcuBarrier } from '#kernel/rcu.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { mem } from '#mm/memory.ts';
import { livePages } from '#mm/page_alloc.ts';
import { devChangeFlags } from '#net/core/dev.ts';
import { netDevInit } from '#net/core/dev_init.ts';
import { registerNetdev, unregisterNetdev } from '#net/core/dev_register.ts';
import { cleanupNet, netNsInit } from '#net/core/net_namespace.ts';
import { allocSkb, consumeSkb, skbLeakReport, skbPut } from '#net/core/skbuff.ts';
import { allocEtherdev, ethHwAddrRandom } from '#net/ethernet/eth.ts';
import { codelModule } from '#net/sched/sch_codel.ts';
import { fifoModule } from '#net/sched/sch_fifo.ts';
import { fqModule } from '#net/sched/sch_fq.ts';
import { fqCodelModule } from '#net/sched/sch_fq_codel.ts';
import { schGenericInit } from '#net/sched/sch_generic.ts';
import { tbfModule } from '#net/sched/sch_tbf.ts';
import { IFF_UP } from '#uapi/if.ts';

/** A clock that moves only by the test's hand. */
export class StillHost implements MachineHost {
  clock = 0;
  kicks = 0;
  /** What the clock advances by itself at each reading, in ns. */
  readCostNs = 0;
  readClock(): number {
    this.clock += this.readCostNs;
    return this.clock;
  }
  kick(): void {
    this.kicks++;
  }
  timerChanged(): void {}
}

/** A machine and what a test does with it. */
export class NetdevMachine {
  readonly host: StillHost = new StillHost();
  readonly machine: Machine;
  private readonly pagesBefore: number;

  constructor(name = 'm', cpus = 1) {
    this.pagesBefore = livePages().units;
    const machine = new Machine({
      name,
      host: this.host,
      seed: 1,
      bootEpochSec: 1_000_000_000,
      cpus,
      trace: new TraceEvents(),
    });
    this.machine = machine;
    machine.netGlobals = new NetGlobals(
      new NotifierChain(),
      new NotifierChain(),
      new NotifierChain(),
      new NotifierChain(),
    );
    for (const secret of [machine.netGlobals.netSecret]) {
      for (let i = 0; i < secret.length; i++) secret[i] = machine.random.i32();
    }
    machine.initNet = netNsInit(machine);
    for (const init of [schGenericInit, netDevInit, loopbackInit, dummyInit, vethInit, tunInit]) {
      expect(init(machine)).toBe(0);
    }
    doInitcalls(machine, [fifoModule, codelModule, tbfModule, fqModule, fqCodelModule]);
  }

  /** Runs `fn` under rtnl. */
  rtnl<T>(fn: () => T): T {
    rtnlLock(this.machine);
    try {
      return fn();
    } finally {
      rtnlUnlock(this.machine);
    }
  }

  /** A machine's pending works and soft interrupts. */
  settle(): void {
    runPending(this.machine);
  }

  /** Moves the clock by ns and lets timers and works run. */
  advance(ns: number): void {
    this.host.clock += ns;
    this.machine.enter(this.host.clock);
    runTimers(this.machine);
    this.settle();
  }

  setUp(dev: NetDevice, up = true): number {
    return this.rtnl(() => devChangeFlags(dev, up ? dev.flags | IFF_UP : dev.flags & ~IFF_UP));
  }

  /** A packet with these bytes and 64 bytes of headroom. */
  packet(bytes: ArrayLike<number>, room = 64): SkBuff {
    const skb = allocSkb(this.machine, bytes.length + room);
    if (skb === null) throw new Error('out of packet memory');
    skb.data += room;
    skb.tail += room;
    mem.set(bytes, skbPut(skb, bytes.length));
    return skb;
  }

  /** Takes the machine down; nothing may be alive then. */
  end(): void {
    for (const net of [...this.machine.netGlobals.netnsList].reverse()) {
      cleanupNet(net);
      this.settle();
    }
    rcuBarrier(this.machine);
    this.rtnl(() => {});
    this.settle();
    expect(skbLeakReport(this.machine)).toEqual([]);
    expect(liveReport(this.machine)).toEqual({});
    expect(livePages().units).toBe(this.pagesBefore);
  }
}

/** The octets of a packet, wherever they lie. */
export function bytesOf(skb: SkBuff): number[] {
  const out: number[] = [...mem.subarray(skb.data, skb.data + skb.len - skb.dataLen)];
  const { shinfo } = skb;
  for (let i = 0; i < shinfo.nrFrags; i++) {
    const at = (shinfo.fragPage[i] as number) + (shinfo.fragOffset[i] as number);
    out.push(...mem.subarray(at, at + (shinfo.fragSize[i] as number)));
  }
  for (let f = shinfo.fragList; f !== null; f = f.next) out.push(...bytesOf(f));
  return out;
}

/** A registered Ethernet device that keeps what it is given. */
export class TestDevice {
  readonly dev: NetDevice;
  /** Frames taken, as octets. */
  readonly sent: number[][] = [];
  /** Calls of the driver, refused ones too. */
  calls = 0;
  /** Frames that may still be taken; then the queue stops. */
  room: number = Number.POSITIVE_INFINITY;
  /** Refuse without stopping the queue. */
  broken = false;
  private readonly owner: NetdevMachine;

  constructor(
    owner: NetdevMachine,
    ops: Partial<NetDeviceOps> = {},
    adjust?: (d: NetDevice) => void,
  ) {
    this.owner = owner;
    const full = netDeviceOps({ ndoStartXmit: (skb, dev) => this.xmit(skb, dev), ...ops });
    this.dev = allocEtherdev(owner.machine.initNet, full, this);
    ethHwAddrRandom(this.dev);
    adjust?.(this.dev);
    expect(registerNetdev(this.dev)).toBe(0);
  }

  private xmit(skb: SkBuff, dev: NetDevice): number {
    this.calls++;
    if (this.broken) return NETDEV_TX_BUSY;
    if (this.room <= 0) {
      netifStopQueue(dev);
      return NETDEV_TX_BUSY;
    }
    this.room--;
    this.sent.push(bytesOf(skb));
    consumeSkb(skb, 'test_xmit');
    return NETDEV_TX_OK;
  }

  remove(): void {
    unregisterNetdev(this.dev);
    this.owner.settle();
  }
}
