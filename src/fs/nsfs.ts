/**
 * Network namespaces as files: /run/netns/NAME and /proc/PID/ns/net, setns(), unshare().
 *
 * Counterpart of fs/nsfs.c and kernel/nsproxy.c. A task holds its namespace, and so does a name.
 */
import { type DirectoryNode, directory } from '#fs/namei.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { File, type FileOperations } from '#kernel/sched/file.ts';
import type { Task } from '#kernel/sched/task.ts';
import { copyNetNs, getNet, INIT_NET_NAME, putNet } from '#net/core/net_namespace.ts';
import { EBUSY, EINVAL, ENOENT, ENOTTY, EPERM } from '#uapi/errno.ts';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '#uapi/poll.ts';
import { CLONE_NEWNET, MNT_DETACH, MS_BIND } from '#uapi/unistd.ts';

/** Where `ip netns` keeps its names. /var/run is /run. */
const NETNS_RUN_DIR = /^\/(?:var\/)?run\/netns\/([^/]+)$/;
const PROC_NS_NET = /^\/proc\/(self|\d+)\/ns\/net$/;

/** Names are file names. */
const NAME_MAX = 255;

/** First inode number of namespaces. @kernel PROC_DYNAMIC_FIRST fs/proc/generic.c */
const PROC_NET_INIT_INO = 4026531840;

/** The text of a namespace's link. @kernel ns_get_name fs/nsfs.c */
export function nsText(net: Net): string {
  return `net:[${PROC_NET_INIT_INO + net.nsid}]`;
}

/** A namespace as an open file. It has no content; whoever is given the descriptor asks for the namespace. */
const nsFops: FileOperations = {
  read: () => -EINVAL,
  write: () => -EINVAL,
  poll: () => POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM,
  ioctl: () => -ENOTTY,
  release: (file) => putNet(file.privateData as Net),
};

/** @kernel open_related_ns fs/nsfs.c */
function nsOpen(net: Net, flags: number): File {
  return new File(net.machine, nsFops, flags, getNet(net));
}

/** /run/netns. */
export function netnsDirectory(machine: Machine): DirectoryNode {
  const names = machine.netGlobals.netnsNames;
  return {
    kind: 'dir',
    list: () => [...names.keys()].sort(),
    lookup: (name) => {
      const net = names.get(name);
      return net === undefined ? null : { kind: 'device', open: (flags) => nsOpen(net, flags) };
    },
  };
}

/** The namespace that a name or a path means; -ENOENT: none, -EINVAL: a path of something else. */
function netnsOf(task: Task, path: string): Net | number {
  const { machine } = task;
  const proc = PROC_NS_NET.exec(path);
  if (proc !== null) {
    const other = proc[1] === 'self' ? task : machine.tasks.find(Number(proc[1]));
    return other?.net ?? -ENOENT;
  }
  const name = NETNS_RUN_DIR.exec(path)?.[1] ?? (path.includes('/') ? '' : path);
  if (name === '') return -EINVAL;
  if (name === INIT_NET_NAME) return machine.initNet;
  return machine.netGlobals.netnsNames.get(name) ?? -ENOENT;
}

/** Moves the task; sockets it has open stay where they are. @kernel switch_task_namespaces kernel/nsproxy.c */
function switchTaskNamespace(task: Task, net: Net): void {
  const old = task.net;
  task.net = net;
  putNet(old);
}

/** @kernel setns kernel/nsproxy.c */
export function ksysSetns(task: Task, path: string): number {
  const net = netnsOf(task, path);
  if (typeof net === 'number') return net;
  switchTaskNamespace(task, getNet(net));
  return 0;
}

/** @kernel ksys_unshare kernel/fork.c */
export function ksysUnshare(task: Task, flags: number): number {
  if ((flags & ~CLONE_NEWNET) !== 0) return -EINVAL;
  if (flags === 0) return 0;
  const net = copyNetNs(task.machine, `${task.comm}-${task.pid}`);
  if (typeof net === 'number') return net;
  switchTaskNamespace(task, net);
  return 0;
}

/** Names a namespace. @kernel path_mount fs/namespace.c */
export function nsMount(task: Task, source: string, target: string, flags: number): number {
  if (flags !== MS_BIND) return -EPERM;
  const name = NETNS_RUN_DIR.exec(target)?.[1];
  if (name === undefined || name.length > NAME_MAX) return -ENOENT;
  const net = netnsOf(task, source);
  if (typeof net === 'number') return net;
  const names = task.machine.netGlobals.netnsNames;
  if (names.has(name)) return -EBUSY;
  names.set(name, getNet(net));
  return 0;
}

/** @kernel ksys_umount fs/namespace.c */
export function nsUmount(task: Task, target: string, flags: number): number {
  if ((flags & ~MNT_DETACH) !== 0) return -EINVAL;
  const name = NETNS_RUN_DIR.exec(target)?.[1] ?? '';
  const names = task.machine.netGlobals.netnsNames;
  const net = names.get(name);
  if (net === undefined) return -EINVAL;
  names.delete(name);
  putNet(net);
  return 0;
}

/** @kernel nsfs_init fs/nsfs.c */
function nsfsInit({ mounts, syscalls }: Machine): number {
  const run = ({ machine }: Task): DirectoryNode => directory({ netns: netnsDirectory(machine) });
  mounts.set('run', run);
  mounts.set('var', (task) => directory({ run: run(task) }));
  syscalls.setns = ksysSetns;
  syscalls.unshare = ksysUnshare;
  syscalls.mount = nsMount;
  syscalls.umount2 = nsUmount;
  return 0;
}

export const nsfsModule: KernelModule = {
  name: 'nsfs',
  config: 'CONFIG_NET_NS',
  depends: [],
  level: FS_INITCALL,
  init: nsfsInit,
  exit: null,
};
