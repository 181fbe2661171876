/** AF_PACKET sockets for NETLINK_SOCK_DIAG. Counterpart: net/packet/diag.c. */
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
import { skGetFilter } from '#net/core/filter_sock.ts';
import { sockDiagPutMeminfo, sockDiagRegister, sockDiagSaveCookie } from '#net/core/sock_diag.ts';
import { netlinkDumpStart } from '#net/netlink/af_netlink.ts';
import {
  nlaPut,
  nlaPutU32,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgFlags,
  nlmsgPut,
} from '#net/netlink/nlattr.ts';
import { type PacketSock, pktSk } from '#net/packet/internal.ts';
import { EINVAL, EMSGSIZE, EOPNOTSUPP } from '#uapi/errno.ts';
import { sockFilter } from '#uapi/filter.ts';
import { NLM_F_DUMP, NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  PACKET_DIAG_FILTER,
  PACKET_DIAG_INFO,
  PACKET_DIAG_MCLIST,
  PACKET_DIAG_MEMINFO,
  PACKET_DIAG_UID,
  PACKET_SHOW_FILTER,
  PACKET_SHOW_INFO,
  PACKET_SHOW_MCLIST,
  PACKET_SHOW_MEMINFO,
  PDI_AUXDATA,
  PDI_ORIGDEV,
  PDI_RUNNING,
  packetDiagMsg,
  packetDiagReq,
  SOCK_DIAG_BY_FAMILY,
} from '#uapi/sock_diag.ts';
import { AF_PACKET } from '#uapi/socket.ts';

/** struct packet_diag_info: index, version, reserve, copy_thresh, tstamp, flags. @kernel pdiag_put_info net/packet/diag.c */
function info(po: PacketSock): Uint8Array {
  const out = new Uint8Array(24);
  const v = new DataView(out.buffer);
  let flags = 0;
  if (po.running) flags |= PDI_RUNNING;
  if (po.auxdata) flags |= PDI_AUXDATA;
  if (po.origdev) flags |= PDI_ORIGDEV;
  v.setUint32(0, po.ifindex, true);
  v.setUint32(20, flags, true);
  return out;
}

/** struct packet_diag_mclist: index, count, type, length of the address, and room for it. */
const MCLIST_LEN = 44;
const MCLIST_ADDR = 12;

/** What was asked of devices, the latest first. @kernel pdiag_put_mclist net/packet/diag.c */
function mclist(po: PacketSock): Uint8Array {
  const out = new Uint8Array(MCLIST_LEN * po.mclist.length);
  const v = new DataView(out.buffer);
  po.mclist.toReversed().forEach(({ ifindex, count, type, addr }, i) => {
    const at = i * MCLIST_LEN;
    v.setUint32(at, ifindex, true);
    v.setUint32(at + 4, count, true);
    v.setUint16(at + 8, type, true);
    v.setUint16(at + 10, addr.length, true);
    out.set(addr, at + MCLIST_ADDR);
  });
  return out;
}

/** The program of a filter: 0 or -EMSGSIZE. @kernel sock_diag_put_filterinfo net/core/sock_diag.c */
function putFilter(po: PacketSock, skb: SkBuff): number {
  if (po.skFilter === null) return 0;
  const program = new Uint8Array(sockFilter.LEN * skGetFilter(po, new Uint8Array(0)));
  skGetFilter(po, program);
  return nlaPut(skb, PACKET_DIAG_FILTER, program);
}

/** Appends one socket; false: it has no room. @kernel sk_diag_fill net/packet/diag.c */
function skDiagFill(skb: SkBuff, po: PacketSock, show: number, cb: NetlinkCallback): boolean {
  const { portid, seq } = cb;
  const nlh = nlmsgPut(skb, portid, seq, SOCK_DIAG_BY_FAMILY, packetDiagMsg.LEN, NLM_F_MULTI);
  if (nlh < 0) return false;
  const header = new Uint8Array(packetDiagMsg.LEN);
  const v = new DataView(header.buffer);
  packetDiagMsg.setFamily(v, 0, AF_PACKET);
  packetDiagMsg.setType(v, 0, po.skType);
  packetDiagMsg.setNum(v, 0, po.num);
  packetDiagMsg.setIno(v, 0, po.skIno);
  const cookie = sockDiagSaveCookie(po);
  packetDiagMsg.setCookie(v, 0, cookie >>> 0, Math.floor(cookie / 2 ** 32));
  mem.set(header, nlh + NLMSG_HDRLEN);
  let err = 0;
  if ((show & PACKET_SHOW_INFO) !== 0) {
    err ||= nlaPut(skb, PACKET_DIAG_INFO, info(po));
    err ||= nlaPutU32(skb, PACKET_DIAG_UID, po.skUid);
  }
  if ((show & PACKET_SHOW_MCLIST) !== 0) err ||= nlaPut(skb, PACKET_DIAG_MCLIST, mclist(po));
  if ((show & PACKET_SHOW_MEMINFO) !== 0) err ||= sockDiagPutMeminfo(po, skb, PACKET_DIAG_MEMINFO);
  if ((show & PACKET_SHOW_FILTER) !== 0) err ||= putFilter(po, skb);
  if (err !== 0) {
    nlmsgCancel(skb, nlh);
    return false;
  }
  nlmsgEnd(skb, nlh);
  return true;
}

/** args[0]: how many are told. @kernel packet_diag_dump net/packet/diag.c */
function packetDiagDump(skb: SkBuff, cb: NetlinkCallback): number {
  const v = new DataView(cb.msg.buffer, cb.msg.byteOffset, cb.msg.byteLength);
  const show = packetDiagReq.show(v, NLMSG_HDRLEN);
  const list = cb.net.packetSklist;
  for (let i = cb.args[0] as number; i < list.length; i++) {
    const po = pktSk(list[i] as PacketSock);
    if (!skDiagFill(skb, po, show, cb)) return skb.len > 0 ? 1 : -EMSGSIZE;
    cb.args[0] = i + 1;
  }
  return 0;
}

/** @kernel packet_diag_handler_dump net/packet/diag.c */
function packetDiagHandlerDump(skb: SkBuff, msg: Uint8Array): number {
  if (msg.length < NLMSG_HDRLEN + packetDiagReq.LEN) return -EINVAL;
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  // A kind of sockets is not asked for.
  if (packetDiagReq.protocol(v, NLMSG_HDRLEN) !== 0) return -EINVAL;
  if ((nlmsgFlags(msg) & NLM_F_DUMP) === 0) return -EOPNOTSUPP;
  return netlinkDumpStart(skb, msg, packetDiagDump);
}

/** @kernel packet_diag_init net/packet/diag.c */
function packetDiagInit(machine: Machine): number {
  return sockDiagRegister(machine, {
    family: AF_PACKET,
    dump: packetDiagHandlerDump,
    destroy: null,
    getInfo: null,
  });
}

export const packetDiagModule: KernelModule = {
  name: 'packet_diag',
  config: 'CONFIG_PACKET_DIAG',
  depends: ['sock_diag'],
  level: DEVICE_INITCALL,
  init: packetDiagInit,
  exit: null,
};
