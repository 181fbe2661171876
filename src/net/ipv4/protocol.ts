/**
 * The table of transport protocols above IPv4, and that of their offloads. Counterpart of
 * net/ipv4/protocol.c.
 */
import type { NetOffload } from '#include/net/gro.ts';
import type { NetProtocol } from '#include/net/net_globals.ts';
import type { Machine } from '#kernel/machine.ts';

/** 0, or -1 when the number is taken. @kernel inet_add_protocol net/ipv4/protocol.c */
export function inetAddProtocol(machine: Machine, prot: NetProtocol, protocol: number): number {
  const { inetProtos } = machine.netGlobals;
  if (inetProtos[protocol] !== null) return -1;
  inetProtos[protocol] = prot;
  return 0;
}

/** 0, or -1 when another protocol owns the number. @kernel inet_del_protocol net/ipv4/protocol.c */
export function inetDelProtocol(machine: Machine, prot: NetProtocol, protocol: number): number {
  const { inetProtos } = machine.netGlobals;
  if (inetProtos[protocol] !== prot) return -1;
  inetProtos[protocol] = null;
  return 0;
}

/** 0, or -1 when the number is taken. @kernel inet_add_offload net/ipv4/protocol.c */
export function inetAddOffload(machine: Machine, prot: NetOffload, protocol: number): number {
  const { inetOffloads } = machine.netGlobals;
  if (inetOffloads[protocol] !== null) return -1;
  inetOffloads[protocol] = prot;
  return 0;
}

/** 0, or -1 when another offload owns the number. @kernel inet_del_offload net/ipv4/protocol.c */
export function inetDelOffload(machine: Machine, prot: NetOffload, protocol: number): number {
  const { inetOffloads } = machine.netGlobals;
  if (inetOffloads[protocol] !== prot) return -1;
  inetOffloads[protocol] = null;
  return 0;
}
