/**
 * What net/ keeps once per machine: in Linux these are file-scope variables of net/core/dev.c,
 * net/socket.c, net/ipv4/protocol.c and others.
 */

import type { IpMcList } from '#include/linux/igmp.ts';
import type { InetDiagHandler } from '#include/linux/inet_diag.ts';
import type { InDevice } from '#include/linux/inetdevice.ts';
import { Msghdr, type NetProtoFamily, type ProtoOps } from '#include/linux/net.ts';
import type { NapiStruct, NetDevice, PacketType, SoftnetData } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SkbuffCache } from '#include/linux/skbuff.ts';
import type { SockDiagHandler } from '#include/linux/sock_diag.ts';
import {
  TcpOptionsReceived,
  TcpRecvState,
  type TcpSacktagState,
  type TcpSock,
} from '#include/linux/tcp.ts';
import { TcpRare } from '#include/linux/tcp_rare.ts';
import type { DstEntry, DstOps } from '#include/net/dst.ts';
import { Flowi4 } from '#include/net/flow.ts';
import { FlowKeys } from '#include/net/flow_dissector.ts';
import type { GenlFamily } from '#include/net/genetlink.ts';
import type { NetOffload, PacketOffload } from '#include/net/gro.ts';
import type { RequestSock } from '#include/net/inet_connection_sock.ts';
import type { InetHashinfo } from '#include/net/inet_hashtables.ts';
import type { IpOptions } from '#include/net/ip.ts';
import type { FibConfig, FibExtAck, FibInfo, FibResult, Rtable } from '#include/net/ip_fib.ts';
import type { IpOptionsOps } from '#include/net/ip_options_ops.ts';
import type { NeighTable } from '#include/net/neighbour.ts';
import type { Net, PernetOperations } from '#include/net/net_namespace.ts';
import type { PagePool } from '#include/net/page_pool/types.ts';
import type { RpsDevFlowTable, RpsSockFlowTable } from '#include/net/rps.ts';
import type {
  InetRtnlOps,
  RtnetlinkOps,
  RtnlDoit,
  RtnlDumpit,
  RtnlLinkOps,
} from '#include/net/rtnetlink.ts';
import type { Qdisc, QdiscOps, SchedOps } from '#include/net/sch_generic.ts';
import type { SkFilter } from '#include/net/sock.ts';
import { type Proto, ProtoMemory, type Sock } from '#include/net/sock.ts';
import type { SockCommon } from '#include/net/sock_common.ts';
import { SockRare } from '#include/net/sock_rare.ts';
import type { TcpCongestionOps } from '#include/net/tcp.ts';
import { TcpAuthOptions, type TcpSigpool } from '#include/net/tcp_auth.ts';
import type { TcpAuthOps } from '#include/net/tcp_auth_ops.ts';
import { TcpCubicParams } from '#include/net/tcp_cubic.ts';
import { TcpFastopenCookie } from '#include/net/tcp_fastopen.ts';
import type { TcpFastopenOps } from '#include/net/tcp_fastopen_ops.ts';
import { TcpOutOptions } from '#include/net/tcp_out_options.ts';
import type { NotifierChain } from '#kernel/notifier.ts';
import { HZ } from '#kernel/param.ts';
import type { File } from '#kernel/sched/file.ts';
import type { Tasklet } from '#kernel/softirq.ts';
import type { DelayedWork } from '#kernel/workqueue.ts';
import { KmemCache } from '#mm/slab.ts';

/** A transport protocol above IPv4. @kernel net_protocol include/net/protocol.h */
export interface NetProtocol {
  /** Takes the packet (data at the transport header). Negative: resubmit to protocol -n. */
  handler(skb: SkBuff): number;
  /** An ICMP error about a packet we sent; `info` as in Linux. 0 or negative errno. */
  errHandler: ((skb: SkBuff, info: number) => number) | null;
  earlyDemux: ((skb: SkBuff) => void) | null;
  readonly noPolicy: boolean;
  readonly icmpStrictTagValidation: boolean;
}

/** What socket(AF_INET, type, protocol) makes. @kernel inet_protosw include/net/protocol.h */
export interface InetProtosw {
  readonly type: number;
  readonly protocol: number;
  readonly prot: Proto;
  readonly ops: ProtoOps;
  /** INET_PROTOSW_* */
  readonly flags: number;
}

/**
 * Steps of IPv4 that files below them in the import order reach by registration: what routes point
 * at as `dst.input` and `dst.output`, and the sender of ICMP errors. Filled by ipInit and icmpInit.
 */
export interface Ipv4Ops {
  ipLocalDeliver(skb: SkBuff): number;
  ipForward(skb: SkBuff): number;
  ipOutput(net: Net, sk: Sock | null, skb: SkBuff): number;
  ipMcOutput(net: Net, sk: Sock | null, skb: SkBuff): number;
  ipLocalOut(net: Net, sk: Sock | null, skb: SkBuff): number;
  /** Reads `skb`, does not free it. `opt` null: the options are those in IPCB(skb). */
  icmpSend(skb: SkBuff, type: number, code: number, info: number, opt: IpOptions | null): void;
}

/** What the Internet Group Management Protocol hears of the groups of devices. */
export interface IgmpOps {
  initDev(inDev: InDevice): void;
  up(inDev: InDevice): void;
  down(inDev: InDevice): void;
  stopTimer(im: IpMcList): void;
  groupAdded(im: IpMcList): void;
  groupDropped(im: IpMcList): void;
}

/** SYN cookies, as TCP sees them. */
export interface SynCookieOps {
  /** @kernel cookie_init_sequence include/net/tcp.h */
  initSequence(sk: Sock, skb: SkBuff, req: RequestSock): number;
  /** @kernel cookie_init_timestamp net/ipv4/syncookies.c */
  initTimestamp(req: RequestSock, nowNs: number): number;
  /** @kernel cookie_v4_check net/ipv4/syncookies.c */
  v4Check(sk: Sock, skb: SkBuff): Sock | null;
}

/** The cache of what connections have learned of their destinations, as TCP sees it. */
export interface TcpMetricsOps {
  /** @kernel tcp_update_metrics net/ipv4/tcp_metrics.c */
  update(sk: Sock): void;
  /** Takes over what is known; the round trip time (us << 3), or 0. */
  apply(tp: TcpSock): number;
  /** @kernel tcp_peer_is_proven net/ipv4/tcp_metrics.c */
  peerIsProven(req: RequestSock, dst: DstEntry): boolean;
}

/** Programs that choose packets. */
export interface BpfOps {
  /** A checked program from its instructions; null: it is not sound. @kernel bpf_prepare_filter net/core/filter.c */
  prepare(prog: Uint8Array): SkFilter | null;
  /** Its instructions; their number, or -EINVAL when there is no room. @kernel sk_get_filter net/core/filter.c */
  get(filter: SkFilter, optval: Uint8Array): number;
}

/** Code and second header word of the answer. */
export interface IcmpProbeReply {
  readonly code: number;
  readonly rest: number;
}

/** Memberships of sockets in groups, as IP sees them. */
export interface IpMcOps {
  /** IP_ADD_MEMBERSHIP and its like. */
  setsockopt(sk: Sock, optname: number, optval: Uint8Array): number;
  /** @kernel ip_mc_drop_socket net/ipv4/igmp.c */
  dropSocket(sk: Sock): void;
  /** @kernel ip_mc_sf_allow net/ipv4/igmp.c */
  sfAllow(sk: Sock, locAddr: number, rmtAddr: number, dif: number): boolean;
}

/** Routes with several hops, as the FIB sees them. */
export interface FibMultipathOps {
  /** @kernel fib_count_nexthops net/ipv4/fib_semantics.c */
  countNexthops(mp: Uint8Array, extack: FibExtAck): number;
  /** @kernel fib_get_nhs net/ipv4/fib_semantics.c */
  getNhs(fi: FibInfo, mp: Uint8Array, cfg: FibConfig, extack: FibExtAck): number;
  /** Does the route have the hops of the list? @kernel fib_nh_match net/ipv4/fib_semantics.c */
  match(mp: Uint8Array, fi: FibInfo): boolean;
  /** @kernel fib_rebalance net/ipv4/fib_semantics.c */
  rebalance(fi: FibInfo): void;
  /** Chooses the hop of a flow or of a packet. @kernel fib_select_multipath net/ipv4/fib_semantics.c */
  select(net: Net, res: FibResult, fl4: Flowi4 | null, skb: SkBuff | null): void;
}

/** Raw sockets, as the layers below them see these. Null where there are none. */
export interface RawOps {
  /** Gives a copy to every raw socket of the protocol; true: there was one. @kernel raw_local_deliver net/ipv4/raw.c */
  localDeliver(skb: SkBuff, protocol: number): boolean;
  /** Takes the packet. @kernel raw_rcv net/ipv4/raw.c */
  rcv(sk: Sock, skb: SkBuff | null): number;
  /** @kernel raw_icmp_error net/ipv4/raw.c */
  icmpError(skb: SkBuff, protocol: number, info: number): void;
}

/** Ping sockets, as ICMP sees them. Null where there are none. */
export interface PingOps {
  /** Takes an echo reply: SKB_NOT_DROPPED_YET or why not. @kernel ping_rcv net/ipv4/ping.c */
  rcv(skb: SkBuff): number;
  /** @kernel ping_err net/ipv4/ping.c */
  err(skb: SkBuff, offset: number, info: number): void;
}

/** Handlers of one rtnetlink message type. */
export interface RtnlLink {
  readonly doit: RtnlDoit | null;
  readonly dumpit: RtnlDumpit | null;
  readonly flags: number;
}

export class NetGlobals {
  /** The defaults of sockets and of connections, shared by all that have not changed them. */
  readonly sockRare: SockRare = new SockRare();
  readonly tcpRare: TcpRare = new TcpRare();
  readonly skbuffCache: SkbuffCache = new SkbuffCache();
  readonly softnetData: SoftnetData[] = [];
  readonly netnsList: Net[] = [];
  /** Named namespaces, as `ip netns` has them: /run/netns/NAME. Each name holds a reference. */
  readonly netnsNames: Map<string, Net> = new Map();
  readonly pernetList: PernetOperations[] = [];
  /** Pools of pages that exist, and the number of the next. @kernel page_pools net/core/page_pool_user.c */
  readonly pagePools: PagePool[] = [];
  pagePoolNext = 1;
  readonly netdevChain: NotifierChain<NetDevice>;
  /** inetaddr_chain: argument is an InIfaddr. */
  readonly inetaddrChain: NotifierChain<object>;
  readonly netlinkChain: NotifierChain<object>;
  readonly neteventChain: NotifierChain<object>;
  /** Taps on everything. @kernel ptype_all net/core/dev.c */
  ptypeAll: PacketType[] = [];
  /** Receivers by protocol. @kernel ptype_base net/core/dev.c */
  readonly ptypeBase: Map<number, PacketType[]> = new Map();
  /** @kernel net_families net/socket.c */
  readonly netFamilies: (NetProtoFamily | null)[] = [];
  readonly inetsw: InetProtosw[] = [];
  /** By IPPROTO_*. @kernel inet_protos net/ipv4/protocol.c */
  readonly inetProtos: (NetProtocol | null)[] = new Array<NetProtocol | null>(256).fill(null);
  ipv4Ops: Ipv4Ops | null = null;
  readonly qdiscBase: Map<string, QdiscOps> = new Map();
  /** The scheduler below the device layer, and the qdisc that refuses everything; set by pktsched_init(). */
  schedOps: SchedOps | null = null;
  noopQdisc: Qdisc | null = null;
  /** Netlink's ways to configure and to tell; null: this kernel has none. */
  rtnetlink: RtnetlinkOps | null = null;
  inetRtnl: InetRtnlOps | null = null;
  /** Shows a device's settings under /proc/sys; null: there is none. @kernel devinet_sysctl_register net/ipv4/devinet.c */
  devinetSysctlRegister: ((inDev: InDevice) => void) | null = null;
  rawOps: RawOps | null = null;
  pingOps: PingOps | null = null;
  igmpOps: IgmpOps | null = null;
  /** TCP Fast Open; null: there is none. */
  tcpFastopen: TcpFastopenOps | null = null;
  /** SYN cookies; null: CONFIG_SYN_COOKIES is not set. */
  synCookies: SynCookieOps | null = null;
  /** What is remembered of destinations between connections; null: nothing is. */
  tcpMetrics: TcpMetricsOps | null = null;
  /** Programs of socket filters; null: there are none. */
  bpf: BpfOps | null = null;
  /** SIOCETHTOOL; null: there is none. @kernel dev_ethtool net/ethtool/ioctl.c */
  devEthtool: ((dev: NetDevice, arg: Uint8Array) => number) | null = null;
  /** TCP_INFO; null: this kernel does not tell. @kernel tcp_get_info net/ipv4/tcp.c */
  tcpInfo: ((sk: Sock, optval: Uint8Array) => number) | null = null;
  /** Answers to extended echo requests (RFC 8335); null: none are given. */
  icmpBuildProbe: ((net: Net, skb: SkBuff) => IcmpProbeReply | null) | null = null;
  /** IP options; null: they are not looked at. */
  ipOptions: IpOptionsOps | null = null;
  /** Multicast for sockets; null: none may join a group. */
  ipMc: IpMcOps | null = null;
  /** Routes with several hops; null: CONFIG_IP_ROUTE_MULTIPATH is not set. */
  fibMultipath: FibMultipathOps | null = null;
  /** Signed TCP; null: CONFIG_TCP_MD5SIG and CONFIG_TCP_AO are not set. */
  tcpAuth: TcpAuthOps | null = null;
  /** Hands a tagged packet to its VLAN device: seat of 802.1Q. @kernel vlan_do_receive net/8021q/vlan_core.c */
  vlanDoReceive: ((skb: SkBuff) => SkBuff | null) | null = null;
  /** Offloads by EtherType, and by IPPROTO_* above IPv4. @kernel net_hotdata net/core/hotdata.c */
  readonly offloadBase: PacketOffload[] = [];
  readonly inetOffloads: (NetOffload | null)[] = new Array<NetOffload | null>(256).fill(null);
  /** Key of the devices' receive hashes, made when the first one asks. @kernel netdev_rss_key net/core/dev.c */
  netdevRssKey: Uint8Array | null = null;
  /** Scratch of the flow dissector, which does not nest. */
  readonly flowKeys: FlowKeys = new FlowKeys();
  /** Looks again at devices that cannot be freed yet. */
  todoWork: DelayedWork | null = null;
  /** Announces carrier changes; jiffies before which only urgent ones are. @kernel linkwatch_work net/core/link_watch.c */
  linkwatchWork: DelayedWork | null = null;
  linkwatchNextevent = 0;
  /** Handlers by family, then message type minus RTM_BASE. @kernel rtnl_msg_handlers net/core/rtnetlink.c */
  readonly rtnlMsgHandlers: Map<number, Map<number, RtnlLink>> = new Map();
  readonly linkOps: Map<string, RtnlLinkOps> = new Map();
  /** Families of generic netlink, in the order of their numbers. */
  readonly genlFamilies: GenlFamily[] = [];
  /** Who lists the sockets of a family, and of a protocol above IP. @kernel sock_diag_handlers net/core/sock_diag.c */
  readonly sockDiagHandlers: Map<number, SockDiagHandler> = new Map();
  readonly inetDiagTable: Map<number, InetDiagHandler> = new Map();
  /** Tells of a user's socket that ends; set by sock_diag. */
  sockDiagBroadcastDestroy: ((sk: Sock) => void) | null = null;
  /** Character devices by their path below /dev: opens one for a task of that namespace. @kernel misc_list drivers/char/misc.c */
  readonly miscDevices: Map<string, (net: Net, flags: number) => File> = new Map();
  readonly neighTables: NeighTable[] = [];
  /** Operations of IPv4's routes. @kernel ipv4_dst_ops net/ipv4/route.c */
  ipv4DstOps: DstOps | null = null;
  /** Takes the place of a device that went away under its routes. @kernel blackhole_netdev drivers/net/loopback.c */
  blackholeNetdev: NetDevice | null = null;
  /** Routes that no next hop caches. @kernel rt_uncached_list net/ipv4/route.c */
  readonly rtUncachedList: Set<Rtable> = new Set();
  /** @kernel arp_tbl net/ipv4/arp.c */
  arpTbl: NeighTable | null = null;
  readonly protoList: Proto[] = [];
  /** Fields that a listener's children take over, by protocol. */
  readonly sockCopyKeys: Map<Proto, readonly string[]> = new Map();
  readonly protoMemory: Map<string, ProtoMemory> = new Map();
  /** Memory of all TCP sockets; also in `protoMemory` under TCP. */
  readonly tcpMemory: ProtoMemory = new ProtoMemory();
  readonly tcpCongList: TcpCongestionOps[] = [];
  /** Those that everyone may choose; null: as each algorithm's flags say. */
  tcpCongAllowed: readonly string[] | null = null;
  readonly tcpCubicParams: TcpCubicParams = new TcpCubicParams();
  tcpHashinfo: InetHashinfo | null = null;
  /** What tcp_conn_request() reads from a SYN, its cookie, and the flow back: on the stack in Linux. */
  readonly synOpt: TcpOptionsReceived = new TcpOptionsReceived();
  readonly synFoc: TcpFastopenCookie = new TcpFastopenCookie(-1);
  readonly synFlow: Flowi4 = new Flowi4();
  /** Flows of a child and of connect(), whose routes are looked up. */
  readonly childFlow: Flowi4 = new Flowi4();
  readonly connectFlow: Flowi4 = new Flowi4();
  readonly tcpRecvState: TcpRecvState = new TcpRecvState();
  /** Closed TCP sockets, reset: the next ones. In Linux the slab of tcp_prot. */
  readonly tcpSlab: KmemCache<TcpSock> = new KmemCache('TCP');
  /** The same of requests for connections. @kernel request_sock_ops include/net/request_sock.h */
  readonly reqskSlab: KmemCache<RequestSock> = new KmemCache('request_sock_TCP');
  /** Bound AF_UNIX sockets: paths of the machine, and abstract names of each namespace. */
  readonly unixNames: Map<string, Sock> = new Map();
  /** Records of ACKs in progress, one for each depth of nesting, and the present depth. */
  readonly tcpSacktagStates: TcpSacktagState[] = [];
  tcpSacktagDepth = 0;
  /** Netlink sockets bound, by protocol. */
  readonly nlTable: Map<number, Sock[]> = new Map();
  readonly nlKernelSocks: Map<string, (skb: SkBuff) => void> = new Map();
  sockInodeNext = 1;
  sockCookieNext = 1;
  /** Those of requests and time-wait sockets that were asked for one. */
  readonly sockCookies: WeakMap<SockCommon, number> = new WeakMap();
  /** Message of calls on one buffer: calls do not nest, so one is enough. */
  readonly sockMsg: Msghdr = new Msghdr();
  /** The one buffer of that message, and room for the address that it comes back with. */
  readonly sockIov: Uint8Array[] = [new Uint8Array(0)];
  readonly sockName: Uint8Array = new Uint8Array(128);
  /** Sockets that want received packets stamped. @kernel netstamp_needed_key net/core/dev.c */
  netstampNeeded = 0;
  napiIdNext = 1024;
  /** Polling instances by number. @kernel napi_hash net/core/dev.c */
  readonly napiHash: Map<number, NapiStruct> = new Map();
  /** Microseconds that poll(), and reads of new sockets, look for packets at the device; 0: they do not. */
  sysctlNetBusyPoll = 0;
  sysctlNetBusyRead = 0;
  /** Seeds of the keyed hashes, filled at boot. */
  readonly inetEhashSecret: Int32Array = new Int32Array(4);
  readonly netSecret: Int32Array = new Int32Array(4);
  readonly tsSecret: Int32Array = new Int32Array(4);
  /** @kernel syncookie_secret net/ipv4/syncookies.c */
  readonly syncookieSecret: readonly Int32Array[] = [new Int32Array(4), new Int32Array(4)];
  /** Limits of net.core. */
  netdevBudget = 300;
  netdevBudgetUsecs = 2000;
  devWeight = 64;
  netdevMaxBacklog = 1000;
  netdevTstampPrequeue = 1;
  defaultQdisc = 'pfifo_fast';
  /** Entries above which age decides. @kernel inet_peer_threshold net/ipv4/inetpeer.c */
  inetPeerThreshold: number = 65536 + 128;
  /** Shortest and longest life of an entry nobody uses, in jiffies. */
  inetPeerMinttl: number = 120 * HZ;
  inetPeerMaxttl: number = 600 * HZ;
  groNormalBatch = 8;
  highOrderAllocDisable = 0;
  skbFragCount = 0;
  /** Receive queues with a map, and tables of flows: 0 costs a packet one comparison. @kernel rps_needed net/core/dev.c */
  rpsNeeded = 0;
  /** @kernel rfs_needed net/core/dev.c */
  rfsNeeded = 0;
  /** Sockets for which datagrams are looked up before they are merged. @kernel udp_encap_needed_key net/ipv4/udp.c */
  udpEncapNeeded = 0;
  /** Packets of netif_receive_skb() that were put on a backlog. */
  rpsSteered = 0;
  /** Devices with maps of transmit queues, and with such by receive queue. @kernel xps_needed net/core/dev.c */
  xpsNeeded = 0;
  /** @kernel xps_rxqs_needed net/core/dev.c */
  xpsRxqsNeeded = 0;
  /** On which CPU the reader of each flow last was. @kernel net_hotdata include/net/hotdata.h */
  rpsSockFlowTable: RpsSockFlowTable | null = null;
  /** The bits of its entries that are the CPU; the others are the hash. */
  rpsCpuMask = 0;
  /** Second result of get_rps_cpu(): the flow's entry, to be told where its packet was queued. */
  rpsFlowTable: RpsDevFlowTable | null = null;
  rpsFlowSlot = 0;
  /** Buckets of the tables that flow_limit_cpu_bitmap makes. */
  flowLimitTableLen = 4096;
  /** Devices being unregistered. */
  netTodoList: NetDevice[] = [];
  /** Jiffies when that list last began to wait. */
  netTodoSince = 0;
  /** Devices whose carrier changed. @kernel lweventlist net/core/link_watch.c */
  lweventlist: NetDevice[] = [];
  /** Sockets that TCP small queues stopped and that may send again, linked by TcpSock.tsqNext. */
  tsqHead: TcpSock | null = null;
  tsqTail: TcpSock | null = null;
  /** Runs them; set by tcp_tsq_work_init(). */
  tsqTasklet: Tasklet | null = null;
  /** Scratch of the segment being built. */
  readonly tcpOutOptions: TcpOutOptions = new TcpOutOptions();
  /** Signatures of the segment being received. */
  readonly tcpAuthOptions: TcpAuthOptions = new TcpAuthOptions();
  /** Contexts of digests, made when the first signature is. */
  tcpSigpool: TcpSigpool | null = null;

  constructor(
    netdevChain: NotifierChain<NetDevice>,
    inetaddrChain: NotifierChain<object>,
    netlinkChain: NotifierChain<object>,
    neteventChain: NotifierChain<object>,
  ) {
    this.netdevChain = netdevChain;
    this.inetaddrChain = inetaddrChain;
    this.netlinkChain = netlinkChain;
    this.neteventChain = neteventChain;
  }
}
