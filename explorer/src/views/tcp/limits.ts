/** Colours of what limits a sender. */
import type { TcpLimit } from '../../protocol.ts';

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
