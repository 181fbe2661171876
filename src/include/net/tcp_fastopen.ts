/**
 * TCP Fast Open: cookies, keys and what a client has asked for. Counterpart of the Fast Open parts of
 * include/net/tcp.h and include/linux/tcp.h. RFC 7413.
 */

import type { Msghdr } from '#include/linux/net.ts';
import type { UbufInfo } from '#include/linux/skbuff.ts';
import { TCP_FASTOPEN_COOKIE_MAX } from '#uapi/tcp.ts';

// Bits of net.ipv4.tcp_fastopen.
export const TFO_CLIENT_ENABLE = 1;
export const TFO_SERVER_ENABLE = 2;
/** Data in the SYN without a cookie, as for destinations that are known to take it. */
export const TFO_CLIENT_NO_COOKIE = 4;
export const TFO_SERVER_COOKIE_NOT_REQD = 0x200;
/** Every listener serves Fast Open, without asking for it by TCP_FASTOPEN. */
export const TFO_SERVER_WO_SOCKOPT1 = 0x400;

// tcpi_fastopen_client_fail. @kernel tcp_fastopen_client_fail include/uapi/linux/tcp.h
export const TFO_STATUS_UNSPEC = 0;
export const TFO_COOKIE_UNAVAILABLE = 1;
export const TFO_DATA_NOT_ACKED = 2;
export const TFO_SYN_RETRANSMITTED = 3;

/** `len` -1: no option at all; 0: a request for a cookie. @kernel tcp_fastopen_cookie include/linux/tcp.h */
export class TcpFastopenCookie {
  readonly val: Uint8Array = new Uint8Array(TCP_FASTOPEN_COOKIE_MAX);
  len: number;
  /** The option kind of experiments (254 with a magic number) instead of 34. */
  exp = false;

  constructor(len: number) {
    this.len = len;
  }
}

export function tcpFastopenCookieCopy(to: TcpFastopenCookie, from: TcpFastopenCookie): void {
  to.val.set(from.val);
  to.len = from.len;
  to.exp = from.exp;
}

/** A SipHash key each: the first makes cookies, the others are still taken. @kernel tcp_fastopen_context include/net/tcp.h */
export class TcpFastopenContext {
  /** As octets, the way they are set and read. */
  readonly keys: readonly Uint8Array[];
  readonly sipKeys: readonly Int32Array[];

  constructor(keys: readonly Uint8Array[]) {
    this.keys = keys.map((key) => key.slice());
    this.sipKeys = keys.map((key) => {
      const v = new DataView(key.buffer, key.byteOffset, key.byteLength);
      return Int32Array.from([0, 4, 8, 12], (at) => v.getInt32(at, true));
    });
  }
}

/** Data that a Fast Open SYN is to carry. @kernel tcp_fastopen_request include/net/tcp.h */
export class TcpFastopenRequest {
  readonly cookie: TcpFastopenCookie = new TcpFastopenCookie(0);
  /** What is to be sent; null: nothing, or nothing is left. */
  data: Msghdr | null;
  readonly size: number;
  /** The notice of a zero-copy call, which ends when the SYN's data does; null: there is none. */
  uarg: UbufInfo | null = null;
  /** Bytes that went into the SYN. */
  copied = 0;
  /** The call may block, and will be made again when the handshake has ended. */
  waiting = false;
  /** It has more to write: counted in skWritePending. */
  writeBias = false;

  constructor(data: Msghdr | null, size: number) {
    this.data = data;
    this.size = size;
  }
}
