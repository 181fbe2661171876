/** Whole machines with e1000 cards on a cable in a world: what the cable does, the cards count. */
import { expect, test } from 'vitest';
import { e1000Plug } from '#drivers/net/ethernet/intel/e1000/e1000_plug.ts';
import { type NetDevice, netifCarrierOk, PacketType } from '#include/linux/netdevice.ts';
import { skbReserve } from '#include/linux/skbuff.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { mem } from '#mm/memory.ts';
import { livePages } from '#mm/page_alloc.ts';
import { devOpen } from '#net/core/dev.ts';
import { devAddPack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { allocSkb, consumeSkb, skbPut } from '#net/core/skbuff.ts';
import { ethHeader } from '#net/ethernet/eth.ts';
import { Cable } from '#sim/cable.ts';
import type { Impairments } from '#sim/impairments.ts';
import { World } from '#sim/world.ts';

const ETH_P_TEST = 0x88b5;
const MAC_A: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xa);
const MAC_B: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xb);
const MS = 1_000_000;

function up(machine: Machine, dev: NetDevice): void {
  rtnlLock(machine);
  expect(devOpen(dev)).toBe(0);
  rtnlUnlock(machine);
}

function send(dev: NetDevice, number: number): void {
  const skb = allocSkb(dev.net.machine, 600);
  if (skb === null) throw new Error('no memory');
  skbReserve(skb, 64);
  const at = skbPut(skb, 500);
  mem.fill(number, at, at + 500);
  skb.dev = dev;
  skb.protocol = ETH_P_TEST;
  skb.networkHeader = skb.data;
  ethHeader(skb, dev, ETH_P_TEST, MAC_B, null, 500);
  devQueueXmit(skb);
}

interface Outcome {
  readonly received: number[];
  readonly stats: Record<string, number>;
  readonly corrupted: number;
  readonly lost: number;
  readonly fingerprint: string;
}

/** Sends 300 packets from one machine to another. */
function run(seed: number, impairments: Partial<Impairments>): Outcome {
  const before = livePages().units;
  const world = new World({ seed });
  const a = world.boot('a');
  const b = world.boot('b');
  const cable = new Cable(world, 'a--b', impairments);
  const nicA = e1000Plug(a, a.initNet, { mac: MAC_A, end: (port) => cable.plug(0, port) });
  const nicB = e1000Plug(b, b.initNet, { mac: MAC_B, end: (port) => cable.plug(1, port) });
  const received: number[] = [];
  const pt = new PacketType(ETH_P_TEST, (skb) => {
    received.push(mem[skb.data] ?? -1);
    consumeSkb(skb);
    return 0;
  });
  devAddPack(b, pt);
  up(a, nicA.dev);
  up(b, nicB.dev);
  world.run({ untilNs: 10 * MS });
  expect([netifCarrierOk(nicA.dev), netifCarrierOk(nicB.dev)]).toEqual([true, true]);
  for (let n = 0; n < 300; n++) {
    world.schedule((20 + n * 0.02) * MS, () => {
      a.enter(world.nowNs);
      send(nicA.dev, n & 0xff);
    });
  }
  world.run({ untilNs: 5_000 * MS });
  const names = nicB.dev.ethtoolOps?.getStrings?.(nicB.dev) ?? [];
  const values = nicB.dev.ethtoolOps?.getEthtoolStats?.(nicB.dev) ?? [];
  const { corrupted, lost } = cable.counters(0);
  const outcome = {
    received,
    stats: Object.fromEntries(names.map((name, i) => [name, values[i] ?? 0])),
    corrupted,
    lost,
    fingerprint: world.fingerprint.digest(),
  };
  expect(world.halt()).toEqual({});
  expect(livePages().units).toBe(before);
  return outcome;
}

test('a plain cable: all packets arrive, in order', () => {
  const { received, stats } = run(1, {});
  expect(received).toEqual(Array.from({ length: 300 }, (_, n) => n & 0xff));
  expect(stats).toMatchObject({ rx_packets: 300, rx_crc_errors: 0, rx_missed_errors: 0 });
});

test('what the cable damages, the card counts as CRC errors and keeps from the stack', () => {
  const { received, stats, corrupted, lost } = run(2, {
    corrupt: 0.1,
    corruptSilently: false,
    loss: 0.05,
  });
  expect(corrupted).toBeGreaterThan(10);
  expect(lost).toBeGreaterThan(5);
  expect(stats['rx_crc_errors']).toBe(corrupted);
  expect(stats['rx_errors']).toBe(corrupted);
  expect(received).toHaveLength(300 - corrupted - lost);
});

test('the same seed gives the same run, another gives another', () => {
  const rough = { loss: 0.1, duplicate: 0.1, reorder: 0.1, delayNs: 50_000, jitterNs: 20_000 };
  const first = run(3, rough);
  expect(run(3, rough)).toEqual(first);
  expect(run(4, rough).fingerprint).not.toBe(first.fingerprint);
});
