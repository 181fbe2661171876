/**
 * Brings the IP layer up: the steps that routes point at. Counterpart of ip_init() in
 * net/ipv4/ip_output.c; it stands apart because it knows both the input and the output path.
 */
import type { Machine } from '#kernel/machine.ts';
import { ipForward } from '#net/ipv4/ip_forward.ts';
import { ipLocalDeliver } from '#net/ipv4/ip_input.ts';
import { ipLocalOut, ipMcOutput, ipOutput } from '#net/ipv4/ip_output.ts';
import { ipRtInit } from '#net/ipv4/route_init.ts';

/** Until icmp_init() has run no error can be sent. */
function icmpSendNot(): void {}

/** @kernel ip_init net/ipv4/ip_output.c */
export function ipInit(machine: Machine): number {
  machine.netGlobals.ipv4Ops = {
    ipLocalDeliver,
    ipForward,
    ipOutput,
    ipMcOutput,
    ipLocalOut,
    icmpSend: icmpSendNot,
  };
  return ipRtInit(machine);
}
