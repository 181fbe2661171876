/** Routing netlink as a whole: its sockets, links and neighbours. Counterpart: rtnetlink_init. */
import { CORE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Machine } from '#kernel/machine.ts';
import { neighInit } from '#net/core/neighbour_netlink.ts';
import { __neighNotify } from '#net/core/neighbour_notify.ts';
import { rtnetlinkInit } from '#net/core/rtnetlink.ts';
import {
  rtmsgIfinfo,
  rtnetlinkLinkInit,
  rtnlConfigureLink,
  rtnlCreateLink,
  rtnlNlaParseIfinfomsg,
} from '#net/core/rtnetlink_link.ts';

/** @kernel rtnetlink_init net/core/rtnetlink.c */
function rtnetlinkModuleInit(machine: Machine): number {
  machine.netGlobals.rtnetlink = {
    rtmsgIfinfo,
    neighNotify: __neighNotify,
    nlaParseIfinfomsg: rtnlNlaParseIfinfomsg,
    createLink: rtnlCreateLink,
    configureLink: rtnlConfigureLink,
  };
  return rtnetlinkInit(machine) || rtnetlinkLinkInit(machine) || neighInit(machine);
}

export const rtnetlinkModule: KernelModule = {
  name: 'rtnetlink',
  config: null,
  depends: ['netlink'],
  level: CORE_INITCALL,
  init: rtnetlinkModuleInit,
  exit: null,
};
