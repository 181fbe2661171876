/*
 * Netlink: message and attribute headers, flags, families and socket options.
 * Kernel counterpart: include/uapi/linux/netlink.h. RFC 3549. Netlink travels between processes of one
 * machine, so every field is little-endian here, the host order of the machine we are.
 */

// Protocols.
export const NETLINK_ROUTE = 0;
export const NETLINK_UNUSED = 1;
export const NETLINK_USERSOCK = 2;
export const NETLINK_FIREWALL = 3;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_INET_DIAG = 4;
export const NETLINK_NFLOG = 5;
export const NETLINK_XFRM = 6;
export const NETLINK_SELINUX = 7;
export const NETLINK_ISCSI = 8;
export const NETLINK_AUDIT = 9;
export const NETLINK_FIB_LOOKUP = 10;
export const NETLINK_CONNECTOR = 11;
export const NETLINK_NETFILTER = 12;
export const NETLINK_IP6_FW = 13;
export const NETLINK_KOBJECT_UEVENT = 15;
export const NETLINK_GENERIC = 16;
export const NETLINK_SCSITRANSPORT = 18;
export const NETLINK_ECRYPTFS = 19;
export const NETLINK_RDMA = 20;
export const NETLINK_CRYPTO = 21;
export const NETLINK_SMC = 22;
export const MAX_LINKS = 32;

// Message flags; the meaning of the upper byte depends on the kind of request.
export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_ECHO = 0x8;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP_FILTERED = 0x20;
export const NLM_F_ROOT = 0x0100;
export const NLM_F_MATCH = 0x0200;
export const NLM_F_ATOMIC = 0x0400;
export const NLM_F_DUMP = 0x0300;
export const NLM_F_REPLACE = 0x0100;
export const NLM_F_EXCL = 0x0200;
export const NLM_F_CREATE = 0x0400;
export const NLM_F_APPEND = 0x0800;
export const NLM_F_NONREC = 0x0100;
export const NLM_F_BULK = 0x0200;
export const NLM_F_CAPPED = 0x0100;
export const NLM_F_ACK_TLVS = 0x0200;

// Control message types.
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;
export const NLMSG_MIN_TYPE = 16;

export const NLMSG_ALIGNTO = 4;
export const NLMSG_HDRLEN = 16;
export const NLA_ALIGNTO = 4;
export const NLA_HDRLEN = 4;

// Top bits of an attribute type.
export const NLA_F_NESTED = 0x8000;
export const NLA_F_NET_BYTEORDER = 0x4000;
export const NLA_TYPE_MASK = 0x3fff;

// Attributes behind an extended acknowledgement.
export const NLMSGERR_ATTR_UNUSED = 0;
export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_OFFS = 2;
export const NLMSGERR_ATTR_COOKIE = 3;
export const NLMSGERR_ATTR_POLICY = 4;
export const NLMSGERR_ATTR_MISS_TYPE = 5;
export const NLMSGERR_ATTR_MISS_NEST = 6;
export const NLMSGERR_ATTR_MAX = 6;

// Options at level SOL_NETLINK.
export const NETLINK_ADD_MEMBERSHIP = 1;
export const NETLINK_DROP_MEMBERSHIP = 2;
export const NETLINK_PKTINFO = 3;
export const NETLINK_BROADCAST_ERROR = 4;
export const NETLINK_NO_ENOBUFS = 5;
export const NETLINK_RX_RING = 6;
export const NETLINK_TX_RING = 7;
export const NETLINK_LISTEN_ALL_NSID = 8;
export const NETLINK_LIST_MEMBERSHIPS = 9;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
export const NETLINK_GET_STRICT_CHK = 12;

// Kinds of attribute in a policy dump.
export const NL_ATTR_TYPE_INVALID = 0;
export const NL_ATTR_TYPE_FLAG = 1;
export const NL_ATTR_TYPE_U8 = 2;
export const NL_ATTR_TYPE_U16 = 3;
export const NL_ATTR_TYPE_U32 = 4;
export const NL_ATTR_TYPE_U64 = 5;
export const NL_ATTR_TYPE_S8 = 6;
export const NL_ATTR_TYPE_S16 = 7;
export const NL_ATTR_TYPE_S32 = 8;
export const NL_ATTR_TYPE_S64 = 9;
export const NL_ATTR_TYPE_BINARY = 10;
export const NL_ATTR_TYPE_STRING = 11;
export const NL_ATTR_TYPE_NUL_STRING = 12;
export const NL_ATTR_TYPE_NESTED = 13;
export const NL_ATTR_TYPE_NESTED_ARRAY = 14;
export const NL_ATTR_TYPE_BITFIELD32 = 15;
export const NL_ATTR_TYPE_SINT = 16;
export const NL_ATTR_TYPE_UINT = 17;

export const NL_POLICY_TYPE_ATTR_UNSPEC = 0;
export const NL_POLICY_TYPE_ATTR_TYPE = 1;
export const NL_POLICY_TYPE_ATTR_MIN_VALUE_S = 2;
export const NL_POLICY_TYPE_ATTR_MAX_VALUE_S = 3;
export const NL_POLICY_TYPE_ATTR_MIN_VALUE_U = 4;
export const NL_POLICY_TYPE_ATTR_MAX_VALUE_U = 5;
export const NL_POLICY_TYPE_ATTR_MIN_LENGTH = 6;
export const NL_POLICY_TYPE_ATTR_MAX_LENGTH = 7;
export const NL_POLICY_TYPE_ATTR_POLICY_IDX = 8;
export const NL_POLICY_TYPE_ATTR_POLICY_MAXTYPE = 9;
export const NL_POLICY_TYPE_ATTR_BITFIELD32_MASK = 10;
export const NL_POLICY_TYPE_ATTR_PAD = 11;
export const NL_POLICY_TYPE_ATTR_MASK = 12;
export const NL_POLICY_TYPE_ATTR_MAX = 12;

/** Length rounded up to the alignment of messages. */
export const nlmsgAlign = (len: number): number => (len + 3) & ~3;
/** Length rounded up to the alignment of attributes. */
export const nlaAlign = (len: number): number => (len + 3) & ~3;

/*
 * +---------------+---------------+---------------+---------------+
 * |                  length, header included                      |
 * +---------------+---------------+---------------+---------------+
 * |             type              |             flags             |
 * +---------------+---------------+---------------+---------------+
 * |                        sequence number                        |
 * +---------------+---------------+---------------+---------------+
 * |                  port id of the sender                        |
 * +---------------+---------------+---------------+---------------+
 */

/** struct nlmsghdr. */
export const nlmsghdr = {
  LEN: 16,
  len: (v: DataView, o: number): number => v.getUint32(o, true),
  type: (v: DataView, o: number): number => v.getUint16(o + 4, true),
  flags: (v: DataView, o: number): number => v.getUint16(o + 6, true),
  seq: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  pid: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  setLen: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setType: (v: DataView, o: number, x: number): void => v.setUint16(o + 4, x, true),
  setFlags: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x, true),
  setSeq: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setPid: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
} as const;

/** struct nlattr. `type` is without the two flag bits, `rawType` with them. */
export const nlattr = {
  LEN: 4,
  len: (v: DataView, o: number): number => v.getUint16(o, true),
  rawType: (v: DataView, o: number): number => v.getUint16(o + 2, true),
  type: (v: DataView, o: number): number => v.getUint16(o + 2, true) & NLA_TYPE_MASK,
  setLen: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setRawType: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x, true),
} as const;

/** struct nlmsgerr: a negative errno (0 acknowledges), then the header of the request. */
export const nlmsgerr = {
  LEN: 20,
  MSG: 4,
  error: (v: DataView, o: number): number => v.getInt32(o, true),
  setError: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
} as const;

/** struct sockaddr_nl. */
export const sockaddrNl = {
  LEN: 12,
  family: (v: DataView, o: number): number => v.getUint16(o, true),
  pid: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  groups: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setFamily: (v: DataView, o: number, x: number): void => v.setUint16(o, x, true),
  setPid: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setGroups: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
} as const;
