/**
 * The system call table of a task: what stands behind its only door to the kernel.
 *
 * Counterpart of arch/x86/entry/syscalls/syscall_64.tbl. Each call enters the machine at the host's
 * present time, does its work to the end, soft interrupts included, and returns.
 */

import { doFcntl, ksysDup, ksysDup3 } from '#fs/fcntl.ts';
import { type DirectoryNode, directory } from '#fs/namei.ts';
import { closeWait, doSysOpen, doUnlink, iterateDir } from '#fs/open.ts';
import { ksysRead, ksysWrite, sysIoctl } from '#fs/read_write.ts';
import { doPoll, nanosleep, waitFd } from '#fs/select.ts';
import { DEBUG } from '#kernel/config.ts';
import type { Cpu } from '#kernel/cpu.ts';
import { lockdepSysExit } from '#kernel/lockdep.ts';
import type { Machine } from '#kernel/machine.ts';
import { chargeTask } from '#kernel/sched/cpu_cost.ts';
import { exitTask, setCpusAllowed, type Task } from '#kernel/sched/task.ts';
import { UTS_RELEASE, UTS_SYSNAME } from '#kernel/utsname.ts';
import { runWorks } from '#kernel/workqueue.ts';
import { getNet, putNet } from '#net/core/net_namespace.ts';
import {
  sysAccept4,
  sysBind,
  sysConnect,
  sysGetpeername,
  sysGetsockname,
  sysGetsockopt,
  sysListen,
  sysRecvfrom,
  sysRecvmsg,
  sysSendmsg,
  sysSendto,
  sysSetsockopt,
  sysShutdown,
  sysSocket,
  sysSocketpair,
} from '#net/socket_sys.ts';
import { EINVAL, ESRCH } from '#uapi/errno.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

/** Longest host name. @kernel __NEW_UTS_LEN include/uapi/linux/utsname.h */
const UTS_LEN = 64;

/** What the task finds at `/`. */
function rootOf(task: Task): DirectoryNode {
  const trees = [...task.machine.mounts].sort(([a], [b]) => (a < b ? -1 : 1));
  return directory(Object.fromEntries(trees.map(([name, tree]) => [name, tree(task)])));
}

function getrandom(machine: Machine, buf: Uint8Array): number {
  let word = 0;
  for (let i = 0; i < buf.length; i++) {
    if ((i & 3) === 0) word = machine.random.u32();
    buf[i] = word >>> ((i & 3) * 8);
  }
  return buf.length;
}

function sethostname(machine: Machine, name: string): number {
  if (name.length > UTS_LEN) return -EINVAL;
  machine.hostname = name;
  return 0;
}

/** @kernel sys_sched_setaffinity kernel/sched/syscalls.c */
function schedSetaffinity(caller: Task, pid: number, mask: Uint8Array): number {
  const task = pid === 0 ? caller : caller.machine.tasks.find(pid);
  if (task === null) return -ESRCH;
  const err = setCpusAllowed(
    task,
    task.cpusMask.map((_, id) => ((mask[id >> 3] ?? 0) >> (id & 7)) & 1),
  );
  caller.machine.cpu = caller.cpu;
  return err;
}

/** Octets of the mask that say something, or a negative errno. @kernel sys_sched_getaffinity kernel/sched/syscalls.c */
function schedGetaffinity(caller: Task, pid: number, mask: Uint8Array): number {
  const task = pid === 0 ? caller : caller.machine.tasks.find(pid);
  if (task === null) return -ESRCH;
  const size = (task.cpusMask.length + 7) >> 3;
  if (mask.length < size) return -EINVAL;
  mask.fill(0);
  task.cpusMask.forEach((on, id) => {
    mask[id >> 3] = (mask[id >> 3] as number) | (on << (id & 7));
  });
  return size;
}

/** The calls of net/socket.c. */
type SocketCalls = Pick<
  SyscallTable,
  | 'socket'
  | 'socketpair'
  | 'bind'
  | 'listen'
  | 'accept4'
  | 'connect'
  | 'getsockname'
  | 'getpeername'
  | 'sendto'
  | 'recvfrom'
  | 'sendmsg'
  | 'recvmsg'
  | 'shutdown'
  | 'setsockopt'
  | 'getsockopt'
>;

function socketCalls(enter: () => Task): SocketCalls {
  return {
    socket: (family, type, protocol) => sysSocket(enter(), family, type, protocol),
    socketpair: (family, type, protocol, fds) =>
      sysSocketpair(enter(), family, type, protocol, fds),
    bind: (fd, addr) => sysBind(enter(), fd, addr),
    listen: (fd, backlog) => sysListen(enter(), fd, backlog),
    accept4: (fd, addr, flags) => sysAccept4(enter(), fd, addr, flags),
    connect: (fd, addr) => sysConnect(enter(), fd, addr),
    getsockname: (fd, addr) => sysGetsockname(enter(), fd, addr),
    getpeername: (fd, addr) => sysGetpeername(enter(), fd, addr),
    sendto: (fd, buf, flags, addr) => sysSendto(enter(), fd, buf, flags, addr),
    recvfrom: (fd, buf, flags, addr) => sysRecvfrom(enter(), fd, buf, flags, addr),
    sendmsg: (fd, msg, flags) => sysSendmsg(enter(), fd, msg, flags),
    recvmsg: (fd, msg, flags) => sysRecvmsg(enter(), fd, msg, flags),
    shutdown: (fd, how) => sysShutdown(enter(), fd, how),
    setsockopt: (fd, level, optname, optval) => sysSetsockopt(enter(), fd, level, optname, optval),
    getsockopt: (fd, level, optname, optval) => sysGetsockopt(enter(), fd, level, optname, optval),
  };
}

/** The calls of fs/ and of namespaces. */
type FileCalls = Pick<
  SyscallTable,
  | 'read'
  | 'write'
  | 'close'
  | 'dup'
  | 'dup3'
  | 'fcntl'
  | 'ioctl'
  | 'open'
  | 'readdir'
  | 'unlink'
  | 'pipe2'
  | 'recvPages'
  | 'mmap'
  | 'munmap'
  | 'sendfile'
  | 'splice'
  | 'poll'
  | 'epollCreate1'
  | 'epollCtl'
  | 'epollWait'
  | 'setns'
  | 'unshare'
  | 'mount'
  | 'umount2'
>;

function fileCalls(machine: Machine, enter: () => Task): FileCalls {
  return {
    read: (fd, buf) => ksysRead(enter(), fd, buf),
    write: (fd, buf) => ksysWrite(enter(), fd, buf),
    close: (fd) => enter().files.close(fd),
    dup: (fd) => ksysDup(enter(), fd),
    dup3: (oldfd, newfd, flags) => ksysDup3(enter(), oldfd, newfd, flags),
    fcntl: (fd, cmd, arg) => doFcntl(enter(), fd, cmd, arg),
    ioctl: (fd, cmd, arg) => sysIoctl(enter(), fd, cmd, arg),
    open: (path, flags) => {
      const task = enter();
      return doSysOpen(task, rootOf(task), path, flags);
    },
    unlink: (path) => doUnlink(rootOf(enter()), path),
    readdir: (path) => iterateDir(rootOf(enter()), path),
    pipe2: (fds, flags) => machine.syscalls.pipe2(enter(), fds, flags),
    recvPages: (fd, max, pages) => machine.syscalls.recvPages(enter(), fd, max, pages),
    mmap: (length) => machine.syscalls.mmap(enter(), length),
    munmap: (memory) => machine.syscalls.munmap(enter(), memory),
    sendfile: (outfd, infd, offset, count) =>
      machine.syscalls.sendfile(enter(), outfd, infd, offset, count),
    splice: (fdIn, offIn, fdOut, offOut, len, flags) =>
      machine.syscalls.splice(enter(), fdIn, offIn, fdOut, offOut, len, flags),
    poll: (fds, events, revents) => doPoll(enter(), fds, events, revents),
    epollCreate1: (flags) => machine.syscalls.epollCreate1(enter(), flags),
    epollCtl: (epfd, op, fd, event) => machine.syscalls.epollCtl(enter(), epfd, op, fd, event),
    epollWait: (epfd, events) => machine.syscalls.epollWait(enter(), epfd, events),
    setns: (netns) => machine.syscalls.setns(enter(), netns),
    unshare: (flags) => machine.syscalls.unshare(enter(), flags),
    mount: (source, target, flags) => machine.syscalls.mount(enter(), source, target, flags),
    umount2: (target, flags) => machine.syscalls.umount2(enter(), target, flags),
  };
}

/** Ends the task; a program that goes on afterwards finds no descriptor and can make none. */
function exit(task: Task, status: number): void {
  task.files.rlimit = 0;
  exitTask(task, status);
}

/** Does the works that wait, where kernel threads run. */
function runWorksNow(machine: Machine): void {
  machine.tasks.current = null;
  machine.cpu = machine.cpus[0] as Cpu;
  runWorks(machine);
}

/**
 * Makes the table of a task. From here on the task holds its namespace, until it exits.
 * @kernel sys_call_table arch/x86/entry/syscall_64.c
 */
export function makeSyscalls(task: Task): SyscallTable {
  const { machine } = task;
  const { host } = machine;
  const enter = (): Task => {
    if (DEBUG) lockdepSysExit(machine);
    machine.enter(host.readClock());
    // Kernel threads have their turn between two calls, however fast the program makes them.
    if (machine.works.items.length > 0) runWorksNow(machine);
    machine.tasks.current = task;
    machine.cpu = task.cpu;
    if (machine.costs !== null) chargeTask(machine, machine.costs.syscallNs);
    return task;
  };
  getNet(task.net);
  task.onExit.push(() => putNet(task.net));
  return {
    ...socketCalls(enter),
    ...fileCalls(machine, enter),
    monotonic: () => enter().machine.nowNs,
    realtime: () => {
      const ns = enter().machine.nowNs;
      const sec = Math.floor(ns / 1e9);
      return { sec: machine.bootEpochSec + sec, nsec: Math.floor(ns - sec * 1e9) };
    },
    getpid: () => task.pid,
    getcpu: () => task.cpu.id,
    schedSetaffinity: (pid, mask) => schedSetaffinity(enter(), pid, mask),
    schedGetaffinity: (pid, mask) => schedGetaffinity(enter(), pid, mask),
    uname: () => ({ sysname: UTS_SYSNAME, nodename: machine.hostname, release: UTS_RELEASE }),
    getrandom: (buf) => getrandom(machine, buf),
    sethostname: (name) => sethostname(machine, name),
    closeWait: (fd, wake) => closeWait(enter(), fd, wake),
    exit: (status) => exit(enter(), status),
    waitFd: (fd, events, timeoutNs, wake) => waitFd(enter(), fd, events, timeoutNs, wake),
    nanosleep: (ns, wake) => nanosleep(enter(), ns, wake),
  };
}
