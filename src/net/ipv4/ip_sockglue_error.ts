/**
 * Errors on their way to users: the error queue and recvmsg(MSG_ERRQUEUE), and the control messages
 * of received packets. Counterpart of the receiving part of net/ipv4/ip_sockglue.c; it stands apart
 * so that the output path can report errors.
 */
import { SockExterrSkb, skbExtErr, skbSetExtErr } from '#include/linux/errqueue.ts';
import { putSockaddrIn, SOCKADDR_IN_LEN } from '#include/linux/in.ts';
import type { Msghdr } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  __skbPull,
  CHECKSUM_COMPLETE,
  skbResetNetworkHeader,
  skbResetTransportHeader,
  skbTransportOffset,
} from '#include/linux/skbuff.ts';
import { skbDstDrop, skbDstForce } from '#include/net/dst.ts';
import { LOOPBACK_IFINDEX } from '#include/net/flow.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import { IpOptions } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { ipOptionsEcho, ipOptionsUndo } from '#include/net/ip_options_ops.ts';
import type { Sock } from '#include/net/sock.ts';
import { csumFold } from '#lib/checksum.ts';
import { mem, memops, view } from '#mm/memory.ts';
import { skbCopyDatagramMsg } from '#net/core/datagram.ts';
import { putCmsg, putCmsgInt, sockRecvTimestamp } from '#net/core/scm.ts';
import { allocSkb, consumeSkb, kfreeSkb, skbClone, skbPull, skbPut } from '#net/core/skbuff.ts';
import { skbCopyBits } from '#net/core/skbuff_data.ts';
import { sockDequeueErrSkb, sockQueueErrSkb } from '#net/core/sock.ts';
import { fibComputeSpecDst } from '#net/ipv4/fib_frontend_source.ts';
import { EAGAIN } from '#uapi/errno.ts';
import {
  SO_EE_ORIGIN_ICMP,
  SO_EE_ORIGIN_LOCAL,
  SO_EE_RFC4884_FLAG_INVALID,
  sockExtendedErr,
} from '#uapi/errqueue.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_EXT_ORIG_DGRAM_MIN_LEN,
  ICMP_EXT_VERSION,
  ICMP_PARAMETERPROB,
  ICMP_TIME_EXCEEDED,
  icmphdr,
} from '#uapi/icmp.ts';
import {
  IP_CHECKSUM,
  IP_ORIGDSTADDR,
  IP_PKTINFO,
  IP_RECVERR,
  IP_RECVFRAGSIZE,
  IP_RECVOPTS,
  IP_RETOPTS,
  IP_TOS,
  IP_TTL,
  inPktinfo,
} from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_NOMEM,
  SKB_DROP_REASON_SKB_UCOPY_FAULT,
  SKB_DROP_REASON_SOCKET_RCVBUFF,
} from '#uapi/net_dropreason.ts';
import { SOF_TIMESTAMPING_OPT_CMSG } from '#uapi/net_tstamp.ts';
import { MSG_CTRUNC, MSG_ERRQUEUE, MSG_TRUNC, SOL_IP } from '#uapi/socket.ts';

/** sizeof(struct icmp_ext_hdr), and of struct icmp_extobj_hdr. */
const ICMP_EXT_HDR_LEN = 4;

// Bits of InetSock.cmsgFlags: what a receiver wants to be told. @kernel IP_CMSG_PKTINFO include/net/inet_sock.h
export const IP_CMSG_PKTINFO: number = 1 << 0;
export const IP_CMSG_TTL: number = 1 << 1;
export const IP_CMSG_TOS: number = 1 << 2;
export const IP_CMSG_RECVOPTS: number = 1 << 3;
export const IP_CMSG_RETOPTS: number = 1 << 4;
export const IP_CMSG_PASSSEC: number = 1 << 5;
export const IP_CMSG_ORIGDSTADDR: number = 1 << 6;
export const IP_CMSG_CHECKSUM: number = 1 << 7;
export const IP_CMSG_RECVFRAGSIZE: number = 1 << 8;

/** The interface a packet came in on. @kernel inet_iif include/net/route.h */
export function inetIif(skb: SkBuff): number {
  const rt = skb.dst as Rtable | null;
  return rt !== null && rt.rtIif !== 0 ? rt.rtIif : skb.skbIif;
}

/**
 * Before a packet is queued to a socket: keeps what IP_PKTINFO will tell, and lets go of the route.
 * @kernel ipv4_pktinfo_prepare net/ipv4/ip_sockglue.c
 */
export function ipv4PktinfoPrepare(sk: Sock, skb: SkBuff, dropDst: boolean): void {
  const cb = skb.ipCb;
  if ((inetSk(sk).cmsgFlags & IP_CMSG_PKTINFO) !== 0 && skb.dst !== null) {
    // What was sent to ourselves by way of loopback came, to the user, from the interface it names.
    cb.ipiIfindex = cb.iif === LOOPBACK_IFINDEX ? inetIif(skb) : cb.iif;
    cb.ipiSpecDst = fibComputeSpecDst(skb);
  } else {
    cb.ipiIfindex = 0;
    cb.ipiSpecDst = 0;
  }
  // Echoing options needs the route later.
  if (cb.opt.optlen !== 0) skbDstForce(skb);
  else if (dropDst) skbDstDrop(skb);
}

function recvPktinfo(msg: Msghdr, skb: SkBuff): void {
  const data = new Uint8Array(inPktinfo.LEN);
  const v = new DataView(data.buffer);
  inPktinfo.setIfindex(v, 0, skb.ipCb.ipiIfindex);
  inPktinfo.setSpecDst(v, 0, skb.ipCb.ipiSpecDst);
  inPktinfo.setAddr(v, 0, iphdr.daddr(view, skb.networkHeader));
  putCmsg(msg, SOL_IP, IP_PKTINFO, data);
}

/** The options as they came. */
function recvOpts(msg: Msghdr, skb: SkBuff): void {
  const { optlen } = skb.ipCb.opt;
  if (optlen === 0) return;
  const at = skb.networkHeader + iphdr.LEN;
  putCmsg(msg, SOL_IP, IP_RECVOPTS, mem.slice(at, at + optlen));
}

/** The options as an answer would carry them. @kernel ip_cmsg_recv_retopts net/ipv4/ip_sockglue.c */
function recvRetopts(msg: Msghdr, sk: Sock, skb: SkBuff): void {
  if (skb.ipCb.opt.optlen === 0) return;
  const opt = new IpOptions();
  if (ipOptionsEcho(sk.net, opt, skb) !== 0) {
    msg.msgFlags |= MSG_CTRUNC;
    return;
  }
  putCmsg(msg, SOL_IP, IP_RETOPTS, ipOptionsUndo(sk.net, opt));
}

function recvDstaddr(msg: Msghdr, skb: SkBuff): void {
  const off = skbTransportOffset(skb);
  if (skb.transportHeader + 4 > skb.tail || off > skb.len) return;
  const data = new Uint8Array(SOCKADDR_IN_LEN);
  const daddr = iphdr.daddr(view, skb.networkHeader);
  putSockaddrIn(data, daddr, view.getUint16(skb.transportHeader + 2));
  putCmsg(msg, SOL_IP, IP_ORIGDSTADDR, data);
}

/**
 * The sum of what was read, where one was made of the whole packet: of words of four octets, as they
 * lie in the memory of a little-endian machine.
 *
 * @kernel ip_cmsg_recv_checksum net/ipv4/ip_sockglue.c
 */
function recvChecksum(msg: Msghdr, skb: SkBuff, tlen: number, offset: number): void {
  if (skb.ipSummed !== CHECKSUM_COMPLETE) return;
  const from = skbTransportOffset(skb) + tlen + offset;
  const data = new Uint8Array((skb.len - from + 3) & ~3);
  skbCopyBits(skb, from, data, 0, skb.len - from);
  const words = new DataView(data.buffer);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) {
    sum += words.getUint32(at, true);
    if (sum > 0xffffffff) sum -= 0xffffffff;
  }
  // What is left of a sum after its header's was taken away is never 0, but the other zero.
  putCmsgInt(msg, SOL_IP, IP_CHECKSUM, sum === 0 ? -1 : sum | 0);
}

/**
 * Tells the receiver what it asked for about a packet. `tlen`: length of the transport header,
 * `offset`: where in the payload the reading began.
 * @kernel ip_cmsg_recv_offset net/ipv4/ip_sockglue.c
 */
export function ipCmsgRecvOffset(
  msg: Msghdr,
  sk: Sock,
  skb: SkBuff,
  tlen: number,
  offset: number,
): void {
  const flags = inetSk(sk).cmsgFlags;
  const iph = skb.networkHeader;
  if ((flags & IP_CMSG_PKTINFO) !== 0) recvPktinfo(msg, skb);
  if ((flags & IP_CMSG_TTL) !== 0) putCmsgInt(msg, SOL_IP, IP_TTL, iphdr.ttl(view, iph));
  if ((flags & IP_CMSG_TOS) !== 0) {
    putCmsg(msg, SOL_IP, IP_TOS, new Uint8Array([iphdr.tos(view, iph)]));
  }
  if ((flags & IP_CMSG_RECVOPTS) !== 0) recvOpts(msg, skb);
  if ((flags & IP_CMSG_RETOPTS) !== 0) recvRetopts(msg, sk, skb);
  if ((flags & IP_CMSG_ORIGDSTADDR) !== 0) recvDstaddr(msg, skb);
  if ((flags & IP_CMSG_CHECKSUM) !== 0) recvChecksum(msg, skb, tlen, offset);
  if ((flags & IP_CMSG_RECVFRAGSIZE) !== 0 && skb.ipCb.fragMaxSize !== 0) {
    putCmsgInt(msg, SOL_IP, IP_RECVFRAGSIZE, skb.ipCb.fragMaxSize);
  }
}

/** @kernel ip_cmsg_recv include/net/ip.h */
export function ipCmsgRecv(msg: Msghdr, sk: Sock, skb: SkBuff): void {
  ipCmsgRecvOffset(msg, sk, skb, 0, 0);
}

/**
 * Do the objects of an ICMP extension at `at` fill `len` octets, its checksum being right?
 * @kernel ip_icmp_error_rfc4884_validate net/ipv4/icmp.c
 * @rfc 4884#7
 */
function icmpExtensionValid(at: number, len: number): boolean {
  if ((mem[at] as number) >> 4 !== ICMP_EXT_VERSION) return false;
  const check = view.getUint16(at + 2);
  if (check !== 0 && csumFold(memops.csumPartial(at, len, 0)) !== 0) return false;
  for (let off = ICMP_EXT_HDR_LEN; off < len; ) {
    if (off + ICMP_EXT_HDR_LEN > len) return false;
    const objlen = view.getUint16(at + off);
    if (objlen < ICMP_EXT_HDR_LEN || off + objlen > len) return false;
    off += objlen;
  }
  return true;
}

/**
 * Where, from `data` on, an extension follows the quoted datagram, as ee_data tells users: length in
 * the low half, a flag above when it is not valid. 0: there is none.
 * @kernel ip_icmp_error_rfc4884 net/ipv4/icmp.c
 * @rfc 4884#5
 */
function icmpErrorRfc4884(skb: SkBuff, icmph: number): number {
  if (!icmpExtendable(icmphdr.type(view, icmph))) return 0;
  const headers = skb.data - (icmph + icmphdr.LEN);
  const length = icmphdr.length(view, icmph) << 2;
  if (length < ICMP_EXT_ORIG_DGRAM_MIN_LEN || length < headers) return 0;
  const off = length - headers;
  if (off + ICMP_EXT_HDR_LEN > skb.len || skb.dataLen !== 0) return 0;
  const valid = icmpExtensionValid(skb.data + off, skb.len - off);
  return off | (valid ? 0 : SO_EE_RFC4884_FLAG_INVALID << 16);
}

/** Types whose second word holds the length of the quoted datagram. */
function icmpExtendable(type: number): boolean {
  return type === ICMP_DEST_UNREACH || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETERPROB;
}

/**
 * Queues an ICMP error to the socket that sent the offending packet. `skb` is the ICMP message, its
 * `data` at the quoted IP header, `payload` the address of the quoted user data.
 * @kernel ip_icmp_error net/ipv4/ip_sockglue.c
 */
export function ipIcmpError(
  sk: Sock,
  skbIn: SkBuff,
  err: number,
  port: number,
  info: number,
  payload: number,
): void {
  const skb = skbClone(skbIn);
  if (skb === null) return;
  const icmph = skb.transportHeader;
  const ext = new SockExterrSkb();
  ext.eeErrno = err;
  ext.eeOrigin = SO_EE_ORIGIN_ICMP;
  ext.eeType = icmphdr.type(view, icmph);
  ext.eeCode = icmphdr.code(view, icmph);
  ext.eeInfo = info;
  ext.addrOffset = icmph + icmphdr.LEN + 16 - skb.networkHeader;
  ext.port = port;
  skbSetExtErr(skb, ext);
  if (payload - skb.data <= skb.len && skbPull(skb, payload - skb.data) !== 0) {
    if (inetSk(sk).recverrRfc4884) ext.eeData = icmpErrorRfc4884(skb, icmph);
    skbResetTransportHeader(skb);
    if (sockQueueErrSkb(sk, skb) === 0) return;
    kfreeSkb(skb, SKB_DROP_REASON_SOCKET_RCVBUFF, 'ip_icmp_error');
    return;
  }
  kfreeSkb(skb, SKB_DROP_REASON_NOMEM, 'ip_icmp_error');
}

/**
 * Queues an error that this host found before sending: EMSGSIZE with the MTU, as a rule.
 * @kernel ip_local_error net/ipv4/ip_sockglue.c
 */
export function ipLocalError(
  sk: Sock,
  err: number,
  daddr: number,
  port: number,
  info: number,
): void {
  if (!inetSk(sk).recverr) return;
  const skb = allocSkb(sk.net.machine, iphdr.LEN);
  if (skb === null) return;
  skbPut(skb, iphdr.LEN);
  skbResetNetworkHeader(skb);
  mem.fill(0, skb.data, skb.tail);
  iphdr.setDaddr(view, skb.networkHeader, daddr);
  const ext = new SockExterrSkb();
  ext.eeErrno = err;
  ext.eeOrigin = SO_EE_ORIGIN_LOCAL;
  ext.eeInfo = info;
  ext.addrOffset = 16;
  ext.port = port;
  skbSetExtErr(skb, ext);
  __skbPull(skb, skb.tail - skb.data);
  skbResetTransportHeader(skb);
  if (sockQueueErrSkb(sk, skb) !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_SOCKET_RCVBUFF, 'ip_local_error');
  }
}

/**
 * May control messages be made of an entry? Of an ICMP error always; of a time-stamped packet, to
 * tell where it left, when asked for and when the packet is there.
 * @kernel ipv4_datagram_support_cmsg net/ipv4/ip_sockglue.c
 */
function supportsCmsg(sk: Sock, skb: SkBuff, ext: SockExterrSkb): boolean {
  if (ext.eeOrigin === SO_EE_ORIGIN_ICMP) return true;
  if (ext.eeOrigin === SO_EE_ORIGIN_LOCAL) return false;
  if ((sk.skTsflags & SOF_TIMESTAMPING_OPT_CMSG) === 0 || skb.ipCb.ipiIfindex === 0) return false;
  skb.ipCb.ipiSpecDst = iphdr.saddr(view, skb.networkHeader);
  return true;
}

/** struct sock_extended_err with the offender's address behind it. */
function errhdrOf(skb: SkBuff, ext: SockExterrSkb): Uint8Array {
  const data = new Uint8Array(sockExtendedErr.LEN + SOCKADDR_IN_LEN);
  const v = new DataView(data.buffer);
  sockExtendedErr.setErrno(v, 0, ext.eeErrno);
  sockExtendedErr.setOrigin(v, 0, ext.eeOrigin);
  sockExtendedErr.setType(v, 0, ext.eeType);
  sockExtendedErr.setCode(v, 0, ext.eeCode);
  sockExtendedErr.setInfo(v, 0, ext.eeInfo);
  sockExtendedErr.setData(v, 0, ext.eeData);
  if (ext.eeOrigin === SO_EE_ORIGIN_ICMP) {
    const offender = iphdr.saddr(view, skb.networkHeader);
    putSockaddrIn(data.subarray(sockExtendedErr.OFFENDER), offender, 0);
  }
  return data;
}

/**
 * recvmsg(MSG_ERRQUEUE): one error, the user data of the packet that caused it, and where that went.
 * Octets copied, or -EAGAIN.
 * @kernel ip_recv_error net/ipv4/ip_sockglue.c
 */
export function ipRecvError(sk: Sock, msg: Msghdr, len: number): number {
  const skb = sockDequeueErrSkb(sk);
  if (skb === null) return -EAGAIN;
  let copied = skb.len;
  if (copied > len) {
    msg.msgFlags |= MSG_TRUNC;
    copied = len;
  }
  const err = skbCopyDatagramMsg(skb, 0, msg, copied);
  if (err !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT, 'ip_recv_error');
    return err;
  }
  sockRecvTimestamp(msg, sk, skb);
  const ext = skbExtErr(skb);
  const icmp = ext.eeOrigin === SO_EE_ORIGIN_ICMP;
  if (msg.msgName !== null && (icmp || ext.eeOrigin === SO_EE_ORIGIN_LOCAL || ext.port !== 0)) {
    const daddr = view.getUint32(skb.networkHeader + ext.addrOffset);
    msg.msgNamelen = putSockaddrIn(msg.msgName, daddr, ext.port);
  }
  if (supportsCmsg(sk, skb, ext) && inetSk(sk).cmsgFlags !== 0) ipCmsgRecv(msg, sk, skb);
  putCmsg(msg, SOL_IP, IP_RECVERR, errhdrOf(skb, ext));
  msg.msgFlags |= MSG_ERRQUEUE;
  consumeSkb(skb, 'ip_recv_error');
  return copied;
}
