/** IPv4 state of a namespace. Counterpart of include/net/netns/ipv4.h. Times in jiffies unless said. */
import type { InIfaddr } from '#include/linux/inetdevice.ts';
import { IPV4_DEVCONF_SIZE } from '#include/linux/inetdevice.ts';
import type { FibRulesOps } from '#include/net/fib_rules.ts';
import type { InetFragsNs } from '#include/net/inet_frag.ts';
import type { InetHashinfo } from '#include/net/inet_hashtables.ts';
import type { InetTwRow } from '#include/net/inet_timewait_sock.ts';
import type { InetPeerBase } from '#include/net/inetpeer.ts';
import { IpSendScratch } from '#include/net/ip.ts';
import type { FibInfoTables, FibTable } from '#include/net/ip_fib.ts';
import type { IpIdents, RouteScratch } from '#include/net/route.ts';
import type { Sock } from '#include/net/sock.ts';
import type { TcpCongestionOps } from '#include/net/tcp.ts';
import type { TcpFastopenContext } from '#include/net/tcp_fastopen.ts';
import { TcpMetricsTable } from '#include/net/tcp_metrics.ts';
import type { UdpTable } from '#include/net/udp.ts';
import type { AddrCheck } from '#net/ipv4/devinet_lifetime.ts';

export class NetnsIpv4 {
  /** net.ipv4.conf.all and .default. */
  readonly devconfAll: Int32Array;
  readonly devconfDflt: Int32Array;
  /** Routing tables by id: RT_TABLE_LOCAL, RT_TABLE_MAIN, others. */
  readonly fibTables: Map<number, FibTable>;
  /** The tables of lookups without custom rules. */
  fibMain: FibTable | null;
  fibDefault: FibTable | null;
  /** Policy rules of this family, by ascending preference. */
  rulesOps: FibRulesOps | null;
  /** Changed with each address; source addresses kept in next hops follow it. */
  devAddrGenid: number;
  fibHasCustomRules: boolean;
  /** Some rule selects by what follows the IP header. */
  fibRulesRequireFldissect: boolean;
  /** A user added a route of type local: our addresses are not all that is ours. */
  fibHasCustomLocalRoutes: boolean;
  /** Changed with each change of a table. */
  fibSeq: number;
  fibInfoCnt: number;
  /** Per-namespace private data of the FIB code (fib_info hashes, exceptions). */
  fibPriv: FibInfoTables | null;
  /** All addresses by local address. @kernel inet_addr_lst include/net/netns/ipv4.h */
  readonly inetAddrLst: Map<number, InIfaddr[]>;
  /** Watches the lifetimes of addresses. @kernel addr_chk_work include/net/netns/ipv4.h */
  addrCheck: AddrCheck | null;
  tcpDeathRowTwCount: number;
  /** Time-wait entries by how long they wait, in jiffies. */
  readonly tcpDeathRows: Map<number, InetTwRow>;
  tcpHashinfo: InetHashinfo | null;
  udpTable: UdpTable | null;
  /** Raw and ping sockets. */
  readonly rawHash: Sock[];
  readonly pingHash: Sock[];
  pingPortRover: number;
  /** What sendmsg of datagram sockets, ICMP, and answers without a socket work with. */
  readonly sendmsgScratch: IpSendScratch;
  readonly icmpScratch: IpSendScratch;
  readonly replyScratch: IpSendScratch;
  /** Sockets that want packets with the router alert option. @kernel ra_chain include/net/netns/ipv4.h */
  readonly raChain: Sock[];
  frags: InetFragsNs | null;
  /** Control sockets that send resets, ACKs and ICMP. */
  tcpSk: Sock | null;
  icmpSk: Sock | null;
  /** inet_peer base of rate limits. */
  peers: InetPeerBase | null;
  tcpCongestionControl: TcpCongestionOps | null;
  tcpFastopenCtx: TcpFastopenContext | null;
  /** How often Fast Open was found to be swallowed on the way, and when last (jiffies). */
  tfoActiveDisableTimes: number;
  tfoActiveDisableStamp: number;
  tcpChallengeTimestamp: number;
  tcpChallengeCount: number;
  /** What was learned about destinations. */
  readonly tcpMetrics: TcpMetricsTable;
  /** @kernel ip_idents net/ipv4/route.c */
  ipIdents: IpIdents | null;
  /** Changed to make all that was learned about destinations void. */
  fnheGenid: number;
  /** Flow and result objects that the lookup of every packet uses again. */
  rtScratch: RouteScratch | null;
  icmpGlobalStamp: number;
  icmpGlobalCredit: number;

  sysctlIpForward = 0;
  sysctlIpDefaultTtl = 64;
  sysctlIpNoPmtuDisc = 0;
  sysctlIpFwdUsePmtu = 0;
  sysctlIpFwdUpdatePriority = 1;
  sysctlIpNonlocalBind = 0;
  sysctlIpAutobindReuse = 0;
  sysctlIpDynaddr = 0;
  sysctlIpEarlyDemux = 1;
  sysctlTcpEarlyDemux = 1;
  sysctlUdpEarlyDemux = 1;
  sysctlFwmarkReflect = 0;
  sysctlTcpFwmarkAccept = 0;
  sysctlRawL3mdevAccept = 1;
  sysctlIpLocalPortRangeLo = 32768;
  sysctlIpLocalPortRangeHi = 60999;
  sysctlLocalReservedPorts: Set<number> = new Set();
  sysctlIpProtSock = 1024;
  sysctlPingGroupLo = 0;
  sysctlPingGroupHi = 2147483647;
  sysctlIcmpEchoIgnoreAll = 0;
  sysctlIcmpEchoEnableProbe = 0;
  sysctlIcmpEchoIgnoreBroadcasts = 1;
  sysctlIcmpIgnoreBogusErrorResponses = 1;
  sysctlIcmpErrorsUseInboundIfaddr = 0;
  /** ms */
  sysctlIcmpRatelimit = 1000;
  sysctlIcmpRatemask = 0x1818;
  sysctlIcmpMsgsPerSec = 1000;
  sysctlIcmpMsgsBurst = 50;
  sysctlMinPmtu = 552;
  sysctlRtRedirectNumber = 9;
  sysctlRtRedirectLoad = 20;
  sysctlRtRedirectSilence = 20480;
  sysctlRtErrorCost = 1000;
  sysctlRtErrorBurst = 5000;
  /** How long a redirect is believed. */
  sysctlRtGcTimeout = 300000;
  sysctlMtuExpires: number = 600 * 1000;
  sysctlMinAdvmss = 256;
  sysctlIpfragHighThresh: number = 4 * 1024 * 1024;
  sysctlIpfragLowThresh: number = 3 * 1024 * 1024;
  sysctlIpfragTime: number = 30 * 1000;
  sysctlIpfragMaxDist = 64;
  sysctlIgmpMaxMemberships = 20;
  sysctlIgmpMaxMsf = 10;
  sysctlIgmpQrv = 2;
  sysctlIgmpLlmReports = 1;
  sysctlUdpRmemMin = 4096;
  sysctlUdpWmemMin = 4096;
  sysctlFibMultipathUseNeigh = 0;
  sysctlFibMultipathHashPolicy = 0;
  /** FIB_MULTIPATH_HASH_FIELD_* */
  sysctlFibMultipathHashFields = 7;
  /** No device here takes routes over, so that no flag ever changes. */
  sysctlFibNotifyOnFlagChange = 0;
  sysctlFibSyncMem = 524288;

  sysctlTcpEcn = 2;
  /** TCP_ACCECN_OPTION_* */
  sysctlTcpEcnOption = 2;
  /** AccECN options a round trip, at least. */
  sysctlTcpEcnOptionBeacon = 3;
  sysctlTcpEcnFallback = 1;
  sysctlTcpKeepaliveTime: number = 7200 * 1000;
  sysctlTcpKeepaliveIntvl: number = 75 * 1000;
  sysctlTcpKeepaliveProbes = 9;
  sysctlTcpSynRetries = 6;
  sysctlTcpSynackRetries = 5;
  sysctlTcpSyncookies = 1;
  sysctlTcpMigrateReq = 0;
  sysctlTcpReordering = 3;
  sysctlTcpRetries1 = 3;
  sysctlTcpRetries2 = 15;
  sysctlTcpOrphanRetries = 0;
  sysctlTcpTwReuse = 2;
  sysctlTcpTwReuseDelay = 1000;
  sysctlTcpFinTimeout: number = 60 * 1000;
  sysctlTcpNotsentLowat = 0xffffffff;
  sysctlTcpSynLinearTimeouts = 4;
  sysctlTcpSack = 1;
  sysctlTcpWindowScaling = 1;
  sysctlTcpTimestamps = 1;
  sysctlTcpEarlyRetrans = 3;
  sysctlTcpRecovery = 1;
  sysctlTcpThinLinearTimeouts = 0;
  sysctlTcpSlowStartAfterIdle = 1;
  sysctlTcpRetransCollapse = 1;
  sysctlTcpStdurg = 0;
  sysctlTcpRfc1337 = 0;
  sysctlTcpAbortOnOverflow = 0;
  sysctlTcpFack = 0;
  sysctlTcpMaxReordering = 300;
  sysctlTcpAdvWinScale = 1;
  sysctlTcpDsack = 1;
  sysctlTcpAppWin = 31;
  sysctlTcpFrto = 2;
  sysctlTcpNometricsSave = 0;
  sysctlTcpNoSsthreshMetricsSave = 1;
  sysctlTcpModerateRcvbuf = 1;
  /** us */
  sysctlTcpRcvbufLowRtt = 1000;
  sysctlTcpTsoWinDivisor = 3;
  sysctlTcpWorkaroundSignedWindows = 0;
  sysctlTcpLimitOutputBytes: number = 4 * 1024 * 1024;
  sysctlTcpChallengeAckLimit = 0x7fffffff;
  sysctlTcpMinTsoSegs = 2;
  sysctlTcpTsoRttLog = 9;
  /** seconds */
  sysctlTcpMinRttWlen = 300;
  sysctlTcpAutocorking = 1;
  sysctlTcpReflectTos = 0;
  sysctlTcpInvalidRatelimit = 500;
  sysctlTcpPacingSsRatio = 200;
  sysctlTcpPacingCaRatio = 120;
  sysctlTcpWmem: [number, number, number] = [4096, 16384, 4194304];
  sysctlTcpRmem: [number, number, number] = [4096, 131072, 33554432];
  sysctlTcpChildEhashEntries = 0;
  /** ns */
  sysctlTcpCompSackRttPercent = 33;
  sysctlTcpCompSackDelayNs = 1000000;
  sysctlTcpCompSackSlackNs = 10000;
  sysctlTcpCompSackNr = 44;
  sysctlTcpBacklogAckDefer = 1;
  sysctlTcpPingpongThresh = 1;
  sysctlTcpRtoMinUs = 200000;
  sysctlTcpRtoMaxMs = 120000;
  sysctlTcpShrinkWindow = 0;
  sysctlTcpPlbEnabled = 0;
  sysctlTcpPlbIdleRehashRounds = 3;
  sysctlTcpPlbRehashRounds = 12;
  sysctlTcpPlbSuspendRtoSec = 60;
  /** In 1/256 of the packets of a round trip. */
  sysctlTcpPlbCongThresh = 128;
  sysctlMaxSynBacklog = 4096;
  sysctlTcpFastopen = 1;
  sysctlTcpFastopenBlackholeTimeout = 0;
  sysctlTcpMtuProbing = 0;
  sysctlTcpMtuProbeFloor = 48;
  sysctlTcpBaseMss = 1024;
  sysctlTcpMinSndMss = 48;
  sysctlTcpProbeThreshold = 8;
  sysctlTcpProbeInterval = 600;
  sysctlTcpMaxTwBuckets = 262144;
  sysctlTcpMaxOrphans = 65536;

  constructor() {
    this.devconfAll = new Int32Array(IPV4_DEVCONF_SIZE);
    this.devconfDflt = new Int32Array(IPV4_DEVCONF_SIZE);
    this.fibTables = new Map();
    this.fibMain = null;
    this.fibDefault = null;
    this.rulesOps = null;
    this.devAddrGenid = 0;
    this.fibHasCustomRules = false;
    this.fibRulesRequireFldissect = false;
    this.fibHasCustomLocalRoutes = false;
    this.fibSeq = 0;
    this.fibInfoCnt = 0;
    this.fibPriv = null;
    this.inetAddrLst = new Map();
    this.addrCheck = null;
    this.tcpDeathRowTwCount = 0;
    this.tcpDeathRows = new Map();
    this.tcpHashinfo = null;
    this.udpTable = null;
    this.rawHash = [];
    this.pingHash = [];
    this.pingPortRover = 0;
    this.sendmsgScratch = new IpSendScratch();
    this.icmpScratch = new IpSendScratch();
    this.replyScratch = new IpSendScratch();
    this.raChain = [];
    this.frags = null;
    this.tcpSk = null;
    this.icmpSk = null;
    this.peers = null;
    this.tcpCongestionControl = null;
    this.tcpFastopenCtx = null;
    this.tfoActiveDisableTimes = 0;
    this.tfoActiveDisableStamp = 0;
    this.tcpChallengeTimestamp = 0;
    this.tcpChallengeCount = 0;
    this.tcpMetrics = new TcpMetricsTable();
    this.ipIdents = null;
    this.fnheGenid = 0;
    this.rtScratch = null;
    this.icmpGlobalStamp = 0;
    this.icmpGlobalCredit = 0;
  }
}
