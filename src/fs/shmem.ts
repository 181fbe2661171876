/**
 * tmpfs: /tmp of a machine, files that are nowhere but in memory. Counterpart of mm/shmem.c.
 *
 * One directory without others below. A file that is taken away stays for those who have it open.
 */
import type { DirectoryNode, FsNode } from '#fs/namei.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { ShmemInode, ShmemMount } from '#include/linux/shmem_fs.ts';
import type { Machine } from '#kernel/machine.ts';
import { File, type FileOperations } from '#kernel/sched/file.ts';
import { EFBIG, ENAMETOOLONG, ENOENT, ENOSPC, ENOTTY } from '#uapi/errno.ts';
import { O_ACCMODE, O_APPEND, O_RDONLY, O_TRUNC } from '#uapi/fcntl.ts';

/** Bytes that all files of a machine may have. */
const SHMEM_MAX_BYTES: number = 64 << 20;
const NAME_MAX = 255;

/** An open file and the mount that pays for it. */
interface OpenInode {
  readonly inode: ShmemInode;
  readonly mount: ShmemMount;
}

/** @kernel shmem_file_read_iter mm/shmem.c */
function shmemRead(file: File, buf: Uint8Array): number {
  const { inode } = file.privateData as OpenInode;
  const part = inode.data.subarray(file.fPos, Math.min(inode.size, file.fPos + buf.length));
  buf.set(part);
  file.fPos += part.length;
  return part.length;
}

/** Gives the file room for `size` bytes. 0, -EFBIG, -ENOSPC. */
function grow({ inode, mount }: OpenInode, size: number): number {
  if (size > mount.maxBytes) return -EFBIG;
  if (mount.usedBytes + size - inode.size > mount.maxBytes) return -ENOSPC;
  mount.usedBytes += size - inode.size;
  if (size > inode.data.length) {
    let room = 4096;
    while (room < size) room *= 2;
    const data = new Uint8Array(room);
    data.set(inode.data);
    inode.data = data;
  }
  inode.size = size;
  return 0;
}

/** @kernel shmem_file_write_iter mm/shmem.c */
function shmemWrite(file: File, buf: Uint8Array): number {
  const open = file.privateData as OpenInode;
  if (buf.length === 0) return 0;
  if ((file.fFlags & O_APPEND) !== 0) file.fPos = open.inode.size;
  const end = file.fPos + buf.length;
  const err = end > open.inode.size ? grow(open, end) : 0;
  if (err !== 0) return err;
  open.inode.data.set(buf, file.fPos);
  file.fPos = end;
  return buf.length;
}

/** @kernel shmem_file_operations mm/shmem.c */
const shmemFileOperations: FileOperations = {
  read: shmemRead,
  seekable: true,
  write: shmemWrite,
  poll: null,
  ioctl: () => -ENOTTY,
  release: () => {},
};

function truncate({ inode, mount }: OpenInode): void {
  mount.usedBytes -= inode.size;
  inode.size = 0;
  inode.data = new Uint8Array(0);
}

function fileNode(machine: Machine, mount: ShmemMount, inode: ShmemInode): FsNode {
  return {
    kind: 'inode',
    open: (flags) => {
      const open: OpenInode = { inode, mount };
      if ((flags & O_TRUNC) !== 0 && (flags & O_ACCMODE) !== O_RDONLY) truncate(open);
      return new File(machine, shmemFileOperations, flags & ~O_TRUNC, open);
    },
  };
}

/** The directory of a machine's tmpfs. */
export function shmemDirectory(machine: Machine): DirectoryNode {
  const mount = machine.shmMnt;
  const { entries } = mount;
  return {
    kind: 'dir',
    list: () => [...entries.keys()].sort(),
    lookup: (name) => {
      const inode = entries.get(name);
      return inode === undefined ? null : fileNode(machine, mount, inode);
    },
    create: (name) => {
      if (name.length > NAME_MAX) return -ENAMETOOLONG;
      const inode = new ShmemInode();
      entries.set(name, inode);
      return fileNode(machine, mount, inode);
    },
    unlink: (name) => {
      const inode = entries.get(name);
      if (inode === undefined) return -ENOENT;
      entries.delete(name);
      mount.usedBytes -= inode.size;
      return 0;
    },
  };
}

/** @kernel shmem_init mm/shmem.c */
export function shmemInit(machine: Machine): number {
  machine.shmMnt = new ShmemMount(SHMEM_MAX_BYTES);
  machine.mounts.set('tmp', () => shmemDirectory(machine));
  return 0;
}

export const tmpfsModule: KernelModule = {
  name: 'tmpfs',
  config: 'CONFIG_TMPFS',
  depends: [],
  level: FS_INITCALL,
  init: shmemInit,
  exit: null,
};
