/**
 * Sending through raw sockets, with the user's IP header (IP_HDRINCL) or ours. Counterpart of the
 * sending part of net/ipv4/raw.c.
 */

import { SOCKADDR_IN_LEN, saFamily, sinAddr } from '#include/linux/in.ts';
import type { Msghdr } from '#include/linux/net.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { llReservedSpace, NET_XMIT_CN } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  CHECKSUM_NONE,
  SKB_CLOCK_MONOTONIC,
  skbReserve,
  skbResetNetworkHeader,
  skbSetDeliveryTime,
} from '#include/linux/skbuff.ts';
import { dstOutput, dstRelease, skbDstSet } from '#include/net/dst.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { FLOWI_FLAG_KNOWN_NH, flowi4InitOutput } from '#include/net/flow.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import { inetSkFlowiFlags } from '#include/net/inet_sock.ts';
import type { IpcmCookie } from '#include/net/ip.ts';
import { getRttos, ipcmInitSk, ipIncStats, ipSendmsgScope } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_BROADCAST } from '#include/net/sock.ts';
import { ipFastCsum } from '#lib/checksum.ts';
import { view } from '#mm/memory.ts';
import { copyBytesFromIter, copyFromIterFull, iovIterRevert } from '#net/core/iov_iter.ts';
import { kfreeSkb, skbPut } from '#net/core/skbuff.ts';
import { skbSetupTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { lockSock, releaseSock, sockFlag } from '#net/core/sock.ts';
import { sockAllocSendSkb } from '#net/core/sock_alloc.ts';
import { icmpOutCount } from '#net/ipv4/icmp_count.ts';
import { ipSelectIdent } from '#net/ipv4/ip_output.ts';
import {
  ipAppendData,
  ipFlushPendingFrames,
  ipGenericGetfrag,
  ipPushPendingFrames,
} from '#net/ipv4/ip_output_append.ts';
import { ipCmsgSend } from '#net/ipv4/ip_sockglue_cmsg.ts';
import { ipLocalError } from '#net/ipv4/ip_sockglue_error.ts';
import { ipRouteOutputFlow } from '#net/ipv4/route.ts';
import { NF_HOOK } from '#net/netfilter/core.ts';
import {
  EACCES,
  EAFNOSUPPORT,
  EDESTADDRREQ,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENOBUFS,
  EOPNOTSUPP,
} from '#uapi/errno.ts';
import { icmphdr } from '#uapi/icmp.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_RAW, ipv4IsMulticast } from '#uapi/in.ts';
import { RTCF_BROADCAST } from '#uapi/in_route.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_SKB_UCOPY_FAULT,
} from '#uapi/net_dropreason.ts';
import { NF_INET_LOCAL_OUT, NFPROTO_IPV4 } from '#uapi/netfilter.ts';
import { IPSTATS_MIB_OUTDISCARDS } from '#uapi/snmp.ts';
import { AF_INET, AF_UNSPEC, MSG_CONFIRM, MSG_MORE, MSG_OOB, MSG_PROBE } from '#uapi/socket.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';

/** Longest IPv4 datagram. */
const LEN_MAX = 0xffff;

/** Completes the user's header where Linux does; 0 or -EINVAL. */
function completeHeader(sk: Sock, skb: SkBuff, length: number, fl4: Flowi4): number {
  const iph = skb.networkHeader;
  const iphlen = iphdr.hdrlen(view, iph);
  // The header is the user's business, but it must be one, and not point beyond the packet.
  if (iphlen > length || iphlen < iphdr.LEN) return -EINVAL;
  if (iphdr.saddr(view, iph) === 0) iphdr.setSaddr(view, iph, fl4.saddr);
  iphdr.setTotLen(view, iph, length);
  if (iphdr.id(view, iph) === 0) ipSelectIdent(sk.net, skb, null);
  iphdr.setCheck(view, iph, 0);
  iphdr.setCheck(view, iph, ipFastCsum(view, iph, iphlen >> 2));
  skb.transportHeader += iphlen;
  if (iphdr.protocol(view, iph) === IPPROTO_ICMP && length >= iphlen + icmphdr.LEN) {
    icmpOutCount(sk.net, icmphdr.type(view, skb.transportHeader));
  }
  return 0;
}

/** Counts a failed send; senders without IP_RECVERR do not hear of full queues. */
function sendFailed(sk: Sock, err: number): number {
  ipIncStats(sk.net, IPSTATS_MIB_OUTDISCARDS);
  return err === -ENOBUFS && !inetSk(sk).recverr ? 0 : err;
}

/** The user's packet with the user's header. Takes the route. @kernel raw_send_hdrinc net/ipv4/raw.c */
function rawSendHdrinc(
  sk: Sock,
  fl4: Flowi4,
  msg: Msghdr,
  length: number,
  rt: Rtable,
  ipc: IpcmCookie,
): number {
  const { net } = sk;
  const out = rt.dev as NetDevice;
  if (length > out.mtu) {
    ipLocalError(sk, EMSGSIZE, fl4.daddr, inetSk(sk).skcDport, out.mtu);
    dstRelease(rt);
    return -EMSGSIZE;
  }
  if (length < iphdr.LEN || (msg.msgFlags & MSG_PROBE) !== 0) {
    dstRelease(rt);
    return length < iphdr.LEN ? -EINVAL : 0;
  }
  const hlen = llReservedSpace(out);
  const skb = sockAllocSendSkb(sk, length + hlen + out.neededTailroom + 15);
  if (typeof skb === 'number') {
    dstRelease(rt);
    return sendFailed(sk, skb);
  }
  skbReserve(skb, hlen);
  skb.protocol = ETH_P_IP;
  skb.priority = ipc.priority;
  skb.mark = ipc.mark;
  skbSetDeliveryTime(skb, ipc.transmitTime, SKB_CLOCK_MONOTONIC);
  skbSetupTxTimestamp(skb, sk, ipc);
  skbDstSet(skb, rt);
  skbResetNetworkHeader(skb);
  skbPut(skb, length);
  skb.ipSummed = CHECKSUM_NONE;
  if ((msg.msgFlags & MSG_CONFIRM) !== 0) skb.dstPendingConfirm = true;
  skb.transportHeader = skb.networkHeader;
  if (!copyFromIterFull(skb.networkHeader, length, msg.msgIter)) {
    kfreeSkb(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT, 'raw_send_hdrinc');
    return sendFailed(sk, -EFAULT);
  }
  let err = completeHeader(sk, skb, length, fl4);
  if (err !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'raw_send_hdrinc');
    return sendFailed(sk, err);
  }
  err = NF_HOOK(NFPROTO_IPV4, NF_INET_LOCAL_OUT, net, sk, skb, null, out, dstOutput);
  if (err > 0) err = err === NET_XMIT_CN ? 0 : -ENOBUFS;
  return err === 0 ? 0 : sendFailed(sk, err);
}

/** Type and code of the ICMP message to be sent, for the route lookup. @kernel raw_probe_proto_opt net/ipv4/raw.c */
function rawProbeProtoOpt(msg: Msghdr, fl4: Flowi4): number {
  if (fl4.flowi4Proto !== IPPROTO_ICMP) return 0;
  const head = new Uint8Array(2);
  const n = copyBytesFromIter(head, 2, msg.msgIter);
  iovIterRevert(msg.msgIter, n);
  if (n < 2) return -EFAULT;
  fl4.fl4IcmpType = head[0] as number;
  fl4.fl4IcmpCode = head[1] as number;
  return 0;
}

/** Where to: the destination in `ipc.addr`, the source in `fl4.saddr`. 0 or a negative errno. */
function rawFlow(sk: Sock, msg: Msghdr, daddrIn: number, ipc: IpcmCookie, fl4: Flowi4): number {
  const inet = inetSk(sk);
  let daddr = daddrIn;
  let saddr = ipc.addr;
  ipc.addr = daddr;
  ipc.opt ??= inet.inetOpt;
  if (ipc.opt !== null) {
    // Options are not ours to put into a header that is the user's.
    if (inet.hdrincl) return -EINVAL;
    if (ipc.opt.srr !== 0) {
      if (daddr === 0) return -EINVAL;
      daddr = ipc.opt.faddr;
    }
  }
  const scope = ipSendmsgScope(inet, ipc, msg.msgFlags);
  if (ipv4IsMulticast(daddr)) {
    if (ipc.oif === 0) ipc.oif = inet.mcIndex;
    if (saddr === 0) saddr = inet.mcAddr;
  } else if (ipc.oif === 0) {
    ipc.oif = inet.ucIndex;
  }
  const proto = inet.hdrincl ? ipc.protocol : sk.skProtocol;
  const flags = inetSkFlowiFlags(inet) | (inet.hdrincl ? FLOWI_FLAG_KNOWN_NH : 0);
  const tos = getRttos(ipc, inet);
  flowi4InitOutput(fl4, ipc.oif, ipc.mark, tos, scope, proto, flags, daddr, saddr, 0, 0, sk.skUid);
  return inet.hdrincl ? 0 : rawProbeProtoOpt(msg, fl4);
}

/** The header is ours. Takes the route. */
function rawSendAppend(
  sk: Sock,
  fl4: Flowi4,
  msg: Msghdr,
  len: number,
  rt: Rtable,
  ipc: IpcmCookie,
): number {
  if (ipc.addr === 0) ipc.addr = fl4.daddr;
  lockSock(sk);
  let err = ipAppendData(sk, fl4, ipGenericGetfrag, msg, len, 0, ipc, rt, msg.msgFlags);
  if (err !== 0) ipFlushPendingFrames(sk);
  else if ((msg.msgFlags & MSG_MORE) === 0) {
    err = ipPushPendingFrames(sk, fl4);
    if (err === -ENOBUFS && !inetSk(sk).recverr) err = 0;
  }
  releaseSock(sk);
  return err;
}

/** The destination that the call or the connection names, or a negative errno. */
function rawDestination(sk: Sock, msg: Msghdr): number {
  const name = msg.msgName;
  if (name !== null && msg.msgNamelen !== 0) {
    if (msg.msgNamelen < SOCKADDR_IN_LEN) return -EINVAL;
    const family = saFamily(name);
    if (family !== AF_INET && family !== AF_UNSPEC) return -EAFNOSUPPORT;
    return sinAddr(name);
  }
  return sk.skcState === TCP_ESTABLISHED ? sk.skcDaddr : -EDESTADDRREQ;
}

/** Octets sent, or a negative errno. @kernel raw_sendmsg net/ipv4/raw.c */
export function rawSendmsg(sk: Sock, msg: Msghdr, len: number): number {
  const inet = inetSk(sk);
  const { net } = sk;
  if (len > LEN_MAX) return -EMSGSIZE;
  if ((msg.msgFlags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  const daddr = rawDestination(sk, msg);
  if (daddr < 0) return daddr;
  const { ipc, fl4 } = net.ipv4.sendmsgScratch;
  ipcmInitSk(ipc, inet);
  if (inet.hdrincl) ipc.protocol = IPPROTO_RAW;
  if (msg.msgControllen !== 0) {
    const err = ipCmsgSend(sk, msg, ipc);
    if (err !== 0) return err;
  }
  let err = rawFlow(sk, msg, daddr, ipc, fl4);
  if (err !== 0) return err;
  const rt = ipRouteOutputFlow(net, fl4, sk);
  if (typeof rt === 'number') return rt;
  if ((rt.rtFlags & RTCF_BROADCAST) !== 0 && !sockFlag(sk, SOCK_BROADCAST)) {
    dstRelease(rt);
    return -EACCES;
  }
  if (inet.hdrincl) err = rawSendHdrinc(sk, fl4, msg, len, rt, ipc);
  else err = rawSendAppend(sk, fl4, msg, len, rt, ipc);
  return err === 0 ? len : err;
}
