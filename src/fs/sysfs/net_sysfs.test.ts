import { afterEach, beforeEach, expect, it } from 'vitest';
import { NETDEV_CHANGE, type NetDevice } from '#include/linux/netdevice.ts';
import { NOTIFY_DONE } from '#kernel/notifier.ts';
import { registerNetdeviceNotifier } from '#net/core/dev.ts';
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
