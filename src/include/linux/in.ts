/**
 * Socket addresses of IPv4 as system calls bring them: struct sockaddr_in in a byte array, read and
 * written in place. Counterpart of include/linux/in.h.
 */
import { AF_INET } from '#uapi/socket.ts';

/** sizeof(struct sockaddr_in). */
export const SOCKADDR_IN_LEN = 16;

/** Family of any sockaddr; callers have checked that it is 2 octets long at least. */
export function saFamily(addr: Uint8Array): number {
  return (addr[0] as number) | ((addr[1] as number) << 8);
}

/** Port of a sockaddr_in, host order. */
export function sinPort(addr: Uint8Array): number {
  return ((addr[2] as number) << 8) | (addr[3] as number);
}

/** Address of a sockaddr_in, an unsigned number. */
export function sinAddr(addr: Uint8Array): number {
  return (
    (((addr[4] as number) << 24) |
      ((addr[5] as number) << 16) |
      ((addr[6] as number) << 8) |
      (addr[7] as number)) >>>
    0
  );
}

/** Writes a sockaddr_in, cut to the room that `to` has; returns its full length. */
export function putSockaddrIn(to: Uint8Array, addr: number, port: number): number {
  const n = Math.min(to.length, SOCKADDR_IN_LEN);
  for (let i = 0; i < n; i++) to[i] = sockaddrInByte(i, addr, port);
  return SOCKADDR_IN_LEN;
}

function sockaddrInByte(i: number, addr: number, port: number): number {
  if (i === 0) return AF_INET;
  if (i === 2) return port >>> 8;
  if (i === 3) return port & 0xff;
  if (i >= 4 && i < 8) return (addr >>> ((7 - i) << 3)) & 0xff;
  return 0;
}
