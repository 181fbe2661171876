/*
 * Scenarios and recordings as text, in the words of packet scripts.
 */

import { formatFlags, formatOptions } from '#packetdrill/packet_format.ts';
import { errnoName } from '#packetdrill/symbols.ts';
import * as socket from '#uapi/socket.ts';
import * as tcp from '#uapi/tcp.ts';
import { formatSent } from './compare.ts';
import type { Action, Scenario } from './events.ts';
import type { Recording } from './record.ts';

function nameOf(module: Readonly<Record<string, unknown>>, prefix: RegExp, value: number): string {
  const found = Object.entries(module).find(([name, v]) => v === value && prefix.test(name));
  return found?.[0] ?? String(value);
}

function optionName(level: number, optname: number): string {
  return level === socket.SOL_TCP
    ? nameOf(
        tcp,
        /^TCP_(?!CA_|MSS|MAX|MIN|[A-Z_0-9]*STATE)(?!ESTAB|SYN_|FIN_|TIME_|CLOS|LAST|LISTEN|NEW)/,
        optname,
      )
    : nameOf(socket, /^SO_/, optname);
}

export function formatAction(action: Action): string {
  if (action.kind === 'pause') return 'pause';
  if (action.kind === 'icmp') {
    const { type, code, mtu, seq } = action.icmp;
    return `< icmp type ${type} code ${code} mtu ${mtu} about ${seq}`;
  }
  if (action.kind === 'segment') {
    const { flags, seq, length, ack, window, urgent, ecn, options } = action.segment;
    const marks = ecn === 0 ? '' : `[${['', 'ect1', 'ect0', 'ce'][ecn]}] `;
    const urg = urgent === 0 ? '' : ` urg ${urgent}`;
    return `< ${marks}${formatFlags(flags)} ${seq}:${(seq + length) >>> 0}(${length}) ack ${ack} win ${window}${urg} ${formatOptions(options)}`;
  }
  const { call } = action;
  if (call.name === 'setsockopt' || call.name === 'getsockopt') {
    const value = call.name === 'setsockopt' ? ` = ${call.value}` : '';
    return `${call.name} ${optionName(call.level, call.optname)}${value}`;
  }
  const { name, ...rest } = call;
  return `${name} ${Object.entries(rest)
    .map(([key, value]) => `${key} ${value}`)
    .join(' ')}`;
}

/** What happened and what came of it, in order. */
export function show(scenario: Scenario, recording: Recording): string {
  const lines: [timeMs: number, text: string][] = [];
  let timeMs = 0;
  for (const [i, { gapMs, action }] of scenario.events.entries()) {
    timeMs += gapMs;
    const result = recording.outcomes[i]?.result ?? 0;
    const gave =
      action.kind === 'call' ? ` = ${result < 0 ? `-${errnoName(-result)}` : result}` : '';
    lines.push([timeMs, `${String(i).padStart(3)} ${formatAction(action)}${gave}`]);
  }
  for (const sent of recording.sent) lines.push([sent.timeMs, `      > ${formatSent(sent)}`]);
  lines.sort((a, b) => a[0] - b[0]);
  const head = [
    `${scenario.name}, ${scenario.passive ? 'passive' : 'active'}, isn ${scenario.remoteIsn}`,
    ...scenario.sysctls.map(([name, value]) => `  ${name} = ${value}`),
  ];
  return [...head, ...lines.map(([t, text]) => `${t.toFixed(1).padStart(8)} ${text}`)].join('\n');
}
