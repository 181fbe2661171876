import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NetDevice } from '#include/linux/netdevice.ts';
import { dstMtu, dstRelease } from '#include/net/dst.ts';
import { Flowi4 } from '#include/net/flow.ts';
import type { Rtable } from '#include/net/ip_fib.ts';
import { csumFold, csumPartial } from '#lib/checksum.ts';
import { ipRouteOutputKey } from '#net/ipv4/route.ts';
import { ipIdentsReserve } from '#net/ipv4/route_ident.ts';
import {
  addrBytes,
  ip,
  MS,
  NlMachine,
  SEC,
  type WireDevice,
} from '#net/ipv4/testing/nl_machine.ts';
import { EINVAL, ENETUNREACH } from '#uapi/errno.ts';
import { ICMP_DEST_UNREACH, ICMP_REDIRECT } from '#uapi/icmp.ts';
import { dropReasonName } from '#uapi/net_dropreason.ts';
import { NLM_F_CREATE } from '#uapi/netlink.ts';
import { RTM_NEWADDR, RTM_NEWNEIGH, RTM_NEWROUTE } from '#uapi/rtnetlink.ts';
import { UDP_MIB_IGNOREDMULTI } from '#uapi/snmp.ts';

let m: NlMachine;
let in0: WireDevice;
let out0: WireDevice;
let drops: string[];

const PEER_MAC = [2, 0, 0, 0, 0, 0x99];

beforeEach(() => {
  m = new NlMachine();
  m.loopbackUp();
  in0 = m.device('eth0', 1);
  out0 = m.device('eth1', 2);
  addr(in0.dev, '10.0.0.1', 24);
  addr(out0.dev, '10.0.1.1', 24);
  neigh(in0.dev, '10.0.0.2');
  neigh(in0.dev, '10.0.0.3');
  neigh(in0.dev, '10.0.0.9');
  neigh(out0.dev, '10.0.1.2');
  drops = [];
  m.machine.trace.skb.kfreeSkb.register((_skb, _location, reason) => {
    drops.push(dropReasonName(reason).replace('SKB_DROP_REASON_', ''));
  });
});
afterEach(() => m.end());

function addr(dev: NetDevice, a: string, plen: number): void {
  const header = new Uint8Array([2, plen, 0, 0, dev.ifindex, 0, 0, 0]);
  const broadcast = new Uint8Array([...addrBytes(a).subarray(0, 3), 255]);
  const attrs = [
    [2, addrBytes(a)],
    [4, broadcast],
  ] as const;
  expect(m.request(RTM_NEWADDR, NLM_F_CREATE, header, attrs).err).toBe(0);
}

function neigh(dev: NetDevice, a: string): void {
  const header = new Uint8Array([2, 0, 0, 0, dev.ifindex, 0, 0, 0, 0x80, 0, 0, 0]);
  const attrs = [
    [1, addrBytes(a)],
    [2, Uint8Array.from(PEER_MAC)],
  ] as const;
  expect(m.request(RTM_NEWNEIGH, NLM_F_CREATE, header, attrs).err).toBe(0);
}

function route(dst: string, plen: number, via: string, type = 1): void {
  const header = new Uint8Array([2, plen, 0, 0, 254, 3, 0, type, 0, 0, 0, 0]);
  const attrs: [number, Uint8Array][] = plen > 0 ? [[1, addrBytes(dst)]] : [];
  if (via !== '') attrs.push([5, addrBytes(via)]);
  expect(m.request(RTM_NEWROUTE, NLM_F_CREATE, header, attrs)).toEqual({ err: 0, msg: '' });
}

const sysctl = (name: string, value: string): void => {
  expect(m.net.sysctl.write(`net/ipv4/${name}`, value)).toBe(0);
};

/** An IP packet with `payload` octets of protocol `proto`. */
function ipPacket(src: string, dst: string, proto: number, payload: readonly number[]): Uint8Array {
  const p = new Uint8Array(20 + payload.length);
  const v = new DataView(p.buffer);
  v.setUint8(0, 0x45);
  v.setUint16(2, p.length);
  v.setUint8(8, 64);
  v.setUint8(9, proto);
  p.set(addrBytes(src), 12);
  p.set(addrBytes(dst), 16);
  p.set(payload, 20);
  v.setUint16(10, csumFold(csumPartial(p, 0, 20, 0)));
  return p;
}

function frame(packet: Uint8Array, dest: ArrayLike<number>): Uint8Array {
  const f = new Uint8Array(14 + packet.length);
  f.set(dest, 0);
  f.set(PEER_MAC, 6);
  f.set([8, 0], 12);
  f.set(packet, 14);
  return f;
}

const UDP = [0x10, 0, 0, 9, 0, 8, 0, 0];
const ECHO_REPLY = [0, 0, 0xff, 0xff, 0, 0, 0, 0];

/** A UDP packet of the peer's arrives. */
function arrive(src: string, dst: string, wire = in0, to?: ArrayLike<number>): void {
  wire.receive(frame(ipPacket(src, dst, 17, UDP), to ?? wire.dev.devAddr.subarray(0, 6)));
}

/** What was sent by a device: protocol, type and code of ICMP, destination. */
function sent(wire: WireDevice): string[] {
  return wire.take().map((f) => {
    const to = f.subarray(30, 34).join('.');
    return f[23] === 1 ? `icmp ${f[34]}/${f[35]} to ${to}` : `proto ${f[23]} to ${to}`;
  });
}

describe('packets that may not be', () => {
  it('are dropped, each with its reason', () => {
    const cases: readonly (readonly [string, string, string])[] = [
      ['224.0.0.5', '10.0.0.1', 'IP_INVALID_SOURCE'],
      ['255.255.255.255', '10.0.0.1', 'IP_INVALID_SOURCE'],
      ['0.0.0.0', '10.0.0.1', 'IP_INVALID_SOURCE'],
      ['10.0.0.2', '0.0.0.0', 'IP_INVALID_DEST'],
      ['127.0.0.1', '10.0.0.1', 'IP_LOCALNET'],
      ['10.0.0.2', '127.0.0.1', 'IP_LOCALNET'],
      ['10.0.0.1', '10.0.0.1', 'IP_LOCAL_SOURCE'],
      ['10.0.1.1', '10.0.0.1', 'IP_LOCAL_SOURCE'],
    ];
    for (const [src, dst, reason] of cases) {
      drops.length = 0;
      arrive(src, dst);
      expect([src, dst, drops]).toEqual([src, dst, [reason]]);
    }
  });

  it('are not for us when we are a host', () => {
    arrive('10.0.0.2', '192.0.2.1');
    expect(drops).toEqual(['IP_INADDRERRORS']);
    expect(sent(in0)).toEqual([]);
  });

  it('fail reverse path filtering', () => {
    route('192.0.2.0', 24, '10.0.1.2');
    arrive('192.0.2.7', '10.0.0.1');
    expect(drops).not.toContain('IP_RPFILTER');
    drops.length = 0;
    sysctl('conf/eth0/rp_filter', '1');
    arrive('192.0.2.7', '10.0.0.1');
    expect(drops).toEqual(['IP_RPFILTER']);
    drops.length = 0;
    sysctl('conf/eth0/rp_filter', '2');
    arrive('192.0.2.7', '10.0.0.1');
    expect(drops).not.toContain('IP_RPFILTER');
    drops.length = 0;
    arrive('198.51.100.1', '10.0.0.1');
    expect(drops).toEqual(['IP_RPFILTER']);
  });

  it('are let in when told so', () => {
    sysctl('conf/eth0/route_localnet', '1');
    sysctl('conf/eth0/accept_local', '1');
    drops.length = 0;
    arrive('10.0.0.1', '10.0.0.1');
    expect(drops).toEqual(['NO_SOCKET']);
  });
});

describe('a router', () => {
  beforeEach(() => sysctl('ip_forward', '1'));

  it('sends packets on, by a route that it keeps', () => {
    arrive('10.0.0.2', '10.0.1.2');
    arrive('10.0.0.2', '10.0.1.2');
    expect(sent(out0)).toEqual(['proto 17 to 10.0.1.2', 'proto 17 to 10.0.1.2']);
    expect(drops).toEqual([]);
  });

  it('says why it cannot, and not too often', () => {
    arrive('10.0.0.2', '192.0.2.1');
    expect(drops).toEqual(['IP_INNOROUTES']);
    expect(sent(in0)).toEqual([`icmp ${ICMP_DEST_UNREACH}/0 to 10.0.0.2`]);
    route('192.0.2.0', 25, '', 7);
    route('192.0.2.128', 25, '', 8);
    arrive('10.0.0.3', '192.0.2.1');
    arrive('10.0.0.9', '192.0.2.129');
    expect(sent(in0)).toEqual([
      `icmp ${ICMP_DEST_UNREACH}/1 to 10.0.0.3`,
      `icmp ${ICMP_DEST_UNREACH}/13 to 10.0.0.9`,
    ]);
    for (let i = 0; i < 50; i++) arrive('10.0.0.2', '198.51.100.1');
    expect(sent(in0).length).toBeLessThan(10);
  });

  it('names the better router, ever more rarely', () => {
    route('192.0.2.0', 24, '10.0.0.9');
    arrive('10.0.0.2', '192.0.2.1');
    expect(sent(in0)).toEqual([`icmp ${ICMP_REDIRECT}/1 to 10.0.0.2`, 'proto 17 to 192.0.2.1']);
    let redirects = 0;
    for (let i = 0; i < 40; i++) {
      m.run(200 * MS);
      arrive('10.0.0.2', '192.0.2.1');
      redirects += sent(in0).filter((s) => s.startsWith('icmp 5')).length;
    }
    expect(redirects).toBeGreaterThan(3);
    expect(redirects).toBeLessThan(9);
  });

  it('does not keep routes of a table that has changed', () => {
    route('192.0.2.0', 24, '10.0.1.2');
    arrive('10.0.0.2', '192.0.2.1');
    expect(sent(out0)).toHaveLength(1);
    const header = new Uint8Array([2, 24, 0, 0, 254, 0, 255, 0, 0, 0, 0, 0]);
    expect(m.request(25, 0, header, [[1, addrBytes('192.0.2.0')]]).err).toBe(0);
    arrive('10.0.0.2', '192.0.2.1');
    expect(sent(out0)).toHaveLength(0);
  });
});

describe('broadcasts and groups', () => {
  const BROADCAST = [255, 255, 255, 255, 255, 255];

  it('reach us', () => {
    const ignored = (): number => m.net.mib.udpStatistics[UDP_MIB_IGNOREDMULTI] ?? 0;
    arrive('10.0.0.2', '255.255.255.255', in0, BROADCAST);
    expect(ignored()).toBe(1);
    arrive('10.0.0.2', '10.0.0.255', in0, BROADCAST);
    expect(ignored()).toBe(2);
    arrive('10.0.0.2', '224.0.0.1', in0, [1, 0, 0x5e, 0, 0, 1]);
    expect(ignored()).toBe(3);
    drops.length = 0;
    arrive('10.0.0.2', '239.1.2.3', in0, [1, 0, 0x5e, 1, 2, 3]);
    expect(ignored()).toBe(3);
    expect(drops).toEqual(['NOT_SPECIFIED']);
  });
});

describe('routes of packets to be sent', () => {
  function output(daddr: string, saddr = '', oif = 0): Rtable | number {
    const fl4 = new Flowi4();
    fl4.daddr = ip(daddr);
    if (saddr !== '') fl4.saddr = ip(saddr);
    fl4.flowi4Oif = oif;
    return ipRouteOutputKey(m.net, fl4);
  }
  function use(rt: Rtable | number): Rtable {
    if (typeof rt === 'number') throw new Error(`errno ${rt}`);
    dstRelease(rt);
    return rt;
  }

  it('are one for all destinations of a hop', () => {
    route('0.0.0.0', 0, '10.0.1.2');
    expect(use(output('8.8.8.8'))).toBe(use(output('9.9.9.9')));
    expect(use(output('10.0.0.2'))).not.toBe(use(output('8.8.8.8')));
  });

  it('refuse impossible addresses', () => {
    expect(output('8.8.8.8', '224.0.0.1')).toBe(-EINVAL);
    expect(output('10.0.0.2', '192.0.2.77')).toBe(-ENETUNREACH);
    expect(output('10.0.0.2', '127.0.0.1')).toBe(-EINVAL);
    expect(output('8.8.8.8')).toBe(-ENETUNREACH);
  });

  it('go by a device that is named, route or not', () => {
    const rt = use(output('8.8.8.8', '', in0.dev.ifindex));
    expect(rt.dev).toBe(in0.dev);
    expect(rt.rtUsesGateway).toBe(false);
  });

  it('learn a smaller path MTU for one destination, and forget it', () => {
    route('0.0.0.0', 0, '10.0.1.2');
    const rt = output('8.8.8.8') as Rtable;
    expect(dstMtu(rt)).toBe(1500);
    // The router on the way says that 1300 octets is the most.
    const inner = ipPacket('10.0.1.1', '8.8.8.8', 1, ECHO_REPLY);
    const icmp = [3, 4, 0, 0, 0, 0, 1300 >> 8, 1300 & 255, ...inner];
    const sum = csumFold(csumPartial(Uint8Array.from(icmp), 0, icmp.length, 0));
    icmp[2] = sum >> 8;
    icmp[3] = sum & 255;
    const error = ipPacket('10.0.1.2', '10.0.1.1', 1, icmp);
    out0.receive(frame(error, out0.dev.devAddr.subarray(0, 6)));
    dstRelease(rt);
    expect(dstMtu(use(output('8.8.8.8')))).toBe(1300);
    expect(dstMtu(use(output('9.9.9.9')))).toBe(1500);
    m.run(599 * SEC);
    expect(dstMtu(use(output('8.8.8.8')))).toBe(1300);
    m.run(3 * SEC);
    expect(dstMtu(use(output('8.8.8.8')))).toBe(1500);
  });

  it('follow a redirect of the router in use only', () => {
    route('0.0.0.0', 0, '10.0.0.9');
    use(output('8.8.8.8'));
    const redirect = (from: string): void => {
      const inner = ipPacket('10.0.0.1', '8.8.8.8', 1, ECHO_REPLY);
      const icmp = [5, 1, 0, 0, ...addrBytes('10.0.0.3'), ...inner];
      const sum = csumFold(csumPartial(Uint8Array.from(icmp), 0, icmp.length, 0));
      icmp[2] = sum >> 8;
      icmp[3] = sum & 255;
      const packet = ipPacket(from, '10.0.0.1', 1, icmp);
      in0.receive(frame(packet, in0.dev.devAddr.subarray(0, 6)));
    };
    redirect('10.0.0.2');
    expect(use(output('8.8.8.8')).rtGw4).toBe(ip('10.0.0.9'));
    redirect('10.0.0.9');
    expect(use(output('8.8.8.8')).rtGw4).toBe(ip('10.0.0.3'));
    expect(use(output('9.9.9.9')).rtGw4).toBe(ip('10.0.0.9'));
  });

  it('outlive their device in a safe shape', () => {
    const rt = output('10.0.1.2') as Rtable;
    out0.remove();
    expect(rt.dev).toBe(m.machine.netGlobals.blackholeNetdev);
    expect(rt.ops.check(rt, 0)).toBeNull();
    dstRelease(rt);
  });
});

describe('identifications', () => {
  it('follow each other for one pair of hosts', () => {
    const a = ipIdentsReserve(m.net, 5, 1);
    expect(ipIdentsReserve(m.net, 5, 3)).toBe((a + 1) & 0xffff);
    expect(ipIdentsReserve(m.net, 5, 1)).toBe((a + 4) & 0xffff);
  });
});
