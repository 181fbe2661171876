/*
 * virtio-net: feature bits, control queue and the header in front of every frame.
 * Kernel counterpart: include/uapi/linux/virtio_net.h. Virtio 1.2 section 5.1. All fields little-endian.
 */

// Device id (virtio_ids.h).
export const VIRTIO_ID_NET = 1;

// Feature bit numbers.
export const VIRTIO_NET_F_CSUM = 0;
export const VIRTIO_NET_F_GUEST_CSUM = 1;
export const VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2;
export const VIRTIO_NET_F_MTU = 3;
export const VIRTIO_NET_F_MAC = 5;
export const VIRTIO_NET_F_GUEST_TSO4 = 7;
export const VIRTIO_NET_F_GUEST_TSO6 = 8;
export const VIRTIO_NET_F_GUEST_ECN = 9;
export const VIRTIO_NET_F_GUEST_UFO = 10;
export const VIRTIO_NET_F_HOST_TSO4 = 11;
export const VIRTIO_NET_F_HOST_TSO6 = 12;
export const VIRTIO_NET_F_HOST_ECN = 13;
export const VIRTIO_NET_F_HOST_UFO = 14;
export const VIRTIO_NET_F_MRG_RXBUF = 15;
export const VIRTIO_NET_F_STATUS = 16;
export const VIRTIO_NET_F_CTRL_VQ = 17;
export const VIRTIO_NET_F_CTRL_RX = 18;
export const VIRTIO_NET_F_CTRL_VLAN = 19;
export const VIRTIO_NET_F_CTRL_RX_EXTRA = 20;
export const VIRTIO_NET_F_GUEST_ANNOUNCE = 21;
export const VIRTIO_NET_F_MQ = 22;
export const VIRTIO_NET_F_CTRL_MAC_ADDR = 23;
export const VIRTIO_NET_F_NOTF_COAL = 53;
export const VIRTIO_NET_F_GUEST_USO4 = 54;
export const VIRTIO_NET_F_GUEST_USO6 = 55;
export const VIRTIO_NET_F_HOST_USO = 56;
export const VIRTIO_NET_F_HASH_REPORT = 57;
export const VIRTIO_NET_F_RSS = 60;
export const VIRTIO_NET_F_RSC_EXT = 61;
export const VIRTIO_NET_F_STANDBY = 62;
export const VIRTIO_NET_F_SPEED_DUPLEX = 63;
export const VIRTIO_NET_F_GSO = 6;

// Status bits.
export const VIRTIO_NET_S_LINK_UP = 1;
export const VIRTIO_NET_S_ANNOUNCE = 2;

// virtio_net_hdr.flags
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;
export const VIRTIO_NET_HDR_F_DATA_VALID = 2;
export const VIRTIO_NET_HDR_F_RSC_INFO = 4;
export const VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM = 8;

// virtio_net_hdr.gso_type
export const VIRTIO_NET_HDR_GSO_NONE = 0;
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1;
export const VIRTIO_NET_HDR_GSO_UDP = 3;
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4;
export const VIRTIO_NET_HDR_GSO_UDP_L4 = 5;
export const VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 = 0x20;
export const VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6 = 0x40;
export const VIRTIO_NET_HDR_GSO_ECN = 0x80;

// Receive side scaling.
export const VIRTIO_NET_RSS_HASH_TYPE_IPv4 = 1;
export const VIRTIO_NET_RSS_HASH_TYPE_TCPv4 = 2;
export const VIRTIO_NET_RSS_HASH_TYPE_UDPv4 = 4;
export const VIRTIO_NET_RSS_HASH_TYPE_IPv6 = 8;
export const VIRTIO_NET_RSS_HASH_TYPE_TCPv6 = 16;
export const VIRTIO_NET_RSS_HASH_TYPE_UDPv6 = 32;
export const VIRTIO_NET_RSS_HASH_TYPE_IP_EX = 64;
export const VIRTIO_NET_RSS_HASH_TYPE_TCP_EX = 128;
export const VIRTIO_NET_RSS_HASH_TYPE_UDP_EX = 256;
export const VIRTIO_NET_HASH_REPORT_NONE = 0;
export const VIRTIO_NET_HASH_REPORT_IPv4 = 1;
export const VIRTIO_NET_HASH_REPORT_TCPv4 = 2;
export const VIRTIO_NET_HASH_REPORT_UDPv4 = 3;
export const VIRTIO_NET_HASH_REPORT_IPv6 = 4;
export const VIRTIO_NET_HASH_REPORT_TCPv6 = 5;
export const VIRTIO_NET_HASH_REPORT_UDPv6 = 6;
export const VIRTIO_NET_HASH_REPORT_IPv6_EX = 7;
export const VIRTIO_NET_HASH_REPORT_TCPv6_EX = 8;
export const VIRTIO_NET_HASH_REPORT_UDPv6_EX = 9;

// Control queue.
export const VIRTIO_NET_OK = 0;
export const VIRTIO_NET_ERR = 1;
export const VIRTIO_NET_CTRL_RX = 0;
export const VIRTIO_NET_CTRL_RX_PROMISC = 0;
export const VIRTIO_NET_CTRL_RX_ALLMULTI = 1;
export const VIRTIO_NET_CTRL_RX_ALLUNI = 2;
export const VIRTIO_NET_CTRL_RX_NOMULTI = 3;
export const VIRTIO_NET_CTRL_RX_NOUNI = 4;
export const VIRTIO_NET_CTRL_RX_NOBCAST = 5;
export const VIRTIO_NET_CTRL_MAC = 1;
export const VIRTIO_NET_CTRL_MAC_TABLE_SET = 0;
export const VIRTIO_NET_CTRL_MAC_ADDR_SET = 1;
export const VIRTIO_NET_CTRL_VLAN = 2;
export const VIRTIO_NET_CTRL_VLAN_ADD = 0;
export const VIRTIO_NET_CTRL_VLAN_DEL = 1;
export const VIRTIO_NET_CTRL_ANNOUNCE = 3;
export const VIRTIO_NET_CTRL_ANNOUNCE_ACK = 0;
export const VIRTIO_NET_CTRL_MQ = 4;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET = 0;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN = 1;
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MAX = 32768;
export const VIRTIO_NET_CTRL_MQ_RSS_CONFIG = 1;
export const VIRTIO_NET_CTRL_MQ_HASH_CONFIG = 2;
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5;
export const VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET = 0;
export const VIRTIO_NET_CTRL_NOTF_COAL = 6;
export const VIRTIO_NET_CTRL_NOTF_COAL_TX_SET = 0;
export const VIRTIO_NET_CTRL_NOTF_COAL_RX_SET = 1;

// struct virtio_net_config: where the device's own configuration has what.
export const VIRTIO_NET_CONFIG_MAC = 0;
export const VIRTIO_NET_CONFIG_STATUS = 6;
export const VIRTIO_NET_CONFIG_MAX_VIRTQUEUE_PAIRS = 8;
export const VIRTIO_NET_CONFIG_MTU = 10;
export const VIRTIO_NET_CONFIG_SPEED = 12;
export const VIRTIO_NET_CONFIG_DUPLEX = 16;
export const VIRTIO_NET_CONFIG_SIZEOF = 24;

/*
 * +---------------+---------------+---------------+---------------+
 * |     flags     |   gso_type    |            hdr_len            |
 * +---------------+---------------+---------------+---------------+
 * |            gso_size           |          csum_start           |
 * +---------------+---------------+---------------+---------------+
 * |          csum_offset          |  num_buffers (mergeable, v1)  |
 * +---------------+---------------+---------------+---------------+
 */

/** struct virtio_net_hdr, 10 octets; V1_LEN with num_buffers. csumOffset counts from csumStart. */
export const virtioNetHdr = {
  LEN: 10,
  V1_LEN: 12,
  flags: (v: DataView, o: number): number => v.getUint8(o),
  gsoType: (v: DataView, o: number): number => v.getUint8(o + 1),
  hdrLen: (v: DataView, o: number): number => v.getUint16(o + 2, true),
  gsoSize: (v: DataView, o: number): number => v.getUint16(o + 4, true),
  csumStart: (v: DataView, o: number): number => v.getUint16(o + 6, true),
  csumOffset: (v: DataView, o: number): number => v.getUint16(o + 8, true),
  numBuffers: (v: DataView, o: number): number => v.getUint16(o + 10, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setGsoType: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setHdrLen: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x, true),
  setGsoSize: (v: DataView, o: number, x: number): void => v.setUint16(o + 4, x, true),
  setCsumStart: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x, true),
  setCsumOffset: (v: DataView, o: number, x: number): void => v.setUint16(o + 8, x, true),
  setNumBuffers: (v: DataView, o: number, x: number): void => v.setUint16(o + 10, x, true),
} as const;
