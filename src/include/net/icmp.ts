/**
 * Sending ICMP errors from anywhere in IPv4. Counterpart of include/net/icmp.h.
 *
 * The sender itself, net/ipv4/icmp.ts, stands above nearly everything that needs it; it registers
 * itself in the machine's Ipv4Ops.
 */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { IpOptions } from '#include/net/ip.ts';
import type { Net } from '#include/net/net_namespace.ts';
import {
  ECONNREFUSED,
  EHOSTDOWN,
  EHOSTUNREACH,
  EMSGSIZE,
  ENETUNREACH,
  ENONET,
  ENOPROTOOPT,
  EOPNOTSUPP,
} from '#uapi/errno.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_PARAMETERPROB,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
} from '#uapi/icmp.ts';

/**
 * Answers `skb`, which stays the caller's, with an ICMP error, unless a rule forbids it.
 * `info`: the second word of the message in host order (gateway, MTU, pointer << 24).
 * @kernel icmp_send include/net/icmp.h
 */
export function icmpSend(skb: SkBuff, type: number, code: number, info: number): void {
  skb.machine.netGlobals.ipv4Ops?.icmpSend(skb, type, code, info, null);
}

/** The same with options parsed elsewhere. @kernel __icmp_send net/ipv4/icmp.c */
export function __icmpSend(
  skb: SkBuff,
  type: number,
  code: number,
  info: number,
  opt: IpOptions,
): void {
  skb.machine.netGlobals.ipv4Ops?.icmpSend(skb, type, code, info, opt);
}

/** @kernel ICMP_INC_STATS include/net/icmp.h */
export function icmpIncStats(net: Net, field: number): void {
  net.mib.icmpStatistics[field]!++;
}

/** @kernel ICMPMSGOUT_INC_STATS include/net/icmp.h */
export function icmpmsgOutIncStats(net: Net, type: number): void {
  net.mib.icmpmsgStatistics[256 + type]!++;
}

/** @kernel ICMPMSGIN_INC_STATS include/net/icmp.h */
export function icmpmsgInIncStats(net: Net, type: number): void {
  net.mib.icmpmsgStatistics[type]!++;
}

/** True for the types that report an error. @kernel icmp_is_err include/linux/icmp.h */
export function icmpIsErr(type: number): boolean {
  switch (type) {
    case ICMP_DEST_UNREACH:
    case ICMP_SOURCE_QUENCH:
    case ICMP_REDIRECT:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAMETERPROB:
      return true;
    default:
      return false;
  }
}

/** What a code of "destination unreachable" means to a socket. @kernel icmp_err include/net/icmp.h */
export interface IcmpErrno {
  /** Positive errno. */
  readonly errno: number;
  /** Is it for good, or may the network recover? @rfc 1122#4.2.3.9 */
  readonly fatal: boolean;
}

/** By code of ICMP_DEST_UNREACH. @kernel icmp_err_convert net/ipv4/icmp.c */
export const icmpErrConvert: readonly IcmpErrno[] = [
  { errno: ENETUNREACH, fatal: false },
  { errno: EHOSTUNREACH, fatal: false },
  { errno: ENOPROTOOPT, fatal: true },
  { errno: ECONNREFUSED, fatal: true },
  { errno: EMSGSIZE, fatal: false },
  { errno: EOPNOTSUPP, fatal: false },
  { errno: ENETUNREACH, fatal: true },
  { errno: EHOSTDOWN, fatal: true },
  { errno: ENONET, fatal: true },
  { errno: ENETUNREACH, fatal: true },
  { errno: EHOSTUNREACH, fatal: true },
  { errno: ENETUNREACH, fatal: false },
  { errno: EHOSTUNREACH, fatal: false },
  { errno: EHOSTUNREACH, fatal: true },
  { errno: EHOSTUNREACH, fatal: true },
  { errno: EHOSTUNREACH, fatal: true },
];
