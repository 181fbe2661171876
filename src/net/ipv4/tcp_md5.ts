/**
 * MD5 signatures: keys by peer address and prefix, and the digests under them.
 *
 * Counterpart: the TCP_MD5SIG parts of net/ipv4/tcp_ipv4.c. RFC 2385. A digest covers the pseudo
 * header, the fixed TCP header with its checksum taken as zero, the data and the key, not the options.
 */
import { inetMakeMask } from '#include/linux/inetdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import type { TcpSock } from '#include/linux/tcp.ts';
import type { Sock } from '#include/net/sock.ts';
import { tcpSk } from '#include/net/tcp.ts';
import { TcpMd5sigInfo, TcpMd5sigKey, type TcpSigpool } from '#include/net/tcp_auth.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem } from '#mm/memory.ts';
import { skGsoDisable } from '#net/core/sock_clone.ts';
import { sockKfreeS, sockKmalloc } from '#net/core/sock_mem.ts';
import { tcpAoRequired } from '#net/ipv4/tcp_ao.ts';
import {
  copyHeader,
  hashPseudoheader,
  tcpSigpoolHashSkbData,
  tcpSigpoolStart,
} from '#net/ipv4/tcp_sigpool.ts';
import { EINVAL, EKEYREJECTED, ENOENT, ENOMEM } from '#uapi/errno.ts';
import { sockaddrIn } from '#uapi/in.ts';
import { AF_INET } from '#uapi/socket.ts';
import {
  TCP_MD5SIG_EXT,
  TCP_MD5SIG_FLAG_IFINDEX,
  TCP_MD5SIG_FLAG_PREFIX,
  TCP_MD5SIG_MAXKEYLEN,
  tcphdr,
} from '#uapi/tcp.ts';
import { tcpMd5sig } from '#uapi/tcp_auth.ts';

/** sizeof(struct tcp_md5sig_key), what a key is charged with. */
const KEY_SIZE = 144;

// ---- Keys --------------------------------------------------------------------------------------

/** The key for a peer: the longest prefix that has it. @kernel __tcp_md5_do_lookup net/ipv4/tcp_ipv4.c */
export function tcpMd5DoLookup(sk: Sock, addr: number): TcpMd5sigKey | null {
  const info = tcpSk(sk).md5sigInfo;
  if (info === null) return null;
  let best: TcpMd5sigKey | null = null;
  for (let key = info.head; key !== null; key = key.next) {
    // No device here is an L3 master, so a key bound to one matches nothing.
    if ((key.flags & TCP_MD5SIG_FLAG_IFINDEX) !== 0) continue;
    if (((addr ^ key.addr) & inetMakeMask(key.prefixlen)) !== 0) continue;
    if (best === null || key.prefixlen > best.prefixlen) best = key;
  }
  return best;
}

/** @kernel tcp_md5_do_lookup_exact net/ipv4/tcp_ipv4.c */
function tcpMd5DoLookupExact(
  tp: TcpSock,
  addr: number,
  prefixlen: number,
  flags: number,
): TcpMd5sigKey | null {
  let key = tp.md5sigInfo?.head ?? null;
  while (
    key !== null &&
    !(key.addr === addr && key.prefixlen === prefixlen && key.flags === flags)
  ) {
    key = key.next;
  }
  return key;
}

/** The key that signs towards the peer of a connection. @kernel tcp_v4_md5_lookup net/ipv4/tcp_ipv4.c */
export function tcpV4Md5Lookup(sk: Sock): TcpMd5sigKey | null {
  return tcpMd5DoLookup(sk, sk.skcDaddr);
}

/** Adds or replaces a key. 0 or -ENOMEM. @kernel tcp_md5_do_add net/ipv4/tcp_ipv4.c */
export function tcpMd5DoAdd(
  sk: Sock,
  addr: number,
  prefixlen: number,
  flags: number,
  keyData: Uint8Array,
): number {
  const tp = tcpSk(sk);
  const old = tcpMd5DoLookupExact(tp, addr, prefixlen, flags);
  if (old !== null) {
    old.key = keyData.slice();
    return 0;
  }
  if (!sockKmalloc(sk, KEY_SIZE)) return -ENOMEM;
  if (tp.md5sigInfo === null) {
    tp.md5sigInfo = new TcpMd5sigInfo();
    // Each segment has a digest of its own.
    skGsoDisable(sk);
  }
  const key = new TcpMd5sigKey(addr, prefixlen, flags, keyData.slice());
  key.next = tp.md5sigInfo.head;
  tp.md5sigInfo.head = key;
  return 0;
}

/** @kernel tcp_md5_do_del net/ipv4/tcp_ipv4.c */
export function tcpMd5DoDel(sk: Sock, addr: number, prefixlen: number, flags: number): number {
  const tp = tcpSk(sk);
  const key = tcpMd5DoLookupExact(tp, addr, prefixlen, flags);
  const info = tp.md5sigInfo;
  if (key === null || info === null) return -ENOENT;
  if (info.head === key) {
    info.head = key.next;
  } else {
    let prev = info.head;
    while (prev !== null && prev.next !== key) prev = prev.next;
    if (prev !== null) prev.next = key.next;
  }
  sockKfreeS(sk, KEY_SIZE);
  return 0;
}

/** @kernel tcp_clear_md5_list net/ipv4/tcp_ipv4.c */
export function tcpClearMd5List(sk: Sock): void {
  const tp = tcpSk(sk);
  for (let key = tp.md5sigInfo?.head ?? null; key !== null; key = key.next) {
    sockKfreeS(sk, KEY_SIZE);
  }
  tp.md5sigInfo = null;
}

/**
 * TCP_MD5SIG and TCP_MD5SIG_EXT: sets the key for a peer, or removes it when its length is 0.
 * @kernel tcp_v4_parse_md5_keys net/ipv4/tcp_ipv4.c
 */
export function tcpV4ParseMd5Keys(sk: Sock, optname: number, optval: Uint8Array): number {
  if (optval.length < tcpMd5sig.LEN) return -EINVAL;
  const cmd = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
  if (sockaddrIn.family(cmd, 0) !== AF_INET) return -EINVAL;
  const ext = optname === TCP_MD5SIG_EXT;
  const given = tcpMd5sig.flags(cmd);
  const flags = given & TCP_MD5SIG_FLAG_IFINDEX;
  let prefixlen = 32;
  if (ext && (given & TCP_MD5SIG_FLAG_PREFIX) !== 0) {
    prefixlen = tcpMd5sig.prefixlen(cmd);
    if (prefixlen > 32) return -EINVAL;
  }
  // The index must be that of an L3 master device, of which there is no kind here.
  if (ext && flags !== 0 && tcpMd5sig.ifindex(cmd) !== 0) return -EINVAL;
  const addr = sockaddrIn.addr(cmd, 0);
  const keylen = tcpMd5sig.keylen(cmd);
  if (keylen === 0) return tcpMd5DoDel(sk, addr, prefixlen, flags);
  if (keylen > TCP_MD5SIG_MAXKEYLEN) return -EINVAL;
  if (tcpAoRequired(sk, addr, false)) return -EKEYREJECTED;
  const key = optval.subarray(tcpMd5sig.KEY, tcpMd5sig.KEY + keylen);
  return tcpMd5DoAdd(sk, addr, prefixlen, flags, key);
}

// ---- Digests -----------------------------------------------------------------------------------

function finish(hp: TcpSigpool, key: TcpMd5sigKey): Uint8Array {
  hp.md5.update(key.key, 0, key.key.length);
  hp.md5.final(hp.digest, 0);
  return hp.digest;
}

/**
 * Digest of the segment `skb`, whose data is at its header. It lies in the machine's scratch.
 * @kernel tcp_v4_md5_hash_skb net/ipv4/tcp_ipv4.c
 */
export function tcpV4Md5HashSkb(
  key: TcpMd5sigKey,
  saddr: number,
  daddr: number,
  skb: SkBuff,
): Uint8Array {
  const hp = tcpSigpoolStart(skb.machine);
  const { md5 } = hp;
  const th = skb.transportHeader;
  md5.reset();
  hashPseudoheader(hp, md5, saddr, daddr, skb.len);
  copyHeader(hp, mem, th, tcphdr.LEN);
  md5.update(hp.scratch, 0, tcphdr.LEN);
  tcpSigpoolHashSkbData(md5, skb, headerLen(mem, th));
  return finish(hp, key);
}

const headerLen = (bytes: Uint8Array, th: number): number => (bytes[th + 12]! >> 4) << 2;

/** Digest of a segment without data, built in `header`. @kernel tcp_v4_md5_hash_hdr net/ipv4/tcp_ipv4.c */
export function tcpV4Md5HashHdr(
  machine: Machine,
  key: TcpMd5sigKey,
  saddr: number,
  daddr: number,
  header: Uint8Array,
): Uint8Array {
  const hp = tcpSigpoolStart(machine);
  hp.md5.reset();
  hashPseudoheader(hp, hp.md5, saddr, daddr, headerLen(header, 0));
  copyHeader(hp, header, 0, tcphdr.LEN);
  hp.md5.update(hp.scratch, 0, tcphdr.LEN);
  return finish(hp, key);
}
