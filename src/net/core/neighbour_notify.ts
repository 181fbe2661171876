/**
 * Neighbours as netlink messages, and the notifications of their changes.
 *
 * Counterpart of the message-building part of net/core/neighbour.c.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Neighbour, NeighTable, PneighEntry } from '#include/net/neighbour.ts';
import { NTF_EXT_SHIFT } from '#include/net/neighbour.ts';
import { hostView } from '#mm/memory.ts';
import { rtnlHasListeners, rtnlNotify } from '#net/core/rtnetlink.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import {
  nlaPut,
  nlaPutU8,
  nlaPutU32,
  nlaReserve,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgNew,
  nlmsgPut,
} from '#net/netlink/nlattr.ts';
import { EMSGSIZE } from '#uapi/errno.ts';
import {
  NDA_CACHEINFO,
  NDA_DST,
  NDA_FLAGS_EXT,
  NDA_LLADDR,
  NDA_PROBES,
  NDA_PROTOCOL,
  NTF_PROXY,
  NUD_NONE,
  NUD_VALID,
  ndaCacheinfo,
  ndmsg,
} from '#uapi/neighbour.ts';
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import { RTN_UNICAST, RTNLGRP_NEIGH } from '#uapi/rtnetlink.ts';

/** Jiffies (1 ms) to the clock ticks of user space (10 ms). @kernel jiffies_to_clock_t kernel/time/time.c */
function toClockT(jiffies: number): number {
  return Math.floor(Math.max(jiffies, 0) / 10);
}

/** Writes struct ndmsg. */
function putNdmsg(
  at: number,
  family: number,
  ifindex: number,
  state: number,
  flags: number,
  type: number,
): void {
  ndmsg.setFamily(hostView, at, family);
  ndmsg.setIfindex(hostView, at, ifindex);
  ndmsg.setState(hostView, at, state);
  ndmsg.setFlags(hostView, at, flags);
  ndmsg.setType(hostView, at, type);
}

function putCacheinfo(skb: SkBuff, neigh: Neighbour): number {
  const at = nlaReserve(skb, NDA_CACHEINFO, ndaCacheinfo.LEN);
  if (at < 0) return at;
  const now = neigh.tbl.machine.jiffies;
  ndaCacheinfo.setUsed(hostView, at, toClockT((now - neigh.used) | 0));
  ndaCacheinfo.setConfirmed(hostView, at, toClockT((now - neigh.confirmed) | 0));
  ndaCacheinfo.setUpdated(hostView, at, toClockT((now - neigh.updated) | 0));
  ndaCacheinfo.setRefcnt(hostView, at, neigh.refcnt - 1);
  return 0;
}

/** Appends one neighbour; 0 or -EMSGSIZE with nothing appended. @kernel neigh_fill_info net/core/neighbour.c */
export function neighFillInfo(
  skb: SkBuff,
  neigh: Neighbour,
  portid: number,
  seq: number,
  type: number,
  flags: number,
): number {
  const nlh = nlmsgPut(skb, portid, seq, type, ndmsg.LEN, flags);
  if (nlh < 0) return nlh;
  const extFlags = neigh.flags >>> NTF_EXT_SHIFT;
  const { ifindex, addrLen } = neigh.dev;
  putNdmsg(
    nlh + NLMSG_HDRLEN,
    neigh.tbl.family,
    ifindex,
    neigh.nudState,
    neigh.flags & 0xff,
    neigh.type,
  );
  const hasLladdr = (neigh.nudState & NUD_VALID) !== 0;
  const failed =
    nlaPut(skb, NDA_DST, neigh.primaryKey) < 0 ||
    (hasLladdr && nlaPut(skb, NDA_LLADDR, neigh.ha.subarray(0, addrLen)) < 0) ||
    nlaPutU32(skb, NDA_PROBES, neigh.probes) < 0 ||
    putCacheinfo(skb, neigh) < 0 ||
    (neigh.protocol !== 0 && nlaPutU8(skb, NDA_PROTOCOL, neigh.protocol) < 0) ||
    (extFlags !== 0 && nlaPutU32(skb, NDA_FLAGS_EXT, extFlags) < 0);
  if (failed) {
    nlmsgCancel(skb, nlh);
    return -EMSGSIZE;
  }
  nlmsgEnd(skb, nlh);
  return 0;
}

/** @kernel pneigh_fill_info net/core/neighbour.c */
export function pneighFillInfo(
  skb: SkBuff,
  pn: PneighEntry,
  portid: number,
  seq: number,
  type: number,
  flags: number,
  tbl: NeighTable,
): number {
  const nlh = nlmsgPut(skb, portid, seq, type, ndmsg.LEN, flags);
  if (nlh < 0) return nlh;
  const extFlags = pn.flags >>> NTF_EXT_SHIFT;
  putNdmsg(
    nlh + NLMSG_HDRLEN,
    tbl.family,
    pn.dev?.ifindex ?? 0,
    NUD_NONE,
    (pn.flags & 0xff) | NTF_PROXY,
    RTN_UNICAST,
  );
  const failed =
    nlaPut(skb, NDA_DST, tbl.ops.keyBytes(pn.key)) < 0 ||
    (pn.protocol !== 0 && nlaPutU8(skb, NDA_PROTOCOL, pn.protocol) < 0) ||
    (extFlags !== 0 && nlaPutU32(skb, NDA_FLAGS_EXT, extFlags) < 0);
  if (failed) {
    nlmsgCancel(skb, nlh);
    return -EMSGSIZE;
  }
  nlmsgEnd(skb, nlh);
  return 0;
}

/** Room that one neighbour's message takes. @kernel neigh_nlmsg_size net/core/neighbour.c */
export const NEIGH_NLMSG_SIZE = 128;

/** Tells RTNLGRP_NEIGH. @kernel __neigh_notify net/core/neighbour.c */
export function __neighNotify(neigh: Neighbour, type: number, flags: number, portid: number): void {
  const { net } = neigh.dev;
  if (!rtnlHasListeners(net, RTNLGRP_NEIGH)) return;
  const skb = nlmsgNew(net.machine, NEIGH_NLMSG_SIZE);
  if (skb === null) return;
  if (neighFillInfo(skb, neigh, portid, 0, type, flags) < 0) consumeSkb(skb, '__neigh_notify');
  else rtnlNotify(skb, net, RTNLGRP_NEIGH);
}
