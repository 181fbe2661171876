/**
 * What is remembered of a destination between connections. Counterpart of the structs at the head of
 * net/ipv4/tcp_metrics.c and of include/uapi/linux/tcp_metrics.h.
 */
import { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';

// Index into TcpMetricsBlock.vals. Round trip times in us << 3 and us << 2.
export const TCP_METRIC_RTT = 0;
export const TCP_METRIC_RTTVAR = 1;
export const TCP_METRIC_SSTHRESH = 2;
export const TCP_METRIC_CWND = 3;
export const TCP_METRIC_REORDERING = 4;
export const TCP_METRIC_COUNT = 5;

/** @kernel tcp_fastopen_metrics net/ipv4/tcp_metrics.c */
export class TcpFastopenMetrics {
  mss = 0;
  /** SYNs with data lost in a row. */
  synLoss = 0;
  /** 1: ask by the experimental option the next time, 2: that did not help either. */
  tryExp = 0;
  /** Jiffies. */
  lastSynLoss = 0;
  readonly cookie: TcpFastopenCookie = new TcpFastopenCookie(0);
}

/** @kernel tcp_metrics_block net/ipv4/tcp_metrics.c */
export class TcpMetricsBlock {
  next: TcpMetricsBlock | null;
  saddr: number;
  daddr: number;
  /** Jiffies of the last update. */
  stamp = 0;
  /** Bits 1 << TCP_METRIC_*: the route has fixed it. */
  lock = 0;
  readonly vals: Uint32Array = new Uint32Array(TCP_METRIC_COUNT);
  readonly fastopen: TcpFastopenMetrics = new TcpFastopenMetrics();

  constructor(saddr: number, daddr: number, next: TcpMetricsBlock | null) {
    this.saddr = saddr;
    this.daddr = daddr;
    this.next = next;
  }
}

/** Chains by slot; a slot without entries is absent. @kernel tcp_metrics_hash net/ipv4/tcp_metrics.c */
export class TcpMetricsTable {
  readonly slots: Map<number, TcpMetricsBlock> = new Map();
}
