/*
 * A socket as ss knows it, wherever it was read.
 */
import {
  TCP_BOUND_INACTIVE,
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_NEW_SYN_RECV,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_TIME_WAIT,
} from '#uapi/tcp.ts';
import type { TcpInfo } from '#uapi/tcp_info.ts';

export type Netid = 'tcp' | 'udp' | 'raw';

/** An end of a socket. */
export interface Endpoint {
  readonly family: number;
  readonly bytes: Uint8Array;
  readonly port: number;
}

export interface SocketRecord {
  readonly netid: Netid;
  readonly state: number;
  readonly recvQ: number;
  readonly sendQ: number;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  /** Name of the interface that it is bound to; empty: any. */
  readonly device: string;
  readonly timer: number;
  /** Milliseconds. */
  readonly timeout: number;
  readonly retrans: number;
  readonly uid: number;
  readonly inode: number;
  /** In hexadecimal. */
  readonly cookie: string;
  /** struct inet_diag_sockid, for further requests; null: not known. */
  readonly id: Uint8Array | null;
  readonly details: SocketDetails;
}

/** What only inet_diag tells. */
export interface SocketDetails {
  readonly info: Partial<TcpInfo> | null;
  readonly congestion: string | null;
  readonly memory: readonly number[] | null;
  readonly shutdown: number | null;
  readonly mark: number | null;
}

export const NO_DETAILS: SocketDetails = {
  info: null,
  congestion: null,
  memory: null,
  shutdown: null,
  mark: null,
};

/** The states in ss's words. */
export const STATE_NAMES: Readonly<Record<number, string>> = {
  [TCP_ESTABLISHED]: 'ESTAB',
  [TCP_SYN_SENT]: 'SYN-SENT',
  [TCP_SYN_RECV]: 'SYN-RECV',
  [TCP_FIN_WAIT1]: 'FIN-WAIT-1',
  [TCP_FIN_WAIT2]: 'FIN-WAIT-2',
  [TCP_TIME_WAIT]: 'TIME-WAIT',
  [TCP_CLOSE]: 'UNCONN',
  [TCP_CLOSE_WAIT]: 'CLOSE-WAIT',
  [TCP_LAST_ACK]: 'LAST-ACK',
  [TCP_LISTEN]: 'LISTEN',
  [TCP_CLOSING]: 'CLOSING',
  [TCP_NEW_SYN_RECV]: 'UNDEF',
};

const bit = (state: number): number => 1 << state;

/** Every state there is. */
export const ALL_STATES: number = (1 << 12) - 1;
export const LISTENING_STATES: number = bit(TCP_LISTEN) | bit(TCP_CLOSE);
export const CONNECTED_STATES: number =
  ALL_STATES & ~(LISTENING_STATES | bit(TCP_TIME_WAIT) | bit(TCP_SYN_RECV));

/** States by the words of the command line, and the sets of them. */
export const STATE_WORDS: Readonly<Record<string, number>> = {
  all: ALL_STATES,
  established: bit(TCP_ESTABLISHED),
  'syn-sent': bit(TCP_SYN_SENT),
  'syn-recv': bit(TCP_SYN_RECV),
  'fin-wait-1': bit(TCP_FIN_WAIT1),
  'fin-wait-2': bit(TCP_FIN_WAIT2),
  'time-wait': bit(TCP_TIME_WAIT),
  closed: bit(TCP_CLOSE),
  unconnected: bit(TCP_CLOSE),
  'close-wait': bit(TCP_CLOSE_WAIT),
  'last-ack': bit(TCP_LAST_ACK),
  listening: bit(TCP_LISTEN),
  closing: bit(TCP_CLOSING),
  connected: ALL_STATES & ~(bit(TCP_CLOSE) | bit(TCP_LISTEN)),
  synchronized: ALL_STATES & ~(bit(TCP_CLOSE) | bit(TCP_LISTEN) | bit(TCP_SYN_SENT)),
  // Not a state that is told: such sockets come as closed.
  'bound-inactive': bit(TCP_BOUND_INACTIVE),
  bucket: bit(TCP_SYN_RECV) | bit(TCP_TIME_WAIT),
  big: ALL_STATES & ~(bit(TCP_SYN_RECV) | bit(TCP_TIME_WAIT)),
};
