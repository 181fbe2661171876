/*
 * What ss says of a socket behind its addresses: timers, memory, the state of TCP. Counterpart of tcp_stats_print
 * and its neighbours in iproute2's misc/ss.c.
 */
import {
  INET_DIAG_NOCOOKIE,
  TIMER_KEEPALIVE,
  TIMER_NONE,
  TIMER_PROBE0,
  TIMER_RETRANS,
  TIMER_TIMEWAIT,
} from '#uapi/inet_diag.ts';
import {
  TCP_LISTEN,
  TCPI_OPT_ECN,
  TCPI_OPT_ECN_SEEN,
  TCPI_OPT_SACK,
  TCPI_OPT_SYN_DATA,
  TCPI_OPT_TIMESTAMPS,
  TCPI_OPT_WSCALE,
} from '#uapi/tcp.ts';
import type { TcpInfo } from '#uapi/tcp_info.ts';
import type { SocketRecord } from '#user/ss/record.ts';

const TIMER_NAMES: Readonly<Record<number, string>> = {
  [TIMER_RETRANS]: 'on',
  [TIMER_KEEPALIVE]: 'keepalive',
  [TIMER_TIMEWAIT]: 'timewait',
  [TIMER_PROBE0]: 'persist',
};

/** A time in the two largest of its units: `1min20sec`, `2.500ms`, `59sec`. */
export function formatTimer(ms: number): string {
  let minutes = Math.floor(ms / 60000);
  let seconds = Math.floor(ms / 1000) % 60;
  let rest = Math.floor(ms % 1000);
  let text = '';
  if (minutes > 0) {
    text += `${minutes}min`;
    rest = 0;
    if (minutes > 9) seconds = 0;
    minutes = 0;
  }
  if (seconds > 0) {
    if (seconds > 9) rest = 0;
    text += `${seconds}${rest > 0 ? '.' : 'sec'}`;
  }
  if (rest > 0) text += `${String(rest).padStart(3, '0')}ms`;
  return text;
}

export function timerText(record: SocketRecord): string {
  if (record.timer === TIMER_NONE) return '';
  const name = TIMER_NAMES[record.timer] ?? 'unknown';
  return ` timer:(${name},${formatTimer(record.timeout)},${record.retrans})`;
}

/** `-e`: owner, inode, cookie, which directions are shut. */
export function extendedText(record: SocketRecord): string {
  let text = record.uid === 0 ? '' : ` uid:${record.uid}`;
  text += ` ino:${record.inode}`;
  if (record.cookie !== '' && record.cookie !== INET_DIAG_NOCOOKIE.toString(16)) {
    text += ` sk:${record.cookie}`;
  }
  if (record.details.mark !== null && record.details.mark !== 0) {
    text += ` fwmark:0x${record.details.mark.toString(16)}`;
  }
  const { shutdown } = record.details;
  if (shutdown !== null) {
    text += ` ${(shutdown & 1) !== 0 ? '-' : '<'}-${(shutdown & 2) !== 0 ? '-' : '>'}`;
  }
  return text;
}

const MEMORY_NAMES: readonly string[] = ['r', 'rb', 't', 'tb', 'f', 'w', 'o', 'bl', 'd'];

export function memoryText(record: SocketRecord): string {
  const { memory } = record.details;
  if (memory === null) return '';
  return ` ${skmemText(memory)}`;
}

/** The words of *_DIAG_SKMEMINFO. */
export function skmemText(memory: readonly number[]): string {
  return `skmem:(${memory.map((value, i) => `${MEMORY_NAMES[i]}${value}`).join(',')})`;
}

/** A number as printf's %g has it, for values that are not extreme. */
const general = (value: number): string => String(Number(value.toPrecision(6)));

/** Microseconds as milliseconds. */
const ms = (us: number): string => general(us / 1000);

/** A rate in bits a second, of octets a second. */
const rate = (octets: number): string => `${(octets * 8).toFixed(0)}bps`;

function optionsText(options: number): string {
  const names: readonly (readonly [bit: number, name: string])[] = [
    [TCPI_OPT_TIMESTAMPS, 'ts'],
    [TCPI_OPT_SACK, 'sack'],
    [TCPI_OPT_ECN, 'ecn'],
    [TCPI_OPT_ECN_SEEN, 'ecnseen'],
    [TCPI_OPT_SYN_DATA, 'fastopen'],
  ];
  return names.map(([bit, name]) => ((options & bit) !== 0 ? ` ${name}` : '')).join('');
}

/** Nothing for zero. */
function unlessZero(value: number | undefined, label: string): string {
  return value === undefined || value === 0 ? '' : ` ${label}:${value}`;
}

function windowsText(info: Partial<TcpInfo>): string {
  let text = '';
  if (((info.options ?? 0) & TCPI_OPT_WSCALE) !== 0) {
    text += ` wscale:${info.sndWscale ?? 0},${info.rcvWscale ?? 0}`;
  }
  const rto = info.rto ?? 0;
  if (rto !== 0 && rto !== 3000000) text += ` rto:${ms(rto)}`;
  text += unlessZero(info.backoff, 'backoff');
  const rtt = info.rtt ?? 0;
  if (rtt !== 0) text += ` rtt:${ms(rtt)}/${ms(info.rttvar ?? 0)}`;
  const ato = info.ato ?? 0;
  if (ato !== 0) text += ` ato:${ms(ato)}`;
  text += unlessZero(info.sndMss, 'mss');
  text += unlessZero(info.pmtu, 'pmtu');
  text += unlessZero(info.rcvMss, 'rcvmss');
  text += unlessZero(info.advmss, 'advmss');
  text += unlessZero(info.sndCwnd, 'cwnd');
  const ssthresh = info.sndSsthresh ?? 0;
  if (ssthresh > 0 && ssthresh < 0xffff) text += ` ssthresh:${ssthresh}`;
  return text;
}

function countersText(info: Partial<TcpInfo>): string {
  return (
    unlessZero(info.bytesSent, 'bytes_sent') +
    unlessZero(info.bytesRetrans, 'bytes_retrans') +
    unlessZero(info.bytesAcked, 'bytes_acked') +
    unlessZero(info.bytesReceived, 'bytes_received') +
    unlessZero(info.segsOut, 'segs_out') +
    unlessZero(info.segsIn, 'segs_in') +
    unlessZero(info.dataSegsOut, 'data_segs_out') +
    unlessZero(info.dataSegsIn, 'data_segs_in')
  );
}

function ratesText(info: Partial<TcpInfo>): string {
  let text = '';
  const rtt = info.rtt ?? 0;
  const mss = info.sndMss ?? 0;
  const cwnd = info.sndCwnd ?? 0;
  if (rtt > 0 && mss > 0 && cwnd > 0) {
    text += ` send ${((cwnd * mss * 8e6) / rtt).toFixed(0)}bps`;
  }
  text += unlessZero(info.lastDataSent, 'lastsnd');
  text += unlessZero(info.lastDataRecv, 'lastrcv');
  text += unlessZero(info.lastAckRecv, 'lastack');
  const pacing = info.pacingRate ?? 0;
  if (pacing > 0 && Number.isFinite(pacing)) {
    text += ` pacing_rate ${rate(pacing)}`;
    const max = info.maxPacingRate ?? 0;
    if (max > 0 && Number.isFinite(max)) text += `/${rate(max)}`;
  }
  const delivery = info.deliveryRate ?? 0;
  if (delivery > 0) text += ` delivery_rate ${rate(delivery)}`;
  text += unlessZero(info.delivered, 'delivered');
  text += unlessZero(info.deliveredCe, 'delivered_ce');
  if ((info.deliveryRateAppLimited ?? 0) !== 0) text += ' app_limited';
  return text;
}

/** How long the sender was busy, and what held it up. */
function limitsText(info: Partial<TcpInfo>): string {
  const busy = info.busyTime ?? 0;
  if (busy === 0) return '';
  let text = ` busy:${Math.floor(busy / 1000)}ms`;
  const part = (us: number, label: string): string =>
    us === 0 ? '' : ` ${label}:${Math.floor(us / 1000)}ms(${((100 * us) / busy).toFixed(1)}%)`;
  text += part(info.rwndLimited ?? 0, 'rwnd_limited');
  return text + part(info.sndbufLimited ?? 0, 'sndbuf_limited');
}

function lossText(record: SocketRecord, info: Partial<TcpInfo>): string {
  let text = unlessZero(info.unacked, 'unacked');
  const retrans = info.retrans ?? 0;
  const total = info.totalRetrans ?? 0;
  if (retrans !== 0 || total !== 0) text += ` retrans:${retrans}/${total}`;
  text += unlessZero(info.lost, 'lost');
  if (record.state !== TCP_LISTEN) text += unlessZero(info.sacked, 'sacked');
  text += unlessZero(info.dsackDups, 'dsack_dups');
  text += unlessZero(info.fackets, 'fackets');
  if (info.reordering !== 3) text += unlessZero(info.reordering, 'reordering');
  text += unlessZero(info.reordSeen, 'reord_seen');
  const rcvRtt = info.rcvRtt ?? 0;
  if (rcvRtt !== 0) text += ` rcv_rtt:${ms(rcvRtt)}`;
  text += unlessZero(info.rcvSpace, 'rcv_space');
  text += unlessZero(info.rcvSsthresh, 'rcv_ssthresh');
  text += unlessZero(info.notsentBytes, 'notsent');
  const minRtt = info.minRtt ?? 0;
  if (minRtt !== 0 && minRtt !== 0xffffffff) text += ` minrtt:${ms(minRtt)}`;
  text += unlessZero(info.rcvOoopack, 'rcv_ooopack');
  return text + unlessZero(info.sndWnd, 'snd_wnd');
}

/** `-i`: the state of a TCP socket. @param extended options are named too */
export function infoText(record: SocketRecord, extended: boolean): string {
  const { info, congestion } = record.details;
  if (info === null) return '';
  const listening = record.state === TCP_LISTEN;
  let text = extended ? optionsText(info.options ?? 0) : '';
  if (congestion !== null) text += ` ${congestion}`;
  // Of a listening socket the queue stands where the counters are.
  if (listening) return text + unlessZero(info.sndCwnd, 'cwnd');
  text += windowsText(info) + countersText(info) + ratesText(info) + limitsText(info);
  return text + lossText(record, info);
}
