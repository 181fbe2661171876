/**
 * Settings of a network namespace under /proc/sys/net. Counterpart of net/sysctl_net.c.
 */
import type { Net, ProcNetShow } from '#include/net/net_namespace.ts';
import type { CtlTable } from '#kernel/sysctl.ts';

/** Adds settings below `path`, e.g. `net/ipv4`; returns what takes them back. @kernel register_net_sysctl net/sysctl_net.c */
export function registerNetSysctl(net: Net, path: string, table: readonly CtlTable[]): () => void {
  return net.sysctl.register(path, table);
}

/** Adds a file to /proc/net. @kernel proc_create_net include/linux/proc_fs.h */
export function procCreateNet(net: Net, name: string, show: ProcNetShow): void {
  net.procNet.set(name, show);
}

/** @kernel remove_proc_entry fs/proc/generic.c */
export function removeProcEntry(net: Net, name: string): void {
  net.procNet.delete(name);
}
