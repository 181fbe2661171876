/*
 * The minimum (or maximum) of a stream of measurements over a window of time, in constant space: the best
 * value, and two runners-up from later parts of the window to fall back on when it leaves.
 * Kernel counterparts: lib/win_minmax.c, include/linux/win_minmax.h. After Kathleen Nichols.
 *
 * Invariants: t0 <= t1 <= t2 (modulo 2^32); for a minimum v0 <= v1 <= v2. Times and values are unsigned
 * 32-bit numbers in any unit; times wrap.
 */

/** Three samples, best first. @kernel minmax include/linux/win_minmax.h */
export interface MinmaxState {
  t0: number;
  v0: number;
  t1: number;
  v1: number;
  t2: number;
  v2: number;
}

/** The value now. @kernel minmax_get include/linux/win_minmax.h */
export function minmaxGet(m: Readonly<MinmaxState>): number {
  return m.v0;
}

/**
 * Forgets everything but one measurement.
 * @kernel minmax_reset include/linux/win_minmax.h
 */
export function minmaxReset(m: MinmaxState, t: number, meas: number): number {
  m.t0 = t;
  m.v0 = meas;
  m.t1 = t;
  m.v1 = meas;
  m.t2 = t;
  m.v2 = meas;
  return meas;
}

/** Drops the best and takes the newest as last. */
function shift(m: MinmaxState, t: number, meas: number): void {
  m.t0 = m.t1;
  m.v0 = m.v1;
  m.t1 = m.t2;
  m.v1 = m.v2;
  m.t2 = t;
  m.v2 = meas;
}

/**
 * Lets the best go when it is older than the window, and otherwise sees to it that the runners-up come from
 * the second quarter and the last half: together they bound the error when values only get worse.
 * @kernel minmax_subwin_update lib/win_minmax.c
 */
function subwinUpdate(m: MinmaxState, win: number, t: number, meas: number): number {
  const age = (t - m.t0) >>> 0;
  if (age > win) {
    shift(m, t, meas);
    // The second best may have left as well; the third was in the window on entry.
    if ((t - m.t0) >>> 0 > win) shift(m, t, meas);
  } else if (m.t1 === m.t0 && age > Math.floor(win / 4)) {
    m.t1 = t;
    m.v1 = meas;
    m.t2 = t;
    m.v2 = meas;
  } else if (m.t2 === m.t1 && age > Math.floor(win / 2)) {
    m.t2 = t;
    m.v2 = meas;
  }
  return m.v0;
}

/**
 * Takes a measurement at time t into the minimum over the last `win` units of time.
 * @returns the minimum
 * @kernel minmax_running_min lib/win_minmax.c
 */
export function minmaxRunningMin(m: MinmaxState, win: number, t: number, meas: number): number {
  if (meas <= m.v0 || (t - m.t2) >>> 0 > win) return minmaxReset(m, t, meas);
  if (meas <= m.v1) {
    m.t1 = t;
    m.v1 = meas;
    m.t2 = t;
    m.v2 = meas;
  } else if (meas <= m.v2) {
    m.t2 = t;
    m.v2 = meas;
  }
  return subwinUpdate(m, win, t, meas);
}

/**
 * The same for the maximum.
 * @kernel minmax_running_max lib/win_minmax.c
 */
export function minmaxRunningMax(m: MinmaxState, win: number, t: number, meas: number): number {
  if (meas >= m.v0 || (t - m.t2) >>> 0 > win) return minmaxReset(m, t, meas);
  if (meas >= m.v1) {
    m.t1 = t;
    m.v1 = meas;
    m.t2 = t;
    m.v2 = meas;
  } else if (meas >= m.v2) {
    m.t2 = t;
    m.v2 = meas;
  }
  return subwinUpdate(m, win, t, meas);
}
