/**
 * Names of Unix sockets: paths, and abstract names that begin with a zero byte.
 * Counterpart of that part of net/unix/af_unix.c.
 *
 * @deviation a path is a name like any other: it makes no file, and goes with its socket.
 */
import { SOCKADDR_UN_LEN, SUN_PATH, type UnixSock, unixSk } from '#include/net/af_unix.ts';
import type { Net } from '#include/net/net_namespace.ts';
import { latin1Decode } from '#lib/utf8.ts';
import { EADDRINUSE, ECONNREFUSED, EINVAL, ENOENT, EPROTOTYPE } from '#uapi/errno.ts';
import { AF_UNIX } from '#uapi/socket.ts';

/** The bytes of the name in an address, or -EINVAL. @kernel unix_validate_addr net/unix/af_unix.c */
export function unixNameOf(addr: Uint8Array): Uint8Array | number {
  if (addr.length <= SUN_PATH || addr.length > SOCKADDR_UN_LEN) return -EINVAL;
  if (((addr[0] ?? 0) | ((addr[1] ?? 0) << 8)) !== AF_UNIX) return -EINVAL;
  const name = addr.subarray(SUN_PATH);
  if (name[0] === 0) return name;
  // A path ends at its zero byte, an abstract name with the address.
  const end = name.indexOf(0);
  return end < 0 ? name : name.subarray(0, end);
}

function keyOf(net: Net, name: Uint8Array): string {
  const text = latin1Decode(name);
  return name[0] === 0 ? `${net.nsid}${text}` : text;
}

/** The socket of that name: -ENOENT for a path, -ECONNREFUSED for an abstract name that is none's. @kernel unix_find_other net/unix/af_unix.c */
export function unixFindOther(net: Net, name: Uint8Array, type: number): UnixSock | number {
  const sk = net.machine.netGlobals.unixNames.get(keyOf(net, name));
  if (sk === undefined) return name[0] === 0 ? -ECONNREFUSED : -ENOENT;
  return sk.skType === type ? unixSk(sk) : -EPROTOTYPE;
}

/** Takes the name: 0 or -EADDRINUSE. @kernel unix_bind_abstract net/unix/af_unix.c */
export function unixTakeName(u: UnixSock, name: Uint8Array): number {
  const names = u.net.machine.netGlobals.unixNames;
  const key = keyOf(u.net, name);
  if (names.has(key)) return -EADDRINUSE;
  names.set(key, u);
  u.nameKey = key;
  u.addr = name.slice();
  return 0;
}

/** An abstract name of five hexadecimal digits. @kernel unix_autobind net/unix/af_unix.c */
export function unixAutobind(u: UnixSock): number {
  if (u.addr !== null) return 0;
  const start = u.net.machine.random.u32() & 0xfffff;
  for (let i = 0; i <= 0xfffff; i++) {
    const digits = ((start + i) & 0xfffff).toString(16).padStart(5, '0');
    const name = Uint8Array.from([0, ...Array.from(digits, (c) => c.charCodeAt(0))]);
    if (unixTakeName(u, name) === 0) return 0;
  }
  return -EADDRINUSE;
}

export function unixDropName(u: UnixSock): void {
  if (u.nameKey === '') return;
  u.net.machine.netGlobals.unixNames.delete(u.nameKey);
  u.nameKey = '';
}

/** Writes the address of a socket; its length. */
export function unixFillName(u: UnixSock | null, addr: Uint8Array): number {
  addr[0] = AF_UNIX;
  addr[1] = 0;
  const name = u?.addr ?? null;
  if (name === null) return SUN_PATH;
  addr.set(name.subarray(0, Math.max(addr.length - SUN_PATH, 0)), SUN_PATH);
  // The zero byte behind a path counts.
  return SUN_PATH + name.length + (name[0] === 0 ? 0 : 1);
}
