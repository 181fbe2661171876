/**
 * Steering of received packets to CPUs, by flow (RPS) or after the flow's reader (RFS). Counterpart of
 * include/net/rps.h; the decisions are in net/core/dev_rps.ts.
 */
import type { NetGlobals } from '#include/net/net_globals.ts';
import type { Sock } from '#include/net/sock.ts';
import { TCP_ESTABLISHED } from '#uapi/tcp.ts';

/** An entry that names no CPU. @kernel RPS_NO_CPU include/net/rps.h */
export const RPS_NO_CPU = 0xffff;

/** Flows remembered by a CPU that looks for floods. @kernel FLOW_LIMIT_HISTORY include/linux/netdevice.h */
export const FLOW_LIMIT_HISTORY: number = 1 << 7;

/** CPUs among which a queue's packets are spread. @kernel rps_map include/net/rps.h */
export class RpsMap {
  readonly cpus: Uint8Array;

  constructor(cpus: readonly number[]) {
    this.cpus = Uint8Array.from(cpus);
  }
}

/**
 * The flows of one queue by hash: the CPU that each last went to, and the tail of that CPU's backlog
 * then. Only when its head has passed this mark may the flow move, or its packets would overtake each
 * other. @kernel rps_dev_flow_table include/net/rps.h
 */
export class RpsDevFlowTable {
  /** The table has 2^log entries. */
  readonly log: number;
  /** @kernel rps_dev_flow include/net/rps.h */
  readonly cpu: Uint16Array;
  readonly lastQtail: Int32Array;

  constructor(log: number) {
    this.log = log;
    this.cpu = new Uint16Array(2 ** log).fill(RPS_NO_CPU);
    this.lastQtail = new Int32Array(2 ** log);
  }
}

/**
 * The CPU on which each flow was last read or written: bits of the hash with the CPU in the low bits,
 * so that another flow's entry is not mistaken for one's own. @kernel rps_sock_flow_table include/net/rps.h
 */
export class RpsSockFlowTable {
  readonly mask: number;
  readonly ents: Int32Array;

  /** @param size a power of two */
  constructor(size: number) {
    this.mask = size - 1;
    this.ents = new Int32Array(size).fill(RPS_NO_CPU);
  }
}

/** Counts the flows among the last packets queued. @kernel sd_flow_limit include/linux/netdevice.h */
export class SdFlowLimit {
  /** Packets that it had dropped. */
  count: number;
  readonly logBuckets: number;
  historyHead: number;
  readonly history: Uint16Array;
  readonly buckets: Uint8Array;

  constructor(logBuckets: number) {
    this.count = 0;
    this.logBuckets = logBuckets;
    this.historyHead = 0;
    this.history = new Uint16Array(FLOW_LIMIT_HISTORY);
    this.buckets = new Uint8Array(2 ** logBuckets);
  }
}

/** A packet of this flow is read or written on this CPU. @kernel rps_record_sock_flow include/net/rps.h */
function rpsRecordSockFlow(globals: NetGlobals, hash: number, cpu: number): void {
  const table = globals.rpsSockFlowTable;
  if (table === null || hash === 0) return;
  const index = hash & table.mask;
  const val = (hash & ~globals.rpsCpuMask) | cpu;
  if (table.ents[index] !== val) table.ents[index] = val;
}

/** The flow's reader is here: its packets shall come here. @kernel sock_rps_record_flow include/net/rps.h */
export function sockRpsRecordFlow(sk: Sock): void {
  const { machine } = sk.net;
  const globals = machine.netGlobals;
  if (globals.rfsNeeded === 0) return;
  // Datagrams of many senders would only fill the table: a connection has one flow.
  if (sk.skcState === TCP_ESTABLISHED) rpsRecordSockFlow(globals, sk.skRxhash, machine.cpu.id);
}

/** The reader is gone: where its flow goes is anybody's guess again. @kernel sock_rps_delete_flow include/net/rps.h */
export function sockRpsDeleteFlow(sk: Sock): void {
  const globals = sk.net.machine.netGlobals;
  const table = globals.rpsSockFlowTable;
  if (globals.rfsNeeded === 0 || table === null || sk.skRxhash === 0) return;
  const index = sk.skRxhash & table.mask;
  if (table.ents[index] !== RPS_NO_CPU) table.ents[index] = RPS_NO_CPU;
}
