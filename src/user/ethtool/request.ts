/*
 * Requests by SIOCETHTOOL: an ifreq with the interface's name, the structure behind.
 */
import {
  ETH_GSTRING_LEN,
  ETHTOOL_GSSET_INFO,
  ETHTOOL_GSTRINGS,
  ethtoolSsetInfo,
  ethtoolStrings,
} from '#uapi/ethtool.ts';
import { IFNAMSIZ, ifreq } from '#uapi/if.ts';
import { AF_INET, SOCK_DGRAM } from '#uapi/socket.ts';
import { SIOCETHTOOL } from '#uapi/sockios.ts';
import { check } from '#user/lib/errors.ts';
import type { Libc } from '#user/lib/libc.ts';
import { decodeText, encodeText } from '#user/lib/streams.ts';

/** An interface and a socket to ask through. */
export class EthtoolDevice {
  readonly name: string;
  private readonly libc: Libc;
  private readonly fd: number;

  constructor(libc: Libc, name: string) {
    this.libc = libc;
    this.name = name;
    this.fd = check(libc.sys.socket(AF_INET, SOCK_DGRAM, 0), 'socket');
  }

  close(): void {
    this.libc.sys.close(this.fd);
  }

  /** Sends a structure, which is overwritten. The result of the ioctl: 0 or more, or a negative errno. */
  send(command: number, request: DataView): number {
    request.setUint32(0, command, true);
    const bytes = new Uint8Array(request.buffer, request.byteOffset, request.byteLength);
    const arg = new Uint8Array(ifreq.LEN + bytes.length);
    arg.set(encodeText(this.name).subarray(0, IFNAMSIZ - 1));
    arg.set(bytes, ifreq.LEN);
    const result = this.libc.sys.ioctl(this.fd, SIOCETHTOOL, arg);
    bytes.set(arg.subarray(ifreq.LEN));
    return result;
  }

  /** A structure of a length, filled by the kernel; a negative errno when it cannot be had. */
  get(command: number, length: number): DataView | number {
    const v = new DataView(new ArrayBuffer(length));
    const err = this.send(command, v);
    return err < 0 ? err : v;
  }

  /** The strings of a set; empty when there is no such set. */
  strings(set: number): readonly string[] {
    const info = new DataView(new ArrayBuffer(ethtoolSsetInfo.LEN + 4));
    ethtoolSsetInfo.setMask(info, 0, (1 << set) >>> 0);
    if (this.send(ETHTOOL_GSSET_INFO, info) < 0 || ethtoolSsetInfo.mask(info, 0) === 0) return [];
    const count = info.getUint32(ethtoolSsetInfo.LEN, true);
    const names = new DataView(new ArrayBuffer(ethtoolStrings.LEN + count * ETH_GSTRING_LEN));
    ethtoolStrings.setSet(names, 0, set);
    ethtoolStrings.setLength(names, 0, count);
    if (this.send(ETHTOOL_GSTRINGS, names) < 0) return [];
    return Array.from({ length: count }, (_, i) =>
      textAt(names, ethtoolStrings.LEN + i * ETH_GSTRING_LEN, ETH_GSTRING_LEN),
    );
  }
}

/** A string of C in a field of a structure. */
export function textAt(v: DataView, at: number, room: number): string {
  const bytes = new Uint8Array(v.buffer, v.byteOffset + at, room);
  const end = bytes.indexOf(0);
  return decodeText(end < 0 ? bytes : bytes.subarray(0, end));
}
