/** Names of TCP's states and of congestion control's, by the kernel's numbers; colours of what limits. */
import type { TcpLimit } from '../../protocol.ts';

export const TCP_STATES: readonly string[] = [
  '',
  'ESTABLISHED',
  'SYN-SENT',
  'SYN-RECEIVED',
  'FIN-WAIT-1',
  'FIN-WAIT-2',
  'TIME-WAIT',
  'CLOSED',
  'CLOSE-WAIT',
  'LAST-ACK',
  'LISTEN',
  'CLOSING',
  'SYN-RECEIVED',
];

export const CA_STATES: readonly string[] = ['Open', 'Disorder', 'CWR', 'Recovery', 'Loss'];

export const LIMIT_COLORS: Readonly<Record<TcpLimit, string>> = {
  'not connected': '--surface-3',
  'nothing to send': '--kind-tcp-ack',
  sending: '--kind-tcp-syn',
  'congestion window': '--kind-tcp-data',
  'receive window': '--kind-arp',
  'send buffer': '--kind-udp',
  pacing: '--kind-icmp',
  recovery: '--kind-tcp-rst',
};
