/**
 * The entry of those who embed the core, e.g. as the gateway of a virtual machine in a page: boots
 * the smallest kernel, with whatever modules are added, opens a door for Ethernet frames, and sets
 * addresses and routes without netlink. docs/embedding.md says how to use it.
 */
import { tunAttach, tunCreate, tunDetach } from '#drivers/net/tun.ts';
import { type TunDoor, tunDoRead, tunGetUser } from '#drivers/net/tun_io.ts';
import type { KernelModule } from '#include/linux/module.ts';
import { type BootOptions, bootMachine, haltMachine } from '#init/main.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import { tinyconfig } from '#init/tinyconfig.ts';
import { liveReport } from '#kernel/live.ts';
import type { Machine } from '#kernel/machine.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { createTask } from '#kernel/sched/task.ts';
import { inPton4 } from '#lib/parse_addr.ts';
import { inetForwardChange } from '#net/ipv4/devinet_conf.ts';
import { EINVAL } from '#uapi/errno.ts';
import { IFF_BROADCAST, IFF_MULTICAST, IFF_UP, IFNAMSIZ, ifreq } from '#uapi/if.ts';
import { IFF_TAP } from '#uapi/if_tun.ts';
import { sockaddrIn } from '#uapi/in.ts';
import { RTF_GATEWAY, RTF_UP, rtentry } from '#uapi/route.ts';
import { AF_INET, SOCK_DGRAM } from '#uapi/socket.ts';
import {
  SIOCADDRT,
  SIOCSIFADDR,
  SIOCSIFBRDADDR,
  SIOCSIFFLAGS,
  SIOCSIFNETMASK,
} from '#uapi/sockios.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

/** How to boot; `modules` are those beside `tinyconfig`. */
export type CoreOptions = Omit<BootOptions, 'modules'> & {
  readonly modules?: readonly KernelModule[];
};

/** Boots a machine of the core and the modules named. Throws what bootMachine() throws. */
export function bootCore(options: CoreOptions): Machine {
  return bootMachine({ ...options, modules: [...tinyconfig, ...(options.modules ?? [])] });
}

/** Halts it. What is still alive afterwards, by kind: nothing, unless somebody has lost it. */
export function haltCore(machine: Machine): Record<string, number> {
  haltMachine(machine);
  return liveReport(machine);
}

/** The system calls of a new program. Throws KernelBug when the machine has been halted. */
export function newTask(machine: Machine, name: string): SyscallTable {
  return makeSyscalls(createTask(machine, name, machine.initNet));
}

/** One end of a cable: the outside's view of an Ethernet interface of the machine. */
export interface FramePort {
  /** Hands the machine a frame, without its checksum. Its length, or a negative errno. */
  send(frame: Uint8Array): number;
  /** Takes the next frame that the machine sends: its length, or -EAGAIN. What does not fit is cut off. */
  receive(frame: Uint8Array): number;
  /** Takes the interface away. */
  unplug(): void;
}

/**
 * Plugs a cable into the machine, which makes the interface `name`. `onFrame` is called, inside the
 * machine, when a frame waits where none did; -EBUSY, -EINVAL: the name is taken or is none;
 * -ESHUTDOWN: the machine has been halted. Without a name it is the first of tap0, tap1 and so on
 * that is free.
 */
export function plugCable(
  machine: Machine,
  name: string,
  onFrame: (port: FramePort) => void,
): FramePort | number {
  const { host } = machine;
  machine.enter(host.readClock());
  const tfile = tunCreate(machine.initNet, { name, flags: IFF_TAP });
  if (typeof tfile === 'number') return tfile;
  const port: FramePort = {
    send(frame) {
      machine.enter(host.readClock());
      return tunGetUser(tfile, frame);
    },
    receive: (frame) => tunDoRead(tfile, frame),
    unplug() {
      machine.enter(host.readClock());
      tunDetach(tfile);
    },
  };
  const door: TunDoor = { readable: () => onFrame(port) };
  tunAttach(tfile, door);
  return port;
}

/** Writes a name into a structure; false: it is no interface's. */
function putName(arg: Uint8Array, at: number, name: string): boolean {
  if (name === '' || name.length >= IFNAMSIZ) return false;
  for (let i = 0; i < name.length; i++) arg[at + i] = name.charCodeAt(i) & 0xff;
  return true;
}

/** An address in dotted decimal, or as a number in host order; -1 for what is none. */
function addressOf(address: number | string): number {
  if (typeof address === 'string') return inPton4(address) ?? -1;
  return Number.isInteger(address) && address >= 0 && address < 2 ** 32 ? address : -1;
}

function isPrefix(prefixLen: number): boolean {
  return Number.isInteger(prefixLen) && prefixLen >= 0 && prefixLen <= 32;
}

function putAddress(arg: Uint8Array, at: number, address: number): void {
  const v = new DataView(arg.buffer);
  sockaddrIn.setFamily(v, at, AF_INET);
  sockaddrIn.setAddr(v, at, address);
}

function maskOf(prefixLen: number): number {
  return prefixLen === 0 ? 0 : (-1 << (32 - prefixLen)) >>> 0;
}

/** Runs `calls` with a socket to ask by, up to the first that fails: 0 or its errno. */
function withSocket(sys: SyscallTable, calls: readonly ((fd: number) => number)[]): number {
  const fd = sys.socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return fd;
  let err = 0;
  for (const call of calls) {
    err = call(fd);
    if (err < 0) break;
  }
  sys.close(fd);
  return err;
}

/**
 * Gives an interface its address, `10.0.0.1` or a number in host order, and brings it up, as
 * `ifconfig NAME ADDRESS/LEN up` does. 0 or a negative errno: -ENODEV, -EINVAL for what is no address.
 */
export function setAddress(
  sys: SyscallTable,
  name: string,
  address: number | string,
  prefixLen: number,
): number {
  const arg = new Uint8Array(ifreq.LEN);
  const own = addressOf(address);
  if (!putName(arg, ifreq.NAME, name) || own < 0 || !isPrefix(prefixLen)) return -EINVAL;
  const mask = maskOf(prefixLen);
  const tell = (cmd: number, value: number) => (fd: number) => {
    putAddress(arg, ifreq.UNION, value);
    return sys.ioctl(fd, cmd, arg);
  };
  const calls = [tell(SIOCSIFADDR, own), tell(SIOCSIFNETMASK, mask)];
  if (prefixLen < 31) calls.push(tell(SIOCSIFBRDADDR, (own | ~mask) >>> 0));
  calls.push((fd) => {
    arg.fill(0, ifreq.UNION);
    ifreq.setFlags(new DataView(arg.buffer), 0, IFF_UP | IFF_BROADCAST | IFF_MULTICAST);
    return sys.ioctl(fd, SIOCSIFFLAGS, arg);
  });
  return withSocket(sys, calls);
}

/** Brings an interface up that needs no address of ours, e.g. `lo`, which has its own. */
export function setUp(sys: SyscallTable, name: string): number {
  const arg = new Uint8Array(ifreq.LEN);
  if (!putName(arg, ifreq.NAME, name)) return -EINVAL;
  ifreq.setFlags(new DataView(arg.buffer), 0, IFF_UP);
  return withSocket(sys, [(fd) => sys.ioctl(fd, SIOCSIFFLAGS, arg)]);
}

/** A route to a network by a gateway on an attached network, as `route add -net` does; addresses as for {@link setAddress}. */
export function addRoute(
  sys: SyscallTable,
  network: number | string,
  prefixLen: number,
  gateway: number | string,
): number {
  const to = addressOf(network);
  const via = addressOf(gateway);
  if (to < 0 || via < 0 || !isPrefix(prefixLen)) return -EINVAL;
  const arg = new Uint8Array(rtentry.LEN);
  putAddress(arg, rtentry.DST, to);
  putAddress(arg, rtentry.GENMASK, maskOf(prefixLen));
  putAddress(arg, rtentry.GATEWAY, via);
  rtentry.setFlags(new DataView(arg.buffer), 0, RTF_UP | RTF_GATEWAY);
  return withSocket(sys, [(fd) => sys.ioctl(fd, SIOCADDRT, arg)]);
}

/** Makes the machine a router, or an end system again: net.ipv4.ip_forward. */
export function setForwarding(machine: Machine, on: boolean): void {
  rtnlLock(machine);
  inetForwardChange(machine.initNet, on);
  rtnlUnlock(machine);
}
