/**
 * Sending UDP: the fast path for one datagram a call, corking, checksums. Counterpart of the sending
 * part of net/ipv4/udp.c. RFC 768, 1122#4.1.
 */
import { SOCKADDR_IN_LEN, saFamily, sinAddr, sinPort } from '#include/linux/in.ts';
import type { Msghdr } from '#include/linux/net.ts';
import { SOCK_NOSPACE } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  SKB_GSO_UDP_L4,
  skbHasFragList,
  skbNetworkHeaderLen,
  skbTransportOffset,
} from '#include/linux/skbuff.ts';
import { dstClone, dstRelease } from '#include/net/dst.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { flowi4InitOutput } from '#include/net/flow.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import { inetSkFlowiFlags } from '#include/net/inet_sock.ts';
import type { IpcmCookie } from '#include/net/ip.ts';
import { getRttos, ipcmInitSk, ipIncStats, ipSendmsgScope, udpIncStats } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { InetCork, InetSock, Sock } from '#include/net/sock.ts';
import { SOCK_BROADCAST } from '#include/net/sock.ts';
import type { UdpSock } from '#include/net/udp.ts';
import { UDP_MAX_SEGMENTS } from '#include/net/udp.ts';
import { csumAdd, csumTcpudpMagic } from '#lib/checksum.ts';
import { memops, view } from '#mm/memory.ts';
import { nextCmsg } from '#net/core/scm.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { CSUM_MANGLED_0 } from '#net/core/skbuff_checksum.ts';
import { skbChecksum } from '#net/core/skbuff_data.ts';
import { lockSock, releaseSock, skDstCheck, skDstSet, sockFlag } from '#net/core/sock.ts';
import {
  ipAppendData,
  ipFinishSkb,
  ipFlushPendingFrames,
  ipGenericGetfrag,
  ipMakeSkb,
  ipSendSkb,
} from '#net/ipv4/ip_output_append.ts';
import { ipCmsgSend } from '#net/ipv4/ip_sockglue_cmsg.ts';
import { ipRouteOutputFlow } from '#net/ipv4/route.ts';
import {
  EACCES,
  EAFNOSUPPORT,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  ENOBUFS,
  EOPNOTSUPP,
} from '#uapi/errno.ts';
import { IPPROTO_UDP, ipv4IsMulticast } from '#uapi/in.ts';
import { RTCF_BROADCAST } from '#uapi/in_route.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import { RT_SCOPE_LINK } from '#uapi/rtnetlink.ts';
import { IPSTATS_MIB_OUTNOROUTES, UDP_MIB_OUTDATAGRAMS, UDP_MIB_SNDBUFERRORS } from '#uapi/snmp.ts';
import { AF_INET, AF_UNSPEC, MSG_MORE, MSG_OOB, SOL_UDP } from '#uapi/socket.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';
import { UDP_SEGMENT, udphdr } from '#uapi/udp.ts';

/** Offset of the checksum in the header. */
const CHECK_OFFSET = 6;

/** Stores a checksum; what computes to 0 is sent as all ones, for 0 means "none". @rfc 768 */
function setCheck(uh: number, check: number): void {
  udphdr.setCheck(view, uh, check === 0 ? CSUM_MANGLED_0 : check);
}

/** The sum of a datagram whose data was summed while it was copied. @kernel udp_csum include/net/udp.h */
function udpCsum(skb: SkBuff): number {
  let csum = memops.csumPartial(skb.transportHeader, udphdr.LEN, skb.csum);
  for (let frag = skb.shinfo.fragList; frag !== null; frag = frag.next) {
    csum = csumAdd(csum, frag.csum);
  }
  return csum;
}

/**
 * Leaves the checksum to the device, or completes it when the datagram is in fragments.
 * @kernel udp4_hwcsum net/ipv4/udp.c
 */
function udp4Hwcsum(skb: SkBuff, saddr: number, daddr: number): void {
  const uh = skb.transportHeader;
  const offset = skbTransportOffset(skb);
  const len = skb.len - offset;
  if (!skbHasFragList(skb)) {
    skb.ipSummed = CHECKSUM_PARTIAL;
    skb.csumStart = uh;
    skb.csumOffset = CHECK_OFFSET;
    udphdr.setCheck(view, uh, ~csumTcpudpMagic(saddr, daddr, len, IPPROTO_UDP, 0) & 0xffff);
    return;
  }
  let csum = 0;
  let hlen = len;
  for (let frag = skb.shinfo.fragList; frag !== null; frag = frag.next) {
    csum = csumAdd(csum, frag.csum);
    hlen -= frag.len;
  }
  csum = skbChecksum(skb, offset, hlen, csum);
  skb.ipSummed = CHECKSUM_NONE;
  setCheck(uh, csumTcpudpMagic(saddr, daddr, len, IPPROTO_UDP, csum));
}

/** Prepares a UDP_SEGMENT send: 0, or the errno that refuses it. 1: the device does the rest. */
function setupGso(skb: SkBuff, sk: Sock, cork: InetCork, datalen: number): number {
  const size = cork.gsoSize;
  const hlen = skbNetworkHeaderLen(skb) + udphdr.LEN;
  if (hlen + Math.min(datalen, size) > cork.fragsize) return -EMSGSIZE;
  if (datalen > size * UDP_MAX_SEGMENTS || sk.skNoCheckTx) return -EINVAL;
  if (datalen <= size) return 0;
  skb.shinfo.gsoSize = size;
  skb.shinfo.gsoType = SKB_GSO_UDP_L4;
  skb.shinfo.gsoSegs = Math.ceil(datalen / size);
  return 1;
}

/** Writes the header and sends. Takes the packet. @kernel udp_send_skb net/ipv4/udp.c */
function udpSendSkb(skb: SkBuff, fl4: Flowi4, cork: InetCork): number {
  const sk = skb.sk as InetSock;
  const { net } = sk;
  const uh = skb.transportHeader;
  const len = skb.len - skbTransportOffset(skb);
  udphdr.setSource(view, uh, sk.inetSport);
  udphdr.setDest(view, uh, fl4.fl4Dport);
  udphdr.setLen(view, uh, len);
  udphdr.setCheck(view, uh, 0);
  const gso = cork.gsoSize === 0 ? 0 : setupGso(skb, sk, cork, len - udphdr.LEN);
  if (gso < 0) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'udp_send_skb');
    return gso;
  }
  if (sk.skNoCheckTx) skb.ipSummed = CHECKSUM_NONE;
  else if (gso === 1 || skb.ipSummed === CHECKSUM_PARTIAL) {
    udp4Hwcsum(skb, fl4.saddr, fl4.daddr);
  } else {
    setCheck(uh, csumTcpudpMagic(fl4.saddr, fl4.daddr, len, IPPROTO_UDP, udpCsum(skb)));
  }
  const err = ipSendSkb(net, skb);
  if (err === 0) {
    udpIncStats(net, UDP_MIB_OUTDATAGRAMS);
    return 0;
  }
  if (err !== -ENOBUFS || sk.recverr) return err;
  // A full queue is no error to a sender that did not ask to be told.
  udpIncStats(net, UDP_MIB_SNDBUFERRORS);
  return 0;
}

/** Restores the flow of the pending datagram. */
function corkFlow(sk: InetSock, fl4: Flowi4): void {
  const { cork } = sk;
  fl4.saddr = cork.saddr;
  fl4.daddr = cork.daddr;
  fl4.fl4Sport = cork.sport;
  fl4.fl4Dport = cork.dport;
}

/** Throws the corked datagram away. @kernel udp_flush_pending_frames net/ipv4/udp.c */
export function udpFlushPendingFrames(sk: UdpSock): void {
  if (sk.pending === 0) return;
  sk.len = 0;
  sk.pending = 0;
  ipFlushPendingFrames(sk);
}

/** Sends the corked datagram. @kernel udp_push_pending_frames net/ipv4/udp.c */
export function udpPushPendingFrames(sk: UdpSock): number {
  const { fl4 } = sk.net.ipv4.sendmsgScratch;
  corkFlow(sk, fl4);
  let err = 0;
  const skb = ipFinishSkb(sk, fl4);
  if (skb !== null) err = udpSendSkb(skb, fl4, sk.cork);
  sk.len = 0;
  sk.pending = 0;
  return err;
}

/** 0, 1 (there is something for IP too) or -EINVAL. @kernel udp_cmsg_send net/ipv4/udp.c */
function udpCmsgSend(msg: Msghdr, ipc: IpcmCookie): number {
  let needIp = 0;
  for (let cmsg = nextCmsg(msg, null); cmsg !== null; cmsg = nextCmsg(msg, cmsg)) {
    if (!cmsg.ok) return -EINVAL;
    if (cmsg.level !== SOL_UDP) {
      needIp = 1;
      continue;
    }
    if (cmsg.type !== UDP_SEGMENT || cmsg.data.length !== 2) return -EINVAL;
    ipc.gsoSize = (cmsg.data[0] as number) | ((cmsg.data[1] as number) << 8);
  }
  return needIp;
}

/**
 * Fills the flow of a datagram to `daddr`; `ipc.addr` becomes the destination. False: the cached
 * route of a connection must not be used. Negative: errno.
 */
function udpFlow(
  sk: UdpSock,
  msg: Msghdr,
  daddr: number,
  dport: number,
  ipc: IpcmCookie,
  fl4: Flowi4,
): number {
  let cacheable = 1;
  let saddr = ipc.addr;
  let faddr = daddr;
  ipc.addr = daddr;
  ipc.opt ??= sk.inetOpt;
  if (ipc.opt !== null && ipc.opt.srr !== 0) {
    if (daddr === 0) return -EINVAL;
    faddr = ipc.opt.faddr;
    cacheable = 0;
  }
  const scope = ipSendmsgScope(sk, ipc, msg.msgFlags);
  if (scope === RT_SCOPE_LINK) cacheable = 0;
  if (ipv4IsMulticast(daddr)) {
    if (ipc.oif === 0) ipc.oif = sk.mcIndex;
    if (saddr === 0) saddr = sk.mcAddr;
    cacheable = 0;
  } else if (ipc.oif === 0) {
    ipc.oif = sk.ucIndex;
  }
  flowi4InitOutput(
    fl4,
    ipc.oif,
    ipc.mark,
    getRttos(ipc, sk),
    scope,
    sk.skProtocol,
    inetSkFlowiFlags(sk),
    faddr,
    saddr,
    dport,
    sk.inetSport,
    sk.skUid,
  );
  return cacheable;
}

/** The route, with a reference for the caller, or a negative errno. */
function udpRoute(sk: UdpSock, fl4: Flowi4, connected: boolean): Rtable | number {
  if (connected) {
    const cached = skDstCheck(sk, 0) as Rtable | null;
    if (cached !== null) {
      fl4.saddr = sk.inetSaddr;
      return cached;
    }
  }
  const rt = ipRouteOutputFlow(sk.net, fl4, sk);
  if (typeof rt === 'number') {
    if (rt === -ENETUNREACH) ipIncStats(sk.net, IPSTATS_MIB_OUTNOROUTES);
    return rt;
  }
  if ((rt.rtFlags & RTCF_BROADCAST) !== 0 && !sockFlag(sk, SOCK_BROADCAST)) {
    dstRelease(rt);
    return -EACCES;
  }
  if (connected) skDstSet(sk, dstClone(rt));
  return rt;
}

/** Appends to the pending datagram; sends it unless more follows. The lock is held. */
function udpAppend(
  sk: UdpSock,
  msg: Msghdr,
  ulen: number,
  ipc: IpcmCookie,
  rt: Rtable | null,
  fl4: Flowi4,
  corkreq: boolean,
): number {
  const flags = corkreq ? msg.msgFlags | MSG_MORE : msg.msgFlags;
  sk.len += ulen;
  const err = ipAppendData(sk, fl4, ipGenericGetfrag, msg, ulen, udphdr.LEN, ipc, rt, flags);
  if (err !== 0) {
    udpFlushPendingFrames(sk);
    return err;
  }
  if (!corkreq) return udpPushPendingFrames(sk);
  if (sk.skWriteQueue.next === null) sk.pending = 0;
  return 0;
}

/** Opens a datagram that later calls will add to. Takes the route. */
function udpCorkStart(
  sk: UdpSock,
  msg: Msghdr,
  ulen: number,
  ipc: IpcmCookie,
  rt: Rtable,
  fl4: Flowi4,
): number {
  lockSock(sk);
  const { cork } = sk;
  cork.saddr = fl4.saddr;
  cork.daddr = ipc.addr;
  cork.sport = sk.inetSport;
  cork.dport = fl4.fl4Dport;
  sk.pending = AF_INET;
  corkFlow(sk, fl4);
  const err = udpAppend(sk, msg, ulen, ipc, rt, fl4, true);
  releaseSock(sk);
  return err;
}

/** What a failed or finished send reports. */
function udpSent(sk: UdpSock, err: number, len: number): number {
  if (err === 0) return len;
  // Reporting ENOBUFS alone would leave no trace in the statistics of those who poll for room.
  const waiting = sk.skSocket !== null && (sk.skSocket.flags & (1 << SOCK_NOSPACE)) !== 0;
  if (err === -ENOBUFS || waiting) udpIncStats(sk.net, UDP_MIB_SNDBUFERRORS);
  return err;
}

/** More for the datagram that is pending already. */
function udpSendPending(sk: UdpSock, msg: Msghdr, len: number, corkreq: boolean): number {
  lockSock(sk);
  if (sk.pending !== AF_INET) {
    releaseSock(sk);
    return -EINVAL;
  }
  const { ipc, fl4 } = sk.net.ipv4.sendmsgScratch;
  ipcmInitSk(ipc, sk);
  corkFlow(sk, fl4);
  const err = udpAppend(sk, msg, len, ipc, null, fl4, corkreq);
  releaseSock(sk);
  return udpSent(sk, err, len);
}

/** Is the destination given with the call valid? 0 or a negative errno. */
function checkName(name: Uint8Array, namelen: number): number {
  if (namelen < SOCKADDR_IN_LEN) return -EINVAL;
  const family = saFamily(name);
  if (family !== AF_INET && family !== AF_UNSPEC) return -EAFNOSUPPORT;
  return sinPort(name) === 0 ? -EINVAL : 0;
}

/**
 * Octets sent, or a negative errno.
 * @kernel udp_sendmsg net/ipv4/udp.c
 * @deviation What a connected socket sends goes where it is connected to. Linux keeps the addresses of connect()
 * where a corked datagram puts its own: after one to somebody else, what is sent next without a name goes there too.
 */
export function udpSendmsg(sock: Sock, msg: Msghdr, len: number): number {
  const sk = sock as UdpSock;
  const { net } = sk;
  if (len > 0xffff) return -EMSGSIZE;
  if ((msg.msgFlags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  const corkreq = sk.corkflag !== 0 || (msg.msgFlags & MSG_MORE) !== 0;
  if (sk.pending !== 0) return udpSendPending(sk, msg, len, corkreq);
  const name = msg.msgNamelen === 0 ? null : msg.msgName;
  if (name !== null) {
    const bad = checkName(name, msg.msgNamelen);
    if (bad !== 0) return bad;
  } else if (sk.skcState !== TCP_ESTABLISHED) {
    return -EDESTADDRREQ;
  }
  const daddr = name !== null ? sinAddr(name) : sk.skcDaddr;
  const dport = name !== null ? sinPort(name) : sk.skcDport;
  let connected = name === null;
  const { ipc, fl4 } = net.ipv4.sendmsgScratch;
  ipcmInitSk(ipc, inetSk(sk));
  ipc.gsoSize = sk.gsoSize;
  if (msg.msgControllen !== 0) {
    let err = udpCmsgSend(msg, ipc);
    if (err > 0) {
      err = ipCmsgSend(sk, msg, ipc);
      connected = false;
    }
    if (err < 0) return err;
  }
  const cacheable = udpFlow(sk, msg, daddr, dport, ipc, fl4);
  if (cacheable < 0) return cacheable;
  const rt = udpRoute(sk, fl4, connected && cacheable === 1);
  if (typeof rt === 'number') return udpSent(sk, rt, len);
  if (ipc.addr === 0) ipc.addr = fl4.daddr;
  const ulen = len + udphdr.LEN;
  if (corkreq) return udpSent(sk, udpCorkStart(sk, msg, ulen, ipc, rt, fl4), len);
  // Nothing is pending, so the datagram is built and sent without the lock.
  const hlen = udphdr.LEN;
  const skb = ipMakeSkb(sk, fl4, ipGenericGetfrag, msg, ulen, hlen, ipc, rt, msg.msgFlags);
  if (skb === null) return len;
  const err = typeof skb === 'number' ? skb : udpSendSkb(skb, fl4, sk.cork);
  return udpSent(sk, err, len);
}
