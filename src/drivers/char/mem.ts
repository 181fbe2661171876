/**
 * /dev/null, /dev/zero, /dev/full. Counterpart of drivers/char/mem.c.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { File, type FileOperations } from '#kernel/sched/file.ts';
import { ENOSPC, ENOTTY } from '#uapi/errno.ts';

/** @kernel read_zero drivers/char/mem.c */
function readZero(_file: File, buf: Uint8Array): number {
  buf.fill(0);
  return buf.length;
}

/** @kernel write_null drivers/char/mem.c */
function writeNull(_file: File, buf: Uint8Array): number {
  return buf.length;
}

function memFops(
  read: FileOperations['read'],
  write: FileOperations['write'],
  seekable: boolean,
): FileOperations {
  return { read, write, seekable, poll: null, ioctl: () => -ENOTTY, release: () => {} };
}

/** @kernel devlist drivers/char/mem.c */
const DEVICES: readonly (readonly [name: string, fops: FileOperations])[] = [
  ['null', memFops(() => 0, writeNull, true)],
  ['zero', memFops(readZero, writeNull, true)],
  ['full', memFops(readZero, () => -ENOSPC, true)],
];

/** @kernel chr_dev_init drivers/char/mem.c */
export function chrDevInit(machine: Machine): number {
  const { miscDevices } = machine.netGlobals;
  for (const [name, fops] of DEVICES) {
    miscDevices.set(name, (net: Net, flags: number) => new File(net.machine, fops, flags, null));
  }
  return 0;
}

export const memModule: KernelModule = {
  name: 'mem',
  config: 'CONFIG_DEVMEM',
  depends: ['devtmpfs'],
  level: FS_INITCALL,
  init: chrDevInit,
  exit: null,
};
