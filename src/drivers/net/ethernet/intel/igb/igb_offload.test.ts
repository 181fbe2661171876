import { expect, test } from 'vitest';
import { type IgbAdapter, igbAdapter } from '#drivers/net/ethernet/intel/igb/igb.ts';
import type { IgbNic } from '#drivers/net/ethernet/intel/igb/igb_plug.ts';
import {
  anyPayloadIsCut,
  checksumsArePutIn,
  linkedOffloadPair,
  type OffloadPair,
  superPacketIsCut,
  tagsAreMoved,
} from '#drivers/net/testing/offload_cases.ts';
import { bytes, MS, nicPair } from '#drivers/net/testing/pair.ts';
import { datagrams, payloadOf, segment } from '#drivers/net/testing/segment.ts';
import {
  NETIF_F_GSO_UDP_L4,
  NETIF_F_HW_CSUM,
  NETIF_F_RXCSUM,
  NETIF_F_RXHASH,
  NETIF_F_TSO,
} from '#include/linux/netdev_features.ts';
import { CHECKSUM_NONE, CHECKSUM_UNNECESSARY } from '#include/linux/skbuff.ts';
import { ToeplitzKey } from '#lib/toeplitz.ts';
import { netdevUpdateFeatures } from '#net/core/dev_register.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { consumeSkb } from '#net/core/skbuff.ts';

interface Setup extends OffloadPair<IgbNic> {
  readonly adapterB: IgbAdapter;
}

function withPair(run: (all: Setup) => void): void {
  const pair = nicPair((machine, at) => machine.plugIgb(at), undefined, [1, 4]);
  linkedOffloadPair(pair, (all) => run({ ...all, adapterB: igbAdapter(all.nicB.dev) }));
}

test('the chip puts the checksum in', () => {
  withPair((all) => {
    const wanted = NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_GSO_UDP_L4;
    expect(all.nicA.dev.features & wanted).toBe(wanted);
    checksumsArePutIn(all);
  });
});

test('one packet of 64 KB leaves as frames of the right size, sums and order', () => {
  withPair((all) => {
    superPacketIsCut(all);
    const { nicA } = all;
    expect(igbAdapter(nicA.dev).stats.tsctc).toBe(1);
  });
});

test('segmentation of any payload at any size', () => {
  anyPayloadIsCut(withPair);
});

test('datagrams are cut as well, each with its own length and sum', () => {
  withPair(({ lan, nicA, frames }) => {
    const payload = bytes(10_500);
    devQueueXmit(datagrams(nicA.dev, payload, 1200));
    lan.pass(10 * MS);
    const lengths = frames.map((frame) => new DataView(frame.buffer).getUint16(38));
    expect(lengths).toEqual([...new Array<number>(8).fill(1208), 908]);
    expect(frames.flatMap((frame) => [...payloadOf(frame)])).toEqual([...payload]);
  });
});

test('the chip checks what it receives, unless that is switched off', () => {
  withPair(({ lan, b, nicA, nicB, adapterB, seen }) => {
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    const bad = segment(nicA.dev, bytes(500), 0, false);
    bad.ipSummed = CHECKSUM_NONE;
    devQueueXmit(bad);
    lan.pass(MS);
    expect(adapterB.rxRing.reduce((sum, ring) => sum + ring.csumErr, 0)).toBe(1);
    b.locked(() => {
      nicB.dev.wantedFeatures &= ~NETIF_F_RXCSUM;
      netdevUpdateFeatures(nicB.dev);
    });
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    const found = seen.map(({ ipSummed }) => ipSummed);
    expect(found).toEqual([CHECKSUM_UNNECESSARY, CHECKSUM_NONE, CHECKSUM_NONE]);
  });
});

test('the hash goes up with the packet, and the number of its queue', () => {
  withPair(({ lan, b, nicA, nicB, adapterB, seen }) => {
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    const input = Uint8Array.of(10, 0, 0, 1, 10, 0, 0, 0xfe, 0, 0, 0, 0);
    const hash = new ToeplitzKey(adapterB.rssKey).hash(input, 0, 12);
    const queue = adapterB.rssIndirTbl[hash & 127];
    expect(seen).toEqual([{ ipSummed: CHECKSUM_UNNECESSARY, hash, queue }]);
    b.locked(() => {
      nicB.dev.wantedFeatures &= ~NETIF_F_RXHASH;
      netdevUpdateFeatures(nicB.dev);
    });
    devQueueXmit(segment(nicA.dev, bytes(500), 0, false));
    lan.pass(MS);
    expect(seen[1]).toMatchObject({ hash: 0, queue });
  });
});

test('VLAN tags are put in and taken out by the chip', () => {
  withPair(tagsAreMoved);
});

test('headers too long for a context descriptor are summed in software', () => {
  withPair(({ nicA }) => {
    const check = nicA.dev.netdevOps.ndoFeaturesCheck;
    const all = NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_GSO_UDP_L4;
    const skb = segment(nicA.dev, bytes(2000), 1000, false);
    expect(check?.(skb, nicA.dev, all)).toBe(all);
    skb.csumStart += 512;
    expect(check?.(skb, nicA.dev, all)).toBe(0);
    skb.csumStart -= 512;
    skb.networkHeader += 120;
    expect(check?.(skb, nicA.dev, all)).toBe(0);
    consumeSkb(skb);
  });
});
