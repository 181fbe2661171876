/** A network namespace. Counterpart of include/net/net_namespace.h and include/net/netns/*.h. */
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { NfHookEntries } from '#include/linux/netfilter.ts';
import type { NetnsIpv4 } from '#include/net/netns/ipv4.ts';
import type { NetnsMib } from '#include/net/netns/mib.ts';
import type { Sock } from '#include/net/sock.ts';
import type { Machine } from '#kernel/machine.ts';
import type { SysctlTable } from '#kernel/sysctl.ts';

/** Contents of a file under /proc/net: produces the whole text at open. */
export type ProcNetShow = (net: Net) => string;

/** Everything that is per namespace hangs off this. @kernel net include/net/net_namespace.h */
export class Net {
  readonly machine: Machine;
  /** Number of the namespace in its machine; 0 is init_net. */
  readonly nsid: number;
  readonly name: string;
  refcnt: number;
  /** Devices in order of registration, and by index. */
  readonly devBaseHead: NetDevice[];
  readonly devIndexHead: Map<number, NetDevice>;
  readonly devNameHead: Map<string, NetDevice>;
  ifindexNext: number;
  /** Changed whenever any device or address changes, for dump consistency. */
  devBaseSeq: number;
  /** Set by the loopback driver; always present afterwards. */
  loopbackDev: NetDevice | null;
  /** Secret of this namespace's keyed hashes. */
  readonly hashMix: number;
  /** Protocol state, set by each family's pernet init. */
  ipv4: NetnsIpv4;
  readonly mib: NetnsMib;
  /** Hook chains, [NFPROTO_*][hook]. */
  readonly nfHooks: (NfHookEntries | null)[][];
  /** net.* sysctls of this namespace, e.g. `net.core.rmem_max`. */
  readonly sysctl: SysctlTable;
  /** Files of /proc/net by name, e.g. `tcp`. @kernel proc_net include/net/net_namespace.h */
  readonly procNet: Map<string, ProcNetShow>;
  /** The kernel's rtnetlink socket. */
  rtnl: Sock | null;
  /** The kernel's socket of generic netlink. */
  genlSock: Sock | null;
  /** The kernel's end of NETLINK_SOCK_DIAG. */
  diagNlsk: Sock | null;
  /** AF_PACKET sockets. */
  readonly packetSklist: Sock[];
  /** AF_UNIX sockets, with a name or without. @kernel unix_table include/net/netns/unix.h */
  readonly unixSocks: Set<Sock>;
  // net.core sysctls.
  sysctlSomaxconn: number;
  /** By CPU, 1: receive queues of new devices are spread there. Null: never set. @kernel netns_core include/net/netns/core.h */
  rpsDefaultMask: Uint8Array | null;
  sysctlOptmemMax: number;
  sysctlWmemDefault: number;
  sysctlRmemDefault: number;
  sysctlWmemMax: number;
  sysctlRmemMax: number;
  /** Sockets in use per protocol: kept by sock_prot_inuse_add. */
  readonly protInuse: Map<string, number>;
  sockInuse: number;
  /** Route cache generation; a change makes every cached dst fail its check. */
  rtGenid: number;

  constructor(
    machine: Machine,
    nsid: number,
    name: string,
    hashMix: number,
    ipv4: NetnsIpv4,
    mib: NetnsMib,
    nfHooks: (NfHookEntries | null)[][],
    sysctl: SysctlTable,
  ) {
    this.machine = machine;
    this.nsid = nsid;
    this.name = name;
    this.refcnt = 1;
    this.devBaseHead = [];
    this.devIndexHead = new Map();
    this.devNameHead = new Map();
    this.ifindexNext = 0;
    this.devBaseSeq = 1;
    this.loopbackDev = null;
    this.hashMix = hashMix;
    this.ipv4 = ipv4;
    this.mib = mib;
    this.nfHooks = nfHooks;
    this.sysctl = sysctl;
    this.procNet = new Map();
    this.rtnl = null;
    this.genlSock = null;
    this.diagNlsk = null;
    this.packetSklist = [];
    this.unixSocks = new Set();
    this.sysctlSomaxconn = 4096;
    this.rpsDefaultMask = null;
    this.sysctlOptmemMax = 131072;
    this.sysctlWmemDefault = 212992;
    this.sysctlRmemDefault = 212992;
    this.sysctlWmemMax = 4 << 20;
    this.sysctlRmemMax = 4 << 20;
    this.protInuse = new Map();
    this.sockInuse = 0;
    this.rtGenid = 0;
  }
}

/** Set-up and tear-down of a subsystem in each namespace. @kernel pernet_operations include/net/net_namespace.h */
export interface PernetOperations {
  readonly name: string;
  /** 0 or a negative errno. */
  init(net: Net): number;
  exit: ((net: Net) => void) | null;
}
