/*
 * Names of TCP's states and of those of congestion control, by the kernel's numbers. Kernel counterpart:
 * the states of include/net/tcp_states.h and enum tcp_ca_state of include/uapi/linux/tcp.h.
 */

/** As Linux spells them, without TCP_; nothing has the number 0. */
export const TCP_STATE_NAMES: readonly string[] = [
  '',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
  'NEW_SYN_RECV',
];

/** As RFC 9293 spells them. */
export const TCP_STATE_RFC_NAMES: readonly string[] = [
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

/** TCP_CA_*. */
export const TCP_CA_STATE_NAMES: readonly string[] = [
  'Open',
  'Disorder',
  'CWR',
  'Recovery',
  'Loss',
];
