/**
 * net.ipv4.tcp_*: names, ranges and units of TCP's settings. Counterpart of the tcp_ part of
 * net/ipv4/sysctl_net_ipv4.c.
 */
import type { Net } from '#include/net/net_namespace.ts';
import type { NetnsIpv4 } from '#include/net/netns/ipv4.ts';
import type { CtlTable } from '#kernel/sysctl.ts';
import { intEntry, intsEntry, secondsEntry, stringEntry } from '#kernel/sysctl.ts';
import {
  tcpGetAllowedCongestionControl,
  tcpGetAvailableCongestionControl,
  tcpGetDefaultCongestionControl,
  tcpSetAllowedCongestionControl,
  tcpSetDefaultCongestionControl,
} from '#net/ipv4/tcp_cong.ts';
import { tcpFastopenKeyText, tcpFastopenKeyWrite } from '#net/ipv4/tcp_fastopen_key.ts';

const INT_MAX = 0x7fffffff;

type NumberField = {
  [K in keyof NetnsIpv4]: NetnsIpv4[K] extends number ? K : never;
}[keyof NetnsIpv4];

/** Name, field, lowest and highest value of a plain setting. */
type Plain = readonly [name: string, key: NumberField, min: number, max: number];

const PLAIN: readonly Plain[] = [
  ['tcp_early_demux', 'sysctlTcpEarlyDemux', 0, 1],
  ['tcp_fwmark_accept', 'sysctlTcpFwmarkAccept', 0, 1],
  ['tcp_ecn', 'sysctlTcpEcn', 0, 5],
  ['tcp_ecn_option', 'sysctlTcpEcnOption', 0, 3],
  ['tcp_ecn_option_beacon', 'sysctlTcpEcnOptionBeacon', 0, 3],
  ['tcp_ecn_fallback', 'sysctlTcpEcnFallback', 0, 1],
  ['tcp_keepalive_probes', 'sysctlTcpKeepaliveProbes', 0, 255],
  ['tcp_syn_retries', 'sysctlTcpSynRetries', 1, 127],
  ['tcp_synack_retries', 'sysctlTcpSynackRetries', 0, 255],
  ['tcp_syncookies', 'sysctlTcpSyncookies', 0, 2],
  ['tcp_migrate_req', 'sysctlTcpMigrateReq', 0, 1],
  ['tcp_reordering', 'sysctlTcpReordering', 1, INT_MAX],
  ['tcp_max_reordering', 'sysctlTcpMaxReordering', 1, INT_MAX],
  ['tcp_retries1', 'sysctlTcpRetries1', 0, 255],
  ['tcp_retries2', 'sysctlTcpRetries2', 0, 255],
  ['tcp_orphan_retries', 'sysctlTcpOrphanRetries', 0, 255],
  ['tcp_tw_reuse', 'sysctlTcpTwReuse', 0, 2],
  ['tcp_tw_reuse_delay', 'sysctlTcpTwReuseDelay', 1, 60000],
  ['tcp_max_syn_backlog', 'sysctlMaxSynBacklog', 0, INT_MAX],
  ['tcp_syn_linear_timeouts', 'sysctlTcpSynLinearTimeouts', 0, 127],
  ['tcp_sack', 'sysctlTcpSack', 0, 1],
  ['tcp_window_scaling', 'sysctlTcpWindowScaling', 0, 1],
  ['tcp_timestamps', 'sysctlTcpTimestamps', 0, 2],
  ['tcp_early_retrans', 'sysctlTcpEarlyRetrans', 0, 4],
  ['tcp_recovery', 'sysctlTcpRecovery', 0, 255],
  ['tcp_thin_linear_timeouts', 'sysctlTcpThinLinearTimeouts', 0, 1],
  ['tcp_slow_start_after_idle', 'sysctlTcpSlowStartAfterIdle', 0, 1],
  ['tcp_retrans_collapse', 'sysctlTcpRetransCollapse', 0, 1],
  ['tcp_stdurg', 'sysctlTcpStdurg', 0, 1],
  ['tcp_rfc1337', 'sysctlTcpRfc1337', 0, 1],
  ['tcp_abort_on_overflow', 'sysctlTcpAbortOnOverflow', 0, 1],
  ['tcp_fack', 'sysctlTcpFack', 0, 255],
  ['tcp_adv_win_scale', 'sysctlTcpAdvWinScale', -31, 31],
  ['tcp_dsack', 'sysctlTcpDsack', 0, 1],
  ['tcp_app_win', 'sysctlTcpAppWin', 0, 31],
  ['tcp_frto', 'sysctlTcpFrto', 0, 2],
  ['tcp_no_metrics_save', 'sysctlTcpNometricsSave', 0, 1],
  ['tcp_no_ssthresh_metrics_save', 'sysctlTcpNoSsthreshMetricsSave', 0, 1],
  ['tcp_moderate_rcvbuf', 'sysctlTcpModerateRcvbuf', 0, 1],
  ['tcp_rcvbuf_low_rtt', 'sysctlTcpRcvbufLowRtt', 0, INT_MAX],
  ['tcp_tso_win_divisor', 'sysctlTcpTsoWinDivisor', 0, 255],
  ['tcp_workaround_signed_windows', 'sysctlTcpWorkaroundSignedWindows', 0, 1],
  ['tcp_limit_output_bytes', 'sysctlTcpLimitOutputBytes', 0, INT_MAX],
  ['tcp_challenge_ack_limit', 'sysctlTcpChallengeAckLimit', 0, INT_MAX],
  ['tcp_min_tso_segs', 'sysctlTcpMinTsoSegs', 1, 255],
  ['tcp_tso_rtt_log', 'sysctlTcpTsoRttLog', 0, 255],
  ['tcp_min_rtt_wlen', 'sysctlTcpMinRttWlen', 0, 24 * 60 * 60],
  ['tcp_autocorking', 'sysctlTcpAutocorking', 0, 1],
  ['tcp_reflect_tos', 'sysctlTcpReflectTos', 0, 1],
  // Kept in jiffies, shown in ms: one and the same here.
  ['tcp_invalid_ratelimit', 'sysctlTcpInvalidRatelimit', 0, INT_MAX],
  ['tcp_pacing_ss_ratio', 'sysctlTcpPacingSsRatio', 0, 1000],
  ['tcp_pacing_ca_ratio', 'sysctlTcpPacingCaRatio', 0, 1000],
  ['tcp_child_ehash_entries', 'sysctlTcpChildEhashEntries', 0, 16 * 1024 * 1024],
  ['tcp_comp_sack_rtt_percent', 'sysctlTcpCompSackRttPercent', 1, 1000],
  ['tcp_comp_sack_delay_ns', 'sysctlTcpCompSackDelayNs', 0, INT_MAX],
  ['tcp_comp_sack_slack_ns', 'sysctlTcpCompSackSlackNs', 0, INT_MAX],
  ['tcp_comp_sack_nr', 'sysctlTcpCompSackNr', 0, 255],
  ['tcp_backlog_ack_defer', 'sysctlTcpBacklogAckDefer', 0, 1],
  ['tcp_pingpong_thresh', 'sysctlTcpPingpongThresh', 1, 255],
  ['tcp_rto_min_us', 'sysctlTcpRtoMinUs', 1, INT_MAX],
  ['tcp_rto_max_ms', 'sysctlTcpRtoMaxMs', 1000, 120 * 1000],
  ['tcp_plb_enabled', 'sysctlTcpPlbEnabled', 0, 1],
  ['tcp_plb_idle_rehash_rounds', 'sysctlTcpPlbIdleRehashRounds', 0, 31],
  ['tcp_plb_rehash_rounds', 'sysctlTcpPlbRehashRounds', 0, 31],
  ['tcp_plb_suspend_rto_sec', 'sysctlTcpPlbSuspendRtoSec', 0, 255],
  ['tcp_plb_cong_thresh', 'sysctlTcpPlbCongThresh', 0, 256],
  ['tcp_shrink_window', 'sysctlTcpShrinkWindow', 0, 1],
  ['tcp_fastopen', 'sysctlTcpFastopen', 0, INT_MAX],
  ['tcp_mtu_probing', 'sysctlTcpMtuProbing', 0, 2],
  ['tcp_mtu_probe_floor', 'sysctlTcpMtuProbeFloor', 48, 65535],
  ['tcp_base_mss', 'sysctlTcpBaseMss', 48, 65535],
  ['tcp_min_snd_mss', 'sysctlTcpMinSndMss', 48, 65535],
  ['tcp_probe_threshold', 'sysctlTcpProbeThreshold', 0, INT_MAX],
  ['tcp_probe_interval', 'sysctlTcpProbeInterval', 0, INT_MAX],
  ['tcp_max_tw_buckets', 'sysctlTcpMaxTwBuckets', 0, INT_MAX],
  ['tcp_max_orphans', 'sysctlTcpMaxOrphans', 0, INT_MAX],
  ['tcp_notsent_lowat', 'sysctlTcpNotsentLowat', 0, 0xffffffff],
];

/** Settings kept in jiffies and shown in seconds. */
const SECONDS: readonly (readonly [name: string, key: NumberField])[] = [
  ['tcp_keepalive_time', 'sysctlTcpKeepaliveTime'],
  ['tcp_keepalive_intvl', 'sysctlTcpKeepaliveIntvl'],
  ['tcp_fin_timeout', 'sysctlTcpFinTimeout'],
];

function setter(ipv4: NetnsIpv4, key: NumberField): (value: number) => void {
  return (value) => {
    ipv4[key] = value as never;
  };
}

/** Lowest, default and highest size of a buffer. */
function buffers(ipv4: NetnsIpv4, name: string, key: 'sysctlTcpRmem' | 'sysctlTcpWmem'): CtlTable {
  const set = (values: number[]): void => {
    ipv4[key] = values as [number, number, number];
  };
  return intsEntry(name, () => ipv4[key], set, 1);
}

/** The memory of all TCP sockets of the machine, in pages. */
function tcpMem(net: Net): CtlTable {
  const memory = (): number[] =>
    net.machine.netGlobals.protoMemory.get('TCP')?.sysctlMem ?? [0, 0, 0];
  const set = (values: number[]): void => {
    const mem = memory();
    for (const [i, value] of values.entries()) mem[i] = value;
  };
  return intsEntry('tcp_mem', memory, set, 0);
}

/** @kernel proc_tcp_congestion_control net/ipv4/sysctl_net_ipv4.c */
function congestionControl(net: Net): CtlTable {
  return stringEntry(
    'tcp_congestion_control',
    () => tcpGetDefaultCongestionControl(net),
    (text) => tcpSetDefaultCongestionControl(net, text),
  );
}

/** @kernel proc_tcp_available_congestion_control net/ipv4/sysctl_net_ipv4.c */
function availableCongestionControl(net: Net): CtlTable {
  const names = (): string => tcpGetAvailableCongestionControl(net.machine);
  return stringEntry('tcp_available_congestion_control', names, null);
}

/** @kernel proc_allowed_congestion_control net/ipv4/sysctl_net_ipv4.c */
function allowedCongestionControl(net: Net): CtlTable {
  return stringEntry(
    'tcp_allowed_congestion_control',
    () => tcpGetAllowedCongestionControl(net.machine),
    (text) => tcpSetAllowedCongestionControl(net.machine, text),
  );
}

/** Setting it ends a pause of Fast Open. @kernel proc_tfo_blackhole_detect_timeout net/ipv4/sysctl_net_ipv4.c */
function blackholeTimeout(net: Net): CtlTable {
  const { ipv4 } = net;
  const set = (value: number): void => {
    ipv4.sysctlTcpFastopenBlackholeTimeout = value;
    ipv4.tfoActiveDisableTimes = 0;
  };
  const get = (): number => ipv4.sysctlTcpFastopenBlackholeTimeout;
  return intEntry('tcp_fastopen_blackhole_timeout_sec', get, set, 0, INT_MAX);
}

/** All of TCP's entries of a namespace. */
export function tcpSysctls(net: Net): CtlTable[] {
  const { ipv4 } = net;
  return [
    ...PLAIN.map(([name, key, min, max]) =>
      intEntry(name, () => ipv4[key], setter(ipv4, key), min, max),
    ),
    ...SECONDS.map(([name, key]) => secondsEntry(name, () => ipv4[key], setter(ipv4, key), 1000)),
    buffers(ipv4, 'tcp_rmem', 'sysctlTcpRmem'),
    buffers(ipv4, 'tcp_wmem', 'sysctlTcpWmem'),
    tcpMem(net),
    stringEntry(
      'tcp_fastopen_key',
      () => tcpFastopenKeyText(net),
      (text) => tcpFastopenKeyWrite(net, text),
    ),
    blackholeTimeout(net),
    congestionControl(net),
    availableCongestionControl(net),
    allowedCongestionControl(net),
  ];
}
