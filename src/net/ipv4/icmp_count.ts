/** The counters of sent ICMP messages, below all who send them. Counterpart of a part of net/ipv4/icmp.c. */
import { icmpIncStats, icmpmsgOutIncStats } from '#include/net/icmp.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { ICMP_MIB_OUTMSGS } from '#uapi/snmp.ts';

/** @kernel icmp_out_count net/ipv4/icmp.c */
export function icmpOutCount(net: Net, type: number): void {
  icmpmsgOutIncStats(net, type);
  icmpIncStats(net, ICMP_MIB_OUTMSGS);
}
