/**
 * Boots a machine from the modules it is made of, and halts it.
 *
 * Counterpart of init/main.c. What stands here is in every kernel: sockets, devices, IPv4 with TCP
 * and UDP. Everything else is a module that the caller chooses: `defconfig.ts` has them all,
 * `tinyconfig.ts` what a gateway needs.
 */

import { loopbackInit } from '#drivers/net/loopback.ts';
import { FS_INITCALL, type InitcallLevel, SUBSYS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { NetGlobals } from '#include/net/net_globals.ts';
import { TraceEvents } from '#include/trace/events/events.ts';
import { DEBUG } from '#kernel/config.ts';
import { Machine, type MachineHost, runPending } from '#kernel/machine.ts';
import { doInitcalls, exitModules } from '#kernel/module.ts';
import { NotifierChain } from '#kernel/notifier.ts';
import { rcuBarrier } from '#kernel/rcu.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import type { CpuCosts } from '#kernel/sched/cpu_cost.ts';
import { exitTask } from '#kernel/sched/task.ts';
import { doSoftirq } from '#kernel/softirq.ts';
import { netDevInit } from '#net/core/dev_init.ts';
import { netdevCheckTodo } from '#net/core/dev_register.ts';
import { cleanupNet, netNsInit } from '#net/core/net_namespace.ts';
import { skbCheckLeaks } from '#net/core/skbuff.ts';
import { inetInit } from '#net/ipv4/af_inet_init.ts';
import { schGenericInit } from '#net/sched/sch_generic.ts';

export interface BootOptions {
  readonly name: string;
  readonly host: MachineHost;
  /** Seed of all randomness in the machine: hash keys, ports, sequence numbers. */
  readonly seed: number | string;
  /** CPUs, 1 to 64; 1 by default. */
  readonly cpus?: number;
  /** Wall time at boot in seconds since the Unix epoch. */
  readonly bootEpochSec: number;
  /** What the kernel is made of beside its core, e.g. `defconfig`; in any order, dependencies first is not needed. */
  readonly modules: readonly KernelModule[];
  /** What work costs the CPUs in virtual time; nothing by default. */
  readonly costs?: CpuCosts | null;
}

function builtin(
  name: string,
  level: InitcallLevel,
  init: (machine: Machine) => number,
): KernelModule {
  return { name, config: null, depends: [], level, init, exit: null };
}

/** What no kernel is without. Within a level in the order in which Linux links them. */
function coreModules(): readonly KernelModule[] {
  return [
    builtin('sch_generic_init', SUBSYS_INITCALL, schGenericInit),
    builtin('net_dev_init', SUBSYS_INITCALL, netDevInit),
    builtin('inet_init', FS_INITCALL, inetInit),
    builtin('loopback_init', FS_INITCALL, loopbackInit),
  ];
}

/** What types say, for those who write JavaScript: a missing seed would be the same one every time. */
function checkOptions(options: Readonly<Partial<BootOptions>>): void {
  const { name, host, seed, bootEpochSec, modules } = options;
  const wrong = (what: string): never => {
    throw new TypeError(`a machine cannot boot: ${what}`);
  };
  if (typeof name !== 'string' || name === '') wrong('`name` must be a text');
  if (typeof seed !== 'string' && typeof seed !== 'number')
    wrong('`seed` must be a number or a text');
  if (!Number.isFinite(bootEpochSec)) wrong('`bootEpochSec` must be a number of seconds');
  for (const call of ['readClock', 'kick', 'timerChanged'] as const) {
    if (typeof host?.[call] !== 'function') wrong(`\`host\` has no ${call}()`);
  }
  if (!Array.isArray(modules)) wrong('`modules` must be a list');
  modules?.forEach((module: Partial<KernelModule> | undefined, i) => {
    if (typeof module?.init !== 'function') wrong(`modules[${i}] is no module`);
  });
}

/**
 * Boots a machine. It is ready when this returns: loopback exists (down), nothing is configured.
 * Throws KernelBug when an initcall fails or a module lacks another, RangeError for an impossible number of CPUs.
 * @kernel start_kernel init/main.c
 */
export function bootMachine(options: BootOptions): Machine {
  checkOptions(options);
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
  doInitcalls(machine, [...coreModules(), ...options.modules]);
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
  if (machine.halted) return;
  machine.halted = true;
  for (const task of machine.tasks.list()) {
    // A program of the host's that goes on can make no descriptor.
    task.files.rlimit = 0;
    exitTask(task, 0);
  }
  drain(machine);
  exitModules(machine, drain);
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
      machine.tasks.runFirst !== null ||
      machine.cpus.some((cpu) => cpu.softirqPending !== 0);
    if (!busy) return;
  }
}
