/** What uname(2) says. Counterpart of include/linux/uts.h and init/version.c. */

export const UTS_SYSNAME = 'Linux';
/** The Linux whose behaviour is modelled. */
export const UTS_RELEASE = '6.18.0-softnet';
export const UTS_VERSION = '#1 SMP';
export const UTS_MACHINE = 'x86_64';
