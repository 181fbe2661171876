import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BareMachine } from '#fs/testing/bare_machine.ts';
import { makeSyscalls } from '#init/syscalls.ts';
import {
  copyNetNs,
  getNet,
  putNet,
  registerPernetSubsys,
  unregisterPernetSubsys,
} from '#net/core/net_namespace.ts';
import { unixInit } from '#net/unix/af_unix.ts';
import { EBUSY, ECONNREFUSED, EINVAL, ENOENT, ENOMEM, EPERM } from '#uapi/errno.ts';
import { AF_UNIX, SOCK_STREAM } from '#uapi/socket.ts';
import { CLONE_NEWNET, MS_BIND } from '#uapi/unistd.ts';

let m: BareMachine;

beforeEach(() => {
  m = new BareMachine();
});

afterEach(() => {
  expect(m.end()).toEqual({});
  expect(m.machine.netGlobals.netnsList.map((net) => net.name)).toEqual(['init_net']);
});

describe('subsystems', () => {
  it('are set up in order and taken down in reverse, in every namespace', () => {
    const log: string[] = [];
    const subsystem = (name: string): Parameters<typeof registerPernetSubsys>[1] => ({
      name,
      init: (net) => {
        log.push(`+${name}@${net.nsid}`);
        return 0;
      },
      exit: (net) => {
        log.push(`-${name}@${net.nsid}`);
      },
    });
    const [a, b] = [subsystem('a'), subsystem('b')];
    expect(registerPernetSubsys(m.machine, a)).toBe(0);
    expect(() => registerPernetSubsys(m.machine, a)).toThrow('pernet-twice');
    expect(registerPernetSubsys(m.machine, b)).toBe(0);
    const net = copyNetNs(m.machine, 'x');
    if (typeof net === 'number') throw new Error(`copy_net_ns: ${net}`);
    getNet(net);
    putNet(net);
    m.settle();
    expect(log).toEqual(['+a@0', '+b@0', '+a@1', '+b@1']);
    putNet(net);
    // Not at once: whoever let go may be deep in the network stack.
    expect(log).toHaveLength(4);
    m.settle();
    unregisterPernetSubsys(m.machine, b);
    expect(log.slice(4)).toEqual(['-b@1', '-a@1', '-b@0']);
  });

  it('that fail leave nothing behind', () => {
    const log: string[] = [];
    registerPernetSubsys(m.machine, {
      name: 'good',
      init: () => 0,
      exit: (net) => {
        log.push(`-good@${net.nsid}`);
      },
    });
    registerPernetSubsys(m.machine, {
      name: 'bad',
      init: (net) => (net.nsid === 0 ? 0 : -ENOMEM),
      exit: () => {
        log.push('never');
      },
    });
    expect(copyNetNs(m.machine, 'x')).toBe(-ENOMEM);
    expect(log).toEqual(['-good@1']);
  });
});

describe('setns and unshare', () => {
  it('move a task, and its new sockets, not the old', () => {
    unixInit(m.machine);
    const sys = makeSyscalls(m.task);
    const listener = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    const name = Uint8Array.of(AF_UNIX, 0, 0, 65);
    sys.bind(listener, name);
    sys.listen(listener, 1);
    expect(sys.unshare(1)).toBe(-EINVAL);
    expect(sys.unshare(CLONE_NEWNET)).toBe(0);
    expect(m.machine.netGlobals.netnsList).toHaveLength(2);
    const here = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    // Abstract names belong to the namespace.
    expect(sys.connect(here, name)).toBe(-ECONNREFUSED);
    expect(sys.mount('/proc/self/ns/net', '/run/netns/blue', 0)).toBe(-EPERM);
    expect(sys.mount('/proc/self/ns/net', '/run/netns/blue', MS_BIND)).toBe(0);
    expect(sys.mount('/proc/self/ns/net', '/run/netns/blue', MS_BIND)).toBe(-EBUSY);
    expect(sys.readdir('/run/netns')).toEqual(['blue']);
    expect(sys.setns('init_net')).toBe(0);
    const there = sys.socket(AF_UNIX, SOCK_STREAM, 0);
    expect(sys.connect(there, name)).toBe(0);
    m.settle();
    expect(m.machine.netGlobals.netnsList).toHaveLength(2);
    expect(sys.setns('/run/netns/blue')).toBe(0);
    expect(sys.setns('red')).toBe(-ENOENT);
    expect(sys.setns('/etc/passwd')).toBe(-EINVAL);
    expect(sys.setns('init_net')).toBe(0);
    expect(sys.umount2('/run/netns/blue', 0)).toBe(0);
    expect(sys.umount2('/run/netns/blue', 0)).toBe(-EINVAL);
    m.settle();
    // The socket that was made there still holds it.
    expect(m.machine.netGlobals.netnsList).toHaveLength(2);
    sys.close(here);
    m.settle();
    expect(m.machine.netGlobals.netnsList).toHaveLength(1);
  });
});

describe('/proc and /sys', () => {
  it('are trees that can be walked and read', () => {
    unixInit(m.machine);
    const sys = makeSyscalls(m.task);
    const walk = (path: string): string[] => {
      const names = sys.readdir(path);
      if (typeof names === 'number') return [path];
      return names.flatMap((name) => walk(`${path === '/' ? '' : path}/${name}`));
    };
    const files = walk('/');
    expect(files).toContain('/proc/net/dev');
    expect(files).toContain('/proc/sys/net/core/somaxconn');
    expect(files).toContain(`/proc/${sys.getpid()}/net/unix`);
    for (const path of files) {
      const fd = sys.open(path, 0);
      expect(fd, path).toBeGreaterThanOrEqual(0);
      expect(sys.read(fd, new Uint8Array(1 << 16)), path).toBeGreaterThanOrEqual(0);
      expect(sys.read(fd, new Uint8Array(1 << 16)), path).toBe(0);
      sys.close(fd);
    }
  });

  it('show what they say in the formats of Linux', () => {
    const sys = makeSyscalls(m.task);
    m.advance(65_432_100_000);
    const read = (path: string): string => {
      const fd = sys.open(path, 0);
      const buf = new Uint8Array(4096);
      const n = sys.read(fd, buf);
      sys.close(fd);
      return new TextDecoder().decode(buf.subarray(0, n));
    };
    expect(read('/proc/uptime')).toBe('65.43 65.43\n');
    expect(read('/proc/sys/net/core/somaxconn')).toBe('4096\n');
    expect(read('/proc/../proc/./self/comm')).toBe('test\n');
    expect(read('/proc/version')).toMatch(/^Linux version 6\./);
    expect(read('/proc/softirqs').split('\n')[0]).toBe(`${' '.repeat(20)}CPU0       `);
    expect(read('/proc/net/dev').split('\n')).toHaveLength(3);
  });

  it('refuse as Linux does', () => {
    const sys = makeSyscalls(m.task);
    const errors: [string, number, number][] = [
      ['', 0, -2],
      ['/proc/nothing', 0, -2],
      ['/proc/uptime/x', 0, -20],
      ['/proc/uptime/', 0, -20],
      ['/proc/uptime', 0o200000, -20],
      ['/proc', 1, -21],
      ['/proc/uptime', 1, -13],
      ['/proc/uptime', 0o300, -17],
      ['/proc/new', 0o100, -13],
      [`/${'x'.repeat(5000)}`, 0, -36],
    ];
    for (const [path, flags, err] of errors) expect(sys.open(path, flags), path).toBe(err);
    expect(sys.readdir('/proc/uptime')).toBe(-20);
    const dir = sys.open('/proc', 0);
    expect(sys.read(dir, new Uint8Array(1))).toBe(-21);
    expect(sys.epollCtl(sys.epollCreate1(0), 1, dir, { events: 1, data: 0 })).toBe(-1);
  });
});
