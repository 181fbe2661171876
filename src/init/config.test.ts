/** Kernels without one of their modules: they boot, carry data, say what Linux says, and end clean. */
import { describe, expect, it } from 'vitest';
import type { KernelModule } from '#include/linux/module.ts';
import { bootCore, haltCore, newTask, setUp } from '#init/core.ts';
import { defconfig } from '#init/defconfig.ts';
import { bootMachine } from '#init/main.ts';
import { tinyconfig } from '#init/tinyconfig.ts';
import { type Machine, type MachineHost, runPending, runTimers } from '#kernel/machine.ts';
import {
  EAFNOSUPPORT,
  EAGAIN,
  EINPROGRESS,
  EINVAL,
  ENOENT,
  ENOPROTOOPT,
  ENOSYS,
  EOPNOTSUPP,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '#uapi/errno.ts';
import { ETHTOOL_GFEATURES } from '#uapi/ethtool.ts';
import { ifreq } from '#uapi/if.ts';
import {
  IP_ADD_MEMBERSHIP,
  IP_OPTIONS,
  IPPROTO_ICMP,
  IPPROTO_IP,
  IPPROTO_TCP,
  sockaddrIn,
} from '#uapi/in.ts';
import { NETLINK_GENERIC, NETLINK_ROUTE, NETLINK_SOCK_DIAG } from '#uapi/netlink.ts';
import {
  AF_INET,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  SO_ATTACH_FILTER,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOCK_STREAM,
  SOL_SOCKET,
} from '#uapi/socket.ts';
import { SIOCETHTOOL } from '#uapi/sockios.ts';
import { TCP_CONGESTION, TCP_FASTOPEN, TCP_INFO, TCP_MD5SIG } from '#uapi/tcp.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

class Host implements MachineHost {
  clock = 0;
  readClock(): number {
    return this.clock;
  }
  kick(): void {}
  timerChanged(): void {}
}

/** A machine of some modules, and its clock. */
class Rig {
  readonly host: Host = new Host();
  readonly machine: Machine;
  readonly sys: SyscallTable;

  constructor(modules: readonly KernelModule[]) {
    const { host } = this;
    this.machine = bootMachine({ name: 'm', host, seed: 1, bootEpochSec: 1e9, modules });
    this.sys = newTask(this.machine, 'test');
    expect(setUp(this.sys, 'lo')).toBe(0);
  }

  run(ms: number): void {
    const end = this.host.clock + ms * 1e6;
    for (;;) {
      runPending(this.machine);
      const next = this.machine.nextExpiry();
      if (next > end) break;
      this.host.clock = Math.max(next, this.host.clock);
      this.machine.enter(this.host.clock);
      runTimers(this.machine);
    }
    this.host.clock = end;
    this.machine.enter(end);
  }

  /** What is left of it at the end. */
  end(): Record<string, number> {
    this.sys.exit(0);
    this.run(200_000);
    return haltCore(this.machine);
  }
}

/** All modules but one, and those that cannot be without it. */
function without(name: string): KernelModule[] {
  const gone = new Set([name]);
  for (let before = 0; before !== gone.size; ) {
    before = gone.size;
    for (const { name: other, depends } of defconfig) {
      if (depends.some((wanted) => gone.has(wanted))) gone.add(other);
    }
  }
  return defconfig.filter((module) => !gone.has(module.name));
}

function loopback(port: number): Uint8Array {
  const addr = new Uint8Array(sockaddrIn.LEN);
  const v = new DataView(addr.buffer);
  sockaddrIn.setFamily(v, 0, AF_INET);
  sockaddrIn.setAddr(v, 0, 0x7f000001);
  sockaddrIn.setPort(v, 0, port);
  return addr;
}

/** Sends bytes by TCP and by UDP to itself. */
function carriesData(rig: Rig): void {
  const { sys } = rig;
  const data = Uint8Array.from({ length: 30_000 }, (_, i) => (i * 7) & 0xff);
  const listener = sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  expect(sys.bind(listener, loopback(80))).toBe(0);
  expect(sys.listen(listener, 1)).toBe(0);
  const client = sys.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  expect([0, -EINPROGRESS]).toContain(sys.connect(client, loopback(80)));
  rig.run(10);
  const server = sys.accept4(listener, null, SOCK_NONBLOCK);
  expect(server).toBeGreaterThan(0);
  expect(sys.write(client, data)).toBe(data.length);
  const got = new Uint8Array(data.length);
  let length = 0;
  for (let i = 0; i < 100 && length < data.length; i++) {
    rig.run(1);
    const n = sys.read(server, got.subarray(length));
    if (n > 0) length += n;
  }
  expect(got).toEqual(data);
  const rx = sys.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  expect(sys.bind(rx, loopback(53))).toBe(0);
  const tx = sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(sys.sendto(tx, data.subarray(0, 500), 0, loopback(53))).toBe(500);
  rig.run(1);
  expect(sys.read(rx, got)).toBe(500);
  expect(sys.read(rx, got)).toBe(-EAGAIN);
}

describe('a kernel', () => {
  it.each(defconfig.map(({ name }) => name))('without %s carries data and ends clean', (name) => {
    const rig = new Rig(without(name));
    expect(rig.machine.modules.some((module) => module.name === name)).toBe(false);
    carriesData(rig);
    expect(rig.end()).toEqual({});
  });

  it('of no module at all does', () => {
    const rig = new Rig([]);
    carriesData(rig);
    expect(rig.end()).toEqual({});
  });

  it('has all of defconfig, and says what it is made of', () => {
    const rig = new Rig(defconfig);
    const names = rig.machine.modules.map(({ name }) => name);
    for (const { name } of defconfig) expect(names).toContain(name);
    for (const module of tinyconfig) expect(defconfig).toContain(module);
    expect(rig.end()).toEqual({});
  });

  it('refuses a module whose dependency is left out', () => {
    const host = new Host();
    const [needy] = defconfig.filter(({ name }) => name === 'inet_rtnetlink');
    const boot = (): Machine =>
      bootCore({ name: 'm', host, seed: 1, bootEpochSec: 1e9, modules: [needy as KernelModule] });
    expect(boot).toThrow('inet_rtnetlink needs rtnetlink: module not found');
  });
});

describe('a card in a kernel without a bus', () => {
  it('is refused by name', () => {
    const rig = new Rig(without('pci'));
    expect(() => rig.machine.pci).toThrow('this kernel has no module pci');
    expect(rig.end()).toEqual({});
  });
});

const setsockopt = (level: number, name: number, value: Uint8Array) => (sys: SyscallTable) =>
  sys.setsockopt(sys.socket(AF_INET, SOCK_STREAM, 0), level, name, value);
const socket = (family: number, type: number, protocol: number) => (sys: SyscallTable) =>
  sys.socket(family, type, protocol);
const congestion = (name: string) =>
  setsockopt(
    IPPROTO_TCP,
    TCP_CONGESTION,
    Uint8Array.from(name, (c) => c.charCodeAt(0)),
  );
const open = (path: string) => (sys: SyscallTable) => sys.open(path, 0);
const one = new Uint8Array([1, 0, 0, 0]);
/** One instruction: return 0. */
const filter = Uint8Array.of(6, 0, 0, 0, 0, 0, 0, 0);
const md5 = new Uint8Array(216);

function ethtool(sys: SyscallTable): number {
  const arg = new Uint8Array(ifreq.LEN + 64);
  arg.set([108, 111]);
  arg[ifreq.LEN] = ETHTOOL_GFEATURES;
  return sys.ioctl(sys.socket(AF_INET, SOCK_DGRAM, 0), SIOCETHTOOL, arg);
}

function join(sys: SyscallTable): number {
  const group = Uint8Array.of(224, 1, 2, 3, 127, 0, 0, 1);
  return sys.setsockopt(sys.socket(AF_INET, SOCK_DGRAM, 0), IPPROTO_IP, IP_ADD_MEMBERSHIP, group);
}

function tcpInfo(sys: SyscallTable): number {
  const fd = sys.socket(AF_INET, SOCK_STREAM, 0);
  return sys.getsockopt(fd, IPPROTO_TCP, TCP_INFO, new Uint8Array(300));
}

/** What fails without a module, and how. */
const ERRORS: readonly (readonly [
  module: string,
  what: string,
  call: (sys: SyscallTable) => number,
  errno: number,
])[] = [
  ['unix', 'socket(AF_UNIX)', socket(AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT],
  ['af_packet', 'socket(AF_PACKET)', socket(AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT],
  ['netlink', 'socket(AF_NETLINK)', socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), EAFNOSUPPORT],
  ['rtnetlink', 'NETLINK_ROUTE', socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), EPROTONOSUPPORT],
  ['genetlink', 'NETLINK_GENERIC', socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), EPROTONOSUPPORT],
  [
    'sock_diag',
    'NETLINK_SOCK_DIAG',
    socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG),
    EPROTONOSUPPORT,
  ],
  ['raw', 'a raw socket', socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), ESOCKTNOSUPPORT],
  ['ping', 'a ping socket', socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), EPROTONOSUPPORT],
  ['tcp_auth', 'TCP_MD5SIG', setsockopt(IPPROTO_TCP, TCP_MD5SIG, md5), ENOPROTOOPT],
  ['tcp_bbr', 'TCP_CONGESTION bbr', congestion('bbr'), ENOENT],
  ['tcp_dctcp', 'TCP_CONGESTION dctcp', congestion('dctcp'), ENOENT],
  ['tcp_fastopen', 'TCP_FASTOPEN', setsockopt(IPPROTO_TCP, TCP_FASTOPEN, one), EOPNOTSUPP],
  ['ip_options', 'IP_OPTIONS', setsockopt(IPPROTO_IP, IP_OPTIONS, Uint8Array.of(1)), ENOPROTOOPT],
  ['ip_mc', 'IP_ADD_MEMBERSHIP', join, ENOPROTOOPT],
  ['tcp_info', 'TCP_INFO', tcpInfo, ENOPROTOOPT],
  ['bpf', 'SO_ATTACH_FILTER', setsockopt(SOL_SOCKET, SO_ATTACH_FILTER, filter), EOPNOTSUPP],
  ['ethtool', 'SIOCETHTOOL', ethtool, EOPNOTSUPP],
  ['eventpoll', 'epoll_create1()', (sys) => sys.epollCreate1(0), ENOSYS],
  ['pipefs', 'pipe2()', (sys) => sys.pipe2(new Int32Array(2), 0), ENOSYS],
  ['pipefs', 'splice()', (sys) => sys.splice(0, null, 1, null, 1, 0), ENOSYS],
  ['pipefs', 'sendfile()', (sys) => sys.sendfile(0, 1, null, 1), ENOSYS],
  ['nsfs', 'unshare()', (sys) => sys.unshare(0x40000000), ENOSYS],
  ['nsfs', 'setns()', (sys) => sys.setns('init_net'), ENOSYS],
  ['proc', '/proc/uptime', open('/proc/uptime'), ENOENT],
  ['proc_net', '/proc/net/dev', open('/proc/net/dev'), ENOENT],
  ['proc_net_ipv4', '/proc/net/tcp', open('/proc/net/tcp'), ENOENT],
  ['sysctl_net_core', 'somaxconn', open('/proc/sys/net/core/somaxconn'), ENOENT],
  ['sysctl_net_ipv4', 'ip_forward', open('/proc/sys/net/ipv4/ip_forward'), ENOENT],
  ['sysfs', '/sys/class/net', open('/sys/class/net'), ENOENT],
  ['tmpfs', '/tmp/x', open('/tmp/x'), ENOENT],
  ['devtmpfs', '/dev/null', open('/dev/null'), ENOENT],
  ['mem', '/dev/null', open('/dev/null'), ENOENT],
  ['tun', '/dev/net/tun', open('/dev/net/tun'), ENOENT],
];

describe('what is left out', () => {
  it.each(ERRORS)('%s: %s says so', (name, _what, call, errno) => {
    const rig = new Rig(without(name));
    expect(call(rig.sys)).toBe(-errno);
    expect(rig.end()).toEqual({});
  });

  it('is there in defconfig', () => {
    const rig = new Rig(defconfig);
    for (const [name, what, call] of ERRORS) {
      // These need more than to be there: a file by that name, a descriptor, a key.
      const result = call(rig.sys);
      if (['/tmp/x', 'TCP_MD5SIG', 'splice()', 'sendfile()'].includes(what)) {
        expect([-ENOENT, -EINVAL, -9], `${name}: ${what}`).toContain(result);
      } else {
        expect(result, `${name}: ${what}`).toBeGreaterThanOrEqual(0);
      }
    }
    expect(rig.end()).toEqual({});
  });
});
