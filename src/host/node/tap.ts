/**
 * A TAP device of the real kernel, opened through /dev/net/tun.
 *
 * Frames carry a virtio header both ways; how they are read and written, tap_queue.ts says. With several
 * queues (IFF_MULTI_QUEUE) each is a file of its own, and the kernel learns from what is written to it
 * which flows it shall send by it. Kernel documentation: Documentation/networking/tuntap.rst.
 */
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { type Door, DoorError, DoorUnavailable, KERNEL_OFFLOADS } from '#host/node/door.ts';
import type { WriteRing } from '#host/node/io_uring.ts';
import { type Libc, loadLibc } from '#host/node/libc.ts';
import { TapQueue } from '#host/node/tap_queue.ts';
import { DEFAULT_TAP_IO, ringFor, type TapIo } from '#host/node/tap_tx.ts';
import { EBUSY, EINVAL, EPERM, strerror } from '#uapi/errno.ts';
import { IFNAMSIZ, ifreq } from '#uapi/if.ts';
import {
  IFF_MULTI_QUEUE,
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

/** Files that a TAP device can have. */
const MAX_QUEUES = 256;

const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const SIOCSIFNETMASK = 0x891c;
const SIOCGIFHWADDR = 0x8927;
const SIOCSIFMTU = 0x8922;
const IFF_UP_RUNNING = 0x1 | 0x40;

/** struct ifreq with that name, the rest 0. */
function ifreqOf(name: string): Uint8Array {
  const bytes = new Uint8Array(ifreq.LEN);
  for (let i = 0; i < name.length; i++) bytes[i] = name.charCodeAt(i);
  return bytes;
}

export interface TapOptions {
  /** Name of the interface in the kernel, 1 to 15 characters. */
  readonly name: string;
  /** Address of the kernel's end as four bytes, and its prefix length. */
  readonly hostAddress?: { readonly address: readonly number[]; readonly prefix: number };
  readonly mtu?: number;
  /** Queues, 1 by default: the kernel sends a flow's frames by the one that they came by. */
  readonly queues?: number;
  /** How frames are written, by `write` by default; 'io_uring' throws DoorUnavailable where the kernel refuses it. */
  readonly io?: TapIo;
  /** False: the kernel cuts its packets and fills in checksums before they come here. */
  readonly offload?: boolean;
}

/** An open TAP device. The interface exists until {@link Tap.close}. */
export class Tap implements Door {
  readonly name: string;
  readonly vnetHdrSize: number = VNET_HDR_SIZE;
  readonly offloads: number = KERNEL_OFFLOADS;
  readonly mac = null;
  /** Link address of the kernel's end. */
  readonly hostMac: Uint8Array;
  readonly queues: readonly TapQueue[];
  /** How frames are written. */
  readonly io: 'write' | 'io_uring';
  private readonly libc: Libc;
  private closed: boolean;

  /** Throws DoorUnavailable when root, /dev/net/tun or koffi is missing, DoorError for bad options. */
  constructor(options: TapOptions) {
    const { name, queues = 1 } = options;
    if (!/^[A-Za-z0-9_.-]{1,15}$/.test(name)) {
      throw new DoorError(
        `'${name}' is no interface name: 1 to 15 letters, digits, '_', '.' or '-'`,
      );
    }
    if (!Number.isInteger(queues) || queues < 1 || queues > MAX_QUEUES) {
      throw new DoorError(`a TAP device has 1 to ${MAX_QUEUES} queues, not ${queues}`);
    }
    if (!existsSync('/dev/net/tun')) {
      throw new DoorUnavailable(
        '/dev/net/tun does not exist: load the kernel module tun (modprobe tun), or give the container the device',
      );
    }
    this.name = name;
    this.libc = loadLibc('open a TAP device');
    this.closed = false;
    const fds: number[] = [];
    const rings: (WriteRing | null)[] = [];
    try {
      while (fds.length < queues) fds.push(this.open(name, queues > 1));
      this.negotiate(fds[0] as number, options.offload ?? true);
      for (const fd of fds) rings.push(ringFor(this.libc, fd, options.io ?? DEFAULT_TAP_IO));
      this.hostMac = this.configure(options);
    } catch (error) {
      for (const ring of rings) ring?.close();
      for (const fd of fds) closeSync(fd);
      throw error;
    }
    this.queues = fds.map((fd, i) => new TapQueue(this.libc, fd, rings[i] ?? null));
    this.io = (rings[0] ?? null) === null ? 'write' : 'io_uring';
  }

  /** Frames that the kernel refused, e.g. since the interface is down. */
  get txErrors(): number {
    return this.queues.reduce((sum, { txErrors }) => sum + txErrors, 0);
  }

  /** The kernel sends by the queues that are attached. */
  setQueues(count: number): boolean {
    if (count < 1 || count > this.queues.length) return false;
    // From the last down: the kernel gives the number of one that leaves to the last.
    for (let i = this.queues.length - 1; i >= count; i--) {
      if (!(this.queues[i] as TapQueue).attach(false)) return false;
    }
    for (const queue of this.queues.slice(0, count)) if (!queue.attach(true)) return false;
    return true;
  }

  /** Removes the interface. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const queue of this.queues) queue.close();
  }

  /** A file of the device: makes it, or is another queue of it. */
  private open(name: string, several: boolean): number {
    let fd: number;
    try {
      // O_CLOEXEC keeps the device from outliving us in a child.
      fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK | 0o2000000);
    } catch (error) {
      throw new DoorUnavailable(
        `cannot open /dev/net/tun: ${(error as Error).message}; this needs root`,
      );
    }
    const request = ifreqOf(name);
    const flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0);
    new DataView(request.buffer).setUint16(IFNAMSIZ, flags, true);
    if (this.libc.ioctl(fd, TUNSETIFF, request) < 0) {
      const errno = this.libc.errno();
      closeSync(fd);
      if (errno === EPERM) {
        throw new DoorUnavailable(
          `not allowed to make the interface ${name}: this needs root (CAP_NET_ADMIN)`,
        );
      }
      if (errno === EINVAL && existsSync(`/sys/class/net/${name}`)) {
        throw new DoorError(
          `the interface ${name} exists already and is no TAP device with ${several ? 'several queues' : 'one queue'}`,
        );
      }
      throw new DoorError(
        errno === EBUSY
          ? `the interface ${name} exists already and is in use`
          : `cannot make the interface ${name}: ${strerror(errno)}`,
      );
    }
    return fd;
  }

  /** What is said once for all queues: the header, and what is left to us. */
  private negotiate(fd: number, offload: boolean): void {
    const size = new Uint8Array(4);
    new DataView(size.buffer).setInt32(0, VNET_HDR_SIZE, true);
    this.must(this.libc.ioctl(fd, TUNSETVNETHDRSZ, size), 'TUNSETVNETHDRSZ');
    if (!offload) {
      this.must(this.libc.ioctlValue(fd, TUNSETOFFLOAD, 0), 'TUNSETOFFLOAD');
      return;
    }
    const offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    // Kernels before 6.2 do not know UDP segmentation.
    if (this.libc.ioctlValue(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) < 0) {
      this.must(this.libc.ioctlValue(fd, TUNSETOFFLOAD, offloads), 'TUNSETOFFLOAD');
    }
  }

  /** Gives the kernel's end its address and brings it up; returns its link address. */
  private configure(options: TapOptions): Uint8Array {
    const control = this.libc.socket(2, 2, 0);
    if (control < 0) throw new DoorError(`socket: ${strerror(this.libc.errno())}`);
    try {
      const { hostAddress, mtu, name } = options;
      if (mtu !== undefined) {
        const request = ifreqOf(name);
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
      const flags = ifreqOf(name);
      this.must(this.libc.ioctl(control, SIOCGIFFLAGS, flags), 'SIOCGIFFLAGS');
      const v = new DataView(flags.buffer);
      v.setUint16(IFNAMSIZ, v.getUint16(IFNAMSIZ, true) | IFF_UP_RUNNING, true);
      this.must(this.libc.ioctl(control, SIOCSIFFLAGS, flags), `bringing ${name} up`);
      const hardware = ifreqOf(name);
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
    const bytes = ifreqOf(name);
    // struct sockaddr_in: family, port, address.
    bytes[IFNAMSIZ] = 2;
    bytes.set(address, IFNAMSIZ + 4);
    this.must(this.libc.ioctl(control, request, bytes), `setting the address of ${name}`);
  }

  private must(result: number, what: string): void {
    if (result >= 0) return;
    throw new DoorError(`${what} failed: ${strerror(this.libc.errno())}`);
  }
}
