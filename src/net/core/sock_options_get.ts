/**
 * SOL_SOCKET options, reading. Counterpart of sk_getsockopt in net/core/sock.c.
 */

import type { Socket } from '#include/linux/net.ts';
import {
  SOCK_BROADCAST,
  SOCK_DBG,
  SOCK_FILTER_LOCKED,
  SOCK_KEEPOPEN,
  SOCK_LINGER,
  SOCK_LOCALROUTE,
  SOCK_NOFCS,
  SOCK_RCVMARK,
  SOCK_RCVPRIORITY,
  SOCK_RCVTSTAMP,
  SOCK_RCVTSTAMPNS,
  SOCK_RXQ_OVFL,
  SOCK_SELECT_ERR_QUEUE,
  SOCK_TSTAMP_NEW,
  SOCK_TXTIME,
  SOCK_URGINLINE,
  SOCK_WIFI_STATUS,
  SOCK_ZEROCOPY,
  type Sock,
  skIsTcp,
} from '#include/net/sock.ts';
import { MAX_SCHEDULE_TIMEOUT } from '#include/net/sock_common.ts';
import { HZ } from '#kernel/machine.ts';
import { __devGetByIndex } from '#net/core/dev.ts';
import { skGetFilter } from '#net/core/filter_sock.ts';
import { skRmemAllocGet, skWmemAllocGet, sockError, sockFlag } from '#net/core/sock.ts';
import { skMayScmRecv } from '#net/core/sock_options.ts';
import { EINVAL, ENODATA, ENODEV, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP } from '#uapi/errno.ts';
import { IFNAMSIZ } from '#uapi/if.ts';
import {
  SK_MEMINFO_BACKLOG,
  SK_MEMINFO_DROPS,
  SK_MEMINFO_FWD_ALLOC,
  SK_MEMINFO_OPTMEM,
  SK_MEMINFO_RCVBUF,
  SK_MEMINFO_RMEM_ALLOC,
  SK_MEMINFO_SNDBUF,
  SK_MEMINFO_VARS,
  SK_MEMINFO_WMEM_ALLOC,
  SK_MEMINFO_WMEM_QUEUED,
} from '#uapi/sock_diag.ts';
import {
  SO_ACCEPTCONN,
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_BPF_EXTENSIONS,
  SO_BROADCAST,
  SO_BSDCOMPAT,
  SO_BUF_LOCK,
  SO_BUSY_POLL,
  SO_COOKIE,
  SO_DEBUG,
  SO_DOMAIN,
  SO_DONTROUTE,
  SO_ERROR,
  SO_GET_FILTER,
  SO_INCOMING_CPU,
  SO_INCOMING_NAPI_ID,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_LOCK_FILTER,
  SO_MARK,
  SO_MAX_PACING_RATE,
  SO_MEMINFO,
  SO_NETNS_COOKIE,
  SO_NO_CHECK,
  SO_NOFCS,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PASSPIDFD,
  SO_PASSRIGHTS,
  SO_PASSSEC,
  SO_PEEK_OFF,
  SO_PEERCRED,
  SO_PEERGROUPS,
  SO_PEERNAME,
  SO_PEERPIDFD,
  SO_PREFER_BUSY_POLL,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_RCVMARK,
  SO_RCVPRIORITY,
  SO_RCVTIMEO_NEW,
  SO_RCVTIMEO_OLD,
  SO_RESERVE_MEM,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_RXQ_OVFL,
  SO_SELECT_ERR_QUEUE,
  SO_SNDBUF,
  SO_SNDLOWAT,
  SO_SNDTIMEO_NEW,
  SO_SNDTIMEO_OLD,
  SO_TIMESTAMP_NEW,
  SO_TIMESTAMP_OLD,
  SO_TIMESTAMPING_NEW,
  SO_TIMESTAMPING_OLD,
  SO_TIMESTAMPNS_NEW,
  SO_TIMESTAMPNS_OLD,
  SO_TXREHASH,
  SO_TXTIME,
  SO_TYPE,
  SO_WIFI_STATUS,
  SO_ZEROCOPY,
  SOCK_BUF_LOCK_MASK,
} from '#uapi/socket.ts';
import { TCP_LISTEN } from '#uapi/tcp.ts';

const SOCK_PASSCRED_BIT = 1 << 3;
/** What the BPF machine knows beyond the packet. @kernel bpf_tell_extensions include/linux/filter.h */
const SKF_AD_MAX = 64;

/** A number by which this socket is known to diag: given when first asked for. @kernel sock_gen_cookie net/core/sock_diag.c */
export function sockGenCookie(sk: Sock): number {
  if (sk.skCookie === 0) sk.skCookie = sk.net.machine.netGlobals.sockCookieNext++;
  return sk.skCookie;
}

/** Fills the SK_MEMINFO_VARS words of SO_MEMINFO and INET_DIAG_SKMEMINFO. @kernel sk_get_meminfo net/core/sock.c */
export function skGetMeminfo(sk: Sock, mem: Uint32Array): void {
  mem[SK_MEMINFO_RMEM_ALLOC] = skRmemAllocGet(sk);
  mem[SK_MEMINFO_RCVBUF] = sk.skRcvbuf;
  mem[SK_MEMINFO_WMEM_ALLOC] = skWmemAllocGet(sk);
  mem[SK_MEMINFO_SNDBUF] = sk.skSndbuf;
  mem[SK_MEMINFO_FWD_ALLOC] = sk.skForwardAlloc;
  mem[SK_MEMINFO_WMEM_QUEUED] = sk.skWmemQueued;
  mem[SK_MEMINFO_OPTMEM] = sk.skOmemAlloc;
  mem[SK_MEMINFO_BACKLOG] = sk.skBacklogLen;
  mem[SK_MEMINFO_DROPS] = sk.skDrops;
}

function dataView(buf: Uint8Array): DataView {
  return new DataView(buf.buffer, buf.byteOffset, buf.length);
}

/** Copies as much of the value as the caller has room for; returns that length. */
function give(optval: Uint8Array, value: Uint8Array): number {
  const len = Math.min(optval.length, value.length);
  optval.set(value.subarray(0, len));
  return len;
}

function giveWords(optval: Uint8Array, ...words: number[]): number {
  const value = new Uint8Array(words.length * 4);
  const v = dataView(value);
  for (const [i, word] of words.entries()) v.setInt32(i * 4, word, true);
  return give(optval, value);
}

/** A double as a 64-bit value. */
function give64(optval: Uint8Array, value: number): number {
  return giveWords(optval, (value % 0x1_0000_0000) | 0, Math.floor(value / 0x1_0000_0000));
}

/** Jiffies as struct timeval; for ever is 0. @kernel sock_get_timeout net/core/sock.c */
function giveTimeout(optval: Uint8Array, timeo: number): number {
  const sec = timeo === MAX_SCHEDULE_TIMEOUT ? 0 : Math.floor(timeo / HZ);
  const usec = timeo === MAX_SCHEDULE_TIMEOUT ? 0 : (timeo % HZ) * (1_000_000 / HZ);
  return giveWords(optval, sec, 0, usec, 0);
}

/** @kernel sock_getbindtodevice net/core/sock.c */
function sockGetbindtodevice(sk: Sock, optval: Uint8Array): number {
  if (sk.skcBoundDevIf === 0) return 0;
  if (optval.length < IFNAMSIZ) return -EINVAL;
  const dev = __devGetByIndex(sk.net, sk.skcBoundDevIf);
  if (dev === null) return -ENODEV;
  for (let i = 0; i < dev.name.length; i++) optval[i] = dev.name.charCodeAt(i);
  optval[dev.name.length] = 0;
  return dev.name.length + 1;
}

function getPeername(sk: Sock, optval: Uint8Array): number {
  const sock = sk.skSocket;
  if (sock === null) return -ENOTCONN;
  const addr = new Uint8Array(128);
  const len = sock.ops.getname(sock, addr, 2);
  if (len < 0) return -ENOTCONN;
  if (len < optval.length) return -EINVAL;
  return give(optval, addr.subarray(0, len));
}

function getMeminfo(sk: Sock, optval: Uint8Array): number {
  const mem = new Uint32Array(SK_MEMINFO_VARS);
  skGetMeminfo(sk, mem);
  return giveWords(optval, ...mem);
}

/** SO_ERROR: the pending error, or what made the last attempt fail. */
function getError(sk: Sock): number {
  const err = -sockError(sk);
  if (err !== 0) return err;
  const soft = sk.skErrSoft;
  sk.skErrSoft = 0;
  return soft;
}

function flagOf(sk: Sock, flag: number): number {
  return sockFlag(sk, flag) ? 1 : 0;
}

/** Options that are one flag of the socket. Undefined: not one of these. */
function getFlag(sk: Sock, optname: number): number | undefined {
  const isNew = sockFlag(sk, SOCK_TSTAMP_NEW);
  switch (optname) {
    case SO_DEBUG:
      return flagOf(sk, SOCK_DBG);
    case SO_DONTROUTE:
      return flagOf(sk, SOCK_LOCALROUTE);
    case SO_BROADCAST:
      return flagOf(sk, SOCK_BROADCAST);
    case SO_KEEPALIVE:
      return flagOf(sk, SOCK_KEEPOPEN);
    case SO_OOBINLINE:
      return flagOf(sk, SOCK_URGINLINE);
    case SO_TIMESTAMP_OLD:
      return sockFlag(sk, SOCK_RCVTSTAMP) && !isNew && !sockFlag(sk, SOCK_RCVTSTAMPNS) ? 1 : 0;
    case SO_TIMESTAMPNS_OLD:
      return sockFlag(sk, SOCK_RCVTSTAMPNS) && !isNew ? 1 : 0;
    case SO_TIMESTAMP_NEW:
      return sockFlag(sk, SOCK_RCVTSTAMP) && isNew ? 1 : 0;
    case SO_TIMESTAMPNS_NEW:
      return sockFlag(sk, SOCK_RCVTSTAMPNS) && isNew ? 1 : 0;
    case SO_RXQ_OVFL:
      return flagOf(sk, SOCK_RXQ_OVFL);
    case SO_WIFI_STATUS:
      return flagOf(sk, SOCK_WIFI_STATUS);
    case SO_NOFCS:
      return flagOf(sk, SOCK_NOFCS);
    case SO_LOCK_FILTER:
      return flagOf(sk, SOCK_FILTER_LOCKED);
    case SO_SELECT_ERR_QUEUE:
      return flagOf(sk, SOCK_SELECT_ERR_QUEUE);
    case SO_ZEROCOPY:
      return flagOf(sk, SOCK_ZEROCOPY);
    case SO_RCVMARK:
      return flagOf(sk, SOCK_RCVMARK);
    case SO_RCVPRIORITY:
      return flagOf(sk, SOCK_RCVPRIORITY);
    default:
      return undefined;
  }
}

/** Options that are one int. Undefined: not one of these. */
function getInt(sk: Sock, optname: number): number | undefined {
  switch (optname) {
    case SO_SNDBUF:
      return sk.skSndbuf;
    case SO_RCVBUF:
      return sk.skRcvbuf;
    case SO_REUSEADDR:
      return sk.skcReuse;
    case SO_REUSEPORT:
      return sk.skcReuseport ? 1 : 0;
    case SO_TYPE:
      return sk.skType;
    case SO_PROTOCOL:
      return sk.skProtocol;
    case SO_DOMAIN:
      return sk.skcFamily;
    case SO_ERROR:
      return getError(sk);
    case SO_NO_CHECK:
      return sk.skNoCheckTx ? 1 : 0;
    case SO_PRIORITY:
      return sk.skPriority;
    case SO_BSDCOMPAT:
      return 0;
    case SO_RCVLOWAT:
      return sk.skRcvlowat;
    case SO_SNDLOWAT:
      return 1;
    case SO_ACCEPTCONN:
      return sk.skcState === TCP_LISTEN ? 1 : 0;
    case SO_MARK:
      return sk.skMark;
    case SO_BPF_EXTENSIONS:
      return SKF_AD_MAX;
    case SO_BUSY_POLL:
      return sk.skLlUsec;
    case SO_PREFER_BUSY_POLL:
      return sk.skPreferBusyPoll ? 1 : 0;
    case SO_INCOMING_CPU:
      return sk.skIncomingCpu;
    case SO_INCOMING_NAPI_ID:
      return sk.skNapiId;
    case SO_BINDTOIFINDEX:
      return sk.skcBoundDevIf;
    case SO_BUF_LOCK:
      return sk.skUserlocks & SOCK_BUF_LOCK_MASK;
    case SO_RESERVE_MEM:
      return sk.skReservedMem;
    default:
      return undefined;
  }
}

/**
 * Reads a SOL_SOCKET option into `optval`; its length, cut to the room, or a negative errno.
 * @kernel sk_getsockopt net/core/sock.c
 */
export function skGetsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  const word = getFlag(sk, optname) ?? getInt(sk, optname);
  if (word !== undefined) return giveWords(optval, word);
  switch (optname) {
    case SO_LINGER:
      return giveWords(optval, flagOf(sk, SOCK_LINGER), Math.floor(sk.skLingertime / HZ));
    case SO_TIMESTAMPING_OLD:
    case SO_TIMESTAMPING_NEW: {
      // The flags show only to the variant that set them.
      const mine = (optname === SO_TIMESTAMPING_NEW) === sockFlag(sk, SOCK_TSTAMP_NEW);
      return giveWords(optval, optname === SO_TIMESTAMPING_OLD || mine ? sk.skTsflags : 0, 0);
    }
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
      return giveTimeout(optval, sk.skRcvtimeo);
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
      return giveTimeout(optval, sk.skSndtimeo);
    case SO_PASSCRED:
      if (!skMayScmRecv(sk)) return -EOPNOTSUPP;
      return giveWords(optval, ((sk.skSocket?.flags ?? 0) & SOCK_PASSCRED_BIT) !== 0 ? 1 : 0);
    case SO_PASSSEC:
    case SO_PASSPIDFD:
    case SO_PASSRIGHTS:
      return -EOPNOTSUPP;
    case SO_PEERPIDFD:
      return sk.skPeerPid < 0 ? -ENODATA : -EOPNOTSUPP;
    case SO_PEERCRED: {
      const known = sk.skPeerPid >= 0;
      const uid = known ? sk.skPeerUid : -1;
      return giveWords(optval, known ? sk.skPeerPid : 0, uid, uid);
    }
    case SO_PEERGROUPS:
      return sk.skPeerPid < 0 ? -ENODATA : 0;
    case SO_PEERNAME:
      return getPeername(sk, optval);
    case SO_TXREHASH:
      return skIsTcp(sk) ? giveWords(optval, sk.skTxrehash) : -EOPNOTSUPP;
    case SO_PEEK_OFF:
      if ((sk.skSocket?.ops.setPeekOff ?? null) === null) return -EOPNOTSUPP;
      return giveWords(optval, sk.skPeekOff);
    case SO_BINDTODEVICE:
      return sockGetbindtodevice(sk, optval);
    case SO_GET_FILTER:
      return skGetFilter(sk, optval);
    case SO_MAX_PACING_RATE:
      if (optval.length >= 8) {
        if (sk.skMaxPacingRate === Number.MAX_SAFE_INTEGER) return giveWords(optval, -1, -1);
        return give64(optval, sk.skMaxPacingRate);
      }
      return giveWords(optval, Math.min(sk.skMaxPacingRate, 0xffffffff) | 0);
    case SO_MEMINFO:
      return getMeminfo(sk, optval);
    case SO_COOKIE:
      return optval.length < 8 ? -EINVAL : give64(optval, sockGenCookie(sk));
    case SO_NETNS_COOKIE:
      return optval.length !== 8 ? -EINVAL : give64(optval, sk.net.nsid + 1);
    case SO_TXTIME: {
      const set = sockFlag(sk, SOCK_TXTIME);
      return giveWords(optval, set ? sk.skClockid : 0, set ? sk.skTxtimeFlags : 0);
    }
    default:
      return -ENOPROTOOPT;
  }
}

/** @kernel sock_getsockopt net/core/sock.c */
export function sockGetsockopt(
  sock: Socket,
  _level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const sk = sock.sk;
  return sk === null ? -EINVAL : skGetsockopt(sk, optname, optval);
}
