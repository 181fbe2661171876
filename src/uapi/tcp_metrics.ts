/*
 * Messages of the metrics cache.
 * Kernel counterpart: include/uapi/linux/tcp_metrics.h.
 */

export const TCP_METRICS_GENL_NAME = 'tcp_metrics';
export const TCP_METRICS_GENL_VERSION = 1;

export const TCP_METRICS_CMD_GET = 1;
export const TCP_METRICS_CMD_DEL = 2;

export const TCP_METRICS_ATTR_ADDR_IPV4 = 1;
/** u64, ms since the last update. */
export const TCP_METRICS_ATTR_AGE = 3;
/** Nested u32, type is the metric + 1. */
export const TCP_METRICS_ATTR_VALS = 6;
export const TCP_METRICS_ATTR_FOPEN_MSS = 7;
export const TCP_METRICS_ATTR_FOPEN_SYN_DROPS = 8;
export const TCP_METRICS_ATTR_FOPEN_SYN_DROP_TS = 9;
export const TCP_METRICS_ATTR_FOPEN_COOKIE = 10;
export const TCP_METRICS_ATTR_SADDR_IPV4 = 11;
export const TCP_METRICS_ATTR_MAX = 13;

/** Metrics of the message that the cache has in another unit. */
export const TCP_METRIC_RTT_US = 5;
export const TCP_METRIC_RTTVAR_US = 6;
