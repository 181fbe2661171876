import { inetCsk, inetSk } from '#include/net/inet_connection_sock.ts';
import { ipOptionsGet } from '#include/net/ip_options_ops.ts';
import type { InetSock, Sock } from '#include/net/sock.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { lockSock, releaseSock, skDstReset, skErrorQueuePurge } from '#net/core/sock.ts';
import { ipDevFind } from '#net/ipv4/devinet.ts';
import type { IpMreq } from '#net/ipv4/igmp_sock.ts';
import {
  IP_CMSG_CHECKSUM,
  IP_CMSG_ORIGDSTADDR,
  IP_CMSG_PASSSEC,
  IP_CMSG_PKTINFO,
  IP_CMSG_RECVFRAGSIZE,
  IP_CMSG_RECVOPTS,
  IP_CMSG_RETOPTS,
  IP_CMSG_TOS,
  IP_CMSG_TTL,
} from '#net/ipv4/ip_sockglue_error.ts';
import { rtTos2priority } from '#net/ipv4/route.ts';
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOENT, ENOPROTOOPT } from '#uapi/errno.ts';
import {
  IP_ADD_MEMBERSHIP,
  IP_ADD_SOURCE_MEMBERSHIP,
  IP_BIND_ADDRESS_NO_PORT,
  IP_BLOCK_SOURCE,
  IP_CHECKSUM,
  IP_DROP_MEMBERSHIP,
  IP_DROP_SOURCE_MEMBERSHIP,
  IP_FREEBIND,
  IP_HDRINCL,
  IP_LOCAL_PORT_RANGE,
  IP_MINTTL,
  IP_MTU_DISCOVER,
  IP_MULTICAST_ALL,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_NODEFRAG,
  IP_OPTIONS,
  IP_PASSSEC,
  IP_PKTINFO,
  IP_PMTUDISC_DONT,
  IP_PMTUDISC_OMIT,
  IP_RECVERR,
  IP_RECVERR_RFC4884,
  IP_RECVFRAGSIZE,
  IP_RECVOPTS,
  IP_RECVORIGDSTADDR,
  IP_RECVTOS,
  IP_RECVTTL,
  IP_RETOPTS,
  IP_ROUTER_ALERT,
  IP_TOS,
  IP_TRANSPARENT,
  IP_TTL,
  IP_UNBLOCK_SOURCE,
  IP_UNICAST_IF,
  IPPROTO_RAW,
  ipMreqn,
  MCAST_JOIN_GROUP,
  MCAST_LEAVE_GROUP,
} from '#uapi/in.ts';
import { INET_ECN_MASK, MAX_IPOPTLEN } from '#uapi/ip.ts';
import { SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_IP } from '#uapi/socket.ts';

/** The value of an option given as int or as one octet; 0 when there is nothing. */
function valOf(optval: Uint8Array): number {
  if (optval.length >= 4) {
    return new DataView(optval.buffer, optval.byteOffset, 4).getInt32(0, true);
  }
  return optval[0] ?? 0;
}

/** ip_mreqn or ip_mreq; null when it is too short. */
export function mreqOf(optval: Uint8Array): IpMreq | null {
  if (optval.length < ipMreqn.MREQ_LEN) return null;
  const v = new DataView(optval.buffer, optval.byteOffset, optval.length);
  return {
    multiaddr: ipMreqn.multiaddr(v, 0),
    address: ipMreqn.address(v, 0),
    ifindex: optval.length >= ipMreqn.LEN ? ipMreqn.ifindex(v, 0) : 0,
  };
}

/** Asks for, or no longer for, packets with the router alert option. @kernel ip_ra_control net/ipv4/ip_sockglue.c */
export function ipRaControl(sk: Sock, on: boolean): number {
  if (sk.skType !== SOCK_RAW || sk.skcNum === IPPROTO_RAW) return -EINVAL;
  const { raChain } = sk.net.ipv4;
  const at = raChain.indexOf(sk);
  if (on) {
    if (at >= 0) return -EADDRINUSE;
    raChain.push(sk);
    return 0;
  }
  if (at < 0) return -ENOENT;
  raChain.splice(at, 1);
  return 0;
}

/** @kernel __ip_sock_set_tos net/ipv4/ip_sockglue.c */
export function __ipSockSetTos(sk: Sock, value: number): void {
  const inet = inetSk(sk);
  let val = value & 0xff;
  // A stream's ECN bits belong to TCP.
  if (sk.skType === SOCK_STREAM) val = (val & ~INET_ECN_MASK) | (inet.tos & INET_ECN_MASK);
  if (inet.tos === val) return;
  inet.tos = val;
  sk.skPriority = rtTos2priority(val);
  skDstReset(sk);
}

/** The bit of `cmsgFlags` that an option switches, or 0. */
export function cmsgBitOf(optname: number): number {
  switch (optname) {
    case IP_PKTINFO:
      return IP_CMSG_PKTINFO;
    case IP_RECVTTL:
      return IP_CMSG_TTL;
    case IP_RECVTOS:
      return IP_CMSG_TOS;
    case IP_RECVOPTS:
      return IP_CMSG_RECVOPTS;
    case IP_RETOPTS:
      return IP_CMSG_RETOPTS;
    case IP_PASSSEC:
      return IP_CMSG_PASSSEC;
    case IP_RECVORIGDSTADDR:
      return IP_CMSG_ORIGDSTADDR;
    case IP_CHECKSUM:
      return IP_CMSG_CHECKSUM;
    case IP_RECVFRAGSIZE:
      return IP_CMSG_RECVFRAGSIZE;
    default:
      return 0;
  }
}

/** IP_MULTICAST_IF takes an address, an ip_mreq or an ip_mreqn. */
function setMulticastIf(inet: InetSock, optval: Uint8Array): number {
  if (inet.skType === SOCK_STREAM || optval.length < 4) return -EINVAL;
  const v = new DataView(optval.buffer, optval.byteOffset, optval.length);
  const mreq = mreqOf(optval) ?? { multiaddr: 0, address: v.getUint32(0), ifindex: 0 };
  const { net } = inet;
  if (mreq.ifindex === 0 && mreq.address === 0) {
    inet.mcIndex = 0;
    inet.mcAddr = 0;
    return 0;
  }
  const dev =
    mreq.ifindex === 0
      ? ipDevFind(net, mreq.address)
      : (net.devIndexHead.get(mreq.ifindex) ?? null);
  if (dev === null) return -EADDRNOTAVAIL;
  if (inet.skcBoundDevIf !== 0 && dev.ifindex !== inet.skcBoundDevIf) return -EINVAL;
  inet.mcIndex = dev.ifindex;
  inet.mcAddr = mreq.address;
  return 0;
}

function setUnicastIf(inet: InetSock, optval: Uint8Array): number {
  if (optval.length !== 4) return -EINVAL;
  // The index is in network order, a mistake kept for compatibility.
  const ifindex = new DataView(optval.buffer, optval.byteOffset, 4).getUint32(0);
  if (ifindex === 0) {
    inet.ucIndex = 0;
    return 0;
  }
  if (!inet.net.devIndexHead.has(ifindex)) return -EADDRNOTAVAIL;
  if (inet.skcBoundDevIf !== 0) return -EINVAL;
  inet.ucIndex = ifindex;
  return 0;
}

function setOptions(sk: Sock, optval: Uint8Array): number {
  const inet = inetSk(sk);
  if (optval.length > MAX_IPOPTLEN) return -EINVAL;
  const opt = ipOptionsGet(sk.net, optval);
  if (typeof opt === 'number') return opt;
  if (inet.isIcsk) {
    const icsk = inetCsk(sk);
    icsk.icskExtHdrLen += opt.optlen - (inet.inetOpt?.optlen ?? 0);
    // The next segment computes its size anew.
    icsk.icskPmtuCookie = 0;
  }
  inet.inetOpt = opt.optlen === 0 ? null : opt;
  return 0;
}

function setPortRange(inet: InetSock, optval: Uint8Array, val: number): number {
  if (optval.length !== 4) return -EINVAL;
  const lo = val & 0xffff;
  const hi = val >>> 16;
  if (lo !== 0 && hi !== 0 && lo > hi) return -EINVAL;
  inet.localPortRangeLo = lo;
  inet.localPortRangeHi = hi;
  return 0;
}

/** Options of numbers in a range. -ENOPROTOOPT: it is not one of them. */
function setNumber(inet: InetSock, optname: number, optval: Uint8Array, val: number): number {
  const octet = optval.length >= 1 && val >= 0 && val <= 255;
  switch (optname) {
    case IP_TOS:
      __ipSockSetTos(inet, val);
      return 0;
    case IP_TTL:
      if (optval.length < 1 || (val !== -1 && (val < 1 || val > 255))) return -EINVAL;
      inet.ucTtl = val;
      return 0;
    case IP_MINTTL:
      if (!octet) return -EINVAL;
      inet.minTtl = val;
      return 0;
    case IP_MTU_DISCOVER:
      if (val < IP_PMTUDISC_DONT || val > IP_PMTUDISC_OMIT) return -EINVAL;
      inet.pmtudisc = val;
      return 0;
    case IP_MULTICAST_TTL:
      if (inet.skType === SOCK_STREAM || (!octet && val !== -1)) return -EINVAL;
      inet.mcTtl = val === -1 ? 1 : val;
      return 0;
    case IP_LOCAL_PORT_RANGE:
      return setPortRange(inet, optval, val);
    default:
      return -ENOPROTOOPT;
  }
}

/** Options that are on or off. -ENOPROTOOPT: it is not one of them. */
function setSwitch(inet: InetSock, optname: number, optval: Uint8Array, val: number): number {
  const on = val !== 0;
  switch (optname) {
    case IP_HDRINCL:
      if (inet.skType !== SOCK_RAW) return -ENOPROTOOPT;
      inet.hdrincl = on;
      return 0;
    case IP_RECVERR:
      inet.recverr = on;
      if (!on) skErrorQueuePurge(inet);
      return 0;
    case IP_RECVERR_RFC4884:
      if (val < 0 || val > 1) return -EINVAL;
      inet.recverrRfc4884 = on;
      return 0;
    case IP_MULTICAST_LOOP:
      if (optval.length < 1) return -EINVAL;
      inet.mcLoop = on;
      return 0;
    case IP_MULTICAST_ALL:
      if (optval.length < 1 || val < 0 || val > 1) return -EINVAL;
      inet.mcAll = on;
      return 0;
    case IP_FREEBIND:
      if (optval.length < 1) return -EINVAL;
      inet.freebind = on;
      return 0;
    case IP_TRANSPARENT:
      if (optval.length < 1) return -EINVAL;
      inet.transparent = on;
      return 0;
    case IP_NODEFRAG:
      if (inet.skType !== SOCK_RAW) return -ENOPROTOOPT;
      inet.nodefrag = on;
      return 0;
    case IP_BIND_ADDRESS_NO_PORT:
      inet.bindAddressNoPort = on;
      return 0;
    case IP_ROUTER_ALERT:
      return ipRaControl(inet, on);
    default:
      return -ENOPROTOOPT;
  }
}

/** A stream's bytes came in no packet of a size. */
function seesPackets(sk: Sock): boolean {
  return sk.skType === SOCK_RAW || sk.skType === SOCK_DGRAM;
}

/**
 * 0 or a negative errno.
 * @kernel do_ip_setsockopt net/ipv4/ip_sockglue.c
 * @deviation whole lists of sources (IP_MSFILTER), sources by MCAST_JOIN_SOURCE_GROUP and its like, and IPsec policies are unknown options
 */
function doIpSetsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  const inet = inetSk(sk);
  const val = valOf(optval);
  const bit = cmsgBitOf(optname);
  if (bit !== 0) {
    if (optname === IP_RECVFRAGSIZE && !seesPackets(sk)) return -EINVAL;
    inet.cmsgFlags = val !== 0 ? inet.cmsgFlags | bit : inet.cmsgFlags & ~bit;
    return 0;
  }
  switch (optname) {
    case IP_OPTIONS:
      return setOptions(sk, optval);
    case IP_UNICAST_IF:
      return setUnicastIf(inet, optval);
    case IP_MULTICAST_IF:
      return setMulticastIf(inet, optval);
    case IP_ADD_MEMBERSHIP:
    case IP_DROP_MEMBERSHIP:
    case IP_BLOCK_SOURCE:
    case IP_UNBLOCK_SOURCE:
    case IP_ADD_SOURCE_MEMBERSHIP:
    case IP_DROP_SOURCE_MEMBERSHIP:
    case MCAST_JOIN_GROUP:
    case MCAST_LEAVE_GROUP:
      return sk.net.machine.netGlobals.ipMc?.setsockopt(sk, optname, optval) ?? -ENOPROTOOPT;
    default: {
      const err = setNumber(inet, optname, optval, val);
      return err === -ENOPROTOOPT ? setSwitch(inet, optname, optval, val) : err;
    }
  }
}

/** Memberships change devices. @kernel setsockopt_needs_rtnl net/ipv4/ip_sockglue.c */
function setsockoptNeedsRtnl(optname: number): boolean {
  switch (optname) {
    case IP_ADD_MEMBERSHIP:
    case IP_DROP_MEMBERSHIP:
    case IP_BLOCK_SOURCE:
    case IP_UNBLOCK_SOURCE:
    case IP_ADD_SOURCE_MEMBERSHIP:
    case IP_DROP_SOURCE_MEMBERSHIP:
    case MCAST_JOIN_GROUP:
    case MCAST_LEAVE_GROUP:
    case IP_ROUTER_ALERT:
      return true;
    default:
      return false;
  }
}

/** @kernel ip_setsockopt net/ipv4/ip_sockglue.c */
export function ipSetsockopt(sk: Sock, level: number, optname: number, optval: Uint8Array): number {
  if (level !== SOL_IP) return -ENOPROTOOPT;
  const { machine } = sk.net;
  const needsRtnl = setsockoptNeedsRtnl(optname);
  if (needsRtnl) rtnlLock(machine);
  lockSock(sk);
  const err = doIpSetsockopt(sk, optname, optval);
  releaseSock(sk);
  if (needsRtnl) rtnlUnlock(machine);
  return err;
}
