/**
 * net.ipv4.*: settings of IPv4, ICMP, fragments, UDP and the ports. Counterpart of
 * net/ipv4/sysctl_net_ipv4.c; TCP's are in sysctl_net_ipv4_tcp.ts.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetnsIpv4 } from '#include/net/netns/ipv4.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/machine.ts';
import type { CtlTable } from '#kernel/sysctl.ts';
import { intEntry, intsEntry, secondsEntry, stringEntry } from '#kernel/sysctl.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { devinetSysctlInit } from '#net/ipv4/devinet_sysctl.ts';
import { tcpGetHashinfo } from '#net/ipv4/inet_hashtables_bind.ts';
import { routeSysctls } from '#net/ipv4/route_sysctl.ts';
import { tcpSysctls } from '#net/ipv4/sysctl_net_ipv4_tcp.ts';
import { udpTableOf } from '#net/ipv4/udp_table.ts';
import { registerNetSysctl } from '#net/sysctl_net.ts';
import { EINVAL } from '#uapi/errno.ts';

const INT_MAX = 0x7fffffff;

/** Fields of NetnsIpv4 that hold one number. */
export type NumberField = {
  [K in keyof NetnsIpv4]: NetnsIpv4[K] extends number ? K : never;
}[keyof NetnsIpv4];

/** A setting that is a field: `min` to `max`. */
export function field(
  ipv4: NetnsIpv4,
  procname: string,
  key: NumberField,
  min = 0,
  max: number = INT_MAX,
): CtlTable {
  const set = (value: number): void => {
    ipv4[key] = value as never;
  };
  return intEntry(procname, () => ipv4[key], set, min, max);
}

/** A setting shown in seconds and kept in jiffies. */
export function seconds(ipv4: NetnsIpv4, procname: string, key: NumberField): CtlTable {
  const set = (value: number): void => {
    ipv4[key] = value as never;
  };
  return secondsEntry(procname, () => ipv4[key], set, HZ);
}

/** @kernel ipv4_local_port_range net/ipv4/sysctl_net_ipv4.c */
function localPortRange(ipv4: NetnsIpv4): CtlTable {
  return {
    procname: 'ip_local_port_range',
    read: () => `${ipv4.sysctlIpLocalPortRangeLo}\t${ipv4.sysctlIpLocalPortRangeHi}`,
    write(text) {
      const words = text.split(/\s+/);
      if (words.length !== 2 || !words.every((word) => /^\d{1,5}$/.test(word))) return -EINVAL;
      const [lo, hi] = words.map(Number) as [number, number];
      // The privileged ports are not for the taking.
      if (lo < 1 || hi > 65535 || hi < lo || lo < ipv4.sysctlIpProtSock) return -EINVAL;
      ipv4.sysctlIpLocalPortRangeLo = lo;
      ipv4.sysctlIpLocalPortRangeHi = hi;
      return 0;
    },
  };
}

/** @kernel ipv4_ping_group_range net/ipv4/sysctl_net_ipv4.c */
function pingGroupRange(ipv4: NetnsIpv4): CtlTable {
  return {
    procname: 'ping_group_range',
    read: () => `${ipv4.sysctlPingGroupLo}\t${ipv4.sysctlPingGroupHi}`,
    write(text) {
      const words = text.split(/\s+/);
      if (words.length !== 2 || !words.every((word) => /^\d{1,10}$/.test(word))) return -EINVAL;
      const [lo, hi] = words.map(Number) as [number, number];
      if (hi > INT_MAX || lo > INT_MAX) return -EINVAL;
      // An empty range allows nobody; Linux stores it as 1 0.
      ipv4.sysctlPingGroupLo = hi < lo ? 1 : lo;
      ipv4.sysctlPingGroupHi = hi < lo ? 0 : hi;
      return 0;
    },
  };
}

/** Ports from `1,5-7`. */
function portSet(text: string): Set<number> | null {
  const ports = new Set<number>();
  for (const part of text.split(',')) {
    if (part.trim() === '') continue;
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match === null) return null;
    const lo = Number(match[1]);
    const hi = match[2] === undefined ? lo : Number(match[2]);
    if (hi < lo || hi > 65535) return null;
    for (let port = lo; port <= hi; port++) ports.add(port);
  }
  return ports;
}

/** The reverse of portSet(): runs joined. */
function portText(ports: ReadonlySet<number>): string {
  const sorted = [...ports].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let j = i;
    while (sorted[j + 1] === (sorted[j] as number) + 1) j++;
    parts.push(i === j ? `${sorted[i]}` : `${sorted[i]}-${sorted[j]}`);
    i = j + 1;
  }
  return parts.join(',');
}

/** @kernel proc_do_large_bitmap kernel/sysctl.c */
function localReservedPorts(ipv4: NetnsIpv4): CtlTable {
  return stringEntry(
    'ip_local_reserved_ports',
    () => portText(ipv4.sysctlLocalReservedPorts),
    (text) => {
      const ports = portSet(text);
      if (ports === null) return -EINVAL;
      ipv4.sysctlLocalReservedPorts = ports;
      return 0;
    },
  );
}

/** @kernel ipv4_privileged_ports net/ipv4/sysctl_net_ipv4.c */
function unprivilegedPortStart(ipv4: NetnsIpv4): CtlTable {
  return {
    procname: 'ip_unprivileged_port_start',
    read: () => String(ipv4.sysctlIpProtSock),
    write(text) {
      if (!/^\d{1,5}$/.test(text)) return -EINVAL;
      const port = Number(text);
      if (port > 65535 || port > ipv4.sysctlIpLocalPortRangeLo) return -EINVAL;
      ipv4.sysctlIpProtSock = port;
      return 0;
    },
  };
}

/** The low threshold may not be above the high one, nor the reverse. */
function fragThresholds(ipv4: NetnsIpv4): CtlTable[] {
  return [
    {
      ...field(ipv4, 'ipfrag_high_thresh', 'sysctlIpfragHighThresh'),
      write: (text) => writeBounded(ipv4, 'sysctlIpfragHighThresh', text),
    },
    {
      ...field(ipv4, 'ipfrag_low_thresh', 'sysctlIpfragLowThresh'),
      write: (text) => writeBounded(ipv4, 'sysctlIpfragLowThresh', text),
    },
  ];
}

function writeBounded(
  ipv4: NetnsIpv4,
  key: 'sysctlIpfragHighThresh' | 'sysctlIpfragLowThresh',
  text: string,
): number {
  if (!/^\d{1,15}$/.test(text)) return -EINVAL;
  const value = Number(text);
  const bad =
    key === 'sysctlIpfragHighThresh'
      ? value < ipv4.sysctlIpfragLowThresh
      : value > ipv4.sysctlIpfragHighThresh;
  if (bad) return -EINVAL;
  ipv4[key] = value;
  return 0;
}

/** @kernel ipv4_net_table net/ipv4/sysctl_net_ipv4.c */
function ipSysctls(ipv4: NetnsIpv4): CtlTable[] {
  return [
    field(ipv4, 'ip_default_ttl', 'sysctlIpDefaultTtl', 1, 255),
    field(ipv4, 'ip_no_pmtu_disc', 'sysctlIpNoPmtuDisc', 0, 3),
    field(ipv4, 'ip_forward_use_pmtu', 'sysctlIpFwdUsePmtu', 0, 1),
    field(ipv4, 'ip_forward_update_priority', 'sysctlIpFwdUpdatePriority', 0, 1),
    field(ipv4, 'ip_nonlocal_bind', 'sysctlIpNonlocalBind', 0, 1),
    field(ipv4, 'ip_autobind_reuse', 'sysctlIpAutobindReuse', 0, 1),
    field(ipv4, 'ip_dynaddr', 'sysctlIpDynaddr', 0, 7),
    field(ipv4, 'ip_early_demux', 'sysctlIpEarlyDemux', 0, 1),
    field(ipv4, 'udp_early_demux', 'sysctlUdpEarlyDemux', 0, 1),
    field(ipv4, 'fwmark_reflect', 'sysctlFwmarkReflect', 0, 1),
    field(ipv4, 'raw_l3mdev_accept', 'sysctlRawL3mdevAccept', 0, 1),
    field(ipv4, 'fib_multipath_use_neigh', 'sysctlFibMultipathUseNeigh', 0, 1),
    field(ipv4, 'fib_multipath_hash_policy', 'sysctlFibMultipathHashPolicy', 0, 3),
    field(ipv4, 'fib_multipath_hash_fields', 'sysctlFibMultipathHashFields', 1, 0xfff),
    field(ipv4, 'fib_notify_on_flag_change', 'sysctlFibNotifyOnFlagChange', 0, 2),
    field(ipv4, 'fib_sync_mem', 'sysctlFibSyncMem', 64 * 1024, 64 * 1024 * 1024),
    field(ipv4, 'udp_rmem_min', 'sysctlUdpRmemMin', 1),
    field(ipv4, 'udp_wmem_min', 'sysctlUdpWmemMin', 1),
    field(ipv4, 'igmp_max_memberships', 'sysctlIgmpMaxMemberships'),
    field(ipv4, 'igmp_max_msf', 'sysctlIgmpMaxMsf'),
    field(ipv4, 'igmp_qrv', 'sysctlIgmpQrv', 1),
    field(ipv4, 'igmp_link_local_mcast_reports', 'sysctlIgmpLlmReports', 0, 255),
    localPortRange(ipv4),
    localReservedPorts(ipv4),
    unprivilegedPortStart(ipv4),
    pingGroupRange(ipv4),
  ];
}

function icmpSysctls(ipv4: NetnsIpv4): CtlTable[] {
  return [
    field(ipv4, 'icmp_echo_ignore_all', 'sysctlIcmpEchoIgnoreAll', 0, 1),
    field(ipv4, 'icmp_echo_enable_probe', 'sysctlIcmpEchoEnableProbe', 0, 1),
    field(ipv4, 'icmp_echo_ignore_broadcasts', 'sysctlIcmpEchoIgnoreBroadcasts', 0, 1),
    field(ipv4, 'icmp_ignore_bogus_error_responses', 'sysctlIcmpIgnoreBogusErrorResponses', 0, 1),
    field(ipv4, 'icmp_errors_use_inbound_ifaddr', 'sysctlIcmpErrorsUseInboundIfaddr', 0, 1),
    // Kept in jiffies, shown in ms: one and the same here.
    field(ipv4, 'icmp_ratelimit', 'sysctlIcmpRatelimit'),
    field(ipv4, 'icmp_ratemask', 'sysctlIcmpRatemask'),
    field(ipv4, 'icmp_msgs_per_sec', 'sysctlIcmpMsgsPerSec'),
    field(ipv4, 'icmp_msgs_burst', 'sysctlIcmpMsgsBurst'),
  ];
}

function fragSysctls(ipv4: NetnsIpv4): CtlTable[] {
  return [
    ...fragThresholds(ipv4),
    seconds(ipv4, 'ipfrag_time', 'sysctlIpfragTime'),
    field(ipv4, 'ipfrag_max_dist', 'sysctlIpfragMaxDist'),
  ];
}

/** How many buckets the sockets' tables have: TCP's is the machine's, UDP's each namespace's own. */
function tableSizes(net: Net): CtlTable[] {
  const { machine } = net;
  const tcpBuckets = (): number => tcpGetHashinfo(net).ehashMask + 1;
  return [
    // Negative where it is the first namespace's.
    intEntry('tcp_ehash_entries', () => tcpBuckets() * (net === machine.initNet ? 1 : -1), null),
    intEntry('udp_hash_entries', () => udpTableOf(net).mask + 1, null),
  ];
}

/** What is the machine's, and stands in its first namespace only. @kernel ipv4_table net/ipv4/sysctl_net_ipv4.c */
function machineSysctls({ netGlobals }: Machine): CtlTable[] {
  const ttl = (procname: string, key: 'inetPeerMinttl' | 'inetPeerMaxttl'): CtlTable => {
    const set = (value: number): void => {
      netGlobals[key] = value;
    };
    return secondsEntry(procname, () => netGlobals[key], set, HZ);
  };
  const setThreshold = (value: number): void => {
    netGlobals.inetPeerThreshold = value;
  };
  return [
    intEntry('inet_peer_threshold', () => netGlobals.inetPeerThreshold, setThreshold),
    ttl('inet_peer_minttl', 'inetPeerMinttl'),
    ttl('inet_peer_maxttl', 'inetPeerMaxttl'),
    // No upper protocol can be stacked on TCP here.
    stringEntry('tcp_available_ulp', () => '', null),
  ];
}

/** The memory of all UDP sockets of the machine, in pages. */
function udpMem(net: Net): CtlTable {
  const memory = (): number[] =>
    net.machine.netGlobals.protoMemory.get('UDP')?.sysctlMem ?? [0, 0, 0];
  const set = (values: number[]): void => {
    const mem = memory();
    for (const [i, value] of values.entries()) mem[i] = value;
  };
  return intsEntry('udp_mem', memory, set, 0);
}

/** @kernel sysctl_ipv4_init net/ipv4/sysctl_net_ipv4.c */
function sysctlIpv4Init(machine: Machine): number {
  const err = registerPernetSubsys(machine, {
    name: 'ipv4_sysctl',
    init(net) {
      const { ipv4 } = net;
      registerNetSysctl(net, 'net/ipv4', [
        ...ipSysctls(ipv4),
        ...icmpSysctls(ipv4),
        ...fragSysctls(ipv4),
        udpMem(net),
        ...tableSizes(net),
        ...(net === machine.initNet ? machineSysctls(machine) : []),
        ...tcpSysctls(net),
      ]);
      routeSysctls(net);
      return 0;
    },
    exit: null,
  });
  return err !== 0 ? err : devinetSysctlInit(machine);
}

export const sysctlIpv4Module: KernelModule = {
  name: 'sysctl_net_ipv4',
  config: 'CONFIG_SYSCTL',
  depends: ['proc'],
  level: FS_INITCALL,
  init: sysctlIpv4Init,
  exit: null,
};
