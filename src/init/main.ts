/**
 * The composition root: boots a machine by ordered initcalls, and halts it.
 *
 * Counterpart of init/main.c. The only module that knows every subsystem; each registers itself
 * with the ones it needs, in the order of Linux's initcall levels.
 */

import { chrDevInit } from '#drivers/char/mem.ts';
import { dummyInit } from '#drivers/net/dummy.ts';
import { e1000Init } from '#drivers/net/ethernet/intel/e1000/e1000_main.ts';
import { loopbackInit } from '#drivers/net/loopback.ts';
import { tunInit } from '#drivers/net/tun.ts';
import { vethInit } from '#drivers/net/veth.ts';
import { pciInit, pciShutdown } from '#drivers/pci/probe.ts';
import { shmemInit } from '#fs/shmem.ts';
import { NetGlobals } from '#include/net/net_globals.ts';
import { TraceEvents } from '#include/trace/events/events.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import { Machine, type MachineHost, runPending } from '#kernel/machine.ts';
import { NotifierChain } from '#kernel/notifier.ts';
import { rcuBarrier } from '#kernel/rcu.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { exitTask } from '#kernel/sched/task.ts';
import { doSoftirq } from '#kernel/softirq.ts';
import { netDevInit } from '#net/core/dev_init.ts';
import { netdevCheckTodo } from '#net/core/dev_register.ts';
import { neighInit } from '#net/core/neighbour_netlink.ts';
import { cleanupNet, netNsInit } from '#net/core/net_namespace.ts';
import { rtnetlinkInit } from '#net/core/rtnetlink.ts';
import { rtnetlinkLinkInit } from '#net/core/rtnetlink_link.ts';
import { skbCheckLeaks } from '#net/core/skbuff.ts';
import { inetInit } from '#net/ipv4/af_inet_init.ts';
import { netlinkInit } from '#net/netlink/af_netlink.ts';
import { genlInit } from '#net/netlink/genetlink.ts';
import { packetInit } from '#net/packet/af_packet.ts';
import { pktschedInit } from '#net/sched/sch_api.ts';
import { pktschedNetlinkInit } from '#net/sched/sch_api_netlink.ts';
import { sockInit } from '#net/socket.ts';
import { unixInit } from '#net/unix/af_unix.ts';

export interface BootOptions {
  readonly name: string;
  readonly host: MachineHost;
  /** Seed of all randomness in the machine: hash keys, ports, sequence numbers. */
  readonly seed: number | string;
  /** CPUs, 1 to 64; 1 by default. */
  readonly cpus?: number;
  /** Wall time at boot in seconds since the Unix epoch. */
  readonly bootEpochSec: number;
}

/** @kernel initcall_t include/linux/init.h */
interface Initcall {
  readonly name: string;
  /** 0 or a negative errno, which stops the boot. */
  call(machine: Machine): number;
}

/** In the order in which Linux runs them: core, postcore, subsys, fs, device. */
const INITCALLS: readonly Initcall[] = [
  { name: 'pci_driver_init', call: pciInit },
  { name: 'shmem_init', call: shmemInit },
  { name: 'chr_dev_init', call: chrDevInit },
  { name: 'sock_init', call: sockInit },
  { name: 'netlink_proto_init', call: netlinkInit },
  { name: 'rtnetlink_init', call: rtnetlinkInit },
  { name: 'genl_init', call: genlInit },
  { name: 'pktsched_init', call: pktschedInit },
  { name: 'net_dev_init', call: netDevInit },
  { name: 'rtnetlink_link_init', call: rtnetlinkLinkInit },
  { name: 'pktsched_netlink_init', call: pktschedNetlinkInit },
  { name: 'neigh_init', call: neighInit },
  { name: 'inet_init', call: inetInit },
  { name: 'af_unix_init', call: unixInit },
  { name: 'packet_init', call: packetInit },
  { name: 'loopback_init', call: loopbackInit },
  { name: 'dummy_init_module', call: dummyInit },
  { name: 'veth_init', call: vethInit },
  { name: 'tun_init', call: tunInit },
  { name: 'e1000_init_module', call: e1000Init },
];

/**
 * Boots a machine. It is ready when this returns: loopback exists (down), nothing is configured.
 * Throws KernelBug when an initcall fails, RangeError for an impossible number of CPUs.
 * @kernel start_kernel init/main.c
 */
export function bootMachine(options: BootOptions): Machine {
  const machine = new Machine({ ...options, trace: new TraceEvents() });
  machine.enter(options.host.readClock());
  machine.netGlobals = new NetGlobals(
    new NotifierChain(),
    new NotifierChain(),
    new NotifierChain(),
    new NotifierChain(),
  );
  fillSecrets(machine);
  machine.initNet = netNsInit(machine);
  for (const { name, call } of INITCALLS) {
    const err = call(machine);
    if (err !== 0) throw new KernelBug('initcall', `${name} failed with ${err}`);
  }
  // Kernel threads have not started yet in Linux either: what boot raised runs now.
  doSoftirq(machine);
  return machine;
}

/** Keys of the hashes and of the sequence numbers. @kernel net_secret_init net/core/secure_seq.c */
function fillSecrets(machine: Machine): void {
  const { inetEhashSecret, netSecret, tsSecret, syncookieSecret } = machine.netGlobals;
  for (const secret of [inetEhashSecret, netSecret, tsSecret, ...syncookieSecret]) {
    for (let i = 0; i < secret.length; i++) secret[i] = machine.random.i32();
  }
}

/**
 * Halts a machine: its programs end, its sockets and devices go, its timers stop. Afterwards the
 * live counters say what somebody has lost; in debug builds a lost packet or device is a KernelBug
 * that says whose. @kernel kernel_power_off kernel/reboot.c
 */
export function haltMachine(machine: Machine): void {
  for (const task of machine.tasks.list()) exitTask(task, 0);
  drain(machine);
  pciShutdown(machine);
  drain(machine);
  for (const net of [...machine.netGlobals.netnsList].reverse()) {
    cleanupNet(net);
    drain(machine);
  }
  rtnlLock(machine);
  rtnlUnlock(machine);
  drain(machine);
  if (DEBUG) {
    netdevCheckTodo(machine);
    skbCheckLeaks(machine);
  }
}

/** Lets everything that is pending happen, without time passing. */
function drain(machine: Machine): void {
  for (let round = 0; round < 100; round++) {
    runPending(machine);
    rcuBarrier(machine);
    const busy =
      machine.works.items.length > 0 ||
      machine.tasks.runQueue.length > 0 ||
      machine.cpus.some((cpu) => cpu.softirqPending !== 0);
    if (!busy) return;
  }
}
