/**
 * SYN cookies: a request that is not kept but written into the sequence number, for when the SYN
 * queue overflows.
 *
 * Counterpart: net/ipv4/syncookies.c. D. J. Bernstein's scheme; RFC 4987#3.6. The number holds a
 * minute counter and two bits of MSS under a keyed hash; window scale, SACK and ECN hide in the low
 * bits of our timestamp.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import { TCP_SACK_SEEN, type TcpOptionsReceived } from '#include/linux/tcp.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpClearOptions } from '#include/net/tcp_inlines.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/param.ts';
import { siphash4u32 } from '#lib/siphash.ts';
import { view } from '#mm/memory.ts';
import { iphdr } from '#uapi/ip.ts';
import { LINUX_MIB_SYNCOOKIESSENT } from '#uapi/snmp.ts';
import { tcphdr } from '#uapi/tcp.ts';

const COOKIEBITS = 24;
const COOKIEMASK = (1 << COOKIEBITS) - 1;
const COOKIE_PERIOD = 60 * HZ;
const MAX_SYNCOOKIE_AGE = 2;
const TCP_SYNCOOKIE_VALID = MAX_SYNCOOKIE_AGE * COOKIE_PERIOD;

const TSBITS = 6;
const TS_OPT_WSCALE_MASK = 0xf;
const TS_OPT_SACK = 1 << 4;
export const TS_OPT_ECN: number = 1 << 5;

/** The segment sizes that a cookie can name, from a survey of what hosts announce. */
const MSSTAB: readonly number[] = [536, 1300, 1440, 1460];

// ---- The number --------------------------------------------------------------------------------

/** @kernel tcp_cookie_time include/net/tcp.h */
const tcpCookieTime = (machine: Machine): number => Math.floor(machine.nowNs / (60 * 1e9));

/** @kernel cookie_hash net/ipv4/syncookies.c */
function cookieHash(
  machine: Machine,
  saddr: number,
  daddr: number,
  ports: number,
  count: number,
  c: number,
): number {
  const key = machine.netGlobals.syncookieSecret[c] as Int32Array;
  return siphash4u32(saddr, daddr, ports, count, key) | 0;
}

/** @kernel secure_tcp_syn_cookie net/ipv4/syncookies.c */
function secureTcpSynCookie(
  machine: Machine,
  saddr: number,
  daddr: number,
  ports: number,
  sseq: number,
  data: number,
): number {
  const count = tcpCookieTime(machine);
  const low = (cookieHash(machine, saddr, daddr, ports, count, 1) + data) & COOKIEMASK;
  return (cookieHash(machine, saddr, daddr, ports, 0, 0) + sseq + (count << COOKIEBITS) + low) | 0;
}

/** The data of a cookie; -1 when it is none of ours or too old. @kernel check_tcp_syn_cookie net/ipv4/syncookies.c */
function checkTcpSynCookie(
  machine: Machine,
  cookieIn: number,
  saddr: number,
  daddr: number,
  ports: number,
  sseq: number,
): number {
  const count = tcpCookieTime(machine);
  const cookie = (cookieIn - cookieHash(machine, saddr, daddr, ports, 0, 0) - sseq) | 0;
  const diff = (count - (cookie >>> COOKIEBITS)) & (0xffffffff >>> COOKIEBITS);
  if (diff >= MAX_SYNCOOKIE_AGE) return -1;
  return (cookie - cookieHash(machine, saddr, daddr, ports, count - diff, 1)) & COOKIEMASK;
}

const portsOf = (th: number): number => (tcphdr.source(view, th) << 16) | tcphdr.dest(view, th);

/**
 * Sequence number for the SYN in `skb`; lowers the request's MSS to one that the cookie can name.
 * @kernel cookie_init_sequence include/net/tcp.h
 */
export function cookieInitSequence(sk: Sock, skb: SkBuff, req: RequestSock): number {
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  tcpSynqOverflow(sk);
  netIncStats(sk.net, LINUX_MIB_SYNCOOKIESSENT);
  let mssind = MSSTAB.length - 1;
  while (mssind > 0 && req.mss < MSSTAB[mssind]!) mssind--;
  req.mss = MSSTAB[mssind]!;
  return secureTcpSynCookie(
    sk.net.machine,
    iphdr.saddr(view, iph),
    iphdr.daddr(view, iph),
    portsOf(th),
    tcphdr.seq(view, th),
    mssind,
  );
}

// ---- The timestamp, and when cookies are believed -----------------------------------------------------------------

/**
 * Our clock, in ns, with its low bits (in timestamp units) replaced by the options of the request;
 * never later than `nowNs`.
 * @kernel cookie_init_timestamp net/ipv4/syncookies.c
 */
export function cookieInitTimestamp(req: RequestSock, nowNs: number): number {
  const unitNs = req.reqUsecTs ? 1e3 : 1e6;
  const now = Math.floor(nowNs / unitNs);
  let options = req.wscaleOk ? req.sndWscale : TS_OPT_WSCALE_MASK;
  if (req.sackOk) options |= TS_OPT_SACK;
  if (req.ecnOk) options |= TS_OPT_ECN;
  const low = 1 << TSBITS;
  let ts = Math.floor(now / low) * low + options;
  if (ts > now) ts -= low;
  return ts * unitNs;
}

/** Notes, in a field that a listener has no other use for, that cookies were sent. @kernel tcp_synq_overflow include/net/tcp.h */
function tcpSynqOverflow(sk: Sock): void {
  tcpSk(sk).rxOpt.tsRecentStamp = sk.net.machine.jiffies;
}

/** @kernel tcp_synq_no_recent_overflow include/net/tcp.h */
export function tcpSynqNoRecentOverflow(sk: Sock): boolean {
  const last = tcpSk(sk).rxOpt.tsRecentStamp;
  const age = (sk.net.machine.jiffies - last) | 0;
  return last === 0 || age < 0 || age > TCP_SYNCOOKIE_VALID;
}

/** The MSS that the ACK's cookie names; 0: no cookie. @kernel __cookie_v4_check net/ipv4/syncookies.c */
export function __cookieV4Check(machine: Machine, skb: SkBuff): number {
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  const mssind = checkTcpSynCookie(
    machine,
    (tcphdr.ackSeq(view, th) - 1) | 0,
    iphdr.saddr(view, iph),
    iphdr.daddr(view, iph),
    portsOf(th),
    (tcphdr.seq(view, th) - 1) | 0,
  );
  return MSSTAB[mssind] ?? 0;
}

/** Reads the options out of the echoed timestamp. False: it is not from us. @kernel cookie_timestamp_decode net/ipv4/syncookies.c */
export function cookieTimestampDecode(net: Net, opt: TcpOptionsReceived): boolean {
  const options = opt.rcvTsecr;
  if (!opt.sawTstamp) {
    tcpClearOptions(opt);
    return true;
  }
  if (net.ipv4.sysctlTcpTimestamps === 0) return false;
  opt.sackOk = (options & TS_OPT_SACK) !== 0 ? TCP_SACK_SEEN : 0;
  if (opt.sackOk !== 0 && net.ipv4.sysctlTcpSack === 0) return false;
  if ((options & TS_OPT_WSCALE_MASK) === TS_OPT_WSCALE_MASK) return true;
  opt.wscaleOk = true;
  opt.sndWscale = options & TS_OPT_WSCALE_MASK;
  return net.ipv4.sysctlTcpWindowScaling !== 0;
}
