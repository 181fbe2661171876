/**
 * Socket options at level SOL_IP: reading. Counterpart of do_ip_getsockopt() in
 * net/ipv4/ip_sockglue.c.
 */
import { Msghdr } from '#include/linux/net.ts';
import { dstMtu } from '#include/net/dst.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import { ipOptionsUndo } from '#include/net/ip_options_ops.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import { putCmsg, putCmsgInt } from '#net/core/scm.ts';
import { cmsgBitOf } from '#net/ipv4/ip_sockglue.ts';
import { IP_CMSG_PKTINFO, IP_CMSG_TOS, IP_CMSG_TTL } from '#net/ipv4/ip_sockglue_error.ts';
import { ENOPROTOOPT, ENOTCONN, EOPNOTSUPP } from '#uapi/errno.ts';
import {
  IP_BIND_ADDRESS_NO_PORT,
  IP_FREEBIND,
  IP_HDRINCL,
  IP_LOCAL_PORT_RANGE,
  IP_MINTTL,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_MULTICAST_ALL,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_NODEFRAG,
  IP_OPTIONS,
  IP_PKTINFO,
  IP_PKTOPTIONS,
  IP_PROTOCOL,
  IP_RECVERR,
  IP_RECVERR_RFC4884,
  IP_ROUTER_ALERT,
  IP_TOS,
  IP_TRANSPARENT,
  IP_TTL,
  IP_UNICAST_IF,
  inPktinfo,
} from '#uapi/in.ts';
import { SOCK_STREAM, SOL_IP } from '#uapi/socket.ts';

/** Of the switches; undefined: it is none. */
function switchOf(inet: InetSock, optname: number): boolean | undefined {
  switch (optname) {
    case IP_HDRINCL:
      return inet.hdrincl;
    case IP_RECVERR:
      return inet.recverr;
    case IP_RECVERR_RFC4884:
      return inet.recverrRfc4884;
    case IP_MULTICAST_LOOP:
      return inet.mcLoop;
    case IP_MULTICAST_ALL:
      return inet.mcAll;
    case IP_FREEBIND:
      return inet.freebind;
    case IP_TRANSPARENT:
      return inet.transparent;
    case IP_NODEFRAG:
      return inet.nodefrag;
    case IP_BIND_ADDRESS_NO_PORT:
      return inet.bindAddressNoPort;
    case IP_ROUTER_ALERT:
      return inet.net.ipv4.raChain.includes(inet);
    default:
      return undefined;
  }
}

/** The value of an option that is one number; undefined: there is no such option. */
function numberOf(inet: InetSock, optname: number): number | undefined {
  const bit = cmsgBitOf(optname);
  if (bit !== 0) return Number((inet.cmsgFlags & bit) !== 0);
  const on = switchOf(inet, optname);
  if (on !== undefined) return Number(on);
  switch (optname) {
    case IP_TOS:
      return inet.tos;
    case IP_TTL:
      return inet.ucTtl < 0 ? inet.net.ipv4.sysctlIpDefaultTtl : inet.ucTtl;
    case IP_MINTTL:
      return inet.minTtl;
    case IP_MTU_DISCOVER:
      return inet.pmtudisc;
    case IP_MULTICAST_TTL:
      return inet.mcTtl;
    case IP_PROTOCOL:
      return inet.skcNum;
    case IP_LOCAL_PORT_RANGE:
      return (inet.localPortRangeHi << 16) | inet.localPortRangeLo;
    case IP_MTU:
      return inet.skDstCache === null ? -ENOTCONN : dstMtu(inet.skDstCache);
    default:
      return undefined;
  }
}

/** An int, or one octet when the user has room for no more. @kernel do_ip_getsockopt net/ipv4/ip_sockglue.c */
function putValue(optval: Uint8Array, val: number): number {
  if (optval.length < 4 && optval.length > 0 && val >= 0 && val <= 255) {
    optval[0] = val;
    return 1;
  }
  const len = Math.min(4, optval.length);
  for (let i = 0; i < len; i++) optval[i] = val >>> (8 * i);
  return len;
}

/** Four octets in network order. */
function putBe32(optval: Uint8Array, val: number): number {
  const len = Math.min(4, optval.length);
  for (let i = 0; i < len; i++) optval[i] = val >>> (24 - 8 * i);
  return len;
}

function putBytes(optval: Uint8Array, bytes: Uint8Array): number {
  const len = Math.min(bytes.length, optval.length);
  optval.set(bytes.subarray(0, len));
  return len;
}

/** What a stream can say in place of control messages, which it has none of. */
function getPktoptions(inet: InetSock, optval: Uint8Array): number {
  if (inet.skType !== SOCK_STREAM) return -ENOPROTOOPT;
  const msg = new Msghdr();
  msg.msgControl = optval;
  if ((inet.cmsgFlags & IP_CMSG_PKTINFO) !== 0) {
    const data = new Uint8Array(inPktinfo.LEN);
    const v = new DataView(data.buffer);
    inPktinfo.setAddr(v, 0, inet.skcRcvSaddr);
    inPktinfo.setSpecDst(v, 0, inet.skcRcvSaddr);
    inPktinfo.setIfindex(v, 0, inet.mcIndex);
    putCmsg(msg, SOL_IP, IP_PKTINFO, data);
  }
  if ((inet.cmsgFlags & IP_CMSG_TTL) !== 0) putCmsgInt(msg, SOL_IP, IP_TTL, inet.mcTtl);
  if ((inet.cmsgFlags & IP_CMSG_TOS) !== 0) putCmsgInt(msg, SOL_IP, IP_TOS, inet.rcvTos);
  return msg.msgControllen;
}

/** Length of the value, or a negative errno. @kernel ip_getsockopt net/ipv4/ip_sockglue.c */
export function ipGetsockopt(sk: Sock, level: number, optname: number, optval: Uint8Array): number {
  if (level !== SOL_IP) return -EOPNOTSUPP;
  const inet = inetSk(sk);
  switch (optname) {
    case IP_OPTIONS:
      return inet.inetOpt === null ? 0 : putBytes(optval, ipOptionsUndo(inet.net, inet.inetOpt));
    case IP_MULTICAST_IF:
      return putBe32(optval, inet.mcAddr);
    case IP_UNICAST_IF:
      return putBe32(optval, inet.ucIndex);
    case IP_PKTOPTIONS:
      return getPktoptions(inet, optval);
    default: {
      const val = numberOf(inet, optname);
      if (val === undefined) return -ENOPROTOOPT;
      if (optname === IP_MTU && val < 0) return val;
      return putValue(optval, val);
    }
  }
}
