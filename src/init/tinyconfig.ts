/**
 * The smallest useful kernel: what stands in main.ts with a link between machines, a door for
 * frames, and epoll. Counterpart of kernel/configs/tiny.config with CONFIG_INET.
 *
 * What it lacks says so as Linux does: socket(AF_UNIX) is -EAFNOSUPPORT, splice() -ENOSYS,
 * `setsockopt(TCP_MD5SIG)` -ENOPROTOOPT, and there is no /proc.
 */
import { tunModule } from '#drivers/net/tun.ts';
import { vethModule } from '#drivers/net/veth.ts';
import { eventpollModule } from '#fs/eventpoll.ts';
import type { KernelModule } from '#include/linux/module.ts';

export const tinyconfig: readonly KernelModule[] = [eventpollModule, vethModule, tunModule];
