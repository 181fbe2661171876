/**
 * The system call table: the only door between programs and their machine's kernel.
 *
 * Counterpart of include/uapi/asm-generic/unistd.h. Names and arguments are Linux's; addresses and
 * option values are the binary structs of Linux. Every call returns at once with a result >= 0 or
 * a negative errno. A call that would sleep in Linux returns -EAGAIN (-EINPROGRESS for connect),
 * whatever O_NONBLOCK says; `user/lib` then waits with {@link SyscallTable.waitFd} and calls again.
 */

/** unshare(): a new network namespace. */
export const CLONE_NEWNET = 0x40000000;
/** mount(): a second name for what has one. */
export const MS_BIND = 0x1000;
/** umount2(): detach at once, whoever still uses it. */
export const MNT_DETACH = 0x2;

/** Message of sendmsg and recvmsg. On return of recvmsg the three lengths and flags are set. */
export interface UserMsghdr {
  name: Uint8Array | null;
  /** Bytes of `name` in use after recvmsg. */
  namelen: number;
  iov: readonly Uint8Array[];
  control: Uint8Array | null;
  controllen: number;
  flags: number;
}

/** Wake-ups a program asked for. Cancelled by calling it. */
export type CancelWait = () => void;

/** struct epoll_event; `data` is what the program stored. */
export interface EpollEvent {
  events: number;
  data: number;
}

export interface SyscallTable {
  // net/socket.c
  socket(family: number, type: number, protocol: number): number;
  socketpair(family: number, type: number, protocol: number, fds: Int32Array): number;
  bind(fd: number, addr: Uint8Array): number;
  listen(fd: number, backlog: number): number;
  /** Fills `addr` (when not null) and returns the new descriptor. */
  accept4(fd: number, addr: Uint8Array | null, flags: number): number;
  connect(fd: number, addr: Uint8Array): number;
  /** Fills `addr` and returns the length. */
  getsockname(fd: number, addr: Uint8Array): number;
  getpeername(fd: number, addr: Uint8Array): number;
  sendto(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null): number;
  /** Fills `addr` when not null: zero family means no address. */
  recvfrom(fd: number, buf: Uint8Array, flags: number, addr: Uint8Array | null): number;
  sendmsg(fd: number, msg: UserMsghdr, flags: number): number;
  recvmsg(fd: number, msg: UserMsghdr, flags: number): number;
  /**
   * Receives from a TCP connection without copying: appends to `pages` up to `max` bytes where they lie, which
   * are the program's to read until it gives each back with munmap(). TCP_ZEROCOPY_RECEIVE in one call.
   */
  recvPages(fd: number, max: number, pages: Uint8Array[]): number;
  shutdown(fd: number, how: number): number;
  setsockopt(fd: number, level: number, optname: number, optval: Uint8Array): number;
  /** Fills `optval` and returns the length used. */
  getsockopt(fd: number, level: number, optname: number, optval: Uint8Array): number;
  // fs/
  read(fd: number, buf: Uint8Array): number;
  write(fd: number, buf: Uint8Array): number;
  /**
   * Closes a descriptor, without waiting for what lingers: the connection is ended as closeWait() says, and
   * the caller goes on.
   */
  close(fd: number): number;
  dup(fd: number): number;
  dup3(oldfd: number, newfd: number, flags: number): number;
  fcntl(fd: number, cmd: number, arg: number): number;
  /** `arg` is the struct or int that Linux would read and write in place. */
  ioctl(fd: number, cmd: number, arg: Uint8Array): number;
  /** Opens a file of /proc, /sys, /dev or /tmp. */
  open(path: string, flags: number): number;
  /** Names in a directory, or a negative errno. */
  readdir(path: string): readonly string[] | number;
  /** Takes a file of /tmp away. */
  unlink(path: string): number;
  pipe2(fds: Int32Array, flags: number): number;
  /** Sends `count` bytes of a file, from offset[0] on (which moves) or, if null, its position. */
  sendfile(outfd: number, infd: number, offset: Float64Array | null, count: number): number;
  /** Moves up to `len` bytes; one of the two is a pipe. Offsets as in sendfile. Never waits. */
  splice(
    fdIn: number,
    offIn: Float64Array | null,
    fdOut: number,
    offOut: Float64Array | null,
    len: number,
    flags: number,
  ): number;
  /** Fills `revents` for each (fd, events); returns how many are not zero. Never waits. */
  poll(fds: Int32Array, events: Int16Array, revents: Int16Array): number;
  epollCreate1(flags: number): number;
  epollCtl(epfd: number, op: number, fd: number, event: EpollEvent | null): number;
  /** Fills up to `events.length` entries. Never waits. */
  epollWait(epfd: number, events: EpollEvent[]): number;
  // mm/
  /**
   * Zeroed memory of up to 128 KiB that packets can refer to: what is sent from it with MSG_ZEROCOPY is not
   * copied. Or a negative errno.
   */
  mmap(length: number): Uint8Array | number;
  /** Gives back what mmap() or recvPages() gave, the very array; it must not be used afterwards. */
  munmap(memory: Uint8Array): number;
  // time, tasks
  /** ns since boot (CLOCK_MONOTONIC). */
  monotonic(): number;
  /** Wall time: whole seconds since the epoch and ns. */
  realtime(): { sec: number; nsec: number };
  getpid(): number;
  /** The CPU on which the task's calls run. */
  getcpu(): number;
  /**
   * Says which CPUs a task (0: this one) may use: bit n of octet n / 8 is CPU n. 0, -ESRCH, or -EINVAL
   * when the machine has none of them.
   */
  schedSetaffinity(pid: number, mask: Uint8Array): number;
  /** Fills in the CPUs that a task may use; octets that say something, -ESRCH or -EINVAL (too short). */
  schedGetaffinity(pid: number, mask: Uint8Array): number;
  uname(): { sysname: string; nodename: string; release: string };
  getrandom(buf: Uint8Array): number;
  sethostname(name: string): number;
  /**
   * Enters another network namespace of the machine: a name under /run/netns, or a path
   * (`/run/netns/NAME`, `/proc/PID/ns/net`).
   */
  setns(netns: string): number;
  /** CLONE_NEWNET: enters a new, empty network namespace, which ends with its last holder. */
  unshare(flags: number): number;
  /**
   * Gives a namespace a name, as `ip netns add` does: `source` is a namespace's path, `target`
   * /run/netns/NAME, `flags` MS_BIND. Nothing else can be mounted (-EPERM).
   */
  mount(source: string, target: string, flags: number): number;
  /** Takes the name /run/netns/NAME away. */
  umount2(target: string, flags: number): number;
  exit(status: number): void;
  // The three ways to sleep.
  /**
   * Closes a descriptor: 0 or -EBADF when that is done. With SO_LINGER and a time the call sleeps until the
   * peer has acknowledged everything or the time is over, whatever O_NONBLOCK says: then `wake` is called
   * once from the scheduler, and calling the result ends the sleep, as a signal does. Close has succeeded in
   * each case, and the descriptor is free at once.
   */
  closeWait(fd: number, wake: () => void): CancelWait | number;
  /**
   * Calls `wake` once, from the scheduler, when any of `events` (POLL*) is ready on `fd`, or when
   * `timeoutNs` (< 0: never) has passed; revents is then 0. A negative errno if `fd` is bad.
   */
  waitFd(
    fd: number,
    events: number,
    timeoutNs: number,
    wake: (revents: number) => void,
  ): CancelWait | number;
  /** Calls `wake` after `ns`. */
  nanosleep(ns: number, wake: () => void): CancelWait;
}
