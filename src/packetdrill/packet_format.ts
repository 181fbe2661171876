/*
 * Packets as text, in the words of scripts.
 */

import type { IcmpSpec, PacketSpec, TcpOption, TcpSpec } from '#packetdrill/ast.ts';
import { FLAG_LETTERS, ICMP_CODES, ICMP_TYPES } from '#packetdrill/packet_parse.ts';
import { ICMP_DEST_UNREACH } from '#uapi/icmp.ts';
import { TCPHDR_ACK } from '#uapi/tcp.ts';

/** `P.`; reserved bits, which nobody may set, as numbers. */
export function formatFlags(flags: number): string {
  let text = '';
  for (const [letter, bit] of FLAG_LETTERS) if ((flags & bit) !== 0) text += letter;
  if ((flags & 0xe00) !== 0) text += `[reserved ${flags >> 9}]`;
  return text === '' ? '-' : text;
}

export function formatOption(option: TcpOption): string {
  switch (option.kind) {
    case 'mss':
    case 'wscale':
      return `${option.kind} ${option.value}`;
    case 'sack':
      return `sack ${option.blocks.map(([start, end]) => `${start}:${end}`).join(' ')}`;
    case 'TS':
      return `TS val ${option.val} ecr ${option.ecr}`;
    case 'FO':
    case 'FOEXP':
      return option.cookie === '' ? option.kind : `${option.kind} ${option.cookie}`;
    case 'md5':
      return `md5 ${option.digest}`;
    case 'ECN':
      return ['ECN', ...option.fields.map(([name, bytes]) => `${name} ${bytes}`)].join(' ');
    case 'unknown':
      return `option ${option.number} ${option.data}`;
    default:
      return option.kind;
  }
}

export function formatOptions(options: readonly TcpOption[] | null): string {
  return options === null ? '<...>' : `<${options.map(formatOption).join(',')}>`;
}

const ECN_TEXTS: readonly string[] = ['noecn', 'ect1', 'ect0', 'ce'];

/** `[ect0] `; empty when nothing of the IP header is named. */
function formatIp({ ip }: PacketSpec): string {
  const parts: string[] = [];
  if (ip.ecn !== null) parts.push(ECN_TEXTS[ip.ecn] as string);
  if (ip.tos !== null) parts.push(`tos 0x${ip.tos.toString(16)}`);
  if (ip.ttl !== null) parts.push(`ttl ${ip.ttl}`);
  return parts.length === 0 ? '' : `[${parts.join(',')}] `;
}

function formatTcp(spec: TcpSpec): string {
  const { seq, length } = spec;
  let text = `${formatFlags(spec.flags)} ${seq}:${(seq + length) >>> 0}(${length})`;
  if ((spec.flags & TCPHDR_ACK) !== 0 && spec.ack !== null) text += ` ack ${spec.ack}`;
  if (spec.window !== null) text += ` win ${spec.window}`;
  if (spec.urgent !== 0) text += ` urg ${spec.urgent}`;
  if (spec.options === null || spec.options.length > 0) text += ` ${formatOptions(spec.options)}`;
  return text;
}

function nameOf(names: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(names).find(([, number]) => number === value)?.[0] ?? String(value);
}

function formatIcmp({ type, code, mtu, echoed }: IcmpSpec): string {
  let text = `icmp ${nameOf(ICMP_TYPES, type)}`;
  if (type === ICMP_DEST_UNREACH) text += ` ${nameOf(ICMP_CODES, code)}`;
  if (mtu >= 0) text += ` mtu ${mtu}`;
  if (echoed?.kind === 'udp') text += ` [udp (${echoed.length})]`;
  if (echoed?.kind === 'tcp') {
    text += ` [${echoed.seq}:${(echoed.seq + echoed.length) >>> 0}(${echoed.length})]`;
  }
  return text;
}

/** A packet as a script would write it. */
export function formatPacket(spec: PacketSpec): string {
  const ports =
    spec.kind !== 'icmp' && spec.ports !== null
      ? `${spec.ports.source} > ${spec.ports.destination}: `
      : '';
  const ip = formatIp(spec);
  if (spec.kind === 'tcp') return `${ip}${ports}${formatTcp(spec)}`;
  if (spec.kind === 'udp') return `${ip}${ports}udp (${spec.length})`;
  return `${ip}${formatIcmp(spec)}`;
}
