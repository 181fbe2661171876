/*
 * Socket addresses: Linux's binary form at the system calls, an address and a port in programs.
 * Counterpart of struct sockaddr_in and its kin; see sockaddr of uapi.
 */
import { inNtop4, inPton4 } from '#lib/parse_addr.ts';
import { sinAddr, sinFamily, sinFill, sinPort, sockaddrIn } from '#uapi/in.ts';
import { sockaddrNl } from '#uapi/netlink.ts';
import { AF_INET, AF_NETLINK, AF_UNSPEC } from '#uapi/socket.ts';

/** Room for any address: sizeof(struct sockaddr_storage). */
export const SOCKADDR_STORAGE_LEN = 128;

/** An IPv4 endpoint. `addr` is an unsigned number in host order. */
export interface SockAddr4 {
  readonly addr: number;
  readonly port: number;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** struct sockaddr_in of an address and a port, both in host order. */
export function encodeSockaddr4(addr: number, port: number): Uint8Array {
  const out = new Uint8Array(sockaddrIn.LEN);
  sinFill(out, AF_INET, port, addr);
  return out;
}

/** The address and port of a struct sockaddr_in; null when it is of another family or too short. */
export function decodeSockaddr4(bytes: Uint8Array): SockAddr4 | null {
  if (bytes.length < 8) return null;
  if (sinFamily(bytes) !== AF_INET) return null;
  return { addr: sinAddr(bytes), port: sinPort(bytes) };
}

/** An address without family, with which connect(2) undoes a connection of a datagram socket. */
export function encodeSockaddrUnspec(): Uint8Array {
  const out = new Uint8Array(sockaddrIn.LEN);
  sockaddrIn.setFamily(viewOf(out), 0, AF_UNSPEC);
  return out;
}

/** struct sockaddr_nl. */
export function encodeSockaddrNl(pid: number, groups: number): Uint8Array {
  const out = new Uint8Array(sockaddrNl.LEN);
  const v = viewOf(out);
  sockaddrNl.setFamily(v, 0, AF_NETLINK);
  sockaddrNl.setPid(v, 0, pid);
  sockaddrNl.setGroups(v, 0, groups);
  return out;
}

/** `192.0.2.1:80` */
export function formatSockaddr4({ addr, port }: SockAddr4): string {
  return `${inNtop4(addr)}:${port}`;
}

/** A port of 0 to 65535 in decimal; null for anything else. */
export function parsePort(text: string): number | null {
  if (!/^\d{1,5}$/.test(text)) return null;
  const port = Number(text);
  return port <= 65535 ? port : null;
}

/** Reads `192.0.2.1:80`; null for anything else. */
export function parseSockaddr4(text: string): SockAddr4 | null {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return null;
  const addr = inPton4(text.slice(0, colon));
  const port = parsePort(text.slice(colon + 1));
  return addr === null || port === null ? null : { addr, port };
}
