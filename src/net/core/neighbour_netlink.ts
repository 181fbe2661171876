/**
 * Neighbours by rtnetlink: `ip neigh add|del|change|replace|get|show`.
 *
 * Counterpart of neigh_add, neigh_delete, neigh_get and neigh_dump_info of net/core/neighbour.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import {
  NEIGH_UPDATE_F_ADMIN,
  NEIGH_UPDATE_F_EXT_LEARNED,
  NEIGH_UPDATE_F_ISROUTER,
  NEIGH_UPDATE_F_MANAGED,
  NEIGH_UPDATE_F_OVERRIDE,
  NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
  NEIGH_UPDATE_F_USE,
  type Neighbour,
  type NeighTable,
  NTF_EXT_SHIFT,
  NTF_MANAGED,
  type PneighEntry,
} from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback, NetlinkExtAck, NlattrTable } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import {
  neighCreateFlags,
  neighLookup,
  neighManagedArm,
  neighRemoveOne,
} from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { NEIGH_NLMSG_SIZE, neighFillInfo, pneighFillInfo } from '#net/core/neighbour_notify.ts';
import { __neighUpdate, neighEventSend } from '#net/core/neighbour_nud.ts';
import { pneighCreate, pneighDelete, pneighLookup } from '#net/core/neighbour_proxy.ts';
import {
  rtnlRegister,
  rtnlRequestNet,
  rtnlRequestPortid,
  rtnlUnicast,
} from '#net/core/rtnetlink.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import {
  type NlaPolicy,
  nlaGetU8,
  nlaGetU32,
  nlmsgFlags,
  nlmsgNew,
  nlmsgParse,
  nlmsgSeq,
} from '#net/netlink/nlattr.ts';
import { EAFNOSUPPORT, EEXIST, EINVAL, ENOBUFS, ENODEV, ENOENT } from '#uapi/errno.ts';
import {
  NDA_DST,
  NDA_FLAGS_EXT,
  NDA_IFINDEX,
  NDA_LLADDR,
  NDA_MASTER,
  NDA_MAX,
  NDA_PROTOCOL,
  NTF_EXT_LEARNED,
  NTF_PROXY,
  NTF_ROUTER,
  NTF_USE,
  NUD_FAILED,
  NUD_PERMANENT,
  ndmsg,
} from '#uapi/neighbour.ts';
import {
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_MULTI,
  NLM_F_REPLACE,
  NLMSG_HDRLEN,
} from '#uapi/netlink.ts';
import { RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH } from '#uapi/rtnetlink.ts';
import { PF_UNSPEC } from '#uapi/socket.ts';

/** @kernel nda_policy net/core/neighbour.c */
function ndaPolicy(): (NlaPolicy | undefined)[] {
  const policy: (NlaPolicy | undefined)[] = [];
  policy[NDA_PROTOCOL] = { kind: 'u8' };
  policy[NDA_IFINDEX] = { kind: 'u32' };
  policy[NDA_MASTER] = { kind: 'u32' };
  policy[NDA_FLAGS_EXT] = { kind: 'u32' };
  return policy;
}

function fail(extack: NetlinkExtAck, err: number, msg: string): number {
  extack.msg = msg;
  return err;
}

/** The parts of a request that every handler needs. */
interface NeighRequest {
  readonly net: Net;
  readonly tbl: NeighTable;
  readonly dev: NetDevice | null;
  readonly key: number;
  readonly state: number;
  /** NTF_* and, shifted, NTF_EXT_*. */
  readonly flags: number;
  readonly tb: NlattrTable;
}

function neighFindTable(machine: Machine, family: number): NeighTable | null {
  return machine.netGlobals.neighTables.find((tbl) => tbl.family === family) ?? null;
}

/** Reads a request; a negative errno with its text when it is not one. */
function parseRequest(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): NeighRequest | number {
  const net = rtnlRequestNet(skb);
  const tb = nlmsgParse(msg, ndmsg.LEN, NDA_MAX, ndaPolicy(), extack);
  if (typeof tb === 'number') return tb;
  const dst = tb[NDA_DST];
  if (dst === undefined) return fail(extack, -EINVAL, 'Network address not specified');
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const ext = tb[NDA_FLAGS_EXT];
  const flags =
    ndmsg.flags(v, NLMSG_HDRLEN) | (ext === undefined ? 0 : nlaGetU32(ext) << NTF_EXT_SHIFT);
  const ifindex = ndmsg.ifindex(v, NLMSG_HDRLEN);
  const dev = ifindex === 0 ? null : (net.devIndexHead.get(ifindex) ?? null);
  if (ifindex !== 0 && dev === null) return -ENODEV;
  const lladdr = tb[NDA_LLADDR];
  if (dev !== null && lladdr !== undefined && lladdr.length < dev.addrLen) {
    return fail(extack, -EINVAL, 'Invalid link address');
  }
  const tbl = neighFindTable(net.machine, ndmsg.family(v, NLMSG_HDRLEN));
  if (tbl === null) return -EAFNOSUPPORT;
  if (dst.length < tbl.keyLen) return fail(extack, -EINVAL, 'Invalid network address');
  const key = tbl.ops.keyFromBytes(dst);
  return { net, tbl, dev, key, state: ndmsg.state(v, NLMSG_HDRLEN), flags, tb };
}

/** The entry that a request is about, made when the request allows; with a reference. */
function neighOfAdd(
  req: NeighRequest,
  dev: NetDevice,
  nlflags: number,
  extack: NetlinkExtAck,
): Neighbour | number {
  const { tbl, key, flags } = req;
  const permanent = (req.state & NUD_PERMANENT) !== 0;
  const neigh = neighLookup(tbl, key, dev);
  if (neigh !== null) {
    if ((nlflags & NLM_F_EXCL) === 0) return neigh;
    neighRelease(neigh);
    return -EEXIST;
  }
  if ((nlflags & NLM_F_CREATE) === 0) return -ENOENT;
  if (permanent && (flags & NTF_MANAGED) !== 0) {
    return fail(extack, -EINVAL, 'Invalid NTF_* flag for permanent entry');
  }
  const exemptFromGc = permanent || (flags & NTF_EXT_LEARNED) !== 0;
  const keep = flags & (NTF_EXT_LEARNED | NTF_MANAGED);
  return neighCreateFlags(tbl, key, dev, keep, exemptFromGc, true);
}

/** NEIGH_UPDATE_F_* of an administrator's request. */
function updateFlags(flags: number, override: boolean): number {
  return (
    NEIGH_UPDATE_F_ADMIN |
    (override ? NEIGH_UPDATE_F_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE_ISROUTER : 0) |
    ((flags & NTF_EXT_LEARNED) !== 0 ? NEIGH_UPDATE_F_EXT_LEARNED : 0) |
    ((flags & NTF_ROUTER) !== 0 ? NEIGH_UPDATE_F_ISROUTER : 0) |
    ((flags & NTF_MANAGED) !== 0 ? NEIGH_UPDATE_F_MANAGED : 0) |
    ((flags & NTF_USE) !== 0 ? NEIGH_UPDATE_F_USE : 0)
  );
}

/** RTM_NEWNEIGH. @kernel neigh_add net/core/neighbour.c */
function neighAdd(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseRequest(skb, msg, extack);
  if (typeof req === 'number') return req;
  const { net, tbl, dev, key, flags, tb } = req;
  const protocol = tb[NDA_PROTOCOL] === undefined ? 0 : nlaGetU8(tb[NDA_PROTOCOL]);
  if ((flags & NTF_PROXY) !== 0) {
    if ((flags & NTF_MANAGED) !== 0) {
      return fail(extack, -EINVAL, 'Invalid NTF_* flag combination');
    }
    const permanent = (req.state & NUD_PERMANENT) !== 0;
    return pneighCreate(tbl, net, key, dev, flags, protocol, permanent);
  }
  if (dev === null) return fail(extack, -EINVAL, 'Device not specified');
  if (!tbl.ops.allowAdd(dev, extack)) return -EINVAL;
  const nlflags = nlmsgFlags(msg);
  const existed = neighLookup(tbl, key, dev);
  if (existed !== null) neighRelease(existed);
  const neigh = neighOfAdd(req, dev, nlflags, extack);
  if (typeof neigh === 'number') return neigh;
  if (protocol !== 0) neigh.protocol = protocol;
  // An entry that exists only takes another address when the request says replace.
  const override = existed === null || (nlflags & NLM_F_REPLACE) !== 0;
  const lladdr = tb[NDA_LLADDR] ?? null;
  const err = __neighUpdate(
    neigh,
    lladdr,
    req.state,
    updateFlags(flags, override),
    rtnlRequestPortid(skb),
    extack,
  );
  if (err === 0 && (flags & (NTF_USE | NTF_MANAGED)) !== 0) {
    neighEventSend(neigh, null);
    neighManagedArm(tbl);
  }
  neighRelease(neigh);
  return err;
}

/** RTM_DELNEIGH. @kernel neigh_delete net/core/neighbour.c */
function neighDelete(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseRequest(skb, msg, extack);
  if (typeof req === 'number') return req;
  const { net, tbl, dev, key } = req;
  if ((req.flags & NTF_PROXY) !== 0) return pneighDelete(tbl, net, key, dev);
  if (dev === null) return -EINVAL;
  const neigh = neighLookup(tbl, key, dev);
  if (neigh === null) return -ENOENT;
  const flags = NEIGH_UPDATE_F_OVERRIDE | NEIGH_UPDATE_F_ADMIN;
  const err = __neighUpdate(neigh, null, NUD_FAILED, flags, rtnlRequestPortid(skb), extack);
  const alone = neigh.refcnt === 2;
  neighRelease(neigh);
  if (alone) neighRemoveOne(neigh);
  return err;
}

/** RTM_GETNEIGH of one entry. @kernel neigh_get net/core/neighbour.c */
function neighGet(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseRequest(skb, msg, extack);
  if (typeof req === 'number') return req;
  const { net, tbl, dev, key } = req;
  const portid = rtnlRequestPortid(skb);
  const seq = nlmsgSeq(msg);
  const answer = nlmsgNew(net.machine, NEIGH_NLMSG_SIZE);
  if (answer === null) return -ENOBUFS;
  let err: number;
  if ((req.flags & NTF_PROXY) !== 0) {
    const pn = pneighLookup(tbl, net, key, dev);
    err =
      pn === null
        ? fail(extack, -ENOENT, 'Proxy neighbour entry not found')
        : pneighFillInfo(answer, pn, portid, seq, RTM_NEWNEIGH, 0, tbl);
  } else if (dev === null) {
    err = fail(extack, -EINVAL, 'No device specified');
  } else {
    const neigh = neighLookup(tbl, key, dev);
    err = fail(extack, -ENOENT, 'Neighbour entry not found');
    if (neigh !== null) {
      extack.msg = '';
      err = neighFillInfo(answer, neigh, portid, seq, RTM_NEWNEIGH, 0);
      neighRelease(neigh);
    }
  }
  if (err < 0) {
    consumeSkb(answer, 'neigh_get');
    return err;
  }
  return rtnlUnicast(answer, net, portid);
}

/** What a dump request asks to be left out. @kernel neigh_dump_filter net/core/neighbour.c */
interface DumpFilter {
  readonly ifindex: number;
  readonly master: number;
  readonly proxy: boolean;
}

function dumpFilter(cb: NetlinkCallback): DumpFilter {
  const { msg } = cb;
  if (msg.length < NLMSG_HDRLEN + ndmsg.LEN) return { ifindex: 0, master: 0, proxy: false };
  const v = new DataView(msg.buffer, msg.byteOffset, msg.byteLength);
  const tb = nlmsgParse(msg, ndmsg.LEN, NDA_MAX, ndaPolicy(), null);
  const ifindex = typeof tb === 'number' ? undefined : tb[NDA_IFINDEX];
  const master = typeof tb === 'number' ? undefined : tb[NDA_MASTER];
  return {
    ifindex: ifindex === undefined ? ndmsg.ifindex(v, NLMSG_HDRLEN) : nlaGetU32(ifindex),
    master: master === undefined ? 0 : nlaGetU32(master),
    proxy: (ndmsg.flags(v, NLMSG_HDRLEN) & NTF_PROXY) !== 0,
  };
}

function wanted(dev: NetDevice | null, net: Net, filter: DumpFilter): boolean {
  if (dev === null) return filter.ifindex === 0;
  if (dev.net !== net) return false;
  if (filter.ifindex !== 0 && dev.ifindex !== filter.ifindex) return false;
  return filter.master === 0 || dev.master?.ifindex === filter.master;
}

/**
 * One table. args[1]: bucket, args[2]: place in its chain. True: the packet is full.
 * @kernel neigh_dump_table net/core/neighbour.c
 */
function neighDumpTable(
  tbl: NeighTable,
  skb: SkBuff,
  cb: NetlinkCallback,
  filter: DumpFilter,
): boolean {
  for (let h = cb.args[1] as number; h < tbl.buckets.length; h++) {
    let idx = 0;
    for (let n = tbl.buckets[h] as Neighbour | null; n !== null; n = n.next, idx++) {
      if (idx < (cb.args[2] as number) || !wanted(n.dev, cb.net, filter)) continue;
      if (neighFillInfo(skb, n, cb.portid, cb.seq, RTM_NEWNEIGH, NLM_F_MULTI) < 0) {
        cb.args[1] = h;
        cb.args[2] = idx;
        return true;
      }
    }
    cb.args[2] = 0;
  }
  return false;
}

/** @kernel pneigh_dump_table net/core/neighbour.c */
function pneighDumpTable(
  tbl: NeighTable,
  skb: SkBuff,
  cb: NetlinkCallback,
  filter: DumpFilter,
): boolean {
  for (let h = cb.args[1] as number; h < tbl.phashBuckets.length; h++) {
    const entries = tbl.phashBuckets[h] as PneighEntry[];
    for (const [idx, pn] of entries.entries()) {
      if (idx < (cb.args[2] as number) || pn.net !== cb.net) continue;
      if (!wanted(pn.dev, cb.net, filter)) continue;
      if (pneighFillInfo(skb, pn, cb.portid, cb.seq, RTM_NEWNEIGH, NLM_F_MULTI, tbl) < 0) {
        cb.args[1] = h;
        cb.args[2] = idx;
        return true;
      }
    }
    cb.args[2] = 0;
  }
  return false;
}

/** RTM_GETNEIGH for all entries. args[0]: table. @kernel neigh_dump_info net/core/neighbour.c */
function neighDumpInfo(skb: SkBuff, cb: NetlinkCallback): number {
  const tables = cb.net.machine.netGlobals.neighTables;
  const family = cb.msg[NLMSG_HDRLEN] ?? 0;
  const filter = dumpFilter(cb);
  for (let t = cb.args[0] as number; t < tables.length; t++) {
    const tbl = tables[t] as NeighTable;
    if (family !== 0 && tbl.family !== family) continue;
    cb.args[0] = t;
    const full = filter.proxy
      ? pneighDumpTable(tbl, skb, cb, filter)
      : neighDumpTable(tbl, skb, cb, filter);
    if (full) return skb.len;
    cb.args[1] = 0;
    cb.args[2] = 0;
  }
  cb.args[0] = tables.length;
  return 0;
}

/** @kernel neigh_init net/core/neighbour.c */
export function neighInit(machine: Machine): number {
  rtnlRegister(machine, PF_UNSPEC, RTM_NEWNEIGH, neighAdd, null);
  rtnlRegister(machine, PF_UNSPEC, RTM_DELNEIGH, neighDelete, null);
  rtnlRegister(machine, PF_UNSPEC, RTM_GETNEIGH, neighGet, neighDumpInfo);
  return 0;
}
