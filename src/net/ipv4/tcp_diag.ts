/**
 * TCP's sockets for inet_diag: listeners, connections, requests and time-wait sockets.
 *
 * Counterpart: net/ipv4/tcp_diag.c, and the walk over TCP's tables of net/ipv4/inet_diag.c.
 */

import type { InetDiagHandler, InetDiagHead, InetDiagRequest } from '#include/linux/inet_diag.ts';
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import {
  type InetBindBucket,
  inetCsk,
  type RequestSock,
} from '#include/net/inet_connection_sock.ts';
import type { InetTimewaitSock } from '#include/net/inet_timewait_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { Sock } from '#include/net/sock.ts';
import {
  SOCK_KIND_REQUEST,
  SOCK_KIND_TIMEWAIT,
  type SockCommon,
} from '#include/net/sock_common.ts';
import { tcpSk } from '#include/net/tcp.ts';
import type { Machine } from '#kernel/machine.ts';
import { jiffiesToMsecs } from '#kernel/time/jiffies.ts';
import { hostView, mem } from '#mm/memory.ts';
import { sockDiagCheckCookie } from '#net/core/sock_diag.ts';
import {
  inetDiagMatches,
  inetDiagMsgPut,
  inetDiagRegister,
  inetDiagWants,
  inetSkDiagFill,
} from '#net/ipv4/inet_diag.ts';
import { inetDiagBcSk } from '#net/ipv4/inet_diag_bc.ts';
import { inetLookup, sockGenPut } from '#net/ipv4/inet_hashtables.ts';
import { lhash2Slot, tcpGetHashinfo } from '#net/ipv4/inet_hashtables_bind.ts';
import { tcpAbort } from '#net/ipv4/tcp_close.ts';
import { tcpGetInfo, tcpPendingTimer } from '#net/ipv4/tcp_info.ts';
import {
  nlaPut,
  nlaPutString,
  nlaPutU32,
  nlaReserve,
  nlmsgCancel,
  nlmsgEnd,
} from '#net/netlink/nlattr.ts';
import { ECONNABORTED, ENOENT } from '#uapi/errno.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import {
  INET_DIAG_CONG,
  INET_DIAG_INFO,
  INET_DIAG_MARK,
  INET_DIAG_MD5SIG,
  inetDiagMsg,
  TIMER_NONE,
  TIMER_RETRANS,
  TIMER_TIMEWAIT,
} from '#uapi/inet_diag.ts';
import { NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  TCP_CLOSE,
  TCP_LISTEN,
  TCP_MD5SIG_MAXKEYLEN,
  TCP_SYN_RECV,
  TCPF_BOUND_INACTIVE,
  TCPF_CLOSE,
  TCPF_LISTEN,
  TCPF_NEW_SYN_RECV,
  TCPF_SYN_RECV,
} from '#uapi/tcp.ts';
import { newTcpInfo, putTcpInfo, TCP_INFO_LEN } from '#uapi/tcp_info.ts';

/** Octets of struct tcp_diag_md5sig. */
const MD5SIG_LEN: number = 4 + 16 + TCP_MD5SIG_MAXKEYLEN;

function setTimer(at: number, timer: number, retrans: number, delta: number): void {
  inetDiagMsg.setTimer(hostView, at, timer);
  inetDiagMsg.setRetrans(hostView, at, Math.min(retrans, 255));
  inetDiagMsg.setExpires(hostView, at, jiffiesToMsecs(Math.max(delta, 0)));
}

/** @kernel tcp_diag_get_info net/ipv4/tcp_diag.c */
function tcpDiagGetInfo(sk: Sock, at: number, info: number): void {
  const tp = tcpSk(sk);
  if (sk.skcState === TCP_LISTEN) {
    inetDiagMsg.setRqueue(hostView, at, sk.skAckBacklog);
    inetDiagMsg.setWqueue(hostView, at, sk.skMaxAckBacklog);
  } else {
    inetDiagMsg.setRqueue(hostView, at, Math.max((tp.rcvNxt - tp.copiedSeq) | 0, 0));
    inetDiagMsg.setWqueue(hostView, at, (tp.writeSeq - tp.sndUna) | 0);
  }
  const { active, retrans, delta } = tcpPendingTimer(tp);
  if (active !== TIMER_NONE) setTimer(at, active, retrans, delta);
  if (info === 0) return;
  const values = newTcpInfo();
  tcpGetInfo(sk, values);
  putTcpInfo(hostView, info, TCP_INFO_LEN, values);
}

/** The keys of a socket, one struct tcp_diag_md5sig each. @kernel tcp_diag_put_md5sig net/ipv4/tcp_diag.c */
function putMd5sig(tp: TcpSock, skb: SkBuff): number {
  let count = 0;
  for (let key = tp.md5sigInfo?.head ?? null; key !== null; key = key.next) count++;
  if (count === 0) return 0;
  let at = nlaReserve(skb, INET_DIAG_MD5SIG, count * MD5SIG_LEN);
  if (at < 0) return at;
  for (let key = tp.md5sigInfo?.head ?? null; key !== null; key = key.next) {
    mem[at] = tp.skcFamily;
    mem[at + 1] = key.prefixlen;
    hostView.setUint16(at + 2, key.key.length, true);
    hostView.setUint32(at + 4, key.addr);
    mem.set(key.key, at + 20);
    at += MD5SIG_LEN;
  }
  return 0;
}

/** Congestion control, its state, and keys. @kernel tcp_diag_get_aux net/ipv4/tcp_diag.c */
function tcpDiagGetAux(sk: Sock, skb: SkBuff, req: InetDiagRequest): number {
  const tp = tcpSk(sk);
  const ops = tp.icskCaOps;
  let err = 0;
  if (ops !== null && inetDiagWants(req, INET_DIAG_CONG)) {
    err = nlaPutString(skb, INET_DIAG_CONG, ops.name);
  }
  if (inetDiagWants(req, INET_DIAG_INFO)) err ||= putMd5sig(tp, skb);
  // What has not begun has no state of an algorithm.
  const cc = tp.icskCaInitialized ? (ops?.getInfo?.(tp, req.ext) ?? null) : null;
  return err || (cc === null ? 0 : nlaPut(skb, cc.attr, cc.info));
}

/** @kernel inet_twsk_diag_fill net/ipv4/tcp_diag.c */
function inetTwskDiagFill(tw: InetTimewaitSock, skb: SkBuff, head: InetDiagHead): number {
  const nlh = inetDiagMsgPut(skb, head, tw, tw.skcNum, tw.twSubstate);
  if (nlh < 0) return nlh;
  const { jiffies } = tw.net.machine;
  const delta = tw.twRow === null ? 0 : (tw.twExpires - jiffies) | 0;
  setTimer(nlh + NLMSG_HDRLEN, TIMER_TIMEWAIT, 0, delta);
  const err = nlaPutU32(skb, INET_DIAG_MARK, tw.twMark);
  if (err === 0) nlmsgEnd(skb, nlh);
  else nlmsgCancel(skb, nlh);
  return err;
}

/** @kernel inet_req_diag_fill net/ipv4/tcp_diag.c */
function inetReqDiagFill(req: RequestSock, skb: SkBuff, head: InetDiagHead): number {
  const nlh = inetDiagMsgPut(skb, head, req, req.irNum, TCP_SYN_RECV);
  if (nlh < 0) return nlh;
  const { jiffies } = req.net.machine;
  const delta = req.rskTimer === null ? 0 : (req.rskTimer.expires - jiffies) | 0;
  setTimer(nlh + NLMSG_HDRLEN, TIMER_RETRANS, req.numRetrans, delta);
  const err = nlaPutU32(skb, INET_DIAG_MARK, req.irMark);
  if (err === 0) nlmsgEnd(skb, nlh);
  else nlmsgCancel(skb, nlh);
  return err;
}

/** @kernel sk_diag_fill net/ipv4/tcp_diag.c */
function skDiagFill(sk: SockCommon, skb: SkBuff, head: InetDiagHead, req: InetDiagRequest): number {
  if (sk.kind === SOCK_KIND_TIMEWAIT) return inetTwskDiagFill(sk as InetTimewaitSock, skb, head);
  if (sk.kind === SOCK_KIND_REQUEST) return inetReqDiagFill(sk as RequestSock, skb, head);
  return inetSkDiagFill(sk as Sock, tcpDiagHandler, skb, head, req);
}

/** The state as a request's bits have it. */
function stateOf(sk: SockCommon): number {
  return sk.kind === SOCK_KIND_TIMEWAIT ? (sk as InetTimewaitSock).twSubstate : sk.skcState;
}

/** Of sockets that are bound, those that wait to be told what for. The state told is TCP_CLOSE. */
function isBoundInactive(sk: Sock): boolean {
  return sk.skcState === TCP_CLOSE && sk.skcNum !== 0;
}

/** What a listing walks over: chains by the low bits of a hash. */
interface DiagTable {
  readonly size: number;
  readonly chain: (slot: number) => Iterable<SockCommon>;
  readonly hash: (sk: SockCommon) => number;
}

function* chainOf(head: SockCommon | null): Generator<SockCommon> {
  for (let sk = head; sk !== null; sk = sk.skcNext) yield sk;
}

function* boundTo(head: InetBindBucket | null): Generator<SockCommon> {
  for (let tb = head; tb !== null; tb = tb.next) {
    for (let sk: Sock | null = tb.owners; sk !== null; sk = inetCsk(sk).bindNext) {
      if (isBoundInactive(sk)) yield sk;
    }
  }
}

/** Listeners, bound sockets, and everything else; null where none of them is wanted. */
function diagTables(net: Net, states: number): (DiagTable | null)[] {
  const hashinfo = tcpGetHashinfo(net);
  const { lhash2, bhash, ehash } = hashinfo;
  const tables: readonly [wanted: number, table: DiagTable][] = [
    [
      TCPF_LISTEN,
      {
        size: lhash2.length,
        chain: (slot) => chainOf(lhash2[slot] ?? null),
        hash: (sk) => lhash2Slot(hashinfo, sk),
      },
    ],
    [
      TCPF_BOUND_INACTIVE,
      {
        size: bhash.length,
        chain: (slot) => boundTo(bhash[slot] ?? null),
        hash: (sk) => sk.skcNum + net.hashMix,
      },
    ],
    [
      ~(TCPF_LISTEN | TCPF_BOUND_INACTIVE),
      {
        size: ehash.length,
        chain: (slot) => chainOf(ehash[slot] ?? null),
        hash: (sk) => sk.skcHash,
      },
    ],
  ];
  return tables.map(([wanted, table]) => ((states & wanted) === 0 ? null : table));
}

/** The 32 bits in reverse. */
function bitReverse(value: number): number {
  let v = value;
  v = ((v >>> 1) & 0x55555555) | ((v & 0x55555555) << 1);
  v = ((v >>> 2) & 0x33333333) | ((v & 0x33333333) << 2);
  v = ((v >>> 4) & 0x0f0f0f0f) | ((v & 0x0f0f0f0f) << 4);
  v = ((v >>> 8) & 0x00ff00ff) | ((v & 0x00ff00ff) << 8);
  return ((v >>> 16) | (v << 16)) >>> 0;
}

const HASHES = 0x1_0000_0000;

/**
 * Walks over a table; false: `put` had no room for one, and the next walk goes on with it.
 *
 * Tables grow and shrink between two walks. So chains are taken in the order of their numbers read backwards:
 * the two that one is divided into are neighbours then, and what is done is all below one reversed hash,
 * `cb.args[1]`, whatever the size. Of the chain that is not done `cb.ctx` keeps which sockets were listed;
 * it is of use up to `cb.args[2]`, where that chain ended.
 */
function walkTable(
  table: DiagTable,
  cb: NetlinkCallback,
  put: (sk: SockCommon) => boolean,
): boolean {
  cb.ctx ??= new Set<SockCommon>();
  const listed = cb.ctx as Set<SockCommon>;
  const from = cb.args[1] as number;
  const step = HASHES / table.size;
  for (let at = from - (from % step); at < HASHES; at += step) {
    for (const sk of table.chain(bitReverse(at) & (table.size - 1))) {
      if (bitReverse(table.hash(sk)) < from || sk.net !== cb.net || listed.has(sk)) continue;
      if (put(sk)) {
        listed.add(sk);
        continue;
      }
      cb.args[1] = Math.max(at, from);
      cb.args[2] = Math.max(at + step, cb.args[2] as number);
      return false;
    }
    if (at + step >= (cb.args[2] as number)) listed.clear();
  }
  cb.args.fill(0, 1, 3);
  listed.clear();
  return true;
}

/**
 * Listeners, bound sockets, then everything else. `cb.args[0]`: which table.
 * @kernel inet_diag_dump_icsk net/ipv4/inet_diag.c
 */
function tcpDiagDump(skb: SkBuff, cb: NetlinkCallback, req: InetDiagRequest): number {
  const head: InetDiagHead = { portid: cb.portid, seq: cb.seq, flags: NLM_F_MULTI };
  const states = req.states | ((req.states & TCPF_SYN_RECV) !== 0 ? TCPF_NEW_SYN_RECV : 0);
  // Those that are bound are told apart by their table.
  const wanted = states | ((states & TCPF_BOUND_INACTIVE) !== 0 ? TCPF_CLOSE : 0);
  const put = (sk: SockCommon): boolean =>
    (wanted & (1 << stateOf(sk))) === 0 ||
    !inetDiagMatches(req, sk, sk.skcNum) ||
    !inetDiagBcSk(req.bytecode, sk) ||
    skDiagFill(sk, skb, head, req) === 0;
  const tables = diagTables(cb.net, states);
  for (let i = cb.args[0] as number; i < tables.length; i++) {
    const table = tables[i] ?? null;
    if (table === null || walkTable(table, cb, put)) continue;
    cb.args[0] = i;
    return 1;
  }
  cb.args[0] = tables.length;
  return 0;
}

/** One that has taken the place of what the cookie names is not it. @kernel inet_diag_find_one_icsk net/ipv4/inet_diag.c */
function tcpDiagFindOne(net: Net, req: InetDiagRequest): SockCommon | number {
  const sk = inetLookup(net, req.dst, req.dport, req.src, req.sport, req.ifindex);
  if (sk === null) return -ENOENT;
  if (sockDiagCheckCookie(sk, req.cookieLo, req.cookieHi) === 0) return sk;
  sockGenPut(sk);
  return -ENOENT;
}

/** Requests and time-wait sockets can be ended too. @kernel tcp_diag_destroy net/ipv4/tcp_diag.c */
function tcpDiagDestroy(sk: SockCommon): number {
  return tcpAbort(sk as Sock, ECONNABORTED);
}

/** @kernel tcp_diag_handler net/ipv4/tcp_diag.c */
const tcpDiagHandler: InetDiagHandler = {
  protocol: IPPROTO_TCP,
  dump: tcpDiagDump,
  findOne: tcpDiagFindOne,
  put: sockGenPut,
  destroy: tcpDiagDestroy,
  fill: skDiagFill,
  getInfo: tcpDiagGetInfo,
  infoSize: TCP_INFO_LEN,
  getAux: tcpDiagGetAux,
};

/** @kernel tcp_diag_init net/ipv4/tcp_diag.c */
function tcpDiagInit(machine: Machine): number {
  return inetDiagRegister(machine, tcpDiagHandler);
}

export const tcpDiagModule: KernelModule = {
  name: 'tcp_diag',
  config: 'CONFIG_INET_TCP_DIAG',
  depends: ['inet_diag'],
  level: DEVICE_INITCALL,
  init: tcpDiagInit,
  exit: null,
};
