import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { csumFold, csumPartial } from '#lib/checksum.ts';
import { addrBytes, MS, NlMachine, SEC, type WireDevice } from '#net/ipv4/testing/nl_machine.ts';
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENODEV } from '#uapi/errno.ts';
import {
  IP_ADD_MEMBERSHIP,
  IP_ADD_SOURCE_MEMBERSHIP,
  IP_BLOCK_SOURCE,
  IP_DROP_MEMBERSHIP,
  IP_DROP_SOURCE_MEMBERSHIP,
  IP_UNBLOCK_SOURCE,
} from '#uapi/in.ts';
import { NLM_F_CREATE } from '#uapi/netlink.ts';
import { RTM_NEWADDR } from '#uapi/rtnetlink.ts';
import { AF_INET, SOCK_DGRAM } from '#uapi/socket.ts';

let m: NlMachine;
let wire: WireDevice;
let fd: number;

beforeEach(() => {
  m = new NlMachine();
  m.loopbackUp();
  wire = m.device('eth0', 1);
  const header = new Uint8Array([2, 24, 0, 0, wire.dev.ifindex, 0, 0, 0]);
  expect(m.request(RTM_NEWADDR, NLM_F_CREATE, header, [[2, addrBytes('10.0.0.1')]]).err).toBe(0);
  m.run(1 * SEC);
  wire.take();
  fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
});
afterEach(() => {
  m.sys.close(fd);
  m.end();
});

const membership = (option: number, group: string, address = '10.0.0.1'): number =>
  m.sys.setsockopt(fd, 0, option, Uint8Array.from([...addrBytes(group), ...addrBytes(address)]));
const join = (group: string): number => membership(IP_ADD_MEMBERSHIP, group);
const leave = (group: string): number => membership(IP_DROP_MEMBERSHIP, group);

/** IGMP messages sent: type, records or group, destination, link destination. */
function sent(): string[] {
  return wire.take().map((f) => {
    const at = 14 + ((f[14] ?? 0) & 15) * 4;
    const to = f.subarray(30, 34).join('.');
    expect(f[0] === 1 && f[1] === 0 && f[2] === 0x5e).toBe(true);
    expect(f[22]).toBe(1);
    expect(csumFold(csumPartial(f, at, f.length - at, 0))).toBe(0);
    if (f[at] !== 0x22) {
      return `0x${(f[at] ?? 0).toString(16)} ${f.subarray(at + 4, at + 8).join('.')} to ${to}`;
    }
    const records: string[] = [];
    for (let r = at + 8; r < f.length; r += 8) {
      records.push(`${f[r]}:${f.subarray(r + 4, r + 8).join('.')}`);
    }
    return `v3 ${records.join(' ')} to ${to}`;
  });
}

/** A query of a router: `body` of IGMP without the checksum. */
function query(body: number[], dst = '224.0.0.1'): void {
  const sum = csumFold(csumPartial(Uint8Array.from(body), 0, body.length, 0));
  body[2] = sum >> 8;
  body[3] = sum & 255;
  const header = Uint8Array.from([
    0x45,
    0,
    0,
    20 + body.length,
    0,
    0,
    0,
    0,
    1,
    2,
    0,
    0,
    ...addrBytes('10.0.0.254'),
    ...addrBytes(dst),
  ]);
  const check = csumFold(csumPartial(header, 0, 20, 0));
  header[10] = check >> 8;
  header[11] = check & 255;
  const group = addrBytes(dst);
  const to = [1, 0, 0x5e, (group[1] ?? 0) & 0x7f, group[2] ?? 0, group[3] ?? 0];
  wire.receive(Uint8Array.from([...to, 2, 0, 0, 0, 0, 0x99, 8, 0, ...header, ...body]));
}

describe('memberships of sockets', () => {
  it('are joined once and left once', () => {
    expect(join('239.1.2.3')).toBe(0);
    expect(join('239.1.2.3')).toBe(-EADDRINUSE);
    expect(join('10.1.2.3')).toBe(-EINVAL);
    expect(membership(IP_ADD_MEMBERSHIP, '239.1.2.4', '192.0.2.1')).toBe(-ENODEV);
    expect(leave('239.1.2.3')).toBe(0);
    expect(leave('239.1.2.3')).toBe(-EADDRNOTAVAIL);
  });

  it('open the filter of the device, and end with the socket', () => {
    const groups = (): string[] => wire.dev.mc.map(({ addr }) => addr.subarray(0, 6).join(':'));
    const before = groups();
    join('239.129.2.3');
    expect(groups()).toEqual([...before, '1:0:94:1:2:3']);
    m.sys.close(fd);
    expect(groups()).toEqual(before);
    fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
  });

  it('let in the sources that they name, or keep them out', () => {
    const source = (option: number, from: string): number =>
      m.sys.setsockopt(
        fd,
        0,
        option,
        Uint8Array.from([...addrBytes('239.1.2.3'), ...addrBytes('10.0.0.1'), ...addrBytes(from)]),
      );
    const port = new Uint8Array(16);
    port.set([2, 0, 0x12, 0x34]);
    expect(m.sys.bind(fd, port)).toBe(0);
    const arrives = (from: string): boolean => {
      const udp = [0x10, 0, 0x12, 0x34, 0, 9, 0, 0, 65];
      const header = [0x45, 0, 0, 29, 0, 0, 0, 0, 9, 17, 0, 0];
      const packet = Uint8Array.from([...header, ...addrBytes(from), ...addrBytes('239.1.2.3')]);
      const check = csumFold(csumPartial(packet, 0, 20, 0));
      packet[10] = check >> 8;
      packet[11] = check & 255;
      const link = [1, 0, 0x5e, 1, 2, 3, 2, 0, 0, 0, 0, 0x99, 8, 0];
      wire.receive(Uint8Array.from([...link, ...packet, ...udp]));
      return m.sys.recvfrom(fd, new Uint8Array(10), 0x40, null) === 1;
    };
    expect(source(IP_BLOCK_SOURCE, '10.0.0.2')).toBe(-EINVAL);
    expect(source(IP_ADD_SOURCE_MEMBERSHIP, '10.0.0.2')).toBe(0);
    expect(source(IP_ADD_SOURCE_MEMBERSHIP, '10.0.0.2')).toBe(-EADDRNOTAVAIL);
    expect([arrives('10.0.0.2'), arrives('10.0.0.3')]).toEqual([true, false]);
    expect(source(IP_BLOCK_SOURCE, '10.0.0.3')).toBe(-EINVAL);
    expect(source(IP_DROP_SOURCE_MEMBERSHIP, '10.0.0.2')).toBe(0);
    expect(leave('239.1.2.3')).toBe(-EADDRNOTAVAIL);
    expect(join('239.1.2.3')).toBe(0);
    expect(source(IP_BLOCK_SOURCE, '10.0.0.2')).toBe(0);
    expect([arrives('10.0.0.2'), arrives('10.0.0.3')]).toEqual([false, true]);
    expect(source(IP_UNBLOCK_SOURCE, '10.0.0.2')).toBe(0);
    expect(arrives('10.0.0.2')).toBe(true);
  });

  it('show under /proc/net', () => {
    join('239.1.2.3');
    const text = m.net.procNet.get('igmp')?.(m.net) ?? '';
    expect(text).toContain('eth0      :     2      V3');
    expect(text).toContain('030201EF     1 0:00000000');
  });
});

describe('reports of version 3', () => {
  it('tell of joining and leaving, twice each', () => {
    join('239.1.2.3');
    m.run(5 * SEC);
    expect(sent()).toEqual(['v3 4:239.1.2.3 to 224.0.0.22', 'v3 4:239.1.2.3 to 224.0.0.22']);
    leave('239.1.2.3');
    m.run(5 * SEC);
    expect(sent()).toEqual(['v3 3:239.1.2.3 to 224.0.0.22', 'v3 3:239.1.2.3 to 224.0.0.22']);
  });

  it('answer a general query for all groups within its time', () => {
    join('239.1.2.3');
    join('239.1.2.4');
    m.run(5 * SEC);
    sent();
    query([0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]);
    m.run(1 * SEC + 10 * MS);
    expect(sent()).toEqual(['v3 2:239.1.2.4 2:239.1.2.3 to 224.0.0.22']);
  });
});

describe('older routers', () => {
  it('get reports and leaves of version 2', () => {
    join('239.1.2.3');
    m.run(5 * SEC);
    sent();
    query([0x11, 20, 0, 0, 0, 0, 0, 0]);
    m.run(2 * SEC + 10 * MS);
    expect(sent()).toEqual(['0x16 239.1.2.3 to 239.1.2.3']);
    leave('239.1.2.3');
    expect(sent()).toEqual(['0x17 239.1.2.3 to 224.0.0.2']);
  });

  it('get reports of version 1, and no leaves', () => {
    join('239.1.2.3');
    m.run(5 * SEC);
    sent();
    query([0x11, 0, 0, 0, 0, 0, 0, 0]);
    m.run(11 * SEC);
    expect(sent()).toEqual(['0x12 239.1.2.3 to 239.1.2.3']);
    leave('239.1.2.3');
    m.run(5 * SEC);
    expect(sent()).toEqual([]);
  });

  it('need only one report a group', () => {
    join('239.1.2.3');
    m.run(5 * SEC);
    sent();
    query([0x11, 100, 0, 0, 0, 0, 0, 0]);
    query([0x16, 0, 0, 0, ...addrBytes('239.1.2.3')], '239.1.2.3');
    m.run(11 * SEC);
    expect(sent()).toEqual([]);
  });
});

describe('igmp_link_local_mcast_reports', () => {
  const path = 'net/ipv4/igmp_link_local_mcast_reports';

  it('0 keeps quiet of groups that do not leave the link', () => {
    expect(m.machine.initNet.sysctl.write(path, '0')).toBe(0);
    expect(join('224.0.0.99')).toBe(0);
    expect(join('224.1.2.3')).toBe(0);
    m.run(20 * SEC);
    const reports = sent();
    expect(reports.length).toBeGreaterThan(0);
    expect(reports.filter((text) => text.includes('224.0.0.99'))).toEqual([]);
    expect(reports.every((text) => text.includes('224.1.2.3'))).toBe(true);
    expect(leave('224.0.0.99')).toBe(0);
    m.run(20 * SEC);
    expect(sent()).toEqual([]);
    expect(m.machine.initNet.sysctl.write(path, '1')).toBe(0);
    expect(join('224.0.0.99')).toBe(0);
    m.run(20 * SEC);
    expect(sent().some((text) => text.includes('224.0.0.99'))).toBe(true);
  });
});
