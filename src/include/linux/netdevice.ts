/**
 * Network devices, their queues, NAPI and the per-CPU state of the packet path.
 * Counterpart of include/linux/netdevice.h. Functions are in net/core/dev.ts.
 */

import type { EthtoolOps } from '#include/linux/ethtool.ts';
import type { InDevice } from '#include/linux/inetdevice.ts';
import type { NapiThread } from '#include/linux/napi_thread.ts';
import type { HeaderOps } from '#include/linux/netdevice_header.ts';
import type { XpsDevMaps } from '#include/linux/netdevice_xps.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { SkBuffHead } from '#include/linux/skbuff.ts';
import type { NeighParms } from '#include/net/neighbour.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetdevRxQueue } from '#include/net/netdev_rx_queue.ts';
import type { SdFlowLimit } from '#include/net/rps.ts';
import type { RtnlLinkOps } from '#include/net/rtnetlink.ts';
import type { Qdisc } from '#include/net/sch_generic.ts';
import type { Cpu } from '#kernel/cpu.ts';
import { HZ } from '#kernel/param.ts';
import type { CallSingleData } from '#kernel/smp.ts';
import type { Hrtimer } from '#kernel/time/hrtimer.ts';
import type { TimerList } from '#kernel/time/timer.ts';
import { Dql } from '#lib/dynamic_queue_limits.ts';
import { IF_OPER_UNKNOWN, IF_OPER_UP } from '#uapi/if.ts';

// Registration states. @kernel net_device.reg_state include/linux/netdevice.h
export const NETREG_UNINITIALIZED = 0;
export const NETREG_REGISTERED = 1;
export const NETREG_UNREGISTERING = 2;
export const NETREG_UNREGISTERED = 3;
export const NETREG_RELEASED = 4;
export const NETREG_DUMMY = 5;

// Bits of net_device.state.
export const __LINK_STATE_START = 0;
export const __LINK_STATE_PRESENT = 1;
export const __LINK_STATE_NOCARRIER = 2;
export const __LINK_STATE_LINKWATCH_PENDING = 3;
export const __LINK_STATE_DORMANT = 4;

// Bits of netdev_queue.state.
export const __QUEUE_STATE_DRV_XOFF = 0;
export const __QUEUE_STATE_STACK_XOFF = 1;
export const __QUEUE_STATE_FROZEN = 2;

// What ndo_start_xmit returns.
export const NETDEV_TX_OK = 0x00;
export const NETDEV_TX_BUSY = 0x10;

// What the transmit path returns to the caller.
export const NET_XMIT_SUCCESS = 0x00;
export const NET_XMIT_DROP = 0x01;
export const NET_XMIT_CN = 0x02;
export const NET_XMIT_MASK = 0x0f;

export const NET_RX_SUCCESS = 0;
export const NET_RX_DROP = 1;

export const RX_HANDLER_CONSUMED = 0;
export const RX_HANDLER_ANOTHER = 1;
export const RX_HANDLER_EXACT = 2;
export const RX_HANDLER_PASS = 3;

// Device events of the notifier chain. @kernel netdev_cmd include/linux/netdevice.h
export const NETDEV_UP = 1;
export const NETDEV_DOWN = 2;
export const NETDEV_REBOOT = 3;
export const NETDEV_CHANGE = 4;
export const NETDEV_REGISTER = 5;
export const NETDEV_UNREGISTER = 6;
export const NETDEV_CHANGEMTU = 7;
export const NETDEV_CHANGEADDR = 8;
export const NETDEV_PRE_CHANGEADDR = 9;
export const NETDEV_GOING_DOWN = 10;
export const NETDEV_CHANGENAME = 11;
export const NETDEV_FEAT_CHANGE = 12;
export const NETDEV_PRE_UP = 14;
export const NETDEV_POST_INIT = 16;
export const NETDEV_PRE_UNINIT = 17;
export const NETDEV_NOTIFY_PEERS = 20;
export const NETDEV_CHANGEUPPER = 22;
export const NETDEV_PRECHANGEMTU = 24;
export const NETDEV_CHANGEINFODATA = 25;
export const NETDEV_CHANGE_TX_QUEUE_LEN = 32;

export const IFF_LIVE_ADDR_CHANGE: number = 1 << 20;
export const IFF_XMIT_DST_RELEASE: number = 1 << 10;
export const IFF_TX_SKB_SHARING: number = 1 << 16;
export const IFF_NO_QUEUE: number = 1 << 21;
/** The device filters secondary unicast addresses itself. */
export const IFF_UNICAST_FLT: number = 1 << 12;
/** IFF_XMIT_DST_RELEASE may be set again. */
export const IFF_XMIT_DST_RELEASE_PERM: number = 1 << 17;

/** A user has set the indirection table of the receive hash. */
export const IFF_RXFH_CONFIGURED: number = 1 << 25;

// dev.addrAssignType
export const NET_ADDR_PERM = 0;
export const NET_ADDR_RANDOM = 1;
export const NET_ADDR_STOLEN = 2;
export const NET_ADDR_SET = 3;

/** Queue length of devices that name none, in packets. @kernel DEFAULT_TX_QUEUE_LEN include/linux/netdevice.h */
export const DEFAULT_TX_QUEUE_LEN = 1000;
/** Nested transmissions on one CPU beyond this are a loop. @kernel XMIT_RECURSION_LIMIT include/linux/netdevice.h */
export const XMIT_RECURSION_LIMIT = 8;

export const MAX_ADDR_LEN = 32;
/** Longest link-layer header reserved for. @kernel LL_MAX_HEADER include/linux/netdevice.h */
export const LL_MAX_HEADER = 128;
/** @kernel MAX_HEADER include/linux/netdevice.h */
export const MAX_HEADER: number = LL_MAX_HEADER + 48;
export const GSO_MAX_SEGS = 65535;
export const GSO_LEGACY_MAX_SIZE = 65536;
export const GSO_MAX_SIZE: number = 8 * GSO_MAX_SEGS;
export const NAPI_POLL_WEIGHT = 64;
export const GRO_HASH_BUCKETS = 8;

/** Hardware statistics. Doubles: exact to 2^53. @kernel rtnl_link_stats64 include/uapi/linux/if_link.h */
export class RtnlLinkStats64 {
  rxPackets = 0;
  txPackets = 0;
  rxBytes = 0;
  txBytes = 0;
  rxErrors = 0;
  txErrors = 0;
  rxDropped = 0;
  txDropped = 0;
  multicast = 0;
  collisions = 0;
  rxLengthErrors = 0;
  rxOverErrors = 0;
  rxCrcErrors = 0;
  rxFrameErrors = 0;
  rxFifoErrors = 0;
  rxMissedErrors = 0;
  txAbortedErrors = 0;
  txCarrierErrors = 0;
  txFifoErrors = 0;
  txHeartbeatErrors = 0;
  txWindowErrors = 0;
  rxCompressed = 0;
  txCompressed = 0;
  rxNohandler = 0;
  rxOtherhostDropped = 0;
}

/** A driver's operations. Every slot is present; null where the driver has none. @kernel net_device_ops include/linux/netdevice.h */
export interface NetDeviceOps {
  ndoInit: ((dev: NetDevice) => number) | null;
  ndoUninit: ((dev: NetDevice) => void) | null;
  ndoOpen: ((dev: NetDevice) => number) | null;
  ndoStop: ((dev: NetDevice) => number) | null;
  /** Takes the packet and returns NETDEV_TX_OK, or leaves it and returns NETDEV_TX_BUSY. */
  ndoStartXmit: (skb: SkBuff, dev: NetDevice) => number;
  ndoFeaturesCheck: ((skb: SkBuff, dev: NetDevice, features: number) => number) | null;
  ndoSelectQueue: ((dev: NetDevice, skb: SkBuff) => number) | null;
  ndoChangeRxFlags: ((dev: NetDevice, flags: number) => void) | null;
  ndoSetRxMode: ((dev: NetDevice) => void) | null;
  ndoSetMacAddress: ((dev: NetDevice, addr: Uint8Array) => number) | null;
  ndoValidateAddr: ((dev: NetDevice) => number) | null;
  ndoDoIoctl: ((dev: NetDevice, cmd: number, arg: Uint8Array) => number) | null;
  ndoChangeMtu: ((dev: NetDevice, newMtu: number) => number) | null;
  ndoTxTimeout: ((dev: NetDevice, txqueue: number) => void) | null;
  ndoGetStats64: ((dev: NetDevice, stats: RtnlLinkStats64) => void) | null;
  ndoFixFeatures: ((dev: NetDevice, features: number) => number) | null;
  ndoSetFeatures: ((dev: NetDevice, features: number) => number) | null;
  ndoChangeCarrier: ((dev: NetDevice, newCarrier: boolean) => number) | null;
  ndoGetIflink: ((dev: NetDevice) => number) | null;
  ndoGetPeerDev: ((dev: NetDevice) => NetDevice | null) | null;
}

/** A driver's operations with null in every slot it does not name: all of one shape. */
export function netDeviceOps(
  ops: Partial<NetDeviceOps> & Pick<NetDeviceOps, 'ndoStartXmit'>,
): NetDeviceOps {
  return {
    ndoInit: ops.ndoInit ?? null,
    ndoUninit: ops.ndoUninit ?? null,
    ndoOpen: ops.ndoOpen ?? null,
    ndoStop: ops.ndoStop ?? null,
    ndoStartXmit: ops.ndoStartXmit,
    ndoFeaturesCheck: ops.ndoFeaturesCheck ?? null,
    ndoSelectQueue: ops.ndoSelectQueue ?? null,
    ndoChangeRxFlags: ops.ndoChangeRxFlags ?? null,
    ndoSetRxMode: ops.ndoSetRxMode ?? null,
    ndoSetMacAddress: ops.ndoSetMacAddress ?? null,
    ndoValidateAddr: ops.ndoValidateAddr ?? null,
    ndoDoIoctl: ops.ndoDoIoctl ?? null,
    ndoChangeMtu: ops.ndoChangeMtu ?? null,
    ndoTxTimeout: ops.ndoTxTimeout ?? null,
    ndoGetStats64: ops.ndoGetStats64 ?? null,
    ndoFixFeatures: ops.ndoFixFeatures ?? null,
    ndoSetFeatures: ops.ndoSetFeatures ?? null,
    ndoChangeCarrier: ops.ndoChangeCarrier ?? null,
    ndoGetIflink: ops.ndoGetIflink ?? null,
    ndoGetPeerDev: ops.ndoGetPeerDev ?? null,
  };
}

export type RxHandler = (skb: SkBuff) => { skb: SkBuff | null; result: number };

/** One transmit queue of a device. @kernel netdev_queue include/linux/netdevice.h */
export class NetdevQueue {
  readonly dev: NetDevice;
  readonly index: number;
  /** The qdisc in use, and the one to return to after a deactivation. */
  qdisc: Qdisc;
  qdiscSleeping: Qdisc;
  /** __QUEUE_STATE_* bits. */
  state: number;
  /** Jiffies of the last transmission start. */
  transStart: number;
  transTimeout: number;
  /** CPU number that holds the transmit lock; -1: free. A second taking is a dead loop. */
  xmitLockOwner: number;
  /** Byte queue limit (BQL): what the device is given, and how much it may be. */
  readonly dql: Dql;

  constructor(dev: NetDevice, index: number, qdisc: Qdisc) {
    this.dev = dev;
    this.index = index;
    this.qdisc = qdisc;
    this.qdiscSleeping = qdisc;
    this.state = 0;
    this.transStart = 0;
    this.transTimeout = 0;
    this.xmitLockOwner = -1;
    const { machine } = dev.net;
    this.dql = new Dql(HZ, machine.jiffies);
  }
}

// Bits of napi_struct.state.
export const NAPI_STATE_SCHED = 0;
export const NAPI_STATE_MISSED = 1;
export const NAPI_STATE_DISABLE = 2;
export const NAPI_STATE_NPSVC = 3;
export const NAPI_STATE_LISTED = 4;
export const NAPI_STATE_NO_BUSY_POLL = 5;
export const NAPI_STATE_IN_BUSY_POLL = 6;
export const NAPI_STATE_PREFER_BUSY_POLL = 7;
export const NAPI_STATE_THREADED = 8;
export const NAPI_STATE_SCHED_THREADED = 9;

/** A polling instance of a driver. @kernel napi_struct include/linux/netdevice.h */
export class NapiStruct {
  dev: NetDevice;
  /** Links on a poll list (intrusive), and the list; null: on none. */
  pollNext: NapiStruct | null;
  pollPrev: NapiStruct | null;
  pollList: NapiList | null;
  /** NAPI_STATE_* bits. */
  state: number;
  weight: number;
  poll: (napi: NapiStruct, budget: number) => number;
  napiId: number;
  /** CPU on whose poll list this instance is; -1: none. */
  listOwner: number;
  deferHardIrqsCount: number;
  /** Held packets by flow hash; bit n of groBitmask: groHash[n] is not empty. */
  groBitmask: number;
  readonly groHash: SkBuffHead[];
  /** Finished GRO_NORMAL packets waiting for a batch delivery. */
  readonly rxList: SkBuffHead;
  rxCount: number;
  timer: Hrtimer<NapiStruct> | null;
  /** Polls it in place of the soft interrupt; null: none. */
  thread: NapiThread | null;

  constructor(
    dev: NetDevice,
    poll: (napi: NapiStruct, budget: number) => number,
    weight: number,
    napiId: number,
  ) {
    this.dev = dev;
    this.pollNext = null;
    this.pollPrev = null;
    this.pollList = null;
    this.state = (1 << NAPI_STATE_SCHED) | (1 << NAPI_STATE_NPSVC);
    this.weight = weight;
    this.poll = poll;
    this.napiId = napiId;
    this.listOwner = -1;
    this.deferHardIrqsCount = 0;
    this.groBitmask = 0;
    this.groHash = [];
    for (let i = 0; i < GRO_HASH_BUCKETS; i++) this.groHash.push(new SkBuffHead());
    this.rxList = new SkBuffHead();
    this.rxCount = 0;
    this.timer = null;
    this.thread = null;
  }
}

/** A receiver of packets of one protocol, or of all (taps). @kernel packet_type include/linux/netdevice.h */
export class PacketType {
  /** ETH_P_*, host order; ETH_P_ALL for taps. */
  readonly type: number;
  /** Only packets of this device; null: of all. */
  dev: NetDevice | null;
  /** Only packets of this namespace; null: of all. */
  net: Net | null;
  readonly func: (skb: SkBuff, dev: NetDevice, pt: PacketType, origDev: NetDevice) => number;
  readonly idMatch: ((pt: PacketType, sk: object) => boolean) | null;
  /** Do not see what this host sends. */
  ignoreOutgoing: boolean;
  afPacketPriv: object | null;

  constructor(
    type: number,
    func: (skb: SkBuff, dev: NetDevice, pt: PacketType, origDev: NetDevice) => number,
    dev: NetDevice | null = null,
    net: Net | null = null,
    idMatch: ((pt: PacketType, sk: object) => boolean) | null = null,
  ) {
    this.type = type;
    this.func = func;
    this.dev = dev;
    this.net = net;
    this.idMatch = idMatch;
    this.ignoreOutgoing = false;
    this.afPacketPriv = null;
  }
}

/** A list of polling instances, linked through `pollNext` and `pollPrev`. */
export class NapiList {
  first: NapiStruct | null;
  last: NapiStruct | null;

  constructor() {
    this.first = null;
    this.last = null;
  }
}

/** Per-CPU state of the packet path. @kernel softnet_data include/linux/netdevice.h */
export class SoftnetData {
  readonly cpu: Cpu;
  /** NAPI instances to poll; those that net_rx_action has taken; those to be polled again. */
  readonly pollList: NapiList;
  readonly activeList: NapiList;
  readonly repollList: NapiList;
  /** Backlog packets being processed. */
  readonly processQueue: SkBuffHead;
  /** Packets of netif_rx() that wait for the backlog's poll. */
  readonly inputPktQueue: SkBuffHead;
  /** The backlog's own polling instance; created by net_dev_init(). */
  backlog: NapiStruct | null;
  /** Qdiscs to be run by NET_TX. */
  outputQueue: Qdisc | null;
  outputQueueTail: Qdisc | null;
  /** Transmitted packets to be freed by NET_TX, linked by `next`. */
  completionQueue: SkBuff | null;
  processed: number;
  timeSqueeze: number;
  dropped: number;
  cpuCollision: number;
  receivedRps: number;
  /** Other CPUs to whose backlogs this one has added, to be told at the end of the poll; linked by `rpsIpiNext`. */
  rpsIpiList: SoftnetData | null;
  rpsIpiNext: SoftnetData | null;
  /** The interrupt that tells this CPU; made by net_dev_init(). */
  csd: CallSingleData | null;
  /** Packets ever taken from and put on the backlog, int32: the last_qtail of a flow says when it has drained. */
  inputQueueHead: number;
  inputQueueTail: number;
  /** Recognises a flow that floods the backlog; null: net.core.flow_limit_cpu_bitmap leaves this CPU out. */
  flowLimit: SdFlowLimit | null;
  /** True while net_rx_action runs. */
  inNetRxAction: boolean;
  /** What the driver answered last: the second result of dev_hard_start_xmit(). */
  xmitRet: number;
  /** Packets a qdisc refused, to be freed when it has been run. */
  readonly toFree: SkBuffHead;
  /** Depth of nested transmissions. @kernel xmit_recursion net/core/dev.h */
  xmitRecursion: number;
  /** More packets follow at once: the driver may delay its doorbell. @kernel netdev_xmit_more include/linux/netdevice.h */
  xmitMore: boolean;

  constructor(cpu: Cpu) {
    this.cpu = cpu;
    this.pollList = new NapiList();
    this.activeList = new NapiList();
    this.repollList = new NapiList();
    this.processQueue = new SkBuffHead();
    this.inputPktQueue = new SkBuffHead();
    this.backlog = null;
    this.outputQueue = null;
    this.outputQueueTail = null;
    this.completionQueue = null;
    this.processed = 0;
    this.timeSqueeze = 0;
    this.dropped = 0;
    this.cpuCollision = 0;
    this.receivedRps = 0;
    this.rpsIpiList = null;
    this.rpsIpiNext = null;
    this.csd = null;
    this.inputQueueHead = 0;
    this.inputQueueTail = 0;
    this.flowLimit = null;
    this.inNetRxAction = false;
    this.xmitRet = 0;
    this.toFree = new SkBuffHead();
    this.xmitRecursion = 0;
    this.xmitMore = false;
  }
}

/** A multicast or secondary unicast address of a device. @kernel netdev_hw_addr include/linux/netdevice.h */
export interface NetdevHwAddr {
  readonly addr: Uint8Array;
  refcount: number;
}

/** A network interface. @kernel net_device include/linux/netdevice.h */
export class NetDevice {
  net: Net;
  name: string;
  ifindex: number;
  /** Index of the lower device, or its own. */
  iflink: number;
  /** NETREG_* */
  regState: number;
  /** __LINK_STATE_* bits. */
  state: number;
  /** IFF_* as users see them. */
  flags: number;
  gflags: number;
  /** IFF_* of Linux's priv_flags (IFF_NO_QUEUE, IFF_LIVE_ADDR_CHANGE...). */
  privFlags: number;
  /** ARPHRD_* */
  type: number;
  mtu: number;
  minMtu: number;
  maxMtu: number;
  hardHeaderLen: number;
  neededHeadroom: number;
  neededTailroom: number;
  addrLen: number;
  readonly devAddr: Uint8Array;
  readonly permAddr: Uint8Array;
  readonly broadcast: Uint8Array;
  addrAssignType: number;
  /** NETIF_F_*: in use, changeable, wanted, for VLANs and tunnels. */
  features: number;
  hwFeatures: number;
  wantedFeatures: number;
  hwEncFeatures: number;
  gsoMaxSize: number;
  gsoMaxSegs: number;
  /** What the driver can cut at most: `gsoMax*` may be lowered, these not. */
  tsoMaxSize: number;
  tsoMaxSegs: number;
  groMaxSize: number;
  netdevOps: NetDeviceOps;
  ethtoolOps: EthtoolOps | null;
  headerOps: HeaderOps | null;
  rtnlLinkOps: RtnlLinkOps | null;
  rxHandler: RxHandler | null;
  rxHandlerData: object | null;
  /** Taps on this device only. */
  readonly ptypeAll: PacketType[];
  readonly ptypeSpecific: PacketType[];
  tx: NetdevQueue[];
  rx: NetdevRxQueue[];
  /** By XPS_*: the maps of transmit queues; null: none. */
  readonly xpsMaps: [XpsDevMaps | null, XpsDevMaps | null];
  numTxQueues: number;
  realNumTxQueues: number;
  numRxQueues: number;
  realNumRxQueues: number;
  /** Root qdisc as shown to users. */
  qdisc: Qdisc | null;
  txQueueLen: number;
  /** Jiffies without progress before ndo_tx_timeout. */
  watchdogTimeo: number;
  watchdogTimer: TimerList<NetDevice> | null;
  readonly napiList: NapiStruct[];
  readonly stats: RtnlLinkStats64;
  /** Drops by the core, per direction. @kernel net_device_core_stats include/linux/netdevice.h */
  coreRxDropped: number;
  coreTxDropped: number;
  coreRxNohandler: number;
  coreRxOtherhostDropped: number;
  /** Holders: dev_hold()/dev_put(). */
  refcnt: number;
  /** Debug builds: who holds how many of them, by the name given to netdevHold(). */
  readonly holders: Map<string, number>;
  promiscuity: number;
  allmulti: number;
  readonly mc: NetdevHwAddr[];
  readonly uc: NetdevHwAddr[];
  ipPtr: InDevice | null;
  ip6Ptr: object | null;
  /** Upper and lower devices (bridges, bonds). */
  master: NetDevice | null;
  group: number;
  /** IF_OPER_* */
  operstate: number;
  linkMode: number;
  /** This device has made itself promiscuous for want of a unicast filter. */
  ucPromisc: boolean;
  /** Users gave up the registration; the device is on its way out. */
  dismantle: boolean;
  carrierUpCount: number;
  carrierDownCount: number;
  irq: number;
  memStart: number;
  baseAddr: number;
  /** Its polling instances have threads. */
  threaded: boolean;
  napiDeferHardIrqs: number;
  groFlushTimeoutNs: number;
  needsFreeNetdev: boolean;
  privDestructor: ((dev: NetDevice) => void) | null;
  /** The driver's private part. @kernel netdev_priv include/linux/netdevice.h */
  priv: unknown;
  ifalias: string;
  /** Neighbour parameters of each table that this device uses. */
  readonly neighParms: NeighParms[];

  constructor(net: Net, name: string, netdevOps: NetDeviceOps, priv: unknown) {
    this.net = net;
    this.name = name;
    this.ifindex = 0;
    this.iflink = 0;
    this.regState = NETREG_UNINITIALIZED;
    this.state = 0;
    this.flags = 0;
    this.gflags = 0;
    this.privFlags = 0;
    this.type = 0;
    this.mtu = 0;
    this.minMtu = 0;
    this.maxMtu = 0;
    this.hardHeaderLen = 0;
    this.neededHeadroom = 0;
    this.neededTailroom = 0;
    this.addrLen = 0;
    this.devAddr = new Uint8Array(MAX_ADDR_LEN);
    this.permAddr = new Uint8Array(MAX_ADDR_LEN);
    this.broadcast = new Uint8Array(MAX_ADDR_LEN);
    this.addrAssignType = 0;
    this.features = 0;
    this.hwFeatures = 0;
    this.wantedFeatures = 0;
    this.hwEncFeatures = 0;
    this.gsoMaxSize = GSO_LEGACY_MAX_SIZE;
    this.gsoMaxSegs = GSO_MAX_SEGS;
    this.tsoMaxSize = GSO_LEGACY_MAX_SIZE;
    this.tsoMaxSegs = GSO_MAX_SEGS;
    this.groMaxSize = GSO_LEGACY_MAX_SIZE;
    this.netdevOps = netdevOps;
    this.ethtoolOps = null;
    this.headerOps = null;
    this.rtnlLinkOps = null;
    this.rxHandler = null;
    this.rxHandlerData = null;
    this.ptypeAll = [];
    this.ptypeSpecific = [];
    this.tx = [];
    this.rx = [];
    this.xpsMaps = [null, null];
    this.numTxQueues = 1;
    this.realNumTxQueues = 1;
    this.numRxQueues = 1;
    this.realNumRxQueues = 1;
    this.qdisc = null;
    this.txQueueLen = 0;
    this.watchdogTimeo = 0;
    this.watchdogTimer = null;
    this.napiList = [];
    this.stats = new RtnlLinkStats64();
    this.coreRxDropped = 0;
    this.coreTxDropped = 0;
    this.coreRxNohandler = 0;
    this.coreRxOtherhostDropped = 0;
    this.refcnt = 1;
    this.holders = new Map();
    this.promiscuity = 0;
    this.allmulti = 0;
    this.mc = [];
    this.uc = [];
    this.ipPtr = null;
    this.ip6Ptr = null;
    this.master = null;
    this.group = 0;
    this.operstate = 0;
    this.linkMode = 0;
    this.ucPromisc = false;
    this.dismantle = false;
    this.carrierUpCount = 0;
    this.carrierDownCount = 0;
    this.irq = 0;
    this.memStart = 0;
    this.baseAddr = 0;
    this.threaded = false;
    this.napiDeferHardIrqs = 0;
    this.groFlushTimeoutNs = 0;
    this.needsFreeNetdev = false;
    this.privDestructor = null;
    this.priv = priv;
    this.ifalias = '';
    this.neighParms = [];
  }
}

// Transmit queues.

/** @kernel netdev_get_tx_queue include/linux/netdevice.h */
export function netdevGetTxQueue(dev: NetDevice, index: number): NetdevQueue {
  return dev.tx[index] as NetdevQueue;
}

/** The queue a packet was assigned to. @kernel skb_get_tx_queue include/linux/netdevice.h */
export function skbGetTxQueue(dev: NetDevice, skb: SkBuff): NetdevQueue {
  return dev.tx[skb.queueMapping] as NetdevQueue;
}

const QUEUE_STATE_DRV_XOFF_BIT = 1 << __QUEUE_STATE_DRV_XOFF;
const QUEUE_STATE_ANY_XOFF = QUEUE_STATE_DRV_XOFF_BIT | (1 << __QUEUE_STATE_STACK_XOFF);
const QUEUE_STATE_ANY_XOFF_OR_FROZEN = QUEUE_STATE_ANY_XOFF | (1 << __QUEUE_STATE_FROZEN);

/** The driver cannot take more. @kernel netif_tx_stop_queue include/linux/netdevice.h */
export function netifTxStopQueue(txq: NetdevQueue): void {
  txq.state |= QUEUE_STATE_DRV_XOFF_BIT;
}

/** @kernel netif_tx_start_queue include/linux/netdevice.h */
export function netifTxStartQueue(txq: NetdevQueue): void {
  txq.state &= ~QUEUE_STATE_DRV_XOFF_BIT;
}

/** @kernel netif_tx_queue_stopped include/linux/netdevice.h */
export function netifTxQueueStopped(txq: NetdevQueue): boolean {
  return (txq.state & QUEUE_STATE_DRV_XOFF_BIT) !== 0;
}

/** Stopped by the driver or by its byte limit. @kernel netif_xmit_stopped include/linux/netdevice.h */
export function netifXmitStopped(txq: NetdevQueue): boolean {
  return (txq.state & QUEUE_STATE_ANY_XOFF) !== 0;
}

/** @kernel netif_xmit_frozen_or_stopped include/linux/netdevice.h */
export function netifXmitFrozenOrStopped(txq: NetdevQueue): boolean {
  return (txq.state & QUEUE_STATE_ANY_XOFF_OR_FROZEN) !== 0;
}

/** @kernel netif_stop_queue include/linux/netdevice.h */
export function netifStopQueue(dev: NetDevice): void {
  netifTxStopQueue(netdevGetTxQueue(dev, 0));
}

/** @kernel netif_start_queue include/linux/netdevice.h */
export function netifStartQueue(dev: NetDevice): void {
  netifTxStartQueue(netdevGetTxQueue(dev, 0));
}

/** @kernel netif_queue_stopped include/linux/netdevice.h */
export function netifQueueStopped(dev: NetDevice): boolean {
  return netifTxQueueStopped(netdevGetTxQueue(dev, 0));
}

/** @kernel netif_tx_start_all_queues include/linux/netdevice.h */
export function netifTxStartAllQueues(dev: NetDevice): void {
  for (const txq of dev.tx) netifTxStartQueue(txq);
}

/** @kernel netif_tx_stop_all_queues net/core/dev.c */
export function netifTxStopAllQueues(dev: NetDevice): void {
  for (const txq of dev.tx) netifTxStopQueue(txq);
}

/** Keeps the stack from the driver while it is reset. @kernel netif_tx_disable include/linux/netdevice.h */
export function netifTxDisable(dev: NetDevice): void {
  netifTxStopAllQueues(dev);
}

/** Notes that the queue made progress. @kernel txq_trans_cond_update include/linux/netdevice.h */
export function netifTransUpdate(dev: NetDevice): void {
  netdevGetTxQueue(dev, 0).transStart = dev.net.machine.jiffies;
}

// States.

/** Between open and stop. @kernel netif_running include/linux/netdevice.h */
export function netifRunning(dev: NetDevice): boolean {
  return (dev.state & (1 << __LINK_STATE_START)) !== 0;
}

/** @kernel netif_device_present include/linux/netdevice.h */
export function netifDevicePresent(dev: NetDevice): boolean {
  return (dev.state & (1 << __LINK_STATE_PRESENT)) !== 0;
}

/** @kernel netif_carrier_ok include/linux/netdevice.h */
export function netifCarrierOk(dev: NetDevice): boolean {
  return (dev.state & (1 << __LINK_STATE_NOCARRIER)) === 0;
}

/** @kernel netif_dormant include/linux/netdevice.h */
export function netifDormant(dev: NetDevice): boolean {
  return (dev.state & (1 << __LINK_STATE_DORMANT)) !== 0;
}

/** @kernel netif_oper_up include/linux/netdevice.h */
export function netifOperUp(dev: NetDevice): boolean {
  return dev.operstate === IF_OPER_UP || dev.operstate === IF_OPER_UNKNOWN;
}

/** @kernel netif_is_multiqueue include/linux/netdevice.h */
export function netifIsMultiqueue(dev: NetDevice): boolean {
  return dev.numTxQueues > 1;
}

/** Keeps the route of packets that are handed to the driver. @kernel netif_keep_dst include/linux/netdevice.h */
export function netifKeepDst(dev: NetDevice): void {
  dev.privFlags &= ~(IFF_XMIT_DST_RELEASE | IFF_XMIT_DST_RELEASE_PERM);
}

/** More packets follow: the driver may put off its doorbell. @kernel netdev_xmit_more include/linux/netdevice.h */
export function netdevXmitMore(dev: NetDevice): boolean {
  const machine = dev.net.machine;
  return (machine.netGlobals.softnetData[machine.cpu.id] as SoftnetData).xmitMore;
}

// Statistics kept by the core's helpers.

/** @kernel dev_sw_netstats_rx_add include/linux/netdevice.h */
export function devSwNetstatsRxAdd(dev: NetDevice, len: number): void {
  dev.stats.rxPackets++;
  dev.stats.rxBytes += len;
}

/** @kernel dev_sw_netstats_tx_add include/linux/netdevice.h */
export function devSwNetstatsTxAdd(dev: NetDevice, packets: number, len: number): void {
  dev.stats.txPackets += packets;
  dev.stats.txBytes += len;
}

/** @kernel dev_core_stats_rx_dropped_inc include/linux/netdevice.h */
export function devCoreStatsRxDroppedInc(dev: NetDevice): void {
  dev.coreRxDropped++;
}

/** @kernel dev_core_stats_tx_dropped_inc include/linux/netdevice.h */
export function devCoreStatsTxDroppedInc(dev: NetDevice): void {
  dev.coreTxDropped++;
}

/** @kernel dev_core_stats_rx_otherhost_dropped_inc include/linux/netdevice.h */
export function devCoreStatsRxOtherhostDroppedInc(dev: NetDevice): void {
  dev.coreRxOtherhostDropped++;
}

// Link headers.

/** Room to keep before a packet that leaves by this device. @kernel LL_RESERVED_SPACE include/linux/netdevice.h */
export function llReservedSpace(dev: NetDevice): number {
  return ((dev.hardHeaderLen + dev.neededHeadroom) & ~15) + 16;
}

/** Pushes the link header; 0 when the device has none. @kernel dev_hard_header include/linux/netdevice.h */
export function devHardHeader(
  skb: SkBuff,
  dev: NetDevice,
  type: number,
  daddr: Uint8Array | null,
  saddr: Uint8Array | null,
  len: number,
): number {
  const ops = dev.headerOps;
  return ops === null ? 0 : ops.create(skb, dev, type, daddr, saddr, len);
}

/** The sender's link address; its length, 0 when unknown. @kernel dev_parse_header include/linux/netdevice.h */
export function devParseHeader(skb: SkBuff, haddr: Uint8Array): number {
  const ops = skb.dev === null ? null : skb.dev.headerOps;
  return ops === null ? 0 : ops.parse(skb, haddr);
}

/** @kernel dev_parse_header_protocol include/linux/netdevice.h */
export function devParseHeaderProtocol(skb: SkBuff): number {
  const ops = skb.dev === null ? null : skb.dev.headerOps;
  return ops === null || ops.parseProtocol === null ? 0 : ops.parseProtocol(skb);
}
