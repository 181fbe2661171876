/*
 * Whole files of /proc and /sys.
 */

import { O_RDONLY, O_WRONLY } from '#uapi/fcntl.ts';
import { check } from '#user/lib/errors.ts';
import type { Libc } from '#user/lib/libc.ts';
import { concatBytes, decodeText, encodeText } from '#user/lib/streams.ts';

/** Everything a file has. @throws SystemError with the path */
export async function readFile(libc: Libc, path: string): Promise<Uint8Array> {
  const fd = libc.open(path, O_RDONLY);
  try {
    const parts: Uint8Array[] = [];
    for (;;) {
      const buf = new Uint8Array(16384);
      const length = await libc.read(fd, buf);
      if (length === 0) return concatBytes(parts);
      parts.push(buf.subarray(0, length));
    }
  } finally {
    libc.sys.close(fd);
  }
}

export async function readText(libc: Libc, path: string): Promise<string> {
  return decodeText(await readFile(libc, path));
}

/** Writes a text with one call, as the files of /proc/sys want it. @throws SystemError */
export async function writeText(libc: Libc, path: string, text: string): Promise<void> {
  const fd = libc.open(path, O_WRONLY);
  try {
    await libc.write(fd, encodeText(text));
  } finally {
    libc.sys.close(fd);
  }
}

/** Sorted names in a directory; null when it is none. */
export function listDirectory(libc: Libc, path: string): readonly string[] | null {
  const names = libc.sys.readdir(path);
  return typeof names === 'number' ? null : [...names].sort();
}

/** True when a path can be opened for reading, or is a directory. */
export function exists(libc: Libc, path: string): boolean {
  const fd = libc.sys.open(path, O_RDONLY);
  if (fd >= 0) {
    check(libc.sys.close(fd), 'close');
    return true;
  }
  return typeof libc.sys.readdir(path) !== 'number';
}
