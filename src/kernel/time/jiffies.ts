/** Ticks: 32-bit numbers that wrap, compared by their difference. Counterpart of include/linux/jiffies.h. */
import { HZ } from '#kernel/param.ts';

/** @kernel time_after include/linux/jiffies.h */
export function timeAfter(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}

/** @kernel time_before include/linux/jiffies.h */
export function timeBefore(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** @kernel time_after_eq include/linux/jiffies.h */
export function timeAfterEq(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}

/** @kernel time_before_eq include/linux/jiffies.h */
export function timeBeforeEq(a: number, b: number): boolean {
  return ((b - a) | 0) >= 0;
}

/** Rounded up. @kernel msecs_to_jiffies include/linux/jiffies.h */
export function msecsToJiffies(ms: number): number {
  return Math.ceil((ms * HZ) / 1000);
}

/** @kernel jiffies_to_msecs kernel/time/time.c */
export function jiffiesToMsecs(j: number): number {
  return Math.floor((j * 1000) / HZ);
}

/** Rounded up. @kernel usecs_to_jiffies include/linux/jiffies.h */
export function usecsToJiffies(us: number): number {
  return Math.ceil((us * HZ) / 1_000_000);
}

/** @kernel jiffies_to_usecs kernel/time/time.c */
export function jiffiesToUsecs(j: number): number {
  return Math.floor((j * 1_000_000) / HZ);
}

/** Rounded up. @kernel nsecs_to_jiffies kernel/time/time.c */
export function nsecsToJiffies(ns: number): number {
  return Math.ceil((ns * HZ) / 1_000_000_000);
}

/** @kernel jiffies_to_clock_t kernel/time/time.c */
export function jiffiesToClockT(j: number): number {
  return Math.floor((j * 100) / HZ);
}

/** @kernel clock_t_to_jiffies kernel/time/time.c */
export function clockTToJiffies(c: number): number {
  return Math.floor((c * HZ) / 100);
}
