/** The one thing that a fork changes: what people type, into what is done to the world. */
import { parseProbability, parseRateBps, parseSizeBytes, parseTimeNs } from '#sim/units.ts';
import type { ActionBody } from '../../protocol.ts';

export interface Change {
  readonly id: string;
  readonly label: string;
  readonly on: 'cable' | 'machine';
  /** How a value is written; empty: none is needed. */
  readonly example: string;
}

export const CHANGES: readonly Change[] = [
  { id: 'loss', label: 'the loss', on: 'cable', example: '10%' },
  { id: 'delay', label: 'the delay', on: 'cable', example: '100ms' },
  { id: 'rate', label: 'the rate', on: 'cable', example: '1mbit' },
  { id: 'queue', label: 'the queue', on: 'cable', example: '16kb' },
  { id: 'cut', label: 'cut the cable', on: 'cable', example: '' },
  { id: 'sysctl', label: 'a setting', on: 'machine', example: 'net.ipv4.ip_forward=0' },
  { id: 'command', label: 'run a command', on: 'machine', example: 'ip link set eth1 down' },
];

/** Null when the value cannot be understood. */
export function changeBody(
  change: Change,
  index: number,
  name: string,
  value: string,
): ActionBody | null {
  try {
    switch (change.id) {
      case 'loss':
        return { kind: 'impair', cable: index, change: { loss: parseProbability(value) } };
      case 'delay':
        return { kind: 'impair', cable: index, change: { delayNs: parseTimeNs(value) } };
      case 'rate':
        return { kind: 'impair', cable: index, change: { rateBps: parseRateBps(value) } };
      case 'queue':
        return { kind: 'impair', cable: index, change: { queueBytes: parseSizeBytes(value) } };
      case 'cut':
        return { kind: 'connect', cable: index, connected: false };
      case 'sysctl':
        if (!/^[\w./-]+\s*=.+$/.test(value)) return null;
        return {
          kind: 'command',
          machine: name,
          text: `sysctl -w ${value.replace(/\s*=\s*/, '=')}`,
        };
      default:
        return value.trim() === '' ? null : { kind: 'command', machine: name, text: value };
    }
  } catch {
    return null;
  }
}
