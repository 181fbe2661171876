/**
 * IPv4 in rtnetlink: addresses and routes. Counterpart of the rtnl_register calls of
 * net/ipv4/devinet.c, fib_frontend.c and route.c.
 */
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlRegister } from '#net/core/rtnetlink.ts';
import { inetRtmsgIfa } from '#net/ipv4/devinet_dump.ts';
import { inetDumpIfaddr, inetRtmDeladdr, inetRtmNewaddr } from '#net/ipv4/devinet_netlink.ts';
import { inetDumpFib, inetRtmDelroute, inetRtmNewroute } from '#net/ipv4/fib_frontend_netlink.ts';
import { rtmsgFib } from '#net/ipv4/fib_semantics_dump.ts';
import { inetRtmGetroute } from '#net/ipv4/route_netlink.ts';
import {
  RTM_DELADDR,
  RTM_DELROUTE,
  RTM_GETADDR,
  RTM_GETROUTE,
  RTM_NEWADDR,
  RTM_NEWROUTE,
} from '#uapi/rtnetlink.ts';
import { PF_INET } from '#uapi/socket.ts';

/** @kernel devinet_init net/ipv4/devinet.c */
function inetRtnetlinkInit(machine: Machine): number {
  machine.netGlobals.inetRtnl = { rtmsgIfa: inetRtmsgIfa, rtmsgFib };
  rtnlRegister(machine, PF_INET, RTM_NEWADDR, inetRtmNewaddr, null);
  rtnlRegister(machine, PF_INET, RTM_DELADDR, inetRtmDeladdr, null);
  rtnlRegister(machine, PF_INET, RTM_GETADDR, null, inetDumpIfaddr);
  rtnlRegister(machine, PF_INET, RTM_NEWROUTE, inetRtmNewroute, null);
  rtnlRegister(machine, PF_INET, RTM_DELROUTE, inetRtmDelroute, null);
  rtnlRegister(machine, PF_INET, RTM_GETROUTE, inetRtmGetroute, inetDumpFib);
  return 0;
}

export const inetRtnetlinkModule: KernelModule = {
  name: 'inet_rtnetlink',
  config: null,
  depends: ['rtnetlink'],
  level: FS_INITCALL,
  init: inetRtnetlinkInit,
  exit: null,
};
