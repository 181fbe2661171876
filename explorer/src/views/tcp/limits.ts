/** Colours of what limits a sender. */
import type { TcpLimit } from '../../protocol.ts';

export const LIMIT_COLORS: Readonly<Record<TcpLimit, string>> = {
  'not connected': '--surface-3',
  application: '--kind-tcp-ack',
  sending: '--kind-tcp-syn',
  'congestion window': '--kind-tcp-data',
  'receive window': '--kind-arp',
  'send buffer': '--kind-udp',
  pacing: '--kind-icmp',
  Nagle: '--kind-icmp-error',
  'small queue': '--kind-fragment',
  'waits for a larger burst': '--kind-tcp-fin',
  device: '--kind-other',
  recovery: '--kind-tcp-rst',
};
