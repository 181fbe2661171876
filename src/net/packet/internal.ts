/** The packet socket. Counterpart of net/packet/internal.h. */
import type { PacketType } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { type Proto, Sock } from '#include/net/sock.ts';
import { sockDefCallbacks } from '#net/core/sock.ts';

/** An address or mode asked of a device. @kernel packet_mclist net/packet/internal.h */
export interface PacketMclist {
  readonly ifindex: number;
  /** PACKET_MR_* */
  readonly type: number;
  readonly addr: Uint8Array;
  count: number;
}

/** @kernel packet_sock net/packet/internal.h */
export class PacketSock extends Sock {
  /** ETH_P_* wanted, host order; 0: none. */
  num: number;
  /** Interface bound to; 0: all, -1: it is gone. */
  ifindex: number;
  /** On the list of receivers while `running`. */
  hook: PacketType | null;
  running: boolean;
  auxdata: boolean;
  origdev: boolean;
  ignoreOutgoing: boolean;
  tpPackets: number;
  tpDrops: number;
  readonly mclist: PacketMclist[];

  constructor(net: Net, family: number, prot: Proto) {
    super(net, family, prot, sockDefCallbacks);
    this.num = 0;
    this.ifindex = 0;
    this.hook = null;
    this.running = false;
    this.auxdata = false;
    this.origdev = false;
    this.ignoreOutgoing = false;
    this.tpPackets = 0;
    this.tpDrops = 0;
    this.mclist = [];
  }
}

/** @kernel pkt_sk net/packet/internal.h */
export function pktSk(sk: Sock): PacketSock {
  return sk as PacketSock;
}

/** What is known of a queued packet when it is read. @kernel packet_skb_cb net/packet/af_packet.c */
export class PacketSkbCb {
  /** Bytes before the filter cut it. */
  readonly origlen: number;
  readonly ifindex: number;
  readonly hatype: number;
  readonly pkttype: number;
  /** Link address of the sender. */
  readonly addr: Uint8Array;

  constructor(origlen: number, ifindex: number, hatype: number, pkttype: number, addr: Uint8Array) {
    this.origlen = origlen;
    this.ifindex = ifindex;
    this.hatype = hatype;
    this.pkttype = pkttype;
    this.addr = addr;
  }
}

/** @kernel PACKET_SKB_CB net/packet/af_packet.c */
export function packetSkbCb(skb: SkBuff): PacketSkbCb {
  return skb.cbRef as PacketSkbCb;
}
