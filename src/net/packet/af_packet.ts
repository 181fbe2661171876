/**
 * Packet sockets: frames as they are on the wire, in both directions. What tcpdump uses.
 *
 * Counterpart of net/packet/af_packet.c without its rings, fan-out and virtio headers: SOCK_RAW
 * with the link header, SOCK_DGRAM without it. Sending is in af_packet_snd.ts, options in
 * af_packet_options.ts.
 */

import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Msghdr, NetProtoFamily, ProtoOps, Socket } from '#include/linux/net.ts';
import {
  devParseHeader,
  NETDEV_DOWN,
  NETDEV_UNREGISTER,
  NETDEV_UP,
  type NetDevice,
  PacketType,
} from '#include/linux/netdevice.ts';
import {
  __skbPull,
  __skbPush,
  CHECKSUM_COMPLETE,
  CHECKSUM_PARTIAL,
  type SkBuff,
  skbClearDeliveryTime,
  skbMacHeaderWasSet,
  skbNetworkOffset,
  skbShared,
} from '#include/linux/skbuff.ts';
import { __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { skbDstDrop } from '#include/net/dst.ts';
import type { Net, PernetOperations } from '#include/net/net_namespace.ts';
import { type Proto, SOCK_DEAD, type Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { NOTIFY_DONE } from '#kernel/notifier.ts';
import {
  datagramPoll,
  skbCopyDatagramMsg,
  skbFreeDatagram,
  skbRecvDatagram,
} from '#net/core/datagram.ts';
import { __devGetByIndex, registerNetdeviceNotifier } from '#net/core/dev.ts';
import { devAddPack, devRemovePack } from '#net/core/dev_rx.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { putCmsg, sockRecvCmsgs } from '#net/core/scm.ts';
import { __skbQueuePurge, consumeSkb, kfreeSkb, skbClone } from '#net/core/skbuff.ts';
import { skbCsumUnnecessary } from '#net/core/skbuff_checksum.ts';
import { pskbTrim } from '#net/core/skbuff_copy.ts';
import {
  __sockPut,
  lockSock,
  releaseSock,
  skAlloc,
  skbSetOwnerR,
  skRmemAllocGet,
  skWmemAllocGet,
  sockFlag,
  sockHold,
  sockInitData,
  sockOrphan,
  sockProtInuseAdd,
  sockPut,
} from '#net/core/sock.ts';
import {
  protoNothing,
  protoRegister,
  sockNoAccept,
  sockNoConnect,
  sockNoListen,
  sockNoShutdown,
  sockNoSocketpair,
} from '#net/core/sock_proto.ts';
import {
  packetDevMclistDelete,
  packetFlushMclist,
  packetGetsockopt,
  packetSetsockopt,
} from '#net/packet/af_packet_options.ts';
import { packetSendmsg } from '#net/packet/af_packet_snd.ts';
import { PacketSkbCb, PacketSock, packetSkbCb, pktSk } from '#net/packet/internal.ts';
import { sockRegister } from '#net/socket.ts';
import { procCreateNet, removeProcEntry } from '#net/sysctl_net.ts';
import { EINVAL, ENETDOWN, ENODEV, ENOIOCTLCMD, EOPNOTSUPP, ESOCKTNOSUPPORT } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import {
  PACKET_AUXDATA,
  PACKET_LOOPBACK,
  PACKET_OUTGOING,
  sockaddrLl,
  TP_STATUS_CSUM_VALID,
  TP_STATUS_CSUMNOTREADY,
  TP_STATUS_USER,
  TP_STATUS_VLAN_TPID_VALID,
  TP_STATUS_VLAN_VALID,
  tpacketAuxdata,
} from '#uapi/if_packet.ts';
import { SKB_DROP_REASON_PACKET_SOCK_ERROR } from '#uapi/net_dropreason.ts';
import {
  AF_PACKET,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_TRUNC,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_PACKET,
} from '#uapi/socket.ts';
import { SIOCINQ, SIOCOUTQ } from '#uapi/sockios.ts';

function viewOf(buf: Uint8Array): DataView {
  return new DataView(buf.buffer, buf.byteOffset, buf.length);
}

// Receiving.

/** Starts to receive. @kernel __register_prot_hook net/packet/af_packet.c */
function registerProtHook(po: PacketSock): void {
  if (po.running || po.hook === null) return;
  devAddPack(po.net.machine, po.hook);
  sockHold(po);
  po.running = true;
}

/** @kernel unregister_prot_hook net/packet/af_packet.c */
function unregisterProtHook(po: PacketSock): void {
  if (!po.running || po.hook === null) return;
  po.running = false;
  devRemovePack(po.net.machine, po.hook);
  __sockPut(po);
}

/** A socket must not hear what it has sent itself. @kernel match_fanout_group net/packet/af_packet.c */
function isOwn(pt: PacketType, sk: object): boolean {
  return pt.afPacketPriv === sk;
}

function makeHook(po: PacketSock, dev: NetDevice | null): PacketType {
  const hook = new PacketType(po.num, packetRcv, dev, po.net, isOwn);
  hook.afPacketPriv = po;
  hook.ignoreOutgoing = po.ignoreOutgoing;
  return hook;
}

/** Brings the packet's data to what this type of socket sees. */
function showHeader(po: PacketSock, skb: SkBuff, dev: NetDevice): void {
  if (dev.headerOps === null) return;
  if (po.skType !== SOCK_DGRAM) {
    if (skbMacHeaderWasSet(skb)) __skbPush(skb, skb.data - skb.macHeader);
  } else if (skb.pktType === PACKET_OUTGOING) {
    // Outgoing packets have their link header before the data already.
    __skbPull(skb, skbNetworkOffset(skb));
  }
}

/** Queues the packet, of which `snaplen` bytes are wanted; false: no room or no memory. */
function packetQueue(
  po: PacketSock,
  skb: SkBuff,
  dev: NetDevice,
  origDev: NetDevice,
  snaplen: number,
): boolean {
  const addr = new Uint8Array(8);
  const halen = Math.min(devParseHeader(skb, addr), addr.length);
  skb.cbRef = new PacketSkbCb(
    skb.len,
    po.origdev ? origDev.ifindex : dev.ifindex,
    dev.type,
    skb.pktType,
    addr.subarray(0, halen),
  );
  if (pskbTrim(skb, snaplen) !== 0) return false;
  skbSetOwnerR(skb, po);
  skb.dev = null;
  skbDstDrop(skb);
  po.tpPackets++;
  skb.cb0 = po.skDrops;
  skbClearDeliveryTime(skb);
  __skbQueueTail(po.skReceiveQueue, skb);
  if (!sockFlag(po, SOCK_DEAD)) po.skDataReady(po);
  return true;
}

/**
 * A frame comes by. It may be shared with other receivers: then it is put back as it was found, and
 * a clone is queued.
 * @kernel packet_rcv net/packet/af_packet.c
 */
function packetRcv(skb: SkBuff, dev: NetDevice, pt: PacketType, origDev: NetDevice): number {
  const po = pt.afPacketPriv as PacketSock;
  if (skb.pktType === PACKET_LOOPBACK || dev.net !== po.net) {
    consumeSkb(skb, 'packet_rcv');
    return 0;
  }
  const { data, len } = skb;
  skb.dev = dev;
  showHeader(po, skb, dev);
  const res = po.skFilter === null ? skb.len : po.skFilter.run(skb);
  const full = po.skRmemAlloc >= po.skRcvbuf;
  if (res === 0 || full) {
    restoreHeader(skb, data, len);
    if (res !== 0) {
      po.tpDrops++;
      po.skDrops++;
      kfreeSkb(skb, SKB_DROP_REASON_PACKET_SOCK_ERROR, 'packet_rcv');
    } else {
      consumeSkb(skb, 'packet_rcv');
    }
    return 0;
  }
  let mine = skb;
  if (skbShared(skb)) {
    mine = skbClone(skb);
    restoreHeader(skb, data, len);
    consumeSkb(skb, 'packet_rcv');
  }
  if (!packetQueue(po, mine, dev, origDev, Math.min(res, mine.len))) {
    po.tpDrops++;
    po.skDrops++;
    kfreeSkb(mine, SKB_DROP_REASON_PACKET_SOCK_ERROR, 'packet_rcv');
  }
  return 0;
}

/** Other receivers find the packet as it was. */
function restoreHeader(skb: SkBuff, data: number, len: number): void {
  if (skb.data !== data && skbShared(skb)) {
    skb.data = data;
    skb.len = len;
  }
}

/** What the head knew of the packet. */
function putAuxdata(msg: Msghdr, skb: SkBuff): void {
  const aux = new Uint8Array(tpacketAuxdata.LEN);
  const v = viewOf(aux);
  const cb = packetSkbCb(skb);
  let status = TP_STATUS_USER;
  if (skb.ipSummed === CHECKSUM_PARTIAL) status |= TP_STATUS_CSUMNOTREADY;
  else if (
    cb.pkttype !== PACKET_OUTGOING &&
    (skb.ipSummed === CHECKSUM_COMPLETE || skbCsumUnnecessary(skb))
  ) {
    status |= TP_STATUS_CSUM_VALID;
  }
  tpacketAuxdata.setLen(v, 0, cb.origlen);
  tpacketAuxdata.setSnaplen(v, 0, skb.len);
  tpacketAuxdata.setNet(v, 0, skbNetworkOffset(skb));
  if (skb.vlanPresent) {
    tpacketAuxdata.setVlanTci(v, 0, skb.vlanTci);
    tpacketAuxdata.setVlanTpid(v, 0, skb.vlanProto);
    status |= TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
  }
  tpacketAuxdata.setStatus(v, 0, status);
  putCmsg(msg, SOL_PACKET, PACKET_AUXDATA, aux);
}

function fillName(msg: Msghdr, name: Uint8Array, skb: SkBuff): void {
  const cb = packetSkbCb(skb);
  const v = viewOf(name);
  name.fill(0, 0, sockaddrLl.LEN);
  sockaddrLl.setFamily(v, 0, AF_PACKET);
  sockaddrLl.setProtocol(v, 0, skb.protocol);
  sockaddrLl.setIfindex(v, 0, cb.ifindex);
  sockaddrLl.setHatype(v, 0, cb.hatype);
  sockaddrLl.setPkttype(v, 0, cb.pkttype);
  sockaddrLl.setHalen(v, 0, cb.addr.length);
  name.set(cb.addr, sockaddrLl.ADDR);
  msg.msgNamelen = sockaddrLl.LEN;
}

/** @kernel packet_recvmsg net/packet/af_packet.c */
function packetRecvmsg(sock: Socket, msg: Msghdr, len: number, flags: number): number {
  const po = pktSk(sock.sk as Sock);
  if ((flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC)) !== 0) return -EINVAL;
  const skb = skbRecvDatagram(po, flags);
  if (typeof skb === 'number') return skb;
  let copied = skb.len;
  if (copied > len) {
    copied = len;
    msg.msgFlags |= MSG_TRUNC;
  }
  const err = skbCopyDatagramMsg(skb, 0, msg, copied);
  if (err === 0) {
    if (msg.msgName !== null) fillName(msg, msg.msgName, skb);
    sockRecvCmsgs(msg, po, skb);
    if (po.auxdata) putAuxdata(msg, skb);
  }
  const result = err !== 0 ? err : (flags & MSG_TRUNC) !== 0 ? skb.len : copied;
  skbFreeDatagram(po, skb, 'packet_recvmsg');
  return result;
}

// Names.

/** Listens to a protocol on an interface, instead of what it did before. @kernel packet_do_bind net/packet/af_packet.c */
function packetDoBind(po: PacketSock, ifindex: number, protocol: number): number {
  let dev: NetDevice | null = null;
  if (ifindex !== 0) {
    dev = __devGetByIndex(po.net, ifindex);
    if (dev === null) return -ENODEV;
  }
  lockSock(po);
  if (po.hook === null || po.hook.type !== protocol || po.hook.dev !== dev) {
    unregisterProtHook(po);
    po.num = protocol;
    po.ifindex = dev === null ? 0 : dev.ifindex;
    po.hook = makeHook(po, dev);
    if (protocol !== 0) {
      if (dev === null || (dev.flags & IFF_UP) !== 0) registerProtHook(po);
      else {
        po.skErr = ENETDOWN;
        po.skErrorReport(po);
      }
    }
  }
  releaseSock(po);
  return 0;
}

/** @kernel packet_bind net/packet/af_packet.c */
function packetBind(sock: Socket, addr: Uint8Array): number {
  const po = pktSk(sock.sk as Sock);
  const v = viewOf(addr);
  if (addr.length < sockaddrLl.LEN || sockaddrLl.family(v, 0) !== AF_PACKET) return -EINVAL;
  const protocol = sockaddrLl.protocol(v, 0);
  return packetDoBind(po, sockaddrLl.ifindex(v, 0), protocol !== 0 ? protocol : po.num);
}

/** @kernel packet_getname net/packet/af_packet.c */
function packetGetname(sock: Socket, addr: Uint8Array, peer: number): number {
  if (peer !== 0) return -EOPNOTSUPP;
  const po = pktSk(sock.sk as Sock);
  const v = viewOf(addr);
  addr.fill(0, 0, sockaddrLl.ADDR);
  sockaddrLl.setFamily(v, 0, AF_PACKET);
  sockaddrLl.setProtocol(v, 0, po.num);
  sockaddrLl.setIfindex(v, 0, po.ifindex);
  const dev = __devGetByIndex(po.net, po.ifindex);
  if (dev === null) return sockaddrLl.ADDR;
  sockaddrLl.setHatype(v, 0, dev.type);
  sockaddrLl.setHalen(v, 0, dev.addrLen);
  addr.set(dev.devAddr.subarray(0, dev.addrLen), sockaddrLl.ADDR);
  return sockaddrLl.ADDR + dev.addrLen;
}

/** @kernel packet_ioctl net/packet/af_packet.c */
function packetIoctl(sock: Socket, cmd: number, arg: Uint8Array): number {
  const sk = sock.sk as Sock;
  let value = 0;
  if (cmd === SIOCOUTQ) value = skWmemAllocGet(sk);
  else if (cmd === SIOCINQ) value = sk.skReceiveQueue.next?.len ?? 0;
  else return -ENOIOCTLCMD;
  if (arg.length < 4) return -EINVAL;
  viewOf(arg).setInt32(0, value, true);
  return 0;
}

/** @kernel packet_release net/packet/af_packet.c */
function packetRelease(sock: Socket): number {
  const { sk } = sock;
  if (sk === null) return 0;
  const po = pktSk(sk);
  const list = po.net.packetSklist;
  list.splice(list.indexOf(po), 1);
  sockProtInuseAdd(po.net, packetProto, -1);
  unregisterProtHook(po);
  packetFlushMclist(po);
  sockOrphan(po);
  sock.sk = null;
  __skbQueuePurge(po.skReceiveQueue);
  if (!po.skErrorQueueEmpty) __skbQueuePurge(po.skErrorQueue);
  sockPut(po);
  return 0;
}

/** @kernel packet_ops net/packet/af_packet.c */
const packetOps: ProtoOps = {
  family: AF_PACKET,
  release: packetRelease,
  bind: packetBind,
  connect: sockNoConnect,
  socketpair: sockNoSocketpair,
  accept: sockNoAccept,
  getname: packetGetname,
  poll: datagramPoll,
  ioctl: packetIoctl,
  listen: sockNoListen,
  shutdown: sockNoShutdown,
  setsockopt: packetSetsockopt,
  getsockopt: packetGetsockopt,
  spliceRead: null,
  setPeekOff: null,
  setRcvlowat: null,
  sendmsg: packetSendmsg,
  recvmsg: packetRecvmsg,
};

/** @kernel packet_proto net/packet/af_packet.c */
const packetProto: Proto = {
  ...protoNothing,
  name: 'PACKET',
  alloc: (net, family, prot) => new PacketSock(net, family, prot),
};

/** The protocol is in network order, "weird, but documented". @kernel packet_create net/packet/af_packet.c */
function packetCreate(net: Net, sock: Socket, protocol: number, kern: boolean): number {
  if (sock.type !== SOCK_DGRAM && sock.type !== SOCK_RAW) return -ESOCKTNOSUPPORT;
  sock.ops = packetOps;
  const po = pktSk(skAlloc(net, AF_PACKET, packetProto, kern));
  sockInitData(sock, po);
  po.num = ((protocol & 0xff) << 8) | ((protocol >> 8) & 0xff);
  po.hook = makeHook(po, null);
  if (po.num !== 0) registerProtHook(po);
  net.packetSklist.push(po);
  sockProtInuseAdd(net, packetProto, 1);
  return 0;
}

/** @kernel packet_family_ops net/packet/af_packet.c */
const packetFamilyOps: NetProtoFamily = { family: AF_PACKET, create: packetCreate };

function deviceGone(po: PacketSock, dev: NetDevice, event: number): void {
  if (event === NETDEV_UNREGISTER) packetDevMclistDelete(po, dev);
  if (dev.ifindex !== po.ifindex) return;
  if (po.running) {
    unregisterProtHook(po);
    po.skErr = ENETDOWN;
    if (!sockFlag(po, SOCK_DEAD)) po.skErrorReport(po);
  }
  if (event === NETDEV_UNREGISTER) {
    po.ifindex = -1;
    if (po.hook !== null) po.hook.dev = null;
  }
}

/** Sockets bound to a device follow its fate. @kernel packet_notifier net/packet/af_packet.c */
function packetNotifier(event: number, dev: NetDevice): number {
  for (const sk of dev.net.packetSklist) {
    const po = pktSk(sk);
    if (event === NETDEV_UNREGISTER || event === NETDEV_DOWN) deviceGone(po, dev, event);
    else if (event === NETDEV_UP && dev.ifindex === po.ifindex && po.num !== 0)
      registerProtHook(po);
  }
  return NOTIFY_DONE;
}

/** Text of /proc/net/packet. @kernel packet_seq_show net/packet/af_packet.c */
function packetSeqShow(net: Net): string {
  const rows = net.packetSklist.map((sk) => {
    const po = pktSk(sk);
    const left = (value: number, width: number): string => String(value).padEnd(width);
    return (
      `${'0'.repeat(16)} ${left(po.refcnt, 6)} ${left(po.skType, 4)} ` +
      `${po.num.toString(16).padStart(4, '0')}   ${left(po.ifindex, 5)} ${po.running ? 1 : 0} ` +
      `${left(skRmemAllocGet(po), 6)} ${left(po.skUid, 6)} ${left(po.skIno, 6)}\n`
    );
  });
  return `sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n${rows.join('')}`;
}

const packetNetOps: PernetOperations = {
  name: 'packet',
  init(net: Net): number {
    procCreateNet(net, 'packet', packetSeqShow);
    return 0;
  },
  exit: (net) => removeProcEntry(net, 'packet'),
};

/** @kernel packet_init net/packet/af_packet.c */
export function packetInit(machine: Machine): number {
  const err =
    registerPernetSubsys(machine, packetNetOps) ||
    registerNetdeviceNotifier(machine, { call: packetNotifier, priority: 0 }) ||
    protoRegister(machine, packetProto);
  return err !== 0 ? err : sockRegister(machine, packetFamilyOps);
}

export const packetModule: KernelModule = {
  name: 'af_packet',
  config: 'CONFIG_PACKET',
  depends: [],
  level: DEVICE_INITCALL,
  init: packetInit,
  exit: null,
};
