/**
 * Levels of initcalls: in which stage of the boot a part of the kernel comes up.
 * Counterpart of include/linux/init.h.
 */

export const PURE_INITCALL = 0;
export const CORE_INITCALL = 1;
export const POSTCORE_INITCALL = 2;
export const ARCH_INITCALL = 3;
export const SUBSYS_INITCALL = 4;
export const FS_INITCALL = 5;
/** That of module_init() in what is built in. */
export const DEVICE_INITCALL = 6;
export const LATE_INITCALL = 7;

export type InitcallLevel = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;
