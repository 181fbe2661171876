/** Settings of routing: net.ipv4.route.*. Counterpart of the sysctl part of net/ipv4/route.c. */
import type { Net } from '#include/net/net_namespace.ts';
import { rtCacheFlush } from '#include/net/route.ts';
import { HZ } from '#kernel/param.ts';
import { intEntry, secondsEntry } from '#kernel/sysctl.ts';

/** net.ipv4.route.*. @kernel ipv4_route_netns_table net/ipv4/route.c */
export function routeSysctls(net: Net): void {
  const { ipv4 } = net;
  net.sysctl.register('net/ipv4/route', [
    {
      procname: 'flush',
      read: () => '',
      write: () => {
        rtCacheFlush(net);
        ipv4.fnheGenid++;
        return 0;
      },
    },
    intEntry(
      'min_pmtu',
      () => ipv4.sysctlMinPmtu,
      (v) => {
        ipv4.sysctlMinPmtu = v;
      },
      68,
    ),
    secondsEntry(
      'mtu_expires',
      () => ipv4.sysctlMtuExpires,
      (v) => {
        ipv4.sysctlMtuExpires = v;
      },
      HZ,
    ),
    intEntry(
      'min_adv_mss',
      () => ipv4.sysctlMinAdvmss,
      (v) => {
        ipv4.sysctlMinAdvmss = v;
      },
    ),
    secondsEntry(
      'gc_timeout',
      () => ipv4.sysctlRtGcTimeout,
      (v) => {
        ipv4.sysctlRtGcTimeout = v;
      },
      HZ,
    ),
    intEntry(
      'redirect_load',
      () => ipv4.sysctlRtRedirectLoad,
      (v) => {
        ipv4.sysctlRtRedirectLoad = v;
      },
    ),
    intEntry(
      'redirect_number',
      () => ipv4.sysctlRtRedirectNumber,
      (v) => {
        ipv4.sysctlRtRedirectNumber = v;
      },
    ),
    intEntry(
      'redirect_silence',
      () => ipv4.sysctlRtRedirectSilence,
      (v) => {
        ipv4.sysctlRtRedirectSilence = v;
      },
    ),
    intEntry(
      'error_cost',
      () => ipv4.sysctlRtErrorCost,
      (v) => {
        ipv4.sysctlRtErrorCost = v;
      },
    ),
    intEntry(
      'error_burst',
      () => ipv4.sysctlRtErrorBurst,
      (v) => {
        ipv4.sysctlRtErrorBurst = v;
      },
    ),
  ]);
}
