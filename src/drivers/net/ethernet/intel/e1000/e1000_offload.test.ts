import { expect, test } from 'vitest';
import { e1000Adapter } from '#drivers/net/ethernet/intel/e1000/e1000.ts';
import type { E1000Nic } from '#drivers/net/ethernet/intel/e1000/e1000_plug.ts';
import { sendTest } from '#drivers/net/testing/lan.ts';
import {
  anyPayloadIsCut,
  checksumsArePutIn,
  linkedOffloadPair,
  type OffloadPair,
  superPacketIsCut,
  tagsAreMoved,
} from '#drivers/net/testing/offload_cases.ts';
import { bytes, MAC_B, MS, nicPair } from '#drivers/net/testing/pair.ts';
import { segment } from '#drivers/net/testing/segment.ts';
import { NETIF_F_HW_CSUM, NETIF_F_RXCSUM, NETIF_F_TSO } from '#include/linux/netdev_features.ts';
import { CHECKSUM_NONE, CHECKSUM_UNNECESSARY } from '#include/linux/skbuff.ts';
import { allocPages, putPage } from '#mm/page_alloc.ts';
import { netdevUpdateFeatures } from '#net/core/dev_register.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';

function withPair(run: (all: OffloadPair<E1000Nic>) => void): void {
  linkedOffloadPair(
    nicPair((machine, at) => machine.plug(at)),
    run,
  );
}

test('the chip puts the checksum in', () => {
  withPair((all) => {
    const wanted = NETIF_F_HW_CSUM | NETIF_F_TSO;
    expect(all.nicA.dev.features & wanted).toBe(wanted);
    checksumsArePutIn(all);
  });
});

test('one packet of 64 KB leaves as frames of the right size, sums and order', () => {
  withPair((all) => {
    superPacketIsCut(all);
    const { nicA } = all;
    nicA.dev.ethtoolOps?.getEthtoolStats?.(nicA.dev);
    expect(e1000Adapter(nicA.dev).stats.tsctc).toBe(1);
  });
});

test('segmentation of any payload at any size', () => {
  anyPayloadIsCut(withPair);
});

test('received checksums are checked by the chip when asked for, else by the stack', () => {
  withPair(({ lan, b, nicA, nicB, seen }) => {
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    expect(seen.map(({ ipSummed }) => ipSummed)).toEqual([CHECKSUM_NONE]);
    b.locked(() => {
      nicB.dev.wantedFeatures |= NETIF_F_RXCSUM;
      netdevUpdateFeatures(nicB.dev);
    });
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    const bad = segment(nicA.dev, bytes(500), 0, false);
    bad.ipSummed = CHECKSUM_NONE;
    devQueueXmit(bad);
    lan.pass(MS);
    const found = seen.map(({ ipSummed }) => ipSummed);
    expect(found).toEqual([CHECKSUM_NONE, CHECKSUM_UNNECESSARY, CHECKSUM_NONE]);
    const adapter = e1000Adapter(nicB.dev);
    expect([adapter.hwCsumGood, adapter.hwCsumErr]).toEqual([1, 1]);
  });
});

test('VLAN tags are put in and taken out by the chip', () => {
  withPair(tagsAreMoved);
});

test('without memory for new buffers nothing is lost track of, and it goes on afterwards', () => {
  withPair(({ lan, b, nicA, nicB }) => {
    for (let n = 0; n < 40; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
    // Taken while the frames are under way: they can be received, but not replaced.
    lan.pass(100_000);
    const taken: number[] = [];
    for (const size of [131072, 32768, 2048]) {
      for (let addr = allocPages(size); addr !== 0; addr = allocPages(size)) taken.push(addr);
    }
    lan.pass(50 * MS);
    expect(e1000Adapter(nicB.dev).allocRxBuffFailed).toBeGreaterThan(0);
    for (const addr of taken) putPage(addr);
    lan.pass(3_000 * MS);
    const before = b.received.length;
    expect(before).toBeGreaterThan(0);
    for (let n = 0; n < 10; n++) sendTest(nicA.dev, MAC_B, bytes(1000, n));
    lan.pass(MS);
    expect(b.received).toHaveLength(before + 10);
  });
});
