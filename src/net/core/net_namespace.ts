/**
 * Network namespaces: set-up and tear-down, and what each subsystem does in every one of them.
 *
 * Counterpart of net/core/net_namespace.c. A namespace lives while someone holds it (a task, a name
 * under /run/netns, a user's socket); the last netPut() queues cleanup_net, which runs from a work
 * item, undoes the subsystems in the reverse order of their registration and forgets the namespace.
 */
import type { NfHookEntries } from '#include/linux/netfilter.ts';
import { Net, type PernetOperations } from '#include/net/net_namespace.ts';
import { NetnsIpv4 } from '#include/net/netns/ipv4.ts';
import { NetnsMib } from '#include/net/netns/mib.ts';
import { KernelBug } from '#kernel/bug.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Machine } from '#kernel/machine.ts';
import { SysctlTable } from '#kernel/sysctl.ts';
import { scheduleWork, WorkStruct } from '#kernel/workqueue.ts';

/** Families that have hooks, and the most hooks of one. */
const NFPROTO_NUMPROTO = 11;
const NF_MAX_HOOKS = 8;

/** Name of the namespace that exists from boot. */
export const INIT_NET_NAME = 'init_net';

/** The smallest number no living namespace has. @kernel alloc_netid net/core/net_namespace.c */
function allocNetid(machine: Machine): number {
  const used = new Set(machine.netGlobals.netnsList.map((net) => net.nsid));
  let id = 0;
  while (used.has(id)) id++;
  return id;
}

/** An empty namespace that no subsystem knows yet. @kernel net_alloc net/core/net_namespace.c */
function netAlloc(machine: Machine, name: string): Net {
  const hooks: (NfHookEntries | null)[][] = [];
  for (let pf = 0; pf < NFPROTO_NUMPROTO; pf++) {
    hooks.push(new Array<NfHookEntries | null>(NF_MAX_HOOKS).fill(null));
  }
  return new Net(
    machine,
    allocNetid(machine),
    name,
    machine.random.u32(),
    new NetnsIpv4(),
    new NetnsMib(),
    hooks,
    new SysctlTable(),
  );
}

/** Undoes the first `count` subsystems, last first. */
function opsUndo(net: Net, count: number): void {
  const list = net.machine.netGlobals.pernetList;
  for (let i = count - 1; i >= 0; i--) list[i]?.exit?.(net);
}

/**
 * Makes a namespace and lets every registered subsystem set itself up in it.
 * Returns the namespace with one reference for the caller, or the first subsystem's errno.
 * @kernel setup_net net/core/net_namespace.c
 */
export function setupNet(machine: Machine, name: string): Net | number {
  const net = netAlloc(machine, name);
  const globals = machine.netGlobals;
  // In the list first: a subsystem may look its namespace up.
  globals.netnsList.push(net);
  for (const [i, ops] of globals.pernetList.entries()) {
    const err = ops.init(net);
    if (err < 0) {
      opsUndo(net, i);
      globals.netnsList.splice(globals.netnsList.indexOf(net), 1);
      return err;
    }
  }
  return net;
}

/**
 * Makes a fresh namespace, as clone(CLONE_NEWNET) and `ip netns add` do.
 * @kernel copy_net_ns net/core/net_namespace.c
 */
export function copyNetNs(machine: Machine, name: string): Net | number {
  return setupNet(machine, name);
}

/**
 * Registers a subsystem and sets it up in all namespaces that exist. 0 or the init's errno, with
 * everything undone.
 * @kernel register_pernet_subsys net/core/net_namespace.c
 */
export function registerPernetSubsys(machine: Machine, ops: PernetOperations): number {
  const { netnsList, pernetList } = machine.netGlobals;
  if (DEBUG && pernetList.includes(ops)) {
    throw new KernelBug('pernet-twice', `${ops.name} is registered already`);
  }
  const done: Net[] = [];
  for (const net of netnsList) {
    const err = ops.init(net);
    if (err < 0) {
      for (const prior of done.reverse()) ops.exit?.(prior);
      return err;
    }
    done.push(net);
  }
  pernetList.push(ops);
  return 0;
}

/** @kernel unregister_pernet_subsys net/core/net_namespace.c */
export function unregisterPernetSubsys(machine: Machine, ops: PernetOperations): void {
  const { netnsList, pernetList } = machine.netGlobals;
  const at = pernetList.indexOf(ops);
  if (at < 0) throw new KernelBug('pernet-unknown', `${ops.name} is not registered`);
  pernetList.splice(at, 1);
  for (const net of netnsList) ops.exit?.(net);
}

/** Takes the namespace down at once. Nobody may hold it. @kernel cleanup_net net/core/net_namespace.c */
export function cleanupNet(net: Net): void {
  const globals = net.machine.netGlobals;
  const at = globals.netnsList.indexOf(net);
  if (at < 0) throw new KernelBug('net-cleanup', `${net.name} is not in the list of namespaces`);
  // Out of the list before the exits run: nobody finds a namespace that is half gone.
  globals.netnsList.splice(at, 1);
  opsUndo(net, globals.pernetList.length);
  net.procNet.clear();
}

/** @kernel get_net include/net/net_namespace.h */
export function getNet(net: Net): Net {
  net.refcnt++;
  return net;
}

/** Gives a reference back; the last one has the namespace taken down. @kernel put_net include/net/net_namespace.h */
export function putNet(net: Net): void {
  if (--net.refcnt > 0) return;
  if (net.refcnt < 0) throw new KernelBug('net-refcount', `${net.name} below 0`);
  scheduleWork(new WorkStruct(net.machine, () => cleanupNet(net)));
}

/** The namespace of that name, without a reference; null: there is none. */
export function findNetByName(machine: Machine, name: string): Net | null {
  return machine.netGlobals.netnsList.find((net) => net.name === name) ?? null;
}

/** @kernel get_net_ns_by_id net/core/net_namespace.c */
export function getNetNsById(machine: Machine, nsid: number): Net | null {
  return machine.netGlobals.netnsList.find((net) => net.nsid === nsid) ?? null;
}

/**
 * The namespace that a descriptor of the calling task stands for; null: it stands for none.
 * @kernel get_net_ns_by_fd net/core/net_namespace.c
 */
export function getNetNsByFd(machine: Machine, fd: number): Net | null {
  const target = machine.tasks.current?.files.get(fd)?.privateData;
  return target instanceof Net ? target : null;
}

/** @kernel net_eq include/net/net_namespace.h */
export function netEq(a: Net, b: Net): boolean {
  return a === b;
}

/**
 * Makes init_net, before any subsystem has registered. The caller stores it as `machine.initNet`.
 * @kernel net_ns_init net/core/net_namespace.c
 */
export function netNsInit(machine: Machine): Net {
  const net = setupNet(machine, INIT_NET_NAME);
  if (typeof net === 'number') throw new KernelBug('net-ns-init', `setup_net: ${net}`);
  return net;
}
