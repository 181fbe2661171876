/**
 * What is left of a closed connection for a minute: a busy server has tens of thousands of these.
 * Counterpart of include/net/inet_timewait_sock.h and of tcp_timewait_sock in include/linux/tcp.h.
 */
import type { Net } from '#include/net/net_namespace.ts';
import { SOCK_KIND_TIMEWAIT, SockCommon } from '#include/net/sock_common.ts';
import type { TcpAoInfo, TcpMd5sigKey } from '#include/net/tcp_auth.ts';
import type { TimerList } from '#kernel/time/timer.ts';
import { TCP_TIME_WAIT } from '#uapi/tcp.ts';

/** What few connections leave: marks, priorities, keys, and when a segment out of the window was answered. */
class TwRare {
  mark = 0;
  priority = 0;
  txDelay = 0;
  /** Jiffies. */
  lastOowAckTime = 0;
  md5Key: TcpMd5sigKey | null = null;
  aoInfo: TcpAoInfo | null = null;
}

// Fields of twBits.
const SUBSTATE_MASK = 0xff;
const TOS_SHIFT = 8;
const WSCALE_SHIFT = 16;
const WSCALE_MASK = 0xf;
const TRANSPARENT = 1 << 20;
const USEC_TS = 1 << 21;

/**
 * Entries that wait equally long, in the order in which their wait ends: one timer serves them all, and is
 * armed for the first. Linux has a timer in each.
 */
export class InetTwRow {
  /** Jiffies that each waits. */
  readonly timeo: number;
  first: InetTimewaitSock | null;
  last: InetTimewaitSock | null;
  /** Set right after construction. */
  timer: TimerList<InetTwRow> | null;

  constructor(timeo: number) {
    this.timeo = timeo;
    this.first = null;
    this.last = null;
    this.timer = null;
  }
}

/**
 * @kernel inet_timewait_sock include/net/inet_timewait_sock.h
 * @kernel tcp_timewait_sock include/linux/tcp.h
 */
export class InetTimewaitSock extends SockCommon {
  /** Substate, TOS, window scale and flags. */
  private twBits: number;
  private twRare: TwRare | null;
  twTxhash: number;
  /** Neighbours among the owners of the port, whose bucket is found by skcNum. */
  twBindNext: InetTimewaitSock | null;
  twBindPrev: InetTimewaitSock | null;
  /** The row that we wait in; null: the wait is over, or has not begun. */
  twRow: InetTwRow | null;
  twRowNext: InetTimewaitSock | null;
  twRowPrev: InetTimewaitSock | null;
  /** Jiffies. */
  twExpires: number;
  // tcp_timewait_sock
  twRcvWnd: number;
  twTsOffset: number;
  twTsRecent: number;
  /** Seconds. */
  twTsRecentStamp: number;
  twRcvNxt: number;
  twSndNxt: number;
  /** ms */
  twEntryStamp: number;

  constructor(net: Net, family: number) {
    super(net, family, SOCK_KIND_TIMEWAIT);
    this.skcState = TCP_TIME_WAIT;
    this.twBits = 0;
    this.twRare = null;
    this.twTxhash = 0;
    this.twBindNext = null;
    this.twBindPrev = null;
    this.twRow = null;
    this.twRowNext = null;
    this.twRowPrev = null;
    this.twExpires = 0;
    this.twRcvWnd = 0;
    this.twTsOffset = 0;
    this.twTsRecent = 0;
    this.twTsRecentStamp = 0;
    this.twRcvNxt = 0;
    this.twSndNxt = 0;
    this.twEntryStamp = 0;
  }

  /** FIN_WAIT2 or TIME_WAIT; skcState is always TCP_TIME_WAIT. */
  get twSubstate(): number {
    return this.twBits & SUBSTATE_MASK;
  }
  set twSubstate(state: number) {
    this.twBits = (this.twBits & ~SUBSTATE_MASK) | state;
  }

  get twTos(): number {
    return (this.twBits >>> TOS_SHIFT) & 0xff;
  }
  set twTos(tos: number) {
    this.twBits = (this.twBits & ~(0xff << TOS_SHIFT)) | (tos << TOS_SHIFT);
  }

  get twRcvWscale(): number {
    return (this.twBits >>> WSCALE_SHIFT) & WSCALE_MASK;
  }
  set twRcvWscale(wscale: number) {
    this.twBits = (this.twBits & ~(WSCALE_MASK << WSCALE_SHIFT)) | (wscale << WSCALE_SHIFT);
  }

  get twTransparent(): boolean {
    return (this.twBits & TRANSPARENT) !== 0;
  }
  set twTransparent(value: boolean) {
    this.twBits = value ? this.twBits | TRANSPARENT : this.twBits & ~TRANSPARENT;
  }

  get twUsecTs(): boolean {
    return (this.twBits & USEC_TS) !== 0;
  }
  set twUsecTs(value: boolean) {
    this.twBits = value ? this.twBits | USEC_TS : this.twBits & ~USEC_TS;
  }

  get twMark(): number {
    return this.twRare === null ? 0 : this.twRare.mark;
  }
  set twMark(mark: number) {
    if (mark !== this.twMark) this.rare().mark = mark;
  }

  get twPriority(): number {
    return this.twRare === null ? 0 : this.twRare.priority;
  }
  set twPriority(priority: number) {
    if (priority !== this.twPriority) this.rare().priority = priority;
  }

  get twTxDelay(): number {
    return this.twRare === null ? 0 : this.twRare.txDelay;
  }
  set twTxDelay(delay: number) {
    if (delay !== this.twTxDelay) this.rare().txDelay = delay;
  }

  get lastOowAckTime(): number {
    return this.twRare === null ? 0 : this.twRare.lastOowAckTime;
  }
  set lastOowAckTime(time: number) {
    if (time !== this.lastOowAckTime) this.rare().lastOowAckTime = time;
  }

  get twMd5Key(): TcpMd5sigKey | null {
    return this.twRare === null ? null : this.twRare.md5Key;
  }
  set twMd5Key(key: TcpMd5sigKey | null) {
    if (key !== this.twMd5Key) this.rare().md5Key = key;
  }

  get aoInfo(): TcpAoInfo | null {
    return this.twRare === null ? null : this.twRare.aoInfo;
  }
  set aoInfo(info: TcpAoInfo | null) {
    if (info !== this.aoInfo) this.rare().aoInfo = info;
  }

  private rare(): TwRare {
    this.twRare ??= new TwRare();
    return this.twRare;
  }
}
