/** The forwarding information base. Counterpart of include/net/ip_fib.h and include/net/route.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import { DstEntry } from '#include/net/dst.ts';
import type { Flowi4 } from '#include/net/flow.ts';
import type { Net } from '#include/net/net_namespace.ts';

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
  fibNhUpperBound = 0;
  fibNhSaddr = 0;
  fibNhSaddrGenid = -1;
  nhParent: FibInfo | null = null;
  /** Cached routes: for output, for input. */
  rthOutput: Rtable | null = null;
  rthInput: Rtable | null = null;
  /** Redirects and learned path MTUs by destination. */
  exceptions: Map<number, FibNhException> | null = null;
}

/** @kernel fib_nh_exception include/net/ip_fib.h */
export class FibNhException {
  fnheGenid = 0;
  fnheDaddr = 0;
  fnhePmtu = 0;
  fnheMtuLocked = false;
  fnheGw = 0;
  fnheExpires = 0;
  fnheRthInput: Rtable | null = null;
  fnheRthOutput: Rtable | null = null;
  fnheStamp = 0;
}

/** What routes with equal properties share. @kernel fib_info include/net/ip_fib.h */
export class FibInfo {
  readonly net: Net;
  fibTreeref = 0;
  fibClntref = 1;
  fibFlags = 0;
  fibDead = false;
  fibProtocol = 0;
  fibScope = 0;
  fibType = 0;
  fibPrefsrc = 0;
  fibTbId = 0;
  fibPriority = 0;
  /** Values by RTAX_*. */
  readonly fibMetrics: Uint32Array = new Uint32Array(18);
  fibCongctl = '';
  fibNh: FibNh[] = [];

  constructor(net: Net) {
    this.net = net;
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
  fi: FibInfo | null = null;
  nhc: FibNh | null = null;
  table: FibTable | null = null;
}

/** A routing table; `tb` is the LC-trie's root in net/ipv4/fib_trie.ts. @kernel fib_table include/net/ip_fib.h */
export class FibTable {
  readonly tbId: number;
  tbNumDefault = 0;
  readonly trie: object;

  constructor(tbId: number, trie: object) {
    this.tbId = tbId;
    this.trie = trie;
  }
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
  /** On the list of uncached routes of the namespace. */
  rtUncached = false;
}

export type { Flowi4 };
