import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { inetSelectAddr } from '#net/ipv4/devinet.ts';
import {
  type Attr,
  addrBytes,
  decodeAttrs,
  ip,
  type NlAck,
  NlMachine,
  SEC,
} from '#net/ipv4/testing/nl_machine.ts';
import { EADDRNOTAVAIL, EEXIST, EINVAL, ENODEV } from '#uapi/errno.ts';
import {
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_CACHEINFO,
  IFA_F_DEPRECATED,
  IFA_F_SECONDARY,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
} from '#uapi/if_addr.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '#uapi/netlink.ts';
import { RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR, RTMGRP_IPV4_IFADDR } from '#uapi/rtnetlink.ts';

let m: NlMachine;
let dev: NetDevice;

beforeEach(() => {
  m = new NlMachine();
  m.loopbackUp();
  dev = m.device('eth0', 1).dev;
});
afterEach(() => m.end());

function header(d: NetDevice, plen: number, scope = 0): Uint8Array {
  const bytes = new Uint8Array(8);
  bytes[0] = 2;
  bytes[1] = plen;
  bytes[3] = scope;
  new DataView(bytes.buffer).setInt32(4, d.ifindex, true);
  return bytes;
}

function add(text: string, more: Attr[] = [], flags = NLM_F_CREATE | NLM_F_EXCL, scope = 0): NlAck {
  const [addr = '', plen = '32'] = text.split('/');
  const attrs: Attr[] = [[IFA_LOCAL, addrBytes(addr)], ...more];
  return m.request(RTM_NEWADDR, flags, header(dev, Number(plen), scope), attrs);
}

function del(text: string): NlAck {
  const [addr = '', plen = '32'] = text.split('/');
  const attrs: Attr[] = [
    [IFA_LOCAL, addrBytes(addr)],
    [IFA_ADDRESS, addrBytes(addr)],
  ];
  return m.request(RTM_DELADDR, 0, header(dev, Number(plen)), attrs);
}

/** Addresses of the device, `+` before secondaries. */
function list(): string[] {
  return (dev.ipPtr?.ifaList ?? []).map((ifa) => {
    const octets = [24, 16, 8, 0].map((s) => (ifa.ifaLocal >>> s) & 255).join('.');
    return `${(ifa.ifaFlags & IFA_F_SECONDARY) !== 0 ? '+' : ''}${octets}/${ifa.ifaPrefixlen}`;
  });
}

describe('addresses over rtnetlink', () => {
  it('keeps the first of a subnet primary and the others secondary', () => {
    for (const text of ['10.0.0.1/24', '10.0.0.2/24', '10.1.0.1/16', '10.0.0.3/24']) {
      expect(add(text)).toEqual({ err: 0, msg: '' });
    }
    expect(list()).toEqual(['10.0.0.1/24', '10.1.0.1/16', '+10.0.0.2/24', '+10.0.0.3/24']);
  });

  it('deletes the secondaries with their primary', () => {
    for (const text of ['10.0.0.1/24', '10.0.0.2/24', '10.1.0.1/16']) add(text);
    expect(del('10.0.0.1/24').err).toBe(0);
    expect(list()).toEqual(['10.1.0.1/16']);
  });

  it('promotes a secondary when told to', () => {
    expect(m.net.sysctl.write('net/ipv4/conf/all/promote_secondaries', '1')).toBe(0);
    for (const text of ['10.0.0.1/24', '10.0.0.2/24', '10.0.0.3/24']) add(text);
    expect(del('10.0.0.1/24').err).toBe(0);
    expect(list()).toEqual(['10.0.0.2/24', '+10.0.0.3/24']);
    const main = m.net.procNet.get('route')?.(m.net) ?? '';
    expect(main.match(/eth0/g)).toHaveLength(1);
  });

  it('explains what it refuses', () => {
    expect(add('10.0.0.1/24').err).toBe(0);
    expect(add('10.0.0.1/24')).toEqual({ err: -EEXIST, msg: 'ipv4: Address already assigned' });
    expect(add('10.0.0.9/33')).toEqual({ err: -EINVAL, msg: 'ipv4: Invalid prefix length' });
    expect(del('10.0.0.77/24')).toEqual({
      err: -EADDRNOTAVAIL,
      msg: 'ipv4: Address not found',
    });
    expect(add('10.0.0.8/24', [], NLM_F_CREATE, 253)).toEqual({
      err: -EINVAL,
      msg: 'ipv4: Invalid scope value',
    });
    const none = new Uint8Array(header(dev, 24));
    none[4] = 99;
    const local: Attr[] = [[IFA_LOCAL, addrBytes('10.9.9.9')]];
    expect(m.request(RTM_NEWADDR, NLM_F_CREATE, none, local)).toEqual({
      err: -ENODEV,
      msg: 'ipv4: Device not found',
    });
    expect(m.request(RTM_NEWADDR, NLM_F_CREATE, header(dev, 24), []).msg).toBe(
      'ipv4: Local address is not supplied',
    );
  });

  it('dumps what was given', () => {
    add('10.0.0.1/24', [
      [IFA_BROADCAST, addrBytes('10.0.0.255')],
      [IFA_LABEL, 'eth0:web'],
    ]);
    const all = m.dump(RTM_GETADDR, header(dev, 0));
    expect(all).toHaveLength(1);
    const attrs = decodeAttrs((all[0]?.body ?? new Uint8Array(0)).subarray(8));
    expect([...(attrs.get(IFA_LOCAL) ?? [])]).toEqual([10, 0, 0, 1]);
    expect([...(attrs.get(IFA_ADDRESS) ?? [])]).toEqual([10, 0, 0, 1]);
    expect([...(attrs.get(IFA_BROADCAST) ?? [])]).toEqual([10, 0, 0, 255]);
    expect(new TextDecoder().decode(attrs.get(IFA_LABEL))).toBe('eth0:web\0');
    expect(attrs.get(IFA_FLAGS)?.[0]).toBe(0x80);
    const everything = m.dump(RTM_GETADDR, new Uint8Array(8));
    expect(everything).toHaveLength(2);
  });

  it('tells listeners of what comes and goes', () => {
    const fd = m.socket(RTMGRP_IPV4_IFADDR);
    add('10.0.0.1/24');
    del('10.0.0.1/24');
    expect(m.read(fd).map((msg) => msg.type)).toEqual([RTM_NEWADDR, RTM_DELADDR]);
    m.sys.close(fd);
  });

  it('deprecates an address, then deletes it', () => {
    const lifetime = new Uint8Array(16);
    const v = new DataView(lifetime.buffer);
    v.setUint32(0, 10, true);
    v.setUint32(4, 30, true);
    expect(add('10.0.0.1/24', [[IFA_CACHEINFO, lifetime]]).err).toBe(0);
    m.run(9 * SEC);
    expect((dev.ipPtr?.ifaList[0]?.ifaFlags ?? 0) & IFA_F_DEPRECATED).toBe(0);
    m.run(3 * SEC);
    expect((dev.ipPtr?.ifaList[0]?.ifaFlags ?? 0) & IFA_F_DEPRECATED).not.toBe(0);
    m.run(17 * SEC);
    expect(list()).toEqual(['10.0.0.1/24']);
    m.run(3 * SEC);
    expect(list()).toEqual([]);
  });

  it('changes the lifetime of an address by replacing it', () => {
    const lifetime = new Uint8Array(16);
    new DataView(lifetime.buffer).setUint32(4, 5, true);
    add('10.0.0.1/24', [[IFA_CACHEINFO, lifetime]]);
    expect(add('10.0.0.1/24', [], NLM_F_REPLACE).err).toBe(0);
    m.run(20 * SEC);
    expect(list()).toEqual(['10.0.0.1/24']);
  });
});

describe('choice of a source address', () => {
  it('takes the one of the destination subnet, else the first', () => {
    add('10.0.0.1/24');
    add('10.1.0.1/16');
    expect(inetSelectAddr(dev, ip('10.1.2.3'), 0)).toBe(ip('10.1.0.1'));
    expect(inetSelectAddr(dev, ip('192.0.2.1'), 0)).toBe(ip('10.0.0.1'));
    expect(inetSelectAddr(dev, 0, 0)).toBe(ip('10.0.0.1'));
  });

  it('does not use link scope beyond the link', () => {
    add('169.254.1.1/16', [], NLM_F_CREATE, 253);
    expect(inetSelectAddr(dev, ip('192.0.2.1'), 0)).toBe(0);
    expect(inetSelectAddr(dev, ip('192.0.2.1'), 253)).toBe(ip('169.254.1.1'));
  });
});

describe('settings', () => {
  it('makes every device forward with the machine, and back', () => {
    expect(m.net.sysctl.write('net.ipv4.ip_forward', '1')).toBe(0);
    expect(m.net.sysctl.read('net/ipv4/conf/eth0/forwarding')).toBe('1');
    expect(m.net.sysctl.read('net/ipv4/conf/all/accept_redirects')).toBe('0');
    const late = m.device('eth1', 2).dev;
    expect(m.net.sysctl.read(`net/ipv4/conf/${late.name}/forwarding`)).toBe('1');
    m.net.sysctl.write('net/ipv4/conf/all/forwarding', '0');
    expect(m.net.sysctl.read('net.ipv4.ip_forward')).toBe('0');
  });

  it('hands new defaults to devices without a value of their own', () => {
    m.net.sysctl.write('net/ipv4/conf/eth0/rp_filter', '2');
    const other = m.device('eth1', 2);
    m.net.sysctl.write('net/ipv4/conf/default/rp_filter', '1');
    expect(m.net.sysctl.read('net/ipv4/conf/eth0/rp_filter')).toBe('2');
    expect(m.net.sysctl.read('net/ipv4/conf/eth1/rp_filter')).toBe('1');
    other.remove();
    expect(m.net.sysctl.find('net/ipv4/conf/eth1/rp_filter')).toBeNull();
  });
});
