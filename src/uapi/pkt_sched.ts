/*
 * Packet scheduling over netlink: handles, priorities and the options of each discipline.
 * Kernel counterparts: include/uapi/linux/pkt_sched.h, gen_stats.h, net/sched/sch_generic.c (prio2band).
 */

// skb.priority.
export const TC_PRIO_BESTEFFORT = 0;
export const TC_PRIO_FILLER = 1;
export const TC_PRIO_BULK = 2;
export const TC_PRIO_INTERACTIVE_BULK = 4;
export const TC_PRIO_INTERACTIVE = 6;
export const TC_PRIO_CONTROL = 7;
export const TC_PRIO_MAX = 15;

// Handles.
export const TC_H_MAJ_MASK = 0xffff0000;
export const TC_H_MIN_MASK = 0x0000ffff;
export const TC_H_UNSPEC = 0;
export const TC_H_ROOT = 0xffffffff;
export const TC_H_INGRESS = 0xfffffff1;
export const TC_H_CLSACT = 0xfffffff1;
export const TC_H_MIN_PRIORITY = 0xffe0;
export const TC_H_MIN_INGRESS = 0xfff2;
export const TC_H_MIN_EGRESS = 0xfff3;

// Link layers, bands.
export const TC_LINKLAYER_MASK = 15;
export const TCQ_PRIO_BANDS = 16;
export const TCQ_MIN_PRIO_BANDS = 2;
export const TC_QOPT_BITMASK = 15;
export const TC_QOPT_MAX_QUEUE = 16;
export const TC_LINKLAYER_UNAWARE = 0;
export const TC_LINKLAYER_ETHERNET = 1;
export const TC_LINKLAYER_ATM = 2;

// Inside TCA_STATS2.
export const TCA_STATS_MAX = 8;
export const TCA_STATS_UNSPEC = 0;
export const TCA_STATS_BASIC = 1;
export const TCA_STATS_RATE_EST = 2;
export const TCA_STATS_QUEUE = 3;
export const TCA_STATS_APP = 4;
export const TCA_STATS_RATE_EST64 = 5;
export const TCA_STATS_PAD = 6;
export const TCA_STATS_BASIC_HW = 7;
export const TCA_STATS_PKT64 = 8;

// tbf
export const TCA_TBF_UNSPEC = 0;
export const TCA_TBF_PARMS = 1;
export const TCA_TBF_RTAB = 2;
export const TCA_TBF_PTAB = 3;
export const TCA_TBF_RATE64 = 4;
export const TCA_TBF_PRATE64 = 5;
export const TCA_TBF_BURST = 6;
export const TCA_TBF_PBURST = 7;
export const TCA_TBF_PAD = 8;
export const TCA_TBF_MAX = 8;

// htb
export const TCA_HTB_MAX = 9;
export const TCA_HTB_UNSPEC = 0;
export const TCA_HTB_PARMS = 1;
export const TCA_HTB_INIT = 2;
export const TCA_HTB_CTAB = 3;
export const TCA_HTB_RTAB = 4;
export const TCA_HTB_DIRECT_QLEN = 5;
export const TCA_HTB_RATE64 = 6;
export const TCA_HTB_CEIL64 = 7;
export const TCA_HTB_PAD = 8;
export const TCA_HTB_OFFLOAD = 9;

// netem
export const TCA_NETEM_MAX = 13;
export const TCA_NETEM_UNSPEC = 0;
export const TCA_NETEM_CORR = 1;
export const TCA_NETEM_DELAY_DIST = 2;
export const TCA_NETEM_REORDER = 3;
export const TCA_NETEM_CORRUPT = 4;
export const TCA_NETEM_LOSS = 5;
export const TCA_NETEM_RATE = 6;
export const TCA_NETEM_ECN = 7;
export const TCA_NETEM_RATE64 = 8;
export const TCA_NETEM_PAD = 9;
export const TCA_NETEM_LATENCY64 = 10;
export const TCA_NETEM_JITTER64 = 11;
export const TCA_NETEM_SLOT = 12;
export const TCA_NETEM_SLOT_DIST = 13;

export const NETEM_LOSS_MAX = 2;
export const NETEM_DIST_SCALE = 8192;
export const NETEM_DIST_MAX = 16384;
export const NETEM_LOSS_UNSPEC = 0;
export const NETEM_LOSS_GI = 1;
export const NETEM_LOSS_GE = 2;

// red
export const TCA_RED_MAX = 6;
export const TC_RED_ECN = 1;
export const TC_RED_HARDDROP = 2;
export const TC_RED_ADAPTATIVE = 4;
export const TC_RED_NODROP = 8;
export const TC_RED_HISTORIC_FLAGS = 7;
export const TCA_RED_UNSPEC = 0;
export const TCA_RED_PARMS = 1;
export const TCA_RED_STAB = 2;
export const TCA_RED_MAX_P = 3;
export const TCA_RED_FLAGS = 4;
export const TCA_RED_EARLY_DROP_BLOCK = 5;
export const TCA_RED_MARK_BLOCK = 6;

export const SFQ_MAX_DEPTH = 127;

// codel
export const TCA_CODEL_MAX = 5;
export const TCA_CODEL_UNSPEC = 0;
export const TCA_CODEL_TARGET = 1;
export const TCA_CODEL_LIMIT = 2;
export const TCA_CODEL_INTERVAL = 3;
export const TCA_CODEL_ECN = 4;
export const TCA_CODEL_CE_THRESHOLD = 5;

// fq_codel
export const TCA_FQ_CODEL_MAX = 11;
export const TCA_FQ_CODEL_UNSPEC = 0;
export const TCA_FQ_CODEL_TARGET = 1;
export const TCA_FQ_CODEL_LIMIT = 2;
export const TCA_FQ_CODEL_INTERVAL = 3;
export const TCA_FQ_CODEL_ECN = 4;
export const TCA_FQ_CODEL_FLOWS = 5;
export const TCA_FQ_CODEL_QUANTUM = 6;
export const TCA_FQ_CODEL_CE_THRESHOLD = 7;
export const TCA_FQ_CODEL_DROP_BATCH_SIZE = 8;
export const TCA_FQ_CODEL_MEMORY_LIMIT = 9;
export const TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR = 10;
export const TCA_FQ_CODEL_CE_THRESHOLD_MASK = 11;
export const TCA_FQ_CODEL_XSTATS_QDISC = 0;
export const TCA_FQ_CODEL_XSTATS_CLASS = 1;

// fq
export const TCA_FQ_UNSPEC = 0;
export const TCA_FQ_PLIMIT = 1;
export const TCA_FQ_FLOW_PLIMIT = 2;
export const TCA_FQ_QUANTUM = 3;
export const TCA_FQ_INITIAL_QUANTUM = 4;
export const TCA_FQ_RATE_ENABLE = 5;
export const TCA_FQ_FLOW_DEFAULT_RATE = 6;
export const TCA_FQ_FLOW_MAX_RATE = 7;
export const TCA_FQ_BUCKETS_LOG = 8;
export const TCA_FQ_FLOW_REFILL_DELAY = 9;
export const TCA_FQ_ORPHAN_MASK = 10;
export const TCA_FQ_LOW_RATE_THRESHOLD = 11;
export const TCA_FQ_CE_THRESHOLD = 12;
export const TCA_FQ_TIMER_SLACK = 13;
export const TCA_FQ_HORIZON = 14;
export const TCA_FQ_HORIZON_DROP = 15;
export const TCA_FQ_PRIOMAP = 16;
export const TCA_FQ_WEIGHTS = 17;
export const TCA_FQ_OFFLOAD_HORIZON = 18;
export const TCA_FQ_MAX = 18;

// fq_pie
export const TCA_FQ_PIE_UNSPEC = 0;
export const TCA_FQ_PIE_LIMIT = 1;
export const TCA_FQ_PIE_FLOWS = 2;
export const TCA_FQ_PIE_TARGET = 3;
export const TCA_FQ_PIE_TUPDATE = 4;
export const TCA_FQ_PIE_ALPHA = 5;
export const TCA_FQ_PIE_BETA = 6;
export const TCA_FQ_PIE_QUANTUM = 7;
export const TCA_FQ_PIE_MEMORY_LIMIT = 8;
export const TCA_FQ_PIE_ECN_PROB = 9;
export const TCA_FQ_PIE_ECN = 10;
export const TCA_FQ_PIE_BYTEMODE = 11;
export const TCA_FQ_PIE_DQ_RATE_ESTIMATOR = 12;
export const TCA_FQ_PIE_MAX = 12;

// drr
export const TCA_DRR_UNSPEC = 0;
export const TCA_DRR_QUANTUM = 1;
export const TCA_DRR_MAX = 1;

// ets
export const TCA_ETS_UNSPEC = 0;
export const TCA_ETS_NBANDS = 1;
export const TCA_ETS_NSTRICT = 2;
export const TCA_ETS_QUANTA = 3;
export const TCA_ETS_QUANTA_BAND = 4;
export const TCA_ETS_PRIOMAP = 5;
export const TCA_ETS_PRIOMAP_BAND = 6;
export const TCA_ETS_MAX = 6;
export const TCQ_ETS_MAX_BANDS = 16;

// hfsc
export const TCA_HFSC_UNSPEC = 0;
export const TCA_HFSC_RSC = 1;
export const TCA_HFSC_FSC = 2;
export const TCA_HFSC_USC = 3;
export const TCA_HFSC_MAX = 3;

// Size tables (TCA_STAB).
export const TCA_STAB_UNSPEC = 0;
export const TCA_STAB_BASE = 1;
export const TCA_STAB_DATA = 2;
export const TCA_STAB_MAX = 2;
export const TC_RTAB_SIZE = 1024;
export const TC_HTB_NUMPRIO = 8;
export const TC_HTB_MAXDEPTH = 8;
export const TC_HTB_PROTOVER = 3;

// pie
export const TCA_PIE_MAX = 8;
export const TCA_PIE_UNSPEC = 0;
export const TCA_PIE_TARGET = 1;
export const TCA_PIE_LIMIT = 2;
export const TCA_PIE_TUPDATE = 3;
export const TCA_PIE_ALPHA = 4;
export const TCA_PIE_BETA = 5;
export const TCA_PIE_ECN = 6;
export const TCA_PIE_BYTEMODE = 7;
export const TCA_PIE_DQ_RATE_ESTIMATOR = 8;

// cake
export const TCA_CAKE_MAX = 18;
export const TCA_CAKE_STATS_MAX = 16;
export const TCA_CAKE_TIN_STATS_MAX = 25;
export const TCA_CAKE_UNSPEC = 0;
export const TCA_CAKE_PAD = 1;
export const TCA_CAKE_BASE_RATE64 = 2;
export const TCA_CAKE_DIFFSERV_MODE = 3;
export const TCA_CAKE_ATM = 4;
export const TCA_CAKE_FLOW_MODE = 5;
export const TCA_CAKE_OVERHEAD = 6;
export const TCA_CAKE_RTT = 7;
export const TCA_CAKE_TARGET = 8;
export const TCA_CAKE_AUTORATE = 9;
export const TCA_CAKE_MEMORY = 10;
export const TCA_CAKE_NAT = 11;
export const TCA_CAKE_RAW = 12;
export const TCA_CAKE_WASH = 13;
export const TCA_CAKE_MPU = 14;
export const TCA_CAKE_INGRESS = 15;
export const TCA_CAKE_ACK_FILTER = 16;
export const TCA_CAKE_SPLIT_GSO = 17;
export const TCA_CAKE_FWMARK = 18;
export const TCA_CAKE_STATS_PAD = 1;
export const TCA_CAKE_STATS_CAPACITY_ESTIMATE64 = 2;
export const TCA_CAKE_STATS_MEMORY_LIMIT = 3;
export const TCA_CAKE_STATS_MEMORY_USED = 4;
export const TCA_CAKE_STATS_AVG_NETOFF = 5;
export const TCA_CAKE_STATS_MIN_NETLEN = 6;
export const TCA_CAKE_STATS_MAX_NETLEN = 7;
export const TCA_CAKE_STATS_MIN_ADJLEN = 8;
export const TCA_CAKE_STATS_MAX_ADJLEN = 9;
export const TCA_CAKE_STATS_TIN_STATS = 10;
export const TCA_CAKE_STATS_DEFICIT = 11;
export const TCA_CAKE_STATS_COBALT_COUNT = 12;
export const TCA_CAKE_STATS_DROPPING = 13;
export const TCA_CAKE_STATS_DROP_NEXT_US = 14;
export const TCA_CAKE_STATS_P_DROP = 15;
export const TCA_CAKE_STATS_BLUE_TIMER_US = 16;
export const TCA_CAKE_TIN_STATS_PAD = 1;
export const TCA_CAKE_TIN_STATS_SENT_PACKETS = 2;
export const TCA_CAKE_TIN_STATS_SENT_BYTES64 = 3;
export const TCA_CAKE_TIN_STATS_DROPPED_PACKETS = 4;
export const TCA_CAKE_TIN_STATS_DROPPED_BYTES64 = 5;
export const TCA_CAKE_TIN_STATS_ACKS_DROPPED_PACKETS = 6;
export const TCA_CAKE_TIN_STATS_ACKS_DROPPED_BYTES64 = 7;
export const TCA_CAKE_TIN_STATS_ECN_MARKED_PACKETS = 8;
export const TCA_CAKE_TIN_STATS_ECN_MARKED_BYTES64 = 9;
export const TCA_CAKE_TIN_STATS_BACKLOG_PACKETS = 10;
export const TCA_CAKE_TIN_STATS_BACKLOG_BYTES = 11;
export const TCA_CAKE_TIN_STATS_THRESHOLD_RATE64 = 12;
export const TCA_CAKE_TIN_STATS_TARGET_US = 13;
export const TCA_CAKE_TIN_STATS_INTERVAL_US = 14;
export const TCA_CAKE_TIN_STATS_WAY_INDIRECT_HITS = 15;
export const TCA_CAKE_TIN_STATS_WAY_MISSES = 16;
export const TCA_CAKE_TIN_STATS_WAY_COLLISIONS = 17;
export const TCA_CAKE_TIN_STATS_PEAK_DELAY_US = 18;
export const TCA_CAKE_TIN_STATS_AVG_DELAY_US = 19;
export const TCA_CAKE_TIN_STATS_BASE_DELAY_US = 20;
export const TCA_CAKE_TIN_STATS_SPARSE_FLOWS = 21;
export const TCA_CAKE_TIN_STATS_BULK_FLOWS = 22;
export const TCA_CAKE_TIN_STATS_UNRESPONSIVE_FLOWS = 23;
export const TCA_CAKE_TIN_STATS_MAX_SKBLEN = 24;
export const TCA_CAKE_TIN_STATS_FLOW_QUANTUM = 25;

/** Major half of a handle, shifted down: 1 for 1:10. */
export const tcHMaj = (h: number): number => h >>> 16;
/** Minor half of a handle. */
export const tcHMin = (h: number): number => h & TC_H_MIN_MASK;
/** The handle maj:min, unsigned. */
export const tcHMake = (maj: number, min: number): number =>
  ((maj << 16) | (min & TC_H_MIN_MASK)) >>> 0;

/**
 * Band of each priority in pfifo_fast and by default in prio: 0 leaves first.
 * @kernel sch_default_prio2band net/sched/sch_generic.c
 */
export const prio2band: readonly number[] = Object.freeze([
  1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
]);

/** struct tc_prio_qopt; the map of 16 octets stands at PRIOMAP. */
export const tcPrioQopt = {
  LEN: 20,
  PRIOMAP: 4,
  bands: (v: DataView, o: number): number => v.getInt32(o, true),
  setBands: (v: DataView, o: number, x: number): void => v.setInt32(o, x, true),
} as const;

/** struct tc_ratespec. `rate` in octets a second, `overhead` and `mpu` in octets. */
export const tcRatespec = {
  LEN: 12,
  cellLog: (v: DataView, o: number): number => v.getUint8(o),
  linklayer: (v: DataView, o: number): number => v.getUint8(o + 1),
  overhead: (v: DataView, o: number): number => v.getUint16(o + 2, true),
  cellAlign: (v: DataView, o: number): number => v.getUint16(o + 4, true),
  mpu: (v: DataView, o: number): number => v.getUint16(o + 6, true),
  rate: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  setCellLog: (v: DataView, o: number, x: number): void => v.setUint8(o, x),
  setLinklayer: (v: DataView, o: number, x: number): void => v.setUint8(o + 1, x),
  setOverhead: (v: DataView, o: number, x: number): void => v.setUint16(o + 2, x, true),
  setCellAlign: (v: DataView, o: number, x: number): void => v.setUint16(o + 4, x, true),
  setMpu: (v: DataView, o: number, x: number): void => v.setUint16(o + 6, x, true),
  setRate: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
} as const;

/** struct tc_stats: TCA_STATS. */
export const tcStats = {
  LEN: 40,
  BYTES: 0,
  packets: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  drops: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  overlimits: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  bps: (v: DataView, o: number): number => v.getUint32(o + 20, true),
  pps: (v: DataView, o: number): number => v.getUint32(o + 24, true),
  qlen: (v: DataView, o: number): number => v.getUint32(o + 28, true),
  backlog: (v: DataView, o: number): number => v.getUint32(o + 32, true),
  setPackets: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setDrops: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setOverlimits: (v: DataView, o: number, x: number): void => v.setUint32(o + 16, x, true),
  setBps: (v: DataView, o: number, x: number): void => v.setUint32(o + 20, x, true),
  setPps: (v: DataView, o: number, x: number): void => v.setUint32(o + 24, x, true),
  setQlen: (v: DataView, o: number, x: number): void => v.setUint32(o + 28, x, true),
  setBacklog: (v: DataView, o: number, x: number): void => v.setUint32(o + 32, x, true),
} as const;

/** struct gnet_stats_queue: TCA_STATS_QUEUE. */
export const gnetStatsQueue = {
  LEN: 20,
  qlen: (v: DataView, o: number): number => v.getUint32(o, true),
  backlog: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  drops: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  requeues: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  overlimits: (v: DataView, o: number): number => v.getUint32(o + 16, true),
  setQlen: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setBacklog: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setDrops: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setRequeues: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setOverlimits: (v: DataView, o: number, x: number): void => v.setUint32(o + 16, x, true),
} as const;

/** ns of a tick, the unit of buckets' sizes. @kernel PSCHED_TICKS2NS include/net/pkt_sched.h */
export const PSCHED_TICK_NS = 64;

/** struct tc_tbf_qopt: two struct tc_ratespec, at RATE and PEAKRATE, then bytes, ticks, ticks. */
export const tcTbfQopt = {
  LEN: 36,
  RATE: 0,
  PEAKRATE: 12,
  limit: (v: DataView, o: number): number => v.getUint32(o + 24, true),
  buffer: (v: DataView, o: number): number => v.getUint32(o + 28, true),
  mtu: (v: DataView, o: number): number => v.getUint32(o + 32, true),
  setLimit: (v: DataView, o: number, x: number): void => v.setUint32(o + 24, x, true),
  setBuffer: (v: DataView, o: number, x: number): void => v.setUint32(o + 28, x, true),
  setMtu: (v: DataView, o: number, x: number): void => v.setUint32(o + 32, x, true),
} as const;

/** struct tc_codel_xstats. Times in us. */
export const tcCodelXstats = {
  LEN: 36,
  maxpacket: (v: DataView, o: number): number => v.getUint32(o, true),
  count: (v: DataView, o: number): number => v.getUint32(o + 4, true),
  lastcount: (v: DataView, o: number): number => v.getUint32(o + 8, true),
  ldelay: (v: DataView, o: number): number => v.getUint32(o + 12, true),
  dropNext: (v: DataView, o: number): number => v.getInt32(o + 16, true),
  dropOverlimit: (v: DataView, o: number): number => v.getUint32(o + 20, true),
  ecnMark: (v: DataView, o: number): number => v.getUint32(o + 24, true),
  dropping: (v: DataView, o: number): number => v.getUint32(o + 28, true),
  ceMark: (v: DataView, o: number): number => v.getUint32(o + 32, true),
  setMaxpacket: (v: DataView, o: number, x: number): void => v.setUint32(o, x, true),
  setCount: (v: DataView, o: number, x: number): void => v.setUint32(o + 4, x, true),
  setLastcount: (v: DataView, o: number, x: number): void => v.setUint32(o + 8, x, true),
  setLdelay: (v: DataView, o: number, x: number): void => v.setUint32(o + 12, x, true),
  setDropNext: (v: DataView, o: number, x: number): void => v.setInt32(o + 16, x, true),
  setDropOverlimit: (v: DataView, o: number, x: number): void => v.setUint32(o + 20, x, true),
  setEcnMark: (v: DataView, o: number, x: number): void => v.setUint32(o + 24, x, true),
  setDropping: (v: DataView, o: number, x: number): void => v.setUint32(o + 28, x, true),
  setCeMark: (v: DataView, o: number, x: number): void => v.setUint32(o + 32, x, true),
} as const;

/** struct tc_fq_qd_stats: offsets of its fields. */
export const tcFqQdStats = {
  LEN: 152,
  GC_FLOWS: 0,
  HIGHPRIO_PACKETS: 8,
  TCP_RETRANS: 16,
  THROTTLED: 24,
  FLOWS_PLIMIT: 32,
  PKTS_TOO_LONG: 40,
  ALLOCATION_ERRORS: 48,
  TIME_NEXT_DELAYED_FLOW: 56,
  FLOWS: 64,
  INACTIVE_FLOWS: 68,
  THROTTLED_FLOWS: 72,
  UNTHROTTLE_LATENCY_NS: 76,
  CE_MARK: 80,
  HORIZON_DROPS: 88,
  HORIZON_CAPS: 96,
  FASTPATH_PACKETS: 104,
  BAND_DROPS: 112,
  BAND_PKT_COUNT: 136,
} as const;

/** struct tc_fq_codel_xstats: offsets of its fields, by the type that stands first. */
export const tcFqCodelXstats = {
  LEN: 40,
  TYPE: 0,
  // TCA_FQ_CODEL_XSTATS_QDISC
  MAXPACKET: 4,
  DROP_OVERLIMIT: 8,
  ECN_MARK: 12,
  NEW_FLOW_COUNT: 16,
  NEW_FLOWS_LEN: 20,
  OLD_FLOWS_LEN: 24,
  CE_MARK: 28,
  MEMORY_USAGE: 32,
  DROP_OVERMEMORY: 36,
  // TCA_FQ_CODEL_XSTATS_CLASS
  DEFICIT: 4,
  LDELAY: 8,
  COUNT: 12,
  LASTCOUNT: 16,
  DROPPING: 20,
  DROP_NEXT: 24,
} as const;
