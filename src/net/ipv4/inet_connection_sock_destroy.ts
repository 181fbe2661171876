/**
 * The end of a connection's socket. Counterpart of inet_csk_destroy_sock and its neighbours in
 * net/ipv4/inet_connection_sock.c; apart because TCP's state machine stands on it.
 */
import { inetCsk, inetSk } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { SOCK_DEAD } from '#include/net/sock.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { sockFlag, sockPut } from '#net/core/sock.ts';
import { skStreamKillQueues } from '#net/core/stream.ts';
import { TCP_CLOSE } from '#uapi/tcp.ts';

/** Sockets without an owner that still finish their connection. @kernel tcp_orphan_count net/ipv4/tcp.c */
export function tcpOrphanCountAdd(sk: Sock, n: number): void {
  const memory = sk.skProt.memory(sk.net);
  if (memory !== null) memory.orphanCount += n;
}

/** Destroys an orphan that is closed and in no table. @kernel inet_csk_destroy_sock net/ipv4/inet_connection_sock.c */
export function inetCskDestroySock(sk: Sock): void {
  if (DEBUG) {
    bugOn(sk.skcState !== TCP_CLOSE, 'csk-destroy', `state ${sk.skcState}`);
    bugOn(!sockFlag(sk, SOCK_DEAD), 'csk-destroy', 'still has an owner');
    bugOn(sk.hashed, 'csk-destroy', 'still hashed');
    bugOn(
      inetSk(sk).skcNum !== 0 && inetCsk(sk).icskBindHash === null,
      'csk-destroy',
      'has a port and no bind bucket',
    );
  }
  sk.skProt.destroy?.(sk);
  skStreamKillQueues(sk);
  tcpOrphanCountAdd(sk, -1);
  sockPut(sk);
}
