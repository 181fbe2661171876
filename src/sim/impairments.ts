/** What a line may do to frames: the impairments that tc-netem(8) knows. No Linux counterpart. */

/** What a line does to frames. Probabilities are 0..1. */
export interface Impairments {
  /** Bits a second; 0: no limit. */
  readonly rateBps: number;
  /** Propagation delay in ns. */
  readonly delayNs: number;
  /** Uniform extra delay of 0..jitterNs; frames still arrive in order unless reordered. */
  readonly jitterNs: number;
  /** Chance that a frame is lost. */
  readonly loss: number;
  /** Every so manieth frame is lost, whatever chance says; 0: none. For models that know no chance. */
  readonly lossPeriod: number;
  /** Chance that a frame arrives twice. */
  readonly duplicate: number;
  /** Chance that a frame skips the delay and overtakes others. */
  readonly reorder: number;
  /** Chance that one bit of a frame is flipped. */
  readonly corrupt: number;
  /**
   * True: a flipped bit passes the check sequence and only checksums can find it. False: the
   * receiving card sees the damage and counts a CRC error.
   */
  readonly corruptSilently: boolean;
  /** Bytes that may wait for the line; more are lost. 0: no limit. */
  readonly queueBytes: number;
  /**
   * Bytes waiting above which IP packets that can be marked (RFC 3168) get congestion experienced;
   * 0: never. Needs `rateBps`: without it nothing waits.
   */
  readonly ecnMarkBytes: number;
}

export const NO_IMPAIRMENTS: Impairments = Object.freeze({
  rateBps: 0,
  delayNs: 0,
  jitterNs: 0,
  loss: 0,
  lossPeriod: 0,
  duplicate: 0,
  reorder: 0,
  corrupt: 0,
  corruptSilently: true,
  queueBytes: 0,
  ecnMarkBytes: 0,
});

/** Refuses impairments that make no sense, by name. Throws RangeError. */
export function checkImpairments(given: Partial<Impairments>): Impairments {
  const all = { ...NO_IMPAIRMENTS, ...given };
  for (const key of ['loss', 'duplicate', 'reorder', 'corrupt'] as const) {
    if (!(all[key] >= 0 && all[key] <= 1)) {
      throw new RangeError(`${key} must be a probability from 0 to 1, not ${all[key]}`);
    }
  }
  for (const key of [
    'rateBps',
    'delayNs',
    'jitterNs',
    'lossPeriod',
    'queueBytes',
    'ecnMarkBytes',
  ] as const) {
    if (!(all[key] >= 0 && Number.isFinite(all[key]))) {
      throw new RangeError(`${key} must be a number from 0 up, not ${all[key]}`);
    }
  }
  return all;
}
