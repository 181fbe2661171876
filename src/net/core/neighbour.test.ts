import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NetDevice } from '#include/linux/netdevice.ts';
import type { SkBuff } from '#include/linux/skbuff.ts';
import { skbReserve, skbResetNetworkHeader } from '#include/linux/skbuff.ts';
import type { Neighbour, NeighTable } from '#include/net/neighbour.ts';
import { type TimerList, timerPending } from '#kernel/time/timer.ts';
import { mem, view } from '#mm/memory.ts';
import { neighCreate, neighLookup } from '#net/core/neighbour.ts';
import { neighRelease } from '#net/core/neighbour_destroy.ts';
import { neighOutput } from '#net/core/neighbour_output.ts';
import { allocSkb, skbPut } from '#net/core/skbuff.ts';
import {
  addrBytes,
  decodeAttrs,
  ip,
  MS,
  NlMachine,
  SEC,
  type WireDevice,
} from '#net/ipv4/testing/nl_machine.ts';
import { EEXIST, EINVAL, ENOENT } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { iphdr } from '#uapi/ip.ts';
import {
  NDA_DST,
  NDA_FLAGS_EXT,
  NDA_LLADDR,
  NTF_EXT_MANAGED,
  NTF_PROXY,
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_NOARP,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from '#uapi/neighbour.ts';
import {
  SKB_DROP_REASON_NEIGH_FAILED,
  SKB_DROP_REASON_NEIGH_QUEUEFULL,
} from '#uapi/net_dropreason.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '#uapi/netlink.ts';
import {
  RTM_DELNEIGH,
  RTM_GETNEIGH,
  RTM_NEWADDR,
  RTM_NEWNEIGH,
  RTMGRP_NEIGH,
} from '#uapi/rtnetlink.ts';

let m: NlMachine;
let wire: WireDevice;
let dev: NetDevice;
let tbl: NeighTable;
const drops: number[] = [];

const PEER = '10.0.0.2';
const PEER_MAC = [2, 0, 0, 0, 0, 0x99];

beforeEach(() => {
  m = new NlMachine();
  m.loopbackUp();
  wire = m.device('eth0', 1);
  dev = wire.dev;
  tbl = m.machine.netGlobals.arpTbl as NeighTable;
  const header = new Uint8Array([2, 24, 0, 0, dev.ifindex, 0, 0, 0]);
  expect(m.request(RTM_NEWADDR, NLM_F_CREATE, header, [[2, addrBytes('10.0.0.1')]]).err).toBe(0);
  drops.length = 0;
  m.machine.trace.skb.kfreeSkb.register((_skb, _location, reason) => drops.push(reason));
});
afterEach(() => m.end());

/** An IP packet whose data is at the network header, with room for a link header. */
function packet(size = 100): SkBuff {
  const skb = allocSkb(m.machine, 64 + size);
  if (skb === null) throw new Error('out of memory');
  skbReserve(skb, 64);
  skbResetNetworkHeader(skb);
  const at = skbPut(skb, size);
  mem.fill(0, at, at + size);
  iphdr.setVersion(view, at, 4);
  iphdr.setIhl(view, at, 5);
  iphdr.setSaddr(view, at, ip('10.0.0.1'));
  iphdr.setDaddr(view, at, ip(PEER));
  skb.protocol = ETH_P_IP;
  skb.dev = dev;
  return skb;
}

/** The entry, without a reference. */
function entry(addr = PEER): Neighbour {
  const n = neighLookup(tbl, ip(addr), dev);
  if (n === null) throw new Error(`no entry for ${addr}`);
  neighRelease(n);
  return n;
}

function send(count = 1): void {
  const n = neighCreate(tbl, ip(PEER), dev);
  if (typeof n === 'number') throw new Error(`neigh_create: ${n}`);
  for (let i = 0; i < count; i++) neighOutput(n, packet(), false);
  neighRelease(n);
}

/** Kind of each frame: who-has, or data, with the destination. */
function frames(): string[] {
  return wire.take().map((f) => {
    const to = f[5] === 0xff ? 'all' : String(f[5]);
    return f[12] === 8 && f[13] === 6
      ? `${f[21] === 1 ? 'who-has' : 'is-at'} to ${to}`
      : `data to ${to}`;
  });
}

/** An answer of the peer's, to us alone or to all. */
function answer(mac: readonly number[] = PEER_MAC, op = 2, toAll = false): void {
  const f = new Uint8Array(60);
  f.set(toAll ? [255, 255, 255, 255, 255, 255] : dev.devAddr.subarray(0, 6), 0);
  f.set(mac, 6);
  f.set([8, 6, 0, 1, 8, 0, 6, 4, 0, op], 12);
  f.set(mac, 22);
  f.set(addrBytes(PEER), 28);
  f.set(dev.devAddr.subarray(0, 6), 32);
  f.set(addrBytes('10.0.0.1'), 38);
  wire.receive(f);
}

describe('states of a neighbour', () => {
  it('asks three times, a second apart, then fails and reports', () => {
    send(2);
    expect(entry().nudState).toBe(NUD_INCOMPLETE);
    expect(frames()).toEqual(['who-has to all']);
    m.run(1001 * MS);
    expect(frames()).toEqual(['who-has to all']);
    m.run(1 * SEC);
    expect(frames()).toEqual(['who-has to all']);
    expect(entry().nudState).toBe(NUD_INCOMPLETE);
    m.run(1 * SEC);
    expect(entry().nudState).toBe(NUD_FAILED);
    expect(frames()).toEqual([]);
    expect(drops).toEqual([SKB_DROP_REASON_NEIGH_FAILED, SKB_DROP_REASON_NEIGH_FAILED]);
    expect(tbl.stats.resFailed).toBe(1);
  });

  it('sends what waited when the answer comes', () => {
    send(3);
    frames();
    answer();
    expect(entry().nudState).toBe(NUD_REACHABLE);
    expect(frames()).toEqual(['data to 153', 'data to 153', 'data to 153']);
    send();
    expect(frames()).toEqual(['data to 153']);
    expect(entry().hhLen).toBe(14);
  });

  it('goes from reachable over stale, delay and probe to failed', () => {
    send();
    answer();
    frames();
    // The random reachable time is below one and a half times the base of 30 s.
    m.run(46 * SEC);
    expect(entry().nudState).toBe(NUD_STALE);
    send();
    expect(frames()).toEqual(['data to 153']);
    expect(entry().nudState).toBe(NUD_DELAY);
    m.run(5 * SEC + 2 * MS);
    expect(entry().nudState).toBe(NUD_PROBE);
    // To the known address alone, three times.
    expect(frames()).toEqual(['who-has to 153']);
    m.run(2 * SEC);
    expect(frames()).toEqual(['who-has to 153', 'who-has to 153']);
    m.run(1 * SEC + 2 * MS);
    expect(entry().nudState).toBe(NUD_FAILED);
  });

  it('is reachable again when a probe is answered', () => {
    send();
    answer();
    m.run(46 * SEC);
    send();
    m.run(5 * SEC + 2 * MS);
    expect(entry().nudState).toBe(NUD_PROBE);
    answer();
    expect(entry().nudState).toBe(NUD_REACHABLE);
  });

  it('needs no probe when upper layers confirm in time', () => {
    send();
    answer();
    m.run(46 * SEC);
    send();
    m.run(2 * SEC);
    entry().confirmed = m.machine.jiffies;
    m.run(4 * SEC);
    expect(entry().nudState).toBe(NUD_REACHABLE);
  });

  it('drops the oldest of the packets that wait when there are too many', () => {
    m.net.sysctl.write('net/ipv4/neigh/eth0/unres_qlen_bytes', '2000');
    send(5);
    const waiting = entry().arpQueue.qlen;
    expect(waiting).toBeLessThan(5);
    expect(drops).toEqual(new Array(5 - waiting).fill(SKB_DROP_REASON_NEIGH_QUEUEFULL));
    expect(tbl.stats.unresDiscards).toBe(5 - waiting);
  });

  it('takes the first of several answers', () => {
    send();
    answer();
    answer([2, 0, 0, 0, 0, 0x66]);
    expect(entry().ha[5]).toBe(0x99);
    m.run(1100 * MS);
    answer([2, 0, 0, 0, 0, 0x66]);
    expect(entry().ha[5]).toBe(0x66);
    frames();
    send();
    expect(frames()).toEqual(['data to 102']);
  });

  it('forgets its addresses with the carrier and the device', () => {
    send();
    answer();
    m.setUp(dev, false);
    expect(neighLookup(tbl, ip(PEER), dev)).toBeNull();
  });
});

describe('garbage collection', () => {
  it('takes old entries when the table is full', () => {
    m.net.sysctl.write('net/ipv4/neigh/default/gc_thresh1', '1');
    m.net.sysctl.write('net/ipv4/neigh/default/gc_thresh2', '5');
    m.net.sysctl.write('net/ipv4/neigh/default/gc_thresh3', '10');
    const before = tbl.gcEntries;
    const make = (i: number): Neighbour | number => {
      const n = neighCreate(tbl, ip(`10.0.0.${i}`), dev);
      if (typeof n !== 'number') neighRelease(n);
      return n;
    };
    for (let i = 10; tbl.gcEntries < 10; i++) expect(typeof make(i)).toBe('object');
    expect(make(200)).toBeLessThan(0);
    expect(tbl.stats.tableFulls).toBe(1);
    m.run(6 * SEC);
    expect(typeof make(200)).toBe('object');
    expect(tbl.gcEntries).toBeLessThan(10);
    expect(before).toBeLessThan(10);
  });

  it('takes entries that nobody has used for the stale time', () => {
    m.net.sysctl.write('net/ipv4/neigh/default/gc_thresh1', '0');
    send();
    answer();
    m.run(300 * SEC);
    expect(neighLookup(tbl, ip(PEER), dev)).toBeNull();
    expect(tbl.stats.periodicGcRuns).toBeGreaterThan(0);
  });

  it('grows the hash table with the entries', () => {
    for (let i = 2; i < 200; i++) {
      const n = neighCreate(tbl, ip(`10.0.0.${i}`), dev);
      if (typeof n !== 'number') neighRelease(n);
    }
    expect(tbl.buckets.length).toBeGreaterThanOrEqual(128);
    for (let i = 2; i < 200; i++) entry(`10.0.0.${i}`);
  });
});

describe('neighbours over rtnetlink', () => {
  function header(state: number, flags = 0): Uint8Array {
    const h = new Uint8Array(12);
    const v = new DataView(h.buffer);
    h[0] = 2;
    v.setInt32(4, dev.ifindex, true);
    v.setUint16(8, state, true);
    h[10] = flags;
    return h;
  }
  const mac = Uint8Array.from([2, 0, 0, 0, 0, 0x42]);
  const add = (state: number, flags: number, addr = PEER): ReturnType<NlMachine['request']> =>
    m.request(RTM_NEWNEIGH, flags, header(state), [
      [NDA_DST, addrBytes(addr)],
      [NDA_LLADDR, mac],
    ]);

  it('adds, refuses twice, replaces, shows and deletes', () => {
    expect(add(NUD_PERMANENT, NLM_F_CREATE | NLM_F_EXCL).err).toBe(0);
    expect(entry().nudState).toBe(NUD_PERMANENT);
    expect(add(NUD_PERMANENT, NLM_F_CREATE | NLM_F_EXCL).err).toBe(-EEXIST);
    expect(add(NUD_REACHABLE, NLM_F_CREATE | NLM_F_REPLACE).err).toBe(0);
    expect(entry().nudState).toBe(NUD_REACHABLE);
    const shown = m.dump(RTM_GETNEIGH, header(0));
    const mine = shown.find((msg) => decodeAttrs(msg.body.subarray(12)).get(NDA_DST)?.[3] === 2);
    const attrs = decodeAttrs((mine?.body ?? new Uint8Array(12)).subarray(12));
    expect([...(attrs.get(NDA_LLADDR) ?? [])]).toEqual([...mac]);
    const del = m.request(RTM_DELNEIGH, 0, header(0), [[NDA_DST, addrBytes(PEER)]]);
    expect(del.err).toBe(0);
    expect(neighLookup(tbl, ip(PEER), dev)).toBeNull();
    expect(m.request(RTM_DELNEIGH, 0, header(0), [[NDA_DST, addrBytes(PEER)]]).err).toBe(-ENOENT);
  });

  it('explains what it refuses', () => {
    expect(m.request(RTM_NEWNEIGH, NLM_F_CREATE, header(NUD_PERMANENT), [])).toEqual({
      err: -EINVAL,
      msg: 'Network address not specified',
    });
    expect(
      m.request(RTM_NEWNEIGH, NLM_F_CREATE, header(NUD_REACHABLE), [[NDA_DST, addrBytes(PEER)]]),
    ).toEqual({ err: -EINVAL, msg: 'No link layer address given' });
    expect(add(NUD_REACHABLE, 0, '10.0.0.77').err).toBe(-ENOENT);
  });

  it('tells listeners', () => {
    const fd = m.socket(RTMGRP_NEIGH);
    send();
    answer();
    const types = m.read(fd).map((msg) => msg.type);
    expect(types).toContain(RTM_NEWNEIGH);
    m.sys.close(fd);
  });

  it('shows the table under /proc/net', () => {
    add(NUD_PERMANENT, NLM_F_CREATE);
    const text = m.net.procNet.get('arp')?.(m.net) ?? '';
    expect(text.split('\n')[1]).toBe(
      '10.0.0.2         0x1         0x6         02:00:00:00:00:42     *        eth0',
    );
    expect(m.net.procNet.get('stat/arp_cache')?.(m.net)).toContain('00000001');
  });

  it('answers for proxied addresses after a while', () => {
    m.net.sysctl.write('net/ipv4/ip_forward', '1');
    const other = m.device('eth1', 9);
    const h = new Uint8Array([2, 24, 0, 0, other.dev.ifindex, 0, 0, 0]);
    expect(m.request(RTM_NEWADDR, NLM_F_CREATE, h, [[2, addrBytes('10.5.0.1')]]).err).toBe(0);
    expect(
      m.request(RTM_NEWNEIGH, NLM_F_CREATE, header(NUD_PERMANENT, NTF_PROXY), [
        [NDA_DST, addrBytes('10.5.0.9')],
      ]).err,
    ).toBe(0);
    const f = new Uint8Array(60);
    f.set([255, 255, 255, 255, 255, 255, ...PEER_MAC, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1], 0);
    f.set(PEER_MAC, 22);
    f.set(addrBytes(PEER), 28);
    f.set(addrBytes('10.5.0.9'), 38);
    wire.receive(f);
    expect(frames()).toEqual([]);
    m.run(900 * MS);
    expect(frames()).toEqual(['is-at to 153']);
  });

  it('asks for managed entries until the last of them is an ordinary one', () => {
    const lladdr: [number, Uint8Array] = [NDA_LLADDR, Uint8Array.from(PEER_MAC)];
    const set = (flags: number): void => {
      const attrs: [number, Uint8Array][] = [[NDA_DST, addrBytes(PEER)], lladdr];
      if (flags !== 0) attrs.push([NDA_FLAGS_EXT, Uint8Array.of(flags, 0, 0, 0)]);
      const how = NLM_F_CREATE | NLM_F_REPLACE;
      expect(m.request(RTM_NEWNEIGH, how, header(NUD_REACHABLE), attrs).err).toBe(0);
    };
    const timer = tbl.managedTimer as TimerList<NeighTable>;
    set(NTF_EXT_MANAGED);
    expect([entry().managed, tbl.managedList.size, timerPending(timer)]).toEqual([true, 1, true]);
    set(0);
    expect([entry().managed, tbl.managedList.size, timerPending(timer)]).toEqual([false, 0, false]);
  });

  it('has one entry without a question for a link of one', () => {
    const lo = m.net.loopbackDev as NetDevice;
    const a = neighCreate(tbl, ip('127.0.0.1'), lo);
    const b = neighCreate(tbl, ip('127.0.0.2'), lo);
    if (typeof a === 'number' || typeof b === 'number') throw new Error('refused');
    expect(a).toBe(b);
    expect(a.nudState).toBe(NUD_NOARP);
    neighRelease(a);
    neighRelease(b);
  });
});
