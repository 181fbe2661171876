/** Inlines over sockets of the Internet family. Counterpart of include/net/inet_sock.h. */

import { FLOWI_FLAG_ANYSRC } from '#include/net/flow.ts';
import type { InetSock } from '#include/net/sock.ts';

/** @kernel inet_sk_flowi_flags include/net/inet_sock.h */
export function inetSkFlowiFlags(inet: InetSock): number {
  return inet.transparent || inet.hdrincl ? FLOWI_FLAG_ANYSRC : 0;
}
