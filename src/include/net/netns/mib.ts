/** Counters of a namespace. Counterpart of include/net/netns/mib.h; indices from uapi/snmp.ts. */
import {
  ICMP_MIB_MAX,
  ICMPMSG_MIB_MAX,
  IPSTATS_MIB_MAX,
  LINUX_MIB_MAX,
  TCP_MIB_MAX,
  UDP_MIB_MAX,
} from '#uapi/snmp.ts';

export class NetnsMib {
  readonly ipStatistics: Float64Array = new Float64Array(IPSTATS_MIB_MAX);
  readonly icmpStatistics: Float64Array = new Float64Array(ICMP_MIB_MAX);
  /** Index type for received, 256 + type for sent. */
  readonly icmpmsgStatistics: Float64Array = new Float64Array(ICMPMSG_MIB_MAX);
  readonly tcpStatistics: Float64Array = new Float64Array(TCP_MIB_MAX);
  readonly udpStatistics: Float64Array = new Float64Array(UDP_MIB_MAX);
  readonly udpliteStatistics: Float64Array = new Float64Array(UDP_MIB_MAX);
  /** TcpExt. */
  readonly netStatistics: Float64Array = new Float64Array(LINUX_MIB_MAX);
}
