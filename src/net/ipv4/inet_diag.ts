/**
 * Listing AF_INET's sockets: requests, and the messages that describe one socket each.
 *
 * Counterpart: net/ipv4/inet_diag.c. Protocols register here (tcp_diag, udp_diag, raw_diag); the
 * filter's program is in inet_diag_bc.ts.
 */

import type { InetDiagHandler, InetDiagHead, InetDiagRequest } from '#include/linux/inet_diag.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import type { Machine } from '#kernel/machine.ts';
import { hostView, mem } from '#mm/memory.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import { skRmemAllocGet, skWmemAllocGet, sockPut } from '#net/core/sock.ts';
import {
  sockDiagDestroy,
  sockDiagPutMeminfo,
  sockDiagRegister,
  sockDiagSaveCookie,
} from '#net/core/sock_diag.ts';
import { inetDiagBcAudit, inetDiagBcSk } from '#net/ipv4/inet_diag_bc.ts';
import { netlinkDumpStart, netlinkRequester, netlinkUnicast } from '#net/netlink/af_netlink.ts';
import {
  NLMSG_GOODSIZE,
  nlaGetU32,
  nlaPut,
  nlaPutU8,
  nlaPutU32,
  nlaReserve,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgFlags,
  nlmsgNew,
  nlmsgParse,
  nlmsgPut,
  nlmsgSeq,
} from '#net/netlink/nlattr.ts';
import { ECONNABORTED, EEXIST, EINVAL, ENOENT, ENOMEM, ERANGE } from '#uapi/errno.ts';
import {
  INET_DIAG_CLASS_ID,
  INET_DIAG_INFO,
  INET_DIAG_MARK,
  INET_DIAG_MEMINFO,
  INET_DIAG_PROTOCOL,
  INET_DIAG_REQ_BYTECODE,
  INET_DIAG_REQ_MAX,
  INET_DIAG_REQ_PROTOCOL,
  INET_DIAG_SHUTDOWN,
  INET_DIAG_SKMEMINFO,
  INET_DIAG_SOCKOPT,
  INET_DIAG_TCLASS,
  INET_DIAG_TOS,
  inetDiagMeminfo,
  inetDiagMsg,
  inetDiagReqV2,
  inetDiagSockid,
} from '#uapi/inet_diag.ts';
import { NLM_F_DUMP, NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import { SOCK_DESTROY, SOCK_DIAG_BY_FAMILY } from '#uapi/sock_diag.ts';
import { AF_INET, AF_UNSPEC, SOCK_RAW } from '#uapi/socket.ts';

/** 0, or -EEXIST: the protocol has one. @kernel inet_diag_register net/ipv4/inet_diag.c */
export function inetDiagRegister(machine: Machine, handler: InetDiagHandler): number {
  const table = machine.netGlobals.inetDiagTable;
  if (table.has(handler.protocol)) return -EEXIST;
  table.set(handler.protocol, handler);
  return 0;
}

/** Does a request ask for the attribute? */
export function inetDiagWants(req: InetDiagRequest, attr: number): boolean {
  return (req.ext & (1 << (attr - 1))) !== 0;
}

/** Is it of the family, and of the ports, that a request names? */
export function inetDiagMatches(req: InetDiagRequest, sk: SockCommon, sport: number): boolean {
  return (
    (req.family === AF_UNSPEC || req.family === sk.skcFamily) &&
    (req.sport === 0 || req.sport === sport) &&
    (req.dport === 0 || req.dport === sk.skcDport)
  );
}

/**
 * Starts the message of a socket: its address, or -EMSGSIZE. Ports and addresses are filled in.
 * @kernel inet_diag_msg_common_fill net/ipv4/inet_diag.c
 */
export function inetDiagMsgPut(
  skb: SkBuff,
  head: InetDiagHead,
  sk: SockCommon,
  sport: number,
  state: number,
): number {
  const { portid, seq, flags } = head;
  const nlh = nlmsgPut(skb, portid, seq, SOCK_DIAG_BY_FAMILY, inetDiagMsg.LEN, flags);
  if (nlh < 0) return nlh;
  const at = nlh + NLMSG_HDRLEN;
  mem.fill(0, at, at + inetDiagMsg.LEN);
  const id = at + inetDiagMsg.ID;
  const cookie = sockDiagSaveCookie(sk);
  inetDiagMsg.setFamily(hostView, at, sk.skcFamily);
  inetDiagMsg.setState(hostView, at, state);
  inetDiagSockid.setSport(hostView, id, sport);
  inetDiagSockid.setDport(hostView, id, sk.skcDport);
  inetDiagSockid.setSrc(hostView, id, 0, sk.skcRcvSaddr);
  inetDiagSockid.setDst(hostView, id, 0, sk.skcDaddr);
  inetDiagSockid.setIfindex(hostView, id, sk.skcBoundDevIf);
  inetDiagSockid.setCookie(hostView, id, cookie >>> 0, Math.floor(cookie / 0x100000000));
  return nlh;
}

/** struct inet_diag_sockopt: a bit for each option that is on. */
function sockoptBits(inet: InetSock): number {
  const bits = [
    inet.recverr,
    inet.isIcsk,
    inet.freebind,
    inet.hdrincl,
    inet.mcLoop,
    inet.transparent,
    inet.mcAll,
    inet.nodefrag,
    inet.bindAddressNoPort,
    inet.recverrRfc4884,
    inet.deferConnect,
  ];
  return bits.reduce((all, on, i) => all | (on ? 1 << i : 0), 0);
}

/** What all sockets tell: 0 or -EMSGSIZE. @kernel inet_diag_msg_attrs_fill net/ipv4/inet_diag.c */
function inetDiagMsgAttrsFill(
  inet: InetSock,
  skb: SkBuff,
  at: number,
  req: InetDiagRequest,
): number {
  let err = nlaPutU8(skb, INET_DIAG_SHUTDOWN, inet.skShutdown);
  if (inetDiagWants(req, INET_DIAG_TOS)) err ||= nlaPutU8(skb, INET_DIAG_TOS, inet.tos);
  err ||= nlaPutU32(skb, INET_DIAG_MARK, inet.skMark);
  // Older programs ask for the class of traffic where they mean this.
  if (inetDiagWants(req, INET_DIAG_CLASS_ID) || inetDiagWants(req, INET_DIAG_TCLASS)) {
    err ||= nlaPutU32(skb, INET_DIAG_CLASS_ID, inet.skPriority);
  }
  inetDiagMsg.setUid(hostView, at, inet.skUid);
  inetDiagMsg.setInode(hostView, at, inet.skIno);
  // What a raw socket is for is its maker's choice.
  if (inet.skType === SOCK_RAW) err ||= nlaPutU8(skb, INET_DIAG_PROTOCOL, inet.skProtocol);
  const bits = sockoptBits(inet);
  return err || nlaPut(skb, INET_DIAG_SOCKOPT, Uint8Array.of(bits & 0xff, bits >> 8));
}

/** @kernel inet_sk_diag_fill net/ipv4/inet_diag.c */
function putMeminfo(sk: Sock, skb: SkBuff): number {
  const at = nlaReserve(skb, INET_DIAG_MEMINFO, inetDiagMeminfo.LEN);
  if (at < 0) return at;
  inetDiagMeminfo.setRmem(hostView, at, skRmemAllocGet(sk));
  inetDiagMeminfo.setWmem(hostView, at, sk.skWmemQueued);
  inetDiagMeminfo.setFmem(hostView, at, sk.skForwardAlloc);
  inetDiagMeminfo.setTmem(hostView, at, skWmemAllocGet(sk));
  return 0;
}

/** Puts the protocol's own word on a socket: 0 or -EMSGSIZE. */
function putInfo(handler: InetDiagHandler, sk: Sock, skb: SkBuff, at: number): number {
  const info = nlaReserve(skb, INET_DIAG_INFO, handler.infoSize);
  if (info < 0) return info;
  handler.getInfo(sk, at, info);
  return 0;
}

/**
 * Describes a full socket: 0, or -EMSGSIZE with nothing written.
 * @kernel inet_sk_diag_fill net/ipv4/inet_diag.c
 */
export function inetSkDiagFill(
  sk: Sock,
  handler: InetDiagHandler,
  skb: SkBuff,
  head: InetDiagHead,
  req: InetDiagRequest,
): number {
  const inet = inetSk(sk);
  const nlh = inetDiagMsgPut(skb, head, sk, inet.inetSport, sk.skcState);
  if (nlh < 0) return nlh;
  const at = nlh + NLMSG_HDRLEN;
  handler.getInfo(sk, at, 0);
  let err = inetDiagMsgAttrsFill(inet, skb, at, req);
  if (inetDiagWants(req, INET_DIAG_MEMINFO)) err ||= putMeminfo(sk, skb);
  if (inetDiagWants(req, INET_DIAG_SKMEMINFO)) {
    err ||= sockDiagPutMeminfo(sk, skb, INET_DIAG_SKMEMINFO);
  }
  if (handler.infoSize > 0 && inetDiagWants(req, INET_DIAG_INFO)) {
    err ||= putInfo(handler, sk, skb, at);
  }
  err ||= handler.getAux?.(sk, skb, req) ?? 0;
  if (err === 0) nlmsgEnd(skb, nlh);
  else nlmsgCancel(skb, nlh);
  return err;
}

/** The queues of a socket that is no stream. @kernel udp_diag_get_info net/ipv4/udp_diag.c */
function inetDiagQueues(sk: Sock, at: number): void {
  inetDiagMsg.setRqueue(hostView, at, skRmemAllocGet(sk));
  inetDiagMsg.setWqueue(hostView, at, skWmemAllocGet(sk));
}

/**
 * Lists sockets in one of `states` that are in no table of connections. `cb.args[0]`: how many are done.
 * @kernel udp_dump net/ipv4/udp_diag.c
 */
export function inetDiagDumpSocks(
  handler: InetDiagHandler,
  socks: Iterable<Sock>,
  states: number,
  skb: SkBuff,
  cb: NetlinkCallback,
  req: InetDiagRequest,
): number {
  const head: InetDiagHead = { portid: cb.portid, seq: cb.seq, flags: NLM_F_MULTI };
  let n = 0;
  for (const sk of socks) {
    if (n++ < (cb.args[0] as number) || (states & (1 << sk.skcState)) === 0) continue;
    if (!inetDiagMatches(req, sk, inetSk(sk).inetSport)) continue;
    if (!inetDiagBcSk(req.bytecode, sk)) continue;
    if (inetSkDiagFill(sk, handler, skb, head, req) === 0) continue;
    cb.args[0] = n - 1;
    return 1;
  }
  cb.args[0] = n;
  return 0;
}

/** A handler of sockets that are no streams: what is left is how they are listed and found. */
export function inetDiagDatagrams(
  protocol: number,
  dump: InetDiagHandler['dump'],
  findOne: InetDiagHandler['findOne'],
): InetDiagHandler {
  const handler: InetDiagHandler = {
    protocol,
    dump,
    findOne,
    put: (sk) => sockPut(sk as Sock),
    destroy: (sk) => sockDiagDestroy(sk as Sock, ECONNABORTED),
    fill: (sk, skb, head, req) => inetSkDiagFill(sk as Sock, handler, skb, head, req),
    getInfo: inetDiagQueues,
    infoSize: 0,
    getAux: null,
  };
  return handler;
}

/** A socket that ends, for those who listen: 0 or -EMSGSIZE. @kernel inet_diag_handler_get_info net/ipv4/inet_diag.c */
function inetDiagHandlerGetInfo(skb: SkBuff, sk: Sock): number {
  const handler = sk.net.machine.netGlobals.inetDiagTable.get(sk.skProtocol);
  if (handler === undefined) return -ENOENT;
  const head: InetDiagHead = { portid: 0, seq: 0, flags: 0 };
  const nlh = inetDiagMsgPut(skb, head, sk, inetSk(sk).inetSport, sk.skcState);
  if (nlh < 0) return nlh;
  const at = nlh + NLMSG_HDRLEN;
  handler.getInfo(sk, at, 0);
  let err = nlaPutU8(skb, INET_DIAG_PROTOCOL, sk.skProtocol);
  if (handler.infoSize > 0) err ||= putInfo(handler, sk, skb, at);
  nlmsgEnd(skb, nlh);
  return err;
}

/** Reads a request and audits its filter; or a negative errno. @kernel inet_diag_parse_attrs net/ipv4/inet_diag.c */
function readRequest(msg: Uint8Array): InetDiagRequest | number {
  if (msg.length < NLMSG_HDRLEN + inetDiagReqV2.LEN) return -EINVAL;
  const attrs = nlmsgParse(msg, inetDiagReqV2.LEN, INET_DIAG_REQ_MAX, null, null);
  if (typeof attrs === 'number') return attrs;
  const bytecode = attrs[INET_DIAG_REQ_BYTECODE] ?? null;
  const err = bytecode === null ? 0 : inetDiagBcAudit(bytecode);
  if (err !== 0) return err;
  const protocol = attrs[INET_DIAG_REQ_PROTOCOL];
  if (protocol !== undefined && protocol.length < 4) return -ERANGE;
  const v = new DataView(msg.buffer, msg.byteOffset + NLMSG_HDRLEN, inetDiagReqV2.LEN);
  const id = inetDiagReqV2.ID;
  return {
    family: inetDiagReqV2.family(v, 0),
    protocol: protocol === undefined ? inetDiagReqV2.protocol(v, 0) : nlaGetU32(protocol),
    ext: inetDiagReqV2.ext(v, 0),
    states: inetDiagReqV2.states(v, 0),
    sport: inetDiagSockid.sport(v, id),
    dport: inetDiagSockid.dport(v, id),
    src: inetDiagSockid.src(v, id, 0),
    dst: inetDiagSockid.dst(v, id, 0),
    ifindex: inetDiagSockid.ifindex(v, id),
    cookieLo: inetDiagSockid.cookieLo(v, id),
    cookieHi: inetDiagSockid.cookieHi(v, id),
    bytecode,
    rawProtocol: v.getUint8(3),
  };
}

/** @kernel inet_diag_dump_one_icsk net/ipv4/inet_diag.c */
function dumpOne(
  skb: SkBuff,
  handler: InetDiagHandler,
  req: InetDiagRequest,
  msg: Uint8Array,
): number {
  const { net, portid } = netlinkRequester(skb);
  const sk = handler.findOne(net, req, SOCK_DIAG_BY_FAMILY);
  if (typeof sk === 'number') return sk;
  const answer = nlmsgNew(net.machine, NLMSG_GOODSIZE);
  const err =
    answer === null
      ? -ENOMEM
      : handler.fill(sk, answer, { portid, seq: nlmsgSeq(msg), flags: 0 }, req);
  handler.put(sk);
  if (answer === null || net.diagNlsk === null) return err;
  if (err < 0) {
    consumeSkb(answer, 'inet_diag_dump_one_icsk');
    return err;
  }
  return Math.min(netlinkUnicast(net.diagNlsk, answer, portid), 0);
}

/** @kernel inet_diag_handler_cmd net/ipv4/inet_diag.c */
function inetDiagHandlerDump(skb: SkBuff, msg: Uint8Array): number {
  const req = readRequest(msg);
  if (typeof req === 'number') return req;
  const handler = netlinkRequester(skb).net.machine.netGlobals.inetDiagTable.get(req.protocol);
  if ((nlmsgFlags(msg) & NLM_F_DUMP) !== 0) {
    return netlinkDumpStart(skb, msg, (out, cb) => handler?.dump(out, cb, req) ?? -ENOENT);
  }
  return handler === undefined ? -ENOENT : dumpOne(skb, handler, req, msg);
}

/** Ends one socket: `ss -K`. @kernel inet_diag_cmd_exact net/ipv4/inet_diag.c */
function inetDiagHandlerDestroy(skb: SkBuff, msg: Uint8Array): number {
  const req = readRequest(msg);
  if (typeof req === 'number') return req;
  const { net } = netlinkRequester(skb);
  const handler = net.machine.netGlobals.inetDiagTable.get(req.protocol);
  if (handler === undefined) return -ENOENT;
  const sk = handler.findOne(net, req, SOCK_DESTROY);
  if (typeof sk === 'number') return sk;
  const err = handler.destroy(sk);
  handler.put(sk);
  return err;
}

/** @kernel inet_diag_init net/ipv4/inet_diag.c */
function inetDiagInit(machine: Machine): number {
  return sockDiagRegister(machine, {
    family: AF_INET,
    dump: inetDiagHandlerDump,
    destroy: inetDiagHandlerDestroy,
    getInfo: inetDiagHandlerGetInfo,
  });
}

export const inetDiagModule: KernelModule = {
  name: 'inet_diag',
  config: 'CONFIG_INET_DIAG',
  depends: ['sock_diag'],
  level: DEVICE_INITCALL,
  init: inetDiagInit,
  exit: null,
};
