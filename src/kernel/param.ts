/** Parameters of the kernel's clock. Counterpart of include/asm-generic/param.h. */

/** Timer ticks a second. One jiffy is one millisecond, as in a kernel built with CONFIG_HZ_1000. */
export const HZ = 1000;

/** Jiffies at boot: five minutes before the 32-bit wrap. @kernel INITIAL_JIFFIES include/linux/jiffies.h */
export const INITIAL_JIFFIES: number = (-300 * HZ) | 0;
