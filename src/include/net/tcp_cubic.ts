/**
 * CUBIC's module parameters, once per machine. In Linux they are variables of net/ipv4/tcp_cubic.c.
 */

/** Bits of hystart_detect. @kernel HYSTART_ACK_TRAIN net/ipv4/tcp_cubic.c */
export const HYSTART_ACK_TRAIN = 0x1;
export const HYSTART_DELAY = 0x2;

export class TcpCubicParams {
  /** Gives way to newcomers: forgets a part of the window after a loss below the last one. */
  fastConvergence = 1;
  /** What is left of the window after a loss, in 1/1024. */
  beta = 717;
  /** First ssthresh in segments; 0: none. */
  initialSsthresh = 0;
  /** Steepness of the curve, C * 410 / 1024 for 41. */
  bicScale = 41;
  /** Never slower than Reno. */
  tcpFriendliness = 1;
  hystart = 1;
  hystartDetect: number = HYSTART_ACK_TRAIN | HYSTART_DELAY;
  /** Segments below which HyStart does not look. */
  hystartLowWindow = 16;
  /** ACKs this close belong to one train, in us. */
  hystartAckDeltaUs = 2000;
}
