/**
 * Raw sockets: every datagram of a protocol to this host, and sending of any. Counterpart of
 * net/ipv4/raw.c.
 */
import { putSockaddrIn, SOCKADDR_IN_LEN, sinAddr } from '#include/linux/in.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Msghdr } from '#include/linux/net.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { NET_RX_DROP, NET_RX_SUCCESS } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbNetworkOffset } from '#include/linux/skbuff.ts';
import { icmpErrConvert } from '#include/net/icmp.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { RawSock } from '#include/net/raw.ts';
import type { Proto, ProtoMemory, Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { view } from '#mm/memory.ts';
import { skbCopyDatagramMsg, skbFreeDatagram, skbRecvDatagram } from '#net/core/datagram.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { sockRecvCmsgs } from '#net/core/scm.ts';
import { kfreeSkb, skbClone, skbPush, skSkbReasonDrop } from '#net/core/skbuff.ts';
import {
  lockSock,
  releaseSock,
  skCommonRelease,
  skDstReset,
  skErrorReport,
  sockDefCallbacks,
  sockProtInuseAdd,
  sockQueueRcvSkbReason,
} from '#net/core/sock.ts';
import { protoRegister } from '#net/core/sock_proto.ts';
import { INET_PROTOSW_REUSE, inetRegisterProtosw } from '#net/ipv4/af_inet.ts';
import { inetSockrawOps } from '#net/ipv4/af_inet_raw.ts';
import { inetAddrValidOrNonlocal } from '#net/ipv4/af_inet_sock.ts';
import { ip4DatagramConnect, ip4DatagramReleaseCb } from '#net/ipv4/datagram.ts';
import { inetAddrType } from '#net/ipv4/fib_frontend.ts';
import { inetMcAllow } from '#net/ipv4/igmp_check.ts';
import { ipFlushPendingFrames } from '#net/ipv4/ip_output_append.ts';
import { ipRaControl, ipSetsockopt } from '#net/ipv4/ip_sockglue.ts';
import {
  inetIif,
  ipCmsgRecv,
  ipIcmpError,
  ipRecvError,
  ipv4PktinfoPrepare,
} from '#net/ipv4/ip_sockglue_error.ts';
import { ipGetsockopt } from '#net/ipv4/ip_sockglue_get.ts';
import { rawSendmsg } from '#net/ipv4/raw_send.ts';
import { ipv4SkRedirect, ipv4SkUpdatePmtu } from '#net/ipv4/route_pmtu.ts';
import { dgramSeqShow } from '#net/ipv4/udp_proc.ts';
import { __udpDisconnect, udpDisconnect } from '#net/ipv4/udp_table.ts';
import { procCreateNet } from '#net/sysctl_net.ts';
import {
  EADDRNOTAVAIL,
  EFAULT,
  EHOSTUNREACH,
  EINVAL,
  EMSGSIZE,
  ENOIOCTLCMD,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPROTO,
} from '#uapi/errno.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_FILTER,
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETERPROB,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  icmphdr,
  NR_ICMP_UNREACH,
} from '#uapi/icmp.ts';
import { IP_PMTUDISC_DONT, IPPROTO_ICMP, IPPROTO_IP } from '#uapi/in.ts';
import { iphdr } from '#uapi/ip.ts';
import { SKB_DROP_REASON_SKB_UCOPY_FAULT, SKB_NOT_DROPPED_YET } from '#uapi/net_dropreason.ts';
import { RTN_BROADCAST, RTN_MULTICAST } from '#uapi/rtnetlink.ts';
import { MSG_ERRQUEUE, MSG_OOB, MSG_TRUNC, SOCK_RAW, SOL_RAW } from '#uapi/socket.ts';
import { SIOCINQ, SIOCOUTQ } from '#uapi/sockios.ts';
import { TCP_CLOSE, TCP_ESTABLISHED } from '#uapi/tcp.ts';

/** @kernel raw_hash_sk net/ipv4/raw.c */
function rawHashSk(sk: Sock): number {
  sk.net.ipv4.rawHash.push(sk);
  sk.hashed = true;
  sockProtInuseAdd(sk.net, sk.skProt, 1);
  return 0;
}

/** @kernel raw_unhash_sk net/ipv4/raw.c */
function rawUnhashSk(sk: Sock): void {
  if (!sk.hashed) return;
  const { rawHash } = sk.net.ipv4;
  rawHash.splice(rawHash.indexOf(sk), 1);
  sk.hashed = false;
  sockProtInuseAdd(sk.net, sk.skProt, -1);
}

/** The owner finds error `err`. @kernel raw_abort net/ipv4/raw.c */
function rawAbort(sk: Sock, err: number): number {
  lockSock(sk);
  sk.skErr = err;
  skErrorReport(sk);
  __udpDisconnect(sk, 0);
  releaseSock(sk);
  return 0;
}

/** Does the socket want packets of these addresses? @kernel raw_v4_match net/ipv4/raw.c */
export function rawV4Match(
  sk: Sock,
  num: number,
  raddr: number,
  laddr: number,
  dif: number,
): boolean {
  return (
    sk.skcNum === num &&
    (sk.skcDaddr === 0 || sk.skcDaddr === raddr) &&
    (sk.skcRcvSaddr === 0 || sk.skcRcvSaddr === laddr) &&
    (sk.skcBoundDevIf === 0 || sk.skcBoundDevIf === dif)
  );
}

/** True: the socket does not want this ICMP type, or there is no whole header. @kernel icmp_filter net/ipv4/raw.c */
function icmpFilter(sk: Sock, skb: SkBuff): boolean {
  if (skb.transportHeader + icmphdr.LEN > skb.tail) return true;
  const type = icmphdr.type(view, skb.transportHeader);
  // Types beyond the mask are never filtered.
  return type < 32 && ((sk as RawSock).filter & (1 << type)) !== 0;
}

/** Queues a packet, IP header included. Takes it. @kernel raw_rcv net/ipv4/raw.c */
export function rawRcv(sk: Sock, skb: SkBuff): number {
  skbPush(skb, -skbNetworkOffset(skb));
  return rawRcvSkb(sk, skb);
}

/** @kernel raw_rcv_skb net/ipv4/raw.c */
function rawRcvSkb(sk: Sock, skb: SkBuff): number {
  ipv4PktinfoPrepare(sk, skb, true);
  const reason = sockQueueRcvSkbReason(sk, skb);
  if (reason === SKB_NOT_DROPPED_YET) return NET_RX_SUCCESS;
  skSkbReasonDrop(sk, skb, reason, 'raw_rcv_skb');
  return NET_RX_DROP;
}

/**
 * Gives a copy to every raw socket of the protocol; true: there was one.
 * @kernel raw_local_deliver net/ipv4/raw.c
 */
export function rawLocalDeliver(skb: SkBuff, protocol: number): boolean {
  const dev = skb.dev as NetDevice;
  const { rawHash } = dev.net.ipv4;
  // What the host sends itself over loopback counts as of the device that it was sent to.
  const dif = inetIif(skb);
  let delivered = false;
  for (let i = 0; i < rawHash.length; i++) {
    const sk = rawHash[i] as Sock;
    const iph = skb.networkHeader;
    const saddr = iphdr.saddr(view, iph);
    const daddr = iphdr.daddr(view, iph);
    if (!rawV4Match(sk, protocol, saddr, daddr, dif)) continue;
    delivered = true;
    if (sk.skRmemAlloc >= sk.skRcvbuf) {
      sk.skDrops++;
      continue;
    }
    if (iphdr.protocol(view, iph) === IPPROTO_ICMP && icmpFilter(sk, skb)) continue;
    if (!inetMcAllow(sk, daddr, saddr, dev.ifindex)) continue;
    const clone = skbClone(skb);
    if (clone !== null) rawRcv(sk, clone);
  }
  return delivered;
}

/** The errno of an ICMP error, negative when it is hard; 0: none. */
function rawErrno(sk: Sock, type: number, code: number): number {
  switch (type) {
    case ICMP_SOURCE_QUENCH:
      return 0;
    case ICMP_PARAMETERPROB:
      return -EPROTO;
    case ICMP_DEST_UNREACH: {
      if (code > NR_ICMP_UNREACH) return EHOSTUNREACH;
      if (code === ICMP_FRAG_NEEDED) {
        return inetSk(sk).pmtudisc !== IP_PMTUDISC_DONT ? -EMSGSIZE : EMSGSIZE;
      }
      const convert = icmpErrConvert[code] ?? { errno: EHOSTUNREACH, fatal: false };
      return convert.fatal ? -convert.errno : convert.errno;
    }
    default:
      return EHOSTUNREACH;
  }
}

/** @kernel raw_err net/ipv4/raw.c */
function rawErr(sk: Sock, skb: SkBuff, info: number): void {
  const inet = inetSk(sk);
  const icmph = skb.transportHeader;
  const type = icmphdr.type(view, icmph);
  const code = icmphdr.code(view, icmph);
  if (type === ICMP_DEST_UNREACH && code === ICMP_FRAG_NEEDED)
    ipv4SkUpdatePmtu(skb, inetSk(sk), info);
  else if (type === ICMP_REDIRECT) {
    ipv4SkRedirect(skb, inetSk(sk));
    return;
  }
  // Only those hear of it who asked, or who have just one peer.
  if (!inet.recverr && sk.skcState !== TCP_ESTABLISHED) return;
  const errno = rawErrno(sk, type, code);
  if (errno === 0) return;
  const err = Math.abs(errno);
  if (inet.recverr) {
    const payload = inet.hdrincl ? skb.data : skb.data + iphdr.hdrlen(view, skb.data);
    ipIcmpError(sk, skb, err, 0, info, payload);
  }
  if (inet.recverr || errno < 0) {
    sk.skErr = err;
    skErrorReport(sk);
  }
}

/** Tells raw sockets of an error about a packet that they may have sent. @kernel raw_icmp_error net/ipv4/raw.c */
export function rawIcmpError(skb: SkBuff, protocol: number, info: number): void {
  const dev = skb.dev as NetDevice;
  const { rawHash } = dev.net.ipv4;
  for (let i = 0; i < rawHash.length; i++) {
    const sk = rawHash[i] as Sock;
    const iph = skb.data;
    const raddr = iphdr.daddr(view, iph);
    const laddr = iphdr.saddr(view, iph);
    if (rawV4Match(sk, protocol, raddr, laddr, dev.ifindex)) rawErr(sk, skb, info);
  }
}

/** @kernel raw_recvmsg net/ipv4/raw.c */
function rawRecvmsg(sk: Sock, msg: Msghdr, len: number, flags: number): number {
  if ((flags & MSG_OOB) !== 0) return -EOPNOTSUPP;
  if ((flags & MSG_ERRQUEUE) !== 0) return ipRecvError(sk, msg, len);
  const skb = skbRecvDatagram(sk, flags);
  if (typeof skb === 'number') return skb;
  let copied = skb.len;
  if (len < copied) {
    msg.msgFlags |= MSG_TRUNC;
    copied = len;
  }
  const err = skbCopyDatagramMsg(skb, 0, msg, copied);
  if (err !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT, 'raw_recvmsg');
    return err;
  }
  sockRecvCmsgs(msg, sk, skb);
  if (msg.msgName !== null) {
    msg.msgNamelen = putSockaddrIn(msg.msgName, iphdr.saddr(view, skb.networkHeader), 0);
  }
  if (inetSk(sk).cmsgFlags !== 0) ipCmsgRecv(msg, sk, skb);
  if ((flags & MSG_TRUNC) !== 0) copied = skb.len;
  skbFreeDatagram(sk, skb, 'raw_recvmsg');
  return copied;
}

/** @kernel raw_bind net/ipv4/raw.c */
function rawBind(sk: Sock, uaddr: Uint8Array): number {
  const inet = inetSk(sk);
  if (sk.skcState !== TCP_CLOSE || uaddr.length < SOCKADDR_IN_LEN) {
    return -EINVAL;
  }
  lockSock(sk);
  const addr = sinAddr(uaddr);
  const type = inetAddrType(sk.net, addr);
  const ok = inetAddrValidOrNonlocal(sk.net, inet, addr, type);
  if (ok) {
    inet.skcRcvSaddr = addr;
    inet.inetSaddr = type === RTN_MULTICAST || type === RTN_BROADCAST ? 0 : addr;
    skDstReset(sk);
  }
  releaseSock(sk);
  return ok ? 0 : -EADDRNOTAVAIL;
}

/** @kernel raw_close net/ipv4/raw.c */
function rawClose(sk: Sock, _timeout: number): void {
  ipRaControl(sk, false);
  skCommonRelease(sk);
}

/** @kernel raw_destroy net/ipv4/raw.c */
function rawDestroy(sk: Sock): void {
  lockSock(sk);
  ipFlushPendingFrames(sk);
  releaseSock(sk);
}

/** @kernel raw_sk_init net/ipv4/raw.c */
function rawSkInit(sk: Sock): number {
  (sk as RawSock).filter = 0;
  return 0;
}

/** @kernel raw_setsockopt net/ipv4/raw.c */
function rawSetsockopt(sk: Sock, level: number, optname: number, optval: Uint8Array): number {
  if (level !== SOL_RAW) return ipSetsockopt(sk, level, optname, optval);
  if (optname !== ICMP_FILTER) return -ENOPROTOOPT;
  if (sk.skcNum !== IPPROTO_ICMP) return -EOPNOTSUPP;
  let filter = 0;
  for (let i = 0; i < Math.min(4, optval.length); i++) filter |= (optval[i] as number) << (8 * i);
  (sk as RawSock).filter = filter;
  return 0;
}

/** @kernel raw_getsockopt net/ipv4/raw.c */
function rawGetsockopt(sk: Sock, level: number, optname: number, optval: Uint8Array): number {
  if (level !== SOL_RAW) return ipGetsockopt(sk, level, optname, optval);
  if (optname !== ICMP_FILTER) return -ENOPROTOOPT;
  if (sk.skcNum !== IPPROTO_ICMP) return -EOPNOTSUPP;
  const len = Math.min(4, optval.length);
  for (let i = 0; i < len; i++) optval[i] = (sk as RawSock).filter >>> (8 * i);
  return len;
}

/** @kernel raw_ioctl net/ipv4/raw.c */
function rawIoctl(sk: Sock, cmd: number, arg: Uint8Array): number {
  if (cmd !== SIOCOUTQ && cmd !== SIOCINQ) return -ENOIOCTLCMD;
  if (arg.length < 4) return -EFAULT;
  const value = cmd === SIOCOUTQ ? sk.skWmemAlloc - 1 : (sk.skReceiveQueue.next?.len ?? 0);
  new DataView(arg.buffer, arg.byteOffset, 4).setInt32(0, value, true);
  return 0;
}

/** @kernel raw_prot net/ipv4/raw.c */
export const rawProt: Proto = {
  name: 'RAW',
  alloc: (net, family, prot) => new RawSock(net, family, prot, sockDefCallbacks),
  free: null,
  close: rawClose,
  preConnect: null,
  connect: ip4DatagramConnect,
  disconnect: udpDisconnect,
  accept: null,
  ioctl: rawIoctl,
  init: rawSkInit,
  destroy: rawDestroy,
  shutdown: null,
  setsockopt: rawSetsockopt,
  getsockopt: rawGetsockopt,
  keepalive: null,
  sendmsg: rawSendmsg,
  recvmsg: rawRecvmsg,
  bind: rawBind,
  backlogRcv: rawRcvSkb,
  releaseCb: ip4DatagramReleaseCb,
  hash: rawHashSk,
  unhash: rawUnhashSk,
  rehash: null,
  getPort: null,
  putPort: null,
  streamMemoryFree: null,
  enterMemoryPressure: null,
  leaveMemoryPressure: null,
  diagDestroy: rawAbort,
  maxHeader: 0,
  noAutobind: false,
  memory: (_net: Net): ProtoMemory | null => null,
  memoryMin: () => 0,
};

/** @kernel raw_init net/ipv4/raw.c */
function rawInit(machine: Machine): number {
  machine.netGlobals.rawOps = {
    localDeliver: rawLocalDeliver,
    rcv: rawRcv,
    icmpError: rawIcmpError,
  };
  const err =
    protoRegister(machine, rawProt) ||
    inetRegisterProtosw(machine, {
      type: SOCK_RAW,
      protocol: IPPROTO_IP,
      prot: rawProt,
      ops: inetSockrawOps,
      flags: INET_PROTOSW_REUSE,
    });
  if (err !== 0) return err;
  return registerPernetSubsys(machine, {
    name: 'raw',
    init(net) {
      procCreateNet(net, 'raw', (of) => dgramSeqShow(of.ipv4.rawHash, (sk) => sk.skcNum));
      return 0;
    },
    exit: null,
  });
}

export const rawModule: KernelModule = {
  name: 'raw',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: rawInit,
  exit: null,
};
