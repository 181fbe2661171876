/*
 * Readiness bits of poll(2) and of every poll operation in the kernel.
 * Kernel counterpart: include/uapi/asm-generic/poll.h.
 */

export const POLLIN = 0x1;
export const POLLPRI = 0x2;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
export const POLLRDNORM = 0x40;
export const POLLRDBAND = 0x80;
export const POLLWRNORM = 0x0100;
export const POLLWRBAND = 0x0200;
export const POLLMSG = 0x0400;
export const POLLREMOVE = 0x1000;
export const POLLRDHUP = 0x2000;

// Kernel only: may busy poll.
export const POLL_BUSY_LOOP = 0x8000;
