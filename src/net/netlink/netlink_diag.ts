/** AF_NETLINK sockets for NETLINK_SOCK_DIAG. Counterpart: net/netlink/diag.c. */
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { NetlinkSock } from '#include/net/netlink_sock.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
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
import { EINVAL, EMSGSIZE, ENOENT, EOPNOTSUPP } from '#uapi/errno.ts';
import { NLM_F_DUMP, NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  NDIAG_FLAG_CAP_ACK,
  NDIAG_FLAG_CB_RUNNING,
  NDIAG_FLAG_NO_ENOBUFS,
  NDIAG_FLAG_PKTINFO,
  NDIAG_PROTO_ALL,
  NDIAG_SHOW_FLAGS,
  NDIAG_SHOW_GROUPS,
  NDIAG_SHOW_MEMINFO,
  NETLINK_DIAG_FLAGS,
  NETLINK_DIAG_GROUPS,
  NETLINK_DIAG_MEMINFO,
  netlinkDiagMsg,
  netlinkDiagReq,
  SOCK_DIAG_BY_FAMILY,
} from '#uapi/sock_diag.ts';
import { AF_NETLINK } from '#uapi/socket.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

const NETLINK_CONNECTED = 1;
/** Highest netlink protocol number plus one. */
const MAX_LINKS = 32;

/** The groups as bits, in words of 64. @kernel sk_diag_dump_groups net/netlink/diag.c */
function groupBits({ groups }: NetlinkSock): Uint8Array {
  const highest = Math.max(32, ...groups);
  const out = new Uint8Array(8 * Math.ceil(highest / 64));
  for (const group of groups) {
    const bit = group - 1;
    out[bit >> 3] = (out[bit >> 3] as number) | (1 << (bit & 7));
  }
  return out;
}

/** Options that are on. @kernel sk_diag_put_flags net/netlink/diag.c */
function flagsOf(nlk: NetlinkSock): number {
  let flags = 0;
  if (nlk.cb !== null) flags |= NDIAG_FLAG_CB_RUNNING;
  if (nlk.pktinfo) flags |= NDIAG_FLAG_PKTINFO;
  if (nlk.noEnobufs) flags |= NDIAG_FLAG_NO_ENOBUFS;
  if (nlk.capAck) flags |= NDIAG_FLAG_CAP_ACK;
  return flags;
}

/** Appends one socket; false: it has no room. @kernel sk_diag_fill net/netlink/diag.c */
function skDiagFill(skb: SkBuff, nlk: NetlinkSock, show: number, cb: NetlinkCallback): boolean {
  const { portid, seq } = cb;
  const nlh = nlmsgPut(skb, portid, seq, SOCK_DIAG_BY_FAMILY, netlinkDiagMsg.LEN, NLM_F_MULTI);
  if (nlh < 0) return false;
  const header = new Uint8Array(netlinkDiagMsg.LEN);
  const v = new DataView(header.buffer);
  netlinkDiagMsg.setFamily(v, 0, AF_NETLINK);
  netlinkDiagMsg.setType(v, 0, nlk.skType);
  netlinkDiagMsg.setProtocol(v, 0, nlk.skProtocol);
  const connected = nlk.dstPortid !== 0 || nlk.dstGroup !== 0;
  netlinkDiagMsg.setState(v, 0, connected ? NETLINK_CONNECTED : TCP_CLOSE);
  netlinkDiagMsg.setPortid(v, 0, nlk.portid);
  netlinkDiagMsg.setDstPortid(v, 0, nlk.dstPortid);
  netlinkDiagMsg.setDstGroup(v, 0, nlk.dstGroup);
  netlinkDiagMsg.setIno(v, 0, nlk.skIno);
  const cookie = sockDiagSaveCookie(nlk);
  netlinkDiagMsg.setCookie(v, 0, cookie >>> 0, Math.floor(cookie / 2 ** 32));
  mem.set(header, nlh + NLMSG_HDRLEN);
  let err = 0;
  if ((show & NDIAG_SHOW_GROUPS) !== 0 && nlk.groups.size > 0) {
    err ||= nlaPut(skb, NETLINK_DIAG_GROUPS, groupBits(nlk));
  }
  if ((show & NDIAG_SHOW_MEMINFO) !== 0) err ||= sockDiagPutMeminfo(nlk, skb, NETLINK_DIAG_MEMINFO);
  if ((show & NDIAG_SHOW_FLAGS) !== 0) err ||= nlaPutU32(skb, NETLINK_DIAG_FLAGS, flagsOf(nlk));
  if (err !== 0) {
    nlmsgCancel(skb, nlh);
    return false;
  }
  nlmsgEnd(skb, nlh);
  return true;
}

/** Those of a protocol that have an address, then those that have joined groups: who has both comes twice, as in Linux. */
function listed(cb: NetlinkCallback, protocol: number): NetlinkSock[] {
  const socks = (cb.net.machine.netGlobals.nlTable.get(protocol) ?? []) as NetlinkSock[];
  const own = socks.filter((nlk) => nlk.net === cb.net);
  return [...own.filter((nlk) => nlk.bound), ...own.filter((nlk) => nlk.groups.size > 0)];
}

/** args[0]: how many are told. -ENOENT: no such protocol can be. @kernel netlink_diag_dump net/netlink/diag.c */
function netlinkDiagDump(skb: SkBuff, cb: NetlinkCallback): number {
  const v = new DataView(cb.msg.buffer, cb.msg.byteOffset, cb.msg.byteLength);
  const show = netlinkDiagReq.show(v, NLMSG_HDRLEN);
  const wanted = netlinkDiagReq.protocol(v, NLMSG_HDRLEN);
  if (wanted !== NDIAG_PROTO_ALL && wanted >= MAX_LINKS) return -ENOENT;
  const tables = cb.net.machine.netGlobals.nlTable;
  const protocols =
    wanted === NDIAG_PROTO_ALL ? [...tables.keys()].sort((a, b) => a - b) : [wanted];
  const all = protocols.flatMap((protocol) => listed(cb, protocol));
  for (let i = cb.args[0] as number; i < all.length; i++) {
    if (!skDiagFill(skb, all[i] as NetlinkSock, show, cb)) return skb.len > 0 ? 1 : -EMSGSIZE;
    cb.args[0] = i + 1;
  }
  return 0;
}

/** @kernel netlink_diag_handler_dump net/netlink/diag.c */
function netlinkDiagHandlerDump(skb: SkBuff, msg: Uint8Array): number {
  if (msg.length < NLMSG_HDRLEN + netlinkDiagReq.LEN) return -EINVAL;
  if ((nlmsgFlags(msg) & NLM_F_DUMP) === 0) return -EOPNOTSUPP;
  return netlinkDumpStart(skb, msg, netlinkDiagDump);
}

/** @kernel netlink_diag_init net/netlink/diag.c */
function netlinkDiagInit(machine: Machine): number {
  return sockDiagRegister(machine, {
    family: AF_NETLINK,
    dump: netlinkDiagHandlerDump,
    destroy: null,
    getInfo: null,
  });
}

export const netlinkDiagModule: KernelModule = {
  name: 'netlink_diag',
  config: 'CONFIG_NETLINK_DIAG',
  depends: ['sock_diag'],
  level: DEVICE_INITCALL,
  init: netlinkDiagInit,
  exit: null,
};
