/**
 * The tree of /proc: what the machine says of itself, its tasks, its namespaces' /proc/net, and the
 * settings under /proc/sys. Counterpart of fs/proc/root.c, base.c, proc_net.c, proc_sysctl.c and
 * the small files version.c, uptime.c, softirqs.c, loadavg.c.
 */
import {
  type DirectoryNode,
  directory,
  directoryOfPaths,
  type FsNode,
  type RegularNode,
  readOnly,
} from '#fs/namei.ts';
import { nsText } from '#fs/nsfs.ts';
import { procIrq, showInterrupts } from '#fs/proc/irq.ts';
import { FS_INITCALL } from '#include/linux/init.ts';
import type { KernelModule } from '#include/linux/module.ts';
import type { Net } from '#include/net/net_namespace.ts';
import type { Machine } from '#kernel/machine.ts';
import type { Task } from '#kernel/sched/task.ts';
import { SOFTIRQ_NAMES } from '#kernel/softirq.ts';
import type { SysctlTable } from '#kernel/sysctl.ts';
import { UTS_RELEASE, UTS_SYSNAME, UTS_VERSION } from '#kernel/utsname.ts';

function pad(value: number | string, width: number): string {
  return String(value).padStart(width);
}

/** Seconds with two digits, as /proc/uptime has them. */
function centiseconds(ns: number): string {
  const cs = Math.floor(ns / 1e7);
  return `${Math.floor(cs / 100)}.${String(cs % 100).padStart(2, '0')}`;
}

/** Up, and idle over all CPUs: a machine of ours is idle whenever no event happens. @kernel uptime_proc_show fs/proc/uptime.c */
function uptime(machine: Machine): string {
  const idle = machine.nowNs * machine.cpus.length;
  return `${centiseconds(machine.nowNs)} ${centiseconds(idle)}\n`;
}

/** @kernel show_softirqs fs/proc/softirqs.c */
function softirqs(machine: Machine): string {
  const header = `${' '.repeat(20)}${machine.cpus.map((cpu) => `CPU${cpu.id}`.padEnd(11)).join('')}`;
  const rows = SOFTIRQ_NAMES.map((name, nr) => {
    const counts = machine.cpus.map((cpu) => ` ${pad(cpu.softirqCounts[nr] ?? 0, 10)}`).join('');
    return `${pad(name, 12)}:${counts}\n`;
  });
  return `${header}\n${rows.join('')}`;
}

/** /proc/net of a namespace. @kernel proc_tgid_net_lookup fs/proc/proc_net.c */
function procNet(net: Net): DirectoryNode {
  return directoryOfPaths(
    () => [...net.procNet.keys()],
    (path) => {
      const show = net.procNet.get(path);
      return show === undefined ? null : readOnly(() => show(net));
    },
  );
}

/** The tables that a task sees: its namespace's settings, then the machine's. */
function sysctlFile(tables: readonly SysctlTable[], path: string): RegularNode | null {
  for (const table of tables) {
    const entry = table.find(path);
    if (entry === null) continue;
    const { write } = entry;
    return {
      kind: 'file',
      show: () => `${entry.read()}\n`,
      store: write === null ? null : (text) => write(text.trim()),
    };
  }
  return null;
}

/** @kernel proc_sys_lookup fs/proc/proc_sysctl.c */
function procSys(task: Task): DirectoryNode {
  const tables = [task.net.sysctl, task.machine.sysctl];
  return directoryOfPaths(
    () => [...new Set(tables.flatMap((table) => table.list()))],
    (path) => sysctlFile(tables, path),
  );
}

/** @kernel proc_pid_status fs/proc/array.c */
function status(task: Task): string {
  return [
    `Name:\t${task.comm}`,
    `State:\tS (sleeping)`,
    `Tgid:\t${task.pid}`,
    `Pid:\t${task.pid}`,
    'Uid:\t0\t0\t0\t0',
    'Gid:\t0\t0\t0\t0',
    `FDSize:\t${Math.max(64, task.files.open().length)}`,
    '',
  ].join('\n');
}

/** Priority of a task that is not nice. @kernel DEFAULT_PRIO include/linux/sched/prio.h */
const PRIORITY = 20;
/** The signal that tells of a task's end. */
const SIGCHLD = 17;
/** Fields of /proc/PID/stat. */
const STAT_FIELDS = 52;

/** Numbered as in proc_pid_stat(5), from 1; what softnet does not count is 0. @kernel do_task_stat fs/proc/array.c */
function stat(task: Task): string {
  const fields = new Array<string | number>(STAT_FIELDS).fill(0);
  const set = (field: number, value: string | number): void => {
    fields[field - 1] = value;
  };
  set(1, task.pid);
  set(2, `(${task.comm})`);
  set(3, 'S');
  // Each is a group and a session of its own, without a terminal.
  set(5, task.pid);
  set(6, task.pid);
  set(8, -1);
  set(18, PRIORITY);
  set(20, 1);
  set(38, SIGCHLD);
  set(39, task.cpu.id);
  return `${fields.join(' ')}\n`;
}

/** /proc/PID. @kernel tgid_base_stuff fs/proc/base.c */
function procPid(task: Task): DirectoryNode {
  return directory({
    comm: readOnly(() => `${task.comm}\n`),
    cmdline: readOnly(() => `${task.comm}\0`),
    stat: readOnly(() => stat(task)),
    status: readOnly(() => status(task)),
    net: procNet(task.net),
    ns: directory({ net: readOnly(() => `${nsText(task.net)}\n`) }),
  });
}

function rootFiles(machine: Machine): Record<string, FsNode> {
  return {
    interrupts: readOnly(() => showInterrupts(machine)),
    loadavg: readOnly(() => {
      const tasks = machine.tasks.list();
      const last = tasks[tasks.length - 1]?.pid ?? 0;
      return `0.00 0.00 0.00 0/${tasks.length} ${last}\n`;
    }),
    softirqs: readOnly(() => softirqs(machine)),
    uptime: readOnly(() => uptime(machine)),
    version: readOnly(
      () => `${UTS_SYSNAME} version ${UTS_RELEASE} (softnet@softnet) ${UTS_VERSION}\n`,
    ),
  };
}

/** /proc as `task` sees it. @kernel proc_root fs/proc/root.c */
export function procRoot(task: Task): DirectoryNode {
  const { machine } = task;
  const files = rootFiles(machine);
  const fixed: Record<string, FsNode> = {
    ...files,
    irq: procIrq(machine),
    net: procNet(task.net),
    self: procPid(task),
    sys: procSys(task),
  };
  return {
    kind: 'dir',
    list: () => [
      ...machine.tasks
        .list()
        .map((t) => t.pid)
        .sort((a, b) => a - b)
        .map(String),
      ...Object.keys(fixed).sort(),
    ],
    lookup: (name) => {
      if (Object.hasOwn(fixed, name)) return fixed[name] ?? null;
      const other = /^[1-9]\d*$/.test(name) ? machine.tasks.find(Number(name)) : null;
      return other === null ? null : procPid(other);
    },
  };
}

/** @kernel proc_root_init fs/proc/root.c */
function procRootInit(machine: Machine): number {
  machine.mounts.set('proc', procRoot);
  return 0;
}

export const procModule: KernelModule = {
  name: 'proc',
  config: 'CONFIG_PROC_FS',
  depends: [],
  level: FS_INITCALL,
  init: procRootInit,
  exit: null,
};
