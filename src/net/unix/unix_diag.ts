/** AF_UNIX sockets for NETLINK_SOCK_DIAG. Counterpart: net/unix/diag.c. */
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { type UnixSock, unixSk } from '#include/net/af_unix.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { skWmemAllocGet } from '#net/core/sock.ts';
import {
  sockDiagCheckCookie,
  sockDiagPutMeminfo,
  sockDiagRegister,
  sockDiagSaveCookie,
} from '#net/core/sock_diag.ts';
import { netlinkDumpStart, netlinkRequester, netlinkUnicast } from '#net/netlink/af_netlink.ts';
import {
  NLMSG_GOODSIZE,
  nlaPut,
  nlaPutU8,
  nlaPutU32,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgFlags,
  nlmsgNew,
  nlmsgPut,
  nlmsgSeq,
} from '#net/netlink/nlattr.ts';
import { unixInqLen } from '#net/unix/unix_msg.ts';
import { EINVAL, EMSGSIZE, ENOENT, ENOMEM } from '#uapi/errno.ts';
import { NLM_F_DUMP, NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  SOCK_DIAG_BY_FAMILY,
  UDIAG_SHOW_ICONS,
  UDIAG_SHOW_MEMINFO,
  UDIAG_SHOW_NAME,
  UDIAG_SHOW_PEER,
  UDIAG_SHOW_RQLEN,
  UDIAG_SHOW_UID,
  UNIX_DIAG_ICONS,
  UNIX_DIAG_MEMINFO,
  UNIX_DIAG_NAME,
  UNIX_DIAG_PEER,
  UNIX_DIAG_RQLEN,
  UNIX_DIAG_SHUTDOWN,
  UNIX_DIAG_UID,
  unixDiagMsg,
  unixDiagReq,
} from '#uapi/sock_diag.ts';
import { AF_UNIX } from '#uapi/socket.ts';
import { TCP_LISTEN } from '#uapi/tcp.ts';

function words(...values: number[]): Uint8Array {
  const out = new Uint8Array(4 * values.length);
  const v = new DataView(out.buffer);
  values.forEach((value, i) => {
    v.setUint32(4 * i, value, true);
  });
  return out;
}

/** The clients that wait for accept(). @kernel sk_diag_dump_icons net/unix/diag.c */
function icons(u: UnixSock): Uint8Array {
  return words(...u.acceptQueue.map((child) => child.peer?.skIno ?? 0));
}

/** @kernel sk_diag_show_rqlen net/unix/diag.c */
function rqlen(u: UnixSock): Uint8Array {
  return u.skcState === TCP_LISTEN
    ? words(u.acceptQueue.length, u.skMaxAckBacklog)
    : words(unixInqLen(u), skWmemAllocGet(u));
}

/** What was asked for. 0 or -EMSGSIZE. */
function putAttrs(skb: SkBuff, u: UnixSock, show: number): number {
  const wants = (flag: number): boolean => (show & flag) !== 0;
  let err = 0;
  if (wants(UDIAG_SHOW_NAME) && u.addr !== null) err ||= nlaPut(skb, UNIX_DIAG_NAME, u.addr);
  if (wants(UDIAG_SHOW_PEER) && u.peer !== null) {
    err ||= nlaPutU32(skb, UNIX_DIAG_PEER, u.peer.skIno);
  }
  if (wants(UDIAG_SHOW_ICONS) && u.skcState === TCP_LISTEN) {
    err ||= nlaPut(skb, UNIX_DIAG_ICONS, icons(u));
  }
  if (wants(UDIAG_SHOW_RQLEN)) err ||= nlaPut(skb, UNIX_DIAG_RQLEN, rqlen(u));
  if (wants(UDIAG_SHOW_MEMINFO)) err ||= sockDiagPutMeminfo(u, skb, UNIX_DIAG_MEMINFO);
  err ||= nlaPutU8(skb, UNIX_DIAG_SHUTDOWN, u.skShutdown);
  if (wants(UDIAG_SHOW_UID)) err ||= nlaPutU32(skb, UNIX_DIAG_UID, u.skUid);
  return err;
}

/** Whom the answer goes to. */
type Asker = Pick<NetlinkCallback, 'portid' | 'seq'>;

/** Appends one socket; false: it has no room. @kernel sk_diag_fill net/unix/diag.c */
function skDiagFill(
  skb: SkBuff,
  u: UnixSock,
  show: number,
  { portid, seq }: Asker,
  flags: number,
): boolean {
  const nlh = nlmsgPut(skb, portid, seq, SOCK_DIAG_BY_FAMILY, unixDiagMsg.LEN, flags);
  if (nlh < 0) return false;
  const header = new Uint8Array(unixDiagMsg.LEN);
  const v = new DataView(header.buffer);
  unixDiagMsg.setFamily(v, 0, AF_UNIX);
  unixDiagMsg.setType(v, 0, u.skType);
  unixDiagMsg.setState(v, 0, u.skcState);
  unixDiagMsg.setIno(v, 0, u.skIno);
  const cookie = sockDiagSaveCookie(u);
  unixDiagMsg.setCookie(v, 0, cookie >>> 0, Math.floor(cookie / 2 ** 32));
  mem.set(header, nlh + NLMSG_HDRLEN);
  if (putAttrs(skb, u, show) !== 0) {
    nlmsgCancel(skb, nlh);
    return false;
  }
  nlmsgEnd(skb, nlh);
  return true;
}

/** args[0]: how many are told. @kernel unix_diag_dump net/unix/diag.c */
function unixDiagDump(skb: SkBuff, cb: NetlinkCallback): number {
  const v = new DataView(cb.msg.buffer, cb.msg.byteOffset, cb.msg.byteLength);
  const states = unixDiagReq.states(v, NLMSG_HDRLEN);
  const show = unixDiagReq.show(v, NLMSG_HDRLEN);
  let n = 0;
  for (const sk of cb.net.unixSocks) {
    if (n++ < (cb.args[0] as number)) continue;
    // One that nobody has accepted yet is no file.
    if ((states & (1 << sk.skcState)) !== 0 && sk.skIno !== 0) {
      if (!skDiagFill(skb, unixSk(sk), show, cb, NLM_F_MULTI)) return skb.len > 0 ? 1 : -EMSGSIZE;
    }
    cb.args[0] = n;
  }
  return 0;
}

/** The one socket of an inode: 0, -EINVAL without one, -ENOENT, or -ESTALE: another had it. @kernel unix_diag_get_exact net/unix/diag.c */
function unixDiagGetExact(inSkb: SkBuff, msg: Uint8Array): number {
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const ino = unixDiagReq.ino(v, NLMSG_HDRLEN);
  if (ino === 0) return -EINVAL;
  const { net, portid } = netlinkRequester(inSkb);
  const sk = [...net.unixSocks].find(({ skIno }) => skIno === ino);
  if (sk === undefined) return -ENOENT;
  const lo = unixDiagReq.cookieLo(v, NLMSG_HDRLEN);
  const err = sockDiagCheckCookie(sk, lo, unixDiagReq.cookieHi(v, NLMSG_HDRLEN));
  if (err !== 0) return err;
  const rep = nlmsgNew(net.machine, NLMSG_GOODSIZE);
  if (rep === null) return -ENOMEM;
  const asker = { portid, seq: nlmsgSeq(msg) };
  const fits = skDiagFill(rep, unixSk(sk), unixDiagReq.show(v, NLMSG_HDRLEN), asker, 0);
  if (!fits || net.diagNlsk === null) {
    consumeSkb(rep, 'unix_diag_get_exact');
    return -EMSGSIZE;
  }
  return Math.min(netlinkUnicast(net.diagNlsk, rep, portid), 0);
}

/** @kernel unix_diag_handler_dump net/unix/diag.c */
function unixDiagHandlerDump(skb: SkBuff, msg: Uint8Array): number {
  if (msg.length < NLMSG_HDRLEN + unixDiagReq.LEN) return -EINVAL;
  if ((nlmsgFlags(msg) & NLM_F_DUMP) === 0) return unixDiagGetExact(skb, msg);
  return netlinkDumpStart(skb, msg, unixDiagDump);
}

/** @kernel unix_diag_init net/unix/diag.c */
function unixDiagInit(machine: Machine): number {
  return sockDiagRegister(machine, {
    family: AF_UNIX,
    dump: unixDiagHandlerDump,
    destroy: null,
    getInfo: null,
  });
}

export const unixDiagModule: KernelModule = {
  name: 'unix_diag',
  config: 'CONFIG_UNIX_DIAG',
  depends: ['sock_diag'],
  level: DEVICE_INITCALL,
  init: unixDiagInit,
  exit: null,
};
