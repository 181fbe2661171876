import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NetdevMachine, TestDevice } from '#drivers/net/testing/netdev_machine.ts';
import { devQueueXmit } from '#net/core/dev_tx.ts';
import { qdiscClass, qdiscGraftClass, qdiscReplaceRoot } from '#net/sched/sch_api.ts';
import { qdiscChildren, qdiscLookup } from '#net/sched/sch_api_tree.ts';
import { EINVAL, ENOENT } from '#uapi/errno.ts';
import { ETH_P_IP } from '#uapi/if_ether.ts';
import { tbf } from '#user/tc/tbf.ts';

const MS = 1e6;
const ROOT = 0x10000;

let m: NetdevMachine;
let t: TestDevice;

beforeEach(() => {
  m = new NetdevMachine();
  t = new TestDevice(m);
  m.setUp(t.dev);
});

afterEach(() => m.end());

function root(words: string): number {
  const opt = tbf.parse(words.split(' '));
  return m.rtnl(() => qdiscReplaceRoot(t.dev, 'tbf', ROOT, opt, { msg: '' }));
}

function send(length: number): number {
  const skb = m.packet(new Array<number>(length).fill(0));
  skb.dev = t.dev;
  skb.protocol = ETH_P_IP;
  return devQueueXmit(skb);
}

describe('tbf', () => {
  it('lets a burst pass at once and the rest at the rate', () => {
    // 1,000 bytes a ms.
    expect(root('rate 8mbit burst 3000 limit 100000')).toBe(0);
    for (let i = 0; i < 20; i++) send(1000);
    expect(t.sent.length).toBe(3);
    const left: number[] = [];
    for (let i = 0; i < 170; i++) {
      m.advance(0.1 * MS);
      left.push(t.sent.length);
    }
    // One more each ms, at the ms.
    expect(left[8]).toBe(3);
    expect(left[9]).toBe(4);
    expect(left[88]).toBe(11);
    expect(left[89]).toBe(12);
    expect(t.sent.length).toBe(20);
    expect([t.dev.qdisc?.qlen, t.dev.qdisc?.backlog]).toEqual([0, 0]);
  });

  it('holds the peak rate within the burst', () => {
    expect(root('rate 8mbit burst 10000 limit 100000 peakrate 16mbit mtu 1000')).toBe(0);
    for (let i = 0; i < 10; i++) send(1000);
    expect(t.sent.length).toBe(1);
    for (let i = 0; i < 40; i++) m.advance(0.1 * MS);
    expect(t.sent.length).toBe(9);
  });

  it('drops what finds the queue below full, and what is longer than the burst', () => {
    expect(root('rate 8mbit burst 1500 limit 2500')).toBe(0);
    for (let i = 0; i < 6; i++) send(1000);
    expect(t.sent.length).toBe(1);
    expect([t.dev.qdisc?.qlen, t.dev.qdisc?.drops]).toEqual([2, 3]);
    send(1501);
    expect(t.dev.qdisc?.drops).toBe(4);
    for (let i = 0; i < 5; i++) m.advance(MS);
    expect(t.sent.length).toBe(3);
  });

  it('takes another discipline below; what waited goes with the old one', () => {
    expect(root('rate 8mbit burst 1000 limit 100000')).toBe(0);
    for (let i = 0; i < 5; i++) send(1000);
    const extack = { msg: '' };
    const place = m.rtnl(() => qdiscClass(t.dev, ROOT + 1, extack));
    if (typeof place === 'number') throw new Error(extack.msg);
    const graft = (kind: string | null): number =>
      m.rtnl(() => qdiscGraftClass(t.dev, place, ROOT + 1, kind, 0x100000, null, extack));
    expect(graft('codel')).toBe(0);
    expect([t.dev.qdisc?.qlen, t.dev.qdisc?.backlog]).toEqual([0, 0]);
    expect(qdiscLookup(t.dev, 0x100000)?.ops.id).toBe('codel');
    send(1000);
    m.advance(MS);
    expect(t.sent.length).toBe(2);
    expect(graft(null)).toBe(0);
    expect(qdiscChildren(place.above)).toEqual([]);
    expect(m.rtnl(() => qdiscClass(t.dev, 0x30000, extack))).toBe(-ENOENT);
    expect(extack.msg).toBe('Failed to find specified qdisc');
  });

  it('counts above what codel drops below', () => {
    expect(root('rate 800kbit burst 1000 limit 1000000')).toBe(0);
    const extack = { msg: '' };
    const place = m.rtnl(() => qdiscClass(t.dev, ROOT + 1, extack));
    if (typeof place === 'number') throw new Error(extack.msg);
    m.rtnl(() => qdiscGraftClass(t.dev, place, ROOT + 1, 'codel', 0, null, extack));
    for (let i = 0; i < 90; i++) send(1000);
    for (let i = 0; i < 500; i++) m.advance(MS);
    const [below] = qdiscChildren(place.above);
    expect(below?.drops).toBeGreaterThan(2);
    expect(place.above.drops).toBe(below?.drops);
    expect(place.above.qlen).toBe(below?.qlen);
    expect(place.above.backlog).toBe(below?.backlog);
  });

  it('needs a rate, a burst, and a peak above the rate', () => {
    const none = m.rtnl(() => qdiscReplaceRoot(t.dev, 'tbf', ROOT, null, { msg: '' }));
    expect(none).toBe(-EINVAL);
    expect(root('rate 8mbit burst 1500 limit 9000 peakrate 8mbit mtu 1500')).toBe(-EINVAL);
    expect(() => tbf.parse(['rate', '8mbit'])).toThrow('the "burst" parameter is mandatory');
  });
});
