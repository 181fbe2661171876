/**
 * The whole kernel: every module there is. What the command line, the lab and the tests boot.
 * Counterpart of arch/x86/configs/x86_64_defconfig.
 */
import { memModule } from '#drivers/char/mem.ts';
import { dummyModule } from '#drivers/net/dummy.ts';
import { e1000Module } from '#drivers/net/ethernet/intel/e1000/e1000_main.ts';
import { igbModule } from '#drivers/net/ethernet/intel/igb/igb_main.ts';
import { tunModule } from '#drivers/net/tun.ts';
import { vethModule } from '#drivers/net/veth.ts';
import { virtioNetModule } from '#drivers/net/virtio_net.ts';
import { pciModule } from '#drivers/pci/probe.ts';
import { virtioModule } from '#drivers/virtio/virtio.ts';
import { virtioPciModule } from '#drivers/virtio/virtio_pci_modern.ts';
import { devtmpfsModule } from '#fs/devtmpfs.ts';
import { eventpollModule } from '#fs/eventpoll.ts';
import { nsfsModule } from '#fs/nsfs.ts';
import { procModule } from '#fs/proc/proc.ts';
import { tmpfsModule } from '#fs/shmem.ts';
import { pipefsModule } from '#fs/splice.ts';
import { sysfsModule } from '#fs/sysfs/net_sysfs.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { ethtoolModule } from '#net/core/ethtool_ioctl.ts';
import { bpfModule } from '#net/core/filter.ts';
import { netProcModule } from '#net/core/net_procfs.ts';
import { rtnetlinkModule } from '#net/core/rtnetlink_init.ts';
import { sockDiagModule } from '#net/core/sock_diag.ts';
import { sysctlCoreModule } from '#net/core/sysctl_net_core.ts';
import { fibMultipathModule } from '#net/ipv4/fib_multipath.ts';
import { fibRulesModule } from '#net/ipv4/fib_rules.ts';
import { icmpProbeModule } from '#net/ipv4/icmp_probe.ts';
import { igmpModule } from '#net/ipv4/igmp.ts';
import { inetDiagModule } from '#net/ipv4/inet_diag.ts';
import { inetRtnetlinkModule } from '#net/ipv4/inet_rtnetlink.ts';
import { ipOptionsModule } from '#net/ipv4/ip_options.ts';
import { ipMcModule } from '#net/ipv4/ip_sockglue_mcast.ts';
import { pingModule } from '#net/ipv4/ping.ts';
import { inetProcModule } from '#net/ipv4/proc.ts';
import { rawModule } from '#net/ipv4/raw.ts';
import { rawDiagModule } from '#net/ipv4/raw_diag.ts';
import { synCookiesModule } from '#net/ipv4/syncookies_check.ts';
import { sysctlIpv4Module } from '#net/ipv4/sysctl_net_ipv4.ts';
import { bbrModule } from '#net/ipv4/tcp_bbr.ts';
import { dctcpModule } from '#net/ipv4/tcp_dctcp.ts';
import { tcpDiagModule } from '#net/ipv4/tcp_diag.ts';
import { tcpFastopenModule } from '#net/ipv4/tcp_fastopen_init.ts';
import { tcpInfoModule } from '#net/ipv4/tcp_info.ts';
import { tcpAuthModule } from '#net/ipv4/tcp_ipv4_auth.ts';
import { tcpMetricsModule } from '#net/ipv4/tcp_metrics.ts';
import { tcpMetricsNlModule } from '#net/ipv4/tcp_metrics_nl.ts';
import { tcpZerocopyModule } from '#net/ipv4/tcp_zerocopy.ts';
import { udpDiagModule } from '#net/ipv4/udp_diag.ts';
import { netlinkModule } from '#net/netlink/af_netlink.ts';
import { genlModule } from '#net/netlink/genetlink.ts';
import { netlinkDiagModule } from '#net/netlink/netlink_diag.ts';
import { packetModule } from '#net/packet/af_packet.ts';
import { packetDiagModule } from '#net/packet/packet_diag.ts';
import { schApiModule } from '#net/sched/sch_api_netlink.ts';
import { codelModule } from '#net/sched/sch_codel.ts';
import { fifoModule } from '#net/sched/sch_fifo.ts';
import { fqModule } from '#net/sched/sch_fq.ts';
import { fqCodelModule } from '#net/sched/sch_fq_codel.ts';
import { tbfModule } from '#net/sched/sch_tbf.ts';
import { unixModule } from '#net/unix/af_unix.ts';
import { unixDiagModule } from '#net/unix/unix_diag.ts';

/** In the order in which they come up within a level: a driver after its bus. */
export const defconfig: readonly KernelModule[] = [
  netlinkModule,
  rtnetlinkModule,
  genlModule,
  inetRtnetlinkModule,
  fibMultipathModule,
  tcpInfoModule,
  icmpProbeModule,
  ipOptionsModule,
  ipMcModule,
  tcpFastopenModule,
  synCookiesModule,
  tcpMetricsModule,
  tcpMetricsNlModule,
  bpfModule,
  ethtoolModule,
  rawModule,
  pingModule,
  igmpModule,
  tcpAuthModule,
  bbrModule,
  dctcpModule,
  schApiModule,
  fifoModule,
  codelModule,
  tbfModule,
  fqModule,
  fqCodelModule,
  fibRulesModule,
  devtmpfsModule,
  memModule,
  procModule,
  netProcModule,
  inetProcModule,
  sysctlCoreModule,
  sysctlIpv4Module,
  sysfsModule,
  tmpfsModule,
  nsfsModule,
  pipefsModule,
  eventpollModule,
  unixModule,
  packetModule,
  sockDiagModule,
  inetDiagModule,
  tcpZerocopyModule,
  tcpDiagModule,
  udpDiagModule,
  unixDiagModule,
  packetDiagModule,
  netlinkDiagModule,
  rawDiagModule,
  dummyModule,
  vethModule,
  tunModule,
  pciModule,
  e1000Module,
  igbModule,
  virtioModule,
  virtioPciModule,
  virtioNetModule,
];
