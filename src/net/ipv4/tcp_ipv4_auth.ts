/**
 * Signed TCP over IPv4, as a module: keys of MD5 signatures and of the authentication option, looked
 * up and used wherever TCP asks (include/net/tcp_auth_ops.ts).
 *
 * Counterpart of what CONFIG_TCP_MD5SIG and CONFIG_TCP_AO choose in net/ipv4/tcp_ipv4.c and
 * tcp_output.c. RFC 2385, RFC 5925.
 */
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_KIND_FULL, SOCK_KIND_TIMEWAIT, type SockCommon } from '#include/net/sock_common.ts';
import { tcpSk } from '#include/net/tcp.ts';
import {
  TCP_KEY_AO,
  TCP_KEY_MD5,
  type TcpMd5sigKey,
  tcpAoLen,
  tcpAoLenAligned,
} from '#include/net/tcp_auth.ts';
import type { TcpOutOptions } from '#include/net/tcp_out_options.ts';
import type { Machine } from '#kernel/machine.ts';
import { tracepointKey } from '#kernel/tracepoint.ts';
import { MD5_DIGEST_SIZE } from '#lib/md5.ts';
import { mem, view } from '#mm/memory.ts';
import { __inetLookupListener } from '#net/ipv4/inet_hashtables.ts';
import { inetIif } from '#net/ipv4/ip_sockglue_error.ts';
import {
  aoConnectInit,
  aoEstablished,
  aoFinishConnect,
  aoRcvSneUpdate,
  aoSndSneUpdate,
  scratchTrafficKey,
  tcpAoCopyAllMatching,
  tcpAoDestroySock,
  tcpAoDoLookup,
  tcpAoHashHdr,
  tcpAoTransmitSkb,
  tcpV4AoCalcKeyRsk,
  tcpV4AoSynackHash,
} from '#net/ipv4/tcp_ao.ts';
import type { AoReplyKey } from '#net/ipv4/tcp_ao_rcv.ts';
import {
  aoIgnoreIcmp,
  aoKeyid,
  aoRnext,
  tcpAoPrepareReset,
  tcpAoTimewaitKey,
} from '#net/ipv4/tcp_ao_rcv.ts';
import {
  tcpAoGetMkts,
  tcpAoGetRepair,
  tcpAoGetSockInfo,
  tcpParseAo,
} from '#net/ipv4/tcp_ao_sockopt.ts';
import { tcpParseAuthOptions, tcpV4CurrentKey, tcpV4InboundHash } from '#net/ipv4/tcp_auth.ts';
import {
  tcpClearMd5List,
  tcpMd5DoAdd,
  tcpMd5DoLookup,
  tcpV4Md5HashHdr,
  tcpV4Md5HashSkb,
  tcpV4Md5Lookup,
  tcpV4ParseMd5Keys,
} from '#net/ipv4/tcp_md5.ts';
import { digestMatches } from '#net/ipv4/tcp_sigpool.ts';
import { EKEYREJECTED } from '#uapi/errno.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  TCP_AO_GET_KEYS,
  TCP_AO_INFO,
  TCP_MD5SIG,
  TCP_MD5SIG_EXT,
  TCPOLEN_MD5SIG_ALIGNED,
  TCPOPT_AO,
  TCPOPT_NOP,
  tcphdr,
} from '#uapi/tcp.ts';

/** NOP, NOP, the head of an MD5 signature. */
const WORD_MD5SIG = 0x01011312;

/** The header in `iov` with an MD5 signature behind its options. */
function withMd5(net: Net, skb: SkBuff, iov: Uint8Array, key: TcpMd5sigKey): Uint8Array {
  const iph = skb.networkHeader;
  const out = new Uint8Array(iov.length + TCPOLEN_MD5SIG_ALIGNED);
  out.set(iov);
  const rep = new DataView(out.buffer);
  rep.setUint32(iov.length, WORD_MD5SIG);
  tcphdr.setDoffFlags(rep, 0, out.length >> 2, tcphdr.flags9(rep, 0));
  const saddr = iphdr.daddr(view, iph);
  const digest = tcpV4Md5HashHdr(net.machine, key, saddr, iphdr.saddr(view, iph), out);
  out.set(digest.subarray(0, MD5_DIGEST_SIZE), iov.length + 4);
  return out;
}

/** The header in `iov` with the authentication option behind its options. */
function withAo(
  net: Net,
  skb: SkBuff,
  iov: Uint8Array,
  reply: AoReplyKey,
  keyid: number,
): Uint8Array {
  const { key, trafficKey, rnext, sne } = reply;
  const iph = skb.networkHeader;
  const out = new Uint8Array(iov.length + tcpAoLenAligned(key)).fill(TCPOPT_NOP);
  out.set(iov);
  const rep = new DataView(out.buffer);
  const len = tcpAoLen(key);
  rep.setInt32(iov.length, (TCPOPT_AO << 24) | (len << 16) | (keyid << 8) | rnext);
  tcphdr.setDoffFlags(rep, 0, out.length >> 2, tcphdr.flags9(rep, 0));
  const at = iov.length + 4;
  const saddr = iphdr.daddr(view, iph);
  const daddr = iphdr.saddr(view, iph);
  const code = tcpAoHashHdr(net.machine, key, trafficKey, saddr, daddr, out, at, sne);
  out.set(code.subarray(0, key.maclen), at);
  return out;
}

/**
 * Nobody owns the segment, but it bears a signature: the listener of the port it came from may know
 * the key. The reset is signed only when the segment was signed right. Null: no reset.
 */
function listenerMd5Key(net: Net, skb: SkBuff, md5: number): TcpMd5sigKey | null {
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  const saddr = iphdr.saddr(view, iph);
  const daddr = iphdr.daddr(view, iph);
  const port = tcphdr.source(view, th);
  const listener = __inetLookupListener(net, saddr, port, daddr, port, inetIif(skb), null, 0);
  if (listener === null) return null;
  const key = tcpMd5DoLookup(listener, saddr);
  if (key === null) return null;
  const digest = tcpV4Md5HashSkb(key, saddr, daddr, skb);
  return digestMatches(md5, digest, MD5_DIGEST_SIZE) ? key : null;
}

/** The reset in `iov`, signed as the connection is; null: none may be sent. @kernel tcp_v4_send_reset net/ipv4/tcp_ipv4.c */
function signReset(
  net: Net,
  sk: SockCommon | null,
  skb: SkBuff,
  iov: Uint8Array,
): Uint8Array | null {
  const auth = net.machine.netGlobals.tcpAuthOptions;
  if (tcpParseAuthOptions(skb.transportHeader, auth) !== 0) return null;
  const { md5, ao } = auth;
  if (ao !== 0) {
    const reply = tcpAoPrepareReset(sk, skb, ao, tcphdr.seq(new DataView(iov.buffer), 0));
    return typeof reply === 'number' ? null : withAo(net, skb, iov, reply, aoRnext(ao));
  }
  let key: TcpMd5sigKey | null = null;
  if (sk !== null && sk.kind === SOCK_KIND_FULL) {
    key = tcpMd5DoLookup(sk as Sock, iphdr.saddr(view, skb.networkHeader));
  } else if (sk !== null && sk.kind === SOCK_KIND_TIMEWAIT) {
    key = (sk as InetTimewaitSock).twMd5Key;
  } else if (md5 !== 0) {
    key = listenerMd5Key(net, skb, md5);
    if (key === null) return null;
  }
  return key === null ? iov : withMd5(net, skb, iov, key);
}

/**
 * What a request signs with: the key that the peer asks for, or any that it may know. Null: send
 * nothing.
 * @kernel tcp_v4_reqsk_send_ack net/ipv4/tcp_ipv4.c
 */
function reqskAoKey(sk: Sock, skb: SkBuff, req: RequestSock): AoReplyKey | null {
  const { machine } = sk.net;
  const auth = machine.netGlobals.tcpAuthOptions;
  if (tcpParseAuthOptions(skb.transportHeader, auth) !== 0 || auth.ao === 0) return null;
  const addr = req.irRmtAddr;
  const key = tcpAoDoLookup(sk, addr, aoRnext(auth.ao), -1) ?? tcpAoDoLookup(sk, addr, -1, -1);
  if (key === null) return null;
  const trafficKey = scratchTrafficKey(machine, key);
  tcpV4AoCalcKeyRsk(key, trafficKey, req);
  return { key, trafficKey, rnext: aoKeyid(auth.ao), sne: 0 };
}

/** Of a time-wait socket as its connection did. */
function signTimewaitAck(tw: InetTimewaitSock, skb: SkBuff, iov: Uint8Array): Uint8Array | null {
  const auth = tw.net.machine.netGlobals.tcpAuthOptions;
  if (tw.aoInfo !== null) {
    if (tcpParseAuthOptions(skb.transportHeader, auth) !== 0) return null;
    const aoKey = tcpAoTimewaitKey(tw, auth.ao);
    if (aoKey !== null) return withAo(tw.net, skb, iov, aoKey, aoKey.key.sndid);
  }
  return tw.twMd5Key === null ? iov : withMd5(tw.net, skb, iov, tw.twMd5Key);
}

/** @kernel tcp_v4_send_ack net/ipv4/tcp_ipv4.c */
function signAck(
  sk: SockCommon,
  listener: Sock | null,
  skb: SkBuff,
  iov: Uint8Array,
): Uint8Array | null {
  if (sk.kind === SOCK_KIND_TIMEWAIT) return signTimewaitAck(sk as InetTimewaitSock, skb, iov);
  const req = sk as RequestSock;
  if (listener === null) return iov;
  if (req.usedTcpAo) {
    const aoKey = reqskAoKey(listener, skb, req);
    return aoKey === null ? null : withAo(sk.net, skb, iov, aoKey, aoKey.key.sndid);
  }
  const md5Key = tcpMd5DoLookup(listener, req.irRmtAddr);
  return md5Key === null ? iov : withMd5(sk.net, skb, iov, md5Key);
}

/** @kernel tcp_v4_syn_recv_sock net/ipv4/tcp_ipv4.c */
function childKeys(sk: Sock, newtp: TcpSock, req: RequestSock): number {
  if (!req.usedTcpAo) {
    const key = tcpMd5DoLookup(sk, newtp.skcDaddr);
    if (key !== null) return tcpMd5DoAdd(newtp, newtp.skcDaddr, 32, key.flags, key.key);
  }
  return tcpAoCopyAllMatching(sk, newtp, req);
}

/** @kernel tcp_create_openreq_child net/ipv4/tcp_minisocks.c */
function childAuthLen(sk: Sock, req: RequestSock): number {
  if (req.usedTcpAo) {
    const key = tcpAoDoLookup(sk, req.irRmtAddr, req.aoKeyid, -1);
    return key === null ? 0 : tcpAoLenAligned(key);
  }
  return tcpMd5DoLookup(sk, req.irRmtAddr) === null ? 0 : TCPOLEN_MD5SIG_ALIGNED;
}

/** @kernel tcp_make_synack net/ipv4/tcp_output.c */
function synackKey(sk: Sock, req: RequestSock, opts: TcpOutOptions): boolean {
  if (!req.usedTcpAo) {
    opts.md5Key = tcpMd5DoLookup(sk, req.irRmtAddr);
    if (opts.md5Key !== null) opts.keyType = TCP_KEY_MD5;
    return true;
  }
  opts.aoKey = tcpAoDoLookup(sk, req.irRmtAddr, req.aoKeyid, -1);
  if (opts.aoKey === null) {
    if (tracepointKey.enabled)
      sk.net.machine.trace.tcp.tcpAoSynackNoKey.probe?.(sk, req.aoKeyid, req.aoRcvNext);
    return false;
  }
  opts.keyType = TCP_KEY_AO;
  opts.aoKeyid = req.aoKeyid;
  opts.aoRnext = req.aoRcvNext;
  return true;
}

function synackHash(req: RequestSock, skb: SkBuff, opts: TcpOutOptions): void {
  if (opts.keyType === TCP_KEY_AO && opts.aoKey !== null) {
    tcpV4AoSynackHash(opts.aoKey, req, skb, opts.hashLocation);
  } else if (opts.keyType === TCP_KEY_MD5 && opts.md5Key !== null) {
    const digest = tcpV4Md5HashSkb(opts.md5Key, req.irLocAddr, req.irRmtAddr, skb);
    mem.set(digest.subarray(0, MD5_DIGEST_SIZE), opts.hashLocation);
  }
}

/** @kernel __tcp_transmit_skb net/ipv4/tcp_output.c */
function transmitSkb(sk: Sock, skb: SkBuff, opts: TcpOutOptions): void {
  if (opts.keyType === TCP_KEY_AO && opts.aoKey !== null) {
    tcpAoTransmitSkb(sk, skb, opts.aoKey, opts.hashLocation);
  } else if (opts.md5Key !== null) {
    const digest = tcpV4Md5HashSkb(opts.md5Key, sk.skcRcvSaddr, sk.skcDaddr, skb);
    mem.set(digest.subarray(0, MD5_DIGEST_SIZE), opts.hashLocation);
  }
}

/** @kernel tcp_conn_request net/ipv4/tcp_input.c */
function reqAuth(req: RequestSock, skb: SkBuff): boolean {
  const auth = req.net.machine.netGlobals.tcpAuthOptions;
  if (tcpParseAuthOptions(skb.transportHeader, auth) !== 0) return false;
  req.usedTcpAo = auth.ao !== 0;
  if (req.usedTcpAo) {
    req.aoRcvNext = aoKeyid(auth.ao);
    req.aoKeyid = aoRnext(auth.ao);
  }
  return true;
}

/** @kernel tcp_ao_syncookie net/ipv4/tcp_ao.c */
function syncookie(sk: Sock, skb: SkBuff, req: RequestSock): void {
  reqAuth(req, skb);
  if (req.usedTcpAo && tcpAoDoLookup(sk, req.irRmtAddr, -1, req.aoRcvNext) === null) {
    req.usedTcpAo = false;
  }
}

/** @kernel tcp_connect net/ipv4/tcp_output.c */
function checkKeys(sk: Sock): number {
  const tp = tcpSk(sk);
  const ao = tp.aoInfo !== null && tcpAoDoLookup(sk, sk.skcDaddr, -1, -1) !== null;
  if (tp.md5sigInfo !== null) {
    const needsAo = ao || tp.aoInfo?.aoRequired === true;
    const needsMd5 = tcpMd5DoLookup(sk, sk.skcDaddr) !== null;
    if (needsMd5 && needsAo) return -EKEYREJECTED;
    if (needsMd5) tcpAoDestroySock(sk);
    else if (needsAo) tcpClearMd5List(sk);
  }
  return tp.aoInfo !== null && !ao ? -EKEYREJECTED : 0;
}

function destroySock(sk: Sock): void {
  tcpClearMd5List(sk);
  tcpAoDestroySock(sk);
}

function setsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  const md5 = optname === TCP_MD5SIG || optname === TCP_MD5SIG_EXT;
  return md5 ? tcpV4ParseMd5Keys(sk, optname, optval) : tcpParseAo(sk, optname, optval);
}

function getsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  switch (optname) {
    case TCP_AO_GET_KEYS:
      return tcpAoGetMkts(sk, optval);
    case TCP_AO_INFO:
      return tcpAoGetSockInfo(sk, optval);
    default:
      return tcpAoGetRepair(sk, optval);
  }
}

/** @kernel tcp_md5_alloc_sigpool net/ipv4/tcp.c */
function tcpAuthInit(machine: Machine): number {
  machine.netGlobals.tcpAuth = {
    inboundHash: tcpV4InboundHash,
    getCurrentKey: tcpV4CurrentKey,
    transmitSkb,
    synackKey,
    synackHash,
    reqAuth,
    syncookie,
    childAuthLen,
    childKeys,
    sndSneUpdate: aoSndSneUpdate,
    rcvSneUpdate: aoRcvSneUpdate,
    connectInit: aoConnectInit,
    checkKeys,
    finishConnect: aoFinishConnect,
    established: aoEstablished,
    destroySock,
    twskKey: tcpV4Md5Lookup,
    ignoreIcmp: aoIgnoreIcmp,
    signReset,
    signAck,
    setsockopt,
    getsockopt,
  };
  return 0;
}

/** CONFIG_TCP_MD5SIG and CONFIG_TCP_AO together. */
export const tcpAuthModule: KernelModule = {
  name: 'tcp_auth',
  config: 'CONFIG_TCP_MD5SIG',
  depends: [],
  level: FS_INITCALL,
  init: tcpAuthInit,
  exit: null,
};
