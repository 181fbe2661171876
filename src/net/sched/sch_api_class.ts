/**
 * Classes of disciplines over netlink: RTM_GETTCLASS. Counterpart of that part of net/sched/sch_api.c.
 * No discipline here has classes that a user makes or takes away.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { Qdisc, QdiscClassOps } from '#include/net/sch_generic.ts';
import { mem } from '#mm/memory.ts';
import { __devGetByIndex } from '#net/core/dev.ts';
import {
  nlaNestEnd,
  nlaNestStart,
  nlaPut,
  nlaPutString,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgPut,
} from '#net/netlink/nlattr.ts';
import { qdiscListed } from '#net/sched/sch_api_tree.ts';
import { EMSGSIZE } from '#uapi/errno.ts';
import { NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  gnetStatsQueue,
  TC_H_MAJ_MASK,
  TC_H_MIN_MASK,
  TCA_STATS_APP,
  TCA_STATS_QUEUE,
} from '#uapi/pkt_sched.ts';
import { RTM_NEWTCLASS, TCA_KIND, TCA_STATS2, tcmsg } from '#uapi/rtnetlink.ts';
import { AF_UNSPEC } from '#uapi/socket.ts';

function putStats(skb: SkBuff, q: Qdisc, clOps: QdiscClassOps, cl: number): boolean {
  const nest = nlaNestStart(skb, TCA_STATS2, false);
  if (nest < 0) return false;
  const stats = clOps.dumpStats?.(q, cl) ?? null;
  if (stats !== null) {
    const out = new Uint8Array(gnetStatsQueue.LEN);
    const v = new DataView(out.buffer);
    gnetStatsQueue.setQlen(v, 0, stats.qlen);
    gnetStatsQueue.setBacklog(v, 0, stats.backlog);
    gnetStatsQueue.setDrops(v, 0, stats.drops);
    if (nlaPut(skb, TCA_STATS_QUEUE, out) !== 0) return false;
    if (stats.app !== null && nlaPut(skb, TCA_STATS_APP, stats.app) !== 0) return false;
  }
  nlaNestEnd(skb, nest);
  return true;
}

/** Appends one message; false: it has no room. @kernel tc_fill_tclass net/sched/sch_api.c */
function tcFillTclass(
  skb: SkBuff,
  q: Qdisc,
  clOps: QdiscClassOps,
  cl: number,
  cb: NetlinkCallback,
): boolean {
  const nlh = nlmsgPut(skb, cb.portid, cb.seq, RTM_NEWTCLASS, tcmsg.LEN, NLM_F_MULTI);
  if (nlh < 0) return false;
  const { minor, info } = clOps.dump(q, cl);
  const header = new Uint8Array(tcmsg.LEN);
  const v = new DataView(header.buffer);
  tcmsg.setFamily(v, 0, AF_UNSPEC);
  tcmsg.setIfindex(v, 0, q.dev?.ifindex ?? 0);
  tcmsg.setHandle(v, 0, (q.handle | (minor & TC_H_MIN_MASK)) >>> 0);
  tcmsg.setParent(v, 0, q.handle);
  tcmsg.setInfo(v, 0, info);
  mem.set(header, nlh + NLMSG_HDRLEN);
  if (nlaPutString(skb, TCA_KIND, q.ops.id) !== 0 || !putStats(skb, q, clOps, cl)) {
    nlmsgCancel(skb, nlh);
    return false;
  }
  nlmsgEnd(skb, nlh);
  return true;
}

/** The classes of one device; args[0]: how many are told. @kernel tc_dump_tclass net/sched/sch_api.c */
export function tcDumpTclass(skb: SkBuff, cb: NetlinkCallback): number {
  if (cb.msg.length < NLMSG_HDRLEN + tcmsg.LEN) return 0;
  const v = new DataView(cb.msg.buffer, cb.msg.byteOffset, cb.msg.byteLength);
  const dev = __devGetByIndex(cb.net, tcmsg.ifindex(v, NLMSG_HDRLEN));
  if (dev === null) return 0;
  const parent = (tcmsg.parent(v, NLMSG_HDRLEN) & TC_H_MAJ_MASK) >>> 0;
  const done = cb.args[0] ?? 0;
  let n = 0;
  let full = false;
  for (const q of qdiscListed(dev)) {
    const { clOps } = q.ops;
    if (clOps === undefined || (parent !== 0 && parent !== q.handle)) continue;
    clOps.walk(q, (cl) => {
      if (n++ < done || full) return;
      full = !tcFillTclass(skb, q, clOps, cl, cb);
      if (!full) cb.args[0] = n;
    });
  }
  return full ? (skb.len > 0 ? 1 : -EMSGSIZE) : 0;
}
