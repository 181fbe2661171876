/**
 * Generic netlink: families of messages with names, and the controller that tells their numbers.
 *
 * Counterpart: net/netlink/genetlink.c. Families have no multicast groups here.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { GenlFamily } from '#include/net/genetlink.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkSock } from '#include/net/netlink_sock.ts';
import type { NetlinkExtAck } from '#include/net/rtnetlink.ts';
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
  nlaPutString,
  nlaPutU16,
  nlaPutU32,
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
  CTRL_ATTR_MAXATTR,
  CTRL_ATTR_VERSION,
  CTRL_CMD_GETFAMILY,
  CTRL_CMD_NEWFAMILY,
  GENL_HDRLEN,
  GENL_ID_CTRL,
} from '#uapi/genetlink.ts';
import { NETLINK_GENERIC, NLM_F_DUMP, NLMSG_HDRLEN } from '#uapi/netlink.ts';

/** Registers a family under the next free number. @kernel genl_register_family net/netlink/genetlink.c */
export function genlRegisterFamily(machine: Machine, family: GenlFamily): number {
  const families = machine.netGlobals.genlFamilies;
  if (families.some((f) => f.name === family.name)) return -EEXIST;
  family.id = GENL_ID_CTRL + families.length;
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

/** A family by name or number. @kernel ctrl_getfamily net/netlink/genetlink.c */
function ctrlGetfamily(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const attrs = nlmsgParse(msg, GENL_HDRLEN, CTRL_ATTR_MAXATTR, null, extack);
  if (typeof attrs === 'number') return attrs;
  const families = netlinkRequester(skb).net.machine.netGlobals.genlFamilies;
  const id = attrs[CTRL_ATTR_FAMILY_ID];
  const name = attrs[CTRL_ATTR_FAMILY_NAME];
  if (id === undefined && name === undefined) return -EINVAL;
  const family = families.find(
    (f) =>
      (name !== undefined && f.name === nlaGetString(name)) ||
      (id !== undefined && f.id === nlaGetU16(id)),
  );
  const ctrl = families[0];
  if (family === undefined || ctrl === undefined) return -ENOENT;
  return genlReply(skb, msg, ctrl, CTRL_CMD_NEWFAMILY, (answer) => {
    nlaPutString(answer, CTRL_ATTR_FAMILY_NAME, family.name);
    nlaPutU16(answer, CTRL_ATTR_FAMILY_ID, family.id);
    nlaPutU32(answer, CTRL_ATTR_VERSION, family.version);
    nlaPutU32(answer, CTRL_ATTR_HDRSIZE, 0);
    nlaPutU32(answer, CTRL_ATTR_MAXATTR, family.maxattr);
  });
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
    maxattr: CTRL_ATTR_MAXATTR,
    ops: new Map([[CTRL_CMD_GETFAMILY, { doit: ctrlGetfamily, dumpit: null }]]),
  });
  if (err !== 0) return err;
  return registerPernetSubsys(machine, {
    name: 'genetlink',
    init: genlPernetInit,
    exit: genlPernetExit,
  });
}
