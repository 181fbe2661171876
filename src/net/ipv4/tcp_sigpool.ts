/**
 * Digests over packets: what MD5 signatures and the authentication option have in common.
 *
 * Counterpart: net/ipv4/tcp_sigpool.c. Linux keeps crypto requests for each CPU; here one set of
 * contexts a machine serves, since nothing interrupts a digest.
 */
import { type SkBuff, skbHeadlen } from '#include/linux/skbuff.ts';
import { TcpSigpool } from '#include/net/tcp_auth.ts';
import type { Machine } from '#kernel/machine.ts';
import { mem, view } from '#mm/memory.ts';
import { IPPROTO_TCP } from '#uapi/in.ts';
import { tcphdr } from '#uapi/tcp.ts';

/** A digest or code in the making. */
export interface SigHash {
  readonly digestSize: number;
  reset(): void;
  update(bytes: Uint8Array, at: number, len: number): void;
  final(out: Uint8Array, at: number): void;
}

/** The machine's contexts. @kernel tcp_sigpool_start net/ipv4/tcp_sigpool.c */
export function tcpSigpoolStart(machine: Machine): TcpSigpool {
  const globals = machine.netGlobals;
  globals.tcpSigpool ??= new TcpSigpool();
  return globals.tcpSigpool;
}

/** Everything of `skb` from `headerLen` octets behind its data. @kernel tcp_sigpool_hash_skb_data net/ipv4/tcp_sigpool.c */
export function tcpSigpoolHashSkbData(hash: SigHash, skb: SkBuff, headerLen: number): void {
  const linear = skbHeadlen(skb) - headerLen;
  if (linear > 0) hash.update(mem, skb.data + headerLen, linear);
  const { shinfo } = skb;
  for (let i = 0; i < shinfo.nrFrags; i++) {
    hash.update(mem, shinfo.fragPage[i]! + shinfo.fragOffset[i]!, shinfo.fragSize[i]!);
  }
  for (let frag = shinfo.fragList; frag !== null; frag = frag.next) {
    tcpSigpoolHashSkbData(hash, frag, 0);
  }
}

/** The pseudo header of a segment of `len` octets. @kernel tcp_v4_md5_hash_headers net/ipv4/tcp_ipv4.c */
export function hashPseudoheader(
  hp: TcpSigpool,
  hash: SigHash,
  saddr: number,
  daddr: number,
  len: number,
): void {
  const v = hp.scratchView;
  v.setUint32(0, saddr);
  v.setUint32(4, daddr);
  v.setUint16(8, IPPROTO_TCP);
  v.setUint16(10, len);
  hash.update(hp.scratch, 0, 12);
}

/** `len` octets of a header with the checksum taken as zero, in the scratch. */
export function copyHeader(hp: TcpSigpool, bytes: Uint8Array, th: number, len: number): void {
  hp.scratch.set(bytes.subarray(th, th + len), 0);
  hp.scratch[16] = 0;
  hp.scratch[17] = 0;
}

/** Octets of the header at `th` with its options. */
export const headerLenAt = (th: number): number => tcphdr.hdrlen(view, th);

/** Are `len` octets of packet memory at `at` those of `digest`? Takes the same time either way. */
export function digestMatches(at: number, digest: Uint8Array, len: number): boolean {
  let diff = 0;
  for (let i = 0; i < len; i++) diff |= mem[at + i]! ^ digest[i]!;
  return diff === 0;
}
