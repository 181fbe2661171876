/**
 * Sources of arriving packets: may they come from there, and which address of ours do they mean?
 *
 * Counterpart of fib_validate_source and fib_compute_spec_dst of net/ipv4/fib_frontend.c.
 * RFC 3704 (reverse path filtering).
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import {
  inDevAcceptLocal,
  inDevRpfilter,
  inDevSrcVmark,
  inDevTxRedirects,
} from '#include/linux/inetdevice.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { flowi4Reset, LOOPBACK_IFINDEX } from '#include/net/flow.ts';
import {
  FIB_LOOKUP_IGNORE_LINKSTATE,
  type FibInfo,
  type FibNh,
  type Rtable,
} from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { INET_DSCP_MASK } from '#include/net/route.ts';
import { view } from '#mm/memory.ts';
import { inetLookupIfaddr, inetSelectAddr } from '#net/ipv4/devinet.ts';
import { fib4RulesEarlyFlowDissect, routeScratch } from '#net/ipv4/fib_frontend.ts';
import { fib4HasCustomRules, fibLookup } from '#net/ipv4/fib_frontend_table.ts';
import { fibResultPrefsrc } from '#net/ipv4/fib_semantics_select.ts';
import { ipv4IsZeronet } from '#uapi/in.ts';
import { RTCF_BROADCAST, RTCF_LOCAL, RTCF_MULTICAST } from '#uapi/in_route.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  SKB_DROP_REASON_IP_INVALID_SOURCE,
  SKB_DROP_REASON_IP_LOCAL_SOURCE,
  SKB_DROP_REASON_IP_RPFILTER,
} from '#uapi/net_dropreason.ts';
import {
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RTN_LOCAL,
  RTN_UNICAST,
} from '#uapi/rtnetlink.ts';

/** The address of ours that a packet means: its destination, or one on its way back when that is none. @kernel fib_compute_spec_dst net/ipv4/fib_frontend.c */
export function fibComputeSpecDst(skb: SkBuff): number {
  const rt = skb.dst as Rtable;
  const dev = skb.dev as NetDevice;
  const iph = skb.networkHeader;
  const kind = rt.rtFlags & (RTCF_BROADCAST | RTCF_MULTICAST | RTCF_LOCAL);
  if (kind >>> 0 === RTCF_LOCAL) return iphdr.daddr(view, iph);
  const saddr = iphdr.saddr(view, iph);
  if (ipv4IsZeronet(saddr)) return inetSelectAddr(dev, saddr, RT_SCOPE_LINK);
  const { sourceFlow: fl4, sourceRes: res } = routeScratch(dev.net);
  flowi4Reset(fl4);
  fl4.flowi4Iif = LOOPBACK_IFINDEX;
  fl4.daddr = saddr;
  fl4.flowi4Tos = iphdr.tos(view, iph) & INET_DSCP_MASK;
  fl4.flowi4Mark = dev.ipPtr !== null && inDevSrcVmark(dev.ipPtr) ? skb.mark : 0;
  if (fibLookup(dev.net, fl4, res, 0) === 0) return fibResultPrefsrc(dev.net, res);
  return inetSelectAddr(dev, saddr, RT_SCOPE_UNIVERSE);
}

/** @kernel fib_info_nh_uses_dev net/ipv4/fib_frontend.c */
function fibInfoNhUsesDev(fi: FibInfo, dev: NetDevice): boolean {
  for (const nh of fi.fibNh) if (nh.fibNhDev === dev) return true;
  return false;
}

/** @kernel __fib_validate_source net/ipv4/fib_frontend.c */
function __fibValidateSource(
  skb: SkBuff,
  src: number,
  dst: number,
  tos: number,
  oif: number,
  dev: NetDevice,
  rpf: number,
  idev: InDevice,
): number {
  const net = dev.net;
  const { sourceFlow: fl4, sourceRes: res } = routeScratch(net);
  flowi4Reset(fl4);
  fl4.flowi4Iif = oif !== 0 ? oif : LOOPBACK_IFINDEX;
  fl4.daddr = src;
  fl4.saddr = dst;
  fl4.flowi4Tos = tos;
  fl4.flowi4Mark = inDevSrcVmark(idev) ? skb.mark : 0;
  if (fib4RulesEarlyFlowDissect(net, skb, fl4)) {
    // The way back: from the receiver's port to the sender's.
    const sport = fl4.fl4Sport;
    fl4.fl4Sport = fl4.fl4Dport;
    fl4.fl4Dport = sport;
  }
  const lastResort = rpf !== 0 ? -SKB_DROP_REASON_IP_RPFILTER : 0;
  if (fibLookup(net, fl4, res, 0) !== 0) return lastResort;
  if (res.type !== RTN_UNICAST) {
    if (res.type !== RTN_LOCAL) return -SKB_DROP_REASON_IP_INVALID_SOURCE;
    if (!inDevAcceptLocal(idev)) return -SKB_DROP_REASON_IP_LOCAL_SOURCE;
  }
  const nhc = res.nhc as FibNh;
  if (
    fibInfoNhUsesDev(res.fi as FibInfo, dev) ||
    (res.type === RTN_LOCAL && dev === net.loopbackDev)
  ) {
    return nhc.fibNhScope >= RT_SCOPE_HOST ? 1 : 0;
  }
  if (idev.ifaList.length === 0) return lastResort;
  if (rpf === 1) return -SKB_DROP_REASON_IP_RPFILTER;
  fl4.flowi4Oif = dev.ifindex;
  if (fibLookup(net, fl4, res, FIB_LOOKUP_IGNORE_LINKSTATE) !== 0) return 0;
  return res.type === RTN_UNICAST && (res.nhc as FibNh).fibNhScope >= RT_SCOPE_HOST ? 1 : 0;
}

/** May the fast check, by our own addresses alone, stand for the full one? */
function addressesTell(net: Net): boolean {
  return !net.ipv4.fibHasCustomLocalRoutes && !fib4HasCustomRules(net);
}

/**
 * Checks the source of a packet that came in by `dev` and will go out by the device `oif` (0: it is
 * for us). 1: the sender is on the link, 0: it is behind a gateway or nobody cares, negative: minus
 * the drop reason.
 * @kernel fib_validate_source net/ipv4/fib_frontend.c
 */
export function fibValidateSource(
  skb: SkBuff,
  src: number,
  dst: number,
  tos: number,
  oif: number,
  dev: NetDevice,
  idev: InDevice,
): number {
  const rpf = inDevRpfilter(idev);
  if (rpf === 0 && (dev.ifindex !== oif || !inDevTxRedirects(idev))) {
    if (inDevAcceptLocal(idev)) return 0;
    if (addressesTell(dev.net)) {
      return inetLookupIfaddr(dev.net, src) === null ? 0 : -SKB_DROP_REASON_IP_LOCAL_SOURCE;
    }
  }
  return __fibValidateSource(skb, src, dst, tos, oif, dev, rpf, idev);
}
