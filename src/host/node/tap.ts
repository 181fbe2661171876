/**
 * A TAP device of the real kernel, opened through /dev/net/tun.
 *
 * Node has no ioctl, so the calls go through koffi (an optional dependency). Frames carry a virtio
 * header, so that checksums and segmentation stay offloaded across the door. Reading follows NAPI:
 * libuv says that the device is readable, then frames are taken until there are none or the budget
 * is spent. Kernel documentation: Documentation/networking/tuntap.rst.
 */
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { EAGAIN, EBUSY, EINVAL, EPERM, strerror } from '#uapi/errno.ts';
import {
  IFF_NO_PI,
  IFF_TAP,
  IFF_VNET_HDR,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_USO4,
  TUN_F_USO6,
  TUNSETIFF,
  TUNSETOFFLOAD,
  TUNSETVNETHDRSZ,
} from '#uapi/if_tun.ts';

/** Bytes of struct virtio_net_hdr_v1: the header before each frame. */
export const VNET_HDR_SIZE = 12;

/** Room for the largest frame: a 64 KiB super-packet with its headers. */
export const TAP_FRAME_SIZE: number = 65536 + 256;

/** Frames taken in one turn of the event loop. */
const READ_BUDGET = 64;

const IFNAMSIZ = 16;
const IFREQ_SIZE = 40;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const SIOCSIFNETMASK = 0x891c;
const SIOCGIFHWADDR = 0x8927;
const SIOCSIFMTU = 0x8922;
const IFF_UP_RUNNING = 0x1 | 0x40;

/** Something is missing on this machine that the door needs; the message says what and what to do. */
export class TapUnavailable extends Error {
  override readonly name = 'TapUnavailable';
}

/** The kernel refused the interface or what was asked of it. */
export class TapError extends Error {
  override readonly name = 'TapError';
}

interface Koffi {
  load(path: null): {
    func(name: string, result: string, args: readonly string[]): (...args: unknown[]) => number;
  };
  errno(): number;
  address(view: ArrayBufferView): bigint;
  readonly node: {
    poll(
      fd: number,
      options: { readable: boolean },
      callback: (status: number) => void,
    ): { close(): void };
  };
}

/** The C library as far as the door needs it. */
interface Libc {
  readonly koffi: Koffi;
  /** ioctl with a buffer. */
  ioctl(fd: number, request: number, arg: Uint8Array): number;
  /** ioctl with a number in place of the pointer. */
  ioctlValue(fd: number, request: number, arg: number): number;
  socket(domain: number, type: number, protocol: number): number;
  read(fd: number, address: number, length: number): number;
  write(fd: number, address: number, length: number): number;
}

function loadLibc(): Libc {
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi;
  } catch {
    throw new TapUnavailable(
      'the package koffi is not installed: it is needed to open a TAP device (npm install koffi)',
    );
  }
  const lib = koffi.load(null);
  return {
    koffi,
    ioctl: lib.func('ioctl', 'int', ['int', 'ulong', 'void *']) as Libc['ioctl'],
    ioctlValue: lib.func('ioctl', 'int', ['int', 'ulong', 'ulong']) as Libc['ioctlValue'],
    socket: lib.func('socket', 'int', ['int', 'int', 'int']) as Libc['socket'],
    read: lib.func('read', 'int', ['int', 'uintptr_t', 'uint32_t']) as Libc['read'],
    write: lib.func('write', 'int', ['int', 'uintptr_t', 'uint32_t']) as Libc['write'],
  };
}

function ifreq(name: string): Uint8Array {
  const bytes = new Uint8Array(IFREQ_SIZE);
  for (let i = 0; i < name.length; i++) bytes[i] = name.charCodeAt(i);
  return bytes;
}

export interface TapOptions {
  /** Name of the interface in the kernel, 1 to 15 characters. */
  readonly name: string;
  /** Address of the kernel's end as four bytes, and its prefix length. */
  readonly hostAddress?: { readonly address: readonly number[]; readonly prefix: number };
  readonly mtu?: number;
  /** False: the kernel cuts its packets and fills in checksums before they come here. */
  readonly offload?: boolean;
}

/** An open TAP device. The interface exists until {@link Tap.close}. */
export class Tap {
  readonly name: string;
  /** Link address of the kernel's end. */
  readonly hostMac: Uint8Array;
  /** Frames that the kernel refused, e.g. since the interface is down. */
  txErrors: number;
  private readonly libc: Libc;
  private readonly fd: number;
  private readonly rx: Uint8Array;
  private readonly rxAddress: number;
  /** Buffers whose addresses the kernel is given: they must not be collected. */
  private readonly pinned: ArrayBufferView[];
  private handle: { close(): void } | null;
  private closed: boolean;

  /** Throws TapUnavailable when root, /dev/net/tun or koffi is missing, Error for bad options. */
  constructor(options: TapOptions) {
    const { name } = options;
    if (!/^[A-Za-z0-9_.-]{1,15}$/.test(name)) {
      throw new TapError(
        `'${name}' is no interface name: 1 to 15 letters, digits, '_', '.' or '-'`,
      );
    }
    if (!existsSync('/dev/net/tun')) {
      throw new TapUnavailable(
        '/dev/net/tun does not exist: load the kernel module tun (modprobe tun), or give the container the device',
      );
    }
    this.name = name;
    this.libc = loadLibc();
    this.pinned = [];
    this.fd = this.open(name, options.offload ?? true);
    this.txErrors = 0;
    this.handle = null;
    this.closed = false;
    try {
      this.hostMac = this.configure(options);
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
    this.rx = new Uint8Array(TAP_FRAME_SIZE);
    this.rxAddress = this.pin(this.rx);
  }

  /** Address of a buffer for {@link Tap.write}; the buffer is kept alive as long as the device. */
  pin(buffer: ArrayBufferView): number {
    this.pinned.push(buffer);
    return Number(this.libc.koffi.address(buffer));
  }

  /**
   * Calls `onFrame` for each frame with its virtio header, in a buffer that is only valid during the
   * call, and `onIdle` after each batch. `onGone` is called once if the kernel takes the device away.
   */
  start(
    onFrame: (bytes: Uint8Array) => void,
    onIdle: () => void,
    onGone: (reason: string) => void,
  ): void {
    this.handle = this.libc.koffi.node.poll(this.fd, { readable: true }, (status) => {
      // koffi swallows exceptions of its callbacks.
      try {
        if (status < 0) onGone(`poll status ${status}`);
        else this.drain(onFrame, onIdle, onGone);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    });
  }

  /** Sends one frame with its virtio header, `length` bytes at an address from {@link Tap.pin}. */
  write(address: number, length: number): boolean {
    if (this.libc.write(this.fd, address, length) >= 0) return true;
    this.txErrors++;
    return false;
  }

  /** Removes the interface. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.handle?.close();
    closeSync(this.fd);
  }

  private drain(
    onFrame: (bytes: Uint8Array) => void,
    onIdle: () => void,
    onGone: (reason: string) => void,
  ): void {
    const { libc, fd, rx, rxAddress } = this;
    for (let i = 0; i < READ_BUDGET && !this.closed; i++) {
      const length = libc.read(fd, rxAddress, TAP_FRAME_SIZE);
      if (length < 0) {
        const errno = libc.koffi.errno();
        if (errno !== EAGAIN) onGone(`read: ${strerror(errno)}`);
        break;
      }
      onFrame(rx.subarray(0, length));
    }
    onIdle();
  }

  private open(name: string, offload: boolean): number {
    let fd: number;
    try {
      // O_CLOEXEC keeps the device from outliving us in a child.
      fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK | 0o2000000);
    } catch (error) {
      throw new TapUnavailable(
        `cannot open /dev/net/tun: ${(error as Error).message}; this needs root`,
      );
    }
    const request = ifreq(name);
    new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
    if (this.libc.ioctl(fd, TUNSETIFF, request) < 0) {
      const errno = this.libc.koffi.errno();
      closeSync(fd);
      if (errno === EPERM) {
        throw new TapUnavailable(
          `not allowed to make the interface ${name}: this needs root (CAP_NET_ADMIN)`,
        );
      }
      if (errno === EINVAL && existsSync(`/sys/class/net/${name}`)) {
        throw new TapError(`the interface ${name} exists already and is no TAP device`);
      }
      throw new TapError(
        errno === EBUSY
          ? `the interface ${name} exists already and is in use`
          : `cannot make the interface ${name}: ${strerror(errno)}`,
      );
    }
    const size = new Uint8Array(4);
    new DataView(size.buffer).setInt32(0, VNET_HDR_SIZE, true);
    this.must(this.libc.ioctl(fd, TUNSETVNETHDRSZ, size), 'TUNSETVNETHDRSZ', fd);
    if (!offload) {
      this.must(this.libc.ioctlValue(fd, TUNSETOFFLOAD, 0), 'TUNSETOFFLOAD', fd);
      return fd;
    }
    const offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    // Kernels before 6.2 do not know UDP segmentation.
    if (this.libc.ioctlValue(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) < 0) {
      this.must(this.libc.ioctlValue(fd, TUNSETOFFLOAD, offloads), 'TUNSETOFFLOAD', fd);
    }
    return fd;
  }

  /** Gives the kernel's end its address and brings it up; returns its link address. */
  private configure(options: TapOptions): Uint8Array {
    const control = this.libc.socket(2, 2, 0);
    if (control < 0) throw new TapError(`socket: ${strerror(this.libc.koffi.errno())}`);
    try {
      const { hostAddress, mtu, name } = options;
      if (mtu !== undefined) {
        const request = ifreq(name);
        new DataView(request.buffer).setInt32(IFNAMSIZ, mtu, true);
        this.must(this.libc.ioctl(control, SIOCSIFMTU, request), `setting the MTU of ${name}`);
      }
      if (hostAddress !== undefined) {
        const { address, prefix } = hostAddress;
        const mask = prefix === 0 ? 0 : (-1 << (32 - prefix)) >>> 0;
        this.setAddress(control, SIOCSIFADDR, name, address);
        this.setAddress(control, SIOCSIFNETMASK, name, [
          mask >>> 24,
          (mask >>> 16) & 255,
          (mask >>> 8) & 255,
          mask & 255,
        ]);
      }
      const flags = ifreq(name);
      this.must(this.libc.ioctl(control, SIOCGIFFLAGS, flags), 'SIOCGIFFLAGS');
      const v = new DataView(flags.buffer);
      v.setUint16(IFNAMSIZ, v.getUint16(IFNAMSIZ, true) | IFF_UP_RUNNING, true);
      this.must(this.libc.ioctl(control, SIOCSIFFLAGS, flags), `bringing ${name} up`);
      const hardware = ifreq(name);
      this.must(this.libc.ioctl(control, SIOCGIFHWADDR, hardware), 'SIOCGIFHWADDR');
      return hardware.slice(IFNAMSIZ + 2, IFNAMSIZ + 8);
    } finally {
      closeSync(control);
    }
  }

  private setAddress(
    control: number,
    request: number,
    name: string,
    address: readonly number[],
  ): void {
    const bytes = ifreq(name);
    // struct sockaddr_in: family, port, address.
    bytes[IFNAMSIZ] = 2;
    bytes.set(address, IFNAMSIZ + 4);
    this.must(this.libc.ioctl(control, request, bytes), `setting the address of ${name}`);
  }

  private must(result: number, what: string, fdToClose?: number): void {
    if (result >= 0) return;
    const errno = this.libc.koffi.errno();
    if (fdToClose !== undefined) closeSync(fdToClose);
    throw new TapError(`${what} failed: ${strerror(errno)}`);
  }
}
