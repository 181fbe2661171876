/**
 * /proc/net/tcp. Counterpart: tcp4_seq_show and its helpers of net/ipv4/tcp_ipv4.c. Listeners come
 * first, then connections, requests and time-wait sockets in order of their chains. Each line has
 * 149 characters and a newline; addresses are the words of network order as a little-endian machine
 * prints them, as tools expect.
 */

import type { TcpSock } from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import {
  SOCK_KIND_REQUEST,
  SOCK_KIND_TIMEWAIT,
  type SockCommon,
} from '#include/net/sock_common.ts';
import { tcpInInitialSlowstart, tcpSndCwnd } from '#include/net/tcp_inlines.ts';
import { HZ } from '#kernel/param.ts';
import { inetCskInPingpongMode } from '#net/ipv4/inet_connection_sock_timer.ts';
import { tcpGetHashinfo } from '#net/ipv4/inet_hashtables_bind.ts';
import { tcpPendingTimer } from '#net/ipv4/tcp_info.ts';
import { AF_INET } from '#uapi/socket.ts';
import { TCP_LISTEN, TCP_SYN_RECV } from '#uapi/tcp.ts';

const TMPSZ = 150;
/** USER_HZ: what the kernel calls a tick before users. */
const JIFFIES_PER_CLOCK = HZ / 100;

const hex = (value: number, width: number): string =>
  (value >>> 0).toString(16).toUpperCase().padStart(width, '0');

/** Kernel addresses are not shown. */
const HIDDEN_POINTER = '0000000000000000';

function hexAddr(addr: number): string {
  const swapped =
    ((addr & 0xff) << 24) | ((addr & 0xff00) << 8) | ((addr >>> 8) & 0xff00) | (addr >>> 24);
  return hex(swapped, 8);
}

/** @kernel jiffies_delta_to_clock_t kernel/time/time.c */
const clockDelta = (delta: number): number => Math.floor(Math.max(0, delta) / JIFFIES_PER_CLOCK);

/** The columns that all kinds of sockets have. */
function headColumns(
  i: number,
  src: number,
  srcp: number,
  dest: number,
  destp: number,
  state: number,
): string {
  const local = `${hexAddr(src)}:${hex(srcp, 4)}`;
  const remote = `${hexAddr(dest)}:${hex(destp, 4)}`;
  return `${String(i).padStart(4)}: ${local} ${remote} ${hex(state, 2)}`;
}

const timerColumn = (active: number, delta: number): string =>
  `${hex(active, 2)}:${hex(clockDelta(delta), 8)}`;

const line = (text: string): string => `${text.padEnd(TMPSZ - 1)}\n`;

/** @kernel get_tcp4_sock net/ipv4/tcp_ipv4.c */
function getTcp4Sock(sk: TcpSock, i: number): string {
  const listening = sk.skcState === TCP_LISTEN;
  const { active, delta } = tcpPendingTimer(sk);
  const rxQueue = listening ? sk.skAckBacklog : Math.max((sk.rcvNxt - sk.copiedSeq) | 0, 0);
  const txQueue = (sk.writeSeq - sk.sndUna) | 0;
  let last: number;
  if (listening) last = sk.icskAcceptQueue.fastopenqMaxQlen;
  else last = tcpInInitialSlowstart(sk) ? -1 : sk.sndSsthresh;
  const columns = [
    headColumns(i, sk.skcRcvSaddr, sk.inetSport, sk.skcDaddr, sk.skcDport, sk.skcState),
    `${hex(txQueue, 8)}:${hex(rxQueue, 8)}`,
    timerColumn(active, delta),
    hex(sk.icskRetransmits, 8),
    String(sk.skUid).padStart(5),
    String(sk.icskProbesOut).padStart(8),
    String(sk.skIno),
    String(sk.refcnt),
    HIDDEN_POINTER,
    String(Math.floor(sk.icskRto / JIFFIES_PER_CLOCK)),
    String(Math.floor(sk.ackAto / JIFFIES_PER_CLOCK)),
    String((sk.ackQuick << 1) | (inetCskInPingpongMode(sk) ? 1 : 0)),
    String(tcpSndCwnd(sk)),
    String(last),
  ];
  return line(columns.join(' '));
}

/** @kernel get_openreq4 net/ipv4/tcp_ipv4.c */
function getOpenreq4(req: RequestSock, i: number): string {
  const timer = req.rskTimer;
  const delta = timer === null ? 0 : (timer.expires - req.net.machine.jiffies) | 0;
  const uid = req.rskListener !== null ? req.rskListener.skUid : 0;
  const columns = [
    headColumns(i, req.irLocAddr, req.irNum, req.irRmtAddr, req.irRmtPort, TCP_SYN_RECV),
    '00000000:00000000',
    timerColumn(1, delta),
    hex(req.numTimeout, 8),
    String(uid).padStart(5),
    String(0).padStart(8),
    '0',
    '0',
    HIDDEN_POINTER,
  ];
  return line(columns.join(' '));
}

/** @kernel get_timewait4_sock net/ipv4/tcp_ipv4.c */
function getTimewait4Sock(tw: InetTimewaitSock, i: number): string {
  const delta = tw.twRow === null ? 0 : (tw.twExpires - tw.net.machine.jiffies) | 0;
  const columns = [
    headColumns(i, tw.skcRcvSaddr, tw.skcNum, tw.skcDaddr, tw.skcDport, tw.twSubstate),
    '00000000:00000000',
    timerColumn(3, delta),
    '00000000',
    String(0).padStart(5),
    String(0).padStart(8),
    '0',
    String(tw.refcnt),
    HIDDEN_POINTER,
  ];
  return line(columns.join(' '));
}

/** @kernel tcp4_seq_show net/ipv4/tcp_ipv4.c */
function show(sk: SockCommon, i: number): string {
  if (sk.kind === SOCK_KIND_TIMEWAIT) return getTimewait4Sock(sk as InetTimewaitSock, i);
  if (sk.kind === SOCK_KIND_REQUEST) return getOpenreq4(sk as RequestSock, i);
  return getTcp4Sock(sk as TcpSock, i);
}

/** The text of /proc/net/tcp. @kernel tcp4_seq_show net/ipv4/tcp_ipv4.c */
export function tcp4SeqShow(net: Net): string {
  const hashinfo = tcpGetHashinfo(net);
  let text = line(
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
  );
  let i = 0;
  for (const table of [hashinfo.lhash2, hashinfo.ehash]) {
    for (const head of table) {
      for (let sk = head; sk !== null; sk = sk.skcNext) {
        if (sk.net === net && sk.skcFamily === AF_INET) text += show(sk, i++);
      }
    }
  }
  return text;
}
