/**
 * /proc/net/dev, dev_mcast, softnet_stat, ptype and protocols. Counterpart of net/core/net-procfs.c.
 */

import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { NetDevice, PacketType, SoftnetData } from '#include/linux/netdevice.ts';
import type { Net, PernetOperations } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import { devGetStats } from '#net/core/dev.ts';
import { registerPernetSubsys } from '#net/core/net_namespace.ts';
import { protoSeqShow } from '#net/core/sock_proto.ts';
import { ETH_P_ALL } from '#uapi/if_ether.ts';

function pad(value: number | string, width: number): string {
  return String(value).padStart(width);
}

function hex(value: number, width: number): string {
  return value.toString(16).padStart(width, '0');
}

/** @kernel dev_seq_printf_stats net/core/net-procfs.c */
function devRow(dev: NetDevice): string {
  const s = devGetStats(dev);
  const rxFrame = s.rxLengthErrors + s.rxOverErrors + s.rxCrcErrors + s.rxFrameErrors;
  const txCarrier = s.txCarrierErrors + s.txAbortedErrors + s.txWindowErrors + s.txHeartbeatErrors;
  return (
    `${pad(dev.name, 6)}: ${pad(s.rxBytes, 7)} ${pad(s.rxPackets, 7)} ${pad(s.rxErrors, 4)}` +
    ` ${pad(s.rxDropped + s.rxMissedErrors, 4)} ${pad(s.rxFifoErrors, 4)} ${pad(rxFrame, 5)}` +
    ` ${pad(s.rxCompressed, 10)} ${pad(s.multicast, 9)}` +
    ` ${pad(s.txBytes, 8)} ${pad(s.txPackets, 7)} ${pad(s.txErrors, 4)} ${pad(s.txDropped, 4)}` +
    ` ${pad(s.txFifoErrors, 4)} ${pad(s.collisions, 5)} ${pad(txCarrier, 7)}` +
    ` ${pad(s.txCompressed, 10)}\n`
  );
}

/** @kernel dev_seq_show net/core/net-procfs.c */
export function devSeqShow(net: Net): string {
  return (
    'Inter-|   Receive                                                |  Transmit\n' +
    ' face |bytes    packets errs drop fifo frame compressed multicast|' +
    'bytes    packets errs drop fifo colls carrier compressed\n' +
    net.devBaseHead.map(devRow).join('')
  );
}

/** @kernel dev_mc_seq_show net/core/net-procfs.c */
function devMcSeqShow(net: Net): string {
  let text = '';
  for (const dev of net.devBaseHead) {
    for (const ha of dev.mc) {
      const addr = Array.from(ha.addr.subarray(0, dev.addrLen), (b) => hex(b, 2)).join('');
      const index = String(dev.ifindex).padEnd(4);
      text += `${index} ${dev.name.padEnd(15)} ${pad(ha.refcount, 5)} ${pad(0, 5)} ${addr}\n`;
    }
  }
  return text;
}

function softnetRow(sd: SoftnetData): string {
  const input = sd.inputPktQueue.qlen;
  const process = sd.processQueue.qlen;
  const columns = [
    sd.processed,
    sd.dropped,
    sd.timeSqueeze,
    0,
    0,
    0,
    0,
    0,
    0,
    sd.receivedRps,
    sd.flowLimit?.count ?? 0,
    input + process,
    sd.cpu.id,
    input,
    process,
  ];
  return `${columns.map((n) => hex(n >>> 0, 8)).join(' ')}\n`;
}

/** One line for each CPU. @kernel softnet_seq_show net/core/net-procfs.c */
export function softnetSeqShow(net: Net): string {
  return net.machine.netGlobals.softnetData.map(softnetRow).join('');
}

/** A function's name as C spells it: `ipRcv` is `ip_rcv`. */
function cName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function ptypeRow(pt: PacketType): string {
  const type = pt.type === ETH_P_ALL ? 'ALL ' : hex(pt.type, 4);
  return `${type} ${(pt.dev?.name ?? '').padEnd(8)} ${cName(pt.func.name)}\n`;
}

/** @kernel ptype_seq_show net/core/net-procfs.c */
function ptypeSeqShow(net: Net): string {
  const globals = net.machine.netGlobals;
  const mine = (pt: PacketType): boolean =>
    (pt.net === null || pt.net === net) && (pt.dev === null || pt.dev.net === net);
  const rows: PacketType[] = [];
  for (const dev of net.devBaseHead) rows.push(...dev.ptypeAll, ...dev.ptypeSpecific);
  rows.push(...globals.ptypeAll);
  for (const list of globals.ptypeBase.values()) rows.push(...list);
  return `Type Device      Function\n${rows.filter(mine).map(ptypeRow).join('')}`;
}

const FILES: readonly (readonly [string, (net: Net) => string])[] = [
  ['dev', devSeqShow],
  ['dev_mcast', devMcSeqShow],
  ['softnet_stat', softnetSeqShow],
  ['ptype', ptypeSeqShow],
  ['protocols', protoSeqShow],
];

const devProcOps: PernetOperations = {
  name: 'dev_proc',
  init(net: Net): number {
    for (const [name, show] of FILES) net.procNet.set(name, show);
    return 0;
  },
  exit(net: Net): void {
    for (const [name] of FILES) net.procNet.delete(name);
  },
};

/** @kernel dev_proc_init net/core/net-procfs.c */
function devProcInit(machine: Machine): number {
  return registerPernetSubsys(machine, devProcOps);
}

export const netProcModule: KernelModule = {
  name: 'proc_net',
  config: 'CONFIG_PROC_FS',
  depends: ['proc'],
  level: FS_INITCALL,
  init: devProcInit,
  exit: null,
};
