/**
 * Fast Open: keys of cookies and the length of a listener's queue, as sockets and settings give them.
 *
 * Counterpart: the key functions of net/ipv4/tcp_fastopen.c, proc_tcp_fastopen_key of
 * net/ipv4/sysctl_net_ipv4.c. RFC 7413#4.1.2.
 */
import { inetCsk } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import {
  TcpFastopenContext,
  TFO_CLIENT_ENABLE,
  TFO_SERVER_ENABLE,
  TFO_SERVER_WO_SOCKOPT1,
} from '#include/net/tcp_fastopen.ts';
import { EINVAL, EOPNOTSUPP } from '#uapi/errno.ts';
import {
  TCP_CLOSE,
  TCP_FASTOPEN,
  TCP_FASTOPEN_KEY_LENGTH,
  TCP_FASTOPEN_NO_COOKIE,
  TCPF_CLOSE,
  TCPF_LISTEN,
} from '#uapi/tcp.ts';

/** @kernel tcp_fastopen_reset_cipher net/ipv4/tcp_fastopen.c */
function makeContext(key: Uint8Array): TcpFastopenContext {
  const keys: Uint8Array[] = [];
  for (let at = 0; at < key.length; at += TCP_FASTOPEN_KEY_LENGTH) {
    keys.push(key.slice(at, at + TCP_FASTOPEN_KEY_LENGTH));
  }
  return new TcpFastopenContext(keys);
}

/** TCP_FASTOPEN_KEY: one key, or with it the old one. 0 or -EINVAL. @kernel tcp_fastopen_reset_cipher net/ipv4/tcp_fastopen.c */
export function fastopenSetKey(sk: Sock, key: Uint8Array): number {
  if (key.length !== TCP_FASTOPEN_KEY_LENGTH && key.length !== 2 * TCP_FASTOPEN_KEY_LENGTH) {
    return -EINVAL;
  }
  inetCsk(sk).icskAcceptQueue.fastopenqCtx = makeContext(key);
  return 0;
}

/** The keys in force, one behind the other. @kernel tcp_fastopen_get_cipher net/ipv4/tcp_fastopen.c */
export function fastopenGetKey(sk: Sock): Uint8Array {
  const ctx = inetCsk(sk).icskAcceptQueueOrNull?.fastopenqCtx ?? sk.net.ipv4.tcpFastopenCtx;
  const out: number[] = [];
  for (const key of ctx?.keys ?? []) out.push(...key);
  return Uint8Array.from(out);
}

/** A namespace that has no key gets a random one. @kernel tcp_fastopen_init_key_once net/ipv4/tcp_fastopen.c */
export function tcpFastopenInitKeyOnce(net: Net): void {
  if (net.ipv4.tcpFastopenCtx !== null) return;
  const key = new Uint8Array(TCP_FASTOPEN_KEY_LENGTH);
  net.machine.random.bytes(key);
  net.ipv4.tcpFastopenCtx = makeContext(key);
}

/** @kernel fastopen_queue_tune include/linux/tcp.h */
export function fastopenQueueTune(sk: Sock, backlog: number): void {
  // Compared as unsigned: a negative backlog means the most.
  inetCsk(sk).icskAcceptQueue.fastopenqMaxQlen = Math.min(backlog >>> 0, sk.net.sysctlSomaxconn);
}

/** listen(): Fast Open without TCP_FASTOPEN, where the namespace wants it. @kernel __inet_listen_sk net/ipv4/af_inet.c */
export function fastopenListen(sk: Sock, backlog: number): void {
  const both = TFO_SERVER_WO_SOCKOPT1 | TFO_SERVER_ENABLE;
  if ((sk.net.ipv4.sysctlTcpFastopen & both) !== both) return;
  if (inetCsk(sk).icskAcceptQueue.fastopenqMaxQlen !== 0) return;
  fastopenQueueTune(sk, backlog);
  tcpFastopenInitKeyOnce(sk.net);
}

// ---- net.ipv4.tcp_fastopen_key -----------------------------------------------------------------

function keyText(key: Uint8Array): string {
  const v = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return [0, 4, 8, 12].map((at) => v.getUint32(at, true).toString(16).padStart(8, '0')).join('-');
}

/** The key of four hexadecimal words, or null. @kernel sscanf_key net/ipv4/sysctl_net_ipv4.c */
function parseKey(text: string): Uint8Array | null {
  const words = /^\s*([0-9a-f]{1,8})-([0-9a-f]{1,8})-([0-9a-f]{1,8})-([0-9a-f]{1,8})/i.exec(text);
  if (words === null) return null;
  const key = new Uint8Array(TCP_FASTOPEN_KEY_LENGTH);
  const v = new DataView(key.buffer);
  for (let i = 0; i < 4; i++) v.setUint32(4 * i, Number.parseInt(words[i + 1] as string, 16), true);
  return key;
}

/** As text, the primary key first; zeros while there is none. @kernel proc_tcp_fastopen_key net/ipv4/sysctl_net_ipv4.c */
export function tcpFastopenKeyText(net: Net): string {
  const keys = net.ipv4.tcpFastopenCtx?.keys ?? [new Uint8Array(TCP_FASTOPEN_KEY_LENGTH)];
  return keys.map(keyText).join(',');
}

/** One key, or two with a comma between. 0 or -EINVAL. @kernel proc_tcp_fastopen_key net/ipv4/sysctl_net_ipv4.c */
export function tcpFastopenKeyWrite(net: Net, text: string): number {
  const comma = text.indexOf(',');
  const texts = comma < 0 ? [text] : [text.slice(0, comma), text.slice(comma + 1)];
  const bytes: number[] = [];
  for (const part of texts) {
    const key = parseKey(part);
    if (key === null) return -EINVAL;
    bytes.push(...key);
  }
  net.ipv4.tcpFastopenCtx = makeContext(Uint8Array.from(bytes));
  return 0;
}

/** The server's queue, the client's deferred connect(), and doing without cookies. */
export function fastopenSetsockopt(sk: Sock, optname: number, val: number): number {
  if (optname === TCP_FASTOPEN) {
    if (val < 0 || ((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) return -EINVAL;
    tcpFastopenInitKeyOnce(sk.net);
    fastopenQueueTune(sk, val);
    return 0;
  }
  if (val > 1 || val < 0) return -EINVAL;
  if (optname === TCP_FASTOPEN_NO_COOKIE) {
    if (((1 << sk.skcState) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) return -EINVAL;
    tcpSk(sk).fastopenNoCookie = val !== 0;
    return 0;
  }
  if ((sk.net.ipv4.sysctlTcpFastopen & TFO_CLIENT_ENABLE) === 0) return -EOPNOTSUPP;
  if (sk.skcState !== TCP_CLOSE) return -EINVAL;
  tcpSk(sk).fastopenConnect = val !== 0;
  return 0;
}
