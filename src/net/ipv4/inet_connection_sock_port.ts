/**
 * bind(): who may share a port with whom, and which one to take when any will do.
 *
 * Counterpart of the port part of net/ipv4/inet_connection_sock.c. Two sockets may share a port when
 * their addresses or devices differ, when both set SO_REUSEADDR and neither listens, or when both set
 * SO_REUSEPORT and belong to one user.
 */

import type { InetBindBucket } from '#include/net/inet_connection_sock.ts';
import { inetCsk } from '#include/net/inet_connection_sock.ts';
import type { Sock } from '#include/net/sock.ts';
import { SK_CAN_REUSE, SK_FORCE_REUSE } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import { bugOn } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import {
  inetIsLocalReservedPort,
  inetSkLocalPortHigh,
  inetSkLocalPortLow,
} from '#net/ipv4/inet_hashtables.ts';
import {
  inetBindBucketCreate,
  inetBindBucketFind,
  inetBindHash,
} from '#net/ipv4/inet_hashtables_bind.ts';
import { TCP_LISTEN, TCP_TIME_WAIT } from '#uapi/tcp.ts';

/** No socket bound by bind() yet, or one that may be shared by equals. @kernel FASTREUSEPORT_ANY include/net/inet_hashtables.h */
const FASTREUSEPORT_ANY = 1;
const FASTREUSEPORT_STRICT = 2;

/** Do the two local addresses meet? A wildcard meets all. @kernel inet_rcv_saddr_equal net/ipv4/inet_connection_sock.c */
function inetRcvSaddrEqual(a: SockCommon, b: SockCommon): boolean {
  return a.skcRcvSaddr === b.skcRcvSaddr || a.skcRcvSaddr === 0 || b.skcRcvSaddr === 0;
}

/**
 * Does `sk2` forbid the port to `sk`? `relax`: SO_REUSEADDR counts; `reuseportOk`: so does
 * SO_REUSEPORT. `uid2`: user of sk2.
 * @kernel inet_bind_conflict net/ipv4/inet_connection_sock.c
 */
function inetBindConflict(
  sk: Sock,
  sk2: SockCommon,
  uid2: number,
  relax: boolean,
  reuseportOk: boolean,
): boolean {
  if (sk === sk2) return false;
  const dif = sk.skcBoundDevIf;
  const dif2 = sk2.skcBoundDevIf;
  if (dif !== 0 && dif2 !== 0 && dif !== dif2) return false;
  const sameUser = sk2.skcState === TCP_TIME_WAIT || sk.skUid === uid2;
  const sharesPort = sk.skcReuseport && sk2.skcReuseport && sameUser;
  if (sk.skcReuse !== 0 && sk2.skcReuse !== 0 && sk2.skcState !== TCP_LISTEN) {
    return !relax || (!reuseportOk && sharesPort);
  }
  return !reuseportOk || !sharesPort;
}

/** @kernel inet_csk_bind_conflict net/ipv4/inet_connection_sock.c */
function inetCskBindConflict(
  sk: Sock,
  tb: InetBindBucket,
  relax: boolean,
  reuseportOk: boolean,
): boolean {
  for (let sk2 = tb.owners; sk2 !== null; sk2 = sk2.bindNext) {
    if (inetRcvSaddrEqual(sk, sk2) && inetBindConflict(sk, sk2, sk2.skUid, relax, reuseportOk)) {
      return true;
    }
  }
  for (let tw = tb.twOwners; tw !== null; tw = tw.twBindNext) {
    if (inetRcvSaddrEqual(sk, tw) && inetBindConflict(sk, tw, -1, relax, reuseportOk)) return true;
  }
  return false;
}

/** The bucket is known to hold only sockets that share with one like this. @kernel sk_reuseport_match net/ipv4/inet_connection_sock.c */
function skReuseportMatch(tb: InetBindBucket, sk: Sock): boolean {
  return (
    tb.fastreuseport === FASTREUSEPORT_ANY &&
    sk.skcReuseport &&
    sk.skReuseportCb === null &&
    tb.fastuid === sk.skUid
  );
}

/** Keeps in the bucket what its owners have in common. @kernel inet_csk_update_fastreuse net/ipv4/inet_connection_sock.c */
export function inetCskUpdateFastreuse(sk: Sock, tb: InetBindBucket): void {
  const reuse = sk.skcReuse !== 0 && sk.skcState !== TCP_LISTEN;
  if (tb.owners === null && tb.twOwners === null) {
    tb.fastreuse = reuse ? 1 : 0;
    tb.fastreuseport = sk.skcReuseport ? FASTREUSEPORT_ANY : 0;
    tb.fastuid = sk.skUid;
    return;
  }
  if (!reuse) tb.fastreuse = 0;
  if (!sk.skcReuseport) {
    tb.fastreuseport = 0;
  } else if (!skReuseportMatch(tb, sk)) {
    tb.fastreuseport = FASTREUSEPORT_STRICT;
    tb.fastuid = sk.skUid;
  }
}

/** What a search for a free port found. */
interface OpenPort {
  readonly port: number;
  /** A bucket that `sk` may join; null: the port is unused. */
  readonly tb: InetBindBucket | null;
}

/** Tries the ports of [low, high) from a random one, odd steps first. */
function scanPorts(sk: Sock, low: number, high: number, relax: boolean): OpenPort | null {
  const { net } = sk;
  let remaining = high - low;
  if (remaining > 1) remaining &= ~1;
  // connect() prefers the other parity.
  const offset = net.machine.random.below(remaining) | 1;
  for (let pass = 0; pass < 2; pass++) {
    let port = low + offset - pass;
    for (let i = 0; i < remaining; i += 2, port += 2) {
      if (port >= high) port -= remaining;
      if (inetIsLocalReservedPort(net, port)) continue;
      const tb = inetBindBucketFind(net, port, 0);
      if (tb === null || !inetCskBindConflict(sk, tb, relax, false)) return { port, tb };
    }
  }
  return null;
}

/** @kernel inet_csk_find_open_port net/ipv4/inet_connection_sock.c */
function inetCskFindOpenPort(sk: Sock): OpenPort | null {
  const low = inetSkLocalPortLow(sk);
  const high = inetSkLocalPortHigh(sk) + 1;
  // With SO_REUSEADDR the lower half first: the upper one is left to connect().
  if (sk.skcReuse === SK_CAN_REUSE && high - low >= 4) {
    const half = low + (((high - low) >> 2) << 1);
    const found = scanPorts(sk, low, half, false) ?? scanPorts(sk, half, high, false);
    if (found !== null) return found;
  } else {
    const found = scanPorts(sk, low, high, false);
    if (found !== null) return found;
  }
  return sk.net.ipv4.sysctlIpAutobindReuse !== 0 ? scanPorts(sk, low, high, true) : null;
}

/**
 * Binds to `snum`, or to any port when it is 0. 0, or 1 when the port is taken.
 * @kernel inet_csk_get_port net/ipv4/inet_connection_sock.c
 */
export function inetCskGetPort(sk: Sock, snum: number): number {
  const { net } = sk;
  const icsk = inetCsk(sk);
  let port = snum;
  let tb: InetBindBucket | null;
  if (port === 0) {
    const open = inetCskFindOpenPort(sk);
    if (open === null) return 1;
    ({ port, tb } = open);
  } else {
    const reuse = sk.skcReuse !== 0 && sk.skcState !== TCP_LISTEN;
    tb = inetBindBucketFind(net, port, 0);
    if (tb !== null) {
      const free =
        sk.skcReuse === SK_FORCE_REUSE || (tb.fastreuse > 0 && reuse) || skReuseportMatch(tb, sk);
      if (!free && inetCskBindConflict(sk, tb, true, true)) return 1;
    }
  }
  tb ??= inetBindBucketCreate(net, port, 0);
  inetCskUpdateFastreuse(sk, tb);
  if (icsk.icskBindHash === null) inetBindHash(sk, tb, port);
  if (DEBUG) bugOn(icsk.icskBindHash !== tb, 'csk-get-port', 'bound to another port already');
  return 0;
}
