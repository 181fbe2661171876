/** Files in memory. Counterpart of include/linux/shmem_fs.h; the functions are in fs/shmem.ts. */

/** Bytes of a file. @kernel shmem_inode_info include/linux/shmem_fs.h */
export class ShmemInode {
  /** Room; the file has its first `size` bytes. */
  data: Uint8Array = new Uint8Array(0);
  size = 0;
}

/** A mounted tmpfs: one directory. @kernel shmem_sb_info include/linux/shmem_fs.h */
export class ShmemMount {
  readonly entries: Map<string, ShmemInode> = new Map();
  /** Most bytes that all files may have, and what they have. */
  readonly maxBytes: number;
  usedBytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }
}
