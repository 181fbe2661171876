/**
 * /proc/net/{snmp,netstat,sockstat}: counters and totals, in Linux's exact layout. Counterpart of
 * net/ipv4/proc.c.
 */
import { ipv4DevconfAll } from '#include/linux/inetdevice.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NeighTable } from '#include/net/neighbour.ts';
import type { Net, ProcNetShow } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { neighStatSeqShow } from '#net/core/neighbour_proc.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { sockProtInuseGet } from '#net/core/sock.ts';
import { arpSeqShow } from '#net/ipv4/arp_user.ts';
import { fibRouteSeqShow, fibTrieSeqShow, fibTriestatSeqShow } from '#net/ipv4/fib_trie_proc.ts';
import { fragMemLimit } from '#net/ipv4/inet_fragment.ts';
import { tcp4SeqShow } from '#net/ipv4/tcp_ipv4_proc.ts';
import { udp4SeqShow } from '#net/ipv4/udp_proc.ts';
import { procCreateNet } from '#net/sysctl_net.ts';
import { IPV4_DEVCONF_FORWARDING } from '#uapi/ip.ts';
import type { SnmpItem } from '#uapi/snmp.ts';
import {
  ICMP_MIB_CSUMERRORS,
  ICMP_MIB_INERRORS,
  ICMP_MIB_INMSGS,
  ICMP_MIB_OUTERRORS,
  ICMP_MIB_OUTMSGS,
  ICMP_MIB_RATELIMITGLOBAL,
  ICMP_MIB_RATELIMITHOST,
  ICMPMIBMAP,
  ICMPMSG_MIB_MAX,
  SNMP4_IPEXTSTATS_LIST,
  SNMP4_IPSTATS_LIST,
  SNMP4_NET_LIST,
  SNMP4_TCP_LIST,
  SNMP4_UDP_LIST,
} from '#uapi/snmp.ts';

/** ICMP types on one line of IcmpMsg. */
const PERLINE = 16;

/** Two lines: the names, the values. */
function table(prefix: string, list: readonly SnmpItem[], values: Float64Array): string {
  const names = list.map(([name]) => name).join(' ');
  const numbers = list.map(([, index]) => values[index] ?? 0).join(' ');
  return `${prefix}: ${names}\n${prefix}: ${numbers}\n`;
}

/** @kernel snmp_seq_show_ipstats net/ipv4/proc.c */
function ipText(net: Net): string {
  const names = SNMP4_IPSTATS_LIST.map(([name]) => name).join(' ');
  const numbers = SNMP4_IPSTATS_LIST.map(([, index]) => net.mib.ipStatistics[index] ?? 0).join(' ');
  // RFC 2011: 1 forwarding, 2 not-forwarding.
  const forwarding = ipv4DevconfAll(net, IPV4_DEVCONF_FORWARDING) !== 0 ? 1 : 2;
  const ttl = net.ipv4.sysctlIpDefaultTtl;
  return `Ip: Forwarding DefaultTTL ${names}\nIp: ${forwarding} ${ttl} ${numbers}\n`;
}

/** @kernel icmp_put net/ipv4/proc.c */
function icmpText(net: Net): string {
  const { icmpStatistics: stat, icmpmsgStatistics: types } = net.mib;
  const at = (index: number): number => stat[index] ?? 0;
  const names = [
    'InMsgs InErrors InCsumErrors',
    ...ICMPMIBMAP.map(([name]) => `In${name}`),
    'OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost',
    ...ICMPMIBMAP.map(([name]) => `Out${name}`),
  ];
  const values = [
    at(ICMP_MIB_INMSGS),
    at(ICMP_MIB_INERRORS),
    at(ICMP_MIB_CSUMERRORS),
    ...ICMPMIBMAP.map(([, type]) => types[type] ?? 0),
    at(ICMP_MIB_OUTMSGS),
    at(ICMP_MIB_OUTERRORS),
    at(ICMP_MIB_RATELIMITGLOBAL),
    at(ICMP_MIB_RATELIMITHOST),
    ...ICMPMIBMAP.map(([, type]) => types[256 + type] ?? 0),
  ];
  return `Icmp: ${names.join(' ')}\nIcmp: ${values.join(' ')}\n`;
}

/** Only the types that occurred, sixteen a line. @kernel icmpmsg_put net/ipv4/proc.c */
function icmpMsgText(net: Net): string {
  const types = net.mib.icmpmsgStatistics;
  const seen: number[] = [];
  for (let i = 0; i < ICMPMSG_MIB_MAX; i++) if (types[i] !== 0) seen.push(i);
  let text = '';
  for (let i = 0; i < seen.length; i += PERLINE) {
    const line = seen.slice(i, i + PERLINE);
    const names = line.map((type) => `${type > 0xff ? 'Out' : 'In'}Type${type & 0xff}`);
    text += `IcmpMsg: ${names.join(' ')}\nIcmpMsg: ${line.map((type) => types[type]).join(' ')}\n`;
  }
  return text;
}

/** @kernel snmp_seq_show net/ipv4/proc.c */
export function snmpSeqShow(net: Net): string {
  const { mib } = net;
  return (
    ipText(net) +
    icmpText(net) +
    icmpMsgText(net) +
    table('Tcp', SNMP4_TCP_LIST, mib.tcpStatistics) +
    table('Udp', SNMP4_UDP_LIST, mib.udpStatistics) +
    table('UdpLite', SNMP4_UDP_LIST, mib.udpliteStatistics)
  );
}

/** @kernel netstat_seq_show net/ipv4/proc.c */
export function netstatSeqShow(net: Net): string {
  return (
    table('TcpExt', SNMP4_NET_LIST, net.mib.netStatistics) +
    table('IpExt', SNMP4_IPEXTSTATS_LIST, net.mib.ipStatistics)
  );
}

/** @kernel sockstat_seq_show net/ipv4/proc.c */
export function sockstatSeqShow(net: Net): string {
  const { protoMemory } = net.machine.netGlobals;
  const inuse = (name: string): number => sockProtInuseGet(net, name);
  const tcp = protoMemory.get('TCP');
  const udp = protoMemory.get('UDP');
  const { frags } = net.ipv4;
  return (
    `sockets: used ${net.sockInuse}\n` +
    `TCP: inuse ${inuse('TCP')} orphan ${tcp?.orphanCount ?? 0} tw ${net.ipv4.tcpDeathRowTwCount}` +
    ` alloc ${tcp?.socketsAllocated ?? 0} mem ${tcp?.memoryAllocated ?? 0}\n` +
    `UDP: inuse ${inuse('UDP')} mem ${udp?.memoryAllocated ?? 0}\n` +
    `UDPLITE: inuse ${inuse('UDP-Lite')}\n` +
    `RAW: inuse ${inuse('RAW')}\n` +
    `FRAG: inuse ${frags?.count ?? 0} memory ${frags === null ? 0 : fragMemLimit(frags)}\n`
  );
}

/** Files of /proc/net that IPv4 has. */
const FILES: readonly (readonly [name: string, show: ProcNetShow])[] = [
  ['arp', arpSeqShow],
  ['fib_trie', fibTrieSeqShow],
  ['fib_triestat', fibTriestatSeqShow],
  ['netstat', netstatSeqShow],
  ['route', fibRouteSeqShow],
  ['snmp', snmpSeqShow],
  ['sockstat', sockstatSeqShow],
  ['stat/arp_cache', (net) => neighStatSeqShow(net.machine.netGlobals.arpTbl as NeighTable)],
  ['tcp', tcp4SeqShow],
  ['udp', udp4SeqShow],
];

/** @kernel ip_misc_proc_init net/ipv4/proc.c */
function ipMiscProcInit(machine: Machine): number {
  return registerPernetSubsys(machine, {
    name: 'ip_proc',
    init(net) {
      for (const [name, show] of FILES) procCreateNet(net, name, show);
      return 0;
    },
    exit: null,
  });
}

export const inetProcModule: KernelModule = {
  name: 'proc_net_ipv4',
  config: 'CONFIG_PROC_FS',
  depends: ['proc'],
  level: FS_INITCALL,
  init: ipMiscProcInit,
  exit: null,
};
