/** Kinds of virtual devices and message handlers. Counterpart of include/net/rtnetlink.h. */

import type { InIfaddr } from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { FibAlias, NlInfo } from '#include/net/ip_fib.ts';
import type { Neighbour } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';

/** Attributes of one message by type: views of the payload. Absent: undefined. */
export type NlattrTable = readonly (Uint8Array | undefined)[];

/** Filled by handlers that refuse a message. @kernel netlink_ext_ack include/linux/netlink.h */
export class NetlinkExtAck {
  /** Text for the user, e.g. `Device is not up`. */
  msg = '';
  /** Offset in the message of the attribute at fault; 0: none. */
  badAttrOffset = 0;
  /** Type of a required attribute that is missing; -1: none. */
  missType = -1;
}

/** A kind of device that `ip link add type KIND` makes. @kernel rtnl_link_ops include/net/rtnetlink.h */
export interface RtnlLinkOps {
  readonly kind: string;
  /** Allocates the device, unregistered; with so many queues, where the type can have several. */
  alloc(net: Net, name: string, txqs: number, rxqs: number): NetDevice;
  validate: ((tb: NlattrTable, data: NlattrTable, extack: NetlinkExtAck) => number) | null;
  /** Registers the device; null: register_netdevice alone. */
  newlink:
    | ((
        srcNet: Net,
        dev: NetDevice,
        tb: NlattrTable,
        data: NlattrTable,
        extack: NetlinkExtAck,
      ) => number)
    | null;
  changelink:
    | ((dev: NetDevice, tb: NlattrTable, data: NlattrTable, extack: NetlinkExtAck) => number)
    | null;
  dellink: ((dev: NetDevice) => void) | null;
  /** Appends IFLA_INFO_DATA attributes. */
  fillInfo: ((skb: SkBuff, dev: NetDevice) => number) | null;
  readonly maxtype: number;
}

/** Handles one request: 0 or a negative errno. `msg` is the whole nlmsg. */
export type RtnlDoit = (skb: SkBuff, msg: Uint8Array, extack: NetlinkExtAck) => number;
/** Appends entries to `skb` from where `cb.args` left off; > 0 means: call again, 0: done. */
export type RtnlDumpit = (skb: SkBuff, cb: NetlinkCallback) => number;

/** State of a dump between reads. @kernel netlink_callback include/linux/netlink.h */
export interface NetlinkCallback {
  readonly net: Net;
  /** The request. */
  readonly msg: Uint8Array;
  readonly portid: number;
  readonly seq: number;
  /** Cursor of the handler; starts as zeros. */
  readonly args: Float64Array;
  /** Any structure a handler keeps over the dump. */
  ctx: object | null;
  /** Generation at the start, for NLM_F_DUMP_INTR. */
  devSeq: number;
  readonly extack: NetlinkExtAck;
}

/** The part of a link request that describes the other end of a pair. */
export interface RtnlPeerInfo {
  /** Where it asks to be; null: nowhere in particular. */
  readonly net: Net | null;
  /** Null: it asks for none. */
  readonly name: string | null;
  readonly flags: number;
  readonly change: number;
  readonly tb: NlattrTable;
}

/**
 * What rtnetlink gives to those below it, who may be without: notifications, and the making of
 * links for drivers of pairs.
 */
export interface RtnetlinkOps {
  /** @kernel rtmsg_ifinfo net/core/rtnetlink.c */
  rtmsgIfinfo(type: number, dev: NetDevice, change: number): void;
  /** @kernel __neigh_notify net/core/neighbour.c */
  neighNotify(neigh: Neighbour, type: number, flags: number, portid: number): void;
  /** @kernel rtnl_nla_parse_ifinfomsg net/core/rtnetlink.c */
  nlaParseIfinfomsg(net: Net, nla: Uint8Array, extack: NetlinkExtAck): RtnlPeerInfo | number;
  /** @kernel rtnl_create_link net/core/rtnetlink.c */
  createLink(
    net: Net,
    name: string,
    ops: RtnlLinkOps,
    tb: NlattrTable,
    extack: NetlinkExtAck,
  ): NetDevice | number;
  /** @kernel rtnl_configure_link net/core/rtnetlink.c */
  configureLink(dev: NetDevice, flags: number, change: number): number;
}

/** The notifications of IPv4's addresses and routes. */
export interface InetRtnlOps {
  /** @kernel rtmsg_ifa net/ipv4/devinet.c */
  rtmsgIfa(event: number, ifa: InIfaddr, portid: number): void;
  /** @kernel rtmsg_fib net/ipv4/fib_semantics.c */
  rtmsgFib(event: number, key: number, fa: FibAlias, info: NlInfo, nlmFlags: number): void;
}
