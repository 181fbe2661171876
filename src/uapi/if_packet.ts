/*
 * Packet sockets: addresses, options, ring and auxiliary data.
 * Kernel counterpart: include/uapi/linux/if_packet.h.
 */

// Packet types (`skb.pktType`, sll_pkttype).
export const PACKET_HOST = 0;
export const PACKET_BROADCAST = 1;
export const PACKET_MULTICAST = 2;
export const PACKET_OTHERHOST = 3;
export const PACKET_OUTGOING = 4;
export const PACKET_LOOPBACK = 5;
export const PACKET_USER = 6;
export const PACKET_KERNEL = 7;
export const PACKET_FASTROUTE = 6;

// Options at level SOL_PACKET.
export const PACKET_ADD_MEMBERSHIP = 1;
export const PACKET_DROP_MEMBERSHIP = 2;
export const PACKET_RECV_OUTPUT = 3;
export const PACKET_RX_RING = 5;
export const PACKET_STATISTICS = 6;
export const PACKET_COPY_THRESH = 7;
export const PACKET_AUXDATA = 8;
export const PACKET_ORIGDEV = 9;
export const PACKET_VERSION = 10;
export const PACKET_HDRLEN = 11;
export const PACKET_RESERVE = 12;
export const PACKET_TX_RING = 13;
export const PACKET_LOSS = 14;
export const PACKET_VNET_HDR = 15;
export const PACKET_TX_TIMESTAMP = 16;
export const PACKET_TIMESTAMP = 17;
export const PACKET_FANOUT = 18;
export const PACKET_TX_HAS_OFF = 19;
export const PACKET_QDISC_BYPASS = 20;
export const PACKET_ROLLOVER_STATS = 21;
export const PACKET_FANOUT_DATA = 22;
export const PACKET_IGNORE_OUTGOING = 23;

export const PACKET_VNET_HDR_SZ = 24;

// Fan-out modes and flags.
export const PACKET_FANOUT_HASH = 0x0;
export const PACKET_FANOUT_LB = 0x1;
export const PACKET_FANOUT_CPU = 0x2;
export const PACKET_FANOUT_ROLLOVER = 0x3;
export const PACKET_FANOUT_RND = 0x4;
export const PACKET_FANOUT_QM = 0x5;
export const PACKET_FANOUT_CBPF = 0x6;
export const PACKET_FANOUT_EBPF = 0x7;
export const PACKET_FANOUT_FLAG_ROLLOVER = 0x1000;
export const PACKET_FANOUT_FLAG_UNIQUEID = 0x2000;
export const PACKET_FANOUT_FLAG_DEFRAG = 0x8000;

// Versions of the ring (PACKET_VERSION).
export const TPACKET_V1 = 0;
export const TPACKET_V2 = 1;
export const TPACKET_V3 = 2;

// Memberships.
export const PACKET_MR_MULTICAST = 0;
export const PACKET_MR_PROMISC = 1;
export const PACKET_MR_ALLMULTI = 2;
export const PACKET_MR_UNICAST = 3;

// tp_status.
export const TP_STATUS_KERNEL = 0x0;
export const TP_STATUS_USER = 0x1;
export const TP_STATUS_COPY = 0x2;
export const TP_STATUS_LOSING = 0x4;
export const TP_STATUS_CSUMNOTREADY = 0x8;
export const TP_STATUS_VLAN_VALID = 0x10;
export const TP_STATUS_BLK_TMO = 0x20;
export const TP_STATUS_VLAN_TPID_VALID = 0x40;
export const TP_STATUS_CSUM_VALID = 0x80;
export const TP_STATUS_AVAILABLE = 0x0;
export const TP_STATUS_SEND_REQUEST = 0x1;
export const TP_STATUS_SENDING = 0x2;
export const TP_STATUS_WRONG_FORMAT = 0x4;
export const TP_STATUS_TS_SOFTWARE = 0x20000000;
export const TP_STATUS_TS_SYS_HARDWARE = 0x40000000;
export const TP_STATUS_TS_RAW_HARDWARE = 0x80000000;
export const TP_FT_REQ_FILL_RXHASH = 0x1;

/** struct sockaddr_ll. The link-layer address is `halen` octets at ADDR. */
export const sockaddrLl = {
  LEN: 20,
  ADDR: 12,
  family: (v: DataView, o: number): number => v.getUint16(o, true),
  protocol: (v: DataView, o: number): number => v.getUint16(o + 2),
  ifindex: (v: DataView, o: number): number => v.getInt32(o + 4, true),
  hatype: (v: DataView, o: number): number => v.getUint16(o + 8, true),
  pkttype: (v: DataView, o: number): number => v.getUint8(o + 10),
  halen: (v: DataView, o: number): number => v.getUint8(o + 11),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setProtocol: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setIfindex: (v: DataView, o: number, x: number): void => v.setInt32(o + 4, x, true),
  setHatype: (v: DataView, o: number, x: number): void => v.setUint16(o + 8, x, true),
  setPkttype: (v: DataView, o: number, x: number): void => v.setUint8(o + 10, x),
  setHalen: (v: DataView, o: number, x: number): void => v.setUint8(o + 11, x),
} as const;

/** struct tpacket_auxdata: the control message of PACKET_AUXDATA. */
export const tpacketAuxdata = {
  LEN: 20,
  status: (v: DataView, o: number): number => v.getUint32(o, true),
  len: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  snaplen: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  mac: (v: DataView, o: number): number => v.getUint16(o + 12, true),
  net: (v: DataView, o: number): number => v.getUint16(o + 14, true),
  vlanTci: (v: DataView, o: number): number => v.getUint16(o + 16, true),
  vlanTpid: (v: DataView, o: number): number => v.getUint16(o + 18, true),
  setStatus: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setLen: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setSnaplen: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setMac: (v: DataView, o: number, x: number): void => v.setUint16(o + 12, x, true),
  setNet: (v: DataView, o: number, x: number): void => v.setUint16(o + 14, x, true),
  setVlanTci: (v: DataView, o: number, x: number): void => v.setUint16(o + 16, x, true),
  setVlanTpid: (v: DataView, o: number, x: number): void => v.setUint16(o + 18, x, true),
} as const;

/** struct tpacket_stats: PACKET_STATISTICS; reading resets it. */
export const tpacketStats = {
  LEN: 8,
  packets: (v: DataView, o: number): number => v.getUint32(o, true),
  drops: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  setPackets: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setDrops: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
} as const;

/** struct packet_mreq: PACKET_ADD_MEMBERSHIP; the address is `alen` octets at ADDRESS. */
export const packetMreq = {
  LEN: 16,
  ADDRESS: 8,
  ifindex: (v: DataView, o: number): number => v.getInt32(o, true),
  type: (v: DataView, o: number): number => v.getUint16(o + 4, true),
  alen: (v: DataView, o: number): number => v.getUint16(o + 6, true),
  setIfindex: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
  setType: (v: DataView, o: number, x: number): void => v.setUint16(o + 4, x, true),
  setAlen: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x, true),
} as const;
