/**
 * Internet sockets: the ops tables of the socket types, ioctl, and inet_init(), which brings the
 * whole family up in Linux's order. Counterpart of the tables and the end of net/ipv4/af_inet.c.
 */

import type { NetProtoFamily, ProtoOps, Socket } from '#include/linux/net.ts';
import { PacketType } from '#include/linux/netdevice.ts';
import type { InetProtosw, NetProtocol } from '#include/net/net_globals.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { datagramPoll } from '#net/core/datagram.ts';
import { devAddPack } from '#net/core/dev_rx.ts';
import { skSetPeekOff } from '#net/core/sock_options.ts';
import {
  protoRegister,
  sockCommonGetsockopt,
  sockCommonSetsockopt,
  sockNoAccept,
  sockNoListen,
  sockNoSocketpair,
} from '#net/core/sock_proto.ts';
import {
  INET_PROTOSW_ICSK,
  INET_PROTOSW_PERMANENT,
  INET_PROTOSW_REUSE,
  inetRegisterProtosw,
} from '#net/ipv4/af_inet.ts';
import { ipv4OffloadInit } from '#net/ipv4/af_inet_offload.ts';
import {
  inetAccept,
  inetBind,
  inetCreate,
  inetDgramConnect,
  inetGetname,
  inetListen,
  inetRecvmsg,
  inetRelease,
  inetSendmsg,
  inetShutdown,
  inetStreamConnect,
} from '#net/ipv4/af_inet_sock.ts';
import { arpInit } from '#net/ipv4/arp.ts';
import { arpIoctl } from '#net/ipv4/arp_user.ts';
import { devinetIoctl } from '#net/ipv4/devinet_ioctl.ts';
import { ipRtIoctl } from '#net/ipv4/fib_frontend_config.ts';
import { icmpErr, icmpInit, icmpRcv } from '#net/ipv4/icmp.ts';
import { igmpInit, igmpRcv } from '#net/ipv4/igmp.ts';
import { ipfragInit } from '#net/ipv4/ip_fragment.ts';
import { ipInit } from '#net/ipv4/ip_init.ts';
import { ipRcv } from '#net/ipv4/ip_input.ts';
import { pingInit, pingProt } from '#net/ipv4/ping.ts';
import { ipMiscProcInit } from '#net/ipv4/proc.ts';
import { inetAddProtocol } from '#net/ipv4/protocol.ts';
import { rawInit, rawProt } from '#net/ipv4/raw.ts';
import { sysctlIpv4Init } from '#net/ipv4/sysctl_net_ipv4.ts';
import { tcpInit, tcpPoll, tcpSetRcvlowat } from '#net/ipv4/tcp.ts';
import { tcpProt, tcpV4EarlyDemux, tcpV4Init, tcpV4Rcv } from '#net/ipv4/tcp_ipv4.ts';
import { tcpV4Err } from '#net/ipv4/tcp_ipv4_err.ts';
import { tcpMetricsInit } from '#net/ipv4/tcp_metrics_nl.ts';
import { tcpSpliceRead } from '#net/ipv4/tcp_splice.ts';
import { udpInit, udpPoll, udpProt } from '#net/ipv4/udp.ts';
import { udpErr, udpRcv, udpV4EarlyDemux } from '#net/ipv4/udp_recv.ts';
import { EINVAL, ENOIOCTLCMD } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_IGMP, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import { AF_INET, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from '#uapi/socket.ts';
import {
  SIOCADDRT,
  SIOCDARP,
  SIOCDELRT,
  SIOCGARP,
  SIOCGIFADDR,
  SIOCGIFBRDADDR,
  SIOCGIFDSTADDR,
  SIOCGIFNETMASK,
  SIOCGIFPFLAGS,
  SIOCRTMSG,
  SIOCSARP,
  SIOCSIFADDR,
  SIOCSIFBRDADDR,
  SIOCSIFDSTADDR,
  SIOCSIFFLAGS,
  SIOCSIFNETMASK,
  SIOCSIFPFLAGS,
} from '#uapi/sockios.ts';

/**
 * Routes, ARP entries and addresses, then the protocol's own; -ENOIOCTLCMD: not ours.
 * @kernel inet_ioctl net/ipv4/af_inet.c
 */
function inetIoctl(sock: Socket, cmd: number, arg: Uint8Array): number {
  const sk = sock.sk as Sock;
  const net = sk.net;
  switch (cmd) {
    case SIOCADDRT:
    case SIOCDELRT:
      return ipRtIoctl(net, cmd, arg);
    case SIOCRTMSG:
      return -EINVAL;
    case SIOCDARP:
    case SIOCGARP:
    case SIOCSARP:
      return arpIoctl(net, cmd, arg);
    case SIOCGIFADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFDSTADDR:
    case SIOCGIFPFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFBRDADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFDSTADDR:
    case SIOCSIFPFLAGS:
    case SIOCSIFFLAGS:
      return devinetIoctl(net, cmd, arg);
    default:
      return sk.skProt.ioctl?.(sk, cmd, arg) ?? -ENOIOCTLCMD;
  }
}

/** @kernel inet_stream_ops net/ipv4/af_inet.c */
export const inetStreamOps: ProtoOps = {
  family: AF_INET,
  release: inetRelease,
  bind: inetBind,
  connect: inetStreamConnect,
  socketpair: sockNoSocketpair,
  accept: inetAccept,
  getname: inetGetname,
  poll: tcpPoll,
  ioctl: inetIoctl,
  listen: inetListen,
  shutdown: inetShutdown,
  setsockopt: sockCommonSetsockopt,
  getsockopt: sockCommonGetsockopt,
  spliceRead: tcpSpliceRead,
  setPeekOff: skSetPeekOff,
  setRcvlowat: tcpSetRcvlowat,
  sendmsg: inetSendmsg,
  recvmsg: inetRecvmsg,
};

/** @kernel inet_dgram_ops net/ipv4/af_inet.c */
export const inetDgramOps: ProtoOps = {
  family: AF_INET,
  release: inetRelease,
  bind: inetBind,
  connect: inetDgramConnect,
  socketpair: sockNoSocketpair,
  accept: sockNoAccept,
  getname: inetGetname,
  poll: udpPoll,
  ioctl: inetIoctl,
  listen: sockNoListen,
  shutdown: inetShutdown,
  setsockopt: sockCommonSetsockopt,
  getsockopt: sockCommonGetsockopt,
  spliceRead: null,
  setPeekOff: skSetPeekOff,
  setRcvlowat: null,
  sendmsg: inetSendmsg,
  recvmsg: inetRecvmsg,
};

/** Raw and ping sockets. @kernel inet_sockraw_ops net/ipv4/af_inet.c */
export const inetSockrawOps: ProtoOps = {
  family: AF_INET,
  release: inetRelease,
  bind: inetBind,
  connect: inetDgramConnect,
  socketpair: sockNoSocketpair,
  accept: sockNoAccept,
  getname: inetGetname,
  poll: datagramPoll,
  ioctl: inetIoctl,
  listen: sockNoListen,
  shutdown: inetShutdown,
  setsockopt: sockCommonSetsockopt,
  getsockopt: sockCommonGetsockopt,
  spliceRead: null,
  setPeekOff: null,
  setRcvlowat: null,
  sendmsg: inetSendmsg,
  recvmsg: inetRecvmsg,
};

/** @kernel inet_family_ops net/ipv4/af_inet.c */
export const inetFamilyOps: NetProtoFamily = { family: AF_INET, create: inetCreate };

/** @kernel inetsw_array net/ipv4/af_inet.c */
const inetswArray: readonly InetProtosw[] = [
  {
    type: SOCK_STREAM,
    protocol: IPPROTO_TCP,
    prot: tcpProt,
    ops: inetStreamOps,
    flags: INET_PROTOSW_PERMANENT | INET_PROTOSW_ICSK,
  },
  {
    type: SOCK_DGRAM,
    protocol: IPPROTO_UDP,
    prot: udpProt,
    ops: inetDgramOps,
    flags: INET_PROTOSW_PERMANENT,
  },
  {
    type: SOCK_DGRAM,
    protocol: IPPROTO_ICMP,
    prot: pingProt,
    ops: inetSockrawOps,
    flags: INET_PROTOSW_REUSE,
  },
  {
    type: SOCK_RAW,
    protocol: IPPROTO_IP,
    prot: rawProt,
    ops: inetSockrawOps,
    flags: INET_PROTOSW_REUSE,
  },
];

const icmpProtocol: NetProtocol = {
  handler: icmpRcv,
  errHandler: icmpErr,
  earlyDemux: null,
  noPolicy: true,
  icmpStrictTagValidation: false,
};

const igmpProtocol: NetProtocol = {
  handler: igmpRcv,
  errHandler: null,
  earlyDemux: null,
  noPolicy: false,
  icmpStrictTagValidation: false,
};

const udpProtocol: NetProtocol = {
  handler: udpRcv,
  errHandler: udpErr,
  earlyDemux: udpV4EarlyDemux,
  noPolicy: true,
  icmpStrictTagValidation: false,
};

const tcpProtocol: NetProtocol = {
  handler: tcpV4Rcv,
  errHandler: tcpV4Err,
  earlyDemux: tcpV4EarlyDemux,
  noPolicy: true,
  icmpStrictTagValidation: true,
};

/** Protocols above IP, and what socket() makes of them. */
function registerProtocols(machine: Machine): number {
  for (const prot of [tcpProt, udpProt, rawProt, pingProt]) {
    const err = protoRegister(machine, prot);
    if (err !== 0) return err;
  }
  machine.netGlobals.netFamilies[AF_INET] = inetFamilyOps;
  const above: readonly (readonly [number, NetProtocol])[] = [
    [IPPROTO_ICMP, icmpProtocol],
    [IPPROTO_UDP, udpProtocol],
    [IPPROTO_TCP, tcpProtocol],
    [IPPROTO_IGMP, igmpProtocol],
  ];
  for (const [protocol, handlers] of above) {
    const err = inetAddProtocol(machine, handlers, protocol);
    if (err !== 0) return err;
  }
  for (const p of inetswArray) {
    const err = inetRegisterProtosw(machine, p);
    if (err !== 0) return err;
  }
  return 0;
}

/** Brings IPv4 up: 0 or the first part's errno. @kernel inet_init net/ipv4/af_inet.c */
export function inetInit(machine: Machine): number {
  const err = registerProtocols(machine);
  if (err !== 0) return err;
  const parts: readonly ((machine: Machine) => number)[] = [
    arpInit,
    ipInit,
    igmpInit,
    tcpMetricsInit,
    tcpV4Init,
    tcpInit,
    udpInit,
    rawInit,
    pingInit,
    icmpInit,
    ipMiscProcInit,
    sysctlIpv4Init,
    ipfragInit,
    ipv4OffloadInit,
  ];
  for (const init of parts) {
    const failed = init(machine);
    if (failed !== 0) return failed;
  }
  devAddPack(machine, new PacketType(ETH_P_IP, ipRcv));
  return 0;
}
