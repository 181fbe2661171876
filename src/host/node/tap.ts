/**
 * A TAP device of the real kernel, opened through /dev/net/tun.
 *
 * Frames carry a virtio header both ways. Reading follows NAPI:
 * libuv says that the device is readable, then frames are taken until there are none or the budget
 * is spent. Kernel documentation: Documentation/networking/tuntap.rst.
 */
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import {
  DOOR_FRAME_SIZE,
  type Door,
  DoorError,
  type DoorHandlers,
  DoorUnavailable,
  KERNEL_OFFLOADS,
  READ_BUDGET,
} from '#host/node/door.ts';
import { type Libc, loadLibc, type PollHandle } from '#host/node/libc.ts';
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

const IFNAMSIZ = 16;
const IFREQ_SIZE = 40;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const SIOCSIFNETMASK = 0x891c;
const SIOCGIFHWADDR = 0x8927;
const SIOCSIFMTU = 0x8922;
const IFF_UP_RUNNING = 0x1 | 0x40;

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
export class Tap implements Door {
  readonly name: string;
  readonly vnetHdrSize: number = VNET_HDR_SIZE;
  readonly offloads: number = KERNEL_OFFLOADS;
  readonly mac = null;
  /** Link address of the kernel's end. */
  readonly hostMac: Uint8Array;
  /** Frames that the kernel refused, e.g. since the interface is down. */
  txErrors: number;
  private readonly libc: Libc;
  private readonly fd: number;
  private readonly rx: Uint8Array;
  private readonly rxAddress: number;
  private readonly tx: Uint8Array;
  private readonly txAddress: number;
  private handle: PollHandle | null;
  private closed: boolean;

  /** Throws DoorUnavailable when root, /dev/net/tun or koffi is missing, DoorError for bad options. */
  constructor(options: TapOptions) {
    const { name } = options;
    if (!/^[A-Za-z0-9_.-]{1,15}$/.test(name)) {
      throw new DoorError(
        `'${name}' is no interface name: 1 to 15 letters, digits, '_', '.' or '-'`,
      );
    }
    if (!existsSync('/dev/net/tun')) {
      throw new DoorUnavailable(
        '/dev/net/tun does not exist: load the kernel module tun (modprobe tun), or give the container the device',
      );
    }
    this.name = name;
    this.libc = loadLibc('open a TAP device');
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
    this.rx = new Uint8Array(DOOR_FRAME_SIZE);
    this.rxAddress = this.libc.address(this.rx);
    this.tx = new Uint8Array(DOOR_FRAME_SIZE);
    this.txAddress = this.libc.address(this.tx);
  }

  start(handlers: DoorHandlers): void {
    this.handle = this.libc.poll(this.fd, (status) => {
      if (status < 0) handlers.gone(`poll status ${status}`);
      else this.drain(handlers);
    });
  }

  room(): Uint8Array {
    return this.tx;
  }

  /** The kernel takes the frame within the call. */
  send(length: number): void {
    if (this.libc.write(this.fd, this.txAddress, length) < 0) this.txErrors++;
  }

  flush(): void {}

  /** Removes the interface. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.handle?.close();
    closeSync(this.fd);
  }

  private drain(handlers: DoorHandlers): void {
    const { libc, fd, rx, rxAddress } = this;
    for (let i = 0; i < READ_BUDGET && !this.closed; i++) {
      const length = libc.read(fd, rxAddress, DOOR_FRAME_SIZE);
      if (length < 0) {
        const errno = libc.errno();
        if (errno !== EAGAIN) handlers.gone(`read: ${strerror(errno)}`);
        break;
      }
      handlers.frame(rx.subarray(0, length));
    }
    if (!this.closed) handlers.idle();
  }

  private open(name: string, offload: boolean): number {
    let fd: number;
    try {
      // O_CLOEXEC keeps the device from outliving us in a child.
      fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK | 0o2000000);
    } catch (error) {
      throw new DoorUnavailable(
        `cannot open /dev/net/tun: ${(error as Error).message}; this needs root`,
      );
    }
    const request = ifreq(name);
    new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
    if (this.libc.ioctl(fd, TUNSETIFF, request) < 0) {
      const errno = this.libc.errno();
      closeSync(fd);
      if (errno === EPERM) {
        throw new DoorUnavailable(
          `not allowed to make the interface ${name}: this needs root (CAP_NET_ADMIN)`,
        );
      }
      if (errno === EINVAL && existsSync(`/sys/class/net/${name}`)) {
        throw new DoorError(`the interface ${name} exists already and is no TAP device`);
      }
      throw new DoorError(
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
    if (control < 0) throw new DoorError(`socket: ${strerror(this.libc.errno())}`);
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
    const errno = this.libc.errno();
    if (fdToClose !== undefined) closeSync(fdToClose);
    throw new DoorError(`${what} failed: ${strerror(errno)}`);
  }
}
