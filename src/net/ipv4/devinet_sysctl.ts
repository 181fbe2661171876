/**
 * Settings of devices: net.ipv4.conf.{all,default,DEV}.*, and net.ipv4.ip_forward.
 *
 * Counterpart of the sysctl part of net/ipv4/devinet.c.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import type { Machine } from '#kernel/machine.ts';
import { type CtlTable, intEntry } from '#kernel/sysctl.ts';
import { neighSysctlRegister } from '#net/core/neighbour_sysctl.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { inetForwardChange } from '#net/ipv4/devinet_conf.ts';
import {
  IPV4_DEVCONF_ACCEPT_LOCAL,
  IPV4_DEVCONF_ACCEPT_REDIRECTS,
  IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE,
  IPV4_DEVCONF_ARP_ACCEPT,
  IPV4_DEVCONF_ARP_ANNOUNCE,
  IPV4_DEVCONF_ARP_EVICT_NOCARRIER,
  IPV4_DEVCONF_ARP_IGNORE,
  IPV4_DEVCONF_ARP_NOTIFY,
  IPV4_DEVCONF_ARPFILTER,
  IPV4_DEVCONF_BC_FORWARDING,
  IPV4_DEVCONF_BOOTP_RELAY,
  IPV4_DEVCONF_DROP_GRATUITOUS_ARP,
  IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST,
  IPV4_DEVCONF_FORCE_IGMP_VERSION,
  IPV4_DEVCONF_FORWARDING,
  IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL,
  IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL,
  IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN,
  IPV4_DEVCONF_LOG_MARTIANS,
  IPV4_DEVCONF_MC_FORWARDING,
  IPV4_DEVCONF_MEDIUM_ID,
  IPV4_DEVCONF_NOPOLICY,
  IPV4_DEVCONF_NOXFRM,
  IPV4_DEVCONF_PROMOTE_SECONDARIES,
  IPV4_DEVCONF_PROXY_ARP,
  IPV4_DEVCONF_PROXY_ARP_PVLAN,
  IPV4_DEVCONF_ROUTE_LOCALNET,
  IPV4_DEVCONF_RP_FILTER,
  IPV4_DEVCONF_SECURE_REDIRECTS,
  IPV4_DEVCONF_SEND_REDIRECTS,
  IPV4_DEVCONF_SHARED_MEDIA,
  IPV4_DEVCONF_SRC_VMARK,
  IPV4_DEVCONF_TAG,
} from '#uapi/ip.ts';

/** Settings, except forwarding, with their names under /proc/sys. @kernel devinet_sysctl net/ipv4/devinet.c */
const NAMES: readonly (readonly [string, number])[] = [
  ['accept_redirects', IPV4_DEVCONF_ACCEPT_REDIRECTS],
  ['secure_redirects', IPV4_DEVCONF_SECURE_REDIRECTS],
  ['shared_media', IPV4_DEVCONF_SHARED_MEDIA],
  ['rp_filter', IPV4_DEVCONF_RP_FILTER],
  ['send_redirects', IPV4_DEVCONF_SEND_REDIRECTS],
  ['accept_source_route', IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE],
  ['accept_local', IPV4_DEVCONF_ACCEPT_LOCAL],
  ['src_valid_mark', IPV4_DEVCONF_SRC_VMARK],
  ['proxy_arp', IPV4_DEVCONF_PROXY_ARP],
  ['medium_id', IPV4_DEVCONF_MEDIUM_ID],
  ['bootp_relay', IPV4_DEVCONF_BOOTP_RELAY],
  ['bc_forwarding', IPV4_DEVCONF_BC_FORWARDING],
  ['log_martians', IPV4_DEVCONF_LOG_MARTIANS],
  ['tag', IPV4_DEVCONF_TAG],
  ['arp_filter', IPV4_DEVCONF_ARPFILTER],
  ['arp_announce', IPV4_DEVCONF_ARP_ANNOUNCE],
  ['arp_ignore', IPV4_DEVCONF_ARP_IGNORE],
  ['arp_accept', IPV4_DEVCONF_ARP_ACCEPT],
  ['arp_notify', IPV4_DEVCONF_ARP_NOTIFY],
  ['arp_evict_nocarrier', IPV4_DEVCONF_ARP_EVICT_NOCARRIER],
  ['proxy_arp_pvlan', IPV4_DEVCONF_PROXY_ARP_PVLAN],
  ['force_igmp_version', IPV4_DEVCONF_FORCE_IGMP_VERSION],
  ['igmpv2_unsolicited_report_interval', IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL],
  ['igmpv3_unsolicited_report_interval', IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL],
  ['ignore_routes_with_linkdown', IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN],
  ['drop_gratuitous_arp', IPV4_DEVCONF_DROP_GRATUITOUS_ARP],
  ['disable_xfrm', IPV4_DEVCONF_NOXFRM],
  ['disable_policy', IPV4_DEVCONF_NOPOLICY],
  ['promote_secondaries', IPV4_DEVCONF_PROMOTE_SECONDARIES],
  ['route_localnet', IPV4_DEVCONF_ROUTE_LOCALNET],
  ['drop_unicast_in_l2_multicast', IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST],
];

/** Settings after whose change every cached route is looked up anew. */
const FLUSHING: readonly number[] = [
  IPV4_DEVCONF_NOXFRM,
  IPV4_DEVCONF_NOPOLICY,
  IPV4_DEVCONF_PROMOTE_SECONDARIES,
  IPV4_DEVCONF_ROUTE_LOCALNET,
  IPV4_DEVCONF_DROP_UNICAST_IN_L2_MULTICAST,
  IPV4_DEVCONF_BC_FORWARDING,
  IPV4_DEVCONF_ACCEPT_LOCAL,
];

/** A new default goes to the devices that have not their own value. @kernel devinet_copy_dflt_conf net/ipv4/devinet.c */
function devinetCopyDfltConf(net: Net, index: number): void {
  for (const dev of net.devBaseHead) {
    const inDev = dev.ipPtr;
    if (inDev !== null && inDev.cnfState[index] === 0) {
      inDev.cnf[index] = net.ipv4.devconfDflt[index] as number;
    }
  }
}

/** One set of settings and what follows from a write to it. */
interface ConfDir {
  readonly net: Net;
  readonly cnf: Int32Array;
  readonly inDev: InDevice | null;
}

/** @kernel devinet_conf_proc net/ipv4/devinet.c */
function setValue(dir: ConfDir, index: number, value: number): void {
  const { net, cnf, inDev } = dir;
  const changed = cnf[index] !== value;
  cnf[index] = value;
  if (inDev !== null) inDev.cnfState[index] = 1;
  if (cnf === net.ipv4.devconfDflt) devinetCopyDfltConf(net, index);
  if (changed && FLUSHING.includes(index)) rtCacheFlush(net);
}

/** @kernel devinet_sysctl_forward net/ipv4/devinet.c */
function setForwarding(dir: ConfDir, value: number): void {
  const { net, cnf } = dir;
  if (cnf[IPV4_DEVCONF_FORWARDING] === value) return;
  if (cnf === net.ipv4.devconfAll) {
    inetForwardChange(net, value !== 0);
    return;
  }
  setValue(dir, IPV4_DEVCONF_FORWARDING, value);
  if (cnf !== net.ipv4.devconfDflt) rtCacheFlush(net);
}

/** @kernel __devinet_sysctl_register net/ipv4/devinet.c */
function confEntries(dir: ConfDir): CtlTable[] {
  const { cnf } = dir;
  const entries = NAMES.map(([name, index]) =>
    intEntry(
      name,
      () => cnf[index] as number,
      (value) => setValue(dir, index, value),
    ),
  );
  entries.push(
    intEntry(
      'forwarding',
      () => cnf[IPV4_DEVCONF_FORWARDING] as number,
      (value) => setForwarding(dir, value),
    ),
    intEntry('mc_forwarding', () => cnf[IPV4_DEVCONF_MC_FORWARDING] as number, null),
  );
  return entries;
}

/** Shows the settings of a device, and of its neighbours. @kernel __devinet_sysctl_register net/ipv4/devinet.c */
function registerDevice(inDev: InDevice): void {
  const { dev, cnf } = inDev;
  const entries = confEntries({ net: dev.net, cnf, inDev });
  inDev.sysctlUnregister = dev.net.sysctl.register(`net/ipv4/conf/${dev.name}`, entries);
  if (inDev.arpParms !== null) neighSysctlRegister(inDev.arpParms, 'ipv4');
}

/** `all`, `default` and ip_forward of a namespace. @kernel devinet_init_net net/ipv4/devinet.c */
function devinetSysctlNetInit(net: Net): void {
  const { devconfAll, devconfDflt } = net.ipv4;
  const all: ConfDir = { net, cnf: devconfAll, inDev: null };
  net.sysctl.register('net/ipv4/conf/all', confEntries(all));
  net.sysctl.register('net/ipv4/conf/default', confEntries({ net, cnf: devconfDflt, inDev: null }));
  net.sysctl.register('net/ipv4', [
    intEntry(
      'ip_forward',
      () => devconfAll[IPV4_DEVCONF_FORWARDING] as number,
      (value) => setForwarding(all, value),
    ),
  ]);
}

/**
 * Shows the settings of all devices, and of those to come. 0.
 * @kernel devinet_init net/ipv4/devinet.c
 */
export function devinetSysctlInit(machine: Machine): number {
  const { netGlobals } = machine;
  netGlobals.devinetSysctlRegister = registerDevice;
  const defaults = netGlobals.arpTbl?.parmsList[0];
  if (defaults !== undefined) neighSysctlRegister(defaults, 'ipv4');
  return registerPernetSubsys(machine, {
    name: 'devinet_sysctl',
    init(net) {
      devinetSysctlNetInit(net);
      for (const { ipPtr } of net.devBaseHead) if (ipPtr !== null) registerDevice(ipPtr);
      return 0;
    },
    exit: null,
  });
}
