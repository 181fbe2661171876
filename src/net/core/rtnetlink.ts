/**
 * Routing netlink: how a machine is configured, and the only way it can be.
 *
 * Counterpart of net/core/rtnetlink.c: dispatch of requests to the handlers that the protocol
 * families register, and notifications. Links are in rtnetlink_link.ts; addresses, routes and
 * neighbours in the files of those subsystems.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { RtnlLink } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkSock } from '#include/net/netlink_sock.ts';
import type { NetlinkExtAck, RtnlDoit, RtnlDumpit } from '#include/net/rtnetlink.ts';
import { KernelBug } from '#kernel/bug.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import {
  netlinkBroadcast,
  netlinkDumpStart,
  netlinkHasListeners,
  netlinkKernelCreate,
  netlinkKernelRelease,
  netlinkRcvSkb,
  netlinkRequester,
  netlinkUnicast,
} from '#net/netlink/af_netlink.ts';
import { nlmsgFlags, nlmsgType } from '#net/netlink/nlattr.ts';
import { EOPNOTSUPP } from '#uapi/errno.ts';
import { NETLINK_ROUTE, NLM_F_DUMP, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import { RTM_BASE, RTM_MAX } from '#uapi/rtnetlink.ts';
import { AF_UNSPEC, PF_UNSPEC } from '#uapi/socket.ts';

/**
 * Registers the handlers of one message type of a family. `doit` changes or gets one object;
 * `dumpit` lists them (RTM_GET* only).
 * @kernel rtnl_register net/core/rtnetlink.c
 */
export function rtnlRegister(
  machine: Machine,
  family: number,
  msgtype: number,
  doit: RtnlDoit | null,
  dumpit: RtnlDumpit | null,
): void {
  const handlers = machine.netGlobals.rtnlMsgHandlers;
  let byType = handlers.get(family);
  if (byType === undefined) {
    byType = new Map();
    handlers.set(family, byType);
  }
  byType.set(msgtype, { doit, dumpit, flags: 0 });
}

/** The family's own handlers, or those for every family. @kernel rtnl_get_link net/core/rtnetlink.c */
function rtnlGetLink(machine: Machine, family: number, msgtype: number): RtnlLink | null {
  const handlers = machine.netGlobals.rtnlMsgHandlers;
  return handlers.get(family)?.get(msgtype) ?? handlers.get(PF_UNSPEC)?.get(msgtype) ?? null;
}

/** Lists all families' objects of a type, for requests with AF_UNSPEC. @kernel rtnl_dump_all net/core/rtnetlink.c */
export function rtnlDumpAll(machine: Machine, msgtype: number): RtnlDumpit {
  const families = [...machine.netGlobals.rtnlMsgHandlers.keys()].sort((a, b) => a - b);
  return (skb, cb) => {
    // args[5] counts the families that are done; a handler's own cursor is args[0..4].
    while ((cb.args[5] ?? 0) < families.length) {
      const family = families[cb.args[5] ?? 0] ?? AF_UNSPEC;
      const dumpit = family === PF_UNSPEC ? null : rtnlDumpitOf(machine, family, msgtype);
      const more = dumpit === null ? 0 : dumpit(skb, cb);
      if (more !== 0) return more;
      cb.args.fill(0, 0, 5);
      cb.ctx = null;
      cb.args[5] = (cb.args[5] ?? 0) + 1;
    }
    return 0;
  };
}

function rtnlDumpitOf(machine: Machine, family: number, msgtype: number): RtnlDumpit | null {
  return machine.netGlobals.rtnlMsgHandlers.get(family)?.get(msgtype)?.dumpit ?? null;
}

/** One request, with the configuration lock held. @kernel rtnetlink_rcv_msg net/core/rtnetlink.c */
function rtnetlinkRcvMsg(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const type = nlmsgType(msg);
  if (type < RTM_BASE || type > RTM_MAX) return -EOPNOTSUPP;
  // A message without even a family is nothing to act on.
  if (msg.length < NLMSG_HDRLEN + 1) return 0;
  const { machine } = netlinkRequester(skb).net;
  const family = msg[NLMSG_HDRLEN] ?? 0;
  const isGet = ((type - RTM_BASE) & 3) === 2;
  if (isGet && (nlmsgFlags(msg) & NLM_F_DUMP) !== 0) {
    const dumpit = rtnlGetLink(machine, family, type)?.dumpit ?? null;
    if (dumpit !== null) return netlinkDumpStart(skb, msg, dumpit);
    if (family !== AF_UNSPEC) return -EOPNOTSUPP;
    return netlinkDumpStart(skb, msg, rtnlDumpAll(machine, type));
  }
  const doit = rtnlGetLink(machine, family, type)?.doit ?? null;
  return doit === null ? -EOPNOTSUPP : doit(skb, msg, extack);
}

/** @kernel rtnetlink_rcv net/core/rtnetlink.c */
function rtnetlinkRcv(skb: SkBuff): void {
  const { machine } = skb;
  rtnlLock(machine);
  netlinkRcvSkb(skb, rtnetlinkRcvMsg);
  rtnlUnlock(machine);
}

/** Namespace that a request is about. @kernel sock_net include/net/sock.h */
export function rtnlRequestNet(skb: SkBuff): Net {
  return netlinkRequester(skb).net;
}

/** Port of the requester, for answers and for notifications that it must not get twice. */
export function rtnlRequestPortid(skb: SkBuff): number {
  return netlinkRequester(skb).portid;
}

/** Answers a request. Takes the packet. @kernel rtnl_unicast net/core/rtnetlink.c */
export function rtnlUnicast(skb: SkBuff, net: Net, portid: number): number {
  const err = netlinkUnicast(kernelRtnl(net), skb, portid);
  return err < 0 ? err : 0;
}

/** True when building a notification is worth it. @kernel rtnl_notify_needed include/net/netlink.h */
export function rtnlHasListeners(net: Net, group: number): boolean {
  return netlinkHasListeners(net, NETLINK_ROUTE, group);
}

/** Tells the listeners of a group. Takes the packet. @kernel rtnl_notify net/core/rtnetlink.c */
export function rtnlNotify(skb: SkBuff, net: Net, group: number): void {
  netlinkBroadcast(net, NETLINK_ROUTE, skb, 0, group);
}

function kernelRtnl(net: Net): NetlinkSock {
  if (net.rtnl === null)
    throw new KernelBug('rtnl-socket', 'the namespace has no rtnetlink socket');
  return net.rtnl as NetlinkSock;
}

/** @kernel rtnetlink_net_init net/core/rtnetlink.c */
function rtnetlinkNetInit(net: Net): number {
  net.rtnl = netlinkKernelCreate(net, NETLINK_ROUTE, rtnetlinkRcv);
  return 0;
}

/** @kernel rtnetlink_net_exit net/core/rtnetlink.c */
function rtnetlinkNetExit(net: Net): void {
  if (net.rtnl === null) return;
  netlinkKernelRelease(net.rtnl as NetlinkSock);
  net.rtnl = null;
}

/** The kernel's sockets of every namespace; the link handlers are added by rtnetlinkLinkInit. @kernel rtnetlink_init net/core/rtnetlink.c */
export function rtnetlinkInit(machine: Machine): number {
  return registerPernetSubsys(machine, {
    name: 'rtnetlink',
    init: rtnetlinkNetInit,
    exit: rtnetlinkNetExit,
  });
}
