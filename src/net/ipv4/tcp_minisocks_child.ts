/**
 * The first segment of a child socket. Counterpart: tcp_child_process of net/ipv4/tcp_minisocks.c;
 * apart from the rest, since it calls the state machine, which calls the rest.
 */

import type { SkBuff } from '#include/linux/skbuff.ts';
import { skMarkNapiId } from '#include/net/busy_poll.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { tcpSegsIn } from '#include/net/tcp_inlines.ts';
import { __skAddBacklog, sockOwnedByUser, sockPut } from '#net/core/sock.ts';
import { tcpRcvStateProcess } from '#net/ipv4/tcp_input.ts';
import { TCP_SYN_RECV } from '#uapi/tcp.ts';

/**
 * Feeds the segment that completed the handshake to the new socket, and wakes the one who accepts.
 * Drops the caller's reference to `child`. 0, or the reason to reset the sender.
 * @kernel tcp_child_process net/ipv4/tcp_minisocks.c
 */
export function tcpChildProcess(parent: Sock, child: Sock, skb: SkBuff): number {
  const state = child.skcState;
  let reason = 0;
  skMarkNapiId(child, skb);
  tcpSegsIn(tcpSk(child), skb);
  if (!sockOwnedByUser(child)) {
    reason = tcpRcvStateProcess(child, skb);
    if (state === TCP_SYN_RECV && child.skcState !== state) parent.skDataReady(parent);
  } else {
    __skAddBacklog(child, skb);
  }
  sockPut(child);
  return reason;
}
