/**
 * Packets for senders, charged to the socket, and what a sender may say of one datagram in
 * control messages. Counterpart of the sending part of net/core/sock.c.
 */
import type { Msghdr } from '#include/linux/net.ts';
import { SIZEOF_SK_BUFF, SIZEOF_SKB_SHARED_INFO, type SkBuff } from '#include/linux/skbuff.ts';
import { SEND_SHUTDOWN, SOCK_TXTIME, type Sock, skIsTcp } from '#include/net/sock.ts';
import { nextCmsg } from '#net/core/scm.ts';
import { allocSkb } from '#net/core/skbuff.ts';
import { skbSetOwnerW, skSetNospace, skWmemAllocGet, sockError, sockFlag } from '#net/core/sock.ts';
import { sockKfreeS } from '#net/core/sock_mem.ts';
import { EAGAIN, EINVAL, ENOBUFS, EPIPE } from '#uapi/errno.ts';
import {
  SOF_TIMESTAMPING_OPT_ID,
  SOF_TIMESTAMPING_TX_ACK,
  SOF_TIMESTAMPING_TX_COMPLETION,
  SOF_TIMESTAMPING_TX_HARDWARE,
  SOF_TIMESTAMPING_TX_SCHED,
  SOF_TIMESTAMPING_TX_SOFTWARE,
} from '#uapi/net_tstamp.ts';
import {
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SCM_TS_OPT_ID,
  SCM_TXTIME,
  SO_MARK,
  SO_PRIORITY,
  SO_TIMESTAMPING_NEW,
  SO_TIMESTAMPING_OLD,
  SOL_SOCKET,
} from '#uapi/socket.ts';

/** Among the tsflags of a cookie: the sender gave the key. @kernel SOCKCM_FLAG_TS_OPT_ID include/net/sock.h */
export const SOCKCM_FLAG_TS_OPT_ID: number = 1 << 31;

export const SOF_TIMESTAMPING_TX_RECORD_MASK: number =
  SOF_TIMESTAMPING_TX_HARDWARE |
  SOF_TIMESTAMPING_TX_SOFTWARE |
  SOF_TIMESTAMPING_TX_SCHED |
  SOF_TIMESTAMPING_TX_ACK |
  SOF_TIMESTAMPING_TX_COMPLETION;

/**
 * A packet with `size` bytes of room, charged to the socket. -EAGAIN while the send buffer is full
 * (write_space is asked for), the socket's error, -EPIPE after shutdown, -ENOBUFS without memory.
 * @kernel sock_alloc_send_skb include/net/sock.h
 */
export function sockAllocSendSkb(sk: Sock, size: number): SkBuff | number {
  const err = sockError(sk);
  if (err !== 0) return err;
  if ((sk.skShutdown & SEND_SHUTDOWN) !== 0) return -EPIPE;
  if (skWmemAllocGet(sk) >= sk.skSndbuf) {
    skSetNospace(sk);
    return -EAGAIN;
  }
  const skb = allocSkb(sk.net.machine, size);
  if (skb === null) return -ENOBUFS;
  skbSetOwnerW(skb, sk);
  return skb;
}

/** A packet charged to the sender; null when the buffer is full (unless forced) or memory is. @kernel sock_wmalloc net/core/sock.c */
export function sockWmalloc(sk: Sock, size: number, force: boolean): SkBuff | null {
  if (!force && sk.skWmemAlloc >= sk.skSndbuf) return null;
  const skb = allocSkb(sk.net.machine, size);
  if (skb !== null) skbSetOwnerW(skb, sk);
  return skb;
}

/** @kernel sock_ofree net/core/sock.c */
function sockOfree(skb: SkBuff): void {
  if (skb.sk !== null) sockKfreeS(skb.sk, skb.truesize);
}

/** A packet charged to the option memory: notices to the socket itself. @kernel sock_omalloc net/core/sock.c */
export function sockOmalloc(sk: Sock, size: number): SkBuff | null {
  const truesize = size + SIZEOF_SK_BUFF + SIZEOF_SKB_SHARED_INFO;
  if (sk.skOmemAlloc + truesize > sk.net.sysctlOptmemMax) return null;
  const skb = allocSkb(sk.net.machine, size);
  if (skb === null) return null;
  sk.skOmemAlloc += skb.truesize;
  skb.sk = sk;
  skb.destructor = sockOfree;
  return skb;
}

/** What control messages say of one datagram; IpcmCookie is one. @kernel sockcm_cookie include/net/sock.h */
export interface SockcmCookie {
  /** ns; 0: as soon as possible. */
  transmitTime: number;
  mark: number;
  /** SOF_TIMESTAMPING_* */
  tsflags: number;
  /** Key of the transmit timestamp, of SCM_TS_OPT_ID. */
  tsOptId: number;
  priority: number;
}

/** The socket's own settings, before any control message. @kernel sockcm_init include/net/sock.h */
export function sockcmInit(sockc: SockcmCookie, sk: Sock): void {
  sockc.transmitTime = 0;
  sockc.mark = sk.skMark;
  sockc.tsflags = sk.skTsflags;
  sockc.tsOptId = 0;
  sockc.priority = sk.skPriority;
}

function u32Of(data: Uint8Array): number {
  return new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
}

/** One message at level SOL_SOCKET: 0 or -EINVAL. @kernel __sock_cmsg_send net/core/sock.c */
export function __sockCmsgSend(
  sk: Sock,
  type: number,
  data: Uint8Array,
  sockc: SockcmCookie,
): number {
  switch (type) {
    case SO_MARK:
      if (data.length !== 4) return -EINVAL;
      sockc.mark = u32Of(data);
      return 0;
    case SO_TIMESTAMPING_OLD:
    case SO_TIMESTAMPING_NEW: {
      if (data.length !== 4) return -EINVAL;
      const flags = u32Of(data);
      if ((flags & ~SOF_TIMESTAMPING_TX_RECORD_MASK) !== 0) return -EINVAL;
      sockc.tsflags = (sockc.tsflags & ~SOF_TIMESTAMPING_TX_RECORD_MASK) | flags;
      return 0;
    }
    case SCM_TXTIME: {
      if (!sockFlag(sk, SOCK_TXTIME) || data.length !== 8) return -EINVAL;
      const v = new DataView(data.buffer, data.byteOffset, 8);
      sockc.transmitTime = v.getUint32(4, true) * 0x1_0000_0000 + v.getUint32(0, true);
      return 0;
    }
    case SCM_TS_OPT_ID:
      // A stream counts bytes: it needs no keys.
      if (skIsTcp(sk) || (sk.skTsflags & SOF_TIMESTAMPING_OPT_ID) === 0) return -EINVAL;
      if (data.length !== 4) return -EINVAL;
      sockc.tsOptId = u32Of(data);
      sockc.tsflags |= SOCKCM_FLAG_TS_OPT_ID;
      return 0;
    case SO_PRIORITY:
      if (data.length !== 4) return -EINVAL;
      sockc.priority = u32Of(data);
      return 0;
    // Only AF_UNIX knows what to do with these; others let them pass.
    case SCM_RIGHTS:
    case SCM_CREDENTIALS:
      return 0;
    default:
      return -EINVAL;
  }
}

/** All messages at level SOL_SOCKET. 0 or -EINVAL. @kernel sock_cmsg_send net/core/sock.c */
export function sockCmsgSend(sk: Sock, msg: Msghdr, sockc: SockcmCookie): number {
  for (let cmsg = nextCmsg(msg, null); cmsg !== null; cmsg = nextCmsg(msg, cmsg)) {
    if (!cmsg.ok) return -EINVAL;
    if (cmsg.level !== SOL_SOCKET) continue;
    const err = __sockCmsgSend(sk, cmsg.type, cmsg.data, sockc);
    if (err !== 0) return err;
  }
  return 0;
}
