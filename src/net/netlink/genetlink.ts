/**
 * Generic netlink: families of messages with names, and the controller that tells their numbers.
 *
 * Counterpart: net/netlink/genetlink.c. Families have no multicast groups here.
 */

import { SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { GenlFamily } from '#include/net/genetlink.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkSock } from '#include/net/netlink_sock.ts';
import type { NetlinkCallback, NetlinkExtAck } from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import {
  netlinkDumpStart,
  netlinkKernelCreate,
  netlinkKernelRelease,
  netlinkRcvSkb,
  netlinkRequester,
  netlinkUnicast,
} from '#net/netlink/af_netlink.ts';
import {
  NLMSG_GOODSIZE,
  nlaGetString,
  nlaGetU16,
  nlaNestEnd,
  nlaNestStart,
  nlaPutString,
  nlaPutU16,
  nlaPutU32,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgFlags,
  nlmsgNew,
  nlmsgParse,
  nlmsgPut,
  nlmsgSeq,
  nlmsgType,
} from '#net/netlink/nlattr.ts';
import { EEXIST, EINVAL, ENOENT, ENOMEM, EOPNOTSUPP } from '#uapi/errno.ts';
import {
  CTRL_ATTR_FAMILY_ID,
  CTRL_ATTR_FAMILY_NAME,
  CTRL_ATTR_HDRSIZE,
  CTRL_ATTR_MAX,
  CTRL_ATTR_MAXATTR,
  CTRL_ATTR_OP_FLAGS,
  CTRL_ATTR_OP_ID,
  CTRL_ATTR_OPS,
  CTRL_ATTR_VERSION,
  CTRL_CMD_GETFAMILY,
  CTRL_CMD_NEWFAMILY,
  GENL_CMD_CAP_DO,
  GENL_CMD_CAP_DUMP,
  GENL_CMD_CAP_HASPOL,
  GENL_HDRLEN,
  GENL_ID_CTRL,
} from '#uapi/genetlink.ts';
import { NETLINK_GENERIC, NLM_F_DUMP, NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';

/** The two numbers behind the controller's belong to families of old. @kernel GENL_START_ALLOC net/netlink/genetlink.c */
const GENL_START_ALLOC = GENL_ID_CTRL + 3;

/** Registers a family under the next free number. @kernel genl_register_family net/netlink/genetlink.c */
export function genlRegisterFamily(machine: Machine, family: GenlFamily): number {
  const families = machine.netGlobals.genlFamilies;
  if (families.some((f) => f.name === family.name)) return -EEXIST;
  family.id = families.length === 0 ? GENL_ID_CTRL : GENL_START_ALLOC + families.length - 1;
  families.push(family);
  return 0;
}

/** Starts a message of a family; its header's address, or a negative errno. @kernel genlmsg_put net/netlink/genetlink.c */
export function genlmsgPut(
  skb: SkBuff,
  portid: number,
  seq: number,
  family: GenlFamily,
  flags: number,
  cmd: number,
): number {
  const nlh = nlmsgPut(skb, portid, seq, family.id, GENL_HDRLEN, flags);
  if (nlh < 0) return nlh;
  mem[nlh + NLMSG_HDRLEN] = cmd;
  mem[nlh + NLMSG_HDRLEN + 1] = family.version;
  return nlh;
}

/** Answers a request with one message that `fill` completes. Takes over nothing. @kernel genlmsg_reply include/net/genetlink.h */
export function genlReply(
  skb: SkBuff,
  msg: Uint8Array,
  family: GenlFamily,
  cmd: number,
  fill: (answer: SkBuff) => void,
): number {
  const { net, portid } = netlinkRequester(skb);
  const answer = nlmsgNew(net.machine, NLMSG_GOODSIZE);
  if (answer === null || net.genlSock === null) return -ENOMEM;
  const nlh = genlmsgPut(answer, portid, nlmsgSeq(msg), family, 0, cmd);
  fill(answer);
  nlmsgEnd(answer, nlh);
  const err = netlinkUnicast(net.genlSock, answer, portid);
  return err < 0 ? err : 0;
}

/** @kernel genl_rcv_msg net/netlink/genetlink.c */
function genlRcvMsg(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const { machine } = netlinkRequester(skb).net;
  const family = machine.netGlobals.genlFamilies.find((f) => f.id === nlmsgType(msg));
  if (family === undefined) return -ENOENT;
  if (msg.length < NLMSG_HDRLEN + GENL_HDRLEN) return -EINVAL;
  const op = family.ops.get(msg[NLMSG_HDRLEN] ?? 0);
  if (op === undefined) return -EOPNOTSUPP;
  if ((nlmsgFlags(msg) & NLM_F_DUMP) === NLM_F_DUMP) {
    return op.dumpit === null ? -EOPNOTSUPP : netlinkDumpStart(skb, msg, op.dumpit);
  }
  return op.doit === null ? -EOPNOTSUPP : op.doit(skb, msg, extack);
}

/** What there is to know of a family; 0 or -EMSGSIZE. @kernel ctrl_fill_info net/netlink/genetlink.c */
function ctrlFillInfo(skb: SkBuff, family: GenlFamily): number {
  let err = nlaPutString(skb, CTRL_ATTR_FAMILY_NAME, family.name);
  err ||= nlaPutU16(skb, CTRL_ATTR_FAMILY_ID, family.id);
  err ||= nlaPutU32(skb, CTRL_ATTR_VERSION, family.version);
  err ||= nlaPutU32(skb, CTRL_ATTR_HDRSIZE, 0);
  err ||= nlaPutU32(skb, CTRL_ATTR_MAXATTR, family.maxattr);
  if (err !== 0) return err;
  const nlaOps = nlaNestStart(skb, CTRL_ATTR_OPS, false);
  if (nlaOps < 0) return nlaOps;
  let index = 1;
  for (const [cmd, op] of family.ops) {
    let flags = (op.flags ?? 0) | GENL_CMD_CAP_HASPOL;
    if (op.doit !== null) flags |= GENL_CMD_CAP_DO;
    if (op.dumpit !== null) flags |= GENL_CMD_CAP_DUMP;
    const nest = nlaNestStart(skb, index++, false);
    if (nest < 0) return nest;
    err ||= nlaPutU32(skb, CTRL_ATTR_OP_ID, cmd);
    err ||= nlaPutU32(skb, CTRL_ATTR_OP_FLAGS, flags);
    nlaNestEnd(skb, nest);
  }
  nlaNestEnd(skb, nlaOps);
  return err;
}

/** A family by number or name; the name has the last word. @kernel ctrl_getfamily net/netlink/genetlink.c */
function ctrlGetfamily(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const attrs = nlmsgParse(msg, GENL_HDRLEN, CTRL_ATTR_MAX, null, extack);
  if (typeof attrs === 'number') return attrs;
  const families = netlinkRequester(skb).net.machine.netGlobals.genlFamilies;
  const id = attrs[CTRL_ATTR_FAMILY_ID];
  const name = attrs[CTRL_ATTR_FAMILY_NAME];
  if (id === undefined && name === undefined) return -EINVAL;
  const family =
    name === undefined
      ? families.find((f) => id !== undefined && f.id === nlaGetU16(id))
      : families.find((f) => f.name === nlaGetString(name));
  const ctrl = families[0];
  if (family === undefined || ctrl === undefined) return -ENOENT;
  return genlReply(skb, msg, ctrl, CTRL_CMD_NEWFAMILY, (answer) => ctrlFillInfo(answer, family));
}

/** All families. @kernel ctrl_dumpfamily net/netlink/genetlink.c */
function ctrlDumpfamily(skb: SkBuff, cb: NetlinkCallback): number {
  const families = cb.net.machine.netGlobals.genlFamilies;
  const ctrl = families[0] as GenlFamily;
  for (const family of families.slice(cb.args[0])) {
    const nlh = genlmsgPut(skb, cb.portid, cb.seq, ctrl, NLM_F_MULTI, CTRL_CMD_NEWFAMILY);
    if (nlh < 0) return 1;
    if (ctrlFillInfo(skb, family) !== 0) {
      nlmsgCancel(skb, nlh);
      return 1;
    }
    nlmsgEnd(skb, nlh);
    cb.args[0] = (cb.args[0] as number) + 1;
  }
  return 0;
}

/** @kernel genl_pernet_init net/netlink/genetlink.c */
function genlPernetInit(net: Net): number {
  net.genlSock = netlinkKernelCreate(net, NETLINK_GENERIC, (skb) => netlinkRcvSkb(skb, genlRcvMsg));
  return 0;
}

/** @kernel genl_pernet_exit net/netlink/genetlink.c */
function genlPernetExit(net: Net): void {
  if (net.genlSock === null) return;
  netlinkKernelRelease(net.genlSock as NetlinkSock);
  net.genlSock = null;
}

/** @kernel genl_init net/netlink/genetlink.c */
export function genlInit(machine: Machine): number {
  const err = genlRegisterFamily(machine, {
    id: 0,
    name: 'nlctrl',
    version: 2,
    maxattr: 0,
    ops: new Map([[CTRL_CMD_GETFAMILY, { doit: ctrlGetfamily, dumpit: ctrlDumpfamily }]]),
  });
  if (err !== 0) return err;
  return registerPernetSubsys(machine, {
    name: 'genetlink',
    init: genlPernetInit,
    exit: genlPernetExit,
  });
}

export const genlModule: KernelModule = {
  name: 'genetlink',
  config: null,
  depends: ['netlink'],
  level: SUBSYS_INITCALL,
  init: genlInit,
  exit: null,
};
