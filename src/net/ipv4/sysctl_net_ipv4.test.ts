import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IpMachine } from '#net/ipv4/testing/ip_machine.ts';
import { EINVAL } from '#uapi/errno.ts';

let m: IpMachine;

beforeEach(() => {
  m = new IpMachine();
});

afterEach(() => m.end());

const write = (name: string, value: string): number =>
  m.machine.initNet.sysctl.write(`net/ipv4/${name}`, value);
const read = (name: string): unknown => m.machine.initNet.sysctl.read(`net/ipv4/${name}`);

describe('net.ipv4', () => {
  it('has the defaults of Linux', () => {
    expect(read('inet_peer_threshold')).toBe('65664');
    expect(read('inet_peer_minttl')).toBe('120');
    expect(read('inet_peer_maxttl')).toBe('600');
    expect(read('igmp_link_local_mcast_reports')).toBe('1');
    expect(read('fib_multipath_hash_fields')).toBe('7');
    expect(read('fib_notify_on_flag_change')).toBe('0');
    expect(read('tcp_available_ulp')).toBe('');
    expect(Number(read('tcp_ehash_entries'))).toBeGreaterThan(0);
    expect(Number(read('udp_hash_entries'))).toBeGreaterThan(0);
  });

  it('takes what Linux takes, and lets what only tells be', () => {
    expect(write('inet_peer_maxttl', '30')).toBe(0);
    expect(m.machine.netGlobals.inetPeerMaxttl).toBe(30_000);
    expect(write('fib_notify_on_flag_change', '2')).toBe(0);
    expect(write('fib_notify_on_flag_change', '3')).toBe(-EINVAL);
    for (const name of ['tcp_available_ulp', 'tcp_ehash_entries', 'udp_hash_entries']) {
      expect(write(name, '1')).toBeLessThan(0);
    }
  });
});
