/** Options of packet sockets, and the modes they ask of devices. Counterpart of that part of net/packet/af_packet.c. */
import type { Socket } from '#include/linux/net.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { Sock } from '#include/net/sock.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { __devGetByIndex, devSetAllmulti, devSetPromiscuity } from '#net/core/dev.ts';
import { devMcAdd, devMcDel, devUcAdd, devUcDel } from '#net/core/dev_addr_lists.ts';
import { type PacketMclist, type PacketSock, pktSk } from '#net/packet/internal.ts';
import { EADDRNOTAVAIL, EINVAL, ENODEV, ENOPROTOOPT } from '#uapi/errno.ts';
import {
  PACKET_ADD_MEMBERSHIP,
  PACKET_AUXDATA,
  PACKET_DROP_MEMBERSHIP,
  PACKET_IGNORE_OUTGOING,
  PACKET_MR_ALLMULTI,
  PACKET_MR_MULTICAST,
  PACKET_MR_PROMISC,
  PACKET_MR_UNICAST,
  PACKET_ORIGDEV,
  PACKET_STATISTICS,
  packetMreq,
  tpacketStats,
} from '#uapi/if_packet.ts';
import { SOL_PACKET } from '#uapi/socket.ts';

function viewOf(buf: Uint8Array): DataView {
  return new DataView(buf.buffer, buf.byteOffset, buf.length);
}

/** Asks a mode of the device, or gives it back. @kernel packet_dev_mc net/packet/af_packet.c */
function packetDevMc(dev: NetDevice, type: number, addr: Uint8Array, what: number): number {
  switch (type) {
    case PACKET_MR_MULTICAST:
      if (addr.length !== dev.addrLen) return -EINVAL;
      return what > 0 ? devMcAdd(dev, addr) : devMcDel(dev, addr);
    case PACKET_MR_UNICAST:
      if (addr.length !== dev.addrLen) return -EINVAL;
      return what > 0 ? devUcAdd(dev, addr) : devUcDel(dev, addr);
    case PACKET_MR_PROMISC:
      return devSetPromiscuity(dev, what);
    case PACKET_MR_ALLMULTI:
      return devSetAllmulti(dev, what);
    default:
      return 0;
  }
}

function sameAddr(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function findMembership(po: PacketSock, mreq: Uint8Array): PacketMclist | undefined {
  const v = viewOf(mreq);
  const addr = addressOf(mreq);
  return po.mclist.find(
    (ml) =>
      ml.ifindex === packetMreq.ifindex(v, 0) &&
      ml.type === packetMreq.type(v, 0) &&
      sameAddr(ml.addr, addr),
  );
}

function addressOf(mreq: Uint8Array): Uint8Array {
  const alen = packetMreq.alen(viewOf(mreq), 0);
  return mreq.slice(packetMreq.ADDRESS, packetMreq.ADDRESS + alen);
}

/** @kernel packet_mc_add net/packet/af_packet.c */
function packetMcAdd(po: PacketSock, mreq: Uint8Array): number {
  const v = viewOf(mreq);
  const dev = __devGetByIndex(po.net, packetMreq.ifindex(v, 0));
  if (dev === null) return -ENODEV;
  if (packetMreq.alen(v, 0) > dev.addrLen) return -EINVAL;
  const known = findMembership(po, mreq);
  if (known !== undefined) {
    known.count++;
    return 0;
  }
  const addr = addressOf(mreq);
  const type = packetMreq.type(v, 0);
  const err = packetDevMc(dev, type, addr, 1);
  if (err !== 0) return err;
  po.mclist.push({ ifindex: dev.ifindex, type, addr, count: 1 });
  return 0;
}

/** @kernel packet_mc_drop net/packet/af_packet.c */
function packetMcDrop(po: PacketSock, mreq: Uint8Array): number {
  const known = findMembership(po, mreq);
  if (known === undefined) return -EADDRNOTAVAIL;
  if (--known.count > 0) return 0;
  po.mclist.splice(po.mclist.indexOf(known), 1);
  const dev = __devGetByIndex(po.net, known.ifindex);
  if (dev !== null) packetDevMc(dev, known.type, known.addr, -1);
  return 0;
}

/** Gives back everything that the socket asked of devices. @kernel packet_flush_mclist net/packet/af_packet.c */
export function packetFlushMclist(po: PacketSock): void {
  if (po.mclist.length === 0) return;
  const { machine } = po.net;
  rtnlLock(machine);
  for (const ml of po.mclist.splice(0)) {
    const dev = __devGetByIndex(po.net, ml.ifindex);
    if (dev !== null) packetDevMc(dev, ml.type, ml.addr, -1);
  }
  rtnlUnlock(machine);
}

/** The device goes: its memberships go with it. @kernel packet_dev_mclist_delete net/packet/af_packet.c */
export function packetDevMclistDelete(po: PacketSock, dev: NetDevice): void {
  for (const ml of [...po.mclist]) {
    if (ml.ifindex !== dev.ifindex) continue;
    packetDevMc(dev, ml.type, ml.addr, -1);
    po.mclist.splice(po.mclist.indexOf(ml), 1);
  }
}

function setMembership(po: PacketSock, optname: number, optval: Uint8Array): number {
  if (optval.length < packetMreq.LEN) return -EINVAL;
  const alen = packetMreq.alen(viewOf(optval), 0);
  if (optval.length < packetMreq.ADDRESS + alen) return -EINVAL;
  rtnlLock(po.net.machine);
  const err =
    optname === PACKET_ADD_MEMBERSHIP ? packetMcAdd(po, optval) : packetMcDrop(po, optval);
  rtnlUnlock(po.net.machine);
  return err;
}

/** @kernel packet_setsockopt net/packet/af_packet.c */
export function packetSetsockopt(
  sock: Socket,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const po = pktSk(sock.sk as Sock);
  if (level !== SOL_PACKET) return -ENOPROTOOPT;
  if (optname === PACKET_ADD_MEMBERSHIP || optname === PACKET_DROP_MEMBERSHIP) {
    return setMembership(po, optname, optval);
  }
  if (optval.length < 4) return -EINVAL;
  const val = viewOf(optval).getInt32(0, true);
  switch (optname) {
    case PACKET_AUXDATA:
      po.auxdata = val !== 0;
      return 0;
    case PACKET_ORIGDEV:
      po.origdev = val !== 0;
      return 0;
    case PACKET_IGNORE_OUTGOING:
      if (val < 0 || val > 1) return -EINVAL;
      po.ignoreOutgoing = val !== 0;
      if (po.hook !== null) po.hook.ignoreOutgoing = po.ignoreOutgoing;
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

/** Counts since the last reading: seen, and dropped for want of room. */
function statistics(po: PacketSock, optval: Uint8Array): number {
  const value = new Uint8Array(tpacketStats.LEN);
  const v = viewOf(value);
  // As in Linux, what was dropped was seen too.
  tpacketStats.setPackets(v, 0, po.tpPackets + po.tpDrops);
  tpacketStats.setDrops(v, 0, po.tpDrops);
  po.tpPackets = 0;
  po.tpDrops = 0;
  return give(optval, value);
}

function give(optval: Uint8Array, value: Uint8Array): number {
  const len = Math.min(optval.length, value.length);
  optval.set(value.subarray(0, len));
  return len;
}

/** @kernel packet_getsockopt net/packet/af_packet.c */
export function packetGetsockopt(
  sock: Socket,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const po = pktSk(sock.sk as Sock);
  if (level !== SOL_PACKET) return -ENOPROTOOPT;
  const word = (on: boolean): number => {
    const value = new Uint8Array(4);
    value[0] = on ? 1 : 0;
    return give(optval, value);
  };
  switch (optname) {
    case PACKET_STATISTICS:
      return statistics(po, optval);
    case PACKET_AUXDATA:
      return word(po.auxdata);
    case PACKET_ORIGDEV:
      return word(po.origdev);
    case PACKET_IGNORE_OUTGOING:
      return word(po.ignoreOutgoing);
    default:
      return -ENOPROTOOPT;
  }
}
