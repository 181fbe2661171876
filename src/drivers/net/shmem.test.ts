import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  SHMEM_HEADER,
  SHMEM_MAX_RECORD,
  SHMEM_RECORD_FRAME,
  shmemCreate,
  shmemInterrupt,
} from '#drivers/net/shmem.ts';
import { bytesOf, NetdevMachine } from '#drivers/net/testing/netdev_machine.ts';
import {
  NET_RX_SUCCESS,
  type NetDevice,
  netifCarrierOk,
  netifQueueStopped,
  PacketType,
} from '#include/linux/netdevice.ts';
import {
  CHECKSUM_PARTIAL,
  SKB_GSO_DODGY,
  SKB_GSO_TCPV4,
  type SkBuff,
} from '#include/linux/skbuff.ts';
import { SpscConsumer, SpscProducer, spscRingMemory } from '#lib/spsc_ring.ts';
import { devGetStats } from '#net/core/dev.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { EINVAL } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';

const RING = 1 << 18;

/** A machine at one end, and what its door was asked. */
class End {
  readonly m: NetdevMachine;
  readonly dev: NetDevice;
  readonly tx: SpscProducer;
  readonly rx: SpscConsumer;
  readonly got: SkBuff[] = [];
  records = 0;
  room = 0;
  private readonly pt: PacketType;

  constructor(name: string, out: SharedArrayBuffer, into: SharedArrayBuffer) {
    this.m = new NetdevMachine(name);
    this.tx = new SpscProducer(out);
    this.rx = new SpscConsumer(into);
    const door = {
      waitForRecords: () => {
        this.records++;
      },
      waitForRoom: () => {
        this.room++;
      },
    };
    const { tx, rx } = this;
    const dev = this.m.rtnl(() =>
      shmemCreate(this.m.machine.initNet, { name: 'shm%d', tx, rx, door }),
    );
    if (typeof dev === 'number') throw new Error(`errno ${-dev}`);
    this.dev = dev;
    this.pt = new PacketType(ETH_P_IP, (skb) => {
      this.got.push(skb);
      return NET_RX_SUCCESS;
    });
    devAddPack(this.m.machine, this.pt);
  }

  interrupt(): void {
    shmemInterrupt(this.dev);
    this.m.settle();
  }

  /** Sends a frame with that payload to the other end. */
  send(to: End, payload: ArrayLike<number>, change: (skb: SkBuff) => void = () => {}): number {
    const head = [...to.dev.devAddr.subarray(0, 6), 2, 0, 0, 0, 0, 9, 8, 0];
    const skb = this.m.packet([...head, ...Array.from(payload)]);
    skb.dev = this.dev;
    skb.protocol = ETH_P_IP;
    change(skb);
    return devQueueXmit(skb);
  }

  end(): void {
    for (const skb of this.got) consumeSkb(skb);
    devRemovePack(this.m.machine, this.pt);
    this.m.end();
  }
}

let a: End;
let b: End;

beforeEach(() => {
  const [out, back] = [spscRingMemory(RING), spscRingMemory(RING)];
  a = new End('a', out, back);
  b = new End('b', back, out);
});

afterEach(() => {
  // The last machine counts the packet memory of both.
  b.end();
  a.end();
});

function bothUp(): void {
  a.m.setUp(a.dev);
  b.m.setUp(b.dev);
  for (const end of [b, a]) {
    end.m.settle();
    end.interrupt();
    end.m.advance(2e9);
  }
}

describe('a device over rings in shared memory', () => {
  it('has a carrier while the other end is up', () => {
    expect(a.dev.name).toBe('shm0');
    a.m.setUp(a.dev);
    expect(netifCarrierOk(a.dev)).toBe(false);
    b.m.setUp(b.dev);
    expect(netifCarrierOk(b.dev)).toBe(true);
    a.interrupt();
    expect(netifCarrierOk(a.dev)).toBe(true);
    b.m.setUp(b.dev, false);
    a.interrupt();
    expect(netifCarrierOk(a.dev)).toBe(false);
  });

  it('carries frames, tells its door when it has nothing to do, and counts', () => {
    bothUp();
    const before = b.records;
    a.send(b, [1, 2, 3]);
    a.send(b, [4]);
    b.interrupt();
    expect(b.got.map(bytesOf)).toEqual([[1, 2, 3], [4]]);
    expect(b.records).toBe(before + 1);
    expect(devGetStats(a.dev)).toMatchObject({ txPackets: 2, txBytes: 32 });
    expect(devGetStats(b.dev)).toMatchObject({ rxPackets: 2, rxBytes: 32 });
  });

  it('carries a super-packet whole, its checksum unfilled', () => {
    bothUp();
    const payload = Uint8Array.from({ length: 40_000 }, (_, i) => i * 7);
    // IPv4 and TCP headers, as far as anybody looks.
    payload.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6]);
    payload[32] = 0x50;
    a.send(b, payload, (skb) => {
      skb.ipSummed = CHECKSUM_PARTIAL;
      skb.csumStart = skb.data + 34;
      skb.csumOffset = 16;
      skb.networkHeader = skb.data + 14;
      skb.transportHeader = skb.data + 34;
      skb.shinfo.gsoSize = 1448;
      skb.shinfo.gsoType = SKB_GSO_TCPV4;
      skb.shinfo.gsoSegs = 28;
    });
    b.interrupt();
    const [skb] = b.got;
    if (skb === undefined) throw new Error('nothing came');
    expect(bytesOf(skb)).toEqual([...payload]);
    expect(skb.ipSummed).toBe(CHECKSUM_PARTIAL);
    expect([skb.csumStart - skb.data, skb.csumOffset]).toEqual([20, 16]);
    expect([skb.shinfo.gsoSize, skb.shinfo.gsoType]).toEqual([1448, SKB_GSO_TCPV4 | SKB_GSO_DODGY]);
  });

  it('stops before the ring is full, loses nothing, and goes on when there is room', () => {
    bothUp();
    const payload = new Uint8Array(30_000).fill(5);
    let sent = 0;
    while (!netifQueueStopped(a.dev)) {
      a.send(b, payload);
      sent++;
    }
    expect(sent).toBeGreaterThan(2);
    expect(a.room).toBe(1);
    // What is sent now waits in the qdisc.
    a.send(b, payload);
    a.interrupt();
    expect(netifQueueStopped(a.dev), 'there is no room yet').toBe(true);
    b.interrupt();
    expect(b.got).toHaveLength(sent);
    a.interrupt();
    expect(netifQueueStopped(a.dev)).toBe(false);
    b.interrupt();
    expect(b.got).toHaveLength(sent + 1);
    expect(devGetStats(a.dev).txDropped).toBe(0);
  });

  it('goes on when room comes while it asks to be told of it', () => {
    bothUp();
    const payload = new Uint8Array(30_000).fill(5);
    while (!netifQueueStopped(a.dev)) a.send(b, payload);
    const armRoom = a.tx.armRoom.bind(a.tx);
    vi.spyOn(a.tx, 'armRoom').mockImplementationOnce((length) => {
      b.interrupt();
      return armRoom(length);
    });
    a.interrupt();
    expect(netifQueueStopped(a.dev)).toBe(false);
  });

  it('polls no more than its budget at a time, and asks for more', () => {
    bothUp();
    const polls: number[] = [];
    b.m.machine.trace.napi.napiPoll.register((_napi, work) => polls.push(work));
    for (let i = 0; i < 200; i++) a.send(b, [i]);
    b.interrupt();
    expect(polls).toEqual([64, 64, 64, 8]);
    expect(b.got.map((skb) => bytesOf(skb)[0])).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  it('counts and drops records that are no packets', () => {
    bothUp();
    const bad = new Uint8Array(SHMEM_HEADER + 60);
    // A kind of segmentation that does not exist.
    bad[1] = 0x7f;
    a.tx.push(bad, SHMEM_RECORD_FRAME);
    a.tx.push(new Uint8Array(5), SHMEM_RECORD_FRAME);
    // A checksum field beyond the end.
    const beyond = new Uint8Array(SHMEM_HEADER + 60);
    beyond[0] = 1;
    beyond.set([200, 0, 16, 0], 6);
    a.tx.push(beyond, SHMEM_RECORD_FRAME);
    a.tx.publish();
    a.send(b, [9]);
    b.interrupt();
    expect(b.got.map(bytesOf)).toEqual([[9]]);
    expect(devGetStats(b.dev).rxFrameErrors).toBe(3);
  });

  it('throws away what came before it went down, and works again after', () => {
    bothUp();
    a.send(b, [1]);
    b.m.setUp(b.dev, false);
    expect(devGetStats(b.dev).rxDropped).toBe(1);
    bothUp();
    a.send(b, [2]);
    b.interrupt();
    expect(b.got.map(bytesOf)).toEqual([[2]]);
  });

  it('refuses rings that are too small, and names that are taken', () => {
    const small = spscRingMemory(SHMEM_MAX_RECORD);
    const { tx, rx, m } = a;
    const door = { waitForRecords: () => {}, waitForRoom: () => {} };
    const create = (options: object): unknown =>
      m.rtnl(() => shmemCreate(m.machine.initNet, { name: 'shm%d', tx, rx, door, ...options }));
    expect(create({ tx: new SpscProducer(small) })).toBe(-EINVAL);
    expect(create({ mac: new Uint8Array(4) })).toBe(-EINVAL);
    expect(create({ name: 'shm0' })).toBeLessThan(0);
  });
});
