/**
 * /sys/module: a directory for each module that has parameters. Counterpart of the sysfs part of
 * kernel/params.c.
 */
import { type DirectoryNode, directory, type FsNode } from '#fs/namei.ts';
import type { Machine } from '#kernel/machine.ts';
import type { KernelParam } from '#kernel/params.ts';

/** @kernel param_attr_show kernel/params.c */
function parameter({ read, write }: KernelParam): FsNode {
  return {
    kind: 'file',
    show: () => `${read()}\n`,
    store: write === null ? null : (text) => write(text.trim()),
  };
}

/** @kernel param_sysfs_init kernel/params.c */
export function moduleDirectory({ params }: Machine): DirectoryNode {
  return {
    kind: 'dir',
    list: () => params.list(),
    lookup: (name) => {
      const own = params.of(name);
      if (own === null) return null;
      const files = [...own].map(([file, param]) => [file, parameter(param)] as const);
      return directory({ parameters: directory(Object.fromEntries(files)) });
    },
  };
}
