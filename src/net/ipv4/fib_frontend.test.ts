import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { FibConfig, NlInfo } from '#include/net/ip_fib.ts';
import { inNtop4 } from '#lib/parse_addr.ts';
import { netifCarrierOff, netifCarrierOn } from '#net/core/link_watch.ts';
import { inetAddrType } from '#net/ipv4/fib_frontend.ts';
import { fibCreateInfo, fibReleaseInfo } from '#net/ipv4/fib_semantics.ts';
import {
  type Attr,
  addrBytes,
  decodeAttrs,
  ip,
  type NlAck,
  NlMachine,
  type NlMessage,
} from '#net/ipv4/testing/nl_machine.ts';
import {
  EACCES,
  EEXIST,
  EHOSTUNREACH,
  EINVAL,
  ENETDOWN,
  ENETUNREACH,
  ENODEV,
  ENOENT,
  ESRCH,
} from '#uapi/errno.ts';
import { IFA_LOCAL } from '#uapi/if_addr.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '#uapi/netlink.ts';
import {
  RT_TABLE_LOCAL,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_METRICS,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PREFSRC,
  RTA_PRIORITY,
  RTA_TABLE,
  RTAX_MTU,
  RTM_DELROUTE,
  RTM_DELRULE,
  RTM_GETROUTE,
  RTM_GETRULE,
  RTM_NEWADDR,
  RTM_NEWROUTE,
  RTM_NEWRULE,
  RTMGRP_IPV4_ROUTE,
  RTN_BLACKHOLE,
  RTN_BROADCAST,
  RTN_LOCAL,
  RTN_PROHIBIT,
  RTN_THROW,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTNH_F_DEAD,
  RTNH_F_LINKDOWN,
} from '#uapi/rtnetlink.ts';
import { AF_INET } from '#uapi/socket.ts';

let m: NlMachine;
let eth0: NetDevice;
let eth1: NetDevice;

beforeEach(() => {
  m = new NlMachine();
  m.loopbackUp();
  eth0 = m.device('eth0', 1).dev;
  eth1 = m.device('eth1', 2).dev;
  addr(eth0, '10.0.0.1/24');
  addr(eth1, '10.0.1.1/24');
});
afterEach(() => m.end());

function addr(dev: NetDevice, text: string): void {
  const [a = '', plen = ''] = text.split('/');
  const header = new Uint8Array([2, Number(plen), 0, 0, dev.ifindex, 0, 0, 0]);
  expect(m.request(RTM_NEWADDR, NLM_F_CREATE, header, [[IFA_LOCAL, addrBytes(a)]]).err).toBe(0);
}

interface RouteOptions {
  readonly type?: number;
  readonly table?: number;
  readonly scope?: number;
  readonly protocol?: number;
  readonly flags?: number;
  readonly tos?: number;
  readonly via?: string;
  readonly dev?: NetDevice;
  readonly metric?: number;
  readonly src?: string;
  readonly attrs?: Attr[];
}

function rtm(plen: number, o: RouteOptions): Uint8Array {
  const h = new Uint8Array([
    2,
    plen,
    0,
    o.tos ?? 0,
    o.table ?? RT_TABLE_MAIN,
    o.protocol ?? 3,
    o.scope ?? (o.via === undefined && o.type === undefined ? 253 : 0),
    o.type ?? RTN_UNICAST,
    0,
    0,
    0,
    0,
  ]);
  h[8] = o.flags ?? 0;
  return h;
}

function routeAttrs(dst: string, plen: number, o: RouteOptions): Attr[] {
  const attrs: Attr[] = [];
  if (plen > 0) attrs.push([RTA_DST, addrBytes(dst)]);
  if (o.via !== undefined) attrs.push([RTA_GATEWAY, addrBytes(o.via)]);
  if (o.dev !== undefined) attrs.push([RTA_OIF, o.dev.ifindex]);
  if (o.metric !== undefined) attrs.push([RTA_PRIORITY, o.metric]);
  if (o.src !== undefined) attrs.push([RTA_PREFSRC, addrBytes(o.src)]);
  return [...attrs, ...(o.attrs ?? [])];
}

function change(cmd: number, flags: number, text: string, o: RouteOptions): NlAck {
  const [dst = '', len = '32'] = text.split('/');
  const plen = Number(len);
  return m.request(cmd, flags, rtm(plen, o), routeAttrs(dst, plen, o));
}
const add = (text: string, o: RouteOptions = {}, flags = NLM_F_CREATE | NLM_F_EXCL): NlAck =>
  change(RTM_NEWROUTE, flags, text, o);
const del = (text: string, o: RouteOptions = {}): NlAck =>
  change(RTM_DELROUTE, 0, text, { scope: 255, ...o });

/** One route as a line: prefix, gateway, device, metric, source. */
function line(msg: NlMessage): string {
  const v = new DataView(msg.body.buffer, msg.body.byteOffset, msg.body.byteLength);
  const attrs = decodeAttrs(msg.body.subarray(12));
  const address = (type: number): string | null => {
    const bytes = attrs.get(type);
    return bytes === undefined ? null : bytes.join('.');
  };
  const u32 = (type: number): number | null => {
    const bytes = attrs.get(type);
    return bytes === undefined
      ? null
      : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  };
  const types: Record<number, string> = {
    [RTN_LOCAL]: 'local ',
    [RTN_BROADCAST]: 'broadcast ',
    [RTN_UNREACHABLE]: 'unreachable ',
    [RTN_BLACKHOLE]: 'blackhole ',
  };
  let text = types[v.getUint8(7)] ?? '';
  text += v.getUint8(1) === 0 ? 'default' : `${address(RTA_DST)}/${v.getUint8(1)}`;
  if (address(RTA_GATEWAY) !== null) text += ` via ${address(RTA_GATEWAY)}`;
  const dev = m.net.devIndexHead.get(u32(RTA_OIF) ?? -1);
  if (dev !== undefined) text += ` dev ${dev.name}`;
  if (address(RTA_PREFSRC) !== null) text += ` src ${address(RTA_PREFSRC)}`;
  if (u32(RTA_PRIORITY) !== null) text += ` metric ${u32(RTA_PRIORITY)}`;
  const flags = v.getUint32(8, true);
  if ((flags & RTNH_F_DEAD) !== 0) text += ' dead';
  if ((flags & RTNH_F_LINKDOWN) !== 0) text += ' linkdown';
  return text;
}

function show(table = RT_TABLE_MAIN): string[] {
  const header = new Uint8Array(12);
  header[0] = 2;
  return m.dump(RTM_GETROUTE, header, [[RTA_TABLE, table]]).map(line);
}

/** `ip route get`: the answer as a line, or the errno. */
function get(dst: string, more: Attr[] = []): string | number {
  const answer = m.get(RTM_GETROUTE, new Uint8Array([2, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), [
    [RTA_DST, addrBytes(dst)],
    ...more,
  ]);
  return typeof answer === 'number' ? answer : line(answer);
}

describe('routes of addresses', () => {
  it('come with the address', () => {
    expect(show()).toEqual([
      '10.0.0.0/24 dev eth0 src 10.0.0.1',
      '10.0.1.0/24 dev eth1 src 10.0.1.1',
    ]);
    expect(show(RT_TABLE_LOCAL)).toEqual([
      'local 10.0.0.1/32 dev eth0 src 10.0.0.1',
      'broadcast 10.0.0.255/32 dev eth0 src 10.0.0.1',
      'local 10.0.1.1/32 dev eth1 src 10.0.1.1',
      'broadcast 10.0.1.255/32 dev eth1 src 10.0.1.1',
      'local 127.0.0.0/8 dev lo src 127.0.0.1',
      'local 127.0.0.1/32 dev lo src 127.0.0.1',
      'broadcast 127.255.255.255/32 dev lo src 127.0.0.1',
    ]);
  });

  it('go with the device, except what is local, and come back', () => {
    add('192.0.2.0/24', { via: '10.0.0.9' });
    m.setUp(eth0, false);
    expect(show()).toEqual(['10.0.1.0/24 dev eth1 src 10.0.1.1']);
    expect(inetAddrType(m.net, ip('10.0.0.1'))).toBe(RTN_LOCAL);
    m.setUp(eth0, true);
    expect(show()).toContain('10.0.0.0/24 dev eth0 src 10.0.0.1');
  });

  it('are marked while the carrier is gone, and unused when told so', () => {
    add('192.0.2.0/24', { via: '10.0.0.9' });
    const carrier = (on: boolean): void => {
      if (on) netifCarrierOn(eth0);
      else netifCarrierOff(eth0);
      m.run(2e9);
    };
    carrier(false);
    expect(show()[0]).toBe('10.0.0.0/24 dev eth0 src 10.0.0.1 linkdown');
    expect(get('192.0.2.1')).toBe('192.0.2.1/32 via 10.0.0.9 dev eth0 src 10.0.0.1');
    m.net.sysctl.write('net/ipv4/conf/eth0/ignore_routes_with_linkdown', '1');
    expect(show()[0]).toBe('10.0.0.0/24 dev eth0 src 10.0.0.1 dead linkdown');
    expect(get('192.0.2.1')).toBe(-ENETUNREACH);
    carrier(true);
    expect(get('192.0.2.1')).toBe('192.0.2.1/32 via 10.0.0.9 dev eth0 src 10.0.0.1');
  });

  it('tell what an address is', () => {
    const types = ['10.0.0.1', '10.0.0.255', '10.0.0.9', '8.8.8.8', '127.3.2.1'].map((a) =>
      inetAddrType(m.net, ip(a)),
    );
    expect(types).toEqual([RTN_LOCAL, RTN_BROADCAST, RTN_UNICAST, RTN_UNICAST, RTN_LOCAL]);
  });
});

describe('routes over rtnetlink', () => {
  it('adds, shows, replaces and deletes', () => {
    expect(add('192.0.2.0/24', { via: '10.0.0.9' })).toEqual({ err: 0, msg: '' });
    expect(add('192.0.2.0/24', { via: '10.0.0.9' }).err).toBe(-EEXIST);
    expect(show()).toContain('192.0.2.0/24 via 10.0.0.9 dev eth0');
    expect(add('192.0.2.0/24', { via: '10.0.1.9' }, NLM_F_CREATE | NLM_F_REPLACE).err).toBe(0);
    expect(show()).toContain('192.0.2.0/24 via 10.0.1.9 dev eth1');
    expect(del('192.0.2.0/24', { via: '10.0.0.9' }).err).toBe(-ESRCH);
    expect(del('192.0.2.0/24').err).toBe(0);
    expect(del('192.0.2.0/24').err).toBe(-ESRCH);
  });

  it('orders equal prefixes by metric, and appends behind', () => {
    add('0.0.0.0/0', { via: '10.0.0.9', metric: 200 });
    add('0.0.0.0/0', { via: '10.0.1.9', metric: 100 });
    expect(show().slice(0, 2)).toEqual([
      'default via 10.0.1.9 dev eth1 metric 100',
      'default via 10.0.0.9 dev eth0 metric 200',
    ]);
    const append = NLM_F_CREATE | NLM_F_APPEND;
    expect(add('0.0.0.0/0', { via: '10.0.1.8', metric: 100 }, append).err).toBe(0);
    expect(show()[1]).toBe('default via 10.0.1.8 dev eth1 metric 100');
  });

  it('explains what it refuses, as Linux does', () => {
    const cases: readonly (readonly [string, RouteOptions, number, string])[] = [
      ['192.0.2.0/24', { via: '172.16.0.1' }, -ENETUNREACH, 'Nexthop has invalid gateway'],
      ['192.0.2.0/24', { via: '10.0.0.255' }, -EINVAL, 'Nexthop has invalid gateway'],
      ['192.0.2.1/24', { via: '10.0.0.9' }, -EINVAL, 'Invalid prefix for given prefix length'],
      ['192.0.2.0/24', { dev: eth0, src: '10.9.9.9' }, -EINVAL, 'Invalid prefsrc address'],
      ['192.0.2.0/24', {}, -ENODEV, ''],
      ['192.0.2.0/24', { tos: 1, dev: eth0 }, -EINVAL, 'Invalid dsfield (tos): ECN bits must be 0'],
      [
        '192.0.2.0/24',
        { type: RTN_UNREACHABLE, dev: eth0 },
        -EINVAL,
        'Gateway, device and multipath can not be specified for this route type',
      ],
      ['192.0.2.0/24', { dev: eth0, scope: 255 }, -EINVAL, 'Invalid scope'],
      ['192.0.2.0/24', { dev: eth0, type: RTN_LOCAL, scope: 0 }, -EINVAL, 'Invalid scope'],
      [
        '192.0.2.0/24',
        { dev: eth0, attrs: [[RTA_METRICS, [[99, 1]]]] },
        -EINVAL,
        'Invalid metric type',
      ],
      [
        '192.0.2.0/24',
        { via: '172.16.0.1', flags: 4 },
        -ENODEV,
        'Nexthop device required for onlink',
      ],
    ];
    for (const [dst, options, err, msg] of cases) {
      expect(add(dst, options)).toEqual({ err, msg });
    }
    expect(add('192.0.2.0/24', { via: '10.0.0.9' }, 0).err).toBe(-ENOENT);
    expect(del('192.0.2.0/24', { table: 77 })).toEqual({
      err: -ESRCH,
      msg: 'FIB table does not exist',
    });
    const down = m.device('eth2', 3, false).dev;
    expect(add('192.0.2.0/24', { dev: down })).toEqual({
      err: -ENETDOWN,
      msg: 'Device for nexthop is not up',
    });
  });

  it('believes the user that a gateway is on the link', () => {
    expect(add('192.0.2.0/24', { via: '172.16.0.1', dev: eth0, flags: 4 }).err).toBe(0);
    expect(get('192.0.2.7')).toBe('192.0.2.7/32 via 172.16.0.1 dev eth0 src 10.0.0.1');
  });

  it('shares what routes have in common', () => {
    const before = m.net.ipv4.fibInfoCnt;
    for (let i = 0; i < 50; i++) add(`192.0.${i}.0/24`, { via: '10.0.0.9' });
    expect(m.net.ipv4.fibInfoCnt).toBe(before + 1);
  });

  it('keeps nothing of what turned out to be shared, not even for a grace period', () => {
    const cfg = new FibConfig(new NlInfo(m.net));
    cfg.fcDstLen = 24;
    cfg.fcTable = RT_TABLE_MAIN;
    cfg.fcType = RTN_UNICAST;
    cfg.fcGw4 = 0x0a000009;
    cfg.fcGwFamily = AF_INET;
    const { live } = m.machine;
    const fi = fibCreateInfo(cfg, null);
    if (typeof fi === 'number') throw new Error(`errno ${-fi}`);
    const alive = live.fibInfos;
    for (let i = 0; i < 10; i++) expect(fibCreateInfo(cfg, null)).toBe(fi);
    cfg.fcGw4 = 0x0a0a0a0a;
    expect(fibCreateInfo(cfg, null)).toBe(-ENETUNREACH);
    expect([live.fibInfos, fi.fibTreeref]).toEqual([alive, 11]);
    for (let i = 0; i < 11; i++) fibReleaseInfo(fi);
  });

  it('lists more routes than one packet holds', () => {
    for (let i = 0; i < 300; i++) add(`172.16.${i >> 2}.${(i & 3) * 64}/26`, { via: '10.0.0.9' });
    const routes = show();
    expect(routes).toHaveLength(302);
    expect(new Set(routes).size).toBe(302);
  });

  it('tells listeners of changes', () => {
    const fd = m.socket(RTMGRP_IPV4_ROUTE);
    add('192.0.2.0/24', { via: '10.0.0.9' });
    del('192.0.2.0/24');
    expect(m.read(fd).map((msg) => [msg.type, line(msg)])).toEqual([
      [RTM_NEWROUTE, '192.0.2.0/24 via 10.0.0.9 dev eth0'],
      [RTM_DELROUTE, '192.0.2.0/24 via 10.0.0.9 dev eth0'],
    ]);
    m.sys.close(fd);
  });

  it('spreads flows over several hops by weight', () => {
    const hop = (dev: NetDevice, via: string, weight: number): number[] => {
      const gw = [8, 0, RTA_GATEWAY, 0, ...addrBytes(via)];
      return [16, 0, 0, weight - 1, dev.ifindex, 0, 0, 0, ...gw];
    };
    const hops = Uint8Array.from([...hop(eth0, '10.0.0.9', 1), ...hop(eth1, '10.0.1.9', 3)]);
    expect(add('198.18.0.0/15', { scope: 0, attrs: [[RTA_MULTIPATH, hops]] }).err).toBe(0);
    let second = 0;
    for (let i = 0; i < 400; i++) {
      const way = get(inNtop4(ip('198.18.0.1') + i * 7));
      if (typeof way === 'string' && way.includes('eth1')) second++;
    }
    expect(second).toBeGreaterThan(240);
    expect(second).toBeLessThan(360);
  });
});

describe('one route asked for', () => {
  it('chooses device, gateway and source', () => {
    add('0.0.0.0/0', { via: '10.0.0.254' });
    add('192.0.2.0/24', { via: '10.0.1.254', src: '10.0.0.1' });
    expect(get('8.8.8.8')).toBe('8.8.8.8/32 via 10.0.0.254 dev eth0 src 10.0.0.1');
    expect(get('192.0.2.1')).toBe('192.0.2.1/32 via 10.0.1.254 dev eth1 src 10.0.0.1');
    expect(get('10.0.1.7')).toBe('10.0.1.7/32 dev eth1 src 10.0.1.1');
    expect(get('10.0.0.1')).toBe('local 10.0.0.1/32 dev lo src 10.0.0.1');
    expect(get('10.0.0.255')).toBe('broadcast 10.0.0.255/32 dev eth0 src 10.0.0.1');
  });

  it('gives the error of the route', () => {
    expect(get('8.8.8.8')).toBe(-ENETUNREACH);
    add('192.0.2.0/26', { type: RTN_UNREACHABLE });
    add('192.0.2.64/26', { type: RTN_PROHIBIT });
    add('192.0.2.128/26', { type: RTN_BLACKHOLE });
    add('192.0.2.192/26', { type: RTN_THROW });
    const ends = ['192.0.2.1', '192.0.2.65', '192.0.2.129', '192.0.2.193'].map((a) => get(a));
    expect(ends).toEqual([-EHOSTUNREACH, -EACCES, -EINVAL, -ENETUNREACH]);
  });

  it('keeps to the metrics of the route', () => {
    add('192.0.2.0/24', { via: '10.0.0.9', attrs: [[RTA_METRICS, [[RTAX_MTU, 1300]]]] });
    const answer = m.get(RTM_GETROUTE, new Uint8Array([2, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), [
      [RTA_DST, addrBytes('192.0.2.1')],
    ]);
    if (typeof answer === 'number') throw new Error(`errno ${answer}`);
    const metrics = decodeAttrs(
      decodeAttrs(answer.body.subarray(12)).get(RTA_METRICS) ?? new Uint8Array(0),
    );
    expect([...(metrics.get(RTAX_MTU) ?? [])]).toEqual([0x14, 0x05, 0, 0]);
  });
});

describe('rules', () => {
  const header = (o: { src?: number; table?: number; action?: number }): Uint8Array =>
    new Uint8Array([2, 0, o.src ?? 0, 0, o.table ?? 0, 0, 0, o.action ?? 1, 0, 0, 0, 0]);

  it('start as local, main, default', () => {
    const rules = m.dump(RTM_GETRULE, header({})).map((msg) => msg.body[4]);
    expect(rules).toEqual([255, 254, 253]);
  });

  it('send flows of a source to another table, and local ones still home', () => {
    expect(add('0.0.0.0/0', { via: '10.0.1.254', table: 100 }).err).toBe(0);
    add('0.0.0.0/0', { via: '10.0.0.254' });
    const rule: Attr[] = [
      [2, addrBytes('10.0.1.1')],
      [6, 1000],
    ];
    expect(m.request(RTM_NEWRULE, NLM_F_CREATE, header({ src: 32, table: 100 }), rule).err).toBe(0);
    const from: Attr[] = [[2, addrBytes('10.0.1.1')]];
    expect(get('8.8.8.8')).toBe('8.8.8.8/32 via 10.0.0.254 dev eth0 src 10.0.0.1');
    expect(get('8.8.8.8', from)).toBe('8.8.8.8/32 via 10.0.1.254 dev eth1');
    expect(get('10.0.0.1', from)).toBe('local 10.0.0.1/32 dev lo');
    expect(show(RT_TABLE_LOCAL)).toHaveLength(7);
    expect(show()).toHaveLength(3);
    expect(m.request(RTM_DELRULE, 0, header({ src: 32, table: 100 }), rule).err).toBe(0);
    expect(get('8.8.8.8', from)).toBe('8.8.8.8/32 via 10.0.0.254 dev eth0');
  });
});

describe('/proc/net/route', () => {
  it('shows the unicast routes of main as Linux does', () => {
    add('0.0.0.0/0', { via: '10.0.0.254', metric: 7 });
    const lines = (m.net.procNet.get('route')?.(m.net) ?? '').split('\n').map((l) => l.trimEnd());
    expect(lines[0]).toBe(
      'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    );
    expect(lines[1]).toBe('eth0\t00000000\tFE00000A\t0003\t0\t0\t7\t00000000\t0\t0\t0');
    expect(lines[2]).toBe('eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0');
    expect(m.net.procNet.get('fib_trie')?.(m.net)).toContain('/32 host LOCAL');
    expect(m.net.procNet.get('fib_triestat')?.(m.net)).toContain('Leaves:');
  });
});
