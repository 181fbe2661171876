/**
 * Time-wait sockets: what is kept of a connection for a minute after both sides closed it.
 *
 * Counterpart: net/ipv4/inet_timewait_sock.c. A time-wait socket holds three references to itself,
 * from the bind bucket, the hash chain and the row that it waits in; a lookup takes a further one.
 */
import type { InetConnectionSock } from '#include/net/inet_connection_sock.ts';
import { InetTimewaitSock, InetTwRow } from '#include/net/inet_timewait_sock.ts';
import { netIncStats } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { HZ } from '#kernel/param.ts';
import { modTimer, TimerList, timerDelete } from '#kernel/time/timer.ts';
import { sockProtInuseAdd } from '#net/core/sock.ts';
import {
  ehashAdd,
  ehashDel,
  ehashShrink,
  inetBindBucketDestroy,
  inetBindBucketFind,
  tcpGetHashinfo,
} from '#net/ipv4/inet_hashtables_bind.ts';
import { LINUX_MIB_TIMEWAITED, LINUX_MIB_TIMEWAITKILLED } from '#uapi/snmp.ts';

/** @kernel inet_twsk_free net/ipv4/inet_timewait_sock.c */
function inetTwskFree(tw: InetTimewaitSock): void {
  tw.net.machine.live.socks--;
}

/** @kernel inet_twsk_put net/ipv4/inet_timewait_sock.c */
export function inetTwskPut(tw: InetTimewaitSock): void {
  if (DEBUG) bugOn(tw.refcnt <= 0, 'timewait-refcount', `refcnt ${tw.refcnt}`);
  if (--tw.refcnt === 0) inetTwskFree(tw);
}

/**
 * Gives up its place in the bucket of its port. Peers choose the order in which these end, so that no
 * walk along the other owners may be needed.
 * @kernel inet_twsk_bind_unhash net/ipv4/inet_timewait_sock.c
 */
function inetTwskBindUnhash(tw: InetTimewaitSock): void {
  const tb = tw.skcNum === 0 ? null : inetBindBucketFind(tw.net, tw.skcNum, 0);
  if (tb === null) return;
  const { twBindNext: next, twBindPrev: prev } = tw;
  if (prev === null) tb.twOwners = next;
  else prev.twBindNext = next;
  if (next !== null) next.twBindPrev = prev;
  tw.twBindNext = null;
  tw.twBindPrev = null;
  inetBindBucketDestroy(tb);
  tw.refcnt--;
}

/** Off all tables but the row, of which the reference is dropped. @kernel inet_twsk_kill net/ipv4/inet_timewait_sock.c */
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
  const tw = new InetTimewaitSock(net, sk.skcFamily);
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
  tw.twSubstate = state;
  tw.twTos = sk.tos;
  tw.twTransparent = sk.transparent;
  return tw;
}

/**
 * Puts `tw` where `sk` was: into the bind bucket and the hash chain, and begins its wait. `timeo` in
 * jiffies.
 * @kernel inet_twsk_hashdance_schedule net/ipv4/inet_timewait_sock.c
 */
export function inetTwskHashdanceSchedule(
  tw: InetTimewaitSock,
  sk: InetConnectionSock,
  timeo: number,
): void {
  const tb = sk.icskBindHash;
  tw.refcnt = 2;
  if (tb !== null) {
    tw.twBindNext = tb.twOwners;
    if (tb.twOwners !== null) tb.twOwners.twBindPrev = tw;
    tb.twOwners = tw;
    tw.refcnt++;
  }
  const hashinfo = tcpGetHashinfo(tw.net);
  ehashAdd(hashinfo, tw);
  if (ehashDel(hashinfo, sk)) sockProtInuseAdd(sk.net, sk.skProt, -1);
  inetTwskSchedule(tw, timeo);
}

// ---- Waiting -----------------------------------------------------------------------------------

/** The timer of a row: ends the waits that are over. @kernel tw_timer_handler net/ipv4/inet_timewait_sock.c */
function twTimerHandler(row: InetTwRow): void {
  const first = row.first as InetTimewaitSock;
  const { net } = first;
  const { jiffies } = net.machine;
  for (let tw: InetTimewaitSock | null = first; tw !== null; tw = row.first) {
    if (((tw.twExpires - jiffies) | 0) > 0) break;
    rowDel(row, tw);
    inetTwskKill(tw);
  }
  rowArm(net, row);
  ehashShrink(tcpGetHashinfo(net));
}

/** Has the timer go off for the first that waits. A row in which nobody waits is given up. */
function rowArm(net: Net, row: InetTwRow): void {
  const timer = row.timer as TimerList<InetTwRow>;
  if (row.first !== null) {
    modTimer(timer, row.first.twExpires);
  } else {
    timerDelete(timer);
    net.ipv4.tcpDeathRows.delete(row.timeo);
  }
}

function rowDel(row: InetTwRow, tw: InetTimewaitSock): void {
  const { twRowNext: next, twRowPrev: prev } = tw;
  if (prev === null) row.first = next;
  else prev.twRowNext = next;
  if (next === null) row.last = prev;
  else next.twRowPrev = prev;
  tw.twRow = null;
  tw.twRowNext = null;
  tw.twRowPrev = null;
}

/** Begins a wait of `timeo` jiffies, at the end of the row of all that wait so long. */
function rowAdd(tw: InetTimewaitSock, timeo: number): void {
  const { machine, ipv4 } = tw.net;
  let row = ipv4.tcpDeathRows.get(timeo);
  if (row === undefined) {
    row = new InetTwRow(timeo);
    row.timer = new TimerList(machine, row, twTimerHandler);
    ipv4.tcpDeathRows.set(timeo, row);
  }
  tw.twRow = row;
  tw.twExpires = (machine.jiffies + timeo) | 0;
  tw.twRowPrev = row.last;
  if (row.last === null) row.first = tw;
  else row.last.twRowNext = tw;
  row.last = tw;
  if (row.first === tw) rowArm(tw.net, row);
}

/** Ends the wait early. */
function rowLeave(row: InetTwRow, tw: InetTimewaitSock): void {
  const wasFirst = row.first === tw;
  rowDel(row, tw);
  if (wasFirst) rowArm(tw.net, row);
}

/** @kernel inet_twsk_schedule include/net/inet_timewait_sock.h */
function inetTwskSchedule(tw: InetTimewaitSock, timeo: number): void {
  const { net } = tw;
  netIncStats(net, timeo <= 4 * HZ ? LINUX_MIB_TIMEWAITKILLED : LINUX_MIB_TIMEWAITED);
  rowAdd(tw, timeo);
  net.ipv4.tcpDeathRowTwCount++;
}

/** Starts the wait anew, unless it is over. @kernel inet_twsk_reschedule include/net/inet_timewait_sock.h */
export function inetTwskReschedule(tw: InetTimewaitSock, timeo: number): void {
  if (tw.twRow === null) return;
  rowLeave(tw.twRow, tw);
  rowAdd(tw, timeo);
}

/** Ends the wait now, and drops the caller's reference. @kernel inet_twsk_deschedule_put net/ipv4/inet_timewait_sock.c */
export function inetTwskDeschedulePut(tw: InetTimewaitSock): void {
  if (tw.twRow !== null) {
    rowLeave(tw.twRow, tw);
    inetTwskKill(tw);
  }
  inetTwskPut(tw);
}
