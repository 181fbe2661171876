/** The netlink socket. Counterpart of net/netlink/af_netlink.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback, RtnlDumpit } from '#include/net/rtnetlink.ts';
import { type Proto, Sock, type SockCallbacks } from '#include/net/sock.ts';

/** @kernel netlink_sock net/netlink/af_netlink.h */
export class NetlinkSock extends Sock {
  /** Address of this socket; 0 for the kernel's. */
  portid: number;
  dstPortid: number;
  dstGroup: number;
  bound: boolean;
  /** Multicast groups joined, by number from 1. */
  readonly groups: Set<number>;
  capAck: boolean;
  extAck: boolean;
  strictChk: boolean;
  noEnobufs: boolean;
  pktinfo: boolean;
  /** Reader has been told of lost messages and must read before more come. */
  congested: boolean;
  /** The dump in progress; null when none. */
  cb: NetlinkDump | null;
  maxRecvmsgLen: number;
  /** Kernel sockets: takes a message of a user. */
  netlinkRcv: ((skb: SkBuff) => void) | null;

  constructor(net: Net, family: number, prot: Proto, callbacks: SockCallbacks) {
    super(net, family, prot, callbacks);
    this.portid = 0;
    this.dstPortid = 0;
    this.dstGroup = 0;
    this.bound = false;
    this.groups = new Set();
    this.capAck = false;
    this.extAck = false;
    this.strictChk = false;
    this.noEnobufs = false;
    this.pktinfo = false;
    this.congested = false;
    this.cb = null;
    this.maxRecvmsgLen = 0;
    this.netlinkRcv = null;
  }
}

/** A dump and where it stands. */
export interface NetlinkDump {
  readonly callback: NetlinkCallback;
  readonly dump: RtnlDumpit;
  /** Result of the last call, sent with NLMSG_DONE when not positive. */
  dumpDoneErrno: number;
}
