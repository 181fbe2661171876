/** Who lists the sockets of a protocol above IP. Counterpart of include/linux/inet_diag.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkCallback } from '#include/net/rtnetlink.ts';
import type { Sock } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';

/** A request, read. Addresses and ports in host order. @kernel inet_diag_req_v2 include/uapi/linux/inet_diag.h */
export interface InetDiagRequest {
  readonly family: number;
  readonly protocol: number;
  /** Attribute `n` is wanted: bit n - 1. */
  readonly ext: number;
  /** Bit n: sockets in state n. */
  readonly states: number;
  readonly sport: number;
  readonly dport: number;
  readonly src: number;
  readonly dst: number;
  readonly ifindex: number;
  readonly cookieLo: number;
  readonly cookieHi: number;
  /** The program of a filter, audited; null: everything matches. */
  readonly bytecode: Uint8Array | null;
  /** IPPROTO_* of a raw socket. @kernel inet_diag_req_raw include/uapi/linux/inet_diag.h */
  readonly rawProtocol: number;
}

/** Header of a message about a socket. */
export interface InetDiagHead {
  readonly portid: number;
  readonly seq: number;
  /** NLM_F_* */
  readonly flags: number;
}

/** @kernel inet_diag_handler include/linux/inet_diag.h */
export interface InetDiagHandler {
  /** IPPROTO_* */
  readonly protocol: number;
  /** Appends the sockets that `cb.args` has not passed yet; 1: there are more, 0: these were all. */
  dump(skb: SkBuff, cb: NetlinkCallback, req: InetDiagRequest): number;
  /** The socket that a request names, with a reference; or a negative errno. `cmd`: why it is looked for, SOCK_*. */
  findOne(net: Net, req: InetDiagRequest, cmd: number): SockCommon | number;
  /** Gives that reference back. */
  put(sk: SockCommon): void;
  /** Ends it: 0 or a negative errno. */
  destroy(sk: SockCommon): number;
  /** Appends the message about a socket: 0, or -EMSGSIZE with nothing written. */
  fill(sk: SockCommon, skb: SkBuff, head: InetDiagHead, req: InetDiagRequest): number;
  /** Fills the queues of the message at `at`, and INET_DIAG_INFO where `info` (its address) is not 0. */
  getInfo(sk: Sock, at: number, info: number): void;
  /** Bytes of INET_DIAG_INFO; 0: there is none. */
  readonly infoSize: number;
  /** Further attributes: 0 or -EMSGSIZE. */
  readonly getAux: ((sk: Sock, skb: SkBuff, req: InetDiagRequest) => number) | null;
}
