/**
 * Ping sockets, socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP): echo requests without the right to make
 * raw packets. Counterpart of net/ipv4/ping.c. The port number is the echo identifier.
 */
import { putSockaddrIn, SOCKADDR_IN_LEN, saFamily, sinAddr, sinPort } from '#include/linux/in.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Msghdr } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { CHECKSUM_NONE } from '#include/linux/skbuff.ts';
import { dstRelease } from '#include/net/dst.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { flowi4InitOutput } from '#include/net/flow.ts';
import { icmpErrConvert } from '#include/net/icmp.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import { inetSkFlowiFlags } from '#include/net/inet_sock.ts';
import type { IpcmCookie } from '#include/net/ip.ts';
import { getRttos, ipcmInitSk, ipIncStats, ipSendmsgScope } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Proto, ProtoMemory, Sock } from '#include/net/sock.ts';
import {
  InetSock,
  SOCK_BINDADDR_LOCK,
  SOCK_BINDPORT_LOCK,
  SOCK_BROADCAST,
} from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { csumAdd, csumBlockAdd, csumFold } from '#lib/checksum.ts';
import { mem, memops, view } from '#mm/memory.ts';
import { skbCopyDatagramMsg, skbFreeDatagram, skbRecvDatagram } from '#net/core/datagram.ts';
import { copyBytesFromIter, csumAndCopyFromIter } from '#net/core/iov_iter.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { sockRecvTimestamp } from '#net/core/scm.ts';
import { kfreeSkb, skbPush, skSkbReasonDrop } from '#net/core/skbuff.ts';
import {
  lockSock,
  releaseSock,
  skCommonRelease,
  skDstReset,
  skErrorReport,
  sockDefCallbacks,
  sockFlag,
  sockProtInuseAdd,
  sockQueueRcvSkbReason,
} from '#net/core/sock.ts';
import { protoRegister } from '#net/core/sock_proto.ts';
import { INET_PROTOSW_REUSE, inetRegisterProtosw } from '#net/ipv4/af_inet.ts';
import { inetSockrawOps } from '#net/ipv4/af_inet_raw.ts';
import { inetCanNonlocalBind } from '#net/ipv4/af_inet_sock.ts';
import { ip4DatagramConnect, ip4DatagramReleaseCb } from '#net/ipv4/datagram.ts';
import { inetAddrType } from '#net/ipv4/fib_frontend.ts';
import {
  ipAppendData,
  ipFlushPendingFrames,
  ipPushPendingFrames,
} from '#net/ipv4/ip_output_append.ts';
import { ipSetsockopt } from '#net/ipv4/ip_sockglue.ts';
import { ipCmsgSend } from '#net/ipv4/ip_sockglue_cmsg.ts';
import { inetIif, ipCmsgRecv, ipIcmpError, ipRecvError } from '#net/ipv4/ip_sockglue_error.ts';
import { ipGetsockopt } from '#net/ipv4/ip_sockglue_get.ts';
import { ipRouteOutputFlow } from '#net/ipv4/route.ts';
import { ipv4SkRedirect, ipv4SkUpdatePmtu } from '#net/ipv4/route_pmtu.ts';
import { dgramSeqShow } from '#net/ipv4/udp_proc.ts';
import { udpDisconnect } from '#net/ipv4/udp_table.ts';
import { procCreateNet } from '#net/sysctl_net.ts';
import {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EDESTADDRREQ,
  EFAULT,
  EHOSTUNREACH,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  EOPNOTSUPP,
  EPROTO,
  EREMOTEIO,
} from '#uapi/errno.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_EXT_ECHO,
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETERPROB,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  icmphdr,
  NR_ICMP_UNREACH,
} from '#uapi/icmp.ts';
import { INADDR_ANY, IP_PMTUDISC_DONT, IPPROTO_ICMP, ipv4IsMulticast } from '#uapi/in.ts';
import { RTCF_BROADCAST } from '#uapi/in_route.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_NO_SOCKET,
  SKB_DROP_REASON_SKB_UCOPY_FAULT,
  SKB_NOT_DROPPED_YET,
} from '#uapi/net_dropreason.ts';
import { RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from '#uapi/rtnetlink.ts';
import { IPSTATS_MIB_OUTNOROUTES } from '#uapi/snmp.ts';
import { AF_INET, AF_UNSPEC, MSG_ERRQUEUE, MSG_OOB, MSG_TRUNC, SOCK_DGRAM } from '#uapi/socket.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';

/** Identifiers there are. */
const IDENTS = 1 << 16;

function identInUse(net: Net, ident: number): boolean {
  return net.ipv4.pingHash.some((sk) => sk.skcNum === ident);
}

/** The next free identifier, 0 when all are taken. */
function pingFreeIdent(net: Net): number {
  let ident = net.ipv4.pingPortRover;
  for (let i = 0; i < IDENTS; i++) {
    ident = (ident + 1) & 0xffff;
    if (ident !== 0 && !identInUse(net, ident)) return ident;
  }
  return 0;
}

/** 0, or -EADDRINUSE. @kernel ping_get_port net/ipv4/ping.c */
function pingGetPort(sk: Sock, wanted: number): number {
  const { net } = sk;
  let ident = wanted;
  if (ident === 0) {
    ident = pingFreeIdent(net);
    if (ident === 0) return -EADDRINUSE;
    net.ipv4.pingPortRover = ident;
  } else {
    for (const sk2 of net.ipv4.pingHash) {
      if (sk2 === sk || sk2.skcNum !== ident) continue;
      if (sk2.skcReuse === 0 || sk.skcReuse === 0) return -EADDRINUSE;
    }
  }
  sk.skcNum = ident;
  if (!sk.hashed) {
    net.ipv4.pingHash.push(sk);
    sk.hashed = true;
    sockProtInuseAdd(net, sk.skProt, 1);
  }
  return 0;
}

/** @kernel ping_unhash net/ipv4/ping.c */
function pingUnhash(sk: Sock): void {
  if (!sk.hashed) return;
  const { pingHash } = sk.net.ipv4;
  pingHash.splice(pingHash.indexOf(sk), 1);
  sk.hashed = false;
  const inet = inetSk(sk);
  inet.skcNum = 0;
  inet.inetSport = 0;
  sockProtInuseAdd(sk.net, sk.skProt, -1);
}

/** The socket of an identifier; `skb` is what came, its IP header names us. @kernel ping_lookup net/ipv4/ping.c */
function pingLookup(net: Net, skb: SkBuff, ident: number): Sock | null {
  const { pingHash } = net.ipv4;
  const daddr = iphdr.daddr(view, skb.networkHeader);
  const dif = inetIif(skb);
  for (let i = 0; i < pingHash.length; i++) {
    const sk = pingHash[i] as Sock;
    if (sk.skcNum !== ident) continue;
    if (sk.skcRcvSaddr !== 0 && sk.skcRcvSaddr !== daddr) continue;
    if (sk.skcBoundDevIf !== 0 && sk.skcBoundDevIf !== dif) continue;
    return sk;
  }
  return null;
}

/** Group 0, the only one there is, must lie in net.ipv4.ping_group_range. @kernel ping_init_sock net/ipv4/ping.c */
function pingInitSock(sk: Sock): number {
  const { sysctlPingGroupLo: lo, sysctlPingGroupHi: hi } = sk.net.ipv4;
  return lo <= 0 && hi >= 0 ? 0 : -EACCES;
}

/** @kernel ping_pre_connect net/ipv4/ping.c */
function pingPreConnect(_sk: Sock, uaddr: Uint8Array): number {
  return uaddr.length < SOCKADDR_IN_LEN ? -EINVAL : 0;
}

/** @kernel ping_check_bind_addr net/ipv4/ping.c */
function pingCheckBindAddr(sk: Sock, uaddr: Uint8Array): number {
  if (uaddr.length < SOCKADDR_IN_LEN) return -EINVAL;
  const family = saFamily(uaddr);
  const addr = sinAddr(uaddr);
  if (family !== AF_INET && !(family === AF_UNSPEC && addr === INADDR_ANY)) return -EAFNOSUPPORT;
  if (addr === INADDR_ANY) return 0;
  const type = inetAddrType(sk.net, addr);
  if (type === RTN_MULTICAST || type === RTN_BROADCAST) return -EADDRNOTAVAIL;
  if (type !== RTN_LOCAL && !inetCanNonlocalBind(sk.net, inetSk(sk))) return -EADDRNOTAVAIL;
  return 0;
}

function pingBindLocked(sk: Sock, uaddr: Uint8Array): number {
  const inet = inetSk(sk);
  const bad = pingCheckBindAddr(sk, uaddr);
  if (bad !== 0) return bad;
  if (sk.skcNum !== 0) return -EINVAL;
  const snum = sinPort(uaddr);
  if (pingGetPort(sk, snum) !== 0) return -EADDRINUSE;
  const addr = sinAddr(uaddr);
  inet.skcRcvSaddr = addr;
  inet.inetSaddr = addr;
  if (addr !== 0) sk.skUserlocks |= SOCK_BINDADDR_LOCK;
  if (snum !== 0) sk.skUserlocks |= SOCK_BINDPORT_LOCK;
  inet.inetSport = sk.skcNum;
  inet.skcDaddr = 0;
  inet.skcDport = 0;
  skDstReset(sk);
  return 0;
}

/** @kernel ping_bind net/ipv4/ping.c */
function pingBind(sk: Sock, uaddr: Uint8Array): number {
  lockSock(sk);
  const err = pingBindLocked(sk, uaddr);
  releaseSock(sk);
  return err;
}

/** Only echo requests. @kernel ping_supported net/ipv4/ping.c */
function pingSupported(type: number, code: number): boolean {
  return (type === ICMP_ECHO && code === 0) || (type === ICMP_EXT_ECHO && code === 0);
}

/** The errno of an ICMP error, negative when it is hard; 0: none. */
function pingErrno(sk: Sock, skb: SkBuff, type: number, code: number, info: number): number {
  switch (type) {
    case ICMP_SOURCE_QUENCH:
      return EREMOTEIO;
    case ICMP_PARAMETERPROB:
      return -EPROTO;
    case ICMP_REDIRECT:
      ipv4SkRedirect(skb, inetSk(sk));
      return EREMOTEIO;
    case ICMP_DEST_UNREACH: {
      if (code === ICMP_FRAG_NEEDED) {
        ipv4SkUpdatePmtu(skb, inetSk(sk), info);
        return inetSk(sk).pmtudisc !== IP_PMTUDISC_DONT ? -EMSGSIZE : 0;
      }
      const convert = code <= NR_ICMP_UNREACH ? icmpErrConvert[code] : undefined;
      if (convert === undefined) return EHOSTUNREACH;
      return convert.fatal ? -convert.errno : convert.errno;
    }
    default:
      return EHOSTUNREACH;
  }
}

/**
 * An error about an echo request of ours; `offset` from `data` to the quoted ICMP header.
 * @kernel ping_err net/ipv4/ping.c
 */
export function pingErr(skb: SkBuff, offset: number, info: number): void {
  const { net } = skb.dev as { net: Net };
  const quoted = skb.data + offset;
  if (!pingSupported(icmphdr.type(view, quoted), icmphdr.code(view, quoted))) return;
  const sk = pingLookup(net, skb, icmphdr.echoId(view, quoted));
  if (sk === null) return;
  const icmph = skb.transportHeader;
  const type = icmphdr.type(view, icmph);
  const errno = pingErrno(sk, skb, type, icmphdr.code(view, icmph), info);
  if (errno === 0) return;
  const err = Math.abs(errno);
  if (inetSk(sk).recverr) ipIcmpError(sk, skb, err, 0, info, quoted);
  else if (errno > 0 || sk.skcState !== TCP_ESTABLISHED) return;
  sk.skErr = err;
  skErrorReport(sk);
}

/** The user's data, always summed: the ICMP checksum covers all. @kernel ping_getfrag net/ipv4/ping.c */
function pingGetfrag(
  msg: Msghdr,
  to: number,
  _offset: number,
  len: number,
  odd: number,
  skb: SkBuff,
): number {
  const csum = csumAndCopyFromIter(to, len, 0, msg.msgIter);
  if (csum < 0) return csum;
  skb.csum = csumBlockAdd(skb.csum, csum, odd);
  return 0;
}

/** Writes the header and sends. @kernel ping_v4_push_pending_frames net/ipv4/ping.c */
function pingPushPendingFrames(sk: Sock, head: Uint8Array, fl4: Flowi4): number {
  const first = sk.skWriteQueue.next;
  if (first === null) return 0;
  const icmph = first.transportHeader;
  mem.set(head, icmph);
  icmphdr.setChecksum(view, icmph, 0);
  icmphdr.setEchoId(view, icmph, inetSk(sk).inetSport);
  let csum = memops.csumPartial(icmph, icmphdr.LEN, 0);
  for (let skb: SkBuff | null = first; skb !== null; skb = skb.next) csum = csumAdd(csum, skb.csum);
  icmphdr.setChecksum(view, icmph, csumFold(csum));
  first.ipSummed = CHECKSUM_NONE;
  return ipPushPendingFrames(sk, fl4);
}

/** Takes the user's ICMP header off the data. @kernel ping_common_sendmsg net/ipv4/ping.c */
function pingCommonSendmsg(msg: Msghdr, len: number, head: Uint8Array): number {
  if (len > 0xffff) return -EMSGSIZE;
  if (len < icmphdr.LEN) return -EINVAL;
  if ((msg.msgFlags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  if (copyBytesFromIter(head, icmphdr.LEN, msg.msgIter) !== icmphdr.LEN) return -EFAULT;
  return pingSupported(head[0] as number, head[1] as number) ? 0 : -EINVAL;
}

function pingDestination(sk: Sock, msg: Msghdr): number {
  const name = msg.msgName;
  if (name === null || msg.msgNamelen === 0) {
    return sk.skcState === TCP_ESTABLISHED ? sk.skcDaddr : -EDESTADDRREQ;
  }
  if (msg.msgNamelen < SOCKADDR_IN_LEN) return -EINVAL;
  return saFamily(name) === AF_INET ? sinAddr(name) : -EAFNOSUPPORT;
}

/** Fills the flow; 0 or a negative errno. */
function pingFlow(sk: Sock, msg: Msghdr, daddr: number, ipc: IpcmCookie, fl4: Flowi4): number {
  const inet = inetSk(sk);
  let saddr = ipc.addr;
  let faddr = daddr;
  ipc.addr = daddr;
  ipc.opt ??= inet.inetOpt;
  if (ipc.opt !== null && ipc.opt.srr !== 0) {
    if (daddr === 0) return -EINVAL;
    faddr = ipc.opt.faddr;
  }
  if (ipv4IsMulticast(daddr)) {
    if (ipc.oif === 0) ipc.oif = inet.mcIndex;
    if (saddr === 0) saddr = inet.mcAddr;
  } else if (ipc.oif === 0) {
    ipc.oif = inet.ucIndex;
  }
  flowi4InitOutput(
    fl4,
    ipc.oif,
    ipc.mark,
    getRttos(ipc, inet),
    ipSendmsgScope(inet, ipc, msg.msgFlags),
    sk.skProtocol,
    inetSkFlowiFlags(inet),
    faddr,
    saddr,
    0,
    0,
    sk.skUid,
  );
  return 0;
}

/** Octets sent, or a negative errno. @kernel ping_v4_sendmsg net/ipv4/ping.c */
function pingSendmsg(sk: Sock, msg: Msghdr, len: number): number {
  const inet = inetSk(sk);
  const { net } = sk;
  const head = new Uint8Array(icmphdr.LEN);
  let err = pingCommonSendmsg(msg, len, head);
  if (err !== 0) return err;
  const daddr = pingDestination(sk, msg);
  if (daddr < 0) return daddr;
  const { ipc, fl4 } = net.ipv4.sendmsgScratch;
  ipcmInitSk(ipc, inet);
  if (msg.msgControllen !== 0) {
    err = ipCmsgSend(sk, msg, ipc);
    if (err !== 0) return err;
  }
  err = pingFlow(sk, msg, daddr, ipc, fl4);
  if (err !== 0) return err;
  fl4.fl4IcmpType = head[0] as number;
  fl4.fl4IcmpCode = head[1] as number;
  const rt = ipRouteOutputFlow(net, fl4, sk);
  if (typeof rt === 'number') {
    if (rt === -ENETUNREACH) ipIncStats(net, IPSTATS_MIB_OUTNOROUTES);
    return rt;
  }
  if ((rt.rtFlags & RTCF_BROADCAST) !== 0 && !sockFlag(sk, SOCK_BROADCAST)) {
    dstRelease(rt);
    return -EACCES;
  }
  if (ipc.addr === 0) ipc.addr = fl4.daddr;
  lockSock(sk);
  const hlen = icmphdr.LEN;
  err = ipAppendData(sk, fl4, pingGetfrag, msg, len, hlen, ipc, rt, msg.msgFlags);
  if (err !== 0) ipFlushPendingFrames(sk);
  else err = pingPushPendingFrames(sk, head, fl4);
  releaseSock(sk);
  return err === 0 ? len : err;
}

/** @kernel ping_recvmsg net/ipv4/ping.c */
function pingRecvmsg(sk: Sock, msg: Msghdr, len: number, flags: number): number {
  if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  if ((flags & MSG_ERRQUEUE) !== 0) return ipRecvError(sk, msg, len);
  const skb = skbRecvDatagram(sk, flags);
  if (typeof skb === 'number') return skb;
  let copied = skb.len;
  if (copied > len) {
    msg.msgFlags |= MSG_TRUNC;
    copied = len;
  }
  // The checksum was verified when it came in.
  const err = skbCopyDatagramMsg(skb, 0, msg, copied);
  if (err !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT, 'ping_recvmsg');
    return err;
  }
  sockRecvTimestamp(msg, sk, skb);
  if (msg.msgName !== null) {
    msg.msgNamelen = putSockaddrIn(msg.msgName, iphdr.saddr(view, skb.networkHeader), 0);
  }
  if (inetSk(sk).cmsgFlags !== 0) ipCmsgRecv(msg, sk, skb);
  skbFreeDatagram(sk, skb, 'ping_recvmsg');
  return copied;
}

/** SKB_NOT_DROPPED_YET: queued. Otherwise dropped for that reason. @kernel __ping_queue_rcv_skb net/ipv4/ping.c */
function pingQueueRcvSkb(sk: Sock, skb: SkBuff): number {
  const reason = sockQueueRcvSkbReason(sk, skb);
  if (reason !== SKB_NOT_DROPPED_YET) skSkbReasonDrop(sk, skb, reason, '__ping_queue_rcv_skb');
  return reason;
}

/** An echo reply, `data` behind its header. Takes it; the drop reason or 0. @kernel ping_rcv net/ipv4/ping.c */
export function pingRcv(skb: SkBuff): number {
  const { net } = skb.dev as { net: Net };
  const icmph = skb.transportHeader;
  // The user wants the ICMP header too.
  skbPush(skb, skb.data - icmph);
  const sk = pingLookup(net, skb, icmphdr.echoId(view, icmph));
  if (sk !== null) return pingQueueRcvSkb(sk, skb);
  kfreeSkb(skb, SKB_DROP_REASON_NO_SOCKET, 'ping_rcv');
  return SKB_DROP_REASON_NO_SOCKET;
}

/** @kernel ping_prot net/ipv4/ping.c */
export const pingProt: Proto = {
  name: 'PING',
  alloc: (net, family, prot) => new InetSock(net, family, prot, sockDefCallbacks),
  free: null,
  close: (sk) => skCommonRelease(sk),
  preConnect: pingPreConnect,
  connect: ip4DatagramConnect,
  disconnect: udpDisconnect,
  accept: null,
  ioctl: null,
  init: pingInitSock,
  destroy: null,
  shutdown: null,
  setsockopt: ipSetsockopt,
  getsockopt: ipGetsockopt,
  keepalive: null,
  sendmsg: pingSendmsg,
  recvmsg: pingRecvmsg,
  bind: pingBind,
  backlogRcv: (sk, skb) => (pingQueueRcvSkb(sk, skb) === SKB_NOT_DROPPED_YET ? 0 : -1),
  releaseCb: ip4DatagramReleaseCb,
  hash: null,
  unhash: pingUnhash,
  rehash: null,
  getPort: pingGetPort,
  putPort: pingUnhash,
  streamMemoryFree: null,
  enterMemoryPressure: null,
  leaveMemoryPressure: null,
  diagDestroy: null,
  maxHeader: 0,
  noAutobind: false,
  memory: (_net: Net): ProtoMemory | null => null,
  memoryMin: () => 0,
};

/** @kernel ping_proc_init net/ipv4/ping.c */
function pingInit(machine: Machine): number {
  machine.netGlobals.pingOps = { rcv: pingRcv, err: pingErr };
  const err =
    protoRegister(machine, pingProt) ||
    inetRegisterProtosw(machine, {
      type: SOCK_DGRAM,
      protocol: IPPROTO_ICMP,
      prot: pingProt,
      ops: inetSockrawOps,
      flags: INET_PROTOSW_REUSE,
    });
  if (err !== 0) return err;
  return registerPernetSubsys(machine, {
    name: 'ping',
    init(net) {
      procCreateNet(net, 'icmp', (of) => dgramSeqShow(of.ipv4.pingHash, (sk) => sk.skcNum & 63));
      return 0;
    },
    exit: null,
  });
}

export const pingModule: KernelModule = {
  name: 'ping',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: pingInit,
  exit: null,
};
