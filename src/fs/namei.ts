/**
 * Paths: the trees of /proc, /sys and /run/netns as nodes that are made when looked at.
 * Counterpart of fs/namei.c, as far as files without a disk need it.
 */
import type { File } from '#kernel/sched/file.ts';
import { ENAMETOOLONG, ENOENT, ENOTDIR } from '#uapi/errno.ts';

/** A file whose text is made when it is first read. */
export interface RegularNode {
  readonly kind: 'file';
  /** The text, or a negative errno: there is nothing to be read now. */
  show(): string | number;
  /** Takes what is written in one call: 0 or a negative errno. Null: cannot be written. */
  readonly store: ((text: string) => number) | null;
}

export interface DirectoryNode {
  readonly kind: 'dir';
  /** Names in the order in which they are listed. */
  list(): readonly string[];
  lookup(name: string): FsNode | null;
  /** Makes an empty file, or a negative errno. Absent: the tree grows by the kernel's doing only. */
  readonly create?: (name: string) => FsNode | number;
  /** Takes a file away: 0 or a negative errno. Absent: nothing can be. */
  readonly unlink?: (name: string) => number;
}

/** A file whose bytes are kept. */
export interface InodeNode {
  readonly kind: 'inode';
  open(flags: number): File | number;
}

/** A driver's door, e.g. /dev/net/tun. */
export interface DeviceNode {
  readonly kind: 'device';
  /** What opening it makes: a file of the driver's, or a negative errno. */
  open(flags: number): File | number;
}

export type FsNode = RegularNode | DirectoryNode | DeviceNode | InodeNode;

const PATH_MAX = 4096;

/** A file that can only be read. */
export function readOnly(show: () => string | number): RegularNode {
  return { kind: 'file', show, store: null };
}

/** A directory with fixed entries. */
export function directory(entries: Readonly<Record<string, FsNode>>): DirectoryNode {
  const names = Object.keys(entries);
  return {
    kind: 'dir',
    list: () => names,
    lookup: (name) => (Object.hasOwn(entries, name) ? (entries[name] ?? null) : null),
  };
}

/** A directory of files named by paths: `stat/arp_cache` lies in the subdirectory `stat`. */
export function directoryOfPaths(
  paths: () => readonly string[],
  file: (path: string) => FsNode | null,
  prefix = '',
): DirectoryNode {
  const below = (): string[] =>
    paths()
      .filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length));
  return {
    kind: 'dir',
    list: () => [...new Set(below().map((path) => path.split('/')[0] as string))].sort(),
    lookup: (name) => {
      const path = prefix + name;
      if (paths().includes(path)) return file(path);
      return paths().some((other) => other.startsWith(`${path}/`))
        ? directoryOfPaths(paths, file, `${path}/`)
        : null;
    },
  };
}

/** The node at an absolute path, or -ENOENT, -ENOTDIR, -ENAMETOOLONG. @kernel path_lookupat fs/namei.c */
export function pathLookup(root: DirectoryNode, path: string): FsNode | number {
  if (path === '') return -ENOENT;
  if (path.length >= PATH_MAX) return -ENAMETOOLONG;
  const trail: FsNode[] = [root];
  for (const name of path.split('/')) {
    const at = trail[trail.length - 1] as FsNode;
    if (name === '' || name === '.') continue;
    if (at.kind !== 'dir') return -ENOTDIR;
    if (name === '..') {
      if (trail.length > 1) trail.pop();
      continue;
    }
    const next = at.lookup(name);
    if (next === null) return -ENOENT;
    trail.push(next);
  }
  const found = trail[trail.length - 1] as FsNode;
  return path.endsWith('/') && found.kind !== 'dir' ? -ENOTDIR : found;
}
