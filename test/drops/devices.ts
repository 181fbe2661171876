/** Rows of drivers, their queues, the backlog and neighbours. */

import { tunCreate, tunDetach } from '#drivers/net/tun.ts';
import { type TunFile, tunDoRead, tunGetUser } from '#drivers/net/tun_io.ts';
import {
  IFF_NO_QUEUE,
  NETDEV_TX_OK,
  type NetDevice,
  netDeviceOps,
  netifStopQueue,
} from '#include/linux/netdevice.ts';
import { CHECKSUM_PARTIAL, SKB_GSO_TCPV4, type SkBuff, skbReserve } from '#include/linux/skbuff.ts';
import type { Neighbour, NeighTable } from '#include/net/neighbour.ts';
import type { Machine } from '#kernel/machine.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { devChangeFlags, devChangeTxQueueLen } from '#net/core/dev.ts';
import { netifRx } from '#net/core/dev_backlog.ts';
import { registerNetdev, unregisterNetdev } from '#net/core/dev_register.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { netifCarrierOff } from '#net/core/link_watch.ts';
import { __neighLookup } from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { allocSkb, skbPutZero } from '#net/core/skbuff.ts';
import { allocEtherdev } from '#net/ethernet/eth.ts';
import { ip4, ipPacket, sin } from '#net/ipv4/testing/ip_machine.ts';
import { IFF_UP } from '#uapi/if.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IFF_NO_PI, IFF_TAP, IFF_TUN, IFF_VNET_HDR } from '#uapi/if_tun.ts';
import { AF_INET, SOCK_DGRAM } from '#uapi/socket.ts';
import { type DropRow, HERE, type IpBench, onIp, PEER } from './table.ts';

/** A packet of 60 zero bytes that is to leave by `dev`. */
function packet(machine: Machine, dev: NetDevice): SkBuff {
  const skb = allocSkb(machine, 128);
  if (skb === null) throw new Error('out of packet memory');
  skbReserve(skb, 32);
  skbPutZero(skb, 60);
  skb.dev = dev;
  skb.protocol = ETH_P_IP;
  skb.networkHeader = skb.data;
  return skb;
}

/** Sends a datagram of one byte to a host on eth0's link. */
function sendTo({ m }: IpBench, addr: string): void {
  const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  m.sys.sendto(fd, Uint8Array.of(1), 0, sin(addr, 9));
  m.sys.close(fd);
}

/** A tun device that a program has opened; it is gone when `fn` returns. */
function withTun({ m }: IpBench, flags: number, fn: (tun: TunFile, dev: NetDevice) => void): void {
  const tun = tunCreate(m.net, { name: 'tun0', flags });
  if (typeof tun === 'number' || tun.dev === null) throw new Error(`tunCreate: ${String(tun)}`);
  m.up(tun.dev);
  fn(tun, tun.dev);
  tunDetach(tun);
  m.settle();
}

function arpTable({ m }: IpBench): NeighTable {
  return m.machine.netGlobals.arpTbl as NeighTable;
}

const queues: readonly DropRow[] = [
  onIp('QDISC_DROP', '__dev_xmit_skb', 'the link is down: noop_qdisc', (b) => {
    netifCarrierOff(b.eth0.dev);
    b.m.advance(1000);
    devQueueXmit(packet(b.m.machine, b.eth0.dev));
  }),
  onIp('QDISC_OVERLIMIT', '__dev_xmit_skb', 'a queue of two, and the driver has stopped', (b) => {
    const { dev } = b.eth0;
    b.m.rtnl(() => devChangeTxQueueLen(dev, 2));
    netifStopQueue(dev);
    for (let i = 0; i < 4; i++) devQueueXmit(packet(b.m.machine, dev));
  }),
  onIp('QUEUE_PURGE', 'skb_queue_purge_reason', 'the device goes down with a full queue', (b) => {
    netifStopQueue(b.eth0.dev);
    devQueueXmit(packet(b.m.machine, b.eth0.dev));
    b.m.rtnl(() => devChangeFlags(b.eth0.dev, b.eth0.dev.flags & ~IFF_UP));
  }),
  onIp('RECURSION_LIMIT', '__dev_queue_xmit', 'a device that sends by itself', (b) => {
    const xmit = (skb: SkBuff, dev: NetDevice): number => {
      skb.dev = dev;
      devQueueXmit(skb);
      return NETDEV_TX_OK;
    };
    const dev = allocEtherdev(b.m.net, netDeviceOps({ ndoStartXmit: xmit }), null);
    dev.name = 'loop0';
    dev.privFlags |= IFF_NO_QUEUE;
    registerNetdev(dev);
    b.m.up(dev);
    devQueueXmit(packet(b.m.machine, dev));
    unregisterNetdev(dev);
  }),
  onIp('SKB_GSO_SEG', 'validate_xmit_skb', 'to be segmented, of a protocol unknown', (b) => {
    const skb = packet(b.m.machine, b.eth0.dev);
    skb.protocol = 0x88b5;
    skb.macHeader = skb.data;
    skb.shinfo.gsoSize = 10;
    skb.shinfo.gsoSegs = 6;
    skb.shinfo.gsoType = SKB_GSO_TCPV4;
    devQueueXmit(skb);
  }),
  onIp('SKB_CSUM', 'validate_xmit_skb', 'a checksum to be filled in behind the end', (b) => {
    const skb = packet(b.m.machine, b.eth0.dev);
    skb.ipSummed = CHECKSUM_PARTIAL;
    skb.csumStart = skb.data + 59;
    skb.csumOffset = 16;
    devQueueXmit(skb);
  }),
];

const receiving: readonly DropRow[] = [
  onIp('CPU_BACKLOG', 'enqueue_to_backlog', 'netif_rx() faster than the CPU', (b) => {
    b.m.machine.netGlobals.netdevMaxBacklog = 1;
    localBhDisable(b.m.machine);
    for (let i = 0; i < 4; i++) netifRx(packet(b.m.machine, b.eth0.dev));
    localBhEnable(b.m.machine);
  }),
  onIp('DEV_READY', 'enqueue_to_backlog', 'netif_rx() of a device that is down', (b) => {
    b.m.rtnl(() => devChangeFlags(b.eth0.dev, b.eth0.dev.flags & ~IFF_UP));
    netifRx(packet(b.m.machine, b.eth0.dev));
  }),
  onIp('UNHANDLED_PROTO', '__netif_receive_skb_core', 'an EtherType nobody listens to', (b) => {
    const skb = packet(b.m.machine, b.eth0.dev);
    skb.protocol = 0x88b5;
    skb.macHeader = skb.data;
    localBhDisable(b.m.machine);
    netifReceiveSkb(skb);
    localBhEnable(b.m.machine);
  }),
];

const tun: readonly DropRow[] = [
  onIp('DEV_HDR', 'tun_get_user', 'a virtio header that makes no sense', (b) => {
    withTun(b, IFF_TAP | IFF_VNET_HDR, (file) => {
      const frame = new Uint8Array(12 + 60);
      frame[1] = 9;
      tunGetUser(file, frame);
    });
  }),
  onIp('INVALID_PROTO', 'tun_get_user', 'neither IPv4 nor IPv6 from a tun', (b) => {
    withTun(b, IFF_TUN | IFF_NO_PI, (file) => tunGetUser(file, Uint8Array.of(0x10, 0, 0, 0)));
  }),
  onIp('DEV_READY', 'tun_get_user', 'a packet written to a tun that is down', (b) => {
    withTun(b, IFF_TUN | IFF_NO_PI, (file, dev) => {
      b.m.rtnl(() => devChangeFlags(dev, dev.flags & ~IFF_UP));
      tunGetUser(file, ipPacket({ src: PEER, dst: HERE }));
    });
  }),
  onIp('FULL_RING', 'tun_net_xmit', 'the reader of a tun is slow and its ring shrank', (b) => {
    withTun(b, IFF_TUN | IFF_NO_PI, (_file, dev) => {
      devQueueXmit(packet(b.m.machine, dev));
      b.m.rtnl(() => devChangeTxQueueLen(dev, 1));
      devQueueXmit(packet(b.m.machine, dev));
    });
  }),
  onIp('SKB_UCOPY_FAULT', 'tun_do_read', 'a buffer that not even the header fits', (b) => {
    withTun(b, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, (file, dev) => {
      devQueueXmit(packet(b.m.machine, dev));
      tunDoRead(file, new Uint8Array(4));
    });
  }),
];

const neighbours: readonly DropRow[] = [
  onIp('NEIGH_FAILED', 'arp_error_report', 'nobody answers ARP', (b) => {
    sendTo(b, '10.0.0.77');
    for (let s = 0; s < 5; s++) b.m.advance(1000);
  }),
  onIp('NEIGH_QUEUEFULL', '__neigh_event_send', 'too many packets wait for an answer', (b) => {
    b.m.sysctl('neigh/eth0/unres_qlen_bytes', 1);
    for (let i = 0; i < 2; i++) sendTo(b, '10.0.0.77');
  }),
  onIp('NEIGH_CREATEFAIL', 'ip_finish_output2', 'the table of neighbours is full', (b) => {
    b.m.sysctl('neigh/default/gc_thresh3', 0);
    sendTo(b, '10.0.0.77');
  }),
  onIp('NEIGH_DEAD', 'neigh_blackhole', 'the entry went while somebody held it', (b) => {
    const { dev } = b.eth0;
    const neigh = __neighLookup(arpTable(b), ip4('10.0.0.77'), dev, true) as Neighbour;
    b.m.rtnl(() => devChangeFlags(dev, dev.flags & ~IFF_UP));
    neigh.output(neigh, packet(b.m.machine, dev));
    neighRelease(neigh);
  }),
  onIp('NEIGH_HH_FILLFAIL', 'neigh_resolve_output', 'the driver cannot write the header', (b) => {
    const { headerOps } = b.eth0.dev;
    if (headerOps === null) throw new Error('no header_ops');
    b.eth0.dev.headerOps = { ...headerOps, cache: null, create: () => -1 };
    sendTo(b, PEER);
  }),
];

export const deviceRows: readonly DropRow[] = [...queues, ...receiving, ...tun, ...neighbours];
