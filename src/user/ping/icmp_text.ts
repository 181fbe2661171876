/*
 * ICMP messages in words, as ping and traceroute show them. Counterpart of pr_icmph in iputils' ping.c.
 */
import { inNtop4 } from '#lib/parse_addr.ts';
import {
  ICMP_DEST_UNREACH,
  ICMP_ECHO,
  ICMP_ECHOREPLY,
  ICMP_EXC_FRAGTIME,
  ICMP_EXC_TTL,
  ICMP_FRAG_NEEDED,
  ICMP_PARAMETERPROB,
  ICMP_REDIRECT,
  ICMP_SOURCE_QUENCH,
  ICMP_TIME_EXCEEDED,
} from '#uapi/icmp.ts';

/** Of type 3, by code. */
const UNREACHABLE: readonly string[] = [
  'Destination Net Unreachable',
  'Destination Host Unreachable',
  'Destination Protocol Unreachable',
  'Destination Port Unreachable',
  'Frag needed and DF set',
  'Source Route Failed',
  'Destination Net Unknown',
  'Destination Host Unknown',
  'Source Host Isolated',
  'Destination Net Prohibited',
  'Destination Host Prohibited',
  'Destination Net Unreachable for Type of Service',
  'Destination Host Unreachable for Type of Service',
  'Packet filtered',
  'Precedence Violation',
  'Precedence Cutoff',
];

/** Of type 5, by code. */
const REDIRECTS: readonly string[] = [
  'Redirect Network',
  'Redirect Host',
  'Redirect Type of Service and Network',
  'Redirect Type of Service and Host',
];

/**
 * A message without its end of line.
 * @param info next-hop MTU, gateway or pointer, by the type
 */
export function icmpText(type: number, code: number, info: number): string {
  switch (type) {
    case ICMP_ECHOREPLY:
      return 'Echo Reply';
    case ICMP_ECHO:
      return 'Echo Request';
    case ICMP_DEST_UNREACH: {
      const text = UNREACHABLE[code] ?? `Dest Unreachable, Bad Code: ${code}`;
      return code === ICMP_FRAG_NEEDED ? `${text} (mtu = ${info})` : text;
    }
    case ICMP_SOURCE_QUENCH:
      return 'Source Quench';
    case ICMP_REDIRECT:
      return `${REDIRECTS[code] ?? `Redirect, Bad Code: ${code}`}(New nexthop: ${inNtop4(info)})`;
    case ICMP_TIME_EXCEEDED:
      if (code === ICMP_EXC_TTL) return 'Time to live exceeded';
      if (code === ICMP_EXC_FRAGTIME) return 'Frag reassembly time exceeded';
      return `Time exceeded, Bad Code: ${code}`;
    case ICMP_PARAMETERPROB:
      return `Parameter problem: pointer = ${info >>> 24}`;
    default:
      return `Bad ICMP type: ${type}`;
  }
}
