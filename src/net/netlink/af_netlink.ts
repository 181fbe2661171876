/**
 * Netlink sockets: messages between programs and the kernel.
 *
 * Counterpart of net/netlink/af_netlink.c. RFC 3549. `skb.cb0` holds the sender's port,
 * `skb.cb1` the group of a multicast, `skb.cbRef` the sending sock (NETLINK_CB in Linux).
 */

import { CORE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Msghdr, NetProtoFamily, ProtoOps, Socket } from '#include/linux/net.ts';
import { type SkBuff, skbOrphan, skbReserve, skbTailroom } from '#include/linux/skbuff.ts';
import { __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { type NetlinkDump, NetlinkSock } from '#include/net/netlink_sock.ts';
import { type NetlinkCallback, NetlinkExtAck, type RtnlDumpit } from '#include/net/rtnetlink.ts';
import type { Proto, Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
import {
  datagramPoll,
  skbCopyDatagramMsg,
  skbFreeDatagram,
  skbRecvDatagram,
} from '#net/core/datagram.ts';
import { copyFromIter } from '#net/core/iov_iter.ts';
import {
  allocSkb,
  consumeSkb,
  kfreeSkb,
  skbClone,
  skbPut,
  skbQueuePurgeReason,
} from '#net/core/skbuff.ts';
import { skAlloc, sockDefCallbacks, sockInitData, sockOrphan, sockPut } from '#net/core/sock.ts';
import { protoNothing, protoRegister } from '#net/core/sock_proto.ts';
import {
  NLMSG_GOODSIZE,
  nlaPutString,
  nlaPutU32,
  nlmsgAlign,
  nlmsgEnd,
  nlmsgFlags,
  nlmsgLen,
  nlmsgPut,
  nlmsgSeq,
  nlmsgType,
} from '#net/netlink/nlattr.ts';
import { sockRegister } from '#net/socket.ts';
import {
  EADDRINUSE,
  EAGAIN,
  EBUSY,
  ECONNREFUSED,
  EINTR,
  EINVAL,
  EMSGSIZE,
  ENOBUFS,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '#uapi/errno.ts';
import {
  SKB_DROP_REASON_SOCKET_CLOSE,
  SKB_DROP_REASON_SOCKET_RCVBUFF,
} from '#uapi/net_dropreason.ts';
import {
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_CAP_ACK,
  NETLINK_DROP_MEMBERSHIP,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  NETLINK_LIST_MEMBERSHIPS,
  NETLINK_NO_ENOBUFS,
  NETLINK_PKTINFO,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  NLMSG_MIN_TYPE,
  NLMSGERR_ATTR_MISS_TYPE,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
  sockaddrNl,
} from '#uapi/netlink.ts';
import {
  AF_NETLINK,
  MSG_DONTWAIT,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_NETLINK,
} from '#uapi/socket.ts';

/** Highest netlink protocol number plus one. */
const MAX_LINKS = 32;

function nlkSk(sk: Sock): NetlinkSock {
  return sk as NetlinkSock;
}

function table(net: Net, protocol: number): Sock[] {
  const tables = net.machine.netGlobals.nlTable;
  let list = tables.get(protocol);
  if (list === undefined) {
    list = [];
    tables.set(protocol, list);
  }
  return list;
}

/** @kernel netlink_lookup net/netlink/af_netlink.c */
function netlinkLookup(net: Net, protocol: number, portid: number): NetlinkSock | null {
  for (const sk of table(net, protocol)) {
    const nlk = nlkSk(sk);
    if (nlk.net === net && nlk.bound && nlk.portid === portid) return nlk;
  }
  return null;
}

/** @kernel netlink_insert net/netlink/af_netlink.c */
function netlinkInsert(nlk: NetlinkSock, portid: number): number {
  if (nlk.bound) return nlk.portid === portid ? 0 : -EBUSY;
  if (netlinkLookup(nlk.net, nlk.skProtocol, portid) !== null) return -EADDRINUSE;
  nlk.portid = portid;
  nlk.bound = true;
  table(nlk.net, nlk.skProtocol).push(nlk);
  return 0;
}

/** Takes a free port: the first try is a number of the socket's own. @kernel netlink_autobind net/netlink/af_netlink.c */
function netlinkAutobind(nlk: NetlinkSock): number {
  let portid = nlk.skIno;
  while (portid === 0 || netlinkLookup(nlk.net, nlk.skProtocol, portid) !== null) {
    portid = (nlk.net.machine.random.u32() | 0x80000000) >>> 0;
  }
  return netlinkInsert(nlk, portid);
}

// Delivery.

/** @kernel netlink_skb_destructor net/netlink/af_netlink.c */
function netlinkSkbDestructor(skb: SkBuff): void {
  if (skb.sk !== null) skb.sk.skRmemAlloc -= skb.truesize;
}

/** @kernel netlink_skb_set_owner_r net/netlink/af_netlink.c */
function netlinkSkbSetOwnerR(skb: SkBuff, sk: Sock): void {
  skbOrphan(skb);
  skb.sk = sk;
  skb.destructor = netlinkSkbDestructor;
  sk.skRmemAlloc += skb.truesize;
}

/** The reader is too slow: it learns of the loss by ENOBUFS. @kernel netlink_overrun net/netlink/af_netlink.c */
function netlinkOverrun(nlk: NetlinkSock): void {
  if (!nlk.noEnobufs && !nlk.congested) {
    nlk.congested = true;
    if (nlk.skErr !== ENOBUFS) {
      nlk.skErr = ENOBUFS;
      nlk.skErrorReport(nlk);
    }
  }
  nlk.skDrops++;
}

/** @kernel __netlink_sendskb net/netlink/af_netlink.c */
function netlinkSendskb(nlk: NetlinkSock, skb: SkBuff): number {
  const len = skb.len;
  netlinkSkbSetOwnerR(skb, nlk);
  __skbQueueTail(nlk.skReceiveQueue, skb);
  nlk.skDataReady(nlk);
  return len;
}

/**
 * Sends a message to a port of the sender's namespace. Takes the packet in every case.
 * @kernel netlink_unicast net/netlink/af_netlink.c
 */
export function netlinkUnicast(ssk: Sock, skb: SkBuff, portid: number): number {
  const nlk = netlinkLookup(ssk.net, ssk.skProtocol, portid);
  if (nlk === null) {
    kfreeSkb(skb, SKB_DROP_REASON_SOCKET_CLOSE, 'netlink_unicast');
    return -ECONNREFUSED;
  }
  if (nlk.netlinkRcv !== null) return netlinkUnicastKernel(nlk, skb, ssk);
  if (nlk.skRmemAlloc > nlk.skRcvbuf || nlk.congested) {
    netlinkOverrun(nlk);
    kfreeSkb(skb, SKB_DROP_REASON_SOCKET_RCVBUFF, 'netlink_unicast');
    return -EAGAIN;
  }
  return netlinkSendskb(nlk, skb);
}

/** @kernel netlink_unicast_kernel net/netlink/af_netlink.c */
function netlinkUnicastKernel(nlk: NetlinkSock, skb: SkBuff, ssk: Sock): number {
  const len = skb.len;
  skb.cbRef = ssk;
  nlk.netlinkRcv?.(skb);
  consumeSkb(skb, 'netlink_unicast_kernel');
  return len;
}

/**
 * Sends a message to all sockets of the namespace that joined `group`, but `exclude`.
 * 0, or -ESRCH when nobody listens. Takes the packet.
 * @kernel netlink_broadcast net/netlink/af_netlink.c
 */
export function netlinkBroadcast(
  net: Net,
  protocol: number,
  skb: SkBuff,
  exclude: number,
  group: number,
): void {
  for (const sk of [...table(net, protocol)]) {
    const nlk = nlkSk(sk);
    if (nlk.net !== net || nlk.portid === exclude || !nlk.groups.has(group)) continue;
    if (nlk.skRmemAlloc > nlk.skRcvbuf || nlk.congested) {
      netlinkOverrun(nlk);
      continue;
    }
    const copy = skbClone(skb);
    if (copy === null) {
      netlinkOverrun(nlk);
      continue;
    }
    copy.cb0 = 0;
    copy.cb1 = group;
    netlinkSendskb(nlk, copy);
  }
  consumeSkb(skb, 'netlink_broadcast');
}

/** True when some socket listens to `group`. @kernel netlink_has_listeners net/netlink/af_netlink.c */
export function netlinkHasListeners(net: Net, protocol: number, group: number): boolean {
  for (const sk of table(net, protocol)) {
    if (sk.net === net && nlkSk(sk).groups.has(group)) return true;
  }
  return false;
}

// Requests to the kernel.

/** What the kernel side is asked: one whole message. @kernel netlink_rcv_skb net/netlink/af_netlink.c */
export type NetlinkRequest = (skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck) => number;

/** The request came from this socket. @kernel NETLINK_CB include/linux/netlink.h */
export function netlinkRequester(skb: SkBuff): NetlinkSock {
  return skb.cbRef as NetlinkSock;
}

/** Result of a request handler that needs no acknowledgement: a dump has been started. */
export const NETLINK_DUMP_STARTED: number = -EINTR;

/**
 * Walks the messages of a packet and acknowledges each.
 * @kernel netlink_rcv_skb net/netlink/af_netlink.c
 */
export function netlinkRcvSkb(skb: SkBuff, handle: NetlinkRequest): void {
  const bytes = mem.slice(skb.data, skb.data + skb.len);
  let at = 0;
  while (bytes.length - at >= NLMSG_HDRLEN) {
    const rest = bytes.subarray(at);
    const len = nlmsgLen(rest);
    if (len < NLMSG_HDRLEN || len > rest.length) return;
    const msg = rest.subarray(0, len);
    const flags = nlmsgFlags(msg);
    const extack = new NetlinkExtAck();
    let err = 0;
    if ((flags & NLM_F_REQUEST) !== 0 && nlmsgType(msg) >= NLMSG_MIN_TYPE) {
      err = handle(skb, msg, extack);
    }
    if (err !== NETLINK_DUMP_STARTED && ((flags & NLM_F_ACK) !== 0 || err !== 0)) {
      netlinkAck(skb, msg, err, extack);
    }
    at += nlmsgAlign(len);
  }
}

/** Answers with NLMSG_ERROR: 0 or the errno, the request's header, the explanation. @kernel netlink_ack net/netlink/af_netlink.c */
export function netlinkAck(
  inSkb: SkBuff,
  msg: Uint8Array,
  err: number,
  extack: NetlinkExtAck,
): void {
  const nlk = netlinkRequester(inSkb);
  const capped = err === 0 || nlk.capAck;
  const quoted = capped ? NLMSG_HDRLEN : msg.length;
  const tlvs =
    nlk.extAck && (extack.msg !== '' || extack.badAttrOffset !== 0 || extack.missType >= 0);
  const room = 4 + quoted + extack.msg.length + 64;
  const skb = allocSkb(nlk.net.machine, NLMSG_HDRLEN + nlmsgAlign(room));
  if (skb === null) {
    nlk.skErr = ENOBUFS;
    nlk.skErrorReport(nlk);
    return;
  }
  const flags = (capped ? NLM_F_CAPPED : 0) | (tlvs ? NLM_F_ACK_TLVS : 0);
  const nlh = nlmsgPut(skb, nlk.portid, nlmsgSeq(msg), NLMSG_ERROR, 4 + quoted, flags);
  const payload = nlh + NLMSG_HDRLEN;
  mem[payload] = err & 0xff;
  mem[payload + 1] = (err >> 8) & 0xff;
  mem[payload + 2] = (err >> 16) & 0xff;
  mem[payload + 3] = (err >> 24) & 0xff;
  mem.set(msg.subarray(0, quoted), payload + 4);
  if (tlvs) {
    if (extack.msg !== '') nlaPutString(skb, NLMSGERR_ATTR_MSG, extack.msg);
    if (err !== 0 && extack.badAttrOffset !== 0)
      nlaPutU32(skb, NLMSGERR_ATTR_OFFS, extack.badAttrOffset);
    if (err !== 0 && extack.missType >= 0) nlaPutU32(skb, NLMSGERR_ATTR_MISS_TYPE, extack.missType);
    nlmsgEnd(skb, nlh);
  }
  netlinkUnicast(kernelSock(nlk), skb, nlk.portid);
}

/** The kernel's socket of a user's protocol and namespace. */
function kernelSock(nlk: NetlinkSock): Sock {
  return netlinkLookup(nlk.net, nlk.skProtocol, 0) ?? nlk;
}

// Dumps.

/**
 * Starts a dump: its messages are made as the reader takes them. Returns
 * {@link NETLINK_DUMP_STARTED}, or -EBUSY while another runs.
 * @kernel __netlink_dump_start net/netlink/af_netlink.c
 */
export function netlinkDumpStart(inSkb: SkBuff, msg: Uint8Array, dump: RtnlDumpit): number {
  const nlk = netlinkRequester(inSkb);
  if (nlk.cb !== null) return -EBUSY;
  const callback: NetlinkCallback = {
    net: nlk.net,
    msg: msg.slice(),
    portid: nlk.portid,
    seq: nlmsgSeq(msg),
    args: new Float64Array(6),
    ctx: null,
    devSeq: nlk.net.devBaseSeq,
    extack: new NetlinkExtAck(),
  };
  nlk.cb = { callback, dump, dumpDoneErrno: 1 };
  const err = netlinkDump(nlk, nlk.cb);
  return err < 0 ? err : NETLINK_DUMP_STARTED;
}

/** Makes one more packet of the running dump. @kernel netlink_dump net/netlink/af_netlink.c */
function netlinkDump(nlk: NetlinkSock, state: NetlinkDump): number {
  if (nlk.skRmemAlloc >= nlk.skRcvbuf) return 0;
  const size = Math.max(NLMSG_GOODSIZE, Math.min(nlk.maxRecvmsgLen, 32768 - 512));
  const skb = allocSkb(nlk.net.machine, size);
  if (skb === null) {
    nlk.cb = null;
    return -ENOBUFS;
  }
  // The block may be larger than asked for, the reader's buffer not.
  skbReserve(skb, skbTailroom(skb) - size);
  const { callback } = state;
  if (state.dumpDoneErrno > 0) state.dumpDoneErrno = state.dump(skb, callback);
  if (state.dumpDoneErrno > 0 && skb.len > 0) {
    netlinkSendskb(nlk, skb);
    return 0;
  }
  const interrupted = callback.devSeq !== nlk.net.devBaseSeq ? NLM_F_DUMP_INTR : 0;
  const nlh = nlmsgPut(skb, nlk.portid, callback.seq, NLMSG_DONE, 4, NLM_F_MULTI | interrupted);
  if (nlh < 0) {
    // No room for the end: it goes with the next packet.
    netlinkSendskb(nlk, skb);
    return 0;
  }
  const errno = Math.min(state.dumpDoneErrno, 0);
  for (let i = 0; i < 4; i++) mem[nlh + NLMSG_HDRLEN + i] = (errno >> (8 * i)) & 0xff;
  netlinkSendskb(nlk, skb);
  nlk.cb = null;
  return 0;
}

// Socket operations.

/** @kernel netlink_release net/netlink/af_netlink.c */
function netlinkRelease(sock: Socket): number {
  if (sock.sk === null) return 0;
  const nlk = nlkSk(sock.sk);
  if (nlk.bound) {
    const list = table(nlk.net, nlk.skProtocol);
    list.splice(list.indexOf(nlk), 1);
    nlk.bound = false;
  }
  nlk.cb = null;
  sockOrphan(nlk);
  sock.sk = null;
  skbQueuePurgeReason(nlk.skReceiveQueue, SKB_DROP_REASON_SOCKET_CLOSE);
  skbQueuePurgeReason(nlk.skWriteQueue, SKB_DROP_REASON_SOCKET_CLOSE);
  sockPut(nlk);
  return 0;
}

function nlAddr(addr: Uint8Array): DataView | null {
  if (addr.length < sockaddrNl.LEN) return null;
  return new DataView(addr.buffer, addr.byteOffset, addr.byteLength);
}

/** @kernel netlink_bind net/netlink/af_netlink.c */
function netlinkBind(sock: Socket, addr: Uint8Array): number {
  const nlk = nlkSk(sock.sk as Sock);
  const v = nlAddr(addr);
  if (v === null || sockaddrNl.family(v, 0) !== AF_NETLINK) return -EINVAL;
  const portid = sockaddrNl.pid(v, 0);
  if (nlk.bound) {
    if (portid !== nlk.portid) return -EINVAL;
  } else {
    const err = portid === 0 ? netlinkAutobind(nlk) : netlinkInsert(nlk, portid);
    if (err !== 0) return err;
  }
  const groups = sockaddrNl.groups(v, 0);
  for (let group = 1; group <= 32; group++) {
    if ((groups & (1 << (group - 1))) !== 0) nlk.groups.add(group);
    else nlk.groups.delete(group);
  }
  return 0;
}

/** @kernel netlink_connect net/netlink/af_netlink.c */
function netlinkConnect(sock: Socket, addr: Uint8Array, _flags: number): number {
  const nlk = nlkSk(sock.sk as Sock);
  const v = nlAddr(addr);
  if (v === null) return -EINVAL;
  if (sockaddrNl.family(v, 0) === 0) {
    nlk.dstPortid = 0;
    nlk.dstGroup = 0;
    return 0;
  }
  if (sockaddrNl.family(v, 0) !== AF_NETLINK) return -EINVAL;
  const err = nlk.bound ? 0 : netlinkAutobind(nlk);
  if (err === 0) {
    nlk.dstPortid = sockaddrNl.pid(v, 0);
    nlk.dstGroup = firstGroup(sockaddrNl.groups(v, 0));
  }
  return err;
}

function firstGroup(groups: number): number {
  return groups === 0 ? 0 : 32 - Math.clz32(groups & -groups);
}

/** @kernel netlink_getname net/netlink/af_netlink.c */
function netlinkGetname(sock: Socket, addr: Uint8Array, peer: number): number {
  const nlk = nlkSk(sock.sk as Sock);
  const bytes = new Uint8Array(sockaddrNl.LEN);
  const v = new DataView(bytes.buffer);
  sockaddrNl.setFamily(v, 0, AF_NETLINK);
  sockaddrNl.setPid(v, 0, peer !== 0 ? nlk.dstPortid : nlk.portid);
  let groups = 0;
  if (peer !== 0) groups = nlk.dstGroup === 0 ? 0 : 1 << (nlk.dstGroup - 1);
  else for (const group of nlk.groups) if (group <= 32) groups |= 1 << (group - 1);
  sockaddrNl.setGroups(v, 0, groups >>> 0);
  addr.set(bytes.subarray(0, Math.min(addr.length, bytes.length)));
  return bytes.length;
}

/** @kernel netlink_sendmsg net/netlink/af_netlink.c */
function netlinkSendmsg(sock: Socket, msg: Msghdr, len: number): number {
  const nlk = nlkSk(sock.sk as Sock);
  if ((msg.msgFlags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  let { dstPortid, dstGroup } = nlk;
  if (msg.msgName !== null && msg.msgName.length > 0) {
    const v = nlAddr(msg.msgName);
    if (v === null || sockaddrNl.family(v, 0) !== AF_NETLINK) return -EINVAL;
    dstPortid = sockaddrNl.pid(v, 0);
    dstGroup = firstGroup(sockaddrNl.groups(v, 0));
  }
  if (!nlk.bound) {
    const err = netlinkAutobind(nlk);
    if (err !== 0) return err;
  }
  if (len > nlk.skSndbuf - 32) return -EMSGSIZE;
  const skb = allocSkb(nlk.net.machine, Math.max(len, 1));
  if (skb === null) return -ENOBUFS;
  skb.cb0 = nlk.portid;
  skb.cb1 = 0;
  copyFromIter(skbPut(skb, len), len, msg.msgIter);
  if (dstGroup !== 0) {
    const copy = skbClone(skb);
    if (copy !== null) netlinkBroadcast(nlk.net, nlk.skProtocol, copy, dstPortid, dstGroup);
  }
  return netlinkUnicast(nlk, skb, dstPortid);
}

/** @kernel netlink_recvmsg net/netlink/af_netlink.c */
function netlinkRecvmsg(sock: Socket, msg: Msghdr, len: number, flags: number): number {
  const nlk = nlkSk(sock.sk as Sock);
  if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  const skb = skbRecvDatagram(nlk, flags | MSG_DONTWAIT);
  if (typeof skb === 'number') return skb;
  nlk.maxRecvmsgLen = Math.min(Math.max(nlk.maxRecvmsgLen, len), 32768);
  let copied = skb.len;
  if (len < copied) {
    msg.msgFlags |= MSG_TRUNC;
    copied = len;
  }
  skbCopyDatagramMsg(skb, 0, msg, copied);
  if (msg.msgName !== null) {
    const bytes = new Uint8Array(sockaddrNl.LEN);
    const v = new DataView(bytes.buffer);
    sockaddrNl.setFamily(v, 0, AF_NETLINK);
    sockaddrNl.setPid(v, 0, skb.cb0);
    sockaddrNl.setGroups(v, 0, skb.cb1 === 0 ? 0 : (1 << (skb.cb1 - 1)) >>> 0);
    msg.msgName.set(bytes.subarray(0, Math.min(msg.msgName.length, bytes.length)));
    msg.msgNamelen = bytes.length;
  }
  if ((flags & MSG_TRUNC) !== 0) copied = skb.len;
  skbFreeDatagram(nlk, skb, 'netlink_recvmsg');
  if ((flags & MSG_PEEK) === 0) {
    if (nlk.skReceiveQueue.qlen === 0) nlk.congested = false;
    if (nlk.cb !== null && nlk.skRmemAlloc <= nlk.skRcvbuf / 2) {
      const err = netlinkDump(nlk, nlk.cb);
      if (err < 0) {
        nlk.skErr = -err;
        nlk.skErrorReport(nlk);
      }
    }
  }
  return copied;
}

/** @kernel netlink_setsockopt net/netlink/af_netlink.c */
function netlinkSetsockopt(
  sock: Socket,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const nlk = nlkSk(sock.sk as Sock);
  if (level !== SOL_NETLINK) return -ENOPROTOOPT;
  if (optval.length < 4) return -EINVAL;
  const val = new DataView(optval.buffer, optval.byteOffset).getUint32(0, true);
  switch (optname) {
    case NETLINK_ADD_MEMBERSHIP:
    case NETLINK_DROP_MEMBERSHIP:
      if (val === 0 || val > 1024) return -EINVAL;
      if (optname === NETLINK_ADD_MEMBERSHIP) nlk.groups.add(val);
      else nlk.groups.delete(val);
      return 0;
    case NETLINK_PKTINFO:
      nlk.pktinfo = val !== 0;
      return 0;
    case NETLINK_NO_ENOBUFS:
      nlk.noEnobufs = val !== 0;
      if (val !== 0) nlk.congested = false;
      return 0;
    case NETLINK_CAP_ACK:
      nlk.capAck = val !== 0;
      return 0;
    case NETLINK_EXT_ACK:
      nlk.extAck = val !== 0;
      return 0;
    case NETLINK_GET_STRICT_CHK:
      nlk.strictChk = val !== 0;
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

/** @kernel netlink_getsockopt net/netlink/af_netlink.c */
function netlinkGetsockopt(
  sock: Socket,
  level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const nlk = nlkSk(sock.sk as Sock);
  if (level !== SOL_NETLINK) return -ENOPROTOOPT;
  const v = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
  if (optname === NETLINK_LIST_MEMBERSHIPS) {
    const highest = Math.max(0, ...nlk.groups);
    const words = new Uint32Array(Math.ceil(highest / 32));
    for (const group of nlk.groups) {
      const word = (group - 1) >> 5;
      words[word] = (words[word] ?? 0) | (1 << ((group - 1) & 31));
    }
    for (let i = 0; i < words.length && (i + 1) * 4 <= optval.length; i++) {
      v.setUint32(i * 4, words[i] ?? 0, true);
    }
    return words.length * 4;
  }
  if (optval.length < 4) return -EINVAL;
  const flags: ReadonlyMap<number, boolean> = new Map([
    [NETLINK_PKTINFO, nlk.pktinfo],
    [NETLINK_NO_ENOBUFS, nlk.noEnobufs],
    [NETLINK_CAP_ACK, nlk.capAck],
    [NETLINK_EXT_ACK, nlk.extAck],
    [NETLINK_GET_STRICT_CHK, nlk.strictChk],
  ]);
  const flag = flags.get(optname);
  if (flag === undefined) return -ENOPROTOOPT;
  v.setUint32(0, flag ? 1 : 0, true);
  return 4;
}

const netlinkOps: ProtoOps = {
  family: AF_NETLINK,
  release: netlinkRelease,
  bind: netlinkBind,
  connect: netlinkConnect,
  socketpair: () => -EOPNOTSUPP,
  accept: () => -EOPNOTSUPP,
  getname: netlinkGetname,
  poll: datagramPoll,
  ioctl: () => -EINVAL,
  listen: () => -EOPNOTSUPP,
  shutdown: () => -EOPNOTSUPP,
  setsockopt: netlinkSetsockopt,
  getsockopt: netlinkGetsockopt,
  spliceRead: null,
  setPeekOff: null,
  setRcvlowat: null,
  sendmsg: netlinkSendmsg,
  recvmsg: netlinkRecvmsg,
};

/** @kernel netlink_proto net/netlink/af_netlink.c */
export const netlinkProto: Proto = {
  name: 'NETLINK',
  alloc: (net, family, prot) => new NetlinkSock(net, family, prot, sockDefCallbacks),
  ...protoNothing,
};

/** @kernel netlink_create net/netlink/af_netlink.c */
function netlinkCreate(net: Net, sock: Socket, protocol: number, _kern: boolean): number {
  if (sock.type !== SOCK_RAW && sock.type !== SOCK_DGRAM) return -ESOCKTNOSUPPORT;
  if (protocol < 0 || protocol >= MAX_LINKS) return -EPROTONOSUPPORT;
  if (netlinkLookup(net, protocol, 0) === null) return -EPROTONOSUPPORT;
  sock.ops = netlinkOps;
  const sk = skAlloc(net, AF_NETLINK, netlinkProto);
  sockInitData(sock, sk);
  sk.skProtocol = protocol;
  return 0;
}

/** @kernel netlink_family_ops net/netlink/af_netlink.c */
const netlinkFamilyOps: NetProtoFamily = { family: AF_NETLINK, create: netlinkCreate };

/**
 * Makes the kernel's end of a protocol in a namespace: port 0.
 * @kernel __netlink_kernel_create net/netlink/af_netlink.c
 */
export function netlinkKernelCreate(
  net: Net,
  protocol: number,
  input: (skb: SkBuff) => void,
): NetlinkSock {
  const nlk = nlkSk(skAlloc(net, AF_NETLINK, netlinkProto, true));
  sockInitData(null, nlk);
  nlk.skProtocol = protocol;
  nlk.netlinkRcv = input;
  netlinkInsert(nlk, 0);
  return nlk;
}

/** @kernel netlink_kernel_release net/netlink/af_netlink.c */
export function netlinkKernelRelease(nlk: NetlinkSock): void {
  const list = table(nlk.net, nlk.skProtocol);
  list.splice(list.indexOf(nlk), 1);
  nlk.bound = false;
  sockPut(nlk);
}

/** @kernel netlink_proto_init net/netlink/af_netlink.c */
export function netlinkInit(machine: Machine): number {
  const err = protoRegister(machine, netlinkProto);
  return err !== 0 ? err : sockRegister(machine, netlinkFamilyOps);
}

export const netlinkModule: KernelModule = {
  name: 'netlink',
  config: null,
  depends: [],
  level: CORE_INITCALL,
  init: netlinkInit,
  exit: null,
};
