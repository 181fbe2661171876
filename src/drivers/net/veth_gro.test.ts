import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { vethCreatePair } from '#drivers/net/veth.ts';
import {
  NETIF_F_ALL_TSO,
  NETIF_F_GRO,
  NETIF_F_GRO_UDP_FWD,
} from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { mem } from '#mm/memory.ts';
import { devChangeFlags } from '#net/core/dev.ts';
import { netdevUpdateFeatures, unregisterNetdeviceMany } from '#net/core/dev_register.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { allocSkb, skbPut } from '#net/core/skbuff.ts';
import { IpMachine, int32, ipPacket, sin, udpBytes } from '#net/ipv4/testing/ip_machine.ts';
import { EAGAIN } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { SKB_DROP_REASON_FULL_RING } from '#uapi/net_dropreason.ts';
import { AF_INET, SOCK_DGRAM, SOL_UDP } from '#uapi/socket.ts';
import { UDP_GRO } from '#uapi/udp.ts';

let m: IpMachine;
let v0: NetDevice;
let v1: NetDevice;
let polls: number[];

beforeEach(() => {
  m = new IpMachine();
  const pair = m.rtnl(() => vethCreatePair(m.net, 'v0', m.net, 'v1'));
  if (typeof pair === 'number') throw new Error(`veth: ${pair}`);
  [v0, v1] = pair;
  polls = [];
  m.machine.trace.napi.napiPoll.register((napi, work) => {
    if (napi.dev === v1) polls.push(work);
  });
});

afterEach(() => {
  m.rtnl(() => unregisterNetdeviceMany([v0, v1]));
  m.settle();
  m.end();
});

function features(dev: NetDevice, on: number, off: number): void {
  m.rtnl(() => {
    dev.wantedFeatures = (dev.wantedFeatures | on) & ~off;
    netdevUpdateFeatures(dev);
  });
}

function up(): number {
  for (const dev of [v0, v1]) m.up(dev);
  m.address(v1, '10.5.0.1', 24);
  m.settle();
  const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(m.sys.bind(fd, sin('0.0.0.0', 9))).toBe(0);
  expect(m.sys.setsockopt(fd, SOL_UDP, UDP_GRO, int32(1))).toBe(0);
  return fd;
}

/** Sends a datagram of 100 octets out of v0, to v1. */
function send(id: number): void {
  const payload = udpBytes('10.5.0.2', '10.5.0.1', 5, 9, new Uint8Array(100).fill(id));
  const ip = ipPacket({ src: '10.5.0.2', dst: '10.5.0.1', id, payload });
  const skb = allocSkb(m.machine, ip.length + 14 + 64);
  if (skb === null) throw new Error('out of packet memory');
  skb.data += 64;
  skb.tail += 64;
  const at = skbPut(skb, ip.length + 14);
  mem.set([...v1.devAddr.subarray(0, 6), 2, 0, 0, 0, 0, 99, 8, 0], at);
  mem.set(ip, at + 14);
  skb.dev = v0;
  skb.protocol = ETH_P_IP;
  skb.networkHeader = at + 14;
  devQueueXmit(skb);
}

/** Octets of each read. */
function reads(fd: number): number[] {
  const out: number[] = [];
  for (;;) {
    const n = m.sys.recvfrom(fd, new Uint8Array(65536), 0, null);
    if (n === -EAGAIN) return out;
    out.push(n);
  }
}

/** All at once: the soft interrupt waits until they have been sent. */
function burst(count: number): void {
  m.machine.cpu.bhDisableCount++;
  for (let id = 1; id <= count; id++) send(id);
  m.machine.cpu.bhDisableCount--;
  m.settle();
}

describe('veth with receive offload', () => {
  it('does not poll by default', () => {
    const fd = up();
    burst(3);
    expect([reads(fd), polls, v1.napiList.length]).toEqual([[100, 100, 100], [], 0]);
  });

  it('polls what a sender without segmentation offload has sent, and merges it', () => {
    features(v1, NETIF_F_GRO, 0);
    features(v0, 0, NETIF_F_ALL_TSO);
    const fd = up();
    burst(5);
    expect([reads(fd), polls]).toEqual([[500], [5]]);
  });

  it('leaves packets of other senders to the backlog, but not datagrams to be forwarded', () => {
    features(v1, NETIF_F_GRO, 0);
    const fd = up();
    burst(2);
    expect([reads(fd), polls]).toEqual([[100, 100], []]);
    features(v1, NETIF_F_GRO_UDP_FWD, 0);
    burst(2);
    // These have no socket that was charged for them.
    expect([reads(fd), polls]).toEqual([[100, 100], []]);
  });

  it('begins and ends while the device is up', () => {
    features(v0, 0, NETIF_F_ALL_TSO);
    const fd = up();
    features(v1, NETIF_F_GRO, 0);
    expect(v1.napiList).toHaveLength(1);
    burst(2);
    expect(reads(fd)).toEqual([200]);
    features(v1, 0, NETIF_F_GRO);
    expect(v1.napiList).toHaveLength(0);
    burst(2);
    expect(reads(fd)).toEqual([100, 100]);
  });

  it('drops what does not fit on its ring, and what waits when it goes down', () => {
    features(v1, NETIF_F_GRO, 0);
    features(v0, 0, NETIF_F_ALL_TSO);
    expect(m.net.sysctl.write('net.core.rmem_default', '1000000')).toBe(0);
    const fd = up();
    m.drops();
    burst(300);
    expect(m.drops().filter((reason) => reason === SKB_DROP_REASON_FULL_RING)).toHaveLength(44);
    expect(reads(fd).reduce((a, b) => a + b)).toBe(256 * 100);
    m.machine.cpu.bhDisableCount++;
    send(1);
    m.machine.cpu.bhDisableCount--;
    m.rtnl(() => devChangeFlags(v1, v1.flags & ~IFF_UP));
    m.settle();
    expect(v1.napiList).toHaveLength(0);
  });
});
