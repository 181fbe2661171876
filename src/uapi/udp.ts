/*
 * UDP: the 8-byte header, socket options and encapsulation kinds.
 * Kernel counterpart: include/uapi/linux/udp.h. RFC 768.
 */

// Options at level SOL_UDP.
export const UDP_CORK = 1;
export const UDP_ENCAP = 100;
export const UDP_NO_CHECK6_TX = 101;
export const UDP_NO_CHECK6_RX = 102;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;
export const UDPLITE_SEND_CSCOV = 10;
export const UDPLITE_RECV_CSCOV = 11;

// Values of UDP_ENCAP.
export const UDP_ENCAP_ESPINUDP_NON_IKE = 1;
export const UDP_ENCAP_ESPINUDP = 2;
export const UDP_ENCAP_L2TPINUDP = 3;
export const UDP_ENCAP_GTP0 = 4;
export const UDP_ENCAP_GTP1U = 5;
export const UDP_ENCAP_RXRPC = 6;
export const TCP_ENCAP_ESPINTCP = 7;
export const UDP_ENCAP_OVPNINUDP = 8;

/*
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |          Source Port          |       Destination Port        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |            Length             |           Checksum            |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */

/**
 * struct udphdr. `len` covers header and data; a checksum of 0 says that there is none.
 * @kernel udphdr include/uapi/linux/udp.h
 */
export const udphdr = {
  LEN: 8,
  source: (v: DataView, o: number): number => v.getUint16(o),
  dest: (v: DataView, o: number): number => v.getUint16(o + 2),
  len: (v: DataView, o: number): number => v.getUint16(o + 4),
  check: (v: DataView, o: number): number => v.getUint16(o + 6),

  setSource: (v: DataView, o: number, x: number): void => v.setUint16(o, x),
  setDest: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x),
  setLen: (v: DataView, o: number, x: number): void => v.setUint16(o + 4, x),
  setCheck: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x),
} as const;
