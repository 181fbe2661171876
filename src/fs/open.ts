/** open(), close() and the listing of directories. Counterpart of fs/open.c, fs/readdir.c, fs/seq_file.c. */
import { type DirectoryNode, type FsNode, pathLookup, type RegularNode } from '#fs/namei.ts';
import { File, type FileOperations } from '#kernel/sched/file.ts';
import { type Task, takeCallWait } from '#kernel/sched/task.ts';
import { latin1Decode, latin1Encode, utf8Decode, utf8Encode } from '#lib/utf8.ts';
import {
  EACCES,
  EEXIST,
  EINVAL,
  EISDIR,
  EMFILE,
  ENOENT,
  ENOTDIR,
  ENOTTY,
  EPERM,
} from '#uapi/errno.ts';
import {
  O_ACCMODE,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NONBLOCK,
  O_RDONLY,
  O_TRUNC,
} from '#uapi/fcntl.ts';

/** An open generated file: its text stays as it was when first read. @kernel seq_file include/linux/seq_file.h */
class SeqFile {
  readonly node: RegularNode;
  text: Uint8Array | null;

  constructor(node: RegularNode) {
    this.node = node;
    this.text = null;
  }
}

/** @kernel seq_read fs/seq_file.c */
function seqRead(file: File, buf: Uint8Array): number {
  const seq = file.privateData as SeqFile;
  if (seq.text === null) {
    const text = seq.node.show();
    if (typeof text === 'number') return text;
    seq.text = latin1Encode(text);
  }
  const part = seq.text.subarray(file.fPos, file.fPos + buf.length);
  buf.set(part);
  file.fPos += part.length;
  return part.length;
}

/** One write is one value. */
function seqWrite(file: File, buf: Uint8Array): number {
  const { store } = (file.privateData as SeqFile).node;
  if (store === null) return -EINVAL;
  const err = store(latin1Decode(buf));
  return err < 0 ? err : buf.length;
}

/** @kernel seq_file_operations include/linux/seq_file.h */
const seqFops: FileOperations = {
  read: seqRead,
  seekable: true,
  write: seqWrite,
  poll: null,
  ioctl: () => -ENOTTY,
  release: () => {},
};

const directoryFops: FileOperations = {
  read: () => -EISDIR,
  write: () => -EISDIR,
  poll: null,
  ioctl: () => -ENOTTY,
  release: () => {},
};

/** May the node be opened so? 0 or a negative errno. @kernel may_open fs/namei.c */
function mayOpen(node: FsNode, flags: number): number {
  if ((flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return -EEXIST;
  const writes = (flags & O_ACCMODE) !== O_RDONLY;
  if (node.kind === 'dir') return writes || (flags & O_CREAT) !== 0 ? -EISDIR : 0;
  if ((flags & O_DIRECTORY) !== 0) return -ENOTDIR;
  return node.kind === 'file' && writes && node.store === null ? -EACCES : 0;
}

/** The file that a node becomes. */
function fileOf(task: Task, node: FsNode, flags: number): File | number {
  const status = flags & (O_ACCMODE | O_NONBLOCK | O_DIRECTORY);
  switch (node.kind) {
    case 'dir':
      return new File(task.machine, directoryFops, status, node);
    case 'device':
      return node.open(status);
    case 'inode':
      return node.open(status | (flags & (O_TRUNC | O_APPEND)));
    default:
      return new File(task.machine, seqFops, status, new SeqFile(node));
  }
}

/** A path or name as the kernel has it, a character for each byte. */
function pathBytes(path: string): string {
  return latin1Decode(utf8Encode(path));
}

/** Opens a file below `root`: the descriptor or a negative errno. @kernel do_sys_open fs/open.c */
export function doSysOpen(task: Task, root: DirectoryNode, name: string, flags: number): number {
  const path = pathBytes(name);
  const node = pathLookup(root, path);
  if (typeof node === 'number') {
    if (node !== -ENOENT || (flags & O_CREAT) === 0) return node;
    if (!task.files.hasRoom()) return -EMFILE;
    const made = createBelow(root, path);
    return typeof made === 'number' ? made : install(task, made, flags);
  }
  const err = mayOpen(node, flags);
  return err !== 0 ? err : install(task, node, flags);
}

/** A new file at a path, or a negative errno. @kernel path_openat fs/namei.c */
function createBelow(root: DirectoryNode, path: string): FsNode | number {
  const parent = pathLookup(root, path.replace(/[^/]*\/*$/, ''));
  if (typeof parent === 'number') return parent;
  if (path.endsWith('/')) return -EISDIR;
  if (parent.kind !== 'dir') return -ENOTDIR;
  return parent.create?.(path.slice(path.lastIndexOf('/') + 1)) ?? -EACCES;
}

/** The descriptor of a node. */
function install(task: Task, node: FsNode, flags: number): number {
  if (!task.files.hasRoom()) return -EMFILE;
  const file = fileOf(task, node, flags);
  if (typeof file === 'number') return file;
  return task.files.install(file, (flags & O_CLOEXEC) !== 0);
}

/**
 * Closes a descriptor: 0 or -EBADF; or it sleeps (SO_LINGER), and `wake` is called once when that is over. The
 * descriptor is free at once. Calling what is returned then ends the sleep, as a signal does.
 * @kernel sys_close fs/open.c
 */
export function closeWait(task: Task, fd: number, wake: () => void): (() => void) | number {
  takeCallWait(task);
  const err = task.files.close(fd);
  const wait = takeCallWait(task);
  if (wait === null) return err;
  wait.returned = wake;
  return () => wait.cancel();
}

/** Takes a file away: 0 or a negative errno. @kernel filename_unlinkat fs/namei.c */
export function doUnlink(root: DirectoryNode, name: string): number {
  const path = pathBytes(name);
  const node = pathLookup(root, path);
  if (typeof node === 'number') return node;
  if (node.kind === 'dir') return -EISDIR;
  const parent = pathLookup(root, path.replace(/[^/]*$/, ''));
  if (typeof parent === 'number') return parent;
  if (parent.kind !== 'dir') return -ENOTDIR;
  return parent.unlink?.(path.slice(path.lastIndexOf('/') + 1)) ?? -EPERM;
}

/** The names in a directory, or a negative errno. @kernel iterate_dir fs/readdir.c */
export function iterateDir(root: DirectoryNode, path: string): readonly string[] | number {
  const node = pathLookup(root, pathBytes(path));
  if (typeof node === 'number') return node;
  if (node.kind !== 'dir') return -ENOTDIR;
  return node.list().map((name) => utf8Decode(latin1Encode(name)));
}
