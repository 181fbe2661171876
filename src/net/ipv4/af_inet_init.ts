/**
 * Internet sockets: the ops tables of the socket types, ioctl, and inet_init(), which brings the
 * whole family up in Linux's order. Counterpart of the tables and the end of net/ipv4/af_inet.c.
 */

import type { NetProtoFamily, ProtoOps } from '#include/linux/net.ts';
import { PacketType } from '#include/linux/netdevice.ts';
import type { InetProtosw, NetProtocol } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { devAddPack } from '#net/core/dev_rx.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
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
  inetRegisterProtosw,
} from '#net/ipv4/af_inet.ts';
import { inetIoctl } from '#net/ipv4/af_inet_ioctl.ts';
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
import { icmpErr, icmpInit, icmpRcv } from '#net/ipv4/icmp.ts';
import { ipfragInit } from '#net/ipv4/ip_fragment.ts';
import { ipInit } from '#net/ipv4/ip_init.ts';
import { ipRcv } from '#net/ipv4/ip_input.ts';
import { inetAddProtocol } from '#net/ipv4/protocol.ts';
import { tcpInit, tcpPoll, tcpSetRcvlowat } from '#net/ipv4/tcp.ts';
import { tcpProt, tcpV4EarlyDemux, tcpV4Init, tcpV4Rcv } from '#net/ipv4/tcp_ipv4.ts';
import { tcpV4Err } from '#net/ipv4/tcp_ipv4_err.ts';
import { tcpSpliceRead } from '#net/ipv4/tcp_splice.ts';
import { udpInit, udpPoll, udpProt } from '#net/ipv4/udp.ts';
import { udpErr, udpRcv, udpV4EarlyDemux } from '#net/ipv4/udp_recv.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '#uapi/in.ts';
import {
  TCP_MIB_MAXCONN,
  TCP_MIB_RTOALGORITHM,
  TCP_MIB_RTOMAX,
  TCP_MIB_RTOMIN,
} from '#uapi/snmp.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '#uapi/socket.ts';

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
];

const icmpProtocol: NetProtocol = {
  handler: icmpRcv,
  errHandler: icmpErr,
  earlyDemux: null,
  noPolicy: true,
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
  for (const prot of [tcpProt, udpProt]) {
    const err = protoRegister(machine, prot);
    if (err !== 0) return err;
  }
  machine.netGlobals.netFamilies[AF_INET] = inetFamilyOps;
  const above: readonly (readonly [number, NetProtocol])[] = [
    [IPPROTO_ICMP, icmpProtocol],
    [IPPROTO_UDP, udpProtocol],
    [IPPROTO_TCP, tcpProtocol],
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

/** The constants among TCP's counters. @kernel tcp_mib_init net/ipv4/af_inet.c */
function tcpMibInit(net: Net): void {
  const { tcpStatistics } = net.mib;
  // RFC 2012: 1 is "other", Van Jacobson's algorithm being 4; Linux says 1.
  tcpStatistics[TCP_MIB_RTOALGORITHM] = 1;
  tcpStatistics[TCP_MIB_RTOMIN] = 200;
  tcpStatistics[TCP_MIB_RTOMAX] = 120000;
  tcpStatistics[TCP_MIB_MAXCONN] = -1;
}

/** @kernel ipv4_mib_init_net net/ipv4/af_inet.c */
function ipv4MibInit(machine: Machine): number {
  return registerPernetSubsys(machine, {
    name: 'ipv4_mib',
    init(net) {
      tcpMibInit(net);
      return 0;
    },
    exit: null,
  });
}

/** Brings IPv4 up: 0 or the first part's errno. @kernel inet_init net/ipv4/af_inet.c */
export function inetInit(machine: Machine): number {
  const err = registerProtocols(machine);
  if (err !== 0) return err;
  const parts: readonly ((machine: Machine) => number)[] = [
    arpInit,
    ipInit,
    tcpV4Init,
    tcpInit,
    udpInit,
    icmpInit,
    ipv4MibInit,
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
