/**
 * The address under which a router shows itself in options of a packet.
 *
 * Counterpart of ip_rt_get_source of net/ipv4/route.c.
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { flowi4Reset } from '#include/net/flow.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { INET_DSCP_MASK, rtIsOutputRoute, rtNexthop } from '#include/net/route.ts';
import { view } from '#mm/memory.ts';
import { inetSelectAddr } from '#net/ipv4/devinet.ts';
import { routeScratch } from '#net/ipv4/fib_frontend.ts';
import { fibLookup } from '#net/ipv4/fib_frontend_table.ts';
import { fibResultPrefsrc } from '#net/ipv4/fib_semantics_select.ts';
import { iphdr } from '#uapi/ip.ts';
import { RT_SCOPE_UNIVERSE } from '#uapi/rtnetlink.ts';

/** The address of ours that belongs to the way on which the packet leaves. @kernel ip_rt_get_source net/ipv4/route.c */
export function ipRtGetSource(skb: SkBuff, rt: Rtable): number {
  const iph = skb.networkHeader;
  if (rtIsOutputRoute(rt)) return iphdr.saddr(view, iph);
  const dev = rt.dev as NetDevice;
  const { sourceFlow: fl4, sourceRes: res } = routeScratch(dev.net);
  flowi4Reset(fl4);
  fl4.daddr = iphdr.daddr(view, iph);
  fl4.saddr = iphdr.saddr(view, iph);
  fl4.flowi4Tos = iphdr.tos(view, iph) & INET_DSCP_MASK;
  fl4.flowi4Oif = dev.ifindex;
  fl4.flowi4Iif = skb.dev?.ifindex ?? 0;
  fl4.flowi4Mark = skb.mark;
  if (fibLookup(dev.net, fl4, res, 0) === 0) return fibResultPrefsrc(dev.net, res);
  return inetSelectAddr(dev, rtNexthop(rt, fl4.daddr), RT_SCOPE_UNIVERSE);
}
