/*
 * A network namespace of its own with a tun device, as packetdrill has it: what goes in is written
 * to the device; what comes out is seen by a packet socket, with the time at which the kernel sent
 * it. Kernel documentation: tuntap.rst, packet_mmap.rst.
 */

import { BackendUnavailable } from '#packetdrill/backend.ts';
import { IOVEC_LEN, MSGHDR } from '#packetdrill/kernel/calls.ts';
import type { Arena, Native } from '#packetdrill/kernel/native.ts';
import { VNET_HDR_LEN } from '#packetdrill/wire.ts';
import { EBUSY, EPERM } from '#uapi/errno.ts';
import {
  BPF_ABS,
  BPF_JEQ,
  BPF_JMP,
  BPF_K,
  BPF_LD,
  BPF_RET,
  BPF_W,
  SKF_AD_OFF,
  SKF_AD_PKTTYPE,
} from '#uapi/filter.ts';
import { PACKET_OUTGOING, PACKET_VNET_HDR } from '#uapi/if_packet.ts';
import {
  IFF_NO_PI,
  IFF_TUN,
  IFF_VNET_HDR,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUNSETIFF,
  TUNSETOFFLOAD,
  TUNSETVNETHDRSZ,
} from '#uapi/if_tun.ts';
import {
  AF_INET,
  MSG_DONTWAIT,
  SCM_TIMESTAMPNS,
  SO_ATTACH_FILTER,
  SO_RCVBUFFORCE,
  SO_TIMESTAMPNS,
  SOCK_DGRAM,
  SOCK_RAW,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { CLONE_NEWNET } from '#uapi/unistd.ts';

const AF_PACKET = 17;
const SOL_PACKET = 263;
const ETH_P_ALL = 3;
const SIOCGIFINDEX = 0x8933;
const IFNAMSIZ = 16;
const IFREQ_LEN = 40;
const O_RDWR_NONBLOCK_CLOEXEC = 0o2 | 0o4000 | 0o2000000;
const SOCKADDR_LL_LEN = 20;
const SLL_PKTTYPE = 10;
/** The header that a packet socket puts in front, without the count of buffers. */
const PACKET_VNET_LEN = 10;
const CONTROL_LEN = 64;
const CMSG_HDR = 16;
const RCVBUF = 16 << 20;
/** struct sock_filter, struct sock_fprog. */
const SOCK_FILTER_LEN = 8;
const SOCK_FPROG_LEN = 16;

/** Instructions that let a packet pass when it leaves. */
const OUTGOING_ONLY: readonly (readonly [code: number, jt: number, jf: number, k: number])[] = [
  [BPF_LD | BPF_W | BPF_ABS, 0, 0, SKF_AD_OFF + SKF_AD_PKTTYPE],
  [BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PACKET_OUTGOING],
  [BPF_RET | BPF_K, 0, 0, 0x7fffffff],
  [BPF_RET | BPF_K, 0, 0, 0],
];

/** Largest packet: 64 KB and the header in front. */
const FRAME_BYTES = 65536 + VNET_HDR_LEN;

/** A packet that has left: the frame as the device shows it, and the wall time. */
export type Seen = (frame: Uint8Array, sec: number, nsec: number) => void;

export class Device {
  /** Readable when a packet has left. */
  readonly fds: readonly [tun: number, socket: number];
  private readonly native: Native;
  private readonly memory: Arena;
  private readonly header: number;
  private readonly name: number;
  private readonly frame: number;
  private readonly control: number;
  private readonly sink: number;

  /** Enters a new namespace with the calling thread. Throws BackendUnavailable. */
  constructor(native: Native, memory: Arena, name: string) {
    this.native = native;
    this.memory = memory;
    if (native.call('unshare', CLONE_NEWNET) < 0) {
      throw new BackendUnavailable('no network namespace can be made: this needs root');
    }
    const tun = this.openTun(name);
    this.fds = [tun, this.openSocket(name)];
    const { view } = memory;
    this.header = memory.alloc(MSGHDR.LEN);
    this.name = memory.alloc(SOCKADDR_LL_LEN);
    this.frame = memory.alloc(FRAME_BYTES);
    this.control = memory.alloc(CONTROL_LEN);
    this.sink = memory.alloc(FRAME_BYTES);
    const vector = memory.alloc(2 * IOVEC_LEN);
    memory.setUint64(vector, memory.at(this.frame));
    memory.setUint64(vector + 8, PACKET_VNET_LEN);
    memory.setUint64(vector + 16, memory.at(this.frame + VNET_HDR_LEN));
    memory.setUint64(vector + 24, FRAME_BYTES - VNET_HDR_LEN);
    memory.setUint64(this.header + MSGHDR.NAME, memory.at(this.name));
    memory.setUint64(this.header + MSGHDR.IOV, memory.at(vector));
    memory.setUint64(this.header + MSGHDR.IOVLEN, 2);
    memory.setUint64(this.header + MSGHDR.CONTROL, memory.at(this.control));
    view.setUint32(this.header + MSGHDR.NAMELEN, SOCKADDR_LL_LEN, true);
  }

  private ifreq(name: string): number {
    const at = this.memory.alloc(IFREQ_LEN);
    this.memory.bytes.set(new TextEncoder().encode(name), at);
    return at;
  }

  private openTun(name: string): number {
    const { native, memory } = this;
    const { view } = memory;
    const path = memory.pointer(new TextEncoder().encode('/dev/net/tun\0'));
    const fd = native.must('/dev/net/tun', 'open', path, O_RDWR_NONBLOCK_CLOEXEC, 0);
    const request = this.ifreq(name);
    view.setUint16(request + IFNAMSIZ, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, true);
    const made = native.call('ioctl', fd, TUNSETIFF, memory.at(request));
    if (made < 0) {
      const why = made === -EPERM ? 'this needs root' : made === -EBUSY ? 'it is in use' : made;
      throw new BackendUnavailable(`no device ${name} can be made: ${why}`);
    }
    const size = memory.alloc(4);
    view.setInt32(size, VNET_HDR_LEN, true);
    native.must('TUNSETVNETHDRSZ', 'ioctl', fd, TUNSETVNETHDRSZ, memory.at(size));
    const offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    native.must('TUNSETOFFLOAD', 'ioctl', fd, TUNSETOFFLOAD, offloads);
    return fd;
  }

  private openSocket(name: string): number {
    const { native, memory } = this;
    const { view } = memory;
    const control = native.must('socket', 'socket', AF_INET, SOCK_DGRAM, 0);
    const request = this.ifreq(name);
    native.must('SIOCGIFINDEX', 'ioctl', control, SIOCGIFINDEX, memory.at(request));
    native.call('close', control);
    const index = view.getInt32(request + IFNAMSIZ, true);
    // Protocol 0: nothing comes before the socket is bound.
    const fd = native.must('a packet socket', 'socket', AF_PACKET, SOCK_RAW, 0);
    const option = memory.alloc(4);
    const set = (level: number, optname: number, value: number): void => {
      view.setInt32(option, value, true);
      native.must('setsockopt', 'setsockopt', fd, level, optname, memory.at(option), 4);
    };
    set(SOL_SOCKET, SO_RCVBUFFORCE, RCVBUF);
    set(SOL_SOCKET, SO_TIMESTAMPNS, 1);
    set(SOL_PACKET, PACKET_VNET_HDR, 1);
    this.attachFilter(fd);
    const addr = memory.alloc(SOCKADDR_LL_LEN);
    view.setUint16(addr, AF_PACKET, true);
    view.setUint16(addr + 2, ETH_P_ALL, false);
    view.setInt32(addr + 4, index, true);
    native.must('bind', 'bind', fd, memory.at(addr), SOCKADDR_LL_LEN);
    return fd;
  }

  /**
   * Lets only packets pass that leave. A copy of what comes in would count as another holder of the
   * packet, and the stack joins no packets that others hold.
   */
  private attachFilter(fd: number): void {
    const { native, memory } = this;
    const { view } = memory;
    const program = memory.alloc(OUTGOING_ONLY.length * SOCK_FILTER_LEN);
    for (const [i, [code, jt, jf, k]] of OUTGOING_ONLY.entries()) {
      const at = program + i * SOCK_FILTER_LEN;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, jt);
      view.setUint8(at + 3, jf);
      view.setInt32(at + 4, k, true);
    }
    const fprog = memory.alloc(SOCK_FPROG_LEN);
    view.setUint16(fprog, OUTGOING_ONLY.length, true);
    memory.setUint64(fprog + 8, memory.at(program));
    const at = memory.at(fprog);
    native.must('a filter', 'setsockopt', fd, SOL_SOCKET, SO_ATTACH_FILTER, at, SOCK_FPROG_LEN);
  }

  /** Writes a packet to the device; 0 or a negative errno. */
  inject(frame: Uint8Array): number {
    const { native, memory, fds, sink } = this;
    memory.bytes.set(frame, sink);
    const result = native.call('write', fds[0], memory.at(sink), frame.length);
    return result < 0 ? result : 0;
  }

  /** Hands over what has left since the last time. */
  drain(seen: Seen): void {
    const { native, memory, fds, sink } = this;
    while (native.call('read', fds[0], memory.at(sink), FRAME_BYTES) > 0) {
      // The device must not fill up; the packet socket has seen the packet.
    }
    const { view, bytes } = memory;
    for (;;) {
      memory.setUint64(this.header + MSGHDR.CONTROLLEN, CONTROL_LEN);
      const got = native.call('recvmsg', fds[1], memory.at(this.header), MSG_DONTWAIT);
      if (got < PACKET_VNET_LEN) return;
      if (bytes[this.name + SLL_PKTTYPE] !== PACKET_OUTGOING) continue;
      const length = got - PACKET_VNET_LEN + VNET_HDR_LEN;
      const { sec, nsec } = this.timestamp(view);
      seen(bytes.slice(this.frame, this.frame + length), sec, nsec);
    }
  }

  private timestamp(view: DataView): { sec: number; nsec: number } {
    const end = this.control + this.memory.getUint64(this.header + MSGHDR.CONTROLLEN);
    const at = this.control;
    const there = at + CMSG_HDR + 16 <= end && view.getInt32(at + 12, true) === SCM_TIMESTAMPNS;
    if (!there) return { sec: 0, nsec: 0 };
    return {
      sec: this.memory.getUint64(at + CMSG_HDR),
      nsec: this.memory.getUint64(at + CMSG_HDR + 8),
    };
  }

  /** Removes the device. The namespace ends with its last socket and thread. */
  close(): void {
    for (const fd of this.fds) this.native.call('close', fd);
  }
}
