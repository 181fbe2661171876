/**
 * The lines of /proc/net/{udp,raw,icmp}. Counterpart of udp4_seq_show(), raw_seq_show() and
 * ping_v4_seq_show(), which differ in nothing but the bucket.
 */
import { inetSk } from '#include/net/inet_connection_sock.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Sock } from '#include/net/sock.ts';
import type { UdpSock } from '#include/net/udp.ts';
import { udpHashfn, udpTableOf } from '#net/ipv4/udp_table.ts';
import { SOCK_RAW } from '#uapi/socket.ts';

/** Width that every line is padded to. */
const LINE_WIDTH = 127;

const HEADER =
  '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt' +
  '   uid  timeout inode ref pointer drops';

function hex(value: number, width: number): string {
  return (value >>> 0).toString(16).toUpperCase().padStart(width, '0');
}

/** Addresses are shown as the little-endian machine reads them from memory. */
function hexAddr(addr: number): string {
  const swapped =
    ((addr & 0xff) << 24) | ((addr & 0xff00) << 8) | ((addr >>> 8) & 0xff00) | (addr >>> 24);
  return hex(swapped, 8);
}

function dec(value: number, width: number): string {
  return String(value).padStart(width);
}

/** @kernel udp4_format_sock net/ipv4/udp.c */
function formatSock(sk: Sock, bucket: number): string {
  const inet = inetSk(sk);
  const local = `${hexAddr(inet.skcRcvSaddr)}:${hex(inet.inetSport, 4)}`;
  // Raw sockets have no port there, whatever connect() was given.
  const port = sk.skType === SOCK_RAW ? 0 : inet.skcDport;
  const remote = `${hexAddr(inet.skcDaddr)}:${hex(port, 4)}`;
  const queues = `${hex(sk.skWmemAlloc - 1, 8)}:${hex(sk.skRmemAlloc, 8)}`;
  return (
    `${dec(bucket, 5)}: ${local} ${remote} ${hex(sk.skcState, 2)} ${queues} 00:00000000 00000000 ` +
    `${dec(sk.skUid, 5)} ${dec(0, 8)} ${sk.skIno} ${sk.refcnt} 0000000000000000 ${sk.skDrops}`
  );
}

/** The whole file. @kernel udp4_seq_show net/ipv4/udp.c */
export function dgramSeqShow(socks: Iterable<Sock>, bucketOf: (sk: Sock) => number): string {
  let text = `${HEADER.padEnd(LINE_WIDTH)}\n`;
  for (const sk of socks) text += `${formatSock(sk, bucketOf(sk)).padEnd(LINE_WIDTH)}\n`;
  return text;
}

/** All UDP sockets of a namespace, bucket by bucket. */
export function* udpSocks(net: Net): Generator<UdpSock> {
  for (const head of udpTableOf(net).hash) {
    for (let sk = head; sk !== null; sk = sk.skcNext as UdpSock | null) yield sk;
  }
}

/** @kernel udp4_seq_show net/ipv4/udp.c */
export function udp4SeqShow(net: Net): string {
  return dgramSeqShow(udpSocks(net), (sk) => udpHashfn(net, udpTableOf(net), sk.skcNum));
}
