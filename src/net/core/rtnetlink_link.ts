/**
 * RTM_*LINK: making, changing, showing and removing interfaces.
 *
 * Counterpart of the link part of net/core/rtnetlink.c.
 */

import type { NetDevice } from '#include/linux/netdevice.ts';
import {
  NETDEV_CHANGE,
  NETDEV_CHANGE_TX_QUEUE_LEN,
  NETDEV_CHANGEADDR,
  NETDEV_CHANGEINFODATA,
  NETDEV_CHANGEMTU,
  NETDEV_CHANGENAME,
  NETDEV_CHANGEUPPER,
  NETDEV_FEAT_CHANGE,
  NETREG_REGISTERED,
  netifCarrierOk,
  RtnlLinkStats64,
} from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type {
  NetlinkCallback,
  NetlinkExtAck,
  NlattrTable,
  RtnlLinkOps,
  RtnlPeerInfo,
} from '#include/net/rtnetlink.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
import {
  __devChangeFlags,
  __devGetByIndex,
  __devGetByName,
  devChangeCarrier,
  devChangeFlags,
  devChangeName,
  devChangeTxQueueLen,
  devGetFlags,
  devGetStats,
  devSetMacAddress,
  devSetMtu,
  devValidName,
  registerNetdeviceNotifier,
} from '#net/core/dev.ts';
import { devChangeNetNamespace, freeNetdev, registerNetdevice } from '#net/core/dev_register.ts';
import { getNetNsByFd, getNetNsById } from '#net/core/net_namespace.ts';
import {
  rtnlHasListeners,
  rtnlNotify,
  rtnlRegister,
  rtnlRequestNet,
  rtnlRequestPortid,
  rtnlUnicast,
} from '#net/core/rtnetlink.ts';
import { rtnlLinkOpsGet } from '#net/core/rtnetlink_kinds.ts';
import {
  type NlaPolicy,
  nlaGetString,
  nlaGetU8,
  nlaGetU32,
  nlaNestCancel,
  nlaNestEnd,
  nlaNestStart,
  nlaParseNested,
  nlaPut,
  nlaPutString,
  nlaPutU8,
  nlaPutU32,
  nlaReserve,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgFlags,
  nlmsgNew,
  nlmsgParse,
  nlmsgPut,
  nlmsgSeq,
} from '#net/netlink/nlattr.ts';
import { EEXIST, EINVAL, EMSGSIZE, ENOBUFS, ENODEV, EOPNOTSUPP } from '#uapi/errno.ts';
import { IF_OPER_DORMANT, IF_OPER_DOWN, IF_OPER_UP, IFF_UP, IFNAMSIZ } from '#uapi/if.ts';
import {
  IFLA_ADDRESS,
  IFLA_ALLMULTI,
  IFLA_BROADCAST,
  IFLA_CARRIER,
  IFLA_CARRIER_CHANGES,
  IFLA_CARRIER_DOWN_COUNT,
  IFLA_CARRIER_UP_COUNT,
  IFLA_EXT_MASK,
  IFLA_GRO_MAX_SIZE,
  IFLA_GROUP,
  IFLA_GSO_MAX_SEGS,
  IFLA_GSO_MAX_SIZE,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_INFO_MAX,
  IFLA_LINK,
  IFLA_LINKINFO,
  IFLA_LINKMODE,
  IFLA_MAP,
  IFLA_MASTER,
  IFLA_MAX,
  IFLA_MAX_MTU,
  IFLA_MIN_MTU,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_NET_NS_PID,
  IFLA_NUM_RX_QUEUES,
  IFLA_NUM_TX_QUEUES,
  IFLA_OPERSTATE,
  IFLA_PERM_ADDRESS,
  IFLA_PROMISCUITY,
  IFLA_PROTO_DOWN,
  IFLA_QDISC,
  IFLA_STATS,
  IFLA_STATS64,
  IFLA_TARGET_NETNSID,
  IFLA_TSO_MAX_SEGS,
  IFLA_TSO_MAX_SIZE,
  IFLA_TXQLEN,
} from '#uapi/if_link.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_MULTI, NLMSG_HDRLEN } from '#uapi/netlink.ts';
import {
  ifinfomsg,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTM_SETLINK,
  RTNLGRP_LINK,
} from '#uapi/rtnetlink.ts';
import { PF_UNSPEC } from '#uapi/socket.ts';

/** Room for one link message with everything in it. */
const LINK_MSG_SIZE = 2048;
/** Most queues of a device that `ip link add` makes. */
const MAX_QUEUES = 4096;

const IFLA_POLICY: (NlaPolicy | undefined)[] = policyOfLinks();

function policyOfLinks(): (NlaPolicy | undefined)[] {
  const policy: (NlaPolicy | undefined)[] = [];
  policy[IFLA_IFNAME] = { kind: 'string', len: IFNAMSIZ - 1 };
  policy[IFLA_ADDRESS] = { kind: 'binary' };
  policy[IFLA_BROADCAST] = { kind: 'binary' };
  policy[IFLA_MTU] = { kind: 'u32' };
  policy[IFLA_LINK] = { kind: 'u32' };
  policy[IFLA_MASTER] = { kind: 'u32' };
  policy[IFLA_CARRIER] = { kind: 'u8' };
  policy[IFLA_TXQLEN] = { kind: 'u32' };
  policy[IFLA_OPERSTATE] = { kind: 'u8' };
  policy[IFLA_LINKMODE] = { kind: 'u8' };
  policy[IFLA_LINKINFO] = { kind: 'nested' };
  policy[IFLA_NET_NS_PID] = { kind: 'u32' };
  policy[IFLA_NET_NS_FD] = { kind: 'u32' };
  policy[IFLA_IFALIAS] = { kind: 'string', len: 255 };
  policy[IFLA_EXT_MASK] = { kind: 'u32' };
  policy[IFLA_PROMISCUITY] = { kind: 'u32' };
  policy[IFLA_NUM_TX_QUEUES] = { kind: 'u32' };
  policy[IFLA_NUM_RX_QUEUES] = { kind: 'u32' };
  policy[IFLA_GSO_MAX_SEGS] = { kind: 'u32' };
  policy[IFLA_GSO_MAX_SIZE] = { kind: 'u32' };
  policy[IFLA_GRO_MAX_SIZE] = { kind: 'u32' };
  policy[IFLA_GROUP] = { kind: 'u32' };
  return policy;
}

// Showing.

/** Sets the low 32 bits of a counter and, for the 64-bit table, the high ones. */
function putStats(skb: SkBuff, dev: NetDevice): boolean {
  const s = new RtnlLinkStats64();
  devGetStats(dev, s);
  const values = [
    s.rxPackets,
    s.txPackets,
    s.rxBytes,
    s.txBytes,
    s.rxErrors,
    s.txErrors,
    s.rxDropped,
    s.txDropped,
    s.multicast,
    s.collisions,
    s.rxLengthErrors,
    s.rxOverErrors,
    s.rxCrcErrors,
    s.rxFrameErrors,
    s.rxFifoErrors,
    s.rxMissedErrors,
    s.txAbortedErrors,
    s.txCarrierErrors,
    s.txFifoErrors,
    s.txHeartbeatErrors,
    s.txWindowErrors,
    s.rxCompressed,
    s.txCompressed,
    s.rxNohandler,
    s.rxOtherhostDropped,
  ];
  const wide = new DataView(new ArrayBuffer(values.length * 8));
  // struct rtnl_link_stats ends with rx_nohandler.
  const narrow = new DataView(new ArrayBuffer(24 * 4));
  values.forEach((value, i) => {
    wide.setUint32(i * 8, value % 0x100000000, true);
    wide.setUint32(i * 8 + 4, Math.floor(value / 0x100000000), true);
    if (i < 24) narrow.setUint32(i * 4, value % 0x100000000, true);
  });
  return (
    nlaPut(skb, IFLA_STATS64, new Uint8Array(wide.buffer)) === 0 &&
    nlaPut(skb, IFLA_STATS, new Uint8Array(narrow.buffer)) === 0
  );
}

/** @kernel rtnl_link_fill net/core/rtnetlink.c */
function rtnlLinkFill(skb: SkBuff, dev: NetDevice): boolean {
  const ops = dev.rtnlLinkOps;
  if (ops === null) return true;
  const info = nlaNestStart(skb, IFLA_LINKINFO, false);
  if (info < 0) return false;
  if (nlaPutString(skb, IFLA_INFO_KIND, ops.kind) !== 0) return false;
  if (ops.fillInfo !== null) {
    const data = nlaNestStart(skb, IFLA_INFO_DATA, false);
    if (data < 0) return false;
    if (ops.fillInfo(skb, dev) < 0) nlaNestCancel(skb, data);
    else nlaNestEnd(skb, data);
  }
  nlaNestEnd(skb, info);
  return true;
}

function putAddresses(skb: SkBuff, dev: NetDevice): boolean {
  if (dev.addrLen === 0) return true;
  const addr = dev.devAddr.subarray(0, dev.addrLen);
  const broadcast = dev.broadcast.subarray(0, dev.addrLen);
  if (nlaPut(skb, IFLA_ADDRESS, addr) !== 0 || nlaPut(skb, IFLA_BROADCAST, broadcast) !== 0) {
    return false;
  }
  const perm = dev.permAddr.subarray(0, dev.addrLen);
  return perm.every((byte) => byte === 0) || nlaPut(skb, IFLA_PERM_ADDRESS, perm) === 0;
}

/** The attributes that are one number each. */
function putNumbers(skb: SkBuff, dev: NetDevice): boolean {
  const iflink = dev.netdevOps.ndoGetIflink?.(dev) ?? dev.ifindex;
  const changes = dev.carrierUpCount + dev.carrierDownCount;
  return (
    nlaPutU32(skb, IFLA_TXQLEN, dev.txQueueLen) === 0 &&
    nlaPutU8(skb, IFLA_OPERSTATE, (dev.flags & IFF_UP) !== 0 ? dev.operstate : IF_OPER_DOWN) ===
      0 &&
    nlaPutU8(skb, IFLA_LINKMODE, dev.linkMode) === 0 &&
    nlaPutU32(skb, IFLA_MTU, dev.mtu) === 0 &&
    nlaPutU32(skb, IFLA_MIN_MTU, dev.minMtu) === 0 &&
    nlaPutU32(skb, IFLA_MAX_MTU, dev.maxMtu) === 0 &&
    nlaPutU32(skb, IFLA_GROUP, dev.group) === 0 &&
    nlaPutU32(skb, IFLA_PROMISCUITY, dev.promiscuity) === 0 &&
    nlaPutU32(skb, IFLA_ALLMULTI, dev.allmulti) === 0 &&
    nlaPutU32(skb, IFLA_NUM_TX_QUEUES, dev.numTxQueues) === 0 &&
    nlaPutU32(skb, IFLA_NUM_RX_QUEUES, dev.numRxQueues) === 0 &&
    nlaPutU32(skb, IFLA_GSO_MAX_SEGS, dev.gsoMaxSegs) === 0 &&
    nlaPutU32(skb, IFLA_GSO_MAX_SIZE, dev.gsoMaxSize) === 0 &&
    nlaPutU32(skb, IFLA_GRO_MAX_SIZE, dev.groMaxSize) === 0 &&
    nlaPutU32(skb, IFLA_TSO_MAX_SIZE, dev.tsoMaxSize) === 0 &&
    nlaPutU32(skb, IFLA_TSO_MAX_SEGS, dev.tsoMaxSegs) === 0 &&
    (iflink === dev.ifindex || nlaPutU32(skb, IFLA_LINK, iflink) === 0) &&
    (dev.master === null || nlaPutU32(skb, IFLA_MASTER, dev.master.ifindex) === 0) &&
    nlaPutU8(skb, IFLA_CARRIER, netifCarrierOk(dev) ? 1 : 0) === 0 &&
    nlaPutU32(skb, IFLA_CARRIER_CHANGES, changes) === 0 &&
    nlaPutU32(skb, IFLA_CARRIER_UP_COUNT, dev.carrierUpCount) === 0 &&
    nlaPutU32(skb, IFLA_CARRIER_DOWN_COUNT, dev.carrierDownCount) === 0 &&
    nlaPutU8(skb, IFLA_PROTO_DOWN, 0) === 0
  );
}

/** struct rtnl_link_ifmap: memory and interrupt of the device. */
function putMap(skb: SkBuff, dev: NetDevice): boolean {
  const at = nlaReserve(skb, IFLA_MAP, 32);
  if (at < 0) return false;
  mem[at + 24] = dev.irq & 0xff;
  mem[at + 25] = (dev.irq >> 8) & 0xff;
  return true;
}

/**
 * Appends one RTM_NEWLINK or RTM_DELLINK. 0 or -EMSGSIZE.
 * @kernel rtnl_fill_ifinfo net/core/rtnetlink.c
 */
function rtnlFillIfinfo(
  skb: SkBuff,
  dev: NetDevice,
  type: number,
  portid: number,
  seq: number,
  change: number,
  flags: number,
): number {
  const nlh = nlmsgPut(skb, portid, seq, type, ifinfomsg.LEN, flags);
  if (nlh < 0) return nlh;
  const header = new Uint8Array(ifinfomsg.LEN);
  const v = new DataView(header.buffer);
  ifinfomsg.setType(v, 0, dev.type);
  ifinfomsg.setIndex(v, 0, dev.ifindex);
  ifinfomsg.setFlags(v, 0, devGetFlags(dev));
  ifinfomsg.setChange(v, 0, change);
  mem.set(header, nlh + NLMSG_HDRLEN);
  const ok =
    nlaPutString(skb, IFLA_IFNAME, dev.name) === 0 &&
    putNumbers(skb, dev) &&
    (dev.qdisc === null || nlaPutString(skb, IFLA_QDISC, dev.qdisc.ops.id) === 0) &&
    (dev.ifalias === '' || nlaPutString(skb, IFLA_IFALIAS, dev.ifalias) === 0) &&
    putMap(skb, dev) &&
    putAddresses(skb, dev) &&
    putStats(skb, dev) &&
    rtnlLinkFill(skb, dev);
  if (!ok) {
    nlmsgCancel(skb, nlh);
    return -EMSGSIZE;
  }
  nlmsgEnd(skb, nlh);
  return 0;
}

/** Lists the devices of the namespace; args[0] counts those done. @kernel rtnl_dump_ifinfo net/core/rtnetlink.c */
function rtnlDumpIfinfo(skb: SkBuff, cb: NetlinkCallback): number {
  const tb = nlmsgParse(
    cb.msg,
    Math.min(ifinfomsg.LEN, cb.msg.length - NLMSG_HDRLEN),
    IFLA_MAX,
    IFLA_POLICY,
    cb.extack,
  );
  if (typeof tb === 'number') return tb;
  const master = tb[IFLA_MASTER];
  const linkinfo = tb[IFLA_LINKINFO];
  const kind = linkinfo === undefined ? undefined : infoOf(linkinfo)?.[IFLA_INFO_KIND];
  // By index, so that devices that come and go between two reads shift nothing.
  const after = cb.args[0] ?? 0;
  const devices = [...cb.net.devIndexHead.values()].sort((a, b) => a.ifindex - b.ifindex);
  for (const dev of devices) {
    if (dev.ifindex <= after) continue;
    if (master !== undefined && dev.master?.ifindex !== nlaGetU32(master)) continue;
    if (kind !== undefined && dev.rtnlLinkOps?.kind !== nlaGetString(kind)) continue;
    if (rtnlFillIfinfo(skb, dev, RTM_NEWLINK, cb.portid, cb.seq, 0, NLM_F_MULTI) < 0) {
      return skb.len > 0 ? 1 : -EMSGSIZE;
    }
    cb.args[0] = dev.ifindex;
  }
  return 0;
}

function infoOf(nla: Uint8Array): NlattrTable | null {
  const table = nlaParseNested(nla, IFLA_INFO_MAX, null, null);
  return typeof table === 'number' ? null : table;
}

/** The device that a request names by index or name; null when it names none that exists. */
function deviceOf(net: Net, index: number, tb: NlattrTable): NetDevice | null {
  if (index > 0) return __devGetByIndex(net, index);
  const name = tb[IFLA_IFNAME];
  return name === undefined ? null : __devGetByName(net, nlaGetString(name));
}

function parseLink(
  msg: Uint8Array,
  extack: NetlinkExtAck,
): { index: number; flags: number; change: number; tb: NlattrTable } | number {
  const tb = nlmsgParse(msg, ifinfomsg.LEN, IFLA_MAX, IFLA_POLICY, extack);
  if (typeof tb === 'number') return tb;
  const name = tb[IFLA_IFNAME];
  if (name !== undefined && nlaGetString(name) === '') return -EINVAL;
  const v = new DataView(msg.buffer, msg.byteOffset + NLMSG_HDRLEN);
  return {
    index: ifinfomsg.index(v, 0),
    flags: ifinfomsg.flags(v, 0),
    change: ifinfomsg.change(v, 0),
    tb,
  };
}

/**
 * The description of a second device inside a request: an ifinfomsg with attributes, as VETH_INFO_PEER
 * holds. `net` is where it asks to be, null: nowhere in particular; `name` null: it asks for none.
 * @kernel rtnl_nla_parse_ifinfomsg net/core/rtnetlink.c
 */
export function rtnlNlaParseIfinfomsg(
  net: Net,
  nla: Uint8Array,
  extack: NetlinkExtAck,
): RtnlPeerInfo | number {
  if (nla.length < ifinfomsg.LEN) {
    extack.msg = 'Invalid header length';
    return -EINVAL;
  }
  const v = new DataView(nla.buffer, nla.byteOffset);
  const index = ifinfomsg.index(v, 0);
  if (index < 0) {
    extack.msg = "ifindex can't be negative";
    return -EINVAL;
  }
  const tb = nlaParseNested(nla.subarray(ifinfomsg.LEN), IFLA_MAX, IFLA_POLICY, extack);
  if (typeof tb === 'number') return tb;
  const target = targetNet(net, tb);
  if (target === null) return -EINVAL;
  const ifname = tb[IFLA_IFNAME];
  const name = ifname === undefined ? null : nlaGetString(ifname);
  if (name !== null && !devValidName(name)) return -EINVAL;
  return {
    flags: ifinfomsg.flags(v, 0),
    change: ifinfomsg.change(v, 0),
    tb,
    net: target ?? null,
    name,
  };
}

/** @kernel rtnl_getlink net/core/rtnetlink.c */
function rtnlGetlink(inSkb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseLink(msg, extack);
  if (typeof req === 'number') return req;
  const net = rtnlRequestNet(inSkb);
  if (req.index <= 0 && req.tb[IFLA_IFNAME] === undefined) return -EINVAL;
  const dev = deviceOf(net, req.index, req.tb);
  if (dev === null) return -ENODEV;
  const skb = nlmsgNew(net.machine, LINK_MSG_SIZE);
  if (skb === null) return -ENOBUFS;
  const portid = rtnlRequestPortid(inSkb);
  rtnlFillIfinfo(skb, dev, RTM_NEWLINK, portid, nlmsgSeq(msg), 0, 0);
  return rtnlUnicast(skb, net, portid);
}

// Changing.

/** @kernel set_operstate net/core/rtnetlink.c */
function setOperstate(dev: NetDevice, transition: number): void {
  let { operstate } = dev;
  if (transition === IF_OPER_UP && operstate === IF_OPER_DORMANT) operstate = IF_OPER_UP;
  else if (transition === IF_OPER_DORMANT && operstate === IF_OPER_UP) operstate = IF_OPER_DORMANT;
  if (operstate === dev.operstate) return;
  dev.operstate = operstate;
  dev.net.machine.netGlobals.netdevChain.call(NETDEV_CHANGE, dev);
}

/** The namespace a request moves the device to; undefined: it stays; null: there is none such. */
function targetNet(net: Net, tb: NlattrTable): Net | null | undefined {
  const fd = tb[IFLA_NET_NS_FD];
  if (fd !== undefined) return getNetNsByFd(net.machine, nlaGetU32(fd));
  const id = tb[IFLA_TARGET_NETNSID];
  if (id !== undefined) return getNetNsById(net.machine, nlaGetU32(id));
  const pid = tb[IFLA_NET_NS_PID];
  if (pid === undefined) return undefined;
  return net.machine.tasks.find(nlaGetU32(pid))?.net ?? null;
}

/** What may fail, in Linux's order; 0 or the errno of the first that did. */
function doSetlinkChecked(dev: NetDevice, tb: NlattrTable, extack: NetlinkExtAck): number {
  const address = tb[IFLA_ADDRESS];
  if (address !== undefined) {
    if (address.length < dev.addrLen) return -EINVAL;
    const err = devSetMacAddress(dev, address.subarray(0, dev.addrLen), extack);
    if (err < 0) return err;
  }
  const mtu = tb[IFLA_MTU];
  if (mtu !== undefined) {
    const err = devSetMtu(dev, nlaGetU32(mtu), extack);
    if (err < 0) return err;
  }
  const name = tb[IFLA_IFNAME];
  if (name !== undefined && nlaGetString(name) !== dev.name) {
    const err = devChangeName(dev, nlaGetString(name));
    if (err < 0) return err;
  }
  const alias = tb[IFLA_IFALIAS];
  if (alias !== undefined) dev.ifalias = nlaGetString(alias);
  const broadcast = tb[IFLA_BROADCAST];
  if (broadcast !== undefined) {
    if (broadcast.length < dev.addrLen) return -EINVAL;
    dev.broadcast.set(broadcast.subarray(0, dev.addrLen));
    dev.net.machine.netGlobals.netdevChain.call(NETDEV_CHANGEADDR, dev);
  }
  return 0;
}

/** @kernel do_setlink net/core/rtnetlink.c */
function doSetlink(
  dev: NetDevice,
  flags: number,
  change: number,
  tb: NlattrTable,
  extack: NetlinkExtAck,
): number {
  const target = targetNet(dev.net, tb);
  if (target === null) return -EINVAL;
  if (target !== undefined && target !== dev.net) {
    const pattern = tb[IFLA_IFNAME];
    const err = devChangeNetNamespace(
      dev,
      target,
      pattern === undefined ? null : nlaGetString(pattern),
    );
    if (err < 0) return err;
  }
  const failed = doSetlinkChecked(dev, tb, extack);
  if (failed < 0) return failed;
  if (tb[IFLA_MASTER] !== undefined && nlaGetU32(tb[IFLA_MASTER]) !== 0) {
    extack.msg = 'Device type has no ports to enslave';
    return -EOPNOTSUPP;
  }
  if (flags !== 0 || change !== 0) {
    const wanted = change === 0 ? flags : (devGetFlags(dev) & ~change) | (flags & change);
    const err = devChangeFlags(dev, wanted, extack);
    if (err < 0) return err;
  }
  const carrier = tb[IFLA_CARRIER];
  if (carrier !== undefined) {
    const err = devChangeCarrier(dev, nlaGetU8(carrier) !== 0);
    if (err < 0) return err;
  }
  const txqlen = tb[IFLA_TXQLEN];
  if (txqlen !== undefined) {
    const err = devChangeTxQueueLen(dev, nlaGetU32(txqlen));
    if (err < 0) return err;
  }
  setNumbers(dev, tb);
  return 0;
}

/** The settings that cannot fail. */
function setNumbers(dev: NetDevice, tb: NlattrTable): void {
  const gsoMaxSize = tb[IFLA_GSO_MAX_SIZE];
  if (gsoMaxSize !== undefined) dev.gsoMaxSize = Math.min(nlaGetU32(gsoMaxSize), 65536);
  const gsoMaxSegs = tb[IFLA_GSO_MAX_SEGS];
  if (gsoMaxSegs !== undefined) dev.gsoMaxSegs = Math.min(nlaGetU32(gsoMaxSegs), 65535);
  const groMaxSize = tb[IFLA_GRO_MAX_SIZE];
  if (groMaxSize !== undefined) dev.groMaxSize = Math.min(nlaGetU32(groMaxSize), 65536);
  const group = tb[IFLA_GROUP];
  if (group !== undefined) dev.group = nlaGetU32(group);
  const operstate = tb[IFLA_OPERSTATE];
  if (operstate !== undefined) setOperstate(dev, nlaGetU8(operstate));
  const linkmode = tb[IFLA_LINKMODE];
  if (linkmode !== undefined) dev.linkMode = nlaGetU8(linkmode);
}

/** @kernel rtnl_setlink net/core/rtnetlink.c */
function rtnlSetlink(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseLink(msg, extack);
  if (typeof req === 'number') return req;
  if (req.index <= 0 && req.tb[IFLA_IFNAME] === undefined) return -EINVAL;
  const dev = deviceOf(rtnlRequestNet(skb), req.index, req.tb);
  return dev === null ? -ENODEV : doSetlink(dev, req.flags, req.change, req.tb, extack);
}

/** @kernel rtnl_dellink net/core/rtnetlink.c */
function rtnlDellink(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseLink(msg, extack);
  if (typeof req === 'number') return req;
  if (req.index <= 0 && req.tb[IFLA_IFNAME] === undefined) return -EINVAL;
  const dev = deviceOf(rtnlRequestNet(skb), req.index, req.tb);
  if (dev === null) return -ENODEV;
  const ops = dev.rtnlLinkOps;
  if (ops === null || ops.dellink === null) return -EOPNOTSUPP;
  ops.dellink(dev);
  return 0;
}

/** Makes and registers a device of a kind. @kernel rtnl_newlink_create net/core/rtnetlink.c */
function rtnlNewlinkCreate(
  net: Net,
  ops: RtnlLinkOps,
  flags: number,
  change: number,
  tb: NlattrTable,
  data: NlattrTable,
  extack: NetlinkExtAck,
): number {
  const target = targetNet(net, tb);
  if (target === null) return -EINVAL;
  const nameAttr = tb[IFLA_IFNAME];
  const name = nameAttr === undefined ? `${ops.kind}%d` : nlaGetString(nameAttr);
  if (nameAttr !== undefined && !devValidName(name)) return -EINVAL;
  const dev = rtnlCreateLink(target ?? net, name, ops, tb, extack);
  if (typeof dev === 'number') return dev;
  const err =
    ops.newlink !== null ? ops.newlink(net, dev, tb, data, extack) : registerNetdevice(dev);
  if (err < 0) {
    // A device that never got registered is ours to free.
    if (dev.regState !== NETREG_REGISTERED) freeNetdev(dev);
    return err;
  }
  return rtnlConfigureLink(dev, flags, change);
}

/** Queues asked for, one by default; 0: an impossible number. */
function queueCount(attr: Uint8Array | undefined): number {
  const count = attr === undefined ? 1 : nlaGetU32(attr);
  return count > MAX_QUEUES ? 0 : count;
}

/** A device of a kind with the attributes that come before registration. @kernel rtnl_create_link net/core/rtnetlink.c */
export function rtnlCreateLink(
  net: Net,
  name: string,
  ops: RtnlLinkOps,
  tb: NlattrTable,
  extack: NetlinkExtAck,
): NetDevice | number {
  const txqs = queueCount(tb[IFLA_NUM_TX_QUEUES]);
  const rxqs = queueCount(tb[IFLA_NUM_RX_QUEUES]);
  if (txqs === 0 || rxqs === 0) {
    extack.msg = `Invalid number of ${txqs === 0 ? 'transmit' : 'receive'} queues`;
    return -EINVAL;
  }
  const dev = ops.alloc(net, name, txqs, rxqs);
  dev.rtnlLinkOps = ops;
  const mtu = tb[IFLA_MTU];
  if (mtu !== undefined) {
    const value = nlaGetU32(mtu);
    if (value < dev.minMtu || (dev.maxMtu > 0 && value > dev.maxMtu)) {
      extack.msg =
        value < dev.minMtu ? 'mtu less than device minimum' : 'mtu greater than device maximum';
      freeNetdev(dev);
      return -EINVAL;
    }
    dev.mtu = value;
  }
  const address = tb[IFLA_ADDRESS];
  if (address !== undefined) {
    if (address.length < dev.addrLen) {
      freeNetdev(dev);
      return -EINVAL;
    }
    dev.devAddr.set(address.subarray(0, dev.addrLen));
    dev.addrAssignType = NET_ADDR_SET;
  }
  const txqlen = tb[IFLA_TXQLEN];
  if (txqlen !== undefined) dev.txQueueLen = nlaGetU32(txqlen);
  setNumbers(dev, tb);
  return dev;
}

/** The address was given by the user. @kernel NET_ADDR_SET include/uapi/linux/netdevice.h */
const NET_ADDR_SET = 3;

/** Brings a new device to the state asked for and announces it. @kernel rtnl_configure_link net/core/rtnetlink.c */
export function rtnlConfigureLink(dev: NetDevice, flags: number, change: number): number {
  if (flags !== 0 || change !== 0) {
    const wanted = change === 0 ? flags : (devGetFlags(dev) & ~change) | (flags & change);
    const err = __devChangeFlags(dev, wanted, null);
    if (err < 0) return err;
  }
  rtmsgIfinfo(RTM_NEWLINK, dev, 0xffffffff);
  return 0;
}

/** @kernel rtnl_newlink net/core/rtnetlink.c */
function rtnlNewlink(skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck): number {
  const req = parseLink(msg, extack);
  if (typeof req === 'number') return req;
  const net = rtnlRequestNet(skb);
  const { tb } = req;
  const dev = req.index > 0 || tb[IFLA_IFNAME] !== undefined ? deviceOf(net, req.index, tb) : null;
  const info = tb[IFLA_LINKINFO] === undefined ? null : infoOf(tb[IFLA_LINKINFO]);
  const kindAttr = info?.[IFLA_INFO_KIND];
  const kind = kindAttr === undefined ? '' : nlaGetString(kindAttr);
  const ops = kind === '' ? null : rtnlLinkOpsGet(net.machine, kind);
  const data = linkData(ops, info?.[IFLA_INFO_DATA], extack);
  if (typeof data === 'number') return data;
  const flags = nlmsgFlags(msg);
  if (dev !== null) {
    if ((flags & NLM_F_EXCL) !== 0) return -EEXIST;
    if (kind !== '' && info?.[IFLA_INFO_DATA] !== undefined) {
      if (ops === null || ops !== dev.rtnlLinkOps || ops.changelink === null) return -EOPNOTSUPP;
      const err = ops.changelink(dev, tb, data, extack);
      if (err < 0) return err;
    }
    return doSetlink(dev, req.flags, req.change, tb, extack);
  }
  if ((flags & NLM_F_CREATE) === 0) return -ENODEV;
  if (ops === null) {
    extack.msg = kind === '' ? '' : 'Unknown device type';
    return -EOPNOTSUPP;
  }
  const bad = ops.validate?.(tb, data, extack) ?? 0;
  if (bad < 0) return bad;
  return rtnlNewlinkCreate(net, ops, req.flags, req.change, tb, data, extack);
}

function linkData(
  ops: RtnlLinkOps | null,
  nla: Uint8Array | undefined,
  extack: NetlinkExtAck,
): NlattrTable | number {
  if (ops === null || nla === undefined) return [];
  return nlaParseNested(nla, ops.maxtype, null, extack);
}

// Notifications.

/** Tells the listeners of RTNLGRP_LINK. @kernel rtmsg_ifinfo net/core/rtnetlink.c */
export function rtmsgIfinfo(type: number, dev: NetDevice, change: number): void {
  const { net } = dev;
  if (dev.regState !== NETREG_REGISTERED && type !== RTM_DELLINK) return;
  if (!rtnlHasListeners(net, RTNLGRP_LINK)) return;
  const skb = nlmsgNew(net.machine, LINK_MSG_SIZE);
  if (skb === null) return;
  rtnlFillIfinfo(skb, dev, type, 0, 0, change, 0);
  rtnlNotify(skb, net, RTNLGRP_LINK);
}

const NOTIFIED_EVENTS: ReadonlySet<number> = new Set([
  NETDEV_CHANGEMTU,
  NETDEV_CHANGEADDR,
  NETDEV_CHANGENAME,
  NETDEV_FEAT_CHANGE,
  NETDEV_CHANGEUPPER,
  NETDEV_CHANGEINFODATA,
  NETDEV_CHANGE_TX_QUEUE_LEN,
]);

/** @kernel rtnetlink_event net/core/rtnetlink.c */
function rtnetlinkEvent(event: number, dev: NetDevice): number {
  if (NOTIFIED_EVENTS.has(event)) rtmsgIfinfo(RTM_NEWLINK, dev, 0);
  return 0;
}

/** @kernel rtnetlink_init net/core/rtnetlink.c */
export function rtnetlinkLinkInit(machine: Machine): number {
  registerNetdeviceNotifier(machine, { call: rtnetlinkEvent, priority: 0 });
  rtnlRegister(machine, PF_UNSPEC, RTM_GETLINK, rtnlGetlink, rtnlDumpIfinfo);
  rtnlRegister(machine, PF_UNSPEC, RTM_SETLINK, rtnlSetlink, null);
  rtnlRegister(machine, PF_UNSPEC, RTM_NEWLINK, rtnlNewlink, null);
  rtnlRegister(machine, PF_UNSPEC, RTM_DELLINK, rtnlDellink, null);
  return 0;
}
