/**
 * Repair: a connection is taken out of its socket and put into another one, on this machine or elsewhere,
 * without a packet that tells of it. Part of net/ipv4/tcp.c, apart because few need it.
 *
 * A socket in repair sends nothing when it connects or closes; what is written goes to the queue chosen,
 * as if it had been sent or had come; sequence numbers, options and windows are set by hand.
 */
import type { Msghdr } from '#include/linux/net.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { TCP_SACK_SEEN, type TcpSock } from '#include/linux/tcp.ts';
import { SK_FORCE_REUSE, SK_NO_REUSE, type Sock } from '#include/net/sock.ts';
import { TCP_MAX_WSCALE, tcpSk } from '#include/net/tcp.ts';
import { tcpClockTs } from '#include/net/tcp_inlines.ts';
import { skbRbNext, tcpRtxQueueHead, tcpSendHead } from '#include/net/tcp_queue.ts';
import { after } from '#lib/tcp_seq.ts';
import { skbCopyDatagramMsg } from '#net/core/datagram.ts';
import { tcpSendWindowProbe } from '#net/ipv4/tcp_output_ctl.ts';
import { tcpMtupInit } from '#net/ipv4/tcp_output_mss.ts';
import { EFBIG, EINVAL, ENOPROTOOPT, EPERM } from '#uapi/errno.ts';
import {
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  TCP_NO_QUEUE,
  TCP_QUEUE_SEQ,
  TCP_QUEUES_NR,
  TCP_RECV_QUEUE,
  TCP_REPAIR,
  TCP_REPAIR_OFF,
  TCP_REPAIR_OFF_NO_WP,
  TCP_REPAIR_ON,
  TCP_REPAIR_QUEUE,
  TCP_SEND_QUEUE,
  TCP_TIMESTAMP,
  TCPOPT_MSS,
  TCPOPT_SACK_PERM,
  TCPOPT_TIMESTAMP,
  TCPOPT_WINDOW,
  tcpRepairOpt,
  tcpRepairWindow,
} from '#uapi/tcp.ts';

/** Every task here is root's. @kernel tcp_can_repair_sock include/net/tcp.h */
function tcpCanRepairSock(sk: Sock): boolean {
  return sk.skcState !== TCP_LISTEN;
}

/** TCP_REPAIR. */
function setRepair(sk: Sock, tp: TcpSock, val: number): number {
  if (!tcpCanRepairSock(sk)) return -EPERM;
  switch (val) {
    case TCP_REPAIR_ON:
      tp.repair = true;
      sk.skcReuse = SK_FORCE_REUSE;
      tp.repairQueue = TCP_NO_QUEUE;
      return 0;
    case TCP_REPAIR_OFF:
      tp.repair = false;
      sk.skcReuse = SK_NO_REUSE;
      // Hears from the peer how far it is.
      tcpSendWindowProbe(sk);
      return 0;
    case TCP_REPAIR_OFF_NO_WP:
      tp.repair = false;
      sk.skcReuse = SK_NO_REUSE;
      return 0;
    default:
      return -EINVAL;
  }
}

/** TCP_QUEUE_SEQ: where a queue begins, before there is a connection. */
function setQueueSeq(sk: Sock, tp: TcpSock, val: number): number {
  if (sk.skcState !== TCP_CLOSE) return -EPERM;
  if (tp.repairQueue === TCP_SEND_QUEUE) {
    if (tcpRtxQueueHead(sk) !== null) return -EPERM;
    tp.writeSeq = val;
    return 0;
  }
  if (tp.repairQueue !== TCP_RECV_QUEUE) return -EINVAL;
  if (tp.rcvNxt !== tp.copiedSeq) return -EPERM;
  tp.rcvNxt = val;
  tp.copiedSeq = val;
  return 0;
}

/** One that is one int; the socket is locked. 0 or a negative errno. @kernel do_tcp_setsockopt net/ipv4/tcp.c */
export function tcpRepairSet(sk: Sock, optname: number, val: number): number {
  const tp = tcpSk(sk);
  switch (optname) {
    case TCP_REPAIR:
      return setRepair(sk, tp, val);
    case TCP_REPAIR_QUEUE:
      if (!tp.repair) return -EPERM;
      if (val < 0 || val >= TCP_QUEUES_NR) return -EINVAL;
      tp.repairQueue = val;
      return 0;
    case TCP_QUEUE_SEQ:
      return setQueueSeq(sk, tp, val);
    case TCP_TIMESTAMP:
      if (!tp.repair) return -EPERM;
      // The lowest bit says that the clock runs in us.
      tp.usecTs = (val & 1) !== 0;
      tp.tsoffset = (val - tcpClockTs(sk.net.machine, tp.usecTs)) | 0;
      return 0;
    default:
      return -ENOPROTOOPT;
  }
}

/** One of TCP_REPAIR_OPTIONS; what is not known is passed over. */
function setOption(sk: Sock, code: number, val: number): number {
  const { rxOpt } = tcpSk(sk);
  switch (code) {
    case TCPOPT_MSS:
      rxOpt.mssClamp = val & 0xffff;
      tcpMtupInit(sk);
      return 0;
    case TCPOPT_WINDOW: {
      const sndWscale = val & 0xffff;
      const rcvWscale = val >>> 16;
      if (sndWscale > TCP_MAX_WSCALE || rcvWscale > TCP_MAX_WSCALE) return -EFBIG;
      rxOpt.sndWscale = sndWscale;
      rxOpt.rcvWscale = rcvWscale;
      rxOpt.wscaleOk = true;
      return 0;
    }
    case TCPOPT_SACK_PERM:
      if (val !== 0) return -EINVAL;
      rxOpt.sackOk |= TCP_SACK_SEEN;
      return 0;
    case TCPOPT_TIMESTAMP:
      if (val !== 0) return -EINVAL;
      rxOpt.tstampOk = true;
      return 0;
    default:
      return 0;
  }
}

/** TCP_REPAIR_OPTIONS: what the SYNs agreed on. @kernel tcp_repair_options_est net/ipv4/tcp.c */
export function tcpRepairOptionsEst(sk: Sock, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  if (!tp.repair) return -EINVAL;
  if (sk.skcState !== TCP_ESTABLISHED || tp.bytesSent !== 0) return -EPERM;
  const v = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
  for (let at = 0; at + tcpRepairOpt.LEN <= optval.length; at += tcpRepairOpt.LEN) {
    const err = setOption(sk, tcpRepairOpt.code(v, at), tcpRepairOpt.val(v, at));
    if (err !== 0) return err;
  }
  return 0;
}

/** TCP_REPAIR_WINDOW. @kernel tcp_repair_set_window net/ipv4/tcp.c */
export function tcpRepairSetWindow(sk: Sock, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  if (!tp.repair) return -EPERM;
  if (optval.length !== tcpRepairWindow.LEN) return -EINVAL;
  const v = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
  const sndWnd = tcpRepairWindow.sndWnd(v, 0);
  const maxWindow = tcpRepairWindow.maxWindow(v, 0);
  const rcvWnd = tcpRepairWindow.rcvWnd(v, 0);
  const sndWl1 = tcpRepairWindow.sndWl1(v, 0);
  const rcvWup = tcpRepairWindow.rcvWup(v, 0);
  if (maxWindow < sndWnd) return -EINVAL;
  if (after(sndWl1, (tp.rcvNxt + rcvWnd) | 0)) return -EINVAL;
  if (after(rcvWup, tp.rcvNxt)) return -EINVAL;
  tp.sndWl1 = sndWl1;
  tp.sndWnd = sndWnd;
  tp.maxWindow = maxWindow;
  tp.rcvWnd = rcvWnd;
  tp.rcvWup = rcvWup;
  return 0;
}

/** The length, or a negative errno. @kernel do_tcp_getsockopt net/ipv4/tcp.c */
export function tcpRepairGetWindow(sk: Sock, optval: Uint8Array): number {
  const tp = tcpSk(sk);
  if (optval.length !== tcpRepairWindow.LEN) return -EINVAL;
  if (!tp.repair) return -EPERM;
  const v = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
  tcpRepairWindow.setSndWl1(v, 0, tp.sndWl1);
  tcpRepairWindow.setSndWnd(v, 0, tp.sndWnd);
  tcpRepairWindow.setMaxWindow(v, 0, tp.maxWindow);
  tcpRepairWindow.setRcvWnd(v, 0, tp.rcvWnd);
  tcpRepairWindow.setRcvWup(v, 0, tp.rcvWup);
  return tcpRepairWindow.LEN;
}

/** TCP_REPAIR_QUEUE and TCP_QUEUE_SEQ; null: there is none. @kernel do_tcp_getsockopt net/ipv4/tcp.c */
export function tcpRepairGet(tp: TcpSock, optname: number): number | null {
  if (optname === TCP_REPAIR_QUEUE) return tp.repair ? tp.repairQueue : null;
  if (tp.repairQueue === TCP_SEND_QUEUE) return tp.writeSeq;
  return tp.repairQueue === TCP_RECV_QUEUE ? tp.rcvNxt : null;
}

/** What was written and is not acknowledged. Bytes, or a negative errno. @kernel tcp_peek_sndq net/ipv4/tcp.c */
export function tcpPeekSndq(sk: Sock, msg: Msghdr, len: number): number {
  let copied = 0;
  const copy = (skb: SkBuff): number => {
    const n = Math.min(skb.len, len - copied);
    const err = n === 0 ? 0 : skbCopyDatagramMsg(skb, 0, msg, n);
    if (err === 0) copied += n;
    return err;
  };
  for (let skb = tcpRtxQueueHead(sk); skb !== null; skb = skbRbNext(skb)) {
    const err = copy(skb);
    if (err !== 0) return copied === 0 ? err : copied;
  }
  for (let skb = tcpSendHead(sk); skb !== null; skb = skb.next) {
    const err = copy(skb);
    if (err !== 0) return copied === 0 ? err : copied;
  }
  return copied;
}
