/**
 * What an incoming ACK told us, as bits, and the scratch record that its processing fills.
 *
 * Counterpart: the FLAG_* and REXMIT_* defines at the head of net/ipv4/tcp_input.c. They have a file
 * of their own because all parts of the receive half pass them around.
 */

/** The segment carried data. */
export const FLAG_DATA = 0x01;
/** The send window was updated. */
export const FLAG_WIN_UPDATE = 0x02;
/** New data was acknowledged. */
export const FLAG_DATA_ACKED = 0x04;
/** Some of the data acknowledged had been retransmitted. */
export const FLAG_RETRANS_DATA_ACKED = 0x08;
/** Our SYN was acknowledged. */
export const FLAG_SYN_ACKED = 0x10;
/** SACK blocks covered data that was not covered before. */
export const FLAG_DATA_SACKED = 0x20;
/** The peer echoes a congestion mark. */
export const FLAG_ECE = 0x40;
/** A retransmission was found to be lost. */
export const FLAG_LOST_RETRANS = 0x80;
/** Arrived through the slow path: window updates are checked in full. */
export const FLAG_SLOWPATH = 0x100;
/** Data was acknowledged that was never retransmitted and lay behind the recovery point. */
export const FLAG_ORIG_SACK_ACKED = 0x200;
/** snd_una moved, be it by a FIN only. */
export const FLAG_SND_UNA_ADVANCED = 0x400;
/** The ACK carried a duplicate SACK. */
export const FLAG_DSACKING_ACK = 0x800;
/** The retransmit timer wants to be set anew. */
export const FLAG_SET_XMIT_TIMER = 0x1000;
/** The peer dropped data it had SACKed. */
export const FLAG_SACK_RENEGING = 0x2000;
/** ts_recent may be replaced by this segment's timestamp. */
export const FLAG_UPDATE_TS_RECENT = 0x4000;
/** Do not answer an unacceptable ACK with a challenge. */
export const FLAG_NO_CHALLENGE_ACK = 0x8000;
/** The acknowledgment was likely delayed by the peer. */
export const FLAG_ACK_MAYBE_DELAYED = 0x10000;
/** A DSACK for our loss probe. */
export const FLAG_DSACK_TLP = 0x20000;
/** The timestamp moved forward. */
export const FLAG_TS_PROGRESS = 0x40000;

export const FLAG_ACKED: number = FLAG_DATA_ACKED | FLAG_SYN_ACKED;
export const FLAG_NOT_DUP: number = FLAG_DATA | FLAG_WIN_UPDATE | FLAG_ACKED;
export const FLAG_CA_ALERT: number = FLAG_DATA_SACKED | FLAG_ECE | FLAG_DSACKING_ACK;
export const FLAG_FORWARD_PROGRESS: number = FLAG_ACKED | FLAG_DATA_SACKED;

/** After an ACK: send nothing special. */
export const REXMIT_NONE = 0;
/** After an ACK: retransmit what is marked lost. */
export const REXMIT_LOST = 1;
/** After an ACK: F-RTO wants new data on the wire. */
export const REXMIT_NEW = 2;
