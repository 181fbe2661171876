/** Open files and the descriptors that name them. Counterpart of include/linux/fs.h and fs/file.c. */
import { KernelBug } from '#kernel/bug.ts';
import type { Machine } from '#kernel/machine.ts';
import { addWaitQueue, type WaitQueueEntry, type WaitQueueHead } from '#kernel/wait.ts';
import { EBADF, EINVAL, EMFILE } from '#uapi/errno.ts';

/** Collects the wait queues of the files that a poll looks at. @kernel poll_table include/linux/poll.h */
export interface PollTable {
  /** Asks to be told of wake-ups of `wq`. */
  queue(wq: WaitQueueHead): void;
}

/** Registers one entry on the one wait queue that a file has. */
export class SinglePollTable implements PollTable {
  private readonly entry: WaitQueueEntry;

  constructor(entry: WaitQueueEntry) {
    this.entry = entry;
  }

  queue(wq: WaitQueueHead): void {
    addWaitQueue(wq, this.entry);
  }
}

/** @kernel file_operations include/linux/fs.h */
export interface FileOperations {
  /** Bytes read into `buf` (0: end of file), or a negative errno. */
  read(file: File, buf: Uint8Array): number;
  write(file: File, buf: Uint8Array): number;
  /** Writes for sendfile(); `more`: another part follows at once. Absent: as `write`. */
  readonly spliceWrite?: (file: File, buf: Uint8Array, more: boolean) => number;
  /** Reads for splice(); `nonblock`: the caller does not wait. Absent: as `read`. */
  readonly spliceRead?: (file: File, buf: Uint8Array, nonblock: boolean) => number;
  /** F_GETPIPE_SZ, F_SETPIPE_SZ. Absent: it is no pipe. @kernel pipe_fcntl fs/pipe.c */
  readonly pipeFcntl?: (file: File, cmd: number, arg: number) => number;
  /** Reads go by `fPos`, which may be set. @kernel FMODE_LSEEK include/linux/fs.h */
  readonly seekable?: boolean;
  /** POLL* mask now; registers on `pt` when given. Null: always ready, and no epoll may watch it. */
  poll: ((file: File, pt: PollTable | null) => number) | null;
  ioctl(file: File, cmd: number, arg: Uint8Array): number;
  /** The last descriptor has been closed. */
  release(file: File): void;
}

/** A watch on a file that ends with it: an epoll's item. @kernel epitem fs/eventpoll.c */
export interface FileWatch {
  /** The last reference to the file is gone. Takes itself off `fEp`. */
  fileGone(): void;
}

/** @kernel file include/linux/fs.h */
export class File {
  readonly machine: Machine;
  readonly fOp: FileOperations;
  /** O_*: access mode and status flags. */
  fFlags: number;
  /** Position in files that have one. */
  fPos: number;
  fCount: number;
  /** What the file stands for: a Socket, an Eventpoll, a pipe end... */
  readonly privateData: unknown;
  /** epoll items that watch this file; null until the first does. @kernel f_ep include/linux/fs.h */
  fEp: FileWatch[] | null;

  constructor(machine: Machine, fOp: FileOperations, flags: number, privateData: unknown) {
    this.machine = machine;
    this.fOp = fOp;
    this.fFlags = flags;
    this.fPos = 0;
    this.fCount = 1;
    this.privateData = privateData;
    this.fEp = null;
    machine.live.files++;
  }
}

/** @kernel get_file include/linux/fs.h */
export function getFile(file: File): File {
  file.fCount++;
  return file;
}

/** @kernel fput fs/file_table.c */
export function fput(file: File): void {
  if (--file.fCount > 0) return;
  if (file.fCount < 0) throw new KernelBug('file-refcount', 'a file is closed twice');
  // Watches go first: a file that is being released must wake nobody.
  if (file.fEp !== null) for (const watch of [...file.fEp]) watch.fileGone();
  file.machine.live.files--;
  file.fOp.release(file);
}

/** Descriptors a process may have unless it asks for more. @kernel RLIMIT_NOFILE include/uapi/asm-generic/resource.h */
export const RLIMIT_NOFILE_DEFAULT = 1024;

/** Descriptors for which there is always room. @kernel NR_OPEN_DEFAULT include/linux/fdtable.h */
const NR_OPEN_DEFAULT = 64;

/** The descriptors of a task. @kernel files_struct include/linux/fdtable.h */
export class FilesStruct {
  /** No longer than the highest open descriptor asks for, or NR_OPEN_DEFAULT. */
  private readonly fds: (File | null)[];
  /** A bit for each descriptor, 32 a word. */
  private readonly closeOnExec: number[];
  /** No descriptor below this is free. */
  private nextFd: number;
  /** One above the highest allowed. */
  rlimit: number;

  constructor() {
    this.fds = [];
    this.closeOnExec = [];
    this.nextFd = 0;
    this.rlimit = RLIMIT_NOFILE_DEFAULT;
  }

  /**
   * Opens the lowest free descriptor from `start` up for a file, or -EMFILE, -EINVAL.
   * @kernel alloc_fd fs/file.c
   * @kernel fd_install fs/file.c
   */
  install(file: File, cloexec: boolean, start = 0): number {
    if (start >= this.rlimit) return -EINVAL;
    let fd = Math.max(start, start <= this.nextFd ? this.nextFd : start);
    while (fd < this.fds.length && this.fds[fd] !== null) fd++;
    if (fd >= this.rlimit) return -EMFILE;
    this.put(fd, file, cloexec);
    if (start <= this.nextFd) this.nextFd = fd + 1;
    return fd;
  }

  /** True when `install` would find a descriptor. @kernel get_unused_fd_flags fs/file.c */
  hasRoom(): boolean {
    let fd = this.nextFd;
    while (fd < this.fds.length && this.fds[fd] !== null) fd++;
    return fd < this.rlimit;
  }

  /** Makes `fd` name the file; what it named before is closed. @kernel do_dup2 fs/file.c */
  replace(fd: number, file: File, cloexec: boolean): number {
    if (fd < 0 || fd >= this.rlimit) return -EBADF;
    const old = this.get(fd);
    this.put(fd, file, cloexec);
    if (old !== null) fput(old);
    return fd;
  }

  /** @kernel fget fs/file.c */
  get(fd: number): File | null {
    return this.fds[fd] ?? null;
  }

  getCloexec(fd: number): boolean {
    return ((this.closeOnExec[fd >>> 5] ?? 0) & (1 << (fd & 31))) !== 0;
  }

  setCloexec(fd: number, cloexec: boolean): void {
    const word = fd >>> 5;
    const bit = 1 << (fd & 31);
    while (this.closeOnExec.length <= word) this.closeOnExec.push(0);
    const bits = this.closeOnExec[word] as number;
    this.closeOnExec[word] = cloexec ? bits | bit : bits & ~bit;
  }

  /** 0 or -EBADF. @kernel close_fd fs/file.c */
  close(fd: number): number {
    const file = this.get(fd);
    if (file === null) return -EBADF;
    this.fds[fd] = null;
    this.setCloexec(fd, false);
    if (fd < this.nextFd) this.nextFd = fd;
    if (fd === this.fds.length - 1 && fd >= NR_OPEN_DEFAULT) this.shrink();
    fput(file);
    return 0;
  }

  /** @kernel exit_files fs/file.c */
  closeAll(): void {
    for (let fd = 0; fd < this.fds.length; fd++) this.close(fd);
  }

  /** Open descriptors, ascending. */
  open(): number[] {
    return this.fds.flatMap((file, fd) => (file === null ? [] : [fd]));
  }

  private put(fd: number, file: File, cloexec: boolean): void {
    while (this.fds.length <= fd) this.fds.push(null);
    this.fds[fd] = file;
    this.setCloexec(fd, cloexec);
  }

  /** Gives back what lies above the highest open descriptor: a task that had very many may live long. */
  private shrink(): void {
    let length = this.fds.length;
    while (length > NR_OPEN_DEFAULT && this.fds[length - 1] === null) length--;
    this.fds.length = length;
    this.closeOnExec.length = (length + 31) >>> 5;
  }
}
