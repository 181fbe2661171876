/**
 * IPv4's settings of devices: their first values, and forwarding. Counterpart of the parts of
 * net/ipv4/devinet.c that need no /proc/sys; the names there are in devinet_sysctl.ts.
 */

import { type InDevice, inDevConfSet } from '#include/linux/inetdevice.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import { neighSysctlUnregister } from '#net/core/neighbour_parms.ts';
import {
  IPV4_DEVCONF_ACCEPT_REDIRECTS,
  IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE,
  IPV4_DEVCONF_ARP_EVICT_NOCARRIER,
  IPV4_DEVCONF_FORWARDING,
  IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL,
  IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL,
  IPV4_DEVCONF_SECURE_REDIRECTS,
  IPV4_DEVCONF_SEND_REDIRECTS,
  IPV4_DEVCONF_SHARED_MEDIA,
} from '#uapi/ip.ts';

/** Initial values. @kernel ipv4_devconf net/ipv4/devinet.c */
export function devconfInit(net: Net): void {
  for (const cnf of [net.ipv4.devconfAll, net.ipv4.devconfDflt]) {
    cnf[IPV4_DEVCONF_ACCEPT_REDIRECTS] = 1;
    cnf[IPV4_DEVCONF_SEND_REDIRECTS] = 1;
    cnf[IPV4_DEVCONF_SECURE_REDIRECTS] = 1;
    cnf[IPV4_DEVCONF_SHARED_MEDIA] = 1;
    cnf[IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL] = 10000;
    cnf[IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL] = 1000;
    cnf[IPV4_DEVCONF_ARP_EVICT_NOCARRIER] = 1;
  }
  net.ipv4.devconfDflt[IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE] = 1;
}

/**
 * The machine becomes a router, or stops being one: every device follows, and routers believe no
 * redirects.
 * @kernel inet_forward_change net/ipv4/devinet.c
 */
export function inetForwardChange(net: Net, on: boolean): void {
  const value = on ? 1 : 0;
  const { devconfAll, devconfDflt } = net.ipv4;
  devconfAll[IPV4_DEVCONF_FORWARDING] = value;
  devconfAll[IPV4_DEVCONF_ACCEPT_REDIRECTS] = on ? 0 : 1;
  devconfDflt[IPV4_DEVCONF_FORWARDING] = value;
  net.ipv4.sysctlIpForward = value;
  for (const dev of net.devBaseHead) {
    if (dev.ipPtr !== null) inDevConfSet(dev.ipPtr, IPV4_DEVCONF_FORWARDING, value);
  }
  rtCacheFlush(net);
}

/** @kernel devinet_sysctl_unregister net/ipv4/devinet.c */
export function devinetSysctlUnregister(inDev: InDevice): void {
  inDev.sysctlUnregister?.();
  inDev.sysctlUnregister = null;
  if (inDev.arpParms !== null) neighSysctlUnregister(inDev.arpParms);
}

/** Shows the settings of a device, where there is a /proc/sys. @kernel devinet_sysctl_register net/ipv4/devinet.c */
export function devinetSysctlRegister(inDev: InDevice): void {
  inDev.dev.net.machine.netGlobals.devinetSysctlRegister?.(inDev);
}
