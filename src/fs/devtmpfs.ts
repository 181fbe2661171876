/**
 * /dev: what drivers have registered. Counterpart of drivers/base/devtmpfs.c and drivers/char/misc.c.
 */
import { type DirectoryNode, directoryOfPaths } from '#fs/namei.ts';
import { POSTCORE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Task } from '#kernel/sched/task.ts';

/** @kernel misc_open drivers/char/misc.c */
function devices(task: Task): DirectoryNode {
  const { miscDevices } = task.machine.netGlobals;
  return directoryOfPaths(
    () => [...miscDevices.keys()],
    (path) => {
      const open = miscDevices.get(path);
      return open === undefined ? null : { kind: 'device', open: (flags) => open(task.net, flags) };
    },
  );
}

/** @kernel devtmpfs_init drivers/base/devtmpfs.c */
function devtmpfsInit(machine: Machine): number {
  machine.mounts.set('dev', devices);
  return 0;
}

export const devtmpfsModule: KernelModule = {
  name: 'devtmpfs',
  config: 'CONFIG_DEVTMPFS',
  depends: [],
  level: POSTCORE_INITCALL,
  init: devtmpfsInit,
  exit: null,
};
