/**
 * Control messages: walking those that a sender gives, building those that a receiver gets, and
 * the messages of SOL_SOCKET that any received packet may carry (time stamps, drop count, mark).
 *
 * Counterpart of net/core/scm.c (put_cmsg), the CMSG_* macros of include/linux/socket.h, and
 * __sock_recv_cmsgs of net/socket.c. The layout is that of x86-64:
 *
 *   +-----------------------+-----------+-----------+--------------------------+
 *   | cmsg_len (8)          | level (4) | type (4)  | data, padded to 8        |
 *   +-----------------------+-----------+-----------+--------------------------+
 */
import type { Msghdr } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  SK_DEFAULT_STAMP,
  SOCK_RCVMARK,
  SOCK_RCVPRIORITY,
  SOCK_RCVTSTAMP,
  SOCK_RCVTSTAMPNS,
  SOCK_RXQ_OVFL,
  SOCK_TIMESTAMP,
  SOCK_TIMESTAMPING_RX_SOFTWARE,
  SOCK_TSTAMP_NEW,
  type Sock,
} from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import { PACKET_OUTGOING } from '#uapi/if_packet.ts';
import {
  SOF_TIMESTAMPING_OPT_RX_FILTER,
  SOF_TIMESTAMPING_RAW_HARDWARE,
  SOF_TIMESTAMPING_RX_SOFTWARE,
  SOF_TIMESTAMPING_SOFTWARE,
} from '#uapi/net_tstamp.ts';
import {
  MSG_CTRUNC,
  SO_MARK,
  SO_PRIORITY,
  SO_RXQ_OVFL,
  SO_TIMESTAMP_NEW,
  SO_TIMESTAMP_OLD,
  SO_TIMESTAMPING_NEW,
  SO_TIMESTAMPING_OLD,
  SO_TIMESTAMPNS_NEW,
  SO_TIMESTAMPNS_OLD,
  SOL_SOCKET,
} from '#uapi/socket.ts';

/** sizeof(struct cmsghdr). */
export const CMSG_HDRLEN = 16;

/** @kernel CMSG_ALIGN include/linux/socket.h */
export function cmsgAlign(len: number): number {
  return (len + 7) & ~7;
}

/** @kernel CMSG_SPACE include/linux/socket.h */
export function cmsgSpace(len: number): number {
  return CMSG_HDRLEN + cmsgAlign(len);
}

/** @kernel CMSG_LEN include/linux/socket.h */
export function cmsgLen(len: number): number {
  return CMSG_HDRLEN + len;
}

/** One control message of a sender. */
export interface Cmsg {
  /** False: cmsg_len does not fit; what follows is meaningless. @kernel CMSG_OK include/linux/socket.h */
  readonly ok: boolean;
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
  /** Where the next one starts. */
  readonly next: number;
}

/**
 * The message after `prev` (null: the first); null at the end.
 * @kernel __cmsg_nxthdr include/linux/socket.h
 */
export function nextCmsg(msg: Msghdr, prev: Cmsg | null): Cmsg | null {
  const control = msg.msgControl;
  if (control === null) return null;
  const at = prev === null ? 0 : prev.next;
  const end = Math.min(control.length, msg.msgControllen);
  if (at + CMSG_HDRLEN > end) return null;
  const v = new DataView(control.buffer, control.byteOffset + at, CMSG_HDRLEN);
  const len = v.getUint32(0, true);
  const ok = v.getUint32(4, true) === 0 && len >= CMSG_HDRLEN && len <= end - at;
  return {
    ok,
    level: v.getInt32(8, true),
    type: v.getInt32(12, true),
    data: ok ? control.subarray(at + CMSG_HDRLEN, at + len) : control.subarray(at, at),
    next: ok ? at + cmsgAlign(len) : end,
  };
}

/**
 * Appends a control message for the receiver. `msgControllen` counts the bytes used; what does not
 * fit is cut and MSG_CTRUNC set.
 * @kernel put_cmsg net/core/scm.c
 */
export function putCmsg(msg: Msghdr, level: number, type: number, data: Uint8Array): void {
  const control = msg.msgControl;
  const used = msg.msgControllen;
  const room = control === null ? 0 : control.length - used;
  if (control === null || room < CMSG_HDRLEN) {
    msg.msgFlags |= MSG_CTRUNC;
    return;
  }
  let len = cmsgLen(data.length);
  if (room < len) {
    msg.msgFlags |= MSG_CTRUNC;
    len = room;
  }
  const v = new DataView(control.buffer, control.byteOffset + used, CMSG_HDRLEN);
  v.setUint32(0, len, true);
  v.setUint32(4, 0, true);
  v.setInt32(8, level, true);
  v.setInt32(12, type, true);
  control.set(data.subarray(0, len - CMSG_HDRLEN), used + CMSG_HDRLEN);
  msg.msgControllen = used + Math.min(cmsgSpace(data.length), room);
}

/** A control message of one int. */
export function putCmsgInt(msg: Msghdr, level: number, type: number, value: number): void {
  const data = new Uint8Array(4);
  new DataView(data.buffer).setInt32(0, value, true);
  putCmsg(msg, level, type, data);
}

/** Wall time in ns since the epoch of a time in ns since boot, as seconds and nanoseconds. */
export function wallTime(machine: Machine, ns: number): { sec: number; nsec: number } {
  const sec = Math.floor(ns / 1e9);
  return { sec: machine.bootEpochSec + sec, nsec: Math.floor(ns - sec * 1e9) };
}

/** struct __kernel_timespec or timeval: two 64-bit words. */
export function putTime(v: DataView, o: number, sec: number, sub: number): void {
  v.setUint32(o, sec % 0x1_0000_0000, true);
  v.setUint32(o + 4, Math.floor(sec / 0x1_0000_0000), true);
  v.setUint32(o + 8, sub, true);
  v.setUint32(o + 12, 0, true);
}

/** SCM_TIMESTAMPING of two stamps in ns since boot, 0: not known or not wanted. @kernel put_cmsg_scm_timestamping net/core/scm.c */
function putScmTimestamping(msg: Msghdr, sk: Sock, soft: number, hard: number): void {
  if (soft === 0 && hard === 0) return;
  const machine = sk.net.machine;
  // struct scm_timestamping: software, (deprecated), raw hardware.
  const data = new Uint8Array(48);
  const v = new DataView(data.buffer);
  if (soft !== 0) {
    const t = wallTime(machine, soft);
    putTime(v, 0, t.sec, t.nsec);
  }
  if (hard !== 0) {
    const t = wallTime(machine, hard);
    putTime(v, 32, t.sec, t.nsec);
  }
  const isNew = (sk.skFlags & (1 << SOCK_TSTAMP_NEW)) !== 0;
  putCmsg(msg, SOL_SOCKET, isNew ? SO_TIMESTAMPING_NEW : SO_TIMESTAMPING_OLD, data);
}

/** Does the socket want to see software stamps of what it receives? With OPT_RX_FILTER not those that others asked for. */
function wantsRxSoftware(tsflags: number): boolean {
  return (
    (tsflags & SOF_TIMESTAMPING_SOFTWARE) !== 0 &&
    ((tsflags & SOF_TIMESTAMPING_RX_SOFTWARE) !== 0 ||
      (tsflags & SOF_TIMESTAMPING_OPT_RX_FILTER) === 0)
  );
}

function putTimestamping(msg: Msghdr, sk: Sock, skb: SkBuff): void {
  const { skTsflags } = sk;
  // An entry of the error queue is a stamp that was asked for.
  const soft =
    wantsRxSoftware(skTsflags) ||
    (skb.pktType === PACKET_OUTGOING && (skTsflags & SOF_TIMESTAMPING_SOFTWARE) !== 0);
  const hard = (skTsflags & SOF_TIMESTAMPING_RAW_HARDWARE) !== 0;
  putScmTimestamping(msg, sk, soft ? skb.tstamp : 0, hard ? skb.shinfo.hwtstamp : 0);
}

/** Stamps of the last segment that a read of a stream took from, in ns since boot. @kernel tcp_recv_timestamp net/ipv4/tcp.c */
export function putStreamTimestamp(msg: Msghdr, sk: Sock, ns: number): void {
  putRcvTimestamp(msg, sk, ns);
  if (wantsRxSoftware(sk.skTsflags)) putScmTimestamping(msg, sk, ns, 0);
}

/** SO_TIMESTAMP or SO_TIMESTAMPNS, whichever was asked for: the time `ns` since boot. */
export function putRcvTimestamp(msg: Msghdr, sk: Sock, ns: number): void {
  if ((sk.skFlags & (1 << SOCK_RCVTSTAMP)) === 0) return;
  const t = wallTime(sk.net.machine, ns);
  const isNew = (sk.skFlags & (1 << SOCK_TSTAMP_NEW)) !== 0;
  const data = new Uint8Array(16);
  const v = new DataView(data.buffer);
  if ((sk.skFlags & (1 << SOCK_RCVTSTAMPNS)) !== 0) {
    putTime(v, 0, t.sec, t.nsec);
    putCmsg(msg, SOL_SOCKET, isNew ? SO_TIMESTAMPNS_NEW : SO_TIMESTAMPNS_OLD, data);
  } else {
    putTime(v, 0, t.sec, Math.floor(t.nsec / 1000));
    putCmsg(msg, SOL_SOCKET, isNew ? SO_TIMESTAMP_NEW : SO_TIMESTAMP_OLD, data);
  }
}

/** SO_TIMESTAMP, SO_TIMESTAMPNS and SO_TIMESTAMPING of a received packet. @kernel __sock_recv_timestamp net/socket.c */
export function __sockRecvTimestamp(msg: Msghdr, sk: Sock, skb: SkBuff): void {
  if ((sk.skFlags & (1 << SOCK_RCVTSTAMP)) !== 0) {
    // Packets that came before the option was set have no stamp: now is the best guess.
    if (skb.tstamp === 0) skb.tstamp = sk.net.machine.nowNs;
    putRcvTimestamp(msg, sk, skb.tstamp);
  }
  if (sk.skTsflags !== 0) putTimestamping(msg, sk, skb);
}

const FLAGS_RECV_CMSGS =
  (1 << SOCK_RXQ_OVFL) | (1 << SOCK_RCVTSTAMP) | (1 << SOCK_RCVMARK) | (1 << SOCK_RCVPRIORITY);
const TSFLAGS_ANY = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_RAW_HARDWARE;

/** Stamps the message, or remembers the packet's time for SIOCGSTAMP. @kernel sock_recv_timestamp include/net/sock.h */
export function sockRecvTimestamp(msg: Msghdr, sk: Sock, skb: SkBuff): void {
  if (
    (sk.skFlags & ((1 << SOCK_RCVTSTAMP) | (1 << SOCK_TIMESTAMPING_RX_SOFTWARE))) !== 0 ||
    (sk.skTsflags & TSFLAGS_ANY) !== 0
  ) {
    __sockRecvTimestamp(msg, sk, skb);
  } else {
    sk.skStamp = skb.tstamp;
  }
}

/** Drop count, mark, priority and time of a received packet. @kernel __sock_recv_cmsgs net/socket.c */
function __sockRecvCmsgs(msg: Msghdr, sk: Sock, skb: SkBuff): void {
  sockRecvTimestamp(msg, sk, skb);
  const flags = sk.skFlags;
  if ((flags & (1 << SOCK_RXQ_OVFL)) !== 0 && skb.cb0 !== 0) {
    putCmsgInt(msg, SOL_SOCKET, SO_RXQ_OVFL, skb.cb0);
  }
  if ((flags & (1 << SOCK_RCVMARK)) !== 0) putCmsgInt(msg, SOL_SOCKET, SO_MARK, skb.mark);
  if ((flags & (1 << SOCK_RCVPRIORITY)) !== 0) {
    putCmsgInt(msg, SOL_SOCKET, SO_PRIORITY, skb.priority);
  }
}

/** What every datagram receive ends with. @kernel sock_recv_cmsgs include/net/sock.h */
export function sockRecvCmsgs(msg: Msghdr, sk: Sock, skb: SkBuff): void {
  if ((sk.skFlags & FLAGS_RECV_CMSGS) !== 0 || (sk.skTsflags & TSFLAGS_ANY) !== 0) {
    __sockRecvCmsgs(msg, sk, skb);
  } else if ((sk.skFlags & (1 << SOCK_TIMESTAMP)) !== 0) {
    sk.skStamp = skb.tstamp;
  } else if (sk.skStamp === SK_DEFAULT_STAMP) {
    sk.skStamp = 0;
  }
}
