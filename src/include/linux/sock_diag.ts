/** Who lists the sockets of a family. Counterpart of include/linux/sock_diag.h. */
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { Sock } from '#include/net/sock.ts';

/**
 * Answers of a family to NETLINK_SOCK_DIAG. `msg` is the whole nlmsg; the calls return 0, a negative
 * errno, or what starts a dump.
 * @kernel sock_diag_handler include/linux/sock_diag.h
 */
export interface SockDiagHandler {
  readonly family: number;
  dump(skb: SkBuff, msg: Uint8Array): number;
  /** Writes what is told of a socket that ends; null: nothing is. */
  readonly getInfo: ((skb: SkBuff, sk: Sock) => number) | null;
  readonly destroy: ((skb: SkBuff, msg: Uint8Array) => number) | null;
}
