/**
 * Addresses as rtnetlink messages. Counterpart of inet_fill_ifaddr and rtmsg_ifa of
 * net/ipv4/devinet.c.
 */
import type { InIfaddr } from '#include/linux/inetdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { HZ } from '#kernel/machine.ts';
import { INITIAL_JIFFIES } from '#kernel/param.ts';
import { jiffiesToClockT } from '#kernel/time/jiffies.ts';
import { hostView } from '#mm/memory.ts';
import { rtnlHasListeners, rtnlNotify } from '#net/core/rtnetlink.ts';
import { consumeSkb } from '#net/core/skbuff.ts';
import {
  nlaPutInAddr,
  nlaPutString,
  nlaPutU8,
  nlaPutU32,
  nlaReserve,
  nlmsgCancel,
  nlmsgEnd,
  nlmsgNew,
  nlmsgPut,
} from '#net/netlink/nlattr.ts';
import { EMSGSIZE } from '#uapi/errno.ts';
import {
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_CACHEINFO,
  IFA_F_PERMANENT,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
  IFA_PROTO,
  IFA_RT_PRIORITY,
  INFINITY_LIFE_TIME,
  ifaCacheinfo,
  ifaddrmsg,
} from '#uapi/if_addr.ts';
import { NLMSG_HDRLEN } from '#uapi/netlink.ts';
import { RTNLGRP_IPV4_IFADDR } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

/** Room that one address's message takes. @kernel inet_nlmsg_size net/ipv4/devinet.c */
const INET_NLMSG_SIZE = 128;

/** What is left of a lifetime of `lft` seconds after `age` of them. */
function remaining(lft: number, age: number): number {
  if (lft === INFINITY_LIFE_TIME) return lft;
  return Math.max(lft - age, 0);
}

/** Hundredths of a second from boot to a stamp in jiffies. @kernel cstamp_delta include/net/addrconf.h */
function cstampDelta(stamp: number): number {
  return jiffiesToClockT((stamp - INITIAL_JIFFIES) >>> 0);
}

/** Lifetimes as they stand now. */
function putCacheinfo(net: Net, skb: SkBuff, ifa: InIfaddr): number {
  const at = nlaReserve(skb, IFA_CACHEINFO, ifaCacheinfo.LEN);
  if (at < 0) return at;
  const permanent = (ifa.ifaFlags & IFA_F_PERMANENT) !== 0;
  const age = Math.floor(((net.machine.jiffies - ifa.ifaTstamp) >>> 0) / HZ);
  const finite = !permanent && ifa.ifaPreferredLft !== INFINITY_LIFE_TIME;
  let preferred = permanent ? INFINITY_LIFE_TIME : ifa.ifaPreferredLft;
  let valid = permanent ? INFINITY_LIFE_TIME : ifa.ifaValidLft;
  if (finite) {
    preferred = remaining(preferred, age);
    valid = remaining(valid, age);
  }
  ifaCacheinfo.setPrefered(hostView, at, preferred);
  ifaCacheinfo.setValid(hostView, at, valid);
  ifaCacheinfo.setCstamp(hostView, at, cstampDelta(ifa.ifaCstamp));
  ifaCacheinfo.setTstamp(hostView, at, cstampDelta(ifa.ifaTstamp));
  return 0;
}

/** Appends one address; 0 or -EMSGSIZE with nothing appended. @kernel inet_fill_ifaddr net/ipv4/devinet.c */
export function inetFillIfaddr(
  skb: SkBuff,
  ifa: InIfaddr,
  portid: number,
  seq: number,
  event: number,
  flags: number,
): number {
  const nlh = nlmsgPut(skb, portid, seq, event, ifaddrmsg.LEN, flags);
  if (nlh < 0) return nlh;
  const dev = ifa.ifaDev?.dev;
  if (dev === undefined) return 0;
  const ifm = nlh + NLMSG_HDRLEN;
  ifaddrmsg.setFamily(hostView, ifm, AF_INET);
  ifaddrmsg.setPrefixlen(hostView, ifm, ifa.ifaPrefixlen);
  ifaddrmsg.setFlags(hostView, ifm, ifa.ifaFlags & 0xff);
  ifaddrmsg.setScope(hostView, ifm, ifa.ifaScope);
  ifaddrmsg.setIndex(hostView, ifm, dev.ifindex);
  const full =
    (ifa.ifaAddress !== 0 && nlaPutInAddr(skb, IFA_ADDRESS, ifa.ifaAddress) < 0) ||
    (ifa.ifaLocal !== 0 && nlaPutInAddr(skb, IFA_LOCAL, ifa.ifaLocal) < 0) ||
    (ifa.ifaBroadcast !== 0 && nlaPutInAddr(skb, IFA_BROADCAST, ifa.ifaBroadcast) < 0) ||
    (ifa.ifaLabel !== '' && nlaPutString(skb, IFA_LABEL, ifa.ifaLabel) < 0) ||
    (ifa.ifaProto !== 0 && nlaPutU8(skb, IFA_PROTO, ifa.ifaProto) < 0) ||
    nlaPutU32(skb, IFA_FLAGS, ifa.ifaFlags) < 0 ||
    (ifa.ifaRtPriority !== 0 && nlaPutU32(skb, IFA_RT_PRIORITY, ifa.ifaRtPriority) < 0) ||
    putCacheinfo(dev.net, skb, ifa) < 0;
  if (full) {
    nlmsgCancel(skb, nlh);
    return -EMSGSIZE;
  }
  nlmsgEnd(skb, nlh);
  return 0;
}

/** Tells RTNLGRP_IPV4_IFADDR of an address that came or went. @kernel rtmsg_ifa net/ipv4/devinet.c */
export function inetRtmsgIfa(event: number, ifa: InIfaddr, portid: number): void {
  const net = ifa.ifaDev?.dev.net;
  if (net === undefined) return;
  if (!rtnlHasListeners(net, RTNLGRP_IPV4_IFADDR)) return;
  const skb = nlmsgNew(net.machine, INET_NLMSG_SIZE);
  if (skb === null) return;
  if (inetFillIfaddr(skb, ifa, portid, 0, event, 0) < 0) consumeSkb(skb, 'rtmsg_ifa');
  else rtnlNotify(skb, net, RTNLGRP_IPV4_IFADDR);
}
