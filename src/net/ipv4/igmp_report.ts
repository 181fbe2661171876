/**
 * Sending membership reports. Counterpart of igmp_send_report and igmpv3_newpack of
 * net/ipv4/igmp.c. RFC 1112, RFC 2236, RFC 3376#4.2.
 */
import type { InDevice } from '#include/linux/inetdevice.ts';
import { llReservedSpace } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbReserve, skbResetNetworkHeader } from '#include/linux/skbuff.ts';
import { skbDstSet } from '#include/net/dst.ts';
import { Flowi4 } from '#include/net/flow.ts';
import { ipComputeCsum } from '#lib/checksum.ts';
import { mem, view } from '#mm/memory.ts';
import { allocSkb, consumeSkb, skbPut } from '#net/core/skbuff.ts';
import { igmpReported } from '#net/ipv4/igmp_check.ts';
import { ipRouteOutputPorts, ipRtPut } from '#net/ipv4/route.ts';
import {
  IGMP_HOST_LEAVE_MESSAGE,
  IGMPV3_HOST_MEMBERSHIP_REPORT,
  igmphdr,
  igmpv3Grec,
  igmpv3Report,
} from '#uapi/igmp.ts';
import { INADDR_ALLRTRS_GROUP, IPPROTO_IGMP } from '#uapi/in.ts';
import { IP_DF, IPOPT_RA, iphdr } from '#uapi/ip.ts';

/** Where version 3 reports go. @kernel IGMPV3_ALL_MCR include/uapi/linux/igmp.h */
const IGMPV3_ALL_MCR = 0xe0000016;
/** Octets of the IP header with the router alert option (RFC 2113). */
const IP_HEADER = 24;
/** @kernel TC_PRIO_CONTROL include/uapi/linux/pkt_sched.h */
const TC_PRIO_CONTROL = 7;
/** TOS of network control. */
const TOS_CONTROL = 0xc0;

/** One record of a version 3 report. */
export interface GroupRecord {
  readonly type: number;
  readonly group: number;
}

/** A packet with its IP header, and room for `len` octets of IGMP behind it. Null: it cannot be sent. */
function newPacket(inDev: InDevice, dst: number, len: number): SkBuff | null {
  const { dev } = inDev;
  const { net } = dev;
  const fl4 = new Flowi4();
  const rt = ipRouteOutputPorts(net, fl4, null, dst, 0, 0, 0, IPPROTO_IGMP, 0, dev.ifindex);
  if (typeof rt === 'number') return null;
  const headroom = llReservedSpace(dev);
  const skb = allocSkb(net.machine, headroom + IP_HEADER + len + dev.neededTailroom);
  if (skb === null) {
    ipRtPut(rt);
    return null;
  }
  skbDstSet(skb, rt);
  skb.priority = TC_PRIO_CONTROL;
  skbReserve(skb, headroom);
  skbResetNetworkHeader(skb);
  const iph = skbPut(skb, IP_HEADER);
  mem.fill(0, iph, iph + IP_HEADER);
  iphdr.setVersion(view, iph, 4);
  iphdr.setIhl(view, iph, IP_HEADER >> 2);
  iphdr.setTos(view, iph, TOS_CONTROL);
  iphdr.setFragOff(view, iph, IP_DF);
  iphdr.setTtl(view, iph, 1);
  iphdr.setProtocol(view, iph, IPPROTO_IGMP);
  iphdr.setDaddr(view, iph, dst);
  iphdr.setSaddr(view, iph, fl4.saddr);
  // Nobody cuts it: it needs no identification.
  iphdr.setId(view, iph, 0);
  mem[iph + iphdr.LEN] = IPOPT_RA;
  mem[iph + iphdr.LEN + 1] = 4;
  return skb;
}

function send(inDev: InDevice, skb: SkBuff): void {
  const { net } = inDev.dev;
  const ops = net.machine.netGlobals.ipv4Ops;
  if (ops === null) consumeSkb(skb, 'send');
  else ops.ipLocalOut(net, null, skb);
}

/** A report or leave of versions 1 and 2. @kernel igmp_send_report net/ipv4/igmp.c */
export function igmpSendReport(inDev: InDevice, group: number, type: number): void {
  if (!igmpReported(inDev.dev.net, group)) return;
  const dst = type === IGMP_HOST_LEAVE_MESSAGE ? INADDR_ALLRTRS_GROUP : group;
  const skb = newPacket(inDev, dst, igmphdr.LEN);
  if (skb === null) return;
  const ih = skbPut(skb, igmphdr.LEN);
  igmphdr.setType(view, ih, type);
  igmphdr.setCode(view, ih, 0);
  igmphdr.setCsum(view, ih, 0);
  igmphdr.setGroup(view, ih, group);
  igmphdr.setCsum(view, ih, ipComputeCsum(mem, ih, igmphdr.LEN));
  send(inDev, skb);
}

/** One report of version 3 with as many records as are given. @kernel igmpv3_sendpack net/ipv4/igmp.c */
function sendRecords(inDev: InDevice, records: readonly GroupRecord[]): void {
  const len = igmpv3Report.LEN + records.length * igmpv3Grec.LEN;
  const skb = newPacket(inDev, IGMPV3_ALL_MCR, len);
  if (skb === null) return;
  const ih = skbPut(skb, len);
  mem.fill(0, ih, ih + len);
  igmpv3Report.setType(view, ih, IGMPV3_HOST_MEMBERSHIP_REPORT);
  igmpv3Report.setNgrec(view, ih, records.length);
  let at = ih + igmpv3Report.LEN;
  for (const { type, group } of records) {
    igmpv3Grec.setType(view, at, type);
    igmpv3Grec.setMca(view, at, group);
    at += igmpv3Grec.LEN;
  }
  igmpv3Report.setCsum(view, ih, ipComputeCsum(mem, ih, len));
  send(inDev, skb);
}

/** Reports of version 3, as many packets as the MTU makes necessary. @kernel igmpv3_send_report net/ipv4/igmp.c */
export function igmpv3SendRecords(inDev: InDevice, all: readonly GroupRecord[]): void {
  const records = all.filter(({ group }) => igmpReported(inDev.dev.net, group));
  const room = inDev.dev.mtu - IP_HEADER - igmpv3Report.LEN;
  const most = Math.max(Math.floor(room / igmpv3Grec.LEN), 1);
  for (let i = 0; i < records.length; i += most) sendRecords(inDev, records.slice(i, i + most));
}
