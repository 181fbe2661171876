import { afterEach, beforeEach, expect, it } from 'vitest';
import { NETDEV_CHANGE, type NetDevice } from '#include/linux/netdevice.ts';
import { NOTIFY_DONE } from '#kernel/notifier.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { latin1Decode } from '#lib/utf8.ts';
import { devChangeName, registerNetdeviceNotifier } from '#net/core/dev.ts';
import { IpMachine, type WireDevice } from '#net/ipv4/testing/ip_machine.ts';
import { EINVAL, EOPNOTSUPP, ERANGE } from '#uapi/errno.ts';
import { O_RDONLY, O_WRONLY } from '#uapi/fcntl.ts';

let m: IpMachine;
let eth0: WireDevice;

beforeEach(() => {
  m = new IpMachine();
  eth0 = m.device('eth0', '10.0.0.1', 24);
});

afterEach(() => m.end());

/** As `printf TEXT > /sys/class/net/eth0/NAME`: 0 or a negative errno. */
function write(name: string, text: string): number {
  const fd = m.sys.open(`/sys/class/net/eth0/${name}`, O_WRONLY);
  expect(fd).toBeGreaterThanOrEqual(0);
  const n = m.sys.write(fd, new TextEncoder().encode(text));
  m.sys.close(fd);
  return Math.min(n, 0);
}

function read(name: string): string | number {
  const fd = m.sys.open(`/sys/class/net/eth0/${name}`, O_RDONLY);
  const buf = new Uint8Array(1000);
  const n = m.sys.read(fd, buf);
  m.sys.close(fd);
  return n < 0 ? n : new TextDecoder().decode(buf.subarray(0, n));
}

it('takes numbers in any base, and nothing that is none', () => {
  expect([write('mtu', '1400\n'), read('mtu')]).toEqual([0, '1400\n']);
  expect([write('tx_queue_len', '010'), read('tx_queue_len')]).toEqual([0, '8\n']);
  expect([write('netdev_group', '0x11\n'), read('netdev_group')]).toEqual([0, '17\n']);
  for (const text of ['', '-1', '1 ', 'many']) expect(write('netdev_group', text)).toBe(-EINVAL);
  expect(write('tx_queue_len', '4294967296')).toBe(-ERANGE);
  expect(write('napi_defer_hard_irqs', '0x80000000')).toBe(-ERANGE);
  expect(write('queues/rx-0/rps_flow_cnt', '0x10')).toBe(0);
  expect(read('queues/rx-0/rps_flow_cnt')).toBe('16\n');
  expect(write('queues/rx-0/rps_flow_cnt', '16 flows')).toBe(-EINVAL);
  expect(write('queues/rx-0/rps_flow_cnt', '0')).toBe(0);
});

it('takes another name for a device, and tells those who listen', () => {
  const told: string[] = [];
  registerNetdeviceNotifier(m.machine, {
    priority: 0,
    call: (event: number, dev: NetDevice) => {
      if (event === NETDEV_CHANGE) told.push(dev.ifalias);
      return NOTIFY_DONE;
    },
  });
  expect([write('ifalias', 'to the world\n'), read('ifalias')]).toEqual([0, 'to the world\n']);
  expect(told).toEqual(['to the world']);
  expect(write('ifalias', `${'x'.repeat(255)}\n`)).toBe(0);
  expect(write('ifalias', 'x'.repeat(256))).toBe(-EINVAL);
  expect([write('ifalias', '\n'), read('ifalias')]).toEqual([0, '']);
});

it('gives back the bytes that were written, whatever they mean', () => {
  const fd = m.sys.open('/sys/class/net/eth0/ifalias', O_WRONLY);
  const bytes = Uint8Array.of(0x66, 0xc3, 0xbc, 0x72, 0xff, 0xfe);
  expect(m.sys.write(fd, bytes)).toBe(6);
  m.sys.close(fd);
  const back = m.sys.open('/sys/class/net/eth0/ifalias', O_RDONLY);
  const buf = new Uint8Array(20);
  expect([...buf.subarray(0, m.sys.read(back, buf))]).toEqual([...bytes, 10]);
  m.sys.close(back);
  expect([write('ifalias', 'für\n'), read('ifalias')]).toEqual([0, 'für\n']);
  expect(write('ifalias', 'ü'.repeat(127))).toBe(0);
  expect(write('ifalias', 'ü'.repeat(128))).toBe(-EINVAL);
  expect([write('ifalias', 'a\0b'), read('ifalias')]).toEqual([0, 'a\n']);
});

it('is found by a name that is not ASCII', () => {
  const fd = m.sys.open('/sys/class/net/eth0/flags', O_WRONLY);
  expect(m.sys.write(fd, new TextEncoder().encode('0x1002'))).toBe(6);
  m.sys.close(fd);
  const name = latin1Decode(new TextEncoder().encode('dür'));
  rtnlLock(m.machine);
  expect(devChangeName(eth0.dev, name)).toBe(0);
  rtnlUnlock(m.machine);
  expect(m.sys.readdir('/sys/class/net')).toContain('dür');
  const path = m.sys.open('/sys/class/net/dür/uevent', O_RDONLY);
  const buf = new Uint8Array(100);
  const text = new TextDecoder().decode(buf.subarray(0, m.sys.read(path, buf)));
  m.sys.close(path);
  expect(text).toContain('INTERFACE=dür\n');
});

it('has no speed, duplex or carrier while a device is down, and no switch where there is none', () => {
  expect([read('carrier'), read('dormant')]).toEqual(['1\n', '0\n']);
  expect(write('carrier', '0')).toBe(-EOPNOTSUPP);
  const changed: boolean[] = [];
  eth0.dev.netdevOps = {
    ...eth0.dev.netdevOps,
    ndoChangeCarrier: (_dev, on) => {
      changed.push(on);
      return 0;
    },
  };
  expect(['0\n', '1', '2'].map((text) => write('carrier', text))).toEqual([0, 0, 0]);
  expect(changed).toEqual([false, true, true]);
  expect(write('carrier', 'on')).toBe(-EINVAL);
  expect(write('flags', '0x1002')).toBe(0);
  const states = ['carrier', 'dormant', 'testing', 'speed', 'duplex'];
  expect(states.map(read)).toEqual(states.map(() => -EINVAL));
  expect(write('carrier', '1')).toBe(-EINVAL);
});
