/**
 * SOL_SOCKET options, setting. Counterpart of sk_setsockopt and its helpers in net/core/sock.c.
 *
 * Option values are the binary structs of Linux on x86-64. Programs run as root: what needs a
 * capability is allowed.
 */

import type { Socket } from '#include/linux/net.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import {
  SK_CAN_REUSE,
  SK_NO_REUSE,
  SOCK_BROADCAST,
  SOCK_DBG,
  SOCK_FILTER_LOCKED,
  SOCK_KEEPOPEN,
  SOCK_LINGER,
  SOCK_LOCALROUTE,
  SOCK_NOFCS,
  SOCK_RCVBUF_LOCK,
  SOCK_RCVMARK,
  SOCK_RCVPRIORITY,
  SOCK_RCVTSTAMP,
  SOCK_RCVTSTAMPNS,
  SOCK_RXQ_OVFL,
  SOCK_SELECT_ERR_QUEUE,
  SOCK_SNDBUF_LOCK,
  SOCK_TIMESTAMP,
  SOCK_TIMESTAMPING_RX_SOFTWARE,
  SOCK_TSTAMP_NEW,
  SOCK_TXTIME,
  SOCK_URGINLINE,
  SOCK_WIFI_STATUS,
  SOCK_ZEROCOPY,
  type Sock,
  skIsInet,
  skIsTcp,
} from '#include/net/sock.ts';
import { MAX_SCHEDULE_TIMEOUT } from '#include/net/sock_common.ts';
import { HZ } from '#kernel/machine.ts';
import { __devGetByName } from '#net/core/dev.ts';
import { skAttachFilter, skDetachFilter, skReuseportAttachFilter } from '#net/core/filter_sock.ts';
import {
  dstNegativeAdvice,
  lockSock,
  releaseSock,
  skDstReset,
  sockDisableTimestamp,
  sockEnableTimestamp,
  sockFlag,
  sockResetFlag,
  sockSetFlag,
  sockValboolFlag,
} from '#net/core/sock.ts';
import { reuseportDetachProg, reuseportUpdateIncomingCpu } from '#net/core/sock_reuseport.ts';
import { EDOM, EINVAL, ENODEV, ENOPROTOOPT, EOPNOTSUPP, EPERM } from '#uapi/errno.ts';
import { IFNAMSIZ } from '#uapi/if.ts';
import {
  SOF_TIMESTAMPING_BIND_PHC,
  SOF_TIMESTAMPING_MASK,
  SOF_TIMESTAMPING_OPT_ID,
  SOF_TIMESTAMPING_OPT_ID_TCP,
  SOF_TIMESTAMPING_OPT_STATS,
  SOF_TIMESTAMPING_OPT_TSONLY,
  SOF_TIMESTAMPING_RX_SOFTWARE,
  SOF_TXTIME_FLAGS_MASK,
} from '#uapi/net_tstamp.ts';
import {
  AF_NETLINK,
  AF_UNIX,
  SO_ATTACH_BPF,
  SO_ATTACH_FILTER,
  SO_ATTACH_REUSEPORT_CBPF,
  SO_ATTACH_REUSEPORT_EBPF,
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_BROADCAST,
  SO_BSDCOMPAT,
  SO_BUF_LOCK,
  SO_BUSY_POLL,
  SO_BUSY_POLL_BUDGET,
  SO_CNX_ADVICE,
  SO_DEBUG,
  SO_DETACH_FILTER,
  SO_DETACH_REUSEPORT_BPF,
  SO_DOMAIN,
  SO_DONTROUTE,
  SO_ERROR,
  SO_INCOMING_CPU,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_LOCK_FILTER,
  SO_MARK,
  SO_MAX_PACING_RATE,
  SO_NO_CHECK,
  SO_NOFCS,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PASSPIDFD,
  SO_PASSRIGHTS,
  SO_PASSSEC,
  SO_PEEK_OFF,
  SO_PREFER_BUSY_POLL,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
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
  SO_SNDBUFFORCE,
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
  SOCK_MIN_RCVBUF,
  SOCK_MIN_SNDBUF,
  SOCK_RAW,
  SOCK_TXREHASH_DEFAULT,
  SOCK_TXREHASH_ENABLED,
} from '#uapi/socket.ts';
import { TCPF_CLOSE, TCPF_LISTEN } from '#uapi/tcp.ts';

const INT_MAX = 0x7fffffff;
/** `sock.flags` bit of SO_PASSCRED. */
const SOCK_PASSCRED_BIT = 1 << 3;

/** Who may receive credentials and descriptors. @kernel sk_may_scm_recv include/net/sock.h */
export function skMayScmRecv(sk: Sock): boolean {
  return sk.skcFamily === AF_UNIX || sk.skcFamily === AF_NETLINK;
}

/** @kernel sock_set_timestamp net/core/sock.c */
function sockSetTimestamp(sk: Sock, optname: number, on: boolean): number {
  const ns = optname === SO_TIMESTAMPNS_OLD || optname === SO_TIMESTAMPNS_NEW;
  const isNew = optname === SO_TIMESTAMP_NEW || optname === SO_TIMESTAMPNS_NEW;
  sockValboolFlag(sk, SOCK_RCVTSTAMP, on);
  sockValboolFlag(sk, SOCK_RCVTSTAMPNS, on && ns);
  if (on) {
    sockValboolFlag(sk, SOCK_TSTAMP_NEW, isNew);
    sockEnableTimestamp(sk, SOCK_TIMESTAMP);
  }
  return 0;
}

/**
 * From where SOF_TIMESTAMPING_OPT_ID counts: a datagram socket's calls from 0, a stream's bytes from
 * the next to be acknowledged, or with OPT_ID_TCP from the next to be written.
 */
function startTskey(sk: Sock, flags: number): number {
  sk.skTskey = 0;
  if (!skIsTcp(sk)) return 0;
  if (((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) !== 0) return -EINVAL;
  const tp = sk as TcpSock;
  sk.skTskey = (flags & SOF_TIMESTAMPING_OPT_ID_TCP) !== 0 ? tp.writeSeq : tp.sndUna;
  return 0;
}

/** @kernel sock_set_timestamping net/core/sock.c */
function sockSetTimestamping(sk: Sock, optname: number, optval: Uint8Array): number {
  const flags = int32(optval, 0);
  if ((flags & ~SOF_TIMESTAMPING_MASK) !== 0) return -EINVAL;
  if ((flags & SOF_TIMESTAMPING_OPT_ID_TCP) !== 0 && (flags & SOF_TIMESTAMPING_OPT_ID) === 0) {
    return -EINVAL;
  }
  if ((flags & SOF_TIMESTAMPING_OPT_ID) !== 0 && (sk.skTsflags & SOF_TIMESTAMPING_OPT_ID) === 0) {
    const err = startTskey(sk, flags);
    if (err !== 0) return err;
  }
  if ((flags & SOF_TIMESTAMPING_OPT_STATS) !== 0 && (flags & SOF_TIMESTAMPING_OPT_TSONLY) === 0) {
    return -EINVAL;
  }
  // There is no PTP clock to bind to.
  if ((flags & SOF_TIMESTAMPING_BIND_PHC) !== 0) return -EOPNOTSUPP;
  sk.skTsflags = flags;
  sockValboolFlag(sk, SOCK_TSTAMP_NEW, optname === SO_TIMESTAMPING_NEW);
  if ((flags & SOF_TIMESTAMPING_RX_SOFTWARE) !== 0) {
    sockEnableTimestamp(sk, SOCK_TIMESTAMPING_RX_SOFTWARE);
  } else {
    sockDisableTimestamp(sk, SOCK_TIMESTAMPING_RX_SOFTWARE);
  }
  return 0;
}

function dataView(optval: Uint8Array): DataView {
  return new DataView(optval.buffer, optval.byteOffset, optval.length);
}

function int32(optval: Uint8Array, at: number): number {
  return (
    (optval[at] as number) |
    ((optval[at + 1] as number) << 8) |
    ((optval[at + 2] as number) << 16) |
    ((optval[at + 3] as number) << 24)
  );
}

/** A 64-bit value as a double; exact to 2^53, and its sign is kept. */
function int64(optval: Uint8Array, at: number): number {
  const v = dataView(optval);
  return v.getInt32(at + 4, true) * 0x1_0000_0000 + v.getUint32(at, true);
}

/** Binds the socket to an interface by index; 0: to none. @kernel sock_bindtoindex_locked net/core/sock.c */
export function sockBindtoindexLocked(sk: Sock, ifindex: number): number {
  if (ifindex < 0) return -EINVAL;
  sk.skcBoundDevIf = ifindex;
  sk.skProt.rehash?.(sk);
  skDstReset(sk);
  return 0;
}

/** @kernel sock_setbindtodevice net/core/sock.c */
function sockSetbindtodevice(sk: Sock, optval: Uint8Array): number {
  let name = '';
  for (let i = 0; i < Math.min(optval.length, IFNAMSIZ - 1); i++) {
    const c = optval[i] ?? 0;
    if (c === 0) break;
    name += String.fromCharCode(c);
  }
  let index = 0;
  if (name !== '') {
    const dev = __devGetByName(sk.net, name);
    if (dev === null) return -ENODEV;
    index = dev.ifindex;
  }
  lockSock(sk);
  const err = sockBindtoindexLocked(sk, index);
  releaseSock(sk);
  return err;
}

/** struct timeval to jiffies; -EDOM for microseconds out of range. @kernel sock_set_timeout net/core/sock.c */
function sockSetTimeout(optval: Uint8Array): number {
  if (optval.length < 16) return -EINVAL;
  const sec = int64(optval, 0);
  const usec = int64(optval, 8);
  if (usec < 0 || usec >= 1_000_000) return -EDOM;
  if (sec < 0) return 0;
  if (sec === 0 && usec === 0) return MAX_SCHEDULE_TIMEOUT;
  if (sec >= Math.floor(MAX_SCHEDULE_TIMEOUT / HZ) - 1) return MAX_SCHEDULE_TIMEOUT;
  return sec * HZ + Math.ceil(usec / (1_000_000 / HZ));
}

/** Grows the receive buffer to twice `val`. @kernel __sock_set_rcvbuf net/core/sock.c */
export function __sockSetRcvbuf(sk: Sock, val: number): void {
  sk.skUserlocks |= SOCK_RCVBUF_LOCK;
  // Doubled, because the sum is of truesize: the user asks for bytes of data.
  sk.skRcvbuf = Math.max(Math.min(val, INT_MAX >> 1) * 2, SOCK_MIN_RCVBUF);
}

function sockSetSndbuf(sk: Sock, val: number): void {
  sk.skUserlocks |= SOCK_SNDBUF_LOCK;
  sk.skSndbuf = Math.max(Math.min(val, INT_MAX >> 1) * 2, SOCK_MIN_SNDBUF);
  sk.skWriteSpace(sk);
}

function setLinger(sk: Sock, optval: Uint8Array): number {
  if (optval.length < 8) return -EINVAL;
  if (int32(optval, 0) === 0) {
    sockResetFlag(sk, SOCK_LINGER);
    return 0;
  }
  const sec = int32(optval, 4) >>> 0;
  sk.skLingertime = sec >= MAX_SCHEDULE_TIMEOUT / HZ ? MAX_SCHEDULE_TIMEOUT : sec * HZ;
  sockSetFlag(sk, SOCK_LINGER);
  return 0;
}

function setMaxPacingRate(sk: Sock, val: number, optval: Uint8Array): number {
  let rate = val === -1 ? Number.MAX_SAFE_INTEGER : val >>> 0;
  if (optval.length >= 8) {
    const v = dataView(optval);
    rate = v.getUint32(4, true) * 0x1_0000_0000 + v.getUint32(0, true);
    if (rate > Number.MAX_SAFE_INTEGER) rate = Number.MAX_SAFE_INTEGER;
  }
  if (rate !== Number.MAX_SAFE_INTEGER && sk.skPacingStatus === 0) sk.skPacingStatus = 1;
  sk.skMaxPacingRate = rate;
  sk.skPacingRate = Math.min(sk.skPacingRate, rate);
  return 0;
}

function setZerocopy(sk: Sock, val: number): number {
  const inet = skIsInet(sk) && sk.skType !== SOCK_RAW;
  if (!inet) return -EOPNOTSUPP;
  if (val < 0 || val > 1) return -EINVAL;
  sockValboolFlag(sk, SOCK_ZEROCOPY, val !== 0);
  return 0;
}

function setTxtime(sk: Sock, optval: Uint8Array): number {
  if (optval.length !== 8) return -EINVAL;
  const flags = int32(optval, 4);
  if ((flags & ~SOF_TXTIME_FLAGS_MASK) !== 0) return -EINVAL;
  sk.skClockid = int32(optval, 0);
  sk.skTxtimeFlags = flags;
  sockSetFlag(sk, SOCK_TXTIME);
  return 0;
}

function setTxrehash(sk: Sock, val: number): number {
  if (!skIsTcp(sk)) return -EOPNOTSUPP;
  if (val < -1 || val > 1) return -EINVAL;
  sk.skTxrehash = (val & 0xff) === SOCK_TXREHASH_DEFAULT ? SOCK_TXREHASH_ENABLED : val & 0xff;
  return 0;
}

/** set_peek_off of the types that have it. @kernel sk_set_peek_off net/core/sock.c */
export function skSetPeekOff(sk: Sock, val: number): number {
  sk.skPeekOff = val;
  return 0;
}

/** Options that only touch one word and need no lock. Undefined: not one of these. */
function setUnlocked(sk: Sock, optname: number, val: number): number | undefined {
  switch (optname) {
    case SO_PRIORITY:
      // Any value: the range 0 to 6 is only for those without CAP_NET_ADMIN.
      sk.skPriority = val >>> 0;
      return 0;
    case SO_TYPE:
    case SO_PROTOCOL:
    case SO_DOMAIN:
    case SO_ERROR:
      return -ENOPROTOOPT;
    case SO_BUSY_POLL:
      if (val < 0) return -EINVAL;
      sk.skLlUsec = val;
      return 0;
    case SO_PREFER_BUSY_POLL:
      sk.skPreferBusyPoll = val !== 0;
      return 0;
    case SO_BUSY_POLL_BUDGET:
      if (val < 0 || val > 0xffff) return -EINVAL;
      sk.skBusyPollBudget = val;
      return 0;
    case SO_TXREHASH:
      return setTxrehash(sk, val);
    case SO_PASSCRED:
      return setPasscred(sk, val !== 0);
    case SO_PASSSEC:
    case SO_PASSPIDFD:
    case SO_PASSRIGHTS:
      return -EOPNOTSUPP;
    default:
      return undefined;
  }
}

function setPasscred(sk: Sock, on: boolean): number {
  const sock = sk.skSocket;
  if (!skMayScmRecv(sk) || sock === null) return -EOPNOTSUPP;
  if (on) sock.flags |= SOCK_PASSCRED_BIT;
  else sock.flags &= ~SOCK_PASSCRED_BIT;
  return 0;
}

/** Buffers and memory. Undefined: not one of these. */
function setBuffer(sk: Sock, optname: number, val: number): number | undefined {
  switch (optname) {
    case SO_SNDBUF:
      // The comparison is unsigned: a negative wish gets the maximum, as in BSD.
      sockSetSndbuf(sk, Math.min(val >>> 0, sk.net.sysctlWmemMax));
      return 0;
    case SO_SNDBUFFORCE:
      sockSetSndbuf(sk, Math.max(val, 0));
      return 0;
    case SO_RCVBUF:
      __sockSetRcvbuf(sk, Math.min(val >>> 0, sk.net.sysctlRmemMax));
      return 0;
    case SO_RCVBUFFORCE:
      __sockSetRcvbuf(sk, Math.max(val, 0));
      return 0;
    case SO_BUF_LOCK:
      if ((val & ~SOCK_BUF_LOCK_MASK) !== 0) return -EINVAL;
      sk.skUserlocks = val | (sk.skUserlocks & ~SOCK_BUF_LOCK_MASK);
      return 0;
    case SO_RESERVE_MEM:
      // Reserving needs a memory cgroup, and there is none.
      return val < 0 ? -EINVAL : -EOPNOTSUPP;
    case SO_RCVLOWAT: {
      const low = val < 0 ? INT_MAX : val;
      const set = sk.skSocket?.ops.setRcvlowat ?? null;
      if (set !== null) return set(sk, low);
      sk.skRcvlowat = low === 0 ? 1 : low;
      return 0;
    }
    case SO_PEEK_OFF: {
      const set = sk.skSocket?.ops.setPeekOff ?? null;
      return set === null ? -EOPNOTSUPP : set(sk, val);
    }
    default:
      return undefined;
  }
}

/** Options that are one flag of the socket. Undefined: not one of these. */
function setFlag(sk: Sock, optname: number, on: boolean): number | undefined {
  switch (optname) {
    case SO_DEBUG:
      sockValboolFlag(sk, SOCK_DBG, on);
      return 0;
    case SO_REUSEADDR:
      sk.skcReuse = on ? SK_CAN_REUSE : SK_NO_REUSE;
      return 0;
    case SO_REUSEPORT:
      if (on && !skIsInet(sk)) return -EOPNOTSUPP;
      sk.skcReuseport = on;
      return 0;
    case SO_DONTROUTE:
      sockValboolFlag(sk, SOCK_LOCALROUTE, on);
      skDstReset(sk);
      return 0;
    case SO_BROADCAST:
      sockValboolFlag(sk, SOCK_BROADCAST, on);
      return 0;
    case SO_KEEPALIVE:
      sk.skProt.keepalive?.(sk, on);
      sockValboolFlag(sk, SOCK_KEEPOPEN, on);
      return 0;
    case SO_OOBINLINE:
      sockValboolFlag(sk, SOCK_URGINLINE, on);
      return 0;
    case SO_NO_CHECK:
      sk.skNoCheckTx = on;
      return 0;
    case SO_BSDCOMPAT:
      return 0;
    case SO_RXQ_OVFL:
      sockValboolFlag(sk, SOCK_RXQ_OVFL, on);
      return 0;
    case SO_WIFI_STATUS:
      sockValboolFlag(sk, SOCK_WIFI_STATUS, on);
      return 0;
    case SO_NOFCS:
      sockValboolFlag(sk, SOCK_NOFCS, on);
      return 0;
    case SO_SELECT_ERR_QUEUE:
      sockValboolFlag(sk, SOCK_SELECT_ERR_QUEUE, on);
      return 0;
    case SO_RCVMARK:
      sockValboolFlag(sk, SOCK_RCVMARK, on);
      return 0;
    case SO_RCVPRIORITY:
      sockValboolFlag(sk, SOCK_RCVPRIORITY, on);
      return 0;
    case SO_LOCK_FILTER:
      if (sockFlag(sk, SOCK_FILTER_LOCKED) && !on) return -EPERM;
      sockValboolFlag(sk, SOCK_FILTER_LOCKED, on);
      return 0;
    default:
      return undefined;
  }
}

function setLocked(sk: Sock, optname: number, val: number, optval: Uint8Array): number {
  const done = setFlag(sk, optname, val !== 0) ?? setBuffer(sk, optname, val);
  if (done !== undefined) return done;
  switch (optname) {
    case SO_LINGER:
      return setLinger(sk, optval);
    case SO_TIMESTAMP_OLD:
    case SO_TIMESTAMP_NEW:
    case SO_TIMESTAMPNS_OLD:
    case SO_TIMESTAMPNS_NEW:
      return sockSetTimestamp(sk, optname, val !== 0);
    case SO_TIMESTAMPING_OLD:
    case SO_TIMESTAMPING_NEW:
      return sockSetTimestamping(sk, optname, optval);
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW: {
      const timeo = sockSetTimeout(optval);
      if (timeo < 0) return timeo;
      sk.skRcvtimeo = timeo;
      return 0;
    }
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW: {
      const timeo = sockSetTimeout(optval);
      if (timeo < 0) return timeo;
      sk.skSndtimeo = timeo;
      return 0;
    }
    case SO_ATTACH_FILTER:
      return skAttachFilter(sk, optval);
    case SO_DETACH_FILTER:
      return skDetachFilter(sk);
    case SO_ATTACH_REUSEPORT_CBPF:
      return skReuseportAttachFilter(sk, optval);
    case SO_DETACH_REUSEPORT_BPF:
      return reuseportDetachProg(sk);
    case SO_ATTACH_BPF:
    case SO_ATTACH_REUSEPORT_EBPF:
      return -EOPNOTSUPP;
    case SO_MARK:
      if (val !== sk.skMark) {
        sk.skMark = val;
        skDstReset(sk);
      }
      return 0;
    case SO_MAX_PACING_RATE:
      return setMaxPacingRate(sk, val, optval);
    case SO_INCOMING_CPU:
      reuseportUpdateIncomingCpu(sk, val);
      return 0;
    case SO_CNX_ADVICE:
      if (val === 1) dstNegativeAdvice(sk);
      return 0;
    case SO_ZEROCOPY:
      return setZerocopy(sk, val);
    case SO_TXTIME:
      return setTxtime(sk, optval);
    case SO_BINDTOIFINDEX:
      return sockBindtoindexLocked(sk, val);
    default:
      return -ENOPROTOOPT;
  }
}

/**
 * Sets a SOL_SOCKET option: 0 or a negative errno.
 * @kernel sk_setsockopt net/core/sock.c
 * @deviation SO_ATTACH_FILTER takes the instructions themselves where Linux takes a struct
 * sock_fprog that points to them; eBPF is refused with -EOPNOTSUPP.
 */
export function skSetsockopt(sk: Sock, optname: number, optval: Uint8Array): number {
  if (optname === SO_BINDTODEVICE) return sockSetbindtodevice(sk, optval);
  if (optval.length < 4) return -EINVAL;
  const val = int32(optval, 0);
  const early = setUnlocked(sk, optname, val);
  if (early !== undefined) return early;
  lockSock(sk);
  const err = setLocked(sk, optname, val, optval);
  releaseSock(sk);
  return err;
}

/** @kernel sock_setsockopt net/core/sock.c */
export function sockSetsockopt(
  sock: Socket,
  _level: number,
  optname: number,
  optval: Uint8Array,
): number {
  const sk = sock.sk;
  return sk === null ? -EINVAL : skSetsockopt(sk, optname, optval);
}
