/**
 * Building datagrams from users' data: corking, splitting into fragments as the data come, the
 * header at the end; and answers without a socket of their own. Counterpart of the second half of
 * net/ipv4/ip_output.c.
 *
 * A route given to these functions is theirs: its reference is kept by the cork or released.
 */
import type { Msghdr } from '#include/linux/net.ts';
import { NETIF_F_HW_CSUM, NETIF_F_IP_CSUM, NETIF_F_SG } from '#include/linux/netdev_features.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { llReservedSpace, NET_XMIT_CN } from '#include/linux/netdevice.ts';
import type { SkBuff, SkBuffHead } from '#include/linux/skbuff.ts';
import {
  __skbFillPageDesc,
  __skbPull,
  CHECKSUM_NONE,
  CHECKSUM_PARTIAL,
  MAX_SKB_FRAGS,
  SIZEOF_SKB_SHARED_INFO,
  SKB_CLOCK_MONOTONIC,
  skbCanCoalesce,
  skbFragSizeAdd,
  skbLenAdd,
  skbNetworkHeaderLen,
  skbNetworkOffset,
  skbReserve,
  skbResetNetworkHeader,
  skbSetDeliveryTime,
  skbSetHash,
  skbTailroom,
} from '#include/linux/skbuff.ts';
import { __skbDequeue, __skbDequeueTail, __skbQueueTail } from '#include/linux/skbuff_queue.ts';
import { dstMtu, dstRelease, skbDstSet } from '#include/net/dst.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import { FLOWI_FLAG_ANYSRC, FLOWI_FLAG_KNOWN_NH, flowi4InitOutput } from '#include/net/flow.ts';
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { IpAppendPlan, IpcmCookie, IpReplyArg } from '#include/net/ip.ts';
import {
  IP_MAX_MTU,
  IP_REPLY_ARG_NOSRCCHECK,
  IpOptions,
  ipcmInit,
  ipDontFragment,
  ipIncStats,
  ipOptionsCopy,
  ipSkIgnoreDf,
  ipSkUsePmtu,
} from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { __ipOptionsEcho, ipOptionsBuild } from '#include/net/ip_options_ops.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { InetCork, InetSock, Sock } from '#include/net/sock.ts';
import { csumAdd, csumBlockAdd, csumFold, csumSub } from '#lib/checksum.ts';
import { mem, memops, view } from '#mm/memory.ts';
import { getPage } from '#mm/page_alloc.ts';
import { copyFromIterFull, csumAndCopyFromIter } from '#net/core/iov_iter.ts';
import { __skbTrim, allocSkb, kfreeSkb, skbPut } from '#net/core/skbuff.ts';
import { pskbTrim } from '#net/core/skbuff_copy.ts';
import { skbCopyAndCsumBits } from '#net/core/skbuff_data.ts';
import { sockTxTimestamp } from '#net/core/skbuff_tstamp.ts';
import { skbSetOwnerW } from '#net/core/sock.ts';
import { SOCKCM_FLAG_TS_OPT_ID, sockAllocSendSkb } from '#net/core/sock_alloc.ts';
import { skPageFragRefill } from '#net/core/sock_mem.ts';
import { icmpOutCount } from '#net/ipv4/icmp_count.ts';
import { IPV4_MIN_MTU, ipLocalOut, ipSelectIdent, ipSelectTtl } from '#net/ipv4/ip_output.ts';
import { ipLocalError } from '#net/ipv4/ip_sockglue_error.ts';
import { ipRouteOutputFlow } from '#net/ipv4/route.ts';
import { EFAULT, EMSGSIZE, ENETUNREACH, ENOBUFS, ENOMEM } from '#uapi/errno.ts';
import { icmphdr } from '#uapi/icmp.ts';
import { IP_PMTUDISC_DO, IP_PMTUDISC_PROBE, IPPROTO_ICMP } from '#uapi/in.ts';
import { IP_DF, IPVERSION, iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_NOT_SPECIFIED,
  SKB_DROP_REASON_SKB_UCOPY_FAULT,
} from '#uapi/net_dropreason.ts';
import { SOF_TIMESTAMPING_OPT_ID } from '#uapi/net_tstamp.ts';
import { RT_SCOPE_UNIVERSE, RTN_MULTICAST } from '#uapi/rtnetlink.ts';
import { IPSTATS_MIB_OUTDISCARDS } from '#uapi/snmp.ts';
import { MSG_CONFIRM, MSG_DONTWAIT, MSG_MORE, MSG_PROBE, SOCK_RAW } from '#uapi/socket.ts';
import { tcphdr } from '#uapi/tcp.ts';

/** The cork holds options of its own. @kernel IPCORK_OPT include/net/inet_sock.h */
export const IPCORK_OPT = 1;
/** The sender gave the key of the timestamp. @kernel IPCORK_TS_OPT_ID include/net/inet_sock.h */
const IPCORK_TS_OPT_ID = 2;

/** Largest linear packet to be asked for. @kernel SKB_MAX_ALLOC include/linux/skbuff.h */
const SKB_MAX_ALLOC: number = 16384 - SIZEOF_SKB_SHARED_INFO;

/**
 * Brings `len` octets, from `offset` of the whole on, to packet memory at `to`, and adds them to
 * `skb.csum` unless the device will sum; `odd` octets of the packet are summed before. 0 or an errno.
 */
export type GetFrag<T> = (
  from: T,
  to: number,
  offset: number,
  len: number,
  odd: number,
  skb: SkBuff,
) => number;

/** The data of a sendmsg call. @kernel ip_generic_getfrag net/ipv4/ip_output.c */
export function ipGenericGetfrag(
  msg: Msghdr,
  to: number,
  _offset: number,
  len: number,
  odd: number,
  skb: SkBuff,
): number {
  if (skb.ipSummed === CHECKSUM_PARTIAL) {
    return copyFromIterFull(to, len, msg.msgIter) ? 0 : -EFAULT;
  }
  const csum = csumAndCopyFromIter(to, len, 0, msg.msgIter);
  if (csum < 0) return -EFAULT;
  skb.csum = csumBlockAdd(skb.csum, csum, odd);
  return 0;
}

/** Head room beyond the data for the link header's alignment. */
const ALLOC_SLACK = 15;

/** Does a new packet of `fraglen` octets keep its data in its head, and not in pages? */
function isLinear(plan: IpAppendPlan, fraglen: number): boolean {
  if (((plan.dev as NetDevice).features & NETIF_F_SG) === 0) return true;
  return !plan.paged && fraglen + plan.hhLen + ALLOC_SLACK < SKB_MAX_ALLOC;
}

/** An empty packet charged to the sender, or a negative errno. */
function allocFragment(sk: Sock, size: number, first: boolean): SkBuff | number {
  if (first) return sockAllocSendSkb(sk, size);
  // The call has begun: do not give up in the middle for a buffer that is only just full.
  const skb = sk.skWmemAlloc <= 2 * sk.skSndbuf ? allocSkb(sk.net.machine, size) : null;
  if (skb === null) return -ENOBUFS;
  skbSetOwnerW(skb, sk);
  return skb;
}

/**
 * Starts the next packet of the datagram. Returns how many octets of the user's data went into it,
 * or a negative errno.
 */
function appendNewSkb<T>(
  sk: Sock,
  queue: SkBuffHead,
  plan: IpAppendPlan,
  prev: SkBuff | null,
  getfrag: GetFrag<T>,
  from: T,
  offset: number,
  length: number,
  transhdrlen: number,
  csummode: number,
): number {
  const { maxfraglen, fragheaderlen, mtu } = plan;
  // Octets in the previous packet beyond the last multiple of 8 move into this one.
  const fraggap = prev === null ? 0 : prev.len - maxfraglen;
  let datalen = length + fraggap;
  if (datalen > mtu - fragheaderlen) datalen = maxfraglen - fragheaderlen;
  const fraglen = datalen + fragheaderlen;
  const pagedlen = isLinear(plan, fraglen) ? 0 : datalen - transhdrlen - fraggap;
  // Without scatter-gather whatever follows has to find room behind it.
  const room =
    (plan.flags & MSG_MORE) !== 0 && ((plan.dev as NetDevice).features & NETIF_F_SG) === 0;
  const alloclen = room ? mtu : fraglen - pagedlen;
  const skb = allocFragment(sk, alloclen + plan.hhLen + ALLOC_SLACK, transhdrlen !== 0);
  if (typeof skb === 'number') return skb;
  skb.ipSummed = csummode;
  skb.csum = 0;
  skbReserve(skb, plan.hhLen);
  let data = skbPut(skb, fraglen - pagedlen) + fragheaderlen;
  skbResetNetworkHeader(skb);
  skb.transportHeader = skb.networkHeader + fragheaderlen;
  if (fraggap !== 0 && prev !== null) {
    skb.csum = skbCopyAndCsumBits(prev, maxfraglen, data + transhdrlen, fraggap);
    prev.csum = csumSub(prev.csum, skb.csum);
    data += fraggap;
    pskbTrim(prev, maxfraglen);
  }
  const copy = datalen - transhdrlen - fraggap - pagedlen;
  if (copy > 0 && getfrag(from, data + transhdrlen, offset, copy, fraggap, skb) < 0) {
    kfreeSkb(skb, SKB_DROP_REASON_SKB_UCOPY_FAULT, '__ip_append_data');
    return -EFAULT;
  }
  if ((plan.flags & MSG_CONFIRM) !== 0 && prev === null) skb.dstPendingConfirm = true;
  __skbQueueTail(queue, skb);
  return copy;
}

/** Adds up to `want` octets to pages of the last packet; returns how many, or a negative errno. */
function appendPages<T>(
  sk: Sock,
  skb: SkBuff,
  getfrag: GetFrag<T>,
  from: T,
  offset: number,
  want: number,
): number {
  const { shinfo } = skb;
  let i = shinfo.nrFrags;
  const pfrag = skPageFragRefill(sk);
  if (pfrag === null) return -ENOMEM;
  const { page } = pfrag;
  if (!skbCanCoalesce(skb, i, page, pfrag.offset)) {
    if (i === MAX_SKB_FRAGS) return -EMSGSIZE;
    __skbFillPageDesc(skb, i, page, pfrag.offset, 0);
    shinfo.nrFrags = ++i;
    getPage(page);
  }
  const copy = Math.min(want, pfrag.size - pfrag.offset);
  if (getfrag(from, page + pfrag.offset, offset, copy, skb.len, skb) < 0) return -EFAULT;
  pfrag.offset += copy;
  skbFragSizeAdd(shinfo, i - 1, copy);
  skbLenAdd(skb, copy);
  sk.skWmemAlloc += copy;
  return copy;
}

/** Adds `copy` octets to the last packet. Octets added, or a negative errno. */
function appendToTail<T>(
  sk: Sock,
  plan: IpAppendPlan,
  skb: SkBuff,
  getfrag: GetFrag<T>,
  from: T,
  offset: number,
  copy: number,
): number {
  if (((plan.dev as NetDevice).features & NETIF_F_SG) === 0 && skbTailroom(skb) >= copy) {
    const off = skb.len;
    if (getfrag(from, skbPut(skb, copy), offset, copy, off, skb) < 0) {
      __skbTrim(skb, off);
      return -EFAULT;
    }
    return copy;
  }
  return appendPages(sk, skb, getfrag, from, offset, copy);
}

/** May the device compute the transport checksum of this datagram? */
function csumModeFor(plan: IpAppendPlan, length: number, transhdrlen: number, gso: number): number {
  const { flags } = plan;
  const { features } = plan.dev as NetDevice;
  const ok =
    transhdrlen !== 0 &&
    length + plan.fragheaderlen <= plan.mtu &&
    (features & (NETIF_F_HW_CSUM | NETIF_F_IP_CSUM)) !== 0 &&
    ((flags & MSG_MORE) === 0 || gso !== 0);
  return ok ? CHECKSUM_PARTIAL : CHECKSUM_NONE;
}

/** Only the first fragment of a datagram is time-stamped, and each datagram has a key. */
function stampFirst(sk: Sock, skb: SkBuff, cork: InetCork): void {
  const { shinfo } = skb;
  shinfo.txFlags = cork.txFlags;
  cork.txFlags = 0;
  if ((sk.skTsflags & SOF_TIMESTAMPING_OPT_ID) === 0) return;
  if ((cork.flags & IPCORK_TS_OPT_ID) !== 0) {
    shinfo.tskey = cork.tsOptId;
    return;
  }
  shinfo.tskey = sk.skTskey;
  sk.skTskey = (sk.skTskey + 1) | 0;
}

/**
 * Appends user data to the datagram in `queue`, as packets that are fragments ready for a header:
 * nothing needs cutting later. `length` includes `transhdrlen`, room for the transport header in the
 * first packet.
 * @kernel __ip_append_data net/ipv4/ip_output.c
 */
function __ipAppendData<T>(
  sk: Sock,
  fl4: Flowi4,
  queue: SkBuffHead,
  cork: InetCork,
  getfrag: GetFrag<T>,
  from: T,
  lengthIn: number,
  transhdrlenIn: number,
  flags: number,
): number {
  const inet = inetSk(sk);
  const rt = cork.dst as Rtable;
  const optlen = (cork.flags & IPCORK_OPT) !== 0 ? (cork.opt as IpOptions).optlen : 0;
  const dev = rt.dev as NetDevice;
  const mtu = cork.gsoSize !== 0 ? IP_MAX_MTU : cork.fragsize;
  const fragheaderlen = iphdr.LEN + optlen;
  const maxfraglen = ((mtu - fragheaderlen) & ~7) + fragheaderlen;
  const maxnonfragsize = ipSkIgnoreDf(inet) ? IP_MAX_MTU : mtu;
  if (cork.length + lengthIn > maxnonfragsize - fragheaderlen) {
    ipLocalError(sk, EMSGSIZE, fl4.daddr, inet.skcDport, mtu - optlen);
    return -EMSGSIZE;
  }
  const { plan } = sk.net.ipv4.sendmsgScratch;
  plan.dev = dev;
  plan.mtu = mtu;
  plan.paged = cork.gsoSize !== 0;
  plan.hhLen = llReservedSpace(dev);
  plan.fragheaderlen = fragheaderlen;
  plan.maxfraglen = maxfraglen;
  plan.flags = flags;
  let csummode = csumModeFor(plan, lengthIn, transhdrlenIn, cork.gsoSize);
  let length = lengthIn;
  let transhdrlen = transhdrlenIn;
  let offset = 0;
  const tskey = sk.skTskey;
  let fresh = queue.prev === null;
  cork.length += length;
  while (length > 0 || fresh) {
    const skb = queue.prev;
    let copy = skb === null ? 0 : mtu - skb.len;
    if (skb !== null && copy < length) copy = maxfraglen - skb.len;
    let n: number;
    if (skb === null || copy <= 0) {
      n = appendNewSkb(sk, queue, plan, skb, getfrag, from, offset, length, transhdrlen, csummode);
      if (n >= 0 && cork.txFlags !== 0) stampFirst(sk, queue.prev as SkBuff, cork);
      if (n >= 0) length -= transhdrlen;
      if (n >= 0) transhdrlen = 0;
      csummode = CHECKSUM_NONE;
      fresh = false;
    } else {
      n = appendToTail(sk, plan, skb, getfrag, from, offset, Math.min(copy, length));
    }
    if (n < 0) {
      cork.length -= length;
      sk.skTskey = tskey;
      ipIncStats(sk.net, IPSTATS_MIB_OUTDISCARDS);
      return n;
    }
    offset += n;
    length -= n;
  }
  return 0;
}

/**
 * Opens a datagram: notes what its header will say. On 0 the cork owns the route; otherwise it has
 * been released.
 * @kernel ip_setup_cork net/ipv4/ip_output.c
 */
function ipSetupCork(sk: Sock, cork: InetCork, ipc: IpcmCookie, rt: Rtable): number {
  const inet = inetSk(sk);
  cork.fragsize = ipSkUsePmtu(inet) ? dstMtu(rt) : (rt.dev as NetDevice).mtu;
  if (cork.fragsize < IPV4_MIN_MTU) {
    dstRelease(rt);
    return -ENETUNREACH;
  }
  const { opt } = ipc;
  if (opt !== null) {
    cork.opt ??= new IpOptions();
    ipOptionsCopy(cork.opt, opt);
    cork.flags |= IPCORK_OPT;
    cork.addr = ipc.addr;
  }
  cork.gsoSize = ipc.gsoSize;
  cork.dst = rt;
  cork.length = 0;
  cork.ttl = ipc.ttl;
  cork.tos = ipc.tos;
  cork.mark = ipc.mark;
  cork.priority = ipc.priority;
  cork.transmitTime = ipc.transmitTime;
  cork.txFlags = sockTxTimestamp(ipc.tsflags);
  if ((ipc.tsflags & SOCKCM_FLAG_TS_OPT_ID) !== 0) {
    cork.flags |= IPCORK_TS_OPT_ID;
    cork.tsOptId = ipc.tsOptId;
  }
  return 0;
}

/** @kernel ip_cork_release net/ipv4/ip_output.c */
function ipCorkRelease(cork: InetCork): void {
  cork.flags &= ~(IPCORK_OPT | IPCORK_TS_OPT_ID);
  cork.opt = null;
  dstRelease(cork.dst);
  cork.dst = null;
}

/**
 * Adds data to the socket's pending datagram, opening one if there is none. The reference to `rt`,
 * which may be null when one is pending, is taken in every case.
 * @kernel ip_append_data net/ipv4/ip_output.c
 */
export function ipAppendData<T>(
  sk: Sock,
  fl4: Flowi4,
  getfrag: GetFrag<T>,
  from: T,
  length: number,
  transhdrlen: number,
  ipc: IpcmCookie,
  rt: Rtable | null,
  flags: number,
): number {
  const { cork } = inetSk(sk);
  if ((flags & MSG_PROBE) !== 0) {
    dstRelease(rt);
    return 0;
  }
  let hdrlen = transhdrlen;
  if (sk.skWriteQueue.next === null) {
    if (rt === null) return -EFAULT;
    const err = ipSetupCork(sk, cork, ipc, rt);
    if (err !== 0) return err;
  } else {
    dstRelease(rt);
    hdrlen = 0;
  }
  return __ipAppendData(sk, fl4, sk.skWriteQueue, cork, getfrag, from, length, hdrlen, flags);
}

/** Links the packets of a datagram under the first. */
function joinFragments(queue: SkBuffHead, head: SkBuff): void {
  let tail: SkBuff | null = null;
  for (let skb = __skbDequeue(queue); skb !== null; skb = __skbDequeue(queue)) {
    __skbPull(skb, skbNetworkHeaderLen(head));
    if (tail === null) head.shinfo.fragList = skb;
    else tail.next = skb;
    tail = skb;
    head.len += skb.len;
    head.dataLen += skb.len;
    head.truesize += skb.truesize;
    skb.destructor = null;
    skb.sk = null;
  }
}

/** DF of a finished datagram. */
function dfOf(inet: InetSock, skb: SkBuff, rt: Rtable): number {
  const { pmtudisc } = inet;
  if (pmtudisc === IP_PMTUDISC_DO || pmtudisc === IP_PMTUDISC_PROBE) return IP_DF;
  return skb.len <= dstMtu(rt) && ipDontFragment(inet, rt) ? IP_DF : 0;
}

function ttlOf(inet: InetSock, cork: InetCork, rt: Rtable): number {
  if (cork.ttl !== 0) return cork.ttl;
  return rt.rtType === RTN_MULTICAST ? inet.mcTtl : ipSelectTtl(inet, rt);
}

/**
 * Closes the datagram in `queue`: one packet with its IP header, the fragments behind it. Null when
 * there is none.
 * @kernel __ip_make_skb net/ipv4/ip_output.c
 */
function __ipMakeSkb(sk: Sock, fl4: Flowi4, queue: SkBuffHead, cork: InetCork): SkBuff | null {
  const skb = __skbDequeue(queue);
  if (skb === null) return null;
  const inet = inetSk(sk);
  const { net } = sk;
  const rt = cork.dst as Rtable;
  if (skb.data < skb.networkHeader) __skbPull(skb, skbNetworkOffset(skb));
  joinFragments(queue, skb);
  // Without path MTU discovery the datagram may be cut here even if the path asks for DF.
  skb.ignoreDf = ipSkIgnoreDf(inet);
  const opt = (cork.flags & IPCORK_OPT) !== 0 ? cork.opt : null;
  const iph = skb.networkHeader;
  view.setUint8(iph, (IPVERSION << 4) | ((iphdr.LEN + (opt?.optlen ?? 0)) >> 2));
  iphdr.setTos(view, iph, cork.tos !== -1 ? cork.tos : inet.tos);
  iphdr.setFragOff(view, iph, dfOf(inet, skb, rt));
  iphdr.setTtl(view, iph, ttlOf(inet, cork, rt));
  iphdr.setProtocol(view, iph, sk.skProtocol);
  iphdr.setSaddr(view, iph, fl4.saddr);
  iphdr.setDaddr(view, iph, fl4.daddr);
  ipSelectIdent(net, skb, sk);
  if (opt !== null) ipOptionsBuild(skb, opt, cork.addr, rt);
  skb.priority = cork.priority;
  skb.mark = cork.mark;
  skbSetDeliveryTime(skb, cork.transmitTime, SKB_CLOCK_MONOTONIC);
  cork.dst = null;
  skbDstSet(skb, rt);
  if (sk.skProtocol === IPPROTO_ICMP) {
    // A raw sender's ICMP header need not lie in the head.
    const known = (fl4.flowi4Flags & FLOWI_FLAG_KNOWN_NH) !== 0;
    const raw = sk.skType === SOCK_RAW && !known;
    icmpOutCount(net, raw ? fl4.fl4IcmpType : icmphdr.type(view, skb.transportHeader));
  }
  ipCorkRelease(cork);
  return skb;
}

/** @kernel ip_finish_skb include/net/ip.h */
export function ipFinishSkb(sk: Sock, fl4: Flowi4): SkBuff | null {
  return __ipMakeSkb(sk, fl4, sk.skWriteQueue, inetSk(sk).cork);
}

/** Sends a finished datagram. Takes it. @kernel ip_send_skb net/ipv4/ip_output.c */
export function ipSendSkb(net: Net, skb: SkBuff): number {
  let err = ipLocalOut(net, skb.sk, skb);
  if (err > 0) err = err === NET_XMIT_CN ? 0 : -ENOBUFS;
  if (err !== 0) ipIncStats(net, IPSTATS_MIB_OUTDISCARDS);
  return err;
}

/** Closes and sends the pending datagram. @kernel ip_push_pending_frames net/ipv4/ip_output.c */
export function ipPushPendingFrames(sk: Sock, fl4: Flowi4): number {
  const skb = ipFinishSkb(sk, fl4);
  return skb === null ? 0 : ipSendSkb(sk.net, skb);
}

function __ipFlushPendingFrames(queue: SkBuffHead, cork: InetCork): void {
  for (let skb = __skbDequeueTail(queue); skb !== null; skb = __skbDequeueTail(queue)) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, '__ip_flush_pending_frames');
  }
  ipCorkRelease(cork);
}

/** Throws the pending datagram away. @kernel ip_flush_pending_frames net/ipv4/ip_output.c */
export function ipFlushPendingFrames(sk: Sock): void {
  __ipFlushPendingFrames(sk.skWriteQueue, inetSk(sk).cork);
}

/**
 * A whole datagram in one go, without its being pending meanwhile. Null on MSG_PROBE. The reference
 * to `rt` is taken in every case.
 * @kernel ip_make_skb net/ipv4/ip_output.c
 * @deviation the cork and queue of the socket serve; nothing can be pending on them at this time
 */
export function ipMakeSkb<T>(
  sk: Sock,
  fl4: Flowi4,
  getfrag: GetFrag<T>,
  from: T,
  length: number,
  transhdrlen: number,
  ipc: IpcmCookie,
  rt: Rtable,
  flags: number,
): SkBuff | number | null {
  if ((flags & MSG_PROBE) !== 0) {
    dstRelease(rt);
    return null;
  }
  const { cork } = inetSk(sk);
  const queue = sk.skWriteQueue;
  cork.flags = 0;
  cork.addr = 0;
  cork.opt = null;
  let err = ipSetupCork(sk, cork, ipc, rt);
  if (err !== 0) return err;
  err = __ipAppendData(sk, fl4, queue, cork, getfrag, from, length, transhdrlen, flags);
  if (err !== 0) {
    __ipFlushPendingFrames(queue, cork);
    return err;
  }
  return __ipMakeSkb(sk, fl4, queue, cork);
}

/** Octets that the kernel made itself. @kernel ip_reply_glue_bits net/ipv4/ip_output.c */
function ipReplyGlueBits(
  from: Uint8Array,
  to: number,
  offset: number,
  len: number,
  odd: number,
  skb: SkBuff,
): number {
  for (let i = 0; i < len; i++) mem[to + i] = from[offset + i] as number;
  skb.csum = csumBlockAdd(skb.csum, memops.csumPartial(to, len, 0), odd);
  return 0;
}

/** What the reply's route is looked up by. */
function replyFlow(
  fl4: Flowi4,
  sk: Sock,
  skb: SkBuff,
  arg: IpReplyArg,
  daddr: number,
  saddr: number,
): void {
  const iph = skb.networkHeader;
  const th = skb.transportHeader;
  const mark = sk.net.ipv4.sysctlFwmarkReflect !== 0 ? skb.mark : 0;
  flowi4InitOutput(
    fl4,
    arg.boundDevIf,
    mark !== 0 ? mark : sk.skMark,
    arg.tos & 0xfc,
    RT_SCOPE_UNIVERSE,
    iphdr.protocol(view, iph),
    (arg.flags & IP_REPLY_ARG_NOSRCCHECK) !== 0 ? FLOWI_FLAG_ANYSRC : 0,
    daddr,
    saddr,
    tcphdr.source(view, th),
    tcphdr.dest(view, th),
    arg.uid,
  );
}

/**
 * Answers `skb`, which stays the caller's, with the octets of `arg`: resets and acknowledgments of
 * sockets that do not exist or are no full ones. `sk` is a control socket.
 * @kernel ip_send_unicast_reply net/ipv4/ip_output.c
 */
export function ipSendUnicastReply(
  sk: Sock,
  _origSk: Sock | null,
  skb: SkBuff,
  sopt: IpOptions,
  daddrIn: number,
  saddr: number,
  arg: IpReplyArg,
  len: number,
  transmitTime: number,
  txhash: number,
): void {
  const { net } = sk;
  const inet = inetSk(sk);
  const replyopts = new IpOptions();
  if (__ipOptionsEcho(net, replyopts, skb, sopt) !== 0) return;
  const { ipc, fl4 } = net.ipv4.replyScratch;
  ipcmInit(ipc);
  ipc.addr = daddrIn;
  ipc.transmitTime = transmitTime;
  let daddr = daddrIn;
  if (replyopts.optlen !== 0) {
    ipc.opt = replyopts;
    if (replyopts.srr !== 0) daddr = replyopts.faddr;
  }
  replyFlow(fl4, sk, skb, arg, daddr, saddr);
  const rt = ipRouteOutputFlow(net, fl4, sk);
  if (typeof rt === 'number') return;
  inet.tos = arg.tos;
  sk.skProtocol = iphdr.protocol(view, skb.networkHeader);
  sk.skcBoundDevIf = arg.boundDevIf;
  sk.skSndbuf = net.sysctlWmemDefault;
  ipc.mark = fl4.flowi4Mark;
  const err = ipAppendData(sk, fl4, ipReplyGlueBits, arg.iov, len, 0, ipc, rt, MSG_DONTWAIT);
  if (err !== 0) {
    ipFlushPendingFrames(sk);
    return;
  }
  const nskb = sk.skWriteQueue.next;
  if (nskb === null) return;
  if (arg.csumoffset >= 0) {
    const at = nskb.transportHeader + arg.csumoffset * 2;
    view.setUint16(at, csumFold(csumAdd(nskb.csum, arg.csum)));
  }
  nskb.ipSummed = CHECKSUM_NONE;
  if (transmitTime !== 0) nskb.tstampType = SKB_CLOCK_MONOTONIC;
  if (txhash !== 0) skbSetHash(nskb, txhash, true);
  ipPushPendingFrames(sk, fl4);
}
