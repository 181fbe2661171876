/** What the entry of embedders says to arguments that make no sense, and to a machine that has been halted. */
import { describe, expect, it } from 'vitest';
import { NETDEV_REGISTER, NETDEV_UNREGISTER } from '#include/linux/netdevice.ts';
import {
  addRoute,
  bootCore,
  type CoreOptions,
  haltCore,
  newTask,
  plugCable,
  setAddress,
} from '#init/core.ts';
import type { Machine, MachineHost } from '#kernel/machine.ts';
import { NOTIFY_DONE } from '#kernel/notifier.ts';
import { registerNetdeviceNotifier } from '#net/core/dev.ts';
import { EINVAL, EMFILE, ENODEV, ESHUTDOWN } from '#uapi/errno.ts';
import { ifreq } from '#uapi/if.ts';
import { sockaddrIn } from '#uapi/in.ts';
import { AF_INET, SOCK_DGRAM, SOCK_STREAM } from '#uapi/socket.ts';
import { SIOCGIFADDR } from '#uapi/sockios.ts';
import type { SyscallTable } from '#uapi/unistd.ts';

const host: MachineHost = { readClock: () => 0, kick: () => {}, timerChanged: () => {} };
const good: CoreOptions = { name: 'gateway', host, seed: 1, bootEpochSec: 0 };

function boot(): { machine: Machine; sys: SyscallTable } {
  const machine = bootCore(good);
  const sys = newTask(machine, 'init');
  expect(typeof plugCable(machine, 'eth0', () => {})).toBe('object');
  return { machine, sys };
}

/** The address of an interface. */
function addressOf(sys: SyscallTable, name: string): number {
  const arg = new Uint8Array(ifreq.LEN);
  for (let i = 0; i < name.length; i++) arg[ifreq.NAME + i] = name.charCodeAt(i);
  const fd = sys.socket(AF_INET, SOCK_DGRAM, 0);
  expect(sys.ioctl(fd, SIOCGIFADDR, arg)).toBe(0);
  sys.close(fd);
  return sockaddrIn.addr(new DataView(arg.buffer), ifreq.UNION);
}

describe('booting', () => {
  it.each<[string, object, string]>([
    ['no name', { name: '' }, '`name` must be a text'],
    ['no seed', { seed: undefined }, '`seed` must be a number or a text'],
    ['no time', { bootEpochSec: Number.NaN }, '`bootEpochSec` must be a number of seconds'],
    ['no host', { host: undefined }, '`host` has no readClock()'],
    ['a part of a host', { host: { ...host, kick: null } }, '`host` has no kick()'],
    ['a module that is none', { modules: [undefined] }, 'is no module'],
  ])('says what is missing: %s', (_, wrong, message) => {
    const options = { ...good, ...wrong } as CoreOptions;
    expect(() => bootCore(options)).toThrow(TypeError);
    expect(() => bootCore(options)).toThrow(message);
  });
});

describe('addresses', () => {
  it('are text or numbers', () => {
    const { machine, sys } = boot();
    expect(setAddress(sys, 'eth0', '10.0.0.1', 24)).toBe(0);
    expect(addressOf(sys, 'eth0')).toBe(0x0a000001);
    expect(setAddress(sys, 'eth0', 0x0a000002, 24)).toBe(0);
    expect(addressOf(sys, 'eth0')).toBe(0x0a000002);
    expect(addRoute(sys, '10.1.0.0', 16, '10.0.0.9')).toBe(0);
    expect(setAddress(sys, 'eth9', '10.0.0.1', 24)).toBe(-ENODEV);
    expect(haltCore(machine)).toEqual({});
  });

  it('that are none are refused', () => {
    const { machine, sys } = boot();
    for (const wrong of ['', '10.0.0', '10.0.0.256', 'eth0', -5, 2 ** 32, 1.5, Number.NaN]) {
      expect(setAddress(sys, 'eth0', wrong, 24)).toBe(-EINVAL);
      expect(addRoute(sys, wrong, 24, '10.0.0.9')).toBe(-EINVAL);
      expect(addRoute(sys, '10.1.0.0', 24, wrong)).toBe(-EINVAL);
    }
    for (const wrong of [-1, 33, 24.5]) {
      expect(setAddress(sys, 'eth0', '10.0.0.1', wrong)).toBe(-EINVAL);
    }
    expect(haltCore(machine)).toEqual({});
  });
});

describe('a cable', () => {
  it('is plugged and unplugged at the time that the host has then', () => {
    let clock = 0;
    const machine = bootCore({ ...good, host: { ...host, readClock: () => clock } });
    const times: number[] = [];
    registerNetdeviceNotifier(machine, {
      call: (event) => {
        if (event === NETDEV_REGISTER || event === NETDEV_UNREGISTER) times.push(machine.nowNs);
        return NOTIFY_DONE;
      },
      priority: 0,
    });
    times.length = 0;
    clock = 5e9;
    const port = plugCable(machine, 'eth0', () => {});
    clock = 9e9;
    if (typeof port === 'object') port.unplug();
    expect(times).toEqual([5e9, 9e9]);
    expect(haltCore(machine)).toEqual({});
  });
});

describe('a machine that has been halted', () => {
  it('starts nothing any more', () => {
    const { machine, sys } = boot();
    expect(haltCore(machine)).toEqual({});
    expect(sys.socket(AF_INET, SOCK_STREAM, 0)).toBe(-EMFILE);
    expect(plugCable(machine, 'eth1', () => {})).toBe(-ESHUTDOWN);
    expect(() => newTask(machine, 'late')).toThrow('gateway has been halted');
    expect(haltCore(machine)).toEqual({});
  });
});
