/**
 * Queueing disciplines over netlink: RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC. Counterpart of those
 * parts of net/sched/sch_api.c; classes are in sch_api_class.ts. Disciplines may be at the root or below a class
 * of another.
 */

import { SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback, NetlinkExtAck } from '#include/net/rtnetlink.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';
import type { Machine } from '#kernel/machine.ts';
import { setU64 } from '#lib/int64.ts';
import { mem } from '#mm/memory.ts';
import { __devGetByIndex } from '#net/core/dev.ts';
import { rtnlNotify, rtnlRegister, rtnlUnicast } from '#net/core/rtnetlink.ts';
import { kfreeSkb } from '#net/core/skbuff.ts';
import { netlinkRequester } from '#net/netlink/af_netlink.ts';
import {
  NLMSG_GOODSIZE,
  type NlaPolicy,
  nlaGetString,
  nlaNestEnd,
  nlaNestStart,
  nlaPut,
  nlaPutString,
  nlaPutU8,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgFlags,
  nlmsgNew,
  nlmsgParse,
  nlmsgPut,
  nlmsgSeq,
  nlmsgType,
} from '#net/netlink/nlattr.ts';
import {
  type QdiscClass,
  qdiscClass,
  qdiscGraft,
  qdiscGraftClass,
  qdiscReplaceRoot,
} from '#net/sched/sch_api.ts';
import { tcDumpTclass } from '#net/sched/sch_api_class.ts';
import { qdiscListed, qdiscLookup } from '#net/sched/sch_api_tree.ts';
import { EEXIST, EINVAL, EMSGSIZE, ENODEV, ENOENT } from '#uapi/errno.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import {
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_MULTI,
  NLM_F_REPLACE,
  NLMSG_HDRLEN,
} from '#uapi/netlink.ts';
import {
  gnetStatsQueue,
  TC_H_MIN_MASK,
  TC_H_ROOT,
  TCA_STATS_APP,
  TCA_STATS_BASIC,
  TCA_STATS_QUEUE,
  tcStats,
} from '#uapi/pkt_sched.ts';
import {
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_GETTCLASS,
  RTM_NEWQDISC,
  RTNLGRP_TC,
  TCA_HW_OFFLOAD,
  TCA_KIND,
  TCA_MAX,
  TCA_OPTIONS,
  TCA_STATS,
  TCA_STATS2,
  tcmsg,
} from '#uapi/rtnetlink.ts';
import { AF_UNSPEC, PF_UNSPEC } from '#uapi/socket.ts';

/** struct gnet_stats_basic: bytes and packets. */
const GNET_STATS_BASIC_LEN = 16;

type Table = Exclude<ReturnType<typeof nlmsgParse>, number>;

interface Request {
  readonly net: Net;
  readonly dev: NetDevice;
  readonly parent: number;
  readonly handle: number;
  readonly tb: Table;
  /** Kind that the request names; empty: none. */
  readonly kind: string;
  readonly opt: Uint8Array | null;
}

const TCA_POLICY: readonly (NlaPolicy | undefined)[] = [undefined, { kind: 'string' }];

/** The request's header and attributes; a negative errno when they make no sense. */
function parse(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): Request | number {
  const { net } = netlinkRequester(skb);
  if (msg.length < NLMSG_HDRLEN + tcmsg.LEN) return -EINVAL;
  const tb = nlmsgParse(msg, tcmsg.LEN, TCA_MAX, TCA_POLICY, extack);
  if (typeof tb === 'number') return tb;
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const dev = __devGetByIndex(net, tcmsg.ifindex(v, NLMSG_HDRLEN));
  if (dev === null) return -ENODEV;
  const kind = tb[TCA_KIND];
  return {
    net,
    dev,
    parent: tcmsg.parent(v, NLMSG_HDRLEN),
    handle: tcmsg.handle(v, NLMSG_HDRLEN),
    tb,
    kind: kind === undefined ? '' : nlaGetString(kind),
    opt: tb[TCA_OPTIONS] ?? null,
  };
}

/** The root of the device that somebody has put there; a default one, which has no handle, does not count. */
function rootOf(dev: NetDevice): Qdisc | null {
  return dev.qdisc === null || dev.qdisc.handle === 0 ? null : dev.qdisc;
}

/** What a request does to what there is. */
type Plan = { readonly create: boolean; readonly old: Qdisc | null };

/** Which discipline a request is about, and whether to make it or change it. */
function plan(request: Request, flags: number, extack: NetlinkExtAck): Plan | number {
  const { dev, parent, handle, kind } = request;
  const found = parent === 0 ? qdiscLookup(dev, handle) : placed(dev, parent, extack);
  if (typeof found === 'number') return found;
  if (parent === 0) return { create: false, old: found };
  if (handle !== 0 && found?.handle !== handle) {
    if (found !== null && (flags & NLM_F_REPLACE) === 0) {
      extack.msg = 'NLM_F_REPLACE needed to override';
      return -EEXIST;
    }
    if ((handle & TC_H_MIN_MASK) !== 0) {
      extack.msg = 'Invalid minor handle';
      return -EINVAL;
    }
    return { create: true, old: found };
  }
  if (found === null) return { create: true, old: null };
  const replace = NLM_F_CREATE | NLM_F_REPLACE;
  const differs = (flags & NLM_F_EXCL) !== 0 || (kind !== '' && kind !== found.ops.id);
  return { create: (flags & replace) === replace && differs, old: found };
}

/** @kernel qdisc_change net/sched/sch_api.c */
function change(q: Qdisc | null, request: Request, flags: number, extack: NetlinkExtAck): number {
  if (q === null) {
    extack.msg = 'Specified qdisc not found';
    return -ENOENT;
  }
  if ((flags & NLM_F_EXCL) !== 0) {
    extack.msg = 'Exclusivity flag on, cannot modify';
    return -EEXIST;
  }
  if (request.kind !== '' && request.kind !== q.ops.id) {
    extack.msg = 'Invalid qdisc name: must match existing qdisc';
    return -EINVAL;
  }
  if (request.opt === null) return 0;
  if (q.ops.change === null) {
    extack.msg = 'Change operation not supported by specified qdisc';
    return -EINVAL;
  }
  return q.ops.change(q, request.opt);
}

/** RTM_NEWQDISC. @kernel tc_modify_qdisc net/sched/sch_api.c */
function tcModifyQdisc(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const request = parse(skb, msg, extack);
  if (typeof request === 'number') return request;
  const { dev, parent, handle, kind, opt } = request;
  const flags = nlmsgFlags(msg);
  const planned = plan(request, flags, extack);
  if (typeof planned === 'number') return planned;
  if (!planned.create) {
    const err = change(planned.old, request, flags, extack);
    if (err === 0 && planned.old !== null) notify(request, msg, skb, RTM_NEWQDISC, planned.old);
    return err;
  }
  if ((flags & NLM_F_CREATE) === 0) {
    extack.msg = 'Qdisc not found. To create specify NLM_F_CREATE flag';
    return -ENOENT;
  }
  if (kind === '') {
    extack.msg = 'Specified qdisc kind is unknown';
    return -ENOENT;
  }
  const place = parent === TC_H_ROOT ? null : qdiscClass(dev, parent, extack);
  if (typeof place === 'number') return place;
  const err =
    place === null
      ? qdiscReplaceRoot(dev, kind, handle, opt, extack)
      : qdiscGraftClass(dev, place, parent, kind, handle, opt, extack);
  const made = place === null ? dev.qdisc : leafOf(place);
  if (err === 0 && made !== null) notify(request, msg, skb, RTM_NEWQDISC, made);
  return err;
}

const leafOf = ({ above, clOps, cl }: QdiscClass): Qdisc | null => clOps.leaf(above, cl);

/** The discipline in a place that somebody has put there; null: none, or the place's own. */
function placed(dev: NetDevice, parent: number, extack: NetlinkExtAck): Qdisc | null | number {
  if (parent === TC_H_ROOT) return rootOf(dev);
  const place = qdiscClass(dev, parent, extack);
  if (typeof place === 'number') return place;
  const leaf = leafOf(place);
  return leaf === null || leaf.handle === 0 ? null : leaf;
}

/** RTM_DELQDISC and RTM_GETQDISC of one. @kernel tc_get_qdisc net/sched/sch_api.c */
function tcGetQdisc(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const request = parse(skb, msg, extack);
  if (typeof request === 'number') return request;
  const { dev, parent, handle, kind } = request;
  const place = parent === 0 || parent === TC_H_ROOT ? null : qdiscClass(dev, parent, extack);
  if (typeof place === 'number') return place;
  const q = place !== null ? leafOf(place) : parent === 0 ? qdiscLookup(dev, handle) : dev.qdisc;
  if (q === null) {
    extack.msg = 'Cannot find specified qdisc on specified device';
    return -ENOENT;
  }
  if (parent !== 0 && handle !== 0 && q.handle !== handle) {
    extack.msg = 'Invalid handle';
    return -EINVAL;
  }
  if (kind !== '' && kind !== q.ops.id) {
    extack.msg = 'Invalid qdisc name';
    return -EINVAL;
  }
  if (nlmsgType(msg) === RTM_GETQDISC) return answer(request, msg, skb, q);
  if (parent === 0) {
    extack.msg = 'Classid cannot be zero';
    return -EINVAL;
  }
  if (q.handle === 0) {
    extack.msg = 'Cannot delete qdisc with handle of zero';
    return -ENOENT;
  }
  notify(request, msg, skb, RTM_DELQDISC, q);
  return place === null
    ? qdiscGraft(dev, null)
    : qdiscGraftClass(dev, place, parent, null, 0, null, extack);
}

function basicStats(q: Qdisc, length: number): Uint8Array {
  const out = new Uint8Array(length);
  const v = new DataView(out.buffer);
  setU64(v, 0, q.bytes, true);
  v.setUint32(8, q.packets, true);
  return out;
}

function oldStats(q: Qdisc): Uint8Array {
  const out = basicStats(q, tcStats.LEN);
  const v = new DataView(out.buffer);
  tcStats.setDrops(v, 0, q.drops);
  tcStats.setOverlimits(v, 0, q.overlimits);
  tcStats.setQlen(v, 0, q.qlen);
  tcStats.setBacklog(v, 0, q.backlog);
  return out;
}

function queueStats(q: Qdisc): Uint8Array {
  const out = new Uint8Array(gnetStatsQueue.LEN);
  const v = new DataView(out.buffer);
  gnetStatsQueue.setQlen(v, 0, q.qlen);
  gnetStatsQueue.setBacklog(v, 0, q.backlog);
  gnetStatsQueue.setDrops(v, 0, q.drops);
  gnetStatsQueue.setRequeues(v, 0, q.requeues);
  gnetStatsQueue.setOverlimits(v, 0, q.overlimits);
  return out;
}

function putStats(skb: SkBuff, q: Qdisc): boolean {
  const nest = nlaNestStart(skb, TCA_STATS2, false);
  if (nest < 0) return false;
  const ok =
    nlaPut(skb, TCA_STATS_BASIC, basicStats(q, GNET_STATS_BASIC_LEN)) === 0 &&
    nlaPut(skb, TCA_STATS_QUEUE, queueStats(q)) === 0 &&
    (q.ops.dumpStats === undefined || nlaPut(skb, TCA_STATS_APP, q.ops.dumpStats(q)) === 0);
  if (!ok) return false;
  nlaNestEnd(skb, nest);
  return nlaPut(skb, TCA_STATS, oldStats(q)) === 0;
}

/** Appends one message. 0 or -EMSGSIZE. @kernel tc_fill_qdisc net/sched/sch_api.c */
function tcFillQdisc(
  skb: SkBuff,
  q: Qdisc,
  portid: number,
  seq: number,
  flags: number,
  event: number,
): number {
  const nlh = nlmsgPut(skb, portid, seq, event, tcmsg.LEN, flags);
  if (nlh < 0) return -EMSGSIZE;
  const header = new Uint8Array(tcmsg.LEN);
  const v = new DataView(header.buffer);
  tcmsg.setFamily(v, 0, AF_UNSPEC);
  tcmsg.setIfindex(v, 0, q.dev?.ifindex ?? 0);
  tcmsg.setHandle(v, 0, q.handle);
  tcmsg.setParent(v, 0, q.parent);
  tcmsg.setInfo(v, 0, q.refcnt);
  mem.set(header, nlh + NLMSG_HDRLEN);
  const opt = q.ops.dump?.(q) ?? null;
  const ok =
    nlaPutString(skb, TCA_KIND, q.ops.id) === 0 &&
    (opt === null || nlaPut(skb, TCA_OPTIONS, opt) === 0) &&
    nlaPutU8(skb, TCA_HW_OFFLOAD, 0) === 0 &&
    putStats(skb, q);
  if (!ok) {
    nlmsgCancel(skb, nlh);
    return -EMSGSIZE;
  }
  nlmsgEnd(skb, nlh);
  return 0;
}

/** One message in a packet of its own; null when there is no memory. */
function single(
  machine: Machine,
  q: Qdisc,
  portid: number,
  seq: number,
  event: number,
): SkBuff | null {
  const skb = nlmsgNew(machine, NLMSG_GOODSIZE);
  if (skb === null) return null;
  if (tcFillQdisc(skb, q, portid, seq, 0, event) === 0) return skb;
  kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'qdisc_notify');
  return null;
}

/** @kernel qdisc_notify net/sched/sch_api.c */
function notify({ net }: Request, msg: Uint8Array, req: SkBuff, event: number, q: Qdisc): void {
  const skb = single(net.machine, q, netlinkRequester(req).portid, nlmsgSeq(msg), event);
  if (skb !== null) rtnlNotify(skb, net, RTNLGRP_TC);
}

function answer({ net }: Request, msg: Uint8Array, req: SkBuff, q: Qdisc): number {
  const { portid } = netlinkRequester(req);
  const skb = single(net.machine, q, portid, nlmsgSeq(msg), RTM_NEWQDISC);
  return skb === null ? -EMSGSIZE : rtnlUnicast(skb, net, portid);
}

/** args[0]: index of the last device done. @kernel tc_dump_qdisc net/sched/sch_api.c */
function tcDumpQdisc(skb: SkBuff, cb: NetlinkCallback): number {
  const v = new DataView(cb.msg.buffer, cb.msg.byteOffset, cb.msg.byteLength);
  const whole = cb.msg.length >= NLMSG_HDRLEN + tcmsg.LEN;
  const only = whole ? tcmsg.ifindex(v, NLMSG_HDRLEN) : 0;
  const after = cb.args[0] ?? 0;
  const devices = [...cb.net.devIndexHead.values()].sort((a, b) => a.ifindex - b.ifindex);
  for (const dev of devices) {
    if (dev.ifindex <= after || (only !== 0 && dev.ifindex !== only)) continue;
    for (const q of qdiscListed(dev)) {
      if (tcFillQdisc(skb, q, cb.portid, cb.seq, NLM_F_MULTI, RTM_NEWQDISC) < 0) {
        return skb.len > 0 ? 1 : -EMSGSIZE;
      }
    }
    cb.args[0] = dev.ifindex;
  }
  return 0;
}

/** @kernel pktsched_init net/sched/sch_api.c */
function pktschedInit(machine: Machine): number {
  rtnlRegister(machine, PF_UNSPEC, RTM_NEWQDISC, tcModifyQdisc, null);
  rtnlRegister(machine, PF_UNSPEC, RTM_DELQDISC, tcGetQdisc, null);
  rtnlRegister(machine, PF_UNSPEC, RTM_GETQDISC, tcGetQdisc, tcDumpQdisc);
  rtnlRegister(machine, PF_UNSPEC, RTM_GETTCLASS, null, tcDumpTclass);
  return 0;
}

export const schApiModule: KernelModule = {
  name: 'sch_api',
  config: 'CONFIG_NET_SCHED',
  depends: ['rtnetlink'],
  level: SUBSYS_INITCALL,
  init: pktschedInit,
  exit: null,
};
