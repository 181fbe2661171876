/**
 * Time-wait sockets: what is kept of a connection for a minute after both sides closed it.
 *
 * Counterpart: net/ipv4/inet_timewait_sock.c. A time-wait socket holds three references to itself,
 * from the bind bucket, the hash chain and its timer; a lookup takes a further one.
 */
import { type InetConnectionSock, InetTimewaitSock } from '#include/net/inet_connection_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { HZ } from '#kernel/param.ts';
import { modTimer, TimerList, timerDelete, timerPending } from '#kernel/time/timer.ts';
import { sockProtInuseAdd } from '#net/core/sock.ts';
import {
  ehashAdd,
  ehashDel,
  inetBindBucketDestroy,
  tcpGetHashinfo,
} from '#net/ipv4/inet_hashtables_bind.ts';
import { LINUX_MIB_TIMEWAITED, LINUX_MIB_TIMEWAITKILLED } from '#uapi/snmp.ts';
import { TCP_TIME_WAIT } from '#uapi/tcp.ts';

/** @kernel inet_twsk_free net/ipv4/inet_timewait_sock.c */
function inetTwskFree(tw: InetTimewaitSock): void {
  tw.net.machine.live.socks--;
}

/** @kernel inet_twsk_put net/ipv4/inet_timewait_sock.c */
export function inetTwskPut(tw: InetTimewaitSock): void {
  if (DEBUG) bugOn(tw.refcnt <= 0, 'timewait-refcount', `refcnt ${tw.refcnt}`);
  if (--tw.refcnt === 0) inetTwskFree(tw);
}

/** Gives up its place in the bind bucket. @kernel inet_twsk_bind_unhash net/ipv4/inet_timewait_sock.c */
export function inetTwskBindUnhash(tw: InetTimewaitSock): void {
  const tb = tw.twTb;
  if (tb === null) return;
  let prev: InetTimewaitSock | null = null;
  let at = tb.twOwners;
  while (at !== null && at !== tw) {
    prev = at;
    at = at.twBindNext;
  }
  if (at === tw) {
    if (prev === null) tb.twOwners = tw.twBindNext;
    else prev.twBindNext = tw.twBindNext;
  }
  tw.twBindNext = null;
  tw.twTb = null;
  inetBindBucketDestroy(tb);
  tw.refcnt--;
}

/** Off all tables; the caller drops the reference of the timer, which is not armed. @kernel inet_twsk_kill net/ipv4/inet_timewait_sock.c */
function inetTwskKill(tw: InetTimewaitSock): void {
  if (ehashDel(tcpGetHashinfo(tw.net), tw)) tw.refcnt--;
  inetTwskBindUnhash(tw);
  tw.net.ipv4.tcpDeathRowTwCount--;
  inetTwskPut(tw);
}

/**
 * A time-wait socket in the image of `sk`, on no table yet. Null when there are too many.
 * @kernel inet_twsk_alloc net/ipv4/inet_timewait_sock.c
 */
export function inetTwskAlloc(sk: InetConnectionSock, state: number): InetTimewaitSock | null {
  const net = sk.net;
  if (net.ipv4.tcpDeathRowTwCount >= net.ipv4.sysctlTcpMaxTwBuckets) return null;
  const tw = new InetTimewaitSock(net, sk.skcFamily, sk.skProt);
  net.machine.live.socks++;
  tw.refcnt = 0;
  tw.skcDaddr = sk.skcDaddr;
  tw.skcRcvSaddr = sk.skcRcvSaddr;
  tw.skcBoundDevIf = sk.skcBoundDevIf;
  tw.skcDport = sk.skcDport;
  tw.skcNum = sk.skcNum;
  tw.skcReuse = sk.skcReuse;
  tw.skcReuseport = sk.skcReuseport;
  tw.skcHash = sk.skcHash;
  tw.skcState = TCP_TIME_WAIT;
  tw.twSubstate = state;
  tw.twSport = sk.inetSport;
  tw.twSaddr = sk.inetSaddr;
  tw.twTos = sk.tos;
  tw.twTransparent = sk.transparent;
  tw.twTimer = new TimerList(net.machine, tw, inetTwskKill);
  return tw;
}

/**
 * Puts `tw` where `sk` was: into the bind bucket and the hash chain, and arms its timer. `timeo` in
 * jiffies.
 * @kernel inet_twsk_hashdance_schedule net/ipv4/inet_timewait_sock.c
 */
export function inetTwskHashdanceSchedule(
  tw: InetTimewaitSock,
  sk: InetConnectionSock,
  timeo: number,
): void {
  const tb = sk.icskBindHash;
  tw.twTb = tb;
  tw.refcnt = 2;
  if (tb !== null) {
    tw.twBindNext = tb.twOwners;
    tb.twOwners = tw;
    tw.refcnt++;
  }
  const hashinfo = tcpGetHashinfo(tw.net);
  ehashAdd(hashinfo, tw);
  if (ehashDel(hashinfo, sk)) sockProtInuseAdd(sk.net, sk.skProt, -1);
  inetTwskSchedule(tw, timeo);
}

/** @kernel inet_twsk_schedule include/net/inet_timewait_sock.h */
function inetTwskSchedule(tw: InetTimewaitSock, timeo: number): void {
  const net = tw.net;
  netIncStats(net, timeo <= 4 * HZ ? LINUX_MIB_TIMEWAITKILLED : LINUX_MIB_TIMEWAITED);
  if (tw.twTimer !== null) modTimer(tw.twTimer, (net.machine.jiffies + timeo) | 0);
  net.ipv4.tcpDeathRowTwCount++;
}

/** Starts the wait anew, unless it is over. @kernel inet_twsk_reschedule include/net/inet_timewait_sock.h */
export function inetTwskReschedule(tw: InetTimewaitSock, timeo: number): void {
  if (tw.twTimer !== null && timerPending(tw.twTimer)) {
    modTimer(tw.twTimer, (tw.net.machine.jiffies + timeo) | 0);
  }
}

/** Ends the wait now, and drops the caller's reference. @kernel inet_twsk_deschedule_put net/ipv4/inet_timewait_sock.c */
export function inetTwskDeschedulePut(tw: InetTimewaitSock): void {
  if (tw.twTimer !== null && timerDelete(tw.twTimer)) inetTwskKill(tw);
  inetTwskPut(tw);
}
