/**
 * Telling multicast routers which groups devices listen to.
 *
 * Counterpart of the protocol's part of net/ipv4/igmp.c; groups are in igmp_group.ts, memberships of sockets are in igmp_sock.ts, messages in
 * igmp_report.ts. The host side of RFC 1112, RFC 2236 and RFC 3376.
 *
 * @deviation Filters by source stay with the sockets: towards routers a group is always joined for
 * all sources.
 */
import { IpMcList } from '#include/linux/igmp.ts';
import type { InDevice } from '#include/linux/inetdevice.ts';
import { inDevConfGet, ipv4DevconfAll } from '#include/linux/inetdevice.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { NetProtocol } from '#include/net/net_globals.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { rtIsOutputRoute } from '#include/net/route.ts';
import type { Machine } from '#kernel/machine.ts';
import { HZ } from '#kernel/machine.ts';
import { jiffiesToClockT, timeAfterEq, timeBefore } from '#kernel/time/jiffies.ts';
import { modTimer, TimerList, timerDelete } from '#kernel/time/timer.ts';
import { view } from '#mm/memory.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { consumeSkb, kfreeSkb } from '#net/core/skbuff.ts';
import { skbChecksumSimpleValidate } from '#net/core/skbuff_checksum.ts';
import { pskbMayPull } from '#net/core/skbuff_copy.ts';
import { inDevHold, inDevPut } from '#net/ipv4/devinet.ts';
import { ipMcFind } from '#net/ipv4/igmp_check.ts';
import { igmpSendReport, igmpv3SendRecords } from '#net/ipv4/igmp_report.ts';
import { inetAddProtocol } from '#net/ipv4/protocol.ts';
import { PACKET_BROADCAST, PACKET_MULTICAST } from '#uapi/if_packet.ts';
import {
  IGMP_HOST_LEAVE_MESSAGE,
  IGMP_HOST_MEMBERSHIP_QUERY,
  IGMP_HOST_MEMBERSHIP_REPORT,
  IGMP_TIMER_SCALE,
  IGMPV2_HOST_MEMBERSHIP_REPORT,
  IGMPV3_CHANGE_TO_EXCLUDE,
  IGMPV3_CHANGE_TO_INCLUDE,
  IGMPV3_MODE_IS_EXCLUDE,
  IGMPV3_MODE_IS_INCLUDE,
  igmphdr,
} from '#uapi/igmp.ts';
import { INADDR_ALLHOSTS_GROUP, IPPROTO_IGMP, MCAST_EXCLUDE } from '#uapi/in.ts';
import {
  IPV4_DEVCONF_FORCE_IGMP_VERSION,
  IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL,
  IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL,
} from '#uapi/ip.ts';
import { SKB_DROP_REASON_NOT_SPECIFIED } from '#uapi/net_dropreason.ts';

/** Defaults of a querier's intervals, in jiffies. */
const QUERY_INTERVAL: number = 125 * HZ;
const QUERY_RESPONSE_INTERVAL: number = 10 * HZ;
/** Delay of the first report after joining. */
const INITIAL_REPORT_DELAY = 1;

/** Is the version wanted of all devices, or of this one? */
function isForced(inDev: InDevice, version: number): boolean {
  return (
    ipv4DevconfAll(inDev.dev.net, IPV4_DEVCONF_FORCE_IGMP_VERSION) === version ||
    inDevConfGet(inDev, IPV4_DEVCONF_FORCE_IGMP_VERSION) === version
  );
}

function stillSeen(inDev: InDevice, until: number): boolean {
  return until !== 0 && timeBefore(inDev.dev.net.machine.jiffies, until);
}

/** Version to speak: the oldest that is forced or that a router on the link speaks. */
function igmpVersion(inDev: InDevice): number {
  if (isForced(inDev, 1) || stillSeen(inDev, inDev.mrV1Seen)) return 1;
  if (isForced(inDev, 2) || stillSeen(inDev, inDev.mrV2Seen)) return 2;
  return 3;
}

/** A random number below `max`. */
function randomBelow(inDev: InDevice, max: number): number {
  return inDev.dev.net.machine.random.u32() % Math.max(max, 1);
}

/** @kernel unsolicited_report_interval net/ipv4/igmp.c */
function unsolicitedReportInterval(inDev: InDevice): number {
  const old = igmpVersion(inDev) < 3;
  const interval = inDevConfGet(
    inDev,
    old
      ? IPV4_DEVCONF_IGMPV2_UNSOLICITED_REPORT_INTERVAL
      : IPV4_DEVCONF_IGMPV3_UNSOLICITED_REPORT_INTERVAL,
  );
  return Math.max(interval, 1);
}

/** @kernel igmp_stop_timer net/ipv4/igmp.c */
function igmpStopTimer(im: IpMcList): void {
  if (im.timer !== null) timerDelete(im.timer);
  im.tmRunning = false;
  im.reporter = false;
  im.unsolicitCount = 0;
}

/** @kernel igmp_start_timer net/ipv4/igmp.c */
function igmpStartTimer(im: IpMcList, maxDelay: number): void {
  const inDev = im.interface;
  im.tmRunning = true;
  if (im.timer === null) return;
  const delay = randomBelow(inDev, maxDelay) + 2;
  modTimer(im.timer, (inDev.dev.net.machine.jiffies + delay) | 0);
}

/** A query wants an answer within `maxDelay`, unless one is due sooner. @kernel igmp_mod_timer net/ipv4/igmp.c */
function igmpModTimer(im: IpMcList, maxDelay: number): void {
  const { jiffies } = im.interface.dev.net.machine;
  im.unsolicitCount = 0;
  if (im.timer === null) return;
  const { expires } = im.timer;
  if (timerDelete(im.timer) && ((expires - jiffies) | 0) < maxDelay) {
    modTimer(im.timer, expires);
    im.tmRunning = true;
    return;
  }
  igmpStartTimer(im, maxDelay);
}

/** Record of the present state of a group. */
function currentRecord(im: IpMcList): { type: number; group: number } {
  const type = im.sfmode === MCAST_EXCLUDE ? IGMPV3_MODE_IS_EXCLUDE : IGMPV3_MODE_IS_INCLUDE;
  return { type, group: im.multiaddr };
}

/** @kernel igmp_timer_expire net/ipv4/igmp.c */
function igmpTimerExpire(im: IpMcList): void {
  const inDev = im.interface;
  im.tmRunning = false;
  if (im.unsolicitCount > 0 && --im.unsolicitCount > 0) {
    igmpStartTimer(im, unsolicitedReportInterval(inDev));
  }
  im.reporter = true;
  const version = igmpVersion(inDev);
  if (version === 1) igmpSendReport(inDev, im.multiaddr, IGMP_HOST_MEMBERSHIP_REPORT);
  else if (version === 2) igmpSendReport(inDev, im.multiaddr, IGMPV2_HOST_MEMBERSHIP_REPORT);
  else igmpv3SendRecords(inDev, [currentRecord(im)]);
}

/** Changes that have still to be told, each of them once more. @kernel igmpv3_send_cr net/ipv4/igmp.c */
function igmpv3SendCr(inDev: InDevice): void {
  const records: { type: number; group: number }[] = [];
  for (const im of inDev.mcTomb) {
    if (im.crcount === 0) continue;
    records.push({ type: IGMPV3_CHANGE_TO_INCLUDE, group: im.multiaddr });
    im.crcount--;
  }
  inDev.mcTomb = inDev.mcTomb.filter((im) => im.crcount > 0);
  for (const im of inDev.mcList) {
    if (im.crcount === 0) continue;
    records.push({ type: IGMPV3_CHANGE_TO_EXCLUDE, group: im.multiaddr });
    im.crcount--;
  }
  igmpv3SendRecords(inDev, records);
}

/** @kernel igmp_ifc_start_timer net/ipv4/igmp.c */
function igmpIfcStartTimer(inDev: InDevice, delay: number): void {
  if (inDev.mrIfcTimer === null) return;
  const at = (inDev.dev.net.machine.jiffies + randomBelow(inDev, delay) + 2) | 0;
  if (!modTimer(inDev.mrIfcTimer, at)) inDevHold(inDev);
}

/** @kernel igmp_ifc_timer_expire net/ipv4/igmp.c */
function igmpIfcTimerExpire(inDev: InDevice): void {
  igmpv3SendCr(inDev);
  if (inDev.mrIfcCount > 0) {
    inDev.mrIfcCount--;
    if (inDev.mrIfcCount > 0) igmpIfcStartTimer(inDev, unsolicitedReportInterval(inDev));
  }
  inDevPut(inDev);
}

/** Something to tell routers of. @kernel igmp_ifc_event net/ipv4/igmp.c */
function igmpIfcEvent(inDev: InDevice): void {
  if (igmpVersion(inDev) < 3) return;
  inDev.mrIfcCount = robustness(inDev);
  igmpIfcStartTimer(inDev, 1);
}

function robustness(inDev: InDevice): number {
  return inDev.mrQrv !== 0 ? inDev.mrQrv : inDev.dev.net.ipv4.sysctlIgmpQrv;
}

/** Answer to a general query. @kernel igmp_gq_timer_expire net/ipv4/igmp.c */
function igmpGqTimerExpire(inDev: InDevice): void {
  inDev.mrGqRunning = false;
  const groups = inDev.mcList.filter((im) => im.multiaddr !== INADDR_ALLHOSTS_GROUP);
  igmpv3SendRecords(inDev, groups.map(currentRecord));
  inDevPut(inDev);
}

/** @kernel igmp_gq_start_timer net/ipv4/igmp.c */
function igmpGqStartTimer(inDev: InDevice, maxDelay: number): void {
  const timer = inDev.mrGqTimer;
  if (timer === null) return;
  const at = (inDev.dev.net.machine.jiffies + randomBelow(inDev, maxDelay) + 2) | 0;
  if (inDev.mrGqRunning && timeAfterEq(at, timer.expires)) return;
  inDev.mrGqRunning = true;
  if (!modTimer(timer, at)) inDevHold(inDev);
}

function stopDeviceTimers(inDev: InDevice): void {
  inDev.mrIfcCount = 0;
  inDev.mrGqRunning = false;
  for (const timer of [inDev.mrIfcTimer, inDev.mrGqTimer]) {
    if (timer !== null && timerDelete(timer)) inDevPut(inDev);
  }
}

/** A new group is told of. @kernel igmp_group_added net/ipv4/igmp.c */
function igmpGroupAdded(im: IpMcList): void {
  const inDev = im.interface;
  const { net } = inDev.dev;
  im.timer ??= new TimerList(net.machine, im, igmpTimerExpire);
  im.unsolicitCount = net.ipv4.sysctlIgmpQrv;
  if (igmpVersion(inDev) < 3) {
    igmpStartTimer(im, INITIAL_REPORT_DELAY);
    return;
  }
  if (im.sfmode === MCAST_EXCLUDE) im.crcount = robustness(inDev);
  igmpIfcEvent(inDev);
}

/** @kernel igmp_group_dropped net/ipv4/igmp.c */
function igmpGroupDropped(im: IpMcList): void {
  const inDev = im.interface;
  const { reporter } = im;
  igmpStopTimer(im);
  if (inDev.dead) return;
  const version = igmpVersion(inDev);
  if (version === 2 && reporter) igmpSendReport(inDev, im.multiaddr, IGMP_HOST_LEAVE_MESSAGE);
  if (version < 3) return;
  const gone = new IpMcList(inDev, im.multiaddr, im.sfmode);
  gone.crcount = robustness(inDev);
  inDev.mcTomb.push(gone);
  igmpIfcEvent(inDev);
}

/** @kernel ip_mc_init_dev net/ipv4/igmp.c */
function initDev(inDev: InDevice): void {
  const { machine } = inDev.dev.net;
  inDev.mrGqTimer = new TimerList(machine, inDev, igmpGqTimerExpire);
  inDev.mrIfcTimer = new TimerList(machine, inDev, igmpIfcTimerExpire);
  resetQuerier(inDev);
}

/** @kernel ip_mc_reset net/ipv4/igmp.c */
function resetQuerier(inDev: InDevice): void {
  inDev.mrQi = QUERY_INTERVAL;
  inDev.mrQri = QUERY_RESPONSE_INTERVAL;
  inDev.mrQrv = inDev.dev.net.ipv4.sysctlIgmpQrv;
}

/** Value of a time code: below 128 itself, above a small floating number. @rfc 3376#4.1.1 */
function timeCode(code: number): number {
  return code < 128 ? code : ((code & 0xf) | 0x10) << (((code >> 4) & 7) + 3);
}

/** A querier of an old version: speak it for a while. Returns the longest delay of answers. */
function heardOldQuery(inDev: InDevice, code: number): number {
  const { jiffies } = inDev.dev.net.machine;
  let until = (jiffies + robustness(inDev) * inDev.mrQi + inDev.mrQri) | 0;
  if (until === 0) until = 1;
  if (code === 0) inDev.mrV1Seen = until;
  else inDev.mrV2Seen = until;
  inDev.mrIfcCount = 0;
  if (inDev.mrIfcTimer !== null && timerDelete(inDev.mrIfcTimer)) inDevPut(inDev);
  inDev.mcTomb = [];
  return code === 0 ? QUERY_RESPONSE_INTERVAL : Math.floor((code * HZ) / IGMP_TIMER_SCALE);
}

/** Takes over what a version 3 querier tells of its intervals. */
function noteQuerier(inDev: InDevice, ih: number): void {
  const qrv = igmphdr.qrv(view, ih);
  const qi = timeCode(igmphdr.qqic(view, ih)) * HZ;
  inDev.mrQrv = qrv !== 0 ? qrv : inDev.dev.net.ipv4.sysctlIgmpQrv;
  inDev.mrQi = qi !== 0 ? qi : QUERY_INTERVAL;
  if (inDev.mrQri >= inDev.mrQi) inDev.mrQri = (Math.floor(inDev.mrQi / HZ) - 1) * HZ;
}

/** True: the packet was no good. @kernel igmp_heard_query net/ipv4/igmp.c */
function igmpHeardQuery(inDev: InDevice, skb: SkBuff): boolean {
  const code = igmphdr.code(view, skb.data);
  let group = igmphdr.group(view, skb.data);
  let maxDelay: number;
  if (skb.len === igmphdr.LEN) {
    maxDelay = heardOldQuery(inDev, code);
    if (code === 0) group = 0;
  } else {
    if (!pskbMayPull(skb, igmphdr.V3_QUERY_LEN)) return true;
    const version = igmpVersion(inDev);
    maxDelay = Math.max(Math.floor((timeCode(code) * HZ) / IGMP_TIMER_SCALE), 1);
    if (version === 1) {
      maxDelay = QUERY_RESPONSE_INTERVAL;
      group = 0;
    } else if (version === 3) {
      noteQuerier(inDev, skb.data);
      if (group === 0) {
        if (igmphdr.nsrcs(view, skb.data) !== 0) return true;
        igmpGqStartTimer(inDev, maxDelay);
        return false;
      }
    }
  }
  for (const im of inDev.mcList) {
    if (group !== 0 && group !== im.multiaddr) continue;
    if (im.multiaddr !== INADDR_ALLHOSTS_GROUP) igmpModTimer(im, maxDelay);
  }
  return false;
}

/** Somebody else reported the group: one report is enough. @kernel igmp_heard_report net/ipv4/igmp.c */
function igmpHeardReport(inDev: InDevice, group: number): void {
  const im = group === INADDR_ALLHOSTS_GROUP ? null : ipMcFind(inDev, group);
  if (im !== null) igmpStopTimer(im);
}

/** True: the packet was no good. */
function process(inDev: InDevice, skb: SkBuff): boolean {
  if (!pskbMayPull(skb, igmphdr.LEN) || skbChecksumSimpleValidate(skb) !== 0) return true;
  switch (igmphdr.type(view, skb.data)) {
    case IGMP_HOST_MEMBERSHIP_QUERY:
      return igmpHeardQuery(inDev, skb);
    case IGMP_HOST_MEMBERSHIP_REPORT:
    case IGMPV2_HOST_MEMBERSHIP_REPORT:
      // Our own, looped back, is not somebody else's.
      if (skb.dst !== null && rtIsOutputRoute(skb.dst as Rtable)) return false;
      if (skb.pktType === PACKET_MULTICAST || skb.pktType === PACKET_BROADCAST) {
        igmpHeardReport(inDev, igmphdr.group(view, skb.data));
      }
      return false;
    default:
      return false;
  }
}

/** Receives IGMP; takes the packet. @kernel igmp_rcv net/ipv4/igmp.c */
export function igmpRcv(skb: SkBuff): number {
  const inDev = skb.dev?.ipPtr ?? null;
  if (inDev === null || process(inDev, skb)) {
    kfreeSkb(skb, SKB_DROP_REASON_NOT_SPECIFIED, 'igmp_rcv');
  } else {
    consumeSkb(skb, 'igmp_rcv');
  }
  return 0;
}

function swappedHex(addr: number): string {
  const swapped =
    ((addr & 0xff) << 24) | ((addr & 0xff00) << 8) | ((addr >>> 8) & 0xff00) | (addr >>> 24);
  return (swapped >>> 0).toString(16).toUpperCase().padStart(8, '0');
}

/** /proc/net/igmp. @kernel igmp_mc_seq_show net/ipv4/igmp.c */
function igmpMcSeqShow(net: Net): string {
  let text = 'Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n';
  for (const dev of net.devBaseHead) {
    const inDev = dev.ipPtr;
    if (inDev === null || inDev.mcList.length === 0) continue;
    const count = String(inDev.mcList.length).padStart(5);
    const querier = `V${igmpVersion(inDev)}`.padStart(7);
    text += `${dev.ifindex}\t${dev.name.padEnd(10)}: ${count} ${querier}\n`;
    for (const im of inDev.mcList) {
      const left = im.tmRunning ? ((im.timer?.expires ?? 0) - net.machine.jiffies) | 0 : 0;
      const timer = jiffiesToClockT(Math.max(left, 0)).toString(16).toUpperCase().padStart(8, '0');
      text += `\t\t\t\t${swappedHex(im.multiaddr)} ${String(im.users).padStart(5)} `;
      text += `${im.tmRunning ? 1 : 0}:${timer}\t\t${im.reporter ? 1 : 0}\n`;
    }
  }
  return text;
}

const igmpProtocol: NetProtocol = {
  handler: igmpRcv,
  errHandler: null,
  earlyDemux: null,
  noPolicy: false,
  icmpStrictTagValidation: false,
};

/** @kernel igmp_mc_init net/ipv4/igmp.c */
function igmpInit(machine: Machine): number {
  machine.netGlobals.igmpOps = {
    initDev,
    up: resetQuerier,
    down: stopDeviceTimers,
    stopTimer: igmpStopTimer,
    groupAdded: igmpGroupAdded,
    groupDropped: igmpGroupDropped,
  };
  const err = inetAddProtocol(machine, igmpProtocol, IPPROTO_IGMP);
  if (err !== 0) return err;
  return registerPernetSubsys(machine, {
    name: 'igmp',
    init(net) {
      for (const { ipPtr } of net.devBaseHead) if (ipPtr !== null) initDev(ipPtr);
      net.procNet.set('igmp', igmpMcSeqShow);
      return 0;
    },
    exit: null,
  });
}

export const igmpModule: KernelModule = {
  name: 'igmp',
  config: 'CONFIG_IP_MULTICAST',
  depends: [],
  level: FS_INITCALL,
  init: igmpInit,
  exit: null,
};
