import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, NetdevMachine } from '#drivers/net/testing/netdev_machine.ts';
import {
  tunAttach,
  tunChrOpen,
  tunCreate,
  tunDetach,
  tunSetIff,
  tunSetPersist,
} from '#drivers/net/tun.ts';
import { TunFile, tunDoRead, tunGetUser, tunPollMask } from '#drivers/net/tun_io.ts';
import {
  vethConnectRemote,
  vethCreatePair,
  vethReceiveRemote,
  vethRemoteLink,
} from '#drivers/net/veth.ts';
import { NETIF_F_HW_CSUM, NETIF_F_TSO } from '#include/linux/netdev_features.ts';
import {
  NET_RX_SUCCESS,
  type NetDevice,
  netifCarrierOk,
  netifQueueStopped,
  PacketType,
} from '#include/linux/netdevice.ts';
import {
  CHECKSUM_PARTIAL,
  CHECKSUM_UNNECESSARY,
  SKB_GSO_DODGY,
  SKB_GSO_TCPV4,
  type SkBuff,
} from '#include/linux/skbuff.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { fput } from '#kernel/sched/file.ts';
import { __devGetByName, devGetStats } from '#net/core/dev.ts';
import { unregisterNetdevice } from '#net/core/dev_register.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { copyNetNs, putNet } from '#net/core/net_namespace.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { EAGAIN, EBADFD, EBUSY, EEXIST, EINVAL, EIO } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { PACKET_HOST } from '#uapi/if_packet.ts';
import {
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN,
  IFF_VNET_HDR,
  TUN_F_CSUM,
  TUN_F_TSO4,
  TUNGETIFF,
  TUNSETIFF,
} from '#uapi/if_tun.ts';
import { SKB_DROP_REASON_DEV_READY, SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import { POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '#uapi/poll.ts';
import { virtioNetHdr } from '#uapi/virtio_net.ts';

let m: NetdevMachine;
let got: SkBuff[];
let pt: PacketType;

beforeEach(() => {
  m = new NetdevMachine();
  got = [];
  pt = listenOn(m, got);
});

afterEach(() => {
  for (const skb of got) consumeSkb(skb);
  devRemovePack(m.machine, pt);
  m.end();
});

function listenOn(where: NetdevMachine, list: SkBuff[]): PacketType {
  const type = new PacketType(ETH_P_IP, (skb) => {
    list.push(skb);
    return NET_RX_SUCCESS;
  });
  devAddPack(where.machine, type);
  return type;
}

function drops(): number[] {
  const seen: number[] = [];
  m.machine.trace.skb.kfreeSkb.register((_skb, _where, reason) => seen.push(reason));
  return seen;
}

function frameTo(dev: NetDevice, payload: number[]): number[] {
  return [...dev.devAddr.subarray(0, 6), 2, 0, 0, 0, 0, 9, 8, 0, ...payload];
}

function send(dev: NetDevice, bytes: number[]): number {
  const skb = m.packet(bytes);
  skb.dev = dev;
  skb.protocol = ETH_P_IP;
  return devQueueXmit(skb);
}

describe('loopback', () => {
  it('gives back what is sent, before the sender returns', () => {
    const lo = m.machine.initNet.loopbackDev as NetDevice;
    m.setUp(lo);
    send(lo, [...new Array<number>(12).fill(0), 8, 0, 1, 2, 3]);
    expect(got.map((skb) => [skb.dev?.name, skb.pktType, bytesOf(skb)])).toEqual([
      ['lo', PACKET_HOST, [1, 2, 3]],
    ]);
    const stats = devGetStats(lo);
    expect([stats.rxPackets, stats.txPackets, stats.rxBytes, stats.txBytes]).toEqual([1, 1, 3, 3]);
  });

  it('takes the packet from its sender at once', () => {
    const lo = m.machine.initNet.loopbackDev as NetDevice;
    m.setUp(lo);
    const skb = m.packet([...new Array<number>(12).fill(0), 8, 0, 1]);
    let freed = 0;
    skb.dev = lo;
    skb.sk = {} as SkBuff['sk'];
    skb.destructor = (): void => {
      freed++;
    };
    devQueueXmit(skb);
    expect([freed, got[0]?.sk]).toEqual([1, null]);
  });

  it('is one in every namespace, with index 1', () => {
    const net = copyNetNs(m.machine, 'blue');
    if (typeof net === 'number') throw new Error(`copyNetNs: ${net}`);
    expect(net.loopbackDev?.ifindex).toBe(1);
    expect(net.loopbackDev).not.toBe(m.machine.initNet.loopbackDev);
    putNet(net);
    m.settle();
  });
});

describe('veth', () => {
  function pair(): readonly [NetDevice, NetDevice] {
    const made = m.rtnl(() => {
      const net = m.machine.initNet;
      return vethCreatePair(net, 'a', net, 'b');
    });
    if (typeof made === 'number') throw new Error(`veth: ${made}`);
    return made;
  }

  it('has a carrier while both ends are up', () => {
    const [a, b] = pair();
    expect([netifCarrierOk(a), netifCarrierOk(b)]).toEqual([false, false]);
    m.setUp(a);
    expect(netifCarrierOk(a)).toBe(false);
    m.setUp(b);
    expect([netifCarrierOk(a), netifCarrierOk(b)]).toEqual([true, true]);
    m.setUp(a, false);
    expect([netifCarrierOk(a), netifCarrierOk(b)]).toEqual([false, false]);
  });

  it('carries frames to the peer, across namespaces, by reference', () => {
    const blue = copyNetNs(m.machine, 'blue');
    if (typeof blue === 'number') throw new Error(`copyNetNs: ${blue}`);
    const made = m.rtnl(() => vethCreatePair(m.machine.initNet, 'a', blue, 'b'));
    if (typeof made === 'number') throw new Error(`veth: ${made}`);
    const [a, b] = made;
    m.setUp(a);
    m.setUp(b);
    m.settle();
    const skb = m.packet(frameTo(b, [1, 2, 3]));
    const { head } = skb;
    skb.dev = a;
    skb.mark = 5;
    skb.priority = 6;
    devQueueXmit(skb);
    expect(got).toHaveLength(1);
    const seen = got[0] as SkBuff;
    expect([seen.dev, seen.pktType, seen.mark, seen.priority]).toEqual([b, PACKET_HOST, 0, 0]);
    expect(bytesOf(seen)).toEqual([1, 2, 3]);
    // Debug builds move the head at pskb_may_pull; the packet itself is the one that was sent.
    expect(seen).toBe(skb);
    expect(head).toBeGreaterThan(0);
    expect([devGetStats(a).txPackets, devGetStats(b).rxPackets, devGetStats(b).rxBytes]).toEqual([
      1, 1, 17,
    ]);
    for (const p of got.splice(0)) consumeSkb(p);
    putNet(blue);
    m.settle();
    expect(__devGetByName(m.machine.initNet, 'a')).toBeNull();
  });

  it('drops what is larger than the peer takes, and counts it on both sides', () => {
    const [a, b] = pair();
    m.setUp(a);
    m.setUp(b);
    m.settle();
    const lost = drops();
    b.mtu = 100;
    send(a, frameTo(b, new Array<number>(200).fill(1)));
    expect(lost).toEqual([SKB_DROP_REASON_NOT_SPECIFIED]);
    expect([devGetStats(a).txDropped, devGetStats(b).rxDropped]).toEqual([1, 1]);
  });

  it('goes as a pair', () => {
    const [a, b] = pair();
    m.setUp(a);
    m.setUp(b);
    m.rtnl(() => b.rtnlLinkOps?.dellink?.(b));
    m.settle();
    expect([__devGetByName(a.net, 'a'), __devGetByName(a.net, 'b')]).toEqual([null, null]);
  });

  it('reaches another machine through the world, and belongs to it then', () => {
    const other = new NetdevMachine('other');
    const theirs: SkBuff[] = [];
    const theirPt = listenOn(other, theirs);
    const wire: SkBuff[] = [];
    const ups: boolean[] = [];
    const end = m.rtnl(() =>
      vethConnectRemote(m.machine.initNet, 'eth0', {
        transmit: (skb) => wire.push(skb),
        linkChanged: (up) => ups.push(up),
      }),
    );
    const far = other.rtnl(() =>
      vethConnectRemote(other.machine.initNet, 'eth0', {
        transmit: () => {},
        linkChanged: () => {},
      }),
    );
    if (typeof end === 'number' || typeof far === 'number') throw new Error('veth');
    m.setUp(end);
    other.setUp(far);
    expect(ups).toEqual([true]);
    const lost = drops();
    send(end, frameTo(far, [9]));
    expect(lost).toHaveLength(1);
    vethRemoteLink(end, true);
    vethRemoteLink(far, true);
    m.settle();
    other.settle();
    send(end, frameTo(far, [1, 2]));
    expect([wire.length, m.machine.live.skbs]).toEqual([1, 1]);
    expect(vethReceiveRemote(far, wire[0] as SkBuff)).toBe(0);
    expect([m.machine.live.skbs, other.machine.live.skbs]).toEqual([0, 1]);
    expect(theirs.map(bytesOf)).toEqual([[1, 2]]);
    for (const skb of theirs) consumeSkb(skb);
    devRemovePack(other.machine, theirPt);
    m.setUp(end, false);
    expect(ups).toEqual([true, false]);
    other.end();
  });
});

describe('tun and tap', () => {
  const buf = new Uint8Array(70000);

  function tap(flags = IFF_TAP, offload = 0): TunFile {
    const made = tunCreate(m.machine.initNet, { name: 'tap%d', flags, offload });
    if (typeof made === 'number') throw new Error(`tun: ${made}`);
    m.setUp(made.dev as NetDevice);
    m.settle();
    return made;
  }

  it('carries frames both ways', () => {
    const tfile = tap();
    const dev = tfile.dev as NetDevice;
    expect(dev.name).toBe('tap0');
    expect(tunPollMask(tfile)).toBe(POLLOUT | POLLWRNORM);
    expect(tunDoRead(tfile, buf)).toBe(-EAGAIN);
    send(dev, frameTo(dev, [1, 2, 3]));
    expect(tunPollMask(tfile)).toBe(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
    expect(tunDoRead(tfile, buf)).toBe(17);
    expect([...buf.subarray(14, 17)]).toEqual([1, 2, 3]);
    const frame = Uint8Array.from(frameTo(dev, [4, 5, 6]));
    expect(tunGetUser(tfile, frame)).toBe(17);
    expect(got.map(bytesOf)).toEqual([[4, 5, 6]]);
    expect([dev.stats.rxPackets, dev.stats.txPackets]).toEqual([1, 1]);
    tunDetach(tfile);
    expect(__devGetByName(m.machine.initNet, 'tap0')).toBeNull();
    expect(tunDoRead(tfile, buf)).toBe(-EBADFD);
    expect(tunPollMask(tfile)).toBe(POLLERR);
  });

  it('tells the door once, when there is something where nothing was', () => {
    const tfile = tap();
    const dev = tfile.dev as NetDevice;
    let calls = 0;
    tunAttach(tfile, { readable: () => calls++ });
    send(dev, frameTo(dev, [1]));
    send(dev, frameTo(dev, [2]));
    expect(calls).toBe(1);
    tunDoRead(tfile, buf);
    tunDoRead(tfile, buf);
    send(dev, frameTo(dev, [3]));
    expect(calls).toBe(2);
    tunDetach(tfile);
  });

  it('stops its queue while the program does not read, and loses nothing', () => {
    const tfile = tap();
    const dev = tfile.dev as NetDevice;
    for (let i = 0; i < 700; i++) send(dev, frameTo(dev, [i & 255, i >> 8]));
    expect([tfile.txRing.qlen, netifQueueStopped(dev)]).toEqual([500, true]);
    const seen: number[] = [];
    while (tunDoRead(tfile, buf) > 0) seen.push((buf[14] as number) | ((buf[15] as number) << 8));
    expect(seen).toEqual(Array.from({ length: 700 }, (_, i) => i));
    expect(netifQueueStopped(dev)).toBe(false);
    tunDetach(tfile);
  });

  it('passes checksum and segmentation work to the program that takes it', () => {
    const tfile = tap(IFF_TAP | IFF_VNET_HDR, TUN_F_CSUM | TUN_F_TSO4);
    const dev = tfile.dev as NetDevice;
    expect(dev.features & (NETIF_F_HW_CSUM | NETIF_F_TSO)).toBe(NETIF_F_HW_CSUM | NETIF_F_TSO);
    const skb = m.packet(frameTo(dev, new Array<number>(3040).fill(0)));
    skb.dev = dev;
    skb.protocol = ETH_P_IP;
    skb.networkHeader = skb.data + 14;
    skb.ipSummed = CHECKSUM_PARTIAL;
    skb.csumStart = skb.data + 34;
    skb.csumOffset = 16;
    skb.transportHeader = skb.csumStart;
    skb.shinfo.gsoSize = 1000;
    skb.shinfo.gsoSegs = 3;
    skb.shinfo.gsoType = SKB_GSO_TCPV4;
    devQueueXmit(skb);
    expect(tunDoRead(tfile, buf)).toBe(12 + 14 + 3040);
    const v = new DataView(buf.buffer);
    expect([
      virtioNetHdr.flags(v, 0),
      virtioNetHdr.gsoType(v, 0),
      virtioNetHdr.gsoSize(v, 0),
      virtioNetHdr.csumStart(v, 0),
      virtioNetHdr.csumOffset(v, 0),
    ]).toEqual([1, 1, 1000, 34, 16]);
    tunDetach(tfile);
  });

  it('takes such work from the program, if it makes sense', () => {
    const tfile = tap(IFF_TAP | IFF_VNET_HDR);
    const dev = tfile.dev as NetDevice;
    const frame = (set: (v: DataView) => void, payload = 5000): Uint8Array => {
      const bytes = new Uint8Array(12 + 14 + payload);
      bytes.set(frameTo(dev, []), 12);
      bytes[26] = 0x45;
      bytes[26 + 9] = 6;
      set(new DataView(bytes.buffer));
      return bytes;
    };
    const gso = (v: DataView): void => {
      virtioNetHdr.setFlags(v, 0, 1);
      virtioNetHdr.setGsoType(v, 0, 1);
      virtioNetHdr.setGsoSize(v, 0, 1448);
      virtioNetHdr.setHdrLen(v, 0, 66);
      virtioNetHdr.setCsumStart(v, 0, 34);
      virtioNetHdr.setCsumOffset(v, 0, 16);
    };
    expect(tunGetUser(tfile, frame(gso))).toBe(5026);
    const skb = got[0] as SkBuff;
    expect([skb.ipSummed, skb.csumStart - skb.macHeader, skb.csumOffset]).toEqual([
      CHECKSUM_PARTIAL,
      34,
      16,
    ]);
    expect([skb.shinfo.gsoSize, skb.shinfo.gsoType]).toEqual([1448, SKB_GSO_TCPV4 | SKB_GSO_DODGY]);
    expect([skb.len, skb.dataLen > 0]).toEqual([5000, true]);
    // Large frames lie in fragments, by reference from here on.
    expect(
      tunGetUser(
        tfile,
        frame((v) => virtioNetHdr.setFlags(v, 0, 2)),
      ),
    ).toBe(5026);
    expect(got[1]?.ipSummed).toBe(CHECKSUM_UNNECESSARY);
    const wrong: ((v: DataView) => void)[] = [
      (v) => virtioNetHdr.setGsoType(v, 0, 9),
      (v) => virtioNetHdr.setGsoType(v, 0, 1),
      (v) => {
        gso(v);
        virtioNetHdr.setGsoSize(v, 0, 0);
      },
      (v) => {
        gso(v);
        virtioNetHdr.setCsumStart(v, 0, 60000);
      },
      (v) => {
        gso(v);
        virtioNetHdr.setCsumStart(v, 0, 10);
      },
      (v) => virtioNetHdr.setHdrLen(v, 0, 10),
      (v) => virtioNetHdr.setHdrLen(v, 0, 60000),
    ];
    for (const set of wrong) expect(tunGetUser(tfile, frame(set))).toBe(-EINVAL);
    for (const len of [0, 5, 12, 20, 25]) {
      expect(tunGetUser(tfile, frame(() => {}).subarray(0, len))).toBe(-EINVAL);
    }
    expect(got).toHaveLength(2);
    tunDetach(tfile);
  });

  it('carries bare IP packets as tun, by their version', () => {
    const made = tunCreate(m.machine.initNet, { name: 'tun%d', flags: IFF_TUN });
    if (typeof made === 'number') throw new Error(`tun: ${made}`);
    const dev = made.dev as NetDevice;
    expect(tunGetUser(made, Uint8Array.from([0x45, 1]))).toBe(-EIO);
    m.setUp(dev);
    m.settle();
    expect(tunGetUser(made, Uint8Array.from([0x45, 1, 2]))).toBe(3);
    expect(tunGetUser(made, Uint8Array.from([0x15, 1, 2]))).toBe(-EINVAL);
    expect(got.map(bytesOf)).toEqual([[0x45, 1, 2]]);
    send(dev, [0x45, 7]);
    expect([tunDoRead(made, buf), buf[1]]).toEqual([2, 7]);
    tunDetach(made);
  });

  it('is a file in the machine', () => {
    const file = tunChrOpen(m.machine.initNet, 2);
    const ifr = new Uint8Array(40);
    ifr.set([0x74, 0x37]);
    new DataView(ifr.buffer).setUint16(16, IFF_TAP, true);
    expect(file.fOp.read(file, buf)).toBe(-EBADFD);
    expect(file.fOp.ioctl(file, TUNSETIFF, ifr)).toBe(0);
    expect(file.fOp.ioctl(file, TUNSETIFF, ifr)).toBe(-EEXIST);
    expect(file.fOp.ioctl(file, TUNGETIFF, ifr)).toBe(0);
    expect(String.fromCharCode(...ifr.subarray(0, 2))).toBe('t7');
    const dev = __devGetByName(m.machine.initNet, 't7') as NetDevice;
    m.setUp(dev);
    m.settle();
    send(dev, frameTo(dev, [1]));
    // With struct tun_pi in front: flags, and the protocol in network order.
    expect(file.fOp.read(file, buf)).toBe(4 + 15);
    expect([...buf.subarray(0, 4)]).toEqual([0, 0, 8, 0]);
    expect(file.fOp.write(file, Uint8Array.from([0, 0, 8, 0, ...frameTo(dev, [5])]))).toBe(19);
    expect(got.map(bytesOf)).toEqual([[5]]);
    const second = tunChrOpen(m.machine.initNet, 2);
    expect(second.fOp.ioctl(second, TUNSETIFF, ifr)).toBe(-EBUSY);
    fput(second);
    fput(file);
    expect(__devGetByName(m.machine.initNet, 't7')).toBeNull();
  });

  it('stays when it is persistent, and loses its program when it is removed', () => {
    const tfile = tap();
    const dev = tfile.dev as NetDevice;
    tunSetPersist(tfile, true);
    tunDetach(tfile);
    expect(__devGetByName(m.machine.initNet, 'tap0')).toBe(dev);
    const lost = drops();
    m.settle();
    m.advance(2e9);
    send(dev, frameTo(dev, [1]));
    expect(lost).toHaveLength(1);
    const again = new TunFile(m.machine.initNet);
    expect(tunSetIff(again, 'tap0', IFF_TUN | IFF_NO_PI)).toBe(-EINVAL);
    expect(tunSetIff(again, 'tap0', IFF_TAP | IFF_NO_PI)).toBe(0);
    m.settle();
    send(dev, frameTo(dev, [1]));
    expect(again.txRing.qlen).toBe(1);
    rtnlLock(m.machine);
    unregisterNetdevice(dev);
    rtnlUnlock(m.machine);
    expect(tunGetUser(again, Uint8Array.from(frameTo(dev, [1])))).toBe(-EBADFD);
    expect(lost.at(-1)).not.toBe(SKB_DROP_REASON_DEV_READY);
    tunDetach(again);
  });
});
