/**
 * 64-byte UDP frames through a machine that forwards between two dummy devices. Argument: how many routes,
 * of which the heap and the processor time to enter them are told as well.
 */
import { Lab } from '#cli/lab.ts';
import { turn } from '#cli/turn.ts';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { FibConfig, NlInfo } from '#include/net/ip_fib.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { localBhDisable, localBhEnable } from '#kernel/softirq.ts';
import { mem } from '#mm/memory.ts';
import { netifReceiveSkb } from '#net/core/dev_rx.ts';
import { netdevAllocSkb, skbPut } from '#net/core/skbuff.ts';
import { ethTypeTrans } from '#net/ethernet/eth.ts';
import { fibGetTable } from '#net/ipv4/fib_frontend_table.ts';
import { fibTableInsert } from '#net/ipv4/fib_trie_table.ts';
import { parseTopology } from '#sim/topology.ts';
import { NLM_F_CREATE } from '#uapi/netlink.ts';
import { RT_TABLE_MAIN, RTN_UNICAST, RTPROT_BOOT } from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';
import { heapBytes, measure, report } from '../measure.ts';

const lab = new Lab(
  parseTopology({
    topology: {
      nodes: {
        r: {
          sysctls: { 'net.ipv4.ip_forward': 1 },
          exec: [
            'ip link add d0 type dummy',
            'ip link add d1 type dummy',
            'ip addr add 10.0.1.1/24 dev d0',
            'ip addr add 10.0.2.1/24 dev d1',
            'ip link set d0 up',
            'ip link set d1 up',
            'ip neigh add 10.0.2.9 lladdr 02:00:00:00:00:09 dev d1',
          ],
        },
      },
    },
  }),
  { seed: 'bench', turn },
);
await lab.setUp();
const machine = lab.machine('r');
const dev = machine.initNet.devNameHead.get('d0');
const out = machine.initNet.devNameHead.get('d1');
if (dev === undefined || out === undefined) throw new Error('no devices');

// Ethernet, IPv4 (10.0.1.5 to 10.0.2.9, TTL 64), UDP without checksum, 18 bytes.
const frame = new Uint8Array(60);
frame.set(dev.devAddr.subarray(0, 6), 0);
frame.set(
  [2, 0, 0, 0, 0, 5, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 1, 5, 10, 0, 2, 9],
  6,
);
frame.set([0x13, 0x88, 0x13, 0x89, 0, 26, 0, 0], 34);
let sum = 0;
for (let i = 14; i < 34; i += 2) sum += ((frame[i] as number) << 8) | (frame[i + 1] as number);
const headerSum = sum;
while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
frame[24] = (~sum >>> 8) & 0xff;
frame[25] = ~sum & 0xff;

/** A table as large as asked for: /24s from 11.0.0.0 up, and a destination in each of 1,024 of them in turn. */
const routes = Number(process.argv[2] ?? 1);
const table = fibGetTable(machine.initNet, RT_TABLE_MAIN);
if (table === null) throw new Error('no main table');
const heapBefore = heapBytes();
const cpuBefore = process.cpuUsage();
if (routes > 1) {
  rtnlLock(machine);
  for (let i = 0; i < routes; i++) {
    const cfg = new FibConfig(new NlInfo(machine.initNet));
    cfg.fcDst = (0x0b000000 + i * 256) >>> 0;
    cfg.fcDstLen = 24;
    cfg.fcTable = RT_TABLE_MAIN;
    cfg.fcProtocol = RTPROT_BOOT;
    cfg.fcType = RTN_UNICAST;
    cfg.fcGw4 = 0x0a000209;
    cfg.fcGwFamily = AF_INET;
    cfg.fcNlflags = NLM_F_CREATE;
    const err = fibTableInsert(machine.initNet, table, cfg, null);
    if (err < 0) throw new Error(`route ${i}: errno ${-err}`);
  }
  rtnlUnlock(machine);
}
const fill = process.cpuUsage(cpuBefore);
const extra: Record<string, number> =
  routes === 1
    ? {}
    : {
        bytesPerRoute: (heapBytes() - heapBefore) / routes,
        fillCpuMs: (fill.user + fill.system) / 1e3,
      };
const spread = Math.min(routes, 1024);

/** Turns the frame to another destination, with the header checksum that belongs to it. */
function aim(n: number): void {
  if (spread === 1) return;
  const i = Math.floor((n % spread) * (routes / spread));
  const to = (0x0b000000 + i * 256 + 9) >>> 0;
  let sum = headerSum - 0x0a00 - 0x0209 + (to >>> 16) + (to & 0xffff);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  frame[30] = to >>> 24;
  frame[31] = to >>> 16;
  frame[32] = to >>> 8;
  frame[33] = to;
  frame[24] = (~sum >>> 8) & 0xff;
  frame[25] = ~sum & 0xff;
}

const before = out.stats.txPackets;
let injected = 0;

function forwardSome(from: NetDevice): number {
  for (let batch = 0; batch < 16; batch++) {
    localBhDisable(machine);
    for (let i = 0; i < 64; i++) {
      aim(injected + batch * 64 + i);
      const skb = netdevAllocSkb(from, frame.length);
      if (skb === null) throw new Error('no memory');
      mem.set(frame, skbPut(skb, frame.length));
      skb.protocol = ethTypeTrans(skb, from);
      netifReceiveSkb(skb);
    }
    localBhEnable(machine);
  }
  injected += 1024;
  return 1024;
}

report(
  measure(
    'packets',
    () => forwardSome(dev),
    () => extra,
  ),
);
if (out.stats.txPackets - before !== injected) {
  throw new Error(`${out.stats.txPackets - before} of ${injected} packets were forwarded`);
}
lab.world.halt();
