/*
 * Address and protocol families, socket types, options at level SOL_SOCKET, message flags.
 * Kernel counterparts: include/linux/socket.h, include/linux/net.h, include/uapi/asm-generic/socket.h.
 * Numbers are those of x86-64.
 */

// Address families.
export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_LOCAL = 1;
export const AF_INET = 2;
export const AF_AX25 = 3;
export const AF_IPX = 4;
export const AF_APPLETALK = 5;
export const AF_NETROM = 6;
export const AF_BRIDGE = 7;
export const AF_ATMPVC = 8;
export const AF_X25 = 9;
export const AF_INET6 = 10;
export const AF_ROSE = 11;
export const AF_DECnet = 12;
export const AF_NETBEUI = 13;
export const AF_SECURITY = 14;
export const AF_KEY = 15;
export const AF_NETLINK = 16;
export const AF_ROUTE = 16;
export const AF_PACKET = 17;
export const AF_ASH = 18;
export const AF_ECONET = 19;
export const AF_ATMSVC = 20;
export const AF_RDS = 21;
export const AF_SNA = 22;
export const AF_IRDA = 23;
export const AF_PPPOX = 24;
export const AF_WANPIPE = 25;
export const AF_LLC = 26;
export const AF_IB = 27;
export const AF_MPLS = 28;
export const AF_CAN = 29;
export const AF_TIPC = 30;
export const AF_BLUETOOTH = 31;
export const AF_IUCV = 32;
export const AF_RXRPC = 33;
export const AF_ISDN = 34;
export const AF_PHONET = 35;
export const AF_IEEE802154 = 36;
export const AF_CAIF = 37;
export const AF_ALG = 38;
export const AF_NFC = 39;
export const AF_VSOCK = 40;
export const AF_KCM = 41;
export const AF_QIPCRTR = 42;
export const AF_SMC = 43;
export const AF_XDP = 44;
export const AF_MCTP = 45;
export const AF_MAX = 46;

// Protocol families: the same numbers, the ones in use here.
export const PF_UNSPEC = 0;
export const PF_UNIX = 1;
export const PF_LOCAL = 1;
export const PF_INET = 2;
export const PF_BRIDGE = 7;
export const PF_INET6 = 10;
export const PF_KEY = 15;
export const PF_NETLINK = 16;
export const PF_ROUTE = 16;
export const PF_PACKET = 17;
export const PF_CAN = 29;
export const PF_TIPC = 30;
export const PF_ALG = 38;
export const PF_VSOCK = 40;
export const PF_SMC = 43;
export const PF_XDP = 44;
export const PF_MCTP = 45;

// Types, and the flags that may be or-ed into the type argument.
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_RDM = 4;
export const SOCK_SEQPACKET = 5;
export const SOCK_DCCP = 6;
export const SOCK_PACKET = 10;
export const SOCK_TYPE_MASK = 0xf;
export const SOCK_NONBLOCK = 0x800;
export const SOCK_CLOEXEC = 0x80000;

// Option levels.
export const SOL_IP = 0;
export const SOL_SOCKET = 1;
export const SOL_TCP = 6;
export const SOL_UDP = 17;
export const SOL_IPV6 = 41;
export const SOL_ICMPV6 = 58;
export const SOL_SCTP = 132;
export const SOL_UDPLITE = 136;
export const SOL_RAW = 255;
export const SOL_PACKET = 263;
export const SOL_NETLINK = 270;
export const SOL_TIPC = 271;
export const SOL_ALG = 279;
export const SOL_TLS = 282;
export const SOL_XDP = 283;
export const SOL_MPTCP = 284;
export const SOL_SMC = 286;
export const SOL_VSOCK = 287;

// Options at level SOL_SOCKET.
export const SO_DEBUG = 1;
export const SO_REUSEADDR = 2;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_DONTROUTE = 5;
export const SO_BROADCAST = 6;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_KEEPALIVE = 9;
export const SO_OOBINLINE = 10;
export const SO_NO_CHECK = 11;
export const SO_PRIORITY = 12;
export const SO_LINGER = 13;
export const SO_BSDCOMPAT = 14;
export const SO_REUSEPORT = 15;
export const SO_PASSCRED = 16;
export const SO_PEERCRED = 17;
export const SO_RCVLOWAT = 18;
export const SO_SNDLOWAT = 19;
export const SO_RCVTIMEO_OLD = 20;
export const SO_SNDTIMEO_OLD = 21;
export const SO_SECURITY_AUTHENTICATION = 22;
export const SO_SECURITY_ENCRYPTION_TRANSPORT = 23;
export const SO_SECURITY_ENCRYPTION_NETWORK = 24;
export const SO_BINDTODEVICE = 25;
export const SO_ATTACH_FILTER = 26;
export const SO_DETACH_FILTER = 27;
export const SO_GET_FILTER = 26;
export const SO_PEERNAME = 28;
export const SO_ACCEPTCONN = 30;
export const SO_PEERSEC = 31;
export const SO_PASSSEC = 34;
export const SO_MARK = 36;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
export const SO_RXQ_OVFL = 40;
export const SO_WIFI_STATUS = 41;
export const SO_PEEK_OFF = 42;
export const SO_NOFCS = 43;
export const SO_LOCK_FILTER = 44;
export const SO_SELECT_ERR_QUEUE = 45;
export const SO_BUSY_POLL = 46;
export const SO_MAX_PACING_RATE = 47;
export const SO_BPF_EXTENSIONS = 48;
export const SO_INCOMING_CPU = 49;
export const SO_ATTACH_BPF = 50;
export const SO_DETACH_BPF = 27;
export const SO_ATTACH_REUSEPORT_CBPF = 51;
export const SO_ATTACH_REUSEPORT_EBPF = 52;
export const SO_CNX_ADVICE = 53;
export const SO_MEMINFO = 55;
export const SO_INCOMING_NAPI_ID = 56;
export const SO_COOKIE = 57;
export const SO_PEERGROUPS = 59;
export const SO_ZEROCOPY = 60;
export const SO_TXTIME = 61;
export const SO_BINDTOIFINDEX = 62;
export const SO_TIMESTAMP_OLD = 29;
export const SO_TIMESTAMPNS_OLD = 35;
export const SO_TIMESTAMPING_OLD = 37;
export const SO_TIMESTAMP_NEW = 63;
export const SO_TIMESTAMPNS_NEW = 64;
export const SO_TIMESTAMPING_NEW = 65;
export const SO_RCVTIMEO_NEW = 66;
export const SO_SNDTIMEO_NEW = 67;
export const SO_DETACH_REUSEPORT_BPF = 68;
export const SO_PREFER_BUSY_POLL = 69;
export const SO_BUSY_POLL_BUDGET = 70;
export const SO_NETNS_COOKIE = 71;
export const SO_BUF_LOCK = 72;
export const SO_RESERVE_MEM = 73;
export const SO_TXREHASH = 74;
export const SO_RCVMARK = 75;

export const SO_PASSPIDFD = 76;
export const SO_PEERPIDFD = 77;
export const SO_DEVMEM_LINEAR = 78;
export const SO_DEVMEM_DMABUF = 79;
export const SO_DEVMEM_DONTNEED = 80;
export const SCM_TS_OPT_ID = 81;
export const SO_RCVPRIORITY = 82;
export const SO_PASSRIGHTS = 83;
export const SO_INQ = 84;

// A 64-bit time_t: the plain names are the old ones.
export const SO_TIMESTAMP = 29;
export const SO_TIMESTAMPNS = 35;
export const SO_TIMESTAMPING = 37;
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;

// Control message types.
export const SCM_RIGHTS = 1;
export const SCM_CREDENTIALS = 2;
export const SCM_SECURITY = 3;
export const SCM_PIDFD = 4;
export const SCM_TIMESTAMP = 29;
export const SCM_TIMESTAMPNS = 35;
export const SCM_TIMESTAMPING = 37;
export const SCM_WIFI_STATUS = 41;
export const SCM_TIMESTAMPING_OPT_STATS = 54;
export const SCM_TIMESTAMPING_PKTINFO = 58;
export const SCM_TXTIME = 61;
export const SCM_DEVMEM_LINEAR = 78;
export const SCM_DEVMEM_DMABUF = 79;
export const SCM_INQ = 84;

// Values of SO_BUF_LOCK and SO_TXREHASH.
export const SOCK_SNDBUF_LOCK = 1;
export const SOCK_RCVBUF_LOCK = 2;
export const SOCK_BUF_LOCK_MASK = 3;
export const SOCK_TXREHASH_DEFAULT = 255;
export const SOCK_TXREHASH_DISABLED = 0;
export const SOCK_TXREHASH_ENABLED = 1;

// Floors of SO_SNDBUF and SO_RCVBUF in octets, after doubling (x86-64, include/net/sock.h).
export const SOCK_MIN_SNDBUF = 4608;
export const SOCK_MIN_RCVBUF = 2304;

// Message flags. The internal ones never arrive from a caller.
export const MSG_OOB = 0x1;
export const MSG_PEEK = 0x2;
export const MSG_DONTROUTE = 0x4;
export const MSG_TRYHARD = 0x4;
export const MSG_CTRUNC = 0x8;
export const MSG_PROBE = 0x10; // do not send: only probe the path (MTU)
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_EOR = 0x80;
export const MSG_WAITALL = 0x100;
export const MSG_FIN = 0x200;
export const MSG_SYN = 0x400;
export const MSG_CONFIRM = 0x800; // the neighbour answered: keep its entry fresh
export const MSG_RST = 0x1000;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_MORE = 0x8000;
export const MSG_WAITFORONE = 0x10000;
export const MSG_SENDPAGE_NOPOLICY = 0x10000;
export const MSG_BATCH = 0x40000;
export const MSG_EOF = 0x200;
export const MSG_NO_SHARED_FRAGS = 0x80000;
export const MSG_SENDPAGE_DECRYPTED = 0x100000;
export const MSG_SOCK_DEVMEM = 0x2000000;
export const MSG_ZEROCOPY = 0x4000000;
export const MSG_SPLICE_PAGES = 0x8000000;
export const MSG_FASTOPEN = 0x20000000;
export const MSG_CMSG_CLOEXEC = 0x40000000;
export const MSG_CMSG_COMPAT = 0;

// shutdown(2) arguments, and the bits of sk.shutdown.
export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;
export const RCV_SHUTDOWN = 1;
export const SEND_SHUTDOWN = 2;
export const SHUTDOWN_MASK = 3;

// socket_state of struct socket.
export const SS_FREE = 0;
export const SS_UNCONNECTED = 1;
export const SS_CONNECTING = 2;
export const SS_CONNECTED = 3;
export const SS_DISCONNECTING = 4;

export const SOMAXCONN = 4096;
export const SCM_MAX_FD = 253;
export const UIO_MAXIOV = 1024;
export const UIO_FASTIOV = 8;

/** struct linger: SO_LINGER, in seconds. */
export const linger = {
  LEN: 8,
  onoff: (v: DataView, o: number): number => v.getInt32(o, true),
  linger: (v: DataView, o: number): number => v.getInt32(o + 4, true),
  setOnoff: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
  setLinger: (v: DataView, o: number, x: number): void => v.setInt32(o + 4, x, true),
} as const;

/** struct ucred: SCM_CREDENTIALS, SO_PEERCRED. */
export const ucred = {
  LEN: 12,
  pid: (v: DataView, o: number): number => v.getInt32(o, true),
  uid: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  gid: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setPid: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
  setUid: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setGid: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
} as const;
