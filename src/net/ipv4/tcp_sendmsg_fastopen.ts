/**
 * The first write of an active Fast Open: MSG_FASTOPEN, or a write after a connect() that
 * TCP_FASTOPEN_CONNECT made wait. Counterpart: tcp_sendmsg_fastopen of net/ipv4/tcp.c. RFC 7413#4.2.1.
 */

import type { Msghdr } from '#include/linux/net.ts';
import type { UbufInfo } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { TcpFastopenRequest, TFO_CLIENT_ENABLE } from '#include/net/tcp_fastopen.ts';
import type { FastopenOut } from '#include/net/tcp_fastopen_ops.ts';
import { tcpFreeFastopenReq } from '#include/net/tcp_fastopen_ops.ts';
import { iovIterAdvance } from '#net/core/iov_iter.ts';
import { __inetStreamConnect } from '#net/ipv4/af_inet_sock.ts';
import { tcpConnect } from '#net/ipv4/tcp_output_connect.ts';
import { tcpSetState } from '#net/ipv4/tcp_state.ts';
import { EAGAIN, EALREADY, EINPROGRESS, EINVAL, EOPNOTSUPP } from '#uapi/errno.ts';
import { O_NONBLOCK } from '#uapi/fcntl.ts';
import { AF_INET, AF_UNSPEC } from '#uapi/socket.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

/** Stands for no address: enough for a socket that knows its peer, too short for any other. */
const NO_ADDRESS: Uint8Array = Uint8Array.of(AF_INET, 0);

function isUnspec(addr: Uint8Array | null, len: number): boolean {
  return (
    addr !== null && len >= 2 && ((addr[0] as number) | ((addr[1] as number) << 8)) === AF_UNSPEC
  );
}

/** May the caller be made to wait? */
function mayBlock(sk: Sock, msg: Msghdr): boolean {
  const file = sk.skSocket?.file ?? null;
  return !msg.msgNowait && file !== null && (file.fFlags & O_NONBLOCK) === 0;
}

/** The SYN that connect() has kept back. */
function sendDeferred(sk: Sock): void {
  if (tcpConnect(sk) === 0) return;
  // As connect() itself fails.
  tcpSetState(sk, TCP_CLOSE);
  sk.skcDport = 0;
  sk.skRouteCaps = 0;
}

/** Where a call that waited goes on: the handshake has ended, or not yet. */
function resume(
  sk: Sock,
  tp: TcpSock,
  req: TcpFastopenRequest,
  msg: Msghdr,
  out: FastopenOut,
): number {
  const { skSocket } = sk;
  if (skSocket === null) return -EINVAL;
  const err = __inetStreamConnect(skSocket, msg.msgName ?? NO_ADDRESS, 0, true);
  if (err === -EALREADY || err === -EINPROGRESS) return -EAGAIN;
  if (tp.fastopenReq === req) {
    if (err === 0) {
      iovIterAdvance(msg.msgIter, req.copied);
      out.copied = req.copied;
    }
    tcpFreeFastopenReq(tp);
  }
  return err;
}

/**
 * Connects and sends as much as fits into the SYN, when there is a cookie for the destination.
 * 0: connected already; -EINPROGRESS: the SYN is on its way, with `out.copied` bytes.
 * @kernel tcp_sendmsg_fastopen net/ipv4/tcp.c
 * @deviation never sleeps. To a caller that may block it answers -EAGAIN until the handshake has
 * ended; the same call again then gives what Linux would have returned after its sleep.
 */
export function sendmsgFastopen(
  sk: Sock,
  msg: Msghdr,
  out: FastopenOut,
  uarg: UbufInfo | null,
): number {
  const tp = tcpSk(sk);
  const pending = tp.fastopenReq;
  if (pending?.waiting === true) return resume(sk, tp, pending, msg, out);
  const { msgName, msgNamelen } = msg;
  const enabled = (sk.net.ipv4.sysctlTcpFastopen & TFO_CLIENT_ENABLE) !== 0;
  if (!enabled || isUnspec(msgName, msgNamelen)) return -EOPNOTSUPP;
  if (pending !== null) return -EALREADY;
  const { skSocket } = sk;
  if (skSocket === null) return -EINVAL;
  const req = new TcpFastopenRequest(msg, msg.msgIter.count);
  req.uarg = uarg;
  tp.fastopenReq = req;
  if (tp.deferConnect) sendDeferred(sk);
  const err = __inetStreamConnect(skSocket, msgName ?? NO_ADDRESS, 0, true);
  // The connection may have failed within, which has freed the request.
  if (tp.fastopenReq !== req) return err;
  tp.deferConnect = false;
  if ((err === -EINPROGRESS || err === -EALREADY) && mayBlock(sk, msg)) {
    req.waiting = true;
    // Data that will follow can carry the ACK of the SYN-ACK.
    req.writeBias = req.data !== null;
    if (req.writeBias) sk.skWritePending++;
    req.data = null;
    // The notice is that of the call that will be made again.
    req.uarg = null;
    return -EAGAIN;
  }
  out.copied = req.copied;
  tcpFreeFastopenReq(tp);
  return err;
}
