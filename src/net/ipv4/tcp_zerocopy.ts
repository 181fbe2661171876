/**
 * Receiving from a stream without copying: the program gets the pages that the bytes came in, to read,
 * and gives them back with munmap().
 *
 * Counterpart of TCP_ZEROCOPY_RECEIVE in net/ipv4/tcp.c. Linux can only map whole pages that a packet
 * fills; here any part of a packet will do, so there is no remainder to be copied.
 */
import { DEVICE_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbHeadlen } from '#include/linux/skbuff.ts';
import { sockRpsRecordFlow } from '#include/net/rps.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Task } from '#kernel/sched/task.ts';
import { doMmap, doMunmap, vmInsertPages } from '#mm/mmap.ts';
import { lockSock, releaseSock } from '#net/core/sock.ts';
import { nothingToSplice, tcpReadSock } from '#net/ipv4/tcp_splice.ts';
import { sockfdLookup } from '#net/socket.ts';
import { EINVAL, EOPNOTSUPP } from '#uapi/errno.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';

/** Maps `len` bytes of a packet from `offset` on, a piece for each of its parts. @kernel tcp_zerocopy_receive net/ipv4/tcp.c */
function mapParts(task: Task, skb: SkBuff, offset: number, len: number, pages: Uint8Array[]): void {
  let at = offset;
  let left = len;
  /** A part of `size` bytes at `addr`; its begin is how far `at` is behind it. */
  const part = (addr: number, size: number): void => {
    if (at >= size) {
      at -= size;
      return;
    }
    const n = Math.min(size - at, left);
    if (n > 0) pages.push(vmInsertPages(task, addr + at, n));
    left -= n;
    at = 0;
  };
  part(skb.data, skbHeadlen(skb));
  const { shinfo } = skb;
  for (let i = 0; i < shinfo.nrFrags && left > 0; i++) {
    const addr = (shinfo.fragPage[i] as number) + (shinfo.fragOffset[i] as number);
    part(addr, shinfo.fragSize[i] as number);
  }
  for (let frag = shinfo.fragList; frag !== null && left > 0; frag = frag.next) {
    if (at >= frag.len) {
      at -= frag.len;
      continue;
    }
    const n = Math.min(frag.len - at, left);
    mapParts(task, frag, at, n, pages);
    left -= n;
    at = 0;
  }
}

/**
 * Appends up to `max` bytes of a connection to `pages`, in order. Bytes, 0 at the end of the stream or
 * before urgent data, or a negative errno; -EAGAIN when there is nothing yet. The memory is not to be
 * written to: the sender, or a tap, may still have the same packet.
 * @kernel tcp_zerocopy_receive net/ipv4/tcp.c
 */
function doRecvPages(task: Task, fd: number, max: number, pages: Uint8Array[]): number {
  if (!Number.isInteger(max) || max < 0) return -EINVAL;
  const sock = sockfdLookup(task, fd);
  if (typeof sock === 'number') return sock;
  const { sk } = sock;
  if (sk === null || sk.skProtocol !== IPPROTO_TCP) return -EOPNOTSUPP;
  sockRpsRecordFlow(sk);
  let left = max;
  lockSock(sk);
  const ret = tcpReadSock(sk, (skb, offset, len) => {
    const n = Math.min(len, left);
    if (n > 0) mapParts(task, skb, offset, n, pages);
    left -= n;
    return n;
  });
  const result = ret !== 0 || max === 0 ? ret : nothingToSplice(sk, true);
  releaseSock(sk);
  return result;
}

function tcpZerocopyInit({ syscalls }: Machine): number {
  syscalls.mmap = doMmap;
  syscalls.munmap = doMunmap;
  syscalls.recvPages = doRecvPages;
  return 0;
}

export const tcpZerocopyModule: KernelModule = {
  name: 'tcp_zerocopy',
  config: 'CONFIG_MMU',
  depends: [],
  level: DEVICE_INITCALL,
  init: tcpZerocopyInit,
  exit: null,
};
