/** Counters of a namespace. Counterpart of include/net/netns/mib.h; indices from uapi/snmp.ts. */
import {
  __ICMP_MIB_MAX,
  __ICMPMSG_MIB_MAX,
  __IPSTATS_MIB_MAX,
  __LINUX_MIB_MAX,
  __TCP_MIB_MAX,
  __UDP_MIB_MAX,
} from '#uapi/snmp.ts';

export class NetnsMib {
  readonly ipStatistics: Float64Array = new Float64Array(__IPSTATS_MIB_MAX);
  readonly icmpStatistics: Float64Array = new Float64Array(__ICMP_MIB_MAX);
  /** Index type for received, 256 + type for sent. */
  readonly icmpmsgStatistics: Float64Array = new Float64Array(__ICMPMSG_MIB_MAX);
  readonly tcpStatistics: Float64Array = new Float64Array(__TCP_MIB_MAX);
  readonly udpStatistics: Float64Array = new Float64Array(__UDP_MIB_MAX);
  readonly udpliteStatistics: Float64Array = new Float64Array(__UDP_MIB_MAX);
  /** TcpExt. */
  readonly netStatistics: Float64Array = new Float64Array(__LINUX_MIB_MAX);
}
