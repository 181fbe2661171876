/**
 * The forwarding information base. Counterpart of include/net/ip_fib.h, include/net/nexthop.h and
 * the rtable of include/net/route.h. Addresses are unsigned numbers in host order.
 *
 *   FibTable -> Trie -> leaf (KeyVector) -> FibAlias (tos, type, priority order)
 *                                              -> FibInfo (shared: protocol, metrics, prefsrc)
 *                                                   -> FibNh (device, gateway, cached Rtables,
 *                                                             exceptions: redirects, path MTUs)
 */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { DstEntry } from '#include/net/dst.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { NetlinkExtAck } from '#include/net/rtnetlink.ts';
import type { Trie } from '#net/ipv4/fib_trie.ts';
import { RTAX_MAX } from '#uapi/rtnetlink.ts';

/** One next hop of a route. @kernel fib_nh include/net/ip_fib.h */
export class FibNh {
  fibNhDev: NetDevice | null = null;
  fibNhOif = 0;
  /** RTNH_F_* */
  fibNhFlags = 0;
  fibNhScope = 0;
  /** Address of the gateway; 0: on link. */
  fibNhGw4 = 0;
  /** AF_INET when there is a gateway, else 0. */
  fibNhGwFamily = 0;
  fibNhWeight = 1;
  /** Upper end of this hop's share of [0, 2^31); -1: no share. */
  fibNhUpperBound = 0;
  fibNhSaddr = 0;
  fibNhSaddrGenid = -1;
  nhTclassid = 0;
  nhParent: FibInfo | null = null;
  /** Cached routes: for output, for input. */
  rthOutput: Rtable | null = null;
  rthInput: Rtable | null = null;
  /** Redirects and learned path MTUs, in chains by hash of the destination. */
  exceptions: (FibNhException | null)[] | null = null;
}

/** @kernel FNHE_HASH_SHIFT include/net/ip_fib.h */
export const FNHE_HASH_SHIFT = 11;
export const FNHE_HASH_SIZE: number = 1 << FNHE_HASH_SHIFT;
/** Entries of one chain before the oldest is taken over. @kernel FNHE_RECLAIM_DEPTH include/net/ip_fib.h */
export const FNHE_RECLAIM_DEPTH = 5;

/** What was learned about one destination behind a next hop. @kernel fib_nh_exception include/net/ip_fib.h */
export class FibNhException {
  fnheNext: FibNhException | null = null;
  fnheGenid = 0;
  fnheDaddr = 0;
  fnhePmtu = 0;
  fnheMtuLocked = false;
  fnheGw = 0;
  /** Jiffies; 0: never. */
  fnheExpires = 0;
  fnheRthInput: Rtable | null = null;
  fnheRthOutput: Rtable | null = null;
  fnheStamp = 0;
}

/** What routes with equal properties share. @kernel fib_info include/net/ip_fib.h */
export class FibInfo {
  readonly net: Net;
  /** Aliases that point here. */
  fibTreeref = 0;
  /** References in all. */
  fibClntref = 1;
  fibFlags = 0;
  fibDead = false;
  fibProtocol = 0;
  fibScope = 0;
  fibType = 0;
  fibPrefsrc = 0;
  fibTbId = 0;
  fibPriority = 0;
  /** Values by RTAX_*; the congestion control's is a key of the name below. */
  readonly fibMetrics: Uint32Array = new Uint32Array(RTAX_MAX + 1);
  /** The route carries metrics of its own. */
  fibHasMetrics = false;
  /** Name of RTAX_CC_ALGO, '' for none. */
  fibCongctl = '';
  fibNhIsV6 = false;
  pfsrcRemoved = false;
  fibOffload = false;
  fibNh: FibNh[] = [];

  constructor(net: Net) {
    this.net = net;
  }
}

/** A route as a request describes it, before it is checked. @kernel fib_config include/net/ip_fib.h */
export class FibConfig {
  fcDstLen = 0;
  /** DSCP bits of the TOS. */
  fcDscp = 0;
  fcProtocol = 0;
  fcScope = 0;
  fcType = 0;
  fcGwFamily = 0;
  fcTable = 0;
  fcDst = 0;
  fcGw4 = 0;
  fcOif = 0;
  fcFlags = 0;
  fcPriority = 0;
  fcPrefsrc = 0;
  fcNhId = 0;
  /** RTA_METRICS payload. */
  fcMx: Uint8Array | null = null;
  /** RTA_MULTIPATH payload. */
  fcMp: Uint8Array | null = null;
  fcFlow = 0;
  fcNlflags = 0;
  readonly fcNlinfo: NlInfo;
  fcEncapType = 0;

  constructor(info: NlInfo) {
    this.fcNlinfo = info;
  }
}

/** Who asked for a change, so that he is not told twice. @kernel nl_info include/net/netlink.h */
export class NlInfo {
  readonly nlNet: Net;
  readonly portid: number;
  readonly seq: number;
  readonly flags: number;
  skipNotify = false;
  skipNotifyKernel = false;

  constructor(net: Net, portid = 0, seq = 0, flags = 0) {
    this.nlNet = net;
    this.portid = portid;
    this.seq = seq;
    this.flags = flags;
  }
}

/** Result of a lookup, filled in place. @kernel fib_result include/net/ip_fib.h */
export class FibResult {
  prefix = 0;
  prefixlen = 0;
  nhSel = 0;
  type = 0;
  scope = 0;
  tclassid = 0;
  dscp = 0;
  fi: FibInfo | null = null;
  nhc: FibNh | null = null;
  table: FibTable | null = null;
  /** The leaf's list of aliases, for the choice between default routes. */
  faHead: FibAlias | null = null;
}

/**
 * One route of a leaf. There may be a million, so that the small fields share a word:
 *
 *     31        24 23        16 15         8 7          0
 *     +-----------+------------+------------+------------+
 *     |   state   |    slen    |    type    |    DSCP    |
 *     +-----------+------------+------------+------------+
 *
 * @kernel fib_alias net/ipv4/fib_lookup.h
 */
export class FibAlias {
  faNext: FibAlias | null;
  readonly faInfo: FibInfo;
  private bits: number;
  readonly tbId: number;
  faDefault: number;

  constructor(info: FibInfo, dscp: number, type: number, slen: number, tbId: number) {
    this.faNext = null;
    this.faInfo = info;
    this.bits = dscp | (type << 8) | (slen << 16);
    this.tbId = tbId;
    this.faDefault = -1;
  }

  get faDscp(): number {
    return this.bits & 0xff;
  }

  get faType(): number {
    return (this.bits >> 8) & 0xff;
  }

  /** 32 minus the prefix length. */
  get faSlen(): number {
    return (this.bits >> 16) & 0xff;
  }

  /** FA_S_* */
  get faState(): number {
    return this.bits >>> 24;
  }
  set faState(state: number) {
    this.bits = (this.bits & 0xffffff) | (state << 24);
  }
}

/** A routing table. The local table shares main's trie until a rule separates them. @kernel fib_table include/net/ip_fib.h */
export class FibTable {
  readonly tbId: number;
  tbNumDefault = 0;
  tbData: Trie;
  /** Another table whose trie this one uses. */
  alias: boolean;

  constructor(tbId: number, trie: Trie, alias: boolean) {
    this.tbId = tbId;
    this.tbData = trie;
    this.alias = alias;
  }
}

/** The indices that fib_semantics.c keeps over all fib_infos of a namespace. */
export class FibInfoTables {
  /** By properties. @kernel fib_info_hash net/ipv4/fib_semantics.c */
  readonly hash: Map<number, FibInfo[]> = new Map();
  /** By preferred source. @kernel fib_info_laddrhash net/ipv4/fib_semantics.c */
  readonly laddrHash: Map<number, Set<FibInfo>> = new Map();
  /** Next hops by device index. @kernel fib_info_devhash net/ipv4/fib_semantics.c */
  readonly devHash: Map<number, Set<FibNh>> = new Map();
}

/** An IPv4 route. @kernel rtable include/net/route.h */
export class Rtable extends DstEntry {
  rtGenid = 0;
  /** RTCF_* */
  rtFlags = 0;
  rtType = 0;
  rtIsInput = false;
  rtUsesGateway = false;
  rtIif = 0;
  rtGwFamily = 0;
  rtGw4 = 0;
  rtPmtu = 0;
  rtMtuLocked = false;
  /** On the list of routes that no next hop caches. */
  rtUncached = false;
}

/** Flags of fib_lookup. @kernel FIB_LOOKUP_NOREF include/net/fib_rules.h */
export const FIB_LOOKUP_NOREF = 1;
export const FIB_LOOKUP_IGNORE_LINKSTATE = 2;

/** @kernel fib_info_num_path include/net/nexthop.h */
export function fibInfoNumPath(fi: FibInfo): number {
  return fi.fibNh.length;
}

/** @kernel fib_info_nhc include/net/nexthop.h */
export function fibInfoNhc(fi: FibInfo, nhsel: number): FibNh {
  return fi.fibNh[nhsel] as FibNh;
}

/** @kernel fib_result_reset include/net/ip_fib.h */
export function fibResultReset(res: FibResult): void {
  res.prefix = 0;
  res.prefixlen = 0;
  res.nhSel = 0;
  res.type = 0;
  res.scope = 0;
  res.tclassid = 0;
  res.dscp = 0;
  res.fi = null;
  res.nhc = null;
  res.table = null;
  res.faHead = null;
}

/** What a request to change routes reports back. */
export type FibExtAck = NetlinkExtAck | null;
