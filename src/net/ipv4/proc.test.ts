import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IpMachine, sin } from '#net/ipv4/testing/ip_machine.ts';
import { EINVAL, ENOENT } from '#uapi/errno.ts';
import { AF_INET, SOCK_DGRAM } from '#uapi/socket.ts';

let m: IpMachine;

beforeEach(() => {
  m = new IpMachine();
});

afterEach(() => m.end());

const lines = (name: string): string[] => m.proc(name).trimEnd().split('\n');

describe('/proc/net/snmp', () => {
  it('has Linux’s lines, in pairs of equal length', () => {
    const text = lines('snmp');
    expect(text.map((l) => l.split(':')[0])).toEqual([
      'Ip',
      'Ip',
      'Icmp',
      'Icmp',
      'Tcp',
      'Tcp',
      'Udp',
      'Udp',
      'UdpLite',
      'UdpLite',
    ]);
    for (let i = 0; i < text.length; i += 2) {
      expect(text[i + 1]?.split(' ').length).toBe(text[i]?.split(' ').length);
    }
    expect(text[0]).toBe(
      'Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos ' +
        'InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ' +
        'ReasmFails FragOKs FragFails FragCreates OutTransmits',
    );
    expect(text[1]).toMatch(/^Ip: 2 64 0 0 /);
    expect(text[4]).toMatch(/^Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens/);
    expect(text[5]).toMatch(/^Tcp: 1 200 120000 -1 0 /);
    expect(text[6]).toBe(
      'Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors ' +
        'IgnoredMulti MemErrors',
    );
  });

  it('follows the settings', () => {
    m.sysctl('ip_forward', 1);
    m.sysctl('ip_default_ttl', 33);
    expect(lines('snmp')[1]).toMatch(/^Ip: 1 33 /);
  });
});

describe('/proc/net/netstat', () => {
  it('has TcpExt and IpExt', () => {
    const text = lines('netstat');
    expect(text.map((l) => l.split(':')[0])).toEqual(['TcpExt', 'TcpExt', 'IpExt', 'IpExt']);
    expect(text[0]).toMatch(/^TcpExt: SyncookiesSent SyncookiesRecv /);
    expect(text[2]).toMatch(/^IpExt: InNoRoutes InTruncatedPkts InMcastPkts /);
  });
});

describe('/proc/net/sockstat', () => {
  it('counts sockets', () => {
    const fd = m.sys.socket(AF_INET, SOCK_DGRAM, 0);
    m.sys.bind(fd, sin('0.0.0.0', 5000));
    const text = lines('sockstat');
    expect(text[0]).toMatch(/^sockets: used \d+$/);
    expect(text[1]).toMatch(/^TCP: inuse 0 orphan 0 tw 0 alloc \d+ mem 0$/);
    expect(text.slice(2)).toEqual([
      'UDP: inuse 1 mem 0',
      'UDPLITE: inuse 0',
      'RAW: inuse 0',
      'FRAG: inuse 0 memory 0',
    ]);
    m.sys.close(fd);
    expect(lines('sockstat')[2]).toBe('UDP: inuse 0 mem 0');
  });
});

describe('net.ipv4', () => {
  const read = (name: string): string | number => m.net.sysctl.read(`net/ipv4/${name}`);
  const write = (name: string, text: string): number =>
    m.net.sysctl.write(`net/ipv4/${name}`, text);

  it.each([
    ['ip_local_port_range', '32768\t60999'],
    ['ipfrag_high_thresh', '4194304'],
    ['ipfrag_time', '30'],
    ['icmp_ratemask', '6168'],
    ['tcp_rmem', '4096\t131072\t33554432'],
    ['tcp_wmem', '4096\t16384\t4194304'],
    ['tcp_keepalive_time', '7200'],
    ['tcp_keepalive_intvl', '75'],
    ['tcp_fin_timeout', '60'],
    ['tcp_notsent_lowat', '4294967295'],
    ['tcp_sack', '1'],
    ['tcp_congestion_control', 'cubic'],
  ])('%s shows its default', (name, text) => {
    expect(read(name)).toBe(text);
  });

  it.each([
    ['ip_default_ttl', '256'],
    ['ip_default_ttl', '0'],
    ['ip_local_port_range', '100'],
    ['ip_local_port_range', '60000 50000'],
    ['ip_local_port_range', '100 70000'],
    ['ip_local_reserved_ports', '1-'],
    ['ipfrag_low_thresh', '99999999'],
    ['ipfrag_high_thresh', '5'],
    ['tcp_syn_retries', '0'],
    ['tcp_rmem', '1 2 3 4'],
    ['ping_group_range', '5'],
  ])('%s refuses %s', (name, text) => {
    const before = read(name);
    expect(write(name, text)).toBe(-EINVAL);
    expect(read(name)).toBe(before);
  });

  it('writes what it then shows', () => {
    for (const [name, text, shown] of [
      ['ip_local_port_range', '1024 2000', '1024\t2000'],
      ['ip_local_reserved_ports', '1,5-7,6', '1,5-7'],
      ['tcp_rmem', '4096 8192', '4096\t8192\t33554432'],
      ['tcp_fin_timeout', '15', '15'],
      ['tcp_congestion_control', 'reno', 'reno'],
    ] as const) {
      expect(write(name, text)).toBe(0);
      expect(read(name)).toBe(shown);
    }
    expect(m.net.ipv4.sysctlTcpFinTimeout).toBe(15_000);
  });

  it('knows no congestion control of another name', () => {
    expect(write('tcp_congestion_control', 'nonsense')).toBe(-ENOENT);
    expect(read('tcp_available_congestion_control')).toMatch(/^reno cubic bbr dctcp\n?$/);
  });
});
