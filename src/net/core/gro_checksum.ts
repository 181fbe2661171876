/** Checksums of packets that may be merged. Counterpart of that part of include/net/gro.h, for IPv4. */
import { CHECKSUM_PARTIAL, type SkBuff } from '#include/linux/skbuff.ts';
import { csumAdd, csumFold, csumTcpudpNofold } from '#lib/checksum.ts';
import { view } from '#mm/memory.ts';
import { skbGroLen, skbGroOffset } from '#net/core/gro.ts';
import { __skbIncrChecksumUnnecessary } from '#net/core/skbuff_checksum.ts';
import { skbChecksum } from '#net/core/skbuff_data.ts';
import { iphdr } from '#uapi/ip.ts';

/** Sum of the pseudo header of a packet of `len` octets behind IP. */
export function inetPseudoSum(iph: number, len: number, proto: number): number {
  return csumTcpudpNofold(iphdr.saddr(view, iph), iphdr.daddr(view, iph), len, proto, 0);
}

/** Is the sum of what follows the IP header good? @kernel skb_gro_checksum_validate include/net/gro.h */
export function skbGroChecksumValidate(skb: SkBuff, proto: number): boolean {
  const cb = skb.groCb;
  if (skb.ipSummed !== CHECKSUM_PARTIAL && cb.csumCnt === 0) {
    const psum = inetPseudoSum(skb.data + cb.networkOffset, skbGroLen(skb), proto);
    const known = cb.csumValid && csumFold(csumAdd(psum, cb.csum)) === 0;
    if (!known) {
      const sum = skbChecksum(skb, skbGroOffset(skb), skbGroLen(skb), 0);
      if (csumFold(csumAdd(psum, sum)) !== 0) return false;
      cb.csum = sum;
      cb.csumValid = true;
    }
  }
  // From here on nobody need look at it again.
  if (cb.csumCnt > 0) cb.csumCnt--;
  else if (skb.ipSummed !== CHECKSUM_PARTIAL) __skbIncrChecksumUnnecessary(skb);
  return true;
}
