import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NETDEV_NOTIFY_PEERS } from '#include/linux/netdevice.ts';
import type { NeighTable } from '#include/net/neighbour.ts';
import { rtnlLock, rtnlUnlock } from '#kernel/rtnl.ts';
import { callNetdeviceNotifiers } from '#net/core/dev.ts';
import { neighLookup } from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { arpIoctl } from '#net/ipv4/arp_user.ts';
import {
  addrBytes,
  ip,
  MS,
  NlMachine,
  SEC,
  type WireDevice,
} from '#net/ipv4/testing/nl_machine.ts';
import { ENODEV, ENXIO } from '#uapi/errno.ts';
import { ATF_COM, ATF_PERM } from '#uapi/if_arp.ts';
import { NUD_REACHABLE, NUD_STALE } from '#uapi/neighbour.ts';
import { NLM_F_CREATE } from '#uapi/netlink.ts';
import { RTM_NEWADDR, RTM_NEWROUTE } from '#uapi/rtnetlink.ts';
import { SIOCDARP, SIOCGARP, SIOCSARP } from '#uapi/sockios.ts';

let m: NlMachine;
let wire: WireDevice;
let other: WireDevice;

const ALL = [255, 255, 255, 255, 255, 255];
const MAC = [2, 0, 0, 0, 0, 0x99];

beforeEach(() => {
  m = new NlMachine();
  m.loopbackUp();
  wire = m.device('eth0', 1);
  other = m.device('eth1', 2);
  addr(wire, '10.0.0.1');
  addr(other, '10.0.1.1');
});
afterEach(() => m.end());

function addr(w: WireDevice, a: string, scope = 0): void {
  const header = new Uint8Array([2, 24, 0, scope, w.dev.ifindex, 0, 0, 0]);
  expect(m.request(RTM_NEWADDR, NLM_F_CREATE, header, [[2, addrBytes(a)]]).err).toBe(0);
}

const sysctl = (name: string, value: string): void => {
  expect(m.net.sysctl.write(`net/ipv4/${name}`, value)).toBe(0);
};

function message(
  op: number,
  sip: string,
  tip: string,
  options: { mac?: number[]; to?: number[]; tha?: number[]; hrd?: number } = {},
): void {
  const mac = options.mac ?? MAC;
  const f = new Uint8Array(60);
  f.set(options.to ?? (op === 1 ? ALL : [...wire.dev.devAddr.subarray(0, 6)]), 0);
  f.set(mac, 6);
  f.set([8, 6, 0, options.hrd ?? 1, 8, 0, 6, 4, 0, op], 12);
  f.set(mac, 22);
  f.set(addrBytes(sip), 28);
  f.set(options.tha ?? [0, 0, 0, 0, 0, 0], 32);
  f.set(addrBytes(tip), 38);
  wire.receive(f);
}

/** ARP messages sent: operation, sender, target, destination. */
function sent(w = wire): string[] {
  return w
    .take()
    .filter((f) => f[12] === 8 && f[13] === 6)
    .map((f) => {
      const op = f[21] === 1 ? 'request' : 'reply';
      const to = f[0] === 255 ? 'all' : 'one';
      return `${op} ${f.subarray(28, 32).join('.')} > ${f.subarray(38, 42).join('.')} to ${to}`;
    });
}

/** State of the entry for an address; null: there is none. */
function state(a: string): number | null {
  const n = neighLookup(m.machine.netGlobals.arpTbl as NeighTable, ip(a), wire.dev);
  if (n === null) return null;
  neighRelease(n);
  return n.nudState;
}

describe('requests', () => {
  it('for our address are answered, and the asker is remembered', () => {
    message(1, '10.0.0.2', '10.0.0.1');
    expect(sent()).toEqual(['reply 10.0.0.1 > 10.0.0.2 to one']);
    expect(state('10.0.0.2')).toBe(NUD_STALE);
  });

  it('for others are not', () => {
    message(1, '10.0.0.2', '10.0.0.77');
    expect(sent()).toEqual([]);
    expect(state('10.0.0.2')).toBeNull();
  });

  it('for an address of another device are answered, unless arp_ignore says no', () => {
    message(1, '10.0.0.2', '10.0.1.1');
    expect(sent()).toEqual(['reply 10.0.1.1 > 10.0.0.2 to one']);
    sysctl('conf/eth0/arp_ignore', '1');
    message(1, '10.0.0.2', '10.0.1.1');
    expect(sent()).toEqual([]);
    message(1, '10.0.0.2', '10.0.0.1');
    expect(sent()).toHaveLength(1);
    sysctl('conf/eth0/arp_ignore', '2');
    message(1, '192.0.2.9', '10.0.0.1');
    expect(sent()).toEqual([]);
    sysctl('conf/eth0/arp_ignore', '8');
    message(1, '10.0.0.2', '10.0.0.1');
    expect(sent()).toEqual([]);
  });

  it('are answered by the device that leads back, with arp_filter', () => {
    const route = new Uint8Array([2, 24, 0, 0, 254, 3, 253, 1, 0, 0, 0, 0]);
    expect(
      m.request(RTM_NEWROUTE, NLM_F_CREATE, route, [
        [1, addrBytes('192.0.2.0')],
        [4, other.dev.ifindex],
      ]).err,
    ).toBe(0);
    message(1, '192.0.2.9', '10.0.0.1');
    expect(sent()).toHaveLength(1);
    sysctl('conf/eth0/arp_filter', '1');
    message(1, '192.0.2.9', '10.0.0.1');
    expect(sent()).toEqual([]);
  });

  it('without a sender are answered, and nothing is learned', () => {
    message(1, '0.0.0.0', '10.0.0.1');
    expect(sent()).toEqual(['reply 10.0.0.1 > 0.0.0.0 to one']);
    expect(state('0.0.0.0')).toBeNull();
  });

  it('of a wrong kind are dropped', () => {
    message(1, '10.0.0.2', '224.0.0.1');
    message(1, '10.0.0.2', '127.0.0.1');
    message(1, '10.0.0.2', '10.0.0.1', { hrd: 7 });
    message(3, '10.0.0.2', '10.0.0.1');
    expect(sent()).toEqual([]);
    expect(state('10.0.0.2')).toBeNull();
  });

  it('are answered for hosts behind a router that is a proxy', () => {
    sysctl('ip_forward', '1');
    message(1, '10.0.0.2', '10.0.1.77');
    m.run(1 * SEC);
    expect(sent()).toEqual([]);
    sysctl('conf/eth0/proxy_arp', '1');
    message(1, '10.0.0.2', '10.0.1.77');
    expect(sent()).toEqual([]);
    m.run(900 * MS);
    expect(sent()).toEqual(['reply 10.0.1.77 > 10.0.0.2 to one']);
    // Sent to us alone, it needs no delay.
    message(1, '10.0.0.2', '10.0.1.77', { to: [...wire.dev.devAddr.subarray(0, 6)] });
    expect(sent()).toHaveLength(1);
    // Never for a host of the link it came from.
    message(1, '10.0.0.2', '10.0.0.77');
    m.run(1 * SEC);
    expect(sent()).toEqual([]);
  });
});

describe('announcements', () => {
  it('change what is known, and make nothing new unless accepted', () => {
    message(1, '10.0.0.2', '10.0.0.2');
    expect(state('10.0.0.2')).toBeNull();
    sysctl('conf/eth0/arp_accept', '1');
    message(1, '10.0.0.2', '10.0.0.2');
    expect(state('10.0.0.2')).toBe(NUD_STALE);
    sysctl('conf/eth0/arp_accept', '2');
    message(1, '192.0.2.2', '192.0.2.2');
    expect(state('192.0.2.2')).toBeNull();
    message(1, '10.0.0.3', '10.0.0.3');
    expect(state('10.0.0.3')).toBe(NUD_STALE);
  });

  it('are dropped when told so', () => {
    sysctl('conf/eth0/arp_accept', '1');
    sysctl('conf/eth0/drop_gratuitous_arp', '1');
    message(1, '10.0.0.2', '10.0.0.2');
    expect(state('10.0.0.2')).toBeNull();
  });

  it('override at once, replies that are none only after the lock time', () => {
    message(1, '10.0.0.2', '10.0.0.1');
    const entry = neighLookup(m.machine.netGlobals.arpTbl as NeighTable, ip('10.0.0.2'), wire.dev);
    if (entry === null) throw new Error('no entry');
    message(2, '10.0.0.2', '10.0.0.1', { mac: [2, 0, 0, 0, 0, 0x55] });
    expect(entry.ha[5]).toBe(0x99);
    message(1, '10.0.0.2', '10.0.0.2', { mac: [2, 0, 0, 0, 0, 0x55] });
    expect(entry.ha[5]).toBe(0x55);
    neighRelease(entry);
  });

  it('are sent when the peers must know', () => {
    rtnlLock(m.machine);
    callNetdeviceNotifiers(NETDEV_NOTIFY_PEERS, wire.dev);
    rtnlUnlock(m.machine);
    expect(sent()).toEqual(['request 10.0.0.1 > 10.0.0.1 to all']);
    sysctl('conf/eth0/arp_notify', '1');
    m.setUp(wire.dev, false);
    m.setUp(wire.dev, true);
    expect(sent()).toEqual(['request 10.0.0.1 > 10.0.0.1 to all']);
  });

  it('of a reply to us alone confirm', () => {
    message(1, '10.0.0.2', '10.0.0.1');
    message(2, '10.0.0.2', '10.0.0.1');
    expect(state('10.0.0.2')).toBe(NUD_REACHABLE);
  });
});

describe('ioctls', () => {
  function request(flags: number, dev = 'eth0'): Uint8Array {
    const r = new Uint8Array(68);
    r[0] = 2;
    r.set(addrBytes('10.0.0.42'), 4);
    r[16] = 1;
    r.set(MAC, 18);
    r[32] = flags;
    r.set(new TextEncoder().encode(dev), 52);
    return r;
  }

  it('set, get and delete entries', () => {
    expect(arpIoctl(m.net, SIOCSARP, request(ATF_PERM))).toBe(0);
    const answer = request(0);
    answer.fill(0, 18, 24);
    expect(arpIoctl(m.net, SIOCGARP, answer)).toBe(0);
    expect([...answer.subarray(18, 24)]).toEqual(MAC);
    expect(answer[32]).toBe(ATF_PERM | ATF_COM);
    expect(arpIoctl(m.net, SIOCDARP, request(0))).toBe(0);
    expect(arpIoctl(m.net, SIOCGARP, request(0))).toBe(-ENXIO);
    expect(arpIoctl(m.net, SIOCGARP, request(0, 'nil'))).toBe(-ENODEV);
  });
});
