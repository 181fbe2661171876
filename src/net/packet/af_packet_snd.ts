/** Sending frames. Counterpart of packet_snd in net/packet/af_packet.c. */
import type { Msghdr, Socket } from '#include/linux/net.ts';
import {
  devHardHeader,
  devParseHeaderProtocol,
  llReservedSpace,
  type NetDevice,
} from '#include/linux/netdevice.ts';
import {
  type SkBuff,
  skbReserve,
  skbResetMacHeader,
  skbResetNetworkHeader,
} from '#include/linux/skbuff.ts';
import type { Sock } from '#include/net/sock.ts';
import { __devGetByIndex } from '#net/core/dev.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { copyFromIter } from '#net/core/iov_iter.ts';
import { kfreeSkb, skbPut } from '#net/core/skbuff.ts';
import { skbSetupTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import {
  type SockcmCookie,
  sockAllocSendSkb,
  sockCmsgSend,
  sockcmInit,
} from '#net/core/sock_alloc.ts';
import { type PacketSock, pktSk } from '#net/packet/internal.ts';
import { EFAULT, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS, ENXIO } from '#uapi/errno.ts';
import { IFF_UP } from '#uapi/if.ts';
import { ETH_P_ALL } from '#uapi/if_ether.ts';
import { sockaddrLl } from '#uapi/if_packet.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';
import { SOCK_DGRAM, SOCK_RAW } from '#uapi/socket.ts';

/** A VLAN tag makes a frame longer than the MTU says. */
const VLAN_HLEN = 4;

const NET_XMIT_CN = 2;

/** Where a frame goes. */
interface Destination {
  readonly dev: NetDevice;
  readonly proto: number;
  readonly addr: Uint8Array | null;
}

/** By the message's name, or as bound: -EINVAL for a bad name, -ENXIO without an interface. */
function destinationOf(po: PacketSock, msg: Msghdr): Destination | number {
  const name = msg.msgName;
  if (name === null) {
    const dev = __devGetByIndex(po.net, po.ifindex);
    return dev === null ? -ENXIO : { dev, proto: po.num, addr: null };
  }
  if (name.length < sockaddrLl.LEN) return -EINVAL;
  const v = new DataView(name.buffer, name.byteOffset, name.length);
  if (name.length < sockaddrLl.ADDR + sockaddrLl.halen(v, 0)) return -EINVAL;
  const dev = __devGetByIndex(po.net, sockaddrLl.ifindex(v, 0));
  if (dev === null) return -ENXIO;
  const proto = sockaddrLl.protocol(v, 0);
  if (po.skType !== SOCK_DGRAM) return { dev, proto, addr: null };
  if (name.length < sockaddrLl.ADDR + dev.addrLen) return -EINVAL;
  return { dev, proto, addr: name.subarray(sockaddrLl.ADDR, sockaddrLl.ADDR + dev.addrLen) };
}

/** Lays the frame out: header room, link header, the bytes of the message. */
function fill(po: PacketSock, skb: SkBuff, dest: Destination, msg: Msghdr, len: number): number {
  const { dev } = dest;
  const raw = po.skType === SOCK_RAW;
  // A raw frame brings its link header along: that part of the reserve is not wanted.
  skbReserve(skb, llReservedSpace(dev) - (raw ? dev.hardHeaderLen : 0));
  skb.dev = dev;
  skb.protocol = dest.proto;
  skbResetNetworkHeader(skb);
  if (!raw && devHardHeader(skb, dev, dest.proto, dest.addr, null, len) < 0) return -EINVAL;
  const at = skbPut(skb, len);
  if (copyFromIter(at, len, msg.msgIter) !== len) return -EFAULT;
  if (skb.len === 0 || (raw && len < dev.hardHeaderLen)) return -EINVAL;
  return 0;
}

/** Finds the headers of a raw frame. @kernel packet_parse_headers net/packet/af_packet.c */
function parseHeaders(po: PacketSock, skb: SkBuff, dev: NetDevice): void {
  skbResetMacHeader(skb);
  if (po.skType !== SOCK_RAW) return;
  skb.networkHeader = skb.data + dev.hardHeaderLen;
  if (skb.protocol === 0 || skb.protocol === ETH_P_ALL) skb.protocol = devParseHeaderProtocol(skb);
}

function check(po: PacketSock, dev: NetDevice, len: number): number {
  if ((dev.flags & IFF_UP) === 0) return -ENETDOWN;
  const reserve = po.skType === SOCK_RAW ? dev.hardHeaderLen : 0;
  return len > dev.mtu + reserve + VLAN_HLEN ? -EMSGSIZE : 0;
}

/** Sends one frame: its length or a negative errno. @kernel packet_snd net/packet/af_packet.c */
export function packetSendmsg(sock: Socket, msg: Msghdr, len: number): number {
  const po = pktSk(sock.sk as Sock);
  const dest = destinationOf(po, msg);
  if (typeof dest === 'number') return dest;
  const { dev } = dest;
  const bad = check(po, dev, len);
  if (bad !== 0) return bad;
  const sockc: SockcmCookie = { transmitTime: 0, mark: 0, tsflags: 0, tsOptId: 0, priority: 0 };
  sockcmInit(sockc, po);
  const cmsg = sockCmsgSend(po, msg, sockc);
  if (cmsg !== 0) return cmsg;
  const skb = sockAllocSendSkb(po, llReservedSpace(dev) + len + dev.neededTailroom);
  if (typeof skb === 'number') return skb;
  const err = fill(po, skb, dest, msg, len);
  if (err !== 0) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'packet_snd');
    return err;
  }
  skb.priority = sockc.priority;
  skb.mark = sockc.mark;
  skbSetupTxTimestamp(skb, po, sockc);
  parseHeaders(po, skb, dev);
  const sent = devQueueXmit(skb);
  if (sent > 0) return sent === NET_XMIT_CN ? len : -ENOBUFS;
  return sent < 0 ? sent : len;
}
