/**
 * Offload state between a packet and the header that virtio-net, tun and packet sockets put before
 * a frame. Counterpart of include/linux/virtio_net.h. The header is little-endian.
 *
 * What comes in is the word of somebody outside: it is checked, and marked SKB_GSO_DODGY.
 */
import {
  CHECKSUM_PARTIAL,
  CHECKSUM_UNNECESSARY,
  SKB_GSO_DODGY,
  SKB_GSO_TCP_ECN,
  SKB_GSO_TCPV4,
  SKB_GSO_TCPV6,
  SKB_GSO_UDP_L4,
  type SkBuff,
  skbHeadlen,
  skbIsGso,
} from '#include/linux/skbuff.ts';
import { EINVAL } from '#uapi/errno.ts';
import {
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
  virtioNetHdr,
} from '#uapi/virtio_net.ts';

/** SKB_GSO_* of a header's gso_type; -1: unknown. */
function gsoTypeOf(hdrType: number): number {
  const ecn = (hdrType & VIRTIO_NET_HDR_GSO_ECN) !== 0 ? SKB_GSO_TCP_ECN : 0;
  switch (hdrType & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
      return SKB_GSO_TCPV4 | ecn;
    case VIRTIO_NET_HDR_GSO_TCPV6:
      return SKB_GSO_TCPV6 | ecn;
    case VIRTIO_NET_HDR_GSO_UDP_L4:
      return SKB_GSO_UDP_L4;
    default:
      return -1;
  }
}

/** What setting up a partial checksum takes: skb_partial_csum_set() and pskb_may_pull(). */
export interface VirtioNetCsumOps {
  mayPull(skb: SkBuff, len: number): boolean;
  partialCsumSet(skb: SkBuff, start: number, off: number): boolean;
}

/**
 * Takes checksum and segmentation from the header at `hdr` of `v`; `data` is at the link header
 * (`linkLen` bytes, 0 for none). 0 or -EINVAL.
 * @kernel virtio_net_hdr_to_skb include/linux/virtio_net.h
 */
export function virtioNetHdrToSkb(
  skb: SkBuff,
  v: DataView,
  hdr: number,
  linkLen: number,
  ops: VirtioNetCsumOps,
): number {
  const hdrGso = virtioNetHdr.gsoType(v, hdr);
  const flags = virtioNetHdr.flags(v, hdr);
  let gsoType = 0;
  let thlen = 0;
  if (hdrGso !== VIRTIO_NET_HDR_GSO_NONE) {
    gsoType = gsoTypeOf(hdrGso);
    if (gsoType < 0 || virtioNetHdr.gsoSize(v, hdr) === 0) return -EINVAL;
    thlen = (gsoType & SKB_GSO_UDP_L4) !== 0 ? 8 : 20;
  }
  const nhMinLen = (gsoType & SKB_GSO_TCPV6) !== 0 ? 40 : 20;
  if ((flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0) {
    const start = virtioNetHdr.csumStart(v, hdr);
    const off = virtioNetHdr.csumOffset(v, hdr);
    const needed = start + Math.max(thlen, off + 2);
    if (!ops.mayPull(skb, needed) || !ops.partialCsumSet(skb, start, off)) return -EINVAL;
    if (gsoType !== 0 && (start < linkLen + nhMinLen || !ops.mayPull(skb, start + thlen))) {
      return -EINVAL;
    }
  } else if (gsoType !== 0) {
    // Segments without a checksum to fill in: nobody makes these; the headers would have to be guessed.
    return -EINVAL;
  } else if ((flags & VIRTIO_NET_HDR_F_DATA_VALID) !== 0) {
    skb.ipSummed = CHECKSUM_UNNECESSARY;
  }
  if (gsoType === 0) return 0;
  const gsoSize = virtioNetHdr.gsoSize(v, hdr);
  // Something must be there to be cut.
  if (skb.len - (virtioNetHdr.csumStart(v, hdr) + thlen) <= gsoSize) return 0;
  skb.shinfo.gsoSize = gsoSize;
  skb.shinfo.gsoType = gsoType | SKB_GSO_DODGY;
  skb.shinfo.gsoSegs = 0;
  return 0;
}

/**
 * Writes the header of a packet to `hdr` of `v`. `data` is at the link header. 0, or -EINVAL for a
 * packet that no such header can describe.
 * @kernel virtio_net_hdr_from_skb include/linux/virtio_net.h
 */
export function virtioNetHdrFromSkb(
  skb: SkBuff,
  v: DataView,
  hdr: number,
  hasDataValid: boolean,
): number {
  const { shinfo } = skb;
  let flags = 0;
  let type = VIRTIO_NET_HDR_GSO_NONE;
  virtioNetHdr.setHdrLen(v, hdr, 0);
  virtioNetHdr.setGsoSize(v, hdr, 0);
  virtioNetHdr.setCsumStart(v, hdr, 0);
  virtioNetHdr.setCsumOffset(v, hdr, 0);
  if (skbIsGso(skb)) {
    virtioNetHdr.setHdrLen(v, hdr, Math.min(skbHeadlen(skb), 0xffff));
    virtioNetHdr.setGsoSize(v, hdr, shinfo.gsoSize);
    if ((shinfo.gsoType & SKB_GSO_TCPV4) !== 0) type = VIRTIO_NET_HDR_GSO_TCPV4;
    else if ((shinfo.gsoType & SKB_GSO_TCPV6) !== 0) type = VIRTIO_NET_HDR_GSO_TCPV6;
    else if ((shinfo.gsoType & SKB_GSO_UDP_L4) !== 0) type = VIRTIO_NET_HDR_GSO_UDP_L4;
    else return -EINVAL;
    if ((shinfo.gsoType & SKB_GSO_TCP_ECN) !== 0) type |= VIRTIO_NET_HDR_GSO_ECN;
  }
  if (skb.ipSummed === CHECKSUM_PARTIAL) {
    flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    virtioNetHdr.setCsumStart(v, hdr, skb.csumStart - skb.data);
    virtioNetHdr.setCsumOffset(v, hdr, skb.csumOffset);
  } else if (hasDataValid && skb.ipSummed === CHECKSUM_UNNECESSARY) {
    flags = VIRTIO_NET_HDR_F_DATA_VALID;
  }
  virtioNetHdr.setFlags(v, hdr, flags);
  virtioNetHdr.setGsoType(v, hdr, type);
  return 0;
}
