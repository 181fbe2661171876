/*
 * Clock ids and the units of struct timeval and timespec.
 * Kernel counterparts: include/uapi/linux/time.h, include/vdso/time64.h.
 */

export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_PROCESS_CPUTIME_ID = 2;
export const CLOCK_THREAD_CPUTIME_ID = 3;
export const CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5;
export const CLOCK_MONOTONIC_COARSE = 6;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;
export const CLOCK_TAI = 11;

// Units.
export const MSEC_PER_SEC = 1000;
export const USEC_PER_MSEC = 1000;
export const NSEC_PER_USEC = 1000;
export const NSEC_PER_MSEC = 1000000;
export const USEC_PER_SEC = 1000000;
export const NSEC_PER_SEC = 1000000000;

// Ticks a second of every tick count that user space sees.
export const USER_HZ = 100;
