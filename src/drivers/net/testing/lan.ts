/**
 * Machines with PCI, a device layer and the e1000 and igb drivers, but no protocols: what is received of the
 * test's own EtherType is kept. They share a clock and are joined by wires with a delay.
 */
import { e1000Init } from '#drivers/net/ethernet/intel/e1000/e1000_main.ts';
import {
  type E1000Nic,
  type E1000PlugOptions,
  e1000Plug,
} from '#drivers/net/ethernet/intel/e1000/e1000_plug.ts';
import { igbInit } from '#drivers/net/ethernet/intel/igb/igb_main.ts';
import {
  type IgbNic,
  type IgbPlugOptions,
  igbPlug,
} from '#drivers/net/ethernet/intel/igb/igb_plug.ts';
import { virtioNetInit } from '#drivers/net/virtio_net.ts';
import {
  type VirtioNetNic,
  type VirtioNetPlugOptions,
  virtioNetPlug,
} from '#drivers/net/virtio_net_plug.ts';
import { pciInit, pciShutdown } from '#drivers/pci/probe.ts';
import { virtioInit } from '#drivers/virtio/virtio.ts';
import { virtioPciInit } from '#drivers/virtio/virtio_pci_modern.ts';
import { freeFrame, type WireEnd, type WireFrame, type WirePort } from '#hardware/wire.ts';
import { type NetDevice, PacketType } from '#include/linux/netdevice.ts';
import { type SkBuff, skbReserve } from '#include/linux/skbuff.ts';
import { NetGlobals } from '#include/net/net_globals.ts';
import { TraceEvents } from '#include/trace/events/events.ts';
import { liveReport } from '#kernel/live.ts';
import { Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import { NotifierChain } from '#kernel/notifier.ts';
import { rcuBarrier } from '#kernel/rcu.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { livePages } from '#mm/page_alloc.ts';
import { devClose, devOpen } from '#net/core/dev.ts';
import { netDevInit } from '#net/core/dev_init.ts';
import { devAddPack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { netNsInit } from '#net/core/net_namespace.ts';
import { allocSkb, allocSkbWithFrags, consumeSkb, skbPut } from '#net/core/skbuff.ts';
import { skbCopyBits, skbStoreBits } from '#net/core/skbuff_data.ts';
import { ethHeader } from '#net/ethernet/eth.ts';
import { schGenericInit } from '#net/sched/sch_generic.ts';

/** Local experimental EtherType: nothing but the test listens to it. */
export const ETH_P_TEST = 0x88b5;

/** Time that a wire takes, in ns. */
const WIRE_DELAY_NS = 500;

interface Event {
  readonly atNs: number;
  readonly seq: number;
  readonly fn: () => void;
}

class LanHost implements MachineHost {
  readonly lan: Lan;
  kicked = false;

  constructor(lan: Lan) {
    this.lan = lan;
  }

  readClock(): number {
    return this.lan.nowNs;
  }

  kick(): void {
    this.kicked = true;
  }

  timerChanged(): void {}
}

/** A wire between two ports: nothing is lost but what `drop` says. */
export class TestWire {
  private readonly lan: Lan;
  private readonly ports: (WirePort | null)[] = [null, null];
  private readonly lit = [true, true];
  connected = true;
  /** Frames put on the wire, by end. */
  readonly sent: [number, number] = [0, 0];
  drop: (frame: WireFrame, end: 0 | 1) => boolean = () => false;

  constructor(lan: Lan) {
    this.lan = lan;
  }

  plug(end: 0 | 1, port: WirePort): WireEnd {
    this.ports[end] = port;
    this.announce();
    const wire = this;
    return {
      get up(): boolean {
        return wire.up;
      },
      light: (on) => {
        if (wire.lit[end] === on) return;
        wire.lit[end] = on;
        wire.lan.at(wire.lan.nowNs, () => wire.announce());
      },
      send: (frame) => wire.send(end, frame),
      get peerOffloads(): number {
        return wire.ports[1 - end]?.offloads ?? 0;
      },
    };
  }

  cut(connected: boolean): void {
    this.connected = connected;
    this.announce();
  }

  private get up(): boolean {
    return this.connected && this.ports.every((port) => port !== null) && this.lit.every(Boolean);
  }

  private announce(): void {
    for (const port of this.ports) port?.linkChanged(this.up);
  }

  private send(end: 0 | 1, frame: WireFrame): void {
    this.sent[end]++;
    if (this.drop(frame, end)) {
      freeFrame(frame);
      return;
    }
    this.lan.at(this.lan.nowNs + WIRE_DELAY_NS, () => {
      const port = this.ports[1 - end];
      if (port === null || port === undefined || !this.connected) freeFrame(frame);
      else port.receive(frame);
    });
  }
}

const INITCALLS = [
  pciInit,
  schGenericInit,
  netDevInit,
  e1000Init,
  igbInit,
  virtioInit,
  virtioPciInit,
  virtioNetInit,
] as const;

/** A machine of the test, and what it has received. */
export class LanMachine {
  readonly host: LanHost;
  readonly machine: Machine;
  readonly received: Uint8Array[] = [];
  /** Called with each received packet, before it is freed. */
  onPacket: (skb: SkBuff) => void = () => {};

  constructor(lan: Lan, name: string, cpus: number) {
    this.host = new LanHost(lan);
    this.machine = new Machine({
      name,
      host: this.host,
      seed: name,
      bootEpochSec: 0,
      cpus,
      trace: new TraceEvents(),
    });
    const { machine } = this;
    const chain = <T>(): NotifierChain<T> => new NotifierChain<T>();
    machine.netGlobals = new NetGlobals(chain(), chain(), chain(), chain());
    machine.initNet = netNsInit(machine);
    for (const init of INITCALLS) {
      if (init(machine) !== 0) throw new Error(`${init.name} failed`);
    }
    devAddPack(
      machine,
      new PacketType(ETH_P_TEST, (skb) => {
        this.onPacket(skb);
        const bytes = new Uint8Array(skb.len);
        skbCopyBits(skb, 0, bytes, 0, skb.len);
        this.received.push(bytes);
        consumeSkb(skb);
        return 0;
      }),
    );
  }

  plug(options: E1000PlugOptions): E1000Nic {
    return e1000Plug(this.machine, this.machine.initNet, options);
  }

  plugVirtio(options: VirtioNetPlugOptions): VirtioNetNic {
    return virtioNetPlug(this.machine, this.machine.initNet, options);
  }

  plugIgb(options: IgbPlugOptions): IgbNic {
    return igbPlug(this.machine, this.machine.initNet, options);
  }

  /** Runs `fn` with the configuration locked. */
  locked<T>(fn: () => T): T {
    rtnlLock(this.machine);
    try {
      return fn();
    } finally {
      rtnlUnlock(this.machine);
    }
  }

  up(dev: NetDevice): void {
    const err = this.locked(() => devOpen(dev));
    if (err !== 0) throw new Error(`open failed with ${err}`);
  }

  down(dev: NetDevice): void {
    this.locked(() => devClose(dev));
  }
}

/** A packet of the test's type with a link header. `fragBytes` of it are in fragments. */
export function testPacket(
  dev: NetDevice,
  to: Uint8Array,
  payload: Uint8Array,
  fragBytes = 0,
): SkBuff {
  const { machine } = dev.net;
  const linear = payload.length - fragBytes;
  const skb =
    fragBytes === 0
      ? allocSkb(machine, 64 + payload.length)
      : allocSkbWithFrags(machine, 64 + linear, fragBytes);
  if (skb === null) throw new Error('no memory');
  skbReserve(skb, 64);
  skbPut(skb, linear);
  if (fragBytes > 0) {
    skb.dataLen = fragBytes;
    skb.len += fragBytes;
  }
  skbStoreBits(skb, 0, payload, 0, payload.length);
  skb.dev = dev;
  skb.protocol = ETH_P_TEST;
  skb.networkHeader = skb.data;
  ethHeader(skb, dev, ETH_P_TEST, to, null, payload.length);
  return skb;
}

/** Sends a packet of the test's type; what dev_queue_xmit() says. */
export function sendTest(
  dev: NetDevice,
  to: Uint8Array,
  payload: Uint8Array,
  fragBytes = 0,
): number {
  return devQueueXmit(testPacket(dev, to, payload, fragBytes));
}

export class Lan {
  nowNs = 0;
  readonly machines: LanMachine[] = [];
  private readonly events: Event[] = [];
  private seq = 0;
  private readonly pagesBefore: number;

  constructor() {
    this.pagesBefore = livePages().units;
  }

  boot(name: string, cpus = 1): LanMachine {
    const machine = new LanMachine(this, name, cpus);
    this.machines.push(machine);
    return machine;
  }

  at(atNs: number, fn: () => void): void {
    this.events.push({ atNs, seq: this.seq++, fn });
  }

  /** Lets `ns` pass. */
  pass(ns: number): void {
    const untilNs = this.nowNs + ns;
    while (this.step(untilNs));
    this.nowNs = untilNs;
    for (const { machine } of this.machines) machine.enter(untilNs);
  }

  private step(untilNs: number): boolean {
    for (const { host, machine } of this.machines) {
      if (!host.kicked) continue;
      host.kicked = false;
      machine.enter(this.nowNs);
      runPending(machine);
      return true;
    }
    this.events.sort((a, b) => a.atNs - b.atNs || a.seq - b.seq);
    const [event] = this.events;
    let first = event === undefined ? Number.POSITIVE_INFINITY : event.atNs;
    let timer: Machine | null = null;
    for (const { machine } of this.machines) {
      const expiry = machine.nextExpiry();
      if (expiry < first) {
        first = expiry;
        timer = machine;
      }
    }
    if (first > untilNs) return false;
    this.nowNs = Math.max(this.nowNs, first);
    if (timer !== null) {
      timer.enter(this.nowNs);
      runTimers(timer);
    } else {
      this.events.shift();
      event?.fn();
    }
    return true;
  }

  /** Removes all cards, lets everything settle; what is still alive, by machine. */
  shutDown(): Record<string, unknown> {
    for (const { machine } of this.machines) pciShutdown(machine);
    this.pass(10_000_000_000);
    const left: Record<string, unknown> = {};
    for (const { machine } of this.machines) {
      rcuBarrier(machine);
      const report = liveReport(machine);
      if (Object.keys(report).length > 0) left[machine.name] = report;
    }
    const pages = livePages().units - this.pagesBefore;
    if (pages !== 0) left['pages'] = pages;
    return left;
  }
}
