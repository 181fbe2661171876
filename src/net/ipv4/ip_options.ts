/**
 * IP options: parsing what arrives and what users give, building, echoing, and what a router and a
 * fragment do with them. Counterpart of net/ipv4/ip_options.c. RFC 791, 1122#3.2.1.8, 1812#5.2.4.
 *
 * Offsets in IpOptions count from the start of the IP header. A packet's options stand in the packet;
 * those of a socket or a reply stand in `opt.data`, whose first octet has offset 20.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { dstRelease, skbDstDrop } from '#include/net/dst.ts';
import { __icmpSend } from '#include/net/icmp.ts';
import { IpOptions, ipOptionsClear, ipOptionsCopy, ipSendCheck } from '#include/net/ip.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem, view } from '#mm/memory.ts';
import { inetCurrentTimestamp } from '#net/ipv4/af_inet.ts';
import { inetAddrType } from '#net/ipv4/fib_frontend.ts';
import { fibComputeSpecDst } from '#net/ipv4/fib_frontend_source.ts';
import { ipRouteInput } from '#net/ipv4/route.ts';
import { ipRtGetSource } from '#net/ipv4/route_source.ts';
import { EINVAL } from '#uapi/errno.ts';
import { ICMP_PARAMETERPROB } from '#uapi/icmp.ts';
import { PACKET_HOST } from '#uapi/if_packet.ts';
import {
  IPOPT_CIPSO,
  IPOPT_COPY,
  IPOPT_END,
  IPOPT_LSRR,
  IPOPT_NOOP,
  IPOPT_RA,
  IPOPT_RR,
  IPOPT_SSRR,
  IPOPT_TIMESTAMP,
  IPOPT_TS_PRESPEC,
  IPOPT_TS_TSANDADDR,
  IPOPT_TS_TSONLY,
  iphdr,
  MAX_IPOPTLEN,
} from '#uapi/ip.ts';
import { RTN_LOCAL, RTN_UNICAST } from '#uapi/rtnetlink.ts';

function getBe32(buf: Uint8Array, o: number): number {
  return (
    (((buf[o] as number) << 24) |
      ((buf[o + 1] as number) << 16) |
      ((buf[o + 2] as number) << 8) |
      (buf[o + 3] as number)) >>>
    0
  );
}

function putBe32(buf: Uint8Array, o: number, value: number): void {
  buf[o] = value >>> 24;
  buf[o + 1] = value >>> 16;
  buf[o + 2] = value >>> 8;
  buf[o + 3] = value;
}

/**
 * Writes options into a packet being built, whose header already has room for them.
 * @kernel ip_options_build net/ipv4/ip_options.c
 */
export function optionsBuild(skb: SkBuff, from: IpOptions, daddr: number, rt: Rtable): void {
  const iph = skb.networkHeader;
  const { opt } = skb.ipCb;
  ipOptionsCopy(opt, from);
  opt.data = null;
  const data = from.data as Uint8Array;
  for (let i = 0; i < opt.optlen; i++) mem[iph + iphdr.LEN + i] = data[i] as number;
  if (opt.srr !== 0) view.setUint32(iph + opt.srr + (mem[iph + opt.srr + 1] as number) - 4, daddr);
  if (opt.rrNeedaddr) {
    view.setUint32(iph + opt.rr + (mem[iph + opt.rr + 2] as number) - 5, ipRtGetSource(skb, rt));
  }
  if (opt.tsNeedaddr) {
    view.setUint32(iph + opt.ts + (mem[iph + opt.ts + 2] as number) - 9, ipRtGetSource(skb, rt));
  }
  if (opt.tsNeedtime) {
    const at = iph + opt.ts + (mem[iph + opt.ts + 2] as number) - 5;
    view.setUint32(at, inetCurrentTimestamp(rt.net));
  }
}

/** Appends option octets of the packet to a reply's; returns where in `data` they now begin. */
function echoCopy(dopt: IpOptions, from: number, optlen: number): number {
  const data = dopt.data as Uint8Array;
  const at = dopt.optlen;
  for (let i = 0; i < optlen; i++) data[at + i] = mem[from + i] as number;
  dopt.optlen += optlen;
  return at;
}

function echoRecordRoute(dopt: IpOptions, sptr: number, sopt: IpOptions): number {
  const optlen = mem[sptr + sopt.rr + 1] as number;
  const soffset = mem[sptr + sopt.rr + 2] as number;
  dopt.rr = dopt.optlen + iphdr.LEN;
  const at = echoCopy(dopt, sptr + sopt.rr, optlen);
  if (sopt.rrNeedaddr && soffset <= optlen) {
    if (soffset + 3 > optlen) return -EINVAL;
    (dopt.data as Uint8Array)[at + 2] = soffset + 4;
    dopt.rrNeedaddr = true;
  }
  return 0;
}

function echoTimestamp(net: Net, dopt: IpOptions, sptr: number, sopt: IpOptions): number {
  const data = dopt.data as Uint8Array;
  const optlen = mem[sptr + sopt.ts + 1] as number;
  let soffset = mem[sptr + sopt.ts + 2] as number;
  dopt.ts = dopt.optlen + iphdr.LEN;
  const at = echoCopy(dopt, sptr + sopt.ts, optlen);
  if (soffset > optlen) return 0;
  if (sopt.tsNeedaddr) {
    if (soffset + 3 > optlen) return -EINVAL;
    dopt.tsNeedaddr = true;
    soffset += 4;
  }
  if (sopt.tsNeedtime) {
    if (soffset + 3 > optlen) return -EINVAL;
    if (((data[at + 3] as number) & 0xf) !== IPOPT_TS_PRESPEC) {
      dopt.tsNeedtime = true;
      soffset += 4;
    } else if (soffset + 7 <= optlen) {
      // Ours to stamp only if the prescribed address is one of ours.
      if (inetAddrType(net, getBe32(data, at + soffset - 1)) !== RTN_UNICAST) {
        dopt.tsNeedtime = true;
        soffset += 8;
      }
    }
  }
  data[at + 2] = soffset;
  return 0;
}

/** The way back is the recorded way in reverse. @rfc 1122#3.2.1.8 */
function echoSourceRoute(dopt: IpOptions, sptr: number, sopt: IpOptions): void {
  const data = dopt.data as Uint8Array;
  const at = dopt.optlen;
  const start = sptr + sopt.srr;
  const optlen = mem[start + 1] as number;
  let soffset = mem[start + 2] as number;
  let doffset = 0;
  let faddr = 0;
  if (soffset > optlen) soffset = optlen + 1;
  soffset -= 4;
  if (soffset > 3) {
    faddr = view.getUint32(start + soffset - 1);
    doffset = 4;
    for (soffset -= 4; soffset > 3; soffset -= 4, doffset += 4) {
      putBe32(data, at + doffset - 1, view.getUint32(start + soffset - 1));
    }
    // A sender that recorded itself as the first hop must not be visited twice (RFC 1812).
    if (iphdr.saddr(view, sptr) === view.getUint32(start + soffset + 3)) doffset -= 4;
  }
  if (doffset <= 3) return;
  dopt.faddr = faddr;
  data[at] = mem[start] as number;
  data[at + 1] = doffset + 3;
  data[at + 2] = 4;
  dopt.srr = dopt.optlen + iphdr.LEN;
  dopt.optlen += doffset + 3;
  dopt.isStrictroute = sopt.isStrictroute;
}

/**
 * The options of an answer to `skb`, from those parsed in `sopt`, written to `dopt`, whose `data` is
 * made here. -EINVAL when they cannot be echoed.
 * @kernel __ip_options_echo net/ipv4/ip_options.c
 */
export function optionsEcho(net: Net, dopt: IpOptions, skb: SkBuff, sopt: IpOptions): number {
  ipOptionsClear(dopt);
  if (sopt.optlen === 0) return 0;
  // Room for a source route that is written before it is known to be dropped.
  const data = new Uint8Array(MAX_IPOPTLEN + 8);
  dopt.data = data;
  const sptr = skb.networkHeader;
  if (sopt.rr !== 0) {
    const err = echoRecordRoute(dopt, sptr, sopt);
    if (err !== 0) return err;
  }
  if (sopt.ts !== 0) {
    const err = echoTimestamp(net, dopt, sptr, sopt);
    if (err !== 0) return err;
  }
  if (sopt.srr !== 0) echoSourceRoute(dopt, sptr, sopt);
  if (sopt.cipso !== 0) {
    dopt.cipso = dopt.optlen + iphdr.LEN;
    echoCopy(dopt, sptr + sopt.cipso, mem[sptr + sopt.cipso + 1] as number);
  }
  while ((dopt.optlen & 3) !== 0) data[dopt.optlen++] = IPOPT_END;
  return 0;
}

/**
 * Blanks the options that only the first fragment carries.
 * @kernel ip_options_fragment net/ipv4/ip_options.c
 * @rfc 791#3.1
 */
export function optionsFragment(skb: SkBuff): void {
  const { opt } = skb.ipCb;
  let at = skb.networkHeader + iphdr.LEN;
  let left = opt.optlen;
  while (left > 0) {
    const type = mem[at] as number;
    if (type === IPOPT_END) return;
    if (type === IPOPT_NOOP) {
      left--;
      at++;
      continue;
    }
    const optlen = mem[at + 1] as number;
    if (optlen < 2 || optlen > left) return;
    if ((type & IPOPT_COPY) === 0) mem.fill(IPOPT_NOOP, at, at + optlen);
    left -= optlen;
    at += optlen;
  }
  opt.ts = 0;
  opt.rr = 0;
  opt.rrNeedaddr = false;
  opt.tsNeedaddr = false;
  opt.tsNeedtime = false;
}

/**
 * One option list while it is parsed: octets `buf[base + offset]`, offsets from the IP header.
 * `skb` null: the list is a user's.
 */
interface OptionList {
  readonly net: Net;
  readonly buf: Uint8Array;
  readonly base: number;
  readonly skb: SkBuff | null;
}

/** Each parser returns 0, or the offset that ICMP's parameter problem shall point at. */
function compileSourceRoute(list: OptionList, opt: IpOptions, o: number, optlen: number): number {
  const { buf, base } = list;
  if (optlen < 3) return o + 1;
  if ((buf[base + o + 2] as number) < 4) return o + 2;
  // At most one source route, strict or loose (RFC 1812, 5.2.4.1).
  if (opt.srr !== 0) return o;
  if (list.skb === null) {
    if (buf[base + o + 2] !== 4 || optlen < 7 || ((optlen - 3) & 3) !== 0) return o + 1;
    opt.faddr = getBe32(buf, base + o + 3);
    if (optlen > 7) buf.copyWithin(base + o + 3, base + o + 7, base + o + optlen);
  }
  opt.isStrictroute = buf[base + o] === IPOPT_SSRR;
  opt.srr = o;
  return 0;
}

function compileRecordRoute(list: OptionList, opt: IpOptions, o: number, optlen: number): number {
  const { buf, base, skb } = list;
  if (opt.rr !== 0) return o;
  if (optlen < 3) return o + 1;
  const ptr = buf[base + o + 2] as number;
  if (ptr < 4) return o + 2;
  if (ptr <= optlen) {
    if (ptr + 3 > optlen) return o + 2;
    if (skb !== null && skb.dst !== null) {
      putBe32(buf, base + o + ptr - 1, fibComputeSpecDst(skb));
      opt.isChanged = true;
    }
    buf[base + o + 2] = ptr + 4;
    opt.rrNeedaddr = true;
  }
  opt.rr = o;
  return 0;
}

/** Fills one free slot of a timestamp option. */
function compileTimestampSlot(list: OptionList, opt: IpOptions, o: number, optlen: number): number {
  const { net, buf, base, skb } = list;
  const ptr = buf[base + o + 2] as number;
  let timeAt = -1;
  if (ptr + 3 > optlen) return o + 2;
  switch ((buf[base + o + 3] as number) & 0xf) {
    case IPOPT_TS_TSONLY:
      if (skb !== null) timeAt = ptr - 1;
      opt.tsNeedtime = true;
      buf[base + o + 2] = ptr + 4;
      break;
    case IPOPT_TS_TSANDADDR:
      if (ptr + 7 > optlen) return o + 2;
      if (skb !== null && skb.dst !== null) {
        putBe32(buf, base + o + ptr - 1, fibComputeSpecDst(skb));
        timeAt = ptr + 3;
      }
      opt.tsNeedaddr = true;
      opt.tsNeedtime = true;
      buf[base + o + 2] = ptr + 8;
      break;
    case IPOPT_TS_PRESPEC:
      if (ptr + 7 > optlen) return o + 2;
      // Somebody else's address: leave the slot to them.
      if (inetAddrType(net, getBe32(buf, base + o + ptr - 1)) === RTN_UNICAST) break;
      if (skb !== null) timeAt = ptr + 3;
      opt.tsNeedtime = true;
      buf[base + o + 2] = ptr + 8;
      break;
    default:
      break;
  }
  if (timeAt >= 0) {
    putBe32(buf, base + o + timeAt, inetCurrentTimestamp(net));
    opt.isChanged = true;
  }
  return 0;
}

function compileTimestamp(list: OptionList, opt: IpOptions, o: number, optlen: number): number {
  const { buf, base, skb } = list;
  if (opt.ts !== 0) return o;
  if (optlen < 4) return o + 1;
  const ptr = buf[base + o + 2] as number;
  if (ptr < 5) return o + 2;
  const flags = buf[base + o + 3] as number;
  if (ptr <= optlen) {
    const err = compileTimestampSlot(list, opt, o, optlen);
    if (err !== 0) return err;
  } else if ((flags & 0xf) !== IPOPT_TS_PRESPEC) {
    const overflow = flags >> 4;
    if (overflow === 15) return o + 3;
    if (skb !== null) {
      buf[base + o + 3] = (flags & 0xf) | ((overflow + 1) << 4);
      opt.isChanged = true;
    }
  }
  opt.ts = o;
  return 0;
}

/**
 * Refuses a CIPSO option: no domain of interpretation is configured. The offset of what is wrong, where
 * `o` is that of the option.
 * @kernel cipso_v4_validate net/ipv4/cipso_ipv4.c
 */
function cipsoV4Validate(buf: Uint8Array, at: number, o: number): number {
  return (buf[at + 1] as number) < 8 ? o + 1 : o + 2;
}

function compileOne(list: OptionList, opt: IpOptions, o: number, optlen: number): number {
  const { buf, base } = list;
  switch (buf[base + o]) {
    case IPOPT_SSRR:
    case IPOPT_LSRR:
      return compileSourceRoute(list, opt, o, optlen);
    case IPOPT_RR:
      return compileRecordRoute(list, opt, o, optlen);
    case IPOPT_TIMESTAMP:
      return compileTimestamp(list, opt, o, optlen);
    case IPOPT_RA:
      if (optlen < 4) return o + 1;
      if (buf[base + o + 2] === 0 && buf[base + o + 3] === 0) opt.routerAlert = o;
      return 0;
    case IPOPT_CIPSO:
      if (opt.cipso !== 0) return o;
      opt.cipso = o;
      return cipsoV4Validate(buf, base + o, o);
    default:
      return 0;
  }
}

/** After the end of the list everything is padding. */
function compilePadding(list: OptionList, opt: IpOptions, from: number, to: number): void {
  for (let o = from; o < to; o++) {
    if (list.buf[list.base + o] === IPOPT_END) continue;
    list.buf[list.base + o] = IPOPT_END;
    opt.isChanged = true;
  }
}

/**
 * Parses `opt.optlen` octets of options and fills in what this host adds to them. Returns 0, or the
 * offset in the IP header of the offending octet.
 * @kernel __ip_options_compile net/ipv4/ip_options.c
 */
function __ipOptionsCompile(list: OptionList, opt: IpOptions): number {
  const { buf, base } = list;
  const end = iphdr.LEN + opt.optlen;
  let o: number = iphdr.LEN;
  while (o < end) {
    const type = buf[base + o];
    if (type === IPOPT_END) {
      compilePadding(list, opt, o + 1, end);
      return 0;
    }
    if (type === IPOPT_NOOP) {
      o++;
      continue;
    }
    if (end - o < 2) return o;
    const optlen = buf[base + o + 1] as number;
    if (optlen < 2 || optlen > end - o) return o;
    const pp = compileOne(list, opt, o, optlen);
    if (pp !== 0) return pp;
    o += optlen;
  }
  return 0;
}

/**
 * Parses a received packet's options into IPCB(skb).opt; its header is writable. On -EINVAL the
 * sender has been told which octet is wrong.
 * @kernel ip_options_compile net/ipv4/ip_options.c
 */
export function optionsCompile(net: Net, opt: IpOptions, skb: SkBuff): number {
  const pp = __ipOptionsCompile({ net, buf: mem, base: skb.networkHeader, skb }, opt);
  if (pp === 0) return 0;
  __icmpSend(skb, ICMP_PARAMETERPROB, 0, (pp << 24) >>> 0, skb.ipCb.opt);
  return -EINVAL;
}

/**
 * A user's options, parsed. An empty list gives options of length 0.
 * @kernel ip_options_get net/ipv4/ip_options.c
 */
export function optionsGet(net: Net, data: Uint8Array): IpOptions | number {
  if (data.length > MAX_IPOPTLEN) return -EINVAL;
  const opt = new IpOptions();
  const padded = new Uint8Array((data.length + 3) & ~3);
  padded.set(data);
  opt.optlen = padded.length;
  opt.data = padded;
  if (opt.optlen === 0) return opt;
  const pp = __ipOptionsCompile({ net, buf: padded, base: -iphdr.LEN, skb: null }, opt);
  return pp === 0 ? opt : -EINVAL;
}

/**
 * Undoes what parsing changed, so that the user sees the options as given. Works on a copy.
 * @kernel ip_options_undo net/ipv4/ip_options.c
 */
export function optionsUndo(opt: IpOptions): Uint8Array {
  const data = (opt.data ?? new Uint8Array(0)).slice(0, opt.optlen);
  if (opt.srr !== 0) {
    const o = opt.srr - iphdr.LEN;
    data.copyWithin(o + 7, o + 3, o + (data[o + 1] as number) - 4);
    putBe32(data, o + 3, opt.faddr);
  }
  const takeBack = (o: number, clear: boolean): void => {
    const ptr = (data[o + 2] as number) - 4;
    data[o + 2] = ptr;
    if (clear) putBe32(data, o + ptr - 1, 0);
  };
  if (opt.rrNeedaddr) takeBack(opt.rr - iphdr.LEN, true);
  if (opt.ts !== 0) {
    const o = opt.ts - iphdr.LEN;
    if (opt.tsNeedtime) {
      takeBack(o, true);
      if (((data[o + 3] as number) & 0xf) === IPOPT_TS_PRESPEC) takeBack(o, false);
    }
    if (opt.tsNeedaddr) takeBack(o, true);
  }
  return data;
}

/** A source route names us: swap our address in, send on to the next hop. */
function forwardSourceRoute(skb: SkBuff, opt: IpOptions, rt: Rtable): void {
  const raw = skb.networkHeader;
  const at = raw + opt.srr;
  const srrspace = mem[at + 1] as number;
  let srrptr = mem[at + 2] as number;
  while (srrptr + 3 <= srrspace && view.getUint32(at + srrptr - 1) !== opt.nexthop) srrptr += 4;
  if (srrptr + 3 <= srrspace) {
    opt.isChanged = true;
    iphdr.setDaddr(view, raw, opt.nexthop);
    view.setUint32(at + srrptr - 1, ipRtGetSource(skb, rt));
    mem[at + 2] = srrptr + 4;
  }
  if (opt.tsNeedaddr) {
    const ts = raw + opt.ts;
    view.setUint32(ts + (mem[ts + 2] as number) - 9, ipRtGetSource(skb, rt));
    opt.isChanged = true;
  }
}

/** What a router writes into the options. @kernel ip_forward_options net/ipv4/ip_options.c */
export function forwardOptions(skb: SkBuff): void {
  const { opt } = skb.ipCb;
  const rt = skb.dst as Rtable;
  const raw = skb.networkHeader;
  if (opt.rrNeedaddr) {
    const rr = raw + opt.rr;
    view.setUint32(rr + (mem[rr + 2] as number) - 5, ipRtGetSource(skb, rt));
    opt.isChanged = true;
  }
  if (opt.srrIsHit) forwardSourceRoute(skb, opt, rt);
  if (opt.isChanged) {
    opt.isChanged = false;
    ipSendCheck(raw);
  }
}

/** Routes the packet to `nexthop` instead; on failure it keeps the route that it has. */
function rerouteTo(skb: SkBuff, nexthop: number, dev: NetDevice): number {
  const iph = skb.networkHeader;
  const orig = skb.dst;
  const origNoref = skb.dstNoref;
  skb.dst = null;
  skb.dstNoref = false;
  const reason = ipRouteInput(skb, nexthop, iphdr.saddr(view, iph), iphdr.tos(view, iph), dev);
  const rt2 = skb.dst as Rtable | null;
  if (reason !== 0 || rt2 === null || (rt2.rtType !== RTN_UNICAST && rt2.rtType !== RTN_LOCAL)) {
    skbDstDrop(skb);
    skb.dst = orig;
    skb.dstNoref = origNoref;
    return -EINVAL;
  }
  if (orig !== null && !origNoref) dstRelease(orig);
  return rt2.rtType;
}

/**
 * A received packet has a source route: find the next hop in it that is not ourselves.
 * @kernel ip_options_rcv_srr net/ipv4/ip_options.c
 */
export function optionsRcvSrr(skb: SkBuff, dev: NetDevice): number {
  const { opt } = skb.ipCb;
  const iph = skb.networkHeader;
  const at = iph + opt.srr;
  const rt = skb.dst as Rtable | null;
  if (rt === null) return 0;
  if (skb.pktType !== PACKET_HOST) return -EINVAL;
  if (rt.rtType === RTN_UNICAST) {
    if (!opt.isStrictroute) return 0;
    __icmpSend(skb, ICMP_PARAMETERPROB, 0, 16 << 24, opt);
    return -EINVAL;
  }
  if (rt.rtType !== RTN_LOCAL) return -EINVAL;
  const srrspace = mem[at + 1] as number;
  let srrptr = mem[at + 2] as number;
  let nexthop = 0;
  for (; srrptr <= srrspace; srrptr += 4) {
    if (srrptr + 3 > srrspace) {
      __icmpSend(skb, ICMP_PARAMETERPROB, 0, ((opt.srr + 2) << 24) >>> 0, opt);
      return -EINVAL;
    }
    nexthop = view.getUint32(at + srrptr - 1);
    const type = rerouteTo(skb, nexthop, dev);
    if (type < 0) return type;
    if (type !== RTN_LOCAL) break;
    // Ourselves once more: step over it without a trip through the stack.
    iphdr.setDaddr(view, iph, nexthop);
    opt.isChanged = true;
  }
  if (srrptr <= srrspace) {
    opt.srrIsHit = true;
    opt.nexthop = nexthop;
    opt.isChanged = true;
  }
  return 0;
}

/** @kernel ip_init net/ipv4/ip_output.c */
function ipOptionsInit(machine: Machine): number {
  machine.netGlobals.ipOptions = {
    compile: optionsCompile,
    rcvSrr: optionsRcvSrr,
    build: optionsBuild,
    echo: optionsEcho,
    fragment: optionsFragment,
    forward: forwardOptions,
    get: optionsGet,
    undo: optionsUndo,
  };
  return 0;
}

export const ipOptionsModule: KernelModule = {
  name: 'ip_options',
  config: null,
  depends: [],
  level: FS_INITCALL,
  init: ipOptionsInit,
  exit: null,
};
