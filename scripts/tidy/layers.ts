/**
 * Who may import whom inside src/. One row a folder, the longest matching row decides; `net/.` stands for
 * the files that lie in net/ itself. A folder may always import itself. What a row does not name is
 * forbidden, and a folder without a row is an error. Tests beside the code are free.
 */

export interface Layer {
  /** Folders whose values (and types) may be imported. */
  readonly values: readonly string[];
  /** Further folders of which types may be imported, by `import type` only. */
  readonly types?: readonly string[];
}

const base = ['uapi', 'lib'] as const;
const machine = [...base, 'kernel', 'mm'] as const;
const structs = [...machine, 'include', 'trace'] as const;
// In Linux too, each of these two calls the other: rtnetlink stands on netlink sockets, and those on skbs.
const core = [...structs, 'net/core', 'net/netlink'] as const;
const socket = [...core, 'net/.'] as const;
const family = [...socket, 'net/ethernet', 'net/netfilter', 'net/netlink', 'net/sched'] as const;

/** The folders that make up the kernel: pure, synchronous, closed. */
export const KERNEL_FOLDERS = [
  'uapi',
  'lib',
  'kernel',
  'mm',
  'include',
  'trace',
  'net',
  'drivers',
  'hardware',
  'fs',
  'init',
] as const;

export const LAYERS: Readonly<Record<string, Layer>> = {
  uapi: { values: [] },
  lib: { values: ['uapi'] },
  kernel: { values: base, types: KERNEL_FOLDERS },
  mm: { values: [...base, 'kernel'], types: KERNEL_FOLDERS },
  // Linux's headers: structures, and the inlines that stand beside them there.
  include: { values: machine, types: KERNEL_FOLDERS },
  // Tracepoints are pure declarations.
  'include/trace': { values: [...base, 'kernel/tracepoint'], types: KERNEL_FOLDERS },
  trace: { values: [...machine, 'include'], types: KERNEL_FOLDERS },

  'net/core': { values: [...structs, 'net/netlink'], types: KERNEL_FOLDERS },
  // The system call layer.
  'net/.': { values: core, types: ['fs', 'net'] },
  'net/ethernet': { values: socket },
  'net/netfilter': { values: socket },
  'net/netlink': { values: socket },
  'net/sched': { values: socket },

  'net/ipv4': { values: family },
  'net/ipv6': { values: [...family, 'net/ipv4'] },
  'net/packet': { values: family },
  'net/unix': { values: family },
  'net/bridge': { values: family },
  'net/8021q': { values: family },

  // Registers, memory and interrupts, and nothing of packets' meaning.
  hardware: { values: [...machine, 'trace', 'include/trace'] },
  drivers: { values: [...core, 'net/ethernet', 'hardware'], types: ['net', 'fs'] },
  fs: { values: socket },
  init: { values: KERNEL_FOLDERS },

  sim: {
    // Of the core only what reads a packet's bytes: captures copy them.
    values: [...structs, 'net/core/skbuff_data', 'hardware', 'drivers', 'net/.', 'init'],
    types: KERNEL_FOLDERS,
  },
  'host/node': {
    values: [...structs, 'hardware', 'drivers', 'net/.', 'init', 'sim'],
    types: [...KERNEL_FOLDERS, 'user/lib'],
  },
  'host/web': {
    values: [...structs, 'hardware', 'drivers', 'net/.', 'init', 'sim'],
    types: [...KERNEL_FOLDERS, 'user/lib'],
  },

  // Tools speak sockets, netlink and /proc, as the real ones do: one row for every tool's folder.
  user: { values: [...base, 'user/lib'] },
  // The shell starts programs by name, so its list knows them all.
  'user/sh': { values: [...base, 'user'] },
  // Packet scripts drive a machine from outside, through a tun device, and from inside, as a program.
  packetdrill: {
    values: [...structs, 'drivers', 'init', 'sim', 'user'],
    types: KERNEL_FOLDERS,
  },
  // The same against the host's kernel: system calls, processes, threads.
  'packetdrill/kernel': { values: [...base, 'user/lib', 'packetdrill'] },
  cli: {
    values: [...base, 'trace', 'init', 'sim', 'user', 'host', 'packetdrill'],
    types: KERNEL_FOLDERS,
  },
};

/** Rows of which each subfolder counts as a folder of its own. */
const SPLIT = new Set(['user']);

/** The row for a path relative to src/, or undefined if no row covers it. */
export function layerOf(path: string): string | undefined {
  const folders = path.split('/').slice(0, -1);
  const flat = `${folders.join('/')}/.`;
  if (LAYERS[flat] !== undefined) return flat;
  for (let length = folders.length; length > 0; length--) {
    const row = folders.slice(0, length).join('/');
    if (LAYERS[row] !== undefined) return row;
  }
  return undefined;
}

/** True when an entry of a row covers the file at `target` (relative to src/). */
function covers(entry: string, target: string): boolean {
  if (entry.endsWith('/.')) return target.slice(0, target.lastIndexOf('/')) === entry.slice(0, -2);
  return target === `${entry}.ts` || target.startsWith(`${entry}/`);
}

export type Verdict = 'allowed' | 'type-only' | 'forbidden' | 'no-row';

/** May the file at `from` import the file at `target`? Both relative to src/. */
export function mayImport(from: string, target: string): Verdict {
  const row = layerOf(from);
  if (row === undefined) return 'no-row';
  const { values, types = [] } = LAYERS[row] as Layer;
  const home = SPLIT.has(row) ? from.split('/').slice(0, 2).join('/') : row;
  if ([home, ...values].some((entry) => covers(entry, target))) return 'allowed';
  return types.some((entry) => covers(entry, target)) ? 'type-only' : 'forbidden';
}
